//! What is published at a master is heard at its replicas, behind the data that went before it.

use std::time::Instant;

use headwater_resp::reply::Reply;

use crate::client::{Client, PATIENCE, error, request, simple};
use crate::node::Node;
use crate::proxy::{Proxy, To};

fn message(name: &str, channel: &str, text: &str) -> Reply {
    let parts = [name, channel, text].map(|part| Reply::Bulk(part.into()));
    Reply::Array(parts.into())
}

/// A new connection that hears a channel, and the channel of a shard.
fn hearer(node: &Node, channel: &str) -> Client {
    let mut client = node.connect();
    for word in ["SUBSCRIBE", "SSUBSCRIBE"] {
        let confirmed = client.ask(&[word, channel]);
        assert_eq!(confirmed.as_parts().unwrap()[2], Reply::Int(1));
    }
    client
}

#[test]
fn replicas_and_their_replicas_hear_what_is_published_at_the_master() {
    let master = Node::start(&[]);
    let middle = Node::following(&master.replicaof(), &[]);
    middle.until_up();
    let last = Node::following(&middle.replicaof(), &[]);
    last.until_up();
    let mut hearers = [&master, &middle, &last].map(|node| hearer(node, "c"));
    assert_eq!(middle.ask(&["PUBLISH", "c", "here only"]), Reply::Int(1));
    assert_eq!(hearers[1].reply(), message("message", "c", "here only"));
    let mut client = master.connect();
    assert_eq!(client.ask(&["PUBLISH", "c", "to all"]), Reply::Int(1));
    assert_eq!(client.ask(&["SPUBLISH", "c", "to all"]), Reply::Int(1));
    assert_eq!(client.ask(&["PUBLISH", "d", "to none"]), Reply::Int(0));
    let transaction: [&[&str]; 4] = [
        &["MULTI"],
        &["XADD", "s", "1-0", "f", "v"],
        &["PUBLISH", "c", "made"],
        &["EXEC"],
    ];
    for words in transaction {
        assert!(client.ask(words).as_error().is_none(), "{words:?}");
    }
    for hearer in &mut hearers {
        assert_eq!(hearer.reply(), message("message", "c", "to all"));
        assert_eq!(hearer.reply(), message("smessage", "c", "to all"));
        assert_eq!(hearer.reply(), message("message", "c", "made"));
    }
    assert_eq!(last.ask(&["XLEN", "s"]), Reply::Int(1));
}

#[test]
fn a_replica_has_what_was_changed_before_it_says_that_it_was() {
    const CHANGES: i64 = 300;
    /// Enough for taking them in to be seen while it goes on.
    const ENTRIES: i64 = 30;
    for policy in ["always", "everysec"] {
        let directives = ["--appendfsync", policy];
        let master = Node::start(&directives);
        let replica = Node::following(&master.replicaof(), &directives);
        replica.until_up();
        let mut hearer = hearer(&replica, "c");
        let mut reader = replica.connect();
        let mut writer = master.connect();
        std::thread::scope(|scope| {
            scope.spawn(move || {
                for number in 1..=CHANGES {
                    // In one go, in one transaction, or one after the other.
                    let add = request(&["XADD", "s", "*", "f", &"v".repeat(10_000)]);
                    let add = add.repeat(usize::try_from(ENTRIES).unwrap());
                    let publish = request(&["PUBLISH", "c", &number.to_string()]);
                    let (multi, exec) = (request(&["MULTI"]), request(&["EXEC"]));
                    let (words, replies) = match number % 2 {
                        0 => ([add, publish].concat(), ENTRIES + 1),
                        _ => ([multi, add, publish, exec].concat(), ENTRIES + 3),
                    };
                    writer.send(&words);
                    for _ in 0..replies {
                        assert!(writer.reply().as_error().is_none());
                    }
                }
            });
            for number in 1..=CHANGES {
                let heard = message("message", "c", &number.to_string());
                assert_eq!(hearer.reply(), heard);
                let Reply::Int(there) = reader.ask(&["XLEN", "s"]) else {
                    panic!("XLEN is a number")
                };
                let expected = number * ENTRIES;
                assert!(there >= expected, "{there} of {expected} ({policy})");
            }
        });
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_replica_that_lags_misses_messages_and_costs_its_master_no_memory() {
    let master = Node::start(&[]);
    let proxy = Proxy::to(master.address());
    let replica = Node::following(&proxy.replicaof(), &[]);
    replica.until_up();
    let mut hearer = hearer(&replica, "c");
    let mut client = master.connect();
    proxy.stick(To::Replica, true);
    let before = master.memory();
    let text = "x".repeat(64 << 10);
    let flood = request(&["PUBLISH", "c", &text]).repeat(10);
    for _ in 0..200 {
        client.send(&flood);
        for _ in 0..10 {
            assert_eq!(client.reply(), Reply::Int(0));
        }
    }
    let used = master.memory().saturating_sub(before);
    assert!(used < 48 << 20, "{used} bytes for a replica that lags");
    proxy.stick(To::Replica, false);
    // It goes on, with a gap.
    let mut heard = 0;
    let began = Instant::now();
    loop {
        assert_eq!(client.ask(&["PUBLISH", "c", "late"]), Reply::Int(0));
        assert_eq!(client.ask(&["XADD", "s", "*", "f", "v"]).as_error(), None);
        let reply = hearer.reply();
        if reply == message("message", "c", "late") {
            break;
        }
        assert_eq!(reply, message("message", "c", &text));
        heard += 1;
        assert!(began.elapsed() < PATIENCE, "it does not catch up");
    }
    assert!(heard < 2000, "{heard} messages");
    crate::converge(&master, &[&replica]);
}

#[test]
fn who_hears_a_master_hears_the_next_one() {
    let old = Node::start(&[]);
    let new = Node::following(&old.replicaof(), &[]);
    new.until_up();
    let mut hearers = [&old, &new].map(|node| hearer(node, "c"));
    assert_eq!(old.ask(&["FAILOVER"]), simple("OK"));
    new.until("role", "master");
    old.until("role", "slave");
    old.until_up();
    assert_eq!(new.ask(&["PUBLISH", "c", "again"]), Reply::Int(1));
    for hearer in &mut hearers {
        assert_eq!(hearer.reply(), message("message", "c", "again"));
    }
}

#[test]
fn messages_are_heard_at_a_replica_that_has_lost_its_master() {
    let mut master = Node::start(&[]);
    let directives = ["--replica-serve-stale-data", "no"];
    let replica = Node::following(&master.replicaof(), &directives);
    replica.until_up();
    master.kill();
    replica.until("master_link_status", "down");
    let down = "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.";
    assert_eq!(replica.ask(&["XLEN", "s"]), error(down));
    let mut hearer = hearer(&replica, "c");
    assert_eq!(replica.ask(&["PUBLISH", "c", "m"]), Reply::Int(1));
    assert_eq!(hearer.reply(), message("message", "c", "m"));
}

/// A master that too few replicas follow becomes a replica: what it had not committed never will
/// be, by its own doing, and nobody hears of it.
#[test]
fn nobody_hears_of_what_will_never_be_committed() {
    let other = Node::start(&[]);
    let node = Node::start(&["--sync-replicas", "1"]);
    let mut hearer = hearer(&node, "c");
    let mut writer = node.connect();
    let both = [
        request(&["XADD", "s", "1-0", "f", "v"]),
        request(&["PUBLISH", "c", "made"]),
    ];
    writer.send(&both.concat());
    let mut client = node.connect();
    let began = Instant::now();
    while client.info("commandstats", "cmdstat_publish").is_none() {
        assert!(began.elapsed() < PATIENCE, "nothing is published");
    }
    let words = ["REPLICAOF", "127.0.0.1", &other.port().to_string()];
    assert_eq!(client.ask(&words), simple("OK"));
    writer.expect_closed();
    client.ask(&["PUBLISH", "c", "later"]);
    // Whoever was waiting for it is closed, and the others miss it.
    let heard = hearer.try_reply();
    assert!(heard.is_none_or(|heard| heard == message("message", "c", "later")));
}
