//! `XLEN key`: how many entries a stream has.

use crate::command::{Access, Arg, Args, Body, Cx, Group, Halt, KeyUse, Outcome, Spec, Traits};

pub(crate) static XLEN: Spec = Spec {
    name: "xlen",
    summary: "Counts the entries of a stream.",
    since: "5.0.0",
    complexity: "O(1)",
    group: Group::Stream,
    access: Access::Read,
    traits: Traits::FAST,
    tips: &[],
    args: &[Arg::key("key", KeyUse::READ)],
    body: Body::Run(run),
};

fn run(cx: &mut Cx<'_>, args: &mut Args<'_>) -> Result<Outcome, Halt> {
    let length = cx.stream(args.word()?).map_or(0, |stream| stream.len());
    cx.out.int(length.cast_signed());
    Ok(Outcome::Done)
}
