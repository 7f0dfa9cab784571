//! What the program does for the data of a server that does not run.

use std::path::Path;
use std::process::{Command, Output};

use headwater_resp::reply::Reply;
use rustix::process::Signal;

use crate::server::{Server, data};

/// Runs the program to its end; its exit code, and what it printed and complained.
fn run(tool: &str, paths: &[&Path]) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_headwater"));
    let Output {
        status,
        stdout,
        stderr,
    } = command.arg(tool).args(paths).output().unwrap();
    let [out, complaint] = [stdout, stderr].map(|text| String::from_utf8(text).unwrap());
    (status.code().unwrap(), out, complaint)
}

fn add(server: &Server, count: u64) {
    let mut client = server.connect();
    for _ in 0..count {
        let added = client.ask(&["XADD", "jobs", "*", "f", "v"]);
        assert!(matches!(added, Reply::Bulk(_)), "{added:?}");
    }
}

fn len(server: &Server) -> Reply {
    server.connect().ask(&["XLEN", "jobs"])
}

#[test]
fn a_check_says_by_its_exit_code_what_it_found() {
    let (_dir, data) = data();
    let (code, _, complaint) = run("check", &[]);
    assert_eq!(
        (code, &*complaint),
        (64, "headwater: usage: headwater check DIR\n")
    );
    assert_eq!(run("check", &[&data]).0, 74, "there is nothing yet");

    let server = Server::start(&data, &[]);
    add(&server, 3);
    let (code, _, complaint) = run("check", &[&data]);
    let held = format!("headwater: another process holds {}/LOCK\n", data.display());
    assert_eq!((code, complaint), (74, held));
    server.signal(Signal::KILL);
    server.ended();
    let (code, out, _) = run("check", &[&data]);
    assert_eq!(code, 0, "{out}");
    assert!(out.ends_with("\nwhole: nothing to say\n"), "{out}");

    let segment = data.join("log/00000000000000000000.log");
    let mut bytes = std::fs::read(&segment).unwrap();
    bytes[4096 + 50] ^= 1;
    std::fs::write(&segment, bytes).unwrap();
    let (code, out, _) = run("check", &[&data]);
    assert_eq!(code, 2, "{out}");
    let damage = format!("damage {} is damaged at LSN ", segment.display());
    assert!(out.starts_with(&damage), "{out}");
    assert_eq!(run("backup", &[&data, &data.with_extension("backup")]).0, 2);
}

#[test]
fn a_backup_is_a_store_of_its_own() {
    let (_dir, data) = data();
    let target = data.with_extension("backup");
    // Segments small enough for some to be full.
    let small = ["--segment-size", "1mb"];
    let server = Server::start(&data, &small);
    add(&server, 3000);
    server.signal(Signal::TERM);
    server.ended();
    let (code, out, complaint) = run("backup", &[&data, &target]);
    assert_eq!(code, 0, "{complaint}");
    assert!(out.starts_with("backed up everything below LSN "), "{out}");
    assert_eq!(run("check", &[&target]).0, 0);
    let (code, _, complaint) = run("backup", &[&data, &target]);
    let taken = format!("headwater: {} is there already\n", target.display());
    assert_eq!((code, complaint), (74, taken));

    let servers = [(&data, 10), (&target, 20)].map(|(dir, more)| {
        let server = Server::start(dir, &small);
        add(&server, more);
        server
    });
    let [one, other] = &servers;
    assert_eq!((len(one), len(other)), (Reply::Int(3010), Reply::Int(3020)));
    for server in servers {
        server.signal(Signal::KILL);
        server.ended();
    }
    for dir in [&data, &target] {
        assert_eq!(run("check", &[dir]).0, 0);
    }
}
