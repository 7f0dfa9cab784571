//! One publisher and many who subscribe to its channel: each message goes to all.
//!
//! An operation is one message delivered to one subscriber; its latency counts from the sending of
//! the message. Some messages are under way at any time: the next is sent when one has reached
//! everybody.

use crate::bench::{
    entry,
    fault::Fault,
    load::{Outbox, Turn, Workload},
    wire::{self, Reply, Token},
};

const CHANNEL: &[u8] = b"c";

/// The connection of the publisher; those of the subscribers follow.
const PUBLISHER: usize = 0;

/// Messages that are under way.
const OPEN: u64 = 16;

/// A publisher and its subscribers.
pub(in crate::bench) struct Publish {
    subscribers: usize,
    /// Those who have subscribed.
    ready: usize,
    /// Subscribers who have a message, summed over all messages.
    delivered: u64,
    sent: u64,
}

impl Publish {
    pub(in crate::bench) fn new(subscribers: usize) -> Self {
        Self {
            subscribers,
            ready: 0,
            delivered: 0,
            sent: 0,
        }
    }

    fn send(&mut self, now: u64, outbox: &mut Outbox) {
        // Everybody has them in the same order, so the slowest need not be looked for; those who
        // are ahead of it by less than what is open do no harm.
        let complete = self.delivered / self.subscribers as u64;
        while self.sent < complete + OPEN {
            let message = entry::stamped(now);
            wire::request(outbox.to(PUBLISHER), &[b"PUBLISH", CHANNEL, &message]);
            self.sent += 1;
        }
    }
}

impl Workload for Publish {
    fn connections(&self) -> usize {
        1 + self.subscribers
    }

    fn begin(&mut self, _now: u64, outbox: &mut Outbox) {
        for subscriber in 1..=self.subscribers {
            wire::request(outbox.to(subscriber), &[b"SUBSCRIBE", CHANNEL]);
        }
    }

    fn hear(&mut self, token: Token<'_>, turn: &mut Turn<'_>) -> Result<(), Fault> {
        match token {
            Token::End(Reply::Integer(receivers)) if turn.who == PUBLISHER => {
                if usize::try_from(receivers) != Ok(self.subscribers) {
                    return Err(Fault::Wrong("a message that reaches everybody"));
                }
            }
            // What, where, and the message itself.
            Token::Bulk { nth: 2, bytes } => {
                let sent_at = entry::stamp(bytes);
                let sent_at = sent_at.ok_or(Fault::Wrong("a message with a time in it"))?;
                turn.tally.done(1, turn.now - sent_at);
                self.delivered += 1;
                self.send(turn.now, turn.outbox);
            }
            Token::Bulk { .. } | Token::End(Reply::Bulks(3)) => {}
            Token::End(Reply::Bulks(2)) => {
                self.ready += 1;
                if self.ready == self.subscribers {
                    self.send(turn.now, turn.outbox);
                }
            }
            Token::End(_) => return Err(Fault::Wrong("a confirmation or a message")),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::load::Rehearsal;

    #[test]
    fn messages_are_under_way_from_when_everybody_listens() {
        let mut work = Publish::new(2);
        let mut rehearsal = Rehearsal::new(work.connections());
        work.begin(1, rehearsal.outbox());
        let confirmed = Token::End(Reply::Bulks(2));
        work.hear(confirmed, &mut rehearsal.turn(1, 2)).unwrap();
        assert_eq!(rehearsal.said_to(PUBLISHER), "");
        work.hear(confirmed, &mut rehearsal.turn(2, 3)).unwrap();
        let count = |said: &str| said.matches("PUBLISH").count() as u64;
        assert_eq!(count(&rehearsal.said_to(PUBLISHER)), OPEN);
        let message = entry::stamped(3);
        let token = Token::Bulk {
            nth: 2,
            bytes: &message,
        };
        for (who, next) in [(1, 0), (2, 1), (1, 0), (2, 1)] {
            work.hear(token, &mut rehearsal.turn(who, 10)).unwrap();
            assert_eq!(count(&rehearsal.said_to(PUBLISHER)), next);
        }
        assert_eq!(rehearsal.counted(), (4, 7));
        let too_few = Token::End(Reply::Integer(1));
        assert!(
            work.hear(too_few, &mut rehearsal.turn(PUBLISHER, 11))
                .is_err()
        );
    }
}
