//! How far the log has got, and who waits for it to get further.
//!
//! ```text
//!  0               durable              written             appended
//!  |------------------|--------------------|--------------------|
//!  :  on the disk     :  in the kernel;    :  in memory;        :
//!  :                  :  a power failure   :  a crash of the    :
//!  :                  :  may lose it       :  process loses it  :
//! ```
//!
//! Each mark means *everything below it*. The *committed* mark, which replies wait for, is
//! `durable` or `written`, as the policy says; and no more than is *replicated*, if that counts.
//!
//! # Invariants
//!
//! * `durable <= written <= appended`, and each only grows. So does `replicated`, while it counts.
//! * Once the log is poisoned, `durable` and `written` do not move again.
//! * A waiter is woken after the mark that it waits for has reached its place, or when it never
//!   will: marks move and waiters register under the same lock, so no wake-up is lost.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};

use parking_lot::{Mutex, MutexGuard};

use super::SyncPolicy;
use crate::error::{PoisonCause, Poisoned};
use crate::lsn::Lsn;

pub(crate) struct Marks {
    appended: AtomicU64,
    written: AtomicU64,
    durable: AtomicU64,
    /// What replicas have; [`Lsn::NEVER`] when it does not count.
    replicated: AtomicU64,
    policy: AtomicU8,
    /// Whether `state.poison` is set, for those who cannot afford the lock.
    is_poisoned: AtomicBool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    poison: Option<Arc<PoisonCause>>,
    /// Those who wait for the committed mark.
    for_committed: Waiters,
    /// Those who wait for `written`.
    for_written: Waiters,
    /// Those who wait for `durable`.
    for_durable: Waiters,
}

/// In order of their places.
#[derive(Default)]
struct Waiters(VecDeque<Waiter>);

struct Waiter {
    at: Lsn,
    waker: Waker,
}

impl Marks {
    /// Marks of a log that is durable up to `end`.
    pub(crate) fn new(end: Lsn, policy: SyncPolicy) -> Self {
        let mark = || AtomicU64::new(end.get());
        Self {
            appended: mark(),
            written: mark(),
            durable: mark(),
            replicated: AtomicU64::new(Lsn::NEVER.get()),
            policy: AtomicU8::new(policy as u8),
            is_poisoned: AtomicBool::new(false),
            state: Mutex::default(),
        }
    }

    pub(crate) fn appended(&self) -> Lsn {
        Lsn::new(self.appended.load(Ordering::Acquire))
    }

    pub(crate) fn written(&self) -> Lsn {
        Lsn::new(self.written.load(Ordering::Acquire))
    }

    pub(crate) fn durable(&self) -> Lsn {
        Lsn::new(self.durable.load(Ordering::Acquire))
    }

    pub(crate) fn committed(&self) -> Lsn {
        self.kept()
            .min(Lsn::new(self.replicated.load(Ordering::Acquire)))
    }

    /// What is safe here, as the policy understands it, whatever replicas have.
    pub(crate) fn kept(&self) -> Lsn {
        match self.policy() {
            SyncPolicy::Always => self.durable(),
            SyncPolicy::EverySec | SyncPolicy::No => self.written(),
        }
    }

    /// What replicas have, if that counts.
    pub(crate) fn replicated(&self) -> Option<Lsn> {
        let replicated = Lsn::new(self.replicated.load(Ordering::Acquire));
        (replicated != Lsn::NEVER).then_some(replicated)
    }

    /// Sets what replicas have, if that counts. It does not become less while it counts.
    pub(crate) fn set_replicated(&self, to: Option<Lsn>) {
        let state = self.state.lock();
        let now = Lsn::new(self.replicated.load(Ordering::Acquire));
        let to = match to {
            None => Lsn::NEVER,
            Some(to) if now == Lsn::NEVER => to,
            Some(to) => now.max(to),
        };
        self.replicated.store(to.get(), Ordering::Release);
        self.wake(state);
    }

    pub(crate) fn policy(&self) -> SyncPolicy {
        match self.policy.load(Ordering::Acquire) {
            0 => SyncPolicy::Always,
            1 => SyncPolicy::EverySec,
            _ => SyncPolicy::No,
        }
    }

    pub(crate) fn set_policy(&self, policy: SyncPolicy) {
        let state = self.state.lock();
        self.policy.store(policy as u8, Ordering::Release);
        self.wake(state);
    }

    /// Moves `appended`. The caller holds the tail, so that there is one who does.
    pub(crate) fn set_appended(&self, to: Lsn) {
        assert!(self.appended() <= to, "appended only grows");
        self.appended.store(to.get(), Ordering::Release);
    }

    /// Moves `written`, unless the log is poisoned.
    pub(crate) fn set_written(&self, to: Lsn) -> Result<(), Poisoned> {
        assert!(
            self.written() <= to && to <= self.appended(),
            "written grows below appended"
        );
        self.move_mark(&self.written, to)
    }

    /// Moves `durable`, unless the log is poisoned.
    pub(crate) fn set_durable(&self, to: Lsn) -> Result<(), Poisoned> {
        assert!(
            self.durable() <= to && to <= self.written(),
            "durable grows below written"
        );
        self.move_mark(&self.durable, to)
    }

    fn move_mark(&self, mark: &AtomicU64, to: Lsn) -> Result<(), Poisoned> {
        let state = self.state.lock();
        state.check()?;
        mark.store(to.get(), Ordering::Release);
        self.wake(state);
        Ok(())
    }

    /// Fails for ever after [`Self::set_poison`].
    pub(crate) fn check(&self) -> Result<(), Poisoned> {
        if self.is_poisoned.load(Ordering::Acquire) {
            self.state.lock().check()
        } else {
            Ok(())
        }
    }

    pub(crate) fn poison(&self) -> Option<Arc<PoisonCause>> {
        self.state.lock().poison.clone()
    }

    /// Poisons the log and wakes everybody. The first cause is the one that counts.
    pub(crate) fn set_poison(&self, cause: PoisonCause) -> Poisoned {
        let mut state = self.state.lock();
        let cause = state.poison.get_or_insert_with(|| Arc::new(cause)).clone();
        self.is_poisoned.store(true, Ordering::Release);
        self.wake(state);
        Poisoned(cause)
    }

    /// Ready when the committed mark has reached `lsn`, or with an error when it never will.
    pub(crate) fn poll_committed(&self, lsn: Lsn, cx: &Context<'_>) -> Poll<Result<(), Poisoned>> {
        if lsn <= self.committed() {
            return Poll::Ready(Ok(()));
        }
        let mut state = self.state.lock();
        if lsn <= self.committed() {
            return Poll::Ready(Ok(()));
        }
        state.check()?;
        state.for_committed.register(lsn, cx.waker());
        Poll::Pending
    }

    /// Ready when `written` has reached `lsn`, or with an error when it never will.
    pub(crate) fn poll_written(&self, lsn: Lsn, cx: &Context<'_>) -> Poll<Result<(), Poisoned>> {
        if lsn <= self.written() {
            return Poll::Ready(Ok(()));
        }
        let mut state = self.state.lock();
        if lsn <= self.written() {
            return Poll::Ready(Ok(()));
        }
        state.check()?;
        state.for_written.register(lsn, cx.waker());
        Poll::Pending
    }

    /// Ready when `durable` has reached `lsn`, or with an error when it never will.
    pub(crate) fn poll_durable(&self, lsn: Lsn, cx: &Context<'_>) -> Poll<Result<(), Poisoned>> {
        if lsn <= self.durable() {
            return Poll::Ready(Ok(()));
        }
        let mut state = self.state.lock();
        if lsn <= self.durable() {
            return Poll::Ready(Ok(()));
        }
        state.check()?;
        state.for_durable.register(lsn, cx.waker());
        Poll::Pending
    }

    /// Ready when the log is poisoned.
    pub(crate) fn poll_poisoned(&self, cx: &Context<'_>) -> Poll<Arc<PoisonCause>> {
        let mut state = self.state.lock();
        if let Some(cause) = &state.poison {
            return Poll::Ready(cause.clone());
        }
        state.for_committed.register(Lsn::NEVER, cx.waker());
        Poll::Pending
    }

    /// Wakes those whose wait is over, after giving up the lock: a waker may run anything.
    fn wake(&self, mut state: MutexGuard<'_, State>) {
        let [committed, written, durable] = if state.poison.is_some() {
            [Lsn::NEVER; 3]
        } else {
            [self.committed(), self.written(), self.durable()]
        };
        let mut woken = Vec::new();
        state.for_committed.take_ready(committed, &mut woken);
        state.for_written.take_ready(written, &mut woken);
        state.for_durable.take_ready(durable, &mut woken);
        drop(state);
        for waiter in woken {
            waiter.waker.wake();
        }
    }
}

impl State {
    fn check(&self) -> Result<(), Poisoned> {
        self.poison
            .as_ref()
            .map_or(Ok(()), |cause| Err(Poisoned(cause.clone())))
    }
}

impl Waiters {
    /// Takes out those whose place the mark has reached.
    fn take_ready(&mut self, mark: Lsn, into: &mut Vec<Waiter>) {
        if self.0.front().is_some_and(|first| first.at <= mark) {
            let ready = self.0.partition_point(|waiter| waiter.at <= mark);
            into.extend(self.0.drain(..ready));
        }
    }

    fn register(&mut self, at: Lsn, waker: &Waker) {
        // Most wait for the newest place, and a task that is polled again does so soon.
        let index = match self.0.back() {
            Some(last) if last.at > at => self.0.partition_point(|waiter| waiter.at <= at),
            _ => self.0.len(),
        };
        let before = index.checked_sub(1).map(|before| &self.0[before]);
        if !before.is_some_and(|known| known.at == at && known.waker.will_wake(waker)) {
            self.0.insert(
                index,
                Waiter {
                    at,
                    waker: waker.clone(),
                },
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::path::PathBuf;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
    use std::task::{Context, Poll, Wake, Waker};
    use std::thread::{self, Thread};

    use super::Marks;
    use crate::error::{DiskError, Doing, PoisonCause};
    use crate::log::SyncPolicy;
    use crate::lsn::Lsn;

    #[derive(Default)]
    struct Bell(AtomicUsize);

    impl Wake for Bell {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn cause() -> PoisonCause {
        let source = io::Error::other("a broken disk");
        let fault = DiskError {
            doing: Doing::Sync,
            path: PathBuf::from("/log"),
            source,
        };
        PoisonCause {
            fault,
            durable: Lsn::ZERO,
        }
    }

    #[test]
    fn waiters_are_woken_in_the_order_of_their_places() {
        let marks = Marks::new(Lsn::ZERO, SyncPolicy::EverySec);
        marks.set_appended(Lsn::new(9));
        let bells: Vec<Arc<Bell>> = (0..4).map(|_| Arc::default()).collect();
        for (bell, at) in bells.iter().zip([7, 2, 9, 2]) {
            let waker = Waker::from(bell.clone());
            let poll = marks.poll_committed(Lsn::new(at), &Context::from_waker(&waker));
            assert!(poll.is_pending());
        }
        let rung = || {
            bells
                .iter()
                .map(|bell| bell.0.load(Ordering::SeqCst))
                .collect::<Vec<_>>()
        };
        marks.set_written(Lsn::new(1)).unwrap();
        assert_eq!(rung(), [0, 0, 0, 0]);
        marks.set_written(Lsn::new(7)).unwrap();
        assert_eq!(rung(), [1, 1, 0, 1]);
        marks.set_written(Lsn::new(9)).unwrap();
        assert_eq!(rung(), [1, 1, 1, 1]);
    }

    #[test]
    fn the_policy_decides_which_mark_counts() {
        let marks = Marks::new(Lsn::ZERO, SyncPolicy::Always);
        marks.set_appended(Lsn::new(9));
        let bell: Arc<Bell> = Arc::default();
        let waker = Waker::from(bell.clone());
        let cx = Context::from_waker(&waker);
        assert!(marks.poll_committed(Lsn::new(5), &cx).is_pending());
        assert!(marks.poll_committed(Lsn::new(5), &cx).is_pending());
        marks.set_written(Lsn::new(9)).unwrap();
        assert_eq!(
            (marks.committed(), bell.0.load(Ordering::SeqCst)),
            (Lsn::ZERO, 0)
        );
        marks.set_policy(SyncPolicy::No);
        assert_eq!(
            bell.0.load(Ordering::SeqCst),
            1,
            "once, though it was polled twice"
        );
        assert!(marks.poll_committed(Lsn::new(5), &cx).is_ready());
    }

    #[test]
    fn what_replicas_lack_is_not_committed_while_they_count() {
        let marks = Marks::new(Lsn::ZERO, SyncPolicy::EverySec);
        marks.set_appended(Lsn::new(9));
        marks.set_written(Lsn::new(7)).unwrap();
        let committed = |replicated: Option<u64>| {
            marks.set_replicated(replicated.map(Lsn::new));
            marks.committed().get()
        };
        assert_eq!(committed(Some(3)), 3);
        assert_eq!(marks.kept(), Lsn::new(7), "whatever replicas have");
        let bell: Arc<Bell> = Arc::default();
        let waker = Waker::from(bell.clone());
        let cx = Context::from_waker(&waker);
        assert!(marks.poll_committed(Lsn::new(5), &cx).is_pending());
        assert!(marks.poll_written(Lsn::new(7), &cx).is_ready());
        assert_eq!(committed(Some(2)), 3, "it does not become less");
        assert_eq!((committed(Some(5)), bell.0.load(Ordering::SeqCst)), (5, 1));
        assert_eq!(committed(Some(8)), 7);
        assert_eq!(committed(None), 7);
        assert_eq!(committed(Some(4)), 4, "they count again");
        assert!(marks.poll_committed(Lsn::new(6), &cx).is_pending());
        assert_eq!((committed(None), bell.0.load(Ordering::SeqCst)), (7, 2));
    }

    #[test]
    fn who_waits_for_writing_does_not_wait_for_the_disk() {
        let marks = Marks::new(Lsn::ZERO, SyncPolicy::Always);
        marks.set_appended(Lsn::new(9));
        let bell: Arc<Bell> = Arc::default();
        let waker = Waker::from(bell.clone());
        let cx = Context::from_waker(&waker);
        assert!(marks.poll_written(Lsn::new(5), &cx).is_pending());
        assert!(marks.poll_written(Lsn::new(9), &cx).is_pending());
        marks.set_written(Lsn::new(6)).unwrap();
        assert_eq!(bell.0.load(Ordering::SeqCst), 1);
        assert!(marks.poll_written(Lsn::new(6), &cx).is_ready());
        marks.set_poison(cause());
        assert_eq!(bell.0.load(Ordering::SeqCst), 2);
        let failed = marks.poll_written(Lsn::new(9), &cx);
        assert!(matches!(failed, Poll::Ready(Err(_))));
    }

    #[test]
    fn who_waits_for_the_disk_is_not_content_with_writing() {
        let marks = Marks::new(Lsn::ZERO, SyncPolicy::EverySec);
        marks.set_appended(Lsn::new(9));
        let bell: Arc<Bell> = Arc::default();
        let waker = Waker::from(bell.clone());
        let cx = Context::from_waker(&waker);
        assert!(marks.poll_durable(Lsn::new(5), &cx).is_pending());
        marks.set_written(Lsn::new(9)).unwrap();
        assert_eq!(bell.0.load(Ordering::SeqCst), 0);
        marks.set_durable(Lsn::new(5)).unwrap();
        assert_eq!(bell.0.load(Ordering::SeqCst), 1);
        assert!(marks.poll_durable(Lsn::new(5), &cx).is_ready());
    }

    #[test]
    fn poison_stops_the_marks_and_wakes_everybody() {
        let marks = Marks::new(Lsn::ZERO, SyncPolicy::EverySec);
        marks.set_appended(Lsn::new(9));
        marks.set_written(Lsn::new(3)).unwrap();
        let bell: Arc<Bell> = Arc::default();
        let waker = Waker::from(bell.clone());
        let cx = Context::from_waker(&waker);
        assert!(marks.poll_committed(Lsn::new(5), &cx).is_pending());
        assert!(marks.poll_poisoned(&cx).is_pending());
        marks.set_poison(cause());
        assert_eq!(bell.0.load(Ordering::SeqCst), 2);
        assert!(marks.set_written(Lsn::new(9)).is_err());
        assert!(marks.set_durable(Lsn::new(3)).is_err());
        assert_eq!((marks.written(), marks.durable()), (Lsn::new(3), Lsn::ZERO));
        assert!(matches!(
            marks.poll_committed(Lsn::new(5), &cx),
            Poll::Ready(Err(_))
        ));
        assert!(matches!(
            marks.poll_committed(Lsn::new(3), &cx),
            Poll::Ready(Ok(()))
        ));
        assert!(marks.poll_poisoned(&cx).is_ready());
    }

    /// A lost wake-up hangs this test.
    #[test]
    fn no_mark_moves_unseen_between_looking_and_registering() {
        struct Unpark(Thread);
        impl Wake for Unpark {
            fn wake(self: Arc<Self>) {
                self.0.unpark();
            }
        }
        const ROUNDS: u64 = 100;
        let marks = Marks::new(Lsn::ZERO, SyncPolicy::EverySec);
        let round_begun = AtomicU64::new(0);
        thread::scope(|scope| {
            scope.spawn(|| {
                for round in 1..=ROUNDS {
                    // What `move_mark` does, with time for the other thread to look before it.
                    let state = marks.state.lock();
                    round_begun.store(round, Ordering::SeqCst);
                    for _ in 0..50 {
                        thread::yield_now();
                    }
                    marks.written.store(round, Ordering::Release);
                    marks.wake(state);
                    while marks.appended() < Lsn::new(round) {
                        thread::yield_now();
                    }
                }
            });
            let waker = Waker::from(Arc::new(Unpark(thread::current())));
            let cx = Context::from_waker(&waker);
            for round in 1..=ROUNDS {
                while round_begun.load(Ordering::SeqCst) < round {
                    thread::yield_now();
                }
                while marks.poll_committed(Lsn::new(round), &cx).is_pending() {
                    thread::park();
                }
                // The other thread may go on.
                marks.set_appended(Lsn::new(round));
            }
        });
        assert_eq!(marks.committed(), Lsn::new(ROUNDS));
    }
}
