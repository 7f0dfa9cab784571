//! Which files there are, and when they go.

use std::path::Path;
use std::sync::Arc;

use super::{DIR, names, node, open, path, verify, write};
use crate::data::{Data, Extent, Missing, Patience, Reader};
use crate::disk::{Disk, Fault, Repeat, SimDisk};
use crate::error::DataError;

fn one(data: &Arc<Data>) -> Arc<Extent> {
    write(data, &[(3, vec![node(1, 9, 20)])]).unwrap().remove(0)
}

#[test]
fn a_file_goes_with_the_last_who_refers_to_it() {
    let disk = SimDisk::new();
    let data = open(&disk);
    let extents = write(
        &data,
        &[(3, vec![node(1, 9, 20)]), (4, vec![node(1, 9, 20)])],
    )
    .unwrap();
    let bytes = extents[0].row.bytes;
    let [first, second] = <[_; 2]>::try_from(extents).unwrap();
    let file = Arc::downgrade(&first.file);
    let live = || file.upgrade().map(|file| file.live());
    let removed = || data.remove_unused(|_| false).unwrap();
    assert_eq!(
        (live(), data.stats().live_bytes),
        (Some(2 * bytes), 2 * bytes)
    );
    drop(first);
    assert_eq!((live(), removed()), (Some(bytes), 0));

    // A reader that was told to load it still can.
    let reader = Reader::new(&data, Patience::Halt);
    let index = reader.index(&second).unwrap();
    let Err(Missing::Cold(cold)) = reader.block(&second, &index, 0) else {
        panic!("it is not in memory");
    };
    drop(second);
    assert_eq!((live(), removed()), (Some(bytes), 0));
    let loaded = data.load(&cold).unwrap();
    drop(cold);
    assert_eq!(live(), Some(0));

    // So does a checkpoint that names it.
    assert_eq!(data.remove_unused(|number| number == 1).unwrap(), 0);
    assert!(data.stats().cache_bytes > 0);
    assert_eq!((removed(), names(&disk)), (1, vec![]));
    let stats = data.stats();
    assert_eq!((stats.files, stats.bytes, stats.cache_bytes), (0, 0, 0));
    assert!(loaded.bytes() > 0, "what was read is there");
    assert_eq!(one(&data).file.number(), 2);
}

#[test]
fn a_removal_that_fails_does_not_keep_the_others() {
    let disk = SimDisk::new();
    let data = open(&disk);
    for _ in 0..3 {
        one(&data);
    }
    disk.fail(disk.calls().len() + 1, Fault::Io, Repeat::Once);
    data.remove_unused(|_| false).unwrap_err();
    assert_eq!(names(&disk), [path(2)]);
    assert!(data.files().is_empty());
    drop(data);
    assert_eq!(open(&disk).remove_orphans(|_| false).unwrap(), 1);
    assert!(names(&disk).is_empty());
}

#[test]
fn what_nobody_adopts_is_an_orphan() {
    let disk = SimDisk::new();
    let data = open(&disk);
    let lens = [(); 3].map(|()| one(&data).file.len());
    let strangers = ["notes.data", "4.data", "00000000000000000004.datax", "LOCK"];
    for name in strangers.iter().chain(&["00000000000000000009.tmp"]) {
        disk.create(&Path::new(DIR).join(name), 1).unwrap();
    }
    drop(data);
    let data = open(&disk);
    let file = data.adopt(2, lens[1]).unwrap();
    assert!(Arc::ptr_eq(&file, &data.adopt(2, lens[1]).unwrap()));
    assert_eq!(data.files().len(), 1);
    // A file in the making is nobody's orphan.
    let writer = data.create_file().unwrap();
    assert_eq!(data.remove_orphans(|number| number == 3).unwrap(), 2);
    let left = disk.list(Path::new(DIR)).unwrap();
    let data_files = ["00000000000000000002.data", "00000000000000000003.data"];
    let mut expected = [&data_files[..], &["00000000000000000010.tmp"], &strangers].concat();
    expected.sort_unstable();
    assert_eq!(left, expected);
    drop(writer);
    assert_eq!(disk.list(Path::new(DIR)).unwrap().len(), expected.len() - 1);
    assert_eq!(data.remove_orphans(|_| false).unwrap(), 1);
    assert_eq!(data.remove_orphans(|_| false).unwrap(), 0);
}

#[test]
fn a_number_is_given_once() {
    let disk = SimDisk::new();
    let data = open(&disk);
    assert_eq!(data.next_number(), 1);
    let numbers = [(); 2].map(|()| one(&data).file.number());
    assert_eq!(numbers, [1, 2]);
    drop(data.create_file().unwrap());
    assert_eq!(one(&data).file.number(), 4);
    drop(data);
    let data = open(&disk);
    assert_eq!(data.next_number(), 5);
    data.skip_numbers(3);
    assert_eq!(data.next_number(), 5);
    data.skip_numbers(8);
    assert_eq!(one(&data).file.number(), 8);
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let disk = SimDisk::new();
    let data = open(&disk);
    let refused = data.adopt(7, 100).unwrap_err();
    assert!(matches!(refused, DataError::Disk(_)));
    assert!(
        refused.to_string().contains("00000000000000000007.data"),
        "{refused}"
    );
    assert!(data.files().is_empty());
    let findings = verify(&data, 7).findings;
    assert!(matches!(findings[..], [DataError::Disk(_)]), "{findings:?}");
}
