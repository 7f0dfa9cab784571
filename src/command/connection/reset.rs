//! `RESET`: the connection as it was when it was new.
//!
//! The transaction, the watched keys, the subscriptions, the database, the name, the protocol,
//! `CLIENT REPLY` and the marks of `CLIENT NO-EVICT` and `NO-TOUCH` are forgotten; with
//! `requirepass` set, so is who is there. What `CLIENT SETINFO` said stays: the library is the
//! same.

use std::sync::atomic::Ordering;

use headwater_resp::Protocol;

use super::client;
use crate::command::pubsub;
use crate::command::{Access, Args, Body, Cx, Group, Halt, Outcome, Spec, Traits};
use crate::config;
use crate::session::Replies;

pub(crate) static RESET: Spec = Spec {
    name: "reset",
    summary: "Makes the connection like new.",
    since: "6.2.0",
    complexity: "O(1)",
    group: Group::Connection,
    access: Access::Neither,
    traits: Traits::NO_SCRIPT
        .and(Traits::LOADING)
        .and(Traits::STALE)
        .and(Traits::FAST)
        .and(Traits::NO_AUTH)
        .and(Traits::ALLOW_BUSY)
        .and(Traits::NOT_QUEUED)
        .and(Traits::SUBSCRIBED),
    tips: &[],
    args: &[],
    body: Body::Run(run),
};

fn run(cx: &mut Cx<'_>, _: &mut Args<'_>) -> Result<Outcome, Halt> {
    client::set_name(cx, "");
    pubsub::unsubscribe_all(cx);
    let needs_password = !cx.server.config.text(config::REQUIREPASS).is_empty();
    let session = &mut *cx.session;
    session.forget_transaction();
    session.db = 0;
    session.protocol = Protocol::Resp2;
    session.replies = Replies::On;
    session.authenticated = !needs_password;
    for mark in [&session.client.no_evict, &session.client.no_touch] {
        mark.store(false, Ordering::Relaxed);
    }
    cx.out.set_protocol(Protocol::Resp2);
    cx.out.simple("RESET");
    Ok(Outcome::Done)
}
