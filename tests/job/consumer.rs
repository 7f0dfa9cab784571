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
use super::{BATCH, Entry, GROUP, Job, expect_a_lost_connection};

/// How long to wait for new entries before looking for idle ones.
const BLOCK_MS: usize = 100;

/// How long an entry must have been idle to be taken over. It also happens to consumers that only
/// wait for a server that starts, which is as it should be: both may then finish the work.
const IDLE_MS: usize = 500;

/// How many batches may be read before looking for idle entries all the same.
const BATCHES_PER_LOOK: usize = 50;

pub(crate) struct Consumer<'a> {
    job: &'a Job,
    name: String,
    /// Stops for good with entries in hand, once the group has acknowledged so many.
    quits_at: Option<u64>,
    /// Delivered to it, and not known to be acknowledged.
    held: Vec<(usize, Id)>,
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
            name: format!("consumer-{number}"),
            quits_at,
            held: Vec::new(),
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
            if idle || batches % BATCHES_PER_LOOK == 0 {
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
        self.take(&pending, asked, Delivery::Again, work);
        let missing: Vec<(usize, Id)> = before
            .into_iter()
            .filter(|held| !self.held.contains(held))
            .collect();
        self.settle(connection, &missing)?;
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
    fn settle(&mut self, connection: &mut Connection, missing: &[(usize, Id)]) -> RedisResult<()> {
        for (index, (number, id)) in missing.iter().enumerate() {
            let text = id.to_string();
            let asked = connection.xpending_count(self.job.key, GROUP, &text, &text, 1);
            let reply: StreamPendingCountReply = match asked {
                Ok(reply) => reply,
                Err(error) => {
                    // What is not settled is asked about again.
                    self.held.extend_from_slice(&missing[index..]);
                    return Err(error);
                }
            };
            match reply.ids.first() {
                None => self.job.ledger.not_pending(*number, *id),
                Some(owned) => assert_ne!(owned.consumer, self.name, "{id} is not in its history"),
            }
        }
        Ok(())
    }

    /// Takes over what others have left lying.
    fn reclaim(&mut self, connection: &mut Connection, work: &dyn Fn(&Entry)) -> RedisResult<()> {
        let mut cursor = "0-0".to_owned();
        loop {
            let asked = self.job.ledger.now();
            let reply: StreamAutoClaimReply = connection.xautoclaim_options(
                self.job.key,
                GROUP,
                &self.name,
                IDLE_MS,
                &cursor,
                StreamAutoClaimOptions::default().count(BATCH),
            )?;
            assert_eq!(reply.deleted_ids, [""; 0], "nobody deletes entries");
            self.job.ledger.claimed(reply.claimed.len());
            self.take(&reply.claimed, asked, Delivery::Again, work);
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
        let firsts = self.job.ledger.delivered(&came, asked, delivery);
        for (entry, first) in entries.iter().zip(firsts) {
            if first {
                work(entry);
            }
        }
        self.held.extend(came);
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
