//! `make eval`: the semantic cache on labelled questions, beside fixed thresholds.

use std::io::Write;
use std::path::PathBuf;

use anyhow::Result;
use clap::Parser;
use llmcache_tests::eval::{self, Plan};

/// Plays labelled questions through the semantic cache and prints what was served and how much of it was wrong.
#[derive(Parser)]
struct Args {
    /// Folder with banking-intents.jsonl.gz: {"text", "intent"} a line
    #[arg(long)]
    data: PathBuf,
    /// The model folder that tests/setup/model.sh prints
    #[arg(long, env = "LLMCACHE_MODEL_DIR")]
    model: PathBuf,
    /// Questions of each stream at most
    #[arg(long, default_value_t = 20_000)]
    questions: usize,
}

#[tokio::main]
async fn main() -> Result<()> {
    let Args { data, model, questions } = Args::parse();
    let plan = Plan { data, model, questions };
    let mut stderr = std::io::stderr();
    let table = eval::run(&plan, |what| {
        // A closed terminal is no reason to stop measuring.
        let _ = writeln!(stderr, "playing {what} …");
    })
    .await?;
    writeln!(std::io::stdout(), "{table}")?;
    Ok(())
}
