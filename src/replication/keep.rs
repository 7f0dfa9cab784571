//! What a server keeps for its replicas: the end of its log, and shipments.
//!
//! A server that has never had a replica, and is not told that it should have one, keeps nothing.
//!
//! A shipment is a backup in `DIR/outgoing`, made when a replica needs everything, and kept until
//! nobody has wanted it for a while: a replica whose connection broke goes on where it was, and one
//! that comes meanwhile gets the same. The log behind it is kept as long, so that whoever has
//! received it can go on from there.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use headwater_store::RealDisk;
use headwater_store::backup::BackupError;
use headwater_store::{Lsn, Retention};
use parking_lot::Mutex;

use super::shipment::Manifest;
use crate::chance;
use crate::config;
use crate::loading::Opened;
use crate::server::Server;

/// How often to look.
const PERIOD: Duration = Duration::from_secs(1);

/// A shipment that nobody has wanted for so long is removed.
const IDLE_MS: u64 = 60_000;

/// A shipment, ready to be sent.
#[derive(Debug)]
pub(crate) struct Outgoing {
    pub(crate) dir: PathBuf,
    pub(crate) manifest: Manifest,
    /// It holds everything below.
    pub(crate) end: Lsn,
    /// Of which life of the data it is.
    life: u64,
}

/// The last shipment.
#[derive(Default)]
pub(crate) struct Shipments {
    kept: Mutex<Option<Kept>>,
    /// Held while one is made.
    making: tokio::sync::Mutex<()>,
}

struct Kept {
    outgoing: Arc<Outgoing>,
    wanted_ms: u64,
}

impl Shipments {
    /// The shipment that there is, or a new one.
    ///
    /// # Errors
    ///
    /// When it cannot be made.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future may leave a shipment that the next start removes.
    pub(crate) async fn get(
        &self,
        server: &Server,
        opened: &Arc<Opened>,
    ) -> Result<Arc<Outgoing>, BackupError> {
        let _turn = self.making.lock().await;
        if let Some(outgoing) = self.kept(opened) {
            return Ok(outgoing);
        }
        let dir = PathBuf::from(server.config.text(config::DIR)).join("outgoing");
        let (life, opened) = (opened.life, Arc::clone(opened));
        let make = move || make(&opened, &dir, life);
        let made = tokio::task::spawn_blocking(make).await;
        let outgoing = Arc::new(made.expect("making a shipment does not panic")?);
        *self.kept.lock() = Some(Kept {
            outgoing: Arc::clone(&outgoing),
            wanted_ms: server.replication.now_ms(),
        });
        Ok(outgoing)
    }

    /// The shipment that there is, if the log goes on from it.
    fn kept(&self, opened: &Opened) -> Option<Arc<Outgoing>> {
        let kept = self.kept.lock();
        let outgoing = &kept.as_ref()?.outgoing;
        let goes_on =
            outgoing.life == opened.life && opened.store.log().beginning() <= outgoing.end;
        goes_on.then(|| Arc::clone(outgoing))
    }

    /// From which place on the log is needed behind a shipment.
    fn needed_from(&self) -> Option<Lsn> {
        self.kept.lock().as_ref().map(|kept| kept.outgoing.end)
    }

    /// Takes out the shipment when it is of no use any more.
    fn take_idle(&self, now_ms: u64, is_over: impl Fn(u64) -> bool) -> Option<Arc<Outgoing>> {
        let mut kept = self.kept.lock();
        let last = kept.as_mut()?;
        if Arc::strong_count(&last.outgoing) > 1 {
            last.wanted_ms = now_ms;
            return None;
        }
        let idle = now_ms >= last.wanted_ms + IDLE_MS || is_over(last.outgoing.life);
        idle.then(|| kept.take())?.map(|kept| kept.outgoing)
    }
}

fn make(opened: &Opened, parent: &Path, life: u64) -> Result<Outgoing, BackupError> {
    use headwater_store::disk::Disk as _;
    RealDisk.create_dir(parent)?;
    let id: String = chance::from_kernel::<8>()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let dir = parent.join(&id);
    let backup = opened.store.backup_for_replica(&dir)?;
    let manifest = Manifest::of(&RealDisk, &dir, &id)?;
    tracing::info!(%id, end = %backup.lsn, bytes = backup.bytes, "made a shipment for a replica");
    Ok(Outgoing {
        dir,
        manifest,
        end: backup.lsn,
        life,
    })
}

/// Removes what an earlier process left, and then looks after all that is kept for as long as the
/// server runs.
pub(crate) async fn run(server: Arc<Server>) {
    let outgoing = PathBuf::from(server.config.text(config::DIR)).join("outgoing");
    remove(outgoing).await;
    let mut ticks = tokio::time::interval(PERIOD);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        server.replication.retain(&server);
        // Whoever has been silent for too long is not waited for.
        server.replication.agree(&server);
        let now_ms = server.replication.now_ms();
        let is_over = |life| server.loading.is_over(life);
        if let Some(idle) = server.replication.shipments.take_idle(now_ms, is_over) {
            tracing::info!(id = %idle.manifest.id, "removes a shipment that nobody wants");
            remove(idle.dir.clone()).await;
        }
    }
}

async fn remove(dir: PathBuf) {
    let shown = dir.display().to_string();
    let removed = tokio::task::spawn_blocking(move || std::fs::remove_dir_all(dir)).await;
    match removed.expect("removing files does not panic") {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            tracing::warn!("cannot remove {shown}: {error}");
        }
        _ => {}
    }
}

impl super::Replication {
    /// Tells the store what of the log is needed.
    pub(crate) fn retain(&self, server: &Server) {
        let Some(opened) = server.loading.opened() else {
            return;
        };
        let (config, now_ms) = (&server.config, self.now_ms());
        let (here, needed) = self.with_replicas(|all| (all.len() > 0, all.needed_from()));
        let ttl_ms = config.size(config::REPL_BACKLOG_TTL).saturating_mul(1000);
        let is_recent = |since_ms: u64| ttl_ms == 0 || now_ms < since_ms.saturating_add(ttl_ms);
        let had_one = self.state.lock().alone_since_ms.is_some_and(is_recent);
        let wants_one = [config::SYNC_REPLICAS, config::MIN_REPLICAS_TO_WRITE];
        let wants_one = wants_one.iter().any(|&least| config.size(least) > 0);
        let bytes = match here || had_one || wants_one || self.follows() {
            true => config.size(config::REPL_BACKLOG_SIZE),
            false => 0,
        };
        let shipment = self.shipments.needed_from();
        let pinned = needed.into_iter().chain(shipment).min();
        opened.store.retain(Retention { bytes, pinned });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shipment_goes_when_nobody_has_wanted_it_for_a_while_or_its_data_are_gone() {
        let keep = |wanted_ms| {
            let shipments = Shipments::default();
            let outgoing = Arc::new(Outgoing {
                dir: PathBuf::new(),
                manifest: Manifest {
                    id: "1".into(),
                    files: Vec::new(),
                },
                end: Lsn::new(7),
                life: 1,
            });
            let used = Arc::clone(&outgoing);
            *shipments.kept.lock() = Some(Kept {
                outgoing,
                wanted_ms,
            });
            (shipments, used)
        };
        let (shipments, used) = keep(0);
        assert!(
            shipments.take_idle(9 * IDLE_MS, |_| true).is_none(),
            "it is used"
        );
        assert_eq!(shipments.needed_from(), Some(Lsn::new(7)));
        drop(used);
        let end = 10 * IDLE_MS;
        assert!(shipments.take_idle(end - 1, |_| false).is_none());
        assert!(shipments.take_idle(end, |_| false).is_some());
        assert!(shipments.take_idle(end, |_| false).is_none());
        let (shipments, used) = keep(0);
        drop(used);
        assert!(shipments.take_idle(0, |life| life == 1).is_some());
        assert_eq!(shipments.needed_from(), None);
    }
}
