//! What tokens cost: effective-dated rows per model, and the exact price of one answer.
//!
//! Rates are integer pico-dollars per token and multipliers thousandths, so a cost is one integer sum that is
//! rounded once. A rate nobody has published is absent: its tokens are reported as unpriced, never guessed.

use std::collections::HashMap;
use std::sync::Arc;

use jiff::Timestamp;
use llmcache_provider::Provider;
use llmcache_provider::usage::{Billing, ServiceTier, Usage};
use serde::Serialize;

use super::money::Nano;

mod file;
mod quote;

pub use quote::{Quote, Tokens};

/// Every known price, looked up by provider, model id or alias, and day.
#[derive(Clone, Debug, Default)]
pub struct PriceTable {
    models: HashMap<Provider, HashMap<Arc<str>, Arc<Model>>>,
    web_search: HashMap<Provider, Pico>,
}

/// What one answer used, and who bills it.
#[derive(Clone, Copy, Debug)]
pub struct Bill<'a> {
    /// Whose prices.
    pub provider: Provider,
    /// The day whose prices hold: when the request began.
    pub at: Timestamp,
    /// The model that answered, by which separately billed attempts are told apart.
    pub answered: &'a str,
    /// Tokens.
    pub usage: &'a Usage,
    /// Modifiers of the price.
    pub billing: &'a Billing,
}

/// The price of one answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// Everything that has a price, rounded half up once.
    pub nano: Nano,
    /// What has none, without repeats.
    pub unpriced: Vec<Unpriced>,
}

/// Why a part of an answer has no price.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Unpriced {
    /// No published rate for cache reads.
    CacheRead,
    /// No published rate for cache writes of that lifetime.
    CacheWrite,
    /// No published rate for input.
    Input,
    /// The model is not in the table on that day.
    Model,
    /// No published rate for output.
    Output,
    /// The service tier has no published multiplier.
    ServiceTier,
    /// No published price per web search.
    WebSearch,
}

/// Dollars per 10^12.
type Pico = u64;

/// A factor in thousandths.
type Milli = u32;

/// All rows of one model, oldest first, none overlapping.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Model {
    id: Arc<str>,
    aliases: Vec<Arc<str>>,
    rows: Vec<Row>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Row {
    /// First and last day of these prices, days since 1970, UTC.
    from: Option<i64>,
    to: Option<i64>,
    rates: Rates,
    /// Above so many prompt tokens the whole request has these rates.
    long_prompt: Option<(u64, Rates)>,
    batch: Option<Milli>,
    flex: Option<Milli>,
    fast: Option<Milli>,
    ultrafast: Option<Milli>,
    geo_us: Option<Milli>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Rates {
    input: Option<Pico>,
    read: Option<Pico>,
    write_5m: Option<Pico>,
    write_1h: Option<Pico>,
    write_30m: Option<Pico>,
    write_12h: Option<Pico>,
    output: Option<Pico>,
}

/// Sum of rate × tokens × three factors in thousandths, in 10^-21 dollars.
type Zepto = i128;

const ZEPTO_PER_NANO: Zepto = 1_000_000_000_000;
const ZEPTO_PER_PICO: Zepto = 1_000_000_000;
const SECONDS_PER_DAY: i64 = 86_400;
const ONE: Milli = 1_000;

impl PriceTable {
    /// The providers' published prices, as shipped.
    pub fn builtin() -> Self {
        // Part of the program and checked by a test; a broken table would mean that nothing has a price.
        Self::default()
            .with_overrides(include_str!("prices.json"))
            .unwrap_or_default()
    }

    /// This table with the rows of a price file; fails with every problem, each naming row, field and fix.
    pub fn with_overrides(&self, json: &str) -> Result<Self, Vec<String>> {
        let parsed = file::parse(json)?;
        let mut table = self.clone();
        table.web_search.extend(parsed.web_search);
        for (provider, model) in parsed.models {
            table.replace(provider, &Arc::new(model));
        }
        Ok(table)
    }

    /// Input and output list price in pico-dollars per token; absent when the model or either price is unknown.
    pub fn list_price(&self, provider: Provider, model: &str, at: Timestamp) -> Option<(u64, u64)> {
        let rates = &self.row(provider, model, at)?.rates;
        Some((rates.input?, rates.output?))
    }

    /// The table's own id of a model, by id or alias; the only model names fit for labels.
    pub fn id(&self, provider: Provider, model: &str) -> Option<&Arc<str>> {
        self.model(provider, model).map(|model| &model.id)
    }

    /// Every known model id of a provider, sorted.
    pub fn ids(&self, provider: Provider) -> Vec<&str> {
        let models = self.models.get(&provider).into_iter().flatten();
        let mut ids: Vec<_> = models.map(|(_, model)| &*model.id).collect();
        ids.sort_unstable();
        ids.dedup();
        ids
    }

    /// What the answer costs on `model`. Attempts billed one by one keep the price of their own model, unless it
    /// is the one that answered: those are priced on `model`.
    ///
    /// A refusal that is not billed costs nothing on any model: all its attempts were refused too.
    pub fn cost(&self, bill: &Bill<'_>, model: &str) -> Cost {
        let mut sum = Sum::default();
        if bill.billing.unbilled {
            return sum.cost();
        }
        if bill.billing.iterations.is_empty() {
            self.add(&mut sum, bill, bill.usage, model);
        }
        for iteration in &bill.billing.iterations {
            let own = iteration.model.as_deref().unwrap_or(bill.answered);
            let same = own == bill.answered || self.same(bill.provider, own, bill.answered);
            self.add(&mut sum, bill, &iteration.usage, if same { model } else { own });
        }
        sum.cost()
    }

    /// What writing `extra` to the provider's prompt cache costs beyond sending it as plain input.
    pub fn write_premium(&self, bill: &Bill<'_>, model: &str, extra: &Usage) -> Cost {
        let mut sum = Sum::default();
        if bill.billing.unbilled || extra.cache_write() == 0 {
            return sum.cost();
        }
        let Some((row, rates)) = self.rates(bill, bill.usage, model) else {
            return Cost {
                nano: Nano::ZERO,
                unpriced: vec![Unpriced::Model],
            };
        };
        let Some(factor) = row.factor(bill.provider, bill.billing) else {
            return Cost {
                nano: Nano::ZERO,
                unpriced: vec![Unpriced::ServiceTier],
            };
        };
        for (tokens, rate) in rates.writes(extra) {
            sum.tokens(tokens, rate, factor, Unpriced::CacheWrite);
        }
        sum.tokens(extra.cache_write(), rates.input, -factor, Unpriced::Input);
        sum.cost()
    }

    fn add(&self, sum: &mut Sum, bill: &Bill<'_>, usage: &Usage, model: &str) {
        match self.web_search.get(&bill.provider) {
            _ if usage.web_searches == 0 => {}
            Some(price) => sum.tokens(usage.web_searches, Some(*price), ZEPTO_PER_PICO, Unpriced::WebSearch),
            None => sum.unpriced.push(Unpriced::WebSearch),
        }
        if usage.input == 0 && usage.output == 0 {
            return;
        }
        let Some((row, rates)) = self.rates(bill, usage, model) else {
            return sum.unpriced.push(Unpriced::Model);
        };
        let Some(factor) = row.factor(bill.provider, bill.billing) else {
            return sum.unpriced.push(Unpriced::ServiceTier);
        };
        let cached = usage.cache_read.saturating_add(usage.cache_write());
        sum.tokens(usage.input.saturating_sub(cached), rates.input, factor, Unpriced::Input);
        sum.tokens(usage.cache_read, rates.read, factor, Unpriced::CacheRead);
        for (tokens, rate) in rates.writes(usage) {
            sum.tokens(tokens, rate, factor, Unpriced::CacheWrite);
        }
        sum.tokens(usage.output, rates.output, factor, Unpriced::Output);
    }

    fn rates(&self, bill: &Bill<'_>, usage: &Usage, model: &str) -> Option<(&Row, &Rates)> {
        let row = self.row(bill.provider, model, bill.at)?;
        match &row.long_prompt {
            Some((above, rates)) if usage.input > *above => Some((row, rates)),
            _ => Some((row, &row.rates)),
        }
    }

    fn row(&self, provider: Provider, model: &str, at: Timestamp) -> Option<&Row> {
        let day = at.as_second().div_euclid(SECONDS_PER_DAY);
        let holds = |row: &&Row| row.from.is_none_or(|from| from <= day) && row.to.is_none_or(|to| day <= to);
        self.model(provider, model)?.rows.iter().find(holds)
    }

    fn model(&self, provider: Provider, model: &str) -> Option<&Arc<Model>> {
        self.models.get(&provider)?.get(model)
    }

    fn same(&self, provider: Provider, one: &str, other: &str) -> bool {
        let id = self.id(provider, one);
        id.is_some() && id == self.id(provider, other)
    }

    fn replace(&mut self, provider: Provider, model: &Arc<Model>) {
        let names = self.models.entry(provider).or_default();
        names.retain(|_, known| known.id != model.id);
        let aliases = model.aliases.iter().cloned();
        for name in aliases.chain([Arc::clone(&model.id)]) {
            names.insert(name, Arc::clone(model));
        }
    }
}

impl Row {
    /// The product of all multipliers in 10^-9; absent when one that applies is not published.
    fn factor(&self, provider: Provider, billing: &Billing) -> Option<Zepto> {
        let tier = match (billing.service_tier, provider) {
            // Anthropic's priority capacity is bought apart: its tokens have the list price.
            (None | Some(ServiceTier::Standard), _) | (Some(ServiceTier::Priority), Provider::Anthropic) => ONE,
            (Some(ServiceTier::Batch), _) => self.batch?,
            (Some(ServiceTier::Flex), _) => self.flex?,
            (Some(ServiceTier::Priority), Provider::OpenAi) => self.fast?,
            (Some(ServiceTier::Ultrafast), _) => self.ultrafast?,
            (Some(ServiceTier::Other), _) => return None,
        };
        let fast = if billing.fast { self.fast? } else { ONE };
        // Models from before the surcharge have none.
        let geo = if billing.inference_geo_us {
            self.geo_us.unwrap_or(ONE)
        } else {
            ONE
        };
        Some(Zepto::from(tier) * Zepto::from(fast) * Zepto::from(geo))
    }
}

impl Rates {
    fn writes(&self, usage: &Usage) -> [(u64, Option<Pico>); 4] {
        [
            (usage.cache_write_5m, self.write_5m),
            (usage.cache_write_1h, self.write_1h),
            (usage.cache_write_30m, self.write_30m),
            (usage.cache_write_12h, self.write_12h),
        ]
    }
}

#[derive(Default)]
struct Sum {
    zepto: Zepto,
    unpriced: Vec<Unpriced>,
}

impl Sum {
    fn tokens(&mut self, count: u64, rate: Option<Pico>, factor: Zepto, kind: Unpriced) {
        match rate {
            _ if count == 0 => {}
            Some(rate) => {
                let list = Zepto::from(count).saturating_mul(Zepto::from(rate));
                self.zepto = self.zepto.saturating_add(list.saturating_mul(factor));
            }
            None => self.unpriced.push(kind),
        }
    }

    fn cost(mut self) -> Cost {
        self.unpriced.sort_unstable();
        self.unpriced.dedup();
        let half_up = self.zepto.saturating_add(ZEPTO_PER_NANO / 2).div_euclid(ZEPTO_PER_NANO);
        Cost {
            nano: Nano(half_up),
            unpriced: self.unpriced,
        }
    }
}

#[cfg(test)]
mod tests;
