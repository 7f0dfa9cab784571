//! Replies as a client sees them, for links to other nodes and for tests.
//!
//! Single values are decoded by the `redis-protocol` crate, whose types stay in here. Arrays, maps,
//! sets and pushes are walked by hand, for the crate recurses as deep as its input says, forgets
//! the order of a map, refuses `$-1` in RESP3, and does not check what follows a bulk string.
//!
//! # Invariants
//!
//! * Depth, number of parts and bytes are compared with [`ReplyLimits`] before anything is
//!   allocated for them.
//! * RESP2 and RESP3 are understood alike: which one was chosen does not matter.

use std::fmt;

use redis_protocol::resp3::decode::complete;
use redis_protocol::resp3::types::RangeFrame;

use crate::{ProtocolError, number};

/// What a server answered.
#[derive(Clone, PartialEq)]
pub enum Reply {
    /// Replies in order.
    Array(Vec<Self>),
    /// An integer beyond 64 bits, as its digits.
    BigNumber(Vec<u8>),
    /// Yes or no (RESP3).
    Bool(bool),
    /// A string of any bytes.
    Bulk(Vec<u8>),
    /// A floating point number (RESP3).
    Double(f64),
    /// An error, with its code: `ERR no such key`.
    Error(Vec<u8>),
    /// An integer.
    Int(i64),
    /// Keys and values in the order they came (RESP3).
    Map(Vec<(Self, Self)>),
    /// No value: `$-1` or `_`.
    Null,
    /// No array: `*-1`.
    NullArray,
    /// A message that answers no request (RESP3).
    Push(Vec<Self>),
    /// Replies without order; in the order they came (RESP3).
    Set(Vec<Self>),
    /// A short string: `OK`.
    Simple(Vec<u8>),
    /// Text for a person, without its format (RESP3).
    Verbatim(Vec<u8>),
}

impl Reply {
    /// The bytes of a string of any kind; not of an error.
    #[must_use]
    pub fn as_bytes(&self) -> Option<&[u8]> {
        match self {
            Self::Bulk(bytes) | Self::Simple(bytes) | Self::Verbatim(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// The text of an error.
    #[must_use]
    pub fn as_error(&self) -> Option<&[u8]> {
        match self {
            Self::Error(text) => Some(text),
            _ => None,
        }
    }

    /// The value of an integer.
    #[must_use]
    pub fn as_int(&self) -> Option<i64> {
        match self {
            Self::Int(number) => Some(*number),
            _ => None,
        }
    }

    /// The parts of an array, a set or a push.
    #[must_use]
    pub fn as_parts(&self) -> Option<&[Self]> {
        match self {
            Self::Array(parts) | Self::Push(parts) | Self::Set(parts) => Some(parts),
            _ => None,
        }
    }
}

/// Strings as text, so that a failing test can be read.
impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = |name, bytes: &[u8]| write!(f, "{name}(\"{}\")", bytes.escape_ascii());
        match self {
            Self::BigNumber(digits) => text("BigNumber", digits),
            Self::Bulk(bytes) => text("Bulk", bytes),
            Self::Error(bytes) => text("Error", bytes),
            Self::Simple(bytes) => text("Simple", bytes),
            Self::Verbatim(bytes) => text("Verbatim", bytes),
            Self::Array(parts) => f.debug_tuple("Array").field(parts).finish(),
            Self::Bool(yes) => f.debug_tuple("Bool").field(yes).finish(),
            Self::Double(number) => f.debug_tuple("Double").field(number).finish(),
            Self::Int(number) => f.debug_tuple("Int").field(number).finish(),
            Self::Map(pairs) => f.debug_tuple("Map").field(pairs).finish(),
            Self::Null => f.write_str("Null"),
            Self::NullArray => f.write_str("NullArray"),
            Self::Push(parts) => f.debug_tuple("Push").field(parts).finish(),
            Self::Set(parts) => f.debug_tuple("Set").field(parts).finish(),
        }
    }
}

/// How large a reply may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplyLimits {
    /// Bytes of a whole reply on the wire.
    pub bytes: usize,
    /// Replies within one reply, at all levels: a part costs more memory than wire.
    pub parts: usize,
    /// Levels of nesting: decoding takes stack for each.
    pub depth: usize,
}

/// What a server of ours may be asked for: 512 MiB, a million parts, 32 levels.
impl Default for ReplyLimits {
    fn default() -> Self {
        Self {
            bytes: 512 * 1024 * 1024,
            parts: 1_000_000,
            depth: 32,
        }
    }
}

/// Decodes the reply at the start of `input`, and says how many bytes it took. `Ok(None)`: more
/// bytes are needed; give the next call the same bytes with more behind them. Each call starts
/// over, which is meant for replies that arrive in a few reads.
///
/// Attributes (RESP3's `|`) are checked and dropped. Streamed strings and arrays (`$?`, `*?`),
/// which no Redis server sends, are not understood.
///
/// ```
/// use headwater_resp::reply::{Reply, ReplyLimits, decode};
///
/// let limits = ReplyLimits::default();
/// let decoded = decode(b"*2\r\n$2\r\nhi\r\n:1\r\n+next", &limits).expect("this is RESP");
/// let parts = vec![Reply::Bulk(b"hi".to_vec()), Reply::Int(1)];
/// assert_eq!(decoded, Some((Reply::Array(parts), 16)));
/// ```
///
/// # Errors
///
/// `InvalidReply`, `InvalidCrlf`, `ReplyTooBig`, `ReplyTooDeep`. After an error nothing more can be
/// understood on this connection.
pub fn decode(input: &[u8], limits: &ReplyLimits) -> Result<Option<(Reply, usize)>, ProtocolError> {
    let mut walk = Walk {
        input,
        at: 0,
        parts: limits.parts,
        limits,
    };
    match walk.reply(limits.depth) {
        Ok(reply) => Ok(Some((reply, walk.at))),
        Err(Stop::Refused(error)) => Err(error),
        Err(Stop::Incomplete) if input.len() > limits.bytes => Err(ProtocolError::ReplyTooBig),
        Err(Stop::Incomplete) => Ok(None),
    }
}

/// Why a walk ends early.
enum Stop {
    Incomplete,
    Refused(ProtocolError),
}

impl From<ProtocolError> for Stop {
    fn from(error: ProtocolError) -> Self {
        Self::Refused(error)
    }
}

/// A walk over one reply.
struct Walk<'a> {
    input: &'a [u8],
    /// Everything before is decoded.
    at: usize,
    /// How many more parts there may be.
    parts: usize,
    limits: &'a ReplyLimits,
}

impl<'a> Walk<'a> {
    /// Decodes one reply that may nest `depth` levels.
    fn reply(&mut self, depth: usize) -> Result<Reply, Stop> {
        loop {
            let (mark, start) = (self.peek()?, self.at);
            match mark {
                b'*' | b'~' | b'>' | b'%' | b'|' => {
                    let Some(count) = self.length()? else {
                        return match mark {
                            b'*' => Ok(Reply::NullArray),
                            _ => Err(ProtocolError::InvalidReply.into()),
                        };
                    };
                    let depth = depth.checked_sub(1).ok_or(ProtocolError::ReplyTooDeep)?;
                    return Ok(match mark {
                        b'*' => Reply::Array(self.replies(count, depth)?),
                        b'~' => Reply::Set(self.replies(count, depth)?),
                        b'>' => Reply::Push(self.replies(count, depth)?),
                        b'%' => Reply::Map(self.pairs(count, depth)?),
                        _ => {
                            self.pairs(count, depth)?;
                            continue;
                        }
                    });
                }
                b'$' | b'=' | b'!' => {
                    let Some(bytes) = self.length()? else {
                        return match mark {
                            b'$' => Ok(Reply::Null),
                            _ => Err(ProtocolError::InvalidReply.into()),
                        };
                    };
                    self.skip_blob(bytes)?;
                }
                _ => {
                    self.line()?;
                }
            }
            return single(self.input.get(start..self.at).unwrap_or_default());
        }
    }

    /// Decodes the parts of an array or the like. The list grows as they come.
    fn replies(&mut self, count: usize, depth: usize) -> Result<Vec<Reply>, Stop> {
        self.admit(count)?;
        let mut replies = Vec::new();
        for _ in 0..count {
            replies.push(self.reply(depth)?);
        }
        Ok(replies)
    }

    /// Decodes the parts of a map. The list grows as they come.
    fn pairs(&mut self, count: usize, depth: usize) -> Result<Vec<(Reply, Reply)>, Stop> {
        self.admit(count.saturating_mul(2))?;
        let mut pairs = Vec::new();
        for _ in 0..count {
            pairs.push((self.reply(depth)?, self.reply(depth)?));
        }
        Ok(pairs)
    }

    /// Refuses more parts than may come.
    fn admit(&mut self, parts: usize) -> Result<(), Stop> {
        self.parts = self
            .parts
            .checked_sub(parts)
            .ok_or(ProtocolError::ReplyTooBig)?;
        Ok(())
    }

    fn peek(&self) -> Result<u8, Stop> {
        self.input.get(self.at).copied().ok_or(Stop::Incomplete)
    }

    /// Takes a line and gives what is between its mark and its end.
    fn line(&mut self) -> Result<&'a [u8], Stop> {
        let rest = self.input.get(self.at..).unwrap_or_default();
        let end = memchr::memmem::find(rest, b"\r\n").ok_or(Stop::Incomplete)?;
        self.advance(end + 2)?;
        Ok(rest.get(1..end).unwrap_or_default())
    }

    /// Takes a line that gives a length; `None` is -1.
    fn length(&mut self) -> Result<Option<usize>, Stop> {
        match number::parse(self.line()?) {
            Some(-1) => Ok(None),
            Some(length) => match usize::try_from(length) {
                Ok(length) => Ok(Some(length)),
                Err(_) => Err(ProtocolError::InvalidReply.into()),
            },
            None => Err(ProtocolError::InvalidReply.into()),
        }
    }

    /// Takes a string of this length and its CR LF.
    fn skip_blob(&mut self, bytes: usize) -> Result<(), Stop> {
        let end = self.at.saturating_add(bytes);
        if end > self.limits.bytes {
            return Err(ProtocolError::ReplyTooBig.into());
        }
        match self.input.get(end..end + 2) {
            Some(b"\r\n") => self.advance(bytes + 2),
            Some(_) => Err(ProtocolError::InvalidCrlf.into()),
            None => Err(Stop::Incomplete),
        }
    }

    fn advance(&mut self, bytes: usize) -> Result<(), Stop> {
        self.at += bytes;
        if self.at > self.limits.bytes {
            return Err(ProtocolError::ReplyTooBig.into());
        }
        Ok(())
    }
}

/// Decodes one value that holds no others; `bytes` is all of it.
fn single(bytes: &[u8]) -> Result<Reply, Stop> {
    let text = |(start, end)| bytes.get(start..end).unwrap_or_default().to_vec();
    match complete::decode_range(bytes) {
        Ok(Some((frame, size))) if size == bytes.len() => Ok(match frame {
            RangeFrame::BigNumber { data, .. } => Reply::BigNumber(text(data)),
            RangeFrame::BlobError { data, .. } | RangeFrame::SimpleError { data, .. } => {
                Reply::Error(text(data))
            }
            RangeFrame::BlobString { data, .. } => Reply::Bulk(text(data)),
            RangeFrame::Boolean { data, .. } => Reply::Bool(data),
            RangeFrame::Double { data, .. } => Reply::Double(data),
            RangeFrame::Null => Reply::Null,
            RangeFrame::Number { data, .. } => Reply::Int(data),
            RangeFrame::SimpleString { data, .. } => Reply::Simple(text(data)),
            RangeFrame::VerbatimString { data, .. } => Reply::Verbatim(text(data)),
            // Arrays and their kin never come here; `HELLO` and streamed strings are no replies.
            _ => return Err(ProtocolError::InvalidReply.into()),
        }),
        _ => Err(ProtocolError::InvalidReply.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bulk(text: &str) -> Reply {
        Reply::Bulk(text.into())
    }

    /// Decodes `input` and checks that no part of it is taken for the whole.
    #[track_caller]
    fn check(input: &[u8], expected: &Reply) {
        let limits = ReplyLimits::default();
        for end in 0..input.len() {
            assert_eq!(
                decode(&input[..end], &limits),
                Ok(None),
                "the first {end} bytes"
            );
        }
        let more = [input, b"+next\r\n"].concat();
        let (reply, size) = decode(&more, &limits).unwrap().unwrap();
        assert_eq!((&reply, size), (expected, input.len()));
    }

    #[track_caller]
    fn refused(input: &[u8], limits: &ReplyLimits, error: ProtocolError) {
        assert_eq!(
            decode(input, limits),
            Err(error),
            "{}",
            input.escape_ascii()
        );
    }

    #[test]
    fn every_kind_of_reply_is_understood() {
        check(b"+OK\r\n", &Reply::Simple(b"OK".to_vec()));
        check(b"-ERR no\r\n", &Reply::Error(b"ERR no".to_vec()));
        check(b":-12\r\n", &Reply::Int(-12));
        check(
            b"$5\r\na\r\nb\xff\r\n",
            &Reply::Bulk(b"a\r\nb\xff".to_vec()),
        );
        check(b"$0\r\n\r\n", &bulk(""));
        check(b"$-1\r\n", &Reply::Null);
        check(b"*-1\r\n", &Reply::NullArray);
        check(b"*0\r\n", &Reply::Array(vec![]));
        check(b"_\r\n", &Reply::Null);
        check(b"#t\r\n", &Reply::Bool(true));
        check(b"#f\r\n", &Reply::Bool(false));
        check(b",1.5\r\n", &Reply::Double(1.5));
        check(b",-inf\r\n", &Reply::Double(f64::NEG_INFINITY));
        check(
            b"(123456789012345678901\r\n",
            &Reply::BigNumber(b"123456789012345678901".to_vec()),
        );
        check(b"!6\r\nERR no\r\n", &Reply::Error(b"ERR no".to_vec()));
        check(b"=7\r\ntxt:a\nb\r\n", &Reply::Verbatim(b"a\nb".to_vec()));
        check(
            b"~2\r\n:2\r\n:1\r\n",
            &Reply::Set(vec![Reply::Int(2), Reply::Int(1)]),
        );
        check(
            b">1\r\n+message\r\n",
            &Reply::Push(vec![Reply::Simple(b"message".to_vec())]),
        );
    }

    #[test]
    fn aggregates_nest_and_maps_keep_their_order() {
        check(
            b"%3\r\n$1\r\nz\r\n*2\r\n:1\r\n*-1\r\n$1\r\na\r\n%0\r\n$1\r\na\r\n_\r\n",
            &Reply::Map(vec![
                (
                    bulk("z"),
                    Reply::Array(vec![Reply::Int(1), Reply::NullArray]),
                ),
                (bulk("a"), Reply::Map(vec![])),
                (bulk("a"), Reply::Null),
            ]),
        );
    }

    #[test]
    fn attributes_are_dropped() {
        check(b"|1\r\n+ttl\r\n:3\r\n$1\r\na\r\n", &bulk("a"));
        check(
            b"*1\r\n|1\r\n+ttl\r\n*1\r\n:3\r\n:5\r\n",
            &Reply::Array(vec![Reply::Int(5)]),
        );
    }

    #[test]
    fn what_is_not_resp_is_refused() {
        let limits = ReplyLimits::default();
        for input in [
            "x\r\n",
            "HELLO 3\r\n",
            ":x\r\n",
            ":\r\n",
            "#x\r\n",
            ",x\r\n",
            "$x\r\n",
            "$-2\r\n",
            "$04\r\nabcd\r\n",
            "*-2\r\n",
            "*?\r\n",
            "$?\r\n",
            "%-1\r\n",
            "~-1\r\n",
            ">-1\r\n",
            "!-1\r\n",
            "=-1\r\n",
            "=3\r\nabc\r\n",
            "=5\r\nabc:d\r\n",
            ";1\r\na\r\n",
            ".\r\n",
            ":9223372036854775808\r\n",
            "\r\n",
            "*1\r\nx\r\n",
        ] {
            refused(input.as_bytes(), &limits, ProtocolError::InvalidReply);
        }
        refused(b"$1\r\nabc", &limits, ProtocolError::InvalidCrlf);
    }

    #[test]
    fn limits_hold_before_the_bytes_arrive() {
        let limits = ReplyLimits {
            bytes: 64,
            parts: 4,
            depth: 3,
        };
        refused(b"*5\r\n", &limits, ProtocolError::ReplyTooBig);
        refused(b"%3\r\n", &limits, ProtocolError::ReplyTooBig);
        refused(b"*2\r\n*3\r\n", &limits, ProtocolError::ReplyTooBig);
        refused(
            b"*9223372036854775807\r\n",
            &limits,
            ProtocolError::ReplyTooBig,
        );
        refused(
            b"%9223372036854775807\r\n",
            &limits,
            ProtocolError::ReplyTooBig,
        );
        refused(b"$65\r\n", &limits, ProtocolError::ReplyTooBig);
        refused(
            b"$9223372036854775807\r\n",
            &limits,
            ProtocolError::ReplyTooBig,
        );
        refused(
            b"*1\r\n*1\r\n*1\r\n*0\r\n",
            &limits,
            ProtocolError::ReplyTooDeep,
        );
        refused(&[b'+'; 65], &limits, ProtocolError::ReplyTooBig);
        refused(&b"|0\r\n".repeat(17), &limits, ProtocolError::ReplyTooBig);
        assert!(decode(b"*1\r\n*1\r\n*0\r\n", &limits).unwrap().is_some());
        assert!(
            decode(b"*2\r\n*2\r\n:1\r\n:1\r\n:1\r\n", &limits)
                .unwrap()
                .is_some()
        );
    }

    #[test]
    fn the_deepest_reply_of_the_default_limits_fits_on_the_stack() {
        let depth = ReplyLimits::default().depth;
        let deepest = [b"*1\r\n".repeat(depth), b":1\r\n".to_vec()].concat();
        assert!(decode(&deepest, &ReplyLimits::default()).unwrap().is_some());
        let too_deep = b"*1\r\n".repeat(1_000_000);
        refused(
            &too_deep,
            &ReplyLimits::default(),
            ProtocolError::ReplyTooDeep,
        );
    }
}
