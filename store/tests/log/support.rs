//! What the tests share: small logs, and words for what happens to them.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use headwater_store::disk::{Disk, Loss};
use headwater_store::error::{AppendError, OpenError};
use headwater_store::history::{History as Epochs, HistoryId};
use headwater_store::log::{Growth, Log, LogOptions, Opening, SyncPolicy};
use headwater_store::lsn::Lsn;

/// Bytes of a frame's header, of a frame that begins an epoch, and of a segment's header.
pub(crate) const FRAME: u64 = 36;
pub(crate) const EPOCH: u64 = FRAME + HistoryId::BYTES as u64;
pub(crate) const SEGMENT: usize = 4096;

/// Every start leads.
pub(crate) const LEAD: Opening = Opening::Lead(HistoryId::new([1; HistoryId::BYTES]));

/// Small segments, no reserve.
pub(crate) const SMALL: LogOptions = LogOptions {
    segment_bytes: 8192,
    policy: SyncPolicy::Always,
    spares: 1,
    spares_max: 1,
    reserve_bytes: 0,
    keep: Lsn::ZERO,
    retain: 0,
    from: Lsn::ZERO,
    durable: Lsn::ZERO,
    history: Epochs::new(),
    role: LEAD,
    progress: None,
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

/// How much longer than usual random tests are to be.
pub(crate) fn budget() -> u64 {
    std::env::var("HEADWATER_BUDGET").map_or(1, |budget| budget.parse().unwrap())
}

/// The kinds of loss, the random ones several times.
pub(crate) fn losses(seeds: Range<u64>) -> impl Iterator<Item = Loss> {
    let random = seeds.flat_map(|seed| [Loss::Pages(seed), Loss::Sectors(seed)]);
    [Loss::Nothing, Loss::All].into_iter().chain(random)
}

/// What was committed together, and may be lost or kept only together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Batch {
    pub(crate) bytes: Vec<u8>,
    pub(crate) end: Lsn,
}

/// What happened to a log, as a client would know it.
#[derive(Clone, Debug, Default)]
pub(crate) struct History {
    /// Everything that was appended, in order.
    pub(crate) batches: Vec<Batch>,
    /// What the log said to be durable.
    pub(crate) acknowledged: Lsn,
    /// How many batches were refused for lack of space.
    pub(crate) refused: usize,
}

impl History {
    /// Appends a batch of some records. `None` when it was refused, or the log is poisoned.
    pub(crate) fn append(&mut self, log: &Log, records: &[usize]) -> Option<()> {
        let bytes = records.iter().sum::<usize>() as u64;
        let mut batch = match log.append(Growth::Adds, bytes) {
            Ok(batch) => batch,
            Err(refused) => {
                self.refused += usize::from(matches!(refused, AppendError::Full { .. }));
                return None;
            }
        };
        let mut body = Vec::new();
        for (index, len) in records.iter().enumerate() {
            let first = index * 31 + self.batches.len() * 13;
            let record: Vec<u8> = (0..=u8::MAX).cycle().skip(first % 256).take(*len).collect();
            batch.push(|buffer| buffer.extend_from_slice(&record));
            body.extend(record);
        }
        self.batches.push(Batch {
            bytes: body,
            end: batch.end(),
        });
        Some(())
    }

    /// Syncs, and takes what the log says then for acknowledged.
    pub(crate) fn sync(&mut self, log: &Log) -> Option<()> {
        let said = log.sync();
        // Whether it said so or not, it may not take it back.
        self.acknowledged = self.acknowledged.max(log.durable());
        said.ok().map(drop)
    }

    /// How many batches were replayed: a prefix of the history, each of them whole.
    pub(crate) fn kept(&self, replayed: &[Replayed]) -> usize {
        let bodies: Vec<&[u8]> = replayed.iter().map(|frame| &frame.body[..]).collect();
        let bytes = bodies.concat();
        let mut rest = &bytes[..];
        let mut kept = 0;
        while !rest.is_empty() {
            let batch = self
                .batches
                .get(kept)
                .expect("nothing was replayed that was not appended");
            rest = rest
                .strip_prefix(&batch.bytes[..])
                .expect("batches are replayed whole");
            kept += 1;
        }
        if let (Some(last), Some(frame)) = (kept.checked_sub(1), replayed.last()) {
            assert_eq!(
                frame.end(),
                self.batches[last].end,
                "and where they were appended"
            );
        }
        kept
    }

    /// How many batches must survive anything.
    pub(crate) fn acknowledged(&self) -> usize {
        self.batches
            .iter()
            .take_while(|batch| batch.end <= self.acknowledged)
            .count()
    }
}

/// A script that rolls segments in the middle of unsynced writes, shares frames among batches, and
/// has batches larger than a segment. Stops at the first failure that is not a lack of space.
pub(crate) fn run_script(log: &Log, history: &mut History) {
    let steps: [(&[usize], Then); 19] = [
        (&[10], Then::Sync),
        (&[700], Then::Nothing),
        (&[20, 30, 40], Then::Write),
        (&[1500], Then::Write),
        (&[1500], Then::Sync),
        (&[1500], Then::Write),
        (&[1000], Then::Write),
        (&[900, 900], Then::Write),
        (&[1], Then::Nothing),
        (&[600], Then::Sync),
        (&[6000], Then::Write),
        (&[50], Then::Write),
        (&[2500], Then::Write),
        (&[2500], Then::Write),
        (&[2500], Then::Sync),
        (&[100], Then::Write),
        (&[200], Then::Write),
        (&[300], Then::Sync),
        (&[400], Then::Nothing),
    ];
    for (records, then) in steps {
        if history.append(log, records).is_none() && log.poisoned().is_some() {
            return;
        }
        let done = match then {
            Then::Nothing => Some(()),
            Then::Sync => history.sync(log),
            Then::Write => log.try_write().ok().map(drop),
        };
        if done.is_none() {
            return;
        }
    }
}

#[derive(Clone, Copy)]
enum Then {
    Nothing,
    Sync,
    Write,
}
