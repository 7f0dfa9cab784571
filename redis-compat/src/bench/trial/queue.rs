//! A queue that keeps up: how often is an entry written that comes and goes, and what stays?
//!
//! ```text
//!                 bytes written to storage by the process (whole pages, /proc/PID/io)
//!   amplification = -----------------------------------------------------------------
//!                 names and values of the entries, as the clients have sent them
//! ```
//!
//! Of that quotient a part is not the store's doing: deliveries and acknowledgements are written,
//! too. Therefore the same is also told against the bytes that the log has taken, where a server
//! says how many those are: above 1 is what was written again, and ahead.

use super::{Measure, Party, want_space};
use crate::bench::{
    entry::payload,
    fault::Fault,
    load::{self, Window},
    server::{Make, Policy, Server, Site},
    sheet::Facts,
    watch::Watch,
    workload::{Flow, Pace, Queue as Work, create_group},
};

/// How long it runs, if nothing is said.
const SECONDS: f64 = 10.0;
/// More than a queue that keeps up should ever have on disk.
const MOST_ON_DISK: u64 = 4 << 30;
/// Percentages of the time after which disk use is shown.
const MOMENTS: [u8; 5] = [20, 40, 60, 80, 100];

/// Options of the trial.
#[derive(clap::Args)]
pub(in crate::bench) struct Queue {
    /// Entries a second, in all.
    #[arg(long, default_value_t = 10_000)]
    rate: u32,
    /// Producers, and as many consumers.
    #[arg(long, default_value_t = 10)]
    producers: usize,
    /// Bytes of a value.
    #[arg(long, default_value_t = 1000)]
    value_bytes: usize,
    /// Directives for Headwater, behind `--`.
    #[arg(last = true)]
    directives: Vec<String>,
}

impl Measure for Queue {
    fn about(&self) -> String {
        format!(
            "{} entries a second with values of {} bytes, {} producers and as many consumers, \
             everysec",
            self.rate, self.value_bytes, self.producers
        )
    }

    fn run(&self, site: &Site, party: &Party, seconds: Option<f64>) -> Result<Facts, Fault> {
        let window = Window::of(seconds.unwrap_or(SECONDS));
        want_space(site, MOST_ON_DISK)?;
        let mut peer = party.with_ours(&self.directives);
        if peer.make != Make::Headwater {
            // As it comes: the append-only file is rewritten when it has doubled.
            peer = peer.with(["--auto-aof-rewrite-percentage", "100"]);
        }
        let dir = site.directory()?;
        let server = Server::start(site, &peer, Policy::EverySec, dir.path())?;
        let mut client = server.client()?;
        create_group(&mut client)?;

        let pace = Pace::Rate(self.rate);
        let flow = Flow::new(self.producers, self.producers, pace, self.value_bytes);
        let mut work = Work::new(flow, self.producers);
        let log_before = client.info()?.number("log_appended");
        let storage_before = server.process().storage()?;
        let watch = Watch::begin(&server, dir.path())?;
        let sample = load::drive(&mut work, &server, &site.cores, window)?;
        let looks = watch.end()?;
        let written = server.process().storage()?.written - storage_before.written;
        let info = client.info()?;

        let sent = work.entries() * payload(self.value_bytes);
        let mut facts = Facts::default();
        facts.count("entries", work.entries());
        facts.rate("entries through", sample.entries, sample.wall);
        facts.time("latency p50", sample.p50);
        facts.time("latency p99", sample.p99);
        facts.bytes("bytes of entries", sent);
        if let (Some(before), Some(after)) = (log_before, info.number("log_appended")) {
            facts.bytes("bytes of log", after - before);
            facts.times(
                "written / bytes of log",
                written as f64,
                (after - before) as f64,
            );
        }
        facts.bytes("bytes written", written);
        facts.times("written / bytes of entries", written as f64, sent as f64);
        for (what, name) in [
            ("log syncs", "log_syncs"),
            ("entries settled", "upkeep_settled_entries"),
            ("entries compacted", "upkeep_compacted_entries"),
        ] {
            if let Some(count) = info.number(name) {
                facts.count(what, count);
            }
        }
        for (what, name) in [
            ("data files, written", "upkeep_data_bytes"),
            ("checkpoints, written", "upkeep_checkpoint_bytes"),
        ] {
            if let Some(bytes) = info.number(name) {
                facts.bytes(what, bytes);
            }
        }
        for percent in MOMENTS {
            let bytes = looks.at(f64::from(percent) / 100.0, |look| look.disk_bytes);
            facts.bytes(format!("disk after {percent}% of the time"), bytes);
        }
        facts.bytes("disk, most", looks.most(|look| look.disk_bytes));
        facts.bytes(
            "anonymous memory, most",
            looks.most(|look| look.memory.anonymous),
        );
        Ok(facts)
    }

    fn legend(&self) -> &'static str {
        "An entry's bytes are its names and values, as the clients send them. Bytes written are \
         those of the\npages that the process has changed (write_bytes of /proc/PID/io), log, \
         data and all. The latency is\nthat of an entry from when it was due to be sent until a \
         consumer has it. The stream is trimmed with\nXTRIM MINID ~ behind the consumers. \
         Everything sent was delivered once, acknowledged and counted."
    }
}
