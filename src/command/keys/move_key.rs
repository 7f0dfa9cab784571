//! `MOVE key db`: takes a key to another database, unless that has one of the same name.

use crate::command::connection::database;
use crate::command::{Access, Arg, Args, Body, Cx, Group, Halt, KeyUse, Outcome, Spec, Traits};
use crate::refusal::Refusal;

pub(crate) static MOVE: Spec = Spec {
    name: "move",
    summary: "Takes a key to another database.",
    since: "1.0.0",
    complexity: "O(1)",
    group: Group::Generic,
    access: Access::Write,
    traits: Traits::ALONE.and(Traits::FAST),
    tips: &[],
    args: &[Arg::key("key", KeyUse::CARRY), Arg::int("db")],
    body: Body::Run(run),
};

fn run(cx: &mut Cx<'_>, args: &mut Args<'_>) -> Result<Outcome, Halt> {
    let key = args.word()?;
    let to = database(cx.server, args.word()?)?;
    let (db, now) = (cx.db, cx.now);
    if to == db {
        return Err(Refusal::SameObject.into());
    }
    let moved = !cx.access.exists(to, key, now) && cx.access.move_to((db, key), (to, key), now)?;
    cx.out.int(i64::from(moved));
    Ok(Outcome::Done)
}
