//! What is around the content of every block: a checksum, and what the block must be.
//!
//! ```text
//!  0     4     8      16     24       32     33        len
//!  +-----+-----+------+------+--------+------+---------+
//!  | crc | len | file | pos  | stream | kind | content |
//!  | u32 | u32 | u64  | u64  | u64    | u8   |         |
//!  +-----+-----+------+------+--------+------+---------+
//!        '------------- covered by crc ----------------'
//! ```
//!
//! * `len`: bytes of the block, this header included.
//! * `file`, `pos`, `stream`: the number of the file, the position in it, and the stream whose
//!   entries these are. Whole blocks that a disk brings from elsewhere are thus not taken for the
//!   right ones.
//! * `kind`: 1 entries (see [`block`](super::block)), 2 index (see [`index`](super::index)).

use crate::error::{Flaw, Malformed};
use crate::id::StreamNo;
use crate::sabotage::{self, Bug};

/// Bytes in front of the content.
pub(super) const HEADER: usize = 33;

/// Where a block is, and whose it is.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) struct Address {
    pub(super) file: u64,
    pub(super) pos: u64,
    pub(super) stream: StreamNo,
}

/// What a block holds.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    Entries,
    Index,
}

impl Kind {
    fn code(self) -> u8 {
        match self {
            Self::Entries => 1,
            Self::Index => 2,
        }
    }

    fn of(code: u8) -> Option<Self> {
        [Self::Entries, Self::Index]
            .into_iter()
            .find(|kind| kind.code() == code)
    }
}

/// Begins a block at the end of `out`; returns what [`seal`] wants to know.
pub(super) fn begin(out: &mut Vec<u8>) -> usize {
    let start = out.len();
    out.resize(start + HEADER, 0);
    start
}

/// Completes the block that begins at `start` and ends where `out` does.
pub(super) fn seal(out: &mut [u8], start: usize, address: Address, kind: Kind) {
    let block = &mut out[start..];
    let len = u32::try_from(block.len()).expect("an entry fits into a frame of the log");
    block[4..8].copy_from_slice(&len.to_le_bytes());
    block[8..16].copy_from_slice(&address.file.to_le_bytes());
    block[16..24].copy_from_slice(&address.pos.to_le_bytes());
    block[24..32].copy_from_slice(&address.stream.get().to_le_bytes());
    block[32] = kind.code();
    let crc = crc32fast::hash(&block[4..]);
    block[..4].copy_from_slice(&crc.to_le_bytes());
}

/// The content of a block, which must be the one that is expected.
#[warn(clippy::indexing_slicing)]
pub(super) fn open(block: &[u8], address: Address, kind: Kind) -> Result<&[u8], Flaw> {
    const CUT_OFF: Flaw = Flaw::Malformed(Malformed {
        what: "a block without its header",
    });
    const UNKNOWN: Flaw = Flaw::Malformed(Malformed {
        what: "a block of an unknown kind",
    });
    let (header, content) = block.split_first_chunk::<HEADER>().ok_or(CUT_OFF)?;
    let (crc, covered) = block.split_first_chunk::<4>().ok_or(CUT_OFF)?;
    let whole = crc32fast::hash(covered) == u32::from_le_bytes(*crc);
    if !whole && !sabotage::has(Bug::NoBlockChecksum) {
        return Err(Flaw::Checksum);
    }
    let found = claim(header).ok_or(UNKNOWN)?;
    if found.address != address || found.kind != kind || found.len != block.len() as u64 {
        return Err(Flaw::Misplaced {
            file: found.address.file,
            pos: found.address.pos,
            stream: found.address.stream,
        });
    }
    Ok(content)
}

/// What a block says of itself. True only once it has been [opened](open): for going on where
/// nothing else says what is there.
pub(super) struct Claim {
    pub(super) len: u64,
    pub(super) address: Address,
    pub(super) kind: Kind,
}

/// What the block says of itself that begins with these bytes.
pub(super) fn claim(header: &[u8; HEADER]) -> Option<Claim> {
    let [_, _, _, _, rest @ ..] = header;
    let (len, rest) = rest.split_first_chunk()?;
    let (file, rest) = rest.split_first_chunk()?;
    let (pos, rest) = rest.split_first_chunk()?;
    let (stream, kind) = rest.split_first_chunk()?;
    Some(Claim {
        len: u32::from_le_bytes(*len).into(),
        address: Address {
            file: u64::from_le_bytes(*file),
            pos: u64::from_le_bytes(*pos),
            stream: StreamNo::new(u64::from_le_bytes(*stream)),
        },
        kind: Kind::of(*kind.first()?)?,
    })
}
