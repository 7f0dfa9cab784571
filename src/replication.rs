//! One server leads and others follow: they have the same log, byte for byte.
//!
//! ```text
//!  REPLICAOF, FAILOVER, the configuration, a replica's wish to be led no more
//!      |
//!      v                                 one task makes every change of role
//!  Replication::turn --- wanted role ---> roles --- leads ------> the store takes commits
//!                                           |                     `feed` sends replicas its log,
//!                                           |                     whose marks are in `replicas`
//!                                           '------ follows ----> the store takes frames only
//!                                                                 `replica` talks to the master
//! ```
//!
//! | file | its one thing |
//! |---|---|
//! | `wire` | what the two say to each other |
//! | `resync` | how a replica comes to have the master's log: continue, cut, or everything anew |
//! | `link` | the replica's side of the conversation |
//! | `shipment` | everything anew: the files, on the wire and on the replica's disk |
//! | `replicas` | who follows, and what their acknowledgements come to |
//! | `keep` | what of the log, and which shipments, are kept for replicas |
//! | `failover` | handing over to one of them |
//! | `roles`, `replica`, `feed` | the thin drivers: changes of role, and the two ends of a socket |
//!
//! All but the drivers are pure: events in, actions out, no socket and no clock.
//!
//! Invariants:
//!
//! * Where this server is in replication is what `replicaof` says: commands change the directive,
//!   `CONFIG REWRITE` writes it, and a start reads it.
//! * From the moment a change of role is wanted until it is made, writes are held back
//!   ([`Cause::Role`]); so nobody sees half of one.
//! * The end of a master's log and a replica's are the same number for the same bytes as long as
//!   they are in the same epoch.

mod failover;
pub(crate) mod feed;
pub(crate) mod keep;
mod link;
mod replica;
mod replicas;
mod resync;
pub(crate) mod roles;
mod shipment;
#[cfg(test)]
mod sim;
pub(crate) mod wire;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use headwater_store::{Agreement, Lsn};
use parking_lot::Mutex;
use tokio::sync::watch;

pub(crate) use self::failover::{Ask, Failover};
use self::keep::Shipments;
pub(crate) use self::link::Standing;
pub(crate) use self::replicas::{Replica, Replicas, Stage};
pub(crate) use self::resync::{Decision, OTHER_KIND, Ours, decide};
use crate::clock;
use crate::config::{self, Config};
use crate::loading::Opened;
use crate::pause::{Cause, FOR_EVER, Held};
use crate::refusal::Refusal;
use crate::server::Server;

/// Where a server can be reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Address {
    /// A name or an IP address, as it was given.
    pub(crate) host: Box<str>,
    pub(crate) port: u16,
}

impl Address {
    pub(crate) fn new(host: &str, port: u16) -> Self {
        let host = host.into();
        Self { host, port }
    }

    /// The value of `replicaof`; `None` for one who leads.
    fn read(text: &str) -> Option<Self> {
        let (host, port) = text.rsplit_once(' ')?;
        Some(Self::new(host, port.parse().ok()?))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            return write!(f, "[{}]:{}", self.host, self.port);
        }
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// The part that a server plays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Master,
    Replica { of: Address, takeover: Takeover },
}

/// Whether the other is asked to lead first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Takeover {
    /// It leads already.
    #[default]
    No,
    /// Once it has everything.
    Asked,
    /// Whatever it has.
    Forced,
}

/// What this server has to do with others.
pub(crate) struct Replication {
    /// Milliseconds are counted from here.
    origin: Instant,
    state: Mutex<State>,
    /// What gates ask, without a lock.
    follows: AtomicBool,
    link_is_up: AtomicBool,
    replicas: Arc<Mutex<Replicas>>,
    /// What replicas that need everything get.
    shipments: Shipments,
    /// Counts acknowledgements that moved a mark.
    acks: watch::Sender<u64>,
    /// The number of the last change of role that was asked for.
    turns: watch::Sender<u64>,
}

struct State {
    /// As it is to be.
    role: Role,
    link: View,
    failover: Failover,
    /// When the last replica left, or this server ceased to be one; `None` if neither ever was.
    alone_since_ms: Option<u64>,
}

/// What is known of the link to the master, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct View {
    pub(crate) standing: Standing,
    /// When something came last.
    pub(crate) heard_ms: Option<u64>,
    /// Since when it is down; `None` when it never was up.
    pub(crate) down_since_ms: Option<u64>,
    pub(crate) shipment: Option<Shipped>,
}

impl View {
    const fn new() -> Self {
        Self {
            standing: Standing::Connect,
            heard_ms: None,
            down_since_ms: None,
            shipment: None,
        }
    }
}

/// How far a shipment is, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Shipped {
    pub(crate) total: u64,
    pub(crate) done: u64,
}

impl Replication {
    /// What the configuration says.
    pub(crate) fn new(config: &Config) -> Self {
        let role = match Address::read(&config.text(config::REPLICAOF)) {
            Some(of) => Role::Replica {
                of,
                takeover: Takeover::No,
            },
            None => Role::Master,
        };
        Self {
            origin: clock::instant(),
            follows: AtomicBool::new(role != Role::Master),
            link_is_up: AtomicBool::new(false),
            state: Mutex::new(State {
                role,
                link: View::new(),
                failover: Failover::None,
                alone_since_ms: None,
            }),
            replicas: Arc::default(),
            shipments: Shipments::default(),
            acks: watch::Sender::new(0),
            turns: watch::Sender::new(0),
        }
    }

    /// Now, on the clock of everything in here.
    pub(crate) fn now_ms(&self) -> u64 {
        let since = clock::instant().duration_since(self.origin);
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }

    /// The part that the server plays, or is about to.
    pub(crate) fn role(&self) -> Role {
        self.state.lock().role.clone()
    }

    /// Whether it follows, or is about to.
    pub(crate) fn follows(&self) -> bool {
        self.follows.load(Ordering::Relaxed)
    }

    /// Whether it has its data from a master that it hears; a master has.
    pub(crate) fn is_fresh(&self) -> bool {
        !self.follows() || self.link_is_up.load(Ordering::Relaxed)
    }

    /// What is known of the link to the master.
    pub(crate) fn link(&self) -> View {
        self.state.lock().link.clone()
    }

    pub(crate) fn failover(&self) -> Failover {
        self.state.lock().failover.clone()
    }

    /// Who follows this server, and what they have.
    pub(crate) fn with_replicas<R>(&self, look: impl FnOnce(&Replicas) -> R) -> R {
        look(&self.replicas.lock())
    }

    /// The same, for who looks again later.
    pub(crate) fn replicas(&self) -> Arc<Mutex<Replicas>> {
        Arc::clone(&self.replicas)
    }

    /// Changes of acknowledgements, from now on.
    pub(crate) fn acks(&self) -> watch::Receiver<u64> {
        self.acks.subscribe()
    }

    /// Has the server play another part. Writes are held back until it does, and whoever waits for
    /// keys is sent away by one who leads no more.
    pub(crate) fn turn(&self, server: &Server, to: Role) {
        let mut state = self.state.lock();
        let led = state.role == Role::Master;
        let text = match &to {
            Role::Master => String::new(),
            Role::Replica { of, .. } => format!("{} {}", of.host, of.port),
        };
        server.config.set_role(&text);
        server.pause.begin(Cause::Role, Held::Writes, FOR_EVER);
        self.follows.store(to != Role::Master, Ordering::Relaxed);
        self.link_is_up.store(false, Ordering::Relaxed);
        state.role = to;
        state.link = View::new();
        let now_ms = Some(self.now_ms());
        if led {
            state.link.down_since_ms = now_ms;
        } else {
            state.alone_since_ms = now_ms;
        }
        let follows = state.role != Role::Master;
        self.turns.send_modify(|turns| *turns += 1);
        // Tickets are behind no lock of ours.
        drop(state);
        if led && follows {
            server.clients.dismiss_waiting();
        }
    }

    /// Notes what an acknowledgement says, and lets go what waited for it.
    fn acked(&self, server: &Server, id: u64, written: Lsn, durable: Lsn) {
        let moved = self
            .replicas
            .lock()
            .acked(id, written, durable, self.now_ms());
        if moved {
            self.agree(server);
            self.acks.send_modify(|acks| *acks += 1);
        }
    }

    fn set_stage(&self, id: u64, stage: Stage) {
        self.replicas.lock().set_stage(id, stage);
    }

    /// Lets the log commit what `sync-replicas` says is safe. Whoever follows is told by its
    /// master, and commits what it has.
    pub(crate) fn agree(&self, server: &Server) {
        let Some(opened) = server.loading.opened() else {
            return;
        };
        self.agree_on(&server.config, &opened);
    }

    fn agree_on(&self, config: &Config, opened: &Opened) {
        let log = opened.store.log();
        // One who has begun to follow sees to it when its clients have been told (`roles`).
        if !opened.store.leads() {
            return;
        }
        let count = usize::try_from(config.int(config::SYNC_REPLICAS)).unwrap_or(0);
        let lag_max = config.size(config::MIN_REPLICAS_MAX_LAG);
        let (kept, by_all) = {
            let replicas = self.replicas.lock();
            let by_all = replicas.kept_by_all(self.now_ms(), lag_max);
            (replicas.kept_by(count), by_all)
        };
        log.set_replicated((count > 0).then(|| kept.unwrap_or(Lsn::ZERO)));
        opened.store.set_agreement(Agreement {
            upto: by_all,
            ..Agreement::default()
        });
    }

    /// Refuses writes of a master that too few replicas follow closely.
    ///
    /// # Errors
    ///
    /// When `min-replicas-to-write` asks for more.
    pub(crate) fn has_enough_replicas(&self, config: &Config) -> Result<(), Refusal> {
        let least = config.size(config::MIN_REPLICAS_TO_WRITE);
        if least == 0 || self.follows() {
            return Ok(());
        }
        if self.good_replicas(config) as u64 >= least {
            return Ok(());
        }
        Err(Refusal::NoReplicas)
    }

    /// How many replicas were heard of within `min-replicas-max-lag`.
    pub(crate) fn good_replicas(&self, config: &Config) -> usize {
        let lag_max = config.size(config::MIN_REPLICAS_MAX_LAG);
        self.replicas.lock().good(self.now_ms(), lag_max)
    }

    /// `FAILOVER`.
    ///
    /// # Errors
    ///
    /// When it makes no sense now.
    pub(crate) fn fail_over(&self, server: &Server, ask: Ask) -> Result<(), Refusal> {
        let mut state = self.state.lock();
        if state.role != Role::Master && state.failover == Failover::None {
            let text = "ERR FAILOVER is not valid when server is a replica.";
            return Err(Refusal::Command(text));
        }
        state.failover.begin(ask, &self.replicas.lock())?;
        server.pause.begin(Cause::Failover, Held::Writes, FOR_EVER);
        drop(state);
        // Perhaps nothing more has to be waited for.
        self.acks.send_modify(|acks| *acks += 1);
        Ok(())
    }

    /// `FAILOVER ABORT`.
    ///
    /// # Errors
    ///
    /// When there is nothing to be aborted.
    pub(crate) fn abort_failover(&self, server: &Server) -> Result<(), Refusal> {
        let before = self.state.lock().failover.end();
        match before {
            Failover::None => return Err(Refusal::Command("ERR No failover in progress.")),
            Failover::WaitingForSync(_) => {}
            Failover::InProgress => self.turn(server, Role::Master),
        }
        server.pause.end(Cause::Failover);
        Ok(())
    }

    /// The failover, however far it is, has come to its end.
    fn end_failover(&self, server: &Server) {
        self.state.lock().failover.end();
        server.pause.end(Cause::Failover);
    }

    /// The other does not take over: this server goes on leading.
    fn decline(&self, server: &Server) {
        self.turn(server, Role::Master);
        self.end_failover(server);
    }

    /// The other has taken over.
    fn taken_over(&self, server: &Server) {
        if let Role::Replica { takeover, .. } = &mut self.state.lock().role {
            *takeover = Takeover::No;
        }
        // A monitor pauses writes before it asks for this; they need not wait for it to notice.
        server.pause.end_writes();
        self.end_failover(server);
    }

    /// Lets people see how the link is.
    fn show(&self, standing: Standing) {
        let now_ms = self.now_ms();
        let mut state = self.state.lock();
        let is_up = standing == Standing::Connected;
        if state.link.standing == Standing::Connected && !is_up {
            state.link.down_since_ms = Some(now_ms);
        }
        if standing != Standing::Sync {
            state.link.shipment = None;
        }
        state.link.standing = standing;
        self.link_is_up.store(is_up, Ordering::Relaxed);
    }

    fn show_shipment(&self, shipped: Shipped) {
        let now_ms = self.now_ms();
        let mut state = self.state.lock();
        state.link.heard_ms = Some(now_ms);
        state.link.shipment = Some(shipped);
    }

    fn show_heard(&self) {
        let now_ms = self.now_ms();
        self.state.lock().link.heard_ms = Some(now_ms);
    }
}
