//! A backup of a store that runs: takes a checkpoint, and keeps everything it needs until it is
//! copied.

use std::path::Path;

use super::Store;
use crate::backup::{Backup, BackupError, Item, write};
use crate::checkpoint;
use crate::data::Name;

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
        let written = self.after_round(|number, files| {
            let durable = self.log.sync()?;
            let data_dir = self.dir.join("data");
            let data = files.map(|file| Name::Whole(file).path(&data_dir));
            let checkpoint = checkpoint::path(&self.checkpoint_dir(), number);
            let files = data.chain([checkpoint]);
            let mut items: Vec<_> = files.map(Item::unchanging).collect();

            let held = self.log.hold();
            let needed = held.iter().filter(|segment| segment.base() <= durable);
            let copies: Vec<_> = needed
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
            write(&*self.disk, target, durable, &items)
        });
        written?
    }
}
