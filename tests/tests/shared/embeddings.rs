//! Vectors bought by one sidecar and served by another.

use llmcache_tests::fake::FakeConfig;
use llmcache_tests::kit::{Call, eventually};
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::Pods;

fn embed(input: &Value) -> Call {
    Call::embeddings(&json!({"model": "text-embedding-3-small", "input": input, "encoding_format": "base64"}))
}

fn texts(range: std::ops::Range<usize>) -> Value {
    range.map(|n| format!("item {n}")).collect()
}

async fn has(pods: &Pods, pod: usize, input: &Value) -> bool {
    let call = embed(input).header("cache-control", "only-if-cached");
    pods.send(pod, &call).await.is_ok_and(|reply| reply.is_hit())
}

#[tokio::test]
async fn items_of_one_pod_are_served_by_another_until_a_ban() {
    let pods = Pods::start(2, FakeConfig::default()).await.unwrap();
    let bought = pods.send(0, &embed(&texts(0..5))).await.unwrap().json().unwrap();
    eventually("the other pod has them", async || has(&pods, 1, &texts(0..5)).await)
        .await
        .unwrap();
    let part = pods.send(1, &embed(&texts(3..7))).await.unwrap();
    assert_eq!(part.cache_status(), "llmcache; fwd=miss; stored; detail=partial");
    assert_eq!(
        part.json().unwrap()["data"][0]["embedding"],
        bought["data"][3]["embedding"]
    );
    assert_eq!(pods.fake.log().last().unwrap().json()["input"], texts(5..7));
    let (status, said) = pods.ban(0, &json!({"class": "embeddings"})).await.unwrap();
    assert_eq!((status, &said["reach"]), (200, &json!("Store")));
    eventually("the ban holds everywhere", async || !has(&pods, 1, &texts(0..5)).await)
        .await
        .unwrap();
    assert_eq!(pods.fake.calls(), 2);
}

#[tokio::test]
async fn largest_batch_is_read_from_the_store_as_far_as_the_budget_goes() {
    let pods = Pods::start(2, FakeConfig::default()).await.unwrap();
    let mut bought = Vec::new();
    for from in (0..2_048).step_by(256) {
        let reply = pods.send(0, &embed(&texts(from..from + 256))).await.unwrap();
        let data = reply.json().unwrap()["data"].take();
        bought.extend(data.as_array().unwrap().iter().map(|item| item["embedding"].clone()));
        let last = texts(from + 255..from + 256);
        eventually("the batch is written", async || has(&pods, 1, &last).await)
            .await
            .unwrap();
    }
    // Whatever one budget was too short for, the next one reads.
    let all = embed(&texts(0..2_048)).header("cache-control", "only-if-cached");
    eventually("all are read", async || {
        pods.send(1, &all).await.is_ok_and(|reply| reply.is_hit())
    })
    .await
    .unwrap();
    let hit = pods.send(1, &all).await.unwrap().json().unwrap();
    for (at, embedding) in bought.iter().enumerate() {
        assert_eq!(
            (&hit["data"][at]["embedding"], &hit["data"][at]["index"]),
            (embedding, &json!(at))
        );
    }
    assert_eq!(pods.fake.calls(), 8);
}

#[tokio::test]
async fn frozen_store_fails_no_batch() {
    let pods = Pods::start(1, FakeConfig::default()).await.unwrap();
    pods.send(0, &embed(&texts(0..5))).await.unwrap();
    pods.redis.signal(Signal::STOP).unwrap();
    for n in 0..5 {
        let reply = pods.send(0, &embed(&texts(n * 300..(n + 1) * 300))).await.unwrap();
        assert_eq!(reply.status, 200);
        assert_eq!(reply.json().unwrap()["data"].as_array().unwrap().len(), 300);
    }
    pods.redis.signal(Signal::CONT).unwrap();
}
