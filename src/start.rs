//! From the command line to a running server.

use std::ffi::OsString;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::command;
use crate::config::{self, Config};
use crate::logging::Logging;
use crate::sentinel::{self, State};
use crate::server;
use crate::tools;

/// What `headwater --help` says.
const HELP: &str = "\
Headwater: durable streams over the Redis protocol

usage: headwater [FILE] [--DIRECTIVE VALUE ...]
       headwater --sentinel FILE [--DIRECTIVE VALUE ...]
       headwater check DIR
       headwater backup DIR TARGET

  FILE                 a configuration file in the manner of redis.conf; - reads standard input
  --DIRECTIVE VALUE    any directive of the file, for example --port 7000 --dir /var/lib/headwater
  --sentinel FILE      watches masters, and has replicas take their place, as Redis' Sentinel does;
                       FILE is one in the manner of sentinel.conf, and is written; a program whose
                       name contains \"sentinel\" does so without being told
  check DIR            verifies the data in DIR, tells every finding, and ends with 0 (whole),
                       1 (torn, as by a crash), 2 (damaged), 64 (usage) or 74 (unreadable)
  backup DIR TARGET    copies the data in DIR, which no server uses, to a new directory
  --commands           prints the commands that the server knows, as Markdown
  --directives         prints all directives with their meaning, as Markdown
  --version            prints the version
  --help               prints this

Without arguments it serves on 127.0.0.1:6379 with its data in ./headwater-data. A monitor serves on
port 26379 of all addresses.
";

/// Runs the program and says how it ended.
pub fn main() -> ExitCode {
    let args: Vec<_> = std::env::args_os().skip(1).collect();
    if let Some(ended) = tools::run(&args) {
        return ended;
    }
    match args.first().and_then(|arg| arg.to_str()) {
        Some("--help" | "-h") => return say(HELP),
        Some("--commands") => return say(&command::describe()),
        Some("--directives") => return say(&config::describe()),
        Some("--version" | "-v") => {
            return say(&format!("Headwater {}\n", env!("CARGO_PKG_VERSION")));
        }
        _ => {}
    }
    let (config, monitor) = match load(args) {
        Ok(loaded) => loaded,
        Err(error) => return complain(&error, 1),
    };
    let logging = match Logging::start(&config) {
        Ok(logging) => logging,
        Err(error) => {
            let path = config.text(config::LOGFILE);
            return complain(&format!("could not open the log file {path}: {error}"), 1);
        }
    };
    say_what_has_no_effect(&config);
    let pid_file = match PidFile::write(&config.text(config::PIDFILE)) {
        Ok(pid_file) => pid_file,
        Err(error) => {
            let path = config.text(config::PIDFILE);
            return complain(&format!("could not write the pid file {path}: {error}"), 1);
        }
    };
    let code = match server::run(config, monitor, logging) {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            tracing::error!("{fault}");
            ExitCode::from(fault.exit_code())
        }
    };
    drop(pid_file);
    code
}

/// What the arguments ask for: with the state of a monitor, if that is what this is to be.
fn load(mut args: Vec<OsString>) -> Result<(Config, Option<State>), String> {
    let name = std::env::args_os().next().unwrap_or_default();
    let name = Path::new(&name).file_name().unwrap_or_default();
    let is_told = args.iter().any(|arg| arg == MONITOR);
    if !is_told && !name.to_string_lossy().contains("sentinel") {
        let config = Config::load(args.into_iter()).map_err(|error| error.to_string())?;
        return Ok((config, None));
    }
    args.retain(|arg| arg != MONITOR);
    let loaded = Config::load_monitor(args.into_iter());
    let (config, lines) = loaded.map_err(|error| error.to_string())?;
    let state = sentinel::read(&config, &lines).map_err(|unfit| unfit.to_string())?;
    Ok((config, Some(state)))
}

/// The argument that makes a monitor, wherever it stands.
const MONITOR: &str = "--sentinel";

/// Tells the operator once which of the directives that were set mean nothing here.
fn say_what_has_no_effect(config: &Config) {
    let names: Vec<&str> = config
        .ineffective()
        .map(|directive| directive.name)
        .collect();
    if !names.is_empty() {
        tracing::info!("accepted without effect here: {}", names.join(", "));
    }
}

/// The file that holds the process' number while it runs.
struct PidFile(PathBuf);

impl PidFile {
    /// Writes the file, if one is wanted.
    fn write(path: &str) -> io::Result<Option<Self>> {
        if path.is_empty() {
            return Ok(None);
        }
        std::fs::write(path, format!("{}\n", std::process::id()))?;
        Ok(Some(Self(path.into())))
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        // Somebody else may have removed it.
        drop(std::fs::remove_file(&self.0));
    }
}

fn say(text: &str) -> ExitCode {
    match io::stdout().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// Says on standard error why the program ends, and with what code it does.
pub(crate) fn complain(text: &str, code: u8) -> ExitCode {
    // When not even this can be written, the exit code still says it.
    drop(writeln!(io::stderr(), "headwater: {text}"));
    ExitCode::from(code)
}
