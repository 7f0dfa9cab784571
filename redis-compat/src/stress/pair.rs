//! Two servers, one of which follows the other, with connections that are taken away.
//!
//! ```text
//!  workers ---> front ---> master <--- link <--- replica         sync-replicas 1
//!                |                      |
//!                |                      '-- cut, or silent for a while
//!                '-- leads to whoever is the master
//! ```
//!
//! What befalls them, each with the same roles after it or with the other ones:
//!
//! | strike | the workers' connections |
//! |---|---|
//! | the master is killed, or both are | end |
//! | the replica is killed, or the link is cut or silent | stay, if the roles do |
//! | the replica is made to lead while the master goes on: what that wrote since is cut off | end |
//! | `FAILOVER` | end, after answers that say `READONLY` |
//!
//! Nothing is acknowledged that is not on both disks. So either may lead, whatever has befallen
//! them, and everything that was acknowledged is there.
//!
//! Invariant: from a strike that ends connections until the new life begins the front lets nobody
//! through. So nothing that was asked before reaches a server that leads afterwards.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::thread;
use std::time::{Duration, Instant};

use super::proxy::Proxy;
use super::stage::{LOOK, PATIENCE, Stage};
use super::victim::{Fault, Gone, Victim, judge_words};
use crate::chance::Chance;
use crate::connection::{Answer, Connection};
use crate::process::{Process, free_address, serve};
use crate::reply::Reply;

/// See the module.
pub(super) struct Pair {
    program: PathBuf,
    directives: Vec<String>,
    nodes: [Node; 2],
    /// Which of them leads.
    master: usize,
    front: Proxy,
    link: Proxy,
    /// How often the roles changed, and how often each thing befell them.
    swaps: u64,
    strikes: [u64; Strike::ALL.len()],
    /// Full copies that nodes that are dead, or have been asked, say that they gave.
    full_syncs: u64,
}

struct Node {
    process: Process,
    data: PathBuf,
    address: SocketAddr,
    runs: bool,
    /// How much all lives before this one have printed.
    printed: usize,
}

/// What befalls a pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Strike {
    KillMaster,
    KillReplica,
    KillBoth,
    Cut,
    Silence,
    Promote,
    FailOver,
}

impl Strike {
    const ALL: [Self; 7] = [
        Self::KillMaster,
        Self::KillReplica,
        Self::KillBoth,
        Self::Cut,
        Self::Silence,
        Self::Promote,
        Self::FailOver,
    ];
}

impl Pair {
    /// Nothing runs yet. The data and what is printed will be in `dir`. Replies wait for so many
    /// replicas.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub(super) fn new(
        program: PathBuf,
        dir: &Path,
        mut directives: Vec<String>,
        sync_replicas: u8,
    ) -> io::Result<Self> {
        directives.extend(["--sync-replicas".to_owned(), sync_replicas.to_string()]);
        let first = Node::new(dir, 1)?;
        // Two that are free are not the same one twice.
        let taken = std::net::TcpListener::bind(first.address)?;
        let second = Node::new(dir, 2)?;
        drop(taken);
        Ok(Self {
            program,
            directives,
            nodes: [first, second],
            master: 0,
            front: Proxy::new()?,
            link: Proxy::new()?,
            swaps: 0,
            strikes: Default::default(),
            full_syncs: 0,
        })
    }

    /// What befell the pair so far.
    fn account(&self) -> String {
        let strikes = Strike::ALL.iter().zip(&self.strikes);
        let strikes: Vec<String> = strikes
            .map(|(of, count)| format!("{of:?} {count}"))
            .collect();
        format!(
            "{}; roles changed {} times, {} full copies",
            strikes.join(", "),
            self.swaps,
            self.full_syncs
        )
    }

    fn replica(&self) -> usize {
        1 - self.master
    }

    fn swap(&mut self) {
        self.master = self.replica();
        self.swaps += 1;
    }

    /// Starts whoever does not run, in its role; those who run have it already.
    fn start_nodes(&mut self) -> io::Result<()> {
        let link = self.link.address();
        for at in [self.master, self.replica()] {
            let leads = at == self.master;
            let node = &mut self.nodes[at];
            if node.runs {
                continue;
            }
            node.printed = node.process.printed();
            let mut command = serve(&self.program, node.address, &node.data, &self.directives);
            if !leads {
                command.arg("--replicaof").arg(link.ip().to_string());
                command.arg(link.port().to_string());
            }
            node.process.start(&mut command)?;
            node.runs = true;
        }
        Ok(())
    }

    /// Gives those who run the other roles; who does not run will be started in its own. Nobody is
    /// let through to either.
    fn give_roles(&self) -> Result<(), Fault> {
        let link = self.link.address();
        let (ip, port) = (link.ip().to_string(), link.port().to_string());
        let (master, replica) = (&self.nodes[self.master], &self.nodes[self.replica()]);
        if master.runs {
            master.tell(&["REPLICAOF", "NO", "ONE"])?;
        }
        if replica.runs {
            replica.tell(&["REPLICAOF", &ip, &port])?;
        }
        Ok(())
    }

    /// Hands over as an operator would; whether the other leads now.
    fn fail_over(&self) -> Result<bool, Fault> {
        let (old, new) = (&self.nodes[self.master], &self.nodes[self.replica()]);
        if !old.tell(&["FAILOVER", "TIMEOUT", "5000"])? {
            // The replica is not there, for now.
            return Ok(false);
        }
        let until = Instant::now() + PATIENCE;
        loop {
            let state = old.info("master_failover_state")?;
            if state.as_deref() == Some("no-failover") {
                return Ok(new.info("role")?.as_deref() == Some("master"));
            }
            if Instant::now() > until {
                let what = format!("a failover is not over after {PATIENCE:?}: {state:?}");
                return Err(Fault::Violation(what));
            }
            thread::sleep(LOOK);
        }
    }

    fn count_full_syncs(&mut self) {
        let given = self.nodes[self.master].info("sync_full");
        let given = given
            .ok()
            .flatten()
            .and_then(|given| given.parse::<u64>().ok());
        self.full_syncs += given.unwrap_or(0);
        // Counted once.
        drop(self.nodes[self.master].tell(&["CONFIG", "RESETSTAT"]));
    }
}

impl Victim for Pair {
    fn address(&self) -> SocketAddr {
        self.front.address()
    }

    fn start(&mut self, _chance: Option<&mut Chance>) -> Result<(), Fault> {
        self.start_nodes()?;
        let master = self.nodes[self.master].address;
        self.link.open(master);
        self.front.open(master);
        Ok(())
    }

    fn ended(&mut self) -> io::Result<Option<ExitStatus>> {
        for node in &mut self.nodes {
            if let Some(status) = node.process.ended()? {
                node.runs = false;
                return Ok(Some(status));
            }
        }
        Ok(None)
    }

    fn kill(&mut self, chance: &mut Chance) -> Result<Gone, Fault> {
        let strike = chance.one_of(&Strike::ALL);
        let swaps = match strike {
            Strike::Promote | Strike::FailOver => true,
            _ => chance.once_in(2),
        };
        let while_it_lasts = Duration::from_millis(chance.below(300));
        self.count_full_syncs();
        let (master, replica) = (self.master, self.replica());
        match strike {
            Strike::Cut => {
                self.link.break_off();
                thread::sleep(while_it_lasts);
            }
            Strike::Silence => {
                self.link.hold();
                thread::sleep(while_it_lasts);
            }
            Strike::FailOver => {
                if !self.fail_over()? {
                    return Ok(Gone::Nobody);
                }
            }
            Strike::KillReplica => self.nodes[replica].kill()?,
            Strike::KillMaster | Strike::KillBoth | Strike::Promote => {}
        }
        self.strikes[strike as usize] += 1;
        let gone = match strike {
            Strike::KillMaster | Strike::KillBoth => Gone::Everybody,
            _ if swaps => Gone::Everybody,
            _ => Gone::Nobody,
        };
        if gone == Gone::Everybody {
            self.front.break_off();
        }
        if matches!(strike, Strike::KillMaster | Strike::KillBoth) {
            self.nodes[master].kill()?;
        }
        if strike == Strike::KillBoth {
            self.nodes[replica].kill()?;
        }
        if swaps {
            self.link.break_off();
            self.swap();
            self.give_roles()?;
        }
        Ok(gone)
    }

    fn judge(&mut self, _stage: &Stage, ended: Option<ExitStatus>) -> Result<(), String> {
        let said = self.last_words();
        judge_words(&said, ended)
    }

    fn part(&mut self) -> Result<(), Fault> {
        let replica = self.replica();
        Ok(self.nodes[replica].kill()?)
    }

    fn last_words(&self) -> String {
        let said = |node: &Node| node.process.said_from(node.printed);
        self.nodes.iter().map(said).collect::<Vec<_>>().join("\n")
    }

    fn account(&self) -> Option<String> {
        Some(self.account())
    }
}

impl Node {
    fn new(dir: &Path, number: usize) -> io::Result<Self> {
        let data = dir.join(format!("data-{number}"));
        std::fs::create_dir_all(&data)?;
        Ok(Self {
            process: Process::new(dir.join(format!("server-{number}.out"))),
            data,
            address: free_address()?,
            runs: false,
            printed: 0,
        })
    }

    fn kill(&mut self) -> io::Result<()> {
        self.runs = false;
        self.process.kill()
    }

    /// Tells it something, as soon as it listens and has its data; whether it agrees.
    fn tell(&self, words: &[&str]) -> Result<bool, Fault> {
        match self.ask(words)? {
            Reply::Error(_) => Ok(false),
            _ => Ok(true),
        }
    }

    /// What it says of itself under this name.
    fn info(&self, name: &str) -> Result<Option<String>, Fault> {
        let reply = self.ask(&["INFO"])?;
        let text = String::from_utf8_lossy(reply.text().unwrap_or_default()).into_owned();
        let mut lines = text.lines();
        let found = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        Ok(found.map(str::to_owned))
    }

    fn ask(&self, words: &[&str]) -> Result<Reply, Fault> {
        let until = Instant::now() + PATIENCE;
        loop {
            let answer = Connection::open_with(self.address, PATIENCE)
                .map(|mut connection| connection.ask(words));
            match answer {
                Ok(Answer::Reply(Reply::Error(text))) if text.starts_with(b"LOADING ") => {}
                Ok(Answer::Reply(reply)) => return Ok(reply),
                other if Instant::now() > until => {
                    let what = format!("{}: {words:?} was answered {other:?}", self.address);
                    return Err(Fault::Violation(what));
                }
                _ => {}
            }
            thread::sleep(LOOK);
        }
    }
}
