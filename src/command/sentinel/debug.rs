//! `SENTINEL DEBUG`, `SENTINEL SIMULATE-FAILURE`: for tests.

use super::{subcommand, texts, write_pairs};
use crate::command::{Arg, Args, Cx, Halt, Outcome, Spec};

pub(super) static DEBUG: Spec = subcommand(
    "debug",
    "Returns the intervals that a monitor keeps to, or sets some, in milliseconds.",
    "7.0.0",
    "O(N) for N intervals.",
    &[
        Arg::block("data", &[Arg::string("parameter"), Arg::string("value")])
            .optional()
            .many(),
    ],
    debug,
);

pub(super) static SIMULATE_FAILURE: Spec = subcommand(
    "simulate-failure",
    "Has the monitor end in the middle of the next failover.",
    "3.2.0",
    "",
    &[Arg::one_of(
        "mode",
        &[
            Arg::flag("crash-after-election", "CRASH-AFTER-ELECTION"),
            Arg::flag("crash-after-promotion", "CRASH-AFTER-PROMOTION"),
            Arg::flag("help", "HELP"),
        ],
    )
    .many()],
    simulate_failure,
);

fn debug(cx: &mut Cx<'_>, args: &mut Args<'_>) -> Result<Outcome, Halt> {
    if args.is_empty() {
        let timers = cx.server.sentinel().with(|monitor, _| monitor.timers());
        let shown = timers.iter().map(|(name, ms)| (*name, ms.to_string()));
        write_pairs(&mut cx.out, &shown.collect::<Vec<_>>());
        return Ok(Outcome::Done);
    }
    let words = texts(args);
    let words: Vec<&str> = words.iter().map(AsRef::as_ref).collect();
    cx.server
        .sentinel()
        .with(|monitor, _| monitor.debug(&words))?;
    cx.out.simple("OK");
    Ok(Outcome::Done)
}

fn simulate_failure(cx: &mut Cx<'_>, args: &mut Args<'_>) -> Result<Outcome, Halt> {
    let words = texts(args);
    let words: Vec<&str> = words.iter().map(AsRef::as_ref).collect();
    let help = words
        .iter()
        .position(|word| word.eq_ignore_ascii_case("help"));
    let before = &words[..help.unwrap_or(words.len())];
    cx.server
        .sentinel()
        .with(|monitor, _| monitor.simulate_failure(before))?;
    match help {
        Some(_) => {
            cx.out.array(2);
            cx.out.bulk(b"crash-after-election");
            cx.out.bulk(b"crash-after-promotion");
        }
        None => cx.out.simple("OK"),
    }
    Ok(Outcome::Done)
}
