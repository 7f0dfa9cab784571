//! Readers of old entries: XRANGE COUNT n from a random entry on.
//!
//! An operation is one XRANGE.

use crate::bench::{
    entry::{self, KEY},
    fault::Fault,
    load::{Outbox, Turn, Workload},
    wire::{self, Reply, Token},
};

/// Readers in closed loops.
pub(in crate::bench) struct Range {
    /// Entries in the stream.
    entries: u64,
    count: u32,
    sent_at: Vec<u64>,
    /// The state of the random numbers: the same in every run, so that all read the same ranges.
    random: u64,
}

impl Range {
    /// `readers` of `count` entries at a time, of the `entries` that are there.
    pub(in crate::bench) fn new(count: u32, readers: usize, entries: u64) -> Self {
        Self {
            entries,
            count,
            sent_at: vec![0; readers],
            random: 1,
        }
    }

    fn send(&mut self, who: usize, now: u64, outbox: &mut Outbox) {
        let room = self.entries.saturating_sub(u64::from(self.count)) + 1;
        let from = entry::id(self.next() % room);
        let count = self.count.to_string();
        let words: [&[u8]; 6] = [
            b"XRANGE",
            KEY,
            from.as_bytes(),
            b"+",
            b"COUNT",
            count.as_bytes(),
        ];
        wire::request(outbox.to(who), &words);
        self.sent_at[who] = now;
    }

    /// The next random number (SplitMix64).
    fn next(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.random ^ (self.random >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

impl Workload for Range {
    fn connections(&self) -> usize {
        self.sent_at.len()
    }

    fn begin(&mut self, now: u64, outbox: &mut Outbox) {
        for who in 0..self.sent_at.len() {
            self.send(who, now, outbox);
        }
    }

    fn hear(&mut self, token: Token<'_>, turn: &mut Turn<'_>) -> Result<(), Fault> {
        match token {
            Token::Bulk { .. } => Ok(()),
            Token::End(Reply::Bulks(bulks)) if bulks == 3 * self.count => {
                turn.tally
                    .done(u64::from(self.count), turn.now - self.sent_at[turn.who]);
                self.send(turn.who, turn.now, turn.outbox);
                Ok(())
            }
            Token::End(_) => Err(Fault::Wrong("as many entries as asked for")),
        }
    }
}
