//! Subscribers that are many, slow, flooded, busy with other things, or not to know yet.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use headwater_resp::reply::Reply;

use crate::bulk;
use crate::client::{Client, PATIENCE, request, simple};
use crate::server::{Server, data};

fn parts(parts: &[&str]) -> Vec<Reply> {
    parts.iter().map(|part| bulk(part)).collect()
}

fn message(channel: &str, text: &str) -> Reply {
    Reply::Array(parts(&["message", channel, text]))
}

fn subscribed(channel: &str, count: i64) -> Reply {
    let mut all = parts(&["subscribe", channel]);
    all.push(Reply::Int(count));
    Reply::Array(all)
}

/// A new connection that hears a channel.
fn subscriber(server: &Server, channel: &str) -> Client {
    let mut client = server.connect();
    assert_eq!(client.ask(&["SUBSCRIBE", channel]), subscribed(channel, 1));
    client
}

/// The next message of a channel, in either protocol; `None` when the connection is closed.
fn next(client: &mut Client) -> Option<Vec<u8>> {
    let reply = client.try_reply()?;
    let all = reply.as_parts().unwrap();
    assert_eq!(all[0], bulk("message"));
    Some(all[2].as_bytes().unwrap().to_vec())
}

#[test]
fn thousands_hear_a_channel() {
    const SUBSCRIBERS: usize = 4000;
    let (_dir, data) = data();
    let server = Server::start(&data, &[]);
    let mut crowd: Vec<Client> = (0..SUBSCRIBERS).map(|_| server.connect()).collect();
    for client in &mut crowd {
        client.send(&request(&["SUBSCRIBE", "c"]));
    }
    for client in &mut crowd {
        assert_eq!(client.reply(), subscribed("c", 1));
    }
    let mut publisher = server.connect();
    let clients = publisher.info("clients", "pubsub_clients");
    assert_eq!(clients.as_deref(), Some("4000"));
    for text in ["one", "two", "three"] {
        assert_eq!(publisher.ask(&["PUBLISH", "c", text]), Reply::Int(4000));
    }
    for client in &mut crowd {
        for text in ["one", "two", "three"] {
            assert_eq!(client.reply(), message("c", text));
        }
    }
    crowd.truncate(1);
    publisher.until_info("clients", "pubsub_clients", "1");
    assert_eq!(publisher.ask(&["PUBLISH", "c", "four"]), Reply::Int(1));
    assert_eq!(crowd[0].reply(), message("c", "four"));
}

#[test]
fn everybody_hears_everything_in_the_same_order() {
    const MESSAGES: usize = 2000;
    let (_dir, data) = data();
    let server = Server::start(&data, &["--worker-threads", "4"]);
    let mut hearers: Vec<Client> = (0..4).map(|_| subscriber(&server, "c")).collect();
    std::thread::scope(|scope| {
        for name in ["ann", "bob", "carl"] {
            let mut publisher = server.connect();
            scope.spawn(move || {
                let all: Vec<u8> = (0..MESSAGES)
                    .flat_map(|number| request(&["PUBLISH", "c", &format!("{name} {number}")]))
                    .collect();
                publisher.send(&all);
                for _ in 0..MESSAGES {
                    assert_eq!(publisher.reply(), Reply::Int(4));
                }
            });
        }
        let mut heard = hearers.iter_mut().map(|hearer| {
            let messages = (0..3 * MESSAGES).map(|_| next(hearer).unwrap());
            messages.collect::<Vec<_>>()
        });
        let first = heard.next().unwrap();
        assert!(heard.all(|other| other == first));
        for name in ["ann", "bob", "carl"] {
            let said = first
                .iter()
                .filter(|text| text.starts_with(name.as_bytes()));
            let numbers = (0..MESSAGES).map(|number| format!("{name} {number}").into_bytes());
            assert!(said.eq(&numbers.collect::<Vec<_>>()), "{name}");
        }
    });
}

/// More than the two ends of a socket hold, in messages of 64 KiB.
const FLOOD: usize = 1000;

#[test]
fn one_that_takes_nothing_is_closed_and_holds_nobody_up() {
    let (_dir, data) = data();
    let limit = "pubsub 8mb 0 0";
    let server = Server::start(&data, &["--client-output-buffer-limit", limit]);
    let (mut slow, mut swift) = (subscriber(&server, "c"), subscriber(&server, "c"));
    let mut publisher = server.connect();
    let before = server.memory("VmRSS");
    let text = "x".repeat(64 << 10);
    let flood = request(&["PUBLISH", "c", &text]);
    for _ in 0..FLOOD {
        publisher.send(&flood);
        assert!(matches!(publisher.reply(), Reply::Int(1 | 2)));
        assert_eq!(next(&mut swift).as_deref(), Some(text.as_bytes()));
    }
    let used = server.memory("VmRSS").saturating_sub(before);
    assert!(
        used < 32 << 20,
        "{used} bytes for a subscriber that takes nothing"
    );
    publisher.until_info("clients", "pubsub_clients", "1");
    // What its system had taken is there to be read, and then the end.
    let taken = std::iter::from_fn(|| next(&mut slow)).count();
    assert!(taken < FLOOD, "{taken} messages");
}

#[test]
fn one_that_takes_too_little_is_closed_in_time() {
    let (_dir, data) = data();
    let limit = "pubsub 0 1mb 1";
    let server = Server::start(&data, &["--client-output-buffer-limit", limit]);
    let _slow = subscriber(&server, "c");
    let mut publisher = server.connect();
    let flood = request(&["PUBLISH", "c", &"x".repeat(64 << 10)]);
    let began = Instant::now();
    for _ in 0..FLOOD {
        publisher.send(&flood);
        assert!(matches!(publisher.reply(), Reply::Int(0 | 1)));
    }
    publisher.until_info("clients", "pubsub_clients", "0");
    assert!(began.elapsed().as_millis() >= 1000, "before its time");
}

#[test]
fn a_message_that_no_outbox_may_hold_closes_who_hears_it() {
    let (_dir, data) = data();
    let server = Server::start(&data, &[]);
    let hearer = subscriber(&server, "c");
    let mut publisher = server.connect();
    let limit = [
        "CONFIG",
        "SET",
        "client-output-buffer-limit",
        "pubsub 1mb 0 0",
    ];
    assert_eq!(publisher.ask(&limit), simple("OK"));
    let text = "x".repeat(2 << 20);
    assert_eq!(publisher.ask(&["PUBLISH", "c", &text]), Reply::Int(1));
    hearer.expect_closed();
    assert_eq!(publisher.ask(&["PING"]), simple("PONG"));
}

#[test]
fn one_that_is_flooded_is_still_answered_and_can_end_it() {
    let (_dir, data) = data();
    let server = Server::start(&data, &[]);
    let mut hearer = subscriber(&server, "c");
    let stop = AtomicBool::new(false);
    let mut publisher = server.connect();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let flood = request(&["PUBLISH", "c", &"x".repeat(1000)]).repeat(100);
            while !stop.load(Ordering::Relaxed) {
                publisher.send(&flood);
                for _ in 0..100 {
                    assert!(matches!(publisher.reply(), Reply::Int(_)));
                }
            }
        });
        hearer.send(&request(&["PING", "still there"]));
        let pong = Reply::Array(parts(&["pong", "still there"]));
        while hearer.reply() != pong {}
        hearer.send(&request(&["UNSUBSCRIBE", "c"]));
        while hearer.reply().as_parts().unwrap()[0] != bulk("unsubscribe") {}
        // Nothing comes behind the confirmation that it was the last.
        for _ in 0..100 {
            assert_eq!(hearer.ask(&["PING"]), simple("PONG"));
        }
        stop.store(true, Ordering::Relaxed);
    });
}

/// What a client publishes that hears it stands between its replies.
#[test]
fn a_message_comes_behind_the_reply_to_who_sent_it_and_before_the_next() {
    let (_dir, data) = data();
    let server = Server::start(&data, &[]);
    let mut client = hearer_in_resp3(&server, "c");
    let pipeline: Vec<u8> = (0..100)
        .flat_map(|number| {
            let publish = request(&["PUBLISH", "c", &number.to_string()]);
            [publish, request(&["ECHO", "next"])].concat()
        })
        .collect();
    client.send(&pipeline);
    for number in 0..100 {
        assert_eq!(client.reply(), Reply::Int(1));
        let pushed = parts(&["message", "c", &number.to_string()]);
        assert_eq!(client.reply(), Reply::Push(pushed));
        assert_eq!(client.reply(), bulk("next"));
    }
}

/// A new connection that speaks RESP3 and hears a channel.
fn hearer_in_resp3(server: &Server, channel: &str) -> Client {
    let mut client = server.connect();
    assert!(matches!(client.ask(&["HELLO", "3"]), Reply::Map(_)));
    let confirmed = client.ask(&["SUBSCRIBE", channel]);
    assert!(matches!(confirmed, Reply::Push(_)));
    client
}

/// A wait for keys ends in the middle of a message that the peer does not take yet: the message
/// goes on where it was, and the reply comes behind it.
#[test]
fn messages_and_replies_do_not_break_into_each_other() {
    // More than the two ends of a socket hold, and less than an outbox may.
    const MESSAGES: usize = 60;
    let (_dir, data) = data();
    let server = Server::start(&data, &[]);
    let mut hearer = hearer_in_resp3(&server, "c");
    let mut other = server.connect();
    let text = "m".repeat(400_001);
    for round in 1..=5 {
        let last = format!("{}-0", round - 1);
        let read = ["XREAD", "BLOCK", "0", "STREAMS", "s", &last];
        hearer.send(&request(&read));
        other.until_info("clients", "blocked_clients", "1");
        for _ in 0..MESSAGES {
            assert_eq!(other.ask(&["PUBLISH", "c", &text]), Reply::Int(1));
        }
        let id = format!("{round}-0");
        assert_eq!(other.ask(&["XADD", "s", &id, "f", "v"]), bulk(&id));
        other.until_info("clients", "blocked_clients", "0");
        let (mut heard, mut has_read) = (0, false);
        while heard < MESSAGES || !has_read {
            match hearer.reply() {
                Reply::Push(all) => {
                    assert_eq!(all[2].as_bytes(), Some(text.as_bytes()));
                    heard += 1;
                }
                Reply::Map(streams) => {
                    let entry = &streams[0].1.as_parts().unwrap()[0];
                    assert_eq!(entry.as_parts().unwrap()[0], bulk(&id));
                    has_read = true;
                }
                other => panic!("{other:?}"),
            }
        }
    }
}

#[test]
fn silence_does_not_close_a_subscriber() {
    let (_dir, data) = data();
    let server = Server::start(&data, &["--timeout", "1"]);
    let mut hearer = subscriber(&server, "c");
    let idle = server.connect();
    let began = Instant::now();
    idle.expect_closed();
    assert!(began.elapsed().as_millis() >= 900, "before its time");
    let published = server.connect().ask(&["PUBLISH", "c", "still there"]);
    assert_eq!(published, Reply::Int(1));
    assert_eq!(hearer.reply(), message("c", "still there"));
}

#[test]
fn who_is_killed_hears_nothing_from_then_on() {
    const SUBSCRIBERS: i64 = 300;
    let (_dir, data) = data();
    let server = Server::start(&data, &[]);
    let mut crowd: Vec<Client> = (0..SUBSCRIBERS).map(|_| subscriber(&server, "c")).collect();
    let mut other = server.connect();
    let kill = [
        request(&["CLIENT", "KILL", "TYPE", "pubsub"]),
        request(&["PUBLISH", "c", "m"]),
        request(&["CLIENT", "KILL", "TYPE", "pubsub"]),
    ];
    other.send(&kill.concat());
    for count in [SUBSCRIBERS, 0, 0] {
        assert_eq!(other.reply(), Reply::Int(count));
    }
    for client in &mut crowd {
        assert_eq!(client.try_reply(), None);
    }
}

/// Without a replica, nothing is committed: then nobody hears of what was changed either, and what
/// depends on nothing is heard at once.
#[test]
fn nobody_hears_of_a_change_before_it_is_committed() {
    let (_dir, data) = data();
    let server = Server::start(&data, &["--sync-replicas", "1"]);
    let mut waits = subscriber(&server, "change");
    let mut hears = subscriber(&server, "news");
    let mut writer = server.connect();
    let transaction: [&[&str]; 4] = [
        &["MULTI"],
        &["XADD", "s", "1-0", "f", "v"],
        &["PUBLISH", "change", "made"],
        &["EXEC"],
    ];
    for words in transaction {
        writer.send(&request(words));
    }
    let mut other = server.connect();
    let began = Instant::now();
    while other.info("commandstats", "cmdstat_exec").is_none() {
        assert!(began.elapsed() < PATIENCE, "the transaction is not run");
    }
    // A change and a message in one go, and what the writer says afterwards, wait as well.
    let mut second = server.connect();
    let both = [
        request(&["XADD", "s", "2-0", "f", "v"]),
        request(&["PUBLISH", "change", "made again"]),
    ];
    second.send(&both.concat());
    let began = Instant::now();
    let published = "calls=2,";
    while !other
        .info("commandstats", "cmdstat_publish")
        .is_some_and(|stats| stats.starts_with(published))
    {
        assert!(began.elapsed() < PATIENCE, "nothing is published");
    }
    for _ in 0..100 {
        assert_eq!(other.ask(&["PUBLISH", "news", "of today"]), Reply::Int(1));
        assert_eq!(hears.reply(), message("news", "of today"));
    }
    assert!(!waits.has_more(), "a message outran the log");
    let commit = ["CONFIG", "SET", "sync-replicas", "0"];
    assert_eq!(other.ask(&commit), simple("OK"));
    assert_eq!(waits.reply(), message("change", "made"));
    assert_eq!(waits.reply(), message("change", "made again"));
    for reply in [simple("OK"), simple("QUEUED"), simple("QUEUED")] {
        assert_eq!(writer.reply(), reply);
    }
    let done = Reply::Array(vec![bulk("1-0"), Reply::Int(1)]);
    assert_eq!(writer.reply(), done);
    assert_eq!(second.reply(), bulk("2-0"));
    assert_eq!(second.reply(), Reply::Int(1));
}

/// Nobody is told that a message is late, and who hangs up is let go although it has not come.
#[test]
fn who_waits_for_a_message_may_leave() {
    let (_dir, data) = data();
    let directives = ["--sync-replicas", "1", "--sync-replicas-timeout", "50"];
    let server = Server::start(&data, &directives);
    let mut waits = subscriber(&server, "change");
    let mut leaves = subscriber(&server, "change");
    let mut writer = server.connect();
    let both = [
        request(&["XADD", "s", "1-0", "f", "v"]),
        request(&["PUBLISH", "change", "made"]),
    ];
    writer.send(&both.concat());
    let Reply::Error(text) = writer.reply() else {
        panic!("too few replicas")
    };
    assert!(text.starts_with(b"INDOUBT "));
    let mut other = server.connect();
    leaves.send(&request(&["PING"]));
    drop(leaves);
    other.until_info("clients", "pubsub_clients", "1");
    assert!(!waits.has_more(), "a message outran the log");
    let commit = ["CONFIG", "SET", "sync-replicas", "0"];
    assert_eq!(other.ask(&commit), simple("OK"));
    assert_eq!(waits.reply(), message("change", "made"));
}
