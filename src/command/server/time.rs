//! `TIME`: the server's clock, as seconds and microseconds.

use crate::clock;
use crate::command::{Access, Args, Body, Cx, Group, Halt, Outcome, Spec, Traits};

pub(crate) static TIME: Spec = Spec {
    name: "time",
    summary: "Returns the time of the server's clock.",
    since: "2.6.0",
    complexity: "O(1)",
    group: Group::Server,
    access: Access::Neither,
    traits: Traits::LOADING.and(Traits::STALE).and(Traits::FAST),
    tips: &["nondeterministic_output"],
    args: &[],
    body: Body::Run(run),
};

fn run(cx: &mut Cx<'_>, _: &mut Args<'_>) -> Result<Outcome, Halt> {
    // The moment of the command has milliseconds only.
    let now = clock::unix_us();
    cx.out.array(2);
    for number in [now / 1_000_000, now % 1_000_000] {
        cx.out.bulk(number.to_string().as_bytes());
    }
    Ok(Outcome::Done)
}
