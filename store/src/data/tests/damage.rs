//! Bytes that are not what was written are noticed, by a check and by whoever reads them.

use std::sync::{Arc, LazyLock};

use proptest::collection::vec;
use proptest::prelude::any;
use proptest::proptest;
use proptest::test_runner::Config as ProptestConfig;

use super::{Node, entries, names, node, open, path, read_anew, verify, write};
use crate::codec::put_integer;
use crate::data::block::Block;
use crate::data::envelope::{self, Address, Kind};
use crate::data::{Data, Extent, ExtentRow, Index, Missing};
use crate::disk::{Disk, SimDisk};
use crate::error::{DataError, Flaw};
use crate::id::{StreamId, StreamNo};

fn two_streams(bytes: usize) -> Vec<(u64, Vec<Node>)> {
    vec![
        (3, vec![node(1, 4, bytes), node(7, 9, bytes)]),
        (9, vec![node(5, 6, 10)]),
    ]
}

/// A file of two streams; the blocks of the first hold one entry each, and have an index.
struct Fixture {
    disk: SimDisk,
    data: Arc<Data>,
    extents: Vec<Arc<Extent>>,
    streams: Vec<(u64, Vec<Node>)>,
}

impl Fixture {
    fn new(bytes: usize) -> Self {
        let disk = SimDisk::new();
        let data = open(&disk);
        let streams = two_streams(bytes);
        let extents = write(&data, &streams).unwrap();
        Self {
            disk,
            data,
            extents,
            streams,
        }
    }

    fn len(&self) -> usize {
        self.disk.files()[&path(1)].len()
    }

    /// What is wrong with the file is noticed, and never read.
    fn notices(&self, what: &str) -> Vec<DataError> {
        let findings = verify(&self.data, 1).findings;
        assert!(!findings.is_empty(), "{what}");
        for (extent, (_, nodes)) in self.extents.iter().zip(&self.streams) {
            match read_anew(&self.data, extent) {
                Ok(read) => assert_eq!(read, entries(nodes), "{what}"),
                Err(Missing::Unreadable(_)) => (),
                Err(Missing::Cold(_)) => panic!("{what}: a patient reader waits"),
            }
        }
        findings
    }
}

#[test]
fn every_flipped_byte_is_noticed() {
    let small = Fixture::new(20);
    let indexed = Fixture::new(20_000);
    assert!(indexed.extents[0].row.index_bytes > 0);
    let index_pos = indexed.extents[0].row.index_pos();
    for (fixture, all_from) in [(small, 0), (indexed, index_pos)] {
        for pos in 0..fixture.len() {
            // Contents of large blocks are all alike.
            if (pos as u64) < all_from && pos % 997 > 40 {
                continue;
            }
            fixture.disk.flip(&path(1), pos, 0x10);
            let findings = fixture.notices(&format!("byte {pos}"));
            let row = { fixture.extents.iter() }
                .map(|extent| &extent.row)
                .find(|row| (row.pos..row.end_pos()).contains(&(pos as u64)));
            if let Some(row) = row {
                let [
                    DataError::Corrupt {
                        pos: found, flaw, ..
                    },
                ] = findings[..]
                else {
                    panic!("byte {pos}: one finding in {findings:?}");
                };
                assert!(
                    (row.pos..=pos as u64).contains(&found),
                    "byte {pos}: {found}"
                );
                assert_eq!(flaw, Flaw::Checksum, "byte {pos}");
            }
            fixture.disk.flip(&path(1), pos, 0x10);
        }
        assert!(verify(&fixture.data, 1).findings.is_empty());
    }
}

#[test]
fn damage_to_a_block_leaves_the_others_readable() {
    let fixture = Fixture::new(20_000);
    fixture.disk.flip(&path(1), 100, 1);
    let [damaged, whole] = &fixture.extents[..] else {
        panic!("two extents");
    };
    let error = read_anew(&fixture.data, damaged).unwrap_err();
    let Missing::Unreadable(error) = error else {
        panic!("{error:?}");
    };
    assert_eq!(
        error.to_string(),
        "/data/00000000000000000001.data is damaged at byte 24: \
         bytes that do not match their checksum"
    );
    assert_eq!(
        read_anew(&fixture.data, whole).unwrap(),
        entries(&fixture.streams[1].1)
    );
}

#[test]
fn a_check_goes_on_where_index_or_table_are_lost() {
    let positions = |data: &Data| -> Vec<u64> {
        let findings = verify(data, 1).findings.into_iter();
        let positions = findings.map(|finding| match finding {
            DataError::Corrupt { pos, .. } => pos,
            DataError::Disk(fault) => panic!("{fault}"),
        });
        positions.collect()
    };
    let fixture = Fixture::new(20_000);
    let row = fixture.extents[0].row;
    let last = fixture.extents[1].row.pos;
    let at = |pos: u64| usize::try_from(pos).unwrap();
    // A block in the middle, the index, and later the table.
    fixture.disk.flip(&path(1), at(row.pos) + 20_200, 1);
    fixture.disk.flip(&path(1), at(row.index_pos()) + 40, 1);
    let found = positions(&fixture.data);
    assert_eq!(found[0], row.index_pos());
    assert!(
        (row.pos + 1..row.pos + 20_200).contains(&found[1]),
        "{found:?}"
    );
    assert_eq!(found.len(), 2);
    fixture.disk.flip(&path(1), at(row.pos) + 20_200, 1);
    fixture.disk.flip(&path(1), at(row.index_pos()) + 40, 1);
    let table = fixture.extents[1].row.end_pos();
    fixture.disk.flip(&path(1), at(table), 1);
    fixture.disk.flip(&path(1), at(last) + 40, 1);
    assert_eq!(positions(&fixture.data), [table, last]);
}

#[test]
fn every_truncation_is_noticed() {
    let fixture = Fixture::new(20);
    let whole = fixture.len();
    for len in (0..whole).rev() {
        fixture.disk.truncate(&path(1), len);
        fixture.notices(&format!("{len} bytes"));
        let data = open(&fixture.disk);
        let refused = data.adopt(1, whole as u64).unwrap_err();
        let DataError::Corrupt { flaw, .. } = refused else {
            panic!("{refused}");
        };
        let (len, made) = (len as u64, whole as u64);
        assert_eq!(flaw, Flaw::Length { len, made });
    }
}

#[test]
fn whole_blocks_from_elsewhere_are_not_taken_for_the_right_ones() {
    let disk = SimDisk::new();
    let data = open(&disk);
    // All blocks have the same length, so each would fit in the place of each.
    let streams = |streams: [u64; 2]| streams.map(|stream| (stream, vec![node(5, 6, 30)]));
    let extents = write(&data, &streams([3, 4])).unwrap();
    let others = write(&data, &streams([3, 4])).unwrap();
    let [there, elsewhere] = [&extents[0].row, &extents[1].row];
    let len = usize::try_from(there.bytes).unwrap();
    let (first, second) = (disk.open(&path(1)).unwrap(), disk.open(&path(2)).unwrap());
    let (mut right, mut wrong) = (vec![0; len], vec![0; len]);
    first.read_at(there.pos, &mut right).unwrap();
    for (file, row) in [(&first, elsewhere), (&second, &others[0].row)] {
        file.read_at(row.pos, &mut wrong).unwrap();
        first.write_at(there.pos, &wrong).unwrap();
        let error = read_anew(&data, &extents[0]).unwrap_err();
        let Missing::Unreadable(DataError::Corrupt { pos, flaw, .. }) = error else {
            panic!("{error:?}");
        };
        assert_eq!(pos, there.pos);
        assert!(matches!(flaw, Flaw::Misplaced { .. }), "{flaw}");
    }
    first.write_at(there.pos, &right).unwrap();
    read_anew(&data, &extents[0]).unwrap();

    // A whole file under another's name.
    drop((extents, others));
    disk.rename(&path(2), &path(1)).unwrap();
    let len = disk.files()[&path(1)].len() as u64;
    let refused = open(&disk).adopt(1, len).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "/data/00000000000000000001.data is damaged at byte 0: the file has the number 2"
    );
    assert!(!verify(&data, 1).findings.is_empty());
    assert_eq!(names(&disk), [path(1)]);
}

#[test]
fn an_extent_that_is_not_the_one_that_was_written_is_not_read() {
    let fixture = Fixture::new(20_000);
    for (extent, single) in fixture.extents.iter().zip([false, true]) {
        let file = &extent.file;
        assert_eq!(extent.row.index_bytes == 0, single);
        let row = extent.row;
        let other = |row: ExtentRow| {
            let live = file.live();
            let extent = Extent::from_parts(file.clone(), row).unwrap();
            assert_eq!(file.live(), live + row.bytes);
            let error = read_anew(&fixture.data, &extent).unwrap_err();
            assert!(matches!(
                error,
                Missing::Unreadable(DataError::Corrupt { .. })
            ));
            drop(extent);
            assert_eq!(file.live(), live);
        };
        other(ExtentRow {
            entries: row.entries + 1,
            ..row
        });
        other(ExtentRow {
            nodes: row.nodes + 1,
            ..row
        });
        other(ExtentRow {
            first: StreamId::MIN,
            ..row
        });
        other(ExtentRow {
            end: StreamId::MAX,
            ..row
        });
        other(ExtentRow {
            continues: true,
            ..row
        });
        other(ExtentRow {
            stream: StreamNo::new(77),
            ..row
        });
        other(ExtentRow {
            pos: row.pos - 1,
            ..row
        });
        let beyond = ExtentRow {
            pos: file.len(),
            ..row
        };
        Extent::from_parts(file.clone(), beyond).unwrap_err();
    }
}

/// Seals any content as a block that is right in all else.
fn sealed(content: &[u8], address: Address, kind: Kind) -> Vec<u8> {
    let mut block = Vec::new();
    let start = envelope::begin(&mut block);
    block.extend_from_slice(content);
    envelope::seal(&mut block, start, address, kind);
    block
}

/// Decodes content as whatever it may be, which must end. Whatever comes out holds together.
fn decode(content: &[u8], extent: &ExtentRow) {
    let address = extent.index_address(1);
    if let Ok(index) = Index::decode(&sealed(content, address, Kind::Index), extent, 1) {
        assert!(!index.rows().is_empty());
    }
    if let Ok(block) = Block::decode(sealed(content, address, Kind::Entries), address) {
        for entry in block.entries(block.ordinals()) {
            assert_eq!(block.find(entry.id), Some(entry));
            assert!(block.fields(entry.offset).resp.len() <= content.len());
        }
    }
    let mut input = content;
    while ExtentRow::decode(&mut input).is_ok() {}
}

/// An extent with an index, and the contents of an index block and of a block of entries.
fn written() -> &'static (ExtentRow, [Vec<u8>; 2]) {
    static WRITTEN: LazyLock<(ExtentRow, [Vec<u8>; 2])> = LazyLock::new(|| {
        let content = |fixture: &Fixture, from: u64, to: u64| {
            let [from, to] = [from, to].map(|pos| usize::try_from(pos).unwrap());
            fixture.disk.files()[&path(1)][from + envelope::HEADER..to].to_vec()
        };
        let (small, indexed) = (Fixture::new(20), Fixture::new(20_000));
        let (block, row) = (small.extents[0].row, indexed.extents[0].row);
        let contents = [
            content(&indexed, row.index_pos(), row.end_pos()),
            content(&small, block.pos, block.end_pos()),
        ];
        (row, contents)
    });
    &WRITTEN
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn decoding_anything_ends(content in vec(any::<u8>(), 0..200)) {
        decode(&content, &written().0);
    }

    #[test]
    fn decoding_what_was_almost_written_ends(
        changes in vec((any::<usize>(), any::<u8>()), 1..4),
        cut in any::<usize>(),
    ) {
        let (row, contents) = written();
        for content in contents {
            let mut content = content.clone();
            for (at, byte) in &changes {
                let at = at % content.len();
                content[at] = *byte;
            }
            decode(&content, row);
            content.truncate(cut % content.len());
            decode(&content, row);
        }
    }
}

#[test]
fn a_claim_beyond_what_is_there_is_refused() {
    // So many entries in so many pieces, of which there is none; then an index of so many blocks.
    let mut content = vec![0];
    put_integer(&mut content, u32::MAX.into());
    put_integer(&mut content, u32::MAX.into());
    let row = &written().0;
    let address = row.index_address(1);
    let flaw = Block::decode(sealed(&content, address, Kind::Entries), address).err();
    assert!(matches!(flaw, Some(Flaw::Malformed(_))), "{flaw:?}");
    content.clear();
    put_integer(&mut content, u64::MAX);
    let flaw = Index::decode(&sealed(&content, address, Kind::Index), row, 1).err();
    assert!(matches!(flaw, Some(Flaw::Malformed(_))), "{flaw:?}");
}
