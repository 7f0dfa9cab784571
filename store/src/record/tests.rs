//! The format as it is drawn, and that every record comes back from its bytes.

use proptest::collection::vec;
use proptest::prelude::*;

use super::{Change, Claim, Claims, Fields, Ids, KeyspaceChange, Record};
use crate::id::{StreamId, StreamNo};

const RESP: &[u8] = b"$4\r\ntask\r\n$4\r\nmail\r\n";

fn encode(record: &Record<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    record.encode(&mut out);
    out
}

fn check_golden(record: Record<'_>, expected: &[u8]) {
    let bytes = encode(&record);
    assert_eq!(bytes, expected, "{record:?}");
    assert!(bytes.len() as u64 <= record.bytes_max());
    let mut input = &bytes[..];
    assert_eq!(Record::decode(&mut input), Ok(record));
    assert!(input.is_empty());
    for cut in 0..bytes.len() {
        let whole = Record::decode(&mut &bytes[..cut]);
        assert!(whole.is_err(), "{record:?} cut at {cut}");
    }
}

#[test]
fn the_bytes_of_every_stream_record_are_frozen() {
    let id = StreamId::new;
    fn check(change: Change<'_>, expected: &[u8]) {
        let stream = StreamNo::new(300);
        check_golden(Record::Stream { stream, change }, expected);
    }
    let mut added = b"\x01\xac\x02\x8a\xcf\xdd\x9b\xb8\x2c\x37\x91\x01\x02\x14".to_vec();
    added.extend_from_slice(RESP);
    check(
        Change::EntryAdded {
            id: id(1_526_919_030_666, 55),
            fields: Fields {
                words: 2,
                resp: RESP,
            },
            new_node: true,
            node_bytes: 72,
        },
        &added,
    );
    check(
        Change::Trimmed { through: id(5, 6) },
        b"\x02\xac\x02\x05\x06",
    );
    check(
        Change::EntriesDeleted {
            ids: Ids::from(&[id(5, 6), id(5, 9), id(7, 1), id(6, 0)]),
        },
        b"\x03\xac\x02\x04\x0a\x06\x00\x06\x04\x01\x01\x00",
    );
    check(
        Change::Positioned {
            last_id: id(5, 6),
            entries_added: 9,
            max_deleted: id(1, 2),
        },
        b"\x04\xac\x02\x05\x06\x09\x01\x02",
    );
    check(
        Change::GroupCreated {
            group: b"g",
            last_delivered: id(5, 6),
            entries_read: Some(4),
        },
        b"\x05\xac\x02\x01g\x05\x06\x01\x04",
    );
    check(
        Change::GroupPositioned {
            group: b"g",
            last_delivered: id(5, 6),
            entries_read: None,
        },
        b"\x06\xac\x02\x01g\x05\x06\x00",
    );
    check(Change::GroupDestroyed { group: b"" }, b"\x07\xac\x02\x00");
    check(
        Change::ConsumerCreated {
            group: b"g",
            consumer: b"ann",
            at: 128,
        },
        b"\x08\xac\x02\x01g\x03ann\x80\x01",
    );
    check(
        Change::ConsumerDeleted {
            group: b"g",
            consumer: b"ann",
        },
        b"\x09\xac\x02\x01g\x03ann",
    );
    check(
        Change::Delivered {
            group: b"g",
            consumer: b"ann",
            at: 7,
            pending: true,
            ids: Ids::from(&[id(5, 6), id(5, 7)]),
        },
        b"\x0a\xac\x02\x01g\x03ann\x07\x01\x02\x0a\x06\x00\x02",
    );
    check(
        Change::Redelivered {
            group: b"g",
            consumer: b"ann",
            at: 7,
            ids: Ids::from(&[id(5, 6)]),
        },
        b"\x0b\xac\x02\x01g\x03ann\x07\x01\x0a\x06",
    );
    check(
        Change::Claimed {
            group: b"g",
            consumer: b"ann",
            delivered_at: 8,
            at: 9,
            entries: Claims::from(&[Claim {
                id: id(5, 6),
                deliveries: 2,
            }]),
        },
        b"\x0c\xac\x02\x01g\x03ann\x08\x09\x01\x0a\x06\x02",
    );
    check(
        Change::Acked {
            group: b"g",
            ids: Ids::from(&[id(5, 6)]),
        },
        b"\x0d\xac\x02\x01g\x01\x0a\x06",
    );
}

#[test]
fn the_bytes_of_every_keyspace_record_are_frozen() {
    let stream = StreamNo::new(300);
    let check = |change, expected: &[u8]| check_golden(Record::Keyspace(change), expected);
    check(
        KeyspaceChange::Created {
            stream,
            db: 15,
            key: b"k",
        },
        b"\x20\xac\x02\x0f\x01k",
    );
    check(KeyspaceChange::Removed { stream }, b"\x21\xac\x02");
    check(
        KeyspaceChange::Moved {
            stream,
            db: 15,
            key: b"k",
        },
        b"\x22\xac\x02\x0f\x01k",
    );
    check(
        KeyspaceChange::Copied {
            from: StreamNo::new(2),
            stream,
            db: 15,
            key: b"k",
            expires_at: Some(9),
        },
        b"\x23\x02\xac\x02\x0f\x01k\x01\x09",
    );
    check(
        KeyspaceChange::ExpirySet {
            stream,
            at_ms: None,
        },
        b"\x24\xac\x02\x00",
    );
    check(KeyspaceChange::Flushed { db: None }, b"\x25\x00");
    check(KeyspaceChange::Flushed { db: Some(3) }, b"\x25\x01\x03");
    check(
        KeyspaceChange::DatabasesSwapped { a: 1, b: 2 },
        b"\x26\x01\x02",
    );
}

#[test]
fn bytes_that_mean_nothing_are_refused() {
    for bytes in [
        &b""[..],
        b"\x00\x01",                                             // no such tag
        b"\x0e\x01",                                             // no such tag of a stream
        b"\x27\x01",                                             // no such tag of the keyspace
        b"\x21\x80\x80\x80\x80\x80\x80\x80\x80\x80\x02",         // more than 64 bits
        b"\x21\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01", // more than 10 bytes
        b"\x25\x02",                                             // a flag is 0 or 1
        b"\x07\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",     // a name of 2^64 - 1 bytes
        b"\x03\x01\xff\xff\xff\xff\x0f\x00\x00",                 // 2^32 - 1 IDs
    ] {
        assert!(Record::decode(&mut &bytes[..]).is_err(), "{bytes:?}");
    }
    let greatest = b"\x21\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01";
    let removed = KeyspaceChange::Removed {
        stream: StreamNo::new(u64::MAX),
    };
    assert_eq!(
        Record::decode(&mut &greatest[..]),
        Ok(Record::Keyspace(removed))
    );
}

#[test]
fn field_words_come_back_as_they_went_in() {
    let mut buffer = b"before".to_vec();
    let fields = Fields::encode(["task", "", "a\r\nb"], &mut buffer);
    assert_eq!(fields.words, 3);
    assert_eq!(fields.resp, b"$4\r\ntask\r\n$0\r\n\r\n$4\r\na\r\nb\r\n");
    assert_eq!(
        fields.iter().collect::<Vec<_>>(),
        [&b"task"[..], b"", b"a\r\nb"]
    );
}

fn any_id() -> impl Strategy<Value = StreamId> {
    let number = || prop_oneof![0..10_u64, Just(u64::MAX), any::<u64>()];
    (number(), number()).prop_map(|(ms, seq)| StreamId::new(ms, seq))
}

proptest! {
    #[test]
    fn any_bytes_decode_or_are_refused(bytes in vec(any::<u8>(), 0..80), tag in 0..40_u8) {
        for bytes in [&bytes[..], &[&[tag][..], &bytes[..]].concat()] {
            let mut input = bytes;
            let Ok(record) = Record::decode(&mut input) else { continue };
            // What decodes can be encoded, and is then the same.
            let again = encode(&record);
            prop_assert_eq!(Record::decode(&mut &again[..]), Ok(record));
            prop_assert!(again.len() as u64 <= record.bytes_max());
            if let Record::Stream { change: Change::EntryAdded { fields, .. }, .. } = record {
                prop_assert!(fields.iter().count() <= bytes.len());
            }
        }
    }

    #[test]
    fn lists_of_ids_survive_in_any_order(ids in vec(any_id(), 0..20), deliveries in any::<u64>()) {
        let stream = StreamNo::FIRST;
        let claims: Vec<_> = ids.iter().map(|&id| Claim { id, deliveries }).collect();
        for change in [
            Change::Acked { group: b"g", ids: Ids::from(&ids) },
            Change::Claimed {
                group: b"g",
                consumer: b"c",
                delivered_at: 1,
                at: 2,
                entries: Claims::from(&claims),
            },
        ] {
            let record = Record::Stream { stream, change };
            let bytes = encode(&record);
            prop_assert_eq!(Record::decode(&mut &bytes[..]), Ok(record));
        }
    }
}
