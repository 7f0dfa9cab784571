//! What can go wrong, sorted by who has to act.
//!
//! | type            | what happened                          | who acts                     |
//! |-----------------|----------------------------------------|------------------------------|
//! | [`AppendError`] | a change was refused; nothing happened | the caller tells the client  |
//! | [`Poisoned`]    | the disk failed while we wrote         | the operator: restart        |
//! | [`OpenError`]   | the log cannot be opened               | the operator                 |
//! | [`Malformed`]   | bytes that do not decode               | whoever reads: stop there    |
//! | [`DataError`]   | settled entries cannot be read         | the operator                 |
//!
//! Errors carry facts, never prose; `Display` makes the sentence.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::data::Missing;
use crate::id::StreamNo;
use crate::lsn::Lsn;

/// What was being done when the disk failed, for "could not {doing} {path}".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Doing {
    /// Reserving space for a file.
    Allocate,
    /// Making a file or a directory.
    Create,
    /// Listing a directory.
    List,
    /// Giving a file a further name.
    Link,
    /// Taking the lock of a directory.
    Lock,
    /// Mapping a file into memory.
    Map,
    /// Finding out how much space is left.
    Measure,
    /// Opening a file.
    Open,
    /// Reading.
    Read,
    /// Removing a name.
    Remove,
    /// Renaming.
    Rename,
    /// Changing the length of a file.
    Resize,
    /// Bringing a file or the names of a directory to the disk.
    Sync,
    /// Writing.
    Write,
}

impl fmt::Display for Doing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Allocate => "allocate",
            Self::Create => "create",
            Self::List => "list",
            Self::Link => "link",
            Self::Lock => "lock",
            Self::Map => "map",
            Self::Measure => "measure the space of",
            Self::Open => "open",
            Self::Read => "read",
            Self::Remove => "remove",
            Self::Rename => "rename",
            Self::Resize => "resize",
            Self::Sync => "sync",
            Self::Write => "write",
        })
    }
}

/// The file system refused.
#[derive(Debug)]
pub struct DiskError {
    /// What was asked of it.
    pub doing: Doing,
    /// Of which file or directory.
    pub path: PathBuf,
    /// Its answer.
    pub source: io::Error,
}

impl DiskError {
    /// Whether something was merely used up (space, quota, descriptors, memory), so that the same
    /// request may be granted later.
    #[must_use]
    pub fn is_shortage(&self) -> bool {
        use rustix::io::Errno;
        let errno = self.source.raw_os_error().map(Errno::from_raw_os_error);
        matches!(
            errno,
            Some(Errno::NOSPC | Errno::DQUOT | Errno::MFILE | Errno::NFILE | Errno::NOMEM)
        )
    }
}

impl fmt::Display for DiskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "could not {} {}: {}",
            self.doing,
            self.path.display(),
            self.source
        )
    }
}

impl std::error::Error for DiskError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}

/// Why nothing can be made durable any more: the write or sync that failed.
#[derive(Debug)]
pub struct PoisonCause {
    /// The failure.
    pub fault: DiskError,
    /// What had been durable by then; everything from here on has an unknown fate.
    pub durable: Lsn,
}

impl fmt::Display for PoisonCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}; the log is durable up to LSN {}",
            self.fault, self.durable
        )
    }
}

/// A write or a sync failed, so the log acknowledges nothing any more.
///
/// After a failed sync the kernel may have dropped the pages and call them clean: asking again
/// would succeed and mean nothing. Only a new process that reads what the disk really has can go
/// on.
#[derive(Clone, Debug)]
pub struct Poisoned(pub Arc<PoisonCause>);

impl fmt::Display for Poisoned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the log is poisoned: {}", self.0)
    }
}

impl std::error::Error for Poisoned {}

/// Why a change was not accepted. Nothing of it happened.
#[derive(Clone, Debug)]
pub enum AppendError {
    /// The log is led elsewhere.
    Following,
    /// There is no room; freeing space helps.
    Full {
        /// Bytes that the change may need.
        needed: u64,
        /// Bytes that the log has room for, the reserve included.
        free: u64,
    },
    /// The disk failed earlier; only a restart helps.
    Poisoned(Poisoned),
    /// The change is larger than any frame may be.
    TooLarge {
        /// Bytes that the change may need.
        bytes: u64,
        /// Bytes that a frame can hold.
        max: u64,
    },
}

impl fmt::Display for AppendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Following => f.write_str("the log is led elsewhere"),
            Self::Full { needed, free } => {
                write!(
                    f,
                    "the disk is full: {needed} bytes needed, room for {free}"
                )
            }
            Self::Poisoned(poisoned) => poisoned.fmt(f),
            Self::TooLarge { bytes, max } => {
                write!(f, "a change of {bytes} bytes exceeds the limit of {max}")
            }
        }
    }
}

impl std::error::Error for AppendError {}

impl From<Poisoned> for AppendError {
    fn from(poisoned: Poisoned) -> Self {
        Self::Poisoned(poisoned)
    }
}

/// Why a log does not begin to lead. Nothing has happened, unless the log is poisoned.
#[derive(Clone, Debug)]
pub enum LeadError {
    /// It leads already.
    Leads,
    /// It cannot take the frame that would say so.
    Append(AppendError),
}

impl fmt::Display for LeadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Leads => f.write_str("the log is led here already"),
            Self::Append(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for LeadError {}

impl From<AppendError> for LeadError {
    fn from(error: AppendError) -> Self {
        Self::Append(error)
    }
}

/// Why frames were not taken. Nothing has happened to the one that this is about, nor to any
/// behind it.
#[derive(Debug)]
#[non_exhaustive]
pub enum ReceiveError {
    /// The log cannot take it: it is full, or poisoned.
    Append(AppendError),
    /// It is not as it was sealed.
    Damaged {
        /// Where it should belong.
        at: Lsn,
    },
    /// Settled entries that it is about cannot be read here.
    Data(DataError),
    /// It belongs to an epoch that cannot come next.
    Epoch {
        /// Where it belongs.
        at: Lsn,
        /// Its epoch.
        epoch: u32,
        /// The epoch of the log.
        current: u32,
    },
    /// The log is led here.
    Leads,
    /// It is whole, and holds what this version cannot decode.
    Malformed {
        /// Where the record begins that does not decode.
        at: Lsn,
        /// What is wrong with it.
        cause: Malformed,
    },
    /// It belongs elsewhere.
    Misplaced {
        /// Where it belongs by its header.
        at: Lsn,
        /// Where the log ends.
        end: Lsn,
    },
}

impl fmt::Display for ReceiveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Append(error) => error.fmt(f),
            Self::Damaged { at } => write!(f, "the frame for LSN {at} is damaged"),
            Self::Data(error) => error.fmt(f),
            Self::Epoch { at, epoch, current } => write!(
                f,
                "the frame for LSN {at} is of epoch {epoch}, which does not follow epoch {current}"
            ),
            Self::Leads => f.write_str("the log is led here"),
            Self::Malformed { at, cause } => write!(f, "the record at LSN {at}: {cause}"),
            Self::Misplaced { at, end } => {
                write!(f, "a frame for LSN {at}, where LSN {end} comes next")
            }
        }
    }
}

impl std::error::Error for ReceiveError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Data(error) => error.source(),
            _ => None,
        }
    }
}

impl From<AppendError> for ReceiveError {
    fn from(error: AppendError) -> Self {
        Self::Append(error)
    }
}

impl From<Poisoned> for ReceiveError {
    fn from(poisoned: Poisoned) -> Self {
        Self::Append(poisoned.into())
    }
}

impl From<DataError> for ReceiveError {
    fn from(error: DataError) -> Self {
        Self::Data(error)
    }
}

/// Why there are no frames to be had from a place.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum FramesError {
    /// The place has been let go of.
    Released {
        /// Where the log begins now.
        begins: Lsn,
    },
    /// No frame begins there.
    NoFrame {
        /// The place.
        at: Lsn,
    },
}

impl fmt::Display for FramesError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Released { begins } => write!(f, "the log begins at LSN {begins}"),
            Self::NoFrame { at } => write!(f, "no frame of the log begins at LSN {at}"),
        }
    }
}

impl std::error::Error for FramesError {}

/// Why changes were not made. Nothing of them happened.
#[derive(Debug)]
pub enum CommitError {
    /// The log refuses them.
    Append(AppendError),
    /// Settled entries must be known first.
    Missing(Missing),
}

impl fmt::Display for CommitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Append(error) => error.fmt(f),
            Self::Missing(missing) => missing.fmt(f),
        }
    }
}

impl std::error::Error for CommitError {}

impl From<AppendError> for CommitError {
    fn from(error: AppendError) -> Self {
        Self::Append(error)
    }
}

impl From<Missing> for CommitError {
    fn from(missing: Missing) -> Self {
        Self::Missing(missing)
    }
}

/// Bytes that are not what they should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed {
    /// What is wrong with them.
    pub what: &'static str,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.what)
    }
}

impl std::error::Error for Malformed {}

/// What proves that something below `durable` has been lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Witness {
    /// Everything below this had been durable.
    pub durable: Lsn,
    /// The frame that says so; `None` when the caller of [`Log::open`](crate::log::Log::open) did.
    pub frame: Option<Lsn>,
}

/// Damage that no crash explains. The log is left as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Corruption {
    /// Bytes that had been durable are damaged or gone.
    Lost {
        /// The segment in which the log breaks off.
        file: PathBuf,
        /// Where it breaks off: the end of the last whole frame.
        at: Lsn,
        /// The proof.
        witness: Witness,
    },
    /// The log begins later than it is needed from.
    NoStart {
        /// From where it is needed.
        needed: Lsn,
        /// Where it begins; `None` when there is no segment at all.
        begins: Option<Lsn>,
    },
    /// Two segments claim the same part of the log.
    Overlap {
        /// The later segment.
        file: PathBuf,
        /// Where the frames of the segment before it end.
        end: Lsn,
    },
    /// A segment is not the one that its name says.
    Renamed {
        /// The file.
        file: PathBuf,
        /// The LSN that it really begins at.
        base: Lsn,
    },
    /// A segment is shorter than it was made.
    Truncated {
        /// The file.
        file: PathBuf,
        /// Its length in bytes.
        len: u64,
        /// The length that it was made with.
        made: u64,
    },
    /// A segment is of a format that this version does not know.
    UnknownVersion {
        /// The file.
        file: PathBuf,
        /// The version of its format.
        version: u32,
    },
}

impl Corruption {
    /// The file that shows it; `None` when it is one that is missing.
    #[must_use]
    pub fn file(&self) -> Option<&Path> {
        match self {
            Self::Lost { file, .. }
            | Self::Overlap { file, .. }
            | Self::Renamed { file, .. }
            | Self::Truncated { file, .. }
            | Self::UnknownVersion { file, .. } => Some(file),
            Self::NoStart { .. } => None,
        }
    }
}

impl fmt::Display for Corruption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lost {
                file,
                at,
                witness: Witness { durable, frame },
            } => {
                write!(f, "{} is damaged at LSN {at}; ", file.display())?;
                match frame {
                    Some(frame) => write!(f, "the frame at LSN {frame} proves that "),
                    None => write!(f, "the checkpoint proves that "),
                }?;
                write!(f, "everything below LSN {durable} had been durable")
            }
            Self::NoStart {
                needed,
                begins: Some(begins),
            } => {
                write!(
                    f,
                    "the log begins at LSN {begins} but is needed from LSN {needed} on"
                )
            }
            Self::NoStart {
                needed,
                begins: None,
            } => {
                write!(f, "there is no log, but it is needed from LSN {needed} on")
            }
            Self::Overlap { file, end } => write!(
                f,
                "{} begins below LSN {end}, where the frames of the segment before it end",
                file.display()
            ),
            Self::Renamed { file, base } => {
                write!(
                    f,
                    "{} is the segment that begins at LSN {base}",
                    file.display()
                )
            }
            Self::Truncated { file, len, made } => {
                write!(
                    f,
                    "{} is {len} bytes long but was made {made} bytes long",
                    file.display()
                )
            }
            Self::UnknownVersion { file, version } => {
                write!(
                    f,
                    "{} has format version {version}, which is unknown",
                    file.display()
                )
            }
        }
    }
}

impl std::error::Error for Corruption {}

/// Why a log cannot be opened.
#[derive(Debug)]
#[non_exhaustive]
pub enum OpenError {
    /// No checkpoint is whole. Nothing on disk has been changed.
    Checkpoint {
        /// The newest one.
        file: PathBuf,
        /// Where it is damaged: the beginning of the part that is not right.
        pos: u64,
        /// What is wrong there.
        what: &'static str,
    },
    /// Damage that no crash explains. Nothing on disk has been changed.
    Corrupt(Corruption),
    /// Settled entries cannot be read that the log tells about.
    Data(DataError),
    /// The file system refused.
    Disk(DiskError),
    /// Another process has this directory open.
    Locked {
        /// The lock file that it holds.
        path: PathBuf,
    },
    /// A whole frame, right by its checksum, holds what this version cannot decode.
    Malformed {
        /// Where the body of the frame begins.
        at: Lsn,
        /// What is wrong with it.
        cause: Malformed,
    },
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Checkpoint { file, pos, what } => write!(
                f,
                "the checkpoint {} cannot be used: at byte {pos}: {what}",
                file.display()
            ),
            Self::Corrupt(corruption) => corruption.fmt(f),
            Self::Data(fault) => fault.fmt(f),
            Self::Disk(fault) => fault.fmt(f),
            Self::Locked { path } => write!(f, "another process holds {}", path.display()),
            Self::Malformed { at, cause } => write!(f, "the frame body at LSN {at}: {cause}"),
        }
    }
}

impl std::error::Error for OpenError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Checkpoint { .. } | Self::Corrupt(_) | Self::Locked { .. } => None,
            Self::Data(fault) => Some(fault),
            Self::Disk(fault) => Some(&fault.source),
            Self::Malformed { cause, .. } => Some(cause),
        }
    }
}

impl From<DiskError> for OpenError {
    fn from(fault: DiskError) -> Self {
        Self::Disk(fault)
    }
}

impl From<Corruption> for OpenError {
    fn from(corruption: Corruption) -> Self {
        Self::Corrupt(corruption)
    }
}

/// Why settled entries cannot be read.
#[derive(Debug)]
#[non_exhaustive]
pub enum DataError {
    /// Something in a data file is not what was written there.
    Corrupt {
        /// The file.
        file: PathBuf,
        /// Where in it the damaged part begins.
        pos: u64,
        /// What is wrong with it.
        flaw: Flaw,
    },
    /// The file system refused.
    Disk(DiskError),
}

/// What is wrong with a part of a data file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Flaw {
    /// The bytes do not match their checksum.
    Checksum,
    /// The file is not as long as it was made.
    Length {
        /// Its length in bytes.
        len: u64,
        /// The length that it was made with.
        made: u64,
    },
    /// The bytes match their checksum and do not decode.
    Malformed(Malformed),
    /// A whole block that belongs elsewhere, or is of another length or kind.
    Misplaced {
        /// The number of its file.
        file: u64,
        /// Its position there.
        pos: u64,
        /// Its stream.
        stream: StreamNo,
    },
    /// The file is not the one that its name says.
    Renamed {
        /// The number of the file that it really is.
        number: u64,
    },
    /// The file is of a format that this version does not know.
    UnknownVersion(u32),
}

impl fmt::Display for DataError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Corrupt { file, pos, flaw } => {
                write!(f, "{} is damaged at byte {pos}: {flaw}", file.display())
            }
            Self::Disk(fault) => fault.fmt(f),
        }
    }
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Checksum => f.write_str("bytes that do not match their checksum"),
            Self::Length { len, made } => {
                write!(f, "a length of {len} bytes where {made} were made")
            }
            Self::Malformed(cause) => cause.fmt(f),
            Self::Misplaced { file, pos, stream } => write!(
                f,
                "another block, which belongs to stream {stream} at byte {pos} of file {file}"
            ),
            Self::Renamed { number } => write!(f, "the file has the number {number}"),
            Self::UnknownVersion(version) => {
                write!(f, "the format version {version}, which is unknown")
            }
        }
    }
}

impl std::error::Error for DataError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Corrupt { .. } => None,
            Self::Disk(fault) => Some(&fault.source),
        }
    }
}

impl From<DiskError> for DataError {
    fn from(fault: DiskError) -> Self {
        Self::Disk(fault)
    }
}
