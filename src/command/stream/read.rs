//! What XREAD and XREADGROUP share: their options, and how they wait.

use crate::command::{Arg, Args, KeyUse};
use crate::refusal::Refusal;

/// `STREAMS key [key ...] id [id ...]` as `COMMAND DOCS` shows it.
pub(super) const STREAMS: Arg = Arg::block(
    "streams",
    &[
        Arg::key("key", KeyUse::ACCESS).many(),
        Arg::string("id").many(),
    ],
)
.token("STREAMS");

pub(super) const COUNT: Arg = Arg::int("count").token("COUNT").optional();

pub(super) const BLOCK: Arg = Arg::int("milliseconds").token("BLOCK").optional();

/// What stands before STREAMS, and the words behind it.
#[derive(Default)]
pub(super) struct ReadOptions<'a> {
    /// Entries per stream; `None` is no limit.
    pub(super) count: Option<u64>,
    /// How long to wait, in milliseconds; zero is for ever.
    pub(super) block_ms: Option<u64>,
    pub(super) no_ack: bool,
    /// Group and consumer.
    pub(super) group: Option<(&'a [u8], &'a [u8])>,
    pub(super) streams: KeysAndIds<'a>,
}

/// Each key with the word that says from where on it is read.
type KeysAndIds<'a> = Vec<(&'a [u8], &'a [u8])>;

/// Which of the two commands is read: the name, what an ID may be, and whether groups are allowed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Reader {
    Plain,
    Group,
}

impl<'a> ReadOptions<'a> {
    pub(super) fn parse(args: &mut Args<'a>, reader: Reader, now: u64) -> Result<Self, Refusal> {
        let mut options = Self::default();
        loop {
            if args.eat_with("BLOCK", 1) {
                options.block_ms = Some(args.timeout_ms(now)?);
            } else if args.eat_with("COUNT", 1) {
                options.count = u64::try_from(args.int()?).ok().filter(|&count| count > 0);
            } else if args.eat_with("STREAMS", 1) {
                options.streams = streams(args, reader)?;
                break;
            } else if args.eat_with("GROUP", 2) {
                only_with_groups(reader, "GROUP")?;
                options.group = Some((args.word()?, args.word()?));
            } else if args.eat("NOACK") {
                only_with_groups(reader, "NOACK")?;
                options.no_ack = true;
            } else {
                return Err(Refusal::Syntax);
            }
        }
        if reader == Reader::Group && options.group.is_none() {
            return Err(Refusal::Command("ERR Missing GROUP option for XREADGROUP"));
        }
        Ok(options)
    }
}

fn only_with_groups(reader: Reader, option: &str) -> Result<(), Refusal> {
    if reader == Reader::Group {
        return Ok(());
    }
    Err(Refusal::quoting(format_args!(
        "ERR The {option} option is only supported by XREADGROUP. You called XREAD instead."
    )))
}

/// The keys and, behind all of them, the ID for each.
fn streams<'a>(args: &mut Args<'a>, reader: Reader) -> Result<KeysAndIds<'a>, Refusal> {
    let words: Vec<&[u8]> = args.rest().collect();
    if !words.len().is_multiple_of(2) {
        return Err(Refusal::Command(match reader {
            Reader::Plain => {
                "ERR Unbalanced 'xread' list of streams: for each stream key an ID, '+', or '$' \
                 must be specified."
            }
            Reader::Group => {
                "ERR Unbalanced 'xreadgroup' list of streams: for each stream key an ID or '>' \
                 must be specified."
            }
        }));
    }
    let (keys, ids) = words.split_at(words.len() / 2);
    Ok(keys.iter().copied().zip(ids.iter().copied()).collect())
}
