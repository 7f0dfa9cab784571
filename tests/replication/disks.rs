//! Replicas whose disk is full, or has changed what was on it.

use std::fs;

use headwater_resp::reply::Reply;

use crate::client::request;
use crate::node::{Node, converge};
use crate::volume::Volume;
use crate::{add, do_something_of_everything};

const MIB: u64 = 1 << 20;

/// Adds so many entries of 4000 bytes.
fn add_large(node: &Node, count: usize) {
    let mut client = node.connect();
    let value = "v".repeat(4000);
    let entry = request(&["XADD", "large", "*", "f", &value]);
    for _ in 0..count / 50 {
        client.send(&entry.repeat(50));
        for _ in 0..50 {
            assert!(matches!(client.reply(), Reply::Bulk(_)));
        }
    }
}

#[test]
fn a_replica_whose_disk_is_full_serves_what_it_has_and_goes_on_when_there_is_room() {
    let Some(volume) = Volume::new(64 * MIB) else {
        return;
    };
    let ballast = volume.ballast(48 * MIB);
    let master = Node::start(&["--repl-backlog-size", "64mb"]);
    do_something_of_everything(&master, "first");
    let marks = ["--disk-low", "0", "--disk-full", "0"];
    let of = master.replicaof();
    let following = [&["--replicaof", &*of][..], &marks].concat();
    let mut replica = Node::at(volume.path().join("data"), &following);
    replica.until_up();
    add_large(&master, 5000);
    replica.until("master_link_status", "down");
    assert_eq!(replica.ask(&["EXISTS", "first"]), Reply::Int(1));
    // It does not mind a start, either.
    replica.kill();
    replica.restart();
    assert_eq!(replica.ask(&["EXISTS", "first"]), Reply::Int(1));
    fs::remove_file(ballast).unwrap();
    converge(&master, &[&replica]);
    let said = replica.said();
    assert!(!said.contains("receives everything"), "{said}");
}

#[test]
fn a_replica_with_a_damaged_log_does_not_start_and_gets_everything_when_that_is_gone() {
    let master = Node::start(&[]);
    let mut replica = Node::following(&master.replicaof(), &[]);
    for _ in 0..10 {
        add(&master, "s", 200);
    }
    converge(&master, &[&replica]);
    let end: u64 = replica.info("master_repl_offset").parse().unwrap();
    replica.stop();
    let log = replica.data().join("log");
    let first = log.join(format!("{:020}.log", 0));
    let mut bytes = fs::read(&first).unwrap();
    // Behind the header of the file; half of the log bears witness of it.
    bytes[4096 + usize::try_from(end / 2).unwrap()] ^= 1;
    fs::write(&first, bytes).unwrap();
    let said = replica.restart_in_vain();
    assert!(said.contains("00000000000000000000.log"), "{said}");

    // The operator moves it away, and the replica gets it all again.
    fs::rename(replica.data(), replica.data().with_extension("damaged")).unwrap();
    replica.restart();
    converge(&master, &[&replica]);
}
