//! Where the log and the code disagree.
//!
//! A record says what happened, and it was checked before it was written. One that cannot have
//! happened means that the state is wrong or that the log is; going on would spread it.

use crate::lsn::Lsn;

pub(super) const NO_CONSUMER: &str = "no such consumer";
pub(super) const NO_GROUP: &str = "no such group";

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
