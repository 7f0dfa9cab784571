//! A thread that reads on for those who go through extents from one end to the other.
//!
//! ```text
//!  read by a load        with it            by the thread
//!  [ wanted ][ wanted ]  [ 1 ][    ][    ]  [ 2 ][    ]  [ 4 ][    ][    ]  [ 4 ][    ] ..
//!                          |                  |            |
//!                          '- when used: 1 -> '- 2 more -->'- 4 more ------------------->
//! ```
//!
//! The number is how many areas behind its own are there, or read, once the block is used: more the
//! longer somebody reads on, so that few who read a little cost little, and one who is as fast as
//! the disk finds enough to go on with whenever the thread has to wait, for the disk or for a
//! processor. So one load suffices, unless the reader is faster than the disk; who finds a block
//! missing loads it himself. The thread keeps nobody waiting, and nobody waits for it.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Weak};
use std::thread;

use parking_lot::{Condvar, Mutex};

use super::Data;
use super::extent::Extent;
use super::reader::ColdBlock;

/// So many are read on for at a time, at most; others load for themselves.
const QUEUE: usize = 32;

/// A block that was read ahead and is used now, how many areas behind it are to be there, and the
/// extent that comes behind its own, if somebody goes on there.
pub(super) struct Used {
    pub(super) block: ColdBlock,
    pub(super) areas: u8,
    pub(super) then: Option<Arc<Extent>>,
}

/// What the thread is to do.
#[derive(Default)]
pub(super) struct Ahead {
    queue: Mutex<Queue>,
    wake: Condvar,
}

#[derive(Default)]
struct Queue {
    used: VecDeque<Used>,
    /// Whether the thread is there.
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

    /// The next block behind which to read; `None` when the thread is to end.
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

    /// Ends the thread.
    pub(super) fn close(&self) {
        let mut queue = self.queue.lock();
        queue.open = false;
        queue.used.clear();
        self.wake.notify_all();
    }
}

impl Data {
    /// Starts the thread, which ends when the data are dropped. Does nothing when it runs already.
    ///
    /// # Errors
    ///
    /// When the system has no thread to give.
    pub(crate) fn start(self: &Arc<Self>) -> io::Result<()> {
        let ahead = self.ahead.clone();
        if std::mem::replace(&mut ahead.queue.lock().open, true) {
            return Ok(());
        }
        let data = Arc::downgrade(self);
        let thread = thread::Builder::new().name("read-ahead".to_owned());
        let started = thread.spawn({
            let ahead = ahead.clone();
            move || run(&ahead, &data)
        });
        if started.is_err() {
            ahead.close();
        }
        started.map(drop)
    }
}

fn run(ahead: &Ahead, data: &Weak<Data>) {
    while let Some(used) = ahead.next() {
        let Some(data) = data.upgrade() else { return };
        // Who needs what cannot be read will be told.
        let _ = data.read_on(&used);
    }
}
