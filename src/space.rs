//! How much space is left where the data lie, and what follows from it.
//!
//! ```text
//!  free    0            disk-full      its end        disk-low       its end          all
//!          |---------------|--------------|--------------|--------------|--------------|
//!  room          Full        Full or Low        Low        Low or Plenty     Plenty
//! ```
//!
//! * When room is *low* the operator hears of it, and the store frees what it can sooner.
//! * When it is *full* the log takes nothing more that grows the data: what is left is kept for
//!   acknowledging, deleting and trimming, and for the files that make room.
//! * Between a mark and its end, a quarter above it, everything stays as it was: room that comes
//!   and goes does not make the server change its mind every second.
//!
//! A log that finds no space for its next segment refuses growth by itself, whatever is said here:
//! quotas, and neighbours that are faster than a second, are seen there.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rustix::fs::statvfs;
use rustix::io::Errno;
use tokio::sync::Notify;
use tokio::task::JoinError;

use crate::config::{self, Config, Watermark};
use crate::server::Server;

/// How often to look.
const PERIOD: Duration = Duration::from_secs(1);

/// What `disk-low` is at most when nobody says what it should be.
const LOW_MAX: u64 = 4 << 30;

/// What is kept for a checkpoint at least, when nobody says how much should be kept.
const CHECKPOINT_MIN: u64 = 16 << 20;

/// What is known of the space.
#[derive(Default)]
pub(crate) struct Space {
    /// What was found when somebody looked last.
    found: Mutex<Option<Found>>,
    asked: Notify,
}

/// The space of a file system, what is little of it, and what follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    /// In bytes, for those without privileges.
    pub(crate) free: u64,
    /// In bytes.
    pub(crate) total: u64,
    pub(crate) marks: Marks,
    pub(crate) room: Room,
}

/// Whether there is room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Room {
    Plenty,
    Low,
    Full,
}

impl fmt::Display for Room {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Plenty => "ok",
            Self::Low => "low",
            Self::Full => "full",
        })
    }
}

/// How many free bytes are few, and how many are too few.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Marks {
    pub(crate) low: u64,
    pub(crate) full: u64,
}

impl Marks {
    /// What the directives say of a disk of `total` bytes, when the last checkpoint took so many.
    fn of(config: &Config, total: u64, checkpoint: u64) -> Self {
        let segment = config.size(config::SEGMENT_SIZE);
        Self {
            low: bytes(config.watermark(config::DISK_LOW), total, low(total)),
            full: bytes(
                config.watermark(config::DISK_FULL),
                total,
                full(total, segment, checkpoint),
            ),
        }
    }

    /// The room that `free` bytes are, after it has been `before`.
    fn room(self, free: u64, before: Room) -> Room {
        let below_end = |mark: u64| free < mark.saturating_add(mark / 4);
        match before {
            _ if free < self.full => Room::Full,
            Room::Full if below_end(self.full) => Room::Full,
            _ if free < self.low => Room::Low,
            Room::Full | Room::Low if below_end(self.low) => Room::Low,
            _ => Room::Plenty,
        }
    }
}

/// A tenth, since a disk of any size should not fill up unnoticed, but of large ones less.
fn low(total: u64) -> u64 {
    (total / 10).min(LOW_MAX)
}

/// Two segments, and twice the last checkpoint, for the next may be larger; of small disks a
/// twentieth, for then the segments are too large.
fn full(total: u64, segment: u64, checkpoint: u64) -> u64 {
    let checkpoint = checkpoint.saturating_mul(2).max(CHECKPOINT_MIN);
    (2 * segment).saturating_add(checkpoint).min(total / 20)
}

fn bytes(mark: Watermark, total: u64, auto: u64) -> u64 {
    match mark {
        Watermark::Auto => auto,
        Watermark::Bytes(bytes) => bytes,
        Watermark::Percent(percent) => {
            let share = u128::from(total) * u128::from(percent) / 100;
            u64::try_from(share).expect("a share is not more than all")
        }
    }
}

impl Space {
    /// What was found last; `None` when nobody has looked yet, or the system does not tell.
    pub(crate) fn found(&self) -> Option<Found> {
        *self.found.lock()
    }

    /// Whether what grows the data is refused.
    pub(crate) fn is_full(&self) -> bool {
        self.found().is_some_and(|found| found.room == Room::Full)
    }

    /// Has somebody look soon: the marks have changed.
    pub(crate) fn look_again(&self) {
        self.asked.notify_one();
    }
}

/// Looks for as long as the server runs.
pub(crate) async fn run(server: Arc<Server>) {
    let mut ticks = tokio::time::interval(PERIOD);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut told = true;
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = server.space.asked.notified() => {}
        }
        let of = Arc::clone(&server);
        // A file system that does not answer holds nobody else up.
        let measured = tokio::task::spawn_blocking(move || measure(&of.config)).await;
        if measured.as_ref().is_err_and(JoinError::is_cancelled) {
            // The server ends.
            return;
        }
        match measured.expect("measuring does not panic") {
            Ok((free, total)) => {
                told = true;
                look(&server, free, total);
            }
            Err(errno) => {
                if std::mem::replace(&mut told, false) {
                    tracing::warn!("the system does not tell how much space is left: {errno}");
                }
            }
        }
    }
}

/// The free bytes and all bytes of the file system that has the data.
fn measure(config: &Config) -> Result<(u64, u64), Errno> {
    let dir = config.text(config::DIR);
    let figures = statvfs(Path::new(&dir))?;
    let bytes = |blocks: u64| blocks.saturating_mul(figures.f_frsize);
    Ok((bytes(figures.f_bavail), bytes(figures.f_blocks)))
}

/// Draws the conclusions.
fn look(server: &Server, free: u64, total: u64) {
    let Some(opened) = server.loading.opened() else {
        return;
    };
    let store = &opened.store;
    let checkpoint = store.upkeep_stats().checkpoint;
    let checkpoint = checkpoint.map_or(0, |checkpoint| checkpoint.bytes);
    let marks = Marks::of(&server.config, total, checkpoint);
    let before = server
        .space
        .found()
        .map_or(Room::Plenty, |found| found.room);
    let room = marks.room(free, before);
    let found = Found {
        free,
        total,
        marks,
        room,
    };
    *server.space.found.lock() = Some(found);
    store.log().refuse_growth(room == Room::Full);
    store.set_short_of_space(room != Room::Plenty);
    if room != before {
        say(&found);
    }
}

/// Tells the operator of a change.
fn say(found: &Found) {
    let Found {
        free,
        total,
        marks: Marks { low, full },
        room,
    } = found;
    match room {
        Room::Plenty => tracing::info!("there is enough disk space again: {free} bytes of {total}"),
        Room::Low => tracing::warn!(
            "disk space is low: {free} bytes of {total} are free, and disk-low is {low}"
        ),
        Room::Full => tracing::warn!(
            "the disk is full: {free} bytes of {total} are free, and disk-full is {full}; what \
             grows the data is refused"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;
    const GIB: u64 = 1 << 30;

    #[test]
    fn room_changes_at_the_marks_and_back_a_quarter_above_them() {
        let marks = Marks {
            low: 1000,
            full: 100,
        };
        use Room::{Full, Low, Plenty};
        for (free, from_plenty, from_low, from_full) in [
            (u64::MAX, Plenty, Plenty, Plenty),
            (1250, Plenty, Plenty, Plenty),
            (1249, Plenty, Low, Low),
            (1000, Plenty, Low, Low),
            (999, Low, Low, Low),
            (125, Low, Low, Low),
            (124, Low, Low, Full),
            (100, Low, Low, Full),
            (99, Full, Full, Full),
            (0, Full, Full, Full),
        ] {
            let rooms = [Plenty, Low, Full].map(|before| marks.room(free, before));
            assert_eq!(rooms, [from_plenty, from_low, from_full], "{free}");
        }
    }

    #[test]
    fn marks_of_zero_are_never_reached_and_a_low_one_below_the_full_one_says_nothing() {
        let never = Marks { low: 0, full: 0 };
        assert_eq!(never.room(0, Room::Plenty), Room::Plenty);
        let crossed = Marks { low: 10, full: 100 };
        assert_eq!(crossed.room(99, Room::Plenty), Room::Full);
        assert_eq!(crossed.room(125, Room::Full), Room::Plenty);
    }

    #[test]
    fn marks_that_nobody_set_fit_the_disk() {
        for (total, segment, checkpoint, low_mark, full_mark) in [
            (64 * MIB, MIB, 0, 64 * MIB / 10, 64 * MIB / 20),
            (GIB, 64 * MIB, MIB, GIB / 10, GIB / 20),
            (16 * GIB, 64 * MIB, 8 * MIB, 16 * GIB / 10, 144 * MIB),
            (1000 * GIB, 64 * MIB, 100 * MIB, 4 * GIB, 328 * MIB),
        ] {
            assert_eq!(low(total), low_mark);
            assert_eq!(full(total, segment, checkpoint), full_mark);
        }
        assert_eq!(bytes(Watermark::Percent(5), u64::MAX, 0), u64::MAX / 20);
        assert_eq!(bytes(Watermark::Bytes(7), 1, 0), 7);
    }
}
