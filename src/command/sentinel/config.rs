//! `SENTINEL CONFIG GET pattern ...`, `SENTINEL CONFIG SET name value ...`: what is set for all
//! masters.
//!
//! One of the names, `loglevel`, is a directive of the server.

use super::{promise, subcommand, texts, write_pairs};
use crate::command::{Arg, Args, Cx, Halt, Outcome, Spec};
use crate::config;
use crate::refusal::Refusal;

pub(super) static CONFIG: Spec = subcommand(
    "config",
    "Returns or sets what is set for all masters.",
    "6.2.0",
    "O(N) for N names.",
    &[Arg::one_of(
        "action",
        &[
            Arg::block("set", &[Arg::string("parameter"), Arg::string("value")])
                .token("SET")
                .many(),
            Arg::string("parameter").token("GET").many(),
        ],
    )],
    run,
);

fn run(cx: &mut Cx<'_>, args: &mut Args<'_>) -> Result<Outcome, Halt> {
    match () {
        () if args.eat_with("GET", 0) => get(cx, args),
        () if args.eat_with("SET", 2) => set(cx, args)?,
        () => {
            return Err(Refusal::Command(
                "ERR Only SENTINEL CONFIG GET <param> [<param> <param> ...] / SET <param> \
                 <value> [<param> <value> ...] are supported.",
            )
            .into());
        }
    }
    Ok(Outcome::Done)
}

fn get(cx: &mut Cx<'_>, args: &mut Args<'_>) {
    let patterns: Vec<&[u8]> = args.rest().collect();
    let level = cx.server.config.text(config::LOGLEVEL);
    let found = cx.server.sentinel();
    let found = found.with(|monitor, _| monitor.config_get(&patterns, &level));
    write_pairs(&mut cx.out, &found);
}

fn set(cx: &mut Cx<'_>, args: &mut Args<'_>) -> Result<(), Refusal> {
    let words = texts(args);
    let words: Vec<&str> = words.iter().map(AsRef::as_ref).collect();
    let level = cx.server.sentinel();
    let level = level.with(|monitor, now_ms| monitor.config_set(now_ms, &words))?;
    if let Some(level) = level {
        let (server, pair) = (cx.server, ("loglevel".as_bytes(), level.as_bytes()));
        let set = server.config.set(&[pair]);
        set.expect("the monitor has looked at it");
        server.logging.set(&server.config);
    }
    promise(cx);
    cx.out.simple("OK");
    Ok(())
}
