//! `FLUSHDB [ASYNC | SYNC]` and `FLUSHALL [ASYNC | SYNC]`: removes all keys of one database, or of
//! all.
//!
//! One record of the log, however many keys. The two modes are one: Redis' differ in which thread
//! frees the memory.

use crate::command::{Access, Arg, Args, Body, Cx, Group, Halt, Outcome, Spec, Traits};
use crate::refusal::Refusal;

const TRAITS: Traits = Traits::ALONE.and(Traits::KEYSPACE).and(Traits::DANGEROUS);

const TIPS: &[&str] = &["request_policy:all_shards", "response_policy:all_succeeded"];

const FLUSH_TYPE: Arg = Arg::one_of(
    "flush-type",
    &[
        Arg::flag("async", "ASYNC").since("4.0.0"),
        Arg::flag("sync", "SYNC").since("6.2.0"),
    ],
)
.optional();

pub(crate) static FLUSHDB: Spec = Spec {
    name: "flushdb",
    summary: "Removes all keys of the database.",
    since: "1.0.0",
    complexity: "O(N) for the keys and entries of the database.",
    group: Group::Server,
    access: Access::Write,
    traits: TRAITS,
    tips: TIPS,
    args: &[FLUSH_TYPE],
    body: Body::Run(flushdb),
};

pub(crate) static FLUSHALL: Spec = Spec {
    name: "flushall",
    summary: "Removes all keys of all databases.",
    since: "1.0.0",
    complexity: "O(N) for the keys and entries of all databases.",
    group: Group::Server,
    access: Access::Write,
    traits: TRAITS,
    tips: TIPS,
    args: &[FLUSH_TYPE],
    body: Body::Run(flushall),
};

fn flushdb(cx: &mut Cx<'_>, args: &mut Args<'_>) -> Result<Outcome, Halt> {
    let db = cx.db;
    flush(cx, args, Some(db))
}

fn flushall(cx: &mut Cx<'_>, args: &mut Args<'_>) -> Result<Outcome, Halt> {
    flush(cx, args, None)
}

fn flush(cx: &mut Cx<'_>, args: &mut Args<'_>, db: Option<u8>) -> Result<Outcome, Halt> {
    if !args.is_empty() && !args.eat("ASYNC") && !args.eat("SYNC") {
        return Err(Refusal::Syntax.into());
    }
    args.finish()?;
    cx.access.flush(db)?;
    cx.out.simple("OK");
    Ok(Outcome::Done)
}
