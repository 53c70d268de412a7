//! The shapes of the ledger, its headers and its metrics.

use llmcache_tests::kit::{Call, Stage, example, policy, question};
use serde_json::{Value, json};

use super::nanos;

fn members(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

#[tokio::test]
async fn account_has_the_documented_shape_from_the_start() {
    let stage = Stage::start(example("support-bot.yaml")).await.unwrap();
    let account = stage.client.account().await.unwrap();
    assert_eq!(
        members(&account),
        ["since", "requests", "tokens", "models", "usd", "recent"]
    );
    assert_eq!(members(&account["requests"]), ["total", "hit", "miss", "bypass"]);
    assert_eq!(
        account["tokens"],
        json!({"input": 0, "cache_read": 0, "cache_write": 0, "output": 0})
    );
    assert_eq!(
        members(&account["usd"]),
        ["counterfactual", "actual", "saved", "overhead", "net"]
    );
    assert_eq!(account["usd"]["actual"], "0.000000000");
    assert_eq!(account["recent"], json!([]));
}

#[tokio::test]
async fn header_and_line_of_a_request_agree() {
    let stage = Stage::start(policy("  resultCache: {mode: Enforce}")).await.unwrap();
    for expected in ["miss", "hit"] {
        let reply = stage
            .messages(&question("claude-sonnet-5-5", "What is a cache?"))
            .await
            .unwrap();
        let id = reply.header("x-llmcache-request-id");
        let line = stage
            .client
            .send(&Call::get(&format!("/llmcache/account?id={id}")))
            .await
            .unwrap()
            .json()
            .unwrap();
        assert_eq!((&line["id"], &line["outcome"]), (&json!(id), &json!(expected)));
        assert_eq!(line["usd"]["net"], reply.header("x-llmcache-saved-usd"));
        assert_eq!(nanos(&line["usd"]["net"]) > 0, expected == "hit");
    }
    let unknown = stage
        .client
        .send(&Call::get("/llmcache/account?id=lc_none"))
        .await
        .unwrap();
    assert_eq!(unknown.status, 404);
}

#[tokio::test]
async fn every_family_exists_from_the_start_within_300_series() {
    let stage = Stage::start(example("support-bot.yaml")).await.unwrap();
    let page = stage.metrics().await.unwrap();
    let enums = [
        "bypass_total",
        "request_duration_seconds",
        "added_seconds",
        "lookup_seconds",
        "saved_tokens_total",
        "saved_usd_total",
        "overhead_usd_total",
        "prompt_cache_requests_total",
        "singleflight_followers_total",
        "store_budget_exceeded_total",
        "store_breaker_open",
        "snapshot_age_seconds",
        "generation_regressions_total",
    ];
    for family in enums {
        assert!(
            page.contains(&format!("# TYPE llmcache_{family} ")),
            "{family} is missing:\n{page}"
        );
    }
    stage
        .messages(&question("claude-sonnet-5-5", "What is a cache?"))
        .await
        .unwrap();
    let page = stage.metrics().await.unwrap();
    for family in [
        "requests_total",
        "tokens_total",
        "cost_usd_total",
        "upstream_requests_total",
    ] {
        assert!(
            page.contains(&format!("# TYPE llmcache_{family} ")),
            "{family} is missing:\n{page}"
        );
    }
    let series = page
        .lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty())
        .count();
    assert!(series <= 300, "{series} series");
}

#[tokio::test]
async fn a_model_without_a_price_is_counted_and_not_priced() {
    let stage = Stage::start(policy(
        "  upstreams: {openai: {url: \"http://127.0.0.1:9/v1\", dialect: Compatible}}",
    ))
    .await
    .unwrap();
    let body = json!({"model": "house-model", "messages": [{"role": "user", "content": "hi"}]});
    let reply = stage.client.send(&Call::chat(&body)).await.unwrap();
    let account = stage.client.account().await.unwrap();
    assert_eq!(account["requests"]["total"], 1, "{}", reply.text());
    assert_eq!(account["usd"]["actual"], "0.000000000");
}
