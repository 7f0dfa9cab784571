//! What commits did to keys, for those who wait for one.

use std::sync::Arc;

use crate::record::{Change, KeyspaceChange};
use crate::state::State;

/// Something happened to a key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KeyEvent {
    /// The database.
    pub db: u8,
    /// The key.
    pub key: Arc<[u8]>,
    /// What happened.
    pub kind: EventKind,
}

/// What can happen to a key.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum EventKind {
    /// A stream is there that was not.
    Appeared,
    /// The stream has a new entry.
    Appended,
    /// A group of the stream is gone.
    GroupDestroyed,
    /// The stream is not there any more.
    Removed,
}

/// What a change of a stream means to those who wait for its key.
pub(super) fn of_change(change: &Change<'_>) -> Option<EventKind> {
    match change {
        Change::EntryAdded { .. } => Some(EventKind::Appended),
        Change::GroupDestroyed { .. } => Some(EventKind::GroupDestroyed),
        _ => None,
    }
}

/// What a change of the keyspace, which is about to be made, means to those who wait for keys.
pub(super) fn of_keyspace_change(
    state: &State,
    change: &KeyspaceChange<'_>,
    events: &mut Vec<KeyEvent>,
) {
    let mut push = |db: u8, key: &Arc<[u8]>, kind| {
        let key = Arc::clone(key);
        events.push(KeyEvent { db, key, kind });
    };
    match *change {
        KeyspaceChange::Copied { db, key, .. } | KeyspaceChange::Created { db, key, .. } => {
            push(db, &key.into(), EventKind::Appeared);
        }
        KeyspaceChange::Moved { stream, db, key } => {
            if let Some((from, before)) = state.home(stream) {
                push(from, before, EventKind::Removed);
            }
            push(db, &key.into(), EventKind::Appeared);
        }
        KeyspaceChange::Removed { stream } => {
            if let Some((db, key)) = state.home(stream) {
                push(db, key, EventKind::Removed);
            }
        }
        KeyspaceChange::Flushed { db } => {
            for db in db.map_or(0..=u8::MAX, |db| db..=db) {
                for key in state.keys(db) {
                    push(db, key, EventKind::Removed);
                }
            }
        }
        KeyspaceChange::DatabasesSwapped { a, b } => {
            for (from, to) in [(a, b), (b, a)] {
                for key in state.keys(from) {
                    push(from, key, EventKind::Removed);
                    push(to, key, EventKind::Appeared);
                }
            }
        }
        KeyspaceChange::ExpirySet { .. } => {}
    }
}
