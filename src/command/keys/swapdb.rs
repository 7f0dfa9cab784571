//! `SWAPDB index1 index2`: every client of the one database sees the other, at once.

use crate::command::connection::numbered;
use crate::command::{Access, Arg, Args, Body, Cx, Group, Halt, Outcome, Spec, Traits, parse_int};
use crate::refusal::Refusal;

pub(crate) static SWAPDB: Spec = Spec {
    name: "swapdb",
    summary: "Lets two databases change places.",
    since: "4.0.0",
    complexity: "O(1), and O(N) for the keys of both while clients wait for keys.",
    group: Group::Server,
    access: Access::Write,
    traits: Traits::ALONE
        .and(Traits::FAST)
        .and(Traits::KEYSPACE)
        .and(Traits::DANGEROUS),
    tips: &[],
    args: &[Arg::int("index1"), Arg::int("index2")],
    body: Body::Run(run),
};

fn run(cx: &mut Cx<'_>, args: &mut Args<'_>) -> Result<Outcome, Halt> {
    let first = index(args, "ERR invalid first DB index")?;
    let second = index(args, "ERR invalid second DB index")?;
    let (a, b) = (numbered(cx.server, first)?, numbered(cx.server, second)?);
    if a != b {
        cx.access.swap(a, b)?;
    }
    cx.out.simple("OK");
    Ok(Outcome::Done)
}

/// Redis tells the two numbers apart when one is not a number, and looks whether there are such
/// databases only then.
fn index(args: &mut Args<'_>, invalid: &'static str) -> Result<i32, Refusal> {
    let index = parse_int(args.word()?).and_then(|index| i32::try_from(index).ok());
    index.ok_or(Refusal::Command(invalid))
}
