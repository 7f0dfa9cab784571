//! What follows from a command's [`Spec`]: its flags, ACL categories and key specifications in the
//! words of `COMMAND INFO`, and the keys of a request.
//!
//! Nothing here is written down per command; the rules are Redis' (`setImplicitACLCategories`,
//! `populateCommandLegacyRangeSpec`, `getKeysUsingKeySpecs`).

use crate::command::spec::{Body, Keys};
use crate::command::{Access, Command, Group, KeyUse, Spec, Traits};

/// Every ACL category, in the order in which Redis lists those of a command.
const CATEGORIES: &[&str] = &[
    "keyspace",
    "read",
    "write",
    "stream",
    "pubsub",
    "admin",
    "fast",
    "slow",
    "blocking",
    "dangerous",
    "connection",
    "transaction",
];

/// Traits that clients see as flags, in the order in which Redis lists them behind `write` and
/// `readonly`.
const FLAGS: &[(Traits, &str)] = &[
    (Traits::DENY_OOM, "denyoom"),
    (Traits::ADMIN, "admin"),
    (Traits::PUBSUB, "pubsub"),
    (Traits::NO_SCRIPT, "noscript"),
    (Traits::BLOCKING, "blocking"),
    (Traits::LOADING, "loading"),
    (Traits::STALE, "stale"),
    (Traits::SKIP_SLOWLOG, "skip_slowlog"),
    (Traits::FAST, "fast"),
    (Traits::NO_AUTH, "no_auth"),
    (Traits::NO_ASYNC_LOADING, "no_async_loading"),
    (Traits::NO_MULTI, "no_multi"),
];

/// One of the ways in which a command names keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct KeySpec {
    pub(crate) key_use: KeyUse,
    pub(crate) begin: Begin,
    /// How far behind the first key the last one is; negative counts from the end of the request.
    pub(crate) last: i16,
    pub(crate) step: i16,
    /// The keys are only this fraction (one half: 2) of what follows; 0 is all.
    pub(crate) limit: i16,
}

/// Where the first key of a [`KeySpec`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Begin {
    Index(i16),
    /// Behind the first such word at `from` or later.
    Keyword {
        token: &'static str,
        from: i16,
    },
}

impl Command {
    /// The flags of `COMMAND INFO`.
    pub(crate) fn flags(&self) -> Vec<&'static str> {
        let traits = self.spec.traits;
        let access = match self.spec.access {
            Access::Neither => None,
            Access::Read => Some("readonly"),
            Access::Write => Some("write"),
        };
        let shown = FLAGS.iter().filter(|(flag, _)| traits.has(*flag));
        let movable = matches!(self.keys(), Keys::After { .. }).then_some("movablekeys");
        let busy = traits.has(Traits::ALLOW_BUSY).then_some("allow_busy");
        access
            .into_iter()
            .chain(shown.map(|(_, name)| *name))
            .chain(movable)
            .chain(busy)
            .collect()
    }

    /// Its ACL categories without their `@`.
    pub(crate) fn categories(&self) -> Vec<&'static str> {
        let is_in = |category: &&&str| self.spec.is_in(category);
        CATEGORIES.iter().filter(is_in).copied().collect()
    }

    pub(crate) fn keys(&self) -> Keys {
        self.spec.keys(if self.depth == 1 { 1 } else { 2 })
    }

    /// First key, last key and step, where one range says it all; zeros where none does.
    pub(crate) fn key_range(&self) -> (i16, i16, i16) {
        match self.keys() {
            Keys::None | Keys::After { .. } => (0, 0, 0),
            Keys::At {
                first, last, step, ..
            } => (first, last, step),
            Keys::Pair(..) => (1, 2, 1),
        }
    }

    pub(crate) fn key_specs(&self) -> Vec<KeySpec> {
        let one = |at, key_use| KeySpec {
            key_use,
            begin: Begin::Index(at),
            last: 0,
            step: 1,
            limit: 0,
        };
        match self.keys() {
            Keys::None => Vec::new(),
            Keys::At {
                first,
                last,
                step,
                key_use,
            } => vec![KeySpec {
                last: if last < 0 { last } else { last - first },
                step,
                ..one(first, key_use)
            }],
            Keys::After {
                token,
                from,
                key_use,
            } => vec![KeySpec {
                key_use,
                begin: Begin::Keyword { token, from },
                last: -1,
                step: 1,
                limit: 2,
            }],
            Keys::Pair(first, second) => vec![one(1, first), one(2, second)],
        }
    }
}

impl Spec {
    fn is_in(&self, category: &str) -> bool {
        let traits = self.traits;
        let is_container = matches!(self.body, Body::Subcommands(_));
        // What is not a rule on flags is said by the chapter; containers belong to none.
        let chapter = |group| self.group == group && !is_container;
        match category {
            "admin" => traits.has(Traits::ADMIN) || traits.has(Traits::OPERATORS),
            "blocking" => traits.has(Traits::BLOCKING),
            "connection" => chapter(Group::Connection) || traits.has(Traits::CONNECTION),
            "dangerous" => traits.has(Traits::DANGEROUS) || self.is_in("admin"),
            "fast" => traits.has(Traits::FAST),
            "keyspace" => {
                let generic = chapter(Group::Generic) && !traits.has(Traits::CONNECTION);
                generic || traits.has(Traits::KEYSPACE)
            }
            "pubsub" => traits.has(Traits::PUBSUB),
            "read" => self.access == Access::Read,
            "slow" => !traits.has(Traits::FAST),
            "stream" => chapter(Group::Stream),
            "transaction" => chapter(Group::Transactions),
            "write" => self.access == Access::Write,
            _ => unreachable!("the list of categories is closed"),
        }
    }
}

impl KeySpec {
    /// Where the keys of a request are. `None` when it has not the form that the command needs.
    pub(crate) fn places<'a>(
        &self,
        words: &[&'a [u8]],
    ) -> Option<impl Iterator<Item = &'a [u8]> + use<'a>> {
        let first = match self.begin {
            Begin::Index(at) => usize::from(at.unsigned_abs()),
            Begin::Keyword { token, from } => {
                let from = usize::from(from.unsigned_abs());
                // The last word cannot be followed by a key.
                let mut places = from..words.len().saturating_sub(1);
                let is_token = |at: &usize| words[*at].eq_ignore_ascii_case(token.as_bytes());
                places.find(is_token)? + 1
            }
        };
        let behind = words.len().checked_sub(first)?;
        let count = match (self.last, self.limit) {
            (0.., _) => usize::from(self.last.unsigned_abs()) + 1,
            (_, 0) => (behind + 1).checked_sub(usize::from(self.last.unsigned_abs()))?,
            (_, limit) => behind / usize::from(limit.unsigned_abs()),
        };
        let keys = words.get(first..first + count)?.to_vec();
        Some(
            keys.into_iter()
                .step_by(usize::from(self.step.unsigned_abs())),
        )
    }
}

/// Why a request has no keys to tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoKeys {
    Arity,
    Form,
    NeverAny,
}

impl Command {
    /// The keys in the words of a request of this command, each with its use.
    pub(crate) fn keys_of<'a>(
        &self,
        words: &[&'a [u8]],
    ) -> Result<Vec<(&'a [u8], KeyUse)>, NoKeys> {
        let mut specs = self.key_specs();
        specs.retain(|spec| spec.key_use != KeyUse::NOT_A_KEY);
        if specs.is_empty() {
            return Err(NoKeys::NeverAny);
        }
        if !self.takes(words.len()) {
            return Err(NoKeys::Arity);
        }
        let mut keys = Vec::new();
        for spec in specs {
            let places = spec.places(words).ok_or(NoKeys::Form)?;
            keys.extend(places.map(|key| (key, spec.key_use)));
        }
        if keys.is_empty() {
            Err(NoKeys::Form)
        } else {
            Ok(keys)
        }
    }
}

/// Whether there is such an ACL category; in any case of letters.
pub(crate) fn category(name: &[u8]) -> Option<&'static str> {
    CATEGORIES
        .iter()
        .copied()
        .find(|category| category.as_bytes().eq_ignore_ascii_case(name))
}
