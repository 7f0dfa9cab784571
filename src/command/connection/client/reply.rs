//! `CLIENT REPLY ON | OFF | SKIP`: which requests are answered.
//!
//! * OFF and SKIP have no reply themselves; SKIP leaves out the next one, and means nothing while
//!   replies are off.
//! * The reply of a command that waited is left out as one of a command that did not.
//! * In a transaction they concern EXEC's reply as a whole. (Redis leaves out elements of it, and
//!   no client can read the rest.)

use super::TRAITS;
use crate::command::{Access, Arg, Args, Body, Cx, Group, Halt, Outcome, Spec};
use crate::refusal::Refusal;
use crate::session::Replies;

pub(super) static REPLY: Spec = Spec {
    name: "reply",
    summary: "Turns replies on or off, or leaves out the next one.",
    since: "3.2.0",
    complexity: "O(1)",
    group: Group::Connection,
    access: Access::Neither,
    traits: TRAITS,
    tips: &[],
    args: &[Arg::one_of(
        "action",
        &[
            Arg::flag("on", "ON"),
            Arg::flag("off", "OFF"),
            Arg::flag("skip", "SKIP"),
        ],
    )],
    body: Body::Run(run),
};

fn run(cx: &mut Cx<'_>, args: &mut Args<'_>) -> Result<Outcome, Halt> {
    let replies = &mut cx.session.replies;
    if args.eat("ON") {
        *replies = Replies::On;
    } else if args.eat("OFF") {
        *replies = Replies::Off;
    } else if args.eat("SKIP") {
        if *replies != Replies::Off {
            *replies = Replies::SkipNext;
        }
    } else {
        return Err(Refusal::Syntax.into());
    }
    cx.out.simple("OK");
    Ok(Outcome::Done)
}
