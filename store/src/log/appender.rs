//! A batch in the making.

use std::fmt;

use parking_lot::MutexGuard;

use super::frame::BODY_MAX;
use super::spare::Fill;
use super::tail::Tail;
use super::{Growth, Log};
use crate::error::AppendError;
use crate::lsn::Lsn;

/// A batch being appended. It holds the tail of the log: others cannot append, and the holder must
/// not call [`Log::append`], [`Log::read`] or anything that writes. Dropping it ends the batch.
pub struct Appender<'a> {
    pub(super) log: &'a Log,
    pub(super) tail: MutexGuard<'a, Tail>,
    pub(super) end: Lsn,
    /// What the batch may still take of what was admitted.
    pub(super) bytes_left: u64,
}

impl Appender<'_> {
    /// Makes sure that the batch may take `bytes` more, which [`Log::append`] did for as many as it
    /// was told of.
    ///
    /// # Errors
    ///
    /// Those of [`Log::append`]. What the batch has taken so far stays.
    pub fn ask(&mut self, growth: Growth, bytes: u64) -> Result<(), AppendError> {
        if bytes <= self.bytes_left {
            return Ok(());
        }
        self.log.marks.check()?;
        let needed = self.tail.open_len() + bytes;
        if needed > BODY_MAX {
            return Err(AppendError::TooLarge {
                bytes: needed,
                max: BODY_MAX,
            });
        }
        let reserve = self.log.options.reserve_bytes;
        while !self.tail.extends(growth, bytes, reserve) {
            self.log.make_room(&mut self.tail, needed)?;
        }
        self.bytes_left = bytes;
        Ok(())
    }

    /// Appends one record, the bytes that `encode` appends to the buffer, and returns the LSN of
    /// the first of them. `encode` must do nothing else to the buffer.
    pub fn push(&mut self, encode: impl FnOnce(&mut Vec<u8>)) -> Lsn {
        let at = self.tail.push(self.bytes_left, encode);
        self.end = self.tail.end();
        self.bytes_left = self.bytes_left.saturating_sub(self.end.since(at));
        at
    }

    /// The LSN just past the last record; where the log ends when nothing was pushed.
    #[must_use]
    pub fn end(&self) -> Lsn {
        self.end
    }

    /// Like [`Log::read`], which would wait for this batch to end for ever. Sees the batch's own
    /// records, too.
    ///
    /// # Panics
    ///
    /// When `at` is not within `[start, end)`.
    pub fn read<R>(&self, at: Lsn, f: impl FnOnce(&[u8]) -> R) -> R {
        if let Some(bytes) = self.tail.from(at) {
            return f(bytes);
        }
        let written = self.log.marks.written();
        if at < written {
            return self.log.read_written(at, written, f);
        }
        // Nothing can replace the buffer in flight while we hold the tail.
        let flight = self.log.in_flight.read();
        f(flight
            .from(at)
            .expect("what is neither in the tail nor written is in flight"))
    }
}

impl Drop for Appender<'_> {
    fn drop(&mut self) {
        while let Some(needed) = self.tail.outgrown() {
            if self.tail.replace_open() {
                break;
            }
            // The batch is larger than was said, so space for it was not asked for in time.
            match self
                .log
                .maker
                .make(self.log.file_len_for(needed), Fill::Allocate)
            {
                Ok(spare) => self.tail.add_spare(spare),
                Err(fault) => {
                    self.log.poison(fault);
                    break;
                }
            }
        }
        self.log.marks.set_appended(self.tail.end());
        if self.tail.has_taken_spare() {
            self.log.background.request_spare();
        }
    }
}

impl fmt::Debug for Appender<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Appender")
            .field("end", &self.end)
            .finish_non_exhaustive()
    }
}
