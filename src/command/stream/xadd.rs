//! `XADD key [NOMKSTREAM] [MAXLEN | MINID [= | ~] threshold [LIMIT count]] * | id field value
//! [field value ...]`: appends an entry.
//!
//! * An ID is greater than every ID the stream ever had, even if that entry is deleted.
//! * The new entry itself may be trimmed away (`MAXLEN 0`); its ID is returned all the same.
//! * The fields go into the log as they came: their RESP bytes are copied once.

use headwater_store::{Change, Fields, IdRule, NextIdError, StreamId, Trim, TrimPoint};

use crate::command::stream::trim::{self, TrimOptions};
use crate::command::{Access, Arg, Args, Body, Cx, Group, Halt, KeyUse, Outcome, Spec, Traits};
use crate::refusal::Refusal;

pub(crate) static XADD: Spec = Spec {
    name: "xadd",
    summary: "Appends an entry to a stream, which is created if need be.",
    since: "5.0.0",
    complexity: "O(1), and O(N) more where N entries are trimmed away.",
    group: Group::Stream,
    access: Access::Write,
    traits: Traits::DENY_OOM.and(Traits::FAST),
    tips: &["nondeterministic_output"],
    args: &[
        Arg::key("key", KeyUse::UPDATE),
        Arg::flag("nomkstream", "NOMKSTREAM")
            .since("6.2.0")
            .optional(),
        Arg::block("trim", trim::ARGS).optional(),
        Arg::one_of(
            "id-selector",
            &[Arg::flag("auto-id", "*"), Arg::string("id")],
        ),
        Arg::block("data", &[Arg::string("field"), Arg::string("value")]).many(),
    ],
    body: Body::Run(run),
};

/// What is to be added, and where.
struct Addition<'a> {
    key: &'a [u8],
    creates: bool,
    rule: IdRule,
    trim: Option<Trim>,
    fields: Fields<'a>,
}

fn run(cx: &mut Cx<'_>, args: &mut Args<'_>) -> Result<Outcome, Halt> {
    let key = args.word()?;
    let mut trim = TrimOptions::default();
    let mut creates = true;
    let rule = loop {
        if args.eat("NOMKSTREAM") {
            creates = false;
        } else if !trim.eat(args)? {
            break id_rule(args.word()?)?;
        }
    };
    let trim = trim.resolve(cx, None)?;
    let words = args.left();
    if words == 0 || !words.is_multiple_of(2) {
        return Err(Refusal::WrongArity {
            command: "xadd".into(),
        }
        .into());
    }
    if rule == IdRule::Exact(StreamId::MIN) {
        return Err(
            Refusal::Command("ERR The ID specified in XADD must be greater than 0-0").into(),
        );
    }
    let words = u32::try_from(words).map_err(|_too_many| Refusal::Syntax)?;
    let fields = Fields {
        words,
        resp: args.rest_raw(),
    };
    add(
        cx,
        &Addition {
            key,
            creates,
            rule,
            trim,
            fields,
        },
    )
}

fn add(cx: &mut Cx<'_>, addition: &Addition<'_>) -> Result<Outcome, Halt> {
    let Some(mut stream) = cx.stream(addition.key) else {
        if !addition.creates {
            cx.out.null();
            return Ok(Outcome::Done);
        }
        cx.create(addition.key, addition.fields.resp.len())?;
        return add(cx, addition);
    };
    let id = stream
        .next_id(addition.rule, cx.now)
        .map_err(|error| match error {
            NextIdError::NotGreater => Refusal::Command(
                "ERR The ID specified in XADD is equal or smaller than the target stream top item",
            ),
            NextIdError::Exhausted => Refusal::Command(
                "ERR The stream has exhausted the last possible ID, unable to add more items",
            ),
        })?;
    let added = stream.entry_added(id, addition.fields, cx.node_limits());
    let point = match &addition.trim {
        Some(trim) => stream.trim_point_after(&added, trim)?,
        None => None,
    };
    match point {
        None => stream.commit(&[added])?,
        Some(TrimPoint { through, .. }) => stream.commit(&[added, Change::Trimmed { through }])?,
    }
    drop(stream);
    cx.write_id(id);
    Ok(Outcome::Done)
}

/// `*`, `<ms>-*` or an ID.
fn id_rule(word: &[u8]) -> Result<IdRule, Refusal> {
    if word == b"*" {
        return Ok(IdRule::Auto);
    }
    if let Some(ms) = word.strip_suffix(b"-*") {
        return StreamId::parse_part(ms)
            .map(IdRule::AutoSeq)
            .ok_or(Refusal::InvalidId);
    }
    StreamId::parse(word, 0)
        .map(IdRule::Exact)
        .ok_or(Refusal::InvalidId)
}
