//! Bans that the operator tells: once, to many pods, and again.

use llmcache_policy::push::{Ban, BanResult, Bans, down};
use llmcache_tests::kit::{Call, Pod, Redis, Reply, eventually};
use serde_json::json;

use super::credentials::{credentials, reaches, second, share};
use super::{MODEL, Scene};

const TAGGED: &str = "  tags: [\"user:{user}\"]\n  resultCache: {storeBudget: 1s}\n  invalidation: [{name: everyone, \
                      pattern: \"user:*\"}]";
const KEY: [u8; 32] = *b"0123456789abcdef0123456789abcdef";

fn ban(id: &str, pattern: &str) -> Ban {
    Ban {
        id: id.into(),
        pattern: pattern.into(),
        layer: "All".into(),
        ..Ban::default()
    }
}

async fn tell(scene: &Scene, ban: Ban) -> BanResult {
    let before = results(scene, &ban.id).len();
    let id = ban.id.clone();
    scene
        .operator
        .say(down::Body::Bans(Bans { bans: vec![ban] }))
        .await
        .unwrap();
    eventually("the ban is answered", async || results(scene, &id).len() > before)
        .await
        .unwrap();
    results(scene, &id).pop().unwrap()
}

fn results(scene: &Scene, id: &str) -> Vec<BanResult> {
    let results = scene.operator.ban_results().into_iter();
    results.filter(|result| result.id == id).collect()
}

async fn ask(pod: &Pod, user: &str) -> Reply {
    let body = json!({"model": MODEL, "max_tokens": 64, "metadata": {"user_id": user},
                      "messages": [{"role": "user", "content": "what of me?"}]});
    pod.client().send(&Call::messages(&body)).await.unwrap()
}

#[tokio::test]
async fn a_ban_kills_what_it_names_once() {
    let scene = Scene::start().await.unwrap();
    scene.apply(1, TAGGED).await.unwrap();
    for user in ["a", "b", "a", "b"] {
        ask(&scene.pod, user).await;
    }
    let result = tell(&scene, ban("one", "user:a:*")).await;
    assert_eq!(
        (result.matched, result.is_complete, result.error.as_str()),
        (1, true, "")
    );
    assert!(!ask(&scene.pod, "a").await.is_hit());
    assert!(ask(&scene.pod, "b").await.is_hit());
    // Told again it is answered from memory, and the answer that came since lives.
    assert_eq!(tell(&scene, ban("one", "user:a:*")).await, result);
    assert!(ask(&scene.pod, "a").await.is_hit());
    scene.operator.close();
    scene.operator.connected(2).await.unwrap();
    assert_eq!(tell(&scene, ban("one", "user:a:*")).await, result);
    assert!(ask(&scene.pod, "a").await.is_hit());
}

#[tokio::test]
async fn bans_are_for_their_policy_layer_and_name() {
    let scene = Scene::start().await.unwrap();
    scene.apply(1, TAGGED).await.unwrap();
    ask(&scene.pod, "a").await;
    let told = |id: &str, change: fn(&mut Ban)| {
        let mut ban = ban(id, "");
        change(&mut ban);
        ban
    };
    for (id, change, matched, error) in [
        (
            "other",
            (|ban| (ban.policy, ban.pattern) = ("other".into(), "*".into())) as fn(&mut Ban),
            0,
            "",
        ),
        (
            "semantic",
            |ban| (ban.layer, ban.pattern) = ("SemanticCache".into(), "*".into()),
            0,
            "",
        ),
        ("dry", |ban| (ban.pattern, ban.dry_run) = ("*".into(), true), 1, ""),
        ("unnamed", |ban| ban.name = "nobody".into(), 0, ""),
        (
            "misnamed",
            |ban| (ban.name, ban.policy) = ("nobody".into(), "test".into()),
            0,
            "nobody",
        ),
        ("nothing", |_| {}, 0, "pattern"),
        (
            "layer",
            |ban| (ban.layer, ban.pattern) = ("Moon".into(), "*".into()),
            0,
            "Moon",
        ),
    ] {
        let result = tell(&scene, told(id, change)).await;
        assert_eq!(result.matched, matched, "{id}");
        assert!(
            result.error.contains(error) && result.error.is_empty() == error.is_empty(),
            "{result:?}"
        );
        assert!(ask(&scene.pod, "a").await.is_hit(), "{id}");
    }
    let result = tell(&scene, told("named", |ban| ban.name = "everyone".into())).await;
    assert_eq!(result.matched, 1);
    assert!(!ask(&scene.pod, "a").await.is_hit());
}

#[tokio::test]
async fn on_a_shared_store_one_of_many_brings_a_ban() {
    let (scene, redis) = (Scene::start().await.unwrap(), Redis::start().await.unwrap());
    let spec = format!("{TAGGED}\n  stores: {{}}");
    share(&scene, &redis, &spec).await.unwrap();
    ask(&scene.pod, "a").await;
    let result = tell(&scene, ban("one", "user:a:*")).await;
    assert!(result.is_in_store && result.matched == 1, "{result:?}");
    assert!(!ask(&scene.pod, "a").await.is_hit());
    assert!(ask(&scene.pod, "a").await.is_hit());
    // Another pod is told of the same ban later: the answer that came since lives, in both.
    let other = second(&scene).await;
    scene
        .operator
        .say(credentials(1, KEY, Some(redis.url())))
        .await
        .unwrap();
    scene.apply(1, &spec).await.unwrap();
    reaches(&other).await.unwrap();
    eventually("the other pod shares", async || ask(&other, "a").await.is_hit())
        .await
        .unwrap();
    let result = tell(&scene, ban("one", "user:a:*")).await;
    assert!(result.is_in_store && result.error.is_empty(), "{result:?}");
    assert!(ask(&other, "a").await.is_hit());
    assert!(ask(&scene.pod, "a").await.is_hit());
}

#[tokio::test]
async fn a_ban_told_before_the_store_was_known_reaches_it() {
    let (scene, redis) = (Scene::start().await.unwrap(), Redis::start().await.unwrap());
    let spec = format!("{TAGGED}\n  stores: {{}}");
    share(&scene, &redis, &spec).await.unwrap();
    for user in ["a", "b"] {
        ask(&scene.pod, user).await;
    }
    let late = second(&scene).await;
    scene.apply(1, &spec).await.unwrap();
    tell(&scene, ban("early", "user:a:*")).await;
    scene
        .operator
        .say(credentials(1, KEY, Some(redis.url())))
        .await
        .unwrap();
    reaches(&late).await.unwrap();
    eventually("the other answer is shared", async || ask(&late, "b").await.is_hit())
        .await
        .unwrap();
    assert!(!ask(&late, "a").await.is_hit());
}
