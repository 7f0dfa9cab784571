//! A run of neighbours in a pending list: packed entries, and which of them are still pending.
//!
//! An acknowledgement clears a bit. The packed entries stay as they are, and so may be shared with
//! snapshots; whoever changes an entry packs the chunk anew.
//!
//! # Invariants
//!
//! * No live ID is below `low`.
//! * A consumer with a live entry is in `consumers` (modulo 64), and no live entry was delivered
//!   before `oldest`. Both may promise too much after acknowledgements.

use std::sync::Arc;

use super::packed::{Packed, ROWS_MAX};
use super::{ConsumerNo, PendingEntry, Wanted};
use crate::id::StreamId;

/// Up to [`ROWS_MAX`] pending entries.
#[derive(Clone, Debug)]
pub(super) struct Chunk {
    low: StreamId,
    /// A bit for each row that is still pending.
    live: u128,
    /// Consumers with entries here, a bit for each number modulo 64.
    consumers: u64,
    oldest: u64,
    rows: Arc<Packed>,
}

const _: () = assert!(ROWS_MAX == u128::BITS as usize);

impl Chunk {
    /// Packs entries: at least one, at most [`ROWS_MAX`], in order.
    pub(super) fn pack(entries: &[PendingEntry]) -> Self {
        Self::new(Packed::pack(entries), entries.iter().copied())
    }

    /// Rows, all of which are pending: these `entries`.
    pub(super) fn new(rows: Packed, entries: impl Iterator<Item = PendingEntry>) -> Self {
        let (consumers, oldest) = entries.fold((0, u64::MAX), |(consumers, oldest), entry| {
            (
                consumers | entry.consumer.bit(),
                oldest.min(entry.delivered_at),
            )
        });
        Self {
            low: rows.id(0),
            live: u128::MAX >> (u128::BITS - rows.len()),
            consumers,
            oldest,
            rows: Arc::new(rows),
        }
    }

    /// A bound that no ID of this chunk is below, and every ID of the chunks before is.
    pub(super) fn low(&self) -> StreamId {
        self.low
    }

    /// Consumers that may have entries here, a bit for each number modulo 64.
    pub(super) fn consumers(&self) -> u64 {
        self.consumers
    }

    /// No entry was delivered earlier, in Unix milliseconds.
    pub(super) fn oldest(&self) -> u64 {
        self.oldest
    }

    /// How many entries are pending.
    pub(super) fn len(&self) -> usize {
        self.live.count_ones() as usize
    }

    /// Whether none is.
    pub(super) fn is_empty(&self) -> bool {
        self.live == 0
    }

    /// The entry with the smallest ID.
    pub(super) fn first(&self) -> Option<PendingEntry> {
        (self.live != 0).then(|| self.rows.entry(self.live.trailing_zeros()))
    }

    /// The entry with the greatest ID.
    pub(super) fn last(&self) -> Option<PendingEntry> {
        let row = self.live.checked_ilog2()?;
        Some(self.rows.entry(row))
    }

    /// Whether every ID that is or was here is below `id`.
    pub(super) fn ends_below(&self, id: StreamId) -> bool {
        self.rows.id(self.rows.len() - 1) < id
    }

    fn row_of(&self, id: StreamId) -> Option<u32> {
        let row = self.rows.row_from(id);
        let live = row < self.rows.len() && self.live >> row & 1 != 0;
        (live && self.rows.id(row) == id).then_some(row)
    }

    /// The entry with this ID.
    pub(super) fn get(&self, id: StreamId) -> Option<PendingEntry> {
        self.row_of(id).map(|row| self.rows.entry(row))
    }

    /// Takes the entry with this ID away, and says whose it was.
    pub(super) fn remove(&mut self, id: StreamId) -> Option<ConsumerNo> {
        // Acknowledgements mostly come in order.
        let first = self.live.trailing_zeros();
        if first < self.rows.len() {
            let (first_id, consumer) = self.rows.id_and_consumer(first);
            if first_id == id {
                self.live &= self.live - 1;
                return Some(consumer);
            }
        }
        let row = self.row_of(id)?;
        self.live &= !(1 << row);
        Some(self.rows.consumer(row))
    }

    /// Takes every entry of a consumer away, and says how many they were.
    pub(super) fn remove_consumer(&mut self, consumer: ConsumerNo) -> u64 {
        let before = self.len();
        let mut consumers = 0;
        for row in Rows(self.live) {
            let owner = self.rows.consumer(row);
            if owner == consumer {
                self.live &= !(1 << row);
            } else {
                consumers |= owner.bit();
            }
        }
        self.consumers = consumers;
        (before - self.len()) as u64
    }

    /// Its entries, in order.
    pub(super) fn entries(&self) -> impl Iterator<Item = PendingEntry> + '_ {
        Rows(self.live).map(|row| self.rows.entry(row))
    }

    /// Its entries that are wanted, in order.
    pub(super) fn select(&self, wanted: Wanted) -> impl Iterator<Item = PendingEntry> + '_ {
        let first = if self.low < wanted.from {
            self.rows.row_from(wanted.from)
        } else {
            0
        };
        Rows(self.live & u128::MAX.checked_shl(first).unwrap_or(0))
            .filter(move |&row| {
                wanted
                    .consumer
                    .is_none_or(|consumer| self.rows.consumer(row) == consumer)
            })
            .filter(move |&row| self.rows.delivered_at(row) <= wanted.delivered_by)
            .map(|row| self.rows.entry(row))
            .take_while(move |entry| entry.id <= wanted.to)
    }

    /// Appends the image of what is pending.
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        if self.len() == self.rows.len() as usize {
            self.rows.encode(out);
        } else {
            let entries: Vec<_> = self.entries().collect();
            Packed::pack(&entries).encode(out);
        }
    }
}

/// The places of the bits that are set, from the lowest on.
struct Rows(u128);

impl Iterator for Rows {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        if self.0 == 0 {
            return None;
        }
        let row = self.0.trailing_zeros();
        self.0 &= self.0 - 1;
        Some(row)
    }
}
