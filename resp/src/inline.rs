//! A request typed as a line: words between blanks, with quotes and escapes.
//!
//! | where | what | means |
//! |---|---|---|
//! | outside quotes | space, TAB, CR, LF | ends the word |
//! | between words | also VT, FF | skipped |
//! | anywhere in a word | `"` or `'` | opens a quote (`a"b c"` is `ab c`) |
//! | in `"` | `\n \r \t \b \a` | that control character |
//! | in `"` | `\xHH` | that byte; without two hex digits, an `x` |
//! | in `"` | `\` and any other byte | that byte |
//! | in `'` | `\'` | `'`; every other backslash is itself |
//! | after a closing quote | a blank or the end | ends the word; anything else is refused |
//!
//! As Redis 7.0.15 and 8.2.3 do (Valkey 9.1 is more lenient: text may follow a closing quote).
//! A NUL is a byte like any other; Redis waits for ever for the end of a line that contains one.

use crate::ProtocolError;

/// Splits `line`, and calls `word` for each of its words in order.
///
/// # Errors
/// [`ProtocolError::UnbalancedQuotes`]: a quote is open at the end, or text follows a closing one.
pub fn split(line: &[u8], mut word: impl FnMut(&[u8])) -> Result<(), ProtocolError> {
    let mut bytes = Bytes { rest: line };
    let mut text = Vec::new();
    loop {
        while bytes.peek().is_some_and(is_blank) {
            bytes.next();
        }
        if bytes.peek().is_none() {
            return Ok(());
        }
        text.clear();
        loop {
            match bytes.next() {
                None | Some(b' ' | b'\t' | b'\r' | b'\n') => break,
                Some(quote @ (b'"' | b'\'')) => {
                    bytes.quoted(quote, &mut text)?;
                    break;
                }
                Some(byte) => text.push(byte),
            }
        }
        word(&text);
    }
}

/// What C calls a space.
fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}

/// What is left of the line.
struct Bytes<'a> {
    rest: &'a [u8],
}

impl Bytes<'_> {
    fn peek(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    fn next(&mut self) -> Option<u8> {
        let (&first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(first)
    }

    /// Reads to the closing `quote` and appends what is between to `text`.
    fn quoted(&mut self, quote: u8, text: &mut Vec<u8>) -> Result<(), ProtocolError> {
        loop {
            match self.next().ok_or(ProtocolError::UnbalancedQuotes)? {
                byte if byte == quote => break,
                b'\\' if quote == b'"' => text.push(self.escaped()?),
                b'\\' if self.peek() == Some(b'\'') => {
                    self.next();
                    text.push(b'\'');
                }
                byte => text.push(byte),
            }
        }
        match self.peek() {
            None => Ok(()),
            Some(byte) if is_blank(byte) => Ok(()),
            Some(_) => Err(ProtocolError::UnbalancedQuotes),
        }
    }

    /// The byte that follows a backslash in double quotes stands for.
    fn escaped(&mut self) -> Result<u8, ProtocolError> {
        Ok(match self.next().ok_or(ProtocolError::UnbalancedQuotes)? {
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'b' => 0x08,
            b'a' => 0x07,
            b'x' => match self.rest {
                [high, low, rest @ ..] => match (hex(*high), hex(*low)) {
                    (Some(high), Some(low)) => {
                        self.rest = rest;
                        high << 4 | low
                    }
                    _ => b'x',
                },
                _ => b'x',
            },
            byte => byte,
        })
    }
}

fn hex(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &[u8], expected: &[&[u8]]) {
        let mut words: Vec<Vec<u8>> = Vec::new();
        assert_eq!(
            split(line, |word| words.push(word.to_vec())),
            Ok(()),
            "{}",
            line.escape_ascii()
        );
        assert_eq!(words, expected, "{}", line.escape_ascii());
    }

    #[test]
    fn words_are_split_as_redis_splits_them() {
        check(b"", &[]);
        check(b"  \t \x0b\x0c ", &[]);
        check(b"PING", &[b"PING"]);
        check(b"\tPING \r", &[b"PING"]);
        check(b"PI\rNG", &[b"PI", b"NG"]);
        check(b"ECHO\x0ba", &[b"ECHO\x0ba"]);
        check(b"ECHO a\x0c", &[b"ECHO", b"a\x0c"]);
        check(b"ECHO a\\ b", &[b"ECHO", b"a\\", b"b"]);
        check(b"ECHO a\xff\xa0", &[b"ECHO", b"a\xff\xa0"]);
    }

    #[test]
    fn quotes_and_escapes_mean_what_they_mean_to_redis() {
        check(
            br#"ECHO "\x41\n\r\t\b\a\q\"""#,
            &[b"ECHO", b"A\n\r\t\x08\x07q\""],
        );
        check(br#"ECHO "\x4""#, &[b"ECHO", b"x4"]);
        check(br#"ECHO "\xg1""#, &[b"ECHO", b"xg1"]);
        check(br#"ECHO "\xfF\x0a""#, &[b"ECHO", b"\xff\n"]);
        check(br#"ECHO 'a\'b\n'"#, &[b"ECHO", br"a'b\n"]);
        check(br#"ECHO a"b""#, &[b"ECHO", b"ab"]);
        check(b"ECHO a'b c'", &[b"ECHO", b"ab c"]);
        check(b"ECHO \"a\"\x0b", &[b"ECHO", b"a"]);
        check(br#""" a"#, &[b"", b"a"]);
        check(br#"ECHO "it's""#, &[b"ECHO", b"it's"]);
    }

    #[test]
    fn unbalanced_quotes_are_refused_where_redis_refuses_them() {
        let lines: [&[u8]; 9] = [
            br#"ECHO "a"#,
            b"ECHO 'a",
            br#"ECHO "a"b"#,
            b"ECHO 'a'b",
            br"ECHO 'a\\'",
            br#"ECHO "\""#,
            br#"ECHO "\"#,
            b"ECHO a'b'c",
            br"ECHO 'a\'",
        ];
        for line in lines {
            let refused = Err(ProtocolError::UnbalancedQuotes);
            assert_eq!(split(line, |_| {}), refused, "{}", line.escape_ascii());
        }
    }
}
