//! A valid policy → the snapshot that one workload executes: every default filled in, the ceiling applied.
//!
//! One file per stage that has policy. Nothing here can fail, look at a clock or reach a client; every default of the
//! format is written here, once.

mod prompt_cache;
mod read;
mod result_cache;
mod routing;
mod scope;
mod semantic_cache;
mod ttl_class;
pub mod upstream;

use llmcache_policy::{Identity, Invalidation, Mode, Snapshot};

use crate::validate::Validated;

/// Namespace of a policy that names none.
pub const NAMESPACE: &str = "default";

/// Store class of a `stores` block that names none.
pub const STORE_CLASS: &str = "default";

/// The snapshot of a policy; its revision is [`Snapshot::revision`].
pub fn compile(policy: &Validated) -> Snapshot {
    let policy = policy.policy();
    let metadata = &policy.metadata;
    let spec = &policy.spec;
    let ceiling = spec.mode.map_or(Mode::Enforce, read::mode);
    let result_cache = result_cache::compile(spec.result_cache.as_ref(), ceiling);
    Snapshot {
        identity: Identity {
            namespace: metadata.namespace.clone().unwrap_or_else(|| NAMESPACE.into()),
            name: metadata.name.clone().unwrap_or_default(),
            uid: metadata.uid.clone().unwrap_or_default(),
            generation: metadata.generation.unwrap_or_default(),
        },
        upstreams: upstream::compile(spec.upstreams.as_ref()),
        scope: scope::compile(spec.scope.as_ref()),
        tags: spec.tags.clone().unwrap_or_default(),
        ttl_classes: ttl_class::compile(
            spec.ttl_classes.as_deref(),
            result_cache.max_age_ms,
            semantic_cache::threshold(spec.semantic_cache.as_ref()),
        ),
        result_cache,
        semantic_cache: semantic_cache::compile(spec.semantic_cache.as_ref(), ceiling),
        prompt_cache: prompt_cache::compile(spec.prompt_cache.as_ref(), ceiling),
        routing: routing::compile(spec.routing.as_ref(), ceiling),
        invalidation: spec
            .invalidation
            .iter()
            .flatten()
            .map(|written| Invalidation {
                name: written.name.clone(),
                pattern: written.pattern.clone(),
            })
            .collect(),
        store_class: spec
            .stores
            .as_ref()
            .map(|stores| stores.class.clone().unwrap_or_else(|| STORE_CLASS.into())),
    }
}

#[cfg(test)]
mod tests;
