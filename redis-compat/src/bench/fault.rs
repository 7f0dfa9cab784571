//! Why a run gave no figures.

use std::{fmt, io};

/// Why a run gave no figures. The bench prints it in place of them and goes on with the next run.
#[derive(Debug)]
pub(super) enum Fault {
    /// Not every round gave figures; why was told with the others'.
    Incomplete,
    /// The system refused something.
    Io(io::Error),
    /// The server answered with an error: its text.
    Refused(String),
    /// The options ask for what cannot be.
    Setting(String),
    /// No reply in the whole time of measuring.
    Silent,
    /// The server did not start: what it wrote last.
    Start(String),
    /// A reply that is not what the request must lead to: what was expected.
    Wrong(&'static str),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Incomplete => f.write_str("not every round gave figures"),
            Self::Io(error) => write!(f, "{error}"),
            Self::Refused(text) => write!(f, "refused: {text}"),
            Self::Setting(text) => f.write_str(text),
            Self::Silent => f.write_str("no reply in the whole time of measuring"),
            Self::Start(said) => write!(f, "did not start: {said}"),
            Self::Wrong(expected) => write!(f, "wrong reply: expected {expected}"),
        }
    }
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<rustix::io::Errno> for Fault {
    fn from(error: rustix::io::Errno) -> Self {
        Self::Io(error.into())
    }
}
