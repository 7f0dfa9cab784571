//! `OBJECT ENCODING | FREQ | IDLETIME | REFCOUNT key`, `OBJECT HELP`: what Redis says about the
//! memory behind a key.
//!
//! A stream has one encoding and one owner here. FREQ refuses as Redis does without an LFU policy.
//! IDLETIME is the whole seconds since a command last looked at the stream, or since the start.

use crate::command::help::help;
use crate::command::{Access, Arg, Args, Body, Cx, Group, Halt, KeyUse, Outcome, Spec, Traits};
use crate::refusal::Refusal;

use super::type_of::STREAM;

pub(crate) static OBJECT: Spec = Spec {
    name: "object",
    summary: "A container for commands about the values of keys.",
    since: "2.2.3",
    complexity: "Depends on subcommand.",
    group: Group::Generic,
    access: Access::Neither,
    traits: Traits::NONE,
    tips: &[],
    args: &[],
    body: Body::Subcommands(&[&ENCODING, &FREQ, &HELP, &IDLETIME, &REFCOUNT]),
};

const TIPS: &[&str] = &["nondeterministic_output"];

const KEY: &[Arg] = &[Arg::key("key", KeyUse::READ)];

static ENCODING: Spec = Spec {
    name: "encoding",
    summary: "Returns how the value of a key is kept.",
    since: "2.2.3",
    complexity: "O(1)",
    group: Group::Generic,
    access: Access::Read,
    traits: Traits::NONE,
    tips: TIPS,
    args: KEY,
    body: Body::Run(encoding),
};

static FREQ: Spec = Spec {
    name: "freq",
    summary: "Returns how often a key is used.",
    since: "4.0.0",
    complexity: "O(1)",
    group: Group::Generic,
    access: Access::Read,
    traits: Traits::NONE,
    tips: TIPS,
    args: KEY,
    body: Body::Run(freq),
};

static IDLETIME: Spec = Spec {
    name: "idletime",
    summary: "Returns how many seconds ago a key was used.",
    since: "2.2.3",
    complexity: "O(1)",
    group: Group::Generic,
    access: Access::Read,
    traits: Traits::NONE,
    tips: TIPS,
    args: KEY,
    body: Body::Run(idletime),
};

static REFCOUNT: Spec = Spec {
    name: "refcount",
    summary: "Returns how many refer to the value of a key.",
    since: "2.2.3",
    complexity: "O(1)",
    group: Group::Generic,
    access: Access::Read,
    traits: Traits::NONE,
    tips: TIPS,
    args: KEY,
    body: Body::Run(refcount),
};

static HELP: Spec = help(Group::Generic, "6.2.0");

fn encoding(cx: &mut Cx<'_>, args: &mut Args<'_>) -> Result<Outcome, Halt> {
    if cx.finds(args.word()?) {
        cx.out.bulk(STREAM.as_bytes());
    } else {
        cx.out.null();
    }
    Ok(Outcome::Done)
}

fn freq(cx: &mut Cx<'_>, args: &mut Args<'_>) -> Result<Outcome, Halt> {
    if cx.finds(args.word()?) {
        return Err(Refusal::Command(
            "ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please \
             note that when switching between policies at runtime LRU and LFU data will take some \
             time to adjust.",
        )
        .into());
    }
    cx.out.null();
    Ok(Outcome::Done)
}

fn idletime(cx: &mut Cx<'_>, args: &mut Args<'_>) -> Result<Outcome, Halt> {
    let key = args.word()?;
    let used_at = cx.access.used_at(cx.db, key, cx.now);
    cx.lookups.note(used_at.is_some());
    match used_at {
        Some(used_at) => {
            let used_at = used_at.max(cx.server.identity.started_ms);
            let idle = cx.now.saturating_sub(used_at) / 1000;
            cx.out.int(idle.cast_signed());
        }
        None => cx.out.null(),
    }
    Ok(Outcome::Done)
}

fn refcount(cx: &mut Cx<'_>, args: &mut Args<'_>) -> Result<Outcome, Halt> {
    if cx.finds(args.word()?) {
        cx.out.int(1);
    } else {
        cx.out.null();
    }
    Ok(Outcome::Done)
}
