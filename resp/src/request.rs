//! Requests as they arrive: an incremental scanner that finds the words where they lie.
//!
//! A general RESP parser builds a value per word and starts over when a request is cut in two.
//! This one only notes where words begin and end, in a list that it reuses, and continues where it
//! stopped. A word's header (`$5\r\n`) is recognised in one comparison of its shape for all
//! lengths below 1000; the long way is for everything else.
//!
//! ```text
//!   *3\r\n$4\r\nXADD\r\n$6\r\norders\r\n$1\r\n*\r\n
//!         ^     ^   ^                         ^    ^
//!    bulks|     |   |words[0].end             |    |consumed
//!               |words[0].start               |words[2].end
//! ```
//!
//! The header of word `i` begins two bytes (CR LF) after word `i - 1` ends, so the bulk strings of
//! all words from `i` on are one slice: [`Request::raw_from`].
//!
//! # Invariants
//!
//! * `at` is the end of the last whole word; nothing before it is looked at again.
//! * The list of words grows with the words that arrived, never with the number announced.

use std::fmt;

use crate::limits::LENGTH_LINE_BYTES_MAX;
use crate::writer::push_bulk;
use crate::{Limits, ProtocolError, inline, number};

mod owned;

pub use owned::OwnedRequest;

/// The shortest word: `$0\r\n\r\n`.
const WORD_WIRE_BYTES_MIN: usize = 6;

/// [`Decoder::wanted`] never asks for more, since it repeats what a peer claims.
const WANTED_MAX: usize = 256 * 1024;

/// No inline request may be longer, whatever is set: its copy grows by a factor of 3.5 at most
/// (`a ` becomes `$1\r\na\r\n`), and positions in it are 32 bits wide.
const INLINE_CEILING: usize = 1 << 30;

/// Words, and bytes of an inline request's copy, that a decoder keeps room for between requests.
const KEPT_MAX: usize = 4096;

/// Finds requests in the bytes of one connection.
///
/// ```
/// use headwater_resp::{Decoder, Limits};
///
/// let limits = Limits::new(512 * 1024 * 1024);
/// let mut decoder = Decoder::new();
/// let mut input = b"*2\r\n$4\r\nXLEN\r\n$6\r\nord".to_vec();
/// assert_eq!(decoder.decode(&input, &limits), Ok(None));
///
/// input.extend_from_slice(b"ers\r\n");
/// assert_eq!(decoder.decode(&input, &limits), Ok(Some(26)));
/// let request = decoder.request(&input);
/// assert_eq!(request.word(1), b"orders");
/// assert_eq!(request.raw_from(1), b"$6\r\norders\r\n");
/// ```
#[derive(Debug, Default)]
pub struct Decoder {
    stage: Stage,
    /// Where the next word's header begins.
    at: usize,
    /// Bytes from `at` on that hold no end of a line.
    searched: usize,
    /// Words that are still to come.
    left: usize,
    wanted: usize,
    words: Vec<Span>,
    /// Where the first word's header begins.
    bulks: usize,
    /// Bytes of the whole request.
    consumed: usize,
    /// An inline request as bulk strings; empty when the words lie in the input.
    copy: Vec<u8>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stage {
    /// Before the first byte of a request, or in an unfinished first line.
    #[default]
    FirstLine,
    /// After `*n\r\n`.
    Words,
    /// A whole request has been found.
    Done,
}

impl Decoder {
    /// A decoder at the start of a connection. Allocates nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Looks for a whole request at the start of `input`.
    ///
    /// `Ok(Some(consumed))`: there is one, of `consumed` bytes; read it through
    /// [`request`](Self::request), and give the next call the input without them. It may be empty:
    /// such a request is not answered. `Ok(None)`: more bytes are needed; give the next call the
    /// same bytes with more behind them. `limits` may differ from call to call, and hold for what
    /// is found from then on.
    ///
    /// # Errors
    ///
    /// After an error nothing more can be understood on this connection.
    pub fn decode(
        &mut self,
        input: &[u8],
        limits: &Limits,
    ) -> Result<Option<usize>, ProtocolError> {
        if self.stage == Stage::Done {
            self.begin();
        }
        if self.stage == Stage::FirstLine {
            match input.first() {
                None => return Ok(None),
                Some(b'*') => {
                    if !self.decode_count(input, limits)? {
                        return Ok(None);
                    }
                }
                Some(_) => return self.decode_inline(input, limits),
            }
        }
        if !self.decode_words(input, limits)? {
            return Ok(None);
        }
        self.consumed = self.at;
        self.stage = Stage::Done;
        Ok(Some(self.consumed))
    }

    /// The request that [`decode`](Self::decode) has just found at the start of `input`. Empty
    /// when it has not found one.
    ///
    /// `input` is what `decode` was given: the words of the request lie in it.
    #[must_use]
    pub fn request<'a>(&'a self, input: &'a [u8]) -> Request<'a> {
        if self.stage != Stage::Done {
            return Request::default();
        }
        let bytes = if self.copy.is_empty() {
            input
        } else {
            &self.copy
        };
        Request {
            bytes,
            words: &self.words,
            bulks: self.bulks,
            wire_bytes: self.consumed,
        }
    }

    /// How many bytes beyond its input the last [`decode`](Self::decode) would have needed at
    /// least, for sizing a read buffer; 0 when that is unknown or nothing is needed. At most
    /// 256 KiB, whatever the peer announces.
    #[must_use]
    pub fn wanted(&self) -> usize {
        self.wanted
    }

    /// Forgets the last request.
    fn begin(&mut self) {
        self.words.clear();
        self.copy.clear();
        // One huge request must not cost its memory for as long as the connection lives.
        if self.words.capacity() > KEPT_MAX {
            self.words.shrink_to(KEPT_MAX);
        }
        if self.copy.capacity() > KEPT_MAX {
            self.copy.shrink_to(KEPT_MAX);
        }
        self.stage = Stage::FirstLine;
        self.at = 0;
        self.searched = 0;
        self.wanted = 0;
    }

    /// Reads `*n\r\n`; false when more bytes are needed.
    fn decode_count(&mut self, input: &[u8], limits: &Limits) -> Result<bool, ProtocolError> {
        let (words, header) = match short_header::<b'*'>(input) {
            Some(found) => found,
            None => {
                let too_big = ProtocolError::TooBigMultibulkCount;
                let Some((digits, header)) = length_line(input, &mut self.searched, too_big)?
                else {
                    return Ok(false);
                };
                let words = number::parse(digits).ok_or(ProtocolError::InvalidMultibulkLength)?;
                // A negative number of words is none, as in Redis.
                (usize::try_from(words.max(0)).unwrap_or(usize::MAX), header)
            }
        };
        if words > limits.words {
            return Err(limits.refuse_words(words));
        }
        self.at = header;
        self.bulks = header;
        self.searched = 0;
        self.left = words;
        self.stage = Stage::Words;
        Ok(true)
    }

    /// Reads words until none is left; false when more bytes are needed.
    fn decode_words(&mut self, input: &[u8], limits: &Limits) -> Result<bool, ProtocolError> {
        let end_max = limits.request_bytes.min(Span::POSITION_MAX);
        while self.left > 0 {
            let rest = input.get(self.at..).unwrap_or_default();
            let (bytes, header) = match short_header::<b'$'>(rest) {
                Some(found) => found,
                None => match long_header(rest, &mut self.searched)? {
                    Some(found) => found,
                    None => {
                        self.wanted = 0;
                        return Ok(false);
                    }
                },
            };
            if bytes > limits.word_bytes {
                return Err(limits.refuse_word(bytes));
            }
            let start = self.at + header;
            if bytes.saturating_add(start + 2) > end_max {
                return Err(ProtocolError::TooBigRequest);
            }
            let end = start + bytes;
            match input.get(end..end + 2) {
                Some(b"\r\n") => {}
                Some(_) => return Err(ProtocolError::InvalidCrlf),
                None => {
                    let others = (self.left - 1).saturating_mul(WORD_WIRE_BYTES_MIN);
                    let missing = (end + 2).saturating_sub(input.len());
                    self.wanted = missing.saturating_add(others).min(WANTED_MAX);
                    return Ok(false);
                }
            }
            self.words.push(Span::new(start, end));
            self.at = end + 2;
            self.searched = 0;
            self.left -= 1;
        }
        self.wanted = 0;
        Ok(true)
    }

    /// Reads a request that is a line of text.
    fn decode_inline(
        &mut self,
        input: &[u8],
        limits: &Limits,
    ) -> Result<Option<usize>, ProtocolError> {
        let line_max = limits.inline_bytes.min(INLINE_CEILING);
        let window = input.len().min(line_max + 1);
        let unseen = input.get(self.searched..window).unwrap_or_default();
        let Some(found) = memchr::memchr(b'\n', unseen) else {
            if input.len() > line_max {
                return Err(ProtocolError::TooBigInline);
            }
            self.searched = input.len();
            return Ok(None);
        };
        let end = self.searched + found;
        let line = input.get(..end).unwrap_or_default();
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let Self { words, copy, .. } = self;
        inline::split(line, |word| {
            push_bulk(copy, word);
            let end = copy.len() - 2;
            words.push(Span::new(end - word.len(), end));
        })?;
        self.bulks = 0;
        self.consumed = end + 1;
        self.stage = Stage::Done;
        Ok(Some(self.consumed))
    }
}

/// The number in a header like `$5\r\n`, and the header's size, if it is whole, valid and of at
/// most three digits. No whole word is shorter than the longest of these headers, so one test of
/// the length is enough; `None` only means that it takes a closer look.
fn short_header<const MARK: u8>(rest: &[u8]) -> Option<(usize, usize)> {
    let &[mark, first, second, third, fourth, fifth] = rest.first_chunk()?;
    let digit = |byte: u8| {
        let digit = byte.wrapping_sub(b'0');
        (digit <= 9).then_some(usize::from(digit))
    };
    if mark != MARK {
        return None;
    }
    let number = digit(first)?;
    if second == b'\r' {
        return (third == b'\n').then_some((number, 4));
    }
    if number == 0 {
        return None;
    }
    let number = number * 10 + digit(second)?;
    if third == b'\r' {
        return (fourth == b'\n').then_some((number, 5));
    }
    let number = number * 10 + digit(third)?;
    (fourth == b'\r' && fifth == b'\n').then_some((number, 6))
}

/// The number in any header of a word, and the header's size; `None` when more bytes are needed.
fn long_header(rest: &[u8], searched: &mut usize) -> Result<Option<(usize, usize)>, ProtocolError> {
    match rest.first() {
        None => return Ok(None),
        Some(b'$') => {}
        Some(&byte) => return Err(ProtocolError::ExpectedBulk(byte)),
    }
    let Some((digits, header)) = length_line(rest, searched, ProtocolError::TooBigBulkCount)?
    else {
        return Ok(None);
    };
    let bytes = number::parse(digits).and_then(|number| usize::try_from(number).ok());
    Ok(Some((
        bytes.ok_or(ProtocolError::InvalidBulkLength)?,
        header,
    )))
}

/// What stands between the first byte of `rest` and the first CR LF, and how many bytes that is
/// with both; `None` when more bytes are needed. Skips what `searched` says was searched before.
fn length_line<'a>(
    rest: &'a [u8],
    searched: &mut usize,
    too_big: ProtocolError,
) -> Result<Option<(&'a [u8], usize)>, ProtocolError> {
    let window = rest.len().min(LENGTH_LINE_BYTES_MAX);
    let unseen = rest.get(*searched..window).unwrap_or_default();
    let Some(found) = memchr::memchr(b'\r', unseen) else {
        if rest.len() > LENGTH_LINE_BYTES_MAX {
            return Err(too_big);
        }
        *searched = window;
        return Ok(None);
    };
    let end = *searched + found;
    match rest.get(end + 1) {
        Some(b'\n') => Ok(Some((rest.get(1..end).unwrap_or_default(), end + 2))),
        Some(_) => Err(ProtocolError::InvalidCrlf),
        None => {
            *searched = end;
            Ok(None)
        }
    }
}

/// Where a word lies, half open.
#[derive(Clone, Copy, Debug)]
struct Span {
    start: u32,
    end: u32,
}

impl Span {
    const POSITION_MAX: usize = u32::MAX as usize;

    #[expect(
        clippy::cast_possible_truncation,
        reason = "requests end below POSITION_MAX"
    )]
    fn new(start: usize, end: usize) -> Self {
        debug_assert!(start <= end && end <= Self::POSITION_MAX);
        Self {
            start: start as u32,
            end: end as u32,
        }
    }

    fn of(self, bytes: &[u8]) -> &[u8] {
        bytes
            .get(self.start as usize..self.end as usize)
            .expect("a request is read from the input it was found in")
    }
}

/// The words of one request, in place.
#[derive(Clone, Copy, Default)]
pub struct Request<'a> {
    /// What the positions refer to.
    bytes: &'a [u8],
    words: &'a [Span],
    bulks: usize,
    wire_bytes: usize,
}

impl<'a> Request<'a> {
    /// The number of words.
    #[must_use]
    pub fn len(&self) -> usize {
        self.words.len()
    }

    /// Whether there is no word. Such a request is not answered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    /// Word `index`, counted from 0.
    ///
    /// # Panics
    ///
    /// When there is no such word, or when the request was taken from another input than the one
    /// it was found in.
    #[must_use]
    pub fn word(&self, index: usize) -> &'a [u8] {
        self.get(index)
            .expect("the index is below the number of words")
    }

    /// Word `index`, if there is one.
    ///
    /// # Panics
    ///
    /// When the request was taken from another input than the one it was found in.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<&'a [u8]> {
        self.words.get(index).map(|span| span.of(self.bytes))
    }

    /// All words in order.
    pub fn words(&self) -> impl ExactSizeIterator<Item = &'a [u8]> + DoubleEndedIterator + Clone {
        let bytes = self.bytes;
        self.words.iter().map(move |span| span.of(bytes))
    }

    /// The words from `index` on as RESP bulk strings, back to back, exactly as they came
    /// (`$4\r\ntask\r\n$4\r\nmail\r\n`). Of an inline request, their one encoding. Empty when
    /// there is no such word.
    #[must_use]
    pub fn raw_from(&self, index: usize) -> &'a [u8] {
        let Some(last) = self.words.last().filter(|_| index < self.words.len()) else {
            return &[];
        };
        let start = match index
            .checked_sub(1)
            .and_then(|before| self.words.get(before))
        {
            Some(before) => before.end as usize + 2,
            None => self.bulks,
        };
        self.bytes
            .get(start..last.end as usize + 2)
            .expect("a request is read from the input it was found in")
    }

    /// How many bytes the whole request took on the wire, for statistics.
    #[must_use]
    pub fn wire_bytes(&self) -> usize {
        self.wire_bytes
    }
}

/// The words as text, for logs and failing tests.
impl fmt::Debug for Request<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = self.words().map(|word| String::from_utf8_lossy(word));
        f.debug_list().entries(words).finish()
    }
}
