//! A small cluster in one thread, on virtual time: the same machines, real stores on simulated
//! disks, and connections and nodes that break wherever a seed says.
//!
//! ```text
//!  a step:  pick one of   deliver some bytes, in one direction of one connection
//!                         send what is written, sync, let time pass
//!                         write something at the master, take a checkpoint
//!                         break or block a connection, kill a node, cut its power, start it again
//!                         promote a replica, whether the master is there or not
//!  at the end: everything is well again; the nodes must come to have the same
//! ```
//!
//! Whoever promotes is careful, as a sentinel should be: it takes the replicas away from the old
//! master first, and then the one that has most of the master's epoch. With `sync-replicas 1`
//! nothing that was acknowledged may be lost then.
//!
//! What is checked, always: the same place in the same epoch means the same data wherever it is
//! seen. At the end: all nodes have the same log and the same data, and all that was acknowledged.
//!
//! `HEADWATER_SEED=42 cargo test replication::sim` runs one seed, and says what happened.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use headwater_resp::{Decoder, Limits, encode_request};
use headwater_store::cut::cut;
use headwater_store::disk::{Disk as _, Loss, SimDisk};
use headwater_store::install::install;
use headwater_store::{
    Agreement, Budgets, Epoch, Fields, Growth, HistoryId, LogOptions, Lsn, NodeLimits, Opening,
    Retention, Store, StoreOptions, StreamId,
};

use super::Takeover;
use super::link::{Action, Event, Facts, Link, Standing};
use super::replicas::{Replicas, Stage};
use super::resync::{Decision, Ours, decide};
use super::shipment::{self, Incoming, Manifest};
use super::wire::{self, Answer, Hello, Item, Wanted};
use crate::chance::Chance;
use crate::pubsub::{PubSub, Publication, Relay, Terms};

const DIR: &str = "/data";

/// A master that is silent for so long is given up.
const TIMEOUT_MS: u64 = 2000;

/// Steps before everything is made well.
const STEPS: usize = 400;

/// How long it may take until all nodes have the same.
const PATIENCE: usize = 100_000;

struct Node {
    disk: SimDisk,
    /// `None` while it is down.
    store: Option<Arc<Store>>,
    /// Whom it follows; `None` leads.
    follows: Option<usize>,
    link: Link,
    /// Its connection to its master.
    wire: Option<u64>,
    input: Vec<u8>,
    reading: Reading,
    incoming: Option<Incoming>,
    wants_everything: bool,
    /// As a master: who follows, and what was written and not acknowledged yet.
    replicas: Replicas,
    pending: VecDeque<(Lsn, u64)>,
    outgoing: Option<(Manifest, PathBuf, Lsn)>,
}

/// What comes from the master.
enum Reading {
    Lines,
    Frames {
        stream: wire::Stream,
        frames: Vec<u8>,
    },
    Shipment(Lsn),
}

/// A connection.
struct Wire {
    replica: usize,
    master: usize,
    /// On their way.
    to_master: Vec<u8>,
    to_replica: Vec<u8>,
    /// Nothing arrives any more, and nobody is told.
    stuck: bool,
    hello: Hello,
    /// What the master has read.
    input: Vec<u8>,
    feed: Feed,
}

enum Feed {
    None,
    /// Sent up to here, with what has been published.
    Frames(Lsn, PubSub, Relay),
    Shipment(VecDeque<Vec<u8>>),
}

struct World {
    chance: Chance,
    now_ms: u64,
    nodes: Vec<Node>,
    wires: BTreeMap<u64, Wire>,
    next_wire: u64,
    /// Who is to be the master, and its last epoch.
    master: usize,
    epoch: Option<Epoch>,
    next_entry: u64,
    acknowledged: BTreeSet<u64>,
    /// What the data were at a place of an epoch.
    seen: HashMap<(HistoryId, Lsn), u64>,
    /// How often each thing happened.
    census: BTreeMap<&'static str, u32>,
    trace: Vec<String>,
    says: bool,
}

impl World {
    fn new(seed: u64, says: bool) -> Self {
        let mut world = Self {
            chance: Chance::new(seed),
            now_ms: 0,
            nodes: Vec::new(),
            wires: BTreeMap::new(),
            next_wire: 0,
            master: 0,
            epoch: None,
            next_entry: 0,
            acknowledged: BTreeSet::new(),
            seen: HashMap::new(),
            census: BTreeMap::new(),
            trace: Vec::new(),
            says,
        };
        for number in 0..2 + world.below(2) {
            world.nodes.push(Node {
                disk: SimDisk::new(),
                store: None,
                follows: (number > 0).then_some(0),
                link: Link::new(TIMEOUT_MS),
                wire: None,
                input: Vec::new(),
                reading: Reading::Lines,
                incoming: None,
                wants_everything: false,
                replicas: Replicas::default(),
                pending: VecDeque::new(),
                outgoing: None,
            });
            world.start(number);
        }
        world
    }

    fn below(&self, limit: usize) -> usize {
        let limit = u64::try_from(limit).unwrap();
        usize::try_from(self.chance.next() % limit).unwrap()
    }

    fn id(&self) -> HistoryId {
        let mut bytes = [0; HistoryId::BYTES];
        bytes[..8].copy_from_slice(&self.chance.next().to_be_bytes());
        HistoryId::new(bytes)
    }

    fn note(&mut self, what: &'static str, more: impl std::fmt::Display) {
        *self.census.entry(what).or_default() += 1;
        let line = format!("{:6} {what} {more}", self.now_ms);
        if self.says {
            tracing::info!("{line}");
        }
        self.trace.push(line);
    }

    fn up(&self, node: usize) -> Option<Arc<Store>> {
        self.nodes[node].store.clone()
    }

    /// Opens the data of a node as the one it is to be.
    fn start(&mut self, node: usize) {
        let role = match self.nodes[node].follows {
            None => Opening::Lead(self.id()),
            Some(_) => Opening::Follow,
        };
        let options = StoreOptions {
            log: LogOptions {
                segment_bytes: 16 << 10,
                ..LogOptions::default()
            },
            role,
            budgets: Budgets {
                settle_after: 1024,
                checkpoint_after: 1024,
            },
            cache_bytes: 1 << 20,
        };
        let disk = Arc::new(self.nodes[node].disk.clone());
        let opened = Store::open(disk, Path::new(DIR), options);
        let store = opened.unwrap_or_else(|error| panic!("node {node} does not open: {error}"));
        let end = store.log().appended();
        // Nobody waits: there is one thread.
        store.set_agreement(Agreement {
            upto: None,
            patience: Duration::ZERO,
        });
        self.note("starts", format_args!("{node} end {end}"));
        let this = &mut self.nodes[node];
        this.store = Some(store);
        this.link = Link::new(TIMEOUT_MS);
        self.check(node);
        self.agree(node);
    }

    /// Ends a node's process; what it had in memory is gone.
    fn stop(&mut self, node: usize) {
        for number in self.wires_of(node) {
            self.break_wire(number);
        }
        let this = &mut self.nodes[node];
        (this.store, this.incoming, this.outgoing) = (None, None, None);
        (this.replicas, this.wire) = (Replicas::default(), None);
        this.pending.clear();
    }

    fn wires_of(&self, node: usize) -> Vec<u64> {
        let of = |wire: &Wire| wire.replica == node || wire.master == node;
        self.wires
            .iter()
            .filter(|(_, wire)| of(wire))
            .map(|(number, _)| *number)
            .collect()
    }

    fn break_wire(&mut self, number: u64) {
        let Some(wire) = self.wires.remove(&number) else {
            return;
        };
        self.note(
            "breaks",
            format_args!("{} -> {}", wire.replica, wire.master),
        );
        self.nodes[wire.master].replicas.leave(number);
        let replica = &mut self.nodes[wire.replica];
        replica.wire = None;
        replica.link.step(self.now_ms, Event::Lost);
        (replica.reading, replica.input) = (Reading::Lines, Vec::new());
    }

    /// The same place in the same epoch has the same data.
    fn check(&mut self, node: usize) {
        let Some(store) = self.up(node) else { return };
        let Some(epoch) = store.history().current().copied() else {
            return;
        };
        if node == self.master {
            self.epoch = Some(epoch);
        }
        let mut hasher = DefaultHasher::new();
        store.dump().unwrap().hash(&mut hasher);
        let (place, found) = ((epoch.id, store.log().appended()), hasher.finish());
        let known = *self.seen.entry(place).or_insert(found);
        assert_eq!(found, known, "node {node} has other data at {place:?}");
    }

    /// Acknowledges what is safe.
    fn agree(&mut self, node: usize) {
        let Some(store) = self.up(node) else { return };
        if !store.leads() {
            return;
        }
        let kept = self.nodes[node].replicas.kept_by(1).unwrap_or(Lsn::ZERO);
        store.log().set_replicated(Some(kept));
        let committed = store.log().committed();
        while let Some(&(lsn, entry)) = self.nodes[node].pending.front() {
            if lsn > committed {
                break;
            }
            self.nodes[node].pending.pop_front();
            self.acknowledged.insert(entry);
            self.note("acknowledges", entry);
        }
    }

    /// A client adds an entry at a node that it believes to be the master, or trims some.
    fn write(&mut self, node: usize) {
        let Some(store) = self.up(node).filter(|store| store.leads()) else {
            return;
        };
        let mut access = store.alone();
        if !access.exists(0, b"s", 0) && access.create(0, b"s", 0).is_err() {
            return;
        }
        self.next_entry += 1;
        let entry = self.next_entry;
        let fields = Fields {
            words: 2,
            resp: b"$1\r\nf\r\n$1\r\nv\r\n",
        };
        let limits = NodeLimits {
            bytes: 4096,
            entries: 100,
        };
        let mut stream = access.stream(0, b"s", 0).unwrap();
        let id = StreamId::new(entry, 0);
        let added = stream.entry_added(id, fields, limits);
        // Something that is not an entry, too, for frames of several records.
        let padding = u64::try_from(self.below(3)).unwrap();
        if stream.commit(&[added]).is_err() {
            return;
        }
        drop(stream);
        for number in 0..padding {
            let key = format!("k{entry}-{number}");
            if access.begin_batch(Growth::Adds, 256).is_ok() {
                access.create(0, key.as_bytes(), 0).unwrap();
                access.end_batch();
            }
        }
        let lsn = access.take_depends_on();
        drop(access);
        self.nodes[node].pending.push_back((lsn, entry));
        self.note("writes", format_args!("{entry} at {node}"));
        self.check(node);
        drop(store.log().try_write());
    }

    fn sync(&mut self, node: usize) {
        if let Some(store) = self.up(node) {
            store.log().sync().unwrap();
            self.agree(node);
            self.act(node, None);
        }
    }

    /// Tells a replica's link what happened, and does what it says.
    fn act(&mut self, node: usize, event: Option<Event<'_>>) {
        let Some(store) = self.up(node) else { return };
        let Some(master) = self.nodes[node].follows else {
            return;
        };
        let log = store.log();
        let (written, durable) = (log.written(), log.durable());
        let event = event.unwrap_or(Event::Marks { written, durable });
        let now_ms = self.now_ms;
        let this = &mut self.nodes[node];
        let action = this.link.step(now_ms, event);
        match action {
            None => {}
            Some(Action::Connect) => self.connect(node, master),
            Some(Action::Say(words)) => {
                let wire = this.wire.and_then(|number| self.wires.get_mut(&number));
                let words = words.iter().map(String::as_bytes);
                encode_request(&mut wire.unwrap().to_master, words);
            }
            Some(Action::Follow) => {
                this.reading = Reading::Frames {
                    stream: wire::Stream::default(),
                    frames: Vec::new(),
                };
                self.note("follows", format_args!("{node} -> {master}"));
                self.act(node, None);
            }
            Some(Action::Receive(end)) => {
                this.reading = Reading::Shipment(end);
                self.note("receives", format_args!("{node} <- {master} up to {end}"));
            }
            Some(Action::Cut(at)) => self.cut(node, at),
            Some(Action::HangUp(why)) => {
                self.note("hangs up", format_args!("{node}: {why}"));
                if let Some(number) = self.nodes[node].wire {
                    self.break_wire(number);
                }
            }
        }
    }

    fn connect(&mut self, node: usize, master: usize) {
        let Some(store) = self.up(node) else { return };
        if self.up(master).is_none() || master == node {
            self.act(node, Some(Event::Lost));
            return;
        }
        self.next_wire += 1;
        let number = self.next_wire;
        self.wires.insert(
            number,
            Wire {
                replica: node,
                master,
                to_master: Vec::new(),
                to_replica: Vec::new(),
                stuck: false,
                hello: Hello::default(),
                input: Vec::new(),
                feed: Feed::None,
            },
        );
        let this = &mut self.nodes[node];
        (this.wire, this.reading) = (Some(number), Reading::Lines);
        if this.incoming.is_none() {
            let disk = Arc::new(this.disk.clone());
            this.incoming = Some(Incoming::find(disk, Path::new(DIR)).unwrap());
        }
        let facts = Facts {
            port: u16::try_from(node).unwrap(),
            history: store.history(),
            end: store.log().appended(),
            wants_everything: this.wants_everything,
            has: this.incoming.as_ref().and_then(Incoming::has),
            ..Facts::default()
        };
        self.act(node, Some(Event::Connected(facts)));
    }

    /// Some bytes arrive.
    fn deliver(&mut self, number: u64, to_master: bool, most: usize) {
        let Some(wire) = self.wires.get_mut(&number).filter(|wire| !wire.stuck) else {
            return;
        };
        let from = if to_master {
            &mut wire.to_master
        } else {
            &mut wire.to_replica
        };
        let bytes: Vec<u8> = from.drain(..most.min(from.len())).collect();
        if bytes.is_empty() {
            return;
        }
        if to_master {
            wire.input.extend_from_slice(&bytes);
            self.serve(number);
        } else {
            let node = wire.replica;
            self.nodes[node].input.extend_from_slice(&bytes);
            self.read(number, node);
        }
    }

    /// The replica reads what has come.
    fn read(&mut self, number: u64, node: usize) {
        // A handshake that ends leaves the rest to what follows it.
        while self.wires.contains_key(&number) {
            let Some(store) = self.up(node) else { return };
            let this = &mut self.nodes[node];
            match &mut this.reading {
                Reading::Lines => {
                    let Some(end) = this.input.iter().position(|&byte| byte == b'\n') else {
                        return;
                    };
                    let line: Vec<u8> = this.input.drain(..=end).collect();
                    let line = String::from_utf8(line).unwrap();
                    let line = line.trim_end_matches(['\r', '\n']);
                    self.act(node, Some(Event::Line(line)));
                }
                Reading::Frames { stream, frames } => {
                    let (pass, item) = stream.next(&this.input).unwrap();
                    this.input.drain(..pass);
                    let mut published = None;
                    match item {
                        Item::Frames(bytes) => frames.extend(this.input.drain(..bytes)),
                        Item::Message(bytes) => {
                            let message = stream.message(&this.input).word(2);
                            let end = str::from_utf8(message).unwrap().parse().unwrap();
                            published = Some(Lsn::new(end));
                            this.input.drain(..bytes);
                        }
                        Item::Nothing => {}
                    }
                    let received = store.receive(frames);
                    let Ok(received) = received else {
                        let error = received.unwrap_err();
                        self.note("cannot receive", format_args!("{node}: {error}"));
                        return self.break_wire(number);
                    };
                    frames.drain(..received.consumed);
                    self.act(node, Some(Event::Heard));
                    if received.consumed > 0 {
                        store.log().try_write().unwrap();
                        self.check(node);
                        self.act(node, None);
                    }
                    if let Some(end) = published {
                        assert!(
                            store.log().appended() >= end,
                            "{node} hears of what it lacks"
                        );
                        self.note("message", format_args!("{node}: behind {end}"));
                    }
                    if item == Item::Nothing {
                        return;
                    }
                }
                Reading::Shipment(end) => {
                    let (end, incoming) = (*end, this.incoming.as_mut().unwrap());
                    let taken = incoming.take_all(&mut this.input).unwrap();
                    self.act(node, Some(Event::Heard));
                    if taken.complete.is_some() {
                        self.act(node, Some(Event::Complete));
                        self.install(node, end);
                    }
                    return;
                }
            }
        }
    }

    /// Closes the data of a node. What somebody may still hold of them has another disk.
    fn close(&mut self, node: usize) -> &mut Node {
        for number in self.wires_of(node) {
            self.break_wire(number);
        }
        let this = &mut self.nodes[node];
        this.store.take().unwrap().close().unwrap();
        this.disk = this.disk.after_kill();
        (this.incoming, this.outgoing) = (None, None);
        this
    }

    fn cut(&mut self, node: usize, at: Lsn) {
        let this = &mut self.nodes[node];
        let end = this.store.as_ref().map(|store| store.log().appended());
        let this = self.close(node);
        match cut(&this.disk, Path::new(DIR), at) {
            Ok(_) => self.note("cuts", format_args!("{node} at {at} of {end:?}")),
            Err(error) => {
                this.wants_everything = true;
                self.note("cannot cut", format_args!("{node}: {error}"));
            }
        }
        self.start(node);
    }

    fn install(&mut self, node: usize, end: Lsn) {
        let this = self.close(node);
        this.wants_everything = false;
        install(&this.disk, Path::new(DIR), end).unwrap();
        self.note("installs", node);
        self.start(node);
    }

    /// The master answers what has come.
    fn serve(&mut self, number: u64) {
        let mut decoder = Decoder::new();
        while let Some(wire) = self.wires.get_mut(&number) {
            let decoded = decoder.decode(&wire.input, &Limits::before_auth()).unwrap();
            let Some(length) = decoded else { return };
            let request = decoder.request(&wire.input);
            let words: Vec<Vec<u8>> = request.words().map(<[u8]>::to_vec).collect();
            wire.input.drain(..length);
            let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
            let answer = match *words {
                [b"PING"] => Some("+PONG".to_owned()),
                [b"REPLCONF", b"ACK", written, b"FACK", durable] => {
                    self.acked(number, written, durable);
                    None
                }
                [b"REPLCONF", ref pairs @ ..] => {
                    for [option, value] in pairs.as_chunks::<2>().0 {
                        assert!(wire.hello.take(option, value).unwrap());
                    }
                    Some("+OK".to_owned())
                }
                [b"PSYNC", id, offset] => self.psync(number, id, offset),
                _ => panic!("{words:?}"),
            };
            if let Some(answer) = answer
                && let Some(wire) = self.wires.get_mut(&number)
            {
                wire.to_replica.splice(0..0, []);
                wire.to_replica
                    .extend_from_slice(format!("{answer}\r\n").as_bytes());
            }
        }
    }

    fn acked(&mut self, number: u64, written: &[u8], durable: &[u8]) {
        let lsn = |word| Lsn::new(crate::command::parse_uint(word).unwrap());
        let node = self.wires[&number].master;
        let (written, durable, now_ms) = (lsn(written), lsn(durable), self.now_ms);
        self.nodes[node]
            .replicas
            .acked(number, written, durable, now_ms);
        self.agree(node);
    }

    fn psync(&mut self, number: u64, id: &[u8], offset: &[u8]) -> Option<String> {
        let (node, now_ms) = (self.wires[&number].master, self.now_ms);
        let store = self.up(node).unwrap();
        let this = &self.nodes[node];
        let ours = Ours {
            history: store.history(),
            beginning: store.log().beginning(),
            end: store.log().appended(),
            follows: this.follows.is_some(),
            is_fresh: this.follows.is_none() || this.link.standing() == Standing::Connected,
            fails_over: false,
        };
        let wanted = Wanted::read(id, offset).unwrap();
        let hello = &self.wires[&number].hello;
        let answer = match decide(&ours, hello, wanted, Takeover::No) {
            Ok(Decision::Answer(answer)) => answer,
            Ok(Decision::Lead) => unreachable!("nobody asked for it"),
            Err(refusal) => return Some(format!("-{refusal}")),
        };
        let this = &mut self.nodes[node];
        let mut enter = |stage, from| {
            this.replicas.enter(number, "node", 0, stage, from, now_ms);
        };
        let feed = match (answer, wanted) {
            (Answer::Continue(_), Wanted::From(_, end)) => {
                enter(Stage::Online, end);
                let pubsub = PubSub::default();
                let relay = pubsub.relay();
                Feed::Frames(end, pubsub, relay)
            }
            (Answer::Full(..), _) => {
                enter(Stage::Shipping, Lsn::ZERO);
                let (id, has) = (super::resync::current(&ours.history), hello.has.clone());
                let Some((parts, end)) = self.ship(node, has.as_ref()) else {
                    return Some("-ERR there is no shipment".to_owned());
                };
                self.wires.get_mut(&number).unwrap().feed = Feed::Shipment(parts);
                return Some(format!("+{}", Answer::Full(id, end)));
            }
            _ => Feed::None,
        };
        self.wires.get_mut(&number).unwrap().feed = feed;
        Some(format!("+{answer}"))
    }

    /// A shipment, in the parts in which it goes.
    fn ship(&mut self, node: usize, has: Option<&wire::Has>) -> Option<(VecDeque<Vec<u8>>, Lsn)> {
        let store = self.up(node)?;
        let id = format!("{:016x}", self.chance.next());
        let this = &mut self.nodes[node];
        let goes_on = |kept: &&(Manifest, PathBuf, Lsn)| kept.2 >= store.log().beginning();
        if this.outgoing.as_ref().filter(goes_on).is_none() {
            let dir = Path::new(DIR).join("outgoing").join(&id);
            this.disk.create_dir(dir.parent()?).ok()?;
            let backup = store.backup_for_replica(&dir).ok()?;
            let manifest = Manifest::of(&this.disk, &dir, &id).unwrap();
            this.outgoing = Some((manifest, dir, backup.lsn));
        }
        let (manifest, dir, end) = this.outgoing.as_ref()?;
        let mut parts = VecDeque::from([manifest.line().into_bytes()]);
        let (first, mut from) = manifest.after(has);
        for (name, len) in &manifest.files[first..] {
            parts.push_back(shipment::file_line(name, *len, from).into_bytes());
            let mut bytes = vec![0; usize::try_from(len - from).unwrap()];
            this.disk
                .open(&dir.join(name))
                .unwrap()
                .read_at(from, &mut bytes)
                .unwrap();
            for piece in bytes.chunks(3000) {
                let mut part = shipment::piece_line(piece).into_bytes();
                part.extend_from_slice(piece);
                parts.push_back(part);
            }
            from = 0;
        }
        parts.push_back(shipment::END_LINE.as_bytes().to_vec());
        let sent = (parts, *end);
        self.note("ships", format_args!("{node} {id} {} parts", sent.0.len()));
        Some(sent)
    }

    /// The master sends some of what there is to be sent.
    fn feed(&mut self, number: u64) {
        let max = 1 + self.below(2000);
        let Some(wire) = self.wires.get_mut(&number) else {
            return;
        };
        let Some(store) = self.nodes[wire.master].store.clone() else {
            return;
        };
        match &mut wire.feed {
            Feed::None => {}
            Feed::Frames(sent, pubsub, relay) => {
                let out = &mut wire.to_replica;
                // Tells what goes before it.
                let end = store.log().appended();
                let terms = Terms {
                    relay_at: Some(end),
                    ..Terms::default()
                };
                pubsub.publish(Publication::to(b"end", end.to_string().as_bytes()), &terms);
                let read = store.log().frames(*sent, max, |frames| {
                    if frames.is_empty() {
                        out.push(b'\n');
                        return;
                    }
                    out.extend_from_slice(wire::chunk_header(frames.len(), false).as_bytes());
                    out.extend_from_slice(frames);
                    *sent = sent.plus(frames.len() as u64);
                });
                relay.take(*sent, usize::MAX, out);
                if let Err(error) = read {
                    self.note("cannot feed", format_args!("{number}: {error}"));
                    self.break_wire(number);
                }
            }
            Feed::Shipment(parts) => {
                let part = parts.pop_front().unwrap_or_else(|| b"\n".to_vec());
                wire.to_replica.extend_from_slice(&part);
            }
        }
    }

    fn tick(&mut self, node: usize) {
        self.act(node, Some(Event::Tick));
        let now_ms = self.now_ms;
        let silent = |replica: &super::Replica| now_ms - replica.heard_ms > TIMEOUT_MS;
        let replicas = self.nodes[node].replicas.all();
        let gone = replicas
            .filter(|(_, replica)| silent(replica))
            .map(|(number, _)| number);
        for number in gone.collect::<Vec<_>>() {
            self.break_wire(number);
        }
    }

    /// Takes a checkpoint, and lets go of the log that nobody needs.
    fn round(&mut self, node: usize) {
        let Some(store) = self.up(node) else { return };
        let bytes = u64::try_from(self.below(3) * 3000).unwrap();
        let this = &self.nodes[node];
        let shipped = this.outgoing.as_ref().map(|(_, _, end)| *end);
        let pinned = this.replicas.needed_from().into_iter().chain(shipped).min();
        store.retain(Retention { bytes, pinned });
        let round = store.round();
        self.note(
            "takes a checkpoint",
            format_args!("{node} {}", round.is_ok()),
        );
        self.sync(node);
    }

    fn crash(&mut self, node: usize) {
        self.stop(node);
        let disk = &self.nodes[node].disk;
        let disk = match self.below(3) {
            0 => disk.after_kill(),
            1 => disk.after_crash(Loss::Pages(self.chance.next())),
            _ => disk.after_crash(Loss::All),
        };
        self.nodes[node].disk = disk;
        self.note("crashes", node);
    }

    /// Promotes the replica that has most, once no replica acknowledges anything to the master.
    fn promote(&mut self) {
        let old = self.master;
        let others: Vec<usize> = (0..self.nodes.len()).filter(|&node| node != old).collect();
        let Some(stores) = others
            .iter()
            .map(|&node| self.up(node))
            .collect::<Option<Vec<_>>>()
        else {
            return;
        };
        // Who is in the epoch of the master has all that was acknowledged before it, and one of
        // them what was acknowledged in it.
        let Some(epoch) = self.epoch else { return };
        let is_in = |store: &Store| store.history().epochs().contains(&epoch);
        let able = others.iter().zip(&stores).filter(|(_, store)| is_in(store));
        let best = able.max_by_key(|(_, store)| store.log().appended());
        let Some((&best, store)) = best else { return };
        for &node in &others {
            if let Some(number) = self.nodes[node].wire {
                self.break_wire(number);
            }
            self.nodes[node].follows = Some(best);
            self.nodes[node].link = Link::new(TIMEOUT_MS);
        }
        self.nodes[best].follows = None;
        for node in others.into_iter().filter(|&node| node != best) {
            self.up(node).unwrap().follow().unwrap();
            self.nodes[node].pending.clear();
        }
        if !store.leads() {
            store.lead(self.id()).unwrap();
        }
        self.master = best;
        self.note("promotes", format_args!("{best}, not {old} any more"));
        self.check(best);
        // The old one learns of it now, or when somebody finds it.
        if self.below(2) == 0 {
            self.demote(old);
        }
    }

    fn demote(&mut self, node: usize) {
        if node == self.master || self.nodes[node].follows == Some(self.master) {
            return;
        }
        if let Some(number) = self.nodes[node].wire {
            self.break_wire(number);
        }
        let master = self.master;
        let this = &mut self.nodes[node];
        (this.follows, this.link) = (Some(master), Link::new(TIMEOUT_MS));
        this.pending.clear();
        if let Some(store) = &this.store {
            store.follow().unwrap();
            store.log().set_replicated(None);
        }
        self.note("demotes", node);
    }

    fn step(&mut self) {
        self.now_ms += u64::try_from(self.below(30)).unwrap();
        let node = self.below(self.nodes.len());
        let wires: Vec<u64> = self.wires.keys().copied().collect();
        let wire = (!wires.is_empty()).then(|| wires[self.below(wires.len())]);
        match (self.below(1000), wire) {
            (0..400, Some(wire)) => {
                let (to_master, most) = (self.below(2) == 0, 1 + self.below(3000));
                self.deliver(wire, to_master, most);
            }
            (400..560, Some(wire)) => self.feed(wire),
            (560..680, _) => self.sync(node),
            (680..780, _) => self.tick(node),
            (780..940, _) => self.write(node),
            (940..955, Some(wire)) => self.break_wire(wire),
            (955..960, Some(wire)) => {
                self.wires.get_mut(&wire).unwrap().stuck = true;
                self.note("blocks", wire);
            }
            (960..970, _) if self.up(node).is_some() => self.crash(node),
            (960..980, _) if self.up(node).is_none() => self.start(node),
            (980..988, _) => self.round(node),
            (988..995, _) => self.promote(),
            (995..1000, _) => self.demote(node),
            _ => self.tick(node),
        }
    }

    /// Makes everything well, and waits until all have the same.
    fn settle(&mut self) {
        for node in 0..self.nodes.len() {
            if self.up(node).is_none() {
                self.start(node);
            }
            self.demote(node);
        }
        for number in self.wires.keys().copied().collect::<Vec<_>>() {
            self.break_wire(number);
        }
        for round in 0.. {
            self.now_ms += 5;
            for node in 0..self.nodes.len() {
                self.sync(node);
                self.tick(node);
            }
            for number in self.wires.keys().copied().collect::<Vec<_>>() {
                self.feed(number);
                self.deliver(number, true, usize::MAX);
                self.deliver(number, false, usize::MAX);
            }
            let master = self.up(self.master).unwrap();
            let has_all = |node: usize| {
                let store = self.up(node).unwrap();
                let ends = [&store, &master].map(|store| store.log().durable());
                ends[0] == ends[1] && store.history() == master.history()
            };
            if (0..self.nodes.len()).all(has_all) {
                break;
            }
            assert!(round < PATIENCE, "the nodes do not come to have the same");
        }
    }

    /// What must be so at the end.
    fn judge(&mut self) {
        let master = self.up(self.master).unwrap();
        let dump = master.dump().unwrap();
        for node in 0..self.nodes.len() {
            let there = self.up(node).unwrap().dump().unwrap();
            assert_eq!(there, dump, "node {node} has other data than the master");
        }
        let access = master.shared();
        access.wait_for_disk();
        let entries: BTreeSet<u64> = match access.stream(0, b"s", 0) {
            None => BTreeSet::new(),
            Some(stream) => {
                let all = stream.entries_after(StreamId::MIN, usize::MAX).unwrap();
                all.iter().map(|entry| entry.id.ms).collect()
            }
        };
        let lost: Vec<_> = self.acknowledged.difference(&entries).collect();
        assert!(lost.is_empty(), "acknowledged, and lost: {lost:?}");
    }
}

/// What happened, and how often each thing did.
type Told = (Vec<String>, BTreeMap<&'static str, u32>);

fn run(seed: u64, says: bool) -> Told {
    /// Says which seed it was, should it fail.
    struct Seed(u64);
    impl Drop for Seed {
        fn drop(&mut self) {
            if std::thread::panicking() {
                tracing::error!("HEADWATER_SEED={} cargo test replication::sim", self.0);
            }
        }
    }
    let _told = Seed(seed);
    let mut world = World::new(seed, says);
    for _ in 0..STEPS {
        world.step();
    }
    world.settle();
    world.judge();
    (world.trace, world.census)
}

#[test]
fn whatever_breaks_nothing_acknowledged_is_lost_and_all_come_to_have_the_same() {
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
    for seed in 0..1000 * budget {
        for (what, count) in run(seed, false).1 {
            *all.entry(what).or_default() += count;
        }
    }
    // All that can happen has happened.
    for what in [
        "acknowledges",
        "breaks",
        "cannot cut",
        "crashes",
        "cuts",
        "demotes",
        "follows",
        "installs",
        "message",
        "promotes",
        "receives",
        "takes a checkpoint",
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
