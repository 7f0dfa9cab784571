//! What is left of an extent: the entries of it that have not been deleted.
//!
//! ```text
//!  ordinals   0 1 2 3 4 5 6 7 8 9
//!             . . . # # . # # . #      # live, . deleted
//!                   ^ skip
//! ```
//!
//! The extent itself never changes. Several streams may share one (copies of each other), each with
//! a part of its own.
//!
//! # Invariants
//!
//! * `deleted` has ordinals behind `skip` only; it is absent rather than empty.
//! * The entry at `skip` is live, or none is.
//! * `live` is the number of entries that are.

use std::ops::Range;
use std::sync::Arc;

use roaring::RoaringBitmap;

use crate::data::{Extent, ExtentRow};

/// A part of a stream: one extent, as far as it is not deleted.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    extent: Arc<Extent>,
    /// How many entries are deleted in front.
    pub(super) skip: u32,
    pub(super) deleted: Option<Box<RoaringBitmap>>,
    live: u32,
    /// Nodes of the stream that end here, and of which an entry is live, here or before.
    pub(super) nodes: u32,
}

impl Part {
    /// A part of which the entries in `dead` are deleted, and in which so many nodes end.
    pub(super) fn new(extent: Arc<Extent>, dead: RoaringBitmap, nodes: u32) -> Self {
        let entries = extent.row.entries;
        let mut part = Self {
            extent,
            skip: 0,
            live: entries,
            deleted: None,
            nodes,
        };
        let count = u32::try_from(dead.len()).expect("only entries are deleted");
        part.live -= count;
        part.deleted = (count > 0).then(|| Box::new(dead));
        part.restore_front();
        part
    }

    /// The extent.
    pub(crate) fn extent(&self) -> &Arc<Extent> {
        &self.extent
    }

    /// What is known about the extent.
    pub(super) fn row(&self) -> &ExtentRow {
        &self.extent.row
    }

    /// How many entries are live.
    pub(crate) fn live(&self) -> u32 {
        self.live
    }

    /// The data file, and about how many of its bytes are live here.
    pub(crate) fn live_in_file(&self) -> (u64, u64) {
        let row = self.row();
        let bytes = row.bytes / u64::from(row.entries) * u64::from(self.live);
        (self.extent.file.number(), bytes)
    }

    /// Nothing of the stream is here.
    pub(super) fn is_gone(&self) -> bool {
        // A node that ends here, but has entries only in parts before, needs what is said of it
        // here.
        self.live == 0 && self.nodes == 0
    }

    /// Whether an entry is live.
    pub(super) fn is_live(&self, ordinal: u32) -> bool {
        let deleted = self.deleted.as_ref();
        ordinal >= self.skip && deleted.is_none_or(|deleted| !deleted.contains(ordinal))
    }

    /// How many of some entries are live.
    pub(super) fn live_in(&self, ordinals: Range<u32>) -> u32 {
        let from = ordinals.start.max(self.skip);
        let end = ordinals.end.min(self.row().entries);
        let count = end.saturating_sub(from);
        match &self.deleted {
            Some(deleted) if count > 0 => {
                let gone = deleted.range_cardinality(from..end);
                count - u32::try_from(gone).expect("a part of 2^32")
            }
            _ => count,
        }
    }

    /// The first live entry at or behind `ordinal`.
    pub(super) fn next_live(&self, ordinal: u32) -> Option<u32> {
        let mut next = ordinal.max(self.skip);
        if let Some(deleted) = &self.deleted {
            let mut gone = deleted.range(next..);
            if let Some(run) = gone.next_range().filter(|run| *run.start() == next) {
                next = run.end() + 1;
            }
        }
        (next < self.row().entries).then_some(next)
    }

    /// The last live entry before `ordinal`.
    pub(super) fn prev_live(&self, ordinal: u32) -> Option<u32> {
        let mut end = ordinal.min(self.row().entries);
        if let Some(deleted) = &self.deleted {
            let mut gone = deleted.range(..end);
            if let Some(run) = gone.next_range_back().filter(|run| run.end() + 1 == end) {
                end = *run.start();
            }
        }
        end.checked_sub(1).filter(|&last| last >= self.skip)
    }

    /// The live entry at or behind `ordinal` that has `count` live ones between it and there.
    pub(super) fn nth_live(&self, ordinal: u32, count: u32) -> Option<u32> {
        let (mut low, mut high) = (ordinal.max(self.skip), self.row().entries);
        if self.live_in(low..high) <= count {
            return None;
        }
        let from = low;
        // The entries up to the one that is looked for have one live one more than `count`.
        while low < high {
            let middle = low + (high - low) / 2;
            if self.live_in(from..middle + 1) > count {
                high = middle;
            } else {
                low = middle + 1;
            }
        }
        Some(low)
    }

    /// Deletes an entry; whether it was live.
    pub(super) fn delete(&mut self, ordinal: u32) -> bool {
        if !self.is_live(ordinal) {
            return false;
        }
        self.live -= 1;
        if ordinal == self.skip {
            self.skip += 1;
            self.restore_front();
        } else {
            self.deleted.get_or_insert_default().insert(ordinal);
        }
        true
    }

    /// Deletes all entries before `ordinal`, and says how many were live.
    pub(super) fn delete_before(&mut self, ordinal: u32) -> u32 {
        let gone = self.live_in(0..ordinal);
        self.live -= gone;
        if ordinal > self.skip {
            if let Some(deleted) = &mut self.deleted {
                deleted.remove_range(..ordinal);
            }
            self.skip = ordinal;
        }
        self.restore_front();
        gone
    }

    fn restore_front(&mut self) {
        if let Some(deleted) = &mut self.deleted {
            let mut gone = deleted.range(self.skip..);
            if let Some(run) = gone.next_range().filter(|run| *run.start() == self.skip) {
                self.skip = run.end() + 1;
                deleted.remove_range(..self.skip);
            }
            if deleted.is_empty() {
                self.deleted = None;
            }
        }
    }

    /// Adds to `died` the entries that are deleted here and were live in `before`, an earlier
    /// version of this part: how many live ones `before` had in front of each, and `base`.
    pub(super) fn died_since(&self, before: &Self, base: u32, died: &mut RoaringBitmap) {
        let rank = |ordinal| base + before.live_in(0..ordinal);
        died.insert_range(base..rank(self.skip));
        for ordinal in self.deleted.iter().flat_map(|deleted| deleted.iter()) {
            if before.is_live(ordinal) {
                died.insert(rank(ordinal));
            }
        }
    }
}
