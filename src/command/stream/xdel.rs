//! `XDEL key id [id ...]`: deletes entries.
//!
//! * What is pending stays pending; a claim or a read of it finds the entry gone.
//! * The stream stays when it becomes empty, and its last ID does not go back.

use headwater_store::{Change, Ids};

use crate::command::{Access, Arg, Args, Body, Cx, Group, Halt, KeyUse, Outcome, Spec, Traits};

pub(crate) static XDEL: Spec = Spec {
    name: "xdel",
    summary: "Deletes entries from a stream, and counts those that were there.",
    since: "5.0.0",
    complexity: "O(log N) for each ID, in a stream of N entries.",
    group: Group::Stream,
    access: Access::Write,
    traits: Traits::FAST,
    tips: &[],
    args: &[Arg::key("key", KeyUse::DELETE), Arg::string("id").many()],
    body: Body::Run(run),
};

fn run(cx: &mut Cx<'_>, args: &mut Args<'_>) -> Result<Outcome, Halt> {
    let deleted = match cx.stream(args.word()?) {
        Some(mut stream) => {
            let mut ids = args.ids()?;
            ids.sort_unstable();
            ids.dedup();
            let there = stream.get_all(ids.iter().copied())?;
            let ids: Vec<_> = there.into_iter().flatten().map(|entry| entry.id).collect();
            if !ids.is_empty() {
                stream.commit(&[Change::EntriesDeleted {
                    ids: Ids::from(&ids),
                }])?;
            }
            ids.len()
        }
        None => 0,
    };
    cx.out.count(deleted);
    Ok(Outcome::Done)
}
