//! What each model accepts, so that a request is never sent to a model that would refuse its fields.
//!
//! Facts come from the providers' model pages; a model that is not in the table has no facts, and nothing is
//! assumed about it. Prices live elsewhere.

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::LazyLock;

use serde::Deserialize;

use crate::Provider;

/// One model's limits and the request fields it takes.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelFacts {
    /// Whose model it is.
    pub provider: Provider,
    /// The provider's own id.
    pub id: String,
    /// Other ids of the same model.
    pub aliases: Vec<String>,
    /// Input and output together, in tokens.
    pub context_window: u64,
    /// Input alone, in tokens.
    pub max_input: u64,
    /// Output alone, in tokens, thinking included.
    pub max_output: u64,
    /// A shorter prefix is never cached; absent = the model has no prompt cache.
    pub min_cacheable_tokens: Option<u64>,
    /// When it thinks.
    pub thinking: Thinking,
    /// Accepted effort levels; empty = the field is refused.
    pub efforts: Vec<String>,
    /// Whether `tool_choice` may force a call.
    pub forced_tool_choice: bool,
    /// Whether temperature and its like may differ from their defaults.
    pub sampling: Sampling,
    /// Whether the last message may be the assistant's.
    pub prefill: bool,
}

/// When a model thinks.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Thinking {
    /// Accepted values of `thinking.type`; empty where the provider has no such field.
    pub types: Vec<String>,
    /// Whether it thinks when the request does not say.
    pub unless_disabled: bool,
    /// Whether no request can stop it from thinking.
    pub always: bool,
}

/// When a model takes sampling parameters that are not their defaults.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sampling {
    /// On every request.
    Always,
    /// Only on requests that do not reason.
    EffortNone,
    /// On none.
    Never,
}

/// What a request asks of a model.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Needs {
    /// Prompt size in tokens, estimated from its bytes.
    pub prompt_tokens: u64,
    /// The output bound the request sets, in tokens.
    pub max_output: Option<u64>,
    /// `thinking.type` as sent.
    pub thinking: Option<String>,
    /// The effort level as sent.
    pub effort: Option<String>,
    /// Whether `tool_choice` forces a call.
    pub forced_tool_choice: bool,
    /// Whether a sampling parameter differs from its default.
    pub sampling: bool,
    /// Whether the last message is the assistant's.
    pub prefill: bool,
}

/// The first thing a model cannot do for a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Misfit {
    /// The prompt, with the output asked for, is longer than the model takes.
    ContextWindow,
    /// The effort level is not one of the model's.
    Effort,
    /// The model refuses forced tool calls.
    ForcedToolChoice,
    /// The output bound is over the model's.
    MaxOutput,
    /// The model refuses a last message from the assistant.
    Prefill,
    /// The model refuses sampling parameters.
    Sampling,
    /// `thinking.type` is not one of the model's.
    Thinking,
}

impl Thinking {
    /// Whether a request that asks for this `thinking.type`, or this effort, makes the model think.
    pub fn happens(&self, asked: Option<&str>) -> bool {
        match asked {
            Some("disabled" | "none") => self.always,
            Some(_) => true,
            None => self.unless_disabled,
        }
    }
}

impl Misfit {
    /// The closed word for headers and labels.
    pub fn word(self) -> &'static str {
        match self {
            Self::ContextWindow => "context_window",
            Self::Effort => "effort",
            Self::ForcedToolChoice => "forced_tool_choice",
            Self::MaxOutput => "max_output",
            Self::Prefill => "prefill",
            Self::Sampling => "sampling",
            Self::Thinking => "thinking",
        }
    }
}

/// The facts of a model by its id or a listed alias; an id with an unknown date suffix is another model.
pub fn facts(provider: Provider, model: &str) -> Option<&'static ModelFacts> {
    BY_NAME.get(&(provider, model)).copied()
}

/// Every model in the table.
pub fn all() -> &'static [ModelFacts] {
    &TABLE
}

/// Whether a request that asks for this can make the model think; an unknown model may unless told not to.
pub(crate) fn may_think(asked: Option<&str>, facts: Option<&ModelFacts>) -> bool {
    let is_forbidden = matches!(asked, Some("disabled" | "none"));
    facts.map_or(!is_forbidden, |facts| facts.thinking.happens(asked))
}

/// Whether the model accepts the request; fails with the first reason why not.
pub fn fits(needs: &Needs, facts: &ModelFacts) -> Result<(), Misfit> {
    let output = needs.max_output.unwrap_or(0);
    let whole = needs.prompt_tokens.saturating_add(output);
    let thinking = needs.thinking.as_ref();
    let effort = needs.effort.as_ref();
    let samples = match facts.sampling {
        Sampling::Always => true,
        Sampling::EffortNone => !facts.thinking.happens(needs.effort.as_deref()),
        Sampling::Never => false,
    };
    let is_anthropic = facts.provider == Provider::Anthropic;
    // Anthropic refuses a forced call from a model that is thinking; OpenAI's models reason and call.
    let forces = facts.forced_tool_choice && !(is_anthropic && facts.thinking.happens(needs.thinking.as_deref()));
    let refusals = [
        (
            needs.prompt_tokens > facts.max_input || whole > facts.context_window,
            Misfit::ContextWindow,
        ),
        (output > facts.max_output, Misfit::MaxOutput),
        (
            thinking.is_some_and(|kind| !facts.thinking.types.contains(kind)),
            Misfit::Thinking,
        ),
        (
            effort.is_some_and(|effort| !facts.efforts.contains(effort)),
            Misfit::Effort,
        ),
        (needs.forced_tool_choice && !forces, Misfit::ForcedToolChoice),
        (needs.sampling && !samples, Misfit::Sampling),
        (needs.prefill && !facts.prefill, Misfit::Prefill),
    ];
    match refusals.into_iter().find(|(refused, _)| *refused) {
        Some((_, misfit)) => Err(misfit),
        None => Ok(()),
    }
}

/// Part of the program, checked by a test: a broken table would mean no facts, hence no routing, never a crash.
static TABLE: LazyLock<Vec<ModelFacts>> =
    LazyLock::new(|| serde_json::from_str(include_str!("../data/models.json")).unwrap_or_default());

static BY_NAME: LazyLock<HashMap<(Provider, &'static str), &'static ModelFacts>> = LazyLock::new(|| {
    let names = |facts: &'static ModelFacts| {
        let aliases = facts.aliases.iter().map(String::as_str);
        aliases
            .chain([facts.id.as_str()])
            .map(move |name| ((facts.provider, name), facts))
    };
    TABLE.iter().flat_map(names).collect()
});
