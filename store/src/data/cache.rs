//! Blocks that were read not long ago.
//!
//! A budget of bytes, counted as memory, not as file bytes. Blocks that were used again are kept
//! rather than those that one scan brought by, so one reader of a long backlog does not push out
//! what many others follow.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use foldhash::fast::RandomState;
use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{OptionsBuilder, Weighter};

use super::block::{BLOCK_BYTES, Block};
use super::index::Index;

/// Names a block.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(super) struct BlockKey {
    pub(super) file: u64,
    pub(super) pos: u64,
}

/// A block in memory.
#[derive(Clone)]
pub(super) enum Cached {
    Entries(Arc<Block>),
    Index(Index),
}

impl Cached {
    /// Bytes of memory that it takes.
    pub(super) fn memory(&self) -> u64 {
        match self {
            Self::Entries(block) => block.memory(),
            Self::Index(index) => index.memory(),
        }
    }

    /// Notes that so many areas behind it are to be read once this is used.
    pub(super) fn mark(&self, areas: u8) {
        if let Self::Entries(block) = self {
            block.mark(areas);
        }
    }

    /// How many areas behind it are to be read now; none when it is used again.
    pub(super) fn take_mark(&self) -> u8 {
        match self {
            Self::Entries(block) => block.take_mark(),
            Self::Index(_) => 0,
        }
    }
}

#[derive(Clone)]
struct Memory;

impl Weighter<BlockKey, Cached> for Memory {
    fn weight(&self, _: &BlockKey, cached: &Cached) -> u64 {
        // The entry itself, its place in a hash table and in two lists.
        const SLOT: usize = size_of::<(BlockKey, Cached)>() + 64;
        SLOT as u64 + cached.memory()
    }
}

pub(super) struct BlockCache {
    blocks: Cache<BlockKey, Cached, Memory, RandomState>,
    hits: AtomicU64,
    misses: AtomicU64,
}

impl BlockCache {
    /// Of what is kept, the share that only what was used again can take.
    const PROVEN: f64 = 0.75;

    pub(super) fn new(bytes: u64) -> Self {
        let blocks = usize::try_from(bytes).map_or(usize::MAX, |bytes| bytes / BLOCK_BYTES);
        let options = OptionsBuilder::new()
            .shards(16)
            .estimated_items_capacity(blocks)
            .weight_capacity(bytes)
            .hot_allocation(Self::PROVEN)
            .build()
            .expect("both capacities are given");
        let hashes = RandomState::default();
        Self {
            blocks: Cache::with_options(options, Memory, hashes, DefaultLifecycle::default()),
            hits: AtomicU64::new(0),
            misses: AtomicU64::new(0),
        }
    }

    pub(super) fn get(&self, key: BlockKey) -> Option<Cached> {
        let found = self.blocks.get(&key);
        let counter = if found.is_some() {
            &self.hits
        } else {
            &self.misses
        };
        counter.fetch_add(1, Ordering::Relaxed);
        found
    }

    /// What [`get`](Self::get) would find, without counting as use.
    pub(super) fn peek(&self, key: BlockKey) -> Option<Cached> {
        self.blocks.peek(&key)
    }

    pub(super) fn insert(&self, key: BlockKey, block: Cached) {
        self.blocks.insert(key, block);
    }

    /// Drops the blocks of files that are gone.
    pub(super) fn forget(&self, gone: impl Fn(u64) -> bool) {
        self.blocks.retain(|key, _| !gone(key.file));
    }

    pub(super) fn set_budget(&self, bytes: u64) {
        self.blocks.set_capacity(bytes);
    }

    pub(super) fn budget(&self) -> u64 {
        self.blocks.capacity()
    }

    pub(super) fn memory(&self) -> u64 {
        self.blocks.weight()
    }

    pub(super) fn hits(&self) -> u64 {
        self.hits.load(Ordering::Relaxed)
    }

    pub(super) fn misses(&self) -> u64 {
        self.misses.load(Ordering::Relaxed)
    }
}
