//! `SENTINEL MYID`, `FLUSHCONFIG`, `PENDING-SCRIPTS`: the monitor itself.

use super::{promise, subcommand};
use crate::command::{Args, Cx, Halt, Outcome, Spec};

pub(super) static MYID: Spec = subcommand(
    "myid",
    "Returns the ID of the monitor.",
    "6.2.0",
    "O(1)",
    &[],
    myid,
);

pub(super) static FLUSHCONFIG: Spec = subcommand(
    "flushconfig",
    "Writes the monitor's file, with all that it holds now.",
    "2.8.4",
    "O(1)",
    &[],
    flushconfig,
);

pub(super) static PENDING_SCRIPTS: Spec = subcommand(
    "pending-scripts",
    "Returns the scripts that run or are to run.",
    "2.8.4",
    "",
    &[],
    pending_scripts,
);

fn myid(cx: &mut Cx<'_>, _: &mut Args<'_>) -> Result<Outcome, Halt> {
    let id = cx
        .server
        .sentinel()
        .with(|monitor, _| monitor.id().to_owned());
    cx.out.bulk(id.as_bytes());
    Ok(Outcome::Done)
}

fn flushconfig(cx: &mut Cx<'_>, _: &mut Args<'_>) -> Result<Outcome, Halt> {
    cx.server.sentinel().with(|monitor, _| monitor.flush());
    promise(cx);
    cx.out.simple("OK");
    Ok(Outcome::Done)
}

fn pending_scripts(cx: &mut Cx<'_>, _: &mut Args<'_>) -> Result<Outcome, Halt> {
    let scripts = cx
        .server
        .sentinel()
        .with(|monitor, _| monitor.pending_scripts());
    cx.out.array(scripts.len());
    for script in scripts {
        let (flags, since) = match script.is_running {
            true => ("running", "run-time"),
            false => ("scheduled", "run-delay"),
        };
        cx.out.map(5);
        cx.out.bulk(b"argv");
        cx.out.array(script.argv.len());
        for word in &script.argv {
            cx.out.bulk(word.as_bytes());
        }
        let numbers = [
            ("pid", u64::from(script.pid)),
            (since, script.ms),
            ("retry-num", u64::from(script.tries)),
        ];
        cx.out.bulk(b"flags");
        cx.out.bulk(flags.as_bytes());
        for (name, number) in numbers {
            cx.out.bulk(name.as_bytes());
            cx.out.bulk(number.to_string().as_bytes());
        }
    }
    Ok(Outcome::Done)
}
