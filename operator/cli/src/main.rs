//! `kubectl llmcache`: what people type. Each subcommand is a file of its name.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod age;
#[cfg(feature = "local")]
mod calibrate;
mod cluster;
mod completion;
mod container;
#[cfg(feature = "local")]
mod cost;
#[cfg(feature = "local")]
mod embedding;
#[cfg(feature = "local")]
mod eval;
mod explain;
mod exposition;
mod failure;
mod input;
mod invalidate;
#[cfg(feature = "local")]
mod lines;
mod lint;
#[cfg(feature = "local")]
mod local;
mod output;
mod scene;
mod status;
mod table;
mod usd;

use cluster::Connection;
use failure::Failure;

/// Pay less for LLM calls, with a policy.
#[derive(Debug, Parser)]
#[command(
    name = "kubectl-llmcache",
    bin_name = "kubectl llmcache",
    version,
    propagate_version = true
)]
#[command(
    after_help = "Every command but local takes -o json. Exit codes: 0 ok (warnings included), 1 problems found, \
    2 usage, 3 the API server is unreachable."
)]
struct Cli {
    #[command(flatten)]
    connection: Connection,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    #[cfg(feature = "local")]
    Calibrate(calibrate::Args),
    #[command(name = "__complete", hide = true)]
    Complete(completion::Words),
    Completion(completion::Args),
    #[cfg(feature = "local")]
    Cost(cost::Args),
    /// Run the model of the semantic cache for `local`, which starts this itself.
    #[cfg(feature = "local")]
    #[command(name = llmcache_sidecar::embedder::COMMAND, hide = true)]
    Embedder,
    #[cfg(feature = "local")]
    Eval(eval::Args),
    Explain(explain::Args),
    Invalidate(invalidate::Args),
    Lint(lint::Args),
    #[cfg(feature = "local")]
    Local(local::Args),
    Status(status::Args),
}

fn main() -> ExitCode {
    run(&Cli::parse()).map_or_else(Failure::report, |()| ExitCode::SUCCESS)
}

fn run(Cli { connection, command }: &Cli) -> Result<(), Failure> {
    let asks_cluster = matches!(
        command,
        Command::Explain(_) | Command::Invalidate(_) | Command::Status(_)
    );
    if let Some(flag) = connection.given().first().filter(|_| !asks_cluster) {
        return Err(Failure::usage(format!(
            "{flag}: this command asks no cluster; leave it out here"
        )));
    }
    match command {
        #[cfg(feature = "local")]
        Command::Calibrate(args) => calibrate::run(args),
        Command::Complete(words) => {
            completion::complete(words);
            Ok(())
        }
        Command::Completion(args) => {
            completion::run(args);
            Ok(())
        }
        #[cfg(feature = "local")]
        Command::Cost(args) => cost::run(args),
        #[cfg(feature = "local")]
        Command::Embedder => {
            llmcache_sidecar::semantic::embedding::child::run().map_err(|error| Failure::usage(error.to_string()))
        }
        #[cfg(feature = "local")]
        Command::Eval(args) => eval::run(args),
        Command::Explain(args) => explain::run(args, connection),
        Command::Invalidate(args) => invalidate::run(args, connection),
        Command::Lint(args) => lint::run(args),
        #[cfg(feature = "local")]
        Command::Local(args) => local::run(args),
        Command::Status(args) => status::run(args, connection),
    }
}
