//! Data files as a whole, on a simulated disk.

mod damage;
mod faults;
mod golden;
mod model;
mod reading;
mod registry;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use proptest::test_runner::Config as ProptestConfig;

use super::verify::Verdict;
use super::{Data, Extent, FileWriter, NodeHead, Patience, Reader, file};
use crate::disk::SimDisk;
use crate::error::DiskError;
use crate::id::{StreamId, StreamNo};
use crate::record::Fields;

/// For properties that write files. A failure prints the shortest history that shows it.
fn few_cases() -> ProptestConfig {
    ProptestConfig {
        cases: 48,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

const DIR: &str = "/data";

fn verify(data: &Data, number: u64) -> Verdict {
    super::verify(&*data.disk, &data.dir, number)
}

/// A node, or a part of one, and its entries: what somebody settles.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Node {
    head: NodeHead,
    entries: Vec<Entry>,
}

type Entry = (StreamId, Vec<u8>);

fn open(disk: &SimDisk) -> Arc<Data> {
    with_cache(disk, 1 << 20)
}

fn with_cache(disk: &SimDisk, bytes: u64) -> Arc<Data> {
    Data::open(Arc::new(disk.clone()), Path::new(DIR), bytes).unwrap()
}

fn path(number: u64) -> PathBuf {
    file::path(Path::new(DIR), number)
}

/// The names in the directory.
fn names(disk: &SimDisk) -> Vec<PathBuf> {
    disk.files().into_keys().collect()
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

fn entries(nodes: &[Node]) -> Vec<Entry> {
    let all = nodes.iter().flat_map(|node| node.entries.clone());
    all.collect()
}

/// Writes one extent.
fn put(writer: &mut FileWriter, stream: u64, nodes: &[Node]) -> Result<(), DiskError> {
    writer.begin_extent(StreamNo::new(stream));
    for node in nodes {
        writer.node(node.head);
        for (id, resp) in &node.entries {
            writer.entry(*id, Fields { words: 2, resp })?;
        }
    }
    let some = nodes.iter().any(|node| !node.entries.is_empty());
    assert_eq!(writer.end_extent()?, some);
    Ok(())
}

/// Writes one file with an extent for each of these streams.
fn write(data: &Arc<Data>, extents: &[(u64, Vec<Node>)]) -> Result<Vec<Arc<Extent>>, DiskError> {
    let mut writer = data.create_file()?;
    for (stream, nodes) in extents {
        put(&mut writer, *stream, nodes)?;
    }
    let (file, extents) = writer.finish()?;
    assert_eq!(
        file.live(),
        extents.iter().map(|extent| extent.row.bytes).sum()
    );
    Ok(extents)
}

/// All entries of an extent, each read through its place.
fn read(reader: &Reader<'_>, extent: &Arc<Extent>) -> Result<Vec<Entry>, super::Missing> {
    let index = reader.index(extent)?;
    let mut entries = Vec::new();
    for number in 0..index.rows().len() {
        let pinned = reader.block(extent, &index, number)?;
        for entry in pinned.block.entries(pinned.block.ordinals()) {
            let resp = reader.fields(pinned.pin, entry.offset, |fields| {
                assert_eq!(fields.words, 2);
                fields.resp.to_vec()
            });
            entries.push((entry.id, resp));
        }
    }
    Ok(entries)
}

/// All entries of an extent, from disk.
fn read_anew(data: &Data, extent: &Arc<Extent>) -> Result<Vec<Entry>, super::Missing> {
    data.cache.forget(|_| true);
    read(&Reader::new(data, Patience::Wait), extent)
}
