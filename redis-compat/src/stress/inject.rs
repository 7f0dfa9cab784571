//! The server on a disk that fails.
//!
//! It runs under `strace`, which makes one system call fail without doing it: the Nth sync or
//! write of some thread, once or from then on. What must follow is drawn here:
//!
//! ```text
//!  a sync or a write of a segment of the log fails
//!     |-- no change is acknowledged that was asked for later
//!     |-- the process ends by itself, soon, with 74, or with 1 if it did not serve yet
//!     '-- after a start on a disk that is well, nothing that was acknowledged is missing
//!  any other call fails
//!     '-- the same, or it goes on and nothing that was acknowledged is missing
//! ```

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};

use super::stage::{Stage, now};
use super::victim::{Fault, Gone, Victim};
use crate::chance::Chance;
use crate::process::{Process, free_address, serve};

/// How the server says that its log has failed.
const LOG_FAILED: i32 = 74;
/// How it says that it could not start.
const NOT_STARTED: i32 = 1;
/// How long it may go on after its log has failed, in microseconds.
const REACTION: u64 = 5_000_000;

/// What may fail, each with the other names that the kernel has for it.
const CALLS: [&str; 8] = [
    "fdatasync",
    "fdatasync",
    "fsync",
    "pwrite64,pwritev,pwritev2",
    "pwrite64,pwritev,pwritev2",
    "fallocate,ftruncate",
    "rename,renameat,renameat2",
    "unlink,unlinkat",
];
const ERRORS: [&str; 3] = ["EIO", "ENOSPC", "EROFS"];

/// A process of this machine whose system calls fail.
pub(super) struct FailingDisk {
    process: Process,
    program: PathBuf,
    data: PathBuf,
    directives: Vec<String>,
    address: SocketAddr,
    /// Where `strace` writes what it did to this life; `None` when it is left alone.
    trace: Option<PathBuf>,
    dir: PathBuf,
    /// How much all lives before this one have printed.
    printed: usize,
}

/// A system call that was made to fail.
#[derive(Debug, PartialEq, Eq)]
struct Injected {
    /// Microseconds since 1970.
    at: u64,
    /// A change that was not written, or not synced, can be lost by it.
    of_the_log: bool,
    line: String,
}

impl FailingDisk {
    /// Nothing runs yet. Its data and what it prints will be in `dir`.
    ///
    /// # Errors
    ///
    /// When there is no `strace`, or no free port.
    pub(super) fn new(
        program: PathBuf,
        dir: &Path,
        directives: Vec<String>,
    ) -> Result<Self, Fault> {
        let strace = Command::new("strace").arg("-V").output();
        if !strace.is_ok_and(|output| output.status.success()) {
            let what = "system calls are made to fail by strace: install it".to_owned();
            return Err(Fault::Setting(what));
        }
        let data = dir.join("data");
        fs::create_dir_all(&data)?;
        Ok(Self {
            process: Process::new(dir.join("server.out")),
            program,
            data,
            directives,
            address: free_address()?,
            trace: None,
            dir: dir.to_owned(),
            printed: 0,
        })
    }
}

impl Victim for FailingDisk {
    fn address(&self) -> SocketAddr {
        self.address
    }

    fn start(&mut self, chance: Option<&mut Chance>) -> Result<(), Fault> {
        self.printed = self.process.printed();
        let mut command = serve(&self.program, self.address, &self.data, &self.directives);
        // Now and then it is left alone, so that much is done between two faults.
        let chance = chance.and_then(|chance| (!chance.once_in(4)).then_some(chance));
        self.trace = chance.as_ref().map(|_| self.dir.join("trace"));
        if let (Some(chance), Some(trace)) = (chance, &self.trace) {
            let _ = fs::remove_file(trace);
            let (call, error) = (chance.one_of(&CALLS), chance.one_of(&ERRORS));
            let most = chance.one_of(&[5, 50, 300]);
            let nth = chance.between(1, most);
            let on = chance.one_of(&["", "+"]);
            let mut traced = Command::new("strace");
            traced.args(["-f", "-qq", "-y", "-ttt", "--seccomp-bpf", "-e"]);
            traced.arg(format!("trace={call}"));
            traced.arg("-e").arg("signal=none");
            traced
                .arg("-e")
                .arg(format!("inject={call}:error={error}:when={nth}{on}"));
            traced.arg("-o").arg(trace);
            traced.arg(command.get_program()).args(command.get_args());
            command = traced;
        }
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

    fn judge(&mut self, stage: &Stage, ended: Option<ExitStatus>) -> Result<(), String> {
        let trace = match &self.trace {
            Some(trace) => fs::read_to_string(trace).unwrap_or_default(),
            None => String::new(),
        };
        let injected: Vec<Injected> = trace.lines().filter_map(injected).collect();
        if !injected.is_empty() {
            stage.totals.injected();
        }
        let said = self.last_words();
        if said.contains("panicked") {
            return Err(format!("the server panicked:\n{said}"));
        }
        let fatal = injected.iter().find(|injected| injected.of_the_log);
        if let Some(fatal) = fatal {
            if stage.last_asked() > fatal.at {
                return Err(format!(
                    "a change was acknowledged that was asked for {} us after this: {}",
                    stage.last_asked() - fatal.at,
                    fatal.line
                ));
            }
            if ended.is_none() && now() - fatal.at > REACTION {
                return Err(format!("the server went on after this: {}", fatal.line));
            }
        }
        let Some(status) = ended else {
            return Ok(());
        };
        let served = said.contains(" serves on ");
        let right = match status.code() {
            Some(LOG_FAILED) => true,
            Some(NOT_STARTED) => !served,
            _ => false,
        };
        if right && !injected.is_empty() {
            return Ok(());
        }
        Err(format!(
            "the server ended by itself, {status}, after {injected:?}:\n{said}"
        ))
    }

    fn last_words(&self) -> String {
        self.process.said_from(self.printed)
    }
}

/// What a line of the trace says of a call that was made to fail.
fn injected(line: &str) -> Option<Injected> {
    let made = line.ends_with("(INJECTED)");
    let (_, rest) = line.split_once(' ')?;
    let (time, call) = rest.trim_start().split_once(' ')?;
    let (seconds, micros) = time.split_once('.')?;
    let at = seconds.parse::<u64>().ok()? * 1_000_000 + micros.parse::<u64>().ok()?;
    let loses = ["fdatasync", "fsync", "pwrite"]
        .iter()
        .any(|name| call.starts_with(name));
    made.then(|| Injected {
        at,
        of_the_log: loses && call.contains(".log>"),
        line: line.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_tells_what_failed_and_when() {
        let line = "4242 1700000000.000123 fdatasync(9</d/log/00000000000000000000.log>) = -1 \
                    EIO (Input/output error) (INJECTED)";
        let found = injected(line).unwrap();
        assert_eq!(found.at, 1_700_000_000_000_123);
        assert!(found.of_the_log);

        let spare = line.replace("00000000000000000000.log", "spare-3.tmp");
        assert!(!injected(&spare).unwrap().of_the_log);
        let well = line.replace("-1 EIO (Input/output error) (INJECTED)", "0");
        assert_eq!(injected(&well), None);
    }
}
