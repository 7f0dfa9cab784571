//! Producers on many streams, while older entries are deleted and the oldest trimmed.
//!
//! ```text
//! of each stream:  trimmed | one in four left | all there | being added
//!                          ^ XTRIM MINID      ^ XDEL      ^ XADD
//! ```
//!
//! So a server that moves entries, compacts files and forgets old ones has all of that to do. An
//! operation is one XADD. With a rate its latency counts from when it was due, not from when there
//! was time to send it: a server that stands still is charged with everyone who had to wait.
//! Deleting and trimming have a connection of their own and no latency.

use super::flow::Pace;
use crate::{
    bench::{
        client::Client,
        clock::SECOND,
        entry,
        fault::Fault,
        load::{Outbox, Turn, Workload},
        wire::{self, Reply, Token},
    },
    chance::Chance,
};
use std::collections::VecDeque;

/// Streams that the entries go to.
const STREAMS: usize = 64;
/// Entries of one stream that grow old together.
const CROP: u64 = 64;
/// Of so many entries one is not deleted before it is trimmed.
const KEEP: u64 = 4;
/// Entries younger than this many others are all there: several megabytes.
const YOUNG: u64 = 30_000;
/// Entries older than this many others are trimmed.
const OLD: u64 = 4 * YOUNG;

/// Producers and a gardener.
pub(in crate::bench) struct Churn {
    pace: Pace,
    keys: Vec<Vec<u8>>,
    value: Vec<u8>,
    chance: Chance,
    /// What each producer has not been answered, oldest first.
    lanes: Vec<VecDeque<Open>>,
    /// When the next entry is due, with a rate.
    due: u64,
    sent: u64,
    added: u64,
    /// What each stream has grown since it was last taken from.
    growing: Vec<Crop>,
    /// Those to be thinned out, oldest first, and those to be trimmed after that.
    young: VecDeque<Crop>,
    thinned: VecDeque<Crop>,
    /// What the gardener has not been answered.
    chores: VecDeque<Chore>,
    /// Entries that are gone.
    gone: u64,
    is_stopped: bool,
}

/// An XADD without an answer.
struct Open {
    due: u64,
    stream: usize,
}

/// Entries of one stream, one after the other.
#[derive(Default)]
struct Crop {
    stream: usize,
    entries: u64,
    /// `added` when the last of them came.
    added: u64,
    /// The IDs of those to be deleted, as bulk strings.
    doomed: Vec<u8>,
    doomed_entries: u64,
    /// The ID of the last of them.
    last: Vec<u8>,
}

/// A request of the gardener.
enum Chore {
    Delete(u64),
    Trim,
}

impl Churn {
    /// `producers` at `pace` in all, of entries with values of `value_len` bytes; `seed` draws
    /// the streams they go to.
    pub(in crate::bench) fn new(producers: usize, pace: Pace, value_len: usize, seed: u64) -> Self {
        let growing = |stream| Crop {
            stream,
            ..Crop::default()
        };
        Self {
            pace,
            keys: (0..STREAMS).map(|n| format!("s{n}").into()).collect(),
            value: entry::letters(value_len),
            chance: Chance::new(seed),
            lanes: (0..producers).map(|_| VecDeque::new()).collect(),
            due: 0,
            sent: 0,
            added: 0,
            growing: (0..STREAMS).map(growing).collect(),
            young: VecDeque::new(),
            thinned: VecDeque::new(),
            chores: VecDeque::new(),
            gone: 0,
            is_stopped: false,
        }
    }

    fn send(&mut self, producer: usize, due: u64, outbox: &mut Outbox) {
        let stream = usize::try_from(self.chance.below(STREAMS as u64)).expect("few streams");
        entry::add_to(&self.keys[stream], outbox.to(producer), b"*", &self.value);
        self.lanes[producer].push_back(Open { due, stream });
        self.sent += 1;
    }

    fn next_producer(&self) -> usize {
        usize::try_from(self.sent).expect("less than memory") % self.lanes.len()
    }

    /// Notes an entry that is there now.
    fn grow(&mut self, stream: usize, id: &[u8]) {
        self.added += 1;
        let crop = &mut self.growing[stream];
        crop.entries += 1;
        if !crop.entries.is_multiple_of(KEEP) {
            wire::bulk(&mut crop.doomed, id);
            crop.doomed_entries += 1;
        }
        if crop.entries == CROP {
            crop.added = self.added;
            crop.last = id.to_vec();
            let next = Crop {
                stream,
                ..Crop::default()
            };
            self.young.push_back(std::mem::replace(crop, next));
        }
    }

    /// Deletes and trims what is old enough.
    fn garden(&mut self, outbox: &mut Outbox) {
        let gardener = self.lanes.len();
        let is_older = |crop: &mut Crop, age| self.added - crop.added >= age;
        while let Some(mut crop) = self.young.pop_front_if(|crop| is_older(crop, YOUNG)) {
            let out = outbox.to(gardener);
            let words = usize::try_from(crop.doomed_entries).expect("few entries") + 2;
            wire::header(out, b'*', words);
            wire::bulk(out, b"XDEL");
            wire::bulk(out, &self.keys[crop.stream]);
            out.append(&mut crop.doomed);
            self.chores.push_back(Chore::Delete(crop.doomed_entries));
            self.thinned.push_back(crop);
        }
        while let Some(crop) = self.thinned.pop_front_if(|crop| is_older(crop, OLD)) {
            let key = &self.keys[crop.stream];
            let words: [&[u8]; 5] = [b"XTRIM", key, b"MINID", b"=", &crop.last];
            wire::request(outbox.to(gardener), &words);
            self.chores.push_back(Chore::Trim);
        }
    }

    /// Hears what has become of a chore.
    fn gardened(&mut self, token: Token<'_>) -> Result<(), Fault> {
        let Token::End(Reply::Integer(gone)) = token else {
            return Err(Fault::Wrong("how many are gone"));
        };
        let gone = gone.unsigned_abs();
        self.gone += gone;
        match self.chores.pop_front() {
            Some(Chore::Delete(entries)) if gone != entries => {
                Err(Fault::Wrong("every entry to be there until it is deleted"))
            }
            Some(_) => Ok(()),
            None => Err(Fault::Wrong("no reply that was not asked for")),
        }
    }
}

impl Workload for Churn {
    fn connections(&self) -> usize {
        self.lanes.len() + 1
    }

    fn begin(&mut self, now: u64, outbox: &mut Outbox) {
        self.due = now;
        if let Pace::Window(entries) = self.pace {
            for _ in 0..entries {
                self.send(self.next_producer(), now, outbox);
            }
        }
    }

    fn tick(&mut self, now: u64, outbox: &mut Outbox) -> Option<u64> {
        let Pace::Rate(a_second) = self.pace else {
            return None;
        };
        if self.is_stopped {
            return None;
        }
        while self.due <= now {
            self.send(self.next_producer(), self.due, outbox);
            self.due += SECOND / u64::from(a_second);
        }
        Some(self.due)
    }

    fn hear(&mut self, token: Token<'_>, turn: &mut Turn<'_>) -> Result<(), Fault> {
        let Some(lane) = self.lanes.get_mut(turn.who) else {
            return self.gardened(token);
        };
        match token {
            Token::Bulk { bytes, .. } => {
                let open = lane.front();
                let stream = open
                    .ok_or(Fault::Wrong("no ID that was not asked for"))?
                    .stream;
                self.grow(stream, bytes);
            }
            Token::End(Reply::Bulks(1)) => {
                let open = lane.pop_front();
                let due = open.ok_or(Fault::Wrong("an ID for each entry"))?.due;
                turn.tally.done(1, turn.now - due);
                self.garden(turn.outbox);
                if matches!(self.pace, Pace::Window(_)) && !self.is_stopped {
                    self.send(turn.who, turn.now, turn.outbox);
                }
            }
            Token::End(_) => return Err(Fault::Wrong("the ID of the new entry")),
        }
        Ok(())
    }

    fn wind_up(&mut self) -> bool {
        self.is_stopped = true;
        true
    }

    fn is_done(&self) -> bool {
        self.is_stopped && self.chores.is_empty() && self.lanes.iter().all(VecDeque::is_empty)
    }

    fn check(&self, client: &mut Client) -> Result<(), Fault> {
        let mut length = 0;
        for key in &self.keys {
            length += client.call(&[b"XLEN", key])?.unsigned_abs();
        }
        if self.added == self.sent && length + self.gone == self.added {
            Ok(())
        } else {
            Err(Fault::Wrong("what was added and is not gone"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::load::Rehearsal;

    /// Answers all that is open, entry after entry, until so many were added.
    fn grow(churn: &mut Churn, rehearsal: &mut Rehearsal, entries: u64) {
        while churn.added < entries {
            let id = format!("{}-0", churn.added + 1);
            let bulk = Token::Bulk {
                nth: 0,
                bytes: id.as_bytes(),
            };
            churn.hear(bulk, &mut rehearsal.turn(0, 5)).unwrap();
            let end = Token::End(Reply::Bulks(1));
            churn.hear(end, &mut rehearsal.turn(0, 5)).unwrap();
        }
    }

    #[test]
    fn three_of_four_are_deleted_when_they_are_old_enough() {
        let mut churn = Churn::new(1, Pace::Window(1), 100, 1);
        let mut rehearsal = Rehearsal::new(churn.connections());
        churn.begin(1, rehearsal.outbox());
        grow(&mut churn, &mut rehearsal, YOUNG);
        assert_eq!(rehearsal.said_to(1), "", "nothing is that old");
        grow(&mut churn, &mut rehearsal, 2 * YOUNG);
        let said = rehearsal.said_to(1);
        let deletions = said.matches("XDEL").count();
        assert!(deletions > 0 && !said.contains("XTRIM"));
        assert!(
            said.starts_with("*50\r\n$4\r\nXDEL\r\n"),
            "48 of 64: {said:.50}"
        );
        assert_eq!(churn.chores.len(), deletions);
        let too_few = Token::End(Reply::Integer(47));
        assert!(churn.hear(too_few, &mut rehearsal.turn(1, 5)).is_err());
    }

    #[test]
    fn a_latency_counts_from_when_an_entry_was_due() {
        let mut churn = Churn::new(2, Pace::Rate(1000), 100, 1);
        let mut rehearsal = Rehearsal::new(churn.connections());
        churn.begin(SECOND, rehearsal.outbox());
        // Nobody looked at the clock for 10 ms: eleven entries are due.
        let now = SECOND + SECOND / 100;
        assert_eq!(
            churn.tick(now, rehearsal.outbox()),
            Some(now + SECOND / 1000)
        );
        assert_eq!(churn.sent, 11);
        let end = Token::End(Reply::Bulks(1));
        churn.hear(end, &mut rehearsal.turn(0, now + 7)).unwrap();
        let (counted, longest) = rehearsal.counted();
        assert_eq!(counted, 1);
        assert!((10_000_007..10_020_000).contains(&longest), "{longest}");
    }
}
