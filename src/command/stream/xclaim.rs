//! `XCLAIM key group consumer min-idle-time id [id ...] [IDLE ms] [TIME unix-ms] [RETRYCOUNT count]
//! [FORCE] [JUSTID] [LASTID id]`: makes pending entries another consumer's.
//!
//! * Words are IDs up to the first that is none; the rest must be options, which is why a
//!   malformed ID is reported as an option.
//! * A pending entry that was deleted from the stream leaves the pending list and is left out.
//! * JUSTID returns IDs and does not count a delivery. FORCE makes entries pending that were not.

use foldhash::HashMap;
use headwater_store::{Claim, StreamId};

use crate::command::stream::claim::{Claimer, Found};
use crate::command::{Access, Arg, Args, Body, Cx, Group, Halt, KeyUse, Outcome, Spec, Traits};
use crate::refusal::Refusal;

pub(crate) static XCLAIM: Spec = Spec {
    name: "xclaim",
    summary: "Makes pending entries those of another consumer.",
    since: "5.0.0",
    complexity: "O(log N) for each ID, in a group with N pending entries.",
    group: Group::Stream,
    access: Access::Write,
    traits: Traits::FAST,
    tips: &["nondeterministic_output"],
    args: &[
        Arg::key("key", KeyUse::UPDATE),
        Arg::string("group"),
        Arg::string("consumer"),
        Arg::string("min-idle-time"),
        Arg::string("id").many(),
        Arg::int("ms").token("IDLE").optional(),
        Arg::unix_time("unix-time-milliseconds")
            .token("TIME")
            .optional(),
        Arg::int("count").token("RETRYCOUNT").optional(),
        Arg::flag("force", "FORCE").optional(),
        Arg::flag("justid", "JUSTID").optional(),
        Arg::string("lastid").token("LASTID").optional(),
    ],
    body: Body::Run(run),
};

/// The options behind the IDs.
struct Options {
    delivered_at: u64,
    deliveries: Option<u64>,
    force: bool,
    just_ids: bool,
    last_id: Option<StreamId>,
}

fn run(cx: &mut Cx<'_>, args: &mut Args<'_>) -> Result<Outcome, Halt> {
    let (key, name, consumer) = (args.word()?, args.word()?, args.word()?);
    let known = cx
        .stream(key)
        .is_some_and(|stream| stream.group(name).is_some());
    if !known {
        return Err(Refusal::no_group(key, name).into());
    }
    let idle_min = min_idle(args, "ERR Invalid min-idle-time argument for XCLAIM")?;
    let mut ids = Vec::new();
    while let Some(id) = args.peek().and_then(|word| StreamId::parse(word, 0)) {
        args.skip(1);
        ids.push(id);
    }
    let options = Options::parse(args, cx.now)?;
    let now = cx.now;
    let Some(mut stream) = cx.data.access.stream(cx.data.db, key, now) else {
        return Err(Refusal::no_group(key, name).into());
    };
    let Some(group) = stream.group(name) else {
        return Err(Refusal::no_group(key, name).into());
    };
    let mut found = Found::default();
    // One ID after the other: an ID that is named again is found as it was left.
    let mut claimed: HashMap<StreamId, u64> = HashMap::default();
    let entries = stream.get_all(ids.iter().copied())?;
    for (id, entry) in ids.into_iter().zip(entries) {
        let pending = group.pending().get(id);
        let Some(entry) = entry else {
            found.gone.extend(pending.map(|pending| pending.id));
            continue;
        };
        let known = match (claimed.get(&id), pending) {
            (Some(&deliveries), _) => Some((options.delivered_at, deliveries)),
            (None, Some(pending)) => Some((pending.delivered_at, pending.deliveries)),
            (None, None) => None,
        };
        let before = match known {
            Some((delivered_at, _)) if now.saturating_sub(delivered_at) < idle_min => continue,
            Some((_, deliveries)) => deliveries,
            None if options.force => 1,
            None => continue,
        };
        let deliveries = match options.deliveries {
            Some(deliveries) => deliveries,
            None if options.just_ids => before,
            None => before.saturating_add(1).min(i64::MAX as u64),
        };
        claimed.insert(id, deliveries);
        found.claims.push(Claim { id, deliveries });
        found.entries.push(entry);
    }
    found.gone.sort_unstable();
    found.gone.dedup();
    let claimer = Claimer {
        group: name,
        consumer,
        delivered_at: options.delivered_at,
        now,
        last_id: options.last_id,
    };
    claimer.commit(&mut stream, &found)?;
    drop(stream);
    cx.write_claimed(&found.entries, options.just_ids);
    Ok(Outcome::Done)
}

/// A minimal idle time; a negative one is zero.
pub(super) fn min_idle(args: &mut Args<'_>, text: &'static str) -> Result<u64, Refusal> {
    let idle = args.int().map_err(|_not_a_number| Refusal::Command(text))?;
    Ok(u64::try_from(idle).unwrap_or(0))
}

impl Options {
    fn parse(args: &mut Args<'_>, now: u64) -> Result<Self, Refusal> {
        let mut options = Self {
            delivered_at: now,
            deliveries: None,
            force: false,
            just_ids: false,
            last_id: None,
        };
        while let Some(word) = args.peek() {
            if args.eat("FORCE") {
                options.force = true;
            } else if args.eat("JUSTID") {
                options.just_ids = true;
            } else if args.eat_with("IDLE", 1) {
                let idle = number(args, "ERR Invalid IDLE option argument for XCLAIM")?;
                // In the future, or before all time, is now.
                options.delivered_at = now
                    .checked_sub_signed(idle)
                    .filter(|&at| at <= now)
                    .unwrap_or(now);
            } else if args.eat_with("TIME", 1) {
                let time = number(args, "ERR Invalid TIME option argument for XCLAIM")?;
                options.delivered_at = u64::try_from(time)
                    .ok()
                    .filter(|&at| at <= now)
                    .unwrap_or(now);
            } else if args.eat_with("RETRYCOUNT", 1) {
                let count = number(args, "ERR Invalid RETRYCOUNT option argument for XCLAIM")?;
                options.deliveries = u64::try_from(count).ok();
            } else if args.eat_with("LASTID", 1) {
                options.last_id = Some(args.id(0)?);
            } else {
                return Err(Refusal::quoting(format_args!(
                    "ERR Unrecognized XCLAIM option '{}'",
                    String::from_utf8_lossy(word)
                )));
            }
        }
        Ok(options)
    }
}

fn number(args: &mut Args<'_>, text: &'static str) -> Result<i64, Refusal> {
    args.int().map_err(|_not_a_number| Refusal::Command(text))
}
