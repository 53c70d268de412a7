//! Stage *routing*: which model answers.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Mode, ttl_class::headers};
use crate::{rule, text};

/// Ordered rules that choose a tier on the first turn of a conversation; later turns keep the choice.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = tier_rules()))]
pub struct Routing {
    /// `Observe` decides and keeps the requested model. Default: `Enforce` when the block is present.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<Mode>,
    /// Globs over the requested model: only these requests may change; `auto` is a model name of its own.
    #[schemars(
        length(min = 1, max = 32),
        inner(length(min = 1, max = 128), regex(pattern = text::MODEL_GLOB)),
        extend("x-kubernetes-list-type" = "atomic")
    )]
    pub request_models: Vec<String>,
    /// Whether a model dearer than the requested one may be chosen. Default: `false`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow_upgrade: Option<bool>,
    /// Named steps with a model per provider.
    #[schemars(
        length(min = 1, max = 8),
        extend("x-kubernetes-list-type" = "atomic", "x-kubernetes-validations" = rule::unique_names())
    )]
    pub tiers: Vec<Tier>,
    /// The first rule that holds names the tier. Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32), extend("x-kubernetes-list-type" = "atomic"))]
    pub rules: Option<Vec<RoutingRule>>,
    /// Tier when no rule holds. Default: absent, the requested model stays.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub default_tier: Option<String>,
    /// Tiers tried in order, each once, when the provider is overloaded (429, 529, 5xx). Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(max = 8),
        inner(length(min = 1, max = 63)),
        extend("x-kubernetes-list-type" = "atomic", "x-kubernetes-validations" = rule::unique_items())
    )]
    pub fallback: Option<Vec<String>>,
}

/// A named step of the price ladder.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Tier {
    /// Name of the tier (a DNS label), unique in the list.
    #[schemars(length(min = 1, max = 63), regex(pattern = text::LABEL))]
    pub name: String,
    /// The tier's model at each provider; at least one.
    pub models: TierModels,
}

/// A tier's model at each provider.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("minProperties" = 1))]
pub struct TierModels {
    /// Model at Anthropic. Default: none, Anthropic requests never take this tier.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128), regex(pattern = text::MODEL))]
    pub anthropic: Option<String>,
    /// Model at OpenAI. Default: none, OpenAI requests never take this tier.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128), regex(pattern = text::MODEL))]
    pub openai: Option<String>,
}

/// One rule; all conditions that are present must hold.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RoutingRule {
    /// The tier this rule chooses.
    #[schemars(length(min = 1, max = 63))]
    pub tier: String,
    /// At least one of these is in the first user text: case-folded, not touching a letter or digit, white space in a
    /// keyword matching any run. Default: no condition.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 1, max = 32),
        inner(length(min = 1, max = 64), regex(pattern = text::NOT_BLANK)),
        extend("x-kubernetes-list-type" = "atomic")
    )]
    pub any_keyword: Option<Vec<String>>,
    /// None of these is in the first user text. Default: no condition.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 1, max = 32),
        inner(length(min = 1, max = 64), regex(pattern = text::NOT_BLANK)),
        extend("x-kubernetes-list-type" = "atomic")
    )]
    pub no_keyword: Option<Vec<String>>,
    /// Most tokens of the first user text, counted as bytes / 4, rounded up. Default: no condition.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10_000_000))]
    pub max_input_tokens: Option<i32>,
    /// Most tokens of the whole request, counted as bytes / 4, rounded up. Default: no condition.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10_000_000))]
    pub max_prompt_tokens: Option<i32>,
    /// Request headers with the value each must have, at most four. Default: no condition.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "headers")]
    pub header: Option<BTreeMap<String, String>>,
    /// Whether the request offers tools: `Present` or `Absent`. Default: no condition.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tools: Option<Tools>,
}

/// Whether a request offers tools.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[schemars(transform = crate::schema::strip_description)]
pub enum Tools {
    /// It does.
    Present,
    /// It does not.
    Absent,
}

fn tier_rules() -> Value {
    let known = |name: &str| format!("self.tiers.exists(t, t.name == {name})");
    let rule = |field: &str, cel: &str| {
        let message = format!("{field} names a tier that is not among tiers");
        let cel = format!("!has(self.{field}) || {cel}");
        let fix = "add the tier or correct the name";
        rule::at(&format!(".{field}"), rule::rule(&cel, &message, "names in tiers", fix))
    };
    let (of_rule, of_fallback) = (known("r.tier"), known("f"));
    json!([
        rule("defaultTier", &known("self.defaultTier")),
        rule("rules", &format!("self.rules.all(r, {of_rule})")),
        rule("fallback", &format!("self.fallback.all(f, {of_fallback})")),
    ])
}
