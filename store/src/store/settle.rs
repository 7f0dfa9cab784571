//! Moves entries: out of the old end of the log, and out of data files that are mostly dead.
//!
//! ```text
//!  for each stream:  lock, copy a part of its index (a draft), unlock;  write the entries
//!  when the file is long enough, or nothing is left:
//!                    sync it;  for each draft: lock, put the extent in its place, unlock
//! ```
//!
//! Streams that have little share a file; one that has much has many extents in one.

use std::collections::BTreeSet;

use super::Store;
use super::plan::Plan;
use super::upkeep::{Round, UpkeepError};
use crate::data::{Extent, FileWriter, Missing, Patience, Reader};
use crate::id::StreamNo;
use crate::lsn::Lsn;
use crate::record::{Change, Record};
use crate::state::{Cell, Draft, Entry, PlaceIn};

/// A data file is finished once it has so many bytes.
const FILE_BYTES: u64 = 64 << 20;

/// So many entries are copied out of an index while its stream is locked.
const DRAFT_ENTRIES: usize = 32_768;

/// So many streams are looked at while the world is held, shared.
const CHUNK: usize = 64;

/// So many entries are drafted before they are written.
const DRAFTED_MAX: u64 = 65_536;

/// So many bytes are copied before the memory that reading them has taken is let go of.
const READ_MAX: u64 = 8 << 20;

/// One pass over all streams.
struct Pass<'s> {
    store: &'s Store,
    /// Settle what lies below this in the log.
    below: Option<Lsn>,
    /// Empty these data files.
    empty: BTreeSet<u64>,
    file: Option<FileWriter>,
    /// The drafts whose extents are in the file.
    written: Vec<(StreamNo, Draft)>,
    /// Bytes that were copied since memory was let go of.
    read: u64,
    /// Whether some stream may have more to move.
    more: bool,
    round: &'s mut Round,
}

impl Store {
    /// Does the moving of a round.
    pub(super) fn settle(&self, plan: &Plan, round: &mut Round) -> Result<(), UpkeepError> {
        if plan.settle_below.is_none() && plan.compact.is_empty() {
            return Ok(());
        }
        let mut pass = Pass {
            store: self,
            below: plan.settle_below,
            empty: plan.compact.iter().copied().collect(),
            file: None,
            written: Vec::new(),
            read: 0,
            more: true,
            round,
        };
        while std::mem::take(&mut pass.more) {
            pass.streams()?;
            pass.finish_file()?;
        }
        self.log.let_go_of_pages();
        Ok(())
    }
}

impl Pass<'_> {
    /// Goes through all streams once.
    fn streams(&mut self) -> Result<(), UpkeepError> {
        let mut next = Some(StreamNo::FIRST);
        while let Some(from) = next {
            let (drafts, end) = self.drafts(from);
            next = end;
            for (stream, draft) in drafts {
                self.write(stream, draft)?;
            }
            if self
                .file
                .as_ref()
                .is_some_and(|file| file.bytes() >= FILE_BYTES)
            {
                self.finish_file()?;
            }
        }
        Ok(())
    }

    /// Drafts of some streams from a number on, and where to go on.
    fn drafts(&self, from: StreamNo) -> (Vec<(StreamNo, Draft)>, Option<StreamNo>) {
        let world = self.store.world.read();
        let mut drafts: Vec<(StreamNo, Draft)> = Vec::new();
        let mut drafted = 0;
        let mut next = None;
        for (_, _, cell) in world.all_from(from, CHUNK) {
            let number = cell.number();
            loop {
                if drafted >= DRAFTED_MAX {
                    return (drafts, Some(number));
                }
                let last = drafts.last().or(self.written.last());
                let behind = last.filter(|(stream, _)| *stream == number);
                let Some(draft) = self.draft(cell, behind.map(|(_, draft)| draft)) else {
                    break;
                };
                drafted += draft.len();
                drafts.push((number, draft));
            }
            next = Some(number.next());
        }
        (drafts, next)
    }

    /// The next draft of a stream, `behind` the one before.
    fn draft(&self, cell: &Cell, behind: Option<&Draft>) -> Option<Draft> {
        let stream = cell.lock();
        let front = self
            .below
            .and_then(|below| stream.snapshot_front(below, DRAFT_ENTRIES, behind));
        if front.is_some() || self.empty.is_empty() {
            return front;
        }
        let wanted = |extent: &Extent| self.empty.contains(&extent.file.number());
        stream.snapshot_parts(wanted, behind)
    }

    fn write(&mut self, stream: StreamNo, draft: Draft) -> Result<(), UpkeepError> {
        let file = match &mut self.file {
            Some(file) => file,
            None => self.file.insert(self.store.data.create_file()?),
        };
        let reader = Reader::new(&self.store.data, Patience::Wait);
        let before = file.bytes();
        file.begin_extent(stream);
        for node in draft.nodes(&reader).map_err(unreadable)? {
            file.node(node.head);
            for entry in &node.entries {
                self.store.copy(&reader, entry, file)?;
            }
        }
        file.end_extent()?;
        self.read += file.bytes() - before;
        if self.read >= READ_MAX {
            self.read = 0;
            self.store.log.let_go_of_pages();
        }
        self.written.push((stream, draft));
        Ok(())
    }

    /// Makes the file durable, and puts its extents into their places.
    fn finish_file(&mut self) -> Result<(), UpkeepError> {
        let Some(file) = self.file.take() else {
            return Ok(());
        };
        self.more = true;
        self.round.data_bytes += file.bytes();
        let (_file, extents) = file.finish()?;
        for ((number, draft), extent) in self.written.drain(..).zip(extents) {
            let world = self.store.world.read();
            let Some(cell) = world.by_number(number) else {
                // It was removed meanwhile.
                continue;
            };
            if cell.lock().install(&draft, extent) {
                self.round.settled_entries += draft.unsettled();
                self.round.compacted_entries += draft.len() - draft.unsettled();
            }
        }
        Ok(())
    }
}

impl Store {
    /// Copies an entry into a data file.
    fn copy(
        &self,
        reader: &Reader<'_>,
        entry: &Entry,
        file: &mut FileWriter,
    ) -> Result<(), UpkeepError> {
        let copied = match entry.at.get() {
            PlaceIn::Block { pin, offset } => {
                reader.fields(pin, offset, |fields| file.entry(entry.id, fields))
            }
            PlaceIn::Log(at) => self
                .log
                .read(at, |mut bytes| match Record::decode(&mut bytes) {
                    Ok(Record::Stream {
                        change: Change::EntryAdded { id, fields, .. },
                        ..
                    }) if id == entry.id => file.entry(id, fields),
                    other => panic!("the log at LSN {at} should hold {}: {other:?}", entry.id),
                }),
        };
        copied.map_err(UpkeepError::from)
    }
}

fn unreadable(missing: Missing) -> UpkeepError {
    match missing {
        Missing::Unreadable(error) => error.into(),
        Missing::Cold(_) => unreachable!("a patient reader waits"),
    }
}
