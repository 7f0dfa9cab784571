//! `CLIENT PAUSE`: holding commands back for a while.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

use tokio::sync::{Notify, OwnedMutexGuard};

use crate::clock;
use crate::command::{Access, Command};
use crate::session::Session;

/// What is held back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Held {
    Nothing,
    Writes,
    All,
}

/// The pause that is on, if any.
#[derive(Default)]
pub(crate) struct Pause {
    held: AtomicU8,
    /// When it ends, in milliseconds since 1970.
    until_ms: AtomicU64,
    over: Notify,
    /// Who is held back stands in line here, and leaves one after the other.
    line: Arc<tokio::sync::Mutex<()>>,
}

/// The turn of one who was held back. Until it is dropped, those who came later wait.
pub(crate) struct Released {
    _first: OwnedMutexGuard<()>,
}

impl Pause {
    /// Begins or extends a pause. A pause of all is not weakened to one of writes, and the later
    /// end counts (`pauseActions` of Redis).
    pub(crate) fn begin(&self, held: Held, until_ms: u64) {
        self.held.fetch_max(held as u8, Ordering::Relaxed);
        self.until_ms.fetch_max(until_ms, Ordering::Relaxed);
    }

    pub(crate) fn end(&self) {
        self.until_ms.store(0, Ordering::Relaxed);
        self.held.store(Held::Nothing as u8, Ordering::Relaxed);
        self.over.notify_waiters();
    }

    /// Whether a command has to wait. EXEC waits if it is to run a write; commands being queued do
    /// not wait for a pause of writes.
    pub(crate) fn holds(&self, session: &Session, command: &Command) -> bool {
        let held = self.held.load(Ordering::Relaxed);
        if held == Held::Nothing as u8 {
            return false;
        }
        if clock::unix_ms() >= self.until_ms.load(Ordering::Relaxed) {
            self.end();
            return false;
        }
        if held == Held::All as u8 {
            // Whoever paused can end it.
            return !(command.spec.name == "client" || command.container == Some("client"));
        }
        match &session.transaction {
            Some(transaction) => command.spec.name == "exec" && transaction.changes(),
            None => command.spec.access == Access::Write,
        }
    }

    /// Whether keys may not expire now: nothing changes during a pause.
    pub(crate) fn holds_expiry(&self) -> bool {
        self.held.load(Ordering::Relaxed) != Held::Nothing as u8
            && clock::unix_ms() < self.until_ms.load(Ordering::Relaxed)
    }

    /// Returns when the pause is over or its time has come, and whoever was held back before has
    /// had its turn.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future gives up the place in line.
    pub(crate) async fn wait(&self) -> Released {
        // The lock is fair: first come, first served.
        let first = Arc::clone(&self.line).lock_owned().await;
        let over = self.over.notified();
        tokio::pin!(over);
        over.as_mut().enable();
        let left = self
            .until_ms
            .load(Ordering::Relaxed)
            .saturating_sub(clock::unix_ms());
        if left > 0 {
            drop(tokio::time::timeout(std::time::Duration::from_millis(left), over).await);
        }
        Released { _first: first }
    }
}
