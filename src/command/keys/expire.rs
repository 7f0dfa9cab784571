//! `EXPIRE key seconds [NX | XX | GT | LT]`, `PEXPIRE` in milliseconds, `EXPIREAT` and `PEXPIREAT`
//! at a point in time: lets a key live no longer than that.
//!
//! * A key whose time has come is gone with all it has: entries, groups, pending entries.
//! * A time that has passed removes the key at once.
//! * For GT and LT a key without an end lives for ever: nothing is later, everything is sooner.
//! * The conditions are read before the time is, and the time before the key is looked at.

use crate::command::{
    Access, Arg, Args, Body, Cx, Group, Halt, KeyUse, Outcome, Spec, Traits, parse_int,
};
use crate::refusal::Refusal;

const TRAITS: Traits = Traits::ALONE.and(Traits::FAST);

const KEY: Arg = Arg::key("key", KeyUse::UPDATE);

const CONDITION: Arg = Arg::one_of(
    "condition",
    &[
        Arg::flag("nx", "NX"),
        Arg::flag("xx", "XX"),
        Arg::flag("gt", "GT"),
        Arg::flag("lt", "LT"),
    ],
)
.since("7.0.0")
.optional();

pub(crate) static EXPIRE: Spec = Spec {
    name: "expire",
    summary: "Lets a key expire after some seconds.",
    since: "1.0.0",
    complexity: "O(1)",
    group: Group::Generic,
    access: Access::Write,
    traits: TRAITS,
    tips: &[],
    args: &[KEY, Arg::int("seconds"), CONDITION],
    body: Body::Run(|cx, args| expire(cx, args, Time::SECONDS, "expire")),
};

pub(crate) static PEXPIRE: Spec = Spec {
    name: "pexpire",
    summary: "Lets a key expire after some milliseconds.",
    since: "2.6.0",
    complexity: "O(1)",
    group: Group::Generic,
    access: Access::Write,
    traits: TRAITS,
    tips: &[],
    args: &[KEY, Arg::int("milliseconds"), CONDITION],
    body: Body::Run(|cx, args| expire(cx, args, Time::MILLISECONDS, "pexpire")),
};

pub(crate) static EXPIREAT: Spec = Spec {
    name: "expireat",
    summary: "Lets a key expire at a time in seconds since 1970.",
    since: "1.2.0",
    complexity: "O(1)",
    group: Group::Generic,
    access: Access::Write,
    traits: TRAITS,
    tips: &[],
    args: &[KEY, Arg::unix_time("unix-time-seconds"), CONDITION],
    body: Body::Run(|cx, args| expire(cx, args, Time::UNIX_SECONDS, "expireat")),
};

pub(crate) static PEXPIREAT: Spec = Spec {
    name: "pexpireat",
    summary: "Lets a key expire at a time in milliseconds since 1970.",
    since: "2.6.0",
    complexity: "O(1)",
    group: Group::Generic,
    access: Access::Write,
    traits: TRAITS,
    tips: &[],
    args: &[KEY, Arg::unix_time("unix-time-milliseconds"), CONDITION],
    body: Body::Run(|cx, args| expire(cx, args, Time::UNIX_MILLISECONDS, "pexpireat")),
};

fn expire(
    cx: &mut Cx<'_>,
    args: &mut Args<'_>,
    time: Time,
    command: &'static str,
) -> Result<Outcome, Halt> {
    let (key, number) = (args.word()?, args.word()?);
    let condition = Condition::parse(args)?;
    let number = parse_int(number).ok_or(Refusal::NotAnInteger)?;
    let (db, now) = (cx.db, cx.now);
    let at = time
        .resolve(number, now)
        .ok_or(Refusal::InvalidExpire { command })?;
    let holds = cx
        .access
        .expires_at(db, key, now)
        .is_some_and(|before| condition.holds(before, at));
    if holds {
        if at <= now {
            cx.access.remove(db, key, now)?;
        } else {
            cx.access.set_expiry(db, key, Some(at), now)?;
        }
    }
    cx.out.int(i64::from(holds));
    Ok(Outcome::Done)
}

/// What the number says.
#[derive(Clone, Copy)]
struct Time {
    unit_ms: i64,
    from_now: bool,
}

impl Time {
    const SECONDS: Self = Self::new(1000, true);
    const MILLISECONDS: Self = Self::new(1, true);
    const UNIX_SECONDS: Self = Self::new(1000, false);
    const UNIX_MILLISECONDS: Self = Self::new(1, false);

    const fn new(unit_ms: i64, from_now: bool) -> Self {
        Self { unit_ms, from_now }
    }

    /// The point in time, in milliseconds since 1970, which is where those before it are moved to;
    /// `None` if the number is too big in either direction.
    fn resolve(self, number: i64, now: u64) -> Option<u64> {
        let ms = number.checked_mul(self.unit_ms)?;
        let at = if self.from_now {
            ms.checked_add_unsigned(now)?
        } else {
            ms
        };
        Some(u64::try_from(at).unwrap_or(0))
    }
}

/// When the new end counts.
#[derive(Clone, Copy, Debug, Default)]
struct Condition {
    nx: bool,
    xx: bool,
    gt: bool,
    lt: bool,
}

impl Condition {
    fn parse(args: &mut Args<'_>) -> Result<Self, Refusal> {
        let mut condition = Self::default();
        let Self { nx, xx, gt, lt } = &mut condition;
        while !args.is_empty() {
            let mut options = [("NX", &mut *nx), ("XX", xx), ("GT", gt), ("LT", lt)];
            match options.iter_mut().find(|(token, _)| args.eat(token)) {
                Some((_, given)) => **given = true,
                None => {
                    return Err(Refusal::quoting(format_args!(
                        "ERR Unsupported option {}",
                        String::from_utf8_lossy(args.word()?)
                    )));
                }
            }
        }
        if condition.nx && (condition.xx || condition.gt || condition.lt) {
            return Err(Refusal::Command(
                "ERR NX and XX, GT or LT options at the same time are not compatible",
            ));
        }
        if condition.gt && condition.lt {
            return Err(Refusal::Command(
                "ERR GT and LT options at the same time are not compatible",
            ));
        }
        Ok(condition)
    }

    /// Whether a key that expires at `before` may get a new end. Without one it lives for ever.
    fn holds(self, before: Option<u64>, at: u64) -> bool {
        match before {
            None => !self.xx && !self.gt,
            Some(before) => !(self.nx || self.gt && at <= before || self.lt && at >= before),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_000_000;

    #[test]
    fn a_time_is_a_moment_or_too_big() {
        let resolve = |unit_ms, from_now, number| Time { unit_ms, from_now }.resolve(number, NOW);
        let limit = i64::MAX / 1000;
        assert_eq!(resolve(1000, true, 5), Some(NOW + 5000));
        assert_eq!(resolve(1, false, 5), Some(5));
        assert_eq!(
            resolve(1000, false, limit),
            Some(limit.unsigned_abs() * 1000)
        );
        assert_eq!(resolve(1000, false, limit + 1), None);
        assert_eq!(
            resolve(1000, true, limit),
            None,
            "now and that is out of range"
        );
        assert_eq!(resolve(1, false, i64::MAX), Some(i64::MAX.unsigned_abs()));
        assert_eq!(resolve(1, true, i64::MAX), None);
        assert_eq!(
            resolve(1, true, i64::MIN),
            Some(0),
            "long ago is no less gone"
        );
        assert_eq!(resolve(1000, true, i64::MIN), None);
    }

    #[test]
    fn without_an_end_everything_is_sooner_and_nothing_later() {
        let none = Condition::default();
        let (nx, xx) = (
            Condition { nx: true, ..none },
            Condition { xx: true, ..none },
        );
        let (gt, lt) = (
            Condition { gt: true, ..none },
            Condition { lt: true, ..none },
        );
        let (xx_gt, xx_lt) = (Condition { gt: true, ..xx }, Condition { lt: true, ..xx });
        // The condition, and whether it holds without an end, and with one that is sooner than,
        // the same as, and later than the new one.
        for (condition, without, sooner, same, later) in [
            (none, true, true, true, true),
            (nx, true, false, false, false),
            (xx, false, true, true, true),
            (gt, false, true, false, false),
            (lt, true, false, false, true),
            (xx_gt, false, true, false, false),
            (xx_lt, false, false, false, true),
        ] {
            let holds =
                [None, Some(9), Some(10), Some(11)].map(|before| condition.holds(before, 10));
            assert_eq!(holds, [without, sooner, same, later], "{condition:?}");
        }
    }
}
