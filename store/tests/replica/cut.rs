//! A log that is cut: where it ends then, what is kept, and what a crash leaves.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use headwater_store::check::{Severity, check};
use headwater_store::cut::{Cut, CutError, cut};
use headwater_store::disk::{Disk, Loss, SimDisk};
use headwater_store::{Lsn, OpenError, Opening};

use crate::node::{Node, dir, id, lead, open, shared};

/// A store whose log has several segments, with a checkpoint somewhere in it.
struct Life {
    disk: SimDisk,
    /// What was known at the end of each frame.
    dumps: BTreeMap<Lsn, String>,
    /// The checkpoint holds what lies below.
    until: Lsn,
    end: Lsn,
    /// All its frames that it still has, and where they begin.
    frames: Vec<u8>,
    begins: Lsn,
}

impl Life {
    /// Three epochs; the checkpoint is taken in the second of them.
    fn new() -> Self {
        let mut node = Node::new(lead(1));
        let mut dumps = BTreeMap::new();
        let mut until = Lsn::ZERO;
        for key in 0..60_u8 {
            match key {
                10 | 40 => {
                    node.reopen(lead(u32::from(key)));
                    dumps.insert(node.end(), node.dump());
                }
                14 => {
                    node.store().log().sync().unwrap();
                    node.store().round().unwrap();
                    until = node.end();
                    dumps.insert(until, node.dump());
                }
                _ => {}
            }
            let key = [b'a' + key % 26; 1000];
            let len = 10 + 35 * usize::from(key[0] - b'a');
            let mut access = node.store().alone();
            let key = &key[..len];
            if access.exists(0, key, 0) {
                access.remove(0, key, 0).unwrap();
            } else {
                access.create(0, key, 0).unwrap();
            }
            drop(access);
            node.store().log().try_write().unwrap();
            dumps.insert(node.end(), node.dump());
        }
        node.store().log().sync().unwrap();
        let begins = node.store().log().beginning();
        let frames = node.frames(begins).unwrap();
        let segments = node.store().log().stats().segments;
        assert!(segments > 3, "{segments}");
        Self {
            end: node.end(),
            disk: node.disk.after_kill(),
            dumps,
            until,
            frames,
            begins,
        }
    }

    /// The places where the log can be cut.
    fn places(&self) -> Vec<Lsn> {
        let places = self.dumps.range(self.until..self.end);
        places.map(|(at, _)| *at).collect()
    }

    /// Checks that a disk has what was known at `at`, or behind it where `open` is for that.
    fn check(&self, disk: &SimDisk, at: Lsn, exact: bool, what: &str) {
        let store = open(disk, Opening::Follow);
        let store = store.unwrap_or_else(|refused| panic!("{what}: {refused}"));
        let end = store.log().appended();
        assert!(if exact { end == at } else { end >= at }, "{what}: {end}");
        let dump = store.dump().unwrap();
        let known = self.dumps.get(&end);
        // A frame that begins an epoch changes nothing.
        let known = known.or_else(|| self.dumps.range(..end).next_back().map(|(_, dump)| dump));
        assert_eq!(Some(&dump), known, "{what}: at {end}");
    }

    /// What a check says of what was cut off at `at`, where each batch is a frame.
    fn told(&self, kept: &Path, at: Lsn) -> String {
        let cut = usize::try_from(at.since(self.begins)).unwrap();
        let frames = shared(&self.frames[cut..]);
        let records = frames.iter().map(|frame| u32::from(frame[32]));
        let (records, last) = (records.sum::<u32>(), id(40));
        format!(
            "{}: {records} records from LSN {at} to LSN {}, where epoch {last} ended here; cut off \
             the log because another node had led on; no start needs them",
            kept.display(),
            self.end,
        )
    }

    /// Checks that what was cut off at `at` is kept.
    fn check_kept(&self, disk: &SimDisk, at: Lsn, what: &str) {
        let kept = kept(disk);
        let mut all = Vec::new();
        for (path, bytes) in &kept {
            let base: u64 = path.file_stem().unwrap().to_str().unwrap().parse().unwrap();
            assert_eq!(base, at.get() + all.len() as u64, "{what}");
            let mut frames = &bytes[4096..];
            while let Some((header, _)) = frames.split_first_chunk::<36>() {
                let place = u64::from_le_bytes(header[8..16].try_into().unwrap());
                if place != at.get() + all.len() as u64 {
                    break;
                }
                let len = 36 + u32::from_le_bytes(header[4..8].try_into().unwrap()) as usize;
                all.extend_from_slice(&frames[..len]);
                frames = &frames[len..];
            }
        }
        let cut = usize::try_from(at.since(self.begins)).unwrap();
        assert!(all == self.frames[cut..], "{what}: {} bytes", all.len());
    }
}

/// The files that were kept, in order. Of several directories it is the one with the most: a cut
/// that was stopped half-way keeps what is left once more.
fn kept(disk: &SimDisk) -> Vec<(PathBuf, Vec<u8>)> {
    let mut kept = disk.files();
    kept.retain(|path, _| path.starts_with(dir().join("cut")));
    let dirs = kept.keys().filter_map(|path| path.parent());
    let whole = dirs.filter(|dir| dir.extension().is_none()).max();
    let whole = whole.map(Path::to_owned);
    kept.retain(|path, _| path.parent() == whole.as_deref());
    kept.into_iter().collect()
}

/// What a check has to say, for each finding what follows its severity.
fn findings(disk: &SimDisk) -> Vec<String> {
    let mut findings = Vec::new();
    let shared: Arc<dyn Disk> = Arc::new(disk.after_kill());
    let summary = check(&shared, dir(), &mut |finding| {
        assert_eq!(finding.severity, Severity::Note, "{finding}");
        findings.push(finding.what.to_string());
    });
    summary.unwrap();
    findings
}

fn cut_at(disk: &SimDisk, at: Lsn) -> Result<Cut, CutError> {
    cut(disk, dir(), at)
}

#[test]
fn a_log_can_be_cut_wherever_a_frame_ends_behind_the_checkpoint() {
    let life = Life::new();
    let places = life.places();
    assert!(places.len() > 15, "{places:?}");
    for at in places {
        let disk = life.disk.after_kill();
        let done = cut_at(&disk, at).unwrap();
        assert_eq!(done.bytes, life.end.since(at));
        let name = done.kept.unwrap();
        assert!(name.starts_with(dir().join("cut")), "{}", name.display());
        life.check(&disk, at, true, "cut");
        life.check_kept(&disk, at, "cut");
        assert_eq!(findings(&disk)[0], life.told(&name, at));
        let again = cut_at(&disk, at).unwrap();
        assert_eq!((again.bytes, again.kept), (0, None));

        // Life goes on in another way.
        let mut node = Node::new(lead(1));
        node.become_disk(disk, lead(77));
        let history = node.store().history();
        assert_eq!(
            history.current().map(|epoch| (epoch.start, epoch.id)),
            Some((at, id(77)))
        );
        for key in 0..20_u8 {
            node.store().alone().create(3, &[key; 900], 0).unwrap();
            node.store().log().try_write().unwrap();
        }
        let dump = node.dump();
        node.reopen(Opening::Follow);
        assert_eq!(node.dump(), dump);
    }
}

#[test]
fn what_cannot_be_cut_is_left_as_it_is() {
    let life = Life::new();
    let before = life.disk.files();
    let refused = |at: Lsn| {
        let disk = life.disk.after_kill();
        let refused = cut_at(&disk, at).unwrap_err();
        assert!(disk.files() == before, "{refused}");
        refused.to_string()
    };
    let (until, end) = (life.until, life.end);
    let low = Lsn::new(until.get() - 1);
    assert_eq!(
        refused(low),
        format!("the log cannot be cut at LSN {low}: the checkpoint reaches up to LSN {until}")
    );
    let high = end.plus(1);
    assert_eq!(
        refused(high),
        format!("the log cannot be cut at LSN {high}: it ends at LSN {end}")
    );
    let odd = until.plus(1);
    assert_eq!(
        refused(odd),
        format!("the log cannot be cut at LSN {odd}: no frame ends there")
    );
    let disk = life.disk.after_kill();
    let store = open(&disk, Opening::Follow).unwrap();
    let locked = cut_at(&disk, until).unwrap_err();
    assert!(matches!(locked, CutError::Open(OpenError::Locked { .. })));
    drop(store);
}

#[test]
fn a_log_without_a_checkpoint_can_be_cut_anywhere() {
    let node = Node::new(lead(1));
    let mut dumps = vec![(Lsn::ZERO, String::new()), (node.end(), node.dump())];
    for key in 0..20_u8 {
        node.store().alone().create(0, &[key; 900], 0).unwrap();
        node.store().log().sync().unwrap();
        dumps.push((node.end(), node.dump()));
    }
    for (at, dump) in &dumps[..dumps.len() - 1] {
        let disk = node.disk.after_kill();
        cut_at(&disk, *at).unwrap();
        let mut again = Node::new(lead(1));
        again.become_disk(disk, Opening::Follow);
        assert_eq!(again.end(), *at);
        assert!(*at == Lsn::ZERO || again.dump() == *dump);
        // It gets everything again, in frames of any size.
        again.arrived = node.frames(*at).unwrap();
        again.take();
        assert_eq!(again.dump(), node.dump());
        let frames = again.frames(*at);
        again.store().log().sync().unwrap();
        assert_eq!(frames, Ok(Vec::new()), "nobody has written them");
        let frames = again.frames(Lsn::ZERO).unwrap();
        assert_eq!(shared(&frames), shared(&node.frames(Lsn::ZERO).unwrap()));
        again.reopen(Opening::Follow);
        assert_eq!(again.dump(), node.dump());
    }
}

#[test]
fn what_is_kept_for_others_is_not_looked_at() {
    let life = Life::new();
    let disk = life.disk.after_kill();
    let names = disk.list(&dir().join("log")).unwrap();
    let bases: Vec<u64> = { names.iter() }
        .filter_map(|name| name.strip_suffix(".log")?.parse().ok())
        .collect();
    let needed = bases.partition_point(|base| *base <= life.until.get()) - 1;
    assert!(needed > 0, "{bases:?} before {}", life.until);
    let before = disk.calls().len();
    cut_at(&disk, life.places()[0]).unwrap();
    let calls = disk.calls().split_off(before);
    for base in &bases[..needed] {
        let path = dir().join(format!("log/{base:020}.log"));
        assert!(calls.iter().all(|call| call.path != path), "{calls:?}");
    }
}

#[test]
fn a_checkpoint_beyond_the_cut_goes_and_the_one_before_it_serves() {
    let create = |node: &Node, keys: std::ops::Range<u8>| {
        for key in keys {
            node.store().alone().create(0, &[key; 100], 0).unwrap();
        }
        node.store().log().sync().unwrap();
    };
    let mut node = Node::new(lead(1));
    create(&node, 0..10);
    node.store().round().unwrap();
    let (at, known) = (node.end(), node.dump());
    create(&node, 10..20);
    node.close();
    let mut both = 0;
    for call in 0.. {
        // The next one has its name, and its predecessor is still there.
        let mut stopped = Node::new(Opening::Follow);
        stopped.become_disk(node.disk.after_kill(), Opening::Follow);
        stopped.disk.stop_at(call);
        let done = stopped.store().round().is_ok();
        let disk = stopped.disk.after_kill();
        let names = disk.list(&dir().join("checkpoint")).unwrap();
        let checkpoints = names.iter().filter(|name| !name.ends_with(".tmp"));
        if checkpoints.count() == 2 {
            let end = stopped.end();
            assert_eq!(cut_at(&disk, at).unwrap().bytes, end.since(at));
            let mut again = Node::new(Opening::Follow);
            again.become_disk(disk, Opening::Follow);
            assert_eq!((again.end(), again.dump()), (at, known.clone()));
            both += 1;
        }
        if done {
            break;
        }
    }
    assert!(both > 0);
}

#[test]
fn a_crash_at_any_call_of_a_cut_leaves_a_log_that_can_be_cut() {
    let life = Life::new();
    let places = life.places();
    // One is where a segment begins, if there is such a place.
    let is_base = |at: &&Lsn| {
        let name = format!("{at:020}.log");
        life.disk.list(&dir().join("log")).unwrap().contains(&name)
    };
    let base = places.iter().find(is_base);
    let few = [Some(&places[0]), places.get(places.len() / 2), base];
    let mut crashes = 0;
    for at in few.into_iter().flatten().copied() {
        for call in 0.. {
            let disk = life.disk.after_kill();
            disk.stop_at(call);
            if cut_at(&disk, at).is_ok() {
                break;
            }
            let first = 100 * call as u64;
            for loss in [
                Loss::Nothing,
                Loss::All,
                Loss::Pages(first),
                Loss::Sectors(first),
            ] {
                let what = format!("cut at {at}, call {call}, {loss:?}");
                let image = disk.after_crash(loss);
                life.check(&image.after_kill(), at, false, &what);
                // And again, while it is cut anew or opened.
                for again in (call % 5..).step_by(5) {
                    let second = image.after_kill();
                    second.stop_at(again);
                    let done = cut_at(&second, at).is_ok();
                    let third = second.after_crash(Loss::Sectors(again as u64));
                    let what = format!("{what}, then call {again}");
                    let end = cut_at(&third, at).map(|done| done.bytes);
                    assert!(end.is_ok(), "{what}: {end:?}");
                    life.check(&third, at, true, &what);
                    life.check_kept(&third, at, &what);
                    crashes += 1;
                    if done {
                        break;
                    }
                }
            }
        }
    }
    assert!(crashes > 500, "{crashes}");
}
