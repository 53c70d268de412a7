//! The Messages API over HTTP: members, usage, events, billing, thinking.

use serde_json::{Value, json};

use crate::fake::tests::{ANTHROPIC, Heard, anthropic, ask, send, start, streamed};
use crate::fake::{Answer, Fake, FakeConfig, Part, Stop};

mod refusals;

use refusals::refusal;

/// The request with some fields set.
fn with(mut request: Value, fields: &Value) -> Value {
    for (name, value) in fields.as_object().unwrap() {
        request[name] = value.clone();
    }
    request
}

fn system(chars: usize, ttl: &str) -> Value {
    json!([{"type": "text", "text": "s".repeat(chars), "cache_control": {"type": "ephemeral", "ttl": ttl}}])
}

#[tokio::test]
async fn a_plain_message_has_the_documented_members() {
    let fake = start().await;
    let heard = anthropic(&fake, &ask("hi")).await;
    let body = heard.json();
    assert!(body["id"].as_str().unwrap().starts_with("msg_01"));
    assert_eq!(
        (&body["type"], &body["role"], &body["stop_reason"]),
        (&json!("message"), &json!("assistant"), &json!("end_turn"))
    );
    for header in [
        "request-id",
        "anthropic-organization-id",
        "anthropic-ratelimit-requests-limit",
        "anthropic-ratelimit-output-tokens-reset",
    ] {
        assert!(heard.header(header).is_some(), "{header}");
    }
    let again = anthropic(&fake, &ask("hi")).await.json();
    assert_ne!(
        again["content"], body["content"],
        "a second answer to one prompt tells that it is the second"
    );
}

#[tokio::test]
async fn input_tokens_exclude_the_cache_and_the_split_is_by_life() {
    let fake = start().await;
    let request = with(ask(&"u".repeat(40)), &json!({"system": system(4_000, "1h")}));
    let usage = anthropic(&fake, &request).await.json()["usage"].clone();
    assert_eq!(usage["input_tokens"], 10);
    assert_eq!(usage["cache_creation_input_tokens"], 1_000);
    assert_eq!(
        usage["cache_creation"],
        json!({"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 1_000})
    );
    let usage = anthropic(&fake, &request).await.json()["usage"].clone();
    assert_eq!(
        (&usage["input_tokens"], &usage["cache_read_input_tokens"]),
        (&json!(10), &json!(1_000))
    );
}

#[tokio::test]
async fn message_start_has_the_split_and_message_delta_cumulative_totals_without_it() {
    let fake = start().await;
    let request = streamed(with(ask("u"), &json!({"system": system(4_000, "5m")})));
    let events = anthropic(&fake, &request).await.events();
    let start = &events[0]["message"]["usage"];
    assert_eq!(start["cache_creation"]["ephemeral_5m_input_tokens"], 1_000);
    let delta = &events[events.len() - 2];
    assert_eq!(delta["type"], "message_delta");
    assert_eq!(delta["usage"]["cache_creation_input_tokens"], 1_000);
    assert_eq!(delta["usage"]["output_tokens"], fake.bill().lines[0].tokens.output);
    for absent in ["cache_creation", "service_tier", "speed", "inference_geo"] {
        assert_eq!(delta["usage"].get(absent), None, "{absent}");
    }
}

#[tokio::test]
async fn events_come_in_the_documented_order_for_thinking_text_and_tools() {
    let fake = start().await;
    let mut answer = Answer::text("said").thinking("thought");
    answer.parts.push(Part::Tool {
        name: "f".into(),
        input: json!({"k": [1, 2]}),
        id: None,
    });
    fake.set_answer(move |_, _| answer.clone());
    let heard = anthropic(&fake, &streamed(ask("u"))).await;
    let block = [
        "content_block_start",
        "content_block_delta",
        "content_block_delta",
        "content_block_stop",
    ];
    let text = ["content_block_start", "content_block_delta", "content_block_stop"];
    let expected = [
        &["message_start", "ping"][..],
        &block,
        &text,
        &block,
        &["message_delta", "message_stop"],
    ]
    .concat();
    assert_eq!(heard.types(), expected);
    let events = heard.events();
    let deltas: Vec<&str> = events
        .iter()
        .filter_map(|event| event["delta"]["type"].as_str())
        .collect();
    assert_eq!(
        deltas,
        [
            "thinking_delta",
            "signature_delta",
            "text_delta",
            "input_json_delta",
            "input_json_delta"
        ]
    );
    assert_eq!(events[events.len() - 2]["delta"]["stop_reason"], "tool_use");
    assert!(String::from_utf8_lossy(&heard.body).starts_with("event: message_start\ndata: {"));
}

#[tokio::test]
async fn the_stream_says_what_the_plain_answer_says() {
    let fake = start().await;
    let answer = Answer::tool("f", json!({"k": "v"})).thinking("thought");
    fake.set_answer(move |_, _| answer.clone());
    let plain = anthropic(&fake, &ask("u")).await.json();
    let events = anthropic(&fake, &streamed(ask("u"))).await.events();
    let joined = |index: usize, field: &str| {
        let deltas = events.iter().filter(|event| event["index"] == index);
        deltas
            .filter_map(|event| event["delta"][field].as_str())
            .collect::<String>()
    };
    assert_eq!(plain["content"][0]["thinking"], joined(0, "thinking"));
    assert_eq!(plain["content"][0]["signature"], joined(0, "signature"));
    assert_eq!(
        plain["content"][1]["input"],
        serde_json::from_str::<Value>(&joined(1, "partial_json")).unwrap()
    );
    let lines = fake.bill().lines;
    assert_eq!(lines[0].nanos, lines[1].nanos);
}

#[tokio::test]
async fn max_tokens_0_writes_the_cache_and_says_nothing() {
    let fake = start().await;
    let request = with(ask("u"), &json!({"max_tokens": 0, "system": system(4_000, "5m")}));
    let body = anthropic(&fake, &request).await.json();
    assert_eq!(
        (&body["content"], &body["stop_reason"]),
        (&json!([]), &json!("max_tokens"))
    );
    assert_eq!(
        (
            &body["usage"]["output_tokens"],
            &body["usage"]["cache_creation_input_tokens"]
        ),
        (&json!(0), &json!(1_000))
    );
    let read = anthropic(&fake, &with(request.clone(), &json!({"max_tokens": 9})))
        .await
        .json();
    assert_eq!(read["usage"]["cache_read_input_tokens"], 1_000);
    let forced = json!({"tools": [{"name": "f"}], "tool_choice": {"type": "any"}});
    for refused in [
        json!({"stream": true}),
        json!({"output_config": {"format": {"type": "json_schema"}}}),
        forced,
    ] {
        refusal(&fake, &with(request.clone(), &refused)).await;
    }
}

#[tokio::test]
async fn region_speed_and_searches_are_billed() {
    let fake = start().await;
    fake.set_answer(|_, _| Answer {
        searches: 2,
        ..Answer::text("xxxx")
    });
    let request = with(
        ask("uuuu"),
        &json!({"model": "claude-opus-5-5", "speed": "fast", "inference_geo": "us"}),
    );
    let body = anthropic(&fake, &request).await.json();
    assert_eq!(
        (&body["usage"]["speed"], &body["usage"]["inference_geo"]),
        (&json!("fast"), &json!("us"))
    );
    assert_eq!(body["usage"]["server_tool_use"]["web_search_requests"], 2);
    assert_eq!(fake.bill().total.nanos, (4_000 + 20_000) * 22 / 10 + 20_000_000);
    refusal(&fake, &with(ask("u"), &json!({"speed": "fast"}))).await;
}

#[tokio::test]
async fn haiku_5_5_bills_a_long_prompt_five_times() {
    let fake = start().await;
    fake.set_answer(|_, _| Answer::text("xxxx"));
    for tokens in [100_000, 100_001] {
        anthropic(
            &fake,
            &with(ask(&"u".repeat(4 * tokens)), &json!({"model": "claude-haiku-5-5"})),
        )
        .await;
    }
    let lines = fake.bill().lines;
    assert_eq!(
        [lines[0].nanos, lines[1].nanos],
        [100_000 * 100 + 500, 100_001 * 500 + 2_500]
    );
}

#[tokio::test]
async fn tokens_are_counted_free_of_charge() {
    let fake = start().await;
    let request = json!({"model": "claude-sonnet-5-5", "messages": [{"role": "user", "content": "12345"}]});
    let heard = send(
        &fake,
        "POST",
        "/v1/messages/count_tokens",
        &ANTHROPIC,
        request.to_string(),
    )
    .await
    .unwrap();
    assert_eq!(heard.json(), json!({"input_tokens": 2}));
    assert_eq!((fake.calls(), fake.bill().total.requests), (0, 0));
}

#[tokio::test]
async fn models_are_listed_and_found() {
    let fake = start().await;
    let list = send(&fake, "GET", "/v1/models?limit=1000", &ANTHROPIC, "")
        .await
        .unwrap()
        .json();
    assert_eq!(list["data"].as_array().unwrap().len(), 18);
    assert_eq!(list["first_id"], list["data"][0]["id"]);
    let one = send(&fake, "GET", "/v1/models/claude-opus-5-5", &ANTHROPIC, "")
        .await
        .unwrap();
    assert_eq!((one.status, &one.json()["id"]), (200, &json!("claude-opus-5-5")));
    assert_eq!(
        send(&fake, "GET", "/v1/models/none", &ANTHROPIC, "")
            .await
            .unwrap()
            .status,
        404
    );
}

/// A second turn after a thinking answer to `first`, under a system prompt, to a model.
async fn continued(fake: &Fake, first: &Heard, system: &str, model: &str) -> Heard {
    let messages = json!([{"role": "user", "content": "q"}, {"role": "assistant", "content": first.json()["content"]},
        {"role": "user", "content": "and?"}]);
    anthropic(
        fake,
        &with(
            ask(""),
            &json!({"model": model, "system": system, "messages": messages}),
        ),
    )
    .await
}

#[tokio::test]
async fn thinking_is_bound_to_its_conversation_and_dropped_for_other_models() {
    let config = FakeConfig {
        bind_thinking: true,
        ..FakeConfig::default()
    };
    let fake = Fake::start(config).await.unwrap();
    fake.set_answer(|_, _| Answer::text("said").thinking("t".repeat(400)));
    let first = anthropic(&fake, &with(ask("q"), &json!({"system": "s"}))).await;
    assert_eq!(continued(&fake, &first, "s", "claude-sonnet-5-5").await.status, 200);
    let own = fake.bill().lines.back().unwrap().tokens.input;
    let changed = continued(&fake, &first, "S", "claude-sonnet-5-5").await;
    assert!(changed.status == 400 && changed.json().to_string().contains("bound to a different conversation"));
    assert_eq!(continued(&fake, &first, "s", "claude-opus-5-5").await.status, 200);
    assert_eq!(
        fake.bill().lines.back().unwrap().tokens.input,
        own - 100,
        "dropped thinking is not billed"
    );
}

#[tokio::test]
async fn other_stop_reasons_and_raw_blocks_pass_as_scripted() {
    let fake = start().await;
    let call = json!({"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "q"}});
    let answer = Answer {
        parts: vec![Part::Raw(call.clone())],
        stop: Stop::Other("pause_turn".into()),
        ..Answer::default()
    };
    fake.queue_answers([answer]);
    let body = anthropic(&fake, &ask("u")).await.json();
    assert_eq!(
        (&body["content"][0], &body["stop_reason"]),
        (&call, &json!("pause_turn"))
    );
}
