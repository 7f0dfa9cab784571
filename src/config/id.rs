//! Directives by name, checked by the compiler.

use super::table::DIRECTIVES;

/// A directive: its place in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Id(pub(super) usize);

/// The directive of this name. To be called in a `const`, where a wrong name does not compile.
const fn id(name: &str) -> Id {
    let mut index = 0;
    while index < DIRECTIVES.len() {
        if same(DIRECTIVES[index].name.as_bytes(), name.as_bytes()) {
            return Id(index);
        }
        index += 1;
    }
    panic!("no directive has this name");
}

const fn same(left: &[u8], right: &[u8]) -> bool {
    if left.len() != right.len() {
        return false;
    }
    let mut index = 0;
    while index < left.len() {
        if left[index] != right[index] {
            return false;
        }
        index += 1;
    }
    true
}

pub(crate) const APPENDFSYNC: Id = id("appendfsync");
pub(crate) const BACKUP_DIR: Id = id("backup-dir");
pub(crate) const BIND: Id = id("bind");
pub(crate) const CACHE_SIZE: Id = id("cache-size");
pub(crate) const CHECKPOINT_AFTER: Id = id("checkpoint-after");
pub(crate) const CLIENT_OUTPUT_BUFFER_LIMIT: Id = id("client-output-buffer-limit");
pub(crate) const CLIENT_QUERY_BUFFER_LIMIT: Id = id("client-query-buffer-limit");
pub(crate) const DATABASES: Id = id("databases");
pub(crate) const DIR: Id = id("dir");
pub(crate) const DISK_FULL: Id = id("disk-full");
pub(crate) const DISK_FULL_FAILS_OVER: Id = id("disk-full-fails-over");
pub(crate) const DISK_LOW: Id = id("disk-low");
pub(crate) const HZ: Id = id("hz");
pub(crate) const LOGFILE: Id = id("logfile");
pub(crate) const LOGLEVEL: Id = id("loglevel");
pub(crate) const MAXCLIENTS: Id = id("maxclients");
pub(crate) const MAXMEMORY: Id = id("maxmemory");
pub(crate) const MAXMEMORY_POLICY: Id = id("maxmemory-policy");
pub(crate) const MASTERAUTH: Id = id("masterauth");
pub(crate) const MASTERUSER: Id = id("masteruser");
pub(crate) const MIN_REPLICAS_MAX_LAG: Id = id("min-replicas-max-lag");
pub(crate) const MIN_REPLICAS_TO_WRITE: Id = id("min-replicas-to-write");
pub(crate) const PIDFILE: Id = id("pidfile");
pub(crate) const PORT: Id = id("port");
pub(crate) const PROTECTED_MODE: Id = id("protected-mode");
pub(crate) const PROTO_MAX_BULK_LEN: Id = id("proto-max-bulk-len");
pub(crate) const REPL_BACKLOG_SIZE: Id = id("repl-backlog-size");
pub(crate) const REPL_BACKLOG_TTL: Id = id("repl-backlog-ttl");
pub(crate) const REPL_PING_REPLICA_PERIOD: Id = id("repl-ping-replica-period");
pub(crate) const REPL_TIMEOUT: Id = id("repl-timeout");
pub(crate) const REPLICA_ANNOUNCE_IP: Id = id("replica-announce-ip");
pub(crate) const REPLICA_ANNOUNCE_PORT: Id = id("replica-announce-port");
pub(crate) const REPLICA_ANNOUNCED: Id = id("replica-announced");
pub(crate) const REPLICA_PRIORITY: Id = id("replica-priority");
pub(crate) const REPLICA_READ_ONLY: Id = id("replica-read-only");
pub(crate) const REPLICA_SERVE_STALE_DATA: Id = id("replica-serve-stale-data");
pub(crate) const REPLICAOF: Id = id("replicaof");
pub(crate) const REQUIREPASS: Id = id("requirepass");
pub(crate) const SEGMENT_SIZE: Id = id("segment-size");
pub(crate) const SETTLE_AFTER: Id = id("settle-after");
pub(crate) const STREAM_NODE_MAX_BYTES: Id = id("stream-node-max-bytes");
pub(crate) const STREAM_NODE_MAX_ENTRIES: Id = id("stream-node-max-entries");
pub(crate) const SYNC_REPLICAS: Id = id("sync-replicas");
pub(crate) const SYNC_REPLICAS_TIMEOUT: Id = id("sync-replicas-timeout");
pub(crate) const TCP_BACKLOG: Id = id("tcp-backlog");
pub(crate) const TCP_KEEPALIVE: Id = id("tcp-keepalive");
pub(crate) const TIMEOUT: Id = id("timeout");
pub(crate) const WORKER_THREADS: Id = id("worker-threads");
