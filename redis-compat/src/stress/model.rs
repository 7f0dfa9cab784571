//! What one stream must hold, and what each command on it must be answered with.
//!
//! A stream has one client, which knows everything that was ever asked of it. So all replies are
//! known beforehand, except three things that the server chooses: the ID that `*` becomes, how far
//! `~` trims, and how long ago something was. The first two are taken from a [`Hint`] and must be
//! possible; the third is never asked for.
//!
//! Nothing here is Headwater's own: real servers must answer the same.

use std::collections::BTreeMap;
use std::ops::Bound;

use super::audit::Found;
use super::content;
use super::id::Id;
use super::op::{Keep, NewId, Op, Trim, consumer_name};
use crate::reply::Reply;

/// Where to look for what the server chose.
#[derive(Clone, Copy)]
pub(super) enum Hint<'a> {
    /// What was found after a crash, when the replies were lost.
    Found(&'a Found),
    /// The reply to the command, and those that came behind it.
    Replies(&'a [Reply]),
}

/// What a stream must hold.
#[derive(Clone, Debug, Default)]
pub(super) struct Stream {
    pub(super) exists: bool,
    /// The serial number of every entry.
    pub(super) entries: BTreeMap<Id, u64>,
    pub(super) last: Id,
    pub(super) added: u64,
    pub(super) max_deleted: Id,
    /// By number. None is ever destroyed but with the stream.
    pub(super) groups: Vec<Group>,
}

/// What a group must know.
#[derive(Clone, Debug, Default)]
pub(super) struct Group {
    pub(super) last: Id,
    pub(super) pending: BTreeMap<Id, Pending>,
}

/// A delivery that is not acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pending {
    pub(super) consumer: u8,
    pub(super) deliveries: u64,
}

impl Stream {
    /// Does to the model what the server must do, and returns what it must answer. `key` and
    /// `seed` are the stream's name and what its entries are made from.
    ///
    /// # Errors
    ///
    /// Says so when what the hint tells is not possible. The model is void then.
    pub(super) fn apply(
        &mut self,
        op: &Op,
        hint: Hint<'_>,
        key: &str,
        seed: u64,
    ) -> Result<Reply, String> {
        let entry = |(id, serial): (&Id, &u64)| entry(*id, seed, *serial);
        Ok(match op {
            Op::Ack { group, ids } => {
                let pending = &mut self.groups[*group].pending;
                count(ids.iter().filter(|id| pending.remove(id).is_some()))
            }
            Op::Add { id, serial, trim } => {
                let id = self.new_id(*id, *serial, hint)?;
                self.exists = true;
                self.entries.insert(id, *serial);
                self.last = id;
                self.added += 1;
                if let Some(trim) = trim {
                    let gone = match hint {
                        Hint::Replies([_, Reply::Integer(left), ..]) => {
                            let left = usize::try_from(*left).unwrap_or(usize::MAX);
                            self.entries.len().checked_sub(left)
                        }
                        Hint::Replies(_) => None,
                        Hint::Found(found) => Some(self.gone_before(found)),
                    };
                    self.trim(*trim, gone)?;
                }
                bulk(&id.to_string())
            }
            Op::AutoClaim {
                group,
                consumer,
                start,
                count,
                just_id,
            } => {
                let pending = &mut self.groups[*group].pending;
                let ids: Vec<Id> = pending.range(start..).map(|(id, _)| *id).collect();
                let (chosen, rest) = ids.split_at(ids.len().min(*count));
                let (mut claimed, mut gone) = (Vec::new(), Vec::new());
                for id in chosen {
                    match claim(pending, &self.entries, *id, *consumer, *just_id) {
                        Some(serial) => claimed.push(claimed_reply(*id, seed, serial, *just_id)),
                        None => gone.push(bulk(&id.to_string())),
                    }
                }
                let cursor = rest.first().copied().unwrap_or_default();
                Reply::Array(vec![
                    bulk(&cursor.to_string()),
                    Reply::Array(claimed),
                    Reply::Array(gone),
                ])
            }
            Op::Claim {
                group,
                consumer,
                ids,
                just_id,
            } => {
                let pending = &mut self.groups[*group].pending;
                let claimed = ids.iter().filter_map(|id| {
                    let serial = claim(pending, &self.entries, *id, *consumer, *just_id)?;
                    Some(claimed_reply(*id, seed, serial, *just_id))
                });
                Reply::Array(claimed.collect())
            }
            Op::Create { group } => {
                assert_eq!(*group, self.groups.len(), "groups are made in order");
                self.exists = true;
                self.groups.push(Group::default());
                Reply::Simple(b"OK".to_vec())
            }
            Op::Delete { ids } => {
                let entries = &mut self.entries;
                let gone: Vec<Id> = ids
                    .iter()
                    .copied()
                    .filter(|id| entries.remove(id).is_some())
                    .collect();
                self.max_deleted = gone.iter().copied().fold(self.max_deleted, Id::max);
                count(gone.iter())
            }
            Op::DropConsumer { group, consumer } => {
                let pending = &mut self.groups[*group].pending;
                let before = pending.len();
                pending.retain(|_, pending| pending.consumer != *consumer);
                integer(before - pending.len())
            }
            Op::DropStream => {
                let existed = std::mem::take(self).exists;
                integer(usize::from(existed))
            }
            Op::History {
                group,
                consumer,
                after,
                count,
            } => {
                let pending = &mut self.groups[*group].pending;
                let after = (Bound::Excluded(*after), Bound::Unbounded);
                let own = pending
                    .range_mut(after)
                    .filter(|(_, pending)| pending.consumer == *consumer);
                let shown = own.take(*count).map(|(id, pending)| {
                    let Some(serial) = self.entries.get(id) else {
                        return Reply::Array(vec![bulk(&id.to_string()), Reply::NullArray]);
                    };
                    pending.deliveries += 1;
                    entry((id, serial))
                });
                let shown = Reply::Array(shown.collect());
                Reply::Array(vec![Reply::Array(vec![bulk(key), shown])])
            }
            Op::Length => integer(self.entries.len()),
            Op::Range {
                from,
                to,
                reversed,
                count,
            } => {
                let range = (from <= to).then(|| self.entries.range(from..=to));
                let range = range.into_iter().flatten();
                Reply::Array(if *reversed {
                    range.rev().take(*count).map(entry).collect()
                } else {
                    range.take(*count).map(entry).collect()
                })
            }
            Op::Read {
                group,
                consumer,
                count,
                no_ack,
            } => {
                let group = &mut self.groups[*group];
                let new = (Bound::Excluded(group.last), Bound::Unbounded);
                let mut shown = Vec::new();
                for (id, serial) in self.entries.range(new).take(*count) {
                    group.last = *id;
                    if !no_ack {
                        let pending = Pending {
                            consumer: *consumer,
                            deliveries: 1,
                        };
                        group.pending.insert(*id, pending);
                    }
                    shown.push(entry((id, serial)));
                }
                if shown.is_empty() {
                    Reply::NullArray
                } else {
                    let shown = Reply::Array(shown);
                    Reply::Array(vec![Reply::Array(vec![bulk(key), shown])])
                }
            }
            Op::Trim(trim) => {
                let gone = match hint {
                    Hint::Replies([Reply::Integer(gone), ..]) => usize::try_from(*gone).ok(),
                    Hint::Replies(_) => None,
                    Hint::Found(found) => Some(self.gone_before(found)),
                };
                integer(self.trim(*trim, gone)?)
            }
        })
    }

    /// What the server made of the wish for an ID.
    fn new_id(&self, id: NewId, serial: u64, hint: Hint<'_>) -> Result<Id, String> {
        let id = match (id, hint) {
            (NewId::Exact(id), _) => Some(id),
            (NewId::Within(ms), _) => self.last.next_within(ms),
            (NewId::Auto, Hint::Replies(replies)) => {
                replies.first().and_then(Reply::text).and_then(Id::parse)
            }
            (NewId::Auto, Hint::Found(found)) => found.id_of(serial),
        };
        match id {
            Some(id) if self.last < id => Ok(id),
            Some(id) => Err(format!("{id} was added after {}", self.last)),
            None => Err(format!("entry {serial} got no ID")),
        }
    }

    /// Drops as many entries as the server must, or as it says it did, if it may choose.
    fn trim(&mut self, trim: Trim, gone: Option<usize>) -> Result<usize, String> {
        let most = match trim.keep {
            Keep::From(id) => self.entries.range(..id).count(),
            Keep::Newest(count) => self.entries.len().saturating_sub(count),
        };
        let gone = if trim.approximately {
            gone.filter(|gone| *gone <= most)
                .ok_or_else(|| format!("{gone:?} entries were trimmed, {most} is the most"))?
        } else {
            most
        };
        for _ in 0..gone {
            self.entries.pop_first();
        }
        Ok(gone)
    }

    /// How many of the entries stand before all that were found.
    fn gone_before(&self, found: &Found) -> usize {
        match found.entries.first() {
            Some((first, _)) => self.entries.range(..first).count(),
            None => self.entries.len(),
        }
    }

    /// The first thing in which what was found is not what must be.
    pub(super) fn differs(&self, found: &Found) -> Option<String> {
        let differs = |what: &str, must: &dyn std::fmt::Display, is: &dyn std::fmt::Display| {
            Some(format!("{what} must be {must} and is {is}"))
        };
        if self.exists != found.exists {
            return differs("existence", &self.exists, &found.exists);
        }
        if self.last != found.last {
            return differs("last-generated-id", &self.last, &found.last);
        }
        if self.added != found.added {
            return differs("entries-added", &self.added, &found.added);
        }
        if self.max_deleted != found.max_deleted {
            return differs(
                "max-deleted-entry-id",
                &self.max_deleted,
                &found.max_deleted,
            );
        }
        let must = self.entries.iter().map(|(id, serial)| (*id, *serial));
        if let Some(parting) = parting(must, found.entries.iter().copied()) {
            return Some(format!("entries (ID, serial number): {parting}"));
        }
        if self.groups.len() != found.groups.len() {
            return differs("groups", &self.groups.len(), &found.groups.len());
        }
        for (number, (must, is)) in self.groups.iter().zip(&found.groups).enumerate() {
            if must.last != is.last {
                let what = format!("last-delivered-id of group {number}");
                return differs(&what, &must.last, &is.last);
            }
            let pending = must.pending.iter().map(|(id, pending)| {
                let consumer = consumer_name(pending.consumer);
                (*id, consumer, pending.deliveries)
            });
            if let Some(parting) = parting(pending, is.pending.iter().cloned()) {
                return Some(format!(
                    "pending in group {number} (ID, consumer, deliveries): {parting}"
                ));
            }
        }
        None
    }
}

/// Where two sequences part, if they do.
fn parting<T: PartialEq + std::fmt::Debug>(
    mut must: impl Iterator<Item = T>,
    mut is: impl Iterator<Item = T>,
) -> Option<String> {
    for place in 0.. {
        match (must.next(), is.next()) {
            (None, None) => break,
            (left, right) if left == right => {}
            (left, right) => {
                return Some(format!(
                    "number {place} must be {left:?} and is {right:?}, with {} and {} behind",
                    must.count(),
                    is.count()
                ));
            }
        }
    }
    None
}

/// Makes a pending entry the consumer's, or drops it when the entry is gone. The serial number of
/// what was claimed.
fn claim(
    pending: &mut BTreeMap<Id, Pending>,
    entries: &BTreeMap<Id, u64>,
    id: Id,
    consumer: u8,
    just_id: bool,
) -> Option<u64> {
    let claimed = pending.get_mut(&id)?;
    let Some(serial) = entries.get(&id) else {
        pending.remove(&id);
        return None;
    };
    claimed.consumer = consumer;
    claimed.deliveries += u64::from(!just_id);
    Some(*serial)
}

fn claimed_reply(id: Id, seed: u64, serial: u64, just_id: bool) -> Reply {
    if just_id {
        bulk(&id.to_string())
    } else {
        entry(id, seed, serial)
    }
}

fn entry(id: Id, seed: u64, serial: u64) -> Reply {
    let fields = content::fields(seed, serial).into_iter().map(Reply::Bulk);
    Reply::Array(vec![bulk(&id.to_string()), Reply::Array(fields.collect())])
}

fn bulk(text: &str) -> Reply {
    Reply::Bulk(text.as_bytes().to_vec())
}

fn count<T>(all: impl Iterator<Item = T>) -> Reply {
    integer(all.count())
}

fn integer(number: usize) -> Reply {
    Reply::Integer(i64::try_from(number).expect("a count fits 63 bits"))
}

#[cfg(test)]
mod tests {
    use super::super::audit::FoundGroup;
    use super::*;

    /// Ten entries, four of them delivered, of which one is acknowledged; one is deleted.
    fn stream() -> Stream {
        let mut stream = Stream::default();
        let read = |consumer, count| Op::Read {
            group: 0,
            consumer,
            count,
            no_ack: false,
        };
        let id = |ms| Id { ms, seq: 1 };
        let mut ops = vec![Op::Create { group: 0 }];
        ops.extend((1..=10).map(|serial| Op::Add {
            id: NewId::Exact(id(serial)),
            serial,
            trim: None,
        }));
        ops.extend([read(0, 3), read(1, 1)]);
        ops.push(Op::Ack {
            group: 0,
            ids: vec![id(1)],
        });
        ops.push(Op::Delete { ids: vec![id(9)] });
        for op in &ops {
            stream.apply(op, Hint::Replies(&[]), "s", 7).unwrap();
        }
        stream
    }

    /// What is found when all is well.
    fn found(stream: &Stream) -> Found {
        let pending = |group: &Group| {
            let all = group.pending.iter();
            let line = |(id, pending): (&Id, &Pending)| {
                (*id, consumer_name(pending.consumer), pending.deliveries)
            };
            all.map(line).collect()
        };
        let groups = stream.groups.iter().map(|group| FoundGroup {
            last: group.last,
            pending: pending(group),
        });
        Found {
            exists: stream.exists,
            entries: stream
                .entries
                .iter()
                .map(|(id, serial)| (*id, *serial))
                .collect(),
            last: stream.last,
            added: stream.added,
            max_deleted: stream.max_deleted,
            groups: groups.collect(),
        }
    }

    #[track_caller]
    fn check(damage: impl Fn(&mut Found), expected: &str) {
        let stream = stream();
        let mut found = found(&stream);
        assert_eq!(stream.differs(&found), None);
        damage(&mut found);
        let difference = stream.differs(&found).unwrap();
        assert!(difference.contains(expected), "{difference}");
    }

    #[test]
    fn whatever_is_forgotten_or_comes_back_is_seen() {
        let id = |ms| Id { ms, seq: 1 };
        check(|found| found.entries.truncate(8), "entries");
        check(|found| found.entries.rotate_left(1), "entries");
        check(|found| found.entries.insert(8, (id(9), 9)), "entries");
        check(|found| found.entries[3].1 = 5, "entries");
        check(|found| found.exists = false, "existence");
        check(|found| found.last = id(9), "last-generated-id");
        check(|found| found.added = 9, "entries-added");
        check(|found| found.max_deleted = Id::ZERO, "max-deleted-entry-id");
        check(|found| found.groups.clear(), "groups");
        check(|found| found.groups[0].last = id(3), "last-delivered-id");
        check(|found| found.groups[0].pending.truncate(2), "pending");
        let acknowledged = (id(1), consumer_name(0), 1);
        check(
            |found| found.groups[0].pending.insert(0, acknowledged.clone()),
            "pending",
        );
        check(
            |found| found.groups[0].pending[0].1 = consumer_name(2),
            "pending",
        );
        check(|found| found.groups[0].pending[0].2 = 2, "pending");
    }

    #[test]
    fn what_the_server_chose_must_be_possible() {
        let (mut stream, seed) = (stream(), 7);
        let mut apply = |op: Op, replies: &[Reply]| {
            let mut tried = stream.clone();
            let outcome = tried.apply(&op, Hint::Replies(replies), "s", seed);
            if outcome.is_ok() {
                stream = tried;
            }
            outcome.is_ok()
        };
        let add = Op::Add {
            id: NewId::Auto,
            serial: 11,
            trim: None,
        };
        assert!(!apply(add.clone(), &[bulk("10-1")]));
        assert!(apply(add, &[bulk("10-2")]));
        let trim = Op::Trim(Trim {
            keep: Keep::Newest(7),
            approximately: true,
        });
        assert!(!apply(trim.clone(), &[integer(4)]));
        assert!(apply(trim, &[integer(2)]));
    }
}
