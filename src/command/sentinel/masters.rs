//! `SENTINEL MONITOR name ip port quorum`, `REMOVE name`, `RESET pattern`: which masters are
//! watched, and what of them is known.

use super::{MASTER_NAME, promise, subcommand, text};
use crate::command::{Arg, Args, Cx, Halt, Outcome, Spec};

pub(super) static MONITOR: Spec = subcommand(
    "monitor",
    "Watches a master.",
    "2.8.4",
    "O(1)",
    &[
        Arg::string("name"),
        Arg::string("ip"),
        Arg::int("port"),
        Arg::int("quorum"),
    ],
    monitor,
);

pub(super) static REMOVE: Spec = subcommand(
    "remove",
    "Watches a master no more.",
    "2.8.4",
    "O(1)",
    &[MASTER_NAME],
    remove,
);

pub(super) static RESET: Spec = subcommand(
    "reset",
    "Forgets the replicas, the monitors and the failovers of masters.",
    "2.8.4",
    "O(N) for N masters.",
    &[Arg::pattern("pattern")],
    reset,
);

fn monitor(cx: &mut Cx<'_>, args: &mut Args<'_>) -> Result<Outcome, Halt> {
    let words = [text(args)?, text(args)?, text(args)?, text(args)?];
    let words = words.each_ref().map(AsRef::as_ref);
    cx.server
        .sentinel()
        .with(|monitor, now_ms| monitor.monitor(now_ms, words))?;
    promise(cx);
    cx.out.simple("OK");
    Ok(Outcome::Done)
}

fn remove(cx: &mut Cx<'_>, args: &mut Args<'_>) -> Result<Outcome, Halt> {
    let name = text(args)?;
    cx.server
        .sentinel()
        .with(|monitor, now_ms| monitor.remove(now_ms, &name))?;
    promise(cx);
    cx.out.simple("OK");
    Ok(Outcome::Done)
}

fn reset(cx: &mut Cx<'_>, args: &mut Args<'_>) -> Result<Outcome, Halt> {
    let pattern = args.word()?;
    let count = cx.server.sentinel();
    let count = count.with(|monitor, now_ms| monitor.reset(now_ms, pattern));
    promise(cx);
    cx.out.count(count);
    Ok(Outcome::Done)
}
