//! Damage to what a life left: a log, of which a part is kept and not replayed, data files and a
//! checkpoint.
//!
//! A byte differs, or a file ends early. Then a start refuses, or a read gives an error, or all is
//! as it was; other data are never read. Whatever is not as it was, `check` reports.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use headwater_store::check::{Severity, check};
use headwater_store::disk::{Disk, SimDisk};
use headwater_store::log::SyncPolicy;

use crate::history::budget;
use crate::model::Model;
use crate::script::{Script, hash, side_by_side};

/// Bytes at either end of a file that are all tried.
const EDGE: usize = 100;

/// Bytes between them that are tried, times the budget.
const SAMPLES: usize = 150;

/// So long is the life: its last round leaves a part of the log unsettled.
const OPERATIONS: usize = 235;

#[derive(Clone, Debug)]
enum Harm {
    Flip { file: PathBuf, pos: usize, mask: u8 },
    Truncate { file: PathBuf, len: usize },
}

impl Harm {
    fn inflict(&self, disk: &SimDisk) {
        match self {
            Self::Flip { file, pos, mask } => disk.flip(file, *pos, *mask),
            Self::Truncate { file, len } => disk.truncate(file, *len),
        }
    }
}

/// What can be done to the files of a disk.
fn harms(disk: &SimDisk) -> Vec<Harm> {
    let mut harms = Vec::new();
    for (file, bytes) in disk.files() {
        // Of the zeros at the end, a few will do.
        let used = bytes.iter().rposition(|byte| *byte != 0);
        let used = (used.map_or(0, |last| last + 1) + EDGE).min(bytes.len());
        let samples = SAMPLES * budget() as usize;
        let step = (used / samples).max(1);
        let tried = |pos: &usize| *pos < EDGE || *pos + 2 * EDGE > used || pos.is_multiple_of(step);
        for pos in (0..used).filter(tried) {
            let mask = 1 << (pos % 8);
            let (flipped, cut) = (file.clone(), file.clone());
            harms.push(Harm::Flip {
                file: flipped,
                pos,
                mask,
            });
            harms.push(Harm::Truncate {
                file: cut,
                len: pos,
            });
        }
    }
    harms
}

/// What came of harms.
#[derive(Debug, Default)]
struct Census {
    refused: AtomicU64,
    unreadable: AtomicU64,
    harmless: AtomicU64,
}

fn try_harm(script: &Script, whole: &SimDisk, harm: &Harm, census: &Census) {
    let disk = whole.after_kill();
    harm.inflict(&disk);
    let shared: Arc<dyn Disk> = Arc::new(disk.after_kill());
    let checked = check(&shared, Path::new("/store"), &mut drop);
    let reported = checked.map_or(true, |summary| summary.worst >= Some(Severity::Damage));
    let count = match script.open(&disk) {
        Err(_) => &census.refused,
        Ok(store) => match Model::try_read(&store) {
            Err(_) => &census.unreadable,
            Ok((model, _)) => {
                assert_eq!(Some(&hash(&model)), script.models.last(), "{harm:?}");
                census.harmless.fetch_add(1, Ordering::Relaxed);
                return;
            }
        },
    };
    count.fetch_add(1, Ordering::Relaxed);
    assert!(reported, "{harm:?} is not reported");
}

#[test]
fn damage_is_refused_or_shows_when_read_and_is_always_reported() {
    let script = Script::new(SyncPolicy::Always, 1, OPERATIONS);
    let disk = SimDisk::new();
    let store = script.open(&disk).expect("the disk works");
    script.run(&store);
    store.close().expect("the disk works");
    assert_eq!(script.position(&store, 1), Some(OPERATIONS));
    drop(store);
    let whole = disk.after_kill();
    let count = |end: &str| {
        let files = whole.files().into_keys();
        files
            .filter(|file| file.to_str().unwrap().ends_with(end))
            .count()
    };
    let counts = [".log", ".data", ".ckpt"].map(count);
    assert!(
        counts[0] > 1 && counts[1] > 0 && counts[2] == 1,
        "{counts:?}"
    );

    let census = Census::default();
    let harms = harms(&whole);
    let tried = side_by_side(&harms, |harm| {
        try_harm(&script, &whole, harm, &census);
        1
    });
    println!("{tried} times damaged: {census:?}");
    let Census {
        refused,
        unreadable,
        harmless,
    } = census;
    assert!(refused.into_inner() > 1000);
    assert!(unreadable.into_inner() > 100 && harmless.into_inner() > 100);
}
