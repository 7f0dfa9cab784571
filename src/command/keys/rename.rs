//! `RENAME key newkey` and `RENAMENX key newkey`: gives a stream another key, with all it has:
//! entries, groups, pending entries, expiry.
//!
//! * RENAME replaces what the other key holds; RENAMENX leaves it alone and answers 0.
//! * A key is renamed to itself without anything happening: not even a WATCH on it notices.

use crate::command::{Access, Arg, Args, Body, Cx, Group, Halt, KeyUse, Outcome, Spec, Traits};
use crate::refusal::Refusal;

pub(crate) static RENAME: Spec = Spec {
    name: "rename",
    summary: "Gives a key another name, over what is there.",
    since: "1.0.0",
    complexity: "O(1), and what DEL costs if there is something at the new name.",
    group: Group::Generic,
    access: Access::Write,
    traits: Traits::ALONE,
    tips: &[],
    args: &[
        Arg::key("key", KeyUse::TAKE),
        Arg::key("newkey", KeyUse::OVERWRITE),
    ],
    body: Body::Run(rename),
};

pub(crate) static RENAMENX: Spec = Spec {
    name: "renamenx",
    summary: "Gives a key another name, if that is free.",
    since: "1.0.0",
    complexity: "O(1)",
    group: Group::Generic,
    access: Access::Write,
    traits: Traits::ALONE.and(Traits::FAST),
    tips: &[],
    args: &[
        Arg::key("key", KeyUse::TAKE),
        Arg::key("newkey", KeyUse::FILL),
    ],
    body: Body::Run(renamenx),
};

fn rename(cx: &mut Cx<'_>, args: &mut Args<'_>) -> Result<Outcome, Halt> {
    let (from, to) = (args.word()?, args.word()?);
    let (db, now) = (cx.db, cx.now);
    if !cx.access.move_to((db, from), (db, to), now)? {
        return Err(Refusal::NoSuchKey.into());
    }
    cx.out.simple("OK");
    Ok(Outcome::Done)
}

fn renamenx(cx: &mut Cx<'_>, args: &mut Args<'_>) -> Result<Outcome, Halt> {
    let (from, to) = (args.word()?, args.word()?);
    let (db, now) = (cx.db, cx.now);
    if !cx.has(from) {
        return Err(Refusal::NoSuchKey.into());
    }
    let moves = !cx.has(to);
    if moves {
        cx.access.move_to((db, from), (db, to), now)?;
    }
    cx.out.int(i64::from(moves));
    Ok(Outcome::Done)
}
