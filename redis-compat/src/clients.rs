//! The client matrix: ordinary programs that use a server through ordinary libraries.
//!
//! Every program is run as a process of its own with the server's address, empties the server,
//! asserts what it gets, and says by its exit code whether all was right: redis-py, ioredis and
//! node-redis from `redis-compat/clients`, and the crate `redis` from [`rust`].
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "the report is the product"
)]

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Instant;

use crate::server::{Part, Server, Target, oracle_dir};

mod rust;

/// Options of `clients`.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// A running server, HOST:PORT, or the name of an installed one, such as redis-8.2.
    #[arg(long, conflicts_with = "ours_bin")]
    ours: Option<String>,
    /// The program under test; without --ours, the headwater built beside this program.
    #[arg(long)]
    ours_bin: Option<PathBuf>,
    /// Be the Rust client of the server at this address: how this program runs it.
    #[arg(long, hide = true)]
    be_rust: Option<SocketAddr>,
    /// Only these: redis-py, ioredis, node-redis, rust.
    filter: Vec<String>,
}

/// Runs `clients`. Succeeds when every client does; 1 when one does not, 2 when there is no server.
pub(crate) fn run(options: &Options) -> ExitCode {
    if let Some(addr) = options.be_rust {
        return match rust::run(addr) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("{error}");
                ExitCode::FAILURE
            }
        };
    }
    let target = match (&options.ours, &options.ours_bin) {
        (Some(name), _) => Target::parse(name),
        (None, Some(path)) => Ok(Target::program(path)),
        (None, None) => Target::ours(),
    };
    let mut server = match target.and_then(|target| Server::start(&target, Part::Server)) {
        Ok(server) => server,
        Err(error) => {
            eprintln!("redis-compat: {error}");
            return ExitCode::from(2);
        }
    };
    let mut failed = 0;
    for (name, mut command) in matrix(server.addr) {
        let wanted = &options.filter;
        if !wanted.is_empty() && !wanted.iter().any(|wanted| wanted == name) {
            continue;
        }
        let began = Instant::now();
        // What it prints goes where ours goes.
        match command.status() {
            Ok(status) if status.success() => {
                println!("{name}: ok, {:.1} s", began.elapsed().as_secs_f64());
            }
            Ok(status) => {
                println!("{name}: failed against {}, {status}", server.name);
                failed += 1;
            }
            Err(error) => {
                println!("{name}: {:?}: {error}", command.get_program());
                println!("redis-compat/setup installs the clients");
                failed += 1;
            }
        }
        if let Some(obituary) = server.obituary() {
            println!("the server ended, {obituary}");
            return ExitCode::FAILURE;
        }
    }
    if failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// Every client and how it is run.
fn matrix(addr: SocketAddr) -> Vec<(&'static str, Command)> {
    let oracle = oracle_dir();
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients");
    let script = |program: PathBuf, source: &str| {
        let mut command = Command::new(program);
        command
            .arg(sources.join(source))
            .arg(addr.to_string())
            .env("HEADWATER_ORACLE", &oracle);
        command
    };
    let us = std::env::current_exe().unwrap_or_else(|_| "headwater-redis-compat".into());
    let mut rust = Command::new(us);
    rust.args(["clients", "--be-rust", &addr.to_string()]);
    vec![
        ("redis-py", script(oracle.join("python"), "redis_py.py")),
        ("ioredis", script("node".into(), "ioredis.mjs")),
        ("node-redis", script("node".into(), "node_redis.mjs")),
        ("rust", rust),
    ]
}
