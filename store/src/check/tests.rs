//! Directories that are whole, and every kind of damage to them.

mod damage;
mod records;
pub(crate) mod streams;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Finding, Severity, Summary, check};
use crate::checkpoint::{self, Beginning, DataFileItem, Ending};
use crate::data::{Data, NodeHead};
use crate::disk::{Disk, Fault, Repeat, SimDisk};
use crate::error::OpenError;
use crate::history::{Epoch, History, HistoryId};
use crate::id::{StreamId, StreamNo};
use crate::log::{Growth, Log, LogOptions, Opening};
use crate::lsn::Lsn;
use crate::record::{Change, Fields, Ids, KeyspaceChange, Record};

pub(crate) const DIR: &str = "/db";

const FIELDS: Fields<'_> = Fields {
    words: 2,
    resp: b"$5\r\nfield\r\n$5\r\nvalue\r\n",
};

/// What a check told.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) summary: Summary,
    findings: Vec<Finding>,
}

impl Told {
    pub(crate) fn lines(&self) -> Vec<String> {
        self.findings.iter().map(ToString::to_string).collect()
    }

    /// Whether a file shows something of this severity.
    pub(crate) fn shows(&self, severity: Severity, file: &Path) -> bool {
        let shows =
            |finding: &Finding| finding.severity == severity && finding.what.file() == Some(file);
        self.findings.iter().any(shows)
    }
}

fn try_check(disk: &SimDisk) -> Result<Told, OpenError> {
    try_check_in(disk, Path::new(DIR))
}

fn try_check_in(disk: &SimDisk, dir: &Path) -> Result<Told, OpenError> {
    let mut findings = Vec::new();
    let shared: Arc<dyn Disk> = Arc::new(disk.clone());
    let summary = check(&shared, dir, &mut |finding| {
        let line = finding.to_string();
        assert!(!line.contains('\n'), "a finding is one line: {line}");
        findings.push(finding);
    })?;
    let worst = findings.iter().map(|finding| finding.severity).max();
    assert_eq!(summary.worst, worst);
    Ok(Told { summary, findings })
}

/// Checks, and makes sure that nothing was changed.
fn told(disk: &SimDisk) -> Told {
    told_in(disk, Path::new(DIR))
}

/// Checks a directory, and makes sure that nothing was changed.
pub(crate) fn told_in(disk: &SimDisk, dir: &Path) -> Told {
    let before = disk.files();
    let told = try_check_in(disk, dir).unwrap();
    assert!(disk.files() == before, "a check changes nothing");
    told
}

pub(crate) fn path(part: &str) -> PathBuf {
    Path::new(DIR).join(part)
}

/// The files in one part of the directory.
fn files(disk: &SimDisk, part: &str) -> Vec<PathBuf> {
    let files = disk.files();
    let part = path(part);
    { files.keys() }
        .filter(|file| file.parent() == Some(&part))
        .cloned()
        .collect()
}

pub(crate) fn segments(disk: &SimDisk) -> Vec<PathBuf> {
    let mut segments = files(disk, "log");
    segments.retain(|file| file.extension().is_some_and(|end| end == "log"));
    segments
}

pub(crate) fn open_log(disk: &SimDisk) -> Arc<Log> {
    disk.create_dir(Path::new(DIR)).unwrap();
    let options = LogOptions {
        segment_bytes: 8192,
        reserve_bytes: 0,
        role: Opening::Lead(HistoryId::new([1; HistoryId::BYTES])),
        ..LogOptions::default()
    };
    Log::open(
        Arc::new(disk.clone()),
        &path("log"),
        options,
        &mut |_, _, _| Ok(()),
    )
    .unwrap()
}

/// Appends one batch, and makes it durable.
pub(crate) fn append(log: &Log, records: &[Record<'_>]) -> Lsn {
    let bytes = records.iter().map(Record::bytes_max).sum();
    let mut batch = log.append(Growth::Adds, bytes).unwrap();
    let places = records
        .iter()
        .map(|record| batch.push(|out| record.encode(out)));
    let last = places.last().unwrap();
    drop(batch);
    log.sync().unwrap();
    last
}

/// A stream, some entries, and a group that has read some of them.
pub(crate) fn history(stream: StreamNo, key: &[u8], entries: u64) -> Vec<Record<'_>> {
    const FIRST: [StreamId; 3] = [
        StreamId::new(1, 0),
        StreamId::new(2, 0),
        StreamId::new(3, 0),
    ];
    let (group, consumer) = (b"workers", b"ann");
    let created = KeyspaceChange::Created { stream, db: 0, key };
    let entry = |ms| Change::EntryAdded {
        id: StreamId::new(ms, 0),
        fields: FIELDS,
        new_node: ms == 1,
        node_bytes: 20,
    };
    let group = [
        Change::GroupCreated {
            group,
            last_delivered: StreamId::MIN,
            entries_read: Some(0),
        },
        Change::ConsumerCreated {
            group,
            consumer,
            at: 5,
        },
        Change::Delivered {
            group,
            consumer,
            at: 6,
            pending: true,
            ids: Ids::from(&FIRST),
        },
    ];
    let changes = (1..=entries).map(entry).chain(group);
    let changes = changes.map(|change| Record::Stream { stream, change });
    { [Record::Keyspace(created)].into_iter() }
        .chain(changes)
        .collect()
}

/// A log of several segments, closed.
pub(crate) fn log_only() -> SimDisk {
    let disk = SimDisk::new();
    let log = open_log(&disk);
    for (stream, key) in (1..).zip([&b"jobs"[..], b"mails", b"events"]) {
        for record in history(StreamNo::new(stream), key, 40) {
            append(&log, &[record]);
        }
    }
    log.close().unwrap();
    disk
}

/// The same, with data files and a checkpoint which names them.
pub(crate) fn settled() -> SimDisk {
    let disk = log_only();
    let until = open_log(&disk).durable();
    let data = Data::open(Arc::new(disk.clone()), &path("data"), 1 << 20).unwrap();
    let mut items = Vec::new();
    for stream in 1..=2 {
        let mut writer = data.create_file().unwrap();
        for stream in [stream, stream + 2] {
            writer.begin_extent(StreamNo::new(stream));
            writer.node(NodeHead {
                first: StreamId::new(1, 0),
                last: StreamId::new(40, 0),
                bytes: 900,
                names: 0,
                deleted: 0,
                continues: false,
            });
            for ms in 1..=40 {
                let resp = vec![b'x'; 1000];
                let fields = Fields {
                    words: 2,
                    resp: &resp,
                };
                writer.entry(StreamId::new(ms, 0), fields).unwrap();
            }
            assert!(writer.end_extent().unwrap());
        }
        let (file, _) = writer.finish().unwrap();
        items.push(DataFileItem {
            number: file.number(),
            len: file.len(),
        });
    }
    capture(&disk, 1, until, items);
    disk
}

/// Writes a checkpoint of a keyspace that is empty by `until`.
fn capture(disk: &SimDisk, number: u64, until: Lsn, files: Vec<DataFileItem>) {
    let beginning = Beginning {
        from: Lsn::ZERO,
        order: std::array::from_fn(|place| u8::try_from(place).unwrap()),
        history: History::new(),
        next_file: 3,
        files,
    };
    capture_from(disk, number, until, &beginning);
}

fn capture_from(disk: &SimDisk, number: u64, until: Lsn, beginning: &Beginning) {
    let dir = path("checkpoint");
    disk.create_dir(&dir).unwrap();
    let disk = Arc::new(disk.clone());
    let writer = checkpoint::Writer::begin(disk, &dir, number, beginning).unwrap();
    let ending = Ending {
        until,
        next: StreamNo::new(9),
        keep: Lsn::ZERO,
        streams: 0,
    };
    writer.finish(&ending).unwrap();
}

#[test]
fn a_checkpoint_of_another_history_is_told_from_one_of_this_log() {
    let disk = SimDisk::new();
    open_log(&disk).close().unwrap();
    let log = open_log(&disk);
    let end = log.sync().unwrap();
    let history = log.history();
    assert_eq!(history.epochs().len(), 2);
    let beginning = Beginning {
        from: end,
        order: std::array::from_fn(|place| u8::try_from(place).unwrap()),
        history: history.clone(),
        next_file: 1,
        files: Vec::new(),
    };
    let with = |history: History| {
        let disk = disk.after_kill();
        let beginning = Beginning {
            history,
            ..beginning.clone()
        };
        capture_from(&disk, 1, end, &beginning);
        told(&disk)
    };
    let whole = with(history.clone());
    assert_eq!(whole.lines(), [""; 0]);
    assert_eq!(whole.summary.history, history);
    let mut other = history.below(history.current().unwrap().start);
    other.push(Epoch {
        id: HistoryId::new([2; HistoryId::BYTES]),
        ..*history.current().unwrap()
    });
    let expected = "damage /db/checkpoint/00000000000000000001.ckpt: does not know of epoch 2, \
                    which begins at LSN 56 of the log with the id \
                    0101010101010101010101010101010101010101";
    assert_eq!(with(other.clone()).lines(), [expected]);
    other.push(Epoch {
        number: 3,
        start: end,
        ..*history.current().unwrap()
    });
    assert!(with(other).lines()[0].ends_with("it knows an epoch of the future"));
}

#[test]
fn a_directory_that_is_whole_has_no_findings() {
    let disk = SimDisk::new();
    drop(open_log(&disk));
    let fresh = told(&disk);
    assert_eq!(fresh.lines(), [""; 0]);
    assert_eq!(
        (fresh.summary.totals.segments, fresh.summary.totals.frames),
        (1, 1)
    );

    // Killed, so that nothing bears witness of the end.
    let log = open_log(&disk);
    let records = history(StreamNo::FIRST, b"jobs", 100);
    for record in &records {
        append(&log, &[*record]);
    }
    let killed = told(&disk.after_kill());
    assert_eq!(killed.lines(), [""; 0]);
    assert_eq!(killed.summary.totals.records, records.len() as u64);
    assert!(killed.summary.totals.segments > 1);

    let settled = told(&settled());
    assert_eq!(settled.lines(), [""; 0]);
    let totals = settled.summary.totals;
    assert_eq!((totals.checkpoints, totals.data_files), (1, 2));
    assert_eq!((totals.extents, totals.entries), (4, 160));
}

#[test]
fn a_directory_without_a_store_is_refused() {
    let disk = SimDisk::new();
    disk.create_dir(Path::new(DIR)).unwrap();
    let refused = try_check(&disk).unwrap_err().to_string();
    assert!(refused.contains("could not list /db/log"), "{refused}");
}

#[test]
fn a_directory_that_somebody_has_is_refused() {
    let disk = log_only();
    let lock = disk.lock(Path::new(DIR)).unwrap();
    assert!(matches!(try_check(&disk), Err(OpenError::Locked { .. })));
    drop(lock);
    assert!(try_check(&disk).is_ok());
}

#[test]
fn leftovers_are_notes_whatever_they_hold() {
    let disk = settled();
    let create = |part: &str| drop(disk.create(&path(part), 100).unwrap());
    create("headwater.conf");
    create("log/notes.txt");
    create("log/spare-7.tmp");
    create("data/00000000000000000009.data");
    create("data/00000000000000000010.tmp");
    create("checkpoint/00000000000000000002.tmp");
    create("checkpoint/old");
    let told = told(&disk);
    assert_eq!(
        told.lines(),
        [
            "note   /db/headwater.conf: means nothing here; it was not looked at",
            "note   /db/checkpoint/00000000000000000002.tmp: was never finished; a start removes \
             it",
            "note   /db/checkpoint/old: means nothing here; it was not looked at",
            "note   /db/data/00000000000000000009.data: no checkpoint names it; a start removes \
             it",
            "note   /db/data/00000000000000000009.data is damaged at byte 0: no data file",
            "note   /db/data/00000000000000000009.data is damaged at byte 64: a file without its \
             end",
            "note   /db/data/00000000000000000010.tmp: was never finished; a start removes it",
            "note   /db/log/notes.txt: means nothing here; it was not looked at",
        ]
    );
    assert_eq!(told.summary.worst, Some(Severity::Note));
}

#[test]
fn whatever_the_disk_refuses_to_show_is_told() {
    let before = settled();
    let whole = before.after_kill();
    try_check(&whole).unwrap();
    for call in 0..whole.calls().len() {
        let disk = before.after_kill();
        disk.fail(call, Fault::Io, Repeat::Once);
        match try_check(&disk) {
            Ok(told) => assert!(
                told.summary.worst >= Some(Severity::Unread),
                "{call}: {told:?}"
            ),
            Err(refused) => assert!(matches!(refused, OpenError::Disk(_)), "{call}: {refused}"),
        }
    }
}
