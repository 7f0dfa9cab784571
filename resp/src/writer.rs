//! Replies and requests as bytes, written straight into the buffer that goes to the socket.
//!
//! There is no tree of values in between: a command says what it answers in the order of the wire
//! and need not know which protocol the client speaks.
//!
//! | called | RESP2 | RESP3 |
//! |---|---|---|
//! | `null`, `null_array` | `$-1`, `*-1` | `_` |
//! | `map(2)`, `set(2)`, `push(2)` | `*4`, `*2`, `*2` | `%2`, `~2`, `>2` |
//! | `double(1.5)` | `$3` `1.5` | `,1.5` |
//! | `bool(true)` | `:1` | `#t` |
//! | `verbatim("a")` | `$1` `a` | `=5` `txt:a` |
//!
//! # Invariant
//!
//! Simple strings and errors are one line, whatever text they are made of: a client's own bytes in
//! an error cannot forge a second reply.

use std::fmt::Display;
use std::io::Write;

/// The protocol a client has chosen with `HELLO`; RESP2 until then.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protocol {
    /// Strings, errors, integers, arrays.
    #[default]
    Resp2,
    /// With nulls, maps, sets, doubles, booleans and pushes of their own.
    Resp3,
}

/// Appends replies to a buffer.
///
/// Whoever announces `n` parts (`array`, `map`, `set`, `push`) writes `n` of them next (a map:
/// `2 n`).
///
/// ```
/// use headwater_resp::{Protocol, Writer};
///
/// let mut out = Vec::new();
/// let mut writer = Writer::new(&mut out, Protocol::Resp3);
/// writer.map(1);
/// writer.bulk(b"length");
/// writer.int(3);
/// assert_eq!(out, b"%1\r\n$6\r\nlength\r\n:3\r\n");
/// ```
#[derive(Debug)]
pub struct Writer<'a> {
    out: &'a mut Vec<u8>,
    protocol: Protocol,
}

impl<'a> Writer<'a> {
    /// Appends to `out` in the given protocol.
    pub fn new(out: &'a mut Vec<u8>, protocol: Protocol) -> Self {
        Self { out, protocol }
    }

    /// The same writer for a shorter time, to hand on and keep.
    pub fn reborrow(&mut self) -> Writer<'_> {
        Writer {
            out: self.out,
            protocol: self.protocol,
        }
    }

    /// The protocol replies are written in.
    #[must_use]
    pub fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// Writes everything that follows in another protocol.
    pub fn set_protocol(&mut self, protocol: Protocol) {
        self.protocol = protocol;
    }

    /// Bytes in the buffer, with those that were there before.
    #[must_use]
    pub fn len(&self) -> usize {
        self.out.len()
    }

    /// Whether the buffer is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.out.is_empty()
    }

    /// Takes back everything beyond the first `len` bytes of the buffer, as [`len`](Self::len)
    /// gave them: a reply that turned out otherwise. Does nothing when there are fewer.
    pub fn truncate(&mut self, len: usize) {
        self.out.truncate(len);
    }

    /// A simple string: `+OK`.
    pub fn simple(&mut self, text: &str) {
        self.line(b'+', |out| out.extend_from_slice(text.as_bytes()));
    }

    /// An error; `text` begins with its code: `ERR no such key`.
    pub fn error(&mut self, text: impl Display) {
        self.line(b'-', |out| {
            // Only a `Display` that fails can fail here; what it has said by then is the text.
            let _ = write!(out, "{text}");
        });
    }

    /// Like [`error`](Self::error), for texts that quote bytes which need not be UTF-8.
    pub fn error_bytes(&mut self, text: &[u8]) {
        self.line(b'-', |out| out.extend_from_slice(text));
    }

    /// An integer.
    pub fn int(&mut self, number: i64) {
        self.out.push(b':');
        self.out
            .extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
        self.out.extend_from_slice(b"\r\n");
    }

    /// A string of any bytes.
    pub fn bulk(&mut self, bytes: &[u8]) {
        push_bulk(self.out, bytes);
    }

    /// The absence of a value.
    pub fn null(&mut self) {
        self.out.extend_from_slice(match self.protocol {
            Protocol::Resp2 => b"$-1\r\n",
            Protocol::Resp3 => b"_\r\n",
        });
    }

    /// The absence of an array.
    pub fn null_array(&mut self) {
        self.out.extend_from_slice(match self.protocol {
            Protocol::Resp2 => b"*-1\r\n",
            Protocol::Resp3 => b"_\r\n",
        });
    }

    /// The head of an array of `parts` replies.
    pub fn array(&mut self, parts: usize) {
        push_header(self.out, b'*', parts);
    }

    /// The head of a map of `pairs` keys and values.
    pub fn map(&mut self, pairs: usize) {
        match self.protocol {
            Protocol::Resp2 => push_header(self.out, b'*', pairs * 2),
            Protocol::Resp3 => push_header(self.out, b'%', pairs),
        }
    }

    /// The head of a set of `parts` replies.
    pub fn set(&mut self, parts: usize) {
        push_header(self.out, self.or_array(b'~'), parts);
    }

    /// The head of a message that answers no request, of `parts` replies.
    pub fn push(&mut self, parts: usize) {
        push_header(self.out, self.or_array(b'>'), parts);
    }

    /// A floating point number: the shortest text that reads back as the same number.
    pub fn double(&mut self, number: f64) {
        let text = double_text(number);
        match self.protocol {
            Protocol::Resp2 => push_bulk(self.out, text.as_bytes()),
            Protocol::Resp3 => self.line(b',', |out| out.extend_from_slice(text.as_bytes())),
        }
    }

    /// Yes or no.
    pub fn bool(&mut self, yes: bool) {
        self.out.extend_from_slice(match (self.protocol, yes) {
            (Protocol::Resp2, false) => b":0\r\n",
            (Protocol::Resp2, true) => b":1\r\n",
            (Protocol::Resp3, false) => b"#f\r\n",
            (Protocol::Resp3, true) => b"#t\r\n",
        });
    }

    /// Text to be shown to a person as it is.
    pub fn verbatim(&mut self, text: &[u8]) {
        match self.protocol {
            Protocol::Resp2 => push_bulk(self.out, text),
            Protocol::Resp3 => {
                push_header(self.out, b'=', text.len() + 4);
                self.out.extend_from_slice(b"txt:");
                self.out.extend_from_slice(text);
                self.out.extend_from_slice(b"\r\n");
            }
        }
    }

    /// Bytes that are RESP already, such as stored bulk strings.
    pub fn raw(&mut self, resp: &[u8]) {
        self.out.extend_from_slice(resp);
    }

    fn or_array(&self, mark: u8) -> u8 {
        match self.protocol {
            Protocol::Resp2 => b'*',
            Protocol::Resp3 => mark,
        }
    }

    /// One line. Ends of lines in its text become spaces, those at its end vanish (as Redis does).
    fn line(&mut self, mark: u8, write_text: impl FnOnce(&mut Vec<u8>)) {
        self.out.push(mark);
        let start = self.out.len();
        write_text(self.out);
        while self.out.len() > start && matches!(self.out.last(), Some(b'\r' | b'\n')) {
            self.out.pop();
        }
        for byte in self.out.iter_mut().skip(start) {
            if matches!(byte, b'\r' | b'\n') {
                *byte = b' ';
            }
        }
        self.out.extend_from_slice(b"\r\n");
    }
}

/// Appends a request of these words, as a client sends it.
///
/// ```
/// let mut out = Vec::new();
/// headwater_resp::encode_request(&mut out, ["XLEN", "orders"]);
/// assert_eq!(out, b"*2\r\n$4\r\nXLEN\r\n$6\r\norders\r\n");
/// ```
pub fn encode_request<I>(out: &mut Vec<u8>, words: I)
where
    I: IntoIterator<Item: AsRef<[u8]>, IntoIter: ExactSizeIterator>,
{
    let words = words.into_iter();
    push_header(out, b'*', words.len());
    for word in words {
        push_bulk(out, word.as_ref());
    }
}

/// Appends a bulk string.
pub(crate) fn push_bulk(out: &mut Vec<u8>, bytes: &[u8]) {
    push_header(out, b'$', bytes.len());
    out.extend_from_slice(bytes);
    out.extend_from_slice(b"\r\n");
}

/// Appends a mark, a length and an end of line. Most lengths have one or two digits.
fn push_header(out: &mut Vec<u8>, mark: u8, length: usize) {
    match u8::try_from(length) {
        Ok(length @ 0..=9) => out.extend_from_slice(&[mark, b'0' + length, b'\r', b'\n']),
        Ok(length @ 10..=99) => {
            let (tens, ones) = (b'0' + length / 10, b'0' + length % 10);
            out.extend_from_slice(&[mark, tens, ones, b'\r', b'\n']);
        }
        _ => {
            out.push(mark);
            out.extend_from_slice(itoa::Buffer::new().format(length).as_bytes());
            out.extend_from_slice(b"\r\n");
        }
    }
}

/// The shortest text of a number, spelled as Redis spells it in RESP3.
fn double_text(number: f64) -> String {
    if number.is_nan() {
        "nan".to_owned()
    } else if number == 0.0 || (1e-5..1e17).contains(&number.abs()) || number.is_infinite() {
        number.to_string()
    } else {
        let text = format!("{number:e}");
        if text.contains("e-") {
            text
        } else {
            text.replace('e', "e+")
        }
    }
}
