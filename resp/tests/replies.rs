//! Replies from one end to the other: what the writer writes, the client side understands, in both
//! protocols and however damaged.

use headwater_resp::reply::{Reply, ReplyLimits, decode};
use headwater_resp::{Protocol, Writer};
use proptest::prelude::*;

fn write(writer: &mut Writer<'_>, reply: &Reply) {
    match reply {
        Reply::Array(parts) => {
            writer.array(parts.len());
            parts.iter().for_each(|part| write(writer, part));
        }
        Reply::BigNumber(digits) => writer.raw(&[b"(", digits.as_slice(), b"\r\n"].concat()),
        Reply::Bool(yes) => writer.bool(*yes),
        Reply::Bulk(bytes) => writer.bulk(bytes),
        Reply::Double(number) => writer.double(*number),
        Reply::Error(text) => writer.error_bytes(text),
        Reply::Int(number) => writer.int(*number),
        Reply::Map(pairs) => {
            writer.map(pairs.len());
            for (key, value) in pairs {
                write(writer, key);
                write(writer, value);
            }
        }
        Reply::Null => writer.null(),
        Reply::NullArray => writer.null_array(),
        Reply::Push(parts) => {
            writer.push(parts.len());
            parts.iter().for_each(|part| write(writer, part));
        }
        Reply::Set(parts) => {
            writer.set(parts.len());
            parts.iter().for_each(|part| write(writer, part));
        }
        Reply::Simple(text) => {
            writer.simple(std::str::from_utf8(text).expect("text is ASCII here"));
        }
        Reply::Verbatim(text) => writer.verbatim(text),
    }
}

fn written(reply: &Reply, protocol: Protocol) -> Vec<u8> {
    let mut out = Vec::new();
    write(&mut Writer::new(&mut out, protocol), reply);
    out
}

/// What a client sees of `reply` in RESP2.
fn in_resp2(reply: &Reply) -> Reply {
    match reply {
        Reply::Array(parts) | Reply::Push(parts) | Reply::Set(parts) => {
            Reply::Array(parts.iter().map(in_resp2).collect())
        }
        Reply::Bool(yes) => Reply::Int(i64::from(*yes)),
        Reply::Double(number) => {
            let text = written(&Reply::Double(*number), Protocol::Resp3);
            Reply::Bulk(text[1..text.len() - 2].to_vec())
        }
        Reply::Map(pairs) => {
            let parts = pairs.iter().flat_map(|(key, value)| [key, value]);
            Reply::Array(parts.map(in_resp2).collect())
        }
        Reply::Verbatim(text) => Reply::Bulk(text.clone()),
        other => other.clone(),
    }
}

/// What a client sees of `reply` in RESP3, which has one null.
fn in_resp3(reply: &Reply) -> Reply {
    let all = |parts: &[Reply]| parts.iter().map(in_resp3).collect();
    match reply {
        Reply::Array(parts) => Reply::Array(all(parts)),
        Reply::Map(pairs) => {
            let pair = |(key, value): &(Reply, Reply)| (in_resp3(key), in_resp3(value));
            Reply::Map(pairs.iter().map(pair).collect())
        }
        Reply::NullArray => Reply::Null,
        Reply::Push(parts) => Reply::Push(all(parts)),
        Reply::Set(parts) => Reply::Set(all(parts)),
        other => other.clone(),
    }
}

fn reply() -> impl Strategy<Value = Reply> {
    let bytes = || prop::collection::vec(any::<u8>(), 0..20);
    let single = prop_oneof![
        "[1-9][0-9]{19,30}".prop_map(|digits| Reply::BigNumber(digits.into_bytes())),
        any::<bool>().prop_map(Reply::Bool),
        bytes().prop_map(Reply::Bulk),
        // NaN is not equal to itself.
        any::<f64>()
            .prop_filter("a number", |number| !number.is_nan())
            .prop_map(Reply::Double),
        "[A-Z]{3} [ -~]{0,20}".prop_map(|text| Reply::Error(text.into_bytes())),
        any::<i64>().prop_map(Reply::Int),
        Just(Reply::Null),
        Just(Reply::NullArray),
        "[ -~]{0,20}".prop_map(|text| Reply::Simple(text.into_bytes())),
        bytes().prop_map(Reply::Verbatim),
    ];
    single.prop_recursive(4, 40, 5, |part| {
        let parts = prop::collection::vec(part.clone(), 0..5);
        let pairs = prop::collection::vec((part.clone(), part), 0..4);
        prop_oneof![
            parts.clone().prop_map(Reply::Array),
            parts.clone().prop_map(Reply::Push),
            parts.prop_map(Reply::Set),
            pairs.prop_map(Reply::Map),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_written_is_understood_and_no_part_of_it_is(reply in reply()) {
        let limits = ReplyLimits::default();
        for (protocol, expected) in [
            (Protocol::Resp2, in_resp2(&reply)),
            (Protocol::Resp3, in_resp3(&reply)),
        ] {
            let mut wire = written(&reply, protocol);
            let size = wire.len();
            for end in 0..size {
                prop_assert_eq!(decode(&wire[..end], &limits), Ok(None));
            }
            wire.extend_from_slice(b"$4\r\nmore");
            prop_assert_eq!(decode(&wire, &limits), Ok(Some((expected, size))));
        }
    }

    /// Nothing but a whole reply, a wait or an error comes of any bytes, and once refused they
    /// stay refused.
    #[test]
    fn damaged_replies_are_refused_or_understood_but_never_more_than_they_are(
        reply in reply(),
        at in any::<prop::sample::Index>(),
        byte in prop_oneof![
            prop::sample::select(&b"*$:+-_#,(!=~>%|?0123456789\r\nx"[..]),
            any::<u8>(),
        ],
    ) {
        let limits = ReplyLimits::default();
        let mut wire = written(&reply, Protocol::Resp3);
        let at = at.index(wire.len());
        wire[at] = byte;
        let mut refused = None;
        for end in 0..=wire.len() {
            let outcome = decode(&wire[..end], &limits);
            match (&refused, &outcome) {
                (Some(error), _) => prop_assert_eq!(outcome.as_ref().err(), Some(error)),
                (None, Err(error)) => refused = Some(*error),
                (None, Ok(Some((_, size)))) => prop_assert!(*size <= end),
                (None, Ok(None)) => {}
            }
        }
    }
}
