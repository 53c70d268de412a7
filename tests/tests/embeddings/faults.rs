//! A provider that fails, and a ban that comes while it answers.

use llmcache_tests::fake::{Fault, Trouble};
use llmcache_tests::kit::{Call, Stage, eventually};
use serde_json::json;

use crate::{asked, assert_true, cached, cached_with, embed, send};

#[tokio::test]
async fn errors_go_back_unmodified_and_nothing_is_lost_or_stored() {
    let stage = Stage::start(cached()).await.unwrap();
    send(&stage, &embed(&json!("stored"))).await;
    for status in [400, 401, 404, 413, 429, 500, 503] {
        for input in [json!(["new"]), json!(["stored", "new"])] {
            stage.fake.script(Fault::new(Trouble::Status {
                status,
                code: None,
                retry_after: Some(7),
            }));
            let reply = send(&stage, &embed(&input)).await;
            assert_eq!(
                (reply.status.as_u16(), reply.cache_status()),
                (status, "llmcache; fwd=miss")
            );
            let error = &reply.json().unwrap()["error"];
            assert!(!error["message"].as_str().unwrap().contains("llmcache"), "{error}");
            assert_eq!(reply.header("retry-after"), "7");
        }
    }
    assert_eq!(stage.fake.calls(), 1);
    let body = embed(&json!(["stored", "new"]));
    let reply = send(&stage, &body).await;
    assert_eq!(reply.cache_status(), "llmcache; fwd=miss; stored; detail=partial");
    assert_true(&body, &reply.json().unwrap()).await;
}

#[tokio::test]
async fn overload_falls_over_to_no_other_model() {
    let routing = "  routing:
    requestModels: [\"*\", auto]
    tiers: [{name: small, models: {openai: gpt-6-luna}}]
    rules: [{tier: small}]
    fallback: [small]";
    let stage = Stage::start(cached_with("", routing)).await.unwrap();
    stage.fake.script(Fault::status(529));
    let reply = send(&stage, &embed(&json!("one"))).await;
    assert_eq!(reply.status, 529);
    let reply = send(&stage, &embed(&json!("one"))).await;
    assert!(reply.header("x-llmcache-reason").starts_with("routing=endpoint;"));
    assert_eq!(reply.header("x-llmcache-model"), crate::MODEL);
    let auto = json!({"model": "auto", "input": "one"});
    assert_eq!(
        send(&stage, &auto).await.status,
        404,
        "the provider knows no such model"
    );
    assert_eq!(stage.asked(), [crate::MODEL, crate::MODEL, "auto"]);
}

#[tokio::test]
async fn a_dead_provider_costs_only_what_is_not_stored() {
    let stage = Stage::start(cached()).await.unwrap();
    send(&stage, &embed(&json!("stored"))).await;
    for (trouble, input) in [
        (Trouble::CutAfter(1), json!(["stored", "new"])),
        (Trouble::CutAfter(1), json!(["new"])),
        (Trouble::GarbageHead, json!(["new"])),
    ] {
        stage.fake.script(Fault::new(trouble.clone()));
        let reply = send(&stage, &embed(&input)).await;
        assert_eq!(reply.status, 502, "{trouble:?}");
        assert_eq!(reply.json().unwrap()["error"]["code"], "llmcache_upstream");
    }
    stage.fake.script(Fault::new(Trouble::GarbageAfter(0)));
    let body = embed(&json!(["stored", "new"]));
    let reply = send(&stage, &body).await;
    assert_true(&body, &reply.json().unwrap()).await;
    assert_eq!(
        asked(&stage).pop().unwrap(),
        body["input"],
        "garbage for a part: asked for the whole"
    );
}

#[tokio::test]
async fn answer_in_flight_is_covered_by_a_ban() {
    let stage = Stage::start(cached()).await.unwrap();
    stage.fake.script(Fault::new(Trouble::StallAfter(0)));
    let body = embed(&json!(["one", "two"]));
    let (client, call) = (stage.client.clone(), Call::embeddings(&body));
    let sent = tokio::spawn(async move { client.send(&call).await });
    eventually("it stalls", async || stage.fake.stalled() == 1)
        .await
        .unwrap();
    let ban = Call::post("/llmcache/invalidate", json!({"class": "embeddings"}).to_string());
    assert_eq!(stage.client.send(&ban).await.unwrap().status, 200);
    stage.fake.release();
    let reply = sent.await.unwrap().unwrap();
    assert_eq!(reply.cache_status(), "llmcache; fwd=miss");
    assert!(reply.header("x-llmcache-reason").ends_with("store=banned"));
    assert_true(&body, &reply.json().unwrap()).await;
    assert!(!send(&stage, &body).await.is_hit());
    assert!(send(&stage, &body).await.is_hit());
}
