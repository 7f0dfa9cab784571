//! The threads of a log: one that syncs, one that makes spares.
//!
//! | policy     | the syncer syncs                                       |
//! |------------|--------------------------------------------------------|
//! | `always`   | as soon as somebody asks, again and again until nobody does |
//! | `everysec` | once a second, if something is not durable             |
//! | `no`       | when a segment is full                                 |
//!
//! Everything that is appended while one sync runs goes into the next: that is all there is to
//! group commit. Under every policy the syncer makes the log [bear
//! witness](super::Log::bear_witness) when nothing has been appended for a second.
//!
//! The threads hold the log weakly: they end when it is dropped, or closed.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::thread::{self, JoinHandle, Thread};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::{Log, SyncPolicy};
use crate::error::Poisoned;
use crate::lsn::Lsn;

/// How often `everysec` syncs, and how long a log is quiet before it counts as idle.
const SECOND: Duration = Duration::from_secs(1);

/// The threads, and how to wake them.
#[derive(Default)]
pub(crate) struct Background {
    /// A sync up to here is wanted.
    requested: AtomicU64,
    closing: AtomicBool,
    syncer: OnceLock<Thread>,
    spare_maker: OnceLock<Thread>,
    handles: Mutex<Vec<JoinHandle<()>>>,
}

impl Background {
    pub(crate) fn start(&self, log: &Arc<Log>) -> io::Result<()> {
        let mut handles = self.handles.lock();
        if !handles.is_empty() {
            return Ok(());
        }
        for (name, wake, run) in [
            ("log-syncer", &self.syncer, run_syncer as fn(&Weak<Log>)),
            ("log-spares", &self.spare_maker, run_spare_maker),
        ] {
            let log = Arc::downgrade(log);
            let handle = thread::Builder::new()
                .name(name.to_owned())
                .spawn(move || run(&log))?;
            let _ = wake.set(handle.thread().clone());
            handles.push(handle);
        }
        Ok(())
    }

    /// Ends the threads and waits for them.
    pub(crate) fn stop(&self) {
        self.wake_all();
        for handle in self.handles.lock().drain(..) {
            handle.join().expect("the threads of the log do not panic");
        }
    }

    /// Ends the threads.
    pub(crate) fn wake_all(&self) {
        self.closing.store(true, Ordering::Release);
        for thread in [&self.syncer, &self.spare_maker]
            .into_iter()
            .filter_map(OnceLock::get)
        {
            thread.unpark();
        }
    }

    /// Whether there is a thread that makes spares.
    pub(crate) fn makes_spares(&self) -> bool {
        self.spare_maker.get().is_some() && !self.closing.load(Ordering::Acquire)
    }

    pub(crate) fn request_sync(&self, to: Lsn) {
        self.requested.fetch_max(to.get(), Ordering::AcqRel);
        if let Some(syncer) = self.syncer.get() {
            syncer.unpark();
        }
    }

    pub(crate) fn request_spare(&self) {
        if let Some(spare_maker) = self.spare_maker.get() {
            spare_maker.unpark();
        }
    }

    fn requested(&self) -> Lsn {
        Lsn::new(self.requested.load(Ordering::Acquire))
    }
}

/// What to do before the next round.
enum Rest {
    Not,
    UntilWoken,
    AtMost(Duration),
}

/// Runs rounds until the log is dropped, closed or poisoned.
fn run(log: &Weak<Log>, mut round: impl FnMut(&Log) -> Result<Rest, Poisoned>) {
    loop {
        let Some(log) = log.upgrade() else { return };
        if log.background.closing.load(Ordering::Acquire) {
            return;
        }
        // The failure has been noted in the log itself, for everybody.
        let Ok(rest) = round(&log) else { return };
        // While it rests, the thread does not keep the log alive.
        drop(log);
        match rest {
            Rest::Not => {}
            Rest::UntilWoken => thread::park(),
            Rest::AtMost(time) => thread::park_timeout(time),
        }
    }
}

fn run_syncer(log: &Weak<Log>) {
    let mut tick = Instant::now();
    let mut seen = Lsn::ZERO;
    run(log, |log| {
        if log.background.requested() > log.durable() {
            log.sync_up_to(log.background.requested())?;
            return Ok(Rest::Not);
        }
        let elapsed = tick.elapsed();
        if elapsed < SECOND {
            return Ok(Rest::AtMost(SECOND - elapsed));
        }
        tick = Instant::now();
        let appended = log.appended();
        match log.policy() {
            SyncPolicy::Always | SyncPolicy::EverySec => log.sync_up_to(appended)?,
            SyncPolicy::No => {}
        }
        if seen == appended {
            log.bear_witness()?;
        }
        seen = appended;
        Ok(Rest::Not)
    });
}

fn run_spare_maker(log: &Weak<Log>) {
    if let Some(log) = log.upgrade() {
        log.fetch_kept();
    }
    run(log, |log| {
        Ok(match log.make_spare() {
            SpareMade::Enough => Rest::UntilWoken,
            SpareMade::One => Rest::Not,
            SpareMade::Refused => Rest::AtMost(SECOND),
        })
    });
}

/// What became of an attempt to make a spare.
pub(crate) enum SpareMade {
    Enough,
    One,
    Refused,
}
