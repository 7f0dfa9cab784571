//! What a group has delivered and nobody has acknowledged yet.
//!
//! ```text
//!  chunks   [ low, consumers | entry entry ... ]  [ low, consumers | entry ... ]   by ID
//! ```
//!
//! Deliveries append at the end, and acknowledgements mostly come near the front: both touch one
//! chunk and move nothing. Elsewhere an entry is found by binary search over the chunks, then
//! within one, and at most half a chunk moves. Each chunk keeps a set of the consumers that may
//! have entries in it, so that walking the entries of one consumer skips the chunks of others.
//!
//! # Invariants
//!
//! * IDs ascend, over all chunks; those of a chunk are at least its `low` and below the next `low`.
//! * No chunk is empty or longer than [`CHUNK_MAX`].
//! * A consumer with an entry in a chunk is in its set (modulo 64); the converse need not hold.

use std::collections::VecDeque;
use std::ops::RangeInclusive;

use crate::id::StreamId;

/// Entries of a chunk: a power of two, which its ring grows to and no further.
const CHUNK_MAX: usize = 128;
const _: () = assert!(CHUNK_MAX.is_power_of_two());

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

const _: () = assert!(size_of::<PendingEntry>() == 40);

#[derive(Clone, Debug)]
struct Chunk {
    /// Every ID of this chunk is at least this, and greater than every one of the chunk before.
    low: StreamId,
    /// Consumers with entries here, one bit for each number modulo 64.
    consumers: u64,
    entries: VecDeque<PendingEntry>,
}

impl Chunk {
    fn new(entry: PendingEntry, capacity: usize) -> Self {
        let mut entries = VecDeque::with_capacity(capacity);
        entries.push_back(entry);
        Self {
            low: entry.id,
            consumers: entry.consumer.bit(),
            entries,
        }
    }

    fn find(&self, id: StreamId) -> Result<usize, usize> {
        match self.entries.front() {
            Some(first) if first.id == id => Ok(0),
            _ => self.entries.binary_search_by_key(&id, |entry| entry.id),
        }
    }

    fn recount_consumers(&mut self) {
        self.consumers = self
            .entries
            .iter()
            .fold(0, |set, entry| set | entry.consumer.bit());
    }

    fn split(&mut self) -> Self {
        let entries = self.entries.split_off(self.entries.len() / 2);
        let low = entries
            .front()
            .expect("half of a full chunk is not empty")
            .id;
        let mut upper = Self {
            low,
            consumers: 0,
            entries,
        };
        upper.recount_consumers();
        self.recount_consumers();
        upper
    }
}

/// The pending entries of a group, by ID.
#[derive(Clone, Debug, Default)]
pub struct Pending {
    chunks: VecDeque<Chunk>,
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
        self.chunks
            .front()
            .and_then(|chunk| chunk.entries.front())
            .copied()
    }

    /// The one with the greatest ID.
    #[must_use]
    pub fn last(&self) -> Option<PendingEntry> {
        self.chunks
            .back()
            .and_then(|chunk| chunk.entries.back())
            .copied()
    }

    /// The one with this ID.
    #[must_use]
    pub fn get(&self, id: StreamId) -> Option<PendingEntry> {
        let chunk = &self.chunks[self.chunk_of(id)?];
        chunk.find(id).ok().map(|index| chunk.entries[index])
    }

    /// Those with IDs in a range, in order, from either end.
    pub fn range(
        &self,
        ids: RangeInclusive<StreamId>,
    ) -> impl DoubleEndedIterator<Item = PendingEntry> + '_ {
        let (from, to) = ids.into_inner();
        let first = self.chunk_of(from).unwrap_or(0);
        let end = self
            .chunk_of(to)
            .filter(|_| from <= to)
            .map_or(first, |last| last + 1);
        self.chunks.range(first..end).flat_map(move |chunk| {
            let start = chunk.entries.partition_point(|entry| entry.id < from);
            let end = chunk.entries.partition_point(|entry| entry.id <= to);
            chunk.entries.range(start..end).copied()
        })
    }

    /// Those of one consumer with IDs greater than `after`, in order. Skips chunks in which the
    /// consumer has none.
    pub fn of_consumer(
        &self,
        consumer: ConsumerNo,
        after: StreamId,
    ) -> impl Iterator<Item = PendingEntry> + '_ {
        let first = self.chunk_of(after).unwrap_or(0);
        self.chunks
            .range(first..)
            .filter(move |chunk| chunk.consumers & consumer.bit() != 0)
            .flat_map(move |chunk| {
                let start = chunk.entries.partition_point(|entry| entry.id <= after);
                chunk.entries.range(start..).copied()
            })
            .filter(move |entry| entry.consumer == consumer)
    }

    /// The only chunk that can hold `id`.
    fn chunk_of(&self, id: StreamId) -> Option<usize> {
        match self.chunks.get(1) {
            // Acknowledgements in order work in the first chunk.
            Some(second) if second.low <= id => {}
            _ => {
                return self
                    .chunks
                    .front()
                    .filter(|chunk| chunk.low <= id)
                    .map(|_| 0);
            }
        }
        self.chunks
            .partition_point(|chunk| chunk.low <= id)
            .checked_sub(1)
    }

    /// Adds an entry, or replaces and returns the one with the same ID.
    pub(super) fn insert(&mut self, entry: PendingEntry) -> Option<PendingEntry> {
        if let Some(last) = self.chunks.back_mut()
            && last.entries.back().is_some_and(|last| last.id < entry.id)
        {
            self.len += 1;
            if last.entries.len() < CHUNK_MAX {
                last.consumers |= entry.consumer.bit();
                last.entries.push_back(entry);
            } else {
                self.chunks.push_back(Chunk::new(entry, CHUNK_MAX));
            }
            return None;
        }
        let Some(mut index) = self.chunk_of(entry.id) else {
            match self.chunks.front_mut() {
                Some(first) => first.low = entry.id,
                None => {
                    self.chunks.push_back(Chunk::new(entry, 1));
                    self.len += 1;
                    return None;
                }
            }
            return self.insert(entry);
        };
        if self.chunks[index].entries.len() == CHUNK_MAX {
            let upper = self.chunks[index].split();
            let above = upper.low <= entry.id;
            self.chunks.insert(index + 1, upper);
            index += usize::from(above);
        }
        let chunk = &mut self.chunks[index];
        chunk.consumers |= entry.consumer.bit();
        match chunk.find(entry.id) {
            Ok(found) => Some(std::mem::replace(&mut chunk.entries[found], entry)),
            Err(place) => {
                chunk.entries.insert(place, entry);
                self.len += 1;
                None
            }
        }
    }

    /// Takes the entry with this ID away.
    pub(super) fn remove(&mut self, id: StreamId) -> Option<PendingEntry> {
        let index = self.chunk_of(id)?;
        let chunk = &mut self.chunks[index];
        let removed = chunk.entries.remove(chunk.find(id).ok()?)?;
        self.len -= 1;
        self.tidy(index);
        Some(removed)
    }

    /// Takes every entry of a consumer away.
    pub(super) fn remove_consumer(&mut self, consumer: ConsumerNo) {
        for index in (0..self.chunks.len()).rev() {
            let chunk = &mut self.chunks[index];
            if chunk.consumers & consumer.bit() != 0 {
                let before = chunk.entries.len();
                chunk.entries.retain(|entry| entry.consumer != consumer);
                chunk.recount_consumers();
                self.len -= (before - chunk.entries.len()) as u64;
                self.tidy(index);
            }
        }
    }

    /// Drops a chunk that became empty, and joins one that became small with a neighbour: random
    /// removals must not leave a chunk for every entry that stays.
    fn tidy(&mut self, index: usize) {
        if self.chunks[index].entries.is_empty() {
            self.chunks.remove(index);
            return;
        }
        self.join_next(index);
        // The first chunk is being drained in order and will soon be empty; it is left alone.
        if index > 1 {
            self.join_next(index - 1);
        }
    }

    fn join_next(&mut self, index: usize) {
        let length = |index: usize| self.chunks.get(index).map(|chunk| chunk.entries.len());
        if let (Some(own), Some(next)) = (length(index), length(index + 1))
            && own + next <= CHUNK_MAX / 2
        {
            let mut next = self
                .chunks
                .remove(index + 1)
                .expect("it has just been measured");
            let chunk = &mut self.chunks[index];
            chunk.consumers |= next.consumers;
            chunk.entries.append(&mut next.entries);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn entry(id: u64, consumer: usize) -> PendingEntry {
        PendingEntry {
            id: StreamId::new(id, 0),
            consumer: ConsumerNo::new(consumer),
            delivered_at: id,
            deliveries: 1,
        }
    }

    fn check_invariants(pending: &Pending) {
        let entries: u64 = pending
            .chunks
            .iter()
            .map(|chunk| chunk.entries.len() as u64)
            .sum();
        assert_eq!(entries, pending.len());
        for (index, chunk) in pending.chunks.iter().enumerate() {
            assert!((1..=CHUNK_MAX).contains(&chunk.entries.len()));
            assert!(chunk.entries.iter().is_sorted_by(|a, b| a.id < b.id));
            assert!(
                chunk
                    .entries
                    .iter()
                    .all(|e| chunk.consumers & e.consumer.bit() != 0)
            );
            assert!(chunk.low <= chunk.entries[0].id);
            if let Some(next) = pending.chunks.get(index + 1) {
                assert!(chunk.entries[chunk.entries.len() - 1].id < next.low);
            }
        }
    }

    #[derive(Clone, Debug)]
    enum Step {
        Append(usize, u64),
        Insert(u64, usize),
        Remove(u64),
        RemoveFirst(usize),
        RemoveConsumer(usize),
    }

    fn step() -> impl Strategy<Value = Step> {
        let consumer = || prop_oneof![0..3_usize, 62..67_usize];
        prop_oneof![
            6 => (consumer(), 1..200_u64).prop_map(|(consumer, n)| Step::Append(consumer, n)),
            6 => (0..3000_u64, consumer()).prop_map(|(id, consumer)| Step::Insert(id, consumer)),
            6 => (0..3000_u64).prop_map(Step::Remove),
            2 => (1..300_usize).prop_map(Step::RemoveFirst),
            1 => consumer().prop_map(Step::RemoveConsumer),
        ]
    }

    proptest! {
        #[test]
        fn it_is_a_sorted_map(
            steps in vec(step(), 1..60),
            low in 0..3000_u64,
            high in 0..3000_u64,
        ) {
            let mut pending = Pending::default();
            let mut model = BTreeMap::new();
            for step in steps {
                match step {
                    Step::Append(consumer, count) => {
                        let next = model.last_key_value().map_or(0, |(id, _)| id + 1);
                        for id in next..next + count {
                            let replaced = pending.insert(entry(id, consumer));
                            prop_assert_eq!(replaced, model.insert(id, entry(id, consumer)));
                        }
                    }
                    Step::Insert(id, consumer) => {
                        let replaced = pending.insert(entry(id, consumer));
                        prop_assert_eq!(replaced, model.insert(id, entry(id, consumer)));
                    }
                    Step::Remove(id) => {
                        let removed = pending.remove(StreamId::new(id, 0));
                        prop_assert_eq!(removed, model.remove(&id));
                    }
                    Step::RemoveFirst(count) => for _ in 0..count {
                        let first = model.pop_first().map(|(_, entry)| entry);
                        prop_assert_eq!(pending.first(), first);
                        if let Some(first) = first {
                            prop_assert_eq!(pending.remove(first.id), Some(first));
                        }
                    }
                    Step::RemoveConsumer(consumer) => {
                        let consumer = ConsumerNo::new(consumer);
                        pending.remove_consumer(consumer);
                        model.retain(|_, entry| entry.consumer != consumer);
                    }
                }
                check_invariants(&pending);
            }
            prop_assert_eq!(pending.last(), model.values().next_back().copied());
            let ids = StreamId::new(low, 0)..=StreamId::new(high, 0);
            let expected = model.values().filter(|entry| ids.contains(&entry.id));
            let expected: Vec<_> = expected.copied().collect();
            prop_assert_eq!(pending.range(ids.clone()).collect::<Vec<_>>(), expected.clone());
            let backwards: Vec<_> = pending.range(ids.clone()).rev().collect();
            prop_assert_eq!(backwards, expected.into_iter().rev().collect::<Vec<_>>());
            for consumer in [0, 1, 2, 62, 63, 64, 65, 66].map(ConsumerNo::new) {
                let found: Vec<_> = pending.of_consumer(consumer, *ids.start()).collect();
                let after = |e: &&PendingEntry| e.consumer == consumer && e.id > *ids.start();
                prop_assert_eq!(found, model.values().filter(after).copied().collect::<Vec<_>>());
            }
            for id in 0..3000 {
                prop_assert_eq!(pending.get(StreamId::new(id, 0)), model.get(&id).copied());
            }
        }
    }

    #[test]
    fn what_stays_after_random_removals_is_packed() {
        let mut pending = Pending::default();
        for id in 0..128_000 {
            pending.insert(entry(id, 0));
        }
        for id in (0..128_000).filter(|id| id % 128 != 0) {
            pending.remove(StreamId::new(id, 0));
        }
        assert_eq!(pending.len(), 1000);
        assert!(pending.chunks.len() < 64, "{} chunks", pending.chunks.len());
    }
}
