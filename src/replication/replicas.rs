//! The replicas of this server, and what follows from what they acknowledge.
//!
//! ```text
//!  durable marks of those online      9   7   7   4           sync-replicas 2
//!                                         ^
//!                                         | the second highest: two have everything below
//! ```
//!
//! A pure table: whoever has a socket says what came over it and when; whoever waits, refuses or
//! reports asks. Times are milliseconds on a clock that only goes forwards.
//!
//! Invariants:
//!
//! * The marks of a replica only grow; `durable <= written`.
//! * Whoever is being shipped everything acknowledges nothing: it does not count.

use std::collections::BTreeMap;
use std::fmt;

use headwater_store::Lsn;

/// Everybody who follows this server, by the ID of the connection.
#[derive(Default)]
pub(crate) struct Replicas(BTreeMap<u64, Replica>);

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Replica {
    /// Where it says that it, or its connection shows that it, can be reached.
    pub(crate) host: Box<str>,
    pub(crate) port: u16,
    pub(crate) stage: Stage,
    /// Where its log ended when it came: what it asks for next.
    from: Lsn,
    /// Everything below has been given to the replica's kernel.
    pub(crate) written: Lsn,
    /// Everything below is on the replica's disk.
    pub(crate) durable: Lsn,
    /// When it acknowledged last, or came.
    pub(crate) heard_ms: u64,
}

/// How far a replica has come; the words are those of `INFO`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// A copy of everything is being made for it.
    Copying,
    /// The copy is under way.
    Shipping,
    /// It gets what is appended.
    Online,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Copying => "wait_bgsave",
            Self::Shipping => "send_bulk",
            Self::Online => "online",
        })
    }
}

impl Replica {
    /// Seconds since it was heard last.
    pub(crate) fn lag(&self, now_ms: u64) -> u64 {
        now_ms.saturating_sub(self.heard_ms) / 1000
    }

    fn is_good(&self, now_ms: u64, lag_max: u64) -> bool {
        self.stage == Stage::Online && self.lag(now_ms) <= lag_max
    }
}

impl Replicas {
    /// Enters one whose log ends at `from`.
    pub(crate) fn enter(
        &mut self,
        id: u64,
        host: &str,
        port: u16,
        stage: Stage,
        from: Lsn,
        now_ms: u64,
    ) {
        self.0.insert(
            id,
            Replica {
                host: host.into(),
                port,
                stage,
                from,
                written: Lsn::ZERO,
                durable: Lsn::ZERO,
                heard_ms: now_ms,
            },
        );
    }

    pub(crate) fn leave(&mut self, id: u64) {
        self.0.remove(&id);
    }

    pub(crate) fn set_stage(&mut self, id: u64, stage: Stage) {
        if let Some(replica) = self.0.get_mut(&id) {
            replica.stage = stage;
        }
    }

    /// Notes an acknowledgement. Says whether a mark moved.
    pub(crate) fn acked(&mut self, id: u64, written: Lsn, durable: Lsn, now_ms: u64) -> bool {
        let Some(replica) = self.0.get_mut(&id) else {
            return false;
        };
        let before = (replica.written, replica.durable);
        replica.written = replica.written.max(written);
        replica.durable = replica.durable.max(durable.min(written));
        replica.heard_ms = now_ms;
        before != (replica.written, replica.durable)
    }

    /// Everybody, in the order in which they came.
    pub(crate) fn all(&self) -> impl Iterator<Item = (u64, &Replica)> {
        self.0.iter().map(|(id, replica)| (*id, replica))
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    fn online(&self) -> impl Iterator<Item = &Replica> {
        let is_online = |replica: &&Replica| replica.stage == Stage::Online;
        self.0.values().filter(is_online)
    }

    /// How many have everything below a place, in their kernels.
    pub(crate) fn having(&self, lsn: Lsn) -> usize {
        self.online()
            .filter(|replica| replica.written >= lsn)
            .count()
    }

    /// How many have everything below a place, on their disks.
    pub(crate) fn keeping(&self, lsn: Lsn) -> usize {
        self.online()
            .filter(|replica| replica.durable >= lsn)
            .count()
    }

    /// How many were heard of late: `min-replicas-to-write` counts them.
    pub(crate) fn good(&self, now_ms: u64, lag_max: u64) -> usize {
        let good = |replica: &&Replica| replica.is_good(now_ms, lag_max);
        self.0.values().filter(good).count()
    }

    /// Below which place `count` replicas have everything on their disks; `None` when they are
    /// fewer, or none is asked for.
    pub(crate) fn kept_by(&self, count: usize) -> Option<Lsn> {
        let mut marks: Vec<Lsn> = self.online().map(|replica| replica.durable).collect();
        marks.sort_unstable_by_key(|mark| std::cmp::Reverse(*mark));
        marks.get(count.checked_sub(1)?).copied()
    }

    /// Below which place all who were heard of late have everything on their disks; `None` when
    /// there are none.
    pub(crate) fn kept_by_all(&self, now_ms: u64, lag_max: u64) -> Option<Lsn> {
        let good = |replica: &&Replica| replica.is_good(now_ms, lag_max);
        self.0
            .values()
            .filter(good)
            .map(|replica| replica.durable)
            .min()
    }

    /// From which place on those who are online need the log, if they come again.
    pub(crate) fn needed_from(&self) -> Option<Lsn> {
        let needed = |replica: &Replica| replica.durable.max(replica.from);
        self.online().map(needed).min()
    }

    /// The replica that is reached at this address; its ID.
    pub(crate) fn at(&self, host: &str, port: u16) -> Option<(u64, &Replica)> {
        let mut all = self.all();
        all.find(|(_, replica)| replica.port == port && replica.host.eq_ignore_ascii_case(host))
    }

    /// One that is online and has everything below a place on its disk.
    pub(crate) fn one_keeping(&self, lsn: Lsn) -> Option<(u64, &Replica)> {
        let keeps = |replica: &Replica| replica.stage == Stage::Online && replica.durable >= lsn;
        self.all().find(|(_, replica)| keeps(replica))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replicas(durable: &[u64]) -> Replicas {
        let mut replicas = Replicas::default();
        for (id, &lsn) in (1..).zip(durable) {
            let port = u16::try_from(id).unwrap();
            replicas.enter(id, "10.0.0.1", port, Stage::Online, Lsn::new(2), 0);
            let lsn = Lsn::new(lsn);
            replicas.acked(id, lsn.plus(1), lsn, 1000);
        }
        replicas
    }

    #[test]
    fn the_nth_highest_mark_is_what_n_replicas_keep() {
        let replicas = replicas(&[4, 9, 7, 7]);
        let kept: Vec<_> = (0..=5).map(|count| replicas.kept_by(count)).collect();
        let lsn = |lsn| Some(Lsn::new(lsn));
        assert_eq!(kept, [None, lsn(9), lsn(7), lsn(7), lsn(4), None]);
        assert_eq!(replicas.keeping(Lsn::new(7)), 3);
        assert_eq!(replicas.having(Lsn::new(8)), 3);
        assert_eq!(replicas.needed_from(), lsn(4));
        assert_eq!(replicas.one_keeping(Lsn::new(8)).map(|(id, _)| id), Some(2));
    }

    #[test]
    fn whoever_is_being_shipped_everything_does_not_count() {
        let mut replicas = replicas(&[4, 9]);
        replicas.set_stage(2, Stage::Shipping);
        assert_eq!(replicas.kept_by(1), Some(Lsn::new(4)));
        assert_eq!(replicas.kept_by(2), None);
        assert_eq!(replicas.keeping(Lsn::new(1)), 1);
        assert_eq!(replicas.good(1000, 10), 1);
        replicas.leave(1);
        assert_eq!((replicas.kept_by(1), replicas.len()), (None, 1));
    }

    #[test]
    fn marks_only_grow_and_nothing_is_durable_that_was_not_written() {
        let mut replicas = replicas(&[5]);
        assert!(!replicas.acked(1, Lsn::new(3), Lsn::new(2), 2000));
        assert!(replicas.acked(1, Lsn::new(8), Lsn::new(99), 2000));
        let (_, replica) = replicas.at("10.0.0.1", 1).unwrap();
        assert_eq!(
            (replica.written, replica.durable),
            (Lsn::new(8), Lsn::new(8))
        );
        assert!(!replicas.acked(7, Lsn::new(8), Lsn::new(8), 0), "nobody");
        assert_eq!(replicas.at("10.0.0.1", 2), None);
    }

    #[test]
    fn whoever_is_silent_for_too_long_is_not_good() {
        let mut replicas = replicas(&[5, 6]);
        replicas.acked(2, Lsn::new(6), Lsn::new(6), 9000);
        assert_eq!(replicas.good(11_999, 10), 2);
        assert_eq!(replicas.good(12_000, 10), 1);
        assert_eq!(replicas.kept_by_all(12_000, 10), Some(Lsn::new(6)));
        assert_eq!(replicas.kept_by_all(11_000, 10), Some(Lsn::new(5)));
        assert_eq!(replicas.kept_by_all(60_000, 10), None);
    }
}
