//! `COMMAND` and `COMMAND INFO [name ...]`: ten facts about each command.

use headwater_resp::Writer;

use super::by_full_name;
use crate::command::facts::{Begin, KeySpec};
use crate::command::{Args, Command, Cx, Halt, Outcome, Table};

pub(super) fn run(cx: &mut Cx<'_>, args: &mut Args<'_>) -> Result<Outcome, Halt> {
    if args.is_empty() {
        return all(cx, args);
    }
    let (table, names) = (cx.server.table, args.rest());
    cx.out.array(names.len());
    for name in names {
        match by_full_name(table, name) {
            Some(command) => write(&mut cx.out, table, command),
            None => cx.out.null(),
        }
    }
    Ok(Outcome::Done)
}

pub(super) fn all(cx: &mut Cx<'_>, _: &mut Args<'_>) -> Result<Outcome, Halt> {
    let table = cx.server.table;
    cx.out.array(table.top_level().count());
    for command in table.top_level() {
        write(&mut cx.out, table, command);
    }
    Ok(Outcome::Done)
}

fn write(out: &mut Writer<'_>, table: &Table, command: &Command) {
    out.array(10);
    out.bulk(command.full_name.as_bytes());
    out.int(command.arity.into());
    write_names(out, command.flags());
    let (first, last, step) = command.key_range();
    for number in [first, last, step] {
        out.int(number.into());
    }
    let categories = command.categories();
    out.set(categories.len());
    for category in categories {
        out.simple(&format!("@{category}"));
    }
    out.set(command.spec.tips.len());
    for tip in command.spec.tips {
        out.bulk(tip.as_bytes());
    }
    let specs = command.key_specs();
    out.set(specs.len());
    for spec in &specs {
        write_key_spec(out, spec);
    }
    let subcommands = table.subcommands(command);
    match subcommands.len() {
        0 => out.set(0),
        count => out.array(count),
    }
    for subcommand in subcommands {
        write(out, table, subcommand);
    }
}

/// A set of simple strings.
pub(super) fn write_names<'n>(
    out: &mut Writer<'_>,
    names: impl IntoIterator<IntoIter: ExactSizeIterator<Item = &'n str>>,
) {
    let names = names.into_iter();
    out.set(names.len());
    for name in names {
        out.simple(name);
    }
}

fn write_key_spec(out: &mut Writer<'_>, spec: &KeySpec) {
    out.map(3);
    out.bulk(b"flags");
    write_names(out, spec.key_use.0.iter().copied());
    out.bulk(b"begin_search");
    match spec.begin {
        Begin::Index(at) => {
            write_type(out, "index", 1);
            write_number(out, "index", at);
        }
        Begin::Keyword { token, from } => {
            write_type(out, "keyword", 2);
            out.bulk(b"keyword");
            out.bulk(token.as_bytes());
            write_number(out, "startfrom", from);
        }
    }
    out.bulk(b"find_keys");
    write_type(out, "range", 3);
    write_number(out, "lastkey", spec.last);
    write_number(out, "keystep", spec.step);
    write_number(out, "limit", spec.limit);
}

/// The type of one half of a key specification; its `parts` follow.
fn write_type(out: &mut Writer<'_>, name: &str, parts: usize) {
    out.map(2);
    out.bulk(b"type");
    out.bulk(name.as_bytes());
    out.bulk(b"spec");
    out.map(parts);
}

fn write_number(out: &mut Writer<'_>, name: &str, number: i16) {
    out.bulk(name.as_bytes());
    out.int(number.into());
}
