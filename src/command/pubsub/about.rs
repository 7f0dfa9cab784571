//! `PUBSUB subcommand`: which channels are heard, and by how many.

use crate::command::help::help;
use crate::command::{Access, Arg, Args, Body, Cx, Group, Halt, Outcome, Spec, Traits};
use crate::pubsub::Kind;
use crate::refusal::Refusal;

pub(crate) static PUBSUB: Spec = Spec {
    name: "pubsub",
    summary: "Tells about channels.",
    since: "2.8.0",
    complexity: "Depends on the subcommand.",
    group: Group::Pubsub,
    access: Access::Neither,
    traits: Traits::NONE,
    tips: &[],
    args: &[],
    body: Body::Subcommands(&[
        &CHANNELS,
        &HELP,
        &NUMPAT,
        &NUMSUB,
        &SHARDCHANNELS,
        &SHARDNUMSUB,
    ]),
};

const TRAITS: Traits = Traits::PUBSUB.and(Traits::LOADING).and(Traits::STALE);

static HELP: Spec = help(Group::Pubsub, "6.2.0");

static CHANNELS: Spec = Spec {
    name: "channels",
    summary: "Lists channels that somebody hears.",
    since: "2.8.0",
    complexity: "O(N) for N such channels.",
    group: Group::Pubsub,
    access: Access::Neither,
    traits: TRAITS,
    tips: &[],
    args: &[Arg::pattern("pattern").optional()],
    body: Body::Run(|cx, args| channels(cx, args, Kind::Channel)),
};

static NUMPAT: Spec = Spec {
    name: "numpat",
    summary: "Counts the patterns by which somebody hears channels.",
    since: "2.8.0",
    complexity: "O(1)",
    group: Group::Pubsub,
    access: Access::Neither,
    traits: TRAITS,
    tips: &[],
    args: &[],
    body: Body::Run(numpat),
};

static NUMSUB: Spec = Spec {
    name: "numsub",
    summary: "Counts those who hear a channel by its name.",
    since: "2.8.0",
    complexity: "O(N) for N channels.",
    group: Group::Pubsub,
    access: Access::Neither,
    traits: TRAITS,
    tips: &[],
    args: &[Arg::string("channel").optional().many()],
    body: Body::Run(|cx, args| numsub(cx, args, Kind::Channel)),
};

static SHARDCHANNELS: Spec = Spec {
    name: "shardchannels",
    summary: "Lists channels of shards that somebody hears.",
    since: "7.0.0",
    complexity: "O(N) for N such channels.",
    group: Group::Pubsub,
    access: Access::Neither,
    traits: TRAITS,
    tips: &[],
    args: &[Arg::pattern("pattern").optional()],
    body: Body::Run(|cx, args| channels(cx, args, Kind::Shard)),
};

static SHARDNUMSUB: Spec = Spec {
    name: "shardnumsub",
    summary: "Counts those who hear a channel of a shard.",
    since: "7.0.0",
    complexity: "O(N) for N channels.",
    group: Group::Pubsub,
    access: Access::Neither,
    traits: TRAITS,
    tips: &[],
    args: &[Arg::string("shardchannel").optional().many()],
    body: Body::Run(|cx, args| numsub(cx, args, Kind::Shard)),
};

fn channels(cx: &mut Cx<'_>, args: &mut Args<'_>, kind: Kind) -> Result<Outcome, Halt> {
    if args.left() > 1 {
        return Err(Refusal::UnknownSubcommandOrArity {
            subcommand: String::from_utf8_lossy(args.request().word(1)).into(),
            container: "PUBSUB",
        }
        .into());
    }
    let pattern = args.peek().unwrap_or(b"*");
    args.skip(args.left());
    let names = cx.server.pubsub.names(kind, pattern);
    cx.out.array(names.len());
    names.iter().for_each(|name| cx.out.bulk(name));
    Ok(Outcome::Done)
}

fn numpat(cx: &mut Cx<'_>, _: &mut Args<'_>) -> Result<Outcome, Halt> {
    let patterns = cx.server.pubsub.count(Kind::Pattern);
    cx.out.count(patterns);
    Ok(Outcome::Done)
}

fn numsub(cx: &mut Cx<'_>, args: &mut Args<'_>, kind: Kind) -> Result<Outcome, Halt> {
    let names = args.rest();
    cx.out.array(2 * names.len());
    for name in names {
        cx.out.bulk(name);
        let hearers = cx.server.pubsub.hearers(kind, name);
        cx.out.count(hearers);
    }
    Ok(Outcome::Done)
}
