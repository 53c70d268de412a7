//! An overloaded provider is asked for the policy's fallback tiers, in order, each once.

use llmcache_tests::fake::{Fault, Trouble};
use llmcache_tests::kit::{Call, Stage, eventually, metric, question};
use serde_json::{Value, json};

use crate::{routed, tiers};

const HAIKU: &str = "claude-haiku-5-5";
const SONNET: &str = "claude-sonnet-5-5";
const OPUS: &str = "claude-opus-5-5";
const FALLBACK: &str = "    rules: [{tier: opus}]\n    fallback: [opus, sonnet, haiku]";

fn capped(status: u16, code: &str) -> Fault {
    Fault::new(Trouble::Status {
        status,
        code: Some(code.into()),
        retry_after: None,
    })
}

fn chat(text: &str) -> Value {
    json!({"model": "gpt-6-astra", "messages": [{"role": "user", "content": text}]})
}

#[tokio::test]
async fn overload_falls_to_the_next_tier_that_answers() {
    for status in [429, 500, 502, 503, 504, 529] {
        let stage = Stage::start(tiers(FALLBACK)).await.unwrap();
        stage.fake.script(Fault::status(status).on_model(OPUS));
        let reply = stage.messages(&question(OPUS, "One")).await.unwrap();
        assert_eq!(
            (reply.status.as_u16(), routed(&reply)),
            (200, (SONNET, "fallback")),
            "{status}"
        );
        stage.fake.script(Fault::status(status).on_model(OPUS));
        stage.fake.script(Fault::status(404).on_model(SONNET));
        let reply = stage.messages(&question(OPUS, "Two")).await.unwrap();
        assert_eq!(
            (reply.status.as_u16(), routed(&reply)),
            (200, (HAIKU, "fallback")),
            "{status}"
        );
        assert_eq!(stage.asked(), [OPUS, SONNET, OPUS, SONNET, HAIKU]);
        let page = stage.metrics().await.unwrap();
        let fallbacks = metric(
            &page,
            "llmcache_bypass_total",
            &["layer=\"routing\"", "reason=\"fallback\""],
        );
        assert!((fallbacks - 2.0).abs() < f64::EPSILON, "{fallbacks}");
    }
}

#[tokio::test]
async fn when_all_fail_the_first_error_comes_back_unmodified() {
    let stage = Stage::start(tiers(FALLBACK)).await.unwrap();
    let first = Trouble::Status {
        status: 429,
        code: None,
        retry_after: Some(17),
    };
    stage.fake.script(Fault::new(first).on_model(OPUS));
    // A reset on a pooled connection is sent again once.
    for _ in 0..2 {
        stage.fake.script(Fault::new(Trouble::Reset).on_model(SONNET));
    }
    stage.fake.script(Fault::status(400).on_model(HAIKU));
    let reply = stage.messages(&question(OPUS, "One")).await.unwrap();
    assert_eq!((reply.status.as_u16(), reply.header("retry-after")), (429, "17"));
    assert_eq!(reply.json().unwrap()["error"]["type"], "rate_limit_error");
    assert_eq!(reply.json().unwrap()["request_id"], reply.header("request-id"));
    assert_eq!(reply.header("x-llmcache-model"), OPUS);
    assert_eq!(stage.asked()[..2], [OPUS, SONNET]);
    assert_eq!(stage.asked().last().unwrap(), HAIKU);
}

#[tokio::test]
async fn spend_limits_are_not_fled_from() {
    let stage = Stage::start(tiers(FALLBACK)).await.unwrap();
    stage.fake.script(capped(429, "enforced_spend_limit_reached"));
    let reply = stage.messages(&question(OPUS, "One")).await.unwrap();
    assert_eq!(reply.status, 429);
    assert_eq!(
        reply.json().unwrap()["error"]["details"]["error_code"],
        "enforced_spend_limit_reached"
    );
    stage.fake.script(capped(429, "insufficient_quota"));
    let reply = stage.client.send(&Call::chat(&chat("One"))).await.unwrap();
    assert_eq!(reply.status, 429);
    assert_eq!(reply.json().unwrap()["error"]["code"], "insufficient_quota");
    assert_eq!(stage.asked(), [OPUS, "gpt-6-astra"]);
}

#[tokio::test]
async fn openai_falls_over_to_its_own_models() {
    let stage = Stage::start(tiers(FALLBACK)).await.unwrap();
    stage.fake.script(Fault::status(503));
    let reply = stage.client.send(&Call::chat(&chat("One"))).await.unwrap();
    assert_eq!(
        (reply.status.as_u16(), routed(&reply)),
        (200, ("gpt-6.2-sol", "fallback"))
    );
}

#[tokio::test]
async fn tool_results_and_thinking_do_not_change_their_model() {
    let stage = Stage::start(tiers(FALLBACK)).await.unwrap();
    let histories = [
        json!([
            {"role": "user", "content": "Look"},
            {"role": "assistant", "content": [{"type": "tool_use", "id": "toolu_1", "name": "look", "input": {}}]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": "42"}]}]),
        json!([
            {"role": "user", "content": "Think"},
            {"role": "assistant", "content": [
                {"type": "thinking", "thinking": "So.", "signature": "c2ln"}, {"type": "text", "text": "Here."}]},
            {"role": "user", "content": "Thanks"}]),
    ];
    for history in histories {
        stage.fake.reset();
        stage.fake.script(Fault::status(529));
        let mut body = question(OPUS, "");
        body["messages"] = history;
        assert_eq!(stage.messages(&body).await.unwrap().status, 529);
        assert_eq!(stage.asked(), [OPUS]);
    }
}

#[tokio::test]
async fn fallback_stays_under_the_requested_models_price_and_within_request_models() {
    let rules = "    rules: [{tier: haiku}]\n    fallback: [opus, sonnet]";
    let stage = Stage::start(tiers(rules)).await.unwrap();
    stage.fake.script(Fault::status(529).on_model(HAIKU));
    let reply = stage.messages(&question(SONNET, "One")).await.unwrap();
    assert_eq!(routed(&reply), (SONNET, "fallback"));
    assert_eq!(stage.asked(), [HAIKU, SONNET], "opus is dearer than sonnet");

    stage.fake.reset();
    stage.fake.script(Fault::status(529));
    let reply = stage.messages(&question("claude-fable-5-2", "Two")).await.unwrap();
    assert_eq!(
        (reply.status.as_u16(), routed(&reply)),
        (529, ("claude-fable-5-2", "not_listed"))
    );

    stage.fake.script(Fault::status(529).on_model(HAIKU));
    let reply = stage.messages(&question("auto", "Three")).await.unwrap();
    assert_eq!(routed(&reply), (OPUS, "fallback"), "auto has no ceiling");
}

#[tokio::test]
async fn observing_or_pinned_requests_do_not_fall_over() {
    let stage = Stage::start(tiers(&format!("{FALLBACK}\n    mode: Observe")))
        .await
        .unwrap();
    stage.fake.script(Fault::status(529));
    let reply = stage.messages(&question(OPUS, "One")).await.unwrap();
    assert_eq!(reply.status, 529);
    assert_eq!(stage.asked(), [OPUS]);

    let stage = Stage::start(tiers(FALLBACK)).await.unwrap();
    stage.fake.script(Fault::status(529));
    let call = Call::messages(&question(OPUS, "One")).header("x-llmcache-pin", "requested");
    assert_eq!(stage.client.send(&call).await.unwrap().status, 529);
}

#[tokio::test]
async fn fallback_answer_is_not_stored() {
    let policy = tiers(FALLBACK).replace("resultCache: {mode: Disabled}", "resultCache: {mode: Enforce}");
    let stage = Stage::start(policy).await.unwrap();
    stage.fake.script(Fault::status(529).on_model(OPUS));
    let body = question(OPUS, "One");
    let reply = stage.messages(&body).await.unwrap();
    assert_eq!(
        reply.header("x-llmcache-reason"),
        "routing=fallback; result_cache=miss; store=fallback"
    );
    let reply = stage.messages(&body).await.unwrap();
    assert!(!reply.is_hit());
    assert_eq!(routed(&reply).0, OPUS);
    assert!(stage.messages(&body).await.unwrap().is_hit());
}

#[tokio::test]
async fn fallback_answer_reaches_every_follower() {
    let policy = tiers(FALLBACK).replace("resultCache: {mode: Disabled}", "resultCache: {mode: Enforce}");
    let stage = Stage::start(policy).await.unwrap();
    stage.fake.script(Fault::status(529).on_model(OPUS));
    stage.fake.script(Fault::new(Trouble::StallAfter(0)).on_model(SONNET));
    let body = question(OPUS, "One");
    let ask = || stage.messages(&body);
    let followed = async {
        eventually("the fallback stalls", async || stage.fake.stalled() == 1)
            .await
            .unwrap();
        let looked_up = async || {
            let page = stage.metrics().await.unwrap_or_default();
            metric(&page, "llmcache_lookup_seconds_count", &["layer=\"result_cache\""]) > 2.5
        };
        let release = async {
            eventually("the followers have looked", looked_up).await.unwrap();
            stage.fake.release();
        };
        tokio::join!(ask(), ask(), release)
    };
    let (first, (second, third, ())) = tokio::join!(ask(), followed);
    let [first, second, third] = [first, second, third].map(Result::unwrap);
    assert_eq!(first.header("x-llmcache-model"), SONNET);
    assert_eq!((&second.body, &third.body), (&first.body, &first.body));
    assert_eq!(second.cache_status(), "llmcache; fwd=miss; collapsed");
    assert_eq!(stage.fake.calls(), 1);
}
