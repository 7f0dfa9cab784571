//! Votes and epochs: who may carry out a failover.
//!
//! | a request to vote for X in epoch n | answer |
//! |---|---|
//! | n is greater than our epoch | our epoch becomes n first |
//! | no vote given in n or later, and n not behind our epoch | X; saved before it is answered |
//! | otherwise | whoever has the last vote, and its epoch |
//!
//! A candidate needs a majority of all monitors that ever were known, and as many as the quorum.
//! It counts the votes of its own epoch only, its own among them. Should the epoch rise meanwhile
//! (another master's election does that), it stands in the new one: nobody votes in an old epoch.
//!
//! Whoever stands first gets the votes; several who stand at once share them. So monitors stand one
//! after the other, by their run IDs ([`Master::rank`]), and when nobody can win any more
//! ([`Master::is_split`]) it is tried again soon, in a new epoch. Redis' Sentinel does neither, and
//! is not disturbed by either.
//!
//! # Invariants
//!
//! * One vote per master and epoch, whatever happens: a ballot survives restarts, and is saved
//!   before anybody hears of it, ourselves included.
//! * So there is at most one leader per master and epoch.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::master::{Master, Other};
use super::notice::{NEW_EPOCH, VOTE};
use super::own::Own;

/// The last vote that was given for one master.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ballot {
    /// Whom it was for; `None` if there was none, or nobody remembers.
    pub(crate) leader: Option<Arc<str>>,
    pub(crate) epoch: u64,
    /// The state that has it must be saved before anybody is told.
    pub(crate) generation: u64,
}

/// What another monitor says that it voted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Vote {
    pub(crate) leader: Arc<str>,
    pub(crate) epoch: u64,
}

/// Who has most votes, and how many; the first by name of several.
pub(crate) fn count<'a>(votes: impl Iterator<Item = &'a str>) -> Option<(&'a str, usize)> {
    let mut counts = BTreeMap::<&str, usize>::new();
    for leader in votes {
        *counts.entry(leader).or_default() += 1;
    }
    let most = counts.values().copied().max()?;
    counts.into_iter().find(|&(_, votes)| votes == most)
}

impl Master {
    /// Gives our vote, if it may be given, and says who has it.
    pub(crate) fn vote(&mut self, own: &mut Own, epoch: u64, candidate: &str) {
        self.hear_of_epoch(own, epoch);
        if self.ballot.epoch >= epoch || own.epoch > epoch {
            return;
        }
        self.ballot = Ballot {
            leader: Some(candidate.into()),
            epoch,
            generation: own.changed(),
        };
        let text = format!("{candidate} {epoch}");
        own.tell(VOTE, self.script(), text);
        if *candidate != *own.id {
            // Another is at it: our own attempt can wait.
            self.attempt_ms = Some(own.now_ms + own.desync_ms());
        }
    }

    /// Takes over an epoch that is greater than ours.
    pub(crate) fn hear_of_epoch(&self, own: &mut Own, epoch: u64) {
        if epoch > own.epoch {
            own.epoch = epoch;
            own.changed();
            own.tell(NEW_EPOCH, self.script(), epoch.to_string());
        }
    }

    /// Votes as a candidate of this epoch does, and counts; whether we are elected.
    pub(crate) fn is_elected(&mut self, own: &mut Own, epoch: u64) -> bool {
        let votes = self.votes_of_others(epoch);
        let best = count(votes.iter().map(|leader| &**leader)).map(|(best, _)| best.to_owned());
        let candidate = best.unwrap_or_else(|| own.id.as_ref().to_owned());
        self.vote(own, epoch, &candidate);
        let votes = self.votes(own, epoch);
        let winner = count(votes.iter().map(|leader| &**leader));
        winner.is_some_and(|(winner, votes)| winner == &*own.id && votes >= self.votes_needed())
    }

    /// Whether there are votes enough in this epoch, but nobody has enough of them, and nobody who
    /// is there has one left.
    pub(crate) fn is_split(&self, own: &Own, epoch: u64) -> bool {
        let mut others = self.others.iter();
        let has_voted = |other: &Other| other.vote.as_ref().is_some_and(|it| it.epoch == epoch);
        let are_done = others.all(|other| other.at.sdown.is || has_voted(other));
        let votes = self.votes(own, epoch);
        let most = count(votes.iter().map(|leader| &**leader)).map_or(0, |(_, most)| most);
        let needed = self.votes_needed();
        are_done && votes.len() >= needed && most < needed
    }

    /// How many should stand for election before us: all at once would share the votes. It is the
    /// place of our run ID among those of the monitors that are there.
    pub(crate) fn rank(&self, own: &Own) -> u64 {
        let is_before = |other: &&Other| !other.at.sdown.is && other.at.id() < &*own.id;
        self.others.iter().filter(is_before).count() as u64
    }

    fn votes_of_others(&self, epoch: u64) -> Vec<Arc<str>> {
        let votes = self.others.iter().filter_map(|other| other.vote.clone());
        let valid = votes.filter(|vote| vote.epoch == epoch);
        valid.map(|vote| vote.leader).collect()
    }

    /// All that are known, with ours once it is saved.
    fn votes(&self, own: &Own, epoch: u64) -> Vec<Arc<str>> {
        let mut votes = self.votes_of_others(epoch);
        if self.ballot.epoch == epoch && own.has_saved(self.ballot.generation) {
            votes.extend(self.ballot.leader.clone());
        }
        votes
    }

    fn votes_needed(&self) -> usize {
        let voters = self.others.len() + 1;
        let quorum = usize::try_from(self.settings.quorum).unwrap_or(usize::MAX);
        (voters / 2 + 1).max(quorum)
    }
}

#[cfg(test)]
mod tests {
    use super::super::monitor::Monitor;
    use super::super::scene::{A, B, OURS, Scene, orders};
    use super::*;

    #[test]
    fn most_votes_win_and_names_decide_between_equals() {
        for (votes, winner) in [
            (&[][..], None),
            (&["b"], Some(("b", 1))),
            (&["b", "a"], Some(("a", 1))),
            (&["b", "a", "b"], Some(("b", 2))),
        ] {
            assert_eq!(count(votes.iter().copied()), winner);
        }
    }

    #[test]
    fn there_is_one_vote_in_an_epoch() {
        let mut scene = Scene::well(vec![orders()]);
        for (epoch, candidate, leader, leader_epoch, events) in [
            (0, A, None, 0, &[][..]),
            (3, A, Some(A), 3, &["+new-epoch 3", "+vote-for-leader A 3"]),
            (3, A, Some(A), 3, &[]),
            (3, B, Some(A), 3, &[]),
            (2, B, Some(A), 3, &[]),
            (4, B, Some(B), 4, &["+new-epoch 4", "+vote-for-leader B 4"]),
        ] {
            let case = format!("{candidate} asks in {epoch}");
            let vote = scene.vote(epoch, candidate);
            assert_eq!(vote, (leader.map(Into::into), leader_epoch), "{case}");
            let said = super::super::scene::events(scene.act());
            let said = said.iter().map(|it| it.replace(A, "A").replace(B, "B"));
            assert_eq!(said.collect::<Vec<_>>(), events, "{case}");
        }
        // An epoch may be known without a vote in it.
        scene.hello(A, "10.1.0.2:26379", [9, 0], "10.0.0.1:6379");
        assert_eq!(scene.vote(8, A), (Some(B.into()), 4));
        assert_eq!(scene.vote(9, A), (Some(A.into()), 9));
    }

    #[test]
    fn a_vote_is_on_disk_before_it_is_told_and_survives() {
        let mut scene = Scene::well(vec![orders()]);
        scene.saves = false;
        let at = scene.master().at.address.clone();
        let verdict = scene.monitor.is_master_down_by_addr(0, &at, 3, Some(A));
        assert_eq!(verdict.generation, scene.monitor.generation());
        assert!(!scene.monitor.own.has_saved(verdict.generation));
        assert_eq!(scene.act()[0], "saves");
        // Whoever asks again is to wait for the same.
        let again = scene.monitor.is_master_down_by_addr(0, &at, 3, Some(B));
        assert_eq!(again, verdict);
        // A restart forgets whom it was for, and no more.
        let state = scene.monitor.state();
        let mut scene = Scene::of(&state);
        assert_eq!(Monitor::new(&state, 1, 0).state(), state);
        assert_eq!(scene.vote(3, B), (None, 3));
        assert_eq!(scene.vote(4, B), (Some(B.into()), 4));
    }

    #[test]
    fn who_votes_for_another_does_not_try_itself() {
        let mut scene = Scene::well(vec![orders()]);
        scene.vote(3, OURS);
        assert_eq!(scene.master().attempt_ms, None);
        scene.vote(4, A);
        let attempt_ms = scene.master().attempt_ms.unwrap();
        assert!(attempt_ms < 1000, "dated {attempt_ms}");
    }

    #[test]
    fn a_majority_and_the_quorum_are_needed_in_one_epoch() {
        let vote = |leader: &str, epoch| {
            let leader = leader.into();
            Some(Vote { leader, epoch })
        };
        for (quorum, votes, elected) in [
            (1, [None, None], false),
            (1, [vote(OURS, 5), None], true),
            (1, [vote(OURS, 4), None], false),
            (1, [vote(OURS, 6), None], false),
            (2, [vote(A, 5), vote(A, 5)], false),
            (2, [vote(A, 5), vote(OURS, 5)], true),
            (3, [vote(OURS, 5), None], false),
            (3, [vote(OURS, 5), vote(OURS, 5)], true),
            (4, [vote(OURS, 5), vote(OURS, 5)], false),
        ] {
            let mut state = orders();
            state.settings.quorum = quorum;
            let mut scene = Scene::well(vec![state]);
            scene.monitor.own.epoch = 5;
            let master = scene.monitor.masters.get_mut("orders").unwrap();
            for (other, vote) in master.others.iter_mut().zip(votes.clone()) {
                other.vote = vote;
            }
            let own = &mut scene.monitor.own;
            assert!(!master.is_elected(own, 5), "our own vote is not saved");
            own.saved(own.generation());
            let case = format!("quorum {quorum}, {votes:?}");
            assert_eq!(master.is_elected(own, 5), elected, "{case}");
        }
    }
}
