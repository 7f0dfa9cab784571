//! Bringing a store back: the newest checkpoint, then the log behind it.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use parking_lot::RwLock;

use super::agreement::Agreed;
use super::upkeep::Upkeep;
use super::{Retention, Store, StoreOptions};
use crate::checkpoint::{self, Beginning, Ending, Load, Loaded, StreamItem};
use crate::data::{Data, DataFile, Patience, Reader};
use crate::disk::Disk;
use crate::error::{DataError, Malformed, OpenError};
use crate::install;
use crate::log::{Log, LogOptions};
use crate::lsn::Lsn;
use crate::record::records;
use crate::sabotage::{self, Bug};
use crate::state::{Restore, Stream};

impl Store {
    /// Opens the store in a directory, or creates it; finishes an [installation](crate::install)
    /// that was begun; and brings its state back from the newest
    /// checkpoint and the log. No other process can open it until the store is dropped.
    ///
    /// Starts no threads: see [`start`](Self::start).
    ///
    /// # Errors
    ///
    /// When another process has the directory, when the disk fails, or when what was durable is
    /// damaged, gone, or holds what this version does not know. Nothing is skipped, and nothing
    /// changed then.
    ///
    /// # Panics
    ///
    /// When the log holds a record that cannot have happened after those before it.
    pub fn open(
        disk: Arc<dyn Disk>,
        dir: &Path,
        options: StoreOptions,
    ) -> Result<Arc<Self>, OpenError> {
        disk.create_dir(dir)?;
        let lock = disk.lock(dir)?;
        install::finish(&*disk, dir)?;
        let data = Data::open(disk.clone(), &dir.join("data"), options.cache_bytes)?;
        let checkpoints = dir.join("checkpoint");
        disk.create_dir(&checkpoints)?;
        let found = checkpoint::load(&*disk, &checkpoints, |beginning| {
            Images::begin(beginning, &data)
        })?;
        let (found, restore) = match found {
            None => (None, Restore::fresh()),
            Some(Loaded {
                written,
                beginning,
                ending,
                content,
            }) => (Some((written, beginning, ending)), content.restore),
        };
        if found.is_some() && !sabotage::has(Bug::KernelTrusted) {
            // Its name may be known to this kernel only, and what the one before needs goes now.
            disk.sync_dir(&checkpoints)?;
        }
        let retention = Retention {
            bytes: options.log.retain,
            pinned: None,
        };
        let log_options = LogOptions {
            role: options.role,
            ..options.log
        };
        let log_options = match &found {
            None => log_options,
            Some((_, beginning, ending)) => LogOptions {
                keep: ending.keep,
                from: beginning.from,
                durable: ending.until,
                history: beginning.history.clone(),
                ..log_options
            },
        };
        let (log, state) = replay(&disk, &dir.join("log"), log_options, &data, restore)?;
        // What is left over from a crash goes once all else has turned out well.
        let newest = found.as_ref().map(|(written, ..)| written.number);
        checkpoint::remove_others(&*disk, &checkpoints, newest)?;
        data.remove_orphans(|_| false)?;
        if let Some((_, beginning, _)) = &found {
            data.skip_numbers(beginning.next_file);
        }
        Ok(Arc::new(Self {
            disk,
            dir: dir.to_owned(),
            log,
            world: RwLock::new(state),
            data,
            upkeep: Upkeep::new(options.budgets, retention, found),
            agreed: Agreed::default(),
            watching: AtomicBool::new(false),
            _lock: lock,
        }))
    }
}

/// What is read from a checkpoint.
struct Images {
    restore: Restore,
    files: HashMap<u64, Arc<DataFile>>,
}

impl Images {
    fn begin(beginning: &Beginning, data: &Arc<Data>) -> Result<Self, OpenError> {
        let mut files = HashMap::new();
        for item in &beginning.files {
            let file = data.adopt(item.number, item.len);
            files.insert(item.number, file.map_err(OpenError::Data)?);
        }
        Ok(Self {
            restore: Restore::begin(beginning.order),
            files,
        })
    }
}

impl Load for Images {
    fn stream(&mut self, item: &StreamItem<'_>) -> Result<(), Malformed> {
        let files = |number| self.files.get(&number).cloned();
        let stream = Stream::decode(item.number, item.changed, item.image, &files)?;
        self.restore
            .add(item.place, item.key, item.expires_at, stream)
    }

    fn end(&mut self, ending: &Ending) -> Result<(), Malformed> {
        self.restore.end(ending)
    }
}

/// Opens the log, and brings the state to its end.
fn replay(
    disk: &Arc<dyn Disk>,
    dir: &Path,
    options: LogOptions,
    data: &Arc<Data>,
    mut restore: Restore,
) -> Result<(Arc<Log>, crate::state::State), OpenError> {
    let mut unreadable = None;
    let log = Log::open(disk.clone(), dir, options, &mut |at, records, body| {
        // A reader keeps what it reads: it is for one frame.
        let reader = Reader::new(data, Patience::Wait);
        apply(&mut restore, &reader, at, records, body).map_err(|fault| match fault {
            Fault::Malformed(cause) => cause,
            Fault::Data(fault) => {
                unreadable = Some(fault);
                UNREADABLE
            }
        })
    });
    if let Some(fault) = unreadable {
        return Err(OpenError::Data(fault));
    }
    let log = log?;
    let state = restore.finish().map_err(|cause| OpenError::Malformed {
        at: log.appended(),
        cause,
    })?;
    Ok((log, state))
}

const UNREADABLE: Malformed = Malformed {
    what: "a change of entries that cannot be read",
};

/// Why a frame cannot be applied.
enum Fault {
    Data(DataError),
    Malformed(Malformed),
}

impl From<Malformed> for Fault {
    fn from(cause: Malformed) -> Self {
        Self::Malformed(cause)
    }
}

impl From<DataError> for Fault {
    fn from(fault: DataError) -> Self {
        Self::Data(fault)
    }
}

/// Applies the records of one frame, whose body begins at `at`.
fn apply(
    restore: &mut Restore,
    reader: &Reader<'_>,
    at: Lsn,
    count: u32,
    body: &[u8],
) -> Result<(), Fault> {
    for placed in records(at, count, body) {
        let (start, end, record) = placed.map_err(|(_, cause)| cause)?;
        if sabotage::passes_over(&record) {
            continue;
        }
        restore.apply(start, end, reader, &record)?;
    }
    Ok(())
}
