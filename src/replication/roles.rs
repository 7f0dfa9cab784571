//! The one path for each change of role: a task that makes the role that is wanted the one that is.
//!
//! ```text
//!            turn                      turn
//!  Master ---------> store.follow() ---------> talk to the master, until the next turn
//!    ^                                                        |
//!    '------------------ store.lead() <-----------------------'
//! ```
//!
//! What commands want is in [`Replication`].

use std::sync::Arc;
use std::time::Duration;

use headwater_store::error::LeadError;
use headwater_store::{HistoryId, Lsn};
use tokio::sync::watch;

use super::failover::Step;
use super::{Replication, Role, Takeover, replica};
use crate::chance;
use crate::loading;
use crate::pause::Cause;
use crate::server::Server;

/// How often time is looked at while a failover waits, and what is kept for replicas is told.
const PERIOD: Duration = Duration::from_millis(100);

/// A change that failed is tried again after so long.
const REST: Duration = Duration::from_secs(1);

/// Makes changes of role for as long as the server runs. Begins when the data are there, opened as
/// the configuration says.
pub(crate) async fn run(server: Arc<Server>) {
    let mut turns = server.replication.turns.subscribe();
    loop {
        let turn = *turns.borrow_and_update();
        let role = server.replication.role();
        if let Err(error) = settle(&server, &role).await {
            // A log that has failed ends the server; for want of space this one waits.
            tracing::error!("cannot lead: {error}");
            tokio::time::sleep(REST).await;
            continue;
        }
        server.replication.settled(&server, turn);
        match role {
            Role::Master => lead(&server, &mut turns).await,
            Role::Replica { of, takeover } => {
                replica::follow(&server, &of, takeover, &mut turns).await;
            }
        }
    }
}

/// Makes the store lead or follow.
async fn settle(server: &Arc<Server>, role: &Role) -> Result<(), LeadError> {
    let Some(opened) = server.loading.opened() else {
        // Whoever closed the data has failed to open them, and said so.
        return Ok(());
    };
    let (leads, now) = (*role == Role::Master, Arc::clone(&opened));
    if opened.store.leads() == leads {
        return Ok(());
    }
    let change = move || -> Result<(), LeadError> {
        if leads {
            let id = HistoryId::new(chance::from_kernel());
            let start = opened.store.lead(id)?;
            tracing::info!(%start, %id, "leads from now on");
        } else {
            let followed = opened.store.follow();
            let end = followed.map_err(|poisoned| LeadError::Append(poisoned.into()))?;
            tracing::info!(%end, "follows from now on");
        }
        Ok(())
    };
    let changed = tokio::task::spawn_blocking(change).await;
    changed.expect("a change of role does not panic")?;
    if !leads {
        // What replicas should have acknowledged, and have not, is not acknowledged by us now.
        loading::end_commits(server, &now);
        now.store.log().set_replicated(None);
    }
    Ok(())
}

/// Leads until the next turn, and hands over when `FAILOVER` says so.
async fn lead(server: &Arc<Server>, turns: &mut watch::Receiver<u64>) {
    let mut acks = server.replication.acks();
    let mut ticks = tokio::time::interval(PERIOD);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            changed = turns.changed() => {
                changed.expect("the sender lives as long as the server");
                return;
            }
            _ = ticks.tick() => {}
            changed = acks.changed() => {
                changed.expect("the sender lives as long as the server");
            }
        }
        server.replication.look_at_failover(server);
    }
}

impl Replication {
    /// A change of role has been made.
    fn settled(&self, server: &Server, turn: u64) {
        self.agree(server);
        // Another may have been asked for meanwhile; who asks begins the pause under this lock.
        let state = self.state.lock();
        if *self.turns.borrow() == turn {
            server.pause.end(Cause::Role);
        }
        drop(state);
    }

    fn look_at_failover(&self, server: &Server) {
        let end = server.loading.opened();
        let end = end.map_or(Lsn::ZERO, |opened| opened.store.log().appended());
        let now_ms = self.now_ms();
        let (step, forced) = {
            let mut state = self.state.lock();
            let replicas = self.replicas.lock();
            let step = state.failover.look(now_ms, end, &replicas);
            let has_all = |to: &super::Address| {
                let found = replicas.at(&to.host, to.port);
                found.is_some_and(|(_, replica)| replica.durable >= end)
            };
            let forced = matches!(&step, Some(Step::HandOver(to)) if !has_all(to));
            (step, forced)
        };
        match step {
            None => {}
            Some(Step::GiveUp) => {
                tracing::warn!("gives up handing over: no replica has everything in time");
                self.end_failover(server);
            }
            Some(Step::HandOver(of)) => {
                tracing::info!(to = %of, forced, "hands over");
                let takeover = if forced {
                    Takeover::Forced
                } else {
                    Takeover::Asked
                };
                self.turn(server, Role::Replica { of, takeover });
            }
        }
    }
}
