//! A pending list is a sorted map, whatever it holds and whoever has a snapshot of it.

use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

use super::chunks::tests::check;
use super::*;

type Model = BTreeMap<StreamId, PendingEntry>;

const PLACES: u64 = 3000;

/// IDs in ascending order: neighbours, then many in one millisecond, then the last there are.
fn id(place: u64) -> StreamId {
    let now = 1_700_000_000_000;
    match place {
        0..1000 => StreamId::new(now + place, 0),
        1000..2000 => StreamId::new(now + 1000, place << 40),
        _ => StreamId::new(u64::MAX - PLACES + place, u64::MAX - 3 * (place % 2)),
    }
}

fn entry(place: u64, consumer: usize, delivered_at: u64, deliveries: u64) -> PendingEntry {
    PendingEntry {
        id: id(place),
        consumer: ConsumerNo::new(consumer),
        delivered_at,
        deliveries,
    }
}

#[derive(Clone, Debug)]
enum Step {
    Append(usize, u64, u64),
    Insert(Vec<(u64, u64, u64)>, usize),
    Remove(Vec<u64>),
    RemoveFirst(usize),
    RemoveMost(u64),
    RemoveConsumer(usize),
    Snapshot,
}

fn consumer() -> impl Strategy<Value = usize> {
    prop_oneof![6 => 0..3_usize, 2 => 60..80_usize, 1 => Just(u32::MAX as usize)]
}

fn number() -> impl Strategy<Value = u64> {
    prop_oneof![6 => 1_700_000_000_000..1_700_000_001_000_u64, 2 => 0..3_u64, 1 => any::<u64>()]
}

fn step() -> impl Strategy<Value = Step> {
    let claim = || (0..PLACES, number(), number());
    prop_oneof![
        6 => (consumer(), number(), 1..400_u64).prop_map(|(consumer, at, n)| {
            Step::Append(consumer, at, n)
        }),
        4 => (vec(claim(), 1..9), consumer()).prop_map(|(claims, consumer)| {
            Step::Insert(claims, consumer)
        }),
        2 => (0..PLACES, 1..300_u64, number(), number(), consumer()).prop_map(
            |(from, count, at, deliveries, consumer)| {
                let places = from..PLACES.min(from + count);
                Step::Insert(places.map(|place| (place, at, deliveries)).collect(), consumer)
            }
        ),
        4 => vec(0..PLACES, 1..300).prop_map(Step::Remove),
        2 => (1..300_usize).prop_map(Step::RemoveFirst),
        1 => (2..40_u64).prop_map(Step::RemoveMost),
        1 => consumer().prop_map(Step::RemoveConsumer),
        2 => Just(Step::Snapshot),
    ]
}

fn insert(pending: &mut Pending, model: &mut Model, entries: &[PendingEntry]) {
    let mut replaced = Vec::new();
    pending.insert(entries.iter().copied(), |entry| replaced.push(entry));
    let before = entries
        .iter()
        .filter_map(|entry| model.insert(entry.id, *entry));
    assert_eq!(replaced, before.collect::<Vec<_>>());
}

fn remove(pending: &mut Pending, model: &mut Model, ids: &[StreamId]) {
    let mut removed = Vec::new();
    pending.remove(ids.iter().copied(), |consumer| removed.push(consumer));
    let owners = ids.iter().filter_map(|id| model.remove(id));
    let owners: Vec<_> = owners.map(|entry| entry.consumer).collect();
    assert_eq!(removed, owners);
}

fn perform(step: Step, pending: &mut Pending, model: &mut Model) {
    match step {
        Step::Append(consumer, at, count) => {
            let last = model.keys().next_back();
            let next = (0..PLACES).find(|&place| last.is_none_or(|&last| last < id(place)));
            let places = next.unwrap_or(PLACES)..;
            let places = places.take_while(|&place| place < PLACES);
            let entries = places.map(|place| entry(place, consumer, at, 1));
            let count = usize::try_from(count).expect("it is small");
            insert(pending, model, &entries.take(count).collect::<Vec<_>>());
        }
        Step::Insert(claims, consumer) => {
            let claims = claims.iter();
            let entries =
                claims.map(|&(place, at, deliveries)| entry(place, consumer, at, deliveries));
            insert(pending, model, &entries.collect::<Vec<_>>());
        }
        Step::Remove(places) => {
            let ids: Vec<_> = places.into_iter().map(id).collect();
            remove(pending, model, &ids);
        }
        Step::RemoveFirst(count) => {
            assert_eq!(pending.first(), model.values().next().copied());
            let ids: Vec<_> = model.keys().take(count).copied().collect();
            remove(pending, model, &ids);
        }
        Step::RemoveMost(rest) => {
            let ids: Vec<_> = (0..PLACES)
                .filter(|place| place % rest != 0)
                .map(id)
                .collect();
            remove(pending, model, &ids);
        }
        Step::RemoveConsumer(consumer) => {
            let consumer = ConsumerNo::new(consumer);
            pending.remove_consumer(consumer);
            model.retain(|_, entry| entry.consumer != consumer);
        }
        Step::Snapshot => {}
    }
}

fn all(pending: &Pending) -> Vec<PendingEntry> {
    pending.range(StreamId::MIN..=StreamId::MAX).collect()
}

fn check_against(model: &Model, pending: &Pending) {
    check(&pending.chunks);
    let before_recent = pending.chunks.last().and_then(Chunk::last);
    let recent = before_recent.iter().chain(&pending.recent);
    assert!(recent.is_sorted_by(|a, b| a.id < b.id));
    assert!(pending.recent.len() <= ROWS_MAX);
    assert_eq!(pending.len(), model.len() as u64);
    assert_eq!(pending.first(), model.values().next().copied());
    assert_eq!(pending.last(), model.values().next_back().copied());
    assert_eq!(all(pending), model.values().copied().collect::<Vec<_>>());
}

fn image(pending: &Pending) -> Vec<u8> {
    let mut image = Vec::new();
    pending.encode(&mut image);
    image
}

fn decode(mut input: &[u8]) -> Result<(Pending, Vec<ConsumerNo>), Malformed> {
    let mut owners = Vec::new();
    let pending = Pending::decode(&mut input, |consumer| {
        owners.push(consumer);
        Ok(())
    })?;
    Ok((pending, owners))
}

proptest! {
    #[test]
    fn it_is_a_sorted_map(
        steps in vec(step(), 1..40),
        places in (0..PLACES, 0..PLACES),
        consumer in consumer(),
        delivered_by in number(),
        most in 0..20_u64,
    ) {
        let (mut pending, mut model) = (Pending::default(), Model::new());
        let mut snapshots = Vec::new();
        for step in steps {
            if matches!(step, Step::Snapshot) {
                snapshots.push((pending.clone(), model.clone()));
            }
            perform(step, &mut pending, &mut model);
            check_against(&model, &pending);
        }
        for place in 0..PLACES {
            prop_assert_eq!(pending.get(id(place)), model.get(&id(place)).copied());
        }
        let consumer = ConsumerNo::new(consumer);
        let ids = id(places.0)..=id(places.1);
        let within = || model.values().copied().filter(|entry| ids.contains(&entry.id));
        let his = |entry: &PendingEntry| entry.consumer == consumer;
        let old = |entry: &PendingEntry| entry.delivered_at <= delivered_by;
        for (consumer, delivered_by, expected) in [
            (None, u64::MAX, within().collect::<Vec<_>>()),
            (Some(consumer), u64::MAX, within().filter(his).collect()),
            (None, delivered_by, within().filter(old).collect()),
            (Some(consumer), delivered_by, within().filter(his).filter(old).collect()),
        ] {
            let found = pending.select(ids.clone(), consumer, delivered_by);
            prop_assert_eq!(found.collect::<Vec<_>>(), expected);
        }
        let mut left = [most; 80];
        let mut expected: Vec<_> = model.values().copied().collect();
        let numbered = |entry: &PendingEntry| entry.consumer.index() < left.len();
        if expected.iter().all(numbered) {
            let mut rest = left;
            expected.retain(|entry| {
                let rest = &mut rest[entry.consumer.index()];
                let counts = *rest > 0;
                *rest -= u64::from(counts);
                counts
            });
            let mut found = Vec::new();
            pending.first_of_each(&mut left, |entry| found.push(entry));
            prop_assert_eq!(found, expected);
        }
        snapshots.push((pending, model));
        for (pending, model) in &snapshots {
            check_against(model, pending);
            let image = image(pending);
            let (again, owners) = decode(&image)?;
            check_against(model, &again);
            prop_assert_eq!(owners, model.values().map(|entry| entry.consumer).collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_damaged_image_is_refused_or_is_another_list(
        steps in vec(step(), 1..20),
        changes in vec((any::<Index>(), any::<u8>()), 0..4),
        cut in prop::option::of(any::<Index>()),
    ) {
        let (mut pending, mut model) = (Pending::default(), Model::new());
        for step in steps {
            perform(step, &mut pending, &mut model);
        }
        let mut image = image(&pending);
        if let Some(cut) = cut {
            let cut = cut.index(image.len());
            prop_assert!(decode(&image[..cut]).is_err() || cut == 0 || model.is_empty());
            image.truncate(cut);
        }
        if !image.is_empty() {
            for (place, value) in changes {
                *place.get_mut(&mut image) = value;
            }
        }
        if let Ok((pending, _)) = decode(&image) {
            let model = all(&pending).into_iter().map(|entry| (entry.id, entry)).collect();
            check_against(&model, &pending);
        }
    }

    #[test]
    fn noise_is_no_image_or_a_list(noise in vec(any::<u8>(), 0..400)) {
        if let Ok((pending, _)) = decode(&noise) {
            let model = all(&pending).into_iter().map(|entry| (entry.id, entry)).collect();
            check_against(&model, &pending);
        }
    }
}

/// A change of a stretch of a long list.
#[derive(Clone, Debug)]
enum Stretch {
    Fill {
        from: u64,
        count: u64,
        consumer: usize,
    },
    Thin {
        from: u64,
        count: u64,
        rest: u64,
    },
    Drop {
        consumer: usize,
    },
}

fn stretch() -> impl Strategy<Value = Stretch> {
    let (from, count) = (|| 0..60_000_u64, || 1..15_000_u64);
    prop_oneof![
        3 => (from(), count(), 0..3_usize).prop_map(|(from, count, consumer)| {
            Stretch::Fill { from, count, consumer }
        }),
        6 => (from(), count(), prop_oneof![2..10_u64, 100..1000_u64]).prop_map(
            |(from, count, rest)| Stretch::Thin { from, count, rest }
        ),
        1 => (0..3_usize).prop_map(|consumer| Stretch::Drop { consumer }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(ProptestConfig::default().cases.div_ceil(16)))]

    #[test]
    fn a_long_list_and_its_snapshots_are_sorted_maps(stretches in vec(stretch(), 1..12)) {
        let (mut pending, mut model) = (Pending::default(), Model::new());
        let at = |ms: u64, consumer: usize| PendingEntry {
            id: StreamId::new(ms, 0),
            ..entry(0, consumer, ms / 100, 1)
        };
        let every_third: Vec<_> = (0..20_000).map(|index| at(index * 3, 0)).collect();
        insert(&mut pending, &mut model, &every_third);
        let mut snapshots = Vec::new();
        for stretch in stretches {
            snapshots.push((pending.clone(), model.clone()));
            match stretch {
                Stretch::Fill { from, count, consumer } => {
                    let entries = (from..from + count).map(|ms| at(ms, consumer));
                    insert(&mut pending, &mut model, &entries.collect::<Vec<_>>());
                }
                Stretch::Thin { from, count, rest } => {
                    let ids = (from..from + count).filter(|ms| ms % rest != 0);
                    let ids: Vec<_> = ids.map(|ms| StreamId::new(ms, 0)).collect();
                    remove(&mut pending, &mut model, &ids);
                }
                Stretch::Drop { consumer } => {
                    let step = Step::RemoveConsumer(consumer);
                    perform(step, &mut pending, &mut model);
                }
            }
            check_against(&model, &pending);
        }
        for (pending, model) in &snapshots {
            check_against(model, pending);
        }
    }
}

#[test]
fn the_image_is_as_drawn() {
    let mut pending = Pending::default();
    let entries = [(5, 1, 1, 9, 1), (6, 1, 0, 8, 1), (7, 1, 1, 9, 1)];
    let entries = entries.map(
        |(ms, seq, consumer, delivered_at, deliveries)| PendingEntry {
            id: StreamId::new(ms, seq),
            consumer: ConsumerNo::new(consumer),
            delivered_at,
            deliveries,
        },
    );
    pending.insert(entries.into_iter(), |_| ());
    let expected = [
        &[1, 2][..], // One chunk, three rows.
        &[1, 2],     // ms: 4 + two bits.
        &[1, 0],     // seq: 1.
        &[0, 1],     // The consumer: one bit.
        &[4, 1],     // delivered_at: 8 + one bit.
        &[1, 0],     // deliveries: 1.
        &[0b0010_1101, 0b1111, 0, 0, 0, 0, 0, 0],
    ];
    assert_eq!(image(&pending), expected.concat());
    assert_eq!(image(&Pending::default()), [0]);
}

#[test]
fn an_image_of_what_cannot_be_is_refused() {
    let row = |ms: u8| [0, ms, 0, 1, 0, 0, 0, 9, 0, 1, 0];
    let chunks = |chunks: &[[u8; 11]]| {
        let mut image = vec![u8::try_from(chunks.len()).expect("it is small")];
        image.extend(chunks.concat());
        decode(&image).map(|(pending, _)| pending.len())
    };
    assert_eq!(chunks(&[row(1), row(2), row(3)]), Ok(3));
    assert_eq!(chunks(&[row(1), row(3), row(2)]), Err(UNSORTED));
    assert_eq!(chunks(&[row(1), row(1)]), Err(UNSORTED));
    for (place, value) in [
        (0, 128),
        (0, 255),
        (2, 65),
        (2, 64),
        (2, 255),
        (6, 33),
        (0, 1),
    ] {
        let mut row = row(1);
        row[place] = value;
        assert!(chunks(&[row]).is_err(), "{value} at {place}");
    }
    let refused = Malformed { what: "refused" };
    let image = [&[1][..], &row(1)].concat();
    let decoded = Pending::decode(&mut &image[..], |_| Err(refused));
    assert_eq!(decoded.map(|pending| pending.len()), Err(refused));
}

#[test]
fn what_stays_after_random_removals_is_packed() {
    let mut pending = Pending::default();
    let places = || (0..128_000).map(|ms| StreamId::new(ms, 0));
    let entries = places().map(|id| PendingEntry {
        id,
        ..entry(0, 0, 0, 1)
    });
    pending.insert(entries, |_| ());
    assert_eq!(pending.chunks.len(), 999);
    pending.remove(places().filter(|id| id.ms % 128 != 0), |_| ());
    assert_eq!(pending.len(), 1000);
    check(&pending.chunks);
    assert!(pending.chunks.len() < 64, "{} chunks", pending.chunks.len());
}

#[test]
fn neighbours_take_a_few_bytes() {
    let mut pending = Pending::default();
    let entries = (0..12_800).map(|place| PendingEntry {
        id: StreamId::new(1_700_000_000_000 + place, 0),
        ..entry(0, 0, 1_700_000_000_000 + place / 100 * 100, 1)
    });
    pending.insert(entries, |_| ());
    assert!(image(&pending).len() < 12_800 * 5 / 2);
}
