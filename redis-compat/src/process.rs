//! A server as a process of this machine, killed and started again.

use std::fs::{self, File};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group, test_kill_process_group};

use crate::cleanup;
use crate::server::pause;

/// How long a killed process may take to vanish.
const END_MAX: Duration = Duration::from_secs(5);

/// A program that is run again and again on the same port and directory, in a process group of its
/// own. What all of its lives print goes to one file. Dropping it kills it.
pub(crate) struct Process {
    log: PathBuf,
    child: Option<Child>,
}

impl Process {
    /// Nothing runs yet. `log` is where it is to print to.
    pub(crate) fn new(log: PathBuf) -> Self {
        Self { log, child: None }
    }

    /// Starts it; does not wait for anything.
    ///
    /// # Errors
    ///
    /// When it cannot be started.
    pub(crate) fn start(&mut self, command: &mut Command) -> io::Result<()> {
        let log = File::options().create(true).append(true).open(&self.log)?;
        command.stdin(Stdio::null()).process_group(0);
        command.stdout(log.try_clone()?).stderr(log);
        self.child = Some(cleanup::spawn(command)?);
        Ok(())
    }

    /// Kills it and all that it started, wherever they are.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub(crate) fn kill(&mut self) -> io::Result<()> {
        if let Some(mut child) = self.child.take() {
            let pid = Pid::from_child(&child);
            // Fails only when all of them have ended already.
            let _ = kill_process_group(pid, Signal::KILL);
            child.wait()?;
            cleanup::ended(pid);
            // What it had started is not ours to wait for, and may hold the port a while longer.
            let until = Instant::now() + END_MAX;
            while test_kill_process_group(pid).is_ok() && Instant::now() < until {
                pause();
            }
        }
        Ok(())
    }

    /// Stops it in the middle of whatever it does, or lets it go on.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub(crate) fn stopped(&self, stopped: bool) -> io::Result<()> {
        let signal = if stopped { Signal::STOP } else { Signal::CONT };
        match &self.child {
            Some(child) => Ok(kill_process_group(Pid::from_child(child), signal)?),
            None => Ok(()),
        }
    }

    /// Its number, while it runs.
    pub(crate) fn number(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// How it ended, if it did since it was last asked about.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub(crate) fn ended(&mut self) -> io::Result<Option<ExitStatus>> {
        let Some(child) = &mut self.child else {
            return Ok(None);
        };
        let status = child.try_wait()?;
        if status.is_some() {
            // Also takes what it may have started and left.
            self.kill()?;
        }
        Ok(status)
    }

    /// What it printed from a place on.
    pub(crate) fn said_from(&self, place: usize) -> String {
        let printed = fs::read(&self.log).unwrap_or_default();
        let tail = printed.get(place..).unwrap_or_default();
        String::from_utf8_lossy(tail).into_owned()
    }

    /// How much it has printed.
    pub(crate) fn printed(&self) -> usize {
        let length = fs::metadata(&self.log).map_or(0, |file| file.len());
        usize::try_from(length).unwrap_or(usize::MAX)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // What cannot be killed cannot be helped.
        let _ = self.kill();
    }
}

/// An address that nobody listens on, and another one each time. It lies below the ports that the
/// system gives to outgoing connections: one of those could take it while the server is down.
///
/// # Errors
///
/// When there is none.
pub(crate) fn free_address() -> io::Result<SocketAddr> {
    static GIVEN: AtomicU32 = AtomicU32::new(0);
    let first = std::process::id() % 10_000;
    (0..10_000)
        .map(|_| GIVEN.fetch_add(1, Ordering::Relaxed))
        .filter_map(|next| u16::try_from(20_000 + (first + next) % 10_000).ok())
        .map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
        .find(|address| TcpListener::bind(address).is_ok())
        .ok_or_else(|| io::ErrorKind::AddrInUse.into())
}

/// The command that serves at an address from a directory.
pub(crate) fn serve(
    program: &Path,
    address: SocketAddr,
    data: &Path,
    directives: &[String],
) -> Command {
    let mut command = Command::new(program);
    command.args(["--bind", &address.ip().to_string()]);
    command.args(["--port", &address.port().to_string()]);
    command.arg("--dir").arg(data).args(directives);
    command
}
