//! The words of a line: split at blanks, quoted as `redis-cli` quotes them, and counted up in
//! repeated blocks.
//!
//! ```text
//!  XADD s * "two words" 'as it is: \n' "\x00\r\n" ""
//!  XADD s {i}-0 field{i%3} {x:i*7%50}             in a !repeat block: i = 1, 2, 3, ...
//! ```
//!
//! Within braces an expression is a number or `i`, followed by any count of `+ - * / %` and a
//! number or `i`, worked out from left to right. `{x:EXPRESSION}` is that many times the letter x.

use std::fmt;

/// Why a line is not understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WordError {
    Escape,
    Expression,
    GluedToQuote,
    OpenBrace,
    OpenQuote,
}

impl fmt::Display for WordError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Escape => "an escape is none of \\\\ \\\" \\n \\r \\t \\xHH",
            Self::Expression => "an expression in braces is not understood",
            Self::GluedToQuote => "a closing quote is not followed by a blank",
            Self::OpenBrace => "a brace is not closed",
            Self::OpenQuote => "a quote is not closed",
        })
    }
}

/// Splits a line into words.
///
/// # Errors
///
/// When a quote is open or glued to what follows, or an escape is unknown.
pub(crate) fn split(line: &str) -> Result<Vec<Vec<u8>>, WordError> {
    let mut words = Vec::new();
    let mut rest = line.trim_start();
    while let Some(first) = rest.chars().next() {
        let word;
        (word, rest) = match first {
            '"' => double_quoted(&rest[1..])?,
            '\'' => {
                let (word, rest) = rest[1..].split_once('\'').ok_or(WordError::OpenQuote)?;
                (word.as_bytes().to_vec(), rest)
            }
            _ => {
                let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
                (rest.as_bytes()[..end].to_vec(), &rest[end..])
            }
        };
        if !rest.is_empty() && !rest.starts_with(char::is_whitespace) {
            return Err(WordError::GluedToQuote);
        }
        words.push(word);
        rest = rest.trim_start();
    }
    Ok(words)
}

/// Reads up to the closing quote; returns the word and what follows the quote.
fn double_quoted(text: &str) -> Result<(Vec<u8>, &str), WordError> {
    let mut word = Vec::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Ok((word, &text[at + 1..])),
            '\\' => match chars.next().ok_or(WordError::OpenQuote)?.1 {
                '\\' => word.push(b'\\'),
                '"' => word.push(b'"'),
                'n' => word.push(b'\n'),
                'r' => word.push(b'\r'),
                't' => word.push(b'\t'),
                'x' => {
                    let digits = text.get(at + 2..at + 4).ok_or(WordError::Escape)?;
                    word.push(u8::from_str_radix(digits, 16).or(Err(WordError::Escape))?);
                    chars.nth(1);
                }
                _ => return Err(WordError::Escape),
            },
            c => word.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    Err(WordError::OpenQuote)
}

/// Replaces every `{...}` of a line for one round of a repeated block.
///
/// # Errors
///
/// When a brace is open or an expression is not understood.
pub(crate) fn count_up(line: &str, i: i64) -> Result<String, WordError> {
    let mut counted = String::new();
    let mut rest = line;
    while let Some((before, after)) = rest.split_once('{') {
        let (inside, after) = after.split_once('}').ok_or(WordError::OpenBrace)?;
        counted.push_str(before);
        match inside.strip_prefix("x:") {
            Some(times) => {
                let times = usize::try_from(value(times, i)?);
                counted.push_str(&"x".repeat(times.or(Err(WordError::Expression))?));
            }
            None => counted.push_str(&value(inside, i)?.to_string()),
        }
        rest = after;
    }
    counted.push_str(rest);
    Ok(counted)
}

fn value(expression: &str, i: i64) -> Result<i64, WordError> {
    let mut value = None;
    let mut rest = expression;
    let mut operator = '+';
    loop {
        let end = rest.find(['+', '-', '*', '/', '%']).unwrap_or(rest.len());
        let operand = match rest[..end].trim() {
            "i" => i,
            number => number.parse().or(Err(WordError::Expression))?,
        };
        let left = value.unwrap_or(0_i64);
        value = match operator {
            '+' => left.checked_add(operand),
            '-' => left.checked_sub(operand),
            '*' => left.checked_mul(operand),
            '/' => left.checked_div(operand),
            _ => left.checked_rem(operand),
        };
        let value = value.ok_or(WordError::Expression)?;
        let Some(next) = rest[end..].chars().next() else {
            return Ok(value);
        };
        operator = next;
        rest = &rest[end + 1..];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(line: &str, words: &[&[u8]]) {
        assert_eq!(split(line).unwrap(), words);
    }

    #[test]
    fn words_are_split_as_redis_cli_does() {
        check("  XADD  s * ", &[b"XADD", b"s", b"*"]);
        check(r#"a "b c" '\n' """#, &[b"a", b"b c", br"\n", b""]);
        check(r#""\x00\xff\r\n\t\"\\""#, &[b"\x00\xff\r\n\t\"\\"]);
    }

    #[test]
    fn a_line_that_is_not_understood_is_refused() {
        assert_eq!(split(r#""open"#), Err(WordError::OpenQuote));
        assert_eq!(split("'open"), Err(WordError::OpenQuote));
        assert_eq!(split(r#""a"b"#), Err(WordError::GluedToQuote));
        assert_eq!(split(r#""\q""#), Err(WordError::Escape));
        assert_eq!(count_up("{i", 1), Err(WordError::OpenBrace));
        assert_eq!(count_up("{i+}", 1), Err(WordError::Expression));
        assert_eq!(count_up("{i/0}", 1), Err(WordError::Expression));
    }

    #[test]
    fn expressions_are_worked_out_from_left_to_right() {
        assert_eq!(count_up("{i}-{i+2*3} {x:i%4}.", 7).unwrap(), "7-27 xxx.");
        assert_eq!(count_up("{100-i/2}", 10).unwrap(), "45");
    }
}
