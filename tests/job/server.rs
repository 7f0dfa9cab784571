//! The real program on a fixed address, killed and started again on the same directory.

use std::fs::{self, File};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use tempfile::TempDir;

/// An address that nobody listens on. It lies below the ports that the system gives to outgoing
/// connections: one of those could take it, or connect to itself, while the server is down.
pub(crate) fn free_address() -> SocketAddr {
    let first = u16::try_from(std::process::id() % 10_000).unwrap();
    (0..10_000)
        .map(|step| 20_000 + (first + step) % 10_000)
        .map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
        .find(|address| TcpListener::bind(address).is_ok())
        .unwrap()
}

/// A running server. Dropping it kills it and removes its data.
pub(crate) struct Server {
    address: SocketAddr,
    child: Child,
    kills: u64,
    dir: TempDir,
}

impl Server {
    pub(crate) fn start(address: SocketAddr) -> Self {
        let dir = TempDir::new().unwrap();
        let child = spawn(&dir, address);
        Self {
            address,
            child,
            kills: 0,
            dir,
        }
    }

    /// How often it was killed.
    pub(crate) fn kills(&self) -> u64 {
        self.kills
    }

    /// Kills it, wherever it is, and starts it again at once.
    pub(crate) fn kill_and_restart(&mut self) {
        self.expect_running();
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.kills += 1;
        self.child = spawn(&self.dir, self.address);
    }

    /// Kills it once it has bound its address, which it does before it opens its data.
    pub(crate) fn kill_while_it_starts(&mut self) {
        while let Err(error) = TcpStream::connect(self.address) {
            assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
            self.expect_running();
            std::thread::sleep(Duration::from_millis(1));
        }
        self.kill_and_restart();
    }

    /// Fails the test when the server ended by itself.
    pub(crate) fn expect_running(&mut self) {
        if let Some(status) = self.child.try_wait().unwrap() {
            panic!("the server ended by itself, {status}:\n{}", self.said());
        }
    }

    /// Asks it to stop, and fails the test unless it does so well and never complained.
    pub(crate) fn stop(mut self) {
        let status = terminate(&mut self.child);
        let said = self.said();
        assert!(status.success(), "the server ended with {status}:\n{said}");
        let complaint = said.lines().find(|line| {
            line.contains(" WARN ") || line.contains("ERROR") || line.contains("panic")
        });
        assert_eq!(complaint, None, "the server complained");
    }

    /// What all of its lives wrote to standard error.
    fn said(&self) -> String {
        fs::read_to_string(log_file(&self.dir)).unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Both fail only when it has ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn terminate(child: &mut Child) -> ExitStatus {
    let pid = rustix::process::Pid::from_child(child);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    child.wait().unwrap()
}

fn log_file(dir: &TempDir) -> PathBuf {
    dir.path().join("stderr")
}

fn spawn(dir: &TempDir, address: SocketAddr) -> Child {
    let log = File::options()
        .create(true)
        .append(true)
        .open(log_file(dir))
        .unwrap();
    Command::new(env!("CARGO_BIN_EXE_headwater"))
        .args(["--bind", &address.ip().to_string()])
        .args(["--port", &address.port().to_string()])
        .arg("--dir")
        .arg(dir.path().join("data"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .unwrap()
}
