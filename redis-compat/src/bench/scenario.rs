//! What is measured: the list of scenarios, and how one is run.
//!
//! ```text
//! xadd/everysec/p16/c50      XADD, pipelines of 16, 50 connections
//! xreadgroup/everysec/n10    XREADGROUP COUNT 10 and XACK
//! publish/everysec/s100      PUBLISH to 100 subscribers
//! flow/always/200-open       producers and consumers with 200 entries under way
//! ```
//!
//! Each run has a fresh server on an empty directory, so that no scenario inherits the memory,
//! the files or the luck of another.

use super::{
    entry,
    fault::Fault,
    load::{self, Sample, Window, Workload},
    server::{Peer, Policy, Server, Site},
    workload::{Append, FanOut, Flow, Pace, Publish, Range, Work, create_group},
};

/// Connections of the scenarios that do not vary them: what the servers' own benchmark uses.
const CONNECTIONS: usize = 50;
/// Producers, and as many consumers, of the scenarios with both.
const PRODUCERS: usize = 10;
/// The offered load: well below what the slowest server can do.
const ENTRIES_A_SECOND: u32 = 5000;
/// Entries under way where as much goes through as can.
const ENTRIES_OPEN: u32 = 200;
/// Entries of one XRANGE.
const RANGE_COUNT: u32 = 100;
/// Who waits for each entry of the fan-out.
const READERS: usize = 100;

/// One thing that is measured.
#[derive(Clone, Debug)]
pub(super) struct Scenario {
    pub(super) name: String,
    /// Whether it is part of the quick bench.
    pub(super) quick: bool,
    pub(super) policy: Policy,
    pub(super) kind: Kind,
}

/// What the load does.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    Append {
        pipeline: usize,
        connections: usize,
    },
    FanOut,
    Flow(Pace),
    Publish {
        subscribers: usize,
    },
    Range,
    /// Has figures of its own: see [`super::restart`].
    Restart,
    Work {
        count: usize,
    },
}

/// Everything that can be measured, in the order of the report.
pub(super) fn catalog() -> Vec<Scenario> {
    let mut list = Vec::new();
    let mut add = |name: String, quick, policy, kind| {
        list.push(Scenario {
            name,
            quick,
            policy,
            kind,
        });
    };
    for policy in [Policy::EverySec, Policy::Always] {
        let everysec = policy == Policy::EverySec;
        for pipeline in [1, 16, 100] {
            for connections in [1, 50, 200] {
                let name = format!("xadd/{policy}/p{pipeline}/c{connections}");
                let quick = connections == 50 && (everysec || pipeline == 1)
                    || connections == 1 && pipeline == 1;
                add(
                    name,
                    quick,
                    policy,
                    Kind::Append {
                        pipeline,
                        connections,
                    },
                );
            }
        }
    }
    for count in [1, 10, 100] {
        let name = format!("xreadgroup/everysec/n{count}");
        add(name, count > 1, Policy::EverySec, Kind::Work { count });
    }
    add(
        "xreadgroup/always/n10".to_owned(),
        false,
        Policy::Always,
        Kind::Work { count: 10 },
    );
    add(
        format!("xrange/everysec/n{RANGE_COUNT}"),
        true,
        Policy::EverySec,
        Kind::Range,
    );
    for policy in [Policy::EverySec, Policy::Always] {
        let quick = policy == Policy::EverySec;
        let rate = Kind::Flow(Pace::Rate(ENTRIES_A_SECOND));
        add(
            format!("flow/{policy}/{ENTRIES_A_SECOND}-per-s"),
            quick,
            policy,
            rate,
        );
        let open = Kind::Flow(Pace::Window(ENTRIES_OPEN));
        add(
            format!("flow/{policy}/{ENTRIES_OPEN}-open"),
            quick,
            policy,
            open,
        );
    }
    for policy in [Policy::EverySec, Policy::Always] {
        let quick = policy == Policy::EverySec;
        add(
            format!("fan-out/{policy}/r{READERS}"),
            quick,
            policy,
            Kind::FanOut,
        );
    }
    for subscribers in [1, 100] {
        add(
            format!("publish/everysec/s{subscribers}"),
            subscribers > 1,
            Policy::EverySec,
            Kind::Publish { subscribers },
        );
    }
    add(
        "restart/everysec".to_owned(),
        true,
        Policy::EverySec,
        Kind::Restart,
    );
    list
}

impl Scenario {
    /// Runs it once against a new server that holds `entries`, if it reads old ones.
    ///
    /// # Errors
    ///
    /// See [`Fault`].
    ///
    /// # Panics
    ///
    /// On [`Kind::Restart`], which gives no sample.
    pub(super) fn run(
        &self,
        site: &Site,
        peer: &Peer,
        window: Window,
        entries: u64,
    ) -> Result<Sample, Fault> {
        let dir = site.directory()?;
        let server = Server::start(site, peer, self.policy, dir.path())?;
        let mut client = server.client()?;
        match self.kind {
            Kind::Append {
                pipeline,
                connections,
            } => drive(Append::new(pipeline, connections), &server, window, site),
            Kind::FanOut => drive(FanOut::new(READERS), &server, window, site),
            Kind::Flow(pace) => {
                create_group(&mut client)?;
                let flow = Flow::new(PRODUCERS, PRODUCERS, pace, entry::VALUE_LEN);
                drive(flow, &server, window, site)
            }
            Kind::Publish { subscribers } => {
                drive(Publish::new(subscribers), &server, window, site)
            }
            Kind::Range => {
                client.fill(entries)?;
                drive(
                    Range::new(RANGE_COUNT, CONNECTIONS, entries),
                    &server,
                    window,
                    site,
                )
            }
            Kind::Restart => unreachable!("the restart has figures of its own"),
            Kind::Work { count } => {
                client.fill(entries)?;
                create_group(&mut client)?;
                drive(Work::new(count, CONNECTIONS), &server, window, site)
            }
        }
    }
}

fn drive(
    mut work: impl Workload,
    server: &Server,
    window: Window,
    site: &Site,
) -> Result<Sample, Fault> {
    load::drive(&mut work, server, &site.cores, window)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn a_name_means_one_scenario_and_tells_its_policy() {
        let catalog = catalog();
        let names: HashSet<&str> = catalog.iter().map(|scenario| &*scenario.name).collect();
        assert_eq!(names.len(), catalog.len());
        for scenario in &catalog {
            let policy = scenario.policy.to_string();
            assert_eq!(
                scenario.name.split('/').nth(1),
                Some(&*policy),
                "{}",
                scenario.name
            );
        }
    }

    #[test]
    fn the_quick_bench_touches_every_kind() {
        let kind = |scenario: &Scenario| scenario.name.split('/').next().unwrap().to_owned();
        let all: HashSet<String> = catalog().iter().map(kind).collect();
        let quick = catalog()
            .iter()
            .filter(|scenario| scenario.quick)
            .map(kind)
            .collect();
        assert_eq!(all, quick);
    }
}
