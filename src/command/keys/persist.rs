//! `PERSIST key`: takes back the end that EXPIRE set.

use crate::command::{Access, Arg, Args, Body, Cx, Group, Halt, KeyUse, Outcome, Spec, Traits};

pub(crate) static PERSIST: Spec = Spec {
    name: "persist",
    summary: "Lets a key live for ever.",
    since: "2.2.0",
    complexity: "O(1)",
    group: Group::Generic,
    access: Access::Write,
    traits: Traits::ALONE.and(Traits::FAST),
    tips: &[],
    args: &[Arg::key("key", KeyUse::UPDATE)],
    body: Body::Run(run),
};

fn run(cx: &mut Cx<'_>, args: &mut Args<'_>) -> Result<Outcome, Halt> {
    let key = args.word()?;
    let (db, now) = (cx.db, cx.now);
    let expires = cx.access.expires_at(db, key, now).flatten().is_some();
    if expires {
        cx.access.set_expiry(db, key, None, now)?;
    }
    cx.out.int(i64::from(expires));
    Ok(Outcome::Done)
}
