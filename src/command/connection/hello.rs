//! `HELLO [protover [AUTH username password] [SETNAME clientname]]`: who speaks to whom, and how.
//!
//! * Without a version it only asks. With one, the reply is already in the new protocol.
//! * Whoever has to authenticate can do it here, and only here in one round trip.

use headwater_resp::{Protocol, Writer};

use super::{auth, client};
use crate::command::{Access, Arg, Args, Body, Cx, Group, Halt, Outcome, Spec, Traits};
use crate::refusal::Refusal;
use crate::server::REDIS_VERSION;

pub(crate) static HELLO: Spec = Spec {
    name: "hello",
    summary: "Tells about the server and chooses the protocol.",
    since: "6.0.0",
    complexity: "O(1)",
    group: Group::Connection,
    access: Access::Neither,
    traits: Traits::NO_SCRIPT
        .and(Traits::LOADING)
        .and(Traits::STALE)
        .and(Traits::FAST)
        .and(Traits::NO_AUTH)
        .and(Traits::ALLOW_BUSY),
    tips: &[],
    args: &[Arg::block(
        "arguments",
        &[
            Arg::int("protover"),
            Arg::block("auth", &[Arg::string("username"), Arg::string("password")])
                .token("AUTH")
                .optional(),
            Arg::string("clientname").token("SETNAME").optional(),
        ],
    )
    .optional()],
    body: Body::Run(run),
};

fn run(cx: &mut Cx<'_>, args: &mut Args<'_>) -> Result<Outcome, Halt> {
    let protocol = match args.is_empty() {
        true => None,
        false => Some(protocol(args)?),
    };
    let (mut credentials, mut name) = (None, None);
    while !args.is_empty() {
        if args.eat_with("AUTH", 2) {
            credentials = Some((args.word()?, args.word()?));
        } else if args.eat_with("SETNAME", 1) {
            name = Some(client::name(args.word()?)?);
        } else {
            let option = String::from_utf8_lossy(args.word()?);
            let refusal = format_args!("ERR Syntax error in HELLO option '{option}'");
            return Err(Refusal::quoting(refusal).into());
        }
    }
    if let Some((user, password)) = credentials {
        if !auth::check(cx, user, password) {
            return Err(Refusal::WrongPass.into());
        }
        cx.session.authenticated = true;
    }
    if !cx.session.authenticated {
        return Err(Refusal::Command(
            "NOAUTH HELLO must be called with the client already authenticated, otherwise the \
             HELLO <proto> AUTH <user> <pass> option can be used to authenticate the client and \
             select the RESP protocol version at the same time",
        )
        .into());
    }
    if let Some(name) = name {
        client::set_name(cx, name);
    }
    if let Some(protocol) = protocol {
        cx.session.protocol = protocol;
        cx.out.set_protocol(protocol);
    }
    write(cx);
    Ok(Outcome::Done)
}

fn protocol(args: &mut Args<'_>) -> Result<Protocol, Refusal> {
    let version = args.int().map_err(|_not_int| {
        Refusal::Command("ERR Protocol version is not an integer or out of range")
    })?;
    match version {
        2 => Ok(Protocol::Resp2),
        3 => Ok(Protocol::Resp3),
        _ => Err(Refusal::NoProto),
    }
}

fn write(cx: &mut Cx<'_>) {
    let Cx { data, session, .. } = cx;
    let out = &mut data.out;
    // A monitor plays no part in replication.
    let role = data.server.sentinel.is_none().then_some("master");
    out.map(6 + role.iter().len());
    write_text(out, "server", "redis");
    write_text(out, "version", REDIS_VERSION);
    out.bulk(b"proto");
    out.int(match session.protocol {
        Protocol::Resp2 => 2,
        Protocol::Resp3 => 3,
    });
    out.bulk(b"id");
    out.int(session.client.id.cast_signed());
    write_text(out, "mode", data.server.mode());
    if let Some(role) = role {
        write_text(out, "role", role);
    }
    out.bulk(b"modules");
    out.array(0);
}

fn write_text(out: &mut Writer<'_>, name: &str, text: &str) {
    out.bulk(name.as_bytes());
    out.bulk(text.as_bytes());
}
