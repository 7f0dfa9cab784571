//! A copy of another store that takes the place of what was there, whatever happens meanwhile.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use headwater_store::backup::backup;
use headwater_store::check::{Severity, check};
use headwater_store::disk::{Disk, Loss, SimDisk};
use headwater_store::install::{InstallError, discard, incoming, install};
use headwater_store::{Lsn, Opening};

use crate::node::{Node, dir, lead, open};

/// A store with settled entries, and what it knows.
fn leader() -> Node {
    let node = Node::new(lead(1));
    for key in 0..30_u8 {
        node.store().alone().create(0, &[key; 700], 0).unwrap();
        node.store().log().try_write().unwrap();
    }
    node.store().log().sync().unwrap();
    node.store().round().unwrap();
    for key in 30..45_u8 {
        node.store().alone().create(0, &[key; 700], 0).unwrap();
        node.store().log().try_write().unwrap();
    }
    node
}

/// A store that knows something else, and what it knows.
fn other() -> (SimDisk, String) {
    let node = Node::new(lead(2));
    for key in 0..20_u8 {
        node.store().alone().create(1, &[key; 600], 0).unwrap();
        node.store().log().try_write().unwrap();
    }
    node.store().log().sync().unwrap();
    node.store().round().unwrap();
    (node.disk.after_kill(), node.dump())
}

/// Brings a copy of a store to another disk; nothing of it is durable there.
fn send(leader: &Node, disk: &SimDisk) -> Lsn {
    let target = Path::new("/copy");
    let backup = leader.store().backup_for_replica(target).unwrap();
    for (path, bytes) in leader.disk.files() {
        let Ok(name) = path.strip_prefix(target) else {
            continue;
        };
        let to = incoming(dir()).join(name);
        disk.create_dir(to.parent().unwrap()).unwrap();
        let file = disk.create(&to, bytes.len() as u64).unwrap();
        file.write_at(0, &bytes).unwrap();
    }
    backup.lsn
}

fn dump(disk: &SimDisk, what: &str) -> String {
    let store = open(disk, Opening::Follow);
    let store = store.unwrap_or_else(|refused| panic!("{what}: {refused}"));
    store.dump().unwrap()
}

/// What a check says.
fn findings(disk: &SimDisk) -> Vec<String> {
    let mut findings = Vec::new();
    let shared: Arc<dyn Disk> = Arc::new(disk.after_kill());
    let summary = check(&shared, dir(), &mut |finding| {
        assert_eq!(finding.severity, Severity::Note, "{finding}");
        findings.push(finding.what.to_string());
    });
    summary.unwrap();
    findings
}

#[test]
fn a_copy_takes_the_place_of_what_was_there_and_goes_on_with_frames() {
    let leader = leader();
    let (disk, old) = other();
    let lsn = send(&leader, &disk);
    let told = "/store/incoming: a part of a copy of another store; a replica goes on receiving \
                it, or begins anew";
    assert_eq!(findings(&disk), [told]);
    assert_eq!(dump(&disk.after_kill(), "on its way"), old);
    install(&disk, dir(), lsn).unwrap();
    assert_eq!(findings(&disk), [""; 0]);
    let mut replica = Node::new(Opening::Follow);
    replica.become_disk(disk, Opening::Follow);
    assert_eq!(
        (replica.end(), replica.dump()),
        (leader.end(), leader.dump())
    );
    assert_eq!(replica.store().history(), leader.store().history());
    leader.store().alone().create(0, b"later", 0).unwrap();
    leader.store().log().try_write().unwrap();
    replica.arrived = leader.frames(replica.end()).unwrap();
    replica.take();
    assert_eq!(replica.dump(), leader.dump());
    replica.reopen(lead(9));
    assert_eq!(replica.dump(), leader.dump());
}

#[test]
fn a_copy_that_is_not_whole_is_refused() {
    let leader = leader();
    let (disk, old) = other();
    let lsn = send(&leader, &disk);
    let files = disk.files();
    let copied: Vec<&PathBuf> = files
        .keys()
        .filter(|path| path.starts_with(incoming(dir())))
        .collect();
    assert!(copied.len() > 2, "{copied:?}");
    for path in copied {
        let image = disk.after_kill();
        image.remove(path).unwrap();
        install(&image, dir(), lsn).unwrap_err();
        assert_eq!(dump(&image, "refused"), old);
        let image = disk.after_kill();
        image.flip(path, 4100.min(files[path].len() - 1), 1);
        install(&image, dir(), lsn).unwrap_err();
        assert_eq!(dump(&image, "refused"), old);
    }
    discard(&disk, dir()).unwrap();
    assert_eq!(findings(&disk), [""; 0]);
    discard(&disk, dir()).unwrap();
    disk.create_dir(&incoming(dir())).unwrap();
    let refused = install(&disk, dir(), lsn).unwrap_err();
    assert!(matches!(refused, InstallError::Ends { .. }), "{refused}");
    assert_eq!(dump(&disk, "refused"), old);
}

#[test]
fn a_crash_at_any_call_leaves_the_old_data_or_the_new() {
    let leader = leader();
    let new = leader.dump();
    let (disk, old) = other();
    let lsn = send(&leader, &disk);
    let (mut olds, mut news) = (0, 0);
    for call in 0.. {
        let stopped = disk.after_kill();
        stopped.stop_at(call);
        let done = install(&stopped, dir(), lsn).is_ok();
        let seed = 100 * call as u64;
        for loss in [
            Loss::Nothing,
            Loss::All,
            Loss::Pages(seed),
            Loss::Sectors(seed),
        ] {
            let what = format!("call {call}, {loss:?}");
            let image = stopped.after_crash(loss);
            let first = dump(&image.after_kill(), &what);
            assert!(first == new || (first == old && !done), "{what}");
            olds += u32::from(first == old);
            news += u32::from(first == new);
            // And again, while that is finished.
            for again in (call % 3..).step_by(3) {
                let second = image.after_kill();
                second.stop_at(again);
                let opened = open(&second, Opening::Follow).is_ok();
                let third = second.after_crash(Loss::Sectors(again as u64));
                assert!(dump(&third, &what) == first, "{what}, then call {again}");
                if opened {
                    break;
                }
            }
        }
        if done {
            break;
        }
    }
    assert!(olds > 50 && news > 50, "{olds} {news}");
}

#[test]
fn what_has_arrived_is_installed_by_the_next_start() {
    let leader = leader();
    let (disk, _) = other();
    send(&leader, &disk);
    let arrived = dir().join("arrived");
    disk.rename(&incoming(dir()), &arrived).unwrap();
    let told = "/store/arrived: a copy of another store, which replaces this one at the next \
                start; nothing else was looked at";
    assert_eq!(findings(&disk), [told]);
    let refused = backup(&disk, dir(), Path::new("/backup")).unwrap_err();
    let expected = "/store/arrived is to replace the store; start a server first";
    assert_eq!(refused.to_string(), expected);
    assert_eq!(dump(&disk, "the next start"), leader.dump());
    assert_eq!(findings(&disk), [""; 0]);
}
