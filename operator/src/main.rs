//! `llmcache-operator`: reads its settings and runs until SIGTERM; `check` asks the API server whether injection works.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use llmcache_operator::{check, run};
use tracing_subscriber::EnvFilter;

/// Policies in, snapshots and sidecars out.
#[derive(Debug, Parser)]
#[command(name = "llmcache-operator", version)]
struct Cli {
    /// Settings file, as the chart renders it.
    #[arg(long, env = "LLMCACHE_SETTINGS", default_value = "/etc/llmcache/settings.yaml")]
    settings: std::path::PathBuf,
    /// Least important log line: error, warn, info, debug or trace.
    #[arg(long, env = "LLMCACHE_LOG_LEVEL", default_value = "info")]
    log_level: String,
    #[command(flatten)]
    pod: run::Pod,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Ask the API server, as a dry run, for a pod that opts in, and look for the sidecar in its answer.
    Check(check::Args),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let level = format!("warn,llmcache={0}", cli.log_level);
    let filter = EnvFilter::try_new(level).unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .json()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();
    // A second installation of the same provider changes nothing.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let ended = match cli.command {
        Some(Command::Check(arguments)) => check::run(&arguments),
        None => run::run(&cli.settings, &cli.pod).map_err(|ended| ended.to_string()),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error}");
            ExitCode::FAILURE
        }
    }
}
