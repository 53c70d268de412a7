//! No byte of one scope reaches another.

use llmcache_tests::fake::{Fault, Trouble};
use llmcache_tests::kit::{Call, Stage, eventually};
use serde_json::{Value, json};

use crate::endpoints::Endpoint;
use crate::{all, ask, cached, cached_with, streamed};

/// Headers of which each separates two callers.
const APART: [(&str, &str); 6] = [
    ("authorization", "Bearer key-b"),
    ("x-api-key", "key-b"),
    ("openai-organization", "org-b"),
    ("openai-project", "proj-b"),
    ("anthropic-workspace-id", "ws-b"),
    ("openai-beta", "b=1"),
];

#[tokio::test]
async fn another_account_version_or_beta_is_a_miss() {
    let stage = Stage::start(cached("")).await.unwrap();
    for endpoint in Endpoint::ALL {
        let call = endpoint.call(&endpoint.body("mine"));
        stage.client.send(&call).await.unwrap();
        assert!(stage.client.send(&call).await.unwrap().is_hit());
        for (name, value) in APART.into_iter().chain([("anthropic-beta", "context-1m-2025-08-07")]) {
            let other = stage.client.send(&call.clone().header(name, value)).await.unwrap();
            assert!(!other.is_hit(), "{endpoint:?} {name}");
        }
    }
}

/// Puts an end user's name into a body.
type SetUser = fn(&mut Value, &str);

#[tokio::test]
async fn end_users_are_apart_unless_shared() {
    for (spec, is_shared) in [("", false), ("  scope: {endUsers: Shared}", true)] {
        let stage = Stage::start(cached_with("", spec)).await.unwrap();
        let users: [(Endpoint, SetUser); 4] = [
            (Endpoint::Messages, |body, user| {
                body["metadata"] = json!({"user_id": user});
            }),
            (Endpoint::Chat, |body, user| body["user"] = json!(user)),
            (Endpoint::Chat, |body, user| body["safety_identifier"] = json!(user)),
            (Endpoint::Responses, |body, user| {
                body["safety_identifier"] = json!(user);
            }),
        ];
        for (number, (endpoint, set)) in users.into_iter().enumerate() {
            let of = |user: &str| {
                let mut body = endpoint.body(&format!("users {number}"));
                set(&mut body, user);
                endpoint.call(&body)
            };
            stage.client.send(&of("canary-ann")).await.unwrap();
            let other = stage.client.send(&of("bob")).await.unwrap();
            assert_eq!(other.is_hit(), is_shared, "{endpoint:?} {number}");
            assert!(!other.text().contains("canary-ann"), "{}", other.text());
        }
    }
}

#[tokio::test]
async fn tenants_are_apart_and_none_is_a_bypass() {
    let stage = Stage::start(cached_with("", "  scope: {share: Namespace, tenantHeader: x-tenant}"))
        .await
        .unwrap();
    let call = Call::messages(&ask("tenant"));
    let reply = stage.client.send(&call).await.unwrap();
    assert_eq!(reply.cache_status(), "llmcache; fwd=bypass; detail=no_tenant");
    let of = |tenant, key| call.clone().header("x-tenant", tenant).header("x-api-key", key);
    stage.client.send(&of("one", "key-a")).await.unwrap();
    assert!(stage.client.send(&of("one", "key-b")).await.unwrap().is_hit());
    assert!(!stage.client.send(&of("two", "key-a")).await.unwrap().is_hit());
}

#[tokio::test]
async fn followers_of_a_live_stream_see_their_own_echo_alone() {
    let stage = Stage::start(cached_with("", "  scope: {endUsers: Shared}"))
        .await
        .unwrap();
    for (number, endpoint) in [Endpoint::Responses, Endpoint::Chat].into_iter().enumerate() {
        let with = |mark: &str| {
            let mut body = streamed(endpoint.body(&format!("live {number}")));
            body["metadata"] = json!({"note": mark});
            for name in ["user", "safety_identifier", "prompt_cache_key"] {
                body[name] = json!(mark);
            }
            endpoint.call(&body)
        };
        stage.fake.script(Fault::new(Trouble::StallAfter(3)));
        let stalled = stage.fake.stalled();
        let (client, call) = (stage.client.clone(), with("canary-of-the-leader"));
        let leader = tokio::spawn(async move { client.send(&call).await });
        eventually("the leader waits", async || stage.fake.stalled() > stalled)
            .await
            .unwrap();
        let follower = stage.client.open(&with("own-of-the-follower")).await.unwrap();
        assert_eq!(
            follower.headers()["cache-status"],
            "llmcache; fwd=miss; collapsed",
            "{endpoint:?}"
        );
        stage.fake.release();
        let body = http_body_util::BodyExt::collect(follower.into_body())
            .await
            .unwrap()
            .to_bytes();
        let (own, leaders) = (String::from_utf8_lossy(&body), leader.await.unwrap().unwrap().text());
        assert!(!own.contains("canary-of-the-leader"), "{own}");
        assert!(!leaders.contains("own-of-the-follower"), "{leaders}");
        assert!(own.contains(endpoint.end()), "{own}");
        if endpoint == Endpoint::Responses {
            assert!(
                own.contains("own-of-the-follower") && leaders.contains("canary-of-the-leader"),
                "{own}"
            );
        }
    }
    assert_eq!(stage.fake.calls(), 2);
}

#[tokio::test]
async fn concurrent_callers_of_two_scopes_make_two_calls() {
    let stage = Stage::start(cached("")).await.unwrap();
    for body in [ask("both"), streamed(ask("both streamed"))] {
        stage.fake.reset();
        stage.fake.script(Fault::new(Trouble::ThinkMs(200)));
        let of = |key: &str| Call::messages(&body).header("x-api-key", key);
        let calls = (0..10)
            .map(|n| of(if n % 2 == 0 { "key-a" } else { "key-b" }))
            .collect();
        let replies = all(&stage.client, calls).await.unwrap();
        assert!(replies.iter().all(|reply| reply.status == 200));
        assert_eq!(stage.fake.calls(), 2);
        assert_ne!(replies[0].body, replies[1].body);
    }
}
