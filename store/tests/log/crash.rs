//! A crash at every call, with every kind of loss, and again during recovery.

use headwater_store::disk::{Loss, SimDisk};
use headwater_store::error::Doing;

use crate::support::{History, SMALL, budget, open, run_script, try_open};

/// The kinds of loss, the random ones several times.
fn losses(seeds: std::ops::Range<u64>) -> impl Iterator<Item = Loss> {
    let random = seeds.flat_map(|seed| [Loss::Pages(seed), Loss::Sectors(seed)]);
    [Loss::Nothing, Loss::All].into_iter().chain(random)
}

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
    let reads = matches!(
        doing,
        Doing::List | Doing::Lock | Doing::Map | Doing::Open | Doing::Read
    );
    if reads {
        crash_at(call + 1)
    } else {
        Some((disk, history))
    }
}

#[test]
fn a_crash_at_any_call_leaves_a_prefix_that_holds_everything_acknowledged() {
    let mut call = 0;
    let mut images = 0_u64;
    let mut shortened = 0;
    while let Some((disk, history)) = crash_at(call) {
        call = disk
            .calls()
            .iter()
            .position(|_| true)
            .map_or(call, |_| call);
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
