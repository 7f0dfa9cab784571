//! The command table: what COMMAND INFO and COMMAND DOCS say about every command that both have.
//!
//! Both answers are taken apart into **facts**, each a path and a value:
//!
//! ```text
//!  xadd.arity                    :-5
//!  xadd.keys[0].begin_search     ...
//!  xadd.arguments[2].token       $"NOMKSTREAM"
//!  xgroup|create.acl             @slow @stream @write
//! ```
//!
//! A list whose order means nothing (flags, ACL categories) is one sorted fact. Not compared,
//! because they are prose and every project writes its own: summaries, complexities, histories,
//! notes.
//! Commands and subcommands that only one of the two has, and options that only the real server
//! has, are not compared either; a command that is missing is found by the conversation about it.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::SocketAddr;

use super::compare::Parting;
use super::transcript::Protocol;
use crate::connection::{Answer, Connection};
use crate::reply::Reply;

/// What the conversation is called.
pub(crate) const NAME: &str = "command-table";

/// The same, held with sentinels.
pub(crate) const NAME_OF_SENTINELS: &str = "sentinel-command-table";

/// Options of newer servers that are no part of what Headwater answers: command, argument.
const NOT_OURS: &[(&str, &str)] = &[
    // KEEPREF, DELREF and ACKED, of 8.2.
    ("xadd", "condition"),
    ("xtrim", "condition"),
];

/// Facts that are meant to differ, by how they begin.
const MEANT: &[&str] = &[
    // COORDINATED, of Valkey 9.
    "sentinel|failover.ar",
    // The words are there, but not as tokens, and none may be left out.
    "sentinel|simulate-failure.arguments[0].",
];

/// What was found.
pub(crate) struct Found {
    pub(crate) compared: usize,
    /// The fact's path and where it parts.
    pub(crate) partings: Vec<(String, Parting)>,
}

type Facts = BTreeMap<String, String>;

/// Compares everything that both servers say about the commands that both have.
///
/// # Errors
///
/// When a server does not answer.
pub(crate) fn compare(
    theirs: SocketAddr,
    ours: SocketAddr,
    protocol: Protocol,
) -> io::Result<Found> {
    let mut theirs = Connection::open(theirs)?;
    let mut ours = Connection::open(ours)?;
    if protocol == Protocol::Resp3 {
        ask(&mut theirs, &["HELLO", "3"])?;
        ask(&mut ours, &["HELLO", "3"])?;
    }
    let their_names = names(&mut theirs)?;
    let mut found = Found {
        compared: 0,
        partings: Vec::new(),
    };
    for name in names(&mut ours)?.intersection(&their_names) {
        let mut their_facts = facts(&mut theirs, name)?;
        let mut our_facts = facts(&mut ours, name)?;
        // Subcommands that only one of them has.
        for facts in [&mut their_facts, &mut our_facts] {
            facts.retain(|path, _| MEANT.iter().all(|meant| !path.starts_with(meant)));
        }
        let known = |facts: &Facts| -> BTreeSet<String> {
            facts
                .keys()
                .map(|path| command_of(path).to_owned())
                .collect()
        };
        let (theirs_known, ours_known) = (known(&their_facts), known(&our_facts));
        their_facts.retain(|path, _| ours_known.contains(command_of(path)));
        our_facts.retain(|path, _| theirs_known.contains(command_of(path)));
        let paths: BTreeSet<_> = their_facts.keys().chain(our_facts.keys()).collect();
        for path in paths {
            let fact = |facts: &Facts| facts.get(path).map_or("(nothing)".to_owned(), Clone::clone);
            let (theirs, ours) = (fact(&their_facts), fact(&our_facts));
            found.compared += 1;
            if theirs != ours {
                let parting = Parting {
                    path: String::new(),
                    theirs,
                    ours,
                };
                found.partings.push((path.clone(), parting));
            }
        }
    }
    Ok(found)
}

/// `xgroup|create` of `xgroup|create.arity`.
fn command_of(path: &str) -> &str {
    path.split_once('.').map_or(path, |(command, _)| command)
}

fn ask(connection: &mut Connection, words: &[&str]) -> io::Result<Reply> {
    match connection.ask(words) {
        Answer::Reply(reply) => Ok(reply),
        other => Err(io::Error::other(format!("{words:?}: {other}"))),
    }
}

fn names(connection: &mut Connection) -> io::Result<BTreeSet<String>> {
    let list = ask(connection, &["COMMAND", "LIST"])?;
    Ok(list
        .elements()
        .unwrap_or_default()
        .iter()
        .map(string)
        .collect())
}

fn string(reply: &Reply) -> String {
    String::from_utf8_lossy(reply.text().unwrap_or_default()).into_owned()
}

fn facts(connection: &mut Connection, name: &str) -> io::Result<Facts> {
    let mut facts = Facts::new();
    let info = ask(connection, &["COMMAND", "INFO", name])?;
    match info.elements() {
        Some([info]) => note_info(info, &mut facts),
        _ => note(&mut facts, name, "info", &info.to_string()),
    }
    let docs = ask(connection, &["COMMAND", "DOCS", name])?;
    match docs.pairs().as_deref() {
        Some([(name, docs)]) => note_docs(&string(name), docs, &mut facts),
        _ => note(&mut facts, name, "docs", &docs.to_string()),
    }
    note(&mut facts, name, "docs", kind(&docs));
    Ok(facts)
}

fn note(facts: &mut Facts, command: &str, what: &str, value: &str) {
    facts.insert(format!("{command}.{what}"), value.to_owned());
}

/// [name, arity, flags, first key, last key, step, ACL categories, tips, key specs, subcommands].
fn note_info(info: &Reply, facts: &mut Facts) {
    let Some([name, plain @ .., acl, tips, keys, subcommands]) = info.elements() else {
        note(facts, "?", "info", &info.to_string());
        return;
    };
    let command = string(name);
    let labels = ["arity", "flags", "key-first", "key-last", "key-step"];
    for (label, value) in labels.iter().zip(plain) {
        note(facts, &command, label, &sorted(value));
    }
    note(
        facts,
        &command,
        "length",
        &info.elements().unwrap_or_default().len().to_string(),
    );
    note(facts, &command, "acl", &sorted(acl));
    note(facts, &command, "tips", &sorted(tips));
    note(facts, &command, "keys", kind(keys));
    for (at, spec) in keys.elements().unwrap_or_default().iter().enumerate() {
        note(facts, &command, &format!("keys[{at}]"), kind(spec));
        for (label, value) in spec.pairs().unwrap_or_default() {
            let label = string(label);
            if label != "notes" {
                note(
                    facts,
                    &command,
                    &format!("keys[{at}].{label}"),
                    &sorted(value),
                );
            }
        }
    }
    note(facts, &command, "subcommands", kind(subcommands));
    for subcommand in subcommands.elements().unwrap_or_default() {
        note_info(subcommand, facts);
    }
}

fn note_docs(command: &str, docs: &Reply, facts: &mut Facts) {
    note(facts, command, "docs-kind", kind(docs));
    for (label, value) in docs.pairs().unwrap_or_default() {
        match string(label).as_str() {
            "summary" | "complexity" => note(facts, command, &string(label), kind(value)),
            "history" => {}
            "arguments" => note_arguments(command, "", value, facts),
            "subcommands" => {
                for (name, docs) in value.pairs().unwrap_or_default() {
                    note_docs(&string(name), docs, facts);
                }
            }
            label => note(facts, command, label, &sorted(value)),
        }
    }
}

fn note_arguments(command: &str, path: &str, arguments: &Reply, facts: &mut Facts) {
    note(facts, command, &format!("{path}arguments"), kind(arguments));
    let arguments = arguments.elements().unwrap_or_default().iter();
    let ours = arguments.filter(|argument| {
        let pairs = argument.pairs().unwrap_or_default();
        let name = pairs
            .iter()
            .find(|(label, _)| label.text() == Some(b"name"));
        let name = name.map(|(_, name)| string(name)).unwrap_or_default();
        !NOT_OURS.contains(&(command, &name))
    });
    for (at, argument) in ours.enumerate() {
        let path = format!("{path}arguments[{at}]");
        note(facts, command, &path, kind(argument));
        for (label, value) in argument.pairs().unwrap_or_default() {
            match string(label).as_str() {
                "arguments" => note_arguments(command, &format!("{path}."), value, facts),
                label => note(facts, command, &format!("{path}.{label}"), &sorted(value)),
            }
        }
    }
}

/// What sort of container or string a reply is.
fn kind(reply: &Reply) -> &'static str {
    match reply {
        Reply::Array(_) => "an array",
        Reply::Bulk(_) => "a bulk string",
        Reply::Map(_) => "a map",
        Reply::Set(_) => "a set",
        Reply::Simple(_) => "a simple string",
        Reply::Error(_) => "an error",
        _ => "something else",
    }
}

/// A value as text; a list of names in the order of the alphabet, with its type before it.
fn sorted(value: &Reply) -> String {
    match value {
        Reply::Array(all) | Reply::Set(all)
            if all
                .iter()
                .all(|one| matches!(one, Reply::Simple(_) | Reply::Bulk(_))) =>
        {
            let mut all: Vec<_> = all.iter().map(ToString::to_string).collect();
            all.sort_unstable();
            format!("{}: {}", kind(value), all.join(" "))
        }
        other => other.to_string(),
    }
}
