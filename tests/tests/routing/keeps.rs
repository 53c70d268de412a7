//! When the requested model stays.

use llmcache_tests::kit::{Call, Stage, policy, question};
use serde_json::{Value, json};

use crate::{ALL_HAIKU, routed, tiers};

const HAIKU: &str = "claude-haiku-5-5";
const SONNET: &str = "claude-sonnet-5-5";
const OPUS: &str = "claude-opus-5-5";

#[tokio::test]
async fn pin_names_the_requested_model_or_a_tier() {
    let stage = Stage::start(tiers(ALL_HAIKU)).await.unwrap();
    for (pin, expected) in [
        ("requested", (OPUS, "pinned")),
        ("sonnet", (SONNET, "pinned")),
        ("haiku", (HAIKU, "pinned")),
        ("nobody", (OPUS, "unknown_pin")),
    ] {
        let call = Call::messages(&question(OPUS, pin)).header("x-llmcache-pin", pin);
        let reply = stage.client.send(&call).await.unwrap();
        assert_eq!(routed(&reply), expected, "{pin}");
    }
    assert!(
        stage
            .fake
            .log()
            .iter()
            .all(|received| received.header("x-llmcache-pin").is_none())
    );
}

#[tokio::test]
async fn pin_to_a_dearer_tier_meets_the_ceiling() {
    let stage = Stage::start(tiers(ALL_HAIKU)).await.unwrap();
    let call = Call::messages(&question(SONNET, "Hello")).header("x-llmcache-pin", "opus");
    assert_eq!(routed(&stage.client.send(&call).await.unwrap()), (SONNET, "ceiling"));
}

#[tokio::test]
async fn upgrade_needs_leave() {
    let rules = "    rules: [{tier: opus}]";
    let stage = Stage::start(tiers(rules)).await.unwrap();
    let reply = stage.messages(&question(SONNET, "Hello")).await.unwrap();
    assert_eq!(routed(&reply), (SONNET, "ceiling"));
    let stage = Stage::start(tiers(&format!("{rules}\n    allowUpgrade: true")))
        .await
        .unwrap();
    let reply = stage.messages(&question(SONNET, "Hello")).await.unwrap();
    assert_eq!(routed(&reply), (OPUS, "rule"));
}

#[tokio::test]
async fn observe_decides_and_changes_nothing() {
    let observe = format!("{ALL_HAIKU}\n    mode: Observe");
    let stage = Stage::start(tiers(&observe)).await.unwrap();
    let reply = stage.messages(&question(OPUS, "Hello")).await.unwrap();
    assert_eq!(routed(&reply), (OPUS, "observe"));
    let reply = stage.messages(&question("auto", "Hello")).await.unwrap();
    assert_eq!(routed(&reply), (SONNET, "observe"));
    assert_eq!(stage.asked(), [OPUS, SONNET]);
}

#[tokio::test]
async fn without_a_rule_or_default_tier_the_requested_model_stays() {
    let stage = Stage::start(tiers("    rules: [{tier: haiku, anyKeyword: [hours]}]"))
        .await
        .unwrap();
    let reply = stage.messages(&question(OPUS, "Hello")).await.unwrap();
    assert_eq!(routed(&reply), (OPUS, "default"));
}

#[tokio::test]
async fn without_a_routing_block_nothing_is_routed() {
    let stage = Stage::start(policy("  resultCache: {mode: Disabled}")).await.unwrap();
    let reply = stage.messages(&question(OPUS, "Hello")).await.unwrap();
    assert_eq!(routed(&reply), (OPUS, "disabled"));
}

/// A request, and the tier whose model would refuse it.
fn misfits() -> Vec<(&'static str, Value)> {
    let mut all = Vec::new();
    let mut add = |what, field: &str, value: Value| {
        let mut body = question("claude-sonnet-4-5-20250929", what);
        body[field] = value;
        all.push((what, body));
    };
    add("sampling field", "temperature", json!(0.2));
    add(
        "thinking type",
        "thinking",
        json!({"type": "enabled", "budget_tokens": 1_024}),
    );
    let prefill = json!([{"role": "user", "content": "prefill"}, {"role": "assistant", "content": "{"}]);
    add("prefill", "messages", prefill);
    all
}

#[tokio::test]
async fn request_that_the_target_would_refuse_keeps_its_model() {
    let stage = Stage::start(tiers(ALL_HAIKU)).await.unwrap();
    for (what, mut body) in misfits() {
        body["max_tokens"] = json!(2_048);
        let reply = stage.messages(&body).await.unwrap();
        assert_eq!(routed(&reply), ("claude-sonnet-4-5-20250929", "misfit"), "{what}");
        assert_eq!(reply.status, 200, "{what}: {}", reply.text());
    }
    let small = "    rules: [{tier: small}]";
    let small = tiers(small).replace(
        "    tiers:",
        "    tiers:\n      - {name: small, models: {anthropic: claude-haiku-4-5-20251001, openai: gpt-4o-mini}}",
    );
    let stage = Stage::start(small).await.unwrap();
    let mut body = question(OPUS, "max output");
    body["max_tokens"] = json!(64_001);
    assert_eq!(routed(&stage.messages(&body).await.unwrap()), (OPUS, "misfit"));
    let body = question(OPUS, &"context window ".repeat(60_000));
    assert_eq!(routed(&stage.messages(&body).await.unwrap()), (OPUS, "misfit"));
    let mut body = question(OPUS, "adaptive thinking");
    body["thinking"] = json!({"type": "adaptive"});
    assert_eq!(routed(&stage.messages(&body).await.unwrap()), (OPUS, "misfit"));
    let reply = stage.messages(&question(OPUS, "fits")).await.unwrap();
    assert_eq!(routed(&reply), ("claude-haiku-4-5-20251001", "rule"));
}

#[tokio::test]
async fn forced_tool_choice_does_not_go_to_a_model_that_thinks() {
    let stage = Stage::start(tiers("    rules: [{tier: sonnet}]")).await.unwrap();
    let mut body = question("claude-opus-4-5-20251101", "force");
    body["tools"] = json!([{"name": "look", "input_schema": {"type": "object"}}]);
    body["tool_choice"] = json!({"type": "any"});
    let reply = stage.messages(&body).await.unwrap();
    assert_eq!(routed(&reply), ("claude-opus-4-5-20251101", "misfit"));
}

#[tokio::test]
async fn conversation_kept_by_the_provider_keeps_its_model() {
    let stage = Stage::start(tiers(ALL_HAIKU)).await.unwrap();
    let call = Call::responses(&json!({"model": "gpt-6.2-sol", "input": "Hello", "store": false}));
    assert_eq!(routed(&stage.client.send(&call).await.unwrap()), ("gpt-6-luna", "rule"));
    let first = stage
        .client
        .send(
            &Call::responses(&json!({"model": "gpt-6.2-sol", "input": "Begin"})).header("x-llmcache-pin", "requested"),
        )
        .await
        .unwrap();
    let id = first.json().unwrap()["id"].clone();
    let call = Call::responses(&json!({"model": "gpt-6.2-sol", "input": "Go on", "previous_response_id": id}));
    assert_eq!(
        routed(&stage.client.send(&call).await.unwrap()),
        ("gpt-6.2-sol", "stateful")
    );
}
