//! The real program on a fixed address, killed and started again on the same directory.

use std::fs::{self, File};
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use tempfile::TempDir;

/// What the server rightly says when it was killed in the middle of a write: the system ends such a
/// write at the next page.
const TORN: &str = "WARN the log was torn by a crash; cut off what was never durable";

/// A running server. Dropping it kills it and removes its data.
pub(crate) struct Server {
    address: SocketAddr,
    directives: Vec<&'static str>,
    dir: TempDir,
    child: Child,
    kills: u64,
}

impl Server {
    pub(crate) fn start(address: SocketAddr, directives: Vec<&'static str>) -> Self {
        let dir = TempDir::new().unwrap();
        Self {
            child: spawn(&dir, address, &directives),
            address,
            directives,
            dir,
            kills: 0,
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
        self.child = spawn(&self.dir, self.address, &self.directives);
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

    /// Asks it to stop, and fails the test unless it does so well and never complained. Returns
    /// how often a kill tore a write.
    pub(crate) fn stop(mut self) -> usize {
        let status = terminate(&mut self.child);
        let said = self.said();
        assert!(status.success(), "the server ended with {status}:\n{said}");
        let mut tears = 0;
        for line in said.lines() {
            if line.contains(TORN) {
                tears += 1;
            } else {
                let complains = ["WARN", "ERROR", "panicked"].map(|word| line.contains(word));
                assert_eq!(complains, [false; 3], "the server complained: {line}");
            }
        }
        tears
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

fn spawn(dir: &TempDir, address: SocketAddr, directives: &[&str]) -> Child {
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
        .args(directives)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .unwrap()
}
