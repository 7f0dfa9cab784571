//! The keyspace as it was, in one file, so that a start need not read the whole log.
//!
//! ```text
//!  checkpoint/00000000000000000007.ckpt
//!
//!  0          8     12       16       24
//!  +----------+-----+--------+--------+---------+---------+-- ... --+---------+
//!  | HEADWCKP | crc | version| number | section | section |         | section |
//!  |          | u32 | u32    | u64    | BEGIN   | STREAMS |         | END     |
//!  +----------+-----+--------+--------+---------+---------+-- ... --+---------+
//!                   '-- by crc ---'
//!
//!  section:   crc u32, kind u32, length u64, body
//!             the crc covers the number of the file, the position of the section, and all behind
//!             the crc itself: a section is valid in its place and nowhere else
//!
//!  BEGIN      from, order (256 bytes: which database is which),
//!             epochs, for each of the history: number, start, id (20 bytes),
//!             next_file, files, for each data file: number, length
//!  STREAMS    for each stream: number, place, key, expires_at, changed, length, image
//!  END        until, next, keep, streams
//! ```
//!
//! Integers inside of bodies are as in [records](crate::record); so are keys and optional numbers.
//!
//! The file is *fuzzy*: nothing stands still while it is written. Each stream is as it was at the
//! end of the record `changed`; `order` is as it was at `from`. Replay begins at `from` and passes
//! over what an image has seen ([`Restore`](crate::state::Restore) has the rules). By `until` all
//! streams had been written; those below `next` that are not there were gone by then.
//!
//! # Invariants
//!
//! * A file has its name once it is durable, has been read back, and the log is durable up to
//!   `until`, here and where that is [agreed](crate::Agreement): nothing in it can be ahead of the
//!   log, nor of a log that was cut.
//! * Nothing that the newest file with a name needs (log from `keep` on, data files) is removed.
//! * The one before is removed when the next has its name, before anything it needed is freed. So
//!   when there are two, the older one is as good, and takes the place of a damaged newer one.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::codec::{byte, integer, name, optional, put_integer, put_name, put_optional};
use crate::disk::{Disk, FreshFile, is_unfinished};
use crate::error::{DiskError, Malformed, OpenError};
use crate::history::History;
use crate::id::StreamNo;
use crate::lsn::Lsn;

const MAGIC: &[u8; 8] = b"HEADWCKP";
const VERSION: u32 = 2;
/// Bytes before the first section.
const HEADER: usize = 24;
/// Bytes of a section before its body.
const SECTION: usize = 16;
/// A section is closed once its body is so long; one image may make it longer.
const BODY: usize = 256 << 10;

/// The kind of a section.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
enum Kind {
    Begin = 1,
    Streams = 2,
    End = 3,
}

/// What is fixed when a checkpoint is begun.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Beginning {
    /// Where the last record ended: replay begins here.
    pub(crate) from: Lsn,
    /// Which database is which.
    pub(crate) order: [u8; 256],
    /// The last epochs below `from`.
    pub(crate) history: History,
    /// No data file with this number or a greater one is named.
    pub(crate) next_file: u64,
    /// The data files that images may name, with their lengths in bytes.
    pub(crate) files: Vec<DataFileItem>,
}

/// One stream.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) struct StreamItem<'a> {
    pub(crate) number: StreamNo,
    /// The database it is in, whatever clients call that.
    pub(crate) place: u8,
    pub(crate) key: &'a [u8],
    /// When it expires, in Unix milliseconds.
    pub(crate) expires_at: Option<u64>,
    /// The end of the last record that it has seen.
    pub(crate) changed: Lsn,
    /// The bytes of the stream itself.
    pub(crate) image: &'a [u8],
}

/// What is known when all streams have been written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Ending {
    /// Where the last record ended: no image is ahead of this.
    pub(crate) until: Lsn,
    /// The number for the next stream.
    pub(crate) next: StreamNo,
    /// The lowest place in the log that an image names, or `from`.
    pub(crate) keep: Lsn,
    /// How many streams there are.
    pub(crate) streams: u64,
}

/// A data file that a checkpoint needs.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) struct DataFileItem {
    pub(crate) number: u64,
    /// Its length in bytes.
    pub(crate) len: u64,
}

/// A checkpoint that has its name.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) struct Written {
    pub(crate) number: u64,
    /// Its length in bytes.
    pub(crate) len: u64,
}

/// Writes one checkpoint.
#[derive(Debug)]
pub(crate) struct Writer {
    number: u64,
    file: FreshFile,
    body: Vec<u8>,
}

impl Writer {
    /// Begins checkpoint `number`, which must be greater than that of any before.
    ///
    /// # Errors
    ///
    /// Whatever the file system refuses.
    pub(crate) fn begin(
        disk: Arc<dyn Disk>,
        dir: &Path,
        number: u64,
        beginning: &Beginning,
    ) -> Result<Self, DiskError> {
        let mut file = FreshFile::create(disk, &path(dir, number))?;
        file.append(&header(number))?;
        let mut writer = Self {
            number,
            file,
            body: Vec::new(),
        };
        beginning.encode(&mut writer.body);
        writer.section(Kind::Begin)?;
        Ok(writer)
    }

    /// Adds a stream. They come in the order of their numbers.
    ///
    /// # Errors
    ///
    /// Whatever the file system refuses. The checkpoint is of no use then.
    pub(crate) fn stream(&mut self, item: &StreamItem<'_>) -> Result<(), DiskError> {
        item.encode(&mut self.body);
        if self.body.len() >= BODY {
            self.section(Kind::Streams)?;
        }
        Ok(())
    }

    /// Makes it durable, reads it back, and gives it its name, durably. The log is durable up to
    /// the ending's `until`.
    ///
    /// # Errors
    ///
    /// What the file system refuses; [`OpenError::Checkpoint`] when the bytes that come back are
    /// not those that were written.
    pub(crate) fn finish(mut self, ending: &Ending) -> Result<Written, OpenError> {
        if !self.body.is_empty() {
            self.section(Kind::Streams)?;
        }
        ending.encode(&mut self.body);
        self.section(Kind::End)?;
        self.file.sync()?;
        let len = self.file.len();
        let mut read = |pos, into: &mut [u8]| self.file.read_at(pos, into);
        scan(self.number, len, &mut read, &mut |_, _| Ok(()))
            .map_err(|unusable| unusable.of(self.file.path()))?;
        self.file.finish()?;
        let number = self.number;
        Ok(Written { number, len })
    }

    fn section(&mut self, kind: Kind) -> Result<(), DiskError> {
        let head = section_head(self.number, self.file.len(), kind, &self.body);
        self.file.append(&head)?;
        self.file.append(&self.body)?;
        self.body.clear();
        Ok(())
    }
}

/// What is done with the parts of a checkpoint that is read.
pub(crate) trait Load {
    /// Takes one stream.
    ///
    /// # Errors
    ///
    /// When the image is malformed.
    fn stream(&mut self, item: &StreamItem<'_>) -> Result<(), Malformed>;

    /// Has got all streams.
    ///
    /// # Errors
    ///
    /// When something is missing.
    fn end(&mut self, ending: &Ending) -> Result<(), Malformed>;
}

/// Counts the streams, and keeps nothing.
#[derive(Debug, Default)]
pub(crate) struct Skim {
    pub(crate) streams: u64,
}

impl Load for Skim {
    fn stream(&mut self, _: &StreamItem<'_>) -> Result<(), Malformed> {
        self.streams += 1;
        Ok(())
    }

    fn end(&mut self, _: &Ending) -> Result<(), Malformed> {
        Ok(())
    }
}

/// A checkpoint that was read.
#[derive(Debug)]
pub(crate) struct Loaded<L> {
    pub(crate) written: Written,
    pub(crate) beginning: Beginning,
    pub(crate) ending: Ending,
    pub(crate) content: L,
}

/// Reads the newest checkpoint in a directory, or the one before if that is damaged; `None` when
/// there is none. Each is read into what `begin` makes of its beginning.
///
/// # Errors
///
/// [`OpenError::Checkpoint`] when there are checkpoints and none is whole; [`OpenError::Disk`].
pub(crate) fn load<L: Load>(
    disk: &dyn Disk,
    dir: &Path,
    begin: impl Fn(&Beginning) -> Result<L, OpenError>,
) -> Result<Option<Loaded<L>>, OpenError> {
    let mut numbers = numbers(&disk.list(dir)?);
    let mut damaged = None;
    while let Some(number) = numbers.pop() {
        match read(disk, dir, number, &begin) {
            Ok(loaded) => {
                if let Some(damaged) = damaged {
                    tracing::warn!(%damaged, "took the checkpoint before");
                }
                return Ok(Some(loaded));
            }
            Err(error @ OpenError::Checkpoint { .. }) => {
                damaged.get_or_insert(error);
            }
            Err(error) => return Err(error),
        }
    }
    damaged.map_or(Ok(None), Err)
}

/// Reads one checkpoint.
///
/// # Errors
///
/// [`OpenError::Checkpoint`] when it is not whole; [`OpenError::Disk`].
pub(crate) fn read<L: Load>(
    disk: &dyn Disk,
    dir: &Path,
    number: u64,
    begin: impl FnOnce(&Beginning) -> Result<L, OpenError>,
) -> Result<Loaded<L>, OpenError> {
    let path = path(dir, number);
    let file = disk.open_to_read(&path)?;
    let len = file.len()?;
    let mut beginning = None;
    let mut ending = None;
    let mut content = None;
    let mut read = |pos, into: &mut [u8]| file.read_at(pos, into);
    let mut refused = None;
    let mut begin = Some(begin);
    let scanned = scan(number, len, &mut read, &mut |kind, body| {
        match (kind, &mut content) {
            (Kind::Begin, _) => {
                let found = Beginning::decode(body)?;
                let begin = begin.take().expect("a checkpoint begins once");
                match begin(&found) {
                    Ok(begun) => content = Some(begun),
                    Err(error) => {
                        refused = Some(error);
                        return Err(REFUSED);
                    }
                }
                beginning = Some(found);
            }
            (Kind::Streams, Some(content)) => {
                let mut rest = body;
                while !rest.is_empty() {
                    content.stream(&StreamItem::decode(&mut rest)?)?;
                }
            }
            (Kind::End, Some(content)) => {
                let found = Ending::decode(body)?;
                content.end(&found)?;
                ending = Some(found);
            }
            (Kind::Streams | Kind::End, None) => unreachable!("the first section begins"),
        }
        Ok(())
    });
    if let Some(refused) = refused {
        return Err(refused);
    }
    scanned.map_err(|unusable| unusable.of(&path))?;
    let whole = "a scan that succeeds has seen every section";
    Ok(Loaded {
        written: Written { number, len },
        beginning: beginning.expect(whole),
        ending: ending.expect(whole),
        content: content.expect(whole),
    })
}

/// Removes every checkpoint in `dir` but the newest with a name, `keep`, and what was never
/// finished; durably.
///
/// # Errors
///
/// Whatever the file system refuses; some may have been removed then.
pub(crate) fn remove_others(
    disk: &dyn Disk,
    dir: &Path,
    keep: Option<u64>,
) -> Result<(), DiskError> {
    let mut removed = false;
    for name in disk.list(dir)? {
        let other = number_of(&name).is_some_and(|number| Some(number) != keep);
        if other || is_unfinished(&name) {
            disk.remove(&dir.join(name))?;
            removed = true;
        }
    }
    if removed { disk.sync_dir(dir) } else { Ok(()) }
}

/// The numbers of the checkpoints with names among `names`, in order.
pub(crate) fn numbers(names: &[String]) -> Vec<u64> {
    let mut numbers: Vec<u64> = names.iter().filter_map(|name| number_of(name)).collect();
    numbers.sort_unstable();
    numbers
}

/// The path of checkpoint `number`.
pub(crate) fn path(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("{number:020}.ckpt"))
}

/// Whether a file of this name is a checkpoint, or was to become one.
pub(crate) fn is_checkpoint(name: &str) -> bool {
    number_of(name).is_some() || is_unfinished(name)
}

fn number_of(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".ckpt")?;
    let plain = digits.len() == 20 && digits.bytes().all(|digit| digit.is_ascii_digit());
    plain.then(|| digits.parse().ok())?
}

/// Why a checkpoint cannot be used.
enum Unusable {
    Disk(DiskError),
    Damaged { pos: u64, what: &'static str },
}

impl Unusable {
    fn of(self, path: &Path) -> OpenError {
        match self {
            Self::Disk(error) => error.into(),
            Self::Damaged { pos, what } => OpenError::Checkpoint {
                file: path.to_owned(),
                pos,
                what,
            },
        }
    }
}

impl From<DiskError> for Unusable {
    fn from(error: DiskError) -> Self {
        Self::Disk(error)
    }
}

type Read<'a> = &'a mut dyn FnMut(u64, &mut [u8]) -> Result<(), DiskError>;
type Each<'a> = &'a mut dyn FnMut(Kind, &[u8]) -> Result<(), Malformed>;

/// Hands every section of checkpoint `number`, which is `len` bytes long, to `each`.
fn scan(number: u64, len: u64, read: Read<'_>, each: Each<'_>) -> Result<(), Unusable> {
    let damaged = |pos, what| Err(Unusable::Damaged { pos, what });
    let mut head = [0; HEADER];
    if len < HEADER as u64 {
        return damaged(0, "it is shorter than its header");
    }
    read(0, &mut head)?;
    if head[..12] != header(number)[..12] || head[16..] != header(number)[16..] {
        return damaged(0, "the header is damaged, or another file's");
    }
    if head != header(number) {
        return damaged(0, "it is of a version that this program does not know");
    }
    let mut pos = HEADER as u64;
    let mut body = Vec::new();
    loop {
        let mut head = [0; SECTION];
        let Some(left) = (len - pos).checked_sub(SECTION as u64) else {
            return damaged(pos, "it breaks off");
        };
        read(pos, &mut head)?;
        let [crc, kind] = [&head[..4], &head[4..8]]
            .map(|word| u32::from_le_bytes(word.try_into().expect("it is four bytes long")));
        let length = u64::from_le_bytes(head[8..].try_into().expect("it is eight bytes long"));
        if length > left {
            return damaged(pos, "a section is longer than the file");
        }
        body.resize(usize::try_from(length).expect("a file fits into memory"), 0);
        read(pos + SECTION as u64, &mut body)?;
        if crc != checksum(number, pos, &head[4..], &body) {
            return damaged(pos, "the checksum of a section does not match");
        }
        let Some(kind) = Kind::of(kind) else {
            return damaged(pos, "a section is of an unknown kind");
        };
        if (kind == Kind::Begin) != (pos == HEADER as u64) {
            return damaged(pos, "a section is out of place");
        }
        each(kind, &body).map_err(|Malformed { what }| Unusable::Damaged { pos, what })?;
        pos += SECTION as u64 + length;
        match kind {
            Kind::End if pos == len => return Ok(()),
            Kind::End => return damaged(pos, "something is behind the end"),
            Kind::Begin | Kind::Streams => {}
        }
    }
}

impl Kind {
    fn of(kind: u32) -> Option<Self> {
        [Self::Begin, Self::Streams, Self::End]
            .into_iter()
            .find(|known| *known as u32 == kind)
    }
}

fn header(number: u64) -> [u8; HEADER] {
    let mut header = [0; HEADER];
    header[..8].copy_from_slice(MAGIC);
    header[12..16].copy_from_slice(&VERSION.to_le_bytes());
    header[16..].copy_from_slice(&number.to_le_bytes());
    let crc = crc32fast::hash(&header[12..]);
    header[8..12].copy_from_slice(&crc.to_le_bytes());
    header
}

fn section_head(number: u64, pos: u64, kind: Kind, body: &[u8]) -> [u8; SECTION] {
    let mut head = [0; SECTION];
    head[4..8].copy_from_slice(&(kind as u32).to_le_bytes());
    head[8..].copy_from_slice(&(body.len() as u64).to_le_bytes());
    let crc = checksum(number, pos, &head[4..], body);
    head[..4].copy_from_slice(&crc.to_le_bytes());
    head
}

fn checksum(number: u64, pos: u64, head: &[u8], body: &[u8]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(&number.to_le_bytes());
    crc.update(&pos.to_le_bytes());
    crc.update(head);
    crc.update(body);
    crc.finalize()
}

impl Beginning {
    fn encode(&self, out: &mut Vec<u8>) {
        put_integer(out, self.from.get());
        out.extend_from_slice(&self.order);
        self.history.encode(out);
        put_integer(out, self.next_file);
        put_integer(out, self.files.len() as u64);
        for file in &self.files {
            put_integer(out, file.number);
            put_integer(out, file.len);
        }
    }

    fn decode(mut input: &[u8]) -> Result<Self, Malformed> {
        let from = integer(&mut input).map(Lsn::new)?;
        let (&order, rest) = input.split_first_chunk::<256>().ok_or(NO_ORDER)?;
        let mut known = [false; 256];
        for place in order {
            known[usize::from(place)] = true;
        }
        if known.contains(&false) {
            return Err(NO_ORDER);
        }
        let input = &mut &*rest;
        let mut beginning = Self {
            from,
            order,
            history: History::decode(input)?,
            next_file: integer(input)?,
            files: Vec::new(),
        };
        for _ in 0..integer(input)? {
            let (number, len) = (integer(input)?, integer(input)?);
            beginning.files.push(DataFileItem { number, len });
        }
        whole(input, beginning)
    }
}

impl<'a> StreamItem<'a> {
    fn encode(&self, out: &mut Vec<u8>) {
        put_integer(out, self.number.get());
        out.push(self.place);
        put_name(out, self.key);
        put_optional(out, self.expires_at);
        put_integer(out, self.changed.get());
        put_name(out, self.image);
    }

    fn decode(input: &mut &'a [u8]) -> Result<Self, Malformed> {
        Ok(Self {
            number: integer(input).map(StreamNo::new)?,
            place: byte(input)?,
            key: name(input)?,
            expires_at: optional(input)?,
            changed: integer(input).map(Lsn::new)?,
            image: name(input)?,
        })
    }
}

impl Ending {
    fn encode(&self, out: &mut Vec<u8>) {
        put_integer(out, self.until.get());
        put_integer(out, self.next.get());
        put_integer(out, self.keep.get());
        put_integer(out, self.streams);
    }

    fn decode(mut input: &[u8]) -> Result<Self, Malformed> {
        let input = &mut input;
        let ending = Self {
            until: integer(input).map(Lsn::new)?,
            next: integer(input).map(StreamNo::new)?,
            keep: integer(input).map(Lsn::new)?,
            streams: integer(input)?,
        };
        whole(input, ending)
    }
}

/// What was decoded from a body of which `rest` is left.
fn whole<T>(rest: &[u8], decoded: T) -> Result<T, Malformed> {
    if rest.is_empty() {
        Ok(decoded)
    } else {
        Err(Malformed {
            what: "bytes behind the end of a section",
        })
    }
}

const REFUSED: Malformed = Malformed {
    what: "a beginning that its reader refuses",
};
const NO_ORDER: Malformed = Malformed {
    what: "an order of databases that is none",
};

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use super::*;
    use crate::disk::{Fault, Repeat, SimDisk};
    use crate::history::{Epoch, HistoryId};

    /// Keeps everything, as text.
    #[derive(Clone, PartialEq, Eq, Debug)]
    struct Story(Vec<String>);

    impl Story {
        fn begin(beginning: &Beginning) -> Result<Self, OpenError> {
            Ok(Self(vec![format!(
                "{:?} {}",
                beginning.from, beginning.order[1]
            )]))
        }
    }

    impl Load for Story {
        fn stream(&mut self, item: &StreamItem<'_>) -> Result<(), Malformed> {
            self.0.push(format!("{item:?}"));
            Ok(())
        }

        fn end(&mut self, ending: &Ending) -> Result<(), Malformed> {
            self.0.push(format!("{ending:?}"));
            Ok(())
        }
    }

    const DIR: &str = "/checkpoint";

    fn beginning() -> Beginning {
        let mut order = std::array::from_fn(|place| u8::try_from(place).unwrap());
        order.swap(1, 2);
        let mut history = History::new();
        history.push(Epoch {
            number: 3,
            start: Lsn::new(0x99),
            id: HistoryId::new([0xab; HistoryId::BYTES]),
        });
        Beginning {
            from: Lsn::new(0x0102),
            order,
            history,
            next_file: 7,
            files: vec![DataFileItem {
                number: 6,
                len: 4096,
            }],
        }
    }

    fn ending() -> Ending {
        Ending {
            until: Lsn::new(0x0304),
            next: StreamNo::new(9),
            keep: Lsn::new(0x01),
            streams: 2,
        }
    }

    fn item<'a>(number: u64, key: &'a [u8], image: &'a [u8]) -> StreamItem<'a> {
        StreamItem {
            number: StreamNo::new(number),
            place: 3,
            key,
            expires_at: (number == 2).then_some(77),
            changed: Lsn::new(0x0203),
            image,
        }
    }

    fn disk() -> Arc<SimDisk> {
        let disk = SimDisk::new();
        disk.create_dir(Path::new(DIR)).unwrap();
        Arc::new(disk)
    }

    fn write(disk: &Arc<SimDisk>, number: u64) -> Result<Written, OpenError> {
        let mut writer = Writer::begin(disk.clone(), Path::new(DIR), number, &beginning())?;
        writer.stream(&item(1, b"jobs", b"first"))?;
        writer.stream(&item(2, b"mails", &[7; 300 << 10]))?;
        writer.stream(&item(3, b"", b""))?;
        writer.finish(&ending())
    }

    fn load(disk: &SimDisk) -> Result<Option<Loaded<Story>>, OpenError> {
        super::load(disk, Path::new(DIR), Story::begin)
    }

    #[test]
    fn what_was_written_is_read() {
        let disk = disk();
        assert!(load(&disk).unwrap().is_none());
        let written = write(&disk, 4).unwrap();
        let loaded = load(&disk).unwrap().unwrap();
        assert_eq!(loaded.written, written);
        assert_eq!(loaded.beginning, beginning());
        assert_eq!(loaded.ending, ending());
        let items = [
            item(1, b"jobs", b"first"),
            item(2, b"mails", &[7; 300 << 10]),
            item(3, b"", b""),
        ];
        let mut story = Story::begin(&beginning()).unwrap();
        for item in &items {
            story.stream(item).unwrap();
        }
        story.end(&ending()).unwrap();
        assert_eq!(loaded.content, story);
    }

    #[test]
    fn the_layout_is_frozen() {
        let disk = disk();
        let mut writer = Writer::begin(disk.clone(), Path::new(DIR), 5, &beginning()).unwrap();
        writer.stream(&item(2, b"k", b"img")).unwrap();
        let len = usize::try_from(writer.finish(&ending()).unwrap().len).unwrap();
        let mut bytes = vec![0; len];
        let file = disk.open(&path(Path::new(DIR), 5)).unwrap();
        file.read_at(0, &mut bytes).unwrap();
        // The order of databases is left out.
        bytes.drain(42..298);
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let golden = "4845414457434b50 94560edf 02000000 0500000000000000 \
                      14149396 01000000 1f01000000000000 8202 01 03 9901 \
                      abababababababababababababababababababab 07 01 068020 \
                      35bafac9 02000000 0c00000000000000 02 03 016b 014d 8304 03696d67 \
                      1825f3ff 03000000 0500000000000000 8406 09 01 02";
        assert_eq!(hex, golden.replace(' ', ""));
    }

    #[test]
    fn every_damaged_byte_and_every_missing_end_shows() {
        let disk = disk();
        let written = write(&disk, 4).unwrap();
        let path = path(Path::new(DIR), 4);
        // Nearly all of it is one image, of which some bytes will do.
        let len = usize::try_from(written.len).unwrap();
        let few = |pos: &usize| *pos < 500 || pos.is_multiple_of(4099) || pos + 100 > len;
        for pos in (0..len).filter(few) {
            let image = disk.after_kill();
            image.flip(&path, pos, 0x10);
            let error = load(&image).unwrap_err();
            assert!(
                matches!(error, OpenError::Checkpoint { .. }),
                "{pos}: {error}"
            );
            let image = disk.after_kill();
            image.truncate(&path, pos);
            let error = load(&image).unwrap_err();
            assert!(
                matches!(error, OpenError::Checkpoint { .. }),
                "{pos}: {error}"
            );
        }
    }

    #[test]
    fn a_damaged_checkpoint_gives_way_to_the_one_before_while_that_is_there() {
        let disk = disk();
        write(&disk, 4).unwrap();
        write(&disk, 5).unwrap();
        assert_eq!(load(&disk).unwrap().unwrap().written.number, 5);
        disk.flip(&path(Path::new(DIR), 5), 30, 1);
        assert_eq!(load(&disk).unwrap().unwrap().written.number, 4);
        remove_others(&*disk, Path::new(DIR), Some(5)).unwrap();
        let error = load(&disk).unwrap_err().to_string();
        let expected = "the checkpoint /checkpoint/00000000000000000005.ckpt cannot be used: at \
                        byte 24: the checksum of a section does not match";
        assert_eq!(error, expected);
    }

    #[test]
    fn a_section_is_valid_in_its_file_only() {
        let disk = disk();
        write(&disk, 4).unwrap();
        let (from, to) = (path(Path::new(DIR), 4), path(Path::new(DIR), 6));
        disk.rename(&from, &to).unwrap();
        assert!(load(&disk).is_err());
    }

    #[test]
    fn what_fails_leaves_nothing_or_a_whole_checkpoint() {
        let whole = disk();
        write(&whole, 4).unwrap();
        for stop in 0..whole.calls().len() {
            let disk = disk();
            disk.fail(stop, Fault::NoSpace, Repeat::Once);
            let failed = write(&disk, 4).is_err();
            let found = load(&disk).unwrap();
            assert!(failed || found.is_some(), "call {stop}");
        }
    }
}
