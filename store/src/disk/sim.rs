//! A file system in memory that loses, tears and refuses on request.
//!
//! # The fault model
//!
//! **What a file is.** Two images of its bytes: `now`, which reads see (the page cache), and
//! `durable`, which is on the disk; and between them the writes since the last sync, in order.
//! Memory is tracked in pages of 4096 bytes, the disk writes sectors of 512.
//!
//! **What a sync does.** It copies every page that was written since the last one from `now` to
//! `durable`, and the length. When it fails (by injection), nothing is copied *and the pages count
//! as clean*: a later sync that succeeds does not bring them to the disk. Linux does that.
//!
//! **What a crash leaves** ([`SimDisk::after_crash`]). Each unit of loss (a page, or a sector for
//! torn pages) that was written since the last sync keeps, independently of all others, some prefix
//! of the writes that touched it: none of them, all of them, or an older version in between. Writes
//! are thus reordered and torn across units, never within a sector. The length keeps some prefix of
//! its changes.
//!
//! **Names.** Creating, renaming and removing change a directory at once, and durably when the
//! directory is synced. After a crash each change since then is kept or lost, independently. A
//! rename is atomic: both of its halves are. Syncing a file does not sync its name. Directories are
//! made, renamed and removed durably.
//!
//! **What a kill leaves** ([`SimDisk::after_kill`]). Everything: the kernel lives on. Only locks
//! are gone.
//!
//! **Refusals.** Every call has a number. From a given number on, all can fail as if the machine
//! had stopped; a call with a given number can fail, once or for ever from then on. A short write
//! writes the first half. Space is counted by allocation: what fits into the allocated part of a
//! file never lacks space.
//!
//! **Damage** is done by hand: [`SimDisk::flip`], [`SimDisk::truncate`]. It reaches both images.
//!
//! What is not modelled: sectors torn within, syncs that lie, reads that return other bytes than
//! were written, files whose removal was undone with half of their bytes.

mod image;
mod world;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use rustix::io::Errno;

use self::image::Image;
use self::world::{Dice, Directory, Inode, NameChange, World, fault, name_of, to_usize};
use super::{DirLock, Disk, File};
use crate::error::{DiskError, Doing, OpenError};
use crate::map::Map;

const PAGE: usize = 4096;
const SECTOR: usize = 512;

/// What a crash does to what was not synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// Nothing is lost.
    Nothing,
    /// Everything is lost.
    All,
    /// Each page keeps some prefix of its writes; the seed decides which.
    Pages(u64),
    /// Each sector keeps some prefix of its writes; the seed decides which.
    Sectors(u64),
}

/// How a call fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// `EIO`: the device failed.
    Io,
    /// `ENOSPC`: no space is left.
    NoSpace,
    /// `EROFS`: the file system has become read-only.
    ReadOnly,
    /// A write takes the first half of its bytes. Other calls fail with `EIO`.
    ShortWrite,
}

impl Fault {
    fn errno(self) -> Errno {
        match self {
            Self::Io | Self::ShortWrite => Errno::IO,
            Self::NoSpace => Errno::NOSPC,
            Self::ReadOnly => Errno::ROFS,
        }
    }
}

/// For how long calls fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeat {
    /// The one call.
    Once,
    /// That call and all after it.
    Forever,
}

/// One call, as the record of calls keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// What was asked.
    pub doing: Doing,
    /// Of which file or directory.
    pub path: PathBuf,
}

/// A file system in memory. Clones are handles to the same one.
#[derive(Clone, Default)]
pub struct SimDisk {
    world: Arc<Mutex<World>>,
}

impl SimDisk {
    /// An empty disk with one directory, `/`, and no limit.
    #[must_use]
    pub fn new() -> Self {
        let disk = Self::default();
        disk.world
            .lock()
            .directories
            .insert(PathBuf::from("/"), Directory::default());
        disk
    }

    /// The calls so far. The number of a call is its index.
    #[must_use]
    pub fn calls(&self) -> Vec<Call> {
        self.world.lock().calls.clone()
    }

    /// Stops the machine at the call with this number: it and all after it fail and do nothing.
    pub fn stop_at(&self, call: usize) {
        self.world.lock().stop_at = Some(call);
    }

    /// Makes the call with this number fail, and all after it if so wanted.
    pub fn fail(&self, call: usize, fault: Fault, repeat: Repeat) {
        self.world.lock().faults.push((call, fault, repeat));
    }

    /// Lets all calls succeed again.
    pub fn heal(&self) {
        let mut world = self.world.lock();
        world.stop_at = None;
        world.faults.clear();
    }

    /// Limits the bytes that can be allocated; `None` lifts the limit.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.world.lock().capacity = bytes;
    }

    /// Limits the bytes that the kernel can keep; `None` lifts the limit.
    pub fn set_memory(&self, bytes: Option<u64>) {
        self.world.lock().memory = bytes;
    }

    /// The bytes that are allocated.
    #[must_use]
    pub fn allocated(&self) -> u64 {
        self.world.lock().allocated()
    }

    /// Flips the bits of `mask` in the byte at `pos` of a file.
    ///
    /// # Panics
    ///
    /// When there is no such file or byte.
    pub fn flip(&self, path: &Path, pos: usize, mask: u8) {
        let mut world = self.world.lock();
        let inode = world.inode_of(path).expect("the file to damage exists");
        let file = world.inode(inode);
        let flip = |image: &mut Image| {
            let mut byte = [0];
            let there = image.read_at(pos, &mut byte);
            if there {
                image.write(pos, &[byte[0] ^ mask]);
            }
            there
        };
        assert!(flip(&mut file.now), "the byte to damage exists");
        flip(&mut file.durable);
    }

    /// Cuts a file down to `len` bytes.
    ///
    /// # Panics
    ///
    /// When there is no such file.
    pub fn truncate(&self, path: &Path, len: usize) {
        let mut world = self.world.lock();
        let inode = world.inode_of(path).expect("the file to damage exists");
        let file = world.inode(inode);
        for image in [&mut file.now, &mut file.durable] {
            image.resize(len.min(image.len()));
        }
    }

    /// The files and what reads of them see.
    #[must_use]
    pub fn files(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let world = self.world.lock();
        let mut files = BTreeMap::new();
        for (dir, directory) in &world.directories {
            for (name, inode) in &directory.now {
                let now = &world.inodes[inode].now;
                let bytes = now.read(0..now.len()).expect("it is as long as it is");
                files.insert(dir.join(name), bytes);
            }
        }
        files
    }

    /// Identifies the files, as far as 64 bits can: their names and what reads of them see.
    #[must_use]
    pub fn fingerprint(&self) -> u64 {
        let world = self.world.lock();
        let mut hash = DefaultHasher::new();
        for (dir, directory) in &world.directories {
            dir.hash(&mut hash);
            for (name, inode) in &directory.now {
                let now = &world.inodes[inode].now;
                (name, now.len(), crc32fast::hash(now.without_zeros())).hash(&mut hash);
            }
        }
        hash.finish()
    }

    /// What another process finds after this one was killed. A disk of its own: this one stays as
    /// it is.
    #[must_use]
    pub fn after_kill(&self) -> Self {
        let survivor = self.world.lock().survivor();
        Self {
            world: Arc::new(Mutex::new(survivor)),
        }
    }

    /// What the next boot finds after the power went. A disk of its own: this one stays as it is.
    #[must_use]
    pub fn after_crash(&self, loss: Loss) -> Self {
        let survivor = self.after_kill();
        {
            let mut world = survivor.world.lock();
            let mut dice = Dice::of(loss);
            for file in world.inodes.values_mut() {
                file.crash(loss, &mut dice);
            }
            for directory in world.directories.values_mut() {
                directory.crash(loss, &mut dice);
            }
            world.forget_unnamed();
        }
        survivor
    }
}

impl fmt::Debug for SimDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let world = self.world.lock();
        let names: Vec<_> = world
            .directories
            .values()
            .flat_map(|dir| dir.now.keys())
            .collect();
        f.debug_struct("SimDisk")
            .field("calls", &world.calls.len())
            .field("files", &names)
            .finish()
    }
}

impl Disk for SimDisk {
    fn create_dir(&self, dir: &Path) -> Result<(), DiskError> {
        let mut world = self.world.lock();
        world.plain(Doing::Create, dir)?;
        for dir in dir.ancestors().filter(|dir| !dir.as_os_str().is_empty()) {
            world.directories.entry(dir.to_owned()).or_default();
        }
        Ok(())
    }

    fn lock(&self, dir: &Path) -> Result<Box<dyn DirLock>, OpenError> {
        let mut world = self.world.lock();
        let path = dir.join("LOCK");
        world.plain(Doing::Lock, &path)?;
        if world.locked.insert(dir.to_owned()) {
            Ok(Box::new(SimLock {
                disk: self.clone(),
                dir: dir.to_owned(),
            }))
        } else {
            Err(OpenError::Locked { path })
        }
    }

    fn create(&self, path: &Path, len: u64) -> Result<Arc<dyn File>, DiskError> {
        let mut world = self.world.lock();
        world.plain(Doing::Create, path)?;
        let refuse = |source| fault(Doing::Create, path, source);
        let name = name_of(path);
        let inode = world.inodes_made;
        let directory = world
            .directory_of(path)
            .ok_or_else(|| refuse(Errno::NOENT.into()))?;
        if directory.now.contains_key(&name) {
            return Err(refuse(Errno::EXIST.into()));
        }
        directory.change(NameChange::Created {
            name: name.clone(),
            inode,
        });
        world.inodes_made += 1;
        world.inodes.insert(inode, Inode::default());
        if let Err(full) = world.grow(inode, len) {
            let directory = world.directory_of(path).expect("the directory was there");
            directory.change(NameChange::Removed { name });
            return Err(fault(Doing::Allocate, path, full));
        }
        world.inode(inode).set_len(to_usize(len));
        Ok(self.file(inode, path))
    }

    fn open(&self, path: &Path) -> Result<Arc<dyn File>, DiskError> {
        let mut world = self.world.lock();
        world.plain(Doing::Open, path)?;
        match world.inode_of(path) {
            Some(inode) => Ok(self.file(inode, path)),
            None => Err(fault(Doing::Open, path, Errno::NOENT.into())),
        }
    }

    fn list(&self, dir: &Path) -> Result<Vec<String>, DiskError> {
        let mut world = self.world.lock();
        world.plain(Doing::List, dir)?;
        let Some(directory) = world.directories.get(dir) else {
            return Err(fault(Doing::List, dir, Errno::NOENT.into()));
        };
        let dirs = world.directories.keys();
        let dirs = dirs.filter(|other| other.parent() == Some(dir));
        let dirs = dirs.map(|other| name_of(other));
        let names: BTreeSet<String> = directory.now.keys().cloned().chain(dirs).collect();
        Ok(names.into_iter().collect())
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<(), DiskError> {
        assert_eq!(
            from.parent(),
            to.parent(),
            "renames stay in their directory"
        );
        let mut world = self.world.lock();
        world.plain(Doing::Rename, from)?;
        if world.directories.contains_key(from) {
            let moved = world.move_dir(from, to);
            return moved.map_err(|source| fault(Doing::Rename, from, source));
        }
        let inode = world.inode_of(from);
        let inode = inode.ok_or_else(|| fault(Doing::Rename, from, Errno::NOENT.into()))?;
        let directory = world
            .directory_of(from)
            .expect("a named file is in a directory");
        directory.change(NameChange::Renamed {
            from: name_of(from),
            to: name_of(to),
            inode,
        });
        Ok(())
    }

    fn link(&self, from: &Path, to: &Path) -> Result<(), DiskError> {
        let mut world = self.world.lock();
        world.plain(Doing::Link, to)?;
        let refuse = |errno: Errno| fault(Doing::Link, to, errno.into());
        let inode = world.inode_of(from).ok_or_else(|| refuse(Errno::NOENT))?;
        let name = name_of(to);
        let directory = world.directory_of(to);
        let directory = directory.ok_or_else(|| refuse(Errno::NOENT))?;
        if directory.now.contains_key(&name) {
            return Err(refuse(Errno::EXIST));
        }
        directory.change(NameChange::Created { name, inode });
        Ok(())
    }

    fn remove(&self, path: &Path) -> Result<(), DiskError> {
        let mut world = self.world.lock();
        world.plain(Doing::Remove, path)?;
        if world.inode_of(path).is_none() {
            return Err(fault(Doing::Remove, path, Errno::NOENT.into()));
        }
        let directory = world
            .directory_of(path)
            .expect("a named file is in a directory");
        directory.change(NameChange::Removed {
            name: name_of(path),
        });
        Ok(())
    }

    fn remove_dir(&self, dir: &Path) -> Result<(), DiskError> {
        let mut world = self.world.lock();
        world.plain(Doing::Remove, dir)?;
        let refuse = |errno: Errno| fault(Doing::Remove, dir, errno.into());
        match world.is_empty(dir) {
            None => return Err(refuse(Errno::NOENT)),
            Some(false) => return Err(refuse(Errno::NOTEMPTY)),
            Some(true) => {}
        }
        world.directories.remove(dir);
        Ok(())
    }

    fn sync_dir(&self, dir: &Path) -> Result<(), DiskError> {
        let mut world = self.world.lock();
        let failure = world.call(Doing::Sync, dir)?;
        let Some(directory) = world.directories.get_mut(dir) else {
            return Err(fault(Doing::Sync, dir, Errno::NOENT.into()));
        };
        if let Some(failure) = failure {
            return Err(fault(Doing::Sync, dir, failure.errno().into()));
        }
        directory.unsynced.clear();
        directory.durable = directory.now.clone();
        Ok(())
    }

    fn can_keep(&self, bytes: u64) -> bool {
        self.world
            .lock()
            .memory
            .is_none_or(|memory| bytes <= memory)
    }

    fn free_bytes(&self, dir: &Path) -> Result<u64, DiskError> {
        let mut world = self.world.lock();
        world.plain(Doing::Measure, dir)?;
        let capacity = world.capacity.unwrap_or(u64::MAX);
        Ok(capacity.saturating_sub(world.allocated()))
    }
}

impl SimDisk {
    fn file(&self, inode: u64, path: &Path) -> Arc<dyn File> {
        Arc::new(SimFile {
            disk: self.clone(),
            inode,
            path: path.to_owned(),
        })
    }
}

#[derive(Debug)]
struct SimFile {
    disk: SimDisk,
    inode: u64,
    path: PathBuf,
}

impl SimFile {
    fn fault(&self, doing: Doing, source: io::Error) -> DiskError {
        fault(doing, &self.path, source)
    }
}

impl File for SimFile {
    fn len(&self) -> Result<u64, DiskError> {
        let mut world = self.disk.world.lock();
        world.plain(Doing::Read, &self.path)?;
        Ok(world.inode(self.inode).now.len() as u64)
    }

    fn links(&self) -> Result<u64, DiskError> {
        let mut world = self.disk.world.lock();
        world.plain(Doing::Read, &self.path)?;
        let names = world.directories.values().flat_map(|dir| dir.now.values());
        Ok(names.filter(|inode| **inode == self.inode).count() as u64)
    }

    fn read_at(&self, pos: u64, into: &mut [u8]) -> Result<(), DiskError> {
        let mut world = self.disk.world.lock();
        world.plain(Doing::Read, &self.path)?;
        let pos = to_usize(pos);
        if world.inode(self.inode).now.read_at(pos, into) {
            Ok(())
        } else {
            Err(self.fault(Doing::Read, io::ErrorKind::UnexpectedEof.into()))
        }
    }

    fn write_at(&self, pos: u64, bytes: &[u8]) -> Result<(), DiskError> {
        let mut world = self.disk.world.lock();
        let short = world.call(Doing::Write, &self.path)?.is_some();
        let taken = if short {
            &bytes[..bytes.len() / 2]
        } else {
            bytes
        };
        world
            .grow(self.inode, pos + taken.len() as u64)
            .map_err(|full| self.fault(Doing::Write, full))?;
        world.inode(self.inode).write(to_usize(pos), taken);
        if short {
            return Err(self.fault(Doing::Write, io::ErrorKind::WriteZero.into()));
        }
        Ok(())
    }

    fn allocate(&self, len: u64) -> Result<(), DiskError> {
        let mut world = self.disk.world.lock();
        world.plain(Doing::Allocate, &self.path)?;
        world
            .grow(self.inode, len)
            .map_err(|full| self.fault(Doing::Allocate, full))?;
        let file = world.inode(self.inode);
        file.set_len(file.now.len().max(to_usize(len)));
        Ok(())
    }

    fn set_len(&self, len: u64) -> Result<(), DiskError> {
        let mut world = self.disk.world.lock();
        world.plain(Doing::Resize, &self.path)?;
        world
            .grow(self.inode, len)
            .map_err(|full| self.fault(Doing::Resize, full))?;
        let file = world.inode(self.inode);
        file.set_len(to_usize(len));
        file.allocated = len;
        Ok(())
    }

    fn sync_data(&self) -> Result<(), DiskError> {
        let mut world = self.disk.world.lock();
        let failure = world.call(Doing::Sync, &self.path)?;
        let file = world.inode(self.inode);
        if let Some(failure) = failure {
            file.forget_unsynced();
            return Err(self.fault(Doing::Sync, failure.errno().into()));
        }
        file.sync();
        Ok(())
    }

    fn map(&self, len: u64, settled: u64) -> Result<Map, DiskError> {
        let mut world = self.disk.world.lock();
        world.plain(Doing::Map, &self.path)?;
        let file = world.inode(self.inode);
        assert!(
            settled <= len && to_usize(len) <= file.now.len(),
            "a map is of bytes that exist"
        );
        let settled = file.now.read(0..to_usize(settled));
        Ok(Map::of_copies(settled.expect("it has been checked")))
    }
}

#[derive(Debug)]
struct SimLock {
    disk: SimDisk,
    dir: PathBuf,
}

impl DirLock for SimLock {}

impl Drop for SimLock {
    fn drop(&mut self) {
        self.disk.world.lock().locked.remove(&self.dir);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::{Arc, Disk, Fault, File, Loss, PAGE, Repeat, SECTOR, SimDisk};

    const A: &str = "/a";
    const B: &str = "/b";

    fn disk_with(len: u64) -> (SimDisk, Arc<dyn File>) {
        let disk = SimDisk::new();
        let file = disk.create(Path::new(A), len).unwrap();
        file.sync_data().unwrap();
        disk.sync_dir(Path::new("/")).unwrap();
        (disk, file)
    }

    fn bytes(disk: &SimDisk, path: &str) -> Option<Vec<u8>> {
        disk.files().get(Path::new(path)).cloned()
    }

    #[test]
    fn only_what_was_synced_survives_the_worst_crash() {
        let (disk, file) = disk_with(4);
        file.write_at(0, b"12").unwrap();
        file.sync_data().unwrap();
        file.write_at(2, b"34").unwrap();
        assert_eq!(bytes(&disk, A).unwrap(), b"1234");
        assert_eq!(bytes(&disk.after_kill(), A).unwrap(), b"1234");
        assert_eq!(bytes(&disk.after_crash(Loss::Nothing), A).unwrap(), b"1234");
        assert_eq!(bytes(&disk.after_crash(Loss::All), A).unwrap(), b"12\0\0");
        // What a crash left is durable.
        let kept = disk.after_crash(Loss::Nothing);
        assert_eq!(bytes(&kept.after_crash(Loss::All), A).unwrap(), b"1234");
    }

    #[test]
    fn each_unit_keeps_a_prefix_of_its_writes() {
        let (disk, file) = disk_with(PAGE as u64);
        file.write_at(0, &[1; PAGE]).unwrap();
        file.write_at(0, &[2; PAGE]).unwrap();
        let image = |loss| bytes(&disk.after_crash(loss), A).unwrap();
        let pages: BTreeSet<_> = (0..50).map(|seed| image(Loss::Pages(seed))).collect();
        assert_eq!(pages, [0, 1, 2].map(|byte| vec![byte; PAGE]).into());
        let torn = image(Loss::Sectors(1));
        let sectors: BTreeSet<_> = torn.chunks(SECTOR).map(<[u8]>::to_vec).collect();
        assert_eq!(sectors, [0, 1, 2].map(|byte| vec![byte; SECTOR]).into());
        assert_eq!(torn, image(Loss::Sectors(1)), "a seed says everything");
    }

    #[test]
    fn names_survive_if_the_directory_was_synced() {
        let (disk, _) = disk_with(1);
        disk.rename(Path::new(A), Path::new(B)).unwrap();
        let names = |loss| {
            disk.after_crash(loss)
                .files()
                .into_keys()
                .collect::<Vec<_>>()
        };
        assert_eq!(names(Loss::Nothing), [Path::new(B)]);
        assert_eq!(names(Loss::All), [Path::new(A)]);
        let either: BTreeSet<_> = (0..50).map(|seed| names(Loss::Pages(seed))).collect();
        assert_eq!(either.len(), 2, "a rename is atomic: {either:?}");
        disk.sync_dir(Path::new("/")).unwrap();
        assert_eq!(names(Loss::All), [Path::new(B)]);
    }

    #[test]
    fn a_file_may_have_several_names() {
        let (disk, file) = disk_with(10);
        disk.link(Path::new(A), Path::new(B)).unwrap();
        assert!(disk.link(Path::new(A), Path::new(B)).is_err());
        assert_eq!((file.links().unwrap(), disk.allocated()), (2, 10));
        file.write_at(0, b"12").unwrap();
        assert_eq!(bytes(&disk, B), bytes(&disk, A));
        assert_eq!(bytes(&disk.after_crash(Loss::All), B), None);
        disk.remove(Path::new(A)).unwrap();
        assert_eq!((file.links().unwrap(), disk.allocated()), (1, 10));
        disk.set_capacity(Some(12));
        assert_eq!(disk.free_bytes(Path::new("/")).unwrap(), 2);
    }

    #[test]
    fn a_failed_sync_makes_nothing_durable_and_nor_does_the_next() {
        let (disk, file) = disk_with(4);
        file.write_at(0, b"1234").unwrap();
        disk.fail(disk.calls().len(), Fault::Io, Repeat::Once);
        assert!(file.sync_data().is_err());
        file.sync_data().unwrap();
        assert_eq!(bytes(&disk, A).unwrap(), b"1234");
        assert_eq!(bytes(&disk.after_crash(Loss::Nothing), A).unwrap(), [0; 4]);
        file.write_at(0, b"1").unwrap();
        file.sync_data().unwrap();
        assert_eq!(
            bytes(&disk.after_crash(Loss::All), A).unwrap(),
            b"1234",
            "pages are whole"
        );
    }

    #[test]
    fn calls_fail_when_they_are_told_to() {
        let (disk, file) = disk_with(4);
        let next = disk.calls().len();
        disk.fail(next, Fault::ShortWrite, Repeat::Once);
        disk.fail(next + 2, Fault::NoSpace, Repeat::Forever);
        assert!(file.write_at(0, b"1234").is_err());
        assert_eq!(bytes(&disk, A).unwrap(), b"12\0\0");
        file.write_at(0, b"5").unwrap();
        assert!(file.write_at(0, b"6").unwrap_err().is_shortage());
        assert!(disk.open(Path::new(A)).unwrap_err().is_shortage());
        disk.heal();
        disk.stop_at(disk.calls().len());
        assert!(!disk.list(Path::new("/")).unwrap_err().is_shortage());
        assert_eq!(bytes(&disk, A).unwrap(), b"52\0\0");
    }

    #[test]
    fn space_is_counted_by_allocation() {
        let (disk, file) = disk_with(100);
        disk.set_capacity(Some(150));
        assert!(disk.create(Path::new(B), 51).unwrap_err().is_shortage());
        assert_eq!(bytes(&disk, B), None);
        file.write_at(0, &[1; 100]).unwrap();
        assert!(file.write_at(100, &[1; 51]).unwrap_err().is_shortage());
        file.allocate(150).unwrap();
        file.write_at(100, &[1; 50]).unwrap();
        assert_eq!(disk.allocated(), 150);
        disk.remove(Path::new(A)).unwrap();
        assert_eq!(disk.allocated(), 0);
    }
}
