//! Appending, writing, syncing and reading, on both disks.

use std::path::Path;
use std::sync::Arc;

use headwater_store::disk::{Disk, RealDisk, SimDisk};
use headwater_store::error::{AppendError, OpenError};
use headwater_store::log::Growth;
use headwater_store::lsn::Lsn;
use headwater_store::{Store, StoreOptions};

use crate::support::{EPOCH, SMALL, append, open_in};

fn on_both_disks(check: impl Fn(Arc<dyn Disk>, &Path)) {
    check(Arc::new(SimDisk::new()), Path::new("/log"));
    let temporary = tempfile::tempdir().unwrap();
    check(Arc::new(RealDisk), &temporary.path().join("a/log"));
}

#[test]
fn what_was_appended_can_be_read_before_and_after_writing_and_after_reopening() {
    on_both_disks(|disk, dir| {
        // Some share a frame, some fill a segment, some need one of their own.
        let sizes = [1, 150, 3000, 4000, 20, 4060, 4061, 9000, 150, 70_000, 1, 2];
        let records: Vec<Vec<u8>> = sizes
            .iter()
            .zip(b'a'..)
            .map(|(size, byte)| vec![byte; *size])
            .collect();
        let (log, replayed) = open_in(&disk, dir, &SMALL).unwrap();
        assert!(replayed.is_empty());
        let mut places: Vec<Lsn> = Vec::new();
        for (index, record) in records.iter().enumerate() {
            places.push(append(&log, record));
            if index % 3 == 2 {
                assert!(log.try_write().unwrap());
            }
            for (at, record) in places.iter().zip(&records) {
                assert!(log.read(*at, |bytes| bytes.starts_with(record)));
            }
        }
        log.sync().unwrap();
        assert_eq!(log.durable(), log.appended());
        assert!(log.stats().segments > 4, "{:?}", log.stats());
        log.close().unwrap();
        let end = log.appended();
        drop(log);

        let (log, replayed) = open_in(&disk, dir, &SMALL).unwrap();
        assert_eq!(
            log.durable().since(end),
            EPOCH,
            "a new epoch begins where the log ended"
        );
        let bodies: Vec<u8> = replayed
            .iter()
            .flat_map(|frame| frame.body.clone())
            .collect();
        assert_eq!(bodies, records.concat());
        assert_eq!(replayed.iter().map(|frame| frame.records).sum::<u32>(), 12);
        for (at, record) in places.iter().zip(&records) {
            assert!(log.read(*at, |bytes| bytes.starts_with(record)));
        }
    });
}

#[test]
fn a_batch_can_read_itself_and_what_was_before_it() {
    on_both_disks(|disk, dir| {
        let (log, _) = open_in(&disk, dir, &SMALL).unwrap();
        let written = append(&log, b"written");
        log.try_write().unwrap();
        let pending = append(&log, b"pending");
        let mut batch = log.append(Growth::Adds, 10).unwrap();
        let own = batch.push(|buffer| buffer.extend_from_slice(b"own"));
        for (at, expected) in [(written, "written"), (pending, "pending"), (own, "own")] {
            assert!(batch.read(at, |bytes| bytes.starts_with(expected.as_bytes())));
        }
        assert_eq!(batch.end(), own.plus(3));
    });
}

#[test]
fn a_second_process_is_kept_out() {
    on_both_disks(|disk, dir| {
        let open = || Store::open(disk.clone(), dir, StoreOptions::default());
        let store = open().unwrap();
        store.log().start().unwrap();
        let Err(OpenError::Locked { path }) = open().map(drop) else {
            panic!("it opened twice")
        };
        assert_eq!(path, dir.join("LOCK"));
        // Who still holds the log does not keep the directory.
        let log = Arc::clone(store.log());
        drop(store);
        assert!(open().is_ok());
        drop(log);
    });
}

#[test]
fn a_batch_beyond_the_limit_is_refused() {
    let disk: Arc<dyn Disk> = Arc::new(SimDisk::new());
    let (log, _) = open_in(&disk, Path::new("/log"), &SMALL).unwrap();
    let refused = log.append(Growth::Adds, (1 << 30) + 1).err();
    assert!(matches!(refused, Some(AppendError::TooLarge { max, .. }) if max == 1 << 30));
}
