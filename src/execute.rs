//! From a request to its reply: lookup, gates, run, and serving whoever waited for what it did.

use headwater_resp::{Request, Writer};

use crate::command::{Args, Body, Command, Cx, Data, Halt, Outcome, Park, TABLE, Traits};
use crate::refusal::Refusal;
use crate::server::Server;
use crate::session::{Replies, Session};

pub(crate) mod gate;

/// What the connection does next.
pub(crate) enum Step {
    /// The reply, if any, is written.
    Next,
    /// The client waits for keys.
    Park(Park),
    /// The request has to wait until a pause is over, and comes again then.
    Paused,
}

/// Runs one request to its reply, which is appended to `out`; `session.depends_on` then covers it.
pub(crate) fn execute(
    server: &Server,
    session: &mut Session,
    request: Request<'_>,
    out: &mut Vec<u8>,
    now: u64,
) -> Step {
    let start = out.len();
    let step = match admit(server, session, request) {
        Ok(Admitted::Run(command)) => run(server, session, command, request, out, now),
        Ok(Admitted::Queue(command)) => {
            queue(session, command, request);
            Writer::new(out, session.protocol).simple("QUEUED");
            Step::Next
        }
        Ok(Admitted::Pause) => return Step::Paused,
        Err((command, refusal)) => {
            if let Some(transaction) = &mut session.transaction {
                transaction.refused = true;
            }
            server.stats.rejected(command, &refusal);
            Writer::new(out, session.protocol).error(&refusal);
            Step::Next
        }
    };
    match session.replies {
        Replies::On => {}
        Replies::Off => out.truncate(start),
        Replies::SkipThis => {
            out.truncate(start);
            session.replies = Replies::On;
        }
        Replies::SkipNext => {
            out.truncate(start);
            session.replies = Replies::SkipThis;
        }
    }
    step
}

enum Admitted {
    Run(&'static Command),
    Queue(&'static Command),
    Pause,
}

fn admit(
    server: &Server,
    session: &Session,
    request: Request<'_>,
) -> Result<Admitted, (Option<&'static Command>, Refusal)> {
    let command = TABLE.lookup(request).map_err(|refusal| (None, refusal))?;
    gate::check(server, session, command).map_err(|refusal| (Some(command), refusal))?;
    let queues = session.transaction.is_some() && !command.spec.traits.has(Traits::NOT_QUEUED);
    if gate::paused(server, session, command) {
        return Ok(Admitted::Pause);
    }
    Ok(if queues {
        Admitted::Queue(command)
    } else {
        Admitted::Run(command)
    })
}

fn queue(session: &mut Session, command: &'static Command, request: Request<'_>) {
    if let Some(transaction) = &mut session.transaction {
        transaction.push(command, request);
    }
}

fn run(
    server: &Server,
    session: &mut Session,
    command: &'static Command,
    request: Request<'_>,
    out: &mut Vec<u8>,
    now: u64,
) -> Step {
    let started = server.stats.started();
    session.client.note_command(command);
    let start = out.len();
    let mut alone = command.spec.traits.has(Traits::ALONE);
    loop {
        let access = if alone {
            server.store.alone()
        } else {
            server.store.shared()
        };
        let protocol = session.protocol;
        let db = session.db;
        let out_here = Writer::new(out, protocol);
        let mut cx = Cx {
            data: Data {
                server,
                access,
                out: out_here,
                now,
                db,
            },
            session,
            in_exec: false,
        };
        let result = run_in(&mut cx, command, request);
        let depends_on = cx.access.take_depends_on();
        let events = cx.access.take_events();
        cx.session.depends_on = cx.session.depends_on.max(depends_on);
        drop(cx);
        if matches!(result, Err(Halt::Alone)) {
            assert!(!alone, "a command that runs alone does not ask for it");
            out.truncate(start);
            alone = true;
            continue;
        }
        if !events.is_empty() {
            server.waiters.serve(server, &events, now);
        }
        return match result {
            Ok(Outcome::Park(park)) => {
                debug_assert_eq!(out.len(), start, "a command that waits has said nothing");
                Step::Park(park)
            }
            Ok(Outcome::Done) => {
                server.stats.finished(command, started, None);
                Step::Next
            }
            Err(halt) => {
                let refusal = refused(halt);
                out.truncate(start);
                Writer::new(out, session.protocol).error(&refusal);
                server.stats.finished(command, started, Some(&refusal));
                Step::Next
            }
        };
    }
}

/// Runs a command inside a context that exists already: EXEC's, or the one made for it.
pub(crate) fn run_in(
    cx: &mut Cx<'_>,
    command: &'static Command,
    request: Request<'_>,
) -> Result<Outcome, Halt> {
    let Body::Run(run) = command.spec.body else {
        let container = command.spec.name;
        return Err(Refusal::WrongArity {
            command: container.into(),
        }
        .into());
    };
    run(cx, &mut Args::new(request, command.depth))
}

/// The refusal of a command that had the keyspace to itself.
pub(crate) fn refused(halt: Halt) -> Refusal {
    match halt {
        Halt::Refused(refusal) => refusal,
        Halt::Alone => unreachable!("a command that runs alone does not ask for it"),
    }
}
