//! Everything that can refuse a command before it runs, in the order in which a client sees it.

use crate::command::{Access, Command, Traits};
use crate::refusal::Refusal;
use crate::server::Server;
use crate::session::Session;

/// Redis' order (`processCommand`): authentication, transactions, the disk.
const GATES: &[fn(&Server, &Session, &Command) -> Result<(), Refusal>] =
    &[authenticated, allowed_in_multi, disk_healthy];

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

/// A log that failed takes no more changes; one that is full is asked by each append, because what
/// frees room goes on.
fn disk_healthy(server: &Server, _: &Session, command: &Command) -> Result<(), Refusal> {
    if command.spec.access == Access::Write && server.store.log().poisoned().is_some() {
        return Err(Refusal::DiskBroken);
    }
    Ok(())
}

/// Whether `CLIENT PAUSE` holds this command back.
pub(crate) fn paused(server: &Server, session: &Session, command: &Command) -> bool {
    server.pause.holds(session, command)
}
