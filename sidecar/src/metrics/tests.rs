use std::sync::atomic::Ordering::Relaxed;

use std::collections::BTreeSet;

use super::*;
use crate::account::{Nano, Settlement};
use crate::outcome::Outcome;

const REASONS: &[&str] = &[
    "r00", "r01", "r02", "r03", "r04", "r05", "r06", "r07", "r08", "r09", "r10", "r11", "r12", "r13", "r14", "r15",
    "r16", "r17", "r18", "r19", "r20", "r21", "r22", "r23", "r24", "r25", "r26", "r27", "r28", "r29", "r30", "r31",
    "r32", "r33", "r34", "r35", "r36", "r37", "r38", "r39",
];

fn metrics() -> Metrics {
    let metrics = Metrics::new(&[("result_cache", REASONS)]).unwrap();
    metrics.policy("support-bot", "9f2c31");
    metrics
}

#[test]
fn enum_families_exist_from_the_start_within_their_budget() {
    let text = metrics().render().unwrap();
    let families: BTreeSet<_> = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")).collect();
    for family in [
        "llmcache_bypass_total counter",
        "llmcache_request_duration_seconds histogram",
        "llmcache_added_seconds histogram",
        "llmcache_lookup_seconds histogram",
        "llmcache_saved_tokens_total counter",
        "llmcache_saved_usd_total counter",
        "llmcache_overhead_usd_total counter",
        "llmcache_prompt_cache_requests_total counter",
        "llmcache_singleflight_followers_total counter",
        "llmcache_store_budget_exceeded_total counter",
        "llmcache_store_breaker_open gauge",
        "llmcache_snapshot_age_seconds gauge",
        "llmcache_generation_regressions_total counter",
        "llmcache_policy_info gauge",
        "llmcache_push_connected gauge",
        "llmcache_snapshot_rejected_total counter",
    ] {
        assert!(families.contains(family), "{family} not in {families:#?}");
    }
    let series = text.lines().filter(|line| !line.starts_with('#')).count();
    assert!(series <= 300, "{series} series");
    assert!(text.contains("llmcache_bypass_total{layer=\"result_cache\",reason=\"r07\"} 0"));
    assert!(text.contains("llmcache_overhead_usd_total{kind=\"write_premium\",layer=\"prompt_cache\"} 0"));
}

#[test]
fn what_a_layer_lost_is_overhead_because_counters_never_fall() {
    let metrics = metrics();
    let line = |routing| Line {
        id: String::new(),
        outcome: Outcome::Miss,
        layer: None,
        reason: None,
        requested_model: String::new(),
        model: String::new(),
        settlement: Settlement {
            saved: crate::account::settle::Saved {
                routing: Nano(routing),
                ..Default::default()
            },
            ..Settlement::default()
        },
        stored: false,
    };
    let model: Arc<str> = "claude-opus-5-5".into();
    for routing in [2_000_000_000, -500_000_000] {
        metrics.record(None, &model, &line(routing), None);
    }
    let text = metrics.render().unwrap();
    assert!(
        text.contains("llmcache_saved_usd_total{layer=\"routing\"} 2\n"),
        "{text}"
    );
    assert!(
        text.contains("llmcache_overhead_usd_total{kind=\"loss\",layer=\"routing\"} 0.5\n"),
        "{text}"
    );
}

#[test]
fn a_call_of_ours_is_billed_and_is_no_request() {
    let metrics = metrics();
    let settlement = Settlement {
        billed: llmcache_provider::usage::Usage {
            input: 9,
            cache_read: 5,
            ..Default::default()
        },
        ..Settlement::default()
    };
    metrics.spent(&"claude-opus-5-5".into(), &settlement);
    let text = metrics.render().unwrap();
    for sample in [
        "llmcache_tokens_total{kind=\"cache_read\",model=\"claude-opus-5-5\"} 5\n",
        "llmcache_prompt_cache_requests_total{result=\"read\"} 0\n",
    ] {
        assert!(text.contains(sample), "{sample} not in {text}");
    }
}

#[test]
fn statuses_are_a_closed_set() {
    let metrics = metrics();
    for status in [Some(200), Some(529), Some(299), Some(777), None] {
        metrics.upstream("other", status);
    }
    let text = metrics.render().unwrap();
    for (status, count) in [("200", 1), ("529", 1), ("other", 2), ("unreachable", 1)] {
        let series = format!("llmcache_upstream_requests_total{{model=\"other\",status=\"{status}\"}} {count}\n");
        assert!(text.contains(&series), "{text}");
    }
}

#[test]
fn stores_and_policy_are_shown() {
    let metrics = metrics();
    let stats = StoreStats::default();
    stats.budget_exceeded.store(1, Relaxed);
    stats.breaker_open.store(1, Relaxed);
    metrics.store(Store::Redis, &stats);
    metrics.snapshot_age(Duration::from_millis(1_500));
    metrics.follower();
    metrics.regression();
    metrics.lookup(Layer::ResultCache, Duration::from_micros(70));
    metrics.bypass("result_cache", "r00");
    let text = metrics.render().unwrap();
    for sample in [
        "llmcache_store_breaker_open{store=\"redis\"} 1\n",
        "llmcache_store_budget_exceeded_total{store=\"redis\"} 1\n",
        "llmcache_snapshot_age_seconds 1.5\n",
        "llmcache_singleflight_followers_total 1\n",
        "llmcache_generation_regressions_total 1\n",
        "llmcache_lookup_seconds_bucket{layer=\"result_cache\",le=\"0.0001\"} 1\n",
        "llmcache_bypass_total{layer=\"result_cache\",reason=\"r00\"} 1\n",
    ] {
        assert!(text.contains(sample), "{sample} not in {text}");
    }
    stats.breaker_open.store(0, Relaxed);
    metrics.store(Store::Redis, &stats);
    assert!(
        metrics
            .render()
            .unwrap()
            .contains("llmcache_store_breaker_open{store=\"redis\"} 0\n")
    );
}

#[test]
fn another_policy_is_counted_apart_and_the_counters_before_it_stay() {
    let metrics = metrics();
    let line = || Line {
        id: String::new(),
        outcome: Outcome::Miss,
        layer: None,
        reason: None,
        requested_model: String::new(),
        model: String::new(),
        settlement: Settlement::default(),
        stored: false,
    };
    let model: Arc<str> = "other".into();
    for policy in ["support-bot", "", "support-bot"] {
        metrics.policy(policy, "r");
        metrics.record(None, &model, &line(), None);
    }
    let text = metrics.render().unwrap();
    for (policy, count) in [("support-bot", 2), ("none", 1)] {
        let sample = format!("policy=\"{policy}\",tier=\"none\"}} {count}\n");
        assert!(text.contains(&sample), "{sample} not in {text}");
    }
    assert!(text.contains("llmcache_policy_info{policy=\"support-bot\",revision=\"r\"} 1\n"));
    assert_eq!(text.matches("llmcache_policy_info{").count(), 1);
    for other in 0..100 {
        metrics.policy(&format!("p{other}"), "r");
    }
    assert!(metrics.render().unwrap().contains("policy_info{policy=\"other\""));
}
