//! `AUTH [username] password`: who is there.

use crate::command::{Access, Arg, Args, Body, Cx, Group, Halt, Outcome, Spec, Traits};
use crate::config;
use crate::refusal::Refusal;

pub(crate) static AUTH: Spec = Spec {
    name: "auth",
    summary: "Says who is there, and proves it with a password.",
    since: "1.0.0",
    complexity: "O(1)",
    group: Group::Connection,
    access: Access::Neither,
    traits: Traits::NO_AUTH
        .and(Traits::NO_SCRIPT)
        .and(Traits::LOADING)
        .and(Traits::STALE)
        .and(Traits::FAST)
        .and(Traits::ALLOW_BUSY),
    tips: &[],
    args: &[
        Arg::string("username").since("6.0.0").optional(),
        Arg::string("password"),
    ],
    body: Body::Run(run),
};

fn run(cx: &mut Cx<'_>, args: &mut Args<'_>) -> Result<Outcome, Halt> {
    let first = args.word()?;
    let (user, password) = match args.peek() {
        Some(password) => {
            args.skip(1);
            (Some(first), password)
        }
        None => (None, first),
    };
    args.finish()?;
    if user.is_none() && cx.server.config.text(config::REQUIREPASS).is_empty() {
        return Err(Refusal::AuthNotConfigured.into());
    }
    if !check(cx, user.unwrap_or(DEFAULT_USER), password) {
        return Err(Refusal::WrongPass.into());
    }
    cx.session.authenticated = true;
    cx.out.simple("OK");
    Ok(Outcome::Done)
}

/// The only user there is.
pub(crate) const DEFAULT_USER: &[u8] = b"default";

/// Whether the password is the user's. Without `requirepass`, any password is.
pub(crate) fn check(cx: &Cx<'_>, user: &[u8], password: &[u8]) -> bool {
    let required = cx.server.config.text(config::REQUIREPASS);
    user == DEFAULT_USER && (required.is_empty() || same_text(required.as_bytes(), password))
}

/// Compares in a time that does not tell how much was right.
fn same_text(required: &[u8], given: &[u8]) -> bool {
    let differences = required
        .iter()
        .zip(given)
        .fold(0, |differences, (a, b)| differences | (a ^ b));
    required.len() == given.len() && differences == 0
}
