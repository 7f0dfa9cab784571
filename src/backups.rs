//! Backups that clients ask for: one at a time, on a thread that may wait for the disk.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use headwater_store::backup::{Backup, BackupError};
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::loading::Opened;

/// The backup that was asked for last.
#[derive(Default)]
pub(crate) struct Backups(Mutex<Option<Arc<Making>>>);

/// A backup in the making, or made.
#[derive(Debug, Default)]
pub(crate) struct Making {
    made: OnceLock<Result<Backup, BackupError>>,
    ended: Notify,
}

impl Backups {
    /// Begins one, as the directory `target`; `None` while another is being made.
    pub(crate) fn begin(&self, opened: &Arc<Opened>, target: PathBuf) -> Option<Arc<Making>> {
        let mut last = self.0.lock();
        if last.as_ref().is_some_and(|last| last.made().is_none()) {
            return None;
        }
        let making = Arc::new(Making::default());
        *last = Some(Arc::clone(&making));
        let (opened, maker) = (Arc::clone(opened), Arc::clone(&making));
        tokio::task::spawn_blocking(move || {
            let made = opened.store.backup(&target);
            let target = target.display();
            match &made {
                Ok(Backup { lsn, bytes, .. }) => {
                    tracing::info!(%target, %lsn, bytes, "made a backup");
                }
                Err(error) => tracing::warn!(%target, %error, "could not make a backup"),
            }
            maker
                .made
                .set(made)
                .expect("a backup is made by one thread");
            maker.ended.notify_waiters();
        });
        Some(making)
    }
}

impl Making {
    /// How it ended; `None` while it goes on.
    pub(crate) fn made(&self) -> Option<&Result<Backup, BackupError>> {
        self.made.get()
    }

    /// Returns when it has ended.
    pub(crate) async fn ended(&self) {
        loop {
            // Whoever asks before it looks is told of an end in between.
            let ended = self.ended.notified();
            if self.made().is_some() {
                return;
            }
            ended.await;
        }
    }
}
