//! Monitors and data nodes in one thread, on virtual time: the real [`Monitor`], small models of
//! the nodes, and a network, processes and disks that fail wherever a seed says.
//!
//! ```text
//!  0 s        all start; monitors know the master only
//!  3 s        they know each other and the replicas; trouble begins
//!               nodes and monitors crash, stop (SIGSTOP) and come back; connections break;
//!               hosts are cut off, in both directions or one; disks are slow, or take nothing;
//!               an operator has the master hand over
//!  13 s       all is made well
//!  + settled  all name the same master, it leads, the others follow it and are well
//!  + quiet    nothing happens for long; perhaps an operator wants a failover, and it settles again
//! ```
//!
//! A monitor that crashes comes back with exactly what is on its disk; a save that was under way
//! is there or is not. It may come back at another address.
//!
//! What is checked, always:
//!
//! * In an epoch at most one monitor leads, once.
//! * What a monitor says of its vote in an epoch stays so, whatever happens to it.
//! * The epoch of the configuration that a monitor announces only ever rises, and each belongs to
//!   one address.
//! * Whom it announces has begun to lead before.
//! * A master that is made to follow does not follow one that follows it, then or later.
//!
//! `HEADWATER_SEED=42 cargo test sentinel::sim` runs one seed, and says what happened.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt::Write as _;
use std::net::IpAddr;

use headwater_resp::reply::Reply;

use super::Address;
use super::contact::{LinkKind, LinkNo};
use super::hello::Hello;
use super::info::Role;
use super::instance::Kind;
use super::master::Settings;
use super::monitor::{Action, Global, Input, MasterState, Monitor, State};
use super::notice::Level;
use crate::chance::Chance;

/// Seeds are shared among so many.
const THREADS: usize = 2;

const NAME: &str = "orders";
const TROUBLE_BEGINS_MS: u64 = 3000;
const TROUBLE_ENDS_MS: u64 = 13_000;

/// How long it may take until all is well again, and is to stay so.
const PATIENCE_MS: u64 = 300_000;
const QUIET_MS: u64 = 8000;

/// A process at an end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum End {
    Monitor(usize),
    Node(usize),
}

/// A process that may be stopped; what comes meanwhile waits.
#[derive(Default)]
struct Process {
    is_up: bool,
    is_stopped: bool,
    inbox: VecDeque<What>,
    /// Counts its lives, so that what was meant for the last one is known.
    life: u32,
}

struct Watcher {
    process: Process,
    monitor: Option<Monitor>,
    ip: IpAddr,
    /// What is on disk, and what is being written.
    disk: State,
    writing: Option<(u64, State)>,
    is_disk_broken: bool,
}

struct Node {
    process: Process,
    run_id: u64,
    /// Whom it follows, and what its file says about that.
    follows: Option<usize>,
    filed: Option<usize>,
    /// The histories of its data, and how much of them it has.
    replid: u64,
    replid2: u64,
    offset: u64,
    /// Since when it hears its master, or does not; `None` if it never did.
    is_linked: bool,
    unlinked_ms: Option<u64>,
    priority: u64,
    /// It was told to lead, and nobody has announced it yet.
    has_led: bool,
    /// It led, and follows now because a monitor has put it right.
    is_converted: bool,
    /// Until when nobody may publish there.
    paused_ms: Option<u64>,
    /// To whom it hands over, and until when it tries.
    successor: Option<(usize, u64)>,
}

/// A connection from a monitor.
struct Wire {
    from: usize,
    link: LinkNo,
    kind: LinkKind,
    to: End,
    /// When the last byte arrives, there and back.
    at_ms: [u64; 2],
    /// What a cut network holds back, there and back.
    held: [VecDeque<Bytes>; 2],
    /// A transaction that is being told.
    queued: Option<Vec<Vec<String>>>,
    is_subscribed: bool,
    /// What waits for the end of a pause.
    paused: VecDeque<Vec<String>>,
    /// Answers that wait for a state to be saved, and those behind them.
    unsaid: VecDeque<(u64, Reply)>,
}

/// What travels over a connection.
#[derive(Clone)]
enum Bytes {
    Open,
    Opened,
    Request(Vec<String>),
    Reply(Reply),
    Message(String),
    Close(&'static str),
}

/// What happens at some time.
#[derive(Clone)]
enum What {
    Tick(usize, u32),
    Arrives(u64, usize, Bytes),
    Written(usize, u32, bool),
    Rewrite(usize, u32),
    Replicate(usize),
    HandOver(usize),
    Resume(usize, u64),
    Trouble,
    Crash(End),
    Continue(End),
    Start(End),
    Mend(End, End),
    MendDisk(usize),
}

struct World {
    chance: Chance,
    now_ms: u64,
    agenda: BTreeMap<(u64, u64), Box<What>>,
    last_event: u64,
    watchers: Vec<Watcher>,
    nodes: Vec<Node>,
    wires: BTreeMap<u64, Wire>,
    last_wire: u64,
    links: BTreeMap<(usize, LinkNo), u64>,
    /// From whom nothing comes to whom.
    cuts: BTreeSet<(End, End)>,
    /// There is no more trouble.
    is_healed: bool,
    /// Who led in an epoch.
    leaders: BTreeMap<u64, (usize, u32)>,
    /// Whom a monitor said that it voted for in an epoch.
    votes: BTreeMap<(usize, u64), String>,
    announced: BTreeMap<usize, u64>,
    configs: BTreeMap<u64, String>,
    /// Which monitors have put right which nodes that led, and have not been heard there yet.
    conversions: BTreeSet<(usize, usize)>,
    census: BTreeMap<&'static str, u32>,
    trace: Vec<String>,
    says: bool,
}

impl World {
    fn new(seed: u64, says: bool) -> Self {
        let mut world = Self {
            chance: Chance::new(seed),
            now_ms: 0,
            agenda: BTreeMap::new(),
            last_event: 0,
            watchers: Vec::new(),
            nodes: Vec::new(),
            wires: BTreeMap::new(),
            last_wire: 0,
            links: BTreeMap::new(),
            cuts: BTreeSet::new(),
            is_healed: false,
            leaders: BTreeMap::new(),
            votes: BTreeMap::new(),
            announced: BTreeMap::new(),
            configs: BTreeMap::new(),
            conversions: BTreeSet::new(),
            census: BTreeMap::new(),
            trace: Vec::new(),
            says,
        };
        let monitors = if world.below(4) == 0 { 5 } else { 3 };
        let quorum = 1 + world.below(monitors / 2 + 1) as u64;
        let mut settings = Settings::new(quorum, world.ms(600, 2000), world.ms(2000, 3500));
        settings.parallel_syncs = 1 + world.below(2) as u64;
        for number in 0..monitors {
            let state = State {
                id: format!("{:040x}", number + 10).into(),
                epoch: 0,
                global: Global::default(),
                masters: vec![MasterState {
                    name: NAME.into(),
                    address: node_address(0),
                    settings: settings.clone(),
                    config_epoch: 0,
                    leader_epoch: 0,
                    replicas: Vec::new(),
                    others: Vec::new(),
                }],
            };
            world.watchers.push(Watcher {
                process: Process::default(),
                monitor: None,
                ip: [10, 1, 0, u8::try_from(number).unwrap()].into(),
                disk: state,
                writing: None,
                is_disk_broken: false,
            });
            world.start(End::Monitor(number));
        }
        for number in 0..2 + world.below(3) {
            let follows = (number > 0).then_some(0);
            let priority = if world.below(10) == 0 { 50 } else { 100 };
            world.nodes.push(Node {
                process: Process::default(),
                run_id: 0,
                follows,
                filed: follows,
                replid: 1,
                replid2: 0,
                offset: 0,
                is_linked: false,
                unlinked_ms: None,
                priority,
                has_led: false,
                is_converted: false,
                paused_ms: None,
                successor: None,
            });
            world.start(End::Node(number));
            world.nodes[number].is_linked = number > 0;
            world.after(world.ms(0, 200), What::Replicate(number));
        }
        world.after(TROUBLE_BEGINS_MS, What::Trouble);
        world
    }

    // Chance and time.

    fn below(&self, limit: usize) -> usize {
        let limit = u64::try_from(limit).unwrap();
        usize::try_from(self.chance.next() % limit).unwrap()
    }

    fn ms(&self, least: u64, limit: u64) -> u64 {
        least + self.chance.next() % (limit - least)
    }

    fn after(&mut self, ms: u64, what: What) {
        self.last_event += 1;
        let at = (self.now_ms + ms, self.last_event);
        self.agenda.insert(at, Box::new(what));
    }

    fn note(&mut self, what: &'static str, more: impl std::fmt::Display) {
        *self.census.entry(what).or_default() += 1;
        let line = format!("{:6} {what} {more}", self.now_ms);
        if self.says {
            tracing::info!("{line}");
        }
        self.trace.push(line);
    }

    /// Lets everything happen up to a time.
    fn run_until(&mut self, ms: u64) {
        while let Some((&(at_ms, _), _)) = self.agenda.first_key_value() {
            if at_ms > ms {
                break;
            }
            let (_, what) = self.agenda.pop_first().unwrap();
            self.now_ms = at_ms;
            self.happen(*what);
        }
        self.now_ms = ms;
    }

    fn happen(&mut self, what: What) {
        match what {
            What::Tick(monitor, life) => {
                if self.postpone(End::Monitor(monitor), &What::Tick(monitor, life)) {
                    return;
                }
                if self.watchers[monitor].process.life == life {
                    self.tell(monitor, Input::Tick);
                    self.after(self.ms(53, 101), What::Tick(monitor, life));
                }
            }
            What::Arrives(wire, way, bytes) => self.arrive(wire, way, bytes),
            What::Written(monitor, life, is_well) => self.written(monitor, life, is_well),
            What::Rewrite(monitor, life) => {
                if self.watchers[monitor].process.life == life {
                    self.write(monitor);
                }
            }
            What::Replicate(node) => self.replicate(node),
            What::HandOver(node) => self.hand_over(node),
            What::Resume(node, ms) => {
                if self.nodes[node].paused_ms == Some(ms) {
                    self.resume(node);
                }
            }
            What::Trouble => self.trouble(),
            What::Crash(end) if !self.is_healed => self.crash(end),
            What::Crash(_) => {}
            What::Continue(end) => self.carry_on(end),
            What::Start(end) => self.start(end),
            What::Mend(from, to) => {
                self.cuts.remove(&(from, to));
                self.release();
            }
            What::MendDisk(monitor) => self.watchers[monitor].is_disk_broken = false,
        }
    }

    // Processes.

    fn process(&mut self, end: End) -> &mut Process {
        match end {
            End::Monitor(number) => &mut self.watchers[number].process,
            End::Node(number) => &mut self.nodes[number].process,
        }
    }

    fn is_up(&self, end: End) -> bool {
        match end {
            End::Monitor(number) => self.watchers[number].process.is_up,
            End::Node(number) => self.nodes[number].process.is_up,
        }
    }

    fn at(&self, address: &Address) -> Option<End> {
        let ip: IpAddr = address.host.parse().unwrap();
        let mut watchers = self.watchers.iter();
        let monitor = watchers.position(|watcher| watcher.ip == ip);
        let mut nodes = 0..self.nodes.len();
        let node = nodes.find(|&node| node_address(node) == *address);
        monitor.map(End::Monitor).or(node.map(End::Node))
    }

    fn start(&mut self, end: End) {
        if self.is_up(end) {
            return;
        }
        let process = self.process(end);
        (process.is_up, process.is_stopped) = (true, false);
        process.life += 1;
        let life = process.life;
        match end {
            End::Node(number) => {
                let (run_id, replid) = (self.chance.next(), self.chance.next());
                let node = &mut self.nodes[number];
                (node.run_id, node.follows) = (run_id, node.filed);
                (node.is_linked, node.unlinked_ms) = (false, None);
                (node.paused_ms, node.successor) = (None, None);
                if node.follows.is_none() && life > 1 {
                    (node.replid, node.replid2) = (replid, 0);
                }
            }
            End::Monitor(number) => {
                let (seed, now_ms) = (self.chance.next(), self.now_ms);
                let moves = life > 1 && self.below(4) == 0;
                let watcher = &mut self.watchers[number];
                if let IpAddr::V4(ip) = &mut watcher.ip
                    && moves
                {
                    let [a, b, c, d] = ip.octets();
                    *ip = [a, b, c + 1, d].into();
                }
                let mut monitor = Monitor::new(&watcher.disk, seed, now_ms);
                monitor
                    .debug(&[
                        "tilt-period",
                        "4000",
                        "min-link-reconnect-period",
                        "6000",
                        "publish-period",
                        "1500",
                        "slave-reconf-timeout",
                        "1000",
                    ])
                    .unwrap();
                watcher.monitor = Some(monitor);
                self.after(0, What::Tick(number, life));
            }
        }
        if self.now_ms > 0 {
            self.note("starts", format_args!("{end:?}"));
        }
    }

    fn crash(&mut self, end: End) {
        if !self.is_up(end) {
            return;
        }
        self.note("crashes", format_args!("{end:?}"));
        let process = self.process(end);
        (process.is_up, process.is_stopped) = (false, false);
        process.life += 1;
        process.inbox.clear();
        for wire in self.wires.keys().copied().collect::<Vec<_>>() {
            if self.wires[&wire].to == end {
                self.send(wire, 1, Bytes::Close("Connection reset by peer"));
            }
        }
        let End::Monitor(number) = end else {
            return;
        };
        self.wires.retain(|_, wire| wire.from != number);
        self.links.retain(|(from, _), _| *from != number);
        let is_written = self.below(2) == 0;
        let watcher = &mut self.watchers[number];
        watcher.monitor = None;
        if let Some((_, state)) = watcher.writing.take()
            && is_written
            && !watcher.is_disk_broken
        {
            watcher.disk = state;
        }
    }

    /// Keeps what comes to a process that is stopped; whether it is.
    fn postpone(&mut self, end: End, what: &What) -> bool {
        let process = self.process(end);
        if process.is_stopped {
            process.inbox.push_back(what.clone());
        }
        process.is_stopped
    }

    fn stop(&mut self, end: End, ms: u64) {
        if self.is_up(end) && !self.process(end).is_stopped {
            self.note("stops", format_args!("{end:?} for {ms}"));
            self.process(end).is_stopped = true;
            self.after(ms, What::Continue(end));
        }
    }

    fn carry_on(&mut self, end: End) {
        self.process(end).is_stopped = false;
        let inbox = std::mem::take(&mut self.process(end).inbox);
        for what in inbox {
            self.happen(what);
        }
    }

    // The network.

    fn ends(&self, wire: &Wire, way: usize) -> (End, End) {
        match way {
            0 => (End::Monitor(wire.from), wire.to),
            _ => (wire.to, End::Monitor(wire.from)),
        }
    }

    fn send(&mut self, number: u64, way: usize, bytes: Bytes) {
        // A network that is slow is trouble, too.
        let slow_ms = if self.is_healed { 100 } else { 300 };
        let delay_ms = match self.below(50) {
            0 => self.ms(10, slow_ms),
            _ => self.ms(0, 4),
        };
        let Some(wire) = self.wires.get_mut(&number) else {
            return;
        };
        let at_ms = wire.at_ms[way].max(self.now_ms + delay_ms);
        wire.at_ms[way] = at_ms;
        self.after(at_ms - self.now_ms, What::Arrives(number, way, bytes));
    }

    fn arrive(&mut self, number: u64, way: usize, bytes: Bytes) {
        let Some(wire) = self.wires.get(&number) else {
            return;
        };
        let ends = self.ends(wire, way);
        if self.cuts.contains(&ends) || !wire.held[way].is_empty() {
            let wire = self.wires.get_mut(&number).unwrap();
            wire.held[way].push_back(bytes);
            return;
        }
        self.take(number, way, bytes);
    }

    /// What was held back, and is not any more, arrives.
    fn release(&mut self) {
        for number in self.wires.keys().copied().collect::<Vec<_>>() {
            for way in [0, 1] {
                let Some(wire) = self.wires.get(&number) else {
                    continue;
                };
                if self.cuts.contains(&self.ends(wire, way)) {
                    continue;
                }
                let wire = self.wires.get_mut(&number).unwrap();
                for bytes in std::mem::take(&mut wire.held[way]) {
                    self.take(number, way, bytes);
                }
            }
        }
    }

    /// Bytes are there.
    fn take(&mut self, number: u64, way: usize, bytes: Bytes) {
        let Some(wire) = self.wires.get(&number) else {
            return;
        };
        let (_, to) = self.ends(wire, way);
        if let Bytes::Open = bytes {
            // The kernel does that, whether the process is stopped or not.
            let answer = match self.is_up(to) {
                true => Bytes::Opened,
                false => Bytes::Close("Connection refused"),
            };
            return self.send(number, 1, answer);
        }
        let what = What::Arrives(number, way, bytes);
        if !self.is_up(to) || self.postpone(to, &what) {
            return;
        }
        let What::Arrives(_, _, bytes) = what else {
            return;
        };
        let wire = self.wires.get_mut(&number).unwrap();
        let (from, link) = (wire.from, wire.link);
        if way == 1 {
            // It has closed it already, perhaps.
            if !self.links.contains_key(&(from, link)) {
                return;
            }
            let local = self.watchers[from].ip;
            return match bytes {
                Bytes::Opened => self.tell(from, Input::Connected { link, local }),
                Bytes::Reply(reply) => {
                    let reply = &reply;
                    self.tell(from, Input::Reply { link, reply });
                }
                Bytes::Message(text) => self.tell(
                    from,
                    Input::Message {
                        link,
                        channel: b"__sentinel__:hello",
                        payload: text.as_bytes(),
                    },
                ),
                Bytes::Close(why) => {
                    self.wires.remove(&number);
                    self.links.remove(&(from, link));
                    self.tell(from, Input::Lost { link, why });
                }
                Bytes::Open | Bytes::Request(_) => {}
            };
        }
        match (bytes, to) {
            (Bytes::Close(_), _) => {
                self.wires.remove(&number);
            }
            (Bytes::Request(words), End::Node(node)) => self.serve(number, node, words),
            (Bytes::Request(words), End::Monitor(monitor)) => {
                self.serve_monitor(number, monitor, &words);
            }
            _ => {}
        }
    }

    fn break_wire(&mut self, number: u64) {
        let Some(wire) = self.wires.remove(&number) else {
            return;
        };
        let (from, link) = (wire.from, wire.link);
        if self.links.remove(&(from, link)).is_some() {
            self.note("breaks", format_args!("{from} -> {:?}", wire.to));
            self.tell(
                from,
                Input::Lost {
                    link,
                    why: "Connection reset by peer",
                },
            );
        }
    }

    // Monitors.

    fn tell(&mut self, number: usize, input: Input<'_>) {
        let now_ms = self.now_ms;
        let watcher = &mut self.watchers[number];
        let Some(monitor) = &mut watcher.monitor else {
            return;
        };
        let actions = monitor.step(now_ms, input);
        self.act(number, actions);
    }

    fn act(&mut self, number: usize, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Connect { link, kind, to } => {
                    let Some(to) = self.at(&to) else {
                        // Nobody has this address: it takes time to see that.
                        continue;
                    };
                    self.last_wire += 1;
                    let wire = self.last_wire;
                    self.wires.insert(
                        wire,
                        Wire {
                            from: number,
                            link,
                            kind,
                            to,
                            at_ms: [0; 2],
                            held: Default::default(),
                            queued: None,
                            is_subscribed: false,
                            paused: VecDeque::new(),
                            unsaid: VecDeque::new(),
                        },
                    );
                    self.links.insert((number, link), wire);
                    self.send(wire, 0, Bytes::Open);
                }
                Action::Close { link } => {
                    if let Some(wire) = self.links.remove(&(number, link)) {
                        self.send(wire, 0, Bytes::Close(""));
                    }
                }
                Action::Send { link, words } => {
                    let words: Vec<String> = words
                        .into_iter()
                        .map(|word| String::from_utf8(word).unwrap())
                        .collect();
                    self.check_sent(number, &words);
                    let wire = self.links[&(number, link)];
                    self.send(wire, 0, Bytes::Request(words));
                }
                Action::Tell(notice) => {
                    if notice.level == Level::Debug {
                        continue;
                    }
                    self.note(notice.event, format_args!("by {number}: {}", notice.text));
                    match notice.event {
                        "+elected-leader" => self.check_leader(number),
                        "+convert-to-slave" => self.see_conversion(number, &notice.text),
                        _ => {}
                    }
                }
                Action::Save => {
                    if self.watchers[number].writing.is_none() {
                        self.write(number);
                    }
                }
                Action::Exit
                | Action::Kill { .. }
                | Action::Resolve { .. }
                | Action::Start { .. } => panic!("nothing asks for {action:?}"),
            }
        }
    }

    /// Writes the state of now.
    fn write(&mut self, number: usize) {
        let delay_ms = match self.below(20) {
            0 => self.ms(50, 1500),
            _ => self.ms(1, 20),
        };
        let watcher = &mut self.watchers[number];
        let (life, is_well) = (watcher.process.life, !watcher.is_disk_broken);
        let Some(monitor) = &watcher.monitor else {
            return;
        };
        watcher.writing = Some((monitor.generation(), monitor.state()));
        self.after(delay_ms, What::Written(number, life, is_well));
        // What is said too early, or forgotten, shows when it is forgotten just then.
        if (TROUBLE_BEGINS_MS..TROUBLE_ENDS_MS).contains(&self.now_ms) && self.below(20) == 0 {
            let end = End::Monitor(number);
            self.after(self.ms(0, 1 + delay_ms), What::Crash(end));
            self.after(self.ms(100, 600) + delay_ms, What::Start(end));
        }
    }

    fn written(&mut self, number: usize, life: u32, is_well: bool) {
        let what = What::Written(number, life, is_well);
        let watcher = &mut self.watchers[number];
        if watcher.process.life != life || self.postpone(End::Monitor(number), &what) {
            return;
        }
        let watcher = &mut self.watchers[number];
        let Some((generation, state)) = watcher.writing.take() else {
            return;
        };
        if !is_well {
            self.note("cannot save", number);
            self.after(1000, What::Rewrite(number, life));
            for wire in self.wires.keys().copied().collect::<Vec<_>>() {
                let it = self.wires.get(&wire);
                let waits = |it: &&Wire| it.to == End::Monitor(number) && !it.unsaid.is_empty();
                if it.filter(waits).is_some() {
                    self.break_wire(wire);
                }
            }
            return self.tell(number, Input::NotSaved);
        }
        watcher.disk = state;
        self.tell(number, Input::Saved { generation });
        let watcher = &self.watchers[number];
        let is_behind = |monitor: &Monitor| monitor.generation() > generation;
        if watcher.monitor.as_ref().is_some_and(is_behind) && watcher.writing.is_none() {
            self.write(number);
        }
        self.say(number, generation);
    }

    /// Sends what waited for a state to be saved.
    fn say(&mut self, monitor: usize, saved: u64) {
        for number in self.wires.keys().copied().collect::<Vec<_>>() {
            while let Some(wire) = self.wires.get_mut(&number) {
                let is_due = |unsaid: &(u64, Reply)| unsaid.0 <= saved;
                if wire.to != End::Monitor(monitor) || !wire.unsaid.front().is_some_and(is_due) {
                    break;
                }
                let (_, reply) = wire.unsaid.pop_front().unwrap();
                self.check_vote(monitor, &reply);
                self.send(number, 1, Bytes::Reply(reply));
            }
        }
    }

    /// A monitor is asked something by another.
    fn serve_monitor(&mut self, number: u64, monitor: usize, words: &[String]) {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let now_ms = self.now_ms;
        let (reply, generation) = match words[..] {
            ["PING"] => (Reply::Simple(b"PONG".to_vec()), 0),
            ["CLIENT", ..] => (Reply::Simple(b"OK".to_vec()), 0),
            ["PUBLISH", _, payload] => {
                self.tell(monitor, Input::Hello(payload.as_bytes()));
                (Reply::Int(1), 0)
            }
            [
                "SENTINEL",
                "is-master-down-by-addr",
                host,
                port,
                epoch,
                candidate,
            ] => {
                let this = self.watchers[monitor].monitor.as_mut().unwrap();
                let address = Address::new(host, port.parse().unwrap());
                let candidate = (candidate != "*").then_some(candidate);
                let epoch = epoch.parse().unwrap();
                let verdict = this.is_master_down_by_addr(now_ms, &address, epoch, candidate);
                let actions = this.take_actions();
                self.act(monitor, actions);
                let leader = verdict.leader.as_deref().unwrap_or("*");
                let reply = Reply::Array(vec![
                    Reply::Int(verdict.down.into()),
                    Reply::Bulk(leader.into()),
                    Reply::Int(verdict.leader_epoch.try_into().unwrap()),
                ]);
                (reply, verdict.generation)
            }
            _ => panic!("a monitor is not asked {words:?}"),
        };
        let monitor_saved = |it: &Monitor| it.own.has_saved(generation);
        let this = self.watchers[monitor].monitor.as_ref();
        let is_saved = this.is_some_and(monitor_saved);
        let Some(wire) = self.wires.get_mut(&number) else {
            return;
        };
        wire.unsaid.push_back((generation, reply));
        if is_saved && wire.unsaid.len() == 1 {
            let (_, reply) = wire.unsaid.pop_front().unwrap();
            self.check_vote(monitor, &reply);
            self.send(number, 1, Bytes::Reply(reply));
        }
    }

    // What is checked.

    fn check_leader(&mut self, number: usize) {
        let watcher = &self.watchers[number];
        let (monitor, life) = (watcher.monitor.as_ref().unwrap(), watcher.process.life);
        let master = &monitor.masters[NAME];
        let is_forced = master.failover_is(super::failover::How::Forced);
        if is_forced {
            return;
        }
        let epoch = master.ballot.epoch;
        let known = *self.leaders.entry(epoch).or_insert((number, life));
        assert_eq!(known, (number, life), "two lead in epoch {epoch}");
        // It is forgotten when the failover has come to its end in the same moment.
        let leader = master.ballot.leader.as_deref().unwrap_or("*");
        let vote = Reply::Array(vec![
            Reply::Int(0),
            Reply::Bulk(leader.into()),
            Reply::Int(epoch.try_into().unwrap()),
        ]);
        self.check_vote(number, &vote);
    }

    /// One that led has been told to follow: without waiting, perhaps.
    fn see_conversion(&mut self, number: usize, text: &str) {
        let monitor = self.watchers[number].monitor.as_ref().unwrap();
        let mut replicas = monitor.masters[NAME].replicas.iter();
        let name = text.split(' ').nth(1).unwrap();
        let replica = replicas.find(|replica| replica.at.address.to_string() == name);
        let at = &replica.unwrap().at;
        let since_ms = at.facts.role_ms;
        if let Some(End::Node(node)) = self.at(&at.address) {
            self.conversions.insert((number, node));
        }
        if self.now_ms - since_ms < 4 * monitor.own.timers.publish_period_ms {
            self.note("converts at once", name.to_owned());
        }
    }

    /// A vote is told.
    fn check_vote(&mut self, number: usize, reply: &Reply) {
        let Some([_, leader, epoch]) = reply.as_parts() else {
            return;
        };
        let leader = str::from_utf8(leader.as_bytes().unwrap()).unwrap();
        if leader != "*" {
            let epoch = u64::try_from(epoch.as_int().unwrap()).unwrap();
            let said = self.votes.entry((number, epoch));
            let said = said.or_insert_with(|| leader.to_owned());
            assert_eq!(said, leader, "{number} votes twice in epoch {epoch}");
        }
    }

    fn check_sent(&mut self, number: usize, words: &[String]) {
        let [publish, _, payload] = words else {
            return;
        };
        let watcher = &self.watchers[number];
        if publish != "PUBLISH" || watcher.monitor.as_ref().unwrap().own.save_fails() {
            return;
        }
        let hello = Hello::read(payload.as_bytes()).unwrap();
        let before = self.announced.insert(number, hello.config_epoch);
        let epoch = hello.config_epoch;
        assert!(
            before <= Some(epoch),
            "{number} announces epoch {epoch} after {before:?}"
        );
        let place = format!("{}:{}", hello.master_host, hello.master_port);
        let is_first = epoch > 0 && !self.configs.contains_key(&epoch);
        let node = (0..self.nodes.len()).find(|&node| node_address(node).to_string() == place);
        if is_first && let Some(node) = node {
            let this = &mut self.nodes[node];
            let has_led = std::mem::take(&mut this.has_led) || this.follows.is_none();
            assert!(has_led, "{node} is announced before it leads");
        }
        let known = self.configs.entry(epoch).or_insert_with(|| place.clone());
        assert_eq!(*known, place, "two configurations of epoch {epoch}");
    }

    // Data nodes.

    fn serve(&mut self, number: u64, node: usize, words: Vec<String>) {
        let Some(wire) = self.wires.get_mut(&number) else {
            return;
        };
        let first = words[0].as_str();
        let is_held = first == "PUBLISH" && self.nodes[node].paused_ms.is_some();
        if is_held || !wire.paused.is_empty() {
            wire.paused.push_back(words);
            return;
        }
        if let Some(queued) = &mut wire.queued
            && first != "EXEC"
        {
            queued.push(words);
            let reply = Reply::Simple(b"QUEUED".to_vec());
            return self.send(number, 1, Bytes::Reply(reply));
        }
        let reply = match first {
            "MULTI" => {
                wire.queued = Some(Vec::new());
                Reply::Simple(b"OK".to_vec())
            }
            "EXEC" => {
                let queued = wire.queued.take().unwrap();
                let ok = vec![Reply::Simple(b"OK".to_vec()); queued.len()];
                for words in queued {
                    self.execute(number, node, &words);
                }
                Reply::Array(ok)
            }
            "PING" => Reply::Simple(b"PONG".to_vec()),
            "INFO" => Reply::Bulk(self.info(node).into()),
            "SUBSCRIBE" => {
                wire.is_subscribed = true;
                Reply::Array(Vec::new())
            }
            "PUBLISH" => {
                let wires = self.wires.iter();
                let hears = |wire: &Wire| wire.is_subscribed && wire.to == End::Node(node);
                let hear: Vec<u64> = wires
                    .filter(|(_, wire)| hears(wire))
                    .map(|(number, _)| *number)
                    .collect();
                for wire in &hear {
                    self.send(*wire, 1, Bytes::Message(words[2].clone()));
                }
                Reply::Int(hear.len().try_into().unwrap())
            }
            "CLIENT" => Reply::Simple(b"OK".to_vec()),
            _ => panic!("a node is not asked {words:?}"),
        };
        self.send(number, 1, Bytes::Reply(reply));
    }

    fn execute(&mut self, number: u64, node: usize, words: &[String]) {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let (now_ms, replid) = (self.now_ms, self.chance.next());
        match words[..] {
            ["SLAVEOF", "NO", "ONE"] => {
                let this = &mut self.nodes[node];
                (this.has_led, this.is_converted) = (true, false);
                if this.follows.take().is_some() {
                    (this.replid2, this.replid) = (this.replid, replid);
                }
                self.note("leads", node);
            }
            ["SLAVEOF", host, port] => {
                let address = Address::new(host, port.parse().unwrap());
                let Some(End::Node(master)) = self.at(&address) else {
                    panic!("nobody is at {address}");
                };
                let this = &mut self.nodes[node];
                if this.follows != Some(master) {
                    this.follows = Some(master);
                    (this.is_linked, this.unlinked_ms) = (false, Some(now_ms));
                }
                self.note("follows", format_args!("{node} -> {master}"));
                let from = self.wires[&number].from;
                let is_converted = self.conversions.remove(&(from, node));
                self.nodes[node].is_converted = is_converted;
                let is_circle = self.nodes[master].follows == Some(node);
                assert!(
                    !is_circle || !(is_converted || self.nodes[master].is_converted),
                    "{node} and {master} follow each other"
                );
            }
            ["CLIENT", "PAUSE", ms, "WRITE"] => {
                let ms: u64 = ms.parse().unwrap();
                self.nodes[node].paused_ms = Some(now_ms + ms);
                self.after(ms, What::Resume(node, now_ms + ms));
            }
            ["CLIENT", "UNPAUSE"] => self.resume(node),
            ["FAILOVER", "TO", host, port, "TIMEOUT", ms] => {
                let address = Address::new(host, port.parse().unwrap());
                let Some(End::Node(successor)) = self.at(&address) else {
                    panic!("nobody is at {address}");
                };
                if self.nodes[node].follows.is_none() {
                    let until_ms = now_ms + ms.parse::<u64>().unwrap();
                    self.nodes[node].successor = Some((successor, until_ms));
                    self.after(0, What::HandOver(node));
                }
            }
            ["FAILOVER", "ABORT"] => self.nodes[node].successor = None,
            ["CONFIG", "REWRITE"] => self.nodes[node].filed = self.nodes[node].follows,
            ["CLIENT", "KILL", "TYPE", kind] => {
                let kind = match kind {
                    "normal" => LinkKind::Commands,
                    _ => LinkKind::Messages,
                };
                for wire in self.wires.keys().copied().collect::<Vec<_>>() {
                    let it = &self.wires[&wire];
                    if wire != number && it.to == End::Node(node) && it.kind == kind {
                        self.send(wire, 1, Bytes::Close("Connection reset by peer"));
                    }
                }
            }
            _ => panic!("a node does not execute {words:?}"),
        }
    }

    fn info(&self, number: usize) -> String {
        let node = &self.nodes[number];
        let role = match node.follows {
            None => "master",
            Some(_) => "slave",
        };
        let mut text = format!("run_id:{:040x}\r\nrole:{role}\r\n", node.run_id);
        if let Some(master) = node.follows {
            let Address { host, port } = node_address(master);
            let status = if node.is_linked { "up" } else { "down" };
            let (offset, priority) = (node.offset, node.priority);
            write!(
                text,
                "master_host:{host}\r\nmaster_port:{port}\r\nmaster_link_status:{status}\r\n\
                 slave_repl_offset:{offset}\r\nslave_priority:{priority}\r\n"
            )
            .unwrap();
            if !node.is_linked {
                let since = node.unlinked_ms.map(|ms| (self.now_ms - ms) / 1000);
                let since = since.map_or("-1".to_owned(), |seconds| seconds.to_string());
                write!(text, "master_link_down_since_seconds:{since}\r\n").unwrap();
            }
        }
        let replicas = self.nodes.iter().enumerate();
        let linked = replicas.filter(|(_, it)| it.is_linked && it.follows == Some(number));
        for (index, (replica, _)) in linked.enumerate() {
            let Address { host, port } = node_address(replica);
            write!(text, "slave{index}:ip={host},port={port},state=online\r\n").unwrap();
        }
        let (replid, replid2) = (node.replid, node.replid2);
        let state = match node.successor {
            None => "no-failover",
            Some(_) => "failover-in-progress",
        };
        write!(
            text,
            "master_failover_state:{state}\r\nmaster_replid:{replid}\r\n\
             master_replid2:{replid2}\r\n"
        )
        .unwrap();
        text
    }

    /// Who waited for the end of a pause may go on.
    fn resume(&mut self, node: usize) {
        self.nodes[node].paused_ms = None;
        for number in self.wires.keys().copied().collect::<Vec<_>>() {
            let wire = self.wires.get_mut(&number);
            let Some(wire) = wire.filter(|wire| wire.to == End::Node(node)) else {
                continue;
            };
            for words in std::mem::take(&mut wire.paused) {
                self.serve(number, node, words);
            }
        }
    }

    /// A master hands over to a replica that has all that it has, or tries again soon.
    fn hand_over(&mut self, number: usize) {
        if self.postpone(End::Node(number), &What::HandOver(number)) {
            return;
        }
        let (now_ms, replid) = (self.now_ms, self.chance.next());
        let node = &mut self.nodes[number];
        let Some((successor, until_ms)) = node.successor else {
            return;
        };
        if now_ms > until_ms || node.follows.is_some() {
            node.successor = None;
            return;
        }
        let other = &self.nodes[successor];
        let hears = other.is_linked && other.follows == Some(number);
        let is_there = other.process.is_up && !other.process.is_stopped;
        let is_cut = |one, other| self.cuts.contains(&(End::Node(one), End::Node(other)));
        let is_cut = is_cut(number, successor) || is_cut(successor, number);
        if !hears || !is_there || is_cut || other.offset != self.nodes[number].offset {
            return self.after(self.ms(5, 50), What::HandOver(number));
        }
        let other = &mut self.nodes[successor];
        (other.follows, other.is_linked, other.has_led) = (None, false, true);
        other.is_converted = false;
        (other.replid2, other.replid) = (other.replid, replid);
        let node = &mut self.nodes[number];
        (node.follows, node.successor) = (Some(successor), None);
        (node.is_linked, node.unlinked_ms) = (false, Some(now_ms));
        self.note("hands over", format_args!("{number} -> {successor}"));
    }

    /// A replica hears its master, or not; a master is written to.
    fn replicate(&mut self, number: usize) {
        self.after(self.ms(100, 400), What::Replicate(number));
        let process = &self.nodes[number].process;
        if !process.is_up || process.is_stopped {
            return;
        }
        let Some(master) = self.nodes[number].follows else {
            if self.nodes[number].paused_ms.is_none() {
                self.nodes[number].offset += self.chance.next() % 100;
            }
            return;
        };
        let other = &self.nodes[master];
        let is_cut = |one, other| self.cuts.contains(&(End::Node(one), End::Node(other)));
        let is_there = other.process.is_up && !other.process.is_stopped;
        let has_data = master != number && (other.follows.is_none() || other.is_linked);
        let hears = is_there && has_data && !is_cut(number, master) && !is_cut(master, number);
        let data = (other.replid, other.replid2, other.offset);
        let (now_ms, syncs) = (self.now_ms, self.below(3) == 0);
        let node = &mut self.nodes[number];
        if !hears {
            if std::mem::take(&mut node.is_linked) {
                node.unlinked_ms = Some(now_ms);
            }
        } else if node.is_linked || syncs {
            node.is_linked = true;
            (node.replid, node.replid2, node.offset) = data;
        }
    }

    // Trouble.

    fn anybody(&self) -> End {
        match self.below(2) {
            0 => End::Monitor(self.below(self.watchers.len())),
            _ => End::Node(self.below(self.nodes.len())),
        }
    }

    fn everybody(&self) -> Vec<End> {
        let monitors = (0..self.watchers.len()).map(End::Monitor);
        let nodes = (0..self.nodes.len()).map(End::Node);
        monitors.chain(nodes).collect()
    }

    /// The node that leads, if there is one.
    fn leading(&self) -> Option<End> {
        let mut nodes = self.nodes.iter();
        let leads = |node: &Node| node.process.is_up && node.follows.is_none();
        nodes.position(leads).map(End::Node)
    }

    fn trouble(&mut self) {
        if self.now_ms >= TROUBLE_ENDS_MS {
            return self.heal();
        }
        self.after(self.ms(200, 3000), What::Trouble);
        let mut end = self.anybody();
        if self.below(3) == 0 {
            // What matters most happens most.
            end = self.leading().unwrap_or(end);
        }
        match self.below(11) {
            0..3 => {
                self.crash(end);
                self.after(self.ms(200, 8000), What::Start(end));
            }
            3..5 => self.stop(end, self.ms(300, 6000)),
            5..8 => self.cut(end),
            8 => {
                let wires: Vec<u64> = self.wires.keys().copied().collect();
                if !wires.is_empty() {
                    self.break_wire(wires[self.below(wires.len())]);
                }
            }
            9 => {
                let monitor = self.below(self.watchers.len());
                self.order(monitor, true);
            }
            _ => {
                let monitor = self.below(self.watchers.len());
                self.watchers[monitor].is_disk_broken = true;
                self.note("breaks a disk", monitor);
                self.after(self.ms(100, 5000), What::MendDisk(monitor));
            }
        }
    }

    /// Cuts a process off from some or all others, in both directions or one.
    fn cut(&mut self, end: End) {
        let (ways, all) = (self.below(3), self.below(2) == 0);
        let ms = self.ms(500, 8000);
        for other in self.everybody() {
            if other == end || (!all && self.below(2) == 0) {
                continue;
            }
            for (way, cut) in [(1, (end, other)), (2, (other, end))] {
                if ways == 0 || ways == way {
                    self.cuts.insert(cut);
                    self.after(ms, What::Mend(cut.0, cut.1));
                }
            }
        }
        self.note(
            "cuts",
            format_args!("{end:?} ways {ways} all {all} for {ms}"),
        );
    }

    fn heal(&mut self) {
        self.note("heals", "everything");
        self.is_healed = true;
        self.cuts.clear();
        self.release();
        for end in self.everybody() {
            if self.process(end).is_stopped {
                self.carry_on(end);
            }
            self.start(end);
        }
        for watcher in &mut self.watchers {
            watcher.is_disk_broken = false;
        }
    }

    // How it ends.

    /// Where everybody thinks the master is, if all is well.
    fn settled(&self) -> Result<usize, String> {
        let mut masters = BTreeSet::new();
        for (number, watcher) in self.watchers.iter().enumerate() {
            let monitor = watcher.monitor.as_ref().unwrap();
            let master = &monitor.masters[NAME];
            masters.insert((master.at.address.to_string(), master.config_epoch));
            if monitor.own.tilt_ms.is_some() || master.failover.is_some() {
                return Err(format!("{number} is busy"));
            }
            let knows = (master.replicas.len(), master.others.len());
            if knows != (self.nodes.len() - 1, self.watchers.len() - 1) {
                return Err(format!("{number} knows {knows:?}"));
            }
            for who in master.all() {
                let at = master.instance(who);
                let about = || master.about(&monitor.own, who);
                if at.sdown.is || !at.is_connected(&monitor.own) {
                    return Err(format!("{number} does not reach {}", about()));
                }
                let role = match at.kind {
                    Kind::Master => Role::Master,
                    Kind::Replica => Role::Replica,
                    Kind::Other => Role::Unknown,
                };
                if at.facts.role != role {
                    return Err(format!("{number} has not heard what {} is", about()));
                }
            }
        }
        if masters.len() != 1 {
            return Err(format!("there are several: {masters:?}"));
        }
        let (place, _) = masters.first().unwrap();
        let mut nodes = 0..self.nodes.len();
        let master = nodes.find(|&node| node_address(node).to_string() == *place);
        let master = master.unwrap();
        if self.nodes[master].follows.is_some() {
            return Err(format!("{master} does not lead"));
        }
        for (number, node) in self.nodes.iter().enumerate() {
            if node.paused_ms.is_some() {
                return Err(format!("{number} is paused"));
            }
            if number != master && (node.follows != Some(master) || !node.is_linked) {
                return Err(format!("{number} does not follow {master}"));
            }
        }
        Ok(master)
    }

    fn settle(&mut self) -> usize {
        let began_ms = self.now_ms;
        let mut last = None;
        loop {
            self.run_until(self.now_ms + 500);
            let settled = self.settled();
            // Twice, for what is on its way may be late.
            let is_lasting =
                settled.is_ok() && last.replace(settled.clone()) == Some(settled.clone());
            match settled {
                Ok(_) if !is_lasting => {}
                Ok(master) => {
                    let took = self.now_ms - began_ms;
                    self.note("settles", format_args!("in {took}: {master} leads"));
                    return master;
                }
                Err(why) => {
                    last = None;
                    assert!(
                        self.now_ms < began_ms + PATIENCE_MS,
                        "it does not come to rest: {why}"
                    );
                }
            }
        }
    }

    /// Nothing happens when nothing is wrong.
    fn rest(&mut self, master: usize) {
        let before = self.trace.len();
        self.run_until(self.now_ms + QUIET_MS);
        assert_eq!(self.settled(), Ok(master));
        // That somebody had come again before may be heard late.
        let news = self.trace[before..].iter();
        let news: Vec<_> = news.filter(|it| !it.contains(" +reboot ")).collect();
        assert_eq!(news, [""; 0], "it was quiet");
    }
}

fn node_address(number: usize) -> Address {
    Address::new(&format!("10.0.0.{number}"), 6379)
}

/// What happened, and how often each thing did.
type Told = (Vec<String>, BTreeMap<&'static str, u32>);

fn run(seed: u64, says: bool) -> Told {
    /// Says which seed it was, should it fail.
    struct Seed(u64);
    impl Drop for Seed {
        fn drop(&mut self) {
            if std::thread::panicking() {
                tracing::error!("HEADWATER_SEED={} cargo test sentinel::sim", self.0);
            }
        }
    }
    let _told = Seed(seed);
    let mut world = World::new(seed, says);
    world.run_until(TROUBLE_BEGINS_MS - 1);
    assert_eq!(world.settled(), Ok(0), "they find each other");
    while !world.is_healed {
        world.run_until(world.now_ms + 500);
    }
    let master = world.settle();
    world.rest(master);
    if world.below(8) == 0 {
        world.replace(master);
    }
    (world.trace, world.census)
}

impl World {
    /// An operator wants another master; whether the monitor will try.
    fn order(&mut self, number: usize, coordinated: bool) -> bool {
        let now_ms = self.now_ms;
        let watcher = &mut self.watchers[number];
        let Some(monitor) = watcher
            .monitor
            .as_mut()
            .filter(|_| !watcher.process.is_stopped)
        else {
            return false;
        };
        let is_taken = monitor.failover(now_ms, NAME, coordinated).is_ok();
        let actions = monitor.take_actions();
        if is_taken {
            let how = if coordinated { "coordinated" } else { "forced" };
            self.note("orders", format_args!("a {how} failover of {number}"));
        }
        self.act(number, actions);
        is_taken
    }

    /// An operator gets another master when all is well.
    fn replace(&mut self, before: usize) {
        let (number, coordinated) = (self.below(self.watchers.len()), self.below(2) == 0);
        assert!(self.order(number, coordinated));
        self.run_until(self.now_ms + 1000);
        let master = self.settle();
        assert_ne!(master, before, "another leads");
        self.rest(master);
    }
}

#[test]
fn whatever_breaks_one_leads_in_an_epoch_and_all_come_to_have_one_master() {
    let _logging = tracing_subscriber::fmt()
        .with_ansi(false)
        .with_test_writer()
        .without_time()
        .try_init();
    if let Ok(seed) = std::env::var("HEADWATER_SEED") {
        run(seed.parse().unwrap(), true);
        return;
    }
    let budget = std::env::var("HEADWATER_BUDGET").map_or(1, |text| text.parse().unwrap());
    let mut all = BTreeMap::<_, u32>::new();
    let share = |thread: u64| {
        let mut all = BTreeMap::<_, u32>::new();
        for seed in (thread..1000 * budget).step_by(THREADS) {
            for (what, count) in run(seed, false).1 {
                *all.entry(what).or_default() += count;
            }
        }
        all
    };
    let shares = std::thread::scope(|scope| {
        let threads = (0..THREADS as u64).map(|thread| scope.spawn(move || share(thread)));
        let threads: Vec<_> = threads.collect();
        let joined = threads.into_iter().map(|thread| thread.join().unwrap());
        joined.collect::<Vec<_>>()
    });
    for (what, count) in shares.into_iter().flatten() {
        *all.entry(what).or_default() += count;
    }
    tracing::debug!("{all:?}");
    // All that can happen has happened.
    for what in [
        "+config-update-from",
        "+convert-to-slave",
        "+failover-end-for-timeout",
        "+fix-slave-config",
        "+odown",
        "+sentinel-address-switch",
        "+slave-reconf-done",
        "+switch-master",
        "+tilt",
        "+vote-for-leader",
        "-failover-abort-no-good-slave",
        "-failover-abort-not-elected",
        "-failover-abort-slave-timeout",
        "-slave-reconf-sent-timeout",
        "breaks",
        "breaks a disk",
        "cannot save",
        "converts at once",
        "crashes",
        "cuts",
        "hands over",
        "orders",
        "settles",
        "stops",
    ] {
        assert!(
            all.get(what).is_some_and(|&count| count > 10),
            "{what}: {all:?}"
        );
    }
}

#[test]
fn a_seed_is_a_history() {
    for seed in 0..10 {
        assert_eq!(run(seed, false), run(seed, false), "seed {seed}");
    }
}
