//! Pending entries in as few bits as they need.
//!
//! ```text
//!  row     | ms | seq | consumer | delivered_at | deliveries |   each without its common high bits
//!
//!  words   row 0, row 1, row 2, ...      back to back, beginning in the lowest bit of word 0
//! ```
//!
//! The high bits that a kind of number has in common in all rows are kept once; so equal numbers
//! take no bits at all. Neighbouring IDs, given to few consumers within a short time, take two or
//! three bytes each; and whatever the numbers are, there is a width that holds them.
//!
//! # Image
//!
//! ```text
//!  rows - 1                   1 byte
//!  five times: common, bits   an integer, 1 byte: a number is common * 2^bits + what its row says
//!  words                      8 bytes each, the lowest first
//! ```
//!
//! # Invariants
//!
//! * There are 1 to [`ROWS_MAX`] rows, and their IDs ascend.
//! * Nothing changes, ever: rows are shared between a list and its snapshots.

use std::hint::select_unpredictable;

use super::{ConsumerNo, PendingEntry};
use crate::codec::{byte, integer, put_integer, take};
use crate::error::Malformed;
use crate::id::StreamId;

/// Rows of a chunk: one bit of a `u128` for each.
pub(super) const ROWS_MAX: usize = 128;

const TOO_MANY: Malformed = Malformed {
    what: "more pending entries than fit into a chunk",
};
const TOO_WIDE: Malformed = Malformed {
    what: "a pending entry with a number that is too large",
};
pub(super) const UNSORTED: Malformed = Malformed {
    what: "pending entries that are not in the order of their IDs",
};

const WORD: u32 = u64::BITS;

// The kinds of numbers, in the order of a row.
const MS: usize = 0;
const SEQ: usize = 1;
const CONSUMER: usize = 2;
const DELIVERED_AT: usize = 3;
const DELIVERIES: usize = 4;
const KINDS: usize = 5;

fn numbers(entry: &PendingEntry) -> [u64; KINDS] {
    let mut numbers = [0; KINDS];
    numbers[MS] = entry.id.ms;
    numbers[SEQ] = entry.id.seq;
    numbers[CONSUMER] = entry.consumer.0.into();
    numbers[DELIVERED_AT] = entry.delivered_at;
    numbers[DELIVERIES] = entry.deliveries;
    numbers
}

/// How a kind of number is written.
#[derive(Copy, Clone, Debug, Default)]
struct Kind {
    /// The bits that all rows have in common, from the highest on.
    common: u64,
    /// The others, which are written.
    mask: u64,
    /// Where they begin within a row.
    at: u32,
}

impl Kind {
    fn bits(self) -> u32 {
        self.mask.count_ones()
    }
}

/// Up to [`ROWS_MAX`] entries, to be read only.
#[derive(Debug)]
pub(super) struct Packed {
    kinds: [Kind; KINDS],
    row_bits: u32,
    rows: u32,
    /// One word more than the end of the last row is in, so that every window is inside.
    words: Box<[u64]>,
}

impl Packed {
    /// Packs entries that the invariants allow.
    pub(super) fn pack(entries: &[PendingEntry]) -> Self {
        assert!((1..=ROWS_MAX).contains(&entries.len()), "a chunk fits");
        let first = numbers(&entries[0]);
        let mut differ = [0; KINDS];
        for entry in entries {
            let numbers = numbers(entry);
            for kind in 0..KINDS {
                differ[kind] |= numbers[kind] ^ first[kind];
            }
        }
        let mut kinds = [Kind::default(); KINDS];
        for (kind, (first, differ)) in kinds.iter_mut().zip(first.into_iter().zip(differ)) {
            kind.mask = ones(WORD - differ.leading_zeros());
            kind.common = first & !kind.mask;
        }
        let mut packed = Self::blank(entries.len(), kinds);
        let kinds = packed.kinds;
        let mut words = Words::new(&mut packed.words);
        for entry in entries {
            let written = numbers(entry).into_iter().zip(kinds);
            let written = written.map(|(number, kind)| (number & kind.mask, kind));
            if packed.row_bits < WORD {
                let row = written.fold(0, |row, (bits, kind)| row | bits << kind.at);
                words.push(row, packed.row_bits);
            } else {
                written.for_each(|(bits, kind)| words.push(bits, kind.bits()));
            }
        }
        words.finish();
        packed
    }

    /// Rows in which nothing is written yet.
    fn blank(rows: usize, mut kinds: [Kind; KINDS]) -> Self {
        let mut row_bits = 0;
        for kind in &mut kinds {
            kind.at = row_bits;
            row_bits += kind.bits();
        }
        let rows = u32::try_from(rows).expect("a chunk has few rows");
        let words = (rows * row_bits / WORD) as usize + 2;
        Self {
            kinds,
            row_bits,
            rows,
            words: vec![0; words].into_boxed_slice(),
        }
    }

    /// How many words the rows are in.
    fn words_len(&self) -> usize {
        (self.rows * self.row_bits).div_ceil(WORD) as usize
    }

    /// How many rows there are.
    pub(super) fn len(&self) -> u32 {
        self.rows
    }

    /// A word that begins at a bit.
    #[inline]
    fn window(&self, bit: u32) -> u64 {
        let (word, shift) = ((bit / WORD) as usize, bit % WORD);
        self.words[word] >> shift | self.words[word + 1] << 1 << (WORD - 1 - shift)
    }

    /// The numbers in a row.
    #[inline]
    fn row(&self, row: u32) -> [u64; KINDS] {
        let first = row * self.row_bits;
        if self.row_bits < WORD {
            let row = self.window(first);
            self.kinds
                .map(|kind| kind.common | row >> kind.at & kind.mask)
        } else {
            self.kinds
                .map(|kind| kind.common | self.window(first + kind.at) & kind.mask)
        }
    }

    #[inline]
    fn number(&self, row: u32, kind: usize) -> u64 {
        let Kind { common, mask, at } = self.kinds[kind];
        common | self.window(row * self.row_bits + at) & mask
    }

    /// The ID and the consumer in a row.
    #[inline]
    pub(super) fn id_and_consumer(&self, row: u32) -> (StreamId, ConsumerNo) {
        let numbers = self.row(row);
        let id = StreamId::new(numbers[MS], numbers[SEQ]);
        (id, consumer(numbers[CONSUMER]))
    }

    /// The ID in a row.
    #[inline]
    pub(super) fn id(&self, row: u32) -> StreamId {
        StreamId::new(self.number(row, MS), self.number(row, SEQ))
    }

    /// The consumer in a row.
    #[inline]
    pub(super) fn consumer(&self, row: u32) -> ConsumerNo {
        consumer(self.number(row, CONSUMER))
    }

    /// The time in a row.
    pub(super) fn delivered_at(&self, row: u32) -> u64 {
        self.number(row, DELIVERED_AT)
    }

    /// All of a row.
    #[inline]
    pub(super) fn entry(&self, row: u32) -> PendingEntry {
        let numbers = self.row(row);
        PendingEntry {
            id: StreamId::new(numbers[MS], numbers[SEQ]),
            consumer: consumer(numbers[CONSUMER]),
            delivered_at: numbers[DELIVERED_AT],
            deliveries: numbers[DELIVERIES],
        }
    }

    /// All rows.
    pub(super) fn entries(&self) -> impl Iterator<Item = PendingEntry> + '_ {
        (0..self.rows).map(|row| self.entry(row))
    }

    /// The first row whose ID is not below `id`; the number of rows if there is none.
    pub(super) fn row_from(&self, id: StreamId) -> u32 {
        let (mut row, mut rows) = (0, self.rows);
        while rows > 0 {
            let half = rows.div_ceil(2);
            // Both ways are as likely: a branch would be guessed wrong half of the time.
            row = select_unpredictable(self.id(row + half - 1) < id, row + half, row);
            rows -= half;
        }
        row
    }

    /// Appends the image.
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        let rows = u8::try_from(self.rows - 1).expect("a chunk has few rows");
        out.push(rows);
        for kind in &self.kinds {
            put_integer(out, kind.common.checked_shr(kind.bits()).unwrap_or(0));
            out.push(u8::try_from(kind.bits()).expect("a number has at most 64 bits"));
        }
        for word in &self.words[..self.words_len()] {
            out.extend_from_slice(&word.to_le_bytes());
        }
    }

    /// Takes an image off the front of the input.
    ///
    /// # Errors
    ///
    /// When the bytes are no image, or the image of rows that cannot be.
    pub(super) fn decode(input: &mut &[u8]) -> Result<Self, Malformed> {
        let rows = usize::from(byte(input)?) + 1;
        if rows > ROWS_MAX {
            return Err(TOO_MANY);
        }
        let mut kinds = [Kind::default(); KINDS];
        for (index, kind) in kinds.iter_mut().enumerate() {
            let (common, bits) = (integer(input)?, u32::from(byte(input)?));
            let width = if index == CONSUMER { u32::BITS } else { WORD };
            if bits + (WORD - common.leading_zeros()) > width {
                return Err(TOO_WIDE);
            }
            kind.mask = ones(bits);
            kind.common = common.checked_shl(bits).unwrap_or(0);
        }
        let mut packed = Self::blank(rows, kinds);
        let count = packed.words_len();
        let (words, _) = take(input, 8 * count as u64)?.as_chunks();
        for (word, bytes) in packed.words.iter_mut().zip(words) {
            *word = u64::from_le_bytes(*bytes);
        }
        let ids = (0..packed.rows).map(|row| packed.id(row));
        if !ids.is_sorted_by(|id, next| id < next) {
            return Err(UNSORTED);
        }
        Ok(packed)
    }
}

/// Words that are filled bit by bit.
struct Words<'a> {
    words: &'a mut [u64],
    done: usize,
    word: u64,
    /// How many bits of `word` are in use: not all.
    filled: u32,
}

impl<'a> Words<'a> {
    fn new(words: &'a mut [u64]) -> Self {
        Self {
            words,
            done: 0,
            word: 0,
            filled: 0,
        }
    }

    /// Adds a number, which has at most so many bits.
    fn push(&mut self, number: u64, bits: u32) {
        self.word |= number << self.filled;
        self.filled += bits;
        if self.filled >= WORD {
            self.words[self.done] = self.word;
            self.done += 1;
            self.filled -= WORD;
            self.word = number.checked_shr(bits - self.filled).unwrap_or(0);
        }
    }

    fn finish(self) {
        self.words[self.done] = self.word;
    }
}

/// So many ones, from the lowest bit on.
fn ones(bits: u32) -> u64 {
    u64::MAX.checked_shr(WORD - bits).unwrap_or(0)
}

fn consumer(number: u64) -> ConsumerNo {
    ConsumerNo(u32::try_from(number).expect("what was packed was a consumer's number"))
}
