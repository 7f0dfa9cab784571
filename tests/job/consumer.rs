//! One consumer: reads entries, works on them, acknowledges them.
//!
//! Entries come at least once: whatever was being worked on when the server died comes again. So
//! a consumer that has connected first asks for its own pending entries, and work that is already
//! done is not done again. When there is nothing new it takes over what others leave lying.

use redis::streams::{
    StreamAutoClaimOptions, StreamAutoClaimReply, StreamPendingCountReply, StreamReadOptions,
    StreamReadReply,
};
use redis::{Commands as _, Connection, RedisResult};

use super::ledger::{Delivery, Id, Tick, id_of};
use super::{BATCH, CONSUMERS, Entry, GROUP, Job, expect_a_lost_connection};

/// How long to wait for new entries before looking for idle ones.
const BLOCK_MS: usize = 100;

pub(crate) struct Consumer<'a> {
    job: &'a Job,
    number: usize,
    name: String,
    /// Stops for good with entries in hand, once the group has acknowledged so many.
    quits_at: Option<u64>,
    /// Delivered to it, and not known to be acknowledged.
    held: Vec<(usize, Id)>,
    /// No request that brought one of these was sent before.
    held_since: Tick,
}

/// Why a consumer without a fault stops reading.
enum Stop {
    Over,
    Quit,
}

impl<'a> Consumer<'a> {
    pub(crate) fn new(job: &'a Job, number: usize, quits_at: Option<u64>) -> Self {
        Self {
            job,
            number,
            name: name(number),
            quits_at,
            held: Vec::new(),
            held_since: job.ledger.now(),
        }
    }

    /// Works until the job is over, or until it is this consumer's time to quit.
    pub(crate) fn run(mut self, work: &dyn Fn(&Entry)) {
        while let Some(mut connection) = self.job.connect() {
            match self.consume(&mut connection, work) {
                Ok(Stop::Over) => return,
                Ok(Stop::Quit) => return self.job.ledger.abandoned(self.held.len()),
                Err(error) => expect_a_lost_connection(&error),
            }
        }
    }

    fn consume(&mut self, connection: &mut Connection, work: &dyn Fn(&Entry)) -> RedisResult<Stop> {
        self.job.ledger.connected(self.number);
        self.resume(connection, work)?;
        let mut batches = 0;
        while !self.job.ledger.is_over() {
            let asked = self.job.ledger.now();
            let entries = self.read(connection, ">")?;
            batches += 1;
            let idle = entries.is_empty();
            self.take(&entries, asked, Delivery::New, work);
            if let Some(quits_at) = self.quits_at
                && !idle
                && self.job.ledger.count_acked() >= quits_at
            {
                return Ok(Stop::Quit);
            }
            self.acknowledge(connection)?;
            if idle || batches % self.job.plan.batches_per_look == 0 {
                self.reclaim(connection, work)?;
            }
        }
        Ok(Stop::Over)
    }

    /// Finishes what was begun before the connection was lost.
    fn resume(&mut self, connection: &mut Connection, work: &dyn Fn(&Entry)) -> RedisResult<()> {
        let asked = self.job.ledger.now();
        let pending = self.history(connection)?;
        let before = std::mem::take(&mut self.held);
        let since = self.held_since;
        self.take(&pending, asked, Delivery::Pending, work);
        let missing: Vec<(usize, Id)> = before
            .into_iter()
            .filter(|held| !self.held.contains(held))
            .collect();
        self.settle(connection, &missing, since)?;
        self.acknowledge(connection)
    }

    /// All that is pending for this consumer.
    fn history(&self, connection: &mut Connection) -> RedisResult<Vec<Entry>> {
        let mut pending: Vec<Entry> = Vec::new();
        loop {
            let after = pending.last().map_or("0", |last| &last.id);
            let entries = self.read(connection, after)?;
            if entries.is_empty() {
                return Ok(pending);
            }
            pending.extend(entries);
        }
    }

    /// Asks what became of entries that were delivered to this consumer and are not pending for
    /// it any more: another one has claimed them, or they are acknowledged.
    fn settle(
        &mut self,
        connection: &mut Connection,
        missing: &[(usize, Id)],
        since: Tick,
    ) -> RedisResult<()> {
        for (index, (number, id)) in missing.iter().enumerate() {
            let text = id.to_string();
            let asked = connection.xpending_count(self.job.key, GROUP, &text, &text, 1);
            let reply: StreamPendingCountReply = match asked {
                Ok(reply) => reply,
                Err(error) => {
                    // What is not settled is asked about again.
                    self.hold(&missing[index..], since);
                    return Err(error);
                }
            };
            match reply.ids.first() {
                None => self.job.ledger.not_pending(*number, *id),
                Some(owned) => {
                    assert_ne!(owned.consumer, self.name, "{id} is not in its history");
                    let other = (0..CONSUMERS).find(|other| name(*other) == owned.consumer);
                    self.job.ledger.pending_for(other.unwrap(), *number, since);
                }
            }
        }
        Ok(())
    }

    /// Takes over what others have left lying.
    fn reclaim(&mut self, connection: &mut Connection, work: &dyn Fn(&Entry)) -> RedisResult<()> {
        let mut cursor = "0-0".to_owned();
        loop {
            let asked = self.job.ledger.now();
            self.job.ledger.claiming(self.number);
            let reply: StreamAutoClaimReply = connection.xautoclaim_options(
                self.job.key,
                GROUP,
                &self.name,
                self.job.plan.idle_ms,
                &cursor,
                StreamAutoClaimOptions::default().count(BATCH),
            )?;
            assert_eq!(reply.deleted_ids, [""; 0], "nobody deletes entries");
            self.take(&reply.claimed, asked, Delivery::Claimed, work);
            self.job.ledger.claimed(self.number);
            self.acknowledge(connection)?;
            if reply.next_stream_id == "0-0" {
                return Ok(());
            }
            cursor = reply.next_stream_id;
        }
    }

    fn read(&self, connection: &mut Connection, after: &str) -> RedisResult<Vec<Entry>> {
        let options = StreamReadOptions::default()
            .group(GROUP, &self.name)
            .count(BATCH)
            .block(BLOCK_MS);
        let reply: Option<StreamReadReply> =
            connection.xread_options(&[self.job.key], &[after], &options)?;
        let keys = reply.map_or_else(Vec::new, |reply| reply.keys);
        Ok(keys.into_iter().flat_map(|key| key.ids).collect())
    }

    /// Works on what has come, and holds it until it is acknowledged.
    fn take(&mut self, entries: &[Entry], asked: Tick, delivery: Delivery, work: &dyn Fn(&Entry)) {
        let came: Vec<(usize, Id)> = entries
            .iter()
            .map(|entry| (self.job.number_of(entry), id_of(entry)))
            .collect();
        let firsts = self
            .job
            .ledger
            .delivered(self.number, &came, asked, delivery);
        for (entry, first) in entries.iter().zip(firsts) {
            if first {
                work(entry);
            }
        }
        self.hold(&came, asked);
    }

    fn hold(&mut self, entries: &[(usize, Id)], asked: Tick) {
        self.held_since = if self.held.is_empty() {
            asked
        } else {
            self.held_since.min(asked)
        };
        self.held.extend_from_slice(entries);
    }

    /// Acknowledges all that it holds, in one call.
    fn acknowledge(&mut self, connection: &mut Connection) -> RedisResult<()> {
        if self.held.is_empty() {
            return Ok(());
        }
        let ids: Vec<String> = self.held.iter().map(|(_, id)| id.to_string()).collect();
        self.job.ledger.acking(&self.held);
        let confirmed: usize = connection.xack(self.job.key, GROUP, &ids)?;
        self.job.ledger.acked(&self.held, confirmed);
        self.held.clear();
        Ok(())
    }
}

fn name(consumer: usize) -> String {
    format!("consumer-{consumer}")
}
