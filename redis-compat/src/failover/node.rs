//! One process of a ground, a data node or a monitor: asked, killed, stopped and started again.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::connection::{Answer, Connection};
use crate::process::{Process, free_address};
use crate::reply::Reply;

/// How long an answer may take: a process that is stopped gives none.
const PATIENCE: Duration = Duration::from_secs(1);

/// A process of a ground, with its file and all else that is its own in a directory of its own.
pub(super) struct Node {
    pub(super) address: SocketAddr,
    pub(super) file: PathBuf,
    dir: PathBuf,
    process: Process,
    /// How much the lives before this one have printed.
    printed: usize,
}

impl Node {
    /// Nothing runs yet. Below `dir` is its place.
    ///
    /// # Errors
    ///
    /// When the directory cannot be made, or there is no free port.
    pub(super) fn new(dir: &Path) -> io::Result<Self> {
        fs::create_dir_all(dir)?;
        Ok(Self {
            address: free_address()?,
            file: dir.join("node.conf"),
            dir: dir.to_owned(),
            process: Process::new(dir.join("output")),
            printed: 0,
        })
    }

    /// Writes the lines of its file that every kind of node has, and `lines`.
    ///
    /// # Errors
    ///
    /// What the file system says.
    pub(super) fn configure(&self, lines: &[String]) -> io::Result<()> {
        let text = format!(
            "port {}\nbind 127.0.0.1\ndir {}\n{}\n",
            self.address.port(),
            self.dir.display(),
            lines.join("\n")
        );
        fs::write(&self.file, text)
    }

    /// Starts it; does not wait for anything.
    ///
    /// # Errors
    ///
    /// When it cannot be started.
    pub(super) fn start(&mut self, command: &mut Command) -> io::Result<()> {
        self.printed = self.process.printed();
        self.process.start(command.current_dir(&self.dir))
    }

    /// Kills it.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub(super) fn kill(&mut self) -> io::Result<()> {
        self.process.kill()
    }

    /// Stops it in the middle of whatever it does, or lets it go on.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub(super) fn stopped(&self, stopped: bool) -> io::Result<()> {
        self.process.stopped(stopped)
    }

    /// The number of its process, while it runs.
    pub(super) fn number(&self) -> Option<u32> {
        self.process.number()
    }

    /// How it ended by itself, and what it said last.
    pub(super) fn obituary(&mut self) -> Option<String> {
        let status = self.process.ended().ok()??;
        let said = self.process.said_from(self.printed);
        let lines: Vec<&str> = said.lines().collect();
        let last = lines[lines.len().saturating_sub(20)..].join("\n");
        Some(format!("{} ended, {status}:\n{last}", self.address))
    }

    /// Asks over a connection that is made for it.
    pub(super) fn ask(&self, words: &[&str]) -> Option<Reply> {
        let mut connection = Connection::open_with(self.address, PATIENCE).ok()?;
        match connection.ask(words) {
            Answer::Reply(reply) => Some(reply),
            _ => None,
        }
    }

    /// What `INFO replication` says.
    pub(super) fn info(&self) -> Option<Info> {
        let reply = self.ask(&["INFO", "replication"])?;
        Some(Info(String::from_utf8(reply.text()?.to_vec()).ok()?))
    }
}

/// What a section of INFO says.
pub(super) struct Info(String);

impl Info {
    /// The value of a field.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
    }
}
