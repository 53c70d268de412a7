//! Routing from outside: which model the provider is asked for, what the app is told, and what the memory keeps.

mod auto;
mod fall_over;
mod golden;
mod keeps;
mod remembered;
mod rescue;
mod rules;
mod shared;

use llmcache_tests::kit::{Reply, policy};

/// Three tiers at Anthropic and two at OpenAI, nothing cached; `rest` is further lines of `routing`.
fn tiers(rest: &str) -> String {
    policy(&format!(
        "  resultCache: {{mode: Disabled}}
  promptCache: {{mode: Disabled}}
  routing:
    requestModels: [\"claude-sonnet-*\", \"claude-opus-*\", \"gpt-*\", auto]
    tiers:
      - {{name: haiku, models: {{anthropic: claude-haiku-5-5, openai: gpt-6-luna}}}}
      - {{name: sonnet, models: {{anthropic: claude-sonnet-5-5, openai: gpt-6.2-sol}}}}
      - {{name: opus, models: {{anthropic: claude-opus-5-5}}}}
{rest}"
    ))
}

/// Every first text goes to `haiku`.
const ALL_HAIKU: &str = "    rules: [{tier: haiku}]
    defaultTier: sonnet";

/// The word with which routing explains itself.
fn word(reply: &Reply) -> &str {
    let first = reply.header("x-llmcache-reason").split(';').next().unwrap_or_default();
    first.strip_prefix("routing=").unwrap_or_default()
}

/// The model that answered and why.
fn routed(reply: &Reply) -> (&str, &str) {
    (reply.header("x-llmcache-model"), word(reply))
}
