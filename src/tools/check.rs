//! `headwater check DIR`: says what is wrong with the data of a server that does not run.
//!
//! ```text
//!  damage /data/log/00000000000000000000.log is damaged at LSN 4711; the frame at LSN ...
//!  note   /data/data/00000000000000000012.data: no checkpoint names it; a start removes it
//!  looked at 3 segments, 1 spare, 210 frames, ...
//!  in epoch 2, which began at LSN 4711 and has the id 64e1...
//!  damaged: ...
//! ```
//!
//! One line for each finding on standard output, then what was looked at, which history it is of,
//! then the verdict. The exit code says the verdict, too; what the store is and what is checked is
//! the store's business.

use std::ffi::OsString;
use std::io::{self, Write as _};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use headwater_store::check::{Severity, Summary, check};
use headwater_store::disk::Disk;
use headwater_store::{Epoch, RealDisk};

use super::{DAMAGED, IO, USAGE};
use crate::start::complain;

/// Checks the directory that `args` name, and tells.
pub(crate) fn run(args: &[OsString]) -> ExitCode {
    let [dir] = args else {
        return complain("usage: headwater check DIR", USAGE);
    };
    let mut out = io::stdout().lock();
    // The exit code says the verdict even to those who do not listen.
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    let checked = check(&disk, Path::new(dir), &mut |finding| {
        drop(writeln!(out, "{finding}"));
    });
    match checked {
        Ok(summary) => {
            let lines = [
                looked_at(&summary),
                history(&summary),
                verdict(&summary).to_owned(),
            ];
            drop(writeln!(out, "{}", lines.join("\n")));
            ExitCode::from(code(&summary))
        }
        Err(error) => complain(&error.to_string(), IO),
    }
}

/// How much was looked at.
fn looked_at(summary: &Summary) -> String {
    let totals = &summary.totals;
    let counts = [
        (totals.segments, "segment", "segments"),
        (totals.spares, "spare", "spares"),
        (totals.frames, "frame", "frames"),
        (totals.records, "record", "records"),
        (totals.checkpoints, "checkpoint", "checkpoints"),
        (totals.streams, "stream", "streams"),
        (totals.data_files, "data file", "data files"),
        (totals.extents, "extent", "extents"),
        (totals.entries, "settled entry", "settled entries"),
        (totals.bytes, "byte", "bytes"),
    ];
    let counts = counts.map(|(count, one, many)| {
        let what = if count == 1 { one } else { many };
        format!("{count} {what}")
    });
    format!("looked at {}", counts.join(", "))
}

/// Which history the log is of.
fn history(summary: &Summary) -> String {
    match summary.history.current() {
        Some(Epoch { number, start, id }) => {
            format!("in epoch {number}, which began at LSN {start} and has the id {id}")
        }
        None => "in no epoch: the log is empty".to_owned(),
    }
}

/// What the findings come to.
fn verdict(summary: &Summary) -> &'static str {
    match summary.worst {
        None => "whole: nothing to say",
        Some(Severity::Note) => "whole: a start takes all of it",
        Some(Severity::Torn) => {
            "torn: as by a crash; a start cuts off what nothing says was acknowledged"
        }
        Some(Severity::Unread) => "unknown: not everything could be read",
        Some(Severity::Damage) => "damaged: keep a copy, and start from a backup or a replica",
    }
}

fn code(summary: &Summary) -> u8 {
    match summary.worst {
        None | Some(Severity::Note) => 0,
        Some(Severity::Torn) => 1,
        Some(Severity::Unread) => IO,
        Some(Severity::Damage) => DAMAGED,
    }
}
