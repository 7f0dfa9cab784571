//! `WAIT numreplicas timeout` and `WAITAOF numlocal numreplicas timeout`: until what this client
//! wrote is safe.
//!
//! * `WAIT` counts replicas that have written it, `WAITAOF` those that have it on disk.
//! * With `appendfsync always` whatever was acknowledged is on this disk; otherwise `WAITAOF 1`
//!   asks for a sync and returns when it is done.
//! * Inside a transaction nothing waits: the answer is how things stand.

use std::sync::Arc;

use headwater_resp::Writer;
use headwater_store::Lsn;

use crate::command::{
    Access, Arg, Args, Body, Cx, Group, Halt, Outcome, Park, Served, Spec, Traits,
};
use crate::refusal::Refusal;
use crate::replication::Replicas;

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

/// Counts the replicas that have everything below a place, as `has` says, whenever it is called.
fn counter(
    cx: &Cx<'_>,
    has: fn(&Replicas, Lsn) -> usize,
) -> impl Fn() -> i64 + Clone + Send + 'static {
    let (replicas, written) = (cx.server.replication.replicas(), cx.session.depends_on);
    move || i64::try_from(has(&replicas.lock(), written)).unwrap_or(i64::MAX)
}

fn wait(cx: &mut Cx<'_>, args: &mut Args<'_>) -> Result<Outcome, Halt> {
    if cx.server.replication.follows() {
        let text = "ERR WAIT cannot be used with replica instances. Please also note that since \
                    Redis 4.0 if a replica is configured to be writable (which is not the default) \
                    writes to replicas are just local and are not propagated.";
        return Err(Refusal::Command(text).into());
    }
    let wanted = args.int()?;
    let timeout_ms = args.timeout_ms(cx.now)?;
    let count = counter(cx, Replicas::having);
    let found = count();
    if cx.in_exec || found >= wanted {
        cx.out.int(found);
        return Ok(Outcome::Done);
    }
    let again = count.clone();
    let park = Park::idle(timeout_ms, move |data| {
        let found = again();
        if found < wanted {
            return Ok(Served::NotYet);
        }
        data.out.int(found);
        Ok(Served::Yes)
    });
    let park = park.or_at_last(move |out| out.int(count()));
    Ok(Outcome::Park(park.until_replicas(false)))
}

fn wait_aof(cx: &mut Cx<'_>, args: &mut Args<'_>) -> Result<Outcome, Halt> {
    let local = args.int()?;
    if !(0..=1).contains(&local) {
        let text = "ERR value is out of range, value must between 0 and 1";
        return Err(Refusal::Command(text).into());
    }
    let text = "ERR value is out of range, must be positive";
    let wanted = args.int().ok().filter(|&replicas| replicas >= 0);
    let wanted = wanted.ok_or(Refusal::Command(text))?;
    let timeout_ms = args.timeout_ms(cx.now)?;
    if cx.server.replication.follows() {
        let text = "ERR WAITAOF cannot be used with replica instances. Please also note that \
                    writes to replicas are just local and are not propagated.";
        return Err(Refusal::Command(text).into());
    }
    let (log, written) = (Arc::clone(cx.store().log()), cx.session.depends_on);
    let count = counter(cx, Replicas::keeping);
    let stand = move || Standing {
        is_durable: log.durable() >= written,
        replicas: count(),
    };
    let is_enough = move |now: &Standing| now.replicas >= wanted && (local == 0 || now.is_durable);
    let now = stand();
    if cx.in_exec || is_enough(&now) {
        now.write(&mut cx.out);
        return Ok(Outcome::Done);
    }
    let again = stand.clone();
    let park = Park::idle(timeout_ms, move |data| {
        let now = again();
        if !is_enough(&now) {
            return Ok(Served::NotYet);
        }
        now.write(&mut data.out);
        Ok(Served::Yes)
    });
    let park = park.or_at_last(move |out| stand().write(out));
    Ok(Outcome::Park(park.until_replicas(local > 0)))
}

/// What `WAITAOF` answers: is it on this server's disk, and on how many replicas'?
struct Standing {
    is_durable: bool,
    replicas: i64,
}

impl Standing {
    fn write(&self, out: &mut Writer<'_>) {
        out.array(2);
        out.int(self.is_durable.into());
        out.int(self.replicas);
    }
}
