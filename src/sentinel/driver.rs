//! Does what a monitor decides, and tells it what comes of it.
//!
//! ```text
//!  links, names, scripts, disk --Came--> step --+
//!  time ---------------------------Tick--> step-+--Action--> connect, send, save, tell, ...
//!  commands (on their connections' threads) ----+
//! ```
//!
//! One task does all actions, in the order in which they were decided, and waits for none of them.
//! The file is written on a thread that may wait, one write at a time: changes that come meanwhile
//! are in the next.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use headwater_resp::encode_request;
use headwater_resp::reply::Reply;
use tokio::sync::mpsc;

use super::contact::LinkNo;
use super::link::Link;
use super::monitor::{Action, Input, Monitor};
use super::notice::{Level, Notice};
use super::resolve::resolve;
use super::runner::Running;
use super::scripts::{Ended, ScriptNo};
use super::{Sentinel, state};
use crate::clock;
use crate::config::RewriteError;
use crate::pubsub::{Publication, Terms};
use crate::server::{Reason, Server};

/// Something that came from outside, as it travels to the driver.
#[derive(Debug)]
pub(super) enum Came {
    Connected {
        link: LinkNo,
        local: IpAddr,
    },
    Lost {
        link: LinkNo,
        why: String,
    },
    Reply {
        link: LinkNo,
        reply: Reply,
    },
    Message {
        link: LinkNo,
        channel: Vec<u8>,
        payload: Vec<u8>,
    },
    Resolved {
        name: Box<str>,
        ip: Option<IpAddr>,
    },
    /// What came of writing the state of this generation down.
    Written {
        generation: u64,
        result: Result<(), RewriteError>,
    },
    ScriptStarted {
        script: ScriptNo,
        pid: u32,
    },
    ScriptEnded {
        script: ScriptNo,
        how: Ended,
    },
}

/// So much may come before those who bring it have to wait.
const CAME_MAX: usize = 1024;

/// Ticks come in times between these: monitors are not to act in step.
const TICK_MS: (u64, u64) = (53, 100);

/// A file that could not be written is tried again so often.
const RETRY: Duration = Duration::from_secs(1);

/// Drives the monitor for as long as the server runs, or until it is to crash.
pub(crate) async fn run(server: Arc<Server>) {
    let sentinel = server.sentinel();
    let mut actions = sentinel.to_do();
    let (came_from, mut came) = mpsc::channel(CAME_MAX);
    let mut driver = Driver {
        server: &server,
        sentinel,
        came: came_from,
        links: BTreeMap::new(),
        scripts: BTreeMap::new(),
        is_writing: false,
        is_behind: false,
        retry: None,
    };
    sentinel.with(Monitor::begin);
    let mut tick = Box::pin(tokio::time::sleep(driver.tick()));
    loop {
        tokio::select! {
            biased;
            action = actions.recv() => match action {
                Some(Action::Exit) => return server.shutdown.request(Reason::Simulated),
                Some(action) => driver.perform(action),
                None => unreachable!("the sender lives as long as the server"),
            },
            () = &mut tick => {
                driver.retry();
                sentinel.step(Input::Tick);
                tick = Box::pin(tokio::time::sleep(driver.tick()));
            }
            came = came.recv() => driver.take(came.expect("a sender is kept here")),
        }
    }
}

struct Driver<'a> {
    server: &'a Arc<Server>,
    sentinel: &'a Sentinel,
    came: mpsc::Sender<Came>,
    links: BTreeMap<LinkNo, Link>,
    scripts: BTreeMap<ScriptNo, Running>,
    /// The file is being written.
    is_writing: bool,
    /// There are changes that are not in what is being written.
    is_behind: bool,
    /// The file could not be written, and is tried again then.
    retry: Option<Instant>,
}

impl Driver<'_> {
    /// How long it is to the next tick.
    fn tick(&self) -> Duration {
        let (least, most) = TICK_MS;
        Duration::from_millis(least + self.server.chance.next() % (most - least))
    }

    fn perform(&mut self, action: Action) {
        match action {
            Action::Connect { link, kind, to } => {
                let opened = Link::open(link, kind, to, self.came.clone());
                self.links.insert(link, opened);
            }
            Action::Close { link } => drop(self.links.remove(&link)),
            Action::Send { link, words } => self.send(link, &words),
            Action::Resolve { name } => {
                tokio::spawn(resolve(name, self.came.clone()));
            }
            Action::Tell(notice) => self.tell(&notice),
            Action::Save => self.save(),
            Action::Start { script, argv } => {
                let running = Running::start(script, &argv, self.came.clone());
                self.scripts
                    .extend(running.map(|running| (script, running)));
            }
            Action::Kill { script } => {
                if let Some(running) = self.scripts.remove(&script) {
                    running.kill();
                }
            }
            Action::Exit => unreachable!("nothing is done any more"),
        }
    }

    fn send(&mut self, link: LinkNo, words: &[Vec<u8>]) {
        let mut request = Vec::new();
        encode_request(&mut request, words);
        let sent = self.links.get(&link).is_none_or(|it| it.send(request));
        if !sent {
            self.links.remove(&link);
            let why = "it takes no requests";
            self.sentinel.step(Input::Lost { link, why });
        }
    }

    fn tell(&self, notice: &Notice) {
        let Notice { level, event, text } = notice;
        match level {
            Level::Debug | Level::Verbose => tracing::debug!("{event} {text}"),
            Level::Notice => tracing::info!("{event} {text}"),
            Level::Warning => tracing::warn!("{event} {text}"),
        }
        if *level != Level::Debug {
            let (channel, message) = (event.as_bytes(), text.as_bytes());
            let publication = Publication::to(channel, message);
            self.server.pubsub.publish(publication, &Terms::default());
        }
    }

    /// Has the state of now written, unless something is being written.
    fn save(&mut self) {
        self.is_behind = self.is_writing;
        if self.is_writing {
            return;
        }
        self.is_writing = true;
        let (generation, state) = self.sentinel.state();
        let (server, came) = (Arc::clone(self.server), self.came.clone());
        tokio::task::spawn_blocking(move || {
            let result = state::save(&server.config, &state);
            // It fails only when the server ends.
            drop(came.blocking_send(Came::Written { generation, result }));
        });
    }

    fn written(&mut self, generation: u64, result: Result<(), RewriteError>) {
        self.is_writing = false;
        self.sentinel.written(generation, result.is_ok());
        match result {
            Ok(()) => {
                if self.retry.take().is_some() {
                    tracing::warn!("the state can be written again");
                }
                self.sentinel.step(Input::Saved { generation });
                if self.is_behind {
                    self.save();
                }
            }
            Err(error) => {
                let retry = clock::instant() + RETRY;
                if self.retry.replace(retry).is_none() {
                    tracing::error!("the state cannot be written: {error}");
                }
                self.sentinel.step(Input::NotSaved);
            }
        }
    }

    /// Tries again to write what could not be written.
    fn retry(&mut self) {
        if self.retry.is_some_and(|at| at <= clock::instant()) && !self.is_writing {
            self.save();
        }
    }

    fn take(&mut self, came: Came) {
        let sentinel = self.sentinel;
        match came {
            Came::Connected { link, local } => sentinel.step(Input::Connected { link, local }),
            Came::Lost { link, why } => {
                self.links.remove(&link);
                sentinel.step(Input::Lost { link, why: &why });
            }
            Came::Reply { link, reply } => {
                let reply = &reply;
                sentinel.step(Input::Reply { link, reply });
            }
            Came::Message {
                link,
                channel,
                payload,
            } => sentinel.step(Input::Message {
                link,
                channel: &channel,
                payload: &payload,
            }),
            Came::Resolved { name, ip } => sentinel.step(Input::Resolved { name: &name, ip }),
            Came::Written { generation, result } => self.written(generation, result),
            Came::ScriptStarted { script, pid } => {
                sentinel.step(Input::ScriptStarted { script, pid });
            }
            Came::ScriptEnded { script, how } => {
                self.scripts.remove(&script);
                sentinel.step(Input::ScriptEnded { script, how });
            }
        }
    }
}
