//! What it costs a replica to come back: from an absence, from leading, from nothing.
//!
//! ```text
//!  master   fill -----+------------ fill more ---------+------------- killed -+ follows
//!  replica  follows --+ stopped                start --+ made to lead --------+ leads
//!                                              | away  |                      | cut |
//!
//!  master   XADD at a rate, alone ------ XADD at a rate ------------------------
//!  another                               start, with nothing | full copy | up
//! ```
//!
//! The one that was killed had added entries after the other was made to lead: that tail is cut.
//! A full copy is compared with copying files through a socket of this machine to its disk, by a
//! program that does nothing else.

use super::{
    Measure, Party,
    pair::{following, wait_until},
    rest, want_space,
};
use crate::bench::{
    client::Client,
    clock,
    entry::{self, KEY, payload},
    fault::Fault,
    load::{self, Window},
    machine,
    process::disk_bytes,
    server::{Make, Peer, Policy, Server, Site},
    sheet::Facts,
    values::Values,
    watch::Watch,
    workload::Steady,
};
use std::{
    fs::{self, File},
    io::{self, Read as _, Write as _},
    net::{Ipv4Addr, TcpListener, TcpStream},
    ops::Range,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

/// How long XADD is measured while there is nothing else to do.
const CALM: Duration = Duration::from_secs(5);
/// How long a copy may take.
const COPIED_WITHIN: Duration = Duration::from_secs(3600);
/// Entries that are only in the log that is cut.
const TAIL: u64 = 1000;
/// Bytes that are copied for comparison.
const COPY_BYTES: u64 = 2 << 30;
/// Bytes that are copied at once.
const PIECE: usize = 1 << 20;

/// Options of the trial.
#[derive(clap::Args)]
pub(in crate::bench) struct Resync {
    /// Gigabytes (10^9 bytes) of entries that both have at first.
    #[arg(long, default_value_t = 1)]
    gigabytes: u64,
    /// Gigabytes that are added while the replica is away.
    #[arg(long, default_value_t = 1)]
    away_gigabytes: u64,
    /// Bytes of a value.
    #[arg(long, default_value_t = 1000)]
    value_bytes: usize,
    /// XADDs a second while a copy is made.
    #[arg(long, default_value_t = 2000)]
    rate: u32,
    /// Directives for Headwater, behind `--`.
    #[arg(last = true)]
    directives: Vec<String>,
}

impl Measure for Resync {
    fn makes(&self) -> &'static [Make] {
        &[Make::Headwater]
    }

    fn about(&self) -> String {
        format!(
            "{} GB that both have, {} GB more while one is away, values of {} bytes; everysec; {} \
             XADD a second beside the copy",
            self.gigabytes, self.away_gigabytes, self.value_bytes, self.rate
        )
    }

    fn run(&self, site: &Site, party: &Party, _: Option<f64>) -> Result<Facts, Fault> {
        let [first, more] = [self.gigabytes, self.away_gigabytes]
            .map(|gigabytes| gigabytes * 1_000_000_000 / payload(self.value_bytes));
        // Of two: the data, and the log of what one lacks.
        let needed = 2 * (first + 3 * more) * payload(self.value_bytes);
        want_space(site, needed)?;
        // The log has what surrounds the entries, too.
        let backlog = (more * payload(self.value_bytes) / 4 * 5).max(1 << 30);
        let peer = party
            .with_ours(&self.directives)
            .with(["--repl-backlog-size".to_owned(), backlog.to_string()]);
        let values = Values::new(self.value_bytes, 1);
        let mut facts = Facts::default();
        let [one, other] = [site.directory()?, site.directory()?];

        let master = Server::start(site, &peer, Policy::EverySec, one.path())?;
        let follower = peer.with(following(&master));
        let replica = Server::start(site, &follower, Policy::EverySec, other.path())?;
        fill(&master, &values, 0..first)?;
        until_like(&replica, &master)?;
        replica.stop()?;
        fill(&master, &values, first..first + more)?;
        let began = clock::now();
        let replica = Server::start(site, &follower, Policy::EverySec, other.path())?;
        until_like(&replica, &master)?;
        let taken = clock::elapsed(began);
        facts.bytes("away: lacked", more * payload(self.value_bytes));
        facts.time("away: back in", taken);
        facts.throughput(
            "away: caught up at",
            more * payload(self.value_bytes),
            taken,
        );
        facts.count("away: full copies", number(&master, "sync_full")?);

        rest(&master, one.path())?;
        rest(&replica, other.path())?;
        replica.client()?.call(&[b"REPLICAOF", b"NO", b"ONE"])?;
        let all = first + more;
        fill(&master, &values, all..all + TAIL)?;
        fill(&replica, &values, all..all + TAIL / 2)?;
        master.kill()?;
        let began = clock::now();
        let old = peer.with(following(&replica));
        let old = Server::start(site, &old, Policy::EverySec, one.path())?;
        until_like(&old, &replica)?;
        facts.time("cut: follows again in", clock::elapsed(began));
        facts.count("cut: full copies", number(&replica, "sync_full")?);
        old.stop()?;
        drop(one);
        self.copy(site, &peer, &replica, other.path(), &mut facts)?;
        Ok(facts)
    }

    fn legend(&self) -> &'static str {
        "Back and following again are from the start of the process until it has what the other \
         has; before a tail is\ncut, both have come to rest. Memory is anonymous. The copy by hand \
         is of the same files, through a socket, to\nthe disk, synced. The copy is everything \
         until the replica follows, which shares\nthe master's processors. The page cache is empty \
         when either begins."
    }
}

impl Resync {
    /// Gives everything to one who has nothing.
    fn copy(
        &self,
        site: &Site,
        peer: &Peer,
        master: &Server,
        dir: &Path,
        facts: &mut Facts,
    ) -> Result<(), Fault> {
        rest(master, dir)?;
        // Both copies are read from the disk, which has forgotten by then what was removed.
        machine::drop_caches(dir)?;
        let over = Arc::new(AtomicBool::new(false));
        let window = |measured| Window {
            warm_up: Duration::from_millis(500),
            measured,
        };
        let steady = || Steady::new(self.rate, &over);
        let calm = load::drive(&mut steady(), master, &site.cores, window(CALM))?;
        let before = master.process().memory()?.anonymous;
        let full = number(master, "sync_full")?;
        let place = site.directory()?;
        let watch = Watch::begin(master, dir)?;
        let (busy, copied) = thread::scope(|scope| {
            let copying = scope.spawn(|| {
                let began = clock::now();
                let peer = peer.with(following(master));
                let copied = Server::start(site, &peer, Policy::EverySec, place.path());
                let copied = copied.and_then(|replica| {
                    let watch = Watch::begin(&replica, place.path())?;
                    until_like(&replica, master)?;
                    Ok((replica, watch.end()?, clock::elapsed(began)))
                });
                over.store(true, Ordering::Relaxed);
                copied
            });
            let busy = load::drive(&mut steady(), master, &site.cores, window(COPIED_WITHIN));
            (busy, copying.join().expect("copying does not panic"))
        });
        let ((replica, of_replica, taken), busy) = (copied?, busy?);
        let bytes = disk_bytes(place.path())?;
        let anonymous = |look: &crate::bench::watch::Look| look.memory.anonymous;
        let most = watch.end()?.most(anonymous);
        replica.kill()?;
        let (by_hand, hand) = copy_by_hand(dir, &site.root)?;
        facts.bytes("copy: of", bytes);
        facts.time("copy: takes", taken);
        facts.throughput("copy: speed", bytes, taken);
        facts.throughput("copy by hand: speed", by_hand, hand);
        let speed = |bytes: u64, time: Duration| bytes as f64 / time.as_secs_f64();
        facts.times("copy / by hand", speed(bytes, taken), speed(by_hand, hand));
        facts.count("copy: full copies", number(master, "sync_full")? - full);
        for (which, sample) in [("without", &calm), ("beside", &busy)] {
            facts.time(format!("XADD {which} the copy: p50"), sample.p50);
            facts.time(format!("XADD {which} the copy: p99"), sample.p99);
        }
        let p99 = [&busy, &calm].map(|sample| sample.p99.as_secs_f64());
        facts.times("XADD: p99 beside / without", p99[0], p99[1]);
        facts.bytes("memory of the master, before", before);
        facts.bytes("memory of the master, most", most);
        facts.bytes("memory of the replica, most", of_replica.most(anonymous));
        Ok(())
    }
}

/// Adds entries, by their numbers.
fn fill(server: &Server, values: &Values, numbers: Range<u64>) -> Result<(), Fault> {
    let mut client: Client = server.client()?;
    client.pipeline(numbers, |number, out| {
        entry::add(out, entry::id(number).as_bytes(), &values.of(number));
    })
}

/// Returns when a replica follows and has as many entries.
fn until_like(replica: &Server, master: &Server) -> Result<(), Fault> {
    let length = |server: &Server| server.client()?.call(&[b"XLEN", KEY]);
    wait_until(|| {
        let is_up = replica.client()?.info()?.text("master_link_status") == Some("up");
        if !is_up {
            return Ok(false);
        }
        match length(replica) {
            // Its data may just be replaced.
            Err(Fault::Refused(_)) => Ok(false),
            length_here => Ok(length_here? == length(master)?),
        }
    })
}

fn number(server: &Server, name: &str) -> Result<u64, Fault> {
    let found = server.client()?.info()?.number(name);
    found.ok_or(Fault::Wrong("a figure of INFO"))
}

/// Copies files through a socket to another file and syncs that; how many bytes in which time.
fn copy_by_hand(from: &Path, to: &Path) -> io::Result<(u64, Duration)> {
    machine::drop_caches(from).map_err(|fault| io::Error::other(fault.to_string()))?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = listener.local_addr()?;
    let began = clock::now();
    thread::scope(|scope| {
        let sending = scope.spawn(move || {
            let mut socket = TcpStream::connect(address)?;
            send_files(from, &mut socket, &mut 0)
        });
        let (mut socket, _) = listener.accept()?;
        let path = to.join("copy");
        let mut file = File::create(&path)?;
        let (mut piece, mut bytes) = (vec![0; PIECE], 0);
        loop {
            let count = socket.read(&mut piece)?;
            if count == 0 {
                break;
            }
            file.write_all(&piece[..count])?;
            bytes += count as u64;
        }
        file.sync_all()?;
        let taken = clock::elapsed(began);
        fs::remove_file(path)?;
        sending.join().expect("sending does not panic")?;
        Ok((bytes, taken))
    })
}

fn send_files(dir: &Path, socket: &mut TcpStream, sent: &mut u64) -> io::Result<()> {
    let mut piece = vec![0; PIECE];
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() {
            send_files(&path, socket, sent)?;
            continue;
        }
        let mut file = File::open(path)?;
        loop {
            let count = file.read(&mut piece)?;
            if count == 0 || *sent >= COPY_BYTES {
                break;
            }
            socket.write_all(&piece[..count])?;
            *sent += count as u64;
        }
    }
    Ok(())
}
