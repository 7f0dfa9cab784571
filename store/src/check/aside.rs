//! What lies beside the store in its directory, and is no part of it: what was [cut] off its log.

use std::path::Path;

use super::{Check, What};
use crate::cut;
use crate::disk::is_unfinished;
use crate::error::OpenError;
use crate::log::inspect;
use crate::lsn::Lsn;

impl Check<'_> {
    /// Tells what is kept in `dir` of what was cut off the log. No start needs it, so whatever is
    /// wrong with it is a note.
    pub(super) fn kept(&mut self, dir: &Path) {
        for name in self.names(self.disk.list(dir)) {
            let dir = dir.join(&name);
            match cut::of_name(&name) {
                Some((from, to, id)) => {
                    let records = self.records_kept(&dir);
                    self.note(What::CutOff {
                        dir,
                        from,
                        to,
                        id,
                        records,
                    });
                }
                None if is_unfinished(&name) => self.note(What::Unfinished { file: dir }),
                None => self.note(What::Unknown { file: dir }),
            }
        }
    }

    /// How many records there are in a log that was cut off.
    fn records_kept(&mut self, dir: &Path) -> u64 {
        let names = self.names(self.disk.list(dir));
        let mut records = 0;
        let count = &mut |_, count, _: &[u8]| {
            records += u64::from(count);
            Ok(())
        };
        match inspect(self.disk, dir, names, None, Lsn::ZERO, count) {
            Ok(inspected) => {
                for corruption in inspected.end.err().into_iter().flatten() {
                    self.note(What::Corrupt(corruption));
                }
            }
            Err(OpenError::Disk(fault)) => self.unread(fault),
            Err(other) => unreachable!("counting refuses nothing: {other}"),
        }
        records
    }
}
