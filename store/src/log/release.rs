//! Letting go of what lies below the log.
//!
//! The files of segments that nobody reads any more become spares: their blocks are allocated and
//! initialised already, so nothing is made or filled with zeros for as long as the log moves on
//! like this. What is too much, has another size or has other names (a backup's) is removed.
//!
//! ```text
//!  00000000000000000000.log                the segment
//!     | rename
//!  spare-7.tmp                             the same bytes
//!     | sync the directory
//!     | blank header, fences, sync the file
//!  spare-7.tmp                             ready, like any spare
//! ```
//!
//! A crash may come between any two of these. Names are not durable before the directory is synced,
//! and what a file holds is another thing that may or may not be on the disk by then:
//!
//! | the crash comes before    | the next open finds                    | and                     |
//! |---------------------------|----------------------------------------|-------------------------|
//! | the directory is synced   | either name, of an unchanged segment   | removes it, below `keep`|
//! | the file is synced        | a spare, half old                      | removes it, like any    |
//! | a roll into it is durable | a spare, or a segment without a header | removes it, or cuts off |
//!
//! # Invariants
//!
//! * A file under the name of a segment holds that segment, unchanged, or its header is blank.
//! * What is recycled has no reader and no other name.
//! * The last durable frame stays: it knows the epoch.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::Log;
use super::segment::{self, Segment};
use crate::error::{DiskError, Poisoned};
use crate::lsn::Lsn;

impl Log {
    /// Lets go of the segments that end at or below `upto`: [`LogStats::start`](super::LogStats)
    /// moves, and their files become spares or go. Blocks on the disk; meant for a thread that has
    /// the time. The file of a segment that is [held](Self::hold) stays until a later call.
    ///
    /// The caller guarantees that nobody reads below `upto` any more, and that the log will never
    /// be opened with a lower [`LogOptions::keep`](super::LogOptions). What is not durable yet, and
    /// the segment of the last durable frame, are not let go of.
    ///
    /// What the file system refuses to do with a file costs that file at most: it is removed by the
    /// next open.
    ///
    /// # Errors
    ///
    /// When the log is, or has just been, poisoned: a directory that cannot be synced may forget
    /// the names of new segments, too.
    pub fn release(&self, upto: Lsn) -> Result<(), Poisoned> {
        let mut retired = self.retired.lock();
        self.marks.check()?;
        let durable = self.marks.durable();
        let done_with = |segments: &[Arc<Segment>]| {
            let later = segments.iter().skip(1);
            let done_with = later.take_while(|next| next.base <= upto && next.base < durable);
            done_with.count()
        };
        if done_with(&self.segments.load()) > 0 {
            let mut gone = Vec::new();
            self.segments.rcu(|segments| {
                let (before, after) = segments.split_at(done_with(segments));
                gone = before.to_vec();
                after.to_vec()
            });
            let start = self.segments.load()[0].base;
            let bytes = start.since(self.beginning());
            self.start.store(start.get(), Ordering::Release);
            self.counters.released.fetch_add(bytes, Ordering::Relaxed);
            retired.append(&mut gone);
        }
        self.recycle(&mut retired)
    }

    /// Makes spares of the files that nobody holds, or removes them.
    fn recycle(&self, retired: &mut Vec<Arc<Segment>>) -> Result<(), Poisoned> {
        let spares = self.tail.lock().spares();
        let mut wanted = self.options.spares_max.saturating_sub(spares);
        let mut used = Vec::new();
        for segment in std::mem::take(retired) {
            match Arc::try_unwrap(segment) {
                Ok(segment) if wanted > 0 && self.is_recyclable(&segment) => {
                    let path = segment::path(&self.dir, segment.base);
                    if let Some(taken) = regardless(self.maker.take(&path, segment)) {
                        used.push(taken);
                        wanted -= 1;
                    }
                }
                Ok(segment) => {
                    let path = segment::path(&self.dir, segment.base);
                    regardless(self.disk.remove(&path));
                }
                Err(held) => retired.push(held),
            }
        }
        if used.is_empty() {
            return Ok(());
        }
        self.disk
            .sync_dir(&self.dir)
            .map_err(|fault| self.poison(fault))?;
        for used in used {
            if let Some(spare) = regardless(self.maker.recycle(used)) {
                self.add_spare(spare);
                self.counters.recycled.fetch_add(1, Ordering::Relaxed);
            }
        }
        Ok(())
    }

    fn is_recyclable(&self, segment: &Segment) -> bool {
        let is_alone = || regardless(segment.file.links()) == Some(1);
        segment.file_len == self.options.segment_bytes && is_alone()
    }
}

/// What was done with a file that has no more to do with the log: a refusal is told, and that is
/// all.
fn regardless<T>(done: Result<T, DiskError>) -> Option<T> {
    let told = done.inspect_err(|fault| tracing::warn!(%fault, "a file is left behind by the log"));
    told.ok()
}
