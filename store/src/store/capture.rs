//! Takes a checkpoint: goes through the streams, and writes each as it is when its turn comes.
//!
//! The world is held shared for a few streams at a time, and each stream locked while it is
//! encoded; nothing is written meanwhile. What that means for whoever reads the checkpoint is told
//! in [`Restore`](crate::state::Restore).

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Store;
use super::upkeep::UpkeepError;
use crate::checkpoint::{Beginning, DataFileItem, Ending, StreamItem, Writer, Written};
use crate::id::StreamNo;
use crate::lsn::Lsn;
use crate::sabotage::{self, Bug};

/// So many streams are encoded at a time, at most.
const CHUNK: usize = 64;

/// So many bytes of images are enough at a time.
const CHUNK_BYTES: usize = 256 << 10;

/// A checkpoint that has been taken.
pub(super) struct Captured {
    pub(super) written: Written,
    /// Where a start replays from.
    pub(super) from: Lsn,
    /// The log below this is not needed any more.
    pub(super) keep: Lsn,
    /// The data files that it needs, each with about how many bytes in it are live.
    pub(super) files: BTreeMap<u64, u64>,
}

/// One stream, to be written.
struct Image {
    number: StreamNo,
    place: u8,
    key: Arc<[u8]>,
    expires_at: Option<u64>,
    changed: Lsn,
    /// Where its bytes end.
    end: usize,
}

impl Store {
    /// Takes checkpoint `number`.
    ///
    /// # Errors
    ///
    /// When the disk refuses, or the log fails. There is no such checkpoint then.
    pub(super) fn capture(&self, number: u64) -> Result<Captured, UpkeepError> {
        // No extent appears while this goes on: upkeep does one thing at a time.
        let files = self.data.files();
        let files = files.iter().filter(|file| file.live() > 0);
        let files: Vec<DataFileItem> = files
            .map(|file| DataFileItem {
                number: file.number(),
                len: file.len(),
            })
            .collect();
        let beginning = {
            let world = self.world.read();
            let from = self.log.records_end();
            Beginning {
                from,
                history: self.log.history().below(from),
                order: world.order(),
                next_file: self.data.next_number(),
                files,
            }
        };
        let dir = self.checkpoint_dir();
        let mut writer = Writer::begin(self.disk.clone(), &dir, number, &beginning)?;
        let mut files = { beginning.files.iter() }
            .map(|file| (file.number, 0))
            .collect();
        let ending = self.write_streams(beginning.from, &mut files, &mut writer)?;
        if !sabotage::has(Bug::CheckpointBeforeDurable) {
            self.log.wait_durable(ending.until)?;
        }
        self.wait_agreed(ending.until)?;
        if sabotage::has(Bug::LogFreedEarly) {
            self.log.release(ending.keep)?;
        }
        Ok(Captured {
            written: writer.finish(&ending)?,
            from: beginning.from,
            keep: ending.keep,
            files,
        })
    }

    fn write_streams(
        &self,
        from: Lsn,
        files: &mut BTreeMap<u64, u64>,
        writer: &mut Writer,
    ) -> Result<Ending, UpkeepError> {
        let (mut keep, mut streams) = (from, 0);
        let mut next = StreamNo::FIRST;
        let (mut images, mut bytes) = (Vec::new(), Vec::new());
        loop {
            {
                let world = self.world.read();
                let chunk = world.all_from(next, CHUNK);
                if chunk.is_empty() {
                    return Ok(Ending {
                        until: self.log.records_end(),
                        next: world.next(),
                        keep,
                        streams,
                    });
                }
                for (place, key, cell) in chunk {
                    let stream = cell.lock();
                    stream.encode(&mut bytes);
                    for (file, bytes) in stream.live_in_files() {
                        *files.entry(file).or_default() += bytes;
                    }
                    keep = stream.lowest().map_or(keep, |lowest| lowest.min(keep));
                    images.push(Image {
                        number: stream.number(),
                        place,
                        key: key.clone(),
                        expires_at: cell.expires_at(),
                        changed: stream.changed(),
                        end: bytes.len(),
                    });
                    next = stream.number().next();
                    if bytes.len() >= CHUNK_BYTES {
                        break;
                    }
                }
            }
            let mut begin = 0;
            for image in images.drain(..) {
                writer.stream(&StreamItem {
                    number: image.number,
                    place: image.place,
                    key: &image.key,
                    expires_at: image.expires_at,
                    changed: image.changed,
                    image: &bytes[begin..image.end],
                })?;
                begin = image.end;
                streams += 1;
            }
            bytes.clear();
        }
    }
}
