//! The kernel's file system.
//!
//! Every file is closed on exec and readable by its owner only (mode 0600): the log holds what
//! clients wrote. The lock is `flock` on a file named `LOCK`, which the kernel releases however the
//! process ends.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io;
use std::num::NonZeroU64;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::buffer::spare_capacity;
use rustix::fs::{Advice, FallocateFlags, FlockOperation, Mode, OFlags};
use rustix::io::Errno;

use super::{DirLock, Disk, File, Pages};
use crate::error::{DiskError, Doing, OpenError};
use crate::map::Map;

/// The name of the file whose lock is the directory's.
const LOCK: &str = "LOCK";

/// Memory and positions of what passes by the kernel's cache are multiples of this.
const PAGE: usize = 4096;

/// Zeros are written in pieces of this size where a file system cannot allocate.
const ZEROS: usize = 1 << 20;

/// The kernel's file system.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealDisk;

impl RealDisk {
    fn open_with(options: &mut OpenOptions, doing: Doing, path: &Path) -> Result<Real, DiskError> {
        // The standard library sets O_CLOEXEC.
        let file = options
            .read(true)
            .write(true)
            .mode(0o600)
            .open(path)
            .doing(doing, path)?;
        Ok(Real {
            file,
            path: path.to_owned(),
        })
    }
}

impl Disk for RealDisk {
    fn create_dir(&self, dir: &Path) -> Result<(), DiskError> {
        let created = DirBuilder::new().mode(0o700).create(dir);
        match (
            created,
            dir.parent().filter(|parent| !parent.as_os_str().is_empty()),
        ) {
            (Err(error), _) if error.kind() == io::ErrorKind::AlreadyExists && dir.is_dir() => {
                Ok(())
            }
            (Err(error), Some(parent)) if error.kind() == io::ErrorKind::NotFound => {
                self.create_dir(parent)?;
                self.create_dir(dir)
            }
            (created, parent) => {
                created.doing(Doing::Create, dir)?;
                self.sync_dir(parent.unwrap_or(Path::new(".")))
            }
        }
    }

    fn lock(&self, dir: &Path) -> Result<Box<dyn DirLock>, OpenError> {
        let path = dir.join(LOCK);
        let mut options = OpenOptions::new();
        let lock = Self::open_with(options.create(true).truncate(false), Doing::Lock, &path)?;
        lock.locked(FlockOperation::NonBlockingLockExclusive)
    }

    fn lock_to_read(&self, dir: &Path) -> Result<Option<Box<dyn DirLock>>, OpenError> {
        let path = dir.join(LOCK);
        match fs::File::open(&path) {
            Ok(file) => {
                let lock = Real { file, path };
                lock.locked(FlockOperation::NonBlockingLockShared).map(Some)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(fault(Doing::Lock, &path, error).into()),
        }
    }

    fn create(&self, path: &Path, len: u64) -> Result<Arc<dyn File>, DiskError> {
        let file = Self::open_with(OpenOptions::new().create_new(true), Doing::Create, path)?;
        match file.allocate(len) {
            Ok(()) => Ok(Arc::new(file)),
            Err(refused) => {
                // The refusal is what the caller must hear of. A file left behind is a spare
                // without use, which the next start removes.
                let _ = fs::remove_file(path);
                Err(refused)
            }
        }
    }

    fn open(&self, path: &Path) -> Result<Arc<dyn File>, DiskError> {
        Ok(Arc::new(Self::open_with(
            &mut OpenOptions::new(),
            Doing::Open,
            path,
        )?))
    }

    fn open_to_read(&self, path: &Path) -> Result<Arc<dyn File>, DiskError> {
        let file = fs::File::open(path).doing(Doing::Open, path)?;
        Ok(Arc::new(Real {
            file,
            path: path.to_owned(),
        }))
    }

    fn list(&self, dir: &Path) -> Result<Vec<String>, DiskError> {
        let mut names = Vec::new();
        for entry in fs::read_dir(dir).doing(Doing::List, dir)? {
            names.extend(
                entry
                    .doing(Doing::List, dir)?
                    .file_name()
                    .into_string()
                    .ok(),
            );
        }
        names.sort_unstable();
        Ok(names)
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<(), DiskError> {
        fs::rename(from, to).doing(Doing::Rename, from)
    }

    fn link(&self, from: &Path, to: &Path) -> Result<(), DiskError> {
        fs::hard_link(from, to).doing(Doing::Link, to)
    }

    fn remove(&self, path: &Path) -> Result<(), DiskError> {
        fs::remove_file(path).doing(Doing::Remove, path)
    }

    fn remove_dir(&self, dir: &Path) -> Result<(), DiskError> {
        fs::remove_dir(dir).doing(Doing::Remove, dir)
    }

    fn sync_dir(&self, dir: &Path) -> Result<(), DiskError> {
        fs::File::open(dir)
            .and_then(|opened| opened.sync_all())
            .doing(Doing::Sync, dir)
    }

    fn can_keep(&self, bytes: u64) -> bool {
        let machine = rustix::system::sysinfo();
        let memory = machine.totalram * u64::from(machine.mem_unit);
        bytes <= memory / 2
    }

    fn free_bytes(&self, dir: &Path) -> Result<u64, DiskError> {
        let answer = rustix::fs::statvfs(dir).map_err(io::Error::from);
        let space = answer.doing(Doing::Measure, dir)?;
        // What the kernel keeps for the superuser is not ours.
        Ok(space.f_bavail.saturating_mul(space.f_frsize))
    }
}

/// An open file of the kernel's.
#[derive(Debug)]
struct Real {
    file: fs::File,
    path: PathBuf,
}

impl Real {
    /// The file as the lock of its directory.
    fn locked(self, operation: FlockOperation) -> Result<Box<dyn DirLock>, OpenError> {
        match rustix::fs::flock(&self.file, operation) {
            Ok(()) => Ok(Box::new(self)),
            Err(Errno::WOULDBLOCK) => Err(OpenError::Locked { path: self.path }),
            Err(errno) => Err(fault(Doing::Lock, &self.path, errno.into()).into()),
        }
    }

    /// The file once more, past the kernel's cache, if the file system can; whatever its name is by
    /// now, and whoever uses what is open already.
    fn direct(&self) -> Option<OwnedFd> {
        let access = rustix::fs::fcntl_getfl(&self.file).ok()? & OFlags::RWMODE;
        let itself = format!("/proc/self/fd/{}", self.file.as_raw_fd());
        let flags = access | OFlags::DIRECT | OFlags::CLOEXEC;
        rustix::fs::open(itself, flags, Mode::empty()).ok()
    }

    /// Fills pages, or the first `len` bytes of them where the file ends, from the device itself.
    /// Says whether that was possible.
    fn read_direct(&self, pos: u64, pages: &mut [u8], len: usize) -> bool {
        let Some(direct) = self.direct() else {
            return false;
        };
        let mut filled = 0;
        while filled < len {
            let at = pos + filled as u64;
            match rustix::io::pread(&direct, &mut pages[filled..], at) {
                Err(Errno::INTR) => {}
                Ok(0) | Err(_) => break,
                Ok(more) => filled += more,
            }
        }
        filled >= len
    }

    /// Writes pages to the device itself. Says how many bytes, which are whole pages.
    fn write_direct(&self, pos: u64, pages: &[u8]) -> usize {
        let Some(direct) = self.direct() else {
            return 0;
        };
        let mut written = 0;
        while written < pages.len() {
            let at = pos + written as u64;
            match rustix::io::pwrite(&direct, &pages[written..], at) {
                Err(Errno::INTR) => {}
                Ok(0) | Err(_) => break,
                Ok(more) => written += more,
            }
        }
        written - written % PAGE
    }
}

impl File for Real {
    fn len(&self) -> Result<u64, DiskError> {
        Ok(self.file.metadata().doing(Doing::Read, &self.path)?.len())
    }

    fn links(&self) -> Result<u64, DiskError> {
        let metadata = self.file.metadata().doing(Doing::Read, &self.path)?;
        Ok(metadata.nlink())
    }

    fn read_at(&self, pos: u64, into: &mut [u8]) -> Result<(), DiskError> {
        self.file
            .read_exact_at(into, pos)
            .doing(Doing::Read, &self.path)
    }

    fn read(&self, pos: u64, len: usize) -> Result<Vec<u8>, DiskError> {
        let mut into = Vec::with_capacity(len);
        while into.len() < len {
            let at = pos + into.len() as u64;
            let read = rustix::io::pread(&self.file, spare_capacity(&mut into), at);
            match read {
                Err(Errno::INTR) => {}
                Ok(0) => {
                    let end = io::Error::from(io::ErrorKind::UnexpectedEof);
                    return Err(fault(Doing::Read, &self.path, end));
                }
                read => drop(
                    read.map_err(io::Error::from)
                        .doing(Doing::Read, &self.path)?,
                ),
            }
        }
        // The allocator may have given more.
        into.truncate(len);
        Ok(into)
    }

    fn read_past_cache(&self, pos: u64, len: usize) -> Result<Pages, DiskError> {
        let skipped = usize::try_from(pos % PAGE as u64).expect("it is within a page");
        let whole = (skipped + len).next_multiple_of(PAGE);
        let mut bytes = vec![0; whole + PAGE];
        let first = bytes.as_ptr().align_offset(PAGE);
        let pages = &mut bytes[first..][..whole];
        if !self.read_direct(pos - skipped as u64, pages, skipped + len) {
            self.read_at(pos, &mut pages[skipped..][..len])?;
        }
        let from = first + skipped;
        Ok(Pages {
            bytes,
            wanted: from..from + len,
        })
    }

    fn will_read(&self, pos: u64, len: u64) {
        // Advice that is not taken costs time only.
        let _ = rustix::fs::fadvise(&self.file, pos, NonZeroU64::new(len), Advice::WillNeed);
    }

    fn write_at(&self, pos: u64, bytes: &[u8]) -> Result<(), DiskError> {
        // One write may take less than 2^31 bytes.
        const WRITE_MAX: usize = 1 << 30;
        let mut at = pos;
        for piece in bytes.chunks(WRITE_MAX) {
            let written = loop {
                match self.file.write_at(piece, at) {
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    other => break other.doing(Doing::Write, &self.path)?,
                }
            };
            if written < piece.len() {
                // The disk is full or failing. Going on might find out which, or hide it.
                let short = io::Error::new(io::ErrorKind::WriteZero, "only a part was written");
                return Err(fault(Doing::Write, &self.path, short));
            }
            at += written as u64;
        }
        Ok(())
    }

    fn write_past_cache(&self, pos: u64, bytes: &[u8]) -> Result<(), DiskError> {
        let mut written = 0;
        if pos.is_multiple_of(PAGE as u64) {
            let whole = bytes.len() - bytes.len() % PAGE;
            let mut aligned: Vec<u8> = Vec::with_capacity(whole + PAGE);
            let first = aligned.as_ptr().align_offset(PAGE);
            aligned.resize(first, 0);
            aligned.extend_from_slice(&bytes[..whole]);
            written = self.write_direct(pos, &aligned[first..]);
        }
        // The rest of a page, and what was refused: here it is said why.
        self.write_at(pos + written as u64, &bytes[written..])
    }

    fn allocate(&self, len: u64) -> Result<(), DiskError> {
        if len == 0 {
            // The kernel takes this for a mistake.
            return Ok(());
        }
        match rustix::fs::fallocate(&self.file, FallocateFlags::empty(), 0, len) {
            Ok(()) => Ok(()),
            Err(Errno::OPNOTSUPP) => {
                // Only bytes that are there are surely allocated.
                let zeros = vec![0; ZEROS];
                let mut pos = self.len()?;
                while pos < len {
                    let piece = usize::try_from(len - pos).map_or(ZEROS, |rest| rest.min(ZEROS));
                    self.write_at(pos, &zeros[..piece])?;
                    pos += piece as u64;
                }
                Ok(())
            }
            Err(errno) => Err(fault(Doing::Allocate, &self.path, errno.into())),
        }
    }

    fn set_len(&self, len: u64) -> Result<(), DiskError> {
        self.file.set_len(len).doing(Doing::Resize, &self.path)
    }

    fn sync_data(&self) -> Result<(), DiskError> {
        self.file.sync_data().doing(Doing::Sync, &self.path)
    }

    fn map(&self, len: u64, settled: u64) -> Result<Map, DiskError> {
        let [len, settled] = [len, settled]
            .map(|bytes| usize::try_from(bytes).expect("a segment fits into the address space"));
        Map::of_file(&self.file, len, settled).doing(Doing::Map, &self.path)
    }
}

impl DirLock for Real {}

fn fault(doing: Doing, path: &Path, source: io::Error) -> DiskError {
    DiskError {
        doing,
        path: path.to_owned(),
        source,
    }
}

/// Adds to an error of the kernel's what was being done, and to what.
trait WhileDoing<T> {
    fn doing(self, doing: Doing, path: &Path) -> Result<T, DiskError>;
}

impl<T> WhileDoing<T> for io::Result<T> {
    fn doing(self, doing: Doing, path: &Path) -> Result<T, DiskError> {
        self.map_err(|source| fault(doing, path, source))
    }
}

#[cfg(test)]
mod tests {
    use super::{Advice, Disk, MetadataExt, PAGE, RealDisk, fs};
    use crate::error::{Doing, OpenError};

    #[test]
    fn a_created_file_is_private_allocated_and_zero() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        let file = RealDisk.create(&path, 10_000).unwrap();
        let metadata = fs::metadata(&path).unwrap();
        assert_eq!((metadata.mode() & 0o777, metadata.len()), (0o600, 10_000));
        assert!(metadata.blocks() * 512 >= 10_000);
        let mut bytes = [1; 100];
        file.read_at(9_900, &mut bytes).unwrap();
        assert_eq!(bytes, [0; 100]);
        assert_eq!(
            file.read_at(9_901, &mut bytes).unwrap_err().doing,
            Doing::Read
        );
        assert_eq!(RealDisk.create(&path, 1).unwrap_err().doing, Doing::Create);
    }

    #[test]
    fn what_the_kernel_keeps_no_copy_of_is_the_same() {
        const LEN: usize = 3 * PAGE + 100;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        let bytes: Vec<u8> = (0..=250).cycle().take(LEN).collect();
        let file = RealDisk.create(&path, LEN as u64).unwrap();
        file.write_at(0, &bytes).unwrap();
        file.sync_data().unwrap();
        let forget = || {
            let all = fs::File::open(&path).unwrap();
            rustix::fs::fadvise(&all, 0, None, Advice::DontNeed).unwrap();
        };
        for is_kept in [true, false] {
            for from in [0, 1, PAGE - 1, PAGE, 2 * PAGE + 50, LEN - 1] {
                for to in [1, PAGE, PAGE + 1, 3 * PAGE, LEN] {
                    if from < to {
                        if !is_kept {
                            forget();
                        }
                        let read = file.read_past_cache(from as u64, to - from).unwrap();
                        assert_eq!(*read, bytes[from..to], "{from}..{to}, {is_kept}");
                    }
                }
            }
            let beyond = file.read_past_cache(LEN as u64 - 9, 10);
            assert_eq!(beyond.unwrap_err().doing, Doing::Read);
        }
        assert!(RealDisk.can_keep(1 << 20) && !RealDisk.can_keep(u64::MAX));
    }

    #[test]
    fn what_is_written_past_the_cache_is_what_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        let file = RealDisk.create(&path, 10 * PAGE as u64).unwrap();
        let mut expected = vec![0; 10 * PAGE];
        for (nth, (from, len)) in (1..).zip([
            (0, 3 * PAGE + 5),
            (PAGE, PAGE),
            (3 * PAGE + 5, 2 * PAGE),
            (6 * PAGE, 0),
            (7 * PAGE, 100),
            (8 * PAGE, 2 * PAGE),
        ]) {
            expected[from..][..len].fill(nth);
            file.write_past_cache(from as u64, &vec![nth; len]).unwrap();
            assert!(*file.read(0, 10 * PAGE).unwrap() == expected, "{nth}");
        }
        drop(file);
        let read_only = RealDisk.open_to_read(&path).unwrap();
        let refused = read_only.write_past_cache(0, &[1; PAGE]).unwrap_err();
        assert_eq!(refused.doing, Doing::Write);
        assert_eq!(fs::read(&path).unwrap(), expected);
    }

    #[test]
    fn a_file_knows_how_many_names_it_has_and_a_file_system_its_space() {
        let dir = tempfile::tempdir().unwrap();
        let [first, second] = ["first", "second"].map(|name| dir.path().join(name));
        let file = RealDisk.create(&first, 1).unwrap();
        assert_eq!(file.links().unwrap(), 1);
        RealDisk.link(&first, &second).unwrap();
        assert_eq!(file.links().unwrap(), 2);
        assert_eq!(
            RealDisk.link(&first, &second).unwrap_err().doing,
            Doing::Link
        );
        RealDisk.remove(&first).unwrap();
        assert_eq!(RealDisk.open(&second).unwrap().links().unwrap(), 1);
        assert!(RealDisk.free_bytes(dir.path()).unwrap() > 0);
        let refused = RealDisk.free_bytes(&first).unwrap_err();
        assert_eq!(refused.doing, Doing::Measure);
    }

    #[test]
    fn a_refused_creation_leaves_no_file() {
        let dir = tempfile::tempdir().unwrap();
        let refused = RealDisk
            .create(&dir.path().join("file"), 1 << 60)
            .unwrap_err();
        assert_eq!(refused.doing, Doing::Allocate);
        assert_eq!(RealDisk.list(dir.path()).unwrap(), [""; 0]);
    }

    #[test]
    fn directories_are_created_with_their_parents_and_locked_once() {
        let temporary = tempfile::tempdir().unwrap();
        let dir = temporary.path().join("a/b");
        RealDisk.create_dir(&dir).unwrap();
        RealDisk.create_dir(&dir).unwrap();
        assert!(RealDisk.lock_to_read(&dir).unwrap().is_none());
        assert_eq!(RealDisk.list(&dir).unwrap(), [""; 0]);
        let lock = RealDisk.lock(&dir).unwrap();
        assert!(matches!(RealDisk.lock(&dir), Err(OpenError::Locked { .. })));
        let refused = RealDisk.lock_to_read(&dir);
        assert!(matches!(refused, Err(OpenError::Locked { .. })));
        drop(lock);
        let readers = [(); 2].map(|()| RealDisk.lock_to_read(&dir).unwrap().unwrap());
        assert!(matches!(RealDisk.lock(&dir), Err(OpenError::Locked { .. })));
        drop(readers);
        RealDisk.lock(&dir).unwrap();
        RealDisk.create(&dir.join("2"), 0).unwrap();
        RealDisk.create(&dir.join("1"), 0).unwrap();
        RealDisk.rename(&dir.join("2"), &dir.join("0")).unwrap();
        assert_eq!(RealDisk.list(&dir).unwrap(), ["0", "1", "LOCK"]);
        RealDisk.remove(&dir.join("0")).unwrap();
        RealDisk.sync_dir(&dir).unwrap();
        assert_eq!(
            RealDisk.open(&dir.join("0")).unwrap_err().doing,
            Doing::Open
        );
        let file = fs::File::create(dir.join("file")).unwrap();
        drop(file);
        assert_eq!(
            RealDisk.create_dir(&dir.join("file")).unwrap_err().doing,
            Doing::Create
        );
    }
}
