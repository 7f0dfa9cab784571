//! The ID of an entry.

use std::fmt;

/// The ID of an entry, in the order of the stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Id {
    pub(super) ms: u64,
    pub(super) seq: u64,
}

impl Id {
    /// Below all IDs that an entry can have.
    pub(super) const ZERO: Self = Self { ms: 0, seq: 0 };

    pub(super) fn parse(text: &[u8]) -> Option<Self> {
        let (ms, seq) = std::str::from_utf8(text).ok()?.split_once('-')?;
        Some(Self {
            ms: ms.parse().ok()?,
            seq: seq.parse().ok()?,
        })
    }

    /// The ID that `<ms>-*` becomes behind this one, if that is allowed.
    pub(super) fn next_within(self, ms: u64) -> Option<Self> {
        match ms.cmp(&self.ms) {
            std::cmp::Ordering::Less => None,
            std::cmp::Ordering::Equal => Some(self.after()),
            std::cmp::Ordering::Greater => Some(Self { ms, seq: 0 }),
        }
    }

    /// The next greater one.
    pub(super) fn after(self) -> Self {
        Self {
            ms: self.ms,
            seq: self.seq + 1,
        }
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.ms, self.seq)
    }
}
