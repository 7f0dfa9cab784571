//! `CLIENT ID`, `CLIENT SETNAME name`, `CLIENT GETNAME`, `CLIENT SETINFO LIB-NAME name | LIB-VER
//! version`: who this connection is.
//!
//! Names are printable ASCII without spaces, so that a line of `CLIENT LIST` can be read by
//! machines. An empty one takes the name back.

use super::TRAITS;
use crate::command::{Access, Arg, Args, Body, Cx, Group, Halt, Outcome, Spec};
use crate::refusal::Refusal;

const EVERYWHERE: &[&str] = &["request_policy:all_nodes", "response_policy:all_succeeded"];

pub(super) static ID: Spec = Spec {
    name: "id",
    summary: "Returns the connection's number.",
    since: "5.0.0",
    complexity: "O(1)",
    group: Group::Connection,
    access: Access::Neither,
    traits: TRAITS,
    tips: &[],
    args: &[],
    body: Body::Run(id),
};

pub(super) static SETNAME: Spec = Spec {
    name: "setname",
    summary: "Gives the connection a name.",
    since: "2.6.9",
    complexity: "O(1)",
    group: Group::Connection,
    access: Access::Neither,
    traits: TRAITS,
    tips: EVERYWHERE,
    args: &[Arg::string("connection-name")],
    body: Body::Run(setname),
};

pub(super) static GETNAME: Spec = Spec {
    name: "getname",
    summary: "Returns the connection's name.",
    since: "2.6.9",
    complexity: "O(1)",
    group: Group::Connection,
    access: Access::Neither,
    traits: TRAITS,
    tips: &[],
    args: &[],
    body: Body::Run(getname),
};

pub(super) static SETINFO: Spec = Spec {
    name: "setinfo",
    summary: "Says which library speaks on the connection.",
    since: "7.2.0",
    complexity: "O(1)",
    group: Group::Connection,
    access: Access::Neither,
    traits: TRAITS,
    tips: EVERYWHERE,
    args: &[Arg::one_of(
        "attr",
        &[
            Arg::string("libname").token("LIB-NAME"),
            Arg::string("libver").token("LIB-VER"),
        ],
    )],
    body: Body::Run(setinfo),
};

fn id(cx: &mut Cx<'_>, _: &mut Args<'_>) -> Result<Outcome, Halt> {
    let id = cx.session.client.id;
    cx.out.int(id.cast_signed());
    Ok(Outcome::Done)
}

fn setname(cx: &mut Cx<'_>, args: &mut Args<'_>) -> Result<Outcome, Halt> {
    let name = name(args.word()?)?;
    set_name(cx, name);
    cx.out.simple("OK");
    Ok(Outcome::Done)
}

fn getname(cx: &mut Cx<'_>, _: &mut Args<'_>) -> Result<Outcome, Halt> {
    let Cx { data, session, .. } = cx;
    match &*session.client.said.lock().name {
        "" => data.out.null(),
        name => data.out.bulk(name.as_bytes()),
    }
    Ok(Outcome::Done)
}

fn setinfo(cx: &mut Cx<'_>, args: &mut Args<'_>) -> Result<Outcome, Halt> {
    let (option, value) = (args.word()?, args.word()?);
    let is = |token: &str| option.eq_ignore_ascii_case(token.as_bytes());
    let value = plain(value);
    let mut said = cx.session.client.said.lock();
    let (place, refusal) = if is("LIB-NAME") {
        let text = "ERR LIB-NAME cannot contain spaces, newlines or special characters.";
        (&mut said.lib_name, text)
    } else if is("LIB-VER") {
        let text = "ERR LIB-VER cannot contain spaces, newlines or special characters.";
        (&mut said.lib_ver, text)
    } else {
        let option = String::from_utf8_lossy(option);
        return Err(Refusal::quoting(format_args!("ERR Unrecognized option '{option}'")).into());
    };
    *place = value.ok_or(Refusal::Command(refusal))?.into();
    drop(said);
    cx.out.simple("OK");
    Ok(Outcome::Done)
}

/// A word that a line of `CLIENT LIST` can hold.
fn plain(word: &[u8]) -> Option<&str> {
    str::from_utf8(word)
        .ok()
        .filter(|text| text.bytes().all(|byte| byte.is_ascii_graphic()))
}

/// The name in a word, for this and for HELLO.
pub(in crate::command::connection) fn name(word: &[u8]) -> Result<&str, Refusal> {
    plain(word).ok_or(Refusal::Command(
        "ERR Client names cannot contain spaces, newlines or special characters.",
    ))
}

/// Names this connection, or takes its name back.
pub(in crate::command::connection) fn set_name(cx: &Cx<'_>, name: &str) {
    cx.session.client.said.lock().name = name.into();
}
