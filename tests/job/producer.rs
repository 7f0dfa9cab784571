//! One producer: sends its records in order, in pipelines, each exactly once.
//!
//! A pipeline whose connection broke may have arrived in part, and nobody says which part. So
//! whenever it has connected, the producer reads the stream on from the last entry that it knows
//! of, and takes what it finds of its own for sent. It can rely on that because whatever the lost
//! connection had sent died with the server.

use redis::streams::StreamRangeReply;
use redis::{Commands as _, Connection, RedisResult};

use super::ledger::{Id, id_of};
use super::{BATCH, Job, NUMBER, PRODUCER, PRODUCERS, expect_a_lost_connection};

pub(crate) struct Producer<'a> {
    job: &'a Job,
    /// Which of the producers it is.
    number: usize,
    /// The number of the record to send next: every `PRODUCERS`th is its own.
    next: usize,
    /// Its last entry that is known to be in the stream.
    last: Id,
}

impl<'a> Producer<'a> {
    pub(crate) fn new(job: &'a Job, number: usize) -> Self {
        Self {
            job,
            number,
            next: number,
            last: Id::ZERO,
        }
    }

    /// Sends everything.
    pub(crate) fn run(mut self) {
        while let Some(mut connection) = self.job.connect() {
            match self.produce(&mut connection) {
                Ok(()) => return,
                Err(error) => expect_a_lost_connection(&error),
            }
        }
    }

    fn produce(&mut self, connection: &mut Connection) -> RedisResult<()> {
        self.find_what_arrived(connection)?;
        loop {
            let batch: Vec<usize> = (self.next..self.job.records.len())
                .step_by(PRODUCERS)
                .take(BATCH)
                .collect();
            if batch.is_empty() {
                return Ok(());
            }
            let mut pipeline = redis::pipe();
            for number in &batch {
                pipeline.xadd(self.job.key, "*", &self.fields(*number));
            }
            let ids: Vec<String> = pipeline.query(connection)?;
            assert_eq!(ids.len(), batch.len());
            for id in ids {
                self.arrived(Id::parse(&id));
            }
        }
    }

    fn fields(&self, number: usize) -> Vec<(&'static str, String)> {
        let mut fields = vec![
            (PRODUCER, self.number.to_string()),
            (NUMBER, number.to_string()),
        ];
        fields.extend_from_slice(&self.job.records[number]);
        fields
    }

    /// The next record is in the stream, after all that were before.
    fn arrived(&mut self, id: Id) {
        assert!(self.last < id, "{id} was added after {}", self.last);
        self.job.ledger.added(self.next, id);
        self.last = id;
        self.next += PRODUCERS;
    }

    fn find_what_arrived(&mut self, connection: &mut Connection) -> RedisResult<()> {
        let mut from = self.last;
        loop {
            let reply: StreamRangeReply =
                connection.xrange_count(self.job.key, from.after(), "+", 10 * BATCH)?;
            let Some(end) = reply.ids.last() else {
                return Ok(());
            };
            from = id_of(end);
            for entry in &reply.ids {
                let number = self.job.number_of(entry);
                if number % PRODUCERS == self.number {
                    assert_eq!(
                        number, self.next,
                        "not the beginning of what was sent arrived"
                    );
                    self.arrived(id_of(entry));
                }
            }
        }
    }
}
