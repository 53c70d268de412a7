//! The `LLMCacheInvalidation` kind: one ban, run once, with what came of it.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{rule, status, text};

/// Stored answers that the sidecars of this namespace must not serve any more.
#[derive(Clone, CustomResource, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[kube(
    group = "llmcache.dev",
    version = "v1alpha1",
    kind = "LLMCacheInvalidation",
    plural = "llmcacheinvalidations",
    namespaced,
    shortname = "lci",
    category = "llmcache",
    status = "LLMCacheInvalidationStatus",
    derive = "PartialEq",
    doc = "Stored answers that the sidecars of this namespace must not serve any more. It runs once.",
    printcolumn = r#"{"name": "Pattern", "type": "string", "jsonPath": ".spec.pattern"}"#,
    printcolumn = r#"{"name": "Accepted", "type": "string",
        "jsonPath": ".status.conditions[?(@.type==\"Accepted\")].status"}"#,
    printcolumn = r#"{"name": "Complete", "type": "string",
        "jsonPath": ".status.conditions[?(@.type==\"Complete\")].status"}"#,
    printcolumn = r#"{"name": "Matched", "type": "integer", "jsonPath": ".status.matched"}"#,
    printcolumn = r#"{"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = spec_rules()))]
pub struct LLMCacheInvalidationSpec {
    /// Name of the only policy whose answers are meant. Default: every policy of the namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = text::SUBDOMAIN))]
    pub policy: Option<String>,
    /// Name of an entry of the policies' `invalidation`, whose pattern is meant. Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63), regex(pattern = text::LABEL))]
    pub name: Option<String>,
    /// Pattern over tags: `*` matches any run, a closing `:*` also nothing, so that `user:123:*` clears `user:123` and all
    /// beneath. Default: any tags, or none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128), regex(pattern = text::TAG_PATTERN))]
    pub pattern: Option<String>,
    /// Model that answered. Default: any.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128), regex(pattern = text::MODEL))]
    pub model: Option<String>,
    /// TTL class of the answer. Default: any.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63), regex(pattern = text::LABEL))]
    pub class: Option<String>,
    /// Least age of the answer. Default: any age.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 1, max = 32),
        regex(pattern = crate::duration::PATTERN),
        extend("x-kubernetes-validations" = rule::duration_between("0s", "2160h"))
    )]
    pub older_than: Option<String>,
    /// Whose answers: the result cache's, the semantic cache's, or both. Default: `All`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub layer: Option<Layer>,
    /// Counts what would be cleared and clears nothing. Default: `false`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dry_run: Option<bool>,
}

/// Layers that keep answers.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[schemars(transform = crate::schema::strip_description)]
pub enum Layer {
    /// Every layer.
    All,
    /// The result cache.
    ResultCache,
    /// The semantic cache.
    SemanticCache,
}

/// What came of an invalidation.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LLMCacheInvalidationStatus {
    /// Answers that matched in the sidecars and stores that were asked; each counted once per place it was kept in.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub matched: Option<i64>,
    /// Sidecars that obeyed, of those connected, such as `2/2`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub sidecars: Option<String>,
    /// Accepted and Complete.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "status::conditions")]
    pub conditions: Vec<Condition>,
}

/// Each condition with what it says when true and the reasons it gives.
pub const CONDITIONS: [(&str, &str, &[&str]); 2] = [
    (
        condition::ACCEPTED,
        "the policy and the invalidation it names, if any, exist",
        &[reason::ACCEPTED, reason::NOT_FOUND],
    ),
    (
        condition::COMPLETE,
        "every sidecar that was connected when it was written obeys it",
        &[reason::COMPLETE, reason::NO_SIDECARS, reason::PENDING, reason::FAILED],
    ),
];

/// Types of conditions.
pub mod condition {
    /// The ban can be obeyed: it names a policy and an invalidation that exist.
    pub const ACCEPTED: &str = "Accepted";
    /// Every sidecar connected when it was written obeys it.
    pub const COMPLETE: &str = "Complete";
}

/// Reasons of conditions.
pub mod reason {
    /// Accepted: true.
    pub const ACCEPTED: &str = "Accepted";
    /// Accepted: `spec.policy` or `spec.name` names nothing in the namespace.
    pub const NOT_FOUND: &str = "NotFound";
    /// Complete: true.
    pub const COMPLETE: &str = "Complete";
    /// Complete: some connected sidecar has not answered yet.
    pub const PENDING: &str = "Pending";
    /// Complete: some sidecar could not obey; the message says why.
    pub const FAILED: &str = "Failed";
    /// Complete, status True: no sidecar is connected, so that nothing is served.
    pub const NO_SIDECARS: &str = "NoSidecars";
}

fn spec_rules() -> Value {
    json!([
        rule::rule(
            "self == oldSelf",
            "spec is immutable",
            "the spec it was created with",
            "create a new LLMCacheInvalidation",
        ),
        rule::rule(
            "has(self.pattern) || has(self.model) || has(self.class) || has(self.olderThan) || has(self.name)",
            "nothing says which answers are meant",
            "pattern, model, class, olderThan or name",
            "write pattern: \"*\" to mean every answer that has a tag",
        ),
        rule::rule(
            "!(has(self.name) && has(self.pattern))",
            "a named invalidation has its own pattern",
            "name or pattern",
            "leave out name or pattern",
        ),
    ])
}
