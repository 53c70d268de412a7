//! `eval`: what the semantic cache would do with labelled pairs of questions, by similarity and by guard.

use std::collections::HashMap;
use std::path::PathBuf;

use llmcache_sidecar::semantic::embedding::Vector;

use crate::embedding::{Progress, Vectors};
use crate::failure::Failure;
use crate::lines;
use crate::output::{Output, say, say_json};

mod pairs;
mod report;
mod score;

use pairs::Pair;
use score::Judged;

/// Measure embedding and guards of the semantic cache on labelled pairs of questions.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "A line of FILE: {\"a\": \"Where is my order?\", \"b\": \"Track my parcel\", \"same\": true}; other fields are ignored.\n\
    served: pairs at or above the threshold. precision: right of the served ones. recall: right of all pairs that are the same.\n\
    Exit codes: 0 ok, 1 a line is wrong, 2 usage, or a file or the model cannot be read."
)]
pub(crate) struct Args {
    /// Pairs, one JSON object a line: the questions `a` and `b`, and whether one answer serves both as `same` or
    /// `duplicate` (true, false, 1 or 0); `-` is stdin.
    #[arg(long, value_name = "FILE")]
    pairs: PathBuf,
    /// Folder of the semantic cache's model, as `make run` makes it.
    #[arg(long, value_name = "FOLDER", env = "LLMCACHE_MODEL_DIR")]
    model: PathBuf,
    /// Form of the result.
    #[arg(short, long, value_name = "FORM", default_value = "text")]
    output: Output,
}

/// Measures the pairs.
pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let pairs = lines::read(&args.pairs, pairs::read)?;
    let vectors = embed(&pairs, &Vectors::open(&args.model)?)?;
    let vector = |text: &str| vectors.get(text)?.as_ref();
    let judged: Vec<Judged> = pairs
        .iter()
        .map(|pair| score::judge(pair, vector(&pair.a), vector(&pair.b)))
        .collect();
    let scores = score::count(&judged);
    match args.output {
        Output::Json => say_json(&report::json(&scores)),
        Output::Text => say(&report::text(&scores)),
    }
    Ok(())
}

/// The vector of each distinct text; none of one that is too long.
fn embed<'a>(pairs: &'a [Pair], model: &Vectors) -> Result<HashMap<&'a str, Option<Vector>>, Failure> {
    let mut texts: Vec<&str> = pairs.iter().flat_map(|pair| [&*pair.a, &*pair.b]).collect();
    texts.sort_unstable();
    texts.dedup();
    let mut progress = Progress::new(texts.len());
    let vector = |text| {
        let vector = model.of(text)?;
        progress.step();
        Ok((text, vector))
    };
    texts.into_iter().map(vector).collect()
}
