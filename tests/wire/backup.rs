//! Backups that are made while the server goes on.

use std::sync::atomic::{AtomicBool, Ordering};

use headwater_resp::reply::Reply;

use crate::client::{Client, error};
use crate::server::{Server, data};

fn add(client: &mut Client, key: &str) {
    let added = client.ask(&["XADD", key, "*", "f", "v"]);
    assert!(matches!(added, Reply::Bulk(_)), "{added:?}");
}

fn back_up(client: &mut Client, name: &str) -> Vec<Reply> {
    match client.ask(&["BACKUP", name]) {
        Reply::Array(facts) => facts,
        refused => panic!("{refused:?}"),
    }
}

#[test]
fn a_backup_under_load_has_what_was_acknowledged_before_it() {
    let (dir, data) = data();
    let backups = dir.path().join("backups");
    let directives = ["--backup-dir", backups.to_str().unwrap()];
    let server = Server::start(&data, &directives);
    let mut client = server.connect();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let load = scope.spawn(|| {
            let mut client = server.connect();
            while !done.load(Ordering::Relaxed) {
                add(&mut client, "load");
            }
        });
        for number in 1..=3 {
            for _ in 0..100 {
                add(&mut client, "ledger");
            }
            let facts = back_up(&mut client, &format!("b-{number}"));
            assert_eq!(facts.len(), 8);
            assert_eq!(facts[0], Reply::Bulk("lsn".into()));
        }
        done.store(true, Ordering::Relaxed);
        load.join().unwrap();
    });
    let taken = "ERR There is a backup of that name already";
    assert_eq!(client.ask(&["BACKUP", "b-1"]), error(taken));
    for number in 1..=3 {
        let copy = Server::start(&backups.join(format!("b-{number}")), &[]);
        let mut copied = copy.connect();
        assert_eq!(copied.ask(&["XLEN", "ledger"]), Reply::Int(number * 100));
        // It is a store of its own.
        add(&mut copied, "ledger");
    }
    add(&mut client, "ledger");
    assert_eq!(client.ask(&["XLEN", "ledger"]), Reply::Int(301));
}

#[test]
fn a_backup_without_a_place_or_with_a_path_for_a_name_is_refused() {
    let (dir, data) = data();
    let place = "ERR There is no place for backups; set backup-dir and start again";
    let server = Server::start(&data, &[]);
    assert_eq!(server.connect().ask(&["BACKUP", "x"]), error(place));
    drop(server);
    let directives = ["--backup-dir", dir.path().to_str().unwrap()];
    let server = Server::start(&data, &directives);
    let mut client = server.connect();
    let text = "ERR The name of a backup is made of letters, digits, - and _";
    for name in ["", ".", "..", "a/b", "../x", "a b", "a.tmp"] {
        assert_eq!(client.ask(&["BACKUP", name]), error(text), "{name}");
    }
}

#[test]
fn a_backup_that_the_disk_refuses_has_failed() {
    let (dir, data) = data();
    let file = dir.path().join("a-file");
    std::fs::write(&file, b"").unwrap();
    let server = Server::start(&data, &["--backup-dir", file.to_str().unwrap()]);
    let failed = "ERR The backup failed; the server's log lines say why";
    assert_eq!(server.connect().ask(&["BACKUP", "x"]), error(failed));
}
