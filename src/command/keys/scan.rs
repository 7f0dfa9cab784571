//! `KEYS pattern` and `SCAN cursor [MATCH pattern] [COUNT count] [TYPE type]`: the keys there are.
//!
//! * A scan returns every key that is there from its beginning to its end exactly once, even if it
//!   is renamed meanwhile: the cursor is the number of a stream, and numbers only grow.
//! * COUNT is how many keys are looked at. MATCH and TYPE only leave some of those out, so a reply
//!   may be empty long before the end; the end is a cursor of 0.
//! * A cursor that no scan ever gave is as good as any other.

use headwater_resp::Writer;

use super::type_of::STREAM;
use crate::command::{
    Access, Arg, Args, Body, Cx, Data, Group, Halt, Outcome, Spec, Traits, parse_uint,
};
use crate::glob::{self, Case};
use crate::refusal::Refusal;

pub(crate) static KEYS: Spec = Spec {
    name: "keys",
    summary: "Returns all keys that match a pattern.",
    since: "1.0.0",
    complexity: "O(N) for the keys of the database.",
    group: Group::Generic,
    access: Access::Read,
    traits: Traits::DANGEROUS,
    tips: &["request_policy:all_shards", "nondeterministic_output_order"],
    args: &[Arg::pattern("pattern")],
    body: Body::Run(keys),
};

pub(crate) static SCAN: Spec = Spec {
    name: "scan",
    summary: "Returns the keys of the database, a part at a time.",
    since: "2.8.0",
    complexity: "O(log(N)) for every call, with N keys in the database. O(N) for all.",
    group: Group::Generic,
    access: Access::Read,
    traits: Traits::NONE,
    tips: &[
        "nondeterministic_output",
        "request_policy:special",
        "response_policy:special",
    ],
    args: &[
        Arg::int("cursor"),
        Arg::pattern("pattern").token("MATCH").optional(),
        Arg::int("count").token("COUNT").optional(),
        Arg::string("type").token("TYPE").since("6.0.0").optional(),
    ],
    body: Body::Run(scan),
};

fn keys(cx: &mut Cx<'_>, args: &mut Args<'_>) -> Result<Outcome, Halt> {
    let pattern = args.word()?;
    let Data {
        access,
        out,
        now,
        db,
        ..
    } = &mut cx.data;
    let found: Vec<&[u8]> = access
        .keys(*db, *now)
        .filter(|key| glob::matches(pattern, key, Case::Exact))
        .collect();
    write_keys(out, &found);
    Ok(Outcome::Done)
}

/// How many keys are looked at unless COUNT says.
const COUNT: usize = 10;

fn scan(cx: &mut Cx<'_>, args: &mut Args<'_>) -> Result<Outcome, Halt> {
    let cursor = parse_cursor(args.word()?).ok_or(Refusal::InvalidCursor)?;
    let (mut pattern, mut count, mut streams) = (None, COUNT, true);
    while !args.is_empty() {
        if args.eat_with("MATCH", 1) {
            pattern = Some(args.word()?);
        } else if args.eat_with("COUNT", 1) {
            count = match usize::try_from(args.int()?) {
                Ok(count) if count > 0 => count,
                _ => return Err(Refusal::Syntax.into()),
            };
        } else if args.eat_with("TYPE", 1) {
            streams = args.word()?.eq_ignore_ascii_case(STREAM.as_bytes());
        } else {
            return Err(Refusal::Syntax.into());
        }
    }
    let Data {
        access,
        out,
        now,
        db,
        ..
    } = &mut cx.data;
    let (next, mut keys) = access.scan(*db, cursor, count, *now);
    keys.retain(|key| {
        streams && pattern.is_none_or(|pattern| glob::matches(pattern, key, Case::Exact))
    });
    out.array(2);
    out.bulk(next.to_string().as_bytes());
    write_keys(out, &keys);
    Ok(Outcome::Done)
}

fn write_keys(out: &mut Writer<'_>, keys: &[&[u8]]) {
    out.array(keys.len());
    for key in keys {
        out.bulk(key);
    }
}

/// Redis reads a cursor as C does: blanks and a plus sign before it do no harm.
fn parse_cursor(word: &[u8]) -> Option<u64> {
    let word = word.trim_ascii_start();
    parse_uint(word.strip_prefix(b"+").unwrap_or(word))
}
