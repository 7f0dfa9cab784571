//! One connection that waits for each answer: it prepares and checks, it does not measure.

use super::{
    entry,
    fault::Fault,
    wire::{self, Reply, Scanner, Token},
};
use std::{
    io::{self, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

/// A server that says nothing for this long has lost the request: a defect, not slowness.
const PATIENCE: Duration = Duration::from_secs(60);

/// One connection that waits for each answer.
pub(super) struct Client {
    socket: TcpStream,
    scanner: Scanner,
    rest: Vec<u8>,
}

impl Client {
    /// Connects.
    ///
    /// # Errors
    ///
    /// When nobody listens there.
    pub(super) fn connect(address: SocketAddr) -> Result<Self, Fault> {
        let socket = TcpStream::connect(address)?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        Ok(Self {
            socket,
            scanner: Scanner::default(),
            rest: Vec::new(),
        })
    }

    /// Sends one request and waits for its reply: the number in it, or 0 if it is none.
    ///
    /// # Errors
    ///
    /// [`Fault::Refused`] if the reply is an error; others if there is no reply.
    pub(super) fn call(&mut self, words: &[&[u8]]) -> Result<i64, Fault> {
        let mut out = Vec::new();
        wire::request(&mut out, words);
        self.socket.write_all(&out)?;
        self.replies(1)
    }

    /// Adds the entries [`entry::id`]`(0..count)` to the stream.
    ///
    /// # Errors
    ///
    /// As `call`; some entries may have been added by then.
    pub(super) fn fill(&mut self, count: u64) -> Result<(), Fault> {
        const BATCH: u64 = 1000;
        let mut out = Vec::new();
        for first in (0..count).step_by(1000) {
            let batch = BATCH.min(count - first);
            out.clear();
            for number in first..first + batch {
                entry::add(&mut out, entry::id(number).as_bytes(), &entry::value());
            }
            self.socket.write_all(&out)?;
            self.replies(batch)?;
        }
        Ok(())
    }

    /// Waits for `count` replies and returns the number in the last.
    fn replies(&mut self, mut count: u64) -> Result<i64, Fault> {
        let mut answer = 0;
        let mut buffer = [0; 16 * 1024];
        while count > 0 {
            let read = self.socket.read(&mut buffer)?;
            if read == 0 {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
            }
            self.rest.extend_from_slice(&buffer[..read]);
            let used = self.scanner.scan(&self.rest, |token| {
                if let Token::End(reply) = token {
                    answer = match reply {
                        Reply::Integer(number) => number,
                        Reply::Refusal(text) => return Err(refused(text)),
                        Reply::Bulks(_) | Reply::Status(_) => 0,
                    };
                    count -= 1;
                }
                Ok(())
            })?;
            self.rest.drain(..used);
        }
        Ok(answer)
    }
}

/// The fault of an error reply.
pub(super) fn refused(text: &[u8]) -> Fault {
    Fault::Refused(String::from_utf8_lossy(text).into_owned())
}
