//! What can be done to a store, done to the store and to the model.
//!
//! Each operation is one commit, so that the model after each is a state that a crash may leave.

use headwater_store::error::CommitError;
use headwater_store::log::Growth;
use headwater_store::{
    Access, Change, Claim, Claims, Fields, IdRule, Ids, NextIdError, NodeLimits, Order, Store,
    StreamId, StreamMut, Trim, TrimBy,
};
use proptest::prelude::*;

use crate::model::{DATABASES, Key, Model, ModelGroup, ModelPending, ModelStream, Name};

/// Entries of one stream whose milliseconds lie in a range and are a multiple of something.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Span {
    from: u64,
    to: u64,
    every: u64,
}

impl Span {
    fn has(self, id: StreamId) -> bool {
        (self.from..=self.to).contains(&id.ms) && id.ms.is_multiple_of(self.every)
    }
}

#[derive(Clone, Debug)]
pub(crate) enum Operation {
    Ack {
        key: Key,
        group: Name,
        some: Span,
    },
    Add {
        key: Key,
        rule: IdRule,
        words: Vec<Vec<u8>>,
        keep: Option<u64>,
    },
    Claim {
        key: Key,
        group: Name,
        consumer: Name,
        some: Span,
        force: bool,
    },
    Copy {
        from: Key,
        to: Key,
    },
    CreateConsumer {
        key: Key,
        group: Name,
        consumer: Name,
    },
    CreateGroup {
        key: Key,
        group: Name,
        after: StreamId,
        read: Option<u64>,
    },
    Delete {
        key: Key,
        some: Span,
    },
    DeleteConsumer {
        key: Key,
        group: Name,
        consumer: Name,
    },
    DestroyGroup {
        key: Key,
        group: Name,
    },
    Expire {
        key: Key,
        after: Option<u64>,
    },
    Flush {
        db: Option<u8>,
    },
    History {
        key: Key,
        group: Name,
        consumer: Name,
        after: u64,
        count: usize,
    },
    Move {
        from: Key,
        to: Key,
    },
    Position {
        key: Key,
        ahead: u64,
        added: u64,
        deleted: bool,
    },
    PositionGroup {
        key: Key,
        group: Name,
        at: StreamId,
        read: Option<u64>,
    },
    Read {
        key: Key,
        group: Name,
        consumer: Name,
        count: usize,
        pending: bool,
    },
    Remove {
        key: Key,
    },
    RemoveExpired,
    Swap {
        a: u8,
        b: u8,
    },
    Trim {
        key: Key,
        by: TrimBy,
        approximate: bool,
    },
}

/// What an operation answers: the IDs it touched, or that there was nothing to do.
#[derive(PartialEq, Eq, Debug)]
pub(crate) enum Outcome {
    Done(Vec<StreamId>),
    Missing,
    NoId(NextIdError),
    There,
}

/// The entries of a stream up to an ID.
fn ids(stream: &StreamMut<'_>, to: StreamId) -> Result<Vec<StreamId>, CommitError> {
    let entries = stream.entries(StreamId::MIN, to, Order::Forward, usize::MAX)?;
    Ok(entries.iter().map(|entry| entry.id).collect())
}

impl Operation {
    /// Does it to the store.
    pub(crate) fn perform(&self, store: &Store, now: u64) -> Result<Outcome, CommitError> {
        let mut access = store.alone();
        access.wait_for_disk();
        let outcome = self.perform_in(&mut access, now)?;
        assert!(access.take_depends_on() <= store.log().appended());
        Ok(outcome)
    }

    fn perform_in(&self, access: &mut Access<'_>, now: u64) -> Result<Outcome, CommitError> {
        use Outcome::{Done, Missing, NoId, There};
        let done = |found: bool| Ok(if found { Done(Vec::new()) } else { Missing });
        match self {
            Self::Add {
                key: (db, key),
                rule,
                words,
                keep,
            } => {
                let mut buffer = Vec::new();
                let fields = Fields::encode(words, &mut buffer);
                // So that there is room for all of it, or for nothing.
                access.begin_batch(Growth::Adds, 4096 + fields.resp.len() as u64)?;
                if !access.exists(*db, key, now) {
                    access.create(*db, key, now)?;
                }
                let mut stream = access.stream(*db, key, now).expect("it has been created");
                let outcome = match stream.next_id(*rule, now) {
                    Err(refused) => NoId(refused),
                    Ok(id) => {
                        let limits = NodeLimits {
                            bytes: 300,
                            entries: 4,
                        };
                        let added = stream.entry_added(id, fields, limits);
                        let trim = keep.map(|keep| exact(TrimBy::MaxLen(keep)));
                        let point = match trim {
                            Some(trim) => stream.trim_point_after(&added, &trim)?,
                            None => None,
                        };
                        match point {
                            None => stream.commit(&[added])?,
                            Some(point) => {
                                stream.commit(&[
                                    added,
                                    Change::Trimmed {
                                        through: point.through,
                                    },
                                ])?;
                            }
                        }
                        Done(vec![id])
                    }
                };
                drop(stream);
                access.end_batch();
                return Ok(outcome);
            }
            Self::Copy { from, to } if from == to => return Ok(There),
            Self::Copy { from, to } => return done(access.copy(*from, *to, now)?),
            Self::Move { from, to } => return done(access.move_to(*from, *to, now)?),
            Self::Expire {
                key: (db, key),
                after,
            } => {
                let at_ms = after.map(|after| now + after);
                return done(access.set_expiry(*db, key, at_ms, now)?);
            }
            Self::Flush { db } => return Ok(access.flush(*db).map(|()| Done(Vec::new()))?),
            Self::Remove { key: (db, key) } => return done(access.remove(*db, key, now)?),
            Self::RemoveExpired => {
                access.begin_batch(Growth::Frees, 4096)?;
                access.remove_expired(now, usize::MAX)?;
                access.end_batch();
                assert!(access.next_expiry().is_none_or(|at| at > now));
                return Ok(Done(Vec::new()));
            }
            Self::Swap { a, b } => return Ok(access.swap(*a, *b).map(|()| Done(Vec::new()))?),
            _ => {}
        }
        let (db, key) = self.key();
        let Some(mut stream) = access.stream(db, key, now) else {
            return Ok(Missing);
        };
        let mut touched = Vec::new();
        match self {
            Self::Delete { some, .. } => {
                let all = ids(&stream, StreamId::MAX)?.into_iter();
                touched = all.filter(|&id| some.has(id)).collect();
                touched.push(StreamId::MIN);
                stream.commit(&[Change::EntriesDeleted {
                    ids: Ids::from(&touched),
                }])?;
                touched.pop();
            }
            Self::Trim {
                by, approximate, ..
            } => {
                let trim = Trim {
                    approximate: *approximate,
                    ..exact(*by)
                };
                let least = stream
                    .trim_point(&exact(*by))?
                    .map_or(0, |point| point.removed);
                let point = stream.trim_point(&trim)?;
                if let Some(point) = point {
                    assert!(point.removed <= least, "approximate trimming keeps more");
                    touched = ids(&stream, point.through)?;
                    assert_eq!(touched.len() as u64, point.removed);
                    stream.commit(&[Change::Trimmed {
                        through: point.through,
                    }])?;
                }
            }
            Self::Position {
                ahead,
                added,
                deleted,
                ..
            } => {
                let last_id = StreamId::new(stream.last_id().ms.saturating_add(*ahead), 0)
                    .max(stream.last_id());
                let max_deleted = if *deleted {
                    last_id
                } else {
                    stream.max_deleted()
                };
                let entries_added = stream.len() + added;
                stream.commit(&[Change::Positioned {
                    last_id,
                    entries_added,
                    max_deleted,
                }])?;
            }
            Self::CreateGroup {
                group, after, read, ..
            } => {
                if stream.group(group).is_some() {
                    return Ok(There);
                }
                let read = read.map(|read| read.min(stream.entries_added()));
                stream.commit(&[Change::GroupCreated {
                    group,
                    last_delivered: *after,
                    entries_read: read,
                }])?;
            }
            _ => {
                let (name, consumer) = self.group();
                let Some(group) = stream.group(name) else {
                    return Ok(Missing);
                };
                let known = group.consumer(consumer);
                let create = Change::ConsumerCreated {
                    group: name,
                    consumer,
                    at: now,
                };
                let mut changes = Vec::new();
                if known.is_none() && self.creates_consumer() {
                    changes.push(create);
                }
                let claims: Vec<Claim>;
                let there: Vec<StreamId>;
                match self {
                    Self::Ack { some, .. } => {
                        let all = group.pending().range(StreamId::MIN..=StreamId::MAX);
                        touched = all.map(|e| e.id).filter(|&id| some.has(id)).collect();
                        touched.reverse();
                        touched.push(StreamId::MIN);
                        changes.push(Change::Acked {
                            group: name,
                            ids: Ids::from(&touched),
                        });
                        stream.commit(&changes)?;
                        touched.pop();
                        return Ok(Done(touched));
                    }
                    Self::Claim { some, force, .. } => {
                        let all = group.pending().range(StreamId::MIN..=StreamId::MAX);
                        let there = ids(&stream, StreamId::MAX)?;
                        let (here, gone): (Vec<_>, Vec<_>) = all
                            .filter(|entry| some.has(entry.id))
                            .partition(|entry| there.binary_search(&entry.id).is_ok());
                        let mut found: Vec<_> = here
                            .iter()
                            .map(|e| Claim {
                                id: e.id,
                                deliveries: e.deliveries + 1,
                            })
                            .collect();
                        if *force {
                            let free = there
                                .into_iter()
                                .filter(|&id| group.pending().get(id).is_none());
                            let free = free.filter(|&id| some.has(id));
                            found.extend(free.map(|id| Claim { id, deliveries: 1 }));
                        }
                        claims = found;
                        touched = gone.iter().map(|entry| entry.id).collect();
                        changes.push(Change::Acked {
                            group: name,
                            ids: Ids::from(&touched),
                        });
                        if !claims.is_empty() {
                            changes.push(Change::Claimed {
                                group: name,
                                consumer,
                                delivered_at: now + 1,
                                at: now,
                                entries: Claims::from(&claims),
                            });
                        }
                    }
                    Self::CreateConsumer { .. } => {}
                    Self::DeleteConsumer { .. } if known.is_none() => return Ok(Missing),
                    Self::DeleteConsumer { .. } => {
                        changes.push(Change::ConsumerDeleted {
                            group: name,
                            consumer,
                        });
                    }
                    Self::DestroyGroup { .. } => {
                        changes.push(Change::GroupDestroyed { group: name });
                    }
                    Self::History { after, count, .. } => {
                        let after = StreamId::new(*after, 0);
                        if let Some(known) = known {
                            let own = group.pending_of(known, after);
                            touched = own.take(*count).map(|entry| entry.id).collect();
                        }
                        let entries = stream.get_all(touched.iter().copied())?;
                        there = entries.iter().flatten().map(|entry| entry.id).collect();
                        if !there.is_empty() {
                            changes.push(Change::Redelivered {
                                group: name,
                                consumer,
                                at: now,
                                ids: Ids::from(&there),
                            });
                        }
                    }
                    Self::PositionGroup { at, read, .. } => changes.push(Change::GroupPositioned {
                        group: name,
                        last_delivered: *at,
                        entries_read: read.map(|read| read.min(stream.entries_added())),
                    }),
                    Self::Read { count, pending, .. } => {
                        let new = stream.entries_after(group.last_delivered(), *count)?;
                        touched = new.iter().map(|entry| entry.id).collect();
                        if !touched.is_empty() {
                            changes.push(Change::Delivered {
                                group: name,
                                consumer,
                                at: now,
                                pending: *pending,
                                ids: Ids::from(&touched),
                            });
                        }
                    }
                    _ => unreachable!("the others do not concern a group"),
                }
                stream.commit(&changes)?;
            }
        }
        Ok(Done(touched))
    }

    /// Does it to the model. `outcome` is what the store answered: only approximate trimming may
    /// look at it.
    pub(crate) fn imagine(&self, model: &mut Model, now: u64, outcome: &Outcome) -> Outcome {
        use Outcome::{Done, Missing, NoId, There};
        let done = |found: bool| if found { Done(Vec::new()) } else { Missing };
        let owned = |(db, key): Key| (db, key.to_vec());
        match self {
            Self::Add {
                key,
                rule,
                words,
                keep,
            } => {
                if model.live(*key, now).is_none() {
                    model.streams.insert(owned(*key), ModelStream::default());
                }
                let stream = model.live(*key, now).expect("it is there now");
                let last = stream.last_id;
                let id = match *rule {
                    _ if last == StreamId::MAX => return NoId(NextIdError::Exhausted),
                    IdRule::Auto if now > last.ms => StreamId::new(now, 0),
                    IdRule::Auto => last.next().expect("it is not the last"),
                    IdRule::AutoSeq(ms) if ms == last.ms => match last.seq.checked_add(1) {
                        Some(seq) => StreamId::new(ms, seq),
                        None => return NoId(NextIdError::NotGreater),
                    },
                    IdRule::AutoSeq(ms) => StreamId::new(ms, 0),
                    IdRule::Exact(id) => id,
                };
                if id <= last {
                    return NoId(NextIdError::NotGreater);
                }
                stream.entries.insert(id, words.clone());
                stream.last_id = id;
                stream.entries_added += 1;
                while keep.is_some_and(|keep| stream.entries.len() as u64 > keep) {
                    stream.entries.pop_first();
                }
                return Done(vec![id]);
            }
            Self::Copy { from, to } | Self::Move { from, to } if from == to => {
                let there = model.live(*from, now).is_some();
                return if matches!(self, Self::Copy { .. }) {
                    There
                } else {
                    done(there)
                };
            }
            Self::Copy { from, to } | Self::Move { from, to } => {
                let Some(stream) = model.live(*from, now).cloned() else {
                    return Missing;
                };
                if matches!(self, Self::Move { .. }) {
                    model.streams.remove(&owned(*from));
                }
                model.streams.insert(owned(*to), stream);
                return done(true);
            }
            Self::Expire { key, after } => {
                let Some(stream) = model.live(*key, now) else {
                    return Missing;
                };
                stream.expires_at = after.map(|after| now + after);
                return done(true);
            }
            Self::Flush { db } => {
                model
                    .streams
                    .retain(|key, _| db.is_some_and(|db| key.0 != db));
                return done(true);
            }
            Self::Remove { key } => {
                let live = model.live(*key, now).is_some();
                model.streams.remove(&owned(*key));
                return done(live);
            }
            Self::RemoveExpired => {
                model
                    .streams
                    .retain(|_, stream| stream.expires_at.is_none_or(|at| at > now));
                return done(true);
            }
            Self::Swap { a, b } => {
                let swapped = |db| match db {
                    db if db == *a => *b,
                    db if db == *b => *a,
                    db => db,
                };
                let streams = std::mem::take(&mut model.streams);
                model.streams = streams
                    .into_iter()
                    .map(|((db, k), s)| ((swapped(db), k), s))
                    .collect();
                return done(true);
            }
            _ => {}
        }
        let Some(stream) = model.live(self.key(), now) else {
            return Missing;
        };
        match self {
            Self::Delete { some, .. } => {
                let ids: Vec<_> = stream
                    .entries
                    .keys()
                    .filter(|id| some.has(**id))
                    .copied()
                    .collect();
                for id in &ids {
                    stream.entries.remove(id);
                    stream.max_deleted = stream.max_deleted.max(*id);
                }
                Done(ids)
            }
            Self::Trim {
                by, approximate, ..
            } => {
                let ids: Vec<_> = match (by, outcome) {
                    (_, Done(ids)) if *approximate => {
                        assert!(stream.entries.keys().zip(ids).all(|(own, id)| own == id));
                        ids.clone()
                    }
                    (TrimBy::MaxLen(max), _) => {
                        let excess = (stream.entries.len() as u64).saturating_sub(*max);
                        stream
                            .entries
                            .keys()
                            .take(usize::try_from(excess).expect("histories are short"))
                            .copied()
                            .collect()
                    }
                    (TrimBy::MinId(min), _) => {
                        stream.entries.range(..min).map(|(&id, _)| id).collect()
                    }
                };
                stream.entries.retain(|id, _| !ids.contains(id));
                Done(ids)
            }
            Self::Position {
                ahead,
                added,
                deleted,
                ..
            } => {
                stream.last_id = stream
                    .last_id
                    .max(StreamId::new(stream.last_id.ms.saturating_add(*ahead), 0));
                if *deleted {
                    stream.max_deleted = stream.last_id;
                }
                stream.entries_added = stream.entries.len() as u64 + added;
                done(true)
            }
            Self::CreateGroup {
                group, after, read, ..
            } => {
                if stream.groups.contains_key(*group) {
                    return There;
                }
                let created = ModelGroup {
                    last_delivered: *after,
                    entries_read: read.map(|read| read.min(stream.entries_added)),
                    ..ModelGroup::default()
                };
                stream.groups.insert(group.to_vec(), created);
                done(true)
            }
            _ => self.imagine_in_group(stream, now),
        }
    }

    fn imagine_in_group(&self, stream: &mut ModelStream, now: u64) -> Outcome {
        use Outcome::{Done, Missing};
        let (name, consumer) = self.group();
        let whole = stream.clone();
        let Some(group) = stream.groups.get_mut(name) else {
            return Missing;
        };
        if self.creates_consumer() {
            group.consumers.entry(consumer.to_vec()).or_insert(None);
        }
        let pending = |delivered_at, deliveries| {
            let consumer = consumer.to_vec();
            ModelPending {
                consumer,
                delivered_at,
                deliveries,
            }
        };
        let mut touched = Vec::new();
        match self {
            Self::Ack { some, .. } => {
                touched = group
                    .pending
                    .keys()
                    .filter(|id| some.has(**id))
                    .rev()
                    .copied()
                    .collect();
                group.pending.retain(|id, _| !some.has(*id));
            }
            Self::Claim { some, force, .. } => {
                let mut any = false;
                for id in group
                    .pending
                    .keys()
                    .filter(|id| some.has(**id))
                    .copied()
                    .collect::<Vec<_>>()
                {
                    if whole.entries.contains_key(&id) {
                        let deliveries = group.pending[&id].deliveries;
                        group.pending.insert(id, pending(now + 1, deliveries + 1));
                        any = true;
                    } else {
                        group.pending.remove(&id);
                        touched.push(id);
                    }
                }
                for id in whole.entries.keys().filter(|id| *force && some.has(**id)) {
                    group.pending.entry(*id).or_insert_with(|| {
                        any = true;
                        pending(now + 1, 1)
                    });
                }
                if any {
                    group.consumers.insert(consumer.to_vec(), Some(now));
                }
            }
            Self::CreateConsumer { .. } => {}
            Self::DeleteConsumer { .. } => {
                if group.consumers.remove(consumer).is_none() {
                    return Missing;
                }
                group.pending.retain(|_, entry| entry.consumer != consumer);
            }
            Self::DestroyGroup { .. } => {
                stream.groups.remove(name);
            }
            Self::History { after, count, .. } => {
                let after = StreamId::new(*after, 0);
                let own = group.pending.iter_mut();
                let own = own.filter(|(id, entry)| **id > after && entry.consumer == consumer);
                for (id, entry) in own.take(*count) {
                    touched.push(*id);
                    if whole.entries.contains_key(id) {
                        *entry = pending(now, entry.deliveries + 1);
                    }
                }
            }
            Self::PositionGroup { at, read, .. } => {
                group.last_delivered = *at;
                group.entries_read = read.map(|read| read.min(whole.entries_added));
            }
            Self::Read {
                count,
                pending: wait,
                ..
            } => {
                let from = group.last_delivered;
                for (&id, _) in whole
                    .entries
                    .iter()
                    .filter(|(id, _)| **id > from)
                    .take(*count)
                {
                    let follows = group.last_delivered >= whole.first_id()
                        && !whole.holed_from(group.last_delivered);
                    group.entries_read = match group.entries_read {
                        Some(read) if follows => Some(read + 1),
                        _ => whole.added_up_to(id),
                    };
                    group.last_delivered = id;
                    touched.push(id);
                    if *wait {
                        group.pending.insert(id, pending(now, 1));
                        group.consumers.insert(consumer.to_vec(), Some(now));
                    }
                }
            }
            _ => unreachable!("the others do not concern a group"),
        }
        Done(touched)
    }

    /// Adds an entry to the stream that has the most.
    pub(crate) fn add() -> Self {
        Self::Add {
            key: (0, b"jobs"),
            rule: IdRule::Auto,
            words: vec![b"task".to_vec(), b"next".to_vec()],
            keep: None,
        }
    }

    /// Makes an operation on some entries one on so many times as many.
    pub(crate) fn stretch(&mut self, times: u64) {
        match self {
            Self::Ack { some, .. } | Self::Claim { some, .. } | Self::Delete { some, .. } => {
                some.from *= times;
                some.to *= times;
            }
            Self::Add {
                keep: Some(keep), ..
            } => *keep *= times,
            Self::Trim {
                by: TrimBy::MaxLen(most),
                ..
            } => *most *= times,
            Self::Trim {
                by: TrimBy::MinId(id),
                ..
            } => id.ms = id.ms.saturating_mul(times),
            _ => {}
        }
    }

    /// Makes an entry larger by a value of so many bytes.
    pub(crate) fn enlarge(&mut self, bytes: usize) {
        if let Self::Add { words, .. } = self {
            words.extend([b"large".to_vec(), vec![b'x'; bytes]]);
        }
    }

    fn creates_consumer(&self) -> bool {
        matches!(
            self,
            Self::Claim { .. }
                | Self::CreateConsumer { .. }
                | Self::History { .. }
                | Self::Read { .. }
        )
    }

    fn key(&self) -> Key {
        match self {
            Self::Ack { key, .. }
            | Self::Claim { key, .. }
            | Self::CreateConsumer { key, .. }
            | Self::CreateGroup { key, .. }
            | Self::Delete { key, .. }
            | Self::DeleteConsumer { key, .. }
            | Self::DestroyGroup { key, .. }
            | Self::History { key, .. }
            | Self::Position { key, .. }
            | Self::PositionGroup { key, .. }
            | Self::Read { key, .. }
            | Self::Trim { key, .. } => *key,
            _ => unreachable!("the others concern the keyspace"),
        }
    }

    fn group(&self) -> (Name, Name) {
        match self {
            Self::Claim {
                group, consumer, ..
            }
            | Self::CreateConsumer {
                group, consumer, ..
            }
            | Self::DeleteConsumer {
                group, consumer, ..
            }
            | Self::History {
                group, consumer, ..
            }
            | Self::Read {
                group, consumer, ..
            } => (group, consumer),
            Self::Ack { group, .. }
            | Self::DestroyGroup { group, .. }
            | Self::PositionGroup { group, .. } => (group, b""),
            _ => unreachable!("the others do not concern a group"),
        }
    }
}

fn exact(by: TrimBy) -> Trim {
    Trim {
        by,
        approximate: false,
        limit: None,
    }
}

fn key() -> impl Strategy<Value = Key> {
    let db = prop_oneof![4 => Just(DATABASES[0]), 1 => Just(DATABASES[1]), 1 => Just(DATABASES[2])];
    let key = prop_oneof![6 => Just(&b"jobs"[..]), 1 => Just(&b""[..]), 1 => Just(&b"\xff\0"[..])];
    (db, key)
}

fn group() -> impl Strategy<Value = Name> {
    prop_oneof![4 => Just(&b"workers"[..]), 1 => Just(&b""[..])]
}

fn consumer() -> impl Strategy<Value = Name> {
    prop_oneof![Just(&b"ann"[..]), Just(&b"bob"[..]), Just(&b""[..])]
}

fn some() -> impl Strategy<Value = Span> {
    (0..1200_u64, 0..400_u64, 1..4_u64).prop_map(|(from, more, every)| Span {
        from: from.saturating_sub(200),
        to: from + more,
        every,
    })
}

fn id() -> impl Strategy<Value = StreamId> {
    let ms = prop_oneof![3 => Just(0), 6 => 0..1200_u64, 1 => Just(u64::MAX)];
    let seq = prop_oneof![6 => 0..3_u64, 1 => Just(u64::MAX)];
    (ms, seq).prop_map(|(ms, seq)| StreamId::new(ms, seq))
}

fn rule() -> impl Strategy<Value = IdRule> {
    prop_oneof![
        12 => Just(IdRule::Auto),
        4 => (0..1200_u64).prop_map(IdRule::AutoSeq),
        // Rarely: from then on nothing can be added.
        1 => id().prop_map(IdRule::Exact),
    ]
}

fn words() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let word = prop_oneof![
        3 => "[0-9]{1,4}".prop_map(String::into_bytes),
        2 => proptest::collection::vec(any::<u8>(), 0..120),
        2 => Just(b"task".to_vec()),
    ];
    proptest::collection::vec([word.clone(), word], 1..4).prop_map(|pairs| pairs.concat())
}

fn by() -> impl Strategy<Value = TrimBy> {
    prop_oneof![
        (0..12_u64).prop_map(TrimBy::MaxLen),
        id().prop_map(TrimBy::MinId)
    ]
}

/// The operations, as often as they happen: a few streams that grow, are read and acknowledged.
pub(crate) fn operation() -> impl Strategy<Value = Operation> {
    let read = || proptest::option::of(0..20_u64);
    let db = || proptest::sample::select(DATABASES.to_vec());
    let member = || (key(), group(), consumer());
    prop_oneof![
        24 => (key(), rule(), words(), proptest::option::weighted(0.1, 0..20_u64))
            .prop_map(|(key, rule, words, keep)| Operation::Add { key, rule, words, keep }),
        16 => (member(), 1..6_usize, proptest::bool::weighted(0.8)).prop_map(
            |((key, group, consumer), count, pending)| {
                Operation::Read { key, group, consumer, count, pending }
            }
        ),
        8 => (key(), group(), some())
            .prop_map(|(key, group, some)| Operation::Ack { key, group, some }),
        5 => (member(), some(), any::<bool>()).prop_map(|((key, group, consumer), some, force)| {
            Operation::Claim { key, group, consumer, some, force }
        }),
        4 => (member(), 0..1200_u64, 0..5_usize).prop_map(
            |((key, group, consumer), after, count)| {
                Operation::History { key, group, consumer, after, count }
            }
        ),
        5 => (key(), some()).prop_map(|(key, some)| Operation::Delete { key, some }),
        5 => (key(), by(), any::<bool>())
            .prop_map(|(key, by, approximate)| Operation::Trim { key, by, approximate }),
        6 => (key(), group(), id(), read())
            .prop_map(|(key, group, after, read)| {
                Operation::CreateGroup { key, group, after, read }
            }),
        2 => (key(), group(), id(), read())
            .prop_map(|(key, group, at, read)| Operation::PositionGroup { key, group, at, read }),
        1 => (key(), group()).prop_map(|(key, group)| Operation::DestroyGroup { key, group }),
        2 => member().prop_map(|(key, group, consumer)| {
            Operation::CreateConsumer { key, group, consumer }
        }),
        2 => member().prop_map(|(key, group, consumer)| {
            Operation::DeleteConsumer { key, group, consumer }
        }),
        1 => (key(), 0..30_u64, 0..9_u64, any::<bool>()).prop_map(
            |(key, ahead, added, deleted)| Operation::Position { key, ahead, added, deleted }
        ),
        1 => key().prop_map(|key| Operation::Remove { key }),
        1 => (key(), key()).prop_map(|(from, to)| Operation::Move { from, to }),
        2 => (key(), key()).prop_map(|(from, to)| Operation::Copy { from, to }),
        2 => (key(), proptest::option::of(1..300_u64))
            .prop_map(|(key, after)| Operation::Expire { key, after }),
        1 => Just(Operation::RemoveExpired),
        1 => (db(), db()).prop_map(|(a, b)| Operation::Swap { a, b }),
        1 => proptest::option::weighted(0.8, db()).prop_map(|db| Operation::Flush { db }),
    ]
}
