//! `ROLE`: the part that this server plays in replication; of a monitor, whom it watches.
//!
//! A master tells its replicas that are online, with what they have written; a replica how its link
//! is. Offsets are places in the log.

use headwater_resp::Writer;

use crate::command::{Access, Args, Body, Cx, Group, Halt, Outcome, Spec, Traits};
use crate::replication::{Role, Stage, Standing};

pub(crate) static ROLE: Spec = Spec {
    name: "role",
    summary: "Returns the part that the server plays in replication.",
    since: "2.8.12",
    complexity: "O(1)",
    group: Group::Server,
    access: Access::Neither,
    traits: Traits::NO_SCRIPT
        .and(Traits::LOADING)
        .and(Traits::STALE)
        .and(Traits::FAST)
        .and(Traits::OPERATORS),
    tips: &[],
    args: &[],
    body: Body::Run(run),
};

pub(crate) static ROLE_OF_A_MONITOR: Spec = Spec {
    body: Body::Run(run_of_a_monitor),
    ..ROLE
};

fn run_of_a_monitor(cx: &mut Cx<'_>, _: &mut Args<'_>) -> Result<Outcome, Halt> {
    let names: Vec<String> = cx
        .server
        .sentinel()
        .with(|monitor, _| monitor.names().map(str::to_owned).collect());
    cx.out.array(2);
    cx.out.bulk(b"sentinel");
    cx.out.array(names.len());
    for name in names {
        cx.out.bulk(name.as_bytes());
    }
    Ok(Outcome::Done)
}

fn run(cx: &mut Cx<'_>, _: &mut Args<'_>) -> Result<Outcome, Halt> {
    let offset = cx.end().get().cast_signed();
    let replication = &cx.server.replication;
    match replication.role() {
        Role::Master => {
            let out = &mut cx.data.out;
            out.array(3);
            out.bulk(b"master");
            out.int(offset);
            replication.with_replicas(|replicas| {
                let is_online = |replica: &&_| is_online(replica);
                let online = || replicas.all().map(|(_, replica)| replica).filter(is_online);
                out.array(online().count());
                for replica in online() {
                    out.array(3);
                    out.bulk(replica.host.as_bytes());
                    number(out, replica.port.into());
                    number(out, replica.written.get());
                }
            });
        }
        Role::Replica { of, .. } => {
            let standing = replication.link().standing;
            cx.out.array(5);
            cx.out.bulk(b"slave");
            cx.out.bulk(of.host.as_bytes());
            cx.out.int(of.port.into());
            cx.out.bulk(standing.to_string().as_bytes());
            cx.out.int(if standing == Standing::Connected {
                offset
            } else {
                -1
            });
        }
    }
    Ok(Outcome::Done)
}

fn is_online(replica: &crate::replication::Replica) -> bool {
    replica.stage == Stage::Online
}

fn number(out: &mut Writer<'_>, number: u64) {
    out.bulk(number.to_string().as_bytes());
}
