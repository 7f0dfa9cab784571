//! Cutting off the end of a log that nobody has open: the part of [`cut`](crate::cut) that knows
//! what a log is.

use std::path::Path;

use super::frame;
use super::recovery::{Inspected, SegmentSeen};
use super::segment::{self, position, to_usize};
use crate::disk::Disk;
use crate::error::DiskError;
use crate::lsn::Lsn;

/// The name of a segment in the making; a start takes it for a spare.
const UNFINISHED: &str = "spare-cut.tmp";

/// What is to be done to cut a log.
#[derive(Debug)]
pub(crate) struct Plan<'a> {
    dir: &'a Path,
    at: Lsn,
    /// The segment in which the log is to end.
    last: &'a SegmentSeen,
    /// Whether another one ends where it begins.
    follows: bool,
    /// Those behind it.
    behind: &'a [SegmentSeen],
    /// How many of those behind it belong to the log.
    whole: usize,
}

impl<'a> Plan<'a> {
    /// How to cut the log in `dir` at a place that is in it; `None` when no frame begins there.
    ///
    /// # Errors
    ///
    /// Whatever the file system refuses.
    ///
    /// # Panics
    ///
    /// When the log does not open, or `at` is not in it.
    pub(crate) fn of(
        dir: &'a Path,
        log: &'a Inspected,
        at: Lsn,
    ) -> Result<Option<Self>, DiskError> {
        let end = log.end.as_ref().expect("a log that opens is cut");
        let upto = { log.segments[..end.segments].iter() }
            .take_while(|segment| segment.base <= at)
            .count();
        let index = upto.checked_sub(1).expect("the place is in the log");
        let last = &log.segments[index];
        Ok(last.has_boundary(at)?.then(|| Self {
            dir,
            at,
            last,
            follows: index > 0,
            behind: &log.segments[upto..],
            whole: end.segments - upto,
        }))
    }

    /// Makes a log of what is to be cut off, in the empty directory `into`. The files are durable
    /// then, their names are not.
    ///
    /// # Errors
    ///
    /// Whatever the file system refuses.
    pub(crate) fn keep(&self, disk: &dyn Disk, into: &Path) -> Result<(), DiskError> {
        let Self { at, last, .. } = *self;
        last.copy_part(disk, &segment::path(into, at), at, last.end)?;
        for segment in &self.behind[..self.whole] {
            let path = segment::path(into, segment.base);
            // It is not written to any more, so a further name will do, where there are such.
            if disk.link(&segment.path, &path).is_err() {
                segment.copy(disk, &path)?;
            }
        }
        Ok(())
    }

    /// Cuts, durably.
    ///
    /// # Errors
    ///
    /// Whatever the file system refuses. The log ends at a place that it had then, not before the
    /// one to cut at.
    pub(crate) fn perform(&self, disk: &dyn Disk) -> Result<(), DiskError> {
        for segment in self.behind.iter().rev() {
            disk.remove(&segment.path)?;
            disk.sync_dir(self.dir)?;
        }
        let Self { at, last, .. } = *self;
        if at == last.base && self.follows {
            disk.remove(&last.path)?;
        } else {
            let unfinished = self.dir.join(UNFINISHED);
            if disk.open_to_read(&unfinished).is_ok() {
                disk.remove(&unfinished)?;
            }
            last.copy_part(disk, &unfinished, last.base, at)?;
            disk.rename(&unfinished, &last.path)?;
        }
        disk.sync_dir(self.dir)
    }
}

impl SegmentSeen {
    /// Whether a frame begins at a place, or the last one ends there.
    fn has_boundary(&self, at: Lsn) -> Result<bool, DiskError> {
        let len = to_usize(at.since(self.base));
        let mut frames = vec![0; len];
        self.file
            .read_at(position(self.base, self.base), &mut frames)?;
        Ok(frame::leading(&frames, self.base, usize::MAX) == len)
    }
}
