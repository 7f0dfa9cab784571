//! `CONFIG GET | SET | RESETSTAT | REWRITE | HELP`: directives while the server runs.
//!
//! * Most directives are read where they are used, so a new value holds from the next command on.
//!   The few that something else has to be told of are told here, before the reply.
//! * REWRITE writes and syncs a file while nobody else is served, as in Redis: operators use it.

use crate::command::help::help;
use crate::command::{Access, Arg, Args, Body, Cx, Group, Halt, Outcome, Spec, Traits};
use crate::config::{self, Id, RewriteError, SetError};
use crate::descriptors;
use crate::refusal::Refusal;
use crate::server::Server;

const TRAITS: Traits = Traits::ADMIN
    .and(Traits::NO_SCRIPT)
    .and(Traits::LOADING)
    .and(Traits::STALE);

const EVERYWHERE: &[&str] = &["request_policy:all_nodes", "response_policy:all_succeeded"];

pub(crate) static CONFIG: Spec = Spec {
    name: "config",
    summary: "Reads and changes directives.",
    since: "2.0.0",
    complexity: "That of the subcommand.",
    group: Group::Server,
    access: Access::Neither,
    traits: Traits::NONE,
    tips: &[],
    args: &[],
    body: Body::Subcommands(&[&GET, &HELP, &RESETSTAT, &REWRITE, &SET]),
};

static GET: Spec = Spec {
    name: "get",
    summary: "Returns the directives whose names match patterns, with their values.",
    since: "2.0.0",
    complexity: "O(N) for N directives.",
    group: Group::Server,
    access: Access::Neither,
    traits: TRAITS,
    tips: &[],
    args: &[Arg::string("parameter").many()],
    body: Body::Run(get),
};

static HELP: Spec = help(Group::Server, "5.0.0");

static RESETSTAT: Spec = Spec {
    name: "resetstat",
    summary: "Sets the counters of INFO to zero.",
    since: "2.0.0",
    complexity: "O(1)",
    group: Group::Server,
    access: Access::Neither,
    traits: TRAITS,
    tips: EVERYWHERE,
    args: &[],
    body: Body::Run(reset_stat),
};

static REWRITE: Spec = Spec {
    name: "rewrite",
    summary: "Writes the values of now into the configuration file.",
    since: "2.8.0",
    complexity: "O(1)",
    group: Group::Server,
    access: Access::Neither,
    traits: TRAITS,
    tips: EVERYWHERE,
    args: &[],
    body: Body::Run(rewrite),
};

static SET: Spec = Spec {
    name: "set",
    summary: "Sets directives, all that are named or none.",
    since: "2.0.0",
    complexity: "O(N) for N directives that are named.",
    group: Group::Server,
    access: Access::Neither,
    traits: TRAITS,
    tips: EVERYWHERE,
    args: &[Arg::block("data", &[Arg::string("parameter"), Arg::string("value")]).many()],
    body: Body::Run(set),
};

fn get(cx: &mut Cx<'_>, args: &mut Args<'_>) -> Result<Outcome, Halt> {
    let patterns: Vec<&[u8]> = args.rest().collect();
    let found = cx.server.config.matching(&patterns);
    cx.out.map(found.len());
    for (name, value) in found {
        cx.out.bulk(name.as_bytes());
        cx.out.bulk(value.as_bytes());
    }
    Ok(Outcome::Done)
}

fn set(cx: &mut Cx<'_>, args: &mut Args<'_>) -> Result<Outcome, Halt> {
    if !args.left().is_multiple_of(2) {
        return Err(Refusal::Syntax.into());
    }
    let mut pairs = Vec::with_capacity(args.left() / 2);
    while !args.is_empty() {
        pairs.push((args.word()?, args.word()?));
    }
    let changed = cx
        .server
        .config
        .set(&pairs)
        .map_err(|error| refusal(&error))?;
    for id in changed {
        take_effect(cx.server, id);
    }
    cx.out.simple("OK");
    Ok(Outcome::Done)
}

fn refusal(error: &SetError) -> Refusal {
    Refusal::quoting(format_args!("ERR {error}"))
}

/// Tells whoever does not read the directive itself.
fn take_effect(server: &Server, id: Id) {
    match id {
        config::APPENDFSYNC
        | config::CACHE_SIZE
        | config::CHECKPOINT_AFTER
        | config::SETTLE_AFTER => {
            // A store that is not loaded yet is told when it is.
            if let Some(opened) = server.loading.opened() {
                opened.heed(&server.config);
            }
        }
        config::CLIENT_OUTPUT_BUFFER_LIMIT => server.limit_outboxes(),
        config::DISK_FULL | config::DISK_LOW => server.space.look_again(),
        config::SYNC_REPLICAS => server.replication.agree(server),
        config::LOGLEVEL => server.logging.set(&server.config),
        config::MAXCLIENTS => descriptors::provide(&server.config),
        _ => {}
    }
}

fn reset_stat(cx: &mut Cx<'_>, _: &mut Args<'_>) -> Result<Outcome, Halt> {
    cx.server.stats.reset();
    cx.out.simple("OK");
    Ok(Outcome::Done)
}

fn rewrite(cx: &mut Cx<'_>, _: &mut Args<'_>) -> Result<Outcome, Halt> {
    cx.server.config.rewrite().map_err(|error| {
        if let RewriteError::Io(cause) = &error {
            tracing::error!("CONFIG REWRITE failed: {cause}");
        }
        Refusal::quoting(format_args!("ERR {error}"))
    })?;
    cx.out.simple("OK");
    Ok(Outcome::Done)
}
