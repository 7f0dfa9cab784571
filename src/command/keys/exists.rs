//! `EXISTS key [key ...]` and `TOUCH key [key ...]`: how many of the keys are there.
//!
//! A key that is named twice counts twice. TOUCH counts as a use of the key (`OBJECT IDLETIME`),
//! EXISTS does not.

use crate::command::{Access, Arg, Args, Body, Cx, Group, Halt, KeyUse, Outcome, Spec, Traits};

const TIPS: &[&str] = &["request_policy:multi_shard", "response_policy:agg_sum"];

pub(crate) static EXISTS: Spec = Spec {
    name: "exists",
    summary: "Counts which of the keys exist.",
    since: "1.0.0",
    complexity: "O(N) for the keys.",
    group: Group::Generic,
    access: Access::Read,
    traits: Traits::FAST,
    tips: TIPS,
    args: &[Arg::key("key", KeyUse::READ).many()],
    body: Body::Run(exists),
};

pub(crate) static TOUCH: Spec = Spec {
    name: "touch",
    summary: "Counts which of the keys exist, as a use of them.",
    since: "3.2.1",
    complexity: "O(N) for the keys.",
    group: Group::Generic,
    access: Access::Read,
    traits: Traits::FAST,
    tips: TIPS,
    args: &[Arg::key("key", KeyUse::READ).many()],
    body: Body::Run(touch),
};

fn exists(cx: &mut Cx<'_>, args: &mut Args<'_>) -> Result<Outcome, Halt> {
    let found = args.rest().map(|key| i64::from(cx.finds(key))).sum();
    cx.out.int(found);
    Ok(Outcome::Done)
}

fn touch(cx: &mut Cx<'_>, args: &mut Args<'_>) -> Result<Outcome, Halt> {
    let found = args
        .rest()
        .map(|key| i64::from(cx.stream(key).is_some()))
        .sum();
    cx.out.int(found);
    Ok(Outcome::Done)
}
