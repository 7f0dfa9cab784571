//! Where the log ends, or why it must not be opened: the table of [`recovery`](super) as a function
//! of what was found. It reads and changes nothing.

use super::survey::Found;
use crate::error::{Corruption, Witness};
use crate::log::segment::HeaderSeen;
use crate::lsn::Lsn;
use crate::sabotage::{self, Bug};

/// What was found in the file of one segment.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    /// Where its name says that it begins.
    pub(super) base: Lsn,
    pub(super) header: HeaderSeen,
    pub(super) file_len: u64,
    /// The end of its whole frames.
    pub(super) end: Lsn,
    /// How many bytes behind `end` are to be cut off; 0 when it is untouched there.
    pub(super) dirt: u64,
    /// The highest witness among the frames behind `end`.
    pub(super) witness: Option<Witness>,
}

/// Where the log ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct End {
    pub(super) end: Lsn,
    /// How many segments stay.
    pub(super) segments: usize,
    /// Whether there is something behind `end` to cut off.
    pub(super) torn: bool,
}

/// Why the log must not be opened, and which segment shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Flaw {
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

/// The table of [`recovery`](super), for the segments that are not wholly below `keep`.
pub(super) fn decide(keep: Lsn, durable: Lsn, seen: &[Seen]) -> Result<End, Flaw> {
    if let Some(flaw) = header_flaws(seen).next() {
        return Err(flaw);
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
    let lost = witness.filter(|witness| witness.durable > end);
    if let Some(witness) = lost.filter(|_| !sabotage::has(Bug::TruncateOnCorruption)) {
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

/// What the headers of segments say against them.
pub(super) fn header_flaws(seen: &[Seen]) -> impl Iterator<Item = Flaw> {
    let flaw = |(segment, seen): (usize, &Seen)| match seen.header {
        HeaderSeen::Whole { base, .. } if base != seen.base => {
            Some(Flaw::Renamed { segment, base })
        }
        HeaderSeen::Whole { file_len: made, .. } if seen.file_len < made => {
            Some(Flaw::Truncated { segment, made })
        }
        HeaderSeen::UnknownVersion(version) => Some(Flaw::UnknownVersion { segment, version }),
        HeaderSeen::Whole { .. } | HeaderSeen::Damaged => None,
    };
    seen.iter().enumerate().filter_map(flaw)
}

impl Flaw {
    /// The corruption, with the files that show it.
    pub(super) fn told<'a>(self, needed: Lsn, found: impl Fn(usize) -> &'a Found) -> Corruption {
        let file = |segment: usize| found(segment).path().to_owned();
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
                len: found(segment).len(),
                made,
            },
            Self::UnknownVersion { segment, version } => Corruption::UnknownVersion {
                file: file(segment),
                version,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{End, Flaw, HeaderSeen, Seen, decide};
    use crate::error::Witness;
    use crate::lsn::Lsn;

    const FILE_LEN: u64 = 8192;

    /// A segment whose name says `base` and whose whole frames end at `end`.
    fn whole(base: u64, end: u64) -> Seen {
        Seen {
            base: Lsn::new(base),
            header: HeaderSeen::Whole {
                base: Lsn::new(base),
                file_len: FILE_LEN,
                fences: None,
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
            fences: None,
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
}
