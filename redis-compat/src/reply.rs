//! A reply as it came over the wire: every type of RESP2 and RESP3 kept apart.
//!
//! The decoders of client libraries fold types together (a simple string and a bulk string are both
//! a string to them), because their users do not care. A differ cares, so this one keeps what was
//! sent: `$-1`, `*-1` and `_` are three different nothings.
//!
//! What is printed is close to the wire, on one line:
//!
//! ```text
//!  +OK   -ERR syntax error   :7   $"1-1"   $-1   *-1   _   [$"a", :1]   %{$"len" => :1}
//!  ~{:1}   ,3.25   #t   (12345678901234567890   ="txt:text"   !"ERR long"   >[$"invalidate"]
//! ```

use std::fmt;
use std::io::{self, BufRead, Read};

/// Nothing real is longer. A wrong length must not become an allocation.
const BULK_BYTES_MAX: usize = 512 << 20;
const ELEMENTS_MAX: usize = 64 << 20;
const DEPTH_MAX: usize = 32;

/// One reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    Array(Vec<Self>),
    BigNumber(Vec<u8>),
    BlobError(Vec<u8>),
    Boolean(bool),
    Bulk(Vec<u8>),
    /// As text: two servers must print the same digits.
    Double(Vec<u8>),
    Error(Vec<u8>),
    Integer(i64),
    Map(Vec<(Self, Self)>),
    /// `_`, of RESP3.
    Null,
    /// `*-1`, of RESP2.
    NullArray,
    /// `$-1`, of RESP2.
    NullBulk,
    Push(Vec<Self>),
    Set(Vec<Self>),
    Simple(Vec<u8>),
    Verbatim(Vec<u8>),
}

impl Reply {
    /// Reads one whole reply.
    ///
    /// # Errors
    ///
    /// What the source says; `UnexpectedEof` when it ends before or within the reply; `InvalidData`
    /// when the bytes are not RESP.
    pub(crate) fn read(source: &mut impl BufRead) -> io::Result<Self> {
        Self::read_at(source, 0)
    }

    fn read_at(source: &mut impl BufRead, depth: usize) -> io::Result<Self> {
        if depth > DEPTH_MAX {
            return Err(malformed("nested too deeply"));
        }
        let line = read_line(source)?;
        let Some((&kind, rest)) = line.split_first() else {
            return Err(malformed("an empty line where a reply begins"));
        };
        Ok(match kind {
            b'+' => Self::Simple(rest.to_vec()),
            b'-' => Self::Error(rest.to_vec()),
            b':' => Self::Integer(integer(rest)?),
            b',' => Self::Double(rest.to_vec()),
            b'(' => Self::BigNumber(rest.to_vec()),
            b'_' if rest.is_empty() => Self::Null,
            b'#' if rest == b"t" => Self::Boolean(true),
            b'#' if rest == b"f" => Self::Boolean(false),
            b'$' if rest == b"-1" => Self::NullBulk,
            b'*' if rest == b"-1" => Self::NullArray,
            b'$' => Self::Bulk(read_bulk(source, rest)?),
            b'!' => Self::BlobError(read_bulk(source, rest)?),
            b'=' => Self::Verbatim(read_bulk(source, rest)?),
            b'*' => Self::Array(read_elements(source, rest, depth)?),
            b'~' => Self::Set(read_elements(source, rest, depth)?),
            b'>' => Self::Push(read_elements(source, rest, depth)?),
            b'%' => {
                let pairs = length(rest, ELEMENTS_MAX)?;
                let mut map = Vec::new();
                for _ in 0..pairs {
                    let key = Self::read_at(source, depth + 1)?;
                    map.push((key, Self::read_at(source, depth + 1)?));
                }
                Self::Map(map)
            }
            _ => return Err(malformed("an unknown type of reply")),
        })
    }

    /// The bytes of a string of any kind, errors included.
    pub(crate) fn text(&self) -> Option<&[u8]> {
        match self {
            Self::BlobError(text)
            | Self::Bulk(text)
            | Self::Error(text)
            | Self::Simple(text)
            | Self::Verbatim(text) => Some(text),
            _ => None,
        }
    }

    /// The elements of an array, a set or a push.
    pub(crate) fn elements(&self) -> Option<&[Self]> {
        match self {
            Self::Array(all) | Self::Push(all) | Self::Set(all) => Some(all),
            _ => None,
        }
    }

    /// Whether this is an error.
    pub(crate) fn is_error(&self) -> bool {
        matches!(self, Self::BlobError(_) | Self::Error(_))
    }

    /// The pairs of a map, or of a flat array of names and values, which is what RESP2 has instead.
    pub(crate) fn pairs(&self) -> Option<Vec<(&Self, &Self)>> {
        match self {
            Self::Map(map) => Some(map.iter().map(|(key, value)| (key, value)).collect()),
            Self::Array(all) if all.len().is_multiple_of(2) => {
                Some(all.chunks(2).map(|pair| (&pair[0], &pair[1])).collect())
            }
            _ => None,
        }
    }
}

fn read_line(source: &mut impl BufRead) -> io::Result<Vec<u8>> {
    let mut line = Vec::new();
    source.read_until(b'\n', &mut line)?;
    if !line.ends_with(b"\n") {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    if !line.ends_with(b"\r\n") {
        return Err(malformed("a line that does not end with CR LF"));
    }
    line.truncate(line.len() - 2);
    Ok(line)
}

fn read_bulk(source: &mut impl BufRead, digits: &[u8]) -> io::Result<Vec<u8>> {
    let bytes = length(digits, BULK_BYTES_MAX)?;
    let mut text = Vec::new();
    source.take(bytes as u64 + 2).read_to_end(&mut text)?;
    if text.len() < bytes + 2 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    if !text.ends_with(b"\r\n") {
        return Err(malformed("a bulk string that does not end with CR LF"));
    }
    text.truncate(bytes);
    Ok(text)
}

fn read_elements(source: &mut impl BufRead, digits: &[u8], depth: usize) -> io::Result<Vec<Reply>> {
    let elements = length(digits, ELEMENTS_MAX)?;
    (0..elements)
        .map(|_| Reply::read_at(source, depth + 1))
        .collect()
}

fn integer(digits: &[u8]) -> io::Result<i64> {
    let parsed = std::str::from_utf8(digits)
        .ok()
        .and_then(|text| text.parse().ok());
    parsed.ok_or_else(|| malformed("an integer that is none"))
}

fn length(digits: &[u8], max: usize) -> io::Result<usize> {
    match usize::try_from(integer(digits)?) {
        Ok(length) if length <= max => Ok(length),
        _ => Err(malformed("a length out of range")),
    }
}

fn malformed(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Array(all) => list(f, "[", all, "]"),
            Self::BigNumber(digits) => write!(f, "({}", digits.escape_ascii()),
            Self::BlobError(text) => write!(f, "!\"{}\"", text.escape_ascii()),
            Self::Boolean(true) => f.write_str("#t"),
            Self::Boolean(false) => f.write_str("#f"),
            Self::Bulk(text) => write!(f, "$\"{}\"", text.escape_ascii()),
            Self::Double(digits) => write!(f, ",{}", digits.escape_ascii()),
            Self::Error(text) => {
                // Errors are full of quotes and are to be read.
                write!(
                    f,
                    "-{}",
                    text.escape_ascii().to_string().replace("\\'", "'")
                )
            }
            Self::Integer(number) => write!(f, ":{number}"),
            Self::Map(map) => {
                f.write_str("%{")?;
                for (index, (key, value)) in map.iter().enumerate() {
                    let comma = if index == 0 { "" } else { ", " };
                    write!(f, "{comma}{key} => {value}")?;
                }
                f.write_str("}")
            }
            Self::Null => f.write_str("_"),
            Self::NullArray => f.write_str("*-1"),
            Self::NullBulk => f.write_str("$-1"),
            Self::Push(all) => list(f, ">[", all, "]"),
            Self::Set(all) => list(f, "~{", all, "}"),
            Self::Simple(text) => write!(f, "+{}", text.escape_ascii()),
            Self::Verbatim(text) => write!(f, "=\"{}\"", text.escape_ascii()),
        }
    }
}

fn list(f: &mut fmt::Formatter<'_>, open: &str, all: &[Reply], close: &str) -> fmt::Result {
    f.write_str(open)?;
    for (index, element) in all.iter().enumerate() {
        let comma = if index == 0 { "" } else { ", " };
        write!(f, "{comma}{element}")?;
    }
    f.write_str(close)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(wire: &str, printed: &str) {
        let reply = Reply::read(&mut wire.as_bytes()).unwrap();
        assert_eq!(reply.to_string(), printed);
    }

    #[test]
    fn every_type_is_kept_apart() {
        check("+OK\r\n", "+OK");
        check("-ERR a 'b'\r\n", "-ERR a 'b'");
        check(":-7\r\n", ":-7");
        check("$3\r\na\nb\r\n", r#"$"a\nb""#);
        check("$-1\r\n", "$-1");
        check("*-1\r\n", "*-1");
        check("_\r\n", "_");
        check("*2\r\n$1\r\na\r\n*0\r\n", r#"[$"a", []]"#);
        check("%1\r\n+k\r\n:1\r\n", "%{+k => :1}");
        check("~1\r\n#t\r\n", "~{#t}");
        check(">1\r\n,1.5\r\n", ">[,1.5]");
        check("=7\r\ntxt:abc\r\n", r#"="txt:abc""#);
        check("!5\r\nERR a\r\n", r#"!"ERR a""#);
        check("(123\r\n", "(123");
    }

    #[test]
    fn what_is_not_resp_is_refused() {
        for wire in [
            "+OK\n",
            "$2\r\nabcd",
            ":x\r\n",
            "?\r\n",
            "*-2\r\n",
            "$99999999999\r\n",
            "\r\n",
        ] {
            let refused = Reply::read(&mut wire.as_bytes()).unwrap_err();
            assert_eq!(refused.kind(), io::ErrorKind::InvalidData, "{wire:?}");
        }
    }

    #[test]
    fn a_cut_reply_is_an_end_of_file() {
        let wire = "*2\r\n$3\r\nabc\r\n:1\r\n";
        for end in 0..wire.len() {
            let cut = Reply::read(&mut &wire.as_bytes()[..end]).unwrap_err();
            assert_eq!(cut.kind(), io::ErrorKind::UnexpectedEof, "cut at {end}");
        }
    }

    #[test]
    fn pairs_are_the_same_in_both_protocols() {
        let flat = Reply::read(&mut "*2\r\n$1\r\na\r\n:1\r\n".as_bytes()).unwrap();
        let map = Reply::read(&mut "%1\r\n$1\r\na\r\n:1\r\n".as_bytes()).unwrap();
        assert_eq!(flat.pairs(), map.pairs());
        assert_ne!(flat, map);
    }
}
