//! A table of commands as lookups need it: by name, with what follows from a command computed once.
//!
//! There are two, and a process has one of them (`Server::table`): [`TABLE`] of a server of
//! streams, [`TABLE_OF_A_MONITOR`] of a monitor. Both are made of the same values. A command's
//! number is its place in one of them, and means nothing in the other.

use std::sync::LazyLock;

use foldhash::HashMap;
use headwater_resp::Request;

use crate::command::{COMMANDS, COMMANDS_OF_A_MONITOR, Spec};
use crate::refusal::Refusal;

/// A command of the table with what is derived from it once.
#[derive(Debug)]
pub(crate) struct Command {
    pub(crate) spec: &'static Spec,
    /// `xadd`, or `xgroup|create`.
    pub(crate) full_name: String,
    /// How many words name it: 1, or 2 for a subcommand.
    pub(crate) depth: usize,
    /// How many words a request has, negative when it may have more; as `COMMAND INFO` shows it.
    pub(crate) arity: i16,
    /// The container's name in upper case, for a subcommand.
    pub(crate) container: Option<&'static str>,
    /// Its place in [`Table::all`], where statistics find theirs.
    pub(crate) number: usize,
    /// Its subcommands, by name.
    pub(crate) subcommands: HashMap<&'static str, usize>,
}

/// The table as lookups need it.
#[derive(Debug)]
pub(crate) struct Table {
    /// Commands and, behind each container, its subcommands.
    pub(crate) all: Vec<Command>,
    by_name: HashMap<&'static str, usize>,
}

/// The longest name that can be looked up.
const NAME_MAX: usize = 32;

impl Table {
    fn new(commands: &[&'static Spec]) -> Self {
        let mut table = Self {
            all: Vec::new(),
            by_name: HashMap::default(),
        };
        for &spec in commands {
            let number = table.add(spec, spec.name.to_owned(), 1, None);
            table.by_name.insert(spec.name, number);
            for &sub in spec.subcommands() {
                let full = format!("{}|{}", spec.name, sub.name);
                let sub_number = table.add(sub, full, 2, Some(spec.name));
                table.all[number].subcommands.insert(sub.name, sub_number);
            }
        }
        table
    }

    fn add(
        &mut self,
        spec: &'static Spec,
        full_name: String,
        depth: usize,
        container: Option<&'static str>,
    ) -> usize {
        let number = self.all.len();
        let subcommands = HashMap::default();
        let arity = spec.arity(if depth == 1 { 1 } else { 2 });
        self.all.push(Command {
            spec,
            full_name,
            depth,
            arity,
            container,
            number,
            subcommands,
        });
        number
    }

    /// The command of that name, in any case.
    pub(crate) fn find(&self, name: &[u8]) -> Option<&Command> {
        lower(name, |name| self.by_name.get(name)).map(|&number| &self.all[number])
    }

    /// The container's subcommand of that name, in any case.
    pub(crate) fn find_sub(&self, container: &Command, name: &[u8]) -> Option<&Command> {
        lower(name, |name| container.subcommands.get(name)).map(|&number| &self.all[number])
    }

    /// The subcommands of a command, by name.
    pub(crate) fn subcommands(&self, container: &Command) -> &[Command] {
        let first = container.number + 1;
        &self.all[first..first + container.subcommands.len()]
    }

    /// The commands that are not subcommands.
    pub(crate) fn top_level(&self) -> impl Iterator<Item = &Command> {
        self.all.iter().filter(|command| command.depth == 1)
    }

    /// The command that a request names.
    ///
    /// # Errors
    ///
    /// The name is unknown.
    pub(crate) fn lookup(&self, request: Request<'_>) -> Result<&Command, Refusal> {
        let name = request.word(0);
        let mut command = self.find(name).ok_or_else(|| unknown_command(request))?;
        if !command.subcommands.is_empty() && request.len() > 1 {
            command = self
                .find_sub(command, request.word(1))
                .ok_or_else(|| unknown_subcommand(command, request.word(1)))?;
        }
        Ok(command)
    }
}

impl Command {
    /// Whether a request is surely one of this command, by name and number of words.
    pub(crate) fn answers_to(&self, request: Request<'_>) -> bool {
        self.depth == 1
            && self.subcommands.is_empty()
            && request
                .word(0)
                .eq_ignore_ascii_case(self.spec.name.as_bytes())
            && self.takes(request.len())
    }

    /// Whether a request of so many words may be one of this command.
    pub(crate) fn takes(&self, words: usize) -> bool {
        let fewest = usize::from(self.arity.unsigned_abs());
        if self.arity < 0 {
            words >= fewest
        } else {
            words == fewest
        }
    }
}

/// What a server of streams knows.
pub(crate) static TABLE: LazyLock<Table> = LazyLock::new(|| Table::new(COMMANDS));

/// What a monitor knows.
pub(crate) static TABLE_OF_A_MONITOR: LazyLock<Table> =
    LazyLock::new(|| Table::new(COMMANDS_OF_A_MONITOR));

fn lower<R>(name: &[u8], find: impl FnOnce(&str) -> Option<R>) -> Option<R> {
    let mut buffer = [0; NAME_MAX];
    let buffer = buffer.get_mut(..name.len())?;
    buffer.copy_from_slice(name);
    buffer.make_ascii_lowercase();
    find(str::from_utf8(buffer).ok()?)
}

/// How much of a client's words an error text repeats.
const QUOTED_MAX: usize = 128;

fn quoted(word: &[u8]) -> String {
    String::from_utf8_lossy(&word[..word.len().min(QUOTED_MAX)]).into_owned()
}

fn unknown_command(request: Request<'_>) -> Refusal {
    let mut args = String::new();
    for word in request.words().skip(1) {
        if args.len() >= QUOTED_MAX {
            break;
        }
        let room = QUOTED_MAX - args.len();
        // A word ends for Redis at its first zero byte here.
        let word = word.split(|&byte| byte == 0).next().unwrap_or_default();
        args.push('\'');
        args.push_str(&String::from_utf8_lossy(&word[..word.len().min(room)]));
        args.push_str("' ");
    }
    Refusal::UnknownCommand {
        name: quoted(request.word(0)).into(),
        args: args.into(),
    }
}

fn unknown_subcommand(container: &Command, name: &[u8]) -> Refusal {
    Refusal::UnknownSubcommand {
        subcommand: quoted(name).into(),
        container: container.spec.name,
    }
}
