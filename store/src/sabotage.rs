//! Seeded bugs, for testing the tests.
//!
//! A test of what survives a crash is worth something if it fails when too little does. With the
//! feature `sabotage`, the environment variable `HEADWATER_SABOTAGE` names one bug that this
//! process is to have; `tests/sabotage` has one after the other, and for each the test that must
//! catch it. Without the feature, every question below is answered `false` at compile time.
//!
//! | name                      | what goes wrong                                               |
//! |---------------------------|---------------------------------------------------------------|
//! | ack-before-fsync          | the durable mark moves before the sync                        |
//! | skip-dir-fsync            | the names of new segments are not made durable                |
//! | no-lsn-check              | a frame is taken for whole wherever it lies                   |
//! | truncate-on-corruption    | what is proved to be lost is cut off like a torn tail         |
//! | pending-not-logged        | deliveries to groups are applied and not logged               |
//! | ids-reused                | a start forgets that a stream's last ID was moved             |
//! | checkpoint-before-durable | a checkpoint is valid before the log is durable up to its end |
//! | log-freed-early           | the log is freed before the checkpoint is there that frees it |
//! | data-freed-early          | so are data files                                             |
//! | deletions-forgotten       | a checkpoint leaves out what was deleted inside of extents    |
//! | deaths-forgotten          | what dies while it is being settled comes back                |
//! | skip-data-fsync           | data files are named before they are durable                  |
//! | skip-data-name            | the names of data files are not made durable                  |
//! | skip-checkpoint-fsync     | checkpoints are named before they are durable                 |
//! | skip-checkpoint-name      | the names of checkpoints are not made durable                 |
//! | kernel-trusted            | a start believes that the names that it finds are durable     |
//! | no-block-checksum         | blocks of data files are not verified                         |
//! | seen-again                | a start applies what a checkpoint has seen already            |
//! | sync-tried-again          | a sync that failed is tried again                             |
//! | no-epoch-check            | frames of any epoch are taken                                 |
//! | cut-keeps-checkpoint      | a checkpoint stays that holds what is cut off                 |
//! | cut-before-kept           | what is cut off goes before it is durable elsewhere           |
//! | install-unsynced          | a copy is installed before it is durable                      |
//! | common-by-number          | two epochs are the same if their numbers are                  |

#[cfg(all(feature = "sabotage", not(debug_assertions)))]
compile_error!("seeded bugs are for tests, never for a release");

use std::path::Path;

use crate::record::{Change, Record};

/// A seeded bug.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bug {
    AckBeforeFsync,
    SkipDirFsync,
    NoLsnCheck,
    TruncateOnCorruption,
    PendingNotLogged,
    IdsReused,
    CheckpointBeforeDurable,
    LogFreedEarly,
    DataFreedEarly,
    DeletionsForgotten,
    DeathsForgotten,
    SkipDataFsync,
    SkipDataName,
    SkipCheckpointFsync,
    SkipCheckpointName,
    KernelTrusted,
    NoBlockChecksum,
    SeenAgain,
    SyncTriedAgain,
    NoEpochCheck,
    CutKeepsCheckpoint,
    CutBeforeKept,
    InstallUnsynced,
    CommonByNumber,
}

/// Whether this process is to have the bug.
#[cfg(not(feature = "sabotage"))]
pub(crate) const fn has(_: Bug) -> bool {
    false
}

/// Whether this process is to have the bug.
///
/// # Panics
///
/// When `HEADWATER_SABOTAGE` names none.
#[cfg(feature = "sabotage")]
pub(crate) fn has(bug: Bug) -> bool {
    static CHOSEN: std::sync::OnceLock<Option<Bug>> = std::sync::OnceLock::new();
    let choose = || {
        let name = std::env::var("HEADWATER_SABOTAGE").ok();
        let name = name.filter(|name| !name.is_empty())?;
        Some(match &*name {
            "ack-before-fsync" => Bug::AckBeforeFsync,
            "skip-dir-fsync" => Bug::SkipDirFsync,
            "no-lsn-check" => Bug::NoLsnCheck,
            "truncate-on-corruption" => Bug::TruncateOnCorruption,
            "pending-not-logged" => Bug::PendingNotLogged,
            "ids-reused" => Bug::IdsReused,
            "checkpoint-before-durable" => Bug::CheckpointBeforeDurable,
            "log-freed-early" => Bug::LogFreedEarly,
            "data-freed-early" => Bug::DataFreedEarly,
            "deletions-forgotten" => Bug::DeletionsForgotten,
            "deaths-forgotten" => Bug::DeathsForgotten,
            "skip-data-fsync" => Bug::SkipDataFsync,
            "skip-data-name" => Bug::SkipDataName,
            "skip-checkpoint-fsync" => Bug::SkipCheckpointFsync,
            "skip-checkpoint-name" => Bug::SkipCheckpointName,
            "kernel-trusted" => Bug::KernelTrusted,
            "no-block-checksum" => Bug::NoBlockChecksum,
            "seen-again" => Bug::SeenAgain,
            "sync-tried-again" => Bug::SyncTriedAgain,
            "no-epoch-check" => Bug::NoEpochCheck,
            "cut-keeps-checkpoint" => Bug::CutKeepsCheckpoint,
            "cut-before-kept" => Bug::CutBeforeKept,
            "install-unsynced" => Bug::InstallUnsynced,
            "common-by-number" => Bug::CommonByNumber,
            _ => panic!("HEADWATER_SABOTAGE={name} is no seeded bug"),
        })
    };
    *CHOSEN.get_or_init(choose) == Some(bug)
}

/// Whether the log is not told of a record.
pub(crate) fn leaves_out(record: &Record<'_>) -> bool {
    let delivers = |change: &Change<'_>| matches!(change, Change::Delivered { .. });
    has(Bug::PendingNotLogged)
        && matches!(record, Record::Stream { change, .. } if delivers(change))
}

/// Whether a start does not heed a record.
pub(crate) fn passes_over(record: &Record<'_>) -> bool {
    let moves = |change: &Change<'_>| matches!(change, Change::Positioned { .. });
    has(Bug::IdsReused) && matches!(record, Record::Stream { change, .. } if moves(change))
}

/// Whether a file gets its name before it is durable.
pub(crate) fn leaves_unsynced(path: &Path) -> bool {
    has(Bug::SkipDataFsync) && is(path, "data") || has(Bug::SkipCheckpointFsync) && is(path, "ckpt")
}

/// Whether the name of a file is not made durable.
pub(crate) fn leaves_unnamed(path: &Path) -> bool {
    has(Bug::SkipDataName) && is(path, "data") || has(Bug::SkipCheckpointName) && is(path, "ckpt")
}

fn is(path: &Path, kind: &str) -> bool {
    path.extension().is_some_and(|extension| extension == kind)
}
