//! Kills of the master under load, with the return of the old one: is anything forgotten?
//!
//! Every worker has a stream with a group, adds to it, reads from it and acknowledges, as fast as
//! it is answered, and keeps a [`Ledger`] of what it was told. The master is killed at some moment,
//! and comes back at some other one: most often when another one leads, but it may be before that,
//! or while the other one takes over. When all is quiet, every ledger is compared with what is
//! there, on every node.
//!
//! Servers that answer before a replica has what they answer lose something now and then. How much
//! is what the drill tells then.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use super::fault::Fault;
use super::ground::Ground;
use super::ledger::{Ledger, Losses, Trouble};
use super::seeker::Seeker;
use super::silence::Silence;
use super::site::Site;
use super::strike::another;
use crate::chance::Chance;

/// How long a worker waits for a reply before it looks for the master again.
const REPLY_MAX: Duration = Duration::from_secs(3);

/// Between two batches, and between two looks for the master.
const PACE: Duration = Duration::from_millis(2);

/// How many batches show that a worker is at work.
const AT_WORK: u64 = 5;

/// Options of `failover kills`.
#[derive(clap::Args)]
pub(super) struct Options {
    #[command(flatten)]
    site: Site,
    /// How often the master is killed.
    #[arg(long, default_value_t = 50)]
    kills: u64,
    /// Workers, each with a stream and a group of its own.
    #[arg(long, default_value_t = 4)]
    workers: usize,
}

/// What was done.
#[derive(Default)]
struct Totals {
    kills: u64,
    takeovers: u64,
    /// Failovers although nobody was killed.
    uncalled: u64,
    entries: u64,
    /// Kills that something was lost by.
    costly: u64,
    losses: Losses,
    silences: Vec<Duration>,
}

/// Runs the drill.
///
/// # Errors
///
/// When something is lost that must not be, or a failover does not come to an end.
pub(super) fn run(options: &Options) -> Result<(), Fault> {
    let seed = options.site.seed();
    println!("failover kills: seed {seed}; {}", options.site);
    let mut ground = Ground::take(&options.site)?;
    let mut totals = Totals::default();
    let ended = drill(options, &mut ground, &mut Chance::new(seed), &mut totals);
    totals.silences.sort();
    let silence = totals.silences.get(totals.silences.len() / 2);
    println!(
        "{} kills, after {} of which another one led, and {} failovers that nobody had called \
         for; {} entries acknowledged; {}, by {} of the kills; nothing acknowledged for {:.1} s \
         (median)",
        totals.kills,
        totals.takeovers,
        totals.uncalled,
        totals.entries,
        totals.losses,
        totals.costly,
        silence.map_or(0.0, Duration::as_secs_f64)
    );
    super::close(ground, ended)
}

fn drill(
    options: &Options,
    ground: &mut Ground,
    chance: &mut Chance,
    totals: &mut Totals,
) -> Result<(), Fault> {
    let is_safe = options.site.is_safe();
    let mut ledgers: Vec<Ledger> = (0..options.workers)
        .map(|number| Ledger::new(number, is_safe))
        .collect();
    let mut led_by = ground.wait(Ground::settled)?;
    let seeker = Seeker::on(ground, REPLY_MAX);
    for ledger in &ledgers {
        let mut connection = seeker.connect().ok_or_else(vanished)?;
        ledger.create(&mut connection).map_err(wrong)?;
    }
    for _ in 0..options.kills {
        let mut master = ground.wait(Ground::settled)?;
        totals.uncalled += u64::from(master != led_by);
        let scene = Scene::new(ledgers.len());
        let next = thread::scope(|scope| {
            for (number, ledger) in ledgers.iter_mut().enumerate() {
                let (scene, seeker) = (&scene, &seeker);
                scope.spawn(move || work(ledger, number, seeker, scene));
            }
            let struck = strike(options, ground, master, &scene, chance);
            scene.over.store(true, Ordering::Relaxed);
            struck
        });
        if let Some(what) = scene.wrong.into_inner().unwrap_or_default() {
            return Err(Fault::Violation(what));
        }
        let next = next?;
        totals.kills += 1;
        totals.takeovers += u64::from(next != master);
        totals.silences.push(scene.silence.longest());
        (led_by, master) = (next, next);
        caught_up(ground, master)?;
        let mut losses = Losses::default();
        for ledger in &mut ledgers {
            totals.entries += ledger.added();
            let lost = ledger.compare(&ground.nodes[master]).map_err(wrong)?;
            losses.add(lost);
            if is_safe {
                for node in &ground.nodes {
                    let lost = ledger.compare(node).map_err(wrong)?;
                    if lost.any() {
                        let what = format!("{}: {lost}", node.address);
                        return Err(Fault::Violation(what));
                    }
                }
            }
            ledger
                .turn_over(&ground.nodes[master], lost.any())
                .map_err(wrong)?;
        }
        totals.costly += u64::from(losses.any());
        totals.losses.add(losses);
    }
    Ok(())
}

/// Kills the master while all are at work, lets it come back, and waits until all are at work
/// again. Returns who leads then.
fn strike(
    options: &Options,
    ground: &mut Ground,
    master: usize,
    scene: &Scene,
    chance: &mut Chance,
) -> Result<usize, Fault> {
    let since = scene.done();
    ground.wait(|_| scene.at_work(&since))?;
    thread::sleep(Duration::from_millis(chance.below(300)));
    scene.silence.begin();
    ground.nodes[master].kill()?;
    if chance.once_in(3) {
        let moment = options.site.down_after() + Duration::from_millis(1500);
        let moment = chance.below(u64::try_from(moment.as_millis()).unwrap_or(1));
        thread::sleep(Duration::from_millis(moment));
    } else {
        another(ground, master)?;
    }
    ground.start(master)?;
    ground.wait(Ground::settled)?;
    let since = scene.done();
    ground.wait(|_| scene.at_work(&since))?;
    // It may be that another one takes over after all.
    ground.wait(Ground::settled)
}

/// Waits until all replicas have what their master has.
fn caught_up(ground: &mut Ground, master: usize) -> Result<(), Fault> {
    let offset = |ground: &Ground, node: usize, name: &str| -> Option<u64> {
        ground.nodes[node].info()?.get(name)?.parse().ok()
    };
    let wanted = ground.wait(|ground| {
        let offset = offset(ground, master, "master_repl_offset");
        offset.ok_or_else(|| "the master does not tell its offset".to_owned())
    })?;
    ground.wait(|ground| {
        for node in (0..ground.nodes.len()).filter(|&node| node != master) {
            if offset(ground, node, "slave_repl_offset") < Some(wanted) {
                let of = ground.nodes[node].address;
                return Err(format!("{of} is behind"));
            }
        }
        Ok(())
    })
}

/// What a worker and the one who kills know of each other.
struct Scene {
    /// Batches of each worker.
    batches: Vec<AtomicU64>,
    over: AtomicBool,
    wrong: Mutex<Option<String>>,
    silence: Silence,
}

impl Scene {
    fn new(workers: usize) -> Self {
        Self {
            batches: (0..workers).map(|_| AtomicU64::new(0)).collect(),
            over: AtomicBool::new(false),
            wrong: Mutex::new(None),
            silence: Silence::new(),
        }
    }

    fn done(&self) -> Vec<u64> {
        let load = |batches: &AtomicU64| batches.load(Ordering::Relaxed);
        self.batches.iter().map(load).collect()
    }

    /// Whether everybody has got on, or one of them is wronged, which ends everything.
    fn at_work(&self, since: &[u64]) -> Result<(), String> {
        let mut both = self.done().into_iter().zip(since);
        if self.over.load(Ordering::Relaxed) || both.all(|(now, then)| now >= then + AT_WORK) {
            Ok(())
        } else {
            Err("a worker does not get on".to_owned())
        }
    }
}

fn work(ledger: &mut Ledger, number: usize, seeker: &Seeker, scene: &Scene) {
    while !scene.over.load(Ordering::Relaxed) {
        let Some(mut connection) = seeker.connect() else {
            thread::sleep(PACE);
            continue;
        };
        while !scene.over.load(Ordering::Relaxed) {
            match ledger.batch(&mut connection) {
                Ok(()) => {
                    scene.batches[number].fetch_add(1, Ordering::Relaxed);
                    scene.silence.broken();
                    thread::sleep(PACE);
                }
                Err(Trouble::Gone) => break,
                Err(Trouble::Wrong(what)) => {
                    if let Ok(mut wrong) = scene.wrong.lock() {
                        wrong.get_or_insert(what);
                    }
                    scene.over.store(true, Ordering::Relaxed);
                }
            }
        }
    }
}

fn vanished() -> Fault {
    Fault::Violation("the master is gone although nobody touched it".to_owned())
}

fn wrong(trouble: Trouble) -> Fault {
    match trouble {
        Trouble::Gone => vanished(),
        Trouble::Wrong(what) => Fault::Violation(what),
    }
}
