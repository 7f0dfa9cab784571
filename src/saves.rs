//! Rounds of upkeep that clients ask for, in Redis' words.
//!
//! Redis *saves* (it makes a snapshot) and *rewrites* (it makes its log short). A round of the
//! store's upkeep does both: it takes a checkpoint and gives back the log behind it. So here the
//! two differ in name, and in who is told that one is going on.

use std::sync::Arc;

use headwater_store::Store;
use parking_lot::Mutex;

use crate::loading::Opened;
use crate::server::Server;

/// What was asked for last.
#[derive(Default)]
pub(crate) struct Saves(Mutex<Asked>);

/// The numbers of rounds.
#[derive(Clone, Copy, Default)]
struct Asked {
    /// Of this life of the data.
    life: u64,
    save: Option<u64>,
    rewrite: Option<u64>,
}

/// What is going on that somebody asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Busy {
    pub(crate) save: bool,
    pub(crate) rewrite: bool,
}

impl Asked {
    /// What was asked of these data.
    fn of(self, opened: &Opened) -> Self {
        if self.life == opened.life {
            return self;
        }
        Self {
            life: opened.life,
            ..Self::default()
        }
    }

    fn busy(self, opened: &Opened) -> Busy {
        let goes_on = |round: Option<u64>| {
            let ended = |round| opened.store.round_ended(round).is_some();
            round.is_some_and(|round| !ended(round))
        };
        Busy {
            save: goes_on(self.save),
            rewrite: goes_on(self.rewrite),
        }
    }
}

impl Saves {
    /// What is going on; nothing while the data are loaded.
    pub(crate) fn busy(&self, server: &Server) -> Busy {
        let asked = *self.0.lock();
        let busy = |opened: Arc<Opened>| asked.of(&opened).busy(&opened);
        server.loading.opened().map(busy).unwrap_or_default()
    }

    /// Asks for a save, and returns the number of its round.
    ///
    /// # Errors
    ///
    /// Whatever `allow` says of what is going on.
    pub(crate) fn save<E>(
        &self,
        opened: &Opened,
        allow: impl FnOnce(Busy) -> Result<(), E>,
    ) -> Result<u64, E> {
        let mut asked = self.0.lock();
        *asked = asked.of(opened);
        allow(asked.busy(opened))?;
        let round = opened.store.request_round();
        asked.save = Some(round);
        Ok(round)
    }

    /// Asks for a rewrite.
    ///
    /// # Errors
    ///
    /// Whatever `allow` says of what is going on.
    pub(crate) fn rewrite<E>(
        &self,
        opened: &Opened,
        allow: impl FnOnce(Busy) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut asked = self.0.lock();
        *asked = asked.of(opened);
        allow(asked.busy(opened))?;
        asked.rewrite = Some(opened.store.request_round());
        Ok(())
    }
}

/// When the last checkpoint was finished, in milliseconds since 1970. While there is none, and when
/// it is from before the start, this is the start, as in Redis.
pub(crate) fn last_ms(server: &Server, now_ms: u64) -> u64 {
    let checkpoint = |store: &Store| store.upkeep_stats().checkpoint;
    let opened = server.loading.opened();
    let finished = opened
        .and_then(|opened| checkpoint(&opened.store))
        .and_then(|checkpoint| checkpoint.finished);
    finished.map_or(server.identity.started_ms, |finished| {
        let age = u64::try_from(finished.elapsed().as_millis()).unwrap_or(u64::MAX);
        now_ms.saturating_sub(age)
    })
}
