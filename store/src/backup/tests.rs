//! Backups that are whole, and those that are refused.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Backup, BackupError, Target, backup};
use crate::check::tests::streams::{add, open};
use crate::check::tests::{DIR, append, history, log_only, open_log, path, settled, told_in};
use crate::disk::{Disk, Fault, Loss, Repeat, SimDisk};
use crate::history::HistoryId;
use crate::id::StreamNo;
use crate::log::Opening;
use crate::record::{KeyspaceChange, Record};
use crate::store::{Store, StoreOptions};

const TARGET: &str = "/backups/monday";

/// A disk with this directory, and one for backups.
fn with_backups(disk: SimDisk) -> SimDisk {
    disk.create_dir(Path::new("/backups")).unwrap();
    disk
}

fn back_up(disk: &SimDisk) -> Result<Backup, BackupError> {
    backup(disk, Path::new(DIR), Path::new(TARGET))
}

fn whole(disk: &SimDisk) {
    let told = told_in(disk, Path::new(TARGET));
    assert_eq!(told.lines(), [""; 0]);
}

/// Files below a directory, by what their path is from there.
fn files_in(disk: &SimDisk, dir: &str) -> BTreeMap<PathBuf, Vec<u8>> {
    let files = disk.files().into_iter();
    let below = files.filter_map(|(path, bytes)| {
        let path = path.strip_prefix(dir).ok()?.to_owned();
        Some((path, bytes))
    });
    below.collect()
}

/// Whether there is any trace of a backup.
fn is_traceless(disk: &SimDisk) -> bool {
    let names = [TARGET, "/backups/monday.tmp"].map(|dir| disk.list(Path::new(dir)));
    names.iter().all(Result::is_err) && files_in(disk, "/backups").is_empty()
}

/// How many times a backup that works asks something of the disk.
fn calls_of_a_backup(disk: &SimDisk) -> usize {
    let disk = disk.after_kill();
    back_up(&disk).unwrap();
    disk.calls().len()
}

fn dump(disk: &SimDisk, dir: &str) -> String {
    let disk = Arc::new(disk.after_kill());
    let store = Store::open(disk, Path::new(dir), StoreOptions::default());
    store.unwrap().dump().unwrap()
}

#[test]
fn a_backup_has_everything_and_shares_what_does_not_change() {
    let disk = with_backups(settled());
    let made = back_up(&disk).unwrap();
    whole(&disk);
    let copies = files_in(&disk, TARGET);
    let sizes = copies.values().map(|bytes| bytes.len() as u64);
    assert_eq!((made.files, made.bytes), (copies.len() as u64, sizes.sum()));
    assert_eq!(files_in(&disk, DIR).len() as u64, made.files);

    let mut copied = 0;
    for (file, bytes) in &copies {
        let opened = disk.open(&Path::new(TARGET).join(file)).unwrap();
        match opened.links().unwrap() {
            2 => assert_eq!(&disk.files()[&path(file.to_str().unwrap())], bytes),
            links => {
                assert_eq!(links, 1);
                copied += 1;
                assert_eq!(made.copied_bytes, bytes.len() as u64);
            }
        }
    }
    assert_eq!(copied, 1, "the segment that is written to is copied");
    // All of it survives the power.
    whole(&disk.after_crash(Loss::All));
}

#[test]
fn a_backup_is_the_store_that_it_was_made_of() {
    let disk = with_backups(log_only());
    let made = back_up(&disk).unwrap();
    assert_eq!(dump(&disk, TARGET), dump(&disk, DIR));
    assert_eq!(
        made.lsn,
        open_log(&disk.after_kill()).durable().min(made.lsn)
    );
}

#[test]
fn neither_of_the_two_is_changed_by_what_happens_to_the_other() {
    let disk = with_backups(log_only());
    back_up(&disk).unwrap();
    let removed = |stream| {
        let stream = StreamNo::new(stream);
        Record::Keyspace(KeyspaceChange::Removed { stream })
    };
    let before = files_in(&disk, DIR);
    let options = StoreOptions {
        role: Opening::Lead(HistoryId::new([1; HistoryId::BYTES])),
        ..StoreOptions::default()
    };
    let store = Store::open(Arc::new(disk.clone()), Path::new(TARGET), options);
    let store = store.unwrap();
    store.alone().flush(None).unwrap();
    store.log().close().unwrap();
    drop(store);
    assert!(files_in(&disk, DIR) == before);

    let backed_up = files_in(&disk, TARGET);
    let log = open_log(&disk);
    for stream in 1..=3 {
        append(&log, &[removed(stream)]);
    }
    for record in history(StreamNo::new(9), b"new", 100) {
        append(&log, &[record]);
    }
    log.close().unwrap();
    assert!(files_in(&disk, TARGET) == backed_up);
}

#[test]
fn what_a_start_would_cut_off_is_left_out() {
    let disk = with_backups(log_only());
    let log = open_log(&disk);
    let segment = path("log/00000000000000000000.log");
    assert!(disk.files().contains_key(&segment));
    let end = append(&log, &history(StreamNo::new(9), b"new", 1)[..1]);
    drop(log);
    let last = crate::check::tests::segments(&disk).pop().unwrap();
    let len = disk.files()[&last].iter().rposition(|byte| *byte != 0);
    disk.flip(&last, len.unwrap(), 1);
    let made = back_up(&disk).unwrap();
    assert!(made.lsn < end);
    whole(&disk);
    assert_eq!(dump(&disk, TARGET), dump(&disk, DIR));
}

#[test]
fn what_no_server_could_start_with_is_refused() {
    for damaged in [
        "log/00000000000000000000.log",
        "checkpoint/00000000000000000001.ckpt",
        "data/00000000000000000001.data",
    ] {
        let disk = with_backups(settled());
        disk.truncate(&path(damaged), 100);
        let refused = back_up(&disk).unwrap_err().to_string();
        assert!(refused.contains(damaged), "{refused}");
        assert!(is_traceless(&disk));

        let disk = with_backups(settled());
        disk.remove(&path(damaged)).unwrap();
        let is_checkpoint = damaged.starts_with("checkpoint");
        assert_eq!(back_up(&disk).is_err(), !is_checkpoint, "{damaged}");
    }
}

#[test]
fn a_server_in_the_directory_and_anything_in_the_target_are_refused() {
    let disk = with_backups(log_only());
    let lock = disk.lock(Path::new(DIR)).unwrap();
    assert!(matches!(back_up(&disk), Err(BackupError::Open(_))));
    drop(lock);
    for taken in [TARGET, "/backups/monday.tmp"] {
        let disk = with_backups(log_only());
        disk.create_dir(Path::new(taken)).unwrap();
        let file = Path::new(taken).join("file");
        drop(disk.create(&file, 1).unwrap());
        let refused = back_up(&disk).unwrap_err().to_string();
        assert_eq!(refused, format!("{taken} is there already"));
        assert!(disk.files().contains_key(&file));
    }
    // An empty one does not stand in the way, and nor does a slash.
    disk.create_dir(Path::new(TARGET)).unwrap();
    backup(&disk, Path::new(DIR), Path::new("/backups/monday/")).unwrap();
    whole(&disk);
    assert_eq!(disk.list(Path::new("/backups")).unwrap(), ["monday"]);
}

#[test]
fn a_target_that_is_being_made_is_let_be() {
    let disk = with_backups(log_only());
    let making = Target::begin(&disk, Path::new(TARGET)).unwrap();
    let refused = back_up(&disk).unwrap_err().to_string();
    assert_eq!(refused, "/backups/monday.tmp is there already");
    drop(making);
    back_up(&disk).unwrap();
    whole(&disk);
}

#[test]
fn a_running_store_does_no_round_for_a_target_that_is_taken() {
    let disk = with_backups(SimDisk::new());
    let store = open(&disk, 3000);
    add(&store, b"jobs", 1, 10);
    let taken = Path::new(TARGET);
    store.backup(taken).unwrap();
    let rounds = store.upkeep_stats().rounds;
    assert!(matches!(store.backup(taken), Err(BackupError::Taken { path }) if path == taken));
    assert_eq!(store.upkeep_stats().rounds, rounds);
}

#[test]
fn a_backup_that_fails_leaves_nothing() {
    let before = with_backups(settled());
    for call in 0..calls_of_a_backup(&before) {
        for (fault, repeat) in [
            (Fault::NoSpace, Repeat::Once),
            (Fault::ShortWrite, Repeat::Once),
            (Fault::Io, Repeat::Forever),
        ] {
            let disk = before.after_kill();
            disk.fail(call, fault, repeat);
            let made = back_up(&disk);
            disk.heal();
            match made {
                // A name that cannot be had is made up for by a copy.
                Ok(_) => whole(&disk),
                // Its name is there, and whether it lasts is unknown.
                Err(_) if disk.list(Path::new(TARGET)).is_ok() => whole(&disk),
                Err(_) if repeat == Repeat::Once => assert!(is_traceless(&disk), "call {call}"),
                Err(_) => {}
            }
        }
    }
}

#[test]
fn a_crash_leaves_no_half_of_a_backup_under_its_name() {
    let before = with_backups(settled());
    for call in 0..calls_of_a_backup(&before) {
        let disk = before.after_kill();
        disk.stop_at(call);
        let _ = back_up(&disk);
        let seed = call as u64;
        for loss in [Loss::Nothing, Loss::All, Loss::Pages(seed)] {
            let disk = disk.after_crash(loss);
            if disk.list(Path::new(TARGET)).is_ok() {
                whole(&disk);
            } else {
                // What it left does not stand in the way.
                back_up(&disk).unwrap();
                whole(&disk);
                assert_eq!(disk.list(Path::new("/backups")).unwrap(), ["monday"]);
            }
        }
    }
}

#[test]
fn a_store_that_runs_is_backed_up_as_it_was_and_goes_on() {
    let disk = with_backups(SimDisk::new());
    let store = open(&disk, 3000);
    for round in 0..3 {
        add(&store, b"jobs", 1 + round * 100, 100);
        store.round().unwrap();
    }
    add(&store, b"jobs", 900, 7);
    let before = store.dump().unwrap();
    let made = store.backup(Path::new(TARGET)).unwrap();
    assert_eq!(made.lsn, store.log().durable());
    assert!(made.copied_bytes < made.bytes, "{made:?}");
    // Whatever is freed and used again, the backup stays.
    for round in 0..10 {
        add(&store, b"jobs", 1000 + round * 100, 100);
        store.round().unwrap();
        whole(&disk);
    }
    assert_eq!(dump(&disk, TARGET), before);
    let refused = store.backup(Path::new(TARGET)).unwrap_err();
    assert_eq!(refused.to_string(), format!("{TARGET} is there already"));
    store.close().unwrap();
}

#[test]
fn a_backup_under_load_has_what_was_there_before_it_and_nothing_half() {
    let disk = with_backups(SimDisk::new());
    let store = open(&disk, 3000);
    add(&store, b"jobs", 1, 200);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for first in 1..200 {
                add(&store, b"others", first * 10, 10);
            }
        });
        for number in 0..5 {
            let target = format!("/backups/{number}");
            let target = Path::new(&target);
            add(&store, b"jobs", 1000 + number, 1);
            store.backup(target).unwrap();
            let found = told_in(&disk.after_kill(), target);
            assert_eq!(found.lines(), [""; 0]);
            let dump = dump(&disk, target.to_str().unwrap());
            assert!(dump.contains(&format!("len {}", 201 + number)), "{dump}");
        }
    });
}

#[test]
fn a_backup_of_a_running_store_that_fails_leaves_nothing_and_harms_nothing() {
    let filled = || {
        let disk = with_backups(SimDisk::new());
        let store = open(&disk, 3000);
        add(&store, b"jobs", 1, 300);
        store.round().unwrap();
        (disk, store)
    };
    let (disk, store) = filled();
    let before = disk.calls().len();
    store.backup(Path::new(TARGET)).unwrap();
    for call in 0..disk.calls().len() - before {
        let (disk, store) = filled();
        disk.fail(disk.calls().len() + call, Fault::NoSpace, Repeat::Once);
        let made = store.backup(Path::new(TARGET));
        if made.is_err() && disk.list(Path::new(TARGET)).is_err() {
            assert!(is_traceless(&disk), "call {call}");
        } else {
            whole(&disk.after_kill());
        }
        if store.log().poisoned().is_none() {
            add(&store, b"jobs", 1000, 10);
            store.round().unwrap();
        }
    }
}
