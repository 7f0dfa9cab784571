//! `XSETID key last-id [ENTRIESADDED entries-added] [MAXDELETEDID max-deleted-id]`: sets a stream's
//! counters. For tools that rebuild a stream.

use headwater_store::{Change, StreamId};

use crate::command::{Access, Arg, Args, Body, Cx, Group, Halt, KeyUse, Outcome, Spec, Traits};
use crate::refusal::Refusal;

pub(crate) static XSETID: Spec = Spec {
    name: "xsetid",
    summary: "Sets a stream's last ID and its counters.",
    since: "5.0.0",
    complexity: "O(1)",
    group: Group::Stream,
    access: Access::Write,
    traits: Traits::DENY_OOM.and(Traits::FAST),
    tips: &[],
    args: &[
        Arg::key("key", KeyUse::UPDATE),
        Arg::string("last-id"),
        Arg::int("entries-added")
            .token("ENTRIESADDED")
            .since("7.0.0")
            .optional(),
        Arg::string("max-deleted-id")
            .token("MAXDELETEDID")
            .since("7.0.0")
            .optional(),
    ],
    body: Body::Run(run),
};

fn run(cx: &mut Cx<'_>, args: &mut Args<'_>) -> Result<Outcome, Halt> {
    let key = args.word()?;
    let last_id = args.id(0)?;
    let mut given_added = None;
    let mut given_deleted = None;
    while !args.is_empty() {
        if args.eat_with("ENTRIESADDED", 1) {
            let added = u64::try_from(args.int()?)
                .map_err(|_negative| Refusal::Command("ERR entries_added must be positive"))?;
            given_added = Some(added);
        } else if args.eat_with("MAXDELETEDID", 1) {
            let deleted = args.id(0)?;
            if last_id < deleted {
                return Err(Refusal::Command(
                    "ERR The ID specified in XSETID is smaller than the provided \
                     max_deleted_entry_id",
                )
                .into());
            }
            given_deleted = Some(deleted);
        } else {
            return Err(Refusal::Syntax.into());
        }
    }
    let mut stream = cx.stream(key).ok_or(Refusal::NoSuchKey)?;
    if last_id < stream.max_deleted() {
        return Err(Refusal::Command(
            "ERR The ID specified in XSETID is smaller than current max_deleted_entry_id",
        )
        .into());
    }
    if stream.last_entry_id().is_some_and(|last| last_id < last) {
        return Err(Refusal::Command(
            "ERR The ID specified in XSETID is smaller than the target stream top item",
        )
        .into());
    }
    if given_added.is_some_and(|added| !stream.is_empty() && added < stream.len()) {
        return Err(Refusal::Command(
            "ERR The entries_added specified in XSETID is smaller than the target stream length",
        )
        .into());
    }
    let entries_added = given_added.unwrap_or(stream.entries_added());
    let max_deleted = given_deleted
        .filter(|&id| id != StreamId::MIN)
        .unwrap_or(stream.max_deleted());
    stream.commit(&[Change::Positioned {
        last_id,
        entries_added,
        max_deleted,
    }])?;
    drop(stream);
    cx.out.simple("OK");
    Ok(Outcome::Done)
}
