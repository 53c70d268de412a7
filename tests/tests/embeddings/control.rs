//! The policy's modes, the client's directives, and bans.

use llmcache_tests::kit::{Call, Stage, metric};
use serde_json::{Value, json};

use crate::{asked, assert_true, cached, cached_with, embed, send};

fn directed(body: &Value, directive: &str) -> Call {
    Call::embeddings(body).header("cache-control", directive)
}

#[tokio::test]
async fn directives_of_the_client_hold_for_every_item() {
    let stage = Stage::start(cached()).await.unwrap();
    let (one, both) = (embed(&json!(["one"])), embed(&json!(["one", "two"])));
    let reply = stage.client.send(&directed(&one, "no-store")).await.unwrap();
    assert_eq!(reply.cache_status(), "llmcache; fwd=bypass; detail=no_store");
    let reply = stage.client.send(&directed(&one, "only-if-cached")).await.unwrap();
    assert_eq!((reply.status.as_u16(), reply.header("x-should-retry")), (504, "false"));
    assert_eq!(reply.json().unwrap()["error"]["code"], "llmcache_not_cached");
    send(&stage, &one).await;
    let part = stage.client.send(&directed(&both, "only-if-cached")).await.unwrap();
    assert_eq!(part.status, 504);
    assert!(
        stage
            .client
            .send(&directed(&one, "only-if-cached"))
            .await
            .unwrap()
            .is_hit()
    );
    let fresh = stage.client.send(&directed(&one, "no-cache")).await.unwrap();
    assert_eq!(fresh.cache_status(), "llmcache; fwd=miss; stored");
    assert!(
        stage
            .client
            .send(&directed(&one, "max-age=600"))
            .await
            .unwrap()
            .is_hit()
    );
    let fresh = stage.client.send(&directed(&one, "max-age=0")).await.unwrap();
    assert_eq!(fresh.cache_status(), "llmcache; fwd=miss; stored");
    assert_eq!(asked(&stage), vec![json!(["one"]); 4]);
}

#[tokio::test]
async fn item_older_than_the_client_allows_is_asked_for() {
    let stage = Stage::start(cached()).await.unwrap();
    send(&stage, &embed(&json!("old"))).await;
    llmcache_tests::kit::eventually("the entry is over a second old", async || {
        let hit = send(&stage, &embed(&json!("old"))).await;
        hit.header("age") == "2"
    })
    .await
    .unwrap();
    send(&stage, &embed(&json!("new"))).await;
    let body = embed(&json!(["new", "old"]));
    let reply = stage.client.send(&directed(&body, "max-age=1")).await.unwrap();
    assert_eq!(reply.cache_status(), "llmcache; fwd=miss; stored; detail=partial");
    assert_true(&body, &reply.json().unwrap()).await;
    assert_eq!(asked(&stage).pop().unwrap(), json!(["old"]));
}

#[tokio::test]
async fn observe_counts_would_be_hits_and_disabled_looks_nothing_up() {
    for (mode, first, second) in [
        ("Observe", "observe_miss", "observe_hit"),
        ("Disabled", "disabled", "disabled"),
    ] {
        let stage = Stage::start(cached().replace("Enforce", mode)).await.unwrap();
        for (input, word) in [
            (json!(["one", "two"]), first),
            (json!(["two", "one"]), second),
            (json!(["one", "three"]), first),
        ] {
            let body = embed(&input);
            let reply = send(&stage, &body).await;
            assert_eq!(reply.cache_status(), format!("llmcache; fwd=bypass; detail={word}"));
            assert_true(&body, &reply.json().unwrap()).await;
        }
        assert_eq!(stage.fake.calls(), 3);
        let page = stage.metrics().await.unwrap();
        let bypassed = ["endpoint=\"embeddings\"", "outcome=\"bypass\""];
        let count = metric(&page, "llmcache_requests_total", &bypassed);
        assert!((count - 3.0).abs() < f64::EPSILON, "{count}");
    }
}

#[tokio::test]
async fn bans_kill_items_by_class_tag_model_and_age() {
    let rules = "  tags: [\"user:{user}\", \"{class}/{model}\"]";
    let stage = Stage::start(cached_with("", rules)).await.unwrap();
    let mut of_ann = embed(&json!(["of ann", "more of ann"]));
    of_ann["user"] = json!("ann");
    let chat = json!({"model": "gpt-6-luna", "messages": [{"role": "user", "content": "hi"}]});
    let calls = [
        ("ann", Call::embeddings(&of_ann)),
        (
            "red",
            Call::embeddings(&embed(&json!("red"))).header("x-llmcache-tags", "team:red"),
        ),
        ("chat", Call::chat(&chat)),
    ];
    for (ban, matched, killed) in [
        (json!({"pattern": "user:ann"}), 2, vec!["ann"]),
        (json!({"pattern": "team:*"}), 1, vec!["red"]),
        (json!({"class": "embeddings"}), 3, vec!["ann", "red"]),
        (json!({"pattern": "embeddings/text-*"}), 3, vec!["ann", "red"]),
        (json!({"model": "text-embedding-*"}), 3, vec!["ann", "red"]),
        (json!({"class": "dynamic"}), 1, vec!["chat"]),
        (json!({"olderThan": "0s"}), 4, vec!["ann", "red", "chat"]),
    ] {
        for (_, call) in &calls {
            stage.client.send(call).await.unwrap();
        }
        let issued = Call::post("/llmcache/invalidate", ban.to_string());
        let said = stage.client.send(&issued).await.unwrap().json().unwrap();
        assert_eq!(said["matched"], matched, "{ban}");
        for (name, call) in &calls {
            let only = call.clone().header("cache-control", "only-if-cached");
            let is_alive = stage.client.send(&only).await.unwrap().is_hit();
            assert_eq!(is_alive, !killed.contains(name), "{ban} {name}");
        }
    }
}

#[tokio::test]
async fn tags_over_the_bound_are_not_stored_and_small_entries_have_a_bound_too() {
    let stage = Stage::start(cached_with("maxEntry: 4Ki", "")).await.unwrap();
    let tagged = Call::embeddings(&embed(&json!("one"))).header("x-llmcache-tags", "a*");
    for _ in 0..2 {
        let reply = stage.client.send(&tagged).await.unwrap();
        assert!(
            reply.header("x-llmcache-reason").ends_with("store=tags"),
            "{}",
            reply.cache_status()
        );
    }
    let large = json!({"model": crate::MODEL, "input": ["one"]});
    for _ in 0..2 {
        let reply = send(&stage, &large).await;
        assert!(
            reply.header("x-llmcache-reason").ends_with("store=too_large"),
            "{}",
            reply.cache_status()
        );
    }
    assert_eq!(stage.fake.calls(), 4);
}
