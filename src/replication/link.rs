//! A replica's link to its master, without a socket and without a clock.
//!
//! ```text
//!            time          connected         answers           CONTINUE
//!  Waiting ---------> Connecting ------> Asking(question) ------------------> Following
//!     ^                  |                  |  |  |  FULLRESYNC
//!     |     lost, or     |                  |  |  +---------------------------> Receiving
//!     |     silent for   |                  |  |  CUT                              |
//!     |     too long     |                  |  +-----> the log is cut              |
//!     +------------------+------------------+-------------+------------------------+
//! ```
//!
//! Whoever owns the socket tells what happened ([`Event`]) and does what comes back ([`Action`]).
//! The words are those of [`wire`](super::wire).
//!
//! Invariants:
//!
//! * After [`Action::HangUp`], and after an answer that ends the conversation, the link waits, and
//!   begins anew with the next [`Action::Connect`].
//! * At most one question is open; its answer decides about the next.

use std::collections::VecDeque;
use std::fmt;

use headwater_store::{History, Lsn};

use super::wire::{Answer, Has, Wanted};
use super::{Takeover, resync};

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event<'a> {
    /// Nothing but time.
    Tick,
    /// There is a connection; what this server has to say of itself.
    Connected(Facts),
    /// The connection could not be had, or broke.
    Lost,
    /// A line came, without its end.
    Line(&'a str),
    /// Something else came.
    Heard,
    /// What was to be received has come.
    Complete,
    /// What has been received lies here.
    Marks { written: Lsn, durable: Lsn },
}

/// What is to be done now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Connect,
    /// Send one request.
    Say(Vec<String>),
    /// What comes from here on is a stream of frames.
    Follow,
    /// What comes from here on is a shipment of all data up to this place.
    Receive(Lsn),
    /// The connection has served its purpose: cut the log here, and connect again.
    Cut(Lsn),
    /// End the connection.
    HangUp(Why),
}

/// Why a link is given up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Why {
    /// It does not know a word that every server of our kind knows.
    NotOurKind,
    /// It refuses, for now or for good.
    Refused(Box<str>),
    Silent,
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotOurKind => {
                f.write_str("it is no Headwater server, and only their log can be followed")
            }
            Self::Refused(text) => write!(f, "it refuses: {text}"),
            Self::Silent => f.write_str("it has been silent for too long"),
        }
    }
}

/// What a replica says of itself when it comes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Facts {
    /// Empty for the default user.
    pub(crate) user: String,
    /// Empty for none.
    pub(crate) password: String,
    pub(crate) port: u16,
    /// Empty when its address shows where it is.
    pub(crate) host: String,
    pub(crate) history: History,
    pub(crate) end: Lsn,
    /// It cannot go on from what it has.
    pub(crate) wants_everything: bool,
    /// What it has of a shipment.
    pub(crate) has: Option<Has>,
    /// Whether the other, which follows this server so far, is to lead.
    pub(crate) takeover: Takeover,
}

/// A step of the handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Question {
    Ping,
    Auth,
    Address,
    Capa,
    History,
    Shipment,
    Psync,
}

#[derive(Debug)]
enum Stage {
    Waiting {
        until_ms: u64,
    },
    Connecting,
    /// The first question is open.
    Asking(VecDeque<(Question, Vec<String>)>),
    Receiving,
    Following,
}

/// How far a link is, in the words of `ROLE`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    Connect,
    Connecting,
    Handshake,
    Sync,
    Connected,
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connect => "connect",
            Self::Connecting => "connecting",
            Self::Handshake => "handshake",
            Self::Sync => "sync",
            Self::Connected => "connected",
        })
    }
}

/// Acknowledgements are sent at least as often.
const ACK_PERIOD_MS: u64 = 1000;

/// How long to wait after the first failure; twice as long after each further one, up to the last.
const REST_MS: u64 = 50;
const REST_MS_MAX: u64 = 1000;

#[derive(Debug)]
pub(crate) struct Link {
    stage: Stage,
    /// A master that is silent for so long is given up.
    timeout_ms: u64,
    /// When something last came, or was begun.
    heard_ms: u64,
    acked_ms: u64,
    acked: (Lsn, Lsn),
    marks: (Lsn, Lsn),
    /// Attempts in a row that came to nothing, or to little.
    failures: u32,
}

impl Link {
    /// A link that connects with the first tick.
    pub(crate) fn new(timeout_ms: u64) -> Self {
        Self {
            stage: Stage::Waiting { until_ms: 0 },
            timeout_ms,
            heard_ms: 0,
            acked_ms: 0,
            acked: (Lsn::ZERO, Lsn::ZERO),
            marks: (Lsn::ZERO, Lsn::ZERO),
            failures: 0,
        }
    }

    pub(crate) fn standing(&self) -> Standing {
        match self.stage {
            Stage::Waiting { .. } => Standing::Connect,
            Stage::Connecting => Standing::Connecting,
            Stage::Asking(_) => Standing::Handshake,
            Stage::Receiving => Standing::Sync,
            Stage::Following => Standing::Connected,
        }
    }

    /// Changes what `repl-timeout` says.
    pub(crate) fn set_timeout(&mut self, timeout_ms: u64) {
        self.timeout_ms = timeout_ms;
    }

    /// When time alone will have something done.
    pub(crate) fn due_ms(&self) -> u64 {
        let silent = self.heard_ms.saturating_add(self.timeout_ms);
        match self.stage {
            Stage::Waiting { until_ms } => until_ms,
            Stage::Following | Stage::Receiving => silent.min(self.acked_ms + ACK_PERIOD_MS),
            Stage::Connecting | Stage::Asking(_) => silent,
        }
    }

    /// Goes one step on.
    pub(crate) fn step(&mut self, now_ms: u64, event: Event<'_>) -> Option<Action> {
        if matches!(event, Event::Connected(_) | Event::Line(_) | Event::Heard) {
            self.heard_ms = now_ms;
        }
        match (&mut self.stage, event) {
            (Stage::Waiting { until_ms }, Event::Tick) if now_ms >= *until_ms => {
                self.heard_ms = now_ms;
                self.stage = Stage::Connecting;
                Some(Action::Connect)
            }
            (Stage::Waiting { .. }, _) => None,
            (_, Event::Lost) => {
                self.rest(now_ms);
                None
            }
            (Stage::Receiving, Event::Complete) => {
                self.rest(now_ms);
                None
            }
            (Stage::Connecting, Event::Connected(facts)) => {
                let questions = questions(&facts);
                let first = questions
                    .front()
                    .map(|(_, words)| Action::Say(words.clone()));
                self.stage = Stage::Asking(questions);
                first
            }
            (Stage::Asking(_), Event::Line(line)) => self.answered(now_ms, line),
            (_, Event::Tick) if now_ms >= self.heard_ms.saturating_add(self.timeout_ms) => {
                self.rest(now_ms);
                Some(Action::HangUp(Why::Silent))
            }
            // Whoever is still receiving everything has nothing, and is there.
            (Stage::Following | Stage::Receiving, Event::Tick)
                if now_ms >= self.acked_ms + ACK_PERIOD_MS =>
            {
                // Whoever has come to this goes on well.
                self.failures = 0;
                Some(self.acknowledge(now_ms))
            }
            (Stage::Following, Event::Marks { written, durable }) => {
                self.marks = (written, durable);
                (self.marks != self.acked).then(|| self.acknowledge(now_ms))
            }
            _ => None,
        }
    }

    /// Goes on with the next question, or with what the last answer says.
    fn answered(&mut self, now_ms: u64, line: &str) -> Option<Action> {
        let Stage::Asking(questions) = &mut self.stage else {
            return None;
        };
        // A sign of life before the answer.
        if line.is_empty() {
            return None;
        }
        let (question, _) = questions.pop_front()?;
        let give_up = |link: &mut Self, why| {
            link.rest(now_ms);
            Some(Action::HangUp(why))
        };
        if let Err(why) = question.verdict(line) {
            return give_up(self, why);
        }
        if let Some((_, words)) = questions.front() {
            return Some(Action::Say(words.clone()));
        }
        match line.strip_prefix('+').and_then(Answer::read) {
            Some(Answer::Continue(_)) => {
                self.stage = Stage::Following;
                self.acked_ms = now_ms;
                self.acked = (Lsn::ZERO, Lsn::ZERO);
                Some(Action::Follow)
            }
            Some(Answer::Full(_, end)) => {
                self.stage = Stage::Receiving;
                (self.marks, self.acked_ms) = ((Lsn::ZERO, Lsn::ZERO), now_ms);
                Some(Action::Receive(end))
            }
            Some(Answer::Cut(_, at)) => {
                self.rest(now_ms);
                Some(Action::Cut(at))
            }
            None => give_up(self, Why::NotOurKind),
        }
    }

    fn acknowledge(&mut self, now_ms: u64) -> Action {
        (self.acked, self.acked_ms) = (self.marks, now_ms);
        let (written, durable) = self.marks;
        let words = [
            "REPLCONF",
            "ACK",
            &written.to_string(),
            "FACK",
            &durable.to_string(),
        ];
        Action::Say(words.map(str::to_owned).into())
    }

    /// Waits a while before the next attempt, the longer the more came to nothing.
    fn rest(&mut self, now_ms: u64) {
        let rest = REST_MS << self.failures.min(8);
        self.failures += 1;
        let until_ms = now_ms + rest.min(REST_MS_MAX);
        self.stage = Stage::Waiting { until_ms };
    }
}

impl Question {
    /// What an answer means. Servers that know less than we do may go on without what we can.
    ///
    /// | question | goes on with |
    /// |---|---|
    /// | `Ping` | `+...`, and with whatever a server says that wants a password first |
    /// | `Auth`, `Psync` | `+...` |
    /// | `History` | `+...`; an error says that the master is of another kind |
    /// | `Address`, `Capa`, `Shipment` | anything |
    fn verdict(self, line: &str) -> Result<(), Why> {
        let is_error = line.starts_with('-');
        let wants_password = line.starts_with("-NOAUTH") || line.starts_with("-NOPERM");
        match self {
            Self::Ping if is_error && !wants_password => Err(refused(line)),
            Self::Auth | Self::Psync if is_error => Err(refused(line)),
            Self::History if line.starts_with("-NOAUTH") => Err(refused(line)),
            Self::History if is_error => Err(Why::NotOurKind),
            _ => Ok(()),
        }
    }
}

fn refused(line: &str) -> Why {
    Why::Refused(line.trim_start_matches('-').into())
}

/// What is asked, in this order.
fn questions(facts: &Facts) -> VecDeque<(Question, Vec<String>)> {
    let mut questions = VecDeque::new();
    let mut ask = |question, words: &[&str]| {
        let words = words.iter().map(|&word| word.to_owned()).collect();
        questions.push_back((question, words));
    };
    ask(Question::Ping, &["PING"]);
    match (&*facts.user, &*facts.password) {
        (_, "") => {}
        ("", password) => ask(Question::Auth, &["AUTH", password]),
        (user, password) => ask(Question::Auth, &["AUTH", user, password]),
    }
    let port = facts.port.to_string();
    let address = [
        "REPLCONF",
        "listening-port",
        &port,
        "ip-address",
        &facts.host,
    ];
    let words = if facts.host.is_empty() { 3 } else { 5 };
    ask(Question::Address, &address[..words]);
    ask(
        Question::Capa,
        &["REPLCONF", "capa", "psync2", "capa", "frames"],
    );
    ask(
        Question::History,
        &["REPLCONF", "history", &facts.history.to_string()],
    );
    if let Some(has) = &facts.has {
        ask(
            Question::Shipment,
            &["REPLCONF", "shipment", &has.to_string()],
        );
    }
    let wanted = if facts.wants_everything {
        Wanted::Everything
    } else {
        Wanted::From(resync::current(&facts.history), facts.end)
    };
    let [id, offset] = wanted.words();
    let psync = ["PSYNC", &id, &offset, "FAILOVER", "FORCE"];
    let words = match facts.takeover {
        Takeover::No => 3,
        Takeover::Asked => 4,
        Takeover::Forced => 5,
    };
    ask(Question::Psync, &psync[..words]);
    questions
}

#[cfg(test)]
mod tests {
    use headwater_store::{Epoch, HistoryId};

    use super::*;

    fn facts() -> Facts {
        let mut history = History::new();
        let (start, id) = (Lsn::ZERO, HistoryId::new([1; HistoryId::BYTES]));
        history.push(Epoch {
            number: 1,
            start,
            id,
        });
        Facts {
            port: 6380,
            history,
            end: Lsn::new(41),
            ..Facts::default()
        }
    }

    fn said(action: Option<Action>) -> String {
        match action {
            Some(Action::Say(words)) => words.join(" "),
            other => format!("{other:?}"),
        }
    }

    /// Answers as a master does until the last question is open.
    fn asked(link: &mut Link, facts: Facts) -> Vec<String> {
        assert_eq!(link.step(0, Event::Tick), Some(Action::Connect));
        let mut asked = vec![said(link.step(0, Event::Connected(facts)))];
        while !asked.last().unwrap().starts_with("PSYNC") {
            asked.push(said(link.step(0, Event::Line("+OK"))));
        }
        asked
    }

    #[test]
    fn a_handshake_is_in_redis_words() {
        let id = "01".repeat(20);
        assert_eq!(
            asked(&mut Link::new(1000), facts()),
            [
                "PING",
                "REPLCONF listening-port 6380",
                "REPLCONF capa psync2 capa frames",
                &format!("REPLCONF history 1:0:{id}"),
                &format!("PSYNC {id} 42"),
            ]
        );
        let has = "08af:3:4096".parse().unwrap();
        let everything = Facts {
            user: "ann".into(),
            password: "secret".into(),
            host: "10.0.0.2".into(),
            wants_everything: true,
            has: Some(has),
            takeover: Takeover::Asked,
            ..facts()
        };
        assert_eq!(
            asked(&mut Link::new(1000), everything)[1..],
            [
                "AUTH ann secret",
                "REPLCONF listening-port 6380 ip-address 10.0.0.2",
                "REPLCONF capa psync2 capa frames",
                &format!("REPLCONF history 1:0:{id}"),
                "REPLCONF shipment 08af:3:4096",
                "PSYNC ? -1 FAILOVER",
            ]
        );
    }

    #[test]
    fn the_last_answer_says_how_it_goes_on() {
        let id = "ab".repeat(20);
        for (line, action, standing) in [
            (
                format!("+CONTINUE {id}"),
                Action::Follow,
                Standing::Connected,
            ),
            (
                format!("+FULLRESYNC {id} 900"),
                Action::Receive(Lsn::new(900)),
                Standing::Sync,
            ),
            (
                format!("+CUT {id} 40"),
                Action::Cut(Lsn::new(40)),
                Standing::Connect,
            ),
            (
                format!("+FULLRESYNC {id}"),
                Action::HangUp(Why::NotOurKind),
                Standing::Connect,
            ),
            (
                "-NOMASTERLINK Can't SYNC".to_owned(),
                Action::HangUp(refused("NOMASTERLINK Can't SYNC")),
                Standing::Connect,
            ),
        ] {
            let mut link = Link::new(1000);
            asked(&mut link, facts());
            assert_eq!(link.step(0, Event::Line("")), None, "a sign of life");
            assert_eq!(link.step(0, Event::Line(&line)), Some(action), "{line}");
            assert_eq!(link.standing(), standing, "{line}");
        }
    }

    #[test]
    fn a_master_of_another_kind_is_told_from_one_that_wants_a_password() {
        let end = |number: usize, line| {
            let mut link = Link::new(1000);
            link.step(0, Event::Tick);
            link.step(0, Event::Connected(facts()));
            for _ in 0..number {
                link.step(0, Event::Line("+OK"));
            }
            link.step(0, Event::Line(line))
        };
        let no_auth = "-NOAUTH Authentication required.";
        assert!(matches!(end(0, no_auth), Some(Action::Say(_))));
        let hang_up = |why| Some(Action::HangUp(why));
        assert_eq!(end(3, no_auth), hang_up(refused(no_auth)));
        let unknown = "-ERR Unrecognized REPLCONF option: history";
        assert_eq!(end(3, unknown), hang_up(Why::NotOurKind));
        assert!(matches!(end(2, "-ERR whatever"), Some(Action::Say(_))));
        let loading = "-LOADING Redis is loading the dataset in memory";
        assert_eq!(end(0, loading), hang_up(refused(loading)));
    }

    #[test]
    fn marks_are_acknowledged_when_they_move_and_once_a_second() {
        let mut link = Link::new(60_000);
        asked(&mut link, facts());
        let line = format!("+CONTINUE {}", "ab".repeat(20));
        assert_eq!(link.step(5000, Event::Line(&line)), Some(Action::Follow));
        let mut marks = |now_ms, written, durable| {
            let (written, durable) = (Lsn::new(written), Lsn::new(durable));
            said(link.step(now_ms, Event::Marks { written, durable }))
        };
        assert_eq!(marks(5000, 41, 41), "REPLCONF ACK 41 FACK 41");
        assert_eq!(marks(5000, 41, 41), "None");
        assert_eq!(marks(5100, 50, 41), "REPLCONF ACK 50 FACK 41");
        assert_eq!(link.due_ms(), 6100);
        assert_eq!(link.step(6099, Event::Tick), None);
        assert_eq!(
            said(link.step(6100, Event::Tick)),
            "REPLCONF ACK 50 FACK 41"
        );
        assert_eq!(link.due_ms(), 7100);
    }

    #[test]
    fn a_silent_master_is_given_up_and_tried_again_ever_less_often() {
        let mut link = Link::new(1000);
        asked(&mut link, facts());
        assert_eq!(link.due_ms(), 1000);
        assert_eq!(link.step(900, Event::Heard), None);
        assert_eq!(link.step(1899, Event::Tick), None);
        assert_eq!(
            link.step(1900, Event::Tick),
            Some(Action::HangUp(Why::Silent))
        );
        let mut rests = Vec::new();
        for _ in 0..7 {
            let due = link.due_ms();
            assert_eq!(link.step(due - 1, Event::Tick), None);
            assert_eq!(link.step(due, Event::Tick), Some(Action::Connect));
            assert_eq!(link.step(due, Event::Lost), None);
            rests.push(link.due_ms() - due);
        }
        assert_eq!(rests, [100, 200, 400, 800, 1000, 1000, 1000]);
    }
}
