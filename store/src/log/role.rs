//! Who leads: a log is appended to, or it takes the frames of one that is.
//!
//! ```text
//!             lead: an epoch begins
//!        .--------------------------------->
//!  follows                                  leads
//!        <---------------------------------.
//!             follow: what was appended is synced
//!
//!  take(frame)                              append(records), witnesses
//! ```
//!
//! The tail knows which, so no append can slip in between a change and what comes of it. Whoever
//! follows has the same frames at the same places as the one that leads, save their witness and
//! checksum: it fills in its own durable mark, for it cannot bear witness of another disk.

use super::frame::{Facts, Frame, Kind};
use super::{Growth, Log, Tail};
use crate::error::{AppendError, LeadError, Poisoned, ReceiveError};
use crate::history::HistoryId;
use crate::lsn::Lsn;
use crate::sabotage::{self, Bug};

impl Log {
    /// Begins an epoch with this id, which must be new, and takes appends from now on. Says where
    /// the epoch begins; it is durable by then.
    ///
    /// # Errors
    ///
    /// When it leads already, or there is no room: nothing has happened then. When the log is, or
    /// has just been, poisoned.
    pub(crate) fn lead(&self, id: HistoryId) -> Result<Lsn, LeadError> {
        // Then the frame that begins the epoch bears witness of all that came before it.
        self.sync().map_err(AppendError::from)?;
        let start = {
            let mut tail = self.tail.lock();
            self.marks.check().map_err(AppendError::from)?;
            if tail.leads() {
                return Err(LeadError::Leads);
            }
            let bytes = HistoryId::BYTES as u64;
            while !tail.admits(Growth::Frees, bytes, 0) {
                self.make_room(&mut tail, bytes)?;
            }
            self.begin(&mut tail, id)
        };
        self.sync().map_err(AppendError::from)?;
        Ok(start)
    }

    /// Appends the first frame of an epoch, for which there is a place; says where it begins.
    pub(super) fn begin(&self, tail: &mut Tail, id: HistoryId) -> Lsn {
        let epoch = tail.lead(id);
        self.history.lock().push(epoch);
        self.pushed(tail);
        epoch.start
    }

    /// Takes no more appends, and makes durable what was appended; says where that ends. Nothing
    /// new happens to a log that follows.
    ///
    /// # Errors
    ///
    /// When the log is, or has just been, poisoned: it takes no appends all the same.
    pub(crate) fn follow(&self) -> Result<Lsn, Poisoned> {
        let end = {
            let mut tail = self.tail.lock();
            tail.follow();
            tail.end()
        };
        self.sync_up_to(end)?;
        Ok(end)
    }

    /// Takes a whole frame of the log that it follows. Like what is appended, somebody must write
    /// it.
    ///
    /// # Errors
    ///
    /// When the frame does not belong here, or there is no room for it, not even with the reserve:
    /// what frees space may be in it. Nothing has happened then.
    pub(crate) fn take(&self, frame: &Frame<'_>) -> Result<(), ReceiveError> {
        let Facts {
            lsn: at,
            epoch,
            kind,
            ..
        } = frame.facts;
        let mut tail = self.tail.lock();
        self.marks.check()?;
        if tail.leads() {
            return Err(ReceiveError::Leads);
        }
        let end = tail.end();
        if at != end {
            return Err(ReceiveError::Misplaced { at, end });
        }
        let current = tail.epoch();
        let belongs = match kind {
            Kind::Epoch => current < epoch,
            Kind::Batch | Kind::Witness => current == epoch,
        };
        if !belongs && !sabotage::has(Bug::NoEpochCheck) {
            return Err(ReceiveError::Epoch { at, epoch, current });
        }
        let len = frame.body.len() as u64;
        while !tail.admits(Growth::Frees, len, 0) {
            self.make_room(&mut tail, len)?;
        }
        tail.push_frame(frame);
        if let Some(epoch) = frame.begins() {
            self.history.lock().push(epoch);
        }
        self.pushed(&mut tail);
        Ok(())
    }

    /// Whether there is a place for a frame without asking the disk for more.
    pub(crate) fn has_room_for(&self, frame: &Frame<'_>) -> bool {
        let len = frame.body.len() as u64;
        self.tail.lock().admits(Growth::Frees, len, 0)
    }

    /// A frame has been pushed to the tail.
    fn pushed(&self, tail: &mut Tail) {
        self.marks.set_appended(tail.end());
        if tail.has_taken_spare() {
            self.background.request_spare();
        }
    }
}
