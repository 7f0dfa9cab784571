//! A group at work on a full stream: XREADGROUP COUNT n and XACK of what it brought.
//!
//! An operation is that pair of requests; its latency is that of the read. So that the group
//! never runs dry within the time of measuring, whatever the server, it starts again from the
//! first entry whenever it has reached the last: once every consumer has been told that there is
//! no more, so that all is acknowledged and nothing is delivered twice.

use super::consumer::Consumer;
use crate::bench::{
    entry::{GROUP, KEY},
    fault::Fault,
    load::{Outbox, Turn, Workload},
    wire::{self, Reply, Token},
};

/// Consumers in closed loops.
pub(in crate::bench) struct Work {
    consumers: Vec<Consumer>,
    /// Consumers that have found nothing and wait for the group to start again.
    dry: usize,
}

impl Work {
    /// `consumers` that take `count` entries at a time.
    pub(in crate::bench) fn new(count: usize, consumers: usize) -> Self {
        let consumers = (0..consumers).map(|number| Consumer::new(number, count, false));
        Self {
            consumers: consumers.collect(),
            dry: 0,
        }
    }
}

impl Workload for Work {
    fn connections(&self) -> usize {
        self.consumers.len()
    }

    fn begin(&mut self, now: u64, outbox: &mut Outbox) {
        for (who, consumer) in self.consumers.iter_mut().enumerate() {
            consumer.speak(now, outbox.to(who));
        }
    }

    fn hear(&mut self, token: Token<'_>, turn: &mut Turn<'_>) -> Result<(), Fault> {
        if let Token::End(Reply::Status(_)) = token {
            self.begin(turn.now, turn.outbox);
            return Ok(());
        }
        let consumer = &mut self.consumers[turn.who];
        match consumer.hear(token)? {
            None => {}
            Some(0) => {
                self.dry += 1;
                if self.dry == self.consumers.len() {
                    self.dry = 0;
                    let again: [&[u8]; 7] =
                        [b"XGROUP", b"SETID", KEY, GROUP, b"0", b"ENTRIESREAD", b"0"];
                    wire::request(turn.outbox.to(turn.who), &again);
                }
            }
            Some(entries) => {
                turn.tally.done(entries as u64, turn.now - consumer.sent_at);
                consumer.speak(turn.now, turn.outbox.to(turn.who));
            }
        }
        Ok(())
    }
}
