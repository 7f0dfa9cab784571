//! Every call fails once, and from every call on all fail.

use headwater_store::disk::{Fault, Loss, Repeat, SimDisk};
use headwater_store::error::{AppendError, Doing};
use headwater_store::log::Growth;
use headwater_store::lsn::Lsn;

use crate::support::{History, SMALL, append, open, run_script, try_open};

#[test]
fn after_any_failure_nothing_more_is_acknowledged_and_nothing_acknowledged_is_lost() {
    let calls = {
        let disk = SimDisk::new();
        let (log, _) = open(&disk, &SMALL);
        run_script(&log, &mut History::default());
        log.sync().unwrap();
        log.close().unwrap();
        disk.calls().len()
    };
    assert!(calls > 60, "the script is long enough: {calls}");
    let mut poisoned = 0;
    let mut refused = 0;
    for call in 0..calls {
        for fault in [
            Fault::Io,
            Fault::NoSpace,
            Fault::ReadOnly,
            Fault::ShortWrite,
        ] {
            for repeat in [Repeat::Once, Repeat::Forever] {
                let disk = SimDisk::new();
                disk.fail(call, fault, repeat);
                let mut history = History::default();
                if let Ok((log, _)) = try_open(&disk, &SMALL) {
                    run_script(&log, &mut history);
                    history.sync(&log);
                    // Closing may fail, too; it acknowledges nothing.
                    let _ = log.close();
                    if log.poisoned().is_some() {
                        poisoned += 1;
                        let marks = (log.written(), log.durable());
                        assert!(log.append(Growth::Frees, 1).is_err());
                        assert!(log.try_write().is_err() && log.sync().is_err());
                        assert!(log.close().is_err());
                        assert_eq!((log.written(), log.durable()), marks);
                        // What was appended can still be read.
                        for batch in &history.batches {
                            let at = batch.end.get() - batch.bytes.len() as u64;
                            let at = Lsn::new(at);
                            assert!(log.read(at, |bytes| bytes.starts_with(&batch.bytes)));
                        }
                    }
                    refused += history.refused;
                }
                let what = (call, fault, repeat, disk.calls().get(call).cloned());

                // The next process on the same machine sees what this one had written; the page
                // cache may be better than the disk. What it makes of it, it must be able to keep.
                let image = disk.after_kill();
                let (_, replayed) = open(&image, &SMALL);
                let kept = history.kept(&replayed);
                assert!(kept >= history.acknowledged(), "{what:?}");
                let (_, replayed) = open(&image.after_crash(Loss::All), &SMALL);
                assert_eq!(history.kept(&replayed), kept, "{what:?}");

                // And if the power goes at once.
                let (_, replayed) = open(&disk.after_crash(Loss::All), &SMALL);
                assert!(
                    history.kept(&replayed) >= history.acknowledged(),
                    "{what:?}"
                );
            }
        }
    }
    assert!(
        poisoned > 100 && refused > 10,
        "{poisoned} poisoned, {refused} refused"
    );
}

#[test]
fn a_failed_sync_is_not_tried_again() {
    let disk = SimDisk::new();
    let (log, _) = open(&disk, &SMALL);
    append(&log, b"lost");
    log.try_write().unwrap();
    disk.fail(disk.calls().len(), Fault::Io, Repeat::Once);
    let failed = log.sync().unwrap_err();
    assert_eq!(failed.0.fault.doing, Doing::Sync);
    // The operator looks for the file by the name that it has now.
    let name = failed.0.fault.path.file_name().unwrap();
    assert_eq!(name, "00000000000000000000.log");
    assert_eq!(failed.0.durable, log.durable());
    let calls = disk.calls().len();
    assert!(log.sync().is_err() && log.wait_durable(log.appended()).is_err());
    assert_eq!(disk.calls().len(), calls, "the disk is left alone");
    let refused = log.append(Growth::Adds, 1).map(drop);
    assert!(matches!(refused, Err(AppendError::Poisoned(_))));
}
