//! Producers: each sends a pipeline of XADD and the next when all of it is answered.
//!
//! An operation is one XADD; its latency counts from the writing of its pipeline.

use crate::bench::{
    client::Client,
    entry,
    fault::Fault,
    load::{Outbox, Turn, Workload},
    wire::{self, Reply, Token},
};

/// Producers in closed loops. Where they wait for a replica, an entry counts when it has it.
pub(in crate::bench) struct Append {
    /// The requests of one pipeline.
    batch: Vec<u8>,
    pipeline: u64,
    /// Whether a WAIT is behind each pipeline.
    waits: bool,
    lanes: Vec<Lane>,
    sent: u64,
    added: u64,
}

/// One connection.
#[derive(Clone, Default)]
struct Lane {
    sent_at: u64,
    /// Requests not yet answered.
    open: u64,
}

impl Append {
    /// `connections` producers with `pipeline` requests under way each.
    pub(in crate::bench) fn new(pipeline: usize, connections: usize) -> Self {
        let mut batch = Vec::new();
        for _ in 0..pipeline {
            entry::add(&mut batch, b"*", &entry::value());
        }
        let lanes = vec![Lane::default(); connections];
        Self {
            batch,
            pipeline: pipeline as u64,
            waits: false,
            lanes,
            sent: 0,
            added: 0,
        }
    }

    /// Has the end of each pipeline wait until a replica has it.
    pub(in crate::bench) fn waiting_for_a_replica(mut self) -> Self {
        wire::request(&mut self.batch, &[b"WAIT", b"1", b"0"]);
        self.waits = true;
        self
    }

    fn send(&mut self, who: usize, now: u64, outbox: &mut Outbox) {
        outbox.to(who).extend_from_slice(&self.batch);
        self.lanes[who] = Lane {
            sent_at: now,
            open: self.pipeline,
        };
        self.sent += self.pipeline;
    }
}

impl Workload for Append {
    fn connections(&self) -> usize {
        self.lanes.len()
    }

    fn begin(&mut self, now: u64, outbox: &mut Outbox) {
        for who in 0..self.lanes.len() {
            self.send(who, now, outbox);
        }
    }

    fn hear(&mut self, token: Token<'_>, turn: &mut Turn<'_>) -> Result<(), Fault> {
        match token {
            Token::Bulk { .. } => return Ok(()),
            Token::End(Reply::Bulks(1)) => {}
            Token::End(Reply::Integer(1..)) if self.waits => {
                let sent_at = self.lanes[turn.who].sent_at;
                for _ in 0..self.pipeline {
                    turn.tally.done(1, turn.now - sent_at);
                }
                self.send(turn.who, turn.now, turn.outbox);
                return Ok(());
            }
            Token::End(_) => return Err(Fault::Wrong("the ID of the new entry")),
        }
        self.added += 1;
        if self.waits {
            return Ok(());
        }
        let lane = &mut self.lanes[turn.who];
        turn.tally.done(1, turn.now - lane.sent_at);
        lane.open -= 1;
        if lane.open == 0 {
            self.send(turn.who, turn.now, turn.outbox);
        }
        Ok(())
    }

    /// What was answered is there, and nothing that was not asked for.
    fn check(&self, client: &mut Client) -> Result<(), Fault> {
        let length = client.call(&[b"XLEN", entry::KEY])?.unsigned_abs();
        if (self.added..=self.sent).contains(&length) {
            Ok(())
        } else {
            Err(Fault::Wrong("as many entries as were added"))
        }
    }
}
