//! Headwater beside real servers. Speaks TCP to any address and imports nothing of ours.

use clap::{Parser, Subcommand};

mod bench;
mod chance;
mod cleanup;
mod clients;
mod connection;
mod differ;
mod failover;
mod process;
mod reply;
mod server;
mod stress;

/// Headwater beside real servers.
#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Measures Headwater, Redis and Valkey side by side in one run.
    Bench(Box<bench::Options>),
    /// Uses a server through the client libraries that people use.
    Clients(clients::Options),
    /// Holds the same conversations with Headwater and a real server and compares the replies.
    Diff(differ::Options),
    /// Takes the master away from a pair that monitors watch over, and looks at what follows.
    Failover(failover::Cli),
    /// Loads a server, kills it over and over, and checks that it forgets nothing.
    Stress(stress::Options),
}

fn main() -> std::process::ExitCode {
    match Cli::parse().command {
        Command::Bench(options) => bench::run(&options),
        Command::Clients(options) => clients::run(&options),
        Command::Diff(options) => differ::run(&options),
        Command::Failover(cli) => failover::run(&cli),
        Command::Stress(options) => stress::run(&options),
    }
}
