//! Replacing all that a store has with a copy that has arrived from another one.
//!
//! ```text
//!  DIR/incoming/{log,data,checkpoint}     a backup on its way; nobody trusts it
//!     | all of it is there, verified and durable: rename
//!  DIR/arrived/...                        the old files of DIR/{log,data,checkpoint} go
//!     | they are gone: rename
//!  DIR/installing/...                     its files get further names in DIR/{...}, and lose these
//!     | they have: remove
//!  DIR/{log,data,checkpoint}
//! ```
//!
//! Each arrow is durable before what follows it begins, so the names of the directories say how far
//! it has come: [`Store::open`](crate::Store::open) goes on from there. What is on its way is let
//! be, for it may go on arriving; [`discard`] removes it.
//!
//! # Invariants
//!
//! * The old data are whole until the new ones are.
//! * No name below `installing` is left, for certain, when the store begins to write: its files are
//!   used again.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use crate::backup::{PARTS, copy_file};
use crate::checkpoint::{self, Skim};
use crate::data::DataFile;
use crate::disk::Disk;
use crate::error::{DataError, DiskError, OpenError};
use crate::log::inspect;
use crate::lsn::Lsn;
use crate::sabotage::{self, Bug};

const ARRIVED: &str = "arrived";
const INSTALLING: &str = "installing";

/// Why a copy was not installed. The store is as it was, unless the disk refused.
#[derive(Debug)]
#[non_exhaustive]
pub enum InstallError {
    /// Something in a data file is not as it was made.
    Data(DataError),
    /// The file system refused.
    Disk(DiskError),
    /// The log of the copy ends elsewhere than it should.
    Ends {
        /// Where it ends.
        at: Lsn,
        /// Where it should.
        lsn: Lsn,
    },
    /// A server could not start with the copy; or another process has the store.
    Open(OpenError),
}

impl fmt::Display for InstallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Data(error) => error.fmt(f),
            Self::Disk(fault) => fault.fmt(f),
            Self::Ends { at, lsn } => {
                write!(f, "the log of the copy ends at LSN {at}, not at LSN {lsn}")
            }
            Self::Open(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for InstallError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Data(error) => error.source(),
            Self::Disk(fault) => fault.source(),
            Self::Ends { .. } => None,
            Self::Open(error) => error.source(),
        }
    }
}

impl From<DataError> for InstallError {
    fn from(error: DataError) -> Self {
        Self::Data(error)
    }
}

impl From<DiskError> for InstallError {
    fn from(fault: DiskError) -> Self {
        Self::Disk(fault)
    }
}

impl From<OpenError> for InstallError {
    fn from(error: OpenError) -> Self {
        Self::Open(error)
    }
}

/// The directory in which a copy for the store in `dir` is to be received: with the files of a
/// [backup](crate::backup), in the same parts.
#[must_use]
pub fn incoming(dir: &Path) -> PathBuf {
    dir.join("incoming")
}

/// Makes the copy in [`incoming`], which [holds](crate::backup::Backup::lsn) everything below
/// `lsn`, the store in `dir`, which no server has. What the store had is gone then; what was
/// [cut](crate::cut) off is kept. What crashes is finished by the next open.
///
/// Makes the copy durable, and looks at it as a start would: at every byte of checkpoint and log,
/// and at the data files from outside. Whoever received it has verified the rest.
///
/// # Errors
///
/// When the copy is not whole: nothing has changed then. When the disk refuses.
pub fn install(disk: &dyn Disk, dir: &Path, lsn: Lsn) -> Result<(), InstallError> {
    let _lock = disk.lock(dir)?;
    finish(disk, dir)?;
    let incoming = incoming(dir);
    let at = verify(disk, &incoming)?;
    if at != lsn {
        return Err(InstallError::Ends { at, lsn });
    }
    disk.rename(&incoming, &dir.join(ARRIVED))?;
    disk.sync_dir(dir)?;
    Ok(finish(disk, dir)?)
}

/// Removes what has been received of a copy so far, if anything. It may be done while a server has
/// the store.
///
/// # Errors
///
/// Whatever the file system refuses; some of it may be gone then.
pub fn discard(disk: &dyn Disk, dir: &Path) -> Result<(), DiskError> {
    let incoming = incoming(dir);
    if names(disk, &incoming)?.is_some() {
        remove(disk, &incoming)?;
        disk.sync_dir(dir)?;
    }
    Ok(())
}

/// Makes a copy durable and looks at it; says where its log ends.
fn verify(disk: &dyn Disk, copy: &Path) -> Result<Lsn, InstallError> {
    let [log_dir, data_dir, checkpoint_dir] = PARTS.map(|part| copy.join(part));
    for part in [&log_dir, &data_dir, &checkpoint_dir] {
        disk.create_dir(part)?;
        for name in disk.list(part)? {
            if !sabotage::has(Bug::InstallUnsynced) {
                disk.open(&part.join(name))?.sync_data()?;
            }
        }
        disk.sync_dir(part)?;
    }
    disk.sync_dir(copy)?;
    let taken = checkpoint::load(disk, &checkpoint_dir, |_| Ok(Skim::default()))?;
    let (mut keep, mut durable) = (Lsn::ZERO, Lsn::ZERO);
    if let Some(taken) = taken {
        (keep, durable) = (taken.ending.keep, taken.ending.until);
        for file in &taken.beginning.files {
            DataFile::new(&data_dir, file.number, file.len).check(disk)?;
        }
    }
    let names = disk.list(&log_dir)?;
    let log = inspect(
        disk,
        &log_dir,
        names,
        Some(keep),
        durable,
        &mut |_, _, _| Ok(()),
    )?;
    match log.end {
        Ok(end) => Ok(end.at),
        Err(mut flaws) => Err(OpenError::Corrupt(flaws.swap_remove(0)).into()),
    }
}

/// A copy in `dir` that has arrived and has not been installed to the end.
pub(crate) fn pending(disk: &dyn Disk, dir: &Path) -> Result<Option<PathBuf>, DiskError> {
    let names = names(disk, dir)?.unwrap_or_default();
    let pending = |name: &&str| names.iter().any(|there| there == name);
    let found = [INSTALLING, ARRIVED].into_iter().find(pending);
    Ok(found.map(|name| dir.join(name)))
}

/// Finishes what was begun, if anything. The caller has the directory for itself.
pub(crate) fn finish(disk: &dyn Disk, dir: &Path) -> Result<(), DiskError> {
    while let Some(pending) = pending(disk, dir)? {
        if pending.ends_with(INSTALLING) {
            place(disk, &pending, dir)?;
            remove(disk, &pending)?;
        } else {
            for part in PARTS.map(|part| dir.join(part)) {
                if let Some(names) = names(disk, &part)? {
                    for name in names {
                        disk.remove(&part.join(name))?;
                    }
                    disk.sync_dir(&part)?;
                }
            }
            disk.rename(&pending, &dir.join(INSTALLING))?;
        }
        disk.sync_dir(dir)?;
    }
    Ok(())
}

/// Gives the files of a copy their places, where they are not there yet.
fn place(disk: &dyn Disk, copy: &Path, dir: &Path) -> Result<(), DiskError> {
    for part in PARTS {
        let (from, to) = (copy.join(part), dir.join(part));
        disk.create_dir(&to)?;
        let there = disk.list(&to)?;
        for name in names(disk, &from)?.unwrap_or_default() {
            if there.contains(&name) {
                continue;
            }
            let (from, to) = (from.join(&name), to.join(&name));
            if disk.link(&from, &to).is_err() {
                // Where there are no further names. It has its own once it is whole.
                let unfinished = to.with_extension("tmp");
                if disk.open_to_read(&unfinished).is_ok() {
                    disk.remove(&unfinished)?;
                }
                copy_file(disk, &from, &unfinished)?;
                disk.rename(&unfinished, &to)?;
            }
        }
        disk.sync_dir(&to)?;
    }
    Ok(())
}

/// Removes a copy, for certain but for its own name.
fn remove(disk: &dyn Disk, copy: &Path) -> Result<(), DiskError> {
    for part in PARTS.map(|part| copy.join(part)) {
        if let Some(names) = names(disk, &part)? {
            for name in names {
                disk.remove(&part.join(name))?;
            }
            disk.sync_dir(&part)?;
            disk.remove_dir(&part)?;
        }
    }
    for name in names(disk, copy)?.unwrap_or_default() {
        disk.remove(&copy.join(name))?;
    }
    disk.sync_dir(copy)?;
    disk.remove_dir(copy)
}

/// The names in a directory; `None` when it is not there.
fn names(disk: &dyn Disk, dir: &Path) -> Result<Option<Vec<String>>, DiskError> {
    match disk.list(dir) {
        Ok(names) => Ok(Some(names)),
        Err(fault) if fault.source.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(fault) => Err(fault),
    }
}
