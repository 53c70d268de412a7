//! What the Messages API refuses, by version, model and limit.

use super::*;

/// The message of a 400.
pub(super) async fn refusal(fake: &Fake, request: &Value) -> String {
    let heard = anthropic(fake, request).await;
    assert_eq!(heard.status, 400, "{request}");
    heard.json()["error"]["message"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn sampling_fields_are_refused_from_version_2026_10_21_on() {
    let fake = start().await;
    let newest = [ANTHROPIC[0], ("anthropic-version", "2026-10-21")];
    for field in ["temperature", "top_p", "top_k"] {
        let request = with(ask("hi"), &json!({field: 1}));
        assert_eq!(anthropic(&fake, &request).await.status, 200);
        let heard = send(&fake, "POST", "/v1/messages", &newest, request.to_string())
            .await
            .unwrap();
        assert_eq!(
            (heard.status, &heard.json()["error"]["message"]),
            (400, &json!(format!("{field}: Extra inputs are not permitted")))
        );
    }
    let document = json!({"type": "document", "source": {"type": "text", "data": "d"}});
    let request = with(
        ask("hi"),
        &json!({"messages": [
        {"role": "user", "content": "a"}, {"role": "assistant", "content": [document]}, {"role": "user", "content": "b"}]}),
    );
    assert_eq!(
        send(&fake, "POST", "/v1/messages", &newest, request.to_string())
            .await
            .unwrap()
            .status,
        400
    );
    assert_eq!(anthropic(&fake, &request).await.status, 200);
}

#[tokio::test]
async fn a_missing_or_unknown_version_is_refused() {
    let fake = start().await;
    for headers in [&ANTHROPIC[..1], &[ANTHROPIC[0], ("anthropic-version", "2020-01-01")]] {
        assert_eq!(
            send(&fake, "POST", "/v1/messages", headers, ask("hi").to_string())
                .await
                .unwrap()
                .status,
            400
        );
    }
}

#[tokio::test]
async fn an_unknown_model_is_not_found() {
    let fake = start().await;
    let heard = anthropic(&fake, &with(ask("hi"), &json!({"model": "claude-9"}))).await;
    assert_eq!(
        (heard.status, &heard.json()["error"]["type"]),
        (404, &json!("not_found_error"))
    );
}

#[tokio::test]
async fn newer_models_refuse_what_older_ones_took() {
    let fake = start().await;
    let tools = json!({"tools": [{"name": "f", "input_schema": {}}], "tool_choice": {"type": "any"}});
    let prefill = json!({"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]});
    let disabled = json!({"thinking": {"type": "disabled"}});
    let system = json!({"messages": [{"role": "user", "content": "a"}, {"role": "system", "content": "b"}]});
    for (model, fields, status) in [
        ("claude-opus-5-5", &tools, 400),
        ("claude-fable-5-1", &tools, 400),
        ("claude-fable-5", &tools, 200),
        ("claude-sonnet-5-5", &tools, 200),
        ("claude-opus-5-5", &disabled, 400),
        ("claude-opus-4-8", &disabled, 200),
        ("claude-sonnet-4-6", &prefill, 400),
        ("claude-sonnet-4-5", &prefill, 200),
        ("claude-haiku-5-5", &system, 200),
        ("claude-sonnet-4-6", &system, 400),
    ] {
        let request = with(with(ask("hi"), &json!({"model": model})), fields);
        assert_eq!(anthropic(&fake, &request).await.status, status, "{model} {fields}");
    }
}

#[tokio::test]
async fn marks_that_the_cache_refuses_are_a_400() {
    let fake = start().await;
    let marked = || json!({"type": "text", "text": "x", "cache_control": {"type": "ephemeral"}});
    let five = json!({"system": [marked(), marked(), marked(), marked(), marked()]});
    assert!(
        refusal(&fake, &with(ask("u"), &five))
            .await
            .contains("maximum of 4 blocks")
    );
    assert_eq!((fake.calls(), fake.bill().total.requests), (0, 0));
}

#[tokio::test]
async fn every_tool_call_needs_its_result_and_ids_come_once() {
    let fake = start().await;
    let call =
        |id: &str| json!({"role": "assistant", "content": [{"type": "tool_use", "id": id, "name": "f", "input": {}}]});
    let result =
        |id: &str| json!({"role": "user", "content": [{"type": "tool_result", "tool_use_id": id, "content": "r"}]});
    let said = |messages: &[Value]| with(ask("x"), &json!({"messages": messages}));
    let user = json!({"role": "user", "content": "go"});
    let good = said(&[user.clone(), call("a"), result("a"), call("b"), result("b")]);
    assert_eq!(anthropic(&fake, &good).await.status, 200);
    assert!(
        refusal(&fake, &said(&[user.clone(), call("a"), user.clone()]))
            .await
            .contains("without `tool_result`")
    );
    assert!(
        refusal(&fake, &said(&[user.clone(), result("a")]))
            .await
            .contains("unexpected `tool_use_id`")
    );
    let twice = said(&[user, call("a"), result("a"), call("a"), result("a")]);
    assert!(refusal(&fake, &twice).await.contains("must be unique"));
}

#[tokio::test]
async fn limits_of_output_and_context_are_kept() {
    let fake = start().await;
    assert!(
        refusal(&fake, &with(ask("u"), &json!({"max_tokens": 128_001})))
            .await
            .contains("maximum allowed number of output tokens")
    );
    let long = with(ask(&"u".repeat(800_004)), &json!({"model": "claude-haiku-4-5"}));
    assert!(
        refusal(&fake, &long)
            .await
            .contains("prompt is too long: 200001 tokens > 200000 maximum")
    );
    let near = with(ask(&"u".repeat(800_000)), &json!({"model": "claude-haiku-4-5"}));
    assert!(refusal(&fake, &near).await.contains("exceed context limit"));
    let body = anthropic(&fake, &with(ask("u"), &json!({"max_tokens": 2})))
        .await
        .json();
    assert_eq!(
        (&body["stop_reason"], &body["usage"]["output_tokens"]),
        (&json!("max_tokens"), &json!(2))
    );
    fake.set_answer(|_, _| Answer::text("one STOP two"));
    let body = anthropic(&fake, &with(ask("u"), &json!({"stop_sequences": ["STOP"]})))
        .await
        .json();
    assert_eq!(
        (&body["stop_reason"], &body["stop_sequence"]),
        (&json!("stop_sequence"), &json!("STOP"))
    );
    assert_eq!(body["content"][0]["text"], "one ");
}
