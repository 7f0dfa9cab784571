//! The streams of the checkpoint that a start takes: each image, against data files and log.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;

use super::checkpoints::{Known, Taken};
use super::{Check, Severity, What};
use crate::checkpoint::{self, Ending, Load, StreamItem};
use crate::data::{Data, DataFile, ExtentRow, Patience, Reader};
use crate::error::{DataError, Malformed, OpenError};
use crate::id::StreamId;
use crate::lsn::Lsn;
use crate::state::{Restore, Stream};

/// The extents that each data file really has, by the file's number and in order.
pub(super) type Extents = BTreeMap<u64, Vec<ExtentRow>>;

/// What the log is applied to, and held against.
pub(super) struct Restored {
    /// The state; `None` when it is not known, and nothing can be applied.
    pub(super) state: Option<Restore>,
    /// What the log must hold for the streams' tails: an entry of this ID at this place.
    pub(super) in_log: HashMap<Lsn, StreamId>,
}

impl Check<'_> {
    /// Checks the streams. The data files are in `data_dir`, and have these `extents`.
    pub(super) fn streams(
        &mut self,
        known: &Known,
        data: &Data,
        data_dir: &Path,
        extents: &Extents,
    ) -> Restored {
        let in_log = HashMap::new();
        let Some(taken) = &known.taken else {
            let state = (!known.lost).then(Restore::fresh);
            return Restored { state, in_log };
        };
        let files = taken.beginning.files.iter().map(|item| {
            let file = DataFile::new(data_dir, item.number, item.len);
            (item.number, Arc::new(file))
        });
        let state = Some(Restore::begin(taken.beginning.order));
        let disk = self.disk;
        let images = Images {
            check: self,
            taken,
            data,
            files: files.collect(),
            extents,
            restored: Restored { state, in_log },
        };
        let dir = taken.path.parent().expect("a checkpoint is in a directory");
        match checkpoint::read(disk, dir, taken.number, |_| Ok(images)) {
            Ok(loaded) => loaded.content.restored,
            // It has been read before, so this is the disk.
            Err(error) => {
                match error {
                    OpenError::Disk(fault) => self.unread(fault),
                    error => self.damage(What::Checkpoint(error)),
                }
                let (state, in_log) = (None, HashMap::new());
                Restored { state, in_log }
            }
        }
    }
}

/// Takes the streams, one after the other.
struct Images<'i, 'c> {
    check: &'i mut Check<'c>,
    taken: &'i Taken,
    data: &'i Data,
    files: BTreeMap<u64, Arc<DataFile>>,
    extents: &'i Extents,
    restored: Restored,
}

impl Load for Images<'_, '_> {
    fn stream(&mut self, item: &StreamItem<'_>) -> Result<(), Malformed> {
        if let Err(what) = self.take(item) {
            let (file, stream) = (self.taken.path.clone(), item.number);
            self.check.damage(What::Stream { file, stream, what });
            self.restored.state = None;
        }
        Ok(())
    }

    fn end(&mut self, ending: &Ending) -> Result<(), Malformed> {
        match &mut self.restored.state {
            Some(state) => state.end(ending),
            None => Ok(()),
        }
    }
}

impl Images<'_, '_> {
    /// Takes one stream, or says what is wrong with it.
    fn take(&mut self, item: &StreamItem<'_>) -> Result<(), &'static str> {
        let files = |number| self.files.get(&number).cloned();
        let stream = Stream::decode(item.number, item.changed, item.image, &files);
        let stream = stream.map_err(|cause| cause.what)?;
        if item.changed > self.taken.ending.until {
            return Err("it has seen more of the log than the checkpoint");
        }
        if stream.entries_added() < stream.len() {
            return Err("it has more entries than were ever added");
        }
        if !stream
            .extents()
            .all(|extent| self.is_there(&extent.row, extent.file.number()))
        {
            return Err("it has an extent that its data file does not have");
        }
        match stream.has_its_ends(&Reader::new(self.data, Patience::Wait)) {
            Ok(true) => {}
            Ok(false) => return Err("its first or last entry is not in its extents"),
            Err(missing) => self.check.unapplied(missing.waited()),
        }
        for (id, at) in stream.in_log() {
            let taken = self.restored.in_log.insert(at, id);
            if taken.is_some_and(|taken| taken != id) {
                return Err("it has an entry where another stream has another");
            }
        }
        if let Some(state) = &mut self.restored.state {
            let added = state.add(item.place, item.key, item.expires_at, stream);
            added.map_err(|cause| cause.what)?;
        }
        Ok(())
    }

    /// Whether a data file has this extent. One that cannot be read has been told of.
    fn is_there(&self, row: &ExtentRow, file: u64) -> bool {
        self.extents.get(&file).is_none_or(|rows| {
            let found = rows.binary_search_by_key(&row.pos, |row| row.pos);
            found.is_ok_and(|index| rows[index] == *row)
        })
    }
}

impl Check<'_> {
    /// Settled entries could not be read: worth telling unless their file was told of.
    pub(super) fn unapplied(&mut self, error: DataError) {
        if self.summary.worst < Some(Severity::Unread) {
            self.damage(What::Data(error));
        }
    }
}
