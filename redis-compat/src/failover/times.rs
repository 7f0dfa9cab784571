//! How long nothing is acknowledged, side by side for several grounds.
//!
//! A failover that nobody planned is measured from the kill of the master to the first write that
//! is acknowledged by the next one, less the time after which monitors hold a node for down: to one
//! who tries all nodes all the time (*served*), and to a client that asks the monitors (*found*).
//!
//! ```text
//!  kill -9        down-after            a replica leads     monitors name it
//!     |----------------|-----------------------|-----------------|
//!                      '------- served --------'                 |
//!                      '------------------ found ----------------'
//! ```
//!
//! One that is planned is measured in [`planned`].

mod planned;

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use clap::ValueEnum as _;

use super::fault::Fault;
use super::ground::Ground;
use super::kind::{Data, Watcher};
use super::seeker::Seeker;
use super::site::Site;
use super::strike::another;
use crate::connection::{Answer, Connection};
use crate::reply::Reply;

/// How long a write may take before a client looks for the master again.
const REPLY_MAX: Duration = Duration::from_secs(1);

/// Between two tries.
const PACE: Duration = Duration::from_millis(1);

/// Options of `failover times`.
#[derive(clap::Args)]
pub(super) struct Options {
    #[command(flatten)]
    site: Site,
    /// How often each is measured.
    #[arg(long, default_value_t = 20)]
    runs: u64,
    /// Failovers that are planned, under load, instead of kills.
    #[arg(long)]
    planned: bool,
    /// Other data nodes and monitors that are measured in turn with these: redis:redis8, or
    /// headwater:redis7,redis8,headwater.
    #[arg(long, value_name = "DATA:MONITORS")]
    beside: Vec<Mix>,
}

/// Data nodes and the monitors that watch over them.
#[derive(Clone)]
struct Mix {
    data: Data,
    monitors: Vec<Watcher>,
}

impl FromStr for Mix {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (data, monitors) = text
            .split_once(':')
            .ok_or("there is no colon behind the data nodes")?;
        let monitors = monitors
            .split(',')
            .map(|each| Watcher::from_str(each, true));
        Ok(Self {
            data: Data::from_str(data, true)?,
            monitors: monitors.collect::<Result<_, _>>()?,
        })
    }
}

/// Runs the drill.
///
/// # Errors
///
/// When a failover does not come to an end, or something is lost that must not be.
pub(super) fn run(options: &Options) -> Result<(), Fault> {
    let first = options.site.without_sync();
    let others = options
        .beside
        .iter()
        .map(|mix| first.with(mix.data, &mix.monitors));
    let sites: Vec<Site> = std::iter::once(first.clone()).chain(others).collect();
    if options.planned {
        for site in &sites {
            planned::run(site, options.runs)?;
        }
        return Ok(());
    }
    println!(
        "failover times: from kill -9 to the first acknowledged write, less {:?}; {} runs",
        first.down_after(),
        options.runs
    );
    let mut columns = Vec::new();
    for site in sites {
        columns.push(Column::new(site)?);
    }
    // In turn: what else the machine does falls on all of them.
    let measured = (0..options.runs).try_for_each(|_| {
        let mut columns = columns.iter_mut();
        columns.try_for_each(Column::measure)
    });
    for Column {
        site,
        ground,
        served,
        found,
    } in columns
    {
        println!("{site}\n    served  {served}\n    found   {found}");
        let ended = match &measured {
            Ok(()) => Ok(()),
            Err(fault) => Err(Fault::Violation(fault.to_string())),
        };
        super::close(ground, ended)?;
    }
    measured
}

/// One of the grounds that are measured side by side.
struct Column {
    site: Site,
    ground: Ground,
    served: Times,
    found: Times,
}

impl Column {
    fn new(site: Site) -> Result<Self, Fault> {
        Ok(Self {
            ground: Ground::take(&site)?,
            site,
            served: Times::default(),
            found: Times::default(),
        })
    }

    /// Measures a failover that nobody planned.
    fn measure(&mut self) -> Result<(), Fault> {
        let ground = &mut self.ground;
        let master = ground.wait(Ground::settled)?;
        let old = ground.nodes[master].address;
        let nodes = ground.nodes.iter().map(|node| node.address);
        let others: Vec<SocketAddr> = nodes.filter(|&address| address != old).collect();
        let seeker = Seeker::on(ground, REPLY_MAX);
        let over = AtomicBool::new(false);
        let killed = Mutex::new(None);
        let first = [Mutex::new(None), Mutex::new(None)];
        let struck = thread::scope(|scope| {
            scope.spawn(|| serve_me(&others, &first[0], &over));
            scope.spawn(|| find_me(&seeker, old, &killed, &first[1], &over));
            let struck = kill(ground, master, &killed, &first);
            over.store(true, Ordering::Relaxed);
            struck
        });
        let killed = struck?;
        let both = [&mut self.served, &mut self.found];
        for (times, first) in both.into_iter().zip(&first) {
            let first = first.lock().ok().and_then(|first| *first);
            let took = first.unwrap_or(killed).saturating_duration_since(killed);
            times.0.push(took.saturating_sub(self.site.down_after()));
        }
        ground.start(master)
    }
}

type Moment = Mutex<Option<Instant>>;

/// Kills the master, and waits until both clients have had a write acknowledged.
fn kill(
    ground: &mut Ground,
    master: usize,
    killed: &Moment,
    first: &[Moment; 2],
) -> Result<Instant, Fault> {
    // Both are at work before anything happens.
    ground.wait(|_| match is_set(killed) {
        true => Ok(()),
        false => Err("the client does not get on".to_owned()),
    })?;
    let now = Instant::now();
    set(killed, now);
    ground.nodes[master].kill()?;
    another(ground, master)?;
    ground.wait(|_| match first.iter().all(is_set) {
        true => Ok(()),
        false => Err("nothing is acknowledged".to_owned()),
    })?;
    Ok(now)
}

fn is_set(moment: &Moment) -> bool {
    moment.lock().is_ok_and(|moment| moment.is_some())
}

fn set(moment: &Moment, to: Instant) {
    if let Ok(mut moment) = moment.lock() {
        *moment = Some(to);
    }
}

/// Writes to whoever of the nodes lets it, as soon as one does.
fn serve_me(nodes: &[SocketAddr], first: &Moment, over: &AtomicBool) {
    let mut connections: Vec<Option<Connection>> = nodes.iter().map(|_| None).collect();
    while !over.load(Ordering::Relaxed) {
        for (node, slot) in nodes.iter().zip(&mut connections) {
            if slot.is_none() {
                *slot = Connection::open_with(*node, REPLY_MAX).ok();
            }
            let Some(connection) = slot else { continue };
            match connection.ask(&["XADD", "served", "*", "n", "1"]) {
                Answer::Reply(Reply::Bulk(_)) => {
                    set(first, Instant::now());
                    return;
                }
                Answer::Reply(_) => {}
                _ => *slot = None,
            }
        }
        thread::sleep(PACE);
    }
}

/// Writes to whom the monitors name. Says in `killed` when it is at work, and in `first` when it
/// has written to another master than the old one.
fn find_me(seeker: &Seeker, old: SocketAddr, killed: &Moment, first: &Moment, over: &AtomicBool) {
    while !over.load(Ordering::Relaxed) {
        let Some(mut connection) = seeker.connect() else {
            thread::sleep(PACE);
            continue;
        };
        let peer = connection.socket().and_then(|socket| socket.peer_addr());
        let is_old = peer.is_ok_and(|peer| peer == old);
        while let Answer::Reply(Reply::Bulk(_)) = connection.ask(&["XADD", "found", "*", "n", "1"])
        {
            if !is_old {
                set(first, Instant::now());
                return;
            }
            if !is_set(killed) {
                set(killed, Instant::now());
            }
            thread::sleep(PACE);
        }
    }
}

/// Times of several runs.
#[derive(Default)]
struct Times(Vec<Duration>);

impl fmt::Display for Times {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut sorted = self.0.clone();
        sorted.sort();
        let at = |at: usize| sorted.get(at).map_or(0.0, |time| time.as_secs_f64() * 1e3);
        write!(
            f,
            "{:7.1} ms median, {:.1} to {:.1}",
            at(sorted.len() / 2),
            at(0),
            at(sorted.len().saturating_sub(1))
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mix_is_read() {
        let mix: Mix = "redis:redis8,redis7,headwater".parse().ok().unwrap();
        assert_eq!(mix.data, Data::Redis);
        let monitors = [Watcher::Redis8, Watcher::Redis7, Watcher::Headwater];
        assert_eq!(mix.monitors, monitors);
        for wrong in ["redis", "redis:", "x:redis8", "redis:x"] {
            assert!(wrong.parse::<Mix>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_median_is_in_the_middle() {
        let times = Times([3, 1, 2].map(Duration::from_millis).to_vec());
        assert_eq!(times.to_string(), "    2.0 ms median, 1.0 to 3.0");
    }
}
