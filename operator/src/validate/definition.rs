//! What the API server holds of each kind, once: the schema of `spec` and its compiled rules.

use std::sync::LazyLock;

use kube_cel::{CompiledSchema, compile_schema};
use serde_json::Value;

use super::suggest::nearest;

/// One kind.
pub(super) struct Definition {
    pub(super) kind: &'static str,
    /// The schema of `spec`.
    pub(super) spec: Value,
    /// The CEL rules of `spec`.
    pub(super) rules: CompiledSchema,
    /// How to mend an absent `spec`.
    pub(super) least: &'static str,
    /// Whether the API server may make up the name.
    pub(super) is_nameless: bool,
}

/// `LLMCachePolicy`.
pub(super) static POLICY: LazyLock<Definition> = LazyLock::new(|| {
    let spec = llmcache_crds::policy_schema()["properties"]["spec"].take();
    Definition {
        kind: "LLMCachePolicy",
        rules: compile_schema(&spec),
        spec,
        least: "write spec: {} for the defaults",
        is_nameless: false,
    }
});

/// `LLMCacheInvalidation`.
pub(super) static INVALIDATION: LazyLock<Definition> = LazyLock::new(|| {
    let spec = llmcache_crds::invalidation_schema()["properties"]["spec"].take();
    Definition {
        kind: "LLMCacheInvalidation",
        rules: compile_schema(&spec),
        spec,
        least: "write a spec that says which answers are meant, such as spec: {pattern: \"user:123:*\"}",
        is_nameless: true,
    }
});

impl Definition {
    /// The definition of the kind that an object names or was meant to name; policies are the rule.
    pub(super) fn of(object: &Value) -> &'static Self {
        let kind = object["kind"].as_str().unwrap_or_default();
        match nearest(kind, [POLICY.kind, INVALIDATION.kind].into_iter()) {
            Some(meant) if meant == INVALIDATION.kind => &INVALIDATION,
            _ => &POLICY,
        }
    }
}
