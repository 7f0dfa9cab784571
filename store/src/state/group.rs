//! A consumer group: how far it has delivered, what is pending, and for whom.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::pending::{ConsumerNo, Pending, PendingEntry};
use crate::id::StreamId;

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

    fn numbered(&self, number: ConsumerNo) -> &Consumer {
        self.consumers[number.index()]
            .as_ref()
            .expect("a number in use has a consumer")
    }

    fn numbered_mut(&mut self, number: ConsumerNo) -> &mut Consumer {
        self.consumers[number.index()]
            .as_mut()
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
        let mut gained = 0;
        for entry in entries {
            match self.pending.insert(entry) {
                None => gained += 1,
                Some(before) if before.consumer == consumer => {}
                Some(before) => {
                    gained += 1;
                    self.numbered_mut(before.consumer).pending -= 1;
                }
            }
        }
        let consumer = self.numbered_mut(consumer);
        consumer.pending += gained;
        consumer.active_at = Some(at);
    }

    /// Replaces pending entries by others of the same IDs and consumers.
    pub(super) fn update(&mut self, entries: impl IntoIterator<Item = PendingEntry>) {
        for entry in entries {
            let before = self.pending.insert(entry);
            debug_assert!(before.is_some_and(|before| before.consumer == entry.consumer));
        }
    }

    /// Takes entries off the pending list; those that are not on it are passed over.
    pub(super) fn acknowledge(&mut self, ids: impl Iterator<Item = StreamId>) {
        for id in ids {
            if let Some(entry) = self.pending.remove(id) {
                self.numbered_mut(entry.consumer).pending -= 1;
            }
        }
    }
}
