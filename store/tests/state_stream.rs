//! What a stream decides, and what a change does to it.

use std::path::Path;
use std::sync::Arc;

use headwater_store::disk::SimDisk;
use headwater_store::history::HistoryId;
use headwater_store::log::{LogOptions, Opening};
use headwater_store::{
    Access, Change, Claim, Claims, Entry, Fields, IdRule, Ids, NextIdError, NodeLimits, Order,
    Store, StoreOptions, Stream, StreamId, StreamMut, Trim, TrimBy, TrimPoint,
};

const KEY: &[u8] = b"jobs";

const fn id(ms: u64) -> StreamId {
    StreamId::new(ms, 0)
}

/// Calls `f` with access to a new store with one empty stream.
fn with_stream(f: impl FnOnce(&mut Access<'_>)) {
    let disk = Arc::new(SimDisk::new());
    let options = StoreOptions {
        log: LogOptions {
            segment_bytes: 64 << 10,
            ..LogOptions::default()
        },
        role: Opening::Lead(HistoryId::new([1; HistoryId::BYTES])),
        ..StoreOptions::default()
    };
    let store = Store::open(disk, Path::new("/store"), options);
    let store = store.expect("the disk works");
    let mut access = store.alone();
    access.create(0, KEY, 0).expect("there is room");
    f(&mut access);
}

fn commit(access: &Access<'_>, changes: &[Change<'_>]) {
    let mut stream = access.stream(0, KEY, 0).expect("it has been created");
    stream.commit(changes).expect("there is room");
}

/// Adds small entries; four fill a node.
fn add(access: &Access<'_>, ids: impl IntoIterator<Item = StreamId>) {
    let mut buffer = Vec::new();
    let fields = Fields::encode(["task", "mail"], &mut buffer);
    let limits = NodeLimits {
        bytes: 4096,
        entries: 4,
    };
    for id in ids {
        let mut stream = access.stream(0, KEY, 0).expect("it has been created");
        let added = stream.entry_added(id, fields, limits);
        stream.commit(&[added]).expect("there is room");
    }
}

fn look<R>(access: &Access<'_>, f: impl FnOnce(&StreamMut<'_>) -> R) -> R {
    f(&access.stream(0, KEY, 0).expect("it has been created"))
}

fn ids(stream: &StreamMut<'_>) -> Vec<u64> {
    let entries = range(stream, StreamId::MIN, StreamId::MAX);
    entries.iter().map(|entry| entry.id.ms).collect()
}

fn range(stream: &StreamMut<'_>, from: StreamId, to: StreamId) -> Vec<Entry> {
    let entries = stream.entries(from, to, Order::Forward, usize::MAX);
    entries.expect("nothing is settled")
}

#[test]
fn ids_follow_the_rule_the_clock_and_the_last_id() {
    let last = StreamId::new(5, 7);
    let full = StreamId::new(5, u64::MAX);
    let at = StreamId::new;
    let not_greater = Err(NextIdError::NotGreater);
    for (last, rule, now, expected) in [
        (StreamId::MIN, IdRule::Auto, 9, Ok(at(9, 0))),
        (StreamId::MIN, IdRule::Auto, 0, Ok(at(0, 1))),
        (StreamId::MIN, IdRule::AutoSeq(0), 9, Ok(at(0, 1))),
        (StreamId::MIN, IdRule::Exact(StreamId::MIN), 9, not_greater),
        (last, IdRule::Auto, 6, Ok(at(6, 0))),
        (last, IdRule::Auto, 5, Ok(at(5, 8))),
        (last, IdRule::Auto, 4, Ok(at(5, 8))),
        (last, IdRule::AutoSeq(6), 0, Ok(at(6, 0))),
        (last, IdRule::AutoSeq(5), 0, Ok(at(5, 8))),
        (last, IdRule::AutoSeq(4), 9, not_greater),
        (last, IdRule::Exact(at(5, 8)), 0, Ok(at(5, 8))),
        (last, IdRule::Exact(last), 9, not_greater),
        (full, IdRule::Auto, 5, Ok(at(6, 0))),
        (full, IdRule::AutoSeq(5), 5, not_greater),
        (StreamId::MAX, IdRule::Auto, 9, Err(NextIdError::Exhausted)),
        (
            StreamId::MAX,
            IdRule::Exact(last),
            9,
            Err(NextIdError::Exhausted),
        ),
    ] {
        with_stream(|access| {
            let positioned = Change::Positioned {
                last_id: last,
                entries_added: 0,
                max_deleted: StreamId::MIN,
            };
            commit(access, &[positioned]);
            let found = look(access, |stream| stream.next_id(rule, now));
            assert_eq!(found, expected, "{rule:?} after {last} at {now}");
        });
    }
}

#[test]
fn trimming_takes_whole_nodes_or_single_entries() {
    with_stream(|access| {
        add(access, (1..=10).map(id));
        assert_eq!(look(access, |stream| stream.nodes()), 3);
        let limited = |by, approximate, limit| Trim {
            by,
            approximate,
            limit,
        };
        let exact = |by| limited(by, false, None);
        let about = |by| limited(by, true, None);
        let point = |through, removed| {
            Some(TrimPoint {
                through: id(through),
                removed,
            })
        };
        for (trim, expected) in [
            (exact(TrimBy::MaxLen(10)), None),
            (exact(TrimBy::MaxLen(9)), point(1, 1)),
            (exact(TrimBy::MaxLen(5)), point(5, 5)),
            (exact(TrimBy::MaxLen(0)), point(10, 10)),
            (exact(TrimBy::MinId(id(1))), None),
            (exact(TrimBy::MinId(id(7))), point(6, 6)),
            (exact(TrimBy::MinId(id(99))), point(10, 10)),
            (about(TrimBy::MaxLen(7)), None),
            (about(TrimBy::MaxLen(6)), point(4, 4)),
            (about(TrimBy::MaxLen(5)), point(4, 4)),
            (about(TrimBy::MaxLen(1)), point(8, 8)),
            (about(TrimBy::MaxLen(0)), point(10, 10)),
            (about(TrimBy::MinId(id(4))), None),
            (about(TrimBy::MinId(id(8))), point(4, 4)),
            (about(TrimBy::MinId(id(9))), point(8, 8)),
            (limited(TrimBy::MaxLen(0), true, Some(3)), None),
            (limited(TrimBy::MaxLen(0), true, Some(7)), point(4, 4)),
            (limited(TrimBy::MaxLen(0), true, Some(8)), point(8, 8)),
        ] {
            assert_eq!(
                look(access, |stream| stream.trim_point(&trim).unwrap()),
                expected,
                "{trim:?}"
            );
        }
    });
}

/// The numbers are what Redis 7.0.15 and 8.2.3 answer to the same commands; thousands of random
/// histories were compared with them in the same way.
#[test]
fn nodes_end_where_those_of_redis_end() {
    let at = |i: u64| StreamId::new(i * i, i % 3);
    let words = |i: u64| {
        let count = |factor, modulus| usize::try_from(i * factor % modulus).expect("it is small");
        if i.is_multiple_of(5) {
            let number = (i * i * i * i).to_string();
            [
                "n".to_owned(),
                number,
                "other".to_owned(),
                "y".repeat(count(1, 70)),
            ]
        } else {
            let number = (i.cast_signed() * 37 - 9000).to_string();
            [
                "n".to_owned(),
                number,
                "text".to_owned(),
                "x".repeat(count(7, 150)),
            ]
        }
    };
    for (bytes, entries, nodes, trimmed) in [
        (4096, 100, 11, [50, 91, 50]),
        (4096, 0, 11, [50, 91, 50]),
        (1000, 100, 46, [43, 96, 57]),
        (300, 7, 187, [50, 95, 59]),
        (0, 50, 10, [50, 50, 50]),
        (0, 0, 1, [0, 0, 0]),
        (1, 1, 500, [50, 99, 60]),
    ] {
        with_stream(|access| {
            let limits = NodeLimits { bytes, entries };
            for i in 1..=500 {
                let mut buffer = Vec::new();
                let fields = Fields::encode(words(i), &mut buffer);
                let added = look(access, |stream| stream.entry_added(at(i), fields, limits));
                commit(access, &[added]);
            }
            assert_eq!(look(access, |stream| stream.nodes()), nodes, "{limits:?}");
            let gone: Vec<_> = (40..90).map(at).collect();
            commit(
                access,
                &[Change::EntriesDeleted {
                    ids: Ids::from(&gone),
                }],
            );
            let approximate = true;
            let found = [
                Trim {
                    by: TrimBy::MaxLen(400),
                    approximate,
                    limit: None,
                },
                Trim {
                    by: TrimBy::MinId(id(200 * 200)),
                    approximate,
                    limit: None,
                },
                Trim {
                    by: TrimBy::MaxLen(100),
                    approximate,
                    limit: Some(60),
                },
            ]
            .map(|trim| {
                let point = look(access, |stream| stream.trim_point(&trim).unwrap());
                point.map_or(0, |point| {
                    commit(
                        access,
                        &[Change::Trimmed {
                            through: point.through,
                        }],
                    );
                    point.removed
                })
            });
            assert_eq!(found, trimmed, "{limits:?}");
        });
    }
}

#[test]
fn an_entry_counts_in_the_trimming_of_its_own_commit() {
    with_stream(|access| {
        add(access, (1..=4).map(id));
        let mut buffer = Vec::new();
        let fields = Fields::encode(["task", "mail"], &mut buffer);
        let added = |stream: &Stream, entries| {
            stream.entry_added(
                id(5),
                fields,
                NodeLimits {
                    bytes: 4096,
                    entries,
                },
            )
        };
        let trim = |keep, approximate| Trim {
            by: TrimBy::MaxLen(keep),
            approximate,
            limit: None,
        };
        look(access, |stream| {
            for (entries, keep, approximate, expected) in [
                (4, 5, false, 0),
                (4, 4, false, 1),
                (4, 0, false, 5),
                (4, 4, true, 0),
                (4, 1, true, 4),
                (4, 0, true, 5),
                (5, 1, true, 0),
                (5, 0, true, 5),
            ] {
                let added = added(stream, entries);
                let point = stream.trim_point_after(&added, &trim(keep, approximate));
                let point = point.unwrap();
                assert_eq!(
                    point.map_or(0, |point| point.removed),
                    expected,
                    "{keep} of {added:?}"
                );
            }
        });
        let added = look(access, |stream| added(stream, 4));
        commit(access, &[added, Change::Trimmed { through: id(5) }]);
        look(access, |stream| {
            assert_eq!((stream.len(), stream.nodes()), (0, 0));
            assert_eq!(
                (stream.last_id(), stream.first_id()),
                (id(5), StreamId::MIN)
            );
            assert_eq!(stream.entries_added(), 5);
        });
    });
}

#[test]
fn deleted_entries_leave_their_neighbours_in_place() {
    with_stream(|access| {
        add(access, (1..=10).map(id));
        let gone = [5, 6, 7, 8, 1, 10, 77].map(id);
        commit(
            access,
            &[Change::EntriesDeleted {
                ids: Ids::from(&gone),
            }],
        );
        look(access, |stream| {
            assert_eq!(ids(stream), [2, 3, 4, 9]);
            // The node of 5 to 8 is gone, those of its neighbours are not.
            assert_eq!(stream.nodes(), 2);
            assert_eq!((stream.first_id(), stream.last_id()), (id(2), id(10)));
            assert_eq!(stream.max_deleted(), id(10));
            assert_eq!(stream.get(id(5)).unwrap(), None);
            assert_eq!(stream.get(id(9)).unwrap(), stream.last_entry().unwrap());
            assert_eq!(range(stream, id(4), id(9)).len(), 2);
            assert_eq!(range(stream, id(9), id(4)).len(), 0);
            let after = |id| stream.entries_after(id, 1).unwrap().first().copied();
            assert_eq!(after(id(4)), stream.last_entry().unwrap());
            assert_eq!(after(StreamId::MAX), None);
        });
        // The place of 10 is still taken in its node, which has room for one more.
        add(access, [id(11), id(12)]);
        assert_eq!(look(access, |stream| stream.nodes()), 2);
        add(access, [id(13)]);
        assert_eq!(look(access, |stream| stream.nodes()), 3);
    });
}

const GROUP: &[u8] = b"workers";
const ANN: &[u8] = b"ann";
const BOB: &[u8] = b"bob";

fn with_group(f: impl FnOnce(&mut Access<'_>)) {
    with_stream(|access| {
        add(access, (1..=4).map(id));
        let created = |consumer| Change::ConsumerCreated {
            group: GROUP,
            consumer,
            at: 1,
        };
        let group = Change::GroupCreated {
            group: GROUP,
            last_delivered: StreamId::MIN,
            entries_read: Some(0),
        };
        commit(access, &[group, created(BOB), created(ANN)]);
        f(access);
    });
}

fn delivered(consumer: &'static [u8], last: usize, count: usize) -> Change<'static> {
    const IDS: [StreamId; 4] = [id(1), id(2), id(3), id(4)];
    Change::Delivered {
        group: GROUP,
        consumer,
        at: 100,
        pending: true,
        ids: Ids::from(&IDS[last - count..last]),
    }
}

/// ID, consumer, time and number of deliveries of what is pending.
fn pending(stream: &Stream) -> Vec<(u64, String, u64, u64)> {
    let group = stream.group(GROUP).expect("it has been created");
    let all = group.pending().range(StreamId::MIN..=StreamId::MAX);
    all.map(|entry| {
        let name = String::from_utf8_lossy(group.consumer_name(entry.consumer)).into_owned();
        (entry.id.ms, name, entry.delivered_at, entry.deliveries)
    })
    .collect()
}

fn row(id: u64, consumer: &str, at: u64, deliveries: u64) -> (u64, String, u64, u64) {
    (id, consumer.to_owned(), at, deliveries)
}

#[test]
fn what_is_delivered_again_belongs_to_the_last_who_got_it() {
    with_group(|access| {
        commit(access, &[delivered(ANN, 3, 3)]);
        let back = Change::GroupPositioned {
            group: GROUP,
            last_delivered: id(1),
            entries_read: None,
        };
        commit(access, &[back, delivered(BOB, 2, 1)]);
        look(access, |stream| {
            let expected = [
                row(1, "ann", 100, 1),
                row(2, "bob", 100, 1),
                row(3, "ann", 100, 1),
            ];
            assert_eq!(pending(stream), expected);
            let group = stream.group(GROUP).expect("it is there");
            assert_eq!(group.last_delivered(), id(2));
            let counts = group.consumers().map(|c| (c.name().to_vec(), c.pending()));
            assert_eq!(
                counts.collect::<Vec<_>>(),
                [(ANN.to_vec(), 2), (BOB.to_vec(), 1)]
            );
        });
    });
}

#[test]
fn entries_that_need_no_acknowledgement_only_move_the_group() {
    with_group(|access| {
        let Change::Delivered {
            group,
            consumer,
            ids,
            at,
            ..
        } = delivered(ANN, 3, 3)
        else {
            unreachable!("it is a delivery");
        };
        commit(
            access,
            &[Change::Delivered {
                group,
                consumer,
                ids,
                at,
                pending: false,
            }],
        );
        look(access, |stream| {
            let group = stream.group(GROUP).expect("it is there");
            assert_eq!(
                (group.last_delivered(), group.entries_read()),
                (id(3), Some(3))
            );
            assert!(group.pending().is_empty());
            assert_eq!(group.consumer(ANN).expect("it is there").active_at(), None);
            assert_eq!(stream.lag(group), Some(1));
        });
    });
}

#[test]
fn a_second_reading_counts_for_entries_that_are_there() {
    with_group(|access| {
        commit(access, &[delivered(ANN, 4, 4)]);
        commit(
            access,
            &[Change::EntriesDeleted {
                ids: Ids::from(&[id(2)]),
            }],
        );
        let there = [id(1), id(3)];
        let again = Change::Redelivered {
            group: GROUP,
            consumer: ANN,
            at: 200,
            ids: Ids::from(&there),
        };
        commit(access, &[again]);
        look(access, |stream| {
            let expected = [
                row(1, "ann", 200, 2),
                row(2, "ann", 100, 1),
                row(3, "ann", 200, 2),
                row(4, "ann", 100, 1),
            ];
            assert_eq!(pending(stream), expected);
        });
    });
}

#[test]
fn claims_take_from_others_and_from_nobody() {
    with_group(|access| {
        commit(access, &[delivered(ANN, 2, 2)]);
        let claims = [(1, 7), (4, 1)].map(|(ms, deliveries)| Claim {
            id: id(ms),
            deliveries,
        });
        let claimed = Change::Claimed {
            group: GROUP,
            consumer: BOB,
            delivered_at: 50,
            at: 300,
            entries: Claims::from(&claims),
        };
        commit(access, &[claimed]);
        look(access, |stream| {
            let expected = [
                row(1, "bob", 50, 7),
                row(2, "ann", 100, 1),
                row(4, "bob", 50, 1),
            ];
            assert_eq!(pending(stream), expected);
            let group = stream.group(GROUP).expect("it is there");
            assert_eq!(
                group.consumer(BOB).expect("it is there").active_at(),
                Some(300)
            );
        });
        let acked = [4, 1, 3].map(id);
        commit(
            access,
            &[Change::Acked {
                group: GROUP,
                ids: Ids::from(&acked),
            }],
        );
        look(access, |stream| {
            assert_eq!(pending(stream), [row(2, "ann", 100, 1)]);
            let group = stream.group(GROUP).expect("it is there");
            assert_eq!(group.consumer(BOB).expect("it is there").pending(), 0);
        });
    });
}

#[test]
fn a_consumer_takes_what_is_pending_for_it_along_and_leaves_its_number() {
    with_group(|access| {
        commit(access, &[delivered(BOB, 2, 2), delivered(ANN, 4, 2)]);
        let number = |name| {
            look(access, |stream| {
                let group = stream.group(GROUP).expect("it is there");
                group.consumer(name).expect("it is there").number()
            })
        };
        let bob = number(BOB);
        commit(
            access,
            &[Change::ConsumerDeleted {
                group: GROUP,
                consumer: BOB,
            }],
        );
        look(access, |stream| {
            assert_eq!(
                pending(stream),
                [row(3, "ann", 100, 1), row(4, "ann", 100, 1)]
            );
        });
        let eve = Change::ConsumerCreated {
            group: GROUP,
            consumer: b"eve",
            at: 2,
        };
        commit(access, &[eve]);
        assert_eq!(number(b"eve"), bob);
        look(access, |stream| {
            let group = stream.group(GROUP).expect("it is there");
            assert_eq!(group.consumer(b"eve").expect("it is there").pending(), 0);
            let all = StreamId::MIN..=StreamId::MAX;
            assert_eq!(group.pending().select(all, Some(bob), u64::MAX).count(), 0);
        });
    });
}
