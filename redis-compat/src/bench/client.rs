//! One connection that waits for each answer: it prepares and checks, it does not measure.

use super::{
    entry,
    fault::Fault,
    wire::{self, Reply, Scanner, Token},
};
use std::{
    io::{self, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    ops::Range,
    time::Duration,
};

/// A server that says nothing for this long has lost the request: a defect, not slowness.
const PATIENCE: Duration = Duration::from_secs(60);

/// Requests that are sent at once where many are to be answered. Their replies fit into the
/// buffers of a socket.
const BATCH: u64 = 1000;

/// One connection that waits for each answer.
pub(super) struct Client {
    socket: TcpStream,
    scanner: Scanner,
    rest: Vec<u8>,
    /// Replies that have not come yet.
    owed: u64,
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
            owed: 0,
        })
    }

    /// Sends one request and waits for its reply: the number in it, or 0 if it is none.
    ///
    /// # Errors
    ///
    /// [`Fault::Refused`] if the reply is an error; others if there is no reply.
    pub(super) fn call(&mut self, words: &[&[u8]]) -> Result<i64, Fault> {
        self.send(words)?;
        let mut answer = 0;
        self.hear(0, |token| {
            if let Token::End(Reply::Integer(number)) = token {
                answer = number;
            }
            Ok(())
        })?;
        Ok(answer)
    }

    /// Sends one request and hands over the bulk strings of its reply, each with its place among
    /// them; returns how many there were.
    ///
    /// # Errors
    ///
    /// What `each` returns, and as [`call`](Self::call).
    pub(super) fn bulks(
        &mut self,
        words: &[&[u8]],
        mut each: impl FnMut(u32, &[u8]) -> Result<(), Fault>,
    ) -> Result<u32, Fault> {
        self.send(words)?;
        let mut count = 0;
        self.hear(0, |token| match token {
            Token::Bulk { nth, bytes } => each(nth, bytes),
            Token::End(Reply::Bulks(bulks)) => {
                count = bulks;
                Ok(())
            }
            Token::End(_) => Ok(()),
        })?;
        Ok(count)
    }

    /// The figures of `INFO`.
    ///
    /// # Errors
    ///
    /// As [`call`](Self::call).
    pub(super) fn info(&mut self) -> Result<Info, Fault> {
        let mut text = String::new();
        self.bulks(&[b"INFO"], |_, bytes| {
            text = String::from_utf8_lossy(bytes).into_owned();
            Ok(())
        })?;
        Ok(Info(text))
    }

    /// Adds the entries [`entry::id`]`(0..count)` to the stream.
    ///
    /// # Errors
    ///
    /// As `call`; some entries may have been added by then.
    pub(super) fn fill(&mut self, count: u64) -> Result<(), Fault> {
        let value = entry::value();
        self.pipeline(0..count, |number, out| {
            entry::add(out, entry::id(number).as_bytes(), &value);
        })
    }

    /// Sends a request for each number, many at a time.
    ///
    /// # Errors
    ///
    /// As `call`; some may have been answered by then.
    pub(super) fn pipeline(
        &mut self,
        numbers: Range<u64>,
        mut request: impl FnMut(u64, &mut Vec<u8>),
    ) -> Result<(), Fault> {
        let mut out = Vec::new();
        let mut next = numbers.start;
        while next < numbers.end {
            let batch = BATCH.min(numbers.end - next);
            out.clear();
            for number in next..next + batch {
                request(number, &mut out);
            }
            self.socket.write_all(&out)?;
            self.owed += batch;
            next += batch;
            // This batch is on its way while the one before it is answered.
            self.hear(batch, |_| Ok(()))?;
        }
        self.hear(0, |_| Ok(()))
    }

    fn send(&mut self, words: &[&[u8]]) -> Result<(), Fault> {
        let mut out = Vec::new();
        wire::request(&mut out, words);
        self.socket.write_all(&out)?;
        self.owed += 1;
        Ok(())
    }

    /// Waits until no more than `open` replies are owed; none may be an error.
    fn hear(
        &mut self,
        open: u64,
        mut each: impl FnMut(Token<'_>) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        let mut buffer = [0; 16 * 1024];
        while self.owed > open {
            let read = self.socket.read(&mut buffer)?;
            if read == 0 {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
            }
            self.rest.extend_from_slice(&buffer[..read]);
            let owed = &mut self.owed;
            let used = self.scanner.scan(&self.rest, |token| {
                if let Token::End(reply) = token {
                    *owed -= 1;
                    if let Reply::Refusal(text) = reply {
                        return Err(refused(text));
                    }
                }
                each(token)
            })?;
            self.rest.drain(..used);
        }
        Ok(())
    }
}

/// What `INFO` has said.
pub(super) struct Info(String);

impl Info {
    /// The number of this name, if there is one.
    pub(super) fn number(&self, name: &str) -> Option<u64> {
        self.text(name)?.parse().ok()
    }

    /// What stands behind this name and a colon.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        let mut lines = self.0.lines();
        lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
    }
}

/// The fault of an error reply.
pub(super) fn refused(text: &[u8]) -> Fault {
    Fault::Refused(String::from_utf8_lossy(text).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_is_found_by_its_whole_name() {
        let info = Info("# Log\r\nlog_start_at:9\r\nlog_start:17\r\nlog:no\r\n".to_owned());
        assert_eq!(info.number("log_start"), Some(17));
        assert_eq!(info.text("log"), Some("no"));
        assert_eq!(info.number("log"), None);
        assert_eq!(info.text("start"), None);
    }
}
