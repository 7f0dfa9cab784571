//! `ROLE`: the part that this server plays in replication.
//!
//! It is a master without replicas. Its offset is the log's LSN.

use crate::command::{Access, Args, Body, Cx, Group, Halt, Outcome, Spec, Traits};

pub(crate) static ROLE: Spec = Spec {
    name: "role",
    summary: "Returns the part that the server plays in replication.",
    since: "2.8.12",
    complexity: "O(1)",
    group: Group::Server,
    access: Access::Neither,
    traits: Traits::NO_SCRIPT
        .and(Traits::LOADING)
        .and(Traits::STALE)
        .and(Traits::FAST)
        .and(Traits::OPERATORS),
    tips: &[],
    args: &[],
    body: Body::Run(run),
};

fn run(cx: &mut Cx<'_>, _: &mut Args<'_>) -> Result<Outcome, Halt> {
    let offset = cx.end().get();
    cx.out.array(3);
    cx.out.bulk(b"master");
    cx.out.int(offset.cast_signed());
    cx.out.array(0);
    Ok(Outcome::Done)
}
