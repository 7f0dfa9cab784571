//! `CLIENT TRACKING`, `CLIENT TRACKINGINFO`, `CLIENT GETREDIR`, `CLIENT CACHING`: client-side
//! caching.
//!
//! There is none: what a reader of a stream wants is what is new. Turning it on is an error, and
//! the rest answers as it does in Redis while it is off.

use super::TRAITS;
use crate::command::{Access, Arg, Args, Body, Cx, Group, Halt, Outcome, Spec};
use crate::refusal::Refusal;

pub(super) static TRACKING: Spec = Spec {
    name: "tracking",
    summary: "Turns client-side caching off. It cannot be turned on.",
    since: "6.0.0",
    complexity: "O(1)",
    group: Group::Connection,
    access: Access::Neither,
    traits: TRAITS,
    tips: &[],
    args: &[
        Arg::one_of("status", &[Arg::flag("on", "ON"), Arg::flag("off", "OFF")]),
        Arg::int("client-id").token("REDIRECT").optional(),
        Arg::string("prefix")
            .token("PREFIX")
            .optional()
            .many_tokens(),
        Arg::flag("bcast", "BCAST").optional(),
        Arg::flag("optin", "OPTIN").optional(),
        Arg::flag("optout", "OPTOUT").optional(),
        Arg::flag("noloop", "NOLOOP").optional(),
    ],
    body: Body::Run(tracking),
};

pub(super) static TRACKINGINFO: Spec = Spec {
    name: "trackinginfo",
    summary: "Tells whether client-side caching is on for the connection. It is not.",
    since: "6.2.0",
    complexity: "O(1)",
    group: Group::Connection,
    access: Access::Neither,
    traits: TRAITS,
    tips: &[],
    args: &[],
    body: Body::Run(tracking_info),
};

pub(super) static GETREDIR: Spec = Spec {
    name: "getredir",
    summary: "Tells which connection hears of changed keys in place of this one: none.",
    since: "6.0.0",
    complexity: "O(1)",
    group: Group::Connection,
    access: Access::Neither,
    traits: TRAITS,
    tips: &[],
    args: &[],
    body: Body::Run(get_redir),
};

pub(super) static CACHING: Spec = Spec {
    name: "caching",
    summary: "Says whether the next command's keys are cached. Needs client-side caching.",
    since: "6.0.0",
    complexity: "O(1)",
    group: Group::Connection,
    access: Access::Neither,
    traits: TRAITS,
    tips: &[],
    args: &[Arg::one_of(
        "mode",
        &[Arg::flag("yes", "YES"), Arg::flag("no", "NO")],
    )],
    body: Body::Run(caching),
};

fn tracking(cx: &mut Cx<'_>, args: &mut Args<'_>) -> Result<Outcome, Halt> {
    let on = args.eat("ON");
    if !on && !args.eat("OFF") {
        return Err(Refusal::Syntax.into());
    }
    while !args.is_empty() {
        if args.eat_with("REDIRECT", 1) {
            args.int()?;
        } else if args.eat_with("PREFIX", 1) {
            args.skip(1);
        } else if !["BCAST", "OPTIN", "OPTOUT", "NOLOOP"]
            .iter()
            .any(|token| args.eat(token))
        {
            return Err(Refusal::Syntax.into());
        }
    }
    if on {
        let text = "ERR client-side caching is not available: keys are not tracked";
        return Err(Refusal::Command(text).into());
    }
    cx.out.simple("OK");
    Ok(Outcome::Done)
}

fn tracking_info(cx: &mut Cx<'_>, _: &mut Args<'_>) -> Result<Outcome, Halt> {
    cx.out.map(3);
    cx.out.bulk(b"flags");
    cx.out.set(1);
    cx.out.bulk(b"off");
    cx.out.bulk(b"redirect");
    cx.out.int(-1);
    cx.out.bulk(b"prefixes");
    cx.out.array(0);
    Ok(Outcome::Done)
}

fn get_redir(cx: &mut Cx<'_>, _: &mut Args<'_>) -> Result<Outcome, Halt> {
    cx.out.int(-1);
    Ok(Outcome::Done)
}

fn caching(_: &mut Cx<'_>, args: &mut Args<'_>) -> Result<Outcome, Halt> {
    args.skip(1);
    let text = "ERR CLIENT CACHING can be called only when the client is in tracking mode with \
                OPTIN or OPTOUT mode enabled";
    Err(Refusal::Command(text).into())
}
