//! The parts that records and images are made of: integers, names, IDs.
//!
//! Every reader takes its part off the front of the input, or says that the input is malformed;
//! none reads past the end, whatever the bytes claim.

use crate::error::Malformed;
use crate::id::StreamId;

const CUT_OFF: Malformed = Malformed {
    what: "bytes that are cut off",
};
const TOO_LARGE: Malformed = Malformed {
    what: "an integer that is too large",
};
const NO_FLAG: Malformed = Malformed {
    what: "a flag that is neither 0 nor 1",
};

/// The longest integer: nine bytes hold 63 bits, the tenth holds the last.
const INTEGER_BYTES_MAX: u32 = 10;

pub(crate) fn put_integer(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number.to_le_bytes()[0] | 0x80);
        number >>= 7;
    }
    out.push(number.to_le_bytes()[0]);
}

#[inline]
pub(crate) fn integer(input: &mut &[u8]) -> Result<u64, Malformed> {
    // Most are small.
    if let [first @ ..0x80, rest @ ..] = *input {
        *input = rest;
        return Ok(u64::from(*first));
    }
    longer_integer(input)
}

fn longer_integer(input: &mut &[u8]) -> Result<u64, Malformed> {
    let mut number = 0;
    for place in 0..INTEGER_BYTES_MAX {
        let next = byte(input)?;
        let bits = u64::from(next & 0x7f) << (7 * place);
        if bits >> (7 * place) != u64::from(next & 0x7f) {
            return Err(TOO_LARGE);
        }
        number |= bits;
        if next < 0x80 {
            return Ok(number);
        }
    }
    Err(TOO_LARGE)
}

/// An integer that was small when it was written.
pub(crate) fn small(number: u64) -> Result<u32, Malformed> {
    u32::try_from(number).ok().ok_or(TOO_LARGE)
}

pub(crate) fn byte(input: &mut &[u8]) -> Result<u8, Malformed> {
    let (&first, rest) = input.split_first().ok_or(CUT_OFF)?;
    *input = rest;
    Ok(first)
}

/// The next `count` bytes.
pub(crate) fn take<'a>(input: &mut &'a [u8], count: u64) -> Result<&'a [u8], Malformed> {
    let count = usize::try_from(count).ok().ok_or(CUT_OFF)?;
    let (taken, rest) = input.split_at_checked(count).ok_or(CUT_OFF)?;
    *input = rest;
    Ok(taken)
}

pub(crate) fn put_name(out: &mut Vec<u8>, name: &[u8]) {
    put_integer(out, name.len() as u64);
    out.extend_from_slice(name);
}

pub(crate) fn name<'a>(input: &mut &'a [u8]) -> Result<&'a [u8], Malformed> {
    let length = integer(input)?;
    take(input, length)
}

pub(crate) fn put_id(out: &mut Vec<u8>, id: StreamId) {
    put_integer(out, id.ms);
    put_integer(out, id.seq);
}

pub(crate) fn id(input: &mut &[u8]) -> Result<StreamId, Malformed> {
    Ok(StreamId::new(integer(input)?, integer(input)?))
}

/// Appends `to` as seen from `from`, which must not be greater.
pub(crate) fn put_distance(out: &mut Vec<u8>, from: StreamId, to: StreamId) {
    assert!(from <= to, "{to} is not below {from}");
    let base = if to.ms == from.ms { from.seq } else { 0 };
    put_integer(out, to.ms - from.ms);
    put_integer(out, to.seq - base);
}

/// An ID as seen from `from`.
pub(crate) fn distance(input: &mut &[u8], from: StreamId) -> Result<StreamId, Malformed> {
    const TOO_FAR: Malformed = Malformed {
        what: "an ID beyond the last possible one",
    };
    let ms = integer(input)?;
    let seq = integer(input)?;
    let base = if ms == 0 { from.seq } else { 0 };
    Ok(StreamId::new(
        from.ms.checked_add(ms).ok_or(TOO_FAR)?,
        base.checked_add(seq).ok_or(TOO_FAR)?,
    ))
}

pub(crate) fn put_flag(out: &mut Vec<u8>, flag: bool) {
    out.push(u8::from(flag));
}

pub(crate) fn flag(input: &mut &[u8]) -> Result<bool, Malformed> {
    match byte(input)? {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(NO_FLAG),
    }
}

pub(crate) fn put_optional(out: &mut Vec<u8>, number: Option<u64>) {
    put_flag(out, number.is_some());
    if let Some(number) = number {
        put_integer(out, number);
    }
}

pub(crate) fn optional(input: &mut &[u8]) -> Result<Option<u64>, Malformed> {
    if flag(input)? {
        integer(input).map(Some)
    } else {
        Ok(None)
    }
}

/// The distance from `from` to `to` as a small number when they are close: 0, -1, 1, -2, 2, ...
/// become 0, 1, 2, 3, 4, ... Wraps, so that every pair has a distance.
pub(crate) fn zigzag(from: u64, to: u64) -> u64 {
    let distance = to.wrapping_sub(from).cast_signed();
    (distance << 1 ^ distance >> 63).cast_unsigned()
}

/// The number that lies at a [`zigzag`] distance from `from`.
pub(crate) fn unzigzag(from: u64, distance: u64) -> u64 {
    from.wrapping_add(distance >> 1 ^ (distance & 1).wrapping_neg())
}
