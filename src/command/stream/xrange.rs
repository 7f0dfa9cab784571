//! `XRANGE key start end [COUNT count]` and `XREVRANGE key end start [COUNT count]`: entries by ID.
//!
//! * Both ends and the count are read before the key is looked at.
//! * `COUNT 0` and below is a null array for a stream and an empty array for a missing key.

use headwater_store::{Order, StreamId};

use crate::command::stream::range::{parse_end, parse_start};
use crate::command::{Access, Arg, Args, Body, Cx, Group, Halt, KeyUse, Outcome, Spec, Traits};
use crate::refusal::Refusal;

const COMPLEXITY: &str = "O(N) for N entries in the reply.";

pub(crate) static XRANGE: Spec = Spec {
    name: "xrange",
    summary: "Returns the entries between two IDs.",
    since: "5.0.0",
    complexity: COMPLEXITY,
    group: Group::Stream,
    access: Access::Read,
    traits: Traits::NONE,
    tips: &[],
    args: &[
        Arg::key("key", KeyUse::ACCESS),
        Arg::string("start"),
        Arg::string("end"),
        Arg::int("count").token("COUNT").optional(),
    ],
    body: Body::Run(xrange),
};

pub(crate) static XREVRANGE: Spec = Spec {
    name: "xrevrange",
    summary: "Returns the entries between two IDs, the newest first.",
    since: "5.0.0",
    complexity: COMPLEXITY,
    group: Group::Stream,
    access: Access::Read,
    traits: Traits::NONE,
    tips: &[],
    args: &[
        Arg::key("key", KeyUse::ACCESS),
        Arg::string("end"),
        Arg::string("start"),
        Arg::int("count").token("COUNT").optional(),
    ],
    body: Body::Run(xrevrange),
};

fn xrange(cx: &mut Cx<'_>, args: &mut Args<'_>) -> Result<Outcome, Halt> {
    let key = args.word()?;
    let from = parse_start(args.word()?)?;
    let to = parse_end(args.word()?)?;
    let count = parse_count(args)?;
    reply(cx, key, (from, to), Order::Forward, count)
}

fn xrevrange(cx: &mut Cx<'_>, args: &mut Args<'_>) -> Result<Outcome, Halt> {
    let key = args.word()?;
    let to = parse_end(args.word()?)?;
    let from = parse_start(args.word()?)?;
    let count = parse_count(args)?;
    reply(cx, key, (from, to), Order::Backward, count)
}

/// `[COUNT count]`, the last one counts; `None` is no limit.
fn parse_count(args: &mut Args<'_>) -> Result<Option<u64>, Refusal> {
    let mut count = None;
    while !args.is_empty() {
        if !args.eat_with("COUNT", 1) {
            return Err(Refusal::Syntax);
        }
        count = Some(u64::try_from(args.int()?).unwrap_or(0));
    }
    Ok(count)
}

fn reply(
    cx: &mut Cx<'_>,
    key: &[u8],
    (from, to): (StreamId, StreamId),
    order: Order,
    count: Option<u64>,
) -> Result<Outcome, Halt> {
    let Some(stream) = cx.stream(key) else {
        cx.out.array(0);
        return Ok(Outcome::Done);
    };
    let entries = stream.entries(from, to, order, limit(count))?;
    drop(stream);
    if count == Some(0) {
        cx.out.null_array();
    } else {
        cx.write_entries(&entries);
    }
    Ok(Outcome::Done)
}

/// How many entries a count allows.
pub(super) fn limit(count: Option<u64>) -> usize {
    let count = count.and_then(|count| usize::try_from(count).ok());
    count.unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use headwater_store::StreamId;

    use super::*;

    #[test]
    fn an_exclusive_end_excludes_one_id() {
        assert_eq!(parse_start(b"(5").ok(), Some(StreamId { ms: 5, seq: 1 }));
        assert_eq!(
            parse_end(b"(5-0").ok(),
            Some(StreamId {
                ms: 4,
                seq: u64::MAX
            })
        );
        assert_eq!(
            parse_end(b"5").ok(),
            Some(StreamId {
                ms: 5,
                seq: u64::MAX
            })
        );
        assert!(parse_end(b"(0-0").is_err());
        assert!(parse_start(b"(-").is_err());
    }
}
