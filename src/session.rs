//! What a connection has said so far.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use headwater_resp::Protocol;
use headwater_store::{Lsn, StreamNo};

use crate::clients::Client;
use crate::command::Queued;
use crate::commits::Commits;
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
    /// It has made the data grow since it last rested.
    pub(crate) adds: bool,
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
            adds: false,
            hello: Hello::default(),
            commands: 0,
        }
    }

    /// Counts a request that came to its end, and takes back its reply, which is `out` from
    /// `start` on, if `CLIENT REPLY` says so.
    pub(crate) fn end_request(&mut self, out: &mut Vec<u8>, start: usize) {
        self.commands += 1;
        self.replies = match self.replies {
            Replies::On => return,
            Replies::Off => Replies::Off,
            Replies::SkipThis => Replies::On,
            Replies::SkipNext => Replies::SkipThis,
        };
        out.truncate(start);
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
        let resp3 = self.protocol == Protocol::Resp3;
        client.resp3.store(resp3, Ordering::Relaxed);
        client
            .buffers
            .commands
            .store(self.commands, Ordering::Relaxed);
    }
}
