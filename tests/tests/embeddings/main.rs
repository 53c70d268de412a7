//! Embeddings from outside: which items are asked for, whose vector each caller gets, and what is counted.

#![expect(clippy::unwrap_used, reason = "a broken set-up fails the test where it breaks")]

mod account;
mod control;
mod faults;
mod flights;
mod hits;
mod isolation;
mod random;
mod wrong;

use llmcache_tests::fake::Fake;
use llmcache_tests::kit::{Call, Client, Reply, Stage, policy};
use serde_json::{Value, json};

const MODEL: &str = "text-embedding-3-small";

/// A policy that caches.
fn cached() -> String {
    cached_with("", "")
}

/// The same with members of `resultCache` and further lines of `spec`.
fn cached_with(members: &str, rest: &str) -> String {
    let sep = if members.is_empty() { "" } else { ", " };
    policy(&format!("  resultCache: {{mode: Enforce{sep}{members}}}\n{rest}"))
}

/// A request for vectors of eight numbers.
fn embed(input: &Value) -> Value {
    json!({"model": MODEL, "input": input, "dimensions": 8})
}

async fn send(stage: &Stage, body: &Value) -> Reply {
    stage.client.send(&Call::embeddings(body)).await.unwrap()
}

/// The `input` of each request that the provider got, in order.
fn asked(stage: &Stage) -> Vec<Value> {
    let log = stage.fake.log().into_iter();
    log.map(|received| received.json()["input"].clone()).collect()
}

/// What the provider itself answers; not counted, since it is another one.
async fn truth(body: &Value) -> Value {
    let fake = Fake::start(llmcache_tests::fake::FakeConfig::default()).await.unwrap();
    let call = Call::embeddings(body).at("/v1/embeddings");
    Client::new(&fake.url()).send(&call).await.unwrap().json().unwrap()
}

/// Asserts that an answer has, in order, the very vectors the provider gives for each item of `body`.
async fn assert_true(body: &Value, answer: &Value) {
    let truth = truth(body).await;
    assert_eq!(answer["data"], truth["data"], "{}", body["input"]);
    assert_eq!(
        (&answer["object"], &answer["model"]),
        (&truth["object"], &truth["model"])
    );
}

fn tokens(answer: &Value) -> u64 {
    assert_eq!(answer["usage"]["prompt_tokens"], answer["usage"]["total_tokens"]);
    answer["usage"]["prompt_tokens"].as_u64().unwrap()
}
