//! A state in the making: first from a checkpoint, then from the log behind it.
//!
//! A checkpoint is fuzzy: it was begun when the log ended at `from` and done when it ended at
//! `until`; in between streams were written one by one, in the order of their numbers, each as it
//! was when its turn came. So replay begins at `from`, and of the records below `until`
//!
//! | a record about                          | is                                                |
//! |-----------------------------------------|---------------------------------------------------|
//! | a stream that is not there              | passed over: it was gone when its turn came       |
//! | a stream that has seen the record       | passed over                                       |
//! | a stream that appears                   | passed over: it is there, or was gone             |
//! | a stream that has not                   | applied                                           |
//! | a whole database that is emptied        | applied to the streams that have not seen it      |
//! | two databases that change places        | applied: their order is that of `from`            |
//!
//! Two streams may claim one key: the older one had it when its turn came, then lost it, and later
//! the younger got it. Until the record comes that says how it was lost, the older is *homeless*.
//!
//! From `until` on the state is as it was then, and records are applied as ever.

use std::collections::HashMap;

use super::stream::Stream;
use super::{Cell, Hash, State, possible};
use crate::checkpoint::Ending;
use crate::data::Reader;
use crate::error::{DataError, Malformed};
use crate::id::StreamNo;
use crate::lsn::Lsn;
use crate::record::{KeyspaceChange, Record};
use crate::sabotage::{self, Bug};

const LATE: &str = "a stream appears late";
const OUT_OF_ORDER: Malformed = Malformed {
    what: "streams that are not in the order of their numbers",
};
const MISCOUNTED: Malformed = Malformed {
    what: "not as many streams as there should be",
};
const HOMELESS: Malformed = Malformed {
    what: "two streams claim one key, and the log does not say which lost it",
};

/// A state in the making.
#[derive(Debug)]
pub(crate) struct Restore {
    state: State,
    /// Images have seen records up to here at most.
    until: Lsn,
    streams: u64,
    last: Option<StreamNo>,
    homeless: HashMap<StreamNo, Homeless, Hash>,
}

/// A stream whose key has another by now.
#[derive(Debug)]
struct Homeless {
    place: u8,
    cell: Box<Cell>,
}

impl Restore {
    /// From the log alone.
    pub(crate) fn fresh() -> Self {
        Self {
            state: State::new(),
            until: Lsn::ZERO,
            streams: 0,
            last: None,
            homeless: HashMap::default(),
        }
    }

    /// From a checkpoint that knows which database is which.
    pub(crate) fn begin(order: [u8; 256]) -> Self {
        let mut restore = Self::fresh();
        restore.state.order = order;
        restore
    }

    /// Takes a stream of the checkpoint, which is in the database at `place`.
    ///
    /// # Errors
    ///
    /// When it is not greater than the one before.
    pub(crate) fn add(
        &mut self,
        place: u8,
        key: &[u8],
        expires_at: Option<u64>,
        stream: Stream,
    ) -> Result<(), Malformed> {
        let number = stream.number();
        if self.last >= Some(number) {
            return Err(OUT_OF_ORDER);
        }
        self.last = Some(number);
        self.streams += 1;
        self.settle(Lsn::ZERO, place, key, Cell::new(stream, expires_at));
        Ok(())
    }

    /// Has got every stream.
    ///
    /// # Errors
    ///
    /// When they are not as many as there should be.
    pub(crate) fn end(&mut self, ending: &Ending) -> Result<(), Malformed> {
        if self.streams != ending.streams || self.last >= Some(ending.next) {
            return Err(MISCOUNTED);
        }
        self.state.next = ending.next;
        self.until = ending.until;
        Ok(())
    }

    /// Says what is wrong with the record that the log holds from `at` to `end`, if it cannot
    /// happen next. One that is right can be [applied](Self::apply).
    pub(crate) fn check(
        &mut self,
        at: Lsn,
        end: Lsn,
        record: &Record<'_>,
    ) -> Result<(), &'static str> {
        if at >= self.until {
            return self.state.check(record);
        }
        match *record {
            Record::Stream { stream, change } => match self.cell_before(stream, end) {
                Some(cell) => cell.stream.get_mut().check(&[change]),
                None => Ok(()),
            },
            Record::Keyspace(
                KeyspaceChange::Created { stream, .. } | KeyspaceChange::Copied { stream, .. },
            ) if stream >= self.state.next => Err(LATE),
            Record::Keyspace(_) => Ok(()),
        }
    }

    /// Makes the change that the log holds from `at` to `end`, unless the checkpoint has it.
    ///
    /// # Errors
    ///
    /// When settled entries that it is about cannot be read.
    ///
    /// # Panics
    ///
    /// When the record is impossible.
    pub(crate) fn apply(
        &mut self,
        at: Lsn,
        end: Lsn,
        reader: &Reader<'_>,
        record: &Record<'_>,
    ) -> Result<(), DataError> {
        if at >= self.until {
            return self.state.apply(at, end, reader, record);
        }
        match record {
            Record::Stream { stream, change } => {
                if let Some(cell) = self.cell_before(*stream, end) {
                    let stream = cell.stream.get_mut();
                    stream.apply(at, reader, change)?;
                    stream.note_changed(end);
                }
            }
            Record::Keyspace(change) => self.apply_keyspace(at, end, change),
        }
        Ok(())
    }

    /// The state, once the whole log has been applied.
    ///
    /// # Errors
    ///
    /// When the log did not say what became of a stream: it is not the log of this checkpoint.
    pub(crate) fn finish(self) -> Result<State, Malformed> {
        if self.homeless.is_empty() {
            Ok(self.state)
        } else {
            Err(HOMELESS)
        }
    }

    fn apply_keyspace(&mut self, at: Lsn, end: Lsn, change: &KeyspaceChange<'_>) {
        match *change {
            KeyspaceChange::Created { stream, .. } | KeyspaceChange::Copied { stream, .. } => {
                let known = stream < self.state.next;
                possible(known, at, LATE);
            }
            KeyspaceChange::Removed { stream } => drop(self.take_before(at, stream, end)),
            KeyspaceChange::Moved { stream, db, key } => {
                if let Some(mut cell) = self.take_before(at, stream, end) {
                    cell.stream.get_mut().note_changed(end);
                    let place = self.state.order[usize::from(db)];
                    self.settle(at, place, key, cell);
                }
            }
            KeyspaceChange::ExpirySet { stream, at_ms } => {
                if self.cell_before(stream, end).is_some() {
                    match self.homeless.get_mut(&stream) {
                        Some(Homeless { cell, .. }) => {
                            cell.expires_at = at_ms;
                            cell.stream.get_mut().note_changed(end);
                        }
                        None => self.state.set_expiry(at, end, stream, at_ms),
                    }
                }
            }
            KeyspaceChange::Flushed { db } => {
                let place = db.map(|db| self.state.order[usize::from(db)]);
                self.flush(at, end, place);
            }
            KeyspaceChange::DatabasesSwapped { a, b } => {
                self.state.order.swap(a.into(), b.into());
            }
        }
    }

    fn flush(&mut self, at: Lsn, end: Lsn, place: Option<u8>) {
        let concerned = |of: u8| place.is_none_or(|place| place == of);
        let homes = self.state.homes.iter();
        let homes = homes.map(|(&number, home)| (number, home.place));
        let homeless = self.homeless.iter();
        let homeless = homeless.map(|(&number, homeless)| (number, homeless.place));
        let there: Vec<StreamNo> = { homes.chain(homeless) }
            .filter(|&(_, place)| concerned(place))
            .map(|(number, _)| number)
            .collect();
        for number in there {
            drop(self.take_before(at, number, end));
        }
    }

    /// The stream, if it is there and has not seen the record that ends at `end`.
    fn cell_before(&mut self, number: StreamNo, end: Lsn) -> Option<&mut Cell> {
        let cell = match self.homeless.get_mut(&number) {
            Some(homeless) => &mut homeless.cell,
            None => {
                let home = self.state.homes.get(&number)?;
                let cells = &mut self.state.databases[usize::from(home.place)].cells;
                cells.get_mut(&*home.key).expect("a home has a cell")
            }
        };
        let unseen = cell.stream.get_mut().changed() < end;
        (unseen || sabotage::has(Bug::SeenAgain)).then_some(cell)
    }

    /// Takes the stream out, if it is there and has not seen the record that ends at `end`.
    fn take_before(&mut self, at: Lsn, number: StreamNo, end: Lsn) -> Option<Box<Cell>> {
        self.cell_before(number, end)?;
        let homeless = self.homeless.remove(&number);
        Some(homeless.map_or_else(|| self.state.take(at, number), |homeless| homeless.cell))
    }

    /// Puts a stream under a key. If two claim it, the one that has seen more keeps it.
    fn settle(&mut self, at: Lsn, place: u8, key: &[u8], mut cell: Box<Cell>) {
        let cells = &mut self.state.databases[usize::from(place)].cells;
        let Some(other) = cells.get_mut(key) else {
            self.state.place_in(at, place, key, cell);
            return;
        };
        let number = other.number;
        if other.stream.get_mut().changed() > cell.stream.get_mut().changed() {
            self.homeless.insert(cell.number, Homeless { place, cell });
            return;
        }
        let other = self.state.take(at, number);
        let homeless = Homeless { place, cell: other };
        self.homeless.insert(number, homeless);
        self.state.place_in(at, place, key, cell);
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::data::{Data, Patience};
    use crate::disk::SimDisk;
    use crate::id::StreamId;
    use crate::record::{Change, Fields};

    /// What happens next. Numbers are taken modulo what there is.
    #[derive(Clone, Debug)]
    enum Step {
        Add { pick: usize },
        Capture,
        Copy { pick: usize, db: u8, key: u8 },
        Create { db: u8, key: u8 },
        Expire { pick: usize, at_ms: Option<u64> },
        Flush { db: Option<u8> },
        Move { pick: usize, db: u8, key: u8 },
        Remove { pick: usize },
        Swap { a: u8, b: u8 },
    }

    fn step() -> impl Strategy<Value = Step> {
        let pick = || any::<usize>();
        let (db, key) = (|| 0..3_u8, || 0..3_u8);
        prop_oneof![
            3 => pick().prop_map(|pick| Step::Add { pick }),
            4 => Just(Step::Capture),
            1 => (pick(), db(), key()).prop_map(|(pick, db, key)| Step::Copy { pick, db, key }),
            4 => (db(), key()).prop_map(|(db, key)| Step::Create { db, key }),
            1 => (pick(), prop::option::of(1..9_u64))
                .prop_map(|(pick, at_ms)| Step::Expire { pick, at_ms }),
            1 => prop::option::weighted(0.8, db()).prop_map(|db| Step::Flush { db }),
            3 => (pick(), db(), key()).prop_map(|(pick, db, key)| Step::Move { pick, db, key }),
            1 => pick().prop_map(|pick| Step::Remove { pick }),
            1 => (db(), db()).prop_map(|(a, b)| Step::Swap { a, b }),
        ]
    }

    const KEYS: [&[u8]; 3] = [b"a", b"b", b"c"];

    /// A state, and the log of how it came about.
    struct Live<'r> {
        reader: &'r Reader<'r>,
        state: State,
        log: Vec<(Lsn, Lsn, Record<'static>)>,
        end: Lsn,
    }

    impl Live<'_> {
        fn record(&mut self, record: Record<'static>) {
            let at = self.end;
            self.end = at.plus(10);
            let applied = self.state.apply(at, self.end, self.reader, &record);
            applied.expect("nothing is settled");
            self.log.push((at, self.end, record));
        }

        fn keyspace(&mut self, change: KeyspaceChange<'static>) {
            self.record(Record::Keyspace(change));
        }

        fn pick(&self, pick: usize) -> Option<StreamNo> {
            let mut numbers: Vec<_> = self.state.homes.keys().copied().collect();
            numbers.sort_unstable();
            numbers.get(pick.checked_rem(numbers.len())?).copied()
        }

        fn free(&mut self, db: u8, key: &[u8]) {
            let there = self.state.cell(db, key).map(|(_, cell)| cell.number());
            if let Some(stream) = there {
                self.keyspace(KeyspaceChange::Removed { stream });
            }
        }

        fn step(&mut self, step: &Step) {
            match *step {
                Step::Capture => {}
                Step::Create { db, key } => {
                    let key = KEYS[usize::from(key)];
                    self.free(db, key);
                    let stream = self.state.next();
                    self.keyspace(KeyspaceChange::Created { stream, db, key });
                }
                Step::Flush { db } => self.keyspace(KeyspaceChange::Flushed { db }),
                Step::Swap { a, b } => self.keyspace(KeyspaceChange::DatabasesSwapped { a, b }),
                Step::Add { pick }
                | Step::Copy { pick, .. }
                | Step::Expire { pick, .. }
                | Step::Move { pick, .. }
                | Step::Remove { pick } => {
                    if let Some(stream) = self.pick(pick) {
                        self.step_of(step, stream);
                    }
                }
            }
        }

        fn step_of(&mut self, step: &Step, stream: StreamNo) {
            match *step {
                Step::Add { .. } => {
                    let id = StreamId::new(self.end.get() + 1, 0);
                    let resp = b"$1\r\na\r\n$1\r\nb\r\n";
                    let change = Change::EntryAdded {
                        id,
                        fields: Fields { words: 2, resp },
                        new_node: true,
                        node_bytes: 9,
                    };
                    self.record(Record::Stream { stream, change });
                }
                Step::Copy { db, key, .. } => {
                    let key = KEYS[usize::from(key)];
                    if self.state.cell(db, key).is_none() {
                        self.keyspace(KeyspaceChange::Copied {
                            from: stream,
                            stream: self.state.next(),
                            db,
                            key,
                            expires_at: None,
                        });
                    }
                }
                Step::Expire { at_ms, .. } => {
                    self.keyspace(KeyspaceChange::ExpirySet { stream, at_ms });
                }
                Step::Move { db, key, .. } => {
                    let key = KEYS[usize::from(key)];
                    let there = self.state.cell(db, key).map(|(_, cell)| cell.number());
                    if there != Some(stream) {
                        self.free(db, key);
                        self.keyspace(KeyspaceChange::Moved { stream, db, key });
                    }
                }
                Step::Remove { .. } => self.keyspace(KeyspaceChange::Removed { stream }),
                Step::Capture | Step::Create { .. } | Step::Flush { .. } | Step::Swap { .. } => {}
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            cases: 3000,
            failure_persistence: None,
            ..ProptestConfig::default()
        })]

        #[test]
        fn a_fuzzy_checkpoint_and_the_log_behind_it_are_the_state(
            before in vec(step(), 0..12),
            during in vec(step(), 0..40),
            after in vec(step(), 0..6),
        ) {
            let data = Data::open(Arc::new(SimDisk::new()), Path::new("/data"), 0).unwrap();
            let reader = Reader::new(&data, Patience::Wait);
            let mut live = Live {
                reader: &reader,
                state: State::new(),
                log: Vec::new(),
                end: Lsn::new(5),
            };
            before.iter().for_each(|step| live.step(step));

            let from = live.end;
            let mut restore = Restore::begin(live.state.order());
            let mut cursor = StreamNo::FIRST;
            let mut streams = 0;
            let mut capture = |live: &Live<'_>| {
                let next = live.state.all_from(cursor, 1);
                let [(place, key, cell)] = next[..] else { return false };
                let stream = cell.lock().clone();
                cursor = stream.number().next();
                streams += 1;
                restore.add(place, key, cell.expires_at(), stream).unwrap();
                true
            };
            for step in &during {
                if matches!(step, Step::Capture) {
                    capture(&live);
                } else {
                    live.step(step);
                }
            }
            while capture(&live) {}
            let ending = Ending {
                until: live.end,
                next: live.state.next(),
                keep: from,
                streams,
            };
            restore.end(&ending).unwrap();

            after.iter().for_each(|step| live.step(step));
            for (at, end, record) in live.log.iter().filter(|(at, ..)| *at >= from) {
                restore.apply(*at, *end, &reader, record).unwrap();
            }
            let restored = restore.finish().unwrap();
            let dump = |state: &State| state.dump(&reader).unwrap();
            prop_assert_eq!(dump(&restored), dump(&live.state));
        }
    }
}
