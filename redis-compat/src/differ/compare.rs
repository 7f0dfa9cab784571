//! Two replies, and the first place where they differ.
//!
//! Replies are equal when their trees are: the same types, the same bytes. Three things are not
//! compared so strictly, each only where a rule says so:
//!
//! * a **mask** compares only the type (a process ID, a client's address);
//! * **about** lets numbers differ by a little (idle times: the two servers heard the question some
//!   milliseconds apart);
//! * **only** picks fields out of a long text such as INFO.
//!
//! [`Comparison::for_command`] has the rules that always hold for a command, so that a conversation
//! need not repeat them.

use std::fmt;

use crate::reply::Reply;

/// How far two clocks' readings may lie apart, when a machine is busy.
const CLOCK_MS: u64 = 5_000;
/// Integers from here on (September 2020) are taken for times in milliseconds, in XINFO.
const TIME_MS_MIN: i64 = 1_600_000_000_000;

/// Where a rule holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// At a path from the top; `[]` is the reply itself.
    At(Vec<Index>),
    /// At the value that follows this name in a map, or in a flat array of names and values.
    Named(Vec<u8>),
    /// At every integer that may be a time in milliseconds.
    Time,
}

/// One step of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Index {
    Any,
    At(usize),
}

#[derive(Clone, Copy, Debug)]
enum How {
    /// At most this far apart, and of one sign.
    About(u64),
    /// Only the types.
    Mask,
}

/// How the replies to one step are compared.
#[derive(Clone, Debug, Default)]
pub(crate) struct Comparison {
    rules: Vec<(Place, How)>,
    /// Names of the fields that count.
    pub(crate) only: Option<Vec<String>>,
    pub(crate) sorted: bool,
    /// Not compared: the difference is meant.
    pub(crate) differs: bool,
}

/// Where two replies part, and what stands there.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Parting {
    /// As in `[2].pending[0][1]`; empty for the reply itself.
    pub(crate) path: String,
    pub(crate) theirs: String,
    pub(crate) ours: String,
}

impl Comparison {
    /// Only the types count at a place.
    pub(crate) fn mask(&mut self, place: Place) {
        self.rules.push((place, How::Mask));
    }

    /// Numbers at a place may differ by so much.
    pub(crate) fn about(&mut self, place: Place, by: u64) {
        self.rules.push((place, How::About(by)));
    }

    /// Adds the rules that hold for every reply to a command.
    pub(crate) fn for_command(&mut self, words: &[Vec<u8>]) {
        let word = |at: usize| words.get(at).map(|word| word.to_ascii_uppercase());
        match word(0).unwrap_or_default().as_slice() {
            // Now, and until then.
            b"TIME" => self.about(Place::At(vec![Index::At(0)]), CLOCK_MS / 1000),
            b"EXPIRETIME" | b"TTL" => self.about(Place::At(Vec::new()), CLOCK_MS / 1000),
            b"PEXPIRETIME" | b"PTTL" => self.about(Place::At(Vec::new()), CLOCK_MS),
            b"OBJECT" if word(1).as_deref() == Some(b"IDLETIME") => {
                self.about(Place::At(Vec::new()), CLOCK_MS / 1000);
            }
            b"XINFO" => {
                for name in ["idle", "inactive"] {
                    self.about(Place::Named(name.into()), CLOCK_MS);
                }
                self.about(Place::Time, CLOCK_MS);
                // The inner nodes of Redis' tree: how it stores entries, not what they are.
                self.mask(Place::Named("radix-tree-nodes".into()));
            }
            // The rows of the long form are [id, consumer, idle, deliveries].
            b"XPENDING" => self.about(Place::At(vec![Index::Any, Index::At(2)]), CLOCK_MS),
            // Any order of keys is right.
            b"KEYS" => self.sorted = true,
            _ => {}
        }
        if word(0).as_deref() == Some(b"TIME") {
            self.mask(Place::At(vec![Index::At(1)]));
        }
    }

    /// The first place where the replies differ; `None` when they are equal.
    pub(crate) fn parting(&self, theirs: &Reply, ours: &Reply) -> Option<Parting> {
        if self.differs {
            return None;
        }
        let (theirs, ours) = (self.view(theirs), self.view(ours));
        self.walk(&theirs, &ours, &mut Path::default(), None)
    }

    /// What counts of a reply.
    fn view(&self, reply: &Reply) -> Reply {
        let mut reply = reply.clone();
        if let Some(only) = &self.only {
            reply = pick(&reply, only);
        }
        match &mut reply {
            Reply::Array(all) | Reply::Set(all) if self.sorted => {
                all.sort_by_key(ToString::to_string);
            }
            Reply::Map(map) if self.sorted => map.sort_by_key(|(key, _)| key.to_string()),
            _ => {}
        }
        reply
    }

    fn walk(
        &self,
        theirs: &Reply,
        ours: &Reply,
        path: &mut Path,
        name: Option<&[u8]>,
    ) -> Option<Parting> {
        for (place, how) in &self.rules {
            if !path.is_at(place, name, theirs) {
                continue;
            }
            match how {
                How::Mask if std::mem::discriminant(theirs) == std::mem::discriminant(ours) => {
                    return None;
                }
                How::About(by) if are_about(theirs, ours, *by) => return None,
                How::About(_) | How::Mask => {}
            }
        }
        match (theirs, ours) {
            (Reply::Array(a), Reply::Array(b))
            | (Reply::Push(a), Reply::Push(b))
            | (Reply::Set(a), Reply::Set(b))
                if a.len() == b.len() =>
            {
                let named = names(a);
                for (at, (theirs, ours)) in a.iter().zip(b).enumerate() {
                    let name = if named && at % 2 == 1 {
                        a[at - 1].text()
                    } else {
                        None
                    };
                    path.push(at, name);
                    let parting = self.walk(theirs, ours, path, name);
                    path.pop();
                    if parting.is_some() {
                        return parting;
                    }
                }
                None
            }
            (Reply::Map(a), Reply::Map(b)) if a.len() == b.len() => {
                for (at, ((their_key, theirs), (our_key, ours))) in a.iter().zip(b).enumerate() {
                    let name = their_key.text();
                    path.push(at, name);
                    let parting = self
                        .walk(their_key, our_key, path, None)
                        .or_else(|| self.walk(theirs, ours, path, name));
                    path.pop();
                    if parting.is_some() {
                        return parting;
                    }
                }
                None
            }
            (theirs, ours) if theirs == ours => None,
            // Of two lists the common beginning tells nothing.
            (Reply::Array(a), Reply::Array(b)) => {
                let same = a.iter().zip(b).take_while(|(a, b)| a == b).count();
                let rest = |all: &[Reply]| {
                    format!(
                        "{} elements, from [{same}] {}",
                        all.len(),
                        Reply::Array(all[same..].into())
                    )
                };
                Some(Parting {
                    path: path.to_string(),
                    theirs: rest(a),
                    ours: rest(b),
                })
            }
            (theirs, ours) => Some(Parting {
                path: path.to_string(),
                theirs: theirs.to_string(),
                ours: ours.to_string(),
            }),
        }
    }
}

/// Whether an array looks like names and values: `[name, value, name, value]`.
fn names(all: &[Reply]) -> bool {
    all.len().is_multiple_of(2)
        && all
            .iter()
            .step_by(2)
            .all(|name| matches!(name, Reply::Bulk(_) | Reply::Simple(_)))
}

fn are_about(theirs: &Reply, ours: &Reply, by: u64) -> bool {
    let (a, b) = match (theirs, ours) {
        (Reply::Integer(a), Reply::Integer(b)) => (*a, *b),
        (Reply::Bulk(a), Reply::Bulk(b)) => {
            let number = |text: &[u8]| std::str::from_utf8(text).ok()?.parse().ok();
            match (number(a), number(b)) {
                (Some(a), Some(b)) => (a, b),
                _ => return false,
            }
        }
        _ => return false,
    };
    // -1 and -2 mean "none", not a time.
    a == b || (a >= 0 && b >= 0 && a.abs_diff(b) <= by)
}

/// Picks named fields out of a map, a flat array of names and values, or a text of `name:value`
/// lines or `name=value` words.
fn pick(reply: &Reply, only: &[String]) -> Reply {
    let wanted = |name: &[u8]| {
        only.iter()
            .find(|wanted| wanted.trim_start_matches('~').as_bytes() == name)
    };
    let shown = |wanted: &String, value: &dyn fmt::Display| {
        let value = if wanted.starts_with('~') {
            String::new()
        } else {
            value.to_string()
        };
        Reply::Bulk(format!("{wanted}: {value}").into_bytes())
    };
    if reply.is_error() {
        return reply.clone();
    }
    let mut picked = Vec::new();
    if let Some(text) = reply.text() {
        for line in text.split(|&byte| byte == b'\n') {
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            let mut row = Vec::new();
            let mut field = |prefix: &[u8], name: &[u8], value: &[u8]| {
                if let Some(name) = wanted(&[prefix, name].concat()) {
                    row.push(shown(name, &value.escape_ascii()));
                }
            };
            if let Some((name, value)) = split_once(line, b':') {
                field(b"", name, value);
                // db0:keys=1,expires=0 has the fields db0.keys and db0.expires.
                for (part, value) in value
                    .split(|&b| b == b',')
                    .filter_map(|f| split_once(f, b'='))
                {
                    field(&[name, b"."].concat(), part, value);
                }
            }
            for (name, value) in line
                .split(|&b| b == b' ')
                .filter_map(|f| split_once(f, b'='))
            {
                field(b"", name, value);
            }
            if !row.is_empty() {
                picked.push(Reply::Array(row));
            }
        }
    } else if let Some(pairs) = reply.pairs() {
        for (key, value) in pairs {
            if let Some(name) = wanted(key.text().unwrap_or_default()) {
                picked.push(shown(name, value));
            }
        }
    } else {
        return reply.clone();
    }
    Reply::Array(picked)
}

fn split_once(text: &[u8], separator: u8) -> Option<(&[u8], &[u8])> {
    let at = text.iter().position(|&byte| byte == separator)?;
    Some((&text[..at], &text[at + 1..]))
}

/// The way from the top of a reply to where the walk is.
#[derive(Default)]
struct Path(Vec<(usize, Option<Vec<u8>>)>);

impl Path {
    fn push(&mut self, at: usize, name: Option<&[u8]>) {
        self.0.push((at, name.map(<[u8]>::to_vec)));
    }

    fn pop(&mut self) {
        self.0.pop();
    }

    fn is_at(&self, place: &Place, name: Option<&[u8]>, reply: &Reply) -> bool {
        match place {
            Place::At(path) => {
                path.len() == self.0.len()
                    && path
                        .iter()
                        .zip(&self.0)
                        .all(|(index, (at, _))| match index {
                            Index::Any => true,
                            Index::At(wanted) => wanted == at,
                        })
            }
            Place::Named(wanted) => name == Some(wanted),
            Place::Time => matches!(reply, Reply::Integer(number) if *number >= TIME_MS_MIN),
        }
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, name) in &self.0 {
            match name {
                Some(name) => write!(f, ".{}", name.escape_ascii())?,
                None => write!(f, "[{at}]")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(wire: &str) -> Reply {
        Reply::read(&mut wire.replace(' ', "\r\n").as_bytes()).unwrap()
    }

    #[track_caller]
    fn check(comparison: &Comparison, theirs: &str, ours: &str, path: Option<&str>) {
        let parting = comparison.parting(&reply(theirs), &reply(ours));
        assert_eq!(
            parting.as_ref().map(|parting| parting.path.as_str()),
            path,
            "{parting:?}"
        );
    }

    #[test]
    fn types_that_libraries_fold_together_differ() {
        let strictly = Comparison::default();
        check(&strictly, "+OK ", "$2 OK ", Some(""));
        check(&strictly, "*-1 ", "$-1 ", Some(""));
        check(&strictly, "_ ", "*-1 ", Some(""));
        check(&strictly, "*2 +a :1 ", "%1 +a :1 ", Some(""));
        check(&strictly, "*2 +a :1 ", "*2 +a :1 ", None);
    }

    #[test]
    fn the_first_difference_is_named() {
        let strictly = Comparison::default();
        check(&strictly, "*2 :1 *1 :2 ", "*2 :1 *1 :3 ", Some("[1][0]"));
        check(&strictly, "*2 $1 a :2 ", "*2 $1 a :3 ", Some(".a"));
        check(
            &strictly,
            "%1 +a %1 +b :1 ",
            "%1 +a %1 +b :2 ",
            Some(".a.b"),
        );
        check(&strictly, "%1 +a :1 ", "%1 +b :1 ", Some(".a"));
        check(&strictly, "*1 :1 ", "*2 :1 :2 ", Some(""));
    }

    #[test]
    fn a_mask_leaves_the_type() {
        let mut masked = Comparison::default();
        masked.mask(Place::Named(b"a".to_vec()));
        check(&masked, "%1 +a :1 ", "%1 +a :2 ", None);
        check(&masked, "%1 +a :1 ", "%1 +a $1 2 ", Some(".a"));
        check(&masked, "%1 +b :1 ", "%1 +b :2 ", Some(".b"));
    }

    #[test]
    fn about_allows_a_little_and_not_another_sign() {
        let mut about = Comparison::default();
        about.about(Place::At(vec![Index::Any, Index::At(1)]), 10);
        check(&about, "*1 *2 :5 :100 ", "*1 *2 :5 :110 ", None);
        check(&about, "*1 *2 :5 :100 ", "*1 *2 :5 :111 ", Some("[0][1]"));
        check(&about, "*1 *2 :5 :100 ", "*1 *2 :6 :100 ", Some("[0][0]"));
        check(&about, "*1 *2 :5 :-1 ", "*1 *2 :5 :1 ", Some("[0][1]"));
    }

    #[test]
    fn only_the_named_fields_count() {
        let only = |names: &[&str]| Comparison {
            only: Some(names.iter().map(|&name| name.to_owned()).collect()),
            ..Comparison::default()
        };
        let theirs = Reply::Bulk(b"# S\r\nrole:master\r\nrun_id:1\r\n".to_vec());
        let ours = Reply::Bulk(b"run_id:2\r\nrole:master\r\n".to_vec());
        assert_eq!(only(&["role"]).parting(&theirs, &ours), None);
        assert_ne!(only(&["run_id"]).parting(&theirs, &ours), None);
        assert_ne!(
            only(&["~role", "~run_id"]).parting(&theirs, &ours),
            None,
            "their order counts"
        );
        let missing = Reply::Bulk(b"role:master\r\n".to_vec());
        assert_ne!(only(&["~run_id"]).parting(&theirs, &missing), None);
        check(&only(&["b"]), "%2 +a :1 +b :2 ", "%2 +a :5 +b :2 ", None);
        check(
            &only(&["b"]),
            "%2 +a :1 +b :2 ",
            "%2 +a :5 +b :3 ",
            Some("[0]"),
        );
    }
}
