//! Keys whose time has come: removed in the background, a few at a time.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::clock;
use crate::server::Server;

/// How often to look.
const PERIOD: Duration = Duration::from_millis(100);

/// How many keys to remove before others get their turn.
const AT_ONCE: usize = 256;

/// Removes expired keys for as long as the server runs. Until then a read treats such a key as
/// absent, so nobody sees it late.
pub(crate) async fn run(server: Arc<Server>) {
    let mut ticks = tokio::time::interval(PERIOD);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        while remove_some(&server) {
            tokio::task::yield_now().await;
        }
    }
}

/// Removes some; says whether there may be more.
fn remove_some(server: &Server) -> bool {
    let now = clock::unix_ms();
    let Some(opened) = server.loading.opened() else {
        return false;
    };
    let store = &opened.store;
    let due = store.shared().next_expiry().is_some_and(|at| at <= now);
    // Only a master decides that a key has expired; its replicas learn it from the log.
    if !due || server.replication.follows() || server.pause.holds_expiry() {
        return false;
    }
    let mut access = store.alone();
    // A log that takes no more keeps the keys; readers do not see them.
    let removed = access.remove_expired(now, AT_ONCE).unwrap_or(0);
    let events = access.take_events();
    drop(access);
    server
        .stats
        .expired
        .fetch_add(removed as u64, Ordering::Relaxed);
    server.waiters.serve(server, &opened, &events, now);
    removed == AT_ONCE
}
