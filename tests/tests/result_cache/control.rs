//! The client's `Cache-Control`.

use llmcache_tests::kit::{Call, Stage};

use crate::endpoints::Endpoint;
use crate::{ask, cached};

#[tokio::test]
async fn no_store_neither_reads_nor_writes() {
    let stage = Stage::start(cached("")).await.unwrap();
    let call = Call::messages(&ask("a"));
    let unseen = call.clone().header("cache-control", "no-store");
    let reply = stage.client.send(&unseen).await.unwrap();
    assert_eq!(reply.cache_status(), "llmcache; fwd=bypass; detail=no_store");
    assert!(!stage.client.send(&call).await.unwrap().is_hit());
    assert!(!stage.client.send(&unseen).await.unwrap().is_hit());
    assert_eq!(stage.fake.calls(), 3);
}

#[tokio::test]
async fn no_cache_and_max_age_0_replace_the_entry() {
    let stage = Stage::start(cached("")).await.unwrap();
    let call = Call::messages(&ask("a"));
    stage.client.send(&call).await.unwrap();
    for (directive, answer) in [("no-cache", "#2"), ("max-age=0", "#3")] {
        let fresh = stage
            .client
            .send(&call.clone().header("cache-control", directive))
            .await
            .unwrap();
        assert_eq!(fresh.cache_status(), "llmcache; fwd=miss; stored", "{directive}");
        let hit = stage.client.send(&call).await.unwrap();
        assert!(
            hit.is_hit() && hit.text().contains(answer),
            "{directive}: {}",
            hit.text()
        );
    }
}

#[tokio::test]
async fn max_age_accepts_a_young_entry_alone() {
    let stage = Stage::start(cached("")).await.unwrap();
    let call = Call::messages(&ask("a"));
    stage.client.send(&call).await.unwrap();
    let within = call.clone().header("cache-control", "max-age=600");
    assert!(stage.client.send(&within).await.unwrap().is_hit());
    let young = call.header("cache-control", "max-age=1, only-if-cached");
    llmcache_tests::kit::eventually("the entry is too old", async || {
        stage.client.send(&young).await.is_ok_and(|reply| reply.status == 504)
    })
    .await
    .unwrap();
    assert!(stage.client.send(&within).await.unwrap().is_hit());
    assert_eq!(stage.fake.calls(), 1);
}

#[tokio::test]
async fn only_if_cached_is_a_504_that_is_not_retried() {
    let stage = Stage::start(cached("")).await.unwrap();
    for endpoint in Endpoint::ALL {
        let call = endpoint.call(&endpoint.body("a"));
        let only = call.clone().header("cache-control", "only-if-cached");
        let refused = stage.client.send(&only).await.unwrap();
        assert_eq!(
            (refused.status.as_u16(), refused.header("x-should-retry")),
            (504, "false")
        );
        let word = match endpoint {
            Endpoint::Messages => "timeout_error",
            Endpoint::Chat | Endpoint::Responses => "llmcache_not_cached",
        };
        assert!(refused.text().contains(word), "{}", refused.text());
        stage.client.send(&call).await.unwrap();
        assert!(stage.client.send(&only).await.unwrap().is_hit());
    }
    assert_eq!(stage.fake.received(), 3);
}
