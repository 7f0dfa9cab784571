//! One side of a conversation: says a transcript's steps to one server and notes what it hears.
//!
//! The two servers are spoken to at the same time and independently, each on a thread of its own;
//! afterwards the notes are compared. Nothing waits by the clock: a parked client is waited for by
//! asking the server how many clients are blocked.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::transcript::{Action, Keep, Protocol, Transcript};
use crate::connection::{Answer, Connection};
use crate::reply::Reply;
use crate::server::pause;

/// How long to wait for a client to be parked, or for the right number of parked clients.
const PARKED_MAX: Duration = Duration::from_secs(2);

/// What came of one step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Answer(Answer),
    /// A step that hears nothing was done.
    Done,
    /// An answer that had to come in a certain time.
    Timed {
        answer: Answer,
        in_time: bool,
    },
    /// How many clients were waiting, or whether the one that was to be parked is.
    Waiting(u64),
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Answer(answer) => answer.fmt(f),
            Self::Done => f.write_str("(said)"),
            Self::Timed {
                answer,
                in_time: true,
            } => answer.fmt(f),
            Self::Timed {
                answer,
                in_time: false,
            } => write!(f, "{answer} (not in time)"),
            Self::Waiting(clients) => write!(f, "({clients} parked)"),
        }
    }
}

/// A server as a conversation uses it. Lives from one conversation to the next.
#[derive(Debug)]
pub(crate) struct Host {
    addr: SocketAddr,
    /// Asks about the server, and is no part of any conversation.
    control: Connection,
    /// Clients that are connected between conversations.
    clients_idle: u64,
}

struct Open {
    connection: Connection,
    said_at: Instant,
}

impl Host {
    /// Connects to a server that answers.
    ///
    /// # Errors
    ///
    /// What the socket says.
    pub(crate) fn open(addr: SocketAddr) -> io::Result<Self> {
        let mut host = Self {
            addr,
            control: Connection::open(addr)?,
            clients_idle: 0,
        };
        // Whoever asked whether the server is ready may not have left yet.
        host.clients_idle = host.poll("connected_clients", |clients| clients == 1)?;
        Ok(host)
    }

    /// Holds the conversation, and leaves the server as empty as it was before. A sentinel has no
    /// data, and is for one conversation.
    ///
    /// # Errors
    ///
    /// When the server is beyond talking to. What it answers, or that it does not, is an outcome.
    pub(crate) fn perform(
        &mut self,
        transcript: &Transcript,
        protocol: Protocol,
    ) -> io::Result<Vec<Outcome>> {
        let is_server = transcript.sentinel.is_empty();
        if is_server {
            self.empty()?;
        }
        let settings = self.settings_to_restore(transcript)?;
        let mut talk = Talk {
            host: self,
            protocol,
            open: BTreeMap::new(),
            kept: Vec::new(),
        };
        let outcomes: io::Result<Vec<_>> = transcript
            .steps
            .iter()
            .map(|step| talk.step(&step.action))
            .collect();
        drop(talk.open);
        for (name, value) in settings {
            self.ask(&[b"CONFIG".as_slice(), b"SET", &name, &value])?;
        }
        if is_server {
            self.empty()?;
        }
        let idle = self.clients_idle;
        self.poll("connected_clients", |clients| clients <= idle)?;
        outcomes
    }

    /// What the configuration says now under every name that the conversation will set.
    fn settings_to_restore(
        &mut self,
        transcript: &Transcript,
    ) -> io::Result<Vec<(Vec<u8>, Vec<u8>)>> {
        let mut settings = Vec::new();
        for step in &transcript.steps {
            let Action::Ask { words, .. } = &step.action else {
                continue;
            };
            let is_set = words.len() >= 4
                && words[0].eq_ignore_ascii_case(b"CONFIG")
                && words[1].eq_ignore_ascii_case(b"SET");
            if !is_set {
                continue;
            }
            for name in words[2..].iter().step_by(2) {
                let reply = self.ask(&[b"CONFIG".as_slice(), b"GET", name])?;
                for (name, value) in reply.pairs().unwrap_or_default() {
                    if let (Some(name), Some(value)) = (name.text(), value.text()) {
                        settings.push((name.to_vec(), value.to_vec()));
                    }
                }
            }
        }
        settings.reverse();
        Ok(settings)
    }

    fn ask(&mut self, words: &[impl AsRef<[u8]>]) -> io::Result<Reply> {
        match self.control.ask(words) {
            Answer::Reply(reply) => Ok(reply),
            other => Err(io::Error::other(format!(
                "the server does not answer: {other}"
            ))),
        }
    }

    /// Takes all keys away: every conversation begins with nothing.
    fn empty(&mut self) -> io::Result<()> {
        let reply = self.ask(&["FLUSHALL"])?;
        if reply.is_error() {
            return Err(io::Error::other(format!(
                "the server cannot be emptied: {reply}"
            )));
        }
        Ok(())
    }

    /// A number out of `INFO clients`.
    fn count(&mut self, field: &str) -> io::Result<u64> {
        let info = self.ask(&["INFO", "clients"])?;
        let text = String::from_utf8_lossy(info.text().unwrap_or_default()).into_owned();
        let value = text
            .lines()
            .find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
        let count = value.and_then(|digits| digits.trim().parse().ok());
        count.ok_or_else(|| io::Error::other(format!("no {field} in INFO clients: {info}")))
    }

    /// Looks at a number until it is as wanted, or for [`PARKED_MAX`]; returns the last one.
    fn poll(&mut self, field: &str, wanted: impl Fn(u64) -> bool) -> io::Result<u64> {
        let until = Instant::now() + PARKED_MAX;
        loop {
            let count = self.count(field)?;
            if wanted(count) || Instant::now() > until {
                return Ok(count);
            }
            pause();
        }
    }
}

/// One conversation with one server.
struct Talk<'a> {
    host: &'a mut Host,
    protocol: Protocol,
    open: BTreeMap<String, Open>,
    /// The name with its dollar, and the text.
    kept: Vec<(String, Vec<u8>)>,
}

impl Talk<'_> {
    fn step(&mut self, action: &Action) -> io::Result<Outcome> {
        Ok(match action {
            Action::Ask { who, words, keep } => {
                self.say(who, words)?;
                let mut answer = self.hear(who)?;
                if let (Answer::Reply(reply), Some(keep)) = (&mut answer, keep) {
                    self.keep(reply, keep);
                }
                Outcome::Answer(self.with_names(answer))
            }
            Action::Close { who } => {
                self.open.remove(who);
                Outcome::Done
            }
            Action::Hear { who, took } => {
                let answer = self.hear(who)?;
                let elapsed = self.connection(who)?.said_at.elapsed().as_millis();
                let answer = self.with_names(answer);
                match took {
                    None => Outcome::Answer(answer),
                    Some(took) => {
                        let in_time =
                            u64::try_from(elapsed).is_ok_and(|elapsed| took.contains(&elapsed));
                        Outcome::Timed { answer, in_time }
                    }
                }
            }
            Action::Park { who, words } => {
                let before = self.host.count("blocked_clients")?;
                self.say(who, words)?;
                Outcome::Waiting(self.until_parked(who, before)?)
            }
            Action::SendRaw { who, pieces } => {
                for piece in pieces {
                    self.connection(who)?.connection.send_raw(piece)?;
                }
                Outcome::Done
            }
            Action::Tell { who, words } => {
                self.say(who, words)?;
                Outcome::Done
            }
            Action::Waiting { clients } => {
                Outcome::Waiting(self.host.poll("blocked_clients", |now| now == *clients)?)
            }
        })
    }

    /// Waits until one client more than before is parked (1), or this one was answered at once (0).
    fn until_parked(&mut self, who: &str, before: u64) -> io::Result<u64> {
        let until = Instant::now() + PARKED_MAX;
        while Instant::now() < until {
            if self.connection(who)?.connection.has_answer()? {
                return Ok(0);
            }
            if self.host.count("blocked_clients")? > before {
                return Ok(1);
            }
            pause();
        }
        Ok(0)
    }

    fn connection(&mut self, who: &str) -> io::Result<&mut Open> {
        if !self.open.contains_key(who) {
            let mut connection = Connection::open(self.host.addr)?;
            if self.protocol == Protocol::Resp3 {
                // Refused where a password is wanted first; the conversation will show it.
                connection.ask(&["HELLO", "3"]);
            }
            self.open.insert(
                who.to_owned(),
                Open {
                    connection,
                    said_at: Instant::now(),
                },
            );
        }
        Ok(self
            .open
            .get_mut(who)
            .expect("the connection has just been inserted"))
    }

    fn say(&mut self, who: &str, words: &[Vec<u8>]) -> io::Result<()> {
        let words: Vec<_> = words.iter().map(|word| self.filled_in(word)).collect();
        let open = self.connection(who)?;
        open.said_at = Instant::now();
        open.connection.send(&words)
    }

    fn hear(&mut self, who: &str) -> io::Result<Answer> {
        Ok(self.connection(who)?.connection.answer())
    }

    /// A word with every `$name` replaced by what was kept under it.
    fn filled_in(&self, word: &[u8]) -> Vec<u8> {
        let mut word = word.to_vec();
        for (name, text) in &self.kept {
            let name = name.as_bytes();
            while let Some(at) = word.windows(name.len()).position(|window| window == name) {
                word.splice(at..at + name.len(), text.iter().copied());
            }
        }
        word
    }

    fn keep(&mut self, reply: &mut Reply, keep: &Keep) {
        let mut part = reply;
        for &at in &keep.path {
            let next = match part {
                Reply::Array(all) | Reply::Push(all) | Reply::Set(all) => all.get_mut(at),
                Reply::Map(map) => map
                    .get_mut(at / 2)
                    .map(|(key, value)| if at % 2 == 0 { key } else { value }),
                _ => None,
            };
            match next {
                Some(next) => part = next,
                None => return,
            }
        }
        let text = match part {
            Reply::Integer(number) => {
                let text = number.to_string().into_bytes();
                // Its value differs from server to server; that it is an integer does not.
                *part = Reply::Simple(format!("{} (an integer)", keep.name).into_bytes());
                text
            }
            other => match other.text() {
                Some(text) => text.to_vec(),
                None => return,
            },
        };
        self.kept.retain(|(name, _)| *name != keep.name);
        self.kept.push((keep.name.clone(), text));
        // $id must not be found in $id2.
        self.kept
            .sort_by_key(|(name, _)| std::cmp::Reverse(name.len()));
    }

    /// The answer with every kept text replaced by its name, wherever it is a whole string.
    fn with_names(&self, answer: Answer) -> Answer {
        match answer {
            Answer::Reply(mut reply) => {
                if !self.kept.is_empty() {
                    self.name_texts(&mut reply);
                }
                Answer::Reply(reply)
            }
            other => other,
        }
    }

    fn name_texts(&self, reply: &mut Reply) {
        match reply {
            Reply::Array(all) | Reply::Push(all) | Reply::Set(all) => {
                all.iter_mut().for_each(|element| self.name_texts(element));
            }
            Reply::Map(map) => {
                for (key, value) in map {
                    self.name_texts(key);
                    self.name_texts(value);
                }
            }
            Reply::Bulk(text) => {
                if let Some((name, kept)) = self.kept.iter().find(|(_, kept)| kept == text) {
                    *text = format!("{name}: {}", shape(kept)).into_bytes();
                }
            }
            _ => {}
        }
    }
}

/// What kind of text was kept, so that two servers must at least agree about that.
fn shape(text: &[u8]) -> &'static str {
    let number = |part: &[u8]| !part.is_empty() && part.iter().all(u8::is_ascii_digit);
    match text.iter().position(|&byte| byte == b'-') {
        Some(dash) if number(&text[..dash]) && number(&text[dash + 1..]) => {
            if is_now(&text[..dash]) {
                "an ID of now"
            } else {
                "an ID"
            }
        }
        _ if number(text) => "a number",
        _ => "a text",
    }
}

/// Whether digits are the time in milliseconds, give or take a minute.
fn is_now(digits: &[u8]) -> bool {
    let since = std::time::UNIX_EPOCH
        .elapsed()
        .unwrap_or_default()
        .as_millis();
    let said = std::str::from_utf8(digits)
        .ok()
        .and_then(|digits| digits.parse::<u128>().ok());
    said.is_some_and(|said| said.abs_diff(since) < 60_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kept_text_is_compared_by_its_shape() {
        assert_eq!(shape(b"5-1"), "an ID");
        let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_millis();
        assert_eq!(shape(format!("{now}-0").as_bytes()), "an ID of now");
        assert_eq!(shape(b"17"), "a number");
        assert_eq!(shape(b"-1"), "a text");
        assert_eq!(shape(b"5-x"), "a text");
    }
}
