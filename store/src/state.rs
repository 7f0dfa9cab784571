//! Everything that the log has said so far, in memory.
//!
//! ```text
//!  database 0 --order--> [ cells: key -> Cell (stream, expiry) | numbers: number -> key ]
//!  database 1 ---------> ...                                        ^
//!  homes: number -> (database, key) --------------------------------+
//!  expiring: (time, number), soonest first
//! ```
//!
//! `State::apply` is the one way to change it: live commands, a restart and (some day) a replica
//! give it the same records and arrive at the same state. Commands reach the state through an
//! [`Access`](crate::Access), which puts every change into the log first.
//!
//! # Invariants
//!
//! * A stream has one key, in one database: `homes`, `cells` and `numbers` agree.
//! * `expiring` holds the streams that expire, at the time that their cell says.
//! * `next` is greater than every stream number ever given.
//! * Two states that have applied the same records are equal (`State::dump`).

mod check;
mod entries;
mod group;
mod impossible;
mod lag;
mod listpack;
mod pending;
#[allow(dead_code, reason = "its user, Store::open, comes next")]
mod restore;
mod stream;
mod trim;

pub(crate) use entries::{Draft, PlaceIn};
pub use entries::{Entry, NodePlace, Order, Place};
pub use group::{Consumer, Group};
pub use listpack::NodeLimits;
pub use pending::{ConsumerNo, Pending, PendingEntry};
pub(crate) use restore::Restore;
pub use stream::{IdRule, NextIdError, Stream};
pub use trim::{Trim, TrimBy, TrimPoint};

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use indexmap::IndexMap;
use parking_lot::{Mutex, MutexGuard};

use crate::data::{Missing, Reader};
use crate::error::DataError;
use crate::id::StreamNo;
use crate::lsn::Lsn;
use crate::record::{KeyspaceChange, Record};
use impossible::{possible, some};

const NO_STREAM: &str = "no such stream";
const NUMBER_TWICE: &str = "a stream number is given twice";
const TAKEN: &str = "a key is given that is not free";

/// Keys come from clients: a keyed hash keeps them from choosing keys that collide.
type Hash = foldhash::fast::RandomState;

/// A stream where it lives.
#[derive(Debug)]
pub(crate) struct Cell {
    number: StreamNo,
    stream: Mutex<Stream>,
    expires_at: Option<u64>,
    /// When somebody last looked at the stream, in Unix milliseconds; not in the log.
    used_at: AtomicU64,
}

impl Cell {
    fn new(stream: Stream, expires_at: Option<u64>) -> Box<Self> {
        Box::new(Self {
            number: stream.number(),
            stream: Mutex::new(stream),
            expires_at,
            used_at: AtomicU64::new(0),
        })
    }

    /// The stream's number.
    pub(crate) fn number(&self) -> StreamNo {
        self.number
    }

    /// Locks the stream.
    pub(crate) fn lock(&self) -> MutexGuard<'_, Stream> {
        self.stream.lock()
    }

    /// The stream's lock, unless it is held.
    pub(crate) fn try_lock(&self) -> Option<MutexGuard<'_, Stream>> {
        self.stream.try_lock()
    }

    /// When the stream expires, in Unix milliseconds.
    pub(crate) fn expires_at(&self) -> Option<u64> {
        self.expires_at
    }

    /// When somebody last looked at the stream, in Unix milliseconds; 0 if nobody has since the
    /// store was opened.
    pub(crate) fn used_at(&self) -> u64 {
        self.used_at.load(Ordering::Relaxed)
    }

    pub(crate) fn note_used(&self, now_ms: u64) {
        self.used_at.store(now_ms, Ordering::Relaxed);
    }

    /// Whether its time has come.
    pub(crate) fn expired(&self, now_ms: u64) -> bool {
        self.expires_at.is_some_and(|at_ms| at_ms <= now_ms)
    }
}

/// Where a stream lives.
#[derive(Clone, Debug)]
struct Home {
    /// Which of [`State::databases`]; the clients' number for it may change.
    place: u8,
    key: Arc<[u8]>,
}

#[derive(Debug, Default)]
struct Database {
    cells: IndexMap<Arc<[u8]>, Box<Cell>, Hash>,
    numbers: BTreeMap<StreamNo, Arc<[u8]>>,
    /// How many of them expire.
    expiring: u64,
}

/// All databases.
#[derive(Debug)]
pub(crate) struct State {
    /// One for every number that a record can name.
    databases: Vec<Database>,
    /// The database that clients know by a number: swapping two touches no key.
    order: [u8; 256],
    homes: HashMap<StreamNo, Home, Hash>,
    expiring: BTreeSet<(u64, StreamNo)>,
    next: StreamNo,
    /// The end of the last record about the keyspace.
    changed: Lsn,
    /// The end of the last record that changed which database is which.
    swapped: Lsn,
}

impl State {
    pub(crate) fn new() -> Self {
        Self {
            databases: std::iter::repeat_with(Database::default)
                .take(256)
                .collect(),
            order: std::array::from_fn(|place| u8::try_from(place).expect("there are 256")),
            homes: HashMap::default(),
            expiring: BTreeSet::new(),
            next: StreamNo::FIRST,
            changed: Lsn::ZERO,
            swapped: Lsn::ZERO,
        }
    }

    /// The number for the next stream that is created.
    pub(crate) fn next(&self) -> StreamNo {
        self.next
    }

    /// The end of the last record about the keyspace.
    pub(crate) fn changed(&self) -> Lsn {
        self.changed
    }

    /// The end of the last record that changed which database is which.
    pub(crate) fn swapped(&self) -> Lsn {
        self.swapped
    }

    fn database(&self, db: u8) -> &Database {
        &self.databases[usize::from(self.order[usize::from(db)])]
    }

    /// The stream at a key, expired or not, and the key as it is kept.
    pub(crate) fn cell(&self, db: u8, key: &[u8]) -> Option<(&Arc<[u8]>, &Cell)> {
        self.database(db)
            .cells
            .get_key_value(key)
            .map(|(key, cell)| (key, &**cell))
    }

    /// The key at a position below [`len`](Self::len).
    pub(crate) fn at(&self, db: u8, index: usize) -> Option<(&Arc<[u8]>, &Cell)> {
        self.database(db)
            .cells
            .get_index(index)
            .map(|(key, cell)| (key, &**cell))
    }

    /// How many streams a database has, expired ones included.
    pub(crate) fn len(&self, db: u8) -> usize {
        self.database(db).cells.len()
    }

    /// How many of them expire.
    pub(crate) fn expiring_len(&self, db: u8) -> u64 {
        self.database(db).expiring
    }

    /// The keys of a database, in no order.
    pub(crate) fn keys(&self, db: u8) -> impl Iterator<Item = &Arc<[u8]>> {
        self.database(db).cells.keys()
    }

    /// The streams of a database from a number on, in the order of their numbers.
    pub(crate) fn streams_from(
        &self,
        db: u8,
        number: StreamNo,
    ) -> impl Iterator<Item = (StreamNo, &Arc<[u8]>, &Cell)> {
        let database = self.database(db);
        database
            .numbers
            .range(number..)
            .map(|(&number, key)| (number, key, &*database.cells[key]))
    }

    /// At most `count` streams from a number on, of all databases, in the order of their numbers;
    /// each with the place of its database, whatever clients call that.
    #[allow(dead_code, reason = "its user, upkeep, comes next")]
    pub(crate) fn all_from(&self, number: StreamNo, count: usize) -> Vec<(u8, &Arc<[u8]>, &Cell)> {
        let mut found = Vec::new();
        for (place, database) in (0..=u8::MAX).zip(&self.databases) {
            let numbers = database.numbers.range(number..).take(count);
            found.extend(numbers.map(|(&number, key)| (number, place, key)));
        }
        found.sort_unstable_by_key(|&(number, ..)| number);
        found.truncate(count);
        let cell = |place: u8, key: &Arc<[u8]>| &*self.databases[usize::from(place)].cells[key];
        { found.into_iter() }
            .map(|(_, place, key)| (place, key, cell(place, key)))
            .collect()
    }

    /// Which database is which, for those who know them by place.
    #[allow(dead_code, reason = "its user, upkeep, comes next")]
    pub(crate) fn order(&self) -> [u8; 256] {
        self.order
    }

    /// The stream of a number.
    pub(crate) fn by_number(&self, number: StreamNo) -> Option<&Cell> {
        let home = self.homes.get(&number)?;
        Some(&*self.databases[usize::from(home.place)].cells[&home.key])
    }

    /// The stream that expires first, and when.
    pub(crate) fn first_expiring(&self) -> Option<(u64, StreamNo)> {
        self.expiring.first().copied()
    }

    /// The database and key of a stream.
    pub(crate) fn home(&self, stream: StreamNo) -> Option<(u8, &Arc<[u8]>)> {
        let home = self.homes.get(&stream)?;
        let db = (0..=u8::MAX).find(|&db| self.order[usize::from(db)] == home.place);
        Some((db.expect("order is a permutation"), &home.key))
    }

    /// Makes the change that the log holds from `at` to `end`, which may need settled entries.
    ///
    /// # Errors
    ///
    /// When these cannot be read.
    ///
    /// # Panics
    ///
    /// When the record is impossible: the log and this code disagree, and going on would spread it.
    pub(crate) fn apply(
        &mut self,
        at: Lsn,
        end: Lsn,
        reader: &Reader<'_>,
        record: &Record<'_>,
    ) -> Result<(), DataError> {
        match record {
            Record::Keyspace(change) => {
                self.changed = end;
                self.apply_keyspace(at, end, change);
            }
            Record::Stream { stream, change } => {
                let stream = self.stream_mut(at, *stream);
                stream.apply(at, reader, change)?;
                stream.note_changed(end);
            }
        }
        Ok(())
    }

    fn apply_keyspace(&mut self, at: Lsn, end: Lsn, change: &KeyspaceChange<'_>) {
        match *change {
            KeyspaceChange::Created { stream, db, key } => {
                self.insert(at, end, db, key, Stream::new(stream), None);
            }
            KeyspaceChange::Removed { stream } => drop(self.take(at, stream)),
            KeyspaceChange::Moved { stream, db, key } => {
                let mut cell = self.take(at, stream);
                cell.stream.get_mut().bump_version();
                self.place(at, end, db, key, cell);
            }
            KeyspaceChange::Copied {
                from,
                stream,
                db,
                key,
                expires_at,
            } => {
                let copy = self.stream_mut(at, from).copy(stream);
                self.insert(at, end, db, key, copy, expires_at);
            }
            KeyspaceChange::ExpirySet { stream, at_ms } => self.set_expiry(at, end, stream, at_ms),
            KeyspaceChange::Flushed { db: Some(db) } => {
                let database =
                    std::mem::take(&mut self.databases[usize::from(self.order[usize::from(db)])]);
                for (&number, key) in &database.numbers {
                    self.homes.remove(&number);
                    if let Some(at_ms) = database.cells[key].expires_at {
                        self.expiring.remove(&(at_ms, number));
                    }
                }
            }
            KeyspaceChange::Flushed { db: None } => {
                self.databases.fill_with(Database::default);
                self.homes = HashMap::default();
                self.expiring.clear();
            }
            KeyspaceChange::DatabasesSwapped { a, b } => {
                self.order.swap(a.into(), b.into());
                self.swapped = end;
            }
        }
    }

    fn stream_mut(&mut self, at: Lsn, stream: StreamNo) -> &mut Stream {
        let home = some(self.homes.get(&stream), at, NO_STREAM);
        let cells = &mut self.databases[usize::from(home.place)].cells;
        cells
            .get_mut(&*home.key)
            .expect("a home has a cell")
            .stream
            .get_mut()
    }

    /// Puts a new stream under a free key.
    fn insert(
        &mut self,
        at: Lsn,
        end: Lsn,
        db: u8,
        key: &[u8],
        stream: Stream,
        expires_at: Option<u64>,
    ) {
        possible(stream.number() >= self.next, at, NUMBER_TWICE);
        self.next = stream.number().next();
        self.place(at, end, db, key, Cell::new(stream, expires_at));
    }

    /// Puts a stream under a free key of the database that clients know as `db`.
    fn place(&mut self, at: Lsn, end: Lsn, db: u8, key: &[u8], mut cell: Box<Cell>) {
        cell.stream.get_mut().note_changed(end);
        self.place_in(at, self.order[usize::from(db)], key, cell);
    }

    /// Puts a stream under a free key of the database at `place`.
    fn place_in(&mut self, at: Lsn, place: u8, key: &[u8], cell: Box<Cell>) {
        let (number, expires_at) = (cell.number, cell.expires_at);
        let key: Arc<[u8]> = key.into();
        let database = &mut self.databases[usize::from(place)];
        let before = database.cells.insert(Arc::clone(&key), cell);
        possible(before.is_none(), at, TAKEN);
        database.numbers.insert(number, Arc::clone(&key));
        if let Some(at_ms) = expires_at {
            database.expiring += 1;
            self.expiring.insert((at_ms, number));
        }
        self.homes.insert(number, Home { place, key });
    }

    /// Takes a stream out.
    fn take(&mut self, at: Lsn, stream: StreamNo) -> Box<Cell> {
        let home = some(self.homes.remove(&stream), at, NO_STREAM);
        let database = &mut self.databases[usize::from(home.place)];
        let cell = database
            .cells
            .swap_remove(&*home.key)
            .expect("a home has a cell");
        database.numbers.remove(&stream);
        if let Some(at_ms) = cell.expires_at {
            database.expiring -= 1;
            self.expiring.remove(&(at_ms, stream));
        }
        cell
    }

    fn set_expiry(&mut self, at: Lsn, end: Lsn, stream: StreamNo, at_ms: Option<u64>) {
        let home = some(self.homes.get(&stream), at, NO_STREAM);
        let database = &mut self.databases[usize::from(home.place)];
        let cell = database
            .cells
            .get_mut(&*home.key)
            .expect("a home has a cell");
        let before = std::mem::replace(&mut cell.expires_at, at_ms);
        database.expiring += u64::from(at_ms.is_some());
        database.expiring -= u64::from(before.is_some());
        let inner = cell.stream.get_mut();
        inner.bump_version();
        inner.note_changed(end);
        self.expiring.extend(at_ms.map(|at_ms| (at_ms, stream)));
        if before != at_ms
            && let Some(before) = before
        {
            self.expiring.remove(&(before, stream));
        }
    }

    /// All there is, as text: equal states have equal dumps. What is not in the log (when consumers
    /// were seen, what is settled) is left out, and consumers appear by name, since their numbers
    /// are ours alone.
    ///
    /// # Errors
    ///
    /// When settled entries cannot be read.
    pub(crate) fn dump(&self, reader: &Reader<'_>) -> Result<String, Missing> {
        let mut out = format!("next {}\n", self.next);
        for db in 0..=u8::MAX {
            for (number, key, cell) in self.streams_from(db, StreamNo::FIRST) {
                let expires_at = cell.expires_at;
                let key = key.escape_ascii();
                writeln!(
                    out,
                    "stream {number} db {db} key \"{key}\" expires {expires_at:?}"
                )
                .expect("a string can be written to");
                cell.lock().dump(reader, &mut out)?;
            }
        }
        Ok(out)
    }
}
