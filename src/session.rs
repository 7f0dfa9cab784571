//! What a connection has said so far.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use headwater_resp::{Protocol, Writer};
use headwater_store::{Lsn, StreamNo};

use crate::clients::Client;
use crate::command::Queued;
use crate::commits::Commits;
use crate::pubsub::{Kind, Names, PubSub, Subscriber};
use crate::replication::wire::Hello;

/// The state of one conversation. Owned by its connection; what others may see of it is in
/// [`Client`].
pub(crate) struct Session {
    pub(crate) client: Arc<Client>,
    pub(crate) db: u8,
    pub(crate) protocol: Protocol,
    pub(crate) authenticated: bool,
    pub(crate) transaction: Option<Transaction>,
    pub(crate) watched: Vec<Watched>,
    pub(crate) replies: Replies,
    /// The connection closes once what was said is written.
    pub(crate) closing: bool,
    /// The life of the data that was last seen, and those who wait for its log; none when there
    /// have been no data.
    pub(crate) life: u64,
    pub(crate) commits: Option<Arc<Commits>>,
    /// The LSN, of that life, that the replies written so far depend on.
    pub(crate) depends_on: Lsn,
    /// The state of a monitor that the replies written so far depend on.
    pub(crate) needs_state: u64,
    /// It has made the data grow since it last rested.
    pub(crate) adds: bool,
    /// What it hears; none until it subscribes to something.
    pub(crate) subscriber: Option<Box<Subscriber>>,
    /// Others have heard of it since they last had their turn.
    pub(crate) publishes: bool,
    /// What it has said of itself if it is to become a replica's.
    pub(crate) hello: Hello,
    /// Requests that came to their end.
    pub(crate) commands: u64,
}

/// Commands between MULTI and EXEC.
#[derive(Default)]
pub(crate) struct Transaction {
    pub(crate) queued: Vec<Queued>,
    /// A command was refused when it was queued: EXEC will discard the transaction.
    pub(crate) refused: bool,
    /// How many bytes the queued requests take.
    pub(crate) bytes: usize,
}

/// A key under WATCH, as it was.
pub(crate) struct Watched {
    /// In this life of the data.
    pub(crate) life: u64,
    pub(crate) db: u8,
    pub(crate) key: Box<[u8]>,
    /// The stream that was there and its version; `None` when there was none.
    pub(crate) was: Option<(StreamNo, u64)>,
}

/// What `CLIENT REPLY` said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Replies {
    On,
    Off,
    /// Not the reply of the command that is running, then on again.
    SkipThis,
    /// Not the reply of the command after the one that is running.
    SkipNext,
}

impl Session {
    pub(crate) fn new(client: Arc<Client>, authenticated: bool) -> Self {
        Self {
            client,
            db: 0,
            protocol: Protocol::Resp2,
            authenticated,
            transaction: None,
            watched: Vec::new(),
            replies: Replies::On,
            closing: false,
            life: 0,
            commits: None,
            depends_on: Lsn::ZERO,
            needs_state: 0,
            adds: false,
            subscriber: None,
            publishes: false,
            hello: Hello::default(),
            commands: 0,
        }
    }

    /// Counts a request that came to its end, and takes back its reply, which is `out` from
    /// `start` on, if `CLIENT REPLY` says so and it is no push.
    pub(crate) fn end_request(&mut self, out: &mut Vec<u8>, start: usize, is_push: bool) {
        self.commands += 1;
        self.replies = match self.replies {
            Replies::On => return,
            Replies::Off => Replies::Off,
            Replies::SkipThis => Replies::On,
            Replies::SkipNext => Replies::SkipThis,
        };
        if !is_push {
            out.truncate(start);
        }
    }

    /// The subscriber that it is, or becomes.
    pub(crate) fn subscriber(&mut self, pubsub: &PubSub) -> &mut Subscriber {
        let id = self.client.id;
        self.subscriber
            .get_or_insert_with(|| Box::new(pubsub.subscriber(id)))
    }

    /// Whether it subscribes to anything.
    pub(crate) fn is_subscribed(&self) -> bool {
        let subscriber = self.subscriber.as_ref();
        subscriber.is_some_and(|subscriber| subscriber.is_subscribed())
    }

    /// Whether it takes everything that comes for a message: it could not tell a reply from one.
    pub(crate) fn hears_messages_only(&self) -> bool {
        self.protocol == Protocol::Resp2 && self.is_subscribed()
    }

    /// What it subscribes to.
    pub(crate) fn subscriptions(&self) -> Names {
        let subscriber = self.subscriber.as_ref();
        subscriber.map_or_else(Names::default, |subscriber| subscriber.names())
    }

    /// Has it subscribe to what it did once.
    pub(crate) fn restore(&mut self, names: &Names) {
        if let Some(subscriber) = &mut self.subscriber {
            subscriber.restore(names);
        }
    }

    /// Takes messages that wait for it, until there are about `upto` bytes of output.
    pub(crate) fn take_messages(&mut self, out: &mut Vec<u8>, upto: usize) {
        if let Some(subscriber) = &mut self.subscriber {
            subscriber.take(&mut Writer::new(out, self.protocol), upto);
        }
    }

    /// Lets others see what the session has become. Once a round, and before it is listed.
    pub(crate) fn publish(&self) {
        let client = &self.client;
        let (multi, queued) = match &self.transaction {
            Some(transaction) => (transaction.queued.len() + 1, transaction.bytes),
            None => (0, 0),
        };
        client.multi.store(multi, Ordering::Relaxed);
        client.buffers.queued.store(queued, Ordering::Relaxed);
        client.watched.store(self.watched.len(), Ordering::Relaxed);
        client.db.store(self.db, Ordering::Relaxed);
        if let Some(subscriber) = &self.subscriber {
            for kind in Kind::ALL {
                let count = subscriber.count(kind);
                client.subscriptions[kind as usize].store(count, Ordering::Relaxed);
            }
        }
        let resp3 = self.protocol == Protocol::Resp3;
        client.resp3.store(resp3, Ordering::Relaxed);
        client
            .buffers
            .commands
            .store(self.commands, Ordering::Relaxed);
    }
}
