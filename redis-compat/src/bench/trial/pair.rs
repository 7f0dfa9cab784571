//! XADD on a master alone, with a replica, and when a replica must have it before it is answered.
//!
//! ```text
//!   load ----> master                       alone
//!   load ----> master ----> replica         with a replica
//!   load <---> master <---> replica         sync: the reply waits for the replica
//! ```
//!
//! Three processes want three processors. Where there are two, the replica shares that of the load,
//! and what is told besides the throughput is the processor time of master and replica for one
//! operation: that of the master says what it could do with a core for each.
//!
//! A replica that lags behind makes its master look fast. So a throughput counts to the moment at
//! which the replica has everything, and then it is asked whether it has.
//!
//! Sync is `sync-replicas 1` of Headwater: on the disk of the replica. Redis has no such thing; its
//! load asks at the end of every pipeline, with WAIT, for the memory of the replica.

use super::{Measure, Party, want_space};
use crate::bench::{
    clock,
    entry::{self, payload},
    fault::Fault,
    load::{self, Sample, Window},
    machine::Cores,
    server::{Make, Peer, Policy, Server, Site},
    sheet::Facts,
    workload::Append,
};
use std::{thread, time::Duration};

/// How long one of the runs is measured, if nothing is said.
const SECONDS: f64 = 3.0;
/// How long a replica may take to have everything.
const CATCHES_UP_WITHIN: Duration = Duration::from_secs(1800);
/// How often it is looked.
const LOOK_EVERY: Duration = Duration::from_millis(1);

/// Options of the trial.
#[derive(clap::Args)]
pub(in crate::bench) struct Pair {
    /// The processors of the replica [default: those of the load].
    #[arg(long, value_delimiter = ',')]
    replica_cores: Vec<usize>,
    /// Takes only these loads: their number, as the report shows it.
    #[arg(long, value_delimiter = ',')]
    loads: Vec<usize>,
    /// Directives for both Headwaters, behind `--`.
    #[arg(last = true)]
    directives: Vec<String>,
}

/// What is asked of a master.
struct Load {
    policy: Policy,
    connections: usize,
    pipeline: usize,
}

const LOADS: [Load; 5] = [
    load(Policy::EverySec, 50, 100),
    load(Policy::EverySec, 50, 1),
    load(Policy::Always, 1, 1),
    load(Policy::Always, 50, 1),
    load(Policy::Always, 50, 100),
];

const fn load(policy: Policy, connections: usize, pipeline: usize) -> Load {
    Load {
        policy,
        connections,
        pipeline,
    }
}

/// What a master has beside it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Company {
    Alone,
    Replica,
    Sync,
}

/// One run.
struct Ran {
    sample: Sample,
    /// Until the replica had everything.
    until: Duration,
}

impl Measure for Pair {
    fn about(&self) -> String {
        format!(
            "XADD with values of {} bytes to a master, alone and with a replica",
            entry::VALUE_LEN
        )
    }

    fn rounds(&self) -> usize {
        3
    }

    fn run(&self, site: &Site, party: &Party, seconds: Option<f64>) -> Result<Facts, Fault> {
        let window = Window::of(seconds.unwrap_or(SECONDS));
        // More than any pair takes in this time.
        let most = 4_000_000 * (window.measured.as_secs() + 1);
        want_space(site, 2 * most * payload(entry::VALUE_LEN))?;
        let mut facts = Facts::default();
        let chosen = |number: &usize| self.loads.is_empty() || self.loads.contains(number);
        for (number, load) in (1..).zip(&LOADS).filter(|(number, _)| chosen(number)) {
            let alone = self.one(site, party, load, Company::Alone, window)?;
            let replica = self.one(site, party, load, Company::Replica, window)?;
            let sync = self.one(site, party, load, Company::Sync, window)?;
            for (company, ran) in [("alone", &alone), ("replica", &replica), ("sync", &sync)] {
                ran.tell(&format!("{number}. {load}, {company}"), &mut facts);
            }
            for (company, ran) in [("replica", &replica), ("sync", &sync)] {
                let what = |figure| format!("{number}. {company} / alone: {figure}");
                facts.times(what("XADD"), ran.per_second(), alone.per_second());
                let p50 = |ran: &Ran| ran.sample.p50.as_secs_f64();
                facts.times(what("p50"), p50(ran), p50(&alone));
                facts.times(what("master's CPU"), ran.master_cpu(), alone.master_cpu());
            }
        }
        Ok(facts)
    }

    fn legend(&self) -> &'static str {
        "A throughput counts to the moment at which the replica has everything. CPU is of one \
         XADD. Sync is sync-replicas 1\nof Headwater, which is the disk of the replica; of Redis, \
         WAIT 1 0 behind every pipeline, which is its memory."
    }
}

impl std::fmt::Display for Load {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            policy,
            connections,
            pipeline,
        } = self;
        write!(f, "{policy}, {connections} x {pipeline}")
    }
}

impl Pair {
    fn one(
        &self,
        site: &Site,
        party: &Party,
        load: &Load,
        company: Company,
        window: Window,
    ) -> Result<Ran, Fault> {
        let peer = party.with_ours(&self.directives);
        let dir = site.directory()?;
        let master = Server::start(site, &as_master(&peer, company), load.policy, dir.path())?;
        let mut work = Append::new(load.pipeline, load.connections);
        if company == Company::Sync && peer.make != Make::Headwater {
            work = work.waiting_for_a_replica();
        }
        if company == Company::Alone {
            let sample = load::drive(&mut work, &master, &site.cores, window)?;
            let until = sample.wall;
            return Ok(Ran { sample, until });
        }
        let dir = site.directory()?;
        let server = match &*self.replica_cores {
            [] => site.cores.load.clone(),
            cores => cores.to_vec(),
        };
        let replica_site = Site {
            root: site.root.clone(),
            cores: Cores {
                server,
                load: site.cores.load.clone(),
            },
        };
        let peer = peer.with(following(&master));
        let replica = Server::start(&replica_site, &peer, load.policy, dir.path())?;
        wait_until(|| Ok(replica.client()?.info()?.text("master_link_status") == Some("up")))?;
        let sample = load::drive_pair(&mut work, &master, Some(&replica), &site.cores, window)?;
        let began = clock::now();
        wait_until(|| Ok(length(&master)? == length(&replica)?))?;
        let until = sample.wall + clock::elapsed(began);
        Ok(Ran { sample, until })
    }
}

/// The directives of a master.
fn as_master(peer: &Peer, company: Company) -> Peer {
    match (peer.make, company) {
        (Make::Headwater, Company::Sync) => peer.with(["--sync-replicas", "1"]),
        (Make::Headwater, _) => peer.clone(),
        (Make::Redis | Make::Valkey, _) => peer.with(["--repl-diskless-sync-delay", "0"]),
    }
}

/// The directives of one who follows.
pub(super) fn following(master: &Server) -> [String; 3] {
    let address = master.address();
    let (host, port) = (address.ip().to_string(), address.port().to_string());
    ["--replicaof".to_owned(), host, port]
}

/// Looks again until it is so.
///
/// # Errors
///
/// When it never is, and what looking says.
pub(super) fn wait_until(mut is_so: impl FnMut() -> Result<bool, Fault>) -> Result<(), Fault> {
    let began = clock::now();
    while !is_so()? {
        if clock::elapsed(began) > CATCHES_UP_WITHIN {
            return Err(Fault::Wrong("a replica that has what its master has"));
        }
        thread::sleep(LOOK_EVERY);
    }
    Ok(())
}

fn length(server: &Server) -> Result<i64, Fault> {
    server.client()?.call(&[b"XLEN", entry::KEY])
}

impl Ran {
    fn per_second(&self) -> f64 {
        self.sample.ops as f64 / self.until.as_secs_f64()
    }

    /// Of one operation.
    fn master_cpu(&self) -> f64 {
        self.sample.server_cpu.as_secs_f64() / self.sample.ops as f64
    }

    fn tell(&self, which: &str, facts: &mut Facts) {
        let Sample {
            ops,
            p50,
            p99,
            server_cpu,
            replica_cpu,
            ..
        } = self.sample;
        facts.rate(format!("{which}: XADD"), ops, self.until);
        facts.time(format!("{which}: p50"), p50);
        facts.time(format!("{which}: p99"), p99);
        let each = |time: Duration| Duration::from_secs_f64(time.as_secs_f64() / ops as f64);
        facts.time(format!("{which}: master's CPU"), each(server_cpu));
        if !replica_cpu.is_zero() {
            facts.time(format!("{which}: replica's CPU"), each(replica_cpu));
            facts.time(
                format!("{which}: catches up in"),
                self.until - self.sample.wall,
            );
        }
    }
}
