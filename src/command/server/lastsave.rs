//! `LASTSAVE`: when the last snapshot was made.
//!
//! There are no snapshots: the log is always complete. As a Redis without snapshots does, this
//! tells the start of the server.

use crate::command::{Access, Args, Body, Cx, Group, Halt, Outcome, Spec, Traits};

pub(crate) static LASTSAVE: Spec = Spec {
    name: "lastsave",
    summary: "Returns the time of the last snapshot: the start of the server.",
    since: "1.0.0",
    complexity: "O(1)",
    group: Group::Server,
    access: Access::Neither,
    traits: Traits::LOADING
        .and(Traits::STALE)
        .and(Traits::FAST)
        .and(Traits::OPERATORS),
    tips: &["nondeterministic_output"],
    args: &[],
    body: Body::Run(run),
};

fn run(cx: &mut Cx<'_>, _: &mut Args<'_>) -> Result<Outcome, Halt> {
    let seconds = cx.server.identity.started_ms / 1000;
    cx.out.int(seconds.cast_signed());
    Ok(Outcome::Done)
}
