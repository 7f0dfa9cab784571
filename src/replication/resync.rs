//! How a replica comes to have its master's log: what the master decides, given both histories.
//!
//! ```text
//!  master   [ 1 ][ 2          ][ 3        ] end       ^ beginning: older frames are not kept
//!  replica  [ 1 ][ 2     ]                             ends where both are the same:   Continue
//!  replica  [ 1 ][ 2          ][ x   ]                 has what the master never had:  Cut
//!  replica  [ y  ]                                     nothing in common:              Full
//! ```

use headwater_store::{History, HistoryId, Lsn};

use super::Takeover;
use super::wire::{Answer, Hello, Wanted};
use crate::refusal::Refusal;

/// The server that is asked.
#[derive(Clone, Debug)]
pub(crate) struct Ours {
    pub(crate) history: History,
    /// The first place that can still be read.
    pub(crate) beginning: Lsn,
    pub(crate) end: Lsn,
    /// It follows another.
    pub(crate) follows: bool,
    /// It leads, or hears the one that it follows.
    pub(crate) is_fresh: bool,
    /// It is handing over.
    pub(crate) fails_over: bool,
}

/// What is to be done about a `PSYNC`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    Answer(Answer),
    /// Lead first; then the replica, which was the master, asks again.
    Lead,
}

pub(crate) const OTHER_KIND: Refusal = Refusal::Command(
    "ERR Headwater sends its log as it is, which only Headwater replicas can read (they say \
     REPLCONF capa frames)",
);
const BEHIND: Refusal = Refusal::Command("NOMASTERLINK Can't take over before all has come");
const FAILS_OVER: Refusal = Refusal::Command("NOMASTERLINK Can't SYNC while failing over");
const LEADS: Refusal = Refusal::Command("ERR PSYNC FAILOVER can't be sent to a master.");
const OTHER_ID: Refusal = Refusal::Command("ERR PSYNC FAILOVER replid must match my replid.");
const STALE: Refusal =
    Refusal::Command("NOMASTERLINK Can't SYNC while not connected with my master");

/// Decides about a `PSYNC`.
///
/// # Errors
///
/// When the replica is to come again later, or never.
pub(crate) fn decide(
    ours: &Ours,
    hello: &Hello,
    wanted: Wanted,
    takeover: Takeover,
) -> Result<Decision, Refusal> {
    if !hello.frames {
        return Err(OTHER_KIND);
    }
    if takeover != Takeover::No && leads_next(ours, wanted, takeover)? {
        return Ok(Decision::Lead);
    }
    if ours.fails_over {
        return Err(FAILS_OVER);
    }
    if !ours.is_fresh {
        return Err(STALE);
    }
    Ok(Decision::Answer(answer(ours, &hello.history, wanted)))
}

/// Whether the server is to lead now, because its master asks for it.
///
/// | this server | the asker's last epoch is | has what the asker has | |
/// |---|---|---|---|
/// | leads | the one before ours | | no: it did so when it was asked first |
/// | leads | another | | refused |
/// | follows | ours | yes, or it is forced | yes |
/// | follows | ours | no | refused for now |
/// | follows | another | | refused |
fn leads_next(ours: &Ours, wanted: Wanted, takeover: Takeover) -> Result<bool, Refusal> {
    let Wanted::From(id, end) = wanted else {
        return Err(OTHER_ID);
    };
    let is = |epoch: Option<&headwater_store::Epoch>| epoch.is_some_and(|epoch| epoch.id == id);
    let has_all = ours.end >= end || takeover == Takeover::Forced;
    match (
        ours.follows,
        is(ours.history.previous()),
        is(ours.history.current()),
    ) {
        (false, true, _) => Ok(false),
        (false, false, _) => Err(LEADS),
        (true, _, true) if has_all => Ok(true),
        (true, _, true) => Err(BEHIND),
        (true, _, false) => Err(OTHER_ID),
    }
}

/// What a master answers to a replica that has `theirs` and wants this.
///
/// | wants | in common | answer |
/// |---|---|---|
/// | everything | | Full |
/// | more | nothing, or less than the master's log reaches back | Full |
/// | more | all that it has | Continue |
/// | more | not all that it has | Cut |
fn answer(ours: &Ours, theirs: &History, wanted: Wanted) -> Answer {
    let id = current(&ours.history);
    let Wanted::From(_, end) = wanted else {
        return Answer::Full(id, ours.end);
    };
    match ours.history.common(ours.end, theirs, end) {
        Some(common) if common < ours.beginning => Answer::Full(id, ours.end),
        None => Answer::Full(id, ours.end),
        Some(common) if common == end => Answer::Continue(id),
        Some(common) => Answer::Cut(id, common),
    }
}

/// What the history of a log is known by: by its last epoch.
pub(crate) fn current(history: &History) -> HistoryId {
    let none = HistoryId::new([0; HistoryId::BYTES]);
    history.current().map_or(none, |epoch| epoch.id)
}

#[cfg(test)]
mod tests {
    use headwater_store::Epoch;

    use super::*;

    fn id(of: u8) -> HistoryId {
        HistoryId::new([of; HistoryId::BYTES])
    }

    fn history(epochs: &[(u32, u64, u8)]) -> History {
        let mut history = History::new();
        for &(number, start, of) in epochs {
            let (start, id) = (Lsn::new(start), id(of));
            history.push(Epoch { number, start, id });
        }
        history
    }

    fn ours() -> Ours {
        Ours {
            history: history(&[(1, 0, 1), (2, 100, 2), (4, 500, 4)]),
            beginning: Lsn::new(90),
            end: Lsn::new(900),
            follows: false,
            is_fresh: true,
            fails_over: false,
        }
    }

    #[test]
    fn histories_decide_what_a_replica_gets() {
        let ours = ours();
        let check = |theirs: &[(u32, u64, u8)], end, expected| {
            let theirs = history(theirs);
            let wanted = Wanted::From(current(&theirs), Lsn::new(end));
            assert_eq!(answer(&ours, &theirs, wanted), expected, "{theirs} {end}");
            let everything = answer(&ours, &theirs, Wanted::Everything);
            assert_eq!(everything, Answer::Full(id(4), ours.end));
        };
        let (go_on, full) = (Answer::Continue(id(4)), Answer::Full(id(4), ours.end));
        let cut = |at| Answer::Cut(id(4), Lsn::new(at));
        check(&[(1, 0, 1), (2, 100, 2)], 300, go_on);
        check(&[(1, 0, 1), (2, 100, 2)], 500, go_on);
        check(&[(1, 0, 1), (2, 100, 2)], 501, cut(500));
        check(&[(1, 0, 1), (2, 100, 2), (3, 300, 3)], 400, cut(300));
        check(&[(1, 0, 1), (2, 100, 2), (4, 500, 4)], 950, cut(900));
        // Too old to go on from, whether something has to be cut or not.
        check(&[(1, 0, 1)], 80, full);
        check(&[(1, 0, 1), (2, 80, 9)], 95, full);
        check(&[(1, 0, 7)], 80, full);
        check(&[], 0, full);
        let beginning = Lsn::ZERO;
        let young = Ours { beginning, ..ours };
        let wanted = Wanted::From(current(&History::new()), Lsn::ZERO);
        assert_eq!(answer(&young, &History::new(), wanted), go_on);
    }

    #[test]
    fn whoever_cannot_be_served_now_is_told_why() {
        let frames = Hello {
            frames: true,
            ..Hello::default()
        };
        let decided = |ours: &Ours, hello: &Hello, takeover, of: u8, end| {
            decide(ours, hello, Wanted::From(id(of), Lsn::new(end)), takeover)
        };
        use Takeover::{Asked, Forced, No};
        let master = ours();
        let stale = Ours {
            follows: true,
            is_fresh: false,
            ..ours()
        };
        let leaving = Ours {
            fails_over: true,
            ..ours()
        };
        let lead = Ok(Decision::Lead);
        let full = Ok(Decision::Answer(Answer::Full(id(4), master.end)));
        for (ours, takeover, of, end, expected) in [
            (&master, No, 4, 900, full.clone()),
            (&stale, No, 4, 900, Err(STALE)),
            (&leaving, No, 4, 900, Err(FAILS_OVER)),
            (&master, Asked, 2, 500, full),
            (&master, Asked, 4, 500, Err(LEADS)),
            (&stale, Asked, 4, 900, lead.clone()),
            (&stale, Asked, 4, 901, Err(BEHIND)),
            (&stale, Forced, 4, 901, lead),
            (&stale, Forced, 2, 500, Err(OTHER_ID)),
        ] {
            let case = format!("{ours:?} {takeover:?} {of} {end}");
            assert_eq!(
                decided(ours, &frames, takeover, of, end),
                expected,
                "{case}"
            );
            let other = decided(ours, &Hello::default(), takeover, of, end);
            assert_eq!(other, Err(OTHER_KIND), "{case}");
        }
    }
}
