//! Frames, as they lie in the log, for those who send them to a log that follows.

use std::task::{Context, Poll};

use super::{Log, frame};
use crate::error::{FramesError, Poisoned};
use crate::lsn::Lsn;

impl Log {
    /// Calls `f` with whole frames, the first of which begins at `from`: as many as `max` bytes
    /// hold, but at least one, out of one segment, and only what has been written. With nothing
    /// when nothing has been written from there on. `f` gets the pages of the file and should not
    /// keep them for long: a segment that is let go of meanwhile cannot be used again.
    ///
    /// Only the header of each frame has been looked at; who takes the frames verifies them.
    ///
    /// # Errors
    ///
    /// When `from` has been let go of, or is no place where a frame begins.
    pub fn frames<R>(
        &self,
        from: Lsn,
        max: usize,
        f: impl FnOnce(&[u8]) -> R,
    ) -> Result<R, FramesError> {
        let written = self.marks.written();
        if from >= written {
            return if from <= self.appended() {
                Ok(f(&[]))
            } else {
                Err(FramesError::NoFrame { at: from })
            };
        }
        let segments = self.segments.load();
        let next = segments.partition_point(|segment| segment.base <= from);
        let Some(segment) = next.checked_sub(1).map(|index| &segments[index]) else {
            let begins = self.beginning();
            return Err(FramesError::Released { begins });
        };
        // A segment is in the list before `written` moves beyond its base.
        let to = segments
            .get(next)
            .map_or(written, |next| next.base.min(written));
        segment.read(from, to, |bytes| match frame::leading(bytes, from, max) {
            0 => Err(FramesError::NoFrame { at: from }),
            len => Ok(f(&bytes[..len])),
        })
    }

    /// Ready when `written() >= lsn`, or with an error when that can no longer happen. Otherwise
    /// the waker is kept, as by [`poll_committed`](Self::poll_committed).
    ///
    /// # Errors
    ///
    /// When the log is poisoned and `lsn` was not written before.
    pub fn poll_written(&self, lsn: Lsn, cx: &mut Context<'_>) -> Poll<Result<(), Poisoned>> {
        self.marks.poll_written(lsn, cx)
    }
}
