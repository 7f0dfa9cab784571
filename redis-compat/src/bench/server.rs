//! The servers under measurement: found, started on their own cores, watched, ended.
//!
//! All get the same directives, Headwater the subset it needs, and are otherwise as they come:
//! snapshots off and no rewriting of the append-only file during a run, so that what is measured
//! is the work of the requests. A server has its own process group (see [`crate::cleanup`]), a
//! free port, and a directory below the bench's root, which goes with it.

use super::{
    client::Client,
    clock,
    fault::Fault,
    machine::{self, Cores},
    process::Process,
};
use crate::cleanup;
use rustix::process::{Pid, Signal, kill_process};
use std::{
    fmt,
    fs::{self, File},
    io,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};
use tempfile::TempDir;

/// A server that takes longer to answer its first PING has failed to start.
const START_MAX: Duration = Duration::from_secs(600);
/// How often a server is asked whether it is ready: the resolution of the restart times.
pub(super) const ASK_EVERY: Duration = Duration::from_millis(1);

/// When a server must have an entry on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
#[value(rename_all = "lower")]
pub(super) enum Policy {
    /// Before it replies.
    Always,
    /// A second later.
    EverySec,
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Always => "always",
            Self::EverySec => "everysec",
        })
    }
}

/// Whose command line a program takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Make {
    Headwater,
    Redis,
    Valkey,
}

impl Make {
    /// As the report calls it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Headwater => "headwater",
            Self::Redis => "redis",
            Self::Valkey => "valkey",
        }
    }
}

/// A program to be measured.
#[derive(Clone, Debug)]
pub(super) struct Peer {
    pub(super) make: Make,
    pub(super) program: PathBuf,
    /// What it says of its version, such as `8.2.3`.
    pub(super) version: String,
    /// Words for its command line, behind the usual ones.
    directives: Vec<String>,
}

impl Peer {
    /// Asks the program for its version.
    ///
    /// # Errors
    ///
    /// When it cannot be run.
    pub(super) fn of(make: Make, program: &Path) -> io::Result<Self> {
        let output = Command::new(program).arg("--version").output()?;
        let version = version_in(&String::from_utf8_lossy(&output.stdout));
        Ok(Self {
            make,
            // It runs in a directory of its own, where a relative path means something else.
            program: std::path::absolute(program)?,
            version,
            directives: Vec::new(),
        })
    }

    /// The same program with more words on its command line. Of two that say the same the later
    /// one holds.
    pub(super) fn with(&self, directives: impl IntoIterator<Item: Into<String>>) -> Self {
        let mut peer = self.clone();
        let more = directives.into_iter().map(Into::into);
        peer.directives.extend(more);
        peer
    }

    fn command(&self, port: u16, dir: &Path, policy: Policy) -> Command {
        let mut command = Command::new(&self.program);
        command
            .arg("--port")
            .arg(port.to_string())
            .arg("--dir")
            .arg(dir);
        command.arg("--appendfsync").arg(policy.to_string());
        if self.make != Make::Headwater {
            command.args(["--appendonly", "yes", "--save", ""]);
            command.args(["--auto-aof-rewrite-percentage", "0", "--bind", "127.0.0.1"]);
        }
        command.args(&self.directives);
        command
    }
}

/// The first word that is a version: begins with a digit, perhaps behind `v=`.
fn version_in(text: &str) -> String {
    text.split_whitespace()
        .map(|word| word.strip_prefix("v=").unwrap_or(word))
        .find(|word| word.starts_with(|first: char| first.is_ascii_digit()))
        .unwrap_or("of unknown version")
        .to_owned()
}

/// What every server of a bench shares: where it may keep files and which processors it has.
pub(super) struct Site {
    pub(super) root: PathBuf,
    pub(super) cores: Cores,
}

impl Site {
    /// A directory for one server, which removes itself.
    ///
    /// # Errors
    ///
    /// What the file system returns.
    pub(super) fn directory(&self) -> io::Result<TempDir> {
        tempfile::Builder::new()
            .prefix("server-")
            .tempdir_in(&self.root)
    }
}

/// A running server; killed when dropped.
pub(super) struct Server {
    child: Child,
    pid: Pid,
    address: SocketAddr,
}

impl Server {
    /// Starts `peer` on `dir` and waits until it answers PING, that is, until it has loaded what
    /// the directory holds.
    ///
    /// # Errors
    ///
    /// [`Fault::Start`] if it ends or stays silent.
    pub(super) fn start(
        site: &Site,
        peer: &Peer,
        policy: Policy,
        dir: &Path,
    ) -> Result<Self, Fault> {
        let port = free_port()?;
        let log_path = dir.with_extension("log");
        let log = File::create(&log_path)?;
        let mut command = peer.command(port, dir, policy);
        command
            .current_dir(dir)
            .stdin(Stdio::null())
            .process_group(0);
        command.stdout(log.try_clone()?).stderr(log);

        // What a thread starts inherits its processors, and so does what that starts.
        machine::pin(&site.cores.server)?;
        let child = cleanup::spawn(&mut command);
        machine::pin(&site.cores.load)?;
        let child = child?;
        let pid = Pid::from_child(&child);

        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let mut server = Self {
            child,
            pid,
            address,
        };
        let ready = server.wait_until_ready();
        let said = fs::read_to_string(&log_path).unwrap_or_default();
        fs::remove_file(log_path)?;
        match ready {
            Ok(()) => Ok(server),
            Err(Fault::Start(why)) => Err(Fault::Start(format!("{why}: {}", last_line(&said)))),
            Err(fault) => Err(fault),
        }
    }

    fn wait_until_ready(&mut self) -> Result<(), Fault> {
        let begun = clock::now();
        loop {
            if let Ok(mut client) = Client::connect(self.address) {
                match client.call(&[b"PING"]) {
                    Ok(_) => return Ok(()),
                    // -LOADING: it has come up, and is reading its files.
                    Err(Fault::Refused(_)) => {}
                    Err(fault) => return Err(fault),
                }
            }
            if let Some(status) = self.child.try_wait()? {
                return Err(Fault::Start(status.to_string()));
            }
            if clock::elapsed(begun) > START_MAX {
                return Err(Fault::Start("no answer".to_owned()));
            }
            thread::sleep(ASK_EVERY);
        }
    }

    /// Where it listens.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// A connection for preparing and checking.
    ///
    /// # Errors
    ///
    /// When it no longer listens.
    pub(super) fn client(&self) -> Result<Client, Fault> {
        Client::connect(self.address)
    }

    /// What the kernel knows about it.
    pub(super) fn process(&self) -> Process {
        Process::of(self.pid)
    }

    /// Kills it, and waits until it has ended.
    ///
    /// # Errors
    ///
    /// What the system returns.
    pub(super) fn kill(mut self) -> Result<(), Fault> {
        kill_process(self.pid, Signal::KILL)?;
        self.child.wait()?;
        Ok(())
    }

    /// Asks it to end in good order and waits until it has.
    ///
    /// # Errors
    ///
    /// What the system returns.
    pub(super) fn stop(mut self) -> Result<(), Fault> {
        kill_process(self.pid, Signal::TERM)?;
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Both fail only if it has ended and was waited for, as after `stop`.
        let _ = self.child.kill();
        let _ = self.child.wait();
        cleanup::ended(self.pid);
    }
}

fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?
        .local_addr()?
        .port())
}

fn last_line(text: &str) -> &str {
    text.lines()
        .rfind(|line| !line.trim().is_empty())
        .unwrap_or("it wrote nothing")
        .trim()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_make_tells_its_version_in_its_own_way() {
        for (text, version) in [
            (
                "Redis server v=8.2.3 sha=00000000:1 malloc=libc bits=64",
                "8.2.3",
            ),
            ("Valkey server v=9.1.0 sha=0", "9.1.0"),
            ("headwater 0.1.0\n", "0.1.0"),
            ("", "of unknown version"),
        ] {
            assert_eq!(version_in(text), version, "{text}");
        }
    }
}
