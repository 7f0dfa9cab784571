//! Decimal numbers as Redis accepts them in lengths: one spelling for each value.

/// The number that `text` spells, if it is the one spelling of it: an optional `-`, no `+`, no
/// leading zero, no `-0`, no blanks, within 64 bits.
pub(crate) fn parse(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text.split_first()? {
        (b'-', digits) => (true, digits),
        _ => (false, text),
    };
    match digits.first()? {
        b'1'..=b'9' => {}
        b'0' if !negative && digits.len() == 1 => return Some(0),
        _ => return None,
    }
    // Counted downwards: the smallest number has no positive twin.
    let below_zero = digits.iter().try_fold(0i64, |number, &byte| {
        let digit = byte.wrapping_sub(b'0');
        (digit <= 9).then_some(())?;
        number.checked_mul(10)?.checked_sub(i64::from(digit))
    })?;
    if negative {
        Some(below_zero)
    } else {
        below_zero.checked_neg()
    }
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn every_number_has_exactly_one_spelling() {
        for number in [0, 1, -1, 9, 10, 4096, i64::MAX, i64::MIN, -922_337] {
            assert_eq!(parse(number.to_string().as_bytes()), Some(number));
        }
        for text in [
            "",
            "-",
            "+1",
            "01",
            "-0",
            "-01",
            "00",
            " 1",
            "1 ",
            "1x",
            "x",
            "--1",
            "1.0",
            "\0",
            "9223372036854775808",
            "-9223372036854775809",
            "99999999999999999999",
        ] {
            assert_eq!(parse(text.as_bytes()), None, "{text:?}");
        }
    }
}
