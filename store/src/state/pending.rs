//! What a group has delivered and nobody has acknowledged yet.
//!
//! ```text
//!  chunks   [ packed entries ] [ packed entries ] [ packed entries ]   recent  entry entry ...
//!             . . . . # # #      # # # . # # # #    # # # # # # # #      by ID ->
//! ```
//!
//! Deliveries go into `recent`, which is packed whenever it is full: then an entry takes a few
//! bytes. Packed entries do not change; an acknowledgement clears a bit, and whatever else happens
//! to an entry packs its chunk anew. Chunks are found by binary search, and so is an entry in one.
//!
//! A clone is a snapshot: it shares all chunks, and costs a few microseconds for a million entries.
//!
//! Each chunk knows which consumers may have entries in it and when the oldest of them was
//! delivered, so that a search by consumer or by time skips the chunks that have nothing.
//!
//! # Image
//!
//! ```text
//!  chunks                   an integer
//!  chunk ...                as drawn in `packed`
//! ```
//!
//! # Invariants
//!
//! * IDs ascend, over all chunks and `recent`.
//! * `recent` holds at most [`ROWS_MAX`] entries.
//! * `len` counts all entries.

mod chunk;
mod chunks;
mod packed;

use std::collections::VecDeque;
use std::mem;
use std::ops::RangeInclusive;

use self::chunk::Chunk;
use self::chunks::{At, Chunks};
use self::packed::{Packed, ROWS_MAX, UNSORTED};
use crate::codec::{integer, put_integer};
use crate::error::Malformed;
use crate::id::StreamId;

/// The number of a consumer within its group. It may be given again after the consumer is gone.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ConsumerNo(u32);

impl ConsumerNo {
    pub(super) fn new(index: usize) -> Self {
        Self(u32::try_from(index).expect("a group has fewer than 2^32 consumers"))
    }

    pub(super) fn index(self) -> usize {
        self.0 as usize
    }

    fn bit(self) -> u64 {
        1 << (self.0 % 64)
    }
}

/// An entry that was delivered and not acknowledged.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct PendingEntry {
    /// Its ID. The entry itself may be gone.
    pub id: StreamId,
    /// Who has it.
    pub consumer: ConsumerNo,
    /// When it was last delivered, in Unix milliseconds.
    pub delivered_at: u64,
    /// How many times.
    pub deliveries: u64,
}

/// Which entries are looked for.
#[derive(Copy, Clone)]
struct Wanted {
    from: StreamId,
    to: StreamId,
    consumer: Option<ConsumerNo>,
    delivered_by: u64,
}

impl Wanted {
    fn consumers(self) -> u64 {
        self.consumer.map_or(u64::MAX, ConsumerNo::bit)
    }

    fn fits(self, entry: &PendingEntry) -> bool {
        (self.from..=self.to).contains(&entry.id)
            && self
                .consumer
                .is_none_or(|consumer| entry.consumer == consumer)
            && entry.delivered_at <= self.delivered_by
    }
}

/// A search for the first entries of several consumers.
struct Search<'a, F> {
    /// How many are still to be found, by consumer.
    left: &'a mut [u64],
    /// How many consumers are not done, by bit.
    open: [u32; 64],
    /// The bits of those that are not done.
    consumers: u64,
    found: F,
}

impl<'a, F: FnMut(PendingEntry)> Search<'a, F> {
    fn new(left: &'a mut [u64], found: F) -> Self {
        let mut open = [0; 64];
        let mut consumers = 0;
        let wanting = left.iter().enumerate().filter(|&(_, &left)| left > 0);
        for (index, _) in wanting {
            open[index % 64] += 1;
            consumers |= 1 << (index % 64);
        }
        Self {
            left,
            open,
            consumers,
            found,
        }
    }

    fn see(&mut self, entry: PendingEntry) {
        let index = entry.consumer.index();
        if self.left[index] == 0 {
            return;
        }
        (self.found)(entry);
        self.left[index] -= 1;
        if self.left[index] == 0 {
            let open = &mut self.open[index % 64];
            *open -= 1;
            if *open == 0 {
                self.consumers &= !entry.consumer.bit();
            }
        }
    }
}

/// The pending entries of a group, by ID.
#[derive(Clone, Debug, Default)]
pub struct Pending {
    chunks: Chunks,
    recent: VecDeque<PendingEntry>,
    len: u64,
}

impl Pending {
    /// How many.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The one with the smallest ID.
    #[must_use]
    pub fn first(&self) -> Option<PendingEntry> {
        let first = self.chunks.first().and_then(Chunk::first);
        first.or_else(|| self.recent.front().copied())
    }

    /// The one with the greatest ID.
    #[must_use]
    pub fn last(&self) -> Option<PendingEntry> {
        let last = self.recent.back().copied();
        last.or_else(|| self.chunks.last().and_then(Chunk::last))
    }

    /// The one with this ID.
    #[must_use]
    pub fn get(&self, id: StreamId) -> Option<PendingEntry> {
        if self.is_recent(id) {
            let index = self.find_recent(id).ok()?;
            return Some(self.recent[index]);
        }
        self.chunks.get(self.chunks.find(id)?).get(id)
    }

    /// Those with IDs in a range, in order.
    pub fn range(&self, ids: RangeInclusive<StreamId>) -> impl Iterator<Item = PendingEntry> + '_ {
        self.select(ids, None, u64::MAX)
    }

    /// Those with IDs in a range that one consumer has, if it is given, and that were last
    /// delivered at a time, in Unix milliseconds, or before; in order. Skips chunks that have none.
    pub fn select(
        &self,
        ids: RangeInclusive<StreamId>,
        consumer: Option<ConsumerNo>,
        delivered_by: u64,
    ) -> impl Iterator<Item = PendingEntry> + '_ {
        let (from, to) = ids.into_inner();
        let wanted = Wanted {
            from,
            to,
            consumer,
            delivered_by,
        };
        let chunks = self.chunks.iter_from(from);
        chunks
            .take_while(move |chunk| chunk.low() <= to)
            .filter(move |chunk| {
                chunk.consumers() & wanted.consumers() != 0 && chunk.oldest() <= delivered_by
            })
            .flat_map(move |chunk| chunk.select(wanted))
            .chain(
                self.recent
                    .iter()
                    .copied()
                    .filter(move |entry| wanted.fits(entry)),
            )
    }

    /// Shows the first entries of each consumer to `found`, in one walk and in the order of their
    /// IDs: so many as `left` says, by the numbers of the consumers.
    ///
    /// The walk ends when all have been found, so `left` should not ask for more than there are.
    pub(super) fn first_of_each(&self, left: &mut [u64], found: impl FnMut(PendingEntry)) {
        let mut search = Search::new(left, found);
        for chunk in self.chunks.iter() {
            if search.consumers == 0 {
                return;
            }
            if chunk.consumers() & search.consumers != 0 {
                chunk.entries().for_each(|entry| search.see(entry));
            }
        }
        self.recent.iter().for_each(|&entry| search.see(entry));
    }

    fn is_recent(&self, id: StreamId) -> bool {
        self.recent.front().is_some_and(|first| first.id <= id)
    }

    fn find_recent(&self, id: StreamId) -> Result<usize, usize> {
        match self.recent.front() {
            // Acknowledgements mostly come in order.
            Some(first) if first.id == id => Ok(0),
            _ => self.recent.binary_search_by_key(&id, |entry| entry.id),
        }
    }

    /// Whether every entry's ID is below `id`.
    fn ends_below(&self, id: StreamId) -> bool {
        match self.recent.back() {
            Some(last) => last.id < id,
            None => self.chunks.last().is_none_or(|last| last.ends_below(id)),
        }
    }

    /// Adds entries, in any order. One with the ID of an entry that is there takes its place, and
    /// `replaced` gets the other.
    pub(super) fn insert(
        &mut self,
        mut entries: impl Iterator<Item = PendingEntry>,
        mut replaced: impl FnMut(PendingEntry),
    ) {
        let mut next = entries.next();
        while let Some(entry) = next {
            if self.ends_below(entry.id) {
                next = self.append(entry, &mut entries);
            } else if self.is_recent(entry.id) || self.chunks.is_empty() {
                match self.find_recent(entry.id) {
                    Ok(index) => replaced(mem::replace(&mut self.recent[index], entry)),
                    Err(_) if self.recent.len() == ROWS_MAX => {
                        self.pack_recent();
                        continue;
                    }
                    Err(index) => {
                        self.recent.insert(index, entry);
                        self.len += 1;
                    }
                }
                next = entries.next();
            } else {
                next = self.repack(entry, &mut entries, &mut replaced);
            }
        }
    }

    /// Adds an entry at the end, with those that follow in order. Returns the first that does not.
    fn append(
        &mut self,
        first: PendingEntry,
        entries: &mut impl Iterator<Item = PendingEntry>,
    ) -> Option<PendingEntry> {
        let mut last = first.id;
        self.push(first);
        for entry in entries {
            if entry.id <= last {
                return Some(entry);
            }
            last = entry.id;
            self.push(entry);
        }
        None
    }

    fn push(&mut self, entry: PendingEntry) {
        if self.recent.len() == ROWS_MAX {
            self.pack_recent();
        }
        self.recent.push_back(entry);
        self.len += 1;
    }

    fn pack_recent(&mut self) {
        self.chunks.push(Chunk::pack(self.recent.make_contiguous()));
        self.recent.clear();
    }

    /// Adds an entry to its chunk, with those that follow and belong there, too. Returns the first
    /// that does not.
    fn repack(
        &mut self,
        entry: PendingEntry,
        entries: &mut impl Iterator<Item = PendingEntry>,
        replaced: &mut impl FnMut(PendingEntry),
    ) -> Option<PendingEntry> {
        // An ID below all chunks belongs into the first.
        let home = |id| self.chunks.find(id).unwrap_or_default();
        let at = home(entry.id);
        let mut packed: Vec<_> = self.chunks.get(at).entries().collect();
        let before = packed.len();
        let mut next = Some(entry);
        while let Some(entry) = next.take_if(|next| home(next.id) == at && !self.is_recent(next.id))
        {
            match packed.binary_search_by_key(&entry.id, |entry| entry.id) {
                Ok(index) => replaced(mem::replace(&mut packed[index], entry)),
                Err(index) => packed.insert(index, entry),
            }
            next = entries.next();
        }
        self.len += (packed.len() - before) as u64;
        self.chunks.replace(at, &packed);
        next
    }

    /// Takes the entries with these IDs away, in any order, and says of each whose it was; IDs that
    /// are not there are passed over.
    pub(super) fn remove(
        &mut self,
        mut ids: impl Iterator<Item = StreamId>,
        mut removed: impl FnMut(ConsumerNo),
    ) {
        let mut next = ids.next();
        while let Some(id) = next {
            if self.is_recent(id) {
                if let Ok(index) = self.find_recent(id)
                    && let Some(entry) = self.recent.remove(index)
                {
                    self.len -= 1;
                    removed(entry.consumer);
                }
                next = ids.next();
            } else if let Some(at) = self.chunks.find(id) {
                next = self.remove_packed(at, id, &mut ids, &mut removed);
            } else {
                next = ids.next();
            }
        }
        self.release();
    }

    /// Takes away what a chunk has of `id` and those that follow. Returns the first that it cannot
    /// have.
    fn remove_packed(
        &mut self,
        at: At,
        id: StreamId,
        ids: &mut impl Iterator<Item = StreamId>,
        removed: &mut impl FnMut(ConsumerNo),
    ) -> Option<StreamId> {
        let end = self.chunks.end(at);
        let end = end.or_else(|| self.recent.front().map(|first| first.id));
        let chunk = self.chunks.get_mut(at);
        let mut next = Some(id);
        while let Some(id) =
            next.take_if(|id| chunk.low() <= *id && end.is_none_or(|end| *id < end))
        {
            if let Some(consumer) = chunk.remove(id) {
                self.len -= 1;
                removed(consumer);
            }
            next = ids.next();
        }
        self.chunks.tidy(at);
        next
    }

    /// Takes every entry of a consumer away.
    pub(super) fn remove_consumer(&mut self, consumer: ConsumerNo) {
        self.len -= self.chunks.remove_consumer(consumer);
        let before = self.recent.len();
        self.recent.retain(|entry| entry.consumer != consumer);
        self.len -= (before - self.recent.len()) as u64;
        self.release();
    }

    /// Gives memory back when there is nothing to keep in it: there may be a million such lists.
    fn release(&mut self) {
        if self.is_empty() {
            *self = Self::default();
        }
    }

    /// Appends the image.
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        let recent: Vec<_> = self.recent.iter().copied().collect();
        let chunks = self.chunks.len() + usize::from(!recent.is_empty());
        put_integer(out, chunks as u64);
        for chunk in self.chunks.iter() {
            chunk.encode(out);
        }
        if !recent.is_empty() {
            Packed::pack(&recent).encode(out);
        }
    }

    /// Takes an image off the front of the input, and shows the consumer of every entry to `owned`.
    ///
    /// # Errors
    ///
    /// When the bytes are no image, or `owned` says that a consumer cannot be.
    pub(super) fn decode(
        input: &mut &[u8],
        mut owned: impl FnMut(ConsumerNo) -> Result<(), Malformed>,
    ) -> Result<Self, Malformed> {
        let mut pending = Self::default();
        // No space is set aside: a wrong count runs into the end of the input.
        for left in (0..integer(input)?).rev() {
            let packed = Packed::decode(input)?;
            if !pending.ends_below(packed.id(0)) {
                return Err(UNSORTED);
            }
            let entries: Vec<_> = packed.entries().collect();
            entries.iter().try_for_each(|entry| owned(entry.consumer))?;
            pending.len += entries.len() as u64;
            if left == 0 && entries.len() < ROWS_MAX {
                pending.recent = entries.into();
            } else {
                pending.chunks.push(Chunk::new(packed, entries.into_iter()));
            }
        }
        Ok(pending)
    }
}

#[cfg(test)]
mod tests;
