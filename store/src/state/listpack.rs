//! How large Redis' storage of an entry would be.
//!
//! Redis packs the entries of a stream into nodes, each a listpack, and approximate trimming
//! (`~`) removes whole nodes only. Where a node ends is therefore visible: in the counts that
//! `XTRIM ~` returns, and in `radix-tree-keys`. We store entries in another way, and compute what
//! the listpack's size would be, to the byte, so that a node ends where Redis' would.
//!
//! ```text
//!  listpack     = header (6), count, deleted, fields, name ..., 0, entry ..., end (1)
//!  first entry,
//!  same names   = flags, ms delta, seq delta, value ..., length
//!  other names  = flags, ms delta, seq delta, fields, (name, value) ..., length
//!
//!  element      = encoding, and the length of the encoding once more for walking backwards
//!  integer      = 1 byte for 0..=127, 2 for 13 bits, then 3, 4, 5, 9 for 16, 24, 32, 64 bits
//!  string       = 1 byte of header below 64 bytes, 2 below 4096, 5 beyond; a word that reads as
//!                 an integer is stored as one
//! ```
//!
//! Source: the format as streams-capable RDB files have it. Verified against Redis 7.0 and 8.2 with
//! random entries.

use std::hash::{BuildHasher, Hasher};

use crate::id::StreamId;
use crate::record::Fields;

/// A listpack without elements: its header and its end.
const EMPTY: u64 = 7;
/// Small integers: flags, the end of the names, a delta of zero.
const SMALL: u64 = 2;
/// A node is never larger, whatever the configuration says (source: Redis).
const NODE_BYTES_MAX: u64 = 1 << 30;

/// When a storage node is full.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct NodeLimits {
    /// `stream-node-max-bytes`; 0 stands for 1 GiB, which is also the maximum.
    pub bytes: u64,
    /// `stream-node-max-entries`, deleted ones included; 0 stands for no limit.
    pub entries: u64,
}

impl Default for NodeLimits {
    /// Redis' defaults.
    fn default() -> Self {
        Self {
            bytes: 4096,
            entries: 100,
        }
    }
}

impl NodeLimits {
    /// Whether a node of `node_bytes` and `node_entries` is full for an entry of `payload` bytes.
    pub(super) fn reached(self, node_bytes: u64, node_entries: u64, payload: u64) -> bool {
        let bytes = if self.bytes == 0 {
            NODE_BYTES_MAX
        } else {
            self.bytes.min(NODE_BYTES_MAX)
        };
        node_bytes + payload >= bytes || (self.entries != 0 && node_entries >= self.entries)
    }
}

/// What the size of an entry depends on, without its place.
pub(super) struct Shape {
    /// Identifies the field names, in their order. Equal names have equal numbers; the converse is
    /// overwhelmingly likely, and an error would only misplace the end of a node.
    pub(super) names: u64,
    /// Bytes of all names and values.
    pub(super) payload: u64,
    fields: u64,
    names_bytes: u64,
    values_bytes: u64,
}

impl Shape {
    pub(super) fn of(fields: &Fields<'_>) -> Self {
        let mut shape = Self {
            names: names(fields),
            payload: 0,
            fields: u64::from(fields.words / 2),
            names_bytes: 0,
            values_bytes: 0,
        };
        let mut words = fields.iter();
        while let (Some(name), Some(value)) = (words.next(), words.next()) {
            shape.payload += (name.len() + value.len()) as u64;
            shape.names_bytes += word_bytes(name);
            shape.values_bytes += word_bytes(value);
        }
        shape
    }

    /// Bytes of a new node that holds only this entry, its counts apart.
    pub(super) fn alone_bytes(&self) -> u64 {
        let master = EMPTY + integer_bytes(self.fields) + self.names_bytes + SMALL;
        master + self.same_names_bytes(0, 0)
    }

    /// Bytes that this entry adds to a node whose first entry ever had ID `first`.
    pub(super) fn added_bytes(&self, first: StreamId, id: StreamId, same_names: bool) -> u64 {
        // Differences wrap: an entry of a later millisecond may have a smaller sequence number.
        let ms = id.ms.wrapping_sub(first.ms).cast_signed();
        let seq = id.seq.wrapping_sub(first.seq).cast_signed();
        if same_names {
            return self.same_names_bytes(ms, seq);
        }
        self.fixed_bytes(ms, seq, 2 * self.fields + 4)
            + integer_bytes(self.fields)
            + self.names_bytes
            + self.values_bytes
    }

    fn same_names_bytes(&self, ms: i64, seq: i64) -> u64 {
        self.fixed_bytes(ms, seq, self.fields + 3) + self.values_bytes
    }

    fn fixed_bytes(&self, ms: i64, seq: i64, length: u64) -> u64 {
        SMALL + signed_bytes(ms) + signed_bytes(seq) + integer_bytes(length)
    }
}

/// Identifies the field names of an entry: see [`Shape::names`].
pub(super) fn names(fields: &Fields<'_>) -> u64 {
    // A fixed seed: a restart must find the same number.
    let mut hasher = foldhash::fast::FixedState::with_seed(0).build_hasher();
    for name in fields.iter().step_by(2) {
        hasher.write_usize(name.len());
        hasher.write(name);
    }
    hasher.finish()
}

/// Bytes of the element that holds a count.
pub(super) fn integer_bytes(number: u64) -> u64 {
    signed_bytes(number.cast_signed())
}

fn signed_bytes(number: i64) -> u64 {
    match number {
        0..=127 => 2,
        -4096..=4095 => 3,
        -0x8000..=0x7fff => 4,
        -0x80_0000..=0x7f_ffff => 5,
        -0x8000_0000..=0x7fff_ffff => 6,
        _ => 10,
    }
}

fn word_bytes(word: &[u8]) -> u64 {
    if let Some(number) = as_integer(word) {
        return signed_bytes(number);
    }
    let length = word.len() as u64;
    let encoding = match length {
        0..64 => 1 + length,
        64..4096 => 2 + length,
        _ => 5 + length,
    };
    // Seven bits a byte; that the last value of a width already takes one more is so in Redis.
    let backwards = match encoding {
        0..128 => 1,
        128..16_383 => 2,
        16_383..2_097_151 => 3,
        2_097_151..268_435_455 => 4,
        _ => 5,
    };
    encoding + backwards
}

/// The number that a word spells in the one canonical way, if it does.
fn as_integer(word: &[u8]) -> Option<i64> {
    let digits = word.strip_prefix(b"-").unwrap_or(word);
    let negative = digits.len() < word.len();
    match digits {
        [b'0'] if !negative => return Some(0),
        [b'1'..=b'9', ..] if digits.len() <= 19 => {}
        _ => return None,
    }
    // Counted downwards, where there is one more number than upwards.
    let number = digits.iter().try_fold(0_i64, |number, &byte| {
        let digit = byte.is_ascii_digit().then(|| i64::from(byte - b'0'))?;
        number.checked_mul(10)?.checked_sub(digit)
    })?;
    if negative {
        Some(number)
    } else {
        number.checked_neg()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_canonical_spelling_is_an_integer() {
        for (word, expected) in [
            ("0", Some(0)),
            ("7", Some(7)),
            ("-1", Some(-1)),
            ("9223372036854775807", Some(i64::MAX)),
            ("-9223372036854775808", Some(i64::MIN)),
            ("9223372036854775808", None),
            ("-9223372036854775809", None),
            ("", None),
            ("-", None),
            ("-0", None),
            ("00", None),
            ("01", None),
            ("+1", None),
            ("1 ", None),
            ("1a", None),
            ("10000000000000000000", None),
            ("99999999999999999999999", None),
        ] {
            assert_eq!(as_integer(word.as_bytes()), expected, "{word:?}");
        }
    }

    #[test]
    fn elements_grow_where_their_encoding_does() {
        for (number, bytes) in [
            (0, 2),
            (127, 2),
            (128, 3),
            (-1, 3),
            (4095, 3),
            (4096, 4),
            (-4096, 3),
            (-4097, 4),
            (32_767, 4),
            (32_768, 5),
            (8_388_607, 5),
            (8_388_608, 6),
            (2_147_483_647, 6),
            (2_147_483_648, 10),
            (i64::MIN, 10),
        ] {
            assert_eq!(signed_bytes(number), bytes, "{number}");
        }
        for (length, bytes) in [
            (0, 2),
            (63, 65),
            (64, 67),
            (125, 128),
            (126, 130),
            (4095, 4099),
            (4096, 4103),
            (16_377, 16_384),
            (16_378, 16_386),
        ] {
            assert_eq!(word_bytes(&vec![b'x'; length]), bytes, "{length}");
        }
    }
}
