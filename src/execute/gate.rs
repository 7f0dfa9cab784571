//! Everything that can refuse a command before it runs, in the order in which a client sees it.

use crate::command::{Command, Traits};
use crate::refusal::Refusal;
use crate::server::Server;
use crate::session::Session;

/// Something that can refuse.
type Gate = fn(&Server, &Session, &Command) -> Result<(), Refusal>;

/// Redis' order (`processCommand`). Whether the disk takes changes is asked by each append: a full
/// one still takes what frees room.
const GATES: &[Gate] = &[authenticated, allowed_in_multi, loaded];

/// Asks every gate; the first refusal counts.
pub(crate) fn check(server: &Server, session: &Session, command: &Command) -> Result<(), Refusal> {
    GATES
        .iter()
        .try_for_each(|gate| gate(server, session, command))
}

fn authenticated(_: &Server, session: &Session, command: &Command) -> Result<(), Refusal> {
    if session.authenticated || command.spec.traits.has(Traits::NO_AUTH) {
        return Ok(());
    }
    Err(Refusal::NoAuth)
}

fn allowed_in_multi(_: &Server, session: &Session, command: &Command) -> Result<(), Refusal> {
    if session.transaction.is_some() && command.spec.traits.has(Traits::NO_MULTI) {
        return Err(Refusal::NotInMulti);
    }
    Ok(())
}

fn loaded(server: &Server, _: &Session, command: &Command) -> Result<(), Refusal> {
    if server.loading.opened().is_some() || command.spec.traits.has(Traits::LOADING) {
        return Ok(());
    }
    Err(Refusal::Loading)
}

/// Whether `CLIENT PAUSE` holds this command back.
pub(crate) fn paused(server: &Server, session: &Session, command: &Command) -> bool {
    server.pause.holds(session, command)
}
