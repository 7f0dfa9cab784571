//! Reading the files of a log: along the frames as far as they lead, and as little of the rest as
//! tells what became of it.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::decision::Seen;
use crate::disk::File;
use crate::error::{DiskError, OpenError, Witness};
use crate::history::{Epoch, History};
use crate::log::fences::Fences;
use crate::log::frame::{self, Kind, named, whole};
use crate::log::segment::{self, HEADER, HeaderSeen, Segment, position, to_usize};
use crate::log::{LogOptions, Progress, Replay, spare};
use crate::lsn::Lsn;

/// Bytes that are read, or written once more, at a time.
const PIECE: u64 = 1 << 20;

/// The file of a segment.
pub(super) struct Found {
    base: Lsn,
    path: PathBuf,
    file: Arc<dyn File>,
    len: u64,
}

impl Found {
    pub(super) fn new(base: Lsn, file: Arc<dyn File>, path: PathBuf) -> Result<Self, DiskError> {
        let len = file.len()?;
        Ok(Self {
            base,
            path,
            file,
            len,
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn base(&self) -> Lsn {
        self.base
    }

    pub(super) fn file(&self) -> Arc<dyn File> {
        Arc::clone(&self.file)
    }

    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// Whether it is a segment whose frames can lead up to `next`, by its header.
    pub(super) fn leads_to(&self, next: Lsn) -> Result<bool, DiskError> {
        let mut buffer = Vec::new();
        let header = Reading::new(self, &mut buffer).header()?;
        let is_itself = matches!(header, HeaderSeen::Whole { base, .. } if base == self.base);
        Ok(is_itself && position(self.base, next) <= self.len)
    }

    /// Cuts off what lies behind the frames, durably.
    pub(super) fn cut(&self, seen: &Seen) -> Result<(), DiskError> {
        if seen.dirt == 0 {
            return Ok(());
        }
        let end = position(seen.base, seen.end);
        let cut = end..end + seen.dirt;
        spare::zero(&*self.file, cut.clone())?;
        if let Some(fences) = fences_of(&seen.header) {
            fences.put(&*self.file, cut)?;
            self.file.sync_data()?;
        }
        Ok(())
    }

    /// Makes the segment, whose frames end at `end`, durable where `witness` does not say that it
    /// is, and part of the log.
    pub(super) fn restore(&self, end: Lsn, witness: Lsn) -> Result<Arc<Segment>, DiskError> {
        let end = position(self.base, end);
        let mut pos = if witness <= self.base {
            0
        } else {
            position(self.base, witness)
        };
        if pos < end {
            let mut piece = Vec::new();
            while pos < end {
                piece.resize(to_usize((end - pos).min(PIECE)), 0);
                self.file.read_at(pos, &mut piece)?;
                self.file.write_at(pos, &piece)?;
                pos += piece.len() as u64;
            }
            self.file.sync_data()?;
        }
        let map = self.file.map(self.len, end)?;
        Ok(Arc::new(Segment {
            base: self.base,
            file: self.file.clone(),
            map,
            file_len: self.len,
        }))
    }
}

fn fences_of(header: &HeaderSeen) -> Option<Fences> {
    match header {
        HeaderSeen::Whole { fences, .. } => *fences,
        HeaderSeen::UnknownVersion(_) | HeaderSeen::Damaged => None,
    }
}

/// A file, read from its beginning as far as somebody asked.
struct Reading<'a> {
    found: &'a Found,
    /// At least as long as what has been read: it is used again for one file after the other.
    buffer: &'a mut Vec<u8>,
    read: usize,
}

impl<'a> Reading<'a> {
    fn new(found: &'a Found, buffer: &'a mut Vec<u8>) -> Self {
        Self {
            found,
            buffer,
            read: 0,
        }
    }

    /// The beginning of the file: `len` bytes of it or more, unless it is shorter.
    fn bytes(&mut self, len: usize) -> Result<&[u8], DiskError> {
        let file_len = to_usize(self.found.len);
        if self.read < len.min(file_len) {
            let to = len.next_multiple_of(to_usize(PIECE)).min(file_len);
            self.buffer.resize(self.buffer.len().max(to), 0);
            let unread = &mut self.buffer[self.read..to];
            self.found.file.read_at(self.read as u64, unread)?;
            self.read = to;
        }
        Ok(&self.buffer[..self.read])
    }

    fn header(&mut self) -> Result<HeaderSeen, DiskError> {
        Ok(segment::read_header(self.bytes(HEADER)?))
    }

    /// What lies behind the header: `len` bytes of it or more, unless the file is shorter.
    fn frames(&mut self, len: usize) -> Result<&[u8], DiskError> {
        Ok(self.bytes(HEADER + len)?.get(HEADER..).unwrap_or(&[]))
    }

    fn all_frames(&mut self) -> Result<&[u8], DiskError> {
        self.frames(to_usize(self.found.len))
    }
}

/// The way along the frames.
pub(super) struct Walk<'a> {
    from: Lsn,
    epoch: Option<u32>,
    /// The history of what lies below `from`.
    before: &'a History,
    /// The epochs that begin at or behind `from`.
    begun: Vec<Epoch>,
    witness: Lsn,
    /// Where the last record ends.
    records_end: Lsn,
    frames: u64,
    progress: Option<&'a Progress>,
    replay: Replay<'a>,
}

impl<'a> Walk<'a> {
    pub(super) fn new(options: &'a LogOptions, replay: Replay<'a>) -> Self {
        Self {
            from: options.from,
            epoch: None,
            before: &options.history,
            begun: Vec::new(),
            witness: options.durable,
            records_end: options.from,
            frames: 0,
            progress: options.progress.as_deref(),
            replay,
        }
    }

    /// The epoch of the last frame that was followed.
    pub(super) fn epoch(&self) -> Option<u32> {
        self.epoch
    }

    /// The history of all that was followed.
    ///
    /// # Errors
    ///
    /// When it does not go on where the history of what lies before ends.
    pub(super) fn history(&self) -> Result<History, OpenError> {
        let mut history = self.before.clone();
        for epoch in &self.begun {
            let pushed = history.try_push(*epoch);
            pushed.map_err(|cause| OpenError::Malformed {
                at: epoch.start,
                cause,
            })?;
        }
        Ok(history)
    }

    /// Everything below has been durable.
    pub(super) fn witness(&self) -> Lsn {
        self.witness
    }

    /// Where the last record ends, of which some may lie before what was followed.
    pub(super) fn records_end(&self) -> Lsn {
        self.records_end
    }

    /// The epochs that were followed, from `from` on.
    pub(super) fn begun(&self) -> &[Epoch] {
        &self.begun
    }

    /// How many frames were followed.
    pub(super) fn frames(&self) -> u64 {
        self.frames
    }

    /// Looks at the segments and their frames.
    pub(super) fn survey(&mut self, found: &[Found]) -> Result<Vec<Seen>, OpenError> {
        if let Some(progress) = self.progress {
            let sealed = found.windows(2).map(|two| two[1].base.since(two[0].base));
            let last = found.last().map_or(0, |last| last.len);
            progress.begin(sealed.sum::<u64>() + last);
        }
        let mut buffer = Vec::new();
        let mut broken = false;
        let mut seen = Vec::new();
        for (index, file) in found.iter().enumerate() {
            let mut reading = Reading::new(file, &mut buffer);
            let header = reading.header()?;
            let is_whole = !broken && matches!(header, HeaderSeen::Whole { .. });
            let next = found.get(index + 1).map(|next| next.base);
            let end = if is_whole {
                self.follow(&mut reading)?
            } else {
                file.base
            };
            broken |= next != Some(end);
            let (dirt, witness) = if broken {
                self.behind(&mut reading, &header, end)?
            } else {
                (0, None)
            };
            seen.push(Seen {
                base: file.base,
                header,
                file_len: file.len,
                end,
                dirt: dirt as u64,
                witness,
            });
        }
        if let Some(progress) = self.progress {
            progress.finish();
        }
        Ok(seen)
    }

    /// Follows the frames of a segment to the last whole one and returns its end.
    fn follow(&mut self, reading: &mut Reading<'_>) -> Result<Lsn, OpenError> {
        let base = reading.found.base;
        let mut end = base;
        loop {
            let at = to_usize(end.since(base));
            let header = reading.frames(at + frame::HEADER)?;
            let Some((_, len)) = named(header, at, at + 1, base) else {
                return Ok(end);
            };
            let Some(frame) = whole(&reading.frames(at + len)?[at..], end) else {
                return Ok(end);
            };
            let epoch = frame.facts.epoch;
            let expected = match frame.facts.kind {
                Kind::Epoch => self.epoch.is_none_or(|last| last < epoch),
                Kind::Batch | Kind::Witness => self.epoch.is_none_or(|last| last == epoch),
            };
            if !expected {
                return Ok(end);
            }
            self.epoch = Some(epoch);
            self.frames += 1;
            self.witness = self.witness.max(frame.facts.durable);
            end = frame.end();
            self.begun
                .extend(frame.begins().filter(|begun| begun.start >= self.from));
            if let Some(progress) = self.progress {
                progress.add(frame.len() as u64);
            }
            if frame.facts.kind == Kind::Batch && end > self.from {
                self.records_end = end;
                let at = frame.facts.lsn.plus(frame::HEADER as u64);
                (self.replay)(at, frame.facts.records, frame.body)
                    .map_err(|cause| OpenError::Malformed { at, cause })?;
            }
        }
    }

    /// What lies behind the whole frames of a segment, which end at `end`: how many bytes are to be
    /// cut off, and the highest witness among the frames there.
    fn behind(
        &self,
        reading: &mut Reading<'_>,
        header: &HeaderSeen,
        end: Lsn,
    ) -> Result<(usize, Option<Witness>), DiskError> {
        let Found {
            base, file, len, ..
        } = reading.found;
        let start = to_usize(end.since(*base));
        let (to, mut touched) = match fences_of(header) {
            None => {
                let to = used(reading.all_frames()?).max(start);
                (to, to > start)
            }
            Some(fences) => {
                let reach = fences.reach(&**file, *len, position(*base, end))?;
                (to_usize(reach.pos) - HEADER, reach.touched)
            }
        };
        let mut witness: Option<Witness> = None;
        let mut from = start;
        while let Some((at, len)) = named(reading.frames(to + frame::HEADER)?, from, to, *base) {
            touched = true;
            from = at + 1;
            let here = base.plus(at as u64);
            if let Some(frame) = whole(&reading.frames(at + len)?[at..], here) {
                from = at + frame.len();
                // Frames of an earlier epoch are left over from before a cut.
                let mine = self.epoch.is_none_or(|last| last <= frame.facts.epoch);
                let durable = frame.facts.durable;
                if mine && witness.as_ref().is_none_or(|best| best.durable < durable) {
                    let frame = Some(here);
                    witness = Some(Witness { durable, frame });
                }
            }
        }
        Ok((if touched { to - start } else { 0 }, witness))
    }
}

/// The parts of a segment, looked at for itself, that are no frames and have frames behind them, or
/// the segment that begins at `next`.
pub(super) fn gaps(found: &Found, next: Option<Lsn>) -> Result<Vec<Range<Lsn>>, DiskError> {
    let mut buffer = Vec::new();
    let mut reading = Reading::new(found, &mut buffer);
    let frames = reading.all_frames()?;
    let place = |at: usize| found.base.plus(at as u64);
    let mut gaps = Vec::new();
    // Where the last frame ends, and where the next is looked for.
    let (mut end, mut from) = (0, 0);
    while let Some((at, len)) = named(frames, from, frames.len(), found.base) {
        from = at + 1;
        if whole(&frames[at..], place(at)).is_some() {
            if at > end {
                gaps.push(place(end)..place(at));
            }
            (end, from) = (at + len, at + len);
        }
    }
    gaps.extend(
        next.filter(|next| *next > place(end))
            .map(|next| place(end)..next),
    );
    Ok(gaps)
}

/// The length of `bytes` up to the last that is not zero.
fn used(bytes: &[u8]) -> usize {
    // Comparing slices is fast, which counts: most of an active segment is blank.
    const BLANK: [u8; 4096] = [0; 4096];
    let mut len = bytes.len();
    for piece in bytes.rchunks(BLANK.len()) {
        if piece != &BLANK[..piece.len()] {
            let last = piece.iter().rposition(|byte| *byte != 0);
            return len - piece.len() + last.map_or(0, |last| last + 1);
        }
        len -= piece.len();
    }
    0
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use super::{Found, HEADER, History, Reading, Replay, Walk, used};
    use crate::disk::{Disk, File, SimDisk};
    use crate::error::Witness;
    use crate::log::fences::Fences;
    use crate::log::frame::{self, Facts, Kind};
    use crate::log::segment::{self, HeaderSeen};
    use crate::lsn::Lsn;

    const LEN: u64 = 5 * 4096;
    const BASE: Lsn = Lsn::new(1000);

    #[test]
    fn what_is_used_ends_with_the_last_byte_that_is_not_zero() {
        let mut bytes = vec![0; 10_000];
        assert_eq!((used(&[]), used(&bytes)), (0, 0));
        for pos in [0, 1, 4095, 5903, 5904, 9998, 9999] {
            bytes[pos] = 1;
            assert_eq!(used(&bytes), pos + 1);
        }
    }

    /// A segment without frames, blank or recycled.
    fn segment(recycled: bool) -> (SimDisk, Arc<dyn File>, HeaderSeen) {
        let disk = SimDisk::new();
        let path = segment::path(Path::new("/"), BASE);
        let file = disk.create(&path, LEN).unwrap();
        let fences = recycled.then(|| Fences::draw(LEN));
        if let Some(fences) = fences {
            // Of an earlier life: whole frames, of other places.
            let old = sealed(Lsn::new(36), Lsn::ZERO, 1);
            for pos in (HEADER as u64..LEN - 36).step_by(36) {
                file.write_at(pos, &old).unwrap();
            }
            fences.put(&*file, 0..LEN).unwrap();
        }
        let header = segment::header(BASE, LEN, fences);
        file.write_at(0, &header).unwrap();
        (disk, file, segment::read_header(&header))
    }

    fn sealed(lsn: Lsn, durable: Lsn, epoch: u32) -> [u8; frame::HEADER] {
        let mut frame = [0; frame::HEADER];
        let facts = Facts {
            lsn,
            durable,
            epoch,
            kind: Kind::Witness,
            records: 0,
        };
        frame::seal(&mut frame, &facts);
        frame
    }

    /// What lies behind the frames, which end `end` bytes behind the beginning, when epoch 3 was
    /// the last.
    fn behind(disk: &SimDisk, header: &HeaderSeen, end: u64) -> (usize, Option<Witness>) {
        let path = segment::path(Path::new("/"), BASE);
        let found = Found::new(BASE, disk.open(&path).unwrap(), path).unwrap();
        let replay: Replay<'_> = &mut |_, _, _| Ok(());
        let walk = Walk {
            from: Lsn::ZERO,
            epoch: Some(3),
            before: &History::new(),
            begun: Vec::new(),
            witness: Lsn::ZERO,
            records_end: Lsn::ZERO,
            frames: 0,
            progress: None,
            replay,
        };
        let mut buffer = Vec::new();
        let mut reading = Reading::new(&found, &mut buffer);
        walk.behind(&mut reading, header, BASE.plus(end)).unwrap()
    }

    #[test]
    fn an_untouched_rest_is_nothing_to_cut_off_whatever_it_is_full_of() {
        for recycled in [false, true] {
            let (disk, _, header) = segment(recycled);
            for end in [0, 10, 36, 4096, 3 * 4096, 4 * 4096 - 36, 4 * 4096] {
                assert_eq!(behind(&disk, &header, end), (0, None), "{recycled} {end}");
            }
        }
    }

    #[test]
    fn frames_behind_the_end_are_cut_off_and_bear_witness_unless_their_epoch_is_over() {
        for recycled in [false, true] {
            for (epoch, heard) in [(2, false), (3, true), (4, true)] {
                let (disk, file, header) = segment(recycled);
                let at = BASE.plus(200);
                let pos = segment::position(BASE, at);
                file.write_at(pos, &sealed(at, BASE.plus(50), epoch))
                    .unwrap();
                let told = heard.then(|| Witness {
                    durable: BASE.plus(50),
                    frame: Some(at),
                });
                // A recycled file is cut up to the next fence, a fresh one up to the zeros, which a
                // witness ends with.
                let to = if recycled { 4096 } else { 229 };
                assert_eq!(behind(&disk, &header, 40), (to - 40, told), "{recycled}");
                assert_eq!(behind(&disk, &header, 300), (0, None));
            }
        }
    }

    #[test]
    fn a_torn_frame_is_cut_off_and_bears_no_witness() {
        for recycled in [false, true] {
            let (disk, file, header) = segment(recycled);
            let at = BASE.plus(40);
            let torn = &sealed(at, BASE, 3)[..20];
            file.write_at(segment::position(BASE, at), torn).unwrap();
            let (dirt, witness) = behind(&disk, &header, 40);
            assert!(dirt >= 18 && witness.is_none(), "{recycled} {dirt}");
        }
    }

    #[test]
    fn a_fence_that_was_written_over_has_all_before_it_looked_at() {
        let (disk, file, header) = segment(true);
        file.write_at(2 * 4096, b"torn").unwrap();
        assert_eq!(behind(&disk, &header, 40), (2 * 4096 - 40, None));

        let (disk, file, header) = segment(true);
        let at = BASE.plus(2 * 4096 + 50);
        let told = sealed(at, BASE.plus(20), 3);
        file.write_at(segment::position(BASE, at), &told).unwrap();
        // The frame lies behind a fence that says that nothing has come so far.
        assert_eq!(behind(&disk, &header, 40), (0, None));
        file.write_at(4 * 4096, b"later").unwrap();
        let (dirt, witness) = behind(&disk, &header, 40);
        assert_eq!(dirt, 4 * 4096 - 40);
        assert_eq!(witness.unwrap().frame, Some(at));
    }

    #[test]
    fn little_of_a_recycled_file_is_read() {
        let (disk, _, header) = segment(true);
        let before = disk.calls().len();
        behind(&disk, &header, 40);
        let reads = disk.calls().len() - before;
        // It is opened; its length, three fences, and one piece of what lies before the first.
        assert_eq!(reads, 2 + 3 + 1);
    }
}
