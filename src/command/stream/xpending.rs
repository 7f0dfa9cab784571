//! `XPENDING key group [[IDLE min-idle-time] start end count [consumer]]`: what a group has
//! delivered and nobody has acknowledged.
//!
//! * The short form counts by consumer; these counts are bulk strings, an old habit of Redis that
//!   clients rely on.
//! * A count of zero or less, or an unknown consumer, finds nothing.

use headwater_store::{Consumer, PendingEntry, StreamId};

use crate::command::stream::entries::write_id;
use crate::command::stream::range::{parse_end, parse_start};
use crate::command::{Access, Arg, Args, Body, Cx, Group, Halt, KeyUse, Outcome, Spec, Traits};
use crate::refusal::Refusal;

pub(crate) static XPENDING: Spec = Spec {
    name: "xpending",
    summary: "Tells what a group has been given and has not acknowledged.",
    since: "5.0.0",
    complexity: "O(N) for N consumers in the summary, or N pending entries in the reply; where a \
                 filter applies, runs of entries that it leaves out as a whole count as one.",
    group: Group::Stream,
    access: Access::Read,
    traits: Traits::NONE,
    tips: &["nondeterministic_output"],
    args: &[
        Arg::key("key", KeyUse::ACCESS),
        Arg::string("group"),
        Arg::block(
            "filters",
            &[
                Arg::int("min-idle-time")
                    .token("IDLE")
                    .since("6.2.0")
                    .optional(),
                Arg::string("start"),
                Arg::string("end"),
                Arg::int("count"),
                Arg::string("consumer").optional(),
            ],
        )
        .optional(),
    ],
    body: Body::Run(run),
};

/// The long form's arguments.
struct Filter<'a> {
    idle_min: u64,
    start: StreamId,
    end: StreamId,
    count: usize,
    consumer: Option<&'a [u8]>,
}

fn run(cx: &mut Cx<'_>, args: &mut Args<'_>) -> Result<Outcome, Halt> {
    let key = args.word()?;
    let name = args.word()?;
    let filter = if args.is_empty() {
        None
    } else {
        Some(Filter::parse(args)?)
    };
    let Some(stream) = cx.data.access.stream(cx.data.db, key, cx.data.now) else {
        return Err(Refusal::no_group(key, name).into());
    };
    let Some(group) = stream.group(name) else {
        return Err(Refusal::no_group(key, name).into());
    };
    let out = &mut cx.data.out;
    match filter {
        None => {
            let pending = group.pending();
            let (Some(first), Some(last)) = (pending.first(), pending.last()) else {
                out.array(4);
                out.int(0);
                out.null();
                out.null();
                out.null_array();
                return Ok(Outcome::Done);
            };
            out.array(4);
            out.int(pending.len().cast_signed());
            write_id(out, first.id);
            write_id(out, last.id);
            let owners = || group.consumers().filter(|consumer| consumer.pending() > 0);
            out.array(owners().count());
            for consumer in owners() {
                out.array(2);
                out.bulk(consumer.name());
                out.bulk(itoa::Buffer::new().format(consumer.pending()).as_bytes());
            }
        }
        Some(filter) => {
            let found = filter.apply(group, cx.data.now);
            out.array(found.len());
            for entry in &found {
                out.array(4);
                write_id(out, entry.id);
                out.bulk(group.consumer_name(entry.consumer));
                out.int(cx.data.now.saturating_sub(entry.delivered_at).cast_signed());
                out.int(entry.deliveries.cast_signed());
            }
        }
    }
    Ok(Outcome::Done)
}

impl<'a> Filter<'a> {
    fn parse(args: &mut Args<'a>) -> Result<Self, Refusal> {
        let mut idle_min = 0;
        if !matches!(args.left(), 3..=6) {
            return Err(Refusal::Syntax);
        }
        if args
            .peek()
            .is_some_and(|word| word.eq_ignore_ascii_case(b"IDLE"))
        {
            args.skip(1);
            idle_min = u64::try_from(args.int()?).unwrap_or(0);
            if args.left() < 3 {
                return Err(Refusal::Syntax);
            }
        }
        let start_word = args.word()?;
        let end_word = args.word()?;
        let count = usize::try_from(args.int()?).unwrap_or(0);
        let start = parse_start(start_word)?;
        let end = parse_end(end_word)?;
        let consumer = args.peek();
        // Without IDLE, Redis overlooks words behind the consumer.
        args.skip(args.left());
        Ok(Self {
            idle_min,
            start,
            end,
            count,
            consumer,
        })
    }

    fn apply(&self, group: &headwater_store::Group, now: u64) -> Vec<PendingEntry> {
        // An entry that was delivered in the future has been idle for no time.
        let delivered_by = match self.idle_min {
            0 => Some(u64::MAX),
            idle => now.checked_sub(idle),
        };
        let consumer = self.consumer.map(|name| group.consumer(name));
        let (Some(delivered_by), None | Some(Some(_))) = (delivered_by, consumer) else {
            return Vec::new();
        };
        let consumer = consumer.flatten().map(Consumer::number);
        let pending = group.pending();
        pending
            .select(self.start..=self.end, consumer, delivered_by)
            .take(self.count)
            .collect()
    }
}
