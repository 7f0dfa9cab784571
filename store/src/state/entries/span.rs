//! One settled node, put together from its pieces.
//!
//! ```text
//!  parts    [ ...          piece ]   [ piece          ... ]
//!  blocks   [ ... ][ ...  . # . #]   [ # # # ][ # .   ... ]
//!                         '------------ node -----'
//! ```
//!
//! What the last piece of a node says holds for the whole: its first and last ID, its bytes and, as
//! the number of deleted entries and those in the piece together, how many were ever added. So
//! earlier pieces can go with the part they are in, and nothing is lost.
//!
//! In an extent the pieces of a node lie in adjacent blocks. The next extent goes on with the last
//! node of which something was live behind when it was made; that need not be the node of the last
//! piece, so pieces of different extents belong together if their first IDs are the same.

use std::collections::VecDeque;
use std::ops::Range;

use super::part::Part;
use super::settled::Held;
use crate::data::{BlockRow, Missing, NodeHead, NodePiece, Reader};

/// A node, as far as it is settled.
#[derive(Clone, Debug)]
pub(in crate::state) struct Span {
    /// What its last piece says.
    pub(in crate::state) head: NodeHead,
    /// How many entries it ever had, up to the last piece.
    pub(super) ever: u32,
    /// How many of them are live.
    pub(in crate::state) live: u32,
    /// Where its entries lie: in which parts, and there. At least one; each but the last has live
    /// entries.
    pub(super) ranges: VecDeque<(usize, Range<u32>)>,
}

impl Span {
    /// The part in which it ends.
    pub(super) fn end_part(&self) -> usize {
        self.ranges.back().expect("a node lies somewhere").0
    }

    /// Where it begins, or where what is left of it begins: a part, and the ordinal there.
    pub(super) fn start(&self) -> (usize, u32) {
        let (part, ordinals) = self.ranges.front().expect("a node lies somewhere");
        (*part, ordinals.start)
    }

    /// Where it ends: a part, and the ordinal of the entry behind.
    pub(super) fn end(&self) -> (usize, u32) {
        let (part, ordinals) = self.ranges.back().expect("a node lies somewhere");
        (*part, ordinals.end)
    }
}

/// The part of a node that lies in one extent.
pub(super) struct Piece {
    /// What is said of the node here; it continues one of an extent before, not of a block.
    pub(super) head: NodeHead,
    pub(super) ordinals: Range<u32>,
    /// Up to here, how many entries the node ever had.
    pub(super) ever: u32,
}

/// The piece of the node that has this entry.
pub(super) fn piece_of(reader: &Reader<'_>, part: &Part, ordinal: u32) -> Result<Piece, Missing> {
    let held = Held::ordinal(reader, part, ordinal)?;
    let pieces = held.pinned.block.pieces();
    let at = pieces.partition_point(|piece| piece.entries.end <= ordinal);
    piece_at(reader, part, &held, at)
}

/// The first piece of a part.
pub(super) fn first_piece(reader: &Reader<'_>, part: &Part) -> Result<Piece, Missing> {
    let index = reader.index(part.extent())?;
    let held = Held::number(reader, part, index, 0)?;
    piece_at(reader, part, &held, 0)
}

/// The piece that has this number in its block, with what lies in the blocks around.
pub(super) fn piece_at(
    reader: &Reader<'_>,
    part: &Part,
    held: &Held,
    at: usize,
) -> Result<Piece, Missing> {
    let block = |number| Held::number(reader, part, held.index.clone(), number);
    let rows = held.index.rows();
    let pieces = held.pinned.block.pieces();
    let NodePiece { head, entries } = pieces[at].clone();
    let mut ordinals = entries;
    // Only the first of them counts the deleted ones.
    let mut deleted = head.deleted;
    let mut first = held.number;
    if at == 0 && rows[first].continues && first > 0 {
        first -= 1;
        while whole(&rows[first]) && rows[first].continues && first > 0 {
            first -= 1;
        }
        let held = block(first)?;
        let pieces = held.pinned.block.pieces();
        let piece = pieces.last().expect("a block has a piece");
        ordinals.start = piece.entries.start;
        deleted += piece.head.deleted;
    }
    let mut last = held.number;
    let mut behind = at + 1 == pieces.len();
    while behind && rows.get(last + 1).is_some_and(|row| row.continues) {
        last += 1;
        behind = whole(&rows[last]);
        ordinals.end = if behind {
            rows[last].ordinals().end
        } else {
            let held = block(last)?;
            held.pinned.block.pieces()[0].entries.end
        };
    }
    let leads = if held.number == 0 {
        at == 0
    } else {
        first == 0 && whole(&rows[0])
    };
    Ok(Piece {
        ever: deleted + u32::try_from(ordinals.len()).expect("ordinals have 32 bits"),
        head: NodeHead {
            deleted,
            continues: leads && part.row().continues,
            ..head
        },
        ordinals,
    })
}

/// Whether all of a block is of one node.
fn whole(row: &BlockRow) -> bool {
    row.nodes == 1
}

/// The node that has this entry, in parts as `part` says they are.
pub(super) fn span_of<'p>(
    reader: &Reader<'_>,
    part: impl Fn(usize) -> Option<&'p Part>,
    (at, ordinal): (usize, u32),
) -> Result<Span, Missing> {
    let here = part(at).expect("an entry is in a part");
    let piece = piece_of(reader, here, ordinal)?;
    let mut span = Span {
        head: piece.head,
        ever: piece.ever,
        live: here.live_in(piece.ordinals.clone()),
        ranges: VecDeque::from([(at, piece.ordinals)]),
    };
    // Back, as far as something of it is live.
    let mut continues = piece.head.continues;
    let mut before = at;
    while continues && let Some(next) = before.checked_sub(1) {
        before = next;
        let Some(part) = part(before) else {
            break;
        };
        let Some(ordinal) = part.prev_live(u32::MAX) else {
            continue;
        };
        let piece = piece_of(reader, part, ordinal)?;
        if piece.head.first != span.head.first {
            break;
        }
        span.live += part.live_in(piece.ordinals.clone());
        span.ranges.push_front((before, piece.ordinals));
        continues = piece.head.continues;
    }
    // And on: only the last node of a part can be continued in the next.
    loop {
        let (at, end) = span.end();
        let here = part(at).expect("an entry is in a part");
        if here.live_in(end..u32::MAX) > 0 {
            return Ok(span);
        }
        let Some(next) = part(at + 1).filter(|part| part.row().continues) else {
            return Ok(span);
        };
        let piece = first_piece(reader, next)?;
        if piece.head.first != span.head.first {
            return Ok(span);
        }
        span.live += next.live_in(piece.ordinals.clone());
        span.head = piece.head;
        span.ever = piece.ever;
        span.ranges.push_back((at + 1, piece.ordinals));
    }
}
