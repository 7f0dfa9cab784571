//! The table, the grammar of files and command lines, and `CONFIG`, case by case.

use std::ffi::OsString;
use std::path::Path;

use super::table::NO_ACL;
use super::*;

/// The configuration that these arguments make, or the line that says why not.
fn load(args: &[&str]) -> Result<Config, String> {
    Config::load(args.iter().map(OsString::from)).map_err(|error| error.to_string())
}

/// What `CONFIG GET` shows for one name.
fn get(config: &Config, name: &str) -> String {
    let [(_, value)] = &config.matching(&[name])[..] else {
        panic!("no single {name}")
    };
    value.clone()
}

fn set(config: &Config, pairs: &[(&str, &str)]) -> Result<Vec<&'static str>, String> {
    let pairs: Vec<_> = pairs
        .iter()
        .map(|(name, value)| (name.as_bytes(), value.as_bytes()))
        .collect();
    match config.set(&pairs) {
        Ok(changed) => Ok(changed.into_iter().map(|id| id.directive().name).collect()),
        Err(error) => Err(error.to_string()),
    }
}

/// Loads a file of this text; `DIR` stands for its directory. The error has its path cut off.
fn load_text(text: &str, args: &[&str]) -> Result<Config, String> {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in [
        ("a.conf", "timeout 1\nhz 1\n"),
        ("b.conf", "timeout 2\n"),
        ("c", "x 1"),
    ] {
        std::fs::write(dir.path().join(name), text).unwrap();
    }
    let here = dir.path().to_str().unwrap();
    std::fs::write(dir.path().join("main"), text.replace("DIR", here)).unwrap();
    let file = format!("{here}/main");
    let args: Vec<_> = args.iter().map(|arg| arg.replace("DIR", here)).collect();
    let args = [&file]
        .into_iter()
        .chain(&args)
        .map(String::as_str)
        .collect::<Vec<_>>();
    load(&args).map_err(|error| error.replace(here, "DIR"))
}

#[test]
fn the_table_is_sorted_and_every_name_is_unique_and_small() {
    assert!(DIRECTIVES.is_sorted_by(|left, right| left.name < right.name));
    let mut names: Vec<_> = DIRECTIVES
        .iter()
        .flat_map(|directive| [Some(directive.name), directive.alias])
        .flatten()
        .collect();
    let all = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), all);
    for name in names {
        assert!(
            name.bytes()
                .all(|byte| byte.is_ascii_lowercase() || b"-_".contains(&byte))
        );
    }
    for Directive { name, doc, .. } in DIRECTIVES {
        assert!(
            !doc.is_empty() && !doc.ends_with('.') && !doc.contains("  "),
            "{name}: {doc}"
        );
    }
}

#[test]
fn every_default_is_a_value_that_survives_being_printed() {
    let config = Config::defaults();
    for id in Id::all() {
        let text = config.text(id);
        let parsed = config.parse(id, &[&text], Source::Runtime);
        assert_eq!(parsed, Ok(config.value(id)), "{}", id.directive().name);
        assert!(config.is_default(id));
    }
    assert_eq!(config.ineffective().count(), 0);
}

#[test]
fn what_the_server_reads_is_what_the_table_says() {
    let config = Config::defaults();
    assert_eq!(config.choice(APPENDFSYNC), "always");
    assert_eq!(config.int(PORT), 6379);
    assert_eq!(config.size(SEGMENT_SIZE), 64 << 20);
    assert!(config.flag(PROTECTED_MODE));
    assert_eq!(config.text(BIND), "127.0.0.1 -::1");
    assert_eq!(config.text(REQUIREPASS), "");
    assert_eq!(config.output_limits().pubsub.soft_seconds, 60);
    assert_eq!(config.file(), None);
}

#[test]
fn redis_own_directives_are_all_known() {
    let config = Config::defaults();
    for name in REDIS_DIRECTIVES.split(' ') {
        get(&config, name);
    }
}

#[test]
fn patterns_show_names_and_aliases_as_redis_does() {
    let config = Config::defaults();
    for (patterns, wanted) in [
        (&["timeout"][..], &["timeout"][..]),
        (&["TIMEOUT"], &["TIMEOUT"]),
        (&["TIMEO*"], &["timeout"]),
        (&["timeout", "time*"], &["timeout"]),
        (&["*-read-only"], &["replica-read-only", "slave-read-only"]),
        (&["slave-read-only"], &["slave-read-only"]),
        (
            &["busy*", "*-time-limit"],
            &["busy-reply-threshold", "lua-time-limit"],
        ),
        (&["nosuch", "include", "rename-command", ""], &[]),
    ] {
        let found = config.matching(patterns);
        let names: Vec<_> = found.iter().map(|(name, _)| name.as_ref()).collect();
        assert_eq!(names, wanted, "{patterns:?}");
    }
    let aliases = DIRECTIVES
        .iter()
        .filter(|directive| directive.alias.is_some())
        .count();
    assert_eq!(config.matching(&["*"]).len(), DIRECTIVES.len() + aliases);
}

#[test]
fn values_are_shown_as_redis_shows_them() {
    let config = Config::defaults();
    for (name, value, shown) in [
        ("appendfsync", "ALWAYS", "always"),
        (
            "client-output-buffer-limit",
            "replica 1mb 0 0",
            "normal 268435456 0 0 slave 1048576 0 0 \
                                                           pubsub 33554432 8388608 60",
        ),
        ("maxmemory", "1K", "1000"),
        ("maxmemory-clients", "10%", "10%"),
        ("notify-keyspace-events", "KEAmn", "AKEm"),
        ("protected-mode", "NO", "no"),
        ("save", "900 1 300 10", "900 1 300 10"),
        ("save", "", ""),
        ("stream-node-max-bytes", "1mb", "1048576"),
    ] {
        set(&config, &[(name, value)]).unwrap();
        assert_eq!(get(&config, name), shown);
    }
}

#[test]
fn setting_is_refused_with_redis_texts() {
    let failed = |name: &str, why: &str| {
        format!("CONFIG SET failed (possibly related to argument '{name}') - {why}")
    };
    let unknown =
        |name: &str| format!("Unknown option or number of arguments for CONFIG SET - '{name}'");
    for (pairs, text) in [
        (&[("nosuch", "1")][..], unknown("nosuch")),
        (&[("", "1")], unknown("")),
        (&[("ti*", "1")], unknown("ti*")),
        (&[("include", "x")], unknown("include")),
        (&[("a\r\nb", "1")], unknown("a??b")),
        (&[("timeout", "x"), ("nosuch", "1")], unknown("nosuch")),
        (
            &[("databases", "4"), ("nosuch", "1")],
            failed("databases", "can't set immutable config"),
        ),
        (
            &[("timeout", "x"), ("dir", "/")],
            failed("dir", "can't set immutable config"),
        ),
        (
            &[("timeout", "1"), ("timeout", "2")],
            failed("timeout", "duplicate parameter"),
        ),
        (
            &[("TIMEOUT", "x"), ("hz", "y")],
            failed("timeout", "argument couldn't be parsed into an integer"),
        ),
        (
            &[("tcp-keepalive", "-1")],
            failed(
                "tcp-keepalive",
                "argument must be between 0 and 2147483647 inclusive",
            ),
        ),
        (
            &[("timeout", "1 2")],
            failed("timeout", "argument couldn't be parsed into an integer"),
        ),
        (
            &[("maxmemory", "10%")],
            failed("maxmemory", "argument must be a memory value"),
        ),
        (
            &[("maxmemory-clients", "-1")],
            failed(
                "maxmemory-clients",
                "argument must be a memory or percent value",
            ),
        ),
        (
            &[("maxmemory-clients", "101%")],
            failed(
                "maxmemory-clients",
                "percentage argument must be less or equal to 100",
            ),
        ),
        (
            &[("proto-max-bulk-len", "1")],
            failed(
                "proto-max-bulk-len",
                "argument must be between 1048576 and 9223372036854775807 inclusive",
            ),
        ),
        (
            &[("appendfsync", "foo")],
            failed(
                "appendfsync",
                "argument(s) must be one of the following: everysec, always, no",
            ),
        ),
        (
            &[("SLAVE-read-only", "abc")],
            failed("slave-read-only", "argument must be 'yes' or 'no'"),
        ),
        (&[("save", "10")], failed("save", "Invalid save parameters")),
        (
            &[("notify-keyspace-events", "q")],
            failed(
                "notify-keyspace-events",
                "Invalid event class character. Use 'Ag$lshzxeKEtmdn'.",
            ),
        ),
        // Ours alone.
        (
            &[("appendonly", "no")],
            failed(
                "appendonly",
                "every change is logged before its reply; `appendfsync no` costs least",
            ),
        ),
        (
            &[("tls-port", "1")],
            failed("tls-port", "connections are not encrypted"),
        ),
        (
            &[("requirepass", "a\nport 1")],
            failed("requirepass", "control characters are not allowed"),
        ),
    ] {
        let config = Config::defaults();
        assert_eq!(set(&config, pairs), Err(text));
        assert!(Id::all().all(|id| config.is_default(id)), "{pairs:?}");
    }
    let config = Config::defaults();
    let not_utf8 = config
        .set(&[(b"requirepass", b"\xff")])
        .unwrap_err()
        .to_string();
    assert_eq!(
        not_utf8,
        failed("requirepass", "argument must be valid UTF-8")
    );
}

#[test]
fn a_set_changes_everything_it_names_or_nothing() {
    let config = Config::defaults();
    let refused = [("timeout", "5"), ("requirepass", "x"), ("hz", "abc")];
    set(&config, &refused).unwrap_err();
    assert_eq!(
        (config.int(TIMEOUT), config.text(REQUIREPASS).as_str()),
        (0, "")
    );

    let accepted = [
        ("timeout", "5"),
        ("maxclients", "10000"),
        ("requirepass", "x"),
    ];
    assert_eq!(set(&config, &accepted), Ok(vec!["timeout", "requirepass"]));
    assert_eq!(
        (config.int(TIMEOUT), config.text(REQUIREPASS).as_str()),
        (5, "x")
    );

    // Redis takes a directive under both of its names, and the last one wins.
    let twice = [
        ("replica-serve-stale-data", "no"),
        ("slave-serve-stale-data", "yes"),
    ];
    set(&config, &twice).unwrap();
    assert_eq!(get(&config, "replica-serve-stale-data"), "yes");
    assert_eq!(
        set(&config, &[("appendonly", "yes"), ("tls-port", "0")]),
        Ok(vec![])
    );
}

#[test]
fn the_command_line_is_read_as_redis_reads_it() {
    for (args, name, wanted) in [
        (&["--timeout", "7"][..], "timeout", "7"),
        (&["--TIMEOUT", "7"], "timeout", "7"),
        (&["--timeout 7"], "timeout", "7"),
        (&["--timeout=7"], "timeout", "7"),
        (&["--timeout", "5", "--timeout", "6"], "timeout", "6"),
        (&["--requirepass", "--foo"], "requirepass", "--foo"),
        (&["--requirepass=a b=c"], "requirepass", "a b=c"),
        (&["--requirepass", "", "--timeout", "7"], "timeout", "7"),
        (&["--save", "--timeout", "5"], "timeout", "5"),
        (&["--save"], "save", ""),
        (&["--save", ""], "save", ""),
        (&["--save="], "save", ""),
        (&["--save", "900", "1", "60", "5"], "save", "900 1 60 5"),
        (&["--save", "900 1"], "save", "900 1"),
        (
            &["--bind", "127.0.0.1", "::1", "--timeout", "4"],
            "bind",
            "127.0.0.1 ::1",
        ),
        (&["--bind", "127.0.0.1 ::1"], "bind", "127.0.0.1 ::1"),
        (&["--slave-priority", "5"], "replica-priority", "5"),
        (&[], "port", "6379"),
    ] {
        assert_eq!(get(&load(args).unwrap(), name), wanted, "{args:?}");
    }
}

#[test]
fn a_wrong_command_line_is_refused_in_one_line() {
    for (args, text) in [
        (
            &["--nosuch", "5"][..],
            "command line: --nosuch \"5\": unknown directive",
        ),
        (
            &["--timeout", "7 "],
            "command line: --timeout \"7 \": argument couldn't be parsed into an integer",
        ),
        (
            &["--timeout", "7", "8"],
            "command line: --timeout \"7\" \"8\": wrong number of arguments",
        ),
        (
            &["--timeout"],
            "command line: --timeout: wrong number of arguments",
        ),
        (
            &["--timeout", "--port", "7973"],
            "command line: --timeout \"--port\" \"7973\": wrong number of arguments",
        ),
        (
            &["--save", "900 1", "60 5"],
            "command line: --save \"900 1\" \"60 5\": Invalid save parameters",
        ),
        (
            &["--rename-command", "a", "b"],
            "command line: --rename-command \"a\" \"b\": not supported: commands cannot be renamed",
        ),
        (
            &["--include", "x"],
            "x: cannot be read: No such file or directory (os error 2)",
        ),
        (
            &["--dir", "a\nb"],
            "command line: --dir \"a\\nb\": control characters are not allowed",
        ),
        (
            &["no/such/file"],
            "no/such/file: cannot be read: No such file or directory (os error 2)",
        ),
        (
            &["-port", "5"],
            "-port: cannot be read: No such file or directory (os error 2)",
        ),
    ] {
        assert_eq!(load(args).err().as_deref(), Some(text));
    }
}

#[test]
fn a_file_is_read_as_redis_reads_it() {
    for (text, name, wanted) in [
        ("timeout 9", "timeout", "9"),
        ("# c\n\n  \tTimeOut \t 9\t \r\n\n#timeout 8", "timeout", "9"),
        ("timeout \"9\"", "timeout", "9"),
        ("timeout 8\ntimeout 9\n", "timeout", "9"),
        ("requirepass \"a\\x20b\\\"c\"", "requirepass", "a b\"c"),
        ("requirepass 'a \\' b'", "requirepass", "a ' b"),
        ("requirepass a#b", "requirepass", "a#b"),
        ("save 1 2\nsave 3 4", "save", "1 2 3 4"),
        ("save 1 2\nsave \"\"\nsave 3 4", "save", "3 4"),
        ("bind \"127.0.0.1 ::1\"", "bind", "127.0.0.1 ::1"),
        (
            "client-output-buffer-limit pubsub 0 0 0\nclient-output-buffer-limit normal 0 0 0",
            "client-output-buffer-limit",
            "normal 0 0 0 slave 268435456 67108864 60 pubsub 0 0 0",
        ),
        ("timeout 9\ninclude DIR/a.conf", "timeout", "1"),
        ("include \"DIR/a.conf\" DIR/b.conf", "timeout", "2"),
        ("include DIR/*.conf\nhz 5", "timeout", "2"),
        ("include DIR/*.conf\nhz 5", "hz", "5"),
        ("include DIR/nothing*.conf", "timeout", "0"),
        ("appendonly no", "appendonly", "yes"),
        (
            "cluster-enabled no\ntls-port 0\naclfile \"\"",
            "timeout",
            "0",
        ),
    ] {
        assert_eq!(get(&load_text(text, &[]).unwrap(), name), wanted, "{text}");
    }
    let config = load_text(
        "timeout 1\nsave 1 2",
        &["--timeout", "2", "--save", "3", "4"],
    )
    .unwrap();
    assert_eq!(
        (get(&config, "timeout"), get(&config, "save")),
        ("2".into(), "1 2 3 4".into())
    );
    assert!(
        config
            .file()
            .is_some_and(|path| path.is_absolute() && path.ends_with("main"))
    );
}

#[test]
fn a_wrong_line_is_named_with_its_file_and_number() {
    for (text, wanted) in [
        (
            "timeout 9\nmaxclients 0",
            "DIR/main, line 2: 'maxclients 0': argument must be between 1 and 4294967295 inclusive",
        ),
        (
            "timeout 1 2",
            "DIR/main, line 1: 'timeout 1 2': wrong number of arguments",
        ),
        (
            "timeout 9 # c",
            "DIR/main, line 1: 'timeout 9 # c': wrong number of arguments",
        ),
        (
            "timeout",
            "DIR/main, line 1: 'timeout': wrong number of arguments",
        ),
        (
            "bind",
            "DIR/main, line 1: 'bind': wrong number of arguments",
        ),
        (
            "\n\nnosuch \x1b[2J",
            "DIR/main, line 3: 'nosuch ?[2J': unknown directive",
        ),
        (
            "requirepass \"abc",
            "DIR/main, line 1: 'requirepass \"abc': unbalanced quotes",
        ),
        (
            "requirepass \"a\\nb\"",
            "DIR/main, line 1: 'requirepass \"a\\nb\"': control characters are not allowed",
        ),
        (
            "requirepass \"\\xff\"",
            "DIR/main, line 1: 'requirepass \"\\xff\"': argument must be valid UTF-8",
        ),
        (
            "tls-port 6380",
            "DIR/main, line 1: 'tls-port 6380': not supported: connections are not encrypted",
        ),
        (
            "tls-port 6380",
            "DIR/main, line 1: 'tls-port 6380': not supported: connections are not encrypted",
        ),
        (
            "loadmodule /x.so",
            "DIR/main, line 1: 'loadmodule /x.so': not supported: there are no modules",
        ),
        (
            "hz 5\ninclude DIR/c",
            "DIR/c, line 1: 'x 1': unknown directive",
        ),
        (
            "include DIR/none",
            "DIR/none: cannot be read: No such file or directory (os error 2)",
        ),
        (
            "include DIR/main",
            "DIR/main, line 1: 'include DIR/main': files include each other too deeply",
        ),
    ] {
        assert_eq!(load_text(text, &[]).err().as_deref(), Some(wanted));
    }
}

#[test]
fn what_has_no_effect_is_named_only_where_it_was_asked_for() {
    let config = load(&[
        "--hz",
        "50",
        "--maxmemory",
        "0",
        "--timeout",
        "5",
        "--save",
        "1",
        "1",
    ]);
    let names = config
        .unwrap()
        .ineffective()
        .map(|directive| directive.name)
        .collect::<Vec<_>>();
    assert_eq!(names, ["hz", "save"]);
}

#[test]
fn rewriting_keeps_the_shape_of_the_file() {
    let config = Config::defaults();
    let before = "# mine\nSLAVE-priority 1\n\ninclude x.conf\ntimeout 1\ntimeout 2\n  # end\n";
    let unchanged = "# mine\nslave-priority 100\n\ninclude x.conf\ntimeout 0\n  # end\n";
    assert_eq!(config.rewritten(before), unchanged);

    set(
        &config,
        &[
            ("timeout", "7"),
            ("requirepass", "a \"b\\"),
            ("save", "1 2"),
        ],
    )
    .unwrap();
    let after = "# mine\nslave-priority 100\n\ninclude x.conf\ntimeout 7\n  # end\n\
                 # Generated by CONFIG REWRITE\nrequirepass \"a \\\"b\\\\\"\nsave 1 2\n";
    assert_eq!(config.rewritten(before), after);
    assert_eq!(config.rewritten(after), after);
    let added = "# Generated by CONFIG REWRITE\nrequirepass \"a \\\"b\\\\\"\nsave 1 2\ntimeout 7\n";
    assert_eq!(config.rewritten(""), added);
}

#[test]
fn a_rewritten_file_says_whom_a_replica_follows_and_nothing_of_a_master() {
    let config = Config::defaults();
    let before = "# whom\nslaveof 10.0.0.1 6379\nport 1\n";
    assert_eq!(config.rewritten(before), "# whom\nport 6379\n");
    config.set_role("db-1.example 6380");
    let after = "# whom\nslaveof db-1.example 6380\nport 6379\n";
    assert_eq!(config.rewritten(before), after);
    let added = "# Generated by CONFIG REWRITE\nreplicaof db-1.example 6380\n";
    assert_eq!(config.rewritten(""), added);
    config.set_role("");
    assert_eq!(config.rewritten(after), "# whom\nport 6379\n");
}

#[test]
fn a_rewritten_file_starts_a_server_with_the_same_values() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("headwater.conf");
    std::fs::write(
        &file,
        "maxmemory-clients 5%\nbind 127.0.0.1 \"-::1\" 'fe80::1%eth0'\n",
    )
    .unwrap();
    let path = file.to_str().unwrap();
    let config = load(&[path, "--dir", "a 'b", "--port", "7"]).unwrap();
    let changes = [
        ("requirepass", "\\x41 \"#'"),
        ("client-output-buffer-limit", "normal 1mb 2 3"),
        ("shutdown-on-sigterm", "now force"),
        ("notify-keyspace-events", "KEA"),
        ("stream-node-max-bytes", "1kb"),
        ("masterauth", "\u{e9}\u{4e2d}"),
    ];
    set(&config, &changes).unwrap();
    config.rewrite().unwrap();
    let again = load(&[path]).unwrap();
    for id in Id::all() {
        assert_eq!(again.value(id), config.value(id), "{}", id.directive().name);
    }
    assert_eq!(
        std::fs::read_dir(&dir).unwrap().count(),
        1,
        "no temporary file is left"
    );
}

#[test]
fn rewriting_needs_a_file() {
    let error = Config::defaults().rewrite().unwrap_err().to_string();
    assert_eq!(error, "The server is running without a config file");
    let mut config = Config::defaults();
    config.file = Some(Path::new("/no/such/directory/x.conf").to_owned());
    let error = config.rewrite().unwrap_err().to_string();
    assert_eq!(
        error,
        "Rewriting config file: No such file or directory (os error 2)"
    );
}

#[test]
fn the_document_names_every_directive_once() {
    let text = describe();
    for Directive { name, .. } in DIRECTIVES {
        let leads = |line: &&str| line.contains(&format!("| `{name}` |"));
        let listed = text.matches(&format!("`{name}`,")).count()
            + text.matches(&format!("`{name}`\n")).count();
        assert_eq!(text.lines().filter(leads).count() + listed, 1, "{name}");
    }
}

/// Whatever `CONFIG GET *` of Redis 7.0.15 and 8.2.3 shows.
const REDIS_DIRECTIVES: &str = "\
    acl-pubsub-default aclfile acllog-max-len active-defrag-cycle-max active-defrag-cycle-min \
    active-defrag-ignore-bytes active-defrag-max-scan-fields active-defrag-threshold-lower \
    active-defrag-threshold-upper active-expire-effort activedefrag activerehashing \
    always-show-logo aof-disable-auto-gc aof-load-truncated aof-rewrite-cpulist \
    aof-rewrite-incremental-fsync aof-timestamp-enabled aof-use-rdb-preamble aof_rewrite_cpulist \
    appenddirname appendfilename appendfsync appendonly auto-aof-rewrite-min-size \
    auto-aof-rewrite-percentage bgsave-cpulist bgsave_cpulist bind bind-source-addr bio-cpulist \
    bio_cpulist busy-reply-threshold client-output-buffer-limit client-query-buffer-limit \
    cluster-allow-pubsubshard-when-down cluster-allow-reads-when-down \
    cluster-allow-replica-migration cluster-announce-bus-port cluster-announce-hostname \
    cluster-announce-human-nodename cluster-announce-ip cluster-announce-port \
    cluster-announce-tls-port cluster-compatibility-sample-ratio cluster-config-file \
    cluster-enabled cluster-link-sendbuf-limit cluster-migration-barrier cluster-node-timeout \
    cluster-port cluster-preferred-endpoint-type cluster-replica-no-failover \
    cluster-replica-validity-factor cluster-require-full-coverage cluster-slave-no-failover \
    cluster-slave-validity-factor cluster-slot-stats-enabled crash-log-enabled \
    crash-memcheck-enabled daemonize databases dbfilename dir disable-thp dynamic-hz \
    enable-debug-command enable-module-command enable-protected-configs hash-max-listpack-entries \
    hash-max-listpack-value hash-max-ziplist-entries hash-max-ziplist-value \
    hide-user-data-from-log hll-sparse-max-bytes hz ignore-warnings io-threads io-threads-do-reads \
    jemalloc-bg-thread latency-monitor-threshold latency-tracking \
    latency-tracking-info-percentiles lazyfree-lazy-eviction lazyfree-lazy-expire \
    lazyfree-lazy-server-del lazyfree-lazy-user-del lazyfree-lazy-user-flush lfu-decay-time \
    lfu-log-factor list-compress-depth list-max-listpack-size list-max-ziplist-size locale-collate \
    logfile loglevel lua-time-limit masterauth masteruser max-new-connections-per-cycle \
    max-new-tls-connections-per-cycle maxclients maxmemory maxmemory-clients \
    maxmemory-eviction-tenacity maxmemory-policy maxmemory-samples min-replicas-max-lag \
    min-replicas-to-write min-slaves-max-lag min-slaves-to-write no-appendfsync-on-rewrite \
    notify-keyspace-events oom-score-adj oom-score-adj-values pidfile port proc-title-template \
    propagation-error-behavior protected-mode proto-max-bulk-len rdb-del-sync-files \
    rdb-save-incremental-fsync rdbchecksum rdbcompression repl-backlog-size repl-backlog-ttl \
    repl-disable-tcp-nodelay repl-diskless-load repl-diskless-sync repl-diskless-sync-delay \
    repl-diskless-sync-max-replicas repl-ping-replica-period repl-ping-slave-period repl-timeout \
    replica-announce-ip replica-announce-port replica-announced replica-full-sync-buffer-limit \
    replica-ignore-disk-write-errors replica-ignore-maxmemory replica-lazy-flush replica-priority \
    replica-read-only replica-serve-stale-data replicaof requirepass sanitize-dump-payload save \
    server-cpulist server_cpulist set-max-intset-entries set-max-listpack-entries \
    set-max-listpack-value set-proc-title shutdown-on-sigint shutdown-on-sigterm shutdown-timeout \
    slave-announce-ip slave-announce-port slave-ignore-maxmemory slave-lazy-flush slave-priority \
    slave-read-only slave-serve-stale-data slaveof slowlog-log-slower-than slowlog-max-len \
    socket-mark-id stop-writes-on-bgsave-error stream-node-max-bytes stream-node-max-entries \
    supervised syslog-enabled syslog-facility syslog-ident tcp-backlog tcp-keepalive timeout \
    tls-auth-clients tls-ca-cert-dir tls-ca-cert-file tls-cert-file tls-ciphers tls-ciphersuites \
    tls-client-cert-file tls-client-key-file tls-client-key-file-pass tls-cluster \
    tls-dh-params-file tls-key-file tls-key-file-pass tls-port tls-prefer-server-ciphers \
    tls-protocols tls-replication tls-session-cache-size tls-session-cache-timeout \
    tls-session-caching tracking-table-max-keys unixsocket unixsocketperm \
    vset-force-single-threaded-execution zset-max-listpack-entries zset-max-listpack-value \
    zset-max-ziplist-entries zset-max-ziplist-value";

#[test]
fn what_redis_writes_about_its_user_is_read_where_it_is_so() {
    const HASH: &str = "#2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae";
    let password = "requirepass foo";
    for rules in ["nopass", "nopass sanitize-payload"] {
        let line = format!("user default on {rules} ~* &* +@all");
        assert!(load_text(&line, &[]).is_ok(), "{line}");
    }
    let hashed = format!("user default on {HASH} ~* &* +@all");
    for text in [
        format!("{hashed}\n{password}"),
        format!("{password}\n{hashed}"),
    ] {
        assert!(load_text(&text, &[]).is_ok(), "{text}");
    }
    for line in [
        &*hashed,
        "user default on >foo ~* &* +@all",
        "user default off nopass ~* &* +@all",
        "user default on nopass ~key &* +@all",
        "user default on nopass ~* &* +@all -get",
        "user ann on nopass ~* &* +@all",
        "user",
    ] {
        let wanted = format!("DIR/main, line 1: '{line}': not supported: {NO_ACL}");
        let wanted = wanted.chars().take(400).collect::<String>();
        assert_eq!(load_text(line, &[]).err(), Some(wanted));
    }
}

#[test]
fn a_monitor_begins_as_a_sentinel_of_redis_does() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("file");
    let text = "sentinel monitor a 127.0.0.1 1 2\n\nprotected-mode yes\nSENTINEL myid \"a b\"\n";
    std::fs::write(&path, text).unwrap();
    let args = [path.into_os_string(), "--port".into(), "7".into()];
    let (config, lines) = Config::load_monitor(args.into_iter()).unwrap();
    assert_eq!(get(&config, "bind"), "* -::*");
    assert_eq!(get(&config, "protected-mode"), "yes");
    assert_eq!(get(&config, "port"), "7");
    let words: Vec<_> = lines.iter().map(|line| line.words.join("|")).collect();
    assert_eq!(words, ["monitor|a|127.0.0.1|1|2", "myid|a b"]);
    let wrong = lines[1].wrong("no ID".to_owned()).to_string();
    assert!(
        wrong.ends_with("file, line 4: 'SENTINEL myid \"a b\"': no ID"),
        "{wrong}"
    );
    let (config, _) = Config::load_monitor(std::iter::empty()).unwrap();
    assert_eq!(get(&config, "port"), "26379");
    assert_eq!(get(&config, "protected-mode"), "no");
}

#[test]
fn any_text_can_be_written_and_read() {
    for text in ["", "plain", "two words", "\"\\'", "\0\t\n\x7f", "\u{e9}#"] {
        let line = format!("name {}", quoted(text));
        let statement = Statement::of(&line).unwrap();
        assert_eq!(statement.words, [text], "{line}");
    }
}
