//! What the workers and the one who kills the server know of each other.

use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::totals::Totals;
use crate::connection::Connection;

/// How long the server may be silent, or away, before that is a finding. A test build on a busy
/// machine is slow to come back.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// Between two looks at what nobody is told of.
pub(super) const LOOK: Duration = Duration::from_millis(5);

/// What all threads share.
pub(super) struct Stage {
    address: SocketAddr,
    /// The disk is made to fail, so the server may refuse to write.
    pub(super) disk_fails: bool,
    pub(super) totals: Totals,
    /// Microseconds since 1970: when the last change was asked for that was acknowledged.
    last_asked: AtomicU64,
    over: AtomicBool,
    violation: OnceLock<String>,
    round: Mutex<Round>,
}

/// One life of the server.
struct Round {
    number: u64,
    /// Who has seen that all is well in it.
    content: usize,
    /// The connections of the workers.
    sockets: Vec<Option<TcpStream>>,
}

impl Stage {
    pub(super) fn new(address: SocketAddr, workers: usize, disk_fails: bool) -> Self {
        Self {
            address,
            disk_fails,
            totals: Totals::default(),
            last_asked: AtomicU64::new(0),
            over: AtomicBool::new(false),
            violation: OnceLock::new(),
            round: Mutex::new(Round {
                number: 0,
                content: 0,
                sockets: (0..workers).map(|_| None).collect(),
            }),
        }
    }

    fn round(&self) -> MutexGuard<'_, Round> {
        self.round.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Connects, as often as it takes, and says to which life of the server. `None` when all is
    /// over.
    pub(super) fn connect(&self, worker: usize) -> Option<(Connection, u64)> {
        while !self.is_over() {
            let number = self.round().number;
            if let Ok(connection) = Connection::open_with(self.address, PATIENCE)
                && let Ok(socket) = connection.socket()
            {
                let mut round = self.round();
                if round.number == number {
                    round.sockets[worker] = Some(socket);
                    return Some((connection, number));
                }
            }
            thread::sleep(LOOK);
        }
        None
    }

    /// A worker has found everything as it must be in that life of the server.
    pub(super) fn is_content(&self, in_round: u64) {
        let mut round = self.round();
        if round.number == in_round {
            round.content += 1;
        }
    }

    /// Whether all workers are at work in this life of the server.
    pub(super) fn all_are_content(&self) -> bool {
        let round = self.round();
        round.content == round.sockets.len()
    }

    /// This life of the server is over. Ends the connections, for a machine that lost its power
    /// says no good-bye.
    pub(super) fn next_round(&self) {
        let mut round = self.round();
        round.number += 1;
        round.content = 0;
        for socket in round.sockets.iter_mut().filter_map(Option::take) {
            // The server's end may have been faster.
            let _ = socket.shutdown(Shutdown::Both);
        }
    }

    /// A change was acknowledged that was asked for at that time.
    pub(super) fn acknowledged(&self, asked: u64) {
        self.last_asked.fetch_max(asked, Ordering::Relaxed);
    }

    /// When the last change was asked for that was acknowledged.
    pub(super) fn last_asked(&self) -> u64 {
        self.last_asked.load(Ordering::Relaxed)
    }

    /// Notes what must not be, and ends everything. The first one counts.
    pub(super) fn fail(&self, violation: String) {
        self.violation.get_or_init(|| violation);
        self.finish();
    }

    pub(super) fn violation(&self) -> Option<&str> {
        self.violation.get().map(String::as_str)
    }

    pub(super) fn finish(&self) {
        self.over.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }
}

/// Microseconds since 1970.
pub(super) fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
    })
}
