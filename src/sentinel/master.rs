//! One master under watch: its settings, itself, its replicas, and the other monitors that watch
//! it.
//!
//! What is done with every tick, in this order:
//!
//! ```text
//!  the master:         connect, ask (PING, INFO, hello), judge S_DOWN
//!                      judge O_DOWN, start a failover, go on with it, ask the others
//!  each replica:       connect, ask, judge S_DOWN
//!  each other monitor: connect, ask (PING, hello), judge S_DOWN
//! ```
//!
//! A master is objectively down (O_DOWN) while it is S_DOWN here and so many others say the same
//! that the quorum is reached. Nothing is judged in tilt.

use std::sync::Arc;

use super::Address;
use super::contact::{Question, Seat};
use super::election::{Ballot, Vote};
use super::failover::{Failover, How, Stage};
use super::hello::{self, Hello};
use super::info::Role;
use super::instance::{Down, Instance, Kind};
use super::monitor::MasterState;
use super::notice::{
    CONFIG_UPDATE, Event, NOT_ODOWN, NOT_SDOWN, ODOWN, SDOWN, SLAVE, SWITCH_MASTER,
};
use super::own::Own;

/// What is set for one master.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Settings {
    pub(crate) quorum: u64,
    pub(crate) down_after_ms: u64,
    pub(crate) failover_timeout_ms: u64,
    pub(crate) parallel_syncs: u64,
    pub(crate) notification_script: Option<Box<str>>,
    pub(crate) client_reconfig_script: Option<Box<str>>,
    pub(crate) auth_user: Option<Box<str>>,
    pub(crate) auth_pass: Option<Box<str>>,
    /// 0 is off.
    pub(crate) master_reboot_down_after_ms: u64,
    /// Commands that the nodes know by another name: their names, and those.
    pub(crate) renamed: Vec<(Box<str>, Box<str>)>,
}

impl Settings {
    /// What a new master begins with.
    pub(crate) fn new(quorum: u64, down_after_ms: u64, failover_timeout_ms: u64) -> Self {
        Self {
            quorum,
            down_after_ms,
            failover_timeout_ms,
            parallel_syncs: 1,
            notification_script: None,
            client_reconfig_script: None,
            auth_user: None,
            auth_pass: None,
            master_reboot_down_after_ms: 0,
            renamed: Vec::new(),
        }
    }

    /// The name by which the nodes know a command.
    pub(crate) fn command<'a>(&'a self, name: &'a str) -> &'a str {
        let mut renamed = self.renamed.iter();
        let found = renamed.find(|(from, _)| from.eq_ignore_ascii_case(name));
        found.map_or(name, |(_, to)| to)
    }
}

/// How far a replica is in following the new master.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reconf {
    None,
    Sent { at_ms: u64 },
    InProgress,
    Done,
}

#[derive(Debug)]
pub(crate) struct Replica {
    pub(crate) at: Instance,
    pub(crate) reconf: Reconf,
    /// Since the last failover it has neither followed anybody nor been told to, as far as we know.
    pub(crate) is_untold: bool,
}

/// Another monitor.
#[derive(Debug)]
pub(crate) struct Other {
    pub(crate) at: Instance,
    /// It says that the master is down.
    pub(crate) says_down: bool,
    /// When it said something about that last.
    answered_ms: Option<u64>,
    /// The epoch in which it was asked for its vote last.
    asked_epoch: Option<u64>,
    pub(crate) vote: Option<Vote>,
    /// When its hello came last.
    pub(crate) hello_ms: u64,
    /// The epoch of the configuration that it shares with us, and since when it has said so.
    pub(crate) agrees: Option<(u64, u64)>,
}

/// One of those that belong to a master.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Who {
    Master,
    Replica(usize),
    Other(usize),
}

#[derive(Debug)]
pub(crate) struct Master {
    pub(crate) name: Arc<str>,
    pub(crate) settings: Settings,
    pub(crate) at: Instance,
    pub(crate) odown: Down,
    pub(crate) replicas: Vec<Replica>,
    pub(crate) others: Vec<Other>,
    pub(crate) config_epoch: u64,
    /// The state that has it should be saved before it is announced.
    pub(crate) config_generation: u64,
    /// Since when the master is where it is.
    config_ms: u64,
    /// The epoch of the configuration, if it is the fruit of a failover of ours.
    pub(crate) led_epoch: Option<u64>,
    pub(crate) ballot: Ballot,
    pub(crate) failover: Option<Failover>,
    /// When a failover was tried last, here or elsewhere; a little in the future at first.
    pub(crate) attempt_ms: Option<u64>,
    /// When to try again after an election that nobody could win.
    pub(crate) again_ms: Option<u64>,
}

/// The promoted replica is asked as often whether it leads yet, the others whether they follow, and
/// the master that was replaced whether it is there.
const INFO_PERIOD_MS: u64 = 100;

/// A node is asked as often while something is wrong.
const TROUBLED_INFO_PERIOD_MS: u64 = 1000;

/// What others said is forgotten after so many ask periods.
const ANSWER_PERIODS_MAX: u64 = 5;

impl Master {
    pub(crate) fn new(state: &MasterState, own: &mut Own) -> Self {
        let name = Arc::clone(&state.name);
        let at = Instance::new(Kind::Master, state.address.clone(), &name, own);
        let mut master = Self {
            name,
            settings: state.settings.clone(),
            at,
            odown: Down::default(),
            replicas: Vec::new(),
            others: Vec::new(),
            config_epoch: state.config_epoch,
            config_generation: 0,
            config_ms: own.now_ms,
            led_epoch: None,
            ballot: Ballot {
                leader: None,
                epoch: state.leader_epoch,
                generation: 0,
            },
            failover: None,
            attempt_ms: None,
            again_ms: None,
        };
        for address in &state.replicas {
            master.add_replica(own, address);
        }
        for (run_id, address) in &state.others {
            master.add_other(own, run_id, address);
        }
        master
    }

    /// What the file holds of it.
    pub(crate) fn state(&self) -> MasterState {
        let current = self.current();
        let replicas = self.replicas.iter().map(|replica| &replica.at.address);
        // The place of the promoted one is taken by the old master.
        let placed = |address: &Address| match address == current {
            true => self.at.address.clone(),
            false => address.clone(),
        };
        let others = self.others.iter();
        MasterState {
            name: Arc::clone(&self.name),
            address: current.clone(),
            settings: self.settings.clone(),
            config_epoch: self.config_epoch,
            leader_epoch: self.ballot.epoch,
            replicas: replicas.map(placed).collect(),
            others: others
                .map(|other| (other.at.id().into(), other.at.address.clone()))
                .collect(),
        }
    }

    /// Where the master is, as clients are told: the promoted one, once it leads.
    pub(crate) fn current(&self) -> &Address {
        let leads = self.stage() >= Some(Stage::ReconfReplicas);
        match self.promoted().filter(|_| leads) {
            Some(index) => &self.replicas[index].at.address,
            None => &self.at.address,
        }
    }

    pub(crate) fn instance(&self, who: Who) -> &Instance {
        match who {
            Who::Master => &self.at,
            Who::Replica(index) => &self.replicas[index].at,
            Who::Other(index) => &self.others[index].at,
        }
    }

    pub(crate) fn instance_mut(&mut self, who: Who) -> &mut Instance {
        match who {
            Who::Master => &mut self.at,
            Who::Replica(index) => &mut self.replicas[index].at,
            Who::Other(index) => &mut self.others[index].at,
        }
    }

    /// Everybody, the master first.
    pub(crate) fn all(&self) -> impl Iterator<Item = Who> + use<> {
        let replicas = (0..self.replicas.len()).map(Who::Replica);
        let others = (0..self.others.len()).map(Who::Other);
        [Who::Master].into_iter().chain(replicas).chain(others)
    }

    /// Whose seat it is; `None` if it is gone.
    pub(crate) fn seated(&self, seat: &Seat) -> Option<Who> {
        let mut all = self.all();
        all.find(|who| self.instance(*who).no == seat.instance)
    }

    pub(crate) fn script(&self) -> Option<&str> {
        self.settings.notification_script.as_deref()
    }

    /// Who it is, as events begin.
    pub(crate) fn about(&self, own: &Own, who: Who) -> String {
        let at = self.instance(who);
        let here = own.shown(&at.address);
        let master = own.shown(&self.at.address);
        let name = match who {
            Who::Master => self.name.to_string(),
            Who::Replica(_) => here.to_string(),
            Who::Other(_) => at.id().to_owned(),
        };
        let text = format!("{} {name} {} {}", at.kind.word(), here.host, here.port);
        match who {
            Who::Master => text,
            _ => format!("{text} @ {} {} {}", self.name, master.host, master.port),
        }
    }

    /// Tells of an event that needs no more words.
    pub(crate) fn tell(&self, own: &mut Own, event: Event, who: Who) {
        let text = self.about(own, who);
        own.tell(event, self.script(), text);
    }

    /// Tells of an event, with more words behind who it is about.
    pub(crate) fn tell_more(&self, own: &mut Own, event: Event, who: Who, more: &str) {
        let text = format!("{} {more}", self.about(own, who));
        own.tell(event, self.script(), text);
    }

    /// Has a program tell clients of the new master's address.
    pub(crate) fn run_reconfig(&self, own: &mut Own, role: &str, from: &Address, to: &Address) {
        let Some(script) = &self.settings.client_reconfig_script else {
            return;
        };
        let (from, to) = (own.shown(from), own.shown(to));
        let ports = [from.port.to_string(), to.port.to_string()];
        own.scripts.schedule(&[
            script, &self.name, role, "start", &from.host, &ports[0], &to.host, &ports[1],
        ]);
    }

    // Everybody's turn.

    /// What is to be done every so often.
    pub(crate) fn tick(&mut self, own: &mut Own) {
        for who in self.all() {
            self.tend(own, who);
            if own.tilt_ms.is_some() {
                continue;
            }
            self.judge(own, who);
            if who == Who::Master {
                self.look(own);
            }
        }
    }

    /// Judges whether the master is down, and does something about it.
    pub(crate) fn look(&mut self, own: &mut Own) {
        self.judge_together(own);
        self.start_if_due(own);
        self.advance(own);
        self.ask_others(own);
        self.say_news(own);
    }

    /// Has everybody hear at once what is new, as soon as it may be told.
    fn say_news(&mut self, own: &mut Own) {
        for who in self.all() {
            let at = self.instance(who);
            if at.hello_is_news && at.contact(own).way().is_some() {
                self.say_hello(own, who);
            }
        }
    }

    /// Sees to the connections of one, and asks what is due.
    fn tend(&mut self, own: &mut Own, who: Who) {
        let at = self.instance(who);
        at.connect(own, self.settings.down_after_ms);
        let contact = at.contact(own);
        if contact.way().is_none() || contact.is_flooded() {
            return;
        }
        if who_is_node(who) && at.owes_info(own, self.info_period_ms(own, who)) {
            self.ask_info(own, who);
        }
        let at = self.instance(who);
        let period_ms = own.timers.ping_period_ms.min(self.settings.down_after_ms);
        if at.contact(own).owes_ping(own.now_ms, period_ms) {
            self.ask(own, who, Question::Ping, &["PING"]);
        }
        if self.instance(who).owes_hello(own) {
            self.say_hello(own, who);
        }
    }

    pub(crate) fn ask(&self, own: &mut Own, who: Who, question: Question, words: &[&str]) -> bool {
        let at = self.instance(who);
        at.ask(own, &self.name, &self.settings, question, words)
    }

    /// Asks a node for INFO, unless it has been asked.
    pub(crate) fn ask_info(&self, own: &mut Own, who: Who) {
        let at = self.instance(who);
        let contact = at.contact(own);
        if contact.way().is_some() && !contact.is_asked(Question::Info, at.no) {
            self.ask(own, who, Question::Info, &["INFO"]);
        }
    }

    pub(crate) fn info_period_ms(&self, own: &Own, who: Who) -> u64 {
        let usual_ms = own.timers.info_period_ms;
        let Who::Replica(index) = who else {
            return match self.at.sdown.is || self.at.facts.role != Role::Master {
                true => usual_ms.min(TROUBLED_INFO_PERIOD_MS),
                false => usual_ms,
            };
        };
        let replica = &self.replicas[index];
        let is_awaited = match self.stage() {
            Some(Stage::WaitPromotion) => self.promoted() == Some(index),
            Some(Stage::ReconfReplicas) => {
                matches!(replica.reconf, Reconf::Sent { .. } | Reconf::InProgress)
            }
            _ => replica.at.facts.role == Role::Master && self.is_to_convert(own, index),
        };
        let facts = &replica.at.facts;
        let is_troubled = self.at.sdown.is
            || self.odown.is
            || self.failover.is_some()
            || facts.link_down_ms != 0
            || facts.never_heard_master
            || facts.role != Role::Replica;
        match (is_awaited, is_troubled) {
            (true, _) => usual_ms.min(INFO_PERIOD_MS),
            (false, true) => usual_ms.min(TROUBLED_INFO_PERIOD_MS),
            (false, false) => usual_ms,
        }
    }

    /// Publishes our hello there.
    fn say_hello(&mut self, own: &mut Own, who: Who) {
        // What is announced should not be forgotten; but if it cannot be saved, others still have
        // to know.
        if !own.has_saved(self.config_generation) && !own.save_fails() {
            return;
        }
        // Clients that publish wait while it hands over, and so would all that we say behind that.
        if who == Who::Master && self.hands_over() {
            return;
        }
        let Some(local) = self.instance(who).contact(own).local() else {
            return;
        };
        let local = local.to_string();
        let id = Arc::clone(&own.id);
        let current = own.shown(self.current());
        let text = Hello {
            host: own.global.announce_ip.as_deref().unwrap_or(&local),
            port: own.global.announced_port(),
            run_id: &id,
            epoch: own.epoch,
            master: &self.name,
            master_host: &current.host,
            master_port: current.port,
            config_epoch: self.config_epoch,
        }
        .to_string();
        let words = ["PUBLISH", hello::CHANNEL, &text];
        self.ask(own, who, Question::Hello, &words);
        self.instance_mut(who).hello_is_news = false;
    }

    /// Has everybody told as soon as it can be.
    pub(crate) fn hasten_hello(&mut self) {
        for who in self.all() {
            self.instance_mut(who).hello_is_news = true;
        }
    }

    fn judge(&mut self, own: &mut Own, who: Who) {
        let (at, settings) = match who {
            Who::Master => (&mut self.at, &self.settings),
            Who::Replica(index) => (&mut self.replicas[index].at, &self.settings),
            Who::Other(index) => (&mut self.others[index].at, &self.settings),
        };
        if !at.judge(own, settings) {
            return;
        }
        let is_down = self.instance(who).sdown.is;
        let event = if is_down { SDOWN } else { NOT_SDOWN };
        self.tell(own, event, who);
        if who == Who::Master && is_down {
            // What may have to decide soon should be fresh.
            for index in 0..self.replicas.len() {
                self.ask_info(own, Who::Replica(index));
            }
        }
    }

    fn judge_together(&mut self, own: &mut Own) {
        let agreeing = self.others.iter().filter(|other| other.says_down).count() as u64 + 1;
        let is_down = self.at.sdown.is && agreeing >= self.settings.quorum;
        if !self.odown.set(is_down, own.now_ms) {
            return;
        }
        if is_down {
            let more = format!("#quorum {agreeing}/{}", self.settings.quorum);
            self.tell_more(own, ODOWN, Who::Master, &more);
        } else {
            self.tell(own, NOT_ODOWN, Who::Master);
        }
    }

    /// Asks the others whether they think so too, and for their votes.
    fn ask_others(&mut self, own: &mut Own) {
        let period_ms = own.timers.ask_period_ms;
        let candidacy = self.failover.as_ref().filter(|failover| {
            let is_candidate = failover.stage == Stage::WaitStart && failover.how != How::Forced;
            is_candidate && own.has_saved(failover.generation)
        });
        let candidacy = candidacy.map(|failover| failover.epoch);
        let id = Arc::clone(&own.id);
        for index in 0..self.others.len() {
            let other = &mut self.others[index];
            let since_ms = other.answered_ms.map(|ms| own.now_ms - ms);
            if since_ms.is_none_or(|ms| ms > ANSWER_PERIODS_MAX * period_ms) {
                (other.says_down, other.vote) = (false, None);
            }
            if (!self.at.sdown.is && candidacy.is_none()) || !other.at.is_connected(own) {
                continue;
            }
            let is_new = candidacy.is_some() && candidacy != other.asked_epoch;
            let is_open = other
                .at
                .contact(own)
                .is_asked(Question::IsDown, other.at.no);
            let is_due = since_ms.is_none_or(|ms| ms >= period_ms) && !is_open;
            if !is_new && !is_due {
                continue;
            }
            other.asked_epoch = candidacy.or(other.asked_epoch);
            let epoch = candidacy.unwrap_or(own.epoch).to_string();
            let candidate = if candidacy.is_some() { &*id } else { "*" };
            let master = own.shown(&self.at.address);
            let port = master.port.to_string();
            let words = [
                "SENTINEL",
                "is-master-down-by-addr",
                &master.host,
                &port,
                &epoch,
                candidate,
            ];
            self.ask(own, Who::Other(index), Question::IsDown, &words);
        }
    }

    /// What another monitor says: whether the master is down, and whom it voted for.
    pub(crate) fn told_down(&mut self, own: &Own, index: usize, is_down: bool, vote: Option<Vote>) {
        let other = &mut self.others[index];
        other.answered_ms = Some(own.now_ms);
        other.says_down = is_down;
        if vote.is_some() {
            other.vote = vote;
        }
    }

    // What nodes say of themselves.

    /// Our hello was taken there.
    pub(crate) fn hello_said(&mut self, who: Who, now_ms: u64) {
        self.instance_mut(who).hello_ms = Some(now_ms);
    }

    /// It answers as it should.
    pub(crate) fn pong(&mut self, who: Who) {
        self.instance_mut(who).reboot_ms = None;
    }

    /// It is busy with a script. Once it is down for that, it is asked to end it, once.
    pub(crate) fn kill_script(&mut self, own: &mut Own, who: Who) {
        let at = self.instance(who);
        let is_due = at.sdown.is && !at.script_kill_sent && who_is_node(who);
        if is_due && self.ask(own, who, Question::Any, &["SCRIPT", "KILL"]) {
            self.instance_mut(who).script_kill_sent = true;
        }
    }

    // Who belongs to it.

    /// Watches a replica, unless it does already; whether it is new.
    pub(crate) fn add_replica(&mut self, own: &mut Own, address: &Address) -> bool {
        let mut replicas = self.replicas.iter();
        if replicas.any(|replica| own.same(&replica.at.address, address)) {
            return false;
        }
        let at = Instance::new(Kind::Replica, address.clone(), &self.name, own);
        self.replicas.push(Replica {
            at,
            reconf: Reconf::None,
            is_untold: true,
        });
        true
    }

    /// Knows of another monitor.
    pub(crate) fn add_other(&mut self, own: &mut Own, run_id: &Arc<str>, address: &Address) {
        let mut at = Instance::new(Kind::Other, address.clone(), &self.name, own);
        at.run_id = Some(Arc::clone(run_id));
        self.others.push(Other {
            at,
            says_down: false,
            answered_ms: None,
            asked_epoch: None,
            vote: None,
            hello_ms: own.now_ms,
            agrees: None,
        });
    }

    /// The other monitor of this run ID.
    pub(crate) fn other(&self, run_id: &str) -> Option<usize> {
        self.others.iter().position(|other| other.at.id() == run_id)
    }

    /// Forgets another monitor; whether it was known.
    pub(crate) fn remove_other(&mut self, own: &mut Own, run_id: &str) -> bool {
        let Some(index) = self.other(run_id) else {
            return false;
        };
        let other = self.others.remove(index);
        own.leave(other.at.contact, other.at.no);
        true
    }

    /// Has the connections to all nodes made anew.
    pub(crate) fn hang_up_nodes(&self, own: &mut Own) {
        for who in self.all() {
            if who_is_node(who) {
                own.hang_up(self.instance(who).contact);
            }
        }
    }

    /// Gives up all connections, for good.
    pub(crate) fn dismiss(&mut self, own: &mut Own) {
        for who in self.all() {
            let at = self.instance(who);
            own.leave(at.contact, at.no);
        }
    }

    /// Begins anew with what is known of it, but for its address; and for the other monitors, if
    /// they are kept.
    pub(crate) fn reset(&mut self, own: &mut Own, keeps_others: bool) {
        for replica in std::mem::take(&mut self.replicas) {
            own.leave(replica.at.contact, replica.at.no);
        }
        if !keeps_others {
            for other in std::mem::take(&mut self.others) {
                own.leave(other.at.contact, other.at.no);
            }
        }
        for other in &mut self.others {
            (other.says_down, other.vote, other.answered_ms) = (false, None, None);
        }
        self.at.renew(own);
        self.odown = Down::default();
        self.ballot.leader = None;
        (self.failover, self.attempt_ms, self.again_ms) = (None, None, None);
    }

    /// Another monitor knows of a newer configuration. A failover of ours that was elected before
    /// it is void, even if the master has come back to where we still have it.
    pub(crate) fn follow(&mut self, own: &mut Own, from: usize, epoch: u64, to: &Address) {
        self.config_epoch = epoch;
        self.config_generation = own.changed();
        let old = self.at.address.clone();
        if own.same(&old, to) {
            let failover = self.failover.as_ref();
            if failover.is_some_and(|failover| failover.epoch <= epoch) {
                self.tell(own, CONFIG_UPDATE, Who::Other(from));
                self.change_address(own, &old);
            }
            return;
        }
        self.tell(own, CONFIG_UPDATE, Who::Other(from));
        self.tell_switch(own, to);
        self.change_address(own, to);
        self.run_reconfig(own, "observer", &old, to);
    }

    /// The failover has come to its end: the promoted replica is the master.
    pub(crate) fn switch(&mut self, own: &mut Own) {
        let to = self.current().clone();
        let is_old = own.now_ms - self.config_ms >= 4 * own.timers.publish_period_ms;
        self.led_epoch = is_old.then_some(self.config_epoch);
        self.tell_switch(own, &to);
        self.change_address(own, &to);
    }

    pub(crate) fn tell_switch(&self, own: &mut Own, to: &Address) {
        let (from, to) = (own.shown(&self.at.address), own.shown(to));
        let text = format!(
            "{} {} {} {} {}",
            self.name, from.host, from.port, to.host, to.port
        );
        own.tell(SWITCH_MASTER, self.script(), text);
    }

    /// The master is there now; whoever else was a node is a replica.
    pub(crate) fn change_address(&mut self, own: &mut Own, to: &Address) {
        let replicas = self.replicas.iter().map(|replica| &replica.at.address);
        let nodes: Vec<Address> = replicas.chain([&self.at.address]).cloned().collect();
        self.reset(own, true);
        (self.at.address, self.config_ms) = (to.clone(), own.now_ms);
        for address in nodes {
            if !own.same(&address, to) && self.add_replica(own, &address) {
                let added = Who::Replica(self.replicas.len() - 1);
                self.tell(own, SLAVE, added);
            }
        }
        self.config_generation = own.changed();
    }
}

fn who_is_node(who: Who) -> bool {
    !matches!(who, Who::Other(_))
}

#[cfg(test)]
mod tests {
    use headwater_resp::reply::Reply;

    use super::super::contact::InstanceNo;
    use super::super::scene::{A, MASTER, Scene, address, events, opinion, orders, sent};
    use super::*;

    const OTHERS: [&str; 2] = ["10.1.0.2:26379", "10.1.0.3:26379"];

    /// The others say that the master is down, each time they are asked.
    fn agree(scene: &mut Scene, until_ms: u64, others: &[&str], silent: &[&str]) -> Vec<String> {
        let mut said = Vec::new();
        let everybody = [silent, others].concat();
        while scene.now_ms < until_ms {
            said.extend(scene.pass(scene.now_ms + 100, &everybody));
            for other in others {
                for asked in scene.asked(other) {
                    let reply = match asked.starts_with("SENTINEL") {
                        true => opinion(true, "*", 0),
                        false => Reply::Simple(b"PONG".to_vec()),
                    };
                    said.extend(scene.answer(other, &reply));
                }
            }
        }
        events(said)
    }

    #[test]
    fn connections_are_made_at_once_and_tried_again_once_a_second() {
        let mut scene = Scene::new(vec![orders()]);
        assert_eq!(
            scene.tick(0),
            [
                "10.0.0.1:6379 opens",
                "10.0.0.1:6379 opens *",
                "10.0.0.2:6379 opens",
                "10.0.0.2:6379 opens *",
                "10.0.0.3:6379 opens",
                "10.0.0.3:6379 opens *",
                "10.1.0.2:26379 opens",
                "10.1.0.3:26379 opens",
            ]
        );
        assert_eq!(
            scene.lose(MASTER),
            [
                "-cmd-link-reconnection master orders 10.0.0.1 6379 #Connection refused",
                "-pubsub-link-reconnection master orders 10.0.0.1 6379 #Connection refused",
            ]
        );
        assert_eq!(scene.tick(999), [""; 0]);
        assert_eq!(
            scene.tick(1000),
            ["10.0.0.1:6379 opens", "10.0.0.1:6379 opens *"]
        );
        // What is not there after three seconds is tried anew.
        scene.tick(2000);
        assert_eq!(
            scene.tick(3001)[..4],
            [
                "10.0.0.2:6379 closes",
                "10.0.0.2:6379 closes *",
                "10.0.0.2:6379 opens",
                "10.0.0.2:6379 opens *"
            ]
        );
    }

    #[test]
    fn a_connection_is_tried_again_before_who_is_there_is_down() {
        let mut master = orders();
        master.settings.down_after_ms = 1000;
        let mut scene = Scene::well(vec![master]);
        scene.lose(MASTER);
        let opens = |said: Vec<String>| said.iter().filter(|it| it.contains("opens")).count();
        assert_eq!(opens(scene.tick(499)), 0);
        assert_eq!(opens(scene.tick(500)), 2);
    }

    #[test]
    fn who_we_are_comes_first_on_a_connection() {
        let mut master = orders();
        master.settings.auth_pass = Some("secret".into());
        master.settings.renamed = vec![("PING".into(), "pong?".into())];
        let mut scene = Scene::new(vec![master.clone()]);
        scene.monitor.own.global.requirepass = Some("ours".into());
        scene.tick(0);
        let said = scene.all_open();
        assert_eq!(
            said[..7],
            [
                "10.0.0.1:6379 < AUTH secret",
                "10.0.0.1:6379 < CLIENT SETNAME sentinel-11111111-cmd",
                "10.0.0.1:6379 < pong?",
                "10.0.0.1:6379 < INFO",
                "10.0.0.1:6379 < * AUTH secret",
                "10.0.0.1:6379 < * CLIENT SETNAME sentinel-11111111-pubsub",
                "10.0.0.1:6379 < * SUBSCRIBE __sentinel__:hello",
            ]
        );
        assert_eq!(
            sent(&said, OTHERS[0]),
            ["AUTH ours", "CLIENT SETNAME sentinel-11111111-cmd", "PING"]
        );
        master.settings.auth_user = Some("watcher".into());
        let mut scene = Scene::new(vec![master]);
        let global = &mut scene.monitor.own.global;
        (global.user, global.pass) = (Some("peer".into()), Some("word".into()));
        scene.tick(0);
        let said = scene.all_open();
        assert_eq!(said[0], "10.0.0.1:6379 < AUTH watcher secret");
        assert_eq!(sent(&said, OTHERS[0])[0], "AUTH peer word");
    }

    #[test]
    fn everybody_is_asked_in_his_time() {
        let mut scene = Scene::well(vec![orders()]);
        let mut asked: Vec<(u64, String)> = Vec::new();
        while scene.now_ms < 10_200 {
            let said = scene.pass(scene.now_ms + 100, &[]);
            let to_master = sent(&said, MASTER).into_iter();
            asked.extend(to_master.map(|words| (scene.now_ms, words)));
        }
        let times = |start: &str| -> Vec<u64> {
            let found = asked.iter().filter(|(_, words)| words.starts_with(start));
            found.map(|(ms, _)| *ms).collect()
        };
        assert_eq!(times("PING")[..3], [1100, 2200, 3300]);
        assert_eq!(times("INFO"), [10_100]);
        assert_eq!(times("PUBLISH")[..3], [100, 2200, 4300]);
        assert_eq!(
            asked[0].1,
            "PUBLISH __sentinel__:hello \
             10.1.0.1,26379,1111111111111111111111111111111111111111,0,orders,10.0.0.1,6379,0"
        );
    }

    #[test]
    fn only_some_answers_to_ping_count() {
        for (reply, is_alive) in [
            (Reply::Simple(b"PONG".to_vec()), true),
            (Reply::Error(b"LOADING Redis is loading".to_vec()), true),
            (Reply::Error(b"MASTERDOWN Link is down".to_vec()), true),
            (Reply::Error(b"MISCONF Errors writing".to_vec()), false),
            (
                Reply::Error(b"NOAUTH Authentication required.".to_vec()),
                false,
            ),
            (Reply::Null, false),
        ] {
            let mut scene = Scene::well(vec![orders()]);
            let mut said = Vec::new();
            while scene.now_ms < 7000 {
                said.extend(scene.events(scene.now_ms + 100, &[MASTER]));
                for asked in scene.asked(MASTER) {
                    let ok = Reply::Simple(b"OK".to_vec());
                    let reply = if asked == "PING" { &reply } else { &ok };
                    scene.answer(MASTER, reply);
                }
            }
            let expected: &[&str] = match is_alive {
                true => &[],
                false => &["+sdown master orders 10.0.0.1 6379"],
            };
            assert_eq!(said, expected, "{reply:?}");
        }
    }

    #[test]
    fn who_gives_no_answer_is_down_and_who_does_is_not() {
        let mut scene = Scene::well(vec![orders()]);
        let silent = [MASTER, OTHERS[0], "10.0.0.2:6379"];
        // The first PING without an answer was sent at 1100.
        assert_eq!(scene.events(6100, &silent), [""; 0]);
        assert_eq!(
            scene.events(6200, &silent),
            [
                "+sdown master orders 10.0.0.1 6379".to_owned(),
                "+sdown slave 10.0.0.2:6379 10.0.0.2 6379 @ orders 10.0.0.1 6379".to_owned(),
                format!("+sdown sentinel {A} 10.1.0.2 26379 @ orders 10.0.0.1 6379"),
            ]
        );
        assert_eq!(
            scene.events(6400, &silent[..2]),
            ["-sdown slave 10.0.0.2:6379 10.0.0.2 6379 @ orders 10.0.0.1 6379"]
        );
        // What is broken counts from the last answer.
        let mut scene = Scene::well(vec![orders()]);
        scene.pass(500, &[]);
        scene.lose("10.0.0.3:6379");
        assert_eq!(scene.events(5900, &["10.0.0.3:6379"]), [""; 0]);
        assert_eq!(scene.events(6200, &["10.0.0.3:6379"]).len(), 1);
    }

    #[test]
    fn a_connection_that_is_deaf_is_made_anew() {
        let mut scene = Scene::well(vec![orders()]);
        let closed = |said: &[String]| -> Vec<String> {
            let closed = said.iter().filter(|line| line.contains("closes"));
            closed.cloned().collect()
        };
        assert_eq!(closed(&scene.pass(15_000, &[])), [""; 0]);
        let said = scene.pass(17_600, &[MASTER]);
        assert_eq!(closed(&said), [""; 0]);
        let said = scene.pass(18_000, &[MASTER]);
        assert_eq!(closed(&said), ["10.0.0.1:6379 closes"]);
        // Nothing has come over the other for three publish periods.
        let said = scene.pass(21_100, &[MASTER]);
        assert!(closed(&said).contains(&"10.0.0.1:6379 closes *".to_owned()));
    }

    #[test]
    fn a_busy_node_that_is_down_is_asked_once_to_end_its_script() {
        let mut scene = Scene::well(vec![orders()]);
        scene.pass(7000, &[MASTER]);
        let busy = Reply::Error(b"BUSY Redis is busy running a script".to_vec());
        let ok = Reply::Simple(b"OK".to_vec());
        let mut asked = Vec::new();
        for _ in 0..20 {
            scene.pass(scene.now_ms + 100, &[MASTER]);
            for question in scene.asked(MASTER) {
                let reply = if question == "PING" { &busy } else { &ok };
                scene.answer(MASTER, reply);
                asked.push(question);
            }
        }
        let kills = asked.iter().filter(|question| *question == "SCRIPT KILL");
        assert_eq!(kills.count(), 1);
    }

    #[test]
    fn so_many_as_the_quorum_have_to_agree() {
        let mut scene = Scene::well(vec![orders()]);
        assert_eq!(
            agree(&mut scene, 6100, &OTHERS[..1], &[MASTER]),
            [""; 0],
            "nobody is asked while it is well here"
        );
        let said = agree(&mut scene, 6400, &OTHERS[..1], &[MASTER]);
        assert_eq!(
            said[..2],
            [
                "+sdown master orders 10.0.0.1 6379",
                "+odown master orders 10.0.0.1 6379 #quorum 2/2"
            ]
        );
        assert_eq!(
            events(scene.inform(MASTER, "role:master\r\n")),
            [""; 0],
            "it is judged with the next tick"
        );
        assert_eq!(
            events(scene.tick(6500)),
            [
                "-sdown master orders 10.0.0.1 6379",
                "-odown master orders 10.0.0.1 6379"
            ]
        );
    }

    #[test]
    fn what_others_said_is_forgotten() {
        let mut scene = Scene::well(vec![orders()]);
        let silent = [MASTER, OTHERS[0], OTHERS[1]];
        scene.monitor.masters.get_mut("orders").unwrap().attempt_ms = Some(1_000_000);
        let said = agree(&mut scene, 6400, &OTHERS[..1], &[MASTER]);
        assert!(said.contains(&"+odown master orders 10.0.0.1 6379 #quorum 2/2".to_owned()));
        let said = scene.events(11_000, &silent);
        assert!(!said.contains(&"-odown master orders 10.0.0.1 6379".to_owned()));
        let said = scene.events(12_000, &silent);
        assert!(said.contains(&"-odown master orders 10.0.0.1 6379".to_owned()));
    }

    #[test]
    fn a_master_that_reboots_may_be_down_for_that() {
        let mut master = orders();
        master.settings.master_reboot_down_after_ms = 1000;
        let mut scene = Scene::well(vec![master]);
        scene.says(
            MASTER,
            &format!("run_id:{}\r\nrole:master\r\n", "c".repeat(40)),
        );
        let about = "master orders 10.0.0.1 6379";
        assert_eq!(
            scene.says(
                MASTER,
                &format!("run_id:{}\r\nrole:master\r\n", "d".repeat(40))
            ),
            [format!("+reboot {about}")]
        );
        let sdown = format!("+sdown {about}");
        assert_eq!(scene.events(1000, &[MASTER]), [""; 0]);
        assert_eq!(scene.events(1100, &[MASTER])[..1], [sdown]);
        let sdown = format!("-sdown {about}");
        scene.inform(MASTER, "role:master\r\n");
        assert_eq!(events(scene.tick(1200)), [sdown]);
    }

    #[test]
    fn a_master_that_calls_itself_a_replica_is_down_after_a_while() {
        let mut scene = Scene::well(vec![orders()]);
        let info = "role:slave\r\nmaster_host:10.0.0.2\r\nmaster_port:6379\r\n";
        scene.says(MASTER, info);
        scene
            .monitor
            .masters
            .get_mut("orders")
            .unwrap()
            .settings
            .quorum = 9;
        let mut said = Vec::new();
        while scene.now_ms < 25_000 {
            said.extend(events(scene.pass(scene.now_ms + 100, &[MASTER])));
            scene.inform(MASTER, info);
        }
        assert_eq!(said, [""; 0]);
        let said = events(scene.pass(25_100, &[MASTER]));
        assert_eq!(said, ["+sdown master orders 10.0.0.1 6379"]);
    }

    #[test]
    fn connections_to_a_monitor_are_shared() {
        let mut other = orders();
        (other.name, other.address) = ("carts".into(), address("10.0.0.8:6379"));
        let mut scene = Scene::new(vec![orders(), other]);
        let said = scene.tick(0);
        let opened = said.iter().filter(|line| line.starts_with(OTHERS[0]));
        assert_eq!(opened.count(), 1);
        let contact = |scene: &Scene, name| scene.monitor.masters[name].others[0].at.contact;
        assert_eq!(contact(&scene, "orders"), contact(&scene, "carts"));
        assert_eq!(scene.links(OTHERS[0]).len(), 1);
        scene.monitor.remove(0, "carts").unwrap();
        assert!(!scene.act().contains(&format!("{} closes", OTHERS[0])));
        scene.monitor.remove(0, "orders").unwrap();
        assert!(scene.act().contains(&format!("{} closes", OTHERS[0])));
    }

    #[test]
    fn nobody_has_the_seat_of_one_who_is_gone() {
        let scene = Scene::well(vec![orders()]);
        let master = scene.master();
        let mut seat = master.replicas[1].at.seat(&master.name);
        assert_eq!(master.seated(&seat), Some(Who::Replica(1)));
        seat.instance = InstanceNo(4711);
        assert_eq!(master.seated(&seat), None);
    }
}
