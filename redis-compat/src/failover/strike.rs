//! The ways in which a master is taken away.

use std::fmt;

use super::fault::Fault;
use super::ground::Ground;
use super::monitor::MASTER;
use crate::chance::Chance;
use crate::reply::Reply;

/// A way in which a master is taken away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Strike {
    /// It is killed, and comes back when another one leads.
    Kill,
    /// It stands still until another one leads, and knows nothing of that when it goes on.
    Pause,
    /// A monitor is told to.
    Planned,
}

impl Strike {
    pub(super) const ALL: [Self; 3] = [Self::Kill, Self::Pause, Self::Planned];

    /// Takes the master away, and returns the next one when all monitors agree on it.
    ///
    /// # Errors
    ///
    /// When there is no next one.
    pub(super) fn at(
        self,
        master: usize,
        ground: &mut Ground,
        chance: &mut Chance,
    ) -> Result<usize, Fault> {
        match self {
            Self::Kill => {
                ground.nodes[master].kill()?;
                let next = another(ground, master)?;
                ground.start(master)?;
                Ok(next)
            }
            Self::Pause => {
                ground.nodes[master].stopped(true)?;
                let next = another(ground, master);
                ground.nodes[master].stopped(false)?;
                next
            }
            Self::Planned => {
                let told = chance.below(ground.monitors.len() as u64);
                let told = usize::try_from(told).unwrap_or(0);
                plan(ground, told)?;
                another(ground, master)
            }
        }
    }
}

impl fmt::Display for Strike {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Kill => "kill -9",
            Self::Pause => "SIGSTOP",
            Self::Planned => "SENTINEL FAILOVER",
        })
    }
}

/// Waits until all monitors agree on another master.
///
/// # Errors
///
/// When they do not.
pub(super) fn another(ground: &mut Ground, master: usize) -> Result<usize, Fault> {
    ground.wait(|ground| match ground.agreed() {
        Some(next) if next != master => Ok(next),
        Some(_) => Err("all monitors keep to the old master".to_owned()),
        None => Err("the monitors do not agree on a master".to_owned()),
    })
}

/// Tells a monitor to replace the master.
///
/// # Errors
///
/// When it will not.
fn plan(ground: &mut Ground, monitor: usize) -> Result<(), Fault> {
    ground.wait(|ground| {
        let reply = ground.monitors[monitor].ask(&["SENTINEL", "FAILOVER", MASTER]);
        if reply == Some(Reply::Simple(b"OK".to_vec())) {
            Ok(())
        } else {
            let reply = reply.map(|reply| reply.to_string());
            Err(format!("SENTINEL FAILOVER is answered {reply:?}"))
        }
    })
}
