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
mod agreement;
mod backup;
mod capture;
mod event;
mod open;
mod plan;
mod receive;
mod retention;
mod settle;
mod upkeep;

pub use access::{Access, StreamMut};
pub use agreement::Agreement;
pub use event::{EventKind, KeyEvent};
pub use receive::Received;
pub use retention::Retention;
pub use upkeep::{Budgets, CheckpointStats, Round, UpkeepError, UpkeepStats};

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::RwLock;

use crate::data::{Cold, Data, DataStats, Loaded, Missing, Patience, Reader};
use crate::disk::{DirLock, Disk};
use crate::error::{DataError, LeadError, Poisoned};
use crate::history::{History, HistoryId};
use crate::log::{Log, LogOptions, Opening};
use crate::lsn::Lsn;
use crate::state::State;
use agreement::Agreed;
use upkeep::Upkeep;

/// How a store is to be opened.
#[derive(Clone, Debug)]
pub struct StoreOptions {
    /// Of its log; a checkpoint says what of it is needed.
    pub log: LogOptions,
    /// What it is opened for.
    pub role: Opening,
    /// What may pile up.
    pub budgets: Budgets,
    /// Bytes of memory for settled entries that were read.
    pub cache_bytes: u64,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self {
            log: LogOptions::default(),
            role: Opening::Follow,
            budgets: Budgets::default(),
            cache_bytes: 64 << 20,
        }
    }
}

/// Streams, durable.
pub struct Store {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    log: Arc<Log>,
    world: RwLock<State>,
    data: Arc<Data>,
    upkeep: Upkeep,
    agreed: Agreed,
    /// Whether someone wants to know about keys.
    watching: AtomicBool,
    /// Given up last.
    _lock: Box<dyn DirLock>,
}

impl Store {
    /// The log: its marks, its threads, its closing.
    #[must_use]
    pub fn log(&self) -> &Arc<Log> {
        &self.log
    }

    /// The epochs of the log, of which the last is the current one.
    #[must_use]
    pub fn history(&self) -> History {
        self.log.history()
    }

    /// Whether changes are committed here; otherwise it follows a store that leads.
    #[must_use]
    pub fn leads(&self) -> bool {
        self.log.leads()
    }

    /// Leads from now on: begins an epoch with this id, which must be new, and takes changes. Says
    /// where the epoch begins; it is durable by then.
    ///
    /// # Errors
    ///
    /// When it leads already, or there is no room: nothing has happened then. When the log is, or
    /// has just been, poisoned.
    pub fn lead(&self, id: HistoryId) -> Result<Lsn, LeadError> {
        self.log.lead(id)
    }

    /// Follows from now on: refuses changes, and makes durable what was changed before. Says where
    /// the log ends; so it does when it follows already.
    ///
    /// Waits for those who have begun to change something.
    ///
    /// # Errors
    ///
    /// When the log is, or has just been, poisoned. It refuses changes all the same.
    pub fn follow(&self) -> Result<Lsn, Poisoned> {
        self.log.follow()
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

    /// Figures about settled entries.
    #[must_use]
    pub fn data_stats(&self) -> DataStats {
        self.data.stats()
    }

    /// Ends the threads, makes everything durable, and makes the log bear witness of it.
    ///
    /// # Errors
    ///
    /// When the log is, or has just been, poisoned.
    pub fn close(&self) -> Result<(), Poisoned> {
        self.upkeep.stop();
        self.log.close()
    }

    fn checkpoint_dir(&self) -> PathBuf {
        self.dir.join("checkpoint")
    }

    /// Limits the memory for settled entries that were read.
    pub fn set_cache_bytes(&self, bytes: u64) {
        self.data.set_cache_bytes(bytes);
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.upkeep.stop();
        // They write to the directory, which is somebody else's from now on.
        self.log.end_threads();
    }
}
