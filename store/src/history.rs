//! Which logs a log is a continuation of, so that two nodes can tell what they have in common.
//!
//! Whenever somebody begins to lead (a start as master, a promotion), an *epoch* begins: it has a
//! number, the LSN where it begins, and an id that nobody else has ever drawn. Within one epoch an
//! LSN means one thing only, whoever has it. So two logs are equal up to where the last epoch that
//! both have ends in one of them:
//!
//! ```text
//!  here    [ 1: ax ][ 2: kq          ][ 4: mw      ] end
//!  there   [ 1: ax ][ 2: kq     ][ 3: zt                ] end
//!                               ^ in common: 2 goes on here, and ends there
//! ```
//!
//! A history has the last epochs of a log. Everybody gets it with the frames: the id is the body of
//! the frame that begins an epoch ([`frame`](crate::log)), and a checkpoint has those before it.
//!
//! # Invariants
//!
//! * Numbers and starts grow.
//! * Two epochs are the same if they have the same id and begin at the same place.

use std::fmt::{self, Write as _};
use std::str::FromStr;

use crate::codec::{integer, put_integer, small};
use crate::error::Malformed;
use crate::lsn::Lsn;
use crate::sabotage::{self, Bug};

/// So many epochs are kept, the last ones.
const KEPT: usize = 32;

const NO_ID: Malformed = Malformed {
    what: "an id of an epoch that is not forty lower-case hexadecimal digits",
};
const NO_EPOCH: Malformed = Malformed {
    what: "an epoch that is not a number, a start and an id",
};
const NO_ORDER: Malformed = Malformed {
    what: "epochs that are not in order",
};

/// What an epoch is known by everywhere: 160 bits, drawn by whoever began it. Redis calls it a
/// replication id. Displayed, and parsed, as forty lower-case hexadecimal digits.
#[derive(Copy, Clone, PartialEq, Eq, Hash)]
pub struct HistoryId([u8; Self::BYTES]);

impl HistoryId {
    /// How many bytes an id has.
    pub const BYTES: usize = 20;

    /// An id of these bytes, which are to be drawn anew for each epoch.
    #[must_use]
    pub const fn new(bytes: [u8; Self::BYTES]) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    #[must_use]
    pub const fn bytes(&self) -> &[u8; Self::BYTES] {
        &self.0
    }
}

impl fmt::Display for HistoryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for HistoryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HistoryId({self})")
    }
}

impl FromStr for HistoryId {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        let digit = |digit: u8| match digit {
            b'0'..=b'9' => Ok(digit - b'0'),
            b'a'..=b'f' => Ok(digit - b'a' + 10),
            _ => Err(NO_ID),
        };
        let (pairs, []) = text.as_bytes().as_chunks::<2>() else {
            return Err(NO_ID);
        };
        let pairs: &[[u8; 2]; Self::BYTES] = pairs.try_into().ok().ok_or(NO_ID)?;
        let mut bytes = [0; Self::BYTES];
        for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
            *byte = digit(*high)? << 4 | digit(*low)?;
        }
        Ok(Self(bytes))
    }
}

/// A time in which one node led. Displayed, and parsed, as `<number>:<start>:<id>`.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Epoch {
    /// Greater than that of any epoch before; in every frame. The first is 1.
    pub number: u32,
    /// Where its first frame, which has the id, begins.
    pub start: Lsn,
    /// What it is known by.
    pub id: HistoryId,
}

impl Epoch {
    fn is(&self, other: &Self) -> bool {
        if sabotage::has(Bug::CommonByNumber) {
            return self.number == other.number;
        }
        (self.start, self.id) == (other.start, other.id)
    }

    fn follows(&self, before: &Self) -> bool {
        self.number > before.number && self.start > before.start
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.number, self.start, self.id)
    }
}

impl FromStr for Epoch {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        let (number, rest) = text.split_once(':').ok_or(NO_EPOCH)?;
        let (start, id) = rest.split_once(':').ok_or(NO_EPOCH)?;
        Ok(Self {
            number: number.parse().ok().ok_or(NO_EPOCH)?,
            start: start.parse().ok().map(Lsn::new).ok_or(NO_EPOCH)?,
            id: id.parse()?,
        })
    }
}

/// The last epochs of a log, at most 32. Displayed, and parsed, as the epochs with commas between;
/// nothing is the history of an empty log.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct History {
    epochs: Vec<Epoch>,
}

impl History {
    /// The history of an empty log.
    #[must_use]
    pub const fn new() -> Self {
        Self { epochs: Vec::new() }
    }

    /// The epochs, the oldest first.
    #[must_use]
    pub fn epochs(&self) -> &[Epoch] {
        &self.epochs
    }

    /// The last epoch; `None` for an empty log.
    #[must_use]
    pub fn current(&self) -> Option<&Epoch> {
        self.epochs.last()
    }

    /// The epoch before the last one.
    #[must_use]
    pub fn previous(&self) -> Option<&Epoch> {
        let (_, before) = self.epochs.split_last()?;
        before.last()
    }

    /// Adds an epoch, which begins where the log ends now.
    ///
    /// # Panics
    ///
    /// When its number or its start is not greater than that of the last one.
    pub fn push(&mut self, epoch: Epoch) {
        self.try_push(epoch).expect("epochs grow");
    }

    /// Adds an epoch that was read somewhere.
    pub(crate) fn try_push(&mut self, epoch: Epoch) -> Result<(), Malformed> {
        if self.current().is_some_and(|last| !epoch.follows(last)) {
            return Err(NO_ORDER);
        }
        if self.epochs.len() == KEPT {
            self.epochs.remove(0);
        }
        self.epochs.push(epoch);
        Ok(())
    }

    /// The history of a log that ends at `end`, below which this one is the same.
    #[must_use]
    pub fn below(&self, end: Lsn) -> Self {
        let begun = self.epochs.partition_point(|epoch| epoch.start < end);
        Self {
            epochs: self.epochs[..begun].to_vec(),
        }
    }

    /// Up to where a log with this history, which ends at `end`, and one with another history are
    /// the same for certain; `None` when nothing is known to be: the logs are strangers, or what
    /// they have in common is older than the epochs that are kept. An empty log has its beginning
    /// in common with every other.
    #[must_use]
    pub fn common(&self, end: Lsn, other: &Self, other_end: Lsn) -> Option<Lsn> {
        if end == Lsn::ZERO || other_end == Lsn::ZERO {
            return Some(Lsn::ZERO);
        }
        let mut newest_first = self.epochs.iter().enumerate().rev();
        newest_first.find_map(|(here, epoch)| {
            let there = other.epochs.iter().rposition(|known| known.is(epoch))?;
            Some(self.end_of(here, end).min(other.end_of(there, other_end)))
        })
    }

    /// Where an epoch ends in a log that ends at `end`.
    fn end_of(&self, index: usize, end: Lsn) -> Lsn {
        let next = self.epochs.get(index + 1);
        next.map_or(end, |next| next.start.min(end))
    }

    /// Appends it to the beginning of a checkpoint: how many epochs, and for each its number and
    /// start as [integers](crate::codec), and the bytes of its id.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        put_integer(out, self.epochs.len() as u64);
        for epoch in &self.epochs {
            put_integer(out, epoch.number.into());
            put_integer(out, epoch.start.get());
            out.extend_from_slice(epoch.id.bytes());
        }
    }

    pub(crate) fn decode(input: &mut &[u8]) -> Result<Self, Malformed> {
        let mut history = Self::default();
        for _ in 0..integer(input)? {
            let number = integer(input).and_then(small)?;
            let start = integer(input).map(Lsn::new)?;
            let (id, rest) = input.split_first_chunk().ok_or(NO_EPOCH)?;
            *input = rest;
            let id = HistoryId(*id);
            history.try_push(Epoch { number, start, id })?;
        }
        Ok(history)
    }
}

impl fmt::Display for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, epoch) in self.epochs.iter().enumerate() {
            if index > 0 {
                f.write_char(',')?;
            }
            epoch.fmt(f)?;
        }
        Ok(())
    }
}

impl FromStr for History {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        let mut history = Self::default();
        for epoch in text.split(',').filter(|_| !text.is_empty()) {
            history.try_push(epoch.parse()?)?;
        }
        Ok(history)
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn id(byte: u8) -> HistoryId {
        HistoryId::new([byte; HistoryId::BYTES])
    }

    fn epoch(number: u32, start: u64, of: u8) -> Epoch {
        let (start, id) = (Lsn::new(start), id(of));
        Epoch { number, start, id }
    }

    fn history(epochs: &[Epoch]) -> History {
        let mut history = History::default();
        epochs.iter().for_each(|epoch| history.push(*epoch));
        history
    }

    #[test]
    fn the_forms_are_frozen() {
        let history = history(&[epoch(1, 0, 0xab), epoch(3, 300, 0x0c)]);
        let text = format!("1:0:{},3:300:{}", "ab".repeat(20), "0c".repeat(20));
        assert_eq!(history.to_string(), text);
        let mut bytes = Vec::new();
        history.encode(&mut bytes);
        let golden = [&[2, 1, 0][..], &[0xab; 20], &[3, 0xac, 2], &[0x0c; 20]].concat();
        assert_eq!(bytes, golden);
        assert_eq!(History::default().to_string(), "");
    }

    #[test]
    fn what_is_no_history_is_refused() {
        let good = "ab".repeat(20);
        for bad in [
            "1".to_owned(),
            "1:2".to_owned(),
            format!("1:2:{good},"),
            format!("1:2:{}", good.to_uppercase()),
            format!("1:2:{good}0"),
            format!("1:2:{}", &good[1..]),
            format!("x:2:{good}"),
            format!("1:-2:{good}"),
            format!("4294967296:2:{good}"),
            format!("1:2:{good},1:3:{good}"),
            format!("1:2:{good},2:2:{good}"),
        ] {
            assert!(bad.parse::<History>().is_err(), "{bad}");
        }
        let mut bytes = Vec::new();
        history(&[epoch(1, 2, 3), epoch(2, 3, 4)]).encode(&mut bytes);
        for len in 0..bytes.len() {
            assert!(History::decode(&mut &bytes[..len]).is_err(), "{len} bytes");
        }
        bytes[23] = 1;
        assert_eq!(History::decode(&mut &*bytes), Err(NO_ORDER));
    }

    #[test]
    fn the_last_epochs_are_kept() {
        let epochs: Vec<Epoch> = (0..40_u8)
            .map(|n| epoch(u32::from(n) + 1, u64::from(n) * 9, n))
            .collect();
        let history = history(&epochs);
        assert_eq!(history.epochs(), &epochs[8..]);
        assert_eq!(history.current(), epochs.last());
        assert_eq!(history.previous(), epochs.get(38));
        assert_eq!(history.below(Lsn::new(9 * 30)).current(), epochs.get(29));
        assert_eq!(history.to_string().parse(), Ok(history));
    }

    #[test]
    fn what_two_logs_have_in_common_ends_where_one_of_them_goes_its_own_way() {
        let lsn = Lsn::new;
        let here = history(&[epoch(1, 0, 1), epoch(2, 100, 2), epoch(4, 500, 4)]);
        let there = history(&[epoch(1, 0, 1), epoch(2, 100, 2), epoch(3, 300, 3)]);
        let common = |end, other_end| here.common(lsn(end), &there, lsn(other_end));
        assert_eq!(common(900, 900), Some(lsn(300)));
        let behind = here.below(lsn(250));
        assert_eq!(behind.common(lsn(250), &there, lsn(900)), Some(lsn(250)));
        assert_eq!(there.common(lsn(900), &behind, lsn(250)), Some(lsn(250)));
        let stranger = history(&[epoch(1, 0, 9)]);
        assert_eq!(stranger.common(lsn(50), &there, lsn(900)), None);
        let empty = History::default();
        assert_eq!(empty.common(lsn(0), &there, lsn(900)), Some(lsn(0)));
        assert_eq!(there.common(lsn(900), &empty, lsn(0)), Some(lsn(0)));
        // The same id at another place is another epoch.
        let elsewhere = history(&[epoch(1, 0, 1), epoch(2, 90, 2)]);
        assert_eq!(
            elsewhere.common(lsn(900), &there, lsn(900)),
            Some(lsn(90)),
            "it is the first epoch that is in common"
        );
    }

    /// A log, byte by byte: which epoch wrote each.
    #[derive(Clone, Debug, Default)]
    struct Node {
        bytes: Vec<u8>,
        history: History,
    }

    impl Node {
        fn end(&self) -> Lsn {
            Lsn::new(self.bytes.len() as u64)
        }
    }

    #[derive(Clone, Debug)]
    enum Step {
        /// A node begins to lead, and writes.
        Lead { node: usize, bytes: usize },
        /// A node, which has no epoch to itself, takes what another one has.
        Follow {
            node: usize,
            of: usize,
            bytes: usize,
        },
    }

    fn step() -> impl Strategy<Value = Step> {
        let (node, bytes) = (|| 0..3_usize, || 1..20_usize);
        prop_oneof![
            2 => (node(), bytes()).prop_map(|(node, bytes)| Step::Lead { node, bytes }),
            3 => (node(), node(), bytes())
                .prop_map(|(node, of, bytes)| Step::Follow { node, of, bytes }),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            failure_persistence: None,
            ..ProptestConfig::default()
        })]

        /// Each epoch writes bytes of its own, so that what is in common can be seen. There are
        /// no more epochs than are kept.
        #[test]
        fn what_is_in_common_is_what_the_logs_show(steps in vec(step(), 1..32)) {
            let mut nodes = vec![Node::default(); 3];
            let mut drawn = 0;
            for step in steps {
                match step {
                    Step::Lead { node, bytes } => {
                        drawn += 1;
                        let node = &mut nodes[node];
                        let number = node.history.current().map_or(0, |last| last.number) + 1;
                        node.history.push(epoch(number, node.end().get(), drawn));
                        node.bytes.extend(vec![drawn; bytes]);
                    }
                    Step::Follow { node, of, bytes } => {
                        let master = nodes[of].clone();
                        let node = &mut nodes[node];
                        let (end, until) = (node.end(), master.end());
                        let common = node.history.common(end, &master.history, until);
                        let at = usize::try_from(common.unwrap_or(Lsn::ZERO).get()).unwrap();
                        let to = master.bytes.len().min(at + bytes);
                        node.bytes.truncate(at);
                        node.bytes.extend(&master.bytes[at..to]);
                        node.history = master.history.below(node.end());
                    }
                }
            }
            for a in &nodes {
                for b in &nodes {
                    let same = a.bytes.iter().zip(&b.bytes).take_while(|(x, y)| x == y).count();
                    let seen = Some(Lsn::new(same as u64));
                    let common = a.history.common(a.end(), &b.history, b.end());
                    let strangers = same == 0 && !a.bytes.is_empty() && !b.bytes.is_empty();
                    prop_assert_eq!(common, seen.filter(|_| !strangers));
                    prop_assert_eq!(a.history.to_string().parse(), Ok(a.history.clone()));
                    let mut bytes = Vec::new();
                    a.history.encode(&mut bytes);
                    prop_assert_eq!(History::decode(&mut &*bytes), Ok(a.history.clone()));
                }
            }
        }
    }
}
