//! Names inside the store: the ID of an entry and the number of a stream.
//!
//! Every entry of a stream has a [`StreamId`], two numbers that order it; every stream has a
//! [`StreamNo`], by which the log refers to it. A stream number is never used twice, so a record
//! that names one cannot be mistaken for another stream of the same key, and renaming a stream
//! touches no record of its entries.

use std::fmt;

/// The ID of an entry: `ms-seq`, ordered by time first.
///
/// `0-0` comes before every entry; no entry has it.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct StreamId {
    /// Unix time in milliseconds, or whatever number the producer chose.
    pub ms: u64,
    /// Distinguishes the entries of one millisecond.
    pub seq: u64,
}

impl StreamId {
    /// `0-0`, before every entry.
    pub const MIN: Self = Self::new(0, 0);
    /// The largest ID, after which nothing can be added.
    pub const MAX: Self = Self::new(u64::MAX, u64::MAX);
    /// The longest text that is accepted as an ID (source: the 128 byte buffer of Redis' parser).
    const TEXT_MAX: usize = 127;

    /// The ID `ms-seq`.
    #[must_use]
    pub const fn new(ms: u64, seq: u64) -> Self {
        Self { ms, seq }
    }

    /// The smallest ID greater than this one; `None` after [`MAX`](Self::MAX).
    #[must_use]
    pub const fn next(self) -> Option<Self> {
        match (self.seq.checked_add(1), self.ms.checked_add(1)) {
            (Some(seq), _) => Some(Self::new(self.ms, seq)),
            (None, Some(ms)) => Some(Self::new(ms, 0)),
            (None, None) => None,
        }
    }

    /// The greatest ID smaller than this one; `None` before [`MIN`](Self::MIN).
    #[must_use]
    pub const fn prev(self) -> Option<Self> {
        match (self.seq.checked_sub(1), self.ms.checked_sub(1)) {
            (Some(seq), _) => Some(Self::new(self.ms, seq)),
            (None, Some(ms)) => Some(Self::new(ms, u64::MAX)),
            (None, None) => None,
        }
    }

    /// Appends the text `ms-seq`.
    pub fn write_to(self, out: &mut Vec<u8>) {
        let mut digits = itoa::Buffer::new();
        out.extend_from_slice(digits.format(self.ms).as_bytes());
        out.push(b'-');
        out.extend_from_slice(digits.format(self.seq).as_bytes());
    }

    /// Reads `ms-seq`, or `ms` alone, which stands for `ms-missing_seq`.
    ///
    /// Each part is a number as [`parse_part`](Self::parse_part) reads it. `-`, `+`, `$`, `(...`
    /// and `ms-*` are words of single commands and are not IDs here.
    #[must_use]
    pub fn parse(text: &[u8], missing_seq: u64) -> Option<Self> {
        if text.len() > Self::TEXT_MAX {
            return None;
        }
        match text.iter().position(|&byte| byte == b'-') {
            None => Some(Self::new(Self::parse_part(text)?, missing_seq)),
            Some(dash) => Some(Self::new(
                Self::parse_part(&text[..dash])?,
                Self::parse_part(&text[dash + 1..])?,
            )),
        }
    }

    /// Reads one half of an ID: decimal digits that fit 64 bits.
    ///
    /// As lenient as Redis, which falls back to `strtoull`: leading blanks, one `+` and leading
    /// zeros are tolerated. Negative numbers are not.
    #[must_use]
    pub fn parse_part(text: &[u8]) -> Option<u64> {
        let blanks = text
            .iter()
            .take_while(|byte| matches!(byte, b' ' | 9..=13))
            .count();
        let text = &text[blanks..];
        let digits = text.strip_prefix(b"+").unwrap_or(text);
        if digits.is_empty() {
            return None;
        }
        digits.iter().try_fold(0_u64, |number, &byte| {
            let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
            number.checked_mul(10)?.checked_add(digit)
        })
    }
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.ms, self.seq)
    }
}

/// The number of a stream: given at its creation, in order, and never again.
///
/// It also is the order in which a scan of the keyspace returns the keys.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct StreamNo(u64);

impl StreamNo {
    /// The number of the first stream of a new store. Zero is no stream, so that it can stand for
    /// "from the beginning" and "done" in a scan's cursor.
    pub const FIRST: Self = Self(1);

    /// The stream with this number.
    #[must_use]
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The number that follows.
    ///
    /// # Panics
    ///
    /// After 2^64 streams.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(
            self.0
                .checked_add(1)
                .expect("streams are created one at a time"),
        )
    }
}

impl fmt::Display for StreamNo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_carry_between_the_halves() {
        let id = StreamId::new;
        assert_eq!(id(1, 2).next(), Some(id(1, 3)));
        assert_eq!(id(1, u64::MAX).next(), Some(id(2, 0)));
        assert_eq!(StreamId::MAX.next(), None);
        assert_eq!(id(1, 2).prev(), Some(id(1, 1)));
        assert_eq!(id(1, 0).prev(), Some(id(0, u64::MAX)));
        assert_eq!(StreamId::MIN.prev(), None);
    }

    #[test]
    fn text_is_read_as_leniently_as_redis_reads_it() {
        let id = |ms, seq| Some(StreamId::new(ms, seq));
        let max = "18446744073709551615-18446744073709551615";
        for (text, expected) in [
            ("5", id(5, 7)),
            ("5-0", id(5, 0)),
            ("0-0", id(0, 0)),
            ("005-+1", id(5, 1)),
            (" \t5-01", id(5, 1)),
            (max, Some(StreamId::MAX)),
            ("", None),
            ("-", None),
            ("+", None),
            ("5-", None),
            ("-5", None),
            ("5--1", None),
            ("5-1-1", None),
            ("5-*", None),
            ("5 ", None),
            ("+ 5", None),
            ("++5", None),
            ("(5", None),
            ("x", None),
            ("18446744073709551616", None),
            ("99999999999999999999999", None),
        ] {
            assert_eq!(StreamId::parse(text.as_bytes(), 7), expected, "{text:?}");
        }
        let zeros = "0".repeat(126);
        assert_eq!(StreamId::parse(format!("{zeros}5").as_bytes(), 7), id(5, 7));
        assert_eq!(StreamId::parse(format!("{zeros}05").as_bytes(), 7), None);
    }

    #[test]
    fn text_written_is_text_read() {
        for id in [
            StreamId::MIN,
            StreamId::MAX,
            StreamId::new(1_526_919_030_474, 55),
        ] {
            let mut text = Vec::new();
            id.write_to(&mut text);
            assert_eq!(text, id.to_string().as_bytes());
            assert_eq!(StreamId::parse(&text, 0), Some(id));
        }
    }
}
