//! Moving entries between files: what is to be written, and what becomes of it.
//!
//! ```text
//!            under the lock       without it              under the lock
//!  stream -- snapshot_front ---> Draft -- written as --> an extent -- install --> stream
//!        \-- snapshot_parts --'                           (what died meanwhile is deleted in it)
//! ```
//!
//! A draft takes entries that follow each other: settled ones, then some of the tail. Settling
//! takes the front of the tail, and with it the last settled extents while those are small: so they
//! grow geometrically, and no entry is written more often than the logarithm of their number.
//! Compaction takes settled extents only.
//!
//! Nodes are taken whole, except those that are cut: one that entries are still added to when its
//! first must leave the log, and one that is too large for an extent.

use std::sync::Arc;

use roaring::RoaringBitmap;

use super::part::Part;
use super::settled::{Settled, live_entries};
use super::span::{first_piece, piece_of};
use super::tail::Node;
use super::{Entries, Entry};
use crate::data::{Extent, Missing, NodeHead, Reader};
use crate::id::StreamId;
use crate::lsn::Lsn;
use crate::sabotage::{self, Bug};

/// About how many bytes an extent is to have at most.
const EXTENT_BYTES: u64 = 8 << 20;

/// How many entries an extent is to have at most.
const EXTENT_ENTRIES: u64 = 65_536;

/// A smaller extent may be written again together with what follows it.
const SMALL_BYTES: u64 = 1 << 20;

/// The same, in entries.
const SMALL_ENTRIES: u64 = 8192;

/// Entries of a stream that are to become one extent.
///
/// Write [`nodes`](Self::nodes) and give the extent to `Stream::install`. A draft that is dropped
/// changes nothing.
#[derive(Debug)]
pub(crate) struct Draft {
    /// How many drafts had been installed when this one was made.
    installed: u32,
    /// Settled parts, as they were.
    parts: Vec<Part>,
    /// Nodes of the tail.
    nodes: Vec<TailNode>,
    /// Their entries.
    entries: Vec<Entry>,
}

#[derive(Copy, Clone, Debug)]
struct TailNode {
    head: NodeHead,
    /// How many of the draft's entries are its.
    entries: usize,
    /// The node stays in the tail, with what is added to it later or was too much.
    stays: bool,
}

/// A node, or a part of one, as it is to be written.
#[derive(Clone, Debug)]
pub(crate) struct DraftNode {
    pub(crate) head: NodeHead,
    /// Read their fields from the log, or with the reader that was used.
    pub(crate) entries: Vec<Entry>,
}

impl Draft {
    /// How many entries are to be written.
    pub(crate) fn len(&self) -> u64 {
        let parts: u64 = self.parts.iter().map(|part| u64::from(part.live())).sum();
        parts + self.entries.len() as u64
    }

    /// How many of them are only in the log so far.
    pub(crate) fn unsettled(&self) -> u64 {
        self.entries.len() as u64
    }

    /// What is to be written, in order. Places of entries in the log are good while the stream is
    /// as it was; those of others while the reader lives.
    ///
    /// # Errors
    ///
    /// When a block is missing; a patient reader lacks one only if it cannot be read.
    pub(crate) fn nodes(&self, reader: &Reader<'_>) -> Result<Vec<DraftNode>, Missing> {
        let mut nodes = Nodes::default();
        for (at, part) in self.parts.iter().enumerate() {
            if part.row().continues {
                let piece = first_piece(reader, part)?;
                // It may be the last of a node of which something is live before.
                if at == 0 || nodes.end_with(piece.head.first) {
                    nodes.push(piece.head, piece.ever, []);
                }
            }
            let mut next = part.next_live(0);
            while let Some(ordinal) = next {
                let piece = piece_of(reader, part, ordinal)?;
                next = part.next_live(piece.ordinals.end);
                let mut entries = Vec::new();
                live_entries(reader, part, piece.ordinals, |entry| entries.push(entry))?;
                nodes.push(piece.head, piece.ever, entries);
            }
        }
        let mut rest = &self.entries[..];
        for node in &self.nodes {
            let (entries, behind) = rest.split_at(node.entries);
            rest = behind;
            let ever = node.head.deleted + count(node.entries);
            nodes.push(node.head, ever, entries.iter().copied());
        }
        Ok(nodes.0)
    }
}

/// Nodes in the making.
#[derive(Default)]
struct Nodes(Vec<DraftNode>);

impl Nodes {
    /// Whether the last is the one that begins so.
    fn end_with(&self, first: StreamId) -> bool {
        let last = self.0.last();
        last.is_some_and(|node| node.head.first == first)
    }

    /// Adds a piece: a node of its own, or more of the last one, of which so many entries have ever
    /// been.
    fn push(&mut self, head: NodeHead, ever: u32, entries: impl IntoIterator<Item = Entry>) {
        if self.end_with(head.first) {
            let node = self.0.last_mut().expect("it ends with this one");
            let continues = node.head.continues;
            node.head = NodeHead { continues, ..head };
        } else {
            // What it continues can only be in an extent before.
            let continues = head.continues && self.0.is_empty();
            self.0.push(DraftNode {
                head: NodeHead { continues, ..head },
                entries: Vec::new(),
            });
        }
        let node = self.0.last_mut().expect("one was added");
        node.entries.extend(entries);
        node.head.deleted = ever - count(node.entries.len());
    }
}

fn count(entries: usize) -> u32 {
    u32::try_from(entries).expect("a node has at most 2^32 entries")
}

impl Entries {
    /// Takes entries off the front of the tail that lie below a place in the log, or are in a node
    /// with one that does: about `max_entries`, and no more than an extent should have. `None` when
    /// there are none.
    ///
    /// Goes on `behind` a draft that will have been installed by then, if there is one; `None` when
    /// that must happen first.
    pub(in crate::state) fn snapshot_front(
        &self,
        below: Lsn,
        max_entries: usize,
        behind: Option<&Draft>,
    ) -> Option<Draft> {
        let mut draft = self.begin_draft(behind);
        let after = match behind.map(|draft| draft.nodes.last()) {
            None => StreamId::MIN,
            Some(Some(node)) if !node.stays => node.head.last,
            Some(_) => return None,
        };
        let nodes = self.tail.nodes();
        let begin = nodes.partition_point(|node| node.last() <= after);
        if nodes.get(begin).is_some_and(|node| node.first() <= after) {
            // It was taken whole, and has got more entries since.
            return None;
        }
        let mut bytes = 0;
        for (at, node) in nodes.iter().enumerate().skip(begin) {
            let is_last = at + 1 == nodes.len();
            let here = node.live_here() as usize;
            let Some(first) = node.entries().next() else {
                // Trimming left it, or all of it is settled already.
                if node.settled() > 0 && !is_last {
                    draft.push(node, 0, node.last(), false);
                }
                continue;
            };
            if first.at.lsn() >= below {
                break;
            }
            let room = max_entries.saturating_sub(draft.entries.len());
            let fits =
                EXTENT_BYTES.saturating_sub(bytes) / (node.bytes_here() / here as u64).max(1);
            let fits = usize::try_from(fits).unwrap_or(usize::MAX).min(room);
            if fits < here && !draft.entries.is_empty() {
                break;
            }
            bytes += node.bytes_here();
            if here <= fits {
                draft.push(node, here, node.last(), is_last);
            } else {
                let taken = fits.max(1);
                let last = node.entries().nth(taken - 1).expect("there are more");
                draft.push(node, taken, last.id, true);
                break;
            }
        }
        if draft.entries.is_empty() {
            return None;
        }
        let parts = self.settled.iter().filter(|_| behind.is_none());
        let parts = parts.flat_map(|settled| settled.parts.iter());
        for part in parts.rev() {
            let small = part.row().bytes < SMALL_BYTES
                && u64::from(part.live()) < 2 * draft.len()
                && u64::from(part.live()) + draft.len() <= SMALL_ENTRIES;
            if !small {
                break;
            }
            draft.parts.insert(0, part.clone());
        }
        Some(draft)
    }

    /// Takes the entries of some settled parts that follow each other: those whose extents `wanted`
    /// wants. `None` when it wants none.
    ///
    /// Goes on `behind` a draft that will have been installed by then, if there is one; `None` when
    /// that must happen first.
    pub(in crate::state) fn snapshot_parts(
        &self,
        wanted: impl Fn(&Extent) -> bool,
        behind: Option<&Draft>,
    ) -> Option<Draft> {
        let after = match behind {
            None => StreamId::MIN,
            Some(draft) if draft.nodes.is_empty() => draft.parts.last()?.row().last,
            Some(_) => return None,
        };
        let parts = &self.settled.as_ref()?.parts;
        let mut next = parts.iter();
        let mut begin = next.position(|part| part.row().last > after && wanted(part.extent()))?;
        let (mut entries, mut bytes) = (0, 0);
        let run = parts.range(begin..).take_while(|part| {
            entries += u64::from(part.live());
            bytes += part.row().bytes / u64::from(part.row().entries) * u64::from(part.live());
            wanted(part.extent()) && entries <= EXTENT_ENTRIES && bytes <= EXTENT_BYTES
        });
        let end = begin + run.count().max(1);
        // What only says how a node ends needs an entry of that node: an extent has one.
        while parts.range(begin..end).all(|part| part.live() == 0) && begin > 0 {
            begin -= 1;
        }
        Some(Draft {
            parts: parts.range(begin..end).cloned().collect(),
            ..self.begin_draft(behind)
        })
    }

    fn begin_draft(&self, behind: Option<&Draft>) -> Draft {
        Draft {
            installed: behind.map_or(self.installed, |draft| draft.installed + 1),
            parts: Vec::new(),
            nodes: Vec::new(),
            entries: Vec::new(),
        }
    }

    /// Puts the extent that was made of a draft into the place of what the draft took. Whether it
    /// did: not if another draft has been installed meanwhile.
    ///
    /// # Panics
    ///
    /// When the extent has another number of entries than the draft.
    pub(in crate::state) fn install(&mut self, draft: &Draft, extent: Arc<Extent>) -> bool {
        let entries = u64::from(extent.row.entries);
        assert_eq!(entries, draft.len(), "the draft became an extent");
        if draft.installed != self.installed {
            return false;
        }
        self.installed += 1;
        let mut install = Install::default();
        let mut at = None;
        for before in &draft.parts {
            let parts = self.settled.as_mut().map(|settled| &mut settled.parts);
            let taken = parts.and_then(|parts| {
                let first = before.row().first;
                let number = parts.partition_point(|part| part.row().first < first);
                let same = |part: &Part| Arc::ptr_eq(part.extent(), before.extent());
                parts.get(number).is_some_and(same).then(|| {
                    at.get_or_insert(number);
                    parts.remove(number).expect("it is there")
                })
            });
            install.part(before, taken.as_ref());
        }
        let left = self.tail.pop_front_without_entries();
        let mut rest = &draft.entries[..];
        for node in &draft.nodes {
            let (entries, behind) = rest.split_at(node.entries);
            rest = behind;
            let there = self.tail.nodes().front();
            match there.filter(|there| there.first() == node.head.first) {
                None => install.dead(entries.len()),
                Some(there) => {
                    install.node(there, entries);
                    // The last node stays in the tail, always; it may have got more entries, too.
                    let whole = !node.stays && there.last() == node.head.last;
                    if !whole || self.tail.nodes().len() == 1 {
                        self.tail.settle_through(node.head.last);
                    } else {
                        install.nodes += 1;
                        self.tail.settle_front();
                    }
                }
            }
        }
        let Install {
            died,
            nodes,
            moved,
            ends,
            ..
        } = install;
        let part = Part::new(extent, died, nodes);
        let gone = part.is_gone();
        match &mut self.settled {
            Some(settled) => {
                if !gone {
                    let at = at.unwrap_or(settled.parts.len());
                    settled.parts.insert(at, part);
                }
                settled.live += moved;
                settled.last = ends.map_or(settled.last, |(_, last)| last);
            }
            None => {
                let front = left.map(Box::new);
                match ends {
                    Some((first, last)) => {
                        self.settled = Some(Box::new(Settled {
                            parts: [part].into(),
                            live: moved,
                            first,
                            last,
                            front,
                        }));
                    }
                    None => front
                        .into_iter()
                        .for_each(|node| self.tail.push_front(*node)),
                }
            }
        }
        true
    }
}

impl Draft {
    fn push(&mut self, node: &Node, taken: usize, last: StreamId, stays: bool) {
        self.nodes.push(TailNode {
            head: node.head(last, count(taken)),
            entries: taken,
            stays,
        });
        self.entries.extend(node.entries().take(taken));
    }
}

/// What has become of a draft's entries.
#[derive(Default)]
struct Install {
    /// Which have died, counted from the first.
    died: RoaringBitmap,
    /// How many have been looked at.
    seen: u32,
    /// How many nodes end in the extent.
    nodes: u32,
    /// How many live entries came from the tail.
    moved: u64,
    /// The first and the last of them.
    ends: Option<(StreamId, StreamId)>,
}

impl Install {
    fn part(&mut self, before: &Part, now: Option<&Part>) {
        match now {
            Some(now) => {
                now.died_since(before, self.seen, &mut self.died);
                self.seen += before.live();
                self.nodes += now.nodes;
            }
            None => self.dead(before.live() as usize),
        }
    }

    fn dead(&mut self, entries: usize) {
        let end = self.seen + count(entries);
        self.died.insert_range(self.seen..end);
        self.seen = end;
    }

    fn node(&mut self, there: &Node, entries: &[Entry]) {
        let mut live = there.entries().map(|entry| entry.id).peekable();
        for entry in entries {
            if live.next_if_eq(&entry.id).is_some() {
                self.moved += 1;
                let first = self.ends.map_or(entry.id, |(first, _)| first);
                self.ends = Some((first, entry.id));
            } else if !sabotage::has(Bug::DeathsForgotten) {
                self.died.insert(self.seen);
            }
            self.seen += 1;
        }
    }
}
