//! What a ground is to be, as the options say.

use std::fmt;
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::fault::Fault;
use super::kind::{Data, Watcher};

/// Options of every drill.
#[derive(clap::Args, Clone)]
pub(super) struct Site {
    /// What the data nodes are.
    #[arg(long, value_enum, default_value = "headwater")]
    pub(super) data: Data,
    /// What the monitors are: all three of them, or each.
    #[arg(long, value_enum, value_delimiter = ',', default_value = "headwater")]
    monitors: Vec<Watcher>,
    /// How many replicas the master has.
    #[arg(long, default_value_t = 1)]
    pub(super) replicas: usize,
    /// How many replicas Headwater waits for before it answers [default: 1, and 0 where times are
    /// measured].
    #[arg(long, value_name = "COUNT")]
    pub(super) sync_replicas: Option<usize>,
    /// Milliseconds of silence after which a monitor holds a node for down.
    #[arg(long, default_value_t = 1000)]
    pub(super) down_after: u64,
    /// Monitors say hello and look around several times as often as they usually do. That makes
    /// the time after a failover shorter, in which the old master is set right.
    #[arg(long)]
    pub(super) brisk: bool,
    /// What moments and victims are drawn from [default: the time].
    #[arg(long)]
    seed: Option<u64>,
    /// Headwater's program [default: the one built beside this].
    #[arg(long, value_name = "PROGRAM")]
    ours_bin: Option<PathBuf>,
    /// Where the data and the output of all processes go [default: a directory below target,
    /// removed when all is well].
    #[arg(long, value_name = "DIR")]
    pub(super) dir: Option<PathBuf>,
    /// More lines for the files of the data nodes, behind `--`: `-- "appendfsync everysec"`.
    #[arg(last = true)]
    pub(super) lines: Vec<String>,
}

impl Site {
    pub(super) fn seed(&self) -> u64 {
        self.seed.unwrap_or_else(|| {
            let since = SystemTime::now().duration_since(UNIX_EPOCH);
            since.map_or(0, |since| u64::from(since.subsec_nanos()))
        })
    }

    /// The same without replication that is waited for, unless it is asked for.
    pub(super) fn without_sync(&self) -> Self {
        Self {
            sync_replicas: Some(self.sync_replicas.unwrap_or(0)),
            ..self.clone()
        }
    }

    /// The same without monitors.
    pub(super) fn unwatched(&self) -> Self {
        Self {
            monitors: Vec::new(),
            ..self.clone()
        }
    }

    /// The same with other data nodes and monitors.
    pub(super) fn with(&self, data: Data, monitors: &[Watcher]) -> Self {
        Self {
            data,
            monitors: monitors.to_vec(),
            ..self.clone()
        }
    }

    pub(super) fn down_after(&self) -> Duration {
        Duration::from_millis(self.down_after)
    }

    /// Whether nothing acknowledged may be lost with a master.
    pub(super) fn is_safe(&self) -> bool {
        self.is_ours() && self.sync_replicas != Some(0)
    }

    /// Whether the data nodes are Headwater's.
    pub(super) fn is_ours(&self) -> bool {
        self.data == Data::Headwater
    }

    /// Whether the monitors know COORDINATED, and the data nodes what it takes.
    pub(super) fn is_coordinated(&self) -> bool {
        let mut monitors = self.monitors.iter();
        monitors.all(|monitor| matches!(monitor, Watcher::Headwater | Watcher::Valkey9))
    }

    /// Where Headwater is.
    pub(super) fn ours(&self) -> Result<PathBuf, Fault> {
        Ok(match &self.ours_bin {
            Some(program) => std::path::absolute(program)?,
            None => std::env::current_exe()?.with_file_name("headwater"),
        })
    }

    /// The makes of three monitors, or of none.
    pub(super) fn watchers(&self) -> Result<Vec<Watcher>, Fault> {
        match *self.monitors.as_slice() {
            [] => Ok(Vec::new()),
            [all] => Ok(vec![all; 3]),
            [_, _, _] => Ok(self.monitors.clone()),
            _ => {
                let what = "there are three monitors: name one make, or three";
                Err(Fault::Setting(what.to_owned()))
            }
        }
    }
}

impl fmt::Display for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {} replica(s)", self.data.name(), self.replicas)?;
        if self.is_ours() {
            write!(f, ", sync-replicas {}", self.sync_replicas.unwrap_or(1))?;
        }
        let mut names: Vec<&str> = self.monitors.iter().map(|all| all.name()).collect();
        if names.is_empty() {
            names.push("nobody");
        }
        write!(f, "; watched by {}", names.join(", "))
    }
}
