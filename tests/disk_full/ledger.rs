//! What was acknowledged about one stream and one group, and what must therefore be there.
//!
//! Every entry carries a number of its own. A killed server takes the answers to what was asked
//! last with it: those entries may be there or not.

use std::collections::{BTreeMap, BTreeSet};

use headwater_resp::reply::Reply;

use crate::client::{Client, request};

pub(crate) const KEY: &str = "backlog";
pub(crate) const GROUP: &str = "workers";
pub(crate) const CONSUMER: &str = "ann";

/// Bytes in an entry, or nearly.
const ENTRY: usize = 4000;
/// Entries that are sent together.
const BATCH: u64 = 50;
/// As an answer it says that nothing was changed.
const FULL: &[u8] = b"MISCONF Errors writing to the AOF file: No space left on device";

/// See the module.
#[derive(Default)]
pub(crate) struct Ledger {
    /// Numbers by ID, both in the order in which they were added.
    entries: BTreeMap<(u64, u64), u64>,
    /// Delivered and not acknowledged.
    pending: BTreeSet<(u64, u64)>,
    /// Sent without an answer.
    unknown: BTreeSet<u64>,
    next: u64,
}

/// How a batch of entries was received.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Batch {
    pub(crate) added: u64,
    pub(crate) refused: u64,
}

impl Ledger {
    /// Makes the stream, its group, and the consumer, which would not be made on a full disk.
    pub(crate) fn create(client: &mut Client) {
        let created = client.ask(&["XGROUP", "CREATE", KEY, GROUP, "0", "MKSTREAM"]);
        assert_eq!(created, Reply::Simple("OK".into()));
        let created = client.ask(&["XGROUP", "CREATECONSUMER", KEY, GROUP, CONSUMER]);
        assert_eq!(created, Reply::Int(1));
    }

    /// Sends a batch, and notes which of it was added. Entries are added or refused, nothing else.
    pub(crate) fn add(&mut self, client: &mut Client) -> Batch {
        let numbers = self.send(client);
        let mut batch = Batch::default();
        for number in numbers {
            let Some(reply) = client.try_reply() else {
                // The server has ended; it answers nothing that comes behind, either.
                break;
            };
            self.unknown.remove(&number);
            match reply {
                Reply::Bulk(id) => {
                    self.entries.insert(parse(&id), number);
                    batch.added += 1;
                }
                Reply::Error(text) if text == FULL => batch.refused += 1,
                other => panic!("an entry was answered {other:?}"),
            }
        }
        batch
    }

    /// Sends a batch whose answers nobody waits for.
    pub(crate) fn send(&mut self, client: &mut Client) -> std::ops::Range<u64> {
        let numbers = self.next..self.next + BATCH;
        self.next = numbers.end;
        let mut wire = Vec::new();
        for number in numbers.clone() {
            wire.extend(request(&["XADD", KEY, "*", "number", &body(number)]));
            self.unknown.insert(number);
        }
        client.send(&wire);
        numbers
    }

    /// Delivers entries to the consumer.
    pub(crate) fn deliver(&mut self, client: &mut Client, count: usize) {
        let count = count.to_string();
        let words = ["XREADGROUP", "GROUP", GROUP, CONSUMER, "COUNT", &count];
        let words = [&words[..], &["STREAMS", KEY, ">"]].concat();
        let reply = client.ask(&words);
        let Reply::Array(keys) = &reply else {
            panic!("entries were not delivered: {reply:?}")
        };
        let [Reply::Array(key)] = keys.as_slice() else {
            panic!("of one stream: {keys:?}")
        };
        let delivered = entries_of(&key[1]);
        for (id, number) in delivered {
            assert_eq!(self.entries.get(&id), Some(&number), "{id:?}");
            assert!(self.pending.insert(id), "{id:?} is delivered as new again");
        }
    }

    /// Acknowledges the oldest deliveries, one by one.
    pub(crate) fn acknowledge(&mut self, client: &mut Client, count: usize) {
        for _ in 0..count {
            let id = self.pending.pop_first().unwrap();
            let acknowledged = client.ask(&["XACK", KEY, GROUP, &text(id)]);
            assert_eq!(acknowledged, Reply::Int(1), "{id:?}");
        }
    }

    /// Deletes the newest entries, one by one.
    pub(crate) fn delete(&mut self, client: &mut Client, count: usize) {
        for _ in 0..count {
            let (id, _) = self.entries.pop_last().unwrap();
            let deleted = client.ask(&["XDEL", KEY, &text(id)]);
            assert_eq!(deleted, Reply::Int(1), "{id:?}");
        }
    }

    /// Trims the stream to the newest entries.
    pub(crate) fn trim(&mut self, client: &mut Client, kept: usize) {
        let gone = self.entries.len() - kept;
        let trimmed = client.ask(&["XTRIM", KEY, "MAXLEN", "=", &kept.to_string()]);
        assert_eq!(trimmed, Reply::Int(i64::try_from(gone).unwrap()));
        for _ in 0..gone {
            self.entries.pop_first();
        }
    }

    /// How many entries there must be.
    pub(crate) fn count(&self) -> usize {
        self.entries.len()
    }

    /// Reads everything, and takes what was sent without an answer as it is found.
    pub(crate) fn verify(&mut self, client: &mut Client) {
        let mut found = BTreeMap::new();
        let mut from = "-".to_owned();
        loop {
            let page = entries_of(&client.ask(&["XRANGE", KEY, &from, "+", "COUNT", "500"]));
            let Some((last, _)) = page.last() else {
                break;
            };
            from = format!("({}", text(*last));
            found.extend(page);
        }
        for (id, number) in &found {
            if self.unknown.remove(number) {
                self.entries.insert(*id, *number);
            }
        }
        self.unknown.clear();
        let lost = self.entries.iter().find(|(id, _)| !found.contains_key(id));
        assert_eq!(lost, None, "of {} entries", self.entries.len());
        assert!(
            found == self.entries,
            "entries are there that were removed or never sent"
        );

        let count = (self.pending.len() + 10).to_string();
        let reply = client.ask(&["XPENDING", KEY, GROUP, "-", "+", &count]);
        let Reply::Array(lines) = &reply else {
            panic!("XPENDING was answered {reply:?}")
        };
        let pending: BTreeSet<_> = lines.iter().map(|line| id_of(line).0).collect();
        assert!(pending == self.pending, "other deliveries are pending");
    }
}

/// What an entry says: its number, and more than enough behind it.
fn body(number: u64) -> String {
    format!("{number:0>ENTRY$}")
}

/// IDs and numbers of a reply's entries, each of which is as it was sent.
fn entries_of(reply: &Reply) -> Vec<((u64, u64), u64)> {
    let Reply::Array(entries) = reply else {
        panic!("no entries: {reply:?}")
    };
    let entry = |entry: &Reply| {
        let (id, fields) = id_of(entry);
        let Reply::Array(fields) = &fields else {
            panic!("{id:?} has no fields")
        };
        let [Reply::Bulk(name), Reply::Bulk(value)] = fields.as_slice() else {
            panic!("{id:?} has other fields")
        };
        let value = std::str::from_utf8(value).unwrap();
        let number = value.parse().unwrap();
        assert_eq!((name.as_slice(), value), (&b"number"[..], &*body(number)));
        (id, number)
    };
    entries.iter().map(entry).collect()
}

/// The ID that an array begins with, and what follows.
fn id_of(reply: &Reply) -> ((u64, u64), Reply) {
    match reply {
        Reply::Array(parts) => match parts.as_slice() {
            [Reply::Bulk(id), next, ..] => (parse(id), next.clone()),
            other => panic!("no ID: {other:?}"),
        },
        other => panic!("no entry: {other:?}"),
    }
}

fn parse(id: &[u8]) -> (u64, u64) {
    let (ms, seq) = std::str::from_utf8(id).unwrap().split_once('-').unwrap();
    (ms.parse().unwrap(), seq.parse().unwrap())
}

fn text((ms, seq): (u64, u64)) -> String {
    format!("{ms}-{seq}")
}
