//! `SHUTDOWN [NOSAVE | SAVE] [NOW] [FORCE] [ABORT]`: ends the server.
//!
//! * Everything that was acknowledged is synced before the process ends, whatever the options say:
//!   there are no snapshots to make or to leave out, and no replicas to wait for.
//! * There is no reply; the connection ends with the server.
//! * A shutdown begins at once, so there is never one to abort.

use crate::command::{
    Access, Arg, Args, Body, Cx, Group, Halt, Outcome, Park, Served, Spec, Traits,
};
use crate::refusal::Refusal;
use crate::server::Reason;

pub(crate) static SHUTDOWN: Spec = Spec {
    name: "shutdown",
    summary: "Syncs the log and ends the server.",
    since: "1.0.0",
    complexity: "O(N) for N bytes that are not on disk yet.",
    group: Group::Server,
    access: Access::Neither,
    traits: Traits::ADMIN
        .and(Traits::NO_SCRIPT)
        .and(Traits::LOADING)
        .and(Traits::STALE)
        .and(Traits::NO_MULTI)
        .and(Traits::ALLOW_BUSY),
    tips: &[],
    args: &[
        Arg::one_of(
            "save-selector",
            &[Arg::flag("nosave", "NOSAVE"), Arg::flag("save", "SAVE")],
        )
        .optional(),
        Arg::flag("now", "NOW").since("7.0.0").optional(),
        Arg::flag("force", "FORCE").since("7.0.0").optional(),
        Arg::flag("abort", "ABORT").since("7.0.0").optional(),
    ],
    body: Body::Run(run),
};

fn run(cx: &mut Cx<'_>, args: &mut Args<'_>) -> Result<Outcome, Halt> {
    let (mut save, mut no_save, mut hurry, mut abort) = (false, false, false, false);
    while !args.is_empty() {
        match () {
            () if args.eat("SAVE") => save = true,
            () if args.eat("NOSAVE") => no_save = true,
            () if args.eat("NOW") || args.eat("FORCE") => hurry = true,
            () if args.eat("ABORT") => abort = true,
            () => return Err(Refusal::Syntax.into()),
        }
    }
    if save && no_save || abort && (save || no_save || hurry) {
        return Err(Refusal::Syntax.into());
    }
    if abort {
        return Err(Refusal::Command("ERR No shutdown in progress.").into());
    }
    cx.server.shutdown.request(Reason::Asked("SHUTDOWN"));
    Ok(Outcome::Park(Park::idle(0, |_| Ok(Served::NotYet))))
}
