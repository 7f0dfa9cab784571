//! From a request to its reply: lookup, gates, run, and serving whoever waited for what it did.

use std::time::Instant;

use headwater_resp::{Request, Writer};

use crate::clock;
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

/// One round of requests on one connection: what has arrived, executed before anybody waits.
///
/// The clock is read once a request: where one ends, the next begins.
pub(crate) struct Round<'s> {
    server: &'s Server,
    /// The wall clock when the round began, in milliseconds since 1970.
    began_ms: u64,
    began: Instant,
    /// When the last request ended.
    ended: Instant,
}

impl<'s> Round<'s> {
    pub(crate) fn new(server: &'s Server) -> Self {
        let began = clock::instant();
        Self {
            server,
            began_ms: clock::unix_ms(),
            began,
            ended: began,
        }
    }

    /// The moment of the request that runs, in milliseconds since 1970.
    fn now(&self) -> u64 {
        let since = self.ended.duration_since(self.began).as_millis();
        self.began_ms
            .saturating_add(u64::try_from(since).unwrap_or(u64::MAX))
    }

    /// Runs one request to its reply, which is appended to `out`; `session.depends_on` then covers
    /// it.
    pub(crate) fn execute(
        &mut self,
        session: &mut Session,
        request: Request<'_>,
        out: &mut Vec<u8>,
    ) -> Step {
        let start = out.len();
        let step = match admit(self.server, session, request) {
            Ok(Admitted::Run(command)) => self.run(session, command, request, out),
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
                self.server.stats.rejected(command, &refusal);
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

    fn run(
        &mut self,
        session: &mut Session,
        command: &'static Command,
        request: Request<'_>,
        out: &mut Vec<u8>,
    ) -> Step {
        session.client.note_command(command);
        let start = out.len();
        let mut result = Err(Halt::Alone);
        if !command.spec.traits.has(Traits::ALONE) {
            result = self.run_with(false, session, command, request, out);
        }
        if let Err(Halt::Alone) = result {
            out.truncate(start);
            result = self.run_with(true, session, command, request, out);
        }
        let refusal = match result {
            Ok(Outcome::Done) => None,
            Ok(Outcome::Park(park)) => {
                debug_assert_eq!(out.len(), start, "a command that waits has said nothing");
                return Step::Park(park);
            }
            Err(halt) => {
                let refusal = refused(halt);
                out.truncate(start);
                Writer::new(out, session.protocol).error(&refusal);
                Some(refusal)
            }
        };
        let began = std::mem::replace(&mut self.ended, clock::instant());
        let took = self.ended.duration_since(began);
        self.server.stats.finished(command, took, refusal.as_ref());
        Step::Next
    }

    /// Runs a command, and then whoever waited for what it did.
    fn run_with(
        &self,
        alone: bool,
        session: &mut Session,
        command: &'static Command,
        request: Request<'_>,
        out: &mut Vec<u8>,
    ) -> Result<Outcome, Halt> {
        let store = &self.server.store;
        let access = if alone { store.alone() } else { store.shared() };
        let now = self.now();
        let (db, protocol) = (session.db, session.protocol);
        let mut cx = Cx {
            data: Data {
                server: self.server,
                access,
                out: Writer::new(out, protocol),
                now,
                db,
            },
            session,
            in_exec: false,
        };
        let result = run_in(&mut cx, command, request);
        let depends_on = cx.access.take_depends_on();
        cx.session.depends_on = cx.session.depends_on.max(depends_on);
        let events = cx.access.take_events();
        drop(cx);
        if !events.is_empty() {
            self.server.waiters.serve(self.server, &events, now);
        }
        result
    }
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
