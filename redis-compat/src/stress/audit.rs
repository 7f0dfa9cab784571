//! Reads everything that can be seen of a stream.

use super::content;
use super::id::Id;
use super::op::group_name;
use crate::connection::{Answer, Connection};
use crate::reply::Reply;

/// Entries that are asked for at once.
const PAGE: usize = 500;

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum Trouble {
    /// The connection is gone, and what it would have said.
    Lost,
    /// The server said what it must not say, or nothing.
    Wrong(String),
}

/// What was found of a stream.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) exists: bool,
    /// In the order of XRANGE, which is checked to be that of the IDs, with their serial numbers.
    pub(super) entries: Vec<(Id, u64)>,
    pub(super) last: Id,
    pub(super) added: u64,
    pub(super) max_deleted: Id,
    /// By name.
    pub(super) groups: Vec<FoundGroup>,
}

/// What was found of a group.
#[derive(Debug)]
pub(super) struct FoundGroup {
    pub(super) last: Id,
    /// The ID, whose it is, and how often it was delivered.
    pub(super) pending: Vec<(Id, String, u64)>,
}

impl Found {
    /// Reads the stream `key`, whose entries are made from `seed`.
    ///
    /// # Errors
    ///
    /// [`Trouble::Wrong`] when the answers contradict each other or hold what was never sent.
    pub(super) fn read(connection: &mut Connection, key: &str, seed: u64) -> Result<Self, Trouble> {
        let info = ask(connection, &["XINFO", "STREAM", key])?;
        if let Reply::Error(text) = &info {
            return if text.as_slice() == b"ERR no such key" {
                Ok(Self::default())
            } else {
                Err(unexpected("XINFO STREAM", &info))
            };
        }
        let id = |name| id(value(&info, name)).ok_or_else(|| unexpected(name, &info));
        let number = |name| number(value(&info, name)).ok_or_else(|| unexpected(name, &info));
        let entries = entries(connection, key, seed)?;
        let first = entries.first().map_or(Id::ZERO, |(id, _)| *id);
        if number("length")? != entries.len() as u64 {
            return Err(unexpected("the length beside the entries", &info));
        }
        if id("recorded-first-entry-id")? != first {
            return Err(unexpected("the first ID beside the entries", &info));
        }
        let groups = groups(connection, key)?;
        if number("groups")? != groups.len() as u64 {
            return Err(unexpected("the groups beside XINFO GROUPS", &info));
        }
        Ok(Self {
            exists: true,
            last: id("last-generated-id")?,
            added: number("entries-added")?,
            max_deleted: id("max-deleted-entry-id")?,
            entries,
            groups,
        })
    }

    /// The ID of the entry with a serial number.
    pub(super) fn id_of(&self, serial: u64) -> Option<Id> {
        let found = self.entries.iter().find(|(_, other)| *other == serial);
        found.map(|(id, _)| *id)
    }
}

/// All entries, each of which must be one that was sent.
fn entries(connection: &mut Connection, key: &str, seed: u64) -> Result<Vec<(Id, u64)>, Trouble> {
    let page = PAGE.to_string();
    let mut entries: Vec<(Id, u64)> = Vec::new();
    loop {
        let from = entries.last().map_or(Id::ZERO, |(last, _)| last.after());
        let from = from.to_string();
        let reply = ask(connection, &["XRANGE", key, &from, "+", "COUNT", &page])?;
        let all = reply
            .elements()
            .ok_or_else(|| unexpected("XRANGE", &reply))?;
        for entry in all {
            let read = entry_of(entry, seed)
                .ok_or_else(|| unexpected("an entry as it was sent", entry))?;
            if entries.last().is_some_and(|(last, _)| *last >= read.0) {
                return Err(unexpected("an ID above those before", entry));
            }
            entries.push(read);
        }
        if all.len() < PAGE {
            return Ok(entries);
        }
    }
}

/// The ID and the serial number of an entry whose fields are what was sent under that number.
fn entry_of(entry: &Reply, seed: u64) -> Option<(Id, u64)> {
    let [id, fields] = entry.elements()? else {
        return None;
    };
    let fields: Option<Vec<&[u8]>> = fields.elements()?.iter().map(Reply::text).collect();
    let fields = fields?;
    let serial = content::serial(&fields)?;
    (content::fields(seed, serial) == fields).then_some((Id::parse(id.text()?)?, serial))
}

fn groups(connection: &mut Connection, key: &str) -> Result<Vec<FoundGroup>, Trouble> {
    let reply = ask(connection, &["XINFO", "GROUPS", key])?;
    let all = reply
        .elements()
        .ok_or_else(|| unexpected("XINFO GROUPS", &reply))?;
    let mut groups = Vec::new();
    for (at, group) in all.iter().enumerate() {
        let name = group_name(at);
        let named = value(group, "name").and_then(Reply::text);
        let (Some(last), Some(count), true) = (
            id(value(group, "last-delivered-id")),
            number(value(group, "pending")),
            named == Some(name.as_bytes()),
        ) else {
            return Err(unexpected(&format!("facts of {name}"), group));
        };
        let pending = pending(connection, key, &name)?;
        if count != pending.len() as u64 {
            return Err(unexpected("the count of pending beside XPENDING", group));
        }
        groups.push(FoundGroup { last, pending });
    }
    Ok(groups)
}

fn pending(
    connection: &mut Connection,
    key: &str,
    group: &str,
) -> Result<Vec<(Id, String, u64)>, Trouble> {
    let page = PAGE.to_string();
    let mut pending: Vec<(Id, String, u64)> = Vec::new();
    loop {
        let from = pending.last().map_or(Id::ZERO, |(last, ..)| last.after());
        let from = from.to_string();
        let reply = ask(connection, &["XPENDING", key, group, &from, "+", &page])?;
        let all = reply
            .elements()
            .ok_or_else(|| unexpected("XPENDING", &reply))?;
        for line in all {
            let read = pending_of(line).ok_or_else(|| unexpected("a pending entry", line))?;
            pending.push(read);
        }
        if all.len() < PAGE {
            return Ok(pending);
        }
    }
}

fn pending_of(line: &Reply) -> Option<(Id, String, u64)> {
    let [line_id, consumer, _idle, deliveries] = line.elements()? else {
        return None;
    };
    let consumer = String::from_utf8(consumer.text()?.to_vec()).ok()?;
    Some((id(Some(line_id))?, consumer, number(Some(deliveries))?))
}

/// Asks one thing.
///
/// # Errors
///
/// [`Trouble::Lost`] when the connection ends first, or the server does not serve yet.
fn ask(connection: &mut Connection, words: &[&str]) -> Result<Reply, Trouble> {
    match connection.ask(words) {
        // It has come up, and is reading its files.
        Answer::Reply(Reply::Error(text)) if text.starts_with(b"LOADING ") => Err(Trouble::Lost),
        Answer::Reply(reply) => Ok(reply),
        other => Err(no_reply(&other, &words.join(" "))),
    }
}

/// What it means that there is no reply.
pub(super) fn no_reply(answer: &Answer, what: &str) -> Trouble {
    match answer {
        Answer::Closed => Trouble::Lost,
        other => Trouble::Wrong(format!("{what}: {other}")),
    }
}

fn unexpected(what: &str, reply: &Reply) -> Trouble {
    Trouble::Wrong(format!("expected {what}, found {}", shortened(reply)))
}

/// A reply as it is shown to a person, however large it is.
pub(super) fn shortened(reply: &Reply) -> String {
    const LONGEST: usize = 600;
    let mut text = reply.to_string();
    if text.len() > LONGEST {
        // All of it is ASCII.
        text.truncate(LONGEST);
        text.push_str(" ...");
    }
    text
}

fn value<'a>(map: &'a Reply, name: &str) -> Option<&'a Reply> {
    let pairs = map.pairs()?;
    let found = pairs
        .iter()
        .find(|(key, _)| key.text() == Some(name.as_bytes()));
    found.map(|(_, value)| *value)
}

fn id(reply: Option<&Reply>) -> Option<Id> {
    Id::parse(reply?.text()?)
}

fn number(reply: Option<&Reply>) -> Option<u64> {
    match reply? {
        Reply::Integer(number) => u64::try_from(*number).ok(),
        _ => None,
    }
}
