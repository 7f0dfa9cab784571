//! What was done, in numbers.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use super::op::Op;
use crate::reply::Reply;

/// What was done, in numbers.
#[derive(Default)]
pub(super) struct Totals {
    commands: AtomicU64,
    bytes: AtomicU64,
    added: AtomicU64,
    delivered: AtomicU64,
    acknowledged: AtomicU64,
    claimed: AtomicU64,
    deleted: AtomicU64,
    trimmed: AtomicU64,
    refused: AtomicU64,
    /// Pipelines whose outcome nobody was told.
    unknown: AtomicU64,
    audits: AtomicU64,
    verified: AtomicU64,
    kills: AtomicU64,
    injected: AtomicU64,
    /// Writes to a disk that lost its power before they were flushed.
    caught: AtomicU64,
}

impl Totals {
    /// So many bytes were sent.
    pub(super) fn sent(&self, bytes: usize) {
        add(&self.bytes, bytes);
    }

    /// A command was answered.
    pub(super) fn answered(&self, op: &Op, reply: &Reply) {
        add(&self.commands, 1);
        let count = match reply {
            Reply::Integer(count) => usize::try_from(*count).unwrap_or(0),
            _ => 0,
        };
        let elements = |reply: &Reply| reply.elements().map_or(0, <[Reply]>::len);
        match op {
            Op::Ack { .. } => add(&self.acknowledged, count),
            Op::Add { .. } => add(&self.added, 1),
            Op::AutoClaim { .. } => {
                let claimed = reply.elements().and_then(|parts| parts.get(1));
                add(&self.claimed, claimed.map_or(0, elements));
            }
            Op::Claim { .. } => add(&self.claimed, elements(reply)),
            Op::Delete { .. } => add(&self.deleted, count),
            Op::Read { .. } => {
                let entries = reply.elements().and_then(|keys| keys.first()?.elements());
                let entries = entries.and_then(|key| key.get(1));
                add(&self.delivered, entries.map_or(0, elements));
            }
            Op::Trim(_) => add(&self.trimmed, count),
            Op::Create { .. }
            | Op::DropConsumer { .. }
            | Op::DropStream
            | Op::History { .. }
            | Op::Length
            | Op::Range { .. } => {}
        }
    }

    /// The server was killed.
    pub(super) fn killed(&self) {
        add(&self.kills, 1);
    }

    /// A system call of the server was made to fail.
    pub(super) fn injected(&self) {
        add(&self.injected, 1);
    }

    /// So many writes had not been flushed when the power went.
    pub(super) fn caught(&self, writes: usize) {
        add(&self.caught, writes);
    }

    /// A command was refused for a fault of the disk.
    pub(super) fn refused(&self) {
        add(&self.refused, 1);
    }

    /// A pipeline's replies were lost.
    pub(super) fn unknown(&self) {
        add(&self.unknown, 1);
    }

    /// A stream was as it must be.
    pub(super) fn audited(&self, entries: usize) {
        add(&self.audits, 1);
        add(&self.verified, entries);
    }
}

fn add(total: &AtomicU64, count: usize) {
    total.fetch_add(count as u64, Ordering::Relaxed);
}

impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = |total: &AtomicU64| total.load(Ordering::Relaxed);
        write!(
            f,
            "{} kills, {} faults injected, {} writes caught unflushed; {} commands and {:.1} MB \
             sent, {} refused; {} entries added, {} deliveries, {} acknowledged, {} claimed, {} \
             deleted, {} trimmed; {} pipelines of unknown outcome; {} audits of a stream, {} \
             entries verified",
            number(&self.kills),
            number(&self.injected),
            number(&self.caught),
            number(&self.commands),
            number(&self.bytes) as f64 / 1e6,
            number(&self.refused),
            number(&self.added),
            number(&self.delivered),
            number(&self.acknowledged),
            number(&self.claimed),
            number(&self.deleted),
            number(&self.trimmed),
            number(&self.unknown),
            number(&self.audits),
            number(&self.verified),
        )
    }
}
