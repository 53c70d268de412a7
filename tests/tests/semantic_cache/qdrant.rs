//! Questions shared through a Qdrant: they reach another sidecar sealed, and a server that is frozen, away or lies costs
//! no request.

use std::time::Instant;

use anyhow::ensure;
use llmcache_tests::kit::{Call, Client, FakeQdrant, Launch, Redis, Sidecar, Stage, eventually, metric};

use crate::{Pair, ask, enforced, open, stage_of, wait_for_embedder};

/// A store, an index and what sidecars share beside them.
struct Shared {
    redis: Redis,
    qdrant: FakeQdrant,
}

impl Shared {
    async fn start() -> anyhow::Result<Self> {
        Ok(Self {
            redis: Redis::start().await?,
            qdrant: FakeQdrant::start(Some("k3y")).await?,
        })
    }

    fn launch(&self) -> Launch {
        let index = self.qdrant.url().replacen("http://", "http://k3y@", 1);
        Launch {
            secret: Some(vec![7; 32]),
            ..Launch::new(enforced(""), "").args(["--redis", &self.redis.url(), "--qdrant", &index])
        }
    }

    async fn stage(&self) -> anyhow::Result<Stage> {
        let stage = stage_of(self.launch()).await?;
        is_avoided(&stage.sidecar, false).await?;
        Ok(stage)
    }

    /// Another sidecar in front of the same provider.
    async fn beside(&self, stage: &Stage) -> anyhow::Result<Sidecar> {
        let launch = Launch {
            upstream: stage.fake.url(),
            ..self.launch()
        };
        let sidecar = launch.start().await?;
        wait_for_embedder(&sidecar).await?;
        is_avoided(&sidecar, false).await?;
        Ok(sidecar)
    }

    /// Waits until so many points are there.
    async fn points(&self, count: usize) -> anyhow::Result<()> {
        let held = || {
            self.qdrant
                .collections()
                .iter()
                .map(|(_, points)| points)
                .sum::<usize>()
        };
        eventually("the points are written", async || held() >= count).await
    }
}

/// Waits until the index is avoided, or is not any more.
async fn is_avoided(sidecar: &Sidecar, is_avoided: bool) -> anyhow::Result<()> {
    let wanted = if is_avoided { 1.0 } else { 0.0 };
    eventually("the breaker of the index", async || {
        let page = page(sidecar, "/metrics").await.unwrap_or_default();
        page.contains("llmcache_store_breaker_open{store=\"qdrant\"}")
            && (metric(&page, "llmcache_store_breaker_open", &["qdrant"]) - wanted).abs() < 0.1
    })
    .await
}

/// A page of the admin port.
async fn page(sidecar: &Sidecar, path: &str) -> anyhow::Result<String> {
    Ok(sidecar.admin().send(&Call::get(path)).await?.text())
}

/// Whether the second wording finds the answer to the first, be it served, drawn for a label or below what is served.
async fn is_found(client: &Client, pair: &Pair) -> anyhow::Result<bool> {
    let reply = client.send(&Call::messages(&ask(&pair.b))).await?;
    ensure!(reply.status.is_success(), "{}", reply.text());
    let said = reply.header("x-llmcache-reason");
    let words = ["served", "drawn", "below"];
    Ok(reply.is_hit()
        || words
            .iter()
            .any(|word| said.contains(&format!("semantic_cache={word}"))))
}

#[tokio::test]
async fn what_one_sidecar_has_stored_another_finds_and_nobody_reads() {
    let shared = Shared::start().await.unwrap();
    let first = shared.stage().await.unwrap();
    let second = shared.beside(&first).await.unwrap();
    let client = second.client();
    let pairs = crate::pairs();
    for pair in &pairs[..20] {
        first.messages(&ask(&pair.a)).await.unwrap();
    }
    shared.points(20).await.unwrap();
    let dump = shared.qdrant.dump();
    for pair in &pairs[..20] {
        assert!(!dump.contains(&pair.a), "{} lies there to be read", pair.a);
    }
    let mut found = 0;
    for pair in &pairs[..20] {
        found += usize::from(is_found(&client, pair).await.unwrap());
    }
    assert!(found >= 15, "{found} of 20");
    assert_eq!(shared.qdrant.collections().len(), 1);
    let ready = page(&second, "/readyz").await.unwrap();
    assert!(ready.contains("index: qdrant\n"), "{ready}");
}

#[tokio::test]
async fn a_frozen_server_fails_no_request_and_is_used_again_when_it_answers() {
    let shared = Shared::start().await.unwrap();
    let stage = shared.stage().await.unwrap();
    let left = open(&stage).await.unwrap();
    shared.qdrant.freeze(true);
    let mut served = 0;
    for (at, pair) in left.iter().take(20).enumerate() {
        let began = Instant::now();
        for text in [&pair.a, &pair.b] {
            let reply = stage.messages(&ask(text)).await.unwrap();
            assert!(reply.status.is_success(), "{}", reply.text());
            served += usize::from(reply.is_hit());
        }
        println!("pair {at} with a frozen server: {:?}", began.elapsed());
    }
    is_avoided(&stage.sidecar, true).await.unwrap();
    assert!(served > 5, "{served} of 20 served out of this process");
    shared.qdrant.freeze(false);
    is_avoided(&stage.sidecar, false).await.unwrap();
    let before = shared.qdrant.count("Points/Query");
    assert!(stage.messages(&ask(&left[30].a)).await.unwrap().status.is_success());
    assert!(shared.qdrant.count("Points/Query") > before);
}

#[tokio::test]
async fn points_that_were_changed_are_no_neighbours() {
    let shared = Shared::start().await.unwrap();
    let first = shared.stage().await.unwrap();
    let second = shared.beside(&first).await.unwrap();
    let client = second.client();
    let pairs = crate::pairs();
    for pair in &pairs[..10] {
        first.messages(&ask(&pair.a)).await.unwrap();
    }
    shared.points(10).await.unwrap();
    // Each says that it is for ever, which was not sealed.
    shared.qdrant.change(|point| {
        point.payload.insert("expires".into(), i64::MAX.into());
    });
    for pair in &pairs[..10] {
        assert!(!is_found(&client, pair).await.unwrap(), "{pair:?}");
    }
    let page = page(&second, "/metrics").await.unwrap();
    assert!(
        metric(&page, "llmcache_store_bad_entries_total", &["qdrant"]) > 0.0,
        "{page}"
    );
}
