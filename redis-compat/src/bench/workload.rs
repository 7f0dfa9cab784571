//! The conversations that are measured, one file each.
//!
//! | file | question |
//! |---|---|
//! | `append` | how fast do entries go in, by pipeline and number of connections? |
//! | `work` | how fast does a group take entries and acknowledge them, by COUNT? |
//! | `range` | how fast are old entries read again? |
//! | `flow` | how long is an entry under way from producer to consumer? |
//! | `fan_out` | how fast does one entry wake all who wait for it? |
//! | `publish` | how fast does one message reach all who subscribe? |
//! | `drain` | how fast does a group take a backlog, and is it what was put there? |
//! | `queue` | what does a flow cost that is trimmed behind its consumers? |
//! | `steady` | how long does an XADD take while something else goes on? |
//! | `churn` | how fast do entries go in while older ones are deleted? |
//!
//! All but the offered loads of `flow` and `churn` are closed loops: a connection says the next
//! thing when it has heard the answer to the last. Their latencies are therefore those at full
//! load.

mod append;
mod churn;
mod consumer;
mod drain;
mod fan_out;
mod flow;
mod publish;
mod queue;
mod range;
mod steady;
mod work;

pub(super) use append::Append;
pub(super) use churn::Churn;
pub(super) use drain::Drain;
pub(super) use fan_out::FanOut;
pub(super) use flow::{Flow, Pace};
pub(super) use publish::Publish;
pub(super) use queue::Queue;
pub(super) use range::Range;
pub(super) use steady::Steady;
pub(super) use work::Work;

use super::{
    client::Client,
    entry::{GROUP, KEY},
    fault::Fault,
};

/// What the first connection of a group of consumers must find: a stream with the group in it.
///
/// # Errors
///
/// What the server answers.
pub(super) fn create_group(client: &mut Client) -> Result<(), Fault> {
    create_group_at(client, b"0")
}

/// The same, of a group that has had everything up to an ID.
///
/// # Errors
///
/// What the server answers.
pub(super) fn create_group_at(client: &mut Client, id: &[u8]) -> Result<(), Fault> {
    client.call(&[b"XGROUP", b"CREATE", KEY, GROUP, id, b"MKSTREAM"])?;
    Ok(())
}
