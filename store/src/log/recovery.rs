//! Finding the end of the log after a crash.
//!
//! A crash may lose what was not synced, in any order: the disk is free to keep a later frame and
//! lose an earlier one, and because rolling to a new segment does not wait for a sync, this goes
//! beyond the end of a segment. It may not lose what was synced. A frame's `durable` field says
//! what that was when the frame was written, so the frames that survive are witnesses for the ones
//! that did not. What the caller knows to have been durable is a witness, too.
//!
//! The caller also says what it needs:
//!
//! ```text
//!            keep                from                    durable
//!  -----|-----:----|--------------:----|------------------:----|---------
//!  :  not needed   :  followed frame   :  and replayed         :
//!  :               :  by frame         :                       :
//! ```
//!
//! What is kept and not replayed is followed, too: entries are read from there by their places
//! alone, so damage must show before.
//!
//! Names that were [released](super::release) may come back after a crash, any of them. They lie
//! below `keep`. Of what is there, only what leads up to the rest without a gap is worth anything,
//! to those who follow this log; and that is kept as far as is [wished](LogOptions::retain). A
//! segment leads up to the next one that is there if its file has room for all that lies between:
//! had there been another between the two, then because its first frame found no room.
//!
//! Follow the other segments from the first one on, frame by frame, as long as each begins where
//! the frames of the one before it end. Call `end` the end of the last whole frame.
//!
//! | at `end`, in the last segment reached                | witness > `end` | decision           |
//! |------------------------------------------------------|-----------------|--------------------|
//! | no segment at all, and none is needed                | no              | a new log          |
//! | untouched to the end of the file; none further       | no              | the log ends here  |
//! | damage, or untouched and then something; none further| no              | torn: cut          |
//! | anything; a further segment begins later             | no              | torn: cut, remove  |
//! | no whole header, so `end` is its beginning           | no              | torn: remove       |
//! | any of these                                         | yes             | corrupt: lost      |
//! | a further segment begins before `end`                | either          | corrupt: overlap   |
//! | any segment is whole, but not the one its name says  | either          | corrupt: renamed   |
//! | any segment is shorter than its whole header says    | either          | corrupt: truncated |
//! | any segment is of another format version             | either          | refused            |
//! | no segment begins at or before `keep`                | either          | corrupt: no start  |
//!
//! Corrupt means: nothing is changed, and the log does not open. No crash does any of it.
//!
//! **Untouched** is a file behind `end` that was fresh and is blank there; or one that was
//! recycled, whose [fences](super::fences) are intact there, and where no frame names its place up
//! to the first of them. What lies between the fences of a recycled file is of no interest: it is
//! old.
//!
//! **After the decision** the log is made to be what was read. What was found behind `end` is
//! zeroed and later segments are removed, durably, before anything is appended: an old frame behind
//! the cut would come back to life once new frames reach it. (Its epoch would betray it; this is
//! the second line.) What no witness vouches for is written once more and synced: it may have been
//! read from the page cache only, and after a failed sync the kernel may hold such pages as clean.
//! All of this can be interrupted and begun again: it leads to the same `end` each time. What lies
//! below `keep` and is not retained is removed last, when the names of what stays are durable.
//!
//! **The epoch** of the last frame must be known, for the next one to be higher. When no frame is
//! left in what has to be followed, the segment before is followed, too; it is there, because a
//! release leaves the last durable frame alone.
//!
//! **What cannot be seen**: damage to the frames after the last witness looks like a tear. The log
//! bears witness of all its records when it is closed and when it has been idle for a second, so
//! this concerns the last moments before a crash. A single copy cannot tell the two apart; a
//! replica can. A recycled file adds a case: after a power failure that took a fence, the frames
//! behind it are not asked for what they know. They had not been durable, but might have been the
//! only witnesses for the last that was. A client that knows the LSN its words will get could forge
//! a frame inside of them; it is looked at only when the frame around it is torn, and can then at
//! worst stop the start.

mod decision;
mod inspect;
mod survey;

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;

use self::decision::{Seen, decide};
pub(crate) use self::inspect::{
    Before, EndSeen, Inspected, SegmentSeen, inspect, look_before, segment_of,
};
use self::survey::{Found, Walk};
use super::segment::{self, Segment};
use super::{LogOptions, Replay, spare};
use crate::disk::Disk;
use crate::error::{DiskError, OpenError};
use crate::history::History;
use crate::lsn::Lsn;

/// What a log is after recovery: all of it durable, and nothing of it behind its end.
#[derive(Debug)]
pub(crate) struct Recovered {
    pub(crate) segments: Vec<Arc<Segment>>,
    pub(crate) end: Lsn,
    /// The number of the last epoch; 0 when the log is empty.
    pub(crate) epoch: u32,
    pub(crate) history: History,
    /// Where the last record ends.
    pub(crate) records_end: Lsn,
    /// Whether something behind the end was cut off.
    pub(crate) torn: bool,
}

/// Finds the end of the log in `dir`, hands the frames with records from `options.from` on to
/// `replay`, and makes what it found durable.
pub(crate) fn recover(
    disk: &dyn Disk,
    dir: &Path,
    options: &LogOptions,
    replay: Replay<'_>,
) -> Result<Recovered, OpenError> {
    let Surveyed {
        names,
        below,
        found,
        seen,
        walk,
    } = Surveyed::of(options, replay, disk.list(dir)?, &mut |base| {
        let path = segment::path(dir, base);
        Found::new(base, disk.open(&path)?, path)
    })?;
    let decided = decide(options.keep, options.durable, &seen);
    let decided = decided.map_err(|flaw| flaw.told(options.keep, |segment| &found[segment]))?;
    let history = walk.history()?;

    // From here on the disk is changed. Names may go in any order: whatever is left of the later
    // segments, the log is torn at the same place.
    for name in names.iter().filter(|name| spare::is_spare(name)) {
        disk.remove(&dir.join(name))?;
    }
    for removed in &found[decided.segments..] {
        disk.remove(removed.path())?;
    }
    let mut segments = Vec::new();
    for (found, seen) in found.iter().zip(&seen).take(decided.segments) {
        if seen.end == decided.end {
            found.cut(seen)?;
        }
        segments.push(found.restore(seen.end, walk.witness())?);
    }
    disk.sync_dir(dir)?;
    let wanted = decided.end.get().saturating_sub(options.retain);
    let retained = retained(disk, dir, &below, segments.first(), Lsn::new(wanted))?;
    for base in &below[..below.len() - retained.len()] {
        disk.remove(&segment::path(dir, *base))?;
    }
    segments.splice(..0, retained);
    Ok(Recovered {
        segments,
        end: decided.end,
        epoch: walk.epoch().unwrap_or(0),
        history,
        records_end: walk.records_end(),
        torn: decided.torn,
    })
}

/// The last of the segments `below` the first one that is needed, as far as they lead up to that
/// without a gap, and hold something from `wanted` on.
fn retained(
    disk: &dyn Disk,
    dir: &Path,
    below: &[Lsn],
    first: Option<&Arc<Segment>>,
    wanted: Lsn,
) -> Result<Vec<Arc<Segment>>, DiskError> {
    let mut retained = VecDeque::new();
    let mut next = first.map_or(Lsn::ZERO, |first| first.base);
    for base in below.iter().rev() {
        if next <= wanted {
            break;
        }
        let path = segment::path(dir, *base);
        let found = Found::new(*base, disk.open(&path)?, path)?;
        if !found.leads_to(next)? {
            break;
        }
        // It had been durable when it was left behind.
        retained.push_front(found.restore(next, next)?);
        next = *base;
    }
    Ok(retained.into())
}

/// What was found in the directory of a log.
struct Surveyed<'a> {
    names: Vec<String>,
    /// The segments that are not needed.
    below: Vec<Lsn>,
    /// All others.
    found: Vec<Found>,
    /// What was seen in each of them.
    seen: Vec<Seen>,
    walk: Walk<'a>,
}

impl<'a> Surveyed<'a> {
    /// Looks at the segments among `names`, and changes nothing.
    fn of(
        options: &'a LogOptions,
        replay: Replay<'a>,
        names: Vec<String>,
        open: &mut dyn FnMut(Lsn) -> Result<Found, DiskError>,
    ) -> Result<Self, OpenError> {
        let bases = names.iter().filter_map(|name| segment::base_of(name));
        let mut bases: Vec<Lsn> = bases.collect();
        let begun = bases.partition_point(|base| *base <= options.keep);
        let mut below = begun.saturating_sub(1);
        let mut found = Vec::new();
        for base in &bases[below..] {
            found.push(open(*base)?);
        }
        let mut walk = Walk::new(options, replay);
        let mut seen = walk.survey(&found)?;
        while walk.epoch().is_none() && below > 0 {
            // No frame was found, and so none was replayed.
            below -= 1;
            found.insert(0, open(bases[below])?);
            seen = walk.survey(&found)?;
        }
        bases.truncate(below);
        Ok(Self {
            names,
            below: bases,
            found,
            seen,
            walk,
        })
    }
}
