use super::*;

fn line(id: &str, outcome: Outcome) -> Line {
    Line {
        id: id.into(),
        outcome,
        layer: (outcome == Outcome::Hit).then_some(Layer::ResultCache),
        reason: (outcome == Outcome::Bypass).then_some("no-tenant"),
        requested_model: "claude-opus-5-5".into(),
        model: "claude-sonnet-5-5".into(),
        settlement: Settlement {
            counterfactual: Nano(5_000_000_000),
            actual: Nano(3_500_000_001),
            saved: Saved {
                routing: Nano(1_000_000_000),
                result_cache: Nano::ZERO,
                semantic_cache: Nano::ZERO,
                prompt_cache: Nano(600_000_000),
            },
            write_premium: Nano(100_000_001),
            billed: Usage {
                input: 10,
                cache_read: 4,
                cache_write_5m: 3,
                cache_write_1h: 1,
                output: 2,
                ..Usage::default()
            },
            answer: Usage {
                input: 10,
                output: 2,
                ..Usage::default()
            },
            is_upstream: true,
            ..Settlement::default()
        },
        stored: outcome == Outcome::Miss,
    }
}

fn ledger() -> Ledger {
    Ledger::new("2026-11-22T10:00:00Z".parse().unwrap())
}

#[test]
fn has_the_documented_shape() {
    let ledger = ledger();
    let model: Arc<str> = "claude-sonnet-5-5".into();
    for (id, outcome) in [("1", Outcome::Miss), ("2", Outcome::Bypass), ("3", Outcome::Hit)] {
        ledger.add(&model, line(id, outcome));
    }
    let mut json = ledger.json();
    let recent = json["recent"].take();
    assert_eq!(
        json,
        json!({
            "since": "2026-11-22T10:00:00Z",
            "requests": {"total": 3, "hit": {"result_cache": 1, "semantic_cache": 0}, "miss": 1, "bypass": {"no-tenant": 1}},
            "tokens": {"input": 30, "cache_read": 12, "cache_write": 12, "output": 6},
            "models": {"claude-sonnet-5-5": 3},
            "usd": {
                "counterfactual": "15.000000000",
                "actual": "10.500000003",
                "saved": {"routing": "3.000000000", "result_cache": "0.000000000", "semantic_cache": "0.000000000", "prompt_cache": "1.800000000"},
                "overhead": {"prompt_cache": {"write_premium": "0.300000003"}, "result_cache": {"refresh": "0.000000000"},
                    "semantic_cache": {"judge": "0.000000000", "re_ask": "0.000000000"}},
                "net": "4.499999997",
            },
            "recent": null,
        })
    );
    assert_eq!(recent.as_array().map(Vec::len), Some(3));
    assert_eq!(
        recent[0],
        json!({
            "id": "3", "outcome": "hit", "layer": "result_cache", "reason": null,
            "requestedModel": "claude-opus-5-5", "model": "claude-sonnet-5-5",
            "usage": {"input": 10, "cache_read": 0, "cache_write": 0, "output": 2},
            "usd": {
                "counterfactual": "5.000000000",
                "actual": "3.500000001",
                "saved": {"routing": "1.000000000", "result_cache": "0.000000000", "semantic_cache": "0.000000000", "prompt_cache": "0.600000000"},
                "overhead": {"prompt_cache": {"write_premium": "0.100000001"}, "result_cache": {"refresh": "0.000000000"},
                    "semantic_cache": {"judge": "0.000000000", "re_ask": "0.000000000"}},
                "net": "1.499999999",
            },
            "estimated": false, "stored": false,
        })
    );
    assert_eq!(ledger.find("2"), Some(recent[1].clone()));
    assert_eq!(ledger.find("4"), None);
}

#[test]
fn keeps_the_latest_and_the_sums_of_all() {
    let ledger = ledger();
    let model: Arc<str> = "other".into();
    for id in 0..RECENT + 10 {
        ledger.add(
            &model,
            Line {
                requested_model: "é".repeat(200),
                ..line(&id.to_string(), Outcome::Miss)
            },
        );
    }
    let json = ledger.json();
    assert_eq!(json["recent"].as_array().map(Vec::len), Some(RECENT));
    assert_eq!(json["requests"]["total"], RECENT + 10);
    assert_eq!(json["recent"][0]["id"], (RECENT + 9).to_string());
    assert_eq!(
        json["recent"][0]["requestedModel"],
        "é".repeat(64),
        "names from clients are bounded"
    );
    assert_eq!(ledger.find("9"), None);
}
