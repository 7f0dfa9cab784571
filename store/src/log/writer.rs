//! Puts frames into segments, one thread at a time.
//!
//! The writer follows the places that the [tail](super::tail) has decided: it never looks for space
//! and never finds none.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;

use super::FILE_UNIT;
use super::frame::{self, Facts, Kind};
use super::segment::{self, Segment, position, to_usize};
use super::spare::Spare;
use super::tail::{InFlight, Placed};
use crate::disk::Disk;
use crate::error::DiskError;
use crate::lsn::Lsn;

/// The segments of a log, in order. Readers take the list without a lock.
pub(crate) type Segments = ArcSwap<Vec<Arc<Segment>>>;

const HAS_SEGMENT: &str = "the first frame of a log begins a segment";

pub(crate) struct Writer {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    segments: Arc<Segments>,
    unsynced: Unsynced,
    /// Frames of the buffer that is being written; empty between writes, kept for its memory.
    pub(crate) frames: Vec<Placed>,
    /// The highest durable mark that a frame bears witness of.
    witness: Lsn,
    /// The end of the last frame with records.
    batches_end: Lsn,
}

/// What has been written and not been synced.
#[derive(Default)]
pub(crate) struct Unsynced {
    /// In the order of the log.
    pub(crate) segments: Vec<Arc<Segment>>,
    /// Whether names of segments have changed.
    pub(crate) names: bool,
}

impl Writer {
    pub(crate) fn new(disk: Arc<dyn Disk>, dir: &Path, segments: Arc<Segments>) -> Self {
        Self {
            disk,
            dir: dir.to_owned(),
            segments,
            unsynced: Unsynced::default(),
            frames: Vec::new(),
            witness: Lsn::ZERO,
            batches_end: Lsn::ZERO,
        }
    }

    /// Fills in the headers of the taken frames, and pads the last of them.
    ///
    /// The padding reaches to the end of the page, over bytes that mean nothing. A page of which
    /// only a part is written is read first, unless the kernel has it, and everybody waits for
    /// that; so a page is begun as a whole, after which the kernel has it.
    pub(crate) fn seal(&mut self, flight: &mut InFlight, durable: Lsn) {
        let base = flight.base();
        for Placed {
            range,
            kind,
            epoch,
            records,
            ..
        } in &self.frames
        {
            let lsn = base.plus(range.start as u64);
            let facts = Facts {
                lsn,
                durable,
                epoch: *epoch,
                kind: *kind,
                records: *records,
            };
            frame::seal(&mut flight.frames_mut()[range.clone()], &facts);
            self.witness = durable;
            if *kind == Kind::Batch {
                self.batches_end = base.plus(range.end as u64);
            }
        }
        let rolled = self.frames.iter().rev().find_map(|placed| {
            let spare = placed.roll.as_ref()?;
            let at = base.plus(placed.range.start as u64);
            Some((at, spare.file_len(), at))
        });
        let (segment, file_len, from) = rolled.unwrap_or_else(|| {
            let segments = self.segments.load();
            let active = segments.last().expect(HAS_SEGMENT);
            (active.base, active.file_len, base)
        });
        let to = base.plus(flight.frames().len() as u64);
        let [from, to] = [from, to].map(|lsn| position(segment, lsn));
        let begun = from.next_multiple_of(FILE_UNIT);
        let padding = if to > begun {
            to.next_multiple_of(FILE_UNIT).min(file_len) - to
        } else {
            0
        };
        flight.pad(to_usize(padding));
    }

    /// Writes the taken frames to their places. Says whether a segment has become full.
    pub(crate) fn write(&mut self, flight: &InFlight) -> Result<bool, DiskError> {
        let mut start = 0;
        let mut rolled = false;
        let mut frames = std::mem::take(&mut self.frames);
        for Placed { range, roll, .. } in frames.drain(..) {
            if let Some(spare) = roll {
                self.write_run(flight, start..range.start, 0)?;
                self.roll(spare, flight.base().plus(range.start as u64))?;
                start = range.start;
                rolled = true;
            }
        }
        self.frames = frames;
        self.write_run(flight, start..flight.frames().len(), flight.padding())?;
        Ok(rolled)
    }

    /// What has been written since the last call, for the caller to sync.
    pub(crate) fn take_unsynced(&mut self) -> Unsynced {
        std::mem::take(&mut self.unsynced)
    }

    /// Whether there are records that no frame tells to be durable.
    pub(crate) fn lacks_witness(&self) -> bool {
        self.witness < self.batches_end
    }

    fn write_run(
        &mut self,
        flight: &InFlight,
        frames: Range<usize>,
        padding: usize,
    ) -> Result<(), DiskError> {
        if frames.is_empty() {
            return Ok(());
        }
        let segments = self.segments.load();
        let active = segments.last().expect(HAS_SEGMENT);
        let at = flight.base().plus(frames.start as u64);
        active
            .write(at, flight.padded(frames, padding), padding)
            .map_err(|fault| active.fault(&self.dir, fault))?;
        if !self
            .unsynced
            .segments
            .last()
            .is_some_and(|last| Arc::ptr_eq(last, active))
        {
            self.unsynced.segments.push(active.clone());
        }
        Ok(())
    }

    /// Begins a new segment.
    fn roll(&mut self, spare: Spare, base: Lsn) -> Result<(), DiskError> {
        self.disk
            .rename(&spare.path, &segment::path(&self.dir, base))?;
        self.unsynced.names = true;
        let segment = Arc::new(spare.into_segment(base)?);
        self.segments.rcu(|segments| {
            // One without frames, which a crash or a cut has left, is no more: it had the name.
            let others = segments.iter().filter(|other| other.base < base);
            let all = others.chain([&segment]);
            all.cloned().collect::<Vec<_>>()
        });
        Ok(())
    }
}
