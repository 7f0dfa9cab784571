//! What is kept for those who follow, and what waits for them.

use std::path::Path;
use std::time::{Duration, Instant};

use headwater_store::disk::Disk;
use headwater_store::{Agreement, FramesError, Lsn, Opening, Retention, UpkeepError};

use crate::node::{Node, cut, lead};

/// A node that leads, with some segments of log.
fn busy() -> Node {
    let node = Node::new(lead(1));
    for key in 0..60_u8 {
        node.store().alone().create(0, &[key; 900], 0).unwrap();
        node.store().log().try_write().unwrap();
    }
    node.store().log().sync().unwrap();
    node
}

fn begins(node: &Node) -> Lsn {
    node.store().log().beginning()
}

#[test]
fn the_log_is_kept_for_those_who_follow_also_over_a_start() {
    let mut node = busy();
    let retain = |node: &Node, bytes, pinned| {
        node.store().retain(Retention { bytes, pinned });
        node.store().round().unwrap();
    };
    retain(&node, 1 << 30, None);
    assert_eq!(begins(&node), Lsn::ZERO);
    // What is not needed is not followed by a start, and not removed either.
    node.reopen(Opening::Follow);
    assert_eq!(begins(&node), Lsn::ZERO);
    assert_eq!(node.store().history().epochs().len(), 1);
    let all = node.frames(Lsn::ZERO).unwrap();
    assert_eq!(all.len() as u64, node.end().get());
    let pinned = Lsn::new(20_000);
    retain(&node, 0, Some(pinned));
    let kept = begins(&node);
    assert!(kept > Lsn::ZERO && kept <= pinned, "{kept}");
    retain(&node, node.end().get() - 30_000, None);
    let kept = begins(&node);
    assert!(
        kept > Lsn::new(20_000) && kept <= Lsn::new(30_000),
        "{kept}"
    );
    // Space counts for more than those who may come back.
    node.store().set_short_of_space(true);
    retain(&node, 1 << 30, None);
    assert!(begins(&node) > Lsn::new(40_000));
    let refused = node.frames(kept);
    assert!(
        matches!(refused, Err(FramesError::Released { .. })),
        "{refused:?}"
    );
}

#[test]
fn a_gap_ends_what_is_kept_by_a_start() {
    let mut node = busy();
    node.store().round().unwrap();
    let log = crate::node::dir().join("log");
    let segments = |node: &Node| {
        let files = node.disk.files();
        let names = files.into_keys().filter(|path| path.starts_with(&log));
        let segments = names.filter(|path| path.extension().is_some_and(|end| end == "log"));
        segments.collect::<Vec<_>>()
    };
    let all = segments(&node);
    assert!(all.len() > 5, "{all:?}");
    node.store().close().unwrap();
    // As a crash may leave it: the third is gone, or is another one's.
    for damage in [false, true] {
        let disk = node.disk.after_kill();
        if damage {
            disk.flip(&all[2], 17, 1);
        } else {
            disk.remove(&all[2]).unwrap();
        }
        let mut other = Node::new(Opening::Follow);
        other.become_disk(disk, Opening::Follow);
        assert_eq!(segments(&other), all[3..]);
        assert_eq!(other.dump(), node.dump());
        let begins = begins(&other);
        assert_eq!(all[3], log.join(format!("{begins:020}.log")));
        assert!(other.frames(begins).is_ok());
    }
    node.reopen(Opening::Follow);
    assert_eq!(segments(&node), all);
}

#[test]
fn a_backup_leaves_out_what_is_kept_for_those_who_follow() {
    let node = busy();
    node.store().round().unwrap();
    assert_eq!(begins(&node), Lsn::ZERO);
    let target = Path::new("/copy");
    let backup = node.store().backup_for_replica(target).unwrap();
    assert_eq!(backup.lsn, node.end());
    assert_eq!(backup.files, 2, "the checkpoint, and the last segment");
    let mut copy = Node::new(Opening::Follow);
    copy.become_copy(&node.disk, target);
    assert_eq!((copy.end(), copy.dump()), (node.end(), node.dump()));
    assert_eq!(copy.store().history(), node.store().history());
}

fn agree(node: &Node, upto: Option<Lsn>, patience: Duration) {
    node.store().set_agreement(Agreement { upto, patience });
}

const SHORT: Duration = Duration::from_millis(20);
const LONG: Duration = Duration::from_secs(600);

#[test]
fn a_checkpoint_waits_for_replicas_that_are_in_sync_but_not_for_ever() {
    let node = busy();
    let end = node.end();
    agree(&node, Some(end), LONG);
    node.store().round().unwrap();
    node.store().alone().create(0, b"more", 0).unwrap();
    agree(&node, Some(end), SHORT);
    let began = Instant::now();
    node.store().round().unwrap();
    assert!(began.elapsed() >= SHORT);
    // It goes on as soon as they have it.
    node.store().alone().create(0, b"still more", 0).unwrap();
    agree(&node, Some(end), LONG);
    std::thread::scope(|scope| {
        let round = scope.spawn(|| node.store().round());
        while node.store().upkeep_stats().busy == round.is_finished() {
            std::thread::yield_now();
        }
        agree(&node, Some(node.end()), LONG);
        round.join().unwrap().unwrap();
    });
}

#[test]
fn a_checkpoint_never_holds_what_replies_still_wait_for() {
    let node = busy();
    let end = node.end();
    node.store().log().set_replicated(Some(end));
    agree(&node, None, SHORT);
    node.store().round().unwrap();
    let before = node.store().upkeep_stats().checkpoint.unwrap();
    node.store().alone().create(0, b"more", 0).unwrap();
    let refused = node.store().round().unwrap_err();
    assert!(
        matches!(refused, UpkeepError::NotAgreed { .. }),
        "{refused}"
    );
    let expected = format!(
        "replicas lack what a checkpoint would hold, which is all below LSN {}",
        node.end()
    );
    assert_eq!(refused.to_string(), expected);
    assert_eq!(node.store().upkeep_stats().checkpoint, Some(before));
    // But a replica can be served.
    let target = Path::new("/copy");
    let backup = node.store().backup_for_replica(target).unwrap();
    assert_eq!(backup.lsn, node.end());
    node.store().log().set_replicated(Some(node.end()));
    node.store().round().unwrap();
}

#[test]
fn a_checkpoint_of_one_who_follows_waits_until_it_is_durable_where_it_comes_from() {
    let leader = Node::new(lead(1));
    let follower = Node::new(Opening::Follow);
    let ship = || {
        leader.store().log().try_write().unwrap();
        let frames = leader.frames(follower.end()).unwrap();
        assert!(!cut(&frames).is_empty());
        follower.store().receive(&frames).unwrap();
        follower.store().log().sync().unwrap();
    };
    leader.store().alone().create(0, b"one", 0).unwrap();
    ship();
    let known = follower.end();
    agree(&follower, None, LONG);
    std::thread::scope(|scope| {
        let round = scope.spawn(|| follower.store().round());
        while follower.store().upkeep_stats().busy == round.is_finished() {
            std::thread::yield_now();
        }
        // The next frame says that what was before is durable there.
        leader.store().log().sync().unwrap();
        leader.store().alone().create(0, b"two", 0).unwrap();
        ship();
        round.join().unwrap().unwrap();
    });
    let checkpoint = follower.store().upkeep_stats().checkpoint.unwrap();
    assert_eq!(checkpoint.from, known);
}
