//! A copy of a store, whole or not there.
//!
//! ```text
//!  DIR/                                       TARGET.tmp/                     TARGET/
//!    checkpoint/7.ckpt   --- further name -->   checkpoint/7.ckpt   --rename-->
//!    data/1.data, ...    --- further name -->   data/1.data, ...
//!    log/0.log           --- further name -->   log/0.log
//!    log/8192.log        ------- copy ------>   log/8192.log
//! ```
//!
//! What never changes any more gets a further name: that takes no time and no space. What may, or
//! lies on another file system than the target, is copied.
//!
//! A store that runs makes its backup itself ([`Store::backup`](crate::Store::backup)).
//!
//! # Invariants
//!
//! * The target has its name once everything in it is durable.
//! * Nobody writes other bytes into a file with two names: a log uses no such file again, and all
//!   that an open writes into a segment which is not the last are the bytes that are there.
//! * What fails leaves nothing, unless the machine stops; and then nothing under the target's name,
//!   and nothing that stands in the way of the next backup.

mod target;
#[cfg(test)]
mod tests;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

pub(crate) use self::target::Target;
use crate::checkpoint::{self, Skim};
use crate::data::DataFile;
use crate::disk::Disk;
use crate::error::{DataError, DiskError, OpenError, Poisoned};
use crate::install;
use crate::log::inspect;
use crate::lsn::Lsn;
use crate::store::UpkeepError;

/// The parts of a store's directory.
pub(crate) const PARTS: [&str; 3] = ["log", "data", "checkpoint"];

/// Bytes that are copied at a time.
const PIECE: u64 = 1 << 20;

/// A backup that was made.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Backup {
    /// It holds everything below.
    pub lsn: Lsn,
    /// How many files it has.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// How many of these bytes take space of their own.
    pub copied_bytes: u64,
}

/// Why there is no backup. Nothing of it is left.
#[derive(Debug)]
#[non_exhaustive]
pub enum BackupError {
    /// Something in a data file is not as it was made.
    Data(DataError),
    /// The file system refused.
    Disk(DiskError),
    /// A server could not start with what is there, or another process has it.
    Open(OpenError),
    /// No checkpoint could be taken.
    Upkeep(UpkeepError),
    /// A copy has arrived that replaces the store, as soon as a server starts.
    Pending {
        /// Its directory.
        path: PathBuf,
    },
    /// There is something under the name of the target already.
    Taken {
        /// The target, or its name while it is made.
        path: PathBuf,
    },
}

impl fmt::Display for BackupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Data(error) => error.fmt(f),
            Self::Disk(fault) => fault.fmt(f),
            Self::Open(error) => error.fmt(f),
            Self::Upkeep(error) => error.fmt(f),
            Self::Pending { path } => write!(
                f,
                "{} is to replace the store; start a server first",
                path.display()
            ),
            Self::Taken { path } => write!(f, "{} is there already", path.display()),
        }
    }
}

impl std::error::Error for BackupError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Data(error) => error.source(),
            Self::Disk(fault) => fault.source(),
            Self::Open(error) => error.source(),
            Self::Upkeep(error) => error.source(),
            Self::Pending { .. } | Self::Taken { .. } => None,
        }
    }
}

impl From<DataError> for BackupError {
    fn from(error: DataError) -> Self {
        Self::Data(error)
    }
}

impl From<DiskError> for BackupError {
    fn from(fault: DiskError) -> Self {
        Self::Disk(fault)
    }
}

impl From<UpkeepError> for BackupError {
    fn from(error: UpkeepError) -> Self {
        Self::Upkeep(error)
    }
}

impl From<Poisoned> for BackupError {
    fn from(poisoned: Poisoned) -> Self {
        Self::Upkeep(poisoned.into())
    }
}

impl From<OpenError> for BackupError {
    fn from(error: OpenError) -> Self {
        Self::Open(error)
    }
}

/// One file of a backup.
pub(crate) struct Item<'a> {
    /// What it is a copy of; it gets the same name in the same part of the target.
    pub(crate) source: PathBuf,
    /// How to copy it into a new file, durably; `None` when it never changes.
    pub(crate) copy: Option<&'a CopyTo<'a>>,
}

/// Copies something into a new file, and makes its bytes durable.
pub(crate) type CopyTo<'a> = dyn Fn(&Path) -> Result<(), DiskError> + 'a;

/// Makes a backup of the store in `dir`, which no server has, as the directory `target`. The target
/// is not there yet, or is empty.
///
/// The log is looked at as by a start, and what a start would cut off is left out. Data files are
/// looked at from outside only: [`check`](crate::check::check) reads all of them.
///
/// # Errors
///
/// When a server could not start with what is there, when the target is taken, or the disk refuses.
/// No target is left.
pub fn backup(disk: &dyn Disk, dir: &Path, target: &Path) -> Result<Backup, BackupError> {
    let [log_dir, data_dir, checkpoint_dir] = PARTS.map(|part| dir.join(part));
    let _lock = disk.lock_to_read(dir)?;
    if let Some(path) = install::pending(disk, dir)? {
        return Err(BackupError::Pending { path });
    }
    let target = Target::begin(disk, target)?;
    let names = disk.list(&log_dir)?;
    let taken = match checkpoint::load(disk, &checkpoint_dir, |_| Ok(Skim::default())) {
        Err(OpenError::Disk(fault)) if fault.source.kind() == io::ErrorKind::NotFound => None,
        taken => taken?,
    };

    let mut items = Vec::new();
    let (mut keep, mut durable) = (Lsn::ZERO, Lsn::ZERO);
    if let Some(taken) = taken {
        (keep, durable) = (taken.ending.keep, taken.ending.until);
        for file in &taken.beginning.files {
            let file = DataFile::new(&data_dir, file.number, file.len);
            file.check(disk)?;
            items.push(Item::unchanging(file.path().to_owned()));
        }
        let path = checkpoint::path(&checkpoint_dir, taken.written.number);
        items.push(Item::unchanging(path));
    }
    let log = inspect(
        disk,
        &log_dir,
        names,
        Some(keep),
        durable,
        &mut |_, _, _| Ok(()),
    )?;
    let end = log
        .end
        .map_err(|mut flaws| OpenError::Corrupt(flaws.swap_remove(0)))?;
    let segments = &log.segments[..end.segments];
    let copies: Vec<_> = segments
        .iter()
        .map(|segment| move |to: &Path| segment.copy(disk, to))
        .collect();
    for (index, (segment, copy)) in segments.iter().zip(&copies).enumerate() {
        // What nothing vouches for may be in memory only.
        let unchanging = index + 1 < segments.len() && segment.end <= log.witness;
        items.push(Item {
            source: segment.path.clone(),
            copy: (!unchanging).then_some(copy),
        });
    }
    target.write(end.at, &items)
}

impl Item<'_> {
    pub(crate) fn unchanging(source: PathBuf) -> Self {
        Self { source, copy: None }
    }
}

impl Target<'_> {
    /// Makes the backup of `items`, each of which lies in a part of a store's directory; together
    /// they hold everything below `lsn`.
    ///
    /// # Errors
    ///
    /// When the disk refuses. No target is left.
    pub(crate) fn write(self, lsn: Lsn, items: &[Item<'_>]) -> Result<Backup, BackupError> {
        let (bytes, copied_bytes) = write_parts(self.disk(), self.dir(), items)?;
        self.finish()?;
        Ok(Backup {
            lsn,
            files: items.len() as u64,
            bytes,
            copied_bytes,
        })
    }
}

/// Fills the parts of a directory, durably; how many bytes it has then, and how many of them were
/// copied.
fn write_parts(disk: &dyn Disk, dir: &Path, items: &[Item<'_>]) -> Result<(u64, u64), DiskError> {
    let (mut bytes, mut copied_bytes) = (0, 0);
    for item in items {
        let mut from_end = item.source.components().rev();
        let name = from_end.next().expect("an item is a file");
        let part = from_end
            .next()
            .expect("an item lies in a part of a directory");
        let to = dir.join(part).join(name);
        let linked = item.copy.is_none() && disk.link(&item.source, &to).is_ok();
        if !linked {
            match item.copy {
                Some(copy) => copy(&to)?,
                None => copy_file(disk, &item.source, &to)?,
            }
        }
        let len = disk.open_to_read(&to)?.len()?;
        bytes += len;
        copied_bytes += if linked { 0 } else { len };
    }
    for part in PARTS {
        disk.sync_dir(&dir.join(part))?;
    }
    disk.sync_dir(dir)?;
    Ok((bytes, copied_bytes))
}

/// Copies a file into a new one, and makes its bytes durable.
pub(crate) fn copy_file(disk: &dyn Disk, from: &Path, to: &Path) -> Result<(), DiskError> {
    let from = disk.open_to_read(from)?;
    let len = from.len()?;
    let to = disk.create(to, len)?;
    let mut piece = Vec::new();
    let mut pos = 0;
    while pos < len {
        let bytes = usize::try_from((len - pos).min(PIECE)).expect("a piece fits into memory");
        piece.resize(bytes, 0);
        from.read_at(pos, &mut piece)?;
        to.write_at(pos, &piece)?;
        pos += piece.len() as u64;
    }
    to.sync_data()
}
