//! What XCLAIM and XAUTOCLAIM share: entries that change hands.

use headwater_store::{Change, Claim, Claims, Entry, Ids, Stream, StreamId, StreamMut};

use crate::command::{Data, Halt};

/// What a claim found, before it is committed.
#[derive(Default)]
pub(super) struct Found {
    /// Entries that change hands, in the order of the reply.
    pub(super) entries: Vec<Entry>,
    pub(super) claims: Vec<Claim>,
    /// Pending IDs whose entry is gone: they leave the pending list.
    pub(super) gone: Vec<StreamId>,
}

/// To whom entries go, and what they say from then on.
pub(super) struct Claimer<'a> {
    pub(super) group: &'a [u8],
    pub(super) consumer: &'a [u8],
    pub(super) delivered_at: u64,
    pub(super) now: u64,
    /// The group moves forward to here, never back (LASTID).
    pub(super) last_id: Option<StreamId>,
}

impl Claimer<'_> {
    /// Makes it so: one batch of the log.
    pub(super) fn commit(&self, stream: &mut StreamMut<'_>, found: &Found) -> Result<(), Halt> {
        let mut changes = Vec::with_capacity(4);
        let Some(group) = stream.group(self.group) else {
            return Ok(());
        };
        if group.consumer(self.consumer).is_none() {
            let (group, consumer, at) = (self.group, self.consumer, self.now);
            changes.push(Change::ConsumerCreated {
                group,
                consumer,
                at,
            });
        }
        if let Some(last_delivered) = self.last_id.filter(|&id| id > group.last_delivered()) {
            let entries_read = group.entries_read();
            let group = self.group;
            changes.push(Change::GroupPositioned {
                group,
                last_delivered,
                entries_read,
            });
        }
        if !found.gone.is_empty() {
            changes.push(Change::Acked {
                group: self.group,
                ids: Ids::from(&found.gone),
            });
        }
        if !found.claims.is_empty() {
            changes.push(Change::Claimed {
                group: self.group,
                consumer: self.consumer,
                delivered_at: self.delivered_at,
                at: self.now,
                entries: Claims::from(&found.claims),
            });
        }
        if !changes.is_empty() {
            stream.commit(&changes)?;
        }
        note_seen(stream, self.group, self.consumer, self.now);
        Ok(())
    }
}

/// Notes that a consumer tried something.
pub(super) fn note_seen(stream: &Stream, group: &[u8], consumer: &[u8], now: u64) {
    if let Some(consumer) = stream
        .group(group)
        .and_then(|group| group.consumer(consumer))
    {
        consumer.note_seen(now);
    }
}

impl Data<'_> {
    /// Entries, or their IDs alone.
    pub(super) fn write_claimed(&mut self, entries: &[Entry], just_ids: bool) {
        if just_ids {
            let ids: Vec<StreamId> = entries.iter().map(|entry| entry.id).collect();
            self.write_ids(&ids);
        } else {
            self.write_entries(entries);
        }
    }
}
