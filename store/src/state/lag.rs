//! How many entries a group has read, and how many it has not.
//!
//! A group counts what it delivers, but the count can become unknown: when the group begins in the
//! middle, or when entries that it has not read yet are deleted (a *tombstone*; entries removed by
//! trimming leave none). It becomes known again where the stream's own counters give it away. The
//! rules are Redis' as of 8.0.
//!
//! How many entries were ever added with IDs up to `id`; the first row that matches:
//!
//! | `id` is                                     | result                    |
//! |---------------------------------------------|---------------------------|
//! | anything, and nothing was ever added        | 0                         |
//! | at most the last ID, and the stream is empty| all that were added       |
//! | not `0-0`, and below a deleted ID           | unknown                   |
//! | the last ID                                 | all that were added       |
//! | beyond the last ID                          | unknown                   |
//! | below the first entry, no tombstone after   | those that are gone       |
//! | the first entry, no tombstone after         | those that are gone and 1 |
//! | anything else                               | unknown                   |

use crate::id::StreamId;

/// What a stream counts.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) struct Counters {
    pub(super) len: u64,
    /// `0-0` when there are none.
    pub(super) first_id: StreamId,
    pub(super) last_id: StreamId,
    pub(super) max_deleted: StreamId,
    pub(super) entries_added: u64,
}

impl Counters {
    /// How many entries were ever added up to `id`, if that can be told: the table above.
    pub(super) fn added_up_to(&self, id: StreamId) -> Option<u64> {
        let never_deleted = self.max_deleted == StreamId::MIN;
        if self.entries_added == 0 {
            return Some(0);
        }
        if self.len == 0 && id <= self.last_id {
            return Some(self.entries_added);
        }
        if id != StreamId::MIN && id < self.max_deleted {
            return None;
        }
        if id >= self.last_id {
            return (id == self.last_id).then_some(self.entries_added);
        }
        if never_deleted || self.max_deleted < self.first_id {
            let gone = self.entries_added.saturating_sub(self.len);
            if id <= self.first_id {
                return Some(gone + u64::from(id == self.first_id));
            }
        }
        None
    }

    /// Whether an entry at or after `id` has been deleted from among those that are there.
    fn tombstone_from(&self, id: StreamId) -> bool {
        self.len > 0 && self.max_deleted != StreamId::MIN && self.max_deleted >= id
    }

    /// What a group that had read `entries_read` up to `last_delivered` has read after the delivery
    /// of `ids`, which are the next `count` entries.
    pub(super) fn read_after(
        &self,
        mut last_delivered: StreamId,
        mut entries_read: Option<u64>,
        mut ids: impl Iterator<Item = StreamId>,
        mut count: u64,
    ) -> Option<u64> {
        loop {
            if let Some(read) = entries_read
                && last_delivered >= self.first_id
                && !self.tombstone_from(last_delivered)
            {
                // It stays so while the group moves on: the rest need only be counted.
                return Some(read + count);
            }
            let Some(id) = ids.next() else {
                return entries_read;
            };
            if self.entries_added > 0 {
                entries_read = self.added_up_to(id);
            }
            last_delivered = id;
            count -= 1;
        }
    }

    /// How many entries the group has still to read, if that can be told. Negative when XSETID made
    /// the stream claim fewer entries than the group has read.
    pub(super) fn lag(&self, last_delivered: StreamId, entries_read: Option<u64>) -> Option<i64> {
        let added = self.entries_added.cast_signed();
        if self.entries_added == 0 || self.len == 0 {
            return Some(0);
        }
        if last_delivered < self.first_id && self.max_deleted < self.first_id {
            return Some(self.len.cast_signed());
        }
        let read = match entries_read {
            Some(read) if !self.tombstone_from(last_delivered) => read,
            _ => self.added_up_to(last_delivered)?,
        };
        Some(added.wrapping_sub(read.cast_signed()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(ms: u64) -> StreamId {
        StreamId::new(ms, 0)
    }

    /// Entries 3, 5 and 6 of six that were added.
    const STREAM: Counters = Counters {
        len: 3,
        first_id: StreamId::new(3, 0),
        last_id: StreamId::new(6, 0),
        max_deleted: StreamId::MIN,
        entries_added: 6,
    };

    #[test]
    fn every_row_of_the_table_is_reached() {
        let fresh = Counters {
            len: 0,
            first_id: id(0),
            entries_added: 0,
            ..STREAM
        };
        let empty = Counters {
            len: 0,
            first_id: id(0),
            ..STREAM
        };
        let holed = Counters {
            max_deleted: id(4),
            ..STREAM
        };
        let behind = Counters {
            max_deleted: id(2),
            ..STREAM
        };
        for (stream, up_to, expected) in [
            (fresh, 9, Some(0)),
            (empty, 6, Some(6)),
            (empty, 7, None),
            (holed, 3, None),
            (holed, 0, None),
            (behind, 1, None),
            (holed, 6, Some(6)),
            (STREAM, 7, None),
            (STREAM, 0, Some(3)),
            (STREAM, 2, Some(3)),
            (behind, 2, Some(3)),
            (STREAM, 3, Some(4)),
            (behind, 3, Some(4)),
            (STREAM, 5, None),
            (holed, 5, None),
        ] {
            assert_eq!(
                stream.added_up_to(id(up_to)),
                expected,
                "{up_to} in {stream:?}"
            );
        }
    }

    #[test]
    fn the_count_is_lost_at_a_tombstone_and_found_at_the_end() {
        let holed = Counters {
            max_deleted: id(5),
            len: 2,
            ..STREAM
        };
        let read = |stream: &Counters, from: u64, read, ids: &[u64]| {
            stream.read_after(
                id(from),
                read,
                ids.iter().map(|&ms| id(ms)),
                ids.len() as u64,
            )
        };
        assert_eq!(read(&STREAM, 3, Some(4), &[5, 6]), Some(6));
        assert_eq!(read(&STREAM, 3, None, &[5]), None);
        assert_eq!(read(&STREAM, 3, None, &[5, 6]), Some(6));
        assert_eq!(read(&STREAM, 0, Some(0), &[3]), Some(4));
        assert_eq!(read(&holed, 3, Some(4), &[4]), None);
        assert_eq!(read(&holed, 3, Some(4), &[6]), Some(6));
        assert_eq!(read(&holed, 3, Some(4), &[]), Some(4));
    }

    #[test]
    fn lag_is_what_is_left_if_that_can_be_told() {
        let holed = Counters {
            max_deleted: id(5),
            len: 2,
            ..STREAM
        };
        assert_eq!(STREAM.lag(id(0), None), Some(3));
        assert_eq!(STREAM.lag(id(3), Some(4)), Some(2));
        assert_eq!(STREAM.lag(id(5), None), None);
        assert_eq!(STREAM.lag(id(6), None), Some(0));
        assert_eq!(holed.lag(id(3), Some(4)), None);
        assert_eq!(holed.lag(id(6), Some(6)), Some(0));
        assert_eq!(
            Counters {
                entries_added: 5,
                ..STREAM
            }
            .lag(id(6), Some(6)),
            Some(-1)
        );
        assert_eq!(Counters { len: 0, ..STREAM }.lag(id(1), None), Some(0));
    }
}
