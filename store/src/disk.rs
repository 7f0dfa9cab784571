//! What the store asks of a file system, and no more.
//!
//! Two things are explicit here that a file API usually hides:
//!
//! * **Names are not durable until their directory is synced.** Creating, renaming and removing
//!   change the directory; [`Disk::sync_dir`] makes the change last. A crash may undo any of them
//!   before.
//! * **Writes have positions and are whole or an error.** There is no cursor whose place would be
//!   unknown after a failure, and nobody has to think about half a write.
//!
//! [`RealDisk`] is the kernel's file system; `SimDisk` (feature `sim`) one in memory that loses,
//! tears and refuses on request.

mod fresh;
mod real;
#[cfg(any(test, feature = "sim"))]
mod sim;

use std::fmt;
use std::ops::{Deref, Range};
use std::path::Path;
use std::sync::Arc;

pub(crate) use self::fresh::{FreshFile, UNFINISHED, is_unfinished, unfinished};
pub use self::real::RealDisk;
#[cfg(any(test, feature = "sim"))]
pub use self::sim::{Call, Fault, Loss, Repeat, SimDisk};
use crate::error::{DiskError, OpenError};
use crate::map::Map;

/// A file system.
pub trait Disk: Send + Sync + fmt::Debug {
    /// Creates a directory and those above it, and makes their names durable. Existing ones are
    /// fine.
    ///
    /// # Errors
    ///
    /// Whatever the file system refuses.
    fn create_dir(&self, dir: &Path) -> Result<(), DiskError>;

    /// Locks a directory against other processes until the lock is dropped.
    ///
    /// # Errors
    ///
    /// [`OpenError::Locked`] when another process has it; [`OpenError::Disk`].
    fn lock(&self, dir: &Path) -> Result<Box<dyn DirLock>, OpenError>;

    /// Locks a directory against processes that would change it, and changes nothing: `None` when
    /// it has never been [locked](Self::lock).
    ///
    /// # Errors
    ///
    /// [`OpenError::Locked`] when another process has it; [`OpenError::Disk`].
    fn lock_to_read(&self, dir: &Path) -> Result<Option<Box<dyn DirLock>>, OpenError> {
        self.lock(dir).map(Some)
    }

    /// Creates a file of `len` zeros, readable by its owner only, with its space allocated: writing
    /// into it later does not run out of space. There is no file when this fails. Neither the name
    /// nor the length is durable yet.
    ///
    /// # Errors
    ///
    /// Whatever the file system refuses, [shortage](DiskError::is_shortage) of space included; and
    /// when the name is taken.
    fn create(&self, path: &Path, len: u64) -> Result<Arc<dyn File>, DiskError>;

    /// Opens an existing file for reading and writing.
    ///
    /// # Errors
    ///
    /// Whatever the file system refuses.
    fn open(&self, path: &Path) -> Result<Arc<dyn File>, DiskError>;

    /// Opens an existing file for reading only: a file system that takes no writes any more can
    /// still be read.
    ///
    /// # Errors
    ///
    /// Whatever the file system refuses.
    fn open_to_read(&self, path: &Path) -> Result<Arc<dyn File>, DiskError> {
        self.open(path)
    }

    /// The names in a directory that are text, in order.
    ///
    /// # Errors
    ///
    /// Whatever the file system refuses.
    fn list(&self, dir: &Path) -> Result<Vec<String>, DiskError>;

    /// Gives a file another name in the same directory, replacing what had it; or a directory,
    /// replacing an empty one.
    ///
    /// # Errors
    ///
    /// Whatever the file system refuses.
    fn rename(&self, from: &Path, to: &Path) -> Result<(), DiskError>;

    /// Gives a file a further name, in any directory of the same file system.
    ///
    /// # Errors
    ///
    /// Whatever the file system refuses; and when the name is taken.
    fn link(&self, from: &Path, to: &Path) -> Result<(), DiskError>;

    /// Removes a name. The file goes when nobody has it open or mapped any more.
    ///
    /// # Errors
    ///
    /// Whatever the file system refuses.
    fn remove(&self, path: &Path) -> Result<(), DiskError>;

    /// Removes an empty directory.
    ///
    /// # Errors
    ///
    /// Whatever the file system refuses; and when the directory is not empty.
    fn remove_dir(&self, dir: &Path) -> Result<(), DiskError>;

    /// Makes every change of names in `dir` so far durable.
    ///
    /// # Errors
    ///
    /// Whatever the file system refuses; the fate of the names is unknown then.
    fn sync_dir(&self, dir: &Path) -> Result<(), DiskError>;

    /// Whether the kernel has memory for so many bytes of files, beside what else it is needed for.
    fn can_keep(&self, _bytes: u64) -> bool {
        true
    }

    /// How many bytes can still be allocated on the file system of a directory.
    ///
    /// # Errors
    ///
    /// Whatever the file system refuses.
    fn free_bytes(&self, dir: &Path) -> Result<u64, DiskError>;
}

/// One open file. All positions are bytes from its beginning.
#[expect(
    clippy::len_without_is_empty,
    reason = "nobody asks whether a file is empty"
)]
pub trait File: Send + Sync + fmt::Debug {
    /// Its length in bytes.
    ///
    /// # Errors
    ///
    /// Whatever the file system refuses.
    fn len(&self) -> Result<u64, DiskError>;

    /// How many names it has.
    ///
    /// # Errors
    ///
    /// Whatever the file system refuses.
    fn links(&self) -> Result<u64, DiskError>;

    /// Fills `into` with the bytes from `pos` on.
    ///
    /// # Errors
    ///
    /// Whatever the file system refuses, and when the file ends before.
    fn read_at(&self, pos: u64, into: &mut [u8]) -> Result<(), DiskError>;

    /// Reads `len` bytes from `pos` on, into memory of their own, which need not be cleared first.
    ///
    /// # Errors
    ///
    /// Whatever the file system refuses, and when the file ends before.
    fn read(&self, pos: u64, len: usize) -> Result<Vec<u8>, DiskError> {
        let mut into = vec![0; len];
        self.read_at(pos, &mut into).map(|()| into)
    }

    /// Reads `len` bytes from `pos` on, from the device itself where the file system lets it, so
    /// that the kernel keeps no copy: for somebody who reads more than [it can](Disk::can_keep).
    ///
    /// # Errors
    ///
    /// Whatever the file system refuses, and when the file ends before.
    fn read_past_cache(&self, pos: u64, len: usize) -> Result<Pages, DiskError> {
        self.read(pos, len).map(Pages::from)
    }

    /// Says that `len` bytes from `pos` on will be read soon, so that they can be fetched in the
    /// meantime. Nothing depends on it.
    fn will_read(&self, _pos: u64, _len: u64) {}

    /// Writes all of `bytes` at `pos`.
    ///
    /// # Errors
    ///
    /// Whatever the file system refuses, and when it takes only a part. Which bytes have been
    /// written is unknown then.
    fn write_at(&self, pos: u64, bytes: &[u8]) -> Result<(), DiskError>;

    /// The same, to the device itself where the file system lets it, page by page of 4 KiB, so that
    /// the kernel keeps no copy: for what is not read soon. It is not durable for that.
    ///
    /// # Errors
    ///
    /// As [`write_at`](Self::write_at).
    fn write_past_cache(&self, pos: u64, bytes: &[u8]) -> Result<(), DiskError> {
        self.write_at(pos, bytes)
    }

    /// Allocates the space of the first `len` bytes, making the file that long if it is shorter.
    ///
    /// # Errors
    ///
    /// Whatever the file system refuses, [shortage](DiskError::is_shortage) of space included.
    fn allocate(&self, len: u64) -> Result<(), DiskError>;

    /// Makes the file `len` bytes long. Never done to a file that has been mapped.
    ///
    /// # Errors
    ///
    /// Whatever the file system refuses.
    fn set_len(&self, len: u64) -> Result<(), DiskError>;

    /// Makes everything written so far durable, and the length.
    ///
    /// # Errors
    ///
    /// Whatever the file system refuses. What had been written is then of unknown fate, and asking
    /// again says nothing about it: the kernel reports a lost page once.
    fn sync_data(&self) -> Result<(), DiskError>;

    /// Maps the first `len` bytes, which the file must have, for reading. The first `settled` of
    /// them will not change any more.
    ///
    /// # Errors
    ///
    /// Whatever the file system refuses.
    fn map(&self, len: u64, settled: u64) -> Result<Map, DiskError>;
}

/// Bytes that were read, within those of the whole pages in which they lie.
#[derive(Debug)]
pub struct Pages {
    bytes: Vec<u8>,
    wanted: Range<usize>,
}

impl Deref for Pages {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[self.wanted.clone()]
    }
}

impl From<Vec<u8>> for Pages {
    fn from(bytes: Vec<u8>) -> Self {
        let wanted = 0..bytes.len();
        Self { bytes, wanted }
    }
}

/// A directory that this process has for itself while the value lives.
pub trait DirLock: Send + Sync + fmt::Debug {}
