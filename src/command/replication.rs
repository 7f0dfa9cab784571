//! Commands by which servers become masters and replicas, and which these speak to each other.

mod failover;
mod psync;
mod replconf;
mod replicaof;

pub(crate) use failover::FAILOVER;
pub(crate) use psync::{PSYNC, SYNC};
pub(crate) use replconf::REPLCONF;
pub(crate) use replicaof::{REPLICAOF, SLAVEOF};
