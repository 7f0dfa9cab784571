//! A file in the making: written from front to back, under a temporary name until it is whole.
//!
//! ```text
//!  7.tmp   [ written, synced | written | allocated ]  --finish-->  7.data   [ all of it, durable ]
//! ```
//!
//! For files that are written in the background while others wait for the same disk. Space is
//! allocated ahead in steps, so that a full disk shows before a step is begun; on a disk that is
//! nearly full, only what is needed. What was written is synced in pieces, so that a sync in the
//! foreground never waits for more than one of them.
//!
//! A crash leaves the temporary file, which nobody reads and the next start removes.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Disk, File};
use crate::error::DiskError;
use crate::sabotage::{self, Bug};

/// Bytes that are allocated, and synced, at a time.
const STEP: u64 = 1 << 20;

/// What the name of an unfinished file ends in.
const UNFINISHED: &str = ".tmp";

/// A file that is being written. Dropped before it is finished, it is removed.
#[derive(Debug)]
pub(crate) struct FreshFile {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    temporary: PathBuf,
    file: Arc<dyn File>,
    len: u64,
    allocated: u64,
    synced: u64,
    finished: bool,
}

impl FreshFile {
    /// Begins the file that will be `path`.
    ///
    /// # Errors
    ///
    /// Whatever the file system refuses. There is no file then.
    pub(crate) fn create(disk: Arc<dyn Disk>, path: &Path) -> Result<Self, DiskError> {
        let temporary = path.with_extension(&UNFINISHED[1..]);
        let file = disk.create(&temporary, 0)?;
        Ok(Self {
            disk,
            path: path.to_owned(),
            temporary,
            file,
            len: 0,
            allocated: 0,
            synced: 0,
            finished: false,
        })
    }

    /// Bytes written so far: the position of what is appended next.
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// Where it will be.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Writes `bytes` at the end.
    ///
    /// # Errors
    ///
    /// Whatever the file system refuses. The file is of no use then.
    pub(crate) fn append(&mut self, bytes: &[u8]) -> Result<(), DiskError> {
        let end = self.len + bytes.len() as u64;
        if end > self.allocated {
            self.allocated = self.allocate(end)?;
        }
        self.file.write_at(self.len, bytes)?;
        self.len = end;
        if self.len - self.synced >= STEP {
            self.file.sync_data()?;
            self.synced = self.len;
        }
        Ok(())
    }

    /// Allocates space up to `end`, and says up to where there is some.
    fn allocate(&self, end: u64) -> Result<u64, DiskError> {
        let ahead = end.next_multiple_of(STEP);
        match self.file.allocate(ahead) {
            Err(error) if error.is_shortage() => self.file.allocate(end).map(|()| end),
            allocated => allocated.map(|()| ahead),
        }
    }

    /// Reads what was written at `pos`.
    ///
    /// # Errors
    ///
    /// Whatever the file system refuses.
    pub(crate) fn read_at(&self, pos: u64, into: &mut [u8]) -> Result<(), DiskError> {
        self.file.read_at(pos, into)
    }

    /// Makes the whole file durable, still under its temporary name.
    ///
    /// # Errors
    ///
    /// Whatever the file system refuses. The file is of no use then.
    pub(crate) fn sync(&mut self) -> Result<(), DiskError> {
        self.file.set_len(self.len)?;
        if !sabotage::has(Bug::SkipCheckpointFsync) {
            self.file.sync_data()?;
        }
        self.synced = self.len;
        Ok(())
    }

    /// Gives the file its name, durably.
    ///
    /// # Errors
    ///
    /// Whatever the file system refuses. Whether the file has its name is unknown then, but it is
    /// whole if it has.
    ///
    /// # Panics
    ///
    /// When not all of it is [synced](Self::sync).
    pub(crate) fn finish(mut self) -> Result<(), DiskError> {
        assert_eq!(self.synced, self.len, "a file is named when it is durable");
        self.disk.rename(&self.temporary, &self.path)?;
        self.finished = true;
        if sabotage::has(Bug::SkipCheckpointName) {
            return Ok(());
        }
        self.disk
            .sync_dir(self.path.parent().expect("a file is in a directory"))
    }
}

impl Drop for FreshFile {
    fn drop(&mut self) {
        if !self.finished {
            // What is left is removed at the next start.
            let _ = self.disk.remove(&self.temporary);
        }
    }
}

/// Whether the file of this name was never finished.
pub(crate) fn is_unfinished(name: &str) -> bool {
    name.ends_with(UNFINISHED)
}
