//! A consumer group: how far it has delivered, what is pending, and for whom.
//!
//! # Image
//!
//! ```text
//!  last_delivered           ms, seq: two integers
//!  entries_read             optional integer
//!  numbers                  an integer
//!  for each number          1 byte: 1 if a consumer has it, 0 if it is free
//!    name                   length, bytes
//!    seen_at, active_at     an integer, an optional integer
//!  pending                  as drawn in `pending`
//! ```
//!
//! Integers and the like are as in [records](crate::record). What a consumer has pending is counted
//! when the list is read.

use std::collections::BTreeMap;
use std::mem;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::pending::{ConsumerNo, Pending, PendingEntry};
use crate::codec::{
    flag, id, integer, name, optional, put_flag, put_id, put_integer, put_name, put_optional,
};
use crate::error::Malformed;
use crate::id::StreamId;

const NAME_TAKEN: Malformed = Malformed {
    what: "two consumers of one name",
};
const NO_OWNER: Malformed = Malformed {
    what: "a pending entry of no consumer",
};

/// A consumer of a group.
#[derive(Debug)]
pub struct Consumer {
    number: ConsumerNo,
    name: Arc<[u8]>,
    /// Not in the log: it may be lost in a crash.
    seen_at: AtomicU64,
    active_at: Option<u64>,
    pending: u64,
}

impl Consumer {
    /// Its number, by which pending entries name it.
    #[must_use]
    pub fn number(&self) -> ConsumerNo {
        self.number
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &[u8] {
        &self.name
    }

    /// When it last tried to do something, in Unix milliseconds.
    #[must_use]
    pub fn seen_at(&self) -> u64 {
        self.seen_at.load(Ordering::Relaxed)
    }

    /// Notes that it tries to do something. Volatile: a restart shows an older time.
    pub fn note_seen(&self, now_ms: u64) {
        self.seen_at.store(now_ms, Ordering::Relaxed);
    }

    /// When it last was given an entry, in Unix milliseconds; `None` is never.
    #[must_use]
    pub fn active_at(&self) -> Option<u64> {
        self.active_at
    }

    /// How many entries are pending for it.
    #[must_use]
    pub fn pending(&self) -> u64 {
        self.pending
    }
}

impl Clone for Consumer {
    fn clone(&self) -> Self {
        Self {
            number: self.number,
            name: Arc::clone(&self.name),
            seen_at: AtomicU64::new(self.seen_at()),
            active_at: self.active_at,
            pending: self.pending,
        }
    }
}

/// A consumer group of a stream.
#[derive(Clone, Debug)]
pub struct Group {
    last_delivered: StreamId,
    entries_read: Option<u64>,
    pending: Pending,
    by_name: BTreeMap<Arc<[u8]>, ConsumerNo>,
    /// By number. A number is free again once its consumer, and all that was pending for it, is
    /// gone.
    consumers: Vec<Option<Consumer>>,
    free: Vec<ConsumerNo>,
}

impl Group {
    pub(super) fn new(last_delivered: StreamId, entries_read: Option<u64>) -> Self {
        Self {
            last_delivered,
            entries_read,
            pending: Pending::default(),
            by_name: BTreeMap::new(),
            consumers: Vec::new(),
            free: Vec::new(),
        }
    }

    /// The last ID that it has delivered.
    #[must_use]
    pub fn last_delivered(&self) -> StreamId {
        self.last_delivered
    }

    /// How many entries it has read; `None` is unknown.
    #[must_use]
    pub fn entries_read(&self) -> Option<u64> {
        self.entries_read
    }

    /// What it has delivered and nobody has acknowledged.
    #[must_use]
    pub fn pending(&self) -> &Pending {
        &self.pending
    }

    /// The consumer of this name.
    #[must_use]
    pub fn consumer(&self, name: &[u8]) -> Option<&Consumer> {
        self.by_name.get(name).map(|&number| self.numbered(number))
    }

    /// Its consumers, in the order of their names.
    pub fn consumers(&self) -> impl ExactSizeIterator<Item = &Consumer> {
        self.by_name.values().map(|&number| self.numbered(number))
    }

    /// The name of a consumer that pending entries of this group name.
    ///
    /// # Panics
    ///
    /// When there is no such consumer.
    #[must_use]
    pub fn consumer_name(&self, number: ConsumerNo) -> &[u8] {
        &self.numbered(number).name
    }

    /// What is pending for a consumer, behind an ID, in order.
    pub fn pending_of(
        &self,
        consumer: &Consumer,
        after: StreamId,
    ) -> impl Iterator<Item = PendingEntry> + '_ {
        let number = Some(consumer.number);
        let found = after
            .next()
            .map(|from| self.pending.select(from..=StreamId::MAX, number, u64::MAX));
        // When all have been found, the search is over.
        let most = usize::try_from(consumer.pending).unwrap_or(usize::MAX);
        found.into_iter().flatten().take(most)
    }

    /// Each consumer, in the order of their names, with the first `most` entries that are pending
    /// for it. One walk over the list, and no further than needed.
    #[must_use]
    pub fn first_pending(&self, most: u64) -> Vec<(&Consumer, Vec<PendingEntry>)> {
        let consumers = || self.consumers.iter();
        let first = |consumer: &Option<Consumer>| match consumer {
            Some(consumer) => consumer.pending.min(most),
            None => 0,
        };
        let mut left: Vec<u64> = consumers().map(first).collect();
        let mut found: Vec<Vec<PendingEntry>> = vec![Vec::new(); left.len()];
        self.pending.first_of_each(&mut left, |entry| {
            found[entry.consumer.index()].push(entry);
        });
        self.consumers()
            .map(|consumer| (consumer, mem::take(&mut found[consumer.number.index()])))
            .collect()
    }

    fn numbered(&self, number: ConsumerNo) -> &Consumer {
        self.consumers[number.index()]
            .as_ref()
            .expect("a number in use has a consumer")
    }

    pub(super) fn position(&mut self, last_delivered: StreamId, entries_read: Option<u64>) {
        self.last_delivered = last_delivered;
        self.entries_read = entries_read;
    }

    /// Creates a consumer; whether its name was free.
    pub(super) fn create_consumer(&mut self, name: &[u8], at: u64) -> bool {
        if self.by_name.contains_key(name) {
            return false;
        }
        let number = self.free.pop().unwrap_or_else(|| {
            self.consumers.push(None);
            ConsumerNo::new(self.consumers.len() - 1)
        });
        let name: Arc<[u8]> = name.into();
        self.by_name.insert(Arc::clone(&name), number);
        self.consumers[number.index()] = Some(Consumer {
            number,
            name,
            seen_at: AtomicU64::new(at),
            active_at: None,
            pending: 0,
        });
        true
    }

    /// Deletes a consumer and what was pending for it; whether it was there.
    pub(super) fn delete_consumer(&mut self, name: &[u8]) -> bool {
        let Some(number) = self.by_name.remove(name) else {
            return false;
        };
        self.pending.remove_consumer(number);
        self.consumers[number.index()] = None;
        self.free.push(number);
        true
    }

    /// Gives entries to a consumer: they are pending for it, and for no one else.
    pub(super) fn assign(
        &mut self,
        consumer: ConsumerNo,
        at: u64,
        entries: impl Iterator<Item = PendingEntry>,
    ) {
        let (mut gained, before) = (0, self.pending.len());
        let consumers = &mut self.consumers;
        self.pending.insert(entries, |replaced| {
            if replaced.consumer != consumer {
                gained += 1;
                owner(consumers, replaced.consumer).pending -= 1;
            }
        });
        let consumer = owner(consumers, consumer);
        consumer.pending += gained + (self.pending.len() - before);
        consumer.active_at = Some(at);
    }

    /// Replaces pending entries by others of the same IDs and consumers.
    pub(super) fn update(&mut self, entries: impl IntoIterator<Item = PendingEntry>) {
        let before = self.pending.len();
        self.pending.insert(entries.into_iter(), |_| ());
        debug_assert_eq!(self.pending.len(), before, "all of them were pending");
    }

    /// Takes entries off the pending list; those that are not on it are passed over.
    pub(super) fn acknowledge(&mut self, ids: impl Iterator<Item = StreamId>) {
        let consumers = &mut self.consumers;
        self.pending.remove(ids, |consumer| {
            owner(consumers, consumer).pending -= 1;
        });
    }

    /// Appends the image.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        put_id(out, self.last_delivered);
        put_optional(out, self.entries_read);
        put_integer(out, self.consumers.len() as u64);
        for consumer in &self.consumers {
            put_flag(out, consumer.is_some());
            if let Some(consumer) = consumer {
                put_name(out, &consumer.name);
                put_integer(out, consumer.seen_at());
                put_optional(out, consumer.active_at);
            }
        }
        self.pending.encode(out);
    }

    /// Takes an image off the front of the input.
    ///
    /// # Errors
    ///
    /// When the bytes are no image, or the image of a group that cannot be.
    pub(crate) fn decode(input: &mut &[u8]) -> Result<Self, Malformed> {
        let mut group = Self::new(id(input)?, optional(input)?);
        // No space is set aside: a wrong count runs into the end of the input.
        for _ in 0..integer(input)? {
            let number = ConsumerNo::new(group.consumers.len());
            if !flag(input)? {
                group.consumers.push(None);
                group.free.push(number);
                continue;
            }
            let name: Arc<[u8]> = name(input)?.into();
            if group.by_name.insert(Arc::clone(&name), number).is_some() {
                return Err(NAME_TAKEN);
            }
            group.consumers.push(Some(Consumer {
                number,
                name,
                seen_at: AtomicU64::new(integer(input)?),
                active_at: optional(input)?,
                pending: 0,
            }));
        }
        let consumers = &mut group.consumers;
        group.pending = Pending::decode(input, |consumer| {
            let owner = consumers.get_mut(consumer.index()).and_then(Option::as_mut);
            owner.ok_or(NO_OWNER)?.pending += 1;
            Ok(())
        })?;
        Ok(group)
    }
}

fn owner(consumers: &mut [Option<Consumer>], number: ConsumerNo) -> &mut Consumer {
    consumers[number.index()]
        .as_mut()
        .expect("a number in use has a consumer")
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;
    use proptest::sample::Index;

    use super::*;

    fn pending(consumer: &Consumer, ms: u64) -> PendingEntry {
        PendingEntry {
            id: StreamId::new(ms, 0),
            consumer: consumer.number(),
            delivered_at: 7,
            deliveries: 1,
        }
    }

    fn assign(group: &mut Group, name: &[u8], ids: impl IntoIterator<Item = u64>) {
        let consumer = group.consumer(name).expect("it has been created").clone();
        let entries = ids.into_iter().map(|ms| pending(&consumer, ms));
        group.assign(consumer.number(), 7, entries);
    }

    /// Ann is gone; bob has 1 and 3; cid, who has never been active, has nothing.
    fn group() -> Group {
        let mut group = Group::new(StreamId::new(3, 0), Some(3));
        for name in [&b"ann"[..], b"bob", b"cid"] {
            assert!(group.create_consumer(name, 5));
        }
        assign(&mut group, b"ann", [2]);
        assign(&mut group, b"bob", [1, 3]);
        assert!(group.delete_consumer(b"ann"));
        group
    }

    fn image(group: &Group) -> Vec<u8> {
        let mut image = Vec::new();
        group.encode(&mut image);
        image
    }

    #[test]
    fn the_image_is_as_drawn() {
        let mut group = group();
        let expected = [
            &[3, 0, 1, 3][..],         // last_delivered, entries_read.
            &[3, 0],                   // Three numbers; the first is free.
            &[1, 3, b'b', b'o', b'b'], // The second is bob's,
            &[5, 1, 7],                // seen and active.
            &[1, 3, b'c', b'i', b'd'], // The third is cid's,
            &[5, 0],                   // never active.
            &[
                1, 1, 0, 2, 0, 0, 1, 0, 7, 0, 1, 0, 0b1101, 0, 0, 0, 0, 0, 0, 0,
            ],
        ];
        assert_eq!(image(&group), expected.concat());
        let mut again = Group::decode(&mut &image(&group)[..]).expect("it is an image");
        assert_eq!(again.consumer(b"bob").map(Consumer::pending), Some(2));
        // Both go on in the same way.
        for group in [&mut group, &mut again] {
            assert!(group.create_consumer(b"dan", 9));
            assert!(group.create_consumer(b"eve", 9));
            assign(group, b"dan", [1, 4]);
        }
        assert_eq!(image(&again), image(&group));
    }

    #[test]
    fn an_image_of_what_cannot_be_is_refused() {
        let image = image(&group());
        let decode = |image: &[u8]| Group::decode(&mut &*image).map(|_| ());
        assert_eq!(decode(&image), Ok(()));
        for length in 0..image.len() {
            assert!(decode(&image[..length]).is_err());
        }
        // The consumer of both entries.
        let owner = image.len() - 14;
        assert_eq!(image[owner], 1);
        for number in [0, 3, 127] {
            let mut image = image.clone();
            image[owner] = number;
            assert_eq!(decode(&image), Err(NO_OWNER));
        }
        let mut image = image;
        image[16..19].copy_from_slice(b"bob");
        assert_eq!(decode(&image), Err(NAME_TAKEN));
    }

    proptest! {
        #[test]
        fn a_damaged_image_is_refused_or_is_another_group(
            changes in vec((any::<Index>(), any::<u8>()), 1..6),
        ) {
            let mut damaged = image(&group());
            for (place, value) in changes {
                *place.get_mut(&mut damaged) = value;
            }
            if let Ok(group) = Group::decode(&mut &damaged[..]) {
                let owned: u64 = group.consumers().map(Consumer::pending).sum();
                prop_assert_eq!(owned, group.pending().len());
                let again = Group::decode(&mut &image(&group)[..])?;
                prop_assert_eq!(image(&again), image(&group));
            }
        }
    }

    #[test]
    fn an_entry_that_is_claimed_twice_at_once_counts_once() {
        let mut group = group();
        assign(&mut group, b"cid", [9, 9, 3, 9, 3]);
        let count = |name| group.consumer(name).map(Consumer::pending);
        assert_eq!((count(b"bob"), count(b"cid")), (Some(1), Some(2)));
    }

    #[test]
    fn the_first_entries_of_each_consumer_are_found_in_one_walk() {
        let mut group = group();
        assign(&mut group, b"cid", (100..100_000).step_by(2));
        assign(&mut group, b"bob", [50_001, 200_000]);
        for (most, expected) in [
            (0, [&[][..], &[]]),
            (1, [&[1], &[100]]),
            (3, [&[1, 3, 50_001], &[100, 102, 104]]),
        ] {
            let found = group.first_pending(most);
            let ids = |entries: &[PendingEntry]| entries.iter().map(|e| e.id.ms).collect();
            let found: Vec<Vec<u64>> = found.iter().map(|(_, entries)| ids(entries)).collect();
            assert_eq!(found, expected);
        }
        let [(bob, his), (cid, hers)] = &group.first_pending(u64::MAX)[..] else {
            panic!("there are two consumers");
        };
        assert_eq!((bob.name(), his.len()), (&b"bob"[..], 4));
        assert_eq!((cid.name(), hers.len()), (&b"cid"[..], 49_950));
        let after = StreamId::new(50_001, 0);
        assert_eq!(group.pending_of(bob, after).count(), 1);
        assert_eq!(group.pending_of(bob, StreamId::MAX).count(), 0);
    }
}
