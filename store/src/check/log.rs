//! The log: its segments, frames and records, and what they do to the streams.

use std::path::Path;

use super::checkpoints::{Known, Taken};
use super::streams::Restored;
use super::{Check, Severity, What};
use crate::data::{Data, Patience, Reader};
use crate::error::{Corruption, OpenError};
use crate::history::{Epoch, History};
use crate::log::{Before, EndSeen, Inspected, SegmentSeen, inspect, look_before, segment_of};
use crate::lsn::Lsn;
use crate::record::{Change, Record, records};
use crate::state::Restore;

impl Check<'_> {
    /// Checks the log in `dir`, which has `names` in it, and of which the checkpoint says what is
    /// needed: that it holds what streams have only there, and that it can be applied to them.
    pub(super) fn log(
        &mut self,
        dir: &Path,
        names: Vec<String>,
        known: &Known,
        data: &Data,
        restored: Restored,
    ) {
        let taken = known.taken.as_ref();
        let keep = match taken {
            Some(taken) => Some(taken.ending.keep),
            None if known.lost => None,
            None => Some(Lsn::ZERO),
        };
        let durable = taken.map_or(Lsn::ZERO, |taken| taken.ending.until);
        let disk = self.disk;
        let mut walk = Walk {
            dir,
            names: names.clone(),
            from: taken.map_or(Lsn::ZERO, |taken| taken.beginning.from),
            data,
            restored,
            check: self,
        };
        let replay = &mut |at, count, body: &[u8]| {
            walk.frame(at, count, body);
            Ok(())
        };
        let inspected = inspect(disk, dir, names, keep, durable, replay);
        let restored = walk.restored;
        let looked = inspected.and_then(|log| Ok((look_before(disk, dir, &log)?, log)));
        match looked {
            Ok((before, log)) => self.inspected(log, before, restored, taken),
            Err(OpenError::Disk(fault)) => self.unread(fault),
            Err(other) => unreachable!("records are told of where they are found: {other}"),
        }
    }

    fn inspected(
        &mut self,
        log: Inspected,
        before: Before,
        restored: Restored,
        taken: Option<&Taken>,
    ) {
        let totals = &mut self.summary.totals;
        let segments = log.segments.len() + before.retained.len() + before.below.len();
        totals.segments += segments as u64;
        totals.spares += log.spares;
        totals.frames += log.frames;
        totals.bytes += { log.segments.iter() }
            .map(|segment| segment.file_len)
            .sum::<u64>();
        self.epochs(&log.begun, taken);
        for file in log.unknown {
            self.note(What::Unknown { file });
        }
        for (file, gap) in before.gaps {
            let (from, to) = (gap.start, gap.end);
            self.note(What::Gap { file, from, to });
        }
        for file in before.below {
            self.note(What::Superseded { file });
        }
        match log.end {
            Ok(end) => {
                self.ends(&end, log.segments);
                if let Some(taken) = taken {
                    self.hold_against(taken, restored);
                }
            }
            Err(corruptions) => self.breaks(corruptions, log.segments),
        }
    }

    /// Holds the epochs that begin in the log against those that the checkpoint knows.
    fn epochs(&mut self, begun: &[Epoch], taken: Option<&Taken>) {
        let (from, mut history) = taken.map_or((Lsn::ZERO, History::new()), |taken| {
            let beginning = &taken.beginning;
            (beginning.from, beginning.history.clone())
        });
        let oldest = history.epochs().first().map(|oldest| oldest.start);
        for epoch in begun {
            let is_right = if epoch.start >= from {
                history.try_push(*epoch).is_ok()
            } else {
                oldest > Some(epoch.start) || history.epochs().contains(epoch)
            };
            if let Some(taken) = taken.filter(|_| !is_right) {
                let (file, epoch) = (taken.path.clone(), *epoch);
                self.damage(What::Epoch { file, epoch });
            }
        }
        self.summary.history = history;
    }

    /// The whole log has been seen: what it should have had, or said, and did not.
    fn hold_against(&mut self, taken: &Taken, restored: Restored) {
        if let Some(&at) = restored.in_log.keys().min() {
            self.damage(What::NotInLog {
                file: taken.path.clone(),
                entries: restored.in_log.len(),
                at,
            });
        }
        if let Some(Err(cause)) = restored.state.map(Restore::finish) {
            let (file, pos, what) = (taken.path.clone(), 0, cause.what);
            let error = OpenError::Checkpoint { file, pos, what };
            self.damage(What::Checkpoint(error));
        }
    }

    /// The log ends.
    fn ends(&mut self, end: &EndSeen, mut segments: Vec<SegmentSeen>) {
        let behind = segments.split_off(end.segments);
        if let Some(last) = segments.pop().filter(|last| last.dirt > 0) {
            let (file, at, bytes) = (last.path, end.at, last.dirt);
            self.found(Severity::Torn, What::Torn { file, at, bytes });
        }
        for segment in behind {
            let file = segment.path;
            self.found(Severity::Torn, What::BehindTear { file });
        }
    }

    /// The log must not be opened.
    fn breaks(&mut self, corruptions: Vec<Corruption>, segments: Vec<SegmentSeen>) {
        let told = corruptions.iter().find_map(|corruption| match corruption {
            Corruption::Lost { at, .. } => Some(*at),
            _ => None,
        });
        for corruption in corruptions {
            self.damage(What::Corrupt(corruption));
        }
        for segment in segments {
            for gap in segment.gaps {
                if told != Some(gap.start) {
                    let file = segment.path.clone();
                    let (from, to) = (gap.start, gap.end);
                    self.damage(What::Gap { file, from, to });
                }
            }
        }
    }
}

/// The way along the records.
struct Walk<'c, 'a> {
    check: &'c mut Check<'a>,
    dir: &'c Path,
    names: Vec<String>,
    /// Where a start begins to apply records.
    from: Lsn,
    data: &'c Data,
    /// Its state goes with the first record that cannot be applied.
    restored: Restored,
}

impl Walk<'_, '_> {
    /// Takes the `count` records of a frame whose body begins at `at`.
    fn frame(&mut self, at: Lsn, count: u32, body: &[u8]) {
        // A reader keeps what it reads: it is for one frame.
        let reader = Reader::new(self.data, Patience::Wait);
        for placed in records(at, count, body) {
            match placed {
                Ok((at, end, record)) => self.record(&reader, at, end, &record),
                Err((at, cause)) => {
                    let file = segment_of(self.dir, &self.names, at);
                    self.check.damage(What::Record { file, at, cause });
                    self.restored.state = None;
                }
            }
        }
    }

    fn record(&mut self, reader: &Reader<'_>, at: Lsn, end: Lsn, record: &Record<'_>) {
        self.check.summary.totals.records += 1;
        let change = match record {
            Record::Stream { change, .. } => Some(change),
            Record::Keyspace(_) => None,
        };
        if let Some(Change::EntryAdded { id, .. }) = change
            && self.restored.in_log.get(&at) == Some(id)
        {
            self.restored.in_log.remove(&at);
        }
        let Some(state) = self.restored.state.as_mut().filter(|_| end > self.from) else {
            return;
        };
        match state.check(at, end, record) {
            Ok(()) => match state.apply(at, end, reader, record) {
                Ok(()) => return,
                Err(error) => self.check.unapplied(error),
            },
            Err(what) => {
                let file = segment_of(self.dir, &self.names, at);
                self.check.damage(What::Impossible { file, at, what });
            }
        }
        self.restored.state = None;
    }
}
