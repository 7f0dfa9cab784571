//! What a command is: one value that says its name, its syntax and its nature.
//!
//! Only primary facts are written down. The arity, the places of the keys and the ACL categories
//! follow from them and are computed here, so that they cannot contradict the syntax tree.

use crate::command::{Args, Cx, Halt, Outcome};

/// One command or subcommand: facts for every reader of the table, and the function that runs it.
#[derive(Debug)]
pub(crate) struct Spec {
    /// Lower case as `COMMAND` prints it; a subcommand is its own word only (`create`).
    pub(crate) name: &'static str,
    /// One sentence, for `COMMAND DOCS`.
    pub(crate) summary: &'static str,
    /// The Redis version that introduced it.
    pub(crate) since: &'static str,
    /// Empty where Redis says nothing.
    pub(crate) complexity: &'static str,
    pub(crate) group: Group,
    pub(crate) access: Access,
    pub(crate) traits: Traits,
    /// Hints for clients and proxies, as `COMMAND INFO` prints them.
    pub(crate) tips: &'static [&'static str],
    /// The syntax after the name, as `COMMAND DOCS` prints it.
    pub(crate) args: &'static [Arg],
    pub(crate) body: Body,
}

/// What stands behind a name.
#[derive(Debug)]
pub(crate) enum Body {
    Run(Run),
    /// `COMMAND`: runs when nothing follows; otherwise the second word chooses. Sorted by name.
    RunOrSubcommands(Run, &'static [&'static Spec]),
    /// A container such as `XGROUP`: the second word chooses. Sorted by name.
    Subcommands(&'static [&'static Spec]),
}

/// Runs a command whose arity holds. A command never waits, never touches a socket and never reads
/// the clock. It writes its reply to `cx.out`; what a refusal left there is taken back.
pub(crate) type Run = fn(&mut Cx<'_>, &mut Args<'_>) -> Result<Outcome, Halt>;

/// The chapter of the manual that a command belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Group {
    Connection,
    Generic,
    Pubsub,
    Sentinel,
    Server,
    Stream,
    Transactions,
}

/// Whether a command reads or changes keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    Neither,
    Read,
    Write,
}

/// Properties that do not follow from anything else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Traits(u32);

impl Traits {
    pub(crate) const NONE: Self = Self(0);
    /// For operators: `@admin`.
    pub(crate) const ADMIN: Self = Self(1);
    /// Needs the keyspace for itself. (Ours: not shown to clients.)
    pub(crate) const ALONE: Self = Self(1 << 1);
    /// Allowed while a script runs too long; shown to clients, without meaning here.
    pub(crate) const ALLOW_BUSY: Self = Self(1 << 2);
    /// May wait for data.
    pub(crate) const BLOCKING: Self = Self(1 << 3);
    /// Can harm others: `@dangerous`.
    pub(crate) const DANGEROUS: Self = Self(1 << 4);
    /// May grow the data set; refused when there is no room.
    pub(crate) const DENY_OOM: Self = Self(1 << 5);
    pub(crate) const FAST: Self = Self(1 << 6);
    /// Walks the whole keyspace: `@keyspace` beyond what the group says.
    pub(crate) const KEYSPACE: Self = Self(1 << 7);
    /// Allowed while the server is loading.
    pub(crate) const LOADING: Self = Self(1 << 8);
    /// Allowed before AUTH.
    pub(crate) const NO_AUTH: Self = Self(1 << 9);
    /// Refused inside MULTI.
    pub(crate) const NO_MULTI: Self = Self(1 << 10);
    /// Refused while a replica loads what its master sent, as if it were loading; shown to
    /// clients, without meaning here.
    pub(crate) const NO_ASYNC_LOADING: Self = Self(1 << 18);
    pub(crate) const NO_SCRIPT: Self = Self(1 << 11);
    pub(crate) const SKIP_SLOWLOG: Self = Self(1 << 12);
    /// Allowed on a replica that has lost its master.
    pub(crate) const STALE: Self = Self(1 << 13);
    /// `@connection` although the group is another.
    pub(crate) const CONNECTION: Self = Self(1 << 14);
    /// Runs at once inside MULTI instead of being queued. (Ours: not shown to clients.)
    pub(crate) const NOT_QUEUED: Self = Self(1 << 15);
    /// Takes any words behind its name, and ignores them. (Ours: clients see it as the arity.)
    pub(crate) const ANY_WORDS: Self = Self(1 << 16);
    /// `@admin` and `@dangerous` without the flag `admin`.
    pub(crate) const OPERATORS: Self = Self(1 << 17);
    /// About messages: `@pubsub`.
    pub(crate) const PUBSUB: Self = Self(1 << 19);
    /// Its reply is a push: `CLIENT REPLY` does not leave it out. (Ours: not shown to clients.)
    pub(crate) const PUSHES: Self = Self(1 << 20);
    /// Is told to replicas, so a pause of writes holds it back. (Ours: not shown to clients.)
    pub(crate) const RELAYED: Self = Self(1 << 21);
    /// Allowed to a subscriber that speaks RESP2. (Ours: not shown to clients.)
    pub(crate) const SUBSCRIBED: Self = Self(1 << 22);

    pub(crate) const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(crate) const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

/// One piece of syntax.
#[derive(Debug)]
pub(crate) struct Arg {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    /// The word that introduces it.
    pub(crate) token: Option<&'static str>,
    pub(crate) since: Option<&'static str>,
    pub(crate) optional: bool,
    pub(crate) multiple: bool,
    /// Each repetition repeats the token too.
    pub(crate) multiple_token: bool,
    /// What a human reads instead of the name, where Redis shows another word.
    pub(crate) display: Option<&'static str>,
    /// The Redis version that advised against it.
    pub(crate) deprecated: Option<&'static str>,
}

/// What a piece of syntax is made of.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    Block(&'static [Arg]),
    Integer,
    Key(KeyUse),
    OneOf(&'static [Arg]),
    Pattern,
    /// The token alone.
    PureToken,
    /// The channel of a shard: it is where a key of that name would be, and is none.
    ShardChannel,
    String,
    UnixTime,
}

/// What a command does with a key, in the words of `COMMAND INFO`'s key specifications.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct KeyUse(pub(crate) &'static [&'static str]);

impl KeyUse {
    pub(crate) const READ: Self = Self(&["RO"]);
    pub(crate) const ACCESS: Self = Self(&["RO", "access"]);
    pub(crate) const UPDATE: Self = Self(&["RW", "update"]);
    pub(crate) const INSERT: Self = Self(&["RW", "insert"]);
    pub(crate) const DELETE: Self = Self(&["RW", "delete"]);
    /// The key itself goes, whatever its value.
    pub(crate) const REMOVE: Self = Self(&["RM", "delete"]);
    /// The value goes on under another key.
    pub(crate) const TAKE: Self = Self(&["RW", "access", "delete"]);
    /// The value goes on in another database.
    pub(crate) const CARRY: Self = Self(&["RW", "access", "update"]);
    /// Gets a value, whatever it was before.
    pub(crate) const OVERWRITE: Self = Self(&["OW", "update"]);
    /// Gets a value if it has none.
    pub(crate) const FILL: Self = Self(&["OW", "insert"]);
    /// Is none, and only stands where one might.
    pub(crate) const NOT_A_KEY: Self = Self(&["not_key"]);
}

impl Arg {
    pub(crate) const fn new(name: &'static str, kind: Kind) -> Self {
        Self {
            name,
            kind,
            token: None,
            since: None,
            optional: false,
            multiple: false,
            multiple_token: false,
            display: None,
            deprecated: None,
        }
    }

    pub(crate) const fn key(name: &'static str, key_use: KeyUse) -> Self {
        Self::new(name, Kind::Key(key_use))
    }

    pub(crate) const fn string(name: &'static str) -> Self {
        Self::new(name, Kind::String)
    }

    pub(crate) const fn int(name: &'static str) -> Self {
        Self::new(name, Kind::Integer)
    }

    pub(crate) const fn pattern(name: &'static str) -> Self {
        Self::new(name, Kind::Pattern)
    }

    pub(crate) const fn shard_channel() -> Self {
        Self::new("shardchannel", Kind::ShardChannel)
    }

    pub(crate) const fn unix_time(name: &'static str) -> Self {
        Self::new(name, Kind::UnixTime)
    }

    pub(crate) const fn flag(name: &'static str, token: &'static str) -> Self {
        Self::new(name, Kind::PureToken).token(token)
    }

    pub(crate) const fn one_of(name: &'static str, parts: &'static [Self]) -> Self {
        Self::new(name, Kind::OneOf(parts))
    }

    pub(crate) const fn block(name: &'static str, parts: &'static [Self]) -> Self {
        Self::new(name, Kind::Block(parts))
    }

    pub(crate) const fn token(self, token: &'static str) -> Self {
        Self {
            token: Some(token),
            ..self
        }
    }

    pub(crate) const fn since(self, since: &'static str) -> Self {
        Self {
            since: Some(since),
            ..self
        }
    }

    pub(crate) const fn optional(self) -> Self {
        Self {
            optional: true,
            ..self
        }
    }

    pub(crate) const fn many(self) -> Self {
        Self {
            multiple: true,
            ..self
        }
    }

    pub(crate) const fn many_tokens(self) -> Self {
        Self {
            multiple: true,
            multiple_token: true,
            ..self
        }
    }

    pub(crate) const fn display(self, display: &'static str) -> Self {
        Self {
            display: Some(display),
            ..self
        }
    }

    pub(crate) const fn deprecated(self, since: &'static str) -> Self {
        Self {
            deprecated: Some(since),
            ..self
        }
    }

    /// The fewest words it takes, and whether it may take more.
    const fn words(&self) -> (i16, bool) {
        if self.optional {
            (0, true)
        } else {
            self.words_if_given()
        }
    }

    /// The fewest words it takes where it is not left out, and whether it may take more.
    const fn words_if_given(&self) -> (i16, bool) {
        let (inner, varies) = match self.kind {
            Kind::PureToken => (0, false),
            Kind::Block(parts) => words_of(parts),
            Kind::OneOf(parts) => fewest_of(parts),
            Kind::Integer
            | Kind::Key(_)
            | Kind::Pattern
            | Kind::ShardChannel
            | Kind::String
            | Kind::UnixTime => (1, false),
        };
        let token = if self.token.is_some() { 1 } else { 0 };
        (inner + token, varies || self.multiple)
    }
}

const fn words_of(args: &[Arg]) -> (i16, bool) {
    let (mut total, mut varies, mut i) = (0, false, 0);
    while i < args.len() {
        let (words, more) = args[i].words();
        total += words;
        varies |= more;
        i += 1;
    }
    (total, varies)
}

/// One of several is given, whichever it is.
const fn fewest_of(args: &[Arg]) -> (i16, bool) {
    let (mut fewest, mut varies) = args[0].words_if_given();
    let mut i = 1;
    while i < args.len() {
        let (words, more) = args[i].words_if_given();
        varies |= more || words != fewest;
        if words < fewest {
            fewest = words;
        }
        i += 1;
    }
    (fewest, varies)
}

/// Where a command's keys are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keys {
    None,
    /// At word `first`, every `step` words, up to word `last` (negative: from the end).
    At {
        first: i16,
        last: i16,
        step: i16,
        key_use: KeyUse,
    },
    /// After a token that stands at word `from` or later: the first half of what follows.
    After {
        token: &'static str,
        from: i16,
        key_use: KeyUse,
    },
    /// Two keys with different uses, at words 1 and 2.
    Pair(KeyUse, KeyUse),
}

impl Spec {
    /// The number of words with the name, negative when there may be more; as `COMMAND INFO`
    /// reports it. `depth` is 1 for a command and 2 for a subcommand.
    pub(crate) const fn arity(&self, depth: i16) -> i16 {
        if let Body::Subcommands(_) = self.body {
            return -2;
        }
        let (words, varies) = words_of(self.args);
        let is_container = matches!(self.body, Body::RunOrSubcommands(..));
        if varies || is_container || self.traits.has(Traits::ANY_WORDS) {
            -(words + depth)
        } else {
            words + depth
        }
    }

    /// Where the keys are: the first [`Kind::Key`] of the syntax tree says.
    pub(crate) const fn keys(&self, depth: i16) -> Keys {
        let mut word = depth;
        let mut i = 0;
        while i < self.args.len() {
            let arg = &self.args[i];
            match arg.kind {
                Kind::Key(key_use) => {
                    if arg.multiple {
                        return Keys::At {
                            first: word,
                            last: -1,
                            step: 1,
                            key_use,
                        };
                    }
                    if i + 1 < self.args.len()
                        && let Kind::Key(second) = self.args[i + 1].kind
                    {
                        return Keys::Pair(key_use, second);
                    }
                    return Keys::At {
                        first: word,
                        last: word,
                        step: 1,
                        key_use,
                    };
                }
                Kind::ShardChannel => {
                    return Keys::At {
                        first: word,
                        last: if arg.multiple { -1 } else { word },
                        step: 1,
                        key_use: KeyUse::NOT_A_KEY,
                    };
                }
                Kind::Block(parts) => {
                    if let (Some(token), Kind::Key(key_use)) = (arg.token, parts[0].kind) {
                        return Keys::After {
                            token,
                            from: word,
                            key_use,
                        };
                    }
                }
                _ => {}
            }
            word += arg.words().0;
            i += 1;
        }
        Keys::None
    }

    /// Whether a pause of writes holds it back.
    pub(crate) fn is_held_with_writes(&self) -> bool {
        self.access == Access::Write || self.traits.has(Traits::RELAYED)
    }

    /// The subcommands of a container, none for a command.
    pub(crate) const fn subcommands(&self) -> &'static [&'static Self] {
        match self.body {
            Body::Run(_) => &[],
            Body::RunOrSubcommands(_, specs) | Body::Subcommands(specs) => specs,
        }
    }
}
