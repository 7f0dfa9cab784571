//! What stands on a ground: data nodes and monitors of several makes, and how each is started.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::fault::Fault;
use crate::server::oracle_dir;

/// What a data node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Data {
    Headwater,
    Redis,
    Valkey,
}

impl Data {
    /// Its name.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Headwater => "Headwater",
            Self::Redis => "Redis 8.2",
            Self::Valkey => "Valkey 9.1",
        }
    }

    /// Where it is; `ours` is Headwater.
    pub(super) fn program(self, ours: &Path) -> PathBuf {
        match self {
            Self::Headwater => ours.to_owned(),
            Self::Redis => oracle_dir().join("redis-8.2"),
            Self::Valkey => oracle_dir().join("valkey-9.1"),
        }
    }

    /// What its file says beside address and directory: what one who cares for the data says, and
    /// that nothing is to be waited for which nobody needs.
    pub(super) fn directives(self) -> &'static [&'static str] {
        match self {
            Self::Headwater => &[],
            Self::Redis | Self::Valkey => &[
                "save \"\"",
                "appendonly yes",
                "appendfsync everysec",
                "repl-diskless-sync-delay 0",
            ],
        }
    }
}

/// What a monitor is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Watcher {
    Headwater,
    /// Debian's `redis-sentinel`.
    Redis7,
    Redis8,
    Valkey9,
}

impl Watcher {
    /// Its name.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Headwater => "Headwater",
            Self::Redis7 => "Redis 7.0",
            Self::Redis8 => "Redis 8.2",
            Self::Valkey9 => "Valkey 9.1",
        }
    }

    /// The command that runs it with the file of its own; `ours` is Headwater.
    pub(super) fn command(self, ours: &Path, file: &Path) -> Command {
        let oracle = oracle_dir();
        let real = |name: &str| {
            let mut command = Command::new(oracle.join(name));
            command.arg(file).arg("--sentinel");
            command
        };
        match self {
            Self::Headwater => {
                let mut command = Command::new(ours);
                command.arg("--sentinel").arg(file);
                command
            }
            Self::Redis7 => real("redis-sentinel-7.0"),
            Self::Redis8 => real("redis-8.2"),
            Self::Valkey9 => real("valkey-9.1"),
        }
    }
}

/// Checks that a program is there.
///
/// # Errors
///
/// Says how it gets there.
pub(super) fn expect(program: &Path) -> Result<(), Fault> {
    if program.is_file() {
        return Ok(());
    }
    Err(Fault::Setting(format!(
        "there is no {}: cargo build makes headwater, redis-compat/setup installs the others",
        program.display()
    )))
}
