//! The real program on a real disk that fills up, and on one that breaks down: a file system of 64
//! MiB, mounted for the purpose.
//!
//! Nothing that was acknowledged is lost, whatever comes together: full, killed while full, started
//! while full. Meanwhile reading, acknowledging, deleting and trimming go on; and when there is
//! space again, so does writing. `HEADWATER_BUDGET=10` fills five disks instead of one.
//!
//! This needs root and loop devices. Where nothing can be mounted it fails and says so;
//! `HEADWATER_NO_MOUNT=1` leaves it out.

#![expect(clippy::unwrap_used, reason = "the helpers of tests are tests, too")]
#![expect(clippy::print_stdout, reason = "what is left out is said")]

#[expect(
    dead_code,
    reason = "shared with tests/wire.rs, which needs more of it"
)]
#[path = "wire/client.rs"]
mod client;
#[path = "disk_full/ledger.rs"]
mod ledger;
#[expect(
    dead_code,
    reason = "shared with tests/wire.rs, which needs more of it"
)]
#[path = "wire/server.rs"]
mod server;
#[path = "disk_full/volume.rs"]
mod volume;

use std::fs;
use std::time::{Duration, Instant};

use client::{Client, PATIENCE};
use headwater_resp::reply::Reply;
use ledger::{KEY, Ledger};
use rustix::process::Signal;
use server::Server;
use volume::Volume;

const MIB: u64 = 1 << 20;

/// How long it may take until space that is there again is used. The server looks every second.
const RESUMED_WITHIN: Duration = Duration::from_secs(10);

/// The exit code after the log failed.
const LOG_FAILED: i32 = 74;

#[test]
fn nothing_is_lost_when_there_is_no_space_at_all() {
    for _ in 0..budget() {
        fill(&["--disk-low", "0", "--disk-full", "0"]);
    }
}

#[test]
fn nothing_is_lost_when_growth_is_refused_in_time() {
    for _ in 0..budget() {
        fill(&["--disk-full", "8mb"]);
    }
}

/// Fills the disk twice, kills the server when it is full, and makes space.
fn fill(marks: &[&str]) {
    let Some(volume) = Volume::new(64 * MIB) else {
        return;
    };
    // A neighbour's file, in whose place the log can grow afterwards.
    let ballast = volume.ballast(24 * MIB);
    let data = volume.path().join("data");
    let directives = [&["--segment-size", "1mb"][..], marks].concat();
    let mut ledger = Ledger::default();
    let server = Server::start(&data, &directives);
    let mut client = server.connect();
    Ledger::create(&mut client);
    fill_up(&mut ledger, &mut client);
    work_while_full(&mut ledger, &mut client);

    // Somebody still tries when it dies.
    ledger.send(&mut client);
    server.signal(Signal::KILL);
    server.ended();
    let server = Server::start(&data, &directives);
    let mut client = server.connect();
    ledger.verify(&mut client);
    fill_up(&mut ledger, &mut client);
    work_while_full(&mut ledger, &mut client);

    fs::remove_file(ballast).unwrap();
    resume(&mut ledger, &mut client);
    fill_up(&mut ledger, &mut client);
    let free = volume.free();
    ledger.trim(&mut client, 10);
    resume(&mut ledger, &mut client);
    let began = Instant::now();
    while volume.free() <= free {
        assert!(began.elapsed() < PATIENCE, "trimming freed nothing");
        std::thread::sleep(Duration::from_millis(10));
    }
    ledger.verify(&mut client);
    server.signal(Signal::TERM);
    let ended = server.ended();
    assert!(ended.status.success(), "{}: {}", ended.status, ended.said);
    assert!(!ended.said.contains("ERROR"), "{}", ended.said);

    let server = Server::start(&data, &directives);
    ledger.verify(&mut server.connect());
}

/// Adds entries until one batch after the other is refused.
fn fill_up(ledger: &mut Ledger, client: &mut Client) {
    let began = Instant::now();
    let mut refused = 0;
    while refused < 3 {
        let batch = ledger.add(client);
        refused = if batch.added == 0 { refused + 1 } else { 0 };
        assert!(began.elapsed() < PATIENCE, "the disk does not fill up");
    }
}

/// What goes on while nothing can be added.
fn work_while_full(ledger: &mut Ledger, client: &mut Client) {
    ledger.deliver(client, 100);
    ledger.acknowledge(client, 60);
    ledger.delete(client, 10);
    let kept = ledger.count() - 200;
    ledger.trim(client, kept);
    let length = i64::try_from(ledger.count()).unwrap();
    assert_eq!(client.ask(&["XLEN", KEY]), Reply::Int(length));
}

/// Entries are taken again, soon.
fn resume(ledger: &mut Ledger, client: &mut Client) {
    let began = Instant::now();
    while ledger.add(client).added == 0 {
        assert!(began.elapsed() < RESUMED_WITHIN, "writing does not resume");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// The kernel makes the file system read-only when something is wrong with it: from then on every
/// sync fails.
#[test]
fn a_disk_that_breaks_down_ends_the_server_and_loses_nothing() {
    let Some(volume) = Volume::new(64 * MIB) else {
        return;
    };
    let data = volume.path().join("data");
    let mut ledger = Ledger::default();
    let directives = ["--segment-size", "1mb"];
    let server = Server::start(&data, &directives);
    let mut client = server.connect();
    Ledger::create(&mut client);
    for _ in 0..20 {
        assert_eq!(ledger.add(&mut client).refused, 0);
    }
    ledger.deliver(&mut client, 100);
    ledger.acknowledge(&mut client, 50);
    volume.break_down();
    let batch = ledger.add(&mut client);
    assert_eq!(
        batch.added, 0,
        "{batch:?} was acknowledged on a broken disk"
    );
    let ended = server.ended();
    assert_eq!(ended.status.code(), Some(LOG_FAILED), "{}", ended.said);
    assert!(
        ended.said.contains("nothing is acknowledged any more"),
        "{}",
        ended.said
    );

    volume.remount();
    let server = Server::start(&data, &directives);
    ledger.verify(&mut server.connect());
}

/// How many disks are filled.
fn budget() -> u64 {
    let budget =
        std::env::var("HEADWATER_BUDGET").map_or(1, |budget| budget.parse::<u64>().unwrap());
    budget.div_ceil(2)
}
