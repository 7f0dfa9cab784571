//! The start: a file in redis.conf's grammar, then the command line.
//!
//! ```text
//!   headwater [file | -] [--directive word ...] [--directive=word] ...
//! ```
//!
//! A later setting replaces an earlier one, except that lines of `save` and of
//! `client-output-buffer-limit` add up. As in Redis:
//!
//! | in a file | |
//! |---|---|
//! | blank line, line that begins with `#` | ignored; a `#` further on is a letter |
//! | `directive word ...` | words in quotes as on an inline request (`"a\x20b"`, `'a b'`) |
//! | `include path` | that file, here; `*`, `?`, `[..]` in the last part: each match, by name |
//!
//! | on the command line | |
//! |---|---|
//! | `--directive`, then words up to the next `--` | a line of a file |
//! | a `--word` right behind `--directive` | its value, but not behind `--save` |
//! | `--save` without a word | `--save ""` |
//! | `"--port 7000"`, one argument | the same as two |
//!
//! Relative paths are relative to the working directory, those of `include` too.

use std::ffi::OsString;
use std::fmt;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use headwater_resp::split_words;

use super::table::REFUSED_STATEMENTS;
use super::value::{Fault, Source};
use super::{Config, named};
use crate::glob::{self, Case};

/// How deep files may include files. A file that includes itself ends here.
const INCLUDE_DEPTH_MAX: usize = 16;

/// An error quotes at most so many letters of what it is about.
const QUOTED_MAX: usize = 128;

/// Why the server does not start. `Display` is one line: where, what stands there, what is wrong.
#[derive(Debug)]
pub(crate) struct ConfigError {
    place: Place,
    wrong: Wrong,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    CommandLine {
        argument: String,
    },
    File {
        path: PathBuf,
    },
    Line {
        path: PathBuf,
        number: usize,
        line: String,
    },
}

#[derive(Debug)]
enum Wrong {
    IncludeTooDeep,
    NotAnOption,
    NotUtf8,
    Quotes,
    Refused(&'static str),
    Unknown,
    Unreadable(io::Error),
    Value(Fault),
}

impl Config {
    /// The configuration that the arguments behind the program's name ask for.
    ///
    /// # Errors
    /// The first thing that cannot be read or obeyed.
    pub(crate) fn load(args: impl Iterator<Item = OsString>) -> Result<Self, ConfigError> {
        let mut config = Self::defaults();
        let mut args = args.peekable();
        if let Some(file) = args.next_if(|arg| !arg.as_encoded_bytes().starts_with(b"--")) {
            config.load_named(&file)?;
        }
        for option in options(args)? {
            config.obey(&option, INCLUDE_DEPTH_MAX, |wrong| option.wrong(wrong))?;
        }
        Ok(config)
    }

    /// The first argument: a path, or `-` for the standard input.
    fn load_named(&mut self, file: &OsString) -> Result<(), ConfigError> {
        let path = Path::new(file);
        if path != Path::new("-") {
            self.load_file(path, INCLUDE_DEPTH_MAX)?;
            self.file = Some(std::path::absolute(path).map_err(|error| unreadable(path, error))?);
            return Ok(());
        }
        let path = Path::new("standard input");
        let mut text = Vec::new();
        io::stdin()
            .read_to_end(&mut text)
            .map_err(|error| unreadable(path, error))?;
        self.load_text(path, &text, INCLUDE_DEPTH_MAX)
    }

    fn load_file(&self, path: &Path, depth_left: usize) -> Result<(), ConfigError> {
        let text = std::fs::read(path).map_err(|error| unreadable(path, error))?;
        self.load_text(path, &text, depth_left)
    }

    fn load_text(&self, path: &Path, text: &[u8], depth_left: usize) -> Result<(), ConfigError> {
        for (index, line) in text.split(|&byte| byte == b'\n').enumerate() {
            let wrong = |wrong| ConfigError {
                place: Place::Line {
                    path: path.to_owned(),
                    number: index + 1,
                    line: printable(&String::from_utf8_lossy(line.trim_ascii())),
                },
                wrong,
            };
            if let Some(statement) = Statement::parse(line).map_err(wrong)? {
                self.obey(&statement, depth_left, wrong)?;
            }
        }
        Ok(())
    }

    /// Sets a directive, or includes files. `place` says where a fault of the statement is; one in
    /// an included file has a place of its own.
    fn obey(
        &self,
        statement: &Statement,
        depth_left: usize,
        place: impl Fn(Wrong) -> ConfigError,
    ) -> Result<(), ConfigError> {
        let Statement { name, words } = statement;
        if name != "include" {
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            return self.apply(name, &words).map_err(place);
        }
        if depth_left == 0 {
            return Err(place(Wrong::IncludeTooDeep));
        }
        for pattern in words {
            for file in included(pattern).map_err(|error| place(Wrong::Unreadable(error)))? {
                self.load_file(&file, depth_left - 1)?;
            }
        }
        Ok(())
    }

    /// Sets one directive at the start.
    fn apply(&self, name: &str, words: &[&str]) -> Result<(), Wrong> {
        if let Some((_, why)) = REFUSED_STATEMENTS
            .iter()
            .find(|(refused, _)| *refused == name)
        {
            return Err(Wrong::Refused(why));
        }
        let (id, _) = named(name.as_bytes()).ok_or(Wrong::Unknown)?;
        let value = self.parse(id, words, Source::Start).map_err(Wrong::Value)?;
        self.store(id, value);
        Ok(())
    }
}

/// A line of a file that says something, or one `--directive word ...`.
pub(super) struct Statement {
    /// In small letters.
    name: String,
    words: Vec<String>,
}

impl Statement {
    /// `None` for a blank line or a comment.
    fn parse(line: &[u8]) -> Result<Option<Self>, Wrong> {
        let line = line.trim_ascii();
        if line.is_empty() || line[0] == b'#' {
            return Ok(None);
        }
        let mut words = Vec::new();
        split_words(line, |word| words.push(String::from_utf8(word.to_vec())))
            .map_err(|_unbalanced| Wrong::Quotes)?;
        let words: Result<Vec<String>, _> = words.into_iter().collect();
        let mut words = words.map_err(|_not_utf8| Wrong::NotUtf8)?.into_iter();
        let name = words.next().map(|name| name.to_ascii_lowercase());
        Ok(name.map(|name| Self {
            name,
            words: words.collect(),
        }))
    }

    /// What `--directive`, `--directive=word` or `--directive word` in one argument begins.
    fn begun_by(argument: &str) -> Option<Self> {
        let option = argument.strip_prefix("--")?;
        let ends_name = |letter: char| letter == '=' || letter.is_ascii_whitespace();
        let (name, words) = match option.split_once(ends_name) {
            None => (option, Vec::new()),
            Some((name, word)) => (name, vec![word.to_owned()]),
        };
        Some(Self {
            name: name.to_ascii_lowercase(),
            words,
        })
    }

    /// What is wrong with an option.
    fn wrong(&self, wrong: Wrong) -> ConfigError {
        let words = self.words.iter().map(|word| format!(" {word:?}"));
        let argument = printable(&format!("--{}{}", self.name, words.collect::<String>()));
        ConfigError {
            place: Place::CommandLine { argument },
            wrong,
        }
    }

    /// The name of a line that [`Config::load`] has accepted; `None` where it names nothing.
    pub(super) fn name_of(line: &str) -> Option<String> {
        Self::parse(line.as_bytes())
            .ok()
            .flatten()
            .map(|statement| statement.name)
    }
}

/// The options that the arguments behind the file make.
fn options(args: impl Iterator<Item = OsString>) -> Result<Vec<Statement>, ConfigError> {
    let mut options: Vec<Statement> = Vec::new();
    for argument in args {
        let argument = argument.into_string().map_err(|argument| ConfigError {
            place: Place::CommandLine {
                argument: printable(&argument.to_string_lossy()),
            },
            wrong: Wrong::NotUtf8,
        })?;
        match (options.last_mut(), Statement::begun_by(&argument)) {
            (Some(last), Some(_)) if last.words.is_empty() && last.name != "save" => {
                last.words.push(argument);
            }
            (_, Some(option)) => options.push(option),
            (Some(last), None) => last.words.push(argument),
            (None, None) => {
                let place = Place::CommandLine {
                    argument: printable(&argument),
                };
                return Err(ConfigError {
                    place,
                    wrong: Wrong::NotAnOption,
                });
            }
        }
    }
    for option in &mut options {
        if option.name == "save" && option.words.is_empty() {
            option.words.push(String::new());
        }
    }
    Ok(options)
}

/// The files that an `include` names: one that must be there, or all that match.
fn included(pattern: &str) -> io::Result<Vec<PathBuf>> {
    let path = Path::new(pattern);
    let Some(name) = path
        .file_name()
        .filter(|_| pattern.contains(['*', '?', '[']))
    else {
        return Ok(vec![path.to_owned()]);
    };
    let beside = Path::new("").join(path.parent().unwrap_or(Path::new("")));
    let directory = if beside == Path::new("") {
        Path::new(".")
    } else {
        &beside
    };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let file = entry?.path();
        let matched = file.file_name().is_some_and(|file| {
            glob::matches(
                name.as_encoded_bytes(),
                file.as_encoded_bytes(),
                Case::Exact,
            )
        });
        files.extend(matched.then_some(file));
    }
    files.sort();
    Ok(files)
}

fn unreadable(path: &Path, error: io::Error) -> ConfigError {
    ConfigError {
        place: Place::File {
            path: path.to_owned(),
        },
        wrong: Wrong::Unreadable(error),
    }
}

/// The beginning of `text`. Nothing in it starts a new line or moves the cursor of a terminal.
fn printable(text: &str) -> String {
    let letters = text.chars().take(QUOTED_MAX);
    letters
        .map(|letter| if letter.is_control() { '?' } else { letter })
        .collect()
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::CommandLine { argument } => write!(f, "command line: {argument}: ")?,
            Place::File { path } => write!(f, "{}: ", path.display())?,
            Place::Line { path, number, line } => {
                write!(f, "{}, line {number}: '{line}': ", path.display())?;
            }
        }
        match &self.wrong {
            Wrong::IncludeTooDeep => f.write_str("files include each other too deeply"),
            Wrong::NotAnOption => f.write_str("an option begins with --, and a file comes first"),
            Wrong::NotUtf8 => Fault::NotUtf8.fmt(f),
            Wrong::Quotes => f.write_str("unbalanced quotes"),
            Wrong::Refused(why) => write!(f, "not supported: {why}"),
            Wrong::Unknown => f.write_str("unknown directive"),
            Wrong::Unreadable(error) => write!(f, "cannot be read: {error}"),
            Wrong::Value(Fault::Fixed(why)) => write!(f, "not supported: {why}"),
            Wrong::Value(fault) => fault.fmt(f),
        }
    }
}

impl std::error::Error for ConfigError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.wrong {
            Wrong::Unreadable(error) => Some(error),
            _ => None,
        }
    }
}
