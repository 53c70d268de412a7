//! The price list by which the fake provider bills: its own reading of `prices.json`, in millionths of a dollar per
//! million tokens, so that every sum is an integer.

use std::collections::HashMap;
use std::sync::LazyLock;

use serde::Deserialize;

/// Which company's rules and list a call falls under.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Provider {
    /// api.anthropic.com.
    Anthropic,
    /// api.openai.com.
    OpenAi,
}

/// One model of the list.
#[derive(Debug, Deserialize)]
pub(crate) struct Model {
    pub(crate) provider: Provider,
    pub(crate) id: String,
    #[serde(default)]
    pub(crate) aliases: Vec<String>,
    #[serde(flatten)]
    pub(crate) rates: Rates,
    pub(crate) max_output: u64,
    pub(crate) context_window: u64,
    pub(crate) min_cacheable_tokens: Option<u64>,
    #[serde(default, deserialize_with = "thousandths")]
    pub(crate) fast_mode_multiplier: Option<u64>,
    #[serde(default, deserialize_with = "thousandths")]
    pub(crate) us_inference_geo_multiplier: Option<u64>,
    pub(crate) long_prompt: Option<LongPrompt>,
    #[serde(default)]
    price_history: Vec<Former>,
}

/// Prices in millionths of a dollar per million tokens; what is absent is not sold.
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct Rates {
    #[serde(deserialize_with = "millionths")]
    pub(crate) input: u64,
    #[serde(default, deserialize_with = "some_millionths")]
    pub(crate) cache_read: Option<u64>,
    #[serde(default, deserialize_with = "some_millionths")]
    pub(crate) cache_write_5m: Option<u64>,
    #[serde(default, deserialize_with = "some_millionths")]
    pub(crate) cache_write_1h: Option<u64>,
    #[serde(default, deserialize_with = "some_millionths")]
    pub(crate) cache_write_30m: Option<u64>,
    #[serde(default, deserialize_with = "some_millionths")]
    pub(crate) cache_write_12h: Option<u64>,
    #[serde(deserialize_with = "millionths")]
    pub(crate) output: u64,
}

/// The dearer rates of a request whose whole prompt is longer than a bound.
#[derive(Debug, Deserialize)]
pub(crate) struct LongPrompt {
    above_prompt_tokens: u64,
    #[serde(flatten)]
    rates: Rates,
}

/// A price that held up to and including a day.
#[derive(Debug, Deserialize)]
struct Former {
    until: String,
    #[serde(default, deserialize_with = "some_millionths")]
    cache_read: Option<u64>,
}

impl Model {
    /// The rates for a request of so many prompt tokens on a date (`YYYY-MM-DD…`).
    pub(crate) fn rates_for(&self, prompt_tokens: u64, date: &str) -> Rates {
        let mut rates = match &self.long_prompt {
            Some(long) if prompt_tokens > long.above_prompt_tokens => long.rates.clone(),
            _ => self.rates.clone(),
        };
        let day = date.get(..10).unwrap_or(date);
        let former = self.price_history.iter().find(|former| day <= former.until.as_str());
        if let Some(read) = former.and_then(|former| former.cache_read) {
            rates.cache_read = Some(read);
        }
        rates
    }

    /// OpenAI from GPT-5.6 on: cache entries lie exactly at breakpoints and writing them is charged.
    pub(crate) fn caches_at_breakpoints(&self) -> bool {
        self.rates.cache_write_30m.is_some()
    }
}

/// Every model of one provider, in the order of the list.
pub(crate) fn models(provider: Provider) -> impl Iterator<Item = &'static Model> {
    LIST.iter().filter(move |model| model.provider == provider)
}

/// The model of an id or alias; a dated name is known only if the list has it.
pub(crate) fn find(provider: Provider, name: &str) -> Option<&'static Model> {
    static BY_NAME: LazyLock<HashMap<(Provider, &'static str), &'static Model>> = LazyLock::new(|| {
        let names = |model: &'static Model| {
            let names = model.aliases.iter().map(String::as_str).chain([model.id.as_str()]);
            names.map(move |name| ((model.provider, name), model))
        };
        LIST.iter().flat_map(names).collect()
    });
    BY_NAME.get(&(provider, name)).copied()
}

static LIST: LazyLock<Vec<Model>> =
    LazyLock::new(|| serde_json::from_str(include_str!("prices.json")).unwrap_or_default());

fn scaled(dollars: f64, by: f64) -> u64 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "prices are positive and far below 2^53 millionths"
    )]
    let whole = (dollars * by).round() as u64;
    whole
}

fn millionths<'de, D: serde::Deserializer<'de>>(source: D) -> Result<u64, D::Error> {
    f64::deserialize(source).map(|dollars| scaled(dollars, 1e6))
}

fn some_millionths<'de, D: serde::Deserializer<'de>>(source: D) -> Result<Option<u64>, D::Error> {
    Ok(Option::<f64>::deserialize(source)?.map(|dollars| scaled(dollars, 1e6)))
}

fn thousandths<'de, D: serde::Deserializer<'de>>(source: D) -> Result<Option<u64>, D::Error> {
    Ok(Option::<f64>::deserialize(source)?.map(|factor| scaled(factor, 1e3)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_list_is_read() {
        assert_eq!(models(Provider::Anthropic).count(), 18);
        assert_eq!(models(Provider::OpenAi).count(), 30);
    }

    #[test]
    fn a_model_is_found_by_alias_and_not_by_an_unknown_date() {
        let by_alias = find(Provider::Anthropic, "claude-haiku-4-5").unwrap();
        assert_eq!(by_alias.id, "claude-haiku-4-5-20251001");
        assert!(find(Provider::Anthropic, "claude-sonnet-5-5-20991231").is_none());
        assert!(find(Provider::Anthropic, "gpt-4o").is_none());
    }

    #[test]
    fn prices_are_dated_and_dearer_for_long_prompts() {
        let sonnet = find(Provider::Anthropic, "claude-sonnet-5-5").unwrap();
        assert_eq!(sonnet.rates_for(10, "2026-10-06T00:00:00Z").cache_read, Some(200_000));
        assert_eq!(sonnet.rates_for(10, "2026-10-07T00:00:00Z").cache_read, Some(100_000));
        let haiku = find(Provider::Anthropic, "claude-haiku-5-5").unwrap();
        assert_eq!(haiku.rates_for(100_000, "2026-11-01").input, 100_000);
        assert_eq!(haiku.rates_for(100_001, "2026-11-01").input, 500_000);
        assert_eq!(
            find(Provider::OpenAi, "gpt-5.5")
                .unwrap()
                .rates_for(272_001, "2026-11-01")
                .output,
            45_000_000
        );
    }

    #[test]
    fn only_gpt_5_6_and_later_cache_at_breakpoints() {
        let at_breakpoints = |name| find(Provider::OpenAi, name).unwrap().caches_at_breakpoints();
        assert!(at_breakpoints("gpt-5.6-sol") && at_breakpoints("gpt-6.2-astra"));
        assert!(!at_breakpoints("gpt-5.5") && !at_breakpoints("gpt-4o"));
    }
}
