//! A crash at every call, with every kind of loss, and again during recovery.

use headwater_store::disk::{Loss, SimDisk};
use headwater_store::error::Doing;
use headwater_store::lsn::Lsn;

use crate::support::{
    EPOCH, FRAME, History, SEGMENT, SMALL, append, budget, dir, losses, open, run_script, try_open,
};

/// Runs the script until the machine stops at a call; `None` when it is through before.
fn crash_at(call: usize) -> Option<(SimDisk, History)> {
    let disk = SimDisk::new();
    disk.stop_at(call);
    let mut history = History::default();
    if let Ok((log, _)) = try_open(&disk, &SMALL) {
        run_script(&log, &mut history);
        if log.close().is_ok() {
            return None;
        }
    }
    // A call that only reads leaves what the call before it left.
    let doing = disk.calls()[call].doing;
    let reads = matches!(doing, Doing::List | Doing::Map | Doing::Open | Doing::Read);
    if reads {
        crash_at(call + 1)
    } else {
        Some((disk, history))
    }
}

/// Nothing lies behind the end of the log, in its last segment or in further ones.
fn assert_blank_behind(disk: &SimDisk, end: Lsn) {
    let files = disk.files();
    let (last, bytes) = files.iter().next_back().expect("there is a segment");
    let base: u64 = last.file_stem().unwrap().to_str().unwrap().parse().unwrap();
    let pos = SEGMENT + usize::try_from(end.get() - base).unwrap();
    assert!(
        bytes[pos..].iter().all(|byte| *byte == 0),
        "{} behind {end}",
        last.display()
    );
}

#[test]
fn a_crash_at_any_call_leaves_a_prefix_that_holds_everything_acknowledged() {
    let mut call = 0;
    let mut images = 0_u64;
    let mut shortened = 0;
    while let Some((disk, history)) = crash_at(call) {
        let first = call as u64 * 1000;
        for loss in losses(first..first + 4 * budget()) {
            let image = disk.after_crash(loss);
            let (log, replayed) = match try_open(&image, &SMALL) {
                Ok(opened) => opened,
                Err(refused) => panic!("call {call}, {loss:?}: {refused}"),
            };
            let kept = history.kept(&replayed);
            let acknowledged = history.acknowledged();
            assert!(
                kept >= acknowledged,
                "call {call}, {loss:?}: {kept} of {acknowledged}"
            );
            assert_blank_behind(&image, log.durable());
            shortened += usize::from(kept < history.batches.len());
            images += 1;

            // Life goes on over what was cut off, and is not disturbed by it after another crash.
            let mut second = History {
                batches: history.batches[..kept].to_vec(),
                ..history.clone()
            };
            second.append(&log, &[333, 444]).unwrap();
            second.sync(&log).unwrap();
            second.append(&log, &[555]).unwrap();
            log.try_write().unwrap();
            let (_, replayed) = open(&image.after_crash(loss), &SMALL);
            assert!(second.kept(&replayed) > kept, "call {call}, {loss:?}");
        }
        call += 1;
    }
    assert!(images > 500, "the script is long enough: {images}");
    assert!(shortened > 100, "crashes lose something: {shortened}");
}

#[test]
fn a_crash_during_recovery_changes_nothing_about_its_outcome() {
    let mut call = 0;
    let mut interrupted = 0;
    while let Some((disk, history)) = crash_at(call) {
        for loss in losses(call as u64..call as u64 + 1) {
            let expected = {
                let (_, replayed) = open(&disk.after_crash(loss), &SMALL);
                history.kept(&replayed)
            };
            for stop_at in 0.. {
                let image = disk.after_crash(loss);
                image.stop_at(stop_at);
                if try_open(&image, &SMALL).is_ok() {
                    break;
                }
                interrupted += 1;
                let again = Loss::Sectors(stop_at as u64);
                let (_, replayed) = open(&image.after_crash(again), &SMALL);
                assert_eq!(
                    history.kept(&replayed),
                    expected,
                    "call {call}, {loss:?}, {stop_at}"
                );
            }
        }
        call += if budget() > 1 { 1 } else { 5 };
    }
    assert!(
        interrupted > 500,
        "recovery can be interrupted: {interrupted}"
    );
}

#[test]
fn a_frame_of_an_epoch_that_is_over_does_not_come_back_to_life() {
    let segment = dir().join("00000000000000000000.log");
    let disk = SimDisk::new();
    let (log, _) = open(&disk, &SMALL);
    append(&log, &[1; 100]);
    log.sync().unwrap();
    append(&log, &[2; 200]);
    log.try_write().unwrap();
    let old = log.appended();
    append(&log, &[3; 300]);
    log.try_write().unwrap();
    let bytes = disk.files().remove(&segment).unwrap();

    // The crash takes the two frames that were not synced. The next epoch begins there, and its
    // first record ends just where the second of them began.
    let image = disk.after_crash(Loss::All);
    let (log, _) = open(&image, &SMALL);
    append(&log, &vec![4; 200 - usize::try_from(EPOCH).unwrap()]);
    log.sync().unwrap();
    assert_eq!(log.appended(), old);

    // Now the disk brings that frame back: whole, and in its place.
    let pos = SEGMENT + usize::try_from(old.get()).unwrap();
    let len = 300 + usize::try_from(FRAME).unwrap();
    for (pos, byte) in (pos..).zip(&bytes[pos..pos + len]) {
        image.flip(&segment, pos, *byte);
    }
    let (log, replayed) = open(&image.after_kill(), &SMALL);
    let bodies: Vec<(u8, usize)> = replayed
        .iter()
        .map(|frame| (frame.body[0], frame.body.len()))
        .collect();
    assert_eq!(bodies, [(1, 100), (4, 144)]);
    assert_eq!(log.durable(), old.plus(EPOCH));
}
