use super::*;

fn facts<'a>(requested: &'a str, effective: &'a str, usage: &'a Usage, served: Served) -> Facts<'a> {
    static NO_BILLING: Billing = Billing {
        service_tier: None,
        fast: false,
        inference_geo_us: false,
        unbilled: false,
        iterations: Vec::new(),
    };
    Facts {
        provider: Provider::Anthropic,
        requested,
        effective,
        at: "2026-11-22T00:00:00Z".parse().unwrap(),
        usage,
        billing: &NO_BILLING,
        shadow: Some(Split::default()),
        served,
        estimated: false,
    }
}

fn identity(settlement: &Settlement) {
    let Saved {
        routing,
        result_cache,
        semantic_cache,
        prompt_cache,
    } = settlement.saved;
    let saved: Nano = [routing, result_cache, semantic_cache, prompt_cache].into_iter().sum();
    assert_eq!(
        saved - settlement.write_premium,
        settlement.counterfactual - settlement.actual,
        "{settlement:?}"
    );
    assert_eq!(settlement.net(), saved - settlement.write_premium);
}

#[test]
fn hit_saves_what_the_routed_model_would_have_cost() {
    let usage = Usage {
        input: 1_000,
        output: 100,
        ..Usage::default()
    };
    let prices = PriceTable::builtin();
    let settled = settle(
        &prices,
        &facts("claude-opus-5-5", "claude-sonnet-5-5", &usage, Served::ResultCache),
    );
    identity(&settled);
    assert_eq!(settled.counterfactual, Nano(1_000 * 4_000 + 100 * 20_000));
    assert_eq!(settled.actual, Nano::ZERO);
    assert_eq!(settled.saved.result_cache, Nano(1_000 * 2_000 + 100 * 10_000));
    assert_eq!(settled.saved.routing, Nano(1_000 * 2_000 + 100 * 10_000));
    assert_eq!((settled.billed, settled.answer), (Usage::default(), usage));
}

#[test]
fn part_that_was_stored_is_saved_and_what_was_asked_in_vain_is_lost() {
    let input = |input| Usage {
        input,
        ..Usage::default()
    };
    let usage = input(1_000);
    for (billed, spared) in [(400, 600), (1_000, 0), (1_300, 0)] {
        let served = Served::ProviderInPart(input(billed));
        let settled = settle(
            &PriceTable::builtin(),
            &facts("claude-sonnet-5-5", "claude-sonnet-5-5", &usage, served),
        );
        identity(&settled);
        let nano = |tokens: u64| Nano(i128::from(tokens) * 2_000);
        assert_eq!((settled.counterfactual, settled.actual), (nano(1_000), nano(billed)));
        assert_eq!(settled.saved.result_cache, nano(1_000) - nano(billed));
        assert_eq!(settled.saved.prompt_cache, Nano::ZERO);
        assert_eq!(
            (settled.billed, settled.answer, settled.spared.result_cache),
            (input(billed), usage, spared)
        );
    }
}

#[test]
fn hit_would_have_read_what_the_client_marked() {
    let usage = Usage {
        input: 1_000,
        output: 0,
        cache_read: 7,
        ..Usage::default()
    };
    let shadow = Some(Split {
        read: 600,
        write_5m: 300,
        ..Split::default()
    });
    let facts = Facts {
        shadow,
        ..facts("claude-sonnet-5-5", "claude-sonnet-5-5", &usage, Served::ResultCache)
    };
    let settled = settle(&PriceTable::builtin(), &facts);
    assert_eq!(settled.saved.result_cache, Nano(100 * 2_000 + 600 * 100 + 300 * 2_500));
}

#[test]
fn without_marks_of_ours_the_providers_word_claims_no_saving() {
    let usage = Usage {
        input: 1_000,
        cache_read: 500,
        cache_write_5m: 200,
        output: 10,
        ..Usage::default()
    };
    let settled = settle(
        &PriceTable::builtin(),
        &facts("claude-sonnet-5-5", "claude-sonnet-5-5", &usage, Served::Provider),
    );
    assert_eq!((settled.saved, settled.write_premium), (Saved::default(), Nano::ZERO));
    assert_eq!(settled.actual, settled.counterfactual);
    assert_eq!(settled.reads_gained, 0);
}

#[test]
fn our_marks_first_cost_the_premium_and_then_save_the_read() {
    let prices = PriceTable::builtin();
    let first = Usage {
        input: 1_000,
        cache_write_5m: 900,
        output: 10,
        ..Usage::default()
    };
    let settled = settle(
        &prices,
        &facts("claude-sonnet-5-5", "claude-sonnet-5-5", &first, Served::ProviderMarked),
    );
    identity(&settled);
    assert_eq!(settled.write_premium, Nano(900 * 500));
    assert_eq!(settled.saved.prompt_cache, Nano::ZERO);
    assert_eq!(settled.net(), Nano(-900 * 500));
    let next = Usage {
        input: 1_100,
        cache_read: 900,
        cache_write_5m: 100,
        output: 10,
        ..Usage::default()
    };
    let settled = settle(
        &prices,
        &facts("claude-sonnet-5-5", "claude-sonnet-5-5", &next, Served::ProviderMarked),
    );
    identity(&settled);
    assert_eq!(settled.saved.prompt_cache, Nano(900 * 1_900));
    assert_eq!((settled.write_premium, settled.reads_gained), (Nano(100 * 500), 900));
}

#[test]
fn writes_the_client_would_have_paid_are_no_overhead_of_ours() {
    let usage = Usage {
        input: 2_000,
        cache_write_5m: 500,
        cache_write_1h: 1_000,
        ..Usage::default()
    };
    let shadow = Some(Split {
        write_1h: 900,
        ..Split::default()
    });
    let facts = Facts {
        shadow,
        ..facts("claude-sonnet-5-5", "claude-sonnet-5-5", &usage, Served::ProviderMarked)
    };
    let settled = settle(&PriceTable::builtin(), &facts);
    identity(&settled);
    assert_eq!(settled.write_premium, Nano(500 * 500 + 100 * 2_000));
    // Nothing is extra when only the lifetime differs.
    assert_eq!(
        extra_writes(
            &Usage {
                cache_write_5m: 10,
                ..Usage::default()
            },
            &Usage {
                cache_write_1h: 10,
                ..Usage::default()
            }
        ),
        Usage::default()
    );
}

#[test]
fn an_unknown_price_claims_no_saving_and_keeps_what_was_paid() {
    let usage = Usage {
        input: 1_000,
        output: 100,
        ..Usage::default()
    };
    let prices = PriceTable::builtin();
    let settled = settle(
        &prices,
        &facts("claude-of-tomorrow", "claude-sonnet-5-5", &usage, Served::Provider),
    );
    identity(&settled);
    assert_eq!(settled.unpriced, [Unpriced::Model]);
    assert_eq!(settled.actual, Nano(1_000 * 2_000 + 100 * 10_000));
    assert_eq!(settled.net(), Nano::ZERO);
    let settled = settle(
        &prices,
        &facts("claude-sonnet-5-5", "claude-of-tomorrow", &usage, Served::ResultCache),
    );
    assert_eq!((settled.net(), settled.actual), (Nano::ZERO, Nano::ZERO));
}

#[test]
fn a_request_that_used_nothing_costs_nothing_on_any_model() {
    let settled = settle(
        &PriceTable::builtin(),
        &facts("x", "y", &Usage::default(), Served::Provider),
    );
    assert_eq!(settled.unpriced, []);
    assert_eq!(settled.net(), Nano::ZERO);
}

#[test]
fn an_unbilled_refusal_costs_and_saves_nothing() {
    let usage = Usage {
        input: 1_000,
        cache_write_5m: 900,
        output: 1,
        ..Usage::default()
    };
    let billing = Billing {
        unbilled: true,
        ..Billing::default()
    };
    let facts = Facts {
        billing: &billing,
        ..facts("claude-opus-5-5", "claude-sonnet-5-5", &usage, Served::ProviderMarked)
    };
    let settled = settle(&PriceTable::builtin(), &facts);
    identity(&settled);
    assert_eq!((settled.counterfactual, settled.actual), (Nano::ZERO, Nano::ZERO));
    assert_eq!((settled.write_premium, settled.saved), (Nano::ZERO, Saved::default()));
    assert_eq!((settled.billed, settled.answer), (Usage::default(), usage));
}

/// 20 000 settlements over all models, tiers and splits, from a fixed seed.
#[test]
fn savings_minus_overheads_are_always_what_was_paid_less() {
    let prices = PriceTable::builtin();
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    let mut below = |bound: u64| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed % bound
    };
    let mut complete = 0;
    for _ in 0..20_000 {
        let provider = [Provider::Anthropic, Provider::OpenAi][usize::from(below(2) == 1)];
        let ids = prices.ids(provider);
        let mut model = || ids[usize::try_from(below(ids.len() as u64)).unwrap()];
        let (requested, effective) = (model(), model());
        let parts: [u64; 8] = std::array::from_fn(|_| below(3) * below(150_000));
        let usage = Usage {
            input: parts[..6].iter().sum(),
            cache_read: parts[1],
            cache_write_5m: if provider == Provider::Anthropic { parts[2] } else { 0 },
            cache_write_1h: if provider == Provider::Anthropic { parts[3] } else { 0 },
            cache_write_30m: if provider == Provider::OpenAi { parts[4] } else { 0 },
            cache_write_12h: if provider == Provider::OpenAi { parts[5] } else { 0 },
            output: parts[6],
            web_searches: below(3),
        };
        let billing = Billing {
            inference_geo_us: below(2) == 1,
            ..Billing::default()
        };
        let read = below(usage.input + 1);
        let write = below(usage.input - read + 1);
        let facts = Facts {
            provider,
            billing: &billing,
            shadow: [
                None,
                Some(Split {
                    read,
                    write_5m: write,
                    ..Split::default()
                }),
            ][usize::from(below(4) > 0)],
            served: [Served::Provider, Served::ProviderMarked, Served::ResultCache][usize::try_from(below(3)).unwrap()],
            ..facts(requested, effective, &usage, Served::Provider)
        };
        let settled = settle(&prices, &facts);
        identity(&settled);
        complete += usize::from(settled.unpriced.is_empty());
    }
    assert!(complete > 10_000, "only {complete} had prices");
}
