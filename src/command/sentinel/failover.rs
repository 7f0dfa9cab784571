//! `SENTINEL FAILOVER name [COORDINATED]`, `SENTINEL CKQUORUM name`: having a replica take a
//! master's place, and whether that could be done without asking.
//!
//! * A failover that is asked for here takes no votes. A coordinated one does, and is the master's
//!   own: it hands over (Valkey 9).

use super::{MASTER_NAME, promise, subcommand, text};
use crate::command::{Arg, Args, Cx, Halt, Outcome, Spec};
use crate::refusal::Refusal;

pub(super) static FAILOVER: Spec = subcommand(
    "failover",
    "Has a replica take the place of a master, without asking other monitors.",
    "2.8.4",
    "",
    &[
        MASTER_NAME,
        Arg::flag("coordinated", "COORDINATED").optional(),
    ],
    failover,
);

pub(super) static CKQUORUM: Spec = subcommand(
    "ckquorum",
    "Tells whether there are enough monitors to fail over.",
    "2.8.4",
    "",
    &[MASTER_NAME],
    ckquorum,
);

fn failover(cx: &mut Cx<'_>, args: &mut Args<'_>) -> Result<Outcome, Halt> {
    let name = text(args)?;
    let is_coordinated = args.eat("COORDINATED");
    let is_known = cx
        .server
        .sentinel()
        .with(|monitor, _| monitor.address(&name).is_some());
    if is_known && !args.is_empty() {
        return Err(Refusal::Command("ERR Unknown failover option specified").into());
    }
    cx.server
        .sentinel()
        .with(|monitor, now_ms| monitor.failover(now_ms, &name, is_coordinated))?;
    promise(cx);
    cx.out.simple("OK");
    Ok(Outcome::Done)
}

fn ckquorum(cx: &mut Cx<'_>, args: &mut Args<'_>) -> Result<Outcome, Halt> {
    let name = text(args)?;
    let verdict = cx
        .server
        .sentinel()
        .with(|monitor, _| monitor.ckquorum(&name))?;
    cx.out.simple(&verdict);
    Ok(Outcome::Done)
}
