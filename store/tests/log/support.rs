//! What the tests share: small logs, and words for what happens to them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use headwater_store::disk::Disk;
use headwater_store::error::OpenError;
use headwater_store::log::{Growth, Log, LogOptions, SyncPolicy};
use headwater_store::lsn::Lsn;

/// Bytes of a frame's header, and of a segment's.
pub(crate) const FRAME: u64 = 36;
pub(crate) const SEGMENT: usize = 4096;

/// Small segments, no reserve.
pub(crate) const SMALL: LogOptions = LogOptions {
    segment_bytes: 8192,
    policy: SyncPolicy::Always,
    spares: 1,
    reserve_bytes: 0,
    from: Lsn::ZERO,
};

/// The directory of the log on simulated disks.
pub(crate) fn dir() -> PathBuf {
    PathBuf::from("/log")
}

/// The records of one frame, as a log replays them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Replayed {
    pub(crate) at: Lsn,
    pub(crate) records: u32,
    pub(crate) body: Vec<u8>,
}

impl Replayed {
    pub(crate) fn end(&self) -> Lsn {
        self.at.plus(self.body.len() as u64)
    }
}

/// Opens a log.
pub(crate) fn try_open(
    disk: &(impl Disk + Clone + 'static),
    options: &LogOptions,
) -> Result<(Arc<Log>, Vec<Replayed>), OpenError> {
    open_in(&(Arc::new(disk.clone()) as Arc<dyn Disk>), &dir(), options)
}

/// Opens a log that must open.
pub(crate) fn open(
    disk: &(impl Disk + Clone + 'static),
    options: &LogOptions,
) -> (Arc<Log>, Vec<Replayed>) {
    try_open(disk, options).unwrap()
}

/// Opens the log in a directory.
pub(crate) fn open_in(
    disk: &Arc<dyn Disk>,
    dir: &Path,
    options: &LogOptions,
) -> Result<(Arc<Log>, Vec<Replayed>), OpenError> {
    let mut replayed = Vec::new();
    let log = Log::open(
        disk.clone(),
        dir,
        options.clone(),
        &mut |at, records, body| {
            replayed.push(Replayed {
                at,
                records,
                body: body.to_vec(),
            });
            Ok(())
        },
    )?;
    Ok((log, replayed))
}

/// Appends a batch of one record.
pub(crate) fn append(log: &Log, record: &[u8]) -> Lsn {
    let mut batch = log.append(Growth::Adds, record.len() as u64).unwrap();
    batch.push(|buffer| buffer.extend_from_slice(record))
}
