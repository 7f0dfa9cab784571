//! The file of a monitor, which holds what it must not forget.
//!
//! It is the file that the operator wrote. Comments and the order of lines stay; a line whose value
//! has changed gets that of now, in its place; a line that is not so any more goes; what has no
//! line, and is not as it would be without, is added at the end.
//!
//! The file is replaced whole (`config/rewrite.rs`).

use std::collections::BTreeMap;

use super::directive::{self, Line};
use super::monitor::State;
use crate::config::{ADDED, Config, RewriteError, Statement, quoted};

/// Writes the state of now into the file of the start. Blocks on the disk.
///
/// # Errors
///
/// When the file cannot be replaced; it is as it was then, or has the state but may forget it.
pub(super) fn save(config: &Config, state: &State) -> Result<(), RewriteError> {
    config.rewrite_with(|text| rewritten(&text, state))
}

/// The text of a file with the state of now.
pub(super) fn rewritten(before: &str, state: &State) -> String {
    let lines = directive::lines(state);
    // By what they are about; their places give the order of those that are added.
    let mut open: BTreeMap<Vec<String>, (usize, &Line)> = BTreeMap::new();
    for (at, line) in lines.iter().enumerate() {
        let key = directive::key(&line.words);
        open.insert(key.expect("it is one of the table"), (at, line));
    }
    let mut after = String::new();
    let mut write = |line: &str| {
        after.push_str(line);
        after.push('\n');
    };
    for text in before.lines() {
        let words = match Statement::of(text) {
            Some(Statement { name, words }) if name == "sentinel" && !words.is_empty() => words,
            _ => {
                write(text);
                continue;
            }
        };
        let key = directive::key(&words);
        // What is not here any more, and what was said before, goes.
        if let Some((_, line)) = key.and_then(|key| open.remove(&key)) {
            match line.words[1..] == words[1..] {
                true => write(text),
                false => write(&printed(line)),
            }
        }
    }
    let mut added: Vec<(usize, &Line)> = open.into_values().collect();
    added.retain(|(_, line)| !line.is_default);
    added.sort_by_key(|(at, _)| *at);
    if !added.is_empty() && before.lines().all(|line| line != ADDED) {
        write(ADDED);
    }
    for (_, line) in added {
        write(&printed(line));
    }
    after
}

/// The line as it stands in a file.
fn printed(line: &Line) -> String {
    let words: Vec<String> = line.words.iter().map(|word| quoted(word)).collect();
    format!("sentinel {}", words.join(" "))
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::*;
    use crate::sentinel::{Address, directive};

    const ID: &str = "0123456789abcdef0123456789abcdef01234567";

    /// What a file of this text says, or the line that is wrong with it and why.
    fn read(text: &str) -> Result<State, String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        std::fs::write(&path, text).unwrap();
        let (_, lines) = Config::load_monitor([OsString::from(&path)].into_iter()).unwrap();
        let state = directive::read(&lines).map_err(|error| error.to_string());
        state.map_err(|error| error.replace(path.to_str().unwrap(), "file"))
    }

    const FULL: &str = "\
# Which masters there are.
port 5000
SENTINEL Known-Slave orders 10.0.0.2 6379

sentinel monitor orders 10.0.0.1 6379 2
sentinel monitor \"two words\" fe80::1 6380 1
  # Times.
sentinel down-after-milliseconds orders 5000
sentinel failover-timeout orders 180000
sentinel parallel-syncs orders 3
sentinel notification-script orders /bin/sh
sentinel client-reconfig-script orders /bin/sh
sentinel auth-pass orders \"a \\\"b\\\" \\x0ac\"
sentinel auth-user orders us
sentinel primary-reboot-down-after-period orders 7
sentinel rename-command orders CONFIG hidden
sentinel rename-command orders slaveof also-hidden
sentinel known-sentinel orders 10.0.0.8 26379 fedcba9876543210fedcba9876543210fedcba98
sentinel config-epoch orders 11
sentinel leader-epoch orders 12
sentinel config-epoch \"two words\" 0
sentinel leader-epoch \"two words\" 0
sentinel current-epoch 12
sentinel announce-ip 10.0.0.7
sentinel announce-port 26000
sentinel sentinel-user us
sentinel sentinel-pass secret
sentinel deny-scripts-reconfig no
sentinel resolve-hostnames yes
sentinel announce-hostnames yes
sentinel myid 0123456789abcdef0123456789abcdef01234567
";

    #[test]
    fn a_file_says_what_a_monitor_is_in_any_order() {
        let state = read(FULL).unwrap();
        assert_eq!(&*state.id, ID);
        assert_eq!(state.epoch, 12);
        let global = &state.global;
        assert_eq!(global.announce_ip.as_deref(), Some("10.0.0.7"));
        assert_eq!(global.announce_port, 26000);
        assert_eq!(global.user.as_deref(), Some("us"));
        assert_eq!(global.pass.as_deref(), Some("secret"));
        assert!(global.resolve_hostnames && global.announce_hostnames);
        assert!(!global.deny_scripts_reconfig);
        let [orders, two] = &state.masters[..] else {
            panic!("two masters are named")
        };
        assert_eq!(orders.address, Address::new("10.0.0.1", 6379));
        assert_eq!(two.address, Address::new("fe80::1", 6380));
        assert_eq!(&*two.name, "two words");
        assert_eq!(two.settings.down_after_ms, 30_000);
        let settings = &orders.settings;
        assert_eq!(settings.quorum, 2);
        assert_eq!(settings.down_after_ms, 5000);
        assert_eq!(settings.parallel_syncs, 3);
        assert_eq!(settings.master_reboot_down_after_ms, 7);
        assert_eq!(settings.auth_pass.as_deref(), Some("a \"b\" \nc"));
        assert_eq!(settings.notification_script.as_deref(), Some("/bin/sh"));
        assert_eq!(settings.command("config"), "hidden");
        assert_eq!((orders.config_epoch, orders.leader_epoch), (11, 12));
        assert_eq!(orders.replicas, [Address::new("10.0.0.2", 6379)]);
        assert_eq!(orders.others[0].1, Address::new("10.0.0.8", 26379));
    }

    #[test]
    fn a_file_that_says_what_is_so_stays_as_it_is() {
        let state = read(FULL).unwrap();
        assert_eq!(rewritten(FULL, &state), FULL);
    }

    #[test]
    fn no_epoch_is_greater_than_the_current_one() {
        let masters = "sentinel monitor a 10.0.0.1 1 1\nsentinel leader-epoch a 7\n";
        let epoch = |more: &str| read(&format!("{masters}{more}")).unwrap().epoch;
        assert_eq!(epoch(""), 7);
        assert_eq!(epoch("sentinel current-epoch 6"), 7);
        assert_eq!(epoch("sentinel current-epoch 8"), 8);
    }

    #[test]
    fn what_has_changed_is_written_in_its_place_and_what_is_new_at_the_end() {
        let before = "\
# One.
sentinel monitor a 10.0.0.1 1 2
# Two.
sentinel monitor b 10.0.0.2 1 2
sentinel down-after-milliseconds a 1000
sentinel known-replica a 10.0.0.3 1
sentinel down-after-milliseconds b 1000
loglevel verbose
";
        let mut state = read(before).unwrap();
        state.id = ID.into();
        state.masters.retain(|master| &*master.name == "a");
        let master = &mut state.masters[0];
        master.address = Address::new("10.0.0.3", 1);
        master.replicas = vec![Address::new("10.0.0.1", 1)];
        master.settings.down_after_ms = 30_000;
        master.settings.auth_pass = Some("two words".into());
        master.config_epoch = 5;
        state.epoch = 5;
        let wanted = format!(
            "\
# One.
sentinel monitor a 10.0.0.3 1 2
# Two.
sentinel down-after-milliseconds a 30000
loglevel verbose
{ADDED}
sentinel myid {ID}
sentinel auth-pass a \"two words\"
sentinel config-epoch a 5
sentinel leader-epoch a 0
sentinel known-replica a 10.0.0.1 1
sentinel current-epoch 5
"
        );
        assert_eq!(rewritten(before, &state), wanted);
        assert_eq!(read(&wanted).unwrap(), state);
    }

    #[test]
    fn what_cannot_be_obeyed_is_refused_in_the_words_of_redis() {
        const M: &str = "sentinel monitor m 127.0.0.1 6379 2";
        for (lines, why) in [
            (
                &["sentinel monitor m 127.0.0.1 6379 0"][..],
                "Quorum must be 1 or greater.",
            ),
            (
                &["sentinel monitor m 127.0.0.1 6379"],
                "Unrecognized sentinel configuration statement.",
            ),
            (
                &["sentinel monitor m name 6379 2"],
                "Can't resolve instance hostname.",
            ),
            (
                &["sentinel monitor m 127.0.0.1 70000 2"],
                "Invalid port number.",
            ),
            (&[M, M], "Duplicate master name."),
            (
                &["sentinel auth-pass m x"],
                "No such master with specified name.",
            ),
            (
                &[M, "sentinel down-after-milliseconds m 0"],
                "negative or zero time parameter.",
            ),
            (
                &[M, "sentinel failover-timeout m x"],
                "negative or zero time parameter.",
            ),
            (
                &[M, "sentinel master-reboot-down-after-period m -1"],
                "negative time parameter.",
            ),
            (
                &[M, "sentinel notification-script m /nowhere"],
                "Notification script seems non existing or non executable.",
            ),
            (
                &[M, "sentinel client-reconfig-script m /nowhere"],
                "Client reconfiguration script seems non existing or non executable.",
            ),
            (
                &["sentinel myid 12"],
                "Malformed Sentinel id in myid option.",
            ),
            (
                &[
                    M,
                    "sentinel known-replica m 127.0.0.1 1",
                    "sentinel known-slave m 127.0.0.1 1",
                ],
                "Duplicate hostname and port for replica.",
            ),
            (
                &[
                    M,
                    "sentinel known-sentinel m 127.0.0.1 1 abc",
                    "sentinel known-sentinel m 127.0.0.1 2 abc",
                ],
                "Duplicate runid for sentinel.",
            ),
            (
                &[
                    M,
                    "sentinel rename-command m a b",
                    "sentinel rename-command m A c",
                ],
                "Same command renamed multiple times with rename-command.",
            ),
            (
                &["sentinel deny-scripts-reconfig x"],
                "Please specify yes or no for the deny-scripts-reconfig options.",
            ),
            (
                &["sentinel resolve-hostnames x"],
                "Please specify yes or no for the resolve-hostnames option.",
            ),
            (
                &["sentinel announce-hostnames x"],
                "Please specify yes or no for the announce-hostnames option.",
            ),
            (
                &["sentinel unheard-of 1"],
                "Unrecognized sentinel configuration statement.",
            ),
            (
                &["sentinel myid"],
                "Unrecognized sentinel configuration statement.",
            ),
        ] {
            let (number, last) = (lines.len(), lines[lines.len() - 1]);
            let wanted = format!("file, line {number}: '{last}': {why}");
            assert_eq!(read(&lines.join("\n")), Err(wanted));
        }
        // Old forms, and lines that say nothing.
        let harmless = [M, "sentinel known-sentinel m 127.0.0.1 1", "sentinel"];
        assert!(read(&harmless.join("\n")).is_ok());
    }
}
