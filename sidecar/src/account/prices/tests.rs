use llmcache_provider::usage::Iteration;

use super::*;

const NO_BILLING: Billing = Billing {
    service_tier: None,
    fast: false,
    inference_geo_us: false,
    unbilled: false,
    iterations: Vec::new(),
};

fn day(text: &str) -> Timestamp {
    format!("{text}T12:00:00Z").parse().unwrap()
}

fn anthropic(usage: Usage, billing: &Billing, model: &str, on: &str) -> Cost {
    let bill = Bill {
        provider: Provider::Anthropic,
        at: day(on),
        answered: model,
        usage: &usage,
        billing,
    };
    PriceTable::builtin().cost(&bill, model)
}

fn openai(usage: Usage, billing: &Billing, model: &str) -> Cost {
    let bill = Bill {
        provider: Provider::OpenAi,
        at: day("2026-11-22"),
        answered: model,
        usage: &usage,
        billing,
    };
    PriceTable::builtin().cost(&bill, model)
}

fn priced(nano: i128) -> Cost {
    Cost {
        nano: Nano(nano),
        unpriced: Vec::new(),
    }
}

#[test]
fn every_shipped_row_is_read() {
    let table = PriceTable::default()
        .with_overrides(include_str!("../prices.json"))
        .unwrap();
    assert_eq!(table.ids(Provider::Anthropic).len(), 18);
    assert_eq!(table.ids(Provider::OpenAi).len(), 30);
    for provider in [Provider::Anthropic, Provider::OpenAi] {
        for id in table.ids(provider) {
            assert!(table.list_price(provider, id, day("2026-11-22")).is_some(), "{id}");
        }
    }
}

#[test]
fn each_kind_of_token_pays_its_own_rate() {
    // claude-sonnet-5-5: $2 input, $0.10 read, $2.50 and $4 write, $10 output per million.
    let usage = Usage {
        input: 1_000 + 2_000 + 3_000 + 4_000,
        cache_read: 2_000,
        cache_write_5m: 3_000,
        cache_write_1h: 4_000,
        output: 500,
        ..Usage::default()
    };
    let nano = 1_000 * 2_000 + 2_000 * 100 + 3_000 * 2_500 + 4_000 * 4_000 + 500 * 10_000;
    assert_eq!(
        anthropic(usage, &NO_BILLING, "claude-sonnet-5-5", "2026-11-22"),
        priced(nano)
    );
}

#[test]
fn openai_writes_pay_by_lifetime_and_are_free_where_no_charge_is_published() {
    let usage = Usage {
        input: 5_000,
        cache_read: 1_000,
        cache_write_30m: 2_000,
        cache_write_12h: 1_000,
        output: 100,
        ..Usage::default()
    };
    // gpt-6.2-sol: $2, $0.10, $2.50, $5, $10.
    let nano = 1_000 * 2_000 + 1_000 * 100 + 2_000 * 2_500 + 1_000 * 5_000 + 100 * 10_000;
    assert_eq!(openai(usage, &NO_BILLING, "gpt-6.2-sol"), priced(nano));
    // gpt-5.5: $5, $0.50, writes at the input rate, $30.
    assert_eq!(
        openai(usage, &NO_BILLING, "gpt-5.5"),
        priced(4_000 * 5_000 + 1_000 * 500 + 100 * 30_000)
    );
}

#[test]
fn prices_hold_from_their_first_to_their_last_day() {
    let usage = Usage {
        input: 1_000_000,
        cache_read: 1_000_000,
        ..Usage::default()
    };
    let read = |on| anthropic(usage, &NO_BILLING, "claude-sonnet-5-5", on).nano;
    assert_eq!(read("2026-10-06"), Nano(200_000_000));
    assert_eq!(read("2026-10-07"), Nano(100_000_000));
}

#[test]
fn long_prompt_prices_the_whole_request_and_counts_cached_tokens() {
    let usage = |input| Usage {
        input,
        cache_read: 90_000,
        output: 1_000,
        ..Usage::default()
    };
    let at = |input| anthropic(usage(input), &NO_BILLING, "claude-haiku-5-5", "2026-11-22");
    assert_eq!(at(100_000), priced(10_000 * 100 + 90_000 * 10 + 1_000 * 500));
    assert_eq!(at(100_001), priced(10_001 * 500 + 90_000 * 50 + 1_000 * 2_500));
}

#[test]
fn multipliers_stack_and_web_searches_have_their_own_price() {
    let usage = Usage {
        input: 1_000,
        output: 1_000,
        web_searches: 3,
        ..Usage::default()
    };
    let billing = Billing {
        service_tier: Some(ServiceTier::Batch),
        fast: true,
        inference_geo_us: true,
        ..Billing::default()
    };
    // claude-opus-5-5: $4 and $20; × 0.5 × 2 × 1.1; three searches at $0.01.
    let tokens = 1_000 * (4_000 + 20_000) * 11 / 10;
    assert_eq!(
        anthropic(usage, &billing, "claude-opus-5-5", "2026-11-22"),
        priced(tokens + 30_000_000)
    );
}

#[test]
fn service_tiers_follow_the_response() {
    let usage = Usage {
        input: 1_000,
        ..Usage::default()
    };
    let tier = |tier| {
        openai(
            usage,
            &Billing {
                service_tier: Some(tier),
                ..Billing::default()
            },
            "gpt-6.2-sol",
        )
    };
    assert_eq!(tier(ServiceTier::Standard), priced(2_000_000));
    assert_eq!(tier(ServiceTier::Flex), priced(1_000_000));
    assert_eq!(tier(ServiceTier::Priority), priced(4_000_000));
    assert_eq!(tier(ServiceTier::Ultrafast), priced(6_000_000));
    assert_eq!(tier(ServiceTier::Other).unpriced, [Unpriced::ServiceTier]);
    let priority = Billing {
        service_tier: Some(ServiceTier::Priority),
        ..Billing::default()
    };
    assert_eq!(
        anthropic(usage, &priority, "claude-sonnet-5-5", "2026-11-22"),
        priced(2_000_000)
    );
}

#[test]
fn attempts_are_billed_one_by_one_at_their_own_model() {
    let part = |model: Option<&str>, input| Iteration {
        model: model.map(Into::into),
        usage: Usage {
            input,
            ..Usage::default()
        },
    };
    let billing = Billing {
        iterations: vec![
            part(None, 10),
            part(Some("claude-haiku-4-5-20251001"), 100),
            part(Some("claude-opus-5"), 1_000),
        ],
        ..Billing::default()
    };
    let usage = Usage {
        input: 10,
        ..Usage::default()
    };
    let bill = Bill {
        provider: Provider::Anthropic,
        at: day("2026-11-22"),
        answered: "claude-haiku-4-5",
        usage: &usage,
        billing: &billing,
    };
    let table = PriceTable::builtin();
    assert_eq!(
        table.cost(&bill, "claude-haiku-4-5"),
        priced(110 * 1_000 + 1_000 * 5_000)
    );
    // On another model only the answering model's attempts move.
    assert_eq!(
        table.cost(&bill, "claude-sonnet-5-5"),
        priced(110 * 2_000 + 1_000 * 5_000)
    );
}

#[test]
fn half_a_nano_dollar_rounds_up_once_per_answer() {
    // gpt-5-nano reads cost 5 nano-dollars; × 0.5 = 2.5 each.
    let billing = Billing {
        service_tier: Some(ServiceTier::Batch),
        ..Billing::default()
    };
    let reads = |count| Usage {
        input: count,
        cache_read: count,
        ..Usage::default()
    };
    assert_eq!(openai(reads(1), &billing, "gpt-5-nano"), priced(3));
    assert_eq!(openai(reads(3), &billing, "gpt-5-nano"), priced(8));
}

#[test]
fn what_has_no_published_price_is_named_and_never_guessed() {
    let usage = Usage {
        input: 10,
        cache_read: 4,
        output: 1,
        ..Usage::default()
    };
    // gpt-5.5-pro: no read price; input $30, output $180.
    let cost = openai(usage, &NO_BILLING, "gpt-5.5-pro");
    assert_eq!(
        cost,
        Cost {
            nano: Nano(6 * 30_000 + 180_000),
            unpriced: vec![Unpriced::CacheRead]
        }
    );
    for unknown in ["claude-unknown", "claude-sonnet-5-5-20261001", "gpt-6.2-sol", ""] {
        let cost = anthropic(usage, &NO_BILLING, unknown, "2026-11-22");
        assert_eq!(
            cost,
            Cost {
                nano: Nano::ZERO,
                unpriced: vec![Unpriced::Model]
            },
            "{unknown}"
        );
    }
    assert_eq!(
        anthropic(Usage::default(), &NO_BILLING, "claude-unknown", "2026-11-22"),
        priced(0)
    );
}

#[test]
fn own_rows_replace_all_rows_of_their_model_and_no_other() {
    let own = r#"{"rows": [{"provider": "anthropic", "id": "claude-sonnet-5-5", "aliases": ["ours"],
        "input": 1.5, "read": 0.000001, "output": 7}]}"#;
    let table = PriceTable::builtin().with_overrides(own).unwrap();
    let price = |model| table.list_price(Provider::Anthropic, model, day("2026-10-01"));
    assert_eq!(price("claude-sonnet-5-5"), Some((1_500_000, 7_000_000)));
    assert_eq!(price("ours"), price("claude-sonnet-5-5"));
    assert_eq!(price("claude-opus-5-5"), Some((4_000_000, 20_000_000)));
    assert_eq!(
        table.id(Provider::Anthropic, "ours").map(|id| &**id),
        Some("claude-sonnet-5-5")
    );
}

#[test]
fn a_bad_price_file_is_refused_with_every_problem_named() {
    let bad = r#"{"web_search_per_1000": {"openai": -1}, "rows": [
        {"provider": "azure", "id": "", "inputs": 1},
        {"provider": "openai", "id": "m", "input": "2", "output": 0.0000001, "from": "yesterday", "batch": 0.12345},
        {"provider": "openai", "id": "n", "to": "2026-01-31"},
        {"provider": "openai", "id": "n", "from": "2026-01-31", "long_prompt": {"input": 1}},
        7]}"#;
    let problems = PriceTable::builtin().with_overrides(bad).unwrap_err();
    let starts = [
        "rows[0].inputs: unknown",
        "rows[0].provider: unknown",
        "rows[0].id: missing",
        "rows[1].from: not a day",
        "rows[1].input: \"2\" is no price",
        "rows[1].output: 1e-7 is no price",
        "rows[1].batch: 0.12345 is no multiplier",
        "rows[3].long_prompt.above: not a whole number",
        "rows[4]: not an object",
        "web_search_per_1000.openai: -1 is no price",
    ];
    assert_eq!(problems.len(), starts.len(), "{problems:#?}");
    for (problem, start) in problems.iter().zip(starts) {
        assert!(problem.starts_with(start), "{problem}");
    }
    let overlap = r#"{"rows": [{"provider": "openai", "id": "n", "to": "2026-01-31"},
        {"provider": "openai", "id": "n", "from": "2026-01-31"}]}"#;
    let problems = PriceTable::builtin().with_overrides(overlap).unwrap_err();
    assert_eq!(
        problems,
        ["rows[0].to: rows of n overlap; end each before the next row's from"]
    );
    assert!(PriceTable::builtin().with_overrides("[").unwrap_err()[0].starts_with("prices: not JSON"));
    assert!(PriceTable::builtin().with_overrides("[]").unwrap_err()[0].starts_with("rows: missing"));
}

#[test]
fn a_call_is_quoted_on_models_of_either_provider() {
    let table = PriceTable::builtin();
    let tokens = Tokens {
        input: 1_000,
        cache_read: 200,
        cache_write: 300,
        output: 10,
    };
    let quote = |model| table.quote(model, tokens, day("2026-11-22"));
    let sonnet = quote("claude-sonnet-5-5").unwrap();
    assert_eq!(
        (sonnet.provider, sonnet.cost),
        ("anthropic", priced(500 * 2_000 + 200 * 100 + 300 * 2_500 + 10 * 10_000))
    );
    let sol = quote("gpt-5.6").unwrap();
    assert_eq!((sol.provider, &*sol.model), ("openai", "gpt-5.6-sol"));
    assert_eq!(sol.cost, priced(500 * 4_000 + 200 * 400 + 300 * 5_000 + 10 * 20_000));
    assert_eq!(quote("gpt-7"), None);
    assert!(table.names().contains(&"gpt-5.6"));
}
