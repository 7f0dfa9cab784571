//! Client libraries through failovers: do they find the new master, each time, by themselves?
//!
//! Every library has a program of a few lines that writes numbered entries, one after the other,
//! to the master that the monitors name, and tries again whatever was not acknowledged
//! (`redis-compat/clients/sentinel_*`, [`rust`]). All of them run at once, and are never started
//! again, while the master is taken away over and over. After each time every one of them must have
//! written to the new master; and in the end all that was acknowledged must be there, if the
//! servers promise that.

mod rust;

use std::collections::BTreeSet;
use std::time::Duration;

use super::client::{Client, NAMES};
use super::fault::Fault;
use super::ground::Ground;
use super::node::Node;
use super::site::Site;
use super::strike::Strike;
use crate::chance::Chance;
use crate::connection::{Answer, Connection};
use crate::reply::Reply;

/// How many entries show that a client is at work.
const AT_WORK: u64 = 10;

/// Options of `failover clients`.
#[derive(clap::Args)]
pub(super) struct Options {
    #[command(flatten)]
    site: Site,
    /// How often the master is taken away.
    #[arg(long, default_value_t = 20)]
    failovers: u64,
    /// Only these: redis-py, coredis, ioredis, node-redis, rust.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
}

/// Options of `failover be-rust`.
#[derive(clap::Args)]
pub(super) struct Rust {
    monitors: String,
    name: String,
    key: String,
}

/// Is the client of the crate `redis`.
pub(super) fn be_rust(options: &Rust) -> Result<(), Fault> {
    rust::run(&options.monitors, &options.name, &options.key)
        .map_err(|error| Fault::Setting(error.to_string()))
}

/// Runs the drill.
///
/// # Errors
///
/// When a client does not find the new master, or an entry is lost that must not be.
pub(super) fn run(options: &Options) -> Result<(), Fault> {
    let seed = options.site.seed();
    println!("failover clients: seed {seed}; {}", options.site);
    let mut ground = Ground::take(&options.site)?;
    let ended = drill(options, &mut ground, &mut Chance::new(seed));
    super::close(ground, ended)
}

fn drill(options: &Options, ground: &mut Ground, chance: &mut Chance) -> Result<(), Fault> {
    let wanted = |name: &&str| options.only.is_empty() || options.only.iter().any(|o| o == name);
    let mut clients = Vec::new();
    for name in NAMES.into_iter().filter(wanted) {
        clients.push(Client::start(name, &ground.watch(), ground.path())?);
    }
    let mut silences: Vec<Vec<Duration>> = vec![Vec::new(); clients.len()];
    let (mut led_by, mut uncalled) = (0, 0);
    for round in 0..options.failovers {
        let master = ground.wait(Ground::settled)?;
        uncalled += u64::from(master != led_by);
        until_at_work(ground, &mut clients, master)?;
        for client in &clients {
            client.silence();
        }
        let kind = usize::try_from(round).unwrap_or(0) % Strike::ALL.len();
        let strike = Strike::ALL[kind];
        let next = strike.at(master, ground, chance)?;
        led_by = next;
        until_at_work(ground, &mut clients, next)?;
        let round_silences: Vec<Duration> = clients.iter().map(Client::silence).collect();
        let told: Vec<String> = round_silences
            .iter()
            .zip(&clients)
            .map(|(silence, client)| format!("{} {:.1} s", client.name, silence.as_secs_f64()))
            .collect();
        println!(
            "{:3} {strike}: {} -> {}; silent: {}",
            round + 1,
            ground.nodes[master].address.port(),
            ground.nodes[next].address.port(),
            told.join(", ")
        );
        for (all, silence) in silences.iter_mut().zip(round_silences) {
            all.push(silence);
        }
    }
    let master = ground.wait(Ground::settled)?;
    until_at_work(ground, &mut clients, master)?;
    uncalled += u64::from(master != led_by);
    let failovers = options.failovers;
    println!("{failovers} failovers, and {uncalled} that nobody had called for");
    let mut lost = 0;
    for (client, silences) in clients.into_iter().zip(&mut silences) {
        silences.sort();
        lost += judge(client, &ground.nodes[master], silences)?;
    }
    if lost > 0 && options.site.is_safe() {
        let what = format!("{lost} acknowledged entries are lost");
        return Err(Fault::Violation(what));
    }
    Ok(())
}

/// Waits until every client has had entries acknowledged from now on, and has one of these on the
/// node.
fn until_at_work(ground: &mut Ground, clients: &mut [Client], node: usize) -> Result<(), Fault> {
    let since: Vec<u64> = clients
        .iter()
        .map(|client| client.heard().acknowledged)
        .collect();
    let waited = ground.wait(|ground| {
        for (client, since) in clients.iter_mut().zip(&since) {
            if let Some(obituary) = client.obituary(ground.path()) {
                return Ok(Err(Fault::Violation(obituary)));
            }
            let heard = client.heard();
            if let Some(nonsense) = heard.nonsense {
                let what = format!("{} says {nonsense}", client.name);
                return Ok(Err(Fault::Violation(what)));
            }
            let name = client.name;
            if heard.acknowledged < since + AT_WORK {
                return Err(format!("{name} does not get on: {:?}", heard.errors));
            }
            if last(&ground.nodes[node], &client.key) <= Some(*since) {
                return Err(format!("{name} does not write to the new master"));
            }
        }
        Ok(Ok(()))
    });
    waited?
}

/// The number of the last entry of a stream.
fn last(node: &Node, key: &str) -> Option<u64> {
    let reply = node.ask(&["XREVRANGE", key, "+", "-", "COUNT", "1"])?;
    numbers(reply.elements()?).last().copied()
}

/// The numbers that entries hold.
fn numbers(entries: &[Reply]) -> Vec<u64> {
    let number = |entry: &Reply| {
        let fields = entry.elements()?.get(1)?.elements()?;
        let text = std::str::from_utf8(fields.get(1)?.text()?).ok()?;
        text.parse().ok()
    };
    entries.iter().filter_map(number).collect()
}

/// Ends a client, tells what became of it, and counts what is lost of its entries.
fn judge(client: Client, node: &Node, silences: &[Duration]) -> Result<u64, Fault> {
    let (name, key) = (client.name, client.key.clone());
    let heard = client.heard();
    drop(client);
    let asked = Connection::open_with(node.address, Duration::from_secs(30))?
        .ask(&["XRANGE", &key, "-", "+"]);
    let Answer::Reply(reply) = &asked else {
        return Err(Fault::Violation(format!("XRANGE is answered {asked}")));
    };
    let found: BTreeSet<u64> = numbers(reply.elements().unwrap_or_default())
        .into_iter()
        .collect();
    let lost = (1..=heard.acknowledged).filter(|number| !found.contains(number));
    let lost = lost.count() as u64;
    let seconds = |at: usize| silences.get(at).map_or(0.0, Duration::as_secs_f64);
    println!(
        "{name}: {} entries acknowledged, {lost} of them lost, {} written twice; silent for {:.1} \
         s (median), {:.1} s (longest); told of {} errors",
        heard.acknowledged,
        reply.elements().map_or(0, <[Reply]>::len) - found.len(),
        seconds(silences.len() / 2),
        seconds(silences.len().saturating_sub(1)),
        heard.errors.values().sum::<u64>()
    );
    for (error, count) in heard.errors {
        println!("    {count:4} x {error}");
    }
    Ok(lost)
}
