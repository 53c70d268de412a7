//! `make run`: plays traffic through the real binary and shows what it saves.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use llmcache_tests::demo::{self, Options};

/// Plays traffic through llmcache against a provider that keeps its own bill, and shows what was saved.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// End after the table instead of going on serving
    #[arg(long)]
    once: bool,
    /// Folder with agent-conversations.jsonl.gz and agent-tools.json to play instead of the support bot
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// The binary under test [default: kubectl-llmcache beside this one]
    #[arg(long, value_name = "FILE")]
    binary: Option<PathBuf>,
    /// Folder of the example policies
    #[arg(long, value_name = "DIR", default_value = "crds/examples")]
    policies: PathBuf,
}

#[tokio::main]
async fn main() -> ExitCode {
    let Arguments {
        once,
        data,
        binary,
        policies,
    } = Arguments::parse();
    let Err(error) = demo::run(Options {
        once,
        data,
        binary,
        policies,
    })
    .await
    else {
        return ExitCode::SUCCESS;
    };
    // Nobody is left to tell when stderr is closed.
    let _ = writeln!(std::io::stderr(), "error: {error:#}");
    ExitCode::FAILURE
}
