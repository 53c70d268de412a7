//! Invalidations reach every process on the store, outlive them all, and are refused when that cannot be had.

use llmcache_tests::fake::FakeConfig;
use llmcache_tests::kit::{Call, eventually};
use serde_json::json;

use crate::{POLICY, Pods, SECRET, ask, launch, of_user, reaches_store};

async fn is_hit(pods: &Pods, pod: usize, call: &Call) -> bool {
    let call = call.clone().header("cache-control", "only-if-cached");
    pods.send(pod, &call).await.is_ok_and(|reply| reply.is_hit())
}

/// Bought by the first sidecar, read by all.
async fn spread(pods: &Pods, calls: &[&Call]) {
    for call in calls {
        pods.send(0, call).await.unwrap();
        for pod in 0..pods.sidecars.len() {
            eventually("it is a hit everywhere", async || is_hit(pods, pod, call).await)
                .await
                .unwrap();
        }
    }
}

#[tokio::test]
async fn data_of_one_user_is_gone_everywhere_and_asked_anew() {
    let pods = Pods::start(3, FakeConfig::default()).await.unwrap();
    let (changed, other) = (of_user("my orders", "123:orders"), of_user("my orders", "124"));
    spread(&pods, &[&changed, &other]).await;
    let body = json!({"pattern": "user:123:*"});
    let (_, dry) = pods
        .ban(1, &json!({"pattern": "user:123:*", "dryRun": true}))
        .await
        .unwrap();
    assert_eq!(
        (&dry["matched"], &dry["ban"], &dry["reach"]),
        (&json!(1), &json!(null), &json!("Store"))
    );
    let (status, said) = pods.ban(1, &body).await.unwrap();
    assert_eq!(
        (status, &said["matched"], &said["complete"]),
        (200, &json!(1), &json!(true))
    );
    assert_eq!(said["reach"], "Store");
    assert!(said["ban"].is_string());
    assert!(
        !is_hit(&pods, 1, &changed).await,
        "dead in the issuing pod before the reply"
    );
    for pod in [0, 2] {
        eventually("it is dead", async || !is_hit(&pods, pod, &changed).await)
            .await
            .unwrap();
        assert!(is_hit(&pods, pod, &other).await);
    }
    let again = pods.send(1, &changed).await.unwrap();
    assert_eq!(again.cache_status(), "llmcache; fwd=miss; stored");
    eventually("the new answer is shared", async || is_hit(&pods, 2, &changed).await)
        .await
        .unwrap();
}

#[tokio::test]
async fn each_condition_reaches_the_other_processes() {
    let pods = Pods::start(2, FakeConfig::default()).await.unwrap();
    let doc = Call::messages(&ask("of a doc")).header("x-doc-id", "d1");
    for body in [
        json!({"pattern": "doc:*"}),
        json!({"model": "claude-haiku-*"}),
        json!({"class": "dynamic"}),
        json!({"olderThan": "0s"}),
        json!({"pattern": "doc:d*", "model": "*", "class": "dynamic", "olderThan": "0s"}),
    ] {
        spread(&pods, &[&doc]).await;
        let (_, spared) = pods
            .ban(0, &json!({"pattern": "doc:d2", "olderThan": "0s"}))
            .await
            .unwrap();
        assert_eq!(spared["matched"], 0);
        let (status, said) = pods.ban(0, &body).await.unwrap();
        assert_eq!((status, &said["matched"]), (200, &json!(1)), "{body}");
        eventually("it is dead", async || !is_hit(&pods, 1, &doc).await)
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn answers_in_flight_in_another_process_are_covered() {
    let config = FakeConfig {
        think: std::time::Duration::from_millis(1_500),
        ..FakeConfig::default()
    };
    let pods = Pods::start(2, config).await.unwrap();
    let call = of_user("still thinking", "7");
    let asking = {
        let (client, call) = (pods.sidecars[0].client(), call.clone());
        tokio::spawn(async move { client.send(&call).await })
    };
    eventually("it is asked", async || pods.fake.received() == 1)
        .await
        .unwrap();
    let (status, _) = pods.ban(1, &json!({"pattern": "user:7"})).await.unwrap();
    assert_eq!(status, 200);
    assert_eq!(asking.await.unwrap().unwrap().status, 200);
    for pod in [0, 1] {
        eventually("it is not served", async || !is_hit(&pods, pod, &call).await)
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn bans_outlive_every_process() {
    let mut pods = Pods::start(1, FakeConfig::default()).await.unwrap();
    let call = of_user("to be forgotten", "9");
    spread(&pods, &[&call]).await;
    let mut name = String::new();
    eventually("it is stored", async || {
        let stored = pods.redis.command("KEYS *:r:*").await.unwrap_or_default();
        name = stored
            .lines()
            .find(|line| line.starts_with("llmcache:"))
            .unwrap_or_default()
            .trim()
            .to_owned();
        !name.is_empty()
    })
    .await
    .unwrap();
    // Somebody keeps a copy of the sealed answer from before the ban, and puts it back after.
    pods.redis.command(&format!("COPY {name} kept")).await.unwrap();
    assert_eq!(pods.ban(0, &json!({"pattern": "user:9"})).await.unwrap().0, 200);
    pods.sidecars.clear();
    pods.redis.command(&format!("COPY kept {name} REPLACE")).await.unwrap();
    let new = launch(POLICY, &pods.fake, &pods.redis.url(), SECRET)
        .start()
        .await
        .unwrap();
    reaches_store(&new).await.unwrap();
    pods.sidecars.push(new);
    assert!(!is_hit(&pods, 0, &call).await);
}

#[tokio::test]
async fn a_ban_that_cannot_be_made_durable_is_refused_and_holds_here() {
    let pods = Pods::start(2, FakeConfig::default()).await.unwrap();
    let call = of_user("full store", "5");
    spread(&pods, &[&call]).await;
    pods.redis.command("CONFIG SET maxmemory 1").await.unwrap();
    let (status, said) = pods.ban(0, &json!({"pattern": "user:5"})).await.unwrap();
    assert_eq!(
        (status, &said["ban"], &said["reach"]),
        (503, &json!(null), &json!("Pod"))
    );
    assert!(said["error"].as_str().unwrap().contains("in force in this pod alone"));
    assert!(!is_hit(&pods, 0, &call).await && is_hit(&pods, 1, &call).await);
    pods.redis.command("CONFIG SET maxmemory 0").await.unwrap();
    eventually("it reaches the other pod", async || !is_hit(&pods, 1, &call).await)
        .await
        .unwrap();
}

#[tokio::test]
async fn more_bans_than_are_kept_apart_lose_none() {
    let pods = Pods::start(2, FakeConfig::default()).await.unwrap();
    let (banned, later) = (of_user("early", "first"), Call::messages(&ask("untagged")));
    spread(&pods, &[&banned]).await;
    pods.ban(0, &json!({"pattern": "user:first"})).await.unwrap();
    let key = pods.redis.command("KEYS *:b").await.unwrap();
    let key = key
        .lines()
        .find(|line| line.starts_with("llmcache:"))
        .unwrap()
        .trim()
        .to_owned();
    for n in 0..4_120 {
        let (status, _) = pods.ban(0, &json!({"pattern": format!("nobody:{n}")})).await.unwrap();
        assert_eq!(status, 200);
    }
    let count = pods.redis.command(&format!("ZCARD {key}")).await.unwrap();
    assert_eq!(count.lines().next(), Some(":4097"), "the bound and the log's identity");
    spread(&pods, &[&later]).await;
    assert!(!is_hit(&pods, 1, &banned).await && !is_hit(&pods, 0, &banned).await);
}
