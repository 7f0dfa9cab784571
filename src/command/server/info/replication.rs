//! The section about replication: with the fields of Redis, in its order.
//!
//! `role` comes before all that sentinels read only of a replica. `slave_repl_offset`, by which
//! they choose whom to promote, is what the replica would have after a crash, as its `appendfsync`
//! understands crashes; what it has received is `slave_read_repl_offset`.

use headwater_store::{History, HistoryId};

use super::Fields;
use crate::command::Data;
use crate::config;
use crate::replication::{Role, Shipped, Standing};

pub(super) fn replication(fields: &mut Fields, data: &Data<'_>) {
    let server = data.server;
    let replication = &server.replication;
    match replication.role() {
        Role::Master => fields.put("role", "master"),
        Role::Replica { of, .. } => {
            fields.put("role", "slave");
            fields.put("master_host", &of.host);
            fields.put("master_port", of.port);
            link(fields, data);
            fields.put(
                "slave_priority",
                server.config.int(config::REPLICA_PRIORITY),
            );
            let flag = |id| u8::from(server.config.flag(id));
            fields.put("slave_read_only", flag(config::REPLICA_READ_ONLY));
            fields.put("replica_announced", flag(config::REPLICA_ANNOUNCED));
        }
    }
    replicas(fields, data);
    fields.put("master_failover_state", replication.failover());
    history(fields, data);
}

fn link(fields: &mut Fields, data: &Data<'_>) {
    let replication = &data.server.replication;
    let (now_ms, link) = (replication.now_ms(), replication.link());
    let seconds_since = |at_ms: u64| now_ms.saturating_sub(at_ms).cast_signed() / 1000;
    let is_up = link.standing == Standing::Connected;
    let heard = link.heard_ms.filter(|_| is_up).map_or(-1, seconds_since);
    fields.put("master_link_status", if is_up { "up" } else { "down" });
    fields.put("master_last_io_seconds_ago", heard);
    fields.put(
        "master_sync_in_progress",
        u8::from(link.standing == Standing::Sync),
    );
    fields.put("slave_read_repl_offset", data.end());
    fields.put("slave_repl_offset", data.kept());
    if link.standing == Standing::Sync {
        let Shipped { total, done } = link.shipment.unwrap_or_default();
        fields.put("master_sync_total_bytes", total);
        fields.put("master_sync_read_bytes", done);
        fields.put("master_sync_left_bytes", total.saturating_sub(done));
        fields.put_percent("master_sync_perc", done, total);
        let heard = link.heard_ms.map_or(-1, seconds_since);
        fields.put("master_sync_last_io_seconds_ago", heard);
    }
    if !is_up {
        let down = link.down_since_ms.map_or(-1, seconds_since);
        fields.put("master_link_down_since_seconds", down);
    }
}

fn replicas(fields: &mut Fields, data: &Data<'_>) {
    let (config, replication) = (&data.server.config, &data.server.replication);
    let now_ms = replication.now_ms();
    let least = config.size(config::MIN_REPLICAS_TO_WRITE);
    let good = (least > 0).then(|| replication.good_replicas(config));
    replication.with_replicas(|replicas| {
        fields.put("connected_slaves", replicas.len());
        if let Some(good) = good {
            fields.put("min_slaves_good_slaves", good);
        }
        for (number, (_, replica)) in replicas.all().enumerate() {
            let figures = format_args!(
                "ip={},port={},state={},offset={},lag={}",
                replica.host,
                replica.port,
                replica.stage,
                replica.written,
                replica.lag(now_ms)
            );
            fields.put(&format!("slave{number}"), figures);
        }
    });
}

/// The histories, and what of the log is there. Redis counts bytes from one.
fn history(fields: &mut Fields, data: &Data<'_>) {
    let (history, beginning) = match data.opened {
        Some(opened) => (opened.store.history(), opened.store.log().beginning()),
        None => Default::default(),
    };
    let none = HistoryId::new([0; HistoryId::BYTES]);
    let (current, previous) = (history.current(), history.previous());
    fields.put("master_replid", current.map_or(none, |epoch| epoch.id));
    fields.put("master_replid2", previous.map_or(none, |epoch| epoch.id));
    fields.put("master_repl_offset", data.end());
    match (current, previous) {
        (Some(current), Some(_)) => fields.put("second_repl_offset", current.start.plus(1)),
        _ => fields.put("second_repl_offset", -1),
    }
    let config = &data.server.config;
    fields.put("repl_backlog_active", u8::from(history != History::new()));
    fields.put("repl_backlog_size", config.size(config::REPL_BACKLOG_SIZE));
    fields.put("repl_backlog_first_byte_offset", beginning.plus(1));
    fields.put("repl_backlog_histlen", data.end().since(beginning));
}
