//! Entries of one stream, back to back: the unit of reading, checksum and caching.
//!
//! ```text
//!  block   = envelope (see [`envelope`]), then:
//!            ordinal entries pieces   and so many pieces, and so many entries
//!
//!  piece   = (entries * 2 + continues) deleted first last bytes names
//!  entry   = id words length resp
//!
//!  ordinal    how many entries of the extent precede the block
//!  names      8 bytes
//!  resp       the bytes of the field words, as they came; see [`Fields`]
//!  first      of the first piece: ms, seq; of others: as seen from the last of the piece before;
//!             absent where the piece continues the one before, which has the same
//!  last       as seen from the first of its piece
//!  id         as seen from the first of the first piece
//!  b, as seen from a, which is not greater:
//!             the distance of ms, then seq, or if ms is the same the distance of seq
//!  all else   LEB128, as in [`record`](crate::record)
//! ```
//!
//! IDs are coded by their distance from one that the whole block shares, not from their
//! neighbour's. So a single entry can be decoded alone, and a list of where entries begin, which
//! [`Block`] makes when it is read, serves searching and walking in both directions.
//!
//! A piece is (a part of) what would be one node of Redis' storage. A node is cut where a block
//! ends; the piece in the next block then `continues` it, repeats its `first`, `last`, `bytes` and
//! `names`, and has no `deleted`.
//!
//! # Invariants
//!
//! * A block holds at least one entry. It is larger than [`BLOCK_BYTES`] only if it holds just one.
//! * IDs ascend, over all entries; those of a piece lie within its `first` and `last`.
//! * The entries belong to the pieces in turn.
//! * Decoding any bytes ends, with a block or a flaw, and allocates in proportion to the bytes.
//! * What a [`Block`] hands out has been checked when it was read.

use std::ops::Range;
use std::sync::atomic::{AtomicU8, Ordering};

use super::envelope::{self, Address, Kind};
use crate::codec::{
    distance, id, integer, name, put_distance, put_id, put_integer, put_name, small,
};
use crate::error::{Flaw, Malformed};
use crate::id::StreamId;
use crate::record::Fields;

/// How large blocks are made: large enough to read well, small enough to read for one entry.
pub(crate) const BLOCK_BYTES: usize = 32 << 10;

/// A storage node, or the part of it that one settling takes.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) struct NodeHead {
    /// The first ID ever in the node.
    pub(crate) first: StreamId,
    /// The last ID in the node so far, whether its entry is still there or not.
    pub(crate) last: StreamId,
    /// Size of its listpack without the elements that hold the two counts, up to `last`.
    pub(crate) bytes: u64,
    /// Identifies the field names of the entry that opened the node.
    pub(crate) names: u64,
    /// How many of its entries had been deleted, not counting those of earlier parts.
    pub(crate) deleted: u32,
    /// An earlier part of the same node precedes this one, right before it.
    pub(crate) continues: bool,
}

/// The part of a node that lies in one block.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct NodePiece {
    /// What is known about the node.
    pub(crate) head: NodeHead,
    /// The ordinals, in the extent, of its entries in this block. May be none.
    pub(crate) entries: Range<u32>,
}

/// One entry of a block.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) struct BlockEntry {
    /// How many entries of the extent precede it.
    pub(crate) ordinal: u32,
    /// Its ID.
    pub(crate) id: StreamId,
    /// Where it is, for [`Block::fields`].
    pub(crate) offset: u32,
}

/// A verified block in memory.
pub(crate) struct Block {
    /// As it was read, envelope and all.
    bytes: Box<[u8]>,
    base: StreamId,
    first_ordinal: u32,
    pieces: Box<[NodePiece]>,
    /// Where in `bytes` the entries begin.
    offsets: Box<[u32]>,
    /// So many areas behind it are to be read once this is used.
    mark: AtomicU8,
}

impl Block {
    /// Decodes a block, which must be the one that is expected.
    pub(super) fn decode(block: Vec<u8>, address: Address) -> Result<Self, Flaw> {
        envelope::open(&block, address, Kind::Entries)?;
        Self::decode_opened(block).map_err(Flaw::Malformed)
    }

    /// Decodes a block whose envelope is as it should be.
    #[warn(clippy::indexing_slicing)]
    fn decode_opened(block: Vec<u8>) -> Result<Self, Malformed> {
        let mut input = block.get(envelope::HEADER..).ok_or(EMPTY)?;
        let first_ordinal = small(integer(&mut input)?)?;
        let count = small(integer(&mut input)?)?;
        let pieces_count = small(integer(&mut input)?)?;
        let end = first_ordinal.checked_add(count).ok_or(TOO_MANY)?;

        // The names of a piece alone take eight bytes, an entry four: so a wrong count is harmless.
        let most = |count: u32, bytes: usize| (count as usize).min(input.len() / bytes);
        let mut offsets = Vec::with_capacity(most(count, 4));
        let mut pieces: Vec<NodePiece> = Vec::with_capacity(most(pieces_count, 8));
        for _ in 0..pieces_count {
            let piece = piece(&mut input, first_ordinal, pieces.last())?;
            pieces.push(piece);
        }
        let base = match &pieces[..] {
            [first, ..] if count > 0 => first.head.first,
            _ => return Err(EMPTY),
        };
        if pieces.last().is_some_and(|last| last.entries.end != end) {
            return Err(OTHER_COUNT);
        }

        let mut before = None;
        for piece in &pieces {
            for _ in piece.entries.clone() {
                let offset = block.len() - input.len();
                offsets.push(u32::try_from(offset).ok().ok_or(TOO_MANY)?);
                let (id, _) = entry(&mut input, base)?;
                let within = piece.head.first <= id && id <= piece.head.last;
                if !within || before.is_some_and(|before| id <= before) {
                    return Err(DISORDER);
                }
                before = Some(id);
            }
        }
        if !input.is_empty() {
            return Err(LEFT_OVER);
        }
        Ok(Self {
            base,
            first_ordinal,
            bytes: block.into(),
            pieces: pieces.into(),
            offsets: offsets.into(),
            mark: AtomicU8::new(0),
        })
    }

    /// The ordinals, in the extent, of the entries. There is at least one.
    pub(crate) fn ordinals(&self) -> Range<u32> {
        let count = u32::try_from(self.offsets.len()).expect("entries were counted in 32 bits");
        self.first_ordinal..self.first_ordinal + count
    }

    /// The nodes, or parts of nodes, of which there is at least one, in order.
    pub(crate) fn pieces(&self) -> &[NodePiece] {
        &self.pieces
    }

    /// The entry with this ordinal.
    ///
    /// # Panics
    ///
    /// When the ordinal is not one of [`ordinals`](Self::ordinals).
    pub(crate) fn entry(&self, ordinal: u32) -> BlockEntry {
        let offset = self.offsets[(ordinal - self.first_ordinal) as usize];
        let (id, _) = self.at(offset);
        BlockEntry {
            ordinal,
            id,
            offset,
        }
    }

    /// The ordinal of the first entry whose ID is not below `id`; the end of
    /// [`ordinals`](Self::ordinals) when there is none.
    pub(crate) fn seek(&self, id: StreamId) -> u32 {
        let below = self.offsets.partition_point(|&at| self.at(at).0 < id);
        self.first_ordinal + u32::try_from(below).expect("entries were counted in 32 bits")
    }

    /// The entry with this ID.
    pub(crate) fn find(&self, id: StreamId) -> Option<BlockEntry> {
        let ordinal = self.seek(id);
        self.entries(ordinal..ordinal.saturating_add(1))
            .next()
            .filter(|entry| entry.id == id)
    }

    /// The entries with these ordinals, as far as they are in the block; from either end.
    pub(crate) fn entries(
        &self,
        ordinals: Range<u32>,
    ) -> impl DoubleEndedIterator<Item = BlockEntry> + ExactSizeIterator {
        let all = self.ordinals();
        let from = ordinals.start.clamp(all.start, all.end);
        let to = ordinals.end.clamp(from, all.end);
        (from..to).map(|ordinal| self.entry(ordinal))
    }

    /// The fields of the entry at `offset`.
    ///
    /// # Panics
    ///
    /// May panic when [`entry`](Self::entry) never gave this offset.
    pub(crate) fn fields(&self, offset: u32) -> Fields<'_> {
        self.at(offset).1
    }

    /// How many nodes it has parts of.
    pub(super) fn nodes(&self) -> u32 {
        let begun = self.pieces[1..]
            .iter()
            .filter(|piece| !piece.head.continues);
        1 + u32::try_from(begun.count()).expect("nodes are fewer than bytes")
    }

    /// The first and the last ID, and the last ever in the last node.
    pub(super) fn ends(&self) -> (StreamId, StreamId, StreamId) {
        let last = self.offsets.len() - 1;
        (
            self.at(self.offsets[0]).0,
            self.at(self.offsets[last]).0,
            self.pieces[self.pieces.len() - 1].head.last,
        )
    }

    /// See [`Cached::mark`](super::cache::Cached::mark).
    pub(super) fn mark(&self, areas: u8) {
        self.mark.store(areas, Ordering::Relaxed);
    }

    /// See [`Cached::take_mark`](super::cache::Cached::take_mark).
    pub(super) fn take_mark(&self) -> u8 {
        match self.mark.load(Ordering::Relaxed) {
            0 => 0,
            _ => self.mark.swap(0, Ordering::Relaxed),
        }
    }

    /// Bytes of memory that the block takes.
    pub(crate) fn memory(&self) -> u64 {
        let bytes = size_of::<Self>()
            + self.bytes.len()
            + size_of_val(&*self.pieces)
            + size_of_val(&*self.offsets);
        bytes as u64
    }

    fn at(&self, offset: u32) -> (StreamId, Fields<'_>) {
        let mut input = &self.bytes[offset as usize..];
        entry(&mut input, self.base).expect("entries were checked when the block was read")
    }
}

/// A block in the making.
#[derive(Default)]
pub(super) struct BlockBuilder {
    first_ordinal: u32,
    count: u32,
    pieces: Vec<(NodeHead, u32)>,
    entries: Vec<u8>,
    base: StreamId,
    first: StreamId,
    last: StreamId,
}

/// What the index says about a block, besides where it is.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) struct Contents {
    pub(super) entries: u32,
    pub(super) nodes: u32,
    pub(super) continues: bool,
    pub(super) first: StreamId,
    pub(super) last: StreamId,
    pub(super) end: StreamId,
}

impl BlockBuilder {
    /// Bytes of a piece, nearly always: two counts, two distances, a size and the names.
    const PIECE: usize = 40;

    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// About how long the block is by now.
    pub(super) fn bytes(&self) -> usize {
        envelope::HEADER + 15 + self.pieces.len() * Self::PIECE + self.entries.len()
    }

    /// Whether an entry with `resp` fits into a block of [`BLOCK_BYTES`] with what is there.
    pub(super) fn has_room(&self, resp: &[u8]) -> bool {
        // Its own piece, ID and two lengths.
        let entry = Self::PIECE + 30 + resp.len();
        self.bytes() + entry <= BLOCK_BYTES
    }

    /// Begins a piece. Entries that follow are its.
    pub(super) fn piece(&mut self, head: NodeHead) {
        match self.pieces.last() {
            None => self.base = head.first,
            Some((before, _)) => assert!(
                if head.continues {
                    before.first == head.first && before.last <= head.last
                } else {
                    before.last < head.first
                },
                "{head:?} follows {before:?}"
            ),
        }
        assert!(head.first <= head.last, "{head:?} is in order");
        self.pieces.push((head, 0));
    }

    /// Adds an entry to the piece that was begun last.
    pub(super) fn entry(&mut self, id: StreamId, fields: Fields<'_>) {
        let (head, count) = self.pieces.last_mut().expect("an entry is in a node");
        assert!(
            head.first <= id && id <= head.last && (self.count == 0 || self.last < id),
            "{id} follows in its node"
        );
        *count += 1;
        if self.count == 0 {
            self.first = id;
        }
        self.count += 1;
        self.last = id;
        put_distance(&mut self.entries, self.base, id);
        put_integer(&mut self.entries, fields.words.into());
        put_name(&mut self.entries, fields.resp);
    }

    /// Appends the block to `out` and begins the next, which has the ordinals that follow.
    pub(super) fn seal(&mut self, out: &mut Vec<u8>, address: Address) -> Contents {
        let (first, last) = match &self.pieces[..] {
            [(first, _), .., (last, _)] => (first, last),
            [(only, _)] => (only, only),
            [] => unreachable!("a block has a node"),
        };
        let begun = self.pieces[1..].iter().filter(|(head, _)| !head.continues);
        let contents = Contents {
            entries: self.count,
            nodes: 1 + u32::try_from(begun.count()).expect("nodes are fewer than bytes"),
            continues: first.continues,
            first: self.first,
            last: self.last,
            end: last.last,
        };
        let start = envelope::begin(out);
        put_integer(out, self.first_ordinal.into());
        put_integer(out, self.count.into());
        put_integer(out, self.pieces.len() as u64);
        let mut before = None;
        for (head, count) in self.pieces.drain(..) {
            put_integer(out, u64::from(count) << 1 | u64::from(head.continues));
            put_integer(out, head.deleted.into());
            match before {
                None => put_id(out, head.first),
                Some(_) if head.continues => (),
                Some(before) => put_distance(out, before, head.first),
            }
            put_distance(out, head.first, head.last);
            put_integer(out, head.bytes);
            out.extend_from_slice(&head.names.to_le_bytes());
            before = Some(head.last);
        }
        out.append(&mut self.entries);
        envelope::seal(out, start, address, Kind::Entries);
        self.first_ordinal += self.count;
        self.count = 0;
        contents
    }
}

const TOO_MANY: Malformed = Malformed {
    what: "more entries than can be counted",
};
const EMPTY: Malformed = Malformed {
    what: "a block without entries",
};
const OTHER_COUNT: Malformed = Malformed {
    what: "nodes with other entries than the block",
};
const DISORDER: Malformed = Malformed {
    what: "an ID out of order",
};
const LEFT_OVER: Malformed = Malformed {
    what: "bytes behind the last entry",
};
const NO_NAMES: Malformed = Malformed {
    what: "a node without its names",
};

/// A piece that follows `before`, or the first one.
fn piece(
    input: &mut &[u8],
    first_ordinal: u32,
    before: Option<&NodePiece>,
) -> Result<NodePiece, Malformed> {
    let coded = integer(input)?;
    let (count, continues) = (small(coded >> 1)?, coded & 1 == 1);
    let deleted = small(integer(input)?)?;
    let (first, start) = match before {
        None => (id(input)?, first_ordinal),
        Some(before) if continues => (before.head.first, before.entries.end),
        Some(before) => (distance(input, before.head.last)?, before.entries.end),
    };
    let last = distance(input, first)?;
    let bytes = integer(input)?;
    let (names, rest) = input.split_first_chunk::<8>().ok_or(NO_NAMES)?;
    *input = rest;
    if let Some(NodePiece { head, .. }) = before {
        let follows = if continues {
            last >= head.last
        } else {
            first > head.last
        };
        if !follows {
            return Err(DISORDER);
        }
    }
    Ok(NodePiece {
        head: NodeHead {
            first,
            last,
            bytes,
            names: u64::from_le_bytes(*names),
            deleted,
            continues,
        },
        entries: start..start.checked_add(count).ok_or(TOO_MANY)?,
    })
}

fn entry<'a>(input: &mut &'a [u8], base: StreamId) -> Result<(StreamId, Fields<'a>), Malformed> {
    let id = distance(input, base)?;
    let words = small(integer(input)?)?;
    let resp = name(input)?;
    Ok((id, Fields { words, resp }))
}

#[cfg(test)]
mod tests {
    use super::envelope::HEADER;
    use super::{Block, Malformed};

    /// One piece of two entries, IDs 5-0 and 5-3 in a node from 5-0 to 5-4.
    const WHOLE: [&[u8]; 5] = [
        &[0, 2, 1],
        &[4, 0, 5, 0, 0, 4, 9],
        &[0; 8],
        &[0, 0, 2, 1, b'x'],
        &[0, 3, 2, 1, b'y'],
    ];

    /// What is wrong with `WHOLE` when one of its parts is another.
    fn flaw(part: usize, bytes: &[u8]) -> Option<&'static str> {
        let mut parts = WHOLE;
        parts[part] = bytes;
        let content = parts.concat();
        let decoded = Block::decode_opened([&[0; HEADER], &content[..]].concat());
        decoded.err().map(|Malformed { what }| what)
    }

    #[test]
    fn what_does_not_hold_together_is_no_block() {
        assert_eq!(flaw(0, WHOLE[0]), None);
        let out_of_order = Some("an ID out of order");
        // Two entries of one ID, one behind its node, one in front of it, a node that ends first.
        assert_eq!(flaw(4, &[0, 0, 2, 1, b'y']), out_of_order);
        assert_eq!(flaw(4, &[0, 5, 2, 1, b'y']), out_of_order);
        assert_eq!(flaw(4, &[1, 0, 2, 1, b'y']), out_of_order);
        // A second node that begins where the first ends, or continues it and ends before it does.
        let second = |coded, first: &[u8], last| {
            let mut pieces = [&[4, 0, 5, 0, 0, 4, 9][..], &[0; 8], &[coded, 0]].concat();
            pieces.extend_from_slice(first);
            pieces.extend_from_slice(&[0, last, 9]);
            let parts = [
                &[0; HEADER],
                &[0, 2, 2][..],
                &pieces,
                WHOLE[2],
                WHOLE[3],
                WHOLE[4],
            ];
            let decoded = Block::decode_opened(parts.concat());
            decoded.err().map(|flaw| flaw.what)
        };
        assert_eq!(second(0, &[0, 1], 0), None);
        assert_eq!(second(0, &[0, 0], 0), out_of_order);
        assert_eq!(second(1, &[], 4), None);
        assert_eq!(second(1, &[], 3), out_of_order);
        // Counts that do not match, or cannot be.
        assert_eq!(flaw(0, &[0, 0, 1]), Some("a block without entries"));
        assert_eq!(flaw(0, &[0, 2, 0]), Some("a block without entries"));
        let others = Some("nodes with other entries than the block");
        assert_eq!(flaw(0, &[0, 3, 1]), others);
        assert_eq!(flaw(1, &[2, 0, 5, 0, 0, 4, 9]), others);
        let many = Some("more entries than can be counted");
        assert_eq!(flaw(0, &[0xff, 0xff, 0xff, 0xff, 0x0f, 2, 1]), many);
        // Lengths.
        assert_eq!(
            flaw(4, &[0, 3, 2, 1, b'y', 0]),
            Some("bytes behind the last entry")
        );
        assert_eq!(flaw(4, &[0, 3, 2, 2, b'y']), Some("bytes that are cut off"));
        let far = [&[0xff; 9][..], &[1, 0, 2, 0]].concat();
        assert_eq!(flaw(4, &far), Some("an ID beyond the last possible one"));
    }
}
