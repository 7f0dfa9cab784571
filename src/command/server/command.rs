//! `COMMAND [COUNT | LIST | INFO | DOCS | GETKEYS | GETKEYSANDFLAGS | HELP]`: what commands there
//! are.
//!
//! Every answer is a fold over the table; none knows a command. A name may be one of a subcommand
//! (`xgroup|create`), in any case of letters.

mod docs;
mod info;
mod list;

use crate::command::facts::NoKeys;
use crate::command::help::help;
use crate::command::{
    Access, Arg, Args, Body, Command, Cx, Group, Halt, KeyUse, Outcome, Spec, Table, Traits,
};
use crate::refusal::Refusal;

const TRAITS: Traits = Traits::LOADING.and(Traits::STALE).and(Traits::CONNECTION);

const NAMES: Arg = Arg::string("command-name").optional().many();

const WORDS: &[Arg] = &[Arg::string("command"), Arg::string("arg").optional().many()];

pub(crate) static COMMAND: Spec = Spec {
    name: "command",
    summary: "Describes all commands.",
    since: "2.8.13",
    complexity: "O(N) for N commands.",
    group: Group::Server,
    access: Access::Neither,
    traits: TRAITS,
    tips: &["nondeterministic_output_order"],
    args: &[],
    body: Body::RunOrSubcommands(
        info::all,
        &[
            &COUNT,
            &DOCS,
            &GETKEYS,
            &GETKEYSANDFLAGS,
            &HELP,
            &INFO,
            &LIST,
        ],
    ),
};

static COUNT: Spec = Spec {
    name: "count",
    summary: "Counts the commands.",
    since: "2.8.13",
    complexity: "O(1)",
    group: Group::Server,
    access: Access::Neither,
    traits: TRAITS,
    tips: &[],
    args: &[],
    body: Body::Run(count),
};

static DOCS: Spec = Spec {
    name: "docs",
    summary: "Documents some commands, or all.",
    since: "7.0.0",
    complexity: "O(N) for N commands in the reply.",
    group: Group::Server,
    access: Access::Neither,
    traits: TRAITS,
    tips: &["nondeterministic_output_order"],
    args: &[NAMES],
    body: Body::Run(docs::run),
};

static GETKEYS: Spec = Spec {
    name: "getkeys",
    summary: "Finds the keys in the words of a request.",
    since: "2.8.13",
    complexity: "O(N) for N words.",
    group: Group::Server,
    access: Access::Neither,
    traits: TRAITS,
    tips: &[],
    args: WORDS,
    body: Body::Run(getkeys),
};

static GETKEYSANDFLAGS: Spec = Spec {
    name: "getkeysandflags",
    summary: "Finds the keys in the words of a request, and what is done with each.",
    since: "7.0.0",
    complexity: "O(N) for N words.",
    group: Group::Server,
    access: Access::Neither,
    traits: TRAITS,
    tips: &[],
    args: WORDS,
    body: Body::Run(getkeysandflags),
};

static HELP: Spec = {
    let help = help(Group::Server, "5.0.0");
    Spec {
        traits: TRAITS,
        ..help
    }
};

static INFO: Spec = Spec {
    name: "info",
    summary: "Describes some commands, or all.",
    since: "2.8.13",
    complexity: "O(N) for N commands in the reply.",
    group: Group::Server,
    access: Access::Neither,
    traits: TRAITS,
    tips: &["nondeterministic_output_order"],
    args: &[NAMES],
    body: Body::Run(info::run),
};

static LIST: Spec = Spec {
    name: "list",
    summary: "Lists the names of commands.",
    since: "7.0.0",
    complexity: "O(N) for N commands.",
    group: Group::Server,
    access: Access::Neither,
    traits: TRAITS,
    tips: &["nondeterministic_output_order"],
    args: &[Arg::one_of(
        "filterby",
        &[
            Arg::string("module-name").token("MODULE"),
            Arg::string("category").token("ACLCAT"),
            Arg::pattern("pattern").token("PATTERN"),
        ],
    )
    .token("FILTERBY")
    .optional()],
    body: Body::Run(list::run),
};

fn count(cx: &mut Cx<'_>, _: &mut Args<'_>) -> Result<Outcome, Halt> {
    let count = cx.server.table.top_level().count();
    cx.out.count(count);
    Ok(Outcome::Done)
}

fn getkeys(cx: &mut Cx<'_>, args: &mut Args<'_>) -> Result<Outcome, Halt> {
    let keys = keys(cx.server.table, args)?;
    cx.out.array(keys.len());
    for (key, _) in keys {
        cx.out.bulk(key);
    }
    Ok(Outcome::Done)
}

fn getkeysandflags(cx: &mut Cx<'_>, args: &mut Args<'_>) -> Result<Outcome, Halt> {
    let keys = keys(cx.server.table, args)?;
    cx.out.array(keys.len());
    for (key, key_use) in keys {
        cx.out.array(2);
        cx.out.bulk(key);
        info::write_names(&mut cx.out, key_use.0.iter().copied());
    }
    Ok(Outcome::Done)
}

/// The keys in the words that are left, which are a whole request.
fn keys<'a>(
    table: &'static Table,
    args: &mut Args<'a>,
) -> Result<Vec<(&'a [u8], KeyUse)>, Refusal> {
    let words: Vec<&[u8]> = args.rest().collect();
    let command = lookup(table, &words).ok_or(Refusal::Command("ERR Invalid command specified"))?;
    command.keys_of(&words).map_err(|none| {
        Refusal::Command(match none {
            NoKeys::Arity => "ERR Invalid number of arguments specified for command",
            NoKeys::Form => "ERR Invalid arguments specified for command",
            NoKeys::NeverAny => "ERR The command has no key arguments",
        })
    })
}

/// The command that these words name.
fn lookup(table: &'static Table, words: &[&[u8]]) -> Option<&'static Command> {
    let command = table.find(words.first()?)?;
    match words.get(1) {
        Some(subcommand) if !command.subcommands.is_empty() => table.find_sub(command, subcommand),
        _ => Some(command),
    }
}

/// The command of a full name such as `xgroup|create`.
fn by_full_name(table: &'static Table, name: &[u8]) -> Option<&'static Command> {
    let words: Vec<&[u8]> = name.splitn(2, |&byte| byte == b'|').collect();
    match words[..] {
        [name, subcommand] => table.find_sub(table.find(name)?, subcommand),
        _ => table.find(name),
    }
}
