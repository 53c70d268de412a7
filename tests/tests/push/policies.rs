//! Policies come, change and go under traffic.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use llmcache_policy::push::{Snapshot, down};
use llmcache_tests::kit::{Call, eventually, question};
use serde_json::json;

use super::{MODEL, Scene, compiled, says, shows, snapshot, written};

const CACHE: &str = "  resultCache: {}";

#[tokio::test]
async fn a_sidecar_connects_executes_and_acks() {
    let scene = Scene::start().await.unwrap();
    let hello = &scene.operator.hellos()[0];
    assert_eq!(
        (hello.revision.as_str(), hello.policy_uid.as_str(), hello.protocol),
        ("", "", 1)
    );
    assert_eq!(scene.operator.bearers(), ["Bearer token-1"]);
    assert!(!scene.ask("one?").await.unwrap().is_hit());
    assert!(!scene.ask("one?").await.unwrap().is_hit());
    let (revision, json) = compiled(1, CACHE).unwrap();
    let ack = scene.operator.apply(&revision, json).await.unwrap();
    assert_eq!(ack.revision, revision);
    assert!(!scene.ask("one?").await.unwrap().is_hit());
    assert!(scene.ask("one?").await.unwrap().is_hit());
    let page = scene.pod.page("/metrics").await.unwrap();
    shows(&page, "llmcache_requests_total", &["policy=\"none\""], 2.0);
    shows(&page, "llmcache_requests_total", &["policy=\"test\""], 2.0);
    shows(&page, "llmcache_push_connected", &[], 1.0);
    shows(
        &page,
        "llmcache_policy_info",
        &[&format!("revision=\"{revision}\"")],
        1.0,
    );
    eventually("one report at the start, one for the layers that changed", async || {
        scene.operator.reports().len() == 2
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn without_a_policy_everything_passes_and_auto_is_refused() {
    let scene = Scene::start().await.unwrap();
    let ask = async |model: &str| {
        let call = Call::messages(&question(model, "hello"));
        scene.pod.client().send(&call).await.unwrap()
    };
    let refused = ask("auto").await;
    assert_eq!(refused.status, 503);
    assert_eq!(refused.json().unwrap()["error"]["type"], "overloaded_error");
    assert_eq!(refused.header("x-should-retry"), "false");
    let body = json!({"model": "gpt-5.2", "stream": true, "messages": [{"role": "user", "content": "hi"}]});
    let call = Call::chat(&body);
    assert_eq!(scene.pod.client().send(&call).await.unwrap().status, 200);
    assert_eq!(scene.fake.log().last().unwrap().json(), body, "nothing is spliced");
    scene.apply(1, CACHE).await.unwrap();
    ask(MODEL).await;
    assert!(ask(MODEL).await.is_hit());
    // Explicitly none.
    scene.operator.apply("", "").await.unwrap();
    assert!(!ask(MODEL).await.is_hit());
    says(&scene.pod, "none applies to this pod").await.unwrap();
}

#[tokio::test]
async fn a_swap_under_load_fails_no_request_and_forgets_no_answer() {
    let scene = Scene::start().await.unwrap();
    scene.apply(1, CACHE).await.unwrap();
    for number in 0..20 {
        assert_eq!(scene.ask(&format!("question {number}")).await.unwrap().status, 200);
    }
    let (stop, misses, hits) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicUsize::new(0)),
        Arc::new(AtomicUsize::new(0)),
    );
    let askers: Vec<_> = (0..4)
        .map(|asker| {
            let (client, stop, misses, hits) = (scene.pod.client(), stop.clone(), misses.clone(), hits.clone());
            tokio::spawn(async move {
                let mut number = asker;
                while !stop.load(Ordering::Relaxed) {
                    let call = Call::messages(&question(MODEL, &format!("question {}", number % 20)));
                    let reply = client.send(&call).await.unwrap();
                    assert_eq!(reply.status, 200);
                    let count = if reply.is_hit() { &hits } else { &misses };
                    count.fetch_add(1, Ordering::Relaxed);
                    number += 1;
                }
            })
        })
        .collect();
    for generation in 2..30 {
        let minutes = 60 + generation;
        let memory = 32 + generation % 3;
        let spec = format!(
            "  ttlClasses: [{{name: dynamic, ttl: {minutes}m}}]\n  resultCache: {{memory: {memory}Mi}}\n  promptCache: \
             {{strategy: Always}}"
        );
        scene.apply(generation, &spec).await.unwrap();
    }
    stop.store(true, Ordering::Relaxed);
    for asker in askers {
        asker.await.unwrap();
    }
    assert!(hits.load(Ordering::Relaxed) > 0);
    assert_eq!(misses.load(Ordering::Relaxed), 0, "{hits:?} hits");
    assert_eq!(scene.fake.calls(), 20);
}

#[tokio::test]
async fn a_lower_ttl_and_max_age_reach_what_is_stored() {
    let scene = Scene::start().await.unwrap();
    scene.apply(1, "  resultCache: {}").await.unwrap();
    scene.ask("one?").await.unwrap();
    let hit = scene.ask("one?").await.unwrap();
    assert!(hit.is_hit() && ttl(&hit) > 3_000, "{}", hit.cache_status());
    scene
        .apply(2, "  ttlClasses: [{name: dynamic, ttl: 10m}]\n  resultCache: {}")
        .await
        .unwrap();
    let hit = scene.ask("one?").await.unwrap();
    assert!(hit.is_hit() && ttl(&hit) <= 600, "{}", hit.cache_status());
    // No life is ever extended.
    scene
        .apply(3, "  ttlClasses: [{name: dynamic, ttl: 24h}]\n  resultCache: {}")
        .await
        .unwrap();
    let hit = scene.ask("one?").await.unwrap();
    assert!(hit.is_hit() && ttl(&hit) <= 3_600, "{}", hit.cache_status());
    let short = "  ttlClasses: [{name: dynamic, ttl: 1s, staleWhileRevalidate: 1s}]\n  resultCache: {maxAge: 1s}";
    scene.apply(4, short).await.unwrap();
    eventually("the answer is too old", async || {
        !scene.ask("one?").await.unwrap().is_hit()
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn a_keyword_takes_effect_and_the_rest_is_kept() {
    let scene = Scene::start().await.unwrap();
    scene.apply(1, CACHE).await.unwrap();
    scene.ask("the price of tea?").await.unwrap();
    scene.ask("what is tea?").await.unwrap();
    let spec = "  ttlClasses:\n  - {name: realtime, ttl: 5s, match: {anyKeyword: [price]}}\n  - {name: dynamic, ttl: \
                1h}\n  resultCache: {}";
    scene.apply(2, spec).await.unwrap();
    let (price, tea) = (
        scene.ask("the price of tea?").await.unwrap(),
        scene.ask("what is tea?").await.unwrap(),
    );
    assert!(tea.is_hit() && ttl(&tea) > 3_000, "{}", tea.cache_status());
    assert!(!price.is_hit() || ttl(&price) <= 5, "{}", price.cache_status());
}

#[tokio::test]
async fn what_cannot_be_executed_is_nacked_and_changes_nothing() {
    let scene = Scene::start().await.unwrap();
    scene.apply(1, CACHE).await.unwrap();
    scene.ask("one?").await.unwrap();
    let mut bad = snapshot(2, CACHE);
    bad.ttl_classes.clear();
    let (revision, json) = written(&bad).unwrap();
    let mut other = snapshot(2, CACHE);
    other.upstreams.anthropic.url = "not a url".into();
    let (second, url) = written(&other).unwrap();
    for (revision, json, reason) in [
        (revision, json, "ttlClasses"),
        (second, url, "upstreams.anthropic.url"),
        ("r".into(), b"{}".to_vec(), "identity"),
        ("r".into(), b"\xff".to_vec(), "UTF-8"),
    ] {
        let nonce = scene.operator.offer(&revision, json).await.unwrap();
        let nack = scene.operator.answer(nonce).await.unwrap().unwrap_err();
        assert!(nack.reason.contains(reason) && !nack.is_older, "{nack:?}");
        assert_eq!(nack.revision, revision);
        assert!(scene.ask("one?").await.unwrap().is_hit());
    }
    let page = scene.pod.page("/metrics").await.unwrap();
    shows(&page, "llmcache_snapshot_rejected_total", &[], 4.0);
    // What never had a name is no policy either.
    let nameless = down::Body::Snapshot(Snapshot {
        nonce: 99,
        revision: "r".into(),
        json: written(&llmcache_policy::Snapshot::pass_through()).unwrap().1,
    });
    scene.operator.say(nameless).await.unwrap();
    assert!(scene.operator.answer(99).await.unwrap().is_err());
}

#[tokio::test]
async fn memory_is_clamped_and_the_ack_says_so() {
    let scene = Scene::start_with(&[("LLMCACHE_MEMORY_LIMIT", "67108864")])
        .await
        .unwrap();
    let (revision, json) = compiled(1, "  resultCache: {memory: 128Mi}").unwrap();
    let ack = scene.operator.apply(&revision, json).await.unwrap();
    assert_eq!(
        ack.clamped,
        ["resultCache.memory: 128Mi is lowered to 32Mi, half of the sidecar's memory limit"]
    );
    let shown = scene.pod.client().send(&Call::get("/llmcache/snapshot")).await.unwrap();
    let shown = shown.json().unwrap();
    assert_eq!(shown["snapshot"]["result_cache"]["memory_bytes"], 32 << 20);
    assert_eq!(shown["revision"], revision.as_str());
}

/// What `Cache-Status` says is left.
fn ttl(reply: &llmcache_tests::kit::Reply) -> i64 {
    let status = reply.cache_status();
    let ttl = status.split(';').find_map(|part| part.trim().strip_prefix("ttl="));
    ttl.and_then(|ttl| ttl.parse().ok()).unwrap_or(i64::MIN)
}
