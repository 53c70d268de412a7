//! `invalidate`: writes an `LLMCacheInvalidation`, and waits for what came of it when asked.

use std::time::Duration;

use clap::ValueEnum;
use kube::api::PostParams;
use kube::runtime::wait::await_condition;
use llmcache_crds::invalidation::Layer;
use llmcache_crds::{LLMCacheInvalidation, LLMCacheInvalidationSpec};
use llmcache_operator::Problem;
use llmcache_operator::policy::duration;
use llmcache_operator::validate::validate_invalidation;
use serde_json::json;

use crate::cluster::{Call, Cluster, Connection, Trouble, block_on};
use crate::failure::Failure;
use crate::output::{Output, say, say_json};

mod outcome;

use outcome::{Outcome, State};

/// Make sidecars forget answers: by tag pattern, model, TTL class or age, all of which must hold.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "In a pattern `*` matches any run, a closing `:*` also nothing: 'user:123:*' means user:123 and all \
    beneath. Needs the verb create on llmcacheinvalidations.llmcache.dev, with --wait also list and watch.\n\
    Exit codes: 0 ok, 1 refused, failed, or not complete in time, 2 usage, 3 the API server is unreachable."
)]
pub(crate) struct Args {
    /// Pattern over the answers' tags.
    #[arg(value_name = "PATTERN")]
    pattern: Option<String>,
    /// Name of the only policy whose answers are meant. Default: every policy of the namespace.
    #[arg(long, value_name = "NAME")]
    policy: Option<String>,
    /// Model that answered.
    #[arg(long, value_name = "MODEL")]
    model: Option<String>,
    /// TTL class of the answer.
    #[arg(long, value_name = "NAME")]
    class: Option<String>,
    /// Least age of the answer, such as 24h.
    #[arg(long, value_name = "DURATION")]
    older_than: Option<String>,
    /// Whose answers.
    #[arg(long, value_name = "LAYER", default_value = "All")]
    layer: Which,
    /// Name of an entry of the policies' `invalidation`, whose pattern is meant instead of PATTERN.
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Count what would be forgotten, and forget nothing.
    #[arg(long)]
    dry_run: bool,
    /// Wait until every connected sidecar has obeyed, at most this long; 30s where no duration is given.
    #[arg(long, value_name = "DURATION", num_args = 0..=1, require_equals = true, default_missing_value = "30s", value_parser = wait)]
    wait: Option<Duration>,
    /// Form of the result.
    #[arg(short, long, value_name = "FORM", default_value = "text")]
    output: Output,
    #[command(flatten)]
    connection: Connection,
}

/// Layers that keep answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "PascalCase")]
enum Which {
    All,
    ResultCache,
    SemanticCache,
}

/// Writes it, and perhaps waits.
pub(crate) fn run(args: &Args, before: &Connection) -> Result<(), Failure> {
    let mut written = LLMCacheInvalidation::new("", spec(args));
    written.metadata.name = None;
    written.metadata.generate_name = Some("cli-".into());
    validate_invalidation(&written).map_err(|problems| Failure::Usage(problems.iter().map(flagged).collect()))?;
    let outcome = block_on(async {
        let cluster = Cluster::connect(&args.connection.or(before)).await?;
        send(&cluster, &written, args.wait).await
    })?;
    match args.output {
        Output::Json => say_json(&json!(outcome)),
        Output::Text => say(&outcome.to_string()),
    }
    outcome
        .failure(args.wait)
        .map_or(Ok(()), |line| Err(Failure::Problems(vec![line])))
}

fn spec(args: &Args) -> LLMCacheInvalidationSpec {
    LLMCacheInvalidationSpec {
        policy: args.policy.clone(),
        name: args.name.clone(),
        pattern: args.pattern.clone(),
        model: args.model.clone(),
        class: args.class.clone(),
        older_than: args.older_than.clone(),
        layer: match args.layer {
            Which::All => None,
            Which::ResultCache => Some(Layer::ResultCache),
            Which::SemanticCache => Some(Layer::SemanticCache),
        },
        dry_run: args.dry_run.then_some(true),
    }
}

/// A problem of a field, at the flag that wrote it.
fn flagged(problem: &Problem) -> String {
    let flag = match problem.path.as_str() {
        "spec.pattern" => "PATTERN",
        "spec.policy" => "--policy",
        "spec.model" => "--model",
        "spec.class" => "--class",
        "spec.olderThan" => "--older-than",
        "spec.name" => "--name",
        _ => {
            let fix = "give PATTERN, --model, --class, --older-than or --name, and not both PATTERN and --name";
            return format!("{}; fix: {fix}", problem.message);
        }
    };
    let value = problem.value.as_deref().unwrap_or_default();
    format!(
        "{flag}: {value}: {}; allowed: {}; fix: {}",
        problem.message, problem.allowed, problem.fix
    )
}

async fn send(cluster: &Cluster, written: &LLMCacheInvalidation, wait: Option<Duration>) -> Result<Outcome, Failure> {
    let namespace = cluster.namespace.clone();
    let api = cluster.api::<LLMCacheInvalidation>(&namespace);
    let call = Call::new::<LLMCacheInvalidation>("create", Some(&namespace));
    let made = cluster
        .within(&call, api.create(&PostParams::default(), written))
        .await?;
    let Some(wait) = wait else {
        return Ok(Outcome::of(&made));
    };
    let name = made.metadata.name.clone().unwrap_or_default();
    let is_decided =
        |found: Option<&LLMCacheInvalidation>| found.is_none_or(|found| Outcome::of(found).state != State::Pending);
    let waited = tokio::time::timeout(wait, await_condition(api.clone(), &name, is_decided)).await;
    match waited {
        Ok(Ok(Some(decided))) => Ok(Outcome::of(&decided)),
        Ok(Ok(None)) => Ok(Outcome::gone(&made)),
        Ok(Err(error)) => {
            let call = Call::new::<LLMCacheInvalidation>("watch", Some(&namespace));
            let trouble = Trouble::of_watch(&call, &error);
            Err(Failure::Problems(vec![format!(
                "{namespace}/{name} is written, but: {}",
                trouble.message
            )]))
        }
        // What it says now is worth telling.
        Err(_) => {
            let call = Call::new::<LLMCacheInvalidation>("get", Some(&namespace));
            let now = cluster.within(&call, api.get(&name)).await;
            Ok(Outcome::of(&now.unwrap_or(made)))
        }
    }
}

fn wait(text: &str) -> Result<Duration, String> {
    let read = duration::parse(text).filter(|wait| !wait.is_zero());
    read.ok_or_else(|| "write a duration such as 30s or 5m".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn problems_are_told_at_the_flags_that_made_them() {
        let spec = LLMCacheInvalidationSpec {
            pattern: Some("a b".into()),
            older_than: Some("1d".into()),
            ..LLMCacheInvalidationSpec::default()
        };
        let problems = validate_invalidation(&LLMCacheInvalidation::new("a", spec)).unwrap_err();
        let lines: Vec<String> = problems.iter().map(flagged).collect();
        assert!(
            lines[0].starts_with("--older-than: \"1d\": is malformed; allowed: "),
            "{lines:?}"
        );
        assert!(
            lines[1].starts_with("PATTERN: \"a b\": is malformed; allowed: "),
            "{lines:?}"
        );
        let nothing = validate_invalidation(&LLMCacheInvalidation::new("a", LLMCacheInvalidationSpec::default()));
        assert_eq!(
            flagged(&nothing.unwrap_err()[0]),
            "nothing says which answers are meant; fix: give PATTERN, --model, --class, --older-than or --name, and not both \
             PATTERN and --name"
        );
    }
}
