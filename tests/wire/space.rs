//! A disk that fills up, which is a matter of what `disk-low` and `disk-full` say.

use headwater_resp::reply::Reply;
use rustix::process::Signal;

use crate::client::{Client, error, simple};
use crate::server::{Server, data};

const FULL: &str = "MISCONF Errors writing to the AOF file: No space left on device";

fn set(client: &mut Client, name: &str, value: &str, state: &str) {
    assert_eq!(client.ask(&["CONFIG", "SET", name, value]), simple("OK"));
    client.until_info("persistence", "disk_state", state);
}

#[test]
fn a_full_disk_takes_nothing_that_grows_and_all_that_frees() {
    let (_dir, data) = data();
    let server = Server::start(&data, &["--disk-low", "0", "--disk-full", "0"]);
    let mut client = server.connect();
    client.until_info("persistence", "disk_state", "ok");
    for id in ["1-0", "2-0", "3-0"] {
        assert_eq!(
            client.ask(&["XADD", "s", id, "f", "v"]),
            Reply::Bulk(id.into())
        );
    }
    assert_eq!(
        client.ask(&["XGROUP", "CREATE", "s", "g", "0"]),
        simple("OK")
    );
    let consumer = ["XGROUP", "CREATECONSUMER", "s", "g", "c"];
    assert_eq!(client.ask(&consumer), Reply::Int(1));

    // No disk is all free.
    set(&mut client, "disk-full", "100%", "full");
    assert_eq!(
        client.info("persistence", "aof_last_write_status").unwrap(),
        "err"
    );
    for words in [
        &["XADD", "s", "*", "f", "v"][..],
        &["XADD", "new", "*", "f", "v"],
        &["XADD", "s", "MAXLEN", "1", "*", "f", "v"],
        &["XGROUP", "CREATE", "new", "g", "$", "MKSTREAM"],
        &["COPY", "s", "t"],
    ] {
        assert_eq!(client.ask(words), error(FULL), "{words:?}");
    }
    assert_eq!(client.ask(&["MULTI"]), simple("OK"));
    assert_eq!(client.ask(&["XLEN", "s"]), simple("QUEUED"));
    assert_eq!(client.ask(&["XADD", "s", "*", "f", "v"]), simple("QUEUED"));
    assert_eq!(client.ask(&["EXEC"]), error(FULL));
    assert_eq!(client.ask(&["XLEN", "s"]), Reply::Int(3));
    let read = ["XREADGROUP", "GROUP", "g", "c", "STREAMS", "s", ">"];
    let found = client.ask(&read);
    assert!(matches!(found, Reply::Array(_)), "{found:?}");
    for words in [
        &["XACK", "s", "g", "1-0"][..],
        &["XDEL", "s", "1-0"],
        &["XTRIM", "s", "MAXLEN", "1"],
        &["EXPIRE", "s", "1000"],
    ] {
        assert_eq!(client.ask(words), Reply::Int(1), "{words:?}");
    }

    // Sentinels hear of it when the operator wants them to.
    assert_eq!(client.ask(&["PING"]), simple("PONG"));
    let fails_over = ["CONFIG", "SET", "disk-full-fails-over", "yes"];
    assert_eq!(client.ask(&fails_over), simple("OK"));
    assert_eq!(client.ask(&["PING"]), error(FULL));

    // Of the two marks the higher one counts, too, when it is the wrong one.
    set(&mut client, "disk-full", "0", "ok");
    assert_eq!(client.ask(&["PING"]), simple("PONG"));
    set(&mut client, "disk-low", "100%", "low");
    assert_eq!(
        client.info("persistence", "aof_last_write_status").unwrap(),
        "ok"
    );
    assert!(matches!(
        client.ask(&["XADD", "s", "*", "f", "v"]),
        Reply::Bulk(_)
    ));
    let number = |client: &mut Client, name| -> u64 {
        client.info("persistence", name).unwrap().parse().unwrap()
    };
    let total = number(&mut client, "disk_total_bytes");
    assert_eq!(number(&mut client, "disk_low_bytes"), total);
    assert_eq!(number(&mut client, "disk_full_bytes"), 0);
    assert!((1..total).contains(&number(&mut client, "disk_free_bytes")));
    assert_eq!(client.ask(&["DEL", "s"]), Reply::Int(1));

    server.signal(Signal::TERM);
    let said = server.ended().said;
    for line in [
        "WARN the disk is full: ",
        "INFO there is enough disk space again: ",
        "WARN disk space is low: ",
    ] {
        assert_eq!(said.matches(line).count(), 1, "{line}: {said}");
    }
}
