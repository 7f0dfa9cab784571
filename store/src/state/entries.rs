//! Where the entries of one stream are, in two tiers.
//!
//! ```text
//!  settled   parts of data files: a hundred bytes of memory for thousands of entries
//!  tail      an index from ID to place in the log: a few bytes an entry
//!
//!  ID   0-1 ........................ 7-2   7-3 ...................... 9-5
//!       [ part ][ part ][      part    ]   [ node ][ node ][ node ][ node
//!        settled, oldest first              tail; entries are added here
//! ```
//!
//! An entry begins in the [tail]. [Drafts](draft) move the front of it into an extent of a data
//! file, and the stream then keeps a [part] of that. What can be seen of a stream does not depend
//! on what is settled: neither its entries nor the nodes that trimming sees.
//!
//! Settled entries are read through the [`Reader`] of an access, and may be
//! [missing](crate::data::Missing) from memory. Whatever is done here either happens or says what
//! is missing, and then nothing has happened. A stream of which nothing is settled never lacks
//! anything.

mod draft;
mod edit;
mod image;
mod nodes;
mod part;
mod settled;
mod slots;
mod span;
mod tail;
#[cfg(test)]
mod tests;

use std::ops::Range;

pub(crate) use self::draft::Draft;
use self::edit::Plan;
pub(crate) use self::image::Files;
pub(super) use self::nodes::{NodeView, Take};
pub(crate) use self::part::Part;
use self::settled::{Gather, Settled};
use self::tail::Tail;
use super::listpack::NodeLimits;
use crate::data::{Missing, Reader};
use crate::id::StreamId;
use crate::lsn::Lsn;
use crate::record::Fields;

/// Where the fields of an entry are kept: in the log, or in a block that a reader keeps. Good
/// while the access that found the entry lives.
///
/// ```text
///  63        62 ..... 40  39 ..... 0
///  in block  pin          offset
///  0         LSN
/// ```
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub struct Place(u64);

/// What a place is, taken apart.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) enum PlaceIn {
    /// A record in the log.
    Log(Lsn),
    /// An offset in a block that a reader keeps under this number.
    Block { pin: u32, offset: u32 },
}

impl Place {
    /// Beyond any log.
    const IN_BLOCK: u64 = 1 << 63;
    const OFFSET_BITS: u32 = 40;

    pub(crate) fn in_log(at: Lsn) -> Self {
        assert!(
            at.get() < Self::IN_BLOCK,
            "a log is shorter than 2^63 bytes"
        );
        Self(at.get())
    }

    /// A place in the log, unless no log has it.
    fn try_in_log(at: Lsn) -> Option<Self> {
        (at.get() < Self::IN_BLOCK).then_some(Self(at.get()))
    }

    fn in_block(pin: u32, offset: u32) -> Self {
        debug_assert!(pin < 1 << 23, "pins have 23 bits");
        Self(Self::IN_BLOCK | u64::from(pin) << Self::OFFSET_BITS | u64::from(offset))
    }

    pub(crate) fn get(self) -> PlaceIn {
        if self.0 & Self::IN_BLOCK == 0 {
            return PlaceIn::Log(self.lsn());
        }
        let pin = (self.0 & !Self::IN_BLOCK) >> Self::OFFSET_BITS;
        let offset = self.0 & ((1 << Self::OFFSET_BITS) - 1);
        PlaceIn::Block {
            pin: u32::try_from(pin).expect("pins have 23 bits"),
            offset: u32::try_from(offset).expect("it was made of 32 bits"),
        }
    }

    /// Where in the log it is, which it is.
    fn lsn(self) -> Lsn {
        Lsn::new(self.0)
    }
}

/// One entry of a stream.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    /// Its ID.
    pub id: StreamId,
    /// Where its fields are; read them with [`Access::fields`](crate::Access::fields).
    pub at: Place,
}

/// How an entry that is to be added would be stored.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct NodePlace {
    /// In a new node.
    pub new_node: bool,
    /// Adding so many bytes to its node.
    pub node_bytes: u32,
}

/// From which end entries are taken.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Order {
    /// The oldest first.
    Forward,
    /// The newest first.
    Backward,
}

impl Order {
    /// The numbers of a range in this order.
    fn steps(self, range: Range<usize>) -> impl Iterator<Item = usize> {
        let (begin, end) = (range.start, range.end);
        range.map(move |at| match self {
            Self::Forward => at,
            Self::Backward => end - 1 - (at - begin),
        })
    }
}

/// The entries of one stream.
#[derive(Clone, Debug, Default)]
pub(super) struct Entries {
    settled: Option<Box<Settled>>,
    tail: Tail,
    /// How many drafts have been installed: one that is older knows nothing of the others.
    installed: u32,
}

impl Entries {
    pub(super) fn len(&self) -> u64 {
        self.tail.len() + self.settled.as_ref().map_or(0, |settled| settled.live)
    }

    pub(super) fn nodes_len(&self) -> usize {
        self.tail.nodes().len() + self.settled.as_ref().map_or(0, |settled| settled.nodes())
    }

    pub(super) fn has_nodes(&self) -> bool {
        // The last node is always there.
        !self.tail.nodes().is_empty()
    }

    /// The ID of the first entry.
    pub(super) fn first_id(&self) -> Option<StreamId> {
        match &self.settled {
            Some(settled) => Some(settled.first),
            None => self.tail.first().map(|entry| entry.id),
        }
    }

    /// The ID of the last entry.
    pub(super) fn last_id(&self) -> Option<StreamId> {
        let last = self.tail.last().map(|entry| entry.id);
        last.or(self.settled.as_ref().map(|settled| settled.last))
    }

    /// What is settled, oldest first.
    pub(super) fn parts(&self) -> impl Iterator<Item = &Part> {
        self.settled.iter().flat_map(|settled| settled.parts.iter())
    }

    /// The lowest place in the log that an entry needs; `None` when none needs the log.
    pub(super) fn lowest(&self) -> Option<Lsn> {
        self.tail.first().map(|entry| entry.at.lsn())
    }

    /// The entries that are only in the log, in order, each with its place there.
    pub(super) fn in_log(&self) -> impl Iterator<Item = (StreamId, Lsn)> {
        let tail = self.tail.range(StreamId::MIN, StreamId::MAX);
        tail.map(|entry| (entry.id, entry.at.lsn()))
    }

    /// Whether nothing can be missing of the entries from `from` on.
    pub(super) fn in_tail(&self, from: StreamId) -> bool {
        let settled = self.settled.as_ref();
        settled.is_none_or(|settled| settled.last < from)
    }

    pub(super) fn get(&self, reader: &Reader<'_>, id: StreamId) -> Result<Option<Entry>, Missing> {
        match &self.settled {
            Some(settled) if id <= settled.last => settled.get(reader, id),
            _ => Ok(self.tail.get(id)),
        }
    }

    /// What [`get`](Self::get) finds for each of some IDs. When blocks are missing, says which: all
    /// of them.
    pub(super) fn get_all(
        &self,
        reader: &Reader<'_>,
        ids: impl Iterator<Item = StreamId>,
    ) -> Result<Vec<Option<Entry>>, Missing> {
        let mut gather = Gather::default();
        let mut found = Vec::with_capacity(ids.size_hint().0);
        for id in ids {
            found.push(gather.or_missing(self.get(reader, id))?.flatten());
        }
        gather.finish()?;
        Ok(found)
    }

    /// The first `limit` live entries from `from` to `to`, both included, in an order. When blocks
    /// are missing, says which: all of them, as far as that can be told.
    pub(super) fn entries(
        &self,
        reader: &Reader<'_>,
        (from, to): (StreamId, StreamId),
        order: Order,
        limit: usize,
    ) -> Result<Vec<Entry>, Missing> {
        let settled = self.settled.as_ref().filter(|settled| from <= settled.last);
        let Some(settled) = settled else {
            return Ok(match order {
                Order::Forward => self.tail.range(from, to).take(limit).collect(),
                Order::Backward => self.tail.range_back(from, to).take(limit).collect(),
            });
        };
        let mut entries = Vec::new();
        let in_tail = from.max(settled.last);
        if order == Order::Backward {
            entries.extend(self.tail.range_back(in_tail, to).take(limit));
        }
        let left = limit - entries.len();
        let ids = (from, to.min(settled.last));
        settled.entries(reader, ids, order, left, |entry| entries.push(entry))?;
        if order == Order::Forward {
            let left = limit - entries.len();
            entries.extend(self.tail.range(in_tail, to).take(left));
        }
        Ok(entries)
    }

    /// Where the next entry would go, and what it would add there.
    pub(super) fn place(&self, id: StreamId, fields: &Fields<'_>, limits: NodeLimits) -> NodePlace {
        self.tail.place(id, fields, limits)
    }

    /// Adds an entry after the last. `names` identifies its field names, for a new node.
    pub(super) fn push(&mut self, entry: Entry, place: NodePlace, names: impl FnOnce() -> u64) {
        self.tail.push(entry, place, names);
    }

    /// Deletes entries, and says which was the greatest that was there.
    pub(super) fn delete(
        &mut self,
        reader: &Reader<'_>,
        ids: impl Iterator<Item = StreamId>,
    ) -> Result<Option<StreamId>, Missing> {
        if self.settled.is_none() {
            return Ok(ids.filter(|&id| self.tail.delete(id)).max());
        }
        let ids = sorted(ids);
        let plan = self.plan_delete(reader, &ids)?;
        let mut greatest = None;
        if let Some(mut plan) = plan {
            greatest = plan.greatest;
            self.tail.delete_settled(plan.of_tail);
            let last_node = plan.last_node.take();
            self.change(plan);
            let gone = ids.iter().filter(|&&id| self.tail.delete(id));
            greatest = gone.max().copied().or(greatest);
            if let Some(node) = last_node {
                self.tail.push_front(node);
            }
        }
        Ok(greatest)
    }

    /// Makes sure that [`delete`](Self::delete) will lack nothing.
    pub(super) fn warm_delete(
        &self,
        reader: &Reader<'_>,
        ids: impl Iterator<Item = StreamId>,
    ) -> Result<(), Missing> {
        if self.settled.is_some() {
            self.plan_delete(reader, &sorted(ids))?;
        }
        Ok(())
    }

    fn plan_delete(&self, reader: &Reader<'_>, ids: &[StreamId]) -> Result<Option<Plan>, Missing> {
        let Some(settled) = &self.settled else {
            return Ok(None);
        };
        let (of_settled, of_tail) = ids.split_at(ids.partition_point(|&id| id <= settled.last));
        let tail_empties = of_tail.len() as u64 >= self.tail.len() && {
            let there = of_tail.iter().filter(|&&id| self.tail.get(id).is_some());
            there.count() as u64 == self.tail.len()
        };
        let plan = settled.plan_delete(reader, &self.tail, of_settled, tail_empties)?;
        Ok(Some(plan))
    }

    /// Deletes every entry up to `through`, and says how many there were.
    pub(super) fn delete_through(
        &mut self,
        reader: &Reader<'_>,
        through: StreamId,
    ) -> Result<u64, Missing> {
        let plan = self.plan_trim(reader, through)?;
        let removed = plan.as_ref().map_or(0, |plan| plan.removed);
        if let Some(plan) = plan {
            self.tail.trim_settled(plan.of_tail);
            self.change(plan);
        }
        // While something is settled, all of the tail is behind that.
        if self.settled.is_none() {
            return Ok(removed + self.tail.delete_through(through));
        }
        Ok(removed)
    }

    /// Makes sure that [`delete_through`](Self::delete_through) will lack nothing.
    pub(super) fn warm_trim(&self, reader: &Reader<'_>, through: StreamId) -> Result<(), Missing> {
        self.plan_trim(reader, through).map(drop)
    }

    fn plan_trim(&self, reader: &Reader<'_>, through: StreamId) -> Result<Option<Plan>, Missing> {
        match &self.settled {
            Some(settled) => settled.plan_trim(reader, &self.tail, through),
            None => Ok(None),
        }
    }

    fn change(&mut self, plan: Plan) {
        let Some(settled) = &mut self.settled else {
            return;
        };
        if !settled.change(plan) {
            let front = settled.front.take();
            self.settled = None;
            front
                .into_iter()
                .for_each(|node| self.tail.push_front(*node));
        }
    }
}

#[cfg(test)]
impl Entries {
    /// Checks what the tiers say about themselves.
    fn assert_sound(&self, reader: &Reader<'_>) {
        let nodes = self.nodes(reader).collect::<Result<Vec<_>, _>>();
        let nodes = nodes.expect("a patient reader waits");
        assert_eq!(nodes.len(), self.nodes_len());
        let mut firsts = nodes.windows(2);
        assert!(firsts.all(|nodes| nodes[0].last() < nodes[1].first()));
        let here: u32 = self.tail.nodes().iter().map(tail::Node::live_here).sum();
        assert_eq!(u64::from(here), self.tail.len());
        let all = (StreamId::MIN, StreamId::MAX);
        let entries = self.entries(reader, all, Order::Forward, usize::MAX);
        let entries = entries.expect("a patient reader waits");
        assert_eq!(entries.len() as u64, self.len());
        assert!(entries.is_sorted_by_key(|entry| entry.id));
        assert_eq!(entries.first().map(|entry| entry.id), self.first_id());
        assert_eq!(entries.last().map(|entry| entry.id), self.last_id());
        assert_eq!(self.has_nodes(), !nodes.is_empty());
        if let Some(settled) = &self.settled {
            let live: u32 = settled.parts.iter().map(Part::live).sum();
            assert_eq!(u64::from(live), settled.live);
            assert!(live > 0 && !settled.parts.iter().any(Part::is_gone));
            assert!(
                self.get(reader, settled.last)
                    .is_ok_and(|entry| entry.is_some())
            );
        }
    }
}

fn sorted(ids: impl Iterator<Item = StreamId>) -> Vec<StreamId> {
    let mut ids: Vec<_> = ids.collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}
