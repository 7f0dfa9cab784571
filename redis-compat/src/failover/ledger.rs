//! What one worker was told about its stream and its group, and therefore must find.
//!
//! ```text
//!  an entry:     sent ---acknowledged---> added             must be there
//!                  '------- no answer: it may be there, or not
//!  a delivery:   read ---> delivered ---XACK sent---> open ---confirmed---> acknowledged
//!                             |                        |                         |
//!                      must be pending            may be either        must not be pending,
//!                                                                      nor come again
//! ```

use std::collections::BTreeSet;
use std::fmt;

use super::node::Node;
use crate::connection::{Answer, Connection, encode};
use crate::reply::Reply;

/// Entries that are sent at once.
const BATCH: u64 = 10;

/// The ID of an entry.
type Id = (u64, u64);

/// See the module.
pub(super) struct Ledger {
    key: String,
    next: u64,
    added: BTreeSet<u64>,
    delivered: BTreeSet<Id>,
    open: BTreeSet<Id>,
    acknowledged: BTreeSet<Id>,
    /// Nothing up to here is new to the group.
    highest: Id,
    /// Nothing may be lost.
    is_safe: bool,
    /// Acknowledged entries that came again.
    again: u64,
}

/// What is not as it was said.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Losses {
    /// Entries that were acknowledged and are not there.
    pub(super) entries: u64,
    /// Deliveries that nobody acknowledged and that are not pending.
    pub(super) deliveries: u64,
    /// Acknowledgements that were confirmed for what is pending again.
    pub(super) acknowledgements: u64,
}

impl Losses {
    pub(super) fn any(self) -> bool {
        self.entries + self.deliveries + self.acknowledgements > 0
    }

    pub(super) fn add(&mut self, other: Self) {
        self.entries += other.entries;
        self.deliveries += other.deliveries;
        self.acknowledgements += other.acknowledgements;
    }
}

impl fmt::Display for Losses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (entries, deliveries) = (self.entries, self.deliveries);
        write!(
            f,
            "{entries} acknowledged entries lost, {deliveries} deliveries forgotten, {} \
             acknowledgements taken back",
            self.acknowledgements
        )
    }
}

/// Why a worker looks for the master again.
#[derive(Debug)]
pub(super) enum Trouble {
    /// The connection broke, nothing came in time, or the server refuses.
    Gone,
    /// The server said what it must not say.
    Wrong(String),
}

impl Ledger {
    /// Nothing is there yet. If it is not safe, what was acknowledged may be lost.
    pub(super) fn new(number: usize, is_safe: bool) -> Self {
        Self {
            key: format!("drill-{number}"),
            next: 1,
            added: BTreeSet::new(),
            delivered: BTreeSet::new(),
            open: BTreeSet::new(),
            acknowledged: BTreeSet::new(),
            highest: (0, 0),
            is_safe,
            again: 0,
        }
    }

    /// Makes the stream and its group.
    ///
    /// # Errors
    ///
    /// When they cannot be made, or are there.
    pub(super) fn create(&self, connection: &mut Connection) -> Result<(), Trouble> {
        let words = ["XGROUP", "CREATE", &self.key, "g", "0", "MKSTREAM"];
        match connection.ask(&words) {
            Answer::Reply(Reply::Simple(_)) => Ok(()),
            other => Err(trouble("XGROUP CREATE", &other)),
        }
    }

    /// How many entries it was told are added, since they were last taken off.
    pub(super) fn added(&self) -> u64 {
        self.added.len() as u64
    }

    /// Adds some entries, reads some, and acknowledges most of these.
    ///
    /// # Errors
    ///
    /// When the server is not the one to ask, or not as it must be.
    pub(super) fn batch(&mut self, connection: &mut Connection) -> Result<(), Trouble> {
        let numbers = self.next..self.next + BATCH;
        self.next = numbers.end;
        let mut wire = Vec::new();
        for number in numbers.clone() {
            encode(
                &["XADD", &self.key, "*", "n", &number.to_string()],
                &mut wire,
            );
        }
        let words = ["XREADGROUP", "GROUP", "g", "c", "COUNT", "8", "STREAMS"];
        encode(&[&words[..], &[&self.key, ">"]].concat(), &mut wire);
        connection.send_raw(&wire).map_err(|_gone| Trouble::Gone)?;
        for number in numbers {
            match connection.answer() {
                Answer::Reply(Reply::Bulk(_)) => self.added.insert(number),
                other => return Err(trouble("XADD", &other)),
            };
        }
        let ids = self.read(connection.answer())?;
        let ids = &ids[..ids.len() - ids.len() / 3];
        if ids.is_empty() {
            return Ok(());
        }
        self.open.extend(ids);
        let texts: Vec<String> = ids.iter().map(text).collect();
        let words = ["XACK", &self.key, "g"].into_iter();
        let words: Vec<&str> = words.chain(texts.iter().map(String::as_str)).collect();
        match connection.ask(&words) {
            Answer::Reply(Reply::Integer(count)) if usize::try_from(count) == Ok(ids.len()) => {
                for id in ids {
                    self.open.remove(id);
                    self.acknowledged.insert(*id);
                }
                Ok(())
            }
            other => Err(trouble("XACK of what was just read", &other)),
        }
    }

    /// Notes what was delivered, all of which must be new.
    fn read(&mut self, answer: Answer) -> Result<Vec<Id>, Trouble> {
        let reply = match answer {
            Answer::Reply(Reply::NullArray) => return Ok(Vec::new()),
            Answer::Reply(reply @ Reply::Array(_)) => reply,
            other => return Err(trouble("XREADGROUP", &other)),
        };
        let stream = reply.elements().and_then(|all| all.first()?.elements());
        let ids = stream.and_then(|parts| ids_of(parts.get(1)?));
        let Some(ids) = ids else {
            return Err(Trouble::Wrong(format!("XREADGROUP is answered {reply}")));
        };
        for id in &ids {
            if *id <= self.highest && self.is_safe {
                let (known, id) = (text(&self.highest), text(id));
                let what = format!("{} gives {id} as new, after {known}", self.key);
                return Err(Trouble::Wrong(what));
            }
            self.highest = *id;
            self.delivered.insert(*id);
            self.again += u64::from(self.acknowledged.remove(id));
        }
        Ok(ids)
    }

    /// What is not on a node as it must be.
    ///
    /// # Errors
    ///
    /// When the node does not answer, or not in a form that makes sense.
    pub(super) fn compare(&self, node: &Node) -> Result<Losses, Trouble> {
        let mut connection = open(node)?;
        let entries = connection.ask(&["XRANGE", &self.key, "-", "+"]);
        let found = reply(&entries).and_then(numbers_of);
        let Some(found) = found else {
            return Err(trouble("XRANGE", &entries));
        };
        let pending = connection.ask(&["XPENDING", &self.key, "g", "-", "+", "10000000"]);
        let pending: BTreeSet<Id> = match reply(&pending).and_then(ids_of) {
            Some(pending) => pending.into_iter().collect(),
            // The group itself may be lost.
            None if is_nogroup(&pending) => BTreeSet::new(),
            None => return Err(trouble("XPENDING", &pending)),
        };
        let is_known = |id: &&Id| {
            let sets = [&pending, &self.acknowledged, &self.open];
            sets.iter().any(|set| set.contains(id))
        };
        let deliveries = self.delivered.iter().filter(|id| !is_known(id)).count();
        Ok(Losses {
            entries: self.added.difference(&found).count() as u64,
            deliveries: deliveries as u64,
            acknowledgements: self.again + self.acknowledged.intersection(&pending).count() as u64,
        })
    }

    /// Starts a new page: what was compared is acknowledged and trimmed, and what is lost is
    /// forgotten.
    ///
    /// # Errors
    ///
    /// When the master does not do so.
    pub(super) fn turn_over(&mut self, master: &Node, lost: bool) -> Result<(), Trouble> {
        let mut connection = open(master)?;
        if lost {
            let words = ["XGROUP", "DESTROY", &self.key, "g"];
            let destroyed = connection.ask(&words);
            if reply(&destroyed).is_none() {
                return Err(trouble("XGROUP DESTROY", &destroyed));
            }
            self.highest = (0, 0);
        }
        let trimmed = connection.ask(&["XTRIM", &self.key, "MAXLEN", "0"]);
        if !matches!(trimmed, Answer::Reply(Reply::Integer(_))) {
            return Err(trouble("XTRIM", &trimmed));
        }
        if lost {
            self.create(&mut connection)?;
        }
        let pending = connection.ask(&["XPENDING", &self.key, "g", "-", "+", "10000000"]);
        let Some(pending) = reply(&pending).and_then(ids_of) else {
            return Err(trouble("XPENDING", &pending));
        };
        let texts: Vec<String> = pending.iter().map(text).collect();
        for texts in texts.chunks(1000) {
            let words = ["XACK", &self.key, "g"].into_iter();
            let words: Vec<&str> = words.chain(texts.iter().map(String::as_str)).collect();
            let acked = connection.ask(&words);
            let Answer::Reply(Reply::Integer(count)) = acked else {
                return Err(trouble("XACK", &acked));
            };
            if usize::try_from(count) != Ok(texts.len()) {
                return Err(trouble("XACK of what is pending", &acked));
            }
        }
        for set in [&mut self.delivered, &mut self.open, &mut self.acknowledged] {
            set.clear();
        }
        self.added.clear();
        self.again = 0;
        Ok(())
    }
}

fn open(node: &Node) -> Result<Connection, Trouble> {
    let patience = std::time::Duration::from_secs(30);
    Connection::open_with(node.address, patience).map_err(|_gone| Trouble::Gone)
}

/// What an answer means that is not the one that was hoped for. An error is a refusal: the server
/// is no master, or none that may be written to.
fn trouble(asked: &str, answer: &Answer) -> Trouble {
    match answer {
        Answer::Reply(Reply::Error(text)) if !text.starts_with(b"ERR") => Trouble::Gone,
        Answer::Closed | Answer::Silent => Trouble::Gone,
        other => Trouble::Wrong(format!("{asked} is answered {other}")),
    }
}

fn is_nogroup(answer: &Answer) -> bool {
    matches!(answer, Answer::Reply(Reply::Error(text)) if text.starts_with(b"NOGROUP"))
}

/// The reply, if it is one and no error.
fn reply(answer: &Answer) -> Option<&Reply> {
    match answer {
        Answer::Reply(reply) if !reply.is_error() => Some(reply),
        _ => None,
    }
}

/// The IDs that the parts of an array begin with.
fn ids_of(reply: &Reply) -> Option<Vec<Id>> {
    let id = |part: &Reply| {
        let text = std::str::from_utf8(part.elements()?.first()?.text()?).ok()?;
        let (ms, seq) = text.split_once('-')?;
        Some((ms.parse().ok()?, seq.parse().ok()?))
    };
    reply.elements()?.iter().map(id).collect()
}

/// The numbers that entries hold.
pub(super) fn numbers_of(reply: &Reply) -> Option<BTreeSet<u64>> {
    let number = |entry: &Reply| {
        let fields = entry.elements()?.get(1)?.elements()?;
        let text = std::str::from_utf8(fields.get(1)?.text()?).ok()?;
        text.parse().ok()
    };
    reply.elements()?.iter().map(number).collect()
}

fn text((ms, seq): &Id) -> String {
    format!("{ms}-{seq}")
}
