//! Waiting for the log: who may send its replies, and when.
//!
//! Whoever needs the commit mark first lets everybody who is ready execute, and then sees to it
//! that the mark moves: one write, or one sync, serves all.
//!
//! Under `always` the log's own thread moves it. Were that thread to wake every connection that
//! waits, each would cost a trip from thread to thread, and a system call. So it wakes one task,
//! the *relay*, which wakes the others where they run.
//!
//! ```text
//!  syncer --(one wake-up)--> relay --(a push to the local run queue each)--> connections
//! ```

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use headwater_store::{Log, Lsn, Poisoned, SyncPolicy};
use parking_lot::Mutex;

/// The connections that wait for the commit mark.
pub(crate) struct Commits {
    log: Arc<Log>,
    waiting: Mutex<Waiting>,
}

#[derive(Default)]
struct Waiting {
    /// The lowest LSN first.
    by_lsn: BinaryHeap<Reverse<Waiter>>,
    relay: Option<Waker>,
}

struct Waiter {
    lsn: Lsn,
    waker: Waker,
}

impl Commits {
    pub(crate) fn new(log: Arc<Log>) -> Self {
        Self {
            log,
            waiting: Mutex::default(),
        }
    }

    /// Returns when everything below `lsn` is committed.
    ///
    /// # Errors
    ///
    /// When that can no longer happen.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing.
    pub(crate) async fn reached(&self, lsn: Lsn) -> Result<(), Poisoned> {
        if self.log.committed() >= lsn {
            return Ok(());
        }
        tokio::task::yield_now().await;
        if self.log.committed() >= lsn {
            return Ok(());
        }
        match self.log.policy() {
            SyncPolicy::Always => self.log.request_sync(),
            // Unless another thread is writing, which then does so for us, too.
            SyncPolicy::EverySec | SyncPolicy::No => drop(self.log.try_write()?),
        }
        std::future::poll_fn(|cx| self.poll_reached(lsn, cx)).await
    }

    fn poll_reached(&self, lsn: Lsn, cx: &Context<'_>) -> Poll<Result<(), Poisoned>> {
        if let Some(ended) = self.ended(lsn) {
            return Poll::Ready(ended);
        }
        {
            let mut waiting = self.waiting.lock();
            let is_first = waiting
                .by_lsn
                .peek()
                .is_none_or(|Reverse(first)| lsn < first.lsn);
            let waker = cx.waker().clone();
            waiting.by_lsn.push(Reverse(Waiter { lsn, waker }));
            if is_first && let Some(relay) = &waiting.relay {
                relay.wake_by_ref();
            }
        }
        // The relay may have looked before we were there.
        match self.ended(lsn) {
            Some(ended) => Poll::Ready(ended),
            None => Poll::Pending,
        }
    }

    fn ended(&self, lsn: Lsn) -> Option<Result<(), Poisoned>> {
        if self.log.committed() >= lsn {
            return Some(Ok(()));
        }
        self.log.poisoned().map(|cause| Err(Poisoned(cause)))
    }

    /// The relay: wakes those whose LSN is committed, for as long as the server runs, or everybody
    /// once the log has failed.
    pub(crate) async fn relay(&self) {
        while std::future::poll_fn(|cx| self.poll_relay(cx)).await.is_ok() {}
        let everybody = std::mem::take(&mut self.waiting.lock().by_lsn);
        for Reverse(waiter) in everybody {
            waiter.waker.wake();
        }
    }

    /// Ready when somebody was woken, or the log has failed.
    fn poll_relay(&self, cx: &mut Context<'_>) -> Poll<Result<(), Poisoned>> {
        let first = {
            let mut waiting = self.waiting.lock();
            waiting.relay = Some(cx.waker().clone());
            match waiting.by_lsn.peek() {
                Some(Reverse(first)) => first.lsn,
                None => return Poll::Pending,
            }
        };
        let reached = self.log.poll_committed(first, cx);
        if let Poll::Ready(Ok(())) = reached {
            let committed = self.log.committed();
            let mut waiting = self.waiting.lock();
            while let Some(Reverse(waiter)) = waiting.by_lsn.peek()
                && waiter.lsn <= committed
                && let Some(Reverse(waiter)) = waiting.by_lsn.pop()
            {
                waiter.waker.wake();
            }
        }
        reached
    }
}

impl PartialEq for Waiter {
    fn eq(&self, other: &Self) -> bool {
        self.lsn == other.lsn
    }
}

impl Eq for Waiter {}

impl PartialOrd for Waiter {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Waiter {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.lsn.cmp(&other.lsn)
    }
}
