//! The real program, spoken to over sockets: by clients that are slow, hostile, many or wrong, and
//! by the signals and accidents of its life.

#![expect(clippy::unwrap_used, reason = "the helpers of tests are tests, too")]

#[path = "wire/backup.rs"]
mod backup;
#[allow(dead_code, reason = "other tests need more of it")]
#[path = "wire/client.rs"]
mod client;
#[path = "wire/cold.rs"]
mod cold;
#[path = "wire/loading.rs"]
mod loading;
#[path = "wire/pubsub.rs"]
mod pubsub;
#[path = "wire/save.rs"]
mod save;
#[allow(dead_code, reason = "other tests need more of it")]
#[path = "wire/server.rs"]
mod server;
#[path = "wire/space.rs"]
mod space;
#[path = "wire/tools.rs"]
mod tools;

use std::io::Write as _;
use std::net::{IpAddr, TcpListener, UdpSocket};
use std::time::Instant;

use headwater_resp::reply::Reply;
use rustix::process::Signal;

use client::{Client, PATIENCE, error, request, simple};
use server::{Server, data, refused};

fn bulk(text: &str) -> Reply {
    Reply::Bulk(text.into())
}

#[test]
fn a_request_may_come_in_any_two_pieces() {
    let (_dir, data) = data();
    let server = Server::start(&data, &[]);
    let (mut client, mut other) = (server.connect(), server.connect());
    let conversation = [
        request(&["XADD", "pieces", "*", "field", ""]),
        b"PING inline\r\n".to_vec(),
        request(&["ECHO", "a\r\nb"]),
    ]
    .concat();
    for split in 0..=conversation.len() {
        let (first, second) = conversation.split_at(split);
        client.send(first);
        // Whoever asks later is served later: by now the server has seen the first piece.
        assert_eq!(other.ask(&["PING"]), simple("PONG"));
        client.send(second);
        assert!(matches!(client.reply(), Reply::Bulk(_)), "split at {split}");
        assert_eq!(client.reply(), bulk("inline"), "split at {split}");
        assert_eq!(client.reply(), bulk("a\r\nb"), "split at {split}");
    }
    let entries = i64::try_from(conversation.len()).unwrap() + 1;
    assert_eq!(client.ask(&["XLEN", "pieces"]), Reply::Int(entries));
}

#[test]
fn a_long_pipeline_is_answered_in_order_and_completely() {
    const REQUESTS: usize = 10_000;
    let (_dir, data) = data();
    let server = Server::start(&data, &["--appendfsync", "everysec"]);
    let mut client = server.connect();
    let mut sender = client.sender();
    let pipeline: Vec<u8> = (1..=REQUESTS)
        .flat_map(|number| request(&["XADD", "s", &format!("{number}-0"), "f", "v"]))
        .collect();
    std::thread::scope(|scope| {
        scope.spawn(move || sender.write_all(&pipeline).unwrap());
        for number in 1..=REQUESTS {
            assert_eq!(client.reply(), bulk(&format!("{number}-0")));
        }
    });
    assert_eq!(client.ask(&["XLEN", "s"]), Reply::Int(10_000));
}

#[test]
fn what_is_not_the_protocol_is_told_why_and_closed() {
    let (_dir, data) = data();
    let server = Server::start(&data, &["--proto-max-bulk-len", "1mb"]);
    let big_line = vec![b'a'; 70_000];
    let hostile: [(&[u8], &str); 9] = [
        (b"*2147483648\r\n", "invalid multibulk length"),
        (b"*x\r\n", "invalid multibulk length"),
        (b"*1\r\n$99999999999\r\n", "invalid bulk length"),
        (b"*1\r\n$1048577\r\n", "invalid bulk length"),
        (b"*1\r\n$-1\r\n", "invalid bulk length"),
        (b"*1\r\n:1\r\n", "expected '$', got ':'"),
        (b"*1\r\nPING\r\n", "expected '$', got 'P'"),
        (b"PING \"open\r\n", "unbalanced quotes in request"),
        (&big_line, "too big inline request"),
    ];
    let mut bystander = server.connect();
    for (bytes, why) in hostile {
        let mut client = server.connect();
        // What came before it is answered.
        client.send(&request(&["PING"]));
        assert_eq!(client.reply(), simple("PONG"));
        client.send(bytes);
        let text = format!("ERR Protocol error: {why}");
        assert_eq!(client.reply(), error(&text));
        client.expect_closed();
        assert_eq!(bystander.ask(&["PING"]), simple("PONG"));
    }
}

#[test]
fn a_browser_is_closed_without_a_word() {
    let (_dir, data) = data();
    let server = Server::start(&data, &[]);
    for line in ["POST / HTTP/1.1\r\n", "Host: localhost\r\n"] {
        let mut client = server.connect();
        client.send(line.as_bytes());
        client.send(&request(&["XADD", "s", "*", "f", "v"]));
        client.expect_closed();
    }
    assert_eq!(server.connect().ask(&["EXISTS", "s"]), Reply::Int(0));
}

#[test]
fn empty_requests_are_passed_over_and_garbage_lines_are_unknown_commands() {
    let (_dir, data) = data();
    let server = Server::start(&data, &[]);
    let mut client = server.connect();
    client.send(b"\r\n*0\r\n\n*-1\r\n   \r\nPING\r\n");
    assert_eq!(client.reply(), simple("PONG"));
    client.send(b"\x01\xfe garbage\r\n");
    let Reply::Error(text) = client.reply() else {
        panic!("garbage was understood")
    };
    assert!(text.starts_with(b"ERR unknown command '"));
    assert_eq!(client.ask(&["PING"]), simple("PONG"));
}

/// Waits until the server shows so much as a client's `field` in CLIENT LIST.
fn until(other: &mut Client, id: i64, field: &str, least: u64) {
    let began = Instant::now();
    loop {
        let Reply::Bulk(list) = other.ask(&["CLIENT", "LIST", "ID", &id.to_string()]) else {
            panic!("CLIENT LIST is text")
        };
        let list = String::from_utf8(list).unwrap();
        let shown = list.split_whitespace().find_map(|part| {
            let (name, value) = part.split_once('=')?;
            (name == field).then(|| value.parse::<u64>().unwrap())
        });
        let shown = shown.expect("the server has closed that connection");
        if shown >= least {
            return;
        }
        assert!(
            began.elapsed() < PATIENCE,
            "{field} stays below {least}: {list}"
        );
    }
}

fn id(client: &mut Client) -> i64 {
    client.ask(&["CLIENT", "ID"]).as_int().unwrap()
}

#[cfg(target_os = "linux")]
#[test]
fn a_promise_of_a_great_request_takes_no_memory() {
    let (_dir, data) = data();
    let server = Server::start(&data, &[]);
    let mut bystander = server.connect();
    assert_eq!(bystander.ask(&["PING"]), simple("PONG"));
    let before = server.memory("VmSize");
    let promises = [(); 50].map(|()| {
        let mut client = server.connect();
        let id = id(&mut client);
        let promise = b"*2147483647\r\n$33554432\r\n";
        client.send(promise);
        until(&mut bystander, id, "qbuf", promise.len() as u64);
        // When this has been read too, the server has made room for what was promised.
        client.send(b"a");
        until(&mut bystander, id, "qbuf", promise.len() as u64 + 1);
        client
    });
    let grown = server.memory("VmSize").saturating_sub(before);
    assert!(grown < 1 << 30, "it has asked for {grown} bytes more");
    drop(promises);
}

#[test]
fn what_no_command_takes_is_refused_with_redis_texts() {
    let (_dir, data) = data();
    let server = Server::start(&data, &[]);
    let mut client = server.connect();
    let arity = |name: &str| format!("ERR wrong number of arguments for '{name}' command");
    for (words, text) in [
        (&["XADD", "s", "*", "f"][..], arity("xadd")),
        (&["xlen"], arity("xlen")),
        (&["XLEN", "s", "t"], arity("xlen")),
        (&["XGROUP"], arity("xgroup")),
        (&["XGROUP", "CREATE", "s"], arity("xgroup|create")),
        (
            &["XGROUP", "no", "s"],
            "ERR unknown subcommand 'no'. Try XGROUP HELP.".to_owned(),
        ),
        (
            &["Nonsense", "a", "b"],
            "ERR unknown command 'Nonsense', with args beginning with: 'a' 'b' ".to_owned(),
        ),
        (
            &[""],
            "ERR unknown command '', with args beginning with: ".to_owned(),
        ),
    ] {
        assert_eq!(client.ask(words), error(&text), "{words:?}");
    }
    assert_eq!(client.ask(&["PING"]), simple("PONG"));
}

#[test]
fn two_hundred_clients_are_served_at_once() {
    let (_dir, data) = data();
    let server = Server::start(&data, &[]);
    let mut clients: Vec<_> = (0..200).map(|_| server.connect()).collect();
    for round in 1..=5 {
        for client in &mut clients {
            client.send(&request(&["XADD", "s", "*", "f", "v"]));
        }
        for client in &mut clients {
            assert!(matches!(client.reply(), Reply::Bulk(_)));
        }
        assert_eq!(clients[0].ask(&["XLEN", "s"]), Reply::Int(200 * round));
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_client_that_never_reads_costs_little_and_delays_nobody() {
    let (_dir, data) = data();
    let server = Server::start(&data, &["--appendfsync", "everysec"]);
    let mut other = server.connect();
    let entry = "v".repeat(1 << 20);
    assert_eq!(other.ask(&["XADD", "s", "1-0", "f", &entry]), bulk("1-0"));
    let before = server.memory("VmRSS");
    let mut deaf = server.connect();
    let deaf_id = id(&mut deaf);
    // A gigabyte, if all of it were answered.
    let requests = request(&["XRANGE", "s", "-", "+"]).repeat(1000);
    while deaf.send_until_full(&requests) > 0 {
        assert_eq!(other.ask(&["PING"]), simple("PONG"));
    }
    until(&mut other, deaf_id, "obl", 1);
    let grown = server.memory("VmRSS").saturating_sub(before);
    assert!(grown < 64 << 20, "it holds {grown} bytes more");
    drop(deaf);
    assert_eq!(other.ask(&["XLEN", "s"]), Reply::Int(1));
}

#[test]
fn one_client_too_many_is_told_so_and_a_place_is_given_again() {
    let (_dir, data) = data();
    let server = Server::start(&data, &["--maxclients", "2"]);
    let (mut first, mut second) = (server.connect(), server.connect());
    assert_eq!(first.ask(&["PING"]), simple("PONG"));
    assert_eq!(second.ask(&["PING"]), simple("PONG"));
    let full = error("ERR max number of clients reached");
    let mut third = server.connect();
    assert_eq!(third.reply(), full);
    third.expect_closed();
    assert_eq!(first.ask(&["PING"]), simple("PONG"));
    // The server hears of the end of a connection when it comes to it.
    first.send(&request(&["QUIT"]));
    assert_eq!(first.reply(), simple("OK"));
    first.expect_closed();
    loop {
        let mut client = server.connect();
        client.send(&request(&["PING"]));
        match client.try_reply() {
            Some(reply) if reply == simple("PONG") => break,
            refused => assert!(refused.is_none_or(|reply| reply == full)),
        }
    }
}

#[test]
fn there_are_as_many_clients_as_the_system_has_descriptors_for() {
    let allowed = |server: &Server| {
        let mut client = server.connect();
        let answer = client.ask(&["CONFIG", "GET", "maxclients"]);
        answer.as_parts().unwrap()[1].as_bytes().unwrap().to_vec()
    };
    // The soft limit is only where the process begins.
    let (_dir, data) = data();
    let server = Server::start_under("ulimit -Sn 100", &data, &["--maxclients", "300"]);
    assert_eq!(allowed(&server), b"300");
    let mut clients: Vec<Client> = (0..200).map(|_| server.connect()).collect();
    for client in &mut clients {
        assert_eq!(client.ask(&["PING"]), simple("PONG"));
    }
    drop((clients, server));

    let server = Server::start_under("ulimit -n 100", &data, &["--maxclients", "300"]);
    assert_eq!(allowed(&server), b"36");
    let mut client = server.connect();
    assert_eq!(
        client.ask(&["CONFIG", "SET", "maxclients", "500"]),
        simple("OK")
    );
    assert_eq!(allowed(&server), b"36");
    let _crowd: Vec<Client> = (0..50).map(|_| server.connect()).collect();
    let added = client.ask(&["XADD", "s", "1-1", "f", "v"]);
    assert_eq!(added, bulk("1-1"), "what is kept for the log is there");
}

/// An address of this machine besides the loopback, if it has one. Nothing is sent.
fn own_address() -> Option<IpAddr> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("198.51.100.1:9").ok()?;
    let ip = socket.local_addr().ok()?.ip();
    (!ip.is_loopback()).then_some(ip)
}

#[test]
fn protected_mode_keeps_other_machines_out_until_there_is_a_password() {
    // On a machine without any network everybody is local.
    let Some(ip) = own_address() else { return };
    let everywhere = ["--bind", "0.0.0.0"];
    let (_dir, data) = data();
    let server = Server::start(&data, &everywhere);
    let mut remote = server.connect_to(ip);
    let Reply::Error(text) = remote.reply() else {
        panic!("protected mode let somebody in")
    };
    assert!(text.starts_with(b"DENIED "));
    remote.expect_closed();
    assert_eq!(server.connect().ask(&["PING"]), simple("PONG"));
    drop(server);
    let directives = [&everywhere[..], &["--requirepass", "secret"]].concat();
    let server = Server::start(&data, &directives);
    let mut remote = server.connect_to(ip);
    assert_eq!(remote.ask(&["AUTH", "secret"]), simple("OK"));
    assert_eq!(remote.ask(&["PING"]), simple("PONG"));
}

#[test]
fn strangers_may_say_little_until_they_have_the_password() {
    let (_dir, data) = data();
    let server = Server::start(&data, &["--requirepass", "secret"]);
    for (bytes, why) in [
        (&b"*11\r\n"[..], "unauthenticated multibulk length"),
        (b"*1\r\n$16385\r\n", "unauthenticated bulk length"),
    ] {
        let mut client = server.connect();
        client.send(bytes);
        assert_eq!(client.reply(), error(&format!("ERR Protocol error: {why}")));
        client.expect_closed();
    }
    let mut client = server.connect();
    let words = ["XADD", "s", "1-0", "a", "b", "c", "d", "e", "f", "g", "h"];
    assert_eq!(
        client.ask(&["XLEN", "s"]),
        error("NOAUTH Authentication required.")
    );
    assert_eq!(
        client.ask(&["AUTH", "wrong"]),
        error("WRONGPASS invalid username-password pair or user is disabled.")
    );
    assert_eq!(client.ask(&["AUTH", "secret"]), simple("OK"));
    assert_eq!(client.ask(&words), bulk("1-0"));
    let long = "v".repeat(20_000);
    assert_eq!(client.ask(&["XADD", "s", "2-0", "f", &long]), bulk("2-0"));
    // The same in one piece: the limits are lifted in the middle of what has arrived.
    let mut client = server.connect();
    let both = [
        request(&["AUTH", "default", "secret"]),
        request(&["ECHO", &long]),
    ]
    .concat();
    client.send(&both);
    assert_eq!(client.reply(), simple("OK"));
    assert_eq!(client.reply(), bulk(&long));
}

#[test]
fn a_signal_ends_it_well_and_loses_nothing_that_was_acknowledged() {
    for (signal, name, policy) in [
        (Signal::TERM, "SIGTERM", "always"),
        (Signal::TERM, "SIGTERM", "everysec"),
        (Signal::INT, "SIGINT", "no"),
    ] {
        let (_dir, data) = data();
        let server = Server::start(&data, &["--appendfsync", policy]);
        let mut client = server.connect();
        let mut sender = client.sender();
        // It ends when the server does, in the middle of a write or between two.
        let writer = std::thread::spawn(move || {
            let entry = request(&["XADD", "s", "*", "f", "v"]);
            let mut sent = 0;
            while sender.write_all(&entry).is_ok() {
                sent += 1;
            }
            sent
        });
        let mut acknowledged = 0;
        while let Some(reply) = client.try_reply() {
            assert!(matches!(reply, Reply::Bulk(_)));
            acknowledged += 1;
            if acknowledged == 100 {
                server.signal(signal);
            }
        }
        let sent: i64 = writer.join().unwrap();
        let ended = server.ended();
        assert!(ended.status.success(), "{}", ended.said);
        let stopped = format!("stopped by {name}; everything is on disk");
        assert!(ended.said.contains(&stopped), "{}", ended.said);
        let server = Server::start(&data, &[]);
        let Reply::Int(there) = server.connect().ask(&["XLEN", "s"]) else {
            panic!("XLEN is a number")
        };
        assert!(
            (acknowledged..=sent).contains(&there),
            "{acknowledged} of {sent} entries were acknowledged and {there} are there ({policy})"
        );
    }
}

#[test]
fn a_second_server_leaves_the_data_of_the_first_alone() {
    let (_dir, data) = data();
    let server = Server::start(&data, &[]);
    let second = refused(&data, &[]);
    assert_eq!(second.status.code(), Some(1), "{}", second.said);
    let line = second.said.trim_end().lines().last().unwrap();
    let told = format!(
        "could not open the data: another process holds {}",
        data.display()
    );
    assert!(line.contains(&told), "{line}");
    let mut client = server.connect();
    assert_eq!(client.ask(&["XADD", "s", "1-0", "f", "v"]), bulk("1-0"));
}

#[test]
fn a_port_that_is_taken_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let (_dir, data) = data();
    let ended = refused(&data, &["--port", &address.port().to_string()]);
    assert_eq!(ended.status.code(), Some(1), "{}", ended.said);
    let line = ended.said.trim_end().lines().last().unwrap();
    let told = format!("could not listen on {address}: Address already in use");
    assert!(line.contains(&told), "{line}");
}
