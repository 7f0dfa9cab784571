//! What a full server costs at rest, and how long it is away when it restarts.
//!
//! ```text
//!   fill n entries -> memory, disk -> kill -9 -> start ... XLEN = n -> SIGTERM -> start ... XLEN
//!                                               |after kill        |             |after stop   |
//! ```
//!
//! A peer may first rewrite its append-only file: it then begins with a snapshot, which is what it
//! restarts best with.
//!
//! The files are in the page cache, as they are when a process and not the machine has died; a
//! cold start adds the time of reading them. Every entry must be there again: all were answered,
//! and what was written before `kill -9` the kernel still has. Some are looked at.

use super::{
    clock,
    entry::{self, KEY, VALUE_LEN},
    fault::Fault,
    process::{Memory, disk_bytes},
    server::{ASK_EVERY, Peer, Policy, Server, Site},
    values::Values,
};
use crate::chance::Chance;
use std::{path::Path, thread, time::Duration};

/// What the values, and the entries that are looked at, are drawn from.
const SEED: u64 = 1;
/// Entries that are looked at after each start.
const LOOKED_AT: usize = 1000;

/// What one restart has shown.
#[derive(Clone, Debug)]
pub(super) struct Restart {
    /// Of the full server, before it was killed.
    pub(super) memory: Memory,
    pub(super) disk_bytes: u64,
    /// How long filling it took.
    pub(super) fill: Duration,
    pub(super) after_kill: Duration,
    pub(super) after_stop: Duration,
    /// Of the server that has just started.
    pub(super) memory_after: Memory,
}

/// What a peer does with its files before it is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Files {
    /// They are what came of the load.
    AsWritten,
    /// It rewrites its append-only file.
    Rewritten,
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
    files: Files,
) -> Result<Restart, Fault> {
    let dir = site.directory()?;
    let server = Server::start(site, peer, policy, dir.path())?;
    let began = clock::now();
    let values = &Values::new(VALUE_LEN, SEED);
    server.client()?.pipeline(0..entries, |number, out| {
        entry::add(out, entry::id(number).as_bytes(), &values.of(number));
    })?;
    let fill = clock::elapsed(began);
    let memory = server.process().memory()?;
    if files == Files::Rewritten {
        rewrite(&server)?;
    }
    let disk_bytes = disk_bytes(dir.path())?;
    drop(server);
    let (server, after_kill) = start(site, peer, policy, dir.path(), entries, values)?;
    server.stop()?;
    let (server, after_stop) = start(site, peer, policy, dir.path(), entries, values)?;
    Ok(Restart {
        memory,
        disk_bytes,
        fill,
        after_kill,
        after_stop,
        memory_after: server.process().memory()?,
    })
}

/// Rewrites the append-only file and waits until that is done.
fn rewrite(server: &Server) -> Result<(), Fault> {
    let mut client = server.client()?;
    client.call(&[b"BGREWRITEAOF"])?;
    loop {
        let info = client.info()?;
        let going = ["aof_rewrite_in_progress", "aof_rewrite_scheduled"];
        if going.iter().all(|name| info.number(name) == Some(0)) {
            return match info.text("aof_last_bgrewrite_status") {
                Some("ok") => Ok(()),
                _ => Err(Fault::Wrong("a rewritten append-only file")),
            };
        }
        thread::sleep(10 * ASK_EVERY);
    }
}

/// Starts on a directory with `entries` in it; the time until it has shown that it has them.
fn start(
    site: &Site,
    peer: &Peer,
    policy: Policy,
    dir: &Path,
    entries: u64,
    values: &Values,
) -> Result<(Server, Duration), Fault> {
    let begun = clock::now();
    let server = Server::start(site, peer, policy, dir)?;
    let mut client = server.client()?;
    let length = client.call(&[b"XLEN", KEY])?;
    let taken = clock::elapsed(begun);
    let missing = || Fault::Wrong("every entry to be there after a restart");
    if length.unsigned_abs() != entries {
        return Err(missing());
    }
    let mut chance = Chance::new(SEED);
    for _ in 0..LOOKED_AT {
        let number = chance.below(entries);
        let id = entry::id(number);
        let words: [&[u8]; 4] = [b"XRANGE", KEY, id.as_bytes(), id.as_bytes()];
        if values.read(&mut client, &words, |_| number)? != 1 {
            return Err(missing());
        }
    }
    Ok((server, taken))
}
