//! The chunks of a pending list, in order, so that a snapshot of millions of entries costs little.
//!
//! ```text
//!  runs    [ low | . ]         [ low | . ]         [ low | . ]
//!                  |                   |                   |
//!  chunks          [c c c c c c]       [c c c c c c c c]   [c c]      up to 64 in a run
//! ```
//!
//! A snapshot counts one reference for each run, that is for about 8,000 entries. The first change
//! of a run after that copies its chunks, which share the packed entries in turn.
//!
//! # Invariants
//!
//! * No run is empty or longer than [`RUN_MAX`], and no chunk is empty.
//! * The IDs of a chunk are at least its `low`, and below the `low` of the next.
//! * The `low` of a run is that of its first chunk.

use std::collections::VecDeque;
use std::sync::Arc;

use super::chunk::Chunk;
use super::packed::ROWS_MAX;
use super::{ConsumerNo, PendingEntry};
use crate::id::StreamId;

/// Chunks of a run: few, because a change after a snapshot copies them; many, because a snapshot
/// has to touch every run.
const RUN_MAX: usize = 64;

/// Two chunks with so few entries together are joined.
const SMALL: usize = ROWS_MAX / 2;

#[derive(Clone, Debug)]
struct Run {
    low: StreamId,
    chunks: Arc<Vec<Chunk>>,
}

impl Run {
    fn new(chunks: Vec<Chunk>) -> Self {
        Self {
            low: chunks[0].low(),
            chunks: Arc::new(chunks),
        }
    }
}

/// Where a chunk is. The default is the first.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub(super) struct At {
    run: usize,
    chunk: usize,
}

/// Chunks in the order of their IDs.
#[derive(Clone, Debug, Default)]
pub(super) struct Chunks {
    runs: VecDeque<Run>,
}

impl Chunks {
    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.runs.iter().map(|run| run.chunks.len()).sum()
    }

    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// The first one.
    pub(super) fn first(&self) -> Option<&Chunk> {
        self.runs.front().and_then(|run| run.chunks.first())
    }

    /// The last one.
    pub(super) fn last(&self) -> Option<&Chunk> {
        self.runs.back().and_then(|run| run.chunks.last())
    }

    /// The only chunk that can hold `id`.
    pub(super) fn find(&self, id: StreamId) -> Option<At> {
        let run = match self.runs.get(1) {
            // Acknowledgements in order work in the first chunk.
            Some(second) if second.low <= id => self.runs.partition_point(|run| run.low <= id) - 1,
            _ => 0,
        };
        let chunks = &self.runs.get(run)?.chunks;
        let chunk = match chunks.get(1) {
            Some(second) if second.low() <= id => {
                chunks.partition_point(|chunk| chunk.low() <= id) - 1
            }
            _ => 0,
        };
        (chunks[chunk].low() <= id).then_some(At { run, chunk })
    }

    /// One of them.
    pub(super) fn get(&self, at: At) -> &Chunk {
        &self.runs[at.run].chunks[at.chunk]
    }

    /// One of them, to take entries away from; [`tidy`](Self::tidy) must follow.
    pub(super) fn get_mut(&mut self, at: At) -> &mut Chunk {
        &mut Arc::make_mut(&mut self.runs[at.run].chunks)[at.chunk]
    }

    /// What the IDs of a chunk are below; `None` for the last.
    pub(super) fn end(&self, at: At) -> Option<StreamId> {
        let next = self.runs[at.run].chunks.get(at.chunk + 1);
        next.map(Chunk::low)
            .or_else(|| self.runs.get(at.run + 1).map(|run| run.low))
    }

    /// All of them.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Chunk> {
        self.runs.iter().flat_map(|run| run.chunks.iter())
    }

    /// Those that can hold `id` or greater ones.
    pub(super) fn iter_from(&self, id: StreamId) -> impl Iterator<Item = &Chunk> {
        let at = self.find(id).unwrap_or_default();
        let runs = self.runs.range(at.run.min(self.runs.len())..);
        runs.enumerate().flat_map(move |(index, run)| {
            let first = if index == 0 { at.chunk } else { 0 };
            run.chunks[first..].iter()
        })
    }

    /// Adds one at the end.
    pub(super) fn push(&mut self, chunk: Chunk) {
        match self.runs.back_mut() {
            Some(run) if run.chunks.len() < RUN_MAX => Arc::make_mut(&mut run.chunks).push(chunk),
            _ => self.runs.push_back(Run::new(vec![chunk])),
        }
    }

    /// Puts others in place of a chunk, which hold `entries`: at least one.
    pub(super) fn replace(&mut self, at: At, entries: &[PendingEntry]) {
        let parts = entries.len().div_ceil(ROWS_MAX);
        let parts = entries
            .chunks(entries.len().div_ceil(parts))
            .map(Chunk::pack);
        let run = &mut self.runs[at.run];
        let chunks = Arc::make_mut(&mut run.chunks);
        chunks.splice(at.chunk..=at.chunk, parts);
        run.low = chunks[0].low();
        let mut index = at.run;
        while self.runs[index].chunks.len() > RUN_MAX {
            let upper = Arc::make_mut(&mut self.runs[index].chunks).split_off(RUN_MAX / 2);
            index += 1;
            self.runs.insert(index, Run::new(upper));
        }
    }

    /// Drops a chunk that became empty, and joins one that became small with a neighbour: random
    /// removals must not leave a chunk for every entry that stays.
    pub(super) fn tidy(&mut self, at: At) {
        let run = &mut self.runs[at.run];
        let len = run.chunks[at.chunk].len();
        if len > SMALL {
            return;
        }
        if len == 0 {
            if run.chunks.len() == 1 {
                self.runs.remove(at.run);
            } else {
                let chunks = Arc::make_mut(&mut run.chunks);
                chunks.remove(at.chunk);
                run.low = chunks[0].low();
            }
            self.join_runs(at.run);
            if let Some(before) = at.run.checked_sub(1) {
                self.join_runs(before);
            }
            return;
        }
        join(&mut run.chunks, at.chunk);
        // The first chunk is being drained in order and will soon be empty; it is left alone.
        let second = At { run: 0, chunk: 1 };
        if at > second && at.chunk > 0 {
            join(&mut run.chunks, at.chunk - 1);
        }
        run.low = run.chunks[0].low();
    }

    /// Takes every entry of a consumer away, and says how many they were.
    pub(super) fn remove_consumer(&mut self, consumer: ConsumerNo) -> u64 {
        let may_have = |chunk: &Chunk| chunk.consumers() & consumer.bit() != 0;
        let mut removed = 0;
        for run in &mut self.runs {
            if !run.chunks.iter().any(may_have) {
                continue;
            }
            let chunks = Arc::make_mut(&mut run.chunks);
            for chunk in chunks.iter_mut().filter(|chunk| may_have(chunk)) {
                removed += chunk.remove_consumer(consumer);
            }
            chunks.retain(|chunk| !chunk.is_empty());
            for index in (0..chunks.len()).rev() {
                join(&mut run.chunks, index);
            }
            run.low = run.chunks.first().map_or(run.low, Chunk::low);
        }
        self.runs.retain(|run| !run.chunks.is_empty());
        for index in (0..self.runs.len()).rev() {
            self.join_runs(index);
        }
        removed
    }

    /// Joins a run with the next if both are short.
    fn join_runs(&mut self, index: usize) {
        let length = |index: usize| self.runs.get(index).map(|run| run.chunks.len());
        if let (Some(own), Some(next)) = (length(index), length(index + 1))
            && own + next <= RUN_MAX / 2
        {
            let next = self.runs.remove(index + 1);
            let next = next.expect("it has just been measured").chunks;
            Arc::make_mut(&mut self.runs[index].chunks).extend(Arc::unwrap_or_clone(next));
        }
    }
}

/// Joins a chunk with the next of its run if both are small.
fn join(chunks: &mut Arc<Vec<Chunk>>, index: usize) {
    let length = |index: usize| chunks.get(index).map(Chunk::len);
    if let (Some(own), Some(next)) = (length(index), length(index + 1))
        && own + next <= SMALL
    {
        let both = chunks[index..index + 2].iter().flat_map(Chunk::entries);
        let joined = Chunk::pack(&both.collect::<Vec<_>>());
        Arc::make_mut(chunks).splice(index..index + 2, [joined]);
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// The invariants of this module, and those of the chunks.
    pub(in super::super) fn check(chunks: &Chunks) {
        for run in &chunks.runs {
            assert!((1..=RUN_MAX).contains(&run.chunks.len()));
            assert_eq!(run.low, run.chunks[0].low());
        }
        let all: Vec<&Chunk> = chunks.iter().collect();
        for (index, chunk) in all.iter().enumerate() {
            let entries: Vec<PendingEntry> = chunk.entries().collect();
            assert!((1..=ROWS_MAX).contains(&entries.len()));
            assert!(chunk.low() <= entries[0].id);
            let consumers = |entry: &PendingEntry| chunk.consumers() & entry.consumer.bit() != 0;
            assert!(entries.iter().all(consumers));
            assert!(
                entries
                    .iter()
                    .all(|entry| chunk.oldest() <= entry.delivered_at)
            );
            if let Some(next) = all.get(index + 1) {
                assert!(entries[entries.len() - 1].id < next.low());
            }
        }
    }
}
