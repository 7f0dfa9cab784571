//! The entries of the load: one field with a value, usually of 100 bytes, in one stream with one
//! group.
//!
//! A value may begin with the time at which it was due to be sent, so that whoever receives it
//! knows how long it was under way.
//!
//! ```text
//! 0                       20                                      100
//! | nanoseconds, 0-padded | letters                               |
//! ```
//!
//! Where entries are looked at again, they have numbers: [`super::values`].

use super::wire;

/// The stream.
pub(super) const KEY: &[u8] = b"s";
/// The group.
pub(super) const GROUP: &[u8] = b"g";
/// Bytes of a value, where nothing else is said.
pub(super) const VALUE_LEN: usize = 100;
/// Bytes of a number at the beginning of a value.
pub(super) const STAMP_LEN: usize = 20;

const FIELD: &[u8] = b"f";
/// The time in the ID of the entry with the number 0.
const FIRST_MS: u64 = 1_000_000_000_000;

/// Appends an XADD of one entry.
pub(super) fn add(out: &mut Vec<u8>, id: &[u8], value: &[u8]) {
    add_to(KEY, out, id, value);
}

/// Appends an XADD of one entry to some other stream.
pub(super) fn add_to(key: &[u8], out: &mut Vec<u8>, id: &[u8], value: &[u8]) {
    wire::request(out, &[b"XADD", key, id, FIELD, value]);
}

/// The bytes of an entry with a value of so many, as a client counts them: names and values.
pub(super) fn payload(value_len: usize) -> u64 {
    (FIELD.len() + value_len) as u64
}

/// The ID of the entry with this number: one a millisecond.
pub(super) fn id(number: u64) -> String {
    format!("{}-0", FIRST_MS + number)
}

/// The number of the entry with this ID.
pub(super) fn number(id: &[u8]) -> Option<u64> {
    let (ms, seq) = moment(id)?;
    (seq == 0).then(|| ms.checked_sub(FIRST_MS))?
}

/// The two numbers of an ID, which are in its order.
pub(super) fn moment(id: &[u8]) -> Option<(u64, u64)> {
    let (ms, seq) = std::str::from_utf8(id).ok()?.split_once('-')?;
    Some((ms.parse().ok()?, seq.parse().ok()?))
}

/// A value with no time in it.
pub(super) fn value() -> Vec<u8> {
    letters(VALUE_LEN)
}

/// So many letters, in no order that a compressor would like.
pub(super) fn letters(len: usize) -> Vec<u8> {
    let letter = |at: usize| b"etaoinshrdlucmfwypvbgkqjxz"[at * 7 % 26];
    (0..len).map(letter).collect()
}

/// A value that knows when it was due.
pub(super) fn stamped(nanos: u64) -> Vec<u8> {
    let mut value = value();
    stamp_on(&mut value, nanos);
    value
}

/// Writes a number over the beginning of a value.
///
/// # Panics
///
/// When the value is too short for it.
pub(super) fn stamp_on(value: &mut [u8], number: u64) {
    let mut rest = number;
    for digit in value[..STAMP_LEN].iter_mut().rev() {
        *digit = b"0123456789"[(rest % 10) as usize];
        rest /= 10;
    }
}

/// The number at the beginning of a value, if there is one.
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
    fn an_id_tells_its_number() {
        for entry in [0, 7, 1 << 40] {
            assert_eq!(number(id(entry).as_bytes()), Some(entry));
        }
        for id in [
            b"1000000000000-1".as_slice(),
            b"7-0",
            b"1000000000000",
            b"-",
        ] {
            assert_eq!(number(id), None);
        }
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
