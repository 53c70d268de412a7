//! A change of the install secret in two steps: nothing stored is lost, and bans reach what both keys hold.

use llmcache_tests::fake::{Fake, FakeConfig};
use llmcache_tests::kit::{Call, Redis, Sidecar, eventually};
use serde_json::json;

use crate::{POLICY, ask, first_turn, is_remembered, launch, of_user, reaches_store};

const OLD: &[u8] = b"the old secret of thirty-two bytes";
const NEW: &[u8] = b"the new secret of thirty-two bytes";

struct Rotation {
    fake: Fake,
    redis: Redis,
    folder: tempfile::TempDir,
}

impl Rotation {
    async fn start() -> Self {
        Self {
            fake: Fake::start(FakeConfig::default()).await.unwrap(),
            redis: Redis::start().await.unwrap(),
            folder: tempfile::tempdir().unwrap(),
        }
    }

    /// A sidecar that writes under one secret and reads another too.
    async fn pod(&self, secret: &[u8], previous: Option<&[u8]>) -> Sidecar {
        let mut launch = launch(POLICY, &self.fake, &self.redis.url(), secret);
        if let Some(previous) = previous {
            let path = self.folder.path().join("previous");
            std::fs::write(&path, previous).unwrap();
            std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
            launch = launch.args(["--previous-secret-file", path.to_str().unwrap()]);
        }
        let sidecar = launch.start().await.unwrap();
        reaches_store(&sidecar).await.unwrap();
        sidecar
    }
}

async fn is_hit(pod: &Sidecar, call: &Call) -> bool {
    let call = call.clone().header("cache-control", "only-if-cached");
    pod.client().send(&call).await.is_ok_and(|reply| reply.is_hit())
}

async fn buy(pod: &Sidecar, call: &Call) {
    let bought = pod.client().send(call).await.unwrap();
    assert_eq!(bought.cache_status(), "llmcache; fwd=miss; stored");
}

#[tokio::test]
async fn what_the_old_key_holds_is_served_and_what_is_new_has_the_new_key() {
    let rotation = Rotation::start().await;
    let before = rotation.pod(OLD, None).await;
    let old = of_user("bought before", "1");
    buy(&before, &old).await;
    let after = rotation.pod(NEW, Some(OLD)).await;
    eventually("the old answer is served", async || is_hit(&after, &old).await)
        .await
        .unwrap();
    let new = Call::messages(&ask("bought after"));
    buy(&after, &new).await;
    let next = rotation.pod(NEW, None).await;
    eventually("the new answer is served", async || is_hit(&next, &new).await)
        .await
        .unwrap();
    assert!(!is_hit(&next, &old).await);
}

#[tokio::test]
async fn conversations_begun_under_the_old_key_keep_their_route_under_the_new() {
    let rotation = Rotation::start().await;
    let before = rotation.pod(OLD, None).await;
    before.client().send(&first_turn("where is it?")).await.unwrap();
    let after = rotation.pod(NEW, Some(OLD)).await;
    eventually("the old note is read", async || {
        is_remembered(&after, "where is it?").await
    })
    .await
    .unwrap();
    let next = rotation.pod(NEW, None).await;
    eventually("and was written anew", async || {
        is_remembered(&next, "where is it?").await
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn processes_in_different_steps_see_each_others_bans() {
    let rotation = Rotation::start().await;
    let first_step = rotation.pod(OLD, Some(NEW)).await;
    let second_step = rotation.pod(NEW, Some(OLD)).await;
    for (issuer, other) in [(&first_step, &second_step), (&second_step, &first_step)] {
        let call = of_user("asked in both", "2");
        buy(issuer, &call).await;
        eventually("the other reads it", async || is_hit(other, &call).await)
            .await
            .unwrap();
        let body = json!({"pattern": "user:2"}).to_string();
        let banned = issuer
            .client()
            .send(&Call::post("/llmcache/invalidate", body))
            .await
            .unwrap();
        assert_eq!(
            (banned.status.as_u16(), &banned.json().unwrap()["matched"]),
            (200, &json!(1))
        );
        eventually("it is dead there too", async || !is_hit(other, &call).await)
            .await
            .unwrap();
        assert!(!is_hit(issuer, &call).await);
    }
}
