//! The time between the start of a server and the moment when it has its data.

use std::path::Path;
use std::time::{Duration, Instant};

use headwater_resp::reply::Reply;
use rustix::process::Signal;

use crate::client::{PATIENCE, error, request, simple};
use crate::server::{Server, data};

/// How long making the data takes at least. Loading them takes about as long: it makes the same
/// changes again.
const WORK: Duration = Duration::from_millis(2500);

/// Data that take a while to load, although it takes few words to make them: copies of a stream.
fn prepare(data: &Path) {
    const ENTRIES: usize = 20_000;
    let server = Server::start(data, &["--appendfsync", "no"]);
    let mut client = server.connect();
    let entries: Vec<u8> = (1..=ENTRIES)
        .flat_map(|number| request(&["XADD", "s", &format!("{number}-0"), "f", "v"]))
        .collect();
    let mut sender = client.sender();
    std::thread::scope(|scope| {
        scope.spawn(move || std::io::Write::write_all(&mut sender, &entries).unwrap());
        for _ in 0..ENTRIES {
            assert!(matches!(client.reply(), Reply::Bulk(_)));
        }
    });
    let began = Instant::now();
    while began.elapsed() < WORK {
        assert_eq!(client.ask(&["COPY", "s", "t", "REPLACE"]), Reply::Int(1));
    }
}

const LOADING: &str = "LOADING Redis is loading the dataset in memory";

#[test]
fn a_server_that_loads_serves_what_needs_no_data() {
    let (_dir, data) = data();
    prepare(&data);
    let server = Server::start_loading(&data, &[]);
    let (mut client, mut other) = (server.connect(), server.connect());
    for words in [
        &["PING"][..],
        &["XLEN", "s"],
        &["XADD", "s", "*", "f", "v"],
        &["XREAD", "BLOCK", "0", "STREAMS", "s", "$"],
        &["WAIT", "0", "0"],
        &["DBSIZE"],
        &["FLUSHALL"],
    ] {
        assert_eq!(client.ask(words), error(LOADING), "{words:?}");
    }
    // What is wrong in itself is told first.
    assert_eq!(
        client.ask(&["XLEN"]),
        error("ERR wrong number of arguments for 'xlen' command")
    );
    assert_eq!(client.ask(&["ECHO", "a"]), Reply::Bulk("a".into()));
    assert_eq!(client.ask(&["SELECT", "0"]), simple("OK"));
    let role = client.ask(&["ROLE"]);
    assert_eq!(role.as_parts().unwrap()[0].as_bytes(), Some(&b"master"[..]));
    assert_eq!(client.ask(&["WATCH", "s"]), simple("OK"));
    assert_eq!(client.ask(&["MULTI"]), simple("OK"));
    assert_eq!(client.ask(&["XLEN", "s"]), error(LOADING));
    assert_eq!(
        client.ask(&["EXEC"]),
        error("EXECABORT Transaction discarded because of previous errors.")
    );
    assert_eq!(client.ask(&["MULTI"]), simple("OK"));
    assert_eq!(client.ask(&["ECHO", "a"]), simple("QUEUED"));
    assert_eq!(
        client.ask(&["EXEC"]),
        Reply::Array(vec![Reply::Bulk("a".into())])
    );
    let mut hearer = server.connect();
    let confirmed = hearer.ask(&["SUBSCRIBE", "c"]);
    assert_eq!(confirmed.as_parts().unwrap()[2], Reply::Int(1));
    assert_eq!(client.ask(&["PUBLISH", "c", "m"]), Reply::Int(1));
    let message = ["message", "c", "m"].map(|part| Reply::Bulk(part.into()));
    assert_eq!(hearer.reply(), Reply::Array(message.into()));
    // The log, when it is there, does what was said meanwhile.
    let policy = ["CONFIG", "SET", "appendfsync", "everysec"];
    assert_eq!(client.ask(&policy), simple("OK"));
    for section in ["everything", "keyspace", "replication"] {
        assert!(matches!(client.ask(&["INFO", section]), Reply::Bulk(_)));
    }
    let loading = client.info("persistence", "loading");
    assert_eq!(
        loading.as_deref(),
        Some("1"),
        "the data are too few for this test"
    );
    let mut number = |name| -> f64 {
        let text = client.info("persistence", name);
        text.unwrap().parse().unwrap()
    };
    assert!(number("loading_start_time") > 0.0);
    // The first of them come as one large frame.
    while number("loading_loaded_bytes") <= 0.0 {}
    let total = number("loading_total_bytes");
    let loaded = number("loading_loaded_bytes");
    assert!(loaded < total, "{loaded} of {total}");
    assert!((0.0..100.0).contains(&number("loading_loaded_perc")));
    assert!(number("loading_eta_seconds") > 0.0);

    // Whoever was refused is served on the same connection once the data are there.
    let began = Instant::now();
    while other.ask(&["PING"]) != simple("PONG") {
        assert!(began.elapsed() < PATIENCE, "it loads for ever");
    }
    assert_eq!(client.ask(&["XLEN", "s"]), Reply::Int(20_000));
    assert_eq!(client.ask(&["XLEN", "t"]), Reply::Int(20_000));
    assert_eq!(client.info("persistence", "loading").as_deref(), Some("0"));
    assert_eq!(client.info("persistence", "loading_start_time"), None);
    let policy = client.info("persistence", "log_policy");
    assert_eq!(policy.as_deref(), Some("everysec"));
}

#[test]
fn a_server_that_loads_can_be_stopped() {
    let (_dir, data) = data();
    prepare(&data);
    for by in ["SIGTERM", "SHUTDOWN"] {
        let server = Server::start_loading(&data, &[]);
        let mut client = server.connect();
        assert_eq!(client.ask(&["PING"]), error(LOADING));
        if by == "SIGTERM" {
            server.signal(Signal::TERM);
        } else {
            client.send(&request(&["SHUTDOWN"]));
        }
        client.expect_closed();
        let ended = server.ended();
        assert!(ended.status.success(), "{}", ended.said);
        let stopped = format!("stopped by {by} before the data were loaded");
        assert!(ended.said.contains(&stopped), "{}", ended.said);
    }
    let server = Server::start(&data, &[]);
    assert_eq!(server.connect().ask(&["XLEN", "s"]), Reply::Int(20_000));
}
