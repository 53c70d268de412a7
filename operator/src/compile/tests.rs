use llmcache_policy::{
    keyword::fold,
    routing::{Facts, Tools, tokens},
};
use serde_json::{Value, json};

use super::*;
use crate::validate::load;

mod defaults;
mod golden;

fn compiled(spec: &Value) -> Snapshot {
    let text = json!({
        "apiVersion": "llmcache.dev/v1alpha1",
        "kind": "LLMCachePolicy",
        "metadata": {"name": "test"},
        "spec": spec,
    });
    let loaded = load(&text.to_string()).unwrap();
    compile(&loaded.policies[0].0)
}

fn modes(spec: &Value) -> [Mode; 3] {
    let snapshot = compiled(spec);
    [
        snapshot.prompt_cache.mode,
        snapshot.result_cache.mode,
        snapshot.routing.mode,
    ]
}

#[test]
fn mode_follows_block_and_ceiling() {
    use Mode::{Disabled, Enforce, Observe};
    let routing = json!({"requestModels": ["*"], "tiers": [{"name": "a", "models": {"openai": "m"}}]});
    let present = json!({"promptCache": {}, "resultCache": {}, "routing": routing});
    let under = |ceiling: &str| {
        let mut spec = present.clone();
        spec["mode"] = ceiling.into();
        spec
    };
    let own = json!({"mode": "Observe", "promptCache": {"mode": "Disabled"}, "resultCache": {"mode": "Enforce"}});
    for (spec, expected) in [
        (json!({}), [Enforce, Observe, Disabled]),
        (present.clone(), [Enforce, Enforce, Enforce]),
        (under("Enforce"), [Enforce, Enforce, Enforce]),
        (under("Observe"), [Observe, Observe, Observe]),
        (under("Disabled"), [Disabled, Disabled, Disabled]),
        (json!({"mode": "Observe"}), [Observe, Observe, Disabled]),
        (own, [Disabled, Observe, Disabled]),
    ] {
        assert_eq!(modes(&spec), expected, "{spec}");
    }
}

#[test]
fn class_for_everything_else_comes_last_whether_written_or_not() {
    let names = |classes: Value| -> Vec<(String, u64)> {
        let snapshot = compiled(&json!({"ttlClasses": classes, "resultCache": {"maxAge": "30m"}}));
        let classes = snapshot.ttl_classes.into_iter();
        classes.map(|class| (class.name, class.ttl_ms)).collect()
    };
    let matching = |name: &str| json!({"name": name, "ttl": "1m", "match": {"model": "*"}});
    let rest = json!({"name": "rest", "ttl": "2m"});
    let pair = |name: &str, ttl| (name.to_owned(), ttl);
    let half_hour = 1_800_000;
    assert_eq!(names(json!([])), [pair("dynamic", half_hour)]);
    assert_eq!(
        names(json!([rest, matching("a")])),
        [pair("a", 60_000), pair("rest", 120_000)]
    );
    assert_eq!(
        names(json!([matching("dynamic")])),
        [pair("dynamic", 60_000), pair("dynamic-1", half_hour)]
    );
}

#[test]
fn upstream_means_what_the_sdk_means() {
    use llmcache_policy::Dialect::{Compatible, Native};
    for (openai, url, dialect) in [
        (json!({}), "https://api.openai.com/v1", Native),
        (
            json!({"url": "https://api.openai.com"}),
            "https://api.openai.com/v1",
            Native,
        ),
        (
            json!({"url": "https://API.openai.com:443/v1/"}),
            "https://API.openai.com:443/v1",
            Native,
        ),
        (
            json!({"url": "http://127.0.0.1:8000/"}),
            "http://127.0.0.1:8000/v1",
            Compatible,
        ),
        (json!({"url": "https://h/api/v3/"}), "https://h/api/v3", Compatible),
        (
            json!({"url": "https://api.openai.com.evil.example"}),
            "https://api.openai.com.evil.example/v1",
            Compatible,
        ),
        (json!({"url": "https://h", "dialect": "OpenAI"}), "https://h/v1", Native),
        (
            json!({"dialect": "Compatible"}),
            "https://api.openai.com/v1",
            Compatible,
        ),
    ] {
        let upstream = compiled(&json!({"upstreams": {"openai": openai}})).upstreams.openai;
        assert_eq!((upstream.url.as_str(), upstream.dialect), (url, dialect), "{openai}");
    }
    let anthropic = json!({"upstreams": {"anthropic": {"url": "https://h/base/"}}});
    assert_eq!(compiled(&anthropic).upstreams.anthropic.url, "https://h/base");
}

#[test]
fn revision_changes_with_content_only() {
    let revision = |spec: Value| compiled(&spec).revision();
    assert_eq!(revision(json!({})), revision(json!({"mode": "Enforce"})));
    assert_eq!(
        revision(json!({"scope": {}})),
        revision(json!({"scope": {"share": "Credential"}}))
    );
    assert_ne!(revision(json!({})), revision(json!({"mode": "Observe"})));
}

#[test]
fn example_policy_reproduces_the_classic_three_tiers() {
    let text = include_str!("../../../crds/examples/support-bot.yaml");
    let loaded = load(text).unwrap();
    let routing = compile(&loaded.policies[0].0).routing;
    assert!(routing.request_models.iter().any(|glob| glob.matches("auto")));
    let long = "Tell me more about the order I placed. ".repeat(6);
    for (prompt, expected) in [
        ("What are your opening hours?", "haiku"),
        ("Where is my parcel?", "haiku"),
        ("How do I reset my password?", "haiku"),
        ("Analyze the churn of our last three months.", "sonnet"),
        ("Please COMPARE plan A with plan B.", "sonnet"),
        ("Evaluate this refund request.", "sonnet"),
        ("Explain how the warranty works.", "sonnet"),
        (&long, "sonnet"),
        ("Design an onboarding flow for new customers.", "opus"),
        ("We need a strategy to halve our response time.", "opus"),
        ("Architect a queue for night-time tickets.", "opus"),
        ("What does the redesigned page cost?", "haiku"),
    ] {
        let folded = fold(prompt);
        let facts = Facts {
            folded_text: &folded,
            input_tokens: tokens(prompt.len()),
            prompt_tokens: tokens(prompt.len()),
            tools: Tools::Absent,
            header: &|_| None,
        };
        let rule = routing.rules.iter().find(|rule| rule.holds(&facts));
        let tier = rule
            .map(|rule| rule.tier.clone())
            .or_else(|| routing.default_tier.clone());
        assert_eq!(tier.as_deref(), Some(expected), "{prompt}");
    }
}
