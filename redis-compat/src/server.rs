//! A server to talk to: one that runs already, or one that is started here on a free port with its
//! data in a directory of its own, and stopped and removed when the value is dropped.
//!
//! Started servers are waited for by asking them: `PING` until it is answered with `PONG`.
//! Every program can be started as a sentinel, too.

use std::fmt;
use std::fs::File;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::connection::{Answer, Connection};
use crate::reply::Reply;

/// How long a server may take from its start to its first `PONG`.
const START_MAX: Duration = Duration::from_secs(30);

/// What to talk to, as said on the command line.
#[derive(Clone, Debug)]
pub(crate) enum Target {
    /// A server that runs already.
    Address(SocketAddr),
    /// A program to start.
    Program { name: String, path: PathBuf },
}

impl Target {
    /// Reads `HOST:PORT`, or the name of a server that `redis-compat/setup` has installed, such as
    /// `redis-8.2`.
    ///
    /// # Errors
    ///
    /// [`Error::Unknown`], when it is neither.
    pub(crate) fn parse(text: &str) -> Result<Self, Error> {
        if let Ok(addr) = text.parse() {
            return Ok(Self::Address(addr));
        }
        let path = oracle_dir().join(text);
        let is_name = text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '.');
        if is_name && path.is_file() {
            return Ok(Self::Program {
                name: text.to_owned(),
                path,
            });
        }
        Err(Error::Unknown {
            target: text.to_owned(),
            oracle: oracle_dir(),
        })
    }

    /// A program at a path, named by its file name.
    pub(crate) fn program(path: &Path) -> Self {
        let name = path
            .file_name()
            .unwrap_or(path.as_os_str())
            .to_string_lossy()
            .into_owned();
        Self::Program {
            name,
            path: path.to_owned(),
        }
    }

    /// The `headwater` that was built beside this program.
    ///
    /// # Errors
    ///
    /// [`Error::NotBuilt`], when there is none.
    pub(crate) fn ours() -> Result<Self, Error> {
        let path = std::env::current_exe().map(|us| us.with_file_name("headwater"));
        match path {
            Ok(path) if path.is_file() => Ok(Self::program(&path)),
            _ => Err(Error::NotBuilt),
        }
    }
}

/// Where `redis-compat/setup` installs to.
pub(crate) fn oracle_dir() -> PathBuf {
    match std::env::var_os("HEADWATER_ORACLE") {
        Some(dir) => dir.into(),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/oracle"),
    }
}

/// What a program is to be started as.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Part<'a> {
    Server,
    /// With a file that has these lines.
    Sentinel(&'a [String]),
}

/// A server that has answered.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) addr: SocketAddr,
    pub(crate) name: String,
    /// What `INFO server` says under `redis_version`: (8, 2) for 8.2.3.
    pub(crate) version: (u32, u32),
    process: Option<Process>,
}

/// A process of ours and its files. Dropping it ends both.
#[derive(Debug)]
struct Process {
    child: Child,
    dir: tempfile::TempDir,
}

impl Drop for Process {
    fn drop(&mut self) {
        // Fails only when it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    /// Starts or finds the server, and returns when it answers.
    ///
    /// # Errors
    ///
    /// Says what the server printed when it does not come up. One that runs already cannot be
    /// another part.
    pub(crate) fn start(target: &Target, part: Part<'_>) -> Result<Self, Error> {
        match target {
            Target::Address(addr) => {
                let version = wait_until_ready(*addr, None)?;
                Ok(Self {
                    addr: *addr,
                    name: addr.to_string(),
                    version,
                    process: None,
                })
            }
            Target::Program { name, path } => {
                // A free port may be taken by someone else before the server binds it.
                let mut tries = 0..3;
                loop {
                    match Self::spawn(name, path, part) {
                        Err(Error::Ended { .. }) if tries.next().is_some() => {}
                        started => return started,
                    }
                }
            }
        }
    }

    fn spawn(name: &str, path: &Path, part: Part<'_>) -> Result<Self, Error> {
        let starting = |cause| Error::Start {
            program: path.to_owned(),
            cause,
        };
        let port = free_port().map_err(starting)?;
        let dir = tempfile::Builder::new()
            .prefix("redis-compat-")
            .tempdir()
            .map_err(starting)?;
        let log = File::create(dir.path().join("output")).map_err(starting)?;
        let data = dir.path().join("data");
        std::fs::create_dir(&data).map_err(starting)?;
        // The server runs in a directory of its own, where a relative path means something else.
        let mut command = Command::new(std::path::absolute(path).map_err(starting)?);
        if let Part::Sentinel(lines) = part {
            let file = dir.path().join("sentinel.conf");
            std::fs::write(&file, lines.join("\n") + "\n").map_err(starting)?;
            command.arg(&file).arg("--sentinel");
        }
        let port_text = port.to_string();
        let options = ["--port", &port_text, "--bind", "127.0.0.1", "--save", ""];
        let child = command
            .args(options)
            .arg("--dir")
            .arg(&data)
            .current_dir(dir.path())
            .stdin(Stdio::null())
            .stdout(log.try_clone().map_err(starting)?)
            .stderr(log)
            .spawn()
            .map_err(starting)?;
        let mut process = Process { child, dir };
        let addr = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let version = wait_until_ready(addr, Some(&mut process))?;
        Ok(Self {
            addr,
            name: name.to_owned(),
            version,
            process: Some(process),
        })
    }

    /// Whether the process that was started here has ended, and what it printed last.
    pub(crate) fn obituary(&mut self) -> Option<String> {
        let process = self.process.as_mut()?;
        match process.child.try_wait() {
            Ok(Some(status)) => Some(format!("{status}\n{}", process.last_words())),
            _ => None,
        }
    }
}

impl Process {
    fn last_words(&self) -> String {
        let printed = std::fs::read(self.dir.path().join("output")).unwrap_or_default();
        let printed = String::from_utf8_lossy(&printed);
        let lines: Vec<_> = printed.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }
}

/// A port that was free a moment ago.
fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?
        .local_addr()?
        .port())
}

/// Asks until the server answers, and returns its version.
fn wait_until_ready(
    addr: SocketAddr,
    mut process: Option<&mut Process>,
) -> Result<(u32, u32), Error> {
    let until = Instant::now() + START_MAX;
    loop {
        if let Ok(mut connection) = Connection::open(addr)
            && connection.ask(&["PING"]) == Answer::Reply(Reply::Simple(b"PONG".to_vec()))
        {
            return Ok(version(&mut connection));
        }
        if let Some(process) = &mut process
            && let Ok(Some(status)) = process.child.try_wait()
        {
            return Err(Error::Ended {
                status: status.to_string(),
                said: process.last_words(),
            });
        }
        if Instant::now() > until {
            return Err(Error::NotReady { addr });
        }
        pause();
    }
}

fn version(connection: &mut Connection) -> (u32, u32) {
    let Answer::Reply(info) = connection.ask(&["INFO", "server"]) else {
        return (0, 0);
    };
    let text = String::from_utf8_lossy(info.text().unwrap_or_default()).into_owned();
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("redis_version:"));
    let mut parts = line
        .unwrap_or_default()
        .split('.')
        .map(|part| part.parse().unwrap_or(0));
    (parts.next().unwrap_or(0), parts.next().unwrap_or(0))
}

/// The pause between two looks at a process that nothing here can be notified by.
pub(crate) fn pause() {
    std::thread::sleep(Duration::from_millis(1));
}

/// Why there is no server.
#[derive(Debug)]
pub(crate) enum Error {
    /// It ended before it answered.
    Ended {
        status: String,
        said: String,
    },
    NotBuilt,
    NotReady {
        addr: SocketAddr,
    },
    Start {
        program: PathBuf,
        cause: io::Error,
    },
    Unknown {
        target: String,
        oracle: PathBuf,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ended { status, said } => write!(f, "the server ended, {status}:\n{said}"),
            Self::NotBuilt => f.write_str("no headwater beside this program: cargo build first"),
            Self::NotReady { addr } => write!(f, "{addr} did not answer within {START_MAX:?}"),
            Self::Start { program, cause } => write!(f, "{}: {cause}", program.display()),
            Self::Unknown { target, oracle } => {
                let oracle = oracle.display();
                write!(
                    f,
                    "{target} is neither HOST:PORT nor a server in {oracle}; "
                )?;
                f.write_str("redis-compat/setup installs redis-8.2, redis-7.0 and valkey-9.1")
            }
        }
    }
}

impl std::error::Error for Error {}
