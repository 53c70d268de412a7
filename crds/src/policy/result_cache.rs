//! Stage *result cache*: exact reuse of whole answers.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Mode;
use crate::{duration, rule, size};

/// The exact cache.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = room_rules()))]
pub struct ResultCache {
    /// `Observe` counts would-be hits, keeps no bodies and shares no calls. Default: `Enforce` when the block is present.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<Mode>,
    /// Largest answer that is stored, bytes. At most `memory`. Default: `1Mi`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(max = size::MAX_LENGTH),
        regex(pattern = size::PATTERN),
        extend("x-kubernetes-validations" = rule::size_between("1Ki", "16Mi"))
    )]
    pub max_entry: Option<String>,
    /// Room of the in-process store, bytes; a sidecar clamps it to half of its own memory limit. Default: `64Mi`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(max = size::MAX_LENGTH),
        regex(pattern = size::PATTERN),
        extend("x-kubernetes-validations" = rule::size_between("1Mi", "4Gi"))
    )]
    pub memory: Option<String>,
    /// Nothing older than this is ever served, stale or not. Default: `168h`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(max = duration::MAX_LENGTH),
        regex(pattern = duration::PATTERN),
        extend("x-kubernetes-validations" = rule::duration_between("1s", "2160h"))
    )]
    pub max_age: Option<String>,
    /// One deadline per request over all calls to shared stores: what a frozen store may cost. Default: `25ms`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(max = duration::MAX_LENGTH),
        regex(pattern = duration::PATTERN),
        extend("x-kubernetes-validations" = rule::duration_between("1ms", "1s"))
    )]
    pub store_budget: Option<String>,
    /// Which requests that sample are cached (an absent temperature counts as 1): `Always`, those with a seed or
    /// temperature zero (`SeedOrZero`), or `Never`. Default: `Always`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sampled: Option<Sampled>,
    /// Whether answers that call tools are stored; a replay repeats the tool call. Default: `Skip`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool_answers: Option<ToolAnswers>,
    /// Whether OpenAI Responses that the provider stores (no `store: false`) are cached. Default: `Bypass`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stored_responses: Option<StoredResponses>,
    /// A client's own repeat within this time goes to the provider and replaces the entry. Default: `0s`, never.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(max = duration::MAX_LENGTH),
        regex(pattern = duration::PATTERN),
        extend("x-kubernetes-validations" = rule::duration_between("0s", "60s"))
    )]
    pub repeat_window: Option<String>,
    /// Whether identical concurrent calls share one upstream call. Default: `mode: Enabled`, `wait: 30s`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub single_flight: Option<SingleFlight>,
    /// Life of stored embeddings, one for each item of a request's `input`. Default: `ttl: 720h`, `maxAge: 720h`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub embeddings: Option<Embeddings>,
}

/// Which requests that sample are cached.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[schemars(transform = crate::schema::strip_description)]
pub enum Sampled {
    /// All.
    Always,
    /// Those with a seed or temperature 0.
    SeedOrZero,
    /// None: only those with temperature 0.
    Never,
}

/// Whether answers that call tools are stored.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[schemars(transform = crate::schema::strip_description)]
pub enum ToolAnswers {
    /// Not stored.
    Skip,
    /// Stored like any answer.
    Store,
}

/// Whether responses that the provider stores are cached.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[schemars(transform = crate::schema::strip_description)]
pub enum StoredResponses {
    /// Not cached: two clients could continue one stored response.
    Bypass,
    /// Cached.
    Serve,
}

/// Whether and how long identical concurrent calls share one upstream call.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SingleFlight {
    /// `Disabled` sends every miss to the provider. Default: `Enabled`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<Switch>,
    /// Longest wait of a follower for the first byte of the leader's answer. Default: `30s`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(max = duration::MAX_LENGTH),
        regex(pattern = duration::PATTERN),
        extend("x-kubernetes-validations" = rule::duration_between("0s", "10m"))
    )]
    pub wait: Option<String>,
}

/// On or off, in words that no YAML version reads as a boolean.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[schemars(transform = crate::schema::strip_description)]
pub enum Switch {
    /// On.
    Enabled,
    /// Off.
    Disabled,
}

/// Life of stored embeddings, which do not change until their model does.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = embeddings_rules()))]
pub struct Embeddings {
    /// Life of a stored embedding. At most `maxAge`. Default: `720h`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(max = duration::MAX_LENGTH),
        regex(pattern = duration::PATTERN),
        extend("x-kubernetes-validations" = rule::duration_between("1s", "2160h"))
    )]
    pub ttl: Option<String>,
    /// No embedding older than this is ever served. Default: `720h`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(max = duration::MAX_LENGTH),
        regex(pattern = duration::PATTERN),
        extend("x-kubernetes-validations" = rule::duration_between("1s", "2160h"))
    )]
    pub max_age: Option<String>,
}

fn room_rules() -> Value {
    json!([rule::at(
        ".maxEntry",
        rule::rule(
            "quantity(has(self.maxEntry) ? self.maxEntry : '1Mi').compareTo(quantity(has(self.memory) ? self.memory : '64Mi')) <= 0",
            "maxEntry is above memory",
            "maxEntry (1Mi when absent) up to memory (64Mi when absent)",
            "lower maxEntry or raise memory",
        )
    )])
}

fn embeddings_rules() -> Value {
    json!([rule::at(
        ".ttl",
        rule::rule(
            "duration(has(self.ttl) ? self.ttl : '720h') <= duration(has(self.maxAge) ? self.maxAge : '720h')",
            "ttl is above maxAge",
            "ttl (720h when absent) up to maxAge (720h when absent)",
            "lower ttl or raise maxAge",
        )
    )])
}
