//! Many threads on one log, with its own threads running.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, RwLock};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

use headwater_store::disk::{Disk, Fault, RealDisk, Repeat, SimDisk};
use headwater_store::error::{Doing, Poisoned};
use headwater_store::log::{Growth, Log, LogOptions, SyncPolicy};
use headwater_store::lsn::Lsn;

use crate::support::{FRAME, SMALL, append, dir, open, open_in};

/// Wakes a thread.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Blocks until a place is committed. A lost wake-up hangs the test.
fn wait_committed(log: &Log, lsn: Lsn) -> Result<(), Poisoned> {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut cx = Context::from_waker(&waker);
    loop {
        match log.poll_committed(lsn, &mut cx) {
            Poll::Ready(outcome) => return outcome,
            Poll::Pending => thread::park(),
        }
    }
}

fn many_threads(policy: SyncPolicy, commit: impl Fn(&Log, Lsn) + Sync) -> (Arc<Log>, u64) {
    const THREADS: usize = 8;
    const EACH: usize = 50;
    let temporary = tempfile::tempdir().unwrap();
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    let options = LogOptions {
        policy,
        segment_bytes: 16 << 10,
        ..SMALL
    };
    let (log, _) = open_in(&disk, temporary.path(), &options).unwrap();
    log.start().unwrap();
    thread::scope(|scope| {
        for name in 0..THREADS {
            let (log, commit) = (&log, &commit);
            scope.spawn(move || {
                for number in 0..EACH {
                    let record = format!("{name}:{number};");
                    let at = append(log, record.as_bytes());
                    assert!(log.read(at, |bytes| bytes.starts_with(record.as_bytes())));
                    let end = at.plus(record.len() as u64);
                    commit(log, end);
                    assert!(log.committed() >= end);
                    assert!(log.read(at, |bytes| bytes.starts_with(record.as_bytes())));
                }
            });
        }
    });
    log.close().unwrap();
    let stats = log.stats();
    drop(log);
    let (log, replayed) = open_in(&disk, temporary.path(), &options).unwrap();
    assert_eq!(
        replayed
            .iter()
            .map(|frame| frame.records as usize)
            .sum::<usize>(),
        THREADS * EACH
    );
    let text: Vec<u8> = replayed.into_iter().flat_map(|frame| frame.body).collect();
    let text = String::from_utf8(text).unwrap();
    for name in 0..THREADS {
        let own: Vec<usize> = text
            .split_terminator(';')
            .filter_map(|record| record.strip_prefix(&format!("{name}:")))
            .map(|number| number.parse().unwrap())
            .collect();
        assert!(
            own.into_iter().eq(0..EACH),
            "every thread's records are there, in its order"
        );
    }
    (log, stats.syncs)
}

#[test]
fn threads_that_wait_for_the_syncer_share_its_syncs() {
    let (_, syncs) = many_threads(SyncPolicy::Always, |log, end| {
        log.request_sync();
        wait_committed(log, end).unwrap();
    });
    assert!(syncs < 400, "{syncs} syncs for 400 commits");
}

#[test]
fn threads_that_sync_themselves_share_their_syncs() {
    let (_, syncs) = many_threads(SyncPolicy::Always, |log, end| {
        log.wait_durable(end).unwrap();
    });
    assert!(syncs < 400, "{syncs} syncs for 400 commits");
}

#[test]
fn a_thread_that_cannot_write_is_written_for() {
    many_threads(SyncPolicy::EverySec, |log, end| {
        log.try_write().unwrap();
        wait_committed(log, end).unwrap();
    });
}

#[test]
fn an_idle_log_bears_witness_of_its_last_records() {
    let disk = SimDisk::new();
    let (log, _) = open(&disk, &SMALL);
    append(&log, b"the last for a long time");
    let end = log.sync().unwrap();
    log.start().unwrap();
    wait_committed(&log, end.plus(FRAME)).unwrap();
    let frames = log.stats().frames;

    // With a witness, damage to the record is not taken for a tear.
    let image = disk.after_kill();
    let first = dir().join("00000000000000000000.log");
    image.flip(&first, crate::support::SEGMENT + 80, 1);
    assert!(crate::support::try_open(&image, &SMALL).is_err());
    log.close().unwrap();
    assert_eq!(log.stats().frames, frames, "one witness is enough");
}

#[test]
fn every_second_means_that_nobody_has_to_ask() {
    let (log, _) = open(
        &SimDisk::new(),
        &LogOptions {
            policy: SyncPolicy::EverySec,
            ..SMALL
        },
    );
    let end = append(&log, b"unasked").plus(7);
    log.start().unwrap();
    // The waiter waits for `written`, which nobody but the syncer moves here.
    wait_committed(&log, end).unwrap();
    log.close().unwrap();
    assert!(log.durable() >= end);
}

#[test]
fn poison_reaches_everybody_who_waits() {
    let disk = SimDisk::new();
    let (log, _) = open(&disk, &SMALL);
    let end = append(&log, b"never durable").plus(13);
    disk.fail(disk.calls().len(), Fault::Io, Repeat::Forever);
    let waiting = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let waker = Waker::from(Arc::new(Unpark(thread::current())));
                let mut cx = Context::from_waker(&waker);
                assert!(log.poll_committed(end, &mut cx).is_pending());
                if waiting.fetch_add(1, Ordering::SeqCst) == 3 {
                    log.start().unwrap();
                    log.request_sync();
                }
                assert!(wait_committed(&log, end).is_err());
            });
        }
        scope.spawn(|| {
            let waker = Waker::from(Arc::new(Unpark(thread::current())));
            let mut cx = Context::from_waker(&waker);
            while log.poll_poisoned(&mut cx).is_pending() {
                thread::park();
            }
        });
    });
    assert!(log.append(Growth::Frees, 1).is_err());
    assert!(log.close().is_err());
}

#[test]
fn spares_are_made_before_they_are_needed() {
    let disk = SimDisk::new();
    let (log, _) = open(&disk, &LogOptions { spares: 3, ..SMALL });
    log.start().unwrap();
    while log.stats().spares < 3 {
        thread::yield_now();
    }
    let made = disk.calls().len();
    for _ in 0..4 {
        append(&log, &[1; 4000]);
    }
    let creations = disk.calls()[made..]
        .iter()
        .filter(|call| call.doing == Doing::Create)
        .count();
    log.close().unwrap();
    assert_eq!(log.stats().segments, 4);
    // The thread may have replaced what was taken, but nobody had to wait for that.
    assert!(creations <= 3, "{creations}");
}

#[test]
fn files_are_used_again_under_those_who_write_and_read() {
    const RECORDS: usize = 1500;
    let temporary = tempfile::tempdir().unwrap();
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    let options = LogOptions {
        segment_bytes: 16 << 10,
        spares_max: 3,
        ..SMALL
    };
    let (log, _) = open_in(&disk, temporary.path(), &options).unwrap();
    log.start().unwrap();
    let record = |number: usize| format!("{number:06};").repeat(60);
    let is_there = |at, number| log.read(at, |bytes| bytes.starts_with(record(number).as_bytes()));
    // The places of the records so far, and how many of them nobody may read any more.
    let places = RwLock::new(Vec::new());
    let gone = RwLock::new(0);
    thread::scope(|scope| {
        scope.spawn(|| {
            for number in 0..RECORDS {
                // So that something is let go of all the time.
                while number > *gone.read().unwrap() + 200 {
                    thread::yield_now();
                }
                let at = append(&log, record(number).as_bytes());
                places.write().unwrap().push(at);
                if number % 8 == 0 {
                    log.sync().unwrap();
                }
            }
        });
        scope.spawn(|| {
            // Reads what is oldest and what is newest.
            let mut newest = 0;
            while newest < RECORDS - 1 {
                let gone = gone.read().unwrap();
                let places = places.read().unwrap().clone();
                if places.len() > *gone {
                    newest = places.len() - 1;
                    assert!(is_there(places[*gone], *gone));
                    assert!(is_there(*places.last().unwrap(), newest));
                }
            }
        });
        scope.spawn(|| {
            while *gone.read().unwrap() < 1400 {
                let known = places.read().unwrap().len();
                let next = known.saturating_sub(100);
                *gone.write().unwrap() = next;
                let upto = places.read().unwrap().get(next).copied();
                log.release(upto.unwrap_or_default()).unwrap();
            }
        });
    });
    log.close().unwrap();
    let stats = log.stats();
    assert!(stats.recycled > 5, "{stats:?}");
    let places = places.into_inner().unwrap();
    let from = LogOptions {
        keep: places[1400],
        from: places[1400],
        durable: log.durable(),
        ..options
    };
    drop(log);
    let (_, replayed) = open_in(&disk, temporary.path(), &from).unwrap();
    let text: Vec<u8> = replayed.into_iter().flat_map(|frame| frame.body).collect();
    assert!(text.ends_with(record(RECORDS - 1).as_bytes()));
    assert!(text.windows(7).any(|word| word == b"001400;"));
}
