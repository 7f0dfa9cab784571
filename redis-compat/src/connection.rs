//! One connection to a server: words go out, replies come back, each within a time limit.

use std::io::{self, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::reply::Reply;

/// How long a reply may take before the server counts as silent. Generous, because a machine that
/// runs a test suite is busy; a conversation never waits this long when all is well.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);

/// What came instead of bytes, or the reply itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// The server closed the connection.
    Closed,
    /// Bytes that are not RESP, and why. Nothing can be read after them.
    Garbled(String),
    Reply(Reply),
    /// Nothing came in time.
    Silent,
}

impl std::fmt::Display for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Closed => f.write_str("(the connection was closed)"),
            Self::Garbled(why) => write!(f, "(not RESP: {why})"),
            Self::Reply(reply) => reply.fmt(f),
            Self::Silent => f.write_str("(no reply in time)"),
        }
    }
}

/// A socket and what has been read from it so far.
#[derive(Debug)]
pub(crate) struct Connection {
    socket: TcpStream,
    source: BufReader<TcpStream>,
    /// A reply did not come in time. Whatever comes later answers nothing that is asked later.
    silent: bool,
}

impl Connection {
    /// Connects.
    ///
    /// # Errors
    ///
    /// What the socket says, `TimedOut` after [`PATIENCE`].
    pub(crate) fn open(addr: SocketAddr) -> io::Result<Self> {
        Self::open_with(addr, PATIENCE)
    }

    /// As [`open`](Self::open), but a reply may take longer.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub(crate) fn open_with(addr: SocketAddr, patience: Duration) -> io::Result<Self> {
        let socket = TcpStream::connect_timeout(&addr, PATIENCE)?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(patience))?;
        socket.set_write_timeout(Some(patience))?;
        let source = BufReader::new(socket.try_clone()?);
        Ok(Self {
            socket,
            source,
            silent: false,
        })
    }

    /// Another hand on the socket, for ending the connection while somebody waits for a reply.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub(crate) fn socket(&self) -> io::Result<TcpStream> {
        self.socket.try_clone()
    }

    /// Sends one command as an array of bulk strings.
    ///
    /// # Errors
    ///
    /// What the socket says. A server that has closed the connection is found when reading.
    pub(crate) fn send(&mut self, words: &[impl AsRef<[u8]>]) -> io::Result<()> {
        let mut wire = Vec::new();
        encode(words, &mut wire);
        self.send_raw(&wire)
    }

    /// Sends bytes as they are.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    pub(crate) fn send_raw(&mut self, wire: &[u8]) -> io::Result<()> {
        match self.socket.write_all(wire) {
            Err(closed) if is_close(&closed) => Ok(()),
            sent => sent,
        }
    }

    /// Waits for the next reply. After one that did not come, waits no more.
    pub(crate) fn answer(&mut self) -> Answer {
        if self.silent {
            return Answer::Silent;
        }
        match Reply::read(&mut self.source) {
            Ok(reply) => Answer::Reply(reply),
            Err(error) if is_close(&error) => Answer::Closed,
            Err(error) => match error.kind() {
                io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
                    self.silent = true;
                    Answer::Silent
                }
                _ => Answer::Garbled(error.to_string()),
            },
        }
    }

    /// Sends a command and waits for its reply.
    pub(crate) fn ask(&mut self, words: &[impl AsRef<[u8]>]) -> Answer {
        match self.send(words) {
            Ok(()) => self.answer(),
            Err(error) => Answer::Garbled(error.to_string()),
        }
    }

    /// Whether bytes, or the end of the connection, are there to be read now.
    ///
    /// # Errors
    ///
    /// What the socket says.
    pub(crate) fn has_answer(&self) -> io::Result<bool> {
        if !self.source.buffer().is_empty() {
            return Ok(true);
        }
        self.socket.set_nonblocking(true)?;
        let peeked = self.socket.peek(&mut [0]);
        self.socket.set_nonblocking(false)?;
        match peeked {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
            Err(error) if is_close(&error) => Ok(true),
            Err(error) => Err(error),
        }
    }
}

/// Appends a command's bytes: an array of bulk strings.
pub(crate) fn encode(words: &[impl AsRef<[u8]>], wire: &mut Vec<u8>) {
    wire.extend_from_slice(format!("*{}\r\n", words.len()).as_bytes());
    for word in words {
        let word = word.as_ref();
        wire.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        wire.extend_from_slice(word);
        wire.extend_from_slice(b"\r\n");
    }
}

/// Whether the other side has ended the connection, in whichever way the kernel puts it.
fn is_close(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::UnexpectedEof
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe
    )
}
