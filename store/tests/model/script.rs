//! Lives of a store in which all that upkeep does happens; always the same, so that they can be
//! stopped and disturbed at any call to the disk.

use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread;

use headwater_store::disk::{Call, SimDisk};
use headwater_store::error::{Doing, OpenError};
use headwater_store::log::SyncPolicy;
use headwater_store::{Budgets, Round, Store, StoreOptions, StreamId, UpkeepError};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};

use crate::history::{TICK, options};
use crate::model::{Key, Model};
use crate::operation::{Operation, Outcome, operation};

/// What happens to a store.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    Perform(Operation),
    /// A round of upkeep that leaves so much of the log unsettled.
    Round(u64),
    Sync,
    Write,
}

/// A life.
pub(crate) struct Script {
    pub(crate) policy: SyncPolicy,
    pub(crate) steps: Vec<Step>,
    cache_bytes: u64,
    /// After so many operations, the model has this hash.
    pub(crate) models: Vec<u64>,
    /// What was asked of the disk.
    pub(crate) calls: Vec<Call>,
    pub(crate) census: Census,
}

/// What happened in a life.
#[derive(Clone, Debug, Default)]
pub(crate) struct Census {
    pub(crate) upkeep: Round,
    /// Files of the log that were used again.
    pub(crate) recycled: u64,
    /// The most segments, data files and streams that there were.
    pub(crate) segments: usize,
    pub(crate) files: usize,
    pub(crate) streams: usize,
    /// The greatest number of entries in one stream.
    pub(crate) entries: usize,
    pub(crate) flushes: u64,
    /// Streams with settled entries that were copied, and such entries that were deleted, trimmed,
    /// and read by a group.
    pub(crate) copied: u64,
    pub(crate) deleted: u64,
    pub(crate) trimmed: u64,
    pub(crate) delivered: u64,
}

/// How far a life got before the disk failed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Progress {
    /// So many were durable in the end.
    pub(crate) durable: usize,
    /// So many were at least written.
    pub(crate) written: usize,
}

/// A life on a disk that refused something.
#[derive(Clone, Debug, Default)]
pub(crate) struct Suffered {
    /// After so many operations that happened, the model had this hash.
    pub(crate) models: Vec<u64>,
    pub(crate) progress: Progress,
    /// Operations and rounds that failed.
    pub(crate) refused: u64,
    pub(crate) failed_rounds: u64,
}

impl Script {
    /// A life of so many operations, drawn by a seed. Most find something to do.
    pub(crate) fn new(policy: SyncPolicy, seed: u8, operations: usize) -> Self {
        let mut script = Self {
            policy,
            steps: Vec::new(),
            // So what is read does not depend on chance: nothing fits into the cache, or all does.
            cache_bytes: if seed.is_multiple_of(2) { 0 } else { 8 << 20 },
            models: Vec::new(),
            calls: Vec::new(),
            census: Census::default(),
        };
        script.draw(seed, operations);
        let disk = SimDisk::new();
        let store = script.open(&disk).expect("the disk works");
        script.imagine(&store);
        script.calls = disk.calls();
        script
    }

    fn draw(&mut self, seed: u8, operations: usize) {
        let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[seed; 32]);
        let mut runner = TestRunner::new_with_rng(ProptestConfig::default(), rng);
        let drawn = vec(operation(), 4 * operations).new_tree(&mut runner);
        let drawn = drawn.expect("the strategy rejects nothing").current();
        let mut model = Model::default();
        let mut kept = 0;
        // Between any two that were drawn, one stream grows: it has many entries.
        let all = drawn.into_iter().flat_map(|mut operation| {
            operation.stretch(3);
            [operation, Operation::add(), Operation::add()]
        });
        for mut operation in all {
            // Some of the entries are blocks of their own.
            operation.enlarge([2000, 20, 300, 700, 60, 34_000, 100, 500, 20, 900, 40][kept % 11]);
            let now = kept as u64 * TICK;
            let outcome = operation.imagine(&mut model, now, &Outcome::Done(Vec::new()));
            if !matches!(outcome, Outcome::Done(_)) {
                continue;
            }
            self.steps.push(Step::Perform(operation));
            match (self.policy, kept % 12) {
                (SyncPolicy::Always, 2 | 3 | 7) | (_, 5) => self.steps.push(Step::Sync),
                (SyncPolicy::EverySec, 1 | 2 | 8) => self.steps.push(Step::Write),
                _ => {}
            }
            if kept % 16 == 15 {
                let unsettled = [0, 8 << 10, 0, 40 << 10, 8 << 10];
                self.steps.push(Step::Round(unsettled[kept / 16 % 5]));
            }
            kept += 1;
            if kept == operations {
                return;
            }
        }
        panic!("too few of the operations drawn by seed {seed} find something to do");
    }

    /// How the store is opened.
    pub(crate) fn options(&self) -> StoreOptions {
        let mut options = options();
        options.log.policy = self.policy;
        options.cache_bytes = self.cache_bytes;
        options
    }

    pub(crate) fn open(&self, disk: &SimDisk) -> Result<Arc<Store>, OpenError> {
        Store::open(Arc::new(disk.clone()), Path::new("/store"), self.options())
    }

    /// Leads the whole life, and compares it with the model.
    fn imagine(&mut self, store: &Store) {
        let mut model = Model::default();
        let mut settled = Model::default();
        self.models = vec![hash(&model)];
        for step in &self.steps {
            let Step::Perform(operation) = step else {
                perform(store, step).expect("the disk works");
                if matches!(step, Step::Round(0)) {
                    settled = model.clone();
                }
                continue;
            };
            let now = (self.models.len() - 1) as u64 * TICK;
            let outcome = operation.perform(store, now).expect("the disk works");
            assert_eq!(operation.imagine(&mut model, now, &outcome), outcome);
            self.models.push(hash(&model));
            self.census.count(operation, &outcome, &settled);
            self.census.look(store, &model);
        }
    }

    /// Leads the life until the disk fails.
    pub(crate) fn run(&self, store: &Store) -> Progress {
        let log = store.log();
        let mut ends = vec![log.appended()];
        for step in &self.steps {
            if let Step::Perform(operation) = step {
                let now = (ends.len() - 1) as u64 * TICK;
                if operation.perform(store, now).is_err() {
                    break;
                }
                ends.push(log.appended());
            } else if perform(store, step).is_err() {
                // Upkeep may fail for itself: it frees, and nothing depends on that.
                if log.poisoned().is_some() {
                    break;
                }
            }
        }
        let upto = |mark| ends.partition_point(|&end| end <= mark).saturating_sub(1);
        Progress {
            durable: upto(log.durable()),
            written: upto(log.written()),
        }
    }

    /// Leads the life on a disk that refuses something: what it refuses has not happened, and all
    /// else goes on until the log fails.
    pub(crate) fn suffer(&self, store: &Store) -> Suffered {
        let log = store.log();
        let mut model = Model::default();
        let mut suffered = Suffered {
            models: vec![hash(&model)],
            ..Suffered::default()
        };
        let mut ends = vec![log.appended()];
        for (at, step) in self.steps.iter().enumerate() {
            if log.poisoned().is_some() {
                break;
            }
            let Step::Perform(operation) = step else {
                let failed = perform(store, step).is_err();
                suffered.failed_rounds += u64::from(failed && matches!(step, Step::Round(_)));
                continue;
            };
            let now = at as u64 * TICK;
            let Ok(outcome) = operation.perform(store, now) else {
                suffered.refused += 1;
                continue;
            };
            assert_eq!(operation.imagine(&mut model, now, &outcome), outcome);
            suffered.models.push(hash(&model));
            ends.push(log.appended());
        }
        let upto = |mark| ends.partition_point(|&end| end <= mark).saturating_sub(1);
        suffered.progress = Progress {
            durable: upto(log.durable()),
            written: upto(log.written()),
        };
        suffered
    }

    /// Performs some more operations of a store that was left after so many, with a round at the
    /// end; says after how many it is then.
    pub(crate) fn go_on(&self, store: &Store, from: usize, operations: usize) -> usize {
        let all = self.steps.iter().filter_map(|step| match step {
            Step::Perform(operation) => Some(operation),
            _ => None,
        });
        let mut at = from;
        for operation in all.skip(from).take(operations) {
            let done = operation.perform(store, at as u64 * TICK);
            done.expect("the disk works again");
            at += 1;
        }
        perform(store, &Step::Round(0)).expect("the disk works again");
        at
    }

    /// After how many operations, at least so many, the model was like this store.
    pub(crate) fn position(&self, store: &Store, least: usize) -> Option<usize> {
        position(&self.models, store, least)
    }
}

impl Suffered {
    /// After how many operations, at least so many, the model was like this store.
    pub(crate) fn position(&self, store: &Store, least: usize) -> Option<usize> {
        position(&self.models, store, least)
    }
}

fn position(models: &[u64], store: &Store, least: usize) -> Option<usize> {
    let found = hash(&Model::read(store).0);
    let mut models = models.iter().enumerate().skip(least);
    models.find(|(_, model)| **model == found).map(|(at, _)| at)
}

/// Whether a call changes the disk.
pub(crate) fn changes(call: &Call) -> bool {
    use Doing::{List, Lock, Map, Measure, Open, Read};
    !matches!(call.doing, List | Lock | Map | Measure | Open | Read)
}

/// Where a machine can stop so that the disk differs: before the calls that change it, and behind
/// them all.
pub(crate) fn stops(calls: &[Call]) -> Vec<usize> {
    let changing = calls.iter().enumerate().filter(|(_, call)| changes(call));
    changing.map(|(at, _)| at).chain([calls.len()]).collect()
}

/// Tries all of them, on as many threads as there are processors, and adds up what comes out.
pub(crate) fn side_by_side<T: Sync>(all: &[T], attempt: impl Fn(&T) -> u64 + Sync) -> u64 {
    let (next, sum) = (AtomicUsize::new(0), AtomicU64::new(0));
    let threads = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(one) = all.get(next.fetch_add(1, Ordering::Relaxed)) {
                    sum.fetch_add(attempt(one), Ordering::Relaxed);
                }
            });
        }
    });
    sum.into_inner()
}

impl Census {
    /// Counts an operation; so much was settled before.
    fn count(&mut self, operation: &Operation, outcome: &Outcome, settled: &Model) {
        let Outcome::Done(ids) = outcome else {
            return;
        };
        let stream = |(db, key): Key| settled.streams.get(&(db, key.to_vec()));
        let of_settled = |key| {
            let stream = stream(key);
            let there = |id: &&StreamId| stream.is_some_and(|it| it.entries.contains_key(*id));
            ids.iter().filter(there).count() as u64
        };
        match operation {
            Operation::Copy { from, .. } => {
                self.copied += u64::from(stream(*from).is_some_and(|it| !it.entries.is_empty()));
            }
            Operation::Delete { key, .. } => self.deleted += of_settled(*key),
            Operation::Trim { key, .. } => self.trimmed += of_settled(*key),
            Operation::Read { key, .. } => self.delivered += of_settled(*key),
            Operation::Flush { .. } => self.flushes += 1,
            _ => {}
        }
    }

    fn look(&mut self, store: &Store, model: &Model) {
        let log = store.log().stats();
        let entries = model.streams.values().map(|stream| stream.entries.len());
        self.upkeep = store.upkeep_stats().total;
        self.recycled = log.recycled;
        self.segments = self.segments.max(log.segments);
        self.files = self.files.max(store.data_stats().files);
        self.streams = self.streams.max(model.streams.len());
        self.entries = self.entries.max(entries.max().unwrap_or(0));
    }
}

/// Performs a step that is no operation.
fn perform(store: &Store, step: &Step) -> Result<(), UpkeepError> {
    match step {
        Step::Perform(_) => unreachable!("operations are performed by name"),
        Step::Round(settle_after) => {
            store.set_budgets(Budgets {
                settle_after: *settle_after,
                checkpoint_after: 0,
            });
            store.round()?;
        }
        Step::Sync => drop(store.log().sync()?),
        Step::Write => drop(store.log().try_write()?),
    }
    Ok(())
}

pub(crate) fn hash(model: &Model) -> u64 {
    BuildHasherDefault::<DefaultHasher>::default().hash_one(model)
}
