//! A run of one stream's entries in a data file: what memory keeps of it.
//!
//! ```text
//!  pos                                            pos + bytes - index_bytes    pos + bytes
//!  | block | block | block |  ...         | block |  index                     |
//!  '------------------------ bytes --------------------------------------------'
//! ```
//!
//! An extent of one block has no index (`index_bytes` is 0). What is known about the blocks is read
//! from the file when it is needed; an extent takes about a hundred bytes of memory, whatever it
//! holds.

use std::sync::Arc;

use super::envelope::{Address, HEADER};
use super::file::DataFile;
use crate::codec::{distance, id, integer, put_distance, put_id, put_integer, small};
use crate::error::{DataError, Flaw, Malformed};
use crate::id::{StreamId, StreamNo};

/// What is known about an extent, except in which file it is.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) struct ExtentRow {
    /// The stream whose entries were settled here. A copy of that stream has another number and
    /// shares its extents.
    pub(crate) stream: StreamNo,
    /// Where in the file it begins.
    pub(crate) pos: u64,
    /// Its length, the index included.
    pub(crate) bytes: u64,
    /// The length of its index; 0 if it is a single block.
    pub(crate) index_bytes: u32,
    /// How many entries it has; at least one.
    pub(crate) entries: u32,
    /// How many nodes it has, a part of one counted as one; at least one.
    pub(crate) nodes: u32,
    /// ID of the first entry.
    pub(crate) first: StreamId,
    /// ID of the last entry.
    pub(crate) last: StreamId,
    /// The last ID ever in the last node.
    pub(crate) end: StreamId,
    /// The first node is the rest of one of which an earlier part was settled before.
    pub(crate) continues: bool,
}

impl ExtentRow {
    /// Where the extent ends.
    pub(crate) fn end_pos(&self) -> u64 {
        self.pos + self.bytes
    }

    /// Where its index begins, or would.
    pub(super) fn index_pos(&self) -> u64 {
        self.end_pos() - u64::from(self.index_bytes)
    }

    pub(super) fn index_address(&self, file: u64) -> Address {
        self.address(file, self.index_pos())
    }

    pub(super) fn address(&self, file: u64, pos: u64) -> Address {
        Address {
            file,
            pos,
            stream: self.stream,
        }
    }

    /// Appends the row, with IDs and numbers as in an [`index`](super::index):
    ///
    /// ```text
    ///  stream pos bytes index_bytes (entries * 2 + continues) nodes first last end
    /// ```
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        put_integer(out, self.stream.get());
        put_integer(out, self.pos);
        put_integer(out, self.bytes);
        put_integer(out, self.index_bytes.into());
        put_integer(
            out,
            u64::from(self.entries) << 1 | u64::from(self.continues),
        );
        put_integer(out, self.nodes.into());
        put_id(out, self.first);
        put_distance(out, self.first, self.last);
        put_distance(out, self.last, self.end);
    }

    /// Takes a row off the front of `input`. It is one that can be: whole blocks, some entries.
    ///
    /// # Errors
    ///
    /// When it is not.
    pub(crate) fn decode(input: &mut &[u8]) -> Result<Self, Malformed> {
        const IMPOSSIBLE: Malformed = Malformed {
            what: "an extent that cannot be",
        };
        let stream = StreamNo::new(integer(input)?);
        let pos = integer(input)?;
        let bytes = integer(input)?;
        let index_bytes = small(integer(input)?)?;
        let coded = integer(input)?;
        let (entries, continues) = (small(coded >> 1)?, coded & 1 == 1);
        let nodes = small(integer(input)?)?;
        let first = id(input)?;
        let last = distance(input, first)?;
        let end = distance(input, last)?;
        let blocks = bytes.checked_sub(index_bytes.into()).ok_or(IMPOSSIBLE)?;
        let indexed = index_bytes > 0 || u32::try_from(blocks).is_ok();
        let ends = pos.checked_add(bytes).is_some();
        if !indexed || !ends || blocks <= HEADER as u64 || entries == 0 || nodes == 0 {
            return Err(IMPOSSIBLE);
        }
        Ok(Self {
            stream,
            pos,
            bytes,
            index_bytes,
            entries,
            nodes,
            first,
            last,
            end,
            continues,
        })
    }
}

/// An extent that somebody refers to. While it lives its file stays, and counts its bytes as live.
#[derive(Debug)]
pub(crate) struct Extent {
    /// In which file.
    pub(crate) file: Arc<DataFile>,
    /// What is known about it.
    pub(crate) row: ExtentRow,
}

impl Extent {
    pub(super) fn new(file: Arc<DataFile>, row: ExtentRow) -> Arc<Self> {
        file.add_live(row.bytes);
        Arc::new(Self { file, row })
    }

    /// An extent of a file, as a checkpoint knows it.
    ///
    /// # Errors
    ///
    /// When it does not lie within the file.
    pub(crate) fn from_parts(file: Arc<DataFile>, row: ExtentRow) -> Result<Arc<Self>, DataError> {
        if row.end_pos() > file.len() {
            let flaw = Flaw::Length {
                len: file.len(),
                made: row.end_pos(),
            };
            return Err(file.corrupt(0, flaw));
        }
        Ok(Self::new(file, row))
    }
}

impl Drop for Extent {
    fn drop(&mut self) {
        self.file.take_live(self.row.bytes);
    }
}
