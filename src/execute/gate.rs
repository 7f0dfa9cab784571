//! Everything that can refuse a command before it runs, in the order in which a client sees it.

use crate::command::{Access, Command, Traits};
use crate::config;
use crate::refusal::Refusal;
use crate::server::Server;
use crate::session::{Session, Transaction};

/// What a gate looks at.
pub(crate) struct Asked<'a> {
    pub(crate) server: &'a Server,
    /// Whether the data are there for as long as the command runs.
    pub(crate) has_data: bool,
    pub(crate) session: &'a Session,
    pub(crate) command: &'a Command,
}

/// Something that can refuse.
type Gate = fn(&Asked<'_>) -> Result<(), Refusal>;

/// Redis' order (`processCommand`). Whether the disk takes changes is asked by each append: a full
/// one still takes what frees room. So only `PING` is refused for its sake, by which sentinels tell
/// who is well.
const GATES: &[Gate] = &[
    authenticated,
    allowed_in_multi,
    well,
    enough_replicas,
    writable,
    about_messages,
    fresh,
    loaded,
];

/// A monitor has no data, follows nobody, and no one queues commands.
const GATES_OF_A_MONITOR: &[Gate] = &[authenticated, about_messages];

impl Asked<'_> {
    fn has(&self, traits: Traits) -> bool {
        self.command.spec.traits.has(traits)
    }

    /// Whether it is to change anything: itself, or by what was queued before it.
    fn writes(&self) -> bool {
        let transaction = self.session.transaction.as_ref();
        let changes = || transaction.is_some_and(Transaction::changes);
        self.command.spec.access == Access::Write || self.command.spec.name == "exec" && changes()
    }
}

/// Asks every gate; the first refusal counts.
pub(crate) fn check(asked: &Asked<'_>) -> Result<(), Refusal> {
    let gates = match asked.server.sentinel {
        Some(_) => GATES_OF_A_MONITOR,
        None => GATES,
    };
    gates.iter().try_for_each(|gate| gate(asked))
}

fn authenticated(asked: &Asked<'_>) -> Result<(), Refusal> {
    if asked.session.authenticated || asked.has(Traits::NO_AUTH) {
        return Ok(());
    }
    Err(Refusal::NoAuth)
}

fn allowed_in_multi(asked: &Asked<'_>) -> Result<(), Refusal> {
    if asked.session.transaction.is_some() && asked.has(Traits::NO_MULTI) {
        return Err(Refusal::NotInMulti);
    }
    Ok(())
}

/// A log that has failed ends the server, soon. A full disk is no reason for another server to lead
/// unless the operator says so: its replicas have the same data, and as a rule the same disk.
fn well(asked: &Asked<'_>) -> Result<(), Refusal> {
    if asked.command.spec.name != "ping" {
        return Ok(());
    }
    let server = asked.server;
    let Some(opened) = server.loading.opened() else {
        return Ok(());
    };
    let log = opened.store.log();
    if log.poisoned().is_some() {
        return Err(Refusal::DiskBroken);
    }
    if server.config.flag(config::DISK_FULL_FAILS_OVER) && log.is_full() {
        return Err(Refusal::DiskFull);
    }
    Ok(())
}

fn enough_replicas(asked: &Asked<'_>) -> Result<(), Refusal> {
    if !asked.writes() {
        return Ok(());
    }
    asked
        .server
        .replication
        .has_enough_replicas(&asked.server.config)
}

fn writable(asked: &Asked<'_>) -> Result<(), Refusal> {
    if asked.server.replication.follows() && asked.writes() {
        return Err(Refusal::ReadOnly);
    }
    Ok(())
}

/// What a subscriber hears in RESP2 could be taken for a reply.
fn about_messages(asked: &Asked<'_>) -> Result<(), Refusal> {
    if asked.session.hears_messages_only() && !asked.has(Traits::SUBSCRIBED) {
        let command = asked.command.full_name.as_str().into();
        return Err(Refusal::Subscribed { command });
    }
    Ok(())
}

fn fresh(asked: &Asked<'_>) -> Result<(), Refusal> {
    let server = asked.server;
    if asked.has(Traits::STALE)
        || server.replication.is_fresh()
        || server.config.flag(config::REPLICA_SERVE_STALE_DATA)
    {
        return Ok(());
    }
    Err(Refusal::MasterDown)
}

fn loaded(asked: &Asked<'_>) -> Result<(), Refusal> {
    if asked.has_data || asked.has(Traits::LOADING) {
        return Ok(());
    }
    Err(Refusal::Loading)
}

/// Whether `CLIENT PAUSE` holds this command back.
pub(crate) fn paused(server: &Server, session: &Session, command: &Command) -> bool {
    server.pause.holds(session, command)
}
