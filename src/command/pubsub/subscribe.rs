//! `SUBSCRIBE`, `PSUBSCRIBE`, `SSUBSCRIBE` and their opposites: what a connection hears.
//!
//! * Each name has a confirmation of its own, with the number of subscriptions there are then:
//!   channels and patterns together, channels of shards by themselves.
//! * Confirmations are pushes, as messages are, so `CLIENT REPLY` does not leave them out. Inside
//!   EXEC they stand in the place of the one reply that each command has.
//! * What is unsubscribed without a name is all there is, or else nothing, which is confirmed too.
//! * A message that was published before is said before the confirmation that it was the last.

use crate::command::{Access, Arg, Args, Body, Cx, Group, Halt, Outcome, Spec, Traits};
use crate::pubsub::Kind;
use crate::refusal::Refusal;

const TRAITS: Traits = Traits::PUBSUB
    .and(Traits::NO_SCRIPT)
    .and(Traits::LOADING)
    .and(Traits::STALE)
    .and(Traits::PUSHES)
    .and(Traits::SUBSCRIBED);

pub(crate) static SUBSCRIBE: Spec = Spec {
    name: "subscribe",
    summary: "Hears what is published to these channels from now on.",
    since: "2.0.0",
    complexity: "O(N) for N channels.",
    group: Group::Pubsub,
    access: Access::Neither,
    traits: TRAITS,
    tips: &[],
    args: &[Arg::string("channel").many()],
    body: Body::Run(|cx, args| subscribe(cx, args, Kind::Channel, b"subscribe")),
};

pub(crate) static UNSUBSCRIBE: Spec = Spec {
    name: "unsubscribe",
    summary: "Hears no more of these channels, or of any.",
    since: "2.0.0",
    complexity: "O(N) for N channels.",
    group: Group::Pubsub,
    access: Access::Neither,
    traits: TRAITS,
    tips: &[],
    args: &[Arg::string("channel").optional().many()],
    body: Body::Run(|cx, args| unsubscribe(cx, args, Kind::Channel, b"unsubscribe")),
};

pub(crate) static PSUBSCRIBE: Spec = Spec {
    name: "psubscribe",
    summary: "Hears what is published to channels whose names match from now on.",
    since: "2.0.0",
    complexity: "O(N) for N patterns.",
    group: Group::Pubsub,
    access: Access::Neither,
    traits: TRAITS,
    tips: &[],
    args: &[Arg::pattern("pattern").many()],
    body: Body::Run(|cx, args| subscribe(cx, args, Kind::Pattern, b"psubscribe")),
};

pub(crate) static PUNSUBSCRIBE: Spec = Spec {
    name: "punsubscribe",
    summary: "Hears no more by these patterns, or by any.",
    since: "2.0.0",
    complexity: "O(N) for N patterns.",
    group: Group::Pubsub,
    access: Access::Neither,
    traits: TRAITS,
    tips: &[],
    args: &[Arg::pattern("pattern").optional().many()],
    body: Body::Run(|cx, args| unsubscribe(cx, args, Kind::Pattern, b"punsubscribe")),
};

pub(crate) static SSUBSCRIBE: Spec = Spec {
    name: "ssubscribe",
    summary: "Hears what is published to these channels of shards from now on.",
    since: "7.0.0",
    complexity: "O(N) for N channels.",
    group: Group::Pubsub,
    access: Access::Neither,
    traits: TRAITS,
    tips: &[],
    args: &[Arg::shard_channel().many()],
    body: Body::Run(ssubscribe),
};

pub(crate) static SUNSUBSCRIBE: Spec = Spec {
    name: "sunsubscribe",
    summary: "Hears no more of these channels of shards, or of any.",
    since: "7.0.0",
    complexity: "O(N) for N channels.",
    group: Group::Pubsub,
    access: Access::Neither,
    traits: TRAITS,
    tips: &[],
    args: &[Arg::shard_channel().optional().many()],
    body: Body::Run(|cx, args| unsubscribe(cx, args, Kind::Shard, b"sunsubscribe")),
};

fn ssubscribe(cx: &mut Cx<'_>, args: &mut Args<'_>) -> Result<Outcome, Halt> {
    if cx.in_exec {
        let text = "ERR SSUBSCRIBE isn't allowed for a DENY BLOCKING client";
        return Err(Refusal::Command(text).into());
    }
    subscribe(cx, args, Kind::Shard, b"ssubscribe")
}

fn subscribe(
    cx: &mut Cx<'_>,
    args: &mut Args<'_>,
    kind: Kind,
    word: &[u8],
) -> Result<Outcome, Halt> {
    for name in args.rest() {
        let subscriber = cx.session.subscriber(&cx.data.server.pubsub);
        subscriber.subscribe(kind, name);
        confirm(cx, kind, word, Some(name));
    }
    Ok(Outcome::Done)
}

fn unsubscribe(
    cx: &mut Cx<'_>,
    args: &mut Args<'_>,
    kind: Kind,
    word: &[u8],
) -> Result<Outcome, Halt> {
    if !args.is_empty() {
        for name in args.rest() {
            leave(cx, kind, name);
            confirm(cx, kind, word, Some(name));
        }
        return Ok(Outcome::Done);
    }
    let subscriber = cx.session.subscriber.as_ref();
    let all = subscriber.map_or_else(Vec::new, |subscriber| subscriber.all(kind));
    for name in &all {
        leave(cx, kind, name);
        confirm(cx, kind, word, Some(name));
    }
    if all.is_empty() {
        confirm(cx, kind, word, None);
    }
    Ok(Outcome::Done)
}

/// Ends all subscriptions without a word about it.
pub(crate) fn unsubscribe_all(cx: &mut Cx<'_>) {
    for kind in Kind::ALL {
        let subscriber = cx.session.subscriber.as_ref();
        let all = subscriber.map_or_else(Vec::new, |subscriber| subscriber.all(kind));
        all.iter().for_each(|name| leave(cx, kind, name));
    }
}

/// Ends a subscription, and says what was published before.
fn leave(cx: &mut Cx<'_>, kind: Kind, name: &[u8]) {
    if let Some(subscriber) = &mut cx.session.subscriber {
        subscriber.unsubscribe(kind, name);
        // Nothing may stand between the replies of EXEC.
        if !cx.in_exec {
            subscriber.take(&mut cx.data.out, usize::MAX);
        }
    }
}

fn confirm(cx: &mut Cx<'_>, kind: Kind, word: &[u8], name: Option<&[u8]>) {
    let subscriber = cx.session.subscriber.as_ref();
    let count = |kind| subscriber.map_or(0, |subscriber| subscriber.count(kind));
    let count = match kind {
        Kind::Channel | Kind::Pattern => count(Kind::Channel) + count(Kind::Pattern),
        Kind::Shard => count(Kind::Shard),
    };
    let out = &mut cx.data.out;
    out.push(3);
    out.bulk(word);
    match name {
        Some(name) => out.bulk(name),
        None => out.null(),
    }
    out.count(count);
}
