//! One file of the log.
//!
//! A segment is a header, then frames, then zeros to the end of the page, then what the file was
//! made of: zeros, or the frames of an earlier life (see [`fences`](super::fences)). It is
//! allocated in full before its first frame is written and never changes its length. It is named
//! after the LSN of its first frame, so a listing of the directory is the log in order:
//!
//! ```text
//!  00000000000000000000.log   sealed   [       0, 1041700)   0000...
//!  00000000000001041700.log   sealed   [ 1041700, 68142501)  0000...
//!  00000000000068142501.log   active   [68142501, ...        0000...
//! ```
//!
//! The header fills a page, so that no later write touches the sector it lies in:
//!
//! ```text
//!  0           8      12        16         24         32       40        4096
//!  +-----------+------+---------+----------+----------+--------+---------+
//!  | HEADWLOG  | crc  | version | base LSN | file len | fences | zeros   |
//!  |           | u32  | u32     | u64      | u64      | u64    |         |
//!  +-----------+------+---------+----------+----------+--------+---------+
//!                     '----------------- covered by crc -----------------'
//! ```
//!
//! `fences` is the key of the file's fences; 0 says that it is blank behind its frames.
//!
//! # Invariants
//!
//! * Segments tile the log: each begins where the frames of the one before it end.
//! * The last segment is active; writes go there, upwards, and nowhere else.
//! * A segment that has frames at all has its whole header: it is written first.
//!
//! This module knows where bytes are. What they mean is [`frame`](super::frame)'s business, and
//! what to do about damage [`recovery`](super::recovery)'s.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::fences::Fences;
use super::spare::is_spare;
use crate::disk::File;
use crate::error::DiskError;
use crate::lsn::Lsn;
use crate::map::Map;

/// Bytes of a segment's header.
pub(crate) const HEADER: usize = 4096;

const MAGIC: &[u8; 8] = b"HEADWLOG";
const VERSION: u32 = 2;

/// A segment that is part of the log.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) base: Lsn,
    pub(crate) file: Arc<dyn File>,
    pub(crate) map: Map,
    /// Bytes on disk, header and blank rest included.
    pub(crate) file_len: u64,
}

impl Segment {
    /// A failure of its file under the name that the file has by now: it was opened as a spare.
    pub(crate) fn fault(&self, dir: &Path, fault: DiskError) -> DiskError {
        DiskError {
            path: path(dir, self.base),
            ..fault
        }
    }

    /// Writes whole frames, the first of which begins at `at`, and makes them readable. The last
    /// bytes may be padding, which comes to where the next frame will be.
    pub(crate) fn write(&self, at: Lsn, bytes: &[u8], padding: usize) -> Result<(), DiskError> {
        let pos = position(self.base, at);
        assert!(
            pos + bytes.len() as u64 <= self.file_len,
            "frames are placed where they fit"
        );
        self.file.write_at(pos, bytes)?;
        let frames = &bytes[..bytes.len() - padding];
        self.map.settle(to_usize(pos), frames);
        Ok(())
    }

    /// Makes sure of the space behind the frames, which end at `end`, and says how much it is. A
    /// copy of a log may have lost its blanks: copying tools make holes of them.
    pub(crate) fn allocate(&self, end: Lsn) -> Result<u64, DiskError> {
        self.file.allocate(self.file_len)?;
        Ok(self.file_len - position(self.base, end))
    }

    /// Calls `f` with the written bytes in `[from, to)`.
    pub(crate) fn read<R>(&self, from: Lsn, to: Lsn, f: impl FnOnce(&[u8]) -> R) -> R {
        self.map.read(
            to_usize(position(self.base, from))..to_usize(position(self.base, to)),
            f,
        )
    }
}

/// Where `at` lies in the file of the segment that begins at `base`.
pub(crate) fn position(base: Lsn, at: Lsn) -> u64 {
    HEADER as u64 + at.since(base)
}

/// A position in a file, for memory.
pub(crate) fn to_usize(bytes: u64) -> usize {
    usize::try_from(bytes).expect("a segment fits into the address space")
}

/// The name of the segment that begins at `base`.
pub(crate) fn path(dir: &Path, base: Lsn) -> PathBuf {
    dir.join(format!("{base:020}.log"))
}

/// Where the segment of this name begins; `None` when the file is no segment.
pub(crate) fn base_of(name: &str) -> Option<Lsn> {
    let digits = name.strip_suffix(".log")?;
    let plain = digits.len() == 20 && digits.bytes().all(|digit| digit.is_ascii_digit());
    if plain {
        digits.parse().ok().map(Lsn::new)
    } else {
        None
    }
}

/// Whether a file of this name is a segment, or a [spare](super::spare).
pub(crate) fn is_of_a_log(name: &str) -> bool {
    base_of(name).is_some() || is_spare(name)
}

/// The header of a segment.
pub(crate) fn header(base: Lsn, file_len: u64, fences: Option<Fences>) -> [u8; HEADER] {
    let mut header = [0; HEADER];
    header[..8].copy_from_slice(MAGIC);
    header[12..16].copy_from_slice(&VERSION.to_le_bytes());
    header[16..24].copy_from_slice(&base.get().to_le_bytes());
    header[24..32].copy_from_slice(&file_len.to_le_bytes());
    header[32..40].copy_from_slice(&fences.map_or(0, Fences::key).to_le_bytes());
    let crc = crc32fast::hash(&header[12..]);
    header[8..12].copy_from_slice(&crc.to_le_bytes());
    header
}

/// What the beginning of a file says about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HeaderSeen {
    /// A segment.
    Whole {
        /// Where it begins.
        base: Lsn,
        /// The length the file was made with.
        file_len: u64,
        /// The fences behind its frames; `None` when it is blank there.
        fences: Option<Fences>,
    },
    /// A segment of a format that this version does not know.
    UnknownVersion(u32),
    /// Not a header: never written, torn or damaged.
    Damaged,
}

/// Decodes the first bytes of a file.
#[warn(clippy::indexing_slicing)]
pub(crate) fn read_header(bytes: &[u8]) -> HeaderSeen {
    decode(bytes).unwrap_or(HeaderSeen::Damaged)
}

#[warn(clippy::indexing_slicing)]
fn decode(bytes: &[u8]) -> Option<HeaderSeen> {
    let (header, _) = bytes.split_first_chunk::<HEADER>()?;
    let (magic, header) = header.split_first_chunk::<8>()?;
    let (crc, covered) = header.split_first_chunk::<4>()?;
    if magic != MAGIC || crc32fast::hash(covered) != u32::from_le_bytes(*crc) {
        return None;
    }
    let (version, covered) = covered.split_first_chunk::<4>()?;
    let (base, covered) = covered.split_first_chunk::<8>()?;
    let (file_len, covered) = covered.split_first_chunk::<8>()?;
    let (key, _) = covered.split_first_chunk::<8>()?;
    let file_len = u64::from_le_bytes(*file_len);
    Some(match u32::from_le_bytes(*version) {
        VERSION => HeaderSeen::Whole {
            base: Lsn::new(u64::from_le_bytes(*base)),
            file_len,
            fences: Fences::of_key(u64::from_le_bytes(*key), file_len),
        },
        unknown => HeaderSeen::UnknownVersion(unknown),
    })
}

#[cfg(test)]
mod tests {
    use super::{Fences, HEADER, HeaderSeen, base_of, header, path, read_header};
    use crate::lsn::Lsn;
    use std::path::Path;

    const LEN: u64 = 0x0304;

    #[test]
    fn the_layout_is_frozen() {
        let header = header(Lsn::new(0x0102), LEN, Fences::of_key(0x0506, LEN));
        let hex: String = header[..40]
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let golden = concat!(
            "48454144574c4f47 0dc159d2 02000000 0201000000000000 ",
            "0403000000000000 0605000000000000"
        );
        assert_eq!(hex, golden.replace(' ', ""));
        assert_eq!(header[40..], [0; HEADER - 40]);
    }

    #[test]
    fn every_damaged_byte_of_the_header_shows() {
        for fences in [None, Some(Fences::draw(8192))] {
            let whole = header(Lsn::new(5), 8192, fences);
            let seen = HeaderSeen::Whole {
                base: Lsn::new(5),
                file_len: 8192,
                fences,
            };
            assert_eq!(read_header(&whole), seen);
            for pos in 0..HEADER {
                let mut damaged = whole;
                damaged[pos] ^= 0x80;
                assert_eq!(read_header(&damaged), HeaderSeen::Damaged, "byte {pos}");
            }
            assert_eq!(read_header(&whole[..HEADER - 1]), HeaderSeen::Damaged);
        }
    }

    #[test]
    fn another_version_is_recognised() {
        let mut newer = header(Lsn::new(5), 8192, None);
        newer[12] = 9;
        let crc = crc32fast::hash(&newer[12..]);
        newer[8..12].copy_from_slice(&crc.to_le_bytes());
        assert_eq!(read_header(&newer), HeaderSeen::UnknownVersion(9));
    }

    #[test]
    fn names_sort_like_the_log() {
        let name = |base| path(Path::new("/log"), base);
        assert_eq!(
            name(Lsn::new(7)),
            Path::new("/log/00000000000000000007.log")
        );
        assert!(name(Lsn::new(9)) < name(Lsn::new(10)));
        assert_eq!(base_of("00000000000000000007.log"), Some(Lsn::new(7)));
        let others = [
            "7.log",
            "0000000000000000000x.log",
            "+0000000000000000007.log",
            "LOCK",
        ];
        assert_eq!(others.map(base_of), [None; 4]);
        assert_eq!(base_of("99999999999999999999.log"), None);
    }
}
