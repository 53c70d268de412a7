//! A judge labels what nobody else does, for at most one call in a hundred requests, and the metrics show its price.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use llmcache_tests::fake::Answer;
use llmcache_tests::kit::{eventually, metric};

use crate::{ask, pairs, prose, semantic, stage};

/// Pairs asked: two requests each.
const PAIRS: usize = 250;

#[tokio::test]
async fn a_judge_labels_pairs_within_its_budget_and_is_overhead() {
    let members = "mode: Enforce, maxFalseHitRate: 0.10, judge: {model: claude-haiku-5-5, sample: 1}";
    let stage = stage(semantic(members, "")).await.unwrap();
    let judged = Arc::new(AtomicUsize::new(0));
    let (calls, known) = (judged.clone(), pairs());
    stage.fake.set_answer(move |body, _| {
        let text = body["messages"][0]["content"].as_str().unwrap_or_default();
        if text.contains("\"candidate_question\"") {
            calls.fetch_add(1, Ordering::Relaxed);
            return Answer::text("SAME");
        }
        let of = known.iter().position(|pair| pair.a == text || pair.b == text);
        Answer::text(prose(of.unwrap_or_default()))
    });
    for pair in pairs().iter().take(PAIRS) {
        for text in [&pair.a, &pair.b] {
            stage.messages(&ask(text)).await.unwrap();
        }
    }
    eventually("a label of the judge", async || {
        let page = stage.metrics().await.unwrap_or_default();
        metric(&page, "llmcache_semantic_labels_total", &["\"judge\"", "\"right\""]) > 0.0
    })
    .await
    .unwrap();
    let judged = judged.load(Ordering::Relaxed);
    assert!((1..=2 * PAIRS / 100).contains(&judged), "{judged} calls");
    let page = stage.metrics().await.unwrap();
    let price = metric(
        &page,
        "llmcache_overhead_usd_total",
        &["\"semantic_cache\"", "\"judge\""],
    );
    assert!(price > 0.0, "{page}");
}
