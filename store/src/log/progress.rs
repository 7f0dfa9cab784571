//! How far the opening of a log has got.

use std::sync::atomic::{AtomicU64, Ordering};

/// How many bytes of log there are to follow, and how many have been followed: for those who wait
/// for a log to open. Made by the one who waits, moved by the log.
#[derive(Debug, Default)]
pub struct Progress {
    total: AtomicU64,
    done: AtomicU64,
}

impl Progress {
    /// Bytes of log to follow; 0 until that is known. The last segment counts as full until the end
    /// has been found.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.total.load(Ordering::Relaxed)
    }

    /// Bytes of log that have been followed.
    #[must_use]
    pub fn done(&self) -> u64 {
        self.done.load(Ordering::Relaxed)
    }

    pub(crate) fn begin(&self, total: u64) {
        self.done.store(0, Ordering::Relaxed);
        self.total.store(total, Ordering::Relaxed);
    }

    pub(crate) fn add(&self, bytes: u64) {
        self.done.fetch_add(bytes, Ordering::Relaxed);
    }

    /// There is nothing more than what has been followed.
    pub(crate) fn finish(&self) {
        self.total.store(self.done(), Ordering::Relaxed);
    }
}
