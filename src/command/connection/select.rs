//! `SELECT index`: chooses the database of this connection.

use std::sync::atomic::Ordering;

use crate::command::{Access, Arg, Args, Body, Cx, Group, Halt, Outcome, Spec, Traits, parse_int};
use crate::config;
use crate::refusal::Refusal;
use crate::server::Server;

pub(crate) static SELECT: Spec = Spec {
    name: "select",
    summary: "Chooses the connection's database.",
    since: "1.0.0",
    complexity: "O(1)",
    group: Group::Connection,
    access: Access::Neither,
    traits: Traits::LOADING.and(Traits::STALE).and(Traits::FAST),
    tips: &[],
    args: &[Arg::int("index")],
    body: Body::Run(run),
};

fn run(cx: &mut Cx<'_>, args: &mut Args<'_>) -> Result<Outcome, Halt> {
    let db = database(cx.server, args.word()?)?;
    cx.session.db = db;
    cx.session.client.db.store(db, Ordering::Relaxed);
    cx.out.simple("OK");
    Ok(Outcome::Done)
}

/// The database that a word names.
pub(crate) fn database(server: &Server, word: &[u8]) -> Result<u8, Refusal> {
    let index = parse_int(word).ok_or(Refusal::NotAnInteger)?;
    let index = i32::try_from(index).map_err(|_beyond| {
        Refusal::Command("ERR value is out of range, value must between -2147483648 and 2147483647")
    })?;
    numbered(server, index)
}

/// The database of that number, if this server has it.
pub(crate) fn numbered(server: &Server, index: i32) -> Result<u8, Refusal> {
    let known = i64::from(index) < server.config.int(config::DATABASES);
    u8::try_from(index)
        .ok()
        .filter(|_| known)
        .ok_or(Refusal::DbIndex)
}
