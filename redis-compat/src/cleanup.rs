//! Nothing stays behind: no server process, no directory, however a command ends.
//!
//! The ordinary way out is `Drop`. Two others pass it by: Ctrl-C, and a panic, which aborts in
//! release builds. Both are served from the list of what is alive, kept here: a thread waits for
//! signals, a hook for panics. Servers run in process groups of their own, so that Ctrl-C reaches
//! this program alone.
//!
//! Invariant: every server was started by [`spawn`] and is on the list as long as it runs. The
//! list is locked while one starts, and for good once the sweep has begun, so that none slips in
//! between.

use rustix::process::{Pid, Signal, kill_process_group};
use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM},
    iterator::Signals,
    low_level::emulate_default_handler,
};
use std::{
    fs, io,
    path::{Path, PathBuf},
    process::{Child, Command},
    sync::{Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

/// What must not outlive this program.
struct Alive {
    servers: Vec<Pid>,
    root: Option<PathBuf>,
    /// Commands that take away what the servers used.
    last: Vec<Vec<String>>,
}

static ALIVE: Mutex<Alive> = Mutex::new(Alive {
    servers: Vec::new(),
    root: None,
    last: Vec::new(),
});

fn alive() -> MutexGuard<'static, Alive> {
    ALIVE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Sees to it that the servers, and `root` if there is one, go when the process does.
///
/// # Errors
///
/// When signals cannot be caught.
pub(crate) fn install(root: Option<&Path>) -> io::Result<()> {
    alive().root = root.map(Path::to_owned);
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        usual(panic);
        drop(sweep());
    }));
    let mut signals = Signals::new([SIGHUP, SIGINT, SIGTERM])?;
    thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || {
            if let Some(signal) = signals.forever().next() {
                let _for_good = sweep();
                // Ends the process as the signal would have; if it cannot, `exit` does.
                let _ = emulate_default_handler(signal);
                std::process::exit(1);
            }
        })?;
    Ok(())
}

/// Removes `root` when the process goes, in place of what was to be removed before.
pub(crate) fn root(root: &Path) {
    alive().root = Some(root.to_owned());
}

/// Starts a server that will not outlive this program. It needs a process group of its own.
///
/// # Errors
///
/// When it cannot be started.
pub(crate) fn spawn(command: &mut Command) -> io::Result<Child> {
    let mut alive = alive();
    let child = command.spawn()?;
    alive.servers.push(Pid::from_child(&child));
    Ok(child)
}

/// Notes that a server has ended and was waited for; its number may now mean another process.
pub(crate) fn ended(server: Pid) {
    alive().servers.retain(|&other| other != server);
}

/// Runs a command after the servers were killed, if they have to be. It may find its work done.
pub(crate) fn at_the_end(words: &[&str]) {
    let words = words.iter().map(|&word| word.to_owned()).collect();
    alive().last.push(words);
}

/// Kills the servers and removes the root; returns the lock.
fn sweep() -> MutexGuard<'static, Alive> {
    let mut alive = alive();
    for server in alive.servers.drain(..) {
        // One that is gone already is what we want.
        let _ = kill_process_group(server, Signal::KILL);
    }
    for words in alive.last.drain(..) {
        if let [program, words @ ..] = words.as_slice() {
            let _ = Command::new(program).args(words).output();
        }
    }
    // A server that is not quite dead may put a file into a directory that was just emptied.
    for _ in 0..100 {
        match alive.root.as_ref().map(fs::remove_dir_all) {
            Some(Err(error)) if error.kind() != io::ErrorKind::NotFound => {
                thread::sleep(Duration::from_millis(10));
            }
            _ => break,
        }
    }
    alive
}
