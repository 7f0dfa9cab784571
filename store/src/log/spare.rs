//! Files made ahead, for the log to roll into.
//!
//! Growing a file while syncing it halves the syncs per second, and a full disk must show before
//! anything is written. So segments are allocated before they are needed, under names of their own:
//!
//! ```text
//!  spare-0.tmp  --(roll: rename, header, first frame)-->  00000000000068142501.log
//! ```
//!
//! Allocated blocks that were never written still cost a change of the file system's metadata at
//! the first write. Where every reply waits for a sync, spares are therefore filled with zeros;
//! this takes its time and is done by a thread of its own. If none is ready when one is needed, it
//! is allocated on the spot and not filled.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::segment::{self, Segment};
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
}

impl Spare {
    /// Bytes of frames that it has room for.
    pub(crate) fn capacity(&self) -> u64 {
        self.file_len - segment::HEADER as u64
    }

    /// Becomes the segment that begins at `base`, with its header written. The caller has renamed
    /// the file.
    pub(crate) fn into_segment(self, base: Lsn) -> Result<Segment, DiskError> {
        let header = segment::header(base, self.file_len);
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
    made: AtomicU64,
}

impl Maker {
    /// No spare of an earlier maker may be left in the directory.
    pub(crate) fn new(disk: Arc<dyn Disk>, dir: &Path) -> Self {
        Self {
            disk,
            dir: dir.to_owned(),
            made: AtomicU64::new(0),
        }
    }

    /// Makes a file of `file_len` bytes.
    ///
    /// # Errors
    ///
    /// Whatever the file system refuses. No file is left then, if that can be helped.
    pub(crate) fn make(&self, file_len: u64, fill: Fill) -> Result<Spare, DiskError> {
        let number = self.made.fetch_add(1, Ordering::Relaxed);
        let path = self.dir.join(format!("spare-{number}.tmp"));
        let file = self.disk.create(&path, file_len)?;
        let prepared = match fill {
            Fill::Allocate => Ok(()),
            Fill::Zero => zero(&*file, 0, file_len),
        };
        match prepared.and_then(|()| file.map(file_len, 0)) {
            Ok(map) => Ok(Spare {
                path,
                file,
                map,
                file_len,
            }),
            Err(refused) => {
                // The refusal is what counts; a file left behind is removed at the next start.
                let _ = self.disk.remove(&path);
                Err(refused)
            }
        }
    }
}

/// Whether the file of this name is a spare, or was to become one.
pub(crate) fn is_spare(name: &str) -> bool {
    name.strip_prefix("spare-")
        .is_some_and(|rest| rest.ends_with(".tmp"))
}

/// Fills `[from, to)` of a file with zeros, durably.
pub(crate) fn zero(file: &dyn File, from: u64, to: u64) -> Result<(), DiskError> {
    let zeros = vec![0; PIECE];
    let mut pos = from;
    while pos < to {
        let piece = usize::try_from(to - pos).map_or(PIECE, |rest| rest.min(PIECE));
        file.write_at(pos, &zeros[..piece])?;
        file.sync_data()?;
        pos += piece as u64;
    }
    Ok(())
}
