//! What the operator decided: one table of directives, and their values.
//!
//! ```text
//!                      table.rs  name, kind, default, when, meaning, doc
//!                          |
//!   file, command line --- | ---> load.rs  --+
//!                          |                 +--> Config: a value per directive
//!   CONFIG SET ----------- | ---> set() -----+      |  int() flag() choice() text()  by Id
//!                          |                        +--> CONFIG GET: matching()
//!                          |                        +--> CONFIG REWRITE: rewrite.rs
//!                          +----> describe.rs: the README's table
//! ```
//!
//! A redis.conf starts this server, or the server says why not: every directive of Redis 7.0 and
//! 8.2 is in the table, with its meaning, as accepted without one, or as refused.
//!
//! Invariants:
//!
//! * Every stored value has passed its directive's [`Kind::parse`].
//! * `CONFIG SET` changes all that it names, or nothing. A reader may see one of two directives
//!   changed and the other not yet.
//! * No value holds a control character, so no value can forge a line of a file.
//! * A number is read with one relaxed load: commands read their limits afresh each time.

mod describe;
mod form;
mod id;
mod load;
mod rewrite;
mod table;
mod value;

use std::borrow::Cow;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};

use parking_lot::{Mutex, RwLock};

use crate::glob::{self, Case};

pub(crate) use self::describe::describe;
use self::form::OutputLimits;
pub(crate) use self::form::{OutputLimit, Watermark, is_host};
pub(crate) use self::id::*;
pub(crate) use self::load::{ConfigError, Placed, Statement};
pub(crate) use self::rewrite::{ADDED, RewriteError, quoted};
use self::table::{DIRECTIVES, Directive, Meaning, When};
use self::value::{Fault, Given, Kind, Source, Value};

/// The value of every directive. Shared by reference between threads.
pub(crate) struct Config {
    /// As many as [`DIRECTIVES`], in the same order.
    cells: Box<[Cell]>,
    /// The file that the server was started with, and that `CONFIG REWRITE` writes.
    file: Option<PathBuf>,
    /// Held while values are replaced: two `CONFIG SET`s do not mix.
    changing: Mutex<()>,
}

/// Where a value is kept.
enum Cell {
    Number(AtomicI64),
    Text(RwLock<String>),
}

impl Config {
    /// Every directive at its default, and no file.
    pub(crate) fn defaults() -> Self {
        let cells = DIRECTIVES
            .iter()
            .map(|directive| match directive.default_value() {
                Value::Number(number) => Cell::Number(AtomicI64::new(number)),
                Value::Text(text) => Cell::Text(RwLock::new(text)),
            });
        Self {
            cells: cells.collect(),
            file: None,
            changing: Mutex::new(()),
        }
    }

    /// The number of an `Int` or `Memory` directive (in bytes then); 0 or 1 of a `Bool`.
    ///
    /// # Panics
    /// When the directive's value is text.
    pub(crate) fn int(&self, id: Id) -> i64 {
        match &self.cells[id.0] {
            Cell::Number(number) => number.load(Relaxed),
            Cell::Text(_) => panic!("{} is text", DIRECTIVES[id.0].name),
        }
    }

    /// [`int`](Self::int) of a directive that cannot be negative.
    ///
    /// # Panics
    /// When the directive's value is text, or below zero.
    pub(crate) fn size(&self, id: Id) -> u64 {
        u64::try_from(self.int(id)).expect("the table's minimum is not below zero")
    }

    /// Whether a `Bool` is `yes`.
    ///
    /// # Panics
    /// When the directive's value is text.
    pub(crate) fn flag(&self, id: Id) -> bool {
        self.int(id) != 0
    }

    /// The word of a `Choice`, in the table's spelling.
    ///
    /// # Panics
    /// When the directive is no `Choice`.
    pub(crate) fn choice(&self, id: Id) -> &'static str {
        match DIRECTIVES[id.0].kind {
            Kind::Choice(choices) => value::choice(choices, self.int(id)),
            _ => panic!("{} is no choice", DIRECTIVES[id.0].name),
        }
    }

    /// The value as `CONFIG GET` prints it. Words have one space between them.
    pub(crate) fn text(&self, id: Id) -> String {
        DIRECTIVES[id.0].kind.print(&self.value(id))
    }

    /// `client-output-buffer-limit`.
    pub(crate) fn output_limits(&self) -> OutputLimits {
        OutputLimits::parse(&self.text(CLIENT_OUTPUT_BUFFER_LIMIT))
    }

    /// A directive about disk space.
    ///
    /// # Panics
    /// When the directive is about something else.
    pub(crate) fn watermark(&self, id: Id) -> Watermark {
        Watermark::parse(&self.text(id)).expect("the canonical text is within the grammar")
    }

    /// The file that the server was started with, as an absolute path.
    pub(crate) fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    /// The directives that were set to something that has no effect here, in the table's order.
    /// For one line of the log at the start.
    pub(crate) fn ineffective(&self) -> impl Iterator<Item = &'static Directive> {
        Id::all()
            .filter(|&id| !self.is_default(id))
            .map(Id::directive)
            .filter(|directive| directive.meaning == Meaning::Accepted)
    }

    /// `CONFIG GET`: the directives whose name or alias matches one of the patterns, each with its
    /// value, in the table's order. A pattern without wildcards is a name in either case, and is
    /// what the directive is then shown under.
    pub(crate) fn matching<P: AsRef<[u8]>>(
        &self,
        patterns: &[P],
    ) -> Vec<(Cow<'static, str>, String)> {
        let mut found = Vec::new();
        for id in Id::all() {
            let Directive { name, alias, .. } = *id.directive();
            for name in [Some(name), alias].into_iter().flatten() {
                let shown = patterns
                    .iter()
                    .find_map(|pattern| shown(name, pattern.as_ref()));
                found.extend(shown.map(|name| (name, self.text(id))));
            }
        }
        found
    }

    /// `CONFIG SET`: sets all pairs of name and value, or nothing. What was changed is returned,
    /// without the directives that had their value before.
    ///
    /// # Errors
    /// The first name that cannot be set, or else the first value that is not accepted.
    pub(crate) fn set(&self, pairs: &[(&[u8], &[u8])]) -> Result<Vec<Id>, SetError> {
        let mut found = Vec::with_capacity(pairs.len());
        for (name, _) in pairs {
            let (id, name) = named(name).ok_or_else(|| SetError::unknown(name))?;
            let refused = |why| Err(SetError::Failed { name, why });
            if id.directive().when == When::Startup {
                return refused(Why::Immutable);
            }
            if found.iter().any(|&(_, before)| before == name) {
                return refused(Why::Duplicate);
            }
            found.push((id, name));
        }
        let _changing = self.changing.lock();
        let mut values = Vec::with_capacity(pairs.len());
        for (&(id, name), (_, text)) in found.iter().zip(pairs) {
            let value = str::from_utf8(text).map_err(|_not_utf8| Fault::NotUtf8);
            let value = value.and_then(|text| self.parse(id, &[text], Source::Runtime));
            values.push((
                id,
                value.map_err(|fault| SetError::Failed {
                    name,
                    why: Why::Value(fault),
                })?,
            ));
        }
        let mut changed = Vec::new();
        for (id, value) in values {
            if self.value(id) != value {
                self.store(id, value);
                changed.push(id);
            }
        }
        Ok(changed)
    }

    /// Sets `replicaof`, which commands do.
    ///
    /// # Panics
    /// When the text is no value of it.
    pub(crate) fn set_role(&self, text: &str) {
        let _changing = self.changing.lock();
        let value = self.parse(REPLICAOF, &[text], Source::Runtime);
        self.store(REPLICAOF, value.expect("a role can be written down"));
    }

    /// The value that `words` mean for a directive. One word is words between spaces where the
    /// directive takes several.
    fn parse(&self, id: Id, words: &[&str], source: Source) -> Result<Value, Fault> {
        let directive = id.directive();
        let current = self.text(id);
        let split: Vec<&str>;
        let words = match words {
            [word] if directive.kind.takes_words() => {
                split = word.split(' ').collect();
                &split
            }
            words => words,
        };
        let value = directive.kind.parse(&Given {
            words,
            current: &current,
            source,
        })?;
        match directive.meaning {
            Meaning::Fixed if value != directive.default_value() => {
                Err(Fault::Fixed(directive.doc))
            }
            _ => Ok(value),
        }
    }

    fn value(&self, id: Id) -> Value {
        match &self.cells[id.0] {
            Cell::Number(number) => Value::Number(number.load(Relaxed)),
            Cell::Text(text) => Value::Text(text.read().clone()),
        }
    }

    /// Replaces a value by one of the same kind.
    fn store(&self, id: Id, value: Value) {
        match (&self.cells[id.0], value) {
            (Cell::Number(cell), Value::Number(number)) => cell.store(number, Relaxed),
            (Cell::Text(cell), Value::Text(text)) => *cell.write() = text,
            _ => unreachable!("a kind parses to numbers only, or to text only"),
        }
    }

    fn is_default(&self, id: Id) -> bool {
        self.value(id) == id.directive().default_value()
    }
}

impl Id {
    /// All directives, in the table's order.
    fn all() -> impl Iterator<Item = Self> {
        (0..DIRECTIVES.len()).map(Self)
    }

    /// The row of the table.
    pub(crate) fn directive(self) -> &'static Directive {
        &DIRECTIVES[self.0]
    }
}

impl Directive {
    fn default_value(&self) -> Value {
        let split: Vec<&str>;
        let words = if self.kind.takes_words() {
            split = self.default.split(' ').collect();
            &split
        } else {
            &[self.default][..]
        };
        let given = Given {
            words,
            current: "",
            source: Source::Start,
        };
        self.kind
            .parse(&given)
            .expect("the table's defaults are values")
    }
}

/// The directive that has this name or alias, in either case; and which of the two it is.
fn named(text: &[u8]) -> Option<(Id, &'static str)> {
    Id::all().find_map(|id| {
        let Directive { name, alias, .. } = *id.directive();
        let mut names = [Some(name), alias].into_iter().flatten();
        Some((
            id,
            names.find(|name| name.as_bytes().eq_ignore_ascii_case(text))?,
        ))
    })
}

/// What a name is shown under when a pattern of `CONFIG GET` matches it.
fn shown(name: &'static str, pattern: &[u8]) -> Option<Cow<'static, str>> {
    if !glob::matches(pattern, name.as_bytes(), Case::Ignored) {
        return None;
    }
    let exact = pattern.eq_ignore_ascii_case(name.as_bytes());
    let asked = if exact {
        str::from_utf8(pattern).ok()
    } else {
        None
    };
    Some(match asked {
        Some(asked) if asked != name => Cow::Owned(asked.to_owned()),
        _ => Cow::Borrowed(name),
    })
}

/// Why `CONFIG SET` changed nothing. `Display` is Redis' text, without the code before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SetError {
    Failed { name: &'static str, why: Why },
    Unknown { name: Box<str> },
}

/// What is wrong with one pair of a `CONFIG SET`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Why {
    Duplicate,
    Immutable,
    Value(Fault),
}

impl SetError {
    /// Quotes at most this much of a name that the client made up.
    const QUOTED_MAX: usize = 128;

    fn unknown(name: &[u8]) -> Self {
        let quoted = String::from_utf8_lossy(&name[..name.len().min(Self::QUOTED_MAX)]);
        let printable = |letter: char| if letter.is_control() { '?' } else { letter };
        Self::Unknown {
            name: quoted.chars().map(printable).collect(),
        }
    }
}

impl fmt::Display for SetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed { name, why } => {
                write!(
                    f,
                    "CONFIG SET failed (possibly related to argument '{name}') - "
                )?;
                match why {
                    Why::Duplicate => f.write_str("duplicate parameter"),
                    Why::Immutable => f.write_str("can't set immutable config"),
                    Why::Value(fault) => fault.fmt(f),
                }
            }
            Self::Unknown { name } => {
                write!(
                    f,
                    "Unknown option or number of arguments for CONFIG SET - '{name}'"
                )
            }
        }
    }
}

#[cfg(test)]
mod tests;
