//! Pauses: holding commands back for a while, because a client says so (`CLIENT PAUSE`), or because
//! the part that this server plays is changing.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

use tokio::sync::{Notify, OwnedMutexGuard};

use crate::clock;
use crate::command::Command;
use crate::session::Session;

/// What is held back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Held {
    Nothing,
    Writes,
    All,
}

/// Who wants a pause. The pauses of several go on side by side; each ends its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// `CLIENT PAUSE`.
    Client,
    /// `FAILOVER` lets a replica catch up.
    Failover,
    /// The server is becoming a master, or a replica.
    Role,
}

/// A pause without an end of its own.
pub(crate) const FOR_EVER: u64 = u64::MAX;

/// The pauses that are on.
#[derive(Default)]
pub(crate) struct Pause {
    /// One for each [`Cause`].
    spells: [Spell; 3],
    over: Notify,
    /// Who is held back stands in line here, and leaves one after the other.
    line: Arc<tokio::sync::Mutex<()>>,
}

#[derive(Default)]
struct Spell {
    held: AtomicU8,
    /// When it ends, in milliseconds since 1970.
    until_ms: AtomicU64,
}

/// The turn of one who was held back. Until it is dropped, those who came later wait.
pub(crate) struct Released {
    _first: OwnedMutexGuard<()>,
}

impl Pause {
    /// Begins or extends a pause. A pause of all is not weakened to one of writes, and the later
    /// end counts (`pauseActions` of Redis).
    pub(crate) fn begin(&self, cause: Cause, held: Held, until_ms: u64) {
        let spell = &self.spells[cause as usize];
        spell.until_ms.fetch_max(until_ms, Ordering::Relaxed);
        spell.held.fetch_max(held as u8, Ordering::Release);
    }

    pub(crate) fn end(&self, cause: Cause) {
        let spell = &self.spells[cause as usize];
        spell.held.store(Held::Nothing as u8, Ordering::Release);
        spell.until_ms.store(0, Ordering::Relaxed);
        self.over.notify_waiters();
    }

    /// Ends a client's pause, if it is one of writes: the server is a replica, and takes none.
    pub(crate) fn end_writes(&self) {
        let spell = &self.spells[Cause::Client as usize];
        if spell.held.load(Ordering::Acquire) == Held::Writes as u8 {
            self.end(Cause::Client);
        }
    }

    /// What is held back, by whomever; pauses whose time has come end.
    fn held(&self) -> u8 {
        let mut most = Held::Nothing as u8;
        for spell in &self.spells {
            let held = spell.held.load(Ordering::Acquire);
            if held == Held::Nothing as u8 {
                continue;
            }
            if clock::unix_ms() < spell.until_ms.load(Ordering::Relaxed) {
                most = most.max(held);
            } else {
                spell.held.store(Held::Nothing as u8, Ordering::Release);
                spell.until_ms.store(0, Ordering::Relaxed);
                self.over.notify_waiters();
            }
        }
        most
    }

    /// Whether a command has to wait. EXEC waits if it is to run a write; commands being queued do
    /// not wait for a pause of writes.
    pub(crate) fn holds(&self, session: &Session, command: &Command) -> bool {
        let held = self.held();
        if held == Held::Nothing as u8 {
            return false;
        }
        if held == Held::All as u8 {
            // Whoever paused can end it.
            return !(command.spec.name == "client" || command.container == Some("client"));
        }
        match &session.transaction {
            Some(transaction) => command.spec.name == "exec" && transaction.is_held_with_writes(),
            None => command.spec.is_held_with_writes(),
        }
    }

    /// Whether keys may not expire now: nothing changes during a pause.
    pub(crate) fn holds_expiry(&self) -> bool {
        self.held() != Held::Nothing as u8
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
        let now = clock::unix_ms();
        let ends = self.spells.iter();
        let ends = ends.map(|spell| spell.until_ms.load(Ordering::Relaxed));
        // Whoever is still held back then waits again.
        let next = ends.filter(|&end| end > now).min();
        if let Some(left) = next.map(|end| end - now) {
            drop(tokio::time::timeout(std::time::Duration::from_millis(left), over).await);
        }
        Released { _first: first }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_for_several_causes_go_on_side_by_side() {
        let pause = Pause::default();
        let later = clock::unix_ms() + 3_600_000;
        pause.begin(Cause::Client, Held::Writes, later);
        pause.begin(Cause::Role, Held::All, u64::MAX);
        pause.begin(Cause::Failover, Held::Writes, 0);
        assert_eq!(pause.held(), Held::All as u8);
        pause.end(Cause::Role);
        assert_eq!(pause.held(), Held::Writes as u8);
        assert!(pause.holds_expiry());
        pause.end(Cause::Client);
        assert_eq!(pause.held(), Held::Nothing as u8, "one has ended by itself");
        assert!(!pause.holds_expiry());
    }
}
