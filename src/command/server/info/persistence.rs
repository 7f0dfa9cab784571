//! The section `Persistence`: what is on disk, and what is going there.
//!
//! * A checkpoint is to Redis' fields a *save* (`rdb_*`), and the log the append-only file
//!   (`aof_*`). Changes since the last save are counted in bytes of the log.
//! * A round of upkeep takes a checkpoint and gives back log: its outcome is that of both.

use headwater_store::{DataStats, Log, SyncPolicy, UpkeepStats};

use super::{Fields, ratio};
use crate::command::Data;
use crate::loading::{Loading, Opened};
use crate::saves::{self, Busy};
use crate::space::Found;

pub(super) fn persistence(fields: &mut Fields, data: &Data<'_>) {
    let server = data.server;
    let opened = data.opened;
    fields.put("loading", u8::from(opened.is_none()));
    fields.put("async_loading", 0);
    let upkeep = opened.map(|opened| opened.store.upkeep_stats());
    checkpoints(fields, data, upkeep.as_ref());
    let writes = opened.is_none_or(|opened| opened.store.log().poisoned().is_none());
    let status = status(writes && !server.space.is_full());
    fields.put("aof_last_write_status", status);
    match (opened, upkeep) {
        (Some(opened), Some(upkeep)) => {
            log(fields, opened.store.log());
            settled(fields, &opened.store.data_stats());
            rounds(fields, opened, &upkeep);
        }
        _ => loading(fields, &server.loading),
    }
    if let Some(found) = server.space.found() {
        disk(fields, &found);
    }
}

fn loading(fields: &mut Fields, loading: &Loading) {
    let pace = loading.pace();
    fields.put("loading_start_time", loading.began_ms() / 1000);
    fields.put("loading_total_bytes", pace.total);
    // What the server used that wrote the data is not known.
    fields.put("loading_rdb_used_mem", 0);
    fields.put("loading_loaded_bytes", pace.done);
    fields.put("loading_loaded_perc", format_args!("{:.2}", pace.percent()));
    fields.put("loading_eta_seconds", pace.seconds_left());
}

/// Checkpoints and rounds of upkeep, for monitors of Redis. While the data are loaded there are
/// none.
fn checkpoints(fields: &mut Fields, data: &Data<'_>, upkeep: Option<&UpkeepStats>) {
    let server = data.server;
    let Busy { save, rewrite } = server.saves.busy(server);
    let last = status(upkeep.is_none_or(|upkeep| upkeep.last_error.is_none()));
    let ended = upkeep.filter(|upkeep| upkeep.rounds > 0);
    let seconds = ended.map_or(-1, |upkeep| upkeep.last_round.as_secs().cast_signed());
    let saves = upkeep.map_or(0, |upkeep| upkeep.rounds - upkeep.failures);
    let going = save || upkeep.is_some_and(|upkeep| upkeep.busy);
    fields.put("rdb_changes_since_last_save", unsaved(data, upkeep));
    fields.put("rdb_bgsave_in_progress", u8::from(going));
    fields.put(
        "rdb_last_save_time",
        saves::last_ms(server, data.now) / 1000,
    );
    fields.put("rdb_last_bgsave_status", last);
    fields.put("rdb_last_bgsave_time_sec", seconds);
    fields.put("rdb_current_bgsave_time_sec", -1);
    fields.put("rdb_saves", saves);
    fields.put("aof_enabled", 1);
    fields.put("aof_rewrite_in_progress", u8::from(rewrite));
    fields.put("aof_rewrite_scheduled", 0);
    fields.put("aof_last_rewrite_time_sec", seconds);
    fields.put("aof_current_rewrite_time_sec", -1);
    fields.put("aof_last_bgrewrite_status", last);
}

/// Bytes of log behind the last checkpoint.
fn unsaved(data: &Data<'_>, upkeep: Option<&UpkeepStats>) -> u64 {
    let (Some(opened), Some(upkeep)) = (data.opened, upkeep) else {
        return 0;
    };
    let log = opened.store.log();
    let start = log.stats().start;
    let from = upkeep.checkpoint.map_or(start, |last| last.from);
    log.appended().since(from)
}

fn status(is_well: bool) -> &'static str {
    if is_well { "ok" } else { "err" }
}

/// The log: where it begins and ends, and the files that it is made of.
fn log(fields: &mut Fields, log: &Log) {
    let figures = log.stats();
    let is_behind = log.durable() < log.appended();
    fields.put("aof_current_size", log.appended().since(figures.start));
    fields.put("aof_buffer_length", figures.pending_bytes);
    fields.put("aof_pending_bio_fsync", u8::from(is_behind));
    fields.put(
        "log_policy",
        match log.policy() {
            SyncPolicy::Always => "always",
            SyncPolicy::EverySec => "everysec",
            SyncPolicy::No => "no",
        },
    );
    fields.put("log_epoch", figures.epoch);
    fields.put("log_start", figures.start);
    fields.put("log_appended", log.appended());
    fields.put("log_written", log.written());
    fields.put("log_durable", log.durable());
    fields.put("log_segments", figures.segments);
    fields.put("log_spares", figures.spares);
    fields.put("log_bytes_on_disk", figures.bytes_on_disk);
    fields.put("log_room", figures.room);
    fields.put("log_released_bytes", figures.released_bytes);
    fields.put("log_files_recycled", figures.recycled);
    fields.put("log_files_made", figures.made);
    fields.put("log_frames", figures.frames);
    fields.put("log_writes", figures.writes);
    fields.put("log_syncs", figures.syncs);
    fields.put("log_last_sync_usec", figures.last_sync.as_micros());
}

/// What has moved out of the log.
fn settled(fields: &mut Fields, data: &DataStats) {
    let dead = data.bytes.saturating_sub(data.live_bytes);
    fields.put("data_files", data.files);
    fields.put("data_bytes", data.bytes);
    fields.put("data_live_bytes", data.live_bytes);
    fields.put_percent("data_dead_perc", dead, data.bytes);
}

/// What upkeep has done.
fn rounds(fields: &mut Fields, opened: &Opened, upkeep: &UpkeepStats) {
    let store = &opened.store;
    let end = store.log().appended();
    if let Some(checkpoint) = upkeep.checkpoint {
        fields.put("checkpoint_number", checkpoint.number);
        fields.put("checkpoint_bytes", checkpoint.bytes);
        fields.put("checkpoint_lsn", checkpoint.from);
        fields.put("checkpoint_behind_bytes", end.since(checkpoint.from));
        if let Some(finished) = checkpoint.finished {
            fields.put("checkpoint_age_seconds", finished.elapsed().as_secs());
        }
    }
    fields.put("upkeep_settle_after", upkeep.budgets.settle_after);
    fields.put("upkeep_checkpoint_after", upkeep.budgets.checkpoint_after);
    fields.put("upkeep_busy", u8::from(upkeep.busy));
    fields.put("upkeep_rounds", upkeep.rounds);
    fields.put("upkeep_failures", upkeep.failures);
    if let Some(error) = &upkeep.last_error {
        fields.put("upkeep_last_error", error);
    }
    fields.put("upkeep_last_round_usec", upkeep.last_round.as_micros());
    let total = &upkeep.total;
    fields.put("upkeep_settled_entries", total.settled_entries);
    fields.put("upkeep_compacted_entries", total.compacted_entries);
    fields.put("upkeep_data_bytes", total.data_bytes);
    fields.put("upkeep_checkpoint_bytes", total.checkpoint_bytes);
    fields.put("upkeep_freed_log_bytes", total.freed_log_bytes);
    fields.put("upkeep_removed_files", total.removed_files);
    // Bytes that went to disk for each byte that was to be kept.
    let logged = end.since(opened.began_at);
    let written = logged + total.data_bytes + total.checkpoint_bytes;
    let amplification = ratio(written, logged);
    fields.put("write_amplification", format_args!("{amplification:.3}"));
}

fn disk(fields: &mut Fields, found: &Found) {
    fields.put("disk_state", found.room);
    fields.put("disk_free_bytes", found.free);
    fields.put("disk_total_bytes", found.total);
    fields.put("disk_low_bytes", found.marks.low);
    fields.put("disk_full_bytes", found.marks.full);
}
