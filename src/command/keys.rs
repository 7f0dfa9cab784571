//! The keyspace commands: which keys there are, under which names, in which databases, until when.
//!
//! Whatever changes the keyspace runs alone, so each of these commands is atomic without more ado.

mod copy;
mod dbsize;
mod del;
mod exists;
mod expire;
mod flush;
mod move_key;
mod object;
mod persist;
mod randomkey;
mod rename;
mod scan;
mod swapdb;
mod ttl;
mod type_of;

pub(crate) use copy::COPY;
pub(crate) use dbsize::DBSIZE;
pub(crate) use del::{DEL, UNLINK};
pub(crate) use exists::{EXISTS, TOUCH};
pub(crate) use expire::{EXPIRE, EXPIREAT, PEXPIRE, PEXPIREAT};
pub(crate) use flush::{FLUSHALL, FLUSHDB};
pub(crate) use move_key::MOVE;
pub(crate) use object::OBJECT;
pub(crate) use persist::PERSIST;
pub(crate) use randomkey::RANDOMKEY;
pub(crate) use rename::{RENAME, RENAMENX};
pub(crate) use scan::{KEYS, SCAN};
pub(crate) use swapdb::SWAPDB;
pub(crate) use ttl::{EXPIRETIME, PEXPIRETIME, PTTL, TTL};
pub(crate) use type_of::TYPE;
