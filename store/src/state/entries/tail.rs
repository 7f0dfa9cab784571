//! The newer entries of a stream: those that are still only in the log.
//!
//! ```text
//!  nodes   [ node ]        [ node ]               [ node ]         oldest first
//!  slots    . . # #         # # . # # #            # # #           # live, . deleted
//!               ^ head
//! ```
//!
//! A node is what would be one node of Redis' storage (see [`listpack`](crate::state::listpack));
//! it is also a good size of chunk. A lookup is a binary search over the nodes, then within one.
//! Appending, and dropping nodes from the front, move nothing else.
//!
//! Older entries of the first node may have been settled. The node stays here with the rest of its
//! entries, or without any: whoever adds an entry finds the last node of the stream here, always.
//!
//! # Invariants
//!
//! * IDs ascend, over all nodes.
//! * The slots of a node from `head` on begin and end with a live one.
//! * Only the first node can have settled entries.
//! * Only the first node can be without live entries, here and settled, and only trimming leaves
//!   it so (as in Redis, where a node goes when its last entry is below the ID to keep, deleted or
//!   not).
//! * `node.first` and `node.last` are the first and last ID ever in the node; they stay when those
//!   entries are gone.
//! * `len` is the number of live slots.

mod image;

use std::collections::VecDeque;
use std::collections::vec_deque;
use std::slice;

use super::{Entry, NodePlace, Place};
use crate::data::NodeHead;
use crate::id::StreamId;
use crate::record::Fields;
use crate::state::listpack::{NodeLimits, Shape, integer_bytes};

#[derive(Copy, Clone, Debug)]
struct Slot {
    id: StreamId,
    place: Place,
}

impl Slot {
    fn live(&self) -> bool {
        !self.place.is_deleted()
    }

    fn entry(&self) -> Entry {
        Entry {
            id: self.id,
            at: self.place,
        }
    }
}

#[derive(Clone, Debug)]
pub(in crate::state) struct Node {
    first: StreamId,
    last: StreamId,
    /// Size of the listpack without the elements that hold the two counts.
    bytes: u64,
    /// Identifies the field names of the entry that opened the node.
    names: u64,
    /// Live entries among the slots.
    live: u32,
    /// Live entries that are settled.
    settled: u32,
    deleted: u32,
    /// Where the slots in use begin; those before are deleted.
    head: usize,
    slots: Vec<Slot>,
}

impl Node {
    /// With so many unused slots in front they are released.
    const HEAD_MAX: usize = 256;

    /// A node of which nothing is here: `settled` entries of it are live, and `ever` were added.
    pub(super) fn without_slots(head: &NodeHead, ever: u32, settled: u32) -> Self {
        Self {
            first: head.first,
            last: head.last,
            bytes: head.bytes,
            names: head.names,
            live: 0,
            settled,
            deleted: ever - settled,
            head: 0,
            slots: Vec::new(),
        }
    }

    pub(super) fn first(&self) -> StreamId {
        self.first
    }

    pub(in crate::state) fn last(&self) -> StreamId {
        self.last
    }

    /// Live entries of the node that are here.
    pub(super) fn live_here(&self) -> u32 {
        self.live
    }

    /// Live entries of the node that are settled.
    pub(super) fn settled(&self) -> u32 {
        self.settled
    }

    /// Live entries of the node, wherever.
    pub(in crate::state) fn live(&self) -> u64 {
        u64::from(self.live) + u64::from(self.settled)
    }

    pub(super) fn deleted(&self) -> u64 {
        self.deleted.into()
    }

    /// The live entries that are here.
    pub(super) fn entries(&self) -> impl Iterator<Item = Entry> + use<'_> {
        let live = self.slots().iter().filter(|slot| slot.live());
        live.map(Slot::entry)
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
            first: self.first,
            last,
            bytes: self.bytes,
            names: self.names,
            deleted: self.deleted + self.live + self.settled - taken,
            continues: self.settled > 0,
        }
    }

    /// About how many bytes its entries here take.
    pub(super) fn bytes_here(&self) -> u64 {
        (self.bytes / self.ever().max(1)).saturating_mul(self.live.into())
    }

    fn slots(&self) -> &[Slot] {
        &self.slots[self.head..]
    }

    /// Deletes the slot at `index`. The node may be without live entries afterwards.
    fn delete(&mut self, index: usize) {
        self.slots[index].place.mark_deleted();
        self.live -= 1;
        self.deleted += 1;
        self.restore_ends();
    }

    /// Takes every live slot up to `through` away, and says how many there were.
    fn take_through(&mut self, through: StreamId) -> u32 {
        let end = self.head + self.slots().partition_point(|slot| slot.id <= through);
        let count = self.slots[self.head..end]
            .iter()
            .filter(|slot| slot.live())
            .count();
        let taken = u32::try_from(count).expect("a node has at most 2^32 entries");
        self.head = end;
        self.live -= taken;
        self.restore_ends();
        taken
    }

    fn restore_ends(&mut self) {
        if self.live == 0 {
            self.slots.clear();
            self.head = 0;
            return;
        }
        while !self.slots[self.slots.len() - 1].live() {
            self.slots.pop();
        }
        while !self.slots[self.head].live() {
            self.head += 1;
        }
        // At least half of the slots go, so each of them has paid for one move.
        if self.head > Self::HEAD_MAX && self.head * 2 > self.slots.len() {
            self.slots.drain(..self.head);
            self.head = 0;
        }
    }
}

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
        nodes.find_map(|node| node.slots().first().map(Slot::entry))
    }

    pub(super) fn last(&self) -> Option<Entry> {
        let node = self.nodes.back()?;
        node.slots().last().map(Slot::entry)
    }

    pub(super) fn get(&self, id: StreamId) -> Option<Entry> {
        let (node, slot) = self.find(id)?;
        Some(self.nodes[node].slots[slot].entry())
    }

    /// The node and slot of a live entry.
    fn find(&self, id: StreamId) -> Option<(usize, usize)> {
        let index = self.node_of(id)?;
        let node = &self.nodes[index];
        let slot = node
            .slots()
            .binary_search_by_key(&id, |slot| slot.id)
            .ok()?;
        let slot = node.head + slot;
        node.slots[slot].live().then_some((index, slot))
    }

    /// The only node that can hold `id`.
    fn node_of(&self, id: StreamId) -> Option<usize> {
        // Readers who follow and consumers who acknowledge work at the ends.
        let last = self.nodes.back()?;
        if last.first <= id {
            return Some(self.nodes.len() - 1);
        }
        self.nodes
            .partition_point(|node| node.first <= id)
            .checked_sub(1)
    }

    /// Live entries from `from` to `to`, both included.
    pub(super) fn range(&self, from: StreamId, to: StreamId) -> Range<'_> {
        let Some(last) = self.node_of(to).filter(|_| from <= to) else {
            return Range::default();
        };
        let first = self.node_of(from).unwrap_or(0);
        let from = |node: &Node| node.slots().partition_point(|slot| slot.id < from);
        let to = |node: &Node| node.slots().partition_point(|slot| slot.id <= to);
        if first == last {
            let node = &self.nodes[first];
            let (from, to) = (from(node), to(node));
            return Range {
                front: node.slots()[from..to].iter(),
                ..Range::default()
            };
        }
        let (first_node, last_node) = (&self.nodes[first], &self.nodes[last]);
        Range {
            front: first_node.slots()[from(first_node)..].iter(),
            middle: self.nodes.range(first + 1..last),
            back: last_node.slots()[..to(last_node)].iter(),
        }
    }

    /// Where the next entry would go, and what it would add there.
    pub(super) fn place(&self, id: StreamId, fields: &Fields<'_>, limits: NodeLimits) -> NodePlace {
        let shape = Shape::of(fields);
        let room = self
            .nodes
            .back()
            .filter(|node| !limits.reached(node.listpack_bytes(), node.ever(), shape.payload));
        let node_bytes = match room {
            Some(node) => shape.added_bytes(node.first, id, node.names == shape.names),
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
        let slot = Slot {
            id: entry.id,
            place: entry.at,
        };
        self.len += 1;
        if place.new_node {
            // The next node will have about as many entries as the last.
            let slots = self
                .nodes
                .back()
                .map_or(0, |node| node.slots.len().min(128));
            let mut node = Node {
                first: entry.id,
                last: entry.id,
                bytes: place.node_bytes.into(),
                names: names(),
                live: 1,
                settled: 0,
                deleted: 0,
                head: 0,
                slots: Vec::with_capacity(slots),
            };
            node.slots.push(slot);
            self.nodes.push_back(node);
            return;
        }
        let node = self
            .nodes
            .back_mut()
            .expect("an entry that opens no node follows one");
        node.bytes += u64::from(place.node_bytes);
        node.live += 1;
        node.last = entry.id;
        node.slots.push(slot);
    }

    /// Deletes an entry; whether it was there.
    pub(super) fn delete(&mut self, id: StreamId) -> bool {
        let Some((node, slot)) = self.find(id) else {
            return false;
        };
        self.nodes[node].delete(slot);
        if self.nodes[node].live() == 0 {
            self.nodes.remove(node);
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
            self.len -= u64::from(node.live);
        }
        if let Some(node) = self.nodes.front_mut() {
            let taken = node.take_through(through);
            node.deleted += taken;
            self.len -= u64::from(taken);
        }
        before - self.len
    }

    /// Puts a node without slots before all others.
    pub(super) fn push_front(&mut self, node: Node) {
        debug_assert!(node.slots.is_empty(), "its entries are elsewhere");
        self.nodes.push_front(node);
    }

    /// Takes the first node out, if it is this one and without live entries: trimming left it.
    pub(super) fn pop_front_without_entries(&mut self) -> Option<Node> {
        self.nodes.pop_front_if(|node| node.live() == 0)
    }

    /// Takes the first node out, whose entries have been settled with it.
    pub(super) fn settle_front(&mut self) {
        let node = self.nodes.pop_front().expect("it has been settled");
        self.len -= u64::from(node.live);
    }

    /// Takes the entries up to `through` out of the first node: they have been settled.
    pub(super) fn settle_through(&mut self, through: StreamId) {
        let node = self.nodes.front_mut().expect("it has been settled");
        let taken = node.take_through(through);
        node.settled += taken;
        self.len -= u64::from(taken);
    }
}

/// The live entries of a range, from either end.
#[derive(Clone, Debug, Default)]
pub(in crate::state) struct Range<'a> {
    front: slice::Iter<'a, Slot>,
    middle: vec_deque::Iter<'a, Node>,
    back: slice::Iter<'a, Slot>,
}

impl Iterator for Range<'_> {
    type Item = Entry;

    fn next(&mut self) -> Option<Entry> {
        loop {
            if let Some(slot) = self.front.find(|slot| slot.live()) {
                return Some(slot.entry());
            }
            let Some(node) = self.middle.next() else {
                return self.back.find(|slot| slot.live()).map(Slot::entry);
            };
            self.front = node.slots().iter();
        }
    }
}

impl DoubleEndedIterator for Range<'_> {
    fn next_back(&mut self) -> Option<Entry> {
        loop {
            if let Some(slot) = self.back.rfind(|slot| slot.live()) {
                return Some(slot.entry());
            }
            let Some(node) = self.middle.next_back() else {
                return self.front.rfind(|slot| slot.live()).map(Slot::entry);
            };
            self.back = node.slots().iter();
        }
    }
}
