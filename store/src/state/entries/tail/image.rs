//! The tail of a stream as a checkpoint has it.
//!
//! ```text
//!  tail    nodes, for each: node
//!  node    first, last, bytes, names (8 bytes), settled, deleted, slots
//!  slots   live entries here;  place, length, the slots as they are packed, when there are any
//!
//!  last    by its distance from first
//!  place   of the origin, by its distance from that of the node before that has one
//! ```

use super::{Node, Tail};
use crate::codec::{distance, id, integer, put_distance, put_id, put_integer, small, take};
use crate::error::Malformed;
use crate::id::StreamId;
use crate::state::entries::slots::Slots;

const OUT_OF_ORDER: Malformed = Malformed {
    what: "nodes or entries that are out of order",
};

impl Tail {
    /// Appends the image.
    pub(in crate::state::entries) fn encode(&self, out: &mut Vec<u8>) {
        put_integer(out, self.nodes.len() as u64);
        let mut place = 0;
        for node in &self.nodes {
            node.encode(&mut place, out);
        }
    }

    /// Takes an image off the front of the input: of a tail behind `after`.
    ///
    /// # Errors
    ///
    /// When the bytes are no image, or the image of a tail that cannot be.
    pub(in crate::state::entries) fn decode(
        input: &mut &[u8],
        after: StreamId,
    ) -> Result<Self, Malformed> {
        let mut tail = Self::default();
        let mut place = 0;
        let mut before = StreamId::MIN;
        let count = integer(input)?;
        if count == 1 {
            tail.nodes.reserve_exact(1);
        }
        for _ in 0..count {
            let node = Node::decode(&mut place, input)?;
            let ordered = tail.nodes.is_empty() || node.first() > before;
            if !ordered || node.entries().next().is_some_and(|first| first.id <= after) {
                return Err(OUT_OF_ORDER);
            }
            before = node.last;
            tail.len += u64::from(node.live_here());
            tail.nodes.push_back(node);
        }
        Ok(tail)
    }
}

impl Node {
    /// Appends the image; `place` is the origin's place of the node before.
    pub(in crate::state::entries) fn encode(&self, place: &mut u64, out: &mut Vec<u8>) {
        put_id(out, self.first());
        put_distance(out, self.first(), self.last);
        put_integer(out, self.bytes);
        out.extend_from_slice(&self.names.to_le_bytes());
        put_integer(out, self.settled.into());
        put_integer(out, self.deleted.into());
        self.slots.encode(place, out);
    }

    /// Takes an image off the front of the input; `place` is the origin's place of the node before.
    ///
    /// # Errors
    ///
    /// When the bytes are no image, or the image of a node that cannot be.
    pub(in crate::state::entries) fn decode(
        place: &mut u64,
        input: &mut &[u8],
    ) -> Result<Self, Malformed> {
        let first = id(input)?;
        let last = distance(input, first)?;
        let bytes = integer(input)?;
        let names = take(input, 8)?.try_into().expect("so many were taken");
        Ok(Self {
            last,
            bytes,
            names: u64::from_le_bytes(names),
            settled: small(integer(input)?)?,
            deleted: small(integer(input)?)?,
            slots: Slots::decode((first, last), place, input)?,
        })
    }
}
