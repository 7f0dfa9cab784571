//! What tests say to a monitor and hear from it, as lines of text.
//!
//! ```text
//!  10.0.0.1:6379 < PING                 it sends a request to this node
//!  10.0.0.1:6379 opens, ... closes      it wants a connection there, or ends one
//!  ... *                                the connection is that of messages
//!  +sdown master orders 10.0.0.1 6379   it tells of an event
//!  saves, exits, runs ..., kills ..., looks up ...
//! ```

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;

use headwater_resp::reply::Reply;

use super::Address;
use super::contact::{LinkKind, LinkNo};
use super::master::{Master, Settings};
use super::monitor::{Action, Input, MasterState, Monitor, State};
use super::shown::Fields;

/// Our own run ID, and two of others, by their first letters.
pub(crate) const OURS: &str = "1111111111111111111111111111111111111111";
pub(crate) const A: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
pub(crate) const B: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

pub(crate) const MASTER: &str = "10.0.0.1:6379";
pub(crate) const LOCAL: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 1, 0, 1));

struct Line {
    kind: LinkKind,
    to: String,
    asked: VecDeque<String>,
}

pub(crate) struct Scene {
    pub(crate) monitor: Monitor,
    pub(crate) now_ms: u64,
    lines: BTreeMap<LinkNo, Line>,
    /// States are saved as soon as that is asked for.
    pub(crate) saves: bool,
}

pub(crate) fn address(text: &str) -> Address {
    let (host, port) = text.rsplit_once(':').unwrap();
    Address::new(host, port.parse().unwrap())
}

/// A master with a quorum of two, replicas at .2 and .3, and two other monitors.
pub(crate) fn orders() -> MasterState {
    MasterState {
        name: "orders".into(),
        address: address(MASTER),
        settings: Settings::new(2, 5000, 20_000),
        config_epoch: 0,
        leader_epoch: 0,
        replicas: vec![address("10.0.0.2:6379"), address("10.0.0.3:6379")],
        others: vec![
            (A.into(), address("10.1.0.2:26379")),
            (B.into(), address("10.1.0.3:26379")),
        ],
    }
}

impl Scene {
    pub(crate) fn new(masters: Vec<MasterState>) -> Self {
        let mut state = State::new(OURS.into());
        state.masters = masters;
        Self::of(&state)
    }

    pub(crate) fn of(state: &State) -> Self {
        Self {
            monitor: Monitor::new(state, 7, 0),
            now_ms: 0,
            lines: BTreeMap::new(),
            saves: true,
        }
    }

    /// One whose nodes and monitors are all there, and have said what they are.
    pub(crate) fn well(masters: Vec<MasterState>) -> Self {
        let mut scene = Self::new(masters);
        scene.tick(0);
        scene.all_open();
        scene.answer_all();
        scene
    }

    pub(crate) fn master(&self) -> &Master {
        &self.monitor.masters["orders"]
    }

    /// What comes of an input.
    pub(crate) fn step(&mut self, input: Input<'_>) -> Vec<String> {
        let actions = self.monitor.step(self.now_ms, input);
        self.perform(actions)
    }

    pub(crate) fn tick(&mut self, now_ms: u64) -> Vec<String> {
        self.now_ms = now_ms;
        self.step(Input::Tick)
    }

    /// Ticks up to a time, a tenth of a second each; everybody but these answers all the while.
    pub(crate) fn pass(&mut self, until_ms: u64, silent: &[&str]) -> Vec<String> {
        let mut said = Vec::new();
        while self.now_ms < until_ms {
            let now_ms = until_ms.min(self.now_ms + 100);
            said.extend(self.tick(now_ms));
            said.extend(self.answer_but(silent));
        }
        said
    }

    /// The same, but only the events.
    pub(crate) fn events(&mut self, until_ms: u64, silent: &[&str]) -> Vec<String> {
        events(self.pass(until_ms, silent))
    }

    /// Does what was decided outside of a step.
    pub(crate) fn act(&mut self) -> Vec<String> {
        let actions = self.monitor.take_actions();
        self.perform(actions)
    }

    fn perform(&mut self, actions: Vec<Action>) -> Vec<String> {
        let mut said = Vec::new();
        let mut saved = None;
        for action in actions {
            said.push(match action {
                Action::Connect { link, kind, to } => {
                    let (to, asked) = (to.to_string(), VecDeque::new());
                    let text = format!("{to} opens{}", mark(kind));
                    self.lines.insert(link, Line { kind, to, asked });
                    text
                }
                Action::Close { link } => {
                    let line = self.lines.remove(&link).unwrap();
                    format!("{} closes{}", line.to, mark(line.kind))
                }
                Action::Send { link, words } => {
                    let line = self.lines.get_mut(&link).unwrap();
                    let words = words.into_iter().map(|it| String::from_utf8(it).unwrap());
                    let text = words.collect::<Vec<_>>().join(" ");
                    line.asked.push_back(text.clone());
                    format!("{} <{} {text}", line.to, mark(line.kind))
                }
                Action::Resolve { name } => format!("looks up {name}"),
                Action::Tell(notice) => format!("{} {}", notice.event, notice.text),
                Action::Save => {
                    saved = Some(self.monitor.generation()).filter(|_| self.saves);
                    "saves".to_owned()
                }
                Action::Start { script, argv } => format!("runs {} {}", script.0, argv.join(" ")),
                Action::Kill { script } => format!("kills {}", script.0),
                Action::Exit => "exits".to_owned(),
            });
        }
        if let Some(generation) = saved {
            said.extend(self.step(Input::Saved { generation }));
        }
        said
    }

    /// The connections to a place; those of messages last.
    pub(crate) fn links(&self, to: &str) -> Vec<LinkNo> {
        let lines = self.lines.iter().filter(|(_, line)| line.to == to);
        let mut links: Vec<_> = lines.map(|(link, line)| (line.kind, *link)).collect();
        links.sort_by_key(|(kind, _)| *kind == LinkKind::Messages);
        links.into_iter().map(|(_, link)| link).collect()
    }

    /// The connections that were wanted are there.
    pub(crate) fn all_open(&mut self) -> Vec<String> {
        let links: Vec<LinkNo> = self.lines.keys().copied().collect();
        let local = LOCAL;
        let opened = links.into_iter();
        let said = opened.map(|link| self.step(Input::Connected { link, local }));
        said.collect::<Vec<_>>().concat()
    }

    /// The connections to a place break.
    pub(crate) fn lose(&mut self, to: &str) -> Vec<String> {
        let why = "Connection refused";
        let mut said = Vec::new();
        for link in self.links(to) {
            self.lines.remove(&link);
            said.extend(self.step(Input::Lost { link, why }));
        }
        said
    }

    /// What was asked last of a place, and not answered yet.
    pub(crate) fn asked(&self, to: &str) -> Vec<String> {
        let link = self.links(to).first().copied();
        let line = link.and_then(|link| self.lines.get(&link));
        line.map_or(Vec::new(), |line| line.asked.iter().cloned().collect())
    }

    /// A place answers the oldest question.
    pub(crate) fn answer(&mut self, to: &str, reply: &Reply) -> Vec<String> {
        let link = self.links(to)[0];
        self.lines
            .get_mut(&link)
            .unwrap()
            .asked
            .pop_front()
            .unwrap();
        self.step(Input::Reply { link, reply })
    }

    /// A place answers everything, INFO with this.
    pub(crate) fn inform(&mut self, to: &str, info: &str) -> Vec<String> {
        let mut said = Vec::new();
        for asked in self.asked(to) {
            let reply = match asked.split(' ').next().unwrap() {
                "INFO" => Reply::Bulk(info.into()),
                "PING" => Reply::Simple(b"PONG".to_vec()),
                "PUBLISH" => Reply::Int(1),
                "SENTINEL" => opinion(false, "*", 0),
                _ => Reply::Simple(b"OK".to_vec()),
            };
            // What it says may be the last thing that is wanted of it.
            if !self.asked(to).is_empty() {
                said.extend(self.answer(to, &reply));
            }
        }
        said
    }

    /// A place is asked for INFO, and says this.
    pub(crate) fn says(&mut self, to: &str, info: &str) -> Vec<String> {
        let instance = |master: &Master| {
            let mut all = master.all();
            all.find(|who| master.instance(*who).address.to_string() == to)
        };
        let mut masters = self.monitor.masters.values_mut();
        let master = masters.next().unwrap();
        let who = instance(master).unwrap();
        master.informed(&mut self.monitor.own, who, info, self.now_ms);
        self.act()
    }

    pub(crate) fn answer_all(&mut self) -> Vec<String> {
        self.answer_but(&[])
    }

    /// Everybody answers everything but these.
    fn answer_but(&mut self, silent: &[&str]) -> Vec<String> {
        let mut said = Vec::new();
        let places: Vec<String> = self.lines.values().map(|line| line.to.clone()).collect();
        for to in places {
            if !silent.contains(&&*to) {
                let master = self.master().at.address.to_string();
                let info = match to == master {
                    true => "role:master\r\n".to_owned(),
                    false => follows(&master, 100),
                };
                said.extend(self.inform(&to, &info));
                self.hear(&to);
            }
        }
        said
    }

    /// A message comes over the connection for them.
    pub(crate) fn hear(&mut self, to: &str) {
        for link in self.links(to).into_iter().skip(1) {
            let (channel, payload) = (b"none".as_slice(), b"".as_slice());
            self.step(Input::Message {
                link,
                channel,
                payload,
            });
        }
    }

    /// Another monitor says hello: who, where, its epoch, where the master is, and its epoch.
    pub(crate) fn hello(
        &mut self,
        id: &str,
        at: &str,
        epochs: [u64; 2],
        master: &str,
    ) -> Vec<String> {
        let ([at, master], [epoch, config]) = ([at, master].map(address), epochs);
        let text = format!(
            "{},{},{id},{epoch},orders,{},{},{config}",
            at.host, at.port, master.host, master.port
        );
        self.step(Input::Hello(text.as_bytes()))
    }

    /// Another monitor asks for a vote; whom it gets, and of which epoch.
    pub(crate) fn vote(&mut self, epoch: u64, candidate: &str) -> (Option<Arc<str>>, u64) {
        let (now_ms, at) = (self.now_ms, self.master().at.address.clone());
        let asked = (epoch, Some(candidate));
        let verdict = self
            .monitor
            .is_master_down_by_addr(now_ms, &at, asked.0, asked.1);
        (verdict.leader, verdict.leader_epoch)
    }
}

fn mark(kind: LinkKind) -> &'static str {
    match kind {
        LinkKind::Commands => "",
        LinkKind::Messages => " *",
    }
}

/// The events among lines.
pub(crate) fn events(said: Vec<String>) -> Vec<String> {
    let is_event = |line: &String| line.starts_with(['+', '-']);
    said.into_iter().filter(is_event).collect()
}

/// What was sent to a place, among lines.
pub(crate) fn sent(said: &[String], to: &str) -> Vec<String> {
    let start = format!("{to} < ");
    let lines = said.iter().filter_map(|line| line.strip_prefix(&start));
    lines.map(str::to_owned).collect()
}

/// INFO of a replica that hears its master.
pub(crate) fn follows(master: &str, offset: u64) -> String {
    let Address { host, port } = address(master);
    format!(
        "role:slave\r\nmaster_host:{host}\r\nmaster_port:{port}\r\nmaster_link_status:up\r\n\
         slave_repl_offset:{offset}\r\n"
    )
}

/// What another monitor answers that is asked whether the master is down.
pub(crate) fn opinion(is_down: bool, leader: &str, epoch: i64) -> Reply {
    let leader = Reply::Bulk(leader.into());
    Reply::Array(vec![Reply::Int(is_down.into()), leader, Reply::Int(epoch)])
}

/// One of the fields that are shown.
pub(crate) fn field(fields: &Fields, name: &str) -> Option<String> {
    let found = fields.iter().find(|field| field.0 == name);
    found.map(|field| field.1.clone())
}
