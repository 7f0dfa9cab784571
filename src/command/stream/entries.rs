//! How entries look in replies.

use headwater_resp::{Protocol, Writer};
use headwater_store::{Entry, StreamId};

use crate::command::Data;

impl Data<'_> {
    /// An entry: its ID and the flat array of its fields and values, also in RESP3.
    pub(super) fn write_entry(&mut self, entry: &Entry) {
        let Self { access, out, .. } = self;
        out.array(2);
        write_id(out, entry.id);
        access.fields(entry, |fields| {
            out.array(fields.words as usize);
            out.raw(fields.resp);
        });
    }

    pub(super) fn write_entries(&mut self, entries: &[Entry]) {
        self.out.array(entries.len());
        for entry in entries {
            self.write_entry(entry);
        }
    }

    pub(super) fn write_id(&mut self, id: StreamId) {
        write_id(&mut self.out, id);
    }

    /// The IDs alone.
    pub(super) fn write_ids(&mut self, ids: &[StreamId]) {
        self.out.array(ids.len());
        for &id in ids {
            self.write_id(id);
        }
    }

    /// Begins a reply by stream: a map in RESP3, an array of pairs in RESP2. Each key is then
    /// announced by [`Self::begin_stream`].
    pub(super) fn begin_streams(&mut self, count: usize) {
        match self.out.protocol() {
            Protocol::Resp2 => self.out.array(count),
            Protocol::Resp3 => self.out.map(count),
        }
    }

    pub(super) fn begin_stream(&mut self, key: &[u8]) {
        if self.out.protocol() == Protocol::Resp2 {
            self.out.array(2);
        }
        self.out.bulk(key);
    }
}

/// The longest text of an ID: two numbers of twenty digits and the dash.
const ID_TEXT_MAX: usize = 41;

pub(super) fn write_id(out: &mut Writer<'_>, id: StreamId) {
    let (mut ms, mut seq) = (itoa::Buffer::new(), itoa::Buffer::new());
    let (ms, seq) = (ms.format(id.ms).as_bytes(), seq.format(id.seq).as_bytes());
    let mut text = [b'-'; ID_TEXT_MAX];
    let length = ms.len() + 1 + seq.len();
    text[..ms.len()].copy_from_slice(ms);
    text[ms.len() + 1..length].copy_from_slice(seq);
    out.bulk(&text[..length]);
}
