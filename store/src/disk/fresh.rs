//! A file in the making: written from front to back, under a temporary name until it is whole.
//!
//! ```text
//!  7.tmp   [ written, synced | written | allocated ]  --finish-->  7.data   [ all of it, durable ]
//! ```
//!
//! For files that are written in the background while others wait for the same disk. Space is
//! allocated ahead in steps, so that a full disk shows before a step is begun; on a disk that is
//! nearly full, only what is needed. What was written is synced in pieces, so that a sync of the
//! log, which the file system may order behind ours, never waits for more than one of them.
//!
//! An error ends the file and nothing else: nobody refers to it yet, and dropping it removes it,
//! whatever its name is by then. A crash leaves the temporary file, which nobody reads and the next
//! start removes, or the whole one.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Disk, File};
use crate::error::DiskError;
use crate::sabotage;

/// Bytes that are synced at a time.
const STEP: u64 = 1 << 20;

/// Bytes that are allocated at a time.
const ALLOCATION: u64 = 4 << 20;

/// What the name of an unfinished file ends in, behind the dot.
pub(crate) const UNFINISHED: &str = "tmp";

/// A file that is being written. Dropped before it is finished, it is removed.
#[derive(Debug)]
pub(crate) struct FreshFile {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    file: Arc<dyn File>,
    len: u64,
    allocated: u64,
    synced: u64,
    state: State,
}

#[derive(Copy, Clone, PartialEq, Eq, Debug)]
enum State {
    /// The file has its temporary name.
    Unfinished,
    /// So it still has, and what of it is on disk is unknown.
    Failed,
    /// The file has its name.
    Named,
    /// Its name is durable, too.
    Finished,
}

impl FreshFile {
    /// Begins the file that will be `path`.
    ///
    /// # Errors
    ///
    /// Whatever the file system refuses. There is no file then.
    pub(crate) fn create(disk: Arc<dyn Disk>, path: &Path) -> Result<Self, DiskError> {
        let file = disk.create(&unfinished(path), 0)?;
        Ok(Self {
            disk,
            path: path.to_owned(),
            file,
            len: 0,
            allocated: 0,
            synced: 0,
            state: State::Unfinished,
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
    /// Whatever the file system refuses. The file can only be dropped then.
    ///
    /// # Panics
    ///
    /// When it failed before.
    pub(crate) fn append(&mut self, bytes: &[u8]) -> Result<(), DiskError> {
        self.attempt(|file| {
            let end = file.len + bytes.len() as u64;
            if end > file.allocated {
                file.allocated = file.allocate(end)?;
            }
            file.file.write_at(file.len, bytes)?;
            file.len = end;
            if file.len - file.synced >= STEP {
                file.file.sync_data()?;
                file.synced = file.len;
            }
            Ok(())
        })
    }

    /// Does what the file is of no use without.
    fn attempt(
        &mut self,
        act: impl FnOnce(&mut Self) -> Result<(), DiskError>,
    ) -> Result<(), DiskError> {
        assert_eq!(self.state, State::Unfinished, "who fails is dropped");
        self.state = State::Failed;
        act(self)?;
        self.state = State::Unfinished;
        Ok(())
    }

    /// Allocates space up to `end`, and says up to where there is some.
    fn allocate(&self, end: u64) -> Result<u64, DiskError> {
        let ahead = end.next_multiple_of(ALLOCATION);
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
    /// Whatever the file system refuses. The file can only be dropped then.
    ///
    /// # Panics
    ///
    /// When it failed before.
    pub(crate) fn sync(&mut self) -> Result<(), DiskError> {
        self.attempt(|file| {
            file.file.set_len(file.len)?;
            if !sabotage::leaves_unsynced(&file.path) {
                file.file.sync_data()?;
            }
            file.synced = file.len;
            Ok(())
        })
    }

    /// Gives the file its name, durably.
    ///
    /// # Errors
    ///
    /// Whatever the file system refuses. There is no file then, if that can be helped; what a crash
    /// brings back is whole.
    ///
    /// # Panics
    ///
    /// When not all of it is [synced](Self::sync).
    pub(crate) fn finish(mut self) -> Result<(), DiskError> {
        assert_eq!(self.state, State::Unfinished, "who fails is dropped");
        assert_eq!(self.synced, self.len, "a file is named when it is durable");
        self.disk.rename(&unfinished(&self.path), &self.path)?;
        self.state = State::Named;
        if !sabotage::leaves_unnamed(&self.path) {
            let dir = self.path.parent().expect("a file is in a directory");
            self.disk.sync_dir(dir)?;
        }
        self.state = State::Finished;
        Ok(())
    }
}

impl Drop for FreshFile {
    fn drop(&mut self) {
        let removed = match self.state {
            State::Finished => return,
            State::Named => self.disk.remove(&self.path),
            State::Unfinished | State::Failed => self.disk.remove(&unfinished(&self.path)),
        };
        if let Err(fault) = removed {
            tracing::warn!(%fault, "a file that is not needed stays until the next start");
        }
    }
}

/// What the file of this name is called until it is finished.
pub(crate) fn unfinished(path: &Path) -> PathBuf {
    path.with_extension(UNFINISHED)
}

/// Whether the file of this name was never finished.
pub(crate) fn is_unfinished(name: &str) -> bool {
    let suffix = name.rsplit_once('.').map(|(_, suffix)| suffix);
    suffix == Some(UNFINISHED)
}
