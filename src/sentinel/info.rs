//! Reading the text of INFO.
//!
//! | line | of whom | says |
//! |---|---|---|
//! | `run_id:<40 letters>` | all | which process it is |
//! | `role:master`, `role:slave` | all | what it is; what replicas say counts only behind it |
//! | `slave<n>:ip=A,port=P,...` | a master | who follows it; `slave<n>:A,P,...` in old times |
//! | `master_host`, `master_port` | a replica | whom it follows |
//! | `master_link_status` | a replica | whether it hears it |
//! | `master_link_down_since_seconds` | all | for how long it does not; -1 if it never did |
//! | `slave_priority`, `slave_repl_offset` | a replica | how it would do as a master |
//! | `replica_announced` | a replica | whether people are shown it |
//! | `master_failover_state` | all (Valkey 9) | whether it hands over |
//! | `master_replid`, `master_replid2` | all | which history its data are of |
//!
//! Everything else is for people, who get the whole text from `SENTINEL INFO-CACHE`.

use super::Address;

/// What a data node says that it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Master,
    Replica,
    /// It does not say.
    Unknown,
}

impl Role {
    /// As events and commands call it.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Master => "master",
            Self::Replica | Self::Unknown => "slave",
        }
    }
}

/// What one answer says; `None` is what it does not say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Info<'a> {
    pub(crate) run_id: Option<&'a str>,
    pub(crate) role: Role,
    pub(crate) replicas: Vec<Address>,
    pub(crate) master_host: Option<&'a str>,
    pub(crate) master_port: Option<u16>,
    pub(crate) link_up: Option<bool>,
    /// 0 when it hears its master.
    pub(crate) link_down_ms: u64,
    pub(crate) never_heard_master: bool,
    pub(crate) priority: Option<u64>,
    pub(crate) offset: Option<u64>,
    pub(crate) announced: Option<bool>,
    pub(crate) failover_state: Option<&'a str>,
    pub(crate) replid: Option<&'a str>,
    pub(crate) replid2: Option<&'a str>,
}

const RUN_ID_BYTES: usize = 40;

impl<'a> Info<'a> {
    pub(crate) fn read(text: &'a str) -> Self {
        let mut info = Self {
            run_id: None,
            role: Role::Unknown,
            replicas: Vec::new(),
            master_host: None,
            master_port: None,
            link_up: None,
            link_down_ms: 0,
            never_heard_master: false,
            priority: None,
            offset: None,
            announced: None,
            failover_state: None,
            replid: None,
            replid2: None,
        };
        for line in text.split("\r\n") {
            if let Some((name, value)) = line.split_once(':') {
                info.line(name, value);
            }
        }
        info
    }

    fn line(&mut self, name: &str, value: &'a str) {
        match name {
            "run_id" => self.run_id = value.get(..RUN_ID_BYTES),
            "role" if value == "master" => self.role = Role::Master,
            "role" if value == "slave" => self.role = Role::Replica,
            "master_link_down_since_seconds" => {
                self.never_heard_master = value.starts_with('-');
                self.link_down_ms = value.parse().map_or(0, |s: u64| s.saturating_mul(1000));
            }
            "master_failover_state" => self.failover_state = Some(value),
            "master_replid" => self.replid = Some(value),
            "master_replid2" => self.replid2 = Some(value),
            _ if self.role == Role::Replica => self.line_of_replica(name, value),
            _ => {
                let number = name.strip_prefix("slave").unwrap_or_default();
                if number.starts_with(|letter: char| letter.is_ascii_digit()) {
                    self.replicas.extend(replica(value));
                }
            }
        }
    }

    fn line_of_replica(&mut self, name: &str, value: &'a str) {
        match name {
            "master_host" => self.master_host = Some(value),
            "master_port" => self.master_port = Some(value.parse().unwrap_or(0)),
            "master_link_status" => self.link_up = Some(value == "up"),
            "slave_priority" => self.priority = Some(value.parse().unwrap_or(0)),
            "slave_repl_offset" => self.offset = Some(value.parse().unwrap_or(0)),
            "replica_announced" => self.announced = Some(value != "0"),
            _ => {}
        }
    }
}

/// Where a replica is, from what its master says of it.
fn replica(value: &str) -> Option<Address> {
    let named = |name: &str| {
        let mut fields = value.split(',');
        fields.find_map(|field| field.strip_prefix(name))
    };
    let (host, port) = match named("ip=") {
        Some(host) => (host, named("port=")?),
        None => {
            let mut fields = value.split(',');
            (fields.next()?, fields.next()?)
        }
    };
    let port = port.parse().ok()?;
    (!host.is_empty()).then(|| Address::new(host, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_master_says_who_follows_it() {
        let id = "5".repeat(40);
        let text = format!(
            "# Server\r\nrun_id:{id}\r\n\r\n# Replication\r\nrole:master\r\nconnected_slaves:3\r\n\
             slave0:ip=10.0.0.2,port=6380,state=online,offset=1,lag=0\r\n\
             slave1:ip=fe80::1,port=6381,state=wait_bgsave,offset=0,lag=0\r\n\
             slave2:10.0.0.4,6382,online\r\n\
             slave3:ip=10.0.0.5,port=none\r\n\
             master_failover_state:no-failover\r\nmaster_replid:ab\r\nmaster_replid2:cd\r\n\
             master_host:never\r\n"
        );
        let info = Info::read(&text);
        assert_eq!(info.run_id, Some(id.as_str()));
        assert_eq!(info.role, Role::Master);
        assert_eq!(
            info.replicas,
            [
                Address::new("10.0.0.2", 6380),
                Address::new("fe80::1", 6381),
                Address::new("10.0.0.4", 6382)
            ]
        );
        assert_eq!(info.failover_state, Some("no-failover"));
        assert_eq!((info.replid, info.replid2), (Some("ab"), Some("cd")));
        assert_eq!(info.master_host, None);
    }

    #[test]
    fn a_replica_says_whom_it_follows_once_it_has_said_what_it_is() {
        let text = "master_port:1\r\nrole:slave\r\nmaster_host:10.0.0.1\r\nmaster_port:6379\r\n\
                    master_link_status:down\r\nslave_repl_offset:18446744073709551615\r\n\
                    master_link_down_since_seconds:12\r\nslave_priority:0\r\n\
                    replica_announced:0\r\nslave0:ip=10.0.0.9,port=1\r\n";
        let info = Info::read(text);
        assert_eq!(info.role, Role::Replica);
        assert_eq!(info.master_host, Some("10.0.0.1"));
        assert_eq!(info.master_port, Some(6379));
        assert_eq!(info.link_up, Some(false));
        assert_eq!(info.offset, Some(u64::MAX));
        assert_eq!(
            (info.link_down_ms, info.never_heard_master),
            (12_000, false)
        );
        assert_eq!((info.priority, info.announced), (Some(0), Some(false)));
        assert_eq!(info.replicas, []);
    }

    #[test]
    fn what_is_missing_or_odd_is_not_there() {
        let info = Info::read("run_id:short\r\nrole:sentinel\r\nslave:ip=a,port=1\r\nnothing");
        assert_eq!((info.run_id, info.role), (None, Role::Unknown));
        assert_eq!(info.replicas, []);
        let info = Info::read("role:slave\r\nmaster_link_down_since_seconds:-1");
        assert_eq!((info.link_down_ms, info.never_heard_master), (0, true));
    }
}
