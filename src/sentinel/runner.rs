//! Processes for scripts: starts them, kills them, and tells how they ended.
//!
//! A script gets its arguments, this server's environment, its standard output and its standard
//! error; no other descriptor, for all of ours are closed on exec.

use std::os::unix::process::ExitStatusExt as _;
use std::process::{ExitStatus, Stdio};

use tokio::process::{Child, Command};
use tokio::sync::{mpsc, oneshot};

use super::driver::Came;
use super::{Ended, ScriptNo};

/// Our hand on a process. Dropping it leaves the process alone.
pub(super) struct Running {
    kill: oneshot::Sender<()>,
}

impl Running {
    /// Starts a program; `None` when it cannot be started, which is told as its end.
    pub(super) fn start(
        script: ScriptNo,
        argv: &[Box<str>],
        came: mpsc::Sender<Came>,
    ) -> Option<Self> {
        let (path, args) = argv.split_first()?;
        let started = Command::new(&**path)
            .args(args.iter().map(|arg| &**arg))
            .stdin(Stdio::null())
            .spawn();
        match started {
            Ok(child) => {
                let (kill, killed) = oneshot::channel();
                tokio::spawn(watch(script, child, killed, came));
                Some(Self { kill })
            }
            Err(error) => {
                tracing::warn!("could not start {path}: {error}");
                let how = Ended::NotStarted;
                tokio::spawn(async move {
                    drop(came.send(Came::ScriptEnded { script, how }).await);
                });
                None
            }
        }
    }

    pub(super) fn kill(self) {
        // It has ended already when nobody listens.
        let _ = self.kill.send(());
    }
}

/// Tells of a process' beginning and of its end.
async fn watch(
    script: ScriptNo,
    mut child: Child,
    killed: oneshot::Receiver<()>,
    came: mpsc::Sender<Came>,
) {
    let pid = child.id().unwrap_or_default();
    drop(came.send(Came::ScriptStarted { script, pid }).await);
    let ended = tokio::select! {
        ended = child.wait() => ended,
        Ok(()) = killed => match child.start_kill() {
            Ok(()) => child.wait().await,
            Err(error) => Err(error),
        },
    };
    let how = ended.map_or(Ended::NotStarted, how);
    drop(came.send(Came::ScriptEnded { script, how }).await);
}

fn how(status: ExitStatus) -> Ended {
    match (status.code(), status.signal()) {
        (Some(code), _) => Ended::Code(code),
        (None, signal) => Ended::Signal(signal.unwrap_or_default()),
    }
}
