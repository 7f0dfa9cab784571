//! Publish and subscribe: who hears what, and what waits for them.
//!
//! ```text
//!  PUBLISH, EXEC -----.                       .--> outbox --> a subscriber's connection
//!  a monitor's events -+--> publish --> names +--> outbox --> another's
//!  a master's messages '                      '--> relay ---> a replica (replication/feed)
//! ```
//!
//! Publishing finds those who hear a channel, puts a reference to one encoded message into the
//! outbox of each, wakes who slept, and returns. It waits for nobody and touches no socket: each
//! connection empties its own outbox, among its replies, in the order in which things happened.
//!
//! Nothing here needs data. Whoever has some says with a message what it depends on ([`Terms`]),
//! and the connections of its subscribers wait for that as they do for what their replies depend
//! on. Whoever has none publishes on `Terms::default()`.
//!
//! Invariants:
//!
//! * Everybody sees the messages that they hear in the same order: there is one lock, and a message
//!   is in all outboxes before the next is in any.
//! * An outbox holds at most what `client-output-buffer-limit` allows, a relay at most
//!   [`RELAY_BYTES`](relay::RELAY_BYTES).
//! * A name is here as long as somebody subscribes to it.
//!
//! Locks: world < registry < outbox, relay.

mod outbox;
mod relay;
mod subscriber;

use std::sync::Arc;

use headwater_resp::{Request, encode_request};
use headwater_store::Lsn;
use indexmap::{IndexMap, IndexSet};
use parking_lot::Mutex;

pub(crate) use self::outbox::Mail;
use self::outbox::{Message, Outbox, Wakers};
use self::relay::Queue;
pub(crate) use self::relay::Relay;
pub(crate) use self::subscriber::Subscriber;
use crate::commits::Point;
use crate::glob::{self, Case};

type Hash = foldhash::fast::RandomState;

/// Those who subscribe to a name, by the ID of their connection.
type Hearers = IndexMap<u64, Arc<Outbox>, Hash>;

/// What one subscribes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Channel,
    /// All channels whose names match.
    Pattern,
    /// A channel of a shard, which has names of its own. Patterns do not concern it.
    Shard,
}

impl Kind {
    pub(crate) const ALL: [Self; 3] = [Self::Channel, Self::Pattern, Self::Shard];
}

/// Who hears what. Cloning gives another hand on the same registry.
#[derive(Clone, Default)]
pub(crate) struct PubSub(Arc<Mutex<Registry>>);

#[derive(Default)]
struct Registry {
    /// By [`Kind`].
    names: [IndexMap<Arc<[u8]>, Hearers, Hash>; 3],
    /// What each connection subscribes to, if it is anything.
    members: IndexMap<u64, Names, Hash>,
    relays: Vec<Arc<Queue>>,
    /// The bytes that may wait in one outbox; 0 is no limit.
    outbox_bytes: u64,
}

/// What a connection subscribes to, by [`Kind`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Names([IndexSet<Arc<[u8]>, Hash>; 3]);

/// Something to be published.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Publication<'a> {
    channel: &'a [u8],
    message: &'a [u8],
    /// Whether the channel is one of a shard.
    is_shard: bool,
}

/// What a message waits for, and who hears of it besides subscribers.
#[derive(Clone, Default)]
pub(crate) struct Terms {
    /// No subscriber gets it before this is committed.
    pub(crate) after: Option<Point>,
    /// Replicas get it, behind the log up to this place.
    pub(crate) relay_at: Option<Lsn>,
}

/// A message whose receivers are found, and that is not sent yet: EXEC sends what it published
/// once its changes are made.
pub(crate) struct Post {
    /// What to send, and to whom.
    letters: Vec<(Message, Vec<Arc<Outbox>>)>,
    request: Vec<u8>,
}

impl PubSub {
    /// Publishes a message: on `Terms::default()` at once and here only. Says how many
    /// subscriptions it meets.
    pub(crate) fn publish(&self, publication: Publication<'_>, terms: &Terms) -> usize {
        // Woken when the registry is free again.
        let mut wakers = Wakers::default();
        let registry = self.0.lock();
        let mut receivers = 0;
        for (mut message, hearers) in registry.heard(publication) {
            receivers += hearers.len();
            message.after = terms.after.clone();
            registry.send(message, hearers.values(), &mut wakers);
        }
        if let Some(at) = terms.relay_at {
            registry.relay(at, || publication.request(), &mut wakers);
        }
        receivers
    }

    /// Finds out whom a message is for, now. It is [sent](Self::send) later.
    pub(crate) fn address(&self, publication: Publication<'_>) -> Post {
        let registry = self.0.lock();
        let letters = registry.heard(publication);
        let letters =
            letters.map(|(message, hearers)| (message, hearers.values().cloned().collect()));
        Post {
            letters: letters.collect(),
            request: publication.request(),
        }
    }

    /// Sends messages, in this order.
    pub(crate) fn send(&self, posts: Vec<Post>, terms: &Terms) {
        let mut wakers = Wakers::default();
        let registry = self.0.lock();
        for post in posts {
            for (mut message, outboxes) in post.letters {
                message.after = terms.after.clone();
                registry.send(message, outboxes.iter(), &mut wakers);
            }
            if let Some(at) = terms.relay_at {
                registry.relay(at, || post.request, &mut wakers);
            }
        }
    }

    /// Says how many bytes may wait in one outbox; 0 is no limit.
    pub(crate) fn set_outbox_bytes(&self, bytes: u64) {
        self.0.lock().outbox_bytes = bytes;
    }

    /// A connection, by its ID, that may subscribe from now on; until it is dropped.
    pub(crate) fn subscriber(&self, id: u64) -> Subscriber {
        Subscriber::new(self.clone(), id)
    }

    /// Ends all subscriptions of a connection, which is about to end.
    pub(crate) fn expel(&self, id: u64) {
        self.0.lock().expel(id);
    }

    /// Has a replica hear everything that is published here from now on, until it is dropped.
    pub(crate) fn relay(&self) -> Relay {
        let queue = Arc::default();
        self.0.lock().relays.push(Arc::clone(&queue));
        Relay::new(self.clone(), queue)
    }

    fn unrelay(&self, queue: &Arc<Queue>) {
        let mut registry = self.0.lock();
        registry.relays.retain(|other| !Arc::ptr_eq(other, queue));
    }

    /// Names of a kind that somebody subscribes to and that match a pattern.
    pub(crate) fn names(&self, kind: Kind, pattern: &[u8]) -> Vec<Arc<[u8]>> {
        // A pattern may take its time.
        let mut names: Vec<_> = {
            let registry = self.0.lock();
            registry.names[kind as usize].keys().cloned().collect()
        };
        names.retain(|name| glob::matches(pattern, name, Case::Exact));
        names
    }

    /// How many subscribe to a name.
    pub(crate) fn hearers(&self, kind: Kind, name: &[u8]) -> usize {
        let registry = self.0.lock();
        let hearers = registry.names[kind as usize].get(name);
        hearers.map_or(0, IndexMap::len)
    }

    /// How many names of a kind somebody subscribes to.
    pub(crate) fn count(&self, kind: Kind) -> usize {
        self.0.lock().names[kind as usize].len()
    }

    /// How many connections subscribe to anything.
    pub(crate) fn subscribers(&self) -> usize {
        self.0.lock().members.len()
    }
}

impl Registry {
    /// The messages that a publication comes to, each encoded once, and who gets them: those of the
    /// channel, and of each pattern that its name matches.
    fn heard(&self, publication: Publication<'_>) -> impl Iterator<Item = (Message, &Hearers)> {
        let Publication {
            channel,
            message,
            is_shard,
        } = publication;
        let (kind, name): (_, &[u8]) = if is_shard {
            (Kind::Shard, b"smessage")
        } else {
            (Kind::Channel, b"message")
        };
        let named = self.names[kind as usize].get(channel);
        let named = named.map(move |all| (Message::of([name, channel, message]), all));
        let patterns = self.names[Kind::Pattern as usize].iter();
        let matching = patterns
            .filter(move |(pattern, _)| !is_shard && glob::matches(pattern, channel, Case::Exact));
        let matching = matching.map(move |(pattern, all)| {
            (Message::of([b"pmessage", pattern, channel, message]), all)
        });
        named.into_iter().chain(matching)
    }

    fn send<'a>(
        &self,
        message: Message,
        outboxes: impl Iterator<Item = &'a Arc<Outbox>>,
        wakers: &mut Wakers,
    ) {
        let message = Arc::new(message);
        for outbox in outboxes {
            outbox.put(&message, self.outbox_bytes, wakers);
        }
    }

    fn relay(&self, at: Lsn, request: impl FnOnce() -> Vec<u8>, wakers: &mut Wakers) {
        if self.relays.is_empty() {
            return;
        }
        let request: Arc<[u8]> = request().into();
        for relay in &self.relays {
            relay.put(at, &request, wakers);
        }
    }

    /// Subscribes a connection to a name, unless it is. Says to how many of the kind it is then.
    fn enter(&mut self, kind: Kind, name: &[u8], id: u64, outbox: &Arc<Outbox>) -> usize {
        let member = self.members.entry(id).or_default().of_mut(kind);
        if !member.contains(name) {
            let names = &mut self.names[kind as usize];
            let known = names.get_key_value(name).map(|(name, _)| Arc::clone(name));
            let name = known.unwrap_or_else(|| name.into());
            member.insert(Arc::clone(&name));
            let hearers = names.entry(name).or_default();
            hearers.insert(id, Arc::clone(outbox));
        }
        member.len()
    }

    /// Ends a subscription, if there is one. Says how many of the kind there are then.
    fn leave(&mut self, kind: Kind, name: &[u8], id: u64) -> usize {
        let Some(member) = self.members.get_mut(&id) else {
            return 0;
        };
        let was_there = member.of_mut(kind).swap_remove(name);
        let left = member.of(kind).len();
        if member.is_empty() {
            self.members.swap_remove(&id);
        }
        if was_there {
            self.unlist(kind, name, id);
        }
        left
    }

    fn expel(&mut self, id: u64) {
        let names = self.members.swap_remove(&id).unwrap_or_default();
        for kind in Kind::ALL {
            for name in names.of(kind) {
                self.unlist(kind, name, id);
            }
        }
    }

    fn unlist(&mut self, kind: Kind, name: &[u8], id: u64) {
        let names = &mut self.names[kind as usize];
        if let Some(hearers) = names.get_mut(name) {
            hearers.swap_remove(&id);
            if hearers.is_empty() {
                names.swap_remove(name);
            }
        }
    }
}

impl Names {
    fn of(&self, kind: Kind) -> &IndexSet<Arc<[u8]>, Hash> {
        &self.0[kind as usize]
    }

    fn of_mut(&mut self, kind: Kind) -> &mut IndexSet<Arc<[u8]>, Hash> {
        &mut self.0[kind as usize]
    }

    fn is_empty(&self) -> bool {
        self.0.iter().all(IndexSet::is_empty)
    }
}

impl<'a> Publication<'a> {
    pub(crate) fn to(channel: &'a [u8], message: &'a [u8]) -> Self {
        Self {
            channel,
            message,
            is_shard: false,
        }
    }

    pub(crate) fn to_shard(channel: &'a [u8], message: &'a [u8]) -> Self {
        Self {
            is_shard: true,
            ..Self::to(channel, message)
        }
    }

    /// What a request publishes, if it does.
    pub(crate) fn read(request: Request<'a>) -> Option<Self> {
        let mut words = request.words();
        let (Some(name), Some(channel), Some(message), None) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            return None;
        };
        let is = |other: &[u8]| name.eq_ignore_ascii_case(other);
        if is(b"PUBLISH") {
            Some(Self::to(channel, message))
        } else {
            is(b"SPUBLISH").then(|| Self::to_shard(channel, message))
        }
    }

    /// The request that publishes it.
    pub(crate) fn request(&self) -> Vec<u8> {
        let name = if self.is_shard { "SPUBLISH" } else { "PUBLISH" };
        let mut request = Vec::new();
        encode_request(&mut request, [name.as_bytes(), self.channel, self.message]);
        request
    }
}

impl Post {
    /// How many subscriptions it meets.
    pub(crate) fn receivers(&self) -> usize {
        self.letters
            .iter()
            .map(|(_, outboxes)| outboxes.len())
            .sum()
    }
}

#[cfg(test)]
mod tests;
