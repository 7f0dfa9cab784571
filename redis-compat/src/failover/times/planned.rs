//! Failovers that are planned, under load.
//!
//! Some clients write as fast as they are answered, and look for the master again whenever they are
//! told READONLY, or something else, or lose their connection. Told is how long none of them gets
//! on, how long the unluckiest does not, what they are told, and what is lost of what was
//! acknowledged: a monitor that takes its time to set an old master right lets it acknowledge what
//! is then thrown away.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use super::{PACE, REPLY_MAX, Times};
use crate::connection::{Answer, Connection};
use crate::failover::fault::Fault;
use crate::failover::ground::{Ground, leads};
use crate::failover::ledger::numbers_of;
use crate::failover::monitor::MASTER;
use crate::failover::seeker::Seeker;
use crate::failover::silence::Silence;
use crate::failover::site::Site;
use crate::reply::Reply;

/// Clients of a planned failover.
const WRITERS: usize = 4;

/// A way to plan a failover.
#[derive(Clone, Copy)]
enum Plan {
    /// A monitor is told, and coordinates the two nodes.
    Coordinated,
    /// The master is told.
    Failover,
    /// A monitor is told.
    Told,
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Coordinated => "SENTINEL FAILOVER COORDINATED",
            Self::Failover => "FAILOVER (no monitors)",
            Self::Told => "SENTINEL FAILOVER",
        })
    }
}

/// Measures every way to plan a failover.
///
/// # Errors
///
/// When a failover does not come to an end, or something is lost that must not be.
pub(super) fn run(site: &Site, runs: u64) -> Result<(), Fault> {
    println!("failover times: planned, {WRITERS} clients under load; {runs} runs; {site}");
    let mut plans = vec![Plan::Told];
    if site.is_coordinated() {
        plans.push(Plan::Coordinated);
    }
    plans.push(Plan::Failover);
    for plan in plans {
        let site = match plan {
            Plan::Failover => site.unwatched(),
            _ => site.clone(),
        };
        let mut ground = Ground::take(&site)?;
        let measured = one_plan(plan, &site, runs, &mut ground);
        crate::failover::close(ground, measured)?;
    }
    Ok(())
}

/// What the clients saw.
#[derive(Default)]
struct Seen {
    /// How long none of them got on.
    all: Times,
    /// How long the unluckiest of them did not.
    each: Times,
    errors: Mutex<BTreeMap<String, u64>>,
    acknowledged: u64,
    lost: u64,
}

fn one_plan(plan: Plan, site: &Site, runs: u64, ground: &mut Ground) -> Result<(), Fault> {
    let mut seen = Seen::default();
    for run in 0..runs {
        let master = ground.wait(Ground::settled)?;
        let seeker = Seeker::on(ground, REPLY_MAX);
        let scene = Scene::new();
        let (struck, acknowledged) = thread::scope(|scope| {
            let writers: Vec<_> = (0..WRITERS)
                .map(|writer| {
                    let (seeker, scene, seen) = (&seeker, &scene, &seen);
                    scope.spawn(move || write(run, writer, seeker, scene, seen))
                })
                .collect();
            let struck = strike(plan, ground, master, &scene);
            scene.over.store(true, Ordering::Relaxed);
            let acknowledged: Vec<u64> = writers
                .into_iter()
                .map(|writer| writer.join().unwrap_or(0))
                .collect();
            (struck, acknowledged)
        });
        let next = struck?;
        seen.all.0.push(scene.all.longest());
        let each = scene.each.iter().map(Silence::longest).max();
        seen.each.0.push(each.unwrap_or_default());
        for (writer, acknowledged) in acknowledged.into_iter().enumerate() {
            let words = ["XRANGE", &key(run, writer), "-", "+"];
            let address = ground.nodes[next].address;
            let found = Connection::open(address)?.ask(&words);
            let found = match &found {
                Answer::Reply(reply) => numbers_of(reply),
                _ => None,
            };
            let found: BTreeSet<u64> = found.unwrap_or_default();
            let lost = (1..=acknowledged).filter(|number| !found.contains(number));
            seen.acknowledged += acknowledged;
            seen.lost += lost.count() as u64;
        }
    }
    let (all, each) = (&seen.all, &seen.each);
    println!("{plan}\n    no client gets on  {all}\n    the unluckiest     {each}");
    println!(
        "    {} entries acknowledged, {} of them lost",
        seen.acknowledged, seen.lost
    );
    for (error, count) in seen.errors.into_inner().unwrap_or_default() {
        println!("    {count:5} x {error}");
    }
    let must_be_safe = site.is_safe() || matches!(plan, Plan::Failover) && site.is_ours();
    if seen.lost > 0 && must_be_safe {
        let what = format!("{} acknowledged entries are lost", seen.lost);
        return Err(Fault::Violation(what));
    }
    Ok(())
}

/// What the clients of a planned failover and the one who plans it know of each other.
struct Scene {
    over: AtomicBool,
    written: [AtomicU64; WRITERS],
    all: Silence,
    each: [Silence; WRITERS],
}

impl Scene {
    fn new() -> Self {
        Self {
            over: AtomicBool::new(false),
            written: Default::default(),
            all: Silence::new(),
            each: [(); WRITERS].map(|()| Silence::new()),
        }
    }
}

/// Has the master replaced while all are at work; returns the next one when all are well again.
fn strike(plan: Plan, ground: &mut Ground, master: usize, scene: &Scene) -> Result<usize, Fault> {
    until_at_work(ground, scene)?;
    scene.all.begin();
    scene.each.iter().for_each(Silence::begin);
    let words: &[&str] = match plan {
        Plan::Coordinated => &["SENTINEL", "FAILOVER", MASTER, "COORDINATED"],
        Plan::Failover => &["FAILOVER"],
        Plan::Told => &["SENTINEL", "FAILOVER", MASTER],
    };
    let ok = Some(Reply::Simple(b"OK".to_vec()));
    ground.wait(|ground| {
        let told = match plan {
            Plan::Failover => &ground.nodes[master],
            _ => &ground.monitors[0],
        };
        let reply = told.ask(words);
        if reply == ok {
            return Ok(());
        }
        let reply = reply.map(|reply| reply.to_string());
        Err(format!("{plan} is answered {reply:?}"))
    })?;
    ground.wait(|ground| {
        let next = ground.agreed();
        match next.filter(|&next| next != master && leads(&ground.nodes[next])) {
            Some(_) => Ok(()),
            None => Err("nobody takes over".to_owned()),
        }
    })?;
    until_at_work(ground, scene)?;
    let next = ground.wait(Ground::settled)?;
    until_at_work(ground, scene)?;
    Ok(next)
}

fn until_at_work(ground: &mut Ground, scene: &Scene) -> Result<(), Fault> {
    let load = || {
        scene
            .written
            .each_ref()
            .map(|written| written.load(Ordering::Relaxed))
    };
    let since = load();
    ground.wait(|_| {
        let mut both = load().into_iter().zip(since);
        match both.all(|(now, then)| now > then + 20) {
            true => Ok(()),
            false => Err("a client does not get on".to_owned()),
        }
    })
}

fn key(run: u64, writer: usize) -> String {
    format!("planned-{run}-{writer}")
}

/// Writes numbered entries until all is over; returns how many were acknowledged.
fn write(run: u64, writer: usize, seeker: &Seeker, scene: &Scene, seen: &Seen) -> u64 {
    let key = key(run, writer);
    let mut number = 1;
    while !scene.over.load(Ordering::Relaxed) {
        let Some(mut connection) = seeker.connect() else {
            thread::sleep(PACE);
            continue;
        };
        while !scene.over.load(Ordering::Relaxed) {
            match connection.ask(&["XADD", &key, "*", "n", &number.to_string()]) {
                Answer::Reply(Reply::Bulk(_)) => {
                    scene.all.broken();
                    scene.each[writer].broken();
                    scene.written[writer].fetch_add(1, Ordering::Relaxed);
                    number += 1;
                }
                other => {
                    let text: String = other.to_string().chars().take(60).collect();
                    if let Ok(mut errors) = seen.errors.lock() {
                        *errors.entry(text).or_default() += 1;
                    }
                    break;
                }
            }
        }
    }
    number - 1
}
