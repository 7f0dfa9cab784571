//! Stores that settle and take checkpoints; and checkpoints that say what cannot be.

use std::path::Path;
use std::sync::Arc;

use super::{DIR, FIELDS, Told, path, told};
use crate::check::Severity;
use crate::checkpoint::{self, Beginning, Ending, Load, StreamItem, Written};
use crate::data::{Loaded, Missing};
use crate::disk::{Disk, SimDisk};
use crate::error::{CommitError, Malformed};
use crate::history::HistoryId;
use crate::id::{StreamId, StreamNo};
use crate::log::{LogOptions, Opening};
use crate::lsn::Lsn;
use crate::record::{Change, Ids};
use crate::store::{Budgets, Store, StoreOptions};

/// Opens a store that settles whatever lies further back in the log than `settle_after` bytes.
pub(crate) fn open(disk: &SimDisk, settle_after: u64) -> Arc<Store> {
    let options = StoreOptions {
        log: LogOptions {
            segment_bytes: 8192,
            reserve_bytes: 0,
            ..LogOptions::default()
        },
        budgets: Budgets {
            settle_after,
            checkpoint_after: 0,
        },
        role: Opening::Lead(HistoryId::new([1; HistoryId::BYTES])),
        ..StoreOptions::default()
    };
    Store::open(Arc::new(disk.clone()), Path::new(DIR), options).unwrap()
}

/// Adds entries to a stream, beginning with `first`.
pub(crate) fn add(store: &Store, key: &[u8], first: u64, count: u64) {
    let mut access = store.alone();
    if !access.exists(0, key, 0) {
        access.create(0, key, 0).unwrap();
    }
    let mut stream = access.stream(0, key, 0).unwrap();
    for ms in first..first + count {
        let id = StreamId::new(ms, 0);
        let added = stream.entry_added(id, FIELDS, crate::NodeLimits::default());
        stream.commit(&[added]).unwrap();
    }
    store.log().sync().unwrap();
}

/// Deletes an entry that may have been settled.
fn delete(store: &Store, key: &[u8], ms: u64) {
    let ids = [StreamId::new(ms, 0)];
    let deleted = Change::EntriesDeleted {
        ids: Ids::from(&ids),
    };
    let mut loaded = Loaded::default();
    loop {
        let access = store.shared();
        access.pin(loaded);
        let mut stream = access.stream(0, key, 0).unwrap();
        match stream.commit(&[deleted]) {
            Err(CommitError::Missing(Missing::Cold(cold))) => {
                drop(stream);
                drop(access);
                loaded = store.load(&cold).unwrap();
            }
            committed => return committed.unwrap(),
        }
    }
}

#[test]
fn a_store_that_settles_is_whole_at_every_moment() {
    let disk = SimDisk::new();
    let store = open(&disk, 3000);
    let whole = |what: &str| {
        let told = told(&disk.after_kill());
        assert_eq!(told.lines(), [""; 0], "{what}");
        told.summary.totals
    };
    let mut settled = 0;
    for round in 0..6 {
        for key in [b"a", b"b"] {
            add(&store, key, 1 + round * 100, 100);
        }
        whole("before a round");
        store.round().unwrap();
        let totals = whole("after a round");
        settled = settled.max(totals.entries);
        assert_eq!((totals.checkpoints, totals.streams), (1, 2));
        delete(&store, b"a", 1 + round * 100 + 90);
    }
    assert!(settled > 500, "{settled}");
    store.close().unwrap();
    whole("after the end");
    drop(store);
    let dump = open(&disk, 3000).dump().unwrap();
    assert!(dump.contains("len 594"), "{dump}");
}

/// The parts of a checkpoint, to be changed.
struct Parts {
    beginning: Beginning,
    ending: Ending,
    items: Vec<Item>,
}

/// One stream of it.
#[derive(Clone)]
struct Item {
    number: StreamNo,
    key: Vec<u8>,
    changed: Lsn,
    image: Vec<u8>,
}

impl Load for Vec<Item> {
    fn stream(&mut self, item: &StreamItem<'_>) -> Result<(), Malformed> {
        self.push(Item {
            number: item.number,
            key: item.key.to_owned(),
            changed: item.changed,
            image: item.image.to_owned(),
        });
        Ok(())
    }

    fn end(&mut self, _: &Ending) -> Result<(), Malformed> {
        Ok(())
    }
}

/// The newest checkpoint.
fn parts(disk: &SimDisk) -> (Written, Parts) {
    let loaded = checkpoint::load(disk, &path("checkpoint"), |_| Ok(Vec::new()));
    let checkpoint::Loaded {
        written,
        beginning,
        ending,
        content: items,
    } = loaded.unwrap().unwrap();
    let parts = Parts {
        beginning,
        ending,
        items,
    };
    (written, parts)
}

/// A store with settled entries and others, whose checkpoint was replaced by one that is different.
fn forged(forge: impl Fn(&mut Parts)) -> Told {
    let disk = SimDisk::new();
    let store = open(&disk, 3000);
    for key in [b"a", b"b"] {
        add(&store, key, 1, 100);
    }
    store.round().unwrap();
    add(&store, b"a", 900, 5);
    store.close().unwrap();
    drop(store);
    assert_eq!(told(&disk).lines(), [""; 0]);
    replace(&disk, forge);
    told(&disk)
}

/// Puts a changed copy of the checkpoint into its place.
fn replace(disk: &SimDisk, forge: impl Fn(&mut Parts)) {
    let dir = path("checkpoint");
    let (written, mut parts) = parts(disk);
    forge(&mut parts);
    disk.remove(&checkpoint::path(&dir, written.number))
        .unwrap();
    let shared = Arc::new(disk.clone());
    let writer = checkpoint::Writer::begin(shared, &dir, written.number, &parts.beginning);
    let mut writer = writer.unwrap();
    for item in &parts.items {
        let item = StreamItem {
            number: item.number,
            place: 0,
            key: &item.key,
            expires_at: None,
            changed: item.changed,
            image: &item.image,
        };
        writer.stream(&item).unwrap();
    }
    writer.finish(&parts.ending).unwrap();
}

#[test]
fn a_checkpoint_that_says_what_cannot_be_is_damage() {
    let file = "/db/checkpoint/00000000000000000001.ckpt";
    let check = |forge: fn(&mut Parts), expected: &str| {
        let found = forged(forge);
        let expected = expected.replace("FILE", file);
        assert_eq!(found.lines(), [expected]);
    };
    check(
        |parts| parts.items[0].image.truncate(20),
        "damage FILE: stream 1: bytes that are cut off",
    );
    check(
        |parts| parts.items[1].changed = Lsn::new(1 << 40),
        "damage FILE: stream 2: it has seen more of the log than the checkpoint",
    );
    check(
        |parts| parts.items.swap(0, 1),
        "damage FILE: stream 1: streams that are not in the order of their numbers",
    );
    check(
        |parts| parts.ending.streams = 3,
        "damage the checkpoint FILE cannot be used: at byte 0: not as many streams as there \
         should be",
    );
    check(
        |parts| parts.beginning.files[0].number += 50,
        "damage the checkpoint FILE cannot be used: at byte 0: it names a data file of the future",
    );
    check(
        |parts| parts.ending.keep = Lsn::new(1 << 40),
        "damage the checkpoint FILE cannot be used: at byte 0: it keeps less of the log than it \
         replays",
    );
}

#[test]
fn a_checkpoint_of_another_store_is_damage_although_every_byte_is_right() {
    let of = |first: u64| {
        let disk = SimDisk::new();
        let store = open(&disk, 0);
        add(&store, b"a", first, 100);
        store.round().unwrap();
        store.close().unwrap();
        disk
    };
    let (one, other) = (of(1), of(2));
    replace(&one, |mine| mine.items = parts(&other).1.items);
    let found = told(&one);
    assert_eq!(found.summary.worst, Some(Severity::Damage));
    let expected = "stream 1: it has an extent that its data file does not have";
    assert!(found.lines()[0].ends_with(expected), "{:?}", found.lines());

    // Without settled entries, what they have is looked for in the log.
    let of = |key: &[u8], first| {
        let disk = SimDisk::new();
        let store = open(&disk, 1 << 20);
        add(&store, key, first, 50);
        store.round().unwrap();
        store.close().unwrap();
        disk
    };
    let (one, other) = (of(b"a", 1), of(b"a", 2));
    replace(&one, |mine| mine.items = parts(&other).1.items);
    let found = told(&one);
    let expected = "50 of the entries that it says are in the log are not there, the first at LSN";
    assert!(found.lines()[0].contains(expected), "{:?}", found.lines());
}
