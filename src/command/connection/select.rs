//! `SELECT index`: chooses the database of this connection.

use std::sync::atomic::Ordering;

use crate::command::{Access, Arg, Args, Body, Cx, Group, Halt, Outcome, Spec, Traits};
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
    let db = database(cx.server, args.int()?).ok_or(Refusal::DbIndex)?;
    cx.session.db = db;
    cx.session.client.db.store(db, Ordering::Relaxed);
    cx.out.simple("OK");
    Ok(Outcome::Done)
}

/// The database of that number, if this server has it.
pub(crate) fn database(server: &Server, index: i64) -> Option<u8> {
    if index >= server.config.int(config::DATABASES) {
        return None;
    }
    u8::try_from(index).ok()
}
