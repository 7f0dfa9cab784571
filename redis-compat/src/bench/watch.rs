//! A thread that looks at a server while it works: memory, disk and descriptors over time.
//!
//! A look costs some tens of microseconds and a few system calls for each file of the server. It
//! runs on the processors of the load.

use super::{
    clock,
    fault::Fault,
    process::{Memory, Process, disk_bytes},
    server::Server,
};
use std::{
    io,
    path::Path,
    sync::mpsc::{RecvTimeoutError, Sender, channel},
    thread::{self, JoinHandle},
    time::Duration,
};

/// Between two looks.
const EVERY: Duration = Duration::from_millis(100);

/// What one look has found.
#[derive(Clone, Copy, Debug)]
pub(super) struct Look {
    /// Since the first one.
    pub(super) after: Duration,
    pub(super) memory: Memory,
    pub(super) disk_bytes: u64,
    pub(super) descriptors: u64,
}

/// Somebody who looks at a server until told to stop. Dropped, it stops, and tells nobody what it
/// has seen.
pub(super) struct Watch {
    stop: Sender<()>,
    thread: JoinHandle<Result<Vec<Look>, Fault>>,
}

impl Watch {
    /// Looks at a server with its files in `dir`, from now on.
    ///
    /// # Errors
    ///
    /// When there can be no thread.
    pub(super) fn begin(server: &Server, dir: &Path) -> io::Result<Self> {
        let (process, dir) = (server.process(), dir.to_owned());
        let (stop, stopped) = channel();
        let began = clock::now();
        let thread = thread::Builder::new()
            .name("watch".to_owned())
            .spawn(move || {
                let mut looks = Vec::new();
                loop {
                    let last = stopped.recv_timeout(EVERY);
                    looks.push(look(process, &dir, began)?);
                    if last != Err(RecvTimeoutError::Timeout) {
                        return Ok(looks);
                    }
                }
            })?;
        Ok(Self { stop, thread })
    }

    /// Looks a last time; all that was seen, at least one look.
    ///
    /// # Errors
    ///
    /// When the server had ended.
    ///
    /// # Panics
    ///
    /// When the thread has.
    pub(super) fn end(self) -> Result<Looks, Fault> {
        // Fails when the thread has ended by itself, and then it says why.
        let _ = self.stop.send(());
        let looks = self.thread.join().expect("the thread does not panic")?;
        Ok(Looks(looks))
    }
}

fn look(process: Process, dir: &Path, began: u64) -> Result<Look, Fault> {
    Ok(Look {
        after: clock::elapsed(began),
        memory: process.memory()?,
        disk_bytes: disk_bytes(dir)?,
        descriptors: process.descriptors()?,
    })
}

/// What was seen, in the order of time; never nothing.
pub(super) struct Looks(Vec<Look>);

impl Looks {
    /// The most that was ever seen.
    pub(super) fn most(&self, of: impl Fn(&Look) -> u64) -> u64 {
        self.0.iter().map(of).max().unwrap_or(0)
    }

    /// What was seen when this share of the time was over.
    pub(super) fn at(&self, share: f64, of: impl Fn(&Look) -> u64) -> u64 {
        let whole = self.0.last().map_or(Duration::ZERO, |last| last.after);
        let moment = whole.mul_f64(share);
        let after = self.0.partition_point(|look| look.after < moment);
        self.0.get(after).or(self.0.last()).map_or(0, of)
    }

    /// What was seen last.
    pub(super) fn last(&self, of: impl Fn(&Look) -> u64) -> u64 {
        self.at(1.0, of)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_of_the_time_is_the_first_look_from_then_on() {
        let look = |(after, disk_bytes)| Look {
            after: Duration::from_secs(after),
            memory: Memory::default(),
            disk_bytes,
            descriptors: 0,
        };
        let looks = Looks([(0, 5), (3, 9), (4, 7), (10, 6)].map(look).to_vec());
        let disk = |look: &Look| look.disk_bytes;
        assert_eq!(looks.most(disk), 9);
        assert_eq!(looks.at(0.0, disk), 5);
        assert_eq!(looks.at(0.3, disk), 9);
        assert_eq!(looks.at(0.31, disk), 7);
        assert_eq!(looks.at(0.5, disk), 6);
        assert_eq!(looks.last(disk), 6);
    }
}
