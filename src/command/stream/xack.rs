//! `XACK key group id [id ...]`: takes entries off a group's pending list.
//!
//! * An unknown key, group or ID counts as zero: an acknowledgement may come twice, or after the
//!   stream is gone. The IDs of an unknown key or group are not even read.
//! * Otherwise every ID is read before the first is acknowledged, so a malformed one refuses the
//!   command as a whole.

use headwater_store::{Change, Ids};

use crate::command::{Access, Arg, Args, Body, Cx, Group, Halt, KeyUse, Outcome, Spec, Traits};

pub(crate) static XACK: Spec = Spec {
    name: "xack",
    summary: "Acknowledges entries: they are not pending any more.",
    since: "5.0.0",
    complexity: "O(log N) for each ID, in a group with N pending entries.",
    group: Group::Stream,
    access: Access::Write,
    traits: Traits::FAST,
    tips: &[],
    args: &[
        Arg::key("key", KeyUse::UPDATE),
        Arg::string("group"),
        Arg::string("id").many(),
    ],
    body: Body::Run(run),
};

fn run(cx: &mut Cx<'_>, args: &mut Args<'_>) -> Result<Outcome, Halt> {
    let key = args.word()?;
    let name = args.word()?;
    let acknowledged = match cx.stream(key) {
        Some(mut stream) if stream.group(name).is_some() => {
            let mut ids = args.ids()?;
            ids.sort_unstable();
            ids.dedup();
            if let Some(group) = stream.group(name) {
                ids.retain(|&id| group.pending().get(id).is_some());
            }
            if !ids.is_empty() {
                stream.commit(&[Change::Acked {
                    group: name,
                    ids: Ids::from(&ids),
                }])?;
            }
            ids.len()
        }
        _ => 0,
    };
    cx.out.count(acknowledged);
    Ok(Outcome::Done)
}
