//! Directives whose words have a grammar of their own.

use std::fmt;
use std::fmt::Write as _;

use super::table::ALWAYS_LOGGED;
use super::value::{Fault, Given, Kind, Source, Value, integer, memory};

/// When replies that a client does not read cost it the connection: `client-output-buffer-limit`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OutputLimits {
    pub(crate) normal: OutputLimit,
    pub(crate) replica: OutputLimit,
    pub(crate) pubsub: OutputLimit,
}

/// The limit of one class of clients. Zero is no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OutputLimit {
    /// Beyond this many bytes the connection is closed at once.
    pub(crate) hard_bytes: u64,
    /// Beyond this many bytes for `soft_seconds` on end, too.
    pub(crate) soft_bytes: u64,
    pub(crate) soft_seconds: u64,
}

impl OutputLimits {
    const NONE: OutputLimit = OutputLimit {
        hard_bytes: 0,
        soft_bytes: 0,
        soft_seconds: 0,
    };

    /// `normal|replica|pubsub hard soft seconds`, for any number of classes; the others stay as
    /// they are.
    pub(super) fn form(given: &Given<'_>) -> Result<String, Fault> {
        let mut limits = Self::parse(given.current);
        limits.change(given.words)?;
        Ok(limits.to_string())
    }

    /// The meaning of the canonical text.
    pub(super) fn parse(canonical: &str) -> Self {
        let mut limits = Self {
            normal: Self::NONE,
            replica: Self::NONE,
            pubsub: Self::NONE,
        };
        let words: Vec<&str> = canonical.split_ascii_whitespace().collect();
        limits
            .change(&words)
            .expect("the canonical text is within the grammar");
        limits
    }

    fn change(&mut self, words: &[&str]) -> Result<(), Fault> {
        let (classes, []) = words.as_chunks::<4>() else {
            return Err(Fault::Text(
                "Wrong number of arguments in buffer limit configuration.",
            ));
        };
        for [class, hard, soft, seconds] in classes {
            let limit = match class.to_ascii_lowercase().as_str() {
                "normal" => &mut self.normal,
                "slave" | "replica" => &mut self.replica,
                "pubsub" => &mut self.pubsub,
                _ => {
                    return Err(Fault::Text(
                        "Invalid client class specified in buffer limit configuration.",
                    ));
                }
            };
            let number = |number: Option<i64>| {
                number.and_then(|number| u64::try_from(number).ok()).ok_or(Fault::Text(
                    "Error in hard, soft or soft_seconds setting in buffer limit configuration.",
                ))
            };
            *limit = OutputLimit {
                hard_bytes: number(memory(hard))?,
                soft_bytes: number(memory(soft))?,
                soft_seconds: number(integer(seconds))?,
            };
        }
        Ok(())
    }
}

impl fmt::Display for OutputLimits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            normal,
            replica,
            pubsub,
        } = self;
        write!(f, "normal {normal} slave {replica} pubsub {pubsub}")
    }
}

impl fmt::Display for OutputLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} {} {}",
            self.hard_bytes, self.soft_bytes, self.soft_seconds
        )
    }
}

/// How much free space is little: `disk-low` and `disk-full`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Watermark {
    /// As much as fits the disk.
    Auto,
    Bytes(u64),
    /// Of the disk; at most 100.
    Percent(u8),
}

impl Watermark {
    /// `auto`, a number of bytes or a percentage.
    pub(super) fn form(given: &Given<'_>) -> Result<String, Fault> {
        let [word] = given.words else {
            return Err(Fault::WordCount);
        };
        let mark = Self::parse(word)?;
        Ok(mark.to_string())
    }

    /// The meaning of a word.
    ///
    /// # Errors
    /// When it has none.
    pub(super) fn parse(word: &str) -> Result<Self, Fault> {
        const NEITHER: Fault = Fault::Text("argument must be 'auto', a memory or percent value");
        if word.eq_ignore_ascii_case("auto") {
            return Ok(Self::Auto);
        }
        if let Some(share) = word.strip_suffix('%') {
            let share = integer(share).and_then(|share| u8::try_from(share).ok());
            return match share.ok_or(NEITHER)? {
                share @ 0..=100 => Ok(Self::Percent(share)),
                _ => Err(Fault::PercentTooHigh),
            };
        }
        let bytes = memory(word).and_then(|bytes| u64::try_from(bytes).ok());
        bytes.map(Self::Bytes).ok_or(NEITHER)
    }
}

impl fmt::Display for Watermark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Bytes(bytes) => write!(f, "{bytes}"),
            Self::Percent(percent) => write!(f, "{percent}%"),
        }
    }
}

/// `appendonly yes|no`, always `yes`: a file may ask for less than it gets, as the redis.conf that
/// comes with Redis does; a client that asks is told.
pub(super) fn appendonly(given: &Given<'_>) -> Result<String, Fault> {
    match (Kind::Bool.parse(given)?, given.source) {
        (Value::Number(0), Source::Runtime) => Err(Fault::Text(ALWAYS_LOGGED)),
        _ => Ok("yes".to_owned()),
    }
}

/// `save seconds changes ...`. Lines of a file add up; `save ""` forgets the ones before.
pub(super) fn save(given: &Given<'_>) -> Result<String, Fault> {
    let points = match given.words {
        [""] => return Ok(String::new()),
        words => words,
    };
    let number = |word: &str, min: i64| integer(word).is_some_and(|number| number >= min);
    let valid = match points.as_chunks::<2>() {
        ([], _) => false,
        (points, []) => points
            .iter()
            .all(|[after, least]| number(after, 1) && number(least, 0)),
        _ => false,
    };
    if !valid {
        return Err(Fault::Text("Invalid save parameters"));
    }
    let points = points.join(" ");
    Ok(match (given.source, given.current) {
        (Source::Start, before) if !before.is_empty() => format!("{before} {points}"),
        _ => points,
    })
}

/// Any of some words at once, for `shutdown-on-sigint` and `shutdown-on-sigterm`.
pub(super) fn shutdown(given: &Given<'_>) -> Result<String, Fault> {
    const DEFAULT: &str = "default";
    const WAYS: &[&str] = &[DEFAULT, "save", "nosave", "now", "force"];
    let contains =
        |words: &[&str], wanted: &str| words.iter().any(|word| word.eq_ignore_ascii_case(wanted));
    if given.words.iter().any(|word| !contains(WAYS, word)) {
        return Err(Fault::NotOneOf(WAYS));
    }
    let chosen = WAYS
        .iter()
        .filter(|way| **way != DEFAULT && contains(given.words, way));
    let chosen: Vec<&str> = chosen.copied().collect();
    Ok(if chosen.is_empty() {
        DEFAULT.to_owned()
    } else {
        chosen.join(" ")
    })
}

/// `host port` of `replicaof`; nothing, and `no one`, is none.
pub(super) fn replicaof(given: &Given<'_>) -> Result<String, Fault> {
    match given.words {
        [""] => Ok(String::new()),
        [no, one] if no.eq_ignore_ascii_case("no") && one.eq_ignore_ascii_case("one") => {
            Ok(String::new())
        }
        [host, port] => {
            let port = integer(port).filter(|port| (0..=65_535).contains(port));
            let port = port.ok_or(Fault::Text("Invalid master port"))?;
            if !is_host(host) {
                return Err(Fault::Text("Invalid master host"));
            }
            Ok(format!("{host} {port}"))
        }
        _ => Err(Fault::WordCount),
    }
}

/// Whether a word may be the name or the address of a machine; then it needs no quotes in a file.
pub(crate) fn is_host(word: &str) -> bool {
    let may = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:%".contains(&byte);
    !word.is_empty() && word.bytes().all(may)
}

/// The classes of `notify-keyspace-events`: `A` stands for all of the first list.
pub(super) fn events(given: &Given<'_>) -> Result<String, Fault> {
    const ALL: &str = "g$lshzxetd";
    let [classes] = given.words else {
        return Err(Fault::WordCount);
    };
    if classes.contains(|class| !"AKEmn".contains(class) && !ALL.contains(class)) {
        return Err(Fault::Text(
            "Invalid event class character. Use 'Ag$lshzxeKEtmdn'.",
        ));
    }
    let has =
        |class: &char| classes.contains(*class) || (ALL.contains(*class) && classes.contains('A'));
    Ok(if ALL.chars().all(|class| has(&class)) {
        "A".chars().chain("KEm".chars().filter(has)).collect()
    } else {
        ALL.chars().chain("nKEm".chars()).filter(has).collect()
    })
}

/// Three numbers, for `oom-score-adj-values`.
pub(super) fn oom_scores(given: &Given<'_>) -> Result<String, Fault> {
    let [_, _, _] = given.words else {
        return Err(Fault::WordCount);
    };
    let valid = |word: &&str| integer(word).is_some_and(|score| (-2000..=2000).contains(&score));
    if !given.words.iter().all(valid) {
        return Err(Fault::Text(
            "Invalid oom-score-adj-values, elements must be between -2000 and 2000.",
        ));
    }
    Ok(given.words.join(" "))
}

/// Numbers from 0 to 100, for `latency-tracking-info-percentiles`.
pub(super) fn percentiles(given: &Given<'_>) -> Result<String, Fault> {
    let mut text = String::new();
    for word in given.words.iter().filter(|word| !word.is_empty()) {
        let Ok(percentile) = word.parse::<f64>() else {
            return Err(Fault::Text(
                "Invalid latency-tracking-info-percentiles parameters",
            ));
        };
        if !(0.0..=100.0).contains(&percentile) {
            return Err(Fault::Text(
                "latency-tracking-info-percentiles parameters should sit between [0.0,100.0]",
            ));
        }
        let blank = if text.is_empty() { "" } else { " " };
        write!(text, "{blank}{percentile}").expect("a string takes any text");
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::{
        OutputLimit, OutputLimits, Watermark, appendonly, events, oom_scores, percentiles, save,
        shutdown,
    };
    use crate::config::value::{Fault, Given, Source};

    type Form = fn(&Given<'_>) -> Result<String, Fault>;

    /// `Err` is any fault; the texts are compared where Redis' own are listed.
    fn check(form: Form, current: &str, text: &str, wanted: Result<&str, ()>) {
        let words: Vec<&str> = text.split(' ').collect();
        let given = Given {
            words: &words,
            current,
            source: Source::Runtime,
        };
        assert_eq!(
            form(&given).map_err(drop),
            wanted.map(str::to_owned),
            "{text:?}"
        );
    }

    #[test]
    fn watermarks_are_bytes_or_a_share_or_left_to_us() {
        for (text, wanted) in [
            ("AUTO", Ok("auto")),
            ("0", Ok("0")),
            ("1gb", Ok("1073741824")),
            ("100%", Ok("100%")),
            ("0%", Ok("0%")),
            ("101%", Err(())),
            ("-1%", Err(())),
            ("-1", Err(())),
            ("1.5gb", Err(())),
            ("", Err(())),
            ("1 2", Err(())),
        ] {
            check(Watermark::form, "auto", text, wanted);
        }
    }

    #[test]
    fn output_limits_change_only_the_classes_named() {
        let before = "normal 1 2 3 slave 4 5 6 pubsub 7 8 9";
        for (text, after) in [
            ("normal 0 0 0", Ok("normal 0 0 0 slave 4 5 6 pubsub 7 8 9")),
            (
                "replica 1mb 1k 60",
                Ok("normal 1 2 3 slave 1048576 1000 60 pubsub 7 8 9"),
            ),
            (
                "PUBSUB 0 0 0 slave 1 1 1",
                Ok("normal 1 2 3 slave 1 1 1 pubsub 0 0 0"),
            ),
            (
                "normal 1 1 1 normal 2 2 2",
                Ok("normal 2 2 2 slave 4 5 6 pubsub 7 8 9"),
            ),
            ("normal 0 0", Err(())),
            ("", Err(())),
            ("master 0 0 0", Err(())),
            ("normal x 0 0", Err(())),
            ("normal 0 0 -1", Err(())),
            ("normal 0 0 1kb", Err(())),
        ] {
            check(OutputLimits::form, before, text, after);
        }
        let limits = OutputLimits::parse(before);
        assert_eq!(
            limits.replica,
            OutputLimit {
                hard_bytes: 4,
                soft_bytes: 5,
                soft_seconds: 6
            }
        );
    }

    #[test]
    fn save_points_add_up_at_the_start_and_are_replaced_at_run_time() {
        check(save, "1 2", "900 1 300 10", Ok("900 1 300 10"));
        check(save, "1 2", "", Ok(""));
        for text in ["10", "10 x", "-1 1", "0 0", " 900 1", "900  1", "x"] {
            check(save, "1 2", text, Err(()));
        }
        let given = Given {
            words: &["3", "0"],
            current: "1 2",
            source: Source::Start,
        };
        assert_eq!(save(&given), Ok("1 2 3 0".to_owned()));
        assert_eq!(
            save(&Given {
                words: &[""],
                ..given
            }),
            Ok(String::new())
        );
        assert_eq!(
            save(&Given {
                current: "",
                ..given
            }),
            Ok("3 0".to_owned())
        );
    }

    #[test]
    fn the_log_cannot_be_turned_off() {
        check(appendonly, "yes", "YES", Ok("yes"));
        check(appendonly, "yes", "no", Err(()));
        check(appendonly, "yes", "maybe", Err(()));
        let given = Given {
            words: &["no"],
            current: "yes",
            source: Source::Start,
        };
        assert_eq!(appendonly(&given), Ok("yes".to_owned()));
    }

    #[test]
    fn several_ways_to_shut_down_are_one_value() {
        for (text, wanted) in [
            ("default", Ok("default")),
            ("NOW save", Ok("save now")),
            ("now save default", Ok("save now")),
            ("", Err(())),
            ("foo", Err(())),
            ("save  now", Err(())),
        ] {
            check(shutdown, "default", text, wanted);
        }
    }

    #[test]
    fn event_classes_are_printed_in_redis_order() {
        for (text, wanted) in [
            ("", Ok("")),
            ("KEA", Ok("AKE")),
            ("KEAmn", Ok("AKEm")),
            ("mnEKg$x", Ok("g$xnKEm")),
            ("g$lshzxetdEK", Ok("AKE")),
            ("KEq", Err(())),
        ] {
            check(events, "", text, wanted);
        }
    }

    #[test]
    fn lists_of_numbers_keep_their_order() {
        check(oom_scores, "", "900 -5 800", Ok("900 -5 800"));
        for text in ["1 2", "1 2 a", "1 2 2001", "1 2 3 4"] {
            check(oom_scores, "", text, Err(()));
        }
        check(percentiles, "", "50.55 1 100", Ok("50.55 1 100"));
        check(percentiles, "", "", Ok(""));
        for text in ["101", "-0.1", "x", "nan"] {
            check(percentiles, "", text, Err(()));
        }
    }
}
