//! `XAUTOCLAIM key group consumer min-idle-time start [COUNT count] [JUSTID]`: makes pending
//! entries that were idle for long another consumer's, a few at a time.
//!
//! The reply is the ID to go on from (`0-0` at the end), the entries, and the IDs of entries that
//! were deleted meanwhile; these leave the pending list whatever their idle time, and count towards
//! COUNT. At most ten pending entries are looked at for each that is asked for.

use headwater_store::{Claim, StreamId};

use crate::command::stream::claim::{Claimer, Found};
use crate::command::stream::range::parse_start;
use crate::command::stream::xclaim::min_idle;
use crate::command::{Access, Arg, Args, Body, Cx, Group, Halt, KeyUse, Outcome, Spec, Traits};
use crate::refusal::Refusal;

pub(crate) static XAUTOCLAIM: Spec = Spec {
    name: "xautoclaim",
    summary: "Makes entries that have long been pending those of another consumer.",
    since: "6.2.0",
    complexity: "O(N) for N pending entries looked at, which COUNT bounds.",
    group: Group::Stream,
    access: Access::Write,
    traits: Traits::FAST,
    tips: &["nondeterministic_output"],
    args: &[
        Arg::key("key", KeyUse::DELETE),
        Arg::string("group"),
        Arg::string("consumer"),
        Arg::string("min-idle-time"),
        Arg::string("start"),
        Arg::int("count").token("COUNT").optional(),
        Arg::flag("justid", "JUSTID").optional(),
    ],
    body: Body::Run(run),
};

/// How many pending entries are looked at for each that is asked for.
const LOOKS_PER_RESULT: u64 = 10;

/// The greatest COUNT, as Redis bounds it by the memory that its reply would take.
const COUNT_MAX: i64 = i64::MAX / 16;

fn run(cx: &mut Cx<'_>, args: &mut Args<'_>) -> Result<Outcome, Halt> {
    let (key, name, consumer) = (args.word()?, args.word()?, args.word()?);
    let idle_min = min_idle(args, "ERR Invalid min-idle-time argument for XAUTOCLAIM")?;
    let start = parse_start(args.word()?)?;
    let mut count = 100;
    let mut just_ids = false;
    while !args.is_empty() {
        if args.eat_with("COUNT", 1) {
            count = match args.int() {
                Ok(count @ 1..=COUNT_MAX) => count.unsigned_abs(),
                Ok(_) | Err(_) => return Err(Refusal::Command("ERR COUNT must be > 0").into()),
            };
        } else if args.eat("JUSTID") {
            just_ids = true;
        } else {
            return Err(Refusal::Syntax.into());
        }
    }
    let now = cx.now;
    let Some(mut stream) = cx.data.access.stream(cx.data.db, key, now) else {
        return Err(Refusal::no_group(key, name).into());
    };
    let Some(group) = stream.group(name) else {
        return Err(Refusal::no_group(key, name).into());
    };
    let mut found = Found::default();
    let mut next = StreamId::MIN;
    let mut looks = count.saturating_mul(LOOKS_PER_RESULT);
    let mut rest = group.pending().range(start..=StreamId::MAX).peekable();
    while let Some(first) = rest.peek() {
        let wanted = count - (found.claims.len() + found.gone.len()) as u64;
        if looks == 0 || wanted == 0 {
            next = first.id;
            break;
        }
        // As many as may be wanted at once: what is missing of them is read at once.
        let most = usize::try_from(wanted.min(looks)).unwrap_or(usize::MAX);
        let some: Vec<_> = rest.by_ref().take(most).collect();
        looks -= some.len() as u64;
        let entries = stream.get_all(some.iter().map(|pending| pending.id))?;
        for (pending, entry) in some.iter().zip(entries) {
            let Some(entry) = entry else {
                found.gone.push(pending.id);
                continue;
            };
            if now.saturating_sub(pending.delivered_at) < idle_min {
                continue;
            }
            let counted = u64::from(!just_ids);
            let deliveries = pending
                .deliveries
                .saturating_add(counted)
                .min(i64::MAX as u64);
            found.claims.push(Claim {
                id: pending.id,
                deliveries,
            });
            found.entries.push(entry);
        }
    }
    drop(rest);
    let claimer = Claimer {
        group: name,
        consumer,
        delivered_at: now,
        now,
        last_id: None,
    };
    claimer.commit(&mut stream, &found)?;
    drop(stream);
    cx.out.array(3);
    cx.write_id(next);
    cx.write_claimed(&found.entries, just_ids);
    cx.write_ids(&found.gone);
    Ok(Outcome::Done)
}
