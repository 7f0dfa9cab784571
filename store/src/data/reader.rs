//! What one access reads settled entries with.
//!
//! ```text
//!   access:  index, block  --(in memory)-->  pinned, go on
//!                |
//!                '--(not)--> Missing::Cold --> every lock is released
//!                                                   |
//!              Data::load, on a thread that may wait  <--'
//!                |
//!   access again, with what was loaded pinned
//! ```
//!
//! A reader keeps every block that it gave out until it is dropped, so a place in one of them stays
//! good. An access that may not wait learns which blocks it lacks, before it has changed anything;
//! when it runs again with those loaded it gets further, whatever the cache has dropped meanwhile.

use std::cell::{Cell, RefCell};
use std::sync::Arc;

use foldhash::fast::RandomState;
use indexmap::IndexMap;

use super::Data;
use super::block::Block;
use super::cache::{BlockKey, Cached};
use super::extent::Extent;
use super::index::Index;
use crate::error::DataError;
use crate::record::Fields;

/// What to do about a block that is not in memory.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) enum Patience {
    /// Say so.
    Halt,
    /// Read it, waiting for the disk.
    Wait,
}

/// Why settled entries could not be read.
#[derive(Debug)]
pub enum Missing {
    /// They are not in memory. Load them, with no lock of the store held, and try again.
    Cold(Cold),
    /// They cannot be read.
    Unreadable(DataError),
}

impl Missing {
    /// What is wrong, when a patient reader lacks something.
    ///
    /// # Panics
    ///
    /// When it is only not in memory.
    pub(crate) fn waited(self) -> DataError {
        match self {
            Self::Unreadable(fault) => fault,
            Self::Cold(cold) => panic!("{} bytes were to be waited for", cold.bytes()),
        }
    }
}

impl std::fmt::Display for Missing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Cold(cold) => write!(f, "{} bytes are not in memory", cold.bytes()),
            Self::Unreadable(fault) => fault.fmt(f),
        }
    }
}

impl std::error::Error for Missing {}

impl From<DataError> for Missing {
    fn from(fault: DataError) -> Self {
        Self::Unreadable(fault)
    }
}

/// Blocks that are to be read from disk. Their files stay while it lives.
#[derive(Clone, Debug, Default)]
pub struct Cold(Vec<ColdBlock>);

/// One block to read.
#[derive(Clone, Debug)]
pub(super) struct ColdBlock {
    pub(super) extent: Arc<Extent>,
    pub(super) part: Part,
}

/// Which block of an extent.
#[derive(Clone, Debug)]
pub(super) enum Part {
    Entries { index: Index, block: usize },
    Index,
}

impl ColdBlock {
    pub(super) fn key(&self) -> BlockKey {
        let row = &self.extent.row;
        BlockKey {
            file: self.extent.file.number(),
            pos: match &self.part {
                Part::Entries { index, block } => index.rows()[*block].pos,
                Part::Index => row.index_pos(),
            },
        }
    }

    pub(super) fn len(&self) -> u32 {
        match &self.part {
            Part::Entries { index, block } => index.rows()[*block].bytes,
            Part::Index => self.extent.row.index_bytes,
        }
    }

    /// Where it ends.
    pub(super) fn end(&self) -> BlockKey {
        let BlockKey { file, pos } = self.key();
        BlockKey {
            file,
            pos: pos + u64::from(self.len()),
        }
    }

    /// The block of entries before it in its extent.
    pub(super) fn before(&self) -> Option<BlockKey> {
        match &self.part {
            Part::Entries { index, block } => Some(BlockKey {
                file: self.extent.file.number(),
                pos: index.rows()[block.checked_sub(1)?].pos,
            }),
            Part::Index => None,
        }
    }

    /// The block of entries after it in its extent.
    pub(super) fn after(&self) -> Option<Self> {
        match &self.part {
            Part::Entries { index, block } if block + 1 < index.rows().len() => Some(Self {
                extent: self.extent.clone(),
                part: Part::Entries {
                    index: index.clone(),
                    block: block + 1,
                },
            }),
            _ => None,
        }
    }

    /// The first block of entries in its extent that begins at a position or behind it.
    pub(super) fn first_from(&self, pos: u64) -> Option<Self> {
        let Part::Entries { index, .. } = &self.part else {
            return None;
        };
        let block = index.rows().partition_point(|row| row.pos < pos);
        (block < index.rows().len()).then(|| Self {
            extent: self.extent.clone(),
            part: Part::Entries {
                index: index.clone(),
                block,
            },
        })
    }
}

impl Cold {
    /// How many bytes are to be read.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.0.iter().map(|block| u64::from(block.len())).sum()
    }

    /// Whether there is nothing to read.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds the blocks of another.
    pub fn merge(&mut self, other: Self) {
        self.0.extend(other.0);
        self.0.sort_by_key(ColdBlock::key);
        self.0.dedup_by_key(|block| block.key());
    }

    fn one(block: ColdBlock) -> Self {
        Self(vec![block])
    }

    /// In the order in which they lie on disk, each once.
    pub(super) fn blocks(&self) -> &[ColdBlock] {
        &self.0
    }
}

/// Blocks that were read for an access that lacked them.
#[derive(Clone, Default)]
pub struct Loaded(Vec<(BlockKey, Cached)>);

impl Loaded {
    /// Bytes of memory that they take.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.0.iter().map(|(_, block)| block.memory()).sum()
    }

    /// Adds what was loaded later. An access that halts again needs everything that was loaded for
    /// it before, too.
    pub fn merge(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    pub(super) fn push(&mut self, key: BlockKey, block: Cached) {
        self.0.push((key, block));
    }
}

impl std::fmt::Debug for Loaded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let keys = self.0.iter().map(|(key, _)| key);
        f.debug_list().entries(keys).finish()
    }
}

/// A block that the reader keeps.
#[derive(Clone)]
pub(crate) struct Pinned {
    /// The block.
    pub(crate) block: Arc<Block>,
    /// Its number in the reader, for [`Reader::fields`]. Below 2^22.
    pub(crate) pin: u32,
}

/// Reads settled entries for one access.
pub(crate) struct Reader<'d> {
    data: &'d Data,
    patience: Cell<Patience>,
    /// In the order in which they were pinned: the position is the number of the pin.
    pins: RefCell<IndexMap<BlockKey, Cached, RandomState>>,
}

impl<'d> Reader<'d> {
    pub(crate) fn new(data: &'d Data, patience: Patience) -> Self {
        Self {
            data,
            patience: Cell::new(patience),
            pins: RefCell::default(),
        }
    }

    /// What is done from now on about a block that is not in memory.
    pub(crate) fn set_patience(&self, patience: Patience) {
        self.patience.set(patience);
    }

    /// Keeps blocks that were loaded.
    pub(crate) fn pin(&self, loaded: Loaded) {
        self.pins.borrow_mut().extend(loaded.0);
    }

    /// The blocks of an extent.
    ///
    /// # Errors
    ///
    /// When the index must be read and cannot, or may not at once.
    pub(crate) fn index(&self, extent: &Arc<Extent>) -> Result<Index, Missing> {
        if extent.row.index_bytes == 0 {
            return Ok(Index::of_one(&extent.row));
        }
        let wanted = ColdBlock {
            extent: extent.clone(),
            part: Part::Index,
        };
        match self.get(wanted, None)? {
            (Cached::Index(index), _) => Ok(index),
            (Cached::Entries(_), _) => unreachable!("a position holds one kind of block"),
        }
    }

    /// One block of an extent.
    ///
    /// # Errors
    ///
    /// When it must be read and cannot, or may not at once.
    ///
    /// # Panics
    ///
    /// When the index has no such block.
    pub(crate) fn block(
        &self,
        extent: &Arc<Extent>,
        index: &Index,
        block: usize,
    ) -> Result<Pinned, Missing> {
        self.block_before(extent, index, block, None)
    }

    /// The same, for somebody who goes on to another extent then, which is read ahead, too.
    pub(crate) fn block_before(
        &self,
        extent: &Arc<Extent>,
        index: &Index,
        block: usize,
        then: Option<&Arc<Extent>>,
    ) -> Result<Pinned, Missing> {
        let wanted = ColdBlock {
            extent: extent.clone(),
            part: Part::Entries {
                index: index.clone(),
                block,
            },
        };
        match self.get(wanted, then)? {
            (Cached::Entries(block), pin) => Ok(Pinned { block, pin }),
            (Cached::Index(_), _) => unreachable!("a position holds one kind of block"),
        }
    }

    /// Calls `f` with the fields of an entry: the one that the pinned block has at `offset`.
    ///
    /// # Panics
    ///
    /// When this reader did not pin it.
    pub(crate) fn fields<R>(&self, pin: u32, offset: u32, f: impl FnOnce(Fields<'_>) -> R) -> R {
        let block = match self.pins.borrow().get_index(pin as usize) {
            Some((_, Cached::Entries(block))) => block.clone(),
            _ => unreachable!("a place is read by the reader that pinned its block"),
        };
        f(block.fields(offset))
    }

    fn get(&self, wanted: ColdBlock, then: Option<&Arc<Extent>>) -> Result<(Cached, u32), Missing> {
        let key = wanted.key();
        if let Some((at, _, found)) = self.pins.borrow().get_full(&key) {
            return Ok((found.clone(), pin_number(at)));
        }
        let found = match (self.data.cache.get(key), self.patience.get()) {
            (Some(found), _) => {
                let areas = found.take_mark();
                if areas > 0 {
                    self.data.ahead.ask(wanted, areas, then.cloned());
                }
                found
            }
            (None, Patience::Halt) => return Err(Missing::Cold(Cold::one(wanted))),
            (None, Patience::Wait) => {
                let loaded = self.data.load(&Cold::one(wanted))?;
                let mut blocks = loaded.0.into_iter();
                let (_, block) = blocks.next().expect("what is asked for is loaded");
                block
            }
        };
        let (at, _) = self.pins.borrow_mut().insert_full(key, found.clone());
        Ok((found, pin_number(at)))
    }
}

fn pin_number(at: usize) -> u32 {
    let pin = u32::try_from(at).ok().filter(|&pin| pin < 1 << 22);
    pin.expect("memory ends before the numbers of pins")
}
