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
//! | it has not heard its master for ten times down-after longer than the master does not lead |
//! | it never heard its master, and has nothing |
//!
//! If there is none but one whose INFO is too old, and that has just been asked for a new one, it
//! is waited for.
//!
//! Then the smaller priority comes first, then who follows rather than leads (an old master that
//! has come back), then who has the master's history, then the greater offset, then the smaller
//! run ID.
//!
//! # Invariants
//!
//! * The epoch of the configuration is the one in which we were elected, and is announced only
//!   after the node itself has said `role:master`.
//! * Nothing is sent to a node before the epoch is saved.

use std::cmp::Reverse;

use super::Address;
use super::contact::{InstanceNo, Question};
use super::info::Role;
use super::master::{Master, Reconf, Replica, Who};
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

/// How much later than the one before it a monitor stands for election.
const RANK_MS: u64 = 250;

/// A replica may be promoted that has said so many ping periods ago how it is.
const PING_PERIODS_MAX: u64 = 5;

/// The least time in which a master can be asked to hand over.
const HANDOVER_MS_MIN: u64 = 1000;

impl Master {
    /// Starts one if it is time for it; whether it did.
    pub(crate) fn start_if_due(&mut self, own: &mut Own) -> bool {
        let wait_ms = 2 * self.settings.failover_timeout_ms;
        let turn_ms = self.odown.since_ms.unwrap_or(own.now_ms) + self.rank(own) * RANK_MS;
        let is_due = self.attempt_ms.is_none_or(|ms| own.now_ms >= ms + wait_ms)
            && own.now_ms >= self.again_ms.unwrap_or(turn_ms);
        let starts = self.odown.is && self.failover.is_none() && is_due && !own.save_fails();
        if starts {
            self.start(own, How::Down);
        }
        starts
    }

    /// Starts one.
    pub(crate) fn start(&mut self, own: &mut Own, how: How) {
        own.epoch += 1;
        self.again_ms = None;
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
        if how == How::Down && self.is_split(own, epoch) {
            self.tell(own, NOT_ELECTED, Who::Master);
            self.abort();
            (self.attempt_ms, self.again_ms) = (None, Some(own.now_ms + own.desync_ms()));
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
            if !self.may_yet_select(own) {
                self.tell(own, NO_GOOD_SLAVE, Who::Master);
                self.abort();
            }
            return;
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

    /// Whether the master has been asked to hand over, for which it has its clients wait.
    pub(crate) fn hands_over(&self) -> bool {
        self.failover_is(How::Coordinated) && self.stage() == Some(Stage::WaitPromotion)
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

    /// Whether a replica may be good that has been asked for INFO, and has not answered yet.
    fn may_yet_select(&self, own: &Own) -> bool {
        let is_asked = |replica: &Replica| {
            let at = &replica.at;
            at.contact(own).is_asked(Question::Info, at.no)
        };
        let mut replicas = self.replicas.iter();
        self.staged_ms(own) <= PING_PERIODS_MAX * own.timers.ping_period_ms
            && replicas.any(|it| self.may_lead(own, it) && !self.is_fresh(own, it) && is_asked(it))
    }

    /// Whether a replica may be promoted, if it is still as it was when it said so last.
    fn may_lead(&self, own: &Own, replica: &Replica) -> bool {
        let now_ms = own.now_ms;
        let since_ms = match self.at.facts.role {
            // That makes it S_DOWN, too, but late.
            Role::Replica => Some(self.at.facts.role_ms),
            _ => self.at.sdown.since_ms,
        };
        let since_ms = since_ms.filter(|_| self.at.sdown.is);
        let down_ms = since_ms.map_or(0, |ms| now_ms - ms);
        let link_down_ms_max = down_ms + 10 * self.settings.down_after_ms;
        let (at, facts) = (&replica.at, &replica.at.facts);
        let contact = at.contact(own);
        let silent_ms = now_ms.saturating_sub(contact.valid_ms);
        !at.sdown.is
            && contact.is_connected()
            && silent_ms <= PING_PERIODS_MAX * own.timers.ping_period_ms
            && facts.priority != 0
            && facts.link_down_ms <= link_down_ms_max
            && (facts.link_up || !facts.never_heard_master || facts.offset > 0)
    }

    /// Whether it has said so lately.
    fn is_fresh(&self, own: &Own, replica: &Replica) -> bool {
        let ms_max = match self.at.sdown.is {
            true => PING_PERIODS_MAX * own.timers.ping_period_ms,
            false => 3 * own.timers.info_period_ms,
        };
        let told_ms = replica.at.facts.told_ms;
        told_ms.is_some_and(|ms| own.now_ms - ms <= ms_max)
    }

    /// The replica to be promoted; `None` if none may be trusted.
    pub(crate) fn select(&self, own: &Own) -> Option<usize> {
        let ids = [&self.at.facts.replid, &self.at.facts.replid2];
        let is_kin = |replid: &Option<Box<str>>| {
            ids[0].is_none() || (replid.is_some() && ids.contains(&replid))
        };
        let candidates = self.replicas.iter().enumerate();
        let candidates = candidates
            .filter(|(_, replica)| self.may_lead(own, replica) && self.is_fresh(own, replica));
        let best = candidates.min_by_key(|(_, replica)| {
            let facts = &replica.at.facts;
            let run_id = replica.at.run_id.as_ref();
            let run_id = run_id.map(|id| id.to_ascii_lowercase());
            (
                facts.priority,
                facts.role != Role::Replica,
                !is_kin(&facts.replid),
                Reverse(facts.offset),
                run_id.is_none(),
                run_id,
            )
        });
        best.map(|(index, _)| index)
    }
}

#[cfg(test)]
mod tests {
    use headwater_resp::reply::Reply;

    use super::super::monitor::Input;
    use super::super::scene::{
        A, B, MASTER, OURS, Scene, address, events, field, follows, opinion, orders, sent,
    };
    use super::*;

    const ONE: &str = "10.0.0.2:6379";
    const TWO: &str = "10.0.0.3:6379";
    const OTHERS: [&str; 2] = ["10.1.0.2:26379", "10.1.0.3:26379"];
    const PROMOTION: [&str; 7] = [
        "MULTI",
        "SLAVEOF NO ONE",
        "CONFIG REWRITE",
        "CLIENT KILL TYPE normal",
        "CLIENT KILL TYPE pubsub",
        "EXEC",
        "INFO",
    ];

    /// The master has been silent until it is S_DOWN; the others have just been asked.
    fn down() -> Scene {
        let mut scene = Scene::well(vec![orders()]);
        let silent = [MASTER, OTHERS[0], OTHERS[1]];
        scene.pass(6000, &[MASTER]);
        let said = scene.events(6200, &silent);
        assert_eq!(said, ["+sdown master orders 10.0.0.1 6379"]);
        scene
    }

    /// A monitor answers the last thing that it was asked; PINGs before it get their PONGs.
    fn reply(scene: &mut Scene, from: &str, reply: &Reply) -> Vec<String> {
        let mut said = Vec::new();
        for asked in scene.asked(from) {
            let other = match asked.starts_with("PUBLISH") {
                true => Reply::Int(1),
                false => Reply::Simple(b"PONG".to_vec()),
            };
            let is_it = asked.starts_with("SENTINEL");
            said.extend(scene.answer(from, if is_it { reply } else { &other }));
        }
        said
    }

    /// The failover is at the point where the first replica has been told to lead.
    fn promoting() -> Scene {
        let mut scene = down();
        reply(&mut scene, OTHERS[0], &opinion(true, "*", 0));
        reply(&mut scene, OTHERS[0], &opinion(true, OURS, 1));
        scene
    }

    /// The first replica leads.
    fn promoted() -> (Scene, Vec<String>) {
        let mut scene = promoting();
        let said = scene.inform(ONE, "role:master\r\n");
        (scene, said)
    }

    #[test]
    fn a_failover_goes_its_way() {
        let mut scene = down();
        assert_eq!(
            scene.asked(OTHERS[0]).last().unwrap(),
            "SENTINEL is-master-down-by-addr 10.0.0.1 6379 0 *"
        );
        let said = reply(&mut scene, OTHERS[0], &opinion(true, "*", 0));
        assert_eq!(
            events(said.clone()),
            [
                "+odown master orders 10.0.0.1 6379 #quorum 2/2",
                "+new-epoch 1",
                "+try-failover master orders 10.0.0.1 6379",
                &format!("+vote-for-leader {OURS} 1"),
            ]
        );
        let ask = format!("SENTINEL is-master-down-by-addr 10.0.0.1 6379 1 {OURS}");
        for other in OTHERS {
            assert_eq!(scene.asked(other).last().unwrap(), &ask);
        }
        let said = reply(&mut scene, OTHERS[1], &opinion(false, OURS, 1));
        let one = "slave 10.0.0.2:6379 10.0.0.2 6379 @ orders 10.0.0.1 6379";
        assert_eq!(
            events(said.clone()),
            [
                "+elected-leader master orders 10.0.0.1 6379".to_owned(),
                "+failover-state-select-slave master orders 10.0.0.1 6379".to_owned(),
                format!("+selected-slave {one}"),
                format!("+failover-state-send-slaveof-noone {one}"),
                format!("+failover-state-wait-promotion {one}"),
            ]
        );
        assert_eq!(sent(&said, ONE), PROMOTION);
        assert_eq!(scene.monitor.address("orders"), Some(address(MASTER)));
        // It is asked again every so often; what it says last counts.
        assert_eq!(events(scene.inform(ONE, &follows(MASTER, 1))), [""; 0]);
        let said = scene.inform(ONE, "role:master\r\n");
        assert_eq!(said, [""; 0], "it was not asked");
        assert!(sent(&scene.tick(6400), ONE).contains(&"INFO".to_owned()));
        let said = scene.inform(ONE, "role:master\r\n");
        let two = "slave 10.0.0.3:6379 10.0.0.3 6379 @ orders 10.0.0.1 6379";
        assert_eq!(
            events(said.clone()),
            [
                format!("-role-change {one} new reported role is master"),
                format!("+promoted-slave {one}"),
                "+failover-state-reconf-slaves master orders 10.0.0.1 6379".to_owned(),
                format!("+slave-reconf-sent {two}"),
            ]
        );
        assert_eq!(sent(&said, TWO)[1], "SLAVEOF 10.0.0.2 6379");
        assert_eq!(scene.monitor.address("orders"), Some(address(ONE)));
        let shown = scene.monitor.show_master("orders").unwrap();
        assert_eq!(field(&shown, "ip").unwrap(), "10.0.0.1");
        // Everybody hears of it at once.
        let tail = format!("{OURS},1,orders,10.0.0.2,6379,1");
        for to in [ONE, TWO, OTHERS[0], OTHERS[1]] {
            let hello = sent(&said, to).into_iter();
            let mut hello = hello.filter(|words| words.starts_with("PUBLISH"));
            assert!(hello.next().unwrap().ends_with(&tail), "{to}");
        }
        let going = "role:slave\r\nmaster_host:10.0.0.2\r\nmaster_port:6379\r\n\
                     master_link_status:down\r\n";
        assert_eq!(
            events(scene.inform(TWO, going)),
            [format!("+slave-reconf-inprog {two}")]
        );
        scene.tick(6700);
        assert_eq!(
            events(scene.inform(TWO, &follows(ONE, 1))),
            [
                &format!("+slave-reconf-done {two}"),
                "+failover-end master orders 10.0.0.1 6379",
                "+switch-master orders 10.0.0.1 6379 10.0.0.2 6379",
                "+slave slave 10.0.0.3:6379 10.0.0.3 6379 @ orders 10.0.0.2 6379",
                "+slave slave 10.0.0.1:6379 10.0.0.1 6379 @ orders 10.0.0.2 6379",
            ]
        );
        let state = &scene.monitor.state().masters[0];
        assert_eq!((state.config_epoch, state.leader_epoch), (1, 1));
        assert_eq!(state.address, address(ONE));
        assert_eq!(state.replicas, [address(TWO), address(MASTER)]);
    }

    #[test]
    fn nobody_hears_of_an_epoch_that_is_not_saved() {
        let mut scene = down();
        scene.saves = false;
        let said = reply(&mut scene, OTHERS[0], &opinion(true, "*", 0));
        assert!(said.contains(&"saves".to_owned()));
        let asks = |said: &[String]| {
            let ask = |line: &&String| line.contains("is-master-down") && line.contains(OURS);
            said.iter().filter(ask).count()
        };
        assert_eq!(asks(&scene.pass(6500, &[MASTER])), 0);
        let generation = scene.monitor.generation();
        let said = scene.step(Input::Saved { generation });
        assert_eq!(asks(&said), 2);

        // What cannot be saved comes to nothing, and is not tried again meanwhile.
        let mut scene = down();
        scene.saves = false;
        reply(&mut scene, OTHERS[0], &opinion(true, "*", 0));
        scene.step(Input::NotSaved);
        let said = scene.pass(18_000, &[MASTER]);
        assert_eq!(asks(&said), 0);
        let aborted = "-failover-abort-not-elected master orders 10.0.0.1 6379";
        assert!(said.contains(&aborted.to_owned()));
        let mut scene = down();
        scene.step(Input::NotSaved);
        let said = reply(&mut scene, OTHERS[0], &opinion(true, "*", 0));
        assert_eq!(said, ["+odown master orders 10.0.0.1 6379 #quorum 2/2"]);
    }

    /// When elections were begun and given up, with others who vote for these.
    fn attempts(votes: [&str; 2]) -> Vec<(u64, bool)> {
        let mut scene = down();
        reply(&mut scene, OTHERS[0], &opinion(true, "*", 0));
        let mut attempts = Vec::new();
        while scene.now_ms < 60_000 {
            let mut said = scene.pass(scene.now_ms + 100, &[MASTER, OTHERS[0], OTHERS[1]]);
            for (other, leader) in OTHERS.into_iter().zip(votes) {
                let epoch = i64::try_from(scene.monitor.own.epoch).unwrap();
                said.extend(reply(&mut scene, other, &opinion(true, leader, epoch)));
            }
            for line in events(said) {
                let begins = line.starts_with("+try");
                if begins || line.starts_with("-failover-abort-not-elected") {
                    attempts.push((scene.now_ms, begins));
                }
            }
        }
        attempts
    }

    #[test]
    fn who_is_not_elected_tries_again_after_two_failover_timeouts() {
        let at = attempts([A, "*"]);
        // The first began at 6200, and both times are dated up to a second later.
        assert!((16_200..17_300).contains(&at[0].0) && !at[0].1, "{at:?}");
        assert!((46_200..47_300).contains(&at[1].0) && at[1].1, "{at:?}");
    }

    #[test]
    fn an_election_that_nobody_can_win_is_tried_again_soon() {
        let at = attempts([A, B]);
        assert!((6200..6500).contains(&at[0].0) && !at[0].1, "{at:?}");
        let later_ms = at[1].0 - at[0].0;
        assert!(later_ms <= 1100 && at[1].1, "{at:?}");
        assert!(at.len() > 20, "again and again: {at:?}");
    }

    #[test]
    fn a_candidate_goes_on_in_an_epoch_that_another_has_begun() {
        let mut scene = down();
        reply(&mut scene, OTHERS[0], &opinion(true, "*", 0));
        scene.hello(A, OTHERS[0], [7, 0], MASTER);
        scene.tick(6300);
        let ask = format!("SENTINEL is-master-down-by-addr 10.0.0.1 6379 7 {OURS}");
        assert_eq!(scene.asked(OTHERS[0]).last().unwrap(), &ask);
        assert_eq!(
            events(reply(&mut scene, OTHERS[1], &opinion(true, OURS, 1))),
            [""; 0],
            "a vote of an epoch that is over"
        );
        let said = reply(&mut scene, OTHERS[0], &opinion(true, OURS, 7));
        assert_eq!(
            events(said)[0],
            "+elected-leader master orders 10.0.0.1 6379"
        );
        scene.inform(ONE, "role:master\r\n");
        assert_eq!(scene.monitor.state().masters[0].config_epoch, 7);
    }

    #[test]
    fn a_failover_ends_when_it_cannot_go_on() {
        let mut scene = down();
        for index in 0..2 {
            let master = scene.monitor.masters.get_mut("orders").unwrap();
            master.replicas[index].at.facts.priority = 0;
        }
        reply(&mut scene, OTHERS[0], &opinion(true, "*", 0));
        let said = events(reply(&mut scene, OTHERS[0], &opinion(true, OURS, 1)));
        assert_eq!(
            said.last().unwrap(),
            "-failover-abort-no-good-slave master orders 10.0.0.1 6379"
        );

        // Nobody ever says that it leads.
        let mut scene = promoting();
        let said = scene.events(26_200, &[MASTER]);
        assert!(said.iter().all(|line| !line.starts_with("-failover")));
        let said = scene.events(26_300, &[MASTER]);
        assert_eq!(
            said,
            ["-failover-abort-slave-timeout master orders 10.0.0.1 6379"]
        );
        assert_eq!(scene.master().promoted(), None);
    }

    #[test]
    fn so_many_replicas_as_parallel_syncs_change_at_once() {
        for (parallel, at_once) in [(1, 1), (2, 2)] {
            let mut state = orders();
            state.settings.parallel_syncs = parallel;
            state.replicas.push(address("10.0.0.4:6379"));
            let mut scene = Scene::well(vec![state]);
            scene.monitor.failover(0, "orders", false).unwrap();
            scene.act();
            let said = scene.inform(ONE, "role:master\r\n");
            let told = said
                .iter()
                .filter(|it| it.contains("SLAVEOF 10.0.0.2 6379"));
            assert_eq!(told.count(), at_once);
            let said = scene.inform(TWO, &follows(ONE, 1));
            let told = said
                .iter()
                .filter(|it| it.contains("SLAVEOF 10.0.0.2 6379"));
            assert_eq!(told.count(), 2 - at_once);
        }
    }

    #[test]
    fn a_replica_that_does_not_change_is_not_waited_for() {
        let (mut scene, _) = promoted();
        let two = "slave 10.0.0.3:6379 10.0.0.3 6379 @ orders 10.0.0.1 6379";
        let mut said = Vec::new();
        while scene.now_ms < 16_400 {
            said.extend(events(scene.pass(scene.now_ms + 100, &[MASTER, ONE])));
            scene.inform(ONE, "role:master\r\n");
        }
        let timed_out = said
            .iter()
            .position(|it| it.contains("reconf-sent-timeout"));
        assert_eq!(
            said[timed_out.unwrap()..][..3],
            [
                &format!("-slave-reconf-sent-timeout {two}"),
                "+failover-end master orders 10.0.0.1 6379",
                "+switch-master orders 10.0.0.1 6379 10.0.0.2 6379",
            ]
        );
    }

    #[test]
    fn a_failover_ends_for_time_with_all_told_once_more() {
        let (mut scene, _) = promoted();
        let master = scene.monitor.masters.get_mut("orders").unwrap();
        master.settings.parallel_syncs = 0;
        master.replicas[1].reconf = Reconf::None;
        let mut said = Vec::new();
        while scene.now_ms < 26_400 {
            said.extend(scene.pass(scene.now_ms + 100, &[MASTER, ONE]));
            scene.inform(ONE, "role:master\r\n");
        }
        let two = "slave 10.0.0.3:6379 10.0.0.3 6379 @ orders 10.0.0.1 6379";
        assert!(sent(&said, TWO).contains(&"SLAVEOF 10.0.0.2 6379".to_owned()));
        let said = events(said);
        let ended = said.iter().position(|it| it.contains("+failover-end-for"));
        assert_eq!(
            said[ended.unwrap()..][..4],
            [
                "+failover-end-for-timeout master orders 10.0.0.1 6379",
                "+failover-end master orders 10.0.0.1 6379",
                &format!("+slave-reconf-sent-be {two}"),
                "+switch-master orders 10.0.0.1 6379 10.0.0.2 6379",
            ]
        );
    }

    #[test]
    fn an_operator_needs_no_votes() {
        let mut scene = Scene::well(vec![orders()]);
        scene.saves = false;
        scene.monitor.failover(0, "orders", false).unwrap();
        let refused = |scene: &mut Scene| {
            let refused = scene.monitor.failover(0, "orders", false);
            refused.unwrap_err().to_string()
        };
        assert_eq!(refused(&mut scene), "INPROG Failover already in progress");
        let said = scene.act();
        assert_eq!(sent(&said, ONE), ["INFO"], "the epoch is not saved");
        let shown = scene.monitor.show_master("orders").unwrap();
        assert_eq!(field(&shown, "failover-state").unwrap(), "wait_start");
        let flags = field(&shown, "flags").unwrap();
        assert_eq!(flags, "master,failover_in_progress,force_failover");
        let generation = scene.monitor.generation();
        let said = scene.step(Input::Saved { generation });
        assert_eq!(sent(&said, ONE), PROMOTION);
        for index in 0..2 {
            let master = scene.monitor.masters.get_mut("orders").unwrap();
            (master.failover, master.replicas[index].at.facts.priority) = (None, 0);
        }
        assert_eq!(
            refused(&mut scene),
            "NOGOODSLAVE No suitable replica to promote"
        );
    }

    #[test]
    fn a_master_that_can_hands_over() {
        let mut scene = Scene::well(vec![orders()]);
        let refused = scene.monitor.failover(0, "orders", true).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "NOGOODPRIMARY Primary does not support FAILOVER command"
        );
        let able = "role:master\r\nmaster_failover_state:no-failover\r\n";
        scene.says(MASTER, able);
        scene.monitor.failover(0, "orders", true).unwrap();
        scene.act();
        let said = reply(&mut scene, OTHERS[0], &opinion(false, OURS, 1));
        assert_eq!(
            sent(&said, MASTER),
            [
                "MULTI",
                "CLIENT PAUSE 20000 WRITE",
                "FAILOVER TO 10.0.0.2 6379 TIMEOUT 20000",
                "EXEC",
                "INFO"
            ]
        );
        assert_eq!(sent(&said, ONE), [""; 0]);
        let shown = scene.monitor.show_master("orders").unwrap();
        let flags = field(&shown, "flags").unwrap();
        assert_eq!(flags, "master,failover_in_progress,coordinated_failover");
        // It would not answer PUBLISH, nor anything behind it.
        let said = scene.pass(5000, &[]);
        let words = sent(&said, MASTER);
        assert!(words.contains(&"PING".to_owned()));
        assert!(!words.iter().any(|words| words.starts_with("PUBLISH")));
        let said = scene.says(ONE, "role:master\r\n");
        let after = [
            "MULTI",
            "CONFIG REWRITE",
            "CLIENT KILL TYPE normal",
            "CLIENT KILL TYPE pubsub",
            "CLIENT UNPAUSE",
            "EXEC",
            "INFO",
        ];
        assert_eq!(sent(&said, ONE)[..7], after);
        assert_eq!(sent(&said, MASTER)[..7], after);

        // A master that is gone cannot be asked.
        let mut scene = Scene::well(vec![orders()]);
        scene.says(MASTER, able);
        scene.monitor.failover(0, "orders", true).unwrap();
        scene.act();
        scene.lose(MASTER);
        reply(&mut scene, OTHERS[0], &opinion(false, OURS, 1));
        let said = scene.events(19_000, &[]);
        assert!(!said.iter().any(|it| it.starts_with("-failover")));
        let said = scene.events(19_200, &[]);
        let aborted = "-failover-abort-master-timeout master orders 10.0.0.1 6379";
        assert!(said.contains(&aborted.to_owned()), "{said:?}");
    }

    #[test]
    fn who_hands_over_is_told_to_stop_first() {
        let mut scene = Scene::well(vec![orders()]);
        let state = "master_failover_state:failover-in-progress\r\n";
        scene.says(ONE, &format!("{}{state}", follows(MASTER, 100)));
        scene.monitor.failover(0, "orders", false).unwrap();
        let said = scene.act();
        let words = sent(&said, ONE);
        let at = words.iter().position(|word| word == "MULTI").unwrap();
        assert_eq!(words[at + 1..][..2], ["FAILOVER ABORT", "SLAVEOF NO ONE"]);
    }

    #[test]
    fn a_crash_may_be_asked_for() {
        for (word, event) in [
            ("crash-after-election", "+elected-leader"),
            ("Crash-After-Promotion", "+promoted-slave"),
        ] {
            let mut scene = Scene::well(vec![orders()]);
            scene.monitor.simulate_failure(&[word]).unwrap();
            scene.monitor.failover(0, "orders", false).unwrap();
            let mut said = scene.act();
            said.extend(scene.inform(ONE, "role:master\r\n"));
            let at = said.iter().position(|it| it.starts_with(event)).unwrap();
            assert_eq!(said[at + 1], "exits");
        }
    }

    #[test]
    fn scripts_are_run_for_events_and_new_masters() {
        let mut state = orders();
        state.settings.notification_script = Some("/bin/tell".into());
        state.settings.client_reconfig_script = Some("/bin/turn".into());
        let mut scene = Scene::well(vec![state]);
        scene.monitor.failover(0, "orders", false).unwrap();
        scene.act();
        scene.inform(ONE, "role:master\r\n");
        let said = scene.tick(100);
        let runs = said.iter().filter_map(|it| it.strip_prefix("runs "));
        let runs: Vec<&str> = runs.map(|it| it.split_once(' ').unwrap().1).collect();
        assert_eq!(
            runs[..2],
            [
                "/bin/tell +new-epoch 1",
                "/bin/tell +try-failover master orders 10.0.0.1 6379"
            ]
        );
        let turn = "/bin/turn orders leader start 10.0.0.1 6379 10.0.0.2 6379";
        assert!(runs.contains(&turn));
        assert!(!runs.iter().any(|it| it.contains("+slave-reconf-sent")));
    }

    #[test]
    fn the_best_replica_is_promoted() {
        type Change = fn(&mut Master, u64);
        let pass_over: [(&str, Change); 11] = [
            ("down", |it, _| it.replicas[0].at.sdown.is = true),
            ("priority 0", |it, _| it.replicas[0].at.facts.priority = 0),
            ("no INFO", |it, _| it.replicas[0].at.facts.told_ms = None),
            ("old INFO", |it, now_ms| {
                it.replicas[0].at.facts.told_ms = Some(now_ms - 30_001);
            }),
            ("INFO while the master is down", |it, now_ms| {
                it.at.sdown.set(true, now_ms);
                it.replicas[0].at.facts.told_ms = Some(now_ms - 5001);
            }),
            ("long without its master", |it, _| {
                it.replicas[0].at.facts.link_down_ms = 50_001;
            }),
            ("never had its master", |it, _| {
                let facts = &mut it.replicas[0].at.facts;
                (facts.never_heard_master, facts.link_up) = (true, false);
                facts.offset = 0;
                it.replicas[1].at.facts.offset = 0;
            }),
            ("worse priority", |it, _| {
                it.replicas[0].at.facts.priority = 101;
                it.replicas[0].at.facts.offset = 1000;
            }),
            ("leads", |it, _| {
                it.replicas[0].at.facts.role = Role::Master;
                it.replicas[0].at.facts.offset = 1000;
            }),
            ("another history", |it, _| {
                it.at.facts.replid = Some("ab".into());
                it.at.facts.replid2 = Some("cd".into());
                it.replicas[0].at.facts.replid = Some("ef".into());
                it.replicas[1].at.facts.replid = Some("cd".into());
                it.replicas[0].at.facts.offset = 1000;
            }),
            ("less", |it, _| it.replicas[0].at.facts.offset = 99),
        ];
        for (case, change) in pass_over {
            let mut scene = Scene::well(vec![orders()]);
            scene.pass(40_000, &[]);
            let now_ms = scene.now_ms;
            let master = scene.monitor.masters.get_mut("orders").unwrap();
            for replica in &mut master.replicas {
                replica.at.facts.told_ms = Some(now_ms);
            }
            assert_eq!(master.select(&scene.monitor.own), Some(0), "{case}");
            change(master, now_ms);
            assert_eq!(master.select(&scene.monitor.own), Some(1), "{case}");
        }
    }

    #[test]
    fn a_replica_that_is_about_to_say_how_it_is_is_waited_for() {
        let slow = || {
            let mut scene = Scene::well(vec![orders()]);
            let silent = [MASTER, ONE, TWO, OTHERS[0], OTHERS[1]];
            scene.pass(6000, &[MASTER]);
            let said = scene.events(6200, &silent);
            assert_eq!(said, ["+sdown master orders 10.0.0.1 6379"]);
            reply(&mut scene, OTHERS[0], &opinion(true, "*", 0));
            let said = events(reply(&mut scene, OTHERS[0], &opinion(true, OURS, 1)));
            let last = "+failover-state-select-slave master orders 10.0.0.1 6379";
            assert_eq!(said.last().unwrap(), last);
            scene
        };
        let mut scene = slow();
        assert_eq!(scene.events(6900, &[MASTER, ONE, TWO]), [""; 0]);
        let said = scene.inform(TWO, &follows(MASTER, 100));
        assert_eq!(sent(&said, TWO)[..2], ["MULTI", "SLAVEOF NO ONE"]);

        // But not for ever, and not who has not been asked.
        let aborted = "-failover-abort-no-good-slave master orders 10.0.0.1 6379".to_owned();
        let mut scene = slow();
        for replica in &mut scene.monitor.masters.get_mut("orders").unwrap().replicas {
            // As if PINGs were answered.
            let contact = scene.monitor.own.contacts.get_mut(replica.at.contact);
            (contact.valid_ms, contact.ping_open_ms) = (20_000, None);
        }
        assert!(!scene.events(11_200, &[MASTER, ONE, TWO]).contains(&aborted));
        assert!(scene.events(11_300, &[MASTER, ONE, TWO]).contains(&aborted));
        let mut scene = slow();
        for replica in &mut scene.monitor.masters.get_mut("orders").unwrap().replicas {
            replica.at.facts.priority = 0;
        }
        assert!(scene.events(6300, &[MASTER, ONE, TWO]).contains(&aborted));
    }

    #[test]
    fn what_a_replica_has_counts_whatever_it_hears() {
        let select = |change: fn(&mut Master)| {
            let mut scene = Scene::well(vec![orders()]);
            scene.pass(2000, &[]);
            scene.lose(TWO);
            let (masters, own) = (&mut scene.monitor.masters, &scene.monitor.own);
            let master = masters.get_mut("orders").unwrap();
            master.at.sdown.set(true, 2000);
            change(master);
            master.select(own)
        };
        // It has come again, and has not heard its master since.
        let again = |master: &mut Master| {
            let facts = &mut master.replicas[0].at.facts;
            (facts.never_heard_master, facts.link_up) = (true, false);
        };
        assert_eq!(select(again), Some(0));
        // The master is one no more, and that is why nobody hears it.
        let long = |master: &mut Master| {
            let facts = &mut master.replicas[0].at.facts;
            (facts.link_up, facts.link_down_ms) = (false, 51_000);
        };
        assert_eq!(select(long), None);
        let follows = |master: &mut Master| {
            let facts = &mut master.replicas[0].at.facts;
            (facts.link_up, facts.link_down_ms) = (false, 51_000);
            (master.at.facts.role, master.at.facts.role_ms) = (Role::Replica, 1000);
        };
        assert_eq!(select(follows), Some(0));
    }

    #[test]
    fn run_ids_decide_between_equals() {
        for (one, two, best) in [
            (None, None, 0),
            (None, Some("b"), 1),
            (Some("B"), Some("a"), 1),
            (Some("A"), Some("b"), 0),
        ] {
            let mut scene = Scene::well(vec![orders()]);
            let master = scene.monitor.masters.get_mut("orders").unwrap();
            for (replica, run_id) in master.replicas.iter_mut().zip([one, two]) {
                replica.at.run_id = run_id.map(Into::into);
            }
            let selected = master.select(&scene.monitor.own);
            assert_eq!(selected, Some(best), "{one:?} {two:?}");
        }
        // Who is not connected, or has not answered for long, is nobody.
        let mut scene = Scene::well(vec![orders()]);
        scene.lose(ONE);
        let master = scene.master();
        assert_eq!(master.select(&scene.monitor.own), Some(1));
        let contact = master.replicas[1].at.contact;
        scene.monitor.own.now_ms = 5001;
        assert_eq!(scene.master().select(&scene.monitor.own), None);
        scene.monitor.own.contacts.get_mut(contact).valid_ms = 1;
        assert_eq!(scene.master().select(&scene.monitor.own), Some(1));
    }
}
