//! Requests and replies as bytes, for a load that must cost less than any server.
//!
//! A request is encoded once and copied from then on. A reply is not decoded: the [`Scanner`]
//! walks over the headers, counts what is still missing and hands out the bulk strings where they
//! lie in the buffer. Nesting needs no stack, because "how many elements are missing" is one
//! number: an array is worth its length and costs one.
//!
//! ```text
//! *2 $1 a *2 $1 b :7        *2  $1  *2  $1  :7
//!     missing after each:    2   1   2   1   0 = the reply is complete
//! ```
//!
//! Invariants: whatever the pieces a reply arrives in, the tokens are the same; `scan` never
//! consumes a part of a token.

use super::fault::Fault;

/// Appends a request of these words.
pub(super) fn request(out: &mut Vec<u8>, words: &[&[u8]]) {
    header(out, b'*', words.len());
    for word in words {
        bulk(out, word);
    }
}

/// Appends one bulk string.
pub(super) fn bulk(out: &mut Vec<u8>, bytes: &[u8]) {
    header(out, b'$', bytes.len());
    out.extend_from_slice(bytes);
    out.extend_from_slice(b"\r\n");
}

/// Appends `kind`, a number and the end of the line.
pub(super) fn header(out: &mut Vec<u8>, kind: u8, number: usize) {
    out.push(kind);
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// What the scanner has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Token<'a> {
    /// A bulk string, the `nth` (from 0) of its reply, at whatever depth.
    Bulk { nth: u32, bytes: &'a [u8] },
    /// The end of a reply.
    End(Reply<'a>),
}

/// A complete reply, of which the bulk strings have been handed out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reply<'a> {
    /// An array or a bulk string with this many bulk strings in all; 0 for null or empty.
    Bulks(u32),
    /// A number by itself.
    Integer(i64),
    /// An error: its text.
    Refusal(&'a [u8]),
    /// A status, such as `OK`.
    Status(&'a [u8]),
}

/// Finds the ends of replies in the bytes of one connection.
#[derive(Default)]
pub(super) struct Scanner {
    /// Elements still missing from the reply; 0 between replies.
    missing: u64,
    /// Bulk strings of this reply so far.
    bulks: u32,
}

impl Scanner {
    /// Hands the tokens of `bytes` to `each` and returns how many bytes they took; the rest is an
    /// incomplete token, to be passed again with more behind it.
    ///
    /// # Errors
    ///
    /// What `each` returns, and [`Fault::Wrong`] for bytes that are no reply of protocol 2.
    pub(super) fn scan(
        &mut self,
        bytes: &[u8],
        mut each: impl FnMut(Token<'_>) -> Result<(), Fault>,
    ) -> Result<usize, Fault> {
        let mut at = 0;
        while let Some((kind, text, mut end)) = line(bytes, at) {
            let alone = self.missing == 0;
            let mut reply = None;
            let mut elements = 0;
            match kind {
                b'$' | b'*' => {
                    let length = number(text)?;
                    if let Ok(length) = usize::try_from(length) {
                        if kind == b'*' {
                            elements = length as u64;
                        } else {
                            let start = end;
                            end = start + length + 2;
                            if end > bytes.len() {
                                break;
                            }
                            let bytes = &bytes[start..start + length];
                            each(Token::Bulk {
                                nth: self.bulks,
                                bytes,
                            })?;
                            self.bulks += 1;
                        }
                    }
                }
                b':' => reply = Some(Reply::Integer(number(text)?)),
                b'+' => reply = Some(Reply::Status(text)),
                b'-' => reply = Some(Reply::Refusal(text)),
                _ => return Err(Fault::Wrong("a reply of protocol 2")),
            }
            self.missing = if alone {
                elements
            } else {
                self.missing - 1 + elements
            };
            if self.missing == 0 {
                let whole = Reply::Bulks(std::mem::take(&mut self.bulks));
                each(Token::End(reply.filter(|_| alone).unwrap_or(whole)))?;
            }
            at = end;
        }
        Ok(at)
    }
}

/// The kind, the text and the end of the line at `at`, if it is complete.
fn line(bytes: &[u8], at: usize) -> Option<(u8, &[u8], usize)> {
    let (kind, rest) = bytes.get(at..)?.split_first()?;
    let length = rest.iter().position(|&byte| byte == b'\r')?;
    (length + 1 < rest.len()).then(|| (*kind, &rest[..length], at + length + 3))
}

fn number(text: &[u8]) -> Result<i64, Fault> {
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    let mut number = 0_i64;
    for digit in digits {
        let digit = match digit {
            b'0'..=b'9' => i64::from(digit - b'0'),
            _ => return Err(Fault::Wrong("a number in a reply")),
        };
        number = number
            .checked_mul(10)
            .and_then(|number| number.checked_add(digit))
            .ok_or(Fault::Wrong("a number that fits 63 bits"))?;
    }
    Ok(if negative { -number } else { number })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every kind of reply, one after the other, with the tokens they must give.
    const REPLIES: &[u8] = b"+OK\r\n:-12\r\n-ERR no\r\n$3\r\n1-1\r\n$-1\r\n*-1\r\n*0\r\n\
        *1\r\n*2\r\n$1\r\nq\r\n*2\r\n*2\r\n$3\r\n1-1\r\n*2\r\n$1\r\nf\r\n$2\r\n\r\n\r\n\
        *2\r\n$3\r\n1-2\r\n*-1\r\n*2\r\n:1\r\n-WRONG\r\n*2\r\n$-1\r\n$0\r\n\r\n";

    const TOKENS: &[&str] = &[
        "Status(OK)",
        "Integer(-12)",
        "Refusal(ERR no)",
        "0=1-1",
        "Bulks(1)",
        "Bulks(0)",
        "Bulks(0)",
        "Bulks(0)",
        "0=q",
        "1=1-1",
        "2=f",
        "3=\r\n",
        "4=1-2",
        "Bulks(5)",
        "Bulks(0)",
        "0=",
        "Bulks(1)",
    ];

    fn show(token: Token<'_>) -> String {
        let text = String::from_utf8_lossy;
        match token {
            Token::Bulk { nth, bytes } => format!("{nth}={}", text(bytes)),
            Token::End(Reply::Refusal(bytes)) => format!("Refusal({})", text(bytes)),
            Token::End(Reply::Status(bytes)) => format!("Status({})", text(bytes)),
            Token::End(reply) => format!("{reply:?}"),
        }
    }

    /// Scans as a connection does: in the given pieces, keeping what was not consumed.
    fn tokens(pieces: &[&[u8]]) -> Vec<String> {
        let (mut scanner, mut rest, mut tokens) = (Scanner::default(), Vec::new(), Vec::new());
        for piece in pieces {
            rest.extend_from_slice(piece);
            let used = scanner
                .scan(&rest, |token| {
                    tokens.push(show(token));
                    Ok(())
                })
                .unwrap();
            rest.drain(..used);
        }
        assert!(
            rest.is_empty(),
            "left over: {:?}",
            String::from_utf8_lossy(&rest)
        );
        tokens
    }

    #[test]
    fn every_reply_has_its_tokens() {
        assert_eq!(tokens(&[REPLIES]), TOKENS);
    }

    #[test]
    fn the_pieces_in_which_replies_arrive_do_not_matter() {
        for at in 0..REPLIES.len() {
            assert_eq!(
                tokens(&[&REPLIES[..at], &REPLIES[at..]]),
                TOKENS,
                "split at {at}"
            );
        }
        assert_eq!(tokens(&REPLIES.chunks(1).collect::<Vec<_>>()), TOKENS);
    }

    #[test]
    fn what_is_no_reply_is_a_fault() {
        for bytes in [
            &b"?\r\n"[..],
            b"$x\r\n",
            b":1 2\r\n",
            b"*99999999999999999999\r\n",
        ] {
            assert!(
                Scanner::default().scan(bytes, |_| Ok(())).is_err(),
                "{bytes:?}"
            );
        }
    }

    #[test]
    fn a_request_is_an_array_of_bulk_strings() {
        let mut out = Vec::new();
        request(&mut out, &[b"XLEN", b"", b"a\r\n"]);
        assert_eq!(out, b"*3\r\n$4\r\nXLEN\r\n$0\r\n\r\n$3\r\na\r\n\r\n");
    }
}
