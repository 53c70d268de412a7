//! A model that routing chose and the provider refuses is replaced by the requested one, once.

use llmcache_tests::fake::Fault;
use llmcache_tests::kit::{Stage, metric, question};
use serde_json::json;

use crate::{ALL_HAIKU, routed, tiers};

const HAIKU: &str = "claude-haiku-5-5";
const SONNET: &str = "claude-sonnet-5-5";
const OPUS: &str = "claude-opus-5-5";

fn cached() -> String {
    tiers(ALL_HAIKU).replace("resultCache: {mode: Disabled}", "resultCache: {mode: Enforce}")
}

#[tokio::test]
async fn refusals_of_our_model_are_rescued_once_and_the_pair_is_avoided() {
    for status in [400, 403, 404, 413] {
        let stage = Stage::start(tiers(ALL_HAIKU)).await.unwrap();
        stage.fake.script(Fault::status(status).on_model(HAIKU));
        let reply = stage.messages(&question(OPUS, "One")).await.unwrap();
        assert_eq!(
            (reply.status.as_u16(), routed(&reply)),
            (200, (OPUS, "route_rescue")),
            "{status}"
        );
        let reply = stage.messages(&question(OPUS, "Two")).await.unwrap();
        assert_eq!(routed(&reply), (OPUS, "avoided"), "{status}");
        let reply = stage.messages(&question(SONNET, "Three")).await.unwrap();
        assert_eq!(routed(&reply), (HAIKU, "rule"), "{status}: another pair");
        assert_eq!(stage.asked(), [HAIKU, OPUS, OPUS, HAIKU]);
        let page = stage.metrics().await.unwrap();
        let rescues = metric(
            &page,
            "llmcache_bypass_total",
            &["layer=\"routing\"", "reason=\"route_rescue\""],
        );
        assert!((rescues - 1.0).abs() < f64::EPSILON, "{rescues}");
    }
}

#[tokio::test]
async fn requested_model_that_fails_too_gives_its_own_error() {
    let stage = Stage::start(tiers(ALL_HAIKU)).await.unwrap();
    stage.fake.script(Fault::status(400).on_model(HAIKU));
    stage.fake.script(Fault::status(413).on_model(OPUS));
    let reply = stage.messages(&question(OPUS, "One")).await.unwrap();
    assert_eq!(reply.status, 413);
    assert_eq!(reply.json().unwrap()["error"]["type"], "request_too_large");
    assert_eq!(stage.asked(), [HAIKU, OPUS]);
}

#[tokio::test]
async fn the_clients_own_model_is_not_rescued() {
    let stage = Stage::start(tiers("    rules: [{tier: opus}]")).await.unwrap();
    stage.fake.script(Fault::status(404));
    let reply = stage.messages(&question(OPUS, "One")).await.unwrap();
    assert_eq!((reply.status.as_u16(), routed(&reply)), (404, (OPUS, "requested")));
    assert_eq!(stage.asked(), [OPUS]);
}

#[tokio::test]
async fn authentication_errors_are_not_rescued() {
    let stage = Stage::start(tiers(ALL_HAIKU)).await.unwrap();
    stage.fake.script(Fault::status(401));
    let reply = stage.messages(&question(OPUS, "One")).await.unwrap();
    assert_eq!(reply.status, 401);
    assert_eq!(stage.asked(), [HAIKU]);
}

#[tokio::test]
async fn rescued_answer_is_not_stored() {
    let stage = Stage::start(cached()).await.unwrap();
    for stream in [false, true] {
        stage.fake.reset();
        stage.fake.script(Fault::status(400).on_model(HAIKU));
        let mut body = question(if stream { OPUS } else { SONNET }, "One");
        body["stream"] = json!(stream);
        let first = stage.messages(&body).await.unwrap();
        assert_eq!(first.status, 200);
        assert!(first.header("x-llmcache-reason").starts_with("routing=route_rescue"));
        let second = stage.messages(&body).await.unwrap();
        assert!(!second.is_hit(), "{}", second.cache_status());
        assert_eq!(stage.fake.calls(), 2, "stream: {stream}");
    }
}
