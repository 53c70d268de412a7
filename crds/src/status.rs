//! What the operator writes back: conditions with their reasons, and the state of sidecars and layers.
//!
//! Words here are open strings in the schema: an older schema must not refuse what a newer operator writes.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// State of a policy as the operator last saw it.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LLMCachePolicyStatus {
    /// Generation of the policy that this status describes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Content hash of the snapshot that sidecars execute.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub revision: Option<String>,
    /// Counts of the pods the policy selects.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sidecars: Option<SidecarCounts>,
    /// State of each layer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "atomic"))]
    pub layers: Vec<LayerState>,
    /// Accepted, Programmed and Healthy.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "conditions")]
    pub conditions: Vec<Condition>,
    /// Objects that invalidations watch, as last seen.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), extend("x-kubernetes-list-type" = "atomic"))]
    pub invalidations: Vec<InvalidationState>,
}

/// Counts of sidecars: `matched` = `serving` + `pending` + `stale` + `rejected`; `outdated` overlaps.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SidecarCounts {
    /// Serving of matched, such as `39/40`.
    #[schemars(length(max = 32))]
    pub summary: String,
    /// Opted-in pods the policy selects.
    #[schemars(range(min = 0))]
    pub matched: i32,
    /// Sidecars that acknowledged the current revision.
    #[schemars(range(min = 0))]
    pub serving: i32,
    /// Sidecars that have not answered yet.
    #[schemars(range(min = 0))]
    pub pending: i32,
    /// Opted-in pods silent for more than 15 s.
    #[schemars(range(min = 0))]
    pub stale: i32,
    /// Sidecars that refused the current revision.
    #[schemars(range(min = 0))]
    pub rejected: i32,
    /// Sidecars of an older version than the operator's; they change when their pod restarts.
    #[schemars(range(min = 0))]
    pub outdated: i32,
}

/// State of one layer.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LayerState {
    /// The layer as `spec` calls it, such as `semanticCache`.
    #[schemars(length(max = 63))]
    pub name: String,
    /// One word, such as `Observing`.
    #[schemars(length(max = 63))]
    pub state: String,
    /// What is missing or wrong, for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 1024))]
    pub message: String,
}

/// The object an invalidation watches, as last seen: a first sight only records, a later change fires once.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct InvalidationState {
    /// Name of the invalidation in `spec`.
    #[schemars(length(max = 63))]
    pub name: String,
    /// Resource version of the watched object.
    #[schemars(length(max = 63))]
    pub resource_version: String,
}

/// Each condition with what it says when true and the reasons it gives.
pub const CONDITIONS: [(&str, &str, &[&str]); 3] = [
    (
        condition::ACCEPTED,
        "the policy is valid, wins its pods and names only stores and upstreams that the install allows",
        &[
            reason::ACCEPTED,
            reason::INVALID,
            reason::CONFLICTED,
            reason::UNKNOWN_STORE_CLASS,
            reason::UPSTREAM_NOT_ALLOWED,
        ],
    ),
    (
        condition::PROGRAMMED,
        "when written, every connected sidecar that the policy selects had acknowledged it",
        &[
            reason::PROGRAMMED,
            reason::PENDING,
            reason::REJECTED,
            reason::STALE,
            reason::NO_SIDECARS,
        ],
    ),
    (
        condition::HEALTHY,
        "no layer is over its budget of wrong answers or costs more than it saves, and every store answers",
        &[
            reason::HEALTHY,
            reason::FALSE_HIT_BUDGET,
            reason::NET_LOSS,
            reason::STORE_UNREACHABLE,
        ],
    ),
];

/// Types of conditions.
pub mod condition {
    /// The policy is valid, wins its pods and names only stores and upstreams the install allows.
    pub const ACCEPTED: &str = "Accepted";
    /// When written, every connected matched sidecar had acknowledged the policy.
    pub const PROGRAMMED: &str = "Programmed";
    /// No layer was closed or costs more than it saves, and every store answers.
    pub const HEALTHY: &str = "Healthy";
}

/// Reasons of conditions.
pub mod reason {
    /// Accepted: true.
    pub const ACCEPTED: &str = "Accepted";
    /// Accepted: the policy breaks a rule that the schema cannot see; the message names field, value and fix.
    pub const INVALID: &str = "Invalid";
    /// Accepted: another policy wins the same pods; the message names it.
    pub const CONFLICTED: &str = "Conflicted";
    /// Accepted: `stores.class` is no store class of the install.
    pub const UNKNOWN_STORE_CLASS: &str = "UnknownStoreClass";
    /// Accepted: the install does not allow an upstream's host.
    pub const UPSTREAM_NOT_ALLOWED: &str = "UpstreamNotAllowed";
    /// Programmed: true.
    pub const PROGRAMMED: &str = "Programmed";
    /// Programmed: some sidecar has not answered yet.
    pub const PENDING: &str = "Pending";
    /// Programmed: some sidecar refused the policy.
    pub const REJECTED: &str = "Rejected";
    /// Programmed: some opted-in pod is silent.
    pub const STALE: &str = "Stale";
    /// Programmed, status Unknown: the policy selects no sidecar.
    pub const NO_SIDECARS: &str = "NoSidecars";
    /// Healthy: true.
    pub const HEALTHY: &str = "Healthy";
    /// Healthy: the semantic cache served more wrong answers than its budget.
    pub const FALSE_HIT_BUDGET: &str = "FalseHitBudget";
    /// Healthy: a layer costs more than it saves.
    pub const NET_LOSS: &str = "NetLoss";
    /// Healthy: a shared store does not answer.
    pub const STORE_UNREACHABLE: &str = "StoreUnreachable";
}

pub(crate) fn conditions(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({
        "type": "array",
        "maxItems": 8,
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["type"],
        "items": {
            "type": "object",
            "required": ["type", "status", "lastTransitionTime", "reason", "message"],
            "properties": {
                "type": {"type": "string", "maxLength": 316, "description": "Accepted, Programmed or Healthy."},
                "status": {"type": "string", "enum": ["True", "False", "Unknown"], "description": "Whether it holds."},
                "observedGeneration": {"type": "integer", "format": "int64", "minimum": 0,
                    "description": "Generation of the policy that the condition describes."},
                "lastTransitionTime": {"type": "string", "format": "date-time",
                    "description": "When the status last changed."},
                "reason": {"type": "string", "minLength": 1, "maxLength": 1024,
                    "description": "One word that says why."},
                "message": {"type": "string", "maxLength": 32768, "description": "What people need to know."}
            }
        }
    })
}
