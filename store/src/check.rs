//! Everything in a directory of a store, verified: for `headwater check`.
//!
//! Nothing is changed, and the directory is locked against servers meanwhile. Each part is read
//! with the code that a start reads it with, so that no format is known twice; but where a start
//! stops at the first thing that is wrong, this goes on and [tells](Finding) all.
//!
//! ```text
//!  checkpoints   every section; the newest that is whole is the one that a start takes
//!       |
//!       | the data files it names        the log that it needs
//!       v                                       v
//!  data files    every block, index, table   the log    every segment, frame and record
//!       |                                       |
//!       '------------> the checkpoint's <-------'
//!                      streams, and what the log does to them
//! ```
//!
//! | what is found                                                   | severity          |
//! |-----------------------------------------------------------------|-------------------|
//! | what a start clears away or passes over                         | note              |
//! | a log that breaks off, where nothing says that more was durable | torn: a start cuts|
//! | what the file system refuses to show                            | unread            |
//! | anything else that is not as it was written                     | damage            |
//!
//! What nobody needs any more is looked at, too; what is wrong with it is a note.
//!
//! Memory: one segment, one block, and the state that a start would have.

mod aside;
mod checkpoints;
mod data;
mod finding;
mod log;
mod streams;
#[cfg(test)]
pub(crate) mod tests;

use std::io;
use std::path::Path;
use std::sync::Arc;

pub use self::finding::{Finding, Severity, What};
use crate::data::Data;
use crate::disk::Disk;
use crate::error::{DiskError, OpenError};
use crate::history::History;
use crate::install;

/// How much was looked at.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct Totals {
    /// Segments of the log.
    pub segments: u64,
    /// Files that were made ahead for the log.
    pub spares: u64,
    /// Whole frames of the log, up to where it ends or breaks off.
    pub frames: u64,
    /// Records in them that decode.
    pub records: u64,
    /// Checkpoints.
    pub checkpoints: u64,
    /// Streams in them.
    pub streams: u64,
    /// Data files.
    pub data_files: u64,
    /// Extents in them.
    pub extents: u64,
    /// Entries in these.
    pub entries: u64,
    /// Bytes of all these files.
    pub bytes: u64,
}

/// What a check says in the end.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct Summary {
    /// How much was looked at.
    pub totals: Totals,
    /// The last epochs of the log, as far as it could be read.
    pub history: History,
    /// The gravest finding; `None` when there was none.
    pub worst: Option<Severity>,
}

/// Checks the store in `dir`, and hands every finding to `tell` at once.
///
/// # Errors
///
/// When there is no store, or another process has it: nothing was looked at then.
pub fn check(
    disk: &Arc<dyn Disk>,
    dir: &Path,
    tell: &mut dyn FnMut(Finding),
) -> Result<Summary, OpenError> {
    let parts = ["log", "data", "checkpoint"].map(|part| dir.join(part));
    let lock = disk.lock_to_read(dir)?;
    let listed = parts.each_ref().map(|part| disk.list(part));
    if listed.iter().all(is_missing) {
        let [log, ..] = listed;
        return log.map(|_| Summary::default()).map_err(OpenError::from);
    }
    let summary = Summary::default();
    let mut check = Check {
        disk: &**disk,
        tell,
        summary,
    };
    if lock.is_none() {
        let dir = dir.to_owned();
        check.note(What::NeverOpened { dir });
    }
    for name in check.names(disk.list(dir)) {
        let file = dir.join(&name);
        match &*name {
            "arrived" | "installing" => check.note(What::Arrived { dir: file }),
            "incoming" => check.note(What::Incoming { dir: file }),
            "outgoing" => check.note(What::Outgoing { dir: file }),
            "LOCK" | "log" | "data" | "checkpoint" => {}
            "cut" => check.kept(&file),
            _ => check.note(What::Unknown { file }),
        }
    }
    if install::pending(check.disk, dir)?.is_some() {
        // What is there otherwise goes.
        return Ok(check.summary);
    }
    let [log, data, checkpoint] = listed.map(|listed| check.names(listed));
    let known = check.checkpoints(&parts[2], &checkpoint);
    let extents = check.data(&parts[1], &data, &known);
    let data = Data::to_read(disk.clone(), &parts[1]);
    let restored = check.streams(&known, &data, &parts[1], &extents);
    check.log(&parts[0], log, &known, &data, restored);
    Ok(check.summary)
}

/// A check in progress.
struct Check<'a> {
    disk: &'a dyn Disk,
    tell: &'a mut dyn FnMut(Finding),
    summary: Summary,
}

impl Check<'_> {
    fn found(&mut self, severity: Severity, what: What) {
        self.summary.worst = self.summary.worst.max(Some(severity));
        (self.tell)(Finding { severity, what });
    }

    fn note(&mut self, what: What) {
        self.found(Severity::Note, what);
    }

    fn damage(&mut self, what: What) {
        self.found(Severity::Damage, what);
    }

    fn unread(&mut self, fault: DiskError) {
        self.found(Severity::Unread, What::Unreadable(fault));
    }

    /// The names in a directory; none when it is missing.
    fn names(&mut self, listed: Result<Vec<String>, DiskError>) -> Vec<String> {
        if is_missing(&listed) {
            return Vec::new();
        }
        listed.unwrap_or_else(|fault| {
            self.unread(fault);
            Vec::new()
        })
    }
}

fn is_missing<T>(asked: &Result<T, DiskError>) -> bool {
    let refused = asked.as_ref().err();
    refused.is_some_and(|fault| fault.source.kind() == io::ErrorKind::NotFound)
}
