//! Rounds of upkeep: nothing that can be seen changes, and what is not needed goes.

#![expect(clippy::unwrap_used, reason = "the helpers of tests are tests, too")]

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use headwater_store::disk::{Disk, Loss, SimDisk};
use headwater_store::log::{LogOptions, Opening};
use headwater_store::{
    Budgets, Change, CommitError, Fields, HistoryId, IdRule, Ids, Loaded, Missing, NodeLimits,
    Store, StoreOptions, StreamId, StreamMut, Trim, TrimBy,
};

fn options() -> StoreOptions {
    StoreOptions {
        log: LogOptions {
            segment_bytes: 64 << 10,
            reserve_bytes: 4 << 10,
            ..LogOptions::default()
        },
        budgets: Budgets {
            settle_after: 0,
            checkpoint_after: 0,
        },
        role: Opening::Lead(HistoryId::new([1; HistoryId::BYTES])),
        ..StoreOptions::default()
    }
}

fn open(disk: &SimDisk) -> Arc<Store> {
    Store::open(Arc::new(disk.clone()), Path::new("/store"), options()).unwrap()
}

/// Adds `count` entries of `bytes` bytes to each of some streams.
fn add(store: &Store, keys: &[&[u8]], count: u64, bytes: usize) {
    for at in 0..count {
        for key in keys {
            let mut access = store.alone();
            if !access.exists(0, key, 0) {
                access.create(0, key, 0).unwrap();
            }
            let mut buffer = Vec::new();
            let value = vec![b'a' + u8::try_from(at % 26).unwrap(); bytes];
            let fields = Fields::encode([&b"field"[..], &value], &mut buffer);
            let mut stream = access.stream(0, key, 0).unwrap();
            let id = stream.next_id(IdRule::Auto, 1).unwrap();
            let added = stream.entry_added(id, fields, NodeLimits::default());
            stream.commit(&[added]).unwrap();
        }
    }
    store.log().sync().unwrap();
}

/// Does something with a stream, loading what is missing.
fn with<R>(
    store: &Store,
    key: &[u8],
    mut act: impl FnMut(&mut StreamMut<'_>) -> Result<R, CommitError>,
) -> Option<R> {
    let mut loaded = Loaded::default();
    loop {
        let access = store.shared();
        access.pin(loaded);
        let mut stream = access.stream(0, key, 0)?;
        match act(&mut stream) {
            Ok(done) => return Some(done),
            Err(CommitError::Missing(Missing::Cold(cold))) => {
                drop(stream);
                drop(access);
                loaded = store.load(&cold).unwrap();
            }
            Err(error) => panic!("{error:?}"),
        }
    }
}

fn trim(store: &Store, key: &[u8], keep: u64) {
    let by = TrimBy::MaxLen(keep);
    let trim = Trim {
        by,
        approximate: false,
        limit: None,
    };
    with(store, key, |stream| {
        if let Some(point) = stream.trim_point(&trim)? {
            let through = point.through;
            stream.commit(&[Change::Trimmed { through }])?;
        }
        Ok(())
    });
}

#[test]
fn a_round_changes_nothing_that_can_be_seen() {
    let disk = SimDisk::new();
    let store = open(&disk);
    add(&store, &[b"a", b"b"], 3000, 100);
    let before = store.dump().unwrap();
    let round = store.round().unwrap();
    assert_eq!(round.settled_entries, 6000);
    assert!(round.freed_log_bytes > 0, "{round:?}");
    assert_eq!(store.dump().unwrap(), before);
    add(&store, &[b"b", b"c"], 100, 10);
    let before = store.dump().unwrap();
    store.round().unwrap();
    assert_eq!(store.dump().unwrap(), before);
    store.close().unwrap();
    drop(store);
    let store = open(&disk);
    assert_eq!(store.dump().unwrap(), before);
    add(&store, &[b"b", b"c"], 100, 10);
    let before = store.dump().unwrap();
    drop(store);
    let store = open(&disk.after_kill());
    assert_eq!(store.dump().unwrap(), before);
}

#[test]
fn a_round_settles_all_of_many_streams_and_of_a_node_larger_than_an_extent() {
    let disk = SimDisk::new();
    let store = open(&disk);
    let keys: Vec<Vec<u8>> = (0..200_u8).map(|key| vec![key]).collect();
    let keys: Vec<&[u8]> = keys.iter().map(|key| &key[..]).collect();
    add(&store, &keys, 2, 10);
    store.alone().create(0, b"large", 0).unwrap();
    let mut buffer = Vec::new();
    let fields = Fields::encode([&b"f"[..], b"v"], &mut buffer);
    let unlimited = NodeLimits {
        bytes: 0,
        entries: 0,
    };
    let count = 70_000;
    with(&store, b"large", |stream| {
        for ms in 1..=count {
            let added = stream.entry_added(StreamId::new(ms, 0), fields, unlimited);
            stream.commit(&[added])?;
        }
        Ok(())
    });
    store.log().sync().unwrap();
    let round = store.round().unwrap();
    assert_eq!(round.settled_entries, 400 + count);
}

#[test]
fn what_was_trimmed_leaves_the_disk() {
    let disk = SimDisk::new();
    let store = open(&disk);
    add(&store, &[b"a"], 20_000, 100);
    store.round().unwrap();
    let full = disk.allocated();
    trim(&store, b"a", 10);
    for _ in 0..3 {
        store.round().unwrap();
    }
    let left = disk.allocated();
    assert!(left < full / 4, "{left} of {full}");
    let gone = with(&store, b"a", |stream| {
        let ids = [stream.first_id(), stream.last_id()];
        let ids = Ids::from(&ids);
        stream.commit(&[Change::EntriesDeleted { ids }])?;
        Ok(stream.len())
    });
    assert_eq!(gone, Some(8));
}

/// The names in the directory of data files.
fn data_files(disk: &SimDisk) -> Vec<String> {
    disk.list(Path::new("/store/data")).unwrap()
}

#[test]
fn a_start_removes_the_data_files_that_no_checkpoint_names() {
    let disk = SimDisk::new();
    let store = open(&disk);
    add(&store, &[b"a"], 100, 100);
    store.round().unwrap();
    drop(store);
    let needed = data_files(&disk);
    for orphan in ["00000000000000000077.data", "00000000000000000078.tmp"] {
        let path = Path::new("/store/data").join(orphan);
        drop(disk.create(&path, 10).unwrap());
    }
    drop(open(&disk));
    assert_eq!(data_files(&disk), needed);
}

#[test]
fn a_number_of_a_data_file_is_not_given_again_after_a_start() {
    let disk = SimDisk::new();
    let store = open(&disk);
    add(&store, &[b"a"], 100, 100);
    store.round().unwrap();
    let first = data_files(&disk);
    assert_eq!(first.len(), 1);
    trim(&store, b"a", 0);
    store.round().unwrap();
    assert_eq!(data_files(&disk), [""; 0]);
    drop(store);
    let store = open(&disk);
    add(&store, &[b"a"], 100, 100);
    store.round().unwrap();
    let next = data_files(&disk);
    assert!(next.len() == 1 && next > first, "{next:?} after {first:?}");
}

#[test]
fn without_any_space_a_round_frees_with_that_of_a_spare() {
    let disk = SimDisk::new();
    let store = open(&disk);
    add(&store, &[b"a"], 20_000, 100);
    store.round().unwrap();
    add(&store, &[b"a"], 500, 100);
    assert!(store.log().stats().spares > 1);
    let full = disk.allocated();
    disk.set_capacity(Some(full));
    trim(&store, b"a", 10);
    // There is no space to move what is left, but a checkpoint makes some.
    store.round().unwrap_err();
    assert!(disk.allocated() < full / 2, "{full}");
    disk.set_capacity(None);
    let round = store.round().unwrap();
    assert_eq!(round.settled_entries, 10);
    let before = store.dump().unwrap();
    drop(store);
    assert_eq!(open(&disk).dump().unwrap(), before);
}

#[test]
fn nobody_is_slowed_down_for_what_is_settled_in_a_segment_that_stays() {
    let disk = SimDisk::new();
    let mut options = options();
    options.log.segment_bytes = 4 << 20;
    options.budgets = Budgets {
        settle_after: 16 << 10,
        checkpoint_after: 16 << 10,
    };
    let store = Store::open(Arc::new(disk), Path::new("/store"), options).unwrap();
    add(&store, &[b"a"], 1000, 1000);
    assert!(store.behind() > 0);
    store.round().unwrap();
    assert!(store.log().appended().since(store.log().beginning()) > 1_000_000);
    assert_eq!(store.behind(), 0);
}

#[test]
fn rounds_go_on_while_streams_come_change_and_go() {
    let disk = SimDisk::new();
    let store = open(&disk);
    let done = AtomicBool::new(false);
    let rounds = AtomicU64::new(0);
    thread::scope(|scope| {
        let rounds = &rounds;
        let writers: Vec<_> = (0..3_u64)
            .map(|writer| {
                let store = &store;
                scope.spawn(move || {
                    let mut state = writer + 1;
                    let mut random = |below: u64| {
                        state ^= state << 13;
                        state ^= state >> 7;
                        state ^= state << 17;
                        state % below
                    };
                    let keys: [&[u8]; 5] = [b"a", b"b", b"c", b"d", b"e"];
                    // Long enough for rounds to begin and end meanwhile.
                    let mut steps = 0..;
                    while steps.next() < Some(1500) || rounds.load(Ordering::Relaxed) < 4 {
                        let key = keys[usize::try_from(random(5)).unwrap()];
                        match random(12) {
                            0 => {
                                store.alone().remove(0, key, 0).unwrap();
                            }
                            1 => {
                                let to = keys[usize::try_from(random(5)).unwrap()];
                                store.alone().move_to((0, key), (0, to), 0).unwrap();
                            }
                            2 => {
                                let to = keys[usize::try_from(random(5)).unwrap()];
                                if to != key {
                                    store.alone().copy((0, key), (0, to), 0).unwrap();
                                }
                            }
                            3 | 4 => trim(store, key, random(300)),
                            5 => drop(with(store, key, |stream| {
                                let ids = [stream.first_id(), stream.last_id()];
                                let ids = Ids::from(&ids);
                                stream.commit(&[Change::EntriesDeleted { ids }])
                            })),
                            _ => add(store, &[key], 20, 100),
                        }
                    }
                })
            })
            .collect();
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                store.round().unwrap();
                rounds.fetch_add(1, Ordering::Relaxed);
            }
        });
        for writer in writers {
            writer.join().unwrap();
        }
        done.store(true, Ordering::Relaxed);
    });
    let before = store.dump().unwrap();
    store.log().sync().unwrap();
    drop(store);
    let store = open(&disk.after_crash(Loss::All));
    assert_eq!(store.dump().unwrap(), before);
    store.round().unwrap();
    assert_eq!(store.dump().unwrap(), before);
}

#[test]
fn approximate_trimming_spares_a_node_that_is_dead_up_to_where_its_block_ends() {
    let disk = SimDisk::new();
    let store = open(&disk);
    store.alone().create(0, b"a", 0).unwrap();
    // Two nodes of three entries; the second one is cut behind its first entry.
    for (ms, bytes) in [
        (1, 9),
        (2, 9),
        (3, 9),
        (4, 20_000),
        (5, 20_000),
        (6, 20_000),
    ] {
        let access = store.shared();
        let mut stream = access.stream(0, b"a", 0).unwrap();
        let limits = NodeLimits {
            bytes: 1 << 20,
            entries: 3,
        };
        let mut buffer = Vec::new();
        let fields = Fields::encode([&b"field"[..], &vec![b'x'; bytes]], &mut buffer);
        let added = stream.entry_added(StreamId::new(ms, 0), fields, limits);
        stream.commit(&[added]).unwrap();
    }
    store.round().unwrap();
    with(&store, b"a", |stream| {
        let ids = [StreamId::new(4, 0)];
        let ids = Ids::from(&ids);
        stream.commit(&[Change::EntriesDeleted { ids }])
    });
    let approximate = true;
    let left = with(&store, b"a", |stream| {
        let by = TrimBy::MaxLen(2);
        let trim = Trim {
            by,
            approximate,
            limit: None,
        };
        let point = stream.trim_point(&trim)?.unwrap();
        let through = point.through;
        stream.commit(&[Change::Trimmed { through }])?;
        Ok((point.removed, stream.len()))
    });
    assert_eq!(left, Some((3, 2)));
}
