//! A failover to look at: a pair, three monitors, a client that writes, and somebody who kills.
//!
//! What the monitors tell is shown as it comes, with the time since the master died. A node that
//! was killed, by Enter or by anybody else, is started again when another one leads.

use std::io::{self, BufRead as _};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use super::fault::Fault;
use super::ground::{Ground, LOOK};
use super::monitor::MASTER;
use super::node::Node;
use super::seeker::Seeker;
use super::silence::Silence;
use super::site::Site;
use super::strike::another;
use crate::connection::{Answer, Connection};
use crate::reply::Reply;

/// How long the client waits for a reply, and between two entries.
const REPLY_MAX: Duration = Duration::from_secs(1);
const PACE: Duration = Duration::from_millis(20);

/// Nobody knows when the next event comes.
const EVENT_MAX: Duration = Duration::from_secs(24 * 3600);

/// Options of `failover demo`.
#[derive(clap::Args)]
pub(super) struct Options {
    #[command(flatten)]
    site: Site,
    /// Kills the master once, without being asked, and ends when all is well again.
    #[arg(long)]
    once: bool,
}

/// Runs the demonstration.
///
/// # Errors
///
/// When something does not start, or does not come back.
pub(super) fn run(options: &Options) -> Result<(), Fault> {
    let site = options.site.without_sync();
    println!("{site}; starting ...");
    let mut ground = Ground::take(&site)?;
    let scene = Scene::new();
    let seeker = Seeker::on(&ground, REPLY_MAX);
    let watch = ground.watch();
    let ended = thread::scope(|scope| {
        scope.spawn(|| write(&seeker, &scene));
        // The one that waits for events has no end, and ends with the process.
        let clock = scene.clock();
        thread::spawn(move || show_events(&watch, &clock));
        let ended = if options.once {
            once(&mut ground, &scene)
        } else {
            show(&mut ground, &scene)
        };
        scene.over.store(true, Ordering::Relaxed);
        ended
    });
    super::close(ground, ended)
}

fn once(ground: &mut Ground, scene: &Scene) -> Result<(), Fault> {
    let master = ground.wait(Ground::settled)?;
    ground.wait(|_| scene.has_written())?;
    scene.begin();
    ground.nodes[master].kill()?;
    follow(ground, master, scene)
}

/// Waits for deaths, and shows what follows, until the process is ended.
fn show(ground: &mut Ground, scene: &Scene) -> Result<(), Fault> {
    let enter = listen();
    loop {
        let master = ground.wait(Ground::settled)?;
        introduce(ground, master);
        let victim = loop {
            match enter.recv_timeout(LOOK) {
                Ok(()) => {
                    scene.begin();
                    ground.nodes[master].kill()?;
                    break master;
                }
                Err(RecvTimeoutError::Timeout) => {}
                // Nobody can press Enter, but kill.
                Err(RecvTimeoutError::Disconnected) => thread::sleep(LOOK),
            }
            let mut nodes = ground.nodes.iter_mut();
            if let Some(dead) = nodes.position(|node| node.obituary().is_some()) {
                scene.begin();
                break dead;
            }
        };
        if victim == master {
            follow(ground, master, scene)?;
        } else {
            println!("the replica was killed: it comes back");
            ground.start(victim)?;
        }
    }
}

/// Shows what follows the death of the master.
fn follow(ground: &mut Ground, master: usize, scene: &Scene) -> Result<(), Fault> {
    println!("{} the master is dead", scene.time());
    let next = another(ground, master)?;
    println!(
        "{} all monitors name {}",
        scene.time(),
        ground.nodes[next].address
    );
    ground.start(master)?;
    println!(
        "{} {} is started again",
        scene.time(),
        ground.nodes[master].address
    );
    ground.wait(|_| scene.has_written())?;
    let next = ground.wait(Ground::settled)?;
    println!(
        "{} it follows {}; the client had nothing acknowledged for {:.2} s",
        scene.time(),
        ground.nodes[next].address,
        scene.silence().as_secs_f64()
    );
    Ok(())
}

fn introduce(ground: &Ground, master: usize) {
    let line = |node: &Node| {
        let number = node.number().unwrap_or_default();
        format!("{}   process {number}", node.address)
    };
    println!();
    for (number, node) in ground.nodes.iter().enumerate() {
        let role = if number == master {
            "master "
        } else {
            "replica"
        };
        println!("  {role}  {}", line(node));
    }
    for monitor in &ground.monitors {
        println!("  monitor  {}", line(monitor));
    }
    let node = &ground.nodes[master];
    let (port, replica) = (node.address.port(), 1 - master.min(1));
    let replica = ground.nodes.get(replica).unwrap_or(node).address.port();
    let monitor = ground.monitors.first().map_or(0, |all| all.address.port());
    println!("\nin another terminal:");
    for line in [
        format!("redis-cli -p {port} XADD jobs '*' task mail"),
        format!("redis-cli -p {replica} XRANGE jobs - +"),
        format!("redis-cli -p {replica} XADD jobs '*' task mail     (is refused)"),
        format!("redis-cli -p {monitor} SENTINEL GET-MASTER-ADDR-BY-NAME {MASTER}"),
        format!("redis-cli -p {monitor} SENTINEL REPLICAS {MASTER}"),
        format!("redis-cli -p {monitor} SENTINEL FAILOVER {MASTER}"),
        format!("kill -9 {}", node.number().unwrap_or_default()),
    ] {
        println!("  {line}");
    }
    println!("\nEnter kills the master, too. Ctrl-C ends everything, and removes it.\n");
}

/// Tells of each line on the standard input.
fn listen() -> Receiver<()> {
    let (pressed, enter) = mpsc::channel();
    thread::spawn(move || {
        for line in io::stdin().lock().lines() {
            if line.is_err() || pressed.send(()).is_err() {
                return;
            }
        }
    });
    enter
}

/// Prints what a monitor tells, whichever of them can be asked.
fn show_events(monitors: &[SocketAddr], clock: &Mutex<Instant>) {
    for &monitor in monitors.iter().cycle() {
        let Ok(mut connection) = Connection::open_with(monitor, EVENT_MAX) else {
            thread::sleep(PACE);
            continue;
        };
        let mut answer = connection.ask(&["PSUBSCRIBE", "*"]);
        while let Answer::Reply(reply) = answer {
            if let Some([kind, _, event, about]) = reply.elements()
                && kind.text() == Some(b"pmessage")
            {
                let text = |part: &Reply| {
                    String::from_utf8_lossy(part.text().unwrap_or_default()).into_owned()
                };
                println!("{}     {} {}", time(clock), text(event), text(about));
            }
            answer = connection.answer();
        }
    }
}

/// What the client and the one who shows know of each other.
struct Scene {
    /// When the master died last.
    clock: Arc<Mutex<Instant>>,
    over: AtomicBool,
    /// Entries since then.
    written: AtomicU64,
    silence: Silence,
}

impl Scene {
    fn new() -> Self {
        Self {
            clock: Arc::new(Mutex::new(Instant::now())),
            over: AtomicBool::new(false),
            written: AtomicU64::new(0),
            silence: Silence::new(),
        }
    }

    fn begin(&self) {
        if let Ok(mut clock) = self.clock.lock() {
            *clock = Instant::now();
        }
        self.silence.begin();
        self.written.store(0, Ordering::Relaxed);
    }

    fn clock(&self) -> Arc<Mutex<Instant>> {
        Arc::clone(&self.clock)
    }

    fn time(&self) -> String {
        time(&self.clock)
    }

    fn silence(&self) -> Duration {
        self.silence.longest()
    }

    fn has_written(&self) -> Result<(), String> {
        match self.written.load(Ordering::Relaxed) {
            0 => Err("the client does not get on".to_owned()),
            _ => Ok(()),
        }
    }
}

fn time(clock: &Mutex<Instant>) -> String {
    let since = clock.lock().map_or(Duration::ZERO, |clock| clock.elapsed());
    format!("{:7.2} s", since.as_secs_f64())
}

/// Writes an entry now and then, to whoever is the master.
fn write(seeker: &Seeker, scene: &Scene) {
    while !scene.over.load(Ordering::Relaxed) {
        let Some(mut connection) = seeker.connect() else {
            thread::sleep(PACE);
            continue;
        };
        while !scene.over.load(Ordering::Relaxed) {
            let asked = connection.ask(&["XADD", "demo", "MAXLEN", "~", "1000", "*", "n", "1"]);
            if !matches!(asked, Answer::Reply(Reply::Bulk(_))) {
                break;
            }
            scene.silence.broken();
            scene.written.fetch_add(1, Ordering::Relaxed);
            thread::sleep(PACE);
        }
    }
}
