//! The log: where every change goes first.
//!
//! ```text
//!  append ---> tail ---> in flight ---> segments            read
//!  (memory)    |         (memory,       (files, mapped)      |
//!              |         being written)                      |
//!              |                        durable    written   |  appended
//!  0 ----------+---------------------------|----------|------+-----|----
//!                :  synced                 : pwrite   : buffers    :
//! ```
//!
//! A change is a *batch* of records. It is appended to a buffer in memory, which gives it its place
//! (an [`Lsn`]); some thread writes the buffer out; some thread syncs. The caller learns of the
//! progress from the [marks](Log::durable) and holds its replies until the
//! [committed](Log::committed) one has passed them.
//!
//! What is where: `frame` and `segment` are the format on disk, `tail` is the buffer and the
//! account of space, `writer` puts frames into segments, `marks` keeps the progress and who
//! waits for it, `recovery` finds the end after a crash, `spare` makes files ahead, `release` lets
//! go of what is done with and uses its files again, whose marks are `fences`, `syncer` owns the
//! threads. `role` changes who leads and takes frames from there, `shipping` gives them out,
//! `truncate` cuts a log that nobody has open.
//!
//! # Invariants
//!
//! * Everything below `durable` survives a power failure, everything below `written` a crash of the
//!   process.
//! * A batch is whole or absent after any crash, and no later batch is there without it.
//! * After a failed write or sync nothing is acknowledged any more; nothing is tried again.
//! * A batch is refused for lack of space before anything of it happens.
//! * Order of locks: retired, sync, writer, tail, history, in flight, waiters. None is held while a
//!   callback of the caller runs, except by [`Log::read`] and [`Appender`], which say so.

mod appender;
mod fences;
pub(crate) mod frame;
mod hold;
mod marks;
mod options;
mod progress;
mod recovery;
mod release;
mod role;
mod segment;
mod shipping;
mod spare;
mod syncer;
mod tail;
pub(crate) mod truncate;
mod writer;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering, fence};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use parking_lot::{Mutex, RwLock, RwLockWriteGuard};

pub use self::appender::Appender;
use self::frame::BODY_MAX;
pub use self::hold::Held;
use self::marks::Marks;
pub use self::options::{Growth, LogOptions, LogStats, Opening, SyncPolicy};
pub use self::progress::Progress;
pub(crate) use self::recovery::{
    Before, EndSeen, Inspected, SegmentSeen, inspect, look_before, segment_of,
};
use self::segment::Segment;
pub(crate) use self::segment::is_of_a_log;
use self::spare::{Fill, Maker, Spare};
use self::syncer::{Background, SpareMade};
use self::tail::{InFlight, Tail};
use self::writer::{Segments, Unsynced, Writer};
use crate::disk::Disk;
use crate::error::{AppendError, DiskError, Malformed, OpenError, PoisonCause, Poisoned};
use crate::history::{History, HistoryId};
use crate::lsn::Lsn;
use crate::sabotage::{self, Bug};

/// The size of the first segment of a new log, which somebody waits for.
const FIRST_SEGMENT_BYTES: u64 = 1 << 20;

/// Files are made in multiples of this: the size of a page.
const FILE_UNIT: u64 = 4096;

/// What a log calls with the records it finds when it is opened: the place of the first byte of a
/// frame's body, the number of records in it, and the body.
pub type Replay<'a> = &'a mut dyn FnMut(Lsn, u32, &[u8]) -> Result<(), Malformed>;

#[derive(Default)]
struct Counters {
    frames: AtomicU64,
    writes: AtomicU64,
    syncs: AtomicU64,
    last_sync_nanos: AtomicU64,
    released: AtomicU64,
    recycled: AtomicU64,
}

/// An open log. Shared through an `Arc`; appends are serialised, readers are many and wait for
/// nobody.
pub struct Log {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    options: LogOptions,
    start: AtomicU64,
    marks: Marks,
    /// Taken by the one who syncs.
    sync: Mutex<()>,
    writer: Mutex<Writer>,
    tail: Mutex<Tail>,
    /// Written by those who hold the tail.
    history: Mutex<History>,
    in_flight: RwLock<InFlight>,
    segments: Arc<Segments>,
    /// Segments that have left the log, and whose files are waiting to be used again.
    retired: Mutex<Vec<Arc<Segment>>>,
    maker: Maker,
    /// Whether appends that [add](Growth::Adds) are refused.
    growth_refused: AtomicBool,
    background: Background,
    counters: Counters,
}

impl Log {
    /// Opens the log in `dir`, or creates it. The caller has the directory for itself until the log
    /// is dropped. Hands every frame's records from [`LogOptions::from`] on to `replay`, in order;
    /// makes what it found durable; begins a new epoch if it is to [lead](Opening::Lead). Starts no
    /// threads.
    ///
    /// # Errors
    ///
    /// [`OpenError::Corrupt`] when data that had been durable is damaged or gone: nothing is
    /// changed on disk then. [`OpenError::Malformed`] when `replay` says so. [`OpenError::Disk`].
    /// Whatever was replayed before an error is void.
    ///
    /// # Panics
    ///
    /// When the options ask for segments without room for frames, or for less to be kept than is
    /// to be replayed, or call less durable.
    pub fn open(
        disk: Arc<dyn Disk>,
        dir: &Path,
        options: LogOptions,
        replay: Replay<'_>,
    ) -> Result<Arc<Self>, OpenError> {
        assert!(
            options.segment_bytes >= 2 * segment::HEADER as u64,
            "segments have room"
        );
        assert!(
            options.keep <= options.from && options.from <= options.durable,
            "what is replayed is kept, and a checkpoint is of what was durable"
        );
        disk.create_dir(dir)?;
        let recovered = recovery::recover(&*disk, dir, &options, replay)?;
        let end = recovered.end;
        if recovered.torn {
            tracing::warn!(%end, "the log was torn by a crash; cut off what was never durable");
        }
        let left = match recovered.segments.last().map(|active| active.allocate(end)) {
            None => 0,
            Some(Ok(left)) => left,
            Some(Err(fault)) if fault.is_shortage() => 0,
            Some(Err(fault)) => return Err(fault.into()),
        };
        let start = recovered.segments.first().map_or(end, |first| first.base);
        let segments = Arc::new(ArcSwap::from_pointee(recovered.segments));
        let log = Arc::new(Self {
            start: AtomicU64::new(start.get()),
            marks: Marks::new(end, options.policy),
            sync: Mutex::new(()),
            writer: Mutex::new(Writer::new(disk.clone(), dir, segments.clone())),
            tail: Mutex::new(Tail::new(end, recovered.epoch, recovered.records_end, left)),
            history: Mutex::new(recovered.history),
            in_flight: RwLock::default(),
            segments,
            retired: Mutex::default(),
            maker: Maker::new(disk.clone(), dir),
            growth_refused: AtomicBool::new(false),
            disk,
            dir: dir.to_owned(),
            background: Background::default(),
            counters: Counters::default(),
            options,
        });
        if let Opening::Lead(id) = log.options.role {
            log.begin_epoch(id, left)?;
        }
        Ok(log)
    }

    /// Begins the first epoch of this log's life, durably.
    fn begin_epoch(&self, id: HistoryId, left: u64) -> Result<(), OpenError> {
        let frame_bytes = (frame::HEADER + HistoryId::BYTES) as u64;
        {
            let mut tail = self.tail.lock();
            if left < frame_bytes {
                let new = self.marks.appended() == Lsn::ZERO;
                let file_len = self.options.segment_bytes;
                let file_len = if new {
                    file_len.min(FIRST_SEGMENT_BYTES)
                } else {
                    file_len
                };
                let fill = if new { self.fill() } else { Fill::Allocate };
                tail.add_spare(self.maker.make(file_len, fill)?);
            }
            self.begin(&mut tail, id);
        }
        match self.sync() {
            Ok(_) => Ok(()),
            Err(Poisoned(cause)) => {
                let DiskError {
                    doing,
                    path,
                    source,
                } = &cause.fault;
                let source = source.raw_os_error().map_or_else(
                    || io::Error::new(source.kind(), source.to_string()),
                    io::Error::from_raw_os_error,
                );
                Err(DiskError {
                    doing: *doing,
                    path: path.clone(),
                    source,
                }
                .into())
            }
        }
    }

    /// Starts the threads that sync and that make spare segments. They end when the log is closed
    /// or dropped. Does nothing when they run already.
    ///
    /// # Errors
    ///
    /// When the system has no thread to give.
    pub fn start(self: &Arc<Self>) -> io::Result<()> {
        self.background.start(self)
    }

    /// Begins a batch of at most `bytes_hint` bytes, which becomes part of the log when the
    /// appender is dropped. Other appends wait until then.
    ///
    /// # Errors
    ///
    /// [`AppendError::Full`] when there is no allocated space for it and none can be allocated, or
    /// [growth is refused](Self::refuse_growth), [`AppendError::Following`],
    /// [`AppendError::TooLarge`], [`AppendError::Poisoned`]. Nothing has happened then.
    pub fn append(&self, growth: Growth, bytes_hint: u64) -> Result<Appender<'_>, AppendError> {
        if bytes_hint > BODY_MAX {
            return Err(AppendError::TooLarge {
                bytes: bytes_hint,
                max: BODY_MAX,
            });
        }
        let mut tail = self.tail.lock();
        self.marks.check()?;
        if !tail.leads() {
            return Err(AppendError::Following);
        }
        if growth == Growth::Adds && self.growth_refused.load(Ordering::Relaxed) {
            return Err(full(&tail, bytes_hint));
        }
        while !tail.admits(growth, bytes_hint, self.options.reserve_bytes) {
            self.make_room(&mut tail, bytes_hint)?;
        }
        tail.begin_batch(bytes_hint);
        Ok(Appender {
            log: self,
            end: tail.end(),
            tail,
            bytes_left: bytes_hint,
        })
    }

    /// Refuses appends that [add](Growth::Adds) from now on, as if the disk were full, or does so
    /// no more. Batches that have begun go on.
    pub fn refuse_growth(&self, on: bool) {
        self.growth_refused.store(on, Ordering::Relaxed);
    }

    /// Whether what [adds](Growth::Adds) is refused, or will be as soon as the room is used up: no
    /// more space can be allocated.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.growth_refused.load(Ordering::Relaxed) || self.tail.lock().exhausted
    }

    /// Gives the space of a spare to whoever frees some with it; whether there was one to give.
    /// Half of the reserve stays.
    pub(crate) fn give_up_spare(&self) -> bool {
        let given = self
            .tail
            .lock()
            .give_up_spare(self.options.reserve_bytes / 2);
        let Some(spare) = given else { return false };
        let removed = self.disk.remove(&spare.path);
        removed
            .inspect_err(|fault| tracing::warn!(%fault, "a spare keeps its space"))
            .is_ok()
    }

    /// Everything below this has been let go of, or never was in this log.
    #[must_use]
    pub fn beginning(&self) -> Lsn {
        Lsn::new(self.start.load(Ordering::Acquire))
    }

    /// The epochs of the log, of which the last is the current one.
    #[must_use]
    pub fn history(&self) -> History {
        self.history.lock().clone()
    }

    /// Where the last record ends. What follows are frames without records.
    pub(crate) fn records_end(&self) -> Lsn {
        self.tail.lock().records_end()
    }

    /// Everything below is durable where the frames come from that this log has
    /// [taken](Self::take), as far as they say.
    pub(crate) fn witnessed(&self) -> Lsn {
        self.tail.lock().witnessed()
    }

    /// What replicas have, if that [counts](Self::set_replicated).
    pub(crate) fn replicated(&self) -> Option<Lsn> {
        self.marks.replicated()
    }

    /// Whether batches are appended here; otherwise it takes the frames of a log that is led
    /// elsewhere.
    #[must_use]
    pub fn leads(&self) -> bool {
        self.tail.lock().leads()
    }

    /// Everything below this has been appended.
    #[must_use]
    pub fn appended(&self) -> Lsn {
        self.marks.appended()
    }

    /// Everything below this has been given to the kernel: it survives a crash of this process.
    #[must_use]
    pub fn written(&self) -> Lsn {
        self.marks.written()
    }

    /// Everything below this is on the disk: it survives a power failure.
    #[must_use]
    pub fn durable(&self) -> Lsn {
        self.marks.durable()
    }

    /// The mark that replies wait for: `durable` under [`SyncPolicy::Always`], else `written`; and
    /// at most what replicas have, [if that counts](Self::set_replicated).
    #[must_use]
    pub fn committed(&self) -> Lsn {
        self.marks.committed()
    }

    /// What is safe here, as the policy understands it, whatever replicas have.
    #[must_use]
    pub fn kept(&self) -> Lsn {
        self.marks.kept()
    }

    /// The policy in force.
    #[must_use]
    pub fn policy(&self) -> SyncPolicy {
        self.marks.policy()
    }

    /// What enough replicas have durably, if replies are to wait for them: then
    /// [`committed`](Self::committed) is at most this. It does not become less until it has not
    /// counted in between.
    pub fn set_replicated(&self, replicated: Option<Lsn>) {
        self.marks.set_replicated(replicated);
    }

    /// Changes the policy. Whoever waits, waits for the new committed mark from now on.
    pub fn set_policy(&self, policy: SyncPolicy) {
        self.marks.set_policy(policy);
        self.request_sync();
    }

    /// Writes everything that has been appended, unless another thread is writing: then that thread
    /// sees to it that this thread's appends are written, too, and the answer is `Ok(false)`.
    ///
    /// # Errors
    ///
    /// When the log is, or has just been, poisoned.
    pub fn try_write(&self) -> Result<bool, Poisoned> {
        let mut wrote = true;
        // The order is: (append, fence, try to lock) here, against (unlock, fence, look whether
        // something was appended) there. One of the two sees what the other did.
        fence(Ordering::SeqCst);
        while self.marks.written() < self.marks.appended() {
            let Some(mut writer) = self.writer.try_lock() else {
                wrote = false;
                break;
            };
            self.write_out(&mut writer)?;
            drop(writer);
            fence(Ordering::SeqCst);
        }
        self.marks.check()?;
        Ok(wrote)
    }

    /// Asks the syncer to sync everything that has been appended by now. Does not block. Without
    /// [threads](Self::start) nobody hears it.
    pub fn request_sync(&self) {
        self.background.request_sync(self.marks.appended());
    }

    /// Writes and syncs everything that has been appended by now, on this thread, and returns the
    /// durable mark.
    ///
    /// # Errors
    ///
    /// When the log is, or has just been, poisoned.
    pub fn sync(&self) -> Result<Lsn, Poisoned> {
        self.sync_up_to(self.marks.appended())?;
        Ok(self.marks.durable())
    }

    /// Blocks until everything below `lsn` is durable, syncing on this thread unless another one
    /// does so already.
    ///
    /// # Errors
    ///
    /// When the log is, or has just been, poisoned.
    ///
    /// # Panics
    ///
    /// When `lsn` has not been appended.
    pub fn wait_durable(&self, lsn: Lsn) -> Result<(), Poisoned> {
        assert!(
            lsn <= self.marks.appended(),
            "only what was appended becomes durable"
        );
        self.sync_up_to(lsn)
    }

    /// Ready when `committed() >= lsn`, or with an error when that can no longer happen. Otherwise
    /// the waker is kept, to be woken then; it may be woken for nothing, and keeping one that
    /// nobody waits for does no harm. Wakers must not call the log.
    ///
    /// # Errors
    ///
    /// When the log is poisoned and `lsn` was not committed before.
    pub fn poll_committed(&self, lsn: Lsn, cx: &mut Context<'_>) -> Poll<Result<(), Poisoned>> {
        self.marks.poll_committed(lsn, cx)
    }

    /// Ready when `durable() >= lsn`, or with an error when that can no longer happen. Otherwise
    /// the waker is kept, as by [`poll_committed`](Self::poll_committed).
    ///
    /// # Errors
    ///
    /// When the log is poisoned and `lsn` was not durable before.
    pub fn poll_durable(&self, lsn: Lsn, cx: &mut Context<'_>) -> Poll<Result<(), Poisoned>> {
        self.marks.poll_durable(lsn, cx)
    }

    /// Ready when the log is poisoned, which is when the process should end. Otherwise the waker is
    /// kept, as by [`Self::poll_committed`].
    pub fn poll_poisoned(&self, cx: &mut Context<'_>) -> Poll<Arc<PoisonCause>> {
        self.marks.poll_poisoned(cx)
    }

    /// Why the log acknowledges nothing any more, if so.
    #[must_use]
    pub fn poisoned(&self) -> Option<Arc<PoisonCause>> {
        self.marks.poison()
    }

    /// Calls `f` with the bytes from `at` on, at least to the end of the frame that holds `at`.
    /// Works for whatever has been appended, written or not. `f` must not call the log.
    ///
    /// # Panics
    ///
    /// When `at` is not within `[start, appended)`.
    pub fn read<R>(&self, at: Lsn, f: impl FnOnce(&[u8]) -> R) -> R {
        loop {
            let written = self.marks.written();
            if at < written {
                return self.read_written(at, written, f);
            }
            {
                let tail = self.tail.lock();
                if let Some(bytes) = tail.from(at) {
                    return f(bytes);
                }
                assert!(at < tail.end(), "{at} has been appended");
            }
            if let Some(bytes) = self.in_flight.read().from(at) {
                return f(bytes);
            }
            // It was in flight, and has been written since.
        }
    }

    /// Calls `f` with the bytes in `[at, end)` for some `end` that is at most `written`.
    fn read_written<R>(&self, at: Lsn, written: Lsn, f: impl FnOnce(&[u8]) -> R) -> R {
        let segments = self.segments.load();
        // A segment is in the list before `written` moves beyond its base.
        match segments.last() {
            Some(last) if last.base <= at => last.read(at, written, f),
            _ => {
                let next = segments.partition_point(|segment| segment.base <= at);
                assert!(next > 0, "{at} is not below the start of the log");
                segments[next - 1].read(at, written.min(segments[next].base), f)
            }
        }
    }

    /// Lets go of the memory that reading what is written has taken: see
    /// [`Map::let_go`](crate::map::Map::let_go).
    pub(crate) fn let_go_of_pages(&self) {
        for segment in &**self.segments.load() {
            segment.map.let_go();
        }
    }

    /// Figures about the log.
    #[must_use]
    pub fn stats(&self) -> LogStats {
        let (epoch, room, spares, spare_bytes) = {
            let tail = self.tail.lock();
            let (epoch, room) = (tail.epoch(), tail.room());
            (epoch, room, tail.spares(), tail.spare_bytes())
        };
        let segments = self.segments.load();
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        // In this order, for the marks move meanwhile.
        let written = self.marks.written();
        LogStats {
            start: self.beginning(),
            epoch,
            segments: segments.len(),
            spares,
            bytes_on_disk: spare_bytes
                + segments.iter().map(|segment| segment.file_len).sum::<u64>(),
            room,
            pending_bytes: self.marks.appended().since(written),
            frames: count(&self.counters.frames),
            writes: count(&self.counters.writes),
            syncs: count(&self.counters.syncs),
            last_sync: Duration::from_nanos(count(&self.counters.last_sync_nanos)),
            released_bytes: count(&self.counters.released),
            recycled: count(&self.counters.recycled),
            made: self.maker.made(),
            growth_refused: self.growth_refused.load(Ordering::Relaxed),
        }
    }

    /// Ends the threads, makes everything durable, and makes the log bear witness of it. This is
    /// the last call: what is appended later is in the hands of the caller.
    ///
    /// # Errors
    ///
    /// When the log is, or has just been, poisoned.
    pub fn close(&self) -> Result<(), Poisoned> {
        self.end_threads();
        self.sync()?;
        self.bear_witness()
    }

    /// Ends the threads and waits for them: nothing is written any more that nobody asks for.
    pub(crate) fn end_threads(&self) {
        self.background.stop();
    }

    /// Has what was kept and not replayed read ahead: the first reads come soon.
    fn fetch_kept(&self) {
        let segments = self.segments.load();
        let needed = segments.partition_point(|segment| segment.base <= self.options.keep);
        for segment in &segments[needed.saturating_sub(1)..] {
            if segment.base < self.options.from {
                segment.file.will_read(0, segment.file_len);
            }
        }
    }

    /// Lets a frame say that everything is durable, if it is and no frame says so: then damage to
    /// any of it is told from a torn tail.
    fn bear_witness(&self) -> Result<(), Poisoned> {
        let lacking = self.writer.lock().lacks_witness();
        if !lacking {
            return Ok(());
        }
        {
            let mut tail = self.tail.lock();
            let quiet = tail.leads() && self.marks.durable() == tail.end();
            // On a full disk nothing is gained by a witness that takes the place of data.
            if !quiet || !tail.admits(Growth::Frees, 0, 0) {
                return Ok(());
            }
            tail.push_witness();
            self.marks.set_appended(tail.end());
        }
        self.sync().map(drop)
    }

    /// Makes everything below `lsn` durable.
    fn sync_up_to(&self, lsn: Lsn) -> Result<(), Poisoned> {
        let _turn = self.sync.lock();
        self.marks.check()?;
        if self.marks.durable() >= lsn {
            return Ok(());
        }
        let (Unsynced { segments, names }, written) = {
            let mut writer = self.writer.lock();
            self.write_out(&mut writer)?;
            (writer.take_unsynced(), self.marks.written())
        };
        // For those who found the writer taken by us.
        self.try_write()?;

        if sabotage::has(Bug::AckBeforeFsync) {
            self.marks.set_durable(written)?;
        }
        let begun = Instant::now();
        for segment in &segments {
            let mut synced = segment.file.sync_data();
            if synced.is_err() && sabotage::has(Bug::SyncTriedAgain) {
                synced = segment.file.sync_data();
            }
            synced.map_err(|fault| self.poison(segment.fault(&self.dir, fault)))?;
        }
        if names && !sabotage::has(Bug::SkipDirFsync) {
            self.disk
                .sync_dir(&self.dir)
                .map_err(|fault| self.poison(fault))?;
        }
        let nanos = u64::try_from(begun.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.counters
            .last_sync_nanos
            .store(nanos, Ordering::Relaxed);
        self.counters.syncs.fetch_add(1, Ordering::Relaxed);
        self.marks.set_durable(written)
    }

    /// Writes everything that has been appended.
    fn write_out(&self, writer: &mut Writer) -> Result<(), Poisoned> {
        // A buffer whose write failed stays in flight, where it can be read.
        self.marks.check()?;
        let mut tail = self.tail.lock();
        if tail.end() == self.marks.written() {
            return Ok(());
        }
        let mut flight = self.in_flight.write();
        tail.take(&mut flight, &mut writer.frames);
        let end = tail.end();
        drop(tail);
        writer.seal(&mut flight, self.marks.durable());
        let flight = RwLockWriteGuard::downgrade(flight);

        self.counters
            .frames
            .fetch_add(writer.frames.len() as u64, Ordering::Relaxed);
        self.counters.writes.fetch_add(1, Ordering::Relaxed);
        let rolled = writer.write(&flight).map_err(|fault| self.poison(fault))?;
        self.marks.set_written(end)?;
        if rolled {
            // A full segment is synced under every policy: by the thread, not here.
            self.background.request_sync(end);
        }
        Ok(())
    }

    /// Allocates one more segment, on the spot.
    fn make_room(&self, tail: &mut Tail, bytes: u64) -> Result<(), AppendError> {
        if tail.exhausted && self.background.makes_spares() {
            // The thread tries once a second.
            return Err(full(tail, bytes));
        }
        let file_len = self.file_len_for(frame::HEADER as u64 + bytes);
        match self.maker.make(file_len, Fill::Allocate) {
            Ok(spare) => {
                tail.add_spare(spare);
                Ok(())
            }
            Err(fault) if fault.is_shortage() => {
                note_exhausted(tail, &fault);
                self.background.request_spare();
                Err(full(tail, bytes))
            }
            Err(fault) => Err(self.poison(fault).into()),
        }
    }

    /// The length of a segment's file that has room for a frame of `bytes`.
    fn file_len_for(&self, bytes: u64) -> u64 {
        let file_len = (segment::HEADER as u64 + bytes).next_multiple_of(FILE_UNIT);
        file_len.max(self.options.segment_bytes)
    }

    /// Makes one spare, if one is wanted.
    fn make_spare(&self) -> SpareMade {
        {
            let tail = self.tail.lock();
            let wanted = tail.spares() < self.options.spares.max(1) || tail.exhausted;
            if !wanted {
                return SpareMade::Enough;
            }
        }
        match self.maker.make(self.options.segment_bytes, self.fill()) {
            Ok(spare) => {
                self.add_spare(spare);
                SpareMade::One
            }
            Err(fault) => {
                note_exhausted(&mut self.tail.lock(), &fault);
                SpareMade::Refused
            }
        }
    }

    fn add_spare(&self, spare: Spare) {
        let mut tail = self.tail.lock();
        if std::mem::replace(&mut tail.exhausted, false) {
            tracing::info!("there is room for the log again");
        }
        tail.add_spare(spare);
    }

    fn fill(&self) -> Fill {
        match self.marks.policy() {
            SyncPolicy::Always => Fill::Zero,
            SyncPolicy::EverySec | SyncPolicy::No => Fill::Allocate,
        }
    }

    fn poison(&self, fault: DiskError) -> Poisoned {
        self.marks.set_poison(PoisonCause {
            fault,
            durable: self.marks.durable(),
        })
    }
}

/// The answer to an append of `bytes` for which there is no room.
fn full(tail: &Tail, bytes: u64) -> AppendError {
    AppendError::Full {
        needed: frame::HEADER as u64 + bytes,
        free: tail.room(),
    }
}

/// Notes, and says once, that no more space can be allocated.
fn note_exhausted(tail: &mut Tail, fault: &DiskError) {
    if !std::mem::replace(&mut tail.exhausted, true) {
        tracing::warn!(
            %fault,
            room = tail.room(),
            "no segment can be made ahead: what grows the data is refused once the room is used up"
        );
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        self.background.wake_all();
    }
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Log")
            .field("durable", &self.durable())
            .field("written", &self.written())
            .field("appended", &self.appended())
            .finish_non_exhaustive()
    }
}
