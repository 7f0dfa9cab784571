//! `XTRIM key MAXLEN | MINID [= | ~] threshold [LIMIT count]`: removes the oldest entries.
//!
//! `~` removes whole storage nodes only, exactly those that Redis would remove.

use headwater_store::Change;

use crate::command::stream::trim::{self, TrimOptions};
use crate::command::{Access, Arg, Args, Body, Cx, Group, Halt, KeyUse, Outcome, Spec, Traits};
use crate::refusal::Refusal;

pub(crate) static XTRIM: Spec = Spec {
    name: "xtrim",
    summary: "Removes the oldest entries of a stream.",
    since: "5.0.0",
    complexity: "O(N) for N entries removed.",
    group: Group::Stream,
    access: Access::Write,
    traits: Traits::NONE,
    tips: &["nondeterministic_output"],
    args: &[
        Arg::key("key", KeyUse::DELETE),
        Arg::block("trim", trim::ARGS),
    ],
    body: Body::Run(run),
};

const STRATEGY_REQUIRED: Refusal =
    Refusal::Command("ERR syntax error, XTRIM must be called with a trimming strategy");

fn run(cx: &mut Cx<'_>, args: &mut Args<'_>) -> Result<Outcome, Halt> {
    let key = args.word()?;
    let mut options = TrimOptions::default();
    while !args.is_empty() {
        if !options.eat(args)? {
            return Err(Refusal::Syntax.into());
        }
    }
    let Some(trim) = options.resolve(cx, Some(STRATEGY_REQUIRED))? else {
        return Err(STRATEGY_REQUIRED.into());
    };
    let mut removed = 0;
    if let Some(mut stream) = cx.stream(key)
        && let Some(point) = stream.trim_point(&trim)?
    {
        stream.commit(&[Change::Trimmed {
            through: point.through,
        }])?;
        removed = point.removed;
    }
    cx.out.int(removed.cast_signed());
    Ok(Outcome::Done)
}
