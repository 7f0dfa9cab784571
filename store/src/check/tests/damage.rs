//! Damage to files: it is found, and the right file is named.

use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use proptest::collection::vec;
use proptest::prelude::any;
use proptest::proptest;
use proptest::test_runner::Config as ProptestConfig;

use super::{DIR, Told, capture, files, log_only, path, segments, settled, told};
use crate::check::Severity;
use crate::disk::{Disk, SimDisk};
use crate::lsn::Lsn;
use crate::store::{Store, StoreOptions};

const DATA: &str = "data/00000000000000000001.data";
const CHECKPOINT: &str = "checkpoint/00000000000000000001.ckpt";

/// What a file holds, without the zeros at its end.
fn content(disk: &SimDisk, file: &Path) -> Vec<u8> {
    let mut bytes = disk.files().remove(file).unwrap();
    let len = bytes.iter().rposition(|byte| *byte != 0).unwrap();
    bytes.truncate(len + 1);
    bytes
}

/// Some of the bytes of a file: all that can be afforded.
fn some(len: usize) -> impl Iterator<Item = usize> {
    (0..len).filter(move |pos| *pos < 64 || pos % 97 == 0 || pos + 64 > len)
}

/// What is told once the damage is done.
fn after(damage: impl Fn(&SimDisk)) -> Told {
    let disk = settled();
    damage(&disk);
    told(&disk)
}

fn swap(disk: &SimDisk, [one, other]: [&Path; 2]) {
    let aside = one.with_extension("aside");
    disk.rename(one, &aside).unwrap();
    disk.rename(other, one).unwrap();
    disk.rename(&aside, other).unwrap();
}

fn copy(disk: &SimDisk, from: &Path, to: &Path) {
    let bytes = disk.files().remove(from).unwrap();
    let file = disk.create(to, bytes.len() as u64).unwrap();
    file.write_at(0, &bytes).unwrap();
}

#[test]
fn every_damaged_byte_and_every_missing_end_of_a_needed_file_shows() {
    let whole = settled();
    let data = [path(DATA), path(CHECKPOINT)];
    for file in segments(&whole).into_iter().chain(data) {
        let len = content(&whole, &file).len();
        for pos in some(len) {
            let image = whole.after_kill();
            image.flip(&file, pos, 0x10);
            let found = told(&image);
            assert!(
                found.shows(Severity::Damage, &file),
                "{pos} of {file:?}: {found:?}"
            );

            let image = whole.after_kill();
            image.truncate(&file, pos);
            let found = told(&image);
            assert!(
                found.shows(Severity::Damage, &file),
                "{pos} of {file:?}: {found:?}"
            );
        }
    }
}

#[test]
fn bytes_behind_the_frames_are_torn_at_the_end_and_nothing_elsewhere() {
    let whole = log_only();
    let segments = segments(&whole);
    for (index, file) in segments.iter().enumerate() {
        let image = whole.after_kill();
        image.flip(file, content(&whole, file).len() + 50, 1);
        let found = told(&image);
        if index + 1 < segments.len() {
            assert_eq!(found.lines(), [""; 0]);
        } else {
            assert!(found.shows(Severity::Torn, file));
            assert_eq!(found.summary.worst, Some(Severity::Torn));
        }
    }
}

#[test]
fn a_log_that_was_torn_says_what_a_start_cuts_off() {
    let disk = log_only();
    let segments = segments(&disk);
    let [.., last] = &segments[..] else {
        panic!("there are segments");
    };
    // The witness of the end is gone, and so is the end; then a file that never got its header.
    let len = content(&disk, last).len();
    for pos in len - 60..len {
        disk.flip(last, pos, 0xff);
    }
    drop(
        disk.create(&path("log/00000000000000099999.log"), 8192)
            .unwrap(),
    );
    let found = told(&disk);
    let lines = found.lines();
    assert_eq!(lines.len(), 2, "{lines:?}");
    let torn = format!("torn   {}: torn at LSN ", last.display());
    assert!(lines[0].starts_with(&torn), "{lines:?}");
    assert_eq!(
        lines[1],
        "torn   /db/log/00000000000000099999.log: lies behind a tear; a start removes it"
    );
}

#[test]
fn a_missing_segment_shows() {
    for index in 0..segments(&settled()).len() {
        let found = after(|disk| disk.remove(&segments(disk)[index]).unwrap());
        assert_eq!(found.summary.worst, Some(Severity::Damage), "{index}");
    }
}

#[test]
fn all_damage_to_the_log_shows_not_just_the_first() {
    let found = after(|disk| {
        for file in &segments(disk)[..2] {
            disk.flip(file, 4096 + 500, 1);
            disk.flip(file, 4096 + 1500, 1);
        }
    });
    let disk = settled();
    let [first, second, ..] = &segments(&disk)[..] else {
        panic!("there are segments");
    };
    let lines = found.lines();
    let of = |file: &PathBuf| {
        let file = file.display().to_string();
        lines.iter().filter(|line| line.contains(&file)).count()
    };
    assert_eq!([of(first), of(second)], [2, 2], "{lines:?}");
}

#[test]
fn files_with_the_names_of_others_show() {
    let found = after(|disk| {
        let segments = segments(disk);
        swap(disk, [&segments[0], &segments[1]]);
    });
    let disk = settled();
    for file in &segments(&disk)[..2] {
        assert!(found.shows(Severity::Damage, file), "{found:?}");
    }
    let data = files(&disk, "data");
    let found = after(|disk| swap(disk, [&data[0], &data[1]]));
    for file in &data {
        assert!(found.shows(Severity::Damage, file), "{found:?}");
    }
}

#[test]
fn a_data_file_that_is_missing_shows_with_the_checkpoint_that_needs_it() {
    let found = after(|disk| disk.remove(&path(DATA)).unwrap());
    let line = format!("damage /db/{DATA}: is not there, and /db/{CHECKPOINT} needs it");
    assert_eq!(found.lines(), [line]);
}

#[test]
fn a_data_file_of_another_length_than_the_checkpoint_says_shows() {
    let disk = settled();
    let until = { super::open_log(&disk) }.durable();
    let len = disk.files()[&path(DATA)].len() as u64;
    let file = crate::checkpoint::DataFileItem {
        number: 1,
        len: len + 1,
    };
    capture(&disk, 2, until, vec![file]);
    let found = told(&disk);
    let line = format!(
        "damage /db/{DATA} is damaged at byte 0: a length of {len} bytes where {} were made",
        len + 1
    );
    assert!(found.lines().contains(&line), "{:?}", found.lines());
}

#[test]
fn a_copy_under_another_number_is_nobodys() {
    let found = after(|disk| copy(disk, &path(DATA), &path("data/00000000000000000007.data")));
    let copied = path("data/00000000000000000007.data");
    assert!(found.shows(Severity::Note, &copied));
    assert_eq!(found.summary.worst, Some(Severity::Note), "{found:?}");
}

#[test]
fn the_checkpoint_before_takes_the_place_of_a_damaged_one() {
    let disk = settled();
    let until = { super::open_log(&disk) }.durable();
    capture(&disk, 2, until, Vec::new());
    // Whole, the newer one needs no data files.
    let found = told(&disk);
    assert_eq!(found.lines().len(), 3, "{:?}", found.lines());
    let superseded = "is not needed any more; a start removes it";
    assert!(found.lines().iter().all(|line| line.ends_with(superseded)));
    // Damaged, it is as good as gone, but what it is remains damage.
    let newer = path("checkpoint/00000000000000000002.ckpt");
    disk.flip(&newer, 50, 1);
    let found = told(&disk);
    assert_eq!(found.lines().len(), 1, "{:?}", found.lines());
    assert!(found.shows(Severity::Damage, &newer));
    // Without the newer one, data files that the older names are looked for.
    disk.remove(&path(DATA)).unwrap();
    assert!(told(&disk).shows(Severity::Damage, &path(DATA)));
}

#[test]
fn a_checkpoint_that_needs_more_log_than_there_is_shows() {
    let found = after(|disk| disk.remove(&segments(disk)[0]).unwrap());
    let lines = found.lines();
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(
        lines[0].starts_with("damage the log begins at LSN "),
        "{lines:?}"
    );
    // One that claims to have seen more than was ever written.
    let disk = settled();
    capture(&disk, 2, Lsn::new(1 << 40), Vec::new());
    let found = told(&disk);
    let last = segments(&disk).pop().unwrap();
    assert!(found.shows(Severity::Damage, &last), "{found:?}");
}

#[test]
fn without_a_whole_checkpoint_the_rest_is_checked_for_itself() {
    let found = after(|disk| disk.flip(&path(CHECKPOINT), 50, 1));
    assert_eq!(found.lines().len(), 1, "{:?}", found.lines());
    let found = after(|disk| {
        disk.flip(&path(CHECKPOINT), 50, 1);
        disk.flip(&path(DATA), 5000, 1);
        disk.remove(&segments(disk)[0]).unwrap();
        disk.flip(&segments(disk)[0], 4096 + 300, 1);
    });
    assert!(found.shows(Severity::Damage, &path(DATA)));
    assert_eq!(found.lines().len(), 3, "{:?}", found.lines());
}

static SETTLED: LazyLock<SimDisk> = LazyLock::new(settled);
static LOG_ONLY: LazyLock<SimDisk> = LazyLock::new(log_only);

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 200,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn no_damage_stops_a_check(
        damage in vec((any::<usize>(), any::<usize>(), any::<u8>()), 1..9),
        cuts in vec((any::<usize>(), any::<usize>()), 0..2),
    ) {
        let disk = SETTLED.after_kill();
        let names: Vec<PathBuf> = disk.files().into_keys().collect();
        for (file, pos, mask) in damage {
            let file = &names[file % names.len()];
            disk.flip(file, pos % disk.files()[file].len(), mask);
        }
        for (file, len) in cuts {
            let file = &names[file % names.len()];
            disk.truncate(file, len % disk.files()[file].len());
        }
        told(&disk);
    }

    #[test]
    fn a_check_says_what_a_start_does(
        damage in vec((any::<usize>(), any::<usize>(), any::<u8>()), 1..4),
    ) {
        let disk = LOG_ONLY.after_kill();
        let open = |disk: &SimDisk| {
            let disk = Arc::new(disk.after_kill());
            let opened = Store::open(disk, Path::new(DIR), StoreOptions::default());
            opened.map(|store| store.dump().unwrap())
        };
        let whole = open(&disk).unwrap();
        let segments = segments(&disk);
        for (file, pos, mask) in damage {
            let file = &segments[file % segments.len()];
            disk.flip(file, pos % 8192, mask);
        }
        match (told(&disk).summary.worst, open(&disk)) {
            (None | Some(Severity::Note), opened) => assert_eq!(opened.unwrap(), whole),
            (Some(Severity::Torn), opened) => assert!(opened.is_ok()),
            (Some(Severity::Unread | Severity::Damage), opened) => assert!(opened.is_err()),
        }
    }
}
