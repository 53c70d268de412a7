//! Who saved what on one request: pure arithmetic from what it used to dollars per layer.
//!
//! C0 is the requested model with only the client's marks, C1 the model that answered with the same marks, C2 what
//! was paid. Always: sum of savings − sum of overheads = C0 − C2. A saving that rests on an unknown price is not
//! claimed, and where no mark of ours was placed the provider's own count of cached tokens is the client's.

use jiff::Timestamp;
use llmcache_provider::Provider;
use llmcache_provider::usage::{Billing, Usage};

use super::money::Nano;
use super::prices::{Bill, Cost, PriceTable, Unpriced};
use super::shadow::Split;

/// What is known of one request when its answer ends.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// Whose model.
    pub provider: Provider,
    /// The model the client asked for; for `auto` that of `defaultTier`.
    pub requested: &'a str,
    /// The model that answered.
    pub effective: &'a str,
    /// When the request began; its day's prices hold.
    pub at: Timestamp,
    /// What the answer used, by the provider's count; of a stored answer, when it was made.
    pub usage: &'a Usage,
    /// The answer's modifiers of price.
    pub billing: &'a Billing,
    /// What the provider would have cached by the client's own marks; absent when the model is not known.
    pub shadow: Option<Split>,
    /// Who answered.
    pub served: Served,
    /// Whether the usage is our estimate, not the provider's word (cancelled calls).
    pub estimated: bool,
}

/// Who answered, as far as money goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Served {
    /// The provider, for this request; no mark of ours was in it.
    Provider,
    /// The provider for a part, which is what it billed; the rest was stored. More than the answer used was billed
    /// where a part was asked for in vain.
    ProviderInPart(Usage),
    /// The provider, for this request; we had placed marks.
    ProviderMarked,
    /// The result cache, or the answer of an identical call in flight: it cost nothing.
    ResultCache,
    /// The semantic cache: it cost nothing.
    SemanticCache,
}

/// Dollars and tokens of one request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settlement {
    /// Without us.
    pub counterfactual: Nano,
    /// Paid.
    pub actual: Nano,
    /// Gross, by layer; a layer that cost more than it saved is negative.
    pub saved: Saved,
    /// What our own marks' writes cost beyond plain input.
    pub write_premium: Nano,
    /// What refreshing an answer that was served stale cost.
    pub refresh: Nano,
    /// What judging a pair of the semantic cache cost.
    pub judge: Nano,
    /// What asking an identical request again cost, which measures the judge.
    pub re_ask: Nano,
    /// Tokens billed for this request; none when the result cache answered.
    pub billed: Usage,
    /// Tokens of the answer, whoever made it.
    pub answer: Usage,
    /// Prompt tokens not sent, for what they ask was stored: by the result cache, by the semantic cache.
    pub spared: Spared,
    /// Prompt tokens the provider read from its cache because of our marks.
    pub reads_gained: u64,
    /// Whether the provider answered.
    pub is_upstream: bool,
    /// Whether the usage is estimated.
    pub estimated: bool,
    /// What has no known price; then no saving is claimed.
    pub unpriced: Vec<Unpriced>,
}

/// A call of ours that is no request of the app.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expense {
    /// It refreshes an answer that was served stale.
    Refresh,
    /// It judges a pair of the semantic cache.
    Judge,
    /// It asks an identical request again, which measures the judge.
    ReAsk,
}

/// Gross savings by layer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Saved {
    /// By answering on another model.
    pub routing: Nano,
    /// By not asking again.
    pub result_cache: Nano,
    /// By not asking what an equivalent question was answered.
    pub semantic_cache: Nano,
    /// By our marks.
    pub prompt_cache: Nano,
}

/// Prompt tokens not sent, by layer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spared {
    /// By the result cache.
    pub result_cache: u64,
    /// By the semantic cache.
    pub semantic_cache: u64,
}

/// C0, C1, C2 and what our marks' writes cost beyond plain input.
struct Costs {
    before: Cost,
    routed: Cost,
    paid: Cost,
    premium: Cost,
}

impl Settlement {
    /// The same call as an expense of a cache: nobody asked for it, so it has no cost to compare with.
    pub(crate) fn as_expense(&self, of: Expense) -> Self {
        let mut expense = Self {
            counterfactual: Nano::ZERO,
            saved: Saved::default(),
            write_premium: Nano::ZERO,
            reads_gained: 0,
            ..self.clone()
        };
        *match of {
            Expense::Refresh => &mut expense.refresh,
            Expense::Judge => &mut expense.judge,
            Expense::ReAsk => &mut expense.re_ask,
        } = self.actual;
        expense
    }

    /// Saved net of overheads.
    pub fn net(&self) -> Nano {
        self.counterfactual - self.actual
    }
}

/// Settles one request.
pub fn settle(prices: &PriceTable, facts: &Facts<'_>) -> Settlement {
    let shadow = shadow_usage(facts);
    let Costs {
        before,
        routed,
        paid,
        premium,
    } = Costs::of(prices, facts, &shadow);
    let is_upstream = !matches!(facts.served, Served::ResultCache | Served::SemanticCache);
    let billed = match facts.served {
        Served::ResultCache | Served::SemanticCache => Usage::default(),
        _ if facts.billing.unbilled => Usage::default(),
        Served::ProviderInPart(billed) => billed,
        Served::Provider | Served::ProviderMarked => *facts.usage,
    };
    let settlement = Settlement {
        counterfactual: paid.nano,
        actual: paid.nano,
        billed,
        answer: *facts.usage,
        spared: Spared::of(facts),
        is_upstream,
        estimated: facts.estimated,
        unpriced: unpriced([&before, &routed, &paid, &premium]),
        ..Settlement::default()
    };
    if !settlement.unpriced.is_empty() {
        return settlement;
    }
    let not_paid = routed.nano - paid.nano + premium.nano;
    let mut saved = Saved {
        routing: before.nano - routed.nano,
        ..Saved::default()
    };
    match facts.served {
        Served::ResultCache | Served::ProviderInPart(_) => saved.result_cache = not_paid,
        Served::SemanticCache => saved.semantic_cache = not_paid,
        Served::Provider | Served::ProviderMarked => saved.prompt_cache = not_paid,
    }
    Settlement {
        counterfactual: before.nano,
        saved,
        write_premium: premium.nano,
        reads_gained: settlement.billed.cache_read.saturating_sub(shadow.cache_read),
        ..settlement
    }
}

impl Spared {
    fn of(facts: &Facts<'_>) -> Self {
        let mut spared = Self::default();
        match facts.served {
            Served::ResultCache => spared.result_cache = facts.usage.input,
            Served::ProviderInPart(billed) => spared.result_cache = facts.usage.input.saturating_sub(billed.input),
            Served::SemanticCache => spared.semantic_cache = facts.usage.input,
            Served::Provider | Served::ProviderMarked => {}
        }
        spared
    }
}

impl Costs {
    fn of(prices: &PriceTable, facts: &Facts<'_>, shadow: &Usage) -> Self {
        let Facts {
            provider,
            effective,
            at,
            usage,
            billing,
            ..
        } = *facts;
        let bill = |usage| Bill {
            provider,
            at,
            answered: effective,
            usage,
            billing,
        };
        let (paid, premium) = match &facts.served {
            Served::ResultCache | Served::SemanticCache => (Cost::default(), Cost::default()),
            Served::ProviderInPart(billed) => (prices.cost(&bill(billed), effective), Cost::default()),
            Served::Provider | Served::ProviderMarked => {
                let extra = extra_writes(usage, shadow);
                (
                    prices.cost(&bill(usage), effective),
                    prices.write_premium(&bill(usage), effective, &extra),
                )
            }
        };
        Self {
            before: prices.cost(&bill(shadow), facts.requested),
            routed: prices.cost(&bill(shadow), effective),
            paid,
            premium,
        }
    }
}

/// The usage the provider would have reported had only the client placed marks.
fn shadow_usage(facts: &Facts<'_>) -> Usage {
    let reported = *facts.usage;
    match (facts.served, facts.provider) {
        // Attempts billed one by one each have a prompt of their own, which the shadow does not see.
        _ if !facts.billing.iterations.is_empty() => reported,
        (Served::Provider | Served::ProviderInPart(_), _) | (Served::ProviderMarked, Provider::OpenAi) => reported,
        (Served::ProviderMarked, Provider::Anthropic) => facts.shadow.map_or(reported, |split| split.usage(&reported)),
        (Served::ResultCache | Served::SemanticCache, _) => facts.shadow.unwrap_or_default().usage(&reported),
    }
}

/// Written tokens beyond the shadow's, the shorter lifetimes first.
fn extra_writes(actual: &Usage, shadow: &Usage) -> Usage {
    let mut left = actual.cache_write().saturating_sub(shadow.cache_write());
    let mut take = |actual: u64, shadow: u64| {
        let extra = actual.saturating_sub(shadow).min(left);
        left -= extra;
        extra
    };
    Usage {
        cache_write_5m: take(actual.cache_write_5m, shadow.cache_write_5m),
        cache_write_30m: take(actual.cache_write_30m, shadow.cache_write_30m),
        cache_write_1h: take(actual.cache_write_1h, shadow.cache_write_1h),
        cache_write_12h: take(actual.cache_write_12h, shadow.cache_write_12h),
        ..Usage::default()
    }
}

fn unpriced(costs: [&Cost; 4]) -> Vec<Unpriced> {
    let mut all: Vec<_> = costs
        .into_iter()
        .flat_map(|cost| cost.unpriced.iter().copied())
        .collect();
    all.sort_unstable();
    all.dedup();
    all
}

#[cfg(test)]
mod tests;
