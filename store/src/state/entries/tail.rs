//! The newer entries of a stream: those that are still only in the log.
//!
//! ```text
//!  nodes   [ node ]        [ node ]               [ node ]         oldest first
//!  slots    # #             # # # #                # # #           live entries
//! ```
//!
//! A node is what would be one node of Redis' storage (see [`listpack`](crate::state::listpack));
//! it is also a good size of chunk. A lookup is a binary search over the nodes, then a look through
//! one. Appending, and dropping nodes from the front, move nothing else.
//!
//! Older entries of the first node may have been settled. The node stays here with the rest of its
//! entries, or without any: whoever adds an entry finds the last node of the stream here, always.
//!
//! # Invariants
//!
//! * IDs ascend, over all nodes.
//! * Only the first node can have settled entries.
//! * Only the first node can be without live entries, here and settled, and only trimming leaves
//!   it so (as in Redis, where a node goes when its last entry is below the ID to keep, deleted or
//!   not).
//! * The first and the last ID ever in a node stay when those entries are gone.
//! * `len` is the number of slots.

mod image;

use std::collections::VecDeque;
use std::collections::vec_deque;

use smallvec::SmallVec;

use super::slots::{self, Slots};
use super::{Entry, NodePlace};
use crate::data::NodeHead;
use crate::id::StreamId;
use crate::record::Fields;
use crate::state::listpack::{NodeLimits, Shape, integer_bytes};

#[derive(Clone, Debug)]
pub(in crate::state) struct Node {
    last: StreamId,
    /// Size of the listpack without the elements that hold the two counts.
    bytes: u64,
    /// Identifies the field names of the entry that opened the node.
    names: u64,
    /// Live entries that are settled.
    settled: u32,
    deleted: u32,
    /// The others, and the first ID.
    slots: Slots,
}

impl Node {
    /// A node of which nothing is here: `settled` entries of it are live, and `ever` were added.
    pub(super) fn without_slots(head: &NodeHead, ever: u32, settled: u32) -> Self {
        Self {
            last: head.last,
            bytes: head.bytes,
            names: head.names,
            settled,
            deleted: ever - settled,
            slots: Slots::new(head.first, 0),
        }
    }

    pub(super) fn first(&self) -> StreamId {
        self.slots.origin()
    }

    pub(in crate::state) fn last(&self) -> StreamId {
        self.last
    }

    /// Live entries of the node that are here.
    pub(super) fn live_here(&self) -> u32 {
        self.slots.len()
    }

    /// Live entries of the node that are settled.
    pub(super) fn settled(&self) -> u32 {
        self.settled
    }

    /// Live entries of the node, wherever.
    pub(in crate::state) fn live(&self) -> u64 {
        u64::from(self.live_here()) + u64::from(self.settled)
    }

    pub(super) fn deleted(&self) -> u64 {
        self.deleted.into()
    }

    /// The live entries that are here.
    pub(super) fn entries(&self) -> slots::Iter<'_> {
        self.slots.iter()
    }

    pub(super) fn listpack_bytes(&self) -> u64 {
        self.bytes + integer_bytes(self.live()) + integer_bytes(self.deleted.into())
    }

    /// Entries ever, deleted ones included.
    fn ever(&self) -> u64 {
        self.live() + u64::from(self.deleted)
    }

    /// What a piece says of the node, that ends it or is followed by others, with `taken` of its
    /// entries: [`Span`](super::span::Span) says what is meant.
    pub(super) fn head(&self, last: StreamId, taken: u32) -> NodeHead {
        NodeHead {
            first: self.first(),
            last,
            bytes: self.bytes,
            names: self.names,
            deleted: self.deleted + self.live_here() + self.settled - taken,
            continues: self.settled > 0,
        }
    }

    /// About how many bytes its entries here take.
    pub(super) fn bytes_here(&self) -> u64 {
        (self.bytes / self.ever().max(1)).saturating_mul(self.live_here().into())
    }
}

/// A new node gets room for so many bytes of slots at most.
const SLOTS_BYTES: usize = 512;

/// The newer entries of one stream.
#[derive(Clone, Debug, Default)]
pub(super) struct Tail {
    nodes: VecDeque<Node>,
    len: u64,
}

impl Tail {
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// The nodes, oldest first.
    pub(super) fn nodes(&self) -> &VecDeque<Node> {
        &self.nodes
    }

    /// The first node, if some of its entries are settled.
    pub(super) fn continued(&self) -> Option<&Node> {
        self.nodes.front().filter(|node| node.settled > 0)
    }

    pub(super) fn first(&self) -> Option<Entry> {
        let mut nodes = self.nodes.iter();
        nodes.find_map(|node| node.entries().next())
    }

    pub(super) fn last(&self) -> Option<Entry> {
        self.nodes.back()?.entries().last()
    }

    pub(super) fn get(&self, id: StreamId) -> Option<Entry> {
        self.nodes[self.node_of(id)?].slots.get(id)
    }

    /// The only node that can hold `id`.
    fn node_of(&self, id: StreamId) -> Option<usize> {
        // Readers who follow and consumers who acknowledge work at the ends.
        let last = self.nodes.back()?;
        if last.first() <= id {
            return Some(self.nodes.len() - 1);
        }
        self.nodes
            .partition_point(|node| node.first() <= id)
            .checked_sub(1)
    }

    /// Entries from `from` to `to`, both included.
    pub(super) fn range(&self, from: StreamId, to: StreamId) -> Range<'_> {
        let mut nodes = self.nodes_from(from);
        Range {
            node: nodes
                .next()
                .map_or_else(Default::default, |node| node.slots.from(from)),
            nodes,
            to,
        }
    }

    /// The same, newest first.
    pub(super) fn range_back(
        &self,
        from: StreamId,
        to: StreamId,
    ) -> impl Iterator<Item = Entry> + use<'_> {
        let nodes = self.nodes_from(from).rev();
        let nodes = nodes.skip_while(move |node| node.first() > to);
        let entries = nodes.flat_map(|node| {
            let entries: SmallVec<[Entry; 128]> = node.entries().collect();
            entries.into_iter().rev()
        });
        let entries = entries.skip_while(move |entry| entry.id > to);
        entries.take_while(move |entry| entry.id >= from)
    }

    /// The nodes that can have entries from `from` on.
    fn nodes_from(&self, from: StreamId) -> vec_deque::Iter<'_, Node> {
        self.nodes.range(self.node_of(from).unwrap_or(0)..)
    }

    /// Where the next entry would go, and what it would add there.
    pub(super) fn place(&self, id: StreamId, fields: &Fields<'_>, limits: NodeLimits) -> NodePlace {
        let shape = Shape::of(fields);
        let room = self
            .nodes
            .back()
            .filter(|node| !limits.reached(node.listpack_bytes(), node.ever(), shape.payload));
        let node_bytes = match room {
            Some(node) => shape.added_bytes(node.first(), id, node.names == shape.names),
            None => shape.alone_bytes(),
        };
        let node_bytes = u32::try_from(node_bytes).unwrap_or(u32::MAX);
        NodePlace {
            new_node: room.is_none(),
            node_bytes,
        }
    }

    /// Adds an entry after the last. `names` identifies its field names, for a new node.
    pub(super) fn push(&mut self, entry: Entry, place: NodePlace, names: impl FnOnce() -> u64) {
        self.len += 1;
        if place.new_node {
            // The next node will need about as much as the last.
            let capacity = self.nodes.back().map_or(0, |node| node.slots.bytes());
            let mut slots = Slots::new(entry.id, capacity.min(SLOTS_BYTES));
            slots.push(entry);
            if self.nodes.capacity() == 0 {
                // Most streams are small.
                self.nodes.reserve_exact(1);
            }
            self.nodes.push_back(Node {
                last: entry.id,
                bytes: place.node_bytes.into(),
                names: names(),
                settled: 0,
                deleted: 0,
                slots,
            });
            return;
        }
        let node = self
            .nodes
            .back_mut()
            .expect("an entry that opens no node follows one");
        node.bytes += u64::from(place.node_bytes);
        node.last = entry.id;
        node.slots.push(entry);
    }

    /// Deletes an entry; whether it was there.
    pub(super) fn delete(&mut self, id: StreamId) -> bool {
        let Some(at) = self.node_of(id) else {
            return false;
        };
        let node = &mut self.nodes[at];
        if !node.slots.remove(id) {
            return false;
        }
        node.deleted += 1;
        if node.live() == 0 {
            self.nodes.remove(at);
        }
        self.len -= 1;
        true
    }

    /// Notes that settled entries of the first node were deleted.
    pub(super) fn delete_settled(&mut self, count: u32) {
        self.trim_settled(count);
        if count > 0 {
            self.nodes.pop_front_if(|node| node.live() == 0);
        }
    }

    /// Notes that settled entries of the first node were trimmed.
    pub(super) fn trim_settled(&mut self, count: u32) {
        if count > 0 {
            let node = self.nodes.front_mut();
            let node = node.expect("a node with settled entries stays");
            node.settled -= count;
            node.deleted += count;
        }
    }

    /// Deletes every entry up to `through`, and says how many there were. Those that are settled
    /// have been [trimmed](Self::trim_settled) before.
    pub(super) fn delete_through(&mut self, through: StreamId) -> u64 {
        let before = self.len;
        while let Some(node) = self.nodes.pop_front_if(|node| node.last <= through) {
            self.len -= u64::from(node.live_here());
        }
        if let Some(node) = self.nodes.front_mut() {
            let taken = node.slots.remove_through(through);
            node.deleted += taken;
            self.len -= u64::from(taken);
        }
        before - self.len
    }

    /// Puts a node without slots before all others.
    pub(super) fn push_front(&mut self, node: Node) {
        debug_assert!(node.live_here() == 0, "its entries are elsewhere");
        self.nodes.push_front(node);
    }

    /// Takes the first node out, if it is this one and without live entries: trimming left it.
    pub(super) fn pop_front_without_entries(&mut self) -> Option<Node> {
        self.nodes.pop_front_if(|node| node.live() == 0)
    }

    /// Takes the first node out, whose entries have been settled with it.
    pub(super) fn settle_front(&mut self) {
        let node = self.nodes.pop_front().expect("it has been settled");
        self.len -= u64::from(node.live_here());
    }

    /// Takes the entries up to `through` out of the first node: they have been settled.
    pub(super) fn settle_through(&mut self, through: StreamId) {
        let node = self.nodes.front_mut().expect("it has been settled");
        let taken = node.slots.remove_through(through);
        node.settled += taken;
        self.len -= u64::from(taken);
    }
}

/// The entries of a range, oldest first.
#[derive(Clone, Debug)]
pub(in crate::state) struct Range<'a> {
    node: slots::Iter<'a>,
    nodes: vec_deque::Iter<'a, Node>,
    to: StreamId,
}

impl Iterator for Range<'_> {
    type Item = Entry;

    fn next(&mut self) -> Option<Entry> {
        loop {
            if let Some(entry) = self.node.next() {
                return Some(entry).filter(|entry| entry.id <= self.to);
            }
            self.node = self.nodes.next()?.entries();
        }
    }
}
