//! Monitors of one master, and what they know of it.

use std::collections::BTreeMap;

use headwater_resp::reply::Reply;

use crate::client::simple;
use crate::process::{Process, Program, until};

/// The name of the master.
pub(crate) const NAME: &str = "orders";

/// Monitors that watch the same master.
pub(crate) struct Quorum {
    pub(crate) monitors: Vec<Process>,
}

/// The fields of an instance, as `SENTINEL MASTER` and its like show them.
pub(crate) type Fields = BTreeMap<String, String>;

fn text(reply: &Reply) -> String {
    String::from_utf8_lossy(reply.as_bytes().unwrap()).into_owned()
}

fn fields(reply: &Reply) -> Fields {
    let parts = reply.as_parts().unwrap();
    let pairs = parts.chunks(2);
    pairs.map(|pair| (text(&pair[0]), text(&pair[1]))).collect()
}

impl Quorum {
    /// Monitors that agree with the majority; each is told of the master alone. They are busier
    /// than usual, for what they do waits for some periods.
    pub(crate) fn start(programs: &[Program], master: &Process) -> Self {
        let lines = lines(master, programs.len() / 2 + 1);
        let start = |&program: &Program| {
            let monitor = Process::monitor(program, &lines);
            let debug = ["SENTINEL", "DEBUG", "publish-period", "500"];
            let asked = monitor.ask(&[&debug[..], &["info-period", "1000"]].concat());
            assert_eq!(asked, simple("OK"));
            monitor
        };
        let monitors = programs.iter().map(start).collect();
        Self { monitors }
    }

    /// Returns once everybody knows everybody, and all is well.
    pub(crate) fn settled(&self, replicas: usize) -> &Self {
        let others = (self.monitors.len() - 1).to_string();
        for monitor in &self.monitors {
            until("a monitor knows everybody", || {
                let master = of_master(monitor);
                let is_well = master["flags"] == "master"
                    && master["num-other-sentinels"] == others
                    && master["num-slaves"] == replicas.to_string();
                let nodes = all(monitor, "REPLICAS");
                let are_well = nodes
                    .iter()
                    .all(|node| node["flags"] == "slave" && node["master-link-status"] == "ok");
                let others = all(monitor, "SENTINELS");
                let are_there = others.iter().all(|other| other["flags"] == "sentinel");
                (is_well && are_well && are_there).then_some(())
            });
        }
        self
    }

    /// Returns once everybody says that the master is there.
    pub(crate) fn agrees_on(&self, master: &Process) {
        let there = [Reply::Bulk("127.0.0.1".into()), port(master)];
        for monitor in &self.monitors {
            until("a monitor knows the new master", || {
                let address = monitor.ask(&["SENTINEL", "GET-MASTER-ADDR-BY-NAME", NAME]);
                let is_over = of_master(monitor)["port"] == master.port().to_string();
                (is_over && address.as_parts() == Some(&there)).then_some(())
            });
        }
    }

    /// The epoch of the configuration, on which all have to agree.
    pub(crate) fn config_epoch(&self) -> u64 {
        until("all have the same epoch", || {
            let epochs = self
                .monitors
                .iter()
                .map(|it| of_master(it)["config-epoch"].clone());
            let mut epochs: Vec<String> = epochs.collect();
            epochs.dedup();
            match &epochs[..] {
                [epoch] => epoch.parse().ok(),
                _ => None,
            }
        })
    }
}

/// The lines that have a monitor watch this master.
pub(crate) fn lines(master: &Process, quorum: usize) -> String {
    let port = master.port();
    format!(
        "sentinel monitor {NAME} 127.0.0.1 {port} {quorum}
sentinel down-after-milliseconds {NAME} 3000
sentinel failover-timeout {NAME} 10000
"
    )
}

pub(crate) fn port(process: &Process) -> Reply {
    Reply::Bulk(process.port().to_string().into())
}

/// What a monitor knows of the master.
pub(crate) fn of_master(monitor: &Process) -> Fields {
    fields(&monitor.ask(&["SENTINEL", "MASTER", NAME]))
}

/// What a monitor knows of `REPLICAS` or `SENTINELS`.
pub(crate) fn all(monitor: &Process, whom: &str) -> Vec<Fields> {
    let reply = monitor.ask(&["SENTINEL", whom, NAME]);
    reply.as_parts().unwrap().iter().map(fields).collect()
}
