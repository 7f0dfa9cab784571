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
//!  :  not looked   :  only the header  :  followed frame by    :
//!  :  at, removed  :  is looked at     :  frame, and replayed  :
//!  :  in the end   :                   :  from `from` on       :
//! ```
//!
//! Names that were removed may come back after a crash, any of them. They lie below `keep`, where
//! nobody looks.
//!
//! Follow the other segments from the first one on, frame by frame, as long as each begins where
//! the frames of the one before it end. Call `end` the end of the last whole frame.
//!
//! | at `end`, in the last segment reached                | witness > `end` | decision           |
//! |------------------------------------------------------|-----------------|--------------------|
//! | no segment at all, and none is needed                | no              | a new log          |
//! | blank to the end of the file; no further segment     | no              | the log ends here  |
//! | damage, or blank and then something; none further    | no              | torn: cut          |
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
//! **After the decision** the log is made to be what was read. What may lie behind `end` is zeroed
//! and later segments are removed, durably, before anything is appended: an old frame behind the
//! cut would come back to life once new frames reach it. (Its epoch would betray it; this is the
//! second line.) What no witness vouches for is written once more and synced: it may have been read
//! from the page cache only, and after a failed sync the kernel may hold such pages as clean. All
//! of this can be interrupted and begun again: it leads to the same `end` each time. What lies
//! below `keep` is removed last, when the names of what stays are durable.
//!
//! **The epoch** of the last frame must be known, for the next one to be higher. When no frame is
//! left in what has to be followed, the segment before is followed, too; it is there, because the
//! last durable frame is never removed.
//!
//! **What cannot be seen**: damage to the frames after the last witness looks like a tear. The log
//! bears witness of all its records when it is closed and when it has been idle for a second, so
//! this concerns the last moments before a crash. A single copy cannot tell the two apart; a
//! replica can. A client that knows the LSN its words will get could forge a frame inside of them;
//! it is looked at only when the frame around it is torn, and can then at worst stop the start.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::frame::{Kind, Scan, scan, survivors};
use super::segment::{self, HEADER, HeaderSeen, Segment, position, to_usize};
use super::{LogOptions, Replay, spare};
use crate::disk::{Disk, File};
use crate::error::{Corruption, DiskError, OpenError, Witness};
use crate::lsn::Lsn;

/// Bytes that are written once more at a time.
const PIECE: u64 = 1 << 20;

/// What a log is after recovery: all of it durable, and blank behind its end.
#[derive(Debug)]
pub(crate) struct Recovered {
    pub(crate) segments: Vec<Arc<Segment>>,
    pub(crate) end: Lsn,
    /// The epoch of the last frame.
    pub(crate) epoch: u32,
    /// Whether something behind the end was cut off.
    pub(crate) torn: bool,
}

/// What was found in the file of one segment.
#[derive(Clone, Debug)]
struct Seen {
    /// Where its name says that it begins.
    base: Lsn,
    header: HeaderSeen,
    file_len: u64,
    /// The end of its whole frames.
    end: Lsn,
    /// Bytes behind `end` up to the last that is not zero.
    dirt: u64,
    /// The highest witness among the frames behind `end`.
    witness: Option<Witness>,
}

/// Where the log ends.
#[derive(Clone, Debug, PartialEq, Eq)]
struct End {
    end: Lsn,
    /// How many segments stay.
    segments: usize,
    /// Whether there is something behind `end` to cut off.
    torn: bool,
}

/// Why the log must not be opened, and which segment shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Flaw {
    Lost {
        segment: usize,
        at: Lsn,
        witness: Witness,
    },
    NoStart {
        begins: Option<Lsn>,
    },
    Overlap {
        segment: usize,
        end: Lsn,
    },
    Renamed {
        segment: usize,
        base: Lsn,
    },
    Truncated {
        segment: usize,
        made: u64,
    },
    UnknownVersion {
        segment: usize,
        version: u32,
    },
}

/// The table above, for the segments that are not wholly below `keep`.
fn decide(keep: Lsn, durable: Lsn, seen: &[Seen]) -> Result<End, Flaw> {
    for (segment, seen) in seen.iter().enumerate() {
        match seen.header {
            HeaderSeen::Whole { base, .. } if base != seen.base => {
                return Err(Flaw::Renamed { segment, base });
            }
            HeaderSeen::Whole { file_len: made, .. } if seen.file_len < made => {
                return Err(Flaw::Truncated { segment, made });
            }
            HeaderSeen::UnknownVersion(version) => {
                return Err(Flaw::UnknownVersion { segment, version });
            }
            HeaderSeen::Whole { .. } | HeaderSeen::Damaged => {}
        }
    }
    let Some(first) = seen
        .first()
        .map(|first| first.base)
        .filter(|base| *base <= keep)
    else {
        return match seen.first() {
            None if durable == Lsn::ZERO => Ok(End {
                end: Lsn::ZERO,
                segments: 0,
                torn: false,
            }),
            begins => Err(Flaw::NoStart {
                begins: begins.map(|first| first.base),
            }),
        };
    };

    let mut last = 0;
    let mut end = first;
    for (index, segment) in seen.iter().enumerate() {
        if segment.base != end {
            break;
        }
        last = index;
        end = segment.end;
        if segment.header == HeaderSeen::Damaged {
            break;
        }
    }
    let (reached, further) = seen[last..]
        .split_first()
        .expect("there is a first segment");
    if further.first().is_some_and(|next| next.base < end) {
        return Err(Flaw::Overlap {
            segment: last + 1,
            end,
        });
    }
    let told = Witness {
        durable,
        frame: None,
    };
    let found = seen[last..]
        .iter()
        .filter_map(|segment| segment.witness.clone());
    let witness = found.chain([told]).max_by_key(|witness| witness.durable);
    if let Some(witness) = witness.filter(|witness| witness.durable > end) {
        return Err(Flaw::Lost {
            segment: last,
            at: end,
            witness,
        });
    }
    let headless = reached.header == HeaderSeen::Damaged;
    Ok(End {
        end,
        segments: if headless { last } else { last + 1 },
        torn: headless || reached.dirt > 0 || !further.is_empty(),
    })
}

/// Finds the end of the log in `dir`, hands the frames with records from `options.from` on to
/// `replay`, and makes what it found durable.
pub(crate) fn recover(
    disk: &dyn Disk,
    dir: &Path,
    options: &LogOptions,
    replay: Replay<'_>,
) -> Result<Recovered, OpenError> {
    let &LogOptions {
        keep,
        from,
        durable,
        ..
    } = options;
    let names = disk.list(dir)?;
    let bases = names.iter().filter_map(|name| segment::base_of(name));
    let bases: Vec<Lsn> = bases.collect();
    let begun_by = |at| bases.partition_point(|base| *base <= at).saturating_sub(1);
    let mut below = begun_by(keep);
    let mut found = Vec::new();
    for base in &bases[below..] {
        found.push(Found::open(disk, dir, *base)?);
    }
    let mut walk = Walk {
        from,
        epoch: None,
        witness: durable,
        replay,
    };
    let mut glances = begun_by(from) - below;
    let mut seen = walk.survey(&found, glances)?;
    while walk.epoch.is_none() && below + glances > 0 {
        // No frame was found, and so none was replayed.
        if glances > 0 {
            glances -= 1;
        } else {
            below -= 1;
            found.insert(0, Found::open(disk, dir, bases[below])?);
        }
        seen = walk.survey(&found, glances)?;
    }
    let Walk { epoch, witness, .. } = walk;
    let decided = decide(keep, durable, &seen).map_err(|flaw| flaw.of(keep, &found))?;

    // From here on the disk is changed. Names may go in any order: whatever is left of the later
    // segments, the log is torn at the same place.
    for name in names.iter().filter(|name| spare::is_spare(name)) {
        disk.remove(&dir.join(name))?;
    }
    for removed in &found[decided.segments..] {
        disk.remove(&removed.path)?;
    }
    let mut segments = Vec::new();
    for (found, seen) in found.iter().zip(&seen).take(decided.segments) {
        if seen.dirt > 0 && seen.end == decided.end {
            let end = position(seen.base, seen.end);
            spare::zero(&*found.file, end, end + seen.dirt)?;
        }
        segments.push(found.restore(seen.end, witness)?);
    }
    disk.sync_dir(dir)?;
    for base in &bases[..below] {
        disk.remove(&segment::path(dir, *base))?;
    }
    Ok(Recovered {
        segments,
        end: decided.end,
        epoch: epoch.unwrap_or(0),
        torn: decided.torn,
    })
}

/// The file of a segment.
struct Found {
    base: Lsn,
    path: PathBuf,
    file: Arc<dyn File>,
    len: u64,
}

impl Found {
    fn open(disk: &dyn Disk, dir: &Path, base: Lsn) -> Result<Self, DiskError> {
        let path = segment::path(dir, base);
        let file = disk.open(&path)?;
        let len = file.len()?;
        Ok(Self {
            base,
            path,
            file,
            len,
        })
    }

    /// Looks at the header only, and trusts that whole frames lead up to `next`.
    fn glance(&self, bytes: &mut Vec<u8>, next: Lsn) -> Result<Seen, DiskError> {
        bytes.resize(HEADER.min(to_usize(self.len)), 0);
        self.file.read_at(0, bytes)?;
        let Self {
            base,
            len: file_len,
            ..
        } = *self;
        let header = segment::read_header(bytes);
        let whole = matches!(header, HeaderSeen::Whole { .. }) && position(base, next) <= file_len;
        let end = if whole { next } else { base };
        Ok(Seen {
            base,
            header,
            file_len,
            end,
            dirt: 0,
            witness: None,
        })
    }

    /// Makes the segment, whose frames end at `end`, durable where `witness` does not say that it
    /// is, and part of the log.
    fn restore(&self, end: Lsn, witness: Lsn) -> Result<Arc<Segment>, DiskError> {
        let end = position(self.base, end);
        let mut pos = if witness <= self.base {
            0
        } else {
            position(self.base, witness)
        };
        if pos < end {
            let mut piece = Vec::new();
            while pos < end {
                piece.resize(to_usize((end - pos).min(PIECE)), 0);
                self.file.read_at(pos, &mut piece)?;
                self.file.write_at(pos, &piece)?;
                pos += piece.len() as u64;
            }
            self.file.sync_data()?;
        }
        let map = self.file.map(self.len, end)?;
        Ok(Arc::new(Segment {
            base: self.base,
            file: self.file.clone(),
            map,
            file_len: self.len,
        }))
    }
}

/// The way along the frames.
struct Walk<'a> {
    from: Lsn,
    epoch: Option<u32>,
    /// Everything below has been durable.
    witness: Lsn,
    replay: Replay<'a>,
}

impl Walk<'_> {
    /// Looks at the headers of the first `glances` segments, and at everything in the others.
    fn survey(&mut self, found: &[Found], glances: usize) -> Result<Vec<Seen>, OpenError> {
        let mut bytes = Vec::new();
        let mut broken = false;
        let mut seen = Vec::new();
        for (index, file) in found.iter().enumerate() {
            let next = found.get(index + 1).map(|next| next.base);
            if let Some(next) = next.filter(|_| index < glances) {
                // Nothing of this segment is replayed, and reading all of them takes its time.
                seen.push(file.glance(&mut bytes, next)?);
                continue;
            }
            bytes.resize(to_usize(file.len), 0);
            file.file.read_at(0, &mut bytes)?;
            let header = segment::read_header(&bytes);
            let frames = bytes.get(HEADER..).unwrap_or(&[]);
            let whole = !broken && matches!(header, HeaderSeen::Whole { .. });
            let end = if whole {
                self.follow(frames, file.base)?
            } else {
                file.base
            };
            broken |= next != Some(end);
            let rest = &frames[to_usize(end.since(file.base))..];
            let dirt = used(rest);
            let witness = if broken {
                self.witness_in(rest, dirt, end)
            } else {
                None
            };
            let (base, file_len) = (file.base, file.len);
            seen.push(Seen {
                base,
                header,
                file_len,
                end,
                dirt: dirt as u64,
                witness,
            });
        }
        Ok(seen)
    }

    /// Follows the frames, which begin at `base`, to the last whole one and returns its end.
    fn follow(&mut self, frames: &[u8], base: Lsn) -> Result<Lsn, OpenError> {
        let mut end = base;
        while let Scan::Frame(frame) = scan(&frames[to_usize(end.since(base))..], end) {
            let epoch = frame.facts.epoch;
            let expected = match frame.facts.kind {
                Kind::Epoch => self.epoch.is_none_or(|last| last < epoch),
                Kind::Batch | Kind::Witness => self.epoch.is_none_or(|last| last == epoch),
            };
            if !expected {
                break;
            }
            self.epoch = Some(epoch);
            self.witness = self.witness.max(frame.facts.durable);
            end = frame.end();
            if frame.facts.kind == Kind::Batch && end > self.from {
                let at = frame.facts.lsn.plus(super::frame::HEADER as u64);
                (self.replay)(at, frame.facts.records, frame.body)
                    .map_err(|cause| OpenError::Malformed { at, cause })?;
            }
        }
        Ok(end)
    }

    /// The highest witness among the frames in `rest`, which lies at `at`.
    fn witness_in(&self, rest: &[u8], dirt: usize, at: Lsn) -> Option<Witness> {
        // Frames of an earlier epoch are left over from before a cut.
        let mine = |epoch| self.epoch.is_none_or(|last| last <= epoch);
        survivors(rest, dirt, at)
            .filter(|frame| mine(frame.facts.epoch))
            .map(|frame| Witness {
                durable: frame.facts.durable,
                frame: Some(frame.facts.lsn),
            })
            .max_by_key(|witness| witness.durable)
    }
}

impl Flaw {
    /// The corruption, with the files that show it.
    fn of(self, needed: Lsn, found: &[Found]) -> Corruption {
        let file = |segment: usize| found[segment].path.clone();
        match self {
            Self::Lost {
                segment,
                at,
                witness,
            } => Corruption::Lost {
                file: file(segment),
                at,
                witness,
            },
            Self::NoStart { begins } => Corruption::NoStart { needed, begins },
            Self::Overlap { segment, end } => Corruption::Overlap {
                file: file(segment),
                end,
            },
            Self::Renamed { segment, base } => Corruption::Renamed {
                file: file(segment),
                base,
            },
            Self::Truncated { segment, made } => Corruption::Truncated {
                file: file(segment),
                len: found[segment].len,
                made,
            },
            Self::UnknownVersion { segment, version } => Corruption::UnknownVersion {
                file: file(segment),
                version,
            },
        }
    }
}

/// The length of `bytes` up to the last that is not zero.
fn used(bytes: &[u8]) -> usize {
    // Comparing slices is fast, which counts: most of an active segment is blank.
    const BLANK: [u8; 4096] = [0; 4096];
    let mut len = bytes.len();
    for piece in bytes.rchunks(BLANK.len()) {
        if piece != &BLANK[..piece.len()] {
            let last = piece.iter().rposition(|byte| *byte != 0);
            return len - piece.len() + last.map_or(0, |last| last + 1);
        }
        len -= piece.len();
    }
    0
}

#[cfg(test)]
mod tests {
    use super::{End, Flaw, HeaderSeen, Kind, Replay, Seen, Walk, decide, used};
    use crate::error::Witness;
    use crate::log::frame;
    use crate::lsn::Lsn;

    const FILE_LEN: u64 = 8192;

    /// A segment whose name says `base` and whose whole frames end at `end`.
    fn whole(base: u64, end: u64) -> Seen {
        Seen {
            base: Lsn::new(base),
            header: HeaderSeen::Whole {
                base: Lsn::new(base),
                file_len: FILE_LEN,
            },
            file_len: FILE_LEN,
            end: Lsn::new(end),
            dirt: 0,
            witness: None,
        }
    }

    fn headless(base: u64) -> Seen {
        Seen {
            header: HeaderSeen::Damaged,
            ..whole(base, base)
        }
    }

    fn dirty(seen: Seen) -> Seen {
        Seen { dirt: 7, ..seen }
    }

    /// With a frame at 999 behind the end of the whole ones that says this.
    fn telling(seen: Seen, durable: u64) -> Seen {
        Seen {
            witness: Some(witness(durable, Some(999))),
            ..dirty(seen)
        }
    }

    fn witness(durable: u64, frame: Option<u64>) -> Witness {
        Witness {
            durable: Lsn::new(durable),
            frame: frame.map(Lsn::new),
        }
    }

    fn lost(segment: usize, at: u64, witness: Witness) -> Result<End, Flaw> {
        Err(Flaw::Lost {
            segment,
            at: Lsn::new(at),
            witness,
        })
    }

    fn ends(end: u64, segments: usize) -> Result<End, Flaw> {
        Ok(End {
            end: Lsn::new(end),
            segments,
            torn: false,
        })
    }

    fn torn(end: u64, segments: usize) -> Result<End, Flaw> {
        Ok(End {
            end: Lsn::new(end),
            segments,
            torn: true,
        })
    }

    #[test]
    fn every_row_of_the_table() {
        let check = |known: [u64; 2], seen: &[Seen], expected: Result<End, Flaw>| {
            let [keep, durable] = known.map(Lsn::new);
            assert_eq!(decide(keep, durable, seen), expected, "{known:?} {seen:?}");
        };
        let new = [0, 0];
        // A new log.
        check(new, &[], ends(0, 0));
        // The log ends here.
        check(new, &[whole(0, 50)], ends(50, 1));
        check(new, &[whole(0, 50), whole(50, 80)], ends(80, 2));
        check([50, 50], &[whole(0, 50), whole(50, 50)], ends(50, 2));
        check([10, 80], &[whole(9, 50), whole(50, 80)], ends(80, 2));
        // Dirt behind the frames of a segment that has a successor is nobody's loss.
        check(new, &[dirty(whole(0, 50)), whole(50, 80)], ends(80, 2));
        // Damage, or blank and then something.
        check(new, &[dirty(whole(0, 50))], torn(50, 1));
        check(new, &[telling(whole(0, 50), 50)], torn(50, 1));
        check([50, 50], &[telling(whole(30, 50), 50)], torn(50, 1));
        // A further segment begins later.
        check(new, &[whole(0, 40), whole(50, 80)], torn(40, 1));
        check(
            new,
            &[whole(0, 40), telling(whole(50, 50), 40), whole(90, 99)],
            torn(40, 1),
        );
        // No whole header.
        check(new, &[headless(0)], torn(0, 0));
        check(new, &[whole(0, 50), headless(50)], torn(50, 1));
        check([50, 50], &[whole(0, 50), headless(50)], torn(50, 1));
        check(
            new,
            &[whole(0, 50), telling(headless(50), 50), whole(80, 90)],
            torn(50, 1),
        );
        // Any of these, and a witness.
        check([0, 7], &[whole(0, 5)], lost(0, 5, witness(7, None)));
        check([4, 7], &[whole(3, 5)], lost(0, 5, witness(7, None)));
        check(
            new,
            &[telling(whole(0, 50), 51)],
            lost(0, 50, witness(51, Some(999))),
        );
        check(
            new,
            &[whole(0, 40), whole(50, 50), telling(whole(90, 90), 41)],
            lost(0, 40, witness(41, Some(999))),
        );
        check(
            new,
            &[whole(0, 50), telling(headless(50), 60)],
            lost(1, 50, witness(60, Some(999))),
        );
        check(
            [0, 60],
            &[whole(0, 50), headless(50)],
            lost(1, 50, witness(60, None)),
        );
        // Two segments overlap.
        let overlap = Err(Flaw::Overlap {
            segment: 1,
            end: Lsn::new(50),
        });
        check(new, &[whole(0, 50), whole(49, 80)], overlap);
        // Renamed.
        let mut renamed = whole(50, 50);
        renamed.header = HeaderSeen::Whole {
            base: Lsn::new(51),
            file_len: FILE_LEN,
        };
        let flaw = Err(Flaw::Renamed {
            segment: 1,
            base: Lsn::new(51),
        });
        check(new, &[whole(0, 40), renamed], flaw);
        // Truncated.
        let mut truncated = whole(50, 60);
        truncated.file_len = FILE_LEN - 1;
        let flaw = Err(Flaw::Truncated {
            segment: 1,
            made: FILE_LEN,
        });
        check(new, &[whole(0, 40), truncated], flaw);
        // Another format version.
        let mut unknown = whole(50, 50);
        unknown.header = HeaderSeen::UnknownVersion(2);
        let flaw = Err(Flaw::UnknownVersion {
            segment: 1,
            version: 2,
        });
        check(new, &[whole(0, 50), unknown], flaw);
        // The beginning is missing.
        let missing = |begins: Option<u64>| {
            Err(Flaw::NoStart {
                begins: begins.map(Lsn::new),
            })
        };
        check([0, 9], &[], missing(None));
        check([9, 9], &[], missing(None));
        check([9, 9], &[whole(10, 20)], missing(Some(10)));
        check([9, 20], &[whole(10, 20)], missing(Some(10)));
    }

    #[test]
    fn what_is_used_ends_with_the_last_byte_that_is_not_zero() {
        let mut bytes = vec![0; 10_000];
        assert_eq!((used(&[]), used(&bytes)), (0, 0));
        for pos in [0, 1, 4095, 5903, 5904, 9998, 9999] {
            bytes[pos] = 1;
            assert_eq!(used(&bytes), pos + 1);
        }
    }

    #[test]
    fn a_frame_of_an_epoch_that_is_over_is_no_witness() {
        let mut frame = [0; frame::HEADER];
        let [lsn, durable] = [90, 80].map(Lsn::new);
        let facts = frame::Facts {
            lsn,
            durable,
            epoch: 4,
            kind: Kind::Witness,
            records: 0,
        };
        frame::seal(&mut frame, &facts);
        let found = |epoch| {
            let replay: Replay<'_> = &mut |_, _, _| Ok(());
            let walk = Walk {
                from: Lsn::ZERO,
                epoch,
                witness: Lsn::ZERO,
                replay,
            };
            walk.witness_in(&frame, used(&frame), lsn)
        };
        let told = Some(witness(80, Some(90)));
        assert_eq!(
            [None, Some(3), Some(4)].map(found),
            [told.clone(), told.clone(), told]
        );
        assert_eq!(found(Some(5)), None);
    }
}
