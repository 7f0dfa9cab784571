//! Words that stand in certain places only: who may import what, and what nobody writes.

use crate::tree::{File, Part};

/// Words that stand in certain places only.
pub(crate) struct Rule {
    /// How the paths of the files begin that it is for.
    pub(crate) within: &'static [&'static str],
    pub(crate) part: Part,
    pub(crate) words: &'static [&'static str],
    /// The files that may have them, each with its reason.
    pub(crate) except: &'static [(&'static str, &'static str)],
    /// What to do about a finding, or why it is one.
    pub(crate) why: &'static str,
    /// A path and a line that break the rule.
    pub(crate) example: (&'static str, &'static str),
}

/// What a rule does not say: it is for what the product does, in all files.
const RULE: Rule = Rule {
    within: &[""],
    part: Part::Product,
    words: &[],
    except: &[],
    why: "",
    example: ("", ""),
};

pub(crate) const RULES: &[Rule] = &[
    Rule {
        within: &[
            "resp/Cargo.toml",
            "store/Cargo.toml",
            "redis-compat/Cargo.toml",
        ],
        part: Part::Code,
        words: &["headwater", "tokio"],
        why: "the server is built on them, and judged from outside; none has a runtime",
        example: ("store/Cargo.toml", "tokio.workspace = true"),
        ..RULE
    },
    Rule {
        within: &["resp/Cargo.toml", "redis-compat/Cargo.toml"],
        part: Part::Code,
        words: &["headwater_store"],
        why: "a reply knows no stream",
        example: ("resp/Cargo.toml", "headwater-store.workspace = true"),
        ..RULE
    },
    Rule {
        within: &["store/Cargo.toml", "redis-compat/Cargo.toml"],
        part: Part::Code,
        words: &["headwater_resp"],
        why: "a stream knows no reply, and a judge reads replies with eyes of its own",
        example: ("store/Cargo.toml", "headwater-resp.workspace = true"),
        ..RULE
    },
    Rule {
        within: &["src/", "store/src/"],
        words: &["use crate::{", "use std::{", "use tokio::{"],
        why: "spell the path out: these checks look for whole paths",
        example: ("src/new.rs", "use std::{fs, io};"),
        ..RULE
    },
    Rule {
        within: &["src/command.rs", "src/command/"],
        words: &[
            ".await",
            "Instant",
            "SystemTime",
            "crate::connection",
            "crate::listener",
            "std::fs",
            "std::thread",
            "tokio",
        ],
        why: "a command gets the moment, decides and returns; connections wait, read and write",
        example: ("src/command/new.rs", "    let now = SystemTime::now();"),
        ..RULE
    },
    Rule {
        within: &[
            "src/replication/failover.rs",
            "src/replication/link.rs",
            "src/replication/replicas.rs",
            "src/replication/resync.rs",
            "src/replication/shipment.rs",
            "src/replication/wire.rs",
        ],
        words: &[
            ".await",
            "Instant",
            "chance",
            "clock",
            "crate::server",
            "std::net",
            "tokio",
        ],
        why: "it decides: no socket, no clock, no chance; drivers have these",
        example: ("src/replication/link.rs", "use crate::clock;"),
        ..RULE
    },
    Rule {
        within: &[
            "src/sentinel/contact.rs",
            "src/sentinel/election.rs",
            "src/sentinel/failover.rs",
            "src/sentinel/hello.rs",
            "src/sentinel/info.rs",
            "src/sentinel/instance.rs",
            "src/sentinel/master.rs",
            "src/sentinel/monitor.rs",
            "src/sentinel/names.rs",
            "src/sentinel/notice.rs",
            "src/sentinel/orders.rs",
            "src/sentinel/own.rs",
            "src/sentinel/scripts.rs",
            "src/sentinel/shown.rs",
            "src/sentinel/timers.rs",
        ],
        words: &[
            ".await",
            "Instant",
            "clock",
            "crate::server",
            "from_kernel",
            "std::fs",
            "std::process",
            "std::thread",
            "tokio",
            "TcpStream",
        ],
        why: "it decides: no socket, no clock, no file, no chance but a seed; drivers have these",
        example: ("src/sentinel/master.rs", "use crate::clock;"),
        ..RULE
    },
    Rule {
        within: &["src/"],
        words: &["Instant::now", "SystemTime", "UNIX_EPOCH"],
        except: &[("src/clock.rs", "it is the reader of time")],
        why: "ask clock.rs for the time",
        example: ("src/new.rs", "    let began = Instant::now();"),
        ..RULE
    },
    Rule {
        within: &["src/"],
        words: &["tokio::time"],
        except: &[
            ("src/connection.rs", "silent clients, waiting commands"),
            ("src/expiry.rs", "keys expire although nobody asks for them"),
            ("src/listener.rs", "a pause when sockets run out"),
            ("src/loading.rs", "a long load says how far it is"),
            ("src/pause.rs", "CLIENT PAUSE ends by itself"),
            (
                "src/replication/feed.rs",
                "replicas are given signs of life, and given up",
            ),
            ("src/replication/keep.rs", "what nobody needs any more goes"),
            (
                "src/replication/replica.rs",
                "the link to a master has deadlines",
            ),
            (
                "src/replication/roles.rs",
                "FAILOVER may wait for so long only",
            ),
            (
                "src/sentinel/driver.rs",
                "a monitor judges by the time that passes",
            ),
            ("src/space.rs", "free space is looked at"),
            ("src/stats.rs", "rates are sampled"),
        ],
        why: "timers belong to few places; a new one needs a reason here",
        example: ("src/new.rs", "    tokio::time::sleep(pause).await;"),
        ..RULE
    },
    Rule {
        within: &["src/", "resp/src/", "store/src/"],
        words: &["redis_protocol"],
        except: &[("resp/src/reply.rs", "it decodes single values")],
        why: "a reply is read through headwater_resp::reply",
        example: ("src/new.rs", "use redis_protocol::resp3;"),
        ..RULE
    },
    Rule {
        within: &["store/src/"],
        words: &["memmap2", "rustix::fs", "std::fs", "unix::fs"],
        except: &[
            ("store/src/disk/real.rs", "it is the real disk"),
            ("store/src/map.rs", "it maps the files of a real disk"),
        ],
        why: "go through store::disk, so that crashes can be simulated",
        example: ("store/src/new.rs", "    std::fs::remove_file(path)?;"),
        ..RULE
    },
    Rule {
        part: Part::Code,
        words: &["unsafe"],
        except: &[("store/src/map.rs", "it reads pages of files as slices")],
        why: "one module answers for memory",
        example: ("src/new.rs", "    unsafe { *first }"),
        ..RULE
    },
    Rule {
        part: Part::All,
        words: &[
            "#[ignore",
            "#[should_panic]",
            "FIXME",
            "HACK",
            "TODO",
            "XXX",
            "__for_test",
            "__for_tests",
            "dbg!",
            "mod helpers",
            "mod util",
            "mod utils",
            "todo!",
            "unimplemented!",
        ],
        why: "finish it, name what it is, or say which panic is expected",
        example: ("src/new.rs", "// TODO: the rest"),
        ..RULE
    },
];

/// Where files break a rule.
pub(crate) fn broken(rule: &Rule, files: &[File]) -> Vec<String> {
    let may = |file: &File| rule.except.iter().any(|(path, _)| *path == file.path);
    let places = files.iter().filter(|file| !may(file));
    let findings = places.flat_map(|file| findings(rule, file));
    findings.collect()
}

/// Exceptions that nothing needs any more.
pub(crate) fn unneeded(rule: &Rule, files: &[File]) -> Vec<String> {
    let needs = |path| {
        let mut same = files.iter().filter(|file| file.path == path);
        same.any(|file| !findings(rule, file).is_empty())
    };
    let unneeded = rule.except.iter().filter(|(path, _)| !needs(*path));
    unneeded
        .map(|(path, reason)| format!("{path}: strike its exception, \"{reason}\""))
        .collect()
}

/// Where a file has the words.
fn findings(rule: &Rule, file: &File) -> Vec<String> {
    // This file has to name what it looks for.
    let concerned = file.path != "tests/tidy/rules.rs"
        && rule.within.iter().any(|start| file.path.starts_with(start));
    let mut findings = Vec::new();
    for (number, line) in file.lines(rule.part).filter(|_| concerned) {
        for word in rule.words.iter().filter(|word| names(&line, word)) {
            findings.push(file.finding(number, &format!("`{word}`: {}", rule.why)));
        }
    }
    findings
}

/// Whether a line has the word, and not as a part of a longer name.
fn names(line: &str, word: &str) -> bool {
    let in_name = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    line.match_indices(word).any(|(at, _)| {
        let goes_on = |first: Option<char>, second: Option<char>| {
            first.is_some_and(in_name) && second.is_some_and(in_name)
        };
        let (before, behind) = (&line[..at], &line[at + word.len()..]);
        !goes_on(before.chars().next_back(), word.chars().next())
            && !goes_on(word.chars().next_back(), behind.chars().next())
    })
}
