//! When a request is sent again by us: once, when a pooled connection had closed before any byte of a response.

use llmcache_tests::kit::{Call, Launch, Sidecar, policy};

use crate::setup::{Act, NOTHING, Raw, answer, question};

async fn before(raw: &Raw) -> anyhow::Result<Sidecar> {
    Launch::new(policy(NOTHING), raw.url.clone()).start().await
}

fn models() -> Call {
    Call::get("/anthropic/v1/models").header("x-api-key", "key-a")
}

fn batch() -> Call {
    Call::post("/anthropic/v1/messages/batches", "{}").header("x-api-key", "key-a")
}

#[tokio::test]
async fn a_pooled_connection_that_closed_unanswered_costs_one_resend() -> anyhow::Result<()> {
    for call in [Call::messages(&question("hi")), models()] {
        let raw = Raw::start(|number| match number {
            2 => Act::SayAndHangUp(Vec::new()),
            _ => Act::Say(answer("{\"a\":1}")),
        })
        .await?;
        let sidecar = before(&raw).await?;
        let client = sidecar.client();
        assert_eq!(client.send(&call).await?.status, 200);
        let second = client.send(&call).await?;
        assert_eq!((second.status.as_u16(), second.text().as_str()), (200, "{\"a\":1}"));
        let seen = raw.seen();
        assert_eq!((seen.len(), raw.connections()), (3, 2));
        assert_eq!(seen[1], seen[2], "the same request again");
    }
    Ok(())
}

#[tokio::test]
async fn a_request_is_resent_once_only() -> anyhow::Result<()> {
    let raw = Raw::start(|number| match number {
        1 => Act::Say(answer("{}")),
        _ => Act::SayAndHangUp(Vec::new()),
    })
    .await?;
    let sidecar = before(&raw).await?;
    let call = Call::messages(&question("hi"));
    assert_eq!(sidecar.client().send(&call).await?.status, 200);
    assert_eq!(sidecar.client().send(&call).await?.status, 502);
    assert_eq!(raw.seen().len(), 3);
    Ok(())
}

#[tokio::test]
async fn a_fresh_connection_that_closes_is_no_reason_to_resend() -> anyhow::Result<()> {
    let raw = Raw::start(|_| Act::SayAndHangUp(Vec::new())).await?;
    let sidecar = before(&raw).await?;
    for (call, seen) in [(Call::messages(&question("hi")), 1), (models(), 2)] {
        assert_eq!(sidecar.client().send(&call).await?.status, 502);
        assert_eq!(raw.seen().len(), seen);
    }
    Ok(())
}

#[tokio::test]
async fn one_byte_of_a_response_forbids_a_resend() -> anyhow::Result<()> {
    for broken in ["HTTP/1.1 200 OK\r\ncontent-le", "H", "garbage\r\n\r\n"] {
        let raw = Raw::start(move |number| match number {
            1 => Act::Say(answer("{}")),
            _ => Act::SayAndHangUp(broken.as_bytes().to_vec()),
        })
        .await?;
        let sidecar = before(&raw).await?;
        let call = Call::messages(&question("hi"));
        assert_eq!(sidecar.client().send(&call).await?.status, 200);
        assert_eq!(sidecar.client().send(&call).await?.status, 502, "{broken:?}");
        assert_eq!(raw.seen().len(), 2, "{broken:?}");
    }
    Ok(())
}

#[tokio::test]
async fn a_body_that_streamed_through_is_not_resent() -> anyhow::Result<()> {
    let raw = Raw::start(|number| match number {
        1 => Act::Say(answer("{}")),
        _ => Act::SayAndHangUp(Vec::new()),
    })
    .await?;
    let sidecar = before(&raw).await?;
    assert_eq!(sidecar.client().send(&batch()).await?.status, 200);
    assert_eq!(sidecar.client().send(&batch()).await?.status, 502);
    assert_eq!(raw.seen().len(), 2);
    Ok(())
}

#[tokio::test]
async fn a_dead_upstream_is_a_retryable_error_in_the_providers_shape_and_accounted() -> anyhow::Result<()> {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let sidecar = Launch::new(policy(NOTHING), format!("http://{nobody}")).start().await?;
    let chat = serde_json::json!({"model": "gpt-6.2-sol", "messages": [{"role": "user", "content": "hi"}]});
    let files = Call::get("/openai/v1/files").header("authorization", "Bearer key-a");
    for (call, kind, code) in [
        (Call::messages(&question("hi")), "api_error", None),
        (models(), "api_error", None),
        (Call::chat(&chat), "server_error", Some("llmcache_upstream")),
        (files, "server_error", Some("llmcache_upstream")),
    ] {
        let reply = sidecar.client().send(&call).await?;
        assert_eq!((reply.status.as_u16(), reply.header("x-should-retry")), (502, ""));
        let error = &reply.json()?["error"];
        assert_eq!((error["type"].as_str(), error["code"].as_str()), (Some(kind), code));
        assert!(
            error["message"]
                .as_str()
                .is_some_and(|message| message.starts_with("llmcache: "))
        );
    }
    let account = sidecar.client().account().await?;
    assert_eq!(
        (account["requests"]["total"].as_u64(), account["usd"]["actual"].as_str()),
        (Some(4), Some("0.000000000"))
    );
    Ok(())
}
