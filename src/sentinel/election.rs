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
//! # Invariants
//!
//! * One vote per master and epoch, whatever happens: a ballot survives restarts, and is saved
//!   before anybody hears of it, ourselves included.
//! * So there is at most one leader per master and epoch.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::master::Master;
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
        let votes = |master: &Self| {
            let others = master.others.iter();
            let votes = others.filter_map(|other| other.vote.clone());
            let valid = votes.filter(|vote| vote.epoch == epoch);
            valid.map(|vote| vote.leader).collect::<Vec<_>>()
        };
        let mut votes = votes(self);
        let best = count(votes.iter().map(|leader| &**leader)).map(|(best, _)| best.to_owned());
        let candidate = best.unwrap_or_else(|| own.id.as_ref().to_owned());
        self.vote(own, epoch, &candidate);
        if self.ballot.epoch == epoch && own.has_saved(self.ballot.generation) {
            votes.extend(self.ballot.leader.clone());
        }
        let voters = self.others.len() + 1;
        let quorum = usize::try_from(self.settings.quorum).unwrap_or(usize::MAX);
        let needed = (voters / 2 + 1).max(quorum);
        let winner = count(votes.iter().map(|leader| &**leader));
        winner.is_some_and(|(winner, votes)| winner == &*own.id && votes >= needed)
    }
}

#[cfg(test)]
mod tests {
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
}
