//! The `LLMCachePolicy` kind: one file per stage that has policy, in the order of the pipeline.
//!
//! Every doc comment becomes the description in the schema and in the reference; a field that may be absent ends its
//! comment with `Default:`.

pub mod invalidation;
pub mod prompt_cache;
pub mod result_cache;
pub mod routing;
pub mod scope;
pub mod selector;
pub mod semantic_cache;
pub mod stores;
pub mod ttl_class;
pub mod upstreams;

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

pub use invalidation::{Invalidation, OnChange};
pub use prompt_cache::{MarkTtl, PromptCache, Strategy};
pub use result_cache::{Embeddings, ResultCache, Sampled, SingleFlight, StoredResponses, Switch, ToolAnswers};
pub use routing::{Routing, RoutingRule, Tier, TierModels, Tools};
pub use scope::{EndUsers, Scope, Share};
pub use selector::{Operator, Requirement, Selector};
pub use semantic_cache::{Judge, SemanticCache};
pub use stores::Stores;
pub use ttl_class::{Match, TtlClass};
pub use upstreams::{AnthropicUpstream, Dialect, OpenAiUpstream, Upstreams};

use crate::{rule, status::LLMCachePolicyStatus, text};

/// What the sidecars of the selected pods do with the calls of their apps to LLM providers.
#[derive(Clone, CustomResource, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[kube(
    group = "llmcache.dev",
    version = "v1alpha1",
    kind = "LLMCachePolicy",
    plural = "llmcachepolicies",
    namespaced,
    shortname = "lcp",
    category = "llmcache",
    status = "LLMCachePolicyStatus",
    derive = "PartialEq",
    doc = "What the sidecars of the selected pods do with the calls of their apps to LLM providers.",
    label("gateway.networking.k8s.io/policy", "Direct"),
    printcolumn = r#"{"name": "Mode", "type": "string", "jsonPath": ".spec.mode"}"#,
    printcolumn = r#"{"name": "Accepted", "type": "string",
        "jsonPath": ".status.conditions[?(@.type==\"Accepted\")].status"}"#,
    printcolumn = r#"{"name": "Programmed", "type": "string",
        "jsonPath": ".status.conditions[?(@.type==\"Programmed\")].status"}"#,
    printcolumn = r#"{"name": "Sidecars", "type": "string", "jsonPath": ".status.sidecars.summary"}"#,
    printcolumn = r#"{"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = life_rules()))]
pub struct LLMCachePolicySpec {
    /// Pods the policy applies to. Default: every injected pod of the namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub selector: Option<Selector>,
    /// Ceiling of the mode of every layer: no layer does more than this. Default: `Enforce`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<Mode>,
    /// Where each provider's requests go; a pod's own base URL wins. Default: the providers' documented addresses.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upstreams: Option<Upstreams>,
    /// Who may share an answer. Default: `share: Credential`, `endUsers: Separate`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scope: Option<Scope>,
    /// Templates of the tags each stored answer carries, for invalidation: literal text, `{user}`, `{model}`, `{class}`
    /// and `{header:NAME}`; a template with a missing value yields no tag. Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(max = 16),
        inner(length(min = 1, max = 128), regex(pattern = text::TAG)),
        extend("x-kubernetes-list-type" = "atomic", "x-kubernetes-validations" = rule::unique_items())
    )]
    pub tags: Option<Vec<String>>,
    /// How long answers live, by what was asked: the first class whose `match` holds decides; the class without `match`
    /// is for everything else, wherever it stands. Default: one class `dynamic` of 1h, also when no class is without `match`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(max = 32),
        extend("x-kubernetes-list-type" = "atomic", "x-kubernetes-validations" = ttl_class::list_rules())
    )]
    pub ttl_classes: Option<Vec<TtlClass>>,
    /// Exact reuse of whole answers. Default: `mode: Observe`, which counts would-be hits and keeps no bodies.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result_cache: Option<ResultCache>,
    /// Reuse of the answer to an equivalent question. Default: `mode: Disabled`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub semantic_cache: Option<SemanticCache>,
    /// Marks for the provider's own prefix cache. Default: `mode: Enforce`, `strategy: Economic`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prompt_cache: Option<PromptCache>,
    /// Which model answers. Default: `mode: Disabled`, the requested model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub routing: Option<Routing>,
    /// Bans that run by name or when an object changes. Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(max = 32),
        extend("x-kubernetes-list-type" = "atomic", "x-kubernetes-validations" = rule::unique_names())
    )]
    pub invalidation: Option<Vec<Invalidation>>,
    /// The shared store behind the in-process one. Default: none, answers stay in the process.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stores: Option<Stores>,
}

/// How far a layer acts: `Enforce` acts, `Observe` decides and counts but changes nothing, `Disabled` does not look.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[schemars(transform = crate::schema::strip_description)]
pub enum Mode {
    /// Acts.
    Enforce,
    /// Decides and counts, changes nothing.
    Observe,
    /// Does not look.
    Disabled,
}

/// No class lives longer than `resultCache.maxAge`, whose default must be repeated here: the schema has none.
fn life_rules() -> Value {
    let max_age = "duration(has(self.resultCache) && has(self.resultCache.maxAge) ? self.resultCache.maxAge : '168h')";
    let within = |life: &str| {
        let is_within = format!("!has(c.{life}) || duration(c.{life}) <= {max_age}");
        let rule = rule::rule(
            &format!("!has(self.ttlClasses) || self.ttlClasses.all(c, {is_within})"),
            &format!("a class has a {life} above resultCache.maxAge"),
            &format!("{life} up to resultCache.maxAge (168h when absent)"),
            &format!("lower the {life} or raise resultCache.maxAge"),
        );
        rule::at(".ttlClasses", rule)
    };
    json!(["ttl", "staleWhileRevalidate", "staleIfError"].map(within))
}
