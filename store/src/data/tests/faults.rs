//! A disk that fails while a file is written, and power that goes.

use std::path::Path;

use super::{DIR, Node, entries, names, node, open, path, read_anew, write};
use crate::data::Extent;
use crate::disk::{Call, Fault, Loss, Repeat, SimDisk};
use crate::error::Doing;

/// Enough for several writes, each with its sync, and several allocations.
fn streams() -> Vec<(u64, Vec<Node>)> {
    let large = |from| (from, vec![node(from, from + 50, 40_000)]);
    vec![large(1), (2, vec![node(5, 6, 10)]), large(3), large(4)]
}

fn is_write(call: &Call) -> bool {
    call.doing == Doing::Write
}

#[test]
fn a_refusal_at_any_call_leaves_no_file_and_no_account() {
    let calls = {
        let disk = SimDisk::new();
        let data = open(&disk);
        let before = disk.calls().len();
        write(&data, &streams()).unwrap();
        disk.calls().split_off(before)
    };
    assert!(calls.iter().filter(|call| is_write(call)).count() > 5);
    for (fault, repeat) in [
        (Fault::Io, Repeat::Once),
        (Fault::NoSpace, Repeat::Once),
        (Fault::ShortWrite, Repeat::Once),
        (Fault::ReadOnly, Repeat::Forever),
    ] {
        for (at, call) in calls.iter().enumerate() {
            let what = format!("{fault:?} {repeat:?} at call {at}, {call:?}");
            let disk = SimDisk::new();
            let data = open(&disk);
            disk.fail(disk.calls().len() + at, fault, repeat);
            let written = write(&data, &streams()).map(|_| ());
            if matches!(fault, Fault::NoSpace) && call.doing == Doing::Allocate {
                // There is no room to allocate ahead, but for what is needed there is.
                written.unwrap();
                continue;
            }
            let refused = written.unwrap_err();
            assert_eq!(refused.doing, call.doing, "{what}: {refused}");
            assert!(data.files().is_empty(), "{what}");
            assert_eq!((data.stats().files, data.stats().bytes), (0, 0), "{what}");
            assert!(
                repeat == Repeat::Forever || names(&disk).is_empty(),
                "{what}"
            );
            disk.heal();
            // The next has another number, and nothing to do with it.
            let extents = write(&data, &[(1, vec![node(1, 2, 10)])]).unwrap();
            assert_eq!(extents[0].file.number(), 2, "{what}");
            // What could not be removed then is at the next start.
            drop((extents, data));
            let data = open(&disk);
            data.remove_orphans(|number| number == 2).unwrap();
            let left = data.disk.list(Path::new(DIR)).unwrap();
            assert_eq!(left, ["00000000000000000002.data"], "{what}");
        }
    }
}

#[test]
fn a_full_disk_shows_before_the_file_is_written() {
    let disk = SimDisk::new();
    let data = open(&disk);
    disk.set_capacity(Some(1 << 20));
    assert!(write(&data, &streams()).unwrap_err().is_shortage());
    assert!(!disk.calls().iter().any(is_write));
    assert_eq!((names(&disk), disk.allocated()), (vec![], 0));
    // Nor does anything find out by writing.
    disk.set_capacity(Some(5 << 20));
    assert_eq!(write(&data, &streams()).unwrap_err().doing, Doing::Allocate);
    // What was allocated ahead and not needed is given back.
    disk.set_capacity(Some(4 << 20));
    let extents = write(&data, &[(1, vec![node(1, 2, 10)])]).unwrap();
    assert_eq!(disk.allocated(), extents[0].file.len());
}

#[test]
fn a_finished_file_survives_any_crash_and_an_unfinished_one_is_forgotten() {
    let finished = SimDisk::new();
    let extents = write(&open(&finished), &streams()).unwrap();
    let check = |disk: &SimDisk| {
        let data = open(disk);
        let file = data.adopt(1, extents[0].file.len()).unwrap();
        for (extent, (_, nodes)) in extents.iter().zip(streams()) {
            let extent = Extent::from_parts(file.clone(), extent.row).unwrap();
            assert_eq!(read_anew(&data, &extent).unwrap(), entries(&nodes));
        }
    };
    check(&finished.after_crash(Loss::All));
    check(&finished.after_crash(Loss::Sectors(1)));

    let disk = SimDisk::new();
    let before = {
        open(&disk);
        disk.calls().len()
    };
    for at in before.. {
        let disk = SimDisk::new();
        let data = open(&disk);
        disk.stop_at(at);
        if write(&data, &streams()).is_ok() {
            break;
        }
        for loss in [Loss::Nothing, Loss::All, Loss::Pages(1), Loss::Sectors(2)] {
            let data = open(&disk.after_crash(loss));
            data.remove_orphans(|_| false).unwrap();
            assert_eq!(data.disk.list(Path::new(DIR)).unwrap(), [""; 0]);
        }
    }
}

#[test]
fn no_sync_has_much_to_do() {
    let disk = SimDisk::new();
    write(&open(&disk), &streams()).unwrap();
    let calls = disk.calls();
    let written = calls.iter().position(is_write).unwrap();
    let unsynced = calls[written..].windows(2);
    let pairs = unsynced.filter(|pair| pair.iter().all(is_write));
    assert_eq!(
        pairs.count(),
        0,
        "every write is synced before the next: {calls:?}"
    );
    let syncs = calls[written..]
        .iter()
        .filter(|call| call.doing == Doing::Sync);
    assert!(syncs.count() as u64 > disk.files()[&path(1)].len() as u64 >> 21);
}
