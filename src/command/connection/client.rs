//! `CLIENT`: connections tell of themselves, and are told.
//!
//! | file | subcommands |
//! |---|---|
//! | `about` | `ID`, `SETNAME`, `GETNAME`, `SETINFO`: who this connection is |
//! | `kill` | `KILL`: ends others, or itself |
//! | `list` | `LIST`, `INFO`: what is known of each |
//! | `reply` | `REPLY`: which replies are sent |
//! | `tracking` | `TRACKING`, `TRACKINGINFO`, `GETREDIR`, `CACHING`: always off |
//! | `waiting` | `PAUSE`, `UNPAUSE`, `UNBLOCK`: who waits, and until when |
//!
//! `NO-EVICT` and `NO-TOUCH` are remembered and shown. They change nothing: no client and no key is
//! ever evicted.

mod about;
mod kill;
mod list;
mod reply;
mod tracking;
mod waiting;

use std::sync::atomic::{AtomicBool, Ordering};

use crate::command::help::help;
use crate::command::{Access, Arg, Args, Body, Cx, Group, Halt, Outcome, Spec, Traits};
use crate::refusal::Refusal;

pub(super) use about::{name, set_name};

const TRAITS: Traits = Traits::NO_SCRIPT.and(Traits::LOADING).and(Traits::STALE);

const ADMIN: Traits = TRAITS.and(Traits::ADMIN);

pub(crate) static CLIENT: Spec = Spec {
    name: "client",
    summary: "Tells about connections and steers them.",
    since: "2.4.0",
    complexity: "That of the subcommand.",
    group: Group::Connection,
    access: Access::Neither,
    traits: Traits::NONE,
    tips: &[],
    args: &[],
    body: Body::Subcommands(&[
        &tracking::CACHING,
        &about::GETNAME,
        &tracking::GETREDIR,
        &HELP,
        &about::ID,
        &list::INFO,
        &kill::KILL,
        &list::LIST,
        &NO_EVICT,
        &NO_TOUCH,
        &waiting::PAUSE,
        &reply::REPLY,
        &about::SETINFO,
        &about::SETNAME,
        &tracking::TRACKING,
        &tracking::TRACKINGINFO,
        &waiting::UNBLOCK,
        &waiting::UNPAUSE,
    ]),
};

/// To a monitor, which has no keys.
pub(crate) static CLIENT_OF_A_MONITOR: Spec = Spec {
    body: Body::Subcommands(&[
        &tracking::CACHING,
        &about::GETNAME,
        &tracking::GETREDIR,
        &HELP,
        &about::ID,
        &list::INFO,
        &kill::KILL,
        &list::LIST,
        &NO_EVICT,
        &waiting::PAUSE,
        &reply::REPLY,
        &about::SETINFO,
        &about::SETNAME,
        &tracking::TRACKING,
        &tracking::TRACKINGINFO,
        &waiting::UNBLOCK,
        &waiting::UNPAUSE,
    ]),
    ..CLIENT
};

static HELP: Spec = help(Group::Connection, "5.0.0");

const ON_OFF: Arg = Arg::one_of("enabled", &[Arg::flag("on", "ON"), Arg::flag("off", "OFF")]);

static NO_EVICT: Spec = Spec {
    name: "no-evict",
    summary: "Marks the connection as one not to be evicted. None is, with or without the mark.",
    since: "7.0.0",
    complexity: "O(1)",
    group: Group::Connection,
    access: Access::Neither,
    traits: ADMIN,
    tips: &[],
    args: &[ON_OFF],
    body: Body::Run(no_evict),
};

static NO_TOUCH: Spec = Spec {
    name: "no-touch",
    summary: "Marks the connection as one whose use of keys does not count. It counts for nothing.",
    since: "7.2.0",
    complexity: "O(1)",
    group: Group::Connection,
    access: Access::Neither,
    traits: TRAITS,
    tips: &[],
    args: &[ON_OFF],
    body: Body::Run(no_touch),
};

fn no_evict(cx: &mut Cx<'_>, args: &mut Args<'_>) -> Result<Outcome, Halt> {
    switch(&cx.session.client.no_evict, args)?;
    cx.out.simple("OK");
    Ok(Outcome::Done)
}

fn no_touch(cx: &mut Cx<'_>, args: &mut Args<'_>) -> Result<Outcome, Halt> {
    switch(&cx.session.client.no_touch, args)?;
    cx.out.simple("OK");
    Ok(Outcome::Done)
}

/// `ON | OFF`
fn switch(mark: &AtomicBool, args: &mut Args<'_>) -> Result<(), Refusal> {
    let on = args.eat("ON");
    if !on && !args.eat("OFF") {
        return Err(Refusal::Syntax);
    }
    mark.store(on, Ordering::Relaxed);
    Ok(())
}
