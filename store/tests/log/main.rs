//! The log, from outside: on the real disk, and on one that fails in every way it can.
//!
//! Whatever concerns failures runs without threads, so that a run is a function of its seeds.
//! `HEADWATER_BUDGET=10` makes the random tests ten times as long.

#![expect(clippy::unwrap_used, reason = "the helpers of tests are tests, too")]

mod crash;
mod damage;
mod faults;
mod interleave;
mod io;
mod release;
mod room;
mod support;
mod threads;
