//! Keys and stores come late, change, and never show.

use llmcache_policy::push::{Credentials, Redis as Store, down};
use llmcache_tests::kit::{Call, Pod, Redis, Volumes, eventually, question};

use super::{MODEL, Scene, pod, says};

const SHARED: &str = "  resultCache: {storeBudget: 1s}\n  stores: {}";
const KEY: [u8; 32] = *b"0123456789abcdef0123456789abcdef";

/// What opens a store under a key.
pub(crate) fn credentials(epoch: u64, key: [u8; 32], url: Option<String>) -> down::Body {
    down::Body::Credentials(Credentials {
        epoch,
        namespace_key: key.to_vec(),
        previous_namespace_key: Vec::new(),
        redis: url.map(|url| Store { url, ca: Vec::new() }),
        qdrant: None,
    })
}

/// Gives a scene's pod a store and the policy that uses it, and waits until it does.
pub(crate) async fn share(scene: &Scene, redis: &Redis, spec: &str) -> anyhow::Result<()> {
    scene.operator.say(credentials(1, KEY, Some(redis.url()))).await?;
    scene.apply(1, spec).await?;
    reaches(&scene.pod).await
}

/// Waits until a pod uses the store.
pub(crate) async fn reaches(pod: &Pod) -> anyhow::Result<()> {
    says(pod, "store: redis\n").await
}

#[tokio::test]
async fn late_credentials_open_the_shared_store_and_pods_share_it() {
    let (scene, redis) = (Scene::start().await.unwrap(), Redis::start().await.unwrap());
    scene.apply(1, SHARED).await.unwrap();
    says(&scene.pod, "degraded: credentials: none yet").await.unwrap();
    scene.ask("one?").await.unwrap();
    assert!(scene.ask("one?").await.unwrap().is_hit());
    scene
        .operator
        .say(credentials(1, KEY, Some(redis.url())))
        .await
        .unwrap();
    reaches(&scene.pod).await.unwrap();
    scene.ask("one?").await.unwrap();
    assert!(scene.ask("one?").await.unwrap().is_hit());
    let other = second(&scene).await;
    scene
        .operator
        .say(credentials(2, KEY, Some(redis.url())))
        .await
        .unwrap();
    scene.apply(1, SHARED).await.unwrap();
    reaches(&other).await.unwrap();
    let call = Call::messages(&question(MODEL, "one?"));
    eventually("the other pod finds the answer", async || {
        other.client().send(&call).await.unwrap().is_hit()
    })
    .await
    .unwrap();
    assert!(!other.page("/readyz").await.unwrap().contains("degraded: credentials"));
    assert_eq!(
        scene.fake.calls(),
        2,
        "once under the key of the process, once under the namespace's"
    );
}

#[tokio::test]
async fn the_same_credentials_again_change_nothing_and_others_rebuild() {
    let scene = Scene::start().await.unwrap();
    scene.operator.say(credentials(1, KEY, None)).await.unwrap();
    scene.apply(1, "  resultCache: {}").await.unwrap();
    scene.ask("one?").await.unwrap();
    scene.operator.say(credentials(2, KEY, None)).await.unwrap();
    scene.apply(1, "  resultCache: {}").await.unwrap();
    assert!(scene.ask("one?").await.unwrap().is_hit());
    scene.operator.say(credentials(3, [7; 32], None)).await.unwrap();
    scene.apply(1, "  resultCache: {}").await.unwrap();
    assert!(!scene.ask("one?").await.unwrap().is_hit());
}

#[tokio::test]
async fn what_cannot_be_used_is_said_without_being_shown() {
    let scene = Scene::start_with(&[("LLMCACHE_LOG_LEVEL", "trace")]).await.unwrap();
    let secret = "redis://user:hunter2@ho st:1".to_owned();
    scene.operator.say(credentials(1, KEY, Some(secret))).await.unwrap();
    scene.apply(1, SHARED).await.unwrap();
    says(&scene.pod, "the shared store's address").await.unwrap();
    let url = "redis://user:hunter2@127.0.0.1:1".to_owned();
    scene.operator.say(credentials(2, KEY, Some(url))).await.unwrap();
    says(&scene.pod, "redis unreachable").await.unwrap();
    scene.ask("one?").await.unwrap();
    let shown = scene.pod.client().send(&Call::get("/llmcache/snapshot")).await.unwrap();
    let pages = [
        shown.text(),
        scene.pod.page("/readyz").await.unwrap(),
        scene.pod.page("/metrics").await.unwrap(),
        scene.pod.log(),
        format!(
            "{:?}",
            std::fs::read_to_string(scene.pod.volumes.state().join("last-good"))
        ),
    ];
    for page in pages {
        for secret in ["hunter2", "0123456789abcdef", "token-1"] {
            assert!(!page.contains(secret), "{secret} in {page}");
        }
    }
    eventually("the operator hears of it", async || {
        let reports = scene.operator.reports();
        let mut stores = reports.iter().flat_map(|report| &report.stores);
        stores.any(|store| store.name == "redis" && !store.is_reachable)
    })
    .await
    .unwrap();
}

/// Another pod before the same operator, connected after the first.
pub(crate) async fn second(scene: &Scene) -> Pod {
    let connected = scene.operator.hellos().len() as u64;
    let volumes = Volumes::new("token-1").unwrap();
    let pod = pod(&scene.fake, &scene.authority, scene.operator.port(), volumes, &[]).unwrap();
    pod.ready(1).await.unwrap();
    scene.operator.connected(connected + 1).await.unwrap();
    pod
}
