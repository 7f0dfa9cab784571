//! A job as users run it: records go through one stream to the consumers of one group, with an
//! ordinary client library, while the server is killed with SIGKILL and started again.
//!
//! ```text
//!  producer-0 --XADD x 100--> +--------+ --XREADGROUP--> consumer-0   (stops for good half-way)
//!  producer-1 --XADD x 100--> | stream | --XREADGROUP--> consumer-1 --XACK-->
//!                             |        | --XREADGROUP--> consumer-2 --XACK-->
//!             SIGKILL ------> +--------+ --XAUTOCLAIM--> consumer-3 --XACK-->
//!                  ^                         |
//!                  +---- so many were -------+---> the ledger: what was acknowledged to whom
//!                        acknowledged
//! ```
//!
//! Every record carries its number and its producer. When a pipeline's connection breaks, nobody
//! told the producer what of it arrived, so it looks: it reads the stream on from its last entry
//! and goes on after what it finds there (`producer`). That makes each record arrive exactly once,
//! and it is sound because a killed server executes nothing later. Consumers get entries at least
//! once, and count each ID once (`consumer`).
//!
//! What must hold, whenever the server dies:
//!
//! - What was acknowledged to a producer, or shown to a reader, is in the stream at the end, with
//!   its fields; nothing is there twice, nothing that was not sent, and IDs strictly increase.
//! - What arrived of a broken pipeline is its beginning.
//! - An entry that was delivered is never delivered as new again, and is pending until a consumer
//!   has sent its acknowledgement: for the one it was delivered to, or one that claimed it later.
//! - An entry whose acknowledgement was confirmed is never delivered again.
//! - What a consumer that stopped for good left behind is claimed by the others.
//! - At the end the group has read everything, and nothing is pending.
//!
//! The kills come when the number of confirmed additions and acknowledgements passes thresholds,
//! drawn by chance; a third of them is followed by another one while the server still starts.

mod address;
mod chance;
mod consumer;
mod ledger;
mod producer;
mod server;

pub(crate) use chance::Chance;
pub(crate) use redis::streams::StreamId as Entry;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use redis::streams::{StreamInfoGroupsReply, StreamRangeReply};
use redis::{Client, Commands as _, Connection, RedisError, ServerErrorKind, Value};

use self::consumer::Consumer;
use self::ledger::{Id, Ledger, id_of};
use self::producer::Producer;
use self::server::Server;

/// The fields of an entry, in order.
pub(crate) type Record = Vec<(&'static str, String)>;

/// The fields that a producer adds to those of the record.
const NUMBER: &str = "record";
const PRODUCER: &str = "producer";

const GROUP: &str = "workers";
const PRODUCERS: usize = 2;
const CONSUMERS: usize = 4;

/// Entries that are sent, read or acknowledged together.
const BATCH: usize = 100;

/// How long a reply may take, and how long nothing may move: a restart of a test build on a busy
/// machine takes a part of it.
const PATIENCE: Duration = Duration::from_secs(30);

/// Between two attempts to connect to a server that is not there.
const RETRY: Duration = Duration::from_millis(5);

/// How hard it is to be made.
pub(crate) struct Plan {
    /// How often the server is killed while it serves.
    pub(crate) kills: u64,
    pub(crate) chance: Chance,
    /// How long an entry must have been idle to be taken over. It also happens to consumers that
    /// are merely slow, or wait for the server: both may then finish the work.
    pub(crate) idle_ms: usize,
    /// How many batches a consumer reads before it looks for idle entries, even if there are new.
    pub(crate) batches_per_look: usize,
    /// What the server is told on its command line.
    pub(crate) directives: Vec<&'static str>,
}

/// Everything that its threads share.
pub(crate) struct Job {
    /// The key of the stream.
    key: &'static str,
    records: Vec<Record>,
    ledger: Ledger,
    server: SocketAddr,
    plan: Plan,
}

impl Job {
    pub(crate) fn new(key: &'static str, records: Vec<Record>, plan: Plan) -> Self {
        Self {
            key,
            ledger: Ledger::new(records.len()),
            records,
            server: address::free_address(),
            plan,
        }
    }

    /// Does the job: calls `work` once for every entry, on the thread of the consumer that got it
    /// first. Returns when every promise was kept.
    ///
    /// # Panics
    ///
    /// One was not.
    pub(crate) fn run(mut self, work: &(dyn Fn(&Entry) + Sync)) {
        let began = Instant::now();
        let records = self.records.len() as u64;
        let kills = self.thresholds(2 * records);
        // The first consumer stops somewhere in the middle of the job.
        let quits_at = self.plan.chance.between(records / 4, records / 4 * 3);
        let doubles: Vec<bool> = kills.iter().map(|_| self.plan.chance.one_in(3)).collect();

        let mut server = Server::start(self.server, self.plan.directives.clone());
        self.create();
        let job = &self;
        std::thread::scope(|scope| {
            let alarm = job.ledger.alarm();
            for number in 0..PRODUCERS {
                scope.spawn(move || {
                    let _alarm = job.ledger.alarm();
                    Producer::new(job, number).run();
                });
            }
            for number in 0..CONSUMERS {
                scope.spawn(move || {
                    let _alarm = job.ledger.alarm();
                    let quits_at = (number == 0).then_some(quits_at);
                    Consumer::new(job, number, quits_at).run(work);
                });
            }
            for (threshold, double) in kills.iter().zip(doubles) {
                job.ledger.wait(*threshold, &mut server);
                server.kill_and_restart();
                if double {
                    server.kill_while_it_starts();
                }
            }
            job.ledger.wait(2 * records, &mut server);
            job.ledger.finish();
            drop(alarm);
        });
        self.audit();
        let (seconds, kills) = (began.elapsed().as_secs_f64(), server.kills());
        let tears = server.stop();
        println!(
            "{records} records in {seconds:.1} s, {kills} SIGKILLs, {tears} torn writes, {}",
            self.ledger.summary(),
        );
    }

    /// When to kill: so many confirmed additions and acknowledgements, in order.
    fn thresholds(&mut self, all: u64) -> Vec<u64> {
        let mut thresholds: Vec<u64> = (0..self.plan.kills)
            .map(|_| self.plan.chance.between(1, all))
            .collect();
        thresholds.sort_unstable();
        thresholds
    }

    fn create(&self) {
        let mut connection = self.connect().unwrap();
        let (): () = connection
            .xgroup_create_mkstream(self.key, GROUP, "0")
            .unwrap();
    }

    /// Connects to a server that has its data, as often as it takes. `None` when the job is over.
    fn connect(&self) -> Option<Connection> {
        let client = Client::open(format!("redis://{}", self.server)).unwrap();
        while !self.ledger.is_over() {
            let connected = client.get_connection().and_then(|mut connection| {
                connection.set_read_timeout(Some(PATIENCE))?;
                redis::cmd("PING").exec(&mut connection)?;
                Ok(connection)
            });
            match connected {
                Ok(connection) => return Some(connection),
                Err(error) => {
                    if error.kind() != ServerErrorKind::BusyLoading.into() {
                        expect_a_lost_connection(&error);
                    }
                    std::thread::sleep(RETRY);
                }
            }
        }
        None
    }

    /// The number of the record that an entry carries.
    ///
    /// # Panics
    ///
    /// Its fields are not those that were sent.
    fn number_of(&self, entry: &Entry) -> usize {
        let number: usize = entry.get(NUMBER).unwrap();
        let producer: usize = entry.get(PRODUCER).unwrap();
        let record = &self.records[number];
        assert_eq!(
            entry.len(),
            record.len() + 2,
            "{} has other fields",
            entry.id
        );
        assert_eq!(
            producer,
            number % PRODUCERS,
            "{} is of another producer",
            entry.id
        );
        for (field, value) in record {
            let found: String = entry.get(field).unwrap();
            assert_eq!(found, *value, "{} has another {field}", entry.id);
        }
        number
    }

    /// Compares what the server holds at the end with what it said before.
    fn audit(&self) {
        let mut connection = self.reconnect();
        self.audit_stream(&mut connection);
        self.audit_group(&mut connection);
    }

    fn reconnect(&self) -> Connection {
        let client = Client::open(format!("redis://{}", self.server)).unwrap();
        client.get_connection().unwrap()
    }

    /// Every record is there once, under the ID that was said.
    fn audit_stream(&self, connection: &mut Connection) {
        let mut found = vec![false; self.records.len()];
        let mut newest_of = [None; PRODUCERS];
        let mut last = Id::ZERO;
        loop {
            let reply: StreamRangeReply = connection
                .xrange_count(self.key, last.after(), "+", 1000)
                .unwrap();
            if reply.ids.is_empty() {
                break;
            }
            for entry in &reply.ids {
                let id = id_of(entry);
                assert!(last < id, "{id} comes after {last}");
                last = id;
                let number = self.number_of(entry);
                assert!(!found[number], "record {number} is in the stream twice");
                found[number] = true;
                let newest = &mut newest_of[number % PRODUCERS];
                assert!(*newest < Some(number), "record {number} came too late");
                *newest = Some(number);
                self.ledger.stands_at(number, id);
            }
        }
        let missing = found.iter().filter(|found| !**found).count();
        assert_eq!(missing, 0, "records are missing");
    }

    fn audit_group(&self, connection: &mut Connection) {
        let records = self.records.len();
        let length: usize = connection.xlen(self.key).unwrap();
        assert_eq!(length, records);
        let stream: HashMap<String, Value> = redis::cmd("XINFO")
            .arg("STREAM")
            .arg(self.key)
            .query(connection)
            .unwrap();
        let added: usize = redis::from_redis_value_ref(&stream["entries-added"]).unwrap();
        assert_eq!(added, records, "entries-added");
        let reply: StreamInfoGroupsReply = connection.xinfo_groups(self.key).unwrap();
        let [group] = reply.groups.as_slice() else {
            panic!("one group was made, and there are {}", reply.groups.len());
        };
        assert_eq!(group.name, GROUP);
        assert_eq!(group.consumers, CONSUMERS);
        assert_eq!(group.pending, 0, "entries are still pending");
        assert_eq!(group.lag, Some(0));
        assert_eq!(group.entries_read, Some(added));
        let last: String = redis::from_redis_value_ref(&stream["last-generated-id"]).unwrap();
        assert_eq!(group.last_delivered_id, last);
    }
}

/// A broken connection is part of the job; a refusal is not.
fn expect_a_lost_connection(error: &RedisError) {
    assert!(
        error.is_io_error() && !error.is_timeout(),
        "the server refused, or did not answer: {error}"
    );
}
