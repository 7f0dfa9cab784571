//! Nothing stays behind: no server process, no directory, however the bench ends.
//!
//! The ordinary way out is `Drop`. Two others pass it by: a panic, which aborts in release builds,
//! and Ctrl-C. A hook serves the first, from the list of what is alive kept here. The second only
//! sets a flag, which everything that waits looks at, so that the ordinary way is taken after all.
//! Servers run in process groups of their own: Ctrl-C reaches the bench alone.

use rustix::process::{Pid, Signal, kill_process};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use std::{
    io,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

/// What must not outlive the bench.
struct Alive {
    servers: Vec<Pid>,
    root: Option<PathBuf>,
}

static ALIVE: Mutex<Alive> = Mutex::new(Alive {
    servers: Vec::new(),
    root: None,
});

fn alive() -> MutexGuard<'static, Alive> {
    ALIVE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Becomes true at Ctrl-C, `SIGTERM` or `SIGHUP`.
#[derive(Clone, Default)]
pub(super) struct Interruption(Arc<AtomicBool>);

impl Interruption {
    /// Whether somebody wants the bench to end.
    pub(super) fn is_wanted(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Sees to it that the servers and `root` go when the process does.
///
/// # Errors
///
/// When a signal cannot be caught.
pub(super) fn install(root: &Path) -> io::Result<Interruption> {
    alive().root = Some(root.to_owned());
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        usual(panic);
        sweep();
    }));
    let wanted = Interruption::default();
    for signal in [SIGHUP, SIGINT, SIGTERM] {
        // At the second signal, at once: the flag of the first is already set.
        signal_hook::flag::register_conditional_default(signal, wanted.0.clone())?;
        signal_hook::flag::register(signal, wanted.0.clone())?;
    }
    Ok(wanted)
}

/// Notes a server that must not outlive the bench.
pub(super) fn started(server: Pid) {
    alive().servers.push(server);
}

/// Notes that a server has ended and was waited for; its number may now mean another process.
pub(super) fn ended(server: Pid) {
    alive().servers.retain(|&other| other != server);
}

fn sweep() {
    let mut alive = alive();
    for server in alive.servers.drain(..) {
        // One that is gone already is what we want.
        let _ = kill_process(server, Signal::KILL);
    }
    if let Some(root) = alive.root.take() {
        // A server may be writing its last file; the bench is ending and has nobody to tell.
        let _ = std::fs::remove_dir_all(root);
    }
}
