//! `SENTINEL SET name option value [option value ...]`: what is set for one master.
//!
//! Options are set one after the other, as in Redis: those before one that is refused stay set.

use super::{MASTER_NAME, promise, subcommand, text, texts};
use crate::command::{Arg, Args, Cx, Halt, Outcome, Spec};
use crate::sentinel::is_executable;

pub(super) static SET: Spec = subcommand(
    "set",
    "Sets options of a master.",
    "2.8.4",
    "O(1)",
    &[
        MASTER_NAME,
        Arg::block("data", &[Arg::string("option"), Arg::string("value")]).many(),
    ],
    run,
);

fn run(cx: &mut Cx<'_>, args: &mut Args<'_>) -> Result<Outcome, Halt> {
    let name = text(args)?;
    let words = texts(args);
    let words: Vec<&str> = words.iter().map(AsRef::as_ref).collect();
    let set = cx
        .server
        .sentinel()
        .with(|monitor, now_ms| monitor.set(now_ms, &name, &words, &is_executable));
    promise(cx);
    set?;
    cx.out.simple("OK");
    Ok(Outcome::Done)
}
