//! Where the entries of one stream are: the index from ID to place.
//!
//! ```text
//!  nodes   [ node ]        [ node ]               [ node ]         oldest first
//!  slots    . . # #         # # . # # #            # # #           # live, . deleted
//!               ^ head
//! ```
//!
//! A node is what would be one node of Redis' storage (see [`listpack`](super::listpack)); it is
//! also a good size of chunk. A lookup is a binary search over the nodes, then within one.
//! Appending, and dropping nodes from the front, move nothing else.
//!
//! # Invariants
//!
//! * IDs ascend, over all nodes.
//! * The slots of a node from `head` on begin and end with a live one.
//! * Only the first node can be without live entries, and only trimming leaves it so (as in Redis,
//!   where a node goes when its last entry is below the ID to keep, deleted or not).
//! * `node.first` and `node.last` are the first and last ID ever in the node; they stay when those
//!   entries are gone.
//! * `len` is the number of live slots.

use std::collections::VecDeque;
use std::collections::vec_deque;
use std::slice;

use super::listpack::{NodeLimits, Shape, integer_bytes};
use crate::id::StreamId;
use crate::lsn::Lsn;
use crate::record::Fields;

/// Where the fields of an entry are kept. Opaque: today always the log, some day a data file.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub struct Place(u64);

impl Place {
    /// Beyond any log; marks a slot as deleted.
    const DELETED: u64 = 1 << 63;

    pub(crate) fn in_log(at: Lsn) -> Self {
        assert!(at.get() < Self::DELETED, "a log is shorter than 2^63 bytes");
        Self(at.get())
    }

    pub(crate) fn lsn(self) -> Lsn {
        Lsn::new(self.0)
    }
}

/// One entry of a stream.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    /// Its ID.
    pub id: StreamId,
    /// Where its fields are; read them with [`Access::fields`](crate::Access::fields).
    pub at: Place,
}

/// How an entry that is to be added would be stored.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct NodePlace {
    /// In a new node.
    pub new_node: bool,
    /// Adding so many bytes to its node.
    pub node_bytes: u32,
}

#[derive(Copy, Clone, Debug)]
struct Slot {
    id: StreamId,
    /// A [`Place`], or with [`Place::DELETED`] one that is forgotten.
    place: u64,
}

impl Slot {
    fn live(&self) -> bool {
        self.place & Place::DELETED == 0
    }

    fn entry(&self) -> Entry {
        Entry {
            id: self.id,
            at: Place(self.place),
        }
    }
}

#[derive(Clone, Debug)]
struct Node {
    first: StreamId,
    last: StreamId,
    /// Size of the listpack without the elements that hold the two counts.
    bytes: u64,
    /// Identifies the field names of the entry that opened the node.
    names: u64,
    live: u32,
    deleted: u32,
    /// Where the slots in use begin; those before are deleted.
    head: usize,
    slots: Vec<Slot>,
}

impl Node {
    /// With so many unused slots in front they are released.
    const HEAD_MAX: usize = 256;

    fn slots(&self) -> &[Slot] {
        &self.slots[self.head..]
    }

    fn listpack_bytes(&self) -> u64 {
        self.bytes + integer_bytes(self.live.into()) + integer_bytes(self.deleted.into())
    }

    /// Deletes the slot at `index`. The node may be without live entries afterwards.
    fn delete(&mut self, index: usize) {
        self.slots[index].place |= Place::DELETED;
        self.live -= 1;
        self.deleted += 1;
        self.restore_ends();
    }

    /// Deletes every live slot up to `through`, and says how many there were.
    fn delete_through(&mut self, through: StreamId) -> u64 {
        let end = self.head + self.slots().partition_point(|slot| slot.id <= through);
        let count = self.slots[self.head..end]
            .iter()
            .filter(|slot| slot.live())
            .count();
        let removed = u32::try_from(count).expect("a node has at most 2^32 entries");
        self.head = end;
        self.live -= removed;
        self.deleted += removed;
        self.restore_ends();
        u64::from(removed)
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

/// The entries of one stream.
#[derive(Clone, Debug, Default)]
pub(super) struct Entries {
    nodes: VecDeque<Node>,
    len: u64,
}

impl Entries {
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    pub(super) fn nodes_len(&self) -> usize {
        self.nodes.len()
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
        let room = self.nodes.back().filter(|node| {
            let entries = u64::from(node.live) + u64::from(node.deleted);
            !limits.reached(node.listpack_bytes(), entries, shape.payload)
        });
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
            place: entry.at.0,
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
        if self.nodes[node].live == 0 {
            self.nodes.remove(node);
        }
        self.len -= 1;
        true
    }

    /// Deletes every entry up to `through`, and says how many there were.
    pub(super) fn delete_through(&mut self, through: StreamId) -> u64 {
        let before = self.len;
        while let Some(node) = self.nodes.pop_front_if(|node| node.last <= through) {
            self.len -= u64::from(node.live);
        }
        if let Some(node) = self.nodes.front_mut() {
            self.len -= node.delete_through(through);
        }
        before - self.len
    }

    /// The nodes as trimming sees them, oldest first.
    pub(super) fn nodes(&self) -> impl Iterator<Item = NodeView<'_>> {
        self.nodes.iter().map(NodeView)
    }
}

/// One node, to be looked at.
#[derive(Copy, Clone)]
pub(super) struct NodeView<'a>(&'a Node);

impl<'a> NodeView<'a> {
    pub(super) fn first(self) -> StreamId {
        self.0.first
    }

    pub(super) fn last(self) -> StreamId {
        self.0.last
    }

    pub(super) fn live(self) -> u64 {
        self.0.live.into()
    }

    pub(super) fn deleted(self) -> u64 {
        self.0.deleted.into()
    }

    pub(super) fn listpack_bytes(self) -> u64 {
        self.0.listpack_bytes()
    }

    pub(super) fn ids(self) -> impl Iterator<Item = StreamId> + use<'a> {
        self.0
            .slots()
            .iter()
            .filter(|slot| slot.live())
            .map(|slot| slot.id)
    }
}

/// The live entries of a range, from either end.
#[derive(Clone, Debug, Default)]
pub struct Range<'a> {
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
