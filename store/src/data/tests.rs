//! Files as a whole: what was written is read, and damage is noticed.

use std::path::Path;
use std::sync::Arc;

use super::{Data, Extent, NodeHead, Patience, Reader};
use crate::disk::SimDisk;
use crate::id::{StreamId, StreamNo};
use crate::record::Fields;

const DIR: &str = "/data";

/// A node and its entries, as somebody settles them.
#[derive(Clone, Debug)]
struct Node {
    head: NodeHead,
    entries: Vec<(StreamId, Vec<u8>)>,
}

fn open(disk: &SimDisk) -> Arc<Data> {
    Data::open(Arc::new(disk.clone()), Path::new(DIR), 1 << 20).unwrap()
}

fn fields(resp: &[u8]) -> Fields<'_> {
    Fields { words: 2, resp }
}

/// One node of entries `from..to`, each with `bytes` bytes of fields.
fn node(from: u64, to: u64, bytes: usize) -> Node {
    let byte = |ms: u64| ms.to_le_bytes()[0];
    Node {
        head: NodeHead {
            first: StreamId::new(from, 0),
            last: StreamId::new(to - 1, 0),
            bytes: 100,
            names: from,
            deleted: 0,
            continues: false,
        },
        entries: (from..to)
            .map(|ms| (StreamId::new(ms, 0), vec![byte(ms); bytes]))
            .collect(),
    }
}

/// Writes one file with these extents.
fn write(data: &Arc<Data>, extents: &[(u64, Vec<Node>)]) -> Vec<Arc<Extent>> {
    let mut writer = data.create_file().unwrap();
    for (stream, nodes) in extents {
        writer.begin_extent(StreamNo::new(*stream));
        for node in nodes {
            writer.node(node.head);
            for (id, resp) in &node.entries {
                writer.entry(*id, fields(resp)).unwrap();
            }
        }
        assert!(writer.end_extent().unwrap());
    }
    writer.finish().unwrap().1
}

/// All entries of an extent, through the reader.
fn read(reader: &Reader<'_>, extent: &Arc<Extent>) -> Vec<(StreamId, Vec<u8>)> {
    let index = reader.index(extent).unwrap();
    let mut entries = Vec::new();
    for number in 0..index.rows().len() {
        let pinned = reader.block(extent, &index, number).unwrap();
        let block = &pinned.block;
        for entry in block.entries(block.ordinals()) {
            assert_eq!(entries.len(), entry.ordinal as usize);
            let resp = reader.fields(pinned.pin, entry.offset, |fields: Fields<'_>| {
                fields.resp.to_vec()
            });
            entries.push((entry.id, resp));
        }
    }
    entries
}

#[test]
fn what_was_written_is_read() {
    let data = open(&SimDisk::new());
    let extents = [(3, vec![node(1, 2000, 100)]), (9, vec![node(5, 6, 10)])];
    let written = write(&data, &extents);
    let reader = Reader::new(&data, Patience::Wait);
    for (extent, (_, nodes)) in written.iter().zip(&extents) {
        let expected: Vec<_> = nodes.iter().flat_map(|node| node.entries.clone()).collect();
        assert_eq!(read(&reader, extent), expected);
    }
}
