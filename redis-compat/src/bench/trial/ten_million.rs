//! Ten million small entries in one stream: memory, disk, restart.
//!
//! Redis takes part twice: with its append-only file as the load has left it, and rewritten, which
//! is how it restarts best.

use super::{Measure, Party, want_space};
use crate::bench::{
    entry::{VALUE_LEN, payload},
    fault::Fault,
    restart::{self, Files},
    server::{Make, Peer, Policy, Site},
    sheet::Facts,
};

/// Options of the trial.
#[derive(clap::Args)]
pub(in crate::bench) struct TenMillion {
    /// Entries, of one field with a value of 100 bytes.
    #[arg(long, default_value_t = 10_000_000)]
    entries: u64,
    /// Directives for Headwater, behind `--`.
    #[arg(last = true)]
    directives: Vec<String>,
}

impl Measure for TenMillion {
    fn about(&self) -> String {
        format!(
            "{} entries with values of {VALUE_LEN} bytes, everysec",
            self.entries
        )
    }

    fn parties(&self, peers: &[Peer]) -> Vec<Party> {
        let party = |peer: &Peer| {
            let as_written = Party::of(peer);
            let rewritten = Party {
                name: format!("{}, rewritten", as_written.name),
                files: Files::Rewritten,
                ..Party::of(peer)
            };
            let is_ours = peer.make == Make::Headwater;
            std::iter::once(as_written).chain((!is_ours).then_some(rewritten))
        };
        peers.iter().flat_map(party).collect()
    }

    fn run(&self, site: &Site, party: &Party, _: Option<f64>) -> Result<Facts, Fault> {
        want_space(site, 4 * self.entries * payload(VALUE_LEN))?;
        let peer = party.with_ours(&self.directives);
        let shown = restart::run(site, &peer, Policy::EverySec, self.entries, party.files)?;
        let mut facts = Facts::default();
        facts.rate("entries added", self.entries, shown.fill);
        facts.bytes("resident memory, full", shown.memory.resident);
        facts.bytes("anonymous memory, full", shown.memory.anonymous);
        facts.bytes("disk", shown.disk_bytes);
        facts.time("restart after kill -9", shown.after_kill);
        facts.time("restart after a stop", shown.after_stop);
        facts.bytes("resident memory, restarted", shown.memory_after.resident);
        facts.bytes("anonymous memory, restarted", shown.memory_after.anonymous);
        Ok(facts)
    }

    fn legend(&self) -> &'static str {
        "Resident memory counts mapped files, which the kernel takes back when it needs the room; \
         anonymous\nmemory does not. A restart lasts from the start of the process until XLEN \
         tells all entries; the page cache\nis warm. Rewritten: after BGREWRITEAOF, so that the \
         file begins with a snapshot (RDB)."
    }
}
