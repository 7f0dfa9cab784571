//! `CLIENT KILL address`, `CLIENT KILL filter value [filter value ...]`: ends connections.
//!
//! * All filters have to hold; a filter that is given twice counts as given last.
//! * A connection that waits takes nothing any more from the moment it is killed, and one that
//!   subscribes hears nothing.
//! * Who kills itself still gets the reply.

use super::ADMIN;
use super::list::{Type, client_type};
use crate::clients::Client;
use crate::command::connection::auth::DEFAULT_USER;
use crate::command::{Access, Arg, Args, Body, Cx, Group, Halt, Outcome, Spec};
use crate::refusal::Refusal;

pub(super) static KILL: Spec = Spec {
    name: "kill",
    summary: "Ends connections.",
    since: "2.4.0",
    complexity: "O(N) for N connections.",
    group: Group::Connection,
    access: Access::Neither,
    traits: ADMIN,
    tips: &[],
    args: &[Arg::one_of(
        "filter",
        &[
            Arg::string("old-format")
                .display("ip:port")
                .deprecated("2.8.12"),
            Arg::one_of(
                "new-format",
                &[
                    Arg::int("client-id").token("ID").since("2.8.12").optional(),
                    Arg::one_of(
                        "client-type",
                        &[
                            Arg::flag("normal", "NORMAL"),
                            Arg::flag("master", "MASTER").since("3.2.0"),
                            Arg::flag("slave", "SLAVE"),
                            Arg::flag("replica", "REPLICA").since("5.0.0"),
                            Arg::flag("pubsub", "PUBSUB"),
                        ],
                    )
                    .token("TYPE")
                    .since("2.8.12")
                    .optional(),
                    Arg::string("username").token("USER").optional(),
                    Arg::string("addr")
                        .display("ip:port")
                        .token("ADDR")
                        .optional(),
                    Arg::string("laddr")
                        .display("ip:port")
                        .token("LADDR")
                        .since("6.2.0")
                        .optional(),
                    Arg::one_of("skipme", &[Arg::flag("yes", "YES"), Arg::flag("no", "NO")])
                        .token("SKIPME")
                        .optional(),
                    Arg::int("maxage").token("MAXAGE").since("7.4.0").optional(),
                ],
            )
            .many(),
        ],
    )],
    body: Body::Run(run),
};

/// Whom to kill.
struct Filter<'a> {
    id: Option<u64>,
    kind: Option<Type>,
    addr: Option<&'a [u8]>,
    laddr: Option<&'a [u8]>,
    /// Seconds.
    age_min: Option<u64>,
    skips_me: bool,
}

fn run(cx: &mut Cx<'_>, args: &mut Args<'_>) -> Result<Outcome, Halt> {
    if args.left() == 1 {
        let addr = Some(args.word()?);
        let filter = Filter {
            addr,
            skips_me: false,
            ..Filter::everybody()
        };
        if kill(cx, &filter) == 0 {
            return Err(Refusal::Command("ERR No such client").into());
        }
        cx.out.simple("OK");
        return Ok(Outcome::Done);
    }
    let filter = Filter::parse(args)?;
    let killed = kill(cx, &filter);
    cx.out.int(killed);
    Ok(Outcome::Done)
}

impl<'a> Filter<'a> {
    const fn everybody() -> Self {
        Self {
            id: None,
            kind: None,
            addr: None,
            laddr: None,
            age_min: None,
            skips_me: true,
        }
    }

    fn parse(args: &mut Args<'a>) -> Result<Self, Refusal> {
        let mut filter = Self::everybody();
        while !args.is_empty() {
            if args.eat_with("ID", 1) {
                filter.id = Some(
                    positive(args)
                        .ok_or(Refusal::Command("ERR client-id should be greater than 0"))?,
                );
            } else if args.eat_with("MAXAGE", 1) {
                let text = "ERR maxage is not an integer or out of range";
                let seconds = args.int().map_err(|_not_int| Refusal::Command(text))?;
                let seconds = u64::try_from(seconds).ok().filter(|&seconds| seconds > 0);
                let text = "ERR maxage should be greater than 0";
                filter.age_min = Some(seconds.ok_or(Refusal::Command(text))?);
            } else if args.eat_with("TYPE", 1) {
                filter.kind = Some(client_type(args.word()?)?);
            } else if args.eat_with("ADDR", 1) {
                filter.addr = Some(args.word()?);
            } else if args.eat_with("LADDR", 1) {
                filter.laddr = Some(args.word()?);
            } else if args.eat_with("USER", 1) {
                known_user(args.word()?)?;
            } else if args.eat_with("SKIPME", 1) {
                filter.skips_me = args.eat("YES");
                if !filter.skips_me && !args.eat("NO") {
                    return Err(Refusal::Syntax);
                }
            } else {
                return Err(Refusal::Syntax);
            }
        }
        Ok(filter)
    }

    fn matches(&self, client: &Client, me: u64, now: u64) -> bool {
        let age = now.saturating_sub(client.connected_ms) / 1000;
        let is_at = |place: &[u8], at: std::net::SocketAddr| at.to_string().as_bytes() == place;
        self.id.is_none_or(|id| id == client.id)
            && self.kind.is_none_or(|kind| kind == Type::of(client))
            && self.addr.is_none_or(|addr| is_at(addr, client.addr))
            && self.laddr.is_none_or(|laddr| is_at(laddr, client.laddr))
            && self.age_min.is_none_or(|seconds| age >= seconds)
            && !(self.skips_me && client.id == me)
    }
}

fn positive(args: &mut Args<'_>) -> Option<u64> {
    u64::try_from(args.int().ok()?)
        .ok()
        .filter(|&number| number > 0)
}

/// Everybody is the one user that there is.
fn known_user(name: &[u8]) -> Result<(), Refusal> {
    if name == DEFAULT_USER {
        return Ok(());
    }
    let name = String::from_utf8_lossy(name);
    Err(Refusal::quoting(format_args!("ERR No such user '{name}'")))
}

/// Kills whom the filter lets through. Says how many.
fn kill(cx: &mut Cx<'_>, filter: &Filter<'_>) -> i64 {
    let me = cx.session.client.id;
    let mut killed = 0;
    for client in cx.server.clients.all() {
        // One that is killed already may not have left yet.
        if client.is_killed() || !filter.matches(&client, me, cx.now) {
            continue;
        }
        killed += 1;
        if client.id == me {
            cx.session.closing = true;
        } else {
            client.kill();
            cx.server.pubsub.expel(client.id);
        }
    }
    killed
}
