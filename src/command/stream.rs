//! The stream commands.

mod claim;
mod entries;
mod range;
mod read;
mod trim;
mod xack;
mod xadd;
mod xautoclaim;
mod xclaim;
mod xdel;
mod xgroup;
mod xinfo;
mod xlen;
mod xpending;
mod xrange;
mod xread;
mod xreadgroup;
mod xsetid;
mod xtrim;

pub(crate) use xack::XACK;
pub(crate) use xadd::XADD;
pub(crate) use xautoclaim::XAUTOCLAIM;
pub(crate) use xclaim::XCLAIM;
pub(crate) use xdel::XDEL;
pub(crate) use xgroup::XGROUP;
pub(crate) use xinfo::XINFO;
pub(crate) use xlen::XLEN;
pub(crate) use xpending::XPENDING;
pub(crate) use xrange::{XRANGE, XREVRANGE};
pub(crate) use xread::XREAD;
pub(crate) use xreadgroup::XREADGROUP;
pub(crate) use xsetid::XSETID;
pub(crate) use xtrim::XTRIM;
