//! Calls of our own that renew an answer behind its readers: what they cost is told apart, and they are no requests.

use llmcache_tests::kit::{Stage, eventually, policy, question};

use super::{assert_adds_up, nanos};

const POLICY: &str = "  promptCache: {mode: Disabled}
  resultCache: {mode: Enforce}
  ttlClasses: [{name: short, ttl: 1s, staleWhileRevalidate: 30m}]";

#[tokio::test]
async fn refresh_is_an_expense_and_no_request() {
    let stage = Stage::start(policy(POLICY)).await.unwrap();
    let body = question("claude-haiku-5-5", "What is renewed?");
    let first = stage.messages(&body).await.unwrap();
    let mut asked = 1;
    eventually("the refresh replaces the answer", async || {
        asked += 1;
        stage.messages(&body).await.unwrap().body != first.body
    })
    .await
    .unwrap();
    let account = stage.client.account().await.unwrap();
    assert_eq!(account["requests"]["total"], asked);
    assert_eq!(account["requests"]["hit"]["result_cache"], asked - 1);
    let usd = &account["usd"];
    let refreshed = nanos(&usd["overhead"]["result_cache"]["refresh"]);
    assert!(refreshed > 0, "{usd}");
    // Two calls of one question: half of what was paid is the refresh's.
    assert_eq!(nanos(&usd["actual"]), 2 * refreshed, "{usd}");
    assert_adds_up(usd);
}
