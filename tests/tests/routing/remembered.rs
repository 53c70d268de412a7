//! A conversation keeps the model of its first turn.

use llmcache_tests::fake::Fault;
use llmcache_tests::kit::{Call, Stage, question};
use serde_json::{Value, json};

use crate::{ALL_HAIKU, routed, tiers};

const HAIKU: &str = "claude-haiku-5-5";
const SONNET: &str = "claude-sonnet-5-5";
const OPUS: &str = "claude-opus-5-5";
const BY_WORD: &str = "    rules: [{tier: haiku, noKeyword: [compare]}]\n    defaultTier: sonnet";

/// The conversation with further messages.
fn next(conversation: &Value, messages: &[Value]) -> Value {
    let mut next = conversation.clone();
    if let Some(all) = next["messages"].as_array_mut() {
        all.extend_from_slice(messages);
    }
    next
}

fn call_and_result() -> [Value; 2] {
    let call = json!({"type": "tool_use", "id": "toolu_1", "name": "look", "input": {}});
    let result = json!({"type": "tool_result", "tool_use_id": "toolu_1", "content": "42"});
    [
        json!({"role": "assistant", "content": [call]}),
        json!({"role": "user", "content": [result]}),
    ]
}

#[tokio::test]
async fn later_turns_tool_results_and_thinking_go_where_the_first_turn_went() {
    let stage = Stage::start(tiers(BY_WORD)).await.unwrap();
    let mut talk = question(OPUS, "Where is my parcel?");
    assert_eq!(routed(&stage.messages(&talk).await.unwrap()), (HAIKU, "rule"));

    talk = next(&talk, &call_and_result());
    assert_eq!(routed(&stage.messages(&talk).await.unwrap()), (HAIKU, "remembered"));
    let thought = json!({"role": "assistant", "content": [
        {"type": "thinking", "thinking": "So.", "signature": "c2ln"}, {"type": "text", "text": "Here."}]});
    talk = next(
        &talk,
        &[
            thought,
            json!({"role": "user", "content": "Compare it with the other one."}),
        ],
    );
    assert_eq!(routed(&stage.messages(&talk).await.unwrap()), (HAIKU, "remembered"));
    for turn in 0..40 {
        let turn = [
            json!({"role": "assistant", "content": format!("Answer {turn}")}),
            json!({"role": "user", "content": format!("Compare {turn}")}),
        ];
        talk = next(&talk, &turn);
    }
    assert_eq!(routed(&stage.messages(&talk).await.unwrap()), (HAIKU, "remembered"));
}

#[tokio::test]
async fn what_began_elsewhere_keeps_the_requested_model_while_tools_or_thinking_bind_it() {
    let stage = Stage::start(tiers(ALL_HAIKU)).await.unwrap();
    let talk = next(&question(OPUS, "Where is my parcel?"), &call_and_result());
    assert_eq!(routed(&stage.messages(&talk).await.unwrap()), (OPUS, "tool_result"));
    let thought = json!({"role": "assistant", "content": [
        {"type": "thinking", "thinking": "So.", "signature": "c2ln"}, {"type": "text", "text": "Here."}]});
    let talk = next(
        &question(OPUS, "And mine?"),
        &[thought, json!({"role": "user", "content": "Thanks"})],
    );
    assert_eq!(routed(&stage.messages(&talk).await.unwrap()), (OPUS, "thinking"));
    let plain = [
        json!({"role": "assistant", "content": "Here."}),
        json!({"role": "user", "content": "Thanks"}),
    ];
    let talk = next(&question(OPUS, "And hers?"), &plain);
    assert_eq!(routed(&stage.messages(&talk).await.unwrap()), (HAIKU, "rule"));
}

#[tokio::test]
async fn first_turn_that_did_not_fit_keeps_the_requested_model_for_the_conversation() {
    let stage = Stage::start(tiers(ALL_HAIKU)).await.unwrap();
    let talk = question(SONNET, "Think between tools.");
    let mut first = talk.clone();
    first["thinking"] = json!({"type": "between_tools"});
    assert_eq!(routed(&stage.messages(&first).await.unwrap()), (SONNET, "misfit"));
    let turn = [
        json!({"role": "assistant", "content": "Done."}),
        json!({"role": "user", "content": "Once more."}),
    ];
    let reply = stage.messages(&next(&talk, &turn)).await.unwrap();
    assert_eq!(routed(&reply), (SONNET, "remembered"));
}

#[tokio::test]
async fn rescued_conversation_stays_on_the_requested_model() {
    let stage = Stage::start(tiers(ALL_HAIKU)).await.unwrap();
    stage.fake.script(Fault::status(404).on_model(HAIKU));
    let talk = question(SONNET, "Where is my parcel?");
    assert_eq!(routed(&stage.messages(&talk).await.unwrap()), (SONNET, "route_rescue"));
    let turn = [
        json!({"role": "assistant", "content": "Here."}),
        json!({"role": "user", "content": "Thanks."}),
    ];
    let reply = stage.messages(&next(&talk, &turn)).await.unwrap();
    assert_eq!(routed(&reply), (SONNET, "remembered"));
}

#[tokio::test]
async fn other_users_other_system_prompts_and_other_tools_are_other_conversations() {
    let stage = Stage::start(tiers(BY_WORD)).await.unwrap();
    let talk = question(OPUS, "Where is my parcel?");
    assert_eq!(routed(&stage.messages(&talk).await.unwrap()), (HAIKU, "rule"));
    let talk = next(&talk, &call_and_result());
    let mut system = talk.clone();
    system["system"] = json!("Be brief.");
    assert_eq!(routed(&stage.messages(&system).await.unwrap()), (OPUS, "tool_result"));
    let mut tools = talk.clone();
    tools["tools"] = json!([{"name": "look", "input_schema": {"type": "object"}}]);
    assert_eq!(routed(&stage.messages(&tools).await.unwrap()), (OPUS, "tool_result"));
    let other = Call::messages(&talk).header("x-api-key", "key-b");
    assert_eq!(routed(&stage.client.send(&other).await.unwrap()), (OPUS, "tool_result"));
    assert_eq!(routed(&stage.messages(&talk).await.unwrap()), (HAIKU, "remembered"));
}

#[tokio::test]
async fn counted_tokens_follow_the_conversation_and_leave_no_memory() {
    let stage = Stage::start(tiers(ALL_HAIKU)).await.unwrap();
    let count = |body: &Value| {
        let mut body = body.clone();
        body.as_object_mut().unwrap().remove("max_tokens");
        Call::post("/anthropic/v1/messages/count_tokens", body.to_string())
            .header("x-api-key", "key-a")
            .header("anthropic-version", "2023-06-01")
    };
    let talk = question(OPUS, "Where is my parcel?");
    let reply = stage.client.send(&count(&talk)).await.unwrap();
    assert_eq!(routed(&reply), (HAIKU, "rule"));
    assert!(reply.json().unwrap()["input_tokens"].as_u64().unwrap() > 0);
    let later = next(&talk, &call_and_result());
    assert_eq!(
        routed(&stage.client.send(&count(&later)).await.unwrap()),
        (OPUS, "tool_result")
    );
    stage.messages(&talk).await.unwrap();
    assert_eq!(
        routed(&stage.client.send(&count(&later)).await.unwrap()),
        (HAIKU, "remembered")
    );
    assert_eq!(stage.asked(), [HAIKU, OPUS, HAIKU, HAIKU]);
}
