//! The live entries of one node that are only in the log, in a few bytes each.
//!
//! ```text
//!  slots   for each entry, oldest first:  ms, seq, place
//!
//!  ms      after the ms of the origin's ID
//!  seq     after its seq, if ms is the same; else from 0
//!  place   after the origin's place
//! ```
//!
//! The origin is where the node began, whatever has become of the entry there. As a node is small,
//! so are the numbers: most are one byte each. Whoever looks for an entry reads the node from its
//! front, as Redis does; an entry that is deleted is cut out, and nothing else changes.

use super::{Entry, Place};
use crate::codec::{distance, integer, put_distance, put_integer, small, take};
use crate::error::Malformed;
use crate::id::StreamId;
use crate::lsn::Lsn;

const OUT_OF_ORDER: Malformed = Malformed {
    what: "entries of a node that are out of order",
};
const NOWHERE: Malformed = Malformed {
    what: "an entry beyond any log",
};

#[derive(Clone, Debug)]
pub(super) struct Slots {
    first: StreamId,
    /// The place of the origin, while there are entries.
    place: u64,
    len: u32,
    bytes: Vec<u8>,
}

impl Slots {
    /// None yet, of a node that begins with this ID, and room for so many bytes of them.
    pub(super) fn new(first: StreamId, capacity: usize) -> Self {
        Self {
            first,
            place: 0,
            len: 0,
            bytes: Vec::with_capacity(capacity),
        }
    }

    /// The ID of the origin.
    pub(super) fn origin(&self) -> StreamId {
        self.first
    }

    /// How many entries there are.
    pub(super) fn len(&self) -> u32 {
        self.len
    }

    /// How many bytes they take.
    pub(super) fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Adds an entry behind all others.
    pub(super) fn push(&mut self, entry: Entry) {
        let at = entry.at.lsn().get();
        if self.len == 0 {
            self.place = at;
        }
        put_distance(&mut self.bytes, self.first, entry.id);
        put_integer(&mut self.bytes, at - self.place);
        self.len += 1;
    }

    pub(super) fn iter(&self) -> Iter<'_> {
        Iter {
            first: self.first,
            place: self.place,
            bytes: &self.bytes,
        }
    }

    /// The entries from an ID on.
    pub(super) fn from(&self, from: StreamId) -> Iter<'_> {
        let mut entries = self.iter();
        if from > self.first {
            entries.pass(|id| id < from);
        }
        entries
    }

    /// The entry with this ID.
    pub(super) fn get(&self, id: StreamId) -> Option<Entry> {
        self.from(id).next().filter(|entry| entry.id == id)
    }

    /// Cuts an entry out; whether it was there.
    pub(super) fn remove(&mut self, id: StreamId) -> bool {
        let mut entries = self.from(id);
        let begin = self.bytes.len() - entries.bytes.len();
        if entries.next().is_none_or(|entry| entry.id != id) {
            return false;
        }
        let end = self.bytes.len() - entries.bytes.len();
        self.bytes.drain(begin..end);
        self.len -= 1;
        true
    }

    /// Cuts all entries up to `through` off, and says how many there were.
    pub(super) fn remove_through(&mut self, through: StreamId) -> u32 {
        let mut entries = self.iter();
        let removed = entries.pass(|id| id <= through);
        let end = self.bytes.len() - entries.bytes.len();
        self.bytes.drain(..end);
        self.len -= removed;
        removed
    }

    /// Appends the image, without the origin's ID; `before` is the origin's place of the node
    /// before, then of this one.
    pub(super) fn encode(&self, before: &mut u64, out: &mut Vec<u8>) {
        put_integer(out, self.len.into());
        if self.len > 0 {
            put_integer(out, self.place - *before);
            *before = self.place;
            put_integer(out, self.bytes.len() as u64);
            out.extend_from_slice(&self.bytes);
        }
    }

    /// Takes an image off the front of the input: of a node from `first` to `last`.
    ///
    /// # Errors
    ///
    /// When the bytes are no image, or the image of entries that cannot be.
    pub(super) fn decode(
        (first, last): (StreamId, StreamId),
        before: &mut u64,
        input: &mut &[u8],
    ) -> Result<Self, Malformed> {
        let len = small(integer(input)?)?;
        let mut slots = Self::new(first, 0);
        if len == 0 {
            return Ok(slots);
        }
        slots.place = before.checked_add(integer(input)?).ok_or(NOWHERE)?;
        *before = slots.place;
        let length = integer(input)?;
        let mut bytes = take(input, length)?;
        slots.bytes = bytes.to_vec();
        slots.len = len;
        let mut lowest = Some((first, slots.place));
        for _ in 0..len {
            let id = distance(&mut bytes, first)?;
            let at = slots.place.checked_add(integer(&mut bytes)?);
            let at = at.ok_or(NOWHERE)?;
            Place::try_in_log(Lsn::new(at)).ok_or(NOWHERE)?;
            let in_order = lowest.is_some_and(|(lowest, place)| lowest <= id && place <= at);
            if !in_order || id > last {
                return Err(OUT_OF_ORDER);
            }
            lowest = id.next().map(|next| (next, at + 1));
        }
        if bytes.is_empty() {
            Ok(slots)
        } else {
            Err(OUT_OF_ORDER)
        }
    }
}

/// Entries of one node, oldest first.
#[derive(Clone, Debug, Default)]
pub(super) struct Iter<'a> {
    first: StreamId,
    place: u64,
    /// What is left.
    bytes: &'a [u8],
}

impl Iter<'_> {
    /// Passes over entries from the front while `passes` says so; how many?
    fn pass(&mut self, passes: impl Fn(StreamId) -> bool) -> u32 {
        let mut passed = 0;
        let mut rest = self.clone();
        while let Some(entry) = rest.next()
            && passes(entry.id)
        {
            *self = rest.clone();
            passed += 1;
        }
        passed
    }

    fn take(&mut self) -> Result<Entry, Malformed> {
        let id = distance(&mut self.bytes, self.first)?;
        let at = Lsn::new(self.place + integer(&mut self.bytes)?);
        Ok(Entry {
            id,
            at: Place::in_log(at),
        })
    }
}

impl Iterator for Iter<'_> {
    type Item = Entry;

    fn next(&mut self) -> Option<Entry> {
        if self.bytes.is_empty() {
            return None;
        }
        Some(self.take().expect("slots are as they were packed"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(ms: u64, seq: u64, at: u64) -> Entry {
        Entry {
            id: StreamId::new(ms, seq),
            at: Place::in_log(Lsn::new(at)),
        }
    }

    fn three() -> Slots {
        let mut slots = Slots::new(StreamId::new(7, 2), 0);
        for entry in [entry(7, 3, 1000), entry(7, 4, 1128), entry(9, 5, 1129)] {
            slots.push(entry);
        }
        slots
    }

    #[test]
    fn slots_are_packed_as_drawn() {
        let mut image = Vec::new();
        let mut place = 900;
        three().encode(&mut place, &mut image);
        assert_eq!(place, 1000);
        let slots = [0, 1, 0, 0, 2, 0x80, 1, 2, 5, 0x81, 1];
        assert_eq!(image, [&[3, 100, 11][..], &slots].concat());
        let ends = (StreamId::new(7, 2), StreamId::new(9, 5));
        let decode = |image: &[u8]| Slots::decode(ends, &mut 900, &mut &*image);
        let decoded = decode(&image).unwrap();
        assert!(decoded.iter().eq(three().iter()));
        for length in 0..image.len() {
            assert!(decode(&image[..length]).is_err());
        }
        let swapped = [&[2, 100, 7][..], &slots[3..7], &slots[..3]].concat();
        assert!(decode(&swapped).is_err(), "IDs ascend");
        let late = [&[1, 100, 4][..], &[2, 6, 0x81, 1]].concat();
        assert!(decode(&late).is_err(), "no ID is behind the last");
    }

    #[test]
    fn entries_are_found_and_cut_out() {
        let mut slots = three();
        let [first, second, third] = [entry(7, 3, 1000), entry(7, 4, 1128), entry(9, 5, 1129)];
        assert_eq!(slots.get(second.id), Some(second));
        assert_eq!(slots.get(StreamId::new(8, 0)), None);
        assert!(slots.from(StreamId::new(7, 5)).eq([third]));
        assert!(!slots.remove(StreamId::new(7, 2)));
        assert!(slots.remove(second.id));
        assert!(slots.iter().eq([first, third]));
        assert_eq!(slots.remove_through(StreamId::new(9, 4)), 1);
        assert!(slots.iter().eq([third]));
        assert_eq!(slots.remove_through(StreamId::MAX), 1);
        slots.push(entry(9, 6, 1 << 40));
        assert_eq!((slots.len(), slots.bytes()), (1, 3), "it is an origin");
    }
}
