//! How far a stream is to be trimmed.
//!
//! Walks the storage nodes from the oldest, as Redis does, because approximate trimming removes
//! whole nodes and its counts are visible:
//!
//! 1. With a length to keep: stop when it is reached.
//! 2. With a limit: stop before a node that would exceed it.
//! 3. A node goes as a whole if the length stays at least the one to keep, or if its last entry,
//!    deleted or not, is below the ID to keep.
//! 4. Otherwise, approximate trimming stops; exact trimming takes single entries off the node's
//!    front, and stops.

use std::ops::ControlFlow;

use super::entries::Entries;
use crate::id::StreamId;

/// What is to be kept of a stream.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum TrimBy {
    /// So many of the newest entries.
    MaxLen(u64),
    /// Entries from this ID on.
    MinId(StreamId),
}

/// A request to trim.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Trim {
    /// What is to be kept.
    pub by: TrimBy,
    /// Only whole storage nodes are removed (`~`), so somewhat more is kept.
    pub approximate: bool,
    /// At most so many entries are removed, in whole nodes; `None` is no limit.
    pub limit: Option<u64>,
}

/// The result of a decision to trim: [`Change::Trimmed`](crate::Change::Trimmed) makes it so.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct TrimPoint {
    /// Entries up to and including this ID go.
    pub through: StreamId,
    /// How many entries go.
    pub removed: u64,
}

/// An entry that will have been added by the time of trimming.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) struct Upcoming {
    pub(super) id: StreamId,
    pub(super) new_node: bool,
}

pub(super) fn trim_point(
    entries: &Entries,
    upcoming: Option<Upcoming>,
    trim: &Trim,
) -> Option<TrimPoint> {
    let mut walk = Walk {
        trim,
        len: entries.len() + u64::from(upcoming.is_some()),
        point: TrimPoint {
            through: StreamId::MIN,
            removed: 0,
        },
    };
    let joins = upcoming
        .filter(|upcoming| !upcoming.new_node)
        .map(|upcoming| upcoming.id);
    let opens = upcoming
        .filter(|upcoming| upcoming.new_node)
        .map(|upcoming| upcoming.id);
    let mut nodes = entries.nodes().peekable();
    let walked = std::iter::from_fn(|| {
        let node = nodes.next()?;
        let joins = joins.filter(|_| nodes.peek().is_none());
        let live = node.live() + u64::from(joins.is_some());
        let last = joins.unwrap_or(node.last());
        Some(walk.node(live, last, node.ids().chain(joins)))
    });
    let stopped = { walked }.any(|step| step.is_break());
    if !stopped && let Some(id) = opens {
        let _ = walk.node(1, id, [id].into_iter());
    }
    // A node whose entries were all deleted goes, too, and counts for nothing.
    (walk.point.through > StreamId::MIN).then_some(walk.point)
}

struct Walk<'a> {
    trim: &'a Trim,
    len: u64,
    point: TrimPoint,
}

impl Walk<'_> {
    /// Looks at one node with so many live entries.
    fn node(
        &mut self,
        live: u64,
        last: StreamId,
        ids: impl Iterator<Item = StreamId>,
    ) -> ControlFlow<()> {
        if self.satisfied()
            || self
                .trim
                .limit
                .is_some_and(|limit| self.point.removed + live > limit)
        {
            return ControlFlow::Break(());
        }
        let whole = match self.trim.by {
            TrimBy::MaxLen(max) => self.len - live >= max,
            TrimBy::MinId(min) => last < min,
        };
        if whole {
            self.remove(last, live);
            return ControlFlow::Continue(());
        }
        if !self.trim.approximate {
            for id in ids {
                if self.satisfied() || matches!(self.trim.by, TrimBy::MinId(min) if id >= min) {
                    break;
                }
                self.remove(id, 1);
            }
        }
        ControlFlow::Break(())
    }

    fn satisfied(&self) -> bool {
        matches!(self.trim.by, TrimBy::MaxLen(max) if self.len <= max)
    }

    fn remove(&mut self, through: StreamId, count: u64) {
        self.len -= count;
        self.point.removed += count;
        self.point.through = through;
    }
}
