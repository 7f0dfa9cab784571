//! What was counted: the figures behind INFO.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use crate::command::{Command, TABLE};
use crate::refusal::Refusal;
use crate::session::Session;

/// Counters since the start or `CONFIG RESETSTAT`.
pub(crate) struct Stats {
    by_command: Box<[Calls]>,
    errors: Mutex<BTreeMap<String, u64>>,
    pub(crate) commands: AtomicU64,
    pub(crate) error_replies: AtomicU64,
    pub(crate) net_in: AtomicU64,
    pub(crate) net_out: AtomicU64,
    pub(crate) expired: AtomicU64,
}

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
    pub(crate) fn new() -> Self {
        Self {
            by_command: TABLE.all.iter().map(|_| Calls::default()).collect(),
            errors: Mutex::default(),
            commands: AtomicU64::new(0),
            error_replies: AtomicU64::new(0),
            net_in: AtomicU64::new(0),
            net_out: AtomicU64::new(0),
            expired: AtomicU64::new(0),
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
            let command = &TABLE.all[number];
            self.ran(command, 1, Duration::ZERO);
            if let Some(refusal) = refusal {
                self.failed(command, refusal);
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
        TABLE.all.iter().zip(&self.by_command).filter(|(_, calls)| {
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

    /// `CONFIG RESETSTAT`.
    pub(crate) fn reset(&self) {
        for calls in &self.by_command {
            for counter in [&calls.calls, &calls.nanos, &calls.rejected, &calls.failed] {
                counter.store(0, Ordering::Relaxed);
            }
        }
        self.errors.lock().clear();
        for counter in [
            &self.commands,
            &self.error_replies,
            &self.net_in,
            &self.net_out,
            &self.expired,
        ] {
            counter.store(0, Ordering::Relaxed);
        }
    }
}
