//! A ground: data nodes, one of which leads the others, and the monitors that watch over them, on
//! free ports of the loopback, with everything in one directory.
//!
//! ```text
//!  monitor 0    monitor 1    monitor 2       one make, or one each
//!        \          |          /
//!     node 0 (master) --- node 1 [--- node 2]      one make
//! ```
//!
//! Whatever is waited for is asked for, again and again, up to a deadline; what was still missing
//! then is what the fault says. A process that ends by itself is a violation.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::fault::Fault;
use super::kind::{Watcher, expect};
use super::monitor::{self, MASTER};
use super::node::Node;
use super::site::Site;
use crate::cleanup;
use crate::connection::{Answer, Connection};
use crate::reply::Reply;

/// How long anything may take that is waited for. An attempt of a failover that was in vain is
/// repeated only after twice its timeout.
const PATIENCE: Duration = Duration::from_secs(90);

/// Between two looks at what nobody is told of.
pub(super) const LOOK: Duration = Duration::from_millis(10);

/// What a monitor gives up an attempt after, in milliseconds.
const FAILOVER_TIMEOUT: u64 = 5000;

/// See the module. Dropping it ends everything on it.
pub(super) struct Ground {
    pub(super) nodes: Vec<Node>,
    pub(super) monitors: Vec<Node>,
    program: PathBuf,
    dir: Directory,
}

impl Ground {
    /// Starts everything, and returns when all know each other.
    ///
    /// # Errors
    ///
    /// When something cannot be started, or does not come to serve.
    pub(super) fn take(site: &Site) -> Result<Self, Fault> {
        let (ours, watchers) = (site.ours()?, site.watchers()?);
        let dir = Directory::make(site.dir.as_deref())?;
        let program = site.data.program(&ours);
        expect(&program)?;
        let mut ground = Self {
            nodes: Vec::new(),
            monitors: Vec::new(),
            program,
            dir,
        };
        for number in 0..=site.replicas {
            ground.add_node(number, site)?;
        }
        ground.wait(|ground| all_serve(&ground.nodes))?;
        for (number, watcher) in watchers.iter().enumerate() {
            ground.add_monitor(number, *watcher, &ours, site)?;
        }
        ground.wait(|ground| all_serve(&ground.monitors))?;
        if site.brisk {
            for monitor in &ground.monitors {
                let words = ["INFO-PERIOD", "1000", "PUBLISH-PERIOD", "250"];
                let reply = monitor.ask(&[&["SENTINEL", "DEBUG"], &words[..]].concat());
                if reply != Some(Reply::Simple(b"OK".to_vec())) {
                    let what = format!("SENTINEL DEBUG was answered {reply:?}");
                    return Err(Fault::Violation(what));
                }
            }
        }
        ground.wait(Self::settled)?;
        Ok(ground)
    }

    fn add_node(&mut self, number: usize, site: &Site) -> Result<(), Fault> {
        let node = Node::new(&self.dir.path().join(format!("node-{number}")))?;
        let own = site.data.directives().iter().map(|&line| line.to_owned());
        let mut lines: Vec<String> = own.chain(site.lines.iter().cloned()).collect();
        if site.is_ours() {
            let count = site.sync_replicas.unwrap_or(1);
            lines.push(format!("sync-replicas {count}"));
        }
        if let Some(master) = self.nodes.first() {
            lines.push(format!("replicaof 127.0.0.1 {}", master.address.port()));
        }
        node.configure(&lines)?;
        self.nodes.push(node);
        self.start(number)
    }

    fn add_monitor(
        &mut self,
        number: usize,
        watcher: Watcher,
        ours: &Path,
        site: &Site,
    ) -> Result<(), Fault> {
        let mut monitor = Node::new(&self.dir.path().join(format!("monitor-{number}")))?;
        let port = self.nodes[0].address.port();
        monitor.configure(&[
            format!("sentinel monitor {MASTER} 127.0.0.1 {port} 2"),
            format!(
                "sentinel down-after-milliseconds {MASTER} {}",
                site.down_after
            ),
            format!("sentinel failover-timeout {MASTER} {FAILOVER_TIMEOUT}"),
            format!("sentinel parallel-syncs {MASTER} 1"),
        ])?;
        let mut command = watcher.command(ours, &monitor.file);
        expect(Path::new(command.get_program()))?;
        monitor.start(&mut command)?;
        self.monitors.push(monitor);
        Ok(())
    }

    /// Starts a node that does not run, as its file says.
    ///
    /// # Errors
    ///
    /// When it cannot be started.
    pub(super) fn start(&mut self, node: usize) -> Result<(), Fault> {
        let file = self.nodes[node].file.clone();
        self.nodes[node].start(Command::new(&self.program).arg(file))?;
        Ok(())
    }

    /// Waits until `look` finds what it looks for; else it says what is missing.
    ///
    /// # Errors
    ///
    /// It has taken too long, or a process has ended by itself.
    pub(super) fn wait<T>(
        &mut self,
        mut look: impl FnMut(&Self) -> Result<T, String>,
    ) -> Result<T, Fault> {
        let until = Instant::now() + PATIENCE;
        loop {
            let missing = match look(self) {
                Ok(found) => return Ok(found),
                Err(missing) => missing,
            };
            let processes = self.nodes.iter_mut().chain(&mut self.monitors);
            if let Some(obituary) = processes.filter_map(Node::obituary).next() {
                return Err(Fault::Violation(obituary));
            }
            if Instant::now() > until {
                let what = format!("after {PATIENCE:?} still: {missing}");
                return Err(Fault::Violation(what));
            }
            thread::sleep(LOOK);
        }
    }

    /// The node that all monitors call the master; without monitors, the one that calls itself so.
    pub(super) fn agreed(&self) -> Option<usize> {
        let Some(first) = self.monitors.first() else {
            return self.nodes.iter().position(leads);
        };
        let address = monitor::master(first)?;
        let mut others = self.monitors[1..].iter();
        let agree = others.all(|other| monitor::master(other) == Some(address));
        let node = self.nodes.iter().position(|node| node.address == address);
        node.filter(|_| agree)
    }

    /// The master, if everybody follows it and every monitor could replace it.
    ///
    /// # Errors
    ///
    /// Says what is not so.
    pub(super) fn settled(&self) -> Result<usize, String> {
        let Some(master) = self.agreed() else {
            return Err("the monitors do not agree on a master".to_owned());
        };
        let port = self.nodes[master].address.port().to_string();
        for (number, node) in self.nodes.iter().enumerate() {
            let of = node.address;
            let Some(info) = node.info() else {
                return Err(format!("{of} does not answer"));
            };
            let replicas = (self.nodes.len() - 1).to_string();
            let wanted = if number == master {
                &[("role", "master"), ("connected_slaves", &replicas)][..]
            } else {
                &[
                    ("role", "slave"),
                    ("master_port", &port),
                    ("master_link_status", "up"),
                ][..]
            };
            for (name, value) in wanted {
                if info.get(name) != Some(*value) {
                    return Err(format!("{of} has {name} {:?}", info.get(name)));
                }
            }
        }
        let others = self.monitors.len().saturating_sub(1);
        for monitor in &self.monitors {
            let replicas = self.nodes.len() - 1;
            if let Some(why) = monitor::unready(monitor, replicas, others) {
                return Err(format!("monitor {} {why}", monitor.address));
            }
        }
        Ok(master)
    }

    /// The addresses of the monitors.
    pub(super) fn watch(&self) -> Vec<SocketAddr> {
        self.monitors.iter().map(|all| all.address).collect()
    }

    /// Where everything is.
    pub(super) fn path(&self) -> &Path {
        self.dir.path()
    }

    /// The directory will stay.
    pub(super) fn keep(&mut self) {
        self.dir.keep();
    }
}

/// Whether a node says that it is the master.
pub(super) fn leads(node: &Node) -> bool {
    node.info()
        .is_some_and(|info| info.get("role") == Some("master"))
}

fn all_serve(nodes: &[Node]) -> Result<(), String> {
    let pong = Answer::Reply(Reply::Simple(b"PONG".to_vec()));
    let serves = |node: &Node| {
        Connection::open(node.address).is_ok_and(|mut connection| connection.ask(&["PING"]) == pong)
    };
    match nodes.iter().find(|node| !serves(node)) {
        Some(silent) => Err(format!("{} does not serve", silent.address)),
        None => Ok(()),
    }
}

/// Where everything lies.
enum Directory {
    Given(PathBuf),
    Own(tempfile::TempDir),
}

impl Directory {
    fn make(given: Option<&Path>) -> Result<Self, Fault> {
        if let Some(dir) = given {
            // One for each ground of a run.
            static TAKEN: AtomicU32 = AtomicU32::new(1);
            let number = TAKEN.fetch_add(1, Ordering::Relaxed);
            let dir = std::path::absolute(dir)?.join(format!("ground-{number}"));
            fs::create_dir_all(&dir)?;
            if fs::read_dir(&dir)?.next().is_some() {
                let what = format!("{} is not empty", dir.display());
                return Err(Fault::Setting(what));
            }
            return Ok(Self::Given(dir));
        }
        let below = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target");
        fs::create_dir_all(&below)?;
        let mut builder = tempfile::Builder::new();
        let dir = builder
            .prefix("failover-")
            .tempdir_in(below.canonicalize()?)?;
        cleanup::root(dir.path());
        Ok(Self::Own(dir))
    }

    fn path(&self) -> &Path {
        match self {
            Self::Given(path) => path,
            Self::Own(dir) => dir.path(),
        }
    }

    fn keep(&mut self) {
        if let Self::Own(dir) = self {
            dir.disable_cleanup(true);
        }
    }
}
