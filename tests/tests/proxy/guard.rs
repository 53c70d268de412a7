//! Our own endpoints answer programs of this machine that mean them, and nobody else; the admin port tells how we are.

use http::Method;
use llmcache_tests::kit::Call;

use crate::setup::{NOTHING, Shop, question};

#[tokio::test]
async fn foreign_hosts_web_pages_and_forms_are_refused() -> anyhow::Result<()> {
    let shop = Shop::open(NOTHING).await?;
    let get = |host: &str| Call::get("/llmcache/account").header("host", host);
    let post = |kind: &str| Call::post("/llmcache/invalidate", "{\"pattern\":\"a\"}").header("content-type", kind);
    for call in [
        get("evil.example"),
        get("127.0.0.1.evil.example"),
        get("localhost.evil.example:80"),
        get("127.0.0.1:x"),
        get("127.0.0.1@evil.example"),
        get(""),
        get("localhost").header("origin", "http://localhost"),
        get("localhost").header("origin", "null"),
        post("text/plain"),
        post("application/x-www-form-urlencoded"),
        post("application/jsonp"),
        post(""),
    ] {
        assert_eq!(shop.client.send(&call).await?.status, 403, "{call:?}");
    }
    for call in [
        get("127.0.0.1"),
        get("localhost:1"),
        get("[::1]:15480"),
        get("LocalHost"),
        post("application/json"),
        post("application/json; charset=utf-8"),
        post("Application/JSON"),
    ] {
        assert_eq!(shop.client.send(&call).await?.status, 200, "{call:?}");
    }
    Ok(())
}

#[tokio::test]
async fn local_endpoints_tell_wrong_methods_and_paths_apart() -> anyhow::Result<()> {
    let shop = Shop::open(NOTHING).await?;
    for (call, status) in [
        (Call::get("/llmcache/invalidate"), 405),
        (Call::post("/llmcache/account", "{}"), 405),
        (Call::get("/llmcache/nothing"), 404),
        (Call::get("/llmcache/account?id=lc_none"), 404),
        (Call::get("/llmcache/snapshot"), 200),
    ] {
        let reply = shop.client.send(&call).await?;
        assert_eq!(
            (reply.status.as_u16(), reply.header("cache-control")),
            (status, "no-store"),
            "{call:?}"
        );
    }
    assert_eq!(shop.fake.received(), 0, "none of them is the provider's");
    Ok(())
}

#[tokio::test]
async fn the_admin_port_tells_life_readiness_and_metrics() -> anyhow::Result<()> {
    let shop = Shop::open(NOTHING).await?;
    let admin = shop.sidecar.admin();
    assert_eq!(admin.send(&Call::get("/livez")).await?.text(), "ok\n");
    let ready = admin.send(&Call::get("/readyz")).await?.text();
    assert!(
        ready.contains("policy: test") && ready.contains("store: in-process"),
        "{ready}"
    );
    let before = admin.send(&Call::get("/metrics")).await?;
    assert!(before.header("content-type").starts_with("text/plain; version=0.0.4"));
    assert!(
        before
            .text()
            .contains("llmcache_bypass_total{layer=\"parse\",reason=\"compressed\"} 0")
    );
    shop.client.send(&Call::messages(&question("hi"))).await?;
    let after = admin.send(&Call::get("/metrics")).await?.text();
    let upstream = "llmcache_upstream_requests_total{model=\"claude-sonnet-5-5\",status=\"200\"} 1";
    assert!(after.contains(upstream), "{after}");
    assert_eq!(admin.send(&Call::get("/nothing")).await?.status, 404);
    assert_eq!(admin.send(&Call::get("/livez").method(Method::POST)).await?.status, 405);
    Ok(())
}
