//! `PSYNC id offset [FAILOVER [FORCE]]` and `SYNC`: a replica wants this server's log.
//!
//! * What is answered is decided by both histories; the connection belongs to the replica from then
//!   on, unless it is to cut its log first.
//! * Replicas of another kind, who could not read what comes, are refused.
//! * With `FAILOVER` a master asks its replica to lead. The request comes again once it does.

use crate::command::{Access, Arg, Args, Body, Cx, Group, Halt, Outcome, Spec, Traits};
use crate::refusal::Refusal;
use crate::replication::feed::Feed;
use crate::replication::wire::{Answer, Wanted};
use crate::replication::{Decision, Failover, OTHER_KIND, Ours, Role, Takeover, decide};

const TRAITS: Traits = Traits::ADMIN
    .and(Traits::NO_SCRIPT)
    .and(Traits::NO_ASYNC_LOADING)
    .and(Traits::NO_MULTI);

pub(crate) static PSYNC: Spec = Spec {
    name: "psync",
    summary: "Asks for what a replica lacks. Replicas send it.",
    since: "2.8.0",
    complexity: "",
    group: Group::Server,
    access: Access::Neither,
    traits: TRAITS.and(Traits::ANY_WORDS),
    tips: &[],
    args: &[Arg::string("replicationid"), Arg::int("offset")],
    body: Body::Run(psync),
};

pub(crate) static SYNC: Spec = Spec {
    name: "sync",
    summary: "Asks for everything in a form that this server does not have.",
    since: "1.0.0",
    complexity: "",
    group: Group::Server,
    access: Access::Neither,
    traits: TRAITS,
    tips: &[],
    args: &[],
    body: Body::Run(sync),
};

fn sync(_: &mut Cx<'_>, _: &mut Args<'_>) -> Result<Outcome, Halt> {
    Err(OTHER_KIND.into())
}

fn psync(cx: &mut Cx<'_>, args: &mut Args<'_>) -> Result<Outcome, Halt> {
    let wanted = Wanted::read(args.word()?, args.word()?)?;
    let takeover = match (args.eat("FAILOVER"), args.eat("FORCE")) {
        (false, false) => Takeover::No,
        (true, false) => Takeover::Asked,
        (true, true) => Takeover::Forced,
        (false, true) => return Err(Refusal::Syntax.into()),
    };
    args.finish()?;
    let replication = &cx.server.replication;
    let store = cx.store();
    let ours = Ours {
        history: store.history(),
        beginning: store.log().beginning(),
        end: store.log().appended(),
        follows: replication.follows(),
        is_fresh: replication.is_fresh(),
        fails_over: replication.failover() != Failover::None,
    };
    let answer = match decide(&ours, &cx.session.hello, wanted, takeover)? {
        Decision::Answer(answer) => answer,
        Decision::Lead => {
            replication.turn(cx.server, Role::Master);
            return Err(Halt::Held);
        }
    };
    let from = match (answer, wanted) {
        (Answer::Continue(_), Wanted::From(_, end)) => Some(end),
        // The line comes when it is known where the shipment ends.
        (Answer::Full(..), _) | (_, Wanted::Everything) => None,
        (Answer::Cut(..), _) => {
            cx.out.simple(&answer.to_string());
            return Ok(Outcome::Done);
        }
    };
    if from.is_some() {
        cx.out.simple(&answer.to_string());
    }
    let hello = &cx.session.hello;
    let host = if hello.host.is_empty() {
        let ip = cx.session.client.addr.ip().to_canonical();
        ip.to_string().into()
    } else {
        hello.host.clone()
    };
    Ok(Outcome::Feed(Feed {
        host,
        port: hello.port,
        from,
        relay: from.map(|_| cx.server.pubsub.relay()),
        asked_for_more: matches!(wanted, Wanted::From(..)),
        has: hello.has.clone(),
        life: cx.opened().life,
    }))
}
