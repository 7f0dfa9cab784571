//! `XREAD [COUNT count] [BLOCK milliseconds] STREAMS key [key ...] id [id ...]`: entries behind an
//! ID, of several streams.
//!
//! * `$` is the stream's last ID at this moment, `+` stands just before its last entry.
//! * Streams without news are left out of the reply; a reply without any stream is a null array.
//! * Somebody who waits is told of the first stream that has news, and stays in line when a key
//!   vanishes.

use std::sync::Arc;

use headwater_store::{Entry, StreamId};

use crate::command::stream::read::{BLOCK, COUNT, ReadOptions, Reader, STREAMS};
use crate::command::stream::xrange::limit;
use crate::command::{
    Access, Args, Body, Cx, Data, Group, Halt, Outcome, Park, Served, Spec, Traits,
};
use crate::refusal::Refusal;

pub(crate) static XREAD: Spec = Spec {
    name: "xread",
    summary: "Reads the entries of streams that come after given IDs. Can wait for some.",
    since: "5.0.0",
    complexity: "",
    group: Group::Stream,
    access: Access::Read,
    traits: Traits::BLOCKING,
    tips: &[],
    args: &[COUNT, BLOCK, STREAMS],
    body: Body::Run(run),
};

fn run(cx: &mut Cx<'_>, args: &mut Args<'_>) -> Result<Outcome, Halt> {
    let options = ReadOptions::parse(args, Reader::Plain, cx.now)?;
    let mut reads = Vec::with_capacity(options.streams.len());
    for &(key, id) in &options.streams {
        reads.push((key, resolve(cx, key, id)?));
    }
    if serve(cx, &reads, options.count)? == Served::Yes {
        return Ok(Outcome::Done);
    }
    let Some(timeout_ms) = options.block_ms.filter(|_| !cx.in_exec) else {
        cx.out.null_array();
        return Ok(Outcome::Done);
    };
    let reads: Vec<(Box<[u8]>, After)> = reads
        .into_iter()
        .map(|(key, after)| (key.into(), after))
        .collect();
    let mut keys: Vec<Arc<[u8]>> = reads.iter().map(|(key, _)| Arc::from(&**key)).collect();
    keys.sort_unstable();
    keys.dedup();
    let again = Box::new(move |data: &mut Data<'_>| serve(data, &reads, options.count));
    Ok(Outcome::Park(Park::for_keys(keys, None, timeout_ms, again)))
}

/// What a reader of one stream wants.
#[derive(Clone, Copy)]
enum After {
    Id(StreamId),
    /// `+`: the last entry, whichever it is.
    AllButLast,
}

fn resolve(cx: &Cx<'_>, key: &[u8], id: &[u8]) -> Result<After, Refusal> {
    Ok(match id {
        b"$" => After::Id(
            cx.stream(key)
                .map_or(StreamId::MIN, |stream| stream.last_id()),
        ),
        b"+" => After::AllButLast,
        b">" => {
            return Err(Refusal::Command(
                "ERR The > ID can be specified only when calling XREADGROUP using the GROUP \
                 <group> <consumer> option.",
            ));
        }
        id => After::Id(StreamId::parse(id, 0).ok_or(Refusal::InvalidId)?),
    })
}

/// Writes what there is, if there is something.
fn serve<K: AsRef<[u8]>>(
    data: &mut Data<'_>,
    reads: &[(K, After)],
    count: Option<u64>,
) -> Result<Served, Halt> {
    let mut found: Vec<(&[u8], Vec<Entry>)> = Vec::new();
    for (key, after) in reads {
        let key = key.as_ref();
        let Some(stream) = data.stream(key) else {
            continue;
        };
        let entries = match *after {
            After::Id(id) => stream.entries_after(id, limit(count))?,
            After::AllButLast => stream.last_entry()?.into_iter().collect(),
        };
        drop(stream);
        if !entries.is_empty() {
            found.push((key, entries));
        }
    }
    if found.is_empty() {
        return Ok(Served::NotYet);
    }
    data.begin_streams(found.len());
    for (key, entries) in &found {
        data.begin_stream(key);
        data.write_entries(entries);
    }
    Ok(Served::Yes)
}
