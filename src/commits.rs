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
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};

use headwater_store::error::PoisonCause;
use headwater_store::{Log, Lsn, Poisoned, SyncPolicy};
use parking_lot::Mutex;

/// The connections that wait for the commit mark: of one life of the data, and of one time in which
/// they are a master's or a replica's.
pub(crate) struct Commits {
    log: Arc<Log>,
    waiting: Mutex<Waiting>,
    /// Nothing is committed any more but what lies below this; `OPEN` while that is not so.
    closed_at: AtomicU64,
}

/// No log reaches this.
const OPEN: u64 = u64::MAX;

/// Why a log commits nothing more.
#[derive(Clone, Debug)]
pub(crate) enum Ended {
    /// The data were closed, or are a replica's.
    Closed,
    Failed(Arc<PoisonCause>),
}

/// A place of a log that somebody who is told of it has to wait for.
#[derive(Clone)]
pub(crate) struct Point {
    commits: Arc<Commits>,
    lsn: Lsn,
}

/// Whether a [`Point`] is committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outlook {
    Committed,
    /// Not yet.
    Open,
    /// It never will be.
    Never,
}

impl Point {
    /// `None` when everything below `lsn` is committed already: nobody has to wait.
    pub(crate) fn ahead(commits: &Arc<Commits>, lsn: Lsn) -> Option<Self> {
        (!commits.is_committed(lsn)).then(|| Self {
            commits: Arc::clone(commits),
            lsn,
        })
    }

    pub(crate) fn outlook(&self) -> Outlook {
        match self.commits.ended(self.lsn) {
            Some(Ok(())) => Outlook::Committed,
            None => Outlook::Open,
            Some(Err(_)) => Outlook::Never,
        }
    }

    /// Has who waits for `other` wait for this, too; `false` when that is of another log, or of
    /// another time in its life.
    pub(crate) fn join(&self, other: &mut Option<Self>) -> bool {
        let other = other.get_or_insert_with(|| self.clone());
        let is_alike = Arc::ptr_eq(&other.commits, &self.commits);
        if is_alike {
            other.lsn = other.lsn.max(self.lsn);
        }
        is_alike
    }

    /// [`Commits::reached`].
    ///
    /// # Errors
    ///
    /// As there.
    pub(crate) async fn reached(&self) -> Result<(), Ended> {
        self.commits.reached(self.lsn).await
    }
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
            closed_at: AtomicU64::new(OPEN),
        }
    }

    /// Tells everybody that nothing more than now is committed: the data are closed, or are the
    /// replica's of another server from now on.
    pub(crate) fn end(&self) {
        let committed = self.log.committed().get();
        self.closed_at.store(committed, Ordering::SeqCst);
        let relay = self.waiting.lock().relay.take();
        if let Some(relay) = relay {
            relay.wake();
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
    pub(crate) async fn reached(&self, lsn: Lsn) -> Result<(), Ended> {
        if self.is_committed(lsn) {
            return Ok(());
        }
        tokio::task::yield_now().await;
        if self.is_committed(lsn) {
            return Ok(());
        }
        match self.log.policy() {
            SyncPolicy::Always => self.log.request_sync(),
            // Unless another thread is writing, which then does so for us, too.
            SyncPolicy::EverySec | SyncPolicy::No => {
                let written = self.log.try_write();
                written.map_err(|Poisoned(cause)| Ended::Failed(cause))?;
            }
        }
        std::future::poll_fn(|cx| self.poll_reached(lsn, cx)).await
    }

    fn poll_reached(&self, lsn: Lsn, cx: &Context<'_>) -> Poll<Result<(), Ended>> {
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

    fn ended(&self, lsn: Lsn) -> Option<Result<(), Ended>> {
        if self.is_committed(lsn) {
            return Some(Ok(()));
        }
        self.why_ended().map(Err)
    }

    fn is_committed(&self, lsn: Lsn) -> bool {
        // In this order: the mark may move beyond what counts once these have ended.
        let is_below = self.log.committed() >= lsn;
        is_below && lsn.get() <= self.closed_at.load(Ordering::SeqCst)
    }

    fn why_ended(&self) -> Option<Ended> {
        if self.closed_at.load(Ordering::SeqCst) != OPEN {
            return Some(Ended::Closed);
        }
        self.log.poisoned().map(Ended::Failed)
    }

    /// The relay: wakes those whose LSN is committed, until nothing more is, and then everybody.
    pub(crate) async fn relay(&self) -> Ended {
        let why = std::future::poll_fn(|cx| self.poll_relay(cx)).await;
        let everybody = std::mem::take(&mut self.waiting.lock().by_lsn);
        for Reverse(waiter) in everybody {
            waiter.waker.wake();
        }
        why
    }

    /// Ready when nothing more is committed.
    fn poll_relay(&self, cx: &mut Context<'_>) -> Poll<Ended> {
        loop {
            let first = {
                let mut waiting = self.waiting.lock();
                waiting.relay = Some(cx.waker().clone());
                waiting.by_lsn.peek().map(|Reverse(first)| first.lsn)
            };
            if let Some(why) = self.why_ended() {
                return Poll::Ready(why);
            }
            let reached = match first {
                Some(first) => self.log.poll_committed(first, cx),
                None => self.log.poll_poisoned(cx).map(|cause| Err(Poisoned(cause))),
            };
            match reached {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Err(Poisoned(cause))) => return Poll::Ready(Ended::Failed(cause)),
                Poll::Ready(Ok(())) => self.wake_committed(),
            }
        }
    }

    fn wake_committed(&self) {
        let committed = self.log.committed();
        let mut waiting = self.waiting.lock();
        while let Some(Reverse(waiter)) = waiting.by_lsn.peek()
            && waiter.lsn <= committed
            && let Some(Reverse(waiter)) = waiting.by_lsn.pop()
        {
            waiter.waker.wake();
        }
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
