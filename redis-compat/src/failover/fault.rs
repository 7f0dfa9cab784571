//! Why a drill did not end well.

use std::fmt;
use std::io;

/// Why a drill did not end well.
#[derive(Debug)]
pub(super) enum Fault {
    /// The system refused something.
    Io(io::Error),
    /// What is asked for cannot be.
    Setting(String),
    /// A promise was broken.
    Violation(String),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => error.fmt(f),
            Self::Setting(text) | Self::Violation(text) => f.write_str(text),
        }
    }
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}
