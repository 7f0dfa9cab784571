//! Headwater beside Redis and Valkey: how fast, at what cost?
//!
//! **Question.** With the same durability, on one core each, how many requests a second does each
//! server answer, how long does a request take, and how much processor time and memory does it
//! need? The ratios to the peers are the result; the absolute numbers depend on the machine and
//! are printed with it.
//!
//! **Sketch, before measuring.** Let `s` be one `fdatasync` (printed in the head), `k` what the
//! kernel takes for one read and one write on a socket (5 to 15 us), `w` the server's own work
//! for one request (about 1 us) and `p` the pipeline. A server that is the bottleneck answers
//! `1 / (w + k/p)`: without pipelines all servers look alike, because `k` is theirs in common, and
//! from `p = 16` on they show what they are. With `always` and one connection nobody does better
//! than `1/s`; with `n` connections one sync serves all who came during the last, so up to `n/s`
//! until the core is the limit. A group's read costs its entries, not its request, so entries per
//! second should hardly depend on COUNT once it is above a few; where they fall with COUNT,
//! something is done for each entry that need not be.
//!
//! **How.** Server and load have a core each. For each scenario the servers take turns, round by
//! round, each time with a fresh process and directory; medians are shown, and ratios are taken
//! within a round, because neighbours come and go. The load generator is one thread without any
//! decoding ([`load`]): it pays `k` as the server does, but no `w`, so it outruns any server on
//! one core; where it did not, the row has a mark, as where others had a part of the cores.
//!
//! **Not measured.** The network, TLS, several cores, entries of other sizes, a stream larger than
//! memory, many streams, replication, a rewrite or checkpoint during the run.
//!
//! Besides the scenarios there are the trials ([`trial`]), each a subcommand: what a store that
//! holds far more than memory has to show, in figures of their own.
//!
//! | part | is |
//! |---|---|
//! | [`scenario`], [`workload`], [`entry`] | what is asked of the servers |
//! | [`load`], [`wire`], [`clock`] | the generator |
//! | [`ground`], [`server`], [`client`], [`machine`] | processes and where they run |
//! | [`process`], [`watch`], [`crate::cleanup`] | what a process has and does, and that it ends |
//! | [`restart`] | memory, disk, and the time a server is away |
//! | [`trial`], [`values`], [`seen`] | streams that are large, many or long at work |
//! | [`figures`], [`report`], [`sheet`] | what comes of it |

mod client;
mod clock;
mod entry;
mod fault;
mod figures;
mod ground;
mod load;
mod machine;
mod process;
mod report;
mod restart;
mod scenario;
mod seen;
mod server;
mod sheet;
mod trial;
mod values;
mod watch;
mod wire;
mod workload;

use fault::Fault;
use figures::{Figures, RestartFigures};
use ground::{Ground, take_turns};
use load::Window;
use report::{Line, Report};
use restart::Files;
use scenario::{Kind, Scenario};
use server::{Make, Peer};
use std::{
    io::{self, Write},
    process::ExitCode,
};
use trial::Trial;

/// Measures Headwater, Redis and Valkey side by side.
#[derive(clap::Args)]
#[command(subcommand_value_name = "TRIAL", subcommand_help_heading = "Trials")]
pub(crate) struct Options {
    #[command(subcommand)]
    trial: Option<Trial>,
    /// Runs the scenarios whose name contains one of these words; without any, all.
    scenarios: Vec<String>,
    /// Prints the names of the scenarios and ends.
    #[arg(long)]
    list: bool,
    /// Measures less, in about a minute: fewer scenarios, one short round of each (--seconds 1
    /// --rounds 1; usual are 3 and 3).
    #[arg(long)]
    quick: bool,
    /// Entries in the stream of the scenarios that read old ones.
    #[arg(long, default_value_t = 200_000)]
    entries: u64,
    /// Entries that a server restarts with [default: 1000000, quick: 200000].
    #[arg(long)]
    restart_entries: Option<u64>,
    #[command(flatten)]
    ground: ground::Options,
}

/// Runs the bench; what went wrong is on standard error.
pub(crate) fn run(options: &Options) -> ExitCode {
    let result = match &options.trial {
        Some(trial) => trial.hold(&options.ground),
        None if options.list => list(options),
        None => bench(options),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            // With standard error closed there is nobody left to tell.
            let _ = writeln!(io::stderr(), "bench: {fault}");
            ExitCode::FAILURE
        }
    }
}

fn list(options: &Options) -> Result<(), Fault> {
    let mut out = io::stdout().lock();
    for scenario in options.chosen() {
        writeln!(out, "{}", scenario.name)?;
    }
    Ok(())
}

fn bench(options: &Options) -> Result<(), Fault> {
    let makes = [Make::Headwater, Make::Redis, Make::Valkey];
    let ground = Ground::take(&options.ground, &makes)?;
    let (site, peers) = (&ground.site, &ground.peers);
    let mut report = Report::new(io::stdout().lock(), options.ground.markdown);
    report.facts(&ground.facts(options.about())?)?;
    machine::pin(&site.cores.load)?;
    let (restarts, scenarios): (Vec<_>, Vec<_>) = options
        .chosen()
        .into_iter()
        .partition(|scenario| matches!(scenario.kind, Kind::Restart));
    if !scenarios.is_empty() {
        report.scenarios_head()?;
    }
    for scenario in &scenarios {
        let rounds = take_turns(options.rounds(), peers, |peer| {
            scenario
                .run(site, peer, options.window(), options.entries)
                .map(Figures::from)
        });
        report.scenario(&scenario.name, &lines(peers, &rounds))?;
    }
    for scenario in &restarts {
        let entries = options.restart_entries();
        let rounds = take_turns(options.rounds(), peers, |peer| {
            restart::run(site, peer, scenario.policy, entries, Files::AsWritten)
                .map(RestartFigures::from)
        });
        report.restart(&scenario.name, &lines(peers, &rounds))?;
    }
    report.legend()?;
    Ok(())
}

/// Each peer's rounds with its name.
fn lines<'a, F>(peers: &[Peer], rounds: &'a [Vec<Result<F, Fault>>]) -> Vec<Line<'a, F>> {
    peers
        .iter()
        .zip(rounds)
        .map(|(peer, rounds)| Line {
            make: peer.make,
            rounds,
        })
        .collect()
}

impl Options {
    fn chosen(&self) -> Vec<Scenario> {
        let wanted = |scenario: &Scenario| {
            let any = |word: &String| scenario.name.contains(word.as_str());
            let named = self.scenarios.iter().any(any);
            if self.scenarios.is_empty() {
                !self.quick || scenario.quick
            } else {
                named
            }
        };
        scenario::catalog().into_iter().filter(wanted).collect()
    }

    fn rounds(&self) -> usize {
        self.ground.rounds.unwrap_or(if self.quick { 1 } else { 3 })
    }

    fn restart_entries(&self) -> u64 {
        self.restart_entries
            .unwrap_or(if self.quick { 200_000 } else { 1_000_000 })
    }

    fn window(&self) -> Window {
        let usual = if self.quick { 1.0 } else { 3.0 };
        Window::of(self.ground.seconds.unwrap_or(usual))
    }

    /// What is measured, in one line.
    fn about(&self) -> String {
        let window = self.window();
        format!(
            "{} x {:?} each after {:?} of warm-up; values of {} bytes; {} old entries, {} at the \
             restart",
            self.rounds(),
            window.measured,
            window.warm_up,
            entry::VALUE_LEN,
            self.entries,
            self.restart_entries()
        )
    }
}
