//! `WAIT numreplicas timeout` and `WAITAOF numlocal numreplicas timeout`: until what this client
//! wrote is safe.
//!
//! * There are no replicas: whoever wants one waits until the time is up, and learns that there
//!   were none.
//! * With `appendfsync always` whatever was acknowledged is on disk, and `WAITAOF 1 0` returns at
//!   once; otherwise it asks for a sync and returns when it is done.
//! * Inside a transaction nothing waits: the answer is how things stand.

use std::sync::Arc;

use headwater_resp::Writer;

use crate::command::{
    Access, Arg, Args, Body, Cx, Group, Halt, Outcome, Park, Served, Spec, Traits,
};
use crate::refusal::Refusal;

const TRAITS: Traits = Traits::BLOCKING.and(Traits::CONNECTION);

const TIPS: &[&str] = &["request_policy:all_shards", "response_policy:agg_min"];

pub(crate) static WAIT: Spec = Spec {
    name: "wait",
    summary: "Waits until replicas have what this connection wrote.",
    since: "3.0.0",
    complexity: "O(1)",
    group: Group::Generic,
    access: Access::Neither,
    traits: TRAITS,
    tips: TIPS,
    args: &[Arg::int("numreplicas"), Arg::int("timeout")],
    body: Body::Run(wait),
};

pub(crate) static WAITAOF: Spec = Spec {
    name: "waitaof",
    summary: "Waits until what this connection wrote is on disk, here and at replicas.",
    since: "7.2.0",
    complexity: "O(1)",
    group: Group::Generic,
    access: Access::Neither,
    traits: TRAITS,
    tips: TIPS,
    args: &[
        Arg::int("numlocal"),
        Arg::int("numreplicas"),
        Arg::int("timeout"),
    ],
    body: Body::Run(wait_aof),
};

fn wait(cx: &mut Cx<'_>, args: &mut Args<'_>) -> Result<Outcome, Halt> {
    let replicas = args.int()?;
    let timeout_ms = args.timeout_ms(cx.now)?;
    if replicas <= 0 || cx.in_exec {
        cx.out.int(0);
        return Ok(Outcome::Done);
    }
    let park = Park::idle(timeout_ms, |_| Ok(Served::NotYet));
    Ok(Outcome::Park(park.or_at_last(|out| out.int(0))))
}

fn wait_aof(cx: &mut Cx<'_>, args: &mut Args<'_>) -> Result<Outcome, Halt> {
    let local = args.int()?;
    if !(0..=1).contains(&local) {
        let text = "ERR value is out of range, value must between 0 and 1";
        return Err(Refusal::Command(text).into());
    }
    let text = "ERR value is out of range, must be positive";
    let replicas = args.int().ok().filter(|&replicas| replicas >= 0);
    let replicas = replicas.ok_or(Refusal::Command(text))?;
    let timeout_ms = args.timeout_ms(cx.now)?;
    let log = Arc::clone(cx.store().log());
    let written = cx.session.depends_on;
    let is_durable = log.durable() >= written;
    if cx.in_exec || replicas == 0 && (local == 0 || is_durable) {
        write(&mut cx.out, is_durable);
        return Ok(Outcome::Done);
    }
    let park = Park::idle(timeout_ms, move |data| {
        let is_durable = data.store().log().durable() >= written;
        if replicas > 0 || !is_durable {
            return Ok(Served::NotYet);
        }
        write(&mut data.out, true);
        Ok(Served::Yes)
    });
    let park = park.or_at_last(move |out| write(out, log.durable() >= written));
    Ok(Outcome::Park(if local > 0 {
        park.until_durable(written)
    } else {
        park
    }))
}

/// What `WAITAOF` answers: is it on this server's disk, and on how many replicas'?
fn write(out: &mut Writer<'_>, is_durable: bool) {
    out.array(2);
    out.int(is_durable.into());
    out.int(0);
}
