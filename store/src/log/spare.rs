//! Files made ahead, for the log to roll into.
//!
//! Growing a file while syncing it halves the syncs per second, and a full disk must show before
//! anything is written. So segments are allocated before they are needed, under names of their own:
//!
//! ```text
//!  spare-0.tmp  --(roll: rename, header, first frame)-->  00000000000068142501.log
//!       ^------------------------(release)--------------------------'
//! ```
//!
//! Allocated blocks that were never written still cost a change of the file system's metadata at
//! the first write. Where every reply waits for a sync, fresh spares are therefore filled with
//! zeros; this takes its time and is done by a thread of its own. If none is ready when one is
//! needed, it is allocated on the spot and not filled. A log that moves on needs neither: the files
//! of segments that it lets go of come back as spares (see [`release`](super::release)).

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::fences::Fences;
use super::segment::{self, HEADER, Segment};
use crate::disk::{Disk, File};
use crate::error::DiskError;
use crate::lsn::Lsn;
use crate::map::Map;

/// Zeros are written, and synced, in pieces of this size: a foreground sync waits for one of them
/// at most.
const PIECE: usize = 1 << 20;

/// Whether the bytes of a spare are written before use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fill {
    Allocate,
    Zero,
}

/// A file that is ready to become a segment.
#[derive(Debug)]
pub(crate) struct Spare {
    pub(crate) path: PathBuf,
    file: Arc<dyn File>,
    map: Map,
    file_len: u64,
    /// None when it is blank.
    fences: Option<Fences>,
}

/// The file of a segment that is no more, under the name of a spare.
#[derive(Debug)]
pub(crate) struct Used {
    path: PathBuf,
    file: Arc<dyn File>,
    file_len: u64,
}

impl Spare {
    /// Bytes of frames that it has room for.
    pub(crate) fn capacity(&self) -> u64 {
        self.file_len - HEADER as u64
    }

    pub(crate) fn file_len(&self) -> u64 {
        self.file_len
    }

    /// Becomes the segment that begins at `base`, with its header written. The caller has renamed
    /// the file.
    pub(crate) fn into_segment(self, base: Lsn) -> Result<Segment, DiskError> {
        let header = segment::header(base, self.file_len, self.fences);
        self.file.write_at(0, &header)?;
        self.map.settle(0, &header);
        Ok(Segment {
            base,
            file: self.file,
            map: self.map,
            file_len: self.file_len,
        })
    }
}

/// Makes spares in a directory.
#[derive(Debug)]
pub(crate) struct Maker {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    named: AtomicU64,
    made: AtomicU64,
}

impl Maker {
    /// No spare of an earlier maker may be left in the directory.
    pub(crate) fn new(disk: Arc<dyn Disk>, dir: &Path) -> Self {
        Self {
            disk,
            dir: dir.to_owned(),
            named: AtomicU64::new(0),
            made: AtomicU64::new(0),
        }
    }

    /// How many files were made.
    pub(crate) fn made(&self) -> u64 {
        self.made.load(Ordering::Relaxed)
    }

    /// Makes a file of `file_len` bytes.
    ///
    /// # Errors
    ///
    /// Whatever the file system refuses. No file is left then, if that can be helped.
    pub(crate) fn make(&self, file_len: u64, fill: Fill) -> Result<Spare, DiskError> {
        let path = self.next_path();
        let file = self.disk.create(&path, file_len)?;
        self.made.fetch_add(1, Ordering::Relaxed);
        let fresh = Used {
            path,
            file,
            file_len,
        };
        self.prepare(fresh, |file| match fill {
            Fill::Allocate => Ok(None),
            Fill::Zero => zero(file, 0..file_len).map(|()| None),
        })
    }

    /// Takes the file of a segment, which has the name `path` and no reader. What it holds is what
    /// it was until the directory has been synced.
    ///
    /// # Errors
    ///
    /// Whatever the file system refuses. The file has the name that it had then.
    pub(crate) fn take(&self, path: &Path, segment: Segment) -> Result<Used, DiskError> {
        let to = self.next_path();
        self.disk.rename(path, &to)?;
        Ok(Used {
            path: to,
            file: segment.file,
            file_len: segment.file_len,
        })
    }

    /// Makes a spare of a file that was taken. The directory has been synced since.
    ///
    /// # Errors
    ///
    /// Whatever the file system refuses. No file is left then, if that can be helped.
    pub(crate) fn recycle(&self, used: Used) -> Result<Spare, DiskError> {
        let file_len = used.file_len;
        self.prepare(used, |file| {
            let fences = Fences::draw(file_len);
            file.write_at(0, &[0; HEADER])?;
            fences.put(file, 0..file_len)?;
            // Before any of the new life is: an old header under a new name would be damage.
            file.sync_data()?;
            Ok(Some(fences))
        })
    }

    fn prepare(
        &self,
        used: Used,
        fill: impl FnOnce(&dyn File) -> Result<Option<Fences>, DiskError>,
    ) -> Result<Spare, DiskError> {
        let Used {
            path,
            file,
            file_len,
        } = used;
        let filled = fill(&*file).and_then(|fences| Ok((fences, file.map(file_len, 0)?)));
        match filled {
            Ok((fences, map)) => Ok(Spare {
                path,
                file,
                map,
                file_len,
                fences,
            }),
            Err(refused) => {
                // The refusal is what counts; a file left behind is removed at the next start.
                let _ = self.disk.remove(&path);
                // The file may have been opened under another name.
                Err(DiskError { path, ..refused })
            }
        }
    }

    fn next_path(&self) -> PathBuf {
        let number = self.named.fetch_add(1, Ordering::Relaxed);
        self.dir.join(format!("spare-{number}.tmp"))
    }
}

/// Whether the file of this name is a spare, or was to become one.
pub(crate) fn is_spare(name: &str) -> bool {
    name.strip_prefix("spare-")
        .is_some_and(|rest| rest.ends_with(".tmp"))
}

/// Fills a range of a file with zeros, durably.
pub(crate) fn zero(file: &dyn File, range: Range<u64>) -> Result<(), DiskError> {
    let zeros = vec![0; PIECE];
    let mut pos = range.start;
    while pos < range.end {
        let piece = usize::try_from(range.end - pos).map_or(PIECE, |rest| rest.min(PIECE));
        file.write_at(pos, &zeros[..piece])?;
        file.sync_data()?;
        pos += piece as u64;
    }
    Ok(())
}
