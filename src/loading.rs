//! The data, which are there some time after the doors are open.
//!
//! Opening the store reads back what the log holds, which takes a moment or a minute. A thread of
//! its own does that, while clients are served already: with what needs no data, and with
//! `-LOADING` instead of the rest (`execute/gate.rs`), as Redis does.
//!
//! ```text
//!  bind --> accept, signals ------------------------------> everything else
//!      '--> thread: Store::open --> publish ----------------'
//!               ^                      |
//!               '-- something else <-- close      a replica cuts its log, or gets other data
//! ```
//!
//! A replica may have to close its data, change the directory and open it again. So the data have
//! *lives*, with numbers. Whoever works with them takes them once ([`Loading::opened`]) and lets go
//! of them before it waits for a client; then [`Loading::close`] returns soon.
//!
//! Invariants:
//!
//! * What is taken stays open for as long as it is held: whoever has passed the gate with it finds
//!   it.
//! * An LSN, a block or a version of a stream means something within its life only.

use std::convert::Infallible;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::{ArcSwap, ArcSwapOption};

use headwater_store::{
    Budgets, HistoryId, LogOptions, Lsn, Opening, Poisoned, Progress, RealDisk, Store,
    StoreOptions, SyncPolicy,
};
use parking_lot::Mutex;
use tokio::sync::{oneshot, watch};

use crate::chance;
use crate::clients::Clients;
use crate::clock;
use crate::commits::{Commits, Ended};
use crate::config::{self, Config};
use crate::server::{Fault, Reason, Server};

/// How often the operator hears of a load that takes its time.
const PROGRESS_PERIOD: Duration = Duration::from_secs(1);

/// What is known of the data so far.
pub(crate) struct Loading {
    load: Mutex<Load>,
    opened: ArcSwapOption<Opened>,
    /// The last life that is over.
    over: watch::Sender<u64>,
    /// Ends when nobody has the data any more.
    released: Mutex<Option<oneshot::Receiver<Infallible>>>,
}

/// The load that goes on, or the last.
#[derive(Clone)]
struct Load {
    began: Instant,
    /// In milliseconds since 1970.
    began_ms: u64,
    /// How much of the log has been read back; the store counts.
    progress: Arc<Progress>,
    /// Which life of the data it leads to.
    life: u64,
}

impl Load {
    fn of(life: u64) -> Self {
        Self {
            began: clock::instant(),
            began_ms: clock::unix_ms(),
            progress: Arc::default(),
            life,
        }
    }
}

/// The data, and what exists only with them.
pub(crate) struct Opened {
    pub(crate) store: Arc<Store>,
    commits: ArcSwap<Commits>,
    /// Where the log ended when they were loaded.
    pub(crate) began_at: Lsn,
    /// Which life of the data this is; the first is 1.
    pub(crate) life: u64,
    /// Dropped behind the store, by whoever has the data last.
    _released: oneshot::Sender<Infallible>,
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

/// Ends the waits of those whose changes are not committed by now, and that never will be: the data
/// are a replica's from now on.
pub(crate) fn end_commits(server: &Arc<Server>, opened: &Opened) {
    let new = Arc::new(Commits::new(Arc::clone(opened.store.log())));
    tokio::spawn(watch(Arc::clone(server), Arc::clone(&new)));
    opened.commits.swap(new).end();
}

impl Opened {
    /// Who waits for the log now; kept by who executes, until its replies are sent.
    pub(crate) fn commits(&self) -> arc_swap::Guard<Arc<Commits>> {
        self.commits.load()
    }

    /// Does what the directives say that may have changed.
    pub(crate) fn heed(&self, config: &Config) {
        self.store.log().set_policy(sync_policy(config));
        self.store.set_budgets(budgets(config));
        self.store.set_cache_bytes(config.size(config::CACHE_SIZE));
    }
}

impl Loading {
    /// Begins now.
    pub(crate) fn new() -> Self {
        Self {
            load: Mutex::new(Load::of(1)),
            opened: ArcSwapOption::empty(),
            over: watch::Sender::new(0),
            released: Mutex::new(None),
        }
    }

    /// Lets everybody have the data.
    ///
    /// # Panics
    ///
    /// When others have not been [closed](Self::close).
    pub(crate) fn finish(&self, store: Arc<Store>) -> Arc<Opened> {
        let (sender, receiver) = oneshot::channel();
        let opened = Arc::new(Opened {
            commits: ArcSwap::from_pointee(Commits::new(Arc::clone(store.log()))),
            began_at: store.log().appended(),
            store,
            life: self.load.lock().life,
            _released: sender,
        });
        *self.released.lock() = Some(receiver);
        let before = self.opened.swap(Some(Arc::clone(&opened)));
        assert!(
            before.is_none(),
            "one life of the data ends before the next"
        );
        opened
    }

    /// The data; `None` while they are being loaded. Not to be held while waiting for a client.
    pub(crate) fn opened(&self) -> Option<Arc<Opened>> {
        self.opened.load_full()
    }

    /// Whether this life of the data is over. That of somebody who has seen none, 0, is not.
    pub(crate) fn is_over(&self, life: u64) -> bool {
        life > 0 && life <= *self.over.borrow()
    }

    /// Returns when this life of the data is over.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing.
    pub(crate) async fn end_of(&self, life: u64) {
        let mut over = self.over.subscribe();
        let ended = over.wait_for(|over| *over >= life).await;
        ended.expect("the sender lives as long as the server");
    }

    /// Closes the data: nobody gets them any more. Returns when everybody has let go of them and
    /// all is on the disk; the directory is then the caller's.
    ///
    /// Whoever waits for their log learns that it ends, and `clients` who wait for keys are sent
    /// away.
    ///
    /// # Errors
    ///
    /// When the log is, or has just been, poisoned.
    ///
    /// # Cancel safety
    ///
    /// None: whoever drops the future does not learn when the directory is free.
    pub(crate) async fn close(&self, clients: &Clients) -> Result<(), Poisoned> {
        let Some(opened) = self.opened.swap(None) else {
            return Ok(());
        };
        *self.load.lock() = Load::of(opened.life + 1);
        self.over.send_replace(opened.life);
        opened.commits.load().end();
        clients.dismiss_waiting();
        let released = self.released.lock().take();
        let closing = tokio::task::spawn_blocking(move || opened.store.close());
        let closed = closing.await.expect("closing does not panic");
        if let Some(released) = released {
            let Err(_dropped) = released.await;
        }
        closed
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
        let load = self.load.lock();
        Pace {
            done: load.progress.done(),
            total: load.progress.total(),
            elapsed: load.began.elapsed(),
        }
    }

    /// When the load began, in milliseconds since 1970.
    pub(crate) fn began_ms(&self) -> u64 {
        self.load.lock().began_ms
    }
}

/// Lets everybody have the data, and watches over their log until they are closed.
pub(crate) fn publish(server: &Arc<Server>, store: Arc<Store>) -> Arc<Opened> {
    let opened = server.loading.finish(store);
    // CONFIG SET may have come when there was nobody to be told.
    opened.heed(&server.config);
    tokio::spawn(watch(Arc::clone(server), opened.commits.load_full()));
    server.waiters.reopened(server);
    opened
}

/// Wakes those who wait for the log, and stops the server once it has failed.
async fn watch(server: Arc<Server>, commits: Arc<Commits>) {
    match commits.relay().await {
        Ended::Closed => {}
        Ended::Failed(cause) => {
            let reason = Reason::LogFailed(cause.to_string());
            server.shutdown.request(reason);
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
    options.log.progress = Some(Arc::clone(&server.loading.load.lock().progress));
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
        role: if config.text(config::REPLICAOF).is_empty() {
            Opening::Lead(HistoryId::new(chance::from_kernel()))
        } else {
            Opening::Follow
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
    use std::task::{Context, Waker};

    use super::*;

    fn open(dir: &Path) -> Arc<Store> {
        let options = options(&Config::defaults());
        Store::open(Arc::new(RealDisk), dir, options).unwrap()
    }

    #[test]
    fn data_are_closed_once_everybody_has_let_go_of_them() {
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        runtime.unwrap().block_on(async {
            let (dir, clients) = (tempfile::tempdir().unwrap(), Clients::default());
            let loading = Loading::new();
            let mine = loading.finish(open(dir.path()));
            assert!(!loading.is_over(1) && mine.life == 1);
            let end = mine.store.log().appended();
            let nothing_more = mine.commits.load_full();

            let mut closing = std::pin::pin!(loading.close(&clients));
            let mut cx = Context::from_waker(Waker::noop());
            // As often as it takes to see that it does not end by itself.
            while mine.store.log().durable() < end || Arc::strong_count(&mine) > 1 {
                assert!(closing.as_mut().poll(&mut cx).is_pending());
                tokio::task::yield_now().await;
            }
            assert!(closing.as_mut().poll(&mut cx).is_pending());
            assert!(loading.opened().is_none());
            assert_eq!(
                [0, 1, 2].map(|life| loading.is_over(life)),
                [false, true, false]
            );
            assert!(matches!(nothing_more.reached(end).await, Ok(())));
            let more = Lsn::new(end.get() + 1);
            assert!(matches!(
                nothing_more.reached(more).await,
                Err(Ended::Closed)
            ));
            assert!(matches!(nothing_more.relay().await, Ended::Closed));
            drop(mine);
            closing.await.unwrap();

            let again = loading.finish(open(dir.path()));
            assert!(!loading.is_over(2) && again.life == 2);
        });
    }

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
