//! Reads blocks from their files.
//!
//! Blocks that lie next to each other are read at once. When the block in front of those that are
//! wanted is still in the cache, somebody goes through the extent from one end to the other; then
//! the blocks that follow are read with them, for the next time.

use std::iter;
use std::sync::Arc;

use parking_lot::MutexGuard;

use super::Data;
use super::block::Block;
use super::cache::{BlockKey, Cached};
use super::file::to_usize;
use super::index::{Index, OTHER_ENTRIES};
use super::reader::{Cold, ColdBlock, Loaded, Part};
use crate::disk::File;
use crate::error::{DataError, Flaw};

/// Bytes that are read at once for somebody who goes on reading.
const READ_AHEAD: u64 = 256 << 10;

/// Bytes that are read at once when all of them are wanted.
const READ_MAX: u64 = 1 << 20;

impl Data {
    /// Reads blocks, waiting for the disk. No lock of the store is needed, and none should be held.
    ///
    /// # Errors
    ///
    /// When one of them cannot be read, or is not what was written.
    pub(crate) fn load(&self, cold: &Cold) -> Result<Loaded, DataError> {
        let mut loaded = Loaded::default();
        let Some(first) = cold.blocks().first() else {
            return Ok(loaded);
        };
        let _one_reads = self.loader(first.key());
        let mut rest = Vec::new();
        for block in cold.blocks() {
            // Consumers of one group all want the same next block; somebody has loaded it by now.
            match self.cache.peek(block.key()) {
                Some(found) => loaded.push(block.key(), found),
                None => rest.push(block),
            }
        }
        let mut opened: Option<(u64, Arc<dyn File>)> = None;
        for run in rest.chunk_by(|a, b| a.end() == b.key()) {
            let data_file = &run[0].extent.file;
            let file = match opened.take() {
                Some((number, file)) if number == data_file.number() => file,
                _ => self.disk.open_to_read(data_file.path())?,
            };
            for run in pieces(run) {
                let ahead = self.ahead(run);
                self.read(&*file, run, &ahead, &mut loaded)?;
            }
            opened = Some((data_file.number(), file));
        }
        Ok(loaded)
    }

    /// Waits for others who load what begins about here.
    pub(super) fn loader(&self, at: BlockKey) -> MutexGuard<'_, ()> {
        let area = at.file.wrapping_add(at.pos / READ_AHEAD);
        let loader = usize::try_from(area % self.loading.len() as u64);
        self.loading[loader.expect("there are few loaders")].lock()
    }

    /// The blocks behind `run` that whoever wants it will want next.
    fn ahead(&self, run: &[&ColdBlock]) -> Vec<ColdBlock> {
        let (first, last) = (run[0], run[run.len() - 1]);
        let goes_on = first
            .before()
            .is_none_or(|before| self.cache.peek(before).is_some());
        let mut bytes: u64 = run.iter().map(|block| u64::from(block.len())).sum();
        let following = iter::successors(last.after(), ColdBlock::after);
        let new = following.take_while(|block| {
            bytes += u64::from(block.len());
            goes_on && bytes <= READ_AHEAD && self.cache.peek(block.key()).is_none()
        });
        new.collect()
    }

    /// Reads blocks that follow each other, all into the cache, `run` also into `loaded`.
    fn read(
        &self,
        file: &dyn File,
        run: &[&ColdBlock],
        ahead: &[ColdBlock],
        loaded: &mut Loaded,
    ) -> Result<(), DataError> {
        let blocks = run.iter().copied().chain(ahead);
        let bytes = blocks.clone().map(|block| u64::from(block.len())).sum();
        let mut bytes = vec![0; to_usize(bytes)];
        file.read_at(run[0].key().pos, &mut bytes)?;
        self.reads.add(bytes.len() as u64);
        if !ahead.is_empty() {
            file.will_read(run[0].key().pos + bytes.len() as u64, READ_AHEAD);
        }
        let mut rest = &bytes[..];
        for (at, block) in blocks.enumerate() {
            let (bytes, behind) = rest.split_at(block.len() as usize);
            rest = behind;
            let key = block.key();
            match block.decode(bytes) {
                Ok(decoded) => {
                    self.cache.insert(key, decoded.clone());
                    if at < run.len() {
                        loaded.push(key, decoded);
                    }
                }
                // Whoever needs it will hear of it.
                Err(_) if at >= run.len() => break,
                Err(flaw) => return Err(block.extent.file.corrupt(key.pos, flaw)),
            }
        }
        Ok(())
    }
}

impl ColdBlock {
    /// Decodes it, making sure that it is the block that the extent and the index tell of.
    fn decode(&self, bytes: &[u8]) -> Result<Cached, Flaw> {
        let (row, file) = (&self.extent.row, self.extent.file.number());
        match &self.part {
            Part::Index => Ok(Cached::Index(Index::decode(bytes, row, file)?)),
            Part::Entries { index, block } => {
                let expected = &index.rows()[*block];
                let block = Block::decode(bytes, row.address(file, expected.pos))?;
                if expected.tells_of(&block) {
                    Ok(Cached::Entries(Arc::new(block)))
                } else {
                    Err(Flaw::Malformed(OTHER_ENTRIES))
                }
            }
        }
    }
}

/// Cuts a run of adjacent blocks into what is read at once.
fn pieces<'r, 'b>(run: &'r [&'b ColdBlock]) -> impl Iterator<Item = &'r [&'b ColdBlock]> {
    let mut rest = run;
    iter::from_fn(move || {
        let mut bytes = 0;
        let fits = rest.iter().take_while(|block| {
            bytes += u64::from(block.len());
            bytes <= READ_MAX
        });
        // A block that is larger is read alone.
        let count = fits.count().max(1).min(rest.len());
        let (piece, behind) = rest.split_at(count);
        rest = behind;
        (!piece.is_empty()).then_some(piece)
    })
}
