//! Records that are right by their checksum, and say what cannot be.

use proptest::collection::vec;
use proptest::prelude::{Strategy, any};
use proptest::proptest;
use proptest::test_runner::Config as ProptestConfig;

use super::{FIELDS, append, history, log_only, open_log, path, told};
use crate::check::Severity;
use crate::disk::SimDisk;
use crate::id::{StreamId, StreamNo};
use crate::log::Growth;
use crate::record::{Change, Ids, KeyspaceChange, Record};

#[test]
fn a_record_that_cannot_be_is_found_where_it_is() {
    let stream = StreamNo::FIRST;
    let entry = |ms, new_node| Change::EntryAdded {
        id: StreamId::new(ms, 0),
        fields: FIELDS,
        new_node,
        node_bytes: 20,
    };
    let of_stream = |change| Record::Stream { stream, change };
    let of_none = |change| Record::Stream {
        stream: StreamNo::new(77),
        change,
    };
    let acked = Change::Acked {
        group: b"nobodies",
        ids: Ids::from(&[]),
    };
    let created = |stream, key| {
        let stream = StreamNo::new(stream);
        Record::Keyspace(KeyspaceChange::Created { stream, db: 0, key })
    };
    let removed = |stream| {
        let stream = StreamNo::new(stream);
        Record::Keyspace(KeyspaceChange::Removed { stream })
    };
    let moved = |key| Record::Keyspace(KeyspaceChange::Moved { stream, db: 0, key });
    for (record, what) in [
        (
            of_stream(entry(40, false)),
            "an entry is added that is not beyond the last ID",
        ),
        (of_none(entry(41, true)), "no such stream"),
        (of_stream(acked), "there is no such group"),
        (created(4, b"jobs"), "a key is given that is not free"),
        (created(3, b"new"), "a stream number is given twice"),
        (created(u64::MAX, b"new"), "a stream number is given twice"),
        (removed(4), "no such stream"),
        (moved(b"mails"), "a key is given that is not free"),
    ] {
        let disk = log_only();
        let log = open_log(&disk);
        let at = append(&log, &[record]);
        // What comes behind is not asked: who knows what it is about.
        append(&log, &[removed(3)]);
        let found = told(&disk.after_kill());
        let file = super::segments(&disk).pop().unwrap();
        let line = format!(
            "damage {}: the record at LSN {at} is impossible: {what}",
            file.display()
        );
        assert_eq!(found.lines(), [line], "{record:?}");
    }
}

#[test]
fn a_record_that_moves_a_stream_to_its_own_key_can_be() {
    let disk = log_only();
    let (stream, key) = (StreamNo::FIRST, b"jobs");
    let moved = KeyspaceChange::Moved { stream, db: 0, key };
    append(&open_log(&disk), &[Record::Keyspace(moved)]);
    assert_eq!(told(&disk.after_kill()).lines(), [""; 0]);
}

#[test]
fn bytes_that_are_no_record_are_found_where_they_begin() {
    let disk = log_only();
    let log = open_log(&disk);
    let mut batch = log.append(Growth::Adds, 100).unwrap();
    batch.push(|out| history(StreamNo::new(4), b"new", 1)[0].encode(out));
    let at = batch.push(|out| out.push(255));
    drop(batch);
    log.sync().unwrap();
    let found = told(&disk.after_kill());
    let file = super::segments(&disk).pop().unwrap();
    let start = format!("damage {}: the record at LSN {at}: ", file.display());
    assert_eq!(found.lines().len(), 1);
    assert!(found.lines()[0].starts_with(&start), "{:?}", found.lines());
    assert_eq!(found.summary.worst, Some(Severity::Damage));
    assert!(file.starts_with(path("log")));
}

/// Records of which some bytes are others.
fn mutilated() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let flips = vec((any::<usize>(), any::<u8>()), 0..3);
    vec(flips, 0..20).prop_map(|flips| {
        let mut all: Vec<Vec<u8>> = Vec::new();
        for record in history(StreamNo::FIRST, b"jobs", 9) {
            let mut bytes = Vec::new();
            record.encode(&mut bytes);
            all.push(bytes);
        }
        for (index, flips) in flips.into_iter().enumerate() {
            let len = all.len();
            let record = &mut all[index % len];
            for (at, byte) in flips {
                let len = record.len();
                record[at % len] = byte;
            }
        }
        all
    })
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 500,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn no_bytes_of_records_stop_a_check(records in mutilated()) {
        let disk = SimDisk::new();
        let log = open_log(&disk);
        for record in &records {
            let mut batch = log.append(Growth::Adds, record.len() as u64).unwrap();
            batch.push(|out| out.extend_from_slice(record));
        }
        log.sync().unwrap();
        told(&disk);
    }
}
