//! Durable streams over a segmented log.
//!
//! This crate owns the data: the disk and the log under it (here), and the streams made from the
//! log's records. It knows no sockets, no protocol and no runtime.

#![deny(missing_docs)]

pub mod error;
pub mod lsn;
