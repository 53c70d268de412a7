//! Evidence outlives the process, and is shared through Redis; an answer ends by ban and by its age.

use llmcache_tests::kit::{Call, Launch, Redis, Stage, metric};
use serde_json::json;

use crate::{Pair, ask, enforced, open, stage, stage_of};

/// Whether a pair's second wording is served; its first is asked before.
async fn is_served(stage: &Stage, pair: &Pair) -> anyhow::Result<bool> {
    stage.messages(&ask(&pair.a)).await?;
    for _ in 0..20 {
        if stage.messages(&ask(&pair.b)).await?.is_hit() {
            return Ok(true);
        }
    }
    Ok(false)
}

#[tokio::test]
async fn evidence_is_shared_through_redis_and_survives_all_processes() {
    let redis = Redis::start().await.unwrap();
    let (url, secret) = (redis.url(), vec![7; 32]);
    let launch = || Launch {
        secret: Some(secret.clone()),
        ..Launch::new(enforced(""), "").args(["--redis", &url])
    };
    let first = stage_of(launch()).await.unwrap();
    let left = open(&first).await.unwrap();
    let second = stage_of(launch()).await.unwrap();
    llmcache_tests::kit::eventually("what the first has learned", async || {
        let page = second.metrics().await.unwrap();
        metric(&page, "llmcache_semantic_threshold", &["dynamic"]) > 0.0
    })
    .await
    .unwrap();
    drop(first);
    let mut served = 0;
    for pair in left.iter().take(5) {
        served += usize::from(is_served(&second, pair).await.unwrap());
    }
    assert!(served > 2, "{served}");
}

#[tokio::test]
async fn a_ban_on_the_layer_ends_its_answers_alone() {
    let stage = stage(enforced("")).await.unwrap();
    let left = open(&stage).await.unwrap();
    let pair = left.iter().find(|pair| pair.a.len() > 20).unwrap();
    stage.messages(&ask(&pair.a)).await.unwrap();
    let ban = |layer: &str| {
        Call::post(
            "/llmcache/invalidate",
            json!({"class": "dynamic", "layer": layer}).to_string(),
        )
    };
    stage.client.send(&ban("ResultCache")).await.unwrap();
    let mut is_alive = false;
    for _ in 0..20 {
        is_alive |= stage.messages(&ask(&pair.b)).await.unwrap().is_hit();
    }
    assert!(is_alive, "{pair:?}");
    let said = stage.client.send(&ban("SemanticCache")).await.unwrap();
    assert_eq!(said.status, 200, "{}", said.text());
    let reply = stage.messages(&ask(&pair.b)).await.unwrap();
    assert!(
        !reply.is_hit() && crate::candidate(&reply).is_none(),
        "{}",
        reply.cache_status()
    );
}
