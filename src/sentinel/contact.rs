//! The connections to one process: what was asked over them, and when it answered last.
//!
//! ```text
//!              at most once      driver                 it answers PING with PONG, LOADING
//!              per ping-period*  Connected              or MASTERDOWN
//!   nothing ------------------> opening ------> up ------------------------> valid_ms
//!      ^                           |             |
//!      +---------------------------+-------------+     broken, or given up
//!
//!  (*) twice per down-after if that is more often: one that is closed by the node in passing, as
//!      by whoever changes its role, makes nobody look down
//! ```
//!
//! A data node has two: one for commands and one for messages. Another monitor has one for
//! commands, which all masters share that both watch: so every process is pinged once, however
//! many masters there are.
//!
//! # Invariants
//!
//! * The number of a connection is never used twice, so what is late is told from what is new.
//! * Replies come in the order of the questions; each question knows who asked.
//! * `ping_open_ms` is when the first PING was sent that has no valid answer yet. A new connection
//!   does not move it.

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;

/// A connection that the monitor wants. Numbers are never used twice in one life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct LinkNo(pub(crate) u64);

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LinkKind {
    /// Requests and their replies.
    Commands,
    /// A subscription.
    Messages,
}

/// One process under watch, as one master sees it. Numbers are never used twice in one life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct InstanceNo(pub(crate) u64);

/// The connections to one process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ContactNo(u64);

/// Whose view of a process it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seat {
    pub(crate) master: Arc<str>,
    pub(crate) instance: InstanceNo,
}

/// What a reply is an answer to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Question {
    /// Whatever it says, nobody looks at it.
    Any,
    Hello,
    Info,
    IsDown,
    Ping,
}

/// A question without an answer yet.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) question: Question,
    pub(crate) seat: Seat,
    pub(crate) at_ms: u64,
}

/// One connection.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) no: LinkNo,
    /// When it was asked for.
    since_ms: u64,
    /// When something came last.
    heard_ms: u64,
    /// Our end of it, once it is up.
    local: Option<IpAddr>,
    asked: VecDeque<Asked>,
}

/// What is to be done about a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wish {
    Open(LinkNo, LinkKind),
    Close(LinkNo),
}

/// The intervals that matter to connections.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    pub(crate) ping_period_ms: u64,
    pub(crate) publish_period_ms: u64,
    pub(crate) min_link_reconnect_period_ms: u64,
    pub(crate) down_after_ms: u64,
}

/// A connection that is not there after so long is tried again: a node that has come back answers
/// at once, but what was sent while it was away may be repeated ever more rarely.
const OPENING_MS_MAX: u64 = 3000;

/// So many questions may be open per seat.
const ASKED_MAX: usize = 100;

#[derive(Debug)]
pub(crate) struct Contact {
    commands: Option<Connection>,
    messages: Option<Connection>,
    wants_messages: bool,
    /// Never empty.
    seats: Vec<Seat>,
    tried_ms: Option<u64>,
    /// When the first PING was sent that has no valid answer yet.
    pub(crate) ping_open_ms: Option<u64>,
    ping_sent_ms: Option<u64>,
    /// When it gave a valid answer last.
    pub(crate) valid_ms: u64,
    /// When it gave any answer to PING.
    pub(crate) pong_ms: u64,
}

impl Contact {
    fn new(seat: Seat, wants_messages: bool, now_ms: u64) -> Self {
        Self {
            commands: None,
            messages: None,
            wants_messages,
            seats: vec![seat],
            tried_ms: None,
            ping_open_ms: Some(now_ms),
            ping_sent_ms: None,
            valid_ms: now_ms,
            pong_ms: now_ms,
        }
    }

    /// Whether everything is up that should be.
    pub(crate) fn is_connected(&self) -> bool {
        let is_up = |connection: &Option<Connection>| {
            let connection = connection.as_ref();
            connection.is_some_and(|connection| connection.local.is_some())
        };
        is_up(&self.commands) && (!self.wants_messages || is_up(&self.messages))
    }

    /// The connection for commands, if requests may be sent there.
    pub(crate) fn way(&self) -> Option<LinkNo> {
        let connection = self.commands.as_ref()?;
        connection.local.map(|_| connection.no)
    }

    /// The address from which it is reached.
    pub(crate) fn local(&self) -> Option<IpAddr> {
        self.commands.as_ref().and_then(|commands| commands.local)
    }

    /// Who shares it.
    pub(crate) fn seats(&self) -> &[Seat] {
        &self.seats
    }

    /// How many replies are still to come.
    pub(crate) fn pending(&self) -> usize {
        self.commands.as_ref().map_or(0, |link| link.asked.len())
    }

    /// Whether it lags so far behind that nothing more should be asked.
    pub(crate) fn is_flooded(&self) -> bool {
        self.pending() >= ASKED_MAX * self.seats.len()
    }

    /// Whether this is asked already.
    pub(crate) fn is_asked(&self, question: Question, by: InstanceNo) -> bool {
        let asked = |asked: &Asked| asked.question == question && asked.seat.instance == by;
        let commands = self.commands.as_ref();
        commands.is_some_and(|commands| commands.asked.iter().any(asked))
    }

    /// For how long it has given no valid answer that it should have given.
    pub(crate) fn silent_ms(&self, now_ms: u64) -> u64 {
        let since = match self.ping_open_ms {
            Some(ping_open_ms) => ping_open_ms,
            None if self.is_connected() => now_ms,
            None => self.valid_ms,
        };
        now_ms.saturating_sub(since)
    }

    /// Whether it is time for a PING.
    pub(crate) fn owes_ping(&self, now_ms: u64, period_ms: u64) -> bool {
        let sent = self.ping_sent_ms.map(|sent_ms| now_ms - sent_ms);
        now_ms.saturating_sub(self.pong_ms) > period_ms
            && sent.is_none_or(|since| since > period_ms / 2)
    }

    /// As if it had just been met, and never been tried.
    pub(crate) fn renew(&mut self, now_ms: u64) {
        (self.valid_ms, self.pong_ms) = (now_ms, now_ms);
        (self.ping_open_ms, self.ping_sent_ms) = (Some(now_ms), None);
        self.tried_ms = None;
    }

    /// An answer to PING; whether it is valid.
    pub(crate) fn ponged(&mut self, is_valid: bool, now_ms: u64) {
        if is_valid {
            (self.valid_ms, self.ping_open_ms) = (now_ms, None);
        }
        self.pong_ms = now_ms;
    }

    fn connection(&mut self, link: LinkNo) -> Option<(&mut Connection, LinkKind)> {
        let commands = self.commands.as_mut().map(|it| (it, LinkKind::Commands));
        let messages = self.messages.as_mut().map(|it| (it, LinkKind::Messages));
        let mut both = commands.into_iter().chain(messages);
        both.find(|(connection, _)| connection.no == link)
    }

    /// What is no good any more goes; what is not there is tried again.
    fn look_after(&mut self, no: &mut u64, now_ms: u64, patience: Patience) -> Vec<Wish> {
        let mut wishes = Vec::new();
        let age = |connection: &Connection| now_ms.saturating_sub(connection.since_ms);
        let is_stuck = |connection: &Connection| {
            connection.local.is_none() && age(connection) > OPENING_MS_MAX
        };
        let half = patience.down_after_ms / 2;
        let is_deaf = self.ping_open_ms.is_some_and(|ms| now_ms - ms > half)
            && now_ms.saturating_sub(self.pong_ms) > half;
        let old = patience.min_link_reconnect_period_ms;
        if let Some(commands) = &self.commands
            && (is_stuck(commands) || (is_deaf && age(commands) > old))
        {
            wishes.push(Wish::Close(commands.no));
            self.commands = None;
        }
        // Our own hello comes back over it.
        let silence = 3 * patience.publish_period_ms;
        if let Some(messages) = &self.messages
            && (is_stuck(messages) || (age(messages) > old && now_ms - messages.heard_ms > silence))
        {
            wishes.push(Wish::Close(messages.no));
            self.messages = None;
        }
        let misses_one =
            self.commands.is_none() || (self.wants_messages && self.messages.is_none());
        let is_time = self
            .tried_ms
            .is_none_or(|ms| now_ms - ms >= patience.ping_period_ms.min(half));
        if !misses_one || !is_time {
            return wishes;
        }
        self.tried_ms = Some(now_ms);
        let mut open = |kind| {
            *no += 1;
            let no = LinkNo(*no);
            wishes.push(Wish::Open(no, kind));
            Some(Connection {
                no,
                since_ms: now_ms,
                heard_ms: now_ms,
                local: None,
                asked: VecDeque::new(),
            })
        };
        if self.commands.is_none() {
            self.commands = open(LinkKind::Commands);
            // It counts as pinged from here on, should no connection come of it.
            self.ping_open_ms.get_or_insert(now_ms);
        }
        if self.wants_messages && self.messages.is_none() {
            self.messages = open(LinkKind::Messages);
        }
        wishes
    }

    /// Both connections end.
    fn hang_up(&mut self) -> Vec<LinkNo> {
        let both = self.commands.take().into_iter().chain(self.messages.take());
        both.map(|connection| connection.no).collect()
    }
}

/// All connections to others.
#[derive(Debug, Default)]
pub(crate) struct Contacts {
    contact: u64,
    link: u64,
    all: BTreeMap<ContactNo, Contact>,
    links: BTreeMap<LinkNo, ContactNo>,
}

impl Contacts {
    pub(crate) fn open(&mut self, seat: Seat, wants_messages: bool, now_ms: u64) -> ContactNo {
        self.contact += 1;
        let no = ContactNo(self.contact);
        let contact = Contact::new(seat, wants_messages, now_ms);
        self.all.insert(no, contact);
        no
    }

    /// Somebody else uses the same connections.
    pub(crate) fn share(&mut self, contact: ContactNo, seat: Seat) {
        self.get_mut(contact).seats.push(seat);
    }

    /// The contact with a number.
    ///
    /// # Panics
    ///
    /// When nobody has a seat there any more.
    pub(crate) fn get(&self, no: ContactNo) -> &Contact {
        self.all.get(&no).expect("an instance has a seat there")
    }

    /// The same, to be changed.
    ///
    /// # Panics
    ///
    /// When nobody has a seat there any more.
    pub(crate) fn get_mut(&mut self, no: ContactNo) -> &mut Contact {
        self.all.get_mut(&no).expect("an instance has a seat there")
    }

    /// Gives up a seat; the connections that nobody uses any more are to be closed.
    pub(crate) fn leave(&mut self, no: ContactNo, instance: InstanceNo) -> Vec<LinkNo> {
        let contact = self.get_mut(no);
        contact.seats.retain(|seat| seat.instance != instance);
        if !contact.seats.is_empty() {
            return Vec::new();
        }
        let closed = self.hang_up(no);
        self.all.remove(&no);
        closed
    }

    /// Ends the connections, which are to be closed, and has them made anew.
    pub(crate) fn hang_up(&mut self, no: ContactNo) -> Vec<LinkNo> {
        let closed = self.get_mut(no).hang_up();
        for link in &closed {
            self.links.remove(link);
        }
        closed
    }

    /// Closes what is no good any more, and opens what is missing.
    pub(crate) fn look_after(
        &mut self,
        no: ContactNo,
        now_ms: u64,
        patience: Patience,
    ) -> Vec<Wish> {
        let contact = self.all.get_mut(&no).expect("an instance has a seat there");
        let wishes = contact.look_after(&mut self.link, now_ms, patience);
        for wish in &wishes {
            match *wish {
                Wish::Open(link, _) => self.links.insert(link, no),
                Wish::Close(link) => self.links.remove(&link),
            };
        }
        wishes
    }

    /// A connection is there.
    pub(crate) fn connected(
        &mut self,
        link: LinkNo,
        local: IpAddr,
        now_ms: u64,
    ) -> Option<(ContactNo, LinkKind)> {
        let no = *self.links.get(&link)?;
        let (connection, kind) = self.all.get_mut(&no)?.connection(link)?;
        (connection.local, connection.heard_ms) = (Some(local), now_ms);
        Some((no, kind))
    }

    /// A connection has ended by itself; whether it ever was there.
    pub(crate) fn lost(&mut self, link: LinkNo) -> Option<(ContactNo, LinkKind, bool)> {
        let no = self.links.remove(&link)?;
        let contact = self.all.get_mut(&no)?;
        let (connection, kind) = contact.connection(link)?;
        let was_up = connection.local.is_some();
        match kind {
            LinkKind::Commands => contact.commands = None,
            LinkKind::Messages => contact.messages = None,
        }
        Some((no, kind, was_up))
    }

    /// Something came over a connection.
    pub(crate) fn heard(&mut self, link: LinkNo, now_ms: u64) -> Option<(ContactNo, LinkKind)> {
        let no = *self.links.get(&link)?;
        let (connection, kind) = self.all.get_mut(&no)?.connection(link)?;
        connection.heard_ms = now_ms;
        Some((no, kind))
    }

    /// Notes a question, and says where it is to be sent; `None` when there is no way.
    pub(crate) fn ask(&mut self, no: ContactNo, asked: Asked, now_ms: u64) -> Option<LinkNo> {
        let contact = self.all.get_mut(&no)?;
        if asked.question == Question::Ping {
            contact.ping_sent_ms = Some(now_ms);
            contact.ping_open_ms.get_or_insert(now_ms);
        }
        let commands = contact.commands.as_mut()?;
        commands.local?;
        commands.asked.push_back(asked);
        Some(commands.no)
    }

    /// The question that the next reply answers.
    pub(crate) fn answered(&mut self, no: ContactNo) -> Option<Asked> {
        self.get_mut(no).commands.as_mut()?.asked.pop_front()
    }
}
