//! What a command gives: how it ended, and how it goes on if it waits.

use std::sync::Arc;

use headwater_resp::Writer;
use headwater_store::{AppendError, Cold, CommitError, DataError, Missing};

use crate::backups::Making;
use crate::command::Data;
use crate::refusal::Refusal;
use crate::replication::feed::Feed;

/// How a command ended that was not refused.
pub(crate) enum Outcome {
    /// The reply is written.
    Done,
    /// The connection belongs to a replica from now on.
    Feed(Feed),
    /// Nothing to say yet.
    Park(Park),
}

/// A command that waits.
pub(crate) struct Park {
    /// What to wait for, each once.
    pub(crate) keys: Vec<Arc<[u8]>>,
    /// The consumer group in whose name it reads. A key's new entry serves one reader of a group.
    pub(crate) group: Option<Box<[u8]>>,
    /// How long, in milliseconds; zero is for ever.
    pub(crate) timeout_ms: u64,
    /// The command with everything resolved that is resolved once. Runs again after each change.
    pub(crate) again: Again,
    /// Runs again, too, once this is so.
    pub(crate) until: Option<Until>,
    /// What to say when the time is up.
    pub(crate) at_last: AtLast,
}

impl Park {
    /// Waits for keys, and has a null array at last.
    pub(crate) fn for_keys(
        keys: Vec<Arc<[u8]>>,
        group: Option<Box<[u8]>>,
        timeout_ms: u64,
        again: Again,
    ) -> Self {
        Self {
            keys,
            group,
            timeout_ms,
            again,
            until: None,
            at_last: Box::new(nothing),
        }
    }

    /// Waits for no key.
    pub(crate) fn idle(
        timeout_ms: u64,
        again: impl FnMut(&mut Data<'_>) -> Result<Served, Halt> + Send + 'static,
    ) -> Self {
        Self::for_keys(Vec::new(), None, timeout_ms, Box::new(again))
    }

    /// Waits for replicas, and first for this server's disk if it is to `sync`.
    pub(crate) fn until_replicas(self, sync: bool) -> Self {
        Self {
            until: Some(Until::Replicas { sync }),
            ..self
        }
    }

    pub(crate) fn until_round(self, round: u64) -> Self {
        Self {
            until: Some(Until::Round(round)),
            ..self
        }
    }

    pub(crate) fn until_backup(self, making: Arc<Making>) -> Self {
        Self {
            until: Some(Until::Backup(making)),
            ..self
        }
    }

    pub(crate) fn or_at_last(self, at_last: impl FnOnce(&mut Writer<'_>) + Send + 'static) -> Self {
        Self {
            at_last: Box::new(at_last),
            ..self
        }
    }
}

/// Something about the store that a command waits for.
#[derive(Clone, Debug)]
pub(crate) enum Until {
    /// This backup has been made, or given up.
    Backup(Arc<Making>),
    /// What this server has written, and synced if it is to `sync`, is acknowledged by replicas:
    /// each time one does so.
    Replicas { sync: bool },
    /// This round of upkeep has ended.
    Round(u64),
}

/// What somebody who waited for a key in vain is told.
fn nothing(out: &mut Writer<'_>) {
    out.null_array();
}

/// Writes the reply of a command whose time is up.
pub(crate) type AtLast = Box<dyn FnOnce(&mut Writer<'_>) + Send>;

/// Looks again whether there is something to say.
pub(crate) type Again = Box<dyn FnMut(&mut Data<'_>) -> Result<Served, Halt> + Send>;

/// Whether a command that waits has found something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Served {
    /// The reply is written.
    Yes,
    NotYet,
}

/// Why a command stopped early.
#[derive(Debug)]
pub(crate) enum Halt {
    /// It changes the keyspace, which it had to itself only in part. Nothing has happened; it runs
    /// again alone.
    Alone,
    /// It needs blocks that are not in memory. Nothing has happened; it runs again with them.
    Cold(Cold),
    /// It comes again once nothing holds it back any more.
    Held,
    Refused(Refusal),
    /// It needs blocks that cannot be read.
    Unreadable(DataError),
}

impl From<Refusal> for Halt {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<Missing> for Halt {
    fn from(missing: Missing) -> Self {
        match missing {
            Missing::Cold(cold) => Self::Cold(cold),
            Missing::Unreadable(fault) => Self::Unreadable(fault),
        }
    }
}

impl From<CommitError> for Halt {
    fn from(error: CommitError) -> Self {
        match error {
            CommitError::Append(error) => error.into(),
            CommitError::Missing(missing) => missing.into(),
        }
    }
}

impl From<AppendError> for Halt {
    fn from(fault: AppendError) -> Self {
        Self::Refused(fault.into())
    }
}
