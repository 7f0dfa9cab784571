//! Threads that read on for those who go through extents from one end to the other.
//!
//! ```text
//!  read by a load        with it            by a thread
//!  [ wanted ][ wanted ]  [ 1 ][    ][    ]  [ 2 ][    ]  [ 4 ][    ][    ]  [ 4 ][    ] ..
//!                          |                  |            |
//!                          '- when used: 1 -> '- 2 more -->'- 4 more ------------------->
//! ```
//!
//! The number is how many areas behind its own are there, or read, once the block is used: more the
//! longer somebody reads on, so that few who read a little cost little, and one who is as fast as
//! the disk finds enough to go on with whenever a thread has to wait, for the disk or for a
//! processor. So one load suffices, unless the reader is faster than the disk; who finds a block
//! missing loads it himself. The threads keep nobody waiting, and nobody waits for them. There is
//! more than one, so that the disk has the next area to read while one waits for a processor to go
//! through the last.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Weak};
use std::thread;

use parking_lot::{Condvar, Mutex};

use super::Data;
use super::extent::Extent;
use super::reader::ColdBlock;

/// How many threads there are.
const THREADS: usize = 2;

/// So many are read on for at a time, at most; others load for themselves.
const QUEUE: usize = 32;

/// A block that was read ahead and is used now, how many areas behind it are to be there, and the
/// extent that comes behind its own, if somebody goes on there.
pub(super) struct Used {
    pub(super) block: ColdBlock,
    pub(super) areas: u8,
    pub(super) then: Option<Arc<Extent>>,
}

/// What the threads are to do.
#[derive(Default)]
pub(super) struct Ahead {
    queue: Mutex<Queue>,
    wake: Condvar,
}

#[derive(Default)]
struct Queue {
    used: VecDeque<Used>,
    /// Whether the threads are there.
    open: bool,
}

impl Ahead {
    /// Asks for what is behind a block to be read, if need be in the extent that comes then.
    pub(super) fn ask(&self, block: ColdBlock, areas: u8, then: Option<Arc<Extent>>) {
        let mut queue = self.queue.lock();
        if queue.open && queue.used.len() < QUEUE {
            queue.used.push_back(Used { block, areas, then });
            self.wake.notify_one();
        }
    }

    /// The next block behind which to read; `None` when there will be none.
    fn next(&self) -> Option<Used> {
        let mut queue = self.queue.lock();
        while queue.open {
            if let Some(used) = queue.used.pop_front() {
                return Some(used);
            }
            self.wake.wait(&mut queue);
        }
        None
    }

    /// Ends the threads.
    pub(super) fn close(&self) {
        let mut queue = self.queue.lock();
        queue.open = false;
        queue.used.clear();
        self.wake.notify_all();
    }
}

impl Data {
    /// Starts the threads, which end when the data are dropped. Does nothing when they run already.
    ///
    /// # Errors
    ///
    /// When the system has no thread to give. There is none then.
    pub(crate) fn start(self: &Arc<Self>) -> io::Result<()> {
        if std::mem::replace(&mut self.ahead.queue.lock().open, true) {
            return Ok(());
        }
        for _ in 0..THREADS {
            let (ahead, data) = (self.ahead.clone(), Arc::downgrade(self));
            let thread = thread::Builder::new().name("read-ahead".to_owned());
            let started = thread.spawn(move || run(&ahead, &data));
            started.inspect_err(|_| self.ahead.close())?;
        }
        Ok(())
    }
}

fn run(ahead: &Ahead, data: &Weak<Data>) {
    while let Some(used) = ahead.next() {
        let Some(data) = data.upgrade() else { return };
        // Who needs what cannot be read will be told.
        let _ = data.read_on(&used);
    }
}
