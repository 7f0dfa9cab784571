//! `FAILOVER [TO host port [FORCE]] [ABORT] [TIMEOUT milliseconds]`: hands the master's part to a
//! replica.
//!
//! * The reply comes at once; `INFO replication` says how far it is. Writes are held back
//!   meanwhile: clients are then told `READONLY`, and go where the master is.
//! * A replica takes over when all of the log is on its disk.

use crate::command::{Access, Arg, Args, Body, Cx, Group, Halt, Outcome, Spec, Traits};
use crate::refusal::Refusal;
use crate::replication::{Address, Ask};

pub(crate) static FAILOVER: Spec = Spec {
    name: "failover",
    summary: "Makes a replica the master, and this server its replica.",
    since: "6.2.0",
    complexity: "O(1)",
    group: Group::Server,
    access: Access::Neither,
    traits: Traits::ADMIN.and(Traits::NO_SCRIPT).and(Traits::STALE),
    tips: &[],
    args: &[
        Arg::block(
            "target",
            &[
                Arg::string("host"),
                Arg::int("port"),
                Arg::flag("force", "FORCE").optional(),
            ],
        )
        .token("TO")
        .optional(),
        Arg::flag("abort", "ABORT").optional(),
        Arg::int("milliseconds").token("TIMEOUT").optional(),
    ],
    body: Body::Run(run),
};

fn run(cx: &mut Cx<'_>, args: &mut Args<'_>) -> Result<Outcome, Halt> {
    let replication = &cx.server.replication;
    if args.left() == 1 && args.eat("ABORT") {
        replication.abort_failover(cx.server)?;
        cx.out.simple("OK");
        return Ok(Outcome::Done);
    }
    let (mut timeout_ms, mut force, mut target) = (None, false, None);
    while !args.is_empty() {
        if timeout_ms.is_none() && args.eat_with("TIMEOUT", 1) {
            let text = "ERR FAILOVER timeout must be greater than 0";
            let ms = u64::try_from(args.int()?).ok().filter(|&ms| ms > 0);
            timeout_ms = Some(ms.ok_or(Refusal::Command(text))?);
        } else if target.is_none() && args.eat_with("TO", 2) {
            let (host, port) = (args.word()?, args.int()?);
            target = Some((String::from_utf8_lossy(host), port));
        } else if !force && args.eat("FORCE") {
            force = true;
        } else {
            return Err(Refusal::Syntax.into());
        }
    }
    let until_ms = timeout_ms.map(|ms| replication.now_ms().saturating_add(ms));
    // There is no replica at a port that is none.
    let address = |host: &str, port| Address::new(host, u16::try_from(port).unwrap_or(0));
    let ask = Ask {
        target: target.map(|(host, port)| address(&host, port)),
        force,
        until_ms,
    };
    replication.fail_over(cx.server, ask)?;
    cx.out.simple("OK");
    Ok(Outcome::Done)
}
