//! `TTL key`, `PTTL key`, `EXPIRETIME key`, `PEXPIRETIME key`: when a key expires, as the time that
//! is left or as a point in time, in seconds or milliseconds.
//!
//! -1 is a key that does not expire, -2 a key that is not there. Seconds are rounded to the
//! nearest.

use crate::command::{Access, Arg, Args, Body, Cx, Group, Halt, KeyUse, Outcome, Spec, Traits};

const TRAITS: Traits = Traits::FAST;

const KEY: &[Arg] = &[Arg::key("key", KeyUse::ACCESS)];

pub(crate) static TTL: Spec = Spec {
    name: "ttl",
    summary: "Returns how many seconds a key has left.",
    since: "1.0.0",
    complexity: "O(1)",
    group: Group::Generic,
    access: Access::Read,
    traits: TRAITS,
    tips: &["nondeterministic_output"],
    args: KEY,
    body: Body::Run(|cx, args| reply(cx, args, |at, now| seconds(at.saturating_sub(now)))),
};

pub(crate) static PTTL: Spec = Spec {
    name: "pttl",
    summary: "Returns how many milliseconds a key has left.",
    since: "2.6.0",
    complexity: "O(1)",
    group: Group::Generic,
    access: Access::Read,
    traits: TRAITS,
    tips: &["nondeterministic_output"],
    args: KEY,
    body: Body::Run(|cx, args| reply(cx, args, u64::saturating_sub)),
};

pub(crate) static EXPIRETIME: Spec = Spec {
    name: "expiretime",
    summary: "Returns when a key expires, in seconds since 1970.",
    since: "7.0.0",
    complexity: "O(1)",
    group: Group::Generic,
    access: Access::Read,
    traits: TRAITS,
    tips: &[],
    args: KEY,
    body: Body::Run(|cx, args| reply(cx, args, |at, _| seconds(at))),
};

pub(crate) static PEXPIRETIME: Spec = Spec {
    name: "pexpiretime",
    summary: "Returns when a key expires, in milliseconds since 1970.",
    since: "7.0.0",
    complexity: "O(1)",
    group: Group::Generic,
    access: Access::Read,
    traits: TRAITS,
    tips: &[],
    args: KEY,
    body: Body::Run(|cx, args| reply(cx, args, |at, _| at)),
};

/// Replies with what `show` makes of the key's end and of now.
fn reply(cx: &mut Cx<'_>, args: &mut Args<'_>, show: fn(u64, u64) -> u64) -> Result<Outcome, Halt> {
    let key = args.word()?;
    let expires_at = cx.access.expires_at(cx.db, key, cx.now);
    cx.lookups.note(expires_at.is_some());
    let number = match expires_at {
        None => -2,
        Some(None) => -1,
        Some(Some(at)) => show(at, cx.now).cast_signed(),
    };
    cx.out.int(number);
    Ok(Outcome::Done)
}

/// Milliseconds as seconds, rounded to the nearest.
fn seconds(ms: u64) -> u64 {
    ms.saturating_add(500) / 1000
}
