//! Stage *routing*: which model answers.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Mode, glob::Glob, keyword::Keywords};

/// Rules as written; the first that holds names the tier.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Routing {
    /// `Observe` decides and keeps the requested model.
    pub mode: Mode,
    /// Only requests for these models may change.
    pub request_models: Vec<Glob>,
    /// Whether a dearer model than the requested one may be chosen.
    pub allow_upgrade: bool,
    /// Names and models, in the order written.
    pub tiers: Vec<Tier>,
    /// In the order written.
    pub rules: Vec<Rule>,
    /// Tier when no rule holds; absent = the requested model stays.
    pub default_tier: Option<String>,
    /// Tiers tried in order when the provider is overloaded.
    pub fallback: Vec<String>,
}

/// A named step of the price ladder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tier {
    /// Unique in the policy.
    pub name: String,
    /// Model at Anthropic.
    pub anthropic: Option<String>,
    /// Model at OpenAI.
    pub openai: Option<String>,
}

/// One rule; all its conditions must hold.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rule {
    /// The tier chosen.
    pub tier: String,
    /// At least one is in the first user text; empty = no condition.
    pub any_keyword: Keywords,
    /// None is in the first user text.
    pub no_keyword: Keywords,
    /// Most tokens of the first user text, `ceil(bytes / 4)`.
    pub max_input_tokens: Option<u64>,
    /// Most tokens of the whole request, `ceil(bytes / 4)`.
    pub max_prompt_tokens: Option<u64>,
    /// Request headers (lower case) with the value each must have.
    pub header: BTreeMap<String, String>,
    /// Whether the request offers tools.
    pub tools: Option<Tools>,
}

/// Whether a request offers tools.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Tools {
    /// It does.
    Present,
    /// It does not.
    Absent,
}

/// What a request shows to rules.
pub struct Facts<'a> {
    /// First user text, folded by [`crate::keyword::fold`].
    pub folded_text: &'a str,
    /// Tokens of the first user text.
    pub input_tokens: u64,
    /// Tokens of the whole request.
    pub prompt_tokens: u64,
    /// Whether tools are offered.
    pub tools: Tools,
    /// Value of a request header.
    pub header: &'a dyn Fn(&str) -> Option<&'a str>,
}

impl Routing {
    /// A policy without routing: every requested model stays.
    pub fn disabled() -> Self {
        Self {
            mode: Mode::Disabled,
            request_models: Vec::new(),
            allow_upgrade: false,
            tiers: Vec::new(),
            rules: Vec::new(),
            default_tier: None,
            fallback: Vec::new(),
        }
    }

    /// Whether requests for this model may change.
    pub fn is_listed(&self, model: &str) -> bool {
        self.request_models.iter().any(|glob| glob.matches(model))
    }

    /// The tier of that name.
    pub fn tier(&self, name: &str) -> Option<&Tier> {
        self.tiers.iter().find(|tier| tier.name == name)
    }
}

impl Rule {
    /// Whether all conditions hold.
    pub fn holds(&self, facts: &Facts<'_>) -> bool {
        let Self {
            tier: _,
            any_keyword,
            no_keyword,
            max_input_tokens,
            max_prompt_tokens,
            header,
            tools,
        } = self;
        (any_keyword.is_empty() || any_keyword.any_in(facts.folded_text))
            && !no_keyword.any_in(facts.folded_text)
            && max_input_tokens.is_none_or(|most| facts.input_tokens <= most)
            && max_prompt_tokens.is_none_or(|most| facts.prompt_tokens <= most)
            && header.iter().all(|(name, value)| (facts.header)(name) == Some(value))
            && tools.is_none_or(|wanted| wanted == facts.tools)
    }
}

/// Tokens of a text by the policy's count: `ceil(bytes / 4)`.
pub fn tokens(bytes: usize) -> u64 {
    (bytes as u64).div_ceil(4)
}
