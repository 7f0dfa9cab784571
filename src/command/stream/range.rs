//! The ends of a range of IDs as XRANGE, XREVRANGE, XPENDING and XAUTOCLAIM take them.

use headwater_store::StreamId;

use crate::refusal::Refusal;

/// The lower end: `-`, `+`, an ID (a missing sequence number is 0), or `(` and an ID to leave that
/// one out.
pub(super) fn parse_start(word: &[u8]) -> Result<StreamId, Refusal> {
    match word.strip_prefix(b"(") {
        Some(id) => parse_strict(id, 0)?
            .next()
            .ok_or(Refusal::Command("ERR invalid start ID for the interval")),
        None => parse_end_point(word, 0),
    }
}

/// The upper end; a missing sequence number is the largest.
pub(super) fn parse_end(word: &[u8]) -> Result<StreamId, Refusal> {
    match word.strip_prefix(b"(") {
        Some(id) => parse_strict(id, u64::MAX)?
            .prev()
            .ok_or(Refusal::Command("ERR invalid end ID for the interval")),
        None => parse_end_point(word, u64::MAX),
    }
}

/// `-`, `+` or an ID.
pub(super) fn parse_end_point(word: &[u8], missing_seq: u64) -> Result<StreamId, Refusal> {
    match word {
        b"-" => Ok(StreamId::MIN),
        b"+" => Ok(StreamId::MAX),
        id => parse_strict(id, missing_seq),
    }
}

fn parse_strict(word: &[u8], missing_seq: u64) -> Result<StreamId, Refusal> {
    StreamId::parse(word, missing_seq).ok_or(Refusal::InvalidId)
}
