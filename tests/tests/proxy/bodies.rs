//! Bytes: the provider gets the client's body but for the listed splices.

use bytes::Bytes;
use llmcache_tests::kit::Call;
use serde_json::json;

use crate::setup::{ALWAYS, NOTHING, Shop};

const MARK: &str = r#","cache_control":{"type":"ephemeral"}"#;
const MESSAGES: &str = "/anthropic/v1/messages";
const CHAT: &str = "/openai/v1/chat/completions";
const RESPONSES: &str = "/openai/v1/responses";

/// A body that no serializer would write: order, white space, escapes, unknown and repeated members, numbers as written.
fn odd(model: &str, input: &str) -> String {
    let deep = format!("{}1{}", "[".repeat(60), "]".repeat(60));
    format!(
        "\t{{ \"x_unknown\" : {{\"b\":1e2,\"a\":-0.0,\"n\":12345678901234567890.10}},\n \"twice\":1, \"twice\" : 2 ,\r\n \
         \"deep\":{deep},  {input} ,\"max_tokens\":6.4e1,\"\\u006dodel\":\"{model}\",\"z\":\"\\u00e9\\ud83d\\ude00\\/\" }} \n"
    )
}

fn call(path: &str, body: impl Into<Bytes>) -> Call {
    Call::post(path, body)
        .header("x-api-key", "key-a")
        .header("anthropic-version", "2023-06-01")
}

#[tokio::test]
async fn odd_bodies_of_every_endpoint_arrive_as_written() -> anyhow::Result<()> {
    let shop = Shop::open(NOTHING).await?;
    let talk = r#""messages" : [ { "content":"h\u0069", "role" : "user" } ]"#;
    for (path, model, input) in [
        (MESSAGES, "claude-sonnet-5-5", talk),
        ("/anthropic/v1/messages/count_tokens", "claude-sonnet-5-5", talk),
        (CHAT, "gpt-6.2-sol", talk),
        (RESPONSES, "gpt-6.2-sol", r#""input" :"h\u0069", "store":false"#),
    ] {
        let sent = odd(model, input);
        shop.client.send(&call(path, sent.clone())).await?;
        let last = shop.last()?;
        assert_eq!(String::from_utf8_lossy(&last.body), sent, "{path}");
        assert!(path.ends_with(last.target.as_str()), "{path}");
    }
    Ok(())
}

#[tokio::test]
async fn a_marked_body_differs_by_its_marks_alone() -> anyhow::Result<()> {
    let shop = Shop::open(ALWAYS).await?;
    let long = "w\\u006frds ".repeat(600);
    let input = format!(
        r#""system":[ {{"text":"{long}" , "type":"text"}} ], "messages":[{{"role":"user", "content":[{{"type":"text","text":"{long}" }} ]}}]"#
    );
    let sent = odd("claude-sonnet-5-5", &input).replace("6.4e1", "64");
    shop.client.send(&call(MESSAGES, sent.clone())).await?;
    let received = String::from_utf8(shop.last()?.body.to_vec())?;
    assert_eq!(received.matches(MARK).count(), 2, "{received}");
    assert_eq!(received.replace(MARK, ""), sent);
    Ok(())
}

#[tokio::test]
async fn a_megabyte_arrives_as_written_but_for_its_mark() -> anyhow::Result<()> {
    let shop = Shop::open(ALWAYS).await?;
    let text = "0123456789abcde ".repeat(1 << 16);
    let sent = format!(
        r#"{{"model":"claude-sonnet-5-5","max_tokens":64,"messages":[{{"role":"user","content":[{{"type":"text","text":"{text}"}}]}}]}}"#
    );
    let reply = shop.client.send(&call(MESSAGES, sent.clone())).await?;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let received = String::from_utf8(shop.last()?.body.to_vec())?;
    assert!(received.contains(MARK) && received.replace(MARK, "") == sent);
    Ok(())
}

#[tokio::test]
async fn a_chat_stream_is_asked_for_usage_and_keyed_and_nothing_else() -> anyhow::Result<()> {
    let shop = Shop::open("  upstreams: {openai: {dialect: OpenAI}}\n  resultCache: {mode: Disabled}").await?;
    let sent = r#"{"model":"gpt-6.2-sol", "stream" :true,"messages":[{"role":"user","content":"hi"}] }"#;
    let reply = shop.client.send(&call(CHAT, sent)).await?;
    assert_eq!(reply.status, 200);
    assert!(!reply.text().contains(r#""usage":{"#), "{}", reply.text());
    let received = String::from_utf8(shop.last()?.body.to_vec())?;
    let rest = received.replacen(r#","stream_options":{"include_usage":true}"#, "", 1);
    let key = shop.last()?.json()["prompt_cache_key"].clone();
    assert_eq!(rest.replacen(&format!(r#","prompt_cache_key":{key}"#), "", 1), sent);
    Ok(())
}

#[tokio::test]
async fn a_compatible_upstream_gets_no_splice_but_the_model() -> anyhow::Result<()> {
    let spec = "  promptCache: {strategy: Always}\n  upstreams: {openai: {dialect: Compatible}}\n  \
                routing: {requestModels: [\"gpt-*\"], tiers: [{name: small, models: {openai: gpt-6-luna}}], \
                rules: [{tier: small, anyKeyword: [cheap]}]}";
    let shop = Shop::open(spec).await?;
    let sent =
        r#"{ "model":"gpt-6.2-sol","own_field":[1,2], "stream":true,"messages":[{"role":"user","content":"hi"}]}"#;
    shop.client.send(&call(CHAT, sent)).await?;
    assert_eq!(String::from_utf8_lossy(&shop.last()?.body), sent);
    let routed = sent.replace("\"hi\"", "\"cheap\"");
    shop.client.send(&call(CHAT, routed.clone())).await?;
    assert_eq!(
        String::from_utf8_lossy(&shop.last()?.body),
        routed.replace("gpt-6.2-sol", "gpt-6-luna")
    );
    Ok(())
}

#[tokio::test]
async fn what_is_not_understood_goes_through_whole_and_is_counted() -> anyhow::Result<()> {
    let shop = Shop::open(ALWAYS).await?;
    for (reason, sent) in [
        ("not_json", "{\"model\":\"claude-sonnet-5-5\", oops".as_bytes()),
        ("not_json", b"\x00\xff\xfe"),
        ("not_object", b" [1, 2] "),
        ("no_model", b"{\"messages\":[]}"),
    ] {
        let reply = shop.client.send(&call(MESSAGES, Bytes::from_static(sent))).await?;
        assert_eq!(shop.last()?.body, sent);
        assert_eq!(reply.status, 400, "the provider judges it: {}", reply.text());
        assert_eq!(reply.cache_status(), format!("llmcache; fwd=bypass; detail={reason}"));
        assert_eq!(reply.json()?["error"]["type"], "invalid_request_error");
    }
    let deep = format!("{{\"model\":\"m\",\"x\":{}{}}}", "[".repeat(5_000), "]".repeat(5_000));
    shop.client.send(&call(MESSAGES, deep.clone())).await?;
    assert_eq!(shop.last()?.body, deep);
    let account = shop.client.account().await?;
    assert_eq!(account["requests"]["bypass"]["not_json"], 2);
    assert_eq!(account["requests"]["bypass"]["too_deep"], 1);
    Ok(())
}

#[tokio::test]
async fn a_compressed_body_goes_through_compressed() -> anyhow::Result<()> {
    let shop = Shop::open(ALWAYS).await?;
    let sent = Bytes::from_static(b"\x1f\x8b\x08\x00not really gzip");
    let reply = shop
        .client
        .send(&call(MESSAGES, sent.clone()).header("content-encoding", "gzip"))
        .await?;
    let last = shop.last()?;
    assert_eq!(
        (last.body.clone(), last.header("content-encoding")),
        (sent, Some("gzip"))
    );
    assert!(reply.cache_status().ends_with("detail=compressed"));
    Ok(())
}

#[tokio::test]
async fn a_body_over_the_limit_streams_through() -> anyhow::Result<()> {
    let shop = Shop::open(ALWAYS).await?;
    let sent = Bytes::from(vec![b' '; (32 << 20) + 1]);
    let reply = shop.client.send(&call(MESSAGES, sent)).await?;
    assert_eq!(reply.status, 413, "the provider judges it");
    assert!(
        reply.cache_status().ends_with("detail=too_large"),
        "{:?}",
        reply.headers
    );
    Ok(())
}

#[tokio::test]
async fn only_the_model_of_a_token_count_may_change() -> anyhow::Result<()> {
    let spec = "  promptCache: {strategy: Always}\n  routing: {requestModels: [\"claude-sonnet-*\"], tiers: \
                [{name: small, models: {anthropic: claude-haiku-5-5}}], rules: [{tier: small, maxInputTokens: 100000}]}";
    let shop = Shop::open(spec).await?;
    let text = "word ".repeat(4_000);
    let body = json!({"model": "claude-sonnet-5-5", "messages": [{"role": "user", "content": [{"type": "text", "text": text}]}]});
    let reply = shop
        .client
        .send(&call("/anthropic/v1/messages/count_tokens", body.to_string()))
        .await?;
    assert_eq!(reply.json()?["input_tokens"], 5_000);
    let expected = body.to_string().replace("claude-sonnet-5-5", "claude-haiku-5-5");
    assert_eq!(String::from_utf8_lossy(&shop.last()?.body), expected);
    Ok(())
}
