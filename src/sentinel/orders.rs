//! What operators ask of a monitor, and its refusals.
//!
//! `SENTINEL SET` and `SENTINEL DEBUG` take their pairs one by one, and what was taken before a
//! refusal stays; `SENTINEL CONFIG SET` takes all or none.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::Address;
use super::failover::How;
use super::master::{Master, Settings, Who};
use super::monitor::{Global, MasterState, Monitor};
use super::notice::{MONITOR, RESET_MASTER, SET, UNMONITOR};
use super::scripts::Pending;
use crate::glob::{self, Case};
use crate::refusal::Refusal;

/// The whole list of what `SENTINEL CONFIG` knows, in its order.
const CONFIG: [&str; 7] = [
    "resolve-hostnames",
    "announce-hostnames",
    "announce-ip",
    "announce-port",
    "sentinel-user",
    "sentinel-pass",
    LOGLEVEL,
];

/// The one that is not ours: whoever keeps it is asked.
const LOGLEVEL: &str = "loglevel";
const LOGLEVELS: [&str; 5] = ["debug", "verbose", "notice", "warning", "nothing"];

const NO_MASTER: Refusal = Refusal::Command("ERR No such master with that name");
const SCRIPTS_DENIED: Refusal = Refusal::Command(
    "ERR Reconfiguration of scripts path is denied for security reasons. Check the \
     deny-scripts-reconfig configuration directive in your Sentinel configuration",
);

/// An option of `SENTINEL SET` was refused.
enum Unset {
    /// This word is wrong.
    Argument(String),
    Refused(Refusal),
    /// There is no such option, or it needs more words.
    Unknown,
}

/// What `SENTINEL SET` says that it has set: the option's words, as they may be shown.
type IsSet = Result<String, Unset>;

impl Monitor {
    /// `SENTINEL MONITOR`: watches one more master.
    ///
    /// # Errors
    ///
    /// When a word is wrong, or there is a master of this name.
    pub(crate) fn monitor(
        &mut self,
        now_ms: u64,
        [name, host, port, quorum]: [&str; 4],
    ) -> Result<(), Refusal> {
        self.enter(now_ms);
        let quorum: i64 = quorum
            .parse()
            .or(Err(Refusal::Command("ERR Invalid quorum")))?;
        let port: i64 = port.parse().or(Err(Refusal::Command("ERR Invalid port")))?;
        let quorum = u64::try_from(quorum).unwrap_or(0);
        if quorum == 0 {
            return Err(Refusal::Command("ERR Quorum must be 1 or greater."));
        }
        if !self.own.takes_host(host) {
            let text = "ERR Invalid IP address or hostname specified";
            return Err(Refusal::Command(text));
        }
        let port = u16::try_from(port).or(Err(Refusal::Command("ERR Invalid port number.")))?;
        if self.masters.contains_key(name) {
            return Err(Refusal::Command("ERR Duplicate master name."));
        }
        let timers = &self.own.timers;
        let (down_after_ms, failover_timeout_ms) = (
            timers.default_down_after_ms,
            timers.default_failover_timeout_ms,
        );
        let name: Arc<str> = name.into();
        let state = MasterState {
            name: Arc::clone(&name),
            address: Address::new(host, port),
            settings: Settings::new(quorum, down_after_ms, failover_timeout_ms),
            config_epoch: 0,
            leader_epoch: 0,
            replicas: Vec::new(),
            others: Vec::new(),
        };
        let master = Master::new(&state, &mut self.own);
        self.own.changed();
        let more = format!("quorum {quorum}");
        master.tell_more(&mut self.own, MONITOR, Who::Master, &more);
        self.masters.insert(name, master);
        Ok(())
    }

    /// Tells of the masters that are watched from the start.
    pub(crate) fn begin(&mut self, now_ms: u64) {
        self.enter(now_ms);
        for master in self.masters.values() {
            let more = format!("quorum {}", master.settings.quorum);
            master.tell_more(&mut self.own, MONITOR, Who::Master, &more);
        }
    }

    /// `SENTINEL FLUSHCONFIG`: has the file written, whether there is something new or not.
    pub(crate) fn flush(&mut self) {
        self.own.changed();
    }

    /// `SENTINEL REMOVE`.
    ///
    /// # Errors
    ///
    /// When there is no such master.
    pub(crate) fn remove(&mut self, now_ms: u64, name: &str) -> Result<(), Refusal> {
        self.enter(now_ms);
        let mut master = self.masters.remove(name).ok_or(NO_MASTER)?;
        master.tell(&mut self.own, UNMONITOR, Who::Master);
        master.dismiss(&mut self.own);
        self.own.changed();
        Ok(())
    }

    /// `SENTINEL RESET`: forgets whom the masters of matching names have; how many there are.
    pub(crate) fn reset(&mut self, now_ms: u64, pattern: &[u8]) -> usize {
        self.enter(now_ms);
        let own = &mut self.own;
        let mut count = 0;
        for master in self.masters.values_mut() {
            if glob::matches(pattern, master.name.as_bytes(), Case::Exact) {
                master.reset(own, false);
                master.tell(own, RESET_MASTER, Who::Master);
                own.changed();
                count += 1;
            }
        }
        count
    }

    /// `SENTINEL FAILOVER`.
    ///
    /// # Errors
    ///
    /// When one goes on, or it could not come to an end.
    pub(crate) fn failover(
        &mut self,
        now_ms: u64,
        name: &str,
        is_coordinated: bool,
    ) -> Result<(), Refusal> {
        self.enter(now_ms);
        let own = &mut self.own;
        let master = self.masters.get_mut(name).ok_or(NO_MASTER)?;
        if master.failover.is_some() {
            return Err(Refusal::Command("INPROG Failover already in progress"));
        }
        if is_coordinated && master.at.facts.failover_state.is_none() {
            let text = "NOGOODPRIMARY Primary does not support FAILOVER command";
            return Err(Refusal::Command(text));
        }
        if master.select(own).is_none() {
            let text = "NOGOODSLAVE No suitable replica to promote";
            return Err(Refusal::Command(text));
        }
        let how = match is_coordinated {
            true => How::Coordinated,
            false => How::Forced,
        };
        master.start(own, how);
        if own.tilt_ms.is_none() {
            master.look(own);
        }
        Ok(())
    }

    /// `SENTINEL CKQUORUM`: whether a failover could be agreed on now.
    ///
    /// # Errors
    ///
    /// When it could not.
    pub(crate) fn ckquorum(&self, name: &str) -> Result<String, Refusal> {
        let master = self.masters.get(name).ok_or(NO_MASTER)?;
        let others = master.others.iter();
        let usable = 1 + others.filter(|other| !other.at.sdown.is).count();
        let voters = master.others.len() + 1;
        let quorum = usize::try_from(master.settings.quorum).unwrap_or(usize::MAX);
        let mut reasons = Vec::new();
        if usable < quorum {
            reasons.push(
                "Not enough available Sentinels to reach the specified quorum for this master",
            );
        }
        if usable < voters / 2 + 1 {
            reasons.push(
                "Not enough available Sentinels to reach the majority and authorize a failover",
            );
        }
        if reasons.is_empty() {
            return Ok(format!(
                "OK {usable} usable Sentinels. Quorum and failover authorization can be reached"
            ));
        }
        let reasons = reasons.join(". ");
        Err(Refusal::quoting(format_args!(
            "NOQUORUM {usable} usable Sentinels. {reasons}"
        )))
    }

    /// `SENTINEL SET`: options and their values; `is_executable` says whether a path may be run.
    ///
    /// # Errors
    ///
    /// When there is no such master or option, or a value is wrong.
    pub(crate) fn set(
        &mut self,
        now_ms: u64,
        name: &str,
        words: &[&str],
        is_executable: &dyn Fn(&str) -> bool,
    ) -> Result<(), Refusal> {
        self.enter(now_ms);
        let own = &mut self.own;
        let denies_scripts = own.global.deny_scripts_reconfig;
        let master = self.masters.get_mut(name).ok_or(NO_MASTER)?;
        let mut words = words;
        while let [option, rest @ ..] = words {
            let count = match option.eq_ignore_ascii_case("rename-command") {
                true => 2,
                false => 1,
            };
            let values = rest.get(..count);
            words = rest.get(count..).unwrap_or_default();
            let is_set = match values {
                Some(values) => {
                    let settings = &mut master.settings;
                    set_one(settings, option, values, denies_scripts, is_executable)
                }
                None => Err(Unset::Unknown),
            };
            own.changed();
            let shown = is_set.map_err(|unset| match unset {
                Unset::Argument(value) => Refusal::quoting(format_args!(
                    "ERR Invalid argument '{value}' for SENTINEL SET '{option}'"
                )),
                Unset::Refused(refusal) => refusal,
                Unset::Unknown => Refusal::quoting(format_args!(
                    "ERR Unknown option or number of arguments for SENTINEL SET '{option}'"
                )),
            })?;
            if ["auth-pass", "auth-user"].contains(&option.to_ascii_lowercase().as_str()) {
                master.hang_up_nodes(own);
            }
            master.tell_more(own, SET, Who::Master, &format!("{option} {shown}"));
        }
        Ok(())
    }

    /// `SENTINEL CONFIG GET`: names that match a pattern, each once; `loglevel` is the value of the
    /// one that is not ours.
    pub(crate) fn config_get(
        &self,
        patterns: &[&[u8]],
        loglevel: &str,
    ) -> Vec<(&'static str, String)> {
        let mut found: Vec<(&'static str, String)> = Vec::new();
        for pattern in patterns {
            for name in CONFIG {
                let is_new = found.iter().all(|pair| pair.0 != name);
                if is_new && glob::matches(pattern, name.as_bytes(), Case::Ignored) {
                    let value = self.own.global.value(name);
                    found.push((name, value.unwrap_or_else(|| loglevel.to_owned())));
                }
            }
        }
        found
    }

    /// `SENTINEL CONFIG SET`: all or none; gives the value of the one that is not ours.
    ///
    /// # Errors
    ///
    /// When a name or a value is wrong.
    pub(crate) fn config_set(
        &mut self,
        now_ms: u64,
        words: &[&str],
    ) -> Result<Option<&'static str>, Refusal> {
        self.enter(now_ms);
        let (mut global, mut loglevel) = (self.own.global.clone(), None);
        let mut seen = BTreeSet::new();
        for pair in words.chunks(2) {
            let word = pair[0];
            let known = CONFIG.iter().find(|name| word.eq_ignore_ascii_case(name));
            let refusal = |start: &str, end: &str| {
                Refusal::quoting(format_args!("ERR {start} '{word}' {end}"))
            };
            let Some(name) = known else {
                return Err(refusal("Invalid argument", "to SENTINEL CONFIG SET"));
            };
            if !seen.insert(name) {
                return Err(refusal("Duplicate argument", "to SENTINEL CONFIG SET"));
            }
            let Some(value) = pair.get(1) else {
                return Err(refusal("Missing argument", "value"));
            };
            let is_taken = if *name == LOGLEVEL {
                let level = |level: &&&str| value.eq_ignore_ascii_case(level);
                loglevel = LOGLEVELS.iter().find(level).copied();
                loglevel.is_some()
            } else {
                global.set(name, value)
            };
            if !is_taken {
                return Err(Refusal::quoting(format_args!(
                    "ERR Invalid value '{value}' to SENTINEL CONFIG SET '{word}'"
                )));
            }
        }
        let own = &mut self.own;
        let before = std::mem::replace(&mut own.global, global);
        if (&before.user, &before.pass) != (&own.global.user, &own.global.pass) {
            for master in self.masters.values() {
                for other in &master.others {
                    own.hang_up(other.at.contact);
                }
            }
        }
        own.changed();
        Ok(loglevel)
    }

    /// `SENTINEL DEBUG` without words: all intervals.
    pub(crate) fn timers(&self) -> Vec<(&'static str, u64)> {
        self.own.timers.shown()
    }

    /// `SENTINEL DEBUG`: intervals and their values.
    ///
    /// # Errors
    ///
    /// When there is no such interval, or a value is wrong.
    pub(crate) fn debug(&mut self, words: &[&str]) -> Result<(), Refusal> {
        for pair in words.chunks(2) {
            let name = pair[0];
            let (Some(timer), Some(value)) = (self.own.timers.by_name(name), pair.get(1)) else {
                return Err(Refusal::quoting(format_args!(
                    "ERR Unknown option or number of arguments for SENTINEL DEBUG '{name}'"
                )));
            };
            let Some(ms) = positive(value) else {
                return Err(Refusal::quoting(format_args!(
                    "ERR Invalid argument '{value}' for SENTINEL DEBUG '{name}'"
                )));
            };
            *timer = ms;
        }
        Ok(())
    }

    /// `SENTINEL SIMULATE-FAILURE`: what is to crash instead of what was to crash.
    ///
    /// # Errors
    ///
    /// When it is nothing known.
    pub(crate) fn simulate_failure(&mut self, words: &[&str]) -> Result<(), Refusal> {
        let simulated = &mut self.own.simulated;
        *simulated = super::monitor::Simulated::default();
        for word in words {
            match word.to_ascii_lowercase().as_str() {
                "crash-after-election" => simulated.after_election = true,
                "crash-after-promotion" => simulated.after_promotion = true,
                _ => return Err(Refusal::Command("ERR Unknown failure simulation specified")),
            }
        }
        Ok(())
    }

    /// `SENTINEL PENDING-SCRIPTS`.
    pub(crate) fn pending_scripts(&self) -> Vec<Pending> {
        self.own.scripts.pending(self.own.now_ms)
    }
}

impl Global {
    /// One of those in [`CONFIG`], but for the one that is not ours.
    fn value(&self, name: &str) -> Option<String> {
        let yes = |is: bool| if is { "yes" } else { "no" }.to_owned();
        let text = |text: &Option<Box<str>>| text.as_deref().unwrap_or_default().to_owned();
        Some(match name {
            "resolve-hostnames" => yes(self.resolve_hostnames),
            "announce-hostnames" => yes(self.announce_hostnames),
            "announce-ip" => text(&self.announce_ip),
            "announce-port" => self.announce_port.to_string(),
            "sentinel-user" => text(&self.user),
            "sentinel-pass" => text(&self.pass),
            _ => return None,
        })
    }

    /// Sets one; whether it takes the value.
    fn set(&mut self, name: &str, value: &str) -> bool {
        let yes = match value.to_ascii_lowercase().as_str() {
            "yes" => Some(true),
            "no" => Some(false),
            _ => None,
        };
        let text = some(value);
        match name {
            "resolve-hostnames" | "announce-hostnames" => {
                let Some(yes) = yes else {
                    return false;
                };
                match name {
                    "resolve-hostnames" => self.resolve_hostnames = yes,
                    _ => self.announce_hostnames = yes,
                }
            }
            "announce-ip" => self.announce_ip = text,
            "announce-port" => match value.parse() {
                Ok(port) => self.announce_port = port,
                Err(_) => return false,
            },
            "sentinel-user" => self.user = text,
            "sentinel-pass" => self.pass = text,
            _ => return false,
        }
        true
    }
}

/// `None` is what no word stands for.
fn some(word: &str) -> Option<Box<str>> {
    (!word.is_empty()).then(|| word.into())
}

fn positive(word: &str) -> Option<u64> {
    let number: i64 = word.parse().ok()?;
    u64::try_from(number).ok().filter(|&number| number > 0)
}

/// Takes one option of `SENTINEL SET`.
fn set_one(
    settings: &mut Settings,
    option: &str,
    values: &[&str],
    denies_scripts: bool,
    is_executable: &dyn Fn(&str) -> bool,
) -> IsSet {
    let wrong = |value: &str| Unset::Argument(value.to_owned());
    let value = values[0];
    let number = || positive(value).ok_or_else(|| wrong(value));
    let script = |text| {
        if denies_scripts {
            return Err(Unset::Refused(SCRIPTS_DENIED));
        }
        let path = some(value);
        if path.as_deref().is_some_and(|path| !is_executable(path)) {
            return Err(Unset::Refused(Refusal::Command(text)));
        }
        Ok(path)
    };
    match option.to_ascii_lowercase().as_str() {
        "down-after-milliseconds" => settings.down_after_ms = number()?,
        "failover-timeout" => settings.failover_timeout_ms = number()?,
        "parallel-syncs" => settings.parallel_syncs = number()?,
        "quorum" => settings.quorum = number()?,
        "master-reboot-down-after-period" | "primary-reboot-down-after-period" => {
            let ms = value.parse().map_err(|_unsaid| wrong(value))?;
            settings.master_reboot_down_after_ms = ms;
        }
        "notification-script" => {
            settings.notification_script =
                script("ERR Notification script seems non existing or non executable")?;
        }
        "client-reconfig-script" => {
            settings.client_reconfig_script =
                script("ERR Client reconfiguration script seems non existing or non executable")?;
        }
        "auth-pass" => {
            settings.auth_pass = some(value);
            return Ok("******".to_owned());
        }
        "auth-user" => settings.auth_user = some(value),
        "rename-command" => {
            let [from, to] = [values[0], values[1]];
            for name in [from, to] {
                if name.is_empty() {
                    return Err(wrong(name));
                }
            }
            let renamed = &mut settings.renamed;
            renamed.retain(|(known, _)| !known.eq_ignore_ascii_case(from));
            if !from.eq_ignore_ascii_case(to) {
                renamed.push((from.into(), to.into()));
            }
        }
        _ => return Err(Unset::Unknown),
    }
    Ok(values.join(" "))
}

#[cfg(test)]
mod tests {
    use super::super::scene::{MASTER, Scene, address, events, orders, sent};
    use super::*;

    fn text(refused: Result<(), Refusal>) -> String {
        refused.map_or_else(|refusal| refusal.to_string(), |()| "OK".to_owned())
    }

    #[test]
    fn a_master_comes_under_watch_and_leaves_it() {
        let mut scene = Scene::new(Vec::new());
        for (words, answer) in [
            (["a", "10.0.0.1", "6379", "x"], "ERR Invalid quorum"),
            (["a", "10.0.0.1", "x", "2"], "ERR Invalid port"),
            (
                ["a", "10.0.0.1", "6379", "0"],
                "ERR Quorum must be 1 or greater.",
            ),
            (
                ["a", "10.0.0.1", "6379", "-1"],
                "ERR Quorum must be 1 or greater.",
            ),
            (
                ["a", "node-a", "6379", "2"],
                "ERR Invalid IP address or hostname specified",
            ),
            (["a", "10.0.0.1", "65536", "2"], "ERR Invalid port number."),
            (["a", "10.0.0.1", "6379", "2"], "OK"),
            (["a", "10.0.0.2", "6379", "2"], "ERR Duplicate master name."),
        ] {
            assert_eq!(text(scene.monitor.monitor(0, words)), answer, "{words:?}");
        }
        assert_eq!(
            scene.act(),
            ["saves", "+monitor master a 10.0.0.1 6379 quorum 2"]
        );
        let settings = &scene.monitor.state().masters[0].settings;
        assert_eq!(*settings, Settings::new(2, 30_000, 180_000));
        assert_eq!(text(scene.monitor.remove(0, "a")), "OK");
        assert_eq!(scene.act(), ["-monitor master a 10.0.0.1 6379", "saves"]);
        let answer = text(scene.monitor.remove(0, "a"));
        assert_eq!(answer, "ERR No such master with that name");
    }

    #[test]
    fn options_are_set_one_by_one() {
        let mut scene = Scene::well(vec![orders()]);
        let may = |path: &str| path == "/bin/sh";
        let unknown = "ERR Unknown option or number of arguments for SENTINEL SET";
        for (words, answer) in [
            (
                "quorum 0",
                "ERR Invalid argument '0' for SENTINEL SET 'quorum'".to_owned(),
            ),
            (
                "Quorum x",
                "ERR Invalid argument 'x' for SENTINEL SET 'Quorum'".to_owned(),
            ),
            ("quorum 3 foo 1", format!("{unknown} 'foo'")),
            ("rename-command PING", format!("{unknown} 'rename-command'")),
            ("notification-script /bin/sh", SCRIPTS_DENIED.to_string()),
            ("DOWN-AFTER-MILLISECONDS 7", "OK".to_owned()),
            (
                "rename-command ping gnip failover-timeout 9 parallel-syncs 4",
                "OK".to_owned(),
            ),
            ("master-reboot-down-after-period 0", "OK".to_owned()),
            ("primary-reboot-down-after-period 5", "OK".to_owned()),
        ] {
            let words: Vec<&str> = words.split(' ').collect();
            let set = scene.monitor.set(0, "orders", &words, &may);
            assert_eq!(text(set), answer, "{words:?}");
        }
        assert_eq!(
            events(scene.act()),
            [
                "+set master orders 10.0.0.1 6379 quorum 3",
                "+set master orders 10.0.0.1 6379 DOWN-AFTER-MILLISECONDS 7",
                "+set master orders 10.0.0.1 6379 rename-command ping gnip",
                "+set master orders 10.0.0.1 6379 failover-timeout 9",
                "+set master orders 10.0.0.1 6379 parallel-syncs 4",
                "+set master orders 10.0.0.1 6379 master-reboot-down-after-period 0",
                "+set master orders 10.0.0.1 6379 primary-reboot-down-after-period 5",
            ]
        );
        let settings = scene.master().settings.clone();
        assert_eq!((settings.quorum, settings.down_after_ms), (3, 7));
        assert_eq!(settings.command("PING"), "gnip");
        assert_eq!(settings.master_reboot_down_after_ms, 5);
        let words = ["rename-command", "Ping", "PING"];
        assert_eq!(text(scene.monitor.set(0, "orders", &words, &may)), "OK");
        assert_eq!(scene.master().settings.command("PING"), "PING");
    }

    #[test]
    fn scripts_are_set_only_where_that_is_allowed() {
        let mut scene = Scene::well(vec![orders()]);
        scene.monitor.own.global.deny_scripts_reconfig = false;
        let may = |path: &str| path == "/bin/sh";
        for (words, answer) in [
            (
                ["notification-script", "/bin/no"],
                "ERR Notification script seems non existing or non executable",
            ),
            (
                ["client-reconfig-script", "/bin/no"],
                "ERR Client reconfiguration script seems non existing or non executable",
            ),
            (["notification-script", "/bin/sh"], "OK"),
            (["client-reconfig-script", "/bin/sh"], "OK"),
            (["client-reconfig-script", ""], "OK"),
        ] {
            let set = scene.monitor.set(0, "orders", &words, &may);
            assert_eq!(text(set), answer);
        }
        let settings = &scene.master().settings;
        assert_eq!(settings.notification_script.as_deref(), Some("/bin/sh"));
        assert_eq!(settings.client_reconfig_script, None);
    }

    #[test]
    fn a_password_is_used_at_once_and_not_told() {
        let mut scene = Scene::well(vec![orders()]);
        let words = ["auth-pass", "secret"];
        scene.monitor.set(0, "orders", &words, &|_| true).unwrap();
        let said = scene.act();
        let told = "+set master orders 10.0.0.1 6379 auth-pass ******";
        assert_eq!(said.last().unwrap(), told);
        assert!(said.contains(&"10.0.0.2:6379 closes".to_owned()));
        assert!(!said.contains(&"10.1.0.2:26379 closes".to_owned()));
        scene.tick(1100);
        let said = scene.all_open();
        assert_eq!(sent(&said, MASTER)[0], "AUTH secret");
    }

    #[test]
    fn a_reset_forgets_everybody_else() {
        let mut carts = orders();
        (carts.name, carts.address) = ("carts".into(), address("10.0.0.8:6379"));
        carts.leader_epoch = 4;
        let mut scene = Scene::well(vec![orders(), carts]);
        assert_eq!(scene.monitor.reset(0, b"x*"), 0);
        assert_eq!(scene.monitor.reset(0, b"car*"), 1);
        let said = events(scene.act());
        assert_eq!(said, ["+reset-master master carts 10.0.0.8 6379"]);
        let state = scene.monitor.state();
        let carts = &state.masters[0];
        assert!(carts.replicas.is_empty() && carts.others.is_empty());
        assert_eq!(carts.leader_epoch, 4, "a vote is a vote");
        assert_eq!(scene.monitor.reset(0, b"*"), 2);
    }

    #[test]
    fn a_quorum_is_counted() {
        let mut scene = Scene::well(vec![orders()]);
        let check = |scene: &mut Scene, quorum, down: usize| {
            let master = scene.monitor.masters.get_mut("orders").unwrap();
            master.settings.quorum = quorum;
            for (index, other) in master.others.iter_mut().enumerate() {
                other.at.sdown.is = index < down;
            }
            let answer = scene.monitor.ckquorum("orders");
            answer.unwrap_or_else(|refusal| refusal.to_string())
        };
        let no_quorum =
            "Not enough available Sentinels to reach the specified quorum for this master";
        let no_majority =
            "Not enough available Sentinels to reach the majority and authorize a failover";
        for (quorum, down, answer) in [
            (
                2,
                1,
                "OK 2 usable Sentinels. Quorum and failover authorization can be reached"
                    .to_owned(),
            ),
            (3, 1, format!("NOQUORUM 2 usable Sentinels. {no_quorum}")),
            (1, 2, format!("NOQUORUM 1 usable Sentinels. {no_majority}")),
            (
                2,
                2,
                format!("NOQUORUM 1 usable Sentinels. {no_quorum}. {no_majority}"),
            ),
        ] {
            assert_eq!(check(&mut scene, quorum, down), answer);
        }
    }

    #[test]
    fn what_holds_for_all_masters_is_set_at_once_or_not_at_all() {
        let mut scene = Scene::well(vec![orders()]);
        for (words, answer) in [
            ("a b", "ERR Invalid argument 'a' to SENTINEL CONFIG SET"),
            (
                "announce-port x",
                "ERR Invalid value 'x' to SENTINEL CONFIG SET 'announce-port'",
            ),
            (
                "announce-ip 10.1.1.1 announce-ip 10.1.1.2",
                "ERR Duplicate argument 'announce-ip' to SENTINEL CONFIG SET",
            ),
            (
                "announce-ip 10.1.1.1 resolve-hostnames",
                "ERR Missing argument 'resolve-hostnames' value",
            ),
            (
                "announce-ip 10.1.1.1 resolve-hostnames maybe",
                "ERR Invalid value 'maybe' to SENTINEL CONFIG SET 'resolve-hostnames'",
            ),
            (
                "loglevel loud",
                "ERR Invalid value 'loud' to SENTINEL CONFIG SET 'loglevel'",
            ),
        ] {
            let words: Vec<&str> = words.split(' ').collect();
            let refusal = scene.monitor.config_set(0, &words).unwrap_err();
            assert_eq!(refusal.to_string(), answer);
        }
        let get = |scene: &Scene, patterns: &[&[u8]]| {
            let found = scene.monitor.config_get(patterns, "notice").into_iter();
            let found = found.map(|(name, value)| format!("{name} {value}"));
            found.collect::<Vec<_>>().join(" ")
        };
        assert_eq!(
            get(&scene, &[b"*"]),
            "resolve-hostnames no announce-hostnames no announce-ip  announce-port 0 \
             sentinel-user  sentinel-pass  loglevel notice"
        );
        let words = "resolve-hostnames yes announce-port 7 LOGLEVEL Verbose sentinel-pass word";
        let words: Vec<&str> = words.split(' ').collect();
        assert_eq!(scene.monitor.config_set(0, &words), Ok(Some("verbose")));
        assert!(scene.act().contains(&"10.1.0.2:26379 closes".to_owned()));
        assert_eq!(
            get(&scene, &[b"announce-port", b"*OST*", b"announce-*"]),
            "announce-port 7 resolve-hostnames yes announce-hostnames no announce-ip "
        );
    }

    #[test]
    fn intervals_are_set_one_by_one() {
        let mut scene = Scene::new(Vec::new());
        let unknown = "ERR Unknown option or number of arguments for SENTINEL DEBUG";
        for (words, answer) in [
            ("info-period 5 foo 1", format!("{unknown} 'foo'")),
            ("ping-period", format!("{unknown} 'ping-period'")),
            (
                "ping-period 0",
                "ERR Invalid argument '0' for SENTINEL DEBUG 'ping-period'".to_owned(),
            ),
            ("tilt-period 3 ask-period 4", "OK".to_owned()),
        ] {
            let words: Vec<&str> = words.split(' ').collect();
            assert_eq!(text(scene.monitor.debug(&words)), answer);
        }
        let timers = &scene.monitor.own.timers;
        assert_eq!((timers.info_period_ms, timers.tilt_period_ms), (5, 3));
        assert_eq!(timers.ask_period_ms, 4);
    }

    #[test]
    fn crashes_are_those_that_were_asked_for_last() {
        let mut scene = Scene::new(Vec::new());
        let mut ask = |words: &[&str]| {
            let answer = text(scene.monitor.simulate_failure(words));
            (answer, scene.monitor.summary().simulated)
        };
        let ok = || "OK".to_owned();
        assert_eq!(
            ask(&["crash-after-election", "crash-after-promotion"]),
            (ok(), 3)
        );
        assert_eq!(ask(&["crash-after-promotion"]), (ok(), 2));
        assert_eq!(ask(&["foo"]).0, "ERR Unknown failure simulation specified");
    }

    #[test]
    fn nobody_is_named_who_is_not_watched() {
        let mut scene = Scene::new(Vec::new());
        let unknown = "ERR No such master with that name";
        assert_eq!(text(scene.monitor.failover(0, "x", false)), unknown);
        assert_eq!(text(scene.monitor.set(0, "x", &[], &|_| true)), unknown);
        let refusal = scene.monitor.ckquorum("x").unwrap_err();
        assert_eq!(refusal.to_string(), unknown);
    }
}
