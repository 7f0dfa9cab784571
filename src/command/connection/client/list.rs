//! `CLIENT LIST [TYPE type | ID id [id ...]]` and `CLIENT INFO`: a line for each connection.
//!
//! The fields are those of Redis, in its order. What a connection is just doing is told as of its
//! last round of requests; only of itself it knows the latest.

use std::fmt::Write as _;
use std::sync::atomic::Ordering;

use super::{ADMIN, TRAITS};
use crate::clients::Client;
use crate::command::{Access, Arg, Args, Body, Cx, Group, Halt, Outcome, Spec, Table};
use crate::pubsub::Kind;
use crate::refusal::Refusal;

pub(super) static LIST: Spec = Spec {
    name: "list",
    summary: "Lists connections.",
    since: "2.4.0",
    complexity: "O(N) for N connections.",
    group: Group::Connection,
    access: Access::Neither,
    traits: ADMIN,
    tips: &["nondeterministic_output"],
    args: &[
        Arg::one_of(
            "client-type",
            &[
                Arg::flag("normal", "NORMAL"),
                Arg::flag("master", "MASTER"),
                Arg::flag("replica", "REPLICA"),
                Arg::flag("pubsub", "PUBSUB"),
            ],
        )
        .token("TYPE")
        .since("5.0.0")
        .optional(),
        Arg::int("client-id")
            .token("ID")
            .since("6.2.0")
            .optional()
            .many(),
    ],
    body: Body::Run(list),
};

pub(super) static INFO: Spec = Spec {
    name: "info",
    summary: "Tells about this connection, as LIST does about all.",
    since: "6.2.0",
    complexity: "O(1)",
    group: Group::Connection,
    access: Access::Neither,
    traits: TRAITS,
    tips: &["nondeterministic_output"],
    args: &[],
    body: Body::Run(info),
};

/// What a connection is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Type {
    Master,
    Normal,
    PubSub,
    Replica,
}

impl Type {
    pub(super) fn of(client: &Client) -> Self {
        if client.is_master {
            Self::Master
        } else if client.is_replica.load(Ordering::Relaxed) {
            Self::Replica
        } else if client.is_subscribed() {
            Self::PubSub
        } else {
            Self::Normal
        }
    }
}

pub(super) fn client_type(word: &[u8]) -> Result<Type, Refusal> {
    for (name, kind) in [
        ("normal", Type::Normal),
        ("slave", Type::Replica),
        ("replica", Type::Replica),
        ("pubsub", Type::PubSub),
        ("master", Type::Master),
    ] {
        if word.eq_ignore_ascii_case(name.as_bytes()) {
            return Ok(kind);
        }
    }
    let word = String::from_utf8_lossy(word);
    Err(Refusal::quoting(format_args!(
        "ERR Unknown client type '{word}'"
    )))
}

fn list(cx: &mut Cx<'_>, args: &mut Args<'_>) -> Result<Outcome, Halt> {
    let clients = &cx.server.clients;
    let listed = if args.is_empty() {
        clients.all()
    } else if args.left() == 2 && args.eat("TYPE") {
        let kind = client_type(args.word()?)?;
        let mut listed = clients.all();
        listed.retain(|client| Type::of(client) == kind);
        listed
    } else if args.left() > 1 && args.eat("ID") {
        let mut listed = Vec::new();
        while !args.is_empty() {
            let id = args
                .int()
                .map_err(|_not_int| Refusal::Command("ERR Invalid client ID"))?;
            listed.extend(u64::try_from(id).ok().and_then(|id| clients.get(id)));
        }
        listed
    } else {
        return Err(Refusal::Syntax.into());
    };
    cx.session.publish();
    let mut lines = String::new();
    for client in listed {
        write_line(&mut lines, cx.server.table, &client, cx.now);
    }
    cx.out.verbatim(lines.as_bytes());
    Ok(Outcome::Done)
}

fn info(cx: &mut Cx<'_>, _: &mut Args<'_>) -> Result<Outcome, Halt> {
    cx.session.publish();
    let mut line = String::new();
    write_line(&mut line, cx.server.table, &cx.session.client, cx.now);
    cx.out.verbatim(line.as_bytes());
    Ok(Outcome::Done)
}

fn write_line(line: &mut String, table: &Table, client: &Client, now: u64) {
    let said = client.said.lock().clone();
    let buffers = &client.buffers;
    let of = |counter: &std::sync::atomic::AtomicUsize| counter.load(Ordering::Relaxed);
    let seconds_since = |at: u64| now.saturating_sub(at) / 1000;
    let idle = seconds_since(client.active_ms.load(Ordering::Relaxed));
    let multi = of(&client.multi).checked_sub(1);
    let unsent = of(&buffers.output);
    let memory = of(&buffers.input) + of(&buffers.input_free) + of(&buffers.queued);
    let command = client
        .last_command()
        .map_or("NULL", |number| &table.all[number].full_name);
    let fields: [(&str, &dyn std::fmt::Display); 35] = [
        ("id", &client.id),
        ("addr", &client.addr),
        ("laddr", &client.laddr),
        ("fd", &client.fd()),
        ("name", &said.name),
        ("age", &seconds_since(client.connected_ms)),
        ("idle", &idle),
        ("flags", &flags(client)),
        ("db", &client.db.load(Ordering::Relaxed)),
        ("sub", &client.subscriptions(Kind::Channel)),
        ("psub", &client.subscriptions(Kind::Pattern)),
        ("ssub", &client.subscriptions(Kind::Shard)),
        (
            "multi",
            &multi.map_or(-1, |queued| i64::try_from(queued).unwrap_or(i64::MAX)),
        ),
        ("watch", &of(&client.watched)),
        ("qbuf", &of(&buffers.input)),
        ("qbuf-free", &of(&buffers.input_free)),
        ("argv-mem", &0),
        ("multi-mem", &of(&buffers.queued)),
        ("rbs", &of(&buffers.replies)),
        ("rbp", &of(&buffers.replies)),
        ("obl", &unsent),
        ("oll", &0),
        ("omem", &0),
        ("tot-mem", &(memory + of(&buffers.replies))),
        ("events", &if unsent > 0 { "rw" } else { "r" }),
        ("cmd", &command),
        ("user", &"default"),
        ("redir", &-1),
        (
            "resp",
            &if client.resp3.load(Ordering::Relaxed) {
                3
            } else {
                2
            },
        ),
        ("lib-name", &said.lib_name),
        ("lib-ver", &said.lib_ver),
        ("io-thread", &0),
        ("tot-net-in", &buffers.net_in.load(Ordering::Relaxed)),
        ("tot-net-out", &buffers.net_out.load(Ordering::Relaxed)),
        ("tot-cmds", &buffers.commands.load(Ordering::Relaxed)),
    ];
    for (number, (name, value)) in fields.into_iter().enumerate() {
        let space = if number > 0 { " " } else { "" };
        write!(line, "{space}{name}={value}").expect("a string takes everything");
    }
    line.push('\n');
}

fn flags(client: &Client) -> String {
    let flags: String = [
        ('M', client.is_master),
        ('S', client.is_replica.load(Ordering::Relaxed)),
        ('P', client.is_subscribed()),
        ('x', client.multi.load(Ordering::Relaxed) > 0),
        ('b', client.is_blocked()),
        ('A', client.is_killed()),
        ('e', client.no_evict.load(Ordering::Relaxed)),
        ('T', client.no_touch.load(Ordering::Relaxed)),
    ]
    .into_iter()
    .filter_map(|(flag, on)| on.then_some(flag))
    .collect();
    if flags.is_empty() {
        "N".to_owned()
    } else {
        flags
    }
}
