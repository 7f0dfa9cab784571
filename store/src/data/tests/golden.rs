//! The bytes of the format: those that were written once are read for ever.

use std::path::Path;

use super::{DIR, Node, open, path, put};
use crate::data::block::BlockBuilder;
use crate::data::envelope::Address;
use crate::data::index::IndexBuilder;
use crate::data::{ExtentRow, Index, NodeHead};
use crate::disk::{Disk, SimDisk};
use crate::id::{StreamId, StreamNo};
use crate::record::Fields;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn id(ms: u64, seq: u64) -> StreamId {
    StreamId::new(ms, seq)
}

fn head(first: StreamId, last: StreamId) -> NodeHead {
    NodeHead {
        first,
        last,
        bytes: 0x81,
        names: 0x0807_0605_0403_0201,
        deleted: 3,
        continues: false,
    }
}

fn fields(resp: &[u8]) -> Fields<'_> {
    Fields { words: 2, resp }
}

#[test]
fn the_layout_of_a_file_is_frozen() {
    let disk = SimDisk::new();
    let data = open(&disk);
    data.skip_numbers(7);
    let mut writer = data.create_file().unwrap();
    let nodes = [
        Node {
            head: NodeHead {
                continues: true,
                ..head(id(5, 1), id(5, 9))
            },
            entries: vec![
                (id(5, 2), b"$1\r\na\r\n$1\r\nb\r\n".to_vec()),
                (id(5, 4), b"$1\r\nc\r\n$0\r\n\r\n".to_vec()),
            ],
        },
        Node {
            head: head(id(6, 0), id(300, 2)),
            entries: vec![(id(7, 1), b"$1\r\nd\r\n$1\r\ne\r\n".to_vec())],
        },
    ];
    put(&mut writer, 3, &nodes).unwrap();
    writer.finish().unwrap();
    let golden = [
        // The header: magic, crc, version, number.
        "4845414457444154 1983b5ea 01000000 0700000000000000",
        // The block: crc, length, file, position, stream, kind.
        "e833cf8f 7a000000 0700000000000000 1800000000000000 0300000000000000 01",
        // Ordinal, entries, pieces.
        "00 03 02",
        // The pieces: entries and continues, deleted, first, last, bytes, names.
        "05 03 0501 0008 8101 0102030405060708",
        "02 03 0100 a60202 8101 0102030405060708",
        // The entries: ID, words, length, fields.
        "0001 02 0e 24310d0a610d0a24310d0a620d0a",
        "0003 02 0d 24310d0a630d0a24300d0a0d0a",
        "0201 02 0e 24310d0a640d0a24310d0a650d0a",
        // The table: stream, position, bytes, index bytes, entries and continues, nodes, first,
        // last, end.
        "03 18 7a 00 07 02 0502 0201 a50202",
        // The tail: table, number, extents, crc, magic.
        "9200000000000000 0700000000000000 0100000000000000 4a585015 4845414457454e44",
    ];
    let written = &disk.files()[&path(7)];
    assert_eq!(hex(written), golden.concat().replace(' ', ""));
}

#[test]
fn the_layout_of_an_index_is_frozen() {
    let address = |pos| Address {
        file: 7,
        pos,
        stream: StreamNo::new(3),
    };
    let (mut block, mut index, mut bytes) =
        (BlockBuilder::default(), IndexBuilder::default(), Vec::new());
    block.piece(head(id(5, 1), id(9, 9)));
    block.entry(id(5, 2), fields(b""));
    index.seal_block(&mut block, &mut bytes, address(24));
    let second = 24 + bytes.len() as u64;
    block.piece(NodeHead {
        continues: true,
        ..head(id(5, 1), id(9, 9))
    });
    block.entry(id(6, 0), fields(b""));
    block.entry(id(9, 1), fields(b""));
    index.seal_block(&mut block, &mut bytes, address(second));
    let index_pos = bytes.len();
    index.seal(&mut bytes, address(24 + index_pos as u64));
    let golden = [
        "f77428e7 34000000 0700000000000000 8c00000000000000 0300000000000000 02",
        // Blocks.
        "02",
        // Each: bytes and continues, entries, nodes, first, last, end.
        "70 01 01 0502 0000 0409",
        "79 02 01 0100 0301 0008",
    ];
    assert_eq!(hex(&bytes[index_pos..]), golden.concat().replace(' ', ""));

    let row = ExtentRow {
        stream: StreamNo::new(3),
        pos: 24,
        bytes: bytes.len() as u64,
        index_bytes: u32::try_from(bytes.len() - index_pos).unwrap(),
        entries: 3,
        nodes: 1,
        first: id(5, 2),
        last: id(9, 1),
        end: id(9, 9),
        continues: false,
    };
    let index = Index::decode(&bytes[index_pos..], &row, 7).unwrap();
    let [first, second] = index.rows() else {
        panic!("two blocks: {index:?}");
    };
    assert_eq!((first.ordinals(), second.ordinals()), (0..1, 1..3));
    assert_eq!((first.continues, second.continues), (false, true));
}

#[test]
fn a_file_is_named_after_its_number() {
    let disk = SimDisk::new();
    let data = open(&disk);
    data.skip_numbers(7);
    let writer = data.create_file().unwrap();
    let names = || disk.list(Path::new(DIR)).unwrap();
    assert_eq!(names(), ["00000000000000000007.tmp"]);
    writer.finish().unwrap();
    assert_eq!(names(), ["00000000000000000007.data"]);
}
