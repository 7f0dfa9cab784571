//! What a command gets: the data, the moment, the session, and a place for its reply.

use std::cell::Cell;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use headwater_resp::Writer;
use headwater_store::{Access, Growth, KeyEvent, Loaded, Lsn, NodeLimits, Store, StreamMut};

use crate::command::Halt;
use crate::commits::Point;
use crate::config;
use crate::loading::Opened;
use crate::pubsub::{Post, Terms};
use crate::server::Server;
use crate::session::Session;

/// What a data command works with: the store, the moment, and the place for its reply.
pub(crate) struct Data<'a> {
    pub(crate) server: &'a Server,
    /// Whence the access is.
    pub(crate) opened: Option<&'a Arc<Opened>>,
    pub(crate) access: Door<'a>,
    pub(crate) out: Writer<'a>,
    /// The moment of the command, in milliseconds since 1970; the same throughout a transaction.
    pub(crate) now: u64,
    /// The database that the client has selected.
    pub(crate) db: u8,
    pub(crate) lookups: Lookups,
}

/// The way to the streams.
///
/// It is shut while the data are loaded. What runs then needs none ([`Traits::LOADING`]); going
/// there panics.
///
/// [`Traits::LOADING`]: crate::command::Traits::LOADING
pub(crate) struct Door<'a>(Option<Access<'a>>);

impl<'a> Door<'a> {
    /// Opens it, if the data are there: [alone](headwater_store::Store::alone) or to share. Blocks
    /// that were loaded for who comes in are in memory while it is open.
    pub(crate) fn of(opened: Option<&'a Opened>, alone: bool, loaded: &Loaded) -> Self {
        let access = |opened: &'a Opened| {
            let access = match alone {
                true => opened.store.alone(),
                false => opened.store.shared(),
            };
            access.pin(loaded.clone());
            access
        };
        Self(opened.map(access))
    }

    /// The streams; `None` while the data are loaded.
    pub(crate) fn opened(&self) -> Option<&Access<'a>> {
        self.0.as_ref()
    }

    /// [`Access::take_depends_on`]: of nothing while the data are loaded.
    pub(crate) fn take_depends_on(&mut self) -> Lsn {
        let access = self.0.as_mut();
        access.map_or(Lsn::ZERO, Access::take_depends_on)
    }

    /// [`Access::take_adds`]: not while the data are loaded.
    pub(crate) fn take_adds(&mut self) -> bool {
        let access = self.0.as_mut();
        access.is_some_and(Access::take_adds)
    }

    /// [`Access::take_events`]: none while the data are loaded.
    pub(crate) fn take_events(&mut self) -> Vec<KeyEvent> {
        let access = self.0.as_mut();
        access.map_or_else(Vec::new, Access::take_events)
    }
}

impl<'a> Deref for Door<'a> {
    type Target = Access<'a>;

    fn deref(&self) -> &Access<'a> {
        self.0.as_ref().expect(SHUT)
    }
}

impl<'a> DerefMut for Door<'a> {
    fn deref_mut(&mut self) -> &mut Access<'a> {
        self.0.as_mut().expect(SHUT)
    }
}

const SHUT: &str = "what runs while the data are loaded needs none";

/// How many keys were looked up.
#[derive(Default)]
pub(crate) struct Lookups {
    pub(crate) hits: Cell<u64>,
    pub(crate) misses: Cell<u64>,
}

impl Lookups {
    pub(crate) fn add(&self, other: &Self) {
        self.hits.update(|hits| hits + other.hits.get());
        self.misses.update(|misses| misses + other.misses.get());
    }

    pub(crate) fn note(&self, found: bool) {
        let counter = if found { &self.hits } else { &self.misses };
        counter.update(|count| count + 1);
    }
}

/// What a command works with: the data and the session that it was sent in.
pub(crate) struct Cx<'a> {
    pub(crate) data: Data<'a>,
    pub(crate) session: &'a mut Session,
    /// Whether EXEC runs it: it may not wait then.
    pub(crate) in_exec: bool,
    /// What EXEC publishes when it is done.
    pub(crate) posts: Vec<Post>,
}

impl<'a> Deref for Cx<'a> {
    type Target = Data<'a>;

    fn deref(&self) -> &Data<'a> {
        &self.data
    }
}

impl<'a> DerefMut for Cx<'a> {
    fn deref_mut(&mut self) -> &mut Data<'a> {
        &mut self.data
    }
}

impl Cx<'_> {
    /// On what terms it publishes: no subscriber is told before what this connection has been told
    /// of is committed, and no replica's before that has all that was changed before.
    pub(crate) fn terms(&self) -> Terms {
        let session = &*self.session;
        let commits = session.commits.as_ref();
        Terms {
            after: commits.and_then(|commits| Point::ahead(commits, session.depends_on)),
            // What is said at a replica stays there. The own batch, if it is still open, lies
            // behind the end of the log.
            relay_at: (!self.server.replication.follows())
                .then(|| self.end().max(session.depends_on)),
        }
    }
}

impl Data<'_> {
    /// The data, for those who come behind the gate.
    ///
    /// # Panics
    ///
    /// While they are being loaded.
    pub(crate) fn opened(&self) -> &Arc<Opened> {
        self.opened.expect(SHUT)
    }

    /// The store, for those who come behind the gate.
    ///
    /// # Panics
    ///
    /// As [`opened`](Self::opened).
    pub(crate) fn store(&self) -> &Store {
        &self.opened().store
    }

    /// Where the log ends; 0 while it is being loaded.
    pub(crate) fn end(&self) -> Lsn {
        let end = |opened: &Arc<Opened>| opened.store.log().appended();
        self.opened.map_or(Lsn::ZERO, end)
    }

    /// Up to where the log is safe on this server, by its `appendfsync`; 0 while that is loaded.
    pub(crate) fn kept(&self) -> Lsn {
        let kept = |opened: &Arc<Opened>| opened.store.log().kept();
        self.opened.map_or(Lsn::ZERO, kept)
    }

    /// The stream at a key of the selected database, if there is one that has not expired. Its
    /// lock is held until the result is dropped, and one command holds one lock at a time.
    pub(crate) fn stream(&self, key: &[u8]) -> Option<StreamMut<'_>> {
        let stream = self.access.stream(self.db, key, self.now);
        self.lookups.note(stream.is_some());
        stream
    }

    /// Whether a reader finds the key in the selected database: [`has`](Self::has), counted.
    pub(crate) fn finds(&self, key: &[u8]) -> bool {
        let found = self.has(key);
        self.lookups.note(found);
        found
    }

    /// Whether the selected database has the key.
    pub(crate) fn has(&self, key: &[u8]) -> bool {
        self.access.exists(self.db, key, self.now)
    }

    /// Creates an empty stream at a key that has none, as one batch with all that the command does
    /// to it afterwards, which takes about `bytes`.
    ///
    /// # Errors
    ///
    /// Halts a command that does not have the keyspace to itself, and when there is no room.
    pub(crate) fn create(&mut self, key: &[u8], bytes: usize) -> Result<(), Halt> {
        /// More than the records have besides names and fields.
        const RECORDS: usize = 512;
        self.alone()?;
        let bytes = (key.len() + bytes + RECORDS) as u64;
        // The batch ends with the access, or with the transaction that it is part of.
        self.access.begin_batch(Growth::Adds, bytes)?;
        self.access.create(self.db, key, self.now)?;
        Ok(())
    }

    /// Halts a command that does not have the keyspace to itself.
    pub(crate) fn alone(&self) -> Result<(), Halt> {
        if self.access.is_alone() {
            Ok(())
        } else {
            Err(Halt::Alone)
        }
    }

    /// When an entry starts a new node of its stream.
    pub(crate) fn node_limits(&self) -> NodeLimits {
        let config = &self.server.config;
        NodeLimits {
            bytes: u64::try_from(config.int(config::STREAM_NODE_MAX_BYTES)).unwrap_or(0),
            entries: u64::try_from(config.int(config::STREAM_NODE_MAX_ENTRIES)).unwrap_or(0),
        }
    }
}
