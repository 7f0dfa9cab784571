//! Letting go of segments and using their files again: what a crash at any call leaves, what a
//! refusal of any call does, and who keeps a file from being used again.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use headwater_store::disk::{Disk, Fault, Loss, Repeat, SimDisk};
use headwater_store::error::Doing;
use headwater_store::history::History as Epochs;
use headwater_store::log::{Log, LogOptions, Progress, SyncPolicy};
use headwater_store::lsn::Lsn;

use crate::support::{
    EPOCH, History, LEAD, Replayed, SEGMENT, append, budget, dir, losses, open, try_open,
};

/// Segments with room for eleven of the batches below and three fences.
pub(crate) const RECYCLING: LogOptions = LogOptions {
    segment_bytes: 4 * 4096,
    policy: SyncPolicy::Always,
    spares: 1,
    spares_max: 2,
    reserve_bytes: 0,
    keep: Lsn::ZERO,
    retain: 0,
    from: Lsn::ZERO,
    durable: Lsn::ZERO,
    history: Epochs::new(),
    role: LEAD,
    progress: None,
};

/// A log that somebody writes to, makes checkpoints of, and releases.
#[derive(Clone, Debug)]
pub(crate) struct Life {
    pub(crate) history: History,
    options: LogOptions,
    keep: Lsn,
    from: Lsn,
    durable: Lsn,
    step: usize,
    /// Bytes of a batch. A frame has two of them.
    batch: usize,
}

impl Life {
    pub(crate) fn of(options: &LogOptions) -> Self {
        Self {
            history: History::default(),
            options: options.clone(),
            keep: Lsn::ZERO,
            from: Lsn::ZERO,
            durable: Lsn::ZERO,
            step: 0,
            batch: 1000,
        }
    }

    pub(crate) fn options(&self) -> LogOptions {
        LogOptions {
            keep: self.keep,
            from: self.from,
            durable: self.durable,
            ..self.options.clone()
        }
    }

    /// Appends batches, all of one size, so that in every life of a file its frames begin at the
    /// same places; syncs some, and releases what is two checkpoints old. `None` once the log is
    /// poisoned.
    pub(crate) fn live(&mut self, log: &Log, steps: usize) -> Option<()> {
        for _ in 0..steps {
            self.step += 1;
            if self.history.append(log, &[self.batch]).is_none() && log.poisoned().is_some() {
                return None;
            }
            match self.step % 4 {
                0 => self.history.sync(log)?,
                2 => drop(log.try_write().ok()?),
                _ => {}
            }
            if self.step.is_multiple_of(12) {
                self.checkpoint(log);
                log.release(self.keep).ok()?;
            }
        }
        Some(())
    }

    fn checkpoint(&mut self, log: &Log) {
        (self.keep, self.from, self.durable) = (self.from, self.durable, log.durable());
    }

    /// Opens what a crash or a kill left, and checks that it is all there.
    fn resume(&self, disk: &SimDisk, story: &str) -> (Arc<Log>, Self) {
        let durable = self.durable.max(self.history.acknowledged);
        assert_names(disk, durable, story);
        let opened = try_open(disk, &self.options());
        let (log, replayed) = opened.unwrap_or_else(|refused| panic!("{story}: {refused}"));
        let kept = self.kept(&replayed);
        let acknowledged = self.history.acknowledged();
        assert!(kept >= acknowledged, "{story}: {kept} of {acknowledged}");
        let mut rest = self.clone();
        rest.history.batches.truncate(kept);
        rest.check_readable(&log);
        assert!(log.stats().start <= self.keep);
        (log, rest)
    }

    /// How many batches there are, by what was replayed.
    pub(crate) fn kept(&self, replayed: &[Replayed]) -> usize {
        let batches = &self.history.batches;
        let below = batches.partition_point(|batch| batch.end <= self.from);
        let behind = History {
            batches: batches[below..].to_vec(),
            ..History::default()
        };
        below + behind.kept(replayed)
    }

    /// Everything from `keep` on can be read.
    fn check_readable(&self, log: &Log) {
        for batch in &self.history.batches {
            let at = Lsn::new(batch.end.get() - batch.bytes.len() as u64);
            if at >= self.keep {
                assert!(log.read(at, |bytes| bytes.starts_with(&batch.bytes)));
            }
        }
    }
}

/// Every file with the name of a segment is that segment, or was not durable yet.
fn assert_names(disk: &SimDisk, durable: Lsn, story: &str) {
    for (path, bytes) in segments(disk) {
        let base = base_of(&path);
        let header = bytes.get(..SEGMENT).unwrap_or_default();
        let magic = b"HEADWLOG";
        let named = header.starts_with(magic) && header[16..24] == base.get().to_le_bytes();
        let blank = header.iter().all(|byte| *byte == 0);
        let fine = named || blank && base >= durable;
        assert!(fine, "{story}: {} is no such segment", path.display());
    }
}

pub(crate) fn segments(disk: &SimDisk) -> Vec<(PathBuf, Vec<u8>)> {
    let is_segment = |path: &Path| path.extension().is_some_and(|extension| extension == "log");
    let files = disk.files().into_iter();
    files.filter(|(path, _)| is_segment(path)).collect()
}

fn base_of(path: &Path) -> Lsn {
    Lsn::new(path.file_stem().unwrap().to_str().unwrap().parse().unwrap())
}

/// The steps after which the log has released and recycled several times.
pub(crate) const STEPS: usize = 65;

/// Lives until the machine stops at a call; `None` when it is through before.
fn crash_at(call: usize) -> Option<(SimDisk, Life)> {
    let disk = SimDisk::new();
    disk.stop_at(call);
    let mut life = Life::of(&RECYCLING);
    if let Ok((log, _)) = try_open(&disk, &RECYCLING)
        && life.live(&log, STEPS).is_some()
        && log.close().is_ok()
    {
        return None;
    }
    Some((disk, life))
}

fn is_read(doing: Doing) -> bool {
    matches!(
        doing,
        Doing::List | Doing::Map | Doing::Measure | Doing::Open | Doing::Read
    )
}

#[test]
fn the_life_is_worth_crashing() {
    let disk = SimDisk::new();
    let (log, _) = open(&disk, &RECYCLING);
    let mut life = Life::of(&RECYCLING);
    life.live(&log, STEPS).unwrap();
    let stats = log.stats();
    assert!(stats.recycled >= 3, "{stats:?}");
    assert_eq!(stats.start.get(), stats.released_bytes);
    // Files that hold their second life, one of them in the middle of it.
    let recycled = |bytes: &[u8]| bytes[32..40] != [0; 8];
    let lives: Vec<bool> = segments(&disk)
        .iter()
        .map(|(_, bytes)| recycled(bytes))
        .collect();
    assert!(lives.ends_with(&[true]), "{lives:?}");
}

#[test]
fn a_crash_at_any_call_of_a_life_with_releases_leaves_all_that_is_needed() {
    let mut call = 0;
    let mut images = 0_u64;
    while let Some((disk, life)) = crash_at(call) {
        if is_read(disk.calls()[call].doing) {
            call += 1;
            continue;
        }
        let first = call as u64 * 1000;
        for loss in losses(first..first + 3 * budget()) {
            let story = format!("call {call} {:?}, {loss:?}", disk.calls()[call]);
            let image = disk.after_crash(loss);
            let (log, mut rest) = life.resume(&image, &story);
            images += 1;

            // It goes on, through files that are used again, and crashes again.
            let kept = rest.history.batches.len();
            rest.live(&log, 14).unwrap();
            rest.history.sync(&log).unwrap();
            let again = format!("{story}, and again");
            let (_, later) = rest.resume(&image.after_crash(loss), &again);
            assert!(later.history.batches.len() == kept + 14, "{again}");
        }
        call += 1;
    }
    assert!(images > 500, "the life is long enough: {images}");
}

#[test]
fn a_crash_during_the_recovery_of_a_recycled_log_changes_nothing_about_its_outcome() {
    let mut call = 0;
    let mut interrupted = 0;
    while let Some((disk, life)) = crash_at(call) {
        for loss in losses(call as u64..call as u64 + 1) {
            let story = format!("call {call}, {loss:?}");
            let (_, rest) = life.resume(&disk.after_crash(loss), &story);
            for stop_at in 0.. {
                let image = disk.after_crash(loss);
                image.stop_at(stop_at);
                if try_open(&image, &life.options()).is_ok() {
                    break;
                }
                if is_read(image.calls()[stop_at].doing) {
                    continue;
                }
                interrupted += 1;
                let again = image.after_crash(Loss::Sectors(stop_at as u64));
                let story = format!("{story}, stopped at {stop_at}");
                let (_, after) = life.resume(&again, &story);
                let kept = |life: &Life| life.history.batches.len();
                assert_eq!(kept(&after), kept(&rest), "{story}");
            }
        }
        call += if budget() > 1 { 2 } else { 7 };
    }
    assert!(interrupted > 300, "recovery is interrupted: {interrupted}");
}

#[test]
fn an_open_removes_what_is_not_needed_when_the_names_of_what_is_are_durable() {
    let disk = SimDisk::new();
    let (log, _) = open(&disk, &RECYCLING);
    for _ in 0..11 {
        append(&log, &[1; 1000]);
        log.try_write().unwrap();
    }
    let base = log.sync().unwrap();
    append(&log, &[2; 1000]);
    log.try_write().unwrap();
    assert_eq!(log.hold()[1].base(), base);
    let options = LogOptions {
        keep: base,
        from: base,
        durable: base,
        ..RECYCLING
    };
    let mut removed = 0;
    for stop_at in 0.. {
        let image = disk.after_kill();
        image.stop_at(stop_at);
        let opened = try_open(&image, &options).is_ok();
        for loss in losses(0..10 * budget()) {
            let image = image.after_crash(loss);
            removed += usize::from(
                !image
                    .files()
                    .contains_key(&dir().join("00000000000000000000.log")),
            );
            let (log, replayed) = open(&image, &options);
            assert!(replayed.len() <= 1, "stopped at {stop_at}, {loss:?}");
            assert!(log.stats().epoch >= 2, "stopped at {stop_at}, {loss:?}");
        }
        if opened {
            break;
        }
    }
    assert!(removed > 0);
}

#[test]
fn what_the_file_system_refuses_a_release_costs_a_file_or_poisons_the_log() {
    let prepare = || {
        let disk = SimDisk::new();
        let (log, _) = open(&disk, &RECYCLING);
        let mut life = Life::of(&RECYCLING);
        life.live(&log, 35).unwrap();
        life.history.append(&log, &[1000]).unwrap();
        life.history.sync(&log).unwrap();
        life.step += 1;
        for _ in 0..2 {
            life.checkpoint(&log);
        }
        (disk, log, life)
    };
    let (first, calls) = {
        let (disk, log, life) = prepare();
        let before = disk.calls().len();
        log.release(life.keep).unwrap();
        assert!(log.stats().recycled > 0);
        (before, disk.calls().len())
    };
    assert!(
        calls - first > 10,
        "a release is some work: {first} {calls}"
    );
    let mut poisoned = 0;
    let mut recycled = 0;
    for call in first..calls {
        for fault in [
            Fault::Io,
            Fault::NoSpace,
            Fault::ReadOnly,
            Fault::ShortWrite,
        ] {
            for repeat in [Repeat::Once, Repeat::Forever] {
                let (disk, log, mut life) = prepare();
                disk.fail(call, fault, repeat);
                let done = log.release(life.keep);
                let story = format!("{:?}, {fault:?}, {repeat:?}", disk.calls()[call]);
                let is_names = disk.calls()[call].path == dir();
                assert_eq!(done.is_err(), log.poisoned().is_some(), "{story}");
                if repeat == Repeat::Once {
                    assert_eq!(done.is_err(), is_names, "{story}");
                }
                if repeat == Repeat::Once && !is_names {
                    recycled += log.stats().recycled;
                    life.live(&log, 40).unwrap();
                    life.history.sync(&log).unwrap();
                } else {
                    // Whatever comes next fails, too: nothing more is acknowledged.
                    poisoned += 1;
                    life.live(&log, 4);
                }
                life.check_readable(&log);
                for image in [disk.after_kill(), disk.after_crash(Loss::All)] {
                    life.resume(&image, &story);
                }
            }
        }
    }
    assert!(poisoned > 30 && recycled > 30, "{poisoned} {recycled}");
}

#[test]
fn a_log_that_moves_on_makes_no_files() {
    let disk = SimDisk::new();
    let (log, _) = open(&disk, &RECYCLING);
    let mut life = Life::of(&RECYCLING);
    life.live(&log, 60).unwrap();
    let (files, stats) = (disk.files().len(), log.stats());
    life.live(&log, 600).unwrap();
    let later = log.stats();
    assert_eq!(later.made, stats.made);
    assert!(later.recycled > stats.recycled + 40, "{later:?}");
    assert!(disk.files().len() <= files + 1);
    let bytes: u64 = disk.files().values().map(|bytes| bytes.len() as u64).sum();
    assert_eq!(later.bytes_on_disk, bytes);
}

#[test]
fn no_more_files_are_kept_than_are_wanted_and_none_of_another_size() {
    for (spares_max, recycled) in [(0, 0), (1, 1), (2, 2), (9, 3)] {
        let disk = SimDisk::new();
        let options = LogOptions {
            spares_max,
            ..RECYCLING
        };
        let (log, _) = open(&disk, &options);
        // The second segment is a larger one.
        append(&log, &[1; 40_000]);
        for _ in 0..33 {
            append(&log, &[2; 1000]);
        }
        log.sync().unwrap();
        assert_eq!(log.stats().segments, 5);
        log.release(log.durable()).unwrap();
        let stats = log.stats();
        let found = (stats.segments, stats.spares, stats.recycled);
        assert_eq!(found, (1, recycled, recycled as u64), "{spares_max}");
        assert_eq!(disk.files().len(), 1 + recycled);
    }
}

#[test]
fn what_is_not_durable_and_the_last_durable_frame_are_not_let_go_of() {
    let disk = SimDisk::new();
    let (log, _) = open(&disk, &RECYCLING);
    let append_some = |count| {
        for _ in 0..count {
            append(&log, &[1; 1000]);
            log.try_write().unwrap();
        }
    };
    append_some(11);
    let durable = log.sync().unwrap();
    append_some(12);
    log.release(log.appended()).unwrap();
    assert_eq!((log.beginning(), log.stats().segments), (Lsn::ZERO, 3));
    // Nothing is durable in the second segment, which begins just there.
    assert_eq!(log.hold()[1].base(), durable);
    log.sync().unwrap();
    log.release(log.appended()).unwrap();
    assert_eq!(log.stats().segments, 1);
    assert!(log.beginning() < log.durable());
}

#[test]
fn a_file_that_somebody_holds_is_used_again_when_it_is_let_go_of() {
    let disk = SimDisk::new();
    let (log, _) = open(&disk, &RECYCLING);
    let mut life = Life::of(&RECYCLING);
    life.live(&log, 30).unwrap();
    life.history.sync(&log).unwrap();
    let held = log.hold();
    assert!(
        held.iter()
            .skip(1)
            .zip(&held)
            .all(|(next, held)| held.end() == Some(next.base()))
    );
    assert_eq!(held.last().unwrap().end(), None);
    let before = disk.files();
    log.release(log.durable()).unwrap();
    let path = held[0].path().to_owned();
    assert_eq!(log.stats().recycled, 0);
    assert_eq!(disk.files()[&path], before[&path]);
    drop(held);
    assert_eq!(log.stats().recycled, 0);
    log.release(Lsn::ZERO).unwrap();
    assert_eq!(log.stats().recycled, 2);
    assert!(!disk.files().contains_key(&path));
}

#[test]
fn a_file_with_another_name_is_left_to_it() {
    let disk = SimDisk::new();
    let backup = Path::new("/backup");
    disk.create_dir(backup).unwrap();
    let (log, _) = open(&disk, &RECYCLING);
    let mut life = Life::of(&RECYCLING);
    life.live(&log, 22).unwrap();
    life.history.sync(&log).unwrap();
    let held = log.hold();
    let copies: Vec<PathBuf> = held
        .iter()
        .map(|held| backup.join(held.path().file_name().unwrap()))
        .collect();
    for (held, copy) in held.iter().zip(&copies) {
        match held.end() {
            Some(_) => disk.link(held.path(), copy).unwrap(),
            None => held.copy(&disk, copy, log.durable()).unwrap(),
        }
    }
    disk.sync_dir(backup).unwrap();
    let durable = log.durable();
    drop(held);
    let copied = || {
        let files = copies.iter().map(|copy| disk.files()[copy].clone());
        files.collect::<Vec<_>>()
    };
    let then = copied();
    let before = life.history.clone();
    log.release(durable).unwrap();
    assert_eq!(log.stats().recycled, 0);
    life.live(&log, 60).unwrap();
    assert!(log.stats().recycled > 0);
    assert_eq!(copied(), then);

    // The copy is a log of its own.
    let options = LogOptions {
        durable,
        ..RECYCLING
    };
    let shared: Arc<dyn Disk> = Arc::new(disk.after_crash(Loss::All));
    let (log, replayed) = crate::support::open_in(&shared, backup, &options).unwrap();
    assert_eq!(before.kept(&replayed), before.batches.len());
    append(&log, b"it goes on");
    log.close().unwrap();
}

#[test]
fn a_recycled_file_that_is_full_of_the_past_ends_where_its_frames_end() {
    let disk = SimDisk::new();
    let (log, _) = open(&disk, &RECYCLING);
    let mut life = Life::of(&RECYCLING);
    life.live(&log, STEPS).unwrap();
    life.history.sync(&log).unwrap();
    log.close().unwrap();
    let end = log.appended();
    let image = disk.after_kill();
    let files = image.files();
    let (log, rest) = life.resume(&image, "closed");
    assert_eq!(rest.history.batches.len(), life.history.batches.len());
    assert_eq!(log.durable(), end.plus(EPOCH), "nothing but a new epoch");
    // Nothing is filled with zeros; the last frame, for which nobody vouches, is written again.
    let writes = image
        .calls()
        .into_iter()
        .filter(|call| call.doing == Doing::Write);
    let last = segments(&image).pop().unwrap().0;
    assert_eq!(writes.filter(|call| call.path == last).count(), 2);
    let now = image.files().remove(&last).unwrap();
    let changed = files[&last].iter().zip(&now).filter(|(a, b)| a != b);
    assert!(changed.count() as u64 <= EPOCH);
}

#[test]
fn a_page_of_a_recycled_file_is_written_as_a_whole() {
    let disk = SimDisk::new();
    let (log, _) = open(&disk, &RECYCLING);
    let mut life = Life::of(&RECYCLING);
    life.live(&log, STEPS).unwrap();
    let (path, bytes) = segments(&disk).pop().unwrap();
    let written = log.written().since(base_of(&path));
    let end = SEGMENT + usize::try_from(written).unwrap();
    let (frames, behind) = bytes.split_at(end);
    let (padding, past) = behind.split_at(end.next_multiple_of(4096) - end);
    assert_ne!(frames.last(), Some(&0));
    assert!(!padding.is_empty() && padding.iter().all(|byte| *byte == 0));
    assert!(past.iter().any(|byte| *byte != 0));
}

#[test]
fn an_old_frame_where_the_next_would_begin_is_not_taken_for_it() {
    const FRAME: usize = 4096;
    let disk = SimDisk::new();
    let options = LogOptions {
        // A fence in every second frame.
        segment_bytes: (SEGMENT + 64 * FRAME) as u64,
        ..RECYCLING
    };
    let (log, _) = open(&disk, &options);
    let mut life = Life::of(&options);
    life.batch = FRAME / 2 - 18;
    let mut seen = 0;
    for _ in 0..512 {
        life.live(&log, 2).unwrap();
        let (path, bytes) = segments(&disk).pop().unwrap();
        let base = base_of(&path);
        let end = SEGMENT + usize::try_from(log.written().since(base)).unwrap();
        // The place that a frame names, if there is one.
        let named = { bytes.get(end + 8..end + 16) }
            .map_or(0, |place| u64::from_le_bytes(place.try_into().unwrap()));
        if end % (2 * FRAME) == FRAME && (1..base.get()).contains(&named) {
            let (again, _) = life.resume(&disk.after_kill(), "killed");
            assert_eq!(again.durable(), log.written().plus(EPOCH));
            seen += 1;
        }
    }
    assert!(seen > 20, "{seen}");
}

#[test]
fn a_replay_tells_how_far_it_is() {
    let disk = SimDisk::new();
    let (log, _) = open(&disk, &RECYCLING);
    let mut life = Life::of(&RECYCLING);
    life.live(&log, 40).unwrap();
    log.close().unwrap();
    let end = log.appended();
    let progress = Arc::new(Progress::default());
    let options = LogOptions {
        progress: Some(Arc::clone(&progress)),
        ..life.options()
    };
    let mut seen = Vec::new();
    let shared: Arc<dyn Disk> = Arc::new(disk.after_kill());
    let log = Log::open(shared, &dir(), options, &mut |_, _, _| {
        seen.push((progress.done(), progress.total()));
        Ok(())
    });
    let files = segments(&disk);
    let mut begins = files.iter().map(|(path, _)| base_of(path)).rev();
    let begins = begins.find(|base| *base <= life.keep).unwrap();
    assert!(
        seen.is_sorted() && seen.iter().all(|(done, total)| done < total),
        "{seen:?}"
    );
    assert_eq!(
        (progress.done(), progress.total()),
        (end.since(begins), end.since(begins))
    );
    drop(log);
}
