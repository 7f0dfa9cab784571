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

use headwater_store::{LogOptions, RealDisk, Store, StoreOptions};
use tokio::sync::oneshot;

use crate::clock;
use crate::commits::Commits;
use crate::config::{self, Config};
use crate::server::{Fault, Server, sync_policy};

/// How often the operator hears of a load that takes its time.
const PROGRESS_PERIOD: Duration = Duration::from_secs(1);

/// What is known of the data so far.
pub(crate) struct Loading {
    began: Instant,
    began_ms: u64,
    opened: OnceLock<Opened>,
}

/// The data, and what exists only with them.
pub(crate) struct Opened {
    pub(crate) store: Arc<Store>,
    pub(crate) commits: Commits,
}

impl Loading {
    /// Begins now.
    pub(crate) fn new() -> Self {
        Self {
            began: clock::instant(),
            began_ms: clock::unix_ms(),
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
        let set = self.opened.set(Opened { store, commits });
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
        tracing::info!(
            "has been loading the data for {} s",
            self.elapsed().as_secs()
        );
    }

    /// When it began, in seconds since 1970.
    pub(crate) fn start_time(&self) -> u64 {
        self.began_ms / 1000
    }

    /// How long ago it began.
    pub(crate) fn elapsed(&self) -> Duration {
        self.began.elapsed()
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
        .spawn(move || drop(tell.send(open(&of.config))))
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

/// Opens the store, whose log is then at work.
fn open(config: &Config) -> Result<Arc<Store>, Fault> {
    let dir = config.text(config::DIR);
    let store = Store::open(Arc::new(RealDisk), Path::new(&dir), options(config));
    let store = store.map_err(Fault::Open)?;
    store.log().start().map_err(Fault::Runtime)?;
    Ok(store)
}

/// How the store is to be opened.
pub(crate) fn options(config: &Config) -> StoreOptions {
    let segment_bytes = config.int(config::SEGMENT_SIZE);
    StoreOptions {
        log: LogOptions {
            segment_bytes: u64::try_from(segment_bytes).unwrap_or_default(),
            policy: sync_policy(config),
            ..LogOptions::default()
        },
    }
}
