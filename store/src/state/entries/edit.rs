//! What deleting or trimming does to the settled tier, worked out before anything is changed.
//!
//! All reading is done here. So a command that is about to commit makes the same plan and drops it,
//! to be sure that nothing is missing when the change is in the log.

use smallvec::SmallVec;

use super::part::Part;
use super::settled::{Gather, Held, Settled, id_at};
use super::span::{Span, first_piece, piece_of, span_of};
use super::tail::{Node, Tail};
use crate::data::{Missing, NodeHead, Reader};
use crate::id::StreamId;

/// A change of the settled tier.
pub(super) struct Plan {
    /// So many parts go from the front.
    drop: usize,
    /// Parts that become others; numbered as before.
    parts: Parts,
    /// How many entries go.
    pub(super) removed: u64,
    /// So many of them are of the node that ends in the tail.
    pub(super) of_tail: u32,
    /// The greatest ID that is deleted.
    pub(super) greatest: Option<StreamId>,
    /// The first and last live ID then; `None` when none is left.
    ends: Option<(StreamId, StreamId)>,
    /// The node in front that trimming leaves without entries.
    front: Option<Box<Node>>,
    /// The node that is the last when the tail has none any more.
    pub(super) last_node: Option<Node>,
}

type Parts = SmallVec<[(usize, Part); 2]>;

/// The settled tier as it would be.
struct Edit<'a> {
    settled: &'a Settled,
    reader: &'a Reader<'a>,
    drop: usize,
    parts: Parts,
}

impl Settled {
    /// Makes the change; whether anything is left. The node in front is to be moved to the tail
    /// otherwise.
    pub(super) fn change(&mut self, plan: Plan) -> bool {
        let mut gone = 0;
        for (at, part) in plan.parts {
            gone += usize::from(part.is_gone());
            self.parts[at] = part;
        }
        if gone > 0 {
            self.parts.retain(|part| !part.is_gone());
        }
        self.parts.drain(..plan.drop);
        self.live -= plan.removed;
        self.front = plan.front;
        if let Some((first, last)) = plan.ends {
            (self.first, self.last) = (first, last);
        }
        plan.ends.is_some()
    }

    /// What deleting `ids` does, which ascend, lie up to the last live one, and may be unknown.
    /// With `tail_empties`, the tail loses all of its own entries in the same change.
    pub(super) fn plan_delete(
        &self,
        reader: &Reader<'_>,
        tail: &Tail,
        ids: &[StreamId],
        tail_empties: bool,
    ) -> Result<Plan, Missing> {
        let mut edit = Edit::new(self, reader);
        let in_tail = tail.continued().map_or(StreamId::MAX, Node::first);
        let mut targets: SmallVec<[(StreamId, usize, u32); 8]> = SmallVec::new();
        let mut gather = Gather::default();
        for &id in ids {
            if let Some(Some((at, _, ordinal))) = gather.or_missing(self.find(reader, id))? {
                targets.push((id, at, ordinal));
            }
        }
        gather.finish()?;
        for &(_, at, ordinal) in &targets {
            edit.part_mut(at).delete(ordinal);
        }
        let mut of_tail = 0;
        let mut looked_at = None;
        for &(id, at, ordinal) in &targets {
            if id >= in_tail {
                of_tail += 1;
            } else if looked_at.is_none_or(|last| id > last) {
                let piece = piece_of(reader, edit.at(at), ordinal)?;
                looked_at = Some(piece.head.last);
                if edit.at(at).live_in(piece.ordinals) == 0 {
                    let span = edit.span(at, ordinal)?;
                    looked_at = Some(span.head.last);
                    if span.live == 0 {
                        edit.part_mut(span.end_part()).nodes -= 1;
                    }
                }
            }
        }
        let continued = tail.continued().map_or(0, Node::settled);
        let last_node = if tail_empties && continued == of_tail {
            edit.take_last_node()?
        } else {
            None
        };
        let hit = |id| targets.binary_search_by_key(&id, |&(id, ..)| id).is_ok();
        let ends = edit.ends(hit(self.first), hit(self.last))?;
        Ok(Plan {
            drop: 0,
            removed: targets.len() as u64,
            of_tail,
            greatest: targets.last().map(|&(id, ..)| id),
            ends,
            front: self.front.clone(),
            last_node,
            parts: edit.parts,
        })
    }

    /// What deleting all entries up to `through` does. `None` when that is nothing.
    pub(super) fn plan_trim(
        &self,
        reader: &Reader<'_>,
        tail: &Tail,
        through: StreamId,
    ) -> Result<Option<Plan>, Missing> {
        let front_stays = self
            .front
            .as_ref()
            .is_some_and(|node| node.last() > through);
        if through < self.first {
            if front_stays || self.front.is_none() {
                return Ok(None);
            }
            return Ok(Some(Plan {
                drop: 0,
                parts: Parts::new(),
                removed: 0,
                of_tail: 0,
                greatest: None,
                ends: Some((self.first, self.last)),
                front: None,
                last_node: None,
            }));
        }
        // Here the node in front goes: live entries come behind its last ID.
        let mut edit = Edit::new(self, reader);
        let drop = self
            .parts
            .iter()
            .take_while(|part| part.row().end <= through)
            .count();
        let mut removed: u64 = self
            .parts
            .range(..drop)
            .map(|part| u64::from(part.live()))
            .sum();
        let cut = match self.parts.get(drop) {
            Some(part) => ordinal_behind(reader, part, through)?,
            None => 0,
        };
        let straddling = edit.straddling(tail, drop, cut, through)?;
        let touched = |part: &Part| cut > 0 || part.row().continues;
        if self.parts.get(drop).is_some_and(touched) {
            let mut passed = edit.nodes_passed(drop, cut, through)?;
            if let Some((head, span)) = edit.goes_on(tail, drop, cut)? {
                // It was taken for one that ends here.
                passed -= u32::from(head.last <= through);
                let end = span.end_part();
                edit.part_mut(end).nodes -= u32::from(end > drop && span.head.last <= through);
            }
            let part = edit.part_mut(drop);
            part.nodes -= passed;
            removed += u64::from(part.delete_before(cut));
        }
        edit.drop = drop;
        let mut front = None;
        if let Some(span) = straddling {
            let live = edit.live_of(&span);
            if live == 0 {
                edit.part_mut(span.end_part()).nodes -= 1;
                front = Some(Box::new(Node::without_slots(&span.head, span.ever, 0)));
            }
        }
        let left = self.live - removed;
        let continued = u64::from(tail.continued().map_or(0, Node::settled));
        let of_tail = continued - continued.min(left);
        let ends = edit.ends(true, left == 0)?;
        Ok(Some(Plan {
            drop,
            parts: edit.parts,
            removed,
            of_tail: u32::try_from(of_tail).expect("no more than there were"),
            greatest: None,
            ends,
            front,
            last_node: None,
        }))
    }
}

/// How many entries of an extent have IDs up to `through`.
pub(super) fn ordinal_behind(
    reader: &Reader<'_>,
    part: &Part,
    through: StreamId,
) -> Result<u32, Missing> {
    if through < part.row().first {
        return Ok(0);
    }
    if through >= part.row().last {
        return Ok(part.row().entries);
    }
    let index = reader.index(part.extent())?;
    let behind = through.next().expect("there is an entry behind");
    let number = index.seek(behind);
    let row = &index.rows()[number];
    if behind <= row.first {
        return Ok(row.ordinal);
    }
    let held = Held::number(reader, part, index, number)?;
    Ok(held.pinned.block.seek(behind))
}

impl<'a> Edit<'a> {
    fn new(settled: &'a Settled, reader: &'a Reader<'_>) -> Self {
        Self {
            settled,
            reader,
            drop: 0,
            parts: Parts::new(),
        }
    }

    fn get(&self, at: usize) -> Option<&Part> {
        if at < self.drop {
            return None;
        }
        let changed = self.parts.iter().find(|(number, _)| *number == at);
        match changed {
            Some((_, part)) => Some(part),
            None => self.settled.parts.get(at),
        }
    }

    fn at(&self, at: usize) -> &Part {
        self.get(at).expect("an entry is in a part")
    }

    fn part_mut(&mut self, at: usize) -> &mut Part {
        let known = self.parts.iter().position(|(number, _)| *number == at);
        let known = known.unwrap_or_else(|| {
            self.parts.push((at, self.settled.parts[at].clone()));
            self.parts.len() - 1
        });
        &mut self.parts[known].1
    }

    fn span(&self, at: usize, ordinal: u32) -> Result<Span, Missing> {
        span_of(self.reader, |at| self.get(at), (at, ordinal))
    }

    fn live_of(&self, span: &Span) -> u32 {
        let parts = span.ranges.iter();
        parts
            .filter_map(|(at, ordinals)| Some(self.get(*at)?.live_in(ordinals.clone())))
            .sum()
    }

    /// The last live entry before this one: its part and ordinal.
    fn live_before(&self, at: usize, ordinal: u32) -> Option<(usize, u32)> {
        let here = self.get(at).and_then(|part| part.prev_live(ordinal));
        if let Some(ordinal) = here {
            return Some((at, ordinal));
        }
        (self.drop..at)
            .rev()
            .find_map(|at| Some((at, self.at(at).prev_live(u32::MAX)?)))
    }

    /// The node, ending in a part, that has entries up to `through` and ends behind it. The cut is
    /// at `ordinal` of part `at`.
    fn straddling(
        &self,
        tail: &Tail,
        at: usize,
        ordinal: u32,
        through: StreamId,
    ) -> Result<Option<Span>, Missing> {
        let Some(here) = self.get(at) else {
            // Everything goes, and everything ends up to `through`.
            return Ok(None);
        };
        let row = here.row();
        if ordinal == 0 && !row.continues {
            return Ok(None);
        }
        let Some((last_at, last)) = self.live_before(at, ordinal) else {
            return Ok(None);
        };
        if last_at < at && !row.continues {
            return Ok(None);
        }
        if let Some(node) = tail.continued()
            && id_at(self.reader, self.at(last_at), last)? >= node.first()
        {
            return Ok(None);
        }
        let span = self.span(last_at, last)?;
        Ok(Some(span).filter(|span| span.head.last > through))
    }

    /// How many visible nodes end in part `at`, up to `through`, which has `ordinal` entries there.
    /// Counts one that [goes on](Self::goes_on) as if it did not.
    fn nodes_passed(&self, at: usize, ordinal: u32, through: StreamId) -> Result<u32, Missing> {
        let part = self.at(at);
        // Of the node in front, entries may be live in the parts before.
        let mut alive = false;
        let index = self.reader.index(part.extent())?;
        let rows = index.rows();
        if rows[0].continues
            && let Some((before, last)) = self.live_before(at, 0)
        {
            let first = first_piece(self.reader, part)?.head.first;
            alive = piece_of(self.reader, self.at(before), last)?.head.first == first;
        }
        let mut passed = 0;
        let mut gather = Gather::default();
        for (number, row) in rows.iter().enumerate() {
            let live = part.live_in(row.ordinals());
            if row.ordinal > ordinal || (row.ordinal == ordinal && !alive) {
                break;
            }
            if live == 0 && !alive {
                continue;
            }
            let cut = rows.get(number + 1).is_some_and(|row| row.continues);
            // Only the first piece of an extent can be without entries, when it goes on.
            let plain = live == row.entries && !(number == 0 && row.continues);
            if plain && row.end <= through {
                passed += row.nodes - u32::from(cut);
                alive = cut;
                continue;
            }
            let block = self.reader.block(part.extent(), &index, number);
            let Some(pinned) = gather.or_missing(block)? else {
                continue;
            };
            let pieces = pinned.block.pieces();
            for (at, piece) in pieces.iter().enumerate() {
                let continues = at == 0 && row.continues;
                alive = (alive && continues) || part.live_in(piece.entries.clone()) > 0;
                let ends = !(cut && at + 1 == pieces.len());
                if ends {
                    passed += u32::from(alive && piece.head.last <= through);
                    alive = false;
                }
            }
        }
        gather.finish()?;
        Ok(passed)
    }

    /// The node that goes on behind part `at`, if it has the last live entry there, and that is
    /// before `ordinal`; with what its piece in the part says.
    fn goes_on(
        &self,
        tail: &Tail,
        at: usize,
        ordinal: u32,
    ) -> Result<Option<(NodeHead, Span)>, Missing> {
        let part = self.at(at);
        let Some(last) = part.prev_live(u32::MAX).filter(|&last| last < ordinal) else {
            return Ok(None);
        };
        let head = piece_of(self.reader, part, last)?.head;
        let in_tail = tail.continued();
        let in_tail = in_tail.is_some_and(|node| node.first() == head.first);
        let span = self.span(at, last)?;
        Ok((in_tail || span.end_part() > at).then_some((head, span)))
    }

    /// The last node of which something is live, for the tail to keep: it does not end here then.
    fn take_last_node(&mut self) -> Result<Option<Node>, Missing> {
        let Some((at, ordinal)) = self.live_before(self.settled.parts.len(), 0) else {
            return Ok(None);
        };
        let span = self.span(at, ordinal)?;
        self.part_mut(span.end_part()).nodes -= 1;
        Ok(Some(Node::without_slots(&span.head, span.ever, span.live)))
    }

    /// The first and the last live ID; those that have not changed are known.
    fn ends(
        &self,
        first_changed: bool,
        last_changed: bool,
    ) -> Result<Option<(StreamId, StreamId)>, Missing> {
        let all = self.drop..self.settled.parts.len();
        let first = all.clone().find_map(|at| {
            let part = self.at(at);
            Some((part, part.next_live(0)?))
        });
        let Some((first_part, first)) = first else {
            return Ok(None);
        };
        let first = if first_changed {
            id_at(self.reader, first_part, first)?
        } else {
            self.settled.first
        };
        let last = if last_changed {
            let (at, ordinal) = self
                .live_before(all.end, 0)
                .expect("what has a first has a last");
            id_at(self.reader, self.at(at), ordinal)?
        } else {
            self.settled.last
        };
        Ok(Some((first, last)))
    }
}
