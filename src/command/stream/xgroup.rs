//! `XGROUP CREATE | SETID | DESTROY | CREATECONSUMER | DELCONSUMER | HELP`: consumer groups.

use headwater_store::{Change, StreamId, StreamMut};

use crate::command::help::help;
use crate::command::stream::range::parse_end_point;
use crate::command::{Access, Arg, Args, Body, Cx, Group, Halt, KeyUse, Outcome, Spec, Traits};
use crate::refusal::Refusal;

pub(crate) static XGROUP: Spec = Spec {
    name: "xgroup",
    summary: "Creates, changes and removes groups and their consumers.",
    since: "5.0.0",
    complexity: "That of the subcommand.",
    group: Group::Stream,
    access: Access::Neither,
    traits: Traits::NONE,
    tips: &[],
    args: &[],
    body: Body::Subcommands(&[
        &CREATE,
        &CREATECONSUMER,
        &DELCONSUMER,
        &DESTROY,
        &HELP,
        &SETID,
    ]),
};

const ID_SELECTOR: Arg = Arg::one_of(
    "id-selector",
    &[Arg::string("id"), Arg::flag("new-id", "$")],
);

const ENTRIES_READ: Arg = Arg::int("entriesread")
    .display("entries-read")
    .token("ENTRIESREAD")
    .optional();

static CREATE: Spec = Spec {
    name: "create",
    summary: "Creates a group of consumers.",
    since: "5.0.0",
    complexity: "O(1)",
    group: Group::Stream,
    access: Access::Write,
    traits: Traits::DENY_OOM,
    tips: &[],
    args: &[
        Arg::key("key", KeyUse::INSERT),
        Arg::string("group"),
        ID_SELECTOR,
        Arg::flag("mkstream", "MKSTREAM").optional(),
        ENTRIES_READ,
    ],
    body: Body::Run(create),
};

static SETID: Spec = Spec {
    name: "setid",
    summary: "Sets the ID after which a group reads on.",
    since: "5.0.0",
    complexity: "O(1)",
    group: Group::Stream,
    access: Access::Write,
    traits: Traits::NONE,
    tips: &[],
    args: &[
        Arg::key("key", KeyUse::UPDATE),
        Arg::string("group"),
        ID_SELECTOR,
        ENTRIES_READ,
    ],
    body: Body::Run(set_id),
};

static DESTROY: Spec = Spec {
    name: "destroy",
    summary: "Removes a group, with its consumers and what is pending.",
    since: "5.0.0",
    complexity: "O(N) for N pending entries.",
    group: Group::Stream,
    access: Access::Write,
    traits: Traits::NONE,
    tips: &[],
    args: &[Arg::key("key", KeyUse::DELETE), Arg::string("group")],
    body: Body::Run(destroy),
};

static CREATECONSUMER: Spec = Spec {
    name: "createconsumer",
    summary: "Creates a consumer of a group.",
    since: "6.2.0",
    complexity: "O(1)",
    group: Group::Stream,
    access: Access::Write,
    traits: Traits::DENY_OOM,
    tips: &[],
    args: &[
        Arg::key("key", KeyUse::INSERT),
        Arg::string("group"),
        Arg::string("consumer"),
    ],
    body: Body::Run(create_consumer),
};

static DELCONSUMER: Spec = Spec {
    name: "delconsumer",
    summary: "Removes a consumer, and what is pending for it.",
    since: "5.0.0",
    complexity: "O(N) for N pending entries of the group.",
    group: Group::Stream,
    access: Access::Write,
    traits: Traits::NONE,
    tips: &[],
    args: &[
        Arg::key("key", KeyUse::DELETE),
        Arg::string("group"),
        Arg::string("consumer"),
    ],
    body: Body::Run(delete_consumer),
};

static HELP: Spec = help(Group::Stream, "5.0.0");

/// The options behind the ID.
struct Options {
    creates: bool,
    entries_read: Option<u64>,
}

impl Options {
    fn parse(args: &mut Args<'_>, subcommand: &[u8], may_create: bool) -> Result<Self, Refusal> {
        let mut options = Self {
            creates: false,
            entries_read: None,
        };
        // Redis counts words before it reads them.
        let most = if may_create { 3 } else { 2 };
        let too_many = args.left() > most;
        while !args.is_empty() {
            if may_create && !too_many && args.eat("MKSTREAM") {
                options.creates = true;
            } else if !too_many && args.eat_with("ENTRIESREAD", 1) {
                options.entries_read = match args.int()? {
                    -1 => None,
                    count => Some(u64::try_from(count).map_err(|_below| {
                        Refusal::Command("ERR value for ENTRIESREAD must be positive or -1")
                    })?),
                };
            } else {
                return Err(Refusal::UnknownSubcommandOrArity {
                    subcommand: String::from_utf8_lossy(subcommand).into(),
                    container: "XGROUP",
                });
            }
        }
        Ok(options)
    }
}

const KEY_REQUIRED: Refusal = Refusal::Command(
    "ERR The XGROUP subcommand requires the key to exist. Note that for CREATE you may want to \
     use the MKSTREAM option to create an empty stream automatically.",
);

fn create(cx: &mut Cx<'_>, args: &mut Args<'_>) -> Result<Outcome, Halt> {
    let subcommand = args.request().word(1);
    let (key, name, id) = (args.word()?, args.word()?, args.word()?);
    let options = Options::parse(args, subcommand, true)?;
    let exists = cx.has(key);
    if !exists && !options.creates {
        return Err(KEY_REQUIRED.into());
    }
    // The ID is read before anything is created.
    let id = match id {
        b"$" => None,
        id => Some(StreamId::parse(id, 0).ok_or(Refusal::InvalidId)?),
    };
    if !exists {
        cx.create(key, name.len())?;
    }
    let mut stream = cx.stream(key).ok_or(KEY_REQUIRED)?;
    if stream.group(name).is_some() {
        return Err(Refusal::BusyGroup.into());
    }
    let last_delivered = id.unwrap_or(stream.last_id());
    let entries_read = options
        .entries_read
        .map(|count| count.min(stream.entries_added()));
    stream.commit(&[Change::GroupCreated {
        group: name,
        last_delivered,
        entries_read,
    }])?;
    drop(stream);
    cx.out.simple("OK");
    Ok(Outcome::Done)
}

fn set_id(cx: &mut Cx<'_>, args: &mut Args<'_>) -> Result<Outcome, Halt> {
    let subcommand = args.request().word(1);
    let (key, name, id) = (args.word()?, args.word()?, args.word()?);
    let options = Options::parse(args, subcommand, false)?;
    let mut stream = with_group(cx, key, name)?;
    let last_delivered = match id {
        b"$" => stream.last_id(),
        id => parse_end_point(id, 0)?,
    };
    let entries_read = options
        .entries_read
        .map(|count| count.min(stream.entries_added()));
    stream.commit(&[Change::GroupPositioned {
        group: name,
        last_delivered,
        entries_read,
    }])?;
    drop(stream);
    cx.out.simple("OK");
    Ok(Outcome::Done)
}

fn destroy(cx: &mut Cx<'_>, args: &mut Args<'_>) -> Result<Outcome, Halt> {
    let (key, name) = (args.word()?, args.word()?);
    let mut stream = cx.stream(key).ok_or(KEY_REQUIRED)?;
    let exists = stream.group(name).is_some();
    if exists {
        stream.commit(&[Change::GroupDestroyed { group: name }])?;
    }
    drop(stream);
    cx.out.int(i64::from(exists));
    Ok(Outcome::Done)
}

fn create_consumer(cx: &mut Cx<'_>, args: &mut Args<'_>) -> Result<Outcome, Halt> {
    let (key, name, consumer) = (args.word()?, args.word()?, args.word()?);
    let at = cx.now;
    let mut stream = with_group(cx, key, name)?;
    let is_new = stream
        .group(name)
        .is_some_and(|group| group.consumer(consumer).is_none());
    if is_new {
        stream.commit(&[Change::ConsumerCreated {
            group: name,
            consumer,
            at,
        }])?;
    }
    drop(stream);
    cx.out.int(i64::from(is_new));
    Ok(Outcome::Done)
}

fn delete_consumer(cx: &mut Cx<'_>, args: &mut Args<'_>) -> Result<Outcome, Halt> {
    let (key, name, consumer) = (args.word()?, args.word()?, args.word()?);
    let mut stream = with_group(cx, key, name)?;
    let pending = stream
        .group(name)
        .and_then(|group| group.consumer(consumer))
        .map(headwater_store::Consumer::pending);
    if pending.is_some() {
        stream.commit(&[Change::ConsumerDeleted {
            group: name,
            consumer,
        }])?;
    }
    drop(stream);
    cx.out.int(pending.unwrap_or(0).cast_signed());
    Ok(Outcome::Done)
}

/// The stream at a key that has the group.
fn with_group<'c>(cx: &'c Cx<'_>, key: &[u8], name: &[u8]) -> Result<StreamMut<'c>, Refusal> {
    let stream = cx.stream(key).ok_or(KEY_REQUIRED)?;
    if stream.group(name).is_none() {
        return Err(Refusal::no_group_for_key(key, name));
    }
    Ok(stream)
}
