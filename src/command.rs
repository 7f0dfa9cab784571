//! The commands: one table of values, and what a command gets and gives.
//!
//! Invariants: a command never waits, never touches a socket and never reads the clock; those are
//! the connection's. Whatever reads the table (lookup, arity, keys, `COMMAND`, statistics) is a
//! fold over [`COMMANDS`].

use std::cell::Cell;
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, LazyLock};

use foldhash::HashMap;
use headwater_resp::{Request, Writer};
use headwater_store::{Access as StoreAccess, AppendError, Growth, Lsn, NodeLimits, StreamMut};

use crate::config;
use crate::refusal::Refusal;
use crate::server::Server;
use crate::session::Session;

mod args;
mod connection;
mod describe;
mod facts;
mod help;
mod keys;
mod server;
pub(crate) mod spec;
mod stream;
mod transaction;

pub(crate) use args::{Args, parse_int, parse_uint};
pub(crate) use describe::describe;
pub(crate) use spec::{Access, Arg, Body, Group, KeyUse, Kind, Spec, Traits};
pub(crate) use transaction::Queued;

/// Every command, sorted by name.
pub(crate) static COMMANDS: &[&Spec] = &[
    &connection::AUTH,
    &connection::CLIENT,
    &server::COMMAND,
    &server::CONFIG,
    &keys::COPY,
    &keys::DBSIZE,
    &keys::DEL,
    &transaction::DISCARD,
    &connection::ECHO,
    &transaction::EXEC,
    &keys::EXISTS,
    &keys::EXPIRE,
    &keys::EXPIREAT,
    &keys::EXPIRETIME,
    &keys::FLUSHALL,
    &keys::FLUSHDB,
    &connection::HELLO,
    &server::INFO,
    &keys::KEYS,
    &server::LASTSAVE,
    &keys::MOVE,
    &transaction::MULTI,
    &keys::OBJECT,
    &keys::PERSIST,
    &keys::PEXPIRE,
    &keys::PEXPIREAT,
    &keys::PEXPIRETIME,
    &connection::PING,
    &keys::PTTL,
    &connection::QUIT,
    &keys::RANDOMKEY,
    &keys::RENAME,
    &keys::RENAMENX,
    &connection::RESET,
    &server::ROLE,
    &keys::SCAN,
    &connection::SELECT,
    &server::SHUTDOWN,
    &keys::SWAPDB,
    &server::TIME,
    &keys::TOUCH,
    &keys::TTL,
    &keys::TYPE,
    &keys::UNLINK,
    &transaction::UNWATCH,
    &server::WAIT,
    &server::WAITAOF,
    &transaction::WATCH,
    &stream::XACK,
    &stream::XADD,
    &stream::XAUTOCLAIM,
    &stream::XCLAIM,
    &stream::XDEL,
    &stream::XGROUP,
    &stream::XINFO,
    &stream::XLEN,
    &stream::XPENDING,
    &stream::XRANGE,
    &stream::XREAD,
    &stream::XREADGROUP,
    &stream::XREVRANGE,
    &stream::XSETID,
    &stream::XTRIM,
];

/// What a data command works with: the store, the moment, and the place for its reply.
pub(crate) struct Data<'a> {
    pub(crate) server: &'a Server,
    pub(crate) access: StoreAccess<'a>,
    pub(crate) out: Writer<'a>,
    /// The moment of the command, in milliseconds since 1970; the same throughout a transaction.
    pub(crate) now: u64,
    /// The database that the client has selected.
    pub(crate) db: u8,
    pub(crate) lookups: Lookups,
}

/// How many keys were looked up.
#[derive(Default)]
pub(crate) struct Lookups {
    pub(crate) hits: Cell<u64>,
    pub(crate) misses: Cell<u64>,
}

impl Lookups {
    pub(crate) fn add(&self, other: &Self) {
        self.hits.update(|hits| hits + other.hits.get());
        self.misses.update(|misses| misses + other.misses.get());
    }

    fn note(&self, found: bool) {
        let counter = if found { &self.hits } else { &self.misses };
        counter.update(|count| count + 1);
    }
}

/// What a command works with: the data and the session that it was sent in.
pub(crate) struct Cx<'a> {
    pub(crate) data: Data<'a>,
    pub(crate) session: &'a mut Session,
    /// Whether EXEC runs it: it may not wait then.
    pub(crate) in_exec: bool,
}

impl<'a> Deref for Cx<'a> {
    type Target = Data<'a>;

    fn deref(&self) -> &Data<'a> {
        &self.data
    }
}

impl<'a> DerefMut for Cx<'a> {
    fn deref_mut(&mut self) -> &mut Data<'a> {
        &mut self.data
    }
}

/// How a command ended that was not refused.
pub(crate) enum Outcome {
    /// The reply is written.
    Done,
    /// Nothing to say yet.
    Park(Park),
}

/// A command that waits.
pub(crate) struct Park {
    /// What to wait for, each once.
    pub(crate) keys: Vec<Arc<[u8]>>,
    /// The consumer group in whose name it reads. A key's new entry serves one reader of a group.
    pub(crate) group: Option<Box<[u8]>>,
    /// How long, in milliseconds; zero is for ever.
    pub(crate) timeout_ms: u64,
    /// The command with everything resolved that is resolved once. Runs again after each change.
    pub(crate) again: Again,
    /// Runs again, too, once everything below is durable.
    pub(crate) durable: Option<Lsn>,
    /// What to say when the time is up.
    pub(crate) at_last: AtLast,
}

impl Park {
    /// Waits for keys, and has a null array at last.
    pub(crate) fn for_keys(
        keys: Vec<Arc<[u8]>>,
        group: Option<Box<[u8]>>,
        timeout_ms: u64,
        again: Again,
    ) -> Self {
        Self {
            keys,
            group,
            timeout_ms,
            again,
            durable: None,
            at_last: Box::new(nothing),
        }
    }

    /// Waits for no key.
    pub(crate) fn idle(
        timeout_ms: u64,
        again: impl FnMut(&mut Data<'_>) -> Result<Served, Halt> + Send + 'static,
    ) -> Self {
        Self::for_keys(Vec::new(), None, timeout_ms, Box::new(again))
    }

    pub(crate) fn until_durable(self, lsn: Lsn) -> Self {
        Self {
            durable: Some(lsn),
            ..self
        }
    }

    pub(crate) fn or_at_last(self, at_last: impl FnOnce(&mut Writer<'_>) + Send + 'static) -> Self {
        Self {
            at_last: Box::new(at_last),
            ..self
        }
    }
}

/// What somebody who waited for a key in vain is told.
fn nothing(out: &mut Writer<'_>) {
    out.null_array();
}

/// Writes the reply of a command whose time is up.
pub(crate) type AtLast = Box<dyn FnOnce(&mut Writer<'_>) + Send>;

/// Looks again whether there is something to say.
pub(crate) type Again = Box<dyn FnMut(&mut Data<'_>) -> Result<Served, Halt> + Send>;

/// Whether a command that waits has found something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Served {
    /// The reply is written.
    Yes,
    NotYet,
}

/// Why a command stopped early.
#[derive(Debug)]
pub(crate) enum Halt {
    /// It changes the keyspace, which it had to itself only in part. Nothing has happened; it runs
    /// again alone.
    Alone,
    Refused(Refusal),
}

impl From<Refusal> for Halt {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<AppendError> for Halt {
    fn from(fault: AppendError) -> Self {
        Self::Refused(fault.into())
    }
}

impl Data<'_> {
    /// The stream at a key of the selected database, if there is one that has not expired. Its
    /// lock is held until the result is dropped, and one command holds one lock at a time.
    pub(crate) fn stream(&self, key: &[u8]) -> Option<StreamMut<'_>> {
        let stream = self.access.stream(self.db, key, self.now);
        self.lookups.note(stream.is_some());
        stream
    }

    /// Whether a reader finds the key in the selected database: [`has`](Self::has), counted.
    pub(crate) fn finds(&self, key: &[u8]) -> bool {
        let found = self.has(key);
        self.lookups.note(found);
        found
    }

    /// Whether the selected database has the key.
    pub(crate) fn has(&self, key: &[u8]) -> bool {
        self.access.exists(self.db, key, self.now)
    }

    /// Creates an empty stream at a key that has none, as one batch with all that the command does
    /// to it afterwards, which takes about `bytes`.
    ///
    /// # Errors
    ///
    /// Halts a command that does not have the keyspace to itself, and when there is no room.
    pub(crate) fn create(&mut self, key: &[u8], bytes: usize) -> Result<(), Halt> {
        /// More than the records have besides names and fields.
        const RECORDS: usize = 512;
        self.alone()?;
        let bytes = (key.len() + bytes + RECORDS) as u64;
        // The batch ends with the access, or with the transaction that it is part of.
        self.access.begin_batch(Growth::Adds, bytes)?;
        self.access.create(self.db, key, self.now)?;
        Ok(())
    }

    /// Halts a command that does not have the keyspace to itself.
    pub(crate) fn alone(&self) -> Result<(), Halt> {
        if self.access.is_alone() {
            Ok(())
        } else {
            Err(Halt::Alone)
        }
    }

    /// When an entry starts a new node of its stream.
    pub(crate) fn node_limits(&self) -> NodeLimits {
        let config = &self.server.config;
        NodeLimits {
            bytes: u64::try_from(config.int(config::STREAM_NODE_MAX_BYTES)).unwrap_or(0),
            entries: u64::try_from(config.int(config::STREAM_NODE_MAX_ENTRIES)).unwrap_or(0),
        }
    }
}

/// A command of the table with what is derived from it once.
#[derive(Debug)]
pub(crate) struct Command {
    pub(crate) spec: &'static Spec,
    /// `xadd`, or `xgroup|create`.
    pub(crate) full_name: String,
    /// How many words name it: 1, or 2 for a subcommand.
    pub(crate) depth: usize,
    /// How many words a request has, negative when it may have more; as `COMMAND INFO` shows it.
    pub(crate) arity: i16,
    /// The container's name in upper case, for a subcommand.
    pub(crate) container: Option<&'static str>,
    /// Its place in [`Table::all`], where statistics find theirs.
    pub(crate) number: usize,
    /// Its subcommands, by name.
    pub(crate) subcommands: HashMap<&'static str, usize>,
}

/// The table as lookups need it.
#[derive(Debug)]
pub(crate) struct Table {
    /// Commands and, behind each container, its subcommands.
    pub(crate) all: Vec<Command>,
    by_name: HashMap<&'static str, usize>,
}

/// The longest name that can be looked up.
const NAME_MAX: usize = 32;

impl Table {
    fn new() -> Self {
        let mut table = Self {
            all: Vec::new(),
            by_name: HashMap::default(),
        };
        for &spec in COMMANDS {
            let number = table.add(spec, spec.name.to_owned(), 1, None);
            table.by_name.insert(spec.name, number);
            for &sub in spec.subcommands() {
                let full = format!("{}|{}", spec.name, sub.name);
                let sub_number = table.add(sub, full, 2, Some(spec.name));
                table.all[number].subcommands.insert(sub.name, sub_number);
            }
        }
        table
    }

    fn add(
        &mut self,
        spec: &'static Spec,
        full_name: String,
        depth: usize,
        container: Option<&'static str>,
    ) -> usize {
        let number = self.all.len();
        let subcommands = HashMap::default();
        let arity = spec.arity(if depth == 1 { 1 } else { 2 });
        self.all.push(Command {
            spec,
            full_name,
            depth,
            arity,
            container,
            number,
            subcommands,
        });
        number
    }

    /// The command of that name, in any case.
    pub(crate) fn find(&self, name: &[u8]) -> Option<&Command> {
        lower(name, |name| self.by_name.get(name)).map(|&number| &self.all[number])
    }

    /// The container's subcommand of that name, in any case.
    pub(crate) fn find_sub(&self, container: &Command, name: &[u8]) -> Option<&Command> {
        lower(name, |name| container.subcommands.get(name)).map(|&number| &self.all[number])
    }

    /// The subcommands of a command, by name.
    pub(crate) fn subcommands(&self, container: &Command) -> &[Command] {
        let first = container.number + 1;
        &self.all[first..first + container.subcommands.len()]
    }

    /// The commands that are not subcommands.
    pub(crate) fn top_level(&self) -> impl Iterator<Item = &Command> {
        self.all.iter().filter(|command| command.depth == 1)
    }

    /// The command that a request names.
    ///
    /// # Errors
    ///
    /// The name is unknown.
    pub(crate) fn lookup(&self, request: Request<'_>) -> Result<&Command, Refusal> {
        let name = request.word(0);
        let mut command = self.find(name).ok_or_else(|| unknown_command(request))?;
        if !command.subcommands.is_empty() && request.len() > 1 {
            command = self
                .find_sub(command, request.word(1))
                .ok_or_else(|| unknown_subcommand(command, request.word(1)))?;
        }
        Ok(command)
    }
}

impl Command {
    /// Whether a request is surely one of this command, by name and number of words.
    pub(crate) fn answers_to(&self, request: Request<'_>) -> bool {
        self.depth == 1
            && self.subcommands.is_empty()
            && request
                .word(0)
                .eq_ignore_ascii_case(self.spec.name.as_bytes())
            && self.takes(request.len())
    }

    /// Whether a request of so many words may be one of this command.
    pub(crate) fn takes(&self, words: usize) -> bool {
        let fewest = usize::from(self.arity.unsigned_abs());
        if self.arity < 0 {
            words >= fewest
        } else {
            words == fewest
        }
    }
}

/// The one table of this process.
pub(crate) static TABLE: LazyLock<Table> = LazyLock::new(Table::new);

fn lower<R>(name: &[u8], find: impl FnOnce(&str) -> Option<R>) -> Option<R> {
    let mut buffer = [0; NAME_MAX];
    let buffer = buffer.get_mut(..name.len())?;
    buffer.copy_from_slice(name);
    buffer.make_ascii_lowercase();
    find(str::from_utf8(buffer).ok()?)
}

/// How much of a client's words an error text repeats.
const QUOTED_MAX: usize = 128;

fn quoted(word: &[u8]) -> String {
    String::from_utf8_lossy(&word[..word.len().min(QUOTED_MAX)]).into_owned()
}

fn unknown_command(request: Request<'_>) -> Refusal {
    let mut args = String::new();
    for word in request.words().skip(1) {
        if args.len() >= QUOTED_MAX {
            break;
        }
        let room = QUOTED_MAX - args.len();
        // A word ends for Redis at its first zero byte here.
        let word = word.split(|&byte| byte == 0).next().unwrap_or_default();
        args.push('\'');
        args.push_str(&String::from_utf8_lossy(&word[..word.len().min(room)]));
        args.push_str("' ");
    }
    Refusal::UnknownCommand {
        name: quoted(request.word(0)).into(),
        args: args.into(),
    }
}

fn unknown_subcommand(container: &Command, name: &[u8]) -> Refusal {
    Refusal::UnknownSubcommand {
        subcommand: quoted(name).into(),
        container: container.spec.name,
    }
}

#[cfg(test)]
mod tests;
