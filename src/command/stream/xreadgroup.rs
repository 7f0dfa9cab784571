//! `XREADGROUP GROUP group consumer [COUNT count] [BLOCK milliseconds] [NOACK] STREAMS key
//! [key ...] id [id ...]`: entries on behalf of a consumer group.
//!
//! * `>` delivers what no consumer of the group has had yet, and makes it pending for this one
//!   unless NOACK is given. The delivery is one small record in the log, however many entries.
//! * Any other ID reads this consumer's own pending entries behind that ID again; it never waits.
//!   An entry that was deleted meanwhile has a null in place of its fields.
//! * The consumer is created when it is first named, even if there is nothing to read.

use std::sync::Arc;

use headwater_store::{Change, Entry, Ids, StreamId};

use crate::command::stream::claim::note_seen;
use crate::command::stream::read::{BLOCK, COUNT, ReadOptions, Reader, STREAMS};
use crate::command::stream::xrange::limit;
use crate::command::{
    Access, Arg, Args, Body, Cx, Data, Group, Halt, Outcome, Park, Served, Spec, Traits,
};
use crate::refusal::Refusal;

pub(crate) static XREADGROUP: Spec = Spec {
    name: "xreadgroup",
    summary: "Reads new entries, or its own pending ones, for a consumer of a group. Can wait for \
              some.",
    since: "5.0.0",
    complexity: "O(N) for N entries in the reply.",
    group: Group::Stream,
    access: Access::Write,
    traits: Traits::BLOCKING,
    tips: &[],
    args: &[
        Arg::block(
            "group-block",
            &[Arg::string("group"), Arg::string("consumer")],
        )
        .token("GROUP"),
        COUNT,
        BLOCK,
        Arg::flag("noack", "NOACK").optional(),
        STREAMS,
    ],
    body: Body::Run(run),
};

/// The whole command with its words owned by `B`: borrowed while it runs, boxed while it waits.
struct Reads<B> {
    group: B,
    consumer: B,
    count: Option<u64>,
    pending: bool,
    streams: Vec<(B, From)>,
}

/// Which entries of a stream.
#[derive(Clone, Copy, PartialEq, Eq)]
enum From {
    /// `>`: not delivered to this group yet.
    New,
    /// Pending for this consumer, behind an ID.
    Pending(StreamId),
}

fn run(cx: &mut Cx<'_>, args: &mut Args<'_>) -> Result<Outcome, Halt> {
    let options = ReadOptions::parse(args, Reader::Group, cx.now)?;
    let Some((group, consumer)) = options.group else {
        unreachable!("a group is required when the options are read")
    };
    let mut streams = Vec::with_capacity(options.streams.len());
    for &(key, id) in &options.streams {
        require_group(cx, key, group)?;
        streams.push((key, parse_id(id)?));
    }
    let (count, pending) = (options.count, !options.no_ack);
    let reads = Reads {
        group,
        consumer,
        count,
        pending,
        streams,
    };
    if reads.serve(cx)? == Served::Yes {
        return Ok(Outcome::Done);
    }
    let Some(timeout_ms) = options.block_ms.filter(|_| !cx.in_exec) else {
        cx.out.null_array();
        return Ok(Outcome::Done);
    };
    Ok(Outcome::Park(reads.to_boxed().park(timeout_ms)))
}

fn parse_id(id: &[u8]) -> Result<From, Refusal> {
    match id {
        b">" => Ok(From::New),
        b"$" | b"+" => Err(Refusal::quoting(format_args!(
            "ERR The {0} ID is meaningless in the context of XREADGROUP: you want to read the \
             history of this consumer by specifying a proper ID, or use the > ID to get new \
             messages. The {0} ID would just return an empty result set.",
            String::from_utf8_lossy(id)
        ))),
        id => match StreamId::parse(id, 0).ok_or(Refusal::InvalidId)? {
            // Redis writes `>` as this ID inside, and so this ID means `>`.
            StreamId::MAX => Ok(From::New),
            id => Ok(From::Pending(id)),
        },
    }
}

fn require_group(data: &Data<'_>, key: &[u8], group: &[u8]) -> Result<(), Refusal> {
    let known = data
        .stream(key)
        .is_some_and(|stream| stream.group(group).is_some());
    if known {
        Ok(())
    } else {
        Err(no_group(key, group))
    }
}

fn no_group(key: &[u8], group: &[u8]) -> Refusal {
    let during = " in XREADGROUP with GROUP option";
    Refusal::NoGroup {
        key: key.into(),
        group: group.into(),
        during,
    }
}

/// What one stream had.
enum Found {
    New(Vec<Entry>),
    /// `None` where the entry itself is gone.
    Pending(Vec<(StreamId, Option<Entry>)>),
}

impl<B: AsRef<[u8]>> Reads<B> {
    /// Delivers and writes what there is, once every key is known to have the group.
    fn serve(&self, data: &mut Data<'_>) -> Result<Served, Halt> {
        if self.streams.len() > 1 {
            // What is missing of any shows before the first is delivered.
            for (key, from) in &self.streams {
                self.look(data, key.as_ref(), *from)?;
            }
        }
        let mut found: Vec<(&[u8], Found)> = Vec::new();
        for (key, from) in &self.streams {
            let key = key.as_ref();
            match from {
                From::New => {
                    let entries = self.deliver(data, key)?;
                    if !entries.is_empty() {
                        found.push((key, Found::New(entries)));
                    }
                }
                From::Pending(after) => {
                    found.push((key, Found::Pending(self.redeliver(data, key, *after)?)));
                }
            }
        }
        if found.is_empty() {
            return Ok(Served::NotYet);
        }
        data.begin_streams(found.len());
        for (key, found) in &found {
            data.begin_stream(key);
            match found {
                Found::New(entries) => data.write_entries(entries),
                Found::Pending(entries) => write_pending(data, entries),
            }
        }
        Ok(Served::Yes)
    }

    /// Looks at what will be read of one stream, if it may be missing from memory.
    fn look(&self, data: &Data<'_>, key: &[u8], from: From) -> Result<(), Halt> {
        let Some(stream) = data.stream(key) else {
            return Ok(());
        };
        let Some(group) = stream.group(self.group.as_ref()) else {
            return Ok(());
        };
        match from {
            From::New => {
                if stream.may_lack_after(group.last_delivered()) {
                    stream.entries_after(group.last_delivered(), limit(self.count))?;
                }
            }
            From::Pending(after) => {
                if stream.may_lack_after(after)
                    && let Some(consumer) = group.consumer(self.consumer.as_ref())
                {
                    let own = group.pending_of(consumer, after);
                    stream.get_all(own.take(limit(self.count)).map(|own| own.id))?;
                }
            }
        }
        Ok(())
    }

    /// Delivers new entries of one stream.
    fn deliver(&self, data: &Data<'_>, key: &[u8]) -> Result<Vec<Entry>, Halt> {
        let (name, consumer, at) = (self.group.as_ref(), self.consumer.as_ref(), data.now);
        let mut stream = data.stream(key).ok_or_else(|| no_group(key, name))?;
        let group = stream.group(name).ok_or_else(|| no_group(key, name))?;
        let created = group.consumer(consumer).is_none();
        let entries = if group.last_delivered() < stream.last_id() {
            stream.entries_after(group.last_delivered(), limit(self.count))?
        } else {
            Vec::new()
        };
        let creation = Change::ConsumerCreated {
            group: name,
            consumer,
            at,
        };
        if !entries.is_empty() {
            let ids: Vec<StreamId> = entries.iter().map(|entry| entry.id).collect();
            let delivery = Change::Delivered {
                group: name,
                consumer,
                at,
                pending: self.pending,
                ids: Ids::from(&ids),
            };
            if created {
                stream.commit(&[creation, delivery])?;
            } else {
                stream.commit(&[delivery])?;
            }
        } else if created {
            stream.commit(&[creation])?;
        }
        note_seen(&stream, name, consumer, at);
        Ok(entries)
    }

    /// Reads this consumer's pending entries of one stream again.
    fn redeliver(
        &self,
        data: &Data<'_>,
        key: &[u8],
        after: StreamId,
    ) -> Result<Vec<(StreamId, Option<Entry>)>, Halt> {
        let (name, consumer, at) = (self.group.as_ref(), self.consumer.as_ref(), data.now);
        let mut stream = data.stream(key).ok_or_else(|| no_group(key, name))?;
        let group = stream.group(name).ok_or_else(|| no_group(key, name))?;
        let Some(known) = group.consumer(consumer) else {
            stream.commit(&[Change::ConsumerCreated {
                group: name,
                consumer,
                at,
            }])?;
            return Ok(Vec::new());
        };
        let own = group.pending_of(known, after);
        let ids: Vec<StreamId> = own.take(limit(self.count)).map(|own| own.id).collect();
        let entries = stream.get_all(ids.iter().copied())?;
        let entries: Vec<(StreamId, Option<Entry>)> = ids.into_iter().zip(entries).collect();
        let there = entries.iter().filter(|(_, entry)| entry.is_some());
        let there: Vec<StreamId> = there.map(|&(id, _)| id).collect();
        if !there.is_empty() {
            stream.commit(&[Change::Redelivered {
                group: name,
                consumer,
                at,
                ids: Ids::from(&there),
            }])?;
        }
        note_seen(&stream, name, consumer, at);
        Ok(entries)
    }

    fn to_boxed(&self) -> Reads<Box<[u8]>> {
        Reads {
            group: self.group.as_ref().into(),
            consumer: self.consumer.as_ref().into(),
            count: self.count,
            pending: self.pending,
            streams: self
                .streams
                .iter()
                .map(|(key, from)| (key.as_ref().into(), *from))
                .collect(),
        }
    }
}

impl Reads<Box<[u8]>> {
    fn park(self, timeout_ms: u64) -> Park {
        let mut keys: Vec<Arc<[u8]>> = self
            .streams
            .iter()
            .map(|(key, _)| Arc::from(&**key))
            .collect();
        keys.sort_unstable();
        keys.dedup();
        let group = Some(self.group.clone());
        let again = move |data: &mut Data<'_>| {
            for (key, _) in &self.streams {
                require_group(data, key, &self.group)?;
            }
            self.serve(data)
        };
        Park::for_keys(keys, group, timeout_ms, Box::new(again))
    }
}

fn write_pending(data: &mut Data<'_>, entries: &[(StreamId, Option<Entry>)]) {
    data.out.array(entries.len());
    for (id, entry) in entries {
        match entry {
            Some(entry) => data.write_entry(entry),
            None => {
                data.out.array(2);
                data.write_id(*id);
                data.out.null_array();
            }
        }
    }
}
