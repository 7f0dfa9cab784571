//! What the log says: facts about streams and about the keyspace, in the past tense.
//!
//! A record carries a result, never a request: `*`, `~`, `$` and the clock are resolved before it
//! is written, so that a live command, a restart and a replica do the same thing with it. Records
//! of a stream name it by number; only records of the keyspace name keys.
//!
//! ```text
//!  record  = tag (1 byte) and its parts, in this order:
//!
//!   1 EntryAdded       stream id (node_bytes * 2 + new_node) words length resp
//!   2 Trimmed          stream through
//!   3 EntriesDeleted   stream ids
//!   4 Positioned       stream last_id entries_added max_deleted
//!   5 GroupCreated     stream group last_delivered entries_read
//!   6 GroupPositioned  stream group last_delivered entries_read
//!   7 GroupDestroyed   stream group
//!   8 ConsumerCreated  stream group consumer at
//!   9 ConsumerDeleted  stream group consumer
//!  10 Delivered        stream group consumer at pending ids
//!  11 Redelivered      stream group consumer at ids
//!  12 Claimed          stream group consumer delivered_at at claims
//!  13 Acked            stream group ids
//!
//!  32 Created          stream db key
//!  33 Removed          stream
//!  34 Moved            stream db key
//!  35 Copied           from stream db key expires_at
//!  36 ExpirySet        stream at_ms
//!  37 Flushed          db
//!  38 DatabasesSwapped a b
//!
//!  integer              LEB128: 7 bits a byte, the lowest first, at most 10 bytes
//!  group consumer key   length, bytes
//!  id                   ms, seq
//!  ids                  count, then for each: the zigzag distance of ms from the one before (0-0
//!                       before the first), then seq, or if ms is the same the zigzag distance of
//!                       seq
//!  claims               ids, each followed by its deliveries
//!  db a b pending       1 byte; pending is 0 or 1
//!  optional             0, or 1 and the value
//!  resp                 the bytes of the field words, as they came; see [`Fields`]
//! ```
//!
//! # Invariants
//!
//! * `decode(encode(record)) == record`.
//! * Decoding any bytes ends: with a record that borrows from them, or with [`Malformed`]. It
//!   allocates nothing.
//! * A tag is never given a second meaning.

mod fields;
mod ids;

pub use fields::{FieldWords, Fields};
pub use ids::{Claim, Claims, ClaimsIter, Ids, IdsIter};

use crate::codec::{
    byte, flag, id, integer, name, optional, put_flag, put_id, put_integer, put_name, put_optional,
    small,
};
use crate::error::Malformed;
use crate::id::{StreamId, StreamNo};
use crate::lsn::Lsn;

/// One fact.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Record<'a> {
    /// Something happened to the keys.
    Keyspace(KeyspaceChange<'a>),
    /// Something happened inside one stream.
    Stream {
        /// Which one.
        stream: StreamNo,
        /// What.
        change: Change<'a>,
    },
}

/// The `count` records of a frame whose body begins at `at`, in order, each with where it begins
/// and where it ends. When the body is not made of so many records, the last says where the one
/// begins that is not right.
pub(crate) fn records(
    at: Lsn,
    count: u32,
    body: &[u8],
) -> impl Iterator<Item = Result<(Lsn, Lsn, Record<'_>), (Lsn, Malformed)>> {
    const TOO_LONG: Malformed = Malformed {
        what: "bytes after the last record",
    };
    let mut rest = body;
    let mut left = count;
    let place = move |rest: &[u8]| at.plus((body.len() - rest.len()) as u64);
    std::iter::from_fn(move || {
        let start = place(rest);
        let decoded = match left.checked_sub(1) {
            Some(others) => {
                left = others;
                Record::decode(&mut rest)
            }
            None if rest.is_empty() => return None,
            None => Err(TOO_LONG),
        };
        if decoded.is_err() {
            (left, rest) = (0, &[]);
        }
        let placed = decoded.map(|record| (start, place(rest), record));
        Some(placed.map_err(|cause| (start, cause)))
    })
}

/// A fact about one stream.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Change<'a> {
    /// An entry was appended; it is the last one now.
    EntryAdded {
        /// Its ID, greater than any before.
        id: StreamId,
        /// Its fields and values.
        fields: Fields<'a>,
        /// It begins a storage node (see [`Stream::place`](crate::Stream::place)).
        new_node: bool,
        /// How many bytes it adds to its node.
        node_bytes: u32,
    },
    /// Every entry up to and including this ID is gone, by trimming.
    Trimmed {
        /// The last ID that is gone.
        through: StreamId,
    },
    /// Entries were deleted by name. IDs that the stream does not hold are none of its business.
    EntriesDeleted {
        /// Which ones.
        ids: Ids<'a>,
    },
    /// The stream's counters were set (XSETID).
    Positioned {
        /// The last ID given.
        last_id: StreamId,
        /// How many entries were ever added.
        entries_added: u64,
        /// The greatest ID ever deleted.
        max_deleted: StreamId,
    },
    /// A group that did not exist does.
    GroupCreated {
        /// Its name.
        group: &'a [u8],
        /// The last ID it has delivered.
        last_delivered: StreamId,
        /// How many entries it has read; `None` is unknown.
        entries_read: Option<u64>,
    },
    /// A group continues elsewhere.
    GroupPositioned {
        /// Its name.
        group: &'a [u8],
        /// The last ID it has delivered.
        last_delivered: StreamId,
        /// How many entries it has read; `None` is unknown.
        entries_read: Option<u64>,
    },
    /// A group is gone, with its consumers and what was pending.
    GroupDestroyed {
        /// Its name.
        group: &'a [u8],
    },
    /// A consumer that did not exist does.
    ConsumerCreated {
        /// The group.
        group: &'a [u8],
        /// Its name.
        consumer: &'a [u8],
        /// When, in Unix milliseconds.
        at: u64,
    },
    /// A consumer is gone, with what was pending for it.
    ConsumerDeleted {
        /// The group.
        group: &'a [u8],
        /// Its name.
        consumer: &'a [u8],
    },
    /// The next entries of a group went to a consumer.
    Delivered {
        /// The group.
        group: &'a [u8],
        /// Who got them.
        consumer: &'a [u8],
        /// When, in Unix milliseconds.
        at: u64,
        /// They wait for an acknowledgement (not so with NOACK).
        pending: bool,
        /// All that come after the group's last delivered ID, up to the last of them, in order: so
        /// that nobody has to read entries to know which they were.
        ids: Ids<'a>,
    },
    /// A consumer read its own pending entries once more.
    Redelivered {
        /// The group.
        group: &'a [u8],
        /// The consumer.
        consumer: &'a [u8],
        /// When, in Unix milliseconds.
        at: u64,
        /// Those of them whose entry is there.
        ids: Ids<'a>,
    },
    /// Entries changed hands; those that were not pending are now.
    Claimed {
        /// The group.
        group: &'a [u8],
        /// Who has them now.
        consumer: &'a [u8],
        /// Their time of delivery from now on, in Unix milliseconds.
        delivered_at: u64,
        /// When, in Unix milliseconds.
        at: u64,
        /// Which entries, each with its number of deliveries from now on.
        entries: Claims<'a>,
    },
    /// Entries are pending no longer. IDs that are not pending are none of the group's business.
    Acked {
        /// The group.
        group: &'a [u8],
        /// Which ones.
        ids: Ids<'a>,
    },
}

/// A fact about keys.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum KeyspaceChange<'a> {
    /// An empty stream appeared under a free key.
    Created {
        /// Its number, greater than any before.
        stream: StreamNo,
        /// The database.
        db: u8,
        /// The key.
        key: &'a [u8],
    },
    /// A stream is gone.
    Removed {
        /// Which one.
        stream: StreamNo,
    },
    /// A stream is under another key, which was free.
    Moved {
        /// Which one.
        stream: StreamNo,
        /// The database it is in now.
        db: u8,
        /// The key it is under now.
        key: &'a [u8],
    },
    /// A copy of a stream appeared under a free key.
    Copied {
        /// The original.
        from: StreamNo,
        /// The copy's number, greater than any before.
        stream: StreamNo,
        /// The copy's database.
        db: u8,
        /// The copy's key.
        key: &'a [u8],
        /// When the copy expires, in Unix milliseconds.
        expires_at: Option<u64>,
    },
    /// A stream lives until a time, or for ever.
    ExpirySet {
        /// Which one.
        stream: StreamNo,
        /// Until when, in Unix milliseconds.
        at_ms: Option<u64>,
    },
    /// Every stream of a database, or of all, is gone.
    Flushed {
        /// The database; `None` is all of them.
        db: Option<u8>,
    },
    /// Two databases changed places.
    DatabasesSwapped {
        /// One.
        a: u8,
        /// The other.
        b: u8,
    },
}

const UNKNOWN_TAG: Malformed = Malformed {
    what: "a record of an unknown kind",
};

mod tag {
    pub(super) const ENTRY_ADDED: u8 = 1;
    pub(super) const TRIMMED: u8 = 2;
    pub(super) const ENTRIES_DELETED: u8 = 3;
    pub(super) const POSITIONED: u8 = 4;
    pub(super) const GROUP_CREATED: u8 = 5;
    pub(super) const GROUP_POSITIONED: u8 = 6;
    pub(super) const GROUP_DESTROYED: u8 = 7;
    pub(super) const CONSUMER_CREATED: u8 = 8;
    pub(super) const CONSUMER_DELETED: u8 = 9;
    pub(super) const DELIVERED: u8 = 10;
    pub(super) const REDELIVERED: u8 = 11;
    pub(super) const CLAIMED: u8 = 12;
    pub(super) const ACKED: u8 = 13;

    pub(super) const CREATED: u8 = 32;
    pub(super) const REMOVED: u8 = 33;
    pub(super) const MOVED: u8 = 34;
    pub(super) const COPIED: u8 = 35;
    pub(super) const EXPIRY_SET: u8 = 36;
    pub(super) const FLUSHED: u8 = 37;
    pub(super) const DATABASES_SWAPPED: u8 = 38;
}

impl<'a> Record<'a> {
    /// Appends the record's bytes.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Keyspace(change) => change.encode(out),
            Self::Stream { stream, change } => change.encode(*stream, out),
        }
    }

    /// Takes one record off the front of `input`.
    ///
    /// # Errors
    ///
    /// [`Malformed`] when the bytes are no record; `input` is then anywhere.
    pub fn decode(input: &mut &'a [u8]) -> Result<Self, Malformed> {
        let tag = byte(input)?;
        let stream = |input: &mut &'a [u8]| integer(input).map(StreamNo::new);
        if let tag::CREATED.. = tag {
            return KeyspaceChange::decode(tag, input).map(Self::Keyspace);
        }
        let stream = stream(input)?;
        let change = Change::decode(tag, input)?;
        Ok(Self::Stream { stream, change })
    }

    /// About how many bytes [`encode`](Self::encode) appends; never fewer than it does.
    #[must_use]
    pub fn bytes_max(&self) -> u64 {
        // A tag and six integers of ten bytes are more than any record has besides these.
        const FIXED: usize = 64;
        const INTEGER: usize = 10;
        let variable = match self {
            Self::Keyspace(
                KeyspaceChange::Created { key, .. }
                | KeyspaceChange::Moved { key, .. }
                | KeyspaceChange::Copied { key, .. },
            ) => key.len(),
            Self::Keyspace(_) => 0,
            Self::Stream { change, .. } => match change {
                Change::EntryAdded { fields, .. } => fields.resp.len(),
                Change::EntriesDeleted { ids } => ids.len() * 2 * INTEGER,
                Change::Acked { group, ids } => group.len() + ids.len() * 2 * INTEGER,
                Change::GroupCreated { group, .. }
                | Change::GroupPositioned { group, .. }
                | Change::GroupDestroyed { group } => group.len(),
                Change::ConsumerCreated {
                    group, consumer, ..
                }
                | Change::ConsumerDeleted { group, consumer } => group.len() + consumer.len(),
                Change::Delivered {
                    group,
                    consumer,
                    ids,
                    ..
                }
                | Change::Redelivered {
                    group,
                    consumer,
                    ids,
                    ..
                } => group.len() + consumer.len() + ids.len() * 2 * INTEGER,
                Change::Claimed {
                    group,
                    consumer,
                    entries,
                    ..
                } => group.len() + consumer.len() + entries.len() * 3 * INTEGER,
                Change::Positioned { .. } | Change::Trimmed { .. } => 0,
            },
        };
        (FIXED + variable) as u64
    }

    /// Whether the record makes the data grow. What shrinks it, and what moves a group forward
    /// (entries that cannot be delivered cannot be acknowledged either), goes on when the disk is
    /// full.
    #[must_use]
    pub fn adds(&self) -> bool {
        match self {
            Self::Keyspace(change) => match change {
                KeyspaceChange::Copied { .. } | KeyspaceChange::Created { .. } => true,
                KeyspaceChange::DatabasesSwapped { .. }
                | KeyspaceChange::ExpirySet { .. }
                | KeyspaceChange::Flushed { .. }
                | KeyspaceChange::Moved { .. }
                | KeyspaceChange::Removed { .. } => false,
            },
            Self::Stream { change, .. } => match change {
                Change::EntryAdded { .. } | Change::GroupCreated { .. } => true,
                Change::Acked { .. }
                | Change::Claimed { .. }
                | Change::ConsumerCreated { .. }
                | Change::ConsumerDeleted { .. }
                | Change::Delivered { .. }
                | Change::EntriesDeleted { .. }
                | Change::GroupDestroyed { .. }
                | Change::GroupPositioned { .. }
                | Change::Positioned { .. }
                | Change::Redelivered { .. }
                | Change::Trimmed { .. } => false,
            },
        }
    }
}

impl<'a> Change<'a> {
    fn encode(&self, stream: StreamNo, out: &mut Vec<u8>) {
        let begin = |out: &mut Vec<u8>, tag: u8| {
            out.push(tag);
            put_integer(out, stream.get());
        };
        match *self {
            Self::EntryAdded {
                id,
                fields,
                new_node,
                node_bytes,
            } => {
                begin(out, tag::ENTRY_ADDED);
                put_id(out, id);
                put_integer(out, u64::from(node_bytes) << 1 | u64::from(new_node));
                put_integer(out, u64::from(fields.words));
                put_name(out, fields.resp);
            }
            Self::Trimmed { through } => {
                begin(out, tag::TRIMMED);
                put_id(out, through);
            }
            Self::EntriesDeleted { ids } => {
                begin(out, tag::ENTRIES_DELETED);
                ids.encode(out);
            }
            Self::Positioned {
                last_id,
                entries_added,
                max_deleted,
            } => {
                begin(out, tag::POSITIONED);
                put_id(out, last_id);
                put_integer(out, entries_added);
                put_id(out, max_deleted);
            }
            Self::GroupCreated {
                group,
                last_delivered,
                entries_read,
            } => {
                begin(out, tag::GROUP_CREATED);
                put_name(out, group);
                put_id(out, last_delivered);
                put_optional(out, entries_read);
            }
            Self::GroupPositioned {
                group,
                last_delivered,
                entries_read,
            } => {
                begin(out, tag::GROUP_POSITIONED);
                put_name(out, group);
                put_id(out, last_delivered);
                put_optional(out, entries_read);
            }
            Self::GroupDestroyed { group } => {
                begin(out, tag::GROUP_DESTROYED);
                put_name(out, group);
            }
            Self::ConsumerCreated {
                group,
                consumer,
                at,
            } => {
                begin(out, tag::CONSUMER_CREATED);
                put_name(out, group);
                put_name(out, consumer);
                put_integer(out, at);
            }
            Self::ConsumerDeleted { group, consumer } => {
                begin(out, tag::CONSUMER_DELETED);
                put_name(out, group);
                put_name(out, consumer);
            }
            Self::Delivered {
                group,
                consumer,
                at,
                pending,
                ids,
            } => {
                begin(out, tag::DELIVERED);
                put_name(out, group);
                put_name(out, consumer);
                put_integer(out, at);
                put_flag(out, pending);
                ids.encode(out);
            }
            Self::Redelivered {
                group,
                consumer,
                at,
                ids,
            } => {
                begin(out, tag::REDELIVERED);
                put_name(out, group);
                put_name(out, consumer);
                put_integer(out, at);
                ids.encode(out);
            }
            Self::Claimed {
                group,
                consumer,
                delivered_at,
                at,
                entries,
            } => {
                begin(out, tag::CLAIMED);
                put_name(out, group);
                put_name(out, consumer);
                put_integer(out, delivered_at);
                put_integer(out, at);
                entries.encode(out);
            }
            Self::Acked { group, ids } => {
                begin(out, tag::ACKED);
                put_name(out, group);
                ids.encode(out);
            }
        }
    }

    fn decode(tag: u8, input: &mut &'a [u8]) -> Result<Self, Malformed> {
        Ok(match tag {
            tag::ENTRY_ADDED => {
                let id = id(input)?;
                let node = integer(input)?;
                let words = small(integer(input)?)?;
                Self::EntryAdded {
                    id,
                    fields: Fields {
                        words,
                        resp: name(input)?,
                    },
                    new_node: node & 1 == 1,
                    node_bytes: small(node >> 1)?,
                }
            }
            tag::TRIMMED => Self::Trimmed {
                through: id(input)?,
            },
            tag::ENTRIES_DELETED => Self::EntriesDeleted {
                ids: Ids::decode(input)?,
            },
            tag::POSITIONED => Self::Positioned {
                last_id: id(input)?,
                entries_added: integer(input)?,
                max_deleted: id(input)?,
            },
            tag::GROUP_CREATED => Self::GroupCreated {
                group: name(input)?,
                last_delivered: id(input)?,
                entries_read: optional(input)?,
            },
            tag::GROUP_POSITIONED => Self::GroupPositioned {
                group: name(input)?,
                last_delivered: id(input)?,
                entries_read: optional(input)?,
            },
            tag::GROUP_DESTROYED => Self::GroupDestroyed {
                group: name(input)?,
            },
            tag::CONSUMER_CREATED => Self::ConsumerCreated {
                group: name(input)?,
                consumer: name(input)?,
                at: integer(input)?,
            },
            tag::CONSUMER_DELETED => Self::ConsumerDeleted {
                group: name(input)?,
                consumer: name(input)?,
            },
            tag::DELIVERED => Self::Delivered {
                group: name(input)?,
                consumer: name(input)?,
                at: integer(input)?,
                pending: flag(input)?,
                ids: Ids::decode(input)?,
            },
            tag::REDELIVERED => Self::Redelivered {
                group: name(input)?,
                consumer: name(input)?,
                at: integer(input)?,
                ids: Ids::decode(input)?,
            },
            tag::CLAIMED => Self::Claimed {
                group: name(input)?,
                consumer: name(input)?,
                delivered_at: integer(input)?,
                at: integer(input)?,
                entries: Claims::decode(input)?,
            },
            tag::ACKED => Self::Acked {
                group: name(input)?,
                ids: Ids::decode(input)?,
            },
            _ => return Err(UNKNOWN_TAG),
        })
    }
}

impl<'a> KeyspaceChange<'a> {
    fn encode(&self, out: &mut Vec<u8>) {
        let begin = |out: &mut Vec<u8>, tag: u8, stream: StreamNo| {
            out.push(tag);
            put_integer(out, stream.get());
        };
        match *self {
            Self::Created { stream, db, key } => {
                begin(out, tag::CREATED, stream);
                out.push(db);
                put_name(out, key);
            }
            Self::Removed { stream } => begin(out, tag::REMOVED, stream),
            Self::Moved { stream, db, key } => {
                begin(out, tag::MOVED, stream);
                out.push(db);
                put_name(out, key);
            }
            Self::Copied {
                from,
                stream,
                db,
                key,
                expires_at,
            } => {
                begin(out, tag::COPIED, from);
                put_integer(out, stream.get());
                out.push(db);
                put_name(out, key);
                put_optional(out, expires_at);
            }
            Self::ExpirySet { stream, at_ms } => {
                begin(out, tag::EXPIRY_SET, stream);
                put_optional(out, at_ms);
            }
            Self::Flushed { db } => {
                out.push(tag::FLUSHED);
                put_flag(out, db.is_some());
                out.extend(db);
            }
            Self::DatabasesSwapped { a, b } => {
                out.extend([tag::DATABASES_SWAPPED, a, b]);
            }
        }
    }

    fn decode(tag: u8, input: &mut &'a [u8]) -> Result<Self, Malformed> {
        let stream = |input: &mut &'a [u8]| integer(input).map(StreamNo::new);
        Ok(match tag {
            tag::CREATED => Self::Created {
                stream: stream(input)?,
                db: byte(input)?,
                key: name(input)?,
            },
            tag::REMOVED => Self::Removed {
                stream: stream(input)?,
            },
            tag::MOVED => Self::Moved {
                stream: stream(input)?,
                db: byte(input)?,
                key: name(input)?,
            },
            tag::COPIED => Self::Copied {
                from: stream(input)?,
                stream: stream(input)?,
                db: byte(input)?,
                key: name(input)?,
                expires_at: optional(input)?,
            },
            tag::EXPIRY_SET => Self::ExpirySet {
                stream: stream(input)?,
                at_ms: optional(input)?,
            },
            tag::FLUSHED => Self::Flushed {
                db: if flag(input)? {
                    Some(byte(input)?)
                } else {
                    None
                },
            },
            tag::DATABASES_SWAPPED => Self::DatabasesSwapped {
                a: byte(input)?,
                b: byte(input)?,
            },
            _ => return Err(UNKNOWN_TAG),
        })
    }
}

#[cfg(test)]
mod tests;
