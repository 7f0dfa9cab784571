//! One immutable file of settled entries.
//!
//! ```text
//!  0        24                                    table          table + rows    len
//!  +--------+----------+----------+-----+--------+--------------+---------------+
//!  | header | extent   | extent   | ... | extent | rows         | tail          |
//!  +--------+----------+----------+-----+--------+--------------+---------------+
//!
//!  header   0           8     12        16       24
//!           +-----------+-----+---------+--------+
//!           | HEADWDAT  | crc | version | number |     crc: of what follows it
//!           |           | u32 | u32     | u64    |
//!           +-----------+-----+---------+--------+
//!
//!  rows     one for each extent (see [`ExtentRow::encode`]), in the order of the extents
//!
//!  tail     0       8        16        24    28        36
//!           +-------+--------+---------+-----+----------+
//!           | table | number | extents | crc | HEADWEND |    crc: of the rows and of the tail
//!           | u64   | u64    | u64     | u32 |          |    up to it
//!           +-------+--------+---------+-----+----------+
//! ```
//!
//! Extents tile the space between header and table, blocks tile their extent, and every block has a
//! checksum, so no byte of the file can change unnoticed, and the file can be checked knowing
//! nothing but its name. A file is written under the name `<number>.tmp` and becomes
//! `<number>.data` when it is whole and durable; it never changes after that.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use super::extent::ExtentRow;
use crate::disk::{Disk, File, UNFINISHED, unfinished};
use crate::error::{DataError, DiskError, Flaw, Malformed};

/// Bytes of the header.
pub(super) const HEADER: usize = 24;

/// Bytes of the tail.
pub(super) const TAIL: usize = 36;

const MAGIC: &[u8; 8] = b"HEADWDAT";
const MAGIC_END: &[u8; 8] = b"HEADWEND";
const VERSION: u32 = 1;

/// A data file that belongs to the store.
#[derive(Debug)]
pub(crate) struct DataFile {
    number: u64,
    path: PathBuf,
    len: u64,
    live: AtomicU64,
    scanned: AtomicU64,
}

impl DataFile {
    /// The file of this number in `dir`, which is said to have `len` bytes.
    pub(crate) fn new(dir: &Path, number: u64, len: u64) -> Self {
        Self {
            number,
            path: path(dir, number),
            len,
            live: AtomicU64::new(0),
            scanned: AtomicU64::new(0),
        }
    }

    /// Its number, which no other file ever has.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// Its length in bytes.
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// How many of its bytes belong to extents that somebody refers to.
    pub(crate) fn live(&self) -> u64 {
        self.live.load(Ordering::Relaxed)
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn add_live(&self, bytes: u64) {
        self.live.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(super) fn take_live(&self, bytes: u64) {
        self.live.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Notes that so many bytes were read past the kernel's cache by somebody who reads on.
    pub(super) fn add_scanned(&self, bytes: u64) {
        self.scanned.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Whether most of it was.
    pub(super) fn was_scanned(&self) -> bool {
        self.scanned.load(Ordering::Relaxed) > self.len / 2
    }

    /// What is wrong at `pos`.
    pub(super) fn corrupt(&self, pos: u64, flaw: Flaw) -> DataError {
        DataError::Corrupt {
            file: self.path.clone(),
            pos,
            flaw,
        }
    }

    /// Makes sure that it is there, of this number and of this length.
    pub(crate) fn check(&self, disk: &dyn Disk) -> Result<(), DataError> {
        let opened = disk.open_to_read(&self.path)?;
        let len = opened.len()?;
        if len != self.len {
            let made = self.len;
            return Err(self.corrupt(0, Flaw::Length { len, made }));
        }
        read_header(&*opened, len, self.number).map_err(|fault| fault.of(&self.path))
    }
}

/// What is wrong with a part of a file that has not been named yet.
#[derive(Debug)]
pub(super) enum Fault {
    Disk(DiskError),
    Flawed { pos: u64, flaw: Flaw },
}

impl Fault {
    pub(super) fn of(self, path: &Path) -> DataError {
        match self {
            Self::Disk(fault) => DataError::Disk(fault),
            Self::Flawed { pos, flaw } => DataError::Corrupt {
                file: path.to_owned(),
                pos,
                flaw,
            },
        }
    }
}

impl From<DiskError> for Fault {
    fn from(fault: DiskError) -> Self {
        Self::Disk(fault)
    }
}

/// The name of a whole file.
pub(super) fn path(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("{number:020}.data"))
}

/// What a name in the directory stands for.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Name {
    /// A file that is whole.
    Whole(u64),
    /// One that was never finished.
    Unfinished(u64),
}

impl Name {
    /// The number of the file.
    pub(crate) fn number(self) -> u64 {
        let (Self::Whole(number) | Self::Unfinished(number)) = self;
        number
    }

    /// The name in `dir`.
    pub(crate) fn path(self, dir: &Path) -> PathBuf {
        match self {
            Self::Whole(number) => path(dir, number),
            Self::Unfinished(number) => unfinished(&path(dir, number)),
        }
    }

    /// `None` when the name is none of ours.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        let (digits, suffix) = name.split_once('.')?;
        let plain = digits.len() == 20 && digits.bytes().all(|digit| digit.is_ascii_digit());
        // There is always a next number.
        let number = digits
            .parse()
            .ok()
            .filter(|&number| plain && number < u64::MAX)?;
        match suffix {
            "data" => Some(Self::Whole(number)),
            UNFINISHED => Some(Self::Unfinished(number)),
            _ => None,
        }
    }
}

/// The header of the file of this number.
pub(super) fn header(number: u64) -> [u8; HEADER] {
    let mut header = [0; HEADER];
    header[..8].copy_from_slice(MAGIC);
    header[12..16].copy_from_slice(&VERSION.to_le_bytes());
    header[16..24].copy_from_slice(&number.to_le_bytes());
    let crc = crc32fast::hash(&header[12..]);
    header[8..12].copy_from_slice(&crc.to_le_bytes());
    header
}

const NO_DATA_FILE: Malformed = Malformed {
    what: "no data file",
};
const NO_END: Malformed = Malformed {
    what: "a file without its end",
};
const UNTILED: Malformed = Malformed {
    what: "extents with a gap or an overlap",
};

/// Checks the header of a file of `len` bytes.
#[warn(clippy::indexing_slicing)]
pub(super) fn read_header(file: &dyn File, len: u64, number: u64) -> Result<(), Fault> {
    const CUT_OFF: Flaw = Flaw::Malformed(NO_DATA_FILE);
    let check = |bytes: &[u8]| {
        let (magic, rest) = bytes.split_first_chunk::<8>().ok_or(CUT_OFF)?;
        let (crc, covered) = rest.split_first_chunk::<4>().ok_or(CUT_OFF)?;
        if magic != MAGIC {
            return Err(CUT_OFF);
        }
        if crc32fast::hash(covered) != u32::from_le_bytes(*crc) {
            return Err(Flaw::Checksum);
        }
        let (version, covered) = covered.split_first_chunk::<4>().ok_or(CUT_OFF)?;
        let (found, _) = covered.split_first_chunk::<8>().ok_or(CUT_OFF)?;
        match (u32::from_le_bytes(*version), u64::from_le_bytes(*found)) {
            (VERSION, found) if found == number => Ok(()),
            (VERSION, number) => Err(Flaw::Renamed { number }),
            (unknown, _) => Err(Flaw::UnknownVersion(unknown)),
        }
    };
    let mut bytes = vec![0; to_usize(len.min(HEADER as u64))];
    file.read_at(0, &mut bytes)?;
    check(&bytes).map_err(|flaw| Fault::Flawed { pos: 0, flaw })
}

/// Appends table and tail of a file whose extents end where the table begins.
pub(super) fn put_footer(out: &mut Vec<u8>, number: u64, table: u64, rows: &[ExtentRow]) {
    let start = out.len();
    for row in rows {
        row.encode(out);
    }
    out.extend_from_slice(&table.to_le_bytes());
    out.extend_from_slice(&number.to_le_bytes());
    out.extend_from_slice(&(rows.len() as u64).to_le_bytes());
    let crc = crc32fast::hash(&out[start..]);
    out.extend_from_slice(&crc.to_le_bytes());
    out.extend_from_slice(MAGIC_END);
}

/// Reads table and tail of a file of `len` bytes.
pub(super) fn read_footer(file: &dyn File, len: u64, number: u64) -> Result<Vec<ExtentRow>, Fault> {
    let at = |pos, flaw| Fault::Flawed { pos, flaw };
    let tail = len
        .checked_sub(TAIL as u64)
        .filter(|&tail| tail >= HEADER as u64);
    let tail = tail.ok_or(at(len, Flaw::Malformed(NO_END)))?;
    let mut bytes = [0; TAIL];
    file.read_at(tail, &mut bytes)?;
    let table = u64::from_le_bytes(*bytes.first_chunk().expect("a tail begins with the table"));
    if !bytes.ends_with(MAGIC_END) || !(HEADER as u64..=tail).contains(&table) {
        return Err(at(tail, Flaw::Malformed(NO_END)));
    }
    let mut bytes = vec![0; to_usize(len - table)];
    file.read_at(table, &mut bytes)?;
    decode_footer(&bytes, table, number).map_err(|flaw| at(table, flaw))
}

#[warn(clippy::indexing_slicing)]
fn decode_footer(bytes: &[u8], table: u64, number: u64) -> Result<Vec<ExtentRow>, Flaw> {
    const CUT_OFF: Flaw = Flaw::Malformed(NO_END);
    let (rest, _magic) = bytes.split_last_chunk::<8>().ok_or(CUT_OFF)?;
    let (covered, crc) = rest.split_last_chunk::<4>().ok_or(CUT_OFF)?;
    if crc32fast::hash(covered) != u32::from_le_bytes(*crc) {
        return Err(Flaw::Checksum);
    }
    let (rest, count) = covered.split_last_chunk::<8>().ok_or(CUT_OFF)?;
    let (rest, found) = rest.split_last_chunk::<8>().ok_or(CUT_OFF)?;
    let (mut input, _table) = rest.split_last_chunk::<8>().ok_or(CUT_OFF)?;
    let found = u64::from_le_bytes(*found);
    if found != number {
        return Err(Flaw::Renamed { number: found });
    }
    let mut rows = Vec::new();
    let mut pos = HEADER as u64;
    for _ in 0..u64::from_le_bytes(*count) {
        let row = ExtentRow::decode(&mut input).map_err(Flaw::Malformed)?;
        if row.pos != pos {
            return Err(Flaw::Malformed(UNTILED));
        }
        pos = row.end_pos();
        rows.push(row);
    }
    if pos != table || !input.is_empty() {
        return Err(Flaw::Malformed(UNTILED));
    }
    Ok(rows)
}

/// A length within a file, for memory.
pub(super) fn to_usize(bytes: u64) -> usize {
    usize::try_from(bytes).expect("a part of a file fits into memory")
}
