//! `POST /llmcache/invalidate`: issues a ban, or counts what it would kill. Lists every problem of a bad request.

use std::time::Duration;

use http::{Response, StatusCode};
use llmcache_cache::bans::Ban;
use llmcache_cache::entry::Layer;
use llmcache_cache::tiers::{Issued, Reach};
use llmcache_policy::duration;
use serde::Deserialize;
use serde_json::{Value, json};

use super::reply;
use crate::body::Body;
use crate::pipeline::Pipeline;

/// The members, each still any JSON value, so that all wrong ones can be named at once.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Members {
    pattern: Option<Value>,
    model: Option<Value>,
    class: Option<Value>,
    older_than: Option<Value>,
    layer: Option<Value>,
    dry_run: Option<Value>,
    name: Option<Value>,
    #[serde(flatten)]
    unknown: serde_json::Map<String, Value>,
}

/// What is asked for.
struct Asked {
    ban: Ban,
    is_dry_run: bool,
}

const NOT_DURABLE: &str = "the shared store did not take the ban: it is in force in this pod alone, and is tried again \
                           until the store has it or the pod ends; send it again to be sure";

const NAMES: &str = "pattern, model, class, olderThan, layer, dryRun, name";

/// Runs one request.
pub(super) async fn run(pipeline: &Pipeline, body: &[u8]) -> Response<Body> {
    let asked = match read(pipeline, body) {
        Ok(asked) => asked,
        Err(problems) => return reply(StatusCode::BAD_REQUEST, &json!({"errors": problems})),
    };
    let now_ms = pipeline.clock.now_ms();
    let issued = if asked.is_dry_run {
        pipeline.tiers.dry_run(&asked.ban, now_ms).await
    } else {
        pipeline.tiers.issue(&asked.ban, now_ms).await
    };
    match issued {
        Err(problems) => {
            let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
            reply(StatusCode::BAD_REQUEST, &json!({"errors": problems}))
        }
        Ok(issued) => answer(&issued, pipeline.tiers.shared.is_some() && !asked.is_dry_run),
    }
}

/// A ban that should have reached the store and has no name there is in force in this pod alone, and is said to be.
fn answer(issued: &Issued, is_durable_wanted: bool) -> Response<Body> {
    let Issued {
        id,
        matched,
        is_complete,
        reach,
    } = issued;
    let reach = match reach {
        Reach::Pod => "Pod",
        Reach::Store => "Store",
    };
    let mut body = json!({"ban": id, "matched": matched, "complete": is_complete, "reach": reach});
    if is_durable_wanted && id.is_none() {
        body["error"] = NOT_DURABLE.into();
        return reply(StatusCode::SERVICE_UNAVAILABLE, &body);
    }
    tracing::info!(ban = id, matched, reach, "invalidated");
    reply(StatusCode::OK, &body)
}

fn read(pipeline: &Pipeline, body: &[u8]) -> Result<Asked, Vec<String>> {
    let members: Members = serde_json::from_slice(body)
        .map_err(|error| vec![format!("the body must be a JSON object with {NAMES}: {error}")])?;
    let mut problems: Vec<String> = members
        .unknown
        .keys()
        .map(|name| format!("{name}: unknown member; the members are {NAMES}"))
        .collect();
    let mut text = |name: &str, value: Option<Value>| match value {
        None | Some(Value::Null) => None,
        Some(Value::String(text)) => Some(text),
        Some(other) => {
            problems.push(format!("{name}: {other} is not a string; write it in quotes"));
            None
        }
    };
    let (pattern, model) = (text("pattern", members.pattern), text("model", members.model));
    let (class, name) = (text("class", members.class), text("name", members.name));
    let (older_than, layer) = (text("olderThan", members.older_than), text("layer", members.layer));
    let older_than = older_than.and_then(|text| older(&text, &mut problems));
    let layer = layer_of(layer.as_deref().unwrap_or_default()).unwrap_or_else(|problem| {
        problems.push(problem);
        None
    });
    let is_dry_run = match members.dry_run {
        None | Some(Value::Null) => false,
        Some(Value::Bool(is_dry_run)) => is_dry_run,
        Some(other) => {
            problems.push(format!("dryRun: {other} is not true or false"));
            true
        }
    };
    let mut ban = Ban {
        pattern,
        model,
        class,
        older_than,
        layer,
    };
    if let Some(name) = name {
        named(pipeline, &name, &mut ban, &mut problems);
    }
    if problems.is_empty() {
        Ok(Asked { ban, is_dry_run })
    } else {
        Err(problems)
    }
}

/// The cache that a ban names; none = every one.
pub(crate) fn layer_of(name: &str) -> Result<Option<Layer>, String> {
    match name {
        "" | "All" => Ok(None),
        "ResultCache" => Ok(Some(Layer::Result)),
        "SemanticCache" => Ok(Some(Layer::Semantic)),
        other => Err(format!(
            "layer: {other} is not a layer; use All, ResultCache or SemanticCache"
        )),
    }
}

/// Fills in the pattern of a ban that the policy names.
fn named(pipeline: &Pipeline, name: &str, ban: &mut Ban, problems: &mut Vec<String>) {
    let bans = &pipeline.snapshot.invalidation;
    match bans.iter().find(|known| known.name == name) {
        Some(_) if ban.pattern.is_some() => {
            problems.push("name: a named ban has its own pattern; leave out name or pattern".into());
        }
        Some(known) => ban.pattern = Some(known.pattern.clone()),
        None => {
            let names: Vec<&str> = bans.iter().map(|known| known.name.as_str()).collect();
            problems.push(format!(
                "name: the policy has no invalidation {name}; it has [{}]",
                names.join(", ")
            ));
        }
    }
}

fn older(text: &str, problems: &mut Vec<String>) -> Option<Duration> {
    let older = duration::parse(text);
    if older.is_none() {
        problems.push(format!(
            "olderThan: {text} is not a duration; write it like 90s, 15m or 1h30m"
        ));
    }
    older
}
