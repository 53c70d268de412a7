//! Hits: one entry for every way of asking, and how long it lives.

use llmcache_tests::kit::{Call, Stage, metric};
use serde_json::json;

use crate::endpoints::Endpoint;
use crate::{MODEL, ask, cached, cached_with, streamed};

#[tokio::test]
async fn same_prompt_plain_streamed_and_reordered_is_one_upstream_call() {
    let stage = Stage::start(cached("")).await.unwrap();
    for endpoint in Endpoint::ALL {
        let before = stage.fake.calls();
        let body = endpoint.body("Where is my parcel?");
        let miss = stage.client.send(&endpoint.call(&body)).await.unwrap();
        assert_eq!(
            miss.cache_status(),
            "llmcache; fwd=miss; stored",
            "{endpoint:?}: {}",
            miss.text()
        );
        assert!(miss.header("x-llmcache-saved-usd").starts_with("0."));
        let stream = stage
            .client
            .send(&endpoint.call(&streamed(body.clone())))
            .await
            .unwrap();
        assert!(stream.is_hit(), "{endpoint:?}: {}", stream.cache_status());
        assert!(stream.header("content-type").starts_with("text/event-stream"));
        assert!(stream.text().contains(endpoint.end()), "{}", stream.text());
        let members: Vec<String> = body
            .as_object()
            .unwrap()
            .iter()
            .rev()
            .map(|(k, v)| format!(" {k:?} : {v} "))
            .collect();
        let reordered = endpoint.call(&body).body(format!("{{\n{}\n}}", members.join(",\n")));
        let hit = stage.client.send(&reordered).await.unwrap();
        assert!(hit.is_hit(), "{endpoint:?}: {}", hit.cache_status());
        let (asked, replayed) = (miss.json().unwrap(), hit.json().unwrap());
        assert_eq!(asked, replayed, "{endpoint:?}");
        assert_eq!(stage.fake.calls(), before + 1, "{endpoint:?}");
    }
}

#[tokio::test]
async fn streamed_answer_is_stored_and_says_nothing_of_it() {
    let stage = Stage::start(cached("")).await.unwrap();
    for endpoint in Endpoint::ALL {
        let body = endpoint.body("Streamed first");
        let miss = stage
            .client
            .send(&endpoint.call(&streamed(body.clone())))
            .await
            .unwrap();
        assert_eq!(miss.cache_status(), "llmcache; fwd=miss");
        assert_eq!(miss.header("x-llmcache-saved-usd"), "");
        assert!(miss.header("x-llmcache-request-id").starts_with("lc_"));
        let hit = stage.client.send(&endpoint.call(&body)).await.unwrap();
        assert!(hit.is_hit(), "{endpoint:?}: {}", hit.cache_status());
        assert!(hit.text().contains("Streamed first"), "{}", hit.text());
    }
}

#[tokio::test]
async fn hit_has_our_headers_and_none_of_the_providers_account() {
    let stage = Stage::start(cached("")).await.unwrap();
    for endpoint in Endpoint::ALL {
        let call = endpoint.call(&endpoint.body("headers"));
        let miss = stage.client.send(&call).await.unwrap();
        let hit = stage.client.send(&call).await.unwrap();
        let ttl = hit.cache_status().strip_prefix("llmcache; hit; ttl=").unwrap();
        let ttl: u64 = ttl.strip_suffix("; detail=result").unwrap().parse().unwrap();
        let age: u64 = hit.header("age").parse().unwrap();
        assert!(ttl <= 3_600 && ttl + age >= 3_598, "{ttl} {age}");
        assert!(!hit.header("x-llmcache-model").is_empty());
        assert!(hit.header("x-llmcache-reason").ends_with("result_cache=hit"));
        assert!(hit.header("x-llmcache-saved-usd").parse::<f64>().unwrap() > 0.0);
        assert_ne!(
            hit.header("x-llmcache-request-id"),
            miss.header("x-llmcache-request-id")
        );
        for name in hit.headers.keys().map(http::HeaderName::as_str) {
            assert!(!name.contains("ratelimit") && !name.contains("organization"), "{name}");
        }
        for name in ["request-id", "x-request-id"] {
            assert!(
                hit.header(name).is_empty() || hit.header(name) != miss.header(name),
                "{name}"
            );
        }
    }
}

#[tokio::test]
async fn life_comes_from_the_first_class_that_matches() {
    let classes = "  ttlClasses:
      - {name: realtime, ttl: 5m, match: {anyKeyword: [today]}}
      - {name: stable, ttl: 24h, match: {header: {x-content-class: stable}}}
      - {name: opus, ttl: 2h, match: {model: \"claude-opus-*\"}}
      - {name: dynamic, ttl: 1h}";
    let stage = Stage::start(cached_with("", classes)).await.unwrap();
    let opus = llmcache_tests::kit::question("claude-opus-5-5", "opus");
    for (call, seconds) in [
        (Call::messages(&ask("What is new Today?")), 300),
        (Call::messages(&ask("todays")), 3_600),
        (
            Call::messages(&ask("stable")).header("x-content-class", "stable"),
            86_400,
        ),
        (Call::messages(&opus), 7_200),
    ] {
        stage.client.send(&call).await.unwrap();
        let hit = stage.client.send(&call).await.unwrap();
        let ttl = hit
            .cache_status()
            .split(['=', ';'])
            .nth(3)
            .unwrap()
            .parse::<u64>()
            .unwrap();
        assert!(
            ttl <= seconds && ttl + 60 > seconds,
            "{seconds}: {}",
            hit.cache_status()
        );
    }
}

#[tokio::test]
async fn hit_does_not_extend_life() {
    let stage = Stage::start(cached_with("", "  ttlClasses: [{name: short, ttl: 1s}]"))
        .await
        .unwrap();
    stage.messages(&ask("short")).await.unwrap();
    // Asked without pause, the entry would live for ever if a hit extended it.
    llmcache_tests::kit::eventually("the entry ends", async || {
        stage.messages(&ask("short")).await.is_ok_and(|reply| !reply.is_hit())
    })
    .await
    .unwrap();
    assert_eq!(stage.fake.calls(), 2);
}

#[tokio::test]
async fn replay_repeats_the_callers_own_fields() {
    let stage = Stage::start(cached_with("", "  scope: {endUsers: Shared}"))
        .await
        .unwrap();
    let with = |mark: &str| {
        let mut body = Endpoint::Responses.body("echo");
        body["metadata"] = json!({"canary": mark});
        body["safety_identifier"] = json!(mark);
        body["prompt_cache_key"] = json!(mark);
        body["user"] = json!(mark);
        body
    };
    stage.client.send(&Call::responses(&with("alpha"))).await.unwrap();
    for body in [with("beta"), streamed(with("beta"))] {
        let hit = stage.client.send(&Call::responses(&body)).await.unwrap();
        assert!(hit.is_hit(), "{}", hit.cache_status());
        assert!(
            !hit.text().contains("alpha") && hit.text().contains("beta"),
            "{}",
            hit.text()
        );
    }
    let plain = stage
        .client
        .send(&Call::responses(&with("gamma")))
        .await
        .unwrap()
        .json()
        .unwrap();
    for name in ["safety_identifier", "prompt_cache_key", "user"] {
        assert_eq!(plain[name], "gamma", "{name}");
    }
    assert_eq!(
        (&plain["metadata"], &plain["store"]),
        (&json!({"canary": "gamma"}), &json!(false))
    );
    assert_eq!(stage.fake.calls(), 1);
}

#[tokio::test]
async fn observe_counts_would_be_hits_and_keeps_nothing() {
    let stage = Stage::start(cached("").replace("Enforce", "Observe")).await.unwrap();
    for _ in 0..3 {
        let reply = stage.messages(&ask("observed")).await.unwrap();
        assert!(
            reply
                .cache_status()
                .starts_with("llmcache; fwd=bypass; detail=observe_")
        );
    }
    let page = stage.metrics().await.unwrap();
    let count = |word| metric(&page, "llmcache_bypass_total", &["layer=\"result_cache\"", word]);
    assert_eq!((count("\"observe_miss\""), count("\"observe_hit\"")), (1.0, 2.0));
    assert_eq!(stage.fake.calls(), 3);
}

#[tokio::test]
async fn disabled_looks_nothing_up() {
    let stage = Stage::start(cached("").replace("Enforce", "Disabled")).await.unwrap();
    for _ in 0..2 {
        let reply = stage.messages(&ask(MODEL)).await.unwrap();
        assert_eq!(reply.cache_status(), "llmcache; fwd=bypass; detail=disabled");
    }
    assert_eq!(stage.fake.calls(), 2);
}
