//! `REPLCONF option value [option value ...]`: what a replica tells of itself before `PSYNC`.
//!
//! * Tools send it, too, so what is not known is refused in Redis' words.
//! * `ACK` and `GETACK` have no reply, and mean something only behind `PSYNC`.

use crate::command::{Access, Args, Body, Cx, Group, Halt, Outcome, Spec, Traits};
use crate::refusal::Refusal;

pub(crate) static REPLCONF: Spec = Spec {
    name: "replconf",
    summary: "Tells what a replica is. Replicas send it.",
    since: "3.0.0",
    complexity: "O(1)",
    group: Group::Server,
    access: Access::Neither,
    traits: Traits::ADMIN
        .and(Traits::NO_SCRIPT)
        .and(Traits::LOADING)
        .and(Traits::STALE)
        .and(Traits::ALLOW_BUSY)
        .and(Traits::ANY_WORDS),
    tips: &[],
    args: &[],
    body: Body::Run(run),
};

fn run(cx: &mut Cx<'_>, args: &mut Args<'_>) -> Result<Outcome, Halt> {
    if !args.left().is_multiple_of(2) {
        return Err(Refusal::Syntax.into());
    }
    while !args.is_empty() {
        let (option, value) = (args.word()?, args.word()?);
        if option.eq_ignore_ascii_case(b"ack") || option.eq_ignore_ascii_case(b"getack") {
            return Ok(Outcome::Done);
        }
        if !cx.session.hello.take(option, value)? {
            let option = String::from_utf8_lossy(option);
            return Err(Refusal::quoting(format_args!(
                "ERR Unrecognized REPLCONF option: {option}"
            ))
            .into());
        }
    }
    cx.out.simple("OK");
    Ok(Outcome::Done)
}
