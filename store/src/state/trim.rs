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

use super::entries::{Entries, Take};
use crate::data::{Missing, Reader};
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

/// Whole blocks and extents of settled nodes are passed over by what is known about them; single
/// nodes are looked at where the walk may end.
pub(super) fn trim_point(
    entries: &Entries,
    reader: &Reader<'_>,
    upcoming: Option<Upcoming>,
    trim: &Trim,
) -> Result<Option<TrimPoint>, Missing> {
    let mut walk = Walk {
        trim,
        len: entries.len() + u64::from(upcoming.is_some()),
        point: TrimPoint {
            through: StreamId::MIN,
            removed: 0,
        },
    };
    let _ = walk.all(entries, reader, upcoming)?;
    // A node whose entries were all deleted goes, too, and counts for nothing.
    Ok((walk.point.through > StreamId::MIN).then_some(walk.point))
}

struct Walk<'a> {
    trim: &'a Trim,
    len: u64,
    point: TrimPoint,
}

impl Walk<'_> {
    fn all(
        &mut self,
        entries: &Entries,
        reader: &Reader<'_>,
        upcoming: Option<Upcoming>,
    ) -> Result<ControlFlow<()>, Missing> {
        if entries.has_settled() && self.settled(entries, reader)?.is_break() {
            return Ok(ControlFlow::Break(()));
        }
        let mut nodes = entries.tail_nodes();
        while let Some(node) = nodes.next() {
            let joins = upcoming.filter(|upcoming| nodes.len() == 0 && !upcoming.new_node);
            let live = node.live() + u64::from(joins.is_some());
            let last = joins.map_or(node.last(), |upcoming| upcoming.id);
            let take = |take| entries.take_tail(reader, node, take);
            if self.node(live, last, take)?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        match upcoming.filter(|upcoming| upcoming.new_node) {
            Some(Upcoming { id, .. }) => self.node(1, id, |_| Ok(None)),
            None => Ok(ControlFlow::Continue(())),
        }
    }

    /// Looks at the nodes that do not end in the tail.
    fn settled(
        &mut self,
        entries: &Entries,
        reader: &Reader<'_>,
    ) -> Result<ControlFlow<()>, Missing> {
        if let Some(front) = entries.front()
            && self.node(0, front.last(), |_| Ok(None))?.is_break()
        {
            return Ok(ControlFlow::Break(()));
        }
        let skipped = entries.skip(reader, |live, end| {
            !self.exceeds_limit(live) && self.goes(live, end)
        })?;
        if skipped.live > 0 {
            self.remove(skipped.through, skipped.live);
        }
        for span in entries.settled_nodes(reader, &skipped) {
            let span = span?;
            let take = |take| entries.take_settled(reader, &span, take);
            if self
                .node(span.live.into(), span.head.last, take)?
                .is_break()
            {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Looks at one node with so many live entries. `take` says how many it would take off the
    /// front, and the last of them.
    fn node(
        &mut self,
        live: u64,
        last: StreamId,
        take: impl FnOnce(Take) -> Result<Option<(u64, StreamId)>, Missing>,
    ) -> Result<ControlFlow<()>, Missing> {
        if self.satisfied() || self.exceeds_limit(live) {
            return Ok(ControlFlow::Break(()));
        }
        if self.goes(live, last) {
            self.remove(last, live);
            return Ok(ControlFlow::Continue(()));
        }
        if !self.trim.approximate {
            let some = match self.trim.by {
                TrimBy::MaxLen(max) => Take::Count(self.len - max),
                TrimBy::MinId(min) => Take::Below(min),
            };
            if let Some((count, through)) = take(some)? {
                self.remove(through, count);
            }
        }
        Ok(ControlFlow::Break(()))
    }

    /// Whether so many entries, of nodes that end up to `last`, go as a whole.
    fn goes(&self, live: u64, last: StreamId) -> bool {
        match self.trim.by {
            TrimBy::MaxLen(max) => self.len.checked_sub(live).is_some_and(|left| left >= max),
            TrimBy::MinId(min) => last < min,
        }
    }

    fn exceeds_limit(&self, live: u64) -> bool {
        let limit = self.trim.limit;
        limit.is_some_and(|limit| self.point.removed + live > limit)
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
