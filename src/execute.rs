//! From a request to its reply: lookup, gates, run, and serving whoever waited for what it did.

use std::sync::Arc;
use std::time::Instant;

use headwater_resp::{Request, Writer};
use headwater_store::{Cold, DataError, Loaded, Lsn};

use crate::clock;
use crate::command::{
    Access, Args, Body, Command, Cx, Data, Door, Halt, Lookups, Outcome, Park, Traits,
};
use crate::loading::Opened;
use crate::refusal::Refusal;
use crate::replication::feed::Feed;
use crate::server::Server;
use crate::session::Session;

pub(crate) mod gate;

/// What the connection does next.
pub(crate) enum Step {
    /// The reply, if any, is written.
    Next,
    /// The request has to wait until these blocks are in memory, and comes again then.
    Cold {
        lacks: Cold,
        /// What had been loaded for it before.
        has: Loaded,
    },
    /// The connection belongs to a replica from now on.
    Feed(Feed),
    /// The client waits for keys.
    Park(Park),
    /// The request has to wait until a pause is over, and comes again then.
    Paused,
}

/// What was loaded for a request that comes again; nothing the first time. Or why not.
pub(crate) type Warm = Result<Loaded, DataError>;

/// One round of requests on one connection: what has arrived, executed before anybody waits.
///
/// Pipelines repeat one command. So the round remembers the last one, which saves a lookup, and
/// settles accounts (the clock, the statistics) once for a stretch of the same command.
pub(crate) struct Round<'s> {
    server: &'s Server,
    /// The data as long as the round lasts; `None` while they are being loaded.
    opened: Option<Arc<Opened>>,
    /// The last command, and how often it ran in this stretch.
    last: Option<&'static Command>,
    calls: u32,
    /// What reading commands looked up in it.
    lookups: Lookups,
    /// When the stretch began.
    began: Instant,
    /// The same in milliseconds since 1970: the moment of the requests in it.
    now_ms: u64,
    /// A point of both clocks.
    origin: (Instant, u64),
}

/// The most requests that share one reading of the clock.
const STRETCH_MAX: u32 = 16;

impl<'s> Round<'s> {
    pub(crate) fn new(server: &'s Server) -> Self {
        let (began, now_ms) = (clock::instant(), clock::unix_ms());
        Self {
            server,
            opened: server.loading.opened(),
            last: None,
            calls: 0,
            lookups: Lookups::default(),
            began,
            now_ms,
            origin: (began, now_ms),
        }
    }

    /// The moment of the request that runs, in milliseconds since 1970.
    pub(crate) fn now(&self) -> u64 {
        self.now_ms
    }

    /// Lets the session know which life of the data it works with from now on. Says whether that
    /// is another than before.
    pub(crate) fn enter(&self, session: &mut Session) -> bool {
        let Some(opened) = &self.opened else {
            return false;
        };
        let commits = opened.commits();
        let known = session.commits.as_ref();
        if !known.is_some_and(|known| Arc::ptr_eq(known, &commits)) {
            session.commits = Some(Arc::clone(&commits));
        }
        let is_another = opened.life != session.life;
        if is_another {
            session.life = opened.life;
            session.depends_on = Lsn::ZERO;
        }
        is_another
    }

    /// Settles the accounts of the stretch, and begins another.
    fn settle(&mut self) {
        let Some(command) = self.last.filter(|_| self.calls > 0) else {
            return;
        };
        let now = clock::instant();
        let took = now.duration_since(self.began);
        self.server.stats.ran(command, self.calls, took);
        self.server.stats.looked_up(&self.lookups);
        self.lookups = Lookups::default();
        self.calls = 0;
        self.began = now;
        let (instant, ms) = self.origin;
        let since = now.duration_since(instant).as_millis();
        self.now_ms = ms.saturating_add(u64::try_from(since).unwrap_or(u64::MAX));
    }

    /// The command that a request names.
    fn lookup(&mut self, request: Request<'_>) -> Result<&'static Command, Refusal> {
        let last = self.last.filter(|last| last.answers_to(request));
        let command = match last {
            Some(last) => last,
            None => self.server.table.lookup(request)?,
        };
        if last.is_none() || self.calls == STRETCH_MAX {
            self.settle();
            self.last = Some(command);
        }
        Ok(command)
    }

    /// Runs one request to its reply, which is appended to `out`; `session.depends_on` then covers
    /// it. A request that comes again brings what was loaded for it.
    pub(crate) fn execute(
        &mut self,
        session: &mut Session,
        request: Request<'_>,
        warm: Warm,
        out: &mut Vec<u8>,
    ) -> Step {
        let (start, mut is_push) = (out.len(), false);
        let step = match self.admit(session, request) {
            Ok(Admitted::Run(command)) => {
                is_push = command.spec.traits.has(Traits::PUSHES);
                self.run(session, command, request, warm, out)
            }
            Ok(Admitted::Queue(command)) => {
                queue(session, command, request);
                Writer::new(out, session.protocol).simple("QUEUED");
                Step::Next
            }
            Ok(Admitted::Pause) => return Step::Paused,
            Err((command, refusal)) => {
                let refusal = session.refuse_in_transaction(command, refusal);
                self.server.stats.rejected(command, &refusal);
                Writer::new(out, session.protocol).error(&refusal);
                Step::Next
            }
        };
        if matches!(step, Step::Next) {
            session.end_request(out, start, is_push);
        }
        step
    }

    fn run(
        &mut self,
        session: &mut Session,
        command: &'static Command,
        request: Request<'_>,
        warm: Warm,
        out: &mut Vec<u8>,
    ) -> Step {
        session.client.note_command(command);
        let start = out.len();
        let (result, loaded) = match warm {
            Ok(loaded) => {
                let result = self.run_somehow(&loaded, session, command, request, out);
                (result, loaded)
            }
            Err(fault) => (Err(Halt::Unreadable(fault)), Loaded::default()),
        };
        match result {
            Ok(Outcome::Done) => {}
            Err(Halt::Cold(cold)) => {
                out.truncate(start);
                return Step::Cold {
                    lacks: cold,
                    has: loaded,
                };
            }
            Err(Halt::Held) => {
                out.truncate(start);
                return Step::Paused;
            }
            Ok(Outcome::Feed(feed)) => return Step::Feed(feed),
            Ok(Outcome::Park(park)) => {
                debug_assert_eq!(out.len(), start, "a command that waits has said nothing");
                return Step::Park(park);
            }
            Err(halt) => {
                let refusal = refused(halt);
                out.truncate(start);
                Writer::new(out, session.protocol).error(&refusal);
                self.server.stats.failed(command, &refusal);
            }
        }
        self.calls += 1;
        Step::Next
    }

    /// Runs a command beside others if that will do, else alone.
    fn run_somehow(
        &self,
        loaded: &Loaded,
        session: &mut Session,
        command: &'static Command,
        request: Request<'_>,
        out: &mut Vec<u8>,
    ) -> Result<Outcome, Halt> {
        let start = out.len();
        if !command.spec.traits.has(Traits::ALONE) {
            match self.run_with(false, loaded, session, command, request, out) {
                Err(Halt::Alone) => out.truncate(start),
                result => return result,
            }
        }
        self.run_with(true, loaded, session, command, request, out)
    }

    fn admit(
        &mut self,
        session: &Session,
        request: Request<'_>,
    ) -> Result<Admitted, (Option<&'static Command>, Refusal)> {
        let command = self.lookup(request).map_err(|refusal| (None, refusal))?;
        if !command.takes(request.len()) {
            let full_name = command.full_name.as_str().into();
            let refusal = Refusal::WrongArity { command: full_name };
            return Err((Some(command), refusal));
        }
        let asked = gate::Asked {
            server: self.server,
            has_data: self.opened.is_some(),
            session,
            command,
        };
        gate::check(&asked).map_err(|refusal| (Some(command), refusal))?;
        let queues = session.transaction.is_some() && !command.spec.traits.has(Traits::NOT_QUEUED);
        if gate::paused(self.server, session, command) {
            return Ok(Admitted::Pause);
        }
        Ok(if queues {
            Admitted::Queue(command)
        } else {
            Admitted::Run(command)
        })
    }

    /// Runs a command, and then whoever waited for what it did.
    fn run_with(
        &self,
        alone: bool,
        loaded: &Loaded,
        session: &mut Session,
        command: &'static Command,
        request: Request<'_>,
        out: &mut Vec<u8>,
    ) -> Result<Outcome, Halt> {
        let now = self.now_ms;
        let (db, protocol) = (session.db, session.protocol);
        let mut cx = Cx {
            data: Data {
                server: self.server,
                opened: self.opened.as_ref(),
                access: Door::of(self.opened.as_deref(), alone, loaded),
                out: Writer::new(out, protocol),
                now,
                db,
                lookups: Lookups::default(),
            },
            session,
            in_exec: false,
            posts: Vec::new(),
        };
        let result = run_in(&mut cx, command, request);
        let depends_on = cx.access.take_depends_on();
        cx.session.depends_on = cx.session.depends_on.max(depends_on);
        cx.session.adds |= cx.access.take_adds();
        let events = cx.access.take_events();
        let comes_again = matches!(result, Err(Halt::Alone | Halt::Cold(_) | Halt::Held));
        let posts = std::mem::take(&mut cx.posts);
        if !posts.is_empty() && !comes_again {
            self.server.pubsub.send(posts, &cx.terms());
        }
        if command.spec.access == Access::Read && !comes_again {
            self.lookups.add(&cx.lookups);
        }
        drop(cx);
        if let Some(opened) = &self.opened
            && !events.is_empty()
        {
            self.server.waiters.serve(self.server, opened, &events, now);
        }
        result
    }
}

impl Drop for Round<'_> {
    fn drop(&mut self) {
        self.settle();
    }
}

enum Admitted {
    Run(&'static Command),
    Queue(&'static Command),
    Pause,
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
    let (Body::Run(run) | Body::RunOrSubcommands(run, _)) = command.spec.body else {
        let container = command.spec.name;
        return Err(Refusal::WrongArity {
            command: container.into(),
        }
        .into());
    };
    run(cx, &mut Args::new(request, command.depth))
}

/// The refusal of a command that had the keyspace to itself and will not come again. The operator
/// hears of entries that cannot be read.
pub(crate) fn refused(halt: Halt) -> Refusal {
    match halt {
        Halt::Refused(refusal) => refusal,
        Halt::Unreadable(fault) => {
            tracing::error!("a client cannot have what it asks for: {fault}");
            Refusal::Unreadable
        }
        Halt::Alone => unreachable!("a command that runs alone does not ask for it"),
        Halt::Cold(_) | Halt::Held => unreachable!("whoever ran the command has seen to that"),
    }
}
