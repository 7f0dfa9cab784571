//! The table holds together, and every parser agrees with the syntax tree beside it.
//!
//! The trees are turned into requests: every choice of options, in two orders, once and twice
//! repeated. They run in this process against a server in an empty directory.

use std::collections::BTreeSet;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;

use headwater_resp::{Decoder, Limits, encode_request};
use headwater_store::Loaded;
use tokio::runtime::Runtime;

use super::facts::NoKeys;
use super::{
    Arg, Body, COMMANDS, COMMANDS_OF_A_MONITOR, Command, Kind, Spec, TABLE, TABLE_OF_A_MONITOR,
    Table, Traits, describe,
};
use crate::clients::Client;
use crate::execute::{Round, Step};
use crate::pause::Cause;
use crate::replication::Role;
use crate::server::Server;
use crate::session::Session;

/// Words by which a client is told that it wrote something which the command does not take.
const SYNTAX: &[&str] = &[
    "-ERR syntax error",
    "-ERR wrong number of arguments",
    "-ERR unknown ",
    "-ERR Unbalanced ",
    "-ERR Unrecognized ",
    "-ERR Syntax error in ",
];

/// Options that exclude each other although the trees of Redis do not say so: a command, words of
/// the request, and how the refusal begins.
const EXCLUSIONS: &[(&str, &[&str], &str)] = &[
    ("client|list", &["TYPE", "ID"], "-ERR syntax error"),
    ("failover", &["ABORT"], "-ERR syntax error"),
    ("shutdown", &["ABORT"], "-ERR syntax error"),
    (
        "xadd",
        &["LIMIT"],
        "-ERR syntax error, LIMIT cannot be used without",
    ),
    (
        "xtrim",
        &["LIMIT"],
        "-ERR syntax error, LIMIT cannot be used without",
    ),
];

/// A server, and all that a session needs to be one.
struct Bench {
    server: Server,
    client: Arc<Client>,
    _peer: TcpStream,
    _runtime: Runtime,
    _dir: tempfile::TempDir,
}

impl Bench {
    /// One of each kind.
    fn all() -> [Self; 2] {
        let dirs = [(); 2].map(|()| tempfile::tempdir().unwrap());
        let servers = [Server::in_dir(dirs[0].path()), Server::monitor()];
        let mut servers = servers.into_iter();
        dirs.map(|dir| Self::of(servers.next().unwrap(), dir))
    }

    fn of(server: Server, dir: tempfile::TempDir) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (socket, address) = listener.accept().unwrap();
        socket.set_nonblocking(true).unwrap();
        let socket = {
            let _inside = runtime.enter();
            Arc::new(tokio::net::TcpStream::from_std(socket).unwrap())
        };
        let client = server.clients.enter(socket, address, address);
        Self {
            server,
            client,
            _peer: peer,
            _runtime: runtime,
            _dir: dir,
        }
    }

    /// What it knows, but for containers.
    fn commands(&self) -> impl Iterator<Item = &'static Command> + use<> {
        commands(self.server.table)
    }

    /// What a new connection is replied; nothing if it waits.
    fn ask(&self, words: &[String]) -> String {
        let mut session = Session::new(Arc::clone(&self.client), true);
        let mut request = Vec::new();
        encode_request(&mut request, words.iter().map(String::as_bytes));
        let mut decoder = Decoder::new();
        decoder
            .decode(&request, &Limits::new(1 << 20))
            .unwrap()
            .unwrap();
        let (mut round, mut out) = (Round::new(&self.server), Vec::new());
        let request = decoder.request(&request);
        let step = round.execute(&mut session, request, Ok(Loaded::default()), &mut out);
        if self.server.replication.follows() {
            self.server.replication.turn(&self.server, Role::Master);
        }
        for cause in [Cause::Client, Cause::Failover, Cause::Role] {
            self.server.pause.end(cause);
        }
        assert!(!matches!(step, Step::Paused), "{words:?}");
        String::from_utf8_lossy(&out).into_owned()
    }
}

/// A request word for each way in which an argument may be given.
fn ways(arg: &Arg) -> Vec<Vec<String>> {
    let word = |text: &str| vec![vec![text.to_owned()]];
    let once = match arg.kind {
        Kind::PureToken => vec![Vec::new()],
        Kind::Block(parts) => {
            let mut all = sequences(parts);
            if parts.iter().all(|part| part.multiple) {
                // As many IDs as keys.
                all.retain(|words| words.len().is_multiple_of(parts.len()));
            }
            all
        }
        Kind::OneOf(parts) => parts.iter().flat_map(ways).collect(),
        Kind::Key(_) => word("k"),
        // Is a number, an ID, a name and a pattern.
        Kind::Integer | Kind::Pattern | Kind::ShardChannel | Kind::String | Kind::UnixTime => {
            word("5")
        }
    };
    let mut ways = Vec::new();
    for given in once {
        let token = arg.token.map(str::to_owned);
        let with_token: Vec<String> = token.into_iter().chain(given.iter().cloned()).collect();
        if arg.multiple {
            let again = if arg.multiple_token {
                &with_token
            } else {
                &given
            };
            ways.push([&with_token[..], again].concat());
        }
        ways.push(with_token);
    }
    ways
}

/// The words of a list of arguments: every choice, the options in the order of the tree and in the
/// opposite one.
fn sequences(args: &[Arg]) -> Vec<Vec<String>> {
    let mut all = in_order(&args.iter().collect::<Vec<_>>());
    let reversed: Vec<&Arg> = args
        .chunk_by(|a, b| a.optional && b.optional)
        .flat_map(|run| run.iter().rev())
        .collect();
    for words in in_order(&reversed) {
        if !all.contains(&words) {
            all.push(words);
        }
    }
    all
}

fn in_order(args: &[&Arg]) -> Vec<Vec<String>> {
    let mut all = vec![Vec::new()];
    for arg in args {
        let mut choices = ways(arg);
        if arg.optional {
            choices.push(Vec::new());
        }
        all = all
            .iter()
            .flat_map(|before| choices.iter().map(|choice| [&before[..], choice].concat()))
            .collect();
    }
    all
}

/// What a request begins with.
fn name_words(command: &Command) -> Vec<String> {
    command
        .full_name
        .to_uppercase()
        .split('|')
        .map(str::to_owned)
        .collect()
}

fn commands(table: &'static Table) -> impl Iterator<Item = &'static Command> {
    table
        .all
        .iter()
        .filter(|command| matches!(command.spec.body, Body::Run(_)))
}

/// The commands of both tables.
fn all() -> impl Iterator<Item = &'static Command> {
    TABLE.all.iter().chain(&TABLE_OF_A_MONITOR.all)
}

/// The shortest request of a command.
fn shortest(command: &Command) -> Vec<String> {
    let mut all = sequences(command.spec.args);
    all.sort_by_key(Vec::len);
    [name_words(command), all.swap_remove(0)].concat()
}

#[test]
fn parsers_take_whatever_the_trees_generate() {
    let mut asked = 0;
    for bench in Bench::all() {
        for command in bench.commands() {
            for args in sequences(command.spec.args) {
                let words = [name_words(command), args].concat();
                let reply = bench.ask(&words);
                asked += 1;
                let excluded = EXCLUSIONS.iter().any(|(name, tokens, refusal)| {
                    *name == command.full_name
                        && tokens
                            .iter()
                            .all(|token| words.iter().any(|word| word == token))
                        && reply.starts_with(refusal)
                });
                assert!(
                    excluded || !SYNTAX.iter().any(|refusal| reply.starts_with(refusal)),
                    "{words:?}: {reply}"
                );
            }
        }
    }
    assert!(asked > 500, "only {asked} requests were generated");
}

#[test]
fn a_missing_word_is_refused() {
    for bench in Bench::all() {
        let takes_words = |command: &&Command| command.arity.unsigned_abs() > 1;
        for command in bench.commands().filter(takes_words) {
            let mut words = shortest(command);
            words.pop();
            let reply = bench.ask(&words);
            let refused = SYNTAX.iter().any(|refusal| reply.starts_with(refusal));
            // COMMAND alone is a request of its own.
            assert!(refused || words == ["COMMAND"], "{words:?}: {reply}");
        }
    }
}

#[test]
fn an_option_without_its_value_is_refused() {
    let [bench, _] = Bench::all();
    for command in bench.commands() {
        let last_option = command.spec.args.last().filter(|arg| {
            arg.optional && arg.token.is_some() && !matches!(arg.kind, Kind::PureToken)
        });
        let Some(option) = last_option else { continue };
        let mut words = shortest(command);
        words.extend(option.token.map(str::to_owned));
        let reply = bench.ask(&words);
        assert!(reply.starts_with('-'), "{words:?}: {reply}");
    }
}

#[test]
fn an_extra_word_is_refused() {
    fn repeats(args: &[Arg]) -> bool {
        args.iter().any(|arg| {
            arg.multiple && arg.token.is_none()
                || matches!(arg.kind, Kind::Block(parts) if repeats(parts))
        })
    }
    fn is_open(command: &Command) -> bool {
        // What is behind SET or GET repeats.
        repeats(command.spec.args)
            || command.spec.traits.has(Traits::ANY_WORDS)
            || command.full_name == "sentinel|config"
    }
    for bench in Bench::all() {
        for command in bench.commands().filter(|command| !is_open(command)) {
            for args in sequences(command.spec.args) {
                let surplus = vec!["surplus".to_owned(); 3];
                let words = [name_words(command), args, surplus].concat();
                let reply = bench.ask(&words);
                assert!(reply.starts_with('-'), "{words:?}: {reply}");
            }
        }
    }
}

#[test]
fn names_are_sorted_and_stand_once() {
    let check = |specs: &[&Spec]| {
        for pair in specs.windows(2) {
            assert!(
                pair[0].name < pair[1].name,
                "{} {}",
                pair[0].name,
                pair[1].name
            );
        }
    };
    for commands in [COMMANDS, COMMANDS_OF_A_MONITOR] {
        check(commands);
        for spec in commands {
            check(spec.subcommands());
        }
    }
}

#[test]
fn facts_have_their_form() {
    fn check_version(version: &str) {
        let numbers: Vec<_> = version.split('.').map(str::parse::<u8>).collect();
        assert!(
            numbers.len() == 3 && numbers.iter().all(Result::is_ok),
            "{version:?}"
        );
    }
    fn check_args(args: &[Arg]) {
        for arg in args {
            [arg.since, arg.deprecated]
                .into_iter()
                .flatten()
                .for_each(check_version);
            match arg.kind {
                Kind::Block(parts) | Kind::OneOf(parts) => check_args(parts),
                Kind::PureToken => assert!(arg.token.is_some(), "{arg:?}"),
                _ => {}
            }
        }
    }
    for command in all() {
        let spec = command.spec;
        assert_eq!(spec.name, spec.name.to_lowercase());
        check_version(spec.since);
        check_args(spec.args);
        for text in [spec.summary, spec.complexity] {
            assert!(!text.contains("  ") && text.is_ascii(), "{text:?}");
        }
        let is_sentence = spec
            .summary
            .starts_with(|letter: char| letter.is_ascii_uppercase())
            && spec.summary.ends_with('.');
        assert!(is_sentence, "{}: {:?}", command.full_name, spec.summary);
    }
}

#[test]
fn names_are_found_in_any_case() {
    for command in &TABLE.all {
        let lower = name_words(command).join("|").to_lowercase();
        for name in [lower.to_uppercase(), lower] {
            let words: Vec<&[u8]> = name.split('|').map(str::as_bytes).collect();
            let mut found = TABLE.find(words[0]).unwrap();
            if let Some(subcommand) = words.get(1) {
                found = TABLE.find_sub(found, subcommand).unwrap();
            }
            assert_eq!(found.number, command.number, "{name}");
        }
    }
    for name in ["", "xad", "xaddx", "\u{df}", &"x".repeat(100)] {
        assert!(TABLE.find(name.as_bytes()).is_none(), "{name}");
    }
}

#[test]
fn arities_and_flags_are_those_of_redis() {
    for (name, arity, flags) in [
        ("xack", -4, "write fast"),
        ("xadd", -5, "write denyoom fast"),
        ("xautoclaim", -6, "write fast"),
        ("xclaim", -6, "write fast"),
        ("xdel", -3, "write fast"),
        ("xgroup", -2, ""),
        ("xgroup|create", -5, "write denyoom"),
        ("xgroup|createconsumer", 5, "write denyoom"),
        ("xgroup|delconsumer", 5, "write"),
        ("xgroup|destroy", 4, "write"),
        ("xgroup|help", 2, "loading stale"),
        ("xgroup|setid", -5, "write"),
        ("xinfo", -2, ""),
        ("xinfo|consumers", 4, "readonly"),
        ("xinfo|groups", 3, "readonly"),
        ("xinfo|help", 2, "loading stale"),
        ("xinfo|stream", -3, "readonly"),
        ("xlen", 2, "readonly fast"),
        ("xpending", -3, "readonly"),
        ("xrange", -4, "readonly"),
        ("xread", -4, "readonly blocking movablekeys"),
        ("xreadgroup", -7, "write blocking movablekeys"),
        ("xrevrange", -4, "readonly"),
        ("xsetid", -3, "write denyoom fast"),
        ("xtrim", -4, "write"),
        ("client|kill", -3, "admin noscript loading stale"),
        ("command", -1, "loading stale"),
        ("config|set", -4, "admin noscript loading stale"),
        (
            "hello",
            -1,
            "noscript loading stale fast no_auth allow_busy",
        ),
        ("quit", -1, "noscript loading stale fast no_auth allow_busy"),
        (
            "shutdown",
            -1,
            "admin noscript loading stale no_multi allow_busy",
        ),
    ] {
        let command = TABLE
            .all
            .iter()
            .find(|command| command.full_name == name)
            .unwrap();
        assert_eq!(
            (command.arity, &*command.flags().join(" ")),
            (arity, flags),
            "{name}"
        );
    }
}

#[test]
fn keys_are_found_where_the_tree_has_them() {
    let check = |request: &str, keys: Result<&str, NoKeys>| {
        let words: Vec<&[u8]> = request.split(' ').map(str::as_bytes).collect();
        let mut command = TABLE.find(words[0]).unwrap();
        if !command.subcommands.is_empty() {
            command = TABLE.find_sub(command, words[1]).unwrap();
        }
        let found = command.keys_of(&words).map(|keys| {
            let keys = keys.iter().map(|(key, _)| String::from_utf8_lossy(key));
            keys.collect::<Vec<_>>().join(" ")
        });
        assert_eq!(found, keys.map(str::to_owned), "{request}");
    };
    check("XADD s * f v", Ok("s"));
    check("XGROUP CREATE s g 0", Ok("s"));
    check("XREAD COUNT 1 STREAMS a b 0 0", Ok("a b"));
    check("XREAD STREAMS a b 0", Ok("a"));
    check("XREAD COUNT streams STREAMS a 0", Ok("STREAMS"));
    check("XREADGROUP GROUP streams c STREAMS a >", Ok("a"));
    check("WATCH a b c", Ok("a b c"));
    check("XREAD COUNT 1 a b", Err(NoKeys::Form));
    check("XREAD COUNT 1 a STREAMS", Err(NoKeys::Form));
    check("XLEN a b", Err(NoKeys::Arity));
    check("PING", Err(NoKeys::NeverAny));
}

#[test]
fn every_spec_of_a_file_is_in_the_table() {
    fn names_in(dir: &Path, names: &mut BTreeSet<String>) {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                names_in(&path, names);
            } else {
                let text = std::fs::read_to_string(&path).unwrap();
                let specs = text.split("static ").skip(1).filter(|rest| {
                    rest.split('=')
                        .next()
                        .is_some_and(|head| head.ends_with(": Spec "))
                });
                names.extend(specs.filter_map(|spec| {
                    let name = spec.split("name: \"").nth(1)?;
                    Some(name.split('"').next()?.to_owned())
                }));
            }
        }
    }
    let mut names = BTreeSet::new();
    let commands = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/command");
    names_in(&commands, &mut names);
    let known: BTreeSet<String> = all().map(|command| command.spec.name.to_owned()).collect();
    let forgotten: Vec<_> = names.difference(&known).collect();
    assert!(forgotten.is_empty(), "{forgotten:?}");
    assert!(names.len() > 50, "{names:?}");
}

#[test]
fn the_document_names_every_command_once() {
    let document = describe();
    let of_a_monitor = TABLE_OF_A_MONITOR.find(b"sentinel").unwrap().spec;
    let specs: Vec<&Spec> = COMMANDS.iter().copied().chain([of_a_monitor]).collect();
    let subcommands: Vec<&Spec> = specs
        .iter()
        .flat_map(|spec| spec.subcommands())
        .copied()
        .collect();
    for spec in &specs {
        let name = format!("`{}`", spec.name.to_uppercase());
        let places = document.matches(&name).count();
        let is_alike = |subcommand: &&&Spec| subcommand.name == spec.name;
        let as_subcommand = subcommands.iter().filter(is_alike).count();
        assert_eq!(places - as_subcommand, 1, "{name}");
    }
    let names = document.matches('`').count() / 2;
    assert_eq!(names, specs.len() + subcommands.len());
}
