//! A client without any comfort: bytes out, replies in.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use headwater_resp::encode_request;
use headwater_resp::reply::{Reply, ReplyLimits, decode};

/// How long to wait before a test fails instead of hanging.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Client {
    socket: TcpStream,
    /// What has arrived.
    input: Vec<u8>,
    /// How much of it is taken.
    taken: usize,
}

/// A request as it goes over the wire.
pub(crate) fn request(words: &[&str]) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode_request(&mut bytes, words.iter().map(|word| word.as_bytes()));
    bytes
}

/// A status reply.
pub(crate) fn simple(text: &str) -> Reply {
    Reply::Simple(text.into())
}

/// An error reply.
pub(crate) fn error(text: &str) -> Reply {
    Reply::Error(text.into())
}

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        let socket = TcpStream::connect(address).unwrap();
        socket.set_nodelay(true).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.set_write_timeout(Some(PATIENCE)).unwrap();
        Self {
            socket,
            input: Vec::new(),
            taken: 0,
        }
    }

    /// Another hand on the same connection, for sending while this one receives.
    pub(crate) fn sender(&self) -> TcpStream {
        self.socket.try_clone().unwrap()
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.socket.write_all(bytes).unwrap();
    }

    /// Sends the bytes over and over, as far as the two ends hold them without anybody reading;
    /// says how many that were.
    pub(crate) fn send_until_full(&mut self, bytes: &[u8]) -> usize {
        self.socket.set_nonblocking(true).unwrap();
        let mut sent = 0;
        let full = loop {
            match self.socket.write(&bytes[sent % bytes.len()..]) {
                Ok(count) => sent += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => break error,
            }
        };
        assert_eq!(full.kind(), ErrorKind::WouldBlock, "{full}");
        self.socket.set_nonblocking(false).unwrap();
        sent
    }

    /// Sends a request and receives its reply.
    pub(crate) fn ask(&mut self, words: &[&str]) -> Reply {
        self.send(&request(words));
        self.reply()
    }

    /// The same; `None` when the server closes the connection instead.
    pub(crate) fn try_ask(&mut self, words: &[&str]) -> Option<Reply> {
        self.socket.write_all(&request(words)).ok()?;
        self.try_reply()
    }

    /// A field of a section of INFO.
    pub(crate) fn info(&mut self, section: &str, name: &str) -> Option<String> {
        let Reply::Bulk(text) = self.ask(&["INFO", section]) else {
            panic!("INFO is text")
        };
        let text = String::from_utf8(text).unwrap();
        let mut fields = text.lines().filter_map(|line| line.split_once(':'));
        let (_, value) = fields.find(|(field, _)| *field == name)?;
        Some(value.to_owned())
    }

    /// Asks until a field of a section of INFO is as wanted.
    pub(crate) fn until_info(&mut self, section: &str, name: &str, wanted: &str) {
        let began = Instant::now();
        loop {
            let found = self.info(section, name);
            if found.as_deref() == Some(wanted) {
                return;
            }
            assert!(
                began.elapsed() < PATIENCE,
                "{name} is {found:?}, not {wanted}"
            );
        }
    }

    /// Asks until there is a field of a section of INFO.
    pub(crate) fn until_info_is_there(&mut self, section: &str, name: &str) {
        let began = Instant::now();
        while self.info(section, name).is_none() {
            assert!(began.elapsed() < PATIENCE, "{name} does not appear");
        }
    }

    /// The next reply.
    pub(crate) fn reply(&mut self) -> Reply {
        self.try_reply().expect("the server closed the connection")
    }

    /// The next reply; `None` when the server has closed the connection.
    pub(crate) fn try_reply(&mut self) -> Option<Reply> {
        loop {
            if let Some((reply, length)) =
                decode(&self.input[self.taken..], &ReplyLimits::default()).unwrap()
            {
                self.taken += length;
                return Some(reply);
            }
            self.input.drain(..self.taken);
            self.taken = 0;
            let mut room = [0; 64 * 1024];
            match self.socket.read(&mut room) {
                Ok(0) => return None,
                Ok(count) => self.input.extend_from_slice(&room[..count]),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // What was sent and not read makes the system reset what is closed.
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return None,
                Err(error) => panic!("no reply: {error}"),
            }
        }
    }

    /// Whether anything has arrived that is not taken.
    pub(crate) fn has_more(&mut self) -> bool {
        self.socket.set_nonblocking(true).unwrap();
        let peeked = self.socket.peek(&mut [0]);
        self.socket.set_nonblocking(false).unwrap();
        self.taken < self.input.len() || peeked.is_ok()
    }

    /// Checks that the server says nothing more and closes the connection.
    pub(crate) fn expect_closed(mut self) {
        assert_eq!(self.try_reply(), None);
        assert_eq!(
            self.input, b"",
            "the server closed in the middle of a reply"
        );
    }
}
