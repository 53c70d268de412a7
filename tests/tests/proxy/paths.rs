//! Paths: those SDKs really send, and all others of the providers, which stream through.

use http::Method;
use llmcache_tests::fake::FakeConfig;
use llmcache_tests::kit::Call;
use serde_json::json;
use sha2::{Digest, Sha256};
use tokio::io::AsyncWriteExt;

use crate::setup::{ALWAYS, NOTHING, Shop, dial, question, read_until};

fn keyed(call: Call) -> Call {
    call.header("x-api-key", "key-a")
        .header("anthropic-version", "2023-06-01")
}

#[tokio::test]
async fn path_variants_of_sdks_are_typed_and_reach_the_same_endpoint() -> anyhow::Result<()> {
    let shop = Shop::open(NOTHING).await?;
    let messages = question("hi").to_string();
    let chat = json!({"model": "gpt-6.2-sol", "messages": [{"role": "user", "content": "hi"}]}).to_string();
    let responses = json!({"model": "gpt-6.2-sol", "input": "hi"}).to_string();
    for (path, body, target) in [
        ("/anthropic/v1/messages", &messages, "/v1/messages"),
        ("/anthropic/v1/messages?beta=true", &messages, "/v1/messages?beta=true"),
        ("/anthropic/messages", &messages, "/v1/messages"),
        ("/anthropic/messages?beta=true", &messages, "/v1/messages?beta=true"),
        (
            "/anthropic/messages/count_tokens",
            &messages,
            "/v1/messages/count_tokens",
        ),
        ("/openai/v1/chat/completions", &chat, "/v1/chat/completions"),
        ("/openai/chat/completions", &chat, "/v1/chat/completions"),
        (
            "/openai/chat/completions?a=%20b&a=",
            &chat,
            "/v1/chat/completions?a=%20b&a=",
        ),
        ("/openai/v1/responses", &responses, "/v1/responses"),
        ("/openai/responses", &responses, "/v1/responses"),
    ] {
        let reply = shop.client.send(&keyed(Call::post(path, body.clone()))).await?;
        assert_eq!(reply.status, 200, "{path}: {}", reply.text());
        assert_eq!(shop.last()?.target, target);
        assert!(
            reply.header("x-llmcache-reason").contains("routing="),
            "{path} is not typed"
        );
    }
    Ok(())
}

#[tokio::test]
async fn every_other_path_streams_through_both_ways() -> anyhow::Result<()> {
    let shop = Shop::open(ALWAYS).await?;
    let body = "{\"requests\": [1,  2]}\r\n";
    for (method, path, target) in [
        (Method::POST, "/anthropic/v1/messages/batches", "/v1/messages/batches"),
        (Method::POST, "/anthropic/v1/messages/", "/v1/messages/"),
        (
            Method::POST,
            "/anthropic/v1/files?purpose=a%2Fb&x",
            "/v1/files?purpose=a%2Fb&x",
        ),
        (Method::POST, "/anthropic/files?purpose=a", "/v1/files?purpose=a"),
        (Method::POST, "/anthropic/messages/batches", "/v1/messages/batches"),
        (Method::POST, "/openai/v1/batches", "/v1/batches"),
        (
            Method::PUT,
            "/openai/v1/audio/transcriptions",
            "/v1/audio/transcriptions",
        ),
        (Method::PATCH, "/openai/v1/vector_stores/a//b", "/v1/vector_stores/a//b"),
    ] {
        let call = keyed(Call::post(path, body)).method(method.clone());
        let reply = shop.client.send(&call).await?;
        let last = shop.last()?;
        assert_eq!((last.method, last.target.as_str()), (method.clone(), target));
        assert_eq!(last.body, body);
        let digest = reply.json()?;
        assert_eq!(digest["sha256"], hex::encode(Sha256::digest(body)), "{path}");
        assert_eq!(reply.cache_status(), "llmcache; fwd=bypass; detail=endpoint");
    }
    let models = shop
        .client
        .send(&keyed(Call::get("/anthropic/v1/models?limit=5")))
        .await?;
    assert_eq!(models.json()?["data"][0]["type"], "model");
    assert_eq!(shop.last()?.target, "/v1/models?limit=5");
    let deleted = keyed(Call::get("/openai/v1/files/f-1")).method(Method::DELETE);
    assert_eq!(shop.client.send(&deleted).await?.status, 200);
    assert_eq!(shop.last()?.method, Method::DELETE);
    assert_eq!(shop.client.account().await?["requests"]["bypass"]["endpoint"], 10);
    Ok(())
}

#[tokio::test]
async fn a_head_request_is_answered_without_a_body() -> anyhow::Result<()> {
    let shop = Shop::open(NOTHING).await?;
    let reply = shop
        .client
        .send(&Call::get("/anthropic/api/hello").method(Method::HEAD))
        .await?;
    assert_eq!((reply.status.as_u16(), reply.body.len()), (200, 0));
    let last = shop.last()?;
    assert_eq!((last.method, last.target.as_str()), (Method::HEAD, "/api/hello"));
    Ok(())
}

#[tokio::test]
async fn a_path_that_is_nobodys_says_where_to_go() -> anyhow::Result<()> {
    let shop = Shop::open(NOTHING).await?;
    for path in ["/", "/v1/messages", "/anthropics/v1/messages", "/llmcaches/account"] {
        let reply = shop.client.send(&Call::post(path, "{}")).await?;
        assert_eq!(reply.status, 404);
        assert!(reply.text().contains("/anthropic"), "{}", reply.text());
    }
    assert_eq!(shop.fake.received(), 0);
    Ok(())
}

#[tokio::test]
async fn chunked_bodies_and_continue_work_on_one_kept_connection() -> anyhow::Result<()> {
    let shop = Shop::open(NOTHING).await?;
    let mut stream = dial(&shop.sidecar.proxy).await?;
    let body = question("hi").to_string();
    let head =
        "POST /anthropic/v1/messages HTTP/1.1\r\nhost: x\r\nx-api-key: key-a\r\nanthropic-version: 2023-06-01\r\n";
    let (first, second) = body.split_at(20);
    stream
        .write_all(
            format!(
                "{head}transfer-encoding: chunked\r\n\r\n{:x}\r\n{first}\r\n",
                first.len()
            )
            .as_bytes(),
        )
        .await?;
    stream
        .write_all(format!("{:x};ext=1\r\n{second}\r\n0\r\n\r\n", second.len()).as_bytes())
        .await?;
    let reply = read_until(&mut stream, "}}").await?;
    assert!(reply.starts_with("HTTP/1.1 200 OK"), "{reply}");
    assert_eq!(shop.last()?.body, body);
    assert_eq!(shop.last()?.header("transfer-encoding"), None);

    let expecting = format!("{head}expect: 100-continue\r\ncontent-length: {}\r\n\r\n", body.len());
    stream.write_all(expecting.as_bytes()).await?;
    let go_on = read_until(&mut stream, "\r\n\r\n").await?;
    assert!(go_on.starts_with("HTTP/1.1 100"), "{go_on}");
    stream.write_all(body.as_bytes()).await?;
    let reply = read_until(&mut stream, "}}").await?;
    assert!(reply.contains("HTTP/1.1 200 OK"), "{reply}");
    assert_eq!((shop.fake.calls(), shop.last()?.header("expect")), (2, None));
    Ok(())
}

#[tokio::test]
async fn compressed_answers_of_untyped_paths_come_back_compressed() -> anyhow::Result<()> {
    let config = FakeConfig {
        gzip: true,
        ..FakeConfig::default()
    };
    let shop = Shop::with(config, NOTHING, []).await?;
    // A compressed request is untyped, so the app's own wish for gzip reaches the provider.
    let call = keyed(Call::post("/anthropic/v1/messages", question("hi").to_string()))
        .header("content-encoding", "identity")
        .header("accept-encoding", "gzip");
    let reply = shop.client.send(&call).await?;
    assert_eq!(reply.header("content-encoding"), "gzip");
    assert!(reply.body.starts_with(b"\x1f\x8b"));
    let typed = Call::messages(&question("hi")).header("accept-encoding", "gzip");
    let reply = shop.client.send(&typed).await?;
    assert_eq!(
        (reply.header("content-encoding"), reply.json()?["type"].as_str()),
        ("", Some("message"))
    );
    Ok(())
}
