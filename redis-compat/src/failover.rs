//! Drills of failovers: the master of a ground is taken away, and what follows is looked at.
//!
//! ```text
//!  clients, workers ----ask-----> monitors --watch--> master ---> replica(s)
//!        |                                              ^
//!        '------------write, read, acknowledge----------'--- kill -9, SIGSTOP, SENTINEL FAILOVER
//! ```
//!
//! | drill | question |
//! |---|---|
//! | [`clients`] | do client libraries find the new master, each time, by themselves? |
//! | [`kills`] | is anything lost that was acknowledged, or any state of a group? |
//! | [`times`] | how long is nothing acknowledged? |
//! | [`demo`] | what does it look like? |
//!
//! All of them stand on a [`ground`], as a [`site`] says: its data nodes and monitors may be of
//! any make ([`kind`]). So the same drill gives the figures of real servers, and shows that makes
//! get on with each other.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "the report is the product"
)]

mod client;
mod clients;
mod demo;
mod fault;
mod ground;
mod kills;
mod kind;
mod ledger;
mod monitor;
mod node;
mod seeker;
mod silence;
mod site;
mod strike;
mod times;

use std::process::ExitCode;

use clap::Subcommand;

use crate::cleanup;
use fault::Fault;
use ground::Ground;

/// Takes the master away from a pair that monitors watch over, and looks at what follows.
#[derive(clap::Args)]
pub(crate) struct Cli {
    #[command(subcommand)]
    drill: Drill,
}

#[derive(Subcommand)]
enum Drill {
    /// Is the program of the crate `redis`: how this program runs it.
    #[command(hide = true)]
    BeRust(clients::Rust),
    /// Puts client libraries through failovers, each of which they must survive by themselves.
    Clients(clients::Options),
    /// Shows a failover, step by step.
    Demo(demo::Options),
    /// Kills the master over and over under load, and checks that nothing is forgotten.
    Kills(kills::Options),
    /// Measures how long nothing is acknowledged.
    Times(times::Options),
}

/// Runs `failover`. 0 when every promise was kept, 1 when one was broken, 2 when there was no run.
pub(crate) fn run(cli: &Cli) -> ExitCode {
    let ran = cleanup::install(None).map_err(Fault::Io);
    let ran = ran.and_then(|()| match &cli.drill {
        Drill::BeRust(options) => clients::be_rust(options),
        Drill::Clients(options) => clients::run(options),
        Drill::Demo(options) => demo::run(options),
        Drill::Kills(options) => kills::run(options),
        Drill::Times(options) => times::run(options),
    });
    match ran {
        Ok(()) => ExitCode::SUCCESS,
        Err(Fault::Violation(what)) => {
            println!("VIOLATION: {what}");
            ExitCode::FAILURE
        }
        Err(fault) => {
            eprintln!("failover: {fault}");
            ExitCode::from(2)
        }
    }
}

/// Ends everything on a ground; what was written stays if the drill did not end well.
fn close(mut ground: Ground, ended: Result<(), Fault>) -> Result<(), Fault> {
    if ended.is_err() {
        ground.keep();
        println!("data and output are in {}", ground.path().display());
    }
    ended
}
