//! Living and ending: drains, grace, bounds.

use http_body_util::BodyExt;
use llmcache_tests::fake::{FakeConfig, Fault, Trouble};
use llmcache_tests::kit::{Call, eventually};
use rustix::process::Signal;
use serde_json::json;
use tokio::io::AsyncWriteExt;

use crate::setup::{ALWAYS, NOTHING, Shop, dial, question, read_until};

/// Connections served at once.
const CONNECTIONS: usize = 1_024;

fn stream() -> Call {
    let mut body = question("tell me a story");
    body["stream"] = json!(true);
    Call::messages(&body)
}

#[tokio::test]
async fn a_drain_lets_a_slow_stream_finish_and_takes_nobody_new() -> anyhow::Result<()> {
    let mut shop = Shop::open(ALWAYS).await?;
    shop.fake.script(Fault::new(Trouble::StallAfter(3)));
    let answer = shop.client.open(&stream()).await?;
    eventually("the stream stalls", async || shop.fake.stalled() == 1).await?;
    shop.sidecar.signal(Signal::TERM)?;
    let proxy = shop.sidecar.proxy.clone();
    eventually("new connections are refused", async || dial(&proxy).await.is_err()).await?;
    let live = shop.sidecar.admin().send(&Call::get("/livez")).await?;
    assert_eq!(live.status, 200, "the admin port outlives the drain");
    shop.fake.release();
    let whole = answer.into_body().collect().await?.to_bytes();
    assert!(String::from_utf8_lossy(&whole).contains("event: message_stop"));
    assert_eq!(shop.sidecar.wait().await?.code(), Some(0));
    Ok(())
}

#[tokio::test]
async fn a_grace_period_that_is_over_cuts_what_is_open() -> anyhow::Result<()> {
    for signal in [Signal::TERM, Signal::INT] {
        let mut shop = Shop::with(FakeConfig::default(), NOTHING, ["--grace", "0"]).await?;
        shop.fake.script(Fault::new(Trouble::StallAfter(3)));
        let answer = shop.client.open(&stream()).await?;
        eventually("the stream stalls", async || shop.fake.stalled() == 1).await?;
        shop.sidecar.signal(signal)?;
        assert_eq!(shop.sidecar.wait().await?.code(), Some(0));
        let rest = answer.into_body().collect().await;
        let whole = rest.map(http_body_util::Collected::to_bytes).unwrap_or_default();
        assert!(!String::from_utf8_lossy(&whole).contains("event: message_stop"));
    }
    Ok(())
}

#[tokio::test]
async fn an_idle_sidecar_ends_at_once_with_kept_connections_open() -> anyhow::Result<()> {
    let mut shop = Shop::with(FakeConfig::default(), NOTHING, ["--grace", "3600"]).await?;
    let mut kept = dial(&shop.sidecar.proxy).await?;
    kept.write_all(b"GET /llmcache/snapshot HTTP/1.1\r\nhost: localhost\r\n\r\n")
        .await?;
    read_until(&mut kept, "}\n").await?;
    shop.sidecar.signal(Signal::TERM)?;
    assert_eq!(shop.sidecar.wait().await?.code(), Some(0));
    Ok(())
}

#[tokio::test]
async fn connections_are_bounded_and_those_beyond_wait_their_turn() -> anyhow::Result<()> {
    let shop = Shop::open(NOTHING).await?;
    let mut open = Vec::new();
    for _ in 0..CONNECTIONS {
        let mut stream = dial(&shop.sidecar.proxy).await?;
        stream
            .write_all(b"GET /llmcache/snapshot HTTP/1.1\r\nhost: localhost\r\n\r\n")
            .await?;
        read_until(&mut stream, "}\n").await?;
        open.push(stream);
    }
    let mut beyond = dial(&shop.sidecar.proxy).await?;
    beyond
        .write_all(b"GET /llmcache/snapshot HTTP/1.1\r\nhost: localhost\r\n\r\n")
        .await?;
    // The admin port answers after the proxy had every chance to: it is another listener of the same process.
    for _ in 0..20 {
        assert_eq!(shop.sidecar.admin().send(&Call::get("/livez")).await?.status, 200);
    }
    let early = beyond.try_read(&mut [0; 1]);
    assert!(early.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock));
    drop(open);
    read_until(&mut beyond, "}\n").await?;
    Ok(())
}

#[tokio::test]
async fn many_parallel_streams_all_arrive_whole() -> anyhow::Result<()> {
    let shop = Shop::open(ALWAYS).await?;
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..200 {
        let client = shop.client.clone();
        let mut body = question(&format!("question {number}"));
        body["stream"] = json!(true);
        tasks.spawn(async move { client.send(&Call::messages(&body)).await });
    }
    while let Some(reply) = tasks.join_next().await {
        let reply = reply??;
        assert!(
            reply.status == 200 && reply.text().contains("event: message_stop"),
            "{}",
            reply.text()
        );
    }
    assert_eq!(shop.fake.calls(), 200);
    assert_eq!(shop.client.account().await?["requests"]["total"], 200);
    Ok(())
}

#[tokio::test]
async fn a_provider_that_takes_its_time_is_waited_for() -> anyhow::Result<()> {
    let shop = Shop::open(NOTHING).await?;
    shop.fake.script(Fault::new(Trouble::SlowHeadMs(1_500)));
    assert_eq!(shop.client.send(&Call::messages(&question("hi"))).await?.status, 200);
    assert_eq!(shop.fake.received(), 1);
    Ok(())
}
