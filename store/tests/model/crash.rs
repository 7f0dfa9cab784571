//! One life, crashed at every call to the disk.
//!
//! The disk stops at a call; then the power goes, and of what was not synced anything may be left.
//! What a store finds there is the model as it was after some prefix of the history, and the prefix
//! contains all that was durable. When only the process was killed, it contains all that was
//! written; and when the power goes while the next process starts, all that was durable. A second
//! crash, while the first is being recovered from, changes nothing about that; and life goes on
//! from there as it would have.
//!
//! What is left of one stop is often the same for different losses. It is tried, and counted, once.

use std::collections::HashSet;

use headwater_store::disk::{Loss, SimDisk};
use headwater_store::log::SyncPolicy;

use crate::history::budget;
use crate::script::{Census, Progress, Script, side_by_side, stops};

/// One stop, and what is left of it.
struct Crash<'s> {
    script: &'s Script,
    stop: usize,
    progress: Progress,
    disk: SimDisk,
    seen: HashSet<u64>,
    images: u64,
}

impl Crash<'_> {
    fn at(script: &Script, stop: usize) -> Crash<'_> {
        let disk = SimDisk::new();
        disk.stop_at(stop);
        let store = script.open(&disk);
        let progress = store.map_or_else(|_| Progress::default(), |store| script.run(&store));
        Crash {
            script,
            stop,
            progress,
            disk,
            seen: HashSet::new(),
            images: 0,
        }
    }

    /// Tries what can be left; so many images that differ.
    fn try_all(mut self) -> u64 {
        let written = self.progress.written;
        self.check(&self.disk.after_kill(), written, "killed");
        self.crash_after_kill();
        let first = 1000 * self.stop as u64;
        let seeds = first..first + u64::from(budget());
        let random = seeds.flat_map(|seed| [Loss::Pages(seed), Loss::Sectors(seed)]);
        for loss in [Loss::Nothing, Loss::All].into_iter().chain(random) {
            self.crash(loss);
        }
        self.images
    }

    /// The process is killed, and the power goes while the next one starts: what that one found may
    /// have been known to the kernel only.
    fn crash_after_kill(&mut self) {
        let killed = self.disk.after_kill();
        let probe = killed.after_kill();
        drop(self.script.open(&probe));
        let stops = stops(&probe.calls());
        for again in 0..budget() as usize {
            let at = stops[(self.stop + 7 * again) % stops.len()];
            let image = killed.after_kill();
            image.stop_at(at);
            drop(self.script.open(&image));
            let what = format!("killed, and the power gone at call {at} of the start");
            let seed = (self.stop + again) as u64;
            for loss in [Loss::All, Loss::Sectors(seed)] {
                self.check(&image.after_crash(loss), self.progress.durable, &what);
            }
        }
    }

    fn crash(&mut self, loss: Loss) {
        let image = self.disk.after_crash(loss);
        let durable = self.progress.durable;
        let Some((position, stops)) = self.check(&image, durable, &format!("{loss:?}")) else {
            return;
        };
        for again in 0..2 {
            let at = stops[(self.seen.len() + 7 * again) % stops.len()];
            let image = image.after_kill();
            image.stop_at(at);
            drop(self.script.open(&image));
            let image = image.after_crash(Loss::Sectors(at as u64));
            let what = format!("{loss:?}, and at call {at} of the recovery");
            let found = self.check(&image, durable, &what);
            assert!(
                found.as_ref().is_none_or(|(found, _)| *found == position),
                "stopped at call {}, {what}: {position} operations before, {found:?} then",
                self.stop
            );
        }
    }

    /// Opens what is left and checks that it is the model after at least `floor` operations: after
    /// how many, and where can the start stop? `None` if the same has been left before.
    fn check(&mut self, image: &SimDisk, floor: usize, what: &str) -> Option<(usize, Vec<usize>)> {
        if !self.seen.insert(image.fingerprint()) {
            return None;
        }
        self.images += 1;
        let image = &image.after_kill();
        let Self { script, stop, .. } = *self;
        let calls = script.calls.len();
        let story = format!(
            "{:?}, stopped at call {stop} of {calls}, {what}",
            script.policy
        );
        let store = script.open(image);
        let store = store.unwrap_or_else(|refused| panic!("{story}: {refused}"));
        let stops = stops(&image.calls());
        let position = script.position(&store, floor).unwrap_or_else(|| {
            let before = script.position(&store, 0);
            panic!("{story}: not the model after {floor} operations or more, but {before:?}")
        });
        // Now and then, it goes on from there.
        if (self.images + stop as u64).is_multiple_of(8) {
            let end = script.go_on(&store, position, 5);
            assert_eq!(script.position(&store, end), Some(end), "{story}, gone on");
            store.log().sync().expect("the disk works again");
            drop(store);
            let store = script.open(&image.after_crash(Loss::All));
            let store = store.unwrap_or_else(|refused| panic!("{story}, gone on: {refused}"));
            assert_eq!(script.position(&store, end), Some(end), "{story}, gone on");
        }
        Some((position, stops))
    }
}

/// Lives under a policy, all different.
fn scripts(policy: SyncPolicy) -> impl Iterator<Item = Script> {
    let seeds = 0..2 + u8::try_from(budget()).expect("a budget is small");
    let first = if policy == SyncPolicy::Always { 0 } else { 128 };
    seeds.map(move |seed| Script::new(policy, first + seed, 300))
}

/// Crashes lives at every call.
#[expect(clippy::print_stdout, reason = "says how much was tried")]
fn crash_everywhere(policy: SyncPolicy) {
    let crash = |script: Script| {
        let stops = stops(&script.calls);
        side_by_side(&stops, |&stop| Crash::at(&script, stop).try_all())
    };
    let images: u64 = scripts(policy).map(crash).sum();
    println!("{policy:?}: {images} images of disks");
    // With a budget of 4, both policies together make more than a hundred thousand.
    let expected = 12_500 * u64::from(budget());
    assert!(images > expected, "only {images}");
}

#[test]
fn the_lives_are_worth_crashing() {
    let all = scripts(SyncPolicy::Always).chain(scripts(SyncPolicy::EverySec));
    let lives: Vec<Census> = all.map(|script| script.census).collect();
    for life in &lives {
        let upkeep = &life.upkeep;
        assert!(upkeep.settled_entries > 0, "{life:?}");
        assert!(upkeep.compacted_entries > 0, "{life:?}");
        assert!(upkeep.freed_log_bytes > 0, "{life:?}");
        assert!(upkeep.removed_files > 0 && life.recycled > 0, "{life:?}");
        assert!(life.segments > 1 && life.files > 1, "{life:?}");
    }
    let each =
        |count: fn(&Census) -> u64| lives.iter().map(count).sum::<u64>() / lives.len() as u64;
    assert!(each(|life| life.upkeep.settled_entries) > 100, "{lives:?}");
    assert!(
        each(|life| life.upkeep.freed_log_bytes) > 500_000,
        "{lives:?}"
    );
    assert!(each(|life| life.entries as u64) > 50, "{lives:?}");
    assert!(each(|life| life.streams as u64) > 2, "{lives:?}");
    assert!(each(|life| life.deleted) > 10, "{lives:?}");
    assert!(each(|life| life.trimmed) > 10, "{lives:?}");
    assert!(each(|life| life.delivered) > 2, "{lives:?}");
    assert!(lives.iter().any(|life| life.flushes > 0), "{lives:?}");
    assert!(lives.iter().any(|life| life.copied > 0), "{lives:?}");
}

#[test]
fn a_life_makes_the_same_calls_each_time() {
    let life = || Script::new(SyncPolicy::EverySec, 1, 300).calls;
    assert_eq!(life(), life());
}

#[test]
fn a_crash_leaves_a_prefix_with_all_that_was_durable() {
    crash_everywhere(SyncPolicy::Always);
}

#[test]
fn a_crash_between_syncs_leaves_a_prefix_too() {
    crash_everywhere(SyncPolicy::EverySec);
}
