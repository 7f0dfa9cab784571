//! `XINFO STREAM | GROUPS | CONSUMERS | HELP`: what a stream says of itself.
//!
//! Groups and consumers come in the order of their names.

use headwater_resp::Writer;
use headwater_store::{Consumer, Group, Order, PendingEntry, Stream, StreamId};

use crate::command::help::help;
use crate::command::stream::entries::write_id;
use crate::command::stream::xrange::limit;
use crate::command::{
    Access, Arg, Args, Body, Cx, Data, Group as Chapter, Halt, KeyUse, Outcome, Spec, Traits,
};
use crate::refusal::Refusal;

pub(crate) static XINFO: Spec = Spec {
    name: "xinfo",
    summary: "Tells about a stream, its groups and their consumers.",
    since: "5.0.0",
    complexity: "That of the subcommand.",
    group: Chapter::Stream,
    access: Access::Neither,
    traits: Traits::NONE,
    tips: &[],
    args: &[],
    body: Body::Subcommands(&[&CONSUMERS, &GROUPS, &HELP, &STREAM]),
};

static CONSUMERS: Spec = Spec {
    name: "consumers",
    summary: "Lists the consumers of a group.",
    since: "5.0.0",
    complexity: "O(N) for N consumers.",
    group: Chapter::Stream,
    access: Access::Read,
    traits: Traits::NONE,
    tips: &["nondeterministic_output"],
    args: &[Arg::key("key", KeyUse::ACCESS), Arg::string("group")],
    body: Body::Run(consumers),
};

static GROUPS: Spec = Spec {
    name: "groups",
    summary: "Lists the groups of a stream.",
    since: "5.0.0",
    complexity: "O(N) for N groups.",
    group: Chapter::Stream,
    access: Access::Read,
    traits: Traits::NONE,
    tips: &[],
    args: &[Arg::key("key", KeyUse::ACCESS)],
    body: Body::Run(groups),
};

static STREAM: Spec = Spec {
    name: "stream",
    summary: "Tells about a stream.",
    since: "5.0.0",
    complexity: "O(1); with FULL, O(N) for N entries, groups and pending entries in the reply.",
    group: Chapter::Stream,
    access: Access::Read,
    traits: Traits::NONE,
    tips: &[],
    args: &[
        Arg::key("key", KeyUse::ACCESS),
        Arg::block(
            "full-block",
            &[
                Arg::flag("full", "FULL"),
                Arg::int("count").token("COUNT").optional(),
            ],
        )
        .optional(),
    ],
    body: Body::Run(stream),
};

static HELP: Spec = help(Chapter::Stream, "5.0.0");

fn consumers(cx: &mut Cx<'_>, args: &mut Args<'_>) -> Result<Outcome, Halt> {
    let (key, name) = (args.word()?, args.word()?);
    let Data {
        access,
        out,
        now,
        db,
        ..
    } = &mut cx.data;
    let stream = access.stream(*db, key, *now).ok_or(Refusal::NoSuchKey)?;
    let group = stream
        .group(name)
        .ok_or_else(|| Refusal::no_group_for_key(key, name))?;
    out.array(group.consumers().len());
    for consumer in group.consumers() {
        let since = |at: u64| now.saturating_sub(at).cast_signed();
        out.map(4);
        out.bulk(b"name");
        out.bulk(consumer.name());
        out.bulk(b"pending");
        out.int(consumer.pending().cast_signed());
        out.bulk(b"idle");
        out.int(since(consumer.seen_at()));
        out.bulk(b"inactive");
        out.int(consumer.active_at().map_or(-1, since));
    }
    Ok(Outcome::Done)
}

fn groups(cx: &mut Cx<'_>, args: &mut Args<'_>) -> Result<Outcome, Halt> {
    let key = args.word()?;
    let Data {
        access,
        out,
        now,
        db,
        ..
    } = &mut cx.data;
    let stream = access.stream(*db, key, *now).ok_or(Refusal::NoSuchKey)?;
    out.array(stream.groups_len());
    for (name, group) in stream.groups() {
        out.map(6);
        out.bulk(b"name");
        out.bulk(name);
        out.bulk(b"consumers");
        out.count(group.consumers().len());
        out.bulk(b"pending");
        out.int(group.pending().len().cast_signed());
        out.bulk(b"last-delivered-id");
        write_id(out, group.last_delivered());
        write_progress(out, &stream, group);
    }
    Ok(Outcome::Done)
}

/// How far a group is, where that can be told.
fn write_progress(out: &mut Writer<'_>, stream: &Stream, group: &Group) {
    out.bulk(b"entries-read");
    write_known(out, group.entries_read().map(u64::cast_signed));
    out.bulk(b"lag");
    write_known(out, stream.lag(group));
}

fn write_known(out: &mut Writer<'_>, number: Option<i64>) {
    match number {
        Some(number) => out.int(number),
        None => out.null(),
    }
}

fn stream(cx: &mut Cx<'_>, args: &mut Args<'_>) -> Result<Outcome, Halt> {
    let key = args.word()?;
    if !cx.has(key) {
        return Err(Refusal::NoSuchKey.into());
    }
    let mut full = None;
    if !args.is_empty() {
        full = Some(parse_full(args)?);
    }
    let data = &mut cx.data;
    let Some(stream) = data.access.stream(data.db, key, data.now) else {
        return Err(Refusal::NoSuchKey.into());
    };
    let out = &mut data.out;
    out.map(if full.is_some() { 9 } else { 10 });
    write_counters(out, &stream);
    match full {
        None => {
            out.bulk(b"groups");
            out.count(stream.groups_len());
            let ends = [
                (&b"first-entry"[..], stream.first_entry()?),
                (&b"last-entry"[..], stream.last_entry()?),
            ];
            drop(stream);
            for (name, entry) in ends {
                data.out.bulk(name);
                match entry {
                    Some(entry) => data.write_entry(&entry),
                    None => data.out.null(),
                }
            }
        }
        Some(count) => {
            let (from, to) = (StreamId::MIN, StreamId::MAX);
            let entries = stream.entries(from, to, Order::Forward, limit(count))?;
            drop(stream);
            data.out.bulk(b"entries");
            data.write_entries(&entries);
            if let Some(stream) = data.access.stream(data.db, key, data.now) {
                write_groups(&mut data.out, &stream, count);
            }
        }
    }
    Ok(Outcome::Done)
}

/// `FULL [COUNT count]`; the count is of entries and of each pending list, 10 if not given or
/// negative, all if zero.
fn parse_full(args: &mut Args<'_>) -> Result<Option<u64>, Refusal> {
    const DEFAULT: u64 = 10;
    if !args.eat("FULL") {
        return Err(unknown_option(args));
    }
    if args.is_empty() {
        return Ok(Some(DEFAULT));
    }
    if args.left() != 2 || !args.eat("COUNT") {
        return Err(unknown_option(args));
    }
    let count = u64::try_from(args.int()?).unwrap_or(DEFAULT);
    Ok((count > 0).then_some(count))
}

fn unknown_option(args: &Args<'_>) -> Refusal {
    let subcommand = String::from_utf8_lossy(args.request().word(1)).into();
    Refusal::UnknownSubcommandOrArity {
        subcommand,
        container: "XINFO",
    }
}

fn write_counters(out: &mut Writer<'_>, stream: &Stream) {
    // The shape of Redis' tree: its nodes hold what ours do, below one root.
    let nodes = stream.nodes();
    out.bulk(b"length");
    out.int(stream.len().cast_signed());
    out.bulk(b"radix-tree-keys");
    out.count(nodes);
    out.bulk(b"radix-tree-nodes");
    out.count(nodes + 1);
    out.bulk(b"last-generated-id");
    write_id(out, stream.last_id());
    out.bulk(b"max-deleted-entry-id");
    write_id(out, stream.max_deleted());
    out.bulk(b"entries-added");
    out.int(stream.entries_added().cast_signed());
    out.bulk(b"recorded-first-entry-id");
    write_id(out, stream.first_id());
}

fn write_groups(out: &mut Writer<'_>, stream: &Stream, count: Option<u64>) {
    let most = count.unwrap_or(u64::MAX);
    out.bulk(b"groups");
    out.array(stream.groups_len());
    for (name, group) in stream.groups() {
        out.map(7);
        out.bulk(b"name");
        out.bulk(name);
        out.bulk(b"last-delivered-id");
        write_id(out, group.last_delivered());
        write_progress(out, stream, group);
        out.bulk(b"pel-count");
        out.int(group.pending().len().cast_signed());
        out.bulk(b"pending");
        let pending: Vec<PendingEntry> = group
            .pending()
            .range(StreamId::MIN..=StreamId::MAX)
            .take(usize::try_from(most).unwrap_or(usize::MAX))
            .collect();
        out.array(pending.len());
        for entry in &pending {
            out.array(4);
            write_id(out, entry.id);
            out.bulk(group.consumer_name(entry.consumer));
            out.int(entry.delivered_at.cast_signed());
            out.int(entry.deliveries.cast_signed());
        }
        out.bulk(b"consumers");
        out.array(group.consumers().len());
        for (consumer, pending) in group.first_pending(most) {
            write_consumer(out, consumer, &pending);
        }
    }
}

fn write_consumer(out: &mut Writer<'_>, consumer: &Consumer, pending: &[PendingEntry]) {
    out.map(5);
    out.bulk(b"name");
    out.bulk(consumer.name());
    out.bulk(b"seen-time");
    out.int(consumer.seen_at().cast_signed());
    out.bulk(b"active-time");
    out.int(consumer.active_at().map_or(-1, u64::cast_signed));
    out.bulk(b"pel-count");
    out.int(consumer.pending().cast_signed());
    out.bulk(b"pending");
    out.array(pending.len());
    for entry in pending {
        out.array(3);
        write_id(out, entry.id);
        out.int(entry.delivered_at.cast_signed());
        out.int(entry.deliveries.cast_signed());
    }
}
