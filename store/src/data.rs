//! Settled entries: immutable files, each with extents of many streams.
//!
//! ```text
//!  DIR/00000000000000000007.data      [ stream 3: blocks, index ][ stream 9: block ] ... table
//!                  ^                         ^
//!          DataFile (shared) <----------- Extent (shared by a stream, its copies, its readers)
//!                                            |
//!          Reader (one access) --- Index, Block --- cache (a budget of bytes)
//!                                            |
//!                                    load: file -> checksum -> memory
//! ```
//!
//! An entry is first in the log only. Settling writes what is still alive of an old part of the log
//! into a data file, grouped by stream, so that a reader of one stream reads little else, the log
//! can be freed, and memory keeps about a hundred bytes for each extent, whatever it holds.
//!
//! What is where: `file`, `extent`, `index`, `envelope` and `block` are the format, outside in;
//! `writer` writes files, `verify` checks them, `load` reads blocks, `ahead` does before they are
//! wanted, `cache` keeps them, and `reader` is what an access has of all that.
//!
//! # Invariants
//!
//! * A file never changes. It is removed when nobody refers to it: no extent, no reader, no writer,
//!   no checkpoint.
//! * A number is never given to a second file.
//! * Nothing is handed out that does not match its checksum and its place.
//! * Files are opened to be read from and closed again: their number is not limited by descriptors.

mod ahead;
mod block;
mod cache;
mod envelope;
mod extent;
mod file;
mod index;
mod load;
mod reader;
#[cfg(test)]
mod tests;
mod verify;
mod writer;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use self::ahead::Ahead;
pub(crate) use self::block::{BlockEntry, NodeHead, NodePiece};
use self::cache::BlockCache;
pub(crate) use self::extent::{Extent, ExtentRow};
pub(crate) use self::file::{DataFile, Name};
pub(crate) use self::index::{BlockRow, Index};
pub use self::reader::{Cold, Loaded, Missing};
pub(crate) use self::reader::{Patience, Pinned, Reader};
pub(crate) use self::verify::verify;
pub(crate) use self::writer::FileWriter;
use crate::disk::Disk;
use crate::error::{DataError, DiskError};

/// How many may read at once, unless chance has them wait for each other.
const LOADERS: usize = 64;

/// The data files of a store.
pub(crate) struct Data {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    files: Mutex<Files>,
    cache: BlockCache,
    /// Taken by who loads, so that of many who want the same blocks one reads them.
    loading: [Mutex<()>; LOADERS],
    ahead: Arc<Ahead>,
    reads: Reads,
}

/// The files, by number.
struct Files {
    /// Those that belong to the store.
    known: BTreeMap<u64, Arc<DataFile>>,
    /// Those that the directory had, and that nobody has asked for.
    found: BTreeSet<Name>,
    /// Those from here on have been written since the start.
    written: u64,
    next: u64,
}

/// What has been read from disk.
#[derive(Default)]
struct Reads {
    count: AtomicU64,
    bytes: AtomicU64,
}

impl Reads {
    fn add(&self, bytes: u64) {
        self.count.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }
}

/// Figures about settled entries, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DataStats {
    /// Data files.
    pub files: usize,
    /// Their bytes.
    pub bytes: u64,
    /// Of these, the bytes of extents that something refers to.
    pub live_bytes: u64,
    /// Bytes of memory that blocks in the cache take.
    pub cache_bytes: u64,
    /// How many they may take.
    pub cache_budget: u64,
    /// Blocks that were in the cache when they were needed.
    pub cache_hits: u64,
    /// Blocks that were not.
    pub cache_misses: u64,
    /// Reads of data files.
    pub reads: u64,
    /// Bytes that they brought.
    pub read_bytes: u64,
}

impl Data {
    /// The data files in `dir`, which is created if need be. None of them belongs to the store
    /// before it is [adopted](Self::adopt).
    ///
    /// # Errors
    ///
    /// Whatever the disk refuses.
    pub(crate) fn open(
        disk: Arc<dyn Disk>,
        dir: &Path,
        cache_bytes: u64,
    ) -> Result<Arc<Self>, DiskError> {
        disk.create_dir(dir)?;
        let names = disk.list(dir)?;
        let found: BTreeSet<_> = names.iter().filter_map(|name| Name::parse(name)).collect();
        Ok(Self::with(disk, dir, found, cache_bytes))
    }

    /// For files in `dir` that are only read, one after the other, and belong to nobody here.
    pub(crate) fn to_read(disk: Arc<dyn Disk>, dir: &Path) -> Arc<Self> {
        Self::with(disk, dir, BTreeSet::new(), 1 << 20)
    }

    fn with(disk: Arc<dyn Disk>, dir: &Path, found: BTreeSet<Name>, cache_bytes: u64) -> Arc<Self> {
        let last = found.iter().map(|name| name.number()).max();
        Arc::new(Self {
            disk,
            dir: dir.to_owned(),
            files: Mutex::new(Files {
                known: BTreeMap::new(),
                found,
                written: 0,
                next: last.map_or(1, |last| last + 1),
            }),
            cache: BlockCache::new(cache_bytes),
            loading: std::array::from_fn(|_| Mutex::default()),
            ahead: Arc::default(),
            reads: Reads::default(),
        })
    }

    /// Makes the file of this number and length, which a checkpoint names, one of the store's. It
    /// may be already.
    ///
    /// # Errors
    ///
    /// When there is no such file.
    pub(crate) fn adopt(&self, number: u64, len: u64) -> Result<Arc<DataFile>, DataError> {
        let file = Arc::new(DataFile::new(&self.dir, number, len));
        file.check(&*self.disk)?;
        let mut files = self.files.lock();
        files.found.remove(&Name::Whole(number));
        files.written = files.written.max(number.saturating_add(1));
        files.next = files.next.max(files.written);
        Ok(files.known.entry(number).or_insert(file).clone())
    }

    /// The number that the next file will get, at least.
    pub(crate) fn next_number(&self) -> u64 {
        self.files.lock().next
    }

    /// Gives no number below `next` any more: a checkpoint knows which were given, even where the
    /// files are gone.
    pub(crate) fn skip_numbers(&self, next: u64) {
        let mut files = self.files.lock();
        files.next = files.next.max(next);
    }

    /// Removes what the directory had when it was opened and nobody adopted, except the files that
    /// are to be kept; how many there were.
    ///
    /// # Errors
    ///
    /// Whatever the disk refuses first. The others are removed all the same.
    pub(crate) fn remove_orphans(&self, keep: impl Fn(u64) -> bool) -> Result<usize, DiskError> {
        let orphans = {
            let mut files = self.files.lock();
            let all = std::mem::take(&mut files.found).into_iter();
            let (kept, orphans): (BTreeSet<_>, BTreeSet<_>) =
                all.partition(|name| matches!(name, Name::Whole(number) if keep(*number)));
            files.found = kept;
            orphans
        };
        let paths = orphans.iter().map(|name| name.path(&self.dir));
        self.remove(paths)
    }

    /// Begins a new file.
    ///
    /// # Errors
    ///
    /// Whatever the disk refuses. There is no file then.
    pub(crate) fn create_file(self: &Arc<Self>) -> Result<FileWriter, DiskError> {
        let number = {
            let mut files = self.files.lock();
            let number = files.next;
            files.next += 1;
            number
        };
        FileWriter::create(self, number)
    }

    /// Removes the files to which nobody refers any more, neither in memory nor, as `referenced`
    /// says, in a checkpoint; how many there were.
    ///
    /// # Errors
    ///
    /// Whatever the disk refuses first. The others are removed all the same; those that stay are
    /// removed at the next start.
    pub(crate) fn remove_unused(
        &self,
        referenced: impl Fn(u64) -> bool,
    ) -> Result<usize, DiskError> {
        let unused: Vec<_> = {
            let mut files = self.files.lock();
            let unused = files.known.extract_if(.., |number, file| {
                // The only reference left is ours, and nobody gets one but from others and us.
                Arc::strong_count(file) == 1 && !referenced(*number)
            });
            unused.map(|(_, file)| file).collect()
        };
        if unused.is_empty() {
            return Ok(0);
        }
        let numbers: BTreeSet<_> = unused.iter().map(|file| file.number()).collect();
        self.cache.forget(|number| numbers.contains(&number));
        self.remove(unused.iter().map(|file| file.path().to_owned()))
    }

    /// Every file of the store.
    pub(crate) fn files(&self) -> Vec<Arc<DataFile>> {
        self.files.lock().known.values().cloned().collect()
    }

    /// Whether the kernel should keep what is read of a file, and has the memory to keep it until
    /// it is read again. If not, to read it past the kernel's cache costs less and pushes nothing
    /// out.
    ///
    /// What has been written since the start is there already, unless too much was written after
    /// it. Of what was there before, most is a backlog that is read once; what was scanned before
    /// is likely to be read often. If all that is more than the kernel can keep, somebody who reads
    /// one file after the other never comes to one that still is in memory.
    fn is_kept(&self, file: &DataFile) -> bool {
        let bytes = {
            let files = self.files.lock();
            let is_new = file.number() >= files.written;
            if !is_new && !file.was_scanned() {
                return false;
            }
            let first = if is_new { file.number() } else { 0 };
            let rest = files.known.range(first..);
            rest.map(|(_, file)| file.len()).sum()
        };
        self.disk.can_keep(bytes)
    }

    /// Whether there is any data file.
    pub(crate) fn has_files(&self) -> bool {
        !self.files.lock().known.is_empty()
    }

    /// Limits the memory of the cache from now on.
    pub(crate) fn set_cache_bytes(&self, bytes: u64) {
        self.cache.set_budget(bytes);
    }

    /// Figures.
    pub(crate) fn stats(&self) -> DataStats {
        let (files, bytes, live_bytes) = {
            let files = self.files.lock();
            let all = files.known.values();
            let bytes = all.clone().map(|file| file.len()).sum();
            let live = all.clone().map(|file| file.live()).sum();
            (all.len(), bytes, live)
        };
        DataStats {
            files,
            bytes,
            live_bytes,
            cache_bytes: self.cache.memory(),
            cache_budget: self.cache.budget(),
            cache_hits: self.cache.hits(),
            cache_misses: self.cache.misses(),
            reads: self.reads.count.load(Ordering::Relaxed),
            read_bytes: self.reads.bytes.load(Ordering::Relaxed),
        }
    }

    fn add(&self, file: Arc<DataFile>) {
        self.files.lock().known.insert(file.number(), file);
    }

    fn remove(&self, paths: impl Iterator<Item = PathBuf>) -> Result<usize, DiskError> {
        let (mut removed, mut refused) = (0, None);
        for path in paths {
            match self.disk.remove(&path) {
                Ok(()) => removed += 1,
                Err(fault) => refused = refused.or(Some(fault)),
            }
        }
        if removed > 0 {
            self.disk.sync_dir(&self.dir)?;
        }
        refused.map_or(Ok(removed), Err)
    }
}

impl Drop for Data {
    fn drop(&mut self) {
        self.ahead.close();
    }
}
