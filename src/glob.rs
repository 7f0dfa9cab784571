//! Glob-style patterns, as `KEYS`, `SCAN` and `CONFIG GET` take them.
//!
//! | in a pattern | matches |
//! |---|---|
//! | `*` | any bytes, none too; `/` and `.` are bytes like any other |
//! | `?` | one byte |
//! | `[abc]`, `[a-z]`, `[^a]` | one byte of the class, or one outside it; `[z-a]` is `[a-z]` |
//! | `\` and a byte | that byte, in a class too |
//! | a `\` at the very end | itself |
//! | a class that is never closed | as if it were closed at the end of the pattern |
//! | any other byte | itself |
//!
//! In a class, `]` ends it even when it comes first, so `[]` matches nothing and `[^]` any byte;
//! as the end of a range it is a byte (`[a-]` is a range up to `]`, and the class goes on).
//!
//! Redis 7.0.15 and 8.2.3 do the same (a million random pairs were compared with `KEYS`), except
//! that they do not find an empty key by `**`.
//!
//! A pattern comes from a client, so the time it may cost is bounded twice. Every element but `*`
//! matches exactly one byte, therefore only the last `*` met ever needs to give up more bytes, and
//! there is no recursion; and after [`STEPS_MAX`] steps the answer is no.

/// How many bytes of a pattern are tried against one text before it counts as not matching; those
/// that are tried again count again.
///
/// A few milliseconds. A pattern of 100 bytes on a text of 10,000 cannot reach it.
const STEPS_MAX: usize = 1 << 20;

/// Whether letters of ASCII match their other case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Case {
    Exact,
    Ignored,
}

/// Whether `pattern` matches the whole of `text`.
pub(crate) fn matches(pattern: &[u8], text: &[u8], case: Case) -> bool {
    let (mut pattern, mut text) = (pattern, text);
    // Where to take up again when the elements after the last `*` do not match: the pattern
    // behind that `*`, and the text that it has not swallowed yet.
    let mut retry: Option<(&[u8], &[u8])> = None;
    let mut steps = 0;
    while steps < STEPS_MAX {
        if let [b'*', rest @ ..] = pattern {
            if rest.is_empty() {
                return true;
            }
            steps += 1;
            pattern = rest;
            retry = Some((pattern, text));
            continue;
        }
        let matched = match (text.split_first(), pattern.is_empty()) {
            (None, true) => return true,
            // What is left of the pattern needs bytes, and swallowing more only takes them away.
            (None, false) => return false,
            (Some(_), true) => false,
            (Some((&byte, behind)), false) => {
                let (matched, rest) = one(pattern, byte, case);
                steps += pattern.len() - rest.len();
                (pattern, text) = (rest, behind);
                matched
            }
        };
        if !matched {
            let Some((behind_star, [_, unswallowed @ ..])) = retry else {
                return false;
            };
            (pattern, text) = (behind_star, unswallowed);
            retry = Some((pattern, text));
        }
    }
    false
}

/// Whether the first element of `pattern`, which is no `*`, matches `byte`; and what follows it.
fn one(pattern: &[u8], byte: u8, case: Case) -> (bool, &[u8]) {
    let fold = |byte: u8| match case {
        Case::Exact => byte,
        Case::Ignored => byte.to_ascii_lowercase(),
    };
    match pattern {
        [b'?', rest @ ..] => (true, rest),
        [b'[', b'^', class @ ..] => {
            let (within, rest) = in_class(class, fold(byte), fold);
            (!within, rest)
        }
        [b'[', class @ ..] => in_class(class, fold(byte), fold),
        [b'\\', literal, rest @ ..] | [literal, rest @ ..] => (fold(*literal) == fold(byte), rest),
        [] => (false, pattern),
    }
}

/// Whether the folded `byte` is in the class whose inside `class` begins with; and what follows
/// the class.
fn in_class(class: &[u8], byte: u8, fold: impl Fn(u8) -> u8) -> (bool, &[u8]) {
    let mut within = false;
    let mut class = class;
    loop {
        let (low, high, rest) = match class {
            [] => return (within, class),
            [b'\\', literal, rest @ ..] => (*literal, *literal, rest),
            [b']', rest @ ..] => return (within, rest),
            [low, b'-', high, rest @ ..] => (*low.min(high), *low.max(high), rest),
            [literal, rest @ ..] => (*literal, *literal, rest),
        };
        within |= (fold(low)..=fold(high)).contains(&byte);
        class = rest;
    }
}

#[cfg(test)]
mod tests {
    use super::{Case, matches};

    #[test]
    fn patterns_match_what_redis_matches() {
        // Every row was asked of redis-server 8.2.3 with KEYS.
        for (pattern, matching, others) in [
            (
                "h?llo",
                &["hello", "hallo", "h/llo"][..],
                &["hllo", "heello", "hell"][..],
            ),
            ("h*llo", &["hllo", "heeeello", "h*llo"], &["hllox", "xhllo"]),
            (
                "h[ae]llo",
                &["hello", "hallo"],
                &["hillo", "h[llo", "h]llo"],
            ),
            ("h[^e]llo", &["hallo", "hbllo", "h^llo"], &["hello"]),
            ("h[a-c]llo", &["hallo", "hcllo"], &["hdllo", "h-llo"]),
            (
                "h[c-a]llo",
                &["hallo", "hbllo", "hcllo"],
                &["hdllo", "h-llo"],
            ),
            ("a\\*b", &["a*b"], &["ab", "axb", "a\\*b"]),
            ("a[\\]x]", &["a]", "ax"], &["a\\", "a"]),
            ("a[]b]", &[], &["a]", "ab", "a]b]", "ab]"]),
            ("a[^]", &["ab", "a]"], &["a", "abc"]),
            ("a[bc", &["ab", "ac"], &["a", "a[bc", "abc"]),
            ("a[", &[], &["a", "a["]),
            ("a[a-]", &["a]", "a^", "aa"], &["a-", "ab"]),
            ("a[b-", &["ab", "a-"], &["ac"]),
            ("ab\\", &["ab\\"], &["ab"]),
            ("*", &["a", "a.b/c"], &[]),
            ("a**b*", &["ab", "axbx", "abb"], &["xab"]),
            ("*ab*ab", &["abab", "xabxxab"], &["ab", "ababx"]),
            ("", &[], &["a"]),
            ("Ab", &["Ab"], &["ab"]),
        ] {
            for text in matching {
                assert!(
                    matches(pattern.as_bytes(), text.as_bytes(), Case::Exact),
                    "{pattern} {text}"
                );
            }
            for text in others {
                assert!(
                    !matches(pattern.as_bytes(), text.as_bytes(), Case::Exact),
                    "{pattern} {text}"
                );
            }
        }
    }

    #[test]
    fn ignoring_case_reaches_into_classes() {
        for (pattern, text) in [("SLAVE-*", "slave-x"), ("[A-C]b", "bB"), ("\\AB", "ab")] {
            assert!(
                matches(pattern.as_bytes(), text.as_bytes(), Case::Ignored),
                "{pattern} {text}"
            );
            assert!(
                !matches(pattern.as_bytes(), text.as_bytes(), Case::Exact),
                "{pattern} {text}"
            );
        }
    }

    /// The definition, written down without any thought of its cost.
    fn defined(pattern: &[u8], text: &[u8]) -> bool {
        match (pattern, text) {
            ([], []) => true,
            ([b'*', rest @ ..], _) => (0..=text.len()).any(|taken| defined(rest, &text[taken..])),
            ([b'?', rest @ ..], [_, text @ ..]) => defined(rest, text),
            ([literal, rest @ ..], [byte, text @ ..]) => literal == byte && defined(rest, text),
            _ => false,
        }
    }

    #[test]
    fn stars_match_whatever_their_definition_matches() {
        let words = |letters: &[u8], length_max: u32| {
            let letters = letters.to_vec();
            (0..=length_max).flat_map(move |length| {
                let letters = letters.clone();
                (0..letters.len().pow(length)).map(move |mut number| {
                    (0..length)
                        .map(|_| {
                            let letter = letters[number % letters.len()];
                            number /= letters.len();
                            letter
                        })
                        .collect::<Vec<u8>>()
                })
            })
        };
        let texts: Vec<_> = words(b"ab", 6).collect();
        for pattern in words(b"ab*?", 5) {
            for text in &texts {
                let (found, wanted) = (
                    matches(&pattern, text, Case::Exact),
                    defined(&pattern, text),
                );
                assert_eq!(
                    found,
                    wanted,
                    "{:?} {:?}",
                    pattern.escape_ascii().to_string(),
                    text.escape_ascii().to_string()
                );
            }
        }
    }

    #[test]
    fn a_hostile_pattern_costs_no_more_than_its_budget() {
        let pattern = b"a*"
            .repeat(1000)
            .into_iter()
            .chain(*b"b")
            .collect::<Vec<_>>();
        assert!(!matches(&pattern, &b"a".repeat(100_000), Case::Exact));
        // A star of n bytes to try, before a row or a class of n bytes: n * n steps.
        for (side, within_budget) in [(1 << 9, true), (1 << 11, false)] {
            let text = [b"a".repeat(2 * side), b"b".to_vec()].concat();
            let row = [b"*".to_vec(), b"a".repeat(side), b"b".to_vec()].concat();
            let class = [b"*[".to_vec(), b"a".repeat(side), b"]b".to_vec()].concat();
            assert_eq!(matches(&row, &text, Case::Exact), within_budget);
            assert_eq!(matches(&class, &text, Case::Exact), within_budget);
        }
    }
}
