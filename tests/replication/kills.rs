//! A pair under `sync-replicas 1`: either of the two is killed, or both, over and over, and they
//! change roles. What was acknowledged is there afterwards, in both.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use headwater_resp::reply::Reply;

use crate::chance::Chance;
use crate::client::{Client, PATIENCE, request, simple};
use crate::node::{Node, converge};
use crate::proxy::Proxy;

const WRITERS: usize = 3;

/// Kills for each unit of `HEADWATER_BUDGET`.
const ROUNDS: u64 = 8;

/// What one writer was told about its stream and its group.
#[derive(Default)]
struct Ledger {
    key: String,
    next: u64,
    added: BTreeSet<u64>,
    delivered: BTreeSet<String>,
    acknowledged: BTreeSet<String>,
    /// Nobody answered whether they are acknowledged.
    open: BTreeSet<String>,
}

impl Ledger {
    fn new(number: usize, master: &Node) -> Self {
        let key = format!("s{number}");
        let created = master.ask(&["XGROUP", "CREATE", &key, "g", "0", "MKSTREAM"]);
        assert_eq!(created, simple("OK"));
        Self {
            key,
            ..Self::default()
        }
    }

    /// Adds, reads and acknowledges until the server is gone, or it is enough.
    fn work(&mut self, address: SocketAddr, done: &AtomicU64, enough: &AtomicBool) {
        let mut client = Client::connect(address);
        while !enough.load(Ordering::SeqCst) {
            if self.batch(&mut client).is_none() {
                return;
            }
            done.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// `None` when the server is gone.
    fn batch(&mut self, client: &mut Client) -> Option<()> {
        let numbers = self.next..self.next + 10;
        self.next = numbers.end;
        let mut wire = Vec::new();
        for number in numbers.clone() {
            let number = number.to_string();
            wire.extend(request(&["XADD", &self.key, "*", "n", &number]));
        }
        let read = ["XREADGROUP", "GROUP", "g", "c", "COUNT", "7", "STREAMS"];
        wire.extend(request(&[&read[..], &[&self.key, ">"]].concat()));
        send(client, &wire)?;
        for number in numbers {
            let reply = client.try_reply()?;
            assert!(matches!(reply, Reply::Bulk(_)), "{reply:?}");
            self.added.insert(number);
        }
        let reply = client.try_reply()?;
        let stream = &reply.as_parts().unwrap()[0];
        let ids = ids_of(&stream.as_parts().unwrap()[1]);
        self.delivered.extend(ids.iter().cloned());
        // Most of them.
        let ids = &ids[..ids.len() - ids.len() / 3];
        let words: Vec<&str> = ["XACK", &self.key, "g"].into_iter().collect();
        let words = [words, ids.iter().map(|id| &**id).collect()].concat();
        self.open.extend(ids.iter().cloned());
        send(client, &request(&words))?;
        let count = i64::try_from(ids.len()).unwrap();
        assert_eq!(client.try_reply()?, Reply::Int(count));
        for id in ids {
            self.open.remove(id);
            self.acknowledged.insert(id.clone());
        }
        Some(())
    }

    /// Checks that all of it is so.
    fn verify(&self, node: &Node) {
        let mut client = node.connect();
        let entries = client.ask(&["XRANGE", &self.key, "-", "+"]);
        let number = |entry: &Reply| -> u64 {
            let fields = &entry.as_parts().unwrap()[1];
            let value = fields.as_parts().unwrap()[1].as_bytes().unwrap();
            std::str::from_utf8(value).unwrap().parse().unwrap()
        };
        let entries = entries.as_parts().unwrap();
        let found: BTreeSet<u64> = entries.iter().map(number).collect();
        assert_eq!(found.len(), entries.len(), "an entry is there twice");
        let lost: Vec<_> = self.added.difference(&found).collect();
        assert!(lost.is_empty(), "{} has lost {lost:?}", self.key);
        let pending = client.ask(&["XPENDING", &self.key, "g", "-", "+", "1000000"]);
        let pending: BTreeSet<String> = ids_of(&pending).into_iter().collect();
        let taken_back: Vec<_> = self.acknowledged.intersection(&pending).collect();
        assert!(taken_back.is_empty(), "{taken_back:?} were acknowledged");
        for id in &self.delivered {
            let known = [&pending, &self.acknowledged, &self.open];
            let is_known = known.iter().any(|ids| ids.contains(id));
            assert!(is_known, "the delivery of {id} is forgotten");
        }
    }
}

/// `None` when the server is gone.
fn send(client: &Client, bytes: &[u8]) -> Option<()> {
    std::io::Write::write_all(&mut client.sender(), bytes).ok()
}

/// The IDs that the parts of an array begin with.
fn ids_of(reply: &Reply) -> Vec<String> {
    let id = |part: &Reply| {
        let id = part.as_parts().unwrap()[0].as_bytes().unwrap().to_vec();
        String::from_utf8(id).unwrap()
    };
    reply.as_parts().unwrap().iter().map(id).collect()
}

/// Two servers, each of which is followed by way of a connection that takes its time: what is on
/// its way when a master dies may not arrive.
struct Pair {
    nodes: [Node; 2],
    proxies: [Proxy; 2],
    master: usize,
}

impl Pair {
    fn new() -> Self {
        let nodes = [(); 2].map(|()| Node::start(&["--sync-replicas", "1"]));
        let proxies = nodes.each_ref().map(|node| Proxy::to(node.address()));
        for proxy in &proxies {
            proxy.delay(Duration::from_millis(3));
        }
        let pair = Self {
            nodes,
            proxies,
            master: 0,
        };
        let of = pair.proxies[0].replicaof();
        let (host, port) = of.split_once(' ').unwrap();
        let followed = pair.nodes[1].ask(&["REPLICAOF", host, port]);
        assert_eq!(followed, simple("OK"));
        pair.nodes[1].until_up();
        pair
    }

    fn master(&self) -> &Node {
        &self.nodes[self.master]
    }

    fn replica(&self) -> &Node {
        &self.nodes[1 - self.master]
    }

    /// Starts a node that was killed: as the master, or to follow it.
    fn restart(&mut self, node: usize) {
        if node == self.master {
            self.nodes[node].restart();
        } else {
            let of = self.proxies[self.master].replicaof();
            self.nodes[node].restart_following(&of);
        }
        // It is on another port.
        self.proxies[node].retarget(self.nodes[node].address());
    }

    /// Kills, and brings back what was killed.
    fn strike(&mut self, kind: u64) {
        let (master, replica) = (self.master, 1 - self.master);
        match kind {
            // The other one takes over.
            0 => {
                self.nodes[master].kill();
                let leads = self.nodes[replica].ask(&["REPLICAOF", "NO", "ONE"]);
                assert_eq!(leads, simple("OK"));
                self.master = replica;
                self.restart(master);
            }
            // The replica comes back; writers wait for it.
            1 => {
                self.nodes[replica].kill();
                self.restart(replica);
            }
            // Both do.
            2 => {
                self.nodes[replica].kill();
                self.nodes[master].kill();
                self.restart(master);
                self.restart(replica);
            }
            // The master comes back as what it was.
            _ => {
                self.nodes[master].kill();
                self.restart(master);
            }
        }
    }
}

#[test]
fn nothing_that_a_replica_had_to_have_is_lost_to_kills_of_either_or_both() {
    let mut chance = Chance::from_environment();
    let budget = std::env::var("HEADWATER_BUDGET").map_or(1, |budget| budget.parse().unwrap());
    let mut pair = Pair::new();
    let mut ledgers: Vec<Ledger> = (0..WRITERS)
        .map(|number| Ledger::new(number, pair.master()))
        .collect();
    for round in 0..ROUNDS * budget {
        let (done, enough) = (AtomicU64::new(0), AtomicBool::new(false));
        let address = pair.master().address();
        let wanted = chance.between(3, 60);
        // Each kind for certain.
        let kind = if round < 4 {
            round
        } else {
            chance.between(0, 4)
        };
        thread::scope(|scope| {
            for ledger in &mut ledgers {
                scope.spawn(|| ledger.work(address, &done, &enough));
            }
            let began = Instant::now();
            while done.load(Ordering::SeqCst) < wanted {
                assert!(began.elapsed() < PATIENCE, "round {round}: nobody gets on");
                thread::yield_now();
            }
            pair.strike(kind);
            enough.store(true, Ordering::SeqCst);
        });
        pair.replica().until_up();
        ledgers
            .iter()
            .for_each(|ledger| ledger.verify(pair.master()));
        converge(pair.master(), &[pair.replica()]);
    }
}
