//! A generation that was in force never gives way to a lower one, except after a time of nothing else.

use llmcache_tests::kit::{Pod, eventually, metric};

use super::{Scene, compiled, pod};

const CACHE: &str = "  resultCache: {}";
const OTHER: &str = "  ttlClasses: [{name: dynamic, ttl: 10m}]\n  resultCache: {}";

#[tokio::test]
async fn a_lower_generation_is_nacked_as_older() {
    let scene = Scene::start().await.unwrap();
    scene.apply(7, CACHE).await.unwrap();
    let (revision, json) = compiled(6, OTHER).unwrap();
    let nonce = scene.operator.offer(&revision, json).await.unwrap();
    let nack = scene.operator.answer(nonce).await.unwrap().unwrap_err();
    assert!(nack.is_older, "{nack:?}");
    // The same generation may come with other contents: what the install says has changed.
    scene.apply(7, OTHER).await.unwrap();
    scene.apply(8, CACHE).await.unwrap();
    assert!(regressions(&scene.pod).await < 0.5);
}

#[tokio::test]
async fn a_lower_one_is_applied_after_its_time_and_counted() {
    let scene = Scene::start_with(&[("LLMCACHE_REGRESS_AFTER", "200ms")]).await.unwrap();
    scene.apply(7, CACHE).await.unwrap();
    let (revision, json) = compiled(6, OTHER).unwrap();
    let nonce = scene.operator.offer(&revision, json).await.unwrap();
    assert!(scene.operator.answer(nonce).await.unwrap().unwrap_err().is_older);
    // It was offered once; it is not asked for again.
    eventually("the lower generation is in force", async || {
        scene.operator.answered(nonce).is_some_and(|answer| answer.is_ok())
    })
    .await
    .unwrap();
    assert!((regressions(&scene.pod).await - 1.0).abs() < 0.5);
}

#[tokio::test]
async fn the_guard_outlives_the_process() {
    let scene = Scene::start().await.unwrap();
    scene.apply(7, CACHE).await.unwrap();
    let volumes = scene.pod.kill().await.unwrap();
    let (fake, authority, operator) = (scene.fake, scene.authority, scene.operator);
    let pod = pod(&fake, &authority, operator.port(), volumes, &[]).unwrap();
    pod.ready(1).await.unwrap();
    operator.connected(2).await.unwrap();
    let hello = operator.hellos().pop().unwrap();
    assert_eq!((hello.policy_uid.as_str(), hello.generation), ("uid-of-test", 7));
    let (revision, json) = compiled(6, OTHER).unwrap();
    let nonce = operator.offer(&revision, json).await.unwrap();
    assert!(operator.answer(nonce).await.unwrap().unwrap_err().is_older);
}

async fn regressions(pod: &Pod) -> f64 {
    let page = pod.page("/metrics").await.unwrap();
    metric(&page, "llmcache_generation_regressions_total", &[])
}
