//! `calibrate`: what the semantic cache would find in a request log, and how long it would gather evidence.
//!
//! Pure but for this file: lines are read, reduced to calls, replayed against an index, and told.

use std::path::PathBuf;

use llmcache_operator::compile::compile;
use llmcache_operator::validate::load;
use llmcache_sidecar::policy::Snapshot;

use crate::embedding::{Progress, Vectors};
use crate::failure::Failure;
use crate::lines;
use crate::local::{policy, prices};
use crate::output::{Output, say, say_json};

mod call;
mod log;
mod replay;
mod report;
mod summary;

use call::{Call, Reader};
use replay::Replay;

/// Without `-f`.
const POLICY: &str = "apiVersion: llmcache.dev/v1alpha1\nkind: LLMCachePolicy\nmetadata: {name: default}\n\
    spec: {resultCache: {}, semanticCache: {}}\n";

/// Replay your own request log: would-be hits of the semantic cache, labels it needs, dollars it would save.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "A line of FILE: {\"time\": \"2026-05-04T10:00:00Z\", \"endpoint\": \"/v1/messages\", \"request\": {…}, \"response\": {…}}.\n\
    Questions are compared within one partition: all else in their requests is equal. The log has no headers: all of it is one\n\
    credential and one tenant, and routing is left out. Exact repeats are the result cache's and no would-be hits.\n\
    agreed, disagreed: both answers are closed (a number, a word, JSON) and the same, or not; open: they cannot be compared.\n\
    Exit codes: 0 ok, 1 a line or the policy is wrong, 2 usage, or a file or the model cannot be read."
)]
pub(crate) struct Args {
    /// Requests, one JSON object a line: `time` (RFC 3339 or Unix seconds), `endpoint` (a path such as /v1/messages,
    /// /v1/chat/completions or /v1/responses), `request` (its JSON body) and, if it is known, `response` (the plain JSON
    /// answer); `-` is stdin.
    #[arg(long, value_name = "FILE")]
    log: PathBuf,
    /// Policy file, YAML or JSON, holding one policy. Default: one with `semanticCache: {}` and no more.
    #[arg(short = 'f', long = "policy", value_name = "POLICY")]
    policy: Option<PathBuf>,
    /// Folder of the semantic cache's model, as `make run` makes it.
    #[arg(long, value_name = "FOLDER", env = "LLMCACHE_MODEL_DIR")]
    model: PathBuf,
    /// Price file whose rows replace the shipped ones of the same provider and id.
    #[arg(long, value_name = "FILE", env = "LLMCACHE_PRICES")]
    prices: Option<PathBuf>,
    /// Form of the result.
    #[arg(short, long, value_name = "FORM", default_value = "text")]
    output: Output,
}

/// Replays the log.
pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let snapshot = snapshot(args)?;
    let prices = prices::read(args.prices.as_deref())?;
    let reader = Reader {
        snapshot: &snapshot,
        prices: &prices,
    };
    let mut calls = lines::read(&args.log, |line| log::read(line).map(|line| reader.read(&line)))?;
    // Logs are often written when an answer ends.
    calls.sort_by_key(|call| call.at_ms);
    let replay = replay(&calls, &snapshot, &Vectors::open(&args.model)?)?;
    let summary = summary::of(&calls, &replay.counts, &snapshot);
    match args.output {
        Output::Json => say_json(&report::json(&summary)),
        Output::Text => say(&report::text(&summary)),
    }
    Ok(())
}

fn snapshot(args: &Args) -> Result<Snapshot, Failure> {
    let policy = match &args.policy {
        Some(file) => Some(policy::read(file)?.0),
        None => load(POLICY)
            .ok()
            .and_then(|loaded| loaded.policies.into_iter().next())
            .map(|(policy, _)| policy),
    };
    let policy = policy.ok_or_else(|| Failure::usage("--policy: the default is not known; give a policy file"))?;
    Ok(compile(&policy))
}

fn replay<'a>(calls: &'a [Call], snapshot: &'a Snapshot, vectors: &Vectors) -> Result<Replay<'a>, Failure> {
    let mut replay = Replay::new(&snapshot.ttl_classes);
    let mut progress = Progress::new(calls.len());
    for call in calls {
        if let Some(asked) = replay.ask(call) {
            match vectors.of(&asked.text)? {
                Some(vector) => replay.look(call, asked, &vector),
                None => replay.bypass("too_long"),
            }
        }
        progress.step();
    }
    Ok(replay)
}
