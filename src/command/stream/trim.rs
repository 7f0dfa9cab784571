//! `MAXLEN | MINID [= | ~] threshold [LIMIT count]`: the options that XADD and XTRIM share, as
//! syntax and as code.

use headwater_store::{Trim, TrimBy};

use crate::command::{Arg, Args, Data};
use crate::config;
use crate::refusal::Refusal;

/// The options as `COMMAND DOCS` shows them.
pub(super) const ARGS: &[Arg] = &[
    Arg::one_of(
        "strategy",
        &[
            Arg::flag("maxlen", "MAXLEN"),
            Arg::flag("minid", "MINID").since("6.2.0"),
        ],
    ),
    Arg::one_of(
        "operator",
        &[Arg::flag("equal", "="), Arg::flag("approximately", "~")],
    )
    .optional(),
    Arg::string("threshold"),
    Arg::int("count").token("LIMIT").since("6.2.0").optional(),
];

/// The options as they were given, before they are checked against one another.
#[derive(Default)]
pub(super) struct TrimOptions {
    by: Option<TrimBy>,
    approximate: bool,
    limit: Option<u64>,
}

impl TrimOptions {
    /// Takes one option, if one is next. Says whether it was one.
    pub(super) fn eat(&mut self, args: &mut Args<'_>) -> Result<bool, Refusal> {
        if args.eat_with("MAXLEN", 1) {
            self.operator(args)?;
            let length = u64::try_from(args.int()?)
                .map_err(|_negative| Refusal::Command("ERR The MAXLEN argument must be >= 0."))?;
            self.by = Some(TrimBy::MaxLen(length));
        } else if args.eat_with("MINID", 1) {
            self.operator(args)?;
            self.by = Some(TrimBy::MinId(args.id(0)?));
        } else if args.eat_with("LIMIT", 1) {
            let limit = u64::try_from(args.int()?)
                .map_err(|_negative| Refusal::Command("ERR The LIMIT argument must be >= 0."))?;
            self.limit = Some(limit);
        } else {
            return Ok(false);
        }
        Ok(true)
    }

    fn operator(&mut self, args: &mut Args<'_>) -> Result<(), Refusal> {
        if self.by.is_some() {
            return Err(Refusal::Command(
                "ERR syntax error, MAXLEN and MINID options at the same time are not compatible",
            ));
        }
        // Like Redis, take the operator only if a threshold follows it.
        self.approximate = args.eat_with("~", 1);
        if !self.approximate {
            args.eat_with("=", 1);
        }
        Ok(())
    }

    /// What the options ask for, `None` for nothing. `required` is the refusal of a command that
    /// does nothing else.
    pub(super) fn resolve(
        self,
        data: &Data<'_>,
        required: Option<Refusal>,
    ) -> Result<Option<Trim>, Refusal> {
        if self.limit.is_some_and(|limit| limit > 0) && self.by.is_none() {
            return Err(Refusal::Command(
                "ERR syntax error, LIMIT cannot be used without specifying a trimming strategy",
            ));
        }
        if let Some(refusal) = required.filter(|_| self.by.is_none()) {
            return Err(refusal);
        }
        if self.limit.is_some() && !self.approximate {
            return Err(Refusal::Command(
                "ERR syntax error, LIMIT cannot be used without the special ~ option",
            ));
        }
        let approximate = self.approximate;
        let limit = match self.limit {
            _ if !approximate => None,
            Some(0) => None,
            Some(limit) => Some(limit),
            None => Some(default_limit(data)),
        };
        Ok(self.by.map(|by| Trim {
            by,
            approximate,
            limit,
        }))
    }
}

/// How much `~` trims at most when no LIMIT is given: a hundred nodes' worth, between 10,000 and
/// 1,000,000 entries as Redis bounds it.
fn default_limit(data: &Data<'_>) -> u64 {
    match u64::try_from(data.server.config.int(config::STREAM_NODE_MAX_ENTRIES)) {
        Ok(0) | Err(_) => 10_000,
        Ok(entries) => entries.saturating_mul(100).min(1_000_000),
    }
}
