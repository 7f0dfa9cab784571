//! The parts of a running server, and its beginning and end.

use std::fmt;
use std::io;
use std::sync::Arc;

use headwater_store::OpenError;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::backups::Backups;
use crate::chance::{self, Chance};
use crate::clients::Clients;
use crate::clock;
use crate::command::{TABLE, TABLE_OF_A_MONITOR, Table};
use crate::config::{self, Config};
use crate::descriptors;
use crate::expiry;
use crate::listener::{self, Listener};
use crate::loading::{self, Loading};
use crate::logging::Logging;
use crate::pause::Pause;
use crate::pubsub::PubSub;
use crate::replication::{Replication, keep, roles};
use crate::saves::Saves;
use crate::sentinel::{self, Sentinel, State, Unfit};
use crate::space::{self, Space};
use crate::stats::{self, Stats};
use crate::waiters::Waiters;

/// What every connection and every command may use.
pub(crate) struct Server {
    pub(crate) config: Config,
    /// What makes this a monitor, which has no data.
    pub(crate) sentinel: Option<Sentinel>,
    /// The commands that it knows.
    pub(crate) table: &'static Table,
    pub(crate) loading: Loading,
    pub(crate) clients: Clients,
    pub(crate) space: Space,
    pub(crate) saves: Saves,
    pub(crate) backups: Backups,
    pub(crate) waiters: Waiters,
    pub(crate) pause: Pause,
    pub(crate) pubsub: PubSub,
    pub(crate) replication: Replication,
    pub(crate) stats: Stats,
    pub(crate) chance: Chance,
    pub(crate) identity: Identity,
    pub(crate) shutdown: Shutdown,
    pub(crate) logging: Logging,
}

/// The Redis that libraries may take this server for: they decide by it which commands to use, and
/// what that version has for streams is here.
pub(crate) const REDIS_VERSION: &str = "7.2.4";

impl Server {
    /// A server of streams, or the monitor that has this state.
    fn new(config: Config, monitor: Option<State>, port: u16, logging: Logging) -> Self {
        let sentinel = monitor.map(|mut state| {
            state.global.port = port;
            Sentinel::new(&state)
        });
        let table = match sentinel {
            Some(_) => &*TABLE_OF_A_MONITOR,
            None => &*TABLE,
        };
        let server = Self {
            sentinel,
            table,
            replication: Replication::new(&config),
            config,
            loading: Loading::new(),
            clients: Clients::default(),
            space: Space::default(),
            saves: Saves::default(),
            backups: Backups::default(),
            waiters: Waiters::default(),
            pause: Pause::default(),
            pubsub: PubSub::default(),
            stats: Stats::new(table),
            chance: Chance::new(u64::from_le_bytes(chance::from_kernel())),
            identity: Identity {
                run_id: chance::random_id(),
                started_ms: clock::unix_ms(),
                port,
            },
            shutdown: Shutdown::new(),
            logging,
        };
        server.limit_outboxes();
        server
    }

    /// Does what `client-output-buffer-limit` says about subscribers.
    pub(crate) fn limit_outboxes(&self) {
        let limit = self.config.output_limits().pubsub;
        self.pubsub.set_outbox_bytes(limit.hard_bytes);
    }

    /// The monitor, for commands that only a monitor knows.
    ///
    /// # Panics
    ///
    /// In a server of streams.
    pub(crate) fn sentinel(&self) -> &Sentinel {
        self.sentinel.as_ref().expect("this is a monitor")
    }

    /// What it is, as clients are told.
    pub(crate) fn mode(&self) -> &'static str {
        match self.sentinel {
            Some(_) => "sentinel",
            None => "standalone",
        }
    }

    /// A server of this directory that listens to nobody.
    #[cfg(test)]
    pub(crate) fn in_dir(dir: &std::path::Path) -> Self {
        let config = Config::defaults();
        let disk = Arc::new(headwater_store::RealDisk);
        let store = headwater_store::Store::open(disk, dir, loading::options(&config));
        let server = Self::new(config, None, 0, Logging::silent());
        server
            .loading
            .finish(store.expect("the directory can hold data"));
        server
    }

    /// A monitor that watches nobody, and listens to nobody.
    #[cfg(test)]
    pub(crate) fn monitor() -> Self {
        let state = State::new("0".repeat(40).into());
        Self::new(Config::defaults(), Some(state), 0, Logging::silent())
    }
}

/// Which server and which life of it this is.
pub(crate) struct Identity {
    /// Forty hexadecimal digits, new at every start (`run_id` of INFO).
    pub(crate) run_id: String,
    pub(crate) started_ms: u64,
    /// The address that was bound first.
    pub(crate) port: u16,
}

/// A request to stop, from a signal, a client or a fault.
pub(crate) struct Shutdown {
    reason: watch::Sender<Option<Reason>>,
}

/// Why the server stops.
#[derive(Clone, Debug)]
pub(crate) enum Reason {
    /// SIGTERM, SIGINT or SHUTDOWN: everything is written and synced first.
    Asked(&'static str),
    /// The log failed and takes nothing any more.
    LogFailed(String),
    /// `SENTINEL SIMULATE-FAILURE` wanted a crash here.
    Simulated,
    /// The data were closed, and cannot be opened again.
    Unusable(String),
}

impl Shutdown {
    fn new() -> Self {
        Self {
            reason: watch::Sender::new(None),
        }
    }

    /// Asks the server to stop. The first reason counts.
    pub(crate) fn request(&self, reason: Reason) {
        self.reason.send_if_modified(|current| {
            let first = current.is_none();
            if first {
                *current = Some(reason);
            }
            first
        });
    }

    /// Returns once the server is to stop.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing.
    pub(crate) async fn requested(&self) -> Reason {
        let mut changes = self.reason.subscribe();
        let reason = changes.wait_for(Option::is_some).await;
        match reason.as_deref() {
            Ok(Some(reason)) => reason.clone(),
            Ok(None) | Err(_) => unreachable!("the sender lives as long as the server"),
        }
    }
}

/// Why the server did not start, or how it ended: for the operator, on one line.
#[derive(Debug)]
pub(crate) enum Fault {
    Bind { address: String, source: io::Error },
    LogFailed(String),
    Open(OpenError),
    Reopen(String),
    Runtime(io::Error),
    Simulated,
    Sync(String),
    Unfit(Unfit),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bind { address, source } => write!(f, "could not listen on {address}: {source}"),
            Self::LogFailed(cause) => write!(
                f,
                "the log failed and nothing is acknowledged any more: {cause}. What was \
                 acknowledged is on disk; start again once the disk is well"
            ),
            Self::Open(error) => write!(f, "could not open the data: {error}"),
            Self::Reopen(cause) => write!(f, "could not open the data again: {cause}"),
            Self::Runtime(source) => write!(f, "could not start the runtime: {source}"),
            Self::Simulated => f.write_str("ends here, as SENTINEL SIMULATE-FAILURE asked"),
            Self::Sync(cause) => write!(f, "could not sync the log at the end: {cause}"),
            Self::Unfit(unfit) => unfit.fmt(f),
        }
    }
}

/// The exit code after the log failed (`EX_IOERR`), for supervisors that tell it from a refusal to
/// start.
const EXIT_LOG_FAILED: u8 = 74;

/// The exit code of Redis' Sentinel after a crash that it simulates.
const EXIT_SIMULATED: u8 = 99;

impl Fault {
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::LogFailed(_) | Self::Sync(_) => EXIT_LOG_FAILED,
            Self::Simulated => EXIT_SIMULATED,
            Self::Bind { .. }
            | Self::Open(_)
            | Self::Reopen(_)
            | Self::Runtime(_)
            | Self::Unfit(_) => 1,
        }
    }
}

/// Serves until asked to stop, loads the data meanwhile, and closes them at the end.
///
/// # Errors
///
/// The server could not start, or its log failed.
pub(crate) fn run(config: Config, monitor: Option<State>, logging: Logging) -> Result<(), Fault> {
    descriptors::provide(&config);
    let listeners = listener::bind(&config)?;
    if let Some(state) = &monitor {
        // Behind the door: a monitor that is there already has its file.
        sentinel::establish(&config, state).map_err(Fault::Unfit)?;
    }
    let port = listeners
        .first()
        .map_or(0, |listener| listener.address.port());
    let server = Arc::new(Server::new(config, monitor, port, logging));
    let workers = workers(&server.config);
    let mut builder = if workers == 1 {
        tokio::runtime::Builder::new_current_thread()
    } else {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        builder.worker_threads(workers);
        builder
    };
    let runtime = builder.enable_all().build().map_err(Fault::Runtime)?;
    let reason = runtime.block_on(serve(&server, listeners));
    // The connections end here: what they acknowledged is in the log, what they did not may be too.
    drop(runtime);
    let opened = server.loading.opened();
    let closed = opened
        .as_ref()
        .map_or(Ok(()), |opened| opened.store.close());
    match (reason?, closed) {
        (Reason::LogFailed(cause), _) => Err(Fault::LogFailed(cause)),
        (Reason::Simulated, _) => Err(Fault::Simulated),
        (Reason::Unusable(cause), _) => Err(Fault::Reopen(cause)),
        (Reason::Asked(by), Ok(())) => {
            match opened {
                Some(_) => tracing::info!("stopped by {by}; everything is on disk"),
                None if server.sentinel.is_some() => tracing::info!("stopped by {by}"),
                None => tracing::info!("stopped by {by} before the data were loaded"),
            }
            Ok(())
        }
        (Reason::Asked(_), Err(poisoned)) => Err(Fault::Sync(poisoned.to_string())),
    }
}

/// Returns once the server is to stop, or cannot have its data.
async fn serve(server: &Arc<Server>, listeners: Vec<Listener>) -> Result<Reason, Fault> {
    let (version, dir) = (env!("CARGO_PKG_VERSION"), server.config.text(config::DIR));
    let addresses: Vec<String> = listeners
        .iter()
        .map(|listener| listener.address.to_string())
        .collect();
    let addresses = addresses.join(", ");
    for listener in listeners {
        tokio::spawn(listener::accept(Arc::clone(server), listener));
    }
    tokio::spawn(stats::run(Arc::clone(server)));
    tokio::spawn(signals(Arc::clone(server)));
    if let Some(sentinel) = &server.sentinel {
        tokio::spawn(sentinel::driver::run(Arc::clone(server)));
        let id = sentinel.with(|monitor, _| monitor.id().to_owned());
        tracing::info!("Headwater {version} serves on {addresses} as a monitor whose ID is {id}");
        return Ok(server.shutdown.requested().await);
    }
    tracing::info!("Headwater {version} listens on {addresses} and loads its data from {dir}");
    let store = tokio::select! {
        biased;
        reason = server.shutdown.requested() => return Ok(reason),
        store = loading::load(server) => store?,
    };
    loading::publish(server, store);
    tokio::spawn(roles::run(Arc::clone(server)));
    tokio::spawn(keep::run(Arc::clone(server)));
    tokio::spawn(expiry::run(Arc::clone(server)));
    tokio::spawn(space::run(Arc::clone(server)));
    let pace = server.loading.pace();
    tracing::info!(
        "Headwater {version} serves on {addresses} with its data in {dir} (appendfsync {}), ready \
         in {} ms, for which {} bytes of log were read",
        server.config.choice(config::APPENDFSYNC),
        pace.elapsed.as_millis(),
        pace.done,
    );
    Ok(server.shutdown.requested().await)
}

/// Turns signals into a request to stop.
async fn signals(server: Arc<Server>) {
    let streams = (
        signal(SignalKind::terminate()),
        signal(SignalKind::interrupt()),
    );
    let (Ok(mut terminate), Ok(mut interrupt)) = streams else {
        tracing::warn!("could not listen for signals; SHUTDOWN still works");
        return;
    };
    let by = tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    };
    server.shutdown.request(Reason::Asked(by));
}

fn workers(config: &Config) -> usize {
    match usize::try_from(config.int(config::WORKER_THREADS)) {
        Ok(0) | Err(_) => std::thread::available_parallelism().map_or(1, usize::from),
        Ok(count) => count,
    }
}
