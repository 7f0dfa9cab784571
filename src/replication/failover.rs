//! `FAILOVER`: handing the master's part to a replica that has everything, without a socket and
//! without a clock.
//!
//! ```text
//!              asked                    a replica has everything
//!  NoFailover -------> WaitingForSync --------------------------> InProgress
//!     ^  ^                  | aborted, or time is up                  |
//!     |  +------------------+        (with FORCE: goes on) ---------->|
//!     |                                                               |
//!     +------------------ the replica leads; or it refused; or aborted+
//! ```
//!
//! While it waits nothing is written, so that the end of the log stands still. Unlike in Redis a
//! replica has everything when all of it is on its disk. In progress this server is a replica
//! already: it asks the other to lead (`PSYNC ... FAILOVER`), and follows it.

use std::fmt;

use headwater_store::Lsn;

use super::Address;
use super::replicas::{Replicas, Stage};
use crate::refusal::Refusal;

/// How far a failover is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Failover {
    #[default]
    None,
    WaitingForSync(Ask),
    InProgress,
}

/// What `FAILOVER` asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ask {
    /// `None`: whichever has everything first.
    pub(crate) target: Option<Address>,
    /// Goes on when the time is up, although the target does not have everything.
    pub(crate) force: bool,
    /// When waiting ends; `None` is never.
    pub(crate) until_ms: Option<u64>,
}

/// What comes of looking.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// This replica is to lead from now on.
    HandOver(Address),
    /// The time is up: everything stays as it was.
    GiveUp,
}

impl fmt::Display for Failover {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "no-failover",
            Self::WaitingForSync(_) => "waiting-for-sync",
            Self::InProgress => "failover-in-progress",
        })
    }
}

impl Failover {
    /// Begins one.
    ///
    /// # Errors
    ///
    /// When one goes on, or there is nobody to hand over to.
    pub(crate) fn begin(&mut self, ask: Ask, replicas: &Replicas) -> Result<(), Refusal> {
        if *self != Self::None {
            return Err(Refusal::Command("ERR FAILOVER already in progress."));
        }
        if replicas.len() == 0 {
            return Err(Refusal::Command(
                "ERR FAILOVER requires connected replicas.",
            ));
        }
        if let Some(target) = &ask.target {
            let text = "ERR FAILOVER target HOST and PORT is not a replica.";
            let found = replicas.at(&target.host, target.port);
            let (_, replica) = found.ok_or(Refusal::Command(text))?;
            if replica.stage != Stage::Online {
                let text = "ERR FAILOVER target replica is not online.";
                return Err(Refusal::Command(text));
            }
        }
        *self = Self::WaitingForSync(ask);
        Ok(())
    }

    /// Looks whether it is time to go on, when the log ends at `end`.
    pub(crate) fn look(&mut self, now_ms: u64, end: Lsn, replicas: &Replicas) -> Option<Step> {
        let Self::WaitingForSync(ask) = self else {
            return None;
        };
        let ready = match &ask.target {
            Some(target) => replicas
                .at(&target.host, target.port)
                .is_some_and(|(_, replica)| replica.durable >= end)
                .then(|| target.clone()),
            None => replicas
                .one_keeping(end)
                .map(|(_, replica)| Address::new(&replica.host, replica.port)),
        };
        let is_over = ask.until_ms.is_some_and(|until_ms| now_ms >= until_ms);
        let forced = || ask.target.clone().filter(|_| ask.force);
        let step = match ready {
            Some(target) => Step::HandOver(target),
            None if !is_over => return None,
            None => forced().map_or(Step::GiveUp, Step::HandOver),
        };
        *self = match step {
            Step::HandOver(_) => Self::InProgress,
            Step::GiveUp => Self::None,
        };
        Some(step)
    }

    /// Ends it, however far it is; says how far it was.
    pub(crate) fn end(&mut self) -> Self {
        std::mem::take(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replicas(durable: &[(u16, u64)]) -> Replicas {
        let mut replicas = Replicas::default();
        for &(port, lsn) in durable {
            let id = u64::from(port);
            replicas.enter(id, "10.0.0.1", port, Stage::Online, Lsn::ZERO, 0);
            replicas.acked(id, Lsn::new(lsn), Lsn::new(lsn), 0);
        }
        replicas
    }

    fn ask(target: Option<u16>, force: bool, until_ms: Option<u64>) -> Ask {
        let target = target.map(|port| Address::new("10.0.0.1", port));
        Ask {
            target,
            force,
            until_ms,
        }
    }

    #[test]
    fn it_waits_until_a_replica_has_everything() {
        let to = |port| Some(Step::HandOver(Address::new("10.0.0.1", port)));
        for (ask, now_ms, marks, step) in [
            (ask(None, false, None), u64::MAX, [(1, 8), (2, 9)], None),
            (ask(None, false, None), 0, [(1, 8), (2, 10)], to(2)),
            (ask(Some(1), false, Some(50)), 49, [(1, 9), (2, 10)], None),
            (
                ask(Some(1), false, Some(50)),
                50,
                [(1, 9), (2, 10)],
                Some(Step::GiveUp),
            ),
            (ask(Some(1), true, Some(50)), 49, [(1, 9), (2, 10)], None),
            (ask(Some(1), true, Some(50)), 50, [(1, 9), (2, 10)], to(1)),
            (ask(Some(1), true, Some(50)), 0, [(1, 10), (2, 0)], to(1)),
        ] {
            let (mut failover, replicas) = (Failover::default(), replicas(&marks));
            failover.begin(ask, &replicas).unwrap();
            let case = format!("{failover:?} at {now_ms}");
            assert_eq!(
                failover.look(now_ms, Lsn::new(10), &replicas),
                step,
                "{case}"
            );
            let state = match step {
                None => "waiting-for-sync",
                Some(Step::HandOver(_)) => "failover-in-progress",
                Some(Step::GiveUp) => "no-failover",
            };
            assert_eq!(failover.to_string(), state, "{case}");
        }
    }

    #[test]
    fn it_is_refused_where_it_makes_no_sense() {
        let refused = |failover: &mut Failover, ask, replicas: &Replicas| {
            failover.begin(ask, replicas).unwrap_err().to_string()
        };
        let mut failover = Failover::default();
        assert_eq!(
            refused(&mut failover, ask(None, false, None), &Replicas::default()),
            "ERR FAILOVER requires connected replicas."
        );
        let mut some = replicas(&[(1, 8)]);
        assert_eq!(
            refused(&mut failover, ask(Some(2), false, None), &some),
            "ERR FAILOVER target HOST and PORT is not a replica."
        );
        some.set_stage(1, Stage::Shipping);
        assert_eq!(
            refused(&mut failover, ask(Some(1), false, None), &some),
            "ERR FAILOVER target replica is not online."
        );
        failover.begin(ask(None, false, None), &some).unwrap();
        assert_eq!(
            refused(&mut failover, ask(None, false, None), &some),
            "ERR FAILOVER already in progress."
        );
        assert!(matches!(failover.end(), Failover::WaitingForSync(_)));
        assert_eq!(failover, Failover::None);
    }
}
