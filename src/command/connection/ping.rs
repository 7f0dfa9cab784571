//! `PING [message]`: says that the server is there.
//!
//! A subscriber that speaks RESP2 is told so in the form of its messages.

use crate::command::{Access, Arg, Args, Body, Cx, Group, Halt, Outcome, Spec, Traits};
use crate::refusal::Refusal;

pub(crate) static PING: Spec = Spec {
    name: "ping",
    summary: "Answers, so that one knows that somebody is there.",
    since: "1.0.0",
    complexity: "O(1)",
    group: Group::Connection,
    access: Access::Neither,
    traits: Traits::FAST.and(Traits::SUBSCRIBED),
    tips: &["request_policy:all_shards", "response_policy:all_succeeded"],
    args: &[Arg::string("message").optional()],
    body: Body::Run(run),
};

fn run(cx: &mut Cx<'_>, args: &mut Args<'_>) -> Result<Outcome, Halt> {
    let message = args.peek();
    args.skip(args.left().min(1));
    if !args.is_empty() {
        return Err(Refusal::WrongArity {
            command: "ping".into(),
        }
        .into());
    }
    if cx.session.hears_messages_only() {
        cx.out.array(2);
        cx.out.bulk(b"pong");
        cx.out.bulk(message.unwrap_or_default());
        return Ok(Outcome::Done);
    }
    match message {
        Some(message) => cx.out.bulk(message),
        None => cx.out.simple("PONG"),
    }
    Ok(Outcome::Done)
}
