//! `kubectl llmcache`: what people type. Each subcommand is a file of its name.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[cfg(feature = "local")]
mod cost;
mod failure;
mod input;
mod lint;
#[cfg(feature = "local")]
mod local;
mod output;

use failure::Failure;

/// Pay less for LLM calls, with a policy.
#[derive(Debug, Parser)]
#[command(
    name = "kubectl-llmcache",
    bin_name = "kubectl llmcache",
    version,
    propagate_version = true
)]
#[command(after_help = "Exit codes: 0 ok (warnings included), 1 problems found, 2 usage.")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    #[cfg(feature = "local")]
    Cost(cost::Args),
    Lint(lint::Args),
    #[cfg(feature = "local")]
    Local(local::Args),
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        #[cfg(feature = "local")]
        Command::Cost(args) => cost::run(&args),
        Command::Lint(args) => lint::run(&args),
        #[cfg(feature = "local")]
        Command::Local(args) => local::run(&args),
    };
    result.map_or_else(Failure::report, |()| ExitCode::SUCCESS)
}
