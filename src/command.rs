//! The commands: one table of values, and what a command gets and gives.
//!
//! Invariants: a command never waits, never touches a socket and never reads the clock; those are
//! the connection's. Whatever reads the table (lookup, arity, keys, `COMMAND`, statistics) is a
//! fold over [`COMMANDS`], or over [`COMMANDS_OF_A_MONITOR`].

mod args;
mod connection;
mod context;
mod describe;
mod facts;
mod help;
mod keys;
mod outcome;
mod pubsub;
mod replication;
mod sentinel;
mod server;
pub(crate) mod spec;
mod stream;
mod table;
mod transaction;

pub(crate) use args::{Args, parse_int, parse_uint};
pub(crate) use context::{Cx, Data, Door, Lookups};
pub(crate) use describe::describe;
pub(crate) use outcome::{Again, AtLast, Halt, Outcome, Park, Served, Until};
pub(crate) use spec::{Access, Arg, Body, Group, KeyUse, Kind, Spec, Traits};
pub(crate) use table::{Command, TABLE, TABLE_OF_A_MONITOR, Table};
pub(crate) use transaction::Queued;

/// Every command of a server of streams, sorted by name.
pub(crate) static COMMANDS: &[&Spec] = &[
    &connection::AUTH,
    &server::BACKUP,
    &server::BGREWRITEAOF,
    &server::BGSAVE,
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
    &replication::FAILOVER,
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
    &pubsub::PSUBSCRIBE,
    &replication::PSYNC,
    &keys::PTTL,
    &pubsub::PUBLISH,
    &pubsub::PUBSUB,
    &pubsub::PUNSUBSCRIBE,
    &connection::QUIT,
    &keys::RANDOMKEY,
    &keys::RENAME,
    &keys::RENAMENX,
    &replication::REPLCONF,
    &replication::REPLICAOF,
    &connection::RESET,
    &server::ROLE,
    &server::SAVE,
    &keys::SCAN,
    &connection::SELECT,
    &server::SHUTDOWN,
    &replication::SLAVEOF,
    &pubsub::SPUBLISH,
    &pubsub::SSUBSCRIBE,
    &pubsub::SUBSCRIBE,
    &pubsub::SUNSUBSCRIBE,
    &keys::SWAPDB,
    &replication::SYNC,
    &server::TIME,
    &keys::TOUCH,
    &keys::TTL,
    &keys::TYPE,
    &keys::UNLINK,
    &pubsub::UNSUBSCRIBE,
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

/// Every command of a monitor, sorted by name.
pub(crate) static COMMANDS_OF_A_MONITOR: &[&Spec] = &[
    &connection::AUTH,
    &connection::CLIENT_OF_A_MONITOR,
    &server::COMMAND,
    &connection::HELLO,
    &server::INFO_OF_A_MONITOR,
    &connection::PING,
    &pubsub::PSUBSCRIBE,
    &sentinel::PUBLISH,
    &pubsub::PUNSUBSCRIBE,
    &connection::QUIT,
    &connection::RESET,
    &server::ROLE_OF_A_MONITOR,
    &sentinel::SENTINEL,
    &server::SHUTDOWN,
    &pubsub::SUBSCRIBE,
    &pubsub::UNSUBSCRIBE,
];

#[cfg(test)]
mod tests;
