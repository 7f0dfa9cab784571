//! Random extents, read in every way, against plain lists.

use std::sync::Arc;

use proptest::collection::vec;
use proptest::prelude::{Strategy, any, prop_oneof};
use proptest::proptest;

use super::{Entry, Node, entries, few_cases, open, read_anew, verify, write};
use crate::data::{Data, Extent, NodeHead, NodePiece, Patience, Reader};
use crate::disk::SimDisk;
use crate::id::StreamId;

/// How far the next ID is, and how long its fields are.
type Step = ((u64, u64), usize);

fn step() -> impl Strategy<Value = Step> {
    let near = (0..3_u64, 0..4_u64);
    let far = (any::<u32>().prop_map(u64::from), any::<u64>());
    let bytes = prop_oneof![
        20 => 0..100_usize,
        2 => 1_000..20_000_usize,
        1 => 30_000..80_000_usize,
    ];
    (prop_oneof![9 => near, 1 => far], bytes)
}

/// Nodes as they may stand in one extent: first ID, entries, what is deleted at the end, and
/// whether they continue the one before.
fn nodes() -> impl Strategy<Value = Vec<Node>> {
    let node = (
        step(),
        vec(step(), 0..60),
        step(),
        any::<(u64, u32)>(),
        0..4_u32,
    );
    vec(node, 1..12).prop_map(|drafts| {
        let mut at = StreamId::new(1, 0);
        let mut nodes: Vec<Node> = Vec::new();
        for (first, steps, last, (names, deleted), continues) in drafts {
            let (first, _) = after(&mut at, first, 0);
            let mut entries = Vec::new();
            for (filler, step) in (0..).zip(steps) {
                let (id, resp) = after(&mut at, step, filler);
                entries.push((id, resp));
            }
            let (last, _) = after(&mut at, last, 0);
            let continued = nodes.last().filter(|_| continues == 0);
            let head = NodeHead {
                first: continued.map_or(first, |before| before.head.first),
                last,
                bytes: names >> 20,
                names,
                deleted,
                // The first node of an extent may continue one of another.
                continues: continues == 0,
            };
            nodes.push(Node { head, entries });
        }
        nodes
    })
}

/// Moves on by at least one, and makes up an entry there.
fn after(at: &mut StreamId, ((ms, seq), bytes): Step, filler: u8) -> Entry {
    *at = match ms {
        0 => StreamId::new(at.ms, at.seq.saturating_add(seq).saturating_add(1)),
        _ => StreamId::new(at.ms + ms, seq),
    };
    // Never the last of a millisecond, so that there is always a next one.
    at.seq = at.seq.min(u64::MAX - 1_000_000);
    (*at, vec![filler; bytes])
}

/// The nodes again that an extent's blocks have pieces of.
fn merged(pieces: &[NodePiece], entries: &[Entry]) -> Vec<Node> {
    let mut nodes: Vec<Node> = Vec::new();
    for NodePiece {
        head,
        entries: ordinals,
    } in pieces
    {
        let new = &entries[ordinals.start as usize..ordinals.end as usize];
        match nodes.last_mut().filter(|_| head.continues) {
            Some(node) => {
                node.head.last = head.last;
                node.head.bytes = head.bytes;
                node.head.names = head.names;
                node.head.deleted = node.head.deleted.wrapping_add(head.deleted);
                node.entries.extend_from_slice(new);
            }
            None => nodes.push(Node {
                head: *head,
                entries: new.to_vec(),
            }),
        }
    }
    nodes
}

/// The nodes with those merged that continue each other.
fn whole(nodes: &[Node]) -> Vec<Node> {
    let mut ordinal = 0;
    let pieces: Vec<_> = { nodes.iter() }
        .map(|node| {
            let start = ordinal;
            ordinal += u32::try_from(node.entries.len()).unwrap();
            NodePiece {
                head: node.head,
                entries: start..ordinal,
            }
        })
        .collect();
    merged(&pieces, &entries(nodes))
}

fn check(data: &Data, extent: &Arc<Extent>, nodes: &[Node]) {
    let expected = entries(nodes);
    assert_eq!(read_anew(data, extent).unwrap(), expected);
    let row = &extent.row;
    let whole = whole(nodes);
    assert_eq!(row.entries as usize, expected.len());
    assert_eq!(row.nodes as usize, whole.len());
    assert_eq!(row.first, expected[0].0);
    assert_eq!(row.last, expected[expected.len() - 1].0);
    assert_eq!(row.end, nodes[nodes.len() - 1].head.last);
    assert_eq!(row.continues, nodes[0].head.continues);

    let reader = Reader::new(data, Patience::Wait);
    let index = reader.index(extent).unwrap();
    assert_eq!(index.seek(StreamId::MIN), 0);
    assert_eq!(index.seek(row.last.next().unwrap()), index.rows().len());
    let mut pieces = Vec::new();
    for (number, block_row) in index.rows().iter().enumerate() {
        let block = reader.block(extent, &index, number).unwrap().block;
        assert!(block_row.tells_of(&block));
        assert!(block_row.bytes <= 32 << 10 || block_row.entries == 1);
        pieces.extend_from_slice(block.pieces());
        let ordinals = block.ordinals();
        let here = &expected[ordinals.start as usize..ordinals.end as usize];
        for (ordinal, (id, resp)) in ordinals.clone().zip(here) {
            assert_eq!(index.block_of(ordinal), number);
            assert_eq!(index.seek(*id), number);
            let entry = block.entry(ordinal);
            assert_eq!((entry.id, entry.ordinal), (*id, ordinal));
            assert_eq!(block.fields(entry.offset).resp, resp);
            assert_eq!(block.find(*id), Some(entry));
            assert_eq!(block.seek(*id), ordinal);
            let next = id.next().unwrap();
            assert_eq!(block.seek(next), ordinal + 1);
            let other = expected.iter().all(|(id, _)| *id != next);
            assert_eq!(block.find(next).is_none(), other || next > block_row.last);
        }
        let ids: Vec<_> = here.iter().map(|(id, _)| *id).collect();
        let backwards = block.entries(0..u32::MAX).rev().map(|entry| entry.id);
        assert!(backwards.eq(ids.iter().rev().copied()));
        assert_eq!(block.entries(ordinals.end..u32::MAX).len(), 0);
        assert_eq!(block.entries(0..ordinals.start).len(), 0);
    }
    assert_eq!(merged(&pieces, &expected), whole);
}

proptest! {
    #![proptest_config(few_cases())]

    #[test]
    fn extents_are_read_as_they_were_written(streams in vec(nodes(), 1..5)) {
        let disk = SimDisk::new();
        let data = open(&disk);
        let streams: Vec<_> = (1..).zip(streams).collect();
        let extents = write(&data, &streams).unwrap();
        let written = streams.iter().filter(|(_, nodes)| !entries(nodes).is_empty());
        let mut written_extents = extents.iter();
        for (stream, nodes) in written {
            let extent = written_extents.next().unwrap();
            assert_eq!(extent.row.stream.get(), *stream);
            check(&data, extent, nodes);
        }
        assert!(written_extents.next().is_none());
        let verdict = verify(&data, 1);
        assert!(verdict.findings.is_empty(), "{:?}", verdict.findings);
        let rows: Vec<_> = extents.iter().map(|extent| extent.row).collect();
        assert_eq!(verdict.extents, rows);
    }
}
