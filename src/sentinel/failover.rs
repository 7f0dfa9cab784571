//! One failover of one master: its states, and which replica is promoted.
//!
//! ```text
//!  ODOWN, and the last attempt is two failover timeouts ago; or SENTINEL FAILOVER
//!      |
//!      v
//!  WaitStart -------> SelectReplica --> SendNoOne --> WaitPromotion ---> ReconfReplicas
//!      |    elected,       |                |              |    INFO says      |
//!      |    or forced      |                |              |    role:master    | all follow it,
//!      |                   |                |              |                   | or time is up
//!      v                   v                v              v                   v
//!  -not-elected      -no-good-slave   -slave-timeout  -slave-timeout     UpdateConfig
//!                                                                        +switch-master
//! ```
//!
//! Up to `WaitPromotion` it may be given up. From `ReconfReplicas` on it is final: the new master
//! is announced, with the epoch of the election, and the other monitors follow.
//!
//! A coordinated failover is voted for though the master is well, which then is told to hand over
//! (`FAILOVER TO`) instead of the replica to take over (`SLAVEOF NO ONE`).
//!
//! # Which replica
//!
//! | it is passed over if |
//! |---|
//! | it is down, not connected, or has not answered PING for five ping periods |
//! | its priority is 0 |
//! | its INFO is older than five ping periods, or three INFO periods if the master is well |
//! | it has not heard its master for ten times down-after longer than the master is down |
//! | it never heard its master at all |
//!
//! Then the smaller priority comes first, then who has the master's history, then the greater
//! offset, then the smaller run ID.
//!
//! # Invariants
//!
//! * The epoch of the configuration is the one in which we were elected, and is announced only
//!   after the node itself has said `role:master`.
//! * Nothing is sent to a node before the epoch is saved.

use std::cmp::Reverse;

use super::Address;
use super::contact::{InstanceNo, Question};
use super::master::{Master, Reconf, Who};
use super::monitor::Action;
use super::notice::{
    ELECTED, FAILOVER_END, FAILOVER_END_FOR_TIMEOUT, MASTER_TIMEOUT, NEW_EPOCH, NO_GOOD_SLAVE,
    NOT_ELECTED, PROMOTED_SLAVE, RECONF_BEST_EFFORT, RECONF_SENT, RECONF_SLAVES, RECONF_TIMEOUT,
    SELECT_SLAVE, SELECTED_SLAVE, SEND_NO_ONE, SLAVE_TIMEOUT, TRY_FAILOVER, WAIT_PROMOTION,
};
use super::own::Own;

/// How far a failover is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stage {
    WaitStart,
    SelectReplica,
    SendNoOne,
    WaitPromotion,
    ReconfReplicas,
    UpdateConfig,
}

impl Stage {
    /// As `SENTINEL MASTER` calls it.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::WaitStart => "wait_start",
            Self::SelectReplica => "select_slave",
            Self::SendNoOne => "send_slaveof_noone",
            Self::WaitPromotion => "wait_promotion",
            Self::ReconfReplicas => "reconf_slaves",
            Self::UpdateConfig => "update_config",
        }
    }
}

/// Why there is a failover, and how it is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum How {
    /// The master is down: with votes.
    Down,
    /// An operator wants it: at once, without votes.
    Forced,
    /// An operator wants it, with votes, and with the master's help.
    Coordinated,
}

#[derive(Clone, Debug)]
pub(crate) struct Failover {
    pub(crate) stage: Stage,
    pub(crate) how: How,
    /// In which we want to be elected, or have been.
    pub(crate) epoch: u64,
    /// The state that has the epoch must be saved before anybody hears of it.
    pub(crate) generation: u64,
    /// When it came to this stage.
    since_ms: u64,
    pub(crate) promoted: Option<InstanceNo>,
}

/// The least time in which a master can be asked to hand over.
const HANDOVER_MS_MIN: u64 = 1000;

impl Master {
    /// Starts one if it is time for it; whether it did.
    pub(crate) fn start_if_due(&mut self, own: &mut Own) -> bool {
        let wait_ms = 2 * self.settings.failover_timeout_ms;
        let is_due = self.attempt_ms.is_none_or(|ms| own.now_ms >= ms + wait_ms);
        let starts = self.odown.is && self.failover.is_none() && is_due && !own.save_fails();
        if starts {
            self.start(own, How::Down);
        }
        starts
    }

    /// Starts one.
    pub(crate) fn start(&mut self, own: &mut Own, how: How) {
        own.epoch += 1;
        self.failover = Some(Failover {
            stage: Stage::WaitStart,
            how,
            epoch: own.epoch,
            generation: own.changed(),
            since_ms: own.now_ms,
            promoted: None,
        });
        own.tell(NEW_EPOCH, self.script(), own.epoch.to_string());
        self.tell(own, TRY_FAILOVER, Who::Master);
        self.attempt_ms = Some(own.now_ms + own.desync_ms());
        // What decides between them should be fresh.
        for index in 0..self.replicas.len() {
            self.ask_info(own, Who::Replica(index));
        }
    }

    /// Goes on as far as it gets.
    pub(crate) fn advance(&mut self, own: &mut Own) {
        while let Some(failover) = &self.failover {
            let stage = failover.stage;
            match stage {
                Stage::WaitStart => self.wait_start(own),
                Stage::SelectReplica => self.select_replica(own),
                Stage::SendNoOne => self.send_no_one(own),
                Stage::WaitPromotion => self.wait_promotion(own),
                Stage::ReconfReplicas => self.reconf_replicas(own),
                Stage::UpdateConfig => self.switch(own),
            }
            if self.failover.as_ref().map(|failover| failover.stage) == Some(stage) {
                break;
            }
        }
    }

    fn enter(&mut self, own: &Own, stage: Stage) {
        if let Some(failover) = &mut self.failover {
            (failover.stage, failover.since_ms) = (stage, own.now_ms);
        }
    }

    /// For how long it has been in its stage.
    fn staged_ms(&self, own: &Own) -> u64 {
        let failover = self.failover.as_ref();
        failover.map_or(0, |failover| own.now_ms - failover.since_ms)
    }

    /// The replica that is to be the master.
    pub(crate) fn promoted(&self) -> Option<usize> {
        let promoted = self.failover.as_ref()?.promoted?;
        self.replicas
            .iter()
            .position(|replica| replica.at.no == promoted)
    }

    fn abort(&mut self) {
        self.failover = None;
    }

    fn wait_start(&mut self, own: &mut Own) {
        let Some(failover) = &mut self.failover else {
            return;
        };
        if failover.how != How::Forced && own.epoch > failover.epoch {
            (failover.epoch, failover.generation) = (own.epoch, own.changed());
        }
        let (how, epoch, generation) = (failover.how, failover.epoch, failover.generation);
        let is_elected = self.is_elected(own, epoch) || how == How::Forced;
        if is_elected && own.has_saved(generation) {
            self.tell(own, ELECTED, Who::Master);
            if own.simulated.after_election {
                own.act(Action::Exit);
            }
            self.enter(own, Stage::SelectReplica);
            self.tell(own, SELECT_SLAVE, Who::Master);
            return;
        }
        let timeout_ms = own.timers.election_timeout_ms;
        let timeout_ms = timeout_ms.min(self.settings.failover_timeout_ms);
        let since_ms = self.attempt_ms.unwrap_or(own.now_ms);
        if own.now_ms > since_ms + timeout_ms {
            self.tell(own, NOT_ELECTED, Who::Master);
            self.abort();
        }
    }

    fn select_replica(&mut self, own: &mut Own) {
        let Some(index) = self.select(own) else {
            self.tell(own, NO_GOOD_SLAVE, Who::Master);
            return self.abort();
        };
        let selected = Who::Replica(index);
        self.tell(own, SELECTED_SLAVE, selected);
        if let Some(failover) = &mut self.failover {
            failover.promoted = Some(self.replicas[index].at.no);
        }
        self.enter(own, Stage::SendNoOne);
        self.tell(own, SEND_NO_ONE, selected);
    }

    fn send_no_one(&mut self, own: &mut Own) {
        let Some(index) = self.promoted() else {
            return self.abort();
        };
        if self.failover_is(How::Coordinated) {
            return self.send_failover(own, index);
        }
        if self.send_replicaof(own, Who::Replica(index), None) {
            self.tell(own, WAIT_PROMOTION, Who::Replica(index));
            self.enter(own, Stage::WaitPromotion);
        } else if self.staged_ms(own) > self.settings.failover_timeout_ms {
            self.tell(own, SLAVE_TIMEOUT, Who::Master);
            self.abort();
        }
    }

    /// Asks the master to hand over.
    fn send_failover(&mut self, own: &mut Own, index: usize) {
        let timeout_ms = self.settings.failover_timeout_ms;
        let left_ms = timeout_ms.saturating_sub(self.staged_ms(own));
        if left_ms < HANDOVER_MS_MIN {
            self.tell(own, MASTER_TIMEOUT, Who::Master);
            return self.abort();
        }
        let to = own.shown(&self.replicas[index].at.address);
        let (port, left) = (to.port.to_string(), left_ms.to_string());
        let sent = self.transact(
            own,
            Who::Master,
            &[
                &["CLIENT", "PAUSE", &left, "WRITE"],
                &["FAILOVER", "TO", &to.host, &port, "TIMEOUT", &left],
            ],
        );
        if sent {
            self.tell(own, WAIT_PROMOTION, Who::Replica(index));
            self.enter(own, Stage::WaitPromotion);
        }
    }

    fn wait_promotion(&mut self, own: &mut Own) {
        if self.staged_ms(own) > self.settings.failover_timeout_ms {
            self.tell(own, SLAVE_TIMEOUT, Who::Master);
            self.abort();
        }
    }

    pub(crate) fn failover_is(&self, how: How) -> bool {
        let failover = self.failover.as_ref();
        failover.is_some_and(|failover| failover.how == how)
    }

    pub(crate) fn stage(&self) -> Option<Stage> {
        self.failover.as_ref().map(|failover| failover.stage)
    }

    /// The replica that was told to lead says that it does.
    pub(crate) fn promoted_leads(&mut self, own: &mut Own, index: usize) {
        let Some(failover) = &self.failover else {
            return;
        };
        self.config_epoch = failover.epoch;
        self.enter(own, Stage::ReconfReplicas);
        self.config_generation = own.changed();
        self.tell(own, PROMOTED_SLAVE, Who::Replica(index));
        if own.simulated.after_promotion {
            own.act(Action::Exit);
        }
        self.tell(own, RECONF_SLAVES, Who::Master);
        let to = self.replicas[index].at.address.clone();
        self.run_reconfig(own, "leader", &self.at.address, &to);
        self.hasten_hello();
        if self.failover_is(How::Coordinated) {
            for who in [Who::Replica(index), Who::Master] {
                self.transact(
                    own,
                    who,
                    &[
                        &["CONFIG", "REWRITE"],
                        &["CLIENT", "KILL", "TYPE", "normal"],
                        &["CLIENT", "KILL", "TYPE", "pubsub"],
                        &["CLIENT", "UNPAUSE"],
                    ],
                );
            }
        }
    }

    fn reconf_replicas(&mut self, own: &mut Own) {
        let Some(promoted) = self.promoted() else {
            return;
        };
        let to = self.replicas[promoted].at.address.clone();
        let timeout_ms = own.timers.reconf_timeout_ms;
        for index in 0..self.replicas.len() {
            let Reconf::Sent { at_ms } = self.replicas[index].reconf else {
                continue;
            };
            if own.now_ms - at_ms > timeout_ms {
                self.tell(own, RECONF_TIMEOUT, Who::Replica(index));
                self.replicas[index].reconf = Reconf::Done;
            }
        }
        let is_open = |reconf| matches!(reconf, Reconf::Sent { .. } | Reconf::InProgress);
        let mut open = self.replicas.iter().filter(|it| is_open(it.reconf)).count() as u64;
        for index in 0..self.replicas.len() {
            if open >= self.settings.parallel_syncs {
                break;
            }
            let is_new = index != promoted && self.replicas[index].reconf == Reconf::None;
            if is_new && self.send_replicaof(own, Who::Replica(index), Some(&to)) {
                let at_ms = own.now_ms;
                self.replicas[index].reconf = Reconf::Sent { at_ms };
                self.tell(own, RECONF_SENT, Who::Replica(index));
                open += 1;
            }
        }
        self.end_if_done(own, promoted, &to);
    }

    /// Ends it when all who can be reached follow the new master, or time is up.
    fn end_if_done(&mut self, own: &mut Own, promoted: usize, to: &Address) {
        if self.replicas[promoted].at.sdown.is {
            return;
        }
        let is_left = |index: usize| {
            let replica = &self.replicas[index];
            index != promoted && replica.reconf != Reconf::Done && !replica.at.sdown.is
        };
        let is_late = self.staged_ms(own) > self.settings.failover_timeout_ms;
        if (0..self.replicas.len()).any(is_left) && !is_late {
            return;
        }
        if is_late {
            self.tell(own, FAILOVER_END_FOR_TIMEOUT, Who::Master);
        }
        self.tell(own, FAILOVER_END, Who::Master);
        self.enter(own, Stage::UpdateConfig);
        for index in 0..self.replicas.len() {
            let reconf = self.replicas[index].reconf;
            let is_told = matches!(reconf, Reconf::Done | Reconf::Sent { .. });
            if !is_late || index == promoted || is_told {
                continue;
            }
            if self.send_replicaof(own, Who::Replica(index), Some(to)) {
                self.tell(own, RECONF_BEST_EFFORT, Who::Replica(index));
            }
        }
    }

    /// Has a node follow another, or lead; whether there is a way to it.
    pub(crate) fn send_replicaof(&self, own: &mut Own, who: Who, of: Option<&Address>) -> bool {
        let of = of.map(|of| own.shown(of));
        let (host, port) = match &of {
            None => ("NO", "ONE".to_owned()),
            Some(of) => (&*of.host, of.port.to_string()),
        };
        let mut commands: Vec<&[&str]> = Vec::new();
        if self.instance(who).facts.hands_over() {
            commands.push(&["FAILOVER", "ABORT"]);
        }
        let replicaof = ["SLAVEOF", host, &port];
        commands.push(&replicaof);
        commands.push(&["CONFIG", "REWRITE"]);
        commands.push(&["CLIENT", "KILL", "TYPE", "normal"]);
        commands.push(&["CLIENT", "KILL", "TYPE", "pubsub"]);
        self.transact(own, who, &commands)
    }

    /// Has a node do all of this at once, and asks what came of it; whether there is a way to it.
    fn transact(&self, own: &mut Own, who: Who, commands: &[&[&str]]) -> bool {
        let at = self.instance(who);
        if !at.is_connected(own) {
            return false;
        }
        let mut ask = |question, words: &[&str]| {
            at.ask(own, &self.name, &self.settings, question, words);
        };
        ask(Question::Any, &["MULTI"]);
        for words in commands {
            ask(Question::Any, words);
        }
        ask(Question::Any, &["EXEC"]);
        ask(Question::Info, &["INFO"]);
        true
    }

    /// The replica to be promoted; `None` if none may be trusted.
    pub(crate) fn select(&self, own: &Own) -> Option<usize> {
        let now_ms = own.now_ms;
        let down_ms = match self.at.sdown {
            down if down.is => now_ms - down.since_ms.unwrap_or(now_ms),
            _ => 0,
        };
        let link_down_ms_max = down_ms + 10 * self.settings.down_after_ms;
        let info_ms_max = match self.at.sdown.is {
            true => 5 * own.timers.ping_period_ms,
            false => 3 * own.timers.info_period_ms,
        };
        let ids = [&self.at.facts.replid, &self.at.facts.replid2];
        let is_kin = |replid: &Option<Box<str>>| {
            ids[0].is_none() || (replid.is_some() && ids.contains(&replid))
        };
        let candidates = self.replicas.iter().enumerate().filter(|(_, replica)| {
            let (at, facts) = (&replica.at, &replica.at.facts);
            let contact = at.contact(own);
            let told_ms = facts.told_ms.map_or(u64::MAX, |ms| now_ms - ms);
            !at.sdown.is
                && contact.is_connected()
                && now_ms.saturating_sub(contact.valid_ms) <= 5 * own.timers.ping_period_ms
                && facts.priority != 0
                && told_ms <= info_ms_max
                && facts.link_down_ms <= link_down_ms_max
                && (facts.link_up || !facts.never_heard_master)
        });
        let best = candidates.min_by_key(|(_, replica)| {
            let facts = &replica.at.facts;
            let run_id = replica.at.run_id.as_ref();
            let run_id = run_id.map(|id| id.to_ascii_lowercase());
            (
                facts.priority,
                !is_kin(&facts.replid),
                Reverse(facts.offset),
                run_id.is_none(),
                run_id,
            )
        });
        best.map(|(index, _)| index)
    }
}
