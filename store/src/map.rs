//! A segment, mapped for reading.
//!
//! The kernel keeps one copy of a file's pages, which `pwrite` changes and a shared map shows: what
//! has been written can be read through the map at once, without a system call. Writing never goes
//! through the map: a disk error would arrive as a signal there.
//!
//! ```text
//!  0                                    settled                          len
//!  |------------------------------------|---------------------------------|
//!  :   written, and never again:        :   allocated, being written,     :
//!  :   may be handed out                :   never handed out              :
//! ```
//!
//! # Invariants
//!
//! * `settled` only grows, and bytes below it never change.
//! * Nothing above `settled` is handed out.
//!
//! This is the one module of the crate with `unsafe` code.

use std::fmt;
use std::fs;
use std::io;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};

use memmap2::{MmapOptions, MmapRaw, UncheckedAdvice};
#[cfg(any(test, feature = "sim"))]
use parking_lot::RwLock;

/// The readable part of one file: whatever has been settled.
pub struct Map {
    settled: AtomicUsize,
    view: View,
}

enum View {
    /// The kernel's pages.
    Pages(MmapRaw),
    /// A copy of what has been settled, for disks that have no kernel underneath.
    #[cfg(any(test, feature = "sim"))]
    Copy(RwLock<Vec<u8>>),
}

impl Map {
    /// Maps the first `len` bytes of `file`, which must have that many and keep them. The first
    /// `settled` of them are settled already.
    ///
    /// # Errors
    ///
    /// What `mmap` answers.
    pub(crate) fn of_file(file: &fs::File, len: usize, settled: usize) -> io::Result<Self> {
        assert!(settled <= len, "only what is mapped can be settled");
        let pages = MmapOptions::new().len(len).map_raw_read_only(file)?;
        Ok(Self {
            settled: AtomicUsize::new(settled),
            view: View::Pages(pages),
        })
    }

    /// A map that keeps a copy of what is settled, beginning with `settled`.
    #[cfg(any(test, feature = "sim"))]
    pub(crate) fn of_copies(settled: Vec<u8>) -> Self {
        Self {
            settled: AtomicUsize::new(settled.len()),
            view: View::Copy(RwLock::new(settled)),
        }
    }

    /// Makes `bytes`, which have been written to the file at `pos`, readable. The caller promises
    /// that nothing below their end is ever written again.
    ///
    /// # Panics
    ///
    /// When `pos` is in what is settled already: settled bytes do not change.
    pub(crate) fn settle(&self, pos: usize, bytes: &[u8]) {
        assert!(
            self.settled.load(Ordering::Relaxed) <= pos,
            "settled bytes are not written again"
        );
        let end = pos + bytes.len();
        match &self.view {
            View::Pages(pages) => assert!(end <= pages.len(), "segments do not grow"),
            #[cfg(any(test, feature = "sim"))]
            View::Copy(copy) => {
                let mut copy = copy.write();
                copy.resize(pos, 0);
                copy.extend_from_slice(bytes);
            }
        }
        self.settled.store(end, Ordering::Release);
    }

    /// Calls `f` with the bytes of `range`.
    ///
    /// # Panics
    ///
    /// When the range is not settled.
    pub(crate) fn read<R>(&self, range: Range<usize>, f: impl FnOnce(&[u8]) -> R) -> R {
        assert!(range.start <= range.end, "a range begins before it ends");
        assert!(
            range.end <= self.settled.load(Ordering::Acquire),
            "only settled bytes are read"
        );
        match &self.view {
            View::Pages(pages) => {
                let start = pages.as_ptr().wrapping_add(range.start);
                let len = range.end - range.start;
                // SAFETY: `range` lies below `settled`, which lies within the map (asserted in
                // `settle`), and the map lives as long as `self`, which the slice cannot outlive:
                // `f` must take it for any lifetime. The bytes are initialised, being a file's.
                // They do not change while they are borrowed, as far as any party could do that:
                //
                // * we: `settle` is called by the only writer of segments, `log::segment`, after
                //   the write, and it asserts that writes go upwards. A `pwrite` further up in the
                //   file touches other bytes, even where it is in the same page. No mapped file is
                //   truncated; a removed one lives on until it is unmapped;
                // * another process of ours: the directory lock keeps it out;
                // * anybody else who writes to or truncates the file of a running server: outside
                //   of what a program can defend against, as with its own executable.
                //
                // A disk that cannot read a page raises SIGBUS, which ends the process: reads
                // never return wrong bytes.
                #[expect(unsafe_code, reason = "slices of a file's pages, safe as argued above")]
                let bytes = unsafe { std::slice::from_raw_parts(start, len) };
                f(bytes)
            }
            #[cfg(any(test, feature = "sim"))]
            View::Copy(copy) => f(&copy.read()[range]),
        }
    }

    /// Lets go of the pages that reading has brought into this process, of which they count as
    /// memory. The kernel still has them: who reads on pays for looking them up.
    pub(crate) fn let_go(&self) {
        match &self.view {
            View::Pages(pages) => {
                // SAFETY: this advice takes pages from where they are mapped. A shared map of a
                // file, which nobody writes through, shows the same bytes when it is read next, so
                // whoever borrows some meanwhile sees them unchanged.
                #[expect(unsafe_code, reason = "a file's pages come back as they were")]
                let advised = unsafe { pages.unchecked_advise(UncheckedAdvice::DontNeed) };
                // Advice that is not taken costs memory only.
                drop(advised);
            }
            #[cfg(any(test, feature = "sim"))]
            View::Copy(_) => {}
        }
    }
}

impl fmt::Debug for Map {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Map")
            .field("settled", &self.settled)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::Map;
    use std::os::unix::fs::FileExt;

    fn check(map: &Map, mut write: impl FnMut(u64, &[u8])) {
        write(2, b"first");
        map.settle(2, b"first");
        assert_eq!(map.read(2..7, <[u8]>::to_vec), b"first");
        map.read(3..5, |early| {
            assert_eq!(early, b"ir");
        });
        write(7, b"second");
        map.settle(7, b"second");
        map.let_go();
        assert_eq!(map.read(2..13, <[u8]>::to_vec), b"firstsecond");
    }

    #[test]
    fn both_views_show_what_was_written() {
        check(&Map::of_copies(Vec::new()), |_, _| ());
        let file = tempfile::tempfile().unwrap();
        file.set_len(4096).unwrap();
        check(&Map::of_file(&file, 4096, 0).unwrap(), |pos, bytes| {
            file.write_all_at(bytes, pos).unwrap();
        });
    }

    #[test]
    #[should_panic(expected = "only settled")]
    fn unsettled_bytes_are_not_handed_out() {
        let map = Map::of_copies(Vec::new());
        map.settle(0, b"ab");
        map.read(1..3, |_| ());
    }

    #[test]
    #[should_panic(expected = "not written again")]
    fn settled_bytes_are_not_written_again() {
        let map = Map::of_copies(Vec::new());
        map.settle(0, b"ab");
        map.settle(1, b"c");
    }
}
