//! Answers past their life over several sidecars: one refresh for all of them, found by all, and ended for all by a ban.

use llmcache_tests::fake::{FakeConfig, Fault, Trouble};
use llmcache_tests::kit::{Call, Reply, eventually};
use serde_json::json;

use super::{Pods, ask, text};

const POLICY: &str = "apiVersion: llmcache.dev/v1alpha1
kind: LLMCachePolicy
metadata: {name: test, namespace: shop}
spec:
  resultCache: {storeBudget: 1s}
  ttlClasses:
    - {name: revalidated, ttl: 1s, match: {anyKeyword: [revalidated]}, staleWhileRevalidate: 30m}
    - {name: rescued, ttl: 1s, staleIfError: 30m}
";

async fn pods(count: usize) -> anyhow::Result<Pods> {
    Pods::with_policy(count, FakeConfig::default(), POLICY).await
}

fn is_stale(reply: &Reply) -> bool {
    reply.cache_status().starts_with("llmcache; hit; ttl=-")
}

#[tokio::test]
async fn one_refresh_behind_whichever_sidecar_is_asked() {
    let pods = pods(3).await.unwrap();
    let call = Call::messages(&ask("revalidated"));
    let first = pods.send(0, &call).await.unwrap();
    pods.fake.script(Fault::new(Trouble::StallAfter(0)));
    for pod in [0, 1, 2] {
        eventually("the answer is served stale", async || {
            let reply = pods.send(pod, &call).await.unwrap();
            assert_eq!(text(&reply), text(&first));
            is_stale(&reply)
        })
        .await
        .unwrap();
    }
    eventually("the refresh hangs", async || pods.fake.stalled() == 1)
        .await
        .unwrap();
    for n in 0..30 {
        let reply = pods.send(n % 3, &call).await.unwrap();
        assert!(is_stale(&reply), "{}", reply.cache_status());
    }
    assert_eq!(pods.fake.calls(), 2);
    pods.fake.release();
    // A second life of the answer may end before the last sidecar has been asked, so any newer one will do.
    for pod in [0, 1, 2] {
        eventually("the new answer is found", async || {
            let reply = pods.send(pod, &call).await.unwrap();
            reply.is_hit() && text(&reply) != text(&first)
        })
        .await
        .unwrap();
    }
}

#[tokio::test]
async fn answer_of_another_sidecar_stands_in_for_a_failing_provider_until_a_ban() {
    let pods = pods(2).await.unwrap();
    let call = Call::messages(&ask("rescued"));
    let first = pods.send(0, &call).await.unwrap();
    (0..2_000).for_each(|_| pods.fake.script(Fault::status(529)));
    // The second sidecar has never asked for it: what it serves is the store's.
    eventually("the other's answer stands in", async || {
        let reply = pods.send(1, &call).await.unwrap();
        reply.cache_status() == "llmcache; fwd=stale; fwd-status=529; detail=stale-if-error"
            && text(&reply) == text(&first)
    })
    .await
    .unwrap();
    let (status, _) = pods.ban(0, &json!({"pattern": "*"})).await.unwrap();
    assert_eq!(status, 200);
    assert_eq!(pods.send(0, &call).await.unwrap().status, 529);
    eventually("the ban is heard by the other", async || {
        pods.send(1, &call).await.unwrap().status == 529
    })
    .await
    .unwrap();
    assert_eq!(pods.send(1, &call).await.unwrap().status, 529);
}
