//! `REPLICAOF host port`, `REPLICAOF NO ONE` and, by its older name, `SLAVEOF`: whom this server
//! follows.
//!
//! * The reply comes at once, and the role is told at once; until the change is made, writes are
//!   held back. It is written to the configuration file by `CONFIG REWRITE`.
//! * A replica that leads from now on keeps its data. One that follows keeps what it has in common
//!   with its master.

use crate::command::{Access, Arg, Args, Body, Cx, Group, Halt, Outcome, Spec, Traits};
use crate::config;
use crate::refusal::Refusal;
use crate::replication::{Address, Failover, Role, Takeover};

const TRAITS: Traits = Traits::ADMIN
    .and(Traits::NO_SCRIPT)
    .and(Traits::STALE)
    .and(Traits::NO_ASYNC_LOADING);

const ARGS: &[Arg] = &[Arg::one_of(
    "args",
    &[
        Arg::block("host-port", &[Arg::string("host"), Arg::int("port")]),
        Arg::block("no-one", &[Arg::flag("no", "NO"), Arg::flag("one", "ONE")]),
    ],
)];

pub(crate) static REPLICAOF: Spec = Spec {
    name: "replicaof",
    summary: "Makes the server follow a master, or none.",
    since: "5.0.0",
    complexity: "O(1)",
    group: Group::Server,
    access: Access::Neither,
    traits: TRAITS,
    tips: &[],
    args: ARGS,
    body: Body::Run(run),
};

pub(crate) static SLAVEOF: Spec = Spec {
    name: "slaveof",
    summary: "Makes the server follow a master, or none.",
    since: "1.0.0",
    complexity: "O(1)",
    group: Group::Server,
    access: Access::Neither,
    traits: TRAITS,
    tips: &[],
    args: ARGS,
    body: Body::Run(run),
};

fn run(cx: &mut Cx<'_>, args: &mut Args<'_>) -> Result<Outcome, Halt> {
    let replication = &cx.server.replication;
    if replication.failover() != Failover::None {
        let text = "ERR REPLICAOF not allowed while failing over.";
        return Err(Refusal::Command(text).into());
    }
    let (host, port) = (args.word()?, args.word()?);
    args.finish()?;
    let is_no_one = host.eq_ignore_ascii_case(b"no") && port.eq_ignore_ascii_case(b"one");
    let to = if is_no_one {
        Role::Master
    } else {
        Role::Replica {
            of: address(host, port)?,
            takeover: Takeover::No,
        }
    };
    let mut answer = "OK";
    if replication.role() != to {
        replication.turn(cx.server, to);
    } else if !is_no_one {
        answer = "OK Already connected to specified master";
    }
    cx.out.simple(answer);
    Ok(Outcome::Done)
}

/// An address that a line of the configuration can hold.
fn address(host: &[u8], port: &[u8]) -> Result<Address, Refusal> {
    let port = crate::command::parse_int(port).and_then(|port| u16::try_from(port).ok());
    let port = port.ok_or(Refusal::Command("ERR Invalid master port"))?;
    let host = str::from_utf8(host)
        .ok()
        .filter(|host| config::is_host(host));
    let host = host.ok_or(Refusal::Command("ERR Invalid master host"))?;
    Ok(Address::new(host, port))
}
