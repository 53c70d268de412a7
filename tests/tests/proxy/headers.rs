//! Headers: the app's own reach the provider, those of its connection and those that control us do not.

use llmcache_tests::kit::{Call, Launch, policy};

use crate::setup::{Act, NOTHING, Raw, Shop, question};

#[tokio::test]
async fn control_and_hop_by_hop_headers_stay_and_all_others_go_on() -> anyhow::Result<()> {
    let shop = Shop::open(NOTHING).await?;
    let call = Call::messages(&question("hi"))
        .header("anthropic-beta", "some-beta-2026-01-01,other")
        .header("anthropic-workspace-id", "w1")
        .header("x-own", "kept")
        .header("x-stainless-retry-count", "1")
        .header("cache-control", "no-store")
        .header("x-llmcache-pin", "requested")
        .header("x-llmcache-tags", "a")
        .header("connection", "keep-alive, x-hop")
        .header("x-hop", "dropped")
        .header("te", "trailers")
        .header("proxy-authorization", "Basic eA==");
    assert_eq!(shop.client.send(&call).await?.status, 200);
    let last = shop.last()?;
    for (name, value) in [
        ("x-api-key", "key-a"),
        ("anthropic-version", "2023-06-01"),
        ("anthropic-beta", "some-beta-2026-01-01,other"),
        ("anthropic-workspace-id", "w1"),
        ("x-own", "kept"),
        ("x-stainless-retry-count", "1"),
    ] {
        assert_eq!(last.header(name), Some(value), "{name}");
    }
    for name in [
        "x-llmcache-pin",
        "x-llmcache-tags",
        "x-hop",
        "te",
        "proxy-authorization",
    ] {
        assert_eq!(last.header(name), None, "{name}");
    }
    let fake = shop.fake.address().to_string();
    assert_eq!(last.header("host"), Some(fake.as_str()));
    Ok(())
}

#[tokio::test]
async fn typed_endpoints_alone_ask_for_identity() -> anyhow::Result<()> {
    let shop = Shop::open(NOTHING).await?;
    let typed = Call::messages(&question("hi")).header("accept-encoding", "gzip, br");
    shop.client.send(&typed).await?;
    assert_eq!(shop.last()?.header("accept-encoding"), Some("identity"));
    let other = Call::get("/openai/v1/models")
        .header("authorization", "Bearer key-a")
        .header("accept-encoding", "gzip, br");
    shop.client.send(&other).await?;
    assert_eq!(shop.last()?.header("accept-encoding"), Some("gzip, br"));
    Ok(())
}

#[tokio::test]
async fn answers_come_back_with_their_own_bytes_and_headers() -> anyhow::Result<()> {
    let body = "{ \"type\" :\"error\",\r\n\"error\":{\"type\":\"odd_error\",\"message\":\"\\u0041\"}, \"x\": 1.50 }\n";
    let answer = format!(
        "HTTP/1.1 418 Odd\r\ncontent-type: application/json; x=1\r\nretry-after: 7\r\nx-should-retry: true\r\n\
         request-id: req_1\r\nset-cookie: a=1\r\nset-cookie: b=2\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let raw = Raw::start(move |_| Act::Say(answer.clone().into_bytes())).await?;
    let sidecar = Launch::new(policy(NOTHING), raw.url.clone()).start().await?;
    let files = Call::get("/anthropic/v1/files").header("x-api-key", "key-a");
    for call in [Call::messages(&question("hi")), files] {
        let reply = sidecar.client().send(&call).await?;
        assert_eq!((reply.status.as_u16(), reply.text().as_str()), (418, body));
        for (name, value) in [
            ("content-type", "application/json; x=1"),
            ("retry-after", "7"),
            ("x-should-retry", "true"),
            ("request-id", "req_1"),
        ] {
            assert_eq!(reply.header(name), value);
        }
        assert_eq!(reply.headers.get_all("set-cookie").iter().count(), 2);
        assert!(reply.header("x-llmcache-request-id").starts_with("lc_"));
    }
    Ok(())
}
