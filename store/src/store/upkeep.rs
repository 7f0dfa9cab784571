//! The work behind the scenes: what keeps memory, log and disk within their budgets.
//!
//! ```text
//!  round:   settle -> compact -> checkpoint -> free
//!   |         |          |             '- the log that nobody needs, the files that nothing names
//!           |         |          '- the keyspace, as it is now, in one file
//!           |         '- data files that are mostly dead are emptied into new ones
//!           '- entries move from the old end of the log into data files
//! ```
//!
//! One thread does it, one round after another, whenever [`plan`](super::plan) says that one is
//! due. Nobody waits for it: it holds the lock of a stream only while it copies or replaces a part
//! of its index, and that of the world, alone, only to take the old end off the log.
//!
//! A round that fails leaves everything as it was, or further ahead; the next begins anew, with new
//! files. Nothing depends on it but the space and the time of the next start.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::task::{Context, Poll, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::Retention;
use super::Store;
use super::plan::{Figures, FileFigures, Plan, Space, behind, plan};
use crate::checkpoint::{self, Beginning, Ending, Written};
use crate::error::{DataError, DiskError, OpenError, Poisoned};
use crate::lsn::Lsn;
use crate::sabotage::{self, Bug};

/// How often it looks whether a round is due.
const TICK: Duration = Duration::from_millis(100);

/// How long it rests after a round that failed, and between those that look for space.
const REST: Duration = Duration::from_secs(1);

/// Without space a round may follow the other, which helps only if it frees some. So it rests so
/// many times as long as the last one took.
const RESTS: u32 = 4;

/// How much log may pile up before upkeep takes it away.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Budgets {
    /// Bytes at the end of the log whose entries stay there, with their index in memory. What is
    /// consumed and trimmed within them is written once.
    pub settle_after: u64,
    /// Bytes of log between checkpoints, at least; about what a start has to replay.
    pub checkpoint_after: u64,
}

impl Default for Budgets {
    fn default() -> Self {
        Self {
            settle_after: 128 << 20,
            checkpoint_after: 64 << 20,
        }
    }
}

/// Why a round was given up.
#[derive(Debug)]
pub enum UpkeepError {
    /// The checkpoint that was written is not the one that was read back.
    Checkpoint(OpenError),
    /// A data file cannot be read.
    Data(DataError),
    /// The file system refused.
    Disk(DiskError),
    /// Replies wait for replicas, and these lack what a checkpoint would hold.
    NotAgreed {
        /// It would hold everything below.
        until: Lsn,
    },
    /// The log has failed.
    Poisoned(Poisoned),
}

impl fmt::Display for UpkeepError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Checkpoint(error) => error.fmt(f),
            Self::Data(error) => error.fmt(f),
            Self::Disk(error) => error.fmt(f),
            Self::NotAgreed { until } => write!(
                f,
                "replicas lack what a checkpoint would hold, which is all below LSN {until}"
            ),
            Self::Poisoned(poisoned) => poisoned.fmt(f),
        }
    }
}

impl std::error::Error for UpkeepError {}

impl UpkeepError {
    /// Whether there is no space for it.
    fn is_shortage(&self) -> bool {
        matches!(self, Self::Disk(error) if error.is_shortage())
    }
}

impl From<OpenError> for UpkeepError {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Disk(error) => Self::Disk(error),
            error => Self::Checkpoint(error),
        }
    }
}

impl From<DataError> for UpkeepError {
    fn from(error: DataError) -> Self {
        Self::Data(error)
    }
}

impl From<DiskError> for UpkeepError {
    fn from(error: DiskError) -> Self {
        Self::Disk(error)
    }
}

impl From<Poisoned> for UpkeepError {
    fn from(poisoned: Poisoned) -> Self {
        Self::Poisoned(poisoned)
    }
}

/// What one round did.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct Round {
    /// Entries that moved from the log into data files.
    pub settled_entries: u64,
    /// Bytes of data files written for them, and for those that were compacted.
    pub data_bytes: u64,
    /// Entries that moved from one data file into another.
    pub compacted_entries: u64,
    /// Bytes of the checkpoint.
    pub checkpoint_bytes: u64,
    /// Bytes of log that were given back.
    pub freed_log_bytes: u64,
    /// Data files that were removed.
    pub removed_files: u64,
}

/// Figures about upkeep, for people.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct UpkeepStats {
    /// What piles up at most.
    pub budgets: Budgets,
    /// Rounds since the store was opened.
    pub rounds: u64,
    /// Rounds that were given up.
    pub failures: u64,
    /// Whether a round is going on.
    pub busy: bool,
    /// Why the last round was given up; `None` when it was not.
    pub last_error: Option<String>,
    /// What all rounds did together.
    pub total: Round,
    /// How long the last round took.
    pub last_round: Duration,
    /// The last checkpoint, if there is one.
    pub checkpoint: Option<CheckpointStats>,
}

/// Figures about a checkpoint.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct CheckpointStats {
    /// Its number.
    pub number: u64,
    /// Its length in bytes.
    pub bytes: u64,
    /// Where a start replays from.
    pub from: Lsn,
    /// When it was finished; `None` if that was before the store was opened.
    pub finished: Option<Instant>,
}

/// The state of upkeep.
#[derive(Debug, Default)]
pub(crate) struct Upkeep {
    /// One round at a time.
    turn: Mutex<()>,
    state: Mutex<State>,
    short: AtomicBool,
    pub(super) closing: AtomicBool,
    thread: OnceLock<Thread>,
}

#[derive(Debug, Default)]
struct State {
    budgets: Budgets,
    retention: Retention,
    /// No checkpoint and no reader needs the log below this.
    unneeded_below: Lsn,
    /// What the last checkpoint would have held for which replicas were waited for in vain.
    not_agreed: Option<Lsn>,
    /// Rounds that were asked for, begun and ended: each asker waits for one begun after it asked.
    asked: u64,
    begun: u64,
    ended: u64,
    failures: u64,
    last_error: Option<String>,
    total: Round,
    last_round: Duration,
    /// Where the log ended when the last round began, when that round ended, and whether it freed
    /// anything.
    last_end: Lsn,
    finished: Option<Instant>,
    freed: bool,
    /// The number of the last checkpoint that was begun.
    last_number: u64,
    /// No entry needs the log below this.
    keep: Lsn,
    checkpoint: Option<CheckpointStats>,
    /// About how many bytes of each data file were live when the last checkpoint was taken. What
    /// is deleted inside of an extent is known to its stream only.
    live: BTreeMap<u64, u64>,
    /// Those who wait for rounds to end.
    waiting: Vec<Waker>,
}

impl State {
    /// Whether another round may free something, the log ending at `log_end`.
    fn stirred(&self, log_end: Lsn) -> bool {
        let rest = REST.max(self.last_round.saturating_mul(RESTS));
        match self.finished {
            None => true,
            Some(finished) => (self.freed || log_end > self.last_end) && finished.elapsed() >= rest,
        }
    }

    fn ended(&self, wanted: u64) -> Option<Result<(), String>> {
        (self.ended >= wanted).then(|| self.last_error.clone().map_or(Ok(()), Err))
    }
}

impl Upkeep {
    /// Upkeep of a store that was opened from a checkpoint.
    pub(super) fn new(
        budgets: Budgets,
        retention: Retention,
        found: Option<(Written, Beginning, Ending)>,
    ) -> Self {
        let mut state = State {
            budgets,
            retention,
            ..State::default()
        };
        if let Some((written, beginning, ending)) = found {
            state.last_number = written.number;
            state.keep = ending.keep;
            state.unneeded_below = ending.keep;
            state.checkpoint = Some(CheckpointStats {
                number: written.number,
                bytes: written.len,
                from: beginning.from,
                finished: None,
            });
        }
        Self {
            state: Mutex::new(state),
            ..Self::default()
        }
    }

    pub(super) fn set_retention(&self, retention: Retention) {
        self.state.lock().retention = retention;
    }

    /// From where on this store needs the log, and what else is to be kept of it.
    pub(super) fn kept(&self) -> (Lsn, Retention) {
        let state = self.state.lock();
        (state.unneeded_below, state.retention)
    }

    fn wake(&self) {
        if let Some(thread) = self.thread.get() {
            thread.unpark();
        }
    }

    /// Ends the thread after the round that goes on.
    pub(super) fn stop(&self) {
        self.closing.store(true, Ordering::Release);
        self.wake();
        // A round that goes on ends; another one finds that the store is closing.
        drop(self.turn.lock());
    }
}

impl Store {
    /// Starts the threads of the log, of upkeep and of reading ahead. They end when the store is
    /// closed or dropped. Does nothing when they run already.
    ///
    /// # Errors
    ///
    /// When the system has no thread to give.
    pub fn start(self: &Arc<Self>) -> io::Result<()> {
        self.log.start()?;
        self.data.start()?;
        if self.upkeep.thread.get().is_none() {
            let store = Arc::downgrade(self);
            let thread = thread::Builder::new()
                .name("upkeep".to_owned())
                .spawn(move || run(&store))?;
            let _ = self.upkeep.thread.set(thread.thread().clone());
        }
        Ok(())
    }

    /// Changes the budgets.
    pub fn set_budgets(&self, budgets: Budgets) {
        self.upkeep.state.lock().budgets = budgets;
        self.upkeep.wake();
    }

    /// Says whether there is little space left on the disk: what can be freed is freed sooner then.
    /// That there is none left for what adds is known from the [log](crate::log::Log).
    pub fn set_short_of_space(&self, short: bool) {
        if self.upkeep.short.swap(short, Ordering::Relaxed) != short {
            self.upkeep.wake();
        }
    }

    /// Asks for a round of upkeep, and says which one: see [`round_ended`](Self::round_ended).
    pub fn request_round(&self) -> u64 {
        let wanted = {
            let mut state = self.upkeep.state.lock();
            state.asked = state.begun + 1;
            state.asked
        };
        self.upkeep.wake();
        wanted
    }

    /// Whether a round that was [asked for](Self::request_round) has ended, and how.
    #[must_use]
    pub fn round_ended(&self, wanted: u64) -> Option<Result<(), String>> {
        self.upkeep.state.lock().ended(wanted)
    }

    /// Ready when a round that was [asked for](Self::request_round) has ended. Otherwise the waker
    /// is kept, to be woken when a round ends.
    pub fn poll_round(&self, wanted: u64, cx: &Context<'_>) -> Poll<Result<(), String>> {
        let mut state = self.upkeep.state.lock();
        match state.ended(wanted) {
            Some(ended) => Poll::Ready(ended),
            None => {
                state.waiting.push(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    /// How far upkeep is behind those who add, in thousandths: 0 while it keeps up, 1000 when twice
    /// as much of the log is unsettled as should be at most. They should rest the longer then.
    #[must_use]
    pub fn behind(&self) -> u64 {
        let state = self.upkeep.state.lock();
        let unsettled = self.log.appended().since(self.unsettled_from(&state));
        let checkpoint_bytes = state.checkpoint.map_or(0, |checkpoint| checkpoint.bytes);
        behind(unsettled, &state.budgets, checkpoint_bytes)
    }

    /// Figures about upkeep.
    #[must_use]
    pub fn upkeep_stats(&self) -> UpkeepStats {
        let state = self.upkeep.state.lock();
        UpkeepStats {
            budgets: state.budgets,
            rounds: state.ended,
            failures: state.failures,
            busy: state.begun > state.ended,
            last_error: state.last_error.clone(),
            total: state.total.clone(),
            last_round: state.last_round,
            checkpoint: state.checkpoint,
        }
    }

    /// Does a round of upkeep on this thread, whether one is due or not: settles what lies further
    /// back in the log than [`Budgets::settle_after`], compacts, takes a checkpoint, frees.
    ///
    /// # Errors
    ///
    /// When the disk refuses. Nothing is lost, and nothing waits for it.
    pub fn round(&self) -> Result<Round, UpkeepError> {
        let _turn = self.upkeep.turn.lock();
        self.round_in_turn()
    }

    /// Keeps upkeep from doing anything while `f` does something, if so wished after a round. `f`
    /// gets the number of the last checkpoint, if there is one.
    ///
    /// # Errors
    ///
    /// As [`round`](Self::round).
    pub(super) fn without_upkeep<R>(
        &self,
        round: bool,
        f: impl FnOnce(Option<u64>) -> R,
    ) -> Result<R, UpkeepError> {
        let _turn = self.upkeep.turn.lock();
        if round {
            self.round_in_turn()?;
        }
        let last = self.upkeep.state.lock().checkpoint;
        Ok(f(last.map(|last| last.number)))
    }

    /// A round. The caller has the turn.
    fn round_in_turn(&self) -> Result<Round, UpkeepError> {
        let plan = plan(
            &Figures {
                asked: true,
                ..self.figures()
            },
            &self.budgets(),
        );
        self.perform(&plan.expect("a round that is asked for is due"))
    }

    /// Does a round if one is due.
    fn tend(&self) -> Result<(), UpkeepError> {
        let _turn = self.upkeep.turn.lock();
        if self.upkeep.closing.load(Ordering::Acquire) {
            return Ok(());
        }
        match plan(&self.figures(), &self.budgets()) {
            Some(plan) if !self.is_futile() => self.perform(&plan).map(drop),
            _ => {
                // Those for whom it was kept have got further.
                let freed = self.let_go()?;
                self.upkeep.state.lock().total.freed_log_bytes += freed;
                Ok(())
            }
        }
    }

    /// Whether a checkpoint would wait in vain, as the last one did, and nobody asks for one.
    fn is_futile(&self) -> bool {
        let state = self.upkeep.state.lock();
        let lacking = state.not_agreed.zip(self.log.replicated());
        let in_vain = lacking.is_some_and(|(until, replicated)| replicated < until);
        in_vain && state.asked <= state.ended
    }

    /// Whether there is little space left on the disk.
    pub(super) fn is_short_of_space(&self) -> bool {
        self.upkeep.short.load(Ordering::Relaxed) || self.log.is_full()
    }

    fn budgets(&self) -> Budgets {
        self.upkeep.state.lock().budgets
    }

    /// No entry needs the log below this.
    fn unsettled_from(&self, state: &State) -> Lsn {
        state.keep.max(self.log.beginning())
    }

    fn figures(&self) -> Figures {
        let state = self.upkeep.state.lock();
        let files = self.data.files();
        let (unsettled_from, log_end) = (self.unsettled_from(&state), self.log.appended());
        let space = if self.log.is_full() {
            // What is not known is not counted on.
            Space::Full(self.disk.free_bytes(&self.dir).unwrap_or(0))
        } else if self.upkeep.short.load(Ordering::Relaxed) {
            Space::Low
        } else {
            Space::Plenty
        };
        Figures {
            unsettled_from,
            log_end,
            replay_from: state
                .checkpoint
                .map_or(self.log.beginning(), |checkpoint| checkpoint.from),
            checkpoint_bytes: state.checkpoint.map_or(0, |checkpoint| checkpoint.bytes),
            files: files
                .iter()
                .map(|file| FileFigures {
                    number: file.number(),
                    len: file.len(),
                    live: { state.live.get(&file.number()) }
                        .map_or(file.live(), |&live| live.min(file.live())),
                })
                .collect(),
            asked: state.asked > state.ended,
            space,
            stirred: state.stirred(log_end),
        }
    }

    /// One round. The caller has the turn.
    fn perform(&self, plan: &Plan) -> Result<Round, UpkeepError> {
        let began = Instant::now();
        let number = {
            let mut state = self.upkeep.state.lock();
            state.begun += 1;
            state.last_number += 1;
            state.last_end = self.log.appended();
            state.last_number
        };
        let mut round = Round::default();
        let performed = self.perform_steps(plan, number, &mut round);
        let mut state = self.upkeep.state.lock();
        state.ended = state.begun;
        state.last_round = began.elapsed();
        state.finished = Some(Instant::now());
        state.freed = round.freed_log_bytes > 0 || round.removed_files > 0;
        state.total.add(&round);
        state.last_error = performed.as_ref().err().map(ToString::to_string);
        state.failures += u64::from(performed.is_err());
        state.not_agreed = match performed {
            Err(UpkeepError::NotAgreed { until }) => Some(until),
            _ => None,
        };
        let waiting = std::mem::take(&mut state.waiting);
        drop(state);
        waiting.into_iter().for_each(Waker::wake);
        performed.map(|()| round)
    }

    fn perform_steps(
        &self,
        plan: &Plan,
        number: u64,
        round: &mut Round,
    ) -> Result<(), UpkeepError> {
        // What moves entries needs space before it frees any. Without it, the rest still helps.
        let moved = match self.settle(plan, round) {
            Err(error) if !error.is_shortage() => return Err(error),
            moved => moved,
        };
        if sabotage::has(Bug::DataFreedEarly) {
            self.data.remove_unused(|_| false)?;
        }
        let captured = loop {
            match self.capture(number) {
                Err(error) if error.is_shortage() && self.log.give_up_spare() => {}
                captured => break captured?,
            }
        };
        round.checkpoint_bytes = captured.written.len;
        {
            let mut state = self.upkeep.state.lock();
            state.keep = captured.keep;
            state.checkpoint = Some(CheckpointStats {
                number,
                bytes: captured.written.len,
                from: captured.from,
                finished: Some(Instant::now()),
            });
        }
        // The one before goes before anything that it needs.
        checkpoint::remove_others(&*self.disk, &self.checkpoint_dir(), Some(number))?;
        // Whoever had found a place below is gone then, and nobody finds one any more.
        drop(self.world.write());
        self.upkeep.state.lock().unneeded_below = captured.keep;
        round.freed_log_bytes = self.let_go()?;
        let named = |number| captured.files.contains_key(&number);
        round.removed_files = self.data.remove_unused(named)? as u64;
        self.upkeep.state.lock().live = captured.files;
        moved
    }
}

impl Round {
    fn add(&mut self, other: &Self) {
        let Self {
            settled_entries,
            data_bytes,
            compacted_entries,
            checkpoint_bytes,
            freed_log_bytes,
            removed_files,
        } = other;
        self.settled_entries += settled_entries;
        self.data_bytes += data_bytes;
        self.compacted_entries += compacted_entries;
        self.checkpoint_bytes += checkpoint_bytes;
        self.freed_log_bytes += freed_log_bytes;
        self.removed_files += removed_files;
    }
}

/// The thread: looks, rests, looks again, until the store is closed or dropped.
fn run(store: &Weak<Store>) {
    let mut failed = false;
    loop {
        let Some(store) = store.upgrade() else { return };
        if store.upkeep.closing.load(Ordering::Acquire) || store.log.poisoned().is_some() {
            return;
        }
        let tended = store.tend();
        if let Err(error) = &tended {
            if !std::mem::replace(&mut failed, true) {
                tracing::warn!(%error, "could not free memory and disk; trying again each second");
            }
        } else if std::mem::replace(&mut failed, false) {
            tracing::info!("memory and disk are being freed again");
        }
        drop(store);
        thread::park_timeout(if failed { REST } else { TICK });
    }
}
