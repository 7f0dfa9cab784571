//! What a full server costs at rest, and how long it is away when it restarts.
//!
//! ```text
//!   fill n entries -> memory, disk -> kill -9 -> start ... XLEN = n -> SIGTERM -> start ... XLEN
//!                                               |after kill        |             |after stop   |
//! ```
//!
//! The files are in the page cache, as they are when a process and not the machine has died; a
//! cold start adds the time of reading them. Every entry must be there again: all were answered,
//! and what was written before `kill -9` the kernel still has.

use super::{
    clock,
    entry::KEY,
    fault::Fault,
    server::{Memory, Peer, Policy, Server, Site, disk_bytes},
};
use std::{path::Path, time::Duration};

/// What one restart has shown.
#[derive(Clone, Debug)]
pub(super) struct Restart {
    /// Of the full server, before it was killed.
    pub(super) memory: Memory,
    pub(super) disk_bytes: u64,
    pub(super) after_kill: Duration,
    pub(super) after_stop: Duration,
}

/// Fills a new server, kills it, stops it, and takes the times.
///
/// # Errors
///
/// [`Fault::Wrong`] if entries are missing after a restart; see also [`Fault`].
pub(super) fn run(
    site: &Site,
    peer: &Peer,
    policy: Policy,
    entries: u64,
) -> Result<Restart, Fault> {
    let dir = site.directory()?;
    let server = Server::start(site, peer, policy, dir.path())?;
    server.client()?.fill(entries)?;
    let memory = server.memory()?;
    let disk_bytes = disk_bytes(dir.path())?;
    drop(server);
    let (server, after_kill) = start(site, peer, policy, dir.path(), entries)?;
    server.stop()?;
    let (_, after_stop) = start(site, peer, policy, dir.path(), entries)?;
    Ok(Restart {
        memory,
        disk_bytes,
        after_kill,
        after_stop,
    })
}

/// Starts on a directory with `entries` in it; the time until it has shown that it has them.
fn start(
    site: &Site,
    peer: &Peer,
    policy: Policy,
    dir: &Path,
    entries: u64,
) -> Result<(Server, Duration), Fault> {
    let begun = clock::now();
    let server = Server::start(site, peer, policy, dir)?;
    let length = server.client()?.call(&[b"XLEN", KEY])?;
    let taken = clock::elapsed(begun);
    if length.unsigned_abs() == entries {
        Ok((server, taken))
    } else {
        Err(Fault::Wrong("every entry to be there after a restart"))
    }
}
