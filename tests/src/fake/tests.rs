//! The fake provider from outside: bill, log, keys, control, and the clients that the other tests use.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::*;

mod faults;

/// A response with its body as far as it came.
pub(crate) struct Heard {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// Whether the body ended as HTTP says it should.
    pub(crate) is_whole: bool,
}

impl Heard {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The data of each event, in order; `[DONE]` as a string.
    pub(crate) fn events(&self) -> Vec<Value> {
        let text = String::from_utf8_lossy(&self.body).into_owned();
        let data = text.lines().filter_map(|line| line.strip_prefix("data: "));
        data.map(|data| serde_json::from_str(data).unwrap_or_else(|_| data.into()))
            .collect()
    }

    pub(crate) fn types(&self) -> Vec<String> {
        self.events()
            .iter()
            .map(|event| event["type"].as_str().unwrap_or_default().to_owned())
            .collect()
    }
}

pub(crate) async fn start() -> Fake {
    Fake::start(FakeConfig::default()).await.unwrap()
}

/// Sends a request; `None` if no response came.
pub(crate) async fn send(
    fake: &Fake,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: impl Into<Bytes>,
) -> Option<Heard> {
    let client = Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>();
    let mut request = Request::builder().method(method).uri(fake.url() + path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = client
        .request(request.body(Full::new(body.into())).unwrap())
        .await
        .ok()?;
    let (parts, mut body) = response.into_parts();
    let (mut bytes, mut is_whole) = (Vec::new(), true);
    while let Some(frame) = body.frame().await {
        match frame {
            Ok(frame) => bytes.extend_from_slice(&frame.into_data().unwrap_or_default()),
            Err(_) => is_whole = false,
        }
    }
    Some(Heard {
        status: parts.status.as_u16(),
        headers: parts.headers,
        body: bytes.into(),
        is_whole,
    })
}

pub(crate) const ANTHROPIC: [(&str, &str); 2] = [("x-api-key", "key"), ("anthropic-version", "2023-06-01")];

pub(crate) async fn anthropic(fake: &Fake, request: &Value) -> Heard {
    send(fake, "POST", "/v1/messages", &ANTHROPIC, request.to_string())
        .await
        .unwrap()
}

pub(crate) async fn openai(fake: &Fake, path: &str, request: &Value) -> Heard {
    send(
        fake,
        "POST",
        path,
        &[("authorization", "Bearer key")],
        request.to_string(),
    )
    .await
    .unwrap()
}

pub(crate) fn ask(text: &str) -> Value {
    json!({"model": "claude-sonnet-5-5", "max_tokens": 100, "messages": [{"role": "user", "content": text}]})
}

pub(crate) fn streamed(mut request: Value) -> Value {
    request["stream"] = true.into();
    request
}

/// Yields until something has happened; the suite's own time limit ends a test that waits in vain.
pub(crate) async fn until(mut happened: impl FnMut() -> bool) {
    while !happened() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn the_bill_is_the_sum_of_exact_lines_under_the_ids_of_the_answers() {
    let fake = start().await;
    fake.set_answer(|_, n| Answer::text("x".repeat(4 * n)));
    let first = anthropic(&fake, &ask(&"u".repeat(40))).await.json();
    let second = openai(&fake, "/v1/responses", &json!({"model": "gpt-5.5", "input": "abcd"}))
        .await
        .json();
    let bill = fake.bill();
    let line = bill.line(first["id"].as_str().unwrap()).unwrap();
    assert_eq!(
        (line.tokens.input, line.tokens.output, line.nanos),
        (10, 1, 10 * 2_000 + 10_000)
    );
    let line = bill.line(second["id"].as_str().unwrap()).unwrap();
    assert_eq!(
        (line.tokens.input, line.tokens.output, line.nanos),
        (1, 2, 5_000 + 2 * 30_000)
    );
    assert_eq!(bill.total.nanos, 30_000 + 65_000);
    assert_eq!(bill.models["gpt-5.5"].requests, 1);
    assert_eq!(
        (fake.calls(), fake.calls_to("/v1/messages"), fake.received()),
        (2, 1, 2)
    );
    fake.reset();
    assert_eq!((fake.calls(), fake.bill().total.nanos, fake.log().len()), (0, 0, 0));
    fake.stop().await;
}

#[tokio::test]
async fn the_log_has_the_exact_bytes_and_headers_received() {
    let fake = start().await;
    let body = "{ \"model\" :\"claude-sonnet-5-5\", \"max_tokens\":5.0e0,\"messages\":[] ,\"x\":\"\\u00e9\"}";
    send(
        &fake,
        "POST",
        "/v1/messages?beta=true",
        &[("x-api-key", "k"), ("x-odd", "a b")],
        body,
    )
    .await
    .unwrap();
    let log = fake.log();
    assert_eq!(log[0].body, body);
    assert_eq!(log[0].target, "/v1/messages?beta=true");
    assert_eq!(log[0].header("x-odd"), Some("a b"));
}

#[tokio::test]
async fn paths_are_served_with_and_without_their_version() {
    let fake = start().await;
    for path in ["/messages", "/v1/messages"] {
        let heard = send(&fake, "POST", path, &ANTHROPIC, ask("hi").to_string())
            .await
            .unwrap();
        assert_eq!(heard.status, 200);
    }
    assert_eq!(fake.calls_to("/v1/messages"), 2);
    assert_eq!(
        openai(&fake, "/responses", &json!({"model": "gpt-5.5", "input": "hi"}))
            .await
            .status,
        200
    );
}

#[tokio::test]
async fn keys_are_taken_from_either_header_and_bad_ones_refused() {
    let fake = start().await;
    let version = ("anthropic-version", "2023-06-01");
    let status = async |path: &str, headers: &[(&str, &str)], body: &Value| {
        let heard = send(&fake, "POST", path, headers, body.to_string()).await.unwrap();
        (
            heard.status,
            heard.json()["error"]["type"].as_str().unwrap_or_default().to_owned(),
        )
    };
    let ask = ask("hi");
    assert_eq!(
        status("/v1/messages", &[version, ("authorization", "Bearer k")], &ask)
            .await
            .0,
        200
    );
    assert_eq!(
        status("/v1/messages", &[version], &ask).await,
        (401, "authentication_error".into())
    );
    assert_eq!(
        status("/v1/messages", &[version, ("x-api-key", "invalid")], &ask).await,
        (401, "authentication_error".into())
    );
    assert_eq!(
        status("/v1/messages", &[version, ("x-api-key", "forbidden")], &ask).await,
        (403, "permission_error".into())
    );
    let chat = json!({"model": "gpt-5.5", "messages": [{"role": "user", "content": "hi"}]});
    assert_eq!(
        status("/v1/chat/completions", &[], &chat).await,
        (401, "invalid_request_error".into())
    );
    assert_eq!(fake.calls(), 1);
}

#[tokio::test]
async fn a_body_over_32_mib_is_too_large() {
    let fake = start().await;
    let heard = send(&fake, "POST", "/v1/messages", &ANTHROPIC, vec![b' '; (32 << 20) + 1]).await;
    // The answer may come while the client still sends, which some clients report as a broken connection.
    assert!(heard.is_none_or(|heard| heard.status == 413));
    assert_eq!(fake.calls(), 0);
}

#[tokio::test]
async fn answers_are_compressed_only_on_request_and_by_configuration() {
    let config = FakeConfig {
        gzip: true,
        ..FakeConfig::default()
    };
    let fake = Fake::start(config).await.unwrap();
    let headers = [ANTHROPIC[0], ANTHROPIC[1], ("accept-encoding", "gzip, deflate")];
    for request in [ask("hi"), streamed(ask("hi"))] {
        let heard = send(&fake, "POST", "/v1/messages", &headers, request.to_string())
            .await
            .unwrap();
        assert_eq!(heard.header("content-encoding"), Some("gzip"));
        let mut text = String::new();
        std::io::Read::read_to_string(&mut flate2::read::GzDecoder::new(&heard.body[..]), &mut text).unwrap();
        assert!(text.contains("end_turn"), "{text}");
        assert!(anthropic(&fake, &request).await.header("content-encoding").is_none());
    }
}

#[tokio::test]
async fn the_control_endpoints_move_clock_script_answers_and_reset() {
    let fake = start().await;
    let control =
        async |path: &str, body: Value| send(&fake, "POST", path, &[], body.to_string()).await.unwrap().json();
    let before = fake.clock().now();
    control("/fake/clock", json!({"advance_ms": 600_000})).await;
    assert!(fake.clock().now() >= before + Duration::from_mins(10));
    control(
        "/fake/answers",
        json!(["first", {"parts": [{"tool": {"name": "f", "input": {"a": 1}}}]}]),
    )
    .await;
    assert_eq!(anthropic(&fake, &ask("hi")).await.json()["content"][0]["text"], "first");
    assert_eq!(anthropic(&fake, &ask("hi")).await.json()["content"][0]["name"], "f");
    control(
        "/fake/script",
        json!({"trouble": {"status": {"status": 529}}, "path": "/messages"}),
    )
    .await;
    assert_eq!(anthropic(&fake, &ask("hi")).await.status, 529);
    let stats = send(&fake, "GET", "/fake/stats", &[], "").await.unwrap().json();
    assert_eq!((&stats["calls"], &stats["received"]), (&json!(2), &json!(3)));
    assert_eq!(stats["bill"]["total"]["nanos"], fake.bill().total.nanos);
    assert_eq!(
        control("/fake/script", json!({"trouble": "no such"})).await["ok"],
        Value::Null
    );
    control("/fake/reset", Value::Null).await;
    assert_eq!(fake.calls(), 0);
}

#[tokio::test]
async fn an_unmodelled_path_tells_the_digest_of_what_came() {
    let fake = start().await;
    let heard = send(&fake, "PUT", "/v1/files/x", &ANTHROPIC, "bytes")
        .await
        .unwrap()
        .json();
    assert_eq!((&heard["method"], &heard["bytes"]), (&json!("PUT"), &json!(5)));
    assert_eq!(
        heard["sha256"],
        "277089d91c0bdf4f2e6862ba7e4a07605119431f5d13f726dd352b06f1b206a9"
    );
    assert_eq!(send(&fake, "HEAD", "/api/hello", &[], "").await.unwrap().status, 200);
}

#[tokio::test]
async fn an_upgraded_connection_echoes() {
    let fake = start().await;
    let mut stream = TcpStream::connect(fake.address()).await.unwrap();
    let head = "GET /v1/realtime HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut seen = Vec::new();
    while !seen.ends_with(b"\r\n\r\n") {
        seen.push(stream.read_u8().await.unwrap());
    }
    assert!(seen.starts_with(b"HTTP/1.1 101 "));
    stream.write_all(b"\x81\x02hi").await.unwrap();
    let mut back = [0; 4];
    stream.read_exact(&mut back).await.unwrap();
    assert_eq!(&back, b"\x81\x02hi");
}

#[tokio::test]
async fn parallel_first_calls_each_pay_a_write_and_later_ones_read() {
    let fake = start().await;
    fake.script(Fault::new(Trouble::StallAfter(0)));
    fake.script(Fault::new(Trouble::StallAfter(0)));
    let mut request = ask("hi");
    request["system"] = json!([{"type": "text", "text": "s".repeat(4_000), "cache_control": {"type": "ephemeral"}}]);
    let (first, second, ()) = tokio::join!(anthropic(&fake, &request), anthropic(&fake, &request), async {
        until(|| fake.stalled() == 2).await;
        fake.release();
    });
    let usage = |heard: &Heard, field: &str| heard.json()["usage"][field].clone();
    assert_eq!(usage(&first, "cache_creation_input_tokens"), 1_000);
    assert_eq!(usage(&second, "cache_creation_input_tokens"), 1_000);
    let third = anthropic(&fake, &request).await;
    assert_eq!(usage(&third, "cache_read_input_tokens"), 1_000);
    fake.clock().advance(Duration::from_mins(5));
    let fourth = anthropic(&fake, &request).await;
    assert_eq!(usage(&fourth, "cache_read_input_tokens"), 0);
}
