//! One stream: what is known about it, what may be decided from that, and how it changes.
//!
//! Decisions (`next_id`, `place`, `trim_point`, ...) only read. [`Stream::apply`] is the one way to
//! change a stream, for live commands and for replay alike. It fails only if the disk does: whoever
//! decided a change has checked it, and has made sure that nothing is [missing](Missing) for it.

mod image;

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::sync::Arc;

use super::entries::{Draft, Entries, Entry, NodePlace, NodeView, Order, Part, Place};
use super::group::Group;
use super::impossible::{
    BELOW_LAST, BELOW_TOP, CONSUMER_EXISTS, DELIVERED_BACK, GROUP_EXISTS, JOINS_NOTHING,
    NO_CONSUMER, NO_GROUP, possible, some,
};
use super::lag::Counters;
use super::listpack::{self, NodeLimits};
use super::pending::PendingEntry;
use super::trim::{self, Trim, TrimPoint, Upcoming};
use crate::data::{Extent, Missing, Reader};
use crate::error::DataError;
use crate::id::{StreamId, StreamNo};
use crate::lsn::Lsn;
use crate::record::{Change, Fields, Ids};

/// Deliveries are counted up to here (source: Redis counts them in a signed integer).
const DELIVERIES_MAX: u64 = i64::MAX.cast_unsigned();

/// How the ID of a new entry is to be chosen.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum IdRule {
    /// `*`: by the clock.
    Auto,
    /// `ms-*`: the next one of this millisecond.
    AutoSeq(u64),
    /// This one.
    Exact(StreamId),
}

/// Why there is no ID for a new entry.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum NextIdError {
    /// The last ID is the last possible one.
    Exhausted,
    /// The ID would not be greater than the last.
    NotGreater,
}

/// A stream and its consumer groups.
#[derive(Clone, Debug)]
pub struct Stream {
    number: StreamNo,
    pub(super) entries: Entries,
    last_id: StreamId,
    max_deleted: StreamId,
    entries_added: u64,
    groups: BTreeMap<Box<[u8]>, Group>,
    version: u64,
    changed: Lsn,
}

impl Stream {
    pub(crate) fn new(number: StreamNo) -> Self {
        Self {
            number,
            entries: Entries::default(),
            last_id: StreamId::MIN,
            max_deleted: StreamId::MIN,
            entries_added: 0,
            groups: BTreeMap::new(),
            version: 0,
            changed: Lsn::ZERO,
        }
    }

    /// The same stream under another number. The entries stay where they are.
    pub(crate) fn copy(&self, number: StreamNo) -> Self {
        Self {
            number,
            ..self.clone()
        }
    }

    /// Its number: another stream under the same key has another.
    #[must_use]
    pub fn number(&self) -> StreamNo {
        self.number
    }

    /// Grows with every change that WATCH is to notice: of entries, of the key and of its expiry;
    /// not of groups. Means nothing after a restart.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.version
    }

    /// The end of the last record about this stream.
    #[must_use]
    pub fn changed(&self) -> Lsn {
        self.changed
    }

    pub(crate) fn note_changed(&mut self, end: Lsn) {
        self.changed = end;
    }

    pub(crate) fn bump_version(&mut self) {
        self.version += 1;
    }

    /// How many entries there are.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.entries.len()
    }

    /// Whether there are none. An empty stream exists all the same.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The ID of the first entry; `0-0` when there is none.
    #[must_use]
    pub fn first_id(&self) -> StreamId {
        self.entries.first_id().unwrap_or_default()
    }

    /// The ID of the last entry.
    #[must_use]
    pub fn last_entry_id(&self) -> Option<StreamId> {
        self.entries.last_id()
    }

    /// The last ID given, whether its entry is still there or not.
    #[must_use]
    pub fn last_id(&self) -> StreamId {
        self.last_id
    }

    /// The greatest ID ever deleted by name; trimming does not count.
    #[must_use]
    pub fn max_deleted(&self) -> StreamId {
        self.max_deleted
    }

    /// How many entries were ever added.
    #[must_use]
    pub fn entries_added(&self) -> u64 {
        self.entries_added
    }

    /// How many storage nodes there would be (`radix-tree-keys`).
    #[must_use]
    pub fn nodes(&self) -> usize {
        self.entries.nodes_len()
    }

    /// Whether entries after `id` may be missing from memory.
    #[must_use]
    pub fn may_lack_after(&self, id: StreamId) -> bool {
        id.next().is_some_and(|from| !self.entries.in_tail(from))
    }

    /// Whether there are any storage nodes.
    pub(crate) fn has_nodes(&self) -> bool {
        self.entries.has_nodes()
    }

    /// The group of this name.
    #[must_use]
    pub fn group(&self, name: &[u8]) -> Option<&Group> {
        self.groups.get(name)
    }

    /// Names and groups, in the order of the names.
    pub fn groups(&self) -> impl ExactSizeIterator<Item = (&[u8], &Group)> {
        self.groups.iter().map(|(name, group)| (&**name, group))
    }

    /// How many groups there are.
    #[must_use]
    pub fn groups_len(&self) -> usize {
        self.groups.len()
    }

    /// How many entries the group has still to read; `None` if that cannot be told. Negative when
    /// XSETID made the stream claim fewer entries than the group has read.
    #[must_use]
    pub fn lag(&self, group: &Group) -> Option<i64> {
        self.counters()
            .lag(group.last_delivered(), group.entries_read())
    }

    /// How many entries were ever added up to `id`, as a group that begins there would count them;
    /// `None` if that cannot be told.
    #[must_use]
    pub fn added_up_to(&self, id: StreamId) -> Option<u64> {
        self.counters().added_up_to(id)
    }

    /// The ID for a new entry.
    ///
    /// # Errors
    ///
    /// When no ID that fits the rule is greater than the last.
    pub fn next_id(&self, rule: IdRule, now_ms: u64) -> Result<StreamId, NextIdError> {
        let last = self.last_id;
        let after = last.next().ok_or(NextIdError::Exhausted)?;
        let id = match rule {
            IdRule::Auto if now_ms > last.ms => StreamId::new(now_ms, 0),
            IdRule::Auto => after,
            // Beyond the last sequence number of a millisecond there is no going on in the next.
            IdRule::AutoSeq(ms) if ms == last.ms && after.ms == ms => after,
            IdRule::AutoSeq(ms) => StreamId::new(ms, 0),
            IdRule::Exact(id) => id,
        };
        if id > last {
            Ok(id)
        } else {
            Err(NextIdError::NotGreater)
        }
    }

    /// Where a new entry would be stored, for [`Change::EntryAdded`].
    #[must_use]
    pub fn place(&self, id: StreamId, fields: &Fields<'_>, limits: NodeLimits) -> NodePlace {
        self.entries.place(id, fields, limits)
    }

    /// The change that adds an entry.
    #[must_use]
    pub fn entry_added<'a>(
        &self,
        id: StreamId,
        fields: Fields<'a>,
        limits: NodeLimits,
    ) -> Change<'a> {
        let NodePlace {
            new_node,
            node_bytes,
        } = self.place(id, &fields, limits);
        Change::EntryAdded {
            id,
            fields,
            new_node,
            node_bytes,
        }
    }

    fn counters(&self) -> Counters {
        Counters {
            len: self.len(),
            first_id: self.first_id(),
            last_id: self.last_id,
            max_deleted: self.max_deleted,
            entries_added: self.entries_added,
        }
    }

    /// Makes a change that the log holds at `at`.
    ///
    /// # Errors
    ///
    /// When settled entries cannot be read. The change is made in part then, or not at all.
    ///
    /// # Panics
    ///
    /// When the change is impossible: the log and this code disagree, and going on would spread it.
    /// When blocks are missing that an impatient reader lacks.
    pub(crate) fn apply(
        &mut self,
        at: Lsn,
        reader: &Reader<'_>,
        change: &Change<'_>,
    ) -> Result<(), DataError> {
        let applied = self.try_apply(at, reader, change);
        applied.map_err(Missing::waited)
    }

    fn try_apply(
        &mut self,
        at: Lsn,
        reader: &Reader<'_>,
        change: &Change<'_>,
    ) -> Result<(), Missing> {
        match *change {
            Change::EntryAdded {
                id,
                fields,
                new_node,
                node_bytes,
            } => {
                possible(id > self.last_id, at, BELOW_LAST);
                let node = NodePlace {
                    new_node,
                    node_bytes,
                };
                possible(new_node || self.has_nodes(), at, JOINS_NOTHING);
                let entry = Entry {
                    id,
                    at: Place::in_log(at),
                };
                self.entries.push(entry, node, || listpack::names(&fields));
                self.last_id = id;
                self.entries_added += 1;
                self.version += 1;
            }
            Change::Trimmed { through } => {
                let removed = self.entries.delete_through(reader, through)?;
                self.version += u64::from(removed > 0);
            }
            Change::EntriesDeleted { ids } => {
                let greatest = self.entries.delete(reader, ids.iter())?;
                self.max_deleted = self.max_deleted.max(greatest.unwrap_or_default());
                self.version += 1;
            }
            Change::Positioned {
                last_id,
                entries_added,
                max_deleted,
            } => {
                let top = self.last_entry_id().unwrap_or_default();
                possible(last_id >= top, at, BELOW_TOP);
                self.last_id = last_id;
                self.entries_added = entries_added;
                self.max_deleted = max_deleted;
            }
            Change::GroupCreated {
                group,
                last_delivered,
                entries_read,
            } => {
                let group = self
                    .groups
                    .insert(group.into(), Group::new(last_delivered, entries_read));
                possible(group.is_none(), at, GROUP_EXISTS);
            }
            Change::GroupPositioned {
                group,
                last_delivered,
                entries_read,
            } => {
                self.group_mut(at, group)
                    .position(last_delivered, entries_read);
            }
            Change::GroupDestroyed { group } => {
                possible(self.groups.remove(group).is_some(), at, NO_GROUP);
            }
            Change::ConsumerCreated {
                group,
                consumer,
                at: now,
            } => {
                let created = self.group_mut(at, group).create_consumer(consumer, now);
                possible(created, at, CONSUMER_EXISTS);
            }
            Change::ConsumerDeleted { group, consumer } => {
                let deleted = self.group_mut(at, group).delete_consumer(consumer);
                possible(deleted, at, NO_CONSUMER);
            }
            Change::Delivered { .. } => self.deliver(at, change),
            Change::Redelivered { .. } => self.redeliver(at, change),
            Change::Claimed {
                group,
                consumer,
                delivered_at,
                at: now,
                entries,
            } => {
                let group = self.group_mut(at, group);
                let consumer = some(group.consumer(consumer), at, NO_CONSUMER).number();
                let entries = entries.iter().map(|claim| PendingEntry {
                    id: claim.id,
                    consumer,
                    delivered_at,
                    deliveries: claim.deliveries,
                });
                group.assign(consumer, now, entries);
            }
            Change::Acked { group, ids } => self.group_mut(at, group).acknowledge(ids.iter()),
        }
        Ok(())
    }

    /// Makes sure that [`apply`](Self::apply) will lack nothing for these changes.
    ///
    /// Each is looked at as if it were the first. For one that removes entries after others have
    /// been removed, `apply` may have to read more.
    pub(crate) fn warm(&self, reader: &Reader<'_>, changes: &[Change<'_>]) -> Result<(), Missing> {
        if !self.entries.has_settled() {
            return Ok(());
        }
        for change in changes {
            match *change {
                Change::Trimmed { through } => self.entries.warm_trim(reader, through)?,
                Change::EntriesDeleted { ids } => self.entries.warm_delete(reader, ids.iter())?,
                _ => {}
            }
        }
        Ok(())
    }

    fn deliver(&mut self, at: Lsn, change: &Change<'_>) {
        let Change::Delivered {
            group,
            consumer,
            at: now,
            pending,
            ids,
        } = *change
        else {
            unreachable!("the caller matched it");
        };
        let counters = self.counters();
        let group = self.group_mut(at, group);
        let is_new = ascend(group.last_delivered(), ids);
        let last = some(is_new, at, DELIVERED_BACK);
        let (last_delivered, read) = (group.last_delivered(), group.entries_read());
        let read = counters.read_after(last_delivered, read, ids.iter(), ids.len() as u64);
        if pending {
            let consumer = some(group.consumer(consumer), at, NO_CONSUMER).number();
            let entries = ids.iter().map(|id| PendingEntry {
                id,
                consumer,
                delivered_at: now,
                deliveries: 1,
            });
            group.assign(consumer, now, entries);
        }
        group.position(last, read);
    }

    fn redeliver(&mut self, at: Lsn, change: &Change<'_>) {
        let Change::Redelivered {
            group,
            at: now,
            ids,
            ..
        } = *change
        else {
            unreachable!("the caller matched it");
        };
        let group = self.group_mut(at, group);
        let own = ids.iter().filter_map(|id| group.pending().get(id));
        let again: Vec<_> = own
            .map(|entry| PendingEntry {
                delivered_at: now,
                deliveries: entry.deliveries.saturating_add(1).min(DELIVERIES_MAX),
                ..entry
            })
            .collect();
        group.update(again);
    }

    fn group_mut(&mut self, at: Lsn, name: &[u8]) -> &mut Group {
        some(self.groups.get_mut(name), at, NO_GROUP)
    }
}

/// The last of some IDs, if each of them is greater than the one before, and the first than
/// `after`.
pub(super) fn ascend(after: StreamId, ids: Ids<'_>) -> Option<StreamId> {
    let mut last = after;
    for id in ids.iter() {
        if id <= last {
            return None;
        }
        last = id;
    }
    Some(last).filter(|_| !ids.is_empty())
}

/// The entries, which may be settled: what is missing of them comes as an error.
impl Stream {
    pub(crate) fn get(&self, reader: &Reader<'_>, id: StreamId) -> Result<Option<Entry>, Missing> {
        self.entries.get(reader, id)
    }

    pub(crate) fn get_all(
        &self,
        reader: &Reader<'_>,
        ids: impl Iterator<Item = StreamId>,
    ) -> Result<Vec<Option<Entry>>, Missing> {
        self.entries.get_all(reader, ids)
    }

    pub(crate) fn entries(
        &self,
        reader: &Reader<'_>,
        ids: (StreamId, StreamId),
        order: Order,
        limit: usize,
    ) -> Result<Vec<Entry>, Missing> {
        self.entries.entries(reader, ids, order, limit)
    }

    pub(crate) fn trim_point(
        &self,
        reader: &Reader<'_>,
        trim: &Trim,
    ) -> Result<Option<TrimPoint>, Missing> {
        trim::trim_point(&self.entries, reader, None, trim)
    }

    pub(crate) fn trim_point_after(
        &self,
        reader: &Reader<'_>,
        added: &Change<'_>,
        trim: &Trim,
    ) -> Result<Option<TrimPoint>, Missing> {
        let upcoming = match *added {
            Change::EntryAdded { id, new_node, .. } => Some(Upcoming { id, new_node }),
            _ => None,
        };
        trim::trim_point(&self.entries, reader, upcoming, trim)
    }
}

/// Settling and compaction, by drafts.
impl Stream {
    /// The lowest place in the log that an entry needs; `None` when none needs the log.
    pub(crate) fn lowest(&self) -> Option<Lsn> {
        self.entries.lowest()
    }

    /// The data files that it has entries in, each with about how many bytes of them are live. A
    /// file may come more than once.
    pub(crate) fn live_in_files(&self) -> impl Iterator<Item = (u64, u64)> {
        self.entries.parts().map(Part::live_in_file)
    }

    /// The extents that it has entries in, in order.
    pub(crate) fn extents(&self) -> impl Iterator<Item = &Arc<Extent>> {
        self.entries.parts().map(Part::extent)
    }

    /// Whether its first and its last entry are where its index says. True of one without entries.
    pub(crate) fn has_its_ends(&self, reader: &Reader<'_>) -> Result<bool, Missing> {
        let ends = [self.entries.first_id(), self.entries.last_id()];
        for id in ends.into_iter().flatten() {
            if self.entries.get(reader, id)?.is_none() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The entries that are only in the log, in order, each with its place there.
    pub(crate) fn in_log(&self) -> impl Iterator<Item = (StreamId, Lsn)> {
        self.entries.in_log()
    }

    /// Takes about `max_entries` entries off the front of what is in the log below `below`, to be
    /// settled, or `behind` those that another draft took. `None` when there are none, or when that
    /// draft must be installed first. While it gives something, more may be left.
    pub(crate) fn snapshot_front(
        &self,
        below: Lsn,
        max_entries: usize,
        behind: Option<&Draft>,
    ) -> Option<Draft> {
        self.entries.snapshot_front(below, max_entries, behind)
    }

    /// Takes the entries of some extents that follow each other, of those that `wanted` wants, to
    /// be settled anew, or `behind` those that another draft took. `None` when it wants none of
    /// this stream's, or when that draft must be installed first.
    pub(crate) fn snapshot_parts(
        &self,
        wanted: impl Fn(&Extent) -> bool,
        behind: Option<&Draft>,
    ) -> Option<Draft> {
        self.entries.snapshot_parts(wanted, behind)
    }

    /// Puts the extent that was made of a draft of this stream into the place of what the draft
    /// took, whatever has happened to that meanwhile. Whether it did: not if another draft has been
    /// installed since this one was made.
    ///
    /// Nothing that can be seen changes.
    ///
    /// # Panics
    ///
    /// When the extent has another number of entries than the draft.
    pub(crate) fn install(&mut self, draft: &Draft, extent: Arc<Extent>) -> bool {
        self.entries.install(draft, extent)
    }
}

/// For the dump of the whole state.
impl Stream {
    pub(super) fn dump(&self, reader: &Reader<'_>, out: &mut String) -> Result<(), Missing> {
        let nodes: Vec<_> = self.entries.nodes(reader).collect::<Result<_, _>>()?;
        let ids = (StreamId::MIN, StreamId::MAX);
        let entries = self.entries(reader, ids, Order::Forward, usize::MAX)?;
        self.try_dump(&nodes, &entries, out)
            .expect("a string can be written to");
        Ok(())
    }

    fn try_dump(&self, nodes: &[NodeView<'_>], entries: &[Entry], out: &mut String) -> fmt::Result {
        let Counters {
            len,
            first_id,
            last_id,
            max_deleted,
            entries_added,
        } = self.counters();
        writeln!(
            out,
            "  len {len} first {first_id} last {last_id} max_deleted {max_deleted}"
        )?;
        writeln!(out, "  entries_added {entries_added}")?;
        for node in nodes {
            let (live, deleted, bytes) = (node.live(), node.deleted(), node.listpack_bytes());
            let (first, last) = (node.first(), node.last());
            writeln!(
                out,
                "  node {first} {last} live {live} deleted {deleted} bytes {bytes}"
            )?;
        }
        for entry in entries {
            writeln!(out, "  entry {}", entry.id)?;
        }
        for (name, group) in self.groups() {
            let (last, read) = (group.last_delivered(), group.entries_read());
            let lag = self.lag(group);
            writeln!(
                out,
                "  group \"{}\" last {last} read {read:?} lag {lag:?}",
                name.escape_ascii()
            )?;
            for consumer in group.consumers() {
                let (active, pending) = (consumer.active_at(), consumer.pending());
                let name = consumer.name().escape_ascii();
                writeln!(
                    out,
                    "    consumer \"{name}\" active {active:?} pending {pending}"
                )?;
            }
            for entry in group.pending().range(StreamId::MIN..=StreamId::MAX) {
                let PendingEntry {
                    id,
                    consumer,
                    delivered_at,
                    deliveries,
                } = entry;
                let name = group.consumer_name(consumer).escape_ascii();
                writeln!(
                    out,
                    "    pending {id} \"{name}\" at {delivered_at} times {deliveries}"
                )?;
            }
        }
        Ok(())
    }
}
