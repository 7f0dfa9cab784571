//! The decoder from outside: what real servers answer to the same bytes, requests cut anywhere,
//! hostile lengths, and the same judgement as another parser on mutated input.
//!
//! The tables are facts: every row was sent to Redis 7.0.15, Redis 8.2.3 and Valkey 9.1 over a raw
//! socket, and the error is the text that they sent before they closed the connection.

use headwater_resp::{Decoder, Limits, ProtocolError, encode_request};
use proptest::prelude::*;
use redis_protocol::resp2;
use redis_protocol::resp2::types::OwnedFrame;

const PROTO_MAX_BULK_LEN: usize = 512 * 1024 * 1024;

type Words = Vec<Vec<u8>>;

/// All that a connection has understood.
#[derive(Debug, Default, PartialEq)]
struct Understood {
    /// The requests that have a word.
    requests: Vec<Words>,
    empty_requests: usize,
    /// Bytes of a request that is not whole.
    rest: usize,
    error: Option<ProtocolError>,
}

/// Reads `input` as it arrives when it is cut at `cuts`.
fn read(input: &[u8], cuts: impl IntoIterator<Item = usize>, limits: &Limits) -> Understood {
    let mut decoder = Decoder::new();
    let mut understood = Understood::default();
    let mut start = 0;
    for end in cuts.into_iter().chain([input.len()]) {
        loop {
            let arrived = &input[start..end];
            match decoder.decode(arrived, limits) {
                Ok(None) => {
                    assert!(decoder.request(arrived).is_empty());
                    assert!(decoder.wanted() <= 256 * 1024);
                    break;
                }
                Ok(Some(consumed)) => {
                    assert!(consumed > 0 && consumed <= arrived.len());
                    let request = decoder.request(arrived);
                    assert_eq!(request.wire_bytes(), consumed);
                    let words: Words = request.words().map(<[u8]>::to_vec).collect();
                    assert_eq!(words.len(), request.len());
                    for from in 0..=words.len() + 1 {
                        assert_eq!(request.raw_from(from), raw(words.get(from..)));
                    }
                    if words.is_empty() {
                        understood.empty_requests += 1;
                    } else {
                        understood.requests.push(words);
                    }
                    start += consumed;
                }
                Err(error) => {
                    understood.error = Some(error);
                    return understood;
                }
            }
        }
    }
    understood.rest = input.len() - start;
    understood
}

/// Words as bulk strings, back to back.
fn raw(words: Option<&[Vec<u8>]>) -> Vec<u8> {
    let mut out = Vec::new();
    for word in words.unwrap_or_default() {
        out.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        out.extend_from_slice(word);
        out.extend_from_slice(b"\r\n");
    }
    out
}

/// Reads `input` whole and byte by byte, which must not differ.
#[track_caller]
fn read_both_ways(input: &[u8], limits: &Limits) -> Understood {
    let whole = read(input, [], limits);
    assert_eq!(
        read(input, 0..input.len(), limits),
        whole,
        "{}",
        input.escape_ascii()
    );
    whole
}

fn limits() -> Limits {
    Limits::new(PROTO_MAX_BULK_LEN)
}

/// Reads `input` with `PING` behind it, and expects to understand just that.
#[track_caller]
fn check_consumed_silently(input: &[u8]) {
    let input = [input, b"*1\r\n$4\r\nPING\r\n"].concat();
    let understood = read_both_ways(&input, &limits());
    assert_eq!(understood.requests, [[b"PING"]], "{}", input.escape_ascii());
    assert_eq!((understood.error, understood.rest), (None, 0));
}

#[track_caller]
fn check_refused(input: &[u8], limits: &Limits, text: &str) {
    let understood = read_both_ways(input, limits);
    let error = understood.error.map(|error| error.to_string());
    let expected = format!("Protocol error: {text}");
    assert_eq!(
        error.as_deref(),
        Some(&*expected),
        "{}",
        input.escape_ascii()
    );
}

/// Expects that nothing can be said yet.
#[track_caller]
fn check_waits(input: &[u8], limits: &Limits) {
    let understood = read_both_ways(input, limits);
    let waits = Understood {
        rest: input.len(),
        ..Understood::default()
    };
    assert_eq!(understood, waits, "{}", input.escape_ascii());
}

#[test]
fn empty_requests_are_consumed_silently() {
    for input in [
        "*0\r\n", "*-1\r\n", "*-5\r\n", "\r\n", "\n", "   \r\n", "\t\x0b\n",
    ] {
        check_consumed_silently(input.as_bytes());
    }
}

/// CVE-2026-27623: in Valkey 9.0.0 to 9.0.2 the state of the parser outlived an empty request.
#[test]
fn any_sequence_of_empty_requests_leaves_the_decoder_as_new() {
    let empty: [&[u8]; 4] = [b"*0\r\n", b"*-1\r\n", b"\r\n", b"\n"];
    for a in empty {
        for b in empty {
            for c in empty {
                check_consumed_silently(&[a, b, c].concat());
                let between = [a, b"*2\r\n$4\r\nECHO\r\n$2\r\nhi\r\n", b, b"PING\r\n", c].concat();
                let understood = read_both_ways(&between, &limits());
                assert_eq!(
                    understood.requests,
                    [
                        vec![b"ECHO".to_vec(), b"hi".to_vec()],
                        vec![b"PING".to_vec()]
                    ]
                );
                assert_eq!(understood.empty_requests, 3);
            }
        }
    }
    let many = empty.concat().repeat(10_000);
    assert_eq!(read(&many, [], &limits()).empty_requests, 40_000);
}

#[test]
fn malformed_requests_are_refused_with_redis_texts() {
    let digits = |count| "1".repeat(count);
    let rows = [
        ("*2147483648\r\n", "invalid multibulk length"),
        ("*9223372036854775807\r\n", "invalid multibulk length"),
        ("*99999999999999999999\r\n", "invalid multibulk length"),
        ("*+1\r\n$4\r\nPING\r\n", "invalid multibulk length"),
        ("*01\r\n$4\r\nPING\r\n", "invalid multibulk length"),
        ("*00\r\n", "invalid multibulk length"),
        ("*-0\r\n", "invalid multibulk length"),
        ("*\r\n*1\r\n", "invalid multibulk length"),
        ("* 1\r\n", "invalid multibulk length"),
        ("*1\n$4\r\nPING\r\n", "invalid multibulk length"),
        ("*1\r\n$-1\r\n", "invalid bulk length"),
        ("*1\r\n$-2\r\n", "invalid bulk length"),
        ("*1\r\n$536870913\r\n", "invalid bulk length"),
        ("*1\r\n$99999999999999999999\r\n", "invalid bulk length"),
        ("*1\r\n$\r\n", "invalid bulk length"),
        ("*1\r\n$04\r\nPING\r\n", "invalid bulk length"),
        ("*1\r\n$00\r\n\r\n", "invalid bulk length"),
        ("*1\r\n$+4\r\nPING\r\n", "invalid bulk length"),
        ("*1\r\n$4\nPING\r\n", "invalid bulk length"),
        ("*1\r\n:4\r\n", "expected '$', got ':'"),
        ("*1\r\n\x01\r\n", "expected '$', got '\x01'"),
        ("*1\r\n\r\r\n", "expected '$', got '\r'"),
        (
            &format!("*{}", digits(65_536)),
            "too big mbulk count string",
        ),
        (
            &format!("*1\r\n${}", digits(65_536)),
            "too big bulk count string",
        ),
        (&"A".repeat(65_537), "too big inline request"),
        ("ECHO \"a\r\n", "unbalanced quotes in request"),
        ("ECHO 'a\r\n", "unbalanced quotes in request"),
        ("ECHO \"a\"b\r\n", "unbalanced quotes in request"),
        ("ECHO 'a'b\r\n", "unbalanced quotes in request"),
    ];
    for (input, text) in rows {
        check_refused(input.as_bytes(), &limits(), text);
    }
}

#[test]
fn what_may_still_become_a_request_is_waited_for() {
    for input in [
        "",
        "*",
        "*2147483647\r\n",
        "*1\r\n$536870912\r\n",
        "*1\r\n$4\r\nPING",
        "ECHO \"a",
    ] {
        check_waits(input.as_bytes(), &limits());
    }
    check_waits(format!("*{}", "1".repeat(65_535)).as_bytes(), &limits());
    check_waits("A".repeat(65_536).as_bytes(), &limits());
}

/// Where we refuse and Redis does not, or with other words: only malformed input, or input whose
/// fate in Redis depends on how it was cut into reads.
#[test]
fn the_documented_differences_from_redis() {
    let limits = limits();
    // Redis skips two bytes after a length or a bulk string; Valkey looks at them, as we do.
    check_refused(b"*1\rX$4\r\nPING\r\n", &limits, "invalid CRLF in request");
    check_refused(b"*1\r\n$4\rXPING\r\n", &limits, "invalid CRLF in request");
    check_refused(b"*1\r\n$4\r\nPINGXX", &limits, "invalid CRLF in request");
    // Redis waits for the end of the line before it looks at its first byte.
    check_refused(b"*1\r\nx", &limits, "expected '$', got 'x'");
    // Redis accepts a longer line, or finds another fault, if all of it comes in one read.
    check_refused(
        &[b"A".repeat(65_537), b"\n".to_vec()].concat(),
        &limits,
        "too big inline request",
    );
    let digits = "1".repeat(65_600);
    check_refused(
        format!("*{digits}\r\n").as_bytes(),
        &limits,
        "too big mbulk count string",
    );
    check_refused(
        format!("*1\r\n${digits}\r\n").as_bytes(),
        &limits,
        "too big bulk count string",
    );
    // Redis never answers a line with a NUL.
    let understood = read_both_ways(b"PING a\0b\r\n", &limits);
    assert_eq!(understood.requests, [[b"PING".to_vec(), b"a\0b".to_vec()]]);
    // Redis closes the connection without a word.
    let small = Limits {
        request_bytes: 64,
        ..limits
    };
    check_refused(b"*2\r\n$4\r\nECHO\r\n$44\r\n", &small, "too big request");
    check_waits(b"*2\r\n$4\r\nECHO\r\n$43\r\n", &small);
    // Not ASCII: Redis sends the byte itself.
    check_refused(b"*1\r\n\xff\r\n", &limits, "expected '$', got '\u{FFFD}'");
}

#[test]
fn strangers_may_say_little() {
    let limits = Limits::before_auth();
    check_waits(b"*10\r\n", &limits);
    check_refused(b"*11\r\n", &limits, "unauthenticated multibulk length");
    check_waits(b"*1\r\n$16384\r\n", &limits);
    check_refused(b"*1\r\n$16385\r\n", &limits, "unauthenticated bulk length");
    // Nonsense is nonsense from anyone.
    check_refused(b"*2147483648\r\n", &limits, "invalid multibulk length");
    check_refused(b"*1\r\n$536870913\r\n", &limits, "invalid bulk length");
    check_refused(b"*1\r\n$-1\r\n", &limits, "invalid bulk length");
    check_refused(&b"A".repeat(70_000), &limits, "too big inline request");
    assert_eq!(
        read_both_ways(b"*-2\r\nPING\n", &limits).requests,
        [[b"PING"]]
    );
}

#[test]
fn limits_may_change_between_two_requests() {
    let mut input = Vec::new();
    encode_request(&mut input, ["AUTH", "secret"]);
    let auth = input.len();
    encode_request(&mut input, (0..11).map(|word| word.to_string()));
    let mut decoder = Decoder::new();
    assert_eq!(
        decoder.decode(&input, &Limits::before_auth()),
        Ok(Some(auth))
    );
    let rest = &input[auth..];
    assert_eq!(decoder.decode(rest, &limits()), Ok(Some(rest.len())));
    assert_eq!(decoder.request(rest).len(), 11);
}

#[test]
fn the_longest_inline_request_is_accepted() {
    for end in ["\n", "\r\n"] {
        let text = "A".repeat(65_537 - end.len());
        let understood = read(format!("{text}{end}").as_bytes(), [], &limits());
        assert_eq!(understood.requests, [[text.into_bytes()]]);
    }
}

#[test]
fn inline_requests_have_one_encoding() {
    let mut decoder = Decoder::new();
    let input = b" xadd 'a b' * \"f\\n\" \"\"\r\nPING\r\n";
    assert_eq!(decoder.decode(input, &limits()), Ok(Some(24)));
    let request = decoder.request(input);
    assert_eq!(request.raw_from(3), b"$2\r\nf\n\r\n$0\r\n\r\n");
    assert_eq!(request.word(1), b"a b");
    assert_eq!(request.get(5), None);
    assert_eq!(format!("{request:?}"), r#"["xadd", "a b", "*", "f\n", ""]"#);
}

#[test]
fn wanted_is_what_is_missing_at_least_and_never_what_is_claimed() {
    let mut decoder = Decoder::new();
    let mut wanted = |input: &[u8]| {
        assert_eq!(decoder.decode(input, &limits()), Ok(None));
        decoder.wanted()
    };
    assert_eq!(wanted(b"*3\r\n"), 0);
    assert_eq!(wanted(b"*3\r\n$10\r\n"), 10 + 2 + 2 * 6);
    assert_eq!(wanted(b"*3\r\n$10\r\n0123456789"), 2 + 2 * 6);
    assert_eq!(
        wanted(b"*3\r\n$10\r\n0123456789\r\n$500000000\r\n"),
        256 * 1024
    );
    let mut decoder = Decoder::new();
    assert_eq!(
        decoder.decode(b"*2147483647\r\n$0\r\n", &limits()),
        Ok(None)
    );
    assert_eq!(decoder.wanted(), 256 * 1024);
    let ping = b"*1\r\n$4\r\nPING\r\n";
    let mut decoder = Decoder::new();
    assert_eq!(decoder.decode(&ping[..8], &limits()), Ok(None));
    assert_eq!(decoder.wanted(), 6);
    assert_eq!(decoder.decode(ping, &limits()), Ok(Some(ping.len())));
    assert_eq!(decoder.wanted(), 0);
}

#[test]
fn a_request_with_very_many_words_is_understood_after_a_short_one_and_before_another() {
    let long: Vec<String> = (0..100_000).map(|word| word.to_string()).collect();
    let mut input = Vec::new();
    encode_request(&mut input, ["PING"]);
    encode_request(&mut input, &long);
    encode_request(&mut input, ["PING"]);
    let mut decoder = Decoder::new();
    let mut lengths = Vec::new();
    let mut start = 0;
    while let Some(consumed) = decoder.decode(&input[start..], &limits()).unwrap() {
        let request = decoder.request(&input[start..]);
        lengths.push(request.len());
        assert_eq!(request.words().next_back(), request.get(request.len() - 1));
        start += consumed;
    }
    assert_eq!(lengths, [1, 100_000, 1]);
}

#[test]
fn a_pipeline_may_be_cut_at_every_byte() {
    let mut input = Vec::new();
    let big = vec![b'\r'; 1234];
    encode_request(
        &mut input,
        [
            b"XADD" as &[u8],
            b"s",
            b"*",
            b"field",
            b"",
            b"f",
            b"a\r\n$b",
        ],
    );
    input.extend_from_slice(b"PING 'a b'\r\n*0\r\n\r\n");
    encode_request(&mut input, [b"ECHO" as &[u8], &big]);
    encode_request(&mut input, (0..120).map(|word| word.to_string()));
    let whole = read_both_ways(&input, &limits());
    assert_eq!(whole.requests.len(), 4);
    assert_eq!(
        (whole.empty_requests, whole.rest, whole.error),
        (2, 0, None)
    );
    for cut in 0..input.len() {
        assert_eq!(read(&input, [cut], &limits()), whole, "cut at {cut}");
    }
}

#[test]
fn a_long_length_that_came_in_pieces_is_forgotten_when_its_word_is_whole() {
    let mut input = Vec::new();
    encode_request(
        &mut input,
        [vec![b'a'; 10_000], vec![b'b'; 1000], vec![b'c'; 10]],
    );
    let whole = read_both_ways(&input, &limits());
    assert_eq!(whole.requests[0].len(), 3);
    for cut in 0..16 {
        assert!(read(&input, [cut], &limits()) == whole, "cut at {cut}");
    }
}

/// What another parser says to a request that begins with `*`.
#[derive(Debug, PartialEq)]
enum Judgement {
    /// Words, and the bytes they took.
    Words(Words, usize),
    Incomplete,
    Refused,
}

fn judged_by_redis_protocol(input: &[u8]) -> Judgement {
    match resp2::decode::decode(input) {
        Ok(None) => Judgement::Incomplete,
        Ok(Some((OwnedFrame::Null, size))) => Judgement::Words(Vec::new(), size),
        Ok(Some((OwnedFrame::Array(parts), size))) => {
            let word = |part| match part {
                OwnedFrame::BulkString(word) => Some(word),
                _ => None,
            };
            match parts.into_iter().map(word).collect() {
                Some(words) => Judgement::Words(words, size),
                None => Judgement::Refused,
            }
        }
        Ok(Some(_)) | Err(_) => Judgement::Refused,
    }
}

fn judged_by_decoder(input: &[u8]) -> Judgement {
    let mut decoder = Decoder::new();
    match decoder.decode(input, &limits()) {
        Ok(None) => Judgement::Incomplete,
        Ok(Some(consumed)) => {
            let words = decoder.request(input).words().map(<[u8]>::to_vec).collect();
            Judgement::Words(words, consumed)
        }
        Err(_) => Judgement::Refused,
    }
}

/// Whether `input` begins with a negative number of words, which only Redis accepts.
fn negative_count(input: &[u8]) -> bool {
    let line = input
        .split(|&byte| byte == b'\r')
        .next()
        .unwrap_or_default();
    line.strip_prefix(b"*-")
        .is_some_and(|digits| digits.first() != Some(&b'0'))
}

fn word() -> impl Strategy<Value = Vec<u8>> {
    let bytes = prop_oneof![any::<u8>(), prop::sample::select(&b"*$\r\n01-"[..])];
    prop_oneof![
        8 => prop::collection::vec(bytes, 0..20),
        1 => prop::collection::vec(any::<u8>(), 98..102),
        1 => prop::collection::vec(any::<u8>(), 998..1002),
    ]
}

fn requests() -> impl Strategy<Value = Vec<Words>> {
    prop::collection::vec(prop::collection::vec(word(), 1..12), 1..4)
}

fn pipeline(requests: &[Words]) -> Vec<u8> {
    let mut out = Vec::new();
    for words in requests {
        encode_request(&mut out, words);
    }
    out
}

/// One damage: where (modulo the length), and what becomes of the byte there.
#[derive(Clone, Debug)]
enum Damage {
    Cut,
    Insert(u8),
    Remove,
    Replace(u8),
    Repeat,
}

fn damage() -> impl Strategy<Value = (prop::sample::Index, Damage)> {
    let byte =
        prop_oneof![4 => prop::sample::select(&b"*$:+-0123456789\r\n x\""[..]), 1 => any::<u8>()];
    let damage = (0..5, byte).prop_map(|(kind, byte)| match kind {
        0 => Damage::Cut,
        1 => Damage::Insert(byte),
        2 => Damage::Remove,
        3 => Damage::Replace(byte),
        _ => Damage::Repeat,
    });
    (any::<prop::sample::Index>(), damage)
}

/// Damages the input, more often near its start, where the lengths are.
fn damaged(mut input: Vec<u8>, damages: &[(prop::sample::Index, Damage)]) -> Vec<u8> {
    for (turn, (index, damage)) in damages.iter().enumerate() {
        let reach = if turn % 2 == 0 {
            input.len().min(16)
        } else {
            input.len()
        };
        if reach == 0 {
            break;
        }
        let at = index.index(reach);
        match *damage {
            Damage::Cut => input.truncate(at),
            Damage::Insert(byte) => input.insert(at, byte),
            Damage::Remove => drop(input.remove(at)),
            Damage::Replace(byte) => input[at] = byte,
            Damage::Repeat => input.insert(at, input[at]),
        }
    }
    input
}

proptest! {
    #[test]
    fn what_is_encoded_is_decoded(
        requests in requests(),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..5),
    ) {
        let input = pipeline(&requests);
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(input.len())).collect();
        cuts.sort_unstable();
        let expected = Understood { requests, ..Understood::default() };
        prop_assert_eq!(read(&input, cuts, &limits()), expected);
    }

    /// Accepted is what the other parser takes for an array of bulk strings, if the bytes are the
    /// only encoding of these words (it takes `+4` and `04` for 4, and does not look at what
    /// follows a bulk string), and a negative number of words.
    #[test]
    fn damaged_requests_are_judged_as_by_another_parser(
        requests in requests(),
        damages in prop::collection::vec(damage(), 0..4),
    ) {
        let input = damaged(pipeline(&requests), &damages);
        prop_assume!(input.first() == Some(&b'*'));
        let ours = judged_by_decoder(&input);
        match judged_by_redis_protocol(&input) {
            _ if negative_count(&input) => {
                let words = if let Judgement::Words(words, _) = &ours { words.len() } else { 0 };
                prop_assert_eq!(words, 0);
            }
            Judgement::Words(words, size) => {
                let mut encoded = Vec::new();
                encode_request(&mut encoded, &words);
                if encoded == input[..size] {
                    prop_assert_eq!(ours, Judgement::Words(words, size));
                } else {
                    prop_assert_eq!(ours, Judgement::Refused);
                }
            }
            // A fault may be seen before the end has come, never the other way round.
            Judgement::Incomplete => {
                prop_assert!(matches!(ours, Judgement::Incomplete | Judgement::Refused));
            }
            Judgement::Refused => prop_assert_eq!(ours, Judgement::Refused),
        }
    }

    #[test]
    fn damaged_requests_mean_the_same_however_they_are_cut(
        requests in requests(),
        damages in prop::collection::vec(damage(), 0..6),
    ) {
        let input = damaged(pipeline(&requests), &damages);
        read_both_ways(&input, &limits());
        read_both_ways(&input, &Limits::before_auth());
    }

    #[test]
    fn any_line_is_split_or_refused(line in "[ a-z\"'\\\\x0-9\t\r]{0,40}\r?\n") {
        let understood = read_both_ways(line.as_bytes(), &limits());
        let unbalanced = Some(ProtocolError::UnbalancedQuotes);
        prop_assert!(understood.error.is_none() || understood.error == unbalanced);
    }
}
