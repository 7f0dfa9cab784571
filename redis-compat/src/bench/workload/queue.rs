//! A queue that keeps up: a flow whose stream is trimmed behind its consumers.
//!
//! ```text
//!   trimmed      | acknowledged | with a consumer      | not delivered yet
//! ---------------+--------------+----------------------+------------------>
//!        XTRIM MINID ~ id       ^ id: the oldest that anybody has
//! ```
//!
//! Invariants: nothing is trimmed that was not acknowledged; in the end, everything that was sent
//! was delivered once and acknowledged, and the stream has what was not trimmed.

use super::flow::Flow;
use crate::bench::{
    client::Client,
    entry::{self, KEY, Part},
    fault::Fault,
    load::{Outbox, Turn, Workload},
    wire::{self, Reply, Token},
};

/// Entries that are delivered from one trimming to the next.
const TRIM_EVERY: u64 = 1000;

/// The two numbers of an ID.
type Moment = (u64, u64);

/// A flow and somebody who trims.
pub(in crate::bench) struct Queue {
    flow: Flow,
    /// The oldest entry that each consumer has and has not acknowledged.
    oldest: Vec<Option<Moment>>,
    /// The last entry that was delivered.
    newest: Moment,
    added: u64,
    delivered: u64,
    acknowledged: u64,
    trimmed: u64,
    /// How many were delivered when the stream was last trimmed.
    trimmed_at: u64,
    is_trimming: bool,
    is_stopped: bool,
}

impl Queue {
    /// A flow with so many consumers, trimmed.
    pub(in crate::bench) fn new(flow: Flow, consumers: usize) -> Self {
        Self {
            flow,
            oldest: vec![None; consumers],
            newest: (0, 0),
            added: 0,
            delivered: 0,
            acknowledged: 0,
            trimmed: 0,
            trimmed_at: 0,
            is_trimming: false,
            is_stopped: false,
        }
    }

    /// How many entries went through.
    pub(in crate::bench) fn entries(&self) -> u64 {
        self.added
    }

    /// The connection of the one who trims, behind those of the flow.
    fn trimmer(&self) -> usize {
        self.flow.connections()
    }

    fn trim(&mut self, outbox: &mut Outbox) {
        let in_hand = self.oldest.iter().flatten().min();
        let (ms, seq) = in_hand.unwrap_or(&self.newest);
        let id = format!("{ms}-{seq}");
        let words: [&[u8]; 5] = [b"XTRIM", KEY, b"MINID", b"~", id.as_bytes()];
        wire::request(outbox.to(self.trimmer()), &words);
        self.trimmed_at = self.delivered;
        self.is_trimming = true;
    }

    /// Notes what a consumer is told.
    fn note(&mut self, consumer: usize, token: Token<'_>) -> Result<(), Fault> {
        match token {
            Token::Bulk { nth, bytes } if entry::part(nth) == Part::Id => {
                let id = entry::moment(bytes).ok_or(Fault::Wrong("an ID"))?;
                self.oldest[consumer].get_or_insert(id);
                self.newest = self.newest.max(id);
                self.delivered += 1;
            }
            // It comes before what is read next.
            Token::End(Reply::Integer(acknowledged)) => {
                self.oldest[consumer] = None;
                self.acknowledged += acknowledged.unsigned_abs();
            }
            Token::Bulk { .. } | Token::End(_) => {}
        }
        Ok(())
    }
}

impl Workload for Queue {
    fn connections(&self) -> usize {
        self.flow.connections() + 1
    }

    fn begin(&mut self, now: u64, outbox: &mut Outbox) {
        self.flow.begin(now, outbox);
    }

    fn tick(&mut self, now: u64, outbox: &mut Outbox) -> Option<u64> {
        self.flow.tick(now, outbox)
    }

    fn hear(&mut self, token: Token<'_>, turn: &mut Turn<'_>) -> Result<(), Fault> {
        if turn.who == self.trimmer() {
            let Token::End(Reply::Integer(trimmed)) = token else {
                return Err(Fault::Wrong("how many were trimmed"));
            };
            self.trimmed += trimmed.unsigned_abs();
            self.is_trimming = false;
            return Ok(());
        }
        match self.flow.consumer(turn.who) {
            Some(consumer) => self.note(consumer, token)?,
            None => self.added += u64::from(matches!(token, Token::End(_))),
        }
        self.flow.hear(token, turn)?;
        if !self.is_trimming && self.delivered - self.trimmed_at >= TRIM_EVERY {
            self.trim(turn.outbox);
        }
        Ok(())
    }

    fn wind_up(&mut self) -> bool {
        self.flow.stop();
        self.is_stopped = true;
        true
    }

    fn is_done(&self) -> bool {
        let sent = self.flow.sent();
        let counts = [self.added, self.delivered, self.acknowledged];
        self.is_stopped && !self.is_trimming && counts.iter().all(|&count| count >= sent)
    }

    fn check(&self, client: &mut Client) -> Result<(), Fault> {
        let sent = self.flow.sent();
        if [self.added, self.delivered, self.acknowledged] != [sent; 3] {
            return Err(Fault::Wrong("every entry to go through once"));
        }
        let length = client.call(&[b"XLEN", KEY])?.unsigned_abs();
        if length + self.trimmed == sent {
            Ok(())
        } else {
            Err(Fault::Wrong("as many entries as were not trimmed"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::{load::Rehearsal, workload::Pace};

    #[test]
    fn nothing_is_trimmed_that_a_consumer_has() {
        let mut queue = Queue::new(Flow::new(1, 2, Pace::Window(1), 100), 2);
        let mut rehearsal = Rehearsal::new(queue.connections());
        queue.begin(1, rehearsal.outbox());
        let mut deliver = |queue: &mut Queue, who, id: &str| {
            for (nth, bytes) in (0..).zip([b"s", id.as_bytes(), b"f", &entry::stamped(1)]) {
                let token = Token::Bulk { nth, bytes };
                queue.hear(token, &mut rehearsal.turn(who, 2)).unwrap();
            }
        };
        deliver(&mut queue, 1, "5-1");
        deliver(&mut queue, 2, "5-2");
        deliver(&mut queue, 1, "5-10");
        let trims = |queue: &mut Queue| {
            let mut rehearsal = Rehearsal::new(queue.connections());
            queue.trim(rehearsal.outbox());
            rehearsal.said_to(3)
        };
        assert!(trims(&mut queue).ends_with("$5\r\nMINID\r\n$1\r\n~\r\n$3\r\n5-1\r\n"));
        for (consumer, from) in [(0, "5-2"), (1, "5-10")] {
            let token = Token::End(Reply::Integer(1));
            queue.note(consumer, token).unwrap();
            assert!(
                trims(&mut queue).ends_with(&format!("\r\n{from}\r\n")),
                "{from}"
            );
        }
        assert_eq!((queue.delivered, queue.acknowledged), (3, 2));
    }
}
