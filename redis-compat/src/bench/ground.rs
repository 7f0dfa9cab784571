//! Where a bench takes place: the servers that are there, their directory, their processors.

use super::{
    fault::Fault,
    figures::short_time,
    machine::{self, Cores},
    server::{Make, Peer, Site},
};
use crate::cleanup;
use std::{
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
};
use tempfile::TempDir;

/// Options of every bench.
#[derive(clap::Args)]
#[group(skip)]
pub(super) struct Options {
    /// Prints the tables as Markdown.
    #[arg(long, global = true)]
    pub(super) markdown: bool,
    /// How long one run is measured.
    #[arg(long, global = true)]
    pub(super) seconds: Option<f64>,
    /// How often each server runs; medians are shown.
    #[arg(long, global = true)]
    pub(super) rounds: Option<usize>,
    /// Takes only these servers.
    #[arg(long, value_enum, value_delimiter = ',', global = true)]
    only: Vec<Make>,
    /// Headwater's program [default: the one built beside this].
    #[arg(long, value_name = "PROGRAM", global = true)]
    ours: Option<PathBuf>,
    /// Redis' program [default: redis-8.2 among the servers].
    #[arg(long, value_name = "PROGRAM", global = true)]
    redis: Option<PathBuf>,
    /// Valkey's program [default: valkey-9.1 among the servers].
    #[arg(long, value_name = "PROGRAM", global = true)]
    valkey: Option<PathBuf>,
    /// Where the real servers are [default: target/oracle].
    #[arg(long, value_name = "DIR", global = true)]
    servers: Option<PathBuf>,
    /// Where the servers keep their data while they run, on a real disk [default: target].
    #[arg(long, value_name = "DIR", global = true)]
    dir: Option<PathBuf>,
    /// The processors of the servers.
    #[arg(long, value_delimiter = ',', default_value = "0", global = true)]
    server_cores: Vec<usize>,
    /// The processors of the load generator, which needs one.
    #[arg(long, value_delimiter = ',', default_value = "1", global = true)]
    load_cores: Vec<usize>,
}

/// Where a bench takes place. Dropped, its directory goes.
pub(super) struct Ground {
    pub(super) site: Site,
    /// The servers, Headwater first.
    pub(super) peers: Vec<Peer>,
    _root: TempDir,
}

impl Ground {
    /// Finds the servers, those of `makes` if no others are chosen, and makes a directory for them
    /// that goes however this program ends.
    ///
    /// # Errors
    ///
    /// When options ask for what cannot be, and what the file system returns.
    pub(super) fn take(options: &Options, makes: &[Make]) -> Result<Self, Fault> {
        let peers = options.peers(makes)?;
        let parent = options.dir.clone().unwrap_or_else(target);
        fs::create_dir_all(&parent)?;
        let root = tempfile::Builder::new()
            .prefix("bench-")
            .tempdir_in(parent)?;
        let kind = machine::file_system(root.path());
        if kind.is_some_and(|kind| kind == "tmpfs" || kind == "ramfs") {
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
        Ok(Self {
            site,
            peers,
            _root: root,
        })
    }

    /// The head of a report; `about` is what is measured. Asked before anything is confined to
    /// its processors: who is, sees no other.
    ///
    /// # Errors
    ///
    /// What the file system returns.
    pub(super) fn facts(&self, about: String) -> Result<Vec<String>, Fault> {
        let versions: Vec<String> = self
            .peers
            .iter()
            .map(|peer| format!("{} {}", peer.make.name(), peer.version))
            .collect();
        let sync = machine::sync_time(&self.site.root)?.as_secs_f64() * 1e6;
        Ok(vec![
            versions.join(", "),
            machine::facts(&self.site.root),
            format!(
                "servers on core {}, load on core {}; one fdatasync takes {}",
                numbers(&self.site.cores.server),
                numbers(&self.site.cores.load),
                short_time(sync)
            ),
            about,
            command_line(),
        ])
    }
}

impl Options {
    fn peers(&self, makes: &[Make]) -> Result<Vec<Peer>, Fault> {
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
            let wanted = if self.only.is_empty() {
                makes
            } else {
                &self.only
            };
            if !wanted.contains(&make) {
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
}

/// Lets each of `those` run once in each round; the results by which, then round.
pub(super) fn take_turns<T, F>(
    rounds: usize,
    those: &[T],
    run: impl Fn(&T) -> Result<F, Fault>,
) -> Vec<Vec<Result<F, Fault>>> {
    let mut results: Vec<Vec<_>> = those.iter().map(|_| Vec::new()).collect();
    for _ in 0..rounds {
        for (one, results) in those.iter().zip(&mut results) {
            results.push(run(one));
        }
    }
    results
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
