//! `CLIENT PAUSE timeout [WRITE | ALL]`, `CLIENT UNPAUSE`, `CLIENT UNBLOCK id [TIMEOUT | ERROR]`:
//! who waits, and until when.

use super::ADMIN;
use crate::command::{Access, Arg, Args, Body, Cx, Group, Halt, Outcome, Spec};
use crate::pause::{Cause, Held};
use crate::refusal::Refusal;
use crate::waiters::Unblock;

pub(super) static PAUSE: Spec = Spec {
    name: "pause",
    summary: "Holds commands back, all or those that write.",
    since: "3.0.0",
    complexity: "O(1)",
    group: Group::Connection,
    access: Access::Neither,
    traits: ADMIN,
    tips: &[],
    args: &[
        Arg::int("timeout"),
        Arg::one_of(
            "mode",
            &[Arg::flag("write", "WRITE"), Arg::flag("all", "ALL")],
        )
        .since("6.2.0")
        .optional(),
    ],
    body: Body::Run(pause),
};

pub(super) static UNPAUSE: Spec = Spec {
    name: "unpause",
    summary: "Ends a pause: what was held back goes on.",
    since: "6.2.0",
    complexity: "O(N) for N connections that are held back.",
    group: Group::Connection,
    access: Access::Neither,
    traits: ADMIN,
    tips: &[],
    args: &[],
    body: Body::Run(unpause),
};

pub(super) static UNBLOCK: Spec = Spec {
    name: "unblock",
    summary: "Ends the wait of another connection's command.",
    since: "5.0.0",
    complexity: "O(log N) for N connections.",
    group: Group::Connection,
    access: Access::Neither,
    traits: ADMIN,
    tips: &[],
    args: &[
        Arg::int("client-id"),
        Arg::one_of(
            "unblock-type",
            &[Arg::flag("timeout", "TIMEOUT"), Arg::flag("error", "ERROR")],
        )
        .optional(),
    ],
    body: Body::Run(unblock),
};

fn pause(cx: &mut Cx<'_>, args: &mut Args<'_>) -> Result<Outcome, Halt> {
    let subcommand = args.request().word(1);
    if args.left() > 2 {
        return Err(too_many(subcommand).into());
    }
    let timeout = args.peek();
    args.skip(usize::from(timeout.is_some()));
    let held = if args.is_empty() || args.eat("ALL") {
        Held::All
    } else if args.eat("WRITE") {
        Held::Writes
    } else {
        let text = "ERR CLIENT PAUSE mode must be WRITE or ALL";
        return Err(Refusal::Command(text).into());
    };
    let timeout_ms = Args::new(args.request(), 2).timeout_ms(cx.now)?;
    cx.server
        .pause
        .begin(Cause::Client, held, cx.now + timeout_ms);
    cx.out.simple("OK");
    Ok(Outcome::Done)
}

/// What a known subcommand says to words it does not take.
fn too_many(subcommand: &[u8]) -> Refusal {
    let subcommand = String::from_utf8_lossy(subcommand).into();
    Refusal::UnknownSubcommandOrArity {
        subcommand,
        container: "CLIENT",
    }
}

fn unpause(cx: &mut Cx<'_>, _: &mut Args<'_>) -> Result<Outcome, Halt> {
    cx.server.pause.end(Cause::Client);
    cx.out.simple("OK");
    Ok(Outcome::Done)
}

fn unblock(cx: &mut Cx<'_>, args: &mut Args<'_>) -> Result<Outcome, Halt> {
    if args.left() > 2 {
        return Err(too_many(args.request().word(1)).into());
    }
    let id = args.peek();
    args.skip(1);
    let how = if args.is_empty() || args.eat("TIMEOUT") {
        Unblock::Timeout
    } else if args.eat("ERROR") {
        Unblock::Error
    } else {
        let text = "ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR";
        return Err(Refusal::Command(text).into());
    };
    let id = id
        .and_then(crate::command::args::parse_int)
        .ok_or(Refusal::NotAnInteger)?;
    let client = u64::try_from(id)
        .ok()
        .and_then(|id| cx.server.clients.get(id));
    let unblocked = client.is_some_and(|client| client.unblock(how));
    cx.out.int(unblocked.into());
    Ok(Outcome::Done)
}
