//! `TYPE key`: what is at a key. There are only streams.

use crate::command::{Access, Arg, Args, Body, Cx, Group, Halt, KeyUse, Outcome, Spec, Traits};

/// The one type that values have.
pub(super) const STREAM: &str = "stream";

pub(crate) static TYPE: Spec = Spec {
    name: "type",
    summary: "Tells the type of the value at a key.",
    since: "1.0.0",
    complexity: "O(1)",
    group: Group::Generic,
    access: Access::Read,
    traits: Traits::FAST,
    tips: &[],
    args: &[Arg::key("key", KeyUse::READ)],
    body: Body::Run(run),
};

fn run(cx: &mut Cx<'_>, args: &mut Args<'_>) -> Result<Outcome, Halt> {
    let key = args.word()?;
    let name = if cx.finds(key) { STREAM } else { "none" };
    cx.out.simple(name);
    Ok(Outcome::Done)
}
