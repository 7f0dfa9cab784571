//! What a store should hold, the slow and obvious way.

use std::collections::BTreeMap;

use headwater_store::{Missing, Order, Store, StreamId};

/// A database and a key.
pub(crate) type Key = (u8, &'static [u8]);
pub(crate) type Name = &'static [u8];

/// The databases that histories use.
pub(crate) const DATABASES: [u8; 3] = [0, 1, 15];

#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub(crate) struct Model {
    pub(crate) streams: BTreeMap<(u8, Vec<u8>), ModelStream>,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub(crate) struct ModelStream {
    pub(crate) entries: BTreeMap<StreamId, Vec<Vec<u8>>>,
    pub(crate) last_id: StreamId,
    pub(crate) max_deleted: StreamId,
    pub(crate) entries_added: u64,
    pub(crate) expires_at: Option<u64>,
    pub(crate) groups: BTreeMap<Vec<u8>, ModelGroup>,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub(crate) struct ModelGroup {
    pub(crate) last_delivered: StreamId,
    pub(crate) entries_read: Option<u64>,
    /// When each consumer was active.
    pub(crate) consumers: BTreeMap<Vec<u8>, Option<u64>>,
    pub(crate) pending: BTreeMap<StreamId, ModelPending>,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct ModelPending {
    pub(crate) consumer: Vec<u8>,
    pub(crate) delivered_at: u64,
    pub(crate) deliveries: u64,
}

impl Model {
    /// The stream at a key, unless it has expired.
    pub(crate) fn live(&mut self, (db, key): Key, now: u64) -> Option<&mut ModelStream> {
        let stream = self.streams.get_mut(&(db, key.to_vec()))?;
        stream
            .expires_at
            .is_none_or(|at| at > now)
            .then_some(stream)
    }

    /// Group by group, how much it has still to read.
    pub(crate) fn lags(&self) -> Vec<Option<i64>> {
        let groups = self
            .streams
            .values()
            .flat_map(|stream| stream.groups.values().map(move |group| (stream, group)));
        groups.map(|(stream, group)| stream.lag(group)).collect()
    }

    /// Everything that can be read from a store, and the lags.
    pub(crate) fn read(store: &Store) -> (Self, Vec<Option<i64>>) {
        Self::try_read(store).expect("the disk is well")
    }

    /// The same of a store whose disk may not be well.
    pub(crate) fn try_read(store: &Store) -> Result<(Self, Vec<Option<i64>>), Missing> {
        let access = store.shared();
        access.wait_for_disk();
        let mut model = Self::default();
        let mut lags = Vec::new();
        for db in DATABASES {
            // Nothing has expired at the beginning of time.
            let mut keys: Vec<_> = access.keys(db, 0).collect();
            assert_eq!(keys.len(), access.len(db));
            keys.sort_unstable();
            for key in keys {
                let expires_at = access.expires_at(db, key, 0).expect("it has been listed");
                let stream = access.stream(db, key, 0).expect("it has been listed");
                let words = |entry| {
                    access.fields(&entry, |fields| fields.iter().map(<[u8]>::to_vec).collect())
                };
                let range = |order| {
                    let all = stream.entries(StreamId::MIN, StreamId::MAX, order, usize::MAX);
                    all.map(IntoIterator::into_iter)
                };
                let (forward, backward) = (range(Order::Forward)?, range(Order::Backward)?);
                assert!(forward.clone().rev().eq(backward));
                let first = stream.first_entry()?;
                assert_eq!(first, forward.clone().next());
                let last = stream.last_entry()?;
                assert_eq!(last, forward.clone().next_back());
                assert_eq!(stream.len(), forward.len() as u64);
                let entries: BTreeMap<_, _> =
                    forward.map(|entry| (entry.id, words(entry))).collect();
                let mut groups = BTreeMap::new();
                for (name, group) in stream.groups() {
                    lags.push(stream.lag(group));
                    groups.insert(name.to_vec(), ModelGroup::read(group));
                }
                let stream = ModelStream {
                    entries,
                    last_id: stream.last_id(),
                    max_deleted: stream.max_deleted(),
                    entries_added: stream.entries_added(),
                    expires_at,
                    groups,
                };
                model.streams.insert((db, key.to_vec()), stream);
            }
        }
        Ok((model, lags))
    }
}

impl ModelStream {
    pub(crate) fn first_id(&self) -> StreamId {
        self.entries
            .first_key_value()
            .map_or(StreamId::MIN, |(&id, _)| id)
    }

    /// How many entries were ever added up to `id`, where that can be told.
    pub(crate) fn added_up_to(&self, id: StreamId) -> Option<u64> {
        let len = self.entries.len() as u64;
        let first = self.first_id();
        if self.entries_added == 0 {
            Some(0)
        } else if len == 0 && id <= self.last_id {
            Some(self.entries_added)
        } else if id != StreamId::MIN && id < self.max_deleted {
            None
        } else if id == self.last_id {
            Some(self.entries_added)
        } else if id > self.last_id {
            None
        } else if self.max_deleted == StreamId::MIN || self.max_deleted < first {
            match id.cmp(&first) {
                std::cmp::Ordering::Less => Some(self.entries_added - len),
                std::cmp::Ordering::Equal => Some(self.entries_added - len + 1),
                std::cmp::Ordering::Greater => None,
            }
        } else {
            None
        }
    }

    pub(crate) fn holed_from(&self, id: StreamId) -> bool {
        !self.entries.is_empty() && self.max_deleted != StreamId::MIN && self.max_deleted >= id
    }

    fn lag(&self, group: &ModelGroup) -> Option<i64> {
        let number = |count: u64| i64::try_from(count).expect("histories are short");
        let all = number(self.entries_added);
        if self.entries_added == 0 || self.entries.is_empty() {
            return Some(0);
        }
        if group.last_delivered < self.first_id() && self.max_deleted < self.first_id() {
            return Some(number(self.entries.len() as u64));
        }
        match group.entries_read {
            Some(read) if !self.holed_from(group.last_delivered) => Some(all - number(read)),
            _ => self
                .added_up_to(group.last_delivered)
                .map(|read| all - number(read)),
        }
    }
}

impl ModelGroup {
    fn read(group: &headwater_store::Group) -> Self {
        let pending = group.pending();
        let mut counts = BTreeMap::new();
        let entries: BTreeMap<_, _> = pending
            .range(StreamId::MIN..=StreamId::MAX)
            .map(|entry| {
                let consumer = group.consumer_name(entry.consumer).to_vec();
                *counts.entry(consumer.clone()).or_insert(0) += 1;
                let delivered_at = entry.delivered_at;
                let deliveries = entry.deliveries;
                (
                    entry.id,
                    ModelPending {
                        consumer,
                        delivered_at,
                        deliveries,
                    },
                )
            })
            .collect();
        assert_eq!(pending.len(), entries.len() as u64);
        for consumer in group.consumers() {
            assert_eq!(
                consumer.pending(),
                counts.get(consumer.name()).copied().unwrap_or(0)
            );
            let all = StreamId::MIN..=StreamId::MAX;
            let own = pending.select(all, Some(consumer.number()), u64::MAX);
            assert_eq!(own.count() as u64, consumer.pending());
        }
        Self {
            last_delivered: group.last_delivered(),
            entries_read: group.entries_read(),
            consumers: group
                .consumers()
                .map(|c| (c.name().to_vec(), c.active_at()))
                .collect(),
            pending: entries,
        }
    }
}
