//! `make bench`: measures `kubectl-llmcache local` and prints each figure beside its target.

use std::env;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Parser;
use llmcache_tests::bench::{self, Plan};

/// Measures llmcache against direct calls and nginx, beside the targets.
#[derive(Parser)]
struct Args {
    /// The release binary of kubectl-llmcache [default: the one beside this program]
    #[arg(long, env = "LLMCACHE_BIN")]
    llmcache: Option<PathBuf>,
    /// Debian's nginx
    #[arg(long, default_value = "/usr/sbin/nginx")]
    nginx: PathBuf,
    /// Debian's Redis server
    #[arg(long, default_value = "/usr/bin/redis-server")]
    redis_server: PathBuf,
    /// Rounds per row; figures are medians over rounds
    #[arg(long, default_value_t = 9, value_parser = clap::value_parser!(u32).range(1..=99))]
    rounds: u32,
    /// Requests per lane in a round
    #[arg(long, default_value_t = 2000, value_parser = clap::value_parser!(u32).range(40..=100_000))]
    requests: u32,
    /// Only the sections whose name contains this
    #[arg(long, default_value = "", hide_default_value = true)]
    only: String,
    /// A short run: 3 rounds of 400 requests
    #[arg(long)]
    quick: bool,
}

fn main() -> Result<ExitCode> {
    let args = Args::parse();
    let beside = || Ok::<_, std::io::Error>(env::current_exe()?.with_file_name("kubectl-llmcache"));
    let (rounds, requests) = if args.quick {
        (3, 400)
    } else {
        (args.rounds, args.requests)
    };
    let plan = Plan {
        llmcache: args
            .llmcache
            .map_or_else(beside, Ok)
            .context("find this program's folder")?,
        nginx: args.nginx,
        redis_server: args.redis_server,
        rounds: usize::try_from(rounds)?,
        requests: usize::try_from(requests)?,
        only: args.only,
    };
    let mut stderr = std::io::stderr();
    let report = bench::run(&plan, |section| {
        // A closed terminal is no reason to stop measuring.
        let _ = writeln!(stderr, "measuring {section} …");
    })?;
    let target = env::var_os("CARGO_TARGET_DIR").map_or_else(|| PathBuf::from("target"), PathBuf::from);
    let path = report.save(&target)?;
    writeln!(std::io::stdout(), "{report}\nwritten to {}", path.display())?;
    Ok(if report.is_complete() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
