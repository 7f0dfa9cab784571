//! From the command line to a running server.

use std::io::Write as _;
use std::process::ExitCode;

use crate::config::Config;
use crate::server;
use crate::verbosity::Verbosity;

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
    let verbosity = Verbosity::start(&config);
    match server::run(config, verbosity) {
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
