//! Entries that have moved to data files, and are read from disk.

use headwater_resp::reply::Reply;
use rustix::process::Signal;

use crate::client::{Client, error, request, simple};
use crate::server::{Server, data};

/// With budgets that are soon used up.
const SMALL: [&str; 10] = [
    "--appendfsync",
    "no",
    "--segment-size",
    "1mb",
    "--settle-after",
    "1mb",
    "--cache-size",
    "1mb",
    "--checkpoint-after",
    "1mb",
];

const ENTRIES: usize = 5000;

/// A server with a stream of 20 MB, of which all but the end has moved.
fn with_a_backlog(more: &[&str]) -> (tempfile::TempDir, Server, Client) {
    let (dir, data) = data();
    let server = Server::start(&data, &[&SMALL[..], more].concat());
    let mut client = server.connect();
    let value = "v".repeat(4000);
    let entries: Vec<u8> = (1..=ENTRIES)
        .flat_map(|number| request(&["XADD", "s", &format!("{number}-0"), "f", &value]))
        .collect();
    let mut sender = client.sender();
    std::thread::scope(|scope| {
        scope.spawn(move || std::io::Write::write_all(&mut sender, &entries).unwrap());
        for _ in 0..ENTRIES {
            assert!(matches!(client.reply(), Reply::Bulk(_)));
        }
    });
    assert_eq!(client.ask(&["SAVE"]), simple("OK"));
    assert!(number(&mut client, "persistence", "data_live_bytes") > 15_000_000);
    assert!(number(&mut client, "persistence", "aof_current_size") < 4_000_000);
    (dir, server, client)
}

fn number(client: &mut Client, section: &str, name: &str) -> u64 {
    client.info(section, name).unwrap().parse().unwrap()
}

/// The IDs in the answer of XRANGE.
fn ids(reply: &Reply) -> Vec<String> {
    let id = |entry: &Reply| {
        let id = entry.as_parts().unwrap()[0].as_bytes().unwrap();
        String::from_utf8(id.to_vec()).unwrap()
    };
    let entries = reply.as_parts().unwrap_or_else(|| panic!("{reply:?}"));
    entries.iter().map(id).collect()
}

#[test]
fn settled_entries_are_read_in_the_order_of_the_requests() {
    let (_dir, server, mut client) = with_a_backlog(&[]);
    let misses = number(&mut client, "stats", "block_cache_misses");
    let batch = [
        request(&["ECHO", "a"]),
        request(&["XRANGE", "s", "-", "+", "COUNT", "2"]),
        request(&["ECHO", "b"]),
        request(&["XRANGE", "s", "2500", "+", "COUNT", "2"]),
        request(&["XREVRANGE", "s", "+", "-", "COUNT", "2"]),
        request(&["XRANGE", "s", "-", "+"]),
        request(&["ECHO", "c"]),
    ]
    .concat();
    client.send(&batch);
    assert_eq!(client.reply(), Reply::Bulk("a".into()));
    assert_eq!(ids(&client.reply()), ["1-0", "2-0"]);
    assert_eq!(client.reply(), Reply::Bulk("b".into()));
    assert_eq!(ids(&client.reply()), ["2500-0", "2501-0"]);
    assert_eq!(ids(&client.reply()), ["5000-0", "4999-0"]);
    let all: Vec<String> = (1..=ENTRIES).map(|number| format!("{number}-0")).collect();
    assert_eq!(ids(&client.reply()), all);
    assert_eq!(client.reply(), Reply::Bulk("c".into()));
    assert!(number(&mut client, "stats", "block_cache_misses") > misses);
    let used = number(&mut client, "memory", "block_cache_used");
    assert!(used <= number(&mut client, "memory", "block_cache_budget"));
    drop(server);
}

#[test]
fn groups_and_transactions_reach_settled_entries() {
    let (_dir, _server, mut client) = with_a_backlog(&[]);
    assert_eq!(
        client.ask(&["XGROUP", "CREATE", "s", "g", "0"]),
        simple("OK")
    );
    let read = [
        "XREADGROUP",
        "GROUP",
        "g",
        "c",
        "COUNT",
        "100",
        "STREAMS",
        "s",
        ">",
    ];
    for batch in 0..3 {
        let reply = client.ask(&read);
        let stream = &reply.as_parts().unwrap()[0].as_parts().unwrap()[1];
        assert_eq!(ids(stream)[0], format!("{}-0", batch * 100 + 1));
    }
    assert_eq!(
        client.ask(&["XACK", "s", "g", "1-0", "300-0"]),
        Reply::Int(2)
    );
    assert_eq!(client.ask(&["XDEL", "s", "150-0", "2000-0"]), Reply::Int(2));
    assert_eq!(client.ask(&["XTRIM", "s", "MINID", "100"]), Reply::Int(99));
    let words: [&[&str]; 5] = [
        &["MULTI"],
        &["SELECT", "1"],
        &["SELECT", "0"],
        &["XRANGE", "s", "3000", "+", "COUNT", "1"],
        &["XLEN", "s"],
    ];
    for words in words {
        assert!(matches!(client.ask(words), Reply::Simple(_)));
    }
    let reply = client.ask(&["EXEC"]);
    let replies = reply.as_parts().unwrap();
    assert_eq!(ids(&replies[2]), ["3000-0"]);
    assert_eq!(replies[3], Reply::Int(4899));
}

#[test]
fn a_reader_that_waits_gets_settled_entries() {
    let (_dir, server, mut client) = with_a_backlog(&[]);
    assert_eq!(
        client.ask(&["XGROUP", "CREATE", "s", "g", "$"]),
        simple("OK")
    );
    let mut waiting = server.connect();
    let read = [
        "XREADGROUP",
        "GROUP",
        "g",
        "c",
        "BLOCK",
        "0",
        "COUNT",
        "1",
        "STREAMS",
        "s",
        ">",
    ];
    waiting.send(&request(&read));
    client.until_info("clients", "blocked_clients", "1");
    assert_eq!(
        client.ask(&["XGROUP", "SETID", "s", "g", "1000"]),
        simple("OK")
    );
    // Something must happen to the stream for a waiting reader to look again.
    assert!(matches!(
        client.ask(&["XADD", "s", "*", "f", "v"]),
        Reply::Bulk(_)
    ));
    let reply = waiting.reply();
    let stream = &reply.as_parts().unwrap()[0].as_parts().unwrap()[1];
    assert_eq!(ids(stream), ["1001-0"]);
}

#[test]
fn who_asks_for_more_than_it_may_leave_unread_is_closed() {
    let limit = ["--client-output-buffer-limit", "normal 1mb 0 0"];
    let (_dir, server, mut client) = with_a_backlog(&limit);
    let mut greedy = server.connect();
    greedy.send(&request(&["XRANGE", "s", "-", "+"]));
    greedy.expect_closed();
    let few = client.ask(&["XRANGE", "s", "-", "+", "COUNT", "10"]);
    assert_eq!(ids(&few).len(), 10);
    server.signal(Signal::TERM);
    let said = server.ended().said;
    assert!(
        said.contains("more replies wait for it than the hard output limit allows"),
        "{said}"
    );
}

#[test]
fn damaged_entries_are_refused_and_the_others_are_there() {
    let (dir, server, mut client) = with_a_backlog(&[]);
    let files = dir.path().join("data/data");
    for file in std::fs::read_dir(files).unwrap() {
        let path = file.unwrap().path();
        let mut bytes = std::fs::read(&path).unwrap();
        // One byte in each block, wherever they begin.
        bytes.iter_mut().step_by(1024).for_each(|byte| *byte ^= 1);
        std::fs::write(&path, bytes).unwrap();
    }
    let refused = "ERR The entries cannot be read from disk; the server's log lines say why";
    // More than the cache holds, whatever it has.
    assert_eq!(
        client.ask(&["XRANGE", "s", "-", "+", "COUNT", "2000"]),
        error(refused)
    );
    let last = client.ask(&["XREVRANGE", "s", "+", "-", "COUNT", "1"]);
    assert_eq!(ids(&last), ["5000-0"]);
    assert!(matches!(
        client.ask(&["XADD", "s", "*", "f", "v"]),
        Reply::Bulk(_)
    ));
    server.signal(Signal::KILL);
    let said = server.ended().said;
    let line = said
        .lines()
        .find(|line| line.contains("ERROR a client cannot have"));
    assert!(line.is_some_and(|line| line.contains(".data")), "{said}");
}
