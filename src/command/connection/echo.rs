//! `ECHO message`: returns the message.

use crate::command::{Access, Arg, Args, Body, Cx, Group, Halt, Outcome, Spec, Traits};

pub(crate) static ECHO: Spec = Spec {
    name: "echo",
    summary: "Says what it was told.",
    since: "1.0.0",
    complexity: "O(1)",
    group: Group::Connection,
    access: Access::Neither,
    traits: Traits::LOADING.and(Traits::STALE).and(Traits::FAST),
    tips: &[],
    args: &[Arg::string("message")],
    body: Body::Run(run),
};

fn run(cx: &mut Cx<'_>, args: &mut Args<'_>) -> Result<Outcome, Halt> {
    let message = args.word()?;
    cx.out.bulk(message);
    Ok(Outcome::Done)
}
