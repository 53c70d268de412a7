//! From nothing known to serving, and back.

use llmcache_tests::kit::{Call, Reply, Stage, metric};
use serde_json::json;

use crate::{Pair, ask, candidate, enforced, feedback, id, open, pairs, prose, semantic, stage};

#[tokio::test]
async fn labels_open_a_class_and_paraphrases_are_served() {
    let stage = stage(enforced("")).await.unwrap();
    let left = open(&stage).await.unwrap();
    let page = stage.metrics().await.unwrap();
    assert!(metric(&page, "llmcache_semantic_labels_total", &["feedback", "right"]) >= 36.0);
    assert!(metric(&page, "llmcache_semantic_threshold", &["dynamic"]) >= 0.80);
    let (mut served, mut asked) = (0, 0);
    for (at, pair) in left.iter().enumerate().take(30) {
        let of = pairs().len() - left.len() + at;
        let first = stage.messages(&ask(&pair.a)).await.unwrap();
        assert!(!first.is_hit(), "{pair:?} {}", first.cache_status());
        let reply = stage.messages(&ask(&pair.b)).await.unwrap();
        assert_eq!(reply.json().unwrap()["content"][0]["text"], prose(of), "{pair:?}");
        asked += 1;
        if reply.is_hit() {
            served += 1;
            assert!(
                reply.cache_status().contains("detail=semantic"),
                "{}",
                reply.cache_status()
            );
            let ratio = |name| reply.header(name).parse::<f64>().unwrap();
            assert!(ratio("x-llmcache-similarity") >= ratio("x-llmcache-threshold"));
            assert!(ratio("x-llmcache-saved-usd") > 0.0);
        }
    }
    assert!(served * 2 > asked, "{served} of {asked}");
    let account = stage.client.account().await.unwrap();
    // One more was served while the class was opened.
    assert_eq!(account["requests"]["hit"]["semantic_cache"], json!(served + 1));
}

#[tokio::test]
async fn a_wrong_word_ends_the_entry_and_five_in_a_row_close_the_class() {
    let stage = stage(enforced("")).await.unwrap();
    let left = open(&stage).await.unwrap();
    let (mut served, mut wrong) = (0, 0);
    for pair in &left {
        stage.messages(&ask(&pair.a)).await.unwrap();
        let reply = stage.messages(&ask(&pair.b)).await.unwrap();
        if reply.is_hit() {
            served += 1;
            assert_eq!(feedback(&stage.client, id(&reply), true).await.unwrap(), 202);
            let again = stage.messages(&ask(&pair.b)).await.unwrap();
            assert!(!again.is_hit(), "{pair:?}: a wrong answer was served again");
        } else if candidate(&reply).is_some() {
            wrong += 1;
            assert_eq!(feedback(&stage.client, id(&reply), true).await.unwrap(), 202);
        }
        if wrong == 5 {
            break;
        }
    }
    assert!(served > 0 && wrong == 5, "{served} served, {wrong} drawn");
    let page = stage.metrics().await.unwrap();
    assert!(
        metric(&page, "llmcache_semantic_threshold", &["dynamic"]) < 0.01,
        "{page}"
    );
    let closings = || async {
        let page = stage.metrics().await.unwrap();
        metric(&page, "llmcache_semantic_closings_total", &["dynamic"])
    };
    llmcache_tests::kit::eventually("the closing is counted", async || closings().await > 0.0)
        .await
        .unwrap();
    for pair in left.iter().rev().take(5) {
        stage.messages(&ask(&pair.a)).await.unwrap();
        assert!(!stage.messages(&ask(&pair.b)).await.unwrap().is_hit(), "{pair:?}");
    }
}

#[tokio::test]
async fn observe_serves_nothing_however_good_the_labels_are() {
    let stage = stage(semantic("mode: Observe, maxFalseHitRate: 0.10", ""))
        .await
        .unwrap();
    for pair in pairs().into_iter().take(80) {
        stage.messages(&ask(&pair.a)).await.unwrap();
        let reply = stage.messages(&ask(&pair.b)).await.unwrap();
        assert!(!reply.is_hit(), "{pair:?}");
        if candidate(&reply).is_some() {
            feedback(&stage.client, id(&reply), false).await.unwrap();
        }
    }
    let page = stage.metrics().await.unwrap();
    assert!(metric(&page, "llmcache_semantic_threshold", &["dynamic"]) >= 0.80);
    assert!(metric(&page, "llmcache_semantic_candidates_total", &["observed"]) > 0.0);
    assert!(metric(&page, "llmcache_semantic_candidates_total", &["=\"served\""]) < 0.5);
}

#[tokio::test]
async fn words_on_what_nobody_asked_are_told_apart() {
    let stage = stage(enforced("")).await.unwrap();
    let (pair, reply) = drawn(&stage).await.unwrap();
    let of = id(&reply);
    assert_eq!(feedback(&stage.client, "lc_none", true).await.unwrap(), 404);
    let path = format!("/llmcache/candidate/{}", candidate(&reply).unwrap());
    let look = |key: &str| Call::get(&path).header("x-api-key", key);
    let seen = stage.client.send(&look("key-a")).await.unwrap();
    let at = pairs().iter().position(|one| one.a == pair.a).unwrap();
    assert_eq!(seen.json().unwrap()["content"][0]["text"], prose(at));
    assert_eq!(stage.client.send(&look("key-b")).await.unwrap().status, 404);
    assert_eq!(feedback(&stage.client, of, false).await.unwrap(), 202);
    assert_eq!(feedback(&stage.client, of, false).await.unwrap(), 409);
    let wrong = Call::post("/llmcache/feedback", json!({"request": of}).to_string());
    let refused = stage.client.send(&wrong).await.unwrap();
    assert_eq!(refused.status, 400);
    assert!(refused.text().contains("wrong"), "{}", refused.text());
    let foreign = wrong.header("origin", "https://example.com");
    assert_eq!(stage.client.send(&foreign).await.unwrap().status, 403);
}

/// The first pair of the sample whose label is wanted.
async fn drawn(stage: &Stage) -> anyhow::Result<(Pair, Reply)> {
    for pair in pairs() {
        stage.messages(&ask(&pair.a)).await?;
        let reply = stage.messages(&ask(&pair.b)).await?;
        if candidate(&reply).is_some() {
            return Ok((pair, reply));
        }
    }
    anyhow::bail!("no pair was drawn")
}
