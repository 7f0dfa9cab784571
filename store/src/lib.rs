//! Durable streams over a segmented log.
//!
//! This crate owns the data: the disk and the log under it (here), and the streams made from the
//! log's records. It knows no sockets, no protocol and no runtime.

#![deny(missing_docs)]

pub mod backup;
pub mod check;
mod checkpoint;
mod codec;
pub mod cut;
pub mod data;
pub mod disk;
pub mod error;
pub mod history;
pub mod id;
pub mod install;
pub mod log;
pub mod lsn;
pub mod map;
pub mod record;
mod sabotage;
pub mod state;
pub mod store;

pub use data::{Cold, DataStats, Loaded, Missing};
pub use disk::RealDisk;
pub use error::{
    AppendError, CommitError, DataError, FramesError, LeadError, OpenError, Poisoned, ReceiveError,
};
pub use history::{Epoch, History, HistoryId};
pub use id::{StreamId, StreamNo};
pub use log::{Growth, Held, Log, LogOptions, LogStats, Opening, Progress, SyncPolicy};
pub use lsn::Lsn;
pub use record::{Change, Claim, Claims, Fields, Ids, KeyspaceChange, Record};
pub use state::{
    Consumer, ConsumerNo, Entry, Group, IdRule, NextIdError, NodeLimits, NodePlace, Order, Pending,
    PendingEntry, Place, Stream, Trim, TrimBy, TrimPoint,
};
pub use store::{
    Access, Agreement, Budgets, CheckpointStats, EventKind, KeyEvent, Received, Retention, Round,
    Store, StoreOptions, StreamMut, UpkeepError, UpkeepStats,
};
