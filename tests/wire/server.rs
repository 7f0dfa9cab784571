//! The real program on a port of its own, which it says once it is ready.

use std::io::{BufRead, BufReader, Read as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::thread::JoinHandle;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::client::Client;

/// A running server. Dropping it kills it.
pub(crate) struct Server {
    child: Child,
    port: u16,
    /// Takes what the server says, so that it never waits for somebody to listen.
    listener: Option<JoinHandle<String>>,
}

/// What a server that stopped left behind.
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    /// What it wrote to standard error.
    pub(crate) said: String,
}

/// A directory for one server's data.
pub(crate) fn data() -> (TempDir, PathBuf) {
    let dir = TempDir::new().unwrap();
    let data = dir.path().join("data");
    (dir, data)
}

fn command(data: &Path, directives: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_headwater"));
    command.args(["--bind", "127.0.0.1", "--port", "0", "--dir"]);
    command.arg(data).args(directives);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    command
}

/// Runs a server that is expected not to start, to its end.
pub(crate) fn refused(data: &Path, directives: &[&str]) -> Ended {
    let output = command(data, directives).output().unwrap();
    Ended {
        status: output.status,
        said: String::from_utf8(output.stderr).unwrap(),
    }
}

impl Server {
    /// Starts a server, and returns when it has its data.
    pub(crate) fn start(data: &Path, directives: &[&str]) -> Self {
        Self::run(&mut command(data, directives), " serves on ")
    }

    /// Starts a server, and returns when it accepts connections. It may be loading its data then.
    pub(crate) fn start_loading(data: &Path, directives: &[&str]) -> Self {
        Self::run(&mut command(data, directives), " listens on ")
    }

    /// Starts a server from a shell that sets a limit first (`ulimit ...`).
    pub(crate) fn start_under(limit: &str, data: &Path, directives: &[&str]) -> Self {
        let server = command(data, directives);
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("{limit} && exec \"$0\" \"$@\"")]);
        shell.arg(server.get_program()).args(server.get_args());
        let shell = shell.stdin(Stdio::null()).stderr(Stdio::piped());
        Self::run(shell, " serves on ")
    }

    /// Returns when the server has said `sign`, with its addresses behind it.
    fn run(command: &mut Command, sign: &str) -> Self {
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap());
        let mut said = String::new();
        let port = loop {
            let start = said.len();
            let length = lines.read_line(&mut said).unwrap();
            assert_ne!(length, 0, "the server ended before it was ready:\n{said}");
            if let Some(port) = port(&said[start..], sign) {
                break port;
            }
        };
        let listen = move |mut lines: BufReader<ChildStderr>| {
            lines.read_to_string(&mut said).unwrap();
            said
        };
        let listener = Some(std::thread::spawn(move || listen(lines)));
        Self {
            child,
            port,
            listener,
        }
    }

    /// The port that it listens on.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn connect(&self) -> Client {
        self.connect_to(Ipv4Addr::LOCALHOST.into())
    }

    pub(crate) fn connect_to(&self, ip: IpAddr) -> Client {
        Client::connect(SocketAddr::new(ip, self.port))
    }

    /// Asks it to stop.
    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits until it has ended.
    pub(crate) fn ended(mut self) -> Ended {
        let status = self.child.wait().unwrap();
        let said = self.listener.take().unwrap().join().unwrap();
        Ended { status, said }
    }

    /// How much memory it holds, in bytes: what it uses (`VmRSS`), or all it has asked for
    /// (`VmSize`).
    #[cfg(target_os = "linux")]
    pub(crate) fn memory(&self, kind: &str) -> u64 {
        let path = format!("/proc/{}/status", self.child.id());
        let status = std::fs::read_to_string(path).unwrap();
        let line = status.lines().find(|line| line.starts_with(kind)).unwrap();
        let kib = line.split_whitespace().nth(1).unwrap();
        kib.parse::<u64>().unwrap() * 1024
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Both fail only when it has ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// The port in `Headwater 0.1.0 serves on 127.0.0.1:6379 with ...`.
fn port(line: &str, sign: &str) -> Option<u16> {
    let (_, addresses) = line.split_once(sign)?;
    let first = addresses.split([',', ' ']).next()?;
    first.parse().ok().map(|address: SocketAddr| address.port())
}
