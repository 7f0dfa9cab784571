//! One history, crashed at every call to the disk.
//!
//! The disk stops at a call; then the power goes, and of what was not synced anything may be left.
//! What a store finds there is the model as it was after some prefix of the history, and the prefix
//! contains all that was durable. When only the process was killed, it contains all that was
//! written. A second crash, while the first is being recovered from, changes nothing about that.

use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::path::Path;
use std::sync::Arc;

use headwater_store::disk::{Loss, SimDisk};
use headwater_store::log::SyncPolicy;
use headwater_store::{Store, StoreOptions};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use crate::history::{TICK, budget, options};
use crate::model::Model;
use crate::operation::{Operation, Outcome, operation};

/// Some operations, always the same, most of which find something to do; entries are so large that
/// they fill several segments.
fn script() -> Vec<Operation> {
    let mut runner = TestRunner::deterministic();
    let drawn = vec(operation(), 1000).new_tree(&mut runner);
    let drawn = drawn.expect("the strategy rejects nothing").current();
    let mut model = Model::default();
    let mut script = Vec::new();
    for mut operation in drawn {
        operation.enlarge(3000);
        let now = script.len() as u64 * TICK;
        let outcome = operation.imagine(&mut model, now, &Outcome::Done(Vec::new()));
        if matches!(outcome, Outcome::Done(_)) {
            script.push(operation);
        }
    }
    script.truncate(180);
    script
}

fn open(disk: &SimDisk, policy: SyncPolicy) -> Option<Arc<Store>> {
    let mut options: StoreOptions = options();
    options.log.policy = policy;
    Store::open(Arc::new(disk.clone()), Path::new("/store"), options).ok()
}

/// What became of a history.
struct Run {
    /// After so many operations, the model had this hash.
    models: Vec<u64>,
    /// So many operations were durable in the end.
    durable: usize,
    /// So many were at least written.
    written: usize,
}

fn hash(model: &Model) -> u64 {
    BuildHasherDefault::<DefaultHasher>::default().hash_one(model)
}

/// Performs the script until the disk stops.
fn run(script: &[Operation], disk: &SimDisk, policy: SyncPolicy) -> Run {
    let mut model = Model::default();
    let mut run = Run {
        models: vec![hash(&model)],
        durable: 0,
        written: 0,
    };
    let Some(store) = open(disk, policy) else {
        return run;
    };
    let log = store.log();
    let mut ends = vec![log.appended()];
    for (index, operation) in script.iter().enumerate() {
        let now = index as u64 * TICK;
        let Ok(outcome) = operation.perform(&store, now) else {
            break;
        };
        assert_eq!(operation.imagine(&mut model, now, &outcome), outcome);
        run.models.push(hash(&model));
        ends.push(log.appended());
        let alive = match (policy, index % 12) {
            (SyncPolicy::Always, 2 | 3 | 7) | (_, 5) => log.sync().is_ok(),
            (SyncPolicy::EverySec, 1 | 2 | 8) => log.try_write().is_ok(),
            _ => true,
        };
        // Upkeep may fail for itself: it frees, and nothing depends on that.
        if !alive || (index % 25 == 20 && store.round().is_err() && log.poisoned().is_some()) {
            break;
        }
    }
    run.durable = ends
        .partition_point(|&end| end <= log.durable())
        .saturating_sub(1);
    run.written = ends
        .partition_point(|&end| end <= log.written())
        .saturating_sub(1);
    run
}

/// Opens what is left and checks that it is the model after at least `floor` operations.
fn check(image: &SimDisk, policy: SyncPolicy, run: &Run, floor: usize, story: &str) {
    let store = open(image, policy).unwrap_or_else(|| panic!("{story}: does not open"));
    let found = hash(&Model::read(&store).0);
    let after = run.models[floor..].iter().position(|&model| model == found);
    assert!(
        after.is_some(),
        "{story}: not the model after {floor} to {} operations, but after {:?}",
        run.models.len() - 1,
        run.models.iter().position(|&model| model == found),
    );
    // It goes on from there.
    let dump = store.dump().expect("the disk works");
    store.log().close().expect("the disk works again");
    drop(store);
    assert_eq!(
        open(image, policy)
            .expect("it was closed")
            .dump()
            .expect("the disk works"),
        dump,
        "{story}"
    );
}

fn crash_everywhere(policy: SyncPolicy) {
    let script = script();
    let disk = SimDisk::new();
    let whole = run(&script, &disk, policy);
    assert_eq!(whole.models.len(), script.len() + 1);
    let calls = disk.calls().len();
    for stop in 0..=calls {
        let disk = SimDisk::new();
        disk.stop_at(stop);
        let run = run(&script, &disk, policy);
        let story = |what: &str| format!("{policy:?}, stopped at call {stop} of {calls}, {what}");
        check(
            &disk.after_kill(),
            policy,
            &run,
            run.written,
            &story("killed"),
        );
        let seed = stop as u64;
        for loss in [
            Loss::Nothing,
            Loss::All,
            Loss::Pages(seed),
            Loss::Sectors(seed),
        ] {
            let image = disk.after_crash(loss);
            check(
                &image,
                policy,
                &run,
                run.durable,
                &story(&format!("{loss:?}")),
            );
            let probe = image.after_kill();
            drop(open(&probe, policy));
            let calls = probe.calls().len() + 1;
            for again in 0..budget() as usize {
                let at = (stop + again) % calls;
                let image = image.after_kill();
                image.stop_at(at);
                drop(open(&image, policy));
                let image = image.after_crash(Loss::Sectors(seed + 1));
                let what = format!("{loss:?}, and at call {at} of the recovery");
                check(&image, policy, &run, run.durable, &story(&what));
            }
        }
    }
}

#[test]
fn the_script_is_worth_crashing() {
    let disk = SimDisk::new();
    let script = script();
    let store = open(&disk, SyncPolicy::EverySec).unwrap();
    let mut done = 0;
    for (index, operation) in script.iter().enumerate() {
        let outcome = operation.perform(&store, index as u64 * TICK).unwrap();
        done += usize::from(matches!(outcome, Outcome::Done(_)));
    }
    store.log().sync().unwrap();
    assert!(
        done > 100,
        "{done} of {} operations do something",
        script.len()
    );
    assert!(
        store.log().stats().segments > 2,
        "{:?}",
        store.log().stats()
    );
}

#[test]
fn a_crash_leaves_a_prefix_with_all_that_was_durable() {
    crash_everywhere(SyncPolicy::Always);
}

#[test]
fn a_crash_between_syncs_leaves_a_prefix_too() {
    crash_everywhere(SyncPolicy::EverySec);
}
