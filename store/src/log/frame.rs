//! The frame: the unit of writing, of checksums, of atomicity and of replication.
//!
//! ```text
//!  0      4      8            16           24      28     29      32        36         36 + len
//!  +------+------+------------+------------+-------+------+-------+---------+----------+
//!  | crc  | len  | lsn        | durable    | epoch | kind | 0 0 0 | records | body     |
//!  | u32  | u32  | u64        | u64        | u32   | u8   |       | u32     |          |
//!  +------+------+------------+------------+-------+------+-------+---------+----------+
//!         '------------------------ covered by crc ---------------------------------'
//! ```
//!
//! Integers are little-endian.
//!
//! * `crc`: CRC-32 of everything after it. It covers `len`: a damaged length is damage, not a
//!   length.
//! * `len`: bytes of body, at most [`BODY_MAX`], checked before anything is read by it.
//! * `lsn`: where this frame belongs. Bytes of another place (a misdirected write, another file)
//!   fail here even when their crc is right; and a frame can be recognised beyond damage.
//! * `durable`: the durable mark when this frame was closed. It is a *witness*: everything below it
//!   had been synced. [`recovery`](super::recovery) tells a torn tail from lost data by it.
//! * `epoch`: the number of the [epoch](crate::history) in which it was made. Epochs only grow
//!   along the log, so that bytes which a cut left behind never come back to life.
//! * `records`: how many records the body holds.
//!
//! | kind | name    | body                                                                |
//! |------|---------|---------------------------------------------------------------------|
//! | 1    | batch   | records, of one or more whole batches: all survive a crash, or none |
//! | 2    | epoch   | the id of the epoch ([`HistoryId`]), of which it is the first frame |
//! | 3    | witness | none; says `durable` when nothing else would                        |
//!
//! A replica has the same frames in the same places. What it writes itself is `durable`, of which
//! only it can bear witness, and so `crc`.
//!
//! Zeros are no frame: the checksum of a header of zeros is not 0.

use crate::history::{Epoch, HistoryId};
use crate::lsn::Lsn;
use crate::sabotage::{self, Bug};

/// Bytes of a frame's header.
pub(crate) const HEADER: usize = 36;
const _: () = assert!(
    HEADER == 4 + 4 + 8 + 8 + 4 + 1 + 3 + 4,
    "the drawing is right"
);

/// The most bytes a body can have. It bounds what a batch may hold, and keeps positions within a
/// segment far from the limits of 32 bits.
pub(crate) const BODY_MAX: u64 = 1 << 30;
const _: () = assert!(BODY_MAX < u32::MAX as u64, "a length fits its field");

/// A frame takes no further batch once its body has this many bytes: more would not make the header
/// or the checksum any cheaper, and would delay the first byte's way to the disk.
pub(crate) const FRAME_TARGET: usize = 256 << 10;

/// What a frame is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Kind {
    Batch = 1,
    Epoch = 2,
    Witness = 3,
}

impl Kind {
    /// Whether a frame of this kind can have so many bytes of body and so many records.
    fn suits(self, body: usize, records: u32) -> bool {
        match self {
            Self::Batch => body > 0 && records > 0,
            Self::Epoch => body == HistoryId::BYTES && records == 0,
            Self::Witness => body == 0 && records == 0,
        }
    }
}

/// What the header says besides length and checksum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Facts {
    pub(crate) lsn: Lsn,
    pub(crate) durable: Lsn,
    pub(crate) epoch: u32,
    pub(crate) kind: Kind,
    pub(crate) records: u32,
}

/// A whole frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Frame<'a> {
    pub(crate) facts: Facts,
    pub(crate) body: &'a [u8],
}

impl Frame<'_> {
    /// Bytes of header and body.
    pub(crate) fn len(&self) -> usize {
        HEADER + self.body.len()
    }

    /// Where the next frame begins.
    pub(crate) fn end(&self) -> Lsn {
        self.facts.lsn.plus(self.len() as u64)
    }

    /// The epoch that it begins, if it does.
    pub(crate) fn begins(&self) -> Option<Epoch> {
        let Facts {
            kind, lsn, epoch, ..
        } = self.facts;
        if kind != Kind::Epoch {
            return None;
        }
        let id = self.body.try_into().expect("an epoch frame has an id");
        Some(Epoch {
            number: epoch,
            start: lsn,
            id: HistoryId::new(id),
        })
    }
}

/// Fills in the header of `frame`: [`HEADER`] bytes of room, then the body.
pub(crate) fn seal(frame: &mut [u8], facts: &Facts) {
    assert!(
        facts.durable <= facts.lsn,
        "what is being written is not durable yet"
    );
    let (header, body) = frame.split_at_mut(HEADER);
    assert!(
        facts.kind.suits(body.len(), facts.records),
        "a body is right for its kind"
    );
    let len = u32::try_from(body.len()).expect("batches are admitted below BODY_MAX");

    header[4..8].copy_from_slice(&len.to_le_bytes());
    header[8..16].copy_from_slice(&facts.lsn.get().to_le_bytes());
    header[16..24].copy_from_slice(&facts.durable.get().to_le_bytes());
    header[24..28].copy_from_slice(&facts.epoch.to_le_bytes());
    header[28..32].copy_from_slice(&[facts.kind as u8, 0, 0, 0]);
    header[32..36].copy_from_slice(&facts.records.to_le_bytes());
    let crc = crc32fast::hash(&frame[4..]);
    frame[..4].copy_from_slice(&crc.to_le_bytes());
}

/// The frame at the beginning of `bytes`, if it is whole and belongs at `at`, where they lie.
#[warn(clippy::indexing_slicing)]
pub(crate) fn whole(bytes: &[u8], at: Lsn) -> Option<Frame<'_>> {
    let (header, rest) = bytes.split_first_chunk::<HEADER>()?;
    let (crc, header) = header.split_first_chunk::<4>()?;
    let (len, header) = header.split_first_chunk::<4>()?;
    let (lsn, header) = header.split_first_chunk::<8>()?;
    let (durable, header) = header.split_first_chunk::<8>()?;
    let (epoch, header) = header.split_first_chunk::<4>()?;
    let (kind, records) = header.split_first_chunk::<4>()?;

    let lsn = Lsn::new(u64::from_le_bytes(*lsn));
    let len = u32::from_le_bytes(*len);
    let misplaced = lsn != at && !sabotage::has(Bug::NoLsnCheck);
    if misplaced || u64::from(len) > BODY_MAX {
        return None;
    }
    let body = rest.get(..usize::try_from(len).ok()?)?;
    let covered = bytes.get(4..HEADER + body.len())?;
    if crc32fast::hash(covered) != u32::from_le_bytes(*crc) {
        return None;
    }
    let kind = match kind {
        [1, 0, 0, 0] => Kind::Batch,
        [2, 0, 0, 0] => Kind::Epoch,
        [3, 0, 0, 0] => Kind::Witness,
        _ => return None,
    };
    let records = u32::from_le_bytes(records.try_into().ok()?);
    let durable = Lsn::new(u64::from_le_bytes(*durable));
    if durable > lsn || !kind.suits(body.len(), records) {
        return None;
    }
    let epoch = u32::from_le_bytes(*epoch);
    Some(Frame {
        facts: Facts {
            lsn,
            durable,
            epoch,
            kind,
            records,
        },
        body,
    })
}

/// How many bytes of whole frames, by their headers, `bytes` begins with, which lie at `at`: as
/// many as fit into `max` bytes, but one frame at least, if that is there.
pub(crate) fn leading(bytes: &[u8], at: Lsn, max: usize) -> usize {
    let mut end = 0;
    while let Some((_, len)) = named(bytes, end, end + 1, at) {
        let fits = end == 0 || end + len <= max;
        if !fits || end + len > bytes.len() {
            break;
        }
        end += len;
    }
    end
}

/// Where the frame at the beginning of `bytes` belongs by its header, and how many bytes it has;
/// `None` while the header is not there. Nothing is verified.
pub(crate) fn announced(bytes: &[u8]) -> Option<(Lsn, u64)> {
    let (header, _) = bytes.split_first_chunk::<HEADER>()?;
    let len = u32::from_le_bytes(header[4..8].try_into().expect("it is four bytes long"));
    let lsn = u64::from_le_bytes(header[8..16].try_into().expect("it is eight bytes long"));
    Some((Lsn::new(lsn), HEADER as u64 + u64::from(len)))
}

/// The first place in `[from, to)` of `bytes` where a frame may begin that belongs there, and the
/// bytes that this frame has by its header; `bytes` lie at `at`. Frames name their place, so they
/// are found beyond damage, where no length can be trusted.
#[warn(clippy::indexing_slicing)]
pub(crate) fn named(bytes: &[u8], from: usize, to: usize, at: Lsn) -> Option<(usize, usize)> {
    let first = bytes.get(from + 8..)?;
    for (pos, byte) in (from..to).zip(first) {
        let lsn = at.plus(pos as u64).get().to_le_bytes();
        // Most places are told by one byte.
        let [low, ..] = lsn;
        let named = *byte == low && bytes.get(pos + 8..pos + 16) == Some(&lsn);
        if named || sabotage::has(Bug::NoLsnCheck) {
            let (len, _) = bytes.get(pos + 4..)?.split_first_chunk::<4>()?;
            let len = u32::from_le_bytes(*len);
            if u64::from(len) <= BODY_MAX {
                return Some((pos, HEADER + len as usize));
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::{Epoch, Facts, Frame, HEADER, HistoryId, Kind, named, seal, whole};
    use crate::lsn::Lsn;

    const FACTS: Facts = Facts {
        lsn: Lsn::new(0x0102),
        durable: Lsn::new(0x0100),
        epoch: 7,
        kind: Kind::Batch,
        records: 1,
    };

    fn sealed(facts: &Facts, body: &[u8]) -> Vec<u8> {
        let mut frame = vec![0; HEADER];
        frame.extend_from_slice(body);
        seal(&mut frame, facts);
        frame
    }

    #[test]
    fn the_layout_is_frozen() {
        let hex: String = sealed(&FACTS, b"hi")
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let golden = concat!(
            "e4787054 02000000 0201000000000000 0001000000000000 ",
            "07000000 01 000000 01000000 6869"
        );
        assert_eq!(hex, golden.replace(' ', ""));
    }

    #[test]
    fn the_first_frame_of_an_epoch_tells_its_id() {
        let facts = Facts {
            kind: Kind::Epoch,
            records: 0,
            ..FACTS
        };
        let bytes = sealed(&facts, &[0xab; HistoryId::BYTES]);
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let golden = concat!(
            "3c010792 14000000 0201000000000000 0001000000000000 ",
            "07000000 02 000000 00000000 abababababababababababababababababababab"
        );
        assert_eq!(hex, golden.replace(' ', ""));
        let epoch = Epoch {
            number: 7,
            start: facts.lsn,
            id: HistoryId::new([0xab; HistoryId::BYTES]),
        };
        assert_eq!(whole(&bytes, facts.lsn).unwrap().begins(), Some(epoch));
        let other = sealed(&FACTS, b"hi");
        assert_eq!(whole(&other, FACTS.lsn).unwrap().begins(), None);
    }

    #[test]
    fn a_sealed_frame_is_whole_at_its_place_only() {
        let bytes = sealed(&FACTS, b"hi");
        let frame = Frame {
            facts: FACTS,
            body: b"hi",
        };
        assert_eq!(whole(&bytes, FACTS.lsn), Some(frame));
        assert_eq!(frame.end(), Lsn::new(0x0102 + 38));
        assert_eq!(whole(&bytes, FACTS.lsn.plus(1)), None);
    }

    #[test]
    fn every_damaged_bit_and_every_missing_byte_shows() {
        let bytes = sealed(&FACTS, b"hi");
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(whole(&damaged, FACTS.lsn), None, "bit {bit}");
        }
        for len in 0..bytes.len() {
            assert_eq!(whole(&bytes[..len], FACTS.lsn), None, "{len} bytes");
        }
    }

    #[test]
    fn zeros_are_no_frame() {
        assert_eq!(whole(&[0; 99], Lsn::ZERO), None);
    }

    #[test]
    fn a_right_checksum_does_not_excuse_wrong_facts() {
        let resealed = |change: fn(&mut [u8])| {
            let mut bytes = sealed(&FACTS, b"hi");
            change(&mut bytes);
            let crc = crc32fast::hash(&bytes[4..]);
            bytes[..4].copy_from_slice(&crc.to_le_bytes());
            whole(&bytes, FACTS.lsn).is_none()
        };
        assert!(!resealed(|_| ()), "the helper is right");
        assert!(resealed(|bytes| bytes[28] = 9), "an unknown kind");
        assert!(
            resealed(|bytes| bytes[28] = 2),
            "an epoch frame with another body"
        );
        assert!(resealed(|bytes| bytes[29] = 1), "a reserved byte");
        assert!(resealed(|bytes| bytes[32] = 0), "a batch without records");
        assert!(resealed(|bytes| bytes[17] = 2), "a witness of itself");
        assert!(
            resealed(|bytes| bytes[7] = 0x41),
            "a length above the limit"
        );
    }

    #[test]
    fn frames_are_found_behind_damage_by_the_place_they_name() {
        let second = Facts {
            lsn: FACTS.lsn.plus(38),
            ..FACTS
        };
        let mut bytes = sealed(&FACTS, b"hi");
        bytes.extend(sealed(&second, b"you"));
        let len = bytes.len();
        assert_eq!(named(&bytes, 0, len, FACTS.lsn), Some((0, 38)));
        assert_eq!(named(&bytes, 1, len, FACTS.lsn), Some((38, 39)));
        assert_eq!(named(&bytes, 1, 38, FACTS.lsn), None);
        assert_eq!(named(&bytes, 39, len, FACTS.lsn), None);
        assert_eq!(named(&bytes, 0, len, Lsn::new(0x4000)), None);
        // A length that cannot be is none.
        bytes[7] = 0x80;
        assert_eq!(named(&bytes, 0, len, FACTS.lsn), Some((38, 39)));
    }
}
