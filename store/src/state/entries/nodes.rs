//! The nodes of a stream as trimming sees them, oldest first, wherever their entries are.

use std::cmp::Ordering;

use super::Entries;
use super::edit::ordinal_behind;
use super::settled::{Settled, id_at};
use super::span::{Span, span_of};
use super::tail::Node;
use crate::data::{Missing, Reader};
use crate::id::StreamId;
use crate::state::listpack::integer_bytes;

/// One node, to be looked at.
pub(in crate::state) enum NodeView<'a> {
    /// One that ends in the settled tier.
    Settled(Span),
    /// One that ends in the tail.
    Tail(&'a Node),
}

impl NodeView<'_> {
    /// The first ID ever in it.
    pub(in crate::state) fn first(&self) -> StreamId {
        match self {
            Self::Settled(span) => span.head.first,
            Self::Tail(node) => node.first(),
        }
    }

    /// The last ID ever in it.
    pub(in crate::state) fn last(&self) -> StreamId {
        match self {
            Self::Settled(span) => span.head.last,
            Self::Tail(node) => node.last(),
        }
    }

    pub(in crate::state) fn live(&self) -> u64 {
        match self {
            Self::Settled(span) => span.live.into(),
            Self::Tail(node) => node.live(),
        }
    }

    pub(in crate::state) fn deleted(&self) -> u64 {
        match self {
            Self::Settled(span) => (span.ever - span.live).into(),
            Self::Tail(node) => node.deleted(),
        }
    }

    pub(in crate::state) fn listpack_bytes(&self) -> u64 {
        match self {
            Self::Settled(span) => {
                span.head.bytes + integer_bytes(self.live()) + integer_bytes(self.deleted())
            }
            Self::Tail(node) => node.listpack_bytes(),
        }
    }
}

/// Some entries of a node, from its front.
#[derive(Copy, Clone, Debug)]
pub(in crate::state) enum Take {
    /// So many live ones: at least one, and fewer than there are.
    Count(u64),
    /// Those with smaller IDs.
    Below(StreamId),
}

/// How far nodes can be passed over without looking at them.
pub(in crate::state) struct Skipped {
    /// How many live entries they have.
    pub(in crate::state) live: u64,
    /// They all end here or before, and no other ends or begins up to here; `0-0` when there are
    /// none.
    pub(in crate::state) through: StreamId,
    /// Part and ordinal behind them.
    next: (usize, u32),
}

impl Entries {
    /// Whether something is settled.
    pub(in crate::state) fn has_settled(&self) -> bool {
        self.settled.is_some()
    }

    /// The node that trimming has left without entries, if it comes before settled ones.
    pub(in crate::state) fn front(&self) -> Option<NodeView<'_>> {
        let front = self.settled.as_ref()?.front.as_ref()?;
        Some(NodeView::Tail(front))
    }

    /// Passes over nodes that end in the settled tier, whole blocks and extents at a time, as long
    /// as `fits` says that so many entries can be passed over and that all nodes that end up to
    /// some ID can.
    ///
    /// # Panics
    ///
    /// When nothing is settled.
    pub(in crate::state) fn skip(
        &self,
        reader: &Reader<'_>,
        fits: impl Fn(u64, StreamId) -> bool,
    ) -> Result<Skipped, Missing> {
        let settled = self.settled.as_ref().expect("something is settled");
        let mut skipped = Skipped {
            live: 0,
            through: StreamId::MIN,
            next: (0, 0),
        };
        let pass = |skipped: &mut Skipped, live: u32, end, next| {
            let live = skipped.live + u64::from(live);
            let does = fits(live, end);
            if does {
                *skipped = Skipped {
                    live,
                    through: end,
                    next,
                };
            }
            does
        };
        let mut parts = settled.parts.iter().enumerate();
        let stop =
            parts.find(|(at, part)| !pass(&mut skipped, part.live(), part.row().end, (at + 1, 0)));
        if let Some((at, part)) = stop {
            let index = reader.index(part.extent())?;
            for row in index.rows() {
                let next = (at, row.ordinals().end);
                let live = part.live_in(row.ordinals());
                if !pass(&mut skipped, live, row.end, next) {
                    break;
                }
            }
        }
        let in_tail = self.tail.continued();
        // What is settled of a node that ends in the tail is the last.
        let others = settled.live - u64::from(in_tail.map_or(0, Node::settled));
        if let Some(node) = in_tail.filter(|_| skipped.live > others) {
            skipped.live = others;
            skipped.through = before(node.first());
        } else if skipped.through > StreamId::MIN
            && let Some(span) = settled.cut(reader, &skipped)?
        {
            skipped.live -= u64::from(settled.live_of(&span, skipped.next));
            skipped.through = before(span.head.first);
            skipped.next = span.start();
        }
        Ok(skipped)
    }

    /// The nodes that end in the settled tier, behind those that were passed over.
    pub(in crate::state) fn settled_nodes<'a>(
        &'a self,
        reader: &'a Reader<'_>,
        skipped: &Skipped,
    ) -> impl Iterator<Item = Result<Span, Missing>> + use<'a> {
        let mut next = Some(skipped.next);
        std::iter::from_fn(move || {
            let settled = self.settled.as_ref()?;
            let begin = settled.live_from(next.take()?)?;
            match settled.span(reader, begin) {
                Ok(span) if self.ends_in_tail(&span) => None,
                Ok(span) => {
                    next = Some(span.end());
                    Some(Ok(span))
                }
                Err(missing) => Some(Err(missing)),
            }
        })
    }

    /// The nodes that end in the tail.
    pub(in crate::state) fn tail_nodes(&self) -> impl ExactSizeIterator<Item = &Node> {
        self.tail.nodes().iter()
    }

    /// All nodes.
    pub(in crate::state) fn nodes<'a>(
        &'a self,
        reader: &'a Reader<'_>,
    ) -> impl Iterator<Item = Result<NodeView<'a>, Missing>> {
        const ALL: Skipped = Skipped {
            live: 0,
            through: StreamId::MIN,
            next: (0, 0),
        };
        let settled = self.settled_nodes(reader, &ALL);
        let settled = settled.map(|span| Ok(NodeView::Settled(span?)));
        let tail = self.tail_nodes().map(|node| Ok(NodeView::Tail(node)));
        self.front().map(Ok).into_iter().chain(settled).chain(tail)
    }

    fn ends_in_tail(&self, span: &Span) -> bool {
        let node = self.tail.continued();
        node.is_some_and(|node| node.first() == span.head.first)
    }

    /// How many live entries `take` takes of a settled node, and the last of them.
    pub(in crate::state) fn take_settled(
        &self,
        reader: &Reader<'_>,
        span: &Span,
        take: Take,
    ) -> Result<Option<(u64, StreamId)>, Missing> {
        let Some(settled) = &self.settled else {
            return Ok(None);
        };
        match take {
            Take::Count(count) => {
                let mut left = count;
                for (at, ordinals) in &span.ranges {
                    let part = &settled.parts[*at];
                    let live = part.live_in(ordinals.clone());
                    if left <= live.into() {
                        let before = u32::try_from(left - 1).expect("it is below the count");
                        let ordinal = part.nth_live(ordinals.start, before);
                        let ordinal = ordinal.expect("there are enough");
                        return Ok(Some((count, id_at(reader, part, ordinal)?)));
                    }
                    left -= u64::from(live);
                }
                Ok(None)
            }
            Take::Below(min) => {
                let Some(through) = min.prev() else {
                    return Ok(None);
                };
                let mut count = 0;
                let mut last = None;
                for (at, ordinals) in &span.ranges {
                    let part = &settled.parts[*at];
                    let end = ordinal_behind(reader, part, through)?.min(ordinals.end);
                    let live = part.live_in(ordinals.start..end);
                    if live > 0 {
                        count += u64::from(live);
                        last = part.prev_live(end).map(|ordinal| (part, ordinal));
                    }
                }
                match last {
                    Some((part, ordinal)) => Ok(Some((count, id_at(reader, part, ordinal)?))),
                    None => Ok(None),
                }
            }
        }
    }

    /// How many live entries `take` takes of a node that ends in the tail, and the last of them.
    pub(in crate::state) fn take_tail(
        &self,
        reader: &Reader<'_>,
        node: &Node,
        take: Take,
    ) -> Result<Option<(u64, StreamId)>, Missing> {
        let settled = u64::from(node.settled());
        let mut taken = None;
        if let Some(tier) = self.settled.as_ref().filter(|_| settled > 0) {
            let last = tier.live_before((tier.parts.len(), 0));
            let span = tier.span(reader, last.expect("something is live"))?;
            let take = match take {
                Take::Count(count) => Take::Count(count.min(settled)),
                below @ Take::Below(_) => below,
            };
            taken = self.take_settled(reader, &span, take)?;
            if taken.is_none_or(|(count, _)| count < settled) {
                return Ok(taken);
            }
        }
        let here = node.entries().map(|entry| entry.id).zip(settled + 1..);
        let here = here.take_while(|&(id, count)| match take {
            Take::Count(most) => count <= most,
            Take::Below(min) => id < min,
        });
        Ok(here.last().map(|(id, count)| (count, id)).or(taken))
    }
}

/// The ID before one that an entry has.
fn before(id: StreamId) -> StreamId {
    id.prev().expect("no entry has the smallest ID")
}

impl Settled {
    /// The node of which a part was passed over, and not all.
    fn cut(&self, reader: &Reader<'_>, skipped: &Skipped) -> Result<Option<Span>, Missing> {
        if let Some(behind) = self.live_from(skipped.next) {
            // What was passed of it may be dead.
            let span = self.span(reader, behind)?;
            if span.head.first <= skipped.through {
                return Ok(Some(span));
            }
        }
        if let Some((at, ordinal)) = self.live_before(skipped.next) {
            // What was not may be dead, too, and still say how the node ends.
            let next = self.parts.get(at + 1);
            if next.is_some_and(|next| next.row().continues)
                && self.parts[at].live_in(ordinal + 1..u32::MAX) == 0
            {
                let span = self.span(reader, (at, ordinal))?;
                return Ok(Some(span).filter(|span| span.head.last > skipped.through));
            }
        }
        Ok(None)
    }

    /// How many entries of a node are live before part and ordinal.
    fn live_of(&self, span: &Span, (at, ordinal): (usize, u32)) -> u32 {
        let lives = span.ranges.iter().map(|(part, ordinals)| {
            let end = match part.cmp(&at) {
                Ordering::Less => ordinals.end,
                Ordering::Equal => ordinals.end.min(ordinal),
                Ordering::Greater => 0,
            };
            self.parts[*part].live_in(ordinals.start..end)
        });
        lives.sum()
    }

    /// The node that has a live entry: its part and ordinal.
    pub(super) fn span(&self, reader: &Reader<'_>, at: (usize, u32)) -> Result<Span, Missing> {
        span_of(reader, |at| self.parts.get(at), at)
    }

    /// The last live entry before part and ordinal.
    pub(super) fn live_before(&self, (at, ordinal): (usize, u32)) -> Option<(usize, u32)> {
        let here = self.parts.get(at).and_then(|part| part.prev_live(ordinal));
        here.map(|ordinal| (at, ordinal)).or_else(|| {
            let mut before = self.parts.iter().enumerate().take(at).rev();
            before.find_map(|(at, part)| Some((at, part.prev_live(u32::MAX)?)))
        })
    }

    /// The first live entry from part and ordinal on.
    pub(super) fn live_from(&self, (at, ordinal): (usize, u32)) -> Option<(usize, u32)> {
        let here = self.parts.get(at).and_then(|part| part.next_live(ordinal));
        here.map(|ordinal| (at, ordinal)).or_else(|| {
            let mut behind = self.parts.iter().enumerate().skip(at + 1);
            behind.find_map(|(at, part)| Some((at, part.next_live(0)?)))
        })
    }
}
