//! Lives on a disk of which any call fails: the one, or all from it on.
//!
//! What was refused has not happened, and nothing else is changed by that: a round that fails
//! harms nothing, and the next one does what it did not. When the log fails, nothing is
//! acknowledged any more. Whoever starts after that finds everything that was acknowledged, and can
//! keep it.

use std::sync::atomic::{AtomicU64, Ordering};

use headwater_store::Store;
use headwater_store::disk::{Call, Fault, Loss, Repeat, SimDisk};
use headwater_store::error::Doing;
use headwater_store::log::{Growth, SyncPolicy};

use crate::history::budget;
use crate::script::{Script, Suffered, changes, side_by_side};

/// How one life is disturbed.
#[derive(Clone, Debug)]
struct Trouble {
    at: usize,
    #[expect(dead_code, reason = "printed when a test fails")]
    call: Call,
    fault: Fault,
    repeat: Repeat,
}

/// All troubles that differ. Reads fail in one way, and only writes can be short.
fn troubles(calls: &[Call]) -> Vec<Trouble> {
    let faults = |call: &Call| match call.doing {
        Doing::Write => &[
            Fault::Io,
            Fault::NoSpace,
            Fault::ReadOnly,
            Fault::ShortWrite,
        ][..],
        _ if changes(call) => &[Fault::Io, Fault::NoSpace, Fault::ReadOnly],
        _ => &[Fault::Io],
    };
    let mut troubles = Vec::new();
    for (at, call) in calls.iter().enumerate() {
        for &fault in faults(call) {
            for repeat in [Repeat::Once, Repeat::Forever] {
                let call = call.clone();
                troubles.push(Trouble {
                    at,
                    call,
                    fault,
                    repeat,
                });
            }
        }
    }
    troubles
}

/// What came of troubles. Numbers are those of lives, operations and rounds.
#[derive(Debug, Default)]
struct Census {
    poisoned: AtomicU64,
    refused: AtomicU64,
    failed_rounds: AtomicU64,
}

impl Census {
    fn count(&self, suffered: &Suffered, poisoned: bool) {
        let add = |sum: &AtomicU64, more| sum.fetch_add(more, Ordering::Relaxed);
        add(&self.poisoned, poisoned.into());
        add(&self.refused, suffered.refused);
        add(&self.failed_rounds, suffered.failed_rounds);
    }
}

/// Leads a life with a trouble in it.
fn live(script: &Script, trouble: &Trouble, census: &Census) {
    let disk = SimDisk::new();
    disk.fail(trouble.at, trouble.fault, trouble.repeat);
    let Ok(store) = script.open(&disk) else {
        // Nothing had been there.
        let next = script.open(&disk.after_kill());
        return drop(next.expect("the disk works again"));
    };
    let suffered = script.suffer(&store);
    let poisoned = store.log().poisoned().is_some();
    census.count(&suffered, poisoned);
    let killed = disk.after_kill();
    let lost = [Loss::All, Loss::Sectors(trouble.at as u64)].map(|loss| disk.after_crash(loss));

    // What was done can be read, all of it, and what was not done left no trace.
    disk.heal();
    let done = suffered.models.len() - 1;
    assert_eq!(suffered.position(&store, done), Some(done), "{trouble:?}");
    if poisoned {
        assert_silent(&store);
    } else {
        let round = store.round();
        round.unwrap_or_else(|error| panic!("{trouble:?}, and the next round: {error}"));
        assert_eq!(suffered.position(&store, done), Some(done), "{trouble:?}");
    }
    drop(store);

    // Whoever starts next finds what was written, better than the disk may know it, and keeps it.
    let progress = &suffered.progress;
    let kept = start(script, &suffered, &killed, progress.written);
    let kept = kept.unwrap_or_else(|refused| panic!("{trouble:?}: {refused}"));
    let image = killed.after_crash(Loss::All);
    assert_eq!(
        start(script, &suffered, &image, kept),
        Ok(kept),
        "{trouble:?}"
    );
    for image in lost {
        let found = start(script, &suffered, &image, progress.durable);
        found.unwrap_or_else(|refused| panic!("{trouble:?}, and the power gone: {refused}"));
    }
}

/// Starts from what is left of a life. After how many operations, at least so many, is it like the
/// model?
fn start(
    script: &Script,
    suffered: &Suffered,
    image: &SimDisk,
    least: usize,
) -> Result<usize, String> {
    let store = script.open(image).map_err(|refused| refused.to_string())?;
    let found = suffered.position(&store, least);
    found.ok_or_else(|| format!("not the model after {least} operations or more"))
}

/// Starts, with a trouble in it, from what is left of a life; then without.
fn start_twice(script: &Script, suffered: &Suffered, killed: &SimDisk, trouble: &Trouble) {
    let progress = &suffered.progress;
    let image = killed.after_kill();
    image.fail(trouble.at, trouble.fault, trouble.repeat);
    let opened = script.open(&image);
    let lost = image.after_crash(Loss::All);
    if let Ok(store) = opened {
        image.heal();
        let found = suffered.position(&store, progress.written);
        assert!(found.is_some(), "{trouble:?}: started with other data");
    }
    for (image, least) in [
        (image.after_kill(), progress.written),
        (lost, progress.durable),
    ] {
        let found = start(script, suffered, &image, least);
        found.unwrap_or_else(|refused| panic!("after {trouble:?} in a start: {refused}"));
    }
}

/// A log that has failed takes nothing and acknowledges nothing.
fn assert_silent(store: &Store) {
    let log = store.log();
    let marks = (log.written(), log.durable());
    assert!(log.append(Growth::Frees, 1).is_err());
    assert!(log.try_write().is_err() && log.sync().is_err());
    assert!(store.round().is_err() && store.close().is_err());
    assert_eq!((log.written(), log.durable()), marks);
}

/// How many lives are led over and over under each policy.
fn lives() -> u64 {
    u64::from(budget().div_ceil(2))
}

/// Lives under a policy, short ones: each is led a thousand times.
fn scripts(policy: SyncPolicy) -> impl Iterator<Item = Script> {
    let seeds = 0..u8::try_from(lives()).expect("a budget is small");
    let first = if policy == SyncPolicy::Always { 0 } else { 128 };
    seeds.map(move |seed| Script::new(policy, first + seed, 100))
}

/// Disturbs lives at every call.
#[expect(clippy::print_stdout, reason = "says how much was tried")]
fn disturb_everywhere(policy: SyncPolicy) {
    let census = Census::default();
    let mut led = 0;
    for script in scripts(policy) {
        let upkeep = &script.census.upkeep;
        assert!(
            upkeep.settled_entries > 0 && upkeep.compacted_entries > 0,
            "{upkeep:?}"
        );
        assert!(
            script.census.recycled > 0 && upkeep.removed_files > 0,
            "{upkeep:?}"
        );
        let troubles = troubles(&script.calls);
        led += side_by_side(&troubles, |trouble| {
            live(&script, trouble, &census);
            1
        });
    }
    println!("{policy:?}: {led} lives with a failing disk: {census:?}");
    let Census {
        poisoned,
        refused,
        failed_rounds,
    } = census;
    assert!(led > 1000 * lives(), "only {led}");
    assert!(poisoned.into_inner() > 100 * lives());
    assert!(refused.into_inner() > 100 * lives());
    assert!(failed_rounds.into_inner() > 100 * lives());
}

#[test]
fn whatever_call_fails_nothing_acknowledged_is_lost_and_a_failed_round_harms_nothing() {
    disturb_everywhere(SyncPolicy::Always);
}

#[test]
fn whatever_call_fails_between_syncs_a_restart_finds_what_was_durable() {
    disturb_everywhere(SyncPolicy::EverySec);
}

#[test]
fn a_start_that_fails_at_any_call_leaves_everything_to_the_next() {
    let mut starts = 0;
    for script in scripts(SyncPolicy::Always).chain(scripts(SyncPolicy::EverySec)) {
        // What lives leave that end in the middle of everything.
        for stop in (script.calls.len() / 3..script.calls.len()).step_by(97) {
            let disk = SimDisk::new();
            disk.stop_at(stop);
            let store = script.open(&disk).expect("it stops later");
            let suffered = script.suffer(&store);
            drop(store);
            let killed = disk.after_kill();
            let probe = killed.after_kill();
            drop(script.open(&probe).expect("the disk works"));
            starts += side_by_side(&troubles(&probe.calls()), |trouble| {
                start_twice(&script, &suffered, &killed, trouble);
                1
            });
        }
    }
    println!("{starts} starts on a failing disk");
    assert!(starts > 500 * lives(), "only {starts}");
}
