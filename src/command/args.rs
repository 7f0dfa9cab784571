//! The words of one request, read from left to right.

use headwater_resp::Request;
use headwater_store::StreamId;

use crate::refusal::Refusal;

/// A cursor over the words after the command's name.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Args<'a> {
    request: Request<'a>,
    at: usize,
}

impl<'a> Args<'a> {
    /// Starts at word `at`: 1 after a command, 2 after a subcommand.
    pub(crate) const fn new(request: Request<'a>, at: usize) -> Self {
        Self { request, at }
    }

    /// How many words are left.
    pub(crate) fn left(&self) -> usize {
        self.request.len() - self.at
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.left() == 0
    }

    pub(crate) fn peek(&self) -> Option<&'a [u8]> {
        (!self.is_empty()).then(|| self.request.word(self.at))
    }

    /// The next word, whatever it says.
    pub(crate) fn word(&mut self) -> Result<&'a [u8], Refusal> {
        let word = self.peek().ok_or(Refusal::Syntax)?;
        self.at += 1;
        Ok(word)
    }

    /// Takes the next word if it is `token`, in any case.
    pub(crate) fn eat(&mut self, token: &str) -> bool {
        let found = self
            .peek()
            .is_some_and(|word| word.eq_ignore_ascii_case(token.as_bytes()));
        self.at += usize::from(found);
        found
    }

    /// Takes the next word if it is `token` and at least `after` words follow it. Redis treats an
    /// option without its arguments as a word of another kind.
    pub(crate) fn eat_with(&mut self, token: &str, after: usize) -> bool {
        self.left() > after && self.eat(token)
    }

    /// The next word as a signed integer, in the strict form that Redis takes: no blanks, no plus
    /// sign, no leading zeros.
    pub(crate) fn int(&mut self) -> Result<i64, Refusal> {
        parse_int(self.word()?).ok_or(Refusal::NotAnInteger)
    }

    /// The next word as a time to wait, in milliseconds; zero is for ever. It ends, if at all,
    /// at a moment that can be told: `now` plus it is a signed number.
    pub(crate) fn timeout_ms(&mut self, now: u64) -> Result<u64, Refusal> {
        let Some(timeout) = parse_int(self.word()?) else {
            return Err(Refusal::Command(
                "ERR timeout is not an integer or out of range",
            ));
        };
        let timeout = u64::try_from(timeout)
            .map_err(|_negative| Refusal::Command("ERR timeout is negative"))?;
        if timeout > i64::MAX.unsigned_abs().saturating_sub(now) {
            return Err(Refusal::Command("ERR timeout is out of range"));
        }
        Ok(timeout)
    }

    /// The next word as a complete stream ID; a missing sequence number reads as `missing_seq`.
    pub(crate) fn id(&mut self, missing_seq: u64) -> Result<StreamId, Refusal> {
        StreamId::parse(self.word()?, missing_seq).ok_or(Refusal::InvalidId)
    }

    /// All words that are left as complete IDs.
    pub(crate) fn ids(&mut self) -> Result<Vec<StreamId>, Refusal> {
        self.rest()
            .map(|word| StreamId::parse(word, 0).ok_or(Refusal::InvalidId))
            .collect()
    }

    /// All words that are left.
    pub(crate) fn rest(&mut self) -> impl ExactSizeIterator<Item = &'a [u8]> + use<'a> {
        let (request, from) = (self.request, self.at);
        self.at = request.len();
        (from..request.len()).map(move |i| request.word(i))
    }

    /// All words that are left as the RESP bulk strings in which they came, back to back.
    pub(crate) fn rest_raw(&mut self) -> &'a [u8] {
        let raw = self.request.raw_from(self.at);
        self.at = self.request.len();
        raw
    }

    /// Skips `n` words.
    pub(crate) fn skip(&mut self, n: usize) {
        debug_assert!(n <= self.left());
        self.at += n;
    }

    /// The whole request, for commands that keep it.
    pub(crate) const fn request(&self) -> Request<'a> {
        self.request
    }

    /// Refuses a request that says more than its command understands.
    pub(crate) fn finish(&self) -> Result<(), Refusal> {
        if self.is_empty() {
            Ok(())
        } else {
            Err(Refusal::Syntax)
        }
    }
}

/// Reads a decimal number in the form that Redis' own replies have it: an optional minus, no plus,
/// no blanks, no leading zeros.
pub(crate) fn parse_int(word: &[u8]) -> Option<i64> {
    let (negative, digits) = match word {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    match digits {
        [b'0'] if !negative => return Some(0),
        [b'1'..=b'9', ..] if digits.len() <= 19 => {}
        _ => return None,
    }
    let value = parse_uint(digits)?;
    if negative {
        0i64.checked_sub_unsigned(value)
    } else {
        i64::try_from(value).ok()
    }
}

/// Reads an unsigned decimal number; leading zeros do no harm.
pub(crate) fn parse_uint(word: &[u8]) -> Option<u64> {
    if word.is_empty() {
        return None;
    }
    word.iter().try_fold(0u64, |value, digit| {
        let digit = digit.checked_sub(b'0').filter(|&digit| digit < 10)?;
        value.checked_mul(10)?.checked_add(u64::from(digit))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_have_one_spelling() {
        let check = |word: &str, value| assert_eq!(parse_int(word.as_bytes()), value, "{word:?}");
        check("0", Some(0));
        check("-1", Some(-1));
        check("9223372036854775807", Some(i64::MAX));
        check("-9223372036854775808", Some(i64::MIN));
        for word in [
            "",
            "-",
            "-0",
            "+1",
            "01",
            " 1",
            "1 ",
            "1.0",
            "9223372036854775808",
        ] {
            check(word, None);
        }
        check("-9223372036854775809", None);
        check("18446744073709551616", None);
    }
}
