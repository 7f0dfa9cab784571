//! A backup of a store that runs: takes a checkpoint, and keeps everything it needs until it is
//! copied.

use std::path::Path;

use super::Store;
use crate::backup::{Backup, BackupError, Item, Target};
use crate::checkpoint::{self, Skim};
use crate::data::Name;
use crate::log::Held;
use crate::lsn::Lsn;

impl Store {
    /// Makes a backup as the directory `target`, which is not there yet or is empty. It holds
    /// everything that was appended before the call, and nothing half.
    ///
    /// Blocks on the disk, and keeps upkeep waiting, but nobody else: for a thread that has the
    /// time. Copies the last segment of the log only, where the file system can give further names.
    ///
    /// # Errors
    ///
    /// When the target is taken, or the disk refuses. No target is left.
    pub fn backup(&self, target: &Path) -> Result<Backup, BackupError> {
        let target = Target::begin(&*self.disk, target)?;
        self.without_upkeep(true, |last| self.copy_all(last, target))?
    }

    /// Makes a backup for a replica, which may be the one that every checkpoint
    /// [waits](super::Agreement) for: so it has the last checkpoint that there is, and all of the
    /// log that this needs.
    ///
    /// # Errors
    ///
    /// As [`backup`](Self::backup).
    pub fn backup_for_replica(&self, target: &Path) -> Result<Backup, BackupError> {
        let target = Target::begin(&*self.disk, target)?;
        self.without_upkeep(false, |last| self.copy_all(last, target))?
    }

    /// Copies the checkpoint `last`, and all that it needs. Upkeep does nothing meanwhile.
    fn copy_all(&self, last: Option<u64>, target: Target<'_>) -> Result<Backup, BackupError> {
        let durable = self.log.sync()?;
        let mut items = Vec::new();
        let mut keep = Lsn::ZERO;
        if let Some(number) = last {
            let dir = self.checkpoint_dir();
            let taken = checkpoint::read(&*self.disk, &dir, number, |_| Ok(Skim::default()))?;
            keep = taken.ending.keep;
            let data_dir = self.dir.join("data");
            let files = taken.beginning.files.iter();
            let data = files.map(|file| Name::Whole(file.number).path(&data_dir));
            let all = data.chain([checkpoint::path(&dir, number)]);
            items.extend(all.map(Item::unchanging));
        }
        let held = self.log.hold();
        let is_needed = |segment: &&Held| {
            segment.base() <= durable && segment.end().is_none_or(|end| end > keep)
        };
        let copies: Vec<_> = { held.iter().filter(is_needed) }
            .map(|segment| {
                let upto = segment.end().unwrap_or(durable).min(durable);
                let copy = move |to: &Path| segment.copy(&*self.disk, to, upto);
                (segment, copy)
            })
            .collect();
        items.extend(copies.iter().map(|(segment, copy)| {
            let is_sealed = segment.end().is_some_and(|end| end <= durable);
            Item {
                source: segment.path().to_owned(),
                copy: (!is_sealed).then_some(copy),
            }
        }));
        target.write(durable, &items)
    }
}
