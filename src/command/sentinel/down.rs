//! `SENTINEL IS-MASTER-DOWN-BY-ADDR`: what other monitors ask when a master seems to be down, and
//! how they ask for a vote.
//!
//! A vote is on disk before it is told: whoever has voted and comes again does not vote twice.

use super::{subcommand, text};
use crate::command::{Arg, Args, Body, Cx, Halt, Outcome, Spec};
use crate::sentinel::Address;

pub(super) static IS_MASTER_DOWN: Spec = subcommand(
    "is-master-down-by-addr",
    "Tells whether the master at an address is down, and may vote for who asks.",
    "2.8.4",
    "O(1)",
    &[
        Arg::string("ip"),
        Arg::int("port"),
        Arg::int("current-epoch"),
        Arg::string("runid"),
    ],
    run,
);

pub(super) static IS_PRIMARY_DOWN: Spec = Spec {
    name: "is-primary-down-by-addr",
    body: Body::Run(run),
    ..IS_MASTER_DOWN
};

fn run(cx: &mut Cx<'_>, args: &mut Args<'_>) -> Result<Outcome, Halt> {
    let host = text(args)?;
    let (port, epoch) = (args.int()?, args.int()?);
    let candidate = text(args)?;
    let candidate = (candidate != "*").then_some(&*candidate);
    // No master has a port that is none.
    let address = Address::new(&host, u16::try_from(port).unwrap_or(0));
    let epoch = u64::try_from(epoch).unwrap_or(0);
    let verdict = cx
        .server
        .sentinel()
        .with(|monitor, now_ms| monitor.is_master_down_by_addr(now_ms, &address, epoch, candidate));
    cx.session.needs_state = cx.session.needs_state.max(verdict.generation);
    cx.out.array(3);
    cx.out.int(verdict.down.into());
    cx.out
        .bulk(verdict.leader.as_deref().unwrap_or("*").as_bytes());
    cx.out.int(verdict.leader_epoch.cast_signed());
    Ok(Outcome::Done)
}
