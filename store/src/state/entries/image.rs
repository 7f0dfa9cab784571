//! The index of a stream's entries as a checkpoint has it.
//!
//! ```text
//!  entries   parts, for each: part;   front;   tail
//!
//!  part      file, row as in the table of that file, nodes, skip,
//!            length, the deleted ordinals behind skip as a serialized Roaring bitmap; or length 0
//!  front     0, or 1 and a node as in the tail
//! ```
//!
//! Counts and ends of the settled tier follow from its parts, except the first and the last live
//! ID, which would have to be looked up in blocks:
//!
//! ```text
//!            first, last: behind the parts, when there are any
//! ```

use std::collections::VecDeque;
use std::sync::Arc;

use roaring::RoaringBitmap;

use super::Entries;
use super::part::Part;
use super::settled::Settled;
use super::tail::{Node, Tail};
use crate::codec::{flag, id, integer, name, put_flag, put_id, put_integer, put_name, small};
use crate::data::{DataFile, Extent, ExtentRow};
use crate::error::Malformed;
use crate::id::StreamId;
use crate::sabotage::{self, Bug};

/// The data files that images may name, by number.
pub(crate) type Files<'a> = &'a dyn Fn(u64) -> Option<Arc<DataFile>>;

const IMPOSSIBLE_PART: Malformed = Malformed {
    what: "a part of a stream that cannot be",
};

impl Entries {
    /// Appends the image.
    pub(in crate::state) fn encode(&self, out: &mut Vec<u8>) {
        match &self.settled {
            None => put_integer(out, 0),
            Some(settled) => settled.encode(out),
        }
        self.tail.encode(out);
    }

    /// Takes an image off the front of the input.
    ///
    /// # Errors
    ///
    /// When the bytes are no image, or the image of entries that cannot be.
    pub(in crate::state) fn decode(input: &mut &[u8], files: Files<'_>) -> Result<Self, Malformed> {
        let settled = Settled::decode(input, files)?;
        let after = settled
            .as_ref()
            .map_or(StreamId::MIN, |settled| settled.last);
        Ok(Self {
            tail: Tail::decode(input, after)?,
            settled: settled.map(Box::new),
            installed: 0,
        })
    }
}

impl Settled {
    fn encode(&self, out: &mut Vec<u8>) {
        put_integer(out, self.parts.len() as u64);
        for part in &self.parts {
            part.encode(out);
        }
        put_id(out, self.first);
        put_id(out, self.last);
        put_flag(out, self.front.is_some());
        if let Some(front) = &self.front {
            front.encode(&mut 0, out);
        }
    }

    fn decode(input: &mut &[u8], files: Files<'_>) -> Result<Option<Self>, Malformed> {
        let count = integer(input)?;
        if count == 0 {
            return Ok(None);
        }
        let mut parts: VecDeque<Part> = VecDeque::new();
        let mut live = 0;
        for _ in 0..count {
            let part = Part::decode(input, files)?;
            if parts
                .back()
                .is_some_and(|before| before.row().last >= part.row().first)
            {
                return Err(IMPOSSIBLE_PART);
            }
            live += u64::from(part.live());
            parts.push_back(part);
        }
        let (first, last) = (id(input)?, id(input)?);
        let front = if flag(input)? {
            Some(Box::new(Node::decode(&mut 0, input)?))
        } else {
            None
        };
        if live == 0 || first > last {
            return Err(IMPOSSIBLE_PART);
        }
        Ok(Some(Self {
            parts,
            live,
            first,
            last,
            front,
        }))
    }
}

impl Part {
    fn encode(&self, out: &mut Vec<u8>) {
        put_integer(out, self.extent().file.number());
        self.row().encode(out);
        put_integer(out, self.nodes.into());
        put_integer(out, self.skip.into());
        let mut deleted = Vec::new();
        let forgotten = sabotage::has(Bug::DeletionsForgotten);
        if let Some(ordinals) = self.deleted.as_ref().filter(|_| !forgotten) {
            ordinals
                .serialize_into(&mut deleted)
                .expect("memory can be written to");
        }
        put_name(out, &deleted);
    }

    fn decode(input: &mut &[u8], files: Files<'_>) -> Result<Self, Malformed> {
        let file = files(integer(input)?).ok_or(Malformed {
            what: "an extent in a data file that is not named",
        })?;
        let row = ExtentRow::decode(input)?;
        let extent = Extent::from_parts(file, row);
        let extent = extent.ok().ok_or(Malformed {
            what: "an extent beyond the end of its data file",
        })?;
        let nodes = small(integer(input)?)?;
        let skip = small(integer(input)?)?;
        let deleted = name(input)?;
        let mut dead = if deleted.is_empty() {
            RoaringBitmap::new()
        } else {
            RoaringBitmap::deserialize_from(deleted)
                .ok()
                .ok_or(IMPOSSIBLE_PART)?
        };
        let inside = dead.max().is_none_or(|max| max < row.entries);
        if !inside || skip > row.entries || nodes > row.nodes {
            return Err(IMPOSSIBLE_PART);
        }
        dead.insert_range(0..skip);
        Ok(Self::new(extent, dead, nodes))
    }
}
