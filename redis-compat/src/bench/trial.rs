//! What a store that holds far more than memory has to show: trials with figures of their own.
//!
//! | trial | question |
//! |---|---|
//! | `large` | what does a stream of many gigabytes cost, and how fast is it consumed from disk? |
//! | `ten_million` | how much memory do ten million entries take, how long a restart? |
//! | `many_streams` | the same of a million small streams |
//! | `pair` | what does a replica cost, and what does waiting for it? |
//! | `queue` | how often is an entry written that comes and goes, and what stays on disk? |
//! | `resync` | what does it cost a replica to come back? |
//! | `tail_latency` | how long does an XADD take while the server tidies up? |
//!
//! A trial believes nothing: entries are read again and compared, what is gone is counted. Where
//! something is missing there are no figures, and the command fails.

mod large;
mod many_streams;
mod pair;
mod queue;
mod resync;
mod tail_latency;
mod ten_million;

use super::{
    clock,
    fault::Fault,
    ground::{self, Ground, take_turns},
    machine,
    report::Report,
    restart::Files,
    server::{Make, Peer, Server, Site},
    sheet::{Column, Facts, Sheet},
};
use large::Large;
use many_streams::ManyStreams;
use pair::Pair;
use queue::Queue;
use resync::Resync;
use std::{
    io::{self, Write as _},
    path::Path,
    thread,
    time::Duration,
};
use tail_latency::TailLatency;
use ten_million::TenMillion;

/// Who writes nothing for so long is at rest.
const REST: Duration = Duration::from_secs(2);
/// How long a server may go on writing when nobody asks for anything.
const RESTS_WITHIN: Duration = Duration::from_secs(600);

/// The trials.
#[derive(clap::Subcommand)]
pub(super) enum Trial {
    /// A stream of many gigabytes: memory while it is filled, restart, consumption from disk.
    ///
    /// Wants root, because it empties the page cache of the machine.
    Large(Large),
    /// A million small streams: memory, restart, descriptors, a walk with SCAN.
    ManyStreams(ManyStreams),
    /// A master alone, with a replica, and when a replica must have what is answered.
    Pair(Pair),
    /// A queue that keeps up: bytes written for each byte of an entry, disk use over time.
    Queue(Queue),
    /// A replica that comes back: after an absence, after leading, and with nothing.
    ///
    /// Wants root, because it empties the page cache of the machine.
    Resync(Resync),
    /// XADD at a rate and at full load, with much to tidy up and with nothing.
    TailLatency(TailLatency),
    /// Ten million small entries: memory and restart.
    TenMillion(TenMillion),
}

/// What a trial is.
trait Measure {
    /// The servers it is for, unless others are chosen.
    fn makes(&self) -> &'static [Make] {
        &[Make::Headwater, Make::Redis]
    }

    /// What is measured, in one line.
    fn about(&self) -> String;

    /// How often each server has its turn, unless said otherwise.
    fn rounds(&self) -> usize {
        1
    }

    /// Who takes part, given the servers that are there.
    fn parties(&self, peers: &[Peer]) -> Vec<Party> {
        peers.iter().map(Party::of).collect()
    }

    /// Measures one, once.
    ///
    /// # Errors
    ///
    /// See [`Fault`].
    fn run(&self, site: &Site, party: &Party, seconds: Option<f64>) -> Result<Facts, Fault>;

    /// What the figures mean.
    fn legend(&self) -> &'static str;
}

/// A server, and what it does with its files.
struct Party {
    name: String,
    peer: Peer,
    files: Files,
}

impl Party {
    fn of(peer: &Peer) -> Self {
        Self {
            name: peer.make.name().to_owned(),
            peer: peer.clone(),
            files: Files::AsWritten,
        }
    }

    /// Directives that are Headwater's, if this is Headwater.
    fn with_ours(&self, directives: &[String]) -> Peer {
        match self.peer.make {
            Make::Headwater => self.peer.with(directives),
            Make::Redis | Make::Valkey => self.peer.clone(),
        }
    }
}

impl Trial {
    /// Holds it and prints what it shows.
    ///
    /// # Errors
    ///
    /// When a server did not do what it must; the others' figures are printed all the same.
    pub(super) fn hold(&self, options: &ground::Options) -> Result<(), Fault> {
        let measure: &dyn Measure = match self {
            Self::Large(trial) => trial,
            Self::ManyStreams(trial) => trial,
            Self::Pair(trial) => trial,
            Self::Queue(trial) => trial,
            Self::Resync(trial) => trial,
            Self::TailLatency(trial) => trial,
            Self::TenMillion(trial) => trial,
        };
        let ground = Ground::take(options, measure.makes())?;
        let mut out = io::stdout().lock();
        let facts = ground.facts(measure.about())?;
        Report::new(&mut out, options.markdown).facts(&facts)?;
        out.flush()?;
        machine::pin(&ground.site.cores.load)?;
        let parties = measure.parties(&ground.peers);
        let rounds = options.rounds.unwrap_or_else(|| measure.rounds());
        let results = take_turns(rounds, &parties, |party| {
            measure.run(&ground.site, party, options.seconds)
        });
        let columns = parties.iter().zip(results).map(|(party, rounds)| Column {
            name: party.name.clone(),
            rounds,
        });
        let sheet = Sheet(columns.collect());
        sheet.print(&mut out, options.markdown)?;
        writeln!(out, "\n{}", measure.legend())?;
        if sheet.is_whole() {
            Ok(())
        } else {
            Err(Fault::Incomplete)
        }
    }
}

/// Waits until a server writes nothing more, and for the disk that has its files.
fn rest(server: &Server, dir: &Path) -> Result<(), Fault> {
    let began = clock::now();
    let mut written = server.process().storage()?.written;
    loop {
        thread::sleep(REST);
        let before = written;
        written = server.process().storage()?.written;
        if written == before {
            return Ok(machine::sync(dir)?);
        }
        if clock::elapsed(began) > RESTS_WITHIN {
            return Err(Fault::Wrong("a server that comes to rest"));
        }
    }
}

/// Refuses what would fill the disk.
fn want_space(site: &Site, bytes: u64) -> Result<(), Fault> {
    const RESERVE: u64 = 1 << 30;
    let free = machine::free_bytes(&site.root)?;
    if free < bytes + RESERVE {
        return Err(Fault::Setting(format!(
            "{free} bytes are free in {}, and {bytes} are needed, with a gibibyte to spare",
            site.root.display()
        )));
    }
    Ok(())
}
