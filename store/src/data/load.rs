//! Reads blocks from their files.
//!
//! Blocks that lie next to each other are read at once. When the block in front of those that are
//! wanted is still in the cache, somebody goes through the extent from one end to the other; then
//! the blocks that follow are read with them, for the next time: all that begin in the same area of
//! the file. The first of these is marked: once it is used, a [thread](super::ahead) reads the next
//! areas, and so on to the end of the extent, and into the one that comes then.

use std::iter;
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};

use super::Data;
use super::ahead::Used;
use super::block::Block;
use super::cache::{BlockKey, Cached};
use super::extent::Extent;
use super::file::to_usize;
use super::index::{Index, OTHER_ENTRIES};
use super::reader::{Cold, ColdBlock, Loaded, Missing, Part, Patience, Reader};
use crate::disk::File;
use crate::error::{DataError, DiskError, Flaw};

/// Bytes of an area: what is read at once for somebody who goes on reading.
const AREA: u64 = 512 << 10;

/// Areas that are there ahead of somebody who has long been reading on, if they are a small part of
/// the cache: that one and others who do so share it.
const AREAS_MAX: u64 = 8;
const AREAS_SHARE: u64 = 16;

/// So far behind an area that is read the kernel fetches another meanwhile, of whatever the file
/// has there: mostly what will come next.
const SOON: u64 = 4 << 20;

impl Data {
    /// Reads blocks, waiting for the disk. No lock of the store is needed, and none should be held.
    ///
    /// # Errors
    ///
    /// When one of them cannot be read, or is not what was written.
    pub(crate) fn load(&self, cold: &Cold) -> Result<Loaded, DataError> {
        let mut loaded = Loaded::default();
        let mut opened: Option<(u64, Arc<dyn File>)> = None;
        let in_area = |a: &ColdBlock, b: &ColdBlock| a.key().area() == b.key().area();
        for area in cold.blocks().chunk_by(in_area) {
            let data_file = &area[0].extent.file;
            let _one_reads = self.loader(area[0].key());
            let mut rest = Vec::new();
            for block in area {
                // Consumers of one group all want the same next block; somebody has loaded it by
                // now.
                match self.cache.peek(block.key()) {
                    Some(found) => loaded.push(block.key(), found),
                    None => rest.push(block),
                }
            }
            for run in rest.chunk_by(|a, b| a.end() == b.key()) {
                let file = match opened.take() {
                    Some((number, file)) if number == data_file.number() => file,
                    _ => self.disk.open_to_read(data_file.path())?,
                };
                self.load_run(&*file, run, &mut loaded)?;
                opened = Some((data_file.number(), file));
            }
        }
        Ok(loaded)
    }

    /// Reads blocks that follow each other, and those that whoever wants them will want next.
    fn load_run(
        &self,
        file: &dyn File,
        run: &[&ColdBlock],
        loaded: &mut Loaded,
    ) -> Result<(), DataError> {
        let ahead = self.ahead(run);
        let all: Vec<_> = run.iter().copied().chain(&ahead).collect();
        let past_cache = !ahead.is_empty() && !self.is_kept(&run[0].extent.file);
        for (at, (block, read)) in self.read(file, &all, past_cache).enumerate() {
            let (key, is_wanted) = (block.key(), at < run.len());
            match read {
                Ok(block) => {
                    if at == run.len() {
                        block.mark(1);
                    }
                    self.cache.insert(key, block.clone());
                    if is_wanted {
                        loaded.push(key, block);
                    }
                }
                Err(fault) if is_wanted => return Err(fault),
                // Whoever needs it will hear of it.
                Err(_) => break,
            }
        }
        Ok(())
    }

    /// Waits for others who load what begins in this area.
    pub(super) fn loader(&self, at: BlockKey) -> MutexGuard<'_, ()> {
        self.loading(at).lock()
    }

    /// What is taken by who loads what begins in this area.
    fn loading(&self, at: BlockKey) -> &Mutex<()> {
        let (file, area) = at.area();
        let loader = file.wrapping_add(area) % self.loading.len() as u64;
        &self.loading[usize::try_from(loader).expect("there are few loaders")]
    }

    /// The blocks behind `run` that whoever wants it will want next.
    fn ahead(&self, run: &[&ColdBlock]) -> Vec<ColdBlock> {
        let (first, last) = (run[0], run[run.len() - 1]);
        let goes_on = first
            .before()
            .is_none_or(|before| self.cache.peek(before).is_some());
        let following = iter::successors(last.after(), ColdBlock::after);
        let new = following.take_while(|block| {
            let is_near = block.key().area() == last.key().area();
            goes_on && is_near && self.cache.peek(block.key()).is_none()
        });
        new.collect()
    }

    /// Reads the areas behind that of a block which was read ahead and is used now, those that are
    /// not there. What cannot be read is left to whoever needs it.
    pub(super) fn read_on(&self, used: &Used) -> Result<(), DataError> {
        let areas_max = (self.cache.budget() / AREAS_SHARE / AREA).clamp(1, AREAS_MAX);
        let areas_max = u8::try_from(areas_max).expect("there are few");
        let more = used.areas.saturating_mul(2).min(areas_max);
        let (mut last, mut then) = (used.block.clone(), used.then.as_ref());
        for _ in 0..used.areas {
            let behind = (last.key().pos / AREA + 1) * AREA;
            last = match (last.first_from(behind), then.take()) {
                (Some(first), still) => {
                    then = still;
                    first
                }
                (None, Some(then)) => self.first_block(then)?,
                (None, None) => break,
            };
            self.read_area(&last, more)?;
        }
        Ok(())
    }

    /// Reads an area from a block on, unless that is there or somebody reads it, and notes there
    /// how many more areas are to be read once it is used.
    fn read_area(&self, first: &ColdBlock, more: u8) -> Result<(), DataError> {
        let key = first.key();
        let one_reads = self.loading(key).try_lock();
        if one_reads.is_none() || self.cache.peek(key).is_some() {
            return Ok(());
        }
        let following = iter::successors(Some(first.clone()), ColdBlock::after);
        let all: Vec<_> = following
            .take_while(|block| block.key().area() == key.area())
            .collect();
        let all: Vec<_> = all.iter().collect();
        let file = self.disk.open_to_read(first.extent.file.path())?;
        let past_cache = !self.is_kept(&first.extent.file);
        for (at, (block, read)) in self.read(&*file, &all, past_cache).enumerate() {
            let Ok(read) = read else { break };
            if at == 0 {
                read.mark(more);
            }
            self.cache.insert(block.key(), read);
        }
        if !past_cache {
            file.will_read(key.pos / AREA * AREA + SOON, AREA);
        }
        Ok(())
    }

    /// The first block of an extent, whose index is read if need be.
    fn first_block(&self, extent: &Arc<Extent>) -> Result<ColdBlock, DataError> {
        let reader = Reader::new(self, Patience::Wait);
        let index = reader.index(extent).map_err(Missing::waited)?;
        Ok(ColdBlock {
            extent: extent.clone(),
            part: Part::Entries { index, block: 0 },
        })
    }

    /// Reads blocks that follow each other, past the kernel's cache or not.
    fn read<'r>(
        &self,
        file: &'r dyn File,
        run: &'r [&'r ColdBlock],
        past_cache: bool,
    ) -> impl Iterator<Item = (&'r ColdBlock, Result<Cached, DataError>)> + use<'r> {
        let start = run[0].key().pos;
        let bytes = run.iter().map(|block| u64::from(block.len())).sum();
        self.reads.add(bytes);
        let whole = if past_cache {
            run[0].extent.file.add_scanned(bytes);
            // If it fails, the blocks that can be read are, one by one.
            file.read_past_cache(start, to_usize(bytes)).ok()
        } else {
            if run.len() > 1 {
                file.will_read(start, bytes);
            }
            None
        };
        run.iter().map(move |block| {
            let bytes = match &whole {
                Some(whole) => {
                    let from = to_usize(block.key().pos - start);
                    Ok(whole[from..][..block.len() as usize].to_vec())
                }
                None => file.read(block.key().pos, block.len() as usize),
            };
            (*block, block.check(bytes))
        })
    }
}

impl BlockKey {
    /// The file, and which area of it the block begins in.
    fn area(self) -> (u64, u64) {
        (self.file, self.pos / AREA)
    }
}

impl ColdBlock {
    /// Makes sure that what was read is the block that the extent and the index tell of.
    fn check(&self, read: Result<Vec<u8>, DiskError>) -> Result<Cached, DataError> {
        let decoded = self.decode(read?);
        decoded.map_err(|flaw| self.extent.file.corrupt(self.key().pos, flaw))
    }

    fn decode(&self, bytes: Vec<u8>) -> Result<Cached, Flaw> {
        let (row, file) = (&self.extent.row, self.extent.file.number());
        match &self.part {
            Part::Index => Ok(Cached::Index(Index::decode(&bytes, row, file)?)),
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
