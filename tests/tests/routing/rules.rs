//! Conditions of rules besides keywords, at both providers.

use llmcache_tests::kit::{Call, Stage, question};
use serde_json::json;

use crate::{routed, tiers};

const HAIKU: &str = "claude-haiku-5-5";
const SONNET: &str = "claude-sonnet-5-5";
const OPUS: &str = "claude-opus-5-5";

#[tokio::test]
async fn first_rule_whose_conditions_all_hold_wins() {
    let stage = Stage::start(tiers(
        "    rules:
      - {tier: opus, header: {x-team: research}}
      - {tier: sonnet, tools: Present}
      - {tier: haiku, maxInputTokens: 5, maxPromptTokens: 100, tools: Absent}
    defaultTier: sonnet",
    ))
    .await
    .unwrap();
    let ask = async |body, team: &str| {
        let call = Call::messages(&body).header("x-team", team);
        stage.client.send(&call).await.unwrap()
    };
    let with_tools = |text| {
        let mut body = question(OPUS, text);
        body["tools"] = json!([{"name": "look", "input_schema": {"type": "object"}}]);
        body
    };
    let with_system = |text| {
        let mut body = question(OPUS, text);
        body["system"] = json!("Be brief. ".repeat(60));
        body
    };
    for (body, team, expected) in [
        (question(OPUS, "Twenty bytes of text"), "shop", (HAIKU, "rule")),
        (question(OPUS, "Twentyone bytes of it"), "shop", (SONNET, "default")),
        (with_tools("Tools"), "shop", (SONNET, "rule")),
        (with_system("Long"), "shop", (SONNET, "default")),
        (question(OPUS, "Research"), "research", (OPUS, "requested")),
        (with_tools("Research"), "research", (OPUS, "requested")),
        (question(OPUS, "Researcher"), "Research", (HAIKU, "rule")),
    ] {
        let reply = ask(body.clone(), team).await;
        assert_eq!(routed(&reply), expected, "{team}: {body}");
    }
}

#[tokio::test]
async fn input_tokens_are_those_of_the_first_user_text_alone() {
    let stage = Stage::start(tiers(
        "    rules: [{tier: haiku, maxInputTokens: 5}]\n    defaultTier: sonnet",
    ))
    .await
    .unwrap();
    let mut body = question(OPUS, "Short");
    body["messages"] = json!([
        {"role": "user", "content": "Short"},
        {"role": "assistant", "content": "A long answer. ".repeat(20)},
        {"role": "user", "content": "A long question. ".repeat(20)}]);
    assert_eq!(routed(&stage.messages(&body).await.unwrap()), (HAIKU, "rule"));
    body["messages"] = json!([{"role": "user", "content": [
        {"type": "text", "text": "Two blocks"}, {"type": "text", "text": "are joined"}]}]);
    assert_eq!(routed(&stage.messages(&body).await.unwrap()), (SONNET, "default"));
}

#[tokio::test]
async fn only_the_model_value_changes_in_the_bytes() {
    let stage = Stage::start(tiers("    rules: [{tier: haiku}]")).await.unwrap();
    let sent = "{ \"max_tokens\" : 16,\n\t\"model\":\"claude-\\u006fpus-5-5\" ,\"messages\":[{\"content\":\"Hi  \\u00e9\",\"role\":\"user\"}] ,\"metadata\":{}}";
    let call = Call::messages(&json!({})).body(sent);
    let reply = stage.client.send(&call).await.unwrap();
    assert_eq!(routed(&reply), (HAIKU, "rule"));
    let received = stage.fake.log().remove(0).body;
    assert_eq!(received, sent.replace("claude-\\u006fpus-5-5", HAIKU).as_bytes());
}

#[tokio::test]
async fn openai_models_are_routed_by_the_same_rules() {
    let stage = Stage::start(tiers(
        "    rules:\n      - {tier: haiku, noKeyword: [compare]}\n    defaultTier: sonnet",
    ))
    .await
    .unwrap();
    for (model, text, expected) in [
        ("gpt-6-astra", "Hello", ("gpt-6-luna", "rule")),
        ("gpt-6-astra", "Compare them", ("gpt-6.2-sol", "default")),
        ("gpt-6-luna", "Compare us", ("gpt-6-luna", "ceiling")),
        ("o3", "Hello", ("o3", "not_listed")),
    ] {
        let chat = json!({"model": model, "messages": [
            {"role": "system", "content": "Compare nothing."}, {"role": "user", "content": text}]});
        let reply = stage.client.send(&Call::chat(&chat)).await.unwrap();
        assert_eq!(reply.status, 200, "{}", reply.text());
        assert_eq!(routed(&reply), expected, "chat: {text}");
        let responses = json!({"model": model, "instructions": "Be brief.", "input": text, "store": false});
        let reply = stage.client.send(&Call::responses(&responses)).await.unwrap();
        assert_eq!(routed(&reply), expected, "responses: {text}");
    }
}
