//! Clients that wait for keys, first come first served.
//!
//! A command that found nothing and may wait leaves a *ticket* in the line of each of its keys.
//! Whoever changes such a key runs the tickets in line, oldest first, on its own thread, right
//! after its own command: each ticket holds the waiting command, resolved, and runs it again. A
//! ticket that finds something carries the reply to its connection and leaves all its lines; one
//! that does not keeps its place. So the order is that of Redis, nobody who comes later takes what
//! somebody was waiting for, and one new entry wakes one consumer of a group, not all.
//!
//! No wake-up is lost: a ticket is in line, and events are being recorded, *before* its command
//! looks a last time; whoever changes the stream before that look is seen by it, and whoever
//! changes it later sees the ticket.
//!
//! Locks: world < ticket < stream < log, and a line is never locked while a ticket runs.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use foldhash::{HashMap, HashSet};
use headwater_resp::{Protocol, Writer};
use headwater_store::{Cold, KeyEvent, Loaded, Lsn};
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::command::{Again, AtLast, Data, Door, Halt, Lookups, Park, Served};
use crate::execute::refused;
use crate::loading::Opened;
use crate::refusal::Refusal;
use crate::server::Server;

/// The lines of all keys.
#[derive(Default)]
pub(crate) struct Waiters {
    lines: Mutex<Lines>,
}

#[derive(Default)]
struct Lines {
    by_key: HashMap<Place, VecDeque<Arc<Ticket>>>,
    /// Tickets in any line.
    tickets: usize,
}

/// A database and a key of it, present or not.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Place {
    db: u8,
    key: Arc<[u8]>,
}

/// One client's place in the lines of the keys that it waits for.
pub(crate) struct Ticket {
    /// The life of the data in which its command found nothing.
    life: u64,
    db: u8,
    keys: Vec<Arc<[u8]>>,
    group: Option<Box<[u8]>>,
    /// Whether it stands in its lines; changed while they are locked.
    in_line: AtomicBool,
    protocol: Protocol,
    state: Mutex<State>,
    called: Notify,
}

enum State {
    Waiting(Waiting),
    Answered(Answer),
    /// The answer is taken, or the client is gone.
    Left,
}

struct Waiting {
    again: Again,
    at_last: AtLast,
    /// What the command lacked when it ran last.
    cold: Option<Cold>,
}

/// The reply to a client that waited.
pub(crate) struct Answer {
    pub(crate) reply: Vec<u8>,
    /// Of the life of the data in which the wait began.
    pub(crate) depends_on: Lsn,
    pub(crate) refusal: Option<Refusal>,
}

/// How a client that waits is sent away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unblock {
    /// As if its time were up.
    Timeout,
    Error,
    /// What it waits for will not come: this server is a replica now, or has other data.
    Changed,
}

impl Ticket {
    fn place(&self, key: &Arc<[u8]>) -> Place {
        Place {
            db: self.db,
            key: Arc::clone(key),
        }
    }

    /// Returns when the ticket has an answer, or with the blocks that its command lacks: whoever
    /// waits here loads them, and [looks](Waiters::look) with them.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing; the answer stays with the ticket.
    pub(crate) async fn called(&self) -> Option<Cold> {
        loop {
            self.called.notified().await;
            let State::Waiting(waiting) = &mut *self.state.lock() else {
                return None;
            };
            // A call may be for what has been taken before.
            if let Some(cold) = waiting.cold.take() {
                return Some(cold);
            }
        }
    }

    /// Takes the answer, if there is one.
    pub(crate) fn take_answer(&self) -> Option<Answer> {
        let mut state = self.state.lock();
        match std::mem::replace(&mut *state, State::Left) {
            State::Answered(answer) => Some(answer),
            other => {
                *state = other;
                None
            }
        }
    }

    /// Ends the wait: with the answer, if one came first; else as its command says.
    pub(crate) fn time_up(&self) -> Answer {
        self.unblock(Unblock::Timeout);
        self.take_answer().unwrap_or(Answer {
            reply: Vec::new(),
            depends_on: Lsn::ZERO,
            refusal: None,
        })
    }

    /// Answers in place of the keys. Says whether the ticket was still waiting.
    pub(crate) fn unblock(&self, how: Unblock) -> bool {
        self.end(match how {
            Unblock::Timeout => None,
            Unblock::Error => Some(Refusal::UnblockedByClient),
            Unblock::Changed => Some(Refusal::UnblockedByChange),
        })
    }

    /// Answers that the command cannot have what it found.
    pub(crate) fn refuse(&self, refusal: Refusal) {
        self.end(Some(refusal));
    }

    /// Answers, if nobody has: with a refusal, or as the command does when the time is up.
    fn end(&self, refusal: Option<Refusal>) -> bool {
        let mut state = self.state.lock();
        let at_last = match std::mem::replace(&mut *state, State::Left) {
            State::Waiting(waiting) => waiting.at_last,
            other => {
                *state = other;
                return false;
            }
        };
        let mut reply = Vec::new();
        let mut out = Writer::new(&mut reply, self.protocol);
        match &refusal {
            None => at_last(&mut out),
            Some(refusal) => out.error(refusal),
        }
        *state = State::Answered(Answer {
            reply,
            depends_on: Lsn::ZERO,
            refusal,
        });
        self.called.notify_one();
        true
    }

    /// Runs the waiting command again, with what was loaded for it. Says whether the ticket has
    /// done with waiting. One that lacks blocks has not: its connection is called to load them.
    fn run(&self, server: &Server, opened: &Arc<Opened>, loaded: &Loaded, now: u64) -> bool {
        let mut reply = Vec::new();
        let mut alone = false;
        let (mut state, result, depends_on) = loop {
            let access = Door::of(Some(opened), alone, loaded);
            // Behind the world: CLIENT UNBLOCK comes with the world in its hands.
            let mut state = self.state.lock();
            let State::Waiting(waiting) = &mut *state else {
                return true;
            };
            let out = Writer::new(&mut reply, self.protocol);
            let mut data = Data {
                server,
                opened: Some(opened),
                access,
                out,
                now,
                db: self.db,
                lookups: Lookups::default(),
            };
            let result = (waiting.again)(&mut data);
            let depends_on = data.access.take_depends_on();
            drop(data);
            if !matches!(result, Err(Halt::Alone)) {
                break (state, result, depends_on);
            }
            reply.clear();
            alone = true;
        };
        let refusal = match result {
            Ok(Served::NotYet) => return false,
            Ok(Served::Yes) => None,
            Err(Halt::Cold(cold)) => {
                if let State::Waiting(waiting) = &mut *state {
                    waiting.cold = Some(cold);
                }
                self.called.notify_one();
                return false;
            }
            Err(halt) => {
                let refusal = refused(halt);
                reply.clear();
                Writer::new(&mut reply, self.protocol).error(&refusal);
                Some(refusal)
            }
        };
        *state = State::Answered(Answer {
            reply,
            depends_on,
            refusal,
        });
        self.called.notify_one();
        true
    }
}

impl Waiters {
    /// Takes a place in line for a command that found nothing, and looks once more.
    pub(crate) fn park(
        &self,
        server: &Server,
        life: u64,
        db: u8,
        protocol: Protocol,
        park: Park,
        now: u64,
    ) -> Arc<Ticket> {
        let ticket = Arc::new(Ticket {
            life,
            db,
            keys: park.keys,
            group: park.group,
            in_line: AtomicBool::new(false),
            protocol,
            state: Mutex::new(State::Waiting(Waiting {
                again: park.again,
                at_last: park.at_last,
                cold: None,
            })),
            called: Notify::new(),
        });
        if !ticket.keys.is_empty() {
            let mut lines = self.lines.lock();
            lines.enter(&ticket);
            lines.watch(server);
        }
        self.look(server, &ticket, &Loaded::default(), now);
        ticket
    }

    /// Looks again on behalf of a ticket, for which something was loaded or which waits for
    /// something else than keys.
    /// While the data are loaded there is nothing to be seen.
    pub(crate) fn look(&self, server: &Server, ticket: &Arc<Ticket>, loaded: &Loaded, now: u64) {
        if let Some(opened) = server.loading.opened()
            && opened.life == ticket.life
            && ticket.run(server, &opened, loaded, now)
        {
            self.leave(server, ticket);
        }
    }

    /// Takes a ticket out of its lines; once is enough, and more does no harm.
    pub(crate) fn leave(&self, server: &Server, ticket: &Arc<Ticket>) {
        if !ticket.keys.is_empty() {
            self.leave_all(server, std::slice::from_ref(ticket));
        }
    }

    fn leave_all(&self, server: &Server, tickets: &[Arc<Ticket>]) {
        let mut lines = self.lines.lock();
        lines.leave(tickets);
        lines.watch(server);
    }

    /// Serves those who wait for the keys that were changed, in the order in which they came.
    pub(crate) fn serve(
        &self,
        server: &Server,
        opened: &Arc<Opened>,
        events: &[KeyEvent],
        now: u64,
    ) {
        for event in events {
            let place = Place {
                db: event.db,
                key: Arc::clone(&event.key),
            };
            let line: Vec<Arc<Ticket>> = match self.lines.lock().by_key.get(&place) {
                Some(line) => line.iter().cloned().collect(),
                None => continue,
            };
            // Once a reader of a group finds nothing, neither do those behind it.
            let mut nothing_for: HashSet<&[u8]> = HashSet::default();
            let mut served = Vec::new();
            for ticket in &line {
                let group = ticket.group.as_deref();
                if group.is_some_and(|group| nothing_for.contains(group)) {
                    continue;
                }
                if ticket.life != opened.life {
                    continue;
                }
                if ticket.run(server, opened, &Loaded::default(), now) {
                    served.push(Arc::clone(ticket));
                } else if let Some(group) = group {
                    nothing_for.insert(group);
                }
            }
            if !served.is_empty() {
                self.leave_all(server, &served);
            }
        }
    }

    /// Has data that were opened just now tell what happens to keys.
    pub(crate) fn reopened(&self, server: &Server) {
        self.lines.lock().watch(server);
    }

    /// How many keys somebody waits for, and how many of them in the name of a group.
    pub(crate) fn keys_waited_for(&self) -> (usize, usize) {
        let lines = self.lines.lock();
        let of_groups = lines
            .by_key
            .values()
            .filter(|line| line.iter().any(|ticket| ticket.group.is_some()))
            .count();
        (lines.by_key.len(), of_groups)
    }
}

impl Lines {
    /// Has the data tell what happens to keys while anybody waits for one.
    fn watch(&self, server: &Server) {
        if let Some(opened) = server.loading.opened() {
            opened.store.watch_keys(self.tickets > 0);
        }
    }

    /// Puts a ticket at the end of the lines of its keys.
    fn enter(&mut self, ticket: &Arc<Ticket>) {
        self.tickets += 1;
        ticket.in_line.store(true, Ordering::Relaxed);
        for key in &ticket.keys {
            let line = self.by_key.entry(ticket.place(key)).or_default();
            line.push_back(Arc::clone(ticket));
        }
    }

    /// Takes tickets out of their lines, each line once. Those that stand in none do not matter.
    fn leave(&mut self, tickets: &[Arc<Ticket>]) {
        let mut places: HashSet<Place> = HashSet::default();
        for ticket in tickets {
            if ticket.in_line.swap(false, Ordering::Relaxed) {
                self.tickets -= 1;
                places.extend(ticket.keys.iter().map(|key| ticket.place(key)));
            }
        }
        for place in places {
            if let Some(line) = self.by_key.get_mut(&place) {
                line.retain(|ticket| ticket.in_line.load(Ordering::Relaxed));
                if line.is_empty() {
                    self.by_key.remove(&place);
                }
            }
        }
    }
}
