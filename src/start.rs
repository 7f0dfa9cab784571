//! From the command line to a running server.

use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;

use crate::config::{self, Config};
use crate::server;

/// What `headwater --help` says.
const HELP: &str = "\
Headwater: durable streams over the Redis protocol

usage: headwater [FILE] [--DIRECTIVE VALUE ...]

  FILE                 a configuration file in the manner of redis.conf; - reads standard input
  --DIRECTIVE VALUE    any directive of the file, for example --port 7000 --dir /var/lib/headwater
  --version            prints the version
  --help               prints this

Without arguments it serves on 127.0.0.1:6379 with its data in ./headwater-data.
";

/// Runs the program and says how it ended.
pub fn main() -> ExitCode {
    let args: Vec<_> = std::env::args_os().skip(1).collect();
    match args.first().and_then(|arg| arg.to_str()) {
        Some("--help" | "-h") => return say(HELP),
        Some("--version" | "-v") => {
            return say(&format!("Headwater {}\n", env!("CARGO_PKG_VERSION")));
        }
        _ => {}
    }
    let config = match Config::load(args.into_iter()) {
        Ok(config) => config,
        Err(error) => return complain(&error.to_string(), 1),
    };
    start_logging(&config);
    match server::run(config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            tracing::error!("{fault}");
            ExitCode::from(fault.exit_code())
        }
    }
}

fn say(text: &str) -> ExitCode {
    match std::io::stdout().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn complain(text: &str, code: u8) -> ExitCode {
    // When not even this can be written, the exit code still says it.
    drop(writeln!(std::io::stderr(), "headwater: {text}"));
    ExitCode::from(code)
}

/// Log lines go to standard error, as the operator's `loglevel` wants them.
fn start_logging(config: &Config) {
    let level = match config.choice(config::LOGLEVEL) {
        "debug" => tracing::Level::DEBUG,
        "warning" => tracing::Level::WARN,
        "nothing" => tracing::Level::ERROR,
        _ => tracing::Level::INFO,
    };
    tracing_subscriber::fmt()
        .with_max_level(level)
        .with_target(false)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        .init();
}
