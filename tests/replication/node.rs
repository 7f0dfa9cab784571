//! A server that takes part in replication, and can come again.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Instant;

use headwater_resp::reply::Reply;
use rustix::process::Signal;
use tempfile::TempDir;

use crate::client::{Client, PATIENCE};
use crate::server::{self, Server, data};

/// One of several servers. It comes again on another port.
pub(crate) struct Node {
    /// Where the data are, unless that is somebody else's.
    _dir: Option<TempDir>,
    data: PathBuf,
    directives: Vec<String>,
    server: Option<Server>,
    port: u16,
    said: String,
}

impl Node {
    pub(crate) fn start(directives: &[&str]) -> Self {
        let (dir, data) = data();
        Self::run(Some(dir), data, directives)
    }

    /// Starts a server whose data are at a place of the caller's, which is there for longer.
    pub(crate) fn at(data: PathBuf, directives: &[&str]) -> Self {
        Self::run(None, data, directives)
    }

    fn run(dir: Option<TempDir>, data: PathBuf, directives: &[&str]) -> Self {
        let mut node = Self {
            _dir: dir,
            data,
            directives: directives.iter().map(|&word| word.to_owned()).collect(),
            server: None,
            port: 0,
            said: String::new(),
        };
        node.restart();
        node
    }

    /// Starts a replica of another.
    pub(crate) fn following(master: &str, directives: &[&str]) -> Self {
        Self::start(&[&["--replicaof", master], directives].concat())
    }

    pub(crate) fn restart(&mut self) {
        self.restart_with(&[]);
    }

    /// Starts it again, as a replica of another.
    pub(crate) fn restart_following(&mut self, master: &str) {
        self.restart_with(&["--replicaof", master]);
    }

    fn restart_with(&mut self, more: &[&str]) {
        let directives = [&self.directives()[..], more].concat();
        let server = Server::start(&self.data, &directives);
        self.port = server.port();
        self.server = Some(server);
    }

    /// Has it start in vain; says what it says.
    pub(crate) fn restart_in_vain(&self) -> String {
        let ended = server::refused(&self.data, &self.directives());
        assert!(!ended.status.success(), "{}", ended.said);
        ended.said
    }

    fn directives(&self) -> Vec<&str> {
        // Making large files takes the time of others.
        let small = ["--segment-size", "1mb"].into_iter();
        small
            .chain(self.directives.iter().map(|word| &**word))
            .collect()
    }

    /// Where its data are.
    pub(crate) fn data(&self) -> &Path {
        &self.data
    }

    /// Asks it to stop, and waits until it has.
    pub(crate) fn stop(&mut self) {
        self.end(Signal::TERM);
    }

    pub(crate) fn kill(&mut self) {
        self.end(Signal::KILL);
    }

    fn end(&mut self, signal: Signal) {
        let server = self.server.take().unwrap();
        server.signal(signal);
        self.said += &server.ended().said;
    }

    /// What it said in all its lives, the last of which ends with this.
    pub(crate) fn said(&mut self) -> String {
        if self.server.is_some() {
            self.stop();
        }
        std::mem::take(&mut self.said)
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// What others are told to follow it.
    pub(crate) fn replicaof(&self) -> String {
        format!("127.0.0.1 {}", self.port)
    }

    pub(crate) fn connect(&self) -> Client {
        Client::connect(self.address())
    }

    /// How much memory it uses, in bytes.
    #[cfg(target_os = "linux")]
    pub(crate) fn memory(&self) -> u64 {
        self.server.as_ref().unwrap().memory("VmRSS")
    }

    pub(crate) fn ask(&self, words: &[&str]) -> Reply {
        self.connect().ask(words)
    }

    /// A field of `INFO replication`.
    pub(crate) fn info(&self, name: &str) -> String {
        self.connect().info("replication", name).unwrap()
    }

    /// Returns when a field of `INFO replication` is as wanted.
    pub(crate) fn until(&self, name: &str, wanted: &str) {
        self.connect().until_info("replication", name, wanted);
    }

    /// Returns when its log is longer than that of another.
    pub(crate) fn until_more_than(&self, other: &Self) {
        let end = |node: &Self| node.info("master_repl_offset").parse::<u64>().unwrap();
        let began = Instant::now();
        while end(self) <= end(other) {
            assert!(began.elapsed() < PATIENCE, "nothing is written");
        }
    }

    /// Returns when it hears its master.
    pub(crate) fn until_up(&self) -> &Self {
        self.until("master_link_status", "up");
        self
    }

    /// Everything that can be seen of its data, but for what each server knows for itself.
    fn contents(&self) -> Vec<(String, Reply)> {
        let mut client = self.connect();
        let mut contents = Vec::new();
        for db in 0..16 {
            client.ask(&["SELECT", &db.to_string()]);
            let Reply::Array(keys) = client.ask(&["KEYS", "*"]) else {
                panic!("KEYS has an array");
            };
            for key in keys {
                let key = String::from_utf8(key.as_bytes().unwrap().to_vec()).unwrap();
                let expires = client.ask(&["PEXPIRETIME", &key]);
                let full = client.ask(&["XINFO", "STREAM", &key, "FULL", "COUNT", "0"]);
                contents.push((format!("{db} {key} {expires:?}"), without_seen(full)));
            }
        }
        contents
    }
}

/// When a consumer was last seen is not logged.
fn without_seen(reply: Reply) -> Reply {
    let Reply::Array(mut parts) = reply else {
        return reply;
    };
    let name = Reply::Bulk("seen-time".into());
    if let Some(at) = parts.iter().position(|part| *part == name) {
        parts[at + 1] = Reply::Null;
    }
    Reply::Array(parts.into_iter().map(without_seen).collect())
}

/// Waits until replicas have all that the master has, and compares everything.
pub(crate) fn converge(master: &Node, replicas: &[&Node]) {
    let end = || master.info("master_repl_offset");
    let began = Instant::now();
    for replica in replicas {
        loop {
            let (before, there, after) = (end(), replica.info("master_repl_offset"), end());
            if before == after && before == there {
                break;
            }
            let link = replica.info("master_link_status");
            let took = began.elapsed();
            assert!(
                took < PATIENCE,
                "the end is {after}, and {there} there; the link is {link}"
            );
        }
        let (here, there) = (master.contents(), replica.contents());
        assert_eq!(here, there);
        assert_eq!(master.info("master_replid"), replica.info("master_replid"));
    }
}
