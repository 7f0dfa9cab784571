//! Stores that follow another: they have the same frames in the same places, and know the same.
//!
//! `HEADWATER_BUDGET=n` makes the random tests n times as long.

#![expect(clippy::unwrap_used, reason = "the helpers of tests are tests, too")]

mod cut;
mod frames;
mod install;
mod life;
#[path = "../model/model.rs"]
#[allow(dead_code, reason = "the other tests of the model use the rest")]
mod model;
mod node;
#[path = "../model/operation.rs"]
#[allow(dead_code, reason = "the other tests of the model use the rest")]
mod operation;
mod waiting;
