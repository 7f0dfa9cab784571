//! `PUBLISH` as a monitor has it: other monitors say who they are, and what they know of a master.

use crate::command::{Args, Body, Cx, Halt, Outcome, Spec, pubsub};
use crate::refusal::Refusal;
use crate::sentinel::HELLO;

pub(crate) static PUBLISH: Spec = Spec {
    body: Body::Run(run),
    ..pubsub::PUBLISH
};

fn run(cx: &mut Cx<'_>, args: &mut Args<'_>) -> Result<Outcome, Halt> {
    if args.word()? != HELLO.as_bytes() {
        let text = "ERR Only HELLO messages are accepted by Sentinel instances.";
        return Err(Refusal::Command(text).into());
    }
    let payload = args.word()?;
    cx.server.sentinel().hear(payload);
    cx.out.int(1);
    Ok(Outcome::Done)
}
