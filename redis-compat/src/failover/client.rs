//! A program that writes numbered entries through a client library, and what it says of them.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead as _, BufReader};
use std::net::SocketAddr;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

use super::monitor::MASTER;
use crate::cleanup;
use crate::server::oracle_dir;

/// Every client, by the name of its library.
pub(super) const NAMES: [&str; 5] = ["redis-py", "coredis", "ioredis", "node-redis", "rust"];

/// A program that runs. Dropping it ends it.
pub(super) struct Client {
    pub(super) name: &'static str,
    /// The key that it writes to.
    pub(super) key: String,
    child: Child,
    heard: Arc<Mutex<Heard>>,
}

/// What a program has said.
#[derive(Clone, Default)]
pub(super) struct Heard {
    /// The number of the last entry that was acknowledged; so were all before.
    pub(super) acknowledged: u64,
    /// The longest time between two of them, since it was last asked for.
    pub(super) silence: Duration,
    last: Option<Instant>,
    /// How often it was told which error, by its first word.
    pub(super) errors: BTreeMap<String, u64>,
    /// What is not as it says: a number out of turn.
    pub(super) nonsense: Option<String>,
}

impl Client {
    /// Starts the program for a library. What it complains about goes to a file in `dir`.
    ///
    /// # Errors
    ///
    /// When it cannot be started.
    pub(super) fn start(
        name: &'static str,
        monitors: &[SocketAddr],
        dir: &Path,
    ) -> io::Result<Self> {
        let key = format!("by-{name}");
        let addresses: Vec<String> = monitors.iter().map(ToString::to_string).collect();
        let mut command = program(name)?;
        command.args([&addresses.join(","), MASTER, &key]);
        command.env("HEADWATER_ORACLE", oracle_dir());
        command.stdin(Stdio::null()).process_group(0);
        command.stdout(Stdio::piped());
        command.stderr(File::create(dir.join(format!("{name}.err")))?);
        let mut child = cleanup::spawn(&mut command)?;
        let heard = Arc::new(Mutex::new(Heard::default()));
        if let Some(said) = child.stdout.take() {
            let heard = Arc::clone(&heard);
            thread::spawn(move || {
                for line in BufReader::new(said).lines().map_while(Result::ok) {
                    lock(&heard).hear(&line);
                }
            });
        }
        Ok(Self {
            name,
            key,
            child,
            heard,
        })
    }

    /// What it has said so far.
    pub(super) fn heard(&self) -> Heard {
        lock(&self.heard).clone()
    }

    /// The longest silence since this was last asked, one that lasts included.
    pub(super) fn silence(&self) -> Duration {
        let mut heard = lock(&self.heard);
        let lasting = heard.last.map_or(Duration::ZERO, |last| last.elapsed());
        std::mem::take(&mut heard.silence).max(lasting)
    }

    /// How it ended by itself, which it should not.
    pub(super) fn obituary(&mut self, dir: &Path) -> Option<String> {
        let status = self.child.try_wait().ok()??;
        let said = std::fs::read_to_string(dir.join(format!("{}.err", self.name)));
        Some(format!(
            "{} ended, {status}:\n{}",
            self.name,
            said.unwrap_or_default()
        ))
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let pid = Pid::from_child(&self.child);
        // Fails only when it has ended already.
        let _ = kill_process_group(pid, Signal::KILL);
        let _ = self.child.wait();
        cleanup::ended(pid);
    }
}

impl Heard {
    fn hear(&mut self, line: &str) {
        if let Some(number) = line.strip_prefix('+') {
            if number.parse() != Ok(self.acknowledged + 1) {
                let after = self.acknowledged;
                self.nonsense
                    .get_or_insert_with(|| format!("{line} after +{after}"));
                return;
            }
            self.acknowledged += 1;
            let now = Instant::now();
            let silence = self.last.map_or(Duration::ZERO, |last| now - last);
            self.silence = self.silence.max(silence);
            self.last = Some(now);
        } else if let Some(error) = line.strip_prefix('-') {
            let kind: String = error.chars().take(60).collect();
            *self.errors.entry(kind).or_default() += 1;
        }
    }
}

fn lock(heard: &Mutex<Heard>) -> MutexGuard<'_, Heard> {
    heard.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The command that runs the program for a library, without its arguments.
fn program(name: &str) -> io::Result<Command> {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients");
    let script = |interpreter: PathBuf, source: &str| {
        let mut command = Command::new(interpreter);
        command.arg(sources.join(source));
        command
    };
    let python = oracle_dir().join("python");
    Ok(match name {
        "redis-py" => script(python, "sentinel_redis_py.py"),
        "coredis" => script(python, "sentinel_coredis.py"),
        "ioredis" => script("node".into(), "sentinel_ioredis.mjs"),
        "node-redis" => script("node".into(), "sentinel_node_redis.mjs"),
        _ => {
            let mut us = Command::new(std::env::current_exe()?);
            us.args(["failover", "be-rust"]);
            us
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_program_says_is_counted() {
        let mut heard = Heard::default();
        for line in ["+1", "-READONLY no", "-READONLY no", "+2", "else"] {
            heard.hear(line);
        }
        assert_eq!(heard.acknowledged, 2);
        assert_eq!(heard.errors["READONLY no"], 2);
        assert_eq!(heard.nonsense, None);
        heard.hear("+4");
        assert_eq!(heard.nonsense.as_deref(), Some("+4 after +2"));
        assert_eq!(heard.acknowledged, 2);
    }
}
