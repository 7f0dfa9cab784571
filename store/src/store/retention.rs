//! What stays of the old end of the log, for those who follow it.
//!
//! ```text
//!  beginning            keep                                        end
//!  |--------------------|-------------------------------------------|
//!            :          what this store needs itself
//!            '- the lowest that is pinned, or `bytes` before the end
//! ```

use super::Store;
use crate::error::Poisoned;
use crate::lsn::Lsn;

/// What of the log is not let go of although this store does not need it itself.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default)]
pub struct Retention {
    /// So many bytes from its end, for those who come back; unless space is short.
    pub bytes: u64,
    /// From here on, whatever it costs: somebody is being served who has come so far.
    pub pinned: Option<Lsn>,
}

impl Retention {
    /// Up to where the log can be let go of, which ends at `end` and is needed from `keep` on.
    pub(super) fn floor(&self, keep: Lsn, end: Lsn, short: bool) -> Lsn {
        let bytes = if short { 0 } else { self.bytes };
        let wished = Lsn::new(end.get().saturating_sub(bytes));
        keep.min(wished).min(self.pinned.unwrap_or(keep))
    }
}

impl Store {
    /// Says what of the log is to be kept from now on. What has been let go of does not come back.
    pub fn retain(&self, retention: Retention) {
        self.upkeep.set_retention(retention);
    }

    /// Lets go of the log as far as nobody needs it; says how many bytes went.
    pub(super) fn let_go(&self) -> Result<u64, Poisoned> {
        let (keep, retention) = self.upkeep.kept();
        let begins = self.log.beginning();
        let floor = retention.floor(keep, self.log.appended(), self.is_short_of_space());
        if floor > begins {
            self.log.release(floor)?;
        }
        Ok(self.log.beginning().since(begins))
    }
}

#[cfg(test)]
mod tests {
    use super::Retention;
    use crate::lsn::Lsn;

    #[test]
    fn the_log_is_kept_for_the_store_itself_for_those_who_are_served_and_for_those_who_come_back() {
        let floor = |bytes, pinned: Option<u64>, short| {
            let pinned = pinned.map(Lsn::new);
            let retention = Retention { bytes, pinned };
            retention.floor(Lsn::new(700), Lsn::new(1000), short).get()
        };
        assert_eq!(floor(0, None, false), 700);
        assert_eq!(floor(200, None, false), 700);
        assert_eq!(floor(600, None, false), 400);
        assert_eq!(floor(2000, None, false), 0);
        assert_eq!(floor(600, None, true), 700, "space is short");
        assert_eq!(floor(600, Some(300), false), 300);
        assert_eq!(floor(600, Some(300), true), 300);
        assert_eq!(floor(0, Some(900), false), 700);
    }
}
