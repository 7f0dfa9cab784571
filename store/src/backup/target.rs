//! Where a backup goes: a directory with a temporary name until all of it is there.
//!
//! ```text
//!  TARGET.tmp/LOCK, log/, data/, checkpoint/   --finish-->   TARGET/...
//! ```
//!
//! Whoever makes a backup has the directory locked meanwhile. One that nobody has locked, and that
//! holds nothing but parts of a store, is what a crash left of another backup: it makes way.

use std::io;
use std::path::{Path, PathBuf};

use super::{BackupError, PARTS};
use crate::checkpoint;
use crate::data::Name;
use crate::disk::{DirLock, Disk};
use crate::error::{DiskError, OpenError};
use crate::log::is_of_a_log;

/// What a directory is locked with.
const LOCK: &str = "LOCK";

/// A target that is being made. Dropped before it is finished, it is removed, if that can be
/// helped.
pub(crate) struct Target<'d> {
    disk: &'d dyn Disk,
    path: PathBuf,
    temporary: PathBuf,
    finished: bool,
    /// Given up last.
    _lock: Box<dyn DirLock>,
}

impl<'d> Target<'d> {
    /// Begins the target `path`, which is not there yet, or is empty.
    ///
    /// # Errors
    ///
    /// When it is taken, or somebody is making it, or the disk refuses.
    pub(crate) fn begin(disk: &'d dyn Disk, path: &Path) -> Result<Self, BackupError> {
        // Without a slash at its end.
        let path: PathBuf = path.components().collect();
        let mut temporary = path.clone().into_os_string();
        temporary.push(".tmp");
        let temporary = PathBuf::from(temporary);
        // One that is empty does not stand in the way of a rename.
        if list(disk, &path)?.is_some_and(|names| !names.is_empty()) {
            return Err(BackupError::Taken { path });
        }
        clear(disk, &temporary)?;
        disk.create_dir(&temporary)?;
        let lock = disk.lock(&temporary).inspect_err(|_| {
            // Not if it is not empty: somebody else has it then.
            let _ = disk.remove_dir(&temporary);
        });
        let target = Self {
            disk,
            path,
            temporary,
            finished: false,
            _lock: lock?,
        };
        for part in PARTS {
            disk.create_dir(&target.temporary.join(part))?;
        }
        Ok(target)
    }

    /// The disk that it is on.
    pub(crate) fn disk(&self) -> &'d dyn Disk {
        self.disk
    }

    /// Where its files go.
    pub(crate) fn dir(&self) -> &Path {
        &self.temporary
    }

    /// Gives it its name, durably. All that is in it is durable already.
    ///
    /// # Errors
    ///
    /// When the disk refuses. Whether the target has its name, and will keep it, is unknown then.
    pub(crate) fn finish(mut self) -> Result<(), DiskError> {
        self.disk.rename(&self.temporary, &self.path)?;
        self.finished = true;
        let parent = self.path.parent();
        let parent = parent.filter(|dir| !dir.as_os_str().is_empty());
        self.disk.sync_dir(parent.unwrap_or(Path::new(".")))
    }
}

impl Drop for Target<'_> {
    fn drop(&mut self) {
        if !self.finished {
            // What cannot be removed makes way for the next backup of this name.
            let _ = remove(self.disk, &self.temporary);
        }
    }
}

/// The names in a directory; `None` when there is none.
fn list(disk: &dyn Disk, dir: &Path) -> Result<Option<Vec<String>>, DiskError> {
    match disk.list(dir) {
        Err(fault) if fault.source.kind() == io::ErrorKind::NotFound => Ok(None),
        names => names.map(Some),
    }
}

/// Removes what a crash left of a backup.
fn clear(disk: &dyn Disk, dir: &Path) -> Result<(), BackupError> {
    let taken = || BackupError::Taken {
        path: dir.to_owned(),
    };
    let Some(names) = list(disk, dir)? else {
        return Ok(());
    };
    let _lock = match disk.lock_to_read(dir) {
        Err(OpenError::Locked { .. }) => return Err(taken()),
        lock => lock?,
    };
    for name in &names {
        let known: fn(&str) -> bool = match name.as_str() {
            LOCK => continue,
            "log" => is_of_a_log,
            "data" => |name| Name::parse(name).is_some(),
            "checkpoint" => checkpoint::is_checkpoint,
            _ => return Err(taken()),
        };
        if !disk.list(&dir.join(name))?.iter().all(|name| known(name)) {
            return Err(taken());
        }
    }
    Ok(remove(disk, dir)?)
}

/// Removes a directory and what is in its parts.
fn remove(disk: &dyn Disk, dir: &Path) -> Result<(), DiskError> {
    for part in PARTS.map(|part| dir.join(part)) {
        if let Some(names) = list(disk, &part)? {
            for name in names {
                disk.remove(&part.join(name))?;
            }
            disk.remove_dir(&part)?;
        }
    }
    // It may never have been locked.
    let _ = disk.remove(&dir.join(LOCK));
    disk.remove_dir(dir)
}
