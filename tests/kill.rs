//! The server is killed with SIGKILL over and over, under load and under every `appendfsync`: no
//! entry is lost, no delivery forgotten, no acknowledgement taken back.
//!
//! Killing a process leaves the page cache alone. So what is acknowledged must survive under every
//! policy, and whether it would survive a loss of power is not asked here: that is for the
//! simulated disks of `store`.
//!
//! The records are of all sizes and the segments small, so that kills also meet the end of a
//! segment; and the consumers are greedy, so that entries change hands all the time.
//! What is checked, and how, is told in `job`. `HEADWATER_BUDGET=10` kills ten times as often;
//! `HEADWATER_SEED=7` runs one case again.

#![expect(clippy::unwrap_used, reason = "the helpers of tests are tests, too")]
#![expect(clippy::print_stdout, reason = "a random test says its seed")]

#[path = "job/job.rs"]
mod job;

use job::{Chance, Job, Plan, Record};

/// How many records go through for each kill.
const RECORDS_PER_KILL: u64 = 1500;

#[test]
fn nothing_is_lost_to_kills_when_every_reply_waits_for_a_sync() {
    kill("always", 40);
}

#[test]
fn nothing_is_lost_to_kills_when_syncs_come_every_second() {
    kill("everysec", 20);
}

#[test]
fn nothing_is_lost_to_kills_when_the_kernel_decides() {
    kill("no", 20);
}

fn kill(appendfsync: &'static str, kills: u64) {
    let kills = kills * budget();
    let mut chance = Chance::from_environment();
    let records = (0..kills * RECORDS_PER_KILL)
        .map(|_| record(&mut chance))
        .collect();
    let plan = Plan {
        kills,
        chance,
        idle_ms: 1,
        batches_per_look: 3,
        directives: vec!["--appendfsync", appendfsync, "--segment-size", "1mb"],
    };
    Job::new("kills", records, plan).run(&|_| {});
}

/// One to five fields, mostly short, and sometimes one that is longer than a read.
fn record(chance: &mut Chance) -> Record {
    const FIELDS: [&str; 5] = ["a", "subject", "body", "priority", "attempts so far"];
    let fields = chance.between(1, 6);
    let mut field = |name: &&'static str| {
        let longest = if chance.one_in(500) { 20_000 } else { 60 };
        let length = usize::try_from(chance.between(0, longest)).unwrap();
        (
            *name,
            "0123456789abcdef".repeat(length / 16 + 1)[..length].to_owned(),
        )
    };
    let names = FIELDS.iter().take(usize::try_from(fields).unwrap());
    names.map(&mut field).collect()
}

/// How much longer than usual random tests are to be.
fn budget() -> u64 {
    std::env::var("HEADWATER_BUDGET").map_or(1, |budget| budget.parse().unwrap())
}
