//! The store: the log, and the state that it tells.
//!
//! ```text
//!  Access -- decide (read) --> commit -- append --> log        on disk, in order
//!                                 '----- apply ---> state      in memory
//!
//!  opening:                       log -- replay --> state      the same apply
//! ```
//!
//! Whoever wants to read or change streams takes an [`Access`]. *Shared* access suffices for what
//! happens inside streams that exist: many hold it at once, and each stream has a lock of its own.
//! What changes the keyspace, and what needs several streams at once, takes the store *alone*; so
//! there are no races about keys, and a transaction, a rename or a flush is atomic without more
//! locks.
//!
//! # Invariants
//!
//! * Locks are taken in this order: world < stream < tail of the log. No one who holds one waits
//!   for the disk or for a client.
//! * A change is in the log before it is in the state, in the same order; a change that the log
//!   refused has not happened.
//! * Opening a log twice gives equal states ([`Store::dump`]).

mod access;
mod event;

pub use access::{Access, StreamMut};
pub use event::{EventKind, KeyEvent};

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::RwLock;

use crate::data::{Cold, Data, Loaded, Missing, Patience, Reader};
use crate::disk::{DirLock, Disk};
use crate::error::{DataError, Malformed, OpenError};
use crate::log::{Log, LogOptions};
use crate::lsn::Lsn;
use crate::record::Record;
use crate::sabotage;
use crate::state::State;

/// Bytes of memory for settled entries, unless somebody [says so](Store::set_cache_bytes).
const CACHE_BYTES: u64 = 64 << 20;

/// How a store is to be opened.
#[derive(Clone, Debug, Default)]
pub struct StoreOptions {
    /// Of its log.
    pub log: LogOptions,
}

/// Streams, durable.
pub struct Store {
    log: Arc<Log>,
    world: RwLock<State>,
    data: Arc<Data>,
    /// Whether someone wants to know about keys.
    watching: AtomicBool,
    /// Given up last.
    _lock: Box<dyn DirLock>,
}

impl Store {
    /// Opens the store in a directory, or creates it, and brings its state back from the log. No
    /// other process can open it until the store is dropped.
    ///
    /// Starts no threads: see [`Log::start`].
    ///
    /// # Errors
    ///
    /// When another process has the directory, when the disk fails, or when the log is damaged or
    /// holds records that this version does not know. Nothing is skipped.
    ///
    /// # Panics
    ///
    /// When the log holds a record that cannot have happened after those before it.
    pub fn open(
        disk: Arc<dyn Disk>,
        dir: &Path,
        options: StoreOptions,
    ) -> Result<Arc<Self>, OpenError> {
        disk.create_dir(dir)?;
        let lock = disk.lock(dir)?;
        let data = Data::open(Arc::clone(&disk), &dir.join("data"), CACHE_BYTES)?;
        let mut state = State::new();
        let reader = Reader::new(&data, Patience::Wait);
        let mut unreadable = None;
        let log = Log::open(
            disk,
            &dir.join("log"),
            options.log,
            &mut |at, records, body| {
                replay(&mut state, &reader, at, records, body).map_err(|fault| match fault {
                    ReplayError::Malformed(cause) => cause,
                    ReplayError::Data(fault) => {
                        unreadable = Some(fault);
                        UNREADABLE
                    }
                })
            },
        );
        if let Some(fault) = unreadable {
            return Err(OpenError::Data(fault));
        }
        let log = log?;
        drop(reader);
        Ok(Arc::new(Self {
            log,
            world: RwLock::new(state),
            data,
            watching: AtomicBool::new(false),
            _lock: lock,
        }))
    }

    /// The log: its marks, its threads, its closing.
    #[must_use]
    pub fn log(&self) -> &Arc<Log> {
        &self.log
    }

    /// Access for what happens inside streams that exist.
    ///
    /// Blocks while someone has the store alone. A thread that has an access must not take another.
    #[must_use]
    pub fn shared(&self) -> Access<'_> {
        Access::shared(self)
    }

    /// Access for everything.
    ///
    /// Blocks while anyone else has access. A thread that has an access must not take another.
    #[must_use]
    pub fn alone(&self) -> Access<'_> {
        Access::alone(self)
    }

    /// Whether accesses are to record [`KeyEvent`]s from now on: they do so only while someone
    /// waits for a key.
    pub fn watch_keys(&self, on: bool) {
        self.watching.store(on, Ordering::SeqCst);
    }

    fn watching(&self) -> bool {
        self.watching.load(Ordering::SeqCst)
    }

    /// Everything that is known, as text, for comparing: equal states have equal dumps.
    ///
    /// # Errors
    ///
    /// When settled entries cannot be read.
    pub fn dump(&self) -> Result<String, DataError> {
        let reader = Reader::new(&self.data, Patience::Wait);
        let dump = self.world.read().dump(&reader);
        dump.map_err(Missing::waited)
    }

    /// Reads what an access lacked, waiting for the disk; no access may be held. The next access
    /// [keeps](Access::pin) it, together with what was loaded for those before it.
    ///
    /// # Errors
    ///
    /// When it cannot be read, or is damaged.
    pub fn load(&self, cold: &Cold) -> Result<Loaded, DataError> {
        self.data.load(cold)
    }

    /// Limits the memory for settled entries that were read.
    pub fn set_cache_bytes(&self, bytes: u64) {
        self.data.set_cache_bytes(bytes);
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        // They write to the directory, which is somebody else's from now on.
        self.log.end_threads();
    }
}

const UNREADABLE: Malformed = Malformed {
    what: "a change of entries that cannot be read",
};

/// Why a frame cannot be applied.
enum ReplayError {
    Data(DataError),
    Malformed(Malformed),
}

impl From<Malformed> for ReplayError {
    fn from(cause: Malformed) -> Self {
        Self::Malformed(cause)
    }
}

impl From<DataError> for ReplayError {
    fn from(fault: DataError) -> Self {
        Self::Data(fault)
    }
}

/// Applies the records of one frame, whose body begins at `at`.
fn replay(
    state: &mut State,
    reader: &Reader<'_>,
    at: Lsn,
    records: u32,
    body: &[u8],
) -> Result<(), ReplayError> {
    let mut rest = body;
    let place = |rest: &[u8]| at.plus((body.len() - rest.len()) as u64);
    for _ in 0..records {
        let start = place(rest);
        let record = Record::decode(&mut rest)?;
        if sabotage::passes_over(&record) {
            continue;
        }
        state.apply(start, place(rest), reader, &record)?;
    }
    if rest.is_empty() {
        Ok(())
    } else {
        Err(ReplayError::Malformed(Malformed {
            what: "bytes after the last record",
        }))
    }
}
