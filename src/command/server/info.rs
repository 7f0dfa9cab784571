//! `INFO [section ...]`: figures of the server, in the sections, order and names of Redis.
//!
//! * A field is here if this server has a true value for it. What Redis counts and this server has
//!   not (scripts, evictions, replicas) is zero where clients and monitors look for it.
//! * It depends on nothing that is not committed, and waits for nothing: a monitor must hear of a
//!   master that has nobody yet by whom anything could be committed.
//! * `default`, and no name at all, is all but the statistics of each command.
//! * A monitor has the sections that do not speak of data, and one of its own.

mod persistence;
mod replication;
mod sentinel;

use std::fmt::Display;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::clock;
use crate::command::{Access, Arg, Args, Body, Cx, Data, Group, Halt, Outcome, Spec, Traits};
use crate::config;
use crate::process;
use crate::pubsub::Kind;
use crate::server::REDIS_VERSION;

pub(crate) static INFO: Spec = Spec {
    name: "info",
    summary: "Returns figures of the server.",
    since: "1.0.0",
    complexity: "O(1)",
    group: Group::Server,
    access: Access::Neither,
    traits: Traits::LOADING.and(Traits::STALE).and(Traits::DANGEROUS),
    tips: &[
        "nondeterministic_output",
        "request_policy:all_shards",
        "response_policy:special",
    ],
    args: &[Arg::string("section").optional().many()],
    body: Body::Run(run),
};

pub(crate) static INFO_OF_A_MONITOR: Spec = Spec {
    body: Body::Run(run_of_a_monitor),
    ..INFO
};

/// One part of the answer.
struct Section {
    /// In the answer; in any case of letters in the question.
    title: &'static str,
    /// Whether it is shown to those who name no section.
    by_default: bool,
    write: fn(&mut Fields, &Data<'_>),
}

/// In the order in which they are shown.
const SECTIONS: &[Section] = &[
    Section {
        title: "Server",
        by_default: true,
        write: server,
    },
    Section {
        title: "Clients",
        by_default: true,
        write: clients,
    },
    Section {
        title: "Memory",
        by_default: true,
        write: memory,
    },
    Section {
        title: "Persistence",
        by_default: true,
        write: persistence::persistence,
    },
    Section {
        title: "Stats",
        by_default: true,
        write: stats,
    },
    Section {
        title: "Replication",
        by_default: true,
        write: replication::replication,
    },
    Section {
        title: "CPU",
        by_default: true,
        write: cpu,
    },
    Section {
        title: "Modules",
        by_default: true,
        write: |_, _| {},
    },
    Section {
        title: "Commandstats",
        by_default: false,
        write: command_stats,
    },
    Section {
        title: "Errorstats",
        by_default: true,
        write: error_stats,
    },
    Section {
        title: "Cluster",
        by_default: true,
        write: cluster,
    },
    Section {
        title: "Keyspace",
        by_default: true,
        write: keyspace,
    },
];

/// In the order in which they are shown.
const SECTIONS_OF_A_MONITOR: &[Section] = &[
    Section {
        title: "Server",
        by_default: true,
        write: server,
    },
    Section {
        title: "Clients",
        by_default: true,
        write: clients,
    },
    Section {
        title: "Stats",
        by_default: true,
        write: stats,
    },
    Section {
        title: "CPU",
        by_default: true,
        write: cpu,
    },
    Section {
        title: "Sentinel",
        by_default: true,
        write: sentinel::sentinel,
    },
];

/// The lines of a section.
#[derive(Default)]
struct Fields(String);

impl Fields {
    fn put(&mut self, name: &str, value: impl Display) {
        self.line(format_args!("{name}:{value}"));
    }

    /// A number of bytes, and the same for humans.
    fn put_bytes(&mut self, name: &str, bytes: u64) {
        self.put(name, bytes);
        self.put(&format!("{name}_human"), human(bytes));
    }

    /// A part of a whole, in percent.
    fn put_percent(&mut self, name: &str, part: u64, whole: u64) {
        self.put(name, format_args!("{:.2}", ratio(part, whole) * 100.0));
    }

    fn line(&mut self, line: impl Display) {
        self.0.push_str(&line.to_string());
        self.0.push_str("\r\n");
    }
}

fn run(cx: &mut Cx<'_>, args: &mut Args<'_>) -> Result<Outcome, Halt> {
    let text = text(SECTIONS, cx, args);
    cx.out.verbatim(text.as_bytes());
    Ok(Outcome::Done)
}

fn run_of_a_monitor(cx: &mut Cx<'_>, args: &mut Args<'_>) -> Result<Outcome, Halt> {
    let text = text(SECTIONS_OF_A_MONITOR, cx, args);
    cx.out.bulk(text.as_bytes());
    Ok(Outcome::Done)
}

/// Those of the sections that are asked for.
fn text(sections: &[Section], cx: &Cx<'_>, args: &mut Args<'_>) -> String {
    let names: Vec<&[u8]> = args.rest().collect();
    let mut fields = Fields::default();
    for section in sections.iter().filter(|section| section.is_wanted(&names)) {
        if !fields.0.is_empty() {
            fields.line("");
        }
        fields.line(format_args!("# {}", section.title));
        (section.write)(&mut fields, cx);
    }
    fields.0
}

impl Section {
    fn is_wanted(&self, names: &[&[u8]]) -> bool {
        if names.is_empty() {
            return self.by_default;
        }
        names.iter().any(|name| {
            let is = |other: &str| name.eq_ignore_ascii_case(other.as_bytes());
            is(self.title) || is("all") || is("everything") || is("default") && self.by_default
        })
    }
}

/// `1.50M`
#[expect(clippy::cast_precision_loss, reason = "two digits are shown")]
fn human(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["K", "M", "G", "T", "P"];
    if bytes < 1024 {
        return format!("{bytes}B");
    }
    let mut size = bytes as f64 / 1024.0;
    let mut unit = 0;
    while size >= 1024.0 && unit + 1 < UNITS.len() {
        size /= 1024.0;
        unit += 1;
    }
    format!("{size:.2}{}", UNITS[unit])
}

#[expect(clippy::cast_precision_loss, reason = "two digits are shown")]
fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 {
        0.0
    } else {
        part as f64 / whole as f64
    }
}

fn of(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

fn server(fields: &mut Fields, data: &Data<'_>) {
    let server = data.server;
    let config = &server.config;
    let system = rustix::system::uname();
    let uptime = data.now.saturating_sub(server.identity.started_ms) / 1000;
    let executable = std::env::current_exe().unwrap_or_default();
    let file = config.file().map(|file| file.display().to_string());
    fields.put("redis_version", REDIS_VERSION);
    fields.put("headwater_version", env!("CARGO_PKG_VERSION"));
    fields.put("redis_mode", server.mode());
    fields.put(
        "os",
        format_args!(
            "{} {} {}",
            system.sysname().to_string_lossy(),
            system.release().to_string_lossy(),
            system.machine().to_string_lossy()
        ),
    );
    fields.put("arch_bits", usize::BITS);
    fields.put("process_id", std::process::id());
    fields.put("run_id", &server.identity.run_id);
    fields.put("tcp_port", server.identity.port);
    fields.put("server_time_usec", clock::unix_us());
    fields.put("uptime_in_seconds", uptime);
    fields.put("uptime_in_days", uptime / (24 * 60 * 60));
    fields.put("hz", config.text(config::HZ));
    fields.put("configured_hz", config.text(config::HZ));
    fields.put("executable", executable.display());
    fields.put("config_file", file.unwrap_or_default());
}

fn clients(fields: &mut Fields, data: &Data<'_>) {
    let server = data.server;
    let (keys, keys_of_groups) = server.waiters.keys_waited_for();
    let all = server.clients.all();
    let watched = |client: &crate::clients::Client| client.watched.load(Ordering::Relaxed);
    fields.put("connected_clients", all.len());
    fields.put("cluster_connections", 0);
    fields.put("maxclients", server.config.int(config::MAXCLIENTS));
    fields.put(
        "blocked_clients",
        all.iter().filter(|client| client.is_blocked()).count(),
    );
    fields.put("tracking_clients", 0);
    fields.put("pubsub_clients", server.pubsub.subscribers());
    fields.put(
        "watching_clients",
        all.iter().filter(|client| watched(client) > 0).count(),
    );
    fields.put(
        "total_watched_keys",
        all.iter().map(|client| watched(client)).sum::<usize>(),
    );
    fields.put("total_blocking_keys", keys);
    fields.put("total_blocking_keys_on_nokey", keys_of_groups);
}

fn memory(fields: &mut Fields, data: &Data<'_>) {
    let config = &data.server.config;
    let memory = process::memory();
    fields.put_bytes("used_memory", memory.used);
    fields.put_bytes("used_memory_rss", memory.resident);
    fields.put_bytes("used_memory_peak", memory.resident_peak);
    let share = ratio(memory.used, memory.resident_peak) * 100.0;
    fields.put("used_memory_peak_perc", format_args!("{share:.2}%"));
    fields.put_bytes("total_system_memory", memory.machine);
    fields.put_bytes("maxmemory", config.size(config::MAXMEMORY));
    fields.put("maxmemory_policy", config.choice(config::MAXMEMORY_POLICY));
    let fragmentation = ratio(memory.resident, memory.used);
    fields.put(
        "mem_fragmentation_ratio",
        format_args!("{fragmentation:.2}"),
    );
    fields.put("mem_allocator", "libc");
    if let Some(opened) = data.opened {
        let data = opened.store.data_stats();
        fields.put_bytes("block_cache_used", data.cache_bytes);
        fields.put_bytes("block_cache_budget", data.cache_budget);
    }
}

fn stats(fields: &mut Fields, data: &Data<'_>) {
    let server = data.server;
    let stats = &server.stats;
    let rates = stats.rates();
    fields.put("total_connections_received", of(&server.clients.total));
    fields.put("total_commands_processed", of(&stats.commands));
    fields.put("instantaneous_ops_per_sec", rates.commands);
    fields.put("total_net_input_bytes", of(&stats.net_in));
    fields.put("total_net_output_bytes", of(&stats.net_out));
    for (name, bytes) in [
        ("instantaneous_input_kbps", rates.net_in),
        ("instantaneous_output_kbps", rates.net_out),
    ] {
        fields.put(name, format_args!("{:.2}", ratio(bytes, 1024)));
    }
    fields.put("rejected_connections", of(&server.clients.refused));
    fields.put("sync_full", of(&stats.full_syncs));
    fields.put("sync_partial_ok", of(&stats.partial_syncs));
    fields.put("sync_partial_err", of(&stats.partial_refused));
    fields.put("expired_keys", of(&stats.expired));
    fields.put("evicted_keys", 0);
    fields.put("evicted_clients", 0);
    fields.put("keyspace_hits", of(&stats.hits));
    fields.put("keyspace_misses", of(&stats.misses));
    if let Some(opened) = data.opened {
        let data = opened.store.data_stats();
        fields.put("block_cache_hits", data.cache_hits);
        fields.put("block_cache_misses", data.cache_misses);
        fields.put("data_reads", data.reads);
        fields.put("data_read_bytes", data.read_bytes);
    }
    for (name, kind) in [
        ("pubsub_channels", Kind::Channel),
        ("pubsub_patterns", Kind::Pattern),
        ("pubsubshard_channels", Kind::Shard),
    ] {
        fields.put(name, server.pubsub.count(kind));
    }
    for name in ["latest_fork_usec", "total_forks"] {
        fields.put(name, 0);
    }
    fields.put("total_error_replies", of(&stats.error_replies));
}

fn cpu(fields: &mut Fields, _: &Data<'_>) {
    let cpu = process::cpu();
    fields.put(
        "used_cpu_sys",
        format_args!("{:.6}", cpu.system.as_secs_f64()),
    );
    fields.put(
        "used_cpu_user",
        format_args!("{:.6}", cpu.user.as_secs_f64()),
    );
    for name in ["used_cpu_sys_children", "used_cpu_user_children"] {
        fields.put(name, "0.000000");
    }
}

fn command_stats(fields: &mut Fields, data: &Data<'_>) {
    for (command, counted) in data.server.stats.commands() {
        let (calls, usec) = (of(&counted.calls), of(&counted.nanos) / 1000);
        fields.put(
            &format!("cmdstat_{}", command.full_name),
            format_args!(
                "calls={calls},usec={usec},usec_per_call={:.2},rejected_calls={},failed_calls={}",
                ratio(usec, calls),
                of(&counted.rejected),
                of(&counted.failed)
            ),
        );
    }
}

fn error_stats(fields: &mut Fields, data: &Data<'_>) {
    for (code, count) in data.server.stats.errors() {
        fields.put(&format!("errorstat_{code}"), format_args!("count={count}"));
    }
}

fn cluster(fields: &mut Fields, _: &Data<'_>) {
    fields.put("cluster_enabled", 0);
}

fn keyspace(fields: &mut Fields, data: &Data<'_>) {
    let Some(access) = data.access.opened() else {
        return;
    };
    let databases = data.server.config.size(config::DATABASES);
    for db in (0..databases).filter_map(|db| u8::try_from(db).ok()) {
        let (keys, expires) = access.census(db);
        if keys > 0 {
            let figures = format_args!("keys={keys},expires={expires},avg_ttl=0,subexpiry=0");
            fields.put(&format!("db{db}"), figures);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_for_humans_have_two_digits_and_a_unit() {
        for (bytes, text) in [
            (0, "0B"),
            (1023, "1023B"),
            (1024, "1.00K"),
            (1_572_864, "1.50M"),
            (25_276_510_208, "23.54G"),
        ] {
            assert_eq!(human(bytes), text);
        }
    }

    #[test]
    fn sections_are_found_in_any_case_and_by_the_names_of_several() {
        let shown = |names: &[&str]| {
            let names: Vec<&[u8]> = names.iter().map(|name| name.as_bytes()).collect();
            let wanted = SECTIONS.iter().filter(|section| section.is_wanted(&names));
            wanted.map(|section| section.title).collect::<Vec<_>>()
        };
        assert_eq!(
            shown(&["KEYSPACE", "server", "unknown"]),
            ["Server", "Keyspace"]
        );
        assert_eq!(shown(&["default", "commandstats"]), shown(&["all"]));
        assert_eq!(shown(&[]).len() + 1, shown(&["everything"]).len());
        assert!(shown(&["unknown"]).is_empty());
    }
}
