//! The data, which are there some time after the doors are open.
//!
//! Opening the store reads back what the log holds, which takes a moment or a minute. A thread of
//! its own does that, while clients are served already: with what needs no data, and with
//! `-LOADING` instead of the rest (`execute/gate.rs`), as Redis does.
//!
//! ```text
//!  bind --> accept, signals ------------------------------> everything else
//!      '--> thread: Store::open --> Loading::finish --------'
//! ```
//!
//! Invariant: data that are loaded stay. So whoever has passed the gate finds them.

use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use headwater_store::{
    Budgets, LogOptions, Lsn, Progress, RealDisk, Store, StoreOptions, SyncPolicy,
};
use tokio::sync::oneshot;

use crate::clock;
use crate::commits::Commits;
use crate::config::{self, Config};
use crate::server::{Fault, Server};

/// How often the operator hears of a load that takes its time.
const PROGRESS_PERIOD: Duration = Duration::from_secs(1);

/// What is known of the data so far.
pub(crate) struct Loading {
    began: Instant,
    /// In milliseconds since 1970.
    pub(crate) began_ms: u64,
    /// How much of the log has been read back; the store counts.
    progress: Arc<Progress>,
    opened: OnceLock<Opened>,
}

/// The data, and what exists only with them.
pub(crate) struct Opened {
    pub(crate) store: Arc<Store>,
    pub(crate) commits: Commits,
    /// Where the log ended when they were loaded.
    pub(crate) began_at: Lsn,
}

/// How a load goes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    /// Bytes read back.
    pub(crate) done: u64,
    /// All bytes; 0 while it is not known how many they are.
    pub(crate) total: u64,
    pub(crate) elapsed: Duration,
}

impl Opened {
    /// Does what the directives say that may have changed.
    pub(crate) fn follow(&self, config: &Config) {
        self.store.log().set_policy(sync_policy(config));
        self.store.set_budgets(budgets(config));
        self.store.set_cache_bytes(config.size(config::CACHE_SIZE));
    }
}

impl Loading {
    /// Begins now.
    pub(crate) fn new() -> Self {
        Self {
            began: clock::instant(),
            began_ms: clock::unix_ms(),
            progress: Arc::default(),
            opened: OnceLock::new(),
        }
    }

    /// Lets everybody have the data.
    ///
    /// # Panics
    ///
    /// When called twice.
    pub(crate) fn finish(&self, store: Arc<Store>) -> &Opened {
        let commits = Commits::new(Arc::clone(store.log()));
        let began_at = store.log().appended();
        let opened = Opened {
            store,
            commits,
            began_at,
        };
        let set = self.opened.set(opened);
        assert!(set.is_ok(), "the data are loaded once");
        self.expect()
    }

    /// The data; `None` while they are being loaded.
    pub(crate) fn opened(&self) -> Option<&Opened> {
        self.opened.get()
    }

    /// The data, for those who come behind the gate.
    ///
    /// # Panics
    ///
    /// While they are being loaded.
    pub(crate) fn expect(&self) -> &Opened {
        self.opened()
            .expect("what needs the data is refused until they are loaded")
    }

    /// Tells the operator how far it is.
    pub(crate) fn say_how_far(&self) {
        let pace = self.pace();
        tracing::info!(
            "has loaded {} of {} bytes ({:.1}%) in {} s; {} s are left",
            pace.done,
            pace.total,
            pace.percent(),
            pace.elapsed.as_secs(),
            pace.seconds_left(),
        );
    }

    /// How it goes.
    pub(crate) fn pace(&self) -> Pace {
        Pace {
            done: self.progress.done(),
            total: self.progress.total(),
            elapsed: self.began.elapsed(),
        }
    }
}

/// Opens the store on a thread of its own, and says how far it is.
///
/// # Errors
///
/// The store cannot be opened, or there is no thread to be had.
///
/// # Cancel safety
///
/// Dropping the future leaves the thread alone; nobody learns what it finds.
pub(crate) async fn load(server: &Arc<Server>) -> Result<Arc<Store>, Fault> {
    let (tell, mut told) = oneshot::channel();
    let of = Arc::clone(server);
    let thread = std::thread::Builder::new().name("loading".to_owned());
    thread
        .spawn(move || drop(tell.send(open(&of))))
        .map_err(Fault::Runtime)?;
    let mut ticks = tokio::time::interval(PROGRESS_PERIOD);
    // The first is due at once.
    ticks.tick().await;
    loop {
        tokio::select! {
            biased;
            opened = &mut told => return opened.expect("the thread ends with an answer"),
            _ = ticks.tick() => server.loading.say_how_far(),
        }
    }
}

/// Opens the store, whose threads are then at work.
fn open(server: &Server) -> Result<Arc<Store>, Fault> {
    let config = &server.config;
    let mut options = options(config);
    options.log.progress = Some(Arc::clone(&server.loading.progress));
    let dir = config.text(config::DIR);
    let store = Store::open(Arc::new(RealDisk), Path::new(&dir), options);
    let store = store.map_err(Fault::Open)?;
    store.start().map_err(Fault::Runtime)?;
    Ok(store)
}

/// How the store is to be opened.
pub(crate) fn options(config: &Config) -> StoreOptions {
    StoreOptions {
        log: LogOptions {
            segment_bytes: config.size(config::SEGMENT_SIZE),
            policy: sync_policy(config),
            ..LogOptions::default()
        },
        budgets: budgets(config),
        cache_bytes: config.size(config::CACHE_SIZE),
    }
}

/// What `settle-after` and `checkpoint-after` say.
fn budgets(config: &Config) -> Budgets {
    Budgets {
        settle_after: config.size(config::SETTLE_AFTER),
        checkpoint_after: config.size(config::CHECKPOINT_AFTER),
    }
}

/// What `appendfsync` says.
fn sync_policy(config: &Config) -> SyncPolicy {
    match config.choice(config::APPENDFSYNC) {
        "everysec" => SyncPolicy::EverySec,
        "no" => SyncPolicy::No,
        _ => SyncPolicy::Always,
    }
}

impl Pace {
    /// How much is done, in percent.
    #[expect(clippy::cast_precision_loss, reason = "a few digits are shown")]
    pub(crate) fn percent(self) -> f64 {
        match self.total {
            0 => 0.0,
            total => self.done as f64 / total as f64 * 100.0,
        }
    }

    /// How long it will take from now on, if it goes on like that: Redis' guess.
    pub(crate) fn seconds_left(self) -> u64 {
        let left = self.total.saturating_sub(self.done);
        match self.elapsed.as_secs() {
            // Nothing can be said yet.
            0 => 1,
            elapsed => elapsed.saturating_mul(left) / (self.done + 1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_is_guessed_from_what_is_done() {
        for (done, total, secs, percent, left) in [
            (0, 0, 0, 0.0, 1),
            (0, 0, 5, 0.0, 0),
            (0, 1000, 0, 0.0, 1),
            (99, 1000, 1, 9.9, 9),
            (499, 1000, 10, 49.9, 10),
            (1000, 1000, 20, 100.0, 0),
        ] {
            let elapsed = Duration::from_secs(secs);
            let pace = Pace {
                done,
                total,
                elapsed,
            };
            assert!((pace.percent() - percent).abs() < 1e-9, "{pace:?}");
            assert_eq!(pace.seconds_left(), left, "{pace:?}");
        }
    }
}
