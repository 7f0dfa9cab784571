//! Makes up what is asked next, so that every command meets the traces of the others.

use super::id::Id;
use super::model::Stream;
use super::op::{CONSUMERS, GROUPS, Keep, NewId, Op, Trim};
use crate::chance::Chance;

/// Commands that are sent together.
#[derive(Clone, Debug)]
pub(super) struct Pipeline {
    pub(super) ops: Vec<Op>,
    /// Between MULTI and EXEC: all of it is done, or nothing.
    pub(super) atomic: bool,
}

/// Makes up pipelines.
pub(super) struct Author {
    chance: Chance,
    /// Whether consumers read again what is pending for them.
    history: bool,
}

impl Author {
    pub(super) fn new(seed: u64, history: bool) -> Self {
        Self {
            chance: Chance::new(seed),
            history,
        }
    }

    /// One of `count` streams: half of the time the first, which is the large one.
    pub(super) fn stream(&mut self, count: usize) -> usize {
        if self.chance.once_in(2) {
            0
        } else {
            self.number(count as u64)
        }
    }

    /// What to ask of a stream that is to hold about `target` entries at most. New entries are
    /// numbered from `serial` on.
    ///
    /// Two rules make the outcome clear even if the server dies before it answers. IDs that the
    /// server chooses are asked for only where nothing goes: so they can be seen afterwards. And
    /// what trims approximately comes last: so what is missing at the front is missing by it.
    pub(super) fn pipeline(&mut self, model: &Stream, target: usize, serial: u64) -> Pipeline {
        let absent = model.groups.len()..GROUPS;
        let mut ops: Vec<Op> = absent.map(|group| Op::Create { group }).collect();
        if ops.is_empty() {
            if self.chance.once_in(if target > 1000 { 3000 } else { 200 }) {
                ops.push(Op::DropStream);
            } else if model.entries.len() > target {
                self.shorten(&mut ops, model);
            } else if self.chance.once_in(3) {
                self.additions(&mut ops, serial);
            } else {
                self.mixture(&mut ops, model, serial);
            }
        }
        Pipeline {
            atomic: self.chance.once_in(6),
            ops,
        }
    }

    /// Only new entries, with IDs that the server makes.
    fn additions(&mut self, ops: &mut Vec<Op>, serial: u64) {
        let count = self.chance.one_of(&[1, 1, 1, 5, 20, 100]);
        ops.extend((serial..serial + count).map(|serial| Op::Add {
            id: NewId::Auto,
            serial,
            trim: None,
        }));
    }

    /// A few commands of any kind.
    fn mixture(&mut self, ops: &mut Vec<Op>, model: &Stream, mut serial: u64) {
        let mut last = model.last;
        for _ in 0..=self.chance.below(6) {
            let op = self.command(model, &mut last, &mut serial);
            ops.push(op);
        }
        if self.chance.once_in(10) {
            let keep = self.most(model);
            if self.chance.once_in(2) {
                let (id, _) = self.new_id(last);
                let trim = Some(approximate(keep));
                ops.push(Op::Add { id, serial, trim });
                ops.push(Op::Length);
            } else {
                ops.push(Op::Trim(approximate(keep)));
            }
        }
    }

    /// Cuts a stream that has become too long.
    fn shorten(&mut self, ops: &mut Vec<Op>, model: &Stream) {
        let half = model.entries.len() / 2;
        let keep = self.keep(model, half);
        ops.push(Op::Trim(if self.chance.once_in(2) {
            approximate(keep)
        } else {
            exact(keep)
        }));
    }

    /// `last` and `serial` are the ID and the number of the last entry and the next one, once the
    /// commands before are done.
    fn command(&mut self, model: &Stream, last: &mut Id, serial: &mut u64) -> Op {
        let group = self.number(GROUPS as u64);
        let consumer = self.consumer();
        let pending = &model.groups[group].pending;
        match self.chance.below(100) {
            0..20 => {
                let (id, becomes) = self.new_id(*last);
                *last = becomes;
                *serial += 1;
                let trim = self.chance.once_in(20).then(|| exact(self.most(model)));
                Op::Add {
                    id,
                    serial: *serial - 1,
                    trim,
                }
            }
            20..45 => Op::Read {
                group,
                consumer,
                count: self.chance.one_of(&[1, 10, 100, 300]),
                no_ack: self.chance.once_in(15),
            },
            45..62 => Op::Ack {
                group,
                ids: self.ids(|from| pending.range(from..).map(|(id, _)| *id)),
            },
            62..68 => Op::Claim {
                group,
                consumer,
                ids: self.ids(|from| pending.range(from..).map(|(id, _)| *id)),
                just_id: self.chance.once_in(4),
            },
            68..73 => Op::AutoClaim {
                group,
                consumer,
                start: self.place(model),
                count: self.chance.one_of(&[1, 10, 100]),
                just_id: self.chance.once_in(4),
            },
            73..79 if self.history => Op::History {
                group,
                consumer,
                after: self.place(model),
                count: self.chance.one_of(&[1, 10, 100]),
            },
            79..82 => Op::Delete {
                ids: self.ids(|from| model.entries.range(from..).map(|(id, _)| *id)),
            },
            82..83 => Op::Trim(exact(self.most(model))),
            83..97 => Op::Range {
                from: self.place(model),
                to: self.place(model),
                reversed: self.chance.once_in(2),
                count: self.chance.one_of(&[1, 10, 100]),
            },
            97..98 if self.chance.once_in(10) => Op::DropConsumer { group, consumer },
            _ => Op::Length,
        }
    }

    /// A wish for an ID behind `last` whose outcome is known, and the outcome.
    fn new_id(&mut self, last: Id) -> (NewId, Id) {
        let ms = last.ms.max(1) + self.chance.below(3);
        match last.next_within(ms) {
            Some(becomes) if self.chance.once_in(2) => (NewId::Within(ms), becomes),
            _ => {
                let id = Id {
                    ms,
                    seq: last.seq + 1 + self.chance.below(3),
                };
                (NewId::Exact(id), id)
            }
        }
    }

    /// Some of what there is behind a place, neighbours mostly, and sometimes what there is not.
    fn ids<I: Iterator<Item = Id>>(&mut self, behind: impl Fn(Id) -> I) -> Vec<Id> {
        let start = match (behind(Id::ZERO).next(), self.chance.once_in(3)) {
            // Old ones first, as consumers do.
            (Some(first), false) => first,
            (Some(first), true) => self.near(first, first),
            (None, _) => Id { ms: 1, seq: 1 },
        };
        let count = self.chance.one_of(&[1, 3, 30, 100, 300]);
        let step = self.chance.one_of(&[1, 1, 2, 5]);
        let mut ids: Vec<Id> = behind(start).step_by(step).take(count).collect();
        if ids.is_empty() || self.chance.once_in(10) {
            ids.push(start.after());
        }
        ids
    }

    /// A place in the stream, or just outside.
    fn place(&mut self, model: &Stream) -> Id {
        let first = model.entries.first_key_value();
        let first = first.map_or(Id::ZERO, |(id, _)| *id);
        match self.chance.below(4) {
            0 => Id::ZERO,
            1 => model.last,
            _ => self.near(first, model.last),
        }
    }

    fn near(&mut self, first: Id, last: Id) -> Id {
        let width = last.ms.saturating_sub(first.ms) + 2;
        Id {
            ms: first.ms + self.chance.below(width),
            seq: self.chance.below(4),
        }
    }

    /// Leaves nearly all.
    fn most(&mut self, model: &Stream) -> Keep {
        let length = model.entries.len();
        self.keep(model, length - length / 30)
    }

    /// Leaves `least` entries or more.
    fn keep(&mut self, model: &Stream, least: usize) -> Keep {
        let length = model.entries.len();
        let newest = least + self.number((length - least) as u64 + 1);
        match model.entries.keys().nth(length - newest) {
            Some(id) if self.chance.once_in(2) => Keep::From(*id),
            _ => Keep::Newest(newest),
        }
    }

    fn consumer(&mut self) -> u8 {
        let number = self.chance.below(u64::from(CONSUMERS));
        u8::try_from(number).expect("few consumers")
    }

    fn number(&mut self, below: u64) -> usize {
        usize::try_from(self.chance.below(below)).expect("a small number")
    }
}

fn approximate(keep: Keep) -> Trim {
    Trim {
        keep,
        approximately: true,
    }
}

fn exact(keep: Keep) -> Trim {
    Trim {
        keep,
        approximately: false,
    }
}
