//! Stands in until its first commit.

use std::process::ExitCode;

/// Options.
#[derive(clap::Args)]
pub(crate) struct Options {}

pub(crate) fn run(_options: &Options) -> ExitCode {
    ExitCode::SUCCESS
}
