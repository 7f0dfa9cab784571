//! Whether changes can happen, asked before they are written.
//!
//! [`Stream::apply`](super::Stream::apply) stops at an impossible change, at every start anew if
//! the change is in the log. So a command that decides one by mistake must be stopped before. A
//! commit is a few changes, mostly one; each is looked at with those before it in mind.

use super::group::Group;
use super::impossible::{
    BELOW_LAST, BELOW_TOP, CONSUMER_EXISTS, DELIVERED_BACK, GROUP_EXISTS, JOINS_NOTHING,
    NO_CONSUMER, NO_GROUP,
};
use super::stream::{Stream, ascend};
use super::{NO_STREAM, NUMBER_TWICE, State, TAKEN};
use crate::id::{StreamId, StreamNo};
use crate::lsn::Lsn;
use crate::record::{Change, KeyspaceChange, Record};

impl State {
    /// Says what is wrong with a record that cannot happen next. One that is right can be applied.
    pub(crate) fn check(&mut self, record: &Record<'_>) -> Result<(), &'static str> {
        match *record {
            Record::Stream { stream, change } => {
                unless(!self.homes.contains_key(&stream), NO_STREAM)?;
                let stream = self.stream_mut(Lsn::ZERO, stream);
                stream.check(&[change])
            }
            Record::Keyspace(change) => self.check_keyspace(&change),
        }
    }

    fn check_keyspace(&self, change: &KeyspaceChange<'_>) -> Result<(), &'static str> {
        let exists = |stream| unless(!self.homes.contains_key(&stream), NO_STREAM);
        let is_new =
            |stream: StreamNo| unless(stream < self.next || stream.get() == u64::MAX, NUMBER_TWICE);
        let holder = |db, key| self.cell(db, key).map(|(_, cell)| cell.number());
        match *change {
            KeyspaceChange::Created { stream, db, key } => {
                is_new(stream)?;
                unless(holder(db, key).is_some(), TAKEN)
            }
            KeyspaceChange::Copied {
                from,
                stream,
                db,
                key,
                ..
            } => {
                exists(from)?;
                is_new(stream)?;
                unless(holder(db, key).is_some(), TAKEN)
            }
            KeyspaceChange::Moved { stream, db, key } => {
                exists(stream)?;
                unless(
                    holder(db, key).is_some_and(|number| number != stream),
                    TAKEN,
                )
            }
            KeyspaceChange::Removed { stream } | KeyspaceChange::ExpirySet { stream, .. } => {
                exists(stream)
            }
            KeyspaceChange::Flushed { .. } | KeyspaceChange::DatabasesSwapped { .. } => Ok(()),
        }
    }
}

fn unless(wrong: bool, what: &'static str) -> Result<(), &'static str> {
    if wrong { Err(what) } else { Ok(()) }
}

impl Stream {
    /// Says what is wrong with the first of `changes` that cannot happen after those before it.
    ///
    /// Not everything that `apply` would find: what entries there are after others have been
    /// removed in the same commit is not worked out.
    pub(crate) fn check(&self, changes: &[Change<'_>]) -> Result<(), &'static str> {
        changes
            .iter()
            .enumerate()
            .try_for_each(|(index, change)| self.check_after(&changes[..index], change))
    }

    fn check_after(&self, before: &[Change<'_>], change: &Change<'_>) -> Result<(), &'static str> {
        match *change {
            Change::EntryAdded { id, new_node, .. } => {
                unless(id <= self.last_id_after(before), BELOW_LAST)?;
                let joins = self.has_nodes() || before.iter().any(adds_entry);
                unless(!new_node && !joins, JOINS_NOTHING)
            }
            Change::Positioned { last_id, .. } => {
                let top = self.last_entry_id().unwrap_or_default();
                let added = before.iter().any(adds_entry);
                let top = if added {
                    self.last_id_after(before)
                } else {
                    top
                };
                unless(last_id < top, BELOW_TOP)
            }
            Change::GroupCreated { group, .. } => {
                unless(self.has_group(before, group), GROUP_EXISTS)
            }
            Change::ConsumerCreated {
                group, consumer, ..
            } => {
                unless(!self.has_group(before, group), NO_GROUP)?;
                unless(self.has_consumer(before, group, consumer), CONSUMER_EXISTS)
            }
            Change::Acked { group, .. }
            | Change::GroupDestroyed { group }
            | Change::GroupPositioned { group, .. } => {
                unless(!self.has_group(before, group), NO_GROUP)
            }
            Change::Claimed {
                group, consumer, ..
            }
            | Change::ConsumerDeleted { group, consumer }
            | Change::Redelivered {
                group, consumer, ..
            } => unless(!self.has_consumer(before, group, consumer), NO_CONSUMER),
            Change::Delivered {
                group,
                consumer,
                pending,
                ids,
                ..
            } => {
                unless(!self.has_group(before, group), NO_GROUP)?;
                let known = !pending || self.has_consumer(before, group, consumer);
                unless(!known, NO_CONSUMER)?;
                let known = self.group(group);
                let known = known.filter(|_| before.iter().all(creates_consumer));
                let after = known.map_or(StreamId::MIN, Group::last_delivered);
                unless(ascend(after, ids).is_none(), DELIVERED_BACK)
            }
            Change::EntriesDeleted { .. } | Change::Trimmed { .. } => Ok(()),
        }
    }

    fn last_id_after(&self, before: &[Change<'_>]) -> StreamId {
        let last_id = before.iter().rev().find_map(|change| match *change {
            Change::EntryAdded { id, .. } => Some(id),
            Change::Positioned { last_id, .. } => Some(last_id),
            _ => None,
        });
        last_id.unwrap_or(self.last_id())
    }

    fn has_group(&self, before: &[Change<'_>], name: &[u8]) -> bool {
        let decided = before.iter().rev().find_map(|change| match *change {
            Change::GroupCreated { group, .. } if group == name => Some(true),
            Change::GroupDestroyed { group } if group == name => Some(false),
            _ => None,
        });
        decided.unwrap_or_else(|| self.group(name).is_some())
    }

    fn has_consumer(&self, before: &[Change<'_>], group_name: &[u8], name: &[u8]) -> bool {
        let decided = before.iter().rev().find_map(|change| match *change {
            Change::ConsumerCreated {
                group, consumer, ..
            } if group == group_name && consumer == name => Some(true),
            Change::ConsumerDeleted { group, consumer }
                if group == group_name && consumer == name =>
            {
                Some(false)
            }
            Change::GroupCreated { group, .. } | Change::GroupDestroyed { group }
                if group == group_name =>
            {
                Some(false)
            }
            _ => None,
        });
        decided.unwrap_or_else(|| {
            let group = self.group(group_name);
            group.is_some_and(|group| group.consumer(name).is_some())
        })
    }
}

fn adds_entry(change: &Change<'_>) -> bool {
    matches!(change, Change::EntryAdded { .. })
}

fn creates_consumer(change: &Change<'_>) -> bool {
    matches!(change, Change::ConsumerCreated { .. })
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::path::Path;
    use std::sync::Arc;

    use super::*;
    use crate::data::{Data, Patience, Reader};
    use crate::disk::SimDisk;
    use crate::id::StreamNo;
    use crate::lsn::Lsn;
    use crate::record::{Claims, Fields, Ids};

    const GROUP: &[u8] = b"workers";
    const ANN: &[u8] = b"ann";

    fn added(ms: u64, new_node: bool) -> Change<'static> {
        Change::EntryAdded {
            id: StreamId::new(ms, 0),
            fields: Fields {
                words: 2,
                resp: b"$1\r\na\r\n$1\r\nb\r\n",
            },
            new_node,
            node_bytes: 9,
        }
    }

    fn group(group: &'static [u8]) -> Change<'static> {
        Change::GroupCreated {
            group,
            last_delivered: StreamId::MIN,
            entries_read: None,
        }
    }

    fn consumer(consumer: &'static [u8]) -> Change<'static> {
        Change::ConsumerCreated {
            group: GROUP,
            consumer,
            at: 1,
        }
    }

    const THREE: StreamId = StreamId::new(3, 0);
    const FIVE: StreamId = StreamId::new(5, 0);

    fn delivered(consumer: &'static [u8], ids: &'static [StreamId]) -> Change<'static> {
        Change::Delivered {
            group: GROUP,
            consumer,
            at: 1,
            pending: true,
            ids: Ids::from(ids),
        }
    }

    fn claimed(consumer: &'static [u8]) -> Change<'static> {
        let entries = Claims::from(&[]);
        Change::Claimed {
            group: GROUP,
            consumer,
            delivered_at: 1,
            at: 1,
            entries,
        }
    }

    /// Entries 3 and 5, the group, ann.
    fn stream(reader: &Reader<'_>) -> Stream {
        let mut stream = Stream::new(StreamNo::FIRST);
        for change in [added(3, true), added(5, false), group(GROUP), consumer(ANN)] {
            stream
                .apply(Lsn::ZERO, reader, &change)
                .expect("nothing is settled");
        }
        stream
    }

    #[test]
    fn an_impossible_change_is_found_before_it_is_written_and_when_it_is_read() {
        let destroyed = Change::GroupDestroyed { group: GROUP };
        let deleted = Change::ConsumerDeleted {
            group: GROUP,
            consumer: ANN,
        };
        let positioned = |ms| Change::Positioned {
            last_id: StreamId::new(ms, 0),
            entries_added: 2,
            max_deleted: StreamId::MIN,
        };
        let trimmed = Change::Trimmed {
            through: StreamId::MAX,
        };
        let acked = Change::Acked {
            group: GROUP,
            ids: Ids::from(&[]),
        };
        let disk = Arc::new(SimDisk::new());
        let data = Data::open(disk, Path::new("/data"), 0).expect("the disk works");
        let reader = Reader::new(&data, Patience::Halt);
        assert_eq!(
            Stream::new(StreamNo::FIRST).check(&[added(1, false)]),
            Err(JOINS_NOTHING)
        );
        for (changes, expected) in [
            (&[added(6, false)][..], Ok(())),
            (&[added(5, false)], Err(BELOW_LAST)),
            (&[added(7, false), added(6, false)], Err(BELOW_LAST)),
            (&[positioned(9), added(7, false)], Err(BELOW_LAST)),
            (&[trimmed, added(6, true)], Ok(())),
            (&[trimmed, added(6, true), added(7, false)], Ok(())),
            (&[positioned(5)], Ok(())),
            (&[positioned(4)], Err(BELOW_TOP)),
            (&[added(8, false), positioned(7)], Err(BELOW_TOP)),
            (&[group(b"others")], Ok(())),
            (&[group(GROUP)], Err(GROUP_EXISTS)),
            (&[destroyed, group(GROUP)], Ok(())),
            (&[destroyed, destroyed], Err(NO_GROUP)),
            (&[destroyed, acked], Err(NO_GROUP)),
            (&[destroyed, consumer(ANN)], Err(NO_GROUP)),
            (&[destroyed, group(GROUP), claimed(ANN)], Err(NO_CONSUMER)),
            (
                &[destroyed, group(GROUP), consumer(ANN), claimed(ANN)],
                Ok(()),
            ),
            (&[consumer(ANN)], Err(CONSUMER_EXISTS)),
            (&[consumer(b"bob"), claimed(b"bob")], Ok(())),
            (&[claimed(b"bob")], Err(NO_CONSUMER)),
            (&[deleted, deleted], Err(NO_CONSUMER)),
            (&[deleted, consumer(ANN)], Ok(())),
            (&[delivered(ANN, &[THREE, FIVE])], Ok(())),
            (&[consumer(b"bob"), delivered(b"bob", &[THREE])], Ok(())),
            (&[delivered(b"bob", &[THREE])], Err(NO_CONSUMER)),
            (&[delivered(ANN, &[])], Err(DELIVERED_BACK)),
            (&[delivered(ANN, &[FIVE, THREE])], Err(DELIVERED_BACK)),
            (&[delivered(ANN, &[THREE, THREE])], Err(DELIVERED_BACK)),
        ] {
            let mut stream = stream(&reader);
            assert_eq!(stream.check(changes), expected, "{changes:?}");
            let applied = catch_unwind(AssertUnwindSafe(|| {
                for change in changes {
                    stream
                        .apply(Lsn::new(77), &reader, change)
                        .expect("nothing is settled");
                }
            }));
            let story = applied.map_err(|panic| *panic.downcast::<String>().expect("it is text"));
            match expected {
                Ok(()) => assert_eq!(story, Ok(())),
                Err(what) => {
                    let expected = format!("the record at LSN 77 is impossible: {what}");
                    assert_eq!(story, Err(expected), "{changes:?}");
                }
            }
        }
    }
}
