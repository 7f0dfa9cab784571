//! `LASTSAVE`: when the last checkpoint was finished; the start of the server before the first one.

use crate::command::{Access, Args, Body, Cx, Group, Halt, Outcome, Spec, Traits};
use crate::saves;

pub(crate) static LASTSAVE: Spec = Spec {
    name: "lastsave",
    summary: "Returns the time of the last checkpoint.",
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
    let seconds = saves::last_ms(cx.server, cx.now) / 1000;
    cx.out.int(seconds.cast_signed());
    Ok(Outcome::Done)
}
