//! What happens between two calls of the disk, without threads: a disk calls the test back from the
//! middle of a write or a sync.

use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex};

use headwater_store::disk::{DirLock, Disk, File, Loss, SimDisk};
use headwater_store::error::{DiskError, Doing, OpenError};
use headwater_store::log::{Log, LogOptions, SyncPolicy};
use headwater_store::map::Map;

use crate::support::{SMALL, append, dir, open, open_in};

type Hook = Box<dyn FnOnce() + Send>;

/// A disk that calls back, once, after the next write or sync of a file, but before the log knows.
#[derive(Clone, Default)]
struct CallingBack {
    disk: SimDisk,
    hook: Arc<Mutex<Option<(Doing, Hook)>>>,
}

impl CallingBack {
    fn new() -> Self {
        Self {
            disk: SimDisk::new(),
            hook: Arc::default(),
        }
    }

    fn after(&self, doing: Doing, hook: impl FnOnce() + Send + 'static) {
        *self.hook.lock().unwrap() = Some((doing, Box::new(hook)));
    }

    fn call_back(&self, doing: Doing) {
        let hook = self
            .hook
            .lock()
            .unwrap()
            .take_if(|(wanted, _)| *wanted == doing);
        if let Some((_, hook)) = hook {
            hook();
        }
    }

    fn wrap(&self, file: Arc<dyn File>) -> Arc<dyn File> {
        Arc::new(Wrapped {
            file,
            disk: self.clone(),
        })
    }
}

impl fmt::Debug for CallingBack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.disk.fmt(f)
    }
}

impl Disk for CallingBack {
    fn create_dir(&self, dir: &Path) -> Result<(), DiskError> {
        self.disk.create_dir(dir)
    }
    fn lock(&self, dir: &Path) -> Result<Box<dyn DirLock>, OpenError> {
        self.disk.lock(dir)
    }
    fn create(&self, path: &Path, len: u64) -> Result<Arc<dyn File>, DiskError> {
        Ok(self.wrap(self.disk.create(path, len)?))
    }
    fn open(&self, path: &Path) -> Result<Arc<dyn File>, DiskError> {
        Ok(self.wrap(self.disk.open(path)?))
    }
    fn list(&self, dir: &Path) -> Result<Vec<String>, DiskError> {
        self.disk.list(dir)
    }
    fn rename(&self, from: &Path, to: &Path) -> Result<(), DiskError> {
        self.disk.rename(from, to)
    }
    fn remove(&self, path: &Path) -> Result<(), DiskError> {
        self.disk.remove(path)
    }
    fn link(&self, from: &Path, to: &Path) -> Result<(), DiskError> {
        self.disk.link(from, to)
    }
    fn remove_dir(&self, dir: &Path) -> Result<(), DiskError> {
        self.disk.remove_dir(dir)
    }

    fn sync_dir(&self, dir: &Path) -> Result<(), DiskError> {
        self.disk.sync_dir(dir)
    }
    fn free_bytes(&self, dir: &Path) -> Result<u64, DiskError> {
        self.disk.free_bytes(dir)
    }
}

#[derive(Debug)]
struct Wrapped {
    file: Arc<dyn File>,
    disk: CallingBack,
}

impl File for Wrapped {
    fn len(&self) -> Result<u64, DiskError> {
        self.file.len()
    }
    fn links(&self) -> Result<u64, DiskError> {
        self.file.links()
    }
    fn read_at(&self, pos: u64, into: &mut [u8]) -> Result<(), DiskError> {
        self.file.read_at(pos, into)
    }
    fn write_at(&self, pos: u64, bytes: &[u8]) -> Result<(), DiskError> {
        self.file.write_at(pos, bytes)?;
        self.disk.call_back(Doing::Write);
        Ok(())
    }
    fn allocate(&self, len: u64) -> Result<(), DiskError> {
        self.file.allocate(len)
    }
    fn set_len(&self, len: u64) -> Result<(), DiskError> {
        self.file.set_len(len)
    }
    fn sync_data(&self) -> Result<(), DiskError> {
        self.file.sync_data()?;
        self.disk.call_back(Doing::Sync);
        Ok(())
    }
    fn will_read(&self, pos: u64, len: u64) {
        self.file.will_read(pos, len);
    }
    fn map(&self, len: u64, settled: u64) -> Result<Map, DiskError> {
        self.file.map(len, settled)
    }
}

fn open_calling_back(policy: SyncPolicy) -> (CallingBack, Arc<Log>) {
    let disk = CallingBack::new();
    let shared: Arc<dyn Disk> = Arc::new(disk.clone());
    let (log, _) = open_in(&shared, &dir(), &LogOptions { policy, ..SMALL }).unwrap();
    (disk, log)
}

#[test]
fn what_is_written_during_a_sync_belongs_to_the_next_one() {
    let (disk, log) = open_calling_back(SyncPolicy::Always);
    append(&log, b"before");
    let before = log.appended();
    let late = log.clone();
    disk.after(Doing::Sync, move || {
        append(&late, b"during");
        assert!(
            late.try_write().unwrap(),
            "writing does not wait for a sync"
        );
        assert_eq!(late.written(), late.appended());
    });
    log.sync().unwrap();
    assert_eq!(log.durable(), before);
    let (_, replayed) = open(&disk.disk.after_crash(Loss::All), &SMALL);
    assert_eq!(replayed.len(), 1);
    log.sync().unwrap();
    assert_eq!(log.durable(), log.appended());
}

#[test]
fn who_finds_the_writer_taken_is_written_for() {
    for sync in [false, true] {
        let (disk, log) = open_calling_back(SyncPolicy::EverySec);
        append(&log, b"first");
        let late = log.clone();
        disk.after(Doing::Write, move || {
            let at = append(&late, b"late");
            assert!(!late.try_write().unwrap(), "another thread is writing");
            assert!(late.read(at, |bytes| bytes.starts_with(b"late")));
        });
        if sync {
            log.sync().map(drop)
        } else {
            log.try_write().map(drop)
        }
        .unwrap();
        assert_eq!(log.written(), log.appended());
    }
}

#[test]
fn a_buffer_on_its_way_to_the_disk_can_be_read() {
    let (disk, log) = open_calling_back(SyncPolicy::EverySec);
    let at = append(&log, b"in flight");
    let late = log.clone();
    disk.after(Doing::Write, move || {
        assert!(late.written() <= at);
        assert!(late.read(at, |bytes| bytes.starts_with(b"in flight")));
        let batch = late.append(headwater_store::log::Growth::Adds, 0).unwrap();
        assert!(batch.read(at, |bytes| bytes.starts_with(b"in flight")));
    });
    log.try_write().unwrap();
    assert!(log.read(at, |bytes| bytes.starts_with(b"in flight")));
}
