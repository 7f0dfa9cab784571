//! Damage to the files of a log that no crash explains.
//!
//! What can be proved about a single copy: if any frame outside of the damage bears witness that
//! the damaged place had been durable, the log does not open. Otherwise the damage looks like a
//! tear, and the log ends before it. Nothing wrong is ever replayed.

use std::path::{Path, PathBuf};

use headwater_store::disk::SimDisk;
use headwater_store::error::{Corruption, OpenError};
use headwater_store::log::LogOptions;
use headwater_store::lsn::Lsn;

use crate::release::{Life, RECYCLING, STEPS, segments};
use crate::support::{
    FRAME, History, SEGMENT, SMALL, append, budget, dir, open, run_script, try_open,
};

/// A frame, as the drawing of the format has it.
struct Frame {
    file: PathBuf,
    pos: usize,
    len: usize,
    durable: Lsn,
}

/// The frames of a log whose files are whole.
fn frames(disk: &SimDisk) -> Vec<Frame> {
    let mut frames = Vec::new();
    for (file, bytes) in segments(disk) {
        let number = |pos: usize| {
            let field = bytes.get(pos..pos + 8)?;
            Some(u64::from_le_bytes(field.try_into().unwrap()))
        };
        let base = number(16).unwrap();
        let mut pos = SEGMENT;
        // What is not a frame of its place is blank, or old.
        while number(pos + 8) == Some(base + (pos - SEGMENT) as u64)
            && bytes[pos..pos + 4] != [0; 4]
        {
            let len = FRAME
                + u64::from(u32::from_le_bytes(
                    bytes[pos + 4..pos + 8].try_into().unwrap(),
                ));
            let len = usize::try_from(len).unwrap();
            frames.push(Frame {
                file: file.clone(),
                pos,
                len,
                durable: Lsn::new(number(pos + 16).unwrap()),
            });
            pos += len;
        }
    }
    frames
}

/// A log that was closed, or whose process was killed.
fn a_log(closed: bool) -> (SimDisk, Life) {
    let mut life = Life::of(&SMALL);
    let disk = SimDisk::new();
    let (log, _) = open(&disk, &SMALL);
    run_script(&log, &mut life.history);
    life.history.sync(&log).unwrap();
    if closed {
        log.close().unwrap();
    }
    (disk.after_kill(), life)
}

/// The same of a log that writes into recycled files.
fn a_recycled_log(closed: bool) -> (SimDisk, Life) {
    let mut life = Life::of(&RECYCLING);
    let disk = SimDisk::new();
    let (log, _) = open(&disk, &RECYCLING);
    life.live(&log, STEPS).unwrap();
    life.history.sync(&log).unwrap();
    assert!(log.stats().recycled >= 3);
    if closed {
        log.close().unwrap();
    }
    (disk.after_kill(), life)
}

/// Opens a damaged log. `None` when it is refused, else how many batches are there.
fn survive(disk: &SimDisk, life: &Life) -> Option<usize> {
    let before = disk.files();
    match try_open(disk, &life.options()) {
        Ok((_, replayed)) => Some(life.kept(&replayed)),
        Err(OpenError::Corrupt(_)) => {
            assert_eq!(disk.files(), before, "a refusal changes nothing");
            None
        }
        Err(other) => panic!("{other}"),
    }
}

/// How many batches are vouched for by the frames that are not hit by damage to bytes `[from, to)`
/// of a file, and by the one who opens the log.
fn vouched(life: &Life, frames: &[Frame], file: &Path, from: usize, to: usize) -> usize {
    let hit = |frame: &&Frame| frame.file == file && frame.pos < to && from < frame.pos + frame.len;
    let witness = frames
        .iter()
        .filter(|frame| !hit(frame))
        .map(|frame| frame.durable)
        .chain([life.options().durable])
        .max();
    let batches = life.history.batches.iter();
    batches
        .take_while(|batch| Some(batch.end) <= witness)
        .count()
}

fn flip_every_byte((whole, life): &(SimDisk, Life), closed: bool, files: &[(PathBuf, Vec<u8>)]) {
    let frames = frames(whole);
    let masks: &[u8] = &[0x01, 0x80, 0xff];
    let mut refused = 0;
    let mut opened = 0;
    for (file, bytes) in files {
        for pos in 0..bytes.len() {
            let masks = if budget() > 1 {
                masks
            } else {
                &masks[pos % 3..][..1]
            };
            for mask in masks {
                let disk = whole.after_kill();
                disk.flip(file, pos, *mask);
                match survive(&disk, life) {
                    None => refused += 1,
                    Some(kept) => {
                        opened += 1;
                        let vouched = vouched(life, &frames, file, pos, pos + 1);
                        assert!(
                            kept >= vouched,
                            "{}, byte {pos} ^ {mask:#x}",
                            file.display()
                        );
                        assert!(!closed || kept == life.history.batches.len());
                    }
                }
            }
        }
    }
    assert!(
        refused > 1000 && opened > 1000,
        "{refused} refused, {opened} opened"
    );
}

#[test]
fn any_flipped_byte_of_a_closed_log_is_refused_or_harmless() {
    let log = a_log(true);
    flip_every_byte(&log, true, &segments(&log.0));
}

#[test]
fn any_flipped_byte_of_a_crashed_log_is_refused_or_costs_only_what_nobody_vouches_for() {
    let log = a_log(false);
    flip_every_byte(&log, false, &segments(&log.0));
}

#[test]
fn any_flipped_byte_of_a_recycled_segment_is_refused_or_costs_only_what_nobody_vouches_for() {
    for closed in [true, false] {
        let log = a_recycled_log(closed);
        let segments = segments(&log.0);
        // Those before it are followed, or looked at, like any other.
        let active = &segments[segments.len() - 1..];
        flip_every_byte(&log, closed, active);
    }
}

#[test]
fn a_recycled_segment_cut_short_is_refused_unless_it_lost_its_header() {
    let (whole, life) = a_recycled_log(false);
    let (file, bytes) = segments(&whole).pop().unwrap();
    let frames = frames(&whole);
    for len in (0..bytes.len()).step_by(7) {
        let disk = whole.after_kill();
        disk.truncate(&file, len);
        let outcome = survive(&disk, &life);
        if len < SEGMENT {
            let vouched = vouched(&life, &frames, &file, 0, bytes.len());
            assert!(outcome.is_some_and(|kept| kept >= vouched));
        } else {
            assert_eq!(outcome, None, "{len} bytes");
        }
    }
}

#[test]
fn a_segment_cut_short_is_refused_unless_it_is_the_last_and_lost_its_header() {
    for closed in [true, false] {
        let (whole, life) = a_log(closed);
        let segments = segments(&whole);
        let frames = frames(&whole);
        for (index, (file, bytes)) in segments.iter().enumerate() {
            for len in 0..bytes.len() {
                let disk = whole.after_kill();
                disk.truncate(file, len);
                let outcome = survive(&disk, &life);
                let last = index + 1 == segments.len();
                if len < SEGMENT && last {
                    // So a crash leaves a segment that was begun and not synced.
                    let kept = outcome.expect("this is how a crash leaves a new segment");
                    assert!(kept >= vouched(&life, &frames, file, 0, bytes.len()));
                } else {
                    assert_eq!(outcome, None, "{} of {len} bytes", file.display());
                }
            }
        }
    }
}

fn corruption(disk: &SimDisk, options: &LogOptions) -> Corruption {
    match try_open(disk, options) {
        Err(OpenError::Corrupt(corruption)) => corruption,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_missing_segment_is_noticed_wherever_it_was() {
    let (whole, _) = a_log(true);
    let files: Vec<PathBuf> = segments(&whole).into_iter().map(|(file, _)| file).collect();
    assert!(files.len() >= 4);
    for (index, file) in files.iter().enumerate().take(files.len() - 1) {
        let disk = whole.after_kill();
        headwater_store::disk::Disk::remove(&disk, file).unwrap();
        let corruption = corruption(&disk, &SMALL);
        match index {
            0 => assert!(matches!(
                corruption,
                Corruption::NoStart {
                    begins: Some(_),
                    ..
                }
            )),
            _ => assert!(matches!(corruption, Corruption::Lost { .. })),
        }
    }
    let disk = SimDisk::new();
    let corruption = corruption(
        &disk,
        &LogOptions {
            keep: Lsn::new(9),
            from: Lsn::new(9),
            durable: Lsn::new(9),
            ..SMALL
        },
    );
    assert_eq!(
        corruption,
        Corruption::NoStart {
            needed: Lsn::new(9),
            begins: None
        }
    );
}

#[test]
fn a_log_may_begin_late_but_not_end_early() {
    let (whole, Life { history, .. }) = a_log(true);
    let first = segments(&whole).remove(0).0;
    let second = segments(&whole).remove(1).0;
    let base = second
        .file_stem()
        .unwrap()
        .to_str()
        .unwrap()
        .parse()
        .unwrap();
    let base = Lsn::new(base);
    let replayed_from = LogOptions {
        from: base,
        durable: base,
        ..SMALL
    };
    let needed_from = LogOptions {
        keep: base,
        ..replayed_from.clone()
    };
    let below = history
        .batches
        .iter()
        .filter(|batch| batch.end <= base)
        .count();
    let rest = History {
        batches: history.batches[below..].to_vec(),
        ..history
    };

    // What is kept and not replayed must be there, and whole.
    let (log, replayed) = open(&whole.after_kill(), &replayed_from);
    assert_eq!(log.stats().start, Lsn::ZERO);
    assert_eq!(rest.kept(&replayed), rest.batches.len());
    let disk = whole.after_kill();
    for pos in [SEGMENT + 50, 30] {
        disk.flip(&first, pos, 1);
        let found = corruption(&disk, &replayed_from);
        let Corruption::Lost { file, at, .. } = found else {
            panic!("{found:?}")
        };
        assert!(file == first && at < base, "{file:?} at {at}");
    }
    headwater_store::disk::Disk::remove(&disk, &first).unwrap();
    assert_eq!(
        corruption(&disk, &replayed_from),
        Corruption::NoStart {
            needed: Lsn::ZERO,
            begins: Some(base)
        }
    );

    // What is not needed is not even looked at, and goes.
    let disk = whole.after_kill();
    disk.truncate(&first, 7);
    for _ in 0..2 {
        let (log, replayed) = open(&disk.after_kill(), &needed_from);
        assert_eq!(log.stats().start, base);
        assert_eq!(rest.kept(&replayed), rest.batches.len());
    }
    let (log, _) = open(&disk, &needed_from);
    assert!(!disk.files().contains_key(&first));

    // A checkpoint that has seen more than the log holds proves a loss.
    let end = log.appended();
    drop(log);
    let beyond = LogOptions {
        durable: end.plus(1),
        ..needed_from
    };
    let Corruption::Lost { at, witness, .. } = corruption(&disk, &beyond) else {
        panic!()
    };
    assert_eq!(
        (at, witness.durable, witness.frame),
        (end, end.plus(1), None)
    );
}

#[test]
fn a_segment_under_another_name_is_refused() {
    let (whole, _) = a_log(true);
    let second = segments(&whole).remove(1).0;
    let disk = whole.after_kill();
    let other = dir().join("00000000000000000001.log");
    headwater_store::disk::Disk::rename(&disk, &second, &other).unwrap();
    let corruption = corruption(&disk, &SMALL);
    assert!(matches!(corruption, Corruption::Renamed { file, .. } if file == other));
}

#[test]
fn what_does_not_decode_stops_the_start_and_names_the_place() {
    let disk = SimDisk::new();
    let (log, _) = open(&disk, &SMALL);
    let at = append(&log, b"from the future");
    log.close().unwrap();
    drop(log);
    let refused = headwater_store::log::Log::open(
        std::sync::Arc::new(disk.clone()),
        &dir(),
        SMALL,
        &mut |_, _, _| {
            Err(headwater_store::error::Malformed {
                what: "an unknown record",
            })
        },
    );
    let Err(OpenError::Malformed { at: named, .. }) = refused else {
        panic!("{refused:?}")
    };
    assert_eq!(named, at);
    open(&disk, &SMALL);
}

#[test]
fn the_next_epoch_is_higher_even_if_nothing_is_left_of_what_is_needed() {
    let disk = SimDisk::new();
    for _ in 0..3 {
        open(&disk, &SMALL).0.close().unwrap();
    }
    let (log, _) = open(&disk, &SMALL);
    append(&log, &[1; 3500]);
    let base = log.sync().unwrap();
    append(&log, &[2; 3500]);
    log.sync().unwrap();
    assert_eq!(log.stats().epoch, 4);
    let last = segments(&disk).pop().unwrap().0;
    disk.flip(&last, SEGMENT, 1);
    let needed_from = LogOptions {
        keep: base,
        from: base,
        durable: base,
        ..SMALL
    };
    for epoch in [5, 6] {
        let (log, replayed) = open(&disk, &needed_from);
        assert_eq!((log.stats().epoch, replayed.len()), (epoch, 0));
        assert!(log.appended() > base);
    }
}
