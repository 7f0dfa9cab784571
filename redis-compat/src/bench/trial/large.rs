//! A stream that is larger than memory: filled, restarted cold, read, consumed.
//!
//! ```text
//!   fill N GB -> consume the newest (hot) -> kill -9 -> start -> read here and there
//!                                                                        |
//!   consume all N GB (cold) <- start <- stop <---------------------------+
//! ```
//!
//! Before each start the page cache of the machine is emptied, so that what is read then comes
//! from the disk; how much does, the kernel counts. Hot are the newest entries, consumed when they
//! have just been added. Both begin when the server has come to rest, that is, writes nothing more,
//! and all that was written is on the disk. Both are XREADGROUP COUNT 100 with the XACK of what it
//! brought, by the same consumers.
//!
//! Entries carry values that tell which they are ([`crate::bench::values`]): every one that is read
//! is compared.

use super::{Measure, Party, rest, want_space};
use crate::{
    bench::{
        client::Client,
        clock,
        entry::{self, GROUP, KEY, payload},
        fault::Fault,
        load::{self, Sample, Window},
        machine,
        process::disk_bytes,
        server::{Make, Peer, Policy, Server, Site},
        sheet::Facts,
        values::Values,
        watch::{Look, Watch},
        workload::{Drain, create_group_at},
    },
    chance::Chance,
};
use std::{ops::Range, path::Path, time::Duration};

/// Entries that are read at a time, by XRANGE and by XREADGROUP.
const COUNT: u64 = 100;
/// Ranges that are read at places drawn by chance.
const READS: usize = 200;
/// How long a consumption may take.
const CONSUMED_WITHIN: Duration = Duration::from_secs(4 * 3600);

/// Options of the trial.
#[derive(clap::Args)]
pub(in crate::bench) struct Large {
    /// Gigabytes (10^9 bytes) of entries, names and values counted [20 is the full figure].
    #[arg(long, default_value = "1", value_parser = gigabytes)]
    gigabytes: u64,
    /// Gigabytes of them that are consumed when they have just been added.
    #[arg(long, default_value = "1", value_parser = gigabytes)]
    hot_gigabytes: u64,
    /// Bytes of a value.
    #[arg(long, default_value_t = 1000)]
    value_bytes: usize,
    /// Consumers, each of which reads when it has acknowledged.
    #[arg(long, default_value_t = 10)]
    consumers: usize,
    /// What the values and the places that are read are drawn from.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Directives for Headwater, behind `--`.
    #[arg(last = true)]
    directives: Vec<String>,
}

/// One server in the course of the trial.
struct Course<'a> {
    site: &'a Site,
    peer: Peer,
    dir: &'a Path,
    values: Values,
    entries: u64,
    consumers: usize,
    facts: Facts,
    /// The most anonymous memory so far.
    most: u64,
}

impl Measure for Large {
    fn makes(&self) -> &'static [Make] {
        &[Make::Headwater]
    }

    fn about(&self) -> String {
        format!(
            "{} entries with values of {} bytes in one stream, {} bytes with their names; \
             everysec; {} consumers; seed {}",
            self.entries(self.gigabytes),
            self.value_bytes,
            self.entries(self.gigabytes) * payload(self.value_bytes),
            self.consumers,
            self.seed
        )
    }

    fn run(&self, site: &Site, party: &Party, _: Option<f64>) -> Result<Facts, Fault> {
        let entries = self.entries(self.gigabytes);
        // All of it twice for a moment, and what is known of each entry.
        want_space(site, 2 * entries * (payload(self.value_bytes) + 40))?;
        // Whether that is allowed is better known now.
        machine::drop_caches(&site.root)?;
        let dir = site.directory()?;
        let mut course = Course {
            site,
            peer: party.with_ours(&self.directives),
            dir: dir.path(),
            values: Values::new(self.value_bytes, self.seed),
            entries,
            consumers: self.consumers,
            facts: Facts::default(),
            most: 0,
        };
        let hot = self.entries(self.hot_gigabytes).min(entries);
        let hot = course.fill(entries - hot)?;
        course.read(self.seed)?;
        let cold = course.consume_cold()?;
        let mut facts = course.facts;
        facts.times("consumed, cold / hot", cold, hot);
        facts.bytes("anonymous memory, most of all", course.most);
        Ok(facts)
    }

    fn legend(&self) -> &'static str {
        "A restart lasts from the start of the process until XLEN tells all entries, with the page \
         cache emptied before.\nA first range of 100 entries is the first that is read there, with \
         the page cache emptied again. Consumed is\nwith XREADGROUP COUNT 100 and XACK; hot are \
         the newest entries, just added; cold is everything, from the disk,\nand how much came \
         from there the kernel has counted: as much is then only read. Every entry came once, \
         with its own\nvalue."
    }
}

impl Large {
    /// As many entries as make so many bytes, and as are read at once.
    fn entries(&self, bytes: u64) -> u64 {
        (bytes / payload(self.value_bytes)).max(COUNT)
    }
}

/// The bytes of a decimal number of gigabytes.
fn gigabytes(text: &str) -> Result<u64, String> {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let is_number = text.contains(|letter: char| letter.is_ascii_digit());
    match format!("{whole}{part:0<9}").parse() {
        Ok(bytes) if is_number && part.len() <= 9 => Ok(bytes),
        _ => Err("want gigabytes, such as 20 or 0.5".to_owned()),
    }
}

impl Course<'_> {
    /// Adds everything and consumes the entries from `hot` on, so many a second; then the server
    /// is killed.
    fn fill(&mut self, hot: u64) -> Result<f64, Fault> {
        let server = Server::start(self.site, &self.peer, Policy::EverySec, self.dir)?;
        let watch = Watch::begin(&server, self.dir)?;
        let mut client = server.client()?;
        let (values, entries) = (&self.values, self.entries);
        let began = clock::now();
        client.pipeline(0..entries, |number, out| {
            entry::add(out, entry::id(number).as_bytes(), &values.of(number));
        })?;
        let taken = clock::elapsed(began);
        let looks = watch.end()?;
        let bytes = entries * payload(values.len());
        self.facts.bytes("names and values", bytes);
        self.facts.rate("entries added", entries, taken);
        self.facts.throughput("bytes added", bytes, taken);
        let anonymous = |look: &Look| look.memory.anonymous;
        let most = looks.most(anonymous);
        self.most = self.most.max(most);
        self.facts
            .bytes("anonymous memory, most while filled", most);
        let full = looks.last(anonymous);
        self.facts.bytes("anonymous memory, full", full);
        self.facts.bytes("disk, full", disk_bytes(self.dir)?);

        rest(&server, self.dir)?;
        let resting = server.process().memory()?.anonymous;
        self.facts.bytes("anonymous memory, at rest", resting);
        self.facts.bytes("disk, at rest", disk_bytes(self.dir)?);
        let sample = self.consume(&server, hot..entries)?;
        self.facts.rate("consumed hot", sample.entries, sample.wall);
        client.call(&[b"XGROUP", b"DESTROY", KEY, GROUP])?;
        Ok(sample.entries as f64 / sample.wall.as_secs_f64())
    }

    /// Starts the killed server and reads here and there; then the server is stopped.
    fn read(&mut self, seed: u64) -> Result<(), Fault> {
        machine::drop_caches(self.dir)?;
        let (server, after_kill) = self.start_cold()?;
        self.facts.time("restart after kill -9", after_kill);
        rest(&server, self.dir)?;
        // Of what the start has read, too.
        machine::drop_caches(self.dir)?;
        let watch = Watch::begin(&server, self.dir)?;
        let mut client = server.client()?;
        let last = self.entries - COUNT;
        for (what, from) in [
            ("first range of the oldest", 0),
            ("first range in the middle", last / 2),
            ("first range of the newest", last),
        ] {
            let began = clock::now();
            self.range(&mut client, from)?;
            self.facts.time(what, clock::elapsed(began));
        }
        self.newest_first(&mut client)?;
        let mut chance = Chance::new(seed);
        let began = clock::now();
        for _ in 0..READS {
            self.range(&mut client, chance.below(last + 1))?;
        }
        let each = clock::elapsed(began) / u32::try_from(READS).expect("few");
        self.facts.time("a range anywhere", each);
        let looks = watch.end()?;
        let most = looks.most(|look| look.memory.anonymous);
        self.facts.bytes("anonymous memory, most while read", most);
        self.most = self.most.max(most);
        server.stop()
    }

    /// Starts the stopped server and consumes everything from the disk, so much a second.
    fn consume_cold(&mut self) -> Result<f64, Fault> {
        let (server, after_stop) = self.start_cold()?;
        self.facts.time("restart after a stop", after_stop);
        rest(&server, self.dir)?;
        machine::drop_caches(self.dir)?;
        let watch = Watch::begin(&server, self.dir)?;
        let before = server.process().storage()?.read;
        let sample = self.consume(&server, 0..self.entries)?;
        let read = server.process().storage()?.read - before;
        let looks = watch.end()?;
        self.facts
            .rate("consumed cold", sample.entries, sample.wall);
        self.facts.bytes("read from the disk", read);
        self.facts
            .throughput("the disk, consumed", read, sample.wall);
        self.facts.time("a cold read, p50", sample.p50);
        self.facts.time("a cold read, p99", sample.p99);
        let most = looks.most(|look| look.memory.anonymous);
        self.facts
            .bytes("anonymous memory, most while consumed", most);
        self.most = self.most.max(most);
        server.stop()?;
        // As much as was read by then, since a disk may be fast for some time only.
        machine::drop_caches(self.dir)?;
        let (bytes, time) = machine::read_time(self.dir, read)?;
        self.facts.throughput("the disk, only read", bytes, time);
        Ok(sample.entries as f64 / sample.wall.as_secs_f64())
    }

    /// Starts on what is there, and the time until it has shown that it has all entries.
    fn start_cold(&self) -> Result<(Server, Duration), Fault> {
        machine::drop_caches(self.dir)?;
        let began = clock::now();
        let server = Server::start(self.site, &self.peer, Policy::EverySec, self.dir)?;
        let length = server.client()?.call(&[b"XLEN", KEY])?;
        let taken = clock::elapsed(began);
        if length.unsigned_abs() == self.entries {
            Ok((server, taken))
        } else {
            Err(Fault::Wrong("every entry to be there after a restart"))
        }
    }

    /// Lets a new group consume these entries, which are the last of the stream.
    fn consume(&self, server: &Server, numbers: Range<u64>) -> Result<Sample, Fault> {
        let before = numbers.start.checked_sub(1).map(entry::id);
        let id = before.unwrap_or_else(|| "0".to_owned());
        create_group_at(&mut server.client()?, id.as_bytes())?;
        let count = usize::try_from(COUNT).expect("few");
        let mut work = Drain::new(&self.values, numbers, self.consumers, count);
        let window = Window {
            warm_up: Duration::ZERO,
            measured: CONSUMED_WITHIN,
        };
        load::drive(&mut work, server, &self.site.cores, window)
    }

    /// Reads a range and compares it.
    fn range(&self, client: &mut Client, from: u64) -> Result<(), Fault> {
        let (id, count) = (entry::id(from), COUNT.to_string());
        let words: [&[u8]; 6] = [
            b"XRANGE",
            KEY,
            id.as_bytes(),
            b"+",
            b"COUNT",
            count.as_bytes(),
        ];
        let read = self.values.read(client, &words, |nth| from + nth)?;
        all_of_them(read)
    }

    /// Reads the newest entries, the last one first, and compares them.
    fn newest_first(&self, client: &mut Client) -> Result<(), Fault> {
        let (last, count) = (self.entries - 1, COUNT.to_string());
        let words: [&[u8]; 6] = [b"XREVRANGE", KEY, b"+", b"-", b"COUNT", count.as_bytes()];
        let read = self.values.read(client, &words, |nth| last - nth)?;
        all_of_them(read)
    }
}

fn all_of_them(read: u64) -> Result<(), Fault> {
    if read == COUNT {
        Ok(())
    } else {
        Err(Fault::Wrong("all entries of a range"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gigabytes_may_have_a_part() {
        for (text, bytes) in [
            ("20", 20_000_000_000),
            ("0.5", 500_000_000),
            (".25", 250_000_000),
            ("1.000000001", 1_000_000_001),
        ] {
            assert_eq!(gigabytes(text), Ok(bytes), "{text}");
        }
        for text in ["", ".", "-1", "1.0000000001", "1e3", "1.-5", "x"] {
            assert!(gigabytes(text).is_err(), "{text}");
        }
    }
}
