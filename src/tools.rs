//! What the program does besides serving, for the data of a server that does not run.
//!
//! Each ends with an exit code that says how it went; those that all share are here.

mod backup;
mod check;

use std::ffi::OsString;
use std::process::ExitCode;

/// Something that was durable is damaged or gone.
const DAMAGED: u8 = 2;
/// The command line is not one (as in sysexits.h).
const USAGE: u8 = 64;
/// Something could not be read or written (as in sysexits.h).
const IO: u8 = 74;

/// Does what the command line asks for, if that is not to serve.
pub(crate) fn run(args: &[OsString]) -> Option<ExitCode> {
    let (first, rest) = args.split_first()?;
    match first.to_str()? {
        "backup" => Some(backup::run(rest)),
        "check" => Some(check::run(rest)),
        _ => None,
    }
}
