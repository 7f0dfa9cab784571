//! Holds the same conversations with Headwater and a real server, and compares what is replied.
//!
//! The conversations are the files of `redis-compat/transcripts`; how one is written is in
//! [`transcript`]. Each is held in RESP2 and in RESP3. Beside them stand three conversations that
//! are not files: [`table`] compares COMMAND INFO and COMMAND DOCS command by command, [`scan`]
//! walks through many keys, and [`random`] makes up stream commands from a seed. A conversation
//! with sentinels has two of its own.
//!
//! ```text
//!  transcript --perform--> server A --> outcomes \
//!             \                                   compare --> differences
//!              --perform--> server B --> outcomes /
//! ```
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "the report is the product"
)]

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::connection::Answer;
use crate::server::{Error as ServerError, Part, Server, Target};
use compare::{Comparison, Parting};
use perform::{Host, Outcome};
use transcript::{Action, Protocol, Transcript};

mod compare;
mod perform;
mod random;
mod scan;
mod table;
mod transcript;
mod words;

/// The server that everything is compared with.
const ORACLE: &str = "redis-8.2";
/// What `--all` makes up: seeds, each in the protocol that its parity says.
const SEEDS: std::ops::RangeInclusive<u64> = 1..=8;
const STEPS: usize = 5_000;
/// After so many differences in one conversation the rest is most likely their consequence.
const SHOWN_MAX: usize = 5;

/// Options of `diff`.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// A running server under test, HOST:PORT, or the name of an installed one.
    #[arg(long, conflicts_with = "ours_bin")]
    ours: Option<String>,
    /// The program under test; without --ours, the headwater built beside this program.
    #[arg(long)]
    ours_bin: Option<PathBuf>,
    /// What to compare with: redis-8.2, redis-7.0, valkey-9.1, or HOST:PORT.
    #[arg(long, default_value = ORACLE)]
    theirs: String,
    /// Everything that CI runs: all conversations, the command table, random commands, and the
    /// other servers that conversations name.
    #[arg(long, conflicts_with_all = ["random", "filter"])]
    all: bool,
    /// Make up stream commands from this seed instead of reading transcripts.
    #[arg(long, value_name = "SEED")]
    random: Option<u64>,
    /// How many commands to make up.
    #[arg(long, default_value_t = STEPS)]
    steps: usize,
    /// Where the conversations are.
    #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/transcripts"))]
    transcripts: PathBuf,
    /// Only conversations whose name contains one of these; `command-table`,
    /// `sentinel-command-table` and `scan-walk` are three.
    filter: Vec<String>,
}

/// Runs `diff`. Succeeds when nothing differs; 1 when something does, 2 when it could not be done.
pub(crate) fn run(options: &Options) -> ExitCode {
    match differences(options) {
        Ok(report) => {
            println!("{report}");
            if report.differences == 0 {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            }
        }
        Err(error) => {
            eprintln!("redis-compat: {error}");
            ExitCode::from(2)
        }
    }
}

fn differences(options: &Options) -> Result<Report, Error> {
    let our_target = match (&options.ours, &options.ours_bin) {
        (Some(name), _) => Target::parse(name)?,
        (None, Some(path)) => Target::program(path),
        (None, None) => Target::ours()?,
    };
    let their_target = Target::parse(&options.theirs)?;
    let mut ours = Side::start(&our_target, Part::Server)?;
    let mut report = Report::default();
    let mut pair = Pair {
        theirs: Side::start(&their_target, Part::Server)?,
        ours: &mut ours,
    };
    if let Some(seed) = options.random {
        pair.random(seed, options.steps, &mut report)?;
        return Ok(report);
    }
    let wanted = |name: &str| {
        options.filter.is_empty() || options.filter.iter().any(|part| name.contains(part))
    };
    let transcripts = read_all(&options.transcripts)?;
    if wanted(table::NAME) {
        pair.table(table::NAME, &mut report)?;
    }
    if wanted(table::NAME_OF_SENTINELS) {
        let part = Part::Sentinel(&[]);
        let mut sentinels = Pair {
            theirs: Side::start(&their_target, part)?,
            ours: &mut Side::start(&our_target, part)?,
        };
        sentinels.table(table::NAME_OF_SENTINELS, &mut report)?;
    }
    if wanted(scan::NAME) {
        pair.scan(&mut report)?;
    }
    for transcript in transcripts
        .iter()
        .filter(|transcript| wanted(&transcript.name))
    {
        match transcript.sentinel.is_empty() {
            true => pair.hold(transcript, transcript.protocols, &mut report)?,
            false => {
                let targets = [&their_target, &our_target];
                sentinels(transcript, transcript.protocols, targets, &mut report)?;
            }
        }
    }
    if options.all {
        for seed in SEEDS {
            pair.random(seed, STEPS, &mut report)?;
        }
        let mut names: Vec<_> = transcripts.iter().flat_map(|one| &one.also).collect();
        names.sort_unstable();
        names.dedup();
        for name in names {
            let their_target = Target::parse(name)?;
            let mut pair = Pair {
                theirs: Side::start(&their_target, Part::Server)?,
                ours: &mut ours,
            };
            for transcript in transcripts.iter().filter(|one| one.also.contains(name)) {
                // What is said is the same in both protocols; how, has been compared above.
                let protocols = &transcript.protocols[..1];
                match transcript.sentinel.is_empty() {
                    true => pair.hold(transcript, protocols, &mut report)?,
                    false => {
                        let targets = [&their_target, &our_target];
                        sentinels(transcript, protocols, targets, &mut report)?;
                    }
                }
            }
        }
    }
    Ok(report)
}

/// Holds one conversation with sentinels that are started for it, in each of the protocols.
fn sentinels(
    transcript: &Transcript,
    protocols: &[Protocol],
    [theirs, ours]: [&Target; 2],
    report: &mut Report,
) -> Result<(), Error> {
    let part = Part::Sentinel(&transcript.sentinel);
    for protocol in protocols {
        let mut pair = Pair {
            theirs: Side::start(theirs, part)?,
            ours: &mut Side::start(ours, part)?,
        };
        pair.hold(transcript, std::slice::from_ref(protocol), report)?;
    }
    Ok(())
}

/// Every transcript of a directory, by name.
fn read_all(dir: &Path) -> Result<Vec<Transcript>, Error> {
    let failed = |cause| Error::Directory {
        dir: dir.to_owned(),
        cause,
    };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.extension().is_some_and(|extension| extension == "txt") {
            files.push(path);
        }
    }
    files.sort_unstable();
    files
        .iter()
        .map(|path| Ok(Transcript::read(path)?))
        .collect()
}

/// A server and how conversations reach it.
struct Side {
    server: Server,
    host: Host,
}

impl Side {
    fn start(target: &Target, part: Part<'_>) -> Result<Self, Error> {
        let server = Server::start(target, part)?;
        let host = Host::open(server.addr).map_err(|cause| Error::Talk {
            server: server.name.clone(),
            cause,
            obituary: None,
        })?;
        Ok(Self { server, host })
    }

    /// Turns "it does not answer" into what is known about the server's end.
    fn lost(&mut self, cause: io::Error) -> Error {
        let obituary = self.server.obituary();
        Error::Talk {
            server: self.server.name.clone(),
            cause,
            obituary,
        }
    }
}

/// Two servers under comparison.
struct Pair<'a> {
    theirs: Side,
    ours: &'a mut Side,
}

impl Pair<'_> {
    /// Holds one conversation with both servers, in each of the protocols.
    fn hold(
        &mut self,
        transcript: &Transcript,
        protocols: &[Protocol],
        report: &mut Report,
    ) -> Result<(), Error> {
        if self.theirs.server.version < transcript.since {
            report.skipped += 1;
            return Ok(());
        }
        for &protocol in protocols {
            let (theirs, ours) = std::thread::scope(|scope| {
                let theirs = &mut self.theirs.host;
                let theirs = scope.spawn(|| theirs.perform(transcript, protocol));
                let ours = self.ours.host.perform(transcript, protocol);
                (theirs.join().expect("a conversation does not panic"), ours)
            });
            let theirs = theirs.map_err(|cause| self.theirs.lost(cause))?;
            let ours = ours.map_err(|cause| {
                println!("while talking: {} ({protocol})", transcript.name);
                self.ours.lost(cause)
            })?;
            self.compare(transcript, protocol, &theirs, &ours, report);
        }
        Ok(())
    }

    fn compare(
        &self,
        transcript: &Transcript,
        protocol: Protocol,
        theirs: &[Outcome],
        ours: &[Outcome],
        report: &mut Report,
    ) {
        report.conversations += 1;
        let mut shown = 0;
        for (step, (theirs, ours)) in transcript.steps.iter().zip(theirs.iter().zip(ours)) {
            report.replies += 1;
            let mut comparison = step.comparison.clone();
            if let Action::Ask { words, .. } = &step.action {
                comparison.for_command(words);
            }
            let Some(parting) = outcomes_part(&comparison, theirs, ours) else {
                continue;
            };
            report.differences += 1;
            shown += 1;
            if shown > SHOWN_MAX {
                continue;
            }
            println!("{}.txt:{} ({protocol})", transcript.name, step.line);
            println!("  {}", abridged(&step.text));
            self.show(&parting);
        }
        if shown > SHOWN_MAX {
            println!(
                "{}.txt: {} more ({protocol})",
                transcript.name,
                shown - SHOWN_MAX
            );
        }
    }

    /// Prints what both sides said, one below the other.
    fn show(&self, parting: &Parting) {
        let (theirs, ours) = (&self.theirs.server.name, &self.ours.server.name);
        let width = theirs.len().max(ours.len());
        if !parting.path.is_empty() {
            println!("  at {}", parting.path);
        }
        println!("  {theirs:width$}  {}", abridged(&parting.theirs));
        println!("  {ours:width$}  {}", abridged(&parting.ours));
    }

    fn table(&mut self, name: &str, report: &mut Report) -> Result<(), Error> {
        for protocol in [Protocol::Resp2, Protocol::Resp3] {
            let found = table::compare(self.theirs.server.addr, self.ours.server.addr, protocol);
            let found = found.map_err(|cause| self.ours.lost(cause))?;
            self.found(name, protocol, found.compared, &found.partings, report);
        }
        Ok(())
    }

    fn scan(&mut self, report: &mut Report) -> Result<(), Error> {
        for protocol in [Protocol::Resp2, Protocol::Resp3] {
            let found = scan::compare(self.theirs.server.addr, self.ours.server.addr, protocol);
            let found = found.map_err(|cause| self.ours.lost(cause))?;
            self.found(
                scan::NAME,
                protocol,
                found.compared,
                &found.partings,
                report,
            );
        }
        Ok(())
    }

    /// Notes what a conversation that is no file has found.
    fn found(
        &self,
        name: &str,
        protocol: Protocol,
        compared: usize,
        partings: &[(String, Parting)],
        report: &mut Report,
    ) {
        report.conversations += 1;
        report.replies += compared;
        report.differences += partings.len();
        for (what, parting) in partings {
            println!("{name}: {what} ({protocol})");
            self.show(parting);
        }
    }

    fn random(&mut self, seed: u64, steps: usize, report: &mut Report) -> Result<(), Error> {
        println!("random commands: --random {seed} --steps {steps}");
        let found = random::compare(self.theirs.server.addr, self.ours.server.addr, seed, steps);
        let found = found.map_err(|cause| self.ours.lost(cause))?;
        report.conversations += 1;
        report.replies += found.compared;
        report.differences += found.partings.len();
        for (at, command, parting) in found.partings.iter().take(SHOWN_MAX) {
            println!("random seed {seed}, command {at}");
            println!("  > {}", abridged(command));
            self.show(parting);
        }
        Ok(())
    }
}

/// Where two outcomes part.
fn outcomes_part(comparison: &Comparison, theirs: &Outcome, ours: &Outcome) -> Option<Parting> {
    let parted = || {
        let (theirs, ours) = (theirs.to_string(), ours.to_string());
        Some(Parting {
            path: String::new(),
            theirs,
            ours,
        })
    };
    match (theirs, ours) {
        // A transcript that the real server does not bear out is wrong, whatever ours does.
        (Outcome::Timed { in_time: false, .. }, _) | (_, Outcome::Timed { in_time: false, .. }) => {
            parted()
        }
        (Outcome::Answer(Answer::Silent), _) => parted(),
        (Outcome::Answer(theirs), Outcome::Answer(ours))
        | (Outcome::Timed { answer: theirs, .. }, Outcome::Timed { answer: ours, .. }) => {
            match (theirs, ours) {
                (Answer::Reply(theirs), Answer::Reply(ours)) => comparison.parting(theirs, ours),
                (theirs, ours) if theirs == ours || comparison.differs => None,
                _ => parted(),
            }
        }
        (theirs, ours) if theirs == ours || comparison.differs => None,
        _ => parted(),
    }
}

/// Long replies by their beginning and end, where they usually tell what they are.
fn abridged(text: &str) -> String {
    const KEPT: usize = 600;
    let chars: Vec<char> = text.chars().collect();
    if chars.len() <= 2 * KEPT {
        return text.to_owned();
    }
    let (head, tail) = (&chars[..KEPT], &chars[chars.len() - KEPT..]);
    let cut = chars.len() - 2 * KEPT;
    format!(
        "{} ...{cut} more... {}",
        String::from_iter(head),
        String::from_iter(tail)
    )
}

/// What a run has found.
#[derive(Debug, Default)]
struct Report {
    conversations: usize,
    replies: usize,
    skipped: usize,
    differences: usize,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            conversations,
            replies,
            skipped,
            differences,
        } = self;
        write!(
            f,
            "{conversations} conversations, {replies} replies compared, "
        )?;
        if *skipped > 0 {
            write!(f, "{skipped} conversations not for this server, ")?;
        }
        write!(f, "{differences} differences")
    }
}

/// Why the comparison could not be made.
#[derive(Debug)]
enum Error {
    Directory {
        dir: PathBuf,
        cause: io::Error,
    },
    Server(ServerError),
    Talk {
        server: String,
        cause: io::Error,
        obituary: Option<String>,
    },
    Transcript(transcript::Error),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Directory { dir, cause } => write!(f, "{}: {cause}", dir.display()),
            Self::Server(error) => error.fmt(f),
            Self::Talk {
                server,
                cause,
                obituary: None,
            } => write!(f, "{server}: {cause}"),
            Self::Talk {
                server,
                cause,
                obituary: Some(obituary),
            } => {
                write!(f, "{server}: {cause}; it ended, {obituary}")
            }
            Self::Transcript(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Error {}

impl From<ServerError> for Error {
    fn from(error: ServerError) -> Self {
        Self::Server(error)
    }
}

impl From<transcript::Error> for Error {
    fn from(error: transcript::Error) -> Self {
        Self::Transcript(error)
    }
}
