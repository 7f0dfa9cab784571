//! `DBSIZE`: how many keys the database has; those that have expired count until they are removed.

use crate::command::{Access, Args, Body, Cx, Group, Halt, Outcome, Spec, Traits};

pub(crate) static DBSIZE: Spec = Spec {
    name: "dbsize",
    summary: "Returns the number of keys in the database.",
    since: "1.0.0",
    complexity: "O(1)",
    group: Group::Server,
    access: Access::Read,
    traits: Traits::FAST.and(Traits::KEYSPACE),
    tips: &["request_policy:all_shards", "response_policy:agg_sum"],
    args: &[],
    body: Body::Run(run),
};

fn run(cx: &mut Cx<'_>, _: &mut Args<'_>) -> Result<Outcome, Halt> {
    let keys = cx.access.len(cx.db) as u64;
    cx.out.int(keys.cast_signed());
    Ok(Outcome::Done)
}
