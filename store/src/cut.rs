//! Taking back the end of a log: what a master wrote that its replicas never got, once another
//! leads.
//!
//! ```text
//!  log/    [ 0 ........ ][ 7000 ... at ~~~~~~ ][ 9000 ~~~~~~~~~~ ]
//!                                   |
//!  cut/<at>-<end>-<id>/            [ at ~~~~~~ ][ 9000 ~~~~~~~~~~ ]     kept, for the operator
//!  log/    [ 0 ........ ][ 7000 ... at
//! ```
//!
//! Nobody has the store open meanwhile. What is cut off is a log of its own, of frames that
//! [`check`](crate::check) reads; `id` is that of the epoch in which it ended.
//!
//! # Invariants
//!
//! * What is cut off is durable in its new place before anything goes from its old one.
//! * After each step the directory holds a log that opens, and ends at a place that it had: a crash
//!   leaves the log as it was, cut, or something in between, and then the cut can be made again.
//!   So checkpoints of what is cut off go first, then segments from the last one on, and each is
//!   gone for certain before the next goes: a frame that is left bears witness of nothing behind
//!   it. What was still there when it is made again is kept once more.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use crate::checkpoint::{self, Loaded, Skim};
use crate::disk::Disk;
use crate::error::{DiskError, OpenError};
use crate::history::{Epoch, History, HistoryId};
use crate::install;
use crate::log::{inspect, truncate};
use crate::lsn::Lsn;
use crate::sabotage::{self, Bug};

/// A log that was cut.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Cut {
    /// Bytes of log that were cut off.
    pub bytes: u64,
    /// The directory where they are kept; `None` when there were none.
    pub kept: Option<PathBuf>,
}

/// Why a log was not cut. It is as it was, unless the disk refused.
#[derive(Debug)]
#[non_exhaustive]
pub enum CutError {
    /// Every checkpoint holds something of what would be cut off.
    Checkpoint {
        /// The place to cut at.
        at: Lsn,
        /// What the oldest one may hold ends here.
        until: Lsn,
    },
    /// The log ends before the place to cut at.
    Short {
        /// The place to cut at.
        at: Lsn,
        /// Where the log ends.
        end: Lsn,
    },
    /// No frame begins or ends at the place to cut at.
    NoFrame {
        /// The place.
        at: Lsn,
    },
    /// The file system refused.
    Disk(DiskError),
    /// A server could not start with what is there, or another process has it.
    Open(OpenError),
}

impl fmt::Display for CutError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Checkpoint { at, until } => write!(
                f,
                "the log cannot be cut at LSN {at}: the checkpoint reaches up to LSN {until}"
            ),
            Self::Short { at, end } => {
                write!(f, "the log cannot be cut at LSN {at}: it ends at LSN {end}")
            }
            Self::NoFrame { at } => {
                write!(f, "the log cannot be cut at LSN {at}: no frame ends there")
            }
            Self::Disk(fault) => fault.fmt(f),
            Self::Open(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for CutError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Checkpoint { .. } | Self::Short { .. } | Self::NoFrame { .. } => None,
            Self::Disk(fault) => fault.source(),
            Self::Open(error) => error.source(),
        }
    }
}

impl From<DiskError> for CutError {
    fn from(fault: DiskError) -> Self {
        Self::Disk(fault)
    }
}

impl From<OpenError> for CutError {
    fn from(error: OpenError) -> Self {
        Self::Open(error)
    }
}

/// Cuts the log of the store in `dir`, which no server has, so that it ends at `at`; what is cut
/// off is kept in `dir/cut`. May be done again after a crash.
///
/// The time it takes does not depend on how much is cut off, but on how much of the log a start
/// reads; and one segment is copied at most.
///
/// # Errors
///
/// When no checkpoint lies below `at` as a whole, or `at` is no boundary in the log: nothing has
/// changed then. When the disk refuses: then the log ends where it did, at `at`, or in between.
pub fn cut(disk: &dyn Disk, dir: &Path, at: Lsn) -> Result<Cut, CutError> {
    let _lock = disk.lock(dir)?;
    install::finish(disk, dir)?;
    let checkpoint_dir = dir.join("checkpoint");
    disk.create_dir(&checkpoint_dir)?;
    let (taken, beyond) = choose(disk, &checkpoint_dir, at)?;
    let (keep, durable, known) = taken.map_or_else(Default::default, |taken| {
        let Loaded {
            beginning, ending, ..
        } = taken;
        (ending.keep, ending.until, beginning.history)
    });
    let log_dir = dir.join("log");
    let names = disk.list(&log_dir)?;
    let log = inspect(
        disk,
        &log_dir,
        names,
        Some(keep),
        durable,
        &mut |_, _, _| Ok(()),
    )?;
    let end = match log.end {
        Ok(ref end) => end.at,
        Err(mut flaws) => return Err(OpenError::Corrupt(flaws.swap_remove(0)).into()),
    };
    if at > end {
        return Err(CutError::Short { at, end });
    }
    if at == end {
        let (bytes, kept) = (0, None);
        return Ok(Cut { bytes, kept });
    }
    let cut = truncate::Plan::of(&log_dir, &log, at)?.ok_or(CutError::NoFrame { at })?;

    let kept_dir = dir.join("cut");
    let kept = kept_dir.join(name(at, end, &known, &log.begun));
    disk.create_dir(&kept_dir)?;
    if !is_there(disk, &kept)? {
        let unfinished = kept.with_extension("tmp");
        disk.create_dir(&unfinished)?;
        for name in disk.list(&unfinished)? {
            disk.remove(&unfinished.join(name))?;
        }
        cut.keep(disk, &unfinished)?;
        if !sabotage::has(Bug::CutBeforeKept) {
            disk.sync_dir(&unfinished)?;
        }
        disk.rename(&unfinished, &kept)?;
        if !sabotage::has(Bug::CutBeforeKept) {
            disk.sync_dir(&kept_dir)?;
        }
    }
    for number in beyond
        .into_iter()
        .filter(|_| !sabotage::has(Bug::CutKeepsCheckpoint))
    {
        disk.remove(&checkpoint::path(&checkpoint_dir, number))?;
    }
    disk.sync_dir(&checkpoint_dir)?;
    cut.perform(disk)?;
    Ok(Cut {
        bytes: end.since(at),
        kept: Some(kept),
    })
}

/// The newest checkpoint that holds nothing behind `at`, and the numbers of those that are newer.
fn choose(
    disk: &dyn Disk,
    dir: &Path,
    at: Lsn,
) -> Result<(Option<Loaded<Skim>>, Vec<u64>), CutError> {
    let mut beyond = Vec::new();
    let mut refusal = None;
    for number in checkpoint::numbers(&disk.list(dir)?).into_iter().rev() {
        match checkpoint::read(disk, dir, number, |_| Ok(Skim::default())) {
            Ok(loaded) if loaded.ending.until <= at => return Ok((Some(loaded), beyond)),
            Ok(loaded) => {
                let until = loaded.ending.until;
                refusal = Some(CutError::Checkpoint { at, until });
            }
            Err(damaged @ OpenError::Checkpoint { .. }) => {
                refusal.get_or_insert(CutError::Open(damaged));
            }
            Err(error) => return Err(error.into()),
        }
        beyond.push(number);
    }
    match refusal {
        None => Ok((None, beyond)),
        Some(refusal) => Err(refusal),
    }
}

/// The name of what is cut off: where it begins and ends, and in which epoch. Within that, a place
/// means one thing only; so what has the name already is the same.
fn name(at: Lsn, end: Lsn, known: &History, begun: &[Epoch]) -> String {
    let last = begun.last().or(known.current());
    let last = last.expect("a log that holds something is of an epoch");
    format!("{at:020}-{end:020}-{}", last.id)
}

/// Where what is cut off begins and ends, and the epoch in which it ended, by the name under which
/// it is kept.
pub(crate) fn of_name(name: &str) -> Option<(Lsn, Lsn, HistoryId)> {
    let mut parts = name.splitn(3, '-');
    let mut lsn = || parts.next()?.parse().ok().map(Lsn::new);
    let (at, end) = (lsn()?, lsn()?);
    Some((at, end, parts.next()?.parse().ok()?))
}

fn is_there(disk: &dyn Disk, dir: &Path) -> Result<bool, DiskError> {
    match disk.list(dir) {
        Ok(_) => Ok(true),
        Err(fault) if fault.source.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(fault) => Err(fault),
    }
}
