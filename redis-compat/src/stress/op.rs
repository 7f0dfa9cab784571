//! What a worker asks of its stream, and the words it asks with.

use super::content;
use super::id::Id;
use crate::reply::Reply;

/// How many groups a stream has.
pub(super) const GROUPS: usize = 2;
/// How many consumers a group has.
pub(super) const CONSUMERS: u8 = 3;

/// One command. Idle times are never asked for: what a command does follows from what was there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Op {
    Ack {
        group: usize,
        ids: Vec<Id>,
    },
    /// With [`Trim::approximately`], an [`Op::Length`] must follow: it tells what went.
    Add {
        id: NewId,
        serial: u64,
        trim: Option<Trim>,
    },
    AutoClaim {
        group: usize,
        consumer: u8,
        start: Id,
        count: usize,
        just_id: bool,
    },
    Claim {
        group: usize,
        consumer: u8,
        ids: Vec<Id>,
        just_id: bool,
    },
    Create {
        group: usize,
    },
    Delete {
        ids: Vec<Id>,
    },
    DropConsumer {
        group: usize,
        consumer: u8,
    },
    DropStream,
    /// XREADGROUP of what is pending for the consumer.
    History {
        group: usize,
        consumer: u8,
        after: Id,
        count: usize,
    },
    Length,
    Range {
        from: Id,
        to: Id,
        reversed: bool,
        count: usize,
    },
    Read {
        group: usize,
        consumer: u8,
        count: usize,
        no_ack: bool,
    },
    Trim(Trim),
}

/// The ID of a new entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NewId {
    /// `*`
    Auto,
    /// `7-3`
    Exact(Id),
    /// `7-*`
    Within(u64),
}

/// What is to go from the front of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Trim {
    pub(super) keep: Keep,
    /// `~`: the server may stop earlier.
    pub(super) approximately: bool,
}

/// What trimming must leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keep {
    From(Id),
    Newest(usize),
}

impl Op {
    /// The command for the stream `key`, whose entries are made from `seed`.
    pub(super) fn words(&self, key: &str, seed: u64) -> Vec<Vec<u8>> {
        let mut words = Words::default();
        match self {
            Self::Ack { group, ids } => words.all(&["XACK", key]).group(*group).ids(ids),
            Self::Add { id, serial, trim } => {
                words.all(&["XADD", key]);
                if let Some(trim) = trim {
                    words.trim(*trim);
                }
                match id {
                    NewId::Auto => words.all(&["*"]),
                    NewId::Exact(id) => words.ids(&[*id]),
                    NewId::Within(ms) => words.all(&[&format!("{ms}-*")]),
                };
                words.0.extend(content::fields(seed, *serial));
                &mut words
            }
            Self::AutoClaim {
                group,
                consumer,
                start,
                count,
                just_id,
            } => {
                words.all(&["XAUTOCLAIM", key]).group(*group);
                words.consumer(*consumer).all(&["0"]).ids(&[*start]);
                words.count(*count).flag(*just_id, "JUSTID")
            }
            Self::Claim {
                group,
                consumer,
                ids,
                just_id,
            } => {
                words.all(&["XCLAIM", key]).group(*group);
                words.consumer(*consumer).all(&["0"]).ids(ids);
                words.flag(*just_id, "JUSTID")
            }
            Self::Create { group } => {
                let words = words.all(&["XGROUP", "CREATE", key]).group(*group);
                words.all(&["0", "MKSTREAM"])
            }
            Self::Delete { ids } => words.all(&["XDEL", key]).ids(ids),
            Self::DropConsumer { group, consumer } => {
                let words = words.all(&["XGROUP", "DELCONSUMER", key]).group(*group);
                words.consumer(*consumer)
            }
            Self::DropStream => words.all(&["DEL", key]),
            Self::History {
                group,
                consumer,
                after,
                count,
            } => {
                let words = words.all(&["XREADGROUP", "GROUP"]).group(*group);
                let words = words.consumer(*consumer).count(*count);
                words.all(&["STREAMS", key]).ids(&[*after])
            }
            Self::Length => words.all(&["XLEN", key]),
            Self::Range {
                from,
                to,
                reversed: false,
                count,
            } => words.all(&["XRANGE", key]).ids(&[*from, *to]).count(*count),
            Self::Range {
                from,
                to,
                reversed: true,
                count,
            } => words
                .all(&["XREVRANGE", key])
                .ids(&[*to, *from])
                .count(*count),
            Self::Read {
                group,
                consumer,
                count,
                no_ack,
            } => {
                let words = words.all(&["XREADGROUP", "GROUP"]).group(*group);
                let words = words.consumer(*consumer).count(*count);
                words.flag(*no_ack, "NOACK").all(&["STREAMS", key, ">"])
            }
            Self::Trim(trim) => words.all(&["XTRIM", key]).trim(*trim),
        };
        words.0
    }

    /// Whether the reply says that the server now remembers something else than before. Only what
    /// is certain: no for what may have changed nothing.
    pub(super) fn has_changed(&self, reply: &Reply) -> bool {
        match self {
            Self::Ack { .. } | Self::Delete { .. } | Self::DropStream | Self::Trim(_) => {
                *reply != Reply::Integer(0)
            }
            Self::Add { .. } | Self::Create { .. } => true,
            Self::Read { .. } => *reply != Reply::NullArray,
            Self::AutoClaim { .. }
            | Self::Claim { .. }
            | Self::DropConsumer { .. }
            | Self::History { .. }
            | Self::Length
            | Self::Range { .. } => false,
        }
    }
}

pub(super) fn group_name(group: usize) -> String {
    format!("group-{group}")
}

pub(super) fn consumer_name(consumer: u8) -> String {
    format!("consumer-{consumer}")
}

/// The words of a command, in the making.
#[derive(Default)]
struct Words(Vec<Vec<u8>>);

impl Words {
    fn all(&mut self, words: &[&str]) -> &mut Self {
        self.0
            .extend(words.iter().map(|word| word.as_bytes().to_vec()));
        self
    }

    fn group(&mut self, group: usize) -> &mut Self {
        self.all(&[&group_name(group)])
    }

    fn consumer(&mut self, consumer: u8) -> &mut Self {
        self.all(&[&consumer_name(consumer)])
    }

    fn ids(&mut self, ids: &[Id]) -> &mut Self {
        self.0
            .extend(ids.iter().map(|id| id.to_string().into_bytes()));
        self
    }

    fn count(&mut self, count: usize) -> &mut Self {
        self.all(&["COUNT", &count.to_string()])
    }

    fn flag(&mut self, set: bool, word: &str) -> &mut Self {
        if set { self.all(&[word]) } else { self }
    }

    fn trim(&mut self, trim: Trim) -> &mut Self {
        let operator = if trim.approximately { "~" } else { "=" };
        match trim.keep {
            Keep::From(id) => self.all(&["MINID", operator, &id.to_string()]),
            Keep::Newest(count) => self.all(&["MAXLEN", operator, &count.to_string()]),
        }
    }
}
