//! Checks a whole file, knowing only its name.
//!
//! Goes on behind damage as far as anything says where: by the table, else by what the index says,
//! else by the length that a block claims.

use std::path::Path;

use super::block::Block;
use super::envelope::{self, Address, Claim, Kind};
use super::extent::ExtentRow;
use super::file::{self, Fault, read_footer, read_header, to_usize};
use super::index::{Index, OTHER_ENTRIES};
use crate::disk::{Disk, File};
use crate::error::{DataError, Flaw, Malformed};

/// What a check of a file has found.
#[derive(Debug)]
pub(crate) struct Verdict {
    /// Its length; 0 if it cannot be opened.
    pub(crate) len: u64,
    /// The extents, as far as they are known.
    pub(crate) extents: Vec<ExtentRow>,
    /// What is wrong with it.
    pub(crate) findings: Vec<DataError>,
}

/// Reads all of a file in `dir` and checks it: every block and index, the table, the order of the
/// IDs and every count.
pub(crate) fn verify(disk: &dyn Disk, dir: &Path, number: u64) -> Verdict {
    let path = file::path(dir, number);
    let opened = disk.open_to_read(&path);
    let opened = opened.and_then(|file| Ok((file.len()?, file)));
    let (len, file) = match opened {
        Ok(opened) => opened,
        Err(fault) => {
            return Verdict {
                len: 0,
                extents: Vec::new(),
                findings: vec![fault.into()],
            };
        }
    };
    let mut check = Check {
        file: &*file,
        path: &path,
        number,
        len,
        findings: Vec::new(),
    };
    let extents = check.run();
    Verdict {
        len,
        extents,
        findings: check.findings,
    }
}

const NO_BLOCK: Malformed = Malformed {
    what: "bytes that are no block",
};

/// A check in progress.
struct Check<'f> {
    file: &'f dyn File,
    path: &'f Path,
    number: u64,
    len: u64,
    findings: Vec<DataError>,
}

impl Check<'_> {
    fn run(&mut self) -> Vec<ExtentRow> {
        if let Err(fault) = read_header(self.file, self.len, self.number) {
            self.found(fault);
        }
        match read_footer(self.file, self.len, self.number) {
            Ok(extents) => {
                for row in &extents {
                    self.extent(row);
                }
                extents
            }
            Err(fault) => {
                self.found(fault);
                self.walk(file::HEADER as u64, self.len);
                Vec::new()
            }
        }
    }

    fn found(&mut self, fault: Fault) {
        self.findings.push(fault.of(self.path));
    }

    fn flaw(&mut self, pos: u64, flaw: Flaw) {
        self.found(Fault::Flawed { pos, flaw });
    }

    fn extent(&mut self, row: &ExtentRow) {
        let Some(index) = self.index(row) else {
            let end = self.walk(row.pos, row.index_pos());
            if end < row.index_pos() {
                self.flaw(end, Flaw::Malformed(NO_BLOCK));
            }
            return;
        };
        for block in index.rows() {
            let address = row.address(self.number, block.pos);
            let decoded = self.read(block.pos, block.bytes.into(), |bytes| {
                Block::decode(bytes.to_vec(), address)
            });
            if decoded.is_some_and(|decoded| !block.tells_of(&decoded)) {
                self.flaw(block.pos, Flaw::Malformed(OTHER_ENTRIES));
            }
        }
    }

    fn index(&mut self, row: &ExtentRow) -> Option<Index> {
        if row.index_bytes == 0 {
            return Some(Index::of_one(row));
        }
        let number = self.number;
        self.read(row.index_pos(), row.index_bytes.into(), |bytes| {
            Index::decode(bytes, row, number)
        })
    }

    /// Checks blocks from `pos` on by what they say of themselves, up to `end` or to what is none.
    fn walk(&mut self, mut pos: u64, end: u64) -> u64 {
        while let Some(claim) = self.claim(pos, end) {
            let checked = self.read(pos, claim.len, |bytes| match claim.kind {
                Kind::Entries => Block::decode(bytes.to_vec(), claim.address).map(drop),
                Kind::Index => envelope::open(bytes, claim.address, claim.kind).map(drop),
            });
            if checked.is_none() {
                // Its length may be what is wrong.
                return end;
            }
            pos += claim.len;
        }
        pos
    }

    /// What the bytes at `pos` say they are, if that is a block that belongs there.
    fn claim(&self, pos: u64, end: u64) -> Option<Claim> {
        let mut header = [0; envelope::HEADER];
        let left = end.checked_sub(pos)?;
        if left < header.len() as u64 {
            return None;
        }
        self.file.read_at(pos, &mut header).ok()?;
        envelope::claim(&header).filter(|claim| {
            let Address { file, pos: at, .. } = claim.address;
            (file, at) == (self.number, pos) && (header.len() as u64..=left).contains(&claim.len)
        })
    }

    fn read<T>(
        &mut self,
        pos: u64,
        len: u64,
        decode: impl FnOnce(&[u8]) -> Result<T, Flaw>,
    ) -> Option<T> {
        let mut bytes = vec![0; to_usize(len)];
        let read = self.file.read_at(pos, &mut bytes).map_err(Fault::from);
        let decoded =
            read.and_then(|()| decode(&bytes).map_err(|flaw| Fault::Flawed { pos, flaw }));
        decoded.map_err(|fault| self.found(fault)).ok()
    }
}
