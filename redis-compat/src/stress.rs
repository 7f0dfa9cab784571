//! A load with a ledger: the server is killed over and over, and forgets nothing.
//!
//! ```text
//!  worker 0 --- stress-0-0 (large), stress-0-1 ... stress-0-29 (small) --- its models
//!  worker 1 --- stress-1-0 (large), ...                                --- its models
//!     ...            |                                                        |
//!                 server  <-- SIGKILL, or the power is cut, or the disk fails |
//!                    |                                                        |
//!                    +--- after each start: all that can be seen  ==  model --+
//! ```
//!
//! Every stream has one client, which is told everything and therefore knows exactly what must be
//! there: entries with their fields, counters, trimmed and deleted ones, groups, what is pending
//! for whom and how often it was delivered ([`model`]). It checks every reply, and after every
//! death of the server it reads all of its streams and compares. What was being asked when the
//! server died may have been done up to any point, no less than what was answered ([`worker`]).
//!
//! So what is found is: an acknowledged entry that is lost, a delivery that is forgotten, an
//! acknowledgement that is taken back, anything that was never sent or was already gone, a group
//! whose position goes back, a transaction that is half there.
//!
//! Many clients of one stream, and what may be said to which of them, are not the question here:
//! that is `tests/job`. Here it is what a server remembers, whatever it does with its files
//! meanwhile; so the directives make it do as much as possible in little time.
//!
//! | part | is |
//! |---|---|
//! | [`author`], [`op`], [`content`], [`id`] | what is asked |
//! | [`model`], [`mod@audit`], [`worker`] | what must be answered, and what is |
//! | [`stage`], [`totals`] | what the threads share |
//! | [`victim`], [`crate::process`] | the server, killed |
//! | [`inject`] | the server on a disk that fails |
//! | [`pair`], [`proxy`] | the server and its replica, which take turns at leading |
//! | [`power`], [`disk`] | the server on a machine that loses its power |

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "the report is the product"
)]

mod audit;
mod author;
mod content;
mod disk;
mod id;
mod inject;
mod model;
mod op;
mod pair;
mod power;
mod proxy;
mod stage;
mod totals;
mod victim;
mod worker;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::chance::Chance;
use crate::cleanup;
use crate::connection::Connection;
use audit::Trouble;
use inject::FailingDisk;
use pair::Pair;
use power::{FileSystem, Machine};
use stage::{LOOK, PATIENCE, Stage};
use victim::{Fault, Gone, Local, Victim};
use worker::{Shape, Worker};

/// What makes Headwater turn its files over all the time: log, data files and checkpoints.
const TIGHT: [&str; 10] = [
    "--appendfsync",
    "always",
    "--segment-size",
    "1mb",
    "--settle-after",
    "1mb",
    "--checkpoint-after",
    "1mb",
    "--cache-size",
    "1mb",
];

/// Options of `stress`.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// How often the server is killed [default: 20].
    #[arg(long)]
    kills: Option<u64>,
    /// Kills for so many seconds instead of so many times.
    #[arg(long, conflicts_with = "kills")]
    seconds: Option<u64>,
    /// What the commands and the moments are drawn from [default: the time].
    #[arg(long)]
    seed: Option<u64>,
    /// Clients, each with streams of its own.
    #[arg(long, default_value_t = 4)]
    workers: usize,
    /// Streams of each client. The first one is large, the others small.
    #[arg(long, default_value_t = 30)]
    streams: usize,
    /// About how many entries a large stream holds at most.
    #[arg(long, default_value_t = 5000)]
    entries: usize,
    /// Consumers do not read their pending entries again. That counts as a delivery, and Redis
    /// forgets it when it is killed.
    #[arg(long)]
    no_history: bool,
    /// Gives the server a replica, and `sync-replicas 1`. Either or both are killed, the
    /// connection between them is cut or silent, and they change roles while all goes on.
    #[arg(long, conflicts_with_all = ["inject", "power"])]
    pairs: bool,
    /// Makes system calls of the server fail, with strace, instead of only killing it. Wants
    /// `appendfsync always`.
    #[arg(long)]
    inject: bool,
    /// Cuts the power of a machine in which the server runs, instead of only killing it: a
    /// User-mode Linux, with a disk that loses what was not flushed. Installs what it needs.
    #[arg(long, conflicts_with = "inject")]
    power: bool,
    /// The file system of that machine's disk.
    #[arg(long, value_enum, default_value = "ext4")]
    file_system: FileSystem,
    /// Is content only if something was lost: shows that a loss is seen. Without directives, the
    /// server does not sync then, and does not wait for its replica.
    #[arg(long)]
    control: bool,
    /// Where the data and the output of the server go, which stay there [default: a directory
    /// below target, removed when all is well].
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// The program under test [default: the headwater built beside this program].
    #[arg(long, value_name = "PROGRAM")]
    ours_bin: Option<PathBuf>,
    /// Directives for the server, behind `--` [default: what keeps it busy with its files].
    #[arg(last = true)]
    directives: Vec<String>,
}

/// Runs `stress`. 0 when every promise was kept, 1 when one was broken, 2 when there was no run.
pub(crate) fn run(options: &Options) -> ExitCode {
    let seed = options.seed.unwrap_or_else(seed_of_now);
    println!("stress: seed {seed}");
    match options.stress(seed) {
        Err(Fault::Loss(what)) if options.control => {
            println!("as was to be shown: {what}");
            ExitCode::SUCCESS
        }
        Ok(()) if options.control => {
            println!("VIOLATION: nothing was lost, so nothing is shown by what is not lost");
            ExitCode::FAILURE
        }
        Ok(()) => ExitCode::SUCCESS,
        Err(Fault::Loss(what) | Fault::Violation(what)) => {
            println!("VIOLATION: {what}");
            println!("again: {}", options.command_line(seed));
            ExitCode::FAILURE
        }
        Err(fault) => {
            eprintln!("stress: {fault}");
            ExitCode::from(2)
        }
    }
}

impl Options {
    fn stress(&self, seed: u64) -> Result<(), Fault> {
        cleanup::install(None)?;
        let dir = self.directory()?;
        let mut victim = self.victim(dir.path())?;
        let stage = Stage::new(victim.address(), self.workers, self.inject);
        let began = Instant::now();
        let ran = self.kill(&mut *victim, &stage, seed);
        println!("{}", stage.totals);
        if let Some(account) = victim.account() {
            println!("{account}");
        }
        println!("{:.1} s", began.elapsed().as_secs_f64());
        match ran {
            Ok(()) => Ok(()),
            Err(fault @ Fault::Loss(_)) if self.control => Err(fault),
            Err(fault) => {
                let dir = dir.keep();
                let words = victim.last_words();
                drop(victim);
                println!(
                    "the data is in {}; the server said last:\n{words}",
                    dir.display()
                );
                Err(fault)
            }
        }
    }

    fn kill(&self, victim: &mut dyn Victim, stage: &Stage, seed: u64) -> Result<(), Fault> {
        let mut chance = Chance::new(seed);
        let shape = Shape {
            streams: self.streams,
            entries: self.entries,
            history: !self.no_history,
        };
        let mut workers: Vec<Worker<'_>> = (0..self.workers)
            .map(|number| Worker::new(stage, number, seed, shape))
            .collect();
        let ran = thread::scope(|scope| {
            for worker in &mut workers {
                scope.spawn(|| worker.run());
            }
            let ran = self.rounds(victim, stage, &mut chance);
            stage.finish();
            ran
        });
        if let Some(violation) = stage.violation() {
            return Err(Fault::Loss(violation.to_owned()));
        }
        ran?;
        // Once after a last death, and once after a good end.
        end(victim, stage, &mut chance)?;
        for _ in 0..2 {
            victim.start(None)?;
            audit(victim, &mut workers)?;
            stop(victim, stage)?;
        }
        Ok(())
    }

    /// Starts and kills the server as often as is asked for, and leaves it running.
    fn rounds(
        &self,
        victim: &mut dyn Victim,
        stage: &Stage,
        chance: &mut Chance,
    ) -> Result<(), Fault> {
        let until = self
            .seconds
            .map(|seconds| Instant::now() + Duration::from_secs(seconds));
        let kills = self.kills.unwrap_or(20);
        for kill in 1.. {
            victim.start(Some(chance))?;
            // Now and then it is killed while it starts, or while the workers look around.
            let (mut waited, mut earliest) = (Waited::Done, 10);
            if kill == 1 || !chance.once_in(4) {
                waited = wait(victim, stage, None)?;
            } else {
                earliest += victim.prelude();
            }
            if matches!(waited, Waited::Done) {
                let moment = chance.between(earliest, earliest + 890);
                waited = wait(victim, stage, Some(Duration::from_millis(moment)))?;
            }
            if until.map_or(kill >= kills, |until| Instant::now() >= until) {
                break;
            }
            match waited {
                Waited::Done => end(victim, stage, chance)?,
                Waited::Ended => {}
                Waited::Over => break,
            }
        }
        Ok(())
    }

    fn victim(&self, dir: &Path) -> Result<Box<dyn Victim>, Fault> {
        let program = match &self.ours_bin {
            Some(program) => program.clone(),
            None => std::env::current_exe()?.with_file_name("headwater"),
        };
        let program = std::path::absolute(program)?;
        if !program.is_file() {
            let what = format!("there is no {}: cargo build first", program.display());
            return Err(Fault::Setting(what));
        }
        let directives = if self.directives.is_empty() {
            let control = if self.control {
                &["--appendfsync", "no"][..]
            } else {
                &[]
            };
            let words = TIGHT.iter().chain(control);
            words.map(|&word| word.to_owned()).collect()
        } else {
            self.directives.clone()
        };
        Ok(if self.power {
            let file_system = self.file_system;
            Box::new(Machine::new(program, dir, directives, file_system)?)
        } else if self.pairs {
            let sync_replicas = u8::from(!self.control);
            Box::new(Pair::new(program, dir, directives, sync_replicas)?)
        } else if self.inject {
            Box::new(FailingDisk::new(program, dir, directives)?)
        } else {
            Box::new(Local::new(program, dir, directives)?)
        })
    }

    fn directory(&self) -> Result<Directory, Fault> {
        let below = match &self.dir {
            Some(dir) => {
                std::fs::create_dir_all(dir)?;
                if std::fs::read_dir(dir)?.next().is_some() {
                    // What it holds would be taken for what was never sent.
                    let what = format!("{} is not empty", dir.display());
                    return Err(Fault::Setting(what));
                }
                return Ok(Directory::Given(std::path::absolute(dir)?));
            }
            None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../target"),
        };
        std::fs::create_dir_all(&below)?;
        let mut builder = tempfile::Builder::new();
        let dir = builder
            .prefix("stress-")
            .tempdir_in(below.canonicalize()?)?;
        Ok(Directory::Own(dir))
    }

    /// The command that does the same again, as far as chance goes.
    fn command_line(&self, seed: u64) -> String {
        let mut arguments: Vec<String> = std::env::args().skip(1).collect();
        if self.seed.is_none() {
            let at = arguments.iter().position(|word| word == "stress");
            let at = at.map_or(0, |at| at + 1);
            arguments.splice(at..at, ["--seed".to_owned(), seed.to_string()]);
        }
        format!(
            "cargo run --release -p {} -- {}",
            env!("CARGO_PKG_NAME"),
            arguments.join(" ")
        )
    }
}

/// How a time of waiting ended.
enum Waited {
    /// What was waited for has come.
    Done,
    /// The server's life ended by itself, as it was meant to.
    Ended,
    /// A worker has found a violation.
    Over,
}

/// Waits for a while, or, without one, until all workers are at work.
fn wait(victim: &mut dyn Victim, stage: &Stage, moment: Option<Duration>) -> Result<Waited, Fault> {
    let began = Instant::now();
    loop {
        if stage.is_over() {
            return Ok(Waited::Over);
        }
        let done = match moment {
            Some(moment) => began.elapsed() >= moment,
            None => stage.all_are_content(),
        };
        if done {
            return Ok(Waited::Done);
        }
        if let Some(status) = victim.ended()? {
            stage.next_round();
            victim
                .judge(stage, Some(status))
                .map_err(Fault::Violation)?;
            return Ok(Waited::Ended);
        }
        if began.elapsed() > PATIENCE {
            return Err(absent());
        }
        thread::sleep(LOOK);
    }
}

fn absent() -> Fault {
    Fault::Violation(format!("the server did not come back within {PATIENCE:?}"))
}

/// Ends a life of the server.
fn end(victim: &mut dyn Victim, stage: &Stage, chance: &mut Chance) -> Result<(), Fault> {
    if victim.kill(chance)? == Gone::Everybody {
        stage.next_round();
    }
    stage.totals.killed();
    victim.judge(stage, None).map_err(Fault::Violation)
}

/// Ends the server in good order.
fn stop(victim: &mut dyn Victim, stage: &Stage) -> Result<(), Fault> {
    let asked = Connection::open(victim.address())?.ask(&["SHUTDOWN"]);
    let until = Instant::now() + PATIENCE;
    loop {
        match victim.ended()? {
            Some(status) if status.success() => break,
            Some(status) => {
                let what = format!("SHUTDOWN ended with {status}");
                return Err(Fault::Violation(what));
            }
            None if Instant::now() > until => {
                let what = format!("SHUTDOWN was answered {asked}, and it goes on");
                return Err(Fault::Violation(what));
            }
            None => thread::sleep(LOOK),
        }
    }
    victim.part()?;
    victim.judge(stage, None).map_err(Fault::Violation)
}

/// Lets all workers compare everything.
fn audit(victim: &mut dyn Victim, workers: &mut [Worker<'_>]) -> Result<(), Fault> {
    let until = Instant::now() + PATIENCE;
    let audited = |workers: &mut [Worker<'_>], connection: &mut Connection| {
        workers
            .iter_mut()
            .try_for_each(|worker| worker.audit(connection))
    };
    loop {
        if let Ok(mut connection) = Connection::open_with(victim.address(), PATIENCE) {
            match audited(workers, &mut connection) {
                Ok(()) => return Ok(()),
                Err(Trouble::Wrong(what)) => return Err(Fault::Loss(what)),
                Err(Trouble::Lost) => {}
            }
        }
        if let Some(status) = victim.ended()? {
            let what = format!("the server ended by itself, {status}");
            return Err(Fault::Violation(what));
        }
        if Instant::now() > until {
            return Err(absent());
        }
        thread::sleep(LOOK);
    }
}

/// Where the data lies.
enum Directory {
    Given(PathBuf),
    Own(tempfile::TempDir),
}

impl Directory {
    fn path(&self) -> &Path {
        match self {
            Self::Given(path) => path,
            Self::Own(dir) => dir.path(),
        }
    }

    /// It is not removed.
    fn keep(self) -> PathBuf {
        match self {
            Self::Given(path) => path,
            Self::Own(dir) => dir.keep(),
        }
    }
}

fn seed_of_now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| u64::from(since.subsec_nanos()))
}
