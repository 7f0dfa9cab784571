//! The entries of the load: one field, a value of 100 bytes, in one stream with one group.
//!
//! A value may begin with the time at which it was due to be sent, so that whoever receives it
//! knows how long it was under way.
//!
//! ```text
//! 0                       20                                      100
//! | nanoseconds, 0-padded | letters                               |
//! ```

use super::wire;

/// The stream.
pub(super) const KEY: &[u8] = b"s";
/// The group.
pub(super) const GROUP: &[u8] = b"g";
/// Bytes of a value.
pub(super) const VALUE_LEN: usize = 100;

const FIELD: &[u8] = b"f";
const STAMP_LEN: usize = 20;

/// Appends an XADD of one entry.
pub(super) fn add(out: &mut Vec<u8>, id: &[u8], value: &[u8; VALUE_LEN]) {
    wire::request(out, &[b"XADD", KEY, id, FIELD, value]);
}

/// The ID of the entry that [`super::client::Client::fill`] adds as the `number`th: one a
/// millisecond.
pub(super) fn id(number: u64) -> String {
    format!("{}-0", 1_000_000_000_000 + number)
}

/// A value with no time in it.
pub(super) fn value() -> [u8; VALUE_LEN] {
    std::array::from_fn(|at| b"etaoinshrdlucmfwypvbgkqjxz"[at * 7 % 26])
}

/// A value that knows when it was due.
pub(super) fn stamped(nanos: u64) -> [u8; VALUE_LEN] {
    let mut value = value();
    let mut rest = nanos;
    for digit in value[..STAMP_LEN].iter_mut().rev() {
        *digit = b"0123456789"[(rest % 10) as usize];
        rest /= 10;
    }
    value
}

/// The time in a value, if there is one.
pub(super) fn stamp(value: &[u8]) -> Option<u64> {
    std::str::from_utf8(value.get(..STAMP_LEN)?)
        .ok()?
        .parse()
        .ok()
}

/// What the bulk strings of a reply to XREAD or XREADGROUP are, given the load's entries.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Part {
    Field,
    Id,
    Key,
    Value,
}

/// What the `nth` bulk string of such a reply is.
pub(super) fn part(nth: u32) -> Part {
    match nth {
        0 => Part::Key,
        nth => match nth % 3 {
            1 => Part::Id,
            2 => Part::Field,
            _ => Part::Value,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamped_value_tells_its_time() {
        for nanos in [0, 7, 1_234_567_890_123, u64::MAX] {
            assert_eq!(stamp(&stamped(nanos)), Some(nanos));
        }
        assert_eq!(stamp(&value()), None);
        assert_eq!(stamp(b"123"), None);
    }

    #[test]
    fn the_parts_of_two_entries_are_told_apart() {
        let parts: Vec<Part> = (0..7).map(part).collect();
        let entry = || [Part::Id, Part::Field, Part::Value];
        let expected: Vec<Part> = [Part::Key]
            .into_iter()
            .chain(entry())
            .chain(entry())
            .collect();
        assert_eq!(parts, expected);
    }
}
