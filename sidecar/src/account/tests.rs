use llmcache_provider::usage::{Billing, Usage};

use super::*;
use crate::outcome::Layer;

fn account() -> Arc<Account> {
    let metrics = Arc::new(Metrics::new(&[("result_cache", &["no-tenant"])]).unwrap());
    metrics.policy("support-bot", "9f2c31");
    Account::new(PriceTable::builtin(), metrics, Timestamp::UNIX_EPOCH)
}

fn settle(account: &Account, served: Served, usage: &Usage, model: &str) -> Settlement {
    let at = "2026-11-22T00:00:00Z".parse().unwrap();
    let facts = settle::Facts {
        provider: Provider::Anthropic,
        requested: "claude-opus-5-5",
        effective: model,
        at,
        usage,
        billing: &Billing::default(),
        shadow: None,
        served,
        estimated: false,
    };
    account.settle(None, at, facts)
}

fn line(outcome: Outcome, model: &str, settlement: Settlement) -> Line {
    Line {
        id: String::new(),
        outcome,
        layer: (outcome == Outcome::Hit).then_some(Layer::ResultCache),
        reason: None,
        requested_model: "claude-opus-5-5".into(),
        model: model.into(),
        settlement,
        stored: false,
    }
}

fn delivery() -> Delivery {
    Delivery {
        tier: None,
        is_stream: false,
        duration: Duration::from_millis(3),
        added: Duration::from_micros(90),
    }
}

fn sample(text: &str, series: &str) -> Option<f64> {
    let line = text
        .lines()
        .find(|line| line.strip_prefix(series).is_some_and(|rest| rest.starts_with(' ')))?;
    line.rsplit(' ').next()?.parse().ok()
}

#[test]
fn closed_record_counts_once() {
    let account = account();
    let record = account.open(Provider::Anthropic, Some(Endpoint::AnthropicMessages), "r1".into());
    let usage = Usage {
        input: 1_000,
        output: 10,
        ..Usage::default()
    };
    let settlement = settle(&account, Served::Provider, &usage, "claude-sonnet-5-5");
    record.close(line(Outcome::Miss, "claude-sonnet-5-5", settlement), &delivery());
    let json = account.json();
    assert_eq!(json["requests"]["total"], 1);
    assert_eq!(json["requests"]["miss"], 1);
    assert_eq!(
        account.find("r1").map(|line| line["usage"]["input"].clone()),
        Some(1_000.into())
    );
}

#[test]
fn lost_record_counts_once_as_internal() {
    let account = account();
    drop(account.open(Provider::OpenAi, None, "lost".into()));
    let json = account.json();
    assert_eq!(
        json["requests"],
        serde_json::json!({
            "total": 1, "hit": {"result_cache": 0, "semantic_cache": 0}, "miss": 0, "bypass": {"internal": 1}
        })
    );
    assert_eq!(json["recent"][0]["estimated"], true);
    let text = account.metrics.render().unwrap();
    let series =
        r#"llmcache_requests_total{endpoint="other",layer="none",outcome="bypass",policy="support-bot",tier="none"}"#;
    assert_eq!(sample(&text, series), Some(1.0));
}

#[test]
fn metrics_and_ledger_show_the_same_dollars() {
    let account = account();
    let marked = Usage {
        input: 9_000,
        cache_write_5m: 8_000,
        output: 77,
        ..Usage::default()
    };
    let read = Usage {
        input: 9_100,
        cache_read: 8_000,
        cache_write_5m: 100,
        output: 77,
        ..Usage::default()
    };
    for round in 0..333_u64 {
        let (served, outcome, usage) = match round % 3 {
            0 => (Served::ResultCache, Outcome::Hit, read),
            1 => (Served::Provider, Outcome::Miss, marked),
            _ => (Served::Provider, Outcome::Miss, read),
        };
        let settlement = settle(&account, served, &usage, "claude-haiku-5-5");
        let record = account.open(
            Provider::Anthropic,
            Some(Endpoint::AnthropicMessages),
            round.to_string(),
        );
        record.close(line(outcome, "claude-haiku-5-5", settlement), &delivery());
    }
    let usd = account.json()["usd"].clone();
    let ledger = |value: &Value| value.as_str().unwrap().parse::<f64>().unwrap();
    // Twice: reading sets the counters, it does not add.
    account.metrics.render().unwrap();
    let text = account.metrics.render().unwrap();
    for layer in ["routing", "result_cache", "prompt_cache"] {
        let metric = sample(&text, &format!(r#"llmcache_saved_usd_total{{layer="{layer}"}}"#));
        assert_eq!(metric, Some(ledger(&usd["saved"][layer])), "{layer}");
    }
    assert!(ledger(&usd["saved"]["routing"]) > 0.0);
    let cost = sample(&text, r#"llmcache_cost_usd_total{model="claude-haiku-5-5"}"#);
    assert_eq!(cost, Some(ledger(&usd["actual"])));
    let tokens = sample(&text, r#"llmcache_tokens_total{kind="input",model="claude-haiku-5-5"}"#);
    assert_eq!(tokens, Some(f64::from(111 * 9_000 + 111 * 9_100)));
}

#[test]
fn a_name_the_table_does_not_know_is_no_label() {
    let account = account();
    assert_eq!(
        &**account.model_label(Provider::Anthropic, "claude-haiku-4-5"),
        "claude-haiku-4-5-20251001"
    );
    assert_eq!(&**account.model_label(Provider::Anthropic, "user-chosen-7f3a"), "other");
}
