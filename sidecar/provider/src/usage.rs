//! Tokens as the provider billed them, normalised once: `input` includes what was cached (OpenTelemetry's rule).
//!
//! Dollars are the ledger's business; here are only counts and the modifiers of price a response states.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::Endpoint;

mod filter;

pub use filter::UsageFilter;

/// Token counts of one answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// All prompt tokens, those read from and written to the prompt cache included.
    pub input: u64,
    /// Prompt tokens read from the provider's prompt cache.
    pub cache_read: u64,
    /// Prompt tokens written for 5 minutes (Anthropic).
    pub cache_write_5m: u64,
    /// Prompt tokens written for 1 hour (Anthropic).
    pub cache_write_1h: u64,
    /// Prompt tokens written for 30 minutes (OpenAI; also writes whose lifetime is not stated).
    pub cache_write_30m: u64,
    /// Prompt tokens written for 12 hours (OpenAI).
    pub cache_write_12h: u64,
    /// Tokens generated, thinking included.
    pub output: u64,
    /// Web searches the provider ran and bills per call.
    pub web_searches: u64,
}

/// What a response says about its price besides tokens.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Billing {
    /// The tier that served; absent when the response does not say.
    pub service_tier: Option<ServiceTier>,
    /// Served in Anthropic's fast mode.
    pub fast: bool,
    /// Served by Anthropic with inference pinned to the US.
    pub inference_geo_us: bool,
    /// Refused by Anthropic before any output: tokens are reported but not billed.
    pub unbilled: bool,
    /// Attempts billed one by one, each at its own model; when present they replace the top-level counts for cost.
    pub iterations: Vec<Iteration>,
}

/// One separately billed attempt inside an answer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Iteration {
    /// The attempt's own model; absent means the answer's.
    pub model: Option<String>,
    /// What the attempt used.
    pub usage: Usage,
}

/// The provider tier an answer was served in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ServiceTier {
    /// Batch processing.
    Batch,
    /// `OpenAI` flex.
    Flex,
    /// A tier this version has no name for; its price is unknown.
    Other,
    /// Priority, which `OpenAI` also calls `fast`.
    Priority,
    /// The list price.
    Standard,
    /// `OpenAI` ultrafast.
    Ultrafast,
}

impl Usage {
    /// All prompt tokens written to the provider's prompt cache, whatever their lifetime.
    pub const fn cache_write(&self) -> u64 {
        self.cache_write_5m
            .saturating_add(self.cache_write_1h)
            .saturating_add(self.cache_write_30m)
            .saturating_add(self.cache_write_12h)
    }
}

impl Usage {
    /// Both together.
    #[must_use]
    pub const fn plus(&self, other: &Self) -> Self {
        let Self {
            input,
            cache_read,
            cache_write_5m,
            cache_write_1h,
            cache_write_30m,
            cache_write_12h,
            output,
            web_searches,
        } = *other;
        Self {
            input: self.input.saturating_add(input),
            cache_read: self.cache_read.saturating_add(cache_read),
            cache_write_5m: self.cache_write_5m.saturating_add(cache_write_5m),
            cache_write_1h: self.cache_write_1h.saturating_add(cache_write_1h),
            cache_write_30m: self.cache_write_30m.saturating_add(cache_write_30m),
            cache_write_12h: self.cache_write_12h.saturating_add(cache_write_12h),
            output: self.output.saturating_add(output),
            web_searches: self.web_searches.saturating_add(web_searches),
        }
    }
}

impl ServiceTier {
    fn read(word: &str) -> Option<Self> {
        match word {
            "auto" => None,
            "batch" => Some(Self::Batch),
            "default" | "standard" => Some(Self::Standard),
            "fast" | "priority" => Some(Self::Priority),
            "flex" => Some(Self::Flex),
            "ultrafast" => Some(Self::Ultrafast),
            _ => Some(Self::Other),
        }
    }
}

/// Reads a provider's `usage` object; `service_tier` is the response's own member (`OpenAI`).
pub(crate) fn read(endpoint: Endpoint, usage: &Value, service_tier: Option<&str>) -> (Usage, Billing) {
    match endpoint {
        Endpoint::AnthropicMessages | Endpoint::AnthropicCountTokens => (anthropic(usage), anthropic_billing(usage)),
        Endpoint::OpenAiChat | Endpoint::OpenAiResponses | Endpoint::OpenAiEmbeddings => {
            let billing = Billing {
                service_tier: service_tier.and_then(ServiceTier::read),
                ..Billing::default()
            };
            (openai(usage), billing)
        }
    }
}

/// The searches an `OpenAI` response says are billed, if it says so.
pub(crate) fn billed_searches(tool_usage: &Value) -> Option<u64> {
    tool_usage.get("web_search")?.get("num_requests")?.as_u64()
}

/// Lays cumulative counts over earlier ones: what is absent or null keeps the earlier value.
pub(crate) fn overlay(earlier: &mut Map<String, Value>, later: Map<String, Value>) {
    for (name, value) in later {
        if !value.is_null() {
            earlier.insert(name, value);
        }
    }
}

fn anthropic(usage: &Value) -> Usage {
    let count = |name: &str| count(usage.get(name));
    let split = usage.get("cache_creation");
    let split = |name: &str| self::count(split.and_then(|split| split.get(name)));
    let cache_read = count("cache_read_input_tokens");
    let hour = split("ephemeral_1h_input_tokens");
    // A stream's last total may exceed the split of its start: later writes are the provider's own 5-minute marks.
    let written = count("cache_creation_input_tokens").max(hour.saturating_add(split("ephemeral_5m_input_tokens")));
    let searches = usage
        .get("server_tool_use")
        .and_then(|tools| tools.get("web_search_requests"));
    Usage {
        input: count("input_tokens").saturating_add(written).saturating_add(cache_read),
        cache_read,
        cache_write_5m: written - hour,
        cache_write_1h: hour,
        output: count("output_tokens"),
        web_searches: self::count(searches),
        ..Usage::default()
    }
}

fn anthropic_billing(usage: &Value) -> Billing {
    let word = |name: &str| usage.get(name).and_then(Value::as_str);
    let iterations = usage.get("iterations").and_then(Value::as_array);
    Billing {
        service_tier: word("service_tier").and_then(ServiceTier::read),
        fast: word("speed") == Some("fast"),
        inference_geo_us: word("inference_geo") == Some("us"),
        unbilled: false,
        iterations: iterations.map_or_else(Vec::new, |entries| entries.iter().map(iteration).collect()),
    }
}

fn iteration(entry: &Value) -> Iteration {
    Iteration {
        model: entry.get("model").and_then(Value::as_str).map(ToOwned::to_owned),
        usage: anthropic(entry),
    }
}

fn openai(usage: &Value) -> Usage {
    let either = |chat: &str, responses: &str| usage.get(chat).or_else(|| usage.get(responses));
    let details = either("prompt_tokens_details", "input_tokens_details");
    let detail = |name: &str| details.and_then(|details| details.get(name));
    let split = detail("cache_write_tokens_details");
    let half_day = count(split.and_then(|split| split.get("ttl_12h_tokens")));
    let half_hour = count(split.and_then(|split| split.get("ttl_30m_tokens")));
    let written = count(detail("cache_write_tokens")).max(half_day.saturating_add(half_hour));
    Usage {
        input: count(either("prompt_tokens", "input_tokens")),
        cache_read: count(detail("cached_tokens")),
        cache_write_30m: written - half_day,
        cache_write_12h: half_day,
        output: count(either("completion_tokens", "output_tokens")),
        ..Usage::default()
    }
}

fn count(value: Option<&Value>) -> u64 {
    value.and_then(Value::as_u64).unwrap_or_default()
}

#[cfg(test)]
mod tests;
