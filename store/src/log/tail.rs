//! What has been appended and not been taken for writing yet.
//!
//! ```text
//!  base                                                            end = appended
//!  |--------------------|--------------------|-----------------------|
//!  :  closed frame      :  closed frame      :  open frame           :
//!  :  header, batches   :  header, batches   :  room for the header, :
//!  :                    :                    :  batches so far       :
//! ```
//!
//! A frame is everything committed between two writes, up to a target size, so that under load many
//! commits share one header. The room for its header is kept free when it is opened; the header is
//! filled in by the writer, away from the appends.
//!
//! The tail also decides **which segment a frame goes to**, because it must refuse a batch for
//! which there is no space *before* it becomes part of the log. It keeps account of the space left
//! behind the frames it has placed, and hands the spare that a frame begins a new segment with to
//! the writer together with the frame.
//!
//! # Invariants
//!
//! * Every closed frame has its place: `left` bytes lie behind the last of them in its segment.
//! * An open frame has at least one record, and fits into `left` between batches.
//! * A batch is never split.

use std::collections::VecDeque;
use std::ops::Range;

use super::Growth;
use super::frame::{self, FRAME_TARGET, Facts, Frame, Kind};
use super::spare::Spare;
use crate::history::{Epoch, HistoryId};
use crate::lsn::Lsn;

/// A buffer that grew beyond this is given back instead of being used again.
const BUFFER_KEPT_MAX: usize = 8 << 20;

const HEADER: u64 = frame::HEADER as u64;

pub(crate) struct Tail {
    /// Whether batches are appended here, and not elsewhere.
    leads: bool,
    /// The epoch of what is pushed.
    epoch: u32,
    /// Where the last record ends.
    records_end: Lsn,
    /// What is durable where the frames that were taken come from, as far as they say.
    witnessed: Lsn,
    base: Lsn,
    bytes: Vec<u8>,
    closed: Vec<Placed>,
    open: Option<Open>,
    /// Bytes behind the closed frames in the segment where the last of them lies.
    left: u64,
    ready: VecDeque<Spare>,
    /// Bytes that the ready spares have room for.
    ready_bytes: u64,
    /// Whether a spare has been taken since somebody asked.
    spare_taken: bool,
    /// Whether making a spare failed for lack of space the last time.
    pub(crate) exhausted: bool,
}

/// A closed frame in its place.
#[derive(Debug)]
pub(crate) struct Placed {
    /// Where its bytes are in the buffer, header included.
    pub(crate) range: Range<usize>,
    pub(crate) kind: Kind,
    pub(crate) epoch: u32,
    pub(crate) records: u32,
    /// The file that it begins a new segment with; none when it follows the frame before it.
    pub(crate) roll: Option<Spare>,
}

struct Open {
    start: usize,
    records: u32,
    roll: Option<Spare>,
}

/// A buffer of frames on its way to the disk.
#[derive(Default)]
pub(crate) struct InFlight {
    base: Lsn,
    /// The frames, and zeros behind them.
    bytes: Vec<u8>,
    padding: usize,
}

impl InFlight {
    pub(crate) fn base(&self) -> Lsn {
        self.base
    }

    /// The frames.
    pub(crate) fn frames(&self) -> &[u8] {
        &self.bytes[..self.bytes.len() - self.padding]
    }

    pub(crate) fn frames_mut(&mut self) -> &mut [u8] {
        let len = self.frames().len();
        &mut self.bytes[..len]
    }

    /// How many zeros are behind the frames.
    pub(crate) fn padding(&self) -> usize {
        self.padding
    }

    /// Some of the frames, and as much of what is behind them.
    pub(crate) fn padded(&self, frames: Range<usize>, padding: usize) -> &[u8] {
        &self.bytes[frames.start..frames.end + padding]
    }

    /// Puts zeros behind the frames; once.
    pub(crate) fn pad(&mut self, padding: usize) {
        self.padding = padding;
        self.bytes.resize(self.bytes.len() + padding, 0);
    }

    /// The bytes from `at` on, if `at` is among them.
    pub(crate) fn from(&self, at: Lsn) -> Option<&[u8]> {
        from(self.base, self.frames(), at)
    }
}

fn from(base: Lsn, bytes: &[u8], at: Lsn) -> Option<&[u8]> {
    let pos = usize::try_from(at.get().checked_sub(base.get())?).ok()?;
    if pos < bytes.len() {
        bytes.get(pos..)
    } else {
        None
    }
}

impl Tail {
    /// An empty tail at `base`, where `epoch` is the last one, whose last record ended at
    /// `records_end`, and behind which the active segment has `left` bytes. It follows.
    pub(crate) fn new(base: Lsn, epoch: u32, records_end: Lsn, left: u64) -> Self {
        Self {
            leads: false,
            epoch,
            records_end,
            witnessed: Lsn::ZERO,
            base,
            bytes: Vec::new(),
            closed: Vec::new(),
            open: None,
            left,
            ready: VecDeque::new(),
            ready_bytes: 0,
            spare_taken: false,
            exhausted: false,
        }
    }

    /// Whether batches are appended here, and not elsewhere.
    pub(crate) fn leads(&self) -> bool {
        self.leads
    }

    /// The number of the current epoch; 0 before the first.
    pub(crate) fn epoch(&self) -> u32 {
        self.epoch
    }

    /// Where the last record ends: what follows are frames without records.
    pub(crate) fn records_end(&self) -> Lsn {
        self.records_end
    }

    /// Everything below is durable where the frames that were taken come from.
    pub(crate) fn witnessed(&self) -> Lsn {
        self.witnessed
    }

    /// Where the next byte goes.
    pub(crate) fn end(&self) -> Lsn {
        self.base.plus(self.bytes.len() as u64)
    }

    /// The bytes from `at` on, if `at` is among them.
    pub(crate) fn from(&self, at: Lsn) -> Option<&[u8]> {
        from(self.base, &self.bytes, at)
    }

    /// Bytes of frames that there is allocated space for.
    pub(crate) fn room(&self) -> u64 {
        // An open frame that has outgrown its place, in a log that is poisoned for it, has no room.
        self.left.saturating_sub(self.open_len()) + self.ready_bytes
    }

    pub(crate) fn spares(&self) -> usize {
        self.ready.len()
    }

    /// Bytes of the files of the spares.
    pub(crate) fn spare_bytes(&self) -> u64 {
        self.ready.iter().map(Spare::file_len).sum()
    }

    pub(crate) fn add_spare(&mut self, spare: Spare) {
        self.ready_bytes += spare.capacity();
        self.ready.push_back(spare);
    }

    /// Takes a spare away, if there is room for `left` bytes without it.
    pub(crate) fn give_up_spare(&mut self, left: u64) -> Option<Spare> {
        let last = self.ready.back()?.capacity();
        if self.room() - last < left {
            return None;
        }
        self.ready_bytes -= last;
        self.ready.pop_back()
    }

    /// Whether a spare has been taken since the last call, so that another one is wanted.
    pub(crate) fn has_taken_spare(&mut self) -> bool {
        std::mem::take(&mut self.spare_taken)
    }

    /// Whether there is a place for a batch of `bytes`, beside the reserve if it is not to touch
    /// it.
    pub(crate) fn admits(&self, growth: Growth, bytes: u64, reserve: u64) -> bool {
        let needed = if self.joins(bytes) {
            bytes
        } else if self.has_place(HEADER + bytes) {
            HEADER + bytes
        } else {
            return false;
        };
        match growth {
            Growth::Adds => needed.saturating_add(reserve) <= self.room(),
            Growth::Frees => true,
        }
    }

    /// Whether there is a place for `bytes` more of the batch that was begun, beside the reserve if
    /// they are not to touch it. The open frame may move to a spare for it.
    pub(crate) fn extends(&self, growth: Growth, bytes: u64, reserve: u64) -> bool {
        let len = self.open_len().max(HEADER) + bytes;
        let fits = len <= self.left || self.ready.iter().any(|spare| len <= spare.capacity());
        let spares_reserve = match growth {
            Growth::Adds => bytes.saturating_add(reserve) <= self.room(),
            Growth::Frees => true,
        };
        fits && spares_reserve
    }

    /// Begins a batch of at most `bytes`, which [`Self::admits`].
    pub(crate) fn begin_batch(&mut self, bytes: u64) {
        if !self.joins(bytes) {
            self.close();
        }
    }

    /// Appends a record of the batch, which has at most `bytes` to come, and returns its place.
    pub(crate) fn push(&mut self, bytes: u64, encode: impl FnOnce(&mut Vec<u8>)) -> Lsn {
        if self.open.is_none() {
            let roll = self.place(HEADER + bytes);
            let start = self.bytes.len();
            self.bytes.resize(start + frame::HEADER, 0);
            self.open = Some(Open {
                start,
                records: 0,
                roll,
            });
        }
        let open = self.open.as_mut().expect("a frame was opened");
        open.records += 1;
        let at = self.base.plus(self.bytes.len() as u64);
        encode(&mut self.bytes);
        self.records_end = self.end();
        at
    }

    /// Begins an epoch and leads from now on; there is a place for the frame that says so.
    pub(crate) fn lead(&mut self, id: HistoryId) -> Epoch {
        self.close();
        self.leads = true;
        self.epoch += 1;
        let start = self.end();
        self.push_closed(Kind::Epoch, 0, id.bytes());
        Epoch {
            number: self.epoch,
            start,
            id,
        }
    }

    /// Leads no more: what follows are frames of a log that is led elsewhere.
    pub(crate) fn follow(&mut self) {
        self.close();
        self.leads = false;
    }

    /// Appends a frame of the log that is followed; there is a place for it.
    pub(crate) fn push_frame(&mut self, frame: &Frame<'_>) {
        let Facts {
            durable,
            kind,
            epoch,
            records,
            ..
        } = frame.facts;
        self.epoch = epoch;
        self.witnessed = self.witnessed.max(durable);
        self.push_closed(kind, records, frame.body);
        if kind == Kind::Batch {
            self.records_end = self.end();
        }
    }

    /// Appends a frame that bears witness, for which there is a place.
    pub(crate) fn push_witness(&mut self) {
        self.close();
        self.push_closed(Kind::Witness, 0, &[]);
    }

    /// Appends a frame that takes no batches any more; there is none open.
    fn push_closed(&mut self, kind: Kind, records: u32, body: &[u8]) {
        let len = HEADER + body.len() as u64;
        let roll = self.place(len);
        let start = self.bytes.len();
        self.bytes.resize(start + frame::HEADER, 0);
        self.bytes.extend_from_slice(body);
        self.left -= len;
        self.closed.push(Placed {
            range: start..self.bytes.len(),
            kind,
            epoch: self.epoch,
            records,
            roll,
        });
    }

    /// By how much the open frame has outgrown its place, which happens when a batch is larger than
    /// was said: the bytes that a spare must have room for.
    pub(crate) fn outgrown(&self) -> Option<u64> {
        let len = self.open_len();
        if len > self.left { Some(len) } else { None }
    }

    /// Moves the open frame to the beginning of a new segment, if there is one for it.
    pub(crate) fn replace_open(&mut self) -> bool {
        let (Some(spare), Some(open)) = (self.take_spare(self.open_len()), &mut self.open) else {
            return false;
        };
        self.left = spare.capacity();
        if let Some(smaller) = open.roll.replace(spare) {
            self.add_spare(smaller);
        }
        true
    }

    /// Hands everything over for writing: the bytes to `flight`, whose buffer is used again, and
    /// the frames to `frames`.
    pub(crate) fn take(&mut self, flight: &mut InFlight, frames: &mut Vec<Placed>) {
        self.close();
        flight.bytes.clear();
        if flight.bytes.capacity() > BUFFER_KEPT_MAX {
            flight.bytes = Vec::new();
        }
        flight.base = self.base;
        flight.padding = 0;
        self.base = self.end();
        std::mem::swap(&mut flight.bytes, &mut self.bytes);
        frames.append(&mut self.closed);
    }

    /// Whether a batch of `bytes` becomes part of the open frame.
    fn joins(&self, bytes: u64) -> bool {
        let len = self.open_len() + bytes;
        self.open.is_some() && len <= HEADER + FRAME_TARGET as u64 && len <= self.left
    }

    /// Whether a new frame of `len` bytes has a place, behind the open one or in a spare.
    fn has_place(&self, len: u64) -> bool {
        len <= self.left - self.open_len() || self.ready.iter().any(|spare| len <= spare.capacity())
    }

    /// Finds a place for a new frame of `len` bytes. The spare to begin a new segment with, if the
    /// frame needs one.
    fn place(&mut self, len: u64) -> Option<Spare> {
        if len <= self.left {
            return None;
        }
        let spare = self.take_spare(len)?;
        self.left = spare.capacity();
        Some(spare)
    }

    fn take_spare(&mut self, len: u64) -> Option<Spare> {
        let index = self
            .ready
            .iter()
            .position(|spare| len <= spare.capacity())?;
        let spare = self.ready.remove(index)?;
        self.ready_bytes -= spare.capacity();
        self.spare_taken = true;
        Some(spare)
    }

    /// Bytes of the open frame, its header included.
    pub(crate) fn open_len(&self) -> u64 {
        self.open
            .as_ref()
            .map_or(0, |open| (self.bytes.len() - open.start) as u64)
    }

    fn close(&mut self) {
        let len = self.open_len();
        if let Some(Open {
            start,
            records,
            roll,
        }) = self.open.take()
        {
            self.left -= len;
            let range = start..self.bytes.len();
            self.closed.push(Placed {
                range,
                kind: Kind::Batch,
                epoch: self.epoch,
                records,
                roll,
            });
        }
    }
}
