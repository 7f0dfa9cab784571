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
