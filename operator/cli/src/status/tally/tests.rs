use super::*;

const TEXT: &str = "\
llmcache_requests_total{endpoint=\"messages\",layer=\"none\",outcome=\"miss\",policy=\"p\",tier=\"none\"} 6
llmcache_requests_total{endpoint=\"messages\",layer=\"result_cache\",outcome=\"hit\",policy=\"p\",tier=\"none\"} 3
llmcache_requests_total{endpoint=\"messages\",layer=\"none\",outcome=\"bypass\",policy=\"p\",tier=\"none\"} 1
llmcache_requests_total{endpoint=\"other\",layer=\"none\",outcome=\"bypass\",policy=\"p\",tier=\"none\"} 4
llmcache_prompt_cache_requests_total{result=\"read\"} 2
llmcache_prompt_cache_requests_total{result=\"write\"} 4
llmcache_tokens_total{kind=\"input\",model=\"a\"} 600
llmcache_tokens_total{kind=\"cache_read\",model=\"a\"} 100
llmcache_saved_tokens_total{layer=\"result_cache\"} 400
llmcache_saved_tokens_total{layer=\"prompt_cache\"} 90
llmcache_cost_usd_total{model=\"a\"} 0.000000001
llmcache_cost_usd_total{model=\"b\"} 0.1
llmcache_saved_usd_total{layer=\"routing\"} 0.5
llmcache_saved_usd_total{layer=\"result_cache\"} 0.000000003
llmcache_overhead_usd_total{kind=\"write_premium\",layer=\"prompt_cache\"} 0.2
llmcache_push_connected 1
";

#[test]
fn hit_rates_follow_their_definitions() {
    let tally = Tally::of(TEXT).unwrap();
    assert_eq!((tally.requests, tally.opaque, tally.bypass), (10, 4, 1));
    let share = |part, whole| Share { part, whole };
    assert_eq!(tally.by_requests("result_cache"), share(3, 10));
    assert_eq!(tally.by_requests("semantic_cache"), share(0, 10));
    assert_eq!(tally.by_requests("prompt_cache"), share(2, 10));
    assert_eq!(tally.combined_by_requests(), share(5, 10));
    assert_eq!(tally.by_tokens("result_cache"), share(400, 1_000));
    assert_eq!(tally.by_tokens("prompt_cache"), share(100, 1_000));
    assert_eq!(tally.combined_by_tokens().to_string(), "50.0 %");
    assert_eq!(tally.connected, Some(1));
}

#[test]
fn dollars_add_up_to_the_nano_dollar_over_many_sidecars() {
    let one = Tally::of(TEXT).unwrap();
    let mut sum = Tally::default();
    for _ in 0..1_000 {
        sum.add(&one);
    }
    assert_eq!(sum.actual.to_string(), "100.000001000");
    assert_eq!(sum.gross().to_string(), "500.000003000");
    assert_eq!(sum.costs().to_string(), "200.000000000");
    assert_eq!((sum.requests, sum.connected), (10_000, Some(1_000)));
}

#[test]
fn share_of_nothing_is_nothing() {
    let nothing = Share { part: 0, whole: 0 };
    assert_eq!((nothing.to_string().as_str(), nothing.tenths()), ("-", None));
    assert_eq!(Share { part: 2, whole: 3 }.to_string(), "66.7 %");
    let all = Share { part: 1, whole: 1 };
    assert_eq!(
        serde_json::json!(all),
        serde_json::json!({"part": 1, "whole": 1, "percent": "100.0"})
    );
}

#[test]
fn what_is_no_sum_is_named() {
    let bad = "llmcache_cost_usd_total{model=\"a\"} NaN\n";
    assert_eq!(
        Tally::of(bad),
        Err("llmcache_cost_usd_total has the value NaN, which is no sum".into())
    );
}
