//! OpenAI's endpoints over HTTP: usage, chunks, events, stored responses, embeddings, errors.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::fake::tests::{openai, send, start};
use crate::fake::{Answer, Fault, Part, Trouble};

const BEARER: [(&str, &str); 1] = [("authorization", "Bearer key")];

fn ask(model: &str, text: &str) -> Value {
    json!({"model": model, "messages": [{"role": "user", "content": text}]})
}

fn with(mut request: Value, fields: &Value) -> Value {
    for (name, value) in fields.as_object().unwrap() {
        request[name] = value.clone();
    }
    request
}

#[tokio::test]
async fn prompt_tokens_include_cached_and_written_ones() {
    let fake = start().await;
    let request = ask("gpt-6.2-sol", &"u".repeat(4_400));
    let usage = openai(&fake, "/v1/chat/completions", &request).await.json()["usage"].clone();
    assert_eq!(usage["prompt_tokens"], 1_100);
    assert_eq!(
        usage["prompt_tokens_details"],
        json!({"cached_tokens": 0, "cache_write_tokens": 1_100, "audio_tokens": 0})
    );
    let usage = openai(&fake, "/v1/chat/completions", &request).await.json()["usage"].clone();
    assert_eq!(
        (
            &usage["prompt_tokens"],
            &usage["prompt_tokens_details"]["cached_tokens"]
        ),
        (&json!(1_100), &json!(1_100))
    );
    let lines = fake.bill().lines;
    let output = |at: usize| i64::try_from(lines[at].tokens.output).unwrap() * 10_000;
    assert_eq!(lines[0].nanos, 1_100 * 2_500 + output(0));
    assert_eq!(lines[1].nanos, 1_100 * 100 + output(1));
    let older = openai(&fake, "/v1/chat/completions", &ask("gpt-5.5", "u")).await.json();
    assert_eq!(older["usage"]["prompt_tokens_details"].get("cache_write_tokens"), None);
}

#[tokio::test]
async fn a_chat_stream_has_usage_only_when_asked_and_ends_in_done() {
    let fake = start().await;
    let plain = with(ask("gpt-5.5", "u"), &json!({"stream": true}));
    let events = openai(&fake, "/v1/chat/completions", &plain).await.events();
    assert!(events.iter().all(|chunk| chunk.get("usage").is_none()));
    assert_eq!(events.last().unwrap(), "[DONE]");
    assert!(events[1]["obfuscation"].is_string(), "padding is on by default");
    let counted = with(
        plain,
        &json!({"stream_options": {"include_usage": true, "include_obfuscation": false}}),
    );
    let events = openai(&fake, "/v1/chat/completions", &counted).await.events();
    let last = &events[events.len() - 2];
    assert_eq!(last["choices"], json!([]));
    assert_eq!(last["usage"]["completion_tokens"], fake.bill().lines[1].tokens.output);
    let before = &events[..events.len() - 2];
    assert!(
        before
            .iter()
            .all(|chunk| chunk["usage"].is_null() && chunk.get("usage").is_some())
    );
    assert!(before.iter().all(|chunk| chunk.get("obfuscation").is_none()));
    assert_eq!(before.last().unwrap()["choices"][0]["finish_reason"], "stop");
}

#[tokio::test]
async fn several_choices_are_all_said_and_billed() {
    let fake = start().await;
    fake.queue_answers(["a", "b", "c", "a", "b", "c"].map(|text| Answer::text(text.repeat(4))));
    let request = with(ask("gpt-5.5", "u"), &json!({"n": 3}));
    let body = openai(&fake, "/v1/chat/completions", &request).await.json();
    let said: Vec<&Value> = body["choices"]
        .as_array()
        .unwrap()
        .iter()
        .map(|choice| &choice["message"]["content"])
        .collect();
    assert_eq!(said, ["aaaa", "bbbb", "cccc"]);
    assert_eq!((&body["usage"]["completion_tokens"], fake.calls()), (&json!(3), 1));
    let events = openai(&fake, "/v1/chat/completions", &with(request, &json!({"stream": true})))
        .await
        .events();
    let of = |index: usize| events.iter().filter(move |chunk| chunk["choices"][0]["index"] == index);
    let texts: Vec<String> = (0..3)
        .map(|index| {
            of(index)
                .filter_map(|chunk| chunk["choices"][0]["delta"]["content"].as_str())
                .collect()
        })
        .collect();
    assert_eq!(texts, ["aaaa", "bbbb", "cccc"]);
    assert_eq!(fake.bill().lines[1].tokens.output, 3);
}

#[tokio::test]
async fn tool_calls_are_the_same_plain_and_streamed() {
    let fake = start().await;
    fake.set_answer(|_, _| Answer {
        parts: vec![Part::Tool {
            name: "f".into(),
            input: json!({"k": 1}),
            id: Some("call_1".into()),
        }],
        ..Answer::default()
    });
    let body = openai(&fake, "/v1/chat/completions", &ask("gpt-5.5", "u")).await.json();
    let call = &body["choices"][0]["message"]["tool_calls"][0];
    assert_eq!(
        call,
        &json!({"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{\"k\":1}"}})
    );
    assert_eq!(
        (
            &body["choices"][0]["finish_reason"],
            &body["choices"][0]["message"]["content"]
        ),
        (&json!("tool_calls"), &Value::Null)
    );
    let request = with(ask("gpt-5.5", "u"), &json!({"stream": true}));
    let events = openai(&fake, "/v1/chat/completions", &request).await.events();
    let deltas = events
        .iter()
        .map(|chunk| &chunk["choices"][0]["delta"]["tool_calls"][0]);
    let arguments: String = deltas
        .clone()
        .filter_map(|call| call["function"]["arguments"].as_str())
        .collect();
    assert_eq!(arguments, "{\"k\":1}");
    assert_eq!(deltas.clone().filter(|call| call["id"] == "call_1").count(), 1);
}

#[tokio::test]
async fn a_response_repeats_the_requests_own_fields() {
    let fake = start().await;
    let own = json!({"metadata": {"k": "v"}, "user": "u1", "safety_identifier": "s1", "prompt_cache_key": "p1",
        "store": false, "instructions": "be brief", "temperature": 0.5, "max_output_tokens": 99});
    let body = openai(
        &fake,
        "/v1/responses",
        &with(json!({"model": "gpt-5.5", "input": "hi"}), &own),
    )
    .await
    .json();
    for (name, value) in own.as_object().unwrap() {
        assert_eq!(&body[name], value, "{name}");
    }
    let body = openai(&fake, "/v1/responses", &json!({"model": "gpt-5.5", "input": "hi"}))
        .await
        .json();
    assert_eq!(
        (&body["store"], &body["metadata"], &body["status"]),
        (&json!(true), &json!({}), &json!("completed"))
    );
}

#[tokio::test]
async fn a_response_stream_is_named_numbered_and_ends_in_the_plain_response() {
    let fake = start().await;
    let answer = Answer {
        parts: vec![
            Part::Thinking("why".into()),
            Part::Text("said".into()),
            Part::Tool {
                name: "f".into(),
                input: json!({}),
                id: None,
            },
        ],
        ..Answer::default()
    };
    fake.set_answer(move |_, _| answer.clone());
    let request =
        json!({"model": "gpt-6.2-sol", "input": "hi", "stream": true, "include": ["reasoning.encrypted_content"]});
    let heard = openai(&fake, "/v1/responses", &request).await;
    let events = heard.events();
    let numbers: Vec<usize> = events
        .iter()
        .map(|event| usize::try_from(event["sequence_number"].as_u64().unwrap()).unwrap())
        .collect();
    assert_eq!(numbers, (0..events.len()).collect::<Vec<_>>());
    let expected = "created in_progress output_item.added reasoning_summary_part.added reasoning_summary_text.delta \
        reasoning_summary_text.done reasoning_summary_part.done output_item.done output_item.added content_part.added \
        output_text.delta output_text.done content_part.done output_item.done output_item.added \
        function_call_arguments.delta function_call_arguments.done output_item.done completed";
    let expected: Vec<String> = expected
        .split_whitespace()
        .map(|name| format!("response.{name}"))
        .collect();
    assert_eq!(heard.types(), expected);
    let whole = &events.last().unwrap()["response"];
    let kinds: Vec<&str> = whole["output"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item["type"].as_str().unwrap())
        .collect();
    assert_eq!(kinds, ["reasoning", "message", "function_call"]);
    assert!(whole["output"][0]["encrypted_content"].is_string());
    assert_eq!(whole["usage"]["output_tokens"], fake.bill().lines[0].tokens.output);
    assert_eq!(whole["usage"]["output_tokens_details"]["reasoning_tokens"], 1);
    assert!(whole["usage"]["input_tokens_details"]["cache_write_tokens_details"]["ttl_30m_tokens"].is_u64());
}

#[tokio::test]
async fn responses_are_stored_by_default_found_continued_and_deleted() {
    let fake = start().await;
    let first = openai(
        &fake,
        "/v1/responses",
        &json!({"model": "gpt-5.5", "input": "u".repeat(40)}),
    )
    .await
    .json();
    let id = first["id"].as_str().unwrap();
    let path = format!("/v1/responses/{id}");
    assert_eq!(send(&fake, "GET", &path, &BEARER, "").await.unwrap().json(), first);
    let stranger = [("authorization", "Bearer other")];
    assert_eq!(send(&fake, "GET", &path, &stranger, "").await.unwrap().status, 404);
    let next = json!({"model": "gpt-5.5", "input": "more", "previous_response_id": id});
    let second = openai(&fake, "/v1/responses", &next).await.json();
    assert_eq!(second["previous_response_id"], id);
    let said = first["output"][0]["content"][0]["text"].as_str().unwrap().len() as u64;
    assert_eq!(second["usage"]["input_tokens"], (40 + said + 4).div_ceil(4));
    assert_eq!(
        send(&fake, "DELETE", &path, &BEARER, "").await.unwrap().json()["deleted"],
        true
    );
    assert_eq!(send(&fake, "GET", &path, &BEARER, "").await.unwrap().status, 404);
    let lost = openai(&fake, "/v1/responses", &next).await;
    assert_eq!(
        (lost.status, &lost.json()["error"]["code"]),
        (400, &json!("previous_response_not_found"))
    );
    let unstored = openai(
        &fake,
        "/v1/responses",
        &json!({"model": "gpt-5.5", "input": "x", "store": false}),
    )
    .await
    .json();
    let path = format!("/v1/responses/{}", unstored["id"].as_str().unwrap());
    assert_eq!(send(&fake, "GET", &path, &BEARER, "").await.unwrap().status, 404);
}

#[tokio::test]
async fn truncated_and_refused_responses_are_incomplete() {
    let fake = start().await;
    let request = json!({"model": "gpt-5.5", "input": "hi", "stream": true});
    fake.script(Fault::new(Trouble::Truncated(2)));
    let last = openai(&fake, "/v1/responses", &request).await.events().pop().unwrap();
    assert_eq!(
        (&last["type"], &last["response"]["incomplete_details"]["reason"]),
        (&json!("response.incomplete"), &json!("max_output_tokens"))
    );
    fake.script(Fault::new(Trouble::Refusal));
    let chat = openai(&fake, "/v1/chat/completions", &ask("gpt-5.5", "u")).await.json();
    assert_eq!(chat["choices"][0]["finish_reason"], "content_filter");
}

#[tokio::test]
async fn embeddings_are_equal_for_equal_text_and_in_either_form() {
    let fake = start().await;
    let request = |format: &str| json!({"model": "text-embedding-3-small", "input": ["one", "two", "one"], "encoding_format": format, "dimensions": 8});
    let floats = openai(&fake, "/v1/embeddings", &request("float")).await.json();
    let vector: Vec<f32> = serde_json::from_value(floats["data"][0]["embedding"].clone()).unwrap();
    assert_eq!(vector.len(), 8);
    assert!((vector.iter().map(|value| value * value).sum::<f32>() - 1.0).abs() < 1e-5);
    assert_eq!(floats["data"][2]["embedding"], floats["data"][0]["embedding"]);
    assert_ne!(floats["data"][1]["embedding"], floats["data"][0]["embedding"]);
    let packed = openai(&fake, "/v1/embeddings", &request("base64")).await.json();
    let bytes = STANDARD
        .decode(packed["data"][0]["embedding"].as_str().unwrap())
        .unwrap();
    let unpacked: Vec<f32> = bytes
        .chunks(4)
        .map(|chunk| f32::from_le_bytes(chunk.try_into().unwrap()))
        .collect();
    assert_eq!(unpacked, vector);
    assert_eq!(
        (&packed["usage"]["prompt_tokens"], fake.calls_to("/v1/embeddings")),
        (&json!(3), 2)
    );
}

#[tokio::test]
async fn service_tiers_are_named_in_the_answer_and_priced() {
    let fake = start().await;
    fake.set_answer(|_, _| Answer::text("xxxx"));
    for (asked, served, nanos) in [
        ("auto", "default", 35_000),
        ("flex", "flex", 17_500),
        ("priority", "priority", 87_500),
    ] {
        let body = openai(
            &fake,
            "/v1/chat/completions",
            &with(ask("gpt-5.5", "uuuu"), &json!({"service_tier": asked})),
        )
        .await
        .json();
        assert_eq!(body["service_tier"], served);
        assert_eq!(fake.bill().lines.back().unwrap().nanos, nanos, "{asked}");
    }
}

#[tokio::test]
async fn errors_have_openais_envelope() {
    let fake = start().await;
    let heard = openai(&fake, "/v1/chat/completions", &ask("gpt-9", "u")).await;
    let error = &heard.json()["error"];
    assert_eq!(
        (heard.status, &error["code"], &error["type"]),
        (404, &json!("model_not_found"), &json!("invalid_request_error"))
    );
    assert!(error.get("param").is_some());
    let sampled = with(ask("gpt-6.2-sol", "u"), &json!({"temperature": 0}));
    let error = openai(&fake, "/v1/chat/completions", &sampled).await.json()["error"].clone();
    assert_eq!(
        (&error["param"], &error["code"]),
        (&json!("temperature"), &json!("unsupported_value"))
    );
    assert_eq!(
        openai(
            &fake,
            "/v1/chat/completions",
            &json!({"model": "gpt-5.5", "messages": []})
        )
        .await
        .status,
        400
    );
    let tools = with(
        ask("gpt-6-astra", "u"),
        &json!({"tools": [{"type": "function", "function": {"name": "f"}}]}),
    );
    assert_eq!(openai(&fake, "/v1/chat/completions", &tools).await.status, 400);
    let heard = send(&fake, "POST", "/v1/responses", &BEARER, "{").await.unwrap();
    assert_eq!(
        (heard.status, &heard.json()["error"]["type"]),
        (400, &json!("invalid_request_error"))
    );
    for header in [
        "x-request-id",
        "openai-organization",
        "openai-processing-ms",
        "openai-version",
        "x-ratelimit-reset-tokens",
    ] {
        assert!(heard.header(header).is_some(), "{header}");
    }
}

#[tokio::test]
async fn a_prewarm_writes_the_cache_and_says_nothing() {
    let fake = start().await;
    let request =
        json!({"model": "gpt-6.2-sol", "input": "u".repeat(4_400), "prompt_cache_options": {"prewarm": true}});
    let body = openai(&fake, "/v1/responses", &request).await.json();
    assert_eq!(
        (&body["output"], &body["usage"]["output_tokens"]),
        (&json!([]), &json!(0))
    );
    let body = openai(
        &fake,
        "/v1/responses",
        &json!({"model": "gpt-6.2-sol", "input": "u".repeat(4_400)}),
    )
    .await
    .json();
    assert_eq!(body["usage"]["input_tokens_details"]["cached_tokens"], 1_100);
}

#[tokio::test]
async fn models_are_listed_in_openais_form_without_anthropic_headers() {
    let fake = start().await;
    let list = send(&fake, "GET", "/v1/models", &BEARER, "").await.unwrap().json();
    assert_eq!(
        (&list["object"], list["data"].as_array().unwrap().len()),
        (&json!("list"), 30)
    );
}
