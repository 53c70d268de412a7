//! Identical calls at once.

use llmcache_tests::fake::{Fault, Skew, Trouble};
use llmcache_tests::kit::{Call, Reply, Stage, eventually};
use serde_json::{Value, json};

use crate::{asked, assert_true, cached, cached_with, embed, send};

async fn all(stage: &Stage, body: &Value, times: usize) -> Vec<Reply> {
    let one = |_| {
        let (client, call) = (stage.client.clone(), Call::embeddings(body));
        tokio::spawn(async move { client.send(&call).await })
    };
    let mut replies = Vec::new();
    for sent in (0..times).map(one).collect::<Vec<_>>() {
        replies.push(sent.await.unwrap().unwrap());
    }
    replies
}

#[tokio::test]
async fn twenty_identical_calls_are_one_upstream_call_for_what_is_missing() {
    let stage = Stage::start(cached()).await.unwrap();
    send(&stage, &embed(&json!("stored"))).await;
    stage.fake.script(Fault::new(Trouble::ThinkMs(150)));
    let body = embed(&json!(["new", "stored", "new"]));
    for reply in all(&stage, &body, 20).await {
        assert_true(&body, &reply.json().unwrap()).await;
    }
    assert_eq!(asked(&stage), [json!("stored"), json!(["new"])]);
    let account = stage.client.account().await.unwrap();
    assert_eq!(account["requests"]["total"], 21);
    assert_eq!(account["tokens"]["input"], stage.fake.bill().total.tokens.input);
}

#[tokio::test]
async fn errors_and_unreadable_answers_are_never_shared() {
    let stage = Stage::start(cached()).await.unwrap();
    stage.fake.script(Fault::status(500));
    let body = embed(&json!("failing"));
    let replies = all(&stage, &body, 5).await;
    let failed = replies.iter().filter(|reply| reply.status == 500).count();
    assert_eq!((failed, stage.fake.calls()), (1, 1));
    stage.fake.script(Fault::new(Trouble::Vectors(Skew::Missing)));
    let body = embed(&json!(["unreadable", "too"]));
    let replies = all(&stage, &body, 5).await;
    let short = |reply: &&Reply| reply.json().unwrap()["data"].as_array().unwrap().len() == 1;
    assert_eq!(replies.iter().filter(short).count(), 1);
}

#[tokio::test]
async fn without_single_flight_each_call_asks() {
    let stage = Stage::start(cached_with("singleFlight: {mode: Disabled}", ""))
        .await
        .unwrap();
    for _ in 0..3 {
        stage.fake.script(Fault::new(Trouble::ThinkMs(150)));
    }
    let body = embed(&json!("one"));
    for reply in all(&stage, &body, 3).await {
        assert_true(&body, &reply.json().unwrap()).await;
    }
    assert!(stage.fake.calls() > 1);
}

#[tokio::test]
async fn leader_without_followers_ends_with_its_client_and_is_accounted() {
    let stage = Stage::start(cached()).await.unwrap();
    stage.fake.script(Fault::new(Trouble::StallAfter(0)));
    let body = embed(&json!(["one", "two"]));
    let (client, call) = (stage.client.clone(), Call::embeddings(&body));
    let leader = tokio::spawn(async move { client.send(&call).await });
    eventually("it stalls", async || stage.fake.stalled() == 1)
        .await
        .unwrap();
    leader.abort();
    eventually("the cancelled call is accounted", async || {
        let account = stage.client.account().await.unwrap_or_default();
        account["requests"]["total"] == 1
    })
    .await
    .unwrap();
    stage.fake.release();
    let line = stage.client.account().await.unwrap()["recent"][0].clone();
    assert_eq!(
        (&line["reason"], &line["estimated"]),
        (&json!("cancelled"), &json!(true))
    );
    assert_eq!(line["usage"]["input"], 2, "a fourth of each text's bytes, rounded up");
    assert!(!send(&stage, &body).await.is_hit());
}
