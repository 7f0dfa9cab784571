//! `RANDOMKEY`: some key, all equally likely.

use crate::command::{Access, Args, Body, Cx, Data, Group, Halt, Outcome, Spec, Traits};

pub(crate) static RANDOMKEY: Spec = Spec {
    name: "randomkey",
    summary: "Returns a random key of the database.",
    since: "1.0.0",
    complexity: "O(1)",
    group: Group::Generic,
    access: Access::Read,
    traits: Traits::NONE,
    tips: &[
        "request_policy:all_shards",
        "response_policy:special",
        "nondeterministic_output",
    ],
    args: &[],
    body: Body::Run(run),
};

fn run(cx: &mut Cx<'_>, _: &mut Args<'_>) -> Result<Outcome, Halt> {
    let Data {
        server,
        access,
        out,
        now,
        db,
        ..
    } = &mut cx.data;
    match access.random_key(*db, server.chance.next(), *now) {
        Some(key) => out.bulk(key),
        None => out.null(),
    }
    Ok(Outcome::Done)
}
