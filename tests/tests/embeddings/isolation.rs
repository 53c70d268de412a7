//! No vector of one scope reaches another.

use llmcache_tests::kit::{Call, Stage};
use serde_json::json;

use crate::{asked, cached, cached_with, embed};

#[tokio::test]
async fn another_account_is_asked_for_every_item() {
    let stage = Stage::start(cached()).await.unwrap();
    let call = Call::embeddings(&embed(&json!(["mine", "too"])));
    stage.client.send(&call).await.unwrap();
    for (name, value) in [
        ("authorization", "Bearer key-b"),
        ("x-api-key", "key-b"),
        ("openai-organization", "org-b"),
        ("openai-project", "proj-b"),
        ("openai-beta", "b=1"),
    ] {
        let other = stage.client.send(&call.clone().header(name, value)).await.unwrap();
        assert_eq!(other.cache_status(), "llmcache; fwd=miss; stored", "{name}");
    }
    assert!(asked(&stage).iter().all(|input| *input == json!(["mine", "too"])));
    assert!(stage.client.send(&call).await.unwrap().is_hit());
    let anonymous = Call::post("/openai/v1/embeddings", embed(&json!("mine")).to_string());
    let reply = stage.client.send(&anonymous).await.unwrap();
    assert_eq!(reply.cache_status(), "llmcache; fwd=bypass; detail=no_tenant");
}

#[tokio::test]
async fn end_users_and_tenants_are_apart_unless_shared() {
    for (spec, is_shared) in [("", false), ("  scope: {endUsers: Shared}", true)] {
        let stage = Stage::start(cached_with("", spec)).await.unwrap();
        let of = |user: &str| {
            let mut body = embed(&json!("one"));
            body["user"] = json!(user);
            Call::embeddings(&body)
        };
        stage.client.send(&of("ann")).await.unwrap();
        assert_eq!(stage.client.send(&of("bob")).await.unwrap().is_hit(), is_shared);
    }
    let tenants = "  scope: {share: Namespace, tenantHeader: x-tenant}";
    let stage = Stage::start(cached_with("", tenants)).await.unwrap();
    let of = |tenant, key| {
        Call::embeddings(&embed(&json!("one")))
            .header("x-tenant", tenant)
            .header("authorization", key)
    };
    stage.client.send(&of("one", "Bearer key-a")).await.unwrap();
    assert!(stage.client.send(&of("one", "Bearer key-b")).await.unwrap().is_hit());
    assert!(!stage.client.send(&of("two", "Bearer key-a")).await.unwrap().is_hit());
}
