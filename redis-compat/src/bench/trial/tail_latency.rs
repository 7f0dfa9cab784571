//! XADD while the server tidies up, and while it does not.
//!
//! ```text
//!              at a rate (open loop)     full load (closed loop)
//!   calm       p50 p99 p99.9             p50 p99 p99.9      budgets so large that nothing is due
//!   busy       p50 p99 p99.9             p50 p99 p99.9      so small that always something is
//!              p99.9 busy / p99 calm     p99.9 busy / p99 calm
//! ```
//!
//! The load is the same in all four ([`crate::bench::workload::Churn`]): it deletes and trims, so
//! that there is something to compact and to free. To Redis and Valkey the same is asked with the
//! rewriting of the append-only file.

use super::{Measure, Party, want_space};
use crate::bench::{
    entry::{self, payload},
    fault::Fault,
    load::{self, Sample, Window},
    server::{Make, Peer, Policy, Server, Site},
    sheet::Facts,
    workload::{Churn, Pace},
};

/// How long one of the four runs, if nothing is said.
const SECONDS: f64 = 5.0;
/// Connections that add entries.
const PRODUCERS: usize = 50;
/// Entries under way at full load.
const OPEN: u32 = 16 * 50;

/// Budgets of Headwater that are never used up.
const CALM: &str = "--settle-after 1000gb --checkpoint-after 1000gb";
/// Budgets of Headwater that are used up all the time.
const BUSY: &str = "--settle-after 4mb --checkpoint-after 4mb";
/// The same of Redis and Valkey.
const CALM_PEER: &str = "--auto-aof-rewrite-percentage 0";
const BUSY_PEER: &str = "--auto-aof-rewrite-percentage 10 --auto-aof-rewrite-min-size 1mb";

/// Options of the trial.
#[derive(clap::Args)]
pub(in crate::bench) struct TailLatency {
    /// Entries a second, where it is not as many as go.
    #[arg(long, default_value_t = 10_000)]
    rate: u32,
    /// Bytes of a value.
    #[arg(long, default_value_t = entry::VALUE_LEN)]
    value_bytes: usize,
    /// When an entry must be on disk.
    #[arg(long, value_enum, default_value_t = Policy::EverySec)]
    appendfsync: Policy,
    /// What the streams that entries go to are drawn from.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Directives for a Headwater that has nothing to tidy up.
    #[arg(long, value_name = "DIRECTIVES", default_value = CALM, allow_hyphen_values = true)]
    calm: String,
    /// Directives for a Headwater that always has.
    #[arg(long, value_name = "DIRECTIVES", default_value = BUSY, allow_hyphen_values = true)]
    busy: String,
    /// Directives for Headwater in both, behind `--`.
    #[arg(last = true)]
    directives: Vec<String>,
}

/// What a server has done besides, and how often.
type Deeds = Vec<(&'static str, u64)>;

/// Figures of `INFO` that tell how busy a server was, and what they are.
const DEEDS: [(&str, &str); 4] = [
    ("upkeep_rounds", "rounds of upkeep"),
    ("upkeep_settled_entries", "entries settled"),
    ("upkeep_compacted_entries", "entries compacted"),
    ("aof_rewrites", "files rewritten"),
];

impl Measure for TailLatency {
    fn about(&self) -> String {
        format!(
            "XADD with values of {} bytes by {PRODUCERS} producers, {}; at {} a second, and with \
             {OPEN} under way; seed {}; calm: {}; busy: {}",
            self.value_bytes, self.appendfsync, self.rate, self.seed, self.calm, self.busy
        )
    }

    fn rounds(&self) -> usize {
        3
    }

    fn run(&self, site: &Site, party: &Party, seconds: Option<f64>) -> Result<Facts, Fault> {
        let window = Window::of(seconds.unwrap_or(SECONDS));
        // More than any server takes in this time.
        let most = 1_000_000 * (window.measured.as_secs() + 1);
        want_space(site, 2 * most * payload(self.value_bytes))?;
        let mut facts = Facts::default();
        for (load, pace) in [
            ("at a rate", Pace::Rate(self.rate)),
            ("full load", Pace::Window(OPEN)),
        ] {
            let (calm, _) = self.one(site, &self.calm(party), pace, window)?;
            let (busy, deeds) = self.one(site, &self.busy(party), pace, window)?;
            for (mood, sample) in [("calm", &calm), ("busy", &busy)] {
                facts.rate(format!("{load}, {mood}: XADD"), sample.ops, sample.wall);
                for (which, time) in [
                    ("p50", sample.p50),
                    ("p99", sample.p99),
                    ("p99.9", sample.p999),
                    ("longest", sample.max),
                ] {
                    facts.time(format!("{load}, {mood}: {which}"), time);
                }
            }
            for (what, count) in deeds {
                facts.count(format!("{load}, busy: {what}"), count);
            }
            let busy = busy.p999.as_secs_f64();
            for (which, calm) in [("p99", calm.p99), ("p99.9", calm.p999)] {
                let what = format!("{load}: p99.9 busy / {which} calm");
                facts.times(what, busy, calm.as_secs_f64());
            }
        }
        Ok(facts)
    }

    fn legend(&self) -> &'static str {
        "Older entries are deleted, three of four, and the oldest trimmed, on a connection of \
         their own. Calm and busy are\nthe directives above; of Redis and Valkey, the append-only \
         file never rewritten, and whenever it has grown by a\ntenth. At a rate a latency counts \
         from when the entry was due to be sent. What was added and not deleted is there."
    }
}

impl TailLatency {
    fn calm(&self, party: &Party) -> Peer {
        self.in_mood(party, &self.calm, CALM_PEER)
    }

    fn busy(&self, party: &Party) -> Peer {
        self.in_mood(party, &self.busy, BUSY_PEER)
    }

    fn in_mood(&self, party: &Party, ours: &str, theirs: &str) -> Peer {
        let words = match party.peer.make {
            Make::Headwater => ours,
            Make::Redis | Make::Valkey => theirs,
        };
        party
            .with_ours(&self.directives)
            .with(words.split_whitespace())
    }

    /// One of the four, and what the server says that it has done meanwhile.
    fn one(
        &self,
        site: &Site,
        peer: &Peer,
        pace: Pace,
        window: Window,
    ) -> Result<(Sample, Deeds), Fault> {
        let dir = site.directory()?;
        let server = Server::start(site, peer, self.appendfsync, dir.path())?;
        let mut work = Churn::new(PRODUCERS, pace, self.value_bytes, self.seed);
        let sample = load::drive(&mut work, &server, &site.cores, window)?;
        let info = server.client()?.info()?;
        let deed = |(name, what)| Some((what, info.number(name)?));
        Ok((sample, DEEDS.into_iter().filter_map(deed).collect()))
    }
}
