//! What a check can find, how grave it is, and how it is said: one line for each finding.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::error::{Corruption, DataError, DiskError, Malformed, OpenError};
use crate::history::{Epoch, HistoryId};
use crate::id::StreamNo;
use crate::lsn::Lsn;

/// How grave a finding is. The gravest of all findings decides what a check says in the end.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Severity {
    /// Harmless: a start passes over it, or clears it away.
    Note,
    /// What a crash leaves: a start cuts it off. Nothing says that it had been acknowledged.
    Torn,
    /// Could not be looked at, so nothing is known of it.
    Unread,
    /// Something that was durable is damaged or gone.
    Damage,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Note => "note",
            Self::Torn => "torn",
            Self::Unread => "unread",
            Self::Damage => "damage",
        })
    }
}

/// One finding. `Display` is one line.
#[derive(Debug)]
pub struct Finding {
    /// How grave it is.
    pub severity: Severity,
    /// What it is, and where.
    pub what: What,
}

/// What was found. Paths are as the directory was named.
#[derive(Debug)]
#[non_exhaustive]
pub enum What {
    /// A copy of another store, which is to replace this one.
    Arrived {
        /// Its directory.
        dir: PathBuf,
    },
    /// Another segment begins behind the place where a crash tore the log.
    BehindTear {
        /// The segment.
        file: PathBuf,
    },
    /// A checkpoint is not whole, or names what cannot be.
    Checkpoint(OpenError),
    /// The log is damaged, and a start would refuse it.
    Corrupt(Corruption),
    /// A part of the log that was cut off, and is kept.
    CutOff {
        /// The directory that has it.
        dir: PathBuf,
        /// Where it begins.
        from: Lsn,
        /// Where it ends.
        to: Lsn,
        /// The epoch in which it ended.
        id: HistoryId,
        /// How many records it has.
        records: u64,
    },
    /// A part of a data file is not what was written there.
    Data(DataError),
    /// An epoch begins in the log that does not go with those that a checkpoint knows.
    Epoch {
        /// The checkpoint.
        file: PathBuf,
        /// The epoch in the log.
        epoch: Epoch,
    },
    /// A part of the log that is no frames, and has frames behind it.
    Gap {
        /// The segment.
        file: PathBuf,
        /// Where the whole frames before it end.
        from: Lsn,
        /// Where frames go on, there or in the next segment.
        to: Lsn,
    },
    /// A record says what cannot have happened after those before it.
    Impossible {
        /// The segment.
        file: PathBuf,
        /// Where the record is.
        at: Lsn,
        /// Why it cannot be.
        what: &'static str,
    },
    /// A copy of another store that has not arrived as a whole.
    Incoming {
        /// Its directory.
        dir: PathBuf,
    },
    /// A checkpoint names a data file that is not there.
    Missing {
        /// The data file.
        file: PathBuf,
        /// The checkpoint.
        checkpoint: PathBuf,
    },
    /// No server has ever opened the directory: its lock is missing.
    NeverOpened {
        /// The directory.
        dir: PathBuf,
    },
    /// A checkpoint says that entries are in the log, and they are not there.
    NotInLog {
        /// The checkpoint.
        file: PathBuf,
        /// How many.
        entries: usize,
        /// Where the first of them should be.
        at: Lsn,
    },
    /// A data file that no checkpoint names.
    Orphan {
        /// The file.
        file: PathBuf,
    },
    /// Copies of this store for others.
    Outgoing {
        /// Their directory.
        dir: PathBuf,
    },
    /// A whole frame, right by its checksum, holds records that do not decode.
    Record {
        /// The segment.
        file: PathBuf,
        /// Where the record begins.
        at: Lsn,
        /// What is wrong with it.
        cause: Malformed,
    },
    /// What a checkpoint says of a stream cannot be.
    Stream {
        /// The checkpoint.
        file: PathBuf,
        /// The stream.
        stream: StreamNo,
        /// What is wrong.
        what: &'static str,
    },
    /// Something that a newer checkpoint has made useless.
    Superseded {
        /// The file.
        file: PathBuf,
    },
    /// The log breaks off, as a crash tears it.
    Torn {
        /// The segment in which it does.
        file: PathBuf,
        /// Where: the end of the last whole frame.
        at: Lsn,
        /// Bytes behind that, up to the last that is not blank.
        bytes: u64,
    },
    /// A file that was never finished.
    Unfinished {
        /// The file.
        file: PathBuf,
    },
    /// A name that means nothing here.
    Unknown {
        /// The file or directory.
        file: PathBuf,
    },
    /// The file system refused to show something.
    Unreadable(DiskError),
}

impl What {
    /// The file that shows it.
    #[must_use]
    pub fn file(&self) -> Option<&Path> {
        match self {
            Self::Arrived { dir: file }
            | Self::BehindTear { file }
            | Self::CutOff { dir: file, .. }
            | Self::Epoch { file, .. }
            | Self::Gap { file, .. }
            | Self::Impossible { file, .. }
            | Self::Incoming { dir: file }
            | Self::Missing { file, .. }
            | Self::NeverOpened { dir: file }
            | Self::NotInLog { file, .. }
            | Self::Orphan { file }
            | Self::Outgoing { dir: file }
            | Self::Record { file, .. }
            | Self::Stream { file, .. }
            | Self::Superseded { file }
            | Self::Torn { file, .. }
            | Self::Unfinished { file }
            | Self::Unknown { file }
            | Self::Checkpoint(OpenError::Checkpoint { file, .. })
            | Self::Data(DataError::Corrupt { file, .. })
            | Self::Data(DataError::Disk(DiskError { path: file, .. }))
            | Self::Unreadable(DiskError { path: file, .. }) => Some(file),
            Self::Corrupt(corruption) => corruption.file(),
            Self::Checkpoint(_) => None,
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<6} {}", self.severity, self.what)
    }
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(file) = self.subject() {
            write!(f, "{}: ", file.display())?;
        }
        match self {
            Self::Arrived { .. } => f.write_str(
                "a copy of another store, which replaces this one at the next start; nothing else \
                 was looked at",
            ),
            Self::BehindTear { .. } => f.write_str("lies behind a tear; a start removes it"),
            Self::Checkpoint(error) => error.fmt(f),
            Self::Corrupt(corruption) => corruption.fmt(f),
            Self::CutOff {
                from,
                to,
                id,
                records,
                ..
            } => write!(
                f,
                "{records} records from LSN {from} to LSN {to}, where epoch {id} ended here; cut \
                 off the log because another node had led on; no start needs them"
            ),
            Self::Data(error) => error.fmt(f),
            Self::Epoch { epoch, .. } => write!(
                f,
                "does not know of epoch {}, which begins at LSN {} of the log with the id {}",
                epoch.number, epoch.start, epoch.id
            ),
            Self::Gap { from, to, .. } => {
                write!(f, "no frames from LSN {from} to LSN {to}, and some behind")
            }
            Self::Impossible { at, what, .. } => {
                write!(f, "the record at LSN {at} is impossible: {what}")
            }
            Self::Incoming { .. } => f.write_str(
                "a part of a copy of another store; a replica goes on receiving it, or begins anew",
            ),
            Self::Missing { checkpoint, .. } => {
                write!(f, "is not there, and {} needs it", checkpoint.display())
            }
            Self::NeverOpened { .. } => f.write_str("has no lock; no server has opened it here"),
            Self::NotInLog { entries, at, .. } => write!(
                f,
                "{entries} of the entries that it says are in the log are not there, the first \
                 at LSN {at}"
            ),
            Self::Orphan { .. } => f.write_str("no checkpoint names it; a start removes it"),
            Self::Outgoing { .. } => f.write_str("copies that replicas are to get"),
            Self::Record { at, cause, .. } => write!(f, "the record at LSN {at}: {cause}"),
            Self::Stream { stream, what, .. } => write!(f, "stream {stream}: {what}"),
            Self::Superseded { .. } => f.write_str("is not needed any more; a start removes it"),
            Self::Torn { at, bytes, .. } => write!(
                f,
                "torn at LSN {at}, as by a crash; a start cuts off {bytes} bytes that nothing \
                 says were durable"
            ),
            Self::Unfinished { .. } => f.write_str("was never finished; a start removes it"),
            Self::Unknown { .. } => f.write_str("means nothing here; it was not looked at"),
            Self::Unreadable(fault) => fault.fmt(f),
        }
    }
}

impl What {
    /// The file with which the sentence begins, unless an error names it.
    fn subject(&self) -> Option<&Path> {
        match self {
            Self::Checkpoint(_) | Self::Corrupt(_) | Self::Data(_) | Self::Unreadable(_) => None,
            _ => self.file(),
        }
    }
}
