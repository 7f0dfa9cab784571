//! One process under watch, as one master sees it: a master, a replica or another monitor.
//!
//! | it is subjectively down (S_DOWN) while |
//! |---|
//! | it has given no valid answer that it should have given for longer than down-after |
//! | it is to lead, and has said it follows for longer than down-after and two INFO periods |
//! | it leads, and has not answered PONG for master-reboot-down-after since it rebooted |

use std::sync::Arc;

use super::Address;
use super::contact::{Contact, ContactNo, InstanceNo, Patience, Question, Seat};
use super::info::{Info, Role};
use super::master::Settings;
use super::own::Own;

/// What a process under watch is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Master,
    Replica,
    /// Another monitor.
    Other,
}

impl Kind {
    /// As events call it.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Master => "master",
            Self::Replica => "slave",
            Self::Other => "sentinel",
        }
    }
}

/// A state that comes and goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Down {
    pub(crate) is: bool,
    /// When it came last; `None` if it never did.
    pub(crate) since_ms: Option<u64>,
}

impl Down {
    /// Sets it; whether that is a change.
    pub(crate) fn set(&mut self, is: bool, now_ms: u64) -> bool {
        let changes = self.is != is;
        if changes && is {
            self.since_ms = Some(now_ms);
        }
        self.is = is;
        changes
    }
}

/// What a data node has said of itself.
#[derive(Clone, Debug)]
pub(crate) struct Facts {
    pub(crate) text: Arc<str>,
    /// When it said something last, and when it was asked for that.
    pub(crate) told_ms: Option<u64>,
    pub(crate) asked_ms: u64,
    pub(crate) role: Role,
    /// Since when it says this role.
    pub(crate) role_ms: u64,
    pub(crate) master_host: Option<Box<str>>,
    pub(crate) master_port: u16,
    /// Since when it follows whom it follows.
    pub(crate) master_ms: u64,
    pub(crate) link_up: bool,
    pub(crate) link_down_ms: u64,
    pub(crate) never_heard_master: bool,
    pub(crate) priority: u64,
    pub(crate) offset: u64,
    pub(crate) announced: bool,
    pub(crate) failover_state: Option<Box<str>>,
    /// Since when it says so.
    pub(crate) failover_ms: u64,
    pub(crate) replid: Option<Box<str>>,
    pub(crate) replid2: Option<Box<str>>,
}

const DEFAULT_PRIORITY: u64 = 100;

impl Facts {
    fn new(role: Role, now_ms: u64) -> Self {
        Self {
            text: "".into(),
            told_ms: None,
            asked_ms: now_ms,
            role,
            role_ms: now_ms,
            master_host: None,
            master_port: 0,
            master_ms: now_ms,
            link_up: false,
            link_down_ms: 0,
            never_heard_master: false,
            priority: DEFAULT_PRIORITY,
            offset: 0,
            announced: true,
            failover_state: None,
            failover_ms: now_ms,
            replid: None,
            replid2: None,
        }
    }

    /// Whom it follows, as it says.
    pub(crate) fn master(&self) -> Option<Address> {
        let host = self.master_host.as_ref()?;
        Some(Address::new(host, self.master_port))
    }

    /// Whether it is handing over to another node.
    pub(crate) fn hands_over(&self) -> bool {
        let state = self.failover_state.as_deref();
        state.is_some_and(|state| state != "no-failover")
    }

    /// Takes in what INFO says, but for the role and the run ID.
    fn take(&mut self, text: &str, info: &Info<'_>, now_ms: u64) {
        self.text = text.into();
        self.told_ms = Some(now_ms);
        self.link_down_ms = info.link_down_ms;
        self.never_heard_master = info.never_heard_master;
        if let Some(host) = info.master_host
            && self.master_host.as_deref() != Some(host)
        {
            (self.master_host, self.master_ms) = (Some(host.into()), now_ms);
        }
        if let Some(port) = info.master_port
            && self.master_port != port
        {
            (self.master_port, self.master_ms) = (port, now_ms);
        }
        if self.failover_state.as_deref() != info.failover_state {
            self.failover_state = info.failover_state.map(Into::into);
            self.failover_ms = now_ms;
        }
        self.replid = info.replid.map(Into::into);
        self.replid2 = info.replid2.map(Into::into);
        self.link_up = info.link_up.unwrap_or(self.link_up);
        self.priority = info.priority.unwrap_or(self.priority);
        self.offset = info.offset.unwrap_or(self.offset);
        self.announced = info.announced.unwrap_or(self.announced);
    }
}

/// What is new in an INFO.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct News {
    /// It is another process than before.
    pub(crate) rebooted: bool,
    pub(crate) role_changed: bool,
}

#[derive(Debug)]
pub(crate) struct Instance {
    pub(crate) no: InstanceNo,
    pub(crate) kind: Kind,
    pub(crate) address: Address,
    /// The process; of another monitor, who it is.
    pub(crate) run_id: Option<Arc<str>>,
    pub(crate) contact: ContactNo,
    pub(crate) facts: Facts,
    pub(crate) sdown: Down,
    /// When our hello was published there last.
    pub(crate) hello_ms: Option<u64>,
    /// It has to be published there at once, for it says something new.
    pub(crate) hello_is_news: bool,
    /// It was asked to kill the script that keeps it from answering.
    pub(crate) script_kill_sent: bool,
    /// When the master was seen to have rebooted, until it answers PONG.
    pub(crate) reboot_ms: Option<u64>,
}

impl Instance {
    pub(crate) fn new(kind: Kind, address: Address, master: &Arc<str>, own: &mut Own) -> Self {
        let no = own.next_instance();
        let seat = Seat {
            master: Arc::clone(master),
            instance: no,
        };
        let wants_messages = kind != Kind::Other;
        let role = match kind {
            Kind::Master => Role::Master,
            Kind::Replica => Role::Replica,
            Kind::Other => Role::Unknown,
        };
        own.names.look_up(&address.host, own.now_ms);
        Self {
            no,
            kind,
            address,
            run_id: None,
            contact: own.contacts.open(seat, wants_messages, own.now_ms),
            facts: Facts::new(role, own.now_ms),
            sdown: Down::default(),
            hello_ms: None,
            hello_is_news: false,
            script_kill_sent: false,
            reboot_ms: None,
        }
    }

    pub(crate) fn contact<'a>(&self, own: &'a Own) -> &'a Contact {
        own.contacts.get(self.contact)
    }

    pub(crate) fn is_connected(&self, own: &Own) -> bool {
        self.contact(own).is_connected()
    }

    pub(crate) fn seat(&self, master: &Arc<str>) -> Seat {
        Seat {
            master: Arc::clone(master),
            instance: self.no,
        }
    }

    /// The run ID of another monitor.
    pub(crate) fn id(&self) -> &str {
        self.run_id.as_deref().unwrap_or_default()
    }

    /// Sees to its connections.
    pub(crate) fn connect(&self, own: &mut Own, down_after_ms: u64) {
        if self.address.port == 0 {
            return;
        }
        let patience = Patience {
            ping_period_ms: own.timers.ping_period_ms,
            publish_period_ms: own.timers.publish_period_ms,
            min_link_reconnect_period_ms: own.timers.min_link_reconnect_period_ms,
            down_after_ms,
        };
        let wishes = own.contacts.look_after(self.contact, own.now_ms, patience);
        own.fulfil(wishes, &self.address);
    }

    /// Asks it something, with its own name for the command; whether there is a way to it.
    pub(crate) fn ask(
        &self,
        own: &mut Own,
        master: &Arc<str>,
        settings: &Settings,
        question: Question,
        words: &[&str],
    ) -> bool {
        let mut words = words.to_vec();
        if self.kind != Kind::Other
            && let Some(first) = words.first_mut()
        {
            *first = settings.command(first);
        }
        own.ask(self.contact, &self.seat(master), question, &words)
    }

    /// Whether it should answer INFO again, when it is asked with this period.
    pub(crate) fn owes_info(&self, own: &Own, period_ms: u64) -> bool {
        let told_ms = self.facts.told_ms;
        let is_due = told_ms.is_none_or(|told_ms| own.now_ms - told_ms > period_ms);
        is_due && !self.contact(own).is_asked(Question::Info, self.no)
    }

    /// Whether our hello is to be published there again.
    pub(crate) fn owes_hello(&self, own: &Own) -> bool {
        let period_ms = own.timers.publish_period_ms;
        let is_due = self.hello_ms.is_none_or(|ms| own.now_ms - ms > period_ms);
        let is_asked = self.contact(own).is_asked(Question::Hello, self.no);
        self.hello_is_news || (is_due && !is_asked)
    }

    /// Judges whether it is down; whether that is a change.
    pub(crate) fn judge(&mut self, own: &Own, settings: &Settings) -> bool {
        let now_ms = own.now_ms;
        let is_silent = self.contact(own).silent_ms(now_ms) > settings.down_after_ms;
        let period_ms = settings.down_after_ms + 2 * own.timers.info_period_ms;
        let is_no_master = self.kind == Kind::Master
            && self.facts.role == Role::Replica
            && now_ms - self.facts.role_ms > period_ms;
        let rebooted_for_ms = self.reboot_ms.map(|reboot_ms| now_ms - reboot_ms);
        let is_rebooting =
            rebooted_for_ms.is_some_and(|ms| ms > settings.master_reboot_down_after_ms);
        let is_down = is_silent || is_no_master || is_rebooting;
        if !is_down {
            self.script_kill_sent = false;
        }
        self.sdown.set(is_down, now_ms)
    }

    /// Takes in what it says of itself.
    pub(crate) fn informed(&mut self, text: &str, info: &Info<'_>, now_ms: u64) -> News {
        self.facts.take(text, info, now_ms);
        let mut rebooted = false;
        if let Some(run_id) = info.run_id {
            rebooted = self.run_id.as_deref().is_some_and(|known| known != run_id);
            if self.run_id.as_deref() != Some(run_id) {
                self.run_id = Some(run_id.into());
            }
        }
        let role_changed = self.facts.role != info.role;
        if role_changed {
            (self.facts.role, self.facts.role_ms) = (info.role, now_ms);
            if info.role == Role::Replica {
                self.facts.master_ms = now_ms;
            }
        }
        News {
            rebooted,
            role_changed,
        }
    }

    /// Forgets what was seen of it, but for who and where it is.
    pub(crate) fn renew(&mut self, own: &mut Own) {
        own.hang_up(self.contact);
        own.contacts.get_mut(self.contact).renew(own.now_ms);
        let role = match self.kind {
            Kind::Master => Role::Master,
            Kind::Replica => Role::Replica,
            Kind::Other => Role::Unknown,
        };
        self.facts = Facts::new(role, own.now_ms);
        (self.sdown, self.hello_ms) = (Down::default(), None);
        (self.script_kill_sent, self.reboot_ms) = (false, None);
        if self.kind != Kind::Other {
            self.run_id = None;
        }
    }
}
