//! The price of one imagined call, for people who compare models.

use jiff::Timestamp;
use llmcache_provider::Provider;
use llmcache_provider::usage::{Billing, Usage};

use super::{Bill, Cost, PriceTable};

/// Tokens of an imagined call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tokens {
    /// The whole prompt, what is read from and written to the provider's prompt cache included.
    pub input: u64,
    /// Read from the prompt cache.
    pub cache_read: u64,
    /// Written to it, for the provider's default lifetime.
    pub cache_write: u64,
    /// Generated.
    pub output: u64,
}

/// What the call costs on one model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quote {
    /// Whose model.
    pub provider: &'static str,
    /// The table's id of the model.
    pub model: String,
    /// The price at the standard tier.
    pub cost: Cost,
}

const PROVIDERS: [Provider; 2] = [Provider::Anthropic, Provider::OpenAi];

impl PriceTable {
    /// The price of a call on a model of any provider; absent when no table row has that id or alias on that day.
    pub fn quote(&self, model: &str, tokens: Tokens, at: Timestamp) -> Option<Quote> {
        let provider = PROVIDERS
            .into_iter()
            .find(|provider| self.row(*provider, model, at).is_some())?;
        let Tokens {
            input,
            cache_read,
            cache_write,
            output,
        } = tokens;
        let usage = Usage {
            input,
            cache_read,
            output,
            ..Usage::default()
        };
        let usage = match provider {
            Provider::Anthropic => Usage {
                cache_write_5m: cache_write,
                ..usage
            },
            Provider::OpenAi => Usage {
                cache_write_30m: cache_write,
                ..usage
            },
        };
        let bill = Bill {
            provider,
            at,
            answered: model,
            usage: &usage,
            billing: &Billing::default(),
        };
        let cost = self.cost(&bill, model);
        let model = self.id(provider, model)?.to_string();
        Some(Quote {
            provider: provider.name(),
            model,
            cost,
        })
    }

    /// Every model id and alias of every provider, sorted.
    pub fn names(&self) -> Vec<&str> {
        let names = PROVIDERS
            .iter()
            .filter_map(|provider| self.models.get(provider))
            .flat_map(|names| names.keys());
        let mut names: Vec<_> = names.map(|name| &**name).collect();
        names.sort_unstable();
        names
    }
}
