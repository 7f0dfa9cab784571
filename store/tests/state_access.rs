//! What an access knows about keys, and what it notes.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use headwater_store::disk::{Loss, SimDisk};
use headwater_store::error::{AppendError, CommitError, OpenError};
use headwater_store::history::HistoryId;
use headwater_store::log::{Growth, Log, LogOptions, Opening};
use headwater_store::lsn::Lsn;
use headwater_store::{
    Access, Change, EventKind, Fields, IdRule, NodeLimits, Order, Store, StoreOptions, StreamId,
};

const NOW: u64 = 1000;

const LEAD: Opening = Opening::Lead(HistoryId::new([1; HistoryId::BYTES]));

fn open(disk: &SimDisk) -> Arc<Store> {
    let log = LogOptions {
        segment_bytes: 64 << 10,
        reserve_bytes: 4 << 10,
        ..LogOptions::default()
    };
    let store = Store::open(
        Arc::new(disk.clone()),
        Path::new("/store"),
        StoreOptions {
            log,
            role: LEAD,
            ..StoreOptions::default()
        },
    );
    store.expect("the disk works")
}

fn new_store() -> Arc<Store> {
    open(&SimDisk::new())
}

fn create(access: &mut Access<'_>, keys: &[&str]) {
    for key in keys {
        access
            .create(0, key.as_bytes(), NOW)
            .expect("there is room");
    }
}

fn add(access: &Access<'_>, key: &str, value: &str) -> StreamId {
    let mut buffer = Vec::new();
    let fields = Fields::encode(["task", value], &mut buffer);
    let mut stream = access.stream(0, key.as_bytes(), NOW).expect("it is there");
    let id = stream
        .next_id(IdRule::Auto, NOW)
        .expect("there are IDs left");
    let added = stream.entry_added(id, fields, NodeLimits::default());
    stream.commit(&[added]).expect("there is room");
    id
}

/// The values of all entries of a stream.
fn values(access: &Access<'_>, key: &str) -> Vec<String> {
    let stream = access.stream(0, key.as_bytes(), NOW).expect("it is there");
    let value = |entry| {
        access.fields(&entry, |fields| {
            let value = fields.iter().nth(1).expect("there is a value");
            String::from_utf8_lossy(value).into_owned()
        })
    };
    let entries = stream.entries(StreamId::MIN, StreamId::MAX, Order::Forward, usize::MAX);
    let entries = entries.expect("nothing is settled");
    entries.into_iter().map(value).collect()
}

fn keys(access: &Access<'_>, db: u8, now: u64) -> Vec<String> {
    let keys = access.keys(db, now);
    keys.map(|key| String::from_utf8_lossy(key).into_owned())
        .collect()
}

#[test]
fn a_reply_depends_on_what_was_looked_at() {
    let store = new_store();
    let mut access = store.alone();
    create(&mut access, &["jobs", "idle"]);
    let created = store.log().appended();
    assert_eq!(access.take_depends_on(), created);
    assert_eq!(access.take_depends_on(), Lsn::ZERO);
    add(&access, "jobs", "mail");
    let added = store.log().appended();
    assert_eq!(access.take_depends_on(), added);
    drop(access);

    let mut access = store.shared();
    drop(access.stream(0, b"idle", NOW));
    assert_eq!(access.take_depends_on(), created);
    drop(access.stream(0, b"jobs", NOW));
    assert_eq!(access.take_depends_on(), added);
    // That a key is not there depends on whoever removed it.
    assert!(access.stream(0, b"none", NOW).is_none());
    assert_eq!(access.take_depends_on(), created);
    drop(access);

    let mut access = store.alone();
    access.swap(0, 1).expect("there is room");
    let swapped = access.take_depends_on();
    assert_eq!(swapped, store.log().appended());
    drop(access.stream(1, b"idle", NOW));
    assert_eq!(access.take_depends_on(), swapped);
    // Who counts for those who watch waits for nothing.
    let _ = access.census(0);
    assert_eq!(access.take_depends_on(), Lsn::ZERO);
    access
        .set_expiry(1, b"jobs", Some(NOW + 1), NOW)
        .expect("there is room");
    let expires = access.take_depends_on();
    for look in [NOW, NOW + 1] {
        drop(access.stream(1, b"jobs", look));
        assert_eq!(access.take_depends_on(), expires);
    }
}

#[test]
fn keys_can_be_looked_at_while_a_stream_is_locked() {
    let store = new_store();
    create(&mut store.alone(), &["jobs"]);
    let access = store.shared();
    let stream = access.stream(0, b"jobs", NOW);
    assert!(stream.is_some());
    assert!(access.exists(0, b"jobs", NOW));
    assert_eq!(access.scan(0, 0, 9, NOW), (0, vec![&b"jobs"[..]]));
}

#[test]
fn expired_streams_are_gone_before_they_are_removed() {
    let store = new_store();
    let mut access = store.alone();
    create(&mut access, &["a", "b", "c"]);
    for (key, at) in [(b"a", 2000), (b"b", 3000), (b"b", 2001)] {
        assert!(
            access
                .set_expiry(0, key, Some(at), NOW)
                .expect("there is room")
        );
    }
    assert_eq!(
        (access.census(0), access.next_expiry()),
        ((3, 2), Some(2000))
    );
    assert_eq!(access.expires_at(0, b"b", NOW), Some(Some(2001)));
    assert_eq!(access.expires_at(0, b"c", NOW), Some(None));
    assert!(access.exists(0, b"a", 1999));
    assert!(!access.exists(0, b"a", 2000));
    assert!(access.stream(0, b"a", 2000).is_none());
    assert_eq!(keys(&access, 0, 2000), ["b", "c"]);
    assert_eq!(access.scan(0, 0, 10, 2000), (0, vec![&b"b"[..], b"c"]));
    assert_eq!(access.random_key(0, 0, 2001), Some(&b"c"[..]));
    assert!(
        !access
            .set_expiry(0, b"a", None, 2000)
            .expect("there is room")
    );
    assert!(
        !access
            .move_to((0, b"a"), (0, b"z"), 2000)
            .expect("there is room")
    );
    assert!(
        !access
            .copy((0, b"a"), (0, b"z"), 2000)
            .expect("there is room")
    );
    assert_eq!(access.len(0), 3);
    // Something new may take the place at once.
    access.create(0, b"a", 2000).expect("there is room");
    assert_eq!(access.expires_at(0, b"a", 9999), Some(None));
    assert_eq!(access.remove_expired(2000, 10).expect("there is room"), 0);
    assert_eq!(access.remove_expired(2001, 10).expect("there is room"), 1);
    assert_eq!(keys(&access, 0, 0), ["c", "a"]);
    assert_eq!((access.census(0), access.next_expiry()), ((2, 0), None));
}

#[test]
fn a_scan_returns_every_key_once_while_others_come_and_go() {
    let store = new_store();
    let mut access = store.alone();
    create(&mut access, &["a", "b", "c", "d", "e"]);
    let (cursor, first) = access.scan(0, 0, 2, NOW);
    assert_eq!(first, [b"a", b"b"]);
    assert!(access.remove(0, b"a", NOW).expect("there is room"));
    assert!(
        access
            .move_to((0, b"c"), (0, b"b"), NOW)
            .expect("there is room")
    );
    create(&mut access, &["f"]);
    let (cursor, second) = access.scan(0, cursor, 2, NOW);
    assert_eq!(second, [b"b", b"d"]);
    assert!(access.remove(0, b"e", NOW).expect("there is room"));
    let (cursor, third) = access.scan(0, cursor, 2, NOW);
    assert_eq!((cursor, third), (0, vec![&b"f"[..]]));
    assert_eq!(access.scan(0, 99, 2, NOW), (0, vec![]));
}

#[test]
fn a_copy_shares_nothing_but_its_entries() {
    let store = new_store();
    let mut access = store.alone();
    create(&mut access, &["jobs", "copy"]);
    add(&access, "jobs", "one");
    access
        .set_expiry(0, b"jobs", Some(5000), NOW)
        .expect("there is room");
    assert!(
        access
            .copy((0, b"jobs"), (0, b"copy"), NOW)
            .expect("there is room")
    );
    add(&access, "jobs", "two");
    access.remove(0, b"jobs", NOW).expect("there is room");
    assert_eq!(values(&access, "copy"), ["one"]);
    assert_eq!(access.expires_at(0, b"copy", NOW), Some(Some(5000)));
    add(&access, "copy", "three");
    assert_eq!(values(&access, "copy"), ["one", "three"]);
}

#[test]
fn watch_sees_changes_of_entries_keys_and_expiry_and_no_others() {
    let store = new_store();
    let mut access = store.alone();
    let version = |access: &Access<'_>| {
        let stream = access.stream(0, b"jobs", NOW);
        stream.map(|stream| (stream.number(), stream.version()))
    };
    let mut seen = vec![version(&access)];
    let mut note = |access: &Access<'_>, changes: bool| {
        let version = version(access);
        assert_eq!(
            !seen.contains(&version),
            changes,
            "{seen:?} and {version:?}"
        );
        seen.push(version);
    };
    create(&mut access, &["jobs"]);
    note(&access, true);
    add(&access, "jobs", "mail");
    note(&access, true);
    let commit = |access: &Access<'_>, change| {
        let mut stream = access.stream(0, b"jobs", NOW).expect("it is there");
        stream.commit(&[change]).expect("there is room");
    };
    let group: &[u8] = b"workers";
    let (last_delivered, entries_read) = (StreamId::MIN, None);
    commit(
        &access,
        Change::GroupCreated {
            group,
            last_delivered,
            entries_read,
        },
    );
    commit(
        &access,
        Change::ConsumerCreated {
            group,
            consumer: b"ann",
            at: 1,
        },
    );
    commit(&access, Change::GroupDestroyed { group });
    note(&access, false);
    let last_id = StreamId::new(NOW, 0);
    let gone = [last_id];
    commit(
        &access,
        Change::EntriesDeleted {
            ids: (&gone).into(),
        },
    );
    note(&access, true);
    let max_deleted = StreamId::MIN;
    commit(
        &access,
        Change::Positioned {
            last_id,
            entries_added: 9,
            max_deleted,
        },
    );
    note(&access, false);
    add(&access, "jobs", "mail");
    note(&access, true);
    commit(
        &access,
        Change::Trimmed {
            through: StreamId::MAX,
        },
    );
    note(&access, true);
    access
        .set_expiry(0, b"jobs", Some(9999), NOW)
        .expect("there is room");
    note(&access, true);
    access
        .move_to((0, b"jobs"), (0, b"other"), NOW)
        .expect("there is room");
    access
        .move_to((0, b"other"), (0, b"jobs"), NOW)
        .expect("there is room");
    note(&access, true);
    access.remove(0, b"jobs", NOW).expect("there is room");
    create(&mut access, &["jobs"]);
    note(&access, true);
}

#[test]
fn events_tell_those_who_wait_what_became_of_their_keys() {
    use EventKind::{Appeared, Appended, GroupDestroyed, Removed};
    let store = new_store();
    let mut access = store.alone();
    let take = |access: &mut Access<'_>| {
        let events = access.take_events().into_iter();
        events
            .map(|event| {
                (
                    event.db,
                    String::from_utf8_lossy(&event.key).into_owned(),
                    event.kind,
                )
            })
            .collect::<Vec<_>>()
    };
    let event = |db, key: &str, kind| (db, key.to_owned(), kind);
    create(&mut access, &["a", "b"]);
    assert_eq!(take(&mut access), []);
    store.watch_keys(true);
    create(&mut access, &["c"]);
    assert_eq!(take(&mut access), [event(0, "c", Appeared)]);
    add(&access, "a", "mail");
    let group: &[u8] = b"workers";
    let (last_delivered, entries_read) = (StreamId::MIN, None);
    let mut stream = access.stream(0, b"a", NOW).expect("it is there");
    let created = Change::GroupCreated {
        group,
        last_delivered,
        entries_read,
    };
    stream
        .commit(&[created, Change::GroupDestroyed { group }])
        .expect("there is room");
    drop(stream);
    assert_eq!(
        take(&mut access),
        [event(0, "a", Appended), event(0, "a", GroupDestroyed)]
    );
    access
        .move_to((0, b"a"), (1, b"b"), NOW)
        .expect("there is room");
    assert_eq!(
        take(&mut access),
        [event(0, "a", Removed), event(1, "b", Appeared)]
    );
    access
        .copy((1, b"b"), (0, b"c"), NOW)
        .expect("there is room");
    assert_eq!(
        take(&mut access),
        [event(0, "c", Removed), event(0, "c", Appeared)]
    );
    access.flush(Some(1)).expect("there is room");
    assert_eq!(take(&mut access), [event(1, "b", Removed)]);
    access
        .set_expiry(0, b"c", Some(NOW + 1), NOW)
        .expect("there is room");
    assert_eq!(take(&mut access), []);
    access.remove_expired(NOW + 1, 1).expect("there is room");
    assert_eq!(take(&mut access), [event(0, "c", Removed)]);
    access.swap(0, 7).expect("there is room");
    assert_eq!(
        take(&mut access),
        [event(0, "b", Removed), event(7, "b", Appeared)]
    );
    store.watch_keys(false);
    access.flush(None).expect("there is room");
    assert_eq!(take(&mut access), []);
}

#[test]
fn no_stream_appears_or_vanishes_without_an_event() {
    type Change = fn(&mut Access<'_>) -> Result<(), AppendError>;
    let changes: [(&str, Change); 14] = [
        ("create", |access| access.create(0, b"new", NOW)),
        ("create over an expired one", |access| {
            access.create(0, b"old", NOW)
        }),
        ("remove", |access| access.remove(0, b"a", NOW).map(drop)),
        ("remove an expired one", |access| {
            access.remove(0, b"old", NOW).map(drop)
        }),
        ("remove several", |access| {
            let keys: [&[u8]; 4] = [b"a", b"none", b"b", b"a"];
            assert_eq!(access.remove_all(0, keys, NOW)?, 2);
            Ok(())
        }),
        ("remove those that expire", |access| {
            access.remove_expired(NOW, 9).map(drop)
        }),
        ("move", |access| {
            access.move_to((0, b"a"), (1, b"new"), NOW).map(drop)
        }),
        ("move over another", |access| {
            access.move_to((0, b"a"), (0, b"b"), NOW).map(drop)
        }),
        ("copy", |access| {
            access.copy((0, b"a"), (0, b"new"), NOW).map(drop)
        }),
        ("copy over another", |access| {
            access.copy((0, b"a"), (1, b"a"), NOW).map(drop)
        }),
        ("flush", |access| access.flush(Some(0))),
        ("flush all", |access| access.flush(None)),
        ("swap", |access| access.swap(0, 1)),
        ("swap with an empty one", |access| access.swap(5, 0)),
    ];
    for (name, change) in changes {
        let store = new_store();
        let mut access = store.alone();
        create(&mut access, &["a", "b", "old"]);
        access.create(1, b"a", NOW).expect("there is room");
        access.create(1, b"c", NOW).expect("there is room");
        access
            .set_expiry(0, b"old", Some(NOW), 0)
            .expect("there is room");
        store.watch_keys(true);
        let streams = |access: &Access<'_>| {
            let keys = (0..8).flat_map(|db| access.keys(db, 0).map(move |key| (db, key)));
            keys.map(|(db, key)| {
                let stream = access.stream(db, key, 0).expect("it is there");
                ((db, key.to_vec()), stream.number())
            })
            .collect::<BTreeMap<_, _>>()
        };
        let before = streams(&access);
        change(&mut access).expect("there is room");
        let after = streams(&access);
        assert_ne!(before, after, "{name}");
        let events = access.take_events();
        for place in before.keys().chain(after.keys()) {
            let last = events
                .iter()
                .rfind(|event| event.db == place.0 && *event.key == *place.1);
            let expected = match (before.get(place), after.get(place)) {
                (before, after) if before == after => None,
                (_, Some(_)) => Some(EventKind::Appeared),
                (_, None) => Some(EventKind::Removed),
            };
            // A swap tells of both, in either order: whoever waits looks again.
            match expected {
                Some(_) if name.starts_with("swap") => assert!(last.is_some(), "{name}: {place:?}"),
                expected => assert_eq!(last.map(|event| event.kind), expected, "{name}: {place:?}"),
            }
        }
    }
}

#[test]
fn a_batch_is_read_while_it_is_open_and_kept_or_lost_as_a_whole() {
    let disk = SimDisk::new();
    let store = open(&disk);
    let mut access = store.alone();
    create(&mut access, &["jobs"]);
    add(&access, "jobs", "before");
    store.log().sync().expect("the disk works");
    access
        .begin_batch(Growth::Adds, 1000)
        .expect("there is room");
    add(&access, "jobs", "one");
    access
        .begin_batch(Growth::Adds, 1000)
        .expect("there is room");
    create(&mut access, &["more"]);
    add(&access, "more", "two");
    access.end_batch();
    assert_eq!(values(&access, "jobs"), ["before", "one"]);
    assert_eq!(values(&access, "more"), ["two"]);
    access.end_batch();
    assert_eq!(values(&access, "jobs"), ["before", "one"]);

    let lost = open(&disk.after_crash(Loss::All));
    assert_eq!(values(&lost.shared(), "jobs"), ["before"]);
    store.log().sync().expect("the disk works");
    let kept = open(&disk.after_crash(Loss::All));
    assert_eq!(values(&kept.shared(), "jobs"), ["before", "one"]);
    assert_eq!(values(&kept.shared(), "more"), ["two"]);
}

#[test]
fn what_the_log_refuses_has_not_happened() {
    let disk = SimDisk::new();
    let store = open(&disk);
    let mut access = store.alone();
    create(&mut access, &["jobs"]);
    disk.set_capacity(Some(disk.allocated()));
    let large = "x".repeat(1000);
    let mut buffer = Vec::new();
    let fields = Fields::encode(["task", &large], &mut buffer);
    let refused = loop {
        let mut stream = access.stream(0, b"jobs", NOW).expect("it is there");
        let id = stream
            .next_id(IdRule::Auto, NOW)
            .expect("there are IDs left");
        let added = stream.entry_added(id, fields, NodeLimits::default());
        let before = stream.len();
        if let Err(refused) = stream.commit(&[added]) {
            assert_eq!(stream.len(), before);
            break refused;
        }
    };
    let full = matches!(refused, CommitError::Append(AppendError::Full { .. }));
    assert!(full, "{refused}");
    let before = store.log().appended();
    assert_eq!(before, access.take_depends_on());
    // What frees data goes on.
    let mut stream = access.stream(0, b"jobs", NOW).expect("it is there");
    stream
        .commit(&[Change::Trimmed {
            through: StreamId::MAX,
        }])
        .expect("there is a reserve");
    drop(stream);
    assert!(access.remove(0, b"jobs", NOW).expect("there is a reserve"));
}

#[test]
fn a_record_that_is_not_understood_stops_the_start() {
    for body in [&b"\x7f\x01"[..], b"\x21", b"\x25\x00more"] {
        let disk = SimDisk::new();
        let arc = Arc::new(disk.clone());
        let dir = Path::new("/store");
        let log = Log::open(
            arc,
            &dir.join("log"),
            LogOptions {
                role: LEAD,
                ..LogOptions::default()
            },
            &mut |_, _, _| Ok(()),
        );
        let log = log.expect("the disk works");
        let mut appender = log.append(Growth::Adds, 100).expect("there is room");
        appender.push(|out| out.extend_from_slice(body));
        drop(appender);
        log.close().expect("the disk works");
        drop(log);
        let opened = Store::open(Arc::new(disk), dir, StoreOptions::default());
        assert!(
            matches!(opened, Err(OpenError::Malformed { .. })),
            "{body:?}"
        );
    }
}

#[test]
fn shared_access_works_side_by_side() {
    let store = new_store();
    create(&mut store.alone(), &["a", "b"]);
    let worker = |key: &'static str| {
        let store = Arc::clone(&store);
        move || {
            for number in 0..500 {
                add(&store.shared(), key, &number.to_string());
            }
        }
    };
    std::thread::scope(|scope| {
        for key in ["a", "b", "a", "b"] {
            scope.spawn(worker(key));
        }
    });
    let access = store.shared();
    for key in ["a", "b"] {
        assert_eq!(values(&access, key).len(), 1000);
    }
}

#[test]
fn a_batch_on_a_full_disk_goes_on_without_the_commit_that_found_no_room() {
    let disk = SimDisk::new();
    let store = open(&disk);
    let mut access = store.alone();
    create(&mut access, &["jobs"]);
    disk.set_capacity(Some(disk.allocated()));
    access
        .begin_batch(Growth::Frees, 10)
        .expect("there is room");
    add(&access, "jobs", "one");
    {
        let long = "x".repeat(200_000);
        let mut buffer = Vec::new();
        let fields = Fields::encode(["task", long.as_str()], &mut buffer);
        let mut stream = access.stream(0, b"jobs", NOW).expect("it is there");
        let id = stream
            .next_id(IdRule::Auto, NOW)
            .expect("there are IDs left");
        let added = stream.entry_added(id, fields, NodeLimits::default());
        let refused = stream.commit(&[added]);
        let full = matches!(refused, Err(CommitError::Append(AppendError::Full { .. })));
        assert!(full);
        assert_eq!(stream.len(), 1, "what was refused has not happened");
    }
    add(&access, "jobs", "two");
    access.end_batch();
    drop(access);
    assert!(store.log().poisoned().is_none());
    store.log().sync().expect("the disk works");
    let again = open(&disk.after_kill());
    assert_eq!(values(&again.shared(), "jobs"), ["one", "two"]);
}
