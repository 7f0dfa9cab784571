//! The main job on real input: 200,000 flights go through a stream to a group of consumers, and
//! the totals come out right although the server is killed again and again on the way.
//!
//! The flights are those that the npm package `vega-datasets` ships: what each was late by, how
//! far it went, and when it left. What the consumers add up must equal what is added up directly
//! from the file. All else that the job promises is checked where it happens: see `job`.
//!
//! The moments of the kills come from a seed, which is printed; `HEADWATER_SEED=7` runs one again.

#![expect(clippy::unwrap_used, reason = "the helpers of tests are tests, too")]
#![expect(clippy::print_stdout, reason = "a random test says its seed")]

#[path = "job/job.rs"]
mod job;

use std::fs;
use std::path::{Path, PathBuf};

use job::{Chance, Entry, Job, Plan, Record};
use parking_lot::Mutex;

#[test]
fn flights_add_up_although_the_server_is_killed() {
    let flights = read();
    let mut expected = Totals::default();
    for flight in &flights {
        expected.add(flight);
    }
    let records: Vec<Record> = flights.iter().map(Flight::to_record).collect();

    let found = Mutex::new(Totals::default());
    let plan = Plan {
        kills: 8,
        chance: Chance::from_environment(),
        idle_ms: 500,
        batches_per_look: 50,
        directives: Vec::new(),
    };
    Job::new("flights", records, plan).run(&|entry: &Entry| {
        found.lock().add(&Flight::from_entry(entry));
    });

    assert_eq!(*found.lock(), expected);
}

/// One line of the file, in its units: minutes, miles, and the hour of the day.
struct Flight {
    delay: i64,
    distance: i64,
    time: f64,
}

impl Flight {
    fn to_record(&self) -> Record {
        vec![
            ("delay", self.delay.to_string()),
            ("distance", self.distance.to_string()),
            ("time", self.time.to_string()),
        ]
    }

    fn from_entry(entry: &Entry) -> Self {
        Self {
            delay: entry.get("delay").unwrap(),
            distance: entry.get("distance").unwrap(),
            time: entry.get("time").unwrap(),
        }
    }
}

/// What the consumers are there to find out.
#[derive(Debug, Default, PartialEq, Eq)]
struct Totals {
    flights: u64,
    delay: i64,
    distance: i64,
    /// Flights by the hour in which they left.
    hours: [u64; 24],
}

impl Totals {
    fn add(&mut self, flight: &Flight) {
        let hour = (0..24).find(|hour| flight.time < f64::from(hour + 1));
        self.flights += 1;
        self.delay += flight.delay;
        self.distance += flight.distance;
        self.hours[usize::try_from(hour.unwrap()).unwrap()] += 1;
    }
}

/// The file, as it lies where `redis-compat/setup` installs it.
fn read() -> Vec<Flight> {
    let oracle = std::env::var_os("HEADWATER_ORACLE").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("target/oracle"),
        PathBuf::from,
    );
    let path = oracle.join("node_modules/vega-datasets/data/flights-200k.json");
    let text = fs::read_to_string(&path).unwrap_or_else(|error| {
        panic!(
            "could not read {}: {error}. `redis-compat/setup` installs it",
            path.display()
        )
    });
    let lines: serde_json::Value = text.parse().unwrap();
    let lines = lines.as_array().unwrap();
    lines
        .iter()
        .map(|line| Flight {
            delay: line["delay"].as_i64().unwrap(),
            distance: line["distance"].as_i64().unwrap(),
            time: line["time"].as_f64().unwrap(),
        })
        .collect()
}
