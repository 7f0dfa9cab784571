//! Where the log and the code disagree.
//!
//! A record says what happened, and it was checked before it was written. One that cannot have
//! happened means that the state is wrong or that the log is; going on would spread it.

use crate::lsn::Lsn;

pub(super) const BELOW_LAST: &str = "an entry is added that is not beyond the last ID";
pub(super) const BELOW_TOP: &str = "the last ID is set below an entry";
pub(super) const CONSUMER_EXISTS: &str = "a consumer is created that exists";
pub(super) const GROUP_EXISTS: &str = "a group is created that exists";
pub(super) const JOINS_NOTHING: &str = "an entry joins a node and there is none";
pub(super) const DELIVERED_BACK: &str = "a delivery is not of entries in order, or not new";
pub(super) const NO_CONSUMER: &str = "there is no such consumer";
pub(super) const NO_GROUP: &str = "there is no such group";

/// Panics with the LSN when a record is not possible.
#[inline]
#[track_caller]
pub(super) fn possible(is: bool, at: Lsn, what: &str) {
    if !is {
        impossible(at, what);
    }
}

/// What a record names, or a panic with its LSN.
#[inline]
#[track_caller]
pub(super) fn some<T>(value: Option<T>, at: Lsn, what: &str) -> T {
    value.unwrap_or_else(|| impossible(at, what))
}

#[cold]
#[track_caller]
fn impossible(at: Lsn, what: &str) -> ! {
    panic!("the record at LSN {at} is impossible: {what}");
}
