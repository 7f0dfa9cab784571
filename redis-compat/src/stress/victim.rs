//! The server that is killed.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;

use super::stage::Stage;
use crate::chance::Chance;
use crate::process::{Process, free_address, serve};

/// A server that can be started and killed, again and again, on the same address.
pub(super) trait Victim {
    /// Where it serves.
    fn address(&self) -> SocketAddr;

    /// About how many milliseconds pass from the start until it opens its data.
    fn prelude(&self) -> u64 {
        0
    }

    /// Begins a life. Returns at once; it serves when it does. Without `chance` nothing else than
    /// [`kill`](Self::kill) befalls it.
    ///
    /// # Errors
    ///
    /// When there is nothing to start.
    fn start(&mut self, chance: Option<&mut Chance>) -> Result<(), Fault>;

    /// Whether its life has ended by itself, and how.
    ///
    /// # Errors
    ///
    /// What the system says.
    fn ended(&mut self) -> io::Result<Option<ExitStatus>>;

    /// Ends its life without a warning; or strikes it so that it goes on, and so do its clients.
    ///
    /// # Errors
    ///
    /// What the system says.
    fn kill(&mut self, chance: &mut Chance) -> Result<Gone, Fault>;

    /// It has ended in good order: so does whoever belongs to it.
    ///
    /// # Errors
    ///
    /// What the system says.
    fn part(&mut self) -> Result<(), Fault> {
        Ok(())
    }

    /// What befell it, if there is more to say than how often it was killed.
    fn account(&self) -> Option<String> {
        None
    }

    /// Judges a life that is over; `ended` is how, unless it was killed.
    ///
    /// # Errors
    ///
    /// Says what must not have been.
    fn judge(&mut self, stage: &Stage, ended: Option<ExitStatus>) -> Result<(), String>;

    /// The last things it said.
    fn last_words(&self) -> String;
}

/// Whose connections have ended with a life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Gone {
    Everybody,
    /// They go on, and so does what was asked over them.
    Nobody,
}

/// Why there can be no run, or how it ended.
#[derive(Debug)]
pub(super) enum Fault {
    /// The system refused something.
    Io(io::Error),
    /// The server said, or held, other things than it must.
    Loss(String),
    /// What is asked for cannot be.
    Setting(String),
    /// The server ended, or went on, as it must not.
    Violation(String),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => error.fmt(f),
            Self::Loss(text) | Self::Setting(text) | Self::Violation(text) => f.write_str(text),
        }
    }
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// A process of this machine. Killing it leaves what it wrote with the kernel.
pub(super) struct Local {
    process: Process,
    program: PathBuf,
    data: PathBuf,
    directives: Vec<String>,
    address: SocketAddr,
    /// How much all lives before this one have printed.
    printed: usize,
}

impl Local {
    /// Nothing runs yet. Its data and what it prints will be in `dir`.
    ///
    /// # Errors
    ///
    /// When there is no free port.
    pub(super) fn new(program: PathBuf, dir: &Path, directives: Vec<String>) -> io::Result<Self> {
        let data = dir.join("data");
        std::fs::create_dir_all(&data)?;
        Ok(Self {
            process: Process::new(dir.join("server.out")),
            program,
            data,
            directives,
            address: free_address()?,
            printed: 0,
        })
    }
}

impl Victim for Local {
    fn address(&self) -> SocketAddr {
        self.address
    }

    fn start(&mut self, _chance: Option<&mut Chance>) -> Result<(), Fault> {
        self.printed = self.process.printed();
        let (program, data) = (&self.program, &self.data);
        let mut command = serve(program, self.address, data, &self.directives);
        self.process.start(&mut command)?;
        Ok(())
    }

    fn ended(&mut self) -> io::Result<Option<ExitStatus>> {
        self.process.ended()
    }

    fn kill(&mut self, _chance: &mut Chance) -> Result<Gone, Fault> {
        self.process.kill()?;
        Ok(Gone::Everybody)
    }

    fn judge(&mut self, _stage: &Stage, ended: Option<ExitStatus>) -> Result<(), String> {
        judge_words(&self.last_words(), ended)
    }

    fn last_words(&self) -> String {
        self.process.said_from(self.printed)
    }
}

/// Judges a life by what the server said in it, where nothing but its death was to befall it.
///
/// # Errors
///
/// Says what must not have been.
pub(super) fn judge_words(said: &str, ended: Option<ExitStatus>) -> Result<(), String> {
    if let Some(status) = ended {
        return Err(format!("the server ended by itself, {status}:\n{said}"));
    }
    let complains = |line: &&str| line.contains(" ERROR ") || line.contains("panicked");
    match said.lines().find(complains) {
        Some(line) => Err(format!("the server complained: {line}")),
        None => Ok(()),
    }
}
