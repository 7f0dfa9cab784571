//! The bench's one reader of time.
//!
//! Nanoseconds in a `u64`, because a latency is taken millions of times and goes straight into a
//! histogram of integers.

use rustix::time::{ClockId, Timespec, clock_gettime};
use std::time::Duration;

/// Nanoseconds in a second.
pub(super) const SECOND: u64 = 1_000_000_000;

/// Nanoseconds since some fixed moment; never goes back.
pub(super) fn now() -> u64 {
    nanos(clock_gettime(ClockId::Monotonic))
}

/// How long the calling thread has been on a processor.
pub(super) fn thread_cpu() -> Duration {
    Duration::from_nanos(nanos(clock_gettime(ClockId::ThreadCPUTime)))
}

/// The time from `since` to now.
pub(super) fn elapsed(since: u64) -> Duration {
    Duration::from_nanos(now() - since)
}

/// `nanos` as the kernel takes it.
pub(super) fn timespec(nanos: u64) -> Timespec {
    let part = |nanos: u64| i64::try_from(nanos).expect("a u64 of nanoseconds has few seconds");
    Timespec {
        tv_sec: part(nanos / SECOND),
        tv_nsec: part(nanos % SECOND),
    }
}

fn nanos(time: Timespec) -> u64 {
    time.tv_sec.unsigned_abs() * SECOND + time.tv_nsec.unsigned_abs()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_survives_the_way_to_the_kernel_and_back() {
        for time in [0, 1, SECOND - 1, SECOND, 17 * SECOND + 3] {
            assert_eq!(nanos(timespec(time)), time);
        }
    }
}
