//! `headwater backup DIR TARGET`: copies the data of a server that does not run.
//!
//! Says in one line what was made, or why nothing was.

use std::ffi::OsString;
use std::io::{self, Write as _};
use std::path::Path;
use std::process::ExitCode;

use headwater_store::RealDisk;
use headwater_store::backup::{BackupError, backup};
use headwater_store::error::OpenError;

use super::{DAMAGED, IO, USAGE};
use crate::start::complain;

/// Makes the backup that `args` ask for, and tells.
pub(crate) fn run(args: &[OsString]) -> ExitCode {
    let [dir, target] = args else {
        return complain("usage: headwater backup DIR TARGET", USAGE);
    };
    match backup(&RealDisk, Path::new(dir), Path::new(target)) {
        Ok(made) => {
            let told = writeln!(
                io::stdout(),
                "backed up everything below LSN {}: {} files, {} bytes, of which {} were copied",
                made.lsn,
                made.files,
                made.bytes,
                made.copied_bytes
            );
            // The exit code says it even to those who do not listen.
            drop(told);
            ExitCode::SUCCESS
        }
        Err(error) => {
            let is_damage = match &error {
                BackupError::Data(_) => true,
                BackupError::Open(error) => {
                    !matches!(error, OpenError::Disk(_) | OpenError::Locked { .. })
                }
                _ => false,
            };
            complain(&error.to_string(), if is_damage { DAMAGED } else { IO })
        }
    }
}
