//! Random histories, with closing and opening as an operation like any other.

use std::path::Path;
use std::sync::Arc;

use headwater_store::disk::SimDisk;
use headwater_store::history::HistoryId;
use headwater_store::log::{LogOptions, Opening};
use headwater_store::{Budgets, Store, StoreOptions};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::model::Model;
use crate::operation::{Operation, operation};

/// How many milliseconds pass between operations.
pub(crate) const TICK: u64 = 10;

pub(crate) fn budget() -> u32 {
    let budget = std::env::var("HEADWATER_BUDGET");
    budget.map_or(1, |budget| {
        budget.parse().expect("HEADWATER_BUDGET is a number")
    })
}

pub(crate) fn options() -> StoreOptions {
    StoreOptions {
        log: LogOptions {
            segment_bytes: 64 << 10,
            reserve_bytes: 4 << 10,
            ..LogOptions::default()
        },
        role: Opening::Lead(HistoryId::new([1; HistoryId::BYTES])),
        budgets: Budgets {
            settle_after: 0,
            checkpoint_after: 0,
        },
        cache_bytes: 64 << 10,
    }
}

#[derive(Clone, Debug)]
enum Step {
    Perform(Operation),
    Reopen,
    /// A round of upkeep that leaves so much of the log unsettled.
    Round(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        40 => operation().prop_map(Step::Perform),
        1 => Just(Step::Reopen),
        2 => prop_oneof![Just(0), 0..10_000_u64].prop_map(Step::Round),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 150 * budget(),
        // A history that fails is printed, and becomes a test with a name.
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn a_store_does_what_the_model_does(history in vec(step(), 1..150)) {
        let disk = Arc::new(SimDisk::new());
        let open = || Store::open(disk.clone(), Path::new("/store"), options()).unwrap();
        let mut store = open();
        let mut model = Model::default();
        for (index, step) in history.iter().enumerate() {
            let now = index as u64 * TICK;
            match step {
                Step::Perform(operation) => {
                    let outcome = operation.perform(&store, now).unwrap();
                    let imagined = operation.imagine(&mut model, now, &outcome);
                    prop_assert_eq!(outcome, imagined, "{:?} at {}", operation, now);
                }
                Step::Round(settle_after) => {
                    let before = store.dump().unwrap();
                    store.set_budgets(Budgets {
                        settle_after: *settle_after,
                        checkpoint_after: 0,
                    });
                    store.round().unwrap();
                    prop_assert_eq!(store.dump().unwrap(), before);
                }
                Step::Reopen => {
                    let before = store.dump().expect("the disk works");
                    store.log().close().unwrap();
                    drop(store);
                    store = open();
                    prop_assert_eq!(store.dump().expect("the disk works"), before);
                }
            }
            let (read, lags) = Model::read(&store);
            prop_assert_eq!(lags, model.lags(), "after {:?}", step);
            prop_assert_eq!(&read, &model, "after {:?}", step);
        }
        let before = store.dump().expect("the disk works");
        store.log().close().unwrap();
        drop(store);
        prop_assert_eq!(open().dump().expect("the disk works"), before);
    }
}
