//! The commands that only a monitor knows: `SENTINEL`, and its own `PUBLISH`.
//!
//! | file | subcommands |
//! |---|---|
//! | `config` | `CONFIG`: what is set for all masters |
//! | `debug` | `DEBUG`, `SIMULATE-FAILURE`: for tests |
//! | `down` | `IS-MASTER-DOWN-BY-ADDR`: what other monitors ask, and their elections |
//! | `failover` | `FAILOVER`, `CKQUORUM` |
//! | `hello` | `PUBLISH`: what other monitors say |
//! | `masters` | `MONITOR`, `REMOVE`, `RESET`: which masters are watched |
//! | `own` | `MYID`, `FLUSHCONFIG`, `PENDING-SCRIPTS`: the monitor itself |
//! | `seen` | `MASTERS`, `MASTER`, `REPLICAS`, `SENTINELS`, `INFO-CACHE`: all that is known |
//! | `set` | `SET`: what is set for one master |
//! | `whereabouts` | `GET-MASTER-ADDR-BY-NAME`: what clients ask |
//!
//! Every one asks the monitor, or tells it, and writes down what it said; all is decided there.
//! What changes the file is answered once the file has it ([`promise`]).

mod config;
mod debug;
mod down;
mod failover;
mod hello;
mod masters;
mod own;
mod seen;
mod set;
mod whereabouts;

use std::borrow::Cow;

use headwater_resp::Writer;

use crate::command::help::help;
use crate::command::spec::Run;
use crate::command::{Access, Arg, Args, Body, Cx, Group, Spec, Traits};
use crate::refusal::Refusal;

pub(crate) use hello::PUBLISH;

pub(crate) static SENTINEL: Spec = Spec {
    name: "sentinel",
    summary: "Tells what a monitor watches and knows, and steers it.",
    since: "2.8.4",
    complexity: "That of the subcommand.",
    group: Group::Sentinel,
    access: Access::Neither,
    traits: Traits::ADMIN,
    tips: &[],
    args: &[],
    body: Body::Subcommands(&[
        &failover::CKQUORUM,
        &config::CONFIG,
        &debug::DEBUG,
        &failover::FAILOVER,
        &own::FLUSHCONFIG,
        &whereabouts::GET_MASTER,
        &whereabouts::GET_PRIMARY,
        &HELP,
        &seen::INFO_CACHE,
        &down::IS_MASTER_DOWN,
        &down::IS_PRIMARY_DOWN,
        &seen::MASTER,
        &seen::MASTERS,
        &masters::MONITOR,
        &own::MYID,
        &own::PENDING_SCRIPTS,
        &seen::PRIMARIES,
        &seen::PRIMARY,
        &masters::REMOVE,
        &seen::REPLICAS,
        &masters::RESET,
        &seen::SENTINELS,
        &set::SET,
        &debug::SIMULATE_FAILURE,
        &seen::SLAVES,
    ]),
};

static HELP: Spec = help(Group::Sentinel, "6.2.0");

/// The name of a master that is watched.
const MASTER_NAME: Arg = Arg::string("master-name");

const fn subcommand(
    name: &'static str,
    summary: &'static str,
    since: &'static str,
    complexity: &'static str,
    args: &'static [Arg],
    run: Run,
) -> Spec {
    Spec {
        name,
        summary,
        since,
        complexity,
        group: Group::Sentinel,
        access: Access::Neither,
        traits: Traits::ADMIN,
        tips: &[],
        args,
        body: Body::Run(run),
    }
}

const NO_MASTER: Refusal = Refusal::Command("ERR No such master with that name");

/// The next word as text. What is none is the name of nothing.
fn text<'a>(args: &mut Args<'a>) -> Result<Cow<'a, str>, Refusal> {
    Ok(String::from_utf8_lossy(args.word()?))
}

/// All words that are left.
fn texts<'a>(args: &mut Args<'a>) -> Vec<Cow<'a, str>> {
    args.rest().map(String::from_utf8_lossy).collect()
}

/// A map of names and texts.
fn write_pairs(out: &mut Writer<'_>, pairs: &[(&str, String)]) {
    out.map(pairs.len());
    for (name, text) in pairs {
        out.bulk(name.as_bytes());
        out.bulk(text.as_bytes());
    }
}

/// Has the reply wait until the file has what has changed so far.
fn promise(cx: &mut Cx<'_>) {
    let generation = cx.server.sentinel().with(|monitor, _| monitor.generation());
    cx.session.needs_state = cx.session.needs_state.max(generation);
}
