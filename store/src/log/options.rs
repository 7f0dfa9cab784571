//! How a log is kept, and the figures it gives about itself.

use std::sync::Arc;
use std::time::Duration;

use super::Progress;
use crate::history::{History, HistoryId};
use crate::lsn::Lsn;

/// When what has been appended is synced, and so which mark replies wait for.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum SyncPolicy {
    /// Before any reply: the committed mark is `durable`.
    Always,
    /// Once a second: the committed mark is `written`.
    EverySec,
    /// When the kernel likes, and at the end of each segment: the committed mark is `written`.
    No,
}

/// What an append does to the amount of data.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Growth {
    /// It adds data: the reserve is not for it.
    Adds,
    /// It frees data, or leads to that (acknowledging, deleting, trimming): it may use the reserve.
    Frees,
}

/// What a log is opened for.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub enum Opening {
    /// To be appended to: an [epoch](crate::history) begins, with this id, which must be new.
    Lead(HistoryId),
    /// To take the frames of a log that is led elsewhere. Nothing is appended.
    #[default]
    Follow,
}

/// How a log is kept.
#[derive(Clone, Debug)]
pub struct LogOptions {
    /// Bytes of a segment file.
    pub segment_bytes: u64,
    /// When it is synced, to begin with.
    pub policy: SyncPolicy,
    /// How many segments are kept ready; at least one is.
    pub spares: usize,
    /// How many may be ready after a [release](super::Log::release): files beyond that are removed.
    pub spares_max: usize,
    /// Bytes of allocated space that only appends which [free](Growth::Frees) may use.
    pub reserve_bytes: u64,
    /// The lowest place that this store will ever read. Segments wholly below it are not needed any
    /// more: an open removes those it finds, unless they are [retained](Self::retain).
    pub keep: Lsn,
    /// So many bytes of log, from its end, are not removed by an open although they lie below
    /// `keep`: for those who follow.
    pub retain: u64,
    /// Where replay starts; at least `keep`. What lies between the two is verified and kept for
    /// reading, and not replayed.
    pub from: Lsn,
    /// Everything below this is known to have been durable, so that a log that ends earlier has
    /// lost something; at least `from`.
    pub durable: Lsn,
    /// The history of what lies below `from`. What follows is in the log itself.
    pub history: History,
    /// What it is opened for.
    pub role: Opening,
    /// What to tell how far the opening has got.
    pub progress: Option<Arc<Progress>>,
}

impl Default for LogOptions {
    fn default() -> Self {
        Self {
            segment_bytes: 64 << 20,
            policy: SyncPolicy::Always,
            spares: 1,
            spares_max: 4,
            reserve_bytes: 4 << 20,
            keep: Lsn::ZERO,
            retain: 0,
            from: Lsn::ZERO,
            durable: Lsn::ZERO,
            history: History::new(),
            role: Opening::Follow,
            progress: None,
        }
    }
}

/// Figures about a log, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LogStats {
    /// Where the log begins.
    pub start: Lsn,
    /// The number of the current [epoch](crate::history); 0 while the log is empty.
    pub epoch: u32,
    /// Segments with frames.
    pub segments: usize,
    /// Files that are ready to become segments.
    pub spares: usize,
    /// Bytes of the files of both.
    pub bytes_on_disk: u64,
    /// Bytes that can be appended before more space must be allocated.
    pub room: u64,
    /// Bytes that have been appended and not been written.
    pub pending_bytes: u64,
    /// Frames written since the log was opened.
    pub frames: u64,
    /// Writes since the log was opened.
    pub writes: u64,
    /// Syncs since the log was opened.
    pub syncs: u64,
    /// How long the last sync took.
    pub last_sync: Duration,
    /// Bytes of log that were let go of since the log was opened.
    pub released_bytes: u64,
    /// Files that were used again since the log was opened.
    pub recycled: u64,
    /// Files that were made since the log was opened.
    pub made: u64,
    /// Whether [growth is refused](super::Log::refuse_growth).
    pub growth_refused: bool,
}
