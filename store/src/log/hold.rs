//! The files of a log, held while somebody copies them.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::segment::{self, HEADER, Segment, position};
use super::{FILE_UNIT, Log};
use crate::disk::Disk;
use crate::error::DiskError;
use crate::lsn::Lsn;

/// Bytes that are copied at a time.
const PIECE: u64 = 1 << 20;

/// A segment whose file keeps its name and its bytes while this value lives, whatever the log lets
/// go of. A further name that it gets meanwhile keeps it from being recycled later.
pub struct Held {
    segment: Arc<Segment>,
    path: PathBuf,
    end: Option<Lsn>,
}

impl Log {
    /// Holds the segments of the log, in order.
    #[must_use]
    pub fn hold(&self) -> Vec<Held> {
        let segments = self.segments.load();
        let ends = segments.iter().skip(1).map(|next| Some(next.base));
        let held = segments.iter().zip(ends.chain([None]));
        held.map(|(segment, end)| Held {
            segment: Arc::clone(segment),
            path: segment::path(&self.dir, segment.base),
            end,
        })
        .collect()
    }
}

impl Held {
    /// Its file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where it begins.
    #[must_use]
    pub fn base(&self) -> Lsn {
        self.segment.base
    }

    /// Where it ends; `None` for the last one, which is still being written.
    #[must_use]
    pub fn end(&self) -> Option<Lsn> {
        self.end
    }

    /// Copies the segment up to `upto` into a new file at `path`, which a log can be opened with.
    /// The bytes of the file are durable then, its name is not.
    ///
    /// # Errors
    ///
    /// Whatever the file system refuses.
    ///
    /// # Panics
    ///
    /// When `upto` is below the segment, or above what has been written.
    pub fn copy(&self, disk: &dyn Disk, path: &Path, upto: Lsn) -> Result<(), DiskError> {
        copy(disk, path, self.base()..upto, &mut |part, write| {
            self.segment.read(part.start, part.end, write)
        })
    }
}

/// Makes a segment of the `frames` that `read` hands, part by part, to whom it is given.
pub(super) fn copy(
    disk: &dyn Disk,
    path: &Path,
    frames: Range<Lsn>,
    read: &mut ReadParts<'_>,
) -> Result<(), DiskError> {
    let Range { start: base, end } = frames;
    let file_len = position(base, end).next_multiple_of(FILE_UNIT);
    let file = disk.create(path, file_len)?;
    file.write_at(0, &segment::header(base, file_len, None))?;
    let mut at = base;
    while at < end {
        let to = end.min(at.plus(PIECE));
        read(at..to, &mut |bytes| {
            file.write_at(position(base, at), bytes)
        })?;
        at = to;
    }
    file.sync_data()
}

/// Hands frames that it has, from one place to another, to whom it is given.
type ReadParts<'a> = dyn FnMut(Range<Lsn>, Write<'_>) -> Result<(), DiskError> + 'a;

/// Writes bytes of frames where they belong.
type Write<'a> = &'a mut dyn FnMut(&[u8]) -> Result<(), DiskError>;

impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Held")
            .field("path", &self.path)
            .field("end", &self.end)
            .finish_non_exhaustive()
    }
}

const _: () = assert!(HEADER as u64 <= FILE_UNIT, "a copy has room for its header");
