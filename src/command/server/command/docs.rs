//! `COMMAND DOCS [name ...]`: prose and syntax tree of each command.

use headwater_resp::Writer;

use super::by_full_name;
use super::info::write_names;
use crate::command::spec::Kind;
use crate::command::{Arg, Args, Command, Cx, Group, Halt, Outcome, Table};

pub(super) fn run(cx: &mut Cx<'_>, args: &mut Args<'_>) -> Result<Outcome, Halt> {
    let table = cx.server.table;
    let commands: Vec<&Command> = if args.is_empty() {
        table.top_level().collect()
    } else {
        let named = |name| by_full_name(table, name);
        args.rest().filter_map(named).collect()
    };
    cx.out.map(commands.len());
    for command in commands {
        write_command(&mut cx.out, table, command);
    }
    Ok(Outcome::Done)
}

/// What Redis advises against: the command, since when, and what to use instead.
const DEPRECATED: &[(&str, &str, &str)] = &[
    ("quit", "7.2.0", "just closing the connection"),
    ("sentinel|slaves", "5.0.0", "`SENTINEL REPLICAS`"),
    ("slaveof", "5.0.0", "`REPLICAOF`"),
];

/// What is for servers, and not for people.
const SYSTEM: &[&str] = &["replconf"];

fn write_command(out: &mut Writer<'_>, table: &Table, command: &Command) {
    let spec = command.spec;
    let deprecated = DEPRECATED
        .iter()
        .find(|(name, ..)| *name == command.full_name);
    let is_system = SYSTEM.contains(&&*command.full_name);
    let subcommands = table.subcommands(command);
    out.bulk(command.full_name.as_bytes());
    out.map(
        3 + usize::from(!spec.complexity.is_empty())
            + deprecated.map_or(0, |_| 3)
            + usize::from(is_system)
            + usize::from(!spec.args.is_empty())
            + usize::from(!subcommands.is_empty()),
    );
    write_text(out, "summary", spec.summary);
    write_text(out, "since", spec.since);
    write_text(out, "group", group(spec.group));
    if !spec.complexity.is_empty() {
        write_text(out, "complexity", spec.complexity);
    }
    if is_system {
        out.bulk(b"doc_flags");
        write_names(out, ["syscmd"]);
    }
    if let Some((_, since, instead)) = deprecated {
        out.bulk(b"doc_flags");
        write_names(out, ["deprecated"]);
        write_text(out, "deprecated_since", since);
        write_text(out, "replaced_by", instead);
    }
    if !spec.args.is_empty() {
        out.bulk(b"arguments");
        write_args(out, spec.args, &mut 0);
    }
    if !subcommands.is_empty() {
        out.bulk(b"subcommands");
        out.map(subcommands.len());
        for subcommand in subcommands {
            write_command(out, table, subcommand);
        }
    }
}

/// `keys` counts the keys so far: each has its own key specification.
fn write_args(out: &mut Writer<'_>, args: &[Arg], keys: &mut i64) {
    out.array(args.len());
    for arg in args {
        write_arg(out, arg, keys);
    }
}

fn write_arg(out: &mut Writer<'_>, arg: &Arg, keys: &mut i64) {
    let parts = match arg.kind {
        Kind::Block(parts) | Kind::OneOf(parts) => parts,
        _ => &[],
    };
    let flags: Vec<&str> = [
        (arg.optional, "optional"),
        (arg.multiple, "multiple"),
        (arg.multiple_token, "multiple_token"),
    ]
    .into_iter()
    .filter_map(|(on, name)| on.then_some(name))
    .collect();
    let is_key = matches!(arg.kind, Kind::Key(_));
    let optional_texts = [
        (
            "display_text",
            parts.is_empty().then(|| arg.display.unwrap_or(arg.name)),
        ),
        ("token", arg.token),
        ("since", arg.since),
        ("deprecated_since", arg.deprecated),
    ];
    out.map(
        2 + optional_texts
            .iter()
            .filter(|(_, text)| text.is_some())
            .count()
            + usize::from(is_key)
            + usize::from(!flags.is_empty())
            + usize::from(!parts.is_empty()),
    );
    write_text(out, "name", arg.name);
    write_text(out, "type", kind(arg.kind));
    for (name, text) in optional_texts {
        if let Some(text) = text {
            write_text(out, name, text);
        }
        if name == "display_text" && is_key {
            out.bulk(b"key_spec_index");
            out.int(*keys);
            *keys += 1;
        }
    }
    if !flags.is_empty() {
        out.bulk(b"flags");
        write_names(out, flags);
    }
    if !parts.is_empty() {
        out.bulk(b"arguments");
        write_args(out, parts, keys);
    }
}

fn write_text(out: &mut Writer<'_>, name: &str, text: &str) {
    out.bulk(name.as_bytes());
    out.bulk(text.as_bytes());
}

fn group(group: Group) -> &'static str {
    match group {
        Group::Connection => "connection",
        Group::Generic => "generic",
        Group::Pubsub => "pubsub",
        Group::Sentinel => "sentinel",
        Group::Server => "server",
        Group::Stream => "stream",
        Group::Transactions => "transactions",
    }
}

fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Block(_) => "block",
        Kind::Integer => "integer",
        Kind::Key(_) => "key",
        Kind::OneOf(_) => "oneof",
        Kind::Pattern => "pattern",
        Kind::PureToken => "pure-token",
        Kind::ShardChannel | Kind::String => "string",
        Kind::UnixTime => "unix-time",
    }
}
