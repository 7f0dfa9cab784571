//! Every bound on a request, each with its reason.

use crate::ProtocolError;

/// A line that gives a length must end within this many bytes. Redis' value.
pub(crate) const LENGTH_LINE_BYTES_MAX: usize = 64 * 1024;

/// What a length is compared with before authentication, to tell nonsense from impatience.
/// Redis' default for `proto-max-bulk-len`.
const WORD_BYTES_DEFAULT: usize = 512 * 1024 * 1024;

/// Redis counts words in a C `int`.
const WORDS_CEILING: usize = 0x7fff_ffff;

/// How large a request may be. Exceeding any of these is a [`ProtocolError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Words in one request. Redis accepts 2^31 - 1, and so do we: a declared number costs
    /// nothing here, and the words that do arrive count towards `request_bytes`.
    pub words: usize,
    /// Bytes in one word: `proto-max-bulk-len`.
    pub word_bytes: usize,
    /// Bytes in one inline request, without its LF: a client that speaks another protocol, or
    /// none, is noticed instead of buffered.
    pub inline_bytes: usize,
    /// Bytes in one whole request as it came over the wire. Never more than 4 GiB - 1, whatever
    /// is set: positions in a request are 32 bits wide. Redis' `client-query-buffer-limit`.
    pub request_bytes: usize,
    /// Whether the client may use all of it. Only chooses the error's text: a client that is
    /// merely not authenticated yet is told so.
    pub authenticated: bool,
}

impl Limits {
    /// The limits of a client that may run commands.
    #[must_use]
    pub const fn new(proto_max_bulk_len: usize) -> Self {
        Self {
            words: WORDS_CEILING,
            word_bytes: proto_max_bulk_len,
            inline_bytes: 64 * 1024,
            request_bytes: 1024 * 1024 * 1024,
            authenticated: true,
        }
    }

    /// The limits of a client that must authenticate first: Redis' 10 words of 16 KiB, enough for
    /// `HELLO` and `AUTH`, so that strangers cannot make the server hold their data.
    #[must_use]
    pub const fn before_auth() -> Self {
        Self {
            words: 10,
            word_bytes: 16 * 1024,
            authenticated: false,
            ..Self::new(WORD_BYTES_DEFAULT)
        }
    }

    /// Why this many words are too many.
    pub(crate) fn refuse_words(&self, words: usize) -> ProtocolError {
        if self.authenticated || words > WORDS_CEILING {
            ProtocolError::InvalidMultibulkLength
        } else {
            ProtocolError::UnauthenticatedMultibulk
        }
    }

    /// Why a word of this many bytes is too long.
    pub(crate) fn refuse_word(&self, bytes: usize) -> ProtocolError {
        if self.authenticated || bytes > WORD_BYTES_DEFAULT {
            ProtocolError::InvalidBulkLength
        } else {
            ProtocolError::UnauthenticatedBulk
        }
    }
}
