//! `COPY source destination [DB destination-db] [REPLACE]`: makes a second stream like the first,
//! with its entries, groups, pending entries and expiry.
//!
//! The entries themselves are not copied: both streams refer to the same place of the log.

use crate::command::connection::database;
use crate::command::{Access, Arg, Args, Body, Cx, Group, Halt, KeyUse, Outcome, Spec, Traits};
use crate::refusal::Refusal;

pub(crate) static COPY: Spec = Spec {
    name: "copy",
    summary: "Copies the value of a key to another key.",
    since: "6.2.0",
    complexity: "O(N) for the entries and pending entries, which are not read from disk.",
    group: Group::Generic,
    access: Access::Write,
    traits: Traits::ALONE.and(Traits::DENY_OOM),
    tips: &[],
    args: &[
        Arg::key("source", KeyUse::ACCESS),
        Arg::key("destination", KeyUse::OVERWRITE),
        Arg::int("destination-db").token("DB").optional(),
        Arg::flag("replace", "REPLACE").optional(),
    ],
    body: Body::Run(run),
};

fn run(cx: &mut Cx<'_>, args: &mut Args<'_>) -> Result<Outcome, Halt> {
    let from = (cx.db, args.word()?);
    let mut to = (cx.db, args.word()?);
    let mut replaces = false;
    while !args.is_empty() {
        if args.eat("REPLACE") {
            replaces = true;
        } else if args.eat_with("DB", 1) {
            to.0 = database(cx.server, args.word()?)?;
        } else {
            return Err(Refusal::Syntax.into());
        }
    }
    if from == to {
        return Err(Refusal::SameObject.into());
    }
    let now = cx.now;
    let free = replaces || !cx.access.exists(to.0, to.1, now);
    let copied = free && cx.access.copy(from, to, now)?;
    cx.out.int(i64::from(copied));
    Ok(Outcome::Done)
}
