//! Log lines: where they go, and which of them are written.
//!
//! They go to standard error, or to the end of `logfile`. `loglevel` says which, at the start and
//! whenever `CONFIG SET` changes it.

use std::fs::OpenOptions;
use std::io::{self, IsTerminal as _};
use std::sync::Mutex;

use tracing_subscriber::Registry;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::writer::BoxMakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::reload;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::config::{self, Config};

/// The least important log lines that are written.
pub(crate) struct Logging {
    level: reload::Handle<LevelFilter, Registry>,
}

impl Logging {
    /// Begins to write log lines.
    ///
    /// # Errors
    ///
    /// When `logfile` cannot be opened.
    ///
    /// # Panics
    ///
    /// When called twice in a process.
    pub(crate) fn start(config: &Config) -> io::Result<Self> {
        let path = config.text(config::LOGFILE);
        let (writer, ansi) = if path.is_empty() {
            let ansi = io::stderr().is_terminal();
            (BoxMakeWriter::new(io::stderr), ansi)
        } else {
            let file = OpenOptions::new().create(true).append(true).open(path)?;
            (BoxMakeWriter::new(Mutex::new(file)), false)
        };
        let (filter, level) = reload::Layer::new(wanted(config));
        let lines = tracing_subscriber::fmt::layer()
            .with_target(false)
            .with_ansi(ansi)
            .with_writer(writer);
        tracing_subscriber::registry()
            .with(filter)
            .with(lines)
            .init();
        Ok(Self { level })
    }

    /// Nobody writes log lines.
    #[cfg(test)]
    pub(crate) fn silent() -> Self {
        let (_, level) = reload::Layer::new(LevelFilter::OFF);
        Self { level }
    }

    /// Follows `loglevel`.
    pub(crate) fn set(&self, config: &Config) {
        // It fails only when nobody writes log lines any more, at the very end.
        drop(self.level.reload(wanted(config)));
    }
}

fn wanted(config: &Config) -> LevelFilter {
    match config.choice(config::LOGLEVEL) {
        "debug" => LevelFilter::DEBUG,
        "warning" => LevelFilter::WARN,
        // What ends the server is said all the same.
        "nothing" => LevelFilter::ERROR,
        _ => LevelFilter::INFO,
    }
}
