//! `DEL key [key ...]` and `UNLINK key [key ...]`: removes keys.
//!
//! All of them are gone, or none: they are one batch of the log. UNLINK is the same command; the
//! names are two because Redis can free the memory in the background.

use crate::command::{Access, Arg, Args, Body, Cx, Group, Halt, KeyUse, Outcome, Spec, Traits};

const TIPS: &[&str] = &["request_policy:multi_shard", "response_policy:agg_sum"];

pub(crate) static DEL: Spec = Spec {
    name: "del",
    summary: "Removes keys.",
    since: "1.0.0",
    complexity: "O(N) for the keys, and for the entries of their streams.",
    group: Group::Generic,
    access: Access::Write,
    traits: Traits::ALONE,
    tips: TIPS,
    args: &[Arg::key("key", KeyUse::REMOVE).many()],
    body: Body::Run(run),
};

pub(crate) static UNLINK: Spec = Spec {
    name: "unlink",
    summary: "Removes keys, as DEL does.",
    since: "4.0.0",
    complexity: "O(N) for the keys, and for the entries of their streams.",
    group: Group::Generic,
    access: Access::Write,
    traits: Traits::ALONE.and(Traits::FAST),
    tips: TIPS,
    args: &[Arg::key("key", KeyUse::REMOVE).many()],
    body: Body::Run(run),
};

fn run(cx: &mut Cx<'_>, args: &mut Args<'_>) -> Result<Outcome, Halt> {
    let (db, now) = (cx.db, cx.now);
    let removed = cx.access.remove_all(db, args.rest(), now)?;
    cx.out.int(removed.cast_signed());
    Ok(Outcome::Done)
}
