//! Every error this server can send: the closed list.
//!
//! [`Display`](fmt::Display) is the text on the wire, code first. It is Redis' text to the letter,
//! because clients match on it; nothing else in the server formats an error reply.

use std::fmt;

use headwater_resp::ProtocolError;
use headwater_store::AppendError;

/// Why a request gets an error reply. Nothing was changed then, unless the variant says otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    AuthNotConfigured,
    BusyGroup,
    /// A text that belongs to one option of one command and has no parts.
    Command(&'static str),
    /// A text of one command that quotes what the client sent.
    Quoting(Box<str>),
    DbIndex,
    DiskBroken,
    DiskFull,
    DiscardWithoutMulti,
    ExecAbort,
    ExecWithoutMulti,
    /// Too few replicas have a change on their disks, for too long. It may have been made.
    InDoubt,
    InvalidCursor,
    InvalidExpire {
        command: &'static str,
    },
    InvalidId,
    Loading,
    /// A replica does not hear its master, and is not to answer from what it has.
    MasterDown,
    MaxClients,
    NestedMulti,
    NoAuth,
    /// `NOGROUP No such key ... or consumer group ...`; `during` is appended.
    NoGroup {
        key: Box<[u8]>,
        group: Box<[u8]>,
        during: &'static str,
    },
    /// `NOGROUP No such consumer group ... for key name ...`
    NoGroupForKey {
        key: Box<[u8]>,
        group: Box<[u8]>,
    },
    NoProto,
    NoReplicas,
    NoSuchKey,
    NotAnInteger,
    NotInMulti,
    /// The file of a monitor could not be written; the change has been made.
    NotSaved,
    Protected,
    Protocol(ProtocolError),
    ReadOnly,
    SameObject,
    /// A subscriber that speaks RESP2 asks for something else.
    Subscribed {
        command: Box<str>,
    },
    Syntax,
    /// A client that waited is sent away: this server has become a replica, or has other data.
    UnblockedByChange,
    UnblockedByClient,
    /// Settled entries cannot be read.
    Unreadable,
    /// A container's known subcommand with words it does not take.
    UnknownSubcommandOrArity {
        subcommand: Box<str>,
        container: &'static str,
    },
    UnknownCommand {
        name: Box<str>,
        args: Box<str>,
    },
    UnknownSubcommand {
        subcommand: Box<str>,
        container: &'static str,
    },
    WatchInMulti,
    WrongArity {
        command: Box<str>,
    },
    WrongPass,
}

impl Refusal {
    /// Quotes a client's bytes in a text: invalid UTF-8 is replaced.
    pub(crate) fn quoting(text: fmt::Arguments<'_>) -> Self {
        Self::Quoting(text.to_string().into_boxed_str())
    }

    pub(crate) fn no_group(key: &[u8], group: &[u8]) -> Self {
        Self::NoGroup {
            key: key.into(),
            group: group.into(),
            during: "",
        }
    }

    pub(crate) fn no_group_for_key(key: &[u8], group: &[u8]) -> Self {
        Self::NoGroupForKey {
            key: key.into(),
            group: group.into(),
        }
    }

    /// The first word of the text, which `INFO errorstats` counts by.
    pub(crate) fn code(&self) -> String {
        let text = self.to_string();
        text.split(' ').next().unwrap_or_default().to_owned()
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Self::AuthNotConfigured => {
                "ERR AUTH <password> called without any password configured for the default \
                 user. Are you sure your configuration is correct?"
            }
            Self::BusyGroup => "BUSYGROUP Consumer Group name already exists",
            Self::Command(text) => text,
            Self::Quoting(text) => text,
            Self::DbIndex => "ERR DB index is out of range",
            Self::DiscardWithoutMulti => "ERR DISCARD without MULTI",
            Self::DiskBroken => "MISCONF Errors writing to the AOF file: Input/output error",
            Self::DiskFull => "MISCONF Errors writing to the AOF file: No space left on device",
            Self::ExecAbort => "EXECABORT Transaction discarded because of previous errors.",
            Self::ExecWithoutMulti => "ERR EXEC without MULTI",
            Self::InDoubt => {
                "INDOUBT Not enough replicas have it on disk in time: it may have been done, and \
                 may be lost"
            }
            Self::InvalidCursor => "ERR invalid cursor",
            Self::InvalidExpire { command } => {
                return write!(f, "ERR invalid expire time in '{command}' command");
            }
            Self::InvalidId => "ERR Invalid stream ID specified as stream command argument",
            Self::Loading => "LOADING Redis is loading the dataset in memory",
            Self::MasterDown => {
                "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'."
            }
            Self::MaxClients => "ERR max number of clients reached",
            Self::NestedMulti => "ERR MULTI calls can not be nested",
            Self::NoAuth => "NOAUTH Authentication required.",
            Self::NoGroup { key, group, during } => {
                return write!(
                    f,
                    "NOGROUP No such key '{}' or consumer group '{}'{during}",
                    String::from_utf8_lossy(key),
                    String::from_utf8_lossy(group),
                );
            }
            Self::NoGroupForKey { key, group } => {
                return write!(
                    f,
                    "NOGROUP No such consumer group '{}' for key name '{}'",
                    String::from_utf8_lossy(group),
                    String::from_utf8_lossy(key),
                );
            }
            Self::NoProto => "NOPROTO unsupported protocol version",
            Self::NoReplicas => "NOREPLICAS Not enough good replicas to write.",
            Self::NoSuchKey => "ERR no such key",
            Self::NotAnInteger => "ERR value is not an integer or out of range",
            Self::NotSaved => "ERR Failed to save config file. Check server logs.",
            Self::NotInMulti => "ERR Command not allowed inside a transaction",
            Self::Protected => {
                "DENIED Headwater is running in protected mode because protected mode is enabled \
                 and no password is set for the default user. In this mode connections are only \
                 accepted from the loopback interface. To accept others, set a password \
                 (requirepass), or turn protected-mode off."
            }
            Self::Protocol(error) => return write!(f, "ERR {error}"),
            Self::ReadOnly => "READONLY You can't write against a read only replica.",
            Self::SameObject => "ERR source and destination objects are the same",
            Self::Subscribed { command } => {
                return write!(
                    f,
                    "ERR Can't execute '{command}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / \
                     PING / QUIT / RESET are allowed in this context"
                );
            }
            Self::Syntax => "ERR syntax error",
            Self::UnblockedByChange => {
                "UNBLOCKED force unblock from blocking operation, instance state changed (master \
                 -> replica?)"
            }
            Self::UnblockedByClient => "UNBLOCKED client unblocked via CLIENT UNBLOCK",
            Self::Unreadable => {
                "ERR The entries cannot be read from disk; the server's log lines say why"
            }
            Self::UnknownCommand { name, args } => {
                return write!(
                    f,
                    "ERR unknown command '{name}', with args beginning with: {args}"
                );
            }
            Self::UnknownSubcommand {
                subcommand,
                container,
            } => {
                return write!(
                    f,
                    "ERR unknown subcommand '{subcommand}'. Try {} HELP.",
                    container.to_ascii_uppercase()
                );
            }
            Self::UnknownSubcommandOrArity {
                subcommand,
                container,
            } => {
                return write!(
                    f,
                    "ERR unknown subcommand or wrong number of arguments for '{subcommand}'. \
                     Try {container} HELP."
                );
            }
            Self::WatchInMulti => "ERR WATCH inside MULTI is not allowed",
            Self::WrongArity { command } => {
                return write!(f, "ERR wrong number of arguments for '{command}' command");
            }
            Self::WrongPass => "WRONGPASS invalid username-password pair or user is disabled.",
        };
        f.write_str(text)
    }
}

impl From<AppendError> for Refusal {
    /// What a client hears of a fault of the disk. The operator hears the rest, once, where the
    /// fault is handled.
    fn from(fault: AppendError) -> Self {
        match fault {
            AppendError::Following => Self::ReadOnly,
            AppendError::Full { .. } => Self::DiskFull,
            AppendError::Poisoned(_) => Self::DiskBroken,
            AppendError::TooLarge { .. } => {
                Self::Command("ERR Elements are too large to be stored")
            }
        }
    }
}
