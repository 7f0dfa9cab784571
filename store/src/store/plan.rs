//! What upkeep is to do next: a decision, made from figures alone.
//!
//! One round does everything: settle, compact, take a checkpoint, free. A round is due when
//!
//! | there is                                               | because                         |
//! |--------------------------------------------------------|---------------------------------|
//! | more log behind the checkpoint than it may replay      | the next start should be quick  |
//! | far more log than is to stay unsettled                 | the last round came too late    |
//! | much in data files that nothing names any more         | only a checkpoint frees it      |
//! | no space left, and something has been done since       | it may have freed some          |
//! | somebody who asks                                      | they know why                   |
//!
//! What a start may have to replay is `checkpoint_after`, or as many bytes as the last checkpoint
//! had: so checkpoints cost at most as much as the log itself, however many streams there are.
//!
//! In a round, what lies further back in the log than `settle_after` is settled; and of the data
//! files those are compacted whose live part is smaller than the dead one, the emptiest first, as
//! far as one round's share of copying goes. A few small files are let be; many are made one.
//!
//! When space is low, one data file that is empty is much. When there is none for what adds, all of
//! the log is settled, since what is alive keeps what is dead around it; but all that is copied
//! takes space before it gives some back, and so each round copies half of what is left at most.

use super::Budgets;
use crate::lsn::Lsn;

/// Live bytes that one round copies at most to compact files, save that one file is always done.
const COMPACTED_MAX: u64 = 64 << 20;

/// A file below this is small.
const SMALL_FILE: u64 = 4 << 20;

/// So many small files are let be.
const SMALL_FILES_MAX: usize = 8;

/// One data file, to be looked at.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) struct FileFigures {
    pub(crate) number: u64,
    /// Its length in bytes.
    pub(crate) len: u64,
    /// Bytes of it that are in use.
    pub(crate) live: u64,
}

/// What the decision is made from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Figures {
    /// The place from which on entries may need the log, and where it ends. It begins sooner: it is
    /// let go of in whole segments.
    pub(crate) unsettled_from: Lsn,
    pub(crate) log_end: Lsn,
    /// Where a start would begin to replay.
    pub(crate) replay_from: Lsn,
    /// Bytes of the last checkpoint; 0 when there is none.
    pub(crate) checkpoint_bytes: u64,
    pub(crate) files: Vec<FileFigures>,
    /// Somebody asks for a round.
    pub(crate) asked: bool,
    pub(crate) space: Space,
    /// Another round may free something: the last one has, or something has been done since; and
    /// that is a while ago.
    pub(crate) stirred: bool,
}

/// The space that is left on the disk.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) enum Space {
    Plenty,
    Low,
    /// So many bytes are free, and none of them for what adds.
    Full(u64),
}

/// What one round does, in this order; the checkpoint and freeing always follow.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Plan {
    /// Settle what lies below this in the log.
    pub(crate) settle_below: Option<Lsn>,
    /// Empty these data files.
    pub(crate) compact: Vec<u64>,
}

/// What to do now; `None` is nothing.
pub(crate) fn plan(figures: &Figures, budgets: &Budgets) -> Option<Plan> {
    let replayed = figures.log_end.since(figures.replay_from);
    let replay_max = budgets.checkpoint_after.max(figures.checkpoint_bytes);
    let emptied: u64 = { figures.files.iter() }
        .filter(|file| file.live == 0)
        .map(|file| file.len)
        .sum();
    let much = match figures.space {
        Space::Plenty => budgets.checkpoint_after,
        Space::Low | Space::Full(_) => 1,
    };
    let pressed = matches!(figures.space, Space::Full(_)) && figures.stirred;
    let unsettled = figures.log_end.since(figures.unsettled_from);
    let overdue = unsettled
        >= budgets
            .settle_after
            .saturating_add(replay_max.saturating_mul(2));
    let due = figures.asked || overdue || pressed || replayed >= replay_max || emptied >= much;
    due.then(|| Plan {
        settle_below: settle_below(figures, budgets),
        compact: compact(figures, budgets),
    })
}

/// Upkeep is behind when it has left so many rounds' worth of log unsettled.
const ROUNDS_BEHIND: u64 = 6;

/// How far upkeep is behind, in thousandths: 0 while no more of the log is unsettled than it leaves
/// and a few rounds find, 1000 when it is twice as much.
pub(crate) fn behind(unsettled: u64, budgets: &Budgets, checkpoint_bytes: u64) -> u64 {
    let replay_max = budgets.checkpoint_after.max(checkpoint_bytes);
    let usual = budgets
        .settle_after
        .saturating_add(ROUNDS_BEHIND.saturating_mul(replay_max));
    let usual = usual.max(1);
    unsettled.saturating_sub(usual).saturating_mul(1000) / usual
}

fn settle_below(figures: &Figures, budgets: &Budgets) -> Option<Lsn> {
    let unsettled = figures.log_end.since(figures.unsettled_from);
    let excess = match figures.space {
        Space::Full(free) => unsettled.min(free / 2),
        Space::Plenty | Space::Low => unsettled.saturating_sub(budgets.settle_after),
    };
    (excess > 0).then(|| figures.unsettled_from.plus(excess))
}

fn compact(figures: &Figures, budgets: &Budgets) -> Vec<u64> {
    let (one, max) = match figures.space {
        Space::Full(free) => (false, COMPACTED_MAX.min(free / 2)),
        Space::Plenty | Space::Low => (true, COMPACTED_MAX),
    };
    let mut used: Vec<&FileFigures> = { figures.files.iter() }
        .filter(|file| file.live > 0)
        .collect();
    used.sort_by_key(|file| (share(file), file.number));
    let small = |file: &&&FileFigures| file.len < SMALL_FILE.min(budgets.settle_after);
    let many_small = used.iter().filter(small).count() > SMALL_FILES_MAX;
    let mut copied = 0;
    let wanted = used
        .iter()
        .filter(|file| file.live * 2 < file.len || (many_small && small(file)));
    wanted
        .take_while(|file| {
            let first = copied == 0;
            copied += file.live;
            (one && first) || copied <= max
        })
        .map(|file| file.number)
        .collect()
}

/// How much of a file is live, in thousandths.
fn share(file: &FileFigures) -> u64 {
    file.live.saturating_mul(1000) / file.len.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn budgets() -> Budgets {
        Budgets {
            settle_after: 100 * MIB,
            checkpoint_after: 50 * MIB,
        }
    }

    fn quiet() -> Figures {
        Figures {
            unsettled_from: Lsn::new(1000 * MIB),
            log_end: Lsn::new(1100 * MIB),
            replay_from: Lsn::new(1060 * MIB),
            checkpoint_bytes: MIB,
            files: vec![file(1, 64, 60)],
            asked: false,
            space: Space::Plenty,
            stirred: false,
        }
    }

    fn file(number: u64, mib: u64, live_mib: u64) -> FileFigures {
        FileFigures {
            number,
            len: mib * MIB,
            live: live_mib * MIB,
        }
    }

    fn round(figures: &Figures) -> Option<(Option<u64>, Vec<u64>)> {
        let plan = plan(figures, &budgets())?;
        let below = plan.settle_below.map(|lsn| lsn.get() / MIB);
        Some((below, plan.compact))
    }

    #[test]
    fn a_round_is_due_for_each_of_the_reasons() {
        assert_eq!(round(&quiet()), None);
        let asked = Figures {
            asked: true,
            ..quiet()
        };
        assert_eq!(round(&asked), Some((None, vec![])));
        let long = Figures {
            log_end: Lsn::new(1110 * MIB),
            ..quiet()
        };
        assert_eq!(round(&long), Some((Some(1010), vec![])));
        let large = Figures {
            checkpoint_bytes: 51 * MIB,
            ..long
        };
        assert_eq!(
            round(&large),
            None,
            "the last checkpoint was larger than that"
        );
        let emptied = |mib| Figures {
            files: vec![file(1, 64, 60), file(2, mib, 0)],
            ..quiet()
        };
        assert_eq!(round(&emptied(49)), None);
        assert_eq!(round(&emptied(50)), Some((None, vec![])));
        let low = Figures {
            space: Space::Low,
            ..emptied(1)
        };
        assert_eq!(round(&low), Some((None, vec![])));
    }

    #[test]
    fn without_space_a_round_copies_what_there_is_room_for() {
        let full = |free, stirred| Figures {
            files: vec![file(1, 64, 30), file(2, 64, 5), file(3, 64, 60)],
            space: Space::Full(free * MIB),
            stirred,
            ..quiet()
        };
        assert_eq!(round(&full(0, false)), None, "nothing has been done since");
        assert_eq!(round(&full(0, true)), Some((None, vec![])));
        assert_eq!(round(&full(20, true)), Some((Some(1010), vec![2])));
        assert_eq!(round(&full(1000, true)), Some((Some(1100), vec![2, 1])));
        let low = Figures {
            space: Space::Low,
            ..full(0, true)
        };
        assert_eq!(round(&low), None);
    }

    #[test]
    fn upkeep_is_behind_when_more_is_unsettled_than_rounds_leave() {
        assert_eq!(behind(400 * MIB, &budgets(), MIB), 0);
        assert_eq!(behind(600 * MIB, &budgets(), MIB), 500);
        assert_eq!(behind(800 * MIB, &budgets(), MIB), 1000);
        assert_eq!(behind(800 * MIB, &budgets(), 150 * MIB), 0);
    }

    #[test]
    fn the_emptiest_files_are_compacted_and_many_small_ones_joined() {
        let with = |files: Vec<FileFigures>| {
            let asked = true;
            let figures = Figures {
                files,
                asked,
                ..quiet()
            };
            round(&figures).unwrap().1
        };
        assert_eq!(with(vec![file(1, 64, 33), file(2, 64, 0)]), []);
        let half = vec![file(1, 64, 31), file(2, 64, 3), file(3, 64, 60)];
        assert_eq!(with(half), [2, 1]);
        let much = vec![file(1, 256, 60), file(2, 64, 30), file(3, 256, 4)];
        assert_eq!(with(much), [3, 1], "64 MiB in one round");
        let huge = vec![file(1, 1024, 400), file(2, 1024, 500)];
        assert_eq!(with(huge), [1], "one file in any case");
        let few: Vec<_> = (0..8).map(|number| file(number, 1, 1)).collect();
        assert_eq!(with(few.clone()), []);
        let many = few
            .into_iter()
            .chain([file(8, 64, 64), file(9, 2, 2)])
            .collect();
        assert_eq!(with(many), [0, 1, 2, 3, 4, 5, 6, 7, 9]);
    }
}
