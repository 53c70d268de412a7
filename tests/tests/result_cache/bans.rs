//! `POST /llmcache/invalidate`.

use llmcache_tests::fake::{Fault, Trouble};
use llmcache_tests::kit::{Call, Stage, eventually, question};
use serde_json::{Value, json};

use crate::{ask, ban, cached, cached_with, streamed};

const RULES: &str = "  tags: [\"user:{user}\", \"doc:{header:x-doc-id}\", \"{class}/{model}\"]
  ttlClasses:
      - {name: realtime, ttl: 5m, match: {anyKeyword: [today]}}
      - {name: dynamic, ttl: 1h}
  invalidation: [{name: docs, pattern: \"doc:*\"}]";

fn entries() -> [(&'static str, Call); 5] {
    let mut user = ask("of a user");
    user["metadata"] = json!({"user_id": "ann:7"});
    [
        ("user", Call::messages(&user)),
        ("doc", Call::messages(&ask("of a doc")).header("x-doc-id", "d1")),
        (
            "own",
            Call::messages(&ask("own tag")).header("x-llmcache-tags", "team:red, other"),
        ),
        ("class", Call::messages(&ask("today"))),
        ("model", Call::messages(&question("claude-sonnet-5-5", "another model"))),
    ]
}

#[tokio::test]
async fn each_condition_kills_what_it_names_and_a_dry_run_nothing() {
    let stage = Stage::start(cached_with("", RULES)).await.unwrap();
    for (asked, killed) in [
        (json!({"pattern": "user:ann:*"}), vec!["user"]),
        (json!({"pattern": "user:ann:7:*"}), vec!["user"]),
        (json!({"pattern": "user:ann"}), vec![]),
        (json!({"name": "docs"}), vec!["doc"]),
        (json!({"pattern": "team:*", "layer": "ResultCache"}), vec!["own"]),
        (json!({"pattern": "*", "layer": "SemanticCache"}), vec![]),
        (json!({"class": "realtime"}), vec!["class"]),
        (json!({"model": "claude-sonnet-*"}), vec!["model"]),
        (json!({"model": "claude-sonnet-*", "class": "realtime"}), vec![]),
        (json!({"pattern": "dynamic/claude-haiku-*"}), vec!["user", "doc", "own"]),
        (json!({"olderThan": "1h"}), vec![]),
        (json!({"olderThan": "0s"}), vec!["user", "doc", "own", "class", "model"]),
    ] {
        for (_, call) in entries() {
            stage.client.send(&call).await.unwrap();
        }
        let mut dry = asked.clone();
        dry["dryRun"] = json!(true);
        for (body, is_dry) in [(dry, true), (asked.clone(), false)] {
            let (status, said) = ban(&stage, body).await.unwrap();
            assert_eq!(
                (status, &said["matched"]),
                (200, &json!(killed.len())),
                "{asked} {said}"
            );
            assert_eq!((&said["complete"], &said["reach"]), (&json!(true), &json!("Pod")));
            assert_eq!(said["ban"].is_null(), is_dry, "{said}");
            for (name, call) in entries().into_iter().filter(|_| is_dry) {
                assert!(stage.client.send(&call).await.unwrap().is_hit(), "{name}");
            }
        }
        for (name, call) in entries() {
            let only = call.header("cache-control", "only-if-cached");
            let is_alive = stage.client.send(&only).await.unwrap().is_hit();
            assert_eq!(is_alive, !killed.contains(&name), "{asked} {name}");
        }
    }
}

#[tokio::test]
async fn answer_in_flight_is_covered() {
    let stage = Stage::start(cached("")).await.unwrap();
    for (body, events) in [(ask("plain"), 0), (streamed(ask("stream")), 2)] {
        let before = stage.fake.stalled();
        stage.fake.script(Fault::new(Trouble::StallAfter(events)));
        let (client, call) = (stage.client.clone(), Call::messages(&body));
        let asked = tokio::spawn(async move { client.send(&call).await });
        eventually("it stalls", async || stage.fake.stalled() > before)
            .await
            .unwrap();
        assert_eq!(ban(&stage, json!({"pattern": "*"})).await.unwrap().0, 200);
        stage.fake.release();
        assert_eq!(asked.await.unwrap().unwrap().status, 200);
        assert!(!stage.messages(&body).await.unwrap().is_hit());
        assert!(stage.messages(&body).await.unwrap().is_hit());
    }
}

#[tokio::test]
async fn call_after_a_ban_does_not_follow_one_from_before() {
    let stage = Stage::start(cached("")).await.unwrap();
    for (body, events) in [(ask("plain"), 0), (streamed(ask("stream")), 2)] {
        let before = stage.fake.stalled();
        stage.fake.script(Fault::new(Trouble::StallAfter(events)));
        let (client, call) = (stage.client.clone(), Call::messages(&body));
        let old = tokio::spawn(async move { client.send(&call).await });
        eventually("it stalls", async || stage.fake.stalled() > before)
            .await
            .unwrap();
        ban(&stage, json!({"pattern": "*"})).await.unwrap();
        let new = stage.messages(&body).await.unwrap();
        assert!(
            !new.cache_status().contains("collapsed") && !new.is_hit(),
            "{}",
            new.cache_status()
        );
        assert!(!old.is_finished());
        stage.fake.release();
        old.await.unwrap().unwrap();
        let hit = stage.messages(&body).await.unwrap();
        assert!(hit.is_hit(), "the newer answer stays: {}", hit.cache_status());
    }
}

#[tokio::test]
async fn bad_request_lists_every_problem() {
    let stage = Stage::start(cached_with("", RULES)).await.unwrap();
    let bad = json!({"pattern": 7, "olderThan": "soon", "layer": "Both", "dryRun": "yes", "name": "none", "tag": "x"});
    let (status, said) = ban(&stage, bad).await.unwrap();
    let problems: Vec<&str> = said["errors"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(Value::as_str)
        .collect();
    assert_eq!(status, 400);
    for field in ["pattern", "olderThan", "layer", "dryRun", "name", "tag"] {
        assert!(
            problems.iter().any(|problem| problem.contains(field)),
            "{field}: {problems:?}"
        );
    }
    for body in [
        json!({}),
        json!({"dryRun": true}),
        json!({"layer": "SemanticCache"}),
        json!([]),
    ] {
        assert_eq!(ban(&stage, body.clone()).await.unwrap().0, 400, "{body}");
    }
}
