//! What the server has said to whom, and what it may therefore not say any more.
//!
//! Its clock ticks whenever something is written down, and a request notes the tick at which it
//! was asked. So "before" is exact, without a lock around the requests: what was confirmed at a
//! tick below that of the question was confirmed before the question was sent.

use std::fmt;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use super::server::Server;
use super::{CONSUMERS, Entry, PATIENCE};

/// The ID of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Id {
    ms: u64,
    seq: u64,
}

impl Id {
    pub(crate) const ZERO: Self = Self { ms: 0, seq: 0 };

    pub(crate) fn parse(text: &str) -> Self {
        let (ms, seq) = text.split_once('-').unwrap();
        Self {
            ms: ms.parse().unwrap(),
            seq: seq.parse().unwrap(),
        }
    }

    /// The first ID that is greater, for XRANGE.
    pub(crate) fn after(self) -> String {
        Self {
            ms: self.ms,
            seq: self.seq + 1,
        }
        .to_string()
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.ms, self.seq)
    }
}

pub(crate) fn id_of(entry: &Entry) -> Id {
    Id::parse(&entry.id)
}

/// A moment of the ledger's clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Tick(u64);

/// How an entry came to a consumer.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Delivery {
    /// By XREADGROUP with `>`: nobody was told of it before, and it is the consumer's now.
    New,
    /// By XREADGROUP with an ID: it was the consumer's before.
    Pending,
    /// By XAUTOCLAIM: it was anybody's, and is the consumer's now.
    Claimed,
}

/// A delivery that made an entry a consumer's own, in between these moments.
#[derive(Clone, Copy)]
struct Taken {
    asked: Tick,
    told: Tick,
}

/// Whether a consumer may own entries that it was not told of.
#[derive(Clone, Copy, Default)]
struct Claims {
    /// An XAUTOCLAIM of its is under way.
    asking: bool,
    /// Answers were lost before this moment, none after.
    lost: Tick,
}

/// What is known of one record.
#[derive(Clone, Default)]
struct Line {
    /// Where it stands in the stream, once anybody was told.
    id: Option<Id>,
    /// Its producer knows that it is there.
    added: bool,
    /// When a consumer had first got it.
    delivered: Option<Tick>,
    /// When each consumer had last made it its own.
    taken: [Option<Taken>; CONSUMERS],
    /// How often an acknowledgement was sent.
    acks_sent: u64,
    /// When the server had first confirmed that it is acknowledged.
    acked: Option<Tick>,
}

/// See the module.
pub(crate) struct Ledger {
    books: Mutex<Books>,
    moved: Condvar,
}

struct Books {
    lines: Vec<Line>,
    clock: Tick,
    /// Confirmed additions and confirmed acknowledgements.
    progress: u64,
    acked: u64,
    deliveries: u64,
    abandoned: Option<u64>,
    claimed: u64,
    claims: [Claims; CONSUMERS],
    /// The progress that the main thread waits for.
    awaited: u64,
    over: bool,
}

impl Ledger {
    pub(crate) fn new(records: usize) -> Self {
        Self {
            books: Mutex::new(Books {
                lines: vec![Line::default(); records],
                clock: Tick(0),
                progress: 0,
                acked: 0,
                deliveries: 0,
                abandoned: None,
                claimed: 0,
                claims: [Claims::default(); CONSUMERS],
                awaited: 0,
                over: false,
            }),
            moved: Condvar::new(),
        }
    }

    /// Taken before a request is sent.
    pub(crate) fn now(&self) -> Tick {
        self.books.lock().clock
    }

    /// A producer knows that its record stands there.
    pub(crate) fn added(&self, number: usize, id: Id) {
        let mut books = self.books.lock();
        books.places(number, id);
        let line = &mut books.lines[number];
        if !line.added {
            line.added = true;
            books.moves(&self.moved);
        }
    }

    /// A consumer has got entries by a request that was sent at `asked` or later. Says of each
    /// whether anybody got it for the first time.
    ///
    /// # Panics
    ///
    /// One of them may not come any more, or not to this consumer.
    pub(crate) fn delivered(
        &self,
        consumer: usize,
        entries: &[(usize, Id)],
        asked: Tick,
        delivery: Delivery,
    ) -> Vec<bool> {
        let mut books = self.books.lock();
        let now = books.tick();
        books.deliveries += entries.len() as u64;
        let mut firsts = Vec::with_capacity(entries.len());
        for (number, id) in entries {
            books.places(*number, *id);
            let line = &books.lines[*number];
            let earlier = |tick: &Tick| *tick < asked;
            if let Some(acked) = line.acked.filter(earlier) {
                panic!(
                    "{id} came back at {now:?}, though its acknowledgement was confirmed at \
                     {acked:?}, before it was asked for at {asked:?}"
                );
            }
            match delivery {
                Delivery::New => {
                    if let Some(told) = line.delivered.filter(earlier) {
                        panic!(
                            "{id} came as new at {now:?}, though it was delivered at {told:?}, \
                             before it was asked for at {asked:?}"
                        );
                    }
                }
                Delivery::Pending => {
                    let takers = line.taken.iter().flatten();
                    for taken in takers.filter(|taken| earlier(&taken.told)) {
                        books.may_own(consumer, *number, taken.asked);
                    }
                }
                Delivery::Claimed => {}
            }
            let line = &mut books.lines[*number];
            firsts.push(line.delivered.is_none());
            line.delivered.get_or_insert(now);
            if delivery != Delivery::Pending {
                line.taken[consumer] = Some(Taken { asked, told: now });
            }
        }
        if delivery == Delivery::Claimed {
            books.claimed += entries.len() as u64;
        }
        firsts
    }

    /// A consumer is about to send an acknowledgement.
    pub(crate) fn acking(&self, entries: &[(usize, Id)]) {
        let mut books = self.books.lock();
        for (number, _) in entries {
            books.lines[*number].acks_sent += 1;
        }
    }

    /// The server said that of these `confirmed` were pending, and now are acknowledged.
    pub(crate) fn acked(&self, entries: &[(usize, Id)], confirmed: usize) {
        let mut books = self.books.lock();
        // The others are somebody else's, or an acknowledgement whose reply was lost.
        let excused = entries
            .iter()
            .filter(|(number, _)| books.lines[*number].acks_sent > 1)
            .count();
        assert!(
            confirmed <= entries.len() && entries.len() - confirmed <= excused,
            "{confirmed} of {} were acknowledged, and {excused} may have been before",
            entries.len()
        );
        books.settle(entries, &self.moved);
    }

    /// A reply said that an entry is pending for nobody any more.
    ///
    /// # Panics
    ///
    /// Nobody has sent an acknowledgement for it: the delivery was forgotten.
    pub(crate) fn not_pending(&self, number: usize, id: Id) {
        let mut books = self.books.lock();
        assert!(
            books.lines[number].acks_sent > 0,
            "{id} was delivered, nobody acknowledged it, and it is not pending"
        );
        books.settle(&[(number, id)], &self.moved);
    }

    /// A consumer stopped for good and left entries behind.
    pub(crate) fn abandoned(&self, entries: usize) {
        self.books.lock().abandoned = Some(entries as u64);
    }

    /// A consumer is about to ask for what is idle.
    pub(crate) fn claiming(&self, consumer: usize) {
        self.books.lock().claims[consumer].asking = true;
    }

    /// It has the answer, and everything in it is noted.
    pub(crate) fn claimed(&self, consumer: usize) {
        self.books.lock().claims[consumer].asking = false;
    }

    /// It has a new connection: the answer that it waited for will not come.
    pub(crate) fn connected(&self, consumer: usize) {
        let mut books = self.books.lock();
        let lost = books.tick();
        let claims = &mut books.claims[consumer];
        if claims.asking {
            *claims = Claims {
                asking: false,
                lost,
            };
        }
    }

    /// An entry that somebody was given by a request sent at `since` is pending for a consumer.
    ///
    /// # Panics
    ///
    /// That consumer cannot have made it its own since then.
    pub(crate) fn pending_for(&self, consumer: usize, number: usize, since: Tick) {
        self.books.lock().may_own(consumer, number, since);
    }

    /// How many entries are known to be acknowledged.
    pub(crate) fn count_acked(&self) -> u64 {
        self.books.lock().acked
    }

    /// The stream holds a record there, at the end.
    pub(crate) fn stands_at(&self, number: usize, id: Id) {
        self.books.lock().places(number, id);
    }

    /// Whether the threads are to stop: all is done, or one of them failed.
    pub(crate) fn is_over(&self) -> bool {
        self.books.lock().over
    }

    pub(crate) fn finish(&self) {
        self.books.lock().over = true;
    }

    /// Stops all threads when the one that holds it panics.
    pub(crate) fn alarm(&self) -> Alarm<'_> {
        Alarm(self)
    }

    /// Waits until so many additions and acknowledgements together are confirmed.
    ///
    /// # Panics
    ///
    /// A thread failed, the server ended by itself, or nothing moves any more.
    pub(crate) fn wait(&self, awaited: u64, server: &mut Server) {
        let mut books = self.books.lock();
        books.awaited = awaited;
        let mut progress = books.progress;
        let mut moved = Instant::now();
        while books.progress < awaited {
            assert!(!books.over, "a thread failed, and says why");
            // Wakes to look after the server, too.
            self.moved.wait_for(&mut books, Duration::from_millis(100));
            server.expect_running();
            if books.progress != progress {
                progress = books.progress;
                moved = Instant::now();
            }
            assert!(
                moved.elapsed() < PATIENCE,
                "nothing moves any more: {}",
                books.unfinished()
            );
        }
    }

    pub(crate) fn summary(&self) -> String {
        let books = self.books.lock();
        let (deliveries, claimed) = (books.deliveries, books.claimed);
        let again = deliveries - books.lines.len() as u64;
        let abandoned = books.abandoned.unwrap();
        assert!(
            abandoned > 0 && claimed >= abandoned,
            "{abandoned} entries were left behind, and {claimed} claimed"
        );
        format!("{again} deliveries repeated, {claimed} claimed, {abandoned} of them left behind")
    }
}

impl Books {
    fn tick(&mut self) -> Tick {
        self.clock.0 += 1;
        self.clock
    }

    fn places(&mut self, number: usize, id: Id) {
        let known = *self.lines[number].id.get_or_insert(id);
        assert_eq!(known, id, "record {number} stands at two places");
    }

    /// A consumer owns an entry, though it was given to somebody by a request sent at `since`.
    fn may_own(&self, consumer: usize, number: usize, since: Tick) {
        let line = &self.lines[number];
        let claims = self.claims[consumer];
        let told = line.taken[consumer].map(|taken| taken.told);
        assert!(
            told >= Some(since) || claims.asking || claims.lost >= since,
            "{} is pending for consumer {consumer}, though it was given to another one who asked \
             for it at {since:?}",
            line.id.unwrap_or(Id::ZERO)
        );
    }

    fn moves(&mut self, moved: &Condvar) {
        self.progress += 1;
        if self.progress == self.awaited {
            moved.notify_all();
        }
    }

    fn settle(&mut self, entries: &[(usize, Id)], moved: &Condvar) {
        let now = self.tick();
        for (number, _) in entries {
            let line = &mut self.lines[*number];
            if line.acked.is_none() {
                line.acked = Some(now);
                self.acked += 1;
                self.moves(moved);
            }
        }
    }

    /// What the job still waits for, in words.
    fn unfinished(&self) -> String {
        let count = |what: &dyn Fn(&Line) -> bool| self.lines.iter().filter(|l| what(l)).count();
        let example = self.lines.iter().position(|line| line.acked.is_none());
        format!(
            "{} records not added, {} not delivered, {} not acknowledged, such as {example:?}",
            count(&|line| !line.added),
            count(&|line| line.delivered.is_none()),
            count(&|line| line.acked.is_none()),
        )
    }
}

/// Stops all threads when dropped by a panic.
pub(crate) struct Alarm<'a>(&'a Ledger);

impl Drop for Alarm<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.finish();
        }
    }
}
