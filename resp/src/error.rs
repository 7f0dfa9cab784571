//! What a peer can say that is not RESP. After any of these the connection is beyond saving: where
//! the next request would start is unknown.

use std::fmt;

/// Bytes that are not a request, or not a reply, within the limits.
///
/// `Display` is the text that Redis sends after `-ERR ` before it closes the connection (compared
/// with Redis 7.0.15 and 8.2.3 over raw sockets). Two texts are not in Redis: `invalid CRLF in
/// request` is Valkey's (9.1), for what Redis does not check; `too big request` stands for what
/// Redis closes without a word. Those about replies are never sent to anyone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProtocolError {
    /// A word of a request begins with this byte instead of `$`.
    ExpectedBulk(u8),
    /// The length of a bulk string is not a decimal number, is negative, or is beyond the limit.
    InvalidBulkLength,
    /// A length or a bulk string is not followed by CR LF.
    InvalidCrlf,
    /// The number of words is not a decimal number, or is beyond the limit.
    InvalidMultibulkLength,
    /// A reply that is neither RESP2 nor RESP3.
    InvalidReply,
    /// A reply with more parts, or more bytes, than allowed.
    ReplyTooBig,
    /// A reply that is nested deeper than allowed.
    ReplyTooDeep,
    /// The length of a bulk string does not end within 64 KiB.
    TooBigBulkCount,
    /// An inline request that does not end within the limit.
    TooBigInline,
    /// The number of words does not end within 64 KiB.
    TooBigMultibulkCount,
    /// A request whose words add up to more than the limit.
    TooBigRequest,
    /// A bulk string longer than what is accepted before authentication.
    UnauthenticatedBulk,
    /// More words than what is accepted before authentication.
    UnauthenticatedMultibulk,
    /// An inline request with an open quote, or with text right after a closing one.
    UnbalancedQuotes,
}

impl fmt::Display for ProtocolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Protocol error: ")?;
        match self {
            // Bytes beyond ASCII appear as the replacement character; Redis sends them raw.
            Self::ExpectedBulk(byte) if !byte.is_ascii() => {
                f.write_str("expected '$', got '\u{FFFD}'")
            }
            Self::ExpectedBulk(byte) => write!(f, "expected '$', got '{}'", char::from(*byte)),
            Self::InvalidBulkLength => f.write_str("invalid bulk length"),
            Self::InvalidCrlf => f.write_str("invalid CRLF in request"),
            Self::InvalidMultibulkLength => f.write_str("invalid multibulk length"),
            Self::InvalidReply => f.write_str("invalid reply"),
            Self::ReplyTooBig => f.write_str("too big reply"),
            Self::ReplyTooDeep => f.write_str("too deep reply"),
            Self::TooBigBulkCount => f.write_str("too big bulk count string"),
            Self::TooBigInline => f.write_str("too big inline request"),
            Self::TooBigMultibulkCount => f.write_str("too big mbulk count string"),
            Self::TooBigRequest => f.write_str("too big request"),
            Self::UnauthenticatedBulk => f.write_str("unauthenticated bulk length"),
            Self::UnauthenticatedMultibulk => f.write_str("unauthenticated multibulk length"),
            Self::UnbalancedQuotes => f.write_str("unbalanced quotes in request"),
        }
    }
}

impl std::error::Error for ProtocolError {}
