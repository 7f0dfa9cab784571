//! The older entries of a stream: those that are in data files.
//!
//! ```text
//!  parts    [ extent ]  [ extent ]      [ extent ]         oldest first; then comes the tail
//!  nodes     ( )( )( )   ( )( )( )--    --)( )( )--        -- continues
//! ```
//!
//! Nodes are as in the [tail](super::tail), in pieces: the writer of an extent cuts large ones
//! where a block ends, and settling cuts the node that entries are still added to. What a piece
//! says of its node is true up to that piece; [`span`](super::span) puts the pieces together.
//!
//! What must be known without reading a block is kept: how many entries and nodes there are, and
//! the first and the last live ID.
//!
//! # Invariants
//!
//! * Extents ascend; all entries precede those of the tail.
//! * A node that is visible, and ends here, is counted in the part in which its last piece is; one
//!   that ends in the tail is counted there. No part [is gone](Part::is_gone).
//! * There is a live entry: else there is no settled tier.
//! * `front`, a node without live entries that trimming has left, comes before all others.

use std::collections::VecDeque;
use std::ops::Range;

use super::part::Part;
use super::tail::Node;
use super::{Entry, Order, Place};
use crate::data::{BlockEntry, Cold, Index, Missing, Pinned, Reader};
use crate::id::StreamId;

#[derive(Clone, Debug)]
pub(super) struct Settled {
    pub(super) parts: VecDeque<Part>,
    /// How many entries are live.
    pub(super) live: u64,
    /// ID of the first live entry.
    pub(super) first: StreamId,
    /// ID of the last live entry.
    pub(super) last: StreamId,
    pub(super) front: Option<Box<Node>>,
}

/// A block that is at hand.
pub(super) struct Held {
    pub(super) index: Index,
    /// Its number.
    pub(super) number: usize,
    pub(super) pinned: Pinned,
}

impl Held {
    /// The block with this number.
    pub(super) fn number(
        reader: &Reader<'_>,
        part: &Part,
        index: Index,
        number: usize,
    ) -> Result<Self, Missing> {
        let pinned = reader.block(part.extent(), &index, number)?;
        Ok(Self {
            index,
            number,
            pinned,
        })
    }

    /// The block with the entry of this ordinal.
    pub(super) fn ordinal(reader: &Reader<'_>, part: &Part, ordinal: u32) -> Result<Self, Missing> {
        let index = reader.index(part.extent())?;
        let number = index.block_of(ordinal);
        Self::number(reader, part, index, number)
    }

    pub(super) fn id(&self, ordinal: u32) -> StreamId {
        self.pinned.block.entry(ordinal).id
    }
}

fn to_entry(pinned: &Pinned, entry: BlockEntry) -> Entry {
    Entry {
        id: entry.id,
        at: Place::in_block(pinned.pin, entry.offset),
    }
}

/// The ID of an entry.
pub(super) fn id_at(reader: &Reader<'_>, part: &Part, ordinal: u32) -> Result<StreamId, Missing> {
    Ok(Held::ordinal(reader, part, ordinal)?.id(ordinal))
}

impl Settled {
    /// How many nodes there are that do not end in the tail.
    pub(super) fn nodes(&self) -> usize {
        let ended: usize = self.parts.iter().map(|part| part.nodes as usize).sum();
        ended + usize::from(self.front.is_some())
    }

    /// The part, the block and the ordinal of a live entry.
    pub(super) fn find(
        &self,
        reader: &Reader<'_>,
        id: StreamId,
    ) -> Result<Option<(usize, Held, u32)>, Missing> {
        let at = self.parts.partition_point(|part| part.row().last < id);
        let Some(part) = self.parts.get(at).filter(|part| part.row().first <= id) else {
            return Ok(None);
        };
        let index = reader.index(part.extent())?;
        let number = index.seek(id);
        let row = &index.rows()[number];
        if id < row.first || part.live_in(row.ordinals()) == 0 {
            return Ok(None);
        }
        let held = Held::number(reader, part, index, number)?;
        let found = held.pinned.block.find(id);
        let found = found.filter(|entry| part.is_live(entry.ordinal));
        Ok(found.map(|entry| (at, held, entry.ordinal)))
    }

    /// The live entry with this ID.
    pub(super) fn get(&self, reader: &Reader<'_>, id: StreamId) -> Result<Option<Entry>, Missing> {
        let Some((_, held, ordinal)) = self.find(reader, id)? else {
            return Ok(None);
        };
        let entry = held.pinned.block.entry(ordinal);
        Ok(Some(to_entry(&held.pinned, entry)))
    }

    /// Gives `found` the live entries from `from` to `to`, both included, until it has taken
    /// `limit`; says how many it has taken. When blocks are missing, says which: all of them.
    pub(super) fn entries(
        &self,
        reader: &Reader<'_>,
        (from, to): (StreamId, StreamId),
        order: Order,
        limit: usize,
        mut found: impl FnMut(Entry),
    ) -> Result<usize, Missing> {
        let begin = self.parts.partition_point(|part| part.row().last < from);
        let end = self.parts.partition_point(|part| part.row().first <= to);
        let mut gather = Gather::default();
        // What is found and what, after a block that is missing, will be found at least.
        let mut count = 0;
        for at in order.steps(begin..end) {
            let part = &self.parts[at];
            if count >= limit {
                break;
            }
            if part.live() == 0 {
                continue;
            }
            let row = part.row();
            let then = self.parts.get(at + 1).filter(|_| order == Order::Forward);
            let then = then.map(Part::extent);
            let Some(index) = gather.or_missing(reader.index(part.extent()))? else {
                if from <= row.first && row.last <= to {
                    count += part.live() as usize;
                }
                continue;
            };
            let blocks = index.rows();
            let begin = blocks.partition_point(|row| row.last < from);
            let end = blocks.partition_point(|row| row.first <= to);
            for number in order.steps(begin..end) {
                let row = &blocks[number];
                let live = part.live_in(row.ordinals());
                if count >= limit {
                    break;
                }
                if live == 0 {
                    continue;
                }
                let pinned = reader.block_before(part.extent(), &index, number, then);
                let Some(pinned) = gather.or_missing(pinned)?.filter(|_| gather.is_complete())
                else {
                    if from <= row.first && row.last <= to {
                        count += live as usize;
                    }
                    continue;
                };
                let block = &pinned.block;
                let begin = block.seek(from);
                let end = to
                    .next()
                    .map_or(row.ordinals().end, |next| block.seek(next));
                for ordinal in order.steps(begin as usize..end as usize) {
                    let ordinal = u32::try_from(ordinal).expect("it is between two of them");
                    if part.is_live(ordinal) {
                        found(to_entry(&pinned, block.entry(ordinal)));
                        count += 1;
                        if count == limit {
                            break;
                        }
                    }
                }
            }
        }
        gather.finish()?;
        Ok(count)
    }
}

/// Gives `found` the live entries among some of a part.
pub(super) fn live_entries(
    reader: &Reader<'_>,
    part: &Part,
    ordinals: Range<u32>,
    mut found: impl FnMut(Entry),
) -> Result<(), Missing> {
    let index = reader.index(part.extent())?;
    let rows = index.rows().iter().enumerate();
    let from = rows.skip_while(|(_, row)| row.ordinals().end <= ordinals.start);
    for (number, _) in from.take_while(|(_, row)| row.ordinal < ordinals.end) {
        let pinned = reader.block(part.extent(), &index, number)?;
        let entries = pinned.block.entries(ordinals.clone());
        let live = entries.filter(|entry| part.is_live(entry.ordinal));
        live.for_each(|entry| found(to_entry(&pinned, entry)));
    }
    Ok(())
}

/// Collects what is missing, so that one halt suffices for it.
#[derive(Default)]
pub(super) struct Gather(Vec<Cold>);

impl Gather {
    /// The value; `None` when it is missing, which is noted.
    pub(super) fn or_missing<T>(
        &mut self,
        value: Result<T, Missing>,
    ) -> Result<Option<T>, Missing> {
        match value {
            Ok(value) => Ok(Some(value)),
            Err(Missing::Cold(cold)) => {
                self.0.push(cold);
                Ok(None)
            }
            Err(unreadable) => Err(unreadable),
        }
    }

    /// Whether nothing is missing so far.
    pub(super) fn is_complete(&self) -> bool {
        self.0.is_empty()
    }

    /// Says what is missing.
    pub(super) fn finish(mut self) -> Result<(), Missing> {
        // Pairs, and pairs of pairs: merging sorts.
        while self.0.len() > 1 {
            let mut rest = self.0.into_iter();
            let mut merged = Vec::with_capacity(rest.len().div_ceil(2));
            while let Some(mut cold) = rest.next() {
                rest.next().into_iter().for_each(|next| cold.merge(next));
                merged.push(cold);
            }
            self.0 = merged;
        }
        self.0.pop().map_or(Ok(()), |cold| Err(Missing::Cold(cold)))
    }
}
