//! A compiled policy in the words of the policy format, every default filled in: it compiles to the same snapshot again.

use std::fmt::Write as _;

use llmcache_crds::LLMCachePolicySpec;
use llmcache_operator::policy::prompt_cache::MarkTtl;
use llmcache_operator::policy::routing::{Rule, Tier};
use llmcache_operator::policy::ttl_class::Match;
use llmcache_operator::policy::{Dialect, ResultCache, Routing, SemanticCache, Snapshot, TtlClass, Upstream};
use serde_json::{Map, Value, json};

/// The `spec` that says what a snapshot executes; `written` gives what only the operator acts on.
pub(super) fn spec(snapshot: &Snapshot, written: Option<&LLMCachePolicySpec>) -> Value {
    let mut spec = Map::new();
    let mut put = |name: &str, value: Value| {
        if !is_empty(&value) {
            spec.insert(name.into(), value);
        }
    };
    put("selector", json!(written.and_then(|written| written.selector.as_ref())));
    put(
        "upstreams",
        json!({
            "anthropic": upstream(&snapshot.upstreams.anthropic, false),
            "openai": upstream(&snapshot.upstreams.openai, true),
        }),
    );
    let scope = &snapshot.scope;
    put(
        "scope",
        pruned(json!({"share": scope.share, "endUsers": scope.end_users, "tenantHeader": scope.tenant_header})),
    );
    put("tags", json!(snapshot.tags));
    put("ttlClasses", snapshot.ttl_classes.iter().map(ttl_class).collect());
    put("resultCache", result_cache(&snapshot.result_cache));
    put("semanticCache", semantic_cache(&snapshot.semantic_cache));
    let marks = &snapshot.prompt_cache;
    let ttl = match marks.ttl {
        MarkTtl::Auto => "Auto",
        MarkTtl::FiveMinutes => "5m",
        MarkTtl::OneHour => "1h",
    };
    put(
        "promptCache",
        json!({"mode": marks.mode, "strategy": marks.strategy, "ttl": ttl, "hold": duration(marks.hold_ms)}),
    );
    put("routing", routing(&snapshot.routing));
    put("invalidation", invalidation(snapshot, written));
    put("stores", pruned(json!({"class": snapshot.store_class})));
    Value::Object(spec)
}

/// The same as YAML.
pub(super) fn yaml(spec: &Value) -> String {
    serde_yaml::to_string(&json!({"spec": spec})).unwrap_or_else(|error| format!("# it cannot be written: {error}\n"))
}

fn upstream(upstream: &Upstream, has_dialect: bool) -> Value {
    let dialect = match upstream.dialect {
        Dialect::Native => "OpenAI",
        Dialect::Compatible => "Compatible",
    };
    pruned(json!({
        "url": upstream.url,
        "caBundle": upstream.ca_bundle,
        "dialect": has_dialect.then_some(dialect),
    }))
}

fn ttl_class(class: &TtlClass) -> Value {
    pruned(json!({
        "name": class.name,
        "ttl": duration(class.ttl_ms),
        "match": matches(&class.matches),
        "staleWhileRevalidate": duration(class.stale_while_revalidate_ms),
        "staleIfError": duration(class.stale_if_error_ms),
        "similarityThreshold": share(class.similarity_threshold),
    }))
}

fn matches(matches: &Match) -> Value {
    pruned(json!({
        "anyKeyword": matches.any_keyword,
        "noKeyword": matches.no_keyword,
        "header": matches.header,
        "model": matches.model,
    }))
}

fn result_cache(cache: &ResultCache) -> Value {
    let flights = &cache.single_flight;
    json!({
        "mode": cache.mode,
        "maxEntry": size(cache.max_entry_bytes),
        "memory": size(cache.memory_bytes),
        "maxAge": duration(cache.max_age_ms),
        "storeBudget": duration(cache.store_budget_ms),
        "sampled": cache.sampled,
        "toolAnswers": cache.tool_answers,
        "storedResponses": cache.stored_responses,
        "repeatWindow": duration(cache.repeat_window_ms),
        "singleFlight": {
            "mode": if flights.enabled { "Enabled" } else { "Disabled" },
            "wait": duration(flights.wait_ms),
        },
        "embeddings": {
            "ttl": duration(cache.embeddings.ttl_ms),
            "maxAge": duration(cache.embeddings.max_age_ms),
        },
    })
}

fn semantic_cache(cache: &SemanticCache) -> Value {
    let judge = cache.judge.as_ref();
    pruned(json!({
        "mode": cache.mode,
        "maxFalseHitRate": share(cache.max_false_hit_rate),
        "judge": judge.map(|judge| json!({"model": judge.model, "sample": share(judge.sample)})),
    }))
}

/// Absent where there is none: its models are required where it is written.
fn routing(routing: &Routing) -> Value {
    if routing.request_models.is_empty() {
        return Value::Null;
    }
    let mut written = pruned(json!({
        "mode": routing.mode,
        "requestModels": routing.request_models,
        "tiers": routing.tiers.iter().map(tier).collect::<Vec<_>>(),
        "rules": routing.rules.iter().map(rule).collect::<Vec<_>>(),
        "defaultTier": routing.default_tier,
        "fallback": routing.fallback,
    }));
    written["allowUpgrade"] = routing.allow_upgrade.into();
    written
}

fn tier(tier: &Tier) -> Value {
    json!({"name": tier.name, "models": pruned(json!({"anthropic": tier.anthropic, "openai": tier.openai}))})
}

fn rule(rule: &Rule) -> Value {
    pruned(json!({
        "tier": rule.tier,
        "anyKeyword": rule.any_keyword,
        "noKeyword": rule.no_keyword,
        "maxInputTokens": rule.max_input_tokens,
        "maxPromptTokens": rule.max_prompt_tokens,
        "header": rule.header,
        "tools": rule.tools,
    }))
}

fn invalidation(snapshot: &Snapshot, written: Option<&LLMCachePolicySpec>) -> Value {
    let on_change = |name: &str| {
        let mut all = written.iter().flat_map(|written| written.invalidation.iter().flatten());
        all.find(|known| known.name == name)
            .and_then(|known| known.on_change.clone())
    };
    let all = snapshot.invalidation.iter();
    all.map(|ban| pruned(json!({"name": ban.name, "pattern": ban.pattern, "onChange": on_change(&ban.name)})))
        .collect()
}

/// A block without the fields that say nothing.
fn pruned(block: Value) -> Value {
    match block {
        Value::Object(members) => members.into_iter().filter(|(_, value)| !is_empty(value)).collect(),
        other => other,
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.is_empty(),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

/// As the format writes a share, such as `0.8`.
fn share(ten_thousandths: u16) -> f64 {
    f64::from(ten_thousandths) / 10_000.0
}

/// As the format writes a duration, such as `1h30m`.
fn duration(milliseconds: u64) -> String {
    let mut rest = milliseconds;
    let mut written = String::new();
    for (unit, length) in [("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)] {
        if rest >= length {
            let _ = write!(written, "{}{unit}", rest / length);
            rest %= length;
        }
    }
    if written.is_empty() { "0s".into() } else { written }
}

/// As the format writes a size, such as `64Mi`.
fn size(bytes: u64) -> String {
    let units = [("Gi", 30), ("Mi", 20), ("Ki", 10)];
    let unit = units
        .into_iter()
        .find(|(_, shift)| bytes > 0 && bytes.trailing_zeros() >= *shift);
    unit.map_or_else(
        || bytes.to_string(),
        |(unit, shift)| format!("{}{unit}", bytes >> shift),
    )
}

#[cfg(test)]
mod tests {
    use llmcache_operator::{compile, load};

    use super::*;

    const FULL: &str = include_str!("../../../testdata/full.yaml");

    fn again(text: &str) {
        for (policy, _) in load(text).unwrap().policies {
            let first = compile(&policy);
            let spec = spec(&first, Some(&policy.policy().spec));
            let mut object = serde_json::to_value(policy.policy()).unwrap();
            object["spec"] = spec;
            let second = load(&object.to_string()).unwrap_or_else(|problems| panic!("{problems:#?}\n{object:#}"));
            assert_eq!(compile(&second.policies[0].0), first, "{object:#}");
            let yaml = yaml(&object["spec"]);
            assert_eq!(serde_yaml::from_str::<Value>(&yaml).unwrap()["spec"], object["spec"]);
        }
    }

    #[test]
    fn the_effective_policy_compiles_to_the_same_snapshot() {
        again(FULL);
        again("apiVersion: llmcache.dev/v1alpha1\nkind: LLMCachePolicy\nmetadata: {name: empty}\nspec: {}\n");
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../crds/examples");
        let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        for file in files.filter(|path| path.is_file()) {
            again(&std::fs::read_to_string(file).unwrap());
        }
    }

    #[test]
    fn durations_and_sizes_are_written_as_the_format_has_them() {
        assert_eq!(
            [0, 25, 5_405_010, 604_800_000].map(duration),
            ["0s", "25ms", "1h30m5s10ms", "168h"]
        );
        assert_eq!([1 << 20, 3 << 29, 1536 << 10].map(size), ["1Mi", "1536Mi", "1536Ki"]);
    }
}
