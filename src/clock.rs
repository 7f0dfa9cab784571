//! The only reader of time.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The wall clock as milliseconds since 1970, never negative.
pub(crate) fn unix_ms() -> u64 {
    u64::try_from(since_epoch().as_millis()).unwrap_or(u64::MAX)
}

/// The wall clock as microseconds since 1970.
pub(crate) fn unix_us() -> u64 {
    u64::try_from(since_epoch().as_micros()).unwrap_or(u64::MAX)
}

fn since_epoch() -> Duration {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
}

/// A point of the monotonic clock.
pub(crate) fn instant() -> Instant {
    Instant::now()
}
