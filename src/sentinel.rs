//! A monitor watches masters and their replicas, agrees with other monitors that a master is down,
//! and has a replica take its place: what Redis calls a Sentinel.
//!
//! ```text
//!  links, names, scripts, commands, time
//!      |  Input                        ^  Action
//!      v                               |
//!   Monitor --- Master ---+--- the master itself    +----------------------------+
//!      |          |       +--- its replicas         | Own: run ID, epoch,        |
//!      |          |       +--- the other monitors   | contacts, names, scripts   |
//!      |          +-- ballot, failover              +----------------------------+
//! ```
//!
//! One failover, as it is seen from outside:
//!
//! ```text
//!  t                     monitor A                          monitor B
//!  0        the master stops answering
//!  down-after    +sdown: asks the others          +sdown: answers "down"
//!           +odown: enough others agree
//!           +new-epoch, +try-failover: epoch n is saved, then votes are asked for
//!                                                 +vote-for-leader: saved, then answered
//!           +elected-leader: a majority voted
//!           +selected-slave, and it is told to lead
//!           +promoted-slave: INFO says role:master; from here on its epoch is n
//!           hello with epoch n ---------------->  +config-update-from, +switch-master
//!           +slave-reconf-sent, -inprog, -done
//!           +failover-end, +switch-master
//! ```
//!
//! There are three kinds of epochs: `epoch` is the greatest that a monitor has heard of, a ballot
//! has the epoch of its last vote (one vote in each), and the epoch of a configuration is that in
//! which its failover was elected; the greater one wins everywhere.
//!
//! | file | its one thing |
//! |---|---|
//! | `monitor` | what happens is brought to whom it concerns; tilt; what the file holds |
//! | `own` | what a monitor has besides its masters |
//! | `master` | one master under watch, with its replicas and the other monitors |
//! | `repair` | what nodes say of themselves, and what is put right then |
//! | `instance` | one process under watch, and when it is down |
//! | `contact` | the connections to it |
//! | `info`, `hello` | what nodes and monitors say |
//! | `election` | votes and epochs |
//! | `failover` | its states; which replica is promoted |
//! | `orders` | what operators ask |
//! | `shown` | what people and clients are shown |
//! | `notice` | what is told to the world |
//! | `scripts` | which scripts run when |
//! | `names` | what is known of host names |
//! | `timers` | intervals |
//!
//! All of these are pure: no socket, no clock, no file, and no chance but the seed they are given.
//! The others have these, and decide nothing:
//!
//! | file | its one thing |
//! |---|---|
//! | `directive` | the `sentinel ...` lines of a file, read and written |
//! | `state` | the file with the state of now |
//! | `driver` | the task that does what is to be done |
//! | `link`, `resolve`, `runner` | a socket, a name, a process of a script |
//!
//! Invariants:
//!
//! * A vote, and an epoch in which votes are asked for, are on disk before anybody hears of them.
//! * Time is what callers say, and only ever grows: jumps of the wall clock are not seen at all.
//! * Nothing here waits: not for names, not for scripts, not for the disk.

mod contact;
mod directive;
pub(crate) mod driver;
mod election;
mod failover;
mod hello;
mod info;
mod instance;
mod link;
mod master;
mod monitor;
mod names;
mod notice;
mod orders;
mod own;
mod repair;
mod resolve;
mod runner;
#[cfg(test)]
mod scene;
mod scripts;
mod shown;
#[cfg(test)]
mod sim;
mod state;
mod timers;

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Instant;

use parking_lot::Mutex;
use tokio::sync::{mpsc, watch};

use self::contact::{LinkKind, LinkNo};
pub(crate) use self::hello::CHANNEL as HELLO;
use self::monitor::{Action, Input};
pub(crate) use self::monitor::{Monitor, State};
use self::scripts::{Ended, ScriptNo};
pub(crate) use self::shown::Fields;
use crate::chance;
use crate::clock;
use crate::config::{self, Config, ConfigError, Placed, RewriteError};
pub(crate) use crate::replication::Address;

/// The monitor of this process, as commands and the driver share it.
pub(crate) struct Sentinel {
    /// Milliseconds are counted from here.
    origin: Instant,
    monitor: Mutex<Monitor>,
    /// What is to be done, in the order in which it was decided.
    actions: mpsc::UnboundedSender<Action>,
    /// Until the driver takes it.
    to_do: Mutex<Option<mpsc::UnboundedReceiver<Action>>>,
    file: watch::Sender<File>,
}

/// How the file is.
#[derive(Clone, Copy, Debug, Default)]
struct File {
    /// It has this state, and all before it.
    saved: u64,
    /// This one could not be written.
    failed: u64,
}

/// The state could not be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NotSaved;

/// Why a monitor does not start. `Display` is Redis' text.
#[derive(Debug)]
pub(crate) enum Unfit {
    Line(ConfigError),
    NoFile,
    NotWritable { path: PathBuf, why: RewriteError },
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line(error) => error.fmt(f),
            Self::NoFile => {
                f.write_str("Sentinel needs config file on disk to save state. Exiting...")
            }
            Self::NotWritable { path, why } => {
                let path = path.display();
                write!(
                    f,
                    "Sentinel config file {path} is not writable: {why}. Exiting..."
                )
            }
        }
    }
}

/// Whether there is a program at this path.
pub(crate) fn is_executable(path: &str) -> bool {
    rustix::fs::access(path, rustix::fs::Access::EXEC_OK).is_ok()
}

/// What the lines of a file say. A monitor that has no ID gets one.
///
/// # Errors
///
/// A line cannot be obeyed, or there is no file to write to.
pub(crate) fn read(config: &Config, lines: &[Placed]) -> Result<State, Unfit> {
    if config.file().is_none() {
        return Err(Unfit::NoFile);
    }
    let mut state = directive::read(lines).map_err(Unfit::Line)?;
    if state.id.is_empty() {
        state.id = chance::random_id().into();
    }
    let password = config.text(config::REQUIREPASS);
    state.global.requirepass = (!password.is_empty()).then(|| password.into());
    Ok(state)
}

/// Has the file hold a state for the first time, which shows that it can be written.
///
/// # Errors
///
/// It cannot.
pub(crate) fn establish(config: &Config, state: &State) -> Result<(), Unfit> {
    let path = config.file().unwrap_or(Path::new("")).to_owned();
    state::save(config, state).map_err(|why| Unfit::NotWritable { path, why })
}

impl Sentinel {
    pub(crate) fn new(state: &State) -> Self {
        let seed = u64::from_le_bytes(chance::from_kernel());
        let (actions, to_do) = mpsc::unbounded_channel();
        Self {
            origin: clock::instant(),
            monitor: Mutex::new(Monitor::new(state, seed, 0)),
            actions,
            to_do: Mutex::new(Some(to_do)),
            file: watch::Sender::default(),
        }
    }

    /// Asks the monitor something, or changes it, at this moment; what is to be done then is the
    /// driver's.
    pub(crate) fn with<R>(&self, ask: impl FnOnce(&mut Monitor, u64) -> R) -> R {
        let mut monitor = self.monitor.lock();
        let answer = ask(&mut monitor, self.now_ms());
        let actions = monitor.take_actions();
        // Still with the monitor in hand, for the order is that of the decisions.
        self.act(actions);
        answer
    }

    /// Somebody published this as a hello on our own port.
    pub(crate) fn hear(&self, payload: &[u8]) {
        self.step(Input::Hello(payload));
    }

    fn step(&self, input: Input<'_>) {
        let mut monitor = self.monitor.lock();
        let actions = monitor.step(self.now_ms(), input);
        self.act(actions);
    }

    fn act(&self, actions: Vec<Action>) {
        for action in actions {
            // It fails only when the server ends.
            drop(self.actions.send(action));
        }
    }

    /// What is to be done; for the driver, once.
    fn to_do(&self) -> mpsc::UnboundedReceiver<Action> {
        self.to_do.lock().take().expect("there is one driver")
    }

    /// What the file is to hold, and its generation.
    fn state(&self) -> (u64, State) {
        let monitor = self.monitor.lock();
        (monitor.generation(), monitor.state())
    }

    /// Lets those know who wait for it that the file has a state, or has not.
    fn written(&self, generation: u64, well: bool) {
        self.file.send_modify(|file| match well {
            true => file.saved = file.saved.max(generation),
            false => file.failed = file.failed.max(generation),
        });
    }

    fn now_ms(&self) -> u64 {
        let since = clock::instant().duration_since(self.origin);
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }

    /// Returns once the file has the state of this generation.
    ///
    /// # Errors
    ///
    /// When it could not be written. It may be later.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing.
    pub(crate) async fn saved(&self, generation: u64) -> Result<(), NotSaved> {
        let is_known = |file: &File| file.saved.max(file.failed) >= generation;
        let mut file = self.file.subscribe();
        let file = *file
            .wait_for(is_known)
            .await
            .expect("the sender lives as long as the server");
        match file.saved >= generation {
            true => Ok(()),
            false => Err(NotSaved),
        }
    }
}
