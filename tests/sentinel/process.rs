//! Servers and monitors as processes, ours and Redis', which are killed and come again.

use std::ffi::OsString;
use std::fs::File;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use headwater_resp::reply::Reply;
use tempfile::TempDir;

use crate::address::free_address;
use crate::client::{Client, PATIENCE, error, simple};

const NOAUTH: &str = "NOAUTH Authentication required.";

/// What is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Program {
    Ours,
    /// One of those that `redis-compat/setup` installs.
    Theirs(&'static str),
}

impl Program {
    fn path(self) -> PathBuf {
        let name = match self {
            Self::Ours => return env!("CARGO_BIN_EXE_headwater").into(),
            Self::Theirs(name) => name,
        };
        let oracle = match std::env::var_os("HEADWATER_ORACLE") {
            Some(dir) => PathBuf::from(dir),
            None => Path::new(env!("CARGO_MANIFEST_DIR")).join("target/oracle"),
        };
        let path = oracle.join(name);
        assert!(
            path.exists(),
            "{}: run redis-compat/setup first",
            path.display()
        );
        path
    }
}

/// A process with an address and a directory of its own. Dropping it kills it.
pub(crate) struct Process {
    program: Program,
    args: Vec<OsString>,
    address: SocketAddr,
    dir: TempDir,
    child: Option<Child>,
}

impl Process {
    /// Starts a server of data; a replica of another, if there is one.
    pub(crate) fn server(program: Program, master: Option<&Self>) -> Self {
        Self::server_with(program, master, &[])
    }

    /// The same, with further directives.
    pub(crate) fn server_with(program: Program, master: Option<&Self>, more: &[&str]) -> Self {
        let mut process = Self::new(program);
        let data = process.dir.path().join("data");
        std::fs::create_dir(&data).unwrap();
        let port = process.port().to_string();
        let words = [
            "--bind",
            "127.0.0.1",
            "--port",
            &port,
            "--save",
            "",
            "--dir",
        ];
        process.args.extend(words.map(OsString::from));
        process.args.push(data.into());
        if let Some(master) = master {
            let of = format!("127.0.0.1 {}", master.port());
            process.args.extend(["--replicaof".into(), of.into()]);
        }
        process.args.extend(more.iter().map(OsString::from));
        process.restart();
        process
    }

    /// Starts a monitor whose file has these lines.
    pub(crate) fn monitor(program: Program, lines: &str) -> Self {
        let mut process = Self::new(program);
        let begin = format!("port {}\nbind 127.0.0.1\n", process.port());
        std::fs::write(process.file(), begin + lines).unwrap();
        process.args = vec![process.file().into(), "--sentinel".into()];
        process.restart();
        process
    }

    fn new(program: Program) -> Self {
        Self {
            program,
            args: Vec::new(),
            address: free_address(),
            dir: TempDir::new().unwrap(),
            child: None,
        }
    }

    /// Starts it again, and returns when it answers.
    pub(crate) fn restart(&mut self) {
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.log())
            .unwrap();
        let child = Command::new(self.program.path())
            .args(&self.args)
            .current_dir(self.dir.path())
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn();
        self.child = Some(child.unwrap());
        until("a server answers", || {
            let child = self.child.as_mut().unwrap();
            assert_eq!(child.try_wait().unwrap(), None, "it ended by itself");
            TcpStream::connect(self.address).ok()?;
            let answer = self.ask(&["PING"]);
            let is_there = answer == simple("PONG") || answer == error(NOAUTH);
            is_there.then_some(())
        });
    }

    /// Has it run as another program, which starts now with the same file.
    pub(crate) fn become_another(&mut self, program: Program) {
        self.kill();
        self.program = program;
        self.restart();
    }

    pub(crate) fn kill(&mut self) {
        let mut child = self.child.take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Waits until it ends by itself; its exit code.
    pub(crate) fn ended(&mut self) -> Option<i32> {
        let status = self.child.take().unwrap().wait().unwrap();
        status.code()
    }

    /// The file of a monitor.
    pub(crate) fn file(&self) -> PathBuf {
        self.dir.path().join("sentinel.conf")
    }

    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    fn log(&self) -> PathBuf {
        self.dir.path().join("log")
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    pub(crate) fn connect(&self) -> Client {
        Client::connect(self.address)
    }

    /// What it answers. Who changes a node's role has it close its connections; it is asked again
    /// then.
    pub(crate) fn ask(&self, words: &[&str]) -> Reply {
        until("an answer", || self.connect().try_ask(words))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            // Both fail only when it has ended already.
            drop(child.kill());
            drop(child.wait());
        }
        if std::thread::panicking() {
            let said = std::fs::read_to_string(self.log()).unwrap_or_default();
            let lines: Vec<&str> = said.lines().collect();
            let last = &lines[lines.len().saturating_sub(40)..];
            println!(
                "{:?} on {}:\n{}",
                self.program,
                self.address,
                last.join("\n")
            );
        }
    }
}

/// Looks until there is something to be seen.
pub(crate) fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(began.elapsed() < PATIENCE, "in vain: {what}");
        // Others need the processor to get there.
        std::thread::sleep(Duration::from_millis(5));
    }
}
