//! The way to the streams, for one command or for a run of commands.
//!
//! Everything a command may need to know about what it has done is noted here, so that no command
//! can forget it: the LSN that its reply depends on, and the events for those who wait.

use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use parking_lot::{MutexGuard, RwLockReadGuard, RwLockWriteGuard};
use smallvec::SmallVec;

use super::Store;
use super::event::{self, EventKind, KeyEvent};
use crate::data::{Loaded, Missing, Patience, Reader};
use crate::error::{AppendError, CommitError};
use crate::id::{StreamId, StreamNo};
use crate::log::{Appender, Growth};
use crate::lsn::Lsn;
use crate::record::{Change, Fields, KeyspaceChange, Record};
use crate::sabotage;
use crate::state::{self, Entry, Order, PlaceIn, State, Stream, Trim, TrimPoint};

/// Access to the store, held by one thread.
///
/// The methods that change the keyspace need the store [alone](Store::alone) and panic otherwise.
pub struct Access<'s> {
    /// Dropped before the world is released: a batch ends while it is still alone.
    batch: RefCell<Option<Batch<'s>>>,
    world: World<'s>,
    store: &'s Store,
    /// Impatient until something has been appended through this access: then there is no going
    /// back, and what is missing is read while everybody waits.
    reader: Reader<'s>,
    depends_on: Cell<Lsn>,
    /// Something was appended that makes the data grow.
    adds: Cell<bool>,
    events: RefCell<Vec<KeyEvent>>,
    /// How many streams are locked through this access.
    locked: Cell<u32>,
}

/// Where the records of a commit went. Most commits have one or two.
type Places = SmallVec<[Lsn; 4]>;

enum World<'s> {
    Alone(RwLockWriteGuard<'s, State>),
    Shared(RwLockReadGuard<'s, State>),
}

/// One batch of the log that spans several commits.
struct Batch<'s> {
    appender: Appender<'s>,
    /// How often it has been begun and not ended.
    depth: u32,
}

impl<'s> Access<'s> {
    pub(super) fn shared(store: &'s Store) -> Self {
        Self::new(store, World::Shared(store.world.read()))
    }

    pub(super) fn alone(store: &'s Store) -> Self {
        Self::new(store, World::Alone(store.world.write()))
    }

    fn new(store: &'s Store, world: World<'s>) -> Self {
        Self {
            batch: RefCell::new(None),
            world,
            store,
            reader: Reader::new(&store.data, Patience::Halt),
            depends_on: Cell::new(Lsn::ZERO),
            adds: Cell::new(false),
            events: RefCell::default(),
            locked: Cell::new(0),
        }
    }

    /// Whether nobody else has access.
    #[must_use]
    pub fn is_alone(&self) -> bool {
        matches!(self.world, World::Alone(_))
    }

    fn state(&self) -> &State {
        match &self.world {
            World::Alone(state) => state,
            World::Shared(state) => state,
        }
    }

    /// Keeps blocks that were [loaded](Store::load) because an access before lacked them.
    pub fn pin(&self, loaded: Loaded) {
        self.reader.pin(loaded);
    }

    /// From now on, reads what is missing from the disk at once, while everybody waits: for one who
    /// cannot begin again. After the first change it is so anyway. Who serves clients can.
    #[cfg(any(test, feature = "sim"))]
    pub fn wait_for_disk(&self) {
        self.reader.set_patience(Patience::Wait);
    }

    /// The stream at a key, locked; `None` when there is none or when it has expired.
    ///
    /// In shared access a thread locks one stream at a time.
    ///
    /// # Panics
    ///
    /// When the stream is locked already through this access.
    #[must_use]
    pub fn stream(&self, db: u8, key: &[u8], now_ms: u64) -> Option<StreamMut<'_>> {
        let Some((key, cell)) = self.live(db, key, now_ms) else {
            self.depend_on(self.state().changed());
            return None;
        };
        let stream = if self.is_alone() {
            cell.try_lock().expect("a stream is locked once")
        } else {
            debug_assert_eq!(
                self.locked.get(),
                0,
                "one stream at a time in shared access"
            );
            cell.lock()
        };
        cell.note_used(now_ms);
        self.locked.set(self.locked.get() + 1);
        self.depend_on(stream.changed().max(self.state().swapped()));
        Some(StreamMut {
            stream,
            door: self,
            db,
            key,
        })
    }

    fn live(&self, db: u8, key: &[u8], now_ms: u64) -> Option<(&Arc<[u8]>, &state::Cell)> {
        self.state()
            .cell(db, key)
            .filter(|(_, cell)| !cell.expired(now_ms))
    }

    /// Reads the fields of an entry, which this access found in a stream.
    ///
    /// `f` must not commit.
    ///
    /// # Panics
    ///
    /// When the log does not hold that entry there: the index or the log is damaged. When another
    /// access found it.
    pub fn fields<R>(&self, entry: &Entry, f: impl FnOnce(Fields<'_>) -> R) -> R {
        let at = match entry.at.get() {
            PlaceIn::Log(at) => at,
            PlaceIn::Block { pin, offset } => return self.reader.fields(pin, offset, f),
        };
        let read = |bytes: &[u8]| f(fields_of(entry, at, bytes));
        match &*self.batch.borrow() {
            Some(batch) => batch.appender.read(at, read),
            None => self.store.log.read(at, read),
        }
    }

    /// The LSN that a reply to what was done so far depends on: of every commit made and of
    /// everything looked at through this access since the last call.
    pub fn take_depends_on(&mut self) -> Lsn {
        self.depends_on.replace(Lsn::ZERO)
    }

    /// Whether what was done through this access since the last call makes the data grow.
    pub fn take_adds(&mut self) -> bool {
        self.adds.take()
    }

    fn depend_on(&self, lsn: Lsn) {
        self.depends_on.set(self.depends_on.get().max(lsn));
    }

    /// What commits did to keys since the last call, in order. Nothing is recorded unless
    /// [`Store::watch_keys`] is on.
    pub fn take_events(&mut self) -> Vec<KeyEvent> {
        self.events.take()
    }

    /// Puts everything that follows into one batch, until [`end_batch`](Self::end_batch): after a
    /// crash all of it is there, or nothing. Batches nest; the outermost counts.
    ///
    /// `growth` and `bytes_hint` speak for all that follows: a commit that takes no more than is
    /// left of them is not refused. One that takes more asks for itself.
    ///
    /// # Errors
    ///
    /// When the log refuses the batch. Nothing is begun then.
    ///
    /// # Panics
    ///
    /// In shared access.
    pub fn begin_batch(&mut self, growth: Growth, bytes_hint: u64) -> Result<(), AppendError> {
        assert!(self.is_alone(), "a batch is begun by those who are alone");
        let batch = self.batch.get_mut();
        if let Some(batch) = batch {
            batch.depth += 1;
        } else {
            let appender = self.store.log.append(growth, bytes_hint)?;
            *batch = Some(Batch { appender, depth: 1 });
        }
        Ok(())
    }

    /// Ends what [`begin_batch`](Self::begin_batch) began. Dropping the access does so too.
    ///
    /// # Panics
    ///
    /// Without a batch.
    pub fn end_batch(&mut self) {
        let open = self.batch.get_mut();
        let batch = open.as_mut().expect("a batch ends once");
        batch.depth -= 1;
        if batch.depth == 0 {
            *open = None;
        }
    }

    /// Appends records as one batch, or to the batch that is open; says where each of them went,
    /// and where the last ends.
    fn append<'r>(
        &self,
        records: &(impl Iterator<Item = Record<'r>> + Clone),
    ) -> Result<(Places, Lsn), AppendError> {
        let push = |appender: &mut Appender<'_>| {
            let push = |record: Record<'_>| {
                if sabotage::leaves_out(&record) {
                    return appender.end();
                }
                appender.push(|out| record.encode(out))
            };
            let places: Places = records.clone().map(push).collect();
            (places, appender.end())
        };
        let adds = records.clone().any(|record| record.adds());
        let growth = if adds { Growth::Adds } else { Growth::Frees };
        let bytes = records.clone().map(|record| record.bytes_max()).sum();
        let mut batch = self.batch.borrow_mut();
        let (places, end) = if let Some(batch) = &mut *batch {
            batch.appender.ask(growth, bytes)?;
            push(&mut batch.appender)
        } else {
            push(&mut self.store.log.append(growth, bytes)?)
        };
        self.depend_on(end);
        self.adds.set(self.adds.get() || adds);
        self.reader.set_patience(Patience::Wait);
        Ok((places, end))
    }

    /// Changes the keyspace: the log first, then the state.
    fn commit(&mut self, changes: &[KeyspaceChange<'_>]) -> Result<(), AppendError> {
        assert!(
            self.is_alone(),
            "the keyspace is changed by those who have it alone"
        );
        let records = changes.iter().map(|&change| Record::Keyspace(change));
        let (places, end) = self.append(&records)?;
        for ((&at, record), change) in places.iter().zip(records).zip(changes) {
            if self.store.watching() {
                event::of_keyspace_change(self.state(), change, &mut self.events.borrow_mut());
            }
            let World::Alone(state) = &mut self.world else {
                unreachable!("that was asserted");
            };
            state
                .apply(at, end, &self.reader, &record)
                .expect("changes of the keyspace read no entries");
        }
        Ok(())
    }

    /// The number of the stream at a key, expired or not.
    fn number(&self, db: u8, key: &[u8]) -> Option<StreamNo> {
        self.state().cell(db, key).map(|(_, cell)| cell.number())
    }
}

/// The keyspace, read.
///
/// Streams that have expired are not there; only [`len`](Self::len) counts them until they are
/// removed.
impl Access<'_> {
    /// Whether there is a stream at a key.
    #[must_use]
    pub fn exists(&self, db: u8, key: &[u8], now_ms: u64) -> bool {
        self.expires_at(db, key, now_ms).is_some()
    }

    /// When the stream at a key expires, in Unix milliseconds: `None` when there is no stream,
    /// `Some(None)` when it does not expire.
    #[must_use]
    pub fn expires_at(&self, db: u8, key: &[u8], now_ms: u64) -> Option<Option<u64>> {
        // Keys come, go and expire by changes of the keyspace; no stream need be locked to know.
        self.depend_on(self.state().changed());
        self.live(db, key, now_ms)
            .map(|(_, cell)| cell.expires_at())
    }

    /// When the stream at a key was last looked at through [`stream`](Self::stream), in Unix
    /// milliseconds: `None` when there is no stream, 0 when nobody has since the store was opened.
    #[must_use]
    pub fn used_at(&self, db: u8, key: &[u8], now_ms: u64) -> Option<u64> {
        self.expires_at(db, key, now_ms)?;
        self.live(db, key, now_ms).map(|(_, cell)| cell.used_at())
    }

    /// How many keys a database has.
    #[must_use]
    pub fn len(&self, db: u8) -> usize {
        self.depend_on(self.state().changed());
        self.state().len(db)
    }

    /// Whether a database has no keys.
    #[must_use]
    pub fn is_empty(&self, db: u8) -> bool {
        self.len(db) == 0
    }

    /// How many keys a database has, and how many of them expire: a figure for those who watch over
    /// the server. It depends on nothing, so they are told while nothing is committed.
    #[must_use]
    pub fn census(&self, db: u8) -> (usize, u64) {
        let state = self.state();
        (state.len(db), state.expiring_len(db))
    }

    /// The keys of a database, from the oldest stream to the youngest.
    pub fn keys(&self, db: u8, now_ms: u64) -> impl Iterator<Item = &[u8]> {
        self.depend_on(self.state().changed());
        let streams = self.state().streams_from(db, StreamNo::FIRST);
        streams
            .filter(move |(_, _, cell)| !cell.expired(now_ms))
            .map(|(_, key, _)| &**key)
    }

    /// The next part of a scan over the keys of a database: where to go on (0 is the end), and at
    /// most `count` keys. A scan begins at 0.
    ///
    /// A key that is there from the beginning to the end of the scan, under whatever names, is
    /// returned exactly once: the cursor is the number of a stream.
    #[must_use]
    pub fn scan(&self, db: u8, cursor: u64, count: usize, now_ms: u64) -> (u64, Vec<&[u8]>) {
        self.depend_on(self.state().changed());
        let mut streams = self.state().streams_from(db, StreamNo::new(cursor));
        let keys = streams
            .by_ref()
            .take(count)
            .filter(|(_, _, cell)| !cell.expired(now_ms))
            .map(|(_, key, _)| &**key)
            .collect();
        (
            streams.next().map_or(0, |(number, _, _)| number.get()),
            keys,
        )
    }

    /// Some key of a database, chosen by a random number: all are equally likely, save those that
    /// follow expired ones.
    #[must_use]
    pub fn random_key(&self, db: u8, random: u64, now_ms: u64) -> Option<&[u8]> {
        self.depend_on(self.state().changed());
        let len = self.state().len(db);
        let start = usize::try_from(random.checked_rem(len as u64)?).expect("it is below len");
        let indices = (start..len).chain(0..start);
        let mut cells = indices.filter_map(|index| self.state().at(db, index));
        cells
            .find(|(_, cell)| !cell.expired(now_ms))
            .map(|(key, _)| &**key)
    }

    /// When the next stream expires, or expired, in Unix milliseconds.
    #[must_use]
    pub fn next_expiry(&self) -> Option<u64> {
        self.state().first_expiring().map(|(at_ms, _)| at_ms)
    }
}

/// The keyspace, changed: for those who are alone.
impl Access<'_> {
    /// Creates an empty stream at a key. One that has expired there is removed with it.
    ///
    /// # Errors
    ///
    /// When the log refuses it. Nothing has changed then.
    ///
    /// # Panics
    ///
    /// In shared access; when there is a stream.
    pub fn create(&mut self, db: u8, key: &[u8], now_ms: u64) -> Result<(), AppendError> {
        assert!(
            !self.exists(db, key, now_ms),
            "a stream is created where there is none"
        );
        let stream = self.state().next();
        let created = KeyspaceChange::Created { stream, db, key };
        self.commit_over(db, key, created)
    }

    /// Commits a change that puts a stream at a key, after removing what is there.
    fn commit_over(
        &mut self,
        db: u8,
        key: &[u8],
        change: KeyspaceChange<'_>,
    ) -> Result<(), AppendError> {
        match self.number(db, key) {
            Some(stream) => self.commit(&[KeyspaceChange::Removed { stream }, change]),
            None => self.commit(&[change]),
        }
    }

    /// Removes the stream at a key; whether there was one (that had not expired).
    ///
    /// # Errors
    ///
    /// When the log refuses it. Nothing has changed then.
    ///
    /// # Panics
    ///
    /// In shared access.
    pub fn remove(&mut self, db: u8, key: &[u8], now_ms: u64) -> Result<bool, AppendError> {
        Ok(self.remove_all(db, [key], now_ms)? > 0)
    }

    /// Removes the streams at some keys, in one batch: after a crash all of them are gone, or none.
    /// Says how many there were (that had not expired).
    ///
    /// # Errors
    ///
    /// When the log refuses it. Nothing has changed then.
    ///
    /// # Panics
    ///
    /// In shared access.
    pub fn remove_all<'k>(
        &mut self,
        db: u8,
        keys: impl IntoIterator<Item = &'k [u8]>,
        now_ms: u64,
    ) -> Result<u64, AppendError> {
        let mut changes = Vec::new();
        let mut known = HashSet::new();
        let mut live = 0;
        for key in keys {
            let exists = self.exists(db, key, now_ms);
            if let Some(stream) = self.number(db, key)
                && known.insert(stream)
            {
                live += u64::from(exists);
                changes.push(KeyspaceChange::Removed { stream });
            }
        }
        if !changes.is_empty() {
            self.commit(&changes)?;
        }
        Ok(live)
    }

    /// Moves the stream at a key to another key, where it replaces what is there; whether there was
    /// one.
    ///
    /// # Errors
    ///
    /// When the log refuses it. Nothing has changed then.
    ///
    /// # Panics
    ///
    /// In shared access.
    pub fn move_to(
        &mut self,
        from: (u8, &[u8]),
        to: (u8, &[u8]),
        now_ms: u64,
    ) -> Result<bool, AppendError> {
        if !self.exists(from.0, from.1, now_ms) {
            return Ok(false);
        }
        if let Some(stream) = self.number(from.0, from.1).filter(|_| from != to) {
            let moved = KeyspaceChange::Moved {
                stream,
                db: to.0,
                key: to.1,
            };
            self.commit_over(to.0, to.1, moved)?;
        }
        Ok(true)
    }

    /// Copies the stream at a key, its expiry included, to another key, where it replaces what is
    /// there; whether there was one.
    ///
    /// # Errors
    ///
    /// When the log refuses it. Nothing has changed then.
    ///
    /// # Panics
    ///
    /// In shared access; when both are the same key.
    pub fn copy(
        &mut self,
        from: (u8, &[u8]),
        to: (u8, &[u8]),
        now_ms: u64,
    ) -> Result<bool, AppendError> {
        assert!(from != to, "a stream is copied to another key");
        let Some(expires_at) = self.expires_at(from.0, from.1, now_ms) else {
            return Ok(false);
        };
        let original = self.number(from.0, from.1).expect("what expires is there");
        let stream = self.state().next();
        let (db, key) = to;
        let copied = KeyspaceChange::Copied {
            from: original,
            stream,
            db,
            key,
            expires_at,
        };
        self.commit_over(db, key, copied)?;
        if let Some((_, cell)) = self.live(db, key, now_ms) {
            cell.note_used(now_ms);
        }
        Ok(true)
    }

    /// Lets the stream at a key live until a time, in Unix milliseconds, or for ever; whether there
    /// was one.
    ///
    /// # Errors
    ///
    /// When the log refuses it. Nothing has changed then.
    ///
    /// # Panics
    ///
    /// In shared access.
    pub fn set_expiry(
        &mut self,
        db: u8,
        key: &[u8],
        at_ms: Option<u64>,
        now_ms: u64,
    ) -> Result<bool, AppendError> {
        if !self.exists(db, key, now_ms) {
            return Ok(false);
        }
        let stream = self.number(db, key).expect("what expires is there");
        self.commit(&[KeyspaceChange::ExpirySet { stream, at_ms }])?;
        Ok(true)
    }

    /// Removes every stream of a database, or of all.
    ///
    /// # Errors
    ///
    /// When the log refuses it. Nothing has changed then.
    ///
    /// # Panics
    ///
    /// In shared access.
    pub fn flush(&mut self, db: Option<u8>) -> Result<(), AppendError> {
        self.commit(&[KeyspaceChange::Flushed { db }])
    }

    /// Lets two databases change places.
    ///
    /// # Errors
    ///
    /// When the log refuses it. Nothing has changed then.
    ///
    /// # Panics
    ///
    /// In shared access.
    pub fn swap(&mut self, a: u8, b: u8) -> Result<(), AppendError> {
        self.commit(&[KeyspaceChange::DatabasesSwapped { a, b }])
    }

    /// Removes streams that have expired by `now_ms`, at most `limit`; says how many.
    ///
    /// # Errors
    ///
    /// When the log refuses it; some may have been removed then.
    ///
    /// # Panics
    ///
    /// In shared access.
    pub fn remove_expired(&mut self, now_ms: u64, limit: usize) -> Result<usize, AppendError> {
        let mut removed = 0;
        while removed < limit
            && let Some((at_ms, stream)) = self.state().first_expiring()
            && at_ms <= now_ms
        {
            self.commit(&[KeyspaceChange::Removed { stream }])?;
            removed += 1;
        }
        Ok(removed)
    }
}

impl fmt::Debug for Access<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Access")
            .field("alone", &self.is_alone())
            .field("depends_on", &self.depends_on)
            .finish_non_exhaustive()
    }
}

/// The fields of an entry, of which the log has `bytes` from `at` on.
///
/// # Panics
///
/// When that is not the entry: the index or the log is damaged.
#[inline]
pub(super) fn fields_of<'b>(entry: &Entry, at: Lsn, mut bytes: &'b [u8]) -> Fields<'b> {
    match Record::decode(&mut bytes) {
        Ok(Record::Stream {
            change: Change::EntryAdded { id, fields, .. },
            ..
        }) if id == entry.id => fields,
        other => panic!(
            "the log at LSN {at} should hold entry {}: {other:?}",
            entry.id
        ),
    }
}

/// What a locked stream needs of its access; a trait because it leaves the access' own lifetime out
/// of [`StreamMut`]'s.
trait Door {
    fn reader(&self) -> &Reader<'_>;
    fn commit(&self, stream: &mut Stream, changes: &[Change<'_>]) -> Result<(), CommitError>;
    fn watched(&self, db: u8, key: &Arc<[u8]>, changes: &[Change<'_>]);
    fn unlocked(&self);
}

impl Door for Access<'_> {
    fn reader(&self) -> &Reader<'_> {
        &self.reader
    }

    fn commit(&self, stream: &mut Stream, changes: &[Change<'_>]) -> Result<(), CommitError> {
        if let Err(what) = stream.check(changes) {
            panic!("a command decided what is impossible: {what}: {changes:?}");
        }
        stream.warm(&self.reader, changes)?;
        let number = stream.number();
        let record = |&change| Record::Stream {
            stream: number,
            change,
        };
        let (places, end) = self.append(&changes.iter().map(record))?;
        for (&at, change) in places.iter().zip(changes) {
            // In the log it is: whoever cannot follow must stop.
            if let Err(fault) = stream.apply(at, &self.reader, change) {
                panic!("a change that is in the log cannot be made: {fault}");
            }
        }
        stream.note_changed(end);
        Ok(())
    }

    fn watched(&self, db: u8, key: &Arc<[u8]>, changes: &[Change<'_>]) {
        if self.store.watching() {
            let kinds = changes.iter().filter_map(event::of_change);
            let event = |kind: EventKind| KeyEvent {
                db,
                key: Arc::clone(key),
                kind,
            };
            self.events.borrow_mut().extend(kinds.map(event));
        }
    }

    fn unlocked(&self) {
        self.locked.set(self.locked.get() - 1);
    }
}

/// A stream, locked.
pub struct StreamMut<'a> {
    stream: MutexGuard<'a, Stream>,
    door: &'a dyn Door,
    db: u8,
    key: &'a Arc<[u8]>,
}

impl StreamMut<'_> {
    /// Makes changes, in order: they go into the log as one batch, and only then into the stream.
    /// After a crash all of them are there, or none.
    ///
    /// # Errors
    ///
    /// When the log refuses them, or when settled entries are missing that must be known. Nothing
    /// has changed then.
    ///
    /// # Panics
    ///
    /// When a change is impossible, such as an entry below the last ID. It is not in the log then.
    /// When the disk fails while a change is made that is in the log.
    pub fn commit(&mut self, changes: &[Change<'_>]) -> Result<(), CommitError> {
        if !changes.is_empty() {
            self.door.commit(&mut self.stream, changes)?;
            self.door.watched(self.db, self.key, changes);
        }
        Ok(())
    }
}

/// The entries. Each of these says what is [`Missing`] if it has to know settled entries that are
/// not in memory: all of them, as far as that can be told.
impl StreamMut<'_> {
    /// The entry with this ID.
    ///
    /// # Errors
    ///
    /// When settled entries are missing.
    pub fn get(&self, id: StreamId) -> Result<Option<Entry>, Missing> {
        self.stream.get(self.door.reader(), id)
    }

    /// The entry with each of some IDs.
    ///
    /// # Errors
    ///
    /// When settled entries are missing.
    pub fn get_all(
        &self,
        ids: impl IntoIterator<Item = StreamId>,
    ) -> Result<Vec<Option<Entry>>, Missing> {
        self.stream.get_all(self.door.reader(), ids.into_iter())
    }

    /// The first entries from `from` to `to`, both included, in an order: at most `limit`.
    ///
    /// # Errors
    ///
    /// When settled entries are missing.
    pub fn entries(
        &self,
        from: StreamId,
        to: StreamId,
        order: Order,
        limit: usize,
    ) -> Result<Vec<Entry>, Missing> {
        self.stream
            .entries(self.door.reader(), (from, to), order, limit)
    }

    /// The oldest entries after `id`, at most `limit`.
    ///
    /// # Errors
    ///
    /// When settled entries are missing.
    pub fn entries_after(&self, id: StreamId, limit: usize) -> Result<Vec<Entry>, Missing> {
        match id.next() {
            Some(from) => self.entries(from, StreamId::MAX, Order::Forward, limit),
            None => Ok(Vec::new()),
        }
    }

    /// The entry with the smallest ID.
    ///
    /// # Errors
    ///
    /// When it is settled, and missing.
    pub fn first_entry(&self) -> Result<Option<Entry>, Missing> {
        let entries = self.entries(self.first_id(), StreamId::MAX, Order::Forward, 1)?;
        Ok(entries.first().copied())
    }

    /// The entry with the greatest ID.
    ///
    /// # Errors
    ///
    /// When it is settled, and missing.
    pub fn last_entry(&self) -> Result<Option<Entry>, Missing> {
        self.last_entry_id().map_or(Ok(None), |last| self.get(last))
    }

    /// How far to trim; `None` if nothing is to go.
    ///
    /// # Errors
    ///
    /// When settled entries are missing.
    pub fn trim_point(&self, trim: &Trim) -> Result<Option<TrimPoint>, Missing> {
        self.stream.trim_point(self.door.reader(), trim)
    }

    /// How far to trim after `added`, a change that adds an entry and goes into the same commit.
    ///
    /// # Errors
    ///
    /// When settled entries are missing.
    pub fn trim_point_after(
        &self,
        added: &Change<'_>,
        trim: &Trim,
    ) -> Result<Option<TrimPoint>, Missing> {
        self.stream
            .trim_point_after(self.door.reader(), added, trim)
    }
}

impl Deref for StreamMut<'_> {
    type Target = Stream;

    fn deref(&self) -> &Stream {
        &self.stream
    }
}

impl Drop for StreamMut<'_> {
    fn drop(&mut self) {
        self.door.unlocked();
    }
}

impl fmt::Debug for StreamMut<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.stream.fmt(f)
    }
}
