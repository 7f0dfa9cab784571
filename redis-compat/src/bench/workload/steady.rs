//! A producer with a pace, beside something else that goes on: how long does an XADD take?
//!
//! An operation is one XADD to a stream of its own; its latency counts from the moment it was due,
//! also while the server stands still. It ends when somebody says so.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use crate::bench::{
    clock::SECOND,
    entry,
    fault::Fault,
    load::{Outbox, Turn, Workload},
    wire::{Reply, Token},
};

/// The stream.
const KEY: &[u8] = b"steady";

/// See the module.
pub(in crate::bench) struct Steady {
    rate: u64,
    began: u64,
    sent: u64,
    /// When those were due that are not answered yet.
    open: VecDeque<u64>,
    over: Arc<AtomicBool>,
}

impl Steady {
    /// So many a second, evenly, until `over`.
    pub(in crate::bench) fn new(rate: u32, over: &Arc<AtomicBool>) -> Self {
        Self {
            rate: rate.into(),
            began: 0,
            sent: 0,
            open: VecDeque::new(),
            over: Arc::clone(over),
        }
    }

    /// When the next one is due.
    fn due(&self) -> u64 {
        self.began + self.sent * SECOND / self.rate
    }
}

impl Workload for Steady {
    fn connections(&self) -> usize {
        1
    }

    fn begin(&mut self, now: u64, _outbox: &mut Outbox) {
        self.began = now;
    }

    fn hear(&mut self, token: Token<'_>, turn: &mut Turn<'_>) -> Result<(), Fault> {
        match token {
            Token::Bulk { .. } => Ok(()),
            Token::End(Reply::Bulks(1)) => {
                let due = self.open.pop_front();
                let due = due.ok_or(Fault::Wrong("one reply to each request"))?;
                turn.tally.done(1, turn.now - due);
                Ok(())
            }
            Token::End(_) => Err(Fault::Wrong("the ID of the new entry")),
        }
    }

    fn tick(&mut self, now: u64, outbox: &mut Outbox) -> Option<u64> {
        while self.due() <= now {
            self.open.push_back(self.due());
            self.sent += 1;
            entry::add_to(KEY, outbox.to(0), b"*", &entry::value());
        }
        Some(self.due())
    }

    fn is_done(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }
}
