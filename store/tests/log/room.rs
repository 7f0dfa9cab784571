//! Full disks: who is refused, and when.

use headwater_store::disk::SimDisk;
use headwater_store::error::AppendError;
use headwater_store::log::{Growth, Log, LogOptions};

use crate::support::{SMALL, open};

const RESERVE: u64 = 1000;

fn appends_until_full(log: &Log, growth: Growth) -> usize {
    let mut appends = 0;
    loop {
        match log.append(growth, 100) {
            Ok(mut batch) => batch.push(|buffer| buffer.extend_from_slice(&[7; 100])),
            Err(AppendError::Full { needed, free }) => {
                assert_eq!(needed, 136);
                assert!(
                    free < needed + RESERVE,
                    "{growth:?} is refused with {free} bytes free"
                );
                return appends;
            }
            Err(other) => panic!("{other}"),
        };
        appends += 1;
        if appends % 3 == 0 {
            log.sync().unwrap();
        }
    }
}

#[test]
fn a_full_disk_refuses_growth_first_then_everything_and_poisons_nothing() {
    let disk = SimDisk::new();
    disk.set_capacity(Some(3 * 8192));
    let options = LogOptions {
        reserve_bytes: RESERVE,
        ..SMALL
    };
    let (log, _) = open(&disk, &options);
    let adds = appends_until_full(&log, Growth::Adds);
    assert!((80..100).contains(&adds), "{adds}");
    assert!(log.stats().room >= RESERVE);
    let frees = appends_until_full(&log, Growth::Frees);
    assert!((6..10).contains(&frees), "{frees}");
    log.sync().unwrap();
    log.close().unwrap();
    drop(log);

    // It opens although there is no space, and goes on when there is.
    disk.set_capacity(Some(4 * 8192));
    let (log, replayed) = open(&disk, &options);
    assert_eq!(
        replayed
            .iter()
            .map(|frame| frame.records as usize)
            .sum::<usize>(),
        adds + frees
    );
    disk.set_capacity(None);
    log.append(Growth::Adds, 100)
        .unwrap()
        .push(|buffer| buffer.push(1));
    log.close().unwrap();
}

#[test]
fn a_batch_larger_than_it_said_finds_a_place_all_the_same() {
    let disk = SimDisk::new();
    let (log, _) = open(&disk, &SMALL);
    for len in [5000, 1, 20_000, 3900, 300, 9000] {
        let at = log
            .append(Growth::Adds, 1)
            .unwrap()
            .push(|buffer| buffer.resize(buffer.len() + len, 9));
        log.append(Growth::Adds, 10)
            .unwrap()
            .push(|buffer| buffer.extend_from_slice(b"after"));
        assert!(log.read(at, |bytes| bytes[..len].iter().all(|byte| *byte == 9)));
        log.sync().unwrap();
    }
    log.close().unwrap();
    drop(log);
    let (_, replayed) = open(&disk, &SMALL);
    assert_eq!(replayed.iter().map(|frame| frame.records).sum::<u32>(), 12);
}

#[test]
fn a_batch_that_asks_for_more_is_refused_on_a_full_disk_and_poisons_nothing() {
    let disk = SimDisk::new();
    let (log, _) = open(&disk, &SMALL);
    let mut batch = log.append(Growth::Frees, 10).unwrap();
    batch.push(|buffer| buffer.extend_from_slice(b"first"));
    // A larger segment can be had.
    batch.ask(Growth::Frees, 9000).unwrap();
    batch.push(|buffer| buffer.resize(buffer.len() + 9000, 9));
    disk.set_capacity(Some(disk.allocated()));
    let refused = batch.ask(Growth::Frees, 90_000);
    assert!(matches!(refused, Err(AppendError::Full { .. })));
    let refused = batch.ask(Growth::Frees, u64::from(u32::MAX));
    assert!(matches!(refused, Err(AppendError::TooLarge { .. })));
    let end = batch.end();
    drop(batch);
    assert!(log.poisoned().is_none());
    assert!(log.sync().unwrap() >= end);
    drop(log);
    let (_, replayed) = open(&disk.after_kill(), &SMALL);
    let bytes: Vec<u8> = replayed.into_iter().flat_map(|frame| frame.body).collect();
    assert_eq!(bytes.len(), 5 + 9000);
    assert!(bytes.starts_with(b"first"));
}

#[test]
fn a_batch_that_lied_on_a_full_disk_poisons_the_log() {
    let disk = SimDisk::new();
    let (log, _) = open(&disk, &SMALL);
    disk.set_capacity(Some(disk.allocated()));
    log.append(Growth::Adds, 1)
        .unwrap()
        .push(|buffer| buffer.resize(buffer.len() + 9000, 9));
    assert!(
        log.poisoned()
            .is_some_and(|cause| cause.fault.is_shortage())
    );
    assert!(log.append(Growth::Frees, 1).is_err());
    assert_eq!(log.stats().segments, 1);
}

#[test]
fn growth_is_refused_on_request_and_what_frees_goes_on() {
    let disk = SimDisk::new();
    let (log, _) = open(&disk, &SMALL);
    let added = |growth| match log.append(growth, 100) {
        Ok(mut batch) => {
            batch.push(|buffer| buffer.push(7));
            true
        }
        Err(AppendError::Full { free, .. }) => {
            assert!(free > 100, "there is room, but not for this");
            false
        }
        Err(other) => panic!("{other}"),
    };
    let both = || [Growth::Adds, Growth::Frees].map(added);
    assert_eq!(both(), [true, true]);
    log.refuse_growth(true);
    assert_eq!(both(), [false, true]);
    log.refuse_growth(false);
    assert_eq!(both(), [true, true]);
}
