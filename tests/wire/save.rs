//! Checkpoints on request.

use headwater_resp::reply::Reply;

use crate::client::{Client, simple};
use crate::server::{Server, data};

fn number(client: &mut Client, name: &str) -> u64 {
    client.info("persistence", name).unwrap().parse().unwrap()
}

#[test]
fn a_checkpoint_is_there_when_save_returns_and_a_start_begins_with_it() {
    let (_dir, data) = data();
    let server = Server::start(&data, &[]);
    let (mut client, mut other) = (server.connect(), server.connect());
    for _ in 0..100 {
        assert!(matches!(
            client.ask(&["XADD", "s", "*", "f", "v"]),
            Reply::Bulk(_)
        ));
    }
    let before = number(&mut client, "rdb_saves");
    assert!(number(&mut client, "rdb_changes_since_last_save") > 1000);
    assert_eq!(client.ask(&["SAVE"]), simple("OK"));
    assert!(number(&mut client, "rdb_saves") > before);
    assert!(number(&mut client, "rdb_changes_since_last_save") < 1000);
    assert!(number(&mut client, "checkpoint_bytes") > 0);
    assert_eq!(
        client
            .info("persistence", "rdb_last_bgsave_status")
            .unwrap(),
        "ok"
    );
    let Reply::Int(saved) = other.ask(&["LASTSAVE"]) else {
        panic!("LASTSAVE is a number")
    };
    let shown = number(&mut other, "rdb_last_save_time").cast_signed();
    assert!((saved..=saved + 1).contains(&shown), "{saved} and {shown}");
    drop(server);

    let server = Server::start(&data, &[]);
    let mut client = server.connect();
    assert_eq!(client.ask(&["XLEN", "s"]), Reply::Int(100));
    assert!(number(&mut client, "checkpoint_bytes") > 0);
    assert!(number(&mut client, "rdb_changes_since_last_save") < 1000);
}

#[test]
fn saves_in_the_background_are_made_while_others_are_served() {
    let (_dir, data) = data();
    let server = Server::start(&data, &[]);
    let (mut client, mut other) = (server.connect(), server.connect());
    for (word, told, field) in [
        (
            "BGSAVE",
            "Background saving started",
            "rdb_bgsave_in_progress",
        ),
        (
            "BGREWRITEAOF",
            "Background append only file rewriting started",
            "aof_rewrite_in_progress",
        ),
    ] {
        let before = number(&mut client, "rdb_saves");
        assert_eq!(client.ask(&[word]), simple(told));
        assert!(matches!(
            other.ask(&["XADD", "s", "*", "f", "v"]),
            Reply::Bulk(_)
        ));
        client.until_info("persistence", field, "0");
        assert!(number(&mut client, "rdb_saves") > before);
    }
}
