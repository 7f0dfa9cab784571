//! The `sentinel ...` lines of a file: what each says of the [`State`] of a monitor.
//!
//! One table serves both ways: [`read`] obeys lines, [`lines`] gives those that say what is so now,
//! in the order in which Redis writes them. A file may have its lines in any order, for they are
//! obeyed in three passes:
//!
//! | pass | |
//! |---|---|
//! | 1 | what is set for all masters, who the monitor is |
//! | 2 | which masters there are |
//! | 3 | what is set for one of them, and what was known of it |
//!
//! Every text of a refusal is Redis'.

use std::net::IpAddr;
use std::sync::Arc;

use super::master::Settings;
use super::monitor::{Global, MasterState, State};
use super::timers::Timers;
use super::{Address, is_executable};
use crate::config::{ConfigError, Placed};

/// What one kind of line is about.
struct Row {
    name: &'static str,
    /// Another name for it, which is read and never written.
    alias: Option<&'static str>,
    what: What,
}

/// Where a number is.
type Number<T> = fn(&mut T) -> &mut u64;
/// Where a text is that may be missing.
type Text<T> = fn(&mut T) -> &mut Option<Box<str>>;

/// What stands behind the name, and what it sets.
#[derive(Clone, Copy)]
enum What {
    /// `<run ID>`
    Id,
    /// `<number>`
    Epoch,
    /// `yes` or `no`, or else a complaint.
    Flag(fn(&mut Global) -> &mut bool, &'static str),
    /// `<port>`
    Port(fn(&mut Global) -> &mut u16),
    /// `<text>`
    Text(Text<Global>),
    /// `<master> <host> <port> <quorum>`
    Master,
    /// `<master> <milliseconds>`, so many at least, or else a complaint.
    Time(Number<Settings>, u64, &'static str),
    /// `<master> <number>`
    Count(Number<Settings>),
    /// `<master> <path>`, of a program, or else a complaint.
    Script(Text<Settings>, &'static str),
    /// `<master> <text>`
    OfMaster(Text<Settings>),
    /// `<master> <number>`
    MasterEpoch(Number<MasterState>),
    /// `<master> <host> <port>`, any number of them.
    Replica,
    /// `<master> <host> <port> <run ID>`, any number of them.
    Other,
    /// `<master> <command> <name>`, any number of them.
    Renamed,
}

const fn row(name: &'static str, what: What) -> Row {
    let alias = None;
    Row { name, alias, what }
}

const NO_MASTER: &str = "No such master with specified name.";
const NO_HOST: &str = "Can't resolve instance hostname.";
const NO_PORT: &str = "Invalid port number.";
const NO_TIME: &str = "negative or zero time parameter.";
const UNRECOGNIZED: &str = "Unrecognized sentinel configuration statement.";

/// What is written before the masters.
#[rustfmt::skip]
const OWN: &[Row] = &[
    row("myid", What::Id),
    row("deny-scripts-reconfig", What::Flag(|global| &mut global.deny_scripts_reconfig,
        "Please specify yes or no for the deny-scripts-reconfig options.")),
    row("resolve-hostnames", What::Flag(|global| &mut global.resolve_hostnames,
        "Please specify yes or no for the resolve-hostnames option.")),
    row("announce-hostnames", What::Flag(|global| &mut global.announce_hostnames,
        "Please specify yes or no for the announce-hostnames option.")),
];

/// What is written for each master.
#[rustfmt::skip]
const OF_A_MASTER: &[Row] = &[
    row("monitor", What::Master),
    row("down-after-milliseconds", What::Time(|of| &mut of.down_after_ms, 1, NO_TIME)),
    row("failover-timeout", What::Time(|of| &mut of.failover_timeout_ms, 1, NO_TIME)),
    row("parallel-syncs", What::Count(|of| &mut of.parallel_syncs)),
    row("notification-script", What::Script(|of| &mut of.notification_script,
        "Notification script seems non existing or non executable.")),
    row("client-reconfig-script", What::Script(|of| &mut of.client_reconfig_script,
        "Client reconfiguration script seems non existing or non executable.")),
    row("auth-pass", What::OfMaster(|of| &mut of.auth_pass)),
    row("auth-user", What::OfMaster(|of| &mut of.auth_user)),
    row("master-reboot-down-after-period",
        What::Time(|of| &mut of.master_reboot_down_after_ms, 0, "negative time parameter."))
        .or("primary-reboot-down-after-period"),
    row("config-epoch", What::MasterEpoch(|master| &mut master.config_epoch)),
    row("leader-epoch", What::MasterEpoch(|master| &mut master.leader_epoch)),
    row("known-replica", What::Replica).or("known-slave"),
    row("known-sentinel", What::Other),
    row("rename-command", What::Renamed),
];

/// What is written behind the masters.
#[rustfmt::skip]
const LAST: &[Row] = &[
    row("current-epoch", What::Epoch),
    row("announce-ip", What::Text(|global| &mut global.announce_ip)),
    row("announce-port", What::Port(|global| &mut global.announce_port)),
    row("sentinel-user", What::Text(|global| &mut global.user)),
    row("sentinel-pass", What::Text(|global| &mut global.pass)),
];

impl Row {
    const fn or(self, alias: &'static str) -> Self {
        let alias = Some(alias);
        Self { alias, ..self }
    }

    /// The row of this name, in any case.
    fn named(name: &str) -> Option<&'static Self> {
        [OWN, OF_A_MASTER, LAST].into_iter().flatten().find(|row| {
            let mut names = [Some(row.name), row.alias].into_iter().flatten();
            names.any(|known| known.eq_ignore_ascii_case(name))
        })
    }

    fn pass(&self) -> u8 {
        match self.what {
            What::Id | What::Epoch | What::Flag(..) | What::Port(_) | What::Text(_) => 1,
            What::Master => 2,
            _ => 3,
        }
    }

    /// Obeys a line.
    fn read(&self, state: &mut State, words: &[&str]) -> Result<(), &'static str> {
        let State { global, epoch, .. } = state;
        match (self.what, words) {
            (What::Id, [id]) => {
                let is_id = id.len() == 40 && id.bytes().all(|byte| byte.is_ascii_graphic());
                let id = is_id.then_some(*id);
                state.id = id.ok_or("Malformed Sentinel id in myid option.")?.into();
            }
            (What::Epoch, [number]) => *epoch = (*epoch).max(parse(number, UNRECOGNIZED)?),
            (What::Flag(place, complaint), [word]) => {
                *place(global) = match word.to_ascii_lowercase().as_str() {
                    "yes" => true,
                    "no" => false,
                    _ => return Err(complaint),
                };
            }
            (What::Port(place), [port]) => *place(global) = parse(port, NO_PORT)?,
            (What::Text(place), [text]) => *place(global) = given(text),
            (What::Master, [name, host, port, quorum]) => {
                let too_small = "Quorum must be 1 or greater.";
                let quorum = parse(quorum, too_small)?;
                if quorum == 0 {
                    return Err(too_small);
                }
                let address = address(global, host, port)?;
                if state.masters.iter().any(|master| *master.name == **name) {
                    return Err("Duplicate master name.");
                }
                state.masters.push(new_master(name, address, quorum));
            }
            (_, [name, words @ ..]) if self.pass() == 3 => {
                let mut masters = state.masters.iter_mut();
                let master = masters.find(|master| *master.name == **name);
                self.read_of(master.ok_or(NO_MASTER)?, global, epoch, words)?;
            }
            _ => return Err(UNRECOGNIZED),
        }
        Ok(())
    }

    /// Obeys a line about a master.
    fn read_of(
        &self,
        master: &mut MasterState,
        global: &Global,
        epoch: &mut u64,
        words: &[&str],
    ) -> Result<(), &'static str> {
        let settings = &mut master.settings;
        match (self.what, words) {
            (What::Time(place, least, complaint), [ms]) => {
                let ms = parse(ms, complaint)?;
                *place(settings) = if ms < least {
                    return Err(complaint);
                } else {
                    ms
                };
            }
            (What::Count(place), [number]) => *place(settings) = parse(number, UNRECOGNIZED)?,
            (What::Script(place, complaint), [path]) => {
                if !is_executable(path) {
                    return Err(complaint);
                }
                *place(settings) = given(path);
            }
            (What::OfMaster(place), [text]) => *place(settings) = given(text),
            (What::MasterEpoch(place), [number]) => {
                *place(master) = parse(number, UNRECOGNIZED)?;
                *epoch = (*epoch).max(*place(master));
            }
            (What::Replica, [host, port]) => {
                let replica = address(global, host, port)?;
                if master.replicas.contains(&replica) {
                    return Err("Duplicate hostname and port for replica.");
                }
                master.replicas.push(replica);
            }
            // An old form without a run ID says nothing of use.
            (What::Other, [_, _]) => {}
            (What::Other, [host, port, id]) => {
                let other = address(global, host, port)?;
                if master.others.iter().any(|(known, _)| **known == **id) {
                    return Err("Duplicate runid for sentinel.");
                }
                master.others.push(((*id).into(), other));
            }
            (What::Renamed, [from, to]) => {
                let mut renamed = settings.renamed.iter();
                if renamed.any(|(known, _)| known.eq_ignore_ascii_case(from)) {
                    return Err("Same command renamed multiple times with rename-command.");
                }
                settings.renamed.push(((*from).into(), (*to).into()));
            }
            _ => return Err(UNRECOGNIZED),
        }
        Ok(())
    }

    /// What the lines of this kind say of the monitor.
    fn said(&self, state: &mut State) -> Vec<Said> {
        let (global, usual) = (&mut state.global, &mut Global::default());
        let one = |text: String, usual: String| vec![Said::one(text, &usual)];
        match self.what {
            What::Id => vec![Said::always([state.id.to_string()])],
            What::Epoch => vec![Said::always([state.epoch.to_string()])],
            What::Flag(place, _) => one(yes_or_no(*place(global)), yes_or_no(*place(usual))),
            What::Port(place) => one(place(global).to_string(), place(usual).to_string()),
            What::Text(place) => Said::text(place(global)),
            _ => Vec::new(),
        }
    }

    /// What the lines of this kind say of a master, behind its name.
    fn said_of(&self, master: &mut MasterState) -> Vec<Said> {
        let mut usual = new_master("", master.address.clone(), 1).settings;
        let (settings, usual) = (&mut master.settings, &mut usual);
        let place_of = |address: &Address| [address.host.to_string(), address.port.to_string()];
        match self.what {
            What::Master => {
                let [host, port] = place_of(&master.address);
                vec![Said::always([host, port, settings.quorum.to_string()])]
            }
            What::Time(place, ..) | What::Count(place) => {
                let usual = place(usual).to_string();
                vec![Said::one(place(settings).to_string(), &usual)]
            }
            What::Script(place, _) | What::OfMaster(place) => Said::text(place(settings)),
            What::MasterEpoch(place) => vec![Said::always([place(master).to_string()])],
            What::Replica => {
                let replicas = master.replicas.iter();
                replicas.map(|at| Said::always(place_of(at))).collect()
            }
            What::Other => {
                let others = master.others.iter();
                let said = |(id, at): &(Arc<str>, Address)| {
                    let [host, port] = place_of(at);
                    Said::always([host, port, id.to_string()])
                };
                others.map(said).collect()
            }
            What::Renamed => {
                let renamed = settings.renamed.iter();
                renamed
                    .map(|(from, to)| Said::always([from.to_string(), to.to_string()]))
                    .collect()
            }
            _ => Vec::new(),
        }
    }

    /// Whether there may be many such lines for one master.
    fn is_many(&self) -> bool {
        matches!(self.what, What::Replica | What::Other | What::Renamed)
    }
}

/// What one line says behind the name, and that of a master.
struct Said {
    words: Vec<String>,
    /// It would be so without the line, too.
    is_default: bool,
}

impl Said {
    fn always<const N: usize>(words: [String; N]) -> Self {
        Self {
            words: words.into(),
            is_default: false,
        }
    }

    fn one(text: String, usual: &str) -> Self {
        Self {
            is_default: text == usual,
            words: vec![text],
        }
    }

    fn text(text: &Option<Box<str>>) -> Vec<Self> {
        let text = text.iter();
        text.map(|text| Self::always([text.to_string()])).collect()
    }
}

/// A line that says something of a state.
pub(super) struct Line {
    /// Behind `sentinel`.
    pub(super) words: Vec<String>,
    /// It would be so without the line, too.
    pub(super) is_default: bool,
}

/// The lines that say what is so now.
pub(super) fn lines(state: &State) -> Vec<Line> {
    let mut state = state.clone();
    let mut lines = Vec::new();
    let mut add = |row: &Row, name: Option<&str>, said: Vec<Said>| {
        for Said { words, is_default } in said {
            let begin = [Some(row.name), name].into_iter().flatten();
            let words = begin.map(str::to_owned).chain(words).collect();
            lines.push(Line { words, is_default });
        }
    };
    for row in OWN {
        add(row, None, row.said(&mut state));
    }
    for master in &mut state.masters {
        let name = Arc::clone(&master.name);
        for row in OF_A_MASTER {
            add(row, Some(&name), row.said_of(master));
        }
    }
    for row in LAST {
        add(row, None, row.said(&mut state));
    }
    lines
}

/// What a line is about: lines with the same key take each other's place.
pub(super) fn key(words: &[String]) -> Option<Vec<String>> {
    let (name, words) = words.split_first()?;
    let row = Row::named(name)?;
    let about = match (row.pass(), row.is_many()) {
        (1, _) => 0,
        (_, false) => 1,
        (_, true) => usize::MAX,
    };
    let words = words.iter().take(about).cloned();
    Some([row.name.to_owned()].into_iter().chain(words).collect())
}

/// The state that lines of a file describe, which have no `myid` perhaps.
///
/// # Errors
///
/// The first line that cannot be obeyed.
pub(super) fn read(lines: &[Placed]) -> Result<State, ConfigError> {
    let mut state = State::new("".into());
    let mut passes: [Vec<(&Row, &Placed)>; 3] = Default::default();
    for line in lines {
        // A line that says nothing does no harm.
        let Some(name) = line.words.first() else {
            continue;
        };
        let row = Row::named(name).ok_or_else(|| line.wrong(UNRECOGNIZED.to_owned()))?;
        passes[usize::from(row.pass() - 1)].push((row, line));
    }
    for (row, line) in passes.into_iter().flatten() {
        let words: Vec<&str> = line.words.iter().skip(1).map(String::as_str).collect();
        row.read(&mut state, &words)
            .map_err(|wrong| line.wrong(wrong.to_owned()))?;
    }
    Ok(state)
}

fn new_master(name: &str, address: Address, quorum: u64) -> MasterState {
    let timers = Timers::default();
    MasterState {
        name: name.into(),
        address,
        settings: Settings::new(
            quorum,
            timers.default_down_after_ms,
            timers.default_failover_timeout_ms,
        ),
        config_epoch: 0,
        leader_epoch: 0,
        replicas: Vec::new(),
        others: Vec::new(),
    }
}

fn address(global: &Global, host: &str, port: &str) -> Result<Address, &'static str> {
    let is_ip = host.parse::<IpAddr>().is_ok();
    if !is_ip && (host.is_empty() || !global.resolve_hostnames) {
        return Err(NO_HOST);
    }
    Ok(Address::new(host, parse(port, NO_PORT)?))
}

fn parse<T: std::str::FromStr>(word: &str, complaint: &'static str) -> Result<T, &'static str> {
    word.parse().map_err(|_not_a_number| complaint)
}

/// An empty text is none.
fn given(text: &str) -> Option<Box<str>> {
    (!text.is_empty()).then(|| text.into())
}

fn yes_or_no(yes: bool) -> String {
    if yes { "yes" } else { "no" }.to_owned()
}
