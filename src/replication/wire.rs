//! What a master and its replica say to each other. The words of the handshake are Redis', so that
//! tools see what they expect; what follows it is ours.
//!
//! ```text
//!  replica                                             master
//!  PING                                           -->
//!                                                 <--  +PONG
//!  AUTH [user] password                           -->
//!                                                 <--  +OK
//!  REPLCONF listening-port 6380 [ip-address ip]   -->
//!                                                 <--  +OK
//!  REPLCONF capa psync2 capa frames               -->
//!                                                 <--  +OK
//!  REPLCONF history 1:0:64e1...,2:700:08af...     -->  the epochs of its log
//!                                                 <--  +OK
//!  PSYNC 08af... 4712 [FAILOVER]                  -->  its last epoch, and its end plus one
//!                                                 <--  +CONTINUE 08af...
//!                                                 <--  $262144 CRLF and whole frames, ever again
//!                                                      (!262144, when somebody waits until the
//!                                                      replica has them on its disk)
//!                                                 <--  LF, when there is nothing to be said
//!                                                 <--  *3 CRLF $7 CRLF PUBLISH CRLF ...
//!  REPLCONF ACK 266856 FACK 266856                -->  written and durable, ever again
//! ```
//!
//! Instead of `+CONTINUE` the master may answer
//!
//! ```text
//!  +CUT 08af... 4000         what the replica has from LSN 4000 on is not in the master's log; it
//!                            cuts that off, and comes again
//!  +FULLRESYNC 08af... 9000  everything there is up to LSN 9000 follows, as files: see `shipment`
//!  -NOMASTERLINK ...         not now
//! ```
//!
//! A message stands behind the frames that were there when it was published, as the request that
//! published it.
//!
//! A replica that did not say `capa frames` could not read what comes, and is refused.

use std::fmt;

use headwater_resp::{Decoder, Limits, Request};
use headwater_store::{History, HistoryId, Lsn};

use crate::command::{parse_int, parse_uint};
use crate::refusal::Refusal;

/// What a replica has told of itself before `PSYNC`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Hello {
    /// 0 when it has not said.
    pub(crate) port: u16,
    /// Empty when it has not said: then it is reached where it comes from.
    pub(crate) host: Box<str>,
    /// It reads frames.
    pub(crate) frames: bool,
    pub(crate) history: History,
    /// What of a shipment it has.
    pub(crate) has: Option<Has>,
}

/// How far a shipment has come that was broken off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Has {
    pub(crate) shipment: Box<str>,
    /// So many files are complete.
    pub(crate) files: u64,
    /// So many bytes of the next.
    pub(crate) bytes: u64,
}

impl Hello {
    /// Takes one pair of `REPLCONF`; `false` when there is no such option.
    ///
    /// # Errors
    ///
    /// When the option has no such value.
    pub(crate) fn take(&mut self, option: &[u8], value: &[u8]) -> Result<bool, Refusal> {
        let text = || str::from_utf8(value).map_err(|_not_utf8| Refusal::Syntax);
        let is = |name: &str| option.eq_ignore_ascii_case(name.as_bytes());
        if is("listening-port") {
            let port = parse_int(value).and_then(|port| u16::try_from(port).ok());
            self.port = port.ok_or(Refusal::NotAnInteger)?;
        } else if is("ip-address") {
            const HOST_MAX: usize = 256;
            if value.len() >= HOST_MAX {
                let text = "ERR REPLCONF ip-address provided by replica instance is too long";
                let length = value.len();
                return Err(Refusal::quoting(format_args!("{text}: {length} bytes")));
            }
            let host = text()?;
            if host
                .chars()
                .any(|letter| letter.is_control() || letter.is_whitespace())
            {
                return Err(Refusal::Syntax);
            }
            self.host = host.into();
        } else if is("capa") {
            // Whoever can do what we do not know can do without it, too.
            self.frames |= value.eq_ignore_ascii_case(b"frames");
        } else if is("history") {
            let not_one = |_cause| Refusal::Command("ERR REPLCONF history is not understood");
            self.history = text()?.parse().map_err(not_one)?;
        } else if is("shipment") {
            self.has = Some(text()?.parse().map_err(|()| Refusal::Syntax)?);
        } else {
            return Ok(false);
        }
        Ok(true)
    }
}

impl fmt::Display for Has {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.shipment, self.files, self.bytes)
    }
}

impl std::str::FromStr for Has {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let mut parts = text.splitn(3, ':');
        let mut next = || parts.next().ok_or(());
        Ok(Self {
            shipment: next()?.into(),
            files: next()?.parse().map_err(drop)?,
            bytes: next()?.parse().map_err(drop)?,
        })
    }
}

/// What `PSYNC` asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    Everything,
    /// What comes behind this place, in the replica's last epoch.
    From(HistoryId, Lsn),
}

impl Wanted {
    /// Reads the words behind `PSYNC`. What another kind of server calls its history is no part of
    /// ours.
    ///
    /// # Errors
    ///
    /// When the offset is no number.
    pub(crate) fn read(id: &[u8], offset: &[u8]) -> Result<Self, Refusal> {
        let offset = parse_int(offset).ok_or(Refusal::NotAnInteger)?;
        // Redis counts bytes from one, and asks for the next.
        let end = u64::try_from(offset)
            .ok()
            .and_then(|offset| offset.checked_sub(1));
        let id = str::from_utf8(id).ok().and_then(|id| id.parse().ok());
        Ok(match (id, end) {
            (Some(id), Some(end)) => Self::From(id, Lsn::new(end)),
            _ => Self::Everything,
        })
    }

    /// The words behind `PSYNC`.
    pub(crate) fn words(self) -> [String; 2] {
        match self {
            Self::Everything => ["?".to_owned(), "-1".to_owned()],
            Self::From(id, end) => [id.to_string(), end.plus(1).to_string()],
        }
    }
}

/// What a master answers to `PSYNC`, unless it refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// Frames follow, from the end of the replica's log on.
    Continue(HistoryId),
    /// The replica's log is to be cut at this place first.
    Cut(HistoryId, Lsn),
    /// Everything up to this place follows as files.
    Full(HistoryId, Lsn),
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Continue(id) => write!(f, "CONTINUE {id}"),
            Self::Cut(id, at) => write!(f, "CUT {id} {at}"),
            Self::Full(id, end) => write!(f, "FULLRESYNC {id} {end}"),
        }
    }
}

impl Answer {
    /// Reads a line of the master, without `+` and line end.
    pub(crate) fn read(line: &str) -> Option<Self> {
        let mut words = line.split(' ');
        let name = words.next()?;
        let id = words.next()?.parse().ok()?;
        let lsn = words.next();
        if words.next().is_some() {
            return None;
        }
        let place = || Some(Lsn::new(parse_uint(lsn?.as_bytes())?));
        match name {
            "CONTINUE" if lsn.is_none() => Some(Self::Continue(id)),
            "CUT" => Some(Self::Cut(id, place()?)),
            "FULLRESYNC" => Some(Self::Full(id, place()?)),
            _ => None,
        }
    }
}

/// The most bytes that one item of the stream says it has; a frame may have as many, but nothing
/// is allocated because of it.
const CHUNK_MAX: u64 = 1 << 32;

/// A line is not longer than this: the history of 32 epochs fits ten times.
pub(crate) const LINE_MAX: usize = 64 << 10;

/// What a replica hears once it follows: frames in chunks, and messages and signs of life between
/// them.
#[derive(Debug, Default)]
pub(crate) struct Stream {
    /// Bytes of the chunk that have not come.
    left: u64,
    /// Somebody waits until it is on the disk.
    urgent: bool,
    messages: Decoder,
}

/// What comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Item {
    /// So many bytes of frames.
    Frames(usize),
    /// A [message](Stream::message) of so many bytes.
    Message(usize),
    /// More has to come first.
    Nothing,
}

/// The peer does not keep to what is agreed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Garbled;

impl fmt::Display for Garbled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("it sends what is not understood")
    }
}

impl Stream {
    /// Looks at what has come: how many bytes to pass over, and what follows them.
    ///
    /// # Errors
    ///
    /// When it is neither a chunk, nor a message, nor a sign of life.
    pub(crate) fn next(&mut self, input: &[u8]) -> Result<(usize, Item), Garbled> {
        let mut at = 0;
        while self.left == 0 {
            match input.get(at) {
                None => return Ok((at, Item::Nothing)),
                Some(b'\n') => at += 1,
                Some(b'*') => {
                    let decoded = self.messages.decode(&input[at..], &MESSAGE_LIMITS);
                    let length = decoded.map_err(|_error| Garbled)?;
                    return Ok((at, length.map_or(Item::Nothing, Item::Message)));
                }
                Some(mark @ (b'$' | b'!')) => match header(&input[at + 1..])? {
                    None => return Ok((at, Item::Nothing)),
                    Some((bytes, length)) => {
                        self.left = bytes;
                        self.urgent = *mark == b'!';
                        at += 1 + length;
                    }
                },
                Some(_) => return Err(Garbled),
            }
        }
        let here = input.len() - at;
        let left = usize::try_from(self.left).unwrap_or(usize::MAX);
        let frames = here.min(left);
        self.left -= frames as u64;
        Ok((
            at,
            if frames > 0 {
                Item::Frames(frames)
            } else {
                Item::Nothing
            },
        ))
    }

    /// The message that `input` begins with, as [`next`](Self::next) has just said.
    pub(crate) fn message<'a>(&'a self, input: &'a [u8]) -> Request<'a> {
        self.messages.request(input)
    }

    /// Whether somebody waits until the chunk that came last is on the disk.
    pub(crate) fn is_urgent(&self) -> bool {
        self.urgent
    }
}

/// A master sends no larger message than it was sent.
const MESSAGE_LIMITS: Limits = Limits::new(usize::MAX);

/// A length and its line end; how many bytes these take.
fn header(input: &[u8]) -> Result<Option<(u64, usize)>, Garbled> {
    const DIGITS_MAX: usize = 11;
    let Some(end) = input
        .iter()
        .take(DIGITS_MAX)
        .position(|&byte| byte == b'\n')
    else {
        return if input.len() < DIGITS_MAX {
            Ok(None)
        } else {
            Err(Garbled)
        };
    };
    let digits = input[..end].strip_suffix(b"\r").ok_or(Garbled)?;
    let bytes = parse_uint(digits).ok_or(Garbled)?;
    if bytes > CHUNK_MAX {
        return Err(Garbled);
    }
    Ok(Some((bytes, end + 1)))
}

/// The line before a chunk.
pub(crate) fn chunk_header(bytes: usize, urgent: bool) -> String {
    let mark = if urgent { '!' } else { '$' };
    format!("{mark}{bytes}\r\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(byte: u8) -> HistoryId {
        HistoryId::new([byte; HistoryId::BYTES])
    }

    #[test]
    fn answers_are_read_as_they_are_written() {
        let id = id(0xab);
        for (answer, line) in [
            (
                Answer::Continue(id),
                format!("CONTINUE {}", "ab".repeat(20)),
            ),
            (
                Answer::Cut(id, Lsn::new(7)),
                format!("CUT {} 7", "ab".repeat(20)),
            ),
            (
                Answer::Full(id, Lsn::new(9)),
                format!("FULLRESYNC {} 9", "ab".repeat(20)),
            ),
        ] {
            assert_eq!(answer.to_string(), line);
            assert_eq!(Answer::read(&line), Some(answer));
        }
        for line in [
            "",
            "CONTINUE",
            "CONTINUE ab",
            &format!("CONTINUE {} 7", "ab".repeat(20)),
            &format!("CUT {}", "ab".repeat(20)),
            &format!("CUT {} -7", "ab".repeat(20)),
            &format!("FULLRESYNC {} 9 9", "ab".repeat(20)),
        ] {
            assert_eq!(Answer::read(line), None, "{line}");
        }
    }

    #[test]
    fn psync_counts_from_one() {
        let wanted = Wanted::From(id(1), Lsn::new(41));
        assert_eq!(wanted.words(), ["01".repeat(20), "42".to_owned()]);
        for (id, offset, wanted) in [
            ("01".repeat(20), "42", Ok(wanted)),
            ("?".to_owned(), "-1", Ok(Wanted::Everything)),
            ("of another kind".to_owned(), "42", Ok(Wanted::Everything)),
            ("01".repeat(20), "0", Ok(Wanted::Everything)),
            ("01".repeat(20), "x", Err(Refusal::NotAnInteger)),
        ] {
            assert_eq!(Wanted::read(id.as_bytes(), offset.as_bytes()), wanted);
        }
    }

    #[test]
    fn a_replica_tells_of_itself() {
        let mut hello = Hello::default();
        let history = format!("1:0:{},2:70:{}", id(1), id(2));
        for (option, value) in [
            ("LISTENING-PORT", "6380"),
            ("ip-address", "10.0.0.2"),
            ("capa", "eof"),
            ("capa", "frames"),
            ("history", &history),
            ("shipment", "08af:3:4096"),
        ] {
            assert_eq!(hello.take(option.as_bytes(), value.as_bytes()), Ok(true));
        }
        assert_eq!(
            (hello.port, &*hello.host, hello.frames),
            (6380, "10.0.0.2", true)
        );
        assert_eq!(hello.history.to_string(), history);
        assert_eq!(hello.has.as_ref().unwrap().to_string(), "08af:3:4096");
        assert_eq!(hello.take(b"version", b"8"), Ok(false));
        for (option, value) in [
            ("listening-port", "65536"),
            ("ip-address", "a b"),
            ("history", "1"),
            ("shipment", "x:1"),
        ] {
            let refused = hello.take(option.as_bytes(), value.as_bytes());
            assert!(refused.is_err(), "{option} {value}");
        }
    }

    #[test]
    fn chunks_and_signs_of_life_come_in_any_pieces() {
        let sent =
            b"\n\n$5\r\nabcde\n*2\r\n$1\r\nx\r\n$2\r\n\n*\r\n$0\r\n*1\r\n$0\r\n\r\n$3\r\nfgh\n";
        for size in 1..=sent.len() {
            let (mut stream, mut input) = (Stream::default(), Vec::new());
            let mut heard = String::new();
            for piece in sent.chunks(size) {
                input.extend_from_slice(piece);
                loop {
                    let (pass, item) = stream.next(&input).unwrap();
                    let taken = match item {
                        Item::Frames(bytes) => {
                            heard += str::from_utf8(&input[pass..pass + bytes]).unwrap();
                            bytes
                        }
                        Item::Message(bytes) => {
                            let message = stream.message(&input[pass..]);
                            let words: Vec<_> = message.words().map(<[u8]>::escape_ascii).collect();
                            heard += &format!(
                                " {words:?} ",
                                words = words.iter().map(ToString::to_string).collect::<Vec<_>>()
                            );
                            bytes
                        }
                        Item::Nothing => 0,
                    };
                    input.drain(..pass + taken);
                    if item == Item::Nothing {
                        break;
                    }
                }
            }
            assert_eq!(
                (&*heard, input.len()),
                (r#"abcde ["x", "\\n*"]  [""] fgh"#, 0),
                "pieces of {size}"
            );
        }
        let (mut stream, mut urgent) = (Stream::default(), Vec::new());
        for sent in [&b"$1\r\na"[..], b"$1\r\nb!2\r\nc", b"d\n", b"$0\r\n"] {
            let mut at = 0;
            while at < sent.len() {
                let (pass, item) = stream.next(&sent[at..]).unwrap();
                at += pass;
                if let Item::Frames(bytes) = item {
                    at += bytes;
                }
            }
            urgent.push(stream.is_urgent());
        }
        assert_eq!(urgent, [false, true, true, false]);
        for bad in [
            "x",
            "$x\r\n",
            "$5\n",
            "$99999999999\r\n",
            "$4294967297\r\n",
            "*x\r\n",
            "*1\r\n:1\r\n",
        ] {
            assert_eq!(
                Stream::default().next(bad.as_bytes()),
                Err(Garbled),
                "{bad}"
            );
        }
    }
}
