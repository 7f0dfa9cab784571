//! `MULTI`, `EXEC`, `DISCARD`, `WATCH`, `UNWATCH`: several commands as one.
//!
//! EXEC has the keyspace to itself and is one batch of the log: after a crash all of its changes
//! are there, or none.

use std::time::Duration;

use headwater_resp::{OwnedRequest, Request};
use headwater_store::Growth;

use crate::clock;
use crate::command::{
    Access, Arg, Args, Body, Command, Cx, Group, Halt, KeyUse, Outcome, Spec, Traits,
};
use crate::execute::{refused, run_in};
use crate::refusal::Refusal;
use crate::server::Server;
use crate::session::{Session, Transaction, Watched};

/// A command that waits for EXEC.
pub(crate) struct Queued {
    pub(crate) command: &'static Command,
    request: OwnedRequest,
}

impl Transaction {
    pub(crate) fn push(&mut self, command: &'static Command, request: Request<'_>) {
        self.bytes += request.wire_bytes();
        self.queued.push(Queued {
            command,
            request: request.to_owned(),
        });
    }

    /// Whether the transaction is to change anything.
    pub(crate) fn changes(&self) -> bool {
        let is_write = |queued: &Queued| queued.command.spec.access == Access::Write;
        self.queued.iter().any(is_write)
    }

    /// Whether a pause of writes holds the transaction back.
    pub(crate) fn is_held_with_writes(&self) -> bool {
        let mut queued = self.queued.iter();
        queued.any(|queued| queued.command.spec.is_held_with_writes())
    }

    /// Whether the transaction subscribes to anything, or ends that.
    fn subscribes(&self) -> bool {
        let mut queued = self.queued.iter();
        queued.any(|queued| queued.command.spec.traits.has(Traits::PUSHES))
    }

    /// Whether the transaction needs room, or may use what is kept for making room.
    fn growth(&self) -> Growth {
        let adds = self
            .queued
            .iter()
            .any(|queued| queued.command.spec.traits.has(Traits::DENY_OOM));
        if adds { Growth::Adds } else { Growth::Frees }
    }
}

const TRAITS: Traits = Traits::NO_SCRIPT
    .and(Traits::LOADING)
    .and(Traits::STALE)
    .and(Traits::FAST)
    .and(Traits::ALLOW_BUSY)
    .and(Traits::NOT_QUEUED);

pub(crate) static MULTI: Spec = Spec {
    name: "multi",
    summary: "Begins a transaction: commands are queued from here on.",
    since: "1.2.0",
    complexity: "O(1)",
    group: Group::Transactions,
    access: Access::Neither,
    traits: TRAITS,
    tips: &[],
    args: &[],
    body: Body::Run(multi),
};

pub(crate) static DISCARD: Spec = Spec {
    name: "discard",
    summary: "Forgets the queued commands and the watched keys.",
    since: "2.0.0",
    complexity: "O(N) for N queued commands.",
    group: Group::Transactions,
    access: Access::Neither,
    traits: TRAITS,
    tips: &[],
    args: &[],
    body: Body::Run(discard),
};

pub(crate) static EXEC: Spec = Spec {
    name: "exec",
    summary: "Runs the queued commands, all at once.",
    since: "1.2.0",
    complexity: "That of the queued commands.",
    group: Group::Transactions,
    access: Access::Neither,
    traits: Traits::NO_SCRIPT
        .and(Traits::LOADING)
        .and(Traits::STALE)
        .and(Traits::SKIP_SLOWLOG)
        .and(Traits::NOT_QUEUED)
        .and(Traits::ALONE),
    tips: &[],
    args: &[],
    body: Body::Run(exec),
};

pub(crate) static WATCH: Spec = Spec {
    name: "watch",
    summary: "Makes the next EXEC do nothing if one of these keys changes before it.",
    since: "2.2.0",
    complexity: "O(1) for each key.",
    group: Group::Transactions,
    access: Access::Neither,
    traits: TRAITS,
    tips: &[],
    args: &[Arg::key("key", KeyUse::READ).many()],
    body: Body::Run(watch),
};

pub(crate) static UNWATCH: Spec = Spec {
    name: "unwatch",
    summary: "Forgets the watched keys.",
    since: "2.2.0",
    complexity: "O(N) for N watched keys.",
    group: Group::Transactions,
    access: Access::Neither,
    traits: Traits::NO_SCRIPT
        .and(Traits::LOADING)
        .and(Traits::STALE)
        .and(Traits::FAST)
        .and(Traits::ALLOW_BUSY),
    tips: &[],
    args: &[],
    body: Body::Run(unwatch),
};

fn multi(cx: &mut Cx<'_>, _: &mut Args<'_>) -> Result<Outcome, Halt> {
    if cx.session.transaction.is_some() {
        return Err(Refusal::NestedMulti.into());
    }
    cx.session.transaction = Some(Transaction::default());
    cx.out.simple("OK");
    Ok(Outcome::Done)
}

fn discard(cx: &mut Cx<'_>, _: &mut Args<'_>) -> Result<Outcome, Halt> {
    if cx.session.transaction.take().is_none() {
        return Err(Refusal::DiscardWithoutMulti.into());
    }
    cx.session.watched.clear();
    cx.out.simple("OK");
    Ok(Outcome::Done)
}

fn exec(cx: &mut Cx<'_>, _: &mut Args<'_>) -> Result<Outcome, Halt> {
    let transaction = cx
        .session
        .transaction
        .take()
        .ok_or(Refusal::ExecWithoutMulti)?;
    let watched = std::mem::take(&mut cx.session.watched);
    if transaction.refused {
        return Err(Refusal::ExecAbort.into());
    }
    if !watched.iter().all(|watched| is_unchanged(cx, watched)) {
        cx.out.null_array();
        return Ok(Outcome::Done);
    }
    let changes = transaction.changes();
    if changes {
        let bytes = transaction.bytes as u64;
        cx.access.begin_batch(transaction.growth(), bytes)?;
    }
    let (db, protocol) = (cx.session.db, cx.session.protocol);
    let names = transaction.subscribes().then(|| cx.session.subscriptions());
    match run_all(cx, &transaction.queued) {
        Ok(ran) => ran.into_iter().for_each(|ran| ran.count(cx.server)),
        Err(halt) => {
            // It comes again, and finds everything as it was.
            cx.session.transaction = Some(transaction);
            cx.session.watched = watched;
            (cx.session.db, cx.session.protocol) = (db, protocol);
            if let Some(names) = names {
                cx.session.restore(&names);
            }
            return Err(halt);
        }
    }
    if changes {
        cx.access.end_batch();
    }
    Ok(Outcome::Done)
}

/// A queued command that ran.
struct Ran {
    command: &'static Command,
    took: Duration,
    refusal: Option<Refusal>,
}

impl Ran {
    fn count(self, server: &Server) {
        if let Some(refusal) = &self.refusal {
            server.stats.failed(self.command, refusal);
        }
        server.stats.ran(self.command, 1, self.took);
    }
}

/// Runs the queued commands and writes their replies.
///
/// # Errors
///
/// Blocks are missing; nothing has been changed then.
fn run_all(cx: &mut Cx<'_>, queued: &[Queued]) -> Result<Vec<Ran>, Halt> {
    cx.in_exec = true;
    cx.out.array(queued.len());
    let mut all = Vec::with_capacity(queued.len());
    for Queued { command, request } in queued {
        let start = cx.out.len();
        let began = clock::instant();
        let refusal = match run_in(cx, command, request.as_request()) {
            Ok(Outcome::Done) => None,
            // Inside a transaction nothing waits, and nobody becomes a replica.
            Ok(Outcome::Park(_) | Outcome::Feed(_)) => {
                cx.out.null_array();
                None
            }
            Err(Halt::Cold(cold)) => return Err(Halt::Cold(cold)),
            Err(halt) => {
                let refusal = refused(halt);
                cx.out.truncate(start);
                cx.out.error(&refusal);
                Some(refusal)
            }
        };
        all.push(Ran {
            command,
            took: began.elapsed(),
            refusal,
        });
        // SELECT and HELLO hold for the commands behind them.
        cx.data.db = cx.session.db;
        cx.data.out.set_protocol(cx.session.protocol);
    }
    Ok(all)
}

fn watch(cx: &mut Cx<'_>, args: &mut Args<'_>) -> Result<Outcome, Halt> {
    if cx.session.transaction.is_some() {
        return Err(Refusal::WatchInMulti.into());
    }
    for key in args.rest() {
        let db = cx.db;
        let known = |watched: &Watched| watched.db == db && *watched.key == *key;
        if !cx.session.watched.iter().any(known) {
            let was = version_at(cx, db, key);
            let life = life(cx);
            cx.session.watched.push(Watched {
                life,
                db,
                key: key.into(),
                was,
            });
        }
    }
    cx.out.simple("OK");
    Ok(Outcome::Done)
}

fn unwatch(cx: &mut Cx<'_>, _: &mut Args<'_>) -> Result<Outcome, Halt> {
    cx.session.watched.clear();
    cx.out.simple("OK");
    Ok(Outcome::Done)
}

fn version_at(cx: &Cx<'_>, db: u8, key: &[u8]) -> Option<(headwater_store::StreamNo, u64)> {
    // There is nothing while the data are loaded.
    let stream = cx.access.opened()?.stream(db, key, cx.now)?;
    Some((stream.number(), stream.version()))
}

fn is_unchanged(cx: &Cx<'_>, watched: &Watched) -> bool {
    life(cx) == watched.life && version_at(cx, watched.db, &watched.key) == watched.was
}

/// Which life of the data the command works with; 0 while they are loaded.
fn life(cx: &Cx<'_>) -> u64 {
    cx.opened.map_or(0, |opened| opened.life)
}

impl Session {
    /// Notes that a request was refused before it could run or be queued, and returns what its
    /// client is told: EXEC will discard the transaction, and a refused EXEC does.
    pub(crate) fn refuse_in_transaction(
        &mut self,
        command: Option<&Command>,
        refusal: Refusal,
    ) -> Refusal {
        if command.is_some_and(|command| std::ptr::eq(command.spec, &EXEC)) {
            self.forget_transaction();
            let text = refusal.to_string();
            let cause = text.strip_prefix("ERR ").unwrap_or(&text);
            return Refusal::quoting(format_args!(
                "EXECABORT Transaction discarded because of: {cause}"
            ));
        }
        if let Some(transaction) = &mut self.transaction {
            transaction.refused = true;
        }
        refusal
    }

    /// Forgets the transaction and the watched keys, as RESET does.
    pub(crate) fn forget_transaction(&mut self) {
        self.transaction = None;
        self.watched.clear();
    }
}
