//! Masters and replicas as real processes, with connections between them that go wrong.
//!
//! `HEADWATER_BUDGET=10` kills ten times as often, `HEADWATER_SEED=7` kills at the same moments
//! again; `HEADWATER_NO_MOUNT=1` leaves out what needs a file system of its own.

#![expect(clippy::unwrap_used, reason = "the helpers of tests are tests, too")]
#![expect(clippy::print_stdout, reason = "a random test says its seed")]

#[allow(dead_code, reason = "other tests need more of it")]
#[path = "job/chance.rs"]
mod chance;
#[allow(dead_code, reason = "other tests need more of it")]
#[path = "wire/client.rs"]
mod client;
#[path = "replication/disks.rs"]
mod disks;
#[path = "replication/kills.rs"]
mod kills;
#[path = "replication/messages.rs"]
mod messages;
#[path = "replication/node.rs"]
mod node;
#[path = "replication/proxy.rs"]
mod proxy;
#[allow(dead_code, reason = "other tests need more of it")]
#[path = "wire/server.rs"]
mod server;
#[allow(dead_code, reason = "other tests need more of it")]
#[path = "disk_full/volume.rs"]
mod volume;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use headwater_resp::reply::Reply;

use client::{Client, PATIENCE, error, request, simple};
use node::{Node, converge};
use proxy::{Proxy, To};

const READONLY: &str = "READONLY You can't write against a read only replica.";

fn add(node: &Node, key: &str, count: usize) {
    let mut client = node.connect();
    let entries: Vec<u8> = (0..count)
        .flat_map(|number| request(&["XADD", key, "*", "n", &number.to_string()]))
        .collect();
    let mut sender = client.sender();
    std::thread::scope(|scope| {
        scope.spawn(move || std::io::Write::write_all(&mut sender, &entries).unwrap());
        for _ in 0..count {
            assert!(matches!(client.reply(), Reply::Bulk(_)));
        }
    });
}

/// Groups, deliveries, acknowledgements, claims, deletions, names and times: some of each.
fn do_something_of_everything(node: &Node, key: &str) {
    let mut client = node.connect();
    add(node, key, 300);
    for words in [
        &["XGROUP", "CREATE", key, "g", "0"][..],
        &[
            "XREADGROUP",
            "GROUP",
            "g",
            "ann",
            "COUNT",
            "50",
            "STREAMS",
            key,
            ">",
        ],
        &[
            "XREADGROUP",
            "GROUP",
            "g",
            "bob",
            "COUNT",
            "50",
            "STREAMS",
            key,
            ">",
        ],
        &["XAUTOCLAIM", key, "g", "cleo", "0", "0", "COUNT", "20"],
        &["XADD", key, "MAXLEN", "~", "200", "*", "last", "one"],
        &["COPY", key, &format!("{key}-copy")],
        &["XTRIM", &format!("{key}-copy"), "MAXLEN", "10"],
        &["PEXPIRE", &format!("{key}-copy"), "3600000"],
        &["SELECT", "3"],
        &["XADD", key, "1-1", "in", "another"],
        &["RENAME", key, &format!("{key}-named")],
    ] {
        assert!(client.ask(words).as_error().is_none(), "{words:?}");
    }
}

#[test]
fn a_replica_has_what_its_master_has_and_takes_no_writes() {
    let master = Node::start(&[]);
    do_something_of_everything(&master, "before");
    let replica = Node::following(&master.replicaof(), &[]);
    replica.until_up();
    do_something_of_everything(&master, "after");
    converge(&master, &[&replica]);

    let mut client = replica.connect();
    for words in [
        &["XADD", "s", "*", "f", "v"][..],
        &["FLUSHALL"],
        &["XREADGROUP", "GROUP", "g", "ann", "STREAMS", "after", ">"],
    ] {
        assert_eq!(client.ask(words), error(READONLY), "{words:?}");
    }
    assert_eq!(client.ask(&["MULTI"]), simple("OK"));
    assert_eq!(client.ask(&["XADD", "s", "*", "f", "v"]), error(READONLY));
    let aborted = error("EXECABORT Transaction discarded because of previous errors.");
    assert_eq!(client.ask(&["EXEC"]), aborted);
    let waits = client.ask(&["WAIT", "0", "0"]);
    let refused = waits.as_error().unwrap().to_vec();
    assert!(refused.starts_with(b"ERR WAIT cannot be used with replica instances."));

    let role = master.connect().ask(&["ROLE"]);
    let parts = role.as_parts().unwrap();
    assert_eq!(parts[0].as_bytes(), Some(&b"master"[..]));
    let offset = master.info("master_repl_offset");
    let expected = ["127.0.0.1", &replica.port().to_string(), &offset];
    let expected = expected.map(|word| Reply::Bulk(word.into()));
    assert_eq!(
        parts[2].as_parts().unwrap(),
        [Reply::Array(expected.into())]
    );
    let expected = Reply::Array(vec![
        Reply::Bulk("slave".into()),
        Reply::Bulk("127.0.0.1".into()),
        Reply::Int(master.port().into()),
        Reply::Bulk("connected".into()),
        Reply::Int(offset.parse().unwrap()),
    ]);
    assert_eq!(client.ask(&["ROLE"]), expected);
}

#[test]
fn a_replica_with_one_thread_takes_much_at_once() {
    let master = Node::start(&[]);
    // So much that it comes in lots that are long to take.
    let (mut client, value) = (master.connect(), "v".repeat(1000));
    let entry = request(&["XADD", "s", "*", "f", &value]);
    for _ in 0..20 {
        client.send(&entry.repeat(200));
        for _ in 0..200 {
            assert!(matches!(client.reply(), Reply::Bulk(_)));
        }
    }
    let mut replica = Node::following(&master.replicaof(), &["--worker-threads", "1"]);
    converge(&master, &[&replica]);
    // It goes on while somebody waits for what comes.
    let mut waiting = replica.connect();
    waiting.send(&request(&["XREAD", "BLOCK", "0", "STREAMS", "s", "$"]));
    let mut other = replica.connect();
    other.until_info("clients", "blocked_clients", "1");
    client.send(&entry.repeat(200));
    for _ in 0..200 {
        assert!(matches!(client.reply(), Reply::Bulk(_)));
    }
    assert!(matches!(waiting.reply(), Reply::Array(_)));
    converge(&master, &[&replica]);
    replica.stop();
}

#[test]
fn whoever_comes_again_gets_what_it_lacks_and_no_more() {
    let master = Node::start(&[]);
    let proxy = Proxy::to(master.address());
    let mut replica = Node::following(&proxy.replicaof(), &[]);
    add(&master, "s", 2000);
    converge(&master, &[&replica]);
    // The replica is away; the connection is; the master is.
    replica.stop();
    add(&master, "s", 100);
    let before = proxy.forwarded();
    replica.restart();
    converge(&master, &[&replica]);
    let more = proxy.forwarded() - before;
    assert!(more < 20_000, "{more} bytes for a hundred entries");
    proxy.cut(true);
    add(&master, "s", 100);
    proxy.cut(false);
    converge(&master, &[&replica]);
    let mut master = master;
    master.kill();
    master.restart();
    proxy.retarget(master.address());
    add(&master, "s", 100);
    converge(&master, &[&replica]);
    let said = replica.said();
    assert!(!said.contains("receives everything"), "{said}");
}

#[test]
fn a_connection_that_goes_wrong_in_any_way_is_made_up_for() {
    let quick = ["--repl-timeout", "1", "--repl-ping-replica-period", "1"];
    let master = Node::start(&quick);
    let proxy = Proxy::to(master.address());
    let replica = Node::following(&proxy.replicaof(), &quick);
    do_something_of_everything(&master, "one");
    converge(&master, &[&replica]);
    // In the middle of frames, headers and answers.
    for bytes in [0, 1, 3, 20, 50, 117, 1000, 4097] {
        proxy.reset_after(bytes);
        let began = Instant::now();
        while !proxy.has_reset() {
            add(&master, "s", 20);
            assert!(began.elapsed() < PATIENCE, "no byte gets through");
        }
        converge(&master, &[&replica]);
    }
    for to in [To::Master, To::Replica] {
        // Nobody is told; both have to find out.
        proxy.stick(to, true);
        add(&master, "s", 200);
        replica.until("master_link_status", "down");
        proxy.stick(to, false);
        proxy.break_connections();
        converge(&master, &[&replica]);
    }
    proxy.delay(Duration::from_millis(20));
    proxy.slow(2000);
    do_something_of_everything(&master, "two");
    converge(&master, &[&replica]);
}

#[test]
fn replicas_of_replicas_follow_wherever_their_master_goes() {
    let first = Node::start(&[]);
    let second = Node::following(&first.replicaof(), &[]);
    let third = Node::following(&second.until_up().replicaof(), &[]);
    do_something_of_everything(&first, "s");
    converge(&first, &[&second, &third]);
    assert_eq!(second.ask(&["REPLICAOF", "NO", "ONE"]), simple("OK"));
    do_something_of_everything(&second, "t");
    converge(&second, &[&third]);
    assert_eq!(
        first.ask(&["SLAVEOF", "127.0.0.1", &third.port().to_string()]),
        simple("OK")
    );
    do_something_of_everything(&second, "u");
    converge(&second, &[&third, &first]);
}

#[test]
fn an_old_master_cuts_what_its_replica_never_got_and_follows() {
    let mut old = Node::start(&[]);
    let proxy = Proxy::to(old.address());
    let new = Node::following(&proxy.replicaof(), &[]);
    for round in 0..3 {
        do_something_of_everything(&old, &format!("both-{round}"));
        converge(&old, &[&new]);
        proxy.cut(true);
        new.until("master_link_status", "down");
        do_something_of_everything(&old, "lost");
        assert_eq!(new.ask(&["REPLICAOF", "NO", "ONE"]), simple("OK"));
        do_something_of_everything(&new, &format!("new-{round}"));
        if round == 1 {
            // It comes again as a master, and learns then.
            old.kill();
            old.restart();
            add(&old, "lost-too", 10);
        }
        let began = Instant::now();
        let to = ["REPLICAOF", "127.0.0.1", &new.port().to_string()];
        assert_eq!(old.ask(&to), simple("OK"));
        old.until_up();
        let took = began.elapsed();
        assert!(took < Duration::from_secs(2), "{took:?}");
        converge(&new, &[&old]);
        assert_eq!(old.ask(&["EXISTS", "lost", "lost-too"]), Reply::Int(0));
        // And back again.
        let port = old.port().to_string();
        assert_eq!(
            new.ask(&["FAILOVER", "TO", "127.0.0.1", &port]),
            simple("OK")
        );
        old.until("role", "master");
        proxy.cut(false);
        proxy.retarget(old.address());
        let through = proxy.replicaof();
        let (host, port) = through.split_once(' ').unwrap();
        new.until("master_failover_state", "no-failover");
        assert_eq!(new.ask(&["REPLICAOF", host, port]), simple("OK"));
        new.until_up();
    }
    let said = old.said();
    assert_eq!(
        said.matches("cut off what the master never had").count(),
        3,
        "{said}"
    );
}

#[test]
fn whoever_has_nothing_in_common_gets_everything_in_as_many_pieces_as_it_takes() {
    let master = Node::start(&["--sync-replicas", "0"]);
    for key in ["a", "b", "c"] {
        do_something_of_everything(&master, key);
        add(&master, key, 3000);
        assert_eq!(master.ask(&["SAVE"]), simple("OK"));
    }
    let proxy = Proxy::to(master.address());
    let mut stranger = Node::start(&[]);
    do_something_of_everything(&stranger, "of-its-own");
    let through = proxy.replicaof();
    let (host, port) = through.split_once(' ').unwrap();
    for bytes in [0, 100, 5000, 60_000] {
        proxy.reset_after(bytes);
        assert_eq!(stranger.ask(&["REPLICAOF", host, port]).as_error(), None);
        let began = Instant::now();
        while !proxy.has_reset() {
            assert!(began.elapsed() < PATIENCE, "nothing is sent");
        }
        // It has what it had, until it has everything.
        add(&master, "meanwhile", 10);
    }
    converge(&master, &[&stranger]);
    assert_eq!(stranger.ask(&["EXISTS", "of-its-own"]), Reply::Int(0));
    stranger.kill();
    stranger.restart();
    assert_eq!(stranger.ask(&["EXISTS", "a", "b", "c"]), Reply::Int(3));
    let said = stranger.said();
    assert_eq!(
        said.matches("has everything that its master had").count(),
        1,
        "{said}"
    );
}

#[test]
fn what_no_replica_has_is_not_acknowledged_by_one_who_becomes_a_replica() {
    let master = Node::start(&["--sync-replicas", "1"]);
    let proxy = Proxy::to(master.address());
    let replica = Node::following(&proxy.replicaof(), &[]);
    replica.until_up();
    add(&master, "s", 10);
    converge(&master, &[&replica]);
    proxy.stick(To::Replica, true);
    let mut writer = master.connect();
    writer.send(&request(&["XADD", "s", "*", "f", "v"]));
    master.until_more_than(&replica);
    assert_eq!(replica.ask(&["REPLICAOF", "NO", "ONE"]), simple("OK"));
    let to = ["REPLICAOF", "127.0.0.1", &replica.port().to_string()];
    assert_eq!(master.ask(&to), simple("OK"));
    writer.expect_closed();
    converge(&replica, &[&master]);
    assert_eq!(master.ask(&["XLEN", "s"]), Reply::Int(10));
}

/// One thread: the answer is made, and its server is to be a replica, before it can be sent.
#[test]
fn who_waited_for_what_will_never_be_committed_is_not_told() {
    let master = Node::start(&["--sync-replicas", "1", "--worker-threads", "1"]);
    let mut reader = master.connect();
    reader.send(&request(&["XREAD", "BLOCK", "0", "STREAMS", "s", "$"]));
    let mut client = master.connect();
    client.until_info("clients", "blocked_clients", "1");
    let both = [
        request(&["XADD", "s", "1-0", "f", "v"]),
        request(&["REPLICAOF", "127.0.0.1", "1"]),
    ];
    client.send(&both.concat());
    assert_eq!(reader.try_reply(), None, "it is closed");
    client.expect_closed();
}

#[test]
fn wait_tells_who_has_it_and_who_has_it_on_disk() {
    let master = Node::start(&["--appendfsync", "everysec"]);
    let proxy = Proxy::to(master.address());
    let replica = Node::following(&proxy.replicaof(), &[]);
    replica.until_up();
    let mut client = master.connect();
    let pair = |local, replicas| Reply::Array(vec![Reply::Int(local), Reply::Int(replicas)]);
    for _ in 0..20 {
        client.ask(&["XADD", "s", "*", "f", "v"]);
        assert_eq!(client.ask(&["WAIT", "1", "0"]), Reply::Int(1));
        client.ask(&["XADD", "s", "*", "f", "v"]);
        assert_eq!(client.ask(&["WAITAOF", "1", "1", "0"]), pair(1, 1));
    }
    proxy.stick(To::Master, true);
    client.ask(&["XADD", "s", "*", "f", "v"]);
    assert_eq!(client.ask(&["WAIT", "1", "50"]), Reply::Int(0));
    assert_eq!(
        client.ask(&["WAITAOF", "0", "1", "50"]).as_parts().unwrap()[1],
        Reply::Int(0)
    );
    client.send(&request(&["WAIT", "1", "0"]));
    proxy.stick(To::Master, false);
    assert_eq!(client.reply(), Reply::Int(1));
    assert_eq!(client.ask(&["WAITAOF", "1", "2", "50"]), pair(1, 1));
}

#[test]
fn with_sync_replicas_nothing_is_said_before_replicas_have_it_on_disk() {
    let master = Node::start(&["--sync-replicas", "1"]);
    let proxy = Proxy::to(master.address());
    let replica = Node::following(&proxy.replicaof(), &[]);
    replica.until_up();
    add(&master, "s", 500);
    proxy.stick(To::Replica, true);
    let mut writer = master.connect();
    writer.send(&request(&["XADD", "s", "*", "f", "v"]));
    master.until_more_than(&replica);
    // Whoever sees it, sees it when it is safe.
    let mut reader = master.connect();
    reader.send(&request(&["XLEN", "s"]));
    let mut other = master.connect();
    other.until_info_is_there("commandstats", "cmdstat_xlen");
    proxy.stick(To::Replica, false);
    assert!(matches!(writer.reply(), Reply::Bulk(_)));
    assert_eq!(reader.reply(), Reply::Int(501));

    let set = ["CONFIG", "SET", "sync-replicas-timeout", "100"];
    assert_eq!(other.ask(&set), simple("OK"));
    proxy.stick(To::Replica, true);
    let mut late = master.connect();
    let in_doubt = late.ask(&["XADD", "s", "*", "f", "v"]);
    assert!(
        in_doubt.as_error().unwrap().starts_with(b"INDOUBT "),
        "{in_doubt:?}"
    );
    late.expect_closed();
    assert_eq!(
        other.ask(&["CONFIG", "SET", "sync-replicas-timeout", "0"]),
        simple("OK")
    );
    // Without a replica everything waits, but for what monitors ask; without the directive nothing
    // does.
    proxy.cut(true);
    writer.send(&request(&["XADD", "t", "*", "f", "v"]));
    let keys = "keys=2,expires=0,avg_ttl=0,subexpiry=0";
    other.until_info("keyspace", "db0", keys);
    assert_eq!(other.ask(&["PING"]), simple("PONG"));
    assert_eq!(
        other.ask(&["CONFIG", "SET", "sync-replicas", "0"]),
        simple("OK")
    );
    assert!(matches!(writer.reply(), Reply::Bulk(_)));
}

#[test]
fn with_sync_replicas_a_replica_syncs_at_once_whatever_its_own_clients_want() {
    let every_second = ["--appendfsync", "everysec"];
    let master = Node::start(&["--appendfsync", "everysec", "--sync-replicas", "1"]);
    let replica = Node::following(&master.replicaof(), &every_second);
    replica.until_up();
    let (mut client, began) = (master.connect(), Instant::now());
    for _ in 0..30 {
        assert!(matches!(
            client.ask(&["XADD", "s", "*", "f", "v"]),
            Reply::Bulk(_)
        ));
    }
    // Left to itself it would take half a second on average.
    let taken = began.elapsed();
    assert!(taken < Duration::from_secs(10), "{taken:?}");
}

#[test]
fn what_sentinels_say_is_done_at_once_or_not_at_all() {
    let master = Node::start(&[]);
    let replica = Node::following(&master.replicaof(), &[]);
    replica.until_up();
    let say = |node: &Node, slaveof: &[&str]| {
        let mut sentinel = node.connect();
        let mut others = [node.connect(), node.connect()];
        for other in &mut others {
            other.ask(&["PING"]);
        }
        for words in [
            &["MULTI"][..],
            slaveof,
            &["CONFIG", "REWRITE"],
            &["CLIENT", "KILL", "TYPE", "normal"],
            &["CLIENT", "KILL", "TYPE", "pubsub"],
            &["EXEC"],
        ] {
            sentinel.send(&request(words));
        }
        assert_eq!(sentinel.reply(), simple("OK"));
        for _ in 0..4 {
            assert_eq!(sentinel.reply(), simple("QUEUED"));
        }
        let done = sentinel.reply();
        let [role, rewrite, killed, subscribers] = done.as_parts().unwrap() else {
            panic!("{done:?}");
        };
        assert_eq!(
            *rewrite,
            error("ERR The server is running without a config file")
        );
        assert!(matches!(killed, Reply::Int(2..)), "{killed:?}");
        assert_eq!(*subscribers, Reply::Int(0));
        others.into_iter().for_each(Client::expect_closed);
        let told = sentinel.ask(&["ROLE"]).as_parts().unwrap()[0].clone();
        (role.clone(), told)
    };
    let (master_word, replica_word) = (Reply::Bulk("master".into()), Reply::Bulk("slave".into()));
    // Promotion, what is the master already, the other way round, and once more the same.
    let address = replica.port().to_string();
    let follow = ["SLAVEOF", "127.0.0.1", &address];
    let already = simple("OK Already connected to specified master");
    for (node, words, role, told) in [
        (
            &replica,
            &["SLAVEOF", "NO", "ONE"][..],
            simple("OK"),
            &master_word,
        ),
        (
            &replica,
            &["SLAVEOF", "NO", "ONE"],
            simple("OK"),
            &master_word,
        ),
        (&master, &follow, simple("OK"), &replica_word),
        (&master, &follow, already, &replica_word),
    ] {
        assert_eq!(say(node, words), (role, told.clone()), "{words:?}");
        if *told == replica_word {
            // It may have had to cut its log first.
            node.until_up();
        }
    }
    add(&replica, "s", 10);
    converge(&replica, &[&master]);
    // What cannot be queued is not done.
    let mut client = master.connect();
    for words in [&["MULTI"][..], &["SLAVEOF", "NO", "ONE"], &["SLAVEOF"]] {
        client.ask(words);
    }
    let aborted = error("EXECABORT Transaction discarded because of previous errors.");
    assert_eq!(client.ask(&["EXEC"]), aborted);
    assert_eq!(client.ask(&["ROLE"]).as_parts().unwrap()[0], replica_word);
}

#[test]
fn both_ends_of_a_link_are_listed_and_can_be_cut() {
    let master = Node::start(&[]);
    let replica = Node::following(&master.replicaof(), &[]);
    replica.until_up();
    let listed = |node: &Node, kind: &str| {
        let list = node.ask(&["CLIENT", "LIST", "TYPE", kind]);
        String::from_utf8(list.as_bytes().unwrap().to_vec()).unwrap()
    };
    let (up, down) = (listed(&replica, "master"), listed(&master, "replica"));
    assert!(up.contains(" flags=M ") && up.lines().count() == 1, "{up}");
    assert!(
        up.contains(&format!("addr=127.0.0.1:{} ", master.port())),
        "{up}"
    );
    assert!(
        down.contains(" flags=S ") && down.lines().count() == 1,
        "{down}"
    );
    for (node, kind) in [(&replica, "master"), (&master, "replica")] {
        let mut client = master.connect();
        let before = client.info("stats", "sync_partial_ok").unwrap();
        assert_eq!(node.ask(&["CLIENT", "KILL", "TYPE", kind]), Reply::Int(1));
        let after = before.parse::<u64>().unwrap() + 1;
        client.until_info("stats", "sync_partial_ok", &after.to_string());
        replica.until_up();
    }
}

#[test]
fn too_few_replicas_and_a_lost_master_are_told_in_redis_words() {
    let master = Node::start(&[
        "--min-replicas-to-write",
        "1",
        "--min-replicas-max-lag",
        "1",
    ]);
    let no_replicas = error("NOREPLICAS Not enough good replicas to write.");
    assert_eq!(master.ask(&["XADD", "s", "*", "f", "v"]), no_replicas);
    let proxy = Proxy::to(master.address());
    let replica = Node::following(&proxy.replicaof(), &["--replica-serve-stale-data", "no"]);
    replica.until_up();
    assert!(matches!(
        master.ask(&["XADD", "s", "*", "f", "v"]),
        Reply::Bulk(_)
    ));
    assert_eq!(master.info("min_slaves_good_slaves"), "1");
    converge(&master, &[&replica]);
    proxy.cut(true);
    replica.until("master_link_status", "down");
    let text = "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.";
    assert_eq!(replica.ask(&["XLEN", "s"]), error(text));
    assert_eq!(replica.ask(&["PING"]), error(text));
    assert_eq!(replica.ask(&["XADD", "s", "*", "f", "v"]), error(READONLY));
    master.until("connected_slaves", "0");
    assert_eq!(master.ask(&["XADD", "s", "*", "f", "v"]), no_replicas);
}

#[test]
fn who_waits_at_a_master_is_sent_away_when_it_follows() {
    let (old, new) = (Node::start(&[]), Node::start(&[]));
    old.ask(&["XGROUP", "CREATE", "s", "g", "$", "MKSTREAM"]);
    let waiting: Vec<_> = [
        &["XREAD", "BLOCK", "0", "STREAMS", "s", "$"][..],
        &[
            "XREADGROUP",
            "GROUP",
            "g",
            "ann",
            "BLOCK",
            "0",
            "STREAMS",
            "s",
            ">",
        ],
        &["WAIT", "1", "0"],
    ]
    .into_iter()
    .map(|words| {
        let mut client = old.connect();
        client.send(&request(words));
        client
    })
    .collect();
    old.connect().until_info("clients", "blocked_clients", "3");
    // Those who wait are sent away by the new role, and may be gone before anybody kills them.
    let mut idle = [old.connect(), old.connect(), old.connect()];
    for client in &mut idle {
        assert_eq!(client.ask(&["PING"]), simple("PONG"));
    }
    // What a sentinel says.
    let mut sentinel = old.connect();
    let host_port = ["SLAVEOF", "127.0.0.1", &new.port().to_string()];
    for words in [
        &["MULTI"][..],
        &host_port,
        &["CONFIG", "REWRITE"],
        &["CLIENT", "KILL", "TYPE", "normal"],
        &["CLIENT", "KILL", "TYPE", "pubsub"],
    ] {
        let answer = if words == ["MULTI"] { "OK" } else { "QUEUED" };
        assert_eq!(sentinel.ask(words), simple(answer));
    }
    let Reply::Array(answers) = sentinel.ask(&["EXEC"]) else {
        panic!("EXEC has the answers");
    };
    assert_eq!(answers[0], simple("OK"));
    let no_file = "ERR The server is running without a config file";
    assert_eq!(answers[1], error(no_file));
    assert!(matches!(answers[2], Reply::Int(3..)), "{answers:?}");
    assert_eq!(answers[3], Reply::Int(0));
    for mut client in idle {
        assert_eq!(client.try_reply(), None, "it is closed");
    }
    for mut client in waiting {
        // It was told why, or ended before it could be.
        let text = "UNBLOCKED force unblock from blocking operation, instance state changed \
                    (master -> replica?)";
        match client.try_reply() {
            Some(told) => assert_eq!(told, error(text)),
            None => continue,
        }
        client.expect_closed();
    }
    assert_eq!(old.info("role"), "slave");
    let again = old.ask(&host_port);
    assert_eq!(again, simple("OK Already connected to specified master"));
}

#[test]
fn a_failover_loses_nothing_and_is_told_as_readonly_only() {
    let master = Node::start(&[]);
    let replica = Node::following(&master.replicaof(), &[]);
    replica.until_up();
    let mut nodes = [master, replica];
    let addresses = [nodes[0].address(), nodes[1].address()];
    let ended = AtomicBool::new(false);
    let written = std::thread::scope(|scope| {
        let writers: Vec<_> = (0..4)
            .map(|writer| {
                let ended = &ended;
                scope.spawn(move || write_until(addresses, writer, ended))
            })
            .collect();
        for round in 0..6 {
            let (from, into) = (&nodes[round % 2], &nodes[(round + 1) % 2]);
            std::thread::sleep(Duration::from_millis(50));
            let port = into.port().to_string();
            let asked = ["FAILOVER", "TO", "127.0.0.1", &port, "TIMEOUT", "10000"];
            assert_eq!(from.ask(&asked), simple("OK"));
            from.until("role", "slave");
            from.until_up();
            into.until("role", "master");
            into.until("master_failover_state", "no-failover");
            from.until("master_failover_state", "no-failover");
        }
        ended.store(true, Ordering::Relaxed);
        writers
            .into_iter()
            .map(|writer| writer.join().unwrap())
            .sum::<i64>()
    });
    assert!(written > 100, "{written}");
    converge(&nodes[0], &[&nodes[1]]);
    let kept: i64 = (0..4)
        .map(
            |writer| match nodes[0].ask(&["XLEN", &format!("s{writer}")]) {
                Reply::Int(count) => count,
                other => panic!("{other:?}"),
            },
        )
        .sum();
    assert_eq!(kept, written, "each write is there once");
    for node in &mut nodes {
        node.stop();
        let said = node.said();
        assert!(!said.contains("cut off"), "{said}");
    }
}

#[test]
fn a_pause_of_writes_ends_when_another_has_taken_over() {
    let master = Node::start(&[]);
    let replica = Node::following(&master.replicaof(), &[]);
    replica.until_up();
    let mut monitor = master.connect();
    let port = replica.port().to_string();
    for words in [
        &["MULTI"][..],
        &["CLIENT", "PAUSE", "600000", "WRITE"],
        &["FAILOVER", "TO", "127.0.0.1", &port],
    ] {
        monitor.ask(words);
    }
    let both = Reply::Array(vec![simple("OK"), simple("OK")]);
    assert_eq!(monitor.ask(&["EXEC"]), both);
    assert_eq!(master.ask(&["XADD", "s", "*", "f", "v"]), error(READONLY));
    assert_eq!(
        monitor.ask(&["PUBLISH", "channel", "message"]),
        Reply::Int(0)
    );
    let added = replica.ask(&["XADD", "s", "*", "f", "v"]);
    assert!(matches!(added, Reply::Bulk(_)), "{added:?}");
}

/// Writes to whoever is the master; says how often. No other error than `READONLY` may come.
fn write_until(addresses: [std::net::SocketAddr; 2], writer: usize, ended: &AtomicBool) -> i64 {
    let mut clients = addresses.map(Client::connect);
    let (mut at, mut written) = (0, 0);
    let key = format!("s{writer}");
    while !ended.load(Ordering::Relaxed) {
        let reply = clients[at].ask(&["XADD", &key, "*", "f", "v"]);
        if reply == error(READONLY) {
            at = 1 - at;
        } else {
            assert!(matches!(reply, Reply::Bulk(_)), "{reply:?}");
            written += 1;
        }
    }
    written
}

#[test]
fn failovers_that_make_no_sense_are_refused_or_given_up() {
    let master = Node::start(&[]);
    let refused = |node: &Node, words: &[&str], text: &str| {
        assert_eq!(node.ask(words), error(text), "{words:?}");
    };
    refused(
        &master,
        &["FAILOVER", "ABORT"],
        "ERR No failover in progress.",
    );
    refused(
        &master,
        &["FAILOVER"],
        "ERR FAILOVER requires connected replicas.",
    );
    let proxy = Proxy::to(master.address());
    let replica = Node::following(&proxy.replicaof(), &[]);
    replica.until_up();
    let port = replica.port().to_string();
    let in_vain = "ERR FAILOVER is not valid when server is a replica.";
    refused(&replica, &["FAILOVER"], in_vain);
    proxy.stick(To::Master, true);
    add(&master, "s", 10);
    let wait = ["FAILOVER", "TO", "127.0.0.1", &port, "TIMEOUT", "100"];
    assert_eq!(master.ask(&wait), simple("OK"));
    assert_eq!(master.info("master_failover_state"), "waiting-for-sync");
    refused(&master, &["FAILOVER"], "ERR FAILOVER already in progress.");
    let busy = "ERR REPLICAOF not allowed while failing over.";
    refused(&master, &["REPLICAOF", "127.0.0.1", "1"], busy);
    master.until("master_failover_state", "no-failover");
    // Held back meanwhile, and not any more.
    add(&master, "s", 10);
    assert_eq!(master.ask(&["FAILOVER"]), simple("OK"));
    assert_eq!(master.ask(&["FAILOVER", "ABORT"]), simple("OK"));
    add(&master, "s", 10);
    assert_eq!(master.info("role"), "master");
    // Whatever it has.
    let force = [
        "FAILOVER",
        "TO",
        "127.0.0.1",
        &port,
        "FORCE",
        "TIMEOUT",
        "100",
    ];
    assert_eq!(master.ask(&force), simple("OK"));
    replica.until("role", "master");
    converge(&replica, &[&master]);
}

#[test]
fn a_master_whose_replica_goes_before_it_takes_over_leads_again() {
    let master = Node::start(&["--repl-timeout", "1"]);
    let mut replica = Node::following(&master.replicaof(), &[]);
    replica.until_up();
    add(&master, "s", 10);
    converge(&master, &[&replica]);
    // It says that it is somewhere else: nobody is there.
    let announce = ["CONFIG", "SET", "replica-announce-port", "1"];
    assert_eq!(replica.ask(&announce), simple("OK"));
    assert_eq!(replica.ask(&["REPLICAOF", "NO", "ONE"]), simple("OK"));
    let to = ["REPLICAOF", "127.0.0.1", &master.port().to_string()];
    assert_eq!(replica.ask(&to), simple("OK"));
    replica.until_up();
    converge(&master, &[&replica]);
    assert_eq!(master.ask(&["FAILOVER"]), simple("OK"));
    master.until("role", "slave");
    master.until("role", "master");
    master.until("master_failover_state", "no-failover");
    add(&master, "s", 10);
    replica.stop();
}

#[test]
fn a_wrong_password_keeps_a_replica_out_until_it_has_the_right_one() {
    let master = Node::start(&[]);
    add(&master, "s", 10);
    let mut owner = master.connect();
    let set = ["CONFIG", "SET", "requirepass", "open sesame"];
    assert_eq!(owner.ask(&set), simple("OK"));
    assert_eq!(owner.ask(&["AUTH", "open sesame"]), simple("OK"));
    let mut replica = Node::start(&["--masterauth", "open barley"]);
    let to = ["REPLICAOF", "127.0.0.1", &master.port().to_string()];
    assert_eq!(replica.ask(&to), simple("OK"));
    // It has come, and been sent away.
    owner.until_info_is_there("errorstats", "errorstat_WRONGPASS");
    assert_eq!(replica.info("master_link_status"), "down");
    assert_eq!(replica.ask(&["EXISTS", "s"]), Reply::Int(0));
    let set = ["CONFIG", "SET", "masterauth", "open sesame"];
    assert_eq!(replica.ask(&set), simple("OK"));
    replica.until_up();
    assert_eq!(
        owner.ask(&["CONFIG", "SET", "requirepass", ""]),
        simple("OK")
    );
    converge(&master, &[&replica]);
    let said = replica.said();
    assert!(said.contains("it refuses: WRONGPASS"), "{said}");
}

#[test]
fn who_cannot_read_frames_is_refused_and_so_is_nonsense() {
    let master = Node::start(&[]);
    let mut tool = master.connect();
    for (words, starts) in [
        (&["REPLCONF", "listening-port", "6380"][..], "+OK"),
        (&["REPLCONF", "capa", "eof", "capa", "psync2"], "+OK"),
        (
            &["REPLCONF", "version", "8.0.0"],
            "-ERR Unrecognized REPLCONF option: version",
        ),
        (&["REPLCONF", "capa"], "-ERR syntax error"),
        (
            &["PSYNC", "?", "-1"],
            "-ERR Headwater sends its log as it is",
        ),
        (&["SYNC"], "-ERR Headwater sends its log as it is"),
        (
            &["REPLCONF", "history", "1:x"],
            "-ERR REPLCONF history is not understood",
        ),
        (&["REPLCONF", "capa", "frames"], "+OK"),
        (
            &["PSYNC", "?", "x"],
            "-ERR value is not an integer or out of range",
        ),
        (
            &["PSYNC", &"0".repeat(40), "1", "FAILOVER"],
            "-ERR PSYNC FAILOVER can't be sent to a",
        ),
        (&["PING"], "+PONG"),
    ] {
        let text = match tool.ask(words) {
            Reply::Simple(text) => format!("+{}", String::from_utf8_lossy(&text)),
            Reply::Error(text) => format!("-{}", String::from_utf8_lossy(&text)),
            other => panic!("{words:?}: {other:?}"),
        };
        assert!(text.starts_with(starts), "{words:?}: {text}");
    }
    // An acknowledgement has no answer, not even from one who is no replica.
    tool.send(&request(&["REPLCONF", "ACK", "1"]));
    assert_eq!(tool.ask(&["PING"]), simple("PONG"));
}
