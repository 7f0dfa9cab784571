//! Everything there is, as files, on its way from a master to a replica.
//!
//! The files are those of a backup, which is made of further names of the master's own files. They
//! travel in pieces, each with its checksum, so that whatever came before a connection broke is
//! there to stay:
//!
//! ```text
//!  +FULLRESYNC 08af... 9000
//!  +SHIPMENT 5be1... 3 1572864                 its name, how many files, how many bytes
//!  +FILE checkpoint/7.ckpt 524288 0            a file, its length, and from where on it comes
//!  $524288 1b2c3d4e CRLF and so many bytes     a piece, and its CRC-32
//!  +FILE data/1.data 1048000 0
//!  $1000000 ...
//!  $48000 ...
//!  +END
//! ```
//!
//! A sign of life (a line feed) may stand between any two of these. A replica that comes again says
//! `REPLCONF shipment 5be1...:1:1000000`: it has one file, and so many bytes of the next.
//!
//! ```text
//!  DIR/outgoing/5be1.../log, data, checkpoint      the master's, kept until nobody wants it
//!  DIR/incoming-5be1.../log, data, checkpoint      the replica's; a file that is not complete is
//!                                                  called NAME.part
//!  DIR/incoming/log, data, checkpoint              all has come, and may be installed
//! ```
//!
//! Invariants:
//!
//! * What is received is not used before all of it is complete and durable.
//! * A name that comes over the wire stays within the directory.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use headwater_store::disk::{Disk, File};
use headwater_store::error::DiskError;
use headwater_store::install::{discard, incoming};

use super::wire::{Garbled, Has};
use crate::command::parse_uint;

/// Bytes of a piece, at most.
pub(crate) const PIECE_MAX: usize = 1 << 20;

/// The parts of a store's directory.
const PARTS: [&str; 3] = ["checkpoint", "data", "log"];

/// What the name of the directory begins with that a shipment is received in; its ID follows.
const UNDER_WAY: &str = "incoming-";

/// What the name of a file ends with that is not complete.
const PART: &str = ".part";

/// What a shipment consists of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Manifest {
    pub(crate) id: Box<str>,
    /// The names, in the order in which they travel, and the lengths.
    pub(crate) files: Vec<(String, u64)>,
}

impl Manifest {
    /// Of the files in a directory.
    ///
    /// # Errors
    ///
    /// Whatever the disk refuses.
    pub(crate) fn of(disk: &dyn Disk, dir: &Path, id: &str) -> Result<Self, DiskError> {
        let mut files = Vec::new();
        for part in PARTS {
            for name in disk.list(&dir.join(part))? {
                let len = disk.open_to_read(&dir.join(part).join(&name))?.len()?;
                files.push((format!("{part}/{name}"), len));
            }
        }
        let id = id.into();
        Ok(Self { id, files })
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.files.iter().map(|(_, len)| len).sum()
    }

    /// Where to go on for a replica that has this already: a file, and a place in it.
    pub(crate) fn after(&self, has: Option<&Has>) -> (usize, u64) {
        let Some(has) = has.filter(|has| has.shipment == self.id) else {
            return (0, 0);
        };
        let file = usize::try_from(has.files).unwrap_or(usize::MAX);
        match self.files.get(file) {
            Some((_, len)) if has.bytes <= *len => (file, has.bytes),
            Some(_) => (file, 0),
            None => (self.files.len(), 0),
        }
    }

    /// The line that begins the shipment.
    pub(crate) fn line(&self) -> String {
        format!(
            "+SHIPMENT {} {} {}\r\n",
            self.id,
            self.files.len(),
            self.bytes()
        )
    }
}

/// The line before the pieces of a file.
pub(crate) fn file_line(name: &str, len: u64, from: u64) -> String {
    format!("+FILE {name} {len} {from}\r\n")
}

/// The line before the bytes of a piece.
pub(crate) fn piece_line(piece: &[u8]) -> String {
    format!("${} {:08x}\r\n", piece.len(), crc32fast::hash(piece))
}

/// The line behind the last file.
pub(crate) const END_LINE: &str = "+END\r\n";

/// One thing that came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Item<'a> {
    /// A sign of life.
    Alive,
    Begin {
        id: &'a str,
        files: u64,
        bytes: u64,
    },
    File {
        name: &'a str,
        len: u64,
        from: u64,
    },
    /// Its checksum is right.
    Piece(&'a [u8]),
    End,
}

/// Lines are not longer than this.
const LINE_MAX: usize = 512;

/// The first thing in what has come, and how many bytes it takes; `None` while it is not whole.
///
/// # Errors
///
/// When it is nothing that belongs here, or was damaged on its way.
pub(crate) fn next(input: &[u8]) -> Result<Option<(Item<'_>, usize)>, Garbled> {
    if input.first() == Some(&b'\n') {
        return Ok(Some((Item::Alive, 1)));
    }
    let Some(end) = input.iter().take(LINE_MAX).position(|&byte| byte == b'\n') else {
        return if input.len() < LINE_MAX {
            Ok(None)
        } else {
            Err(Garbled)
        };
    };
    let line = input[..end].strip_suffix(b"\r").ok_or(Garbled)?;
    let line = str::from_utf8(line).map_err(|_not_text| Garbled)?;
    let words: Vec<&str> = line.split(' ').collect();
    let number = |word: &str| parse_uint(word.as_bytes()).ok_or(Garbled);
    let item = match *words {
        ["+SHIPMENT", id, files, bytes] if is_plain(id) => Item::Begin {
            id,
            files: number(files)?,
            bytes: number(bytes)?,
        },
        ["+FILE", name, len, from] if is_inside(name) => Item::File {
            name,
            len: number(len)?,
            from: number(from)?,
        },
        ["+END"] => Item::End,
        [first, crc] if first.starts_with('$') => {
            let len = usize::try_from(number(&first[1..])?).map_err(|_too_long| Garbled)?;
            let crc = u32::from_str_radix(crc, 16).map_err(|_not_hex| Garbled)?;
            if len > PIECE_MAX {
                return Err(Garbled);
            }
            let start = end + 1;
            let Some(piece) = input.get(start..start + len) else {
                return Ok(None);
            };
            if crc32fast::hash(piece) != crc {
                return Err(Garbled);
            }
            return Ok(Some((Item::Piece(piece), start + len)));
        }
        _ => return Err(Garbled),
    };
    Ok(Some((item, end + 1)))
}

/// Whether a name names no other directory.
fn is_plain(name: &str) -> bool {
    let may = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    !name.is_empty() && !name.starts_with('.') && name.bytes().all(may)
}

/// Whether a name is that of a file in a part of a store.
fn is_inside(name: &str) -> bool {
    let Some((part, file)) = name.split_once('/') else {
        return false;
    };
    PARTS.contains(&part) && is_plain(file) && !file.ends_with(PART)
}

/// Why a shipment cannot be taken.
#[derive(Debug)]
pub(crate) enum Trouble {
    Disk(DiskError),
    Garbled,
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Disk(fault) => fault.fmt(f),
            Self::Garbled => Garbled.fmt(f),
        }
    }
}

impl std::error::Error for Trouble {}

impl From<Garbled> for Trouble {
    fn from(_: Garbled) -> Self {
        Self::Garbled
    }
}

impl From<DiskError> for Trouble {
    fn from(fault: DiskError) -> Self {
        Self::Disk(fault)
    }
}

/// A shipment that is being received, on the replica's disk.
#[derive(Debug)]
pub(crate) struct Incoming {
    disk: Arc<dyn Disk>,
    /// Of the data.
    dir: PathBuf,
    id: Option<Box<str>>,
    files: u64,
    open: Option<Open>,
}

/// What became of some bytes that came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Taken {
    /// How many bytes the shipment has, if that was said.
    pub(crate) total: Option<u64>,
    /// How many bytes of files there were.
    pub(crate) bytes: u64,
    /// Where it is, now that it is complete and durable.
    pub(crate) complete: Option<PathBuf>,
}

/// The file that is being received.
#[derive(Debug)]
struct Open {
    name: String,
    file: Arc<dyn File>,
    len: u64,
    at: u64,
}

impl Incoming {
    /// Looks what of a shipment is in the directory of the data.
    ///
    /// # Errors
    ///
    /// Whatever the disk refuses.
    pub(crate) fn find(disk: Arc<dyn Disk>, dir: &Path) -> Result<Self, DiskError> {
        disk.create_dir(dir)?;
        let mut names = disk.list(dir)?.into_iter();
        let id = names.find_map(|name| Some(name.strip_prefix(UNDER_WAY)?.into()));
        let mut incoming = Self {
            disk,
            dir: dir.to_owned(),
            id,
            files: 0,
            open: None,
        };
        if let Some(shipment) = incoming.shipment() {
            for part in PARTS {
                let dir = shipment.join(part);
                incoming.disk.create_dir(&dir)?;
                let names = incoming.disk.list(&dir)?;
                let complete = names.iter().filter(|name| !name.ends_with(PART));
                incoming.files += complete.count() as u64;
            }
        }
        Ok(incoming)
    }

    /// Where it is.
    fn shipment(&self) -> Option<PathBuf> {
        Some(self.place_of(self.id.as_ref()?))
    }

    fn place_of(&self, id: &str) -> PathBuf {
        self.dir.join(format!("{UNDER_WAY}{id}"))
    }

    /// What there is of it.
    pub(crate) fn has(&self) -> Option<Has> {
        Some(Has {
            shipment: self.id.clone()?,
            files: self.files,
            bytes: self.open.as_ref().map_or(0, |open| open.at),
        })
    }

    /// Takes what has come as far as it is whole, and leaves the rest.
    ///
    /// # Errors
    ///
    /// As [`take`](Self::take); what came before stays.
    pub(crate) fn take_all(&mut self, input: &mut Vec<u8>) -> Result<Taken, Trouble> {
        let mut taken = Taken::default();
        let mut done = 0;
        while taken.complete.is_none() {
            let Some((item, length)) = next(&input[done..])? else {
                break;
            };
            match item {
                Item::Begin { bytes, .. } => taken.total = Some(bytes),
                // What was there already counts, too.
                Item::File { from, .. } => taken.bytes += from,
                Item::Piece(piece) => taken.bytes += piece.len() as u64,
                Item::Alive | Item::End => {}
            }
            taken.complete = self.take(&item)?;
            done += length;
        }
        input.drain(..done);
        Ok(taken)
    }

    /// Takes what comes next; says where the shipment is once it is complete and durable.
    ///
    /// # Errors
    ///
    /// When it does not belong here, or the disk refuses.
    pub(crate) fn take(&mut self, item: &Item<'_>) -> Result<Option<PathBuf>, Trouble> {
        match *item {
            Item::Alive => {}
            Item::Begin { id, .. } => self.begin(id)?,
            Item::File { name, len, from } => self.open(name, len, from)?,
            Item::Piece(bytes) => self.write(bytes)?,
            Item::End => return self.end().map(Some),
        }
        Ok(None)
    }

    fn begin(&mut self, id: &str) -> Result<(), DiskError> {
        if self.id.as_deref() == Some(id) {
            return Ok(());
        }
        self.clear()?;
        self.id = Some(id.into());
        for part in PARTS {
            self.disk.create_dir(&self.place_of(id).join(part))?;
        }
        Ok(())
    }

    /// Removes all there is.
    ///
    /// # Errors
    ///
    /// Whatever the disk refuses.
    pub(crate) fn clear(&mut self) -> Result<(), DiskError> {
        (self.id, self.files, self.open) = (None, 0, None);
        for name in self.disk.list(&self.dir)? {
            if name.starts_with(UNDER_WAY) {
                remove(&*self.disk, &self.dir.join(name))?;
            }
        }
        self.disk.sync_dir(&self.dir)
    }

    fn open(&mut self, name: &str, len: u64, from: u64) -> Result<(), Trouble> {
        let shipment = self.shipment().ok_or(Trouble::Garbled)?;
        let goes_on = |open: &Open| open.name == name && open.len == len && open.at == from;
        match &self.open {
            Some(open) if goes_on(open) => return Ok(()),
            Some(_) if from > 0 => return Err(Trouble::Garbled),
            None if from > 0 => return Err(Trouble::Garbled),
            _ => {}
        }
        let path = shipment.join(format!("{name}{PART}"));
        // What is left of an earlier attempt.
        let is_there = |names: Vec<String>| {
            let file = path.file_name().and_then(|name| name.to_str());
            names.iter().any(|name| Some(&**name) == file)
        };
        if is_there(self.disk.list(path.parent().unwrap_or(&shipment))?) {
            self.disk.remove(&path)?;
        }
        self.open = Some(Open {
            name: name.to_owned(),
            file: self.disk.create(&path, len)?,
            len,
            at: 0,
        });
        self.close_if_complete()
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), Trouble> {
        let open = self.open.as_mut().ok_or(Trouble::Garbled)?;
        if bytes.len() as u64 > open.len - open.at {
            return Err(Trouble::Garbled);
        }
        open.file.write_past_cache(open.at, bytes)?;
        open.at += bytes.len() as u64;
        self.close_if_complete()
    }

    fn close_if_complete(&mut self) -> Result<(), Trouble> {
        let shipment = self.shipment().ok_or(Trouble::Garbled)?;
        if let Some(open) = self.open.take_if(|open| open.at == open.len) {
            open.file.sync_data()?;
            let to = shipment.join(&open.name);
            self.disk
                .rename(&shipment.join(format!("{}{PART}", open.name)), &to)?;
            self.files += 1;
        }
        Ok(())
    }

    fn end(&mut self) -> Result<PathBuf, Trouble> {
        let shipment = self.shipment().ok_or(Trouble::Garbled)?;
        if self.open.is_some() {
            return Err(Trouble::Garbled);
        }
        for part in PARTS {
            self.disk.sync_dir(&shipment.join(part))?;
        }
        self.disk.sync_dir(&shipment)?;
        discard(&*self.disk, &self.dir)?;
        let complete = incoming(&self.dir);
        self.disk.rename(&shipment, &complete)?;
        self.disk.sync_dir(&self.dir)?;
        (self.id, self.files) = (None, 0);
        Ok(complete)
    }
}

/// Removes a shipment.
///
/// # Errors
///
/// Whatever the disk refuses.
pub(crate) fn remove(disk: &dyn Disk, dir: &Path) -> Result<(), DiskError> {
    for part in disk.list(dir)? {
        let part = dir.join(part);
        for name in disk.list(&part)? {
            disk.remove(&part.join(name))?;
        }
        disk.remove_dir(&part)?;
    }
    disk.remove_dir(dir)
}

#[cfg(test)]
mod tests {
    use headwater_store::disk::SimDisk;

    use super::*;

    /// A shipment of three files, one of them empty; and how it goes over the wire.
    fn shipment(disk: &dyn Disk) -> (PathBuf, Manifest) {
        let dir = PathBuf::from("/master/outgoing/5be1");
        for (name, bytes) in [
            ("checkpoint/7", &b"abc"[..]),
            ("data/1", b""),
            ("log/0", b"defgh"),
        ] {
            let path = dir.join(name);
            disk.create_dir(path.parent().unwrap()).unwrap();
            let file = disk.create(&path, bytes.len() as u64).unwrap();
            file.write_at(0, bytes).unwrap();
        }
        let manifest = Manifest::of(disk, &dir, "5be1").unwrap();
        (dir, manifest)
    }

    /// What a master sends to one who has this.
    fn sent(disk: &dyn Disk, dir: &Path, manifest: &Manifest, has: Option<&Has>) -> Vec<u8> {
        let mut sent = manifest.line().into_bytes();
        let (first, mut from) = manifest.after(has);
        for (name, len) in &manifest.files[first..] {
            sent.extend(file_line(name, *len, from).into_bytes());
            let mut bytes = vec![0; usize::try_from(len - from).unwrap()];
            disk.open(&dir.join(name))
                .unwrap()
                .read_at(from, &mut bytes)
                .unwrap();
            for piece in bytes.chunks(2) {
                sent.extend(piece_line(piece).into_bytes());
                sent.extend(piece);
                sent.push(b'\n');
            }
            from = 0;
        }
        sent.extend(END_LINE.as_bytes());
        sent
    }

    /// Takes what comes as far as it is whole.
    fn receive(incoming: &mut Incoming, input: &[u8]) -> Option<PathBuf> {
        incoming.take_all(&mut input.to_vec()).unwrap().complete
    }

    #[test]
    fn a_shipment_arrives_wherever_the_connection_and_the_replica_break() {
        let disk: Arc<dyn Disk> = Arc::new(SimDisk::new());
        let (dir, manifest) = shipment(&*disk);
        assert_eq!((manifest.files.len(), manifest.bytes()), (3, 8));
        let all = sent(&*disk, &dir, &manifest, None);
        for cut in 0..all.len() {
            for restarts in [false, true] {
                let data = PathBuf::from(format!("/replica-{cut}-{restarts}"));
                let mut incoming = Incoming::find(Arc::clone(&disk), &data).unwrap();
                assert_eq!(receive(&mut incoming, &all[..cut]), None, "cut at {cut}");
                if restarts {
                    incoming = Incoming::find(Arc::clone(&disk), &data).unwrap();
                }
                let has = incoming.has();
                let rest = sent(&*disk, &dir, &manifest, has.as_ref());
                let complete = receive(&mut incoming, &rest).expect("it comes to its end");
                assert_eq!(Manifest::of(&*disk, &complete, "5be1").unwrap(), manifest);
                for (name, len) in &manifest.files {
                    let read = |dir: &Path| {
                        let mut bytes = vec![0; usize::try_from(*len).unwrap()];
                        disk.open(&dir.join(name))
                            .unwrap()
                            .read_at(0, &mut bytes)
                            .unwrap();
                        bytes
                    };
                    assert_eq!(read(&complete), read(&dir), "{name}, cut at {cut}");
                }
            }
        }
    }

    #[test]
    fn another_shipment_takes_the_place_of_one_that_was_broken_off() {
        let disk: Arc<dyn Disk> = Arc::new(SimDisk::new());
        let (dir, manifest) = shipment(&*disk);
        let all = sent(&*disk, &dir, &manifest, None);
        let mut incoming = Incoming::find(Arc::clone(&disk), Path::new("/replica")).unwrap();
        assert_eq!(incoming.has(), None);
        receive(&mut incoming, &all[..all.len() - 10]);
        let other = Manifest {
            id: "77aa".into(),
            ..manifest
        };
        assert_eq!(other.after(incoming.has().as_ref()), (0, 0));
        let all = sent(&*disk, &dir, &other, None);
        let complete = receive(&mut incoming, &all).unwrap();
        assert_eq!(complete, Path::new("/replica/incoming"));
        assert_eq!(disk.list(Path::new("/replica")).unwrap(), ["incoming"]);
        assert_eq!(incoming.has(), None);
    }

    #[test]
    fn what_does_not_belong_there_is_not_taken() {
        for bad in [
            "+FILE ../etc/passwd 1 0\r\n",
            "+FILE log/../../x 1 0\r\n",
            "+FILE log/.. 1 0\r\n",
            "+FILE log/x.part 1 0\r\n",
            "+FILE tmp/x 1 0\r\n",
            "+FILE log/x -1 0\r\n",
            "+SHIPMENT a/b 1 1\r\n",
            "+SHIPMENT .. 1 1\r\n",
            "+END now\r\n",
            "+END\n",
            "$1048577 00000000\r\n",
            "$1 00000000\r\nx",
            "-ERR\r\n",
        ] {
            assert_eq!(next(bad.as_bytes()), Err(Garbled), "{bad}");
        }
        assert_eq!(next(&[b'x'; 600]), Err(Garbled));
        let disk: Arc<dyn Disk> = Arc::new(SimDisk::new());
        let mut incoming = Incoming::find(disk, Path::new("/replica")).unwrap();
        let mut take = |item| incoming.take(&item);
        let garbled = |taken| matches!(taken, Err(Trouble::Garbled));
        assert!(garbled(take(Item::Piece(b"x"))), "no file");
        assert!(garbled(take(Item::End)), "no shipment");
        take(Item::Begin {
            id: "1",
            files: 1,
            bytes: 1,
        })
        .unwrap();
        assert!(
            garbled(take(Item::File {
                name: "log/0",
                len: 2,
                from: 1
            })),
            "a gap"
        );
        take(Item::File {
            name: "log/0",
            len: 2,
            from: 0,
        })
        .unwrap();
        assert!(garbled(take(Item::Piece(b"xyz"))), "too much");
        assert!(garbled(take(Item::End)), "too little");
    }
}
