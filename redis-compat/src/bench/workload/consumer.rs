//! One consumer of the group: reads, acknowledges what it read, reads again.
//!
//! ```text
//!        XREADGROUP            XACK ids, XREADGROUP           XACK ids, ...
//!   -->  entries          -->  how many, entries         -->
//! ```
//!
//! The acknowledgement of one read and the next read go out together, in one write.

use crate::bench::{
    entry::{self, GROUP, KEY, Part},
    fault::Fault,
    wire::{self, Reply, Token},
};

/// One consumer of the group.
pub(super) struct Consumer {
    /// The request for more.
    read: Vec<u8>,
    /// IDs of the entries of the reply that is arriving, as bulk strings.
    ids: Vec<u8>,
    /// How many those are.
    held: usize,
    /// What the XACK under way must be answered with.
    acking: Option<usize>,
    /// When it last spoke.
    pub(super) sent_at: u64,
}

impl Consumer {
    /// The `number`th consumer, which takes up to `count` entries at a time, and with `block`
    /// waits for them as long as it takes.
    pub(super) fn new(number: usize, count: usize, block: bool) -> Self {
        let name = format!("consumer-{number}");
        let count = count.to_string();
        let mut words: Vec<&[u8]> = vec![b"XREADGROUP", b"GROUP", GROUP, name.as_bytes()];
        words.extend([b"COUNT".as_slice(), count.as_bytes()]);
        if block {
            words.extend([b"BLOCK".as_slice(), b"0"]);
        }
        words.extend([b"STREAMS".as_slice(), KEY, b">"]);
        let mut read = Vec::new();
        wire::request(&mut read, &words);
        Self {
            read,
            ids: Vec::new(),
            held: 0,
            acking: None,
            sent_at: 0,
        }
    }

    /// Acknowledges what it holds and asks for more.
    pub(super) fn speak(&mut self, now: u64, out: &mut Vec<u8>) {
        if self.held > 0 {
            wire::header(out, b'*', 3 + self.held);
            for word in [b"XACK", KEY, GROUP] {
                wire::bulk(out, word);
            }
            out.extend_from_slice(&self.ids);
            self.ids.clear();
            self.acking = Some(std::mem::take(&mut self.held));
        }
        out.extend_from_slice(&self.read);
        self.sent_at = now;
    }

    /// Hears a token; at the end of a read, how many entries it brought.
    ///
    /// # Errors
    ///
    /// When not everything was acknowledged, or the reply is of another kind.
    pub(super) fn hear(&mut self, token: Token<'_>) -> Result<Option<usize>, Fault> {
        match token {
            Token::Bulk { nth, bytes } => {
                if entry::part(nth) == Part::Id {
                    wire::bulk(&mut self.ids, bytes);
                    self.held += 1;
                }
                Ok(None)
            }
            Token::End(Reply::Integer(acked)) => {
                let expected = self.acking.take();
                if expected.is_some() && usize::try_from(acked).ok() == expected {
                    Ok(None)
                } else {
                    Err(Fault::Wrong("every entry to be acknowledged"))
                }
            }
            Token::End(Reply::Bulks(_)) => Ok(Some(self.held)),
            Token::End(_) => Err(Fault::Wrong("entries, or a count of acknowledged ones")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(consumer: &mut Consumer) -> String {
        let mut out = Vec::new();
        consumer.speak(1, &mut out);
        String::from_utf8(out).unwrap()
    }

    fn bulk(nth: u32, bytes: &[u8]) -> Token<'_> {
        Token::Bulk { nth, bytes }
    }

    #[test]
    fn what_was_read_is_acknowledged_with_the_next_read() {
        let mut consumer = Consumer::new(7, 10, false);
        let read = "*9\r\n$10\r\nXREADGROUP\r\n$5\r\nGROUP\r\n$1\r\ng\r\n$10\r\nconsumer-7\r\n\
            $5\r\nCOUNT\r\n$2\r\n10\r\n$7\r\nSTREAMS\r\n$1\r\ns\r\n$1\r\n>\r\n";
        assert_eq!(said(&mut consumer), read);
        let parts = [b"s".as_slice(), b"1-1", b"f", b"v", b"1-2", b"f", b"v"];
        for (nth, bytes) in (0..).zip(parts) {
            assert_eq!(consumer.hear(bulk(nth, bytes)).unwrap(), None);
        }
        assert_eq!(consumer.hear(Token::End(Reply::Bulks(7))).unwrap(), Some(2));
        let ack = "*5\r\n$4\r\nXACK\r\n$1\r\ns\r\n$1\r\ng\r\n$3\r\n1-1\r\n$3\r\n1-2\r\n";
        assert_eq!(said(&mut consumer), format!("{ack}{read}"));
        assert_eq!(consumer.hear(Token::End(Reply::Integer(2))).unwrap(), None);
        assert_eq!(consumer.hear(Token::End(Reply::Bulks(0))).unwrap(), Some(0));
        assert_eq!(said(&mut consumer), read, "nothing left to acknowledge");
    }

    #[test]
    fn an_entry_that_was_not_acknowledged_is_a_fault() {
        let mut consumer = Consumer::new(0, 1, true);
        said(&mut consumer);
        consumer.hear(bulk(1, b"1-1")).unwrap();
        consumer.hear(Token::End(Reply::Bulks(4))).unwrap();
        said(&mut consumer);
        assert!(consumer.hear(Token::End(Reply::Integer(0))).is_err());
        assert!(
            consumer.hear(Token::End(Reply::Integer(1))).is_err(),
            "nothing was asked"
        );
    }
}
