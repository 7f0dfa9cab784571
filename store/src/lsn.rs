//! A place in the log.
//!
//! An LSN (log sequence number) says how many bytes of log precede it. It is the position of a
//! frame, the offset of replication and the gate of durability: one number for all three.
//!
//! Ranges are half-open. `durable == Lsn::new(10)` means *everything below 10 is durable*.

use std::fmt;

/// How many log bytes precede a place. Segment headers are not counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lsn(u64);

impl Lsn {
    /// The beginning of the first log there ever was.
    pub const ZERO: Self = Self(0);

    /// A place that no log reaches; it waits for an end that does not come.
    pub(crate) const NEVER: Self = Self(u64::MAX);

    /// The place that `bytes` bytes precede.
    #[must_use]
    pub const fn new(bytes: u64) -> Self {
        Self(bytes)
    }

    /// How many bytes precede this place.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The place `bytes` further on.
    ///
    /// # Panics
    ///
    /// When the log would hold 2^64 bytes.
    #[must_use]
    pub const fn plus(self, bytes: u64) -> Self {
        Self(
            self.0
                .checked_add(bytes)
                .expect("a log is shorter than 2^64 bytes"),
        )
    }

    /// How many bytes lie between `earlier` and this place.
    ///
    /// # Panics
    ///
    /// When `earlier` is later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> u64 {
        self.0
            .checked_sub(earlier.0)
            .expect("the earlier place is not later")
    }
}

impl fmt::Display for Lsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::Lsn;

    #[test]
    fn plus_and_since_are_inverse() {
        let at = Lsn::new(40);
        assert_eq!(at.plus(2).since(at), 2);
        assert_eq!(format!("{:>5}", at.plus(2)), "   42");
    }

    #[test]
    #[should_panic(expected = "not later")]
    fn the_way_back_is_not_a_distance() {
        let _ = Lsn::ZERO.since(Lsn::new(1));
    }
}
