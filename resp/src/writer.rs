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

    /// An integer that says how many.
    pub fn count(&mut self, count: usize) {
        self.int(i64::try_from(count).unwrap_or(i64::MAX));
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

    /// A floating point number, as a text that reads back as the same number.
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

/// The text of a number, spelled as Redis 8.2.3 and Valkey 9.1 spell it (Redis 7.0.15
/// writes 17 digits): whole numbers plainly up to 2^62, others with an exponent where that is
/// clearly shorter.
fn double_text(number: f64) -> String {
    const WHOLE_MAX: f64 = (1u64 << 62) as f64;
    if number.is_nan() {
        return "nan".to_owned();
    }
    if number.is_infinite() {
        return number.to_string();
    }
    if number.fract() == 0.0 && number.abs() <= WHOLE_MAX {
        // All digits, where the shortest text would end in zeros. A negative zero keeps its sign.
        return format!("{number:.0}");
    }
    let scientific = format!("{number:e}");
    let (digits, exponent) = scientific
        .split_once('e')
        .expect("the format has an exponent");
    let digits = i32::try_from(digits.bytes().filter(u8::is_ascii_digit).count())
        .expect("a number has 17 digits at most");
    let exponent: i32 = exponent
        .parse()
        .expect("the format's exponent is an integer");
    // The power of ten that the last digit counts.
    let last = exponent - (digits - 1);
    let plain = if last >= 0 {
        exponent < digits + 7
    } else {
        last > -7 || exponent.abs() < 4
    };
    match (plain, exponent < 0) {
        (true, _) => number.to_string(),
        (false, true) => scientific,
        (false, false) => scientific.replace('e', "e+"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(protocol: Protocol, write: impl FnOnce(&mut Writer<'_>)) -> String {
        let mut out = Vec::new();
        write(&mut Writer::new(&mut out, protocol));
        String::from_utf8(out).unwrap()
    }

    #[track_caller]
    fn check(write: impl Fn(&mut Writer<'_>), resp2: &str, resp3: &str) {
        assert_eq!(written(Protocol::Resp2, &write), resp2);
        assert_eq!(written(Protocol::Resp3, &write), resp3);
    }

    #[test]
    fn each_protocol_has_its_own_spelling() {
        check(|w| w.simple("OK"), "+OK\r\n", "+OK\r\n");
        check(|w| w.error("ERR no"), "-ERR no\r\n", "-ERR no\r\n");
        check(
            |w| w.int(i64::MIN),
            ":-9223372036854775808\r\n",
            ":-9223372036854775808\r\n",
        );
        check(|w| w.bulk(b""), "$0\r\n\r\n", "$0\r\n\r\n");
        check(|w| w.reborrow().null(), "$-1\r\n", "_\r\n");
        check(|w| w.reborrow().null_array(), "*-1\r\n", "_\r\n");
        check(|w| w.array(0), "*0\r\n", "*0\r\n");
        check(|w| w.map(6), "*12\r\n", "%6\r\n");
        check(|w| w.set(2), "*2\r\n", "~2\r\n");
        check(|w| w.push(3), "*3\r\n", ">3\r\n");
        check(|w| w.bool(false), ":0\r\n", "#f\r\n");
        check(|w| w.bool(true), ":1\r\n", "#t\r\n");
        check(|w| w.double(1.5), "$3\r\n1.5\r\n", ",1.5\r\n");
        check(
            |w| w.verbatim(b"a\nb"),
            "$3\r\na\nb\r\n",
            "=7\r\ntxt:a\nb\r\n",
        );
        check(|w| w.raw(b"$1\r\na\r\n"), "$1\r\na\r\n", "$1\r\na\r\n");
    }

    #[test]
    fn lengths_of_every_size_are_decimal() {
        for length in [0, 1, 9, 10, 11, 99, 100, 255, 256, 999, 1000, 65_536] {
            let expected = format!("${length}\r\n{}\r\n", "x".repeat(length));
            let bytes = vec![b'x'; length];
            check(|w| w.bulk(&bytes), &expected, &expected);
            let head = format!("*{length}\r\n");
            check(|w| w.array(length), &head, &head);
        }
    }

    /// Redis 7.0.15, 8.2.3 and Valkey 9.1 answer so to a command named `a\r\nb\r\n`; other control
    /// bytes are sent as they are.
    #[test]
    fn an_error_is_one_line_whatever_it_quotes() {
        let quoted = "ERR unknown command 'a\r\nb\r\n', with args beginning with: 'x\x01\ty' ";
        let line = "-ERR unknown command 'a  b  ', with args beginning with: 'x\x01\ty' \r\n";
        check(|w| w.error(quoted), line, line);
        check(|w| w.error_bytes(quoted.as_bytes()), line, line);
        check(|w| w.error("ERR end\r\n"), "-ERR end\r\n", "-ERR end\r\n");
        check(|w| w.simple("a\r\n+b"), "+a  +b\r\n", "+a  +b\r\n");
        check(|w| w.error(""), "-\r\n", "-\r\n");
    }

    #[test]
    fn bytes_before_a_line_are_left_alone() {
        let mut out = b"$2\r\n\r\n\r\n".to_vec();
        Writer::new(&mut out, Protocol::Resp2).error("");
        assert_eq!(out, b"$2\r\n\r\n\r\n-\r\n");
    }

    /// Redis 8.2.3 and Valkey 9.1 answer so to ZSCORE.
    #[test]
    fn doubles_are_spelled_as_redis_spells_them() {
        for (number, text) in [
            (3.0, "3"),
            (0.0, "0"),
            (-0.5, "-0.5"),
            (0.1, "0.1"),
            (1e16, "10000000000000000"),
            (1e17, "100000000000000000"),
            (8.208_508_325_255_026e16, "82085083252550256"),
            (123_456_789_012_345_680.0, "123456789012345680"),
            (12_345_678_901_234_567_000.0, "12345678901234567000"),
            (1e20, "1e+20"),
            (1e22, "1e+22"),
            (1e300, "1e+300"),
            (1e-4, "0.0001"),
            (1e-5, "0.00001"),
            (1e-6, "0.000001"),
            (1.5e-7, "1.5e-7"),
            (0.000_012_345, "1.2345e-5"),
            (-12_345.678_901_23, "-1.234567890123e+4"),
            (f64::INFINITY, "inf"),
            (f64::NEG_INFINITY, "-inf"),
            (f64::NAN, "nan"),
        ] {
            assert_eq!(double_text(number), text);
            assert!(number.is_nan() || text.parse() == Ok(number), "{text}");
        }
    }

    #[test]
    fn a_reply_can_be_taken_back() {
        let mut out = b"+kept\r\n".to_vec();
        let mut writer = Writer::new(&mut out, Protocol::Resp2);
        let mark = writer.len();
        writer.reborrow().bulk(b"gone");
        writer.truncate(mark);
        writer.set_protocol(Protocol::Resp3);
        assert_eq!(writer.protocol(), Protocol::Resp3);
        writer.null();
        assert!(!writer.is_empty());
        assert_eq!(out, b"+kept\r\n_\r\n");
    }
}
