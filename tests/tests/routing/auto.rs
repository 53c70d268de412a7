//! `model: auto`: routing chooses, or the app is told which field would let it.

use llmcache_tests::fake::Fault;
use llmcache_tests::kit::{Call, Stage, question};
use serde_json::json;

use crate::{ALL_HAIKU, routed, tiers};

const HAIKU: &str = "claude-haiku-5-5";
const SONNET: &str = "claude-sonnet-5-5";

#[tokio::test]
async fn auto_without_a_model_of_the_provider_is_refused_naming_the_field() {
    let openai_only = tiers(ALL_HAIKU)
        .replace("anthropic: claude-sonnet-5-5, ", "")
        .replace("anthropic: claude-haiku-5-5, ", "");
    let stage = Stage::start(openai_only).await.unwrap();
    let reply = stage.messages(&question("auto", "Hello")).await.unwrap();
    assert_eq!(reply.status, 400);
    let body = reply.json().unwrap();
    assert_eq!(body["type"], "error");
    assert_eq!(body["error"]["type"], "invalid_request_error");
    let message = body["error"]["message"].as_str().unwrap();
    assert!(
        message.starts_with("llmcache: spec.routing.tiers[1].models.anthropic"),
        "{message}"
    );

    let anthropic_only = tiers(ALL_HAIKU)
        .replace(", openai: gpt-6-luna", "")
        .replace(", openai: gpt-6.2-sol", "");
    let stage = Stage::start(anthropic_only).await.unwrap();
    let body = json!({"model": "auto", "messages": [{"role": "user", "content": "Hello"}]});
    for call in [
        Call::chat(&body),
        Call::responses(&json!({"model": "auto", "input": "Hello"})),
    ] {
        let reply = stage.client.send(&call).await.unwrap();
        assert_eq!(reply.status, 400);
        let error = reply.json().unwrap()["error"].clone();
        assert_eq!(
            (&error["type"], &error["param"], &error["code"]),
            (
                &json!("invalid_request_error"),
                &json!("model"),
                &json!("llmcache_no_tier_model")
            )
        );
        let message = error["message"].as_str().unwrap();
        assert!(
            message.starts_with("llmcache: spec.routing.tiers[1].models.openai"),
            "{message}"
        );
    }
    assert_eq!(stage.fake.received(), 0);
    let account = stage.client.account().await.unwrap();
    assert_eq!(account["requests"]["total"], 2);
}

#[tokio::test]
async fn auto_without_a_default_tier_names_that_field() {
    let stage = Stage::start(tiers("    rules: [{tier: haiku, anyKeyword: [hours]}]"))
        .await
        .unwrap();
    let reply = stage.messages(&question("auto", "Hello")).await.unwrap();
    assert_eq!(reply.status, 400);
    assert!(reply.text().contains("spec.routing.defaultTier"), "{}", reply.text());
}

#[tokio::test]
async fn auto_that_is_not_listed_is_the_providers_to_judge() {
    let policy = tiers(ALL_HAIKU).replace(", auto]", "]");
    let stage = Stage::start(policy).await.unwrap();
    let reply = stage.messages(&question("auto", "Hello")).await.unwrap();
    assert_eq!(reply.status, 404);
    assert_eq!(reply.json().unwrap()["error"]["message"], "model: auto");
    assert_eq!(stage.asked(), ["auto"]);
}

#[tokio::test]
async fn auto_goes_to_openai_tiers_on_both_endpoints() {
    let stage = Stage::start(tiers(ALL_HAIKU)).await.unwrap();
    let chat = json!({"model": "auto", "messages": [{"role": "user", "content": "Hello"}]});
    let reply = stage.client.send(&Call::chat(&chat)).await.unwrap();
    assert_eq!(routed(&reply), ("gpt-6-luna", "rule"));
    let responses = json!({"model": "auto", "input": "Good day", "store": false});
    let reply = stage.client.send(&Call::responses(&responses)).await.unwrap();
    assert_eq!(routed(&reply), ("gpt-6-luna", "rule"));
    assert_eq!(stage.asked(), ["gpt-6-luna", "gpt-6-luna"]);
}

#[tokio::test]
async fn tool_result_without_memory_goes_to_the_default_tier() {
    let stage = Stage::start(tiers(ALL_HAIKU)).await.unwrap();
    let messages = json!([
        {"role": "user", "content": "Look"},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "toolu_1", "name": "look", "input": {}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": "42"}]}]);
    let mut body = question("auto", "");
    body["messages"] = messages;
    assert_eq!(routed(&stage.messages(&body).await.unwrap()), (SONNET, "tool_result"));
}

#[tokio::test]
async fn auto_refused_by_the_provider_is_rescued_by_the_default_tier_and_the_pair_left_alone() {
    let stage = Stage::start(tiers(ALL_HAIKU)).await.unwrap();
    stage.fake.script(Fault::status(403).on_model(HAIKU));
    let reply = stage.messages(&question("auto", "One")).await.unwrap();
    assert_eq!((reply.status.as_u16(), routed(&reply)), (200, (SONNET, "route_rescue")));
    let reply = stage.messages(&question("auto", "Two")).await.unwrap();
    assert_eq!(routed(&reply), (SONNET, "avoided"));
    assert_eq!(stage.asked(), [HAIKU, SONNET, SONNET]);
}

#[tokio::test]
async fn auto_that_does_not_fit_climbs_and_stays_there() {
    let policy = tiers("    rules: [{tier: small}]").replace(
        "    tiers:",
        "    tiers:\n      - {name: small, models: {anthropic: claude-haiku-4-5-20251001, openai: gpt-4o-mini}}",
    );
    let stage = Stage::start(policy).await.unwrap();
    let mut body = question("auto", "Hello");
    body["max_tokens"] = json!(64_001);
    assert_eq!(routed(&stage.messages(&body).await.unwrap()), (HAIKU, "rule"));
    body["max_tokens"] = json!(64);
    assert_eq!(routed(&stage.messages(&body).await.unwrap()), (HAIKU, "remembered"));
}
