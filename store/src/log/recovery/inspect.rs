//! What an open would find, for those who check or copy a log: nothing is changed, and nothing is
//! taken on trust but what the table of [`recovery`](super) says.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Surveyed;
use super::decision::{End, decide, header_flaws};
use super::survey::{Found, gaps};
use crate::disk::{Disk, File};
use crate::error::{Corruption, DiskError, OpenError};
use crate::history::Epoch;
use crate::log::segment::{self, HeaderSeen, position, to_usize};
use crate::log::{LogOptions, Replay, hold, spare};
use crate::lsn::Lsn;

/// A log as it lies in its directory.
#[derive(Debug)]
pub(crate) struct Inspected {
    /// The segments that are needed, in order.
    pub(crate) segments: Vec<SegmentSeen>,
    /// Where those before them begin, at which nobody has [looked](look_before).
    before: Vec<Lsn>,
    /// The files that were made, or kept, for what is to come.
    pub(crate) spares: u64,
    /// Names that mean nothing here.
    pub(crate) unknown: Vec<PathBuf>,
    /// Everything below has been durable.
    pub(crate) witness: Lsn,
    /// The epochs that begin in what is needed.
    pub(crate) begun: Vec<Epoch>,
    /// How many whole frames lead up to where the log ends or breaks off.
    pub(crate) frames: u64,
    /// Where the log ends, or why it must not be opened: there is at least one reason then.
    pub(crate) end: Result<EndSeen, Vec<Corruption>>,
}

/// What lies before the segments of a log that are needed.
#[derive(Debug, Default)]
pub(crate) struct Before {
    /// Segments that are kept for who follows: they lead up to the others without a gap.
    pub(crate) retained: Vec<PathBuf>,
    /// The parts of these that are no frames.
    pub(crate) gaps: Vec<(PathBuf, Range<Lsn>)>,
    /// Those that nobody needs any more.
    pub(crate) below: Vec<PathBuf>,
}

/// Where a log ends.
#[derive(Debug)]
pub(crate) struct EndSeen {
    pub(crate) at: Lsn,
    /// How many of the segments an open leaves.
    pub(crate) segments: usize,
}

/// A segment as it lies on the disk.
#[derive(Debug)]
pub(crate) struct SegmentSeen {
    pub(crate) base: Lsn,
    pub(crate) path: PathBuf,
    pub(crate) file: Arc<dyn File>,
    pub(crate) file_len: u64,
    /// Where its whole frames end.
    pub(crate) end: Lsn,
    /// Bytes behind that are to be cut off.
    pub(crate) dirt: u64,
    /// In a log that must not be opened: the parts that are no frames and have frames behind them,
    /// here or in the next segment. They end where those begin.
    pub(crate) gaps: Vec<Range<Lsn>>,
}

impl SegmentSeen {
    /// Copies the whole frames into a new file at `path`, which a log can be opened with. The bytes
    /// of the file are durable then, its name is not.
    ///
    /// # Errors
    ///
    /// Whatever the file system refuses.
    pub(crate) fn copy(&self, disk: &dyn Disk, path: &Path) -> Result<(), DiskError> {
        self.copy_part(disk, path, self.base, self.end)
    }

    /// Copies the whole frames from one place to another, like [`copy`](Self::copy).
    ///
    /// # Errors
    ///
    /// Whatever the file system refuses.
    pub(crate) fn copy_part(
        &self,
        disk: &dyn Disk,
        path: &Path,
        from: Lsn,
        to: Lsn,
    ) -> Result<(), DiskError> {
        let mut piece = Vec::new();
        hold::copy(disk, path, from..to, &mut |part, write| {
            piece.resize(to_usize(part.end.since(part.start)), 0);
            self.file
                .read_at(position(self.base, part.start), &mut piece)?;
            write(&piece)
        })
    }
}

/// Looks at every byte of the log in `dir`, which has `names` in it, from `keep` on, or all of it,
/// and hands the frames with records from there on to `replay`. Everything below `durable` is known
/// to have been durable.
///
/// # Errors
///
/// What the disk refuses; what `replay` says.
pub(crate) fn inspect(
    disk: &dyn Disk,
    dir: &Path,
    names: Vec<String>,
    keep: Option<Lsn>,
    durable: Lsn,
    replay: Replay<'_>,
) -> Result<Inspected, OpenError> {
    let first = names.iter().find_map(|name| segment::base_of(name));
    let keep = keep.or(first).unwrap_or(Lsn::ZERO);
    let options = LogOptions {
        keep,
        from: keep,
        durable: durable.max(keep),
        ..LogOptions::default()
    };
    let mut open = |base| open(disk, dir, base);
    let surveyed = Surveyed::of(&options, replay, names, &mut open)?;
    let Surveyed {
        names,
        below,
        found,
        seen,
        walk,
    } = surveyed;

    let headers: Vec<_> = header_flaws(&seen).collect();
    let decided = decide(keep, options.durable, &seen);
    let end = decided
        .map(|decided| {
            let End {
                end: at, segments, ..
            } = decided;
            EndSeen { at, segments }
        })
        .map_err(|first| {
            let flaws = if headers.is_empty() {
                vec![first]
            } else {
                headers
            };
            let told = flaws
                .into_iter()
                .map(|flaw| flaw.told(keep, |index| &found[index]));
            told.collect()
        });

    let mut segments = Vec::new();
    for (index, (file, seen)) in found.iter().zip(&seen).enumerate() {
        let is_itself = match seen.header {
            HeaderSeen::Whole { base, .. } => base == seen.base,
            HeaderSeen::Damaged => true,
            HeaderSeen::UnknownVersion(_) => false,
        };
        let next = found.get(index + 1).map(Found::base);
        segments.push(SegmentSeen {
            base: seen.base,
            path: file.path().to_owned(),
            file: file.file(),
            file_len: seen.file_len,
            end: seen.end,
            dirt: seen.dirt,
            gaps: if end.is_err() && is_itself {
                gaps(file, next)?
            } else {
                Vec::new()
            },
        });
    }
    let is_unknown = |name: &&String| segment::base_of(name).is_none() && !spare::is_spare(name);
    Ok(Inspected {
        segments,
        before: below,
        spares: names.iter().filter(|name| spare::is_spare(name)).count() as u64,
        unknown: names
            .iter()
            .filter(is_unknown)
            .map(|name| dir.join(name))
            .collect(),
        witness: walk.witness(),
        begun: walk.begun().to_vec(),
        frames: walk.frames(),
        end,
    })
}

/// Looks at every byte of what an [inspection](inspect) has left out: only who follows needs it.
///
/// # Errors
///
/// What the disk refuses.
pub(crate) fn look_before(
    disk: &dyn Disk,
    dir: &Path,
    inspected: &Inspected,
) -> Result<Before, DiskError> {
    let mut bases = inspected.before.clone();
    let mut seen = Before::default();
    let mut next = inspected.segments.first().map(|segment| segment.base);
    while let (Some(to), Some(base)) = (next, bases.last()) {
        let file = open(disk, dir, *base)?;
        if !file.leads_to(to)? {
            break;
        }
        let gaps = gaps(&file, Some(to))?.into_iter();
        let gaps = gaps.map(|gap| (file.path().to_owned(), gap));
        seen.gaps.extend(gaps);
        seen.retained.push(file.path().to_owned());
        next = bases.pop();
    }
    let below = bases.iter().map(|base| segment::path(dir, *base));
    seen.below.extend(below);
    Ok(seen)
}

fn open(disk: &dyn Disk, dir: &Path, base: Lsn) -> Result<Found, DiskError> {
    let path = segment::path(dir, base);
    Found::new(base, disk.open_to_read(&path)?, path)
}

/// The file of the segment in `dir`, which has `names` in it, that holds `at`.
pub(crate) fn segment_of(dir: &Path, names: &[String], at: Lsn) -> PathBuf {
    let bases = names.iter().filter_map(|name| segment::base_of(name));
    let base = bases.take_while(|base| *base <= at).last();
    segment::path(dir, base.unwrap_or(at))
}
