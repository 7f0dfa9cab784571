//! Many small streams: memory, restart, descriptors, a walk with SCAN.

use super::{Measure, Party, want_space};
use crate::{
    bench::{
        client::Client,
        clock,
        entry::{self, payload},
        fault::Fault,
        process::disk_bytes,
        seen::Seen,
        server::{Peer, Policy, Server, Site},
        sheet::Facts,
        values::Values,
        watch::Watch,
    },
    chance::Chance,
};
use std::{path::Path, time::Duration};

/// Streams that are looked into after each start.
const LOOKED_INTO: u64 = 1000;

/// Options of the trial.
#[derive(clap::Args)]
pub(in crate::bench) struct ManyStreams {
    /// Streams [a million to be compared with others].
    #[arg(long, default_value_t = 100_000)]
    streams: u64,
    /// Entries of each.
    #[arg(long, default_value_t = 1)]
    entries_each: u64,
    /// Bytes of a value.
    #[arg(long, default_value_t = entry::VALUE_LEN)]
    value_bytes: usize,
    /// What the values, and the streams that are looked into, are drawn from.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Directives for Headwater, behind `--`.
    #[arg(last = true)]
    directives: Vec<String>,
}

/// The key of the stream with this number.
fn key(number: u64) -> String {
    format!("stream:{number}")
}

/// The number of the stream with this key.
fn number(key: &[u8]) -> Option<u64> {
    let digits = key.strip_prefix(b"stream:")?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

impl Measure for ManyStreams {
    fn about(&self) -> String {
        format!(
            "{} streams with {} entries each, values of {} bytes, everysec; seed {}",
            self.streams, self.entries_each, self.value_bytes, self.seed
        )
    }

    fn run(&self, site: &Site, party: &Party, _: Option<f64>) -> Result<Facts, Fault> {
        let entries = self.streams * self.entries_each;
        want_space(site, entries * 4 * (payload(self.value_bytes) + 100))?;
        let peer = &party.with_ours(&self.directives);
        let values = &Values::new(self.value_bytes, self.seed);
        let dir = site.directory()?;
        let mut facts = Facts::default();

        let server = Server::start(site, peer, Policy::EverySec, dir.path())?;
        let watch = Watch::begin(&server, dir.path())?;
        let began = clock::now();
        server.client()?.pipeline(0..entries, |number, out| {
            // One round over all streams after the other, so that none lies in one piece.
            let key = key(number % self.streams);
            let id = entry::id(number);
            entry::add_to(key.as_bytes(), out, id.as_bytes(), &values.of(number));
        })?;
        facts.rate("entries added", entries, clock::elapsed(began));
        let looks = watch.end()?;
        facts.bytes(
            "anonymous memory, most",
            looks.most(|look| look.memory.anonymous),
        );
        facts.bytes(
            "anonymous memory, full",
            looks.last(|look| look.memory.anonymous),
        );
        facts.bytes(
            "resident memory, full",
            looks.last(|look| look.memory.resident),
        );
        facts.count(
            "descriptors open, most",
            looks.most(|look| look.descriptors),
        );
        facts.bytes("disk", disk_bytes(dir.path())?);

        // Killed when dropped.
        drop(server);
        let (server, after_kill) = self.start(site, peer, dir.path(), values)?;
        facts.time("restart after kill -9", after_kill);
        server.stop()?;
        let (server, after_stop) = self.start(site, peer, dir.path(), values)?;
        facts.time("restart after a stop", after_stop);
        let memory = server.process().memory()?;
        facts.bytes("anonymous memory, restarted", memory.anonymous);
        facts.count(
            "descriptors open, restarted",
            server.process().descriptors()?,
        );

        let began = clock::now();
        self.walk(&mut server.client()?)?;
        facts.rate("keys walked with SCAN", self.streams, clock::elapsed(began));
        Ok(facts)
    }

    fn legend(&self) -> &'static str {
        "A restart lasts from the start of the process until DBSIZE tells all streams; the page \
         cache is warm.\nAfter each, a thousand streams are read and compared, and in the end \
         SCAN has found every key."
    }
}

impl ManyStreams {
    /// Starts on what is there; the time until it has shown that it has all streams.
    fn start(
        &self,
        site: &Site,
        peer: &Peer,
        dir: &Path,
        values: &Values,
    ) -> Result<(Server, Duration), Fault> {
        let began = clock::now();
        let server = Server::start(site, peer, Policy::EverySec, dir)?;
        let mut client = server.client()?;
        let streams = client.call(&[b"DBSIZE"])?;
        let taken = clock::elapsed(began);
        if streams.unsigned_abs() != self.streams {
            return Err(Fault::Wrong("every stream to be there after a restart"));
        }
        let mut chance = Chance::new(self.seed);
        for _ in 0..LOOKED_INTO {
            self.look_into(&mut client, chance.below(self.streams), values)?;
        }
        Ok((server, taken))
    }

    /// Reads a whole stream and compares it.
    fn look_into(&self, client: &mut Client, stream: u64, values: &Values) -> Result<(), Fault> {
        let key = key(stream);
        let words: [&[u8]; 4] = [b"XRANGE", key.as_bytes(), b"-", b"+"];
        let read = values.read(client, &words, |nth| stream + nth * self.streams)?;
        if read == self.entries_each {
            Ok(())
        } else {
            Err(Fault::Wrong("all entries of a stream"))
        }
    }

    /// Finds every key with SCAN.
    fn walk(&self, client: &mut Client) -> Result<(), Fault> {
        let mut seen = Seen::none(self.streams);
        let mut cursor = b"0".to_vec();
        loop {
            let from = std::mem::take(&mut cursor);
            client.bulks(&[b"SCAN", &from, b"COUNT", b"1000"], |nth, bytes| {
                if nth == 0 {
                    cursor = bytes.to_vec();
                    return Ok(());
                }
                let key = number(bytes).ok_or(Fault::Wrong("the key of a stream"))?;
                seen.note(key).map(drop)
            })?;
            if cursor == b"0" {
                break;
            }
        }
        if seen.is_all() {
            Ok(())
        } else {
            Err(Fault::Wrong("SCAN to find every key"))
        }
    }
}
