//! What happened elsewhere, made to happen here: the frames of a store that leads.
//!
//! ```text
//!  bytes   [ frame ][ frame ][ frame ][ fra
//!             |
//!             '- whole, in its place, of the right epoch, every record decodes
//!                  '- what it needs of settled entries is read            (no lock is held)
//!                       '- with the world alone:  log.take,  then apply, record by record
//! ```
//!
//! So readers see a frame as a whole, and what is wrong with one is found before anything of it has
//! happened. Whoever must not wait for the disk [takes](Store::receive_at_once) what needs nothing
//! of it, and has the next frame taken where waiting holds nobody up.

use super::Store;
use super::event::{self, KeyEvent};
use crate::data::{Missing, Patience, Reader};
use crate::error::ReceiveError;
use crate::log::frame::{self, Frame, Kind};
use crate::lsn::Lsn;
use crate::record::{Change, Record, records};
use crate::state::State;

/// What became of received bytes.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Received {
    /// How many of the bytes were frames that have been taken.
    pub consumed: usize,
    /// Where the log ends now.
    pub end: Lsn,
    /// How many bytes, those that are left included, the next frame needs as far as can be told.
    pub wanted: u64,
    /// The next frame is there, and waits for the disk.
    pub waits: bool,
    /// What happened to keys, while [somebody wants to know](Store::watch_keys).
    pub events: Vec<KeyEvent>,
}

/// Why a frame was not taken.
enum Stop {
    /// It needs the disk, and the caller does not wait.
    Waits,
    Refused(ReceiveError),
}

impl<E: Into<ReceiveError>> From<E> for Stop {
    fn from(error: E) -> Self {
        Self::Refused(error.into())
    }
}

impl Store {
    /// Takes the whole frames at the beginning of `bytes`, which come from the store that this one
    /// follows: into the log, where somebody must have them [written](crate::Log::try_write), and
    /// then into the state.
    ///
    /// A frame that is not right is left alone with all behind it; what is wrong is said when it
    /// comes first. So whoever gets an answer that says that bytes were consumed asks again with
    /// those that are left.
    ///
    /// Waits for the disk where a frame needs settled entries that are not in memory, or more room
    /// in the log than is allocated.
    ///
    /// # Errors
    ///
    /// When the first frame is damaged, belongs elsewhere or to another epoch, or holds what this
    /// version cannot decode; when this store leads; when the disk is full or has failed. Nothing
    /// has happened then.
    ///
    /// # Panics
    ///
    /// When a record cannot have happened after those before it: then the two stores differ, and
    /// going on would spread it. When the disk fails while a change is made that is in the log.
    pub fn receive(&self, bytes: &[u8]) -> Result<Received, ReceiveError> {
        self.receive_with(Patience::Wait, bytes)
    }

    /// The same, up to the first frame that waits for the disk, as far as can be told before; then
    /// [says so](Received::waits).
    ///
    /// # Errors
    ///
    /// As [`receive`](Self::receive).
    ///
    /// # Panics
    ///
    /// As [`receive`](Self::receive).
    pub fn receive_at_once(&self, bytes: &[u8]) -> Result<Received, ReceiveError> {
        self.receive_with(Patience::Halt, bytes)
    }

    fn receive_with(&self, patience: Patience, bytes: &[u8]) -> Result<Received, ReceiveError> {
        let mut received = Received {
            end: self.log.appended(),
            ..Received::default()
        };
        loop {
            let rest = &bytes[received.consumed..];
            let frame = match whole(rest, received.end) {
                Ok(Ok(frame)) => frame,
                Ok(Err(wanted)) => {
                    received.wanted = wanted;
                    return Ok(received);
                }
                Err(_) if received.consumed > 0 => return Ok(received),
                Err(refused) => return Err(refused),
            };
            match self.take(patience, &frame, &mut received.events) {
                Ok(()) => {
                    received.consumed += frame.len();
                    received.end = frame.end();
                }
                Err(Stop::Waits) => {
                    received.waits = true;
                    return Ok(received);
                }
                Err(Stop::Refused(_)) if received.consumed > 0 => return Ok(received),
                Err(Stop::Refused(refused)) => return Err(refused),
            }
        }
    }

    fn take(
        &self,
        patience: Patience,
        frame: &Frame<'_>,
        events: &mut Vec<KeyEvent>,
    ) -> Result<(), Stop> {
        let reader = Reader::new(&self.data, Patience::Halt);
        if frame.facts.kind == Kind::Batch {
            self.prepare(patience, frame, &reader)?;
        }
        if patience == Patience::Halt && !self.log.has_room_for(frame) {
            return Err(Stop::Waits);
        }
        reader.set_patience(Patience::Wait);
        let mut world = self.world.write();
        self.log.take(frame)?;
        if frame.facts.kind == Kind::Batch {
            let mut events = self.watching().then_some(events);
            for placed in records_of(frame) {
                let (at, end, record) = placed.expect("they were decoded before");
                if let Some(events) = &mut events {
                    note(&world, &record, events);
                }
                // In the log it is: whoever cannot follow must stop.
                if let Err(fault) = world.apply(at, end, &reader, &record) {
                    panic!("a change that is in the log cannot be made: {fault}");
                }
            }
        }
        Ok(())
    }

    /// Makes sure that every record of a frame decodes, and that what they need of settled entries
    /// is in memory, as far as can be told before.
    fn prepare(
        &self,
        patience: Patience,
        frame: &Frame<'_>,
        reader: &Reader<'_>,
    ) -> Result<(), Stop> {
        let any_settled = self.data.has_files();
        for placed in records_of(frame) {
            let placed = placed.map_err(|(at, cause)| ReceiveError::Malformed { at, cause });
            let (_, _, record) = placed?;
            if any_settled {
                self.warm(patience, &record, reader)?;
            }
        }
        Ok(())
    }

    /// Reads the settled entries that a record needs, with no lock held.
    fn warm(
        &self,
        patience: Patience,
        record: &Record<'_>,
        reader: &Reader<'_>,
    ) -> Result<(), Stop> {
        let Record::Stream { stream, change } = *record else {
            return Ok(());
        };
        if let Change::EntryAdded { .. } | Change::Acked { .. } | Change::Claimed { .. } = change {
            return Ok(());
        }
        loop {
            let warmed = match self.world.read().by_number(stream) {
                Some(cell) => cell.lock().warm(reader, &[change]),
                // It appears in this very frame.
                None => Ok(()),
            };
            match warmed {
                Ok(()) => return Ok(()),
                Err(Missing::Cold(_)) if patience == Patience::Halt => return Err(Stop::Waits),
                Err(Missing::Cold(cold)) => reader.pin(self.data.load(&cold)?),
                Err(Missing::Unreadable(fault)) => return Err(fault.into()),
            }
        }
    }
}

/// The frame at the beginning of `bytes`, where `end` comes next; or how many bytes it needs.
fn whole(bytes: &[u8], end: Lsn) -> Result<Result<Frame<'_>, u64>, ReceiveError> {
    let Some((at, len)) = frame::announced(bytes) else {
        return Ok(Err(frame::HEADER as u64));
    };
    if at != end {
        return Err(ReceiveError::Misplaced { at, end });
    }
    if len > frame::HEADER as u64 + frame::BODY_MAX {
        return Err(ReceiveError::Damaged { at });
    }
    if len > bytes.len() as u64 {
        return Ok(Err(len));
    }
    frame::whole(bytes, end)
        .map(Ok)
        .ok_or(ReceiveError::Damaged { at })
}

/// The records of a frame, each with its place.
fn records_of<'a>(
    frame: &Frame<'a>,
) -> impl Iterator<Item = Result<(Lsn, Lsn, Record<'a>), (Lsn, crate::error::Malformed)>> {
    let at = frame.facts.lsn.plus(frame::HEADER as u64);
    records(at, frame.facts.records, frame.body)
}

/// Notes what a record, which is about to be applied, means to those who wait for keys.
fn note(state: &State, record: &Record<'_>, events: &mut Vec<KeyEvent>) {
    match record {
        Record::Keyspace(change) => event::of_keyspace_change(state, change, events),
        Record::Stream { stream, change } => {
            let Some(kind) = event::of_change(change) else {
                return;
            };
            if let Some((db, key)) = state.home(*stream) {
                let is_noted = |last: &KeyEvent| (last.db, &last.key, last.kind) == (db, key, kind);
                if !events.last().is_some_and(is_noted) {
                    let key = key.clone();
                    events.push(KeyEvent { db, key, kind });
                }
            }
        }
    }
}
