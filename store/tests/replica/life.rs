//! Random lives of a pair: what one does, the other gets in pieces of any size; both are closed,
//! opened, tidied up and struck by power failures whenever it happens; and they change roles, with
//! and without anything lost. Who comes back cuts what the other never had, or gets a copy.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use headwater_store::cut::{CutError, cut};
use headwater_store::disk::{Disk, Loss};
use headwater_store::install::{incoming, install};
use headwater_store::{Budgets, CommitError, Lsn, OpenError, Opening, Retention, Store};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::node::{Node, dir, id, lead, open, shared};
use crate::operation::{Operation, operation};

/// Bytes of a file of the log before its first frame.
const SEGMENT_HEADER: usize = 4096;

/// How many milliseconds pass between operations.
const TICK: u64 = 10;

fn budget() -> u32 {
    let budget = std::env::var("HEADWATER_BUDGET");
    budget.map_or(1, |budget| {
        budget.parse().expect("HEADWATER_BUDGET is a number")
    })
}

#[derive(Clone, Debug)]
enum Step {
    /// The leader loses power and what was not synced, and the other one leads.
    Fail(u64),
    Perform(Operation),
    /// One of the two loses power, and comes back as what it was.
    Power(usize, u64),
    Reopen(usize),
    /// A round of upkeep at one of the two that leaves so much of the log unsettled.
    Round(usize, u64),
    /// So many bytes go their way.
    Ship(usize),
    /// They change roles, with nothing lost.
    Swap,
    Sync(usize),
    Write,
}

fn step() -> impl Strategy<Value = Step> {
    let node = || 0..2_usize;
    prop_oneof![
        1 => any::<u64>().prop_map(Step::Fail),
        30 => operation().prop_map(Step::Perform),
        1 => (node(), any::<u64>()).prop_map(|(node, seed)| Step::Power(node, seed)),
        1 => node().prop_map(Step::Reopen),
        2 => (node(), prop_oneof![Just(0), 0..10_000_u64])
            .prop_map(|(node, settle)| Step::Round(node, settle)),
        15 => prop_oneof![1..200_usize, 1..100_000_usize].prop_map(Step::Ship),
        1 => Just(Step::Swap),
        3 => node().prop_map(Step::Sync),
        10 => Just(Step::Write),
    ]
}

/// Two stores, of which one leads.
struct Pair {
    nodes: [Node; 2],
    leader: usize,
    ids: u32,
    /// How often a log was cut, and a copy was made.
    cuts: u64,
    copies: u64,
    /// What was known where frames end, and where they might.
    dumps: BTreeMap<Lsn, String>,
}

impl Pair {
    fn new() -> Self {
        let nodes = [lead(1), Opening::Follow].map(Node::new);
        let mut pair = Self {
            nodes,
            leader: 0,
            ids: 1,
            cuts: 0,
            copies: 0,
            dumps: BTreeMap::new(),
        };
        pair.note();
        pair
    }

    fn leader(&self) -> &Node {
        &self.nodes[self.leader]
    }

    fn follower(&mut self) -> &mut Node {
        &mut self.nodes[1 - self.leader]
    }

    fn draw(&mut self) -> u32 {
        self.ids += 1;
        self.ids
    }

    /// The leader writes; what it knows is noted.
    fn note(&mut self) {
        let leader = self.leader();
        leader.store().log().try_write().expect("the disk works");
        let (end, dump) = (leader.end(), leader.dump());
        self.dumps.insert(end, dump);
    }

    /// At most `bytes` bytes reach the follower.
    fn ship(&mut self, bytes: usize) {
        let follower = &self.nodes[1 - self.leader];
        let from = follower.end().plus(follower.arrived.len() as u64);
        // Nothing tells whether this is a boundary, so what has arrived is sent again.
        let arrived = follower.arrived.len();
        let mut frames = self.leader().frames(follower.end()).expect("it is there");
        frames.truncate(arrived + bytes);
        assert!(from <= self.leader().end());
        let follower = self.follower();
        follower.arrived = frames;
        let received = follower.take();
        assert_eq!(received.end, follower.end());
        let whole = follower.arrived.len() as u64;
        assert!(received.wanted > whole, "{received:?}, and {whole} left");
        let (end, dump) = (follower.end(), follower.dump());
        // An operation of several commits may lie in several frames.
        if let Some(known) = self.dumps.get(&end) {
            assert_eq!(&dump, known, "at {end}");
        }
    }

    fn step(&mut self, step: &Step, now: u64) {
        match step {
            Step::Perform(operation) => {
                let done = operation.perform(self.leader().store(), now);
                done.unwrap_or_else(|refused| panic!("{refused}"));
                // A frame may end here.
                self.dumps.insert(self.leader().end(), self.leader().dump());
                let refused = operation.perform(self.follower().store(), now);
                assert_follows(refused.map(drop));
            }
            Step::Reopen(node) => {
                let role = if *node == self.leader {
                    lead(self.draw())
                } else {
                    Opening::Follow
                };
                // What bears witness when it is closed is noted, too.
                self.note();
                let known = self.nodes[*node].dump();
                self.nodes[*node].reopen(role);
                assert_eq!(self.nodes[*node].dump(), known);
                if *node == self.leader {
                    for frame in self.leader().ends() {
                        self.dumps.entry(frame).or_insert_with(|| known.clone());
                    }
                }
            }
            Step::Round(node, settle_after) => {
                let pinned = Some(self.follower().end());
                let leads = *node == self.leader;
                let node = &self.nodes[*node];
                node.store().retain(Retention {
                    bytes: 0,
                    pinned: pinned.filter(|_| leads),
                });
                let known = node.dump();
                node.store().set_budgets(Budgets {
                    settle_after: *settle_after,
                    checkpoint_after: 0,
                });
                node.store().log().sync().expect("the disk works");
                node.store().round().expect("the disk works");
                assert_eq!(node.dump(), known);
                if self.leader().end() > *self.dumps.keys().next_back().expect("there is one") {
                    self.note();
                }
            }
            Step::Ship(bytes) => self.ship(*bytes),
            Step::Swap => {
                self.note();
                let end = self.leader().store().follow().expect("the disk works");
                self.ship(usize::MAX >> 1);
                assert_eq!(self.follower().end(), end);
                let id = id(self.draw());
                let begun = self.follower().store().lead(id).expect("there is room");
                assert_eq!(begun, end);
                self.leader = 1 - self.leader;
                self.note();
            }
            Step::Fail(seed) => {
                let before = self.nodes[self.leader]
                    .disk
                    .after_crash(Loss::Sectors(*seed));
                let id = id(self.draw());
                let begun = self.follower().store().lead(id).expect("there is room");
                let old = self.leader;
                self.leader = 1 - old;
                self.goes_on_at(begun);
                self.nodes[old].become_disk(before, Opening::Follow);
                self.meet();
            }
            Step::Power(node, seed) => {
                let left = self.nodes[*node].disk.after_crash(Loss::Pages(*seed));
                let leads = *node == self.leader;
                let role = if leads {
                    lead(self.draw())
                } else {
                    Opening::Follow
                };
                self.nodes[*node].become_disk(left, role);
                if leads {
                    let begun = *self.leader().store().history().current().expect("it leads");
                    self.goes_on_at(begun.start);
                }
                self.meet();
            }
            Step::Sync(node) => {
                self.nodes[*node]
                    .store()
                    .log()
                    .sync()
                    .expect("the disk works");
                self.note();
            }
            Step::Write => {
                self.note();
                let follower = self.follower().store().log().clone();
                follower.try_write().expect("the disk works");
            }
        }
    }

    /// An epoch begins at a place, and what was behind it is no more.
    fn goes_on_at(&mut self, start: Lsn) {
        self.nodes.iter_mut().for_each(|node| node.arrived.clear());
        self.dumps.split_off(&start.plus(1));
        let dump = self.leader().dump();
        if let Some(known) = self.dumps.get(&start) {
            assert_eq!(&dump, known, "at {start}");
        }
        self.note();
    }

    /// The follower, which has come back, finds out what it has in common with the leader.
    fn meet(&mut self) {
        let (leader, end) = (self.leader().store().clone(), self.leader().end());
        let follower = self.follower();
        let (store, own) = (follower.store(), follower.end());
        let common = store.history().common(own, &leader.history(), end);
        let is_there = |at: &Lsn| leader.log().frames(*at, 0, |_| ()).is_ok();
        let disk = follower.disk.clone();
        match common.filter(is_there) {
            Some(common) if common == own => return,
            Some(common) => {
                follower.close();
                match cut(&disk, dir(), common) {
                    Ok(done) => {
                        assert_eq!(done.bytes, own.since(common));
                        follower.become_disk(disk, Opening::Follow);
                        assert_eq!(follower.end(), common);
                        self.cuts += 1;
                        let (follower, dumps) = (&self.nodes[1 - self.leader], &self.dumps);
                        if let Some(known) = dumps.get(&common) {
                            assert_eq!(&follower.dump(), known, "cut at {common}");
                        }
                        return;
                    }
                    Err(CutError::Checkpoint { .. }) => {}
                    Err(refused) => panic!("{refused}"),
                }
            }
            None => follower.close(),
        }
        // It gets a copy.
        self.copies += 1;
        let copy = PathBuf::from(format!("/copy-{}", self.copies));
        let backup = leader.backup_for_replica(&copy).expect("the disk works");
        for (path, bytes) in self.leader().disk.files() {
            if let Ok(name) = path.strip_prefix(&copy) {
                let to = incoming(dir()).join(name);
                disk.create_dir(to.parent().unwrap()).unwrap();
                let file = disk.create(&to, bytes.len() as u64).unwrap();
                file.write_at(0, &bytes).unwrap();
            }
        }
        install(&disk, dir(), backup.lsn).unwrap();
        self.note();
        let known = self.leader().dump();
        let follower = self.follower();
        follower.become_disk(disk, Opening::Follow);
        assert_eq!((follower.end(), follower.dump()), (backup.lsn, known));
    }

    /// The follower gets everything, and then both are the same, also when they are opened again.
    fn finish(mut self) {
        self.note();
        self.ship(usize::MAX >> 1);
        assert_eq!(self.nodes[0].end(), self.nodes[1].end());
        let known = self.leader().dump();
        let history = self.leader().store().history();
        for node in &mut self.nodes {
            assert_eq!(node.store().history(), history);
            node.store().log().sync().expect("the disk works");
        }
        let begins = self.nodes.iter().map(|node| node.store().log().beginning());
        let from = self.common_boundary(begins.max().expect("there are two"));
        let [one, other] = { &self.nodes }.each_ref().map(|node| node.frames(from));
        let [one, other] = [one, other].map(|frames| shared(&frames.expect("it is there")));
        assert_eq!(one, other);
        for node in &mut self.nodes {
            node.reopen(Opening::Follow);
            assert_eq!(node.dump(), known);
            assert_eq!(node.store().history(), history);
        }
    }

    /// The first place at or behind `from` where both have a frame.
    fn common_boundary(&self, from: Lsn) -> Lsn {
        let ends = self.nodes[0].ends().into_iter();
        let mut boundaries = ends.filter(|at| *at >= from);
        boundaries.next().unwrap_or_else(|| self.nodes[0].end())
    }
}

impl Node {
    /// Where the frames that it still has end.
    fn ends(&self) -> Vec<Lsn> {
        let mut at = self.store().log().beginning();
        let mut ends = Vec::new();
        for frame in shared(&self.frames(at).expect("it is there")) {
            at = at.plus(frame.len() as u64);
            ends.push(at);
        }
        ends
    }
}

fn assert_follows(refused: Result<(), CommitError>) {
    if let Err(refused) = refused {
        assert_eq!(refused.to_string(), "the log is led elsewhere");
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 300 * budget(),
        // A life that fails is printed, and becomes a test with a name.
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    fn lives(steps in vec(step(), 1..200)) {
        let mut pair = Pair::new();
        for (index, step) in steps.iter().enumerate() {
            pair.step(step, index as u64 * TICK);
        }
        CUTS.fetch_add(pair.cuts, Ordering::Relaxed);
        COPIES.fetch_add(pair.copies, Ordering::Relaxed);
        pair.finish();
    }
}

static CUTS: AtomicU64 = AtomicU64::new(0);
static COPIES: AtomicU64 = AtomicU64::new(0);

#[test]
fn a_store_that_follows_knows_what_the_other_knew() {
    lives();
    let [cuts, copies] = [&CUTS, &COPIES].map(|count| count.load(Ordering::Relaxed));
    assert!(cuts > 10 && copies > 10, "{cuts} cuts, {copies} copies");
}

#[test]
fn who_begins_to_lead_bears_witness_of_what_it_had() {
    let (leader, follower) = (Node::new(lead(1)), Node::new(Opening::Follow));
    for key in [b"a", b"b"] {
        let mut access = leader.store().alone();
        access.create(0, key, 0).expect("there is room");
        drop(access);
        leader.store().log().try_write().expect("the disk works");
    }
    let frames = leader.frames(Lsn::ZERO).expect("it is there");
    let taken = follower.store().receive(&frames).expect("it is right");
    assert_eq!(taken.consumed, frames.len());
    let begun = follower.store().lead(id(2)).expect("there is room");
    assert_eq!(begun, leader.end());
    // The last byte before the epoch: without a witness that would be a tear, and cut off.
    let image = follower.disk.after_kill();
    let segment = dir().join("log/00000000000000000000.log");
    let at = usize::try_from(begun.get()).expect("it is small") - 1 + SEGMENT_HEADER;
    image.flip(&segment, at, 1);
    let opened = open(&image, Opening::Follow);
    assert!(matches!(opened, Err(OpenError::Corrupt(_))));
}

#[test]
fn who_leads_does_not_begin_to_lead() {
    let node = Node::new(lead(1));
    let store: &Store = node.store();
    let end = node.end();
    assert!(store.leads());
    let refused = store.lead(id(2)).expect_err("it leads");
    assert_eq!(refused.to_string(), "the log is led here already");
    assert_eq!((node.end(), store.history().epochs().len()), (end, 1));
    assert_eq!(store.follow().expect("the disk works"), end);
    assert_eq!(store.follow().expect("the disk works"), end);
    assert!(!store.leads());
    assert_eq!(store.lead(id(2)).expect("there is room"), end);
    let history = store.history();
    let numbers = history.epochs().iter().map(|epoch| epoch.number);
    assert_eq!(numbers.collect::<Vec<_>>(), [1, 2]);
    assert_eq!(store.log().durable(), node.end());
}
