//! Headwater: durable streams over the Redis protocol.
//!
//! ```text
//!  listener > connection > execute > command/* > args, spec, refusal
//!                  |          |          |
//!                  |          |          v
//!                  |          |    store (log, state)          resp (requests, replies)
//!                  v          v
//!              session    loading, space, saves, waiters, pause, stats, clients, config, ...
//! ```
//!
//! ARCHITECTURE.md is the way in.

#![forbid(unsafe_code)]

mod backups;
mod chance;
mod clients;
mod clock;
mod command;
mod commits;
mod config;
mod connection;
mod descriptors;
mod execute;
mod expiry;
mod glob;
mod listener;
mod loading;
mod logging;
mod pause;
mod process;
mod pubsub;
mod refusal;
mod replication;
mod saves;
mod sentinel;
mod server;
mod session;
mod space;
mod start;
mod stats;
mod tools;
mod waiters;

pub use start::main;
