//! What was counted: the figures behind INFO.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::clock;
use crate::command::{Command, Lookups, Table};
use crate::refusal::Refusal;
use crate::server::Server;
use crate::session::Session;

/// Counters since the start or `CONFIG RESETSTAT`.
pub(crate) struct Stats {
    table: &'static Table,
    /// As many as there are commands in the table, in the same order.
    by_command: Box<[Calls]>,
    errors: Mutex<BTreeMap<String, u64>>,
    pub(crate) commands: AtomicU64,
    pub(crate) error_replies: AtomicU64,
    pub(crate) net_in: AtomicU64,
    pub(crate) net_out: AtomicU64,
    pub(crate) expired: AtomicU64,
    /// Keys that reading commands looked up and found, or not.
    pub(crate) hits: AtomicU64,
    pub(crate) misses: AtomicU64,
    /// Replicas that got everything anew, that went on from what they had, and that could not.
    pub(crate) full_syncs: AtomicU64,
    pub(crate) partial_syncs: AtomicU64,
    pub(crate) partial_refused: AtomicU64,
    samples: Mutex<VecDeque<Sample>>,
}

/// The counters that have rates, at a moment.
struct Sample {
    at: Instant,
    commands: u64,
    net_in: u64,
    net_out: u64,
}

/// What happened per second, of late.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Rates {
    pub(crate) commands: u64,
    /// Bytes.
    pub(crate) net_in: u64,
    /// Bytes.
    pub(crate) net_out: u64,
}

/// How often rates are sampled.
const SAMPLE_PERIOD: Duration = Duration::from_millis(100);

/// Over how many periods rates are averaged.
const SAMPLES: usize = 16;

/// One command's counters.
#[derive(Default)]
pub(crate) struct Calls {
    pub(crate) calls: AtomicU64,
    /// How long they ran in all, in nanoseconds.
    pub(crate) nanos: AtomicU64,
    pub(crate) rejected: AtomicU64,
    pub(crate) failed: AtomicU64,
}

/// More kinds of errors than this are not told apart (a client can invent none, but a limit costs
/// nothing).
const ERRORS_MAX: usize = 128;

impl Stats {
    pub(crate) fn new(table: &'static Table) -> Self {
        Self {
            table,
            by_command: table.all.iter().map(|_| Calls::default()).collect(),
            errors: Mutex::default(),
            commands: AtomicU64::new(0),
            error_replies: AtomicU64::new(0),
            net_in: AtomicU64::new(0),
            net_out: AtomicU64::new(0),
            expired: AtomicU64::new(0),
            hits: AtomicU64::new(0),
            misses: AtomicU64::new(0),
            full_syncs: AtomicU64::new(0),
            partial_syncs: AtomicU64::new(0),
            partial_refused: AtomicU64::new(0),
            samples: Mutex::default(),
        }
    }

    /// Counts calls of a command, with how long they took in all.
    pub(crate) fn ran(&self, command: &Command, calls: u32, took: Duration) {
        let counters = &self.by_command[command.number];
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        counters
            .calls
            .fetch_add(u64::from(calls), Ordering::Relaxed);
        counters.nanos.fetch_add(nanos, Ordering::Relaxed);
        self.commands.fetch_add(u64::from(calls), Ordering::Relaxed);
    }

    /// Counts a call that ran and ended in an error. It is counted as a call, too.
    pub(crate) fn failed(&self, command: &Command, refusal: &Refusal) {
        self.by_command[command.number]
            .failed
            .fetch_add(1, Ordering::Relaxed);
        self.error(refusal);
    }

    /// Counts the end of a command that waited; waiting is not running.
    pub(crate) fn waited(&self, session: &Session, refusal: Option<&Refusal>) {
        if let Some(number) = session.client.last_command() {
            let command = &self.table.all[number];
            self.ran(command, 1, Duration::ZERO);
            if let Some(refusal) = refusal {
                self.failed(command, refusal);
            }
        }
    }

    /// Counts what a reading command looked up.
    pub(crate) fn looked_up(&self, lookups: &Lookups) {
        for (counter, count) in [(&self.hits, &lookups.hits), (&self.misses, &lookups.misses)] {
            if count.get() > 0 {
                counter.fetch_add(count.get(), Ordering::Relaxed);
            }
        }
    }

    /// Counts a command that was refused before it ran.
    pub(crate) fn rejected(&self, command: Option<&Command>, refusal: &Refusal) {
        if let Some(command) = command {
            self.by_command[command.number]
                .rejected
                .fetch_add(1, Ordering::Relaxed);
        }
        self.error(refusal);
    }

    fn error(&self, refusal: &Refusal) {
        self.error_replies.fetch_add(1, Ordering::Relaxed);
        let mut errors = self.errors.lock();
        let code = refusal.code();
        if errors.len() < ERRORS_MAX || errors.contains_key(&code) {
            *errors.entry(code).or_default() += 1;
        }
    }

    /// The commands that were called or refused, with their counters.
    pub(crate) fn commands(&self) -> impl Iterator<Item = (&'static Command, &Calls)> {
        let all = self.table.all.iter().zip(&self.by_command);
        all.filter(|(_, calls)| {
            calls.calls.load(Ordering::Relaxed) + calls.rejected.load(Ordering::Relaxed) > 0
        })
    }

    /// How often each error code was sent.
    pub(crate) fn errors(&self) -> Vec<(String, u64)> {
        self.errors
            .lock()
            .iter()
            .map(|(code, count)| (code.clone(), *count))
            .collect()
    }

    fn sample(&self) {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let mut samples = self.samples.lock();
        samples.truncate(SAMPLES);
        samples.push_front(Sample {
            at: clock::instant(),
            commands: of(&self.commands),
            net_in: of(&self.net_in),
            net_out: of(&self.net_out),
        });
    }

    pub(crate) fn rates(&self) -> Rates {
        let samples = self.samples.lock();
        let (Some(new), Some(old)) = (samples.front(), samples.back()) else {
            return Rates::default();
        };
        let ms = u64::try_from(new.at.duration_since(old.at).as_millis()).unwrap_or(u64::MAX);
        let per_second = |new: u64, old: u64| {
            let many = new.saturating_sub(old).saturating_mul(1000);
            many.checked_div(ms).unwrap_or(0)
        };
        Rates {
            commands: per_second(new.commands, old.commands),
            net_in: per_second(new.net_in, old.net_in),
            net_out: per_second(new.net_out, old.net_out),
        }
    }

    /// `CONFIG RESETSTAT`.
    pub(crate) fn reset(&self) {
        for calls in &self.by_command {
            for counter in [&calls.calls, &calls.nanos, &calls.rejected, &calls.failed] {
                counter.store(0, Ordering::Relaxed);
            }
        }
        self.errors.lock().clear();
        self.samples.lock().clear();
        for counter in [
            &self.commands,
            &self.error_replies,
            &self.net_in,
            &self.net_out,
            &self.expired,
            &self.hits,
            &self.misses,
            &self.full_syncs,
            &self.partial_syncs,
            &self.partial_refused,
        ] {
            counter.store(0, Ordering::Relaxed);
        }
    }
}

/// Samples what has rates for as long as the server runs.
pub(crate) async fn run(server: Arc<Server>) {
    let mut ticks = tokio::time::interval(SAMPLE_PERIOD);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        server.stats.sample();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::TABLE;

    #[test]
    fn rates_are_averages_over_the_samples_that_are_kept() {
        let stats = Stats::new(&TABLE);
        assert_eq!(stats.rates(), Rates::default());
        let now = clock::instant();
        let sample = |ms, commands| Sample {
            at: now + Duration::from_millis(ms),
            commands,
            net_in: 10 * commands,
            net_out: 0,
        };
        stats.samples.lock().push_front(sample(0, 100));
        assert_eq!(stats.rates(), Rates::default(), "one moment has no rate");
        stats.samples.lock().push_front(sample(500, 350));
        let rates = stats.rates();
        assert_eq!(
            (rates.commands, rates.net_in, rates.net_out),
            (500, 5000, 0)
        );
        for _ in 0..3 * SAMPLES {
            stats.sample();
        }
        assert_eq!(stats.samples.lock().len(), SAMPLES + 1);
        stats.reset();
        assert_eq!(stats.rates(), Rates::default());
    }
}
