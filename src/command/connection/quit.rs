//! `QUIT`: closes the connection after its replies.

use crate::command::{Access, Args, Body, Cx, Group, Halt, Outcome, Spec, Traits};

pub(crate) static QUIT: Spec = Spec {
    name: "quit",
    summary: "Ends the connection once its replies are sent.",
    since: "1.0.0",
    complexity: "O(1)",
    group: Group::Connection,
    access: Access::Neither,
    traits: Traits::NO_AUTH
        .and(Traits::NO_SCRIPT)
        .and(Traits::LOADING)
        .and(Traits::STALE)
        .and(Traits::FAST)
        .and(Traits::ALLOW_BUSY)
        .and(Traits::NOT_QUEUED)
        .and(Traits::SUBSCRIBED)
        .and(Traits::ANY_WORDS),
    tips: &[],
    args: &[],
    body: Body::Run(run),
};

fn run(cx: &mut Cx<'_>, args: &mut Args<'_>) -> Result<Outcome, Halt> {
    // Redis takes any number of words here.
    args.skip(args.left());
    cx.session.closing = true;
    cx.out.simple("OK");
    Ok(Outcome::Done)
}
