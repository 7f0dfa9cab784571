//! One producer and many who wait with XREAD BLOCK: each entry goes to all.
//!
//! An operation is one entry delivered to one reader; its latency counts from the sending of the
//! entry. The next entry is sent when every reader has the last one, so that each delivery is the
//! waking of one who waits. A reader goes on from the ID it has seen, as a careful client does;
//! `$` would lose what comes in between.

use crate::bench::{
    entry::{self, KEY, Part},
    fault::Fault,
    load::{Outbox, Turn, Workload},
    wire::{self, Reply, Token},
};

/// The connection of the producer; those of the readers follow.
const PRODUCER: usize = 0;

/// A producer and those who wait for it.
pub(in crate::bench) struct FanOut {
    readers: usize,
    /// Readers that do not have the last entry yet.
    waiting: usize,
    /// The ID of the last entry: one for all readers, since they go in step.
    id: Vec<u8>,
    /// The time in its value.
    sent_at: u64,
}

impl FanOut {
    /// A producer and `readers`.
    pub(in crate::bench) fn new(readers: usize) -> Self {
        Self {
            readers,
            waiting: 0,
            id: Vec::new(),
            sent_at: 0,
        }
    }

    fn send(&mut self, now: u64, outbox: &mut Outbox) {
        self.waiting = self.readers;
        entry::add(outbox.to(PRODUCER), b"*", &entry::stamped(now));
    }
}

/// Waits for entries behind `after`.
fn wait(out: &mut Vec<u8>, after: &[u8]) {
    wire::request(out, &[b"XREAD", b"BLOCK", b"0", b"STREAMS", KEY, after]);
}

impl Workload for FanOut {
    fn connections(&self) -> usize {
        1 + self.readers
    }

    fn begin(&mut self, now: u64, outbox: &mut Outbox) {
        for reader in 1..=self.readers {
            wait(outbox.to(reader), b"0-0");
        }
        self.send(now, outbox);
    }

    fn hear(&mut self, token: Token<'_>, turn: &mut Turn<'_>) -> Result<(), Fault> {
        match token {
            Token::Bulk { .. } if turn.who == PRODUCER => {}
            Token::End(Reply::Bulks(1)) if turn.who == PRODUCER => {}
            Token::Bulk { nth, bytes } => match entry::part(nth) {
                Part::Field | Part::Key => {}
                Part::Id => {
                    self.id.clear();
                    self.id.extend_from_slice(bytes);
                }
                Part::Value => {
                    let stamp = entry::stamp(bytes);
                    self.sent_at = stamp.ok_or(Fault::Wrong("a value with a time in it"))?;
                }
            },
            Token::End(Reply::Bulks(4)) => {
                turn.tally.done(1, turn.now - self.sent_at);
                wait(turn.outbox.to(turn.who), &self.id);
                self.waiting -= 1;
                if self.waiting == 0 {
                    self.send(turn.now, turn.outbox);
                }
            }
            Token::End(_) => return Err(Fault::Wrong("the one entry that was added")),
        }
        Ok(())
    }
}
