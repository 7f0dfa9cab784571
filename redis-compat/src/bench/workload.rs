//! The conversations that are measured, one file each.
//!
//! | file | question |
//! |---|---|
//! | `append` | how fast do entries go in, by pipeline and number of connections? |
//! | `work` | how fast does a group take entries and acknowledge them, by COUNT? |
//! | `range` | how fast are old entries read again? |
//! | `flow` | how long is an entry under way from producer to consumer? |
//! | `fan_out` | how fast does one entry wake all who wait for it? |
//!
//! All but the offered load of `flow` are closed loops: a connection says the next thing when it
//! has heard the answer to the last. Their latencies are therefore those at full load.

mod append;
mod consumer;
mod fan_out;
mod flow;
mod range;
mod work;

pub(super) use append::Append;
pub(super) use fan_out::FanOut;
pub(super) use flow::{Flow, Pace};
pub(super) use range::Range;
pub(super) use work::Work;

use super::fault::Fault;

/// What the first connection of a group of consumers must find: a stream with the group in it.
///
/// # Errors
///
/// What the server answers.
pub(super) fn create_group(client: &mut super::client::Client) -> Result<(), Fault> {
    use super::entry::{GROUP, KEY};
    client.call(&[b"XGROUP", b"CREATE", KEY, GROUP, b"0", b"MKSTREAM"])?;
    Ok(())
}
