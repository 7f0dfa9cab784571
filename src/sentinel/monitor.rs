//! A monitor: what happens is brought to whom it concerns, and what is to be done comes back.
//!
//! ```text
//!  Connected, Lost, Reply, Message --> the contact, and the one whose seat it is
//!  Hello ---------------------------> the master that it names, and all that know its sender
//!  Tick ----------------------------> everybody
//! ```
//!
//! # Tilt
//!
//! Who was not there for a while (stopped, swapped out, on a machine that slept) has missed
//! answers, and would judge by what is not so. So after a pause of more than two seconds nothing
//! is judged and nothing done for half a minute, but everything goes on being looked at.
//!
//! # Invariants
//!
//! * Time does not go back, and a pause is noticed with whatever comes first after it.
//! * [`Monitor::new`] of [`Monitor::state`] knows everything that must not be forgotten.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use headwater_resp::reply::Reply;

use super::Address;
use super::contact::{ContactNo, LinkKind, LinkNo, Question, Seat};
use super::election::Vote;
use super::hello::{self, Hello};
use super::master::{Master, Settings, Who};
use super::notice::{
    COMMAND_LINK, MESSAGE_LINK, NOT_TILT, Notice, SENTINEL, SENTINEL_ADDRESS_SWITCH,
    SENTINEL_ADDRESS_UPDATE, SENTINEL_INVALID_ADDR, TILT,
};
use super::own::Own;
use super::scripts::{Ended, ScriptNo, Step};

/// Something that happened.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Input<'a> {
    /// Nothing but time. It comes every 100 ms at least.
    Tick,
    /// A connection is there, from this address of ours.
    Connected {
        link: LinkNo,
        local: IpAddr,
    },
    /// A connection could not be had, or broke.
    Lost {
        link: LinkNo,
        why: &'a str,
    },
    /// The next reply, in order.
    Reply {
        link: LinkNo,
        reply: &'a Reply,
    },
    /// A message that was subscribed to.
    Message {
        link: LinkNo,
        channel: &'a [u8],
        payload: &'a [u8],
    },
    /// Somebody published this on our own port, as a hello.
    Hello(&'a [u8]),
    /// What has come of looking up a name.
    Resolved {
        name: &'a str,
        ip: Option<IpAddr>,
    },
    /// This state, and all before it, are on disk.
    Saved {
        generation: u64,
    },
    /// The state could not be written.
    NotSaved,
    ScriptStarted {
        script: ScriptNo,
        pid: u32,
    },
    ScriptEnded {
        script: ScriptNo,
        how: Ended,
    },
}

/// Something to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Connect {
        link: LinkNo,
        kind: LinkKind,
        to: Address,
    },
    /// Nothing is to be heard of it any more.
    Close {
        link: LinkNo,
    },
    Send {
        link: LinkNo,
        words: Vec<Vec<u8>>,
    },
    Resolve {
        name: Box<str>,
    },
    /// Log it, and publish it on the channel of its name, unless it is for debugging.
    Tell(Notice),
    /// Write the state down, and say [`Input::Saved`] or [`Input::NotSaved`]. Nothing waits.
    Save,
    /// The path of a program and its arguments.
    Start {
        script: ScriptNo,
        argv: Vec<Box<str>>,
    },
    Kill {
        script: ScriptNo,
    },
    /// End the process, as a crash does (`SENTINEL SIMULATE-FAILURE`).
    Exit,
}

/// The crashes that are to happen, for a test.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Simulated {
    pub(crate) after_election: bool,
    pub(crate) after_promotion: bool,
}

impl Simulated {
    /// As `INFO` shows them.
    pub(crate) fn bits(self) -> u8 {
        u8::from(self.after_election) | (u8::from(self.after_promotion) << 1)
    }
}

/// What is set for all masters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Global {
    /// Our own port.
    pub(crate) port: u16,
    /// What others may call us; `None` is the address from which they are reached.
    pub(crate) announce_ip: Option<Box<str>>,
    /// 0 is our own.
    pub(crate) announce_port: u16,
    pub(crate) resolve_hostnames: bool,
    pub(crate) announce_hostnames: bool,
    pub(crate) deny_scripts_reconfig: bool,
    /// Who we are to other monitors; without a password, `requirepass` is what they have too.
    pub(crate) user: Option<Box<str>>,
    pub(crate) pass: Option<Box<str>>,
    pub(crate) requirepass: Option<Box<str>>,
}

impl Default for Global {
    fn default() -> Self {
        Self {
            port: 26379,
            announce_ip: None,
            announce_port: 0,
            resolve_hostnames: false,
            announce_hostnames: false,
            deny_scripts_reconfig: true,
            user: None,
            pass: None,
            requirepass: None,
        }
    }
}

impl Global {
    pub(crate) fn announced_port(&self) -> u16 {
        match self.announce_port {
            0 => self.port,
            port => port,
        }
    }
}

/// Everything that the file of a monitor holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct State {
    pub(crate) id: Arc<str>,
    pub(crate) epoch: u64,
    pub(crate) global: Global,
    pub(crate) masters: Vec<MasterState>,
}

impl State {
    /// A monitor that watches nobody.
    pub(crate) fn new(id: Arc<str>) -> Self {
        Self {
            id,
            epoch: 0,
            global: Global::default(),
            masters: Vec::new(),
        }
    }
}

/// What the file holds of one master.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MasterState {
    pub(crate) name: Arc<str>,
    pub(crate) address: Address,
    pub(crate) settings: Settings,
    pub(crate) config_epoch: u64,
    pub(crate) leader_epoch: u64,
    pub(crate) replicas: Vec<Address>,
    /// The other monitors, each with its run ID.
    pub(crate) others: Vec<(Arc<str>, Address)>,
}

/// What another monitor is answered that asks whether a master is down, and perhaps for a vote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) down: bool,
    /// Whom we voted for.
    pub(crate) leader: Option<Arc<str>>,
    pub(crate) leader_epoch: u64,
    /// The state that must be on disk before this is said.
    pub(crate) generation: u64,
}

pub(crate) struct Monitor {
    pub(super) masters: BTreeMap<Arc<str>, Master>,
    pub(super) own: Own,
    /// How often it was in tilt.
    pub(super) tilts: u64,
}

impl Monitor {
    /// A monitor that begins with what the file holds; `seed` is where its chance comes from.
    pub(crate) fn new(state: &State, seed: u64, now_ms: u64) -> Self {
        let (id, global) = (Arc::clone(&state.id), state.global.clone());
        let own = Own::new(id, state.epoch, global, seed, now_ms);
        let masters = BTreeMap::new();
        let mut monitor = Self {
            masters,
            own,
            tilts: 0,
        };
        for state in &state.masters {
            let mut master = Master::new(state, &mut monitor.own);
            for index in 0..master.others.len() {
                monitor.share(&mut master, index);
            }
            monitor.masters.insert(Arc::clone(&state.name), master);
        }
        monitor
    }

    /// What the file is to hold.
    pub(crate) fn state(&self) -> State {
        State {
            id: Arc::clone(&self.own.id),
            epoch: self.own.epoch,
            global: self.own.global.clone(),
            masters: self.masters.values().map(Master::state).collect(),
        }
    }

    /// Counts the changes of [`Monitor::state`].
    pub(crate) fn generation(&self) -> u64 {
        self.own.generation()
    }

    /// Something happened; what is to be done now, in this order.
    pub(crate) fn step(&mut self, now_ms: u64, input: Input<'_>) -> Vec<Action> {
        self.enter(now_ms);
        match input {
            Input::Tick => self.tick(),
            Input::Connected { link, local } => self.connected(link, local),
            Input::Lost { link, why } => self.lost(link, why),
            Input::Reply { link, reply } => self.replied(link, reply),
            Input::Message {
                link,
                channel,
                payload,
            } => {
                let heard = self.own.contacts.heard(link, self.own.now_ms);
                if heard.is_some() && channel == hello::CHANNEL.as_bytes() {
                    self.hello(payload);
                }
            }
            Input::Hello(payload) => self.hello(payload),
            Input::Resolved { name, ip } => self.own.names.resolved(name, ip),
            Input::Saved { generation } => {
                self.own.saved(generation);
                self.look();
            }
            Input::NotSaved => self.own.not_saved(),
            Input::ScriptStarted { script, pid } => {
                let step = self.own.scripts.started(script, pid);
                self.follow_scripts(step);
            }
            Input::ScriptEnded { script, how } => {
                let own = &mut self.own;
                let steps = own.scripts.ended(script, how, own.now_ms, &own.timers);
                self.follow_scripts(steps);
            }
        }
        self.take_actions()
    }

    /// What is to be done because of what was asked.
    pub(crate) fn take_actions(&mut self) -> Vec<Action> {
        self.own.take_actions()
    }

    /// It is now that late.
    pub(super) fn enter(&mut self, now_ms: u64) {
        let own = &mut self.own;
        let now_ms = now_ms.max(own.now_ms);
        let gap_ms = now_ms - own.now_ms;
        own.now_ms = now_ms;
        if gap_ms > own.timers.tilt_trigger_ms {
            own.tilt_ms = Some(now_ms);
            self.tilts += 1;
            own.tell(TILT, None, "#tilt mode entered");
        }
    }

    fn tick(&mut self) {
        let own = &mut self.own;
        let is_over = |ms| own.now_ms - ms >= own.timers.tilt_period_ms;
        if own.tilt_ms.is_some_and(is_over) {
            own.tilt_ms = None;
            own.tell(NOT_TILT, None, "#tilt mode exited");
        }
        for master in self.masters.values_mut() {
            master.tick(own);
        }
        let steps = own.scripts.tick(own.now_ms, &own.timers);
        self.follow_scripts(steps);
    }

    /// Goes on with what may have waited for the disk.
    fn look(&mut self) {
        if self.own.tilt_ms.is_none() {
            for master in self.masters.values_mut() {
                master.look(&mut self.own);
            }
        }
    }

    fn follow_scripts(&mut self, steps: impl IntoIterator<Item = Step>) {
        for step in steps {
            match step {
                Step::Start(script, argv) => self.own.act(Action::Start { script, argv }),
                Step::Kill(script) => self.own.act(Action::Kill { script }),
                Step::Tell(event, text) => self.own.tell(event, None, text),
            }
        }
    }

    // Connections.

    /// Says who we are, and begins to ask.
    fn connected(&mut self, link: LinkNo, local: IpAddr) {
        let own = &mut self.own;
        let Some((contact, kind)) = own.contacts.connected(link, local, own.now_ms) else {
            return;
        };
        let seat = own.contacts.get(contact).seats()[0].clone();
        let Some((master, who)) = find(&self.masters, &seat) else {
            return;
        };
        let settings = &master.settings;
        let (user, pass) = match who {
            Who::Other(_) => match &own.global.pass {
                Some(pass) => (own.global.user.clone(), Some(pass.clone())),
                None => (None, own.global.requirepass.clone()),
            },
            _ => (settings.auth_user.clone(), settings.auth_pass.clone()),
        };
        let id = own.id.get(..8).unwrap_or(&own.id);
        let name = match kind {
            LinkKind::Commands => format!("sentinel-{id}-cmd"),
            LinkKind::Messages => format!("sentinel-{id}-pubsub"),
        };
        let mut words: Vec<Vec<&str>> = Vec::new();
        match (&user, &pass) {
            (Some(user), Some(pass)) => words.push(vec!["AUTH", user, pass]),
            (None, Some(pass)) => words.push(vec!["AUTH", pass]),
            (_, None) => {}
        }
        words.push(vec!["CLIENT", "SETNAME", &name]);
        if kind == LinkKind::Messages {
            words.push(vec!["SUBSCRIBE", hello::CHANNEL]);
            for mut words in words {
                words[0] = settings.command(words[0]);
                own.send(link, &words);
            }
            return;
        }
        for words in words {
            master.ask(own, who, Question::Any, &words);
        }
        master.ask(own, who, Question::Ping, &["PING"]);
        if !matches!(who, Who::Other(_)) {
            master.ask(own, who, Question::Info, &["INFO"]);
        }
    }

    fn lost(&mut self, link: LinkNo, why: &str) {
        let Some((contact, kind, was_up)) = self.own.contacts.lost(link) else {
            return;
        };
        let seat = self.own.contacts.get(contact).seats()[0].clone();
        let found = find(&self.masters, &seat);
        if let Some((master, who)) = found.filter(|_| !was_up) {
            let event = match kind {
                LinkKind::Commands => COMMAND_LINK,
                LinkKind::Messages => MESSAGE_LINK,
            };
            master.tell_more(&mut self.own, event, who, &format!("#{why}"));
        }
    }

    fn replied(&mut self, link: LinkNo, reply: &Reply) {
        let own = &mut self.own;
        let Some((contact, kind)) = own.contacts.heard(link, own.now_ms) else {
            return;
        };
        if kind == LinkKind::Messages {
            return;
        }
        let Some(asked) = own.contacts.answered(contact) else {
            return;
        };
        if asked.question == Question::Ping {
            self.ponged(contact, reply);
        }
        let own = &mut self.own;
        let Some(master) = self.masters.get_mut(&asked.seat.master) else {
            return;
        };
        let Some(who) = master.seated(&asked.seat) else {
            return;
        };
        match asked.question {
            Question::Any | Question::Ping => {}
            Question::Hello => {
                if reply.as_error().is_none() {
                    let now_ms = own.now_ms;
                    master.hello_said(who, now_ms);
                }
            }
            Question::Info => {
                let Some(text) = reply.as_bytes() else {
                    return;
                };
                let text = String::from_utf8_lossy(text);
                master.informed(own, who, &text, asked.at_ms);
            }
            Question::IsDown => {
                let Who::Other(index) = who else {
                    return;
                };
                let Some((is_down, vote)) = opinion(reply) else {
                    return;
                };
                master.told_down(own, index, is_down, vote);
            }
        }
        let may_matter = matches!(asked.question, Question::Info | Question::IsDown);
        if may_matter && own.tilt_ms.is_none() {
            master.look(own);
        }
    }

    /// An answer to PING, which concerns all who share the connection.
    fn ponged(&mut self, contact: ContactNo, reply: &Reply) {
        let own = &mut self.own;
        let text = reply.as_bytes().or(reply.as_error()).unwrap_or_default();
        let is = |start: &str| text.starts_with(start.as_bytes());
        let is_valid = is("PONG") || is("LOADING") || is("MASTERDOWN");
        let contact = own.contacts.get_mut(contact);
        contact.ponged(is_valid, own.now_ms);
        let seats = contact.seats().to_vec();
        let Some(master) = self.masters.get_mut(&seats[0].master) else {
            return;
        };
        let Some(who) = master.seated(&seats[0]) else {
            return;
        };
        if is("PONG") {
            master.pong(who);
        } else if is("BUSY") {
            master.kill_script(own, who);
        }
    }

    // Other monitors.

    /// Another monitor says who it is, and what it knows of a master.
    pub(crate) fn hello(&mut self, payload: &[u8]) {
        let Some(hello) = Hello::read(payload) else {
            return;
        };
        if hello.run_id == &*self.own.id {
            return;
        }
        let Some(mut master) = self.masters.remove(hello.master) else {
            return;
        };
        let name = Arc::clone(&master.name);
        let met = self.meet(&mut master, &hello);
        let own = &mut self.own;
        master.hear_of_epoch(own, hello.epoch);
        if let Some(index) = met {
            let to = Address::new(hello.master_host, hello.master_port);
            let is_newer = hello.config_epoch > master.config_epoch;
            if is_newer && own.takes_host(hello.master_host) {
                master.follow(own, index, hello.config_epoch, &to);
            }
            let epochs = [hello.epoch, hello.config_epoch];
            master.hear_of_config(own, index, epochs, &to);
        }
        self.masters.insert(name, master);
    }

    /// Looks up the sender of a hello, or comes to know it, at this address.
    fn meet(&mut self, master: &mut Master, hello: &Hello<'_>) -> Option<usize> {
        let own = &mut self.own;
        let address = Address::new(hello.host, hello.port);
        let is_there = |own: &mut Own, master: &Master, index: usize| {
            own.same(&master.others[index].at.address, &address)
        };
        if let Some(index) = master.other(hello.run_id)
            && is_there(own, master, index)
        {
            return Some(index);
        }
        if !own.takes_host(hello.host) || hello.port == 0 {
            return None;
        }
        let moved = master.remove_other(own, hello.run_id);
        if moved {
            let more = format!("ip {} port {} for {}", hello.host, hello.port, hello.run_id);
            master.tell_more(own, SENTINEL_ADDRESS_SWITCH, Who::Master, &more);
        } else if let Some(index) =
            (0..master.others.len()).find(|&index| is_there(own, master, index))
        {
            // Another run ID at the same place: that monitor is no more.
            master.tell(own, SENTINEL_INVALID_ADDR, Who::Other(index));
            let gone = master.others[index].at.id().to_owned();
            master.remove_other(own, &gone);
            for master in self.masters.values_mut() {
                master.remove_other(own, &gone);
            }
        }
        master.add_other(own, &hello.run_id.into(), &address);
        let index = master.others.len() - 1;
        if moved {
            self.move_elsewhere(master, index, &address);
        } else {
            master.tell(own, SENTINEL, Who::Other(index));
        }
        self.share(master, index);
        self.own.changed();
        Some(index)
    }

    /// Has the other masters know that a monitor has moved.
    fn move_elsewhere(&mut self, master: &Master, index: usize, address: &Address) {
        let own = &mut self.own;
        let run_id = master.others[index].at.id();
        let mut count = 0;
        for master in self.masters.values_mut() {
            if let Some(index) = master.other(run_id) {
                let at = &mut master.others[index].at;
                at.address = address.clone();
                own.hang_up(at.contact);
                count += 1;
            }
        }
        if count > 0 {
            let more = format!("{count} additional matching instances");
            master.tell_more(own, SENTINEL_ADDRESS_UPDATE, Who::Other(index), &more);
        }
    }

    /// Has a monitor use the connection that another master has to it.
    fn share(&mut self, master: &mut Master, index: usize) {
        let at = &master.others[index].at;
        let (run_id, no, contact) = (at.id(), at.no, at.contact);
        let elsewhere = |it: &Master| Some(it.others[it.other(run_id)?].at.contact);
        let Some(shared) = self.masters.values().find_map(elsewhere) else {
            return;
        };
        let seat = at.seat(&master.name);
        self.own.leave(contact, no);
        self.own.contacts.share(shared, seat);
        master.others[index].at.contact = shared;
    }

    /// Answers another monitor that asks whether the master at an address is down; and for our
    /// vote, if it stands for election.
    pub(crate) fn is_master_down_by_addr(
        &mut self,
        now_ms: u64,
        address: &Address,
        epoch: u64,
        candidate: Option<&str>,
    ) -> Verdict {
        self.enter(now_ms);
        let own = &mut self.own;
        let mut verdict = Verdict {
            down: false,
            leader: None,
            leader_epoch: 0,
            generation: 0,
        };
        let mut masters = self.masters.values_mut();
        let Some(master) = masters.find(|master| own.same(&master.at.address, address)) else {
            return verdict;
        };
        verdict.down = master.at.sdown.is && own.tilt_ms.is_none();
        if let Some(candidate) = candidate {
            master.vote(own, epoch, candidate);
            verdict.leader = master.ballot.leader.clone();
            verdict.leader_epoch = master.ballot.epoch;
            verdict.generation = master.ballot.generation;
        }
        verdict
    }
}

/// The master whose seat it is, and who of it.
fn find<'a>(masters: &'a BTreeMap<Arc<str>, Master>, seat: &Seat) -> Option<(&'a Master, Who)> {
    let master = masters.get(&seat.master)?;
    Some((master, master.seated(seat)?))
}

/// What an answer to `is-master-down-by-addr` says.
fn opinion(reply: &Reply) -> Option<(bool, Option<Vote>)> {
    let [down, leader, epoch] = reply.as_parts()? else {
        return None;
    };
    let (down, epoch) = (down.as_int()?, epoch.as_int()?);
    let leader = str::from_utf8(leader.as_bytes()?).ok()?;
    let vote = (leader != "*").then(|| Vote {
        leader: leader.into(),
        epoch: epoch.try_into().unwrap_or(0),
    });
    Some((down == 1, vote))
}

#[cfg(test)]
mod tests {
    use super::super::scene::{
        A, B, LOCAL, MASTER, OURS, Scene, address, events, field, opinion, orders, sent,
    };
    use super::*;

    const C: &str = "cccccccccccccccccccccccccccccccccccccccc";

    #[test]
    fn monitors_are_found_by_their_hello() {
        let mut scene = Scene::well(vec![orders()]);
        let new = format!("+sentinel sentinel {C} 10.1.0.4 26379 @ orders 10.0.0.1 6379");
        let hello = |scene: &mut Scene| scene.hello(C, "10.1.0.4:26379", [0, 0], MASTER);
        assert_eq!(hello(&mut scene), [&new, "saves"]);
        assert_eq!(hello(&mut scene), [""; 0]);
        assert_eq!(scene.monitor.state().masters[0].others.len(), 3);
        for payload in [
            format!("10.1.0.9,26379,{OURS},0,orders,10.0.0.1,6379,0"),
            format!("10.1.0.9,26379,{B}x,0,carts,10.0.0.1,6379,0"),
            format!("node-d,26379,{B}x,0,orders,10.0.0.1,6379,0"),
            "not for us".to_owned(),
        ] {
            let said = scene.step(Input::Hello(payload.as_bytes()));
            assert_eq!(said, [""; 0], "{payload}");
        }
        // It comes over the subscription just as well.
        let link = scene.links(MASTER)[1];
        let payload = format!("10.1.0.5,26379,{B}y,4,orders,10.0.0.1,6379,0");
        let said = scene.step(Input::Message {
            link,
            channel: b"__sentinel__:hello",
            payload: payload.as_bytes(),
        });
        let new = format!("+sentinel sentinel {B}y 10.1.0.5 26379 @ orders 10.0.0.1 6379");
        assert_eq!(said, [&new, "saves", "+new-epoch 4"]);
    }

    #[test]
    fn a_monitor_may_move_or_be_another() {
        let mut carts = orders();
        (carts.name, carts.address) = ("carts".into(), address("10.0.0.8:6379"));
        let mut scene = Scene::well(vec![orders(), carts]);
        let said = scene.hello(A, "10.1.0.7:26379", [0, 0], MASTER);
        assert_eq!(
            events(said),
            [
                format!(
                    "+sentinel-address-switch master orders 10.0.0.1 6379 \
                     ip 10.1.0.7 port 26379 for {A}"
                ),
                format!(
                    "+sentinel-address-update sentinel {A} 10.1.0.7 26379 @ orders 10.0.0.1 6379 \
                     1 additional matching instances"
                )
            ]
        );
        for master in scene.monitor.state().masters {
            assert!(
                master
                    .others
                    .contains(&(A.into(), address("10.1.0.7:26379")))
            );
        }
        // Another run ID at the same place takes the place of the one that was there.
        let said = scene.hello(C, "10.1.0.7:26379", [0, 0], MASTER);
        assert_eq!(
            events(said),
            [
                format!(
                    "+sentinel-invalid-addr sentinel {A} 10.1.0.7 26379 @ orders 10.0.0.1 6379"
                ),
                format!("+sentinel sentinel {C} 10.1.0.7 26379 @ orders 10.0.0.1 6379"),
            ]
        );
        let state = scene.monitor.state();
        let knows = |index: usize, id: &str| {
            let others = &state.masters[index].others;
            others.iter().any(|(known, _)| **known == *id)
        };
        assert!(!knows(0, A) && !knows(1, A), "it is gone everywhere");
        assert!(
            knows(1, C) && !knows(0, C),
            "the other master has not met it"
        );
    }

    #[test]
    fn the_newer_configuration_is_taken() {
        let mut state = orders();
        state.config_epoch = 3;
        state.settings.client_reconfig_script = Some("/bin/turn".into());
        let mut scene = Scene::well(vec![state]);
        let at = "10.1.0.2:26379";
        assert_eq!(scene.hello(A, at, [0, 2], "10.0.0.2:6379"), [""; 0]);
        assert_eq!(scene.hello(A, at, [0, 3], "10.0.0.2:6379"), [""; 0]);
        assert_eq!(scene.hello(A, at, [0, 4], MASTER), ["saves"]);
        assert_eq!(
            events(scene.hello(A, at, [5, 5], "10.0.0.2:6379")),
            [
                "+new-epoch 5",
                &format!("+config-update-from sentinel {A} 10.1.0.2 26379 @ orders 10.0.0.1 6379"),
                "+switch-master orders 10.0.0.1 6379 10.0.0.2 6379",
                "+slave slave 10.0.0.3:6379 10.0.0.3 6379 @ orders 10.0.0.2 6379",
                "+slave slave 10.0.0.1:6379 10.0.0.1 6379 @ orders 10.0.0.2 6379",
            ]
        );
        let said = scene.tick(100);
        let turn = "runs 1 /bin/turn orders observer start 10.0.0.1 6379 10.0.0.2 6379";
        assert!(said.contains(&turn.to_owned()));
        let state = &scene.monitor.state().masters[0];
        assert_eq!(
            (state.config_epoch, &state.address),
            (5, &address("10.0.0.2:6379"))
        );
    }

    #[test]
    fn a_failover_that_was_overtaken_is_void() {
        let at = "10.1.0.2:26379";
        for (epoch, to, goes_on, leads) in [
            (0, MASTER, true, "10.0.0.2:6379"),
            (1, MASTER, false, MASTER),
            (9, MASTER, false, MASTER),
            (9, "10.0.0.3:6379", false, "10.0.0.3:6379"),
        ] {
            let mut scene = Scene::well(vec![orders()]);
            scene.monitor.failover(0, "orders", false).unwrap();
            scene.act();
            if epoch != 1 {
                scene.inform("10.0.0.2:6379", "role:master\r\n");
            }
            scene.hello(A, at, [epoch, epoch], to);
            let case = format!("{epoch} {to}");
            assert_eq!(scene.master().failover.is_some(), goes_on, "{case}");
            assert_eq!(
                scene.monitor.address("orders"),
                Some(address(leads)),
                "{case}"
            );
        }
    }

    #[test]
    fn who_was_not_there_judges_nothing_for_a_while() {
        let mut scene = Scene::well(vec![orders()]);
        scene.pass(3000, &[]);
        scene.tick(5000);
        assert_eq!(scene.monitor.summary().tilt_ms, None);
        scene.now_ms = 7001;
        assert_eq!(
            events(scene.hello(A, "10.1.0.2:26379", [0, 0], MASTER)),
            ["+tilt #tilt mode entered"],
            "whatever comes first"
        );
        let said = scene.events(30_000, &[MASTER, "10.0.0.2:6379"]);
        assert_eq!(said, [""; 0]);
        let at = address(MASTER);
        let verdict = scene.monitor.is_master_down_by_addr(30_000, &at, 0, None);
        assert!(!verdict.down);
        // INFO is looked at, and nothing done about it.
        scene.says("10.0.0.2:6379", "role:master\r\n");
        scene.master();
        let said = scene.events(37_100, &[MASTER, "10.0.0.2:6379"]);
        assert_eq!(said[0], "-tilt #tilt mode exited");
        assert_eq!(said[1], "+sdown master orders 10.0.0.1 6379");
        assert_eq!(scene.monitor.summary().tilts, 1);
    }

    #[test]
    fn others_are_told_what_is_seen() {
        let mut scene = Scene::well(vec![orders()]);
        scene.pass(7000, &[MASTER]);
        let ask = |scene: &mut Scene, at: &str| {
            let at = address(at);
            scene.monitor.is_master_down_by_addr(7000, &at, 0, None)
        };
        assert!(ask(&mut scene, MASTER).down);
        assert!(!ask(&mut scene, "10.0.0.9:6379").down);
        assert_eq!(ask(&mut scene, MASTER).leader, None);
    }

    #[test]
    fn what_is_late_is_nobodys() {
        let mut scene = Scene::well(vec![orders()]);
        let link = scene.links(MASTER)[0];
        scene.monitor.reset(0, b"*");
        assert!(scene.act().contains(&"10.0.0.1:6379 closes".to_owned()));
        let pong = &Reply::Simple(b"PONG".to_vec());
        assert_eq!(scene.step(Input::Reply { link, reply: pong }), [""; 0]);
        let local = LOCAL;
        assert_eq!(scene.step(Input::Connected { link, local }), [""; 0]);
        assert_eq!(scene.step(Input::Lost { link, why: "" }), [""; 0]);
    }

    #[test]
    fn names_are_told_or_addresses() {
        let mut state = State::new(OURS.into());
        state.global.resolve_hostnames = true;
        (state.global.announce_ip, state.global.announce_port) = (Some("mon-a".into()), 7000);
        let mut master = orders();
        master.address = Address::new("node-a", 6379);
        state.masters = vec![master];
        let mut scene = Scene::of(&state);
        let said = scene.tick(0);
        assert!(said.contains(&"looks up node-a".to_owned()));
        assert_eq!(
            scene.monitor.address("orders"),
            Some(Address::new("node-a", 6379))
        );
        let ip = Some("10.0.0.1".parse().unwrap());
        scene.step(Input::Resolved { name: "node-a", ip });
        assert_eq!(scene.monitor.address("orders"), Some(address(MASTER)));
        scene.all_open();
        let said = scene.tick(100);
        let to = "node-a:6379";
        let hello = format!("mon-a,7000,{OURS},0,orders,10.0.0.1,6379,0");
        assert!(sent(&said, to)[0].ends_with(&hello), "{said:?}");
        // Whoever asks may have the one or the other.
        for at in [MASTER, "node-a:6379", "NODE-A:6379"] {
            let verdict = scene
                .monitor
                .is_master_down_by_addr(100, &address(at), 1, Some(A));
            assert_eq!(verdict.leader.as_deref(), Some(A), "{at}");
        }
        scene.monitor.own.global.announce_hostnames = true;
        assert_eq!(
            scene.monitor.address("orders"),
            Some(Address::new("node-a", 6379))
        );
        // The file has what was given.
        assert_eq!(scene.monitor.state().masters[0].address.to_string(), to);
    }

    #[test]
    fn answers_that_are_odd_change_nothing() {
        let mut scene = Scene::well(vec![orders()]);
        let other = "10.1.0.2:26379";
        scene.pass(6400, &[MASTER, other]);
        for (reply, expected) in [
            (Reply::Error(b"ERR unknown".to_vec()), None),
            (Reply::Array(vec![Reply::Int(1)]), None),
            (opinion(true, A, 7), Some((true, Some(7)))),
            (opinion(true, "*", 9), Some((true, None))),
        ] {
            let read = opinion_of(&reply);
            assert_eq!(read, expected, "{reply:?}");
        }
        fn opinion_of(reply: &Reply) -> Option<(bool, Option<u64>)> {
            let (is_down, vote) = super::opinion(reply)?;
            Some((is_down, vote.map(|vote| vote.epoch)))
        }
        let shown = scene.monitor.show_others("orders").unwrap();
        assert_eq!(field(&shown[0], "voted-leader").unwrap(), "?");
    }

    #[test]
    fn a_state_comes_back_as_it_was() {
        let mut state = State::new(OURS.into());
        (state.epoch, state.global.user) = (9, Some("peer".into()));
        let mut master = orders();
        (master.config_epoch, master.leader_epoch) = (7, 8);
        master.settings.auth_pass = Some("secret".into());
        state.masters = vec![master];
        assert_eq!(Monitor::new(&state, 1, 0).state(), state);
    }
}
