//! Consumers that take a backlog, look at every entry, acknowledge it, and end with the last.
//!
//! The entries are numbered ([`crate::bench::values`]). Each must come, once, with its own value.
//! An operation is an XREADGROUP with the XACK of what it brought.

use super::consumer::Consumer;
use crate::bench::{
    client::Client,
    entry::{self, Part},
    fault::Fault,
    load::{Outbox, Turn, Workload},
    seen::Seen,
    values::Values,
    wire::Token,
};
use std::ops::Range;

/// Consumers of a backlog.
pub(in crate::bench) struct Drain<'a> {
    values: &'a Values,
    /// The numbers of the backlog.
    numbers: Range<u64>,
    seen: Seen,
    lanes: Vec<Lane>,
    /// Those that have found nothing more.
    dry: usize,
}

struct Lane {
    consumer: Consumer,
    /// The entry whose value comes next.
    number: u64,
}

impl<'a> Drain<'a> {
    /// `consumers` that take `count` entries at a time of a backlog of these numbers.
    pub(in crate::bench) fn new(
        values: &'a Values,
        numbers: Range<u64>,
        consumers: usize,
        count: usize,
    ) -> Self {
        let lane = |number| Lane {
            consumer: Consumer::new(number, count, false),
            number: 0,
        };
        Self {
            values,
            seen: Seen::none(numbers.end - numbers.start),
            numbers,
            lanes: (0..consumers).map(lane).collect(),
            dry: 0,
        }
    }
}

impl Workload for Drain<'_> {
    fn connections(&self) -> usize {
        self.lanes.len()
    }

    fn begin(&mut self, now: u64, outbox: &mut Outbox) {
        for (who, lane) in self.lanes.iter_mut().enumerate() {
            lane.consumer.speak(now, outbox.to(who));
        }
    }

    fn hear(&mut self, token: Token<'_>, turn: &mut Turn<'_>) -> Result<(), Fault> {
        let lane = &mut self.lanes[turn.who];
        if let Token::Bulk { nth, bytes } = token {
            match entry::part(nth) {
                Part::Id => {
                    let number = entry::number(bytes).ok_or(Fault::Wrong("the ID of a number"))?;
                    let place = number.checked_sub(self.numbers.start);
                    let place = place.ok_or(Fault::Wrong("nothing from before the backlog"))?;
                    if !self.seen.note(place)? {
                        return Err(Fault::Wrong("every entry to be delivered once"));
                    }
                    lane.number = number;
                }
                Part::Value if !self.values.is(bytes, lane.number) => {
                    return Err(Fault::Wrong("the value that was put there"));
                }
                Part::Field | Part::Key | Part::Value => {}
            }
        }
        match lane.consumer.hear(token)? {
            None => {}
            Some(0) => self.dry += 1,
            Some(entries) => {
                let nanos = turn.now - lane.consumer.sent_at;
                turn.tally.done(entries as u64, nanos);
                lane.consumer.speak(turn.now, turn.outbox.to(turn.who));
            }
        }
        Ok(())
    }

    fn is_done(&self) -> bool {
        self.dry == self.lanes.len()
    }

    /// All have come, and nothing is pending: each was acknowledged, or a consumer had told.
    fn check(&self, _: &mut Client) -> Result<(), Fault> {
        if self.is_done() && self.seen.is_all() {
            Ok(())
        } else {
            Err(Fault::Wrong("every entry of the backlog"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::{load::Rehearsal, wire::Reply};

    fn hear(drain: &mut Drain<'_>, words: &[&[u8]]) -> Result<(), Fault> {
        let mut rehearsal = Rehearsal::new(drain.connections());
        drain.begin(1, rehearsal.outbox());
        for (nth, bytes) in (0..).zip(words.iter().copied()) {
            drain.hear(Token::Bulk { nth, bytes }, &mut rehearsal.turn(0, 2))?;
        }
        let bulks = u32::try_from(words.len()).unwrap();
        drain.hear(Token::End(Reply::Bulks(bulks)), &mut rehearsal.turn(0, 2))
    }

    #[test]
    fn an_entry_must_be_of_the_backlog_and_come_once_with_its_value() {
        let values = Values::new(100, 1);
        let (id, value) = (entry::id(7), values.of(7));
        let (other_id, other) = (entry::id(8), values.of(8));
        let first: [&[u8]; 4] = [b"s", id.as_bytes(), b"f", &value];
        let wrong: [&[u8]; 4] = [b"s", id.as_bytes(), b"f", &other];
        let beyond: [&[u8]; 4] = [b"s", other_id.as_bytes(), b"f", &other];
        let drain = || Drain::new(&values, 7..8, 1, 100);
        assert!(hear(&mut drain(), &wrong).is_err());
        assert!(hear(&mut drain(), &beyond).is_err());
        let mut drain = drain();
        hear(&mut drain, &first).unwrap();
        assert!(drain.seen.is_all() && !drain.is_done());
        assert!(hear(&mut drain, &first).is_err());
    }
}
