//! What a directive's words may be, what they mean, and how the meaning is printed.
//!
//! Values have one canonical text, which `CONFIG GET` shows: `yes` or `no`, memory as a number of
//! bytes, words with one space between them. Parsing the canonical text gives the value back.

use std::fmt;

/// The shape of a directive's value.
#[derive(Clone, Copy)]
pub(crate) enum Kind {
    /// `yes` or `no`.
    Bool,
    /// One of these words, in either case.
    Choice(&'static [&'static str]),
    /// Words with a grammar of their own; the function gives the canonical text.
    Form(fn(&Given<'_>) -> Result<String, Fault>),
    /// A whole number between these two, both included.
    Int { min: i64, max: i64 },
    /// A number of bytes between these two, both included: `1k` is 1000 and `1kb` 1024 bytes.
    Memory { min: i64, max: i64 },
    /// A number of bytes, or a share such as `5%`.
    MemoryOrPercent,
    /// One word, empty at will.
    Text,
    /// Any number of words.
    Words,
}

/// Where a value comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// A file or the command line, where some directives add up when they are repeated.
    Start,
    /// `CONFIG SET`, where a value always replaces.
    Runtime,
}

/// What a directive is to be set to.
pub(crate) struct Given<'a> {
    pub(crate) words: &'a [&'a str],
    /// The canonical text of the value so far.
    pub(crate) current: &'a str,
    pub(crate) source: Source,
}

/// A parsed value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Value {
    /// A number, 0 or 1 of a `Bool`, the index of a `Choice`, a percentage below zero.
    Number(i64),
    /// The canonical text.
    Text(String),
}

/// What is wrong with a value. `Display` is Redis' text where Redis knows the fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    ControlCharacter,
    /// The directive has one possible value here; the reason.
    Fixed(&'static str),
    NotAnInteger,
    NotMemory,
    NotMemoryOrPercent,
    NotOneOf(&'static [&'static str]),
    NotUtf8,
    NotYesOrNo,
    OutOfRange {
        min: i64,
        max: i64,
    },
    PercentTooHigh,
    /// A text that belongs to one directive.
    Text(&'static str),
    WordCount,
}

impl Kind {
    /// The value that `given` means.
    ///
    /// # Errors
    /// What is wrong with it; the first fault found.
    pub(crate) fn parse(self, given: &Given<'_>) -> Result<Value, Fault> {
        if given
            .words
            .iter()
            .any(|word| word.chars().any(char::is_control))
        {
            return Err(Fault::ControlCharacter);
        }
        match self {
            Self::Bool => match one(given)?.to_ascii_lowercase().as_str() {
                "yes" => Ok(Value::Number(1)),
                "no" => Ok(Value::Number(0)),
                _ => Err(Fault::NotYesOrNo),
            },
            Self::Choice(choices) => {
                let word = one(given)?;
                let index = choices
                    .iter()
                    .position(|choice| choice.eq_ignore_ascii_case(word));
                let index = index.ok_or(Fault::NotOneOf(choices))?;
                Ok(Value::Number(
                    i64::try_from(index).expect("a list of choices is short"),
                ))
            }
            Self::Form(form) => form(given).map(Value::Text),
            Self::Int { min, max } => {
                within(min, max, integer(one(given)?).ok_or(Fault::NotAnInteger)?)
            }
            Self::Memory { min, max } => {
                within(min, max, memory(one(given)?).ok_or(Fault::NotMemory)?)
            }
            Self::MemoryOrPercent => match one(given)?.strip_suffix('%') {
                Some(share) => match integer(share).ok_or(Fault::NotMemoryOrPercent)? {
                    share @ 0..=100 => Ok(Value::Number(-share)),
                    101.. => Err(Fault::PercentTooHigh),
                    _ => Err(Fault::NotMemoryOrPercent),
                },
                None => match memory(one(given)?) {
                    Some(bytes) => Ok(Value::Number(bytes)),
                    None => Err(Fault::NotMemoryOrPercent),
                },
            },
            Self::Text => one(given).map(|word| Value::Text(word.to_owned())),
            Self::Words => match given.words {
                [] => Err(Fault::WordCount),
                words => Ok(Value::Text(words.join(" "))),
            },
        }
    }

    /// The canonical text of a value that [`parse`](Self::parse) gave.
    pub(crate) fn print(self, value: &Value) -> String {
        match (self, value) {
            (_, Value::Text(text)) => text.clone(),
            (Self::Bool, Value::Number(number)) => yes_or_no(*number).to_owned(),
            (Self::Choice(choices), Value::Number(number)) => choice(choices, *number).to_owned(),
            (Self::MemoryOrPercent, Value::Number(share @ ..0)) => format!("{}%", -share),
            (_, Value::Number(number)) => number.to_string(),
        }
    }

    /// Whether several words, or one word of words between spaces, make the value.
    pub(crate) fn takes_words(self) -> bool {
        matches!(self, Self::Form(_) | Self::Words)
    }
}

/// The word for a `Bool`.
fn yes_or_no(number: i64) -> &'static str {
    if number == 0 { "no" } else { "yes" }
}

/// The word that a `Choice`'s number stands for.
pub(crate) fn choice(choices: &'static [&'static str], number: i64) -> &'static str {
    let index = usize::try_from(number).expect("the number of a choice is its index");
    choices[index]
}

/// The only word.
fn one<'a>(given: &Given<'a>) -> Result<&'a str, Fault> {
    match given.words {
        [word] => Ok(word),
        _ => Err(Fault::WordCount),
    }
}

fn within(min: i64, max: i64, number: i64) -> Result<Value, Fault> {
    let accepted = (min..=max).contains(&number);
    accepted
        .then_some(Value::Number(number))
        .ok_or(Fault::OutOfRange { min, max })
}

/// The number that `word` is the one spelling of: no `+`, no leading zero, no blanks.
pub(crate) fn integer(word: &str) -> Option<i64> {
    word.parse()
        .ok()
        .filter(|number: &i64| number.to_string() == word)
}

/// The number of bytes that `word` stands for.
pub(crate) fn memory(word: &str) -> Option<i64> {
    let unit_at = word
        .find(|letter: char| !letter.is_ascii_digit())
        .unwrap_or(word.len());
    let (digits, unit) = word.split_at(unit_at);
    let factor: i64 = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" => 1_000,
        "kb" => 1 << 10,
        "m" => 1_000_000,
        "mb" => 1 << 20,
        "g" => 1_000_000_000,
        "gb" => 1 << 30,
        _ => return None,
    };
    digits.parse::<i64>().ok()?.checked_mul(factor)
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ControlCharacter => "control characters are not allowed",
            Self::Fixed(why) | Self::Text(why) => why,
            Self::NotAnInteger => "argument couldn't be parsed into an integer",
            Self::NotMemory => "argument must be a memory value",
            Self::NotMemoryOrPercent => "argument must be a memory or percent value",
            Self::NotOneOf(choices) => {
                f.write_str("argument(s) must be one of the following: ")?;
                return f.write_str(&choices.join(", "));
            }
            Self::NotUtf8 => "argument must be valid UTF-8",
            Self::NotYesOrNo => "argument must be 'yes' or 'no'",
            Self::OutOfRange { min, max } => {
                return write!(f, "argument must be between {min} and {max} inclusive");
            }
            Self::PercentTooHigh => "percentage argument must be less or equal to 100",
            Self::WordCount => "wrong number of arguments",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{Fault, Given, Kind, Source};

    fn check(kind: Kind, words: &[&str], wanted: Result<&str, Fault>) {
        let given = Given {
            words,
            current: "",
            source: Source::Runtime,
        };
        let found = kind.parse(&given).map(|value| kind.print(&value));
        assert_eq!(found, wanted.map(str::to_owned), "{words:?}");
        if let Ok(text) = &found {
            let given = Given {
                words: &[text],
                ..given
            };
            assert_eq!(
                kind.parse(&given).map(|value| kind.print(&value)).as_ref(),
                Ok(text)
            );
        }
    }

    #[test]
    fn numbers_are_strict_and_bounded() {
        let kind = Kind::Int { min: -1, max: 100 };
        for word in ["0", "-1", "100", "7"] {
            check(kind, &[word], Ok(word));
        }
        for word in [
            "",
            " 5",
            "5 ",
            "05",
            "+5",
            "-0",
            "0x10",
            "5kb",
            "1.5",
            "9223372036854775808",
        ] {
            check(kind, &[word], Err(Fault::NotAnInteger));
        }
        check(kind, &["-2"], Err(Fault::OutOfRange { min: -1, max: 100 }));
        check(kind, &["101"], Err(Fault::OutOfRange { min: -1, max: 100 }));
        check(kind, &[], Err(Fault::WordCount));
        check(kind, &["1", "2"], Err(Fault::WordCount));
    }

    #[test]
    fn memory_has_decimal_and_binary_units() {
        let kind = Kind::Memory {
            min: 1,
            max: i64::MAX,
        };
        for (word, bytes) in [
            ("1", "1"),
            ("007", "7"),
            ("1b", "1"),
            ("1k", "1000"),
            ("1KB", "1024"),
            ("2m", "2000000"),
            ("2Mb", "2097152"),
            ("3g", "3000000000"),
            ("3gB", "3221225472"),
        ] {
            check(kind, &[word], Ok(bytes));
        }
        for word in [
            "",
            "kb",
            "-1",
            "1.5gb",
            "1 kb",
            "1tb",
            "10%",
            "9999999999999gb",
            "1kbx",
        ] {
            check(kind, &[word], Err(Fault::NotMemory));
        }
        check(
            kind,
            &["0"],
            Err(Fault::OutOfRange {
                min: 1,
                max: i64::MAX,
            }),
        );
    }

    #[test]
    fn memory_may_be_a_share() {
        check(Kind::MemoryOrPercent, &["5%"], Ok("5%"));
        check(Kind::MemoryOrPercent, &["100%"], Ok("100%"));
        check(Kind::MemoryOrPercent, &["0%"], Ok("0"));
        check(Kind::MemoryOrPercent, &["1kb"], Ok("1024"));
        check(Kind::MemoryOrPercent, &["101%"], Err(Fault::PercentTooHigh));
        check(
            Kind::MemoryOrPercent,
            &["05%"],
            Err(Fault::NotMemoryOrPercent),
        );
        check(
            Kind::MemoryOrPercent,
            &["-5%"],
            Err(Fault::NotMemoryOrPercent),
        );
        check(
            Kind::MemoryOrPercent,
            &["-5"],
            Err(Fault::NotMemoryOrPercent),
        );
    }

    #[test]
    fn words_of_a_list_are_taken_in_either_case() {
        let choices = Kind::Choice(&["everysec", "always"]);
        check(choices, &["ALWAYS"], Ok("always"));
        check(
            choices,
            &["alway"],
            Err(Fault::NotOneOf(&["everysec", "always"])),
        );
        check(Kind::Bool, &["YES"], Ok("yes"));
        check(Kind::Bool, &["no"], Ok("no"));
        check(Kind::Bool, &["1"], Err(Fault::NotYesOrNo));
    }

    #[test]
    fn no_text_carries_control_characters() {
        check(Kind::Text, &["pa ss"], Ok("pa ss"));
        check(Kind::Text, &[""], Ok(""));
        check(Kind::Text, &["a", "b"], Err(Fault::WordCount));
        check(Kind::Words, &["a", "b"], Ok("a b"));
        for word in ["a\nb", "a\rb", "a\0", "\x7f", "\u{85}"] {
            check(Kind::Text, &[word], Err(Fault::ControlCharacter));
            check(Kind::Words, &["x", word], Err(Fault::ControlCharacter));
        }
    }
}
