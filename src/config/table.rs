//! Every directive: the one list that the file, the command line, `CONFIG` and the documentation
//! are folds over.
//!
//! It knows whatever `CONFIG GET *` of Redis 7.0 and 8.2 shows, so that a redis.conf written for
//! them starts this server or is refused for a reason. A directive is one of three things:
//!
//! * `here`: it does here what it does in Redis, or it is ours;
//! * `accepted`: it is stored and shown, and changes nothing; the text says why that is harmless
//!   or what stands in its place, and the server says so once at the start;
//! * `fixed`: its default is all that is possible here, and ignoring another value would pretend
//!   something (encryption, a socket file), so any other is refused with the text.

use super::form::{self, OutputLimits, Watermark};
use super::value::Kind::{self, Bool, Choice, Form, Int, Memory, MemoryOrPercent, Text, Words};

/// One directive.
pub(crate) struct Directive {
    /// In small letters. `CONFIG REWRITE` and error texts use it.
    pub(crate) name: &'static str,
    /// Redis' older name for it.
    pub(crate) alias: Option<&'static str>,
    pub(crate) kind: Kind,
    /// As it would stand in a file.
    pub(crate) default: &'static str,
    pub(crate) when: When,
    pub(crate) meaning: Meaning,
    /// What it sets, or why it sets nothing. A clause of Markdown without a full stop.
    pub(crate) doc: &'static str,
}

/// When a directive can be set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum When {
    /// At the start, and by `CONFIG SET` afterwards.
    Runtime,
    /// At the start only.
    Startup,
}

/// What setting a directive does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// Nothing: the value is only stored and shown.
    Accepted,
    /// Any value but the default is refused.
    Fixed,
    /// What `doc` says.
    Here,
}

/// What a file may hold beside directives with a value, and why we refuse it. `include` is the one
/// that is obeyed.
pub(super) const REFUSED_STATEMENTS: &[(&str, &str)] = &[
    ("loadmodule", "there are no modules"),
    ("rename-command", "commands cannot be renamed"),
    ("sentinel", "the server is not started as a sentinel"),
    ("user", NO_ACL),
];

const MAX: i64 = i64::MAX;
const I32: i64 = i32::MAX as i64;
const MB: i64 = 1 << 20;

const ALLOCATOR: &str = "memory is not defragmented, and is freed at once";
pub(super) const ALWAYS_LOGGED: &str =
    "every change is logged before its reply; `appendfsync no` costs least";
const EXPIRY: &str = "expired keys are removed when they are due";
const FILES: &str = "a replica that needs everything gets the files of a backup";
const FRAMES: &str = "replicas get the log as it is";
const LOG: &str = "the log is of Headwater's own kind and `appendfsync` governs it";
const NOT_MEASURED: &str = "slow commands and latencies are not recorded";
pub(super) const NO_ACL: &str = "there is one user, `default`; see `requirepass`";
const NO_CLUSTER: &str = "there is no cluster mode";
const NO_EVICTION: &str = "nothing is evicted; entries live on disk";
const NO_IDMP: &str = "appends are not deduplicated";
const NO_OTHER_TYPES: &str = "streams are the only type";
const NO_SCRIPTS: &str = "there are no scripts";
const NO_SNAPSHOTS: &str = "there are no snapshots to save or load; the log is always complete";
const NO_TLS: &str = "connections are not encrypted";
const NO_UNIX_SOCKET: &str = "the server listens on TCP only";
const PROCESS: &str = "left to the system and to what supervises the process";
const SHUTDOWN: &str = "nothing is left to save at the end";
const SYSLOG: &str = "log lines go to `logfile`";

const FACILITIES: &[&str] = &[
    "user", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7",
];
const POLICIES: &[&str] = &[
    "volatile-lru",
    "volatile-lfu",
    "volatile-random",
    "volatile-ttl",
    "allkeys-lru",
    "allkeys-lfu",
    "allkeys-random",
    "noeviction",
];

const fn here(
    name: &'static str,
    kind: Kind,
    default: &'static str,
    doc: &'static str,
) -> Directive {
    let (when, meaning) = (When::Runtime, Meaning::Here);
    Directive {
        name,
        alias: None,
        kind,
        default,
        when,
        meaning,
        doc,
    }
}

const fn accepted(
    name: &'static str,
    kind: Kind,
    default: &'static str,
    why: &'static str,
) -> Directive {
    Directive {
        meaning: Meaning::Accepted,
        ..here(name, kind, default, why)
    }
}

const fn fixed(
    name: &'static str,
    kind: Kind,
    default: &'static str,
    why: &'static str,
) -> Directive {
    Directive {
        meaning: Meaning::Fixed,
        ..here(name, kind, default, why)
    }
}

impl Directive {
    const fn at_start(self) -> Self {
        Self {
            when: When::Startup,
            ..self
        }
    }

    const fn or(self, alias: &'static str) -> Self {
        Self {
            alias: Some(alias),
            ..self
        }
    }
}

/// All directives, sorted by name. Rows, not calls: a line each where it fits.
#[rustfmt::skip]
pub(crate) static DIRECTIVES: &[Directive] = &[
    accepted("acl-pubsub-default", Choice(&["allchannels", "resetchannels"]), "resetchannels",
        NO_ACL),
    fixed("aclfile", Text, "", NO_ACL).at_start(),
    accepted("acllog-max-len", Int { min: 0, max: MAX }, "128", NO_ACL),
    accepted("active-defrag-cycle-max", Int { min: 1, max: 99 }, "25", ALLOCATOR),
    accepted("active-defrag-cycle-min", Int { min: 1, max: 99 }, "1", ALLOCATOR),
    accepted("active-defrag-ignore-bytes", Memory { min: 1, max: MAX }, "100mb", ALLOCATOR),
    accepted("active-defrag-max-scan-fields", Int { min: 1, max: MAX }, "1000", ALLOCATOR),
    accepted("active-defrag-threshold-lower", Int { min: 0, max: 1000 }, "10", ALLOCATOR),
    accepted("active-defrag-threshold-upper", Int { min: 0, max: 1000 }, "100", ALLOCATOR),
    accepted("active-expire-effort", Int { min: 1, max: 10 }, "1", EXPIRY),
    accepted("activedefrag", Bool, "no", ALLOCATOR),
    accepted("activerehashing", Bool, "yes", ALLOCATOR),
    accepted("always-show-logo", Bool, "no", PROCESS).at_start(),
    accepted("aof-disable-auto-gc", Bool, "no", LOG),
    accepted("aof-load-truncated", Bool, "yes", LOG),
    accepted("aof-rewrite-cpulist", Text, "", PROCESS).at_start().or("aof_rewrite_cpulist"),
    accepted("aof-rewrite-incremental-fsync", Bool, "yes", LOG),
    accepted("aof-timestamp-enabled", Bool, "no", LOG),
    accepted("aof-use-rdb-preamble", Bool, "yes", LOG),
    accepted("appenddirname", Text, "appendonlydir", LOG).at_start(),
    accepted("appendfilename", Text, "appendonly.aof", LOG).at_start(),
    here("appendfsync", Choice(&["everysec", "always", "no"]), "always",
        "when an acknowledged change is on disk: before its reply (`always`), within a second \
         (`everysec`), or when the kernel sees fit (`no`)"),
    accepted("appendonly", Form(form::appendonly), "yes", ALWAYS_LOGGED),
    accepted("auto-aof-rewrite-min-size", Memory { min: 0, max: MAX }, "64mb", LOG),
    accepted("auto-aof-rewrite-percentage", Int { min: 0, max: I32 }, "100", LOG),
    here("backup-dir", Text, "", "where `BACKUP` makes backups; empty refuses them").at_start(),
    accepted("bgsave-cpulist", Text, "", PROCESS).at_start().or("bgsave_cpulist"),
    here("bind", Words, "127.0.0.1 -::1",
        "the addresses to listen on; `*` is every IPv4 address, `::*` every IPv6 one, and a \
         `-` before an address means that it may be missing").at_start(),
    accepted("bind-source-addr", Text, "", "the system chooses where connections come from"),
    accepted("bio-cpulist", Text, "", PROCESS).at_start().or("bio_cpulist"),
    accepted("busy-reply-threshold", Int { min: 0, max: MAX }, "5000",
        NO_SCRIPTS).or("lua-time-limit"),
    here("cache-size", Memory { min: MB, max: MAX }, "64mb",
        "the memory for blocks of settled entries that were read from disk"),
    here("checkpoint-after", Memory { min: MB, max: MAX }, "64mb",
        "how much log is written from one checkpoint to the next: about what a start has to read \
         again; a checkpoint larger than that waits for as much log as it is large"),
    here("client-output-buffer-limit", Form(OutputLimits::form),
        "normal 256mb 0 0 slave 256mb 64mb 60 pubsub 32mb 8mb 60",
        "for each class of clients, the bytes of unread replies that close the connection at \
         once, and those that close it after so many seconds; 0 is no limit"),
    here("client-query-buffer-limit", Memory { min: MB, max: MAX }, "64mb",
        "the bytes that one request may have"),
    accepted("cluster-allow-pubsubshard-when-down", Bool, "yes", NO_CLUSTER),
    accepted("cluster-allow-reads-when-down", Bool, "no", NO_CLUSTER),
    accepted("cluster-allow-replica-migration", Bool, "yes", NO_CLUSTER),
    accepted("cluster-announce-bus-port", Int { min: 0, max: 65_535 }, "0", NO_CLUSTER),
    accepted("cluster-announce-hostname", Text, "", NO_CLUSTER),
    accepted("cluster-announce-human-nodename", Text, "", NO_CLUSTER),
    accepted("cluster-announce-ip", Text, "", NO_CLUSTER),
    accepted("cluster-announce-port", Int { min: 0, max: 65_535 }, "0", NO_CLUSTER),
    accepted("cluster-announce-tls-port", Int { min: 0, max: 65_535 }, "0", NO_CLUSTER),
    accepted("cluster-compatibility-sample-ratio", Int { min: 0, max: 100 }, "0", NO_CLUSTER),
    accepted("cluster-config-file", Text, "nodes.conf", NO_CLUSTER).at_start(),
    fixed("cluster-enabled", Bool, "no", NO_CLUSTER).at_start(),
    accepted("cluster-link-sendbuf-limit", Memory { min: 0, max: MAX }, "0", NO_CLUSTER),
    accepted("cluster-migration-barrier", Int { min: 0, max: I32 }, "1", NO_CLUSTER),
    accepted("cluster-node-timeout", Int { min: 0, max: MAX }, "15000", NO_CLUSTER),
    accepted("cluster-port", Int { min: 0, max: 65_535 }, "0", NO_CLUSTER).at_start(),
    accepted("cluster-preferred-endpoint-type", Choice(&["ip", "hostname", "unknown-endpoint"]),
        "ip",
        NO_CLUSTER),
    accepted("cluster-replica-no-failover", Bool, "no", NO_CLUSTER).or("cluster-slave-no-failover"),
    accepted("cluster-replica-validity-factor", Int { min: 0, max: I32 }, "10",
        NO_CLUSTER).or("cluster-slave-validity-factor"),
    accepted("cluster-require-full-coverage", Bool, "yes", NO_CLUSTER),
    accepted("cluster-slot-stats-enabled", Bool, "no", NO_CLUSTER),
    accepted("crash-log-enabled", Bool, "yes", PROCESS),
    accepted("crash-memcheck-enabled", Bool, "yes", PROCESS),
    accepted("daemonize", Bool, "no", "the server stays in the foreground").at_start(),
    here("databases", Int { min: 1, max: 256 }, "16",
        "how many keyspaces there are, for `SELECT`").at_start(),
    accepted("dbfilename", Text, "dump.rdb", NO_SNAPSHOTS).at_start(),
    here("dir", Text, "headwater-data", "the directory of the data; it is created").at_start(),
    accepted("disable-thp", Bool, "yes", PROCESS).at_start(),
    here("disk-full", Form(Watermark::form), "auto",
        "what grows the data is refused while less space is free on the disk: bytes, a \
         percentage of the disk, or `auto`, which is two segments and room for a checkpoint, but \
         at most 5%; 0 is never"),
    here("disk-full-fails-over", Bool, "no",
        "whether `PING` is answered with `-MISCONF` while what grows the data is refused for want \
         of space, so that sentinels let a replica lead whose disk is not full"),
    here("disk-low", Form(Watermark::form), "auto",
        "space is freed sooner, and the operator is warned, while less space is free on the disk: \
         bytes, a percentage of the disk, or `auto`, which is 10%, but at most 4 GiB; 0 is never"),
    accepted("dynamic-hz", Bool, "yes", EXPIRY),
    accepted("enable-debug-command", Choice(&["no", "yes", "local"]), "no",
        "there is no `DEBUG` command").at_start(),
    accepted("enable-module-command", Choice(&["no", "yes", "local"]), "no",
        "there are no modules").at_start(),
    accepted("enable-protected-configs", Choice(&["no", "yes", "local"]), "no",
        "paths never change at run time").at_start(),
    accepted("hash-max-listpack-entries", Int { min: 0, max: MAX }, "512",
        NO_OTHER_TYPES).or("hash-max-ziplist-entries"),
    accepted("hash-max-listpack-value", Memory { min: 0, max: MAX }, "64",
        NO_OTHER_TYPES).or("hash-max-ziplist-value"),
    accepted("hide-user-data-from-log", Bool, "no", PROCESS),
    accepted("hll-sparse-max-bytes", Memory { min: 0, max: MAX }, "3000", NO_OTHER_TYPES),
    accepted("hz", Int { min: 0, max: I32 }, "10", EXPIRY),
    accepted("ignore-warnings", Text, "", PROCESS),
    accepted("io-threads", Int { min: 1, max: 128 }, "1",
        "`worker-threads` says how many threads serve clients").at_start(),
    accepted("io-threads-do-reads", Bool, "no",
        "`worker-threads` says how many threads serve clients").at_start(),
    accepted("jemalloc-bg-thread", Bool, "yes", ALLOCATOR),
    accepted("latency-monitor-threshold", Int { min: 0, max: MAX }, "0", NOT_MEASURED),
    accepted("latency-tracking", Bool, "yes", NOT_MEASURED),
    accepted("latency-tracking-info-percentiles", Form(form::percentiles), "50 99 99.9",
        NOT_MEASURED),
    accepted("lazyfree-lazy-eviction", Bool, "no", ALLOCATOR),
    accepted("lazyfree-lazy-expire", Bool, "no", ALLOCATOR),
    accepted("lazyfree-lazy-server-del", Bool, "no", ALLOCATOR),
    accepted("lazyfree-lazy-user-del", Bool, "no", ALLOCATOR),
    accepted("lazyfree-lazy-user-flush", Bool, "no", ALLOCATOR),
    accepted("lfu-decay-time", Int { min: 0, max: I32 }, "1", NO_EVICTION),
    accepted("lfu-log-factor", Int { min: 0, max: I32 }, "10", NO_EVICTION),
    accepted("list-compress-depth", Int { min: 0, max: I32 }, "0", NO_OTHER_TYPES),
    accepted("list-max-listpack-size", Int { min: -2_147_483_648, max: I32 }, "-2",
        NO_OTHER_TYPES).or("list-max-ziplist-size"),
    accepted("locale-collate", Text, "", NO_OTHER_TYPES),
    here("logfile", Text, "", "where log lines go; empty is standard error").at_start(),
    here("loglevel", Choice(&["debug", "verbose", "notice", "warning", "nothing"]), "notice",
        "the least important log lines that are written"),
    here("masterauth", Text, "", "the password by which a replica is let in by its master"),
    here("masteruser", Text, "",
        "the user as which a replica goes to its master; empty is `default`"),
    accepted("max-new-connections-per-cycle", Int { min: 1, max: 1000 }, "10", PROCESS),
    accepted("max-new-tls-connections-per-cycle", Int { min: 1, max: 1000 }, "1", NO_TLS),
    here("maxclients", Int { min: 1, max: 4_294_967_295 }, "10000",
        "how many clients may be connected at once"),
    accepted("maxmemory", Memory { min: 0, max: MAX }, "0", NO_EVICTION),
    accepted("maxmemory-clients", MemoryOrPercent, "0", NO_EVICTION),
    accepted("maxmemory-eviction-tenacity", Int { min: 0, max: 100 }, "10", NO_EVICTION),
    accepted("maxmemory-policy", Choice(POLICIES), "noeviction", NO_EVICTION),
    accepted("maxmemory-samples", Int { min: 1, max: 64 }, "5", NO_EVICTION),
    here("min-replicas-max-lag", Int { min: 0, max: I32 }, "10",
        "a replica that has been silent for more seconds does not count for \
         `min-replicas-to-write`").or("min-slaves-max-lag"),
    here("min-replicas-to-write", Int { min: 0, max: I32 }, "0",
        "writes are refused while fewer replicas are there; `sync-replicas` is what keeps a change \
         from being lost").or("min-slaves-to-write"),
    accepted("no-appendfsync-on-rewrite", Bool, "no", LOG),
    accepted("notify-keyspace-events", Form(form::events), "", "no notifications are sent"),
    accepted("oom-score-adj", Choice(&["no", "yes", "relative", "absolute"]), "no", PROCESS),
    accepted("oom-score-adj-values", Form(form::oom_scores), "0 200 800", PROCESS),
    here("pidfile", Text, "",
        "a file for the process number, removed at the end; empty is none").at_start(),
    here("port", Int { min: 0, max: 65_535 }, "6379",
        "the TCP port to listen on; 0 lets the system choose").at_start(),
    accepted("proc-title-template", Text, "{title} {listen-addr} {server-mode}", PROCESS),
    accepted("propagation-error-behavior", Choice(&["ignore", "panic", "panic-on-replicas"]),
        "ignore",
        FRAMES),
    here("protected-mode", Bool, "yes",
        "while there is no password, clients from other machines are refused"),
    here("proto-max-bulk-len", Memory { min: MB, max: MAX }, "32mb",
        "the bytes that one word of a request may have"),
    accepted("rdb-del-sync-files", Bool, "no", NO_SNAPSHOTS),
    accepted("rdb-save-incremental-fsync", Bool, "yes", NO_SNAPSHOTS),
    accepted("rdbchecksum", Bool, "yes", NO_SNAPSHOTS).at_start(),
    accepted("rdbcompression", Bool, "yes", NO_SNAPSHOTS),
    here("repl-backlog-size", Memory { min: 1, max: MAX }, "1gb",
        "the part at the end of the log that is kept for replicas that are away, unless the disk \
         is short of space; a master that never had one, and that neither `sync-replicas` nor \
         `min-replicas-to-write` asks to have one, keeps nothing"),
    here("repl-backlog-ttl", Int { min: 0, max: MAX }, "86400",
        "seconds without a replica after which nothing is kept for one; 0 is never"),
    accepted("repl-disable-tcp-nodelay", Bool, "no", FRAMES),
    accepted("repl-diskless-load", Choice(&["disabled", "on-empty-db", "swapdb"]), "disabled",
        FILES),
    accepted("repl-diskless-sync", Bool, "yes", FILES),
    accepted("repl-diskless-sync-delay", Int { min: 0, max: I32 }, "5", FILES),
    accepted("repl-diskless-sync-max-replicas", Int { min: 0, max: I32 }, "0", FILES),
    here("repl-ping-replica-period", Int { min: 1, max: I32 }, "10",
        "seconds after which a master that has nothing to send gives a sign of life")
        .or("repl-ping-slave-period"),
    here("repl-timeout", Int { min: 1, max: I32 }, "60",
        "seconds of silence after which master and replica give each other up"),
    here("replica-announce-ip", Text, "",
        "where a replica says that it can be reached; empty is where it connects from")
        .or("slave-announce-ip"),
    here("replica-announce-port", Int { min: 0, max: 65_535 }, "0",
        "the port at which a replica says that it can be reached; 0 is that it listens on")
        .or("slave-announce-port"),
    here("replica-announced", Bool, "yes", "whether sentinels tell others of this replica"),
    accepted("replica-full-sync-buffer-limit", Memory { min: 0, max: MAX }, "0", FILES),
    accepted("replica-ignore-disk-write-errors", Bool, "no",
        "a replica that cannot write stops, as a master does"),
    accepted("replica-ignore-maxmemory", Bool, "yes", NO_EVICTION).or("slave-ignore-maxmemory"),
    accepted("replica-lazy-flush", Bool, "no", FILES).or("slave-lazy-flush"),
    here("replica-priority", Int { min: 0, max: I32 }, "100",
        "sentinels prefer replicas with a lower one, and never promote those with 0")
        .or("slave-priority"),
    fixed("replica-read-only", Bool, "yes", "a replica has its master's log, byte for byte")
        .or("slave-read-only"),
    here("replica-serve-stale-data", Bool, "yes",
        "whether a replica that does not hear its master answers from what it has")
        .or("slave-serve-stale-data"),
    here("replicaof", Form(form::replicaof), "",
        "host and port of the master that this server follows; empty, or `no one`, is none")
        .at_start().or("slaveof"),
    here("requirepass", Text, "", "the password of the default user; empty is none"),
    accepted("sanitize-dump-payload", Choice(&["no", "yes", "clients"]), "no",
        "nothing is restored from dumps"),
    accepted("save", Form(form::save), "", NO_SNAPSHOTS),
    here("segment-size", Memory { min: MB, max: 1 << 30 }, "64mb",
        "the size of the files that the log is made of").at_start(),
    accepted("server-cpulist", Text, "", PROCESS).at_start().or("server_cpulist"),
    accepted("set-max-intset-entries", Int { min: 0, max: MAX }, "512", NO_OTHER_TYPES),
    accepted("set-max-listpack-entries", Int { min: 0, max: MAX }, "128", NO_OTHER_TYPES),
    accepted("set-max-listpack-value", Int { min: 0, max: MAX }, "64", NO_OTHER_TYPES),
    accepted("set-proc-title", Bool, "yes", PROCESS).at_start(),
    here("settle-after", Memory { min: MB, max: MAX }, "128mb",
        "the part at the end of the log whose entries stay there, with an index in memory; what is \
         older and still alive moves to data files, and what was trimmed before is never copied"),
    accepted("shutdown-on-sigint", Form(form::shutdown), "default", SHUTDOWN),
    accepted("shutdown-on-sigterm", Form(form::shutdown), "default", SHUTDOWN),
    accepted("shutdown-timeout", Int { min: 0, max: I32 }, "10", SHUTDOWN),
    accepted("slowlog-log-slower-than", Int { min: -1, max: MAX }, "10000", NOT_MEASURED),
    accepted("slowlog-max-len", Int { min: 0, max: MAX }, "128", NOT_MEASURED),
    accepted("socket-mark-id", Int { min: 0, max: 4_294_967_295 }, "0", PROCESS).at_start(),
    accepted("stop-writes-on-bgsave-error", Bool, "yes", NO_SNAPSHOTS),
    accepted("stream-idmp-duration", Int { min: 1, max: 86_400 }, "100", NO_IDMP),
    accepted("stream-idmp-maxsize", Int { min: 1, max: 10_000 }, "100", NO_IDMP),
    here("stream-node-max-bytes", Memory { min: 0, max: MAX }, "4096",
        "where `~` trimming may stop: a node has at most so many bytes; 0 is no limit"),
    here("stream-node-max-entries", Int { min: 0, max: MAX }, "100",
        "where `~` trimming may stop: a node has at most so many entries; 0 is no limit"),
    accepted("supervised", Choice(&["no", "upstart", "systemd", "auto"]), "no", PROCESS).at_start(),
    here("sync-replicas", Int { min: 0, max: 64 }, "0",
        "a change is answered, and seen by others, once so many replicas have it on their disks"),
    here("sync-replicas-timeout", Int { min: 0, max: MAX }, "0",
        "milliseconds after which one who waits for `sync-replicas` is told `INDOUBT` and closed: \
         what it asked for may have been done, and may be lost; 0 is to wait for ever"),
    accepted("syslog-enabled", Bool, "no", SYSLOG).at_start(),
    accepted("syslog-facility", Choice(FACILITIES), "local0", SYSLOG).at_start(),
    accepted("syslog-ident", Text, "redis", SYSLOG).at_start(),
    here("tcp-backlog", Int { min: 0, max: I32 }, "511",
        "how many connections may wait to be accepted").at_start(),
    here("tcp-keepalive", Int { min: 0, max: I32 }, "300",
        "seconds of silence after which the peer is probed; 0 is never"),
    here("timeout", Int { min: 0, max: I32 }, "0",
        "seconds without a request after which a client is disconnected; 0 is never"),
    fixed("tls-auth-clients", Choice(&["no", "yes", "optional"]), "yes", NO_TLS),
    fixed("tls-ca-cert-dir", Text, "", NO_TLS),
    fixed("tls-ca-cert-file", Text, "", NO_TLS),
    fixed("tls-cert-file", Text, "", NO_TLS),
    fixed("tls-ciphers", Text, "", NO_TLS),
    fixed("tls-ciphersuites", Text, "", NO_TLS),
    fixed("tls-client-cert-file", Text, "", NO_TLS),
    fixed("tls-client-key-file", Text, "", NO_TLS),
    fixed("tls-client-key-file-pass", Text, "", NO_TLS),
    fixed("tls-cluster", Bool, "no", NO_TLS),
    fixed("tls-dh-params-file", Text, "", NO_TLS),
    fixed("tls-key-file", Text, "", NO_TLS),
    fixed("tls-key-file-pass", Text, "", NO_TLS),
    fixed("tls-port", Int { min: 0, max: 65_535 }, "0", NO_TLS),
    fixed("tls-prefer-server-ciphers", Bool, "no", NO_TLS),
    fixed("tls-protocols", Text, "", NO_TLS),
    fixed("tls-replication", Bool, "no", NO_TLS),
    fixed("tls-session-cache-size", Int { min: 0, max: I32 }, "20480", NO_TLS),
    fixed("tls-session-cache-timeout", Int { min: 0, max: I32 }, "300", NO_TLS),
    fixed("tls-session-caching", Bool, "yes", NO_TLS),
    accepted("tracking-table-max-keys", Int { min: 0, max: MAX }, "1000000",
        "there is no client-side caching"),
    fixed("unixsocket", Text, "", NO_UNIX_SOCKET).at_start(),
    fixed("unixsocketperm", Text, "0", NO_UNIX_SOCKET).at_start(),
    accepted("vset-force-single-threaded-execution", Bool, "no", NO_OTHER_TYPES),
    here("worker-threads", Int { min: 0, max: 1024 }, "0",
        "how many threads serve clients; 0 is one for each processor").at_start(),
    accepted("zset-max-listpack-entries", Int { min: 0, max: MAX }, "128",
        NO_OTHER_TYPES).or("zset-max-ziplist-entries"),
    accepted("zset-max-listpack-value", Memory { min: 0, max: MAX }, "64",
        NO_OTHER_TYPES).or("zset-max-ziplist-value"),
];
