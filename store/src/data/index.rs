//! Where the blocks of an extent are, and what is in each.
//!
//! An extent of one block needs no index: the extent says it all. Otherwise the last block of the
//! extent is its index:
//!
//! ```text
//!  block   = envelope (see [`envelope`]), then:
//!            blocks   and for each of them a row, in order
//!
//!  row     = (bytes * 2 + continues) entries nodes first last end
//!
//!  continues  the first piece of the block continues a node of the block before
//!  first      of the first entry. In the first row: ms, seq; in others: as seen from the last of
//!             the row before
//!  last       of the last entry, as seen from first
//!  end        the last ID ever in the block's last node, as seen from last
//!  all else   as in [`block`](super::block)
//! ```
//!
//! # Invariants
//!
//! * The blocks follow each other from the beginning of the extent to the index.
//! * IDs ascend, over all rows.

use std::ops::Range;
use std::sync::Arc;

use super::block::{Block, BlockBuilder, Contents};
use super::envelope::{self, Address, Kind};
use super::extent::ExtentRow;
use crate::codec::{distance, id, integer, put_distance, put_id, put_integer, small};
use crate::error::{Flaw, Malformed};
use crate::id::StreamId;

/// What [`BlockRow::tells_of`] finds.
pub(super) const OTHER_ENTRIES: Malformed = Malformed {
    what: "a block with other entries than its index says",
};

/// One block of an extent.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) struct BlockRow {
    /// Where in the file it begins.
    pub(crate) pos: u64,
    /// Its length.
    pub(crate) bytes: u32,
    /// How many entries of the extent precede it.
    pub(crate) ordinal: u32,
    /// How many entries it has; at least one.
    pub(crate) entries: u32,
    /// How many nodes it has parts of; at least one.
    pub(crate) nodes: u32,
    /// The first of these is the rest of a node of which an earlier part precedes, in the block
    /// before or, if this is the first block, in the extent before.
    pub(crate) continues: bool,
    /// ID of the first entry.
    pub(crate) first: StreamId,
    /// ID of the last entry.
    pub(crate) last: StreamId,
    /// The last ID ever in the last node, or part of a node.
    pub(crate) end: StreamId,
}

impl BlockRow {
    /// The ordinals, in the extent, of its entries.
    pub(crate) fn ordinals(&self) -> Range<u32> {
        self.ordinal..self.ordinal + self.entries
    }

    /// Whether this is said of `block`.
    pub(super) fn tells_of(&self, block: &Block) -> bool {
        let ends = (self.first, self.last, self.end);
        self.ordinals() == block.ordinals()
            && (self.nodes, self.continues) == (block.nodes(), block.pieces()[0].head.continues)
            && ends == block.ends()
    }
}

/// The blocks of one extent. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Index(Rows);

#[derive(Clone, Debug)]
enum Rows {
    One([BlockRow; 1]),
    Many(Arc<[BlockRow]>),
}

impl Index {
    /// The index of an extent that has just one block.
    pub(super) fn of_one(extent: &ExtentRow) -> Self {
        Self(Rows::One([BlockRow {
            pos: extent.pos,
            bytes: u32::try_from(extent.bytes).expect("rows of one block were checked"),
            ordinal: 0,
            entries: extent.entries,
            nodes: extent.nodes,
            continues: extent.continues,
            first: extent.first,
            last: extent.last,
            end: extent.end,
        }]))
    }

    /// Decodes the index block of an extent.
    pub(super) fn decode(block: &[u8], extent: &ExtentRow, file: u64) -> Result<Self, Flaw> {
        let content = envelope::open(block, extent.index_address(file), Kind::Index)?;
        let rows = decode_rows(content, extent).map_err(Flaw::Malformed)?;
        Ok(Self(Rows::Many(rows.into())))
    }

    /// The blocks, of which there is at least one, in order.
    pub(crate) fn rows(&self) -> &[BlockRow] {
        match &self.0 {
            Rows::One(row) => row,
            Rows::Many(rows) => rows,
        }
    }

    /// Which block holds the entry with this ordinal.
    ///
    /// # Panics
    ///
    /// When the extent has no such entry.
    pub(crate) fn block_of(&self, ordinal: u32) -> usize {
        let next = self.rows().partition_point(|row| row.ordinal <= ordinal);
        let row = &self.rows()[next - 1];
        assert!(row.ordinals().contains(&ordinal), "{ordinal} is an entry");
        next - 1
    }

    /// Which block holds the first entry whose ID is not below `id`; the number of blocks when
    /// there is none.
    pub(crate) fn seek(&self, id: StreamId) -> usize {
        self.rows().partition_point(|row| row.last < id)
    }

    /// Bytes of memory that it takes beside itself.
    pub(super) fn memory(&self) -> u64 {
        match &self.0 {
            Rows::One(_) => 0,
            Rows::Many(rows) => size_of_val(&**rows) as u64,
        }
    }
}

/// What all blocks of an extent have together.
pub(super) struct Summary {
    pub(super) entries: u32,
    pub(super) first: StreamId,
    pub(super) last: StreamId,
    pub(super) end: StreamId,
    pub(super) continues: bool,
}

/// The index of an extent in the making.
#[derive(Default)]
pub(super) struct IndexBuilder {
    rows: Vec<(u32, Contents)>,
}

impl IndexBuilder {
    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    /// Seals what `block` has, at the end of `out`.
    pub(super) fn seal_block(
        &mut self,
        block: &mut BlockBuilder,
        out: &mut Vec<u8>,
        address: Address,
    ) {
        let before = out.len();
        let contents = block.seal(out, address);
        let bytes = u32::try_from(out.len() - before).expect("a sealed block's length fits");
        self.rows.push((bytes, contents));
    }

    /// What an extent of these blocks has, as far as they tell.
    pub(super) fn summary(&self) -> Summary {
        let (first, last) = (&self.rows[0].1, &self.rows[self.rows.len() - 1].1);
        Summary {
            entries: self.rows.iter().map(|(_, block)| block.entries).sum(),
            first: first.first,
            last: last.last,
            end: last.end,
            continues: first.continues,
        }
    }

    /// Appends the index of all blocks to `out`.
    pub(super) fn seal(&self, out: &mut Vec<u8>, address: Address) {
        let start = envelope::begin(out);
        put_integer(out, self.rows.len() as u64);
        let mut before = None;
        for (bytes, contents) in &self.rows {
            put_integer(out, u64::from(*bytes) << 1 | u64::from(contents.continues));
            put_integer(out, contents.entries.into());
            put_integer(out, contents.nodes.into());
            match before {
                None => put_id(out, contents.first),
                Some(before) => put_distance(out, before, contents.first),
            }
            put_distance(out, contents.first, contents.last);
            put_distance(out, contents.last, contents.end);
            before = Some(contents.last);
        }
        envelope::seal(out, start, address, Kind::Index);
    }
}

fn decode_rows(content: &[u8], extent: &ExtentRow) -> Result<Vec<BlockRow>, Malformed> {
    const TOO_MANY: Malformed = Malformed {
        what: "an index of more than the extent has",
    };
    const EMPTY: Malformed = Malformed {
        what: "an index with an empty block",
    };
    const DISORDER: Malformed = Malformed {
        what: "an index out of order",
    };
    const OTHER: Malformed = Malformed {
        what: "an index of another extent",
    };
    let mut input = content;
    let count = integer(&mut input)?;
    let (mut pos, mut ordinal, mut nodes) = (extent.pos, 0_u32, 0_u32);
    let mut rows: Vec<BlockRow> = Vec::new();
    for _ in 0..count {
        let coded = integer(&mut input)?;
        let (bytes, continues) = (small(coded >> 1)?, coded & 1 == 1);
        let entries = small(integer(&mut input)?)?;
        let nodes_here = small(integer(&mut input)?)?;
        let before = rows.last();
        let first = match before {
            None => id(&mut input)?,
            Some(before) => distance(&mut input, before.last)?,
        };
        let last = distance(&mut input, first)?;
        let end = distance(&mut input, last)?;
        if entries == 0 || nodes_here == 0 {
            return Err(EMPTY);
        }
        if before.is_some_and(|before| first <= before.last) {
            return Err(DISORDER);
        }
        let cut = u32::from(continues && before.is_some());
        rows.push(BlockRow {
            pos,
            bytes,
            ordinal,
            entries,
            nodes: nodes_here,
            continues,
            first,
            last,
            end,
        });
        pos = pos.checked_add(bytes.into()).ok_or(TOO_MANY)?;
        ordinal = ordinal.checked_add(entries).ok_or(TOO_MANY)?;
        nodes = nodes.checked_add(nodes_here - cut).ok_or(TOO_MANY)?;
    }
    let (Some(first), Some(last)) = (rows.first(), rows.last()) else {
        return Err(EMPTY);
    };
    let same = (first.first, first.continues) == (extent.first, extent.continues)
        && (last.last, last.end) == (extent.last, extent.end)
        && (pos, ordinal, nodes) == (extent.index_pos(), extent.entries, extent.nodes);
    if same && input.is_empty() {
        Ok(rows)
    } else {
        Err(OTHER)
    }
}
