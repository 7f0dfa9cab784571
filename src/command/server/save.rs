//! `SAVE`, `BGSAVE [SCHEDULE]`, `BGREWRITEAOF`: a round of upkeep, now.
//!
//! * Each asks for a round, which takes a checkpoint and gives back what is not needed any more;
//!   rounds go on by themselves without anybody asking.
//! * SAVE returns when it is done. Unlike in Redis others are served meanwhile.
//! * A round serves all who asked before it began. So what Redis schedules has begun here, too.

use crate::command::{
    Access, Arg, Args, Body, Cx, Group, Halt, Outcome, Park, Served, Spec, Traits,
};
use crate::refusal::Refusal;
use crate::saves::Busy;

const TRAITS: Traits = Traits::ADMIN
    .and(Traits::NO_SCRIPT)
    .and(Traits::NO_ASYNC_LOADING);

pub(crate) static SAVE: Spec = Spec {
    name: "save",
    summary: "Takes a checkpoint, and returns when it is on disk.",
    since: "1.0.0",
    complexity: "O(N) for N keys and entries that changed their place.",
    group: Group::Server,
    access: Access::Neither,
    traits: TRAITS.and(Traits::NO_MULTI),
    tips: &[],
    args: &[],
    body: Body::Run(save),
};

pub(crate) static BGSAVE: Spec = Spec {
    name: "bgsave",
    summary: "Takes a checkpoint in the background.",
    since: "1.0.0",
    complexity: "O(1)",
    group: Group::Server,
    access: Access::Neither,
    traits: TRAITS,
    tips: &[],
    args: &[Arg::flag("schedule", "SCHEDULE").since("3.2.2").optional()],
    body: Body::Run(bgsave),
};

pub(crate) static BGREWRITEAOF: Spec = Spec {
    name: "bgrewriteaof",
    summary: "Gives back the log that is not needed any more, in the background.",
    since: "1.0.0",
    complexity: "O(1)",
    group: Group::Server,
    access: Access::Neither,
    traits: TRAITS,
    tips: &[],
    args: &[],
    body: Body::Run(bgrewriteaof),
};

const SAVING: Refusal = Refusal::Command("ERR Background save already in progress");

fn not_saving(busy: Busy) -> Result<(), Refusal> {
    if busy.save { Err(SAVING) } else { Ok(()) }
}

fn save(cx: &mut Cx<'_>, _: &mut Args<'_>) -> Result<Outcome, Halt> {
    let round = cx.server.saves.save(cx.opened(), not_saving)?;
    let park = Park::idle(0, move |data| {
        match data.store().round_ended(round) {
            None => return Ok(Served::NotYet),
            Some(Ok(())) => data.out.simple("OK"),
            Some(Err(_)) => {
                let text = "ERR The checkpoint failed; the server's log lines say why";
                return Err(Refusal::Command(text).into());
            }
        }
        Ok(Served::Yes)
    });
    Ok(Outcome::Park(park.until_round(round)))
}

fn bgsave(cx: &mut Cx<'_>, args: &mut Args<'_>) -> Result<Outcome, Halt> {
    let schedule = args.eat("SCHEDULE");
    if !args.is_empty() {
        return Err(Refusal::Syntax.into());
    }
    let mut answer = "Background saving started";
    cx.server.saves.save(cx.opened(), |busy| {
        not_saving(busy)?;
        match (busy.rewrite, schedule) {
            (false, _) => {}
            (true, true) => answer = "Background saving scheduled",
            (true, false) => {
                let text = "ERR Another child process is active (AOF?): can't BGSAVE right now. \
                            Use BGSAVE SCHEDULE in order to schedule a BGSAVE whenever possible.";
                return Err(Refusal::Command(text));
            }
        }
        Ok(())
    })?;
    cx.out.simple(answer);
    Ok(Outcome::Done)
}

fn bgrewriteaof(cx: &mut Cx<'_>, _: &mut Args<'_>) -> Result<Outcome, Halt> {
    let mut answer = "Background append only file rewriting started";
    cx.server.saves.rewrite(cx.opened(), |busy| {
        if busy.rewrite {
            let text = "ERR Background append only file rewriting already in progress";
            return Err(Refusal::Command(text));
        }
        if busy.save {
            answer = "Background append only file rewriting scheduled";
        }
        Ok(())
    })?;
    cx.out.simple(answer);
    Ok(Outcome::Done)
}
