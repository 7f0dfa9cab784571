//! What is behind a simulated disk: bytes and names, now and durable, and what happens to them.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::io::Errno;

use super::image::Image;
use super::{Call, Fault, Loss, PAGE, Repeat, SECTOR};
use crate::error::{DiskError, Doing};

#[derive(Clone, Default)]
pub(super) struct World {
    pub(super) inodes: BTreeMap<u64, Inode>,
    pub(super) directories: BTreeMap<PathBuf, Directory>,
    pub(super) locked: BTreeSet<PathBuf>,
    pub(super) inodes_made: u64,
    pub(super) capacity: Option<u64>,
    pub(super) memory: Option<u64>,
    pub(super) calls: Vec<Call>,
    pub(super) stop_at: Option<usize>,
    pub(super) faults: Vec<(usize, Fault, Repeat)>,
}

#[derive(Clone, Default)]
pub(super) struct Inode {
    pub(super) now: Image,
    pub(super) durable: Image,
    unsynced: Vec<Change>,
    pub(super) allocated: u64,
}

/// A change of a file.
#[derive(Clone)]
enum Change {
    Len(usize),
    Write { pos: usize, bytes: Arc<[u8]> },
}

#[derive(Clone, Default)]
pub(super) struct Directory {
    pub(super) now: BTreeMap<String, u64>,
    pub(super) durable: BTreeMap<String, u64>,
    pub(super) unsynced: Vec<NameChange>,
}

/// A change of a directory.
#[derive(Clone)]
pub(super) enum NameChange {
    Created {
        name: String,
        inode: u64,
    },
    Removed {
        name: String,
    },
    Renamed {
        from: String,
        to: String,
        inode: u64,
    },
}

impl World {
    /// Numbers a call and decides whether it fails. Failures that do something (short writes and
    /// failed syncs) are the callee's to perform.
    pub(super) fn call(&mut self, doing: Doing, path: &Path) -> Result<Option<Fault>, DiskError> {
        let number = self.calls.len();
        self.calls.push(Call {
            doing,
            path: path.to_owned(),
        });
        if self.stop_at.is_some_and(|stop_at| number >= stop_at) {
            return Err(fault(
                doing,
                path,
                io::Error::other("the machine has stopped"),
            ));
        }
        let hit = self.faults.iter().find(|(at, _, repeat)| match repeat {
            Repeat::Once => number == *at,
            Repeat::Forever => number >= *at,
        });
        match (doing, hit.map(|(_, fault, _)| *fault)) {
            (_, None) => Ok(None),
            (Doing::Sync, Some(fault)) => Ok(Some(fault)),
            (Doing::Write, Some(Fault::ShortWrite)) => Ok(Some(Fault::ShortWrite)),
            (_, Some(failure)) => Err(fault(doing, path, failure.errno().into())),
        }
    }

    /// A call that succeeds or fails and does nothing.
    pub(super) fn plain(&mut self, doing: Doing, path: &Path) -> Result<(), DiskError> {
        match self.call(doing, path)? {
            None => Ok(()),
            Some(failure) => Err(fault(doing, path, failure.errno().into())),
        }
    }

    pub(super) fn inode(&mut self, number: u64) -> &mut Inode {
        self.inodes
            .get_mut(&number)
            .expect("an open or named file has an inode")
    }

    pub(super) fn inode_of(&mut self, path: &Path) -> Option<u64> {
        let name = name_of(path);
        self.directory_of(path)?.now.get(&name).copied()
    }

    pub(super) fn directory_of(&mut self, path: &Path) -> Option<&mut Directory> {
        self.directories.get_mut(path.parent()?)
    }

    /// Whether nothing is in a directory; `None` when there is none.
    pub(super) fn is_empty(&self, dir: &Path) -> Option<bool> {
        let directory = self.directories.get(dir)?;
        let mut others = self.directories.keys();
        let has_dirs = others.any(|other| other.parent() == Some(dir));
        Some(directory.now.is_empty() && !has_dirs)
    }

    /// Gives a directory another name, with all that is in it.
    pub(super) fn move_dir(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        if self.is_empty(to) == Some(false) {
            return Err(Errno::NOTEMPTY.into());
        }
        let moved = self
            .directories
            .extract_if(.., |dir, _| dir.starts_with(from));
        let moved: Vec<_> = moved.collect();
        for (dir, directory) in moved {
            let rest = dir.strip_prefix(from).expect("it starts with it");
            // Joining nothing would end the path in a slash.
            let dir = to.iter().chain(rest.iter()).collect();
            self.directories.insert(dir, directory);
        }
        Ok(())
    }

    pub(super) fn allocated(&self) -> u64 {
        let named = self.directories.values().flat_map(|dir| dir.now.values());
        let named: BTreeSet<_> = named.collect();
        named.iter().map(|inode| self.inodes[inode].allocated).sum()
    }

    /// Makes sure that `len` bytes of a file are allocated.
    pub(super) fn grow(&mut self, inode: u64, len: u64) -> io::Result<()> {
        let more = len.saturating_sub(self.inode(inode).allocated);
        if self
            .capacity
            .is_some_and(|capacity| more > 0 && self.allocated() + more > capacity)
        {
            return Err(Errno::NOSPC.into());
        }
        self.inode(inode).allocated += more;
        Ok(())
    }

    /// What a kill leaves, or a crash begins with: everything but the process.
    pub(super) fn survivor(&mut self) -> Self {
        let calls = std::mem::take(&mut self.calls);
        let survivor = Self {
            locked: BTreeSet::new(),
            stop_at: None,
            faults: Vec::new(),
            ..self.clone()
        };
        self.calls = calls;
        survivor
    }

    pub(super) fn forget_unnamed(&mut self) {
        let named: BTreeSet<u64> = self
            .directories
            .values()
            .flat_map(|dir| dir.now.values().copied())
            .collect();
        self.inodes.retain(|inode, _| named.contains(inode));
    }
}

impl Inode {
    pub(super) fn set_len(&mut self, len: usize) {
        if len != self.now.len() {
            self.now.resize(len);
            self.unsynced.push(Change::Len(len));
        }
    }

    pub(super) fn write(&mut self, pos: usize, bytes: &[u8]) {
        let end = pos + bytes.len();
        if end > self.now.len() {
            self.set_len(end);
        }
        self.now.write(pos, bytes);
        self.unsynced.push(Change::Write {
            pos,
            bytes: bytes.into(),
        });
    }

    pub(super) fn sync(&mut self) {
        self.durable.resize(self.now.len());
        for change in std::mem::take(&mut self.unsynced) {
            if let Change::Write { pos, bytes } = change {
                let start = pos / PAGE * PAGE;
                let end = (pos + bytes.len())
                    .next_multiple_of(PAGE)
                    .min(self.now.len());
                // What was written may have been cut off again.
                if let Some(bytes) = self.now.read(start..end.max(start)) {
                    self.durable.write(start, &bytes);
                }
            }
        }
    }

    /// What a failed sync does: everything counts as clean.
    pub(super) fn forget_unsynced(&mut self) {
        self.unsynced.clear();
    }

    /// Becomes what a crash leaves.
    pub(super) fn crash(&mut self, loss: Loss, dice: &mut Dice) {
        match loss {
            Loss::Nothing => self.sync(),
            Loss::All => {}
            Loss::Pages(_) => self.lose(PAGE, dice),
            Loss::Sectors(_) => self.lose(SECTOR, dice),
        }
        self.unsynced.clear();
        self.now = self.durable.clone();
        self.allocated = self.allocated.min(self.now.len() as u64);
    }

    fn lose(&mut self, unit: usize, dice: &mut Dice) {
        let lens: Vec<usize> = self.unsynced.iter().filter_map(Change::len).collect();
        let len = match dice.upto(lens.len()) {
            0 => self.durable.len(),
            kept => lens[kept - 1],
        };
        let mut touched: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (index, change) in self.unsynced.iter().enumerate() {
            for unit in change.units(unit) {
                touched.entry(unit).or_default().push(index);
            }
        }
        self.durable.resize(len.max(self.now.len()));
        for (number, writes) in touched {
            for &index in &writes[..dice.upto(writes.len())] {
                let Change::Write { pos, bytes } = &self.unsynced[index] else {
                    continue;
                };
                let start = (*pos).max(number * unit);
                let end = (pos + bytes.len())
                    .min((number + 1) * unit)
                    .min(self.durable.len());
                if start < end {
                    self.durable.write(start, &bytes[start - pos..end - pos]);
                }
            }
        }
        self.durable.resize(len);
    }
}

impl Change {
    fn len(&self) -> Option<usize> {
        match self {
            Self::Len(len) => Some(*len),
            Self::Write { .. } => None,
        }
    }

    /// The units of loss that this change touches.
    fn units(&self, unit: usize) -> Range<usize> {
        match self {
            Self::Len(_) => 0..0,
            Self::Write { pos, bytes } => pos / unit..(pos + bytes.len()).div_ceil(unit),
        }
    }
}

impl Directory {
    pub(super) fn change(&mut self, change: NameChange) {
        change.apply(&mut self.now);
        self.unsynced.push(change);
    }

    pub(super) fn crash(&mut self, loss: Loss, dice: &mut Dice) {
        for change in std::mem::take(&mut self.unsynced) {
            let kept = match loss {
                Loss::Nothing => true,
                Loss::All => false,
                Loss::Pages(_) | Loss::Sectors(_) => dice.upto(1) == 1,
            };
            if kept {
                change.apply(&mut self.durable);
            }
        }
        self.now = self.durable.clone();
    }
}

impl NameChange {
    fn apply(&self, names: &mut BTreeMap<String, u64>) {
        match self {
            Self::Created { name, inode } => {
                names.insert(name.clone(), *inode);
            }
            Self::Removed { name } => {
                names.remove(name);
            }
            Self::Renamed { from, to, inode } => {
                names.remove(from);
                names.insert(to.clone(), *inode);
            }
        }
    }
}

/// Throws for the losses of a crash: SplitMix64, so that a seed says everything.
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn of(loss: Loss) -> Self {
        match loss {
            Loss::Nothing | Loss::All => Self(0),
            Loss::Pages(seed) | Loss::Sectors(seed) => Self(seed),
        }
    }

    /// One of `0..=max`.
    fn upto(&mut self, max: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        to_usize(mixed % (max as u64 + 1))
    }
}

pub(super) fn name_of(path: &Path) -> String {
    path.file_name()
        .and_then(|name| name.to_str())
        .expect("simulated names are text")
        .to_owned()
}

pub(super) fn to_usize(bytes: u64) -> usize {
    usize::try_from(bytes).expect("a simulated disk fits into memory")
}

pub(super) fn fault(doing: Doing, path: &Path, source: io::Error) -> DiskError {
    DiskError {
        doing,
        path: path.to_owned(),
        source,
    }
}
