//! Stream commands made up from a seed, said to both servers in the same order.
//!
//! Few keys, groups, consumers and IDs, so that commands meet each other's traces. IDs are
//! explicit, and idle times are either nearly zero or huge, so that every reply is the same on both
//! servers whatever the clock says. Every few hundred commands, and at the end, the whole state is
//! compared: XINFO STREAM FULL, XRANGE, and XPENDING of every group.
//!
//! The same seed makes the same commands. An even seed speaks RESP2, an odd one RESP3.

use std::io;
use std::net::SocketAddr;

use super::compare::{Comparison, Parting};
use crate::chance::Chance;
use crate::connection::{Answer, Connection, encode};

const KEYS: [&str; 3] = ["a", "b", "c"];
const GROUPS: [&str; 3] = ["g1", "g2", "g3"];
const CONSUMERS: [&str; 3] = ["ann", "bob", "eve"];
/// The whole state is compared after so many commands.
const INSPECTED_EVERY: usize = 250;
/// Commands that are sent at once.
const PIPELINED: usize = 50;

/// What was found.
pub(crate) struct Found {
    pub(crate) compared: usize,
    /// Which command, its text, and where the replies part.
    pub(crate) partings: Vec<(usize, String, Parting)>,
}

/// Says `steps` commands to both servers, which it empties before and after.
///
/// # Errors
///
/// When a server cannot be reached or does not answer.
pub(crate) fn compare(
    theirs: SocketAddr,
    ours: SocketAddr,
    seed: u64,
    steps: usize,
) -> io::Result<Found> {
    let mut theirs = Connection::open(theirs)?;
    let mut ours = Connection::open(ours)?;
    let hello = if seed.is_multiple_of(2) { "2" } else { "3" };
    let mut found = Found {
        compared: 0,
        partings: Vec::new(),
    };
    for words in [&["HELLO", hello][..], &["FLUSHALL"]] {
        theirs.ask(words);
        ours.ask(words);
    }
    let mut author = Author::new(seed);
    let mut commands = author.settings();
    for step in 1..=steps {
        commands.push(author.command());
        if step.is_multiple_of(INSPECTED_EVERY) || step == steps {
            commands.extend(inspection());
        }
    }
    commands.extend(author.settings_before());
    let mut said = 0;
    for batch in commands.chunks(PIPELINED) {
        let mut wire = Vec::new();
        for words in batch {
            encode(words, &mut wire);
        }
        theirs.send_raw(&wire)?;
        ours.send_raw(&wire)?;
        for words in batch {
            said += 1;
            found.compared += 1;
            let (theirs, ours) = (theirs.answer(), ours.answer());
            let parting = match (&theirs, &ours) {
                (Answer::Reply(theirs), Answer::Reply(ours)) => {
                    let mut comparison = Comparison::default();
                    let words: Vec<_> =
                        words.iter().map(|word| word.clone().into_bytes()).collect();
                    comparison.for_command(&words);
                    comparison.parting(theirs, ours)
                }
                (theirs, ours) => {
                    return Err(io::Error::other(format!(
                        "command {said}, {words:?}: {theirs} from one, {ours} from the other"
                    )));
                }
            };
            if let Some(parting) = parting {
                found.partings.push((said, words.join(" "), parting));
            }
        }
    }
    theirs.ask(&["FLUSHALL"]);
    ours.ask(&["FLUSHALL"]);
    Ok(found)
}

/// Everything that can be seen of all keys.
fn inspection() -> Vec<Vec<String>> {
    let mut commands = Vec::new();
    for key in KEYS {
        commands.push(format!("XINFO STREAM {key} FULL COUNT 0"));
        commands.push(format!("XINFO STREAM {key}"));
        commands.push(format!("XINFO GROUPS {key}"));
        commands.push(format!("XRANGE {key} - +"));
        for group in GROUPS {
            commands.push(format!("XPENDING {key} {group}"));
            commands.push(format!("XPENDING {key} {group} - + 1000"));
            commands.push(format!("XINFO CONSUMERS {key} {group}"));
        }
    }
    commands.iter().map(|command| words(command)).collect()
}

fn words(command: &str) -> Vec<String> {
    command.split(' ').map(str::to_owned).collect()
}

/// Makes up commands.
struct Author {
    chance: Chance,
    /// The last ID that was used for each key; most new ones are a little above.
    last: [u64; KEYS.len()],
}

impl Author {
    fn new(seed: u64) -> Self {
        Self {
            chance: Chance::new(seed),
            last: [0; KEYS.len()],
        }
    }

    /// Small nodes, so that approximate trimming has boundaries to meet.
    fn settings(&mut self) -> Vec<Vec<String>> {
        let entries = self.chance.one_of(&[3, 5, 10, 100]);
        let bytes = self.chance.one_of(&[60, 200, 4096]);
        vec![
            words(&format!("CONFIG SET stream-node-max-entries {entries}")),
            words(&format!("CONFIG SET stream-node-max-bytes {bytes}")),
        ]
    }

    fn settings_before(&self) -> Vec<Vec<String>> {
        vec![
            words("CONFIG SET stream-node-max-entries 100"),
            words("CONFIG SET stream-node-max-bytes 4096"),
        ]
    }

    fn command(&mut self) -> Vec<String> {
        let at = usize::try_from(self.chance.below(KEYS.len() as u64))
            .expect("fewer keys than usize::MAX");
        let key = KEYS[at];
        let group = self.chance.one_of(&GROUPS);
        let consumer = self.chance.one_of(&CONSUMERS);
        let command = match self.chance.below(100) {
            0..=29 => self.add(at),
            30..=46 => self.read_group(at, group, consumer),
            47..=55 => format!("XACK {key} {group} {}", self.ids(at)),
            56..=58 => format!("XDEL {key} {}", self.ids(at)),
            59..=61 => format!("XTRIM {key} {}", self.trim(at)),
            62..=66 => self.claim(at, group, consumer),
            67..=70 => self.autoclaim(at, group, consumer),
            71..=76 => self.group(at, group, consumer),
            77..=81 => self.pending(at, group, consumer),
            82..=86 => self.range(at),
            87..=90 => self.read(),
            91..=93 => format!("XINFO GROUPS {key}"),
            94 => format!("XINFO CONSUMERS {key} {group}"),
            95 => format!("XINFO STREAM {key}"),
            96 => format!("XLEN {key}"),
            97 => self.set_id(at),
            98 => format!("RENAME {key} {}", self.chance.one_of(&KEYS)),
            _ if self.chance.once_in(3) => format!("DEL {key}"),
            _ => format!("COPY {key} {} REPLACE", self.chance.one_of(&KEYS)),
        };
        words(&command)
    }

    /// An ID near the last one of the key, now and then one that is no ID.
    fn id(&mut self, at: usize) -> String {
        let ms = (self.last[at] + 3).saturating_sub(self.chance.below(25));
        match self.chance.below(40) {
            0 => "0-0".to_owned(),
            1 => "x".to_owned(),
            2 => ms.to_string(),
            3..=8 => format!("{ms}-1"),
            _ => format!("{ms}-0"),
        }
    }

    fn ids(&mut self, at: usize) -> String {
        let count = 1 + self.chance.below(4) + if self.chance.once_in(10) { 10 } else { 0 };
        (0..count)
            .map(|_| self.id(at))
            .collect::<Vec<_>>()
            .join(" ")
    }

    fn add(&mut self, at: usize) -> String {
        let key = KEYS[at];
        let id = if self.chance.once_in(12) {
            self.id(at)
        } else if self.chance.once_in(5) {
            format!("{}-*", self.last[at])
        } else {
            self.last[at] += 1 + self.chance.below(2);
            format!("{}-0", self.last[at])
        };
        let option = match self.chance.below(12) {
            0 => "NOMKSTREAM ".to_owned(),
            1 => format!("{} ", self.trim(at)),
            _ => String::new(),
        };
        let pairs = 1 + self.chance.below(3);
        let fields: Vec<_> = (0..pairs)
            .map(|pair| {
                let length = usize::try_from(self.chance.below(30)).expect("a length below 30");
                let value = match self.chance.below(4) {
                    0 => self.chance.below(100_000).to_string(),
                    1 => format!("-{}", self.chance.next() >> 1),
                    _ => "v".repeat(length + 1),
                };
                format!("{}{pair} {value}", self.chance.one_of(&["f", "field"]))
            })
            .collect();
        format!("XADD {key} {option}{id} {}", fields.join(" "))
    }

    fn trim(&mut self, at: usize) -> String {
        let operator = self.chance.one_of(&["", "= ", "~ ", "~ "]);
        let limit = if operator == "~ " && self.chance.once_in(3) {
            format!(" LIMIT {}", self.chance.below(30))
        } else {
            String::new()
        };
        if self.chance.once_in(2) {
            format!("MAXLEN {operator}{}{limit}", self.chance.below(40))
        } else {
            format!("MINID {operator}{}{limit}", self.id(at))
        }
    }

    fn read_group(&mut self, at: usize, group: &str, consumer: &str) -> String {
        let count = if self.chance.once_in(4) {
            ""
        } else {
            self.chance.one_of(&["COUNT 1 ", "COUNT 3 "])
        };
        let ack = if self.chance.once_in(8) { "NOACK " } else { "" };
        let id = if self.chance.once_in(5) {
            self.id(at)
        } else {
            ">".to_owned()
        };
        let other = KEYS[(at + 1) % KEYS.len()];
        let streams = if self.chance.once_in(8) {
            format!("{} {other} {id} >", KEYS[at])
        } else {
            format!("{} {id}", KEYS[at])
        };
        format!("XREADGROUP GROUP {group} {consumer} {count}{ack}STREAMS {streams}")
    }

    /// Claimed by anyone, or by nobody before a quarter of an hour.
    fn min_idle(&mut self) -> &'static str {
        self.chance.one_of(&["0", "0", "900000"])
    }

    fn claim(&mut self, at: usize, group: &str, consumer: &str) -> String {
        let (idle, ids) = (self.min_idle(), self.ids(at));
        let mut options = String::new();
        if self.chance.once_in(3) {
            options += " IDLE 2000000";
        }
        if self.chance.once_in(4) {
            options += &format!(" RETRYCOUNT {}", self.chance.below(9));
        }
        if self.chance.once_in(3) {
            options += " FORCE";
        }
        if self.chance.once_in(3) {
            options += " JUSTID";
        }
        if self.chance.once_in(8) {
            options += &format!(" LASTID {}", self.id(at));
        }
        format!(
            "XCLAIM {} {group} {consumer} {idle} {ids}{options}",
            KEYS[at]
        )
    }

    fn autoclaim(&mut self, at: usize, group: &str, consumer: &str) -> String {
        let (idle, start) = (self.min_idle(), self.id(at));
        let start = if self.chance.once_in(2) {
            "-".to_owned()
        } else {
            start
        };
        let count = if self.chance.once_in(2) {
            String::new()
        } else {
            format!(" COUNT {}", self.chance.below(6))
        };
        let just_id = if self.chance.once_in(3) {
            " JUSTID"
        } else {
            ""
        };
        format!(
            "XAUTOCLAIM {} {group} {consumer} {idle} {start}{count}{just_id}",
            KEYS[at]
        )
    }

    fn group(&mut self, at: usize, group: &str, consumer: &str) -> String {
        let key = KEYS[at];
        let id = if self.chance.once_in(3) {
            self.id(at)
        } else {
            self.chance.one_of(&["0", "$"]).to_owned()
        };
        let read = match self.chance.below(4) {
            0 => format!(" ENTRIESREAD {}", self.chance.below(50)),
            _ => String::new(),
        };
        match self.chance.below(12) {
            0..=6 => format!("XGROUP CREATE {key} {group} {id} MKSTREAM{read}"),
            7 | 8 => format!("XGROUP SETID {key} {group} {id}{read}"),
            9 => format!("XGROUP CREATECONSUMER {key} {group} {consumer}"),
            10 => format!("XGROUP DELCONSUMER {key} {group} {consumer}"),
            _ => format!("XGROUP DESTROY {key} {group}"),
        }
    }

    fn pending(&mut self, at: usize, group: &str, consumer: &str) -> String {
        let key = KEYS[at];
        let (from, to, count) = (self.id(at), self.id(at), self.chance.below(20));
        let idle = self.chance.one_of(&["", "IDLE 0 ", "IDLE 900000 "]);
        match self.chance.below(4) {
            0 => format!("XPENDING {key} {group}"),
            1 => format!("XPENDING {key} {group} {idle}- + {count}"),
            2 => format!("XPENDING {key} {group} {idle}- + {count} {consumer}"),
            _ => format!("XPENDING {key} {group} {idle}{from} {to} {count}"),
        }
    }

    fn range(&mut self, at: usize) -> String {
        let key = KEYS[at];
        let open = self.chance.one_of(&["", "("]);
        let (from, to) = (self.id(at), self.id(at));
        let count = if self.chance.once_in(2) {
            String::new()
        } else {
            format!(" COUNT {}", self.chance.below(5))
        };
        match self.chance.below(4) {
            0 => format!("XRANGE {key} - +{count}"),
            1 => format!("XREVRANGE {key} + -{count}"),
            2 => format!("XRANGE {key} {open}{from} {to}{count}"),
            _ => format!("XREVRANGE {key} {from} {open}{to}{count}"),
        }
    }

    fn read(&mut self) -> String {
        let (first, second, third) = (self.id(0), self.id(1), self.chance.one_of(&["$", "+", "0"]));
        let count = self.chance.one_of(&["", "COUNT 2 "]);
        format!("XREAD {count}STREAMS a b c {first} {second} {third}")
    }

    fn set_id(&mut self, at: usize) -> String {
        let id = self.id(at);
        let added = match self.chance.below(2) {
            0 => format!(" ENTRIESADDED {}", self.chance.below(200)),
            _ => String::new(),
        };
        let deleted = match self.chance.below(3) {
            0 => format!(" MAXDELETEDID {}", self.id(at)),
            _ => String::new(),
        };
        format!("XSETID {} {id}{added}{deleted}", KEYS[at])
    }
}
