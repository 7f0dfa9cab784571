//! A connection that can go wrong: between a replica and its master, on one thread a direction.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// How often threads look whether the faults have changed.
const PERIOD: Duration = Duration::from_millis(5);

/// Forwards connections to a master, as well as it is told to.
pub(crate) struct Proxy {
    address: SocketAddr,
    faults: Arc<Faults>,
}

/// What is wrong.
struct Faults {
    target: Mutex<SocketAddr>,
    /// Nobody gets through.
    cut: AtomicBool,
    /// Connections that are older than this number end.
    generation: AtomicU64,
    /// Nothing goes to the master, or to the replica; nothing is lost, either.
    stuck: [AtomicBool; 2],
    /// Bytes wait so long, in milliseconds.
    delay_ms: AtomicU64,
    /// So many bytes go to the replica at most in a period; 0 is any number.
    slow: AtomicU64,
    /// The connection is reset after so many more bytes to the replica; negative is never.
    reset_after: AtomicI64,
    /// How many bytes went to replicas.
    forwarded: AtomicU64,
    ended: AtomicBool,
}

/// Where bytes go.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum To {
    Master = 0,
    Replica = 1,
}

impl Proxy {
    pub(crate) fn to(target: SocketAddr) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let faults = Arc::new(Faults {
            target: Mutex::new(target),
            cut: AtomicBool::new(false),
            generation: AtomicU64::new(0),
            stuck: Default::default(),
            delay_ms: AtomicU64::new(0),
            slow: AtomicU64::new(0),
            reset_after: AtomicI64::new(-1),
            forwarded: AtomicU64::new(0),
            ended: AtomicBool::new(false),
        });
        let of = Arc::clone(&faults);
        std::thread::spawn(move || accept(&listener, &of));
        Self { address, faults }
    }

    /// What a replica is told to follow.
    pub(crate) fn replicaof(&self) -> String {
        format!("127.0.0.1 {}", self.address.port())
    }

    /// Forwards to somebody else from now on.
    pub(crate) fn retarget(&self, target: SocketAddr) {
        *self.faults.target.lock().unwrap() = target;
        self.break_connections();
    }

    /// Ends all connections that there are.
    pub(crate) fn break_connections(&self) {
        self.faults.generation.fetch_add(1, SeqCst);
    }

    /// Lets nobody through, or everybody.
    pub(crate) fn cut(&self, on: bool) {
        self.faults.cut.store(on, SeqCst);
        if on {
            self.break_connections();
        }
    }

    /// Keeps what goes one way.
    pub(crate) fn stick(&self, to: To, on: bool) {
        self.faults.stuck[to as usize].store(on, SeqCst);
    }

    pub(crate) fn delay(&self, delay: Duration) {
        let ms = delay.as_millis().try_into().unwrap();
        self.faults.delay_ms.store(ms, SeqCst);
    }

    /// So many bytes go to the replica in 5 ms; 0 is any number.
    pub(crate) fn slow(&self, bytes: u64) {
        self.faults.slow.store(bytes, SeqCst);
    }

    /// Resets the connection after so many more bytes.
    pub(crate) fn reset_after(&self, bytes: i64) {
        self.faults.reset_after.store(bytes, SeqCst);
    }

    /// Whether that has happened.
    pub(crate) fn has_reset(&self) -> bool {
        self.faults.reset_after.load(SeqCst) < 0
    }

    /// How many bytes went to replicas.
    pub(crate) fn forwarded(&self) -> u64 {
        self.faults.forwarded.load(SeqCst)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.faults.ended.store(true, SeqCst);
        self.break_connections();
        // Wakes the thread that accepts.
        drop(TcpStream::connect(self.address));
    }
}

fn accept(listener: &TcpListener, faults: &Arc<Faults>) {
    loop {
        let (replica, _) = listener.accept().unwrap();
        if faults.ended.load(SeqCst) {
            return;
        }
        let target = *faults.target.lock().unwrap();
        if faults.cut.load(SeqCst) {
            continue;
        }
        let Ok(master) = TcpStream::connect(target) else {
            continue;
        };
        let generation = faults.generation.load(SeqCst);
        for (from, into, to) in [
            (&replica, &master, To::Master),
            (&master, &replica, To::Replica),
        ] {
            let (from, into) = (from.try_clone().unwrap(), into.try_clone().unwrap());
            let faults = Arc::clone(faults);
            std::thread::spawn(move || {
                forward(&from, &into, to, generation, &faults);
                // Both fail only when the other direction has ended already.
                drop(from.shutdown(Shutdown::Both));
                drop(into.shutdown(Shutdown::Both));
            });
        }
    }
}

/// Forwards one direction until it ends, or is to end.
fn forward(mut from: &TcpStream, mut into: &TcpStream, to: To, generation: u64, faults: &Faults) {
    from.set_read_timeout(Some(PERIOD)).unwrap();
    let mut room = [0; 16 << 10];
    loop {
        if faults.generation.load(SeqCst) != generation {
            return;
        }
        let mut most = room.len();
        let slow = usize::try_from(faults.slow.load(SeqCst)).unwrap();
        if to == To::Replica && slow > 0 {
            std::thread::sleep(PERIOD);
            most = most.min(slow);
        }
        let mut count = match from.read(&mut room[..most]) {
            Ok(0) => return,
            Ok(count) => count,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                continue;
            }
            Err(_) => return,
        };
        while faults.stuck[to as usize].load(SeqCst) {
            if faults.generation.load(SeqCst) != generation {
                return;
            }
            std::thread::sleep(PERIOD);
        }
        let mut resets = false;
        if to == To::Replica {
            let left = faults.reset_after.load(SeqCst);
            if left >= 0 {
                let taken = i64::try_from(count).unwrap();
                resets = taken >= left;
                count = count.min(usize::try_from(left).unwrap());
                faults
                    .reset_after
                    .store(if resets { -1 } else { left - taken }, SeqCst);
            }
            faults.forwarded.fetch_add(count as u64, SeqCst);
        }
        std::thread::sleep(Duration::from_millis(faults.delay_ms.load(SeqCst)));
        if into.write_all(&room[..count]).is_err() || resets {
            return;
        }
    }
}
