//! Any history, any crash.
//!
//! The model is slow and obvious: maps of maps, one entry at a time. Whatever is done to a store,
//! what can be read from it is what the model says; closing and opening it changes nothing; and
//! after a crash it is the model as it was after some prefix of the history, which contains all
//! that had been acknowledged. What is damaged is refused.
//!
//! `HEADWATER_BUDGET=n` makes the random tests n times as long.

mod crash;
mod damage;
mod faults;
mod history;
mod model;
mod operation;
mod script;
