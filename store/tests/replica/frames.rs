//! Frames on their way: what is taken, what is refused, and what is given out.

use std::task::{Context, Poll, Waker};

use headwater_store::{
    Access, AppendError, Change, EventKind, Fields, FramesError, Growth, Ids, KeyspaceChange, Lsn,
    NodeLimits, Opening, ReceiveError, Received, Record, Retention, StreamId, StreamMut, StreamNo,
};

use crate::node::{HEADER, Node, cut, lead};

fn create(access: &mut Access<'_>, key: &[u8]) {
    access.create(0, key, 0).expect("there is room");
}

/// A node that leads and has written some frames: one epoch, then a stream each.
fn leader(keys: &[&str]) -> Node {
    let node = Node::new(lead(1));
    for key in keys {
        create(&mut node.store().alone(), key.as_bytes());
        node.store().log().try_write().expect("the disk works");
    }
    node
}

/// What a follower says to bytes that it must refuse, having changed nothing.
fn refused(follower: &Node, bytes: &[u8]) -> ReceiveError {
    let before = (follower.end(), follower.dump(), follower.store().history());
    let refused = follower.store().receive(bytes).expect_err("it is refused");
    let after = (follower.end(), follower.dump(), follower.store().history());
    assert_eq!(before, after, "{refused}");
    refused
}

#[test]
fn every_damaged_bit_of_a_frame_shows_or_is_waited_for() {
    let leader = leader(&["a", "b"]);
    let frames = cut(&leader.frames(Lsn::ZERO).expect("it is there"));
    let follower = Node::new(Opening::Follow);
    for frame in &frames {
        for bit in 0..frame.len() * 8 {
            let mut damaged = frame.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            let in_len = (32..64).contains(&bit);
            let before = (follower.end(), follower.dump());
            match follower.store().receive(&damaged) {
                Err(ReceiveError::Damaged { .. } | ReceiveError::Misplaced { .. }) => {}
                // A longer frame may yet come; its checksum will not be right.
                Ok(Received {
                    consumed: 0,
                    wanted,
                    ..
                }) if in_len => {
                    assert!(wanted > frame.len() as u64);
                }
                other => panic!("bit {bit}: {other:?}"),
            }
            assert_eq!((follower.end(), follower.dump()), before);
        }
        let taken = follower.store().receive(frame).expect("it is right");
        assert_eq!(taken.consumed, frame.len());
    }
    assert_eq!(follower.dump(), leader.dump());
}

#[test]
fn a_frame_is_taken_in_its_place_only() {
    let leader = leader(&["a", "b", "c"]);
    let frames = cut(&leader.frames(Lsn::ZERO).expect("it is there"));
    let follower = Node::new(Opening::Follow);
    let taken = follower.store().receive(&frames[0]).expect("it is right");
    assert_eq!(taken.consumed, frames[0].len());
    for frame in [&frames[0], &frames[2], &frames[3]] {
        let refused = refused(&follower, frame);
        assert!(
            matches!(refused, ReceiveError::Misplaced { .. }),
            "{refused}"
        );
    }
    // Those before one that is not right are taken; then it is refused.
    let reordered = [&*frames[1], &frames[3], &frames[2]].concat();
    let taken = follower
        .store()
        .receive(&reordered)
        .expect("the first is right");
    assert_eq!(taken.consumed, frames[1].len());
    let refused = refused(&follower, &reordered[taken.consumed..]);
    let expected = format!(
        "a frame for LSN {}, where LSN {} comes next",
        taken.end.plus(frames[2].len() as u64),
        taken.end
    );
    assert_eq!(refused.to_string(), expected);
}

#[test]
fn a_frame_of_another_epoch_is_refused() {
    let leader = leader(&["a"]);
    let mut frames = cut(&leader.frames(Lsn::ZERO).expect("it is there"));
    let follower = Node::new(Opening::Follow);
    follower.store().receive(&frames[0]).expect("it is right");
    for epoch in [0_u32, 2] {
        frames[1][24..28].copy_from_slice(&epoch.to_le_bytes());
        let crc = crc32fast::hash(&frames[1][4..]);
        frames[1][..4].copy_from_slice(&crc.to_le_bytes());
        let refused = refused(&follower, &frames[1]);
        let expected =
            format!("the frame for LSN 56 is of epoch {epoch}, which does not follow epoch 1");
        assert_eq!(refused.to_string(), expected);
    }
}

#[test]
fn a_record_that_does_not_decode_is_found_before_those_before_it_are_applied() {
    let leader = Node::new(lead(1));
    leader.store().log().try_write().expect("the disk works");
    let mut batch = leader
        .store()
        .log()
        .append(Growth::Adds, 100)
        .expect("there is room");
    // A stream appears, and then something that no version knows happens.
    let created = Record::Keyspace(KeyspaceChange::Created {
        stream: StreamNo::FIRST,
        db: 0,
        key: b"key",
    });
    batch.push(|out| created.encode(out));
    batch.push(|out| out.extend_from_slice(&[0x7f]));
    drop(batch);
    leader.store().log().try_write().expect("the disk works");
    let frames = cut(&leader.frames(Lsn::ZERO).expect("it is there"));
    let follower = Node::new(Opening::Follow);
    follower.store().receive(&frames[0]).expect("it is right");
    let refused = refused(&follower, &frames[1]);
    assert!(
        matches!(refused, ReceiveError::Malformed { .. }),
        "{refused}"
    );
}

#[test]
fn who_leads_takes_no_frames() {
    let leader = leader(&["a"]);
    let other = Node::new(lead(2));
    let frames = leader.frames(Lsn::new(56)).expect("it is there");
    assert!(matches!(refused(&other, &frames), ReceiveError::Leads));
}

#[test]
fn a_full_disk_refuses_a_frame_and_takes_it_later() {
    let leader = Node::new(lead(1));
    for key in 0..40_u8 {
        create(&mut leader.store().alone(), &[key; 3000]);
        leader.store().log().try_write().expect("the disk works");
    }
    let mut follower = Node::new(Opening::Follow);
    follower.disk.set_capacity(Some(70 << 10));
    follower.arrived = leader.frames(Lsn::ZERO).expect("it is there");
    while follower.store().receive(&follower.arrived[..0]).is_ok() {
        let taken = follower.store().receive(&follower.arrived);
        let Ok(taken) = taken else { break };
        follower.arrived.drain(..taken.consumed);
    }
    let refused = refused(&follower, &follower.arrived);
    let full = matches!(refused, ReceiveError::Append(AppendError::Full { .. }));
    assert!(full, "{refused}");
    follower.disk.set_capacity(None);
    follower.take();
    assert_eq!(follower.dump(), leader.dump());
}

#[test]
fn what_waits_for_the_disk_is_left_to_one_who_may_wait() {
    let leader = leader(&["a"]);
    let stream = |node: &Node, act: &dyn Fn(&mut StreamMut<'_>)| {
        let access = node.store().alone();
        access.wait_for_disk();
        act(&mut access.stream(0, b"a", 0).expect("it is there"));
        drop(access);
        node.store().log().try_write().expect("the disk works");
    };
    for ms in 1..400 {
        stream(&leader, &|stream| {
            let mut buffer = Vec::new();
            let fields = Fields::encode([&b"field"[..], &[b'v'; 100]], &mut buffer);
            let added = stream.entry_added(StreamId::new(ms, 0), fields, NodeLimits::default());
            stream.commit(&[added]).expect("there is room");
        });
    }
    let mut follower = Node::new(Opening::Follow);
    follower.arrived = leader.frames(Lsn::ZERO).expect("it is there");
    follower.take();
    // All is settled, and nothing of it in memory.
    follower.store().log().sync().expect("the disk works");
    let round = follower.store().round().expect("the disk works");
    assert!(round.settled_entries > 300, "{round:?}");
    let mut known = (follower.end(), follower.dump());
    follower.reopen(Opening::Follow);

    // One that needs an entry, and one that no file of the usual length has room for.
    let deleted = [StreamId::new(7, 0)];
    stream(&leader, &|stream| {
        let ids = Ids::from(&deleted);
        stream
            .commit(&[Change::EntriesDeleted { ids }])
            .expect("there is room");
    });
    create(&mut leader.store().alone(), &[b'k'; 20_000]);
    leader.store().log().try_write().expect("the disk works");
    let frames = leader.frames(follower.end()).expect("it is there");
    let frames = cut(&frames);
    assert_eq!(frames.len(), 2);
    for frame in &frames {
        let bytes = [&frame[..], b"more"].concat();
        let left = follower
            .store()
            .receive_at_once(&bytes)
            .expect("it is right");
        assert!(left.waits && left.consumed == 0, "{left:?}");
        assert_eq!((follower.end(), follower.dump()), known);
        let taken = follower.store().receive(frame).expect("it is right");
        known = (follower.end(), follower.dump());
        assert!(!taken.waits && taken.consumed == frame.len(), "{taken:?}");
    }
    // What needs nothing is taken at once.
    create(&mut leader.store().alone(), b"b");
    leader.store().log().try_write().expect("the disk works");
    let frame = leader.frames(follower.end()).expect("it is there");
    let taken = follower
        .store()
        .receive_at_once(&frame)
        .expect("it is right");
    assert!(!taken.waits && taken.consumed == frame.len(), "{taken:?}");
    assert_eq!(follower.dump(), leader.dump());
}

#[test]
fn blocked_readers_hear_of_what_is_received() {
    let leader = leader(&["a"]);
    leader
        .store()
        .alone()
        .remove(0, b"a", 0)
        .expect("there is room");
    leader.store().log().try_write().expect("the disk works");
    let follower = Node::new(Opening::Follow);
    follower.store().watch_keys(true);
    let frames = leader.frames(Lsn::ZERO).expect("it is there");
    let received = follower.store().receive(&frames).expect("they are right");
    let kinds: Vec<EventKind> = received.events.iter().map(|event| event.kind).collect();
    assert_eq!(kinds, [EventKind::Appeared, EventKind::Removed]);
    assert!(received.events.iter().all(|event| &*event.key == b"a"));
}

#[test]
fn frames_are_given_out_whole_from_where_one_begins_as_far_as_they_are_written() {
    let leader = leader(&["a", "b", "c"]);
    let log = leader.store().log();
    let all = leader.frames(Lsn::ZERO).expect("it is there");
    let frames = cut(&all);
    let given = |from: u64, max| log.frames(Lsn::new(from), max, <[u8]>::len);
    assert_eq!(given(0, 0), Ok(frames[0].len()), "one at least");
    let two = frames[0].len() + frames[1].len();
    assert_eq!(given(0, two), Ok(two));
    assert_eq!(given(0, two + HEADER), Ok(two));
    assert_eq!(given(0, usize::MAX), Ok(all.len()));
    for from in 1..all.len() as u64 {
        let boundary = [56, two as u64, (two + frames[2].len()) as u64].contains(&from);
        let refused = Err(FramesError::NoFrame { at: Lsn::new(from) });
        assert!(boundary || given(from, 1000) == refused, "{from}");
    }
    create(&mut leader.store().alone(), b"not written yet");
    assert_eq!(given(all.len() as u64, usize::MAX), Ok(0));
    let beyond = leader.end().plus(1);
    assert_eq!(
        log.frames(beyond, 1, <[u8]>::len),
        Err(FramesError::NoFrame { at: beyond })
    );
    let mut cx = Context::from_waker(Waker::noop());
    assert!(log.poll_written(leader.end(), &mut cx).is_pending());
    log.try_write().expect("the disk works");
    assert!(matches!(
        log.poll_written(leader.end(), &mut cx),
        Poll::Ready(Ok(()))
    ));
}

#[test]
fn what_was_let_go_of_is_not_given_out() {
    let leader = Node::new(lead(1));
    for key in 0..60_u8 {
        create(&mut leader.store().alone(), &[key; 3000]);
        leader.store().log().try_write().expect("the disk works");
    }
    leader.store().log().sync().expect("the disk works");
    leader.store().retain(Retention::default());
    leader.store().round().expect("the disk works");
    let begins = leader.store().log().beginning();
    assert!(begins > Lsn::ZERO);
    let refused = leader.frames(Lsn::ZERO);
    assert_eq!(refused, Err(FramesError::Released { begins }));
    assert!(leader.frames(begins).is_ok());
}

#[test]
fn what_is_committed_waits_for_replicas_that_count() {
    let leader = leader(&["a"]);
    let log = leader.store().log();
    let end = log.sync().expect("the disk works");
    log.set_replicated(Some(Lsn::new(56)));
    assert_eq!(log.committed(), Lsn::new(56));
    let mut cx = Context::from_waker(Waker::noop());
    assert!(log.poll_committed(end, &mut cx).is_pending());
    log.set_replicated(Some(end));
    assert_eq!(log.committed(), end);
}
