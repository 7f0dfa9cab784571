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
//! | part | is |
//! |---|---|
//! | [`scenario`], [`workload`], [`entry`] | what is asked of the servers |
//! | [`load`], [`wire`], [`clock`] | the generator |
//! | [`server`], [`client`], [`machine`], [`crate::cleanup`] | processes and where they run |
//! | [`restart`] | memory, disk, and the time a server is away |
//! | [`figures`], [`report`] | what comes of it |

mod client;
mod clock;
mod entry;
mod fault;
mod figures;
mod load;
mod machine;
mod report;
mod restart;
mod scenario;
mod server;
mod wire;
mod workload;

use crate::cleanup;
use fault::Fault;
use figures::{Figures, RestartFigures};
use load::Window;
use machine::Cores;
use report::{Line, Report};
use scenario::{Kind, Scenario};
use server::{Make, Peer, Site};
use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

/// Measures Headwater, Redis and Valkey side by side.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Runs the scenarios whose name contains one of these words; without any, all.
    scenarios: Vec<String>,
    /// Prints the names of the scenarios and ends.
    #[arg(long)]
    list: bool,
    /// Measures less, in about a minute: fewer scenarios, one short round of each.
    #[arg(long)]
    quick: bool,
    /// Prints the tables as Markdown.
    #[arg(long)]
    markdown: bool,
    /// How long one run is measured [default: 3, quick: 1].
    #[arg(long)]
    seconds: Option<f64>,
    /// How often each server runs each scenario [default: 3, quick: 1].
    #[arg(long)]
    rounds: Option<usize>,
    /// Entries in the stream of the scenarios that read old ones.
    #[arg(long, default_value_t = 200_000)]
    entries: u64,
    /// Entries that a server restarts with [default: 1000000, quick: 200000].
    #[arg(long)]
    restart_entries: Option<u64>,
    /// Takes only these servers.
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Make>,
    /// Headwater's program [default: the one built beside this].
    #[arg(long, value_name = "PROGRAM")]
    ours: Option<PathBuf>,
    /// Redis' program [default: redis-8.2 among the servers].
    #[arg(long, value_name = "PROGRAM")]
    redis: Option<PathBuf>,
    /// Valkey's program [default: valkey-9.1 among the servers].
    #[arg(long, value_name = "PROGRAM")]
    valkey: Option<PathBuf>,
    /// Where the real servers are [default: target/oracle].
    #[arg(long, value_name = "DIR")]
    servers: Option<PathBuf>,
    /// Where the servers keep their data while they run, on a real disk [default: target].
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// The processors of the servers.
    #[arg(long, value_delimiter = ',', default_value = "0")]
    server_cores: Vec<usize>,
    /// The processors of the load generator, which needs one.
    #[arg(long, value_delimiter = ',', default_value = "1")]
    load_cores: Vec<usize>,
}

/// Runs the bench; what went wrong is on standard error.
pub(crate) fn run(options: &Options) -> ExitCode {
    let result = if options.list {
        list(options)
    } else {
        bench(options)
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
    let peers = options.peers()?;
    let parent = options.dir.clone().unwrap_or_else(target);
    fs::create_dir_all(&parent)?;
    let root = tempfile::Builder::new()
        .prefix("bench-")
        .tempdir_in(parent)?;
    if machine::file_system(root.path()).is_some_and(|kind| kind == "tmpfs" || kind == "ramfs") {
        return Err(Fault::Setting(
            "a sync on tmpfs is none: choose another --dir".to_owned(),
        ));
    }
    cleanup::install(Some(root.path()))?;
    let cores = Cores {
        server: options.server_cores.clone(),
        load: options.load_cores.clone(),
    };
    if cores.server.iter().any(|core| cores.load.contains(core)) {
        return Err(Fault::Setting(
            "servers and load need different processors".to_owned(),
        ));
    }
    let site = Site {
        root: root.path().to_owned(),
        cores,
    };

    let mut report = Report::new(io::stdout().lock(), options.markdown);
    // The facts first: a pinned thread sees only its own core.
    report.facts(&options.facts(&site, &peers)?)?;
    machine::pin(&site.cores.load)?;
    let (restarts, scenarios): (Vec<_>, Vec<_>) = options
        .chosen()
        .into_iter()
        .partition(|scenario| matches!(scenario.kind, Kind::Restart));
    if !scenarios.is_empty() {
        report.scenarios_head()?;
    }
    for scenario in &scenarios {
        let rounds = take_turns(options.rounds(), &peers, |peer| {
            scenario
                .run(&site, peer, options.window(), options.entries)
                .map(Figures::from)
        });
        report.scenario(&scenario.name, &lines(&peers, &rounds))?;
    }
    for scenario in &restarts {
        let entries = options.restart_entries();
        let rounds = take_turns(options.rounds(), &peers, |peer| {
            restart::run(&site, peer, scenario.policy, entries).map(RestartFigures::from)
        });
        report.restart(&scenario.name, &lines(&peers, &rounds))?;
    }
    report.legend()?;
    Ok(())
}

/// Lets each peer run once in each round; the results by peer, then round.
fn take_turns<F>(
    rounds: usize,
    peers: &[Peer],
    run: impl Fn(&Peer) -> Result<F, Fault>,
) -> Vec<Vec<Result<F, Fault>>> {
    let mut results: Vec<Vec<_>> = peers.iter().map(|_| Vec::new()).collect();
    for _ in 0..rounds {
        for (peer, results) in peers.iter().zip(&mut results) {
            results.push(run(peer));
        }
    }
    results
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
        self.rounds.unwrap_or(if self.quick { 1 } else { 3 })
    }

    fn restart_entries(&self) -> u64 {
        self.restart_entries
            .unwrap_or(if self.quick { 200_000 } else { 1_000_000 })
    }

    fn window(&self) -> Window {
        let seconds = self.seconds.unwrap_or(if self.quick { 1.0 } else { 3.0 });
        // Not negative, not infinite: the time a person can wait.
        let measured = Duration::from_secs_f64(seconds.clamp(0.01, 3600.0));
        Window {
            warm_up: (measured / 5).min(Duration::from_millis(500)),
            measured,
        }
    }

    /// The servers that are there, Headwater first.
    fn peers(&self) -> Result<Vec<Peer>, Fault> {
        let servers = self
            .servers
            .clone()
            .unwrap_or_else(|| target().join("oracle"));
        let beside = std::env::current_exe()?.with_file_name("headwater");
        let mut peers = Vec::new();
        for (make, given, usual) in [
            (Make::Headwater, &self.ours, beside),
            (Make::Redis, &self.redis, servers.join("redis-8.2")),
            (Make::Valkey, &self.valkey, servers.join("valkey-9.1")),
        ] {
            if !self.only.is_empty() && !self.only.contains(&make) {
                continue;
            }
            let program = given.as_ref().unwrap_or(&usual);
            match Peer::of(make, program) {
                Ok(peer) => peers.push(peer),
                Err(error) => {
                    let text = format!("{} at {}: {error}", make.name(), program.display());
                    if given.is_some() || !self.only.is_empty() {
                        return Err(Fault::Setting(text));
                    }
                    writeln!(io::stderr(), "left out: {text}")?;
                }
            }
        }
        if peers.is_empty() {
            return Err(Fault::Setting("there is no server to measure".to_owned()));
        }
        Ok(peers)
    }

    /// The head of the report.
    fn facts(&self, site: &Site, peers: &[Peer]) -> Result<Vec<String>, Fault> {
        let versions: Vec<String> = peers
            .iter()
            .map(|peer| format!("{} {}", peer.make.name(), peer.version))
            .collect();
        let window = self.window();
        let sync = machine::sync_time(&site.root)?.as_secs_f64() * 1e6;
        Ok(vec![
            versions.join(", "),
            machine::facts(&site.root),
            format!(
                "servers on core {}, load on core {}; one fdatasync takes {}",
                numbers(&site.cores.server),
                numbers(&site.cores.load),
                figures::short_time(sync)
            ),
            format!(
                "{} x {:?} each after {:?} of warm-up; values of {} bytes; {} old entries, \
                 {} at the restart",
                self.rounds(),
                window.measured,
                window.warm_up,
                entry::VALUE_LEN,
                self.entries,
                self.restart_entries()
            ),
            command_line(),
        ])
    }
}

/// `0, 2`.
fn numbers(cores: &[usize]) -> String {
    cores
        .iter()
        .map(usize::to_string)
        .collect::<Vec<_>>()
        .join(", ")
}

/// The command that repeats this bench.
fn command_line() -> String {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    format!(
        "cargo run --release -p {} -- {}",
        env!("CARGO_PKG_NAME"),
        arguments.join(" ")
    )
}

/// Where the workspace builds by default.
fn target() -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.parent().unwrap_or(package).join("target")
}
