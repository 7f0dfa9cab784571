//! Monitors as real processes, with masters that die: ours, Redis', and both in one quorum.

#![expect(clippy::unwrap_used, reason = "the helpers of tests are tests, too")]
#![expect(
    clippy::print_stdout,
    reason = "a test that fails shows what servers said"
)]

#[path = "job/address.rs"]
mod address;
#[allow(dead_code, reason = "other tests need more of it")]
#[path = "wire/client.rs"]
mod client;
#[path = "sentinel/process.rs"]
mod process;
#[path = "sentinel/quorum.rs"]
mod quorum;

use std::io::Write as _;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};

use headwater_resp::reply::Reply;

use client::{error, simple};
use process::Program::{self, Ours, Theirs};
use process::{Process, until};
use quorum::{NAME, Quorum, all, lines, of_master};

const SENTINEL_7_0: Program = Theirs("redis-sentinel-7.0");
const REDIS_8_2: Program = Theirs("redis-8.2");
const VALKEY_9_1: Program = Theirs("valkey-9.1");

fn bulk(text: &str) -> Reply {
    Reply::Bulk(text.into())
}

/// The role that a node says it has.
fn role(node: &Process) -> String {
    let role = node.ask(&["ROLE"]);
    let word = role.as_parts().unwrap()[0].as_bytes().unwrap();
    String::from_utf8_lossy(word).into_owned()
}

/// A master that is killed is replaced by its replica, and follows it when it comes again.
fn fails_over(monitors: &[Program], node: Program) {
    let mut master = Process::server(node, None);
    let replica = Process::server(node, Some(&master));
    let quorum = Quorum::start(monitors, &master);
    quorum.settled(1);
    let added = master.ask(&["XADD", "s", "1-1", "f", "v"]);
    assert_eq!(added, bulk("1-1"));
    until("the replica has it", || {
        (replica.ask(&["XLEN", "s"]) == Reply::Int(1)).then_some(())
    });
    let mut hearer = quorum.monitors[0].connect();
    hearer.ask(&["SUBSCRIBE", "+switch-master"]);

    master.kill();
    let [from, to] = [&master, &replica].map(|node| format!("127.0.0.1 {}", node.port()));
    let told = Reply::Array(vec![
        bulk("message"),
        bulk("+switch-master"),
        bulk(&format!("{NAME} {from} {to}")),
    ]);
    assert_eq!(hearer.reply(), told);
    quorum.agrees_on(&replica);
    assert!(quorum.config_epoch() > 0);
    assert_eq!(role(&replica), "master");
    let added = replica.ask(&["XADD", "s", "2-1", "f", "v"]);
    assert_eq!(added, bulk("2-1"));

    master.restart();
    until("the old master follows the new", || {
        (role(&master) == "slave" && master.ask(&["XLEN", "s"]) == Reply::Int(2)).then_some(())
    });
    quorum.settled(1);
    quorum.agrees_on(&replica);
}

#[test]
fn three_of_ours_watch_a_pair_of_ours() {
    fails_over(&[Ours; 3], Ours);
}

#[test]
fn three_of_redis_watch_a_pair_of_ours() {
    fails_over(&[SENTINEL_7_0; 3], Ours);
}

#[test]
fn ours_and_redis_make_one_quorum() {
    fails_over(&[Ours, SENTINEL_7_0, Ours], Ours);
    fails_over(&[SENTINEL_7_0, Ours, SENTINEL_7_0], Ours);
}

#[test]
fn three_of_ours_watch_a_pair_of_redis() {
    fails_over(&[Ours; 3], REDIS_8_2);
}

#[test]
fn a_failover_that_is_asked_for_needs_no_dead_master() {
    let master = Process::server(Ours, None);
    let replica = Process::server(Ours, Some(&master));
    let quorum = Quorum::start(&[Ours, SENTINEL_7_0, Ours], &master);
    quorum.settled(1);
    for (epoch, to, monitor) in [(1, &replica, 0), (2, &master, 1)] {
        let asked = &quorum.monitors[monitor];
        assert_eq!(asked.ask(&["SENTINEL", "FAILOVER", NAME]), simple("OK"));
        quorum.agrees_on(to);
        quorum.settled(1);
        assert_eq!(quorum.config_epoch(), epoch);
    }
}

/// The master hands over, there and back, and then everybody may write again at once: a pause that
/// is forgotten lasts for as long as the failover might have taken.
fn hands_over(node: Program) {
    const TIMEOUT: [&str; 2] = ["failover-timeout", "600000"];
    let master = Process::server(node, None);
    let replica = Process::server(node, Some(&master));
    let quorum = Quorum::start(&[Ours; 3], &master);
    quorum.settled(1);
    for monitor in &quorum.monitors {
        let set = [&["SENTINEL", "SET", NAME][..], &TIMEOUT].concat();
        assert_eq!(monitor.ask(&set), simple("OK"));
    }
    let turns = [
        (&master, &replica, 0),
        (&replica, &master, 1),
        (&master, &replica, 2),
    ];
    for (turn, (from, to, monitor)) in turns.into_iter().enumerate() {
        let id = format!("{}-1", turn + 1);
        assert_eq!(from.ask(&["XADD", "s", &id, "f", "v"]), bulk(&id));
        let asked = &quorum.monitors[monitor];
        until("a failover begins", || {
            let answer = asked.ask(&["SENTINEL", "FAILOVER", NAME, "COORDINATED"]);
            (answer == simple("OK")).then_some(())
        });
        quorum.agrees_on(to);
        let length = Reply::Int(i64::try_from(turn + 1).unwrap());
        assert_eq!(to.ask(&["XLEN", "s"]), length, "nothing is lost");
        until("the old master refuses writes", || {
            let refused = from.ask(&["XADD", "s", "*", "f", "v"]);
            refused.as_error()?.starts_with(b"READONLY").then_some(())
        });
        quorum.settled(1);
        assert_eq!(quorum.config_epoch(), turn as u64 + 1);
    }
}

#[test]
fn a_pair_of_ours_hands_over() {
    hands_over(Ours);
}

#[test]
fn a_pair_of_valkey_hands_over() {
    hands_over(VALKEY_9_1);
}

#[test]
fn a_monitor_comes_again_with_what_it_knew_as_either_program() {
    let mut master = Process::server(Ours, None);
    let replica = Process::server(Ours, Some(&master));
    let mut quorum = Quorum::start(&[Ours, SENTINEL_7_0, Ours], &master);
    quorum.settled(1);
    master.kill();
    quorum.agrees_on(&replica);
    let epoch = quorum.config_epoch();
    let ids = |quorum: &Quorum| {
        let ask = |monitor: &Process| monitor.ask(&["SENTINEL", "MYID"]);
        quorum.monitors.iter().map(ask).collect::<Vec<_>>()
    };
    let before = ids(&quorum);
    let others = [Theirs("redis-8.2"), Ours, SENTINEL_7_0];
    for (monitor, program) in quorum.monitors.iter_mut().zip(others) {
        monitor.become_another(program);
    }
    assert_eq!(ids(&quorum), before);
    quorum.agrees_on(&replica);
    assert_eq!(quorum.config_epoch(), epoch);
    for monitor in &quorum.monitors {
        assert_eq!(all(monitor, "REPLICAS").len(), 1);
        assert_eq!(all(monitor, "SENTINELS").len(), 2);
    }
}

#[test]
fn a_vote_is_not_taken_back_by_a_crash() {
    let master = Process::server(Ours, None);
    let mut monitor = Process::monitor(Ours, &lines(&master, 2));
    let port = master.port().to_string();
    let vote = |monitor: &Process, epoch: &str, candidate: &str| {
        let ask = ["SENTINEL", "IS-MASTER-DOWN-BY-ADDR", "127.0.0.1", &port];
        let reply = monitor.ask(&[&ask[..], &[epoch, candidate]].concat());
        reply.as_parts().unwrap()[1..].to_vec()
    };
    let [ann, bob] = [&"a".repeat(40), &"b".repeat(40)];
    assert_eq!(vote(&monitor, "7", ann), [bulk(ann), Reply::Int(7)]);
    assert_eq!(vote(&monitor, "7", bob), [bulk(ann), Reply::Int(7)]);
    monitor.kill();
    monitor.restart();
    // For whom it was is forgotten, that it was is not.
    assert_eq!(vote(&monitor, "7", bob), [bulk("*"), Reply::Int(7)]);
    assert_eq!(vote(&monitor, "8", bob), [bulk(bob), Reply::Int(8)]);
}

#[test]
fn what_cannot_be_written_is_not_promised() {
    const FAILED: &str = "ERR Failed to save config file. Check server logs.";
    let master = Process::server(Ours, None);
    let monitor = Process::monitor(Ours, &lines(&master, 2));
    let port = master.port().to_string();
    let is_down = ["SENTINEL", "IS-MASTER-DOWN-BY-ADDR", "127.0.0.1", &port];
    let candidate = "a".repeat(40);
    let vote = [&is_down[..], &["9", &candidate]].concat();
    // A directory in the place of the file cannot be replaced by one.
    let (file, aside) = (monitor.file(), monitor.dir().join("aside"));
    std::fs::rename(&file, &aside).unwrap();
    std::fs::create_dir(&file).unwrap();
    for words in [
        &["SENTINEL", "FLUSHCONFIG"][..],
        &["SENTINEL", "SET", NAME, "quorum", "3"],
        &vote,
    ] {
        let mut client = monitor.connect();
        assert_eq!(client.ask(words), error(FAILED));
        client.expect_closed();
    }
    // It goes on watching, and remembers what it said.
    let asked = monitor.ask(&[&is_down[..], &["9", "*"]].concat());
    assert_eq!(asked.as_parts().unwrap()[0], Reply::Int(0));
    assert_eq!(of_master(&monitor)["quorum"], "3");
    std::fs::remove_dir(&file).unwrap();
    std::fs::rename(&aside, &file).unwrap();
    assert_eq!(monitor.ask(&["SENTINEL", "FLUSHCONFIG"]), simple("OK"));
    let text = std::fs::read_to_string(&file).unwrap();
    for line in [
        format!("sentinel monitor {NAME} 127.0.0.1 {port} 3"),
        format!("sentinel leader-epoch {NAME} 9"),
    ] {
        assert!(text.lines().any(|it| it == line), "{line}:\n{text}");
    }
}

#[test]
fn a_simulated_crash_ends_the_monitor_and_another_takes_over() {
    let mut master = Process::server(Ours, None);
    let replica = Process::server(Ours, Some(&master));
    let mut quorum = Quorum::start(&[Ours; 3], &master);
    quorum.settled(1);
    for monitor in &quorum.monitors {
        let asked = monitor.ask(&["SENTINEL", "SIMULATE-FAILURE", "crash-after-election"]);
        assert_eq!(asked, simple("OK"));
    }
    master.kill();
    let crashed = until("the leader crashes", || {
        let mut monitors = quorum.monitors.iter();
        monitors.position(|it| std::net::TcpStream::connect(("127.0.0.1", it.port())).is_err())
    });
    let mut crashed = quorum.monitors.remove(crashed);
    assert_eq!(crashed.ended(), Some(99));
    assert_eq!(role(&replica), "slave");
    // A failure that there is not takes the place of those that there are.
    for monitor in &quorum.monitors {
        let asked = monitor.ask(&["SENTINEL", "SIMULATE-FAILURE", "none"]);
        assert_eq!(asked, error("ERR Unknown failure simulation specified"));
    }
    quorum.agrees_on(&replica);
}

/// A program that runs `commands`, in a directory.
fn script(dir: &Path, name: &str, commands: &str) -> String {
    let path = dir.join(name);
    std::fs::write(&path, format!("#!/bin/sh\n{commands}\n")).unwrap();
    let may_run = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&path, may_run).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn scripts_hear_what_happens_and_have_no_socket_of_ours() {
    let dir = tempfile::tempdir().unwrap();
    let here = dir.path().to_str().unwrap();
    let sockets = format!("readlink /proc/$$/fd/* | grep -c socket >> {here}/sockets");
    let notify = format!("{sockets}; echo \"$@\" >> {here}/notices");
    let notify = script(dir.path(), "notify", &notify);
    let reconfig = format!("{sockets}; echo \"$@\" >> {here}/changes");
    let reconfig = script(dir.path(), "reconfig", &reconfig);
    let mut master = Process::server(Ours, None);
    let replica = Process::server(Ours, Some(&master));
    let more = format!(
        "sentinel notification-script {NAME} {notify}\n\
         sentinel client-reconfig-script {NAME} {reconfig}\n"
    );
    let monitor = Process::monitor(Ours, &(lines(&master, 1) + &more));
    let quorum = Quorum {
        monitors: vec![monitor],
    };
    quorum.settled(1);
    master.kill();
    quorum.agrees_on(&replica);

    let [from, to] = [&master, &replica].map(|node| format!("127.0.0.1 {}", node.port()));
    let has = |name: &str, line: &str| {
        let text = std::fs::read_to_string(dir.path().join(name)).unwrap_or_default();
        text.lines().any(|it| it == line).then_some(())
    };
    for line in [
        format!("+monitor master {NAME} {from} quorum 1"),
        format!("+sdown master {NAME} {from}"),
        format!("+switch-master {NAME} {from} {to}"),
    ] {
        until(&line, || has("notices", &line));
    }
    let line = format!("{NAME} leader start {from} {to}");
    until(&line, || has("changes", &line));
    let sockets = std::fs::read_to_string(dir.path().join("sockets")).unwrap();
    assert!(sockets.lines().all(|count| count == "0"), "{sockets}");
    until("no script is left", || {
        let pending = quorum.monitors[0].ask(&["SENTINEL", "PENDING-SCRIPTS"]);
        (pending == Reply::Array(Vec::new())).then_some(())
    });
}

#[test]
fn names_are_looked_up_and_told_as_it_is_wanted() {
    let master = Process::server(Ours, None);
    let port = master.port();
    for (announce, host) in [("no", "127.0.0.1"), ("yes", "localhost")] {
        let lines = format!(
            "sentinel monitor {NAME} localhost {port} 1\n\
             sentinel resolve-hostnames yes\nsentinel announce-hostnames {announce}\n"
        );
        let monitor = Process::monitor(Ours, &lines);
        until("the monitor is connected", || {
            (of_master(&monitor)["flags"] == "master").then_some(())
        });
        let address = monitor.ask(&["SENTINEL", "GET-MASTER-ADDR-BY-NAME", NAME]);
        let wanted = [bulk(host), bulk(&port.to_string())];
        assert_eq!(address, Reply::Array(wanted.to_vec()));
    }
}

#[test]
fn passwords_are_given_to_nodes_and_to_each_other() {
    const SECRET: [&str; 4] = ["--requirepass", "node", "--masterauth", "node"];
    let master = Process::server_with(Ours, None, &SECRET);
    let replica = Process::server_with(Ours, Some(&master), &SECRET);
    let more = format!("requirepass monitor\nsentinel auth-pass {NAME} node\n");
    let lines = lines(&master, 2) + &more;
    let monitors = [Ours, SENTINEL_7_0].map(|program| Process::monitor(program, &lines));
    for monitor in &monitors {
        let mut client = monitor.connect();
        let asked = client.ask(&["SENTINEL", "MASTERS"]);
        assert_eq!(asked, error("NOAUTH Authentication required."));
        assert_eq!(client.ask(&["AUTH", "monitor"]), simple("OK"));
        until("everybody is connected", || {
            let mut shown = |whom: &str| client.ask(&["SENTINEL", whom, NAME]);
            let shown =
                ["MASTER", "REPLICAS", "SENTINELS"].map(|whom| format!("{:?}", shown(whom)));
            let is_there = |all: &String| all.contains("flags") && !all.contains("disconnected");
            shown.iter().all(is_there).then_some(())
        });
    }
    drop(replica);
}

/// Accepts a connection, says the same over and over until the other end closes it, and tells how
/// many bytes were taken.
fn chatter(listener: &TcpListener, said: &[u8]) -> usize {
    let (mut peer, _) = listener.accept().unwrap();
    let said = said.repeat(1024);
    let mut taken = 0;
    while let Ok(bytes) = peer.write(&said) {
        taken += bytes;
    }
    taken
}

#[test]
fn a_node_that_says_too_much_or_nonsense_is_not_listened_to() {
    /// More than a reply may have and than sockets hold.
    const MUCH: usize = 32 << 20;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let lines = format!("sentinel monitor {NAME} 127.0.0.1 {port} 1\n");
    let monitor = Process::monitor(Ours, &lines);
    for said in [
        &b"$1000000000\r\n"[..],
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"*1000000\r\n",
        b"*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n",
    ] {
        for _ in 0..3 {
            let taken = chatter(&listener, said);
            assert!(taken < MUCH, "{taken} bytes");
        }
    }
    // What is in order is taken, but nobody asked for it.
    assert_eq!(monitor.ask(&["PING"]), simple("PONG"));
    assert_eq!(of_master(&monitor)["runid"], "");
}

#[test]
fn a_monitor_without_a_file_of_its_own_does_not_start() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("sentinel.conf");
    std::fs::write(&file, "port 0\nsentinel monitor a 127.0.0.1 1 0\n").unwrap();
    let path = file.to_str().unwrap();
    for (args, wanted) in [
        (
            &["--sentinel"][..],
            "headwater: Sentinel needs config file on disk to save state. Exiting...\n".to_owned(),
        ),
        (
            &["-", "--sentinel"],
            "headwater: Sentinel needs config file on disk to save state. Exiting...\n".to_owned(),
        ),
        (
            &["--sentinel", path],
            format!(
                "headwater: {path}, line 2: 'sentinel monitor a 127.0.0.1 1 0': Quorum must be 1 \
                 or greater.\n"
            ),
        ),
        (
            &[path],
            format!(
                "headwater: {path}, line 2: 'sentinel monitor a 127.0.0.1 1 0': not supported: \
                 the server is not started as a sentinel\n"
            ),
        ),
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_headwater"));
        let output = command.args(args).stdin(Stdio::null()).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        assert_eq!(String::from_utf8(output.stderr).unwrap(), wanted);
    }
}

#[test]
fn a_program_that_is_called_sentinel_is_one() {
    let dir = tempfile::tempdir().unwrap();
    let name = dir.path().join("my-sentinel");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_headwater"), &name).unwrap();
    let output = Command::new(&name).stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        said.contains("Sentinel needs config file on disk"),
        "{said}"
    );
}
