//! `XRANGE key start end [COUNT count]` and `XREVRANGE key end start [COUNT count]`: entries by ID.
//!
//! * Both ends and the count are read before the key is looked at.
//! * `COUNT 0` and below is a null array for a stream and an empty array for a missing key.

use headwater_store::Entry;

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
    reply(cx, key, count, |stream, count| {
        collect(stream.range(from, to), count)
    })
}

fn xrevrange(cx: &mut Cx<'_>, args: &mut Args<'_>) -> Result<Outcome, Halt> {
    let key = args.word()?;
    let to = parse_end(args.word()?)?;
    let from = parse_start(args.word()?)?;
    let count = parse_count(args)?;
    reply(cx, key, count, |stream, count| {
        collect(stream.range(from, to).rev(), count)
    })
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
    count: Option<u64>,
    collect: impl FnOnce(&headwater_store::Stream, Option<u64>) -> Vec<Entry>,
) -> Result<Outcome, Halt> {
    let entries = cx.stream(key).map(|stream| collect(&stream, count));
    match entries {
        None => cx.out.array(0),
        Some(_) if count == Some(0) => cx.out.null_array(),
        Some(entries) => cx.write_entries(&entries),
    }
    Ok(Outcome::Done)
}

/// The first `count` of a range; of all with a count of `None`.
pub(super) fn collect(range: impl Iterator<Item = Entry>, count: Option<u64>) -> Vec<Entry> {
    match count.map(usize::try_from) {
        Some(Ok(count)) => range.take(count).collect(),
        None | Some(Err(_)) => range.collect(),
    }
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
