//! Marks in a recycled file, by which one sees how far it has been written again.
//!
//! A fresh file is blank behind its frames. A recycled one is full of frames of its earlier life,
//! which belong to other places of the log and mean nothing where they lie. To find out what is
//! new behind the last whole frame, without reading all that is old, the file gets marks before it
//! is used again, and they are durable before its new header is:
//!
//! ```text
//!  0         4096       step            2 step                         63 step
//!  +---------+----------+-----+-----+---+-----+-----+---         ---+-----+-----+---------+
//!  | zeros   | old      | key | pos | o | key | pos | old    ...    | key | pos | old     |
//!  |         | frames   | u64 | u64 |   | u64 | u64 | frames        | u64 | u64 | frames  |
//!  +---------+----------+-----+-----+---+-----+-----+---         ---+-----+-----+---------+
//! ```
//!
//! Frames are written upwards, over the fences on their way. So an intact fence, behind which all
//! others are intact, too, is a place that the writing has not reached. A crash of the machine may
//! have lost just the sector of a fence and kept what lies behind it: then frames that nobody had
//! been promised go unnoticed there, as if they had been lost, too. Their epoch keeps them from
//! coming back.
//!
//! The key is drawn for each life of a file, and its header tells it. No client knows it, so no
//! client can write a fence.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::num::NonZeroU64;
use std::ops::Range;

use crate::disk::File;
use crate::error::DiskError;

/// Bytes of a fence.
const FENCE: usize = 16;
const _: () = assert!(FENCE == 8 + 8, "the drawing is right");

/// How many parts the fences cut a file into.
const PARTS: u64 = 64;

/// Fences stand at multiples of this: the size of a page. So none is in the header.
const UNIT: u64 = super::FILE_UNIT;
const _: () = assert!(super::segment::HEADER as u64 <= UNIT);

/// The fences of one life of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fences {
    key: NonZeroU64,
    step: u64,
    file_len: u64,
}

/// How far a file may have been written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reach {
    /// Nothing has been written from this position on.
    pub(crate) pos: u64,
    /// Whether something has been written over a fence.
    pub(crate) touched: bool,
}

impl Fences {
    /// Fences for a file of `file_len` bytes, with a key of their own.
    pub(crate) fn draw(file_len: u64) -> Self {
        // Keyed anew for every call.
        let key = RandomState::new().build_hasher().finish();
        Self::with(NonZeroU64::new(key).unwrap_or(NonZeroU64::MIN), file_len)
    }

    /// The fences that the header of a file tells of; none when its `key` is 0.
    pub(crate) fn of_key(key: u64, file_len: u64) -> Option<Self> {
        NonZeroU64::new(key).map(|key| Self::with(key, file_len))
    }

    fn with(key: NonZeroU64, file_len: u64) -> Self {
        let step = (file_len / PARTS).next_multiple_of(UNIT).max(UNIT);
        Self {
            key,
            step,
            file_len,
        }
    }

    pub(crate) fn key(self) -> u64 {
        self.key.get()
    }

    /// Puts up the fences in a part of the file.
    pub(crate) fn put(self, file: &dyn File, within: Range<u64>) -> Result<(), DiskError> {
        for pos in self.positions(self.file_len) {
            if within.contains(&pos) {
                file.write_at(pos, &self.fence(pos))?;
            }
        }
        Ok(())
    }

    /// How far the file, which has `len` bytes, may have been written, given that it may have been
    /// up to `from`.
    pub(crate) fn reach(self, file: &dyn File, len: u64, from: u64) -> Result<Reach, DiskError> {
        let mut reach = None;
        let mut touched = false;
        let mut seen = [0; FENCE];
        for pos in self.positions(len).filter(|pos| *pos >= from) {
            file.read_at(pos, &mut seen)?;
            if seen == self.fence(pos) {
                reach = reach.or(Some(pos));
            } else {
                touched = true;
                reach = None;
            }
        }
        Ok(Reach {
            pos: reach.unwrap_or(len),
            touched,
        })
    }

    /// Where the fences are in the first `len` bytes.
    fn positions(self, len: u64) -> impl Iterator<Item = u64> {
        let places = (1..).map(move |number| number * self.step);
        places.take_while(move |pos| pos + FENCE as u64 <= len)
    }

    fn fence(self, pos: u64) -> [u8; FENCE] {
        let mut fence = [0; FENCE];
        fence[..8].copy_from_slice(&self.key.get().to_le_bytes());
        fence[8..].copy_from_slice(&pos.to_le_bytes());
        fence
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use super::{Fences, Reach, UNIT};
    use crate::disk::{Disk, File, SimDisk};

    const LEN: u64 = 4 * UNIT;

    fn fenced() -> (Arc<dyn File>, Fences) {
        let file = SimDisk::new().create(Path::new("/file"), LEN).unwrap();
        file.write_at(0, &vec![0xab; 4 * 4096]).unwrap();
        let fences = Fences::draw(LEN);
        fences.put(&*file, 0..LEN).unwrap();
        (file, fences)
    }

    #[test]
    fn a_file_has_sixty_three_fences_unless_it_is_small() {
        let count = |len| {
            let fences = Fences::draw(len);
            fences.positions(len).collect::<Vec<_>>()
        };
        assert_eq!(count(64 << 20)[..2], [1 << 20, 2 << 20]);
        assert_eq!(count(64 << 20).len(), 63);
        assert_eq!(count(LEN), [UNIT, 2 * UNIT, 3 * UNIT]);
        assert_eq!(count(LEN + 15).len(), 3);
        assert_eq!(count(UNIT), [0; 0]);
    }

    #[test]
    fn the_layout_is_frozen() {
        let fences = Fences::of_key(0x0102, LEN).unwrap();
        assert_eq!(
            fences.fence(0x0304),
            [2, 1, 0, 0, 0, 0, 0, 0, 4, 3, 0, 0, 0, 0, 0, 0]
        );
        assert_eq!(fences.key(), 0x0102);
        assert_eq!(Fences::of_key(0, LEN), None);
        assert_ne!(Fences::draw(LEN), Fences::draw(LEN));
    }

    #[test]
    fn the_reach_is_the_first_fence_behind_all_that_was_written() {
        let check = |from, pos, touched| {
            move |file: &dyn File, fences: Fences| {
                let reach = fences.reach(file, LEN, from).unwrap();
                assert_eq!(reach, Reach { pos, touched }, "from {from}");
            }
        };
        let (file, fences) = fenced();
        check(100, UNIT, false)(&*file, fences);
        check(UNIT, UNIT, false)(&*file, fences);
        check(UNIT + 1, 2 * UNIT, false)(&*file, fences);
        check(3 * UNIT + 1, LEN, false)(&*file, fences);
        // Also when the fence in between looks as if nothing had gone over it.
        file.write_at(2 * UNIT + 15, b"x").unwrap();
        check(UNIT, 3 * UNIT, true)(&*file, fences);
        check(2 * UNIT, 3 * UNIT, true)(&*file, fences);
        check(2 * UNIT + 1, 3 * UNIT, false)(&*file, fences);
        file.write_at(3 * UNIT, b"x").unwrap();
        check(UNIT, LEN, true)(&*file, fences);
        // Fences that have been put up again are intact.
        fences.put(&*file, UNIT + 1..LEN).unwrap();
        check(UNIT, UNIT, false)(&*file, fences);
        // Those of another life are not.
        let again = Fences::draw(LEN);
        check(UNIT, LEN, true)(&*file, again);
        // A file that was cut off has lost the rest of them.
        assert_eq!(
            fences.reach(&*file, 3 * UNIT, 2 * UNIT).unwrap().pos,
            2 * UNIT
        );
    }
}
