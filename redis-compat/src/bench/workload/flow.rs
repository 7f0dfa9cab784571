//! Producers and consumers at once: how long is an entry under way?
//!
//! An operation is one entry that came through; its latency counts from the moment it was due to
//! be sent, not from when the producer got round to it, until a consumer has it. That is what an
//! application sees, also while the server stands still.
//!
//! Consumers wait with BLOCK and acknowledge what they get. How fast entries are produced is the
//! [`Pace`]: a rate shows the latency of a server with time to spare, a window the most that goes
//! through when there is always something to do; the latency is then little else than the window
//! divided by the rate.

use super::consumer::Consumer;
use crate::bench::{
    clock::SECOND,
    entry::{self, Part},
    fault::Fault,
    load::{Outbox, Turn, Workload},
    wire::{Reply, Token},
};

/// How fast entries are produced.
#[derive(Clone, Copy, Debug)]
pub(in crate::bench) enum Pace {
    /// So many a second, evenly, whatever becomes of them.
    Rate(u32),
    /// So many under way at any time.
    Window(u32),
}

/// Producers and consumers.
pub(in crate::bench) struct Flow {
    pace: Pace,
    producers: usize,
    /// Their connections come after those of the producers.
    consumers: Vec<Consumer>,
    /// Entries sent by the producers in turn.
    sent: usize,
    /// When the next entry is due, with a rate.
    due: u64,
    /// The value of the next entry, but for its time.
    value: Vec<u8>,
    stopped: bool,
}

/// Entries a consumer takes at most at a time.
const COUNT: usize = 10;

impl Flow {
    /// `producers` at `pace` in all, of entries with values of `value_len` bytes, and `consumers`
    /// of one group.
    pub(in crate::bench) fn new(
        producers: usize,
        consumers: usize,
        pace: Pace,
        value_len: usize,
    ) -> Self {
        let consumers = (0..consumers)
            .map(|number| Consumer::new(number, COUNT, true))
            .collect();
        Self {
            pace,
            producers,
            consumers,
            sent: 0,
            due: 0,
            value: entry::letters(value_len.max(entry::STAMP_LEN)),
            stopped: false,
        }
    }

    /// How many entries were sent.
    pub(super) fn sent(&self) -> u64 {
        self.sent as u64
    }

    /// Sends no more entries.
    pub(super) fn stop(&mut self) {
        self.stopped = true;
    }

    /// The consumer of a connection; none on a producer's.
    pub(super) fn consumer(&self, who: usize) -> Option<usize> {
        who.checked_sub(self.producers)
    }

    /// Sends one entry, by each producer in turn.
    fn send(&mut self, due: u64, outbox: &mut Outbox) {
        self.send_by(self.sent % self.producers, due, outbox);
    }

    fn send_by(&mut self, producer: usize, due: u64, outbox: &mut Outbox) {
        entry::stamp_on(&mut self.value, due);
        entry::add(outbox.to(producer), b"*", &self.value);
        self.sent += 1;
    }
}

impl Workload for Flow {
    fn connections(&self) -> usize {
        self.producers + self.consumers.len()
    }

    fn begin(&mut self, now: u64, outbox: &mut Outbox) {
        for (who, consumer) in (self.producers..).zip(&mut self.consumers) {
            consumer.speak(now, outbox.to(who));
        }
        self.due = now;
        if let Pace::Window(entries) = self.pace {
            for _ in 0..entries {
                self.send(now, outbox);
            }
        }
    }

    fn tick(&mut self, now: u64, outbox: &mut Outbox) -> Option<u64> {
        let Pace::Rate(a_second) = self.pace else {
            return None;
        };
        if self.stopped {
            return None;
        }
        while self.due <= now {
            self.send(self.due, outbox);
            self.due += SECOND / u64::from(a_second);
        }
        Some(self.due)
    }

    fn hear(&mut self, token: Token<'_>, turn: &mut Turn<'_>) -> Result<(), Fault> {
        let Some(number) = self.consumer(turn.who) else {
            return match token {
                Token::Bulk { .. } | Token::End(Reply::Bulks(1)) => Ok(()),
                Token::End(_) => Err(Fault::Wrong("the ID of the new entry")),
            };
        };
        if let Token::Bulk { nth, bytes } = token
            && entry::part(nth) == Part::Value
        {
            let due = entry::stamp(bytes).ok_or(Fault::Wrong("a value with a time in it"))?;
            turn.tally.done(1, turn.now - due);
            if matches!(self.pace, Pace::Window(_)) && !self.stopped {
                // What one consumer takes, one producer replaces, in one write: the load must
                // cost less than the server.
                let producer = number % self.producers;
                self.send_by(producer, turn.now, turn.outbox);
            }
        }
        let consumer = &mut self.consumers[number];
        if consumer.hear(token)?.is_some() {
            consumer.speak(turn.now, turn.outbox.to(turn.who));
        }
        Ok(())
    }
}
