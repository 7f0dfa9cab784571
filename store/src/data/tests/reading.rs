//! Readers, the cache between them and the disk, and what one read brings.

use std::ops::Range;
use std::sync::Arc;

use proptest::prelude::any;
use proptest::proptest;

use super::{entries, node, open, read, with_cache, write};
use crate::data::cache::BlockKey;
use crate::data::{Cold, Data, Extent, Index, Loaded, Missing, Patience, Reader};
use crate::disk::{Disk, Fault, Repeat, SimDisk};
use crate::error::Doing;

/// An extent of so many blocks, one entry each.
fn extent(data: &Arc<Data>, blocks: u64) -> Arc<Extent> {
    write(data, &[(3, vec![node(0, blocks, 20_000)])])
        .unwrap()
        .remove(0)
}

/// Runs `access` again and again as a connection does, loading what it lacks; how often it halted.
fn run<R>(data: &Data, mut access: impl FnMut(&Reader<'_>) -> Result<R, Missing>) -> (R, usize) {
    let mut all = Loaded::default();
    for halts in 0..100 {
        let reader = Reader::new(data, Patience::Halt);
        reader.pin(all.clone());
        match access(&reader) {
            Ok(result) => return (result, halts),
            Err(Missing::Cold(cold)) => all.merge(data.load(&cold).unwrap()),
            Err(Missing::Unreadable(fault)) => panic!("{fault}"),
        }
    }
    panic!("it gets no further")
}

#[test]
fn an_access_gets_further_with_every_load_even_without_a_cache() {
    let disk = SimDisk::new();
    let data = with_cache(&disk, 0);
    let extent = extent(&data, 10);
    let expected = entries(&[node(0, 10, 20_000)]);
    let (all, halts) = run(&data, |reader| read(reader, &extent));
    assert_eq!((all, halts), (expected, 11), "the index, and each block");
    assert_eq!(data.stats().cache_bytes, 0);
}

/// Makes sure of several blocks, or says at once which of them are missing.
fn warm(
    reader: &Reader<'_>,
    extent: &Arc<Extent>,
    index: &Index,
    blocks: Range<usize>,
) -> Result<(), Missing> {
    let mut cold = Cold::default();
    for block in blocks {
        match reader.block(extent, index, block) {
            Ok(_) => (),
            Err(Missing::Cold(one)) => cold.merge(one),
            Err(unreadable) => return Err(unreadable),
        }
    }
    if cold.is_empty() {
        Ok(())
    } else {
        Err(Missing::Cold(cold))
    }
}

#[test]
fn an_access_can_ask_for_all_it_needs_at_once() {
    let disk = SimDisk::new();
    let data = with_cache(&disk, 0);
    let extent = extent(&data, 10);
    let read = |reader: &Reader<'_>| {
        let index = reader.index(&extent)?;
        warm(reader, &extent, &index, 2..5)?;
        warm(reader, &extent, &index, 7..8)
    };
    let (mut halts, mut all) = (Vec::new(), Loaded::default());
    while let Err(Missing::Cold(cold)) = {
        let reader = Reader::new(&data, Patience::Halt);
        reader.pin(all.clone());
        read(&reader)
    } {
        halts.push(cold.bytes() / 20_000);
        all.merge(data.load(&cold).unwrap());
    }
    assert_eq!(halts, [0, 3, 1]);
    // Joined by the caller, in any order and twice: every block is read once.
    let reader = Reader::new(&data, Patience::Wait);
    let index = reader.index(&extent).unwrap();
    reader.set_patience(Patience::Halt);
    let mut cold = Cold::default();
    for blocks in [4..6, 7..8, 2..5] {
        let Err(Missing::Cold(more)) = warm(&reader, &extent, &index, blocks) else {
            panic!("nothing is in memory");
        };
        cold.merge(more);
    }
    assert_eq!(cold.bytes() / 20_000, 5);
    let before = disk.calls().len();
    let loaded = data.load(&cold).unwrap();
    assert!(loaded.bytes() > cold.bytes());
    let calls = disk.calls().split_off(before);
    let doings: Vec<_> = calls.iter().map(|call| call.doing).collect();
    assert_eq!(
        (doings[0], &doings[1..]),
        (Doing::Open, &[Doing::Read; 5][..])
    );
    assert!(data.load(&Cold::default()).unwrap().bytes() == 0);
}

/// Reads that are made while each of these blocks is asked for, and blocks that they bring.
fn reads(data: &Data, extent: &Arc<Extent>, blocks: Range<usize>) -> (u64, u64) {
    let before = data.stats();
    for block in blocks {
        let reader = Reader::new(data, Patience::Wait);
        let index = reader.index(extent).unwrap();
        reader.block(extent, &index, block).unwrap();
    }
    let after = data.stats();
    (
        after.reads - before.reads,
        (after.read_bytes - before.read_bytes) / 20_000,
    )
}

#[test]
fn who_goes_on_reading_reads_ahead() {
    let disk = SimDisk::new();
    let data = with_cache(&disk, 8 << 20);
    let extent = extent(&data, 80);
    // The index, then what begins in the first half of a megabyte.
    assert_eq!(reads(&data, &extent, 0..27), (2, 27));
    assert_eq!(reads(&data, &extent, 27..28), (1, 26));
    // Whoever comes from nowhere may leave for anywhere.
    assert_eq!(reads(&data, &extent, 70..71), (1, 1));
    // He stays; there is an end.
    assert_eq!(reads(&data, &extent, 71..79), (1, 8));
    assert_eq!(reads(&data, &extent, 79..80), (1, 1));
    // What is there is not read again.
    assert_eq!(reads(&data, &extent, 53..80), (1, 17));
    assert_eq!(reads(&data, &extent, 0..80), (0, 0));
}

/// Whether a block is in memory.
fn has(data: &Data, extent: &Arc<Extent>, block: usize) -> bool {
    let reader = Reader::new(data, Patience::Wait);
    let key = BlockKey {
        file: extent.file.number(),
        pos: reader.index(extent).unwrap().rows()[block].pos,
    };
    data.cache.peek(key).is_some()
}

/// Waits until it is.
fn wait_for(data: &Data, extent: &Arc<Extent>, block: usize) {
    while !has(data, extent, block) {
        std::thread::yield_now();
    }
}

#[test]
fn what_was_read_ahead_and_is_used_has_the_next_area_read() {
    let disk = SimDisk::new();
    let data = with_cache(&disk, 8 << 20);
    let extent = extent(&data, 80);
    data.start().unwrap();
    assert_eq!(reads(&data, &extent, 0..1), (2, 27));
    for (used, last) in [(1, 52), (27, 78), (53, 79)] {
        reads(&data, &extent, used..used + 1);
        wait_for(&data, &extent, last);
    }
    assert_eq!(reads(&data, &extent, 0..80), (0, 0));
}

#[test]
fn who_reads_on_and_on_has_more_and_more_areas_read() {
    reads_on_and_on(&SimDisk::new());
    let disk = SimDisk::new();
    disk.set_memory(Some(0));
    reads_on_and_on(&disk);
}

fn reads_on_and_on(disk: &SimDisk) {
    let data = with_cache(disk, 32 << 20);
    let extent = extent(&data, 400);
    data.start().unwrap();
    // An area has 26 blocks. Of the one behind the first, one more is read, then two, then four.
    for (used, last) in [(0, 26), (1, 52), (27, 104), (53, 182), (79, 209)] {
        reads(&data, &extent, used..used + 1);
        wait_for(&data, &extent, last);
    }
    // Using them would have more read.
    let missing = (0..210).filter(|block| !has(&data, &extent, *block));
    assert_eq!(missing.count(), 0);
    assert!(!has(&data, &extent, 210));
}

#[test]
fn what_the_kernel_should_keep_was_written_or_scanned_and_fits() {
    let disk = SimDisk::new();
    let data = open(&disk);
    let lens = [(); 2].map(|()| extent(&data, 40).file.len());
    drop(data);
    let data = open(&disk);
    let [first, second] =
        [(1, lens[0]), (2, lens[1])].map(|(number, len)| data.adopt(number, len).unwrap());
    let third = extent(&data, 40).file.clone();
    let fourth = extent(&data, 40).file.clone();
    let kept = |memory| {
        disk.set_memory(memory);
        [&first, &second, &third, &fourth].map(|file| data.is_kept(file))
    };
    assert_eq!(kept(None), [false, false, true, true]);
    assert_eq!(kept(Some(fourth.len())), [false, false, false, true]);
    second.add_scanned(second.len() / 2);
    assert_eq!(kept(None), [false, false, true, true]);
    second.add_scanned(1);
    assert_eq!(kept(None), [false, true, true, true]);
    assert_eq!(kept(Some(4 * fourth.len() - 1)), [false, false, true, true]);
}

#[test]
fn a_backlog_that_was_there_is_scanned_once_past_the_cache() {
    let disk = SimDisk::new();
    let made = extent(&open(&disk), 60);
    let data = with_cache(&disk, 8 << 20);
    let file = data.adopt(1, made.file.len()).unwrap();
    let extent = Extent::new(file.clone(), made.row);
    // Somebody who comes from nowhere does not scan.
    reads(&data, &extent, 50..51);
    assert!(!file.was_scanned());
    reads(&data, &extent, 0..50);
    assert!(file.was_scanned());
}

#[test]
fn what_cannot_be_read_at_once_is_read_by_the_block() {
    let disk = SimDisk::new();
    disk.set_memory(Some(0));
    let data = open(&disk);
    let extent = extent(&data, 30);
    assert_eq!(reads(&data, &extent, 29..30), (2, 1));
    disk.fail(disk.calls().len() + 1, Fault::Io, Repeat::Once);
    assert_eq!(reads(&data, &extent, 0..27), (1, 27));
}

#[test]
fn the_end_of_an_extent_has_the_beginning_of_the_next_read() {
    let disk = SimDisk::new();
    let data = with_cache(&disk, 8 << 20);
    let nodes = |from| (3, vec![node(from, from + 40, 20_000)]);
    let extents = write(&data, &[nodes(0), nodes(100)]).unwrap();
    let (extent, then) = (&extents[0], &extents[1]);
    data.start().unwrap();
    for (used, last, in_extent) in [(0, 26, extent), (1, 39, extent), (27, 1, then)] {
        let reader = Reader::new(&data, Patience::Wait);
        let index = reader.index(extent).unwrap();
        reader
            .block_before(extent, &index, used, Some(then))
            .unwrap();
        wait_for(&data, in_extent, last);
    }
}

#[test]
fn a_damaged_block_ahead_is_the_concern_of_who_needs_it() {
    let disk = SimDisk::new();
    let data = with_cache(&disk, 8 << 20);
    let extent = extent(&data, 4);
    disk.flip(extent.file.path(), 50_000, 1);
    let reader = Reader::new(&data, Patience::Wait);
    let index = reader.index(&extent).unwrap();
    reader.block(&extent, &index, 0).unwrap();
    reader.block(&extent, &index, 1).unwrap();
    let Err(Missing::Unreadable(fault)) = reader.block(&extent, &index, 2) else {
        panic!("it is damaged");
    };
    assert!(fault.to_string().contains("checksum"), "{fault}");
    reader.block(&extent, &index, 3).unwrap();
}

#[test]
fn a_block_is_pinned_once_and_stays() {
    let disk = SimDisk::new();
    let data = open(&disk);
    let extent = extent(&data, 3);
    let reader = Reader::new(&data, Patience::Wait);
    let index = reader.index(&extent).unwrap();
    let pins = [2, 0, 2, 1, 0].map(|block| reader.block(&extent, &index, block).unwrap().pin);
    assert_eq!(pins[0], pins[2]);
    assert_eq!(pins[1], pins[4]);
    assert!(pins[0] != pins[1] && pins[1] != pins[3]);
    data.cache.forget(|_| true);
    disk.remove(extent.file.path()).unwrap();
    let last = reader.block(&extent, &index, 2).unwrap();
    let entry = last.block.entry(2);
    let resp = reader.fields(last.pin, entry.offset, |fields| fields.resp.to_vec());
    assert_eq!(resp, [2; 20_000]);
}

#[test]
fn who_waits_for_another_to_read_a_block_does_not_read_it_again() {
    let disk = SimDisk::new();
    let data = open(&disk);
    let extent = extent(&data, 1);
    let access = || {
        let reader = Reader::new(&data, Patience::Wait);
        read(&reader, &extent).unwrap()
    };
    access();
    let key = BlockKey {
        file: extent.file.number(),
        pos: extent.row.pos,
    };
    let block = data.cache.peek(key).unwrap();
    data.cache.forget(|_| true);
    let before = data.stats();
    std::thread::scope(|scope| {
        let loading = data.loader(key);
        let other = scope.spawn(access);
        while data.stats().cache_misses == before.cache_misses {
            std::thread::yield_now();
        }
        // Who does not wait has every chance to read.
        for _ in 0..1000 {
            std::thread::yield_now();
        }
        data.cache.insert(key, block);
        drop(loading);
        assert_eq!(other.join().unwrap().len(), 1);
    });
    assert_eq!(data.stats().reads, before.reads);
}

#[test]
fn hits_and_misses_are_counted() {
    let disk = SimDisk::new();
    let data = open(&disk);
    let extent = extent(&data, 3);
    let counts = || (data.stats().cache_hits, data.stats().cache_misses);
    let read = |block| {
        let reader = Reader::new(&data, Patience::Wait);
        let index = reader.index(&extent).unwrap();
        reader.block(&extent, &index, block).unwrap();
        reader.block(&extent, &index, block).unwrap();
    };
    read(0);
    assert_eq!(counts(), (0, 2));
    read(0);
    assert_eq!(counts(), (2, 2));
    read(2);
    assert_eq!(counts(), (4, 2), "it was read ahead");
}

proptest! {
    #![proptest_config(super::few_cases())]

    #[test]
    fn the_cache_stays_in_its_budget(seed in any::<u64>(), blocks in 1..60_u64) {
        let disk = SimDisk::new();
        let data = with_cache(&disk, 300_000);
        let extent = extent(&data, blocks);
        let mut random = seed;
        for budget in [300_000, 90_000, 1_000_000, 0, 50_000] {
            data.set_cache_bytes(budget);
            for _ in 0..40 {
                let stats = data.stats();
                assert!(stats.cache_bytes <= stats.cache_budget, "{stats:?}");
                assert!(stats.cache_budget < budget + 64, "{stats:?}");
                random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let block = usize::try_from((random >> 33) % blocks).unwrap();
                let reader = Reader::new(&data, Patience::Wait);
                let index = reader.index(&extent).unwrap();
                let pinned = reader.block(&extent, &index, block).unwrap();
                assert_eq!(pinned.block.ordinals().start as usize, block);
            }
        }
        data.set_cache_bytes(8 << 20);
        let reader = Reader::new(&data, Patience::Wait);
        read(&reader, &extent).unwrap();
        assert!(data.stats().cache_bytes > blocks * 20_000, "{:?}", data.stats());
    }
}
