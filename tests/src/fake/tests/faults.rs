//! Every kind of scripted trouble, as a client sees it and as it is billed.

use super::*;

/// A stream of ten text events.
fn ten_events(fake: &Fake) {
    fake.set_answer(|_, _| Answer::text("x".repeat(160)));
}

#[tokio::test]
async fn a_cut_stream_ends_without_its_last_event_and_is_billed_so_far() {
    let fake = start().await;
    ten_events(&fake);
    fake.script(Fault::new(Trouble::CutAfter(5)));
    let heard = anthropic(&fake, &streamed(ask("u"))).await;
    assert!(!heard.is_whole);
    assert_eq!(heard.types().last().unwrap(), "content_block_delta");
    let line = &fake.bill().lines[0];
    assert_eq!(
        (line.end, line.tokens.output, line.nanos),
        (End::Cut, 8, 2_000 + 8 * 10_000)
    );
}

#[tokio::test]
async fn a_cut_plain_answer_ends_half_way() {
    let fake = start().await;
    fake.script(Fault::new(Trouble::CutAfter(1)));
    let heard = anthropic(&fake, &ask("u")).await;
    let length: usize = heard.header("content-length").unwrap().parse().unwrap();
    assert!(!heard.is_whole);
    assert_eq!(heard.body.len(), length / 2);
}

#[tokio::test]
async fn a_stalled_stream_goes_on_when_released() {
    let fake = start().await;
    fake.script(Fault::new(Trouble::StallAfter(3)));
    let request = streamed(ask("u"));
    let (heard, ()) = tokio::join!(anthropic(&fake, &request), async {
        until(|| fake.stalled() == 1).await;
        assert_eq!(fake.bill().total.requests, 0);
        fake.release();
    });
    assert_eq!(heard.types().last().unwrap(), "message_stop");
    assert_eq!(fake.bill().lines[0].end, End::Complete);
}

#[tokio::test]
async fn a_client_that_leaves_in_the_middle_pays_for_what_was_produced() {
    let fake = start().await;
    ten_events(&fake);
    fake.script(Fault::new(Trouble::StallAfter(6)));
    let mut stream = TcpStream::connect(fake.address()).await.unwrap();
    let body = streamed(ask("u")).to_string();
    let head = format!(
        "POST /v1/messages HTTP/1.1\r\nhost: x\r\nx-api-key: k\r\nanthropic-version: 2023-06-01\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all((head + &body).as_bytes()).await.unwrap();
    until(|| fake.stalled() == 1).await;
    drop(stream);
    until(|| fake.bill().total.requests == 1).await;
    let line = &fake.bill().lines[0];
    assert_eq!(
        (line.end, line.tokens.input, line.tokens.output),
        (End::Cancelled, 1, 12)
    );
}

#[tokio::test]
async fn a_client_that_leaves_a_plain_call_pays_for_its_input() {
    let fake = start().await;
    fake.script(Fault::new(Trouble::StallAfter(0)));
    let request = ask("u");
    tokio::select! {
        heard = anthropic(&fake, &request) => assert_eq!(heard.status, 0, "it must stall"),
        () = until(|| fake.stalled() == 1) => {}
    }
    until(|| fake.bill().total.requests == 1).await;
    let line = &fake.bill().lines[0];
    assert_eq!(
        (line.end, line.tokens.input, line.tokens.output),
        (End::Cancelled, 1, 0)
    );
}

#[tokio::test]
async fn a_reset_or_garbage_instead_of_a_head_is_no_response_and_costs_nothing() {
    let fake = start().await;
    for trouble in [Trouble::Reset, Trouble::GarbageHead] {
        fake.script(Fault::new(trouble));
        let heard = send(&fake, "POST", "/v1/messages", &ANTHROPIC, ask("u").to_string()).await;
        assert!(heard.is_none());
    }
    assert_eq!((fake.calls(), fake.bill().total.requests), (2, 0));
    assert_eq!(anthropic(&fake, &ask("u")).await.status, 200);
}

#[tokio::test]
async fn a_reset_is_seen_as_a_reset() {
    let fake = start().await;
    fake.script(Fault::new(Trouble::Reset));
    let mut stream = TcpStream::connect(fake.address()).await.unwrap();
    let body = ask("u").to_string();
    let head = format!(
        "POST /v1/messages HTTP/1.1\r\nhost: x\r\nx-api-key: k\r\nanthropic-version: 2023-06-01\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all((head + &body).as_bytes()).await.unwrap();
    let error = stream.read_u8().await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn a_slow_head_arrives_whole_in_the_end() {
    let fake = start().await;
    fake.script(Fault::new(Trouble::SlowHeadMs(1)));
    assert_eq!(anthropic(&fake, &ask("u")).await.status, 200);
}

#[tokio::test]
async fn garbage_in_a_body_is_no_json_and_no_event() {
    let fake = start().await;
    fake.script(Fault::new(Trouble::GarbageAfter(2)));
    assert_eq!(anthropic(&fake, &ask("u")).await.json(), Value::Null);
    fake.script(Fault::new(Trouble::GarbageAfter(2)));
    let heard = anthropic(&fake, &streamed(ask("u"))).await;
    assert_eq!(heard.types(), ["message_start", "ping"]);
    assert!(heard.body.ends_with(b"\x00\xff{garbage]\xfe\x00"));
}

#[tokio::test]
async fn an_error_event_can_follow_a_200() {
    let fake = start().await;
    fake.script(Fault::new(Trouble::ErrorEventAfter(4)));
    let heard = anthropic(&fake, &streamed(ask("u"))).await;
    assert_eq!(heard.status, 200);
    let last = heard.events().pop().unwrap();
    assert_eq!(
        (&last["type"], &last["error"]["type"]),
        (&json!("error"), &json!("overloaded_error"))
    );
    fake.script(Fault::new(Trouble::ErrorEventAfter(4)));
    assert_eq!(
        anthropic(&fake, &ask("u")).await.status,
        529,
        "a plain answer has no events"
    );
    fake.script(Fault::new(Trouble::ErrorEventAfter(1)));
    let chat = json!({"model": "gpt-5.5", "stream": true, "messages": [{"role": "user", "content": "u"}]});
    let last = openai(&fake, "/v1/chat/completions", &chat)
        .await
        .events()
        .pop()
        .unwrap();
    assert_eq!(last["error"]["type"], "server_error");
}

#[tokio::test]
async fn each_error_status_has_the_providers_own_envelope_and_no_charge() {
    let fake = start().await;
    let chat = json!({"model": "gpt-5.5", "messages": [{"role": "user", "content": "u"}]});
    for (status, kind) in [
        (400, "invalid_request_error"),
        (401, "authentication_error"),
        (403, "permission_error"),
        (404, "not_found_error"),
        (413, "request_too_large"),
        (429, "rate_limit_error"),
        (500, "api_error"),
        (529, "overloaded_error"),
    ] {
        fake.script(Fault::status(status));
        let heard = anthropic(&fake, &ask("u")).await;
        let body = heard.json();
        assert_eq!(
            (heard.status, &body["type"], &body["error"]["type"]),
            (status, &json!("error"), &json!(kind))
        );
        assert_eq!(heard.header("request-id"), body["request_id"].as_str());
        fake.script(Fault::status(status));
        let heard = openai(&fake, "/v1/chat/completions", &chat).await;
        assert_eq!(heard.status, status);
        assert!(heard.json()["error"]["message"].is_string() && heard.header("x-request-id").is_some());
    }
    assert_eq!((fake.calls(), fake.bill().total.requests), (0, 0));
}

#[tokio::test]
async fn a_spend_cap_is_the_429_without_retry_after() {
    let fake = start().await;
    let limit = |code: Option<&str>| {
        Fault::new(Trouble::Status {
            status: 429,
            code: code.map(str::to_owned),
            retry_after: None,
        })
    };
    fake.script(limit(None));
    assert!(anthropic(&fake, &ask("u")).await.header("retry-after").is_some());
    fake.script(limit(Some("enforced_spend_limit_reached")));
    let heard = anthropic(&fake, &ask("u")).await;
    assert!(heard.header("retry-after").is_none());
    assert_eq!(
        heard.json()["error"]["details"]["error_code"],
        "enforced_spend_limit_reached"
    );
    let chat = json!({"model": "gpt-5.5", "messages": [{"role": "user", "content": "u"}]});
    for code in [None, Some("insufficient_quota")] {
        fake.script(limit(code));
        let error = openai(&fake, "/v1/chat/completions", &chat).await.json()["error"].clone();
        assert_eq!(error["code"], code.unwrap_or("rate_limit_exceeded"));
    }
}

#[tokio::test]
async fn answers_can_be_truncated_refused_or_empty() {
    let fake = start().await;
    ten_events(&fake);
    let said = async |trouble| {
        fake.script(Fault::new(trouble));
        anthropic(&fake, &ask("u")).await.json()
    };
    let body = said(Trouble::Truncated(5)).await;
    assert_eq!(
        (&body["stop_reason"], &body["usage"]["output_tokens"]),
        (&json!("max_tokens"), &json!(5))
    );
    let body = said(Trouble::Empty).await;
    assert_eq!(
        (&body["stop_reason"], &body["content"]),
        (&json!("end_turn"), &json!([]))
    );
    let body = said(Trouble::RefusalAfter(3)).await;
    assert_eq!(
        (&body["stop_reason"], &body["usage"]["output_tokens"]),
        (&json!("refusal"), &json!(3))
    );
    assert_eq!(
        fake.bill().lines.back().unwrap().nanos,
        2_000 + 3 * 10_000,
        "a refusal in the middle is billed"
    );
    let body = said(Trouble::Refusal).await;
    assert_eq!(
        (&body["stop_reason"], &body["usage"]["input_tokens"]),
        (&json!("refusal"), &json!(1))
    );
    let line = fake.bill().lines.back().cloned().unwrap();
    assert_eq!(
        (line.end, line.nanos),
        (End::Refused, 0),
        "a refusal before any output is reported and not billed"
    );
}

#[tokio::test]
async fn think_time_and_pace_are_kept_per_call() {
    let fake = start().await;
    fake.script(Fault::new(Trouble::ThinkMs(1)));
    fake.script(Fault::new(Trouble::TokenUs(1)));
    for _ in 0..2 {
        assert_eq!(
            anthropic(&fake, &streamed(ask("u"))).await.types().last().unwrap(),
            "message_stop"
        );
    }
}

#[tokio::test]
async fn a_call_that_fails_before_its_response_writes_no_cache() {
    let fake = start().await;
    let mut request = ask("u");
    request["system"] = json!([{"type": "text", "text": "s".repeat(4_000), "cache_control": {"type": "ephemeral"}}]);
    for trouble in [Trouble::Reset, Trouble::ErrorEventAfter(1)] {
        fake.script(Fault::new(trouble));
        send(&fake, "POST", "/v1/messages", &ANTHROPIC, request.to_string()).await;
    }
    let usage = anthropic(&fake, &request).await.json()["usage"].clone();
    assert_eq!(
        (&usage["cache_creation_input_tokens"], &usage["cache_read_input_tokens"]),
        (&json!(1_000), &json!(0))
    );
    assert_eq!(fake.bill().total.requests, 1);
}
