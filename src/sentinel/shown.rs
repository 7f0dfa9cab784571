//! What people and clients are shown: an instance as a list of fields, in Sentinel's order, and the
//! whole in a few numbers.
//!
//! Clients find fields by name, and old tools by position: new ones go to the end of their part.

use super::Address;
use super::failover::How;
use super::info::Role;
use super::instance::{Instance, Kind};
use super::master::{Master, Reconf, Who};
use super::monitor::Monitor;
use super::own::Own;

/// Names and values.
pub(crate) type Fields = Vec<(&'static str, String)>;

/// How a master is, in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    Ok,
    Sdown,
    Odown,
}

impl Status {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Sdown => "sdown",
            Self::Odown => "odown",
        }
    }
}

/// A master in one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) name: String,
    pub(crate) status: Status,
    pub(crate) address: Address,
    pub(crate) replicas: usize,
    /// With this one.
    pub(crate) monitors: usize,
}

/// What `INFO sentinel` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Summary {
    pub(crate) masters: Vec<Line>,
    /// For how long it has been in tilt.
    pub(crate) tilt_ms: Option<u64>,
    pub(crate) tilts: u64,
    pub(crate) scripts_running: usize,
    pub(crate) scripts_queued: usize,
    pub(crate) simulated: u8,
}

impl Monitor {
    /// The run ID.
    pub(crate) fn id(&self) -> &str {
        &self.own.id
    }

    /// The names of all masters.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.masters.keys().map(|name| &**name)
    }

    /// `SENTINEL MASTERS`.
    pub(crate) fn show_masters(&self) -> Vec<Fields> {
        let masters = self.masters.values();
        masters.map(|it| it.show(&self.own, Who::Master)).collect()
    }

    /// `SENTINEL MASTER`; like the others, `None` if there is no such master.
    pub(crate) fn show_master(&self, name: &str) -> Option<Fields> {
        Some(self.masters.get(name)?.show(&self.own, Who::Master))
    }

    /// `SENTINEL REPLICAS`, without those that do not want to be seen.
    pub(crate) fn show_replicas(&self, name: &str) -> Option<Vec<Fields>> {
        let master = self.masters.get(name)?;
        let all = 0..master.replicas.len();
        let seen = all.filter(|&index| master.replicas[index].at.facts.announced);
        let shown = seen.map(|index| master.show(&self.own, Who::Replica(index)));
        Some(shown.collect())
    }

    /// `SENTINEL SENTINELS`.
    pub(crate) fn show_others(&self, name: &str) -> Option<Vec<Fields>> {
        let master = self.masters.get(name)?;
        let all = 0..master.others.len();
        let shown = all.map(|index| master.show(&self.own, Who::Other(index)));
        Some(shown.collect())
    }

    /// `SENTINEL GET-MASTER-ADDR-BY-NAME`: the promoted one's as soon as it leads.
    pub(crate) fn address(&self, name: &str) -> Option<Address> {
        let master = self.masters.get(name)?;
        Some(self.own.shown(master.current()))
    }

    pub(crate) fn summary(&self) -> Summary {
        let own = &self.own;
        let line = |master: &Master| Line {
            name: master.name.to_string(),
            status: match (master.odown.is, master.at.sdown.is) {
                (true, _) => Status::Odown,
                (false, true) => Status::Sdown,
                (false, false) => Status::Ok,
            },
            address: own.shown(&master.at.address),
            replicas: master.replicas.len(),
            monitors: master.others.len() + 1,
        };
        Summary {
            masters: self.masters.values().map(line).collect(),
            tilt_ms: own.tilt_ms.map(|ms| own.now_ms - ms),
            tilts: self.tilts,
            scripts_running: own.scripts.running(),
            scripts_queued: own.scripts.len(),
            simulated: own.simulated.bits(),
        }
    }

    /// `SENTINEL INFO-CACHE`: how old each node's INFO is, and its text; the master's first.
    pub(crate) fn info_cache(&self, name: &str) -> Option<Vec<(u64, Option<&str>)>> {
        let master = self.masters.get(name)?;
        let replicas = master.replicas.iter().map(|replica| &replica.at);
        let cached = |at: &Instance| at.facts.told_ms.map(|ms| self.own.now_ms - ms);
        let entry = |at| match cached(at) {
            Some(age_ms) => (age_ms, Some(&*at.facts.text)),
            None => (0, None),
        };
        Some(
            [&master.at]
                .into_iter()
                .chain(replicas)
                .map(entry)
                .collect(),
        )
    }
}

impl Master {
    fn show(&self, own: &Own, who: Who) -> Fields {
        let (at, now_ms) = (self.instance(who), own.now_ms);
        let (contact, address) = (at.contact(own), own.shown(&at.address));
        let age = |ms: u64| now_ms.saturating_sub(ms).to_string();
        let age_or_0 = |ms: Option<u64>| ms.map_or_else(|| "0".to_owned(), age);
        let name = match who {
            Who::Master => self.name.to_string(),
            Who::Replica(_) => address.to_string(),
            Who::Other(_) => at.id().to_owned(),
        };
        let mut fields = vec![
            ("name", name),
            ("ip", address.host.to_string()),
            ("port", address.port.to_string()),
            ("runid", at.id().to_owned()),
            ("flags", self.flags(own, who)),
            ("link-pending-commands", contact.pending().to_string()),
            ("link-refcount", contact.seats().len().to_string()),
        ];
        if let Some(stage) = self.stage().filter(|_| who == Who::Master) {
            fields.push(("failover-state", stage.word().to_owned()));
        }
        fields.push(("last-ping-sent", age_or_0(contact.ping_open_ms)));
        fields.push(("last-ok-ping-reply", age(contact.valid_ms)));
        fields.push(("last-ping-reply", age(contact.pong_ms)));
        if at.sdown.is {
            fields.push(("s-down-time", age_or_0(at.sdown.since_ms)));
        }
        if self.odown.is && who == Who::Master {
            fields.push(("o-down-time", age_or_0(self.odown.since_ms)));
        }
        let down_after = self.settings.down_after_ms.to_string();
        fields.push(("down-after-milliseconds", down_after));
        if at.kind != Kind::Other {
            let role = match at.facts.role {
                Role::Master => "master",
                Role::Replica | Role::Unknown => "slave",
            };
            fields.push(("info-refresh", age_or_0(at.facts.told_ms)));
            fields.push(("role-reported", role.to_owned()));
            fields.push(("role-reported-time", age(at.facts.role_ms)));
        }
        match who {
            Who::Master => self.show_rest_of_master(&mut fields),
            Who::Replica(_) => show_rest_of_replica(at, &mut fields),
            Who::Other(index) => {
                let other = &self.others[index];
                let vote = other.vote.as_ref();
                let leader = vote.map_or("?", |vote| &vote.leader).to_owned();
                let epoch = vote.map_or(0, |vote| vote.epoch).to_string();
                fields.push(("last-hello-message", age(other.hello_ms)));
                fields.push(("voted-leader", leader));
                fields.push(("voted-leader-epoch", epoch));
            }
        }
        fields
    }

    fn show_rest_of_master(&self, fields: &mut Fields) {
        let settings = &self.settings;
        for (name, number) in [
            ("config-epoch", self.config_epoch),
            ("num-slaves", self.replicas.len() as u64),
            ("num-other-sentinels", self.others.len() as u64),
            ("quorum", settings.quorum),
            ("failover-timeout", settings.failover_timeout_ms),
            ("parallel-syncs", settings.parallel_syncs),
        ] {
            fields.push((name, number.to_string()));
        }
        for (name, script) in [
            ("notification-script", &settings.notification_script),
            ("client-reconfig-script", &settings.client_reconfig_script),
        ] {
            if let Some(script) = script {
                fields.push((name, script.to_string()));
            }
        }
    }

    /// What is the case, in words with commas between them.
    fn flags(&self, own: &Own, who: Who) -> String {
        let at = self.instance(who);
        let is_master = who == Who::Master;
        let reconf = match who {
            Who::Replica(index) => self.replicas[index].reconf,
            _ => Reconf::None,
        };
        let is_promoted = match who {
            Who::Replica(index) => self.promoted() == Some(index),
            _ => false,
        };
        let says_down = match who {
            Who::Other(index) => self.others[index].says_down,
            _ => false,
        };
        let failover_is = |how| is_master && self.failover_is(how);
        let flags = [
            ("s_down", at.sdown.is),
            ("o_down", is_master && self.odown.is),
            ("master", at.kind == Kind::Master),
            ("slave", at.kind == Kind::Replica),
            ("sentinel", at.kind == Kind::Other),
            ("disconnected", !at.is_connected(own)),
            ("master_down", says_down),
            ("failover_in_progress", is_master && self.failover.is_some()),
            ("promoted", is_promoted),
            ("reconf_sent", matches!(reconf, Reconf::Sent { .. })),
            ("reconf_inprog", reconf == Reconf::InProgress),
            ("reconf_done", reconf == Reconf::Done),
            ("force_failover", failover_is(How::Forced)),
            ("coordinated_failover", failover_is(How::Coordinated)),
            ("script_kill_sent", at.script_kill_sent),
            ("master_reboot", at.reboot_ms.is_some()),
        ];
        let set = flags.iter().filter(|flag| flag.1).map(|flag| flag.0);
        set.collect::<Vec<_>>().join(",")
    }
}

fn show_rest_of_replica(at: &Instance, fields: &mut Fields) {
    let facts = &at.facts;
    let link = if facts.link_up { "ok" } else { "err" };
    let host = facts.master_host.as_deref().unwrap_or("?");
    for (name, value) in [
        ("master-link-down-time", facts.link_down_ms.to_string()),
        ("master-link-status", link.to_owned()),
        ("master-host", host.to_owned()),
        ("master-port", facts.master_port.to_string()),
        ("slave-priority", facts.priority.to_string()),
        ("slave-repl-offset", facts.offset.to_string()),
        ("replica-announced", u8::from(facts.announced).to_string()),
    ] {
        fields.push((name, value));
    }
}

#[cfg(test)]
mod tests {
    use super::super::scene::{MASTER, Scene, field, orders};
    use super::*;

    fn names(fields: &Fields) -> String {
        let names = fields.iter().map(|field| field.0);
        names.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn fields_have_sentinels_names_and_order() {
        let mut state = orders();
        state.settings.notification_script = Some("/bin/tell".into());
        let mut scene = Scene::well(vec![state]);
        let master = scene.monitor.show_master("orders").unwrap();
        let shared = "name ip port runid flags link-pending-commands link-refcount last-ping-sent \
                      last-ok-ping-reply last-ping-reply down-after-milliseconds";
        let node = "info-refresh role-reported role-reported-time";
        assert_eq!(
            names(&master),
            format!(
                "{shared} {node} config-epoch num-slaves num-other-sentinels quorum \
                 failover-timeout parallel-syncs notification-script"
            )
        );
        // Old tools read it from here, names and values counted.
        assert_eq!(master[16], ("num-other-sentinels", "2".to_owned()));
        assert_eq!(
            names(&scene.monitor.show_replicas("orders").unwrap()[0]),
            format!(
                "{shared} {node} master-link-down-time master-link-status master-host \
                 master-port slave-priority slave-repl-offset replica-announced"
            )
        );
        assert_eq!(
            names(&scene.monitor.show_others("orders").unwrap()[0]),
            format!("{shared} last-hello-message voted-leader voted-leader-epoch")
        );
        scene.monitor.failover(0, "orders", false).unwrap();
        let master = scene.monitor.masters.get_mut("orders").unwrap();
        master.at.sdown.set(true, 0);
        master.odown.set(true, 0);
        let master = scene.monitor.show_master("orders").unwrap();
        assert!(names(&master).contains("link-refcount failover-state last-ping-sent"));
        assert!(
            names(&master)
                .contains("last-ping-reply s-down-time o-down-time down-after-milliseconds")
        );
        assert_eq!(scene.monitor.show_master("none"), None);
    }

    #[test]
    fn values_are_ages_and_what_was_said() {
        let mut scene = Scene::well(vec![orders()]);
        let info = "role:slave\r\nmaster_host:10.0.0.1\r\nmaster_port:6379\r\n\
                    master_link_status:down\r\nmaster_link_down_since_seconds:4\r\n\
                    slave_priority:7\r\nslave_repl_offset:8\r\n";
        scene.says("10.0.0.2:6379", info);
        scene.tick(400);
        let replica = &scene.monitor.show_replicas("orders").unwrap()[0];
        let shown: Vec<_> = replica
            .iter()
            .map(|(name, value)| format!("{name} {value}"))
            .collect();
        assert_eq!(
            shown.join(" "),
            "name 10.0.0.2:6379 ip 10.0.0.2 port 6379 runid  flags slave link-pending-commands 1 \
             link-refcount 1 last-ping-sent 0 last-ok-ping-reply 400 last-ping-reply 400 \
             down-after-milliseconds 5000 info-refresh 400 role-reported slave \
             role-reported-time 400 master-link-down-time 4000 master-link-status err \
             master-host 10.0.0.1 master-port 6379 slave-priority 7 slave-repl-offset 8 \
             replica-announced 1"
        );
        scene.says("10.0.0.2:6379", "role:slave\r\nreplica_announced:0\r\n");
        let replicas = scene.monitor.show_replicas("orders").unwrap();
        assert_eq!(field(&replicas[0], "name").unwrap(), "10.0.0.3:6379");
        assert_eq!(replicas.len(), 1);
    }

    #[test]
    fn a_summary_counts_this_monitor_too() {
        let mut scene = Scene::well(vec![orders()]);
        let line = |scene: &Scene| {
            let line = scene.monitor.summary().masters.remove(0);
            let (status, counts) = (line.status.word(), (line.replicas, line.monitors));
            (line.name, status, line.address.to_string(), counts)
        };
        let expected = |status| ("orders".to_owned(), status, MASTER.to_owned(), (2, 3));
        assert_eq!(line(&scene), expected("ok"));
        scene.pass(7000, &[MASTER]);
        assert_eq!(line(&scene), expected("sdown"));
        let master = scene.monitor.masters.get_mut("orders").unwrap();
        master.odown.is = true;
        assert_eq!(line(&scene), expected("odown"));
    }

    #[test]
    fn the_text_of_info_is_kept() {
        let mut scene = Scene::new(vec![orders()]);
        assert_eq!(scene.monitor.info_cache("orders").unwrap(), [(0, None); 3]);
        scene.says("10.0.0.2:6379", "# Server\r\n");
        scene.tick(30);
        let cache = scene.monitor.info_cache("orders").unwrap();
        assert_eq!(cache[1], (30, Some("# Server\r\n")));
        assert_eq!(scene.monitor.info_cache("none"), None);
    }
}
