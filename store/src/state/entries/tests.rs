//! What can be seen of a stream does not depend on what is settled.
//!
//! The same history happens to two streams. One keeps everything in the tail. Of the other, parts
//! are settled at any moment, and settled anew, while it goes on changing; no block of it is ever
//! in memory unless it has just been asked for, and what a change needs must have been asked for
//! before it.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::{Draft, Entry, Order, PlaceIn};
use crate::data::{Data, Extent, Loaded, Missing, Patience, Reader};
use crate::disk::SimDisk;
use crate::id::{StreamId, StreamNo};
use crate::lsn::Lsn;
use crate::record::{Change, Claim, Claims, Fields, Ids};
use crate::state::listpack::NodeLimits;
use crate::state::stream::Stream;
use crate::state::trim::{Trim, TrimBy};

const GROUP: &[u8] = b"workers";
const CONSUMER: &[u8] = b"ann";

/// Something that happens.
#[derive(Clone, Debug)]
enum Step {
    Add {
        ahead: u64,
        words: Words,
        limits: NodeLimits,
        trim: Option<Trimming>,
    },
    Claim(Index),
    Copy,
    Delete(Deletion),
    Deliver {
        many: usize,
        pending: bool,
    },
    DropDraft,
    Install,
    Position {
        ahead: u64,
        added: u64,
        deleted: bool,
    },
    PositionGroup(Index),
    Redeliver {
        after: Index,
        many: u64,
    },
    SnapshotFront {
        below: Index,
        max: usize,
    },
    SnapshotParts(u64),
    /// A snapshot of the front, written and installed at once.
    Settle {
        below: Index,
        max: usize,
    },
    /// The same of parts.
    Compact(u64),
    Trim(Trimming),
}

/// Entries to delete, relative to those that there are.
#[derive(Copy, Clone, Debug)]
enum Deletion {
    /// Some that follow each other, or every second or third.
    Some {
        from: Index,
        many: usize,
        every: usize,
    },
    /// The first ones.
    First(usize),
    /// The last ones.
    Last(usize),
}

/// What an entry holds: which names, and how many bytes of value.
#[derive(Copy, Clone, Debug)]
struct Words {
    name: u8,
    bytes: usize,
}

/// A request to trim, relative to what is there.
#[derive(Clone, Debug)]
struct Trimming {
    keep: Index,
    by: By,
    approximate: bool,
    limit: Option<u64>,
}

#[derive(Copy, Clone, Debug)]
enum By {
    Len,
    /// The ID behind one that is or was there.
    Id,
    /// An ID that has been deleted: it may be the last of its node.
    DeletedId,
}

/// With `large` ones, few go into a block, and nodes are cut where blocks end.
fn words(large: u32) -> impl Strategy<Value = Words> {
    let bytes = prop_oneof![
        8 => 0_usize..40,
        large => 9_000_usize..20_000,
        1 => Just(40_000),
    ];
    (0..2_u8, bytes).prop_map(|(name, bytes)| Words { name, bytes })
}

fn limits() -> impl Strategy<Value = NodeLimits> {
    const LIMITS: [(u64, u64); 6] = [(4096, 100), (4096, 4), (120, 0), (0, 0), (0, 7), (1, 1)];
    select(&LIMITS[..]).prop_map(|(bytes, entries)| NodeLimits { bytes, entries })
}

fn trimming() -> impl Strategy<Value = Trimming> {
    let limit = prop_oneof![2 => Just(None), 1 => (1..12_u64).prop_map(Some)];
    let by = select(&[By::Len, By::Id, By::DeletedId][..]);
    (any::<Index>(), by, any::<bool>(), limit).prop_map(|(keep, by, approximate, limit)| {
        let limit = limit.filter(|_| approximate);
        Trimming {
            keep,
            by,
            approximate,
            limit,
        }
    })
}

fn deletion() -> impl Strategy<Value = Deletion> {
    let some = (any::<Index>(), 1..9_usize, 1..4_usize);
    prop_oneof![
        2 => some.prop_map(|(from, many, every)| Deletion::Some { from, many, every }),
        1 => (1..5_usize).prop_map(Deletion::First),
        2 => (1..5_usize).prop_map(Deletion::Last),
    ]
}

/// Steps of a history, in which most entries are added under the same limits.
fn step(usual: NodeLimits, large: u32) -> impl Strategy<Value = Step> {
    let limits = prop_oneof![9 => Just(usual), 1 => limits()];
    let trim = prop_oneof![9 => Just(None), 1 => trimming().prop_map(Some)];
    let add = (1..3_u64, words(large), limits, trim);
    let front = || (any::<Index>(), select(&[1, 3, 10, 1000][..]));
    prop_oneof![
        20 => add.prop_map(|(ahead, words, limits, trim)| Step::Add { ahead, words, limits, trim }),
        1 => any::<Index>().prop_map(Step::Claim),
        1 => any::<u64>().prop_map(Step::Compact),
        1 => Just(Step::Copy),
        6 => deletion().prop_map(Step::Delete),
        2 => (1..9_usize, any::<bool>())
            .prop_map(|(many, pending)| Step::Deliver { many, pending }),
        1 => Just(Step::DropDraft),
        4 => Just(Step::Install),
        1 => (0..3_u64, 0..3_u64, any::<bool>())
            .prop_map(|(ahead, added, deleted)| Step::Position { ahead, added, deleted }),
        1 => any::<Index>().prop_map(Step::PositionGroup),
        1 => (any::<Index>(), 1..9_u64).prop_map(|(after, many)| Step::Redeliver { after, many }),
        4 => front().prop_map(|(below, max)| Step::Settle { below, max }),
        2 => front().prop_map(|(below, max)| Step::SnapshotFront { below, max }),
        1 => any::<u64>().prop_map(Step::SnapshotParts),
        3 => trimming().prop_map(Step::Trim),
    ]
}

/// Halts of what looks up a few entries, one after the other: each may lack an index, and a block.
const FEW: usize = 12;

/// Does something that halts for what is missing, at most so many times, until nothing is; with the
/// reader that it used.
fn read<'d, R>(
    data: &'d Data,
    halts: usize,
    mut read: impl FnMut(&Reader<'d>) -> Result<R, Missing>,
) -> (Reader<'d>, R) {
    let mut loaded = Loaded::default();
    for _ in 0..=halts {
        let reader = Reader::new(data, Patience::Halt);
        reader.pin(loaded.clone());
        match read(&reader) {
            Ok(found) => return (reader, found),
            Err(Missing::Cold(cold)) => loaded.merge(data.load(&cold).expect("the disk works")),
            Err(unreadable) => panic!("the disk works: {unreadable}"),
        }
    }
    panic!("it halts more than {halts} times");
}

struct Pair {
    data: Arc<Data>,
    /// What the log would hold.
    log: BTreeMap<u64, (StreamId, Vec<u8>)>,
    /// All in the tail.
    plain: Stream,
    settled: Stream,
    /// Each behind the one before.
    drafts: Vec<(Draft, Arc<Extent>)>,
    /// Every ID ever, for asking.
    ids: Vec<StreamId>,
    deleted: Vec<StreamId>,
}

impl Pair {
    fn new() -> Self {
        let disk = Arc::new(SimDisk::new());
        // Nothing fits into the cache.
        let data = Data::open(disk, Path::new("/data"), 0).expect("the disk works");
        let mut pair = Self {
            data,
            log: BTreeMap::new(),
            plain: Stream::new(StreamNo::FIRST),
            settled: Stream::new(StreamNo::FIRST),
            drafts: Vec::new(),
            ids: vec![StreamId::MIN],
            deleted: Vec::new(),
        };
        pair.commit(&[
            Change::GroupCreated {
                group: GROUP,
                last_delivered: StreamId::MIN,
                entries_read: Some(0),
            },
            Change::ConsumerCreated {
                group: GROUP,
                consumer: CONSUMER,
                at: 1,
            },
        ]);
        pair
    }

    fn end(&self) -> Lsn {
        Lsn::new(10 * (1 + self.log.len() as u64))
    }

    fn patient(&self) -> Reader<'_> {
        Reader::new(&self.data, Patience::Wait)
    }

    fn ids(&self) -> Vec<StreamId> {
        let reader = self.patient();
        let all = (StreamId::MIN, StreamId::MAX);
        let entries = self.plain.entries(&reader, all, Order::Forward, usize::MAX);
        let entries = entries.expect("all is in the tail");
        entries.iter().map(|entry| entry.id).collect()
    }

    /// Makes changes of both, and whoever halts for what it lacks may not lack anything later.
    fn commit(&mut self, changes: &[Change<'_>]) {
        let data = Arc::clone(&self.data);
        let (reader, ()) = read(&data, FEW, |reader| {
            let checked = self.settled.check(changes);
            checked.unwrap_or_else(|what| panic!("{what}: {changes:?}"));
            self.settled.warm(reader, changes)
        });
        for change in changes {
            let at = self.end();
            if let Change::EntryAdded { id, fields, .. } = change {
                self.log.insert(at.get(), (*id, fields.resp.to_vec()));
                self.ids.push(*id);
            }
            let impatient = self.plain.apply(at, &reader, change);
            impatient.expect("all is in the tail");
            self.settled.apply(at, &reader, change).expect("it is warm");
        }
    }

    fn trim(&self, trimming: &Trimming) -> Trim {
        let by = match trimming.by {
            By::DeletedId if !self.deleted.is_empty() => {
                TrimBy::MinId(*trimming.keep.get(&self.deleted))
            }
            By::DeletedId | By::Id => {
                let id = *trimming.keep.get(&self.ids);
                TrimBy::MinId(id.next().expect("it is not the last"))
            }
            By::Len => TrimBy::MaxLen(trimming.keep.index(self.ids().len() + 1) as u64),
        };
        Trim {
            by,
            approximate: trimming.approximate,
            limit: trimming.limit,
        }
    }

    fn write(&self, draft: &Draft) -> Arc<Extent> {
        let reader = self.patient();
        let mut writer = self.data.create_file().expect("the disk works");
        writer.begin_extent(self.settled.number());
        for node in draft.nodes(&reader).expect("the disk works") {
            writer.node(node.head);
            for entry in &node.entries {
                let resp = self.resp(&reader, entry);
                let fields = Fields {
                    words: 2,
                    resp: &resp,
                };
                writer.entry(entry.id, fields).expect("the disk works");
            }
        }
        writer.end_extent().expect("the disk works");
        let (_, mut extents) = writer.finish().expect("the disk works");
        extents.pop().expect("a draft has entries")
    }

    fn resp(&self, reader: &Reader<'_>, entry: &Entry) -> Vec<u8> {
        match entry.at.get() {
            PlaceIn::Log(at) => {
                let (id, resp) = &self.log[&at.get()];
                assert_eq!(*id, entry.id);
                resp.clone()
            }
            PlaceIn::Block { pin, offset } => {
                reader.fields(pin, offset, |fields| fields.resp.to_vec())
            }
        }
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Add {
                ahead,
                words,
                limits,
                trim,
            } => {
                let last = self.plain.last_id();
                let id = StreamId::new(last.ms + ahead - 1, last.seq + 1);
                let mut buffer = Vec::new();
                let value = vec![b'x'; words.bytes];
                let name = [b'a' + words.name];
                let fields = Fields::encode([&name[..], &value], &mut buffer);
                let added = self.plain.entry_added(id, fields, *limits);
                assert_eq!(added, self.settled.entry_added(id, fields, *limits));
                let point = trim.as_ref().and_then(|trimming| {
                    let trim = self.trim(trimming);
                    let reader = self.patient();
                    let plain = self.plain.trim_point_after(&reader, &added, &trim);
                    let (_, settled) = read(&self.data, FEW, |reader| {
                        self.settled.trim_point_after(reader, &added, &trim)
                    });
                    let plain = plain.expect("all is in the tail");
                    let removed = |point: &crate::state::TrimPoint| point.removed;
                    assert_eq!(plain.as_ref().map(removed), settled.as_ref().map(removed));
                    settled
                });
                match point {
                    None => self.commit(&[added]),
                    Some(point) => self.commit(&[
                        added,
                        Change::Trimmed {
                            through: point.through,
                        },
                    ]),
                }
            }
            Step::Claim(which) => {
                let ids = self.ids();
                if !ids.is_empty() {
                    let claims = [Claim {
                        id: *which.get(&ids),
                        deliveries: 3,
                    }];
                    self.commit(&[Change::Claimed {
                        group: GROUP,
                        consumer: CONSUMER,
                        delivered_at: 5,
                        at: 5,
                        entries: Claims::from(&claims),
                    }]);
                }
            }
            Step::Copy => {
                let number = self.plain.number().next();
                self.plain = self.plain.copy(number);
                self.settled = self.settled.copy(number);
            }
            Step::Delete(deletion) => {
                let there = self.ids();
                let ids: Vec<_> = match *deletion {
                    _ if there.is_empty() => self.ids.clone(),
                    Deletion::Some { from, many, every } => {
                        let from = from.index(there.len());
                        let some = there[from..].iter().step_by(every).take(many);
                        some.rev().copied().collect()
                    }
                    Deletion::First(many) => there.iter().take(many).copied().collect(),
                    Deletion::Last(many) => there.iter().rev().take(many).copied().collect(),
                };
                self.deleted.extend(&ids);
                self.commit(&[Change::EntriesDeleted {
                    ids: Ids::from(&ids),
                }]);
            }
            Step::Deliver { many, pending } => {
                let group = self.plain.group(GROUP).expect("it was created");
                let after = group.last_delivered();
                let ids: Vec<_> = self.ids().into_iter().filter(|&id| id > after).collect();
                let ids = &ids[..ids.len().min(*many)];
                if !ids.is_empty() {
                    self.commit(&[Change::Delivered {
                        group: GROUP,
                        consumer: CONSUMER,
                        at: 7,
                        pending: *pending,
                        ids: Ids::from(ids),
                    }]);
                }
            }
            Step::DropDraft => drop(self.drafts.pop()),
            Step::Install => {
                for (draft, extent) in std::mem::take(&mut self.drafts) {
                    assert!(self.settled.install(&draft, Arc::clone(&extent)));
                    assert!(!self.settled.install(&draft, extent), "once");
                }
            }
            Step::Position {
                ahead,
                added,
                deleted,
            } => {
                let last = self.plain.last_id();
                let last_id = StreamId::new(last.ms + ahead, last.seq + 1);
                self.ids.push(last_id);
                let max_deleted = if *deleted {
                    last_id
                } else {
                    self.plain.max_deleted()
                };
                self.commit(&[Change::Positioned {
                    last_id,
                    entries_added: self.plain.len() + added,
                    max_deleted,
                }]);
            }
            Step::PositionGroup(which) => {
                let last_delivered = *which.get(&self.ids);
                let entries_read = self.plain.added_up_to(last_delivered);
                self.commit(&[Change::GroupPositioned {
                    group: GROUP,
                    last_delivered,
                    entries_read,
                }]);
            }
            Step::Redeliver { after, many } => {
                let after = *after.get(&self.ids);
                let there = self.ids();
                let group = self.plain.group(GROUP).expect("it was created");
                let consumer = group.consumer(CONSUMER).expect("it was created");
                let own = group
                    .pending_of(consumer, after)
                    .take(usize::try_from(*many).unwrap_or(usize::MAX));
                let own = own.map(|entry| entry.id).filter(|id| there.contains(id));
                let ids: Vec<_> = own.collect();
                self.commit(&[Change::Redelivered {
                    group: GROUP,
                    consumer: CONSUMER,
                    at: 9,
                    ids: Ids::from(&ids),
                }]);
            }
            Step::SnapshotFront { below, max } => self.snapshot_front(*below, *max),
            Step::SnapshotParts(numbers) => self.snapshot_parts(*numbers),
            Step::Settle { below, max } => {
                self.snapshot_front(*below, *max);
                self.step(&Step::Install);
            }
            Step::Compact(numbers) => {
                self.snapshot_parts(*numbers);
                self.step(&Step::Install);
            }
            Step::Trim(trimming) => {
                let trim = self.trim(trimming);
                let point = self.trim_point(&trim);
                if let Some(through) = point {
                    self.commit(&[Change::Trimmed { through }]);
                }
            }
        }
    }

    fn snapshot_front(&mut self, below: Index, max: usize) {
        let below = Lsn::new(10 * (1 + below.index(self.log.len() + 1) as u64));
        let behind = self.drafts.last().map(|(draft, _)| draft);
        if let Some(draft) = self.settled.snapshot_front(below, max, behind) {
            let extent = self.write(&draft);
            self.drafts.push((draft, extent));
        }
    }

    /// Of the files that have their bit in `numbers`.
    fn snapshot_parts(&mut self, numbers: u64) {
        let wanted = |extent: &Extent| numbers >> (extent.file.number() % 64) & 1 == 1;
        let behind = self.drafts.last().map(|(draft, _)| draft);
        if let Some(draft) = self.settled.snapshot_parts(wanted, behind) {
            let extent = self.write(&draft);
            self.drafts.push((draft, extent));
        }
    }

    /// How far both say that trimming goes.
    fn trim_point(&self, trim: &Trim) -> Option<StreamId> {
        let plain = self.plain.trim_point(&self.patient(), trim);
        let plain = plain.expect("all is in the tail");
        let (_, settled) = read(&self.data, FEW, |reader| {
            self.settled.trim_point(reader, trim)
        });
        let removed = |point: &Option<crate::state::TrimPoint>| point.map(|point| point.removed);
        assert_eq!(removed(&plain), removed(&settled), "{trim:?}");
        settled.map(|point| point.through)
    }

    /// Compares everything that can be seen.
    fn compare(&self, trimming: &Trimming, ends: (Index, Index), limit: usize) {
        let (plain, settled) = (&self.plain, &self.settled);
        assert_eq!(plain.len(), settled.len());
        assert_eq!(plain.nodes(), settled.nodes());
        assert_eq!(plain.first_id(), settled.first_id());
        assert_eq!(plain.last_entry_id(), settled.last_entry_id());
        let fields = Fields {
            words: 2,
            resp: b"$1\r\na\r\n$1\r\nb\r\n",
        };
        let limits = NodeLimits::default();
        assert_eq!(
            plain.place(StreamId::MAX, &fields, limits),
            settled.place(StreamId::MAX, &fields, limits)
        );
        settled.entries.assert_sound(&self.patient());
        let mut dumps = [String::new(), String::new()];
        for (stream, dump) in [plain, settled].into_iter().zip(&mut dumps) {
            let dumped = stream.dump(&self.patient(), dump);
            dumped.expect("a patient reader waits");
        }
        assert_eq!(dumps[0], dumps[1]);
        let (from, to) = (*ends.0.get(&self.ids), *ends.1.get(&self.ids));
        for order in [Order::Forward, Order::Backward] {
            for (from, to) in [(from, to), (StreamId::MIN, StreamId::MAX)] {
                let entries = plain.entries(&self.patient(), (from, to), order, limit);
                let expected = entries.expect("all is in the tail");
                let (reader, found) = read(&self.data, 2, |reader| {
                    settled.entries(reader, (from, to), order, limit)
                });
                assert_eq!(expected.len(), found.len());
                for (expected, found) in expected.iter().zip(&found) {
                    assert_eq!(expected.id, found.id);
                    assert!(self.resp(&reader, expected) == self.resp(&reader, found));
                }
            }
        }
        let ids = || [from, to].into_iter().chain(from.next());
        let expected = plain.get_all(&self.patient(), ids());
        let (_, found) = read(&self.data, 2, |reader| settled.get_all(reader, ids()));
        let ids = |entries: &[Option<Entry>]| -> Vec<_> {
            entries
                .iter()
                .map(|entry| entry.map(|entry| entry.id))
                .collect()
        };
        assert_eq!(ids(&expected.expect("all is in the tail")), ids(&found));
        self.trim_point(&self.trim(trimming));
    }
}

/// So many cases, times `HEADWATER_BUDGET`.
fn config(cases: u32) -> ProptestConfig {
    let budget = std::env::var("HEADWATER_BUDGET").ok();
    let budget = budget.and_then(|budget| budget.parse().ok()).unwrap_or(1);
    ProptestConfig {
        cases: cases.saturating_mul(budget),
        max_shrink_iters: 10_000,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(config(128))]

    #[test]
    fn nothing_that_can_be_seen_depends_on_what_is_settled(
        steps in (limits(), select(&[1, 1, 1, 12][..])).prop_flat_map(|(usual, large)| {
            vec((step(usual, large), trimming(), any::<(Index, Index)>(), 1..20_usize), 1..160)
        }),
    ) {
        let mut pair = Pair::new();
        for (step, trimming, ends, limit) in &steps {
            pair.step(step);
            pair.compare(trimming, *ends, *limit);
        }
    }
}
