//! The tail of a stream as a checkpoint has it.
//!
//! ```text
//!  tail    nodes, for each: node
//!  node    first, last, bytes, names (8 bytes), settled, deleted,
//!          live, for each live entry here: ID, place
//!
//!  IDs     each by its distance from the one before; last from first, an entry's from first
//!  place   the LSN, by its distance from that of the entry before, over all nodes
//! ```
//!
//! Slots of deleted entries are left out: nobody asks for them again.

use super::{Node, Slot, Tail};
use crate::codec::{distance, id, integer, put_distance, put_id, put_integer, small, take};
use crate::error::Malformed;
use crate::id::StreamId;
use crate::lsn::Lsn;
use crate::state::entries::Place;

const OUT_OF_ORDER: Malformed = Malformed {
    what: "nodes or entries that are out of order",
};
const NOWHERE: Malformed = Malformed {
    what: "an entry beyond any log",
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
        for _ in 0..integer(input)? {
            let node = Node::decode(&mut place, input)?;
            let first_here = node.slots.first().map(|slot| slot.id);
            let ordered = tail.nodes.is_empty() || node.first > before;
            if !ordered || first_here.is_some_and(|first| first <= after) {
                return Err(OUT_OF_ORDER);
            }
            before = node.last;
            tail.len += u64::from(node.live);
            tail.nodes.push_back(node);
        }
        Ok(tail)
    }
}

impl Node {
    /// Appends the image; `place` is the last place before.
    pub(in crate::state::entries) fn encode(&self, place: &mut u64, out: &mut Vec<u8>) {
        put_id(out, self.first);
        put_distance(out, self.first, self.last);
        put_integer(out, self.bytes);
        out.extend_from_slice(&self.names.to_le_bytes());
        put_integer(out, self.settled.into());
        put_integer(out, self.deleted.into());
        put_integer(out, self.live.into());
        let mut before = self.first;
        for entry in self.entries() {
            put_distance(out, before, entry.id);
            before = entry.id;
            let at = entry.at.lsn().get();
            put_integer(out, at - *place);
            *place = at;
        }
    }

    /// Takes an image off the front of the input; `place` is the last place before.
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
        let mut node = Self {
            first,
            last,
            bytes,
            names: u64::from_le_bytes(names),
            live: 0,
            settled: small(integer(input)?)?,
            deleted: small(integer(input)?)?,
            head: 0,
            slots: Vec::new(),
        };
        let mut before = first;
        let live = small(integer(input)?)?;
        // Each takes three bytes at least, so a wrong count runs into the end of the input.
        node.slots
            .reserve_exact((live as usize).min(input.len() / 3));
        for at in 0..live {
            let id = distance(input, before)?;
            if id > last || (at > 0 && id == before) {
                return Err(OUT_OF_ORDER);
            }
            before = id;
            *place = place.checked_add(integer(input)?).ok_or(NOWHERE)?;
            let place = Place::try_in_log(Lsn::new(*place)).ok_or(NOWHERE)?;
            node.slots.push(Slot { id, place });
        }
        node.live = live;
        Ok(node)
    }
}
