//! The shared store: what it gives, what it shows, and what its failures cost.

use llmcache_tests::fake::{Fake, FakeConfig};
use llmcache_tests::kit::{Call, Launch, Redis, Sidecar, eventually, metric};
use rustix::process::Signal;

use crate::{ask, cached_with, streamed};

const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";

async fn unconnected(fake: &Fake, url: &str, secret: &[u8]) -> anyhow::Result<Sidecar> {
    let policy = cached_with("", "  tags: [\"canarytag:{user}\"]");
    let mut launch = Launch::new(policy, fake.url()).args(["--redis", url]);
    launch.secret = Some(secret.to_vec());
    launch.start().await
}

/// The same once it has reached the store: what is offered before is not written.
async fn sidecar(fake: &Fake, url: &str, secret: &[u8]) -> anyhow::Result<Sidecar> {
    let sidecar = unconnected(fake, url, secret).await?;
    eventually("the store is reached", async || {
        is_breaker_open(&sidecar).await.is_ok_and(|is_open| !is_open)
    })
    .await?;
    Ok(sidecar)
}

/// Keys of the answers in the store, one to a line.
async fn keys(redis: &Redis) -> anyhow::Result<Vec<String>> {
    let reply = redis.command("KEYS *").await?;
    Ok(reply
        .lines()
        .filter(|line| line.starts_with("llmcache:") && line.contains(":r:"))
        .map(|line| line.trim().to_owned())
        .collect())
}

/// Waits until a process reads the store, by an answer that another has put there.
async fn connected(sidecar: &Sidecar, body: &serde_json::Value) -> anyhow::Result<()> {
    let call = Call::messages(body).header("cache-control", "only-if-cached");
    eventually("the stored answer is found", async || {
        sidecar.client().send(&call).await.is_ok_and(|reply| reply.is_hit())
    })
    .await
}

async fn is_breaker_open(sidecar: &Sidecar) -> anyhow::Result<bool> {
    let page = sidecar.admin().send(&Call::get("/metrics")).await?.text();
    Ok(metric(&page, "llmcache_store_breaker_open", &["redis"]) > 0.0)
}

#[tokio::test]
async fn second_process_hits_with_the_same_secret_alone() {
    let (redis, fake) = (
        Redis::start().await.unwrap(),
        Fake::start(FakeConfig::default()).await.unwrap(),
    );
    let first = sidecar(&fake, &redis.url(), SECRET).await.unwrap();
    let body = ask("shared");
    first.client().send(&Call::messages(&body)).await.unwrap();
    eventually("it is written", async || {
        keys(&redis).await.is_ok_and(|keys| keys.len() == 1)
    })
    .await
    .unwrap();
    let second = sidecar(&fake, &redis.url(), SECRET).await.unwrap();
    connected(&second, &body).await.unwrap();
    for body in [body.clone(), streamed(body.clone())] {
        assert!(second.client().send(&Call::messages(&body)).await.unwrap().is_hit());
    }
    let stranger = sidecar(&fake, &redis.url(), b"another secret of thirty-two bytes")
        .await
        .unwrap();
    assert!(!stranger.client().send(&Call::messages(&body)).await.unwrap().is_hit());
}

#[tokio::test]
async fn store_shows_nothing_in_clear_and_every_key_ends() {
    let (redis, fake) = (
        Redis::start().await.unwrap(),
        Fake::start(FakeConfig::default()).await.unwrap(),
    );
    let sidecar = sidecar(&fake, &redis.url(), SECRET).await.unwrap();
    let mut body = ask("canaryprompt");
    body["metadata"] = serde_json::json!({"user_id": "canaryuser"});
    for body in [body.clone(), streamed(ask("canaryprompt two"))] {
        let call = Call::messages(&body)
            .header("x-api-key", "canarykey")
            .header("x-llmcache-tags", "canarytag");
        assert_eq!(sidecar.client().send(&call).await.unwrap().status, 200);
    }
    eventually("both are written", async || {
        keys(&redis).await.is_ok_and(|keys| keys.len() == 2)
    })
    .await
    .unwrap();
    let everything = redis.command("KEYS *").await.unwrap();
    for key in everything
        .lines()
        .map(str::trim)
        .filter(|line| line.starts_with("llmcache:"))
    {
        let left = redis.command(&format!("TTL {key}")).await.unwrap();
        let left: i64 = left.lines().next().unwrap().trim_start_matches(':').parse().unwrap();
        // The lists and the log of bans outlive every answer, which may be kept for 30 days.
        let longest = if key.contains(":r:") { 3_600 } else { 31 * 86_400 };
        assert!((1..=longest).contains(&left), "{key}: {left}");
        let read = if key.contains(":r:") {
            "GET {}"
        } else {
            "ZRANGE {} 0 -1"
        };
        let value = redis.command(&read.replace("{}", key)).await.unwrap();
        for clear in ["canary", "Answer", "haiku", "usage", "shop", "dynamic", "\"role\""] {
            assert!(!value.contains(clear) && !key.contains(clear), "{clear} in {key}");
        }
        assert!(!key.contains(":test:"), "{key}");
    }
}

#[tokio::test]
async fn last_answer_before_the_end_is_written() {
    let (redis, fake) = (
        Redis::start().await.unwrap(),
        Fake::start(FakeConfig::default()).await.unwrap(),
    );
    let mut first = sidecar(&fake, &redis.url(), SECRET).await.unwrap();
    for n in 0..20 {
        first
            .client()
            .send(&Call::messages(&ask(&format!("last {n}"))))
            .await
            .unwrap();
    }
    first.signal(Signal::TERM).unwrap();
    assert!(first.wait().await.unwrap().success());
    assert_eq!(keys(&redis).await.unwrap().len(), 20);
}

#[tokio::test]
async fn garbage_in_the_store_is_a_miss() {
    let (redis, fake) = (
        Redis::start().await.unwrap(),
        Fake::start(FakeConfig::default()).await.unwrap(),
    );
    let first = sidecar(&fake, &redis.url(), SECRET).await.unwrap();
    for n in 0..4 {
        first
            .client()
            .send(&Call::messages(&ask(&format!("{n}"))))
            .await
            .unwrap();
    }
    eventually("all are written", async || {
        keys(&redis).await.is_ok_and(|keys| keys.len() == 4)
    })
    .await
    .unwrap();
    let all = keys(&redis).await.unwrap();
    for (key, command) in all
        .iter()
        .zip(["SET {} garbage", "APPEND {} x", "SETRANGE {} 20 xxxx", "DEL {}"])
    {
        redis.command(&command.replace("{}", key)).await.unwrap();
    }
    redis.command(&format!("LPUSH {} list", all[3])).await.unwrap();
    let second = sidecar(&fake, &redis.url(), SECRET).await.unwrap();
    first.client().send(&Call::messages(&ask("intact"))).await.unwrap();
    connected(&second, &ask("intact")).await.unwrap();
    for n in 0..4 {
        let reply = second
            .client()
            .send(&Call::messages(&ask(&format!("{n}"))))
            .await
            .unwrap();
        assert_eq!((reply.status.as_u16(), reply.is_hit()), (200, false), "{n}");
    }
}

#[tokio::test]
async fn frozen_store_fails_nothing_and_comes_back() {
    let (redis, fake) = (
        Redis::start().await.unwrap(),
        Fake::start(FakeConfig::default()).await.unwrap(),
    );
    let sidecar = sidecar(&fake, &redis.url(), SECRET).await.unwrap();
    let client = sidecar.client();
    client.send(&Call::messages(&ask("warm"))).await.unwrap();
    eventually("it is written", async || {
        keys(&redis).await.is_ok_and(|keys| keys.len() == 1)
    })
    .await
    .unwrap();
    redis.signal(Signal::STOP).unwrap();
    for n in 0..20 {
        let reply = client
            .send(&Call::messages(&ask(&format!("frozen {n}"))))
            .await
            .unwrap();
        assert!(reply.cache_status().starts_with("llmcache; fwd=miss"), "{n}");
    }
    assert!(is_breaker_open(&sidecar).await.unwrap());
    redis.signal(Signal::CONT).unwrap();
    eventually("the breaker closes", async || {
        is_breaker_open(&sidecar).await.is_ok_and(|is_open| !is_open)
    })
    .await
    .unwrap();
    let before = keys(&redis).await.unwrap().len();
    client.send(&Call::messages(&ask("after"))).await.unwrap();
    eventually("it is written again", async || {
        keys(&redis).await.is_ok_and(|keys| keys.len() > before)
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn killed_or_absent_store_fails_nothing() {
    let (redis, fake) = (
        Redis::start().await.unwrap(),
        Fake::start(FakeConfig::default()).await.unwrap(),
    );
    let killed = sidecar(&fake, &redis.url(), SECRET).await.unwrap();
    killed.client().send(&Call::messages(&ask("before"))).await.unwrap();
    redis.signal(Signal::KILL).unwrap();
    let absent = unconnected(&fake, "redis://127.0.0.1:1", SECRET).await.unwrap();
    for sidecar in [&killed, &absent] {
        for n in 0..10 {
            let call = Call::messages(&ask(&format!("dead {n}")));
            assert_eq!(sidecar.client().send(&call).await.unwrap().status, 200);
            assert_eq!(sidecar.client().send(&call).await.unwrap().status, 200);
        }
        eventually("the breaker opens", async || {
            is_breaker_open(sidecar).await.is_ok_and(|is_open| is_open)
        })
        .await
        .unwrap();
        // Whatever others ban meanwhile could not be heard here.
        let call = Call::messages(&ask("dead 0"));
        eventually("nothing is served any more", async || {
            sidecar.client().send(&call).await.is_ok_and(|reply| !reply.is_hit())
        })
        .await
        .unwrap();
        let reply = sidecar.client().send(&call).await.unwrap();
        assert!(
            reply.header("x-llmcache-reason").ends_with("store=no_lease"),
            "{:?}",
            reply.headers
        );
    }
}
