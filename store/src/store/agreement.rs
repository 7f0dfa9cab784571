//! How a checkpoint waits until what it holds is not known here alone.
//!
//! A log can be [cut](crate::cut) down to the end of its checkpoint, no further. So a checkpoint
//! that holds what no other node has would cost a master that dies right then, and finds another
//! one leading when it comes back, a copy of everything.
//!
//! | the log                                   | a checkpoint is valid when    | without |
//! |-------------------------------------------|-------------------------------|---------|
//! | leads, and replies wait for replicas      | replicas have it              | never   |
//! | leads, and there are replicas in sync     | these have it                 | in time |
//! | leads alone                               | at once                       |         |
//! | follows                                   | it is durable where it is led | in time |
//!
//! *In time* is when patience ends: space and the time of a start are worth more then.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use super::Store;
use super::upkeep::UpkeepError;
use crate::error::Poisoned;
use crate::lsn::Lsn;

/// How often it is looked at what nobody tells of.
const TICK: Duration = Duration::from_millis(50);

/// What a checkpoint waits for.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Agreement {
    /// Everything below is durable at all replicas that are in sync; `None` when there are none.
    pub upto: Option<Lsn>,
    /// How long a checkpoint waits for that.
    pub patience: Duration,
}

impl Default for Agreement {
    fn default() -> Self {
        Self {
            upto: None,
            patience: Duration::from_secs(10),
        }
    }
}

/// What is agreed, and who waits for more.
#[derive(Debug, Default)]
pub(super) struct Agreed {
    now: Mutex<Agreement>,
    moved: Condvar,
}

impl Store {
    /// Says what replicas have: for checkpoints, which wait for that.
    pub fn set_agreement(&self, agreement: Agreement) {
        *self.agreed.now.lock() = agreement;
        self.agreed.moved.notify_all();
    }

    /// Waits until a checkpoint of what lies below `until` may become valid.
    ///
    /// # Errors
    ///
    /// When replies wait for replicas, and these do not have it in time; when the log is poisoned.
    pub(super) fn wait_agreed(&self, until: Lsn) -> Result<(), UpkeepError> {
        let began = Instant::now();
        let mut now = self.agreed.now.lock();
        loop {
            let replicated = self.log.replicated();
            let agreed = match replicated {
                Some(replicated) => until <= replicated,
                None if self.log.leads() => now.upto.is_none_or(|upto| until <= upto),
                None => until <= self.log.witnessed(),
            };
            if agreed {
                return Ok(());
            }
            if let Some(cause) = self.log.poisoned() {
                return Err(Poisoned(cause).into());
            }
            let left = now.patience.saturating_sub(began.elapsed());
            if left.is_zero() || self.upkeep.closing.load(Ordering::Acquire) {
                return match replicated {
                    Some(_) => Err(UpkeepError::NotAgreed { until }),
                    None => Ok(()),
                };
            }
            self.agreed.moved.wait_for(&mut now, left.min(TICK));
        }
    }
}
