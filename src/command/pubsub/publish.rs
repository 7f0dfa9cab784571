//! `PUBLISH channel message` and `SPUBLISH shardchannel message`: says something to who hears it.
//!
//! The reply is the number of subscriptions met here; what replicas pass on to theirs is not in it.
//! What EXEC publishes leaves once its changes are made: no subscriber is told of a change that
//! the log does not hold.

use crate::command::{Access, Arg, Body, Cx, Group, Halt, Outcome, Spec, Traits};
use crate::pubsub::Publication;

const TRAITS: Traits = Traits::PUBSUB
    .and(Traits::LOADING)
    .and(Traits::STALE)
    .and(Traits::FAST)
    .and(Traits::RELAYED);

pub(crate) static PUBLISH: Spec = Spec {
    name: "publish",
    summary: "Sends a message to those who hear a channel.",
    since: "2.0.0",
    complexity: "O(N+M) for N subscribers of the channel and M patterns of anybody.",
    group: Group::Pubsub,
    access: Access::Neither,
    traits: TRAITS,
    tips: &[],
    args: &[Arg::string("channel"), Arg::string("message")],
    body: Body::Run(|cx, args| publish(cx, Publication::to(args.word()?, args.word()?))),
};

pub(crate) static SPUBLISH: Spec = Spec {
    name: "spublish",
    summary: "Sends a message to those who hear a channel of a shard.",
    since: "7.0.0",
    complexity: "O(N) for N subscribers of the channel.",
    group: Group::Pubsub,
    access: Access::Neither,
    traits: TRAITS,
    tips: &[],
    args: &[Arg::shard_channel(), Arg::string("message")],
    body: Body::Run(|cx, args| publish(cx, Publication::to_shard(args.word()?, args.word()?))),
};

fn publish(cx: &mut Cx<'_>, publication: Publication<'_>) -> Result<Outcome, Halt> {
    let pubsub = &cx.server.pubsub;
    let receivers = if cx.in_exec {
        let post = pubsub.address(publication);
        let receivers = post.receivers();
        cx.posts.push(post);
        receivers
    } else {
        pubsub.publish(publication, &cx.terms())
    };
    cx.session.publishes |= receivers > 0;
    cx.out.count(receivers);
    Ok(Outcome::Done)
}
