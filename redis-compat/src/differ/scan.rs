//! Whole walks with SCAN. Every server has an order and cursors of its own, so no transcript can
//! hold such a conversation; what two servers must agree about is which keys a whole walk finds.

use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddr;

use super::compare::Parting;
use super::transcript::Protocol;
use crate::connection::{Answer, Connection};
use crate::reply::Reply;

/// What the conversation is called.
pub(crate) const NAME: &str = "scan-walk";

const KEYS: usize = 700;
/// A walk that has not ended after so many steps never will.
const STEPS_MAX: usize = 10 * KEYS;

/// Options of the walks.
const WALKS: &[&[&str]] = &[
    &[],
    &["COUNT", "1"],
    &["COUNT", "7"],
    &["COUNT", "100000"],
    &["MATCH", "key:1*"],
    &["MATCH", "key:?5", "COUNT", "3"],
    &["MATCH", "none*", "COUNT", "50"],
    &["TYPE", "stream", "COUNT", "20"],
    &["TYPE", "string"],
];

/// What was found.
pub(crate) struct Found {
    pub(crate) compared: usize,
    /// The walk and where the findings part.
    pub(crate) partings: Vec<(String, Parting)>,
}

/// Fills both servers with the same keys, walks through each in several ways, and empties them.
///
/// # Errors
///
/// When a server does not answer, or a walk does not end.
pub(crate) fn compare(
    theirs: SocketAddr,
    ours: SocketAddr,
    protocol: Protocol,
) -> io::Result<Found> {
    let mut theirs = filled(theirs, protocol)?;
    let mut ours = filled(ours, protocol)?;
    let mut found = Found {
        compared: 0,
        partings: Vec::new(),
    };
    for options in WALKS {
        let (theirs, ours) = (walk(&mut theirs, options)?, walk(&mut ours, options)?);
        found.compared += 1;
        if theirs != ours {
            let only = |a: &BTreeSet<String>, b: &BTreeSet<String>| {
                let some: Vec<_> = a.difference(b).take(10).cloned().collect();
                format!("{} keys; only here: {}", a.len(), some.join(" "))
            };
            found.partings.push((
                format!("SCAN 0 {}", options.join(" ")),
                Parting {
                    path: String::new(),
                    theirs: only(&theirs, &ours),
                    ours: only(&ours, &theirs),
                },
            ));
        }
    }
    ask(&mut theirs, &["FLUSHALL"])?;
    ask(&mut ours, &["FLUSHALL"])?;
    Ok(found)
}

fn filled(addr: SocketAddr, protocol: Protocol) -> io::Result<Connection> {
    let mut connection = Connection::open(addr)?;
    if protocol == Protocol::Resp3 {
        ask(&mut connection, &["HELLO", "3"])?;
    }
    ask(&mut connection, &["FLUSHALL"])?;
    for key in 0..KEYS {
        ask(
            &mut connection,
            &["XADD", &format!("key:{key}"), "1-0", "f", "v"],
        )?;
    }
    // Holes, as a server that has lived for a while has.
    for key in (0..KEYS).step_by(3) {
        ask(&mut connection, &["DEL", &format!("key:{key}")])?;
    }
    Ok(connection)
}

/// Every key that a whole walk finds. Finding one twice is allowed.
fn walk(connection: &mut Connection, options: &[&str]) -> io::Result<BTreeSet<String>> {
    let mut found = BTreeSet::new();
    let mut cursor = "0".to_owned();
    for _ in 0..STEPS_MAX {
        let reply = ask(connection, &[&["SCAN", &cursor], options].concat())?;
        let Some([next, keys]) = reply.elements() else {
            return Err(io::Error::other(format!("SCAN {cursor}: {reply}")));
        };
        found.extend(
            keys.elements()
                .unwrap_or_default()
                .iter()
                .map(ToString::to_string),
        );
        cursor = String::from_utf8_lossy(next.text().unwrap_or_default()).into_owned();
        if cursor == "0" {
            return Ok(found);
        }
    }
    Err(io::Error::other(format!(
        "SCAN with {options:?} has not ended after {STEPS_MAX} steps"
    )))
}

fn ask(connection: &mut Connection, words: &[&str]) -> io::Result<Reply> {
    match connection.ask(words) {
        Answer::Reply(reply) => Ok(reply),
        other => Err(io::Error::other(format!("{words:?}: {other}"))),
    }
}
