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
//!
//! A monitor's file holds `sentinel ...` lines as well. They are collected here, with their places,
//! and obeyed by those who know them. Sentinels and servers of Redis write a line about the user
//! `default` into their files; it is accepted where it says what is so here.

use std::ffi::OsString;
use std::fmt;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use headwater_resp::split_words;

use super::table::{NO_ACL, REFUSED_STATEMENTS};
use super::value::{Fault, Source, Value};
use super::{BIND, Config, PORT, PROTECTED_MODE, REQUIREPASS, named};
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
    Said(String),
    Unknown,
    Unreadable(io::Error),
    Value(Fault),
}

/// A `sentinel ...` line of a file.
#[derive(Debug)]
pub(crate) struct Placed {
    place: Place,
    /// What stands behind `sentinel`.
    pub(crate) words: Vec<String>,
}

impl Placed {
    /// The error that this line is, as it cannot be obeyed.
    pub(crate) fn wrong(&self, why: String) -> ConfigError {
        ConfigError {
            place: self.place.clone(),
            wrong: Wrong::Said(why),
        }
    }
}

impl Config {
    /// The configuration that the arguments behind the program's name ask for.
    ///
    /// # Errors
    /// The first thing that cannot be read or obeyed.
    pub(crate) fn load(args: impl Iterator<Item = OsString>) -> Result<Self, ConfigError> {
        let mut loader = Loader {
            config: Self::defaults(),
            sentinel: None,
            user: None,
        };
        loader.load(args)?;
        Ok(loader.config)
    }

    /// The configuration that a monitor is asked for, whose defaults are those of Redis' Sentinel;
    /// and the lines that are for it alone.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub(crate) fn load_monitor(
        args: impl Iterator<Item = OsString>,
    ) -> Result<(Self, Vec<Placed>), ConfigError> {
        let config = Self::defaults();
        config.store(BIND, Value::Text("* -::*".to_owned()));
        config.store(PORT, Value::Number(26379));
        config.store(PROTECTED_MODE, Value::Number(0));
        let mut loader = Loader {
            config,
            sentinel: Some(Vec::new()),
            user: None,
        };
        loader.load(args)?;
        Ok((loader.config, loader.sentinel.unwrap_or_default()))
    }
}

/// Reads files and arguments in their order.
struct Loader {
    config: Config,
    /// What is collected for a monitor; `None` for a server.
    sentinel: Option<Vec<Placed>>,
    /// A line that says that `default` has a password.
    user: Option<ConfigError>,
}

impl Loader {
    fn load(&mut self, args: impl Iterator<Item = OsString>) -> Result<(), ConfigError> {
        let mut args = args.peekable();
        if let Some(file) = args.next_if(|arg| !arg.as_encoded_bytes().starts_with(b"--")) {
            self.load_named(&file)?;
        }
        for option in options(args)? {
            self.obey(&option, INCLUDE_DEPTH_MAX, |wrong| option.wrong(wrong))?;
        }
        match self.user.take() {
            Some(error) if self.config.text(REQUIREPASS).is_empty() => Err(error),
            _ => Ok(()),
        }
    }

    /// The first argument: a path, or `-` for the standard input.
    fn load_named(&mut self, file: &OsString) -> Result<(), ConfigError> {
        let path = Path::new(file);
        if path != Path::new("-") {
            self.load_file(path, INCLUDE_DEPTH_MAX)?;
            let file = std::path::absolute(path).map_err(|error| unreadable(path, error))?;
            self.config.file = Some(file);
            return Ok(());
        }
        let path = Path::new("standard input");
        let mut text = Vec::new();
        io::stdin()
            .read_to_end(&mut text)
            .map_err(|error| unreadable(path, error))?;
        self.load_text(path, &text, INCLUDE_DEPTH_MAX)
    }

    fn load_file(&mut self, path: &Path, depth_left: usize) -> Result<(), ConfigError> {
        let text = std::fs::read(path).map_err(|error| unreadable(path, error))?;
        self.load_text(path, &text, depth_left)
    }

    fn load_text(
        &mut self,
        path: &Path,
        text: &[u8],
        depth_left: usize,
    ) -> Result<(), ConfigError> {
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
        &mut self,
        statement: &Statement,
        depth_left: usize,
        place: impl Fn(Wrong) -> ConfigError,
    ) -> Result<(), ConfigError> {
        let Statement { name, words } = statement;
        match (&**name, &mut self.sentinel) {
            ("include", _) if depth_left == 0 => return Err(place(Wrong::IncludeTooDeep)),
            ("include", _) => {
                for pattern in words {
                    let files = included(pattern);
                    for file in files.map_err(|error| place(Wrong::Unreadable(error)))? {
                        self.load_file(&file, depth_left - 1)?;
                    }
                }
            }
            ("sentinel", Some(sentinel)) => sentinel.push(Placed {
                place: place(Wrong::Unknown).place,
                words: words.clone(),
            }),
            ("user", _) if is_everybody(words) => {
                let has_password = words.iter().any(|word| word.starts_with('#'));
                self.user = has_password.then(|| place(Wrong::Refused(NO_ACL)));
            }
            _ => {
                let words: Vec<&str> = words.iter().map(String::as_str).collect();
                self.apply(name, &words).map_err(place)?;
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
        let value = self.config.parse(id, words, Source::Start);
        self.config.store(id, value.map_err(Wrong::Value)?);
        Ok(())
    }
}

/// Whether the words behind `user` say what is so here: there is `default`, who may do everything,
/// with a password or without. Which password, says `requirepass`.
fn is_everybody(words: &[String]) -> bool {
    const RULES: &[&str] = &["on", "nopass", "sanitize-payload", "~*", "&*", "+@all"];
    let (name, rules) = match words.split_first() {
        Some((name, rules)) => (&**name, rules),
        None => ("", words),
    };
    let is_so = |rule: &String| RULES.contains(&&**rule) || rule.starts_with('#');
    let says = |wanted: &str| rules.iter().any(|rule| rule == wanted);
    name == "default" && ["on", "~*", "+@all"].map(says) == [true; 3] && rules.iter().all(is_so)
}

/// A line of a file that says something, or one `--directive word ...`.
pub(crate) struct Statement {
    /// In small letters.
    pub(crate) name: String,
    pub(crate) words: Vec<String>,
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

    /// What a line says that [`Config::load`] has accepted; `None` where it says nothing.
    pub(crate) fn of(line: &str) -> Option<Self> {
        Self::parse(line.as_bytes()).ok().flatten()
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
            Wrong::Said(why) => f.write_str(why),
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
